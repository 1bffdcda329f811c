# Two people replace the same value through the same coordinator. The reply tells each what he has replaced
# and what he wrote, and nothing of the other's write, although the coordinator has it. So what one of them writes
# next, through an owner that has heard of neither, does not take the other's value away unseen.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = both read this
  done, coordinated by node1, 2 owners
wait until all is quiet
anna gets all of apple
  both read this
ben gets all of apple
  both read this
node2 does not hear node1
ben puts apple = what ben wrote, having seen what he read
  done, coordinated by node1, 2 owners
anna puts apple = what anna wrote, having seen what she read
  done, coordinated by node1, 2 owners
anna and node1 are cut off from one another
anna puts apple = what anna wrote next
  done, coordinated by node2, 2 owners
the network heals
wait until all is quiet
what is where: apple
  node1: what ben wrote | what anna wrote next
  node2: what ben wrote | what anna wrote next
  node3: what ben wrote | what anna wrote next
cleo gets all of apple
  what anna wrote next | what ben wrote
