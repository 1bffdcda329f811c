#!/usr/bin/env bash
# The short form of the simulator: every seed that ever failed, and the first ones, plain and with moves. The same
# each time, so that whoever changes something is told of that alone.
# With SECONDS the long form: fresh seeds, which are printed, for so long, half of them with moves; and those
# that are known to fail still (`open`): what has become of them is said.
# Usage: simulate.sh SOURCE_DIR BIN_DIR [SECONDS]
set -uo pipefail
source_dir=$1 sim=$2/gtstore-sim seconds=${3:-} bad=0

out=$(mktemp)
trap 'rm -f "$out"' EXIT
rows() { grep -E '^[0-9]' "$source_dir/tests/sim/$1"; }

if [ -n "$seconds" ]; then
  fresh=$(($(date +%s) * 1000))
  "$sim" --seeds "$fresh..$((fresh + 999999))" --seconds $((seconds / 2)) || bad=1
  "$sim" --moves --seeds "$fresh..$((fresh + 999999))" --seconds $((seconds / 2)) || bad=1
  while read -r seed why; do
    moves=()
    [[ $why != "(moves)"* ]] || moves=(--moves)
    "$sim" --brief "${moves[@]}" --seed "$seed" >"$out" && echo "seed $seed fails no more, it belongs among the others: $why" || echo "seed $seed fails still: $why"
  done < <(rows open)
  exit "$bad"
fi
while read -r seed why; do
  "$sim" --seed "$seed" >"$out" || { cat "$out"; echo "seed $seed fails again: $why"; bad=1; }
done < <(rows seeds)
"$sim" --seeds 1..400 || bad=1
"$sim" --moves --seeds 1..200 || bad=1
for seed in 649 851; do # a cluster formed beside one that was heard of
  "$sim" --moves --seed "$seed" >"$out" || { cat "$out"; bad=1; }
done
exit "$bad"
