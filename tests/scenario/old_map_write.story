# F4. A partition moves from node4 to node2, and node4 does not hear of it: by its map it is an owner still,
# and W=2 is met by itself and one of the two that stay. Those who have it by now are node2, node3 and node1,
# of which two are read. Were its write counted it would be with one of them alone, and a read would miss it.
# But node3 has a newer map, and takes nothing that an older one counts: node4 acknowledges nothing, and
# anna's session, whose map is as old, tries the same operation at the next owner.

cluster of 4 nodes, 3 copies, R=2, W=2, 1 partitions
anna puts apple = green
  done, coordinated by node4, 2 owners
wait 1 s
who owns apple
  node4, node3, node1
node4 hears of no new map
anna hears of no new map
a person drains node4
wait 3 s
who owns apple
  CLEANUP: node2, node3, node1; beside it: node4, node3, node1

# What node4 sends reaches node3, and node1 not.
anna's map
  epoch 6: node1 up, node2 up, node3 up, node4 up
node1 does not hear node4
anna puts apple = red
  done, coordinated by node3, 2 owners
what is where: apple
  node2: red
  node3: red
  node1: red
  beside them node4: red
node3 loses power
ben gets apple
  red

# All hear of it in the end: node4 has given up what it had, and leaves.
the network heals
node3 starts
  node3 is ready
node4 hears of maps again
anna hears of maps again
wait until all is quiet
  node4 has ended: drained: the other nodes have all that was here, and this one has left the cluster; its folder can be deleted
who owns apple
  node2, node3, node1
verify
  equal: 1 partitions, 1 keys
