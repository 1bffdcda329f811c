# The owners do not reap a tombstone at the same moment. node2 cannot hear node3, so it does not know
# that node3 has the tombstone, and keeps it. The other two know, and have nothing any more. The key
# is written anew there; the tombstone at node2 must not take that for what it has deleted.

seed 40
cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = old
  done, coordinated by node1, 2 owners
node2 does not hear node3
anna and node1 are cut off from one another
anna deletes apple
  done, coordinated by node2, 2 owners
wait 3 s
what is where: apple
  node1: nothing
  node2: (deleted)
  node3: nothing
ben gets apple
  not found
cora gets all of apple
  (deleted)
what is where: apple
  node1: nothing
  node2: (deleted)
  node3: nothing

dora puts apple = new
  done, coordinated by node1, 2 owners
wait 1 s
what is where: apple
  node1: new
  node2: new
  node3: new
cora gets apple
  new

# Its tombstone has gone with that. When it hears of node3 again nothing comes back.
the network heals
wait until all is quiet
what is where: apple
  node1: new
  node2: new
  node3: new
cora gets all of apple
  new
all owners of apple are equal
  yes
