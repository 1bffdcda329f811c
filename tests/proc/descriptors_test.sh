#!/usr/bin/env bash
# Few file descriptors: at every limit each program works, or says in one line that it has too few;
# none aborts. A node at its limit refuses connections, goes on serving, and does not spin.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
command -v prlimit >/dev/null || skip "few descriptors: needs prlimit (util-linux)"
scratch_begin
cluster_start 1 --replicas 1 || fail "the cluster did not start"
expect_exit 0 gt put k v

echo "a node with room for few links refuses the others, sleeps, and goes on"
daemon_kill node1
daemon_start node1 prlimit --nofile=48 -- "$bin/gtstore-node" --data-dir "$scratch/node1" \
  --manager "$manager" --wal-segment "$segment" || fail "node1 did not come back"
cluster_wait || fail "not well"
pid=${daemon_pid[node1]} address=${daemon_address[node1]}
links=()
for ((i = 0; i < 100; i++)); do
  exec {fd}<>"/dev/tcp/${address%:*}/${address##*:}" || fail "connection $i"
  links+=("$fd")
done
# Each connection that got no place is closed: reading it ends.
closed=0
for fd in "${links[@]}"; do
  IFS= read -r -t 0.05 -u "$fd" _
  [ $? -gt 128 ] || closed=$((closed + 1))
done
echo "$closed of 100 connections refused"
[ "$closed" -ge 80 ] || fail "expected most connections to be refused, saw $closed"
[ "$(find "/proc/$pid/fd" -mindepth 1 | wc -l)" -le 48 ] || fail "more descriptors than the limit"
asleep=0
for ((i = 0; i < 200 && asleep < 10; i++)); do
  [ "$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$pid/task/$pid/status")" = S ] && asleep=$((asleep + 1))
done
[ $asleep = 10 ] || fail "node1 spins"
daemon_alive node1 || fail "node1 died"
for fd in "${links[@]}"; do exec {fd}>&-; done
ok=
for ((i = 0; i < 100; i++)); do
  gt -m "$address" get k >/dev/null 2>&1 && ok=yes && break
done
[ -n "$ok" ] || fail "node1 does not serve after the others have left"
! grep -i 'too many open files' "$scratch/node1.log" || fail "node1 ran out of descriptors"

# Exit 127 is the loader's, which finds no descriptor to open a library with.
judge() { # LIMIT CODE TEXT PROGRAM
  local said
  said=$(grep -vE '^[0-9]{4}-[0-9-]+T[0-9:.]+Z ' <<<"$3")
  case $2 in
    0) worked[$4]=$1 ;;
    127) [[ $said == *"error while loading shared libraries"* ]] || fail "$4 at $1: $said" ;;
    1)
      [ "$(wc -l <<<"$said")" = 1 ] || fail "$4 at $1: expected one line, saw: $said"
      grep -qi 'too many open files' <<<"$said" || fail "$4 at $1: expected the cause, saw: $said"
      [ -z "${worked[$4]:-}" ] || fail "$4 works at ${worked[$4]} and not at $1"
      ;;
    *) fail "$4 at $1: exit $2: $3" ;;
  esac
}
declare -A worked=()

tool() { # LIMIT PROGRAM ARGUMENT...
  local out code=0
  out=$(timeout 60 prlimit --nofile="$1" -- "$bin/$2" "${@:3}" 2>&1 >/dev/null </dev/null) || code=$?
  judge "$1" "$code" "$out" "$2"
}

# A daemon works when it says ready, and ends in order.
daemon() { # LIMIT PROGRAM ARGUMENT...
  local out code=0 fd pid line
  rm -rf "$scratch/few"
  exec {fd}< <(exec setsid prlimit --nofile="$1" -- "$bin/$2" --data-dir "$scratch/few" "${@:3}" 2>"$scratch/few.err")
  pid=$!
  if IFS= read -r -t 60 -u "$fd" line && [[ $line == ready* ]]; then
    kill -TERM "$pid"
  fi
  wait "$pid" || code=$?
  exec {fd}<&-
  out=$(cat "$scratch/few.err")
  judge "$1" "$code" "$out" "$2"
}

limits=("$(seq 3 40)" 48 64)
for limit in ${limits[*]}; do
  tool "$limit" gtstore get k
  tool "$limit" gtstore-admin status
  tool "$limit" gtstore-bench --workload put --keys 10 --ops 10 --clients 2
  daemon "$limit" gtstore-manager --listen 127.0.0.1:0
  daemon "$limit" gtstore-node --manager "$manager" --label "few$limit"
done
for program in gtstore gtstore-admin gtstore-bench gtstore-manager gtstore-node; do
  [ -n "${worked[$program]:-}" ] || fail "$program works at none of these limits"
done
