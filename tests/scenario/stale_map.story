# A client keeps the map of the cluster that it was given. A map that is out of date costs it a
# detour, never a wrong answer: the owners know the newer one, and tell.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
  done, coordinated by node1, 2 owners
anna's map
  epoch 5: node1 up, node2 up, node3 up

# Anna hears nothing of what happens meanwhile.
anna is cut off from everybody
node1 loses power
wait 5 s
status
  the manager says, epoch 6: at_risk; node1 down, node2 up, node3 up
anna's map
  epoch 5: node1 up, node2 up, node3 up

# Back again she tries the owner that her map still shows as up, waits half a second in vain, and goes
# to the next one.
the network heals
anna puts apple = red
  done, coordinated by node2, 2 owners
wait 1 s
anna's map
  epoch 6: node1 down, node2 up, node3 up

node1 starts
  node1 is ready
wait until all is quiet
anna's map
  epoch 6: node1 down, node2 up, node3 up
anna gets apple
  red
wait 1 s
anna's map
  epoch 7: node1 up, node2 up, node3 up
