#!/usr/bin/env bash
# A full disk: puts are refused with a clear error, reads go on, also after a restart on it, and when
# there is room again so do the puts. Needs root for a small tmpfs.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
mkdir -p "$scratch/node1"
mount -t tmpfs -o size=12m tmpfs "$scratch/node1" 2>/dev/null || skip "a full disk: mounting a small one needs root"
trap 'status=$?; trap - EXIT; cluster_kill; umount -l "$scratch/node1"; rm -rf "$scratch"; exit $status' EXIT
segment=1MiB
cluster_start 1 --replicas 1 || fail "the cluster did not start"

head -c 100000 /dev/urandom | base64 -w 0 | head -c 100000 >"$scratch/value"
stored=0 code=0
for ((i = 0; i < 400 && code == 0; i++)); do
  err=$(gt --timeout 10s put "k$i" - <"$scratch/value" 2>&1) || code=$?
  [ $code = 0 ] && stored=$((stored + 1))
done
[ $code = 1 ] || fail "expected a refusal with exit 1, saw exit $code after $stored puts: $err"
grep -q 'space' <<<"$err" || fail "expected a word about space, saw: $err"
echo "refused after $stored values: $err"
daemon_alive node1 || fail "node1 died of a full disk"
for ((i = 0; i < stored; i++)); do
  gt get "k$i" | cmp -s - "$scratch/value" || fail "k$i does not read back on the full disk"
done

# says_disk CAUSE: waits until status and nodes say so, in words and in the field.
says_disk() {
  for ((i = 0; i < 200; i++)); do
    [ "$(admin -o json nodes | jq -r '.nodes[0].disk_error')" != "$1" ] || break
    sleep 0.05 # polls a condition with a bound
  done
  for verb in status nodes; do
    seen=$(admin "$verb" 2>&1 | grep '^node1: its log or index cannot be written: ')
    case $1/$seen in
      "null/" | "no space left for data/node1: its log or index cannot be written: no space left for data; puts there end when the log is full (more room, or a larger --map-size)") ;;
      *) fail "$verb: expected the disk of node1 to be said $1, saw: $seen" ;;
    esac
  done
}
says_disk 'no space left for data'

echo "kill -9 and restart on the full disk: everything stored is there, and nothing new"
daemon_kill node1
dd if=/dev/zero of="$scratch/node1/ballast" bs=4096 2>/dev/null # to the last block
node_start node1 || fail "node1 did not come back on the full disk"
cluster_wait || fail "not well"
for ((i = 0; i < stored; i++)); do
  gt get "k$i" | cmp -s - "$scratch/value" || fail "k$i is lost"
done
err=$(gt --timeout 10s put new value 2>&1) && fail "a put on the full disk succeeded"
grep -q 'space' <<<"$err" || fail "expected a word about space, saw: $err"
grep -q 'no room for the log' "$scratch/node1.log" || fail "node1 does not say that it has no log"
expect_exit 3 gt get new
says_disk 'no space left for data'

echo "with room again that is seen before anybody writes, and puts go on without a restart"
mount -o remount,size=64m "$scratch/node1"
says_disk null
expect 'OK, node1' gt -v put again yes
says_disk null
events=$(admin -o json events | jq -c '[.events[] | select(.node == "node1" and (.event | startswith("disk_"))) | .event]')
[ "$events" = '["disk_full","disk_room"]' ] || fail "expected events that say so, saw $events"
daemon_kill node1
node_start node1 || fail "node1 did not come back"
cluster_wait || fail "not well"
expect yes gt get again
for ((i = 0; i < stored; i++)); do
  gt get "k$i" | cmp -s - "$scratch/value" || fail "k$i is lost"
done
