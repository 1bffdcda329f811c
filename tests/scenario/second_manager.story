# A second manager stands by while the first one leads, and never changes anything beside it. When the
# first is silent it takes over; when that comes back, with an empty disk, it is the one that stands by.

there are 2 managers
cluster of 3 nodes, 3 copies, R=2, W=2
wait until all is quiet
who leads
  manager leads, manager2 stands by
status
  the manager says, epoch 5: healthy; node1 up, node2 up, node3 up
anna puts apple = green
  done, coordinated by node1, 2 owners
manager is killed
anna puts apple = red
  done, coordinated by node1, 2 owners
wait until all is quiet
who leads
  manager does not run, manager2 leads
status
  the manager says, epoch 6: healthy; node1 up, node2 up, node3 up
node3 is killed
wait 5 s
status
  the manager says, epoch 7: at_risk; node1 up, node2 up, node3 down
node3 starts
  node3 is ready
wait until all is quiet
status
  the manager says, epoch 8: healthy; node1 up, node2 up, node3 up

the disk of manager is lost
manager starts
  manager is ready
wait until all is quiet
who leads
  manager stands by, manager2 leads
node2 is killed
node2 starts
  node2 is ready
wait until all is quiet
who leads
  manager stands by, manager2 leads

# Both are gone, and one of them begins with an empty folder.
manager is killed
manager2 is killed
the disk of manager2 is lost
anna puts apple = yellow
  done, coordinated by node1, 2 owners
manager2 starts
  manager2 is ready
wait until all is quiet
who leads
  manager does not run, manager2 leads
anna gets apple
  yellow
verify
  equal: 16 partitions, 1 keys
