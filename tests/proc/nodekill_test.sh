#!/usr/bin/env bash
# Under load the manager and nodes are killed one after the other and come back; every acknowledged
# write is there at the end.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
recorder=$(find "$bin" -name proc_recorder -type f)
scratch_begin
segment=1MiB
cluster_start 5 --replicas 3 || fail "the cluster did not start"

"$recorder" write "$manager" "$scratch/acks" 120 8 r >"$scratch/recorder.out" &
writer=$!
for victim in node2 manager node4 node1 manager node5; do
  daemon_kill $victim
  if [ $victim = manager ]; then
    expect 'OK, node*' gt -m "${daemon_address[node3]}" -v put "while-$victim" away
    manager_start || fail "the manager did not come back"
  else
    gt --timeout 10s put "while-$victim" away || fail "a put failed with $victim dead"
    node_start $victim || fail "$victim did not come back"
  fi
  cluster_wait || fail "not well after $victim"
done
kill -TERM $writer
wait $writer || fail "nothing was acknowledged: $(cat "$scratch/recorder.out")"
cat "$scratch/recorder.out"
"$recorder" verify "$manager" "$scratch/acks" || fail "an acknowledged write is lost"
