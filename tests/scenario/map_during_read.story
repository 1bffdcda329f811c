# As in old_map_read.story, but node4 hears of the new map in the middle of the read: it has counted its own answer as
# that of an owner, by the old map, and node3 has not answered. When it asks node1 now it must say by which
# map it counts, not which one it has meanwhile, or node1 would not refuse.

cluster of 4 nodes, 3 copies, R=2, W=2, 1 partitions
ben puts apple = green
  done, coordinated by node4, 2 owners
wait 1 s
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
wait 200 ms
ben begins to get apple
node4 hears of maps again
ben hears
  red
