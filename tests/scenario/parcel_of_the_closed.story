# A guest keeps a put for an owner that is away, and goes away itself for longer than it is waited for. Meanwhile
# its coordinator starts again, and the life that made the put is closed without the guest; the key is written
# anew, and names of that life no more than its end. When the guest is back it brings the parcel. What it holds
# is of a life that is closed, and not here: dead, or promised to nobody. The owner takes that, and the guest
# need not keep it for ever.

cluster of 4 nodes, 3 copies, R=2, W=2
node2 is killed
node4 is killed
anna puts apple = green, with guests
  done, coordinated by node3, 1 owner, 1 guest
who keeps parcels
  node1: 1 for node2
node1 is killed
node2 starts
  node2 is ready
node4 starts
  node4 is ready
wait 2 s
node3 is killed
node3 starts
  node3 is ready
wait 2 s
anna puts apple = red
  done, coordinated by node3, 2 owners
wait 80 s
anna puts apple = blue
  done, coordinated by node3, 2 owners
status
  the manager says, epoch 11: at_risk; node1 down, node2 up, node3 up, node4 up
node1 starts
  node1 is ready
wait 30 s
who keeps parcels
  nobody
what is where: apple
  node3: blue
  node2: blue
  node4: blue
