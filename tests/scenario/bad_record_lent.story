# A record is bad at the only owner that has it and can be asked. Who reads through an owner that lacks
# it hears that too few can tell, not that the key is not there.

cluster of 3 nodes, 3 copies, R=2, W=2
node1 is killed
wait 1 s
anna puts apple = green
  done, coordinated by node2, 2 owners
anna puts filler = of the log, 60 times
  60 times: done, coordinated by node3, 2 owners
wait 5 s
what is where: apple
  node1: does not run
  node2: green
  node3: green
a bit of apple flips at node2
node3 is killed

# node1 is back, and cannot pull what is bad.
ben and node2 are cut off from one another
node1 starts
  node1 is ready
wait 100 ms
ben gets apple
  failed: 2 of 3 owners unreachable or catching up (node2, node3); R=2 not met; see: gtstore-admin status
what is where: apple
  node1: nothing
  node2: nothing
  node3: does not run
node3 starts
  node3 is ready
the network heals
wait until all is quiet
ben gets apple
  green
what is where: apple
  node1: green
  node2: green
  node3: green
