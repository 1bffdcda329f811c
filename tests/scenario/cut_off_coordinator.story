# A coordinator has stored the put and cannot reach the other owners. It may not say "done": the
# quorum was not met. It may not say "not applied" either: the value is on its disk.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
node1 and node2 are cut off from one another
node1 and node3 are cut off from one another
anna and node2 are cut off from one another
anna and node3 are cut off from one another
anna puts apple = red
  in doubt: 2 of 3 owners unreachable (node2, node3); W=2 not met; in doubt; see: gtstore-admin status
what is where: apple
  node1: red
  node2: green
  node3: green

# Whoever reaches the other two goes on as if nothing had happened.
ben and node1 are cut off from one another
ben gets apple
  green
ben puts apple = yellow
  done, coordinated by node2, 2 owners

# When the cut is over, what the coordinator had sent arrives late. Nothing that was acknowledged is
# lost, and the put in doubt is there, beside the one that had not seen it. The later one answers.
the network heals
wait until all is quiet
what is where: apple
  node1: red | yellow
  node2: red | yellow
  node3: red | yellow
cora gets apple
  yellow, one of 2 siblings
cora gets all of apple
  yellow | red

# Who can reach another owner is not left in doubt: the session tries the same operation there. Both
# attempts are on disk then, under one operation id, and are shown as the one write that they are.
node1 and node2 are cut off from one another
node1 and node3 are cut off from one another
dora puts apple = brown
  done, coordinated by node2, 2 owners
the network heals
wait until all is quiet
what is where: apple
  node1: brown | brown
  node2: brown | brown
  node3: brown | brown
cora gets all of apple
  brown
cora puts apple = black
  done, coordinated by node1, 2 owners
cora gets all of apple
  black
