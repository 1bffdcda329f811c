# Two writers, who did not know of one another, leave a value and a tombstone side by side. The
# tombstone is the later one, so the key is not found. If it were reaped the value would be answered
# again: it stays until somebody decides.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = first
  done, coordinated by node1, 2 owners
anna gets all of apple
  first
ben gets all of apple
  first
anna puts apple = of anna, having seen what she read
  done, coordinated by node1, 2 owners
ben deletes apple, having seen what he read
  done, coordinated by node1, 2 owners
cora gets all of apple
  (deleted) | of anna
cora gets apple
  not found, one of 2 siblings
wait until all is quiet
what is where: apple
  node1: of anna | (deleted)
  node2: of anna | (deleted)
  node3: of anna | (deleted)
cora gets apple
  not found, one of 2 siblings

# Now the value is the later one: the tombstone beside it goes by itself.
anna gets all of pear
  not found
ben gets all of pear
  not found
ben deletes pear, having seen what he read
  done, coordinated by node1, 2 owners
anna puts pear = of anna, having seen what she read
  done, coordinated by node1, 2 owners
cora gets all of pear
  of anna | (deleted)
wait until all is quiet
what is where: pear
  node1: of anna
  node3: of anna
  node2: of anna
cora gets all of pear
  of anna

# Somebody who has seen both deletes the key: then nothing is left.
cora gets all of apple
  (deleted) | of anna
cora deletes apple, having seen what she read
  done, coordinated by node1, 2 owners
wait until all is quiet
what is where: apple
  node1: nothing
  node2: nothing
  node3: nothing
