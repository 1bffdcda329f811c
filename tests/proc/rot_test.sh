#!/usr/bin/env bash
# Bits flip in the index of a node that is stopped, in values and in keys. Nothing wrong is served, nothing is
# taken away from the other owners, and all is mended from them.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
segment=1MiB cluster_start 3 --partitions 64 || fail "the cluster did not start"
keys=300
for ((i = 1000; i < 1000 + keys; i++)); do
  printf '{"key": "name%d", "value": "value%d, of some length, so that a page holds a few dozen"}\n' $i $i
done >"$scratch/all.jsonl"
gt import "$scratch/all.jsonl" || fail "not imported"
cluster_wait || fail "not well"
exported() { gt export | jq -cS . | sort; }
exported >"$scratch/before"

# flip FROM TO: wherever it stands in node2's index, while that is stopped; all records are there after a restart.
flip() {
  daemon_stop node2 && node_start node2 && cluster_wait && daemon_stop node2 || fail "node2 does not start again"
  perl -0777 -pi -e "s/$1/$2/g" "$scratch/node2/index/data.mdb" || fail "nothing flipped"
  expect_exit 1 "$bin/gtstore-check" "$scratch/node2"
  node_start node2 || fail "node2 did not come back"
}
mended() {
  local i
  for ((i = 0; i < 300; i++)); do
    admin verify >"$scratch/verify" 2>&1 && return 0
    sleep 0.2 # polls a condition with a bound
  done
  return 1
}
for what in value name; do
  case $what in
    value) flip 'value1(\d)7(\d), of' 'value0$1\x37$2, of' ;;
    name) flip 'name1(\d)7(\d)' 'name0$1\x37$2' ;;
  esac
  for ((i = 1000; i < 1000 + keys; i += 23)); do
    [ "$(gt get "name$i")" = "value$i, of some length, so that a page holds a few dozen" ] || fail "$what: name$i is not what was written"
  done
  mended || fail "$what: not mended: $(tail -n 3 "$scratch/verify")"
  cmp -s <(exported) "$scratch/before" || fail "$what: the export is another one"
  cluster_wait || fail "$what: not well"
done
