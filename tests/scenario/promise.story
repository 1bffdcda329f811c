# A put is written by its first coordinator, whose words to the others are held back. The second attempt
# asks the others, who know nothing of it, is written anew, and its coordinator dies with it. Now what the
# first one had said arrives. Were it counted, the put would be done by a dot of which nobody knows that it has
# a twin, and whoever overwrote that would not have overwritten the twin. So an owner that was asked by a later
# attempt does not count for an earlier one. The next attempt finds what there is, and says so to whoever
# overwrites it: the twin does not come back.

cluster of 3 nodes, 3 copies, R=2, W=2
anna gets apple
  not found
anna does not hear node1
node2 does not hear node1
copies of what node1 sends to node3 are kept
node3 does not hear node1
anna begins to put apple = green
wait 400 ms
node2 is killed when its next write is synced, before it says so
wait 200 ms
  node2 has ended: killed when its write was synced, before it said so
the network heals
the copies arrive
anna hears
  done, coordinated by node3, 2 owners, known from an attempt before
what is where: apple
  node1: green
  node2: does not run
  node3: green
ben gets all of apple
  green
ben puts apple = red, having seen what he read
  done, coordinated by node1, 2 owners
node2 starts
  node2 is ready
wait until all is quiet
what is where: apple
  node1: red
  node2: red
  node3: red
ben gets all of apple
  red
