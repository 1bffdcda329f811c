# F6. While a partition moves from node4 to node2 a write needs W=2 of those who own it and W=2 of those who will. The
# two who change places are one of each: what they alone have is missed by whoever reads the other two.

cluster of 4 nodes, 3 copies, R=2, W=2, 1 partitions
anna puts apple = green
  done, coordinated by node4, 2 owners
wait until all is quiet

# The move begins, and nobody is there to let it go on.
a person drains node4
wait 600 ms
who owns apple
  PREPARE: node4, node3, node1; beside it: node2, node3, node1
manager is killed
node1 does not hear node4
node3 does not hear node4
anna and node1 are cut off from one another
anna and node3 are cut off from one another
anna puts apple = red
  in doubt: 2 of 4 owners unreachable (node3, node1); W=2 not met; in doubt; see: gtstore-admin status
what is where: apple
  node4: red
  node3: red
  node1: red
  beside them node2: red
node4 loses power
node2 loses power
ben gets apple
  red
