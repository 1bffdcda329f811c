# One session puts twice in a row without giving a context. It cannot reach the coordinator of the
# first put any more, so another owner takes the second. The session remembers what it was told: the
# second put replaces the first one and they never stand side by side.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = first
  done, coordinated by node1, 2 owners
anna and node1 are cut off from one another
anna puts apple = second
  done, coordinated by node2, 2 owners
anna gets all of apple
  second

# The same when the other owner has not even heard of the first put: what the session gives along
# covers it.
the network heals
wait until all is quiet
node2 does not hear node1
anna puts apple = third
  done, coordinated by node1, 2 owners
what is where: apple
  node1: third
  node2: second
  node3: third
anna and node1 are cut off from one another
anna puts apple = fourth
  done, coordinated by node2, 2 owners
what is where: apple
  node1: fourth
  node2: fourth
  node3: fourth
ben gets all of apple
  fourth

the network heals
wait until all is quiet
ben gets all of apple
  fourth
all owners of apple are equal
  yes
