# The power of all machines goes at once, under a write. What was acknowledged is there when they are
# back. The write under way is in doubt: its session had given up before anybody was back to answer.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
anna puts fruit = plums
  done, coordinated by node2, 2 owners
anna puts cart = empty
  done, coordinated by node3, 2 owners
ben gets apple
  green
ben begins to put apple = red
all nodes lose power
manager loses power
wait 6 s
all nodes start
  all nodes are ready
manager starts
  manager is ready
ben hears
  in doubt: no answer from an owner (node1, node2, node3) within 5000 ms; in doubt: the write may exist
wait until all is quiet
cora gets apple
  green
cora gets fruit
  plums
cora gets cart
  empty

# And once more, a hair after an acknowledgement.
dora puts cart = full
  done, coordinated by node3, 2 owners
all nodes lose power
all nodes start
  all nodes are ready
wait until all is quiet
cora gets cart
  full
status
  the manager says, epoch 11: healthy; node1 up, node2 up, node3 up
