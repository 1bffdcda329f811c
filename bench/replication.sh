#!/usr/bin/env bash
# What replication costs, in figures, each beside another of the same run: absolute ones say more of the machine.
#
#   bench/replication.sh catchup [KEYS]   KEYS (1000000) are stored, a node is away for 1000 writes: what crosses
#                                         the wire when it is back, and how long until nothing is behind; beside
#                                         it, how long verify takes to read every key again at all owners
#   bench/replication.sh down [SECONDS]   puts a second with one of three owners dead, against all three up
#   bench/replication.sh idle [SECONDS]   bytes a second that five nodes with nothing to do send, all together
#   bench/replication.sh                  all of it
# Build first: cmake --preset release && cmake --build --preset release.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
: "${bin:=$root/build/bin}"
. "$root/tests/lib/cluster.sh"

now_ms() { echo $(($(date +%s%N) / 1000000)); }
# The puts of a run: its mean rate and percentiles, from the totals of the CSV.
bench() { # CSV FLAG...
  local csv=$1
  shift
  "$bin/gtstore-bench" --workload put --value-bytes 100 --csv "$csv" "$@" >/dev/null || fail "gtstore-bench failed"
}
total() { awk -F, -v field="$2" '$1 == "total" && $2 == "put" { print $field }' "$1"; }

in_cluster() { # NODES COMMAND...: on a fresh cluster that goes with it
  (
    nodes=$1
    shift
    scratch_begin
    segment=64MiB
    cluster_start "$nodes" --replicas 3 || fail "the cluster did not start"
    "$@"
  ) || exit 1
}

catchup() { # KEYS
  local keys=$1 began back level verified
  began=$(now_ms)
  bench "$scratch/load.csv" --distribution sequential --no-load --keys "$keys" --ops "$keys" --clients 4 --in-flight 16
  echo "catch-up: $keys keys stored in $(($(now_ms) - began)) ms"
  cluster_wait 120s || fail "not well"
  daemon_kill node3
  bench "$scratch/away.csv" --no-load --keys "$keys" --ops 1000 --clients 4 --seed 7
  began=$(now_ms)
  node_start node3 || fail "node3 did not come back"
  back=$(now_ms)
  cluster_wait 300s || fail "it did not catch up"
  level=$(now_ms)
  admin -o json events |
    jq -r '.events[] | select(.node == "node3" and (.event | startswith("pull_"))) | "  node3 " + .event + ": " + .cause'
  admin verify || fail "the replicas are not equal"
  verified=$(now_ms)
  echo "catch-up: node3 was up after $((back - began)) ms, and level $((level - back)) ms later; to read every key again at all owners took $((verified - level)) ms"
}

down() { # SECONDS
  local up_rate
  bench "$scratch/warm.csv" --keys 100000 --ops 20000 --clients 4 --in-flight 16
  bench "$scratch/up.csv" --no-load --keys 100000 --duration "$1s" --clients 4 --in-flight 16
  daemon_kill node3
  bench "$scratch/down.csv" --no-load --keys 100000 --duration "$1s" --clients 4 --in-flight 16
  up_rate=$(total "$scratch/up.csv" 4)
  awk -v up="$up_rate" -v down="$(total "$scratch/down.csv" 4)" -v up99="$(total "$scratch/up.csv" 8)" \
    -v down99="$(total "$scratch/down.csv" 8)" 'BEGIN {
      printf "one of three owners dead: %d puts/s, p99 %d us; all up: %d puts/s, p99 %d us; ratio %.2f\n", down, down99, up, up99, down / up }'
}

# Bytes that the nodes' sockets have sent so far.
sent_bytes() {
  local label sum=0 pids=
  for label in "${!daemon_pid[@]}"; do [ "$label" = manager ] || pids+="pid=${daemon_pid[$label]},|"; done
  ss -tinp 2>/dev/null | awk -v pids="(${pids%|})" '
    /^[A-Z]/ { ours = $0 ~ pids; next }
    ours && match($0, /bytes_sent:[0-9]+/) { sum += substr($0, RSTART + 11, RLENGTH - 11) }
    END { printf "%d\n", sum }'
}

idle() { # SECONDS
  local from to empty full
  command -v ss >/dev/null || { echo "idle: ss (package iproute2) is needed"; return; }
  cluster_wait 60s
  from=$(sent_bytes)
  sleep "$1" # nanosleep_seam: the time over which is measured
  empty=$(($(sent_bytes) - from))
  bench "$scratch/load.csv" --keys 100000 --ops 100000 --no-load --clients 4 --in-flight 16
  cluster_wait 60s
  last=$(sent_bytes)
  # Clocks that were still being compared when wait returned are none of an idle cluster's.
  for ((i = 0; i < 30; i++)); do
    sleep 2 # nanosleep_seam: a round of comparisons; polls a condition with a bound
    to=$(sent_bytes)
    [ $((to - last)) -gt $((empty * 4 / $1 + 4096)) ] || break
    last=$to
  done
  from=$(sent_bytes)
  sleep "$1" # nanosleep_seam: the time over which is measured
  full=$(($(sent_bytes) - from))
  echo "idle, five nodes together: $((full / $1)) bytes/s after 100000 puts, of which $((empty / $1)) were sent also before there was any data (heartbeats, clocks of the machines)"
}

case ${1:-all} in
  catchup) in_cluster 3 catchup "${2:-1000000}" ;;
  down) in_cluster 3 down "${2:-10}" ;;
  idle) in_cluster 5 idle "${2:-10}" ;;
  all)
    in_cluster 3 catchup 1000000
    in_cluster 3 down 10
    in_cluster 5 idle 10
    ;;
  -h | --help) sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
  *) say "usage: bench/replication.sh [catchup [KEYS] | down [SECONDS] | idle [SECONDS]]"; exit 2 ;;
esac
