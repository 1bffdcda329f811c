# Do the replicas agree? Verify asks every owner to read what it holds again, while writes go on.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
anna puts pear = yellow
  done, coordinated by node1, 2 owners
verify
  equal: 16 partitions, 2 keys

# An owner that cannot be asked proves nothing, and is named.
node3 is killed
anna puts apple = red
  done, coordinated by node1, 2 owners
anna deletes pear
  done, coordinated by node1, 2 owners
verify
  not compared: node3: 16 partitions: unreachable

# It has come back and lacks two writes. What is on its way is waited for; a tombstone is a state too, until
# all have it and it goes.
node3 starts
  node3 is ready
verify
  equal: 16 partitions, 1 keys
what is where: apple
  node1: red
  node2: red
  node3: red

# Rot at rest: the checksum finds it. What differs is looked at again, and by then it is mended.
anna puts filler = of the log, 40 times
  40 times: done, coordinated by node3, 2 owners
wait until all is quiet
a bit of apple flips at node1
what is where: apple
  node1: unknown: its record is bad
  node2: red
  node3: red
verify
  equal: 16 partitions, 2 keys

# With an owner away too few are left to mend it from: the record is there again, and is not all that
# may be known of it, so its partition is not counted anew, and the node is named.
anna puts filler = of the log again, 40 times
  40 times: done, coordinated by node3, 2 owners
wait until all is quiet
node3 is killed
wait 3 s
a bit of apple flips at node1
verify
  not compared: node3: 16 partitions: unreachable
  unsound: node1: partition 5: 1 records read, 1 counted
