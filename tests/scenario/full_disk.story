# A disk is full. The node refuses puts before it stores anything of them, so they are not applied,
# surely; it goes on serving reads. With room again all is as before.

cluster of 1 node, 1 copy, R=1, W=1
anna puts apple = green
  done, coordinated by node1, 1 owner
the disk of node1 is full
anna puts apple = red, 60 times
  23 times: done, coordinated by node1, 1 owner
  37 times: not applied: node1: no space left for data; not applied
anna puts apple = yellow
  not applied: node1: no space left for data; not applied
anna gets apple
  red
anna deletes apple
  not applied: node1: no space left for data; not applied
anna gets all of apple
  red

the disk of node1 has room
wait until all is quiet
anna puts apple = brown
  done, coordinated by node1, 1 owner
anna gets all of apple
  brown
