# F21. node4 leaves, and has a write that nobody else has: its client was told that it is in doubt, so it may still
# be needed. node4 gives nothing up, and does not leave the cluster, before the owners have that too.

cluster of 4 nodes, 3 copies, R=2, W=2, 1 partitions
anna puts apple = green
  done, coordinated by node4, 2 owners
wait until all is quiet
node1 does not hear node4
node2 does not hear node4
node3 does not hear node4
anna and node1 are cut off from one another
anna and node2 are cut off from one another
anna and node3 are cut off from one another
anna puts apple = red
  in doubt: 2 of 3 owners unreachable (node3, node1); W=2 not met; in doubt; see: gtstore-admin status
a person drains node4
wait 5 s
who owns apple
  CLEANUP: node2, node3, node1; beside it: node4, node3, node1
what is where: apple
  node2: green
  node3: green
  node1: green
  beside them node4: red
status
  the manager says, epoch 10: healthy; node1 up, node2 up, node3 up, node4 leaving
the network heals
wait until all is quiet
  node4 has ended: drained: the other nodes have all that was here, and this one has left the cluster; its folder can be deleted
who owns apple
  node2, node3, node1
what is where: apple
  node2: red
  node3: red
  node1: red
ben gets apple
  red
