# A guest keeps a value for an owner that is away, and goes away itself. Meanwhile the owner is back and
# has the value from the others; the key is deleted, and its tombstone is reaped everywhere. Then the guest
# returns with what it kept (scylladb #23712). The owner's clock has had that write: it stays dead.

cluster of 4 nodes, 3 copies, R=1, W=3
anna puts apple = green
  done, coordinated by node3, 3 owners
node3 is killed
wait 3 s
anna puts apple = red, with guests
  done, coordinated by node2, 2 owners, 1 guest
who keeps parcels
  node1: 1 for node3
node1 is killed
node3 starts
  node3 is ready
wait until all is quiet
what is where: apple
  node3: red
  node2: red
  node4: red
anna deletes apple, with guests
  done, coordinated by node2, 3 owners
wait until all is quiet
what is where: apple
  node3: nothing
  node2: nothing
  node4: nothing
node1 starts
  node1 is ready
wait until all is quiet
who keeps parcels
  nobody
what is where: apple
  node3: nothing
  node2: nothing
  node4: nothing
ben gets apple
  not found
all owners of apple are equal
  yes
