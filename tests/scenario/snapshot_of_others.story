# A machine is rolled back within one life, and what it lost was all written through others. They have forgotten who
# had it, since everybody had; so what they tell it that it lacks must not be a list in which that is missing.

cluster of 3 nodes, 3 copies, R=2, W=2
the disk of node3 is copied
anna puts apple = green
  done, coordinated by node1, 2 owners
wait until all is quiet
what is where: apple
  node1: green
  node2: green
  node3: green
node3 loses power
the disk of node3 is put back as it was copied
node3 starts
  node3 is ready
wait until all is quiet
what is where: apple
  node1: green
  node2: green
  node3: green
ben gets apple
  green
status
  the manager says, epoch 6: healthy; node1 up, node2 up, node3 up
