# Two writers go on at the same key, each of them with what it read before the other wrote. Each
# replaces what it has seen, so there are two siblings, one of each, and never more; a delete among
# them is a sibling like another.

cluster of 3 nodes, 3 copies, R=2, W=2
anna gets all of apple
  not found
ben gets all of apple
  not found
anna puts apple = anna one, having seen what she read
  done, coordinated by node1, 2 owners
ben puts apple = ben one, having seen what he read
  done, coordinated by node1, 2 owners
anna gets all of apple
  ben one | anna one
ben gets all of apple
  ben one | anna one
anna puts apple = anna two, having seen what she read
  done, coordinated by node1, 2 owners
ben puts apple = ben two, having seen what he read
  done, coordinated by node1, 2 owners
cora gets all of apple
  ben two | anna two
anna gets all of apple
  ben two | anna two
anna puts apple = anna three, having seen what she read
  done, coordinated by node1, 2 owners
anna gets all of apple
  anna three
ben puts apple = ben three, having seen what he read
  done, coordinated by node1, 2 owners
cora gets all of apple
  ben three | anna three
anna gets all of apple
  ben three | anna three
ben gets all of apple
  ben three | anna three
anna deletes apple, having seen what she read
  done, coordinated by node1, 2 owners
ben puts apple = ben four, having seen what he read
  done, coordinated by node1, 2 owners
cora gets all of apple
  ben four | (deleted)
wait until all is quiet
cora gets all of apple
  ben four
anna gets all of apple
  ben four
ben gets all of apple
  ben four
anna puts apple = anna five, having seen what she read
  done, coordinated by node1, 2 owners
ben deletes apple, having seen what he read
  done, coordinated by node1, 2 owners
cora gets all of apple
  (deleted) | anna five
wait until all is quiet
what is where: apple
  node1: anna five | (deleted)
  node2: anna five | (deleted)
  node3: anna five | (deleted)
