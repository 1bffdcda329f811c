# A partition moves to node2, which pulls it in small runs and dies in the middle. It goes on where it stood, with the
# very next key: one that it left out would never be sent again, and its clock would say that it has it. The
# names of the keys are such that they are close together in the order in which they are sent.

states above 200 bytes go in pieces
cluster of 4 nodes, 3 copies, R=2, W=2, 1 partitions
anna puts k158678 = some words of k158678
  done, coordinated by node4, 2 owners
anna puts k80989 = some words of k80989
  done, coordinated by node4, 2 owners
anna puts k210986 = some words of k210986
  done, coordinated by node4, 2 owners
anna puts k292641 = some words of k292641
  done, coordinated by node4, 2 owners
anna puts k187748 = some words of k187748
  done, coordinated by node4, 2 owners
anna puts k291924 = some words of k291924
  done, coordinated by node4, 2 owners
anna puts k4336 = some words of k4336
  done, coordinated by node4, 2 owners
anna puts k167644 = some words of k167644
  done, coordinated by node4, 2 owners
anna puts k80699 = some words of k80699
  done, coordinated by node4, 2 owners
anna puts k165723 = some words of k165723
  done, coordinated by node4, 2 owners
anna puts k152387 = some words of k152387
  done, coordinated by node4, 2 owners
anna puts k297073 = some words of k297073
  done, coordinated by node4, 2 owners
wait until all is quiet

# node2 shall have it, and hears nothing of what it holds.
node2 does not hear node1
node2 does not hear node3
node2 does not hear node4
a person drains node4
wait 3 s
who owns k158678
  PREPARE: node4, node3, node1; beside it: node2, node3, node1

the network heals
wait 2 ms
node2 is killed
node2 starts
  node2 is ready
wait 5 s
  node4 has ended: drained: the other nodes have all that was here, and this one has left the cluster; its folder can be deleted
who owns k158678
  node2, node3, node1
what is where: k158678
  node2: some words of k158678
  node3: some words of k158678
  node1: some words of k158678
what is where: k187748
  node2: some words of k187748
  node3: some words of k187748
  node1: some words of k187748
what is where: k297073
  node2: some words of k297073
  node3: some words of k297073
  node1: some words of k297073
verify
  equal: 1 partitions, 12 keys
