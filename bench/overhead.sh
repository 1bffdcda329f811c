#!/usr/bin/env bash
# What clocks, histories, dot logs and recent operations cost a put: this build against one without them
# (preset `bare`), in turns, on a fresh cluster of three nodes and three copies each. Usage: overhead.sh [ROUNDS]
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
rounds=${1:-5}
for preset in release bare; do
  cmake --preset "$preset" >/dev/null && cmake --build --preset "$preset" >/dev/null || exit 1
done
puts_per_s() { # BUILD
  (
    bin=$1/bin
    . "$root/tests/lib/cluster.sh"
    scratch_begin
    cluster_start 3 --replicas 3 || exit 1
    "$root/build/bin/gtstore-bench" -m "$GTSTORE_MANAGER" --workload put --keys 10000 --value-bytes 100 --clients 64 --no-load \
      --duration 5s --csv "$scratch/bench.csv" >/dev/null || exit 1
    awk -F, '$1 == "total" { print $4 }' "$scratch/bench.csv"
  )
}
echo "round,with,without,ratio"
for ((round = 1; round <= rounds; round++)); do
  with=$(puts_per_s "$root/build") && without=$(puts_per_s "$root/build-bare") || exit 1
  awk -v r="$round" -v a="$with" -v b="$without" 'BEGIN { printf "%d,%d,%d,%.3f\n", r, a, b, a / b }'
done
