# An owner takes a put, and a guest keeps it for another owner; then the owner comes back with an old disk, and
# the put is in the parcel alone. Its life is over, and all members know that; but as long as one of them keeps
# a parcel of the partition nobody closes that life: what is closed and not held is dead for ever, and
# the parcel would bring the acknowledged put to owners that throw it away.

cluster of 4 nodes, 3 copies, R=2, W=2
wait until all is quiet
node3 is killed
the disk of node3 is copied
node3 starts
  node3 is ready
wait until all is quiet
anna puts apple = green
  done, coordinated by node3, 2 owners
wait until all is quiet
node2 is killed
node4 is killed
wait 3 s
anna puts apple = red, with guests
  done, coordinated by node3, 1 owner, 1 guest
who keeps parcels
  node1: 1 for node2
node3 is killed
the disk of node3 is put back as it was copied
node1 and node2 are cut off from one another
node2 starts
  node2 is ready
node4 starts
  node4 is ready
node3 starts
  node3 is ready
wait 3 s
wait 700 ms
ben puts mint = 1
  done, coordinated by node3, 2 owners
wait 700 ms
ben puts mint = 2
  done, coordinated by node3, 2 owners
wait 700 ms
ben puts mint = 3
  done, coordinated by node3, 2 owners
what is where: apple
  node3: green
  node2: green
  node4: green
who keeps parcels
  node1: 1 for node2
the network heals
wait until all is quiet
who keeps parcels
  nobody
what is where: apple
  node3: red
  node2: red
  node4: red
ben gets apple
  red
all owners of apple are equal
  yes
