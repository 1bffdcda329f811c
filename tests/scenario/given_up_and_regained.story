# F5. A node gives a partition up, and gets it again later in the same life. Its clock went with what it held:
# otherwise it would say that it has what it has dropped, nobody would send that, and it would have a vote.
# And no dot that it minted before is minted again: both values of apple would be one and the same
# write for everybody who has seen the first.

cluster of 4 nodes, 3 copies, R=2, W=2, 1 partitions
anna puts apple = green
  done, coordinated by node4, 2 owners
anna puts pear = one
  done, coordinated by node4, 2 owners
who owns apple
  node4, node3, node1
wait until all is quiet
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
  the manager says, epoch 12: healthy; node1 up, node2 up, node3 up, node4 up
anna puts fig = dry
  done, coordinated by node2, 2 owners
a person drains node2
wait 10 s
  node2 has ended: drained: the other nodes have all that was here, and this one has left the cluster; its folder can be deleted
who owns apple
  node4, node3, node1
what is where: pear
  node4: one
  node3: one
  node1: one
what is where: fig
  node4: dry
  node3: dry
  node1: dry

# It coordinates, without those who could tell it what it minted.
anna and node1 are cut off from one another
anna and node3 are cut off from one another
anna puts apple = blue
  done, coordinated by node4, 2 owners
what is where: apple
  node4: blue
  node3: blue
  node1: blue
the network heals
node3 is killed
anna gets apple
  blue
anna gets all of apple
  blue
anna gets pear
  one
node3 starts
  node3 is ready
wait until all is quiet
verify
  equal: 1 partitions, 3 keys
