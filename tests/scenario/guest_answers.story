# A quorum counts who answered, not who seemed up (riak_kv #485). An owner stands still and nobody knows
# it yet: its link is there. After a quarter of a second of silence a guest is asked, which counts when
# its parcel is durable; a guest of which nothing is heard does not count either, and the next one is
# asked.

cluster of 6 nodes, 3 copies, R=1, W=3
anna puts apple = green
  done, coordinated by node4, 3 owners
what is where: apple
  node4: green
  node1: green
  node5: green
node5 stands still
anna puts apple = red, with guests
  done, coordinated by node4, 2 owners, 1 guest
who keeps parcels
  node3: 1 for node5

# The first guest in turn does not answer now.
node3 stands still
anna puts apple = yellow, with guests
  done, coordinated by node4, 2 owners, 1 guest
who keeps parcels
  node2: 1 for node5
  node3: 1 for node5

node5 goes on
node3 goes on
wait until all is quiet
who keeps parcels
  nobody
all owners of apple are equal
  yes
ben gets apple
  yellow
