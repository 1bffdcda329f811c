#!/usr/bin/env bash
# The short form of the simulator: every seed that ever failed, a fixed handful, and fresh ones, which are
# printed, for SECONDS. Usage: simulate.sh SOURCE_DIR BIN_DIR [SECONDS]
set -uo pipefail
source_dir=$1 sim=$2/gtstore-sim seconds=${3:-100} bad=0

out=$(mktemp)
trap 'rm -f "$out"' EXIT
while read -r seed why; do
  "$sim" --seed "$seed" >"$out" || { cat "$out"; echo "seed $seed fails again: $why"; bad=1; }
done < <(grep -E '^[0-9]' "$source_dir/tests/sim/seeds")
"$sim" --seeds 1..40 || bad=1
"$sim" --moves --seeds 1..40 || bad=1 # 25 and 37 have failed
for seed in 649 851; do # a cluster formed beside one that was heard of
  "$sim" --moves --seed "$seed" >"$out" || { cat "$out"; bad=1; }
done
fresh=$(($(date +%s) * 1000))
"$sim" --seeds "$fresh..$((fresh + 999999))" --seconds "$seconds" || bad=1
exit "$bad"
