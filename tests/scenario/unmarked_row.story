# A put is overwritten at its first coordinator, which nobody hears. The owners that are asked by its second
# attempt know neither, and write it anew. When the first coordinator is heard again, its table of operations
# tells that the put was overwritten: so is the second attempt of it. Without that its value would stand beside
# the one that had replaced it.

cluster of 3 nodes, 3 copies, R=2, W=2
anna gets apple
  not found
ben gets apple
  not found
anna does not hear node1
node2 does not hear node1
node3 does not hear node1
anna begins to put apple = green
wait 300 ms
ben begins to put apple = yellow
wait 300 ms
anna hears
  done, coordinated by node2, 2 owners
what is where: apple
  node1: yellow
  node2: green
  node3: green
the network heals
ben hears
  done, coordinated by node1, 2 owners
wait until all is quiet
what is where: apple
  node1: yellow
  node2: yellow
  node3: yellow
ben gets all of apple
  yellow
