# A second manager stands by while the first one leads, and never changes anything beside it. When the
# first is silent it takes over; when that comes back, with an empty disk, it is the one that stands by.

there are 2 managers
cluster of 3 nodes, 3 copies, R=2, W=2
wait until all is quiet
who leads
status
anna puts apple = green
manager is killed
anna puts apple = red
wait until all is quiet
who leads
status
node3 is killed
wait 5 s
status
node3 starts
wait until all is quiet
status

the disk of manager is lost
manager starts
wait until all is quiet
who leads
node2 is killed
node2 starts
wait until all is quiet
who leads

# Both are gone, and one of them begins with an empty folder.
manager is killed
manager2 is killed
the disk of manager2 is lost
anna puts apple = yellow
manager2 starts
wait until all is quiet
who leads
anna gets apple
verify
