#!/usr/bin/env bash
# A cluster grows, shrinks and replaces a dead node while it is written to: 3 nodes under load, 4 more
# come, one is drained, one is killed and another takes its place. After each step every node has its
# share of the keys; in the end the replicas are equal and every acknowledged write is there.
# Figures: keys per node after each step in elastic.csv and elastic.png, errors and the largest gap in service.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
: "${keys:=20000}" "${partitions:=1024}" "${results:=$scratch}"
recorder=$(find "$bin" -name proc_recorder -type f)
[ -n "$recorder" ] || fail "no proc_recorder under $bin"
csv=$results/elastic.csv
echo "step,node,keys" >"$csv"

# Keys per node now, one row for each that owns something, and how evenly they lie: max / mean.
step() { # NAME
  admin -o json nodes | jq -r --arg step "$1" \
    '.nodes[] | select(.tokens > 0) | "\($step),\(.label),\(.keys)"' | tee -a "$csv" |
    awk -F, -v step="$1" '{ n++; sum += $3; if ($3 > max) max = $3 }
      END { printf "%-28s %d nodes, %.0f keys each, max/mean %.3f\n", step, n, sum / n, max * n / sum; exit max * n > 1.10 * sum }' ||
    fail "$1: the keys do not lie evenly"
}
settled() { # NAME SECONDS: nothing is left to be done
  cluster_wait "$2s" || fail "$1 did not come to its end"
  step "$1"
}
state_of() { admin -o json nodes | jq -r --arg l "$1" '.nodes[] | select(.label == $l) | .state'; }
is_state() { [ "$(state_of "$1")" = "$2" ]; }
wait_state() { # LABEL STATE
  poll 1200 is_state "$1" "$2" || fail "$1 is not $2 but $(state_of "$1")"
}

cluster_start 3 --replicas 3 --partitions "$partitions" || fail "the cluster did not start"
"$bin/gtstore-bench" --workload get --keys "$keys" --value-bytes 200 --ops 1 >/dev/null || fail "the keys were not loaded"
"$recorder" write "$manager" "$scratch/acks" 900 8 e >"$scratch/recorder.out" &
writer=$!
settled "3 nodes" 60

for i in 4 5 6 7; do node_start "node$i" || fail "node$i did not start"; done
settled "4 more" 300

admin drain node2 || fail "node2 cannot be drained"
settled "node2 drained" 300
timeout 30 tail --pid="${daemon_pid[node2]}" -s 0.05 -f /dev/null || fail "node2 does not end"
unset 'daemon_pid[node2]'
expect removed state_of node2

daemon_kill node3
wait_state node3 down
step "node3 killed"
node_start node8 || fail "node8 did not start"
admin replace node3 node8 || fail "node3 cannot be replaced"
settled "node8 for node3" 300
expect removed state_of node3

kill -TERM $writer
wait $writer || fail "nothing was acknowledged: $(cat "$scratch/recorder.out")"
cat "$scratch/recorder.out"
admin verify || fail "the replicas are not equal"
"$recorder" verify "$manager" "$scratch/acks" || fail "an acknowledged write is lost"
[ "$(gt export | wc -l)" -ge "$keys" ] || fail "keys are missing"
gnuplot <<EOF || fail "gnuplot could not draw the picture"
set terminal pngcairo size 1000,500
set output "$results/elastic.png"
set datafile separator ","
set title "Keys per node while the cluster grows, shrinks and replaces a node"
set ylabel "keys"
set yrange [0:*]
set style fill solid 0.8 border -1
set boxwidth 0.8
set xtics rotate by -45
set bmargin 8
set key off
plot "$csv" every ::1 using 0:3:xtic(strcol(2)."  ".strcol(1)) with boxes lc rgb "#3465a4"
EOF
echo "wrote $csv and $results/elastic.png"
