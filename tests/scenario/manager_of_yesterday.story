# The manager's disk is put back as it was yesterday. Since then a machine was lost, and another one
# has taken its place. What the manager has is only a copy: it asks a majority of the nodes before it
# leads, finds the newest map with them, and goes on from there.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
manager is killed
the disk of manager is copied
manager starts
wait until all is quiet
node3 loses power
the disk of node3 is lost
wait 5 s
node3 starts
wait until all is quiet
status
manager loses power
the disk of manager is put back as it was copied

# With one node of three it leads nobody, whatever it remembers, and tells what it remembers.
node1 is killed
node2 is killed
manager starts
wait until all is quiet
who leads
status

node1 starts
wait until all is quiet
who leads
node2 starts
wait until all is quiet
status
anna gets apple
verify
