# A read has what one owner held before a delete came to it, and asks others, who do not hear it. When it comes
# to one who does, that one has the tombstone no more: every owner had it, so it was reaped. Who has something
# is asked once more then, or the read would answer what was deleted.

cluster of 7 nodes, 7 copies, R=2, W=6
anna puts apple = green
  done, coordinated by node1, 6 owners
what is where: apple
  node1: green
  node5: green
  node3: green
  node6: green
  node4: green
  node2: green
  node7: green
ben gets apple
  green
anna and node1 are cut off from one another
ben and node5 are cut off from one another
ben and node3 are cut off from one another
ben and node6 are cut off from one another
ben and node4 are cut off from one another
ben and node2 are cut off from one another
ben and node7 are cut off from one another
node5 does not hear node1
node3 does not hear node1
node6 does not hear node1
node4 does not hear node1
node2 does not hear node1
ben begins to get apple
anna deletes apple
  done, coordinated by node5, 6 owners
wait 4 s
what is where: apple
  node1: nothing
  node5: nothing
  node3: nothing
  node6: nothing
  node4: nothing
  node2: nothing
  node7: nothing
ben hears
  not found
