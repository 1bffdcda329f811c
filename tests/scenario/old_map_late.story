# Maps have an order. node3 and node4 are sent an old one once more, long after a partition has moved from node4 to
# node2. If they acted by it they would be the majority of its old owners, no fence would stand between
# them, and what they acknowledge would be missed by the owners that it has by now. It is older than
# what they have, so it is nothing to them.

cluster of 4 nodes, 3 copies, R=2, W=2, 1 partitions
anna puts apple = green
  done, coordinated by node4, 2 owners
wait 1 s
copies of what manager sends to node3 are kept
copies of what manager sends to node4 are kept
copies of what node3 sends to node4 are kept
a person sets the capacity of node4 to 90 percent
wait 1 s
no more copies are kept
who owns apple
  node4, node3, node1

# node4 is drained, and before it has heard of that the person wants to keep it: it stays, and owns nothing.
anna hears of no new map
node4 hears of no new map
a person drains node4
wait 3 s
who owns apple
  CLEANUP: node2, node3, node1; beside it: node4, node3, node1
a person cancels the rebalance
node4 hears of maps again
wait 5 s
who owns apple
  node2, node3, node1
status
  the manager says, epoch 13: healthy; node1 up, node2 up, node3 up, node4 up
node1 does not hear node4
the copies arrive
wait 1 ms
anna puts apple = red
  done, coordinated by node2, 2 owners
what is where: apple
  node2: red
  node3: red
  node1: red
node3 loses power
ben gets apple
  red
