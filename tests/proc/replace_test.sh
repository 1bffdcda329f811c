#!/usr/bin/env bash
# A node whose folder is gone: another one takes its place, pulls what was there, and only then votes.
# With the sources gone as well it waits for a person who accepts the loss.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
segment=1MiB

replacement_start() { # LABEL: in the empty folder, at another port
  daemon_start "$1" "$bin/gtstore-node" --data-dir "$scratch/$1" --manager "$manager" \
    --replace "$1" --wal-segment "$segment"
}
# state_is LABEL STATE: waits until the manager says so.
state_is() {
  local i
  for ((i = 0; i < 300; i++)); do
    [ "$(admin -o json nodes | jq -r --arg l "$1" '.nodes[] | select(.label == $l) | .state')" = "$2" ] &&
      return 0
    sleep 0.1
  done
  fail "$1 is not $2"
}
keys_read() {
  gt export >"$scratch/read" || fail "not everything can be read"
  sort "$scratch/read" | cmp -s - "$scratch/written" || fail "what is read is not what was written"
}

cluster_start 5 --replicas 3 --partitions 64 || fail "the cluster did not start"
for i in $(seq 1 500); do printf '{"key": "key%d", "value": "value %d"}\n' "$i" "$i"; done |
  tee "$scratch/import" | sort >"$scratch/written"
gt import "$scratch/import" || fail "import"
gt export | sort >"$scratch/written"
[ "$(wc -l <"$scratch/written")" = 500 ] || fail "500 keys were to be written"

# As long as it is up its place is not free, and its label is not either when it is down.
daemon_kill node2
rm -rf "$scratch/node2"
expect_exit 1 "$bin/gtstore-node" --data-dir "$scratch/other" --manager "$manager" --replace node3
state_is node2 down
# The way: the refusal names it, and the folder that it leaves behind is as good as an empty one.
expect '*label node2 in use by node *; if its folder was lost, start with --replace node2*' \
  "$bin/gtstore-node" --data-dir "$scratch/node2" --manager "$manager" --label node2
expect_exit 1 "$bin/gtstore-node" --data-dir "$scratch/node2" --manager "$manager" --label node2
expect_exit 1 "$bin/gtstore-node" --data-dir "$scratch/other3" --manager "$manager" --replace node9
expect_exit 2 "$bin/gtstore-node" --data-dir "$scratch/other3" --manager "$manager" --replace node2 --label x
replacement_start node2 || fail "nobody took the place of node2"
cluster_wait || fail "node2 does not catch up"
keys_read

# It votes: whatever two others are away, one owner of every key is among the rest or it.
daemon_kill node3
state_is node3 down
keys_read
# A folder of the cluster takes nobody's place: its data would be mixed with that of another node.
expect '*data folder *node3 is of node3, not of node2*' \
  "$bin/gtstore-node" --data-dir "$scratch/node3" --manager "$manager" --replace node2
node_start node3 || fail "node3 did not come back"
cluster_wait || fail "not well after node3"

# A restart with the same flags is a restart.
daemon_stop node2
expect_exit 0 "$bin/gtstore-check" "$scratch/node2"
replacement_start node2 || fail "the new node2 did not come back"
cluster_wait || fail "not well after the restart"

# Two folders at once: of what three owners held one is left, and that is not enough to vote by itself.
daemon_kill node4
daemon_kill node5
rm -rf "$scratch/node4" "$scratch/node5"
state_is node4 down
state_is node5 down
replacement_start node4 || fail "nobody took the place of node4"
state_is node4 catching_up
expect_exit 2 admin accept-loss all
expect_exit 2 admin accept-loss 9..1
for wrong in , 1,,2 ,1 1, '' 64 0..64 0,63..64 all,x 99999 0..99999; do
  expect '*gtstore-admin: accept-loss *: all, or partitions like 7 or 3..9, from 0 to *, are needed; see: *' admin accept-loss "$wrong" --yes
  expect_exit 2 admin accept-loss "$wrong" --yes
done
expect_exit 2 admin accept-loss 0..63,5
expect_exit 0 admin accept-loss all --yes
state_is node4 up
replacement_start node5 || fail "nobody took the place of node5"
cluster_wait || fail "not well after the loss"
keys_read
