#!/usr/bin/env bash
# Load on five nodes while they are killed, stopped, restarted and wiped, one after the other, as a seed has
# it. Afterwards nothing is behind, all replicas are equal, and every acknowledged write is there.
# Usage: soak_test.sh BIN [SECONDS [SEED]]     default 15 s, seed 1; ./test.sh long runs 60 s
#
# A run in which little happened proves little: with fewer than 500 acknowledged writes a second or 20
# faults a minute it is invalid and fails. A sanitized build is slow, and 100 a second are enough there.
set -uo pipefail
bin=$1 seconds=${2:-15} seed=${3:-1}
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
recorder=$(find "$bin" -name proc_recorder -type f)
scratch_begin
segment=1MiB
nodes=5
cluster_start $nodes --replicas 3 || fail "the cluster did not start"
ops_per_s_min=500
! nm "$bin/gtstore-node" 2>/dev/null | grep -q __asan_init || ops_per_s_min=100
faults_min=$(((seconds * 20 + 59) / 60))

RANDOM=$seed # drawn from in this shell alone, so that it goes on

declare -A faults=()
# How long a fault lasts, in tenths of a second: nothing depends on it.
last() { sleep "$(printf '%d.%d' $(($1 / 10)) $(($1 % 10)))"; } # nanosleep_seam: the length of a fault

wait_down() { # LABEL: until the manager says so
  local i
  for ((i = 0; i < 100; i++)); do
    [ "$(admin -o json nodes | jq -r --arg l "$1" '.nodes[] | select(.label == $l) | .state')" != down ] || return 0
    sleep 0.1
  done
  fail "$1 does not count as down"
}

fault() { # KIND LABEL TENTHS
  local kind=$1 label=$2 tenths=$3
  echo "$(date +%s.%N | cut -c 7-14) $kind $label for 0.1 s x $tenths"
  faults[$kind]=$((${faults[$kind]:-0} + 1))
  case $kind in
    kill)
      daemon_kill "$label"
      last "$tenths"
      ;;
    stop)
      daemon_end "$label" STOP
      last "$tenths"
      daemon_end "$label" CONT
      return
      ;;
    restart) daemon_stop "$label" ;;
    wipe)
      daemon_kill "$label"
      rm -rf "${scratch:?}/$label"
      last "$tenths"
      wait_down "$label" # its place is free only then
      node_start "$label" --replace "$label" || fail "$label did not come back empty"
      return
      ;;
  esac
  if [ "$label" = manager ]; then
    manager_start || fail "the manager did not come back"
  else
    node_start "$label" || fail "$label did not come back"
  fi
}

"$recorder" write "$manager" "$scratch/acks" $((seconds * 4)) 32 s >"$scratch/recorder.out" &
writer=$!
began=$SECONDS began_ns=$(date +%s%N)
wiped=
while [ $((SECONDS - began)) -lt "$seconds" ]; do
  draw=$((RANDOM % 100)) label=node$((1 + RANDOM % nodes)) tenths=$((1 + RANDOM % 12))
  if [ -z "$wiped" ] && [ $((SECONDS - began)) -ge $((seconds / 3)) ]; then
    wiped=1
    fault wipe "$label" "$tenths"
  elif [ $draw -lt 45 ]; then
    fault kill "$label" "$tenths"
  elif [ $draw -lt 75 ]; then
    fault stop "$label" "$tenths"
  elif [ $draw -lt 93 ]; then
    fault restart "$label" 0
  else
    fault kill manager "$tenths"
  fi
  kill -0 $writer 2>/dev/null || fail "the recorder ended early: $(cat "$scratch/recorder.out")"
done
ran_ms=$((($(date +%s%N) - began_ns) / 1000000))
kill -TERM $writer
wait $writer || fail "nothing was acknowledged: $(cat "$scratch/recorder.out")"
cat "$scratch/recorder.out"
acked=$(sed -n 's/^acknowledged \([0-9]*\),.*/\1/p' "$scratch/recorder.out")
ops_per_s=$((acked * 1000 / ran_ms)) total=0
for kind in "${!faults[@]}"; do total=$((total + faults[$kind])); done
echo "seed $seed: $ops_per_s writes/s for $ran_ms ms, $total faults:$(for kind in "${!faults[@]}"; do printf ' %s %s' "$kind" "${faults[$kind]}"; done)"

cluster_wait 120s || fail "not well after the faults"
admin verify || fail "the replicas are not equal"
"$recorder" verify "$manager" "$scratch/acks" || fail "an acknowledged write is lost"
[ "$total" -ge "$faults_min" ] || fail "invalid run: $total faults, at least $faults_min are needed"
[ "$ops_per_s" -ge "$ops_per_s_min" ] || fail "invalid run: $ops_per_s writes/s, at least $ops_per_s_min are needed"
