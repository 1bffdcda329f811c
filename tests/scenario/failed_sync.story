# A sync fails: nobody knows what the disk holds now, and a second sync would say that all is well.
# So the process ends and acknowledges nothing more; another owner takes the write.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
the next sync of node1 fails
anna puts apple = red
  node1 has ended: the log failed, exit 74
  done, coordinated by node2, 2 owners
what is where: apple
  node1: does not run
  node2: red
  node3: red
anna gets apple
  red
node1 starts
  node1 is ready
wait until all is quiet
ben gets all of apple
  red
anna puts apple = yellow
  done, coordinated by node1, 2 owners
wait 1 s
all owners of apple are equal
  yes
