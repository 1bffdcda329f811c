#!/usr/bin/env bash
# A folder that a newer version wrote. By its number it is refused, by node and gtstore-check, with both
# versions named and nothing changed. A record of a newer format in a folder of ours is told from rot: it
# is not served, is never "not found", nothing takes its place, and the other owners serve the key.
# Usage: newer_test.sh BIN
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib/rot.sh"
keys=200 key=name7
scratch_begin
segment=1MiB cluster_start 3 --replicas 3 --partitions 16 || fail "the cluster did not start"
for ((i = 0; i < keys; i++)); do printf '{"key": "name%d", "value": "value of name%d"}\n' $i $i; done >"$scratch/all"
gt import "$scratch/all" || fail "not imported"
cluster_wait || fail "not well"
# All of it is in the index after a start that replays the log and an orderly stop.
daemon_stop node2 && segment=1MiB node_start node2 && cluster_wait && daemon_stop node2 || fail "node2 does not start again"
folder=$scratch/node2

check() { # what gtstore-check says, to $scratch/check: it must end with the code
  local code=0
  "$bin/gtstore-check" "$folder" "${@:2}" >"$scratch/check" 2>&1 || code=$?
  [ "$code" = "$1" ] || fail "gtstore-check ends with $code, not $1: $(cat "$scratch/check")"
}
folder_sum() { (cd "$folder" && sha256sum index/data.mdb wal/* && ls -lR --time-style=+ .) | grep -v lock; }

check 0
"$bin/proc_folder" "$folder" record $key || fail "no record was made newer"
check 1 --salvage "$scratch/saved"
cat "$scratch/check"
grep -q '^newer: partitions .* 1 records in the index, 0 in the log' "$scratch/check" || fail "gtstore-check does not say what is newer"
! grep -q '^damaged' "$scratch/check" || fail "gtstore-check takes a newer record for a damaged one"
grep -q 'nothing of them is among what was salvaged' "$scratch/check" || fail "gtstore-check does not say what it leaves out"
[ "$(salvaged_pairs "$scratch/saved" | wc -l)" = $((keys - 1)) ] || fail "salvaged $(wc -l <"$scratch/saved") of $keys"
! salvaged_pairs "$scratch/saved" | grep -q "^$key=" || fail "salvaged a record that cannot be read"

segment=1MiB node_start node2 || fail "node2 does not start"
cluster_wait || fail "not well with a newer record"
for ((i = 0; i < keys; i++)); do
  [ "$(gt get --read-quorum 2 name$i)" = "value of name$i" ] || fail "name$i is not served by two sound owners"
done
told() { admin -o json events | jq -r '.events[] | select(.node == "node2") | .event' >"$scratch/events" && grep -q newer_record "$scratch/events"; }
for ((i = 0; i < 60; i++)); do gt get --read-quorum 3 $key >"$scratch/three" 2>&1 && fail "three owners answer"; ! told || break; done
told || fail "no event says that a record is newer"
grep -q "record unreadable .*key=$key cause=unknown or newer format" "$scratch/node2.log" || fail "the log does not say it"
expect 'OK, node*' gt -v put $key another
expect another gt get --read-quorum 2 $key
daemon_stop node1
daemon_stop node3
for ((i = 0; i < 3; i++)); do
  code=0 seen=$(gt -m "${daemon_address[node2]}" --timeout 2s get --read-quorum 1 --available $key 2>&1) || code=$?
  [ $code != 0 ] && [ $code != 3 ] || fail "node2 alone answers $code for what it cannot read: $seen"
done
echo "node2 alone: exit $code: $seen"
[ "$(gt -m "${daemon_address[node2]}" get --read-quorum 1 --available name8 2>"$scratch/weak")" = 'value of name8' ] ||
  fail "node2 alone does not serve the other keys: $(cat "$scratch/weak")"
! told || ! grep -qE '^(filling|bad_record|miscount)$' "$scratch/events" || fail "a newer record is taken for rot: $(sort -u "$scratch/events")"
daemon_stop node2
check 1
grep -q '^newer: partitions .* 1 records in the index, 0 in the log' "$scratch/check" || fail "the newer record is gone: $(cat "$scratch/check")"

"$bin/proc_folder" "$folder" folder 2 9.8.7 || fail "the folder was not made newer"
before=$(folder_sum)
if "$bin/gtstore-node" --data-dir "$folder" --manager "$manager" --label node2 >"$scratch/out" 2>&1; then fail "a newer folder is served"; fi
tail -n 1 "$scratch/out"
this=$("$bin/gtstore-node" --version | sed 's/.* //')
grep -q "is of format 2, written by version 9.8.7; this is version $this, which knows formats up to 1" "$scratch/out" ||
  fail "the refusal does not name the versions: $(cat "$scratch/out")"
check 1
grep -q "^newer: .* is of format 2, written by version 9.8.7; this is version $this" "$scratch/check" || fail "gtstore-check says $(cat "$scratch/check")"
[ "$(folder_sum)" = "$before" ] || fail "what was refused was changed: $(diff <(echo "$before") <(folder_sum))"
