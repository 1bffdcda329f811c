#!/usr/bin/env bash
# A shopping cart that two people change at once (client/README.md, "A cart that merges"): what either
# adds is kept, and what either removes does not come back.
#
# Both read the cart, and then each changes and writes it on a side of a cut: while anna writes, the
# first owner of the cart stands still (SIGSTOP), so that the second coordinates; while ben writes, it is
# the second that stands still. With W=2 of 3 copies a cut into two sides that can both write does not
# exist, since two majorities share a node: the third one serves both. The race is made by time
# instead. Ben writes with the context of what he read before anna wrote, and knows nothing of it; to
# the store that is the same as a cut.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
cluster_start 3 --replicas 3 || fail "the cluster did not start"
mapfile -t owner < <(admin -o json locate cart | jq -r '.owners[].label')
[ ${#owner[@]} = 3 ] || fail "expected three owners of the cart, saw ${owner[*]}"

declare -A shopper_pid=() ask_to=() answer_from=()

# shopper NAME: a process of the example; commands go to its standard input, each has one answer.
shopper() {
  local to from
  mkfifo "$scratch/$1.to" "$scratch/$1.from"
  "$bin/gtstore-example-cart" cart "$1" "$manager" <"$scratch/$1.to" >"$scratch/$1.from" 2>&1 &
  shopper_pid[$1]=$!
  exec {to}>"$scratch/$1.to" {from}<"$scratch/$1.from"
  ask_to[$1]=$to answer_from[$1]=$from
}
ask() { # NAME COMMAND...
  local answer
  printf '%s\n' "${*:2}" >&"${ask_to[$1]}"
  IFS= read -r -t 30 -u "${answer_from[$1]}" answer || answer="no answer from $1"
  printf '%s\n' "$answer"
}
leave() { # NAME: the end of its commands, and so of the process; its exit code
  local to=${ask_to[$1]} from=${answer_from[$1]}
  exec {to}>&- {from}<&-
  timeout 30 tail --pid="${shopper_pid[$1]}" -s 0.05 -f /dev/null || fail "$1 does not end"
  wait "${shopper_pid[$1]}"
}
stand_still() { kill -STOP "${daemon_pid[$1]}"; }
go_on() { kill -CONT "${daemon_pid[$1]}"; }

# What the paper's cart would make of the siblings: every item of any of them (Dynamo 4.4).
items_of_any() {
  gt get --all cart | jq -r '.value | split("\n")[] | select(startswith("item ")) | split(" ")[4:] | join(" ")' |
    sort -u | paste -sd ' '
}
siblings() { gt get --all cart | wc -l; }

shopper anna
shopper ben
echo "anna fills the cart, and ben reads it"
expect '0 siblings, from node?: empty' ask anna read
expect 'cart: 1 book' ask anna add 1 book
expect 'cart: 1 book, 1 bread' ask anna add 1 bread
expect 'written, by node?' ask anna write
expect 'cart: 1 book, 1 bread, 2 tea' ask anna add 2 tea
expect 'written, by node?' ask anna write
expect '1 sibling, from node?: 1 book, 1 bread, 2 tea' ask ben read

echo "${owner[0]} stands still: anna removes the book and the tea, adds milk, and writes through another"
stand_still "${owner[0]}"
expect 'cart: 1 bread, 2 tea' ask anna remove book
expect 'cart: 1 bread' ask anna remove tea
expect 'cart: 1 bread, 1 milk' ask anna add 1 milk
expect 'written, by node?' ask anna write
through_anna=${seen_last##* }
go_on "${owner[0]}"
cluster_wait || fail "not well after ${owner[0]} went on"

echo "$through_anna stands still: ben, who has seen none of it, removes the bread and adds a tea and eggs"
stand_still "$through_anna"
expect 'cart: 1 book, 2 tea' ask ben remove bread
expect 'cart: 1 book, 3 tea' ask ben add 1 tea
expect 'cart: 1 book, 12 eggs, 3 tea' ask ben add 12 eggs
expect 'written, by node?' ask ben write
through_ben=${seen_last##* }
go_on "$through_anna"
cluster_wait || fail "not well after $through_anna went on"
printf '%-48s expected %-28s saw %s and %s\n' coordinators 'two different ones' "$through_anna" "$through_ben"
[ "$through_anna" != "$through_ben" ] || fail "both wrote through $through_anna"

echo "the store keeps both; every item of either would bring back what was removed, the merge does not"
expect 2 siblings
expect 'book bread eggs milk tea' items_of_any
expect '2 siblings, from node?: 12 eggs, 1 milk, 1 tea' ask anna read
expect 'written, by node?' ask anna write
expect 1 siblings
expect 'eggs milk tea' items_of_any

echo "ben goes on with his old copy, the book in it, and writes it beside the merged cart"
expect 'cart: 1 book, 12 eggs, 1 jam, 3 tea' ask ben add 1 jam
expect 'written, by node?' ask ben write
expect 2 siblings
expect 'book eggs jam milk tea' items_of_any
shopper carl
expect '2 siblings, from node?: 12 eggs, 1 jam, 1 milk, 1 tea' ask carl read
expect '2 siblings, from node?: 12 eggs, 1 jam, 1 milk, 1 tea' ask ben read
expect 'written, by node?' ask ben write
expect 1 siblings
for name in anna ben carl; do
  expect '1 sibling, from node?: 12 eggs, 1 jam, 1 milk, 1 tea' ask "$name" read
done
for name in carl ben anna; do # who came later holds the earlier ones' pipes
  leave "$name" || fail "expected $name to end well, saw exit $?"
done
