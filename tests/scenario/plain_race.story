# Two plain puts through two coordinators at the same time: neither coordinator has seen the other
# write. Nothing acknowledged is dropped: a read answers one of them, and shows that there is another.
# The next plain put covers both.

cluster of 3 nodes, 3 copies, R=2, W=2
node1 and node2 are cut off from one another
ben and node1 are cut off from one another
anna begins to put apple = of anna
ben begins to put apple = of ben
anna hears
  done, coordinated by node1, 2 owners
ben hears
  done, coordinated by node2, 2 owners
what is where: apple
  node1: of anna
  node2: of ben
  node3: of anna | of ben
cora gets all of apple
  of ben | of anna
cora gets apple
  of ben, one of 2 siblings

cora puts apple = of cora
  done, coordinated by node1, 2 owners
cora gets all of apple
  of cora

# What the cut held back arrives late, and changes nothing any more.
the network heals
wait until all is quiet
all owners of apple are equal
  yes
cora gets all of apple
  of cora
