#!/usr/bin/env bash
# The scripts at the root: what start_service and stop_service take for a running process (ours, by
# pid, start time and program, and neither a zombie nor another process that has got its number), who
# may work on a folder, and whose logs a scenario clears.
set -uo pipefail
bin=$1
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
root=$(mktemp -d)
parent=
trap '"$root/stop_service" >/dev/null 2>&1; rm -rf "$root"; kill "$parent" 2>/dev/null' EXIT
# A checkout that is built already.
mkdir -p "$root/build" "$root/path" "$root/tests/scenario"
ln -s "$(realpath "$bin")" "$root/build/bin"
ln -s "$source/tests/lib" "$root/tests/lib"
cp "$source/start_service" "$source/stop_service" "$source/run.sh" "$root/"
printf '#!/bin/sh\nexit 0\n' >"$root/path/cmake"
chmod +x "$root/path/cmake"
PATH=$root/path:$PATH
. "$root/tests/lib/service.sh"

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
data=$root/data/service
running_locked running_add "$parent" $((started - 1)) node1 127.0.0.1:1 "$data"
running_locked running_add "$parent" "$started" node2 127.0.0.1:1 "$data" # a number of ours, another program
running_locked running_add "$child" 12345 node3 127.0.0.1:1 "$data"
[ -z "$(service_stop "$data")" ] || fail "something was stopped that is not ours"
[ "$(process_started "$parent")" = "$started" ] || fail "a process that is not ours was ended"
[ -z "$(service_daemons "$data")" ] || fail "it is still recorded"

# says CODE PATTERN COMMAND...: exit code and all that is printed.
says() {
  local wanted=$1 pattern=$2 code=0 out
  shift 2
  out=$("$@" 2>&1) || code=$?
  printf '%-50s exit %s: %s\n' "${*##*/}" "$code" "$out"
  # shellcheck disable=SC2254
  case $out in
    $pattern) [ "$code" = "$wanted" ] || fail "expected exit $wanted, saw $code" ;;
    *) fail "expected $pattern, saw: $out" ;;
  esac
}

echo "who works on a folder keeps others from it"
(
  service_lock "$data" || fail "the lock is not free"
  says 1 "*another script starts $data at this moment*nothing was started" "$root/start_service" --nodes 1 --rep 1
)
[ ! -e "$data" ] || fail "a start that was refused made the folder"

echo "what runs is known, and stopped, when its folder is gone"
scratch=$root/port
daemon_start manager "$bin/gtstore-manager" --data-dir "$root/port/m" --listen 127.0.0.1:0 || fail "no free port"
port=${daemon_address[manager]##*:}
daemon_stop manager
says 0 "*manager 127.0.0.1:$port*node1 127.0.0.1:*" "$root/start_service" --nodes 1 --rep 1 --port "$port"
mapfile -t daemons < <(service_daemons "$data")
[ ${#daemons[@]} = 2 ] || fail "expected two daemons on record, saw: ${daemons[*]}"
# The daemons do not hold what the script held.
(service_lock "$data") || fail "the folder is still locked"
says 1 '*manager of * still runs*' "$root/start_service"
rm -rf "$data"
says 1 '*manager of * still runs*' "$root/start_service" --nodes 1 --rep 1 --port "$port"
says 0 'stopped manager *stopped node1 *' "$root/stop_service"
for daemon in "${daemons[@]}"; do
  read -r pid started _ <<<"$daemon"
  process_gone "$pid" "$started" 1 || fail "pid $pid still runs"
done
says 0 'nothing is running' "$root/stop_service"

echo "a scenario clears its own logs and no other's"
printf 'test ! -e "$logs/old" && echo new >"$logs/new"\n' >"$root/tests/scenario/one.sh"
mkdir -p "$root/logs/one" "$root/logs/two"
touch "$root/logs/one/old" "$root/logs/two/kept"
says 0 '*one: every expectation held' "$root/run.sh" one
[ -e "$root/logs/one/new" ] && [ -e "$root/logs/two/kept" ] || fail "logs are not where they should be: $(find "$root/logs")"
