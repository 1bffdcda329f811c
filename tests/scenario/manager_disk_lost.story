# The manager's disk is lost. It begins with an empty folder, and with a cluster of its own that has
# nobody; the nodes bring theirs, and it takes that over as it is.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
manager loses power
the disk of manager is lost
anna puts apple = red
  done, coordinated by node1, 2 owners
manager starts
  manager is ready
wait until all is quiet
who leads
  manager leads
status
  the manager says, epoch 6: healthy; node1 up, node2 up, node3 up

# It keeps the map from then on: a node that restarts is a member as it was.
node2 is killed
wait 5 s
status
  the manager says, epoch 7: at_risk; node1 up, node2 down, node3 up
node2 starts
  node2 is ready
wait until all is quiet
status
  the manager says, epoch 8: healthy; node1 up, node2 up, node3 up
anna gets apple
  red
verify
  equal: 16 partitions, 1 keys
