# A value is written, deleted, and its tombstone is reaped. Then the message that brought the value to
# one of the owners arrives there once more, late. No tombstone is there to stand against it; the
# owner's clock does: it has had that write, so the value is dead.

cluster of 3 nodes, 3 copies, R=2, W=2
anna gets apple
  not found
copies of what node1 sends to node3 are kept
anna puts apple = dead
  done, coordinated by node1, 2 owners
anna puts pear = dead
  done, coordinated by node1, 2 owners
wait 100 ms
no more copies are kept
anna deletes apple
  done, coordinated by node1, 2 owners
anna deletes pear
  done, coordinated by node1, 2 owners
wait until all is quiet
what is where: apple
  node1: nothing
  node2: nothing
  node3: nothing
what is where: pear
  node1: nothing
  node3: nothing
  node2: nothing

# One key is written anew, by another node, and has no trace of what was before; the other stays
# deleted.
ben and node1 are cut off from one another
ben puts apple = alive
  done, coordinated by node2, 2 owners
the copies arrive
wait until all is quiet
what is where: apple
  node1: alive
  node2: alive
  node3: alive
what is where: pear
  node1: nothing
  node3: nothing
  node2: nothing
ben gets all of apple
  alive
cora gets pear
  not found
