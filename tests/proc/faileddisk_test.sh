#!/usr/bin/env bash
# A disk whose n-th sync fails, for each n, on a first start and on a second, in both roles: the
# daemon ends with 74 and one line, or it comes to serve when it makes fewer syncs than n.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
command -v strace >/dev/null || skip "syncs that fail: needs strace"
! grep -qE '__[at]san_init' "$bin/gtstore-node" || skip "syncs that fail: strace and sanitizers do not combine; run it in build/ (unit.net_daemon_test holds the exit code)"
scratch_begin
manager_start --replicas 1 --form-nodes 1 --form-after 0.1s || fail "the manager did not start"
# Who owns everything stays, so that others can join: a map counts when owners hold it.
node_start keeper || fail "the keeper did not start"
cluster_wait || fail "the cluster is not well"

# start CALL N PROGRAM ARGUMENT...: starts it with the n-th CALL failing, ends it once it is ready.
# Leaves its exit code in code and its message in said.
start() {
  local call=$1 nth=$2 fd pid line
  shift 2
  exec {fd}< <(exec setsid strace -f --seccomp-bpf -qq -o /dev/null -e trace="$call" \
    -e inject="$call:error=EIO:when=$nth" "$bin/$1" "${@:2}" 2>"$scratch/err")
  pid=$!
  ready=
  if IFS= read -r -t 60 -u "$fd" line && [[ $line == ready* ]]; then
    ready=yes
    kill -TERM $(cat "/proc/$pid/task/$pid/children") 2>/dev/null
  fi
  code=0
  wait "$pid" || code=$?
  exec {fd}<&-
  said=$(grep -vE '^[0-9]{4}-[0-9-]+T[0-9:.]+Z ' "$scratch/err")
}

try() { # ROLE CALL N: on the folder $scratch/$1
  local role=$1 call=$2 nth=$3
  case $role in
    manager) start "$call" "$nth" gtstore-manager --data-dir "$scratch/m" --listen 127.0.0.1:0 ;;
    node) start "$call" "$nth" gtstore-node --data-dir "$scratch/n" --manager "$manager" \
      --wal-segment 64KiB ;;
  esac
  if [ -n "$ready" ] && [ $code = 0 ]; then
    return 1
  fi
  [ $code = 74 ] || fail "$role: $call $nth fails: expected exit 74, saw $code: $(cat "$scratch/err")"
  [ "$(wc -l <<<"$said")" = 1 ] || fail "$role: $call $nth: expected one line, saw: $said"
  grep -q 'check the disk' <<<"$said" || fail "$role: $call $nth: expected a word about the disk, saw: $said"
}

for role in manager node; do
  for call in fdatasync fsync; do
    for age in first second; do
      failed=()
      for ((n = 1; n <= 20; n++)); do
        rm -rf "$scratch/m" "$scratch/n"
        if [ $age = second ]; then
          try $role fdatasync 1000 && fail "$role failed without a cause"
        fi
        try $role $call $n && failed+=($n)
      done
      echo "$role, $age start: 74 when $call ${failed[*]} fails"
      [ ${#failed[@]} -gt 0 ] || fail "no $call was seen"
    done
  done
done
