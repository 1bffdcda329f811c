#!/usr/bin/env bash
# 100,000 inserts on seven nodes with one copy: how evenly do the keys lie? CSV and a histogram.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
: "${inserts:=100000}" "${results:=$scratch}"
cluster_start 7 --replicas 1 --profile course || fail "the cluster did not start"
"$bin/gtstore-bench" --workload put --distribution sequential --keys "$inserts" --ops "$inserts" --no-load \
  --value-bytes 100 --clients 16 --in-flight 16 --csv "$scratch/bench.csv" || fail "the inserts failed"

# Nodes report with their heartbeats: wait until the counts have arrived, at most 10 s.
csv=$results/load.csv
for ((i = 0; i < 100; i++)); do
  admin -o json status >"$scratch/status.json" || fail "the cluster is not healthy"
  total=$(jq '[.nodes[].keys] | add' "$scratch/status.json")
  [ "$total" -lt "$inserts" ] || break
  sleep 0.1 # nanosleep_seam: polls a condition with a bound
done
{
  echo "node,keys"
  jq -r '.nodes | sort_by(.label)[] | "\(.label),\(.keys)"' "$scratch/status.json"
} >"$csv"
cat "$csv"
[ "$total" = "$inserts" ] || fail "expected $inserts keys, saw $total"
awk -F, -v all="$inserts" '
  NR > 1 { if ($2 > max) max = $2; n++ }
  END {
    mean = all / n
    # One token of 1024 / 7 is 0.7 %; the rest is the sampling noise of hashing, four sigma.
    bound = mean * (1 + 7 / 1024) + 4 * sqrt(mean)
    printf "max/mean %.4f, expected at most %.4f\n", max / mean, bound / mean
    exit !(n == 7 && max <= bound)
  }' "$csv" || fail "the keys do not lie evenly"
bars "$csv" 2 "$results/load.png" "Keys per node, $inserts inserts, 7 nodes, 1 copy" "" "keys"
echo "wrote $csv and $results/load.png"
