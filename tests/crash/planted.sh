#!/usr/bin/env bash
# Each planted fault of the list must be caught by what stands behind it, within a bound.
# Usage: planted.sh BIN [NAME...]     BIN is the folder of the programs
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -ge 1 ] && [ -x "$1/gtstore-crash" ] || { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }
bin=$1
shift
list=$here/planted
states=15000 missed=0 caught=0

# run PROGRAM ARGUMENT...: what it prints; 1 unless it ends with 1, which says that something was wrong.
run() {
  "$bin/$1" "${@:2}" 2>&1
  [ $? = 1 ]
}

# Each by_WAY NAME [ARGUMENT...] prints by which finding the fault was caught, and how soon; 1: it was not.

# by_states NAME [seed N]
by_states() {
  local out found checked
  out=$(run gtstore-crash --mutant "$1" --states $states --one-in 3 --seed "${3:-1}") || return 1
  found=$(grep -oE '^WRONG \([a-z ]+\)' <<<"$out" | head -n 1 | sed -E 's/^WRONG \((.*)\)$/\1/')
  checked=$(sed -nE 's/^crash states: ([0-9]+) checked.*/\1/p' <<<"$out")
  [ -n "$found" ] && [ -n "$checked" ] || return 1
  echo "$found, $checked states"
}

# by_calls NAME KIND [ERROR]
by_calls() {
  local out found runs
  out=$(run crash_failed_calls --mutant "$1" --kind "$2" ${3:+--error "$3"}) || return 1
  found=$(sed -nE 's/^failed: //p' <<<"$out" | head -n 1)
  runs=$(sed -nE 's/^failed calls: ([0-9]+) runs.*/\1/p' <<<"$out")
  [ -n "$found" ] && [ -n "$runs" ] || return 1
  echo "$found, $runs failed calls (${*:2})"
}

by_copies() {
  local out
  out=$(run crash_copies --mutant "$1") || return 1
  sed -nE 's/^(copies: .*);.*/\1/p' <<<"$out" | grep .
}

by_folders() {
  local out
  out=$(run crash_folders --mutant "$1") || return 1
  head -n 1 <<<"$out" | grep .
}

# by_rot NAME [SEED]
by_rot() {
  local out found flips
  out=$(run crash_rot --mutant "$1" --seed "${2:-1}") || return 1
  found=$(sed -nE 's/^--flip [0-9]+ (.*)/\1/p' <<<"$out" | head -n 1 | cut -c 1-70)
  flips=$(sed -nE 's/^flips: ([0-9]+) .*/\1/p' <<<"$out")
  [ -n "$found" ] && [ -n "$flips" ] || return 1
  echo "$found, $flips flips"
}

# by_serving NAME: real nodes that serve while bits flip. That something else goes wrong is no catch.
by_serving() {
  local out
  out=$(GT_MUTANT=$1 node_program=crash_node bash "$here/../proc/rot_serving_test.sh" "$bin" 2>&1) && return 1
  sed -nE 's/^FAILED: (.* is read as .*|wrong reads: .*)$/\1/p' <<<"$out" | cut -c 1-100 | grep .
}

# Without a fault nothing is wrong; else all of them would seem to be caught.
sound() {
  "$bin/gtstore-crash" --states 500 --one-in 3 && "$bin/crash_failed_calls" --kind rename &&
    "$bin/crash_copies" --copies 20 && "$bin/crash_folders" && "$bin/crash_rot" --flips 100
}
out=$(sound 2>&1) || { echo "$out"; echo "the programs find fault where none is planted"; exit 1; }

# A fault has a row for each way in which it is to be shown.
names=$(IFS='|'; echo "${*:-[a-z_]+}")
for name in "$@"; do
  grep -qE "^$name " "$list" || { echo "$name: not in the list"; exit 2; }
done
mapfile -t rows < <(grep -E "^($names) " "$list")
for row in "${rows[@]}"; do
  name=${row%% *}
  read -ra way < <(sed -nE 's/^.*\(([a-z]+( [A-Za-z0-9 ]+)?)\)$/\1/p' <<<"$row")
  [ ${#way[@]} -gt 0 ] || { echo "$name: nothing is said to show it"; exit 2; }
  if by=$("by_${way[0]}" "$name" "${way[@]:1}"); then
    printf '%-24s %s\n' "$name" "$by"
    caught=$((caught + 1))
  else
    printf '%-24s SURVIVED\n' "$name"
    missed=$((missed + 1))
  fi
done
echo "planted: $caught of ${#rows[@]} caught"
[ "$missed" = 0 ]
