# Siblings are limited where they are made, to 64. Two crowds replace the same value through two owners that
# do not hear of one another at first. No replica refuses to merge what they made, so there are more than
# 64 in the end. Who would add to them is refused before anything is written; who writes plainly replaces them all.

seed 39
cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = start
  done, coordinated by node1, 2 owners
wait until all is quiet
anna gets all of apple
  start
ben gets all of apple
  start
cleo gets all of apple
  start
ben and node1 are cut off from one another
node1 does not hear node2
ben puts apple = right, 10 times, having seen what he read
  10 times: done, coordinated by node2, 2 owners
anna puts apple = left, 60 times, having seen what she read
  57 times: done, coordinated by node1, 2 owners
  3 times: not applied: node1: over the limit of 64 siblings: gtstore get --all --context KEY, then put with that context; not applied
the network heals
wait until all is quiet
cleo puts apple = one more, having seen what she read
  not applied: node1: over the limit of 64 siblings: gtstore get --all --context KEY, then put with that context; not applied
cleo puts apple = all of it
  done, coordinated by node1, 2 owners
cleo gets all of apple
  all of it
all owners of apple are equal
  yes
