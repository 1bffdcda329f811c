#!/usr/bin/env bash
# Bits flip in the index of a node that serves, while readers run: in values, in keys, and then anywhere
# in the file. Nothing wrong is served, nothing is "not found", and no process crashes. Records are
# mended in place from the other owners. A page of the index itself is not (tests/crash/README.md): the
# node says so, and a new folder with --replace is the way out. Which of it was seen is said.
# Usage: rot_serving_test.sh BIN [SEED]
set -uo pipefail
bin=$1 seed=${2:-1}
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib/rot.sh"
keys=2000 flips_in_values=8 flips_in_keys=8 flips=24 readers=2
scratch_begin
segment=1MiB cluster_start 3 --replicas 3 --partitions 32 || fail "the cluster did not start"
value_of() { printf 'value of %s, and some more of it' "$1"; }
for ((i = 0; i < keys; i++)); do
  printf '{"key": "name%d", "value": "%s"}\n' $i "$(value_of name$i)"
done >"$scratch/all.jsonl"
gt import "$scratch/all.jsonl" || fail "not imported"
jq -r '.key + "=" + .value' "$scratch/all.jsonl" | LC_ALL=C sort >"$scratch/written"
cluster_wait || fail "not well"
daemon_stop node2 # now all of it is in the index
node_start node2 && cluster_wait || fail "node2 does not start again"

# reader NUMBER: as long as $scratch/reading is there. What must not be goes to $scratch/bad.
reader() {
  local at=$1 seen code
  while [ -e "$scratch/reading" ]; do
    at=$(((at * 5 + 7) % keys)) code=0
    seen=$(gt --timeout 20s get --read-quorum 2 "name$at" 2>&1) || code=$?
    case $code in
      0) [ "$seen" = "$(value_of name$at)" ] || echo "name$at: $seen" >>"$scratch/bad" ;;
      3) echo "name$at: not found" >>"$scratch/bad" ;;
      *) echo "name$at: exit $code: $seen" >>"$scratch/refused" ;;
    esac
    echo >>"$scratch/reads"
  done 2>/dev/null
}
reads() { wc -l <"$scratch/reads"; }
have_read() { [ "$(reads)" -ge "$1" ]; }
readers_start() {
  local i
  : >"$scratch/reading" >"$scratch/reads" >"$scratch/bad" >"$scratch/refused"
  reader_pids=()
  for ((i = 0; i < readers; i++)); do
    reader $((i * 777)) &
    reader_pids+=($!)
  done
}
all_is_well() { admin verify --timeout 2s >"$scratch/verify" 2>&1; }
# The events of node2 that speak of rot.
rot_events() {
  admin -o json events | jq -r '.events[] | select(.node == "node2") |
    select(.event | IN("bad_record", "miscount", "filling", "checkpoint_failed")) | .event + ": " + .cause'
}

page_told() { rot_events | grep -q -e 'a page of the index' -e checkpoint_failed; }
# Within fifteen seconds; not when it says that a page of the index is damaged, which is not promised.
mended() {
  local end=$((SECONDS + 15))
  while [ $SECONDS -lt $end ] && daemon_alive node2; do
    ! all_is_well || return 0
    ! page_told || return 1
    sleep 0.1 # nanosleep_seam: polls a condition with a bound
  done
  return 1
}
node2_is_down() {
  [ "$(admin -o json nodes | jq -r '.nodes[] | select(.label == "node2") | .state')" = down ]
}
# What cannot be mended in place: it is said, what is left can be saved, and a new folder fills.
way_out() {
  daemon_stop node2
  rm -f "$scratch/saved"
  rot_told "$scratch/node2" --salvage "$scratch/saved"
  grep -v ' error ' "$scratch/check"
  if [ -s "$scratch/saved" ]; then
    LC_ALL=C comm -13 "$scratch/written" <(salvaged_pairs "$scratch/saved") >"$scratch/invented"
    [ ! -s "$scratch/invented" ] || fail "salvaged what nobody wrote, or twice: $(head -n 3 "$scratch/invented")"
  fi
  rm -rf "${scratch:?}/node2"
  poll 400 node2_is_down || fail "node2 does not count as down"
  node_start node2 --replace node2 || fail "nobody took the place of node2"
  cluster_wait || fail "node2 does not catch up"
  mended || fail "not equal after --replace: $(tail -n 3 "$scratch/verify")"
}

readers_go_on() { poll 200 have_read $(($(reads) + 3)) || fail "the readers stand still"; }

# flip TIMES FIRST-SEED: in node2's index, with reads in between.
flip() {
  local i
  for ((i = 0; i < $1; i++)); do
    bit_flip "$scratch/node2/index/data.mdb" $(($2 + i)) || fail "nothing flipped"
    readers_go_on
  done
}

# The first keys that node2 is asked for first. With one owner to be read it answers them alone, and has to
# leave them to the others when it cannot.
keys_of_node2() { # COUNT
  local i found=0
  for ((i = 0; i < keys && found < $1; i++)); do
    [ "$(admin -o json locate "name$i" | jq -r '.owners[0].label')" = node2 ] || continue
    echo "name$i"
    found=$((found + 1))
  done
}
read_of_node2() { # KEY
  local code seen i
  for ((i = 0; i < 3; i++)); do
    code=0
    seen=$(gt --timeout 20s get --read-quorum 1 "$1" 2>"$scratch/weak") || code=$?
    [ "$code/$seen" = "0/$(value_of "$1")" ] || fail "$1 of node2 is read as \"$seen\", exit $code"
  done
}
# Each of these keys rots where it lies, and is read from node2 at once.
values_flip() { # SEED KEY...
  local key at=$1
  shift
  for key; do
    text_flip "$scratch/node2/index/data.mdb" $((at++)) "$(value_of "$key")" || fail "nothing flipped"
    read_of_node2 "$key"
    readers_go_on
  done
}
keys_flip() { # SEED KEY...
  local key at=$1
  shift
  for key; do
    key_flip "$scratch/node2/index/data.mdb" $((at++)) "$key" "$(value_of "$key")" || fail "nothing flipped"
    read_of_node2 "$key"
    readers_go_on
  done
}

readers_start
mapfile -t struck < <(keys_of_node2 $((flips_in_values + flips_in_keys)))
[ ${#struck[@]} = $((flips_in_values + flips_in_keys)) ] || fail "node2 is the first owner of ${#struck[@]} keys"
values_flip $((seed * 1000)) "${struck[@]:0:flips_in_values}"
mended || fail "values are not mended in place: $(tail -n 3 "$scratch/verify")"
[ -n "$(rot_events)" ] || fail "no event says that records were bad"
echo "saw: values are mended in place"

keys_flip $((seed * 1000 + 300)) "${struck[@]:flips_in_values:flips_in_keys}"
mended || fail "keys of the index are not mended in place: $(tail -n 3 "$scratch/verify")"
echo "saw: keys are mended in place"

flip $flips $((seed * 1000 + 500))
daemon_alive node2 || echo "saw: node2 has ended: $(tail -n 1 "$scratch/node2.log")"
if mended; then
  daemon_stop node2
  if node_start node2 2>"$scratch/start" && cluster_wait 10s && mended; then
    echo "saw: mended in place"
  else
    echo "saw: mended from the others, and a folder that has to be replaced: $(tail -n 1 "$scratch/start")"
    way_out
  fi
else
  rot_events >"$scratch/told"
  sort -u "$scratch/told" | tail -n 20
  ! daemon_alive node2 || [ -s "$scratch/told" ] || fail "not equal, and no event says why"
  # Readers read on meanwhile. A damaged page of something else is no matter of verify.
  if ! admin verify --timeout 20s >"$scratch/verify" 2>&1 && daemon_alive node2; then
    grep -q node2 "$scratch/verify" || fail "verify does not name node2: $(cat "$scratch/verify")"
  fi
  echo "saw: not to be mended in place: $(tail -n 2 "$scratch/verify")"
  way_out
fi
rm "$scratch/reading"
wait "${reader_pids[@]}"
for label in node1 node2 node3; do
  daemon_alive $label || fail "$label has ended"
  log_is_calm $label
done
[ ! -s "$scratch/bad" ] || fail "wrong reads: $(head -n 3 "$scratch/bad")"
[ ! -s "$scratch/refused" ] || fail "reads failed with two sound owners: $(sort "$scratch/refused" | head -n 3)"
cmp -s <(gt export | jq -r '.key + "=" + .value' | LC_ALL=C sort) "$scratch/written" || fail "the export is another one"
echo "$(reads) reads, all of them right"
