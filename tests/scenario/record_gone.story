# A record is gone from the index of one owner, without a trace: every record that is left reads well.
# But the partition has counted it, along with its digest, in the commit in which it was written. When
# its records at rest are read they are counted again; the partition has no vote from then on, until it
# is filled from the other owners.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners

# A record goes from the log into the index some time later.
anna puts filler = of the log, 40 times
  40 times: done, coordinated by node3, 2 owners
wait 5 s
the record of apple is gone at node1
what is where: apple
  node1: nothing
  node2: green
  node3: green
wait until all is quiet
what is where: apple
  node1: green
  node2: green
  node3: green
all owners of apple are equal
  yes
verify
  equal: 16 partitions, 2 keys
