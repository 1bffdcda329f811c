# The manager that leads stands still, and another takes over. When it goes on it believes to lead
# still; a node has promised the other one, so no map of the first counts any more.

there are 2 managers
cluster of 3 nodes, 3 copies, R=2, W=2
wait until all is quiet
who leads
  manager leads, manager2 stands by
manager stands still
wait 10 s
manager goes on
wait until all is quiet
who leads
  manager stands by, manager2 leads
node1 is killed
wait 5 s
node1 starts
  node1 is ready
wait until all is quiet
who leads
  manager stands by, manager2 leads
verify
  equal: 16 partitions, 0 keys
