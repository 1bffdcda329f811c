# The wall clock of one node is wrong. The nodes' clocks follow one another by their messages: a plain
# put that begins after another one was acknowledged wins, whichever node takes it.

cluster of 3 nodes, 3 copies, R=2, W=2
the clock of node1 is 30 s behind
anna and node1 are cut off from one another
anna puts apple = by node2
  done, coordinated by node2, 2 owners
ben puts apple = by node1
  done, coordinated by node1, 2 owners
cora gets all of apple
  by node1
