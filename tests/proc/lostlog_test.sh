#!/usr/bin/env bash
# The log of a node is gone after a crash: gtstore-check says so, and so does the node and its status.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
cluster_start 1 --replicas 1 || fail "the cluster did not start"
expect 'OK, node1' gt -v put k v
daemon_kill node1
expect_exit 0 "$bin/gtstore-check" "$scratch/node1"
rm "$scratch"/node1/wal/*.wal
expect 'damaged: log wal/: it is gone*' "$bin/gtstore-check" "$scratch/node1"
expect_exit 1 "$bin/gtstore-check" "$scratch/node1"
node_start node1 || fail "node1 did not come back"
cluster_wait || fail "not well"
grep -q 'log gone' "$scratch/node1.log" || fail "node1 does not say that its log is gone"
[ "$(admin -o json events | jq -c '[.events[] | select(.event == "damage_found") | .node]')" = '["node1"]' ] || fail "no event says that the log was damaged"
admin status | grep -q 'node1: its log was damaged' || fail "the status does not say that writes may be missing"

# A bit of the last batch flips at rest. Behind it lies the seal of an idle log, so it is known to have
# been acknowledged, in the same boot as well.
expect 'OK, node1' gt -v put k a-value-that-is-looked-for
file=$(LC_ALL=C grep -l a-value-that-is-looked-for "$scratch"/node1/wal/*.wal)
sealed() {
  local last
  last=$(LC_ALL=C grep -abo GTB1 "$file" | tail -n 1 | cut -d : -f 1)
  [ "$(od -An -tu2 -j $((last + 6)) -N 2 "$file" | tr -d ' ')" = 2 ]
}
for ((i = 0; i < 600; i++)); do
  sealed && break
  sleep 0.05 # polls a condition with a bound
done
sealed || fail "the log of an idle node has no seal"
daemon_kill node1
expect_exit 0 "$bin/gtstore-check" "$scratch/node1"
at=$(LC_ALL=C grep -abo a-value-that-is-looked-for "$file" | tail -n 1 | cut -d : -f 1)
printf X | dd of="$file" bs=1 seek="$at" conv=notrunc status=none
expect '*damaged: log wal/: records are missing in the middle*' "$bin/gtstore-check" "$scratch/node1"
node_start node1 || fail "node1 did not come back"
grep -q 'log damaged in the middle' "$scratch/node1.log" || fail "node1 does not say that its log is damaged"
