# An owner is down, and the write wants all three of them. The next node by token order stands in: it
# keeps the state as a parcel, which counts toward W, and the answer says so. When the owner is back the
# guest brings it what it kept, and forgets it.

cluster of 4 nodes, 3 copies, R=1, W=3
anna puts apple = green
  done, coordinated by node3, 3 owners
what is where: apple
  node3: green
  node2: green
  node4: green
node3 is killed
wait 3 s

# Strictly there are too few owners; with guests it is done.
anna puts apple = red
  not applied: 1 of 3 owners unreachable (node3); W=3 not met; not applied; see: gtstore-admin status
anna puts apple = red, with guests
  done, coordinated by node2, 2 owners, 1 guest
what is where: apple
  node3: does not run
  node2: red
  node4: red
who keeps parcels
  node1: 1 for node3

# One parcel for each key: a newer state takes the older one in.
anna puts apple = yellow, with guests
  done, coordinated by node2, 2 owners, 1 guest
anna puts pear = brown, with guests
  done, coordinated by node1, 2 owners, 1 guest
anna deletes pear, with guests
  done, coordinated by node1, 2 owners, 1 guest
who keeps parcels
  node1: 1 for node3
  node2: 1 for node3

node3 starts
  node3 is ready
wait until all is quiet
who keeps parcels
  nobody
what is where: apple
  node3: yellow
  node2: yellow
  node4: yellow

# It answers alone for what was written while it was away.
node1 is killed
node2 is killed
wait 3 s
ben gets apple from one owner
  yellow
