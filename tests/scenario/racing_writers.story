# Two people change the same list. Each has read it, neither has seen what the other writes: both
# values stay, until somebody writes who has seen both.

cluster of 3 nodes, 3 copies, R=2, W=2
anna puts list = milk
  done, coordinated by node3, 2 owners
anna gets all of list
  milk
ben gets all of list
  milk

anna begins to put list = milk, bread, having seen what she read
ben begins to put list = milk, eggs, having seen what he read
anna hears
  done, coordinated by node3, 2 owners
ben hears
  done, coordinated by node3, 2 owners
cora gets all of list
  milk, bread | milk, eggs

# A plain read answers one of them, and says that there are more.
cora gets list
  milk, bread, one of 2 siblings

# The merge.
ben gets all of list
  milk, bread | milk, eggs
ben puts list = milk, bread, eggs, having seen what he read
  done, coordinated by node3, 2 owners
anna gets all of list
  milk, bread, eggs

# Dora has read, but not what Ben wrote after that: her write does not hide what she has not seen.
dora gets all of list
  milk, bread, eggs
ben puts list = milk, bread, eggs, tea
  done, coordinated by node3, 2 owners
dora puts list = nothing, having seen what she read
  done, coordinated by node3, 2 owners
anna gets all of list
  nothing | milk, bread, eggs, tea
wait 1 s
all owners of list are equal
  yes
