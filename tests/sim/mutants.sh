#!/usr/bin/env bash
# Each planted fault of the list must be caught: by which checker, and after how many seeds.
# Usage: mutants.sh SOURCE_DIR PROGRAM [NAME...]     PROGRAM is gtstore-sim of a build with GT_MUTANTS
set -uo pipefail
source_dir=$1 sim=$2
shift 2
list=$source_dir/tests/sim/mutants pending=$source_dir/tests/sim/pending
seeds=2000 missed=0 caught=0

# one NAME RUN SEEDS ARGUMENT...: the one run, of so many seeds, that must catch it.
one() {
  if "$sim" --mutant "$1" "${@:4}" >/dev/null 2>&1; then
    printf '%-24s SURVIVED %s\n' "$1" "$2"
    missed=$((missed + 1))
  else
    printf '%-24s %-20s %s\n' "$1" "$2" "$3"
    caught=$((caught + 1))
  fi
}

mapfile -t names < <(if [ $# -gt 0 ]; then printf '%s\n' "$@"; else grep -oE '^[a-z_]+' "$list"; fi)
printf '%-24s %-20s %s\n' mutant 'caught by' 'after seeds'
for name in "${names[@]}"; do
  grep -qE "^$name " "$list" || { echo "$name: not in the list"; exit 2; }
  if reason=$(grep -oE "^mutant +$name +.*" "$pending"); then
    printf '%-24s pending: %s\n' "$name" "$(sed -E 's/^mutant +[a-z_]+ +//' <<<"$reason")"
    continue
  fi
  # A story tells what no random run shows within thousands: a fault that spoils a word of an answer and not a write,
  # or one that harms only where mishaps meet in the moment before the cluster has mended the first of them.
  if story=$(grep -oE "^$name .*\(([a-z_]+\.story)\)$" "$list" | grep -oE '[a-z_]+\.story'); then
    one "$name" "$story" 0 --story "$source_dir/tests/scenario/$story"
    continue
  fi
  # Or one seed shows it, of very many.
  if seed=$(grep -oE "^$name .*\(seed ([0-9]+)\)$" "$list" | grep -oE '[0-9]+\)$'); then
    one "$name" "seed ${seed%)}" 1 --seed "${seed%)}"
    continue
  fi
  # Or it concerns moves alone: then every run has them.
  moves=()
  ! grep -qE "^$name .*\(moves\)$" "$list" || moves=(--moves)
  line=$("$sim" --mutant "$name" "${moves[@]}" --first --brief --seeds "1..$seeds" 2>/dev/null | tail -n 1)
  if [[ $line =~ ^([0-9]+)\ seeds:\ [1-9][0-9]*\ failed,\ first\ by\ ([a-z_]+) ]]; then
    printf '%-24s %-20s %s\n' "$name" "${BASH_REMATCH[2]}" "${BASH_REMATCH[1]}"
    caught=$((caught + 1))
  else
    printf '%-24s SURVIVED %s seeds\n' "$name" "$seeds"
    missed=$((missed + 1))
  fi
done
echo "$caught caught, $missed survived"
[ "$missed" = 0 ]
