# The wall clock of one node is wrong. The nodes' clocks follow one another by their messages: a plain
# put that begins after another one was acknowledged wins, whichever node takes it.

seed 17
cluster of 3 nodes, 3 copies, R=2, W=2
the clock of node1 is 30 s behind
anna and node1 are cut off from one another
anna puts apple = by node2
  done, coordinated by node2, 2 owners
ben puts apple = by node1
  done, coordinated by node1, 2 owners
cora gets all of apple
  by node1

# One is far behind, by an hour: what it wrote would stand below everything for so long. It refuses, and
# the next owner takes the put.
wait 2 s
the clock of node1 is 3600 s behind
ben puts pear = of ben
  done, coordinated by node3, 2 owners
cora gets all of pear
  of ben
the clock of node1 is right
ben puts pear = of ben again
  done, coordinated by node1, 2 owners
cora gets all of pear
  of ben again

# A clock jumps ahead while the other owner does not hear of it. What the third one holds stands above
# the later put then, which its coordinator stores once more, above that.
node1 and node2 are cut off from one another
the clock of node2 is 30 s ahead
anna gets apple from one owner
  by node1, weak
anna puts apple = by node2 again
  done, coordinated by node2, 2 owners
ben puts apple = by node1 again
  done, coordinated by node1, 2 owners, outranked
cora gets all of apple
  by node1 again
what is where: apple
  node1: by node1 again
  node2: by node1 again
  node3: by node1 again
