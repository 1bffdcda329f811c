# An owner takes a put, and a guest keeps it for another owner. Both go away, and the owner comes back with
# an old disk: the put is in the parcel alone. A delete that outranks it reaches all owners. Its tombstone is
# not reaped before the guest has said that it keeps nothing of the partition: else the parcel would bring
# the deleted value back.

seed 120
cluster of 4 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node3, 2 owners
what is where: apple
  node3: green
  node2: green
  node4: green
wait until all is quiet
node3 is killed
the disk of node3 is copied
node3 starts
  node3 is ready
wait until all is quiet
node2 is killed
node4 is killed
wait 3 s
anna puts apple = red, with guests
  done, coordinated by node3, 1 owner, 1 guest
who keeps parcels
  node1: 1 for node2
node1 is killed
node3 is killed
the disk of node3 is put back as it was copied
node2 starts
  node2 is ready
node4 starts
  node4 is ready
node3 starts
  node3 is ready
wait until all is quiet
what is where: apple
  node3: green
  node2: green
  node4: green
ben deletes apple
  done, coordinated by node3, 2 owners
wait until all is quiet
what is where: apple
  node3: (deleted)
  node2: (deleted)
  node4: (deleted)
node1 starts
  node1 is ready
wait until all is quiet
who keeps parcels
  nobody
what is where: apple
  node3: red | (deleted)
  node2: red | (deleted)
  node4: red | (deleted)
ben gets apple
  not found, one of 2 siblings
all owners of apple are equal
  yes
