# While a partition moves no tombstone is reaped, though all who have a part in it have confirmed it: who must
# have it is just what changes. It goes when the move is over.

cluster of 4 nodes, 3 copies, R=2, W=2, 1 partitions
anna puts apple = green
  done, coordinated by node4, 2 owners
anna puts pear = one
  done, coordinated by node4, 2 owners
wait until all is quiet

# The move begins, and nobody is there to let it go on.
a person drains node4
wait 600 ms
who owns apple
  PREPARE: node4, node3, node1; beside it: node2, node3, node1
manager is killed
wait 5 s
anna deletes apple
  done, coordinated by node4, 3 owners
wait 60 s
verify
  equal: 1 partitions, 2 keys
manager starts
  manager is ready
wait 1 s
what is where: apple
  node4: (deleted)
  node3: (deleted)
  node1: (deleted)
  beside them node2: (deleted)
wait 60 s
  node4 has ended: drained: the other nodes have all that was here, and this one has left the cluster; its folder can be deleted
who owns apple
  node2, node3, node1
what is where: apple
  node2: nothing
  node3: nothing
  node1: nothing
