#!/usr/bin/env bash
# The same trace on five nodes with three copies; the keys must not all lie on one node.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
cluster_start 5 --replicas 3 --profile course || fail "the cluster did not start"

declare -A homes=()
home() { homes[${seen_last##*, }]=1; } # the coordinator of the last answer

expect 'OK, node[1-5]' gt -v put key1 value1
home
expect 'key1, value1, node[1-5]' gt -v get key1
expect 'OK, node[1-5]' gt -v put key1 value2
expect 'OK, node[1-5]' gt -v put key2 value3
home
expect 'OK, node[1-5]' gt -v put key3 value4
home
expect 'key1, value2, node[1-5]' gt -v get key1
expect 'key2, value3, node[1-5]' gt -v get key2
expect 'key3, value4, node[1-5]' gt -v get key3

echo "coordinators of key1, key2, key3: ${!homes[*]}"
[ ${#homes[@]} -gt 1 ] || fail "expected keys on more than one node, saw only ${!homes[*]}"
for key in key1 key2 key3; do
  owners=$(admin -o json locate $key | jq -r '[.owners[].label] | join(" ")')
  echo "$key is on $owners"
  [ "$(tr ' ' '\n' <<<"$owners" | sort -u | grep -c .)" = 3 ] || fail "expected three distinct owners of $key, saw $owners"
done
