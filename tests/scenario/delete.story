# A key is deleted while one owner is away: a tombstone stands for it. That owner comes back with the
# old value, and pulls the tombstone: nobody sees the value again. When every owner is known to have the
# tombstone it goes, without any period of grace.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
node3 loses power
anna deletes apple
  done, coordinated by node1, 2 owners
anna gets apple
  not found
wait 60 s
what is where: apple
  node1: (deleted)
  node2: (deleted)
  node3: does not run
node3 starts
  node3 is ready
wait until all is quiet
what is where: apple
  node1: nothing
  node2: nothing
  node3: nothing
ben gets apple
  not found
ben gets all of apple
  not found

# Also when the owner that was away is one of the two that are asked.
node1 is killed
ben gets apple
  not found
node1 starts
  node1 is ready
wait until all is quiet

# Even when it is asked alone: then the answer promises nothing, and says so.
node1 is killed
node2 is killed
wait 1 s
ben gets apple from one owner
  not found, weak
node1 starts
  node1 is ready
node2 starts
  node2 is ready
wait until all is quiet

# The key can be written anew; what was deleted stays deleted everywhere.
anna puts apple = new
  done, coordinated by node1, 2 owners
wait 1 s
all owners of apple are equal
  yes
ben gets all of apple
  new
