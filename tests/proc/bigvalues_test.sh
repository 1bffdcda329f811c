#!/usr/bin/env bash
# Many writers of values of 1 MiB: the bytes in flight are bounded, so that a node's own memory is;
# whoever is refused is told so, and nothing that was acknowledged is lost.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
# Freed memory must not count: the sanitizer keeps it for a while.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=1
segment=64MiB
cluster_start 3 --replicas 3 || fail "the cluster did not start"

anonymous_kib() { sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/${daemon_pid[$1]}/status"; }

# The sessions would have all 400 MiB in flight at once; 40 keys of 1 MiB are all there is on disk.
"$bin/gtstore-bench" --workload put --distribution sequential --no-load --keys 40 --value-bytes 1MiB \
  --clients 16 --in-flight 64 --ops 400 --ack-log "$scratch/acks" --csv "$scratch/csv" >"$scratch/out" 2>&1 &
writer=$!
declare -A most=([node1]=0 [node2]=0 [node3]=0)
while kill -0 $writer 2>/dev/null; do
  for label in node1 node2 node3; do
    daemon_alive $label || fail "$label died: $(tail -n 3 "$scratch/$label.log")"
    now=$(anonymous_kib $label)
    [ "$now" -le "${most[$label]}" ] || most[$label]=$now
  done
  sleep 0.02 # nanosleep_seam: samples while the writers run
done
code=0
wait $writer || code=$?
errors=$(awk -F, '$1 == "total" { n += $11 } END { print n + 0 }' "$scratch/csv")
acked=$(wc -l <"$scratch/acks")
echo "exit $code: $acked acknowledged, $errors failed; most anonymous memory: ${most[*]} KiB"
[ $((acked + errors)) = 400 ] || fail "expected 400 answers, saw $acked and $errors"
[ $code = "$((errors > 0))" ] || fail "expected exit 0 without and 1 with errors, saw $code with $errors: $(tail -n 2 "$scratch/out")"
[ "$acked" -ge 40 ] || fail "next to nothing was acknowledged"
# What a node may hold: puts and links of 32 and 64 MiB, an overlay of 64 MiB, states of its peers.
# Without a bound it is 350 MiB and more.
for label in node1 node2 node3; do
  [ "${most[$label]}" -le $((280 * 1024)) ] || fail "$label held ${most[$label]} KiB"
done

echo "every key holds a whole value, and the acknowledged one unless a later one was in doubt"
while read -r key; do
  [ "$(gt get "$key" | wc -c)" = $((1 << 20)) ] || fail "$key is lost or cut"
done < <(cut -d' ' -f1 "$scratch/acks" | sort -u)
