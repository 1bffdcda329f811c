# A machine acknowledged a write and was rolled back to before it. As long as what it lost cannot be
# pulled it has no vote: nobody is told "not found" of a write that was acknowledged.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
wait until all is quiet
node1 is killed
the disk of node1 is copied
node1 starts
  node1 is ready
wait until all is quiet
node3 is killed
anna puts pears = two
  done, coordinated by node1, 2 owners
wait 1 s
node1 loses power
the disk of node1 is put back as it was copied
node2 is killed
node3 starts
  node3 is ready
node1 starts
  node1 is ready
wait until all is quiet
what is where: pears
  node3: nothing
  node1: nothing
  node2: does not run

# Of the two that answer one was away when pears was written, and one has lost it.
ben gets pears
  failed: 2 of 3 owners unreachable or catching up (node1, node2); R=2 not met; see: gtstore-admin status
ben gets pears from whoever answers
  not found, degraded
status
  the manager says, epoch 9: unavailable; node1 catching_up, node2 down, node3 up
ben puts plums = three
  done, coordinated by node3, 2 owners

# node2 has it.
node2 starts
  node2 is ready
wait until all is quiet
ben gets pears
  two
what is where: pears
  node3: two
  node1: two
  node2: two
status
  the manager says, epoch 10: healthy; node1 up, node2 up, node3 up
