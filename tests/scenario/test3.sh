#!/usr/bin/env bash
# Three nodes, two copies: the node that answers for key1 and two more keys is killed; another node
# answers each of its keys with the newest value. Writes of its keys go on too: the third node keeps
# them for it, as a guest.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
cluster_start 3 --replicas 2 --profile course || fail "the cluster did not start"

expect 'OK, node[1-3]' gt -v put key1 value1
expect 'OK, node[1-3]' gt -v put key1 newvalue1
victim=${seen_last##*, }
declare -A newest=([key1]=newvalue1)
for ((i = 2; ${#newest[@]} < 3; i++)); do
  [ "$i" -le 200 ] || fail "after 200 keys only ${#newest[@]} belong to $victim"
  expect 'OK, node[1-3]' gt -v put "key$i" "value$i"
  [ "${seen_last##*, }" != "$victim" ] || newest[key$i]=value$i
done

echo "kill -9 $victim (pid ${daemon_pid[$victim]}), to which ${!newest[*]} belong"
daemon_kill "$victim"
for key in "${!newest[@]}"; do
  expect "$key, ${newest[$key]}, node[1-3]" gt -v get "$key"
  [ "${seen_last##*, }" != "$victim" ] || fail "expected another node than $victim"
done

echo "writes go on, with a guest in the place of $victim"
expect '*OK, node[1-3]*' gt -v put key1 newestvalue1
expect "key1, newestvalue1, node[1-3]" gt -v get key1
[ "$(gt -o json put key1 newestvalue1 | jq .guests)" = 1 ] || fail "expected one guest"
