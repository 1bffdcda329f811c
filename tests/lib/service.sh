# Sourced by start_service, stop_service and the demonstration: clusters that go on after the script.
# A service is a folder with
#   service.conf   nodes, replicas, profile, port: how it was made; also the mark that we made it
#   service.pids   one line for each daemon: pid, start time of the process, label, address
# and data/running lists the folders of services that were started and not stopped.

. "$root/tests/lib/cluster.sh"
running=$root/data/running

process_started() { # PID -> start time in clock ticks since boot, nothing when it is gone or a zombie
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  stat=${stat##*) }
  # shellcheck disable=SC2086
  set -- $stat
  case $1 in
    Z | X) ;;
    *) echo "${20}" ;;
  esac
}

# Waits until the process is gone, at most SECONDS; 1 when it is still there.
process_gone() { # PID STARTED SECONDS
  local i
  for ((i = 0; i < $3 * 20; i++)); do
    [ "$(process_started "$1")" = "$2" ] || return 0
    sleep 0.05 # nanosleep_seam: polls a condition with a bound
  done
  return 1
}

service_ours() { [ -f "$1/service.conf" ]; }

service_remember() { # DIR LABEL
  local pid=${daemon_pid[$2]}
  echo "$pid $(process_started "$pid") $2 ${daemon_address[$2]}" >>"$1/service.pids"
}

# Stops what is recorded in DIR: only pids that are still the process we started.
service_stop() { # DIR
  local pid started label address
  local -a ours=()
  [ -f "$1/service.pids" ] || return 0
  while read -r pid started label address; do
    if [ -n "$started" ] && [ "$(process_started "$pid")" = "$started" ]; then
      kill -CONT "$pid" 2>/dev/null
      kill -TERM "$pid" 2>/dev/null && ours+=("$pid $started $label")
    fi
  done <"$1/service.pids"
  for pid in "${ours[@]}"; do
    read -r pid started label <<<"$pid"
    if ! process_gone "$pid" "$started" 20; then
      say "$label (pid $pid) does not stop; killing it"
      kill -KILL "$pid"
      process_gone "$pid" "$started" 20
    fi
    echo "stopped $label (pid $pid)"
  done
  rm -f "$1/service.pids"
  if [ -f "$running" ]; then
    grep -vxF "$1" "$running" >"$running.new"
    mv "$running.new" "$running"
  fi
  return 0
}

# Starts the manager and the nodes of DIR as service.conf says, remembering each.
service_start() { # DIR
  local i
  # shellcheck disable=SC1091
  . "$1/service.conf"
  scratch=$1
  : >"$1/service.pids"
  mkdir -p "$root/data"
  grep -qxF "$1" "$running" 2>/dev/null || echo "$1" >>"$running"
  manager_listen=127.0.0.1:$port
  manager_start --replicas "$replicas" --profile "$profile" --form-nodes "$nodes" || return 1
  service_remember "$1" manager
  for ((i = 1; i <= nodes; i++)); do
    segment=64MiB node_start "node$i" || return 1
    service_remember "$1" "node$i"
  done
  # A member that somebody added and took away again does not make the cluster useless.
  cluster_wait 60s || { admin status >/dev/null 2>&1 && say "the cluster serves, but see: gtstore-admin status"; }
}
