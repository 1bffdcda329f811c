# A disk is put back as it was copied, and its node starts twice before anybody hears of it. The life
# before its present one is then later than the one that the others have seen; but a node tells all its
# lives, and that one is not among them. So it is told, and fills before it votes.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = 1
  done, coordinated by node1, 2 owners
wait until all is quiet
node1 is killed
the disk of node1 is copied
node1 starts
  node1 is ready
anna puts apple = 2
  done, coordinated by node2, 2 owners
anna puts pear = 2
  done, coordinated by node3, 2 owners
wait until all is quiet
what is where: apple
  node1: 2
  node2: 2
  node3: 2
node1 is killed
the disk of node1 is put back as it was copied
node1 is cut off from everybody
node1 starts
  node1 is ready
what is where: apple
  node1: 1
  node2: 2
  node3: 2
node1 is killed
the network heals
node2 is cut off from everybody
node1 starts
  node1 is ready
ben gets apple
  failed: 2 of 3 owners unreachable or catching up (node1, node2); R=2 not met; see: gtstore-admin status
what is where: apple
  node1: 2
  node2: 2
  node3: 2
the network heals
wait until all is quiet
what is where: apple
  node1: 2
  node2: 2
  node3: 2
what is where: pear
  node1: 2
  node3: 2
  node2: 2
status
  the manager says, epoch 9: healthy; node1 up, node2 up, node3 up
