#!/usr/bin/env bash
# Each planted fault of the list must be caught by what stands behind it, within a bound.
# Usage: planted.sh BIN [NAME...]     BIN is the folder of the programs
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$1
shift
list=$here/planted
states=15000 missed=0 caught=0

# by_states NAME [seed N]: prints by which finding and after how many states it was caught; 1 if it was not.
by_states() {
  local out
  out=$("$bin/gtstore-crash" --mutant "$1" --states $states --one-in 3 --seed "${3:-1}" 2>&1) && return 1
  local found checked
  found=$(grep -oE '^WRONG \([a-z ]+\)' <<<"$out" | head -n 1 | sed -E 's/^WRONG \((.*)\)$/\1/')
  checked=$(sed -nE 's/^crash states: ([0-9]+) checked.*/\1/p' <<<"$out")
  [ -n "$found" ] && [ -n "$checked" ] || return 1
  echo "$found, $checked states"
}

# Without a fault nothing is wrong; else all of them would seem to be caught.
"$bin/gtstore-crash" --states 500 --one-in 3 >/dev/null || { echo "the programs find fault where none is planted"; exit 1; }

mapfile -t names < <(if [ $# -gt 0 ]; then printf '%s\n' "$@"; else grep -oE '^[a-z_]+' "$list"; fi)
for name in "${names[@]}"; do
  read -ra way < <(sed -nE "s/^$name .*\(([a-z]+( seed [0-9]+)?)\)$/\1/p" "$list")
  [ ${#way[@]} -gt 0 ] || { echo "$name: not in the list, or nothing is said to show it"; exit 2; }
  if by=$("by_${way[0]}" "$name" "${way[@]:1}"); then
    printf '%-24s %s\n' "$name" "$by"
    caught=$((caught + 1))
  else
    printf '%-24s SURVIVED\n' "$name"
    missed=$((missed + 1))
  fi
done
echo "$caught caught, $missed survived"
[ "$missed" = 0 ]
