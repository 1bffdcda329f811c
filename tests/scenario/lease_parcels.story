# RULES 14. R = 1, and an owner comes back while the others are away: all that it missed is in a parcel that
# a guest keeps for it. As long as it cannot reach the guest it knows of nothing; from when it can until the
# guest has said that it keeps nothing for it any more, what it answers is flagged.

seed 19
cluster of 4 nodes, 3 copies, profile course
anna puts apple = green
  done, coordinated by node3, 3 owners
node2 is killed
wait 3 s
anna puts apple = red
  done, coordinated by node3, 2 owners, 1 guest
who keeps parcels
  node1: 1 for node2
node3 is killed
node4 is killed
node1 and node2 are cut off from one another
node2 starts
  node2 is ready
wait 3 s
ben gets apple
  green
the network heals
wait 1400 ms
ben gets apple
  green, degraded
wait until all is quiet
who keeps parcels
  nobody
ben gets apple
  red
node3 starts
  node3 is ready
node4 starts
  node4 is ready
wait until all is quiet
all owners of apple are equal
  yes
