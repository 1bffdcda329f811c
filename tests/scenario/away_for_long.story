# node3 has a write that reached nobody else, and goes away. The others wait for it 60 s: then they close its
# life and reap what was deleted meanwhile without it. Its disk still has what was deleted. When it comes back
# it has no vote and fills, as if its disk had been put back to an earlier day; what it alone has, and loses by
# that, goes into its quarantine first.

cluster of 3 nodes, 3 copies, R=2, W=2, 1 partitions
anna puts pear = one
  done, coordinated by node3, 2 owners
anna puts apple = one
  done, coordinated by node3, 2 owners
wait until all is quiet
node1 does not hear node3
node2 does not hear node3
anna and node1 are cut off from one another
anna and node2 are cut off from one another
anna puts fig = alone
  in doubt: 2 of 3 owners unreachable (node2, node1); W=2 not met; in doubt; see: gtstore-admin status
what is where: fig
  node3: alone
  node2: nothing
  node1: nothing
node3 loses power
node1 is killed
node2 is killed
the network heals
node1 starts
  node1 is ready
node2 starts
  node2 is ready
wait 2 s
anna deletes pear
  done, coordinated by node2, 2 owners
anna puts apple = two
  done, coordinated by node2, 2 owners
wait 10 s
what is where: pear
  node3: does not run
  node2: (deleted)
  node1: (deleted)
status
  the manager says, epoch 8: at_risk; node1 up, node2 up, node3 down
wait 70 s
what is where: pear
  node3: does not run
  node2: nothing
  node1: nothing
status
  the manager says, epoch 9: at_risk; node1 up, node2 up, node3 down
node3 starts
  node3 is ready
wait until all is quiet
what is where: pear
  node3: nothing
  node2: nothing
  node1: nothing
what is where: apple
  node3: two
  node2: two
  node1: two
what is where: fig
  node3: nothing
  node2: nothing
  node1: nothing
status
  the manager says, epoch 10: healthy; node1 up, node2 up, node3 up
what is in quarantine
  node1: 0 siblings
  node2: 0 siblings
  node3: 3 siblings

# It votes again.
node1 is killed
wait 1 s
ben gets pear
  not found
ben gets apple
  two
