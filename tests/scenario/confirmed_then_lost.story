# An owner confirms a tombstone, loses it with its disk, and is filled by an owner that has not heard of it
# either. Who still counts the confirmation does not hear of that; but the third owner, which must confirm
# too, has met the new life, and says so. What an earlier life confirmed reaps nothing.

cluster of 4 nodes, 3 copies, R=2, W=3
anna puts apple = green
  done, coordinated by node3, 3 owners
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
node4 is killed
wait 3 s
anna deletes apple, with guests
  done, coordinated by node3, 2 owners, 1 guest
who keeps parcels
  node1: 1 for node4
wait 5 s
node3 is killed
the disk of node3 is put back as it was copied
node2 and node3 are cut off from one another
node2 and node4 are cut off from one another
node2 and node1 are cut off from one another
node1 and node4 are cut off from one another
node1 and node3 are cut off from one another
node4 starts
  node4 is ready
node3 starts
  node3 is ready
wait 8 s
what is where: apple
  node3: green
  node2: (deleted)
  node4: green
the network heals
node2 and node3 are cut off from one another
wait 8 s
what is where: apple
  node3: (deleted)
  node2: (deleted)
  node4: (deleted)
ben gets apple
  not found
the network heals
wait until all is quiet
what is where: apple
  node3: nothing
  node2: nothing
  node4: nothing
ben gets apple
  not found
