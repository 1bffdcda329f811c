# An owner is down while a key is written. The write needs two of three owners and is done. What the
# owner missed it still lacks when it is back, until the key is written again; a strict read asks
# two owners and answers rightly meanwhile.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
what is where: apple
  node1: green
  node2: green
  node3: green

node3 loses power
anna puts apple = red
  done, coordinated by node1, 2 owners
wait 3 s
status
  the manager says, epoch 6: at_risk; node1 up, node2 up, node3 down

node3 starts
  node3 is ready
wait until all is quiet
status
  the manager says, epoch 7: healthy; node1 up, node2 up, node3 up
what is where: apple
  node1: red
  node2: red
  node3: green
ben gets apple
  red

# Even when the stale owner is asked: with node1 away the other two answer, and the newer state
# wins. A read from one owner alone promises nothing, and says so.
node1 is killed
ben gets apple
  red
node1 starts
  node1 is ready
wait until all is quiet

# The next write of the key brings its whole state along.
anna puts apple = yellow
  done, coordinated by node1, 2 owners
wait 1 s
all owners of apple are equal
  yes
