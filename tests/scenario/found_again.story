# A put reached its coordinator alone, which died before it told anybody. When it is back the others
# pull the put from it, so that whoever has read it finds it again: the reader's session when that owner
# dies, and everybody else.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
anna and node2 are cut off from one another
anna and node3 are cut off from one another
node1 is killed when its next write is synced, before it says so
anna puts apple = red
  node1 has ended: killed when its write was synced, before it said so
  in doubt: no answer from an owner (node2, node3, node1) within 5000 ms; in doubt: the write may exist
node1 starts
  node1 is ready
the network heals
wait until all is quiet
what is where: apple
  node1: red
  node2: red
  node3: red
ben gets apple
  red
what is where: apple
  node1: red
  node2: red
  node3: red
node1 is killed
ben gets apple
  red
cora gets apple
  red
