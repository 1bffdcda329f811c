# A key is deleted by an owner that has not heard of its newest value. The other two have both, and the
# delete is the later one: the key is not found. The first one has the tombstone alone and hears that
# all have it; if it were reaped there, the value would come afterwards and be back.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = first
  done, coordinated by node1, 2 owners
wait until all is quiet
node1 and node2 are cut off from one another
anna puts apple = of anna
  done, coordinated by node1, 2 owners
ben and node1 are cut off from one another
ben deletes apple
  done, coordinated by node2, 2 owners
the network heals
what is where: apple
  node1: of anna
  node2: (deleted)
  node3: of anna | (deleted)
wait until all is quiet
what is where: apple
  node1: of anna | (deleted)
  node2: of anna | (deleted)
  node3: of anna | (deleted)
cora gets apple
  not found, one of 2 siblings
cora gets all of apple
  (deleted) | of anna

# Whoever has seen both decides.
cora deletes apple, having seen what she read
  done, coordinated by node1, 2 owners
wait until all is quiet
what is where: apple
  node1: nothing
  node2: nothing
  node3: nothing

# The same, and the owner with the tombstone alone is killed before it hears more. When it is back it hears
# from both others at once what they have: the value that it lacks, and that all have the tombstone.
node1 and node2 are cut off from one another
anna puts apple = of anna
  done, coordinated by node1, 2 owners
ben and node1 are cut off from one another
ben deletes apple
  done, coordinated by node2, 2 owners
node2 is killed
wait 10 s
the network heals
what is where: apple
  node1: of anna | (deleted)
  node2: does not run
  node3: of anna | (deleted)
node2 starts
  node2 is ready
wait until all is quiet
what is where: apple
  node1: of anna | (deleted)
  node2: of anna | (deleted)
  node3: of anna | (deleted)
cora gets apple
  not found, one of 2 siblings
