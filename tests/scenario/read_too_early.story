# F4. A partition moves to node2, which hears that node3 and node4 have more than it has, and cannot ask them for it.
# Until it has what node4 has, which leaves, it is not read: neither it nor node1 knows of the newest write,
# which is at the other two, and two are read.

cluster of 4 nodes, 3 copies, R=2, W=2, 1 partitions
anna puts apple = green
  done, coordinated by node4, 2 owners
wait until all is quiet
node1 does not hear node3
node1 does not hear node4
anna puts apple = red
  done, coordinated by node4, 2 owners
node3 does not hear node2
node4 does not hear node2
a person drains node4
wait 5 s
who owns apple
  PREPARE: node4, node3, node1; beside it: node2, node3, node1
what is where: apple
  node4: red
  node3: red
  node1: green
  beside them node2: green
node3 loses power
wait 1 s
ben gets apple
  failed: 2 of 3 owners unreachable (node4, node3); R=2 not met; see: gtstore-admin status
node3 starts
  node3 is ready
the network heals
wait until all is quiet
  node4 has ended: drained: the other nodes have all that was here, and this one has left the cluster; its folder can be deleted
who owns apple
  node2, node3, node1
what is where: apple
  node2: red
  node3: red
  node1: red
verify
  equal: 1 partitions, 1 keys
