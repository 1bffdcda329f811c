# A message is late, and newer news of the same coordinator overtakes it on another way. The late one is
# not old news: a replica's clock holds what it was sent itself, never what a history speaks of. If it
# did, node1 would say that it has the late write, and not have stored it.

seed 17
cluster of 3 nodes, 3 copies, R=2, W=2, 1 partitions
anna puts apple = one
  done, coordinated by node3, 2 owners
wait until all is quiet
node1 does not hear node3
anna puts pear = late
  done, coordinated by node3, 2 owners
anna puts apple = two
  done, coordinated by node3, 2 owners
anna and node3 are cut off from one another
anna puts apple = three
  done, coordinated by node2, 2 owners
what is where: apple
  node3: three
  node2: three
  node1: three
what is where: pear
  node3: late
  node2: late
  node1: nothing
the network heals
wait 100 ms
what is where: pear
  node3: late
  node2: late
  node1: late
