# The power of all machines goes at once. One does not come back, and the log of another one ends in a
# batch that is not whole: whether it was acknowledged cannot be told, since the power went before that
# log was sealed. It has no vote until it has pulled from every owner that can be reached.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
wait until all is quiet
node3 is killed
anna puts apple = red
  done, coordinated by node1, 2 owners
all nodes lose power
the end of the log of node2 is damaged
node2 starts
  node2 is ready
wait 3 s
ben gets apple
  failed: 3 of 3 owners unreachable or catching up (node1, node2, node3); R=2 not met; see: gtstore-admin status
status
  the manager says, epoch 5: unavailable; node1 down, node2 catching_up, node3 down
node1 starts
  node1 is ready
wait until all is quiet
what is where: apple
  node1: red
  node2: red
  node3: does not run
ben gets apple
  red
status
  the manager says, epoch 9: at_risk; node1 up, node2 up, node3 down
node3 starts
  node3 is ready
wait until all is quiet
all owners of apple are equal
  yes
status
  the manager says, epoch 10: healthy; node1 up, node2 up, node3 up
