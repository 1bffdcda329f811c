# Guests that keep parcels are ended, and start, and are ended again: what they keep is in their log and
# index, not in their memory (riak_core #154). Two owners are away at once; no guest counts twice for
# one write.

cluster of 5 nodes, 3 copies, R=1, W=3
anna puts apple = green
  done, coordinated by node4, 3 owners
what is where: apple
  node4: green
  node5: green
  node2: green
node1 loses power
node4 loses power
wait 3 s
anna puts apple = red, with guests
  done, coordinated by node5, 2 owners, 1 guest
anna puts pear = brown, with guests
  done, coordinated by node3, 1 owner, 2 guests
anna puts fig = blue, with guests
  done, coordinated by node3, 1 owner, 2 guests
who keeps parcels
  node2: 1 for node4, 1 for node1
  node3: 1 for node4
  node5: 1 for node4, 1 for node1
node2 loses power
node3 loses power
node5 loses power
node2 starts
  node2 is ready
node3 starts
  node3 is ready
node5 starts
  node5 is ready
who keeps parcels
  node2: 1 for node4, 1 for node1
  node3: 1 for node4
  node5: 1 for node4, 1 for node1
node3 is killed
node2 is stopped
node5 is killed
node2 starts
  node2 is ready
node3 starts
  node3 is ready
node5 starts
  node5 is ready
who keeps parcels
  node2: 1 for node4, 1 for node1
  node3: 1 for node4
  node5: 1 for node4, 1 for node1
node1 starts
  node1 is ready
node4 starts
  node4 is ready
wait until all is quiet
who keeps parcels
  nobody
all owners of apple are equal
  yes
all owners of pear are equal
  yes
all owners of fig are equal
  yes
