#!/usr/bin/env bash
# The simulator as a program: what it says, and its exit codes.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# sim CODE ARGUMENT...: the exit code; its output is in $scratch/out and $scratch/err.
sim() {
  local wanted=$1 code=0
  shift
  timeout 120 "$bin/gtstore-sim" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null || code=$?
  [ "$code" = "$wanted" ] || fail "gtstore-sim $*: expected exit $wanted, saw $code: $(head -c 500 "$scratch/err")"
}
said() { grep -qE -- "$1" "$scratch/$2" || fail "expected $1, saw: $(head -c 500 "$scratch/$2")"; }

sim 0 --seed 7
[[ $(tail -n 1 "$scratch/out") =~ ^trace\ [0-9a-f]{16}$ ]] || fail "the last line is no trace: $(tail -n 1 "$scratch/out")"
cp "$scratch/out" "$scratch/first"
sim 0 --seed 7
cmp "$scratch/first" "$scratch/out" || fail "the same seed was another run"
sim 0 --seeds 1..4 --jobs 2
said "^4 seeds: 0 failed" out

for wrong in 9..1 x..y 5 1.. ..3 -1..3; do
  sim 2 "--seeds=$wrong"
  said 'gtstore-sim: --seeds' err
done
sim 2
said 'is needed' err
sim 2 --seed x
sim 2 --seeds 1..2 --jobs 0
sim 2 --seeds 1..2 --trace
sim 2 --seed 1 --print
sim 2 --seed 1 --story "$scratch/story"
sim 2 surplus

sim 0 --seed 18446744073709551615
sim 2 --seed 18446744073709551616
said 'from 0 to 18446744073709551615' err
sim 2 --seeds 1..18446744073709551615
said 'up to 18446744073709551614' err

# What cannot be printed is a failure: a trace that nobody has proves nothing.
for arguments in "--seed 7" "--seed 7 --trace" "--seeds 1..2 --jobs 1" --help --version; do
  for target in '>&-' '>/dev/full'; do
    code=0
    seen=$(bash -c "\"\$0\" $arguments 2>&1 $target" "$bin/gtstore-sim") || code=$?
    [ "$code" = 1 ] || fail "gtstore-sim $arguments $target: expected exit 1, saw $code"
    [[ $seen == *"gtstore-sim: stdout: "* ]] || fail "gtstore-sim $arguments $target: expected a cause, saw: $seen"
  done
done

sim 2 --story "$scratch/nowhere"
said 'cannot be read' err
cat >"$scratch/story" <<'STORY'
cluster of 3 nodes, 3 copies, R=2, W=2
anna puts apple = green
anna gets apple
  red
STORY
sim 1 --story "$scratch/story"
said 'story:3: it happens otherwise' out
said '  expected: anna gets apple' out
said '  seen:       done, coordinated by node1, 2 owners' out
sim 0 --story "$scratch/story" --print
cp "$scratch/out" "$scratch/story"
sim 0 --story "$scratch/story"
[ -s "$scratch/out" ] && fail "a story that is right says nothing"
echo 'anna does something' >>"$scratch/story"
sim 2 --story "$scratch/story"
said 'story:6: this is no command' err
exit 0
