# A put lies in the socket of a process that stands still. The client gives the attempt up and goes
# to another owner; others write after it. When the process goes on it must not take the old put for
# a new one: it is past its time, and void.

cluster of 3 nodes, 3 copies, R=2, W=2
ben gets apple
  not found
node1 stands still
ben puts apple = of ben
  done, coordinated by node2, 2 owners
cora puts apple = of cora
  done, coordinated by node2, 2 owners
cora gets all of apple
  of cora

node1 goes on
wait until all is quiet
what is where: apple
  node1: of cora
  node2: of cora
  node3: of cora
cora gets all of apple
  of cora

# With nobody else to take it the put is in doubt when the session's time is over; then, too, it is
# void.
node2 is killed
node3 is killed
wait 1 s
node1 stands still
ben puts apple = too late
  in doubt: no answer from an owner (node1, node2, node3) within 5000 ms; in doubt: the write may exist
node1 goes on
node2 starts
  node2 is ready
node3 starts
  node3 is ready
wait until all is quiet
what is where: apple
  node1: of cora
  node2: of cora
  node3: of cora
cora gets all of apple
  of cora
