# The manager is not on the way of any request. With it gone reads and writes go on, and a node that
# restarts joins again from the map on its own disk.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
manager loses power
wait 10 s
anna puts apple = red
  done, coordinated by node1, 2 owners
anna gets apple
  red

node2 is killed
anna puts apple = yellow
  done, coordinated by node1, 2 owners
node2 starts
  node2 is ready
wait until all is quiet
node1 is killed
anna gets apple
  yellow
anna puts apple = brown
  done, coordinated by node2, 2 owners

# Any node answers the status from its map and its links.
status
  node2 says, epoch 5: at_risk; node1 down, node2 up, node3 up

# A new client needs no manager either.
ben gets apple
  brown

node1 starts
  node1 is ready
manager starts
  manager is ready
wait until all is quiet
status
  the manager says, epoch 7: healthy; node1 up, node2 up, node3 up
