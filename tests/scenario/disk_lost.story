# An actor that lost its disk must not write under dots that it gave out before, or what is new
# is taken for what is old and dropped everywhere.

seed 21
cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = 1
  done, coordinated by node1, 2 owners
anna puts apple = 2
  done, coordinated by node1, 2 owners
anna puts apple = 3
  done, coordinated by node1, 2 owners
wait until all is quiet

# With an empty disk another node takes the place: its dots are its own.
node1 is killed
the disk of node1 is lost
wait 3 s
node1 starts
  node1 is ready
ben puts apple = 4
  done, coordinated by node2, 2 owners
wait until all is quiet
what is where: apple
  node1: 4
  node2: 4
  node3: 4
all owners of apple are equal
  yes
status
  the manager says, epoch 7: healthy; node1 up, node1-replaced-1 removed, node2 up, node3 up
ben gets all of apple
  4
ben puts apple = 4b, having seen what he read
  done, coordinated by node1, 2 owners

# With an old disk the same node lives another life: its dots are of that life.
node2 is killed
the disk of node2 is copied
node2 starts
  node2 is ready
ben puts apple = 5
  done, coordinated by node1, 2 owners
ben puts apple = 6
  done, coordinated by node1, 2 owners
wait until all is quiet
node2 is killed
the disk of node2 is put back as it was copied
node2 starts
  node2 is ready
ben puts apple = 7
  done, coordinated by node1, 2 owners
wait until all is quiet
what is where: apple
  node1: 7
  node2: 7
  node3: 7
all owners of apple are equal
  yes

# With the end of its log gone, too.
ben puts apple = 8
  done, coordinated by node1, 2 owners
wait until all is quiet
node3 loses power
the end of the log of node3 is damaged
node3 starts
  node3 is ready
ben puts apple = 9
  done, coordinated by node1, 2 owners
wait until all is quiet
what is where: apple
  node1: 9
  node2: 9
  node3: 9
all owners of apple are equal
  yes
status
  the manager says, epoch 10: healthy; node1 up, node1-replaced-1 removed, node2 up, node3 up
