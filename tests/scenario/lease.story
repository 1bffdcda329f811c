# F15. R = 1, and an owner is cut off from everybody but its client. It cannot tell what the others write
# meanwhile, with a guest in its place. Three heartbeats later its lease has ended, and what it answers
# is flagged.

cluster of 4 nodes, 3 copies, profile course
wait 3 s
anna puts apple = green
  done, coordinated by node3, 3 owners
what is where: apple
  node3: green
  node2: green
  node4: green
ben gets apple
  green
node3 and manager are cut off from one another
node3 and node1 are cut off from one another
node3 and node2 are cut off from one another
node3 and node4 are cut off from one another
node3 and anna are cut off from one another
ben and node1 are cut off from one another
ben and node2 are cut off from one another
ben and node4 are cut off from one another
ben and manager are cut off from one another
wait 2 s
anna puts apple = red
  done, coordinated by node2, 2 owners, 1 guest
anna gets apple
  red
who keeps parcels
  node1: 1 for node3
ben gets apple
  green, degraded

# The others can be reached again: it pulls, the manager hears it, and it speaks for itself again.
the network heals
wait until all is quiet
ben gets apple
  red
who keeps parcels
  nobody

# With the manager gone reads and writes go on. Of what one owner says nobody vouches then.
manager is killed
wait 3 s
anna puts apple = yellow
  done, coordinated by node2, 3 owners
ben gets apple
  yellow, degraded
manager starts
  manager is ready
wait until all is quiet
ben gets apple
  yellow
