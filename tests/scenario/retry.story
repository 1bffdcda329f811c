# A put is done, and its client does not hear so. Before it tries again, somebody else has written
# the key. The operation is recognised, although its value is gone by then: nothing comes back.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
anna does not hear node1
anna begins to put apple = red
wait 100 ms
ben gets apple
  red
ben puts apple = yellow
  done, coordinated by node1, 2 owners
anna hears
  done, coordinated by node2, 2 owners, known from an attempt before
what is where: apple
  node1: yellow
  node2: yellow
  node3: yellow
the network heals
wait until all is quiet
ben gets all of apple
  yellow
anna gets apple
  yellow

# So also by an owner that has missed all of it: it asks the others before it writes, and takes over
# what they hold.
node3 is killed
anna does not hear node1
anna does not hear node2
anna begins to put apple = brown
wait 100 ms
ben puts apple = black
  done, coordinated by node1, 2 owners
node3 starts
  node3 is ready
anna hears
  done, coordinated by node3, 2 owners, known from an attempt before
what is where: apple
  node1: black
  node2: black
  node3: black
ben gets all of apple
  black
the network heals
wait until all is quiet

# The first attempt is on the disk of an owner that has died, and nobody else has it: the second one
# is written anew. Who overwrites that has overwritten both, whatever comes back.
node1 is killed when its next write is synced, before it says so
anna puts apple = white
  node1 has ended: killed when its write was synced, before it said so
  done, coordinated by node3, 2 owners
ben gets all of apple
  white
ben puts apple = blue, having seen what he read
  done, coordinated by node2, 2 owners
node1 starts
  node1 is ready
wait until all is quiet
what is where: apple
  node1: blue
  node2: blue
  node3: blue
ben gets all of apple
  blue
ben puts apple = grey
  done, coordinated by node1, 2 owners
what is where: apple
  node1: grey
  node2: grey
  node3: grey
