# A log that is idle for 5 ms gets a seal behind its last batch. When the power of all machines goes and
# that batch is bad, it is known that something acknowledged was lost, where it would otherwise pass for
# a write that never was: node2 needs both other owners, since any one of them may have missed it.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
wait until all is quiet
node3 is killed
anna puts apple = red
  done, coordinated by node1, 2 owners
wait 100 ms
all nodes lose power
the end of the log of node2 is damaged
node1 starts
  node1 is ready
node2 starts
  node2 is ready
wait until all is quiet
ben gets apple
  failed: 2 of 3 owners unreachable or catching up (node2, node3); R=2 not met; see: gtstore-admin status
ben gets apple from whoever answers
  red, degraded
status
  the manager says, epoch 8: unavailable; node1 up, node2 catching_up, node3 down
node3 starts
  node3 is ready
wait until all is quiet
ben gets apple
  red
what is where: apple
  node1: red
  node2: red
  node3: red
status
  the manager says, epoch 9: healthy; node1 up, node2 up, node3 up

# The same in one boot: a process that is killed, and a bit that flips before it starts again.
anna puts apple = blue
  done, coordinated by node2, 2 owners
wait 100 ms
node2 is killed
the end of the log of node2 is damaged
node2 starts
  node2 is ready
wait until all is quiet
all owners of apple are equal
  yes
verify
  equal: 16 partitions, 1 keys
