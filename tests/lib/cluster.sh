# Sourced by scripts that run real daemons: verbs to start, kill and stop them. The caller sets
#   bin      folder of the programs
#   scratch  folder for data and logs of this cluster
# Every daemon is known by its label; pids are of processes started here and of no others.

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "FAILED: $*"
  exit 1
}

# A test that this machine or build cannot run ends with what ctest takes for "skipped".
skip() {
  say "SKIPPED: $*"
  exit 77
}

declare -A daemon_pid=() daemon_address=()
manager=

# daemon_start LABEL PROGRAM ARGUMENT...: starts it, waits for its ready line, records pid and
# address. Its log is $scratch/LABEL.log. Returns 1 with the log's tail when it ends instead. A lock
# that the script holds by lock_fd stays the script's.
daemon_start() {
  local label=$1 line fd pid
  shift
  mkdir -p "$scratch"
  exec {fd}< <([ -z "${lock_fd:-}" ] || exec {lock_fd}>&-; exec setsid "$@" 2>>"$scratch/$label.log")
  pid=$!
  while IFS= read -r -t "${ready_timeout_s:-60}" -u "$fd" line; do
    case $line in
      "ready "*)
        daemon_pid[$label]=$pid
        daemon_address[$label]=${line##* }
        exec {fd}<&-
        return 0
        ;;
    esac
  done
  exec {fd}<&-
  kill -KILL "$pid" 2>/dev/null
  say "$label did not become ready; the end of its log:"
  tail -n 5 "$scratch/$label.log" >&2
  return 1
}

# Small segments keep many nodes cheap on one disk; the default is for real use.
: "${segment:=8MiB}"

manager_start() { # [FLAG...]
  daemon_start manager "$bin/gtstore-manager" --data-dir "$scratch/manager" \
    --listen "${manager_listen:-127.0.0.1:0}" "$@" || return 1
  manager=${daemon_address[manager]}
  manager_listen=$manager # the same one at a restart
  export GTSTORE_MANAGER=$manager
}

# A test of tests runs nodes with a planted fault: $node_program in place of gtstore-node.
node_start() { # LABEL [FLAG...]
  local label=$1
  shift
  daemon_start "$label" "$bin/${node_program:-gtstore-node}" --data-dir "$scratch/$label" --manager "$manager" \
    --label "$label" --wal-segment "$segment" "$@"
}

# Starts the manager and node1..nodeN and waits until all of them serve.
cluster_start() { # NODES [MANAGER FLAG...]
  local nodes=$1 i
  shift
  manager_start --form-nodes "$nodes" --form-after 0.2s "$@" || return 1
  for ((i = 1; i <= nodes; i++)); do
    node_start "node$i" || return 1
  done
  cluster_wait
}

cluster_wait() {
  "$bin/gtstore-admin" wait --timeout "${1:-60s}"
}

# daemon_end LABEL SIGNAL: signals it and waits until the process is gone.
daemon_end() {
  local pid=${daemon_pid[$1]:-}
  [ -n "$pid" ] || return 0
  kill "-$2" "$pid" 2>/dev/null
  if [ "$2" = KILL ] || [ "$2" = TERM ]; then
    timeout 30 tail --pid="$pid" -s 0.05 -f /dev/null || fail "$1 (pid $pid) does not end"
    unset "daemon_pid[$1]"
  fi
}
daemon_kill() { daemon_end "$1" KILL; }
daemon_stop() { daemon_end "$1" TERM; }
daemon_alive() { kill -0 "${daemon_pid[$1]:-0}" 2>/dev/null && [ -n "${daemon_pid[$1]:-}" ]; }

cluster_kill() { # all at once, no warning
  local label
  for label in "${!daemon_pid[@]}"; do kill -KILL "${daemon_pid[$label]}" 2>/dev/null; done
  for label in "${!daemon_pid[@]}"; do daemon_end "$label" KILL; done
}

cluster_stop() {
  local label
  for label in "${!daemon_pid[@]}"; do kill -TERM "${daemon_pid[$label]}" 2>/dev/null; done
  for label in "${!daemon_pid[@]}"; do daemon_end "$label" TERM; done
}

# A scratch cluster that goes with the script, whatever ends it. Its logs stay in $logs if set.
scratch_begin() {
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/gtstore.XXXXXX")
  trap 'status=$?; trap - EXIT; cluster_kill; scratch_logs; rm -rf "$scratch"; exit $status' EXIT
  trap 'exit 130' INT TERM
}
scratch_logs() {
  if [ -n "${logs:-}" ]; then
    mkdir -p "$logs"
    cp "$scratch"/*.log "$logs"/ 2>/dev/null
  fi
  return 0
}

gt() { "$bin/gtstore" "$@"; }
admin() { "$bin/gtstore-admin" "$@"; }

# poll TIMES COMMAND...: until it succeeds, so many times at most, twenty in a second.
poll() {
  local times=$1 i
  shift
  for ((i = 0; i < times; i++)); do
    ! "$@" || return 0
    sleep 0.05 # nanosleep_seam: polls a condition with a bound
  done
  return 1
}

# expect WANTED COMMAND...: runs it, prints what was expected and what was seen, and fails loudly.
# WANTED is a pattern (as of case); the coordinator's name may vary, so: expect 'OK, node*' ...
expect() {
  local wanted=$1 seen
  shift
  seen=$("$@" 2>&1)
  printf '%-48s expected %-28s saw %s\n' "${*##*/}" "$wanted" "$seen"
  # shellcheck disable=SC2254
  case $seen in
    $wanted) ;;
    *) fail "expected $wanted, saw $seen" ;;
  esac
  seen_last=$seen
}

# expect_exit CODE COMMAND...: the exit code alone.
expect_exit() {
  local wanted=$1 code=0 out
  shift
  out=$("$@" 2>&1) || code=$?
  printf '%-48s expected %-28s saw exit %s%s\n' "$(cut -c 1-80 <<<"${*##*/}")" "exit $wanted" "$code" "${out:+: $out}"
  [ "$code" = "$wanted" ] || fail "expected exit $wanted, saw $code"
}

# bars CSV COLUMN PNG TITLE X-LABEL Y-LABEL: one bar a row of the CSV, named by its first column.
bars() {
  gnuplot <<EOF || fail "gnuplot could not draw $3"
set terminal pngcairo size 800,500
set output "$3"
set datafile separator ","
set title "$4"
set xlabel "$5"
set ylabel "$6"
set style fill solid 0.8 border -1
set boxwidth 0.6
set xtics nomirror
set yrange [0:*]
set offsets graph 0.05, graph 0.05, graph 0.12, 0
set key off
plot "$1" every ::1 using 0:$2:xtic(1) with boxes lc rgb "#3465a4", "" every ::1 using 0:$2:$2 with labels offset 0,0.7
EOF
}
