# A machine is rolled back to a copy that was made while it ran, as of a virtual machine. Its folder knows the life
# that it lived, so no hello shows it. But others have writes that this life has sent them, and it has not.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
wait until all is quiet
the disk of node1 is copied
anna deletes apple
  done, coordinated by node1, 2 owners
anna puts pears = two
  done, coordinated by node3, 2 owners
wait until all is quiet
node1 loses power
the disk of node1 is put back as it was copied
node3 is killed
node1 starts
  node1 is ready
wait 5 s

# It votes again when it has pulled from two others.
status
  the manager says, epoch 8: unavailable; node1 catching_up, node2 up, node3 down
what is where: apple
  node1: nothing
  node2: nothing
  node3: does not run
ben gets pears
  failed: 2 of 3 owners unreachable or catching up (node3, node1); R=2 not met; see: gtstore-admin status
node3 starts
  node3 is ready
wait until all is quiet
status
  the manager says, epoch 9: healthy; node1 up, node2 up, node3 up
what is where: apple
  node1: nothing
  node2: nothing
  node3: nothing
what is where: pears
  node3: two
  node1: two
  node2: two
