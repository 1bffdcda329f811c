#!/usr/bin/env bash
# What an operator does while partitions move: looks at the plan, cancels in the middle, loses the
# manager and its folder in the middle, applies a plan that is out of date. And a cluster of one node
# becomes one of three, and of seven.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
keys=6000

load() { "$bin/gtstore-bench" --workload get --keys $keys --value-bytes 200 --ops 1 >/dev/null || fail "the keys were not loaded"; }
status_of() { admin -o json status | jq -r "$1"; }
total() { admin -o json nodes | jq "[.nodes[] | select(.state != \"removed\") | .$1 // 0] | add"; }
until_true() { # WHAT COMMAND...: within a minute
  local what=$1
  shift
  poll 1200 "$@" || fail "$what"
}
some_done() { [ "$(status_of .moves.done)" -ge "$1" ]; }
# Nothing moves, every copy is there and no more, the copies are equal, the keys can be read.
well() { # WHEN NODES
  cluster_wait 120s || fail "not well $1"
  admin verify >/dev/null || fail "verify finds differences $1"
  until_true "not every key has ${2:-3} copies $1, but $(total keys) of $keys" \
    eval '[ "$(total keys)" -eq '$((keys * ${2:-3}))' ]'
  expect "$keys" eval "gt export | wc -l"
}
members() { until_true "$1 nodes are not known" eval '[ "$(admin -o json nodes | jq "[.nodes[] | select(.state != \"removed\")] | length")" -eq '"$1"' ]'; }

# ---- the plan, and its end in the middle ----
cluster_start 3 --replicas 3 --partitions 256 --rebalance manual || fail "the cluster did not start"
load
node_start node4 || fail "node4 did not start"
members 4
# What a plan reckons with comes with the nodes' heartbeats.
until_true "the nodes do not tell of their keys" eval '[ "$(total keys)" -eq '$((keys * 3))' ]'
plan=$(admin rebalance --plan -o json) || fail "no plan"
jq -e '.total > 0 and .total == (.moves | length) and .bytes > 0 and .keys > 0 and
  ([.moves[] | select(.to == "node4" and .from != .to and .bytes > 0)] | length) == .total' \
  >/dev/null <<<"$plan" || fail "the plan does not name what moves: ${plan:0:2000}"
epoch=$(jq .epoch <<<"$plan")
expect_exit 4 admin rebalance --apply --epoch $((epoch - 1))
expect_exit 0 admin rebalance --apply --epoch "$epoch"
until_true "no move comes to its end" some_done 40
expect_exit 4 admin rebalance --apply --epoch "$epoch"
expect_exit 0 admin rebalance --cancel
well "after the cancel"
moved=$(admin -o json nodes | jq '.nodes[] | select(.label == "node4") | .tokens')
[ "$moved" -gt 0 ] && [ "$moved" -lt "$(jq .total <<<"$plan")" ] || fail "the cancel was not in the middle: $moved"
expect idle status_of .rebalance

# ---- the manager goes in the middle, with its folder ----
expect_exit 0 admin rebalance --apply
until_true "no move comes to its end" some_done 40
daemon_kill manager
rm -rf "$scratch/manager"
manager_start --replicas 3 --partitions 256 --rebalance manual || fail "the manager did not start on an empty folder"
well "after the manager's end"
expect 192 eval "admin -o json nodes | jq '.nodes[] | select(.label == \"node4\") | .tokens'"
cluster_stop
rm -rf "$scratch"/*

# ---- one node, three, seven ----
unset GTSTORE_MANAGER manager_listen
cluster_start 1 --replicas 3 --partitions 256 || fail "a cluster of one node did not start"
load
expect '*degraded: each key has 1 of 3 copies, for want of 2 more nodes*' admin status
well "with one node" 1
for i in 2 3; do node_start "node$i" || fail "node$i did not start"; done
members 3
well "with three nodes"
expect healthy status_of .verdict
daemon_kill node1
expect "$keys" eval "gt export | wc -l"
node_start node1 || fail "node1 did not start"
for i in 4 5 6 7; do node_start "node$i" || fail "node$i did not start"; done
members 7
well "with seven nodes"
echo "moves: all seen"
