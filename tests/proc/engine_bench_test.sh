#!/usr/bin/env bash
# gtstore-bench --engine on a tiny set: rows, figures and exit codes; what it leaves behind is sound, and was durable.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
folder=$scratch/engine
bench() { "$bin/gtstore-bench" --engine "$folder" --keys 2000 --value-bytes 100 "$@"; }
figure() { awk -F, -v n="$1" '$1 == n { print int($2) }' "$scratch/figures"; }
total() { awk -F, -v op="$1" '$1 == "total" && $2 == op { print $3 }' "$scratch/rows.csv"; }

echo "every put is counted once, and is in a batch that was synced"
bench --workload put --clients 8 --ops 5000 --csv "$scratch/rows.csv" --figures "$scratch/figures" >/dev/null || fail "put"
[ "$(head -1 "$scratch/rows.csv")" = "time_s,op,count,ops_per_s,mean_us,p50_us,p90_us,p99_us,p999_us,max_us,errors" ] ||
  fail "the head of the CSV is $(head -1 "$scratch/rows.csv")"
[ "$(total put)" = 5000 ] || fail "expected 5000 puts, saw $(total put)"
[ "$(figure batch_records)" = 5000 ] || fail "expected 5000 records in batches, saw $(figure batch_records)"
[ "$(figure batches)" -ge 625 ] || fail "8 writers cannot share $(figure batches) batches"
[ "$(figure sync_count)" -ge "$(figure batches)" ] || fail "$(figure sync_count) syncs for $(figure batches) batches"
[ "$(figure quiet_put_count)" = $((5000 - $(figure checkpoint_put_count))) ] || fail "puts are lost between the two kinds"
expect_exit 0 "$bin/gtstore-check" "$folder"

echo "one writer: a sync for each put, also on a folder of an earlier run with the same seed"
bench --workload put --no-load --clients 1 --ops 200 --figures "$scratch/figures" >/dev/null || fail "one writer"
[ "$(figure batches)" = 200 ] || fail "expected 200 batches, saw $(figure batches)"

echo "what is read back is what was put; a mixed run does both"
bench --workload get --no-load --clients 8 --ops 3000 --csv "$scratch/rows.csv" >/dev/null || fail "get"
[ "$(total get)" = 3000 ] || fail "expected 3000 gets, saw $(total get)"
bench --workload mixed --no-load --clients 8 --duration 1.2s --csv "$scratch/rows.csv" >/dev/null || fail "mixed"
[ "$(total get)" -gt 0 ] && [ "$(total put)" -gt 0 ] || fail "a mixed run got $(total get) and put $(total put)"
expect_exit 0 "$bin/gtstore-check" "$folder"
expect_exit 1 bench --workload get --no-load --value-bytes 99 --ops 10

echo "killed without warning, it has lost nothing of the load"
rm -f "$scratch/rows.csv"
"$bin/gtstore-bench" --engine "$folder" --keys 2000 --value-bytes 100 --workload put --clients 8 --duration 60s \
  --csv "$scratch/rows.csv" >/dev/null 2>&1 &
pid=$!
begun() { [ -e "$scratch/rows.csv" ] && [ "$(wc -l <"$scratch/rows.csv")" -ge 2 ]; }
poll 600 begun || fail "the run does not begin"
kill -KILL "$pid"
wait "$pid" 2>/dev/null
bench --workload get --no-load --duration 100ms >/dev/null || fail "a get after the kill" # reads every key first
expect_exit 0 "$bin/gtstore-check" "$folder"

echo "a bare log: all writers in each batch"
folder=$scratch/floor
bench --workload wal-floor --clients 8 --ops 4000 --csv "$scratch/rows.csv" --figures "$scratch/figures" >/dev/null || fail "wal-floor"
[ "$(total put)" = 4000 ] || fail "expected 4000 puts, saw $(total put)"
[ "$(figure batches)" = 500 ] && [ "$(figure sync_count)" = 500 ] || fail "$(figure batches) batches, $(figure sync_count) syncs"

echo "a folder in use, and flags that are wrong"
folder=$scratch/engine
exec {held}<>"$folder/node.lock"
flock -x "$held"
expect_exit 1 bench --workload get --no-load --ops 10
exec {held}>&-
expect_exit 1 "$bin/gtstore-bench" --engine /proc/none --workload put --ops 1
expect_exit 1 bench --workload put --ops 1 --csv "$scratch/none/rows.csv"
expect_exit 2 bench
expect_exit 2 bench --workload a
expect_exit 2 bench --workload put --ops 5 --duration 1s
expect_exit 2 bench --workload put --rate 5
expect_exit 2 bench --workload put --keys 0
expect_exit 2 "$bin/gtstore-bench" --workload wal-floor
expect_exit 2 "$bin/gtstore-bench" --workload put --settle
