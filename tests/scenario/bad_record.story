# A bit flips in a record on one disk. The checksum finds it: such a record is unknown. It is not
# served, and it is not "not found"; the other owners answer, and it is mended from what they have.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners

# A record goes from the log into the index some time later.
anna puts filler = of the log, 40 times
  40 times: done, coordinated by node3, 2 owners
wait 5 s
a bit of apple flips at node1
what is where: apple
  node1: unknown: its record is bad
  node2: green
  node3: green
anna gets apple
  green
anna puts apple = red
  done, coordinated by node2, 2 owners
anna gets apple
  red
what is where: apple
  node1: unknown: its record is bad
  node2: red
  node3: red

# node1 has heard of the bad record and pulls its partition from the others.
wait until all is quiet
what is where: apple
  node1: red
  node2: red
  node3: red

# Nobody has to ask for a record that is bad: records at rest are read now and then.
anna puts filler = of the log again, 40 times
  40 times: done, coordinated by node3, 2 owners
wait 5 s
a bit of apple flips at node3
what is where: apple
  node1: red
  node2: red
  node3: unknown: its record is bad
wait until all is quiet
all owners of apple are equal
  yes

# With only one more owner left there is no quorum for a read: one owner answers for itself, and says
# that it is one; nobody says "not found".
anna puts filler = and again, 40 times
  40 times: done, coordinated by node3, 2 owners
wait 5 s
node2 is killed
wait 1 s
a bit of apple flips at node1
anna gets apple
  failed: 2 of 3 owners unreachable or catching up (node1, node2); R=2 not met; see: gtstore-admin status
anna gets apple from whoever answers
  red, degraded
node2 starts
  node2 is ready
wait until all is quiet
anna gets apple
  red
