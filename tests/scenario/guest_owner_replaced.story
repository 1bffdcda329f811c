# Guests keep parcels for an owner whose disk is lost. It will not come back to take them: who gets its
# place is another node. So what they keep goes to the present owners, and a parcel is forgotten when
# every one of them has it.

cluster of 4 nodes, 3 copies, R=1, W=3
anna puts apple = green
  done, coordinated by node3, 3 owners
what is where: apple
  node3: green
  node2: green
  node4: green
node3 is killed
the disk of node3 is lost
wait 3 s
anna puts apple = red, with guests
  done, coordinated by node2, 2 owners, 1 guest
anna puts pear = brown, with guests
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
  node3: red
  node2: red
  node4: red
all owners of apple are equal
  yes
all owners of pear are equal
  yes
status
  the manager says, epoch 8: healthy; node1 up, node2 up, node3 up, node3-replaced-1 removed, node4 up
