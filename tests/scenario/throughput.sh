#!/usr/bin/env bash
# 200,000 operations, half of them puts, on seven nodes with 1, 3 and 5 copies: CSV and a bar chart.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
: "${operations:=200000}" "${results:=$scratch}" "${bench_clients:=16}" "${bench_in_flight:=16}"
csv=$results/throughput.csv
echo "replicas,operations,seconds,ops_per_s,put_p50_us,put_p99_us,get_p50_us,get_p99_us,errors" >"$csv"
for replicas in 1 3 5; do
  (
    scratch=$scratch/rep$replicas logs=${logs:+$logs/rep$replicas}
    mkdir -p "$scratch"
    trap 'status=$?; trap - EXIT; cluster_kill; scratch_logs; exit $status' EXIT
    cluster_start 7 --replicas "$replicas" --profile course || fail "the cluster did not start"
    "$bin/gtstore-bench" --workload mixed --keys 10000 --value-bytes 100 --clients "$bench_clients" \
      --in-flight "$bench_in_flight" --ops "$operations" --csv "$scratch/bench.csv" || fail "the bench failed at $replicas copies"
    # The seconds of the run follow from the totals: operations / (sum of the rates).
    awk -F, -v replicas="$replicas" '
      $1 == "total" { count[$2] = $3; rate += $4; p50[$2] = $6; p99[$2] = $8; errors += $11; all += $3 }
      END {
        printf "%d,%d,%.2f,%.0f,%s,%s,%s,%s,%d\n", replicas, all, all / rate, rate,
          p50["put"], p99["put"], p50["get"], p99["get"], errors
      }' "$scratch/bench.csv" >>"$csv"
  ) || exit 1
  rm -rf "${scratch:?}/rep$replicas"
done
cat "$csv"
# Every run must have done all the work, without an error.
awk -F, -v want="$operations" 'NR > 1 && ($2 < want || $9 != 0) { bad = 1 } END { exit bad || NR != 4 }' "$csv" ||
  fail "expected $operations operations and no error at 1, 3 and 5 copies"
bars "$csv" 4 "$results/throughput.png" "Throughput, 7 nodes, half puts, every put durable at all copies" \
  "copies" "operations per second"
echo "wrote $csv and $results/throughput.png"
