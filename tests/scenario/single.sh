#!/usr/bin/env bash
# One node: put, get, overwrite, delete, get of a missing key, kill -9, restart, get.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
cluster_start 1 --replicas 1 || fail "the cluster did not start"

expect 'OK, node1' gt -v put key1 value1
expect 'key1, value1, node1' gt -v get key1
expect 'OK, node1' gt -v put key1 value2
expect 'key1, value2, node1' gt -v get key1
expect 'OK, node1' gt -v put key2 other
expect 'OK, node1' gt -v delete key2
expect_exit 3 gt get key2
expect_exit 3 gt get never-written
expect_exit 0 gt delete never-written

echo "kill -9 node1 (pid ${daemon_pid[node1]})"
daemon_kill node1
expect_exit 6 gt --timeout 1s get key1
node_start node1 || fail "node1 did not come back"
cluster_wait || fail "the cluster is not well"
expect 'key1, value2, node1' gt -v get key1
expect_exit 3 gt get key2
