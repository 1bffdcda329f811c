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
