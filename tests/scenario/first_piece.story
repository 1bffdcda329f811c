# A value above a frame goes in pieces, what its put has seen last. An owner takes the first piece, and nobody
# hears it say so; a guest stands in for it, and the put is done. Asked alone, that owner has the value, and so
# what the session demands to find again, and beside it what the put has replaced. So it answers as before the
# piece came, which is not new enough, until the guest has brought the whole.

seed 345
states above 60 bytes go in pieces
cluster of 4 nodes, 3 copies, profile course
anna puts apple = green
  done, coordinated by node3, 3 owners
node3 does not hear node2
node2 does not hear node4
anna puts apple = a red one that is far too long to go in one piece, so that its history comes last
  done, coordinated by node3, 2 owners, 1 guest
node2 does not hear node3
what is where: apple
  node3: a red one that is far too long to go in one piece, so that its history comes last
  node2: green | a red one that is far too long to go in one piece, so that its history comes last
  node4: a red one that is far too long to go in one piece, so that its history comes last
anna and node3 are cut off from one another
anna and node4 are cut off from one another
anna gets all of apple
  a red one that is far too long to go in one piece, so that its history comes last, degraded
the network heals
wait until all is quiet
what is where: apple
  node3: a red one that is far too long to go in one piece, so that its history comes last
  node2: a red one that is far too long to go in one piece, so that its history comes last
  node4: a red one that is far too long to go in one piece, so that its history comes last
anna gets all of apple
  a red one that is far too long to go in one piece, so that its history comes last
