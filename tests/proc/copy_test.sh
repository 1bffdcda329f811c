#!/usr/bin/env bash
# A copy of a node's folder is started beside the original: the copy ends and says why, and the original
# notices nothing. A folder that is put back as it was some starts ago has no vote until it caught up.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
segment=1MiB

copy_run() { # the port of the original is free at another address
  "$bin/gtstore-node" --data-dir "$scratch/copy" --manager "$manager" --listen 127.0.0.2:0 \
    --wal-segment "$segment" 2>"$scratch/copy.log"
}

cluster_start 3 --replicas 3 --partitions 64 || fail "the cluster did not start"
for i in $(seq 1 100); do printf '{"key": "key%d", "value": "old %d"}\n' "$i" "$i"; done >"$scratch/old"
gt import "$scratch/old" || fail "import"
daemon_stop node2
cp -r "$scratch/node2" "$scratch/copy"
cp -r "$scratch/node2" "$scratch/snapshot"
node_start node2 || fail "node2 did not come back"
cluster_wait || fail "not well"

code=0
copy_run >"$scratch/copy.out" || code=$?
tail -n 1 "$scratch/copy.log"
[ "$code" = 1 ] || fail "the copy was to end with exit 1, saw $code"
grep -q 'another process of this node is alive; is its folder a copy?' "$scratch/copy.log" ||
  fail "the copy does not say why it ends"
daemon_alive node2 || fail "the original has ended"
cluster_wait || fail "not well after the copy"
for i in $(seq 1 100); do printf '{"key": "key%d", "value": "new %d"}\n' "$i" "$i"; done >"$scratch/new"
gt import "$scratch/new" || fail "import beside the original"
for i in $(seq 1 50); do gt delete "key$i" >/dev/null || fail "delete"; done
gt export | sort >"$scratch/written"

# The folder is put back as it was: what was overwritten and deleted since then does not come back.
daemon_kill node2
rm -rf "$scratch/node2"
cp -r "$scratch/snapshot" "$scratch/node2"
node_start node2 || fail "node2 did not come back"
cluster_wait || fail "not well after the snapshot was put back"
daemon_kill node1
gt export | sort | cmp - "$scratch/written" || fail "what is read is not what was written"
grep -q 'of this node that its folder does not have' "$scratch/node2.log" ||
  fail "node2 was not told that it was rolled back"

# The same with a copy that was made while the node ran, of the life that it lives: no hello shows that. Once all have
# confirmed what was written since, nobody keeps a list of it, and the others must not lose it on account of that.
node_start node1 && cluster_wait || fail "node1 did not come back"
daemon_end node3 STOP
cp -r "$scratch/node3" "$scratch/running"
daemon_end node3 CONT
for i in $(seq 51 80); do printf '{"key": "key%d", "value": "newest %d"}\n' "$i" "$i"; done >"$scratch/newest"
gt import "$scratch/newest" || fail "import after the copy"
for i in $(seq 81 90); do gt delete "key$i" >/dev/null || fail "delete after the copy"; done
cluster_wait && admin verify || fail "not well after the copy"
gt export | sort >"$scratch/written"
daemon_kill node3
rm -rf "$scratch/node3"
cp -r "$scratch/running" "$scratch/node3"
node_start node3 && cluster_wait && admin verify || fail "not well after the copy of the running folder was put back"
gt export | sort | cmp - "$scratch/written" || fail "what is read is not what was written"
daemon_kill node1
gt export | sort | cmp - "$scratch/written" || fail "what the two read is not what was written"
