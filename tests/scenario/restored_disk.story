# A machine's disk is put back as it was copied before a key was deleted. The copy would bring the key
# back: the machine has no vote until it has pulled what the others know of it.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
anna puts fruit = plums
  done, coordinated by node2, 2 owners
wait until all is quiet
node1 is killed
the disk of node1 is copied
node1 starts
  node1 is ready
wait until all is quiet
anna deletes apple
  done, coordinated by node1, 2 owners
anna puts fruit = pears
  done, coordinated by node2, 2 owners
wait until all is quiet
node1 loses power
the disk of node1 is put back as it was copied
node1 starts
  node1 is ready
wait until all is quiet
what is where: apple
  node1: nothing
  node2: nothing
  node3: nothing
what is where: fruit
  node2: pears
  node1: pears
  node3: pears
status
  the manager says, epoch 8: healthy; node1 up, node2 up, node3 up

# It votes again: with node2 away it is one of the two that answer.
node2 is killed
wait 1 s
ben gets apple
  not found
ben gets fruit
  pears
