#!/usr/bin/env bash
# Each role is killed and comes back; the manager is away while a node restarts.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
cluster_start 3 --replicas 3 || fail "the cluster did not start"

expect 'OK, node*' gt -v put k1 v1
echo "a node dies and comes back on its port"
before=${daemon_address[node2]}
daemon_kill node2
expect 'OK, node*' gt -v put k1 v2
expect 'k1, v2, node*' gt -v get k1
node_start node2 || fail "node2 did not come back"
[ "${daemon_address[node2]}" = "$before" ] || fail "expected node2 on $before again, saw ${daemon_address[node2]}"
cluster_wait || fail "not well after node2 came back"

echo "wait at its limit says what it saw last, and that somebody answered"
daemon_kill node2
expect '*node[123] *' admin wait --timeout 300ms # down, or not heard of yet
expect_exit 7 admin wait --timeout 300ms
gt put k1 v3 >/dev/null && gt put k1 v2 >/dev/null || fail "puts with node2 away"
for ((i = 0; i < 200; i++)); do # with the next heartbeats
  hints=$(admin -o json nodes | jq '[.nodes[] | select(.label != "node2").hints] | add')
  [ "$hints" = 0 ] || break
  sleep 0.05 # nanosleep_seam: polls a condition with a bound
done
[ "$hints" -gt 0 ] || fail "nobody keeps anything for node2, which is away"
node_start node2 || fail "node2 did not come back"
cluster_wait || fail "not well"
[ "$(admin -o json nodes | jq -c '[.nodes[] | .lag_writes, .hints] | unique')" = '[0]' ] || fail "expected neither lag nor hints after wait"

echo "the manager dies: reads and writes go on, a node restarts from its own map"
daemon_kill manager
expect 'k1, v2, node*' gt -m "${daemon_address[node1]}" -v get k1
expect 'OK, node*' gt -m "${daemon_address[node1]}" -v put k2 v1
daemon_kill node3
node_start node3 || fail "node3 did not come back without the manager"
[ "$(admin -m "${daemon_address[node1]}" -o json status | jq -r .manager)" = unreachable ] || fail "expected the manager to be unreachable"
expect 'k2, v1, node*' gt -m "${daemon_address[node3]}" -v get k2

echo "wait goes by what the nodes say themselves when the manager is away"
expect_exit 0 admin -m "${daemon_address[node1]}" wait --timeout 60s
daemon_kill node3
expect '*node3 down*' admin -m "${daemon_address[node1]}" wait --timeout 1s
expect_exit 7 admin -m "${daemon_address[node1]}" wait --timeout 1s
expect_exit 6 admin wait --timeout 300ms
node_start node3 || fail "node3 did not come back"

echo "the manager comes back on its folder and port, with the same map"
manager_start || fail "the manager did not come back"
cluster_wait || fail "not well after the manager came back"
expect 'k1, v2, node*' gt -v get k1
[ "$(admin -o json status | jq '[.nodes[].tokens] | add')" = 3072 ] || fail "expected all 3072 tokens to stay"

echo "orderly stops exit 0 and lose nothing"
for label in node1 node2 node3 manager; do
  pid=${daemon_pid[$label]}
  daemon_stop $label
done
manager_start || fail "the manager did not start again"
for label in node1 node2 node3; do node_start $label || fail "$label did not start again"; done
cluster_wait || fail "not well after the restart"
expect 'k1, v2, node*' gt -v get k1
expect 'k2, v1, node*' gt -v get k2
