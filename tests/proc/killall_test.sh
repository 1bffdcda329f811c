#!/usr/bin/env bash
# All processes are killed at once under load, three times; every acknowledged write is there.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
recorder=$(find "$bin" -name proc_recorder -type f)
scratch_begin
segment=1MiB
cluster_start 3 --replicas 3 || fail "the cluster did not start"

for round in 1 2 3; do
  "$recorder" write "$manager" "$scratch/acks.$round" 200 8 "r$round-" >"$scratch/recorder.$round" &
  writer=$!
  # Let it write until most of this round's 400 keys are there, then pull the plug.
  for ((i = 0; i < 600; i++)); do
    keys=$(admin -o json nodes 2>/dev/null | jq '[.nodes[].keys] | max')
    kill -0 $writer 2>/dev/null || fail "the recorder ended early: $(cat "$scratch/recorder.$round")"
    [ "${keys:-0}" -lt $((round * 400 - 100)) ] || break
    sleep 0.05 # nanosleep_seam: polls a condition with a bound
  done
  cluster_kill
  kill -TERM $writer
  manager_start || fail "the manager did not come back"
  for label in node1 node2 node3; do node_start $label || fail "$label did not come back"; done
  cluster_wait || fail "not well after round $round"
  # Its last puts are tried until somebody answers: with nobody there, for all of their 20 s.
  wait $writer || fail "round $round: nothing was acknowledged: $(cat "$scratch/recorder.$round")"
  echo "round $round: $(cat "$scratch/recorder.$round")"
  "$recorder" verify "$manager" "$scratch/acks.$round" || fail "round $round: an acknowledged write is lost"
done
for label in node1 node2 node3; do
  daemon_stop $label
  "$bin/gtstore-check" "$scratch/$label" || fail "$label's folder is damaged"
done
