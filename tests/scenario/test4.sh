#!/usr/bin/env bash
# Seven nodes, three copies: 20 keys, 5 of them overwritten, two nodes killed, all 20 newest.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
cluster_start 7 --replicas 3 --profile course || fail "the cluster did not start"

declare -A newest=()
for i in {1..20}; do
  expect 'OK, node[1-7]' gt -v put "key$i" "value$i"
  newest[key$i]=value$i
done
for i in 2 5 9 14 20; do
  expect 'OK, node[1-7]' gt -v put "key$i" "newvalue$i"
  newest[key$i]=newvalue$i
done
for victim in node2 node5; do
  echo "kill -9 $victim (pid ${daemon_pid[$victim]})"
  daemon_kill "$victim"
done
for i in {1..20}; do
  expect "key$i, ${newest[key$i]}, node[1-7]" gt -v get "key$i"
  case ${seen_last##*, } in
    node2 | node5) fail "a dead node answered" ;;
  esac
done

echo "with two of seven nodes dead every key can be written still, with guests"
for i in {1..20}; do
  expect 'OK' gt put "key$i" "newestvalue$i"
  expect "key$i, newestvalue$i, node[1-7]" gt -v get "key$i"
done
