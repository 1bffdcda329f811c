# A put is done, and its client does not hear so. Before it tries again, somebody writes beside it, and
# that is ranked above it. The next owner finds both, and cannot tell what was acknowledged first: were
# the put stored again above the other, as one is that nobody can have acknowledged yet, it might take away
# what was begun after it was done. So it stays where it is, and is in doubt, while the other one lives.

cluster of 3 nodes, 3 copies, R=2, W=2
anna gets apple
  not found
ben gets all of apple
  not found
anna does not hear node1
anna begins to put apple = green
wait 100 ms
ben puts apple = red, having seen what he read
  done, coordinated by node1, 2 owners
anna hears
  in doubt: it was tried before, and something is ranked above it that may be older or newer; in doubt
what is where: apple
  node1: green | red
  node2: green | red
  node3: green | red
ben gets all of apple
  red | green
the network heals
wait until all is quiet

# Once somebody has overwritten both it is done, and known to be.
anna does not hear node1
anna begins to put apple = brown
wait 100 ms
cora gets all of apple
  brown
ben puts apple = black, having seen what he read
  done, coordinated by node1, 2 owners
cora gets all of apple
  black | brown
cora puts apple = blue, having seen what she read
  done, coordinated by node1, 2 owners
anna hears
  done, coordinated by node2, 2 owners, known from an attempt before
what is where: apple
  node1: blue
  node2: blue
  node3: blue
