# Sourced by start_service, stop_service and the demonstration: clusters that go on after the script.
# A service is a folder with
#   service.conf   nodes, replicas, profile, port: how it was made; also the mark that we made it
# and beside it FOLDER.lock, held by the script that makes, starts or removes it. What was started and
# not stopped stands in data/running, one line for each daemon: pid, start time of the process, label,
# address, folder. It lies outside of the folder: what runs can be stopped when the folder is gone.

. "$root/tests/lib/cluster.sh"
running=$root/data/running

# Holds the service until this script ends. Says so and returns 1 when another one holds it.
service_lock() { # DIR
  { mkdir -p -- "$(dirname -- "$1")" && : >>"$1.lock"; } 2>/dev/null || { say "cannot make $1.lock"; return 1; }
  exec {lock_fd}>>"$1.lock"
  flock -n "$lock_fd" || { say "another script starts $1 at this moment"; return 1; }
}

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

# The process still is the daemon that we started, and not another with its number.
daemon_ours() { # PID STARTED
  local program
  [ -n "$2" ] && [ "$(process_started "$1")" = "$2" ] || return 1
  program=$(readlink "/proc/$1/exe" 2>/dev/null) || return 1
  case ${program% (deleted)} in # built anew since then
    */gtstore-manager | */gtstore-node) ;;
    *) return 1 ;;
  esac
}

running_locked() { # COMMAND...: nobody else reads or changes data/running meanwhile
  local fd code=0
  mkdir -p "$root/data"
  exec {fd}>>"$running.lock" && flock "$fd" || return 1
  "$@" || code=$?
  exec {fd}>&-
  return $code
}
running_add() { echo "$*" >>"$running"; }
running_drop() { # DIR
  local pid started label address folder
  [ -f "$running" ] || return 0
  while read -r pid started label address folder; do
    [ -z "$folder" ] || [ "$folder" = "$1" ] || echo "$pid $started $label $address $folder"
  done <"$running" >"$running.new"
  mv "$running.new" "$running"
}

# "pid started label address" of each daemon of DIR that was started and not stopped.
service_daemons() { # DIR
  local pid started label address folder
  [ -f "$running" ] || return 0
  while read -r pid started label address folder; do
    [ "$folder" != "$1" ] || echo "$pid $started $label $address"
  done <"$running"
}

service_remember() { # DIR LABEL
  local pid=${daemon_pid[$2]}
  running_locked running_add "$pid" "$(process_started "$pid")" "$2" "${daemon_address[$2]}" "$1"
}

# Stops what was started of DIR: only pids that are still the process we started.
service_stop() { # DIR
  local pid started label
  local -a ours=()
  while read -r pid started label _; do
    if daemon_ours "$pid" "$started"; then
      kill -CONT "$pid" 2>/dev/null
      kill -TERM "$pid" 2>/dev/null && ours+=("$pid $started $label")
    fi
  done < <(service_daemons "$1")
  for pid in "${ours[@]}"; do
    read -r pid started label <<<"$pid"
    if ! process_gone "$pid" "$started" 20; then
      say "$label (pid $pid) does not stop; killing it"
      kill -KILL "$pid"
      process_gone "$pid" "$started" 20
    fi
    echo "stopped $label (pid $pid)"
  done
  running_locked running_drop "$1"
}

# Starts the manager and the nodes of DIR as service.conf says, remembering each.
service_start() { # DIR
  local i
  # shellcheck disable=SC1091
  . "$1/service.conf"
  scratch=$1
  running_locked running_drop "$1"
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
