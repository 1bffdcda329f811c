#!/usr/bin/env bash
# The first trace: one node, one copy.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
cluster_start 1 --replicas 1 --profile course || fail "the cluster did not start"

expect 'OK, node1' gt -v put key1 value1
expect 'key1, value1, node1' gt -v get key1
expect 'OK, node1' gt -v put key1 value2
expect 'OK, node1' gt -v put key2 value3
expect 'OK, node1' gt -v put key3 value4
expect 'key1, value2, node1' gt -v get key1
expect 'key2, value3, node1' gt -v get key2
expect 'key3, value4, node1' gt -v get key3
