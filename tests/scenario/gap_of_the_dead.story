# node1 has missed a write of node3 and has a later one: a gap. Then two disks are lost at once, more than three
# copies with W=2 can stand, and with them the write that would have filled the gap. What every owner has
# without a gap is what lets tombstones go, so one gap of one dead life would keep them all for ever. A
# life that is over is closed, when nothing of it can come any more.

seed 17
cluster of 3 nodes, 3 copies, R=2, W=2, 1 partitions
anna puts apple = one
  done, coordinated by node3, 2 owners
wait until all is quiet
node1 does not hear node3
anna puts pear = late
  done, coordinated by node3, 2 owners
anna puts apple = two
  done, coordinated by node3, 2 owners
anna and node3 are cut off from one another
anna puts apple = three
  done, coordinated by node2, 2 owners
what is where: pear
  node3: late
  node2: late
  node1: nothing
all nodes lose power
the network heals
the disk of node2 is lost
the disk of node3 is lost
wait 3 s
all nodes start
  all nodes are ready
wait until all is quiet
what is where: pear
  node3: nothing
  node2: nothing
  node1: nothing
what is where: apple
  node3: three
  node2: three
  node1: three
ben deletes apple
  done, coordinated by node3, 2 owners
wait until all is quiet
what is where: apple
  node3: nothing
  node2: nothing
  node1: nothing
status
  the manager says, epoch 8: healthy; node1 up, node2 up, node2-replaced-1 removed, node3 up, node3-replaced-1 removed
