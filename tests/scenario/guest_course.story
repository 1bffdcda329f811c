# Profile course: three copies, a write wants all three, a read asks one, and guests stand in without
# being asked for. With no node to spare a write is refused before anything is stored.

cluster of 4 nodes, 3 copies, profile course
anna puts apple = green
  done, coordinated by node3, 3 owners
what is where: apple
  node3: green
  node2: green
  node4: green
node2 is killed
wait 3 s
anna puts apple = red
  done, coordinated by node3, 2 owners, 1 guest
anna gets apple
  red
node1 is killed
wait 3 s
anna puts apple = blue
  not applied: 1 of 3 owners unreachable (node2); W=3 not met; not applied, too few guests; see: gtstore-admin status
anna gets apple
  red
node1 starts
  node1 is ready
node2 starts
  node2 is ready
wait until all is quiet
who keeps parcels
  nobody
all owners of apple are equal
  yes
