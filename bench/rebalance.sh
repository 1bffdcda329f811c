#!/usr/bin/env bash
# What a rebalance costs whoever reads and writes meanwhile: operations a second while a quarter of all copies
# moves to a fourth node, against those before and after on the same cluster; operations that failed; how evenly
# the keys lie afterwards.
#
#   bench/rebalance.sh [KEYS [VALUE_BYTES]]   200000 keys of 500 bytes
# Build first: cmake --preset release && cmake --build --preset release.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
: "${bin:=$root/build/bin}"
. "$root/tests/lib/cluster.sh"
keys=${1:-200000} value_bytes=${2:-500}
scratch_begin
segment=64MiB

# A run of mixed reads and writes: operations a second, of both together.
run() { # NAME SECONDS
  "$bin/gtstore-bench" --workload mixed --no-load --keys "$keys" --value-bytes "$value_bytes" \
    --duration "$2s" --clients 4 --in-flight 8 --csv "$scratch/$1.csv" >/dev/null || fail "$1: an operation failed"
  awk -F, '$1 == "total" { n += $3 } END { print n / '"$2"' }' "$scratch/$1.csv"
}
moving() { [ "$(admin -o json status | jq -r .rebalance)" != idle ]; }

cluster_start 3 --replicas 3 --rebalance manual || fail "the cluster did not start"
"$bin/gtstore-bench" --workload put --distribution sequential --no-load --keys "$keys" --ops "$keys" \
  --value-bytes "$value_bytes" --clients 4 --in-flight 16 >/dev/null || fail "the keys were not stored"
cluster_wait 120s || fail "not well"
node_start node4 || fail "node4 did not start"
run warm 5 >/dev/null
before=$(run before 10)
admin rebalance --plan | tail -n 1
began=$(date +%s%N)
admin rebalance --apply >/dev/null || fail "it did not begin"
during=
while moving; do during+="$(run during 2) "; done
ms=$((($(date +%s%N) - began) / 1000000))
cluster_wait 120s || fail "it did not come to its end"
after=$(run after 10)
read -r mean least < <(tr ' ' '\n' <<<"$during" | awk 'NF { n++; s += $1; if (!l || $1 < l) l = $1 } END { print s / n, l }')
awk -v b="$before" -v d="$mean" -v l="$least" -v a="$after" -v ms="$ms" 'BEGIN {
  printf "operations a second: before %.0f, while it moves %.0f (least of 2 s %.0f), after %.0f\n", b, d, l, a
  printf "while it moves / before: %.2f; %.1f s; no operation failed\n", d / b, ms / 1000 }'
admin -o json nodes | jq -r '[.nodes[] | select(.tokens > 0) | .keys] |
  "keys per node after: \(map(tostring) | join(" ")), max/mean \((max * length / add * 1000 | round) / 1000)"'
admin verify || fail "the copies are not equal"
