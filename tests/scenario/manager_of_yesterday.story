# The manager's disk is put back as it was yesterday. Since then a machine was lost, and another one
# has taken its place. What the manager has is only a copy: it asks a majority of the nodes before it
# leads, finds the newest map with them, and goes on from there.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
manager is killed
the disk of manager is copied
manager starts
  manager is ready
wait until all is quiet
node3 loses power
the disk of node3 is lost
wait 5 s
node3 starts
  node3 is ready
wait until all is quiet
status
  the manager says, epoch 8: healthy; node1 up, node2 up, node3 up, node3-replaced-1 removed
manager loses power
the disk of manager is put back as it was copied

# With one node of three it leads nobody, whatever it remembers, and tells what it remembers.
node1 is killed
node2 is killed
manager starts
  manager is ready
wait until all is quiet
who leads
  manager stands by
status
  node3 says, epoch 8: unavailable; node1 down, node2 down, node3 up, node3-replaced-1 removed

node1 starts
  node1 is ready
wait until all is quiet
who leads
  manager leads
node2 starts
  node2 is ready
wait until all is quiet
status
  the manager says, epoch 12: healthy; node1 up, node2 up, node3 up, node3-replaced-1 removed
anna gets apple
  green
verify
  equal: 16 partitions, 1 keys
