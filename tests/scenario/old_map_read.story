# F6. A partition has moved from node4 to node2, and node4 has not heard of it. What was written since is at W=2
# of the new owners: node2 and node3. Were node4 to read as it did, itself and node1, it would find the value
# of before. But node1 has the map by which node2 is read: it refuses whoever counts by an older one, and
# ben's session asks the next owner.

cluster of 4 nodes, 3 copies, R=2, W=2, 1 partitions
ben puts apple = green
  done, coordinated by node4, 2 owners
wait 1 s
who owns apple
  node4, node3, node1
node4 hears of no new map
ben hears of no new map
a person drains node4
wait 3 s
who owns apple
  CLEANUP: node2, node3, node1; beside it: node4, node3, node1
node1 does not hear node2
node1 does not hear node3
anna puts apple = red
  done, coordinated by node2, 2 owners
what is where: apple
  node2: red
  node3: red
  node1: green
  beside them node4: green
node4 does not hear node3
ben's map
  epoch 6: node1 up, node2 up, node3 up, node4 up
ben gets apple
  red
the network heals
node4 hears of maps again
ben hears of maps again
wait until all is quiet
  node4 has ended: drained: the other nodes have all that was here, and this one has left the cluster; its folder can be deleted
who owns apple
  node2, node3, node1
verify
  equal: 1 partitions, 1 keys
