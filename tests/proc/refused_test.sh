#!/usr/bin/env bash
# Pages of the index that hold no records are damaged: those of partitions, named values, dot logs and the
# list of free pages. The node starts all the same and is whole again, or it refuses to, and then what it
# says is done to the letter: the command saves every key, and a new folder with --replace fills from the
# others. Where nobody else has anything an import of what was saved brings all of it back, also what was
# in the log alone.
# Usage: refused_test.sh BIN
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib/rot.sh"
keys=400
scratch_begin
segment=1MiB
pairs() { gt export | jq -r '.key + "=" + .value' | LC_ALL=C sort; }
import_all() { # FIRST
  local i
  for ((i = $1; i < $1 + keys; i++)); do
    printf '{"key": "name%d", "value": "value of name%d, and so on and on, so that there are pages"}\n' $i $i
  done >"$scratch/all.jsonl"
  gt import "$scratch/all.jsonl" 2>"$scratch/imported" || fail "not imported: $(cat "$scratch/imported")"
}

# refused LABEL: what its start says: $way_check and $way_start, as they stand there.
refused() {
  local code=0 line
  line=$(timeout 30 "$bin/gtstore-node" --data-dir "$scratch/$1" --manager "$manager" --label "$1" --wal-segment "$segment" 2>&1 >"$scratch/out") || code=$?
  line=$(tail -n 1 <<<"$line")
  [ $code = 1 ] || fail "a damaged folder is refused with exit $code: $line"
  way_check=$(sed -nE 's/^.*; (gtstore-check .*) OUT saves what can be read; then move the folder away.*$/\1/p' <<<"$line")
  way_start=$(sed -nE 's/^.* and start with (--replace .*)$/\1/p' <<<"$line")
  [ -n "$way_check" ] && [ -n "$way_start" ] || fail "the refusal names no way out: $line"
  echo "refused: $(cut -c 1-110 <<<"${line#*: }")"
}
# The command that was named, to the letter but for OUT: $scratch/saved.
saved() {
  local code=0
  rm -f "$scratch/saved"
  # shellcheck disable=SC2086
  PATH=$bin:$PATH $way_check "$scratch/saved" >"$scratch/check" 2>&1 || code=$?
  [ $code = 1 ] && grep -q '^damaged: ' "$scratch/check" || fail "$way_check ends with $code: $(tail -n 2 "$scratch/check")"
}
is_down() { [ "$(admin -o json nodes | jq -r --arg l "$1" '.nodes[] | select(.label == $l) | .state')" = down ]; }

cluster_start 3 --replicas 3 --partitions 64 || fail "the cluster did not start"
import_all 1000
cluster_wait || fail "not well"
# Dot logs hold what some owner has not confirmed: node3 is away meanwhile.
daemon_stop node3
import_all 1400
# All of it is in the index after a start that replays the log and an orderly stop; after two more both of the
# commits that the index keeps have the same partitions and dot logs.
rest() { # LABEL
  local i
  for i in 1 2 3; do daemon_stop "$1" && node_start "$1" || fail "$1 does not start again"; done
}
rest node2
# With node3 away all reads need node2, which the others have yet to find again.
all_there() { pairs >"$scratch/written" 2>"$scratch/why" && [ "$(wc -l <"$scratch/written")" = $((2 * keys)) ]; }
poll 200 all_there || fail "not all is there: $(cat "$scratch/why")"
daemon_stop node2
cp -r "$scratch/node2" "$scratch/kept"
# One kind after the other, in the same folder of node2.
declare -i tried=0 refusals=0
strike() { # KIND, as proc_folder takes it
  echo "== $*"
  rm -rf "${scratch:?}/node2" "$scratch/saved" "$scratch/node2.log"
  cp -r "$scratch/kept" "$scratch/node2"
  : >"$scratch/node2/node.lock" # as an orderly end leaves it: this is no copy
  "$bin/proc_folder" "$scratch/node2" strike "$@" || fail "nothing is struck"
  tried+=1
}
for kind in "free head" "free data" "log data" "meta data" "meta head" "log head" "partition data" "partition head"; do
  # shellcheck disable=SC2086
  strike $kind
  if node_start node2 2>"$scratch/start"; then
    grep -m 1 -E 'may be lost|which may not have ended' "$scratch/node2.log" || fail "it starts without a word"
    daemon_stop node2
    continue
  fi
  refusals+=1
  refused node2
  saved
  cmp -s <(salvaged_pairs "$scratch/saved") "$scratch/written" ||
    fail "saved $(wc -l <"$scratch/saved") of $((2 * keys)) keys, all of whose records are sound: $(cat "$scratch/check")"
done
[ $refusals -ge 3 ] || fail "only $refusals of $tried are refused"

echo "== one that starts has what it lost from the others"
node_start node3 || fail "node3 does not start"
strike free head
node_start node2 || fail "node2 does not go on from the commit before"
all_equal() {
  cluster_wait || fail "not well"
  poll 200 admin verify --timeout 5s >"$scratch/verify" || fail "the owners are not equal: $(tail -n 2 "$scratch/verify")"
  cmp -s <(pairs) "$scratch/written" || fail "the cluster holds something else than was written"
}
all_equal
daemon_stop node2

echo "== the way out of one that is refused"
strike partition head
refused node2
saved
mv "$scratch/node2" "$scratch/moved"
poll 400 is_down node2 || fail "node2 does not count as down"
# shellcheck disable=SC2086
node_start node2 $way_start || fail "nobody takes the place of node2"
all_equal
cluster_stop

echo "== nobody else has it, and half of it is in the log alone"
rm -rf "${scratch:?}"/node? "$scratch/manager"
manager_listen=
cluster_start 1 --replicas 1 --partitions 16 || fail "the cluster did not start"
import_all 1000
rest node1
import_all 1400
pairs >"$scratch/written"
daemon_kill node1
"$bin/proc_folder" "$scratch/node1" strike partition head || fail "nothing is struck"
refused node1
saved
cluster_stop
rm -rf "${scratch:?}/manager"
mv "$scratch/node1" "$scratch/alone"
manager_listen=
cluster_start 1 --replicas 1 || fail "the fresh cluster did not start"
gt import "$scratch/saved" || fail "what was saved is not imported"
cmp -s <(pairs) "$scratch/written" || fail "not all is back: $(pairs | wc -l) of $(wc -l <"$scratch/written")"
