# The coordinator's process dies when the put is on its disk and nobody was told: no owner, and not
# the client. The session tries again through another owner, with the same operation id.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
node1 is killed when its next write is synced, before it says so
anna puts apple = red
  node1 has ended: killed when its write was synced, before it said so
  done, coordinated by node2, 2 owners
what is where: apple
  node1: does not run
  node2: red
  node3: red

# node1 has the first attempt on its disk, the others the second one; they exchange them. It is one
# write with two dots: nobody sees it twice.
node1 starts
  node1 is ready
wait until all is quiet
what is where: apple
  node1: red | red
  node2: red | red
  node3: red | red
ben gets all of apple
  red
ben gets apple
  red
anna puts apple = yellow
  done, coordinated by node1, 2 owners
ben gets all of apple
  yellow

# With nobody else to ask in time, the put is in doubt. It did happen, as the reader sees: in doubt
# means that it may have.
anna and node2 are cut off from one another
anna and node3 are cut off from one another
node1 is killed when its next write is synced, before it says so
anna puts apple = brown
  node1 has ended: killed when its write was synced, before it said so
  in doubt: no answer from an owner (node2, node3, node1) within 5000 ms; in doubt: the write may exist
node1 starts
  node1 is ready
wait 1 s
the network heals
wait until all is quiet
what is where: apple
  node1: brown
  node2: brown
  node3: brown
ben gets apple
  brown
ben gets all of apple
  brown
