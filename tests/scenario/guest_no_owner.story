# F5. A guest is nobody's replica. What it keeps sets nothing in its clock: it has no part in reads, and
# nothing of the key remains when the parcel has gone home. And a guest mints nothing: with no owner
# within reach a sloppy write is refused.

cluster of 4 nodes, 2 copies, R=1, W=2
anna puts apple = green
  done, coordinated by node2, 2 owners
what is where: apple
  node2: green
  node1: green
node1 is killed
wait 3 s
anna puts apple = red, with guests
  done, coordinated by node2, 1 owner, 1 guest
who keeps parcels
  node3: 1 for node1

# Now the other owner goes too. The guest has the newest state, and neither lends it nor adds to it.
node2 is killed
wait 3 s
anna gets apple from whoever answers
  failed: no owner of the key is reachable (node2, node1); see: gtstore-admin status
anna puts apple = blue, with guests
  not applied: no owner of the key is reachable (node2, node1); not applied; see: gtstore-admin status
who keeps parcels
  node3: 1 for node1

# The owner that was away comes back alone, and has its parcel.
node1 starts
  node1 is ready
wait until all is quiet
who keeps parcels
  nobody
anna gets apple
  red
node2 starts
  node2 is ready
wait until all is quiet
all owners of apple are equal
  yes
anna puts apple = blue, with guests
  done, coordinated by node1, 2 owners
