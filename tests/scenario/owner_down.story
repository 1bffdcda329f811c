# An owner is down while a key is written. The write needs two of three owners and is done. When the
# owner is back the others' clocks tell it what it lacks, and it pulls that, and nothing else.

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
  node3: red
ben gets apple
  red

# So it can answer for the others: with node1 away it is one of the two that are asked.
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
