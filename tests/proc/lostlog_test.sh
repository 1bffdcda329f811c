#!/usr/bin/env bash
# The log of a node is gone after a crash: gtstore-check says so, and so does the node and its status.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../lib/rot.sh"
scratch_begin
cluster_start 1 --replicas 1 || fail "the cluster did not start"
expect 'OK, node1' gt -v put k v
daemon_kill node1
expect_exit 0 "$bin/gtstore-check" "$scratch/node1"
rm "$scratch"/node1/wal/*.wal
expect 'damaged: log wal/: it is gone*' "$bin/gtstore-check" "$scratch/node1"
expect_exit 1 "$bin/gtstore-check" "$scratch/node1"
node_start node1 || fail "node1 did not come back"
cluster_wait || fail "not well"
grep -q 'log gone' "$scratch/node1.log" || fail "node1 does not say that its log is gone"
[ "$(admin -o json events | jq -c '[.events[] | select(.event == "damage_found") | .node]')" = '["node1"]' ] || fail "no event says that the log was damaged"
admin status | grep -q 'node1: its log was damaged' || fail "the status does not say that writes may be missing"

# A bit of the last batch flips at rest. Behind it lies the seal of an idle log, so it is known to have
# been acknowledged, in the same boot as well.
expect 'OK, node1' gt -v put k a-value-that-is-looked-for
file=$(LC_ALL=C grep -l a-value-that-is-looked-for "$scratch"/node1/wal/*.wal)
sealed() {
  local last
  last=$(LC_ALL=C grep -abo GTB1 "$file" | tail -n 1 | cut -d : -f 1)
  [ "$(od -An -tu2 -j $((last + 6)) -N 2 "$file" | tr -d ' ')" = 2 ]
}
for ((i = 0; i < 600; i++)); do
  sealed && break
  sleep 0.05 # polls a condition with a bound
done
sealed || fail "the log of an idle node has no seal"
daemon_kill node1
expect_exit 0 "$bin/gtstore-check" "$scratch/node1"
at=$(LC_ALL=C grep -abo a-value-that-is-looked-for "$file" | tail -n 1 | cut -d : -f 1)
byte_flip "$file" "$at" || fail "no bit flipped"
expect '*damaged: log wal/: records are missing in the middle*' "$bin/gtstore-check" "$scratch/node1"
node_start node1 || fail "node1 did not come back"
grep -q 'log damaged in the middle' "$scratch/node1.log" || fail "node1 does not say that its log is damaged"
daemon_stop node1

# An index that cannot be read ends the start, and the line says what is damaged and what to do.
index=$scratch/node1/index/data.mdb
cp "$index" "$scratch/good"
refused() { # CODE PATTERN
  local code=0 seen way="gtstore-check $scratch/node1 --salvage OUT saves what can be read; then move the folder away and start with --replace node1"
  seen=$(timeout 60 "$bin/gtstore-node" --data-dir "$scratch/node1" --manager "$manager" --label node1 \
    --wal-segment "$segment" 2>&1 >/dev/null) || code=$?
  seen=$(tail -n 1 <<<"$seen")
  echo "exit $code: $seen"
  [ "$code" = "$1" ] || fail "expected exit $1, saw $code"
  case $seen in
    "gtstore-node: "$2"; $way") ;;
    *) fail "expected $2 and the way out" ;;
  esac
  cp "$scratch/good" "$index"
}
dd if=/dev/zero of="$index" bs=4096 count=2 conv=notrunc status=none
refused 1 "data folder $scratch/node1: index: damaged data"
: >"$index"
refused 1 "data folder $scratch/node1: index lost, wal/ holds a log: damaged data"
# 30 bytes on lies one of the incarnation before, which is random.
for at in $(LC_ALL=C grep -abo identity "$index" | cut -d : -f 1); do
  byte_flip "$index" $((at + 30)) || fail "no bit flipped"
done
refused 1 "data folder $scratch/node1: index: damaged data"
truncate -s 8192 "$index"
refused 1 "data folder $scratch/node1: index: damaged data"
node_start node1 || fail "node1 did not come back on its own index"
