# The manager's disk is lost. It begins with an empty folder, and with a cluster of its own that has
# nobody; the nodes bring theirs, and it takes that over as it is.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
manager loses power
the disk of manager is lost
anna puts apple = red
manager starts
wait until all is quiet
who leads
status

# It keeps the map from then on: a node that restarts is a member as it was.
node2 is killed
wait 5 s
status
node2 starts
wait until all is quiet
status
anna gets apple
verify
