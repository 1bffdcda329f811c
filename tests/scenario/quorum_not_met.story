# Two of three owners are gone. Neither a read nor a write reaches its quorum; both say who is
# missing. A write is refused before anything of it is stored.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
node2 is killed
node3 is killed
wait 5 s
anna puts apple = red
  not applied: 2 of 3 owners unreachable (node2, node3); W=2 not met; not applied; see: gtstore-admin status
anna deletes apple
  not applied: 2 of 3 owners unreachable (node2, node3); W=2 not met; not applied; see: gtstore-admin status
anna gets apple
  failed: 2 of 3 owners unreachable (node2, node3); R=2 not met; see: gtstore-admin status
what is where: apple
  node1: green
  node2: does not run
  node3: does not run
status
  the manager says, epoch 5: unavailable; node1 up, node2 down, node3 down

# Who would rather have an old answer than none can say so.
anna gets apple from whoever answers
  green, degraded

# One more owner, and there is a quorum again.
node3 starts
  node3 is ready
wait until all is quiet
anna puts apple = red
  done, coordinated by node1, 2 owners
anna gets apple
  red
status
  the manager says, epoch 8: at_risk; node1 up, node2 down, node3 up

# A machine without power says nothing, and its connections look as if they stood. The coordinator
# stores, sends, waits; and cannot tell what became of the write.
node3 loses power
anna puts apple = yellow
  in doubt: 2 of 3 owners unreachable (node2, node3); W=2 not met; in doubt; see: gtstore-admin status
anna gets apple
  failed: 2 of 3 owners unreachable (node2, node3); R=2 not met; see: gtstore-admin status
what is where: apple
  node1: yellow
  node2: does not run
  node3: does not run
