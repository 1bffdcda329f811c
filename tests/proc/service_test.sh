#!/usr/bin/env bash
# What start_service and stop_service take for a running process: ours, by pid and start time, and
# neither a zombie nor another process that has got its number.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/tests/lib/service.sh"
root=$(mktemp -d) running=
trap 'rm -rf "$root"; kill "$parent" 2>/dev/null' EXIT

# poll COMMAND...: until it succeeds, at most 10 s.
poll() {
  local i
  for ((i = 0; i < 200; i++)); do
    "$@" 2>/dev/null && return 0
    sleep 0.05 # nanosleep_seam: polls a condition with a bound
  done
  return 1
}

# A child that ends when its parent has become a program that never waits for it is left a zombie.
mkfifo "$root/go"
bash -c 'cat "$1" >/dev/null & echo $! >"$2"; exec sleep 1000' - "$root/go" "$root/child" &
parent=$!
poll grep -qx sleep "/proc/$parent/comm" || fail "the parent did not start"
: >"$root/go"
child=$(cat "$root/child")
poll grep -q '^State:.Z' "/proc/$child/status" || fail "no zombie was made"

[ -z "$(process_started "$child")" ] || fail "a zombie counts as running"
started=$(process_started "$parent")
[ -n "$started" ] || fail "a process that runs does not count as running"
process_gone "$child" 12345 1 || fail "a zombie is waited for"
process_gone "$parent" $((started - 1)) 1 || fail "a process with the number of ours is taken for ours"

# stop_service: what is recorded and not ours is left alone.
mkdir -p "$root/data/service"
printf '%s %s node1 127.0.0.1:1\n' "$parent" $((started - 1)) "$child" 12345 >"$root/data/service/service.pids"
[ -z "$(service_stop "$root/data/service")" ] || fail "something was stopped that is not ours"
[ "$(process_started "$parent")" = "$started" ] || fail "a process that is not ours was ended"

# And what is ours is stopped, and gone.
setsid sleep 1000 &
ours=$!
printf '%s %s node1 127.0.0.1:1\n' "$ours" "$(process_started "$ours")" >"$root/data/service/service.pids"
[ "$(service_stop "$root/data/service")" = "stopped node1 (pid $ours)" ] || fail "ours was not stopped"
[ -z "$(process_started "$ours")" ] || fail "ours still runs"
[ ! -e "$root/data/service/service.pids" ] || fail "its record is still there"
