#!/usr/bin/env bash
# The engine beside RocksDB, LevelDB, LMDB alone and a bare log: the same work on the same file system, in turns, medians
# of the rounds. Installs the other stores' packages, builds, runs, prints a table and writes it to bench/RESULTS.md.
#
#   bench/compare-engines.sh [--quick] [--rounds N] [--out FILE]
#     --quick   100000 keys and 3 s a run, for trying; its figures say nothing
#     --rounds  3 by default
#     --out     bench/RESULTS.md by default, nothing with --quick
# Scratch folders are made in $TMPDIR, else in the current folder; on a tmpfs it refuses to run. The runs on a device of
# their own (write amplification) need root and losetup, and are left out without.
# Exit: 0 everything was measured, whether or not the goals are reached; 1 a run failed; 2 usage.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/tests/lib/setup.sh"
. "$root/tests/lib/cluster.sh"
usage() {
  say "compare-engines.sh: $*; usage: bench/compare-engines.sh [--quick] [--rounds N] [--out FILE]"
  exit 2
}

keys=1000000 seconds=15 short_s=5 rounds=3 device_puts=400000 out=$root/bench/RESULTS.md quick=
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=1 keys=100000 seconds=3 short_s=2 rounds=2 device_puts=50000 out= ;;
    --rounds) [[ ${2:-} =~ ^[1-9][0-9]?$ ]] || usage "--rounds takes a number from 1 to 99"; rounds=$2; shift ;;
    --out) [ -n "${2:-}" ] || usage "--out takes a file"; out=$2; shift ;;
    -h | --help) sed -n '2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) usage "unexpected argument $1" ;;
  esac
  shift
done

# ---- scratch ------------------------------------------------------------------------------------

image_mount= image_device=
image_end() {
  [ -z "$image_mount" ] || umount "$image_mount" 2>/dev/null
  [ -z "$image_device" ] || losetup -d "$image_device" 2>/dev/null
  image_mount= image_device=
}
scratch_make() {
  local where=${TMPDIR:-$PWD}
  [ "$(stat -f -c %T "$where")" != tmpfs ] || die "$where is a tmpfs, where nothing is ever synced: set TMPDIR to a folder on a disk"
  scratch=$(mktemp -d "$where/gtstore-compare.XXXXXX") || die "cannot make a folder in $where"
  trap 'status=$?; trap - EXIT; cluster_kill; image_end; rm -rf "$scratch"; exit $status' EXIT
  trap 'exit 130' INT TERM
  local free_kib
  free_kib=$(df --output=avail -k "$scratch" | tail -1)
  [ "$free_kib" -gt $((30 << 20)) ] || [ -n "$quick" ] || die "30 GiB free are needed in $where, and $((free_kib >> 20)) are"
}

# ---- runs ---------------------------------------------------------------------------------------

program_of() { # STORE
  case $1 in
    ours | floor) echo "$bin/gtstore-bench" ;;
    *) echo "$bin/gtstore-peer-$1" ;;
  esac
}

# run NAME STORE FLAG...: one run on the store's folder of this size; its figures are $scratch/NAME.figures.
run() {
  local name=$1 store=$2 program
  shift 2
  program=$(program_of "$store")
  say "  $name"
  printf '%s --engine DIR %s\n' "${program##*/}" "$*" >>"$scratch/commands"
  "$program" --engine "${folder:-$scratch/$store-$size}" --keys "$keys" --value-bytes "$size" \
    --figures "$scratch/$name.figures" "$@" >"$scratch/$name.out" 2>&1 && return 0
  cat "$scratch/$name.out" >&2
  die "the run $name failed"
}

figure() { # FILE NAME
  awk -F, -v n="$2" '$1 == n { print $2 }' "$1"
}
# per_s NAME OP: operations a second of a run.
per_s() {
  awk -F, -v n="$2_count" '$1 == n { c = $2 } $1 == "seconds" { s = $2 } END { printf "%.0f\n", s ? c / s : 0 }' "$scratch/$1.figures"
}
median() {
  sort -n | awk '{ v[NR] = $1 } END { if (NR) print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
# over ROUNDS' runs of a name (NAME.1, NAME.2, ...): median of operations a second, or of a figure; the highest figure.
rounds_of() { seq -f "$1.%g" 1 "$rounds"; }
median_per_s() { local n; for n in $(rounds_of "$1"); do per_s "$n" "$2"; done | median; }
median_figure() { local n; for n in $(rounds_of "$1"); do figure "$scratch/$n.figures" "$2"; done | median; }
highest_figure() { local n; for n in $(rounds_of "$1"); do figure "$scratch/$n.figures" "$2"; done | sort -n | tail -1; }
# The ratio is taken within each round, whose runs stood next to one another, and the median of those is told.
median_ratio() { # NAME OP OTHER-NAME
  local i
  for ((i = 1; i <= rounds; i++)); do quotient "$(per_s "$1.$i" "$2")" "$(per_s "$3.$i" "$2")"; done | median
}
quotient() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.3f\n", a / b; else print "0" }'; }

# ---- the table ----------------------------------------------------------------------------------

row() { # WHAT FIGURE GOAL VERDICT
  printf '| %s | %s | %s | %s |\n' "$@" >>"$scratch/table"
}
# judge WHAT FIGURE TEXT at-least|at-most GOAL: the figure is a number, the text shows it.
judge() {
  local verdict
  verdict=$(awk -v f="$2" -v g="$5" -v how="$4" 'BEGIN { print (how == "at-least" ? f >= g : f <= g) ? "reached" : "NOT REACHED" }')
  row "$1" "$3" "${4/-/ } $5" "$verdict"
}
thousands() { awk -v n="$1" 'BEGIN { printf "%.1fk", n / 1000 }'; }
label_of() { [ "$size" = 100 ] && echo "100 B" || echo "1 KiB"; }

# ---- what is measured ---------------------------------------------------------------------------

measure_load() {
  local store
  for store in ours rocksdb leveldb lmdb; do run "load-$store-$size" "$store" --workload put --ops 1; done
}

measure_puts() {
  local i store
  for ((i = 1; i <= rounds; i++)); do
    for store in ours floor log rocksdb; do
      run "put64-$store-$size.$i" "$store" --workload "$([ $store = floor ] && echo wal-floor || echo put)" --no-load \
        --clients 64 --duration "${seconds}s" --seed "$i"
    done
    for store in ours rocksdb; do
      run "put1-$store-$size.$i" "$store" --workload put --no-load --clients 1 --duration "${short_s}s" --seed "$i"
    done
  done
  for store in leveldb lmdb; do
    run "put64-$store-$size.1" "$store" --workload put --no-load --clients 64 --duration "${short_s}s" --seed 9
  done
}

measure_gets() {
  local i store threads
  for ((i = 1; i <= rounds; i++)); do
    run "get-ours-$size.$i" ours --workload get --no-load --clients 64 --duration "${short_s}s" --seed "$i"
    for store in rocksdb lmdb; do
      for threads in 1 2; do
        run "get$threads-$store-$size.$i" "$store" --workload get --no-load --clients "$threads" \
          --duration "${short_s}s" --seed "$i"
      done
    done
  done
}

# A file system of its own, so that nobody else writes to the device that is counted.
image_begin() {
  [ "$(id -u)" = 0 ] && command -v losetup >/dev/null && command -v mkfs.ext4 >/dev/null || return 1
  truncate -s 12G "$scratch/image" || return 1
  mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$scratch/image" || return 1
  image_device=$(losetup --find --show --direct-io=on "$scratch/image") || return 1
  mkdir -p "$scratch/mount"
  mount "$image_device" "$scratch/mount" || { image_end; return 1; }
  image_mount=$scratch/mount
}

measure_device() {
  local store i
  device_measured=
  if ! image_begin; then
    say "  write amplification is left out: a device of its own needs root, losetup and mkfs.ext4"
    return 0
  fi
  for store in ours rocksdb; do
    folder=$image_mount/$store run "device-$store" "$store" --workload put --clients 64 --ops "$device_puts" --settle
    rm -rf "${image_mount:?}/$store"
  done
  image_end
  rm -f "$scratch/image"
  device_measured=1
}

# Clean pages of these files leave the cache; nobody else's do.
cache_drop() { # FOLDER
  sync
  find "$1" -type f -exec dd if={} iflag=nocache count=0 status=none \;
}

serving() { [ "$(gt get key000000000042 2>/dev/null | wc -c)" -gt 0 ]; }

measure_restart() {
  local i began
  segment=64MiB
  say "  restart: a node with $keys keys"
  cluster_start 1 --replicas 1 || die "the cluster did not start"
  "$bin/gtstore-bench" --workload put --distribution sequential --no-load --keys "$keys" --ops "$keys" \
    --value-bytes 1024 --clients 4 --in-flight 64 >"$scratch/restart.out" 2>&1 || die "$(cat "$scratch/restart.out")"
  for ((i = 1; i <= rounds; i++)); do
    daemon_kill node1
    cache_drop "$scratch/node1"
    began=$(date +%s%N)
    node_start node1 || die "the node does not come back"
    poll 200 serving || die "the node does not serve"
    awk -v a="$began" -v b="$(date +%s%N)" 'BEGIN { printf "%.3f\n", (b - a) / 1e9 }' >>"$scratch/restart"
    # The next one finds a log to replay, too.
    "$bin/gtstore-bench" --workload put --no-load --keys "$keys" --ops 20000 --value-bytes 1024 --clients 4 \
      --in-flight 16 >"$scratch/restart.out" 2>&1 || die "$(cat "$scratch/restart.out")"
  done
  cluster_stop
  rm -rf "$scratch/node1" "$scratch/manager"
}

# ---- what it came to ----------------------------------------------------------------------------

tell_puts() {
  local ours floor rocks one goal_floor=0.5 label
  label=$(label_of)
  [ "$size" = 100 ] && goal_floor=0.7
  ours=$(median_per_s "put64-ours-$size" put) floor=$(median_per_s "put64-floor-$size" put)
  rocks=$(median_per_s "put64-rocksdb-$size" put)
  one=$(median_ratio "put64-ours-$size" put "put64-rocksdb-$size")
  judge "put, 64 writers, $label: ours / RocksDB" "$one" "$one ($(thousands "$ours") / $(thousands "$rocks"))" at-least 1.3
  one=$(median_ratio "put64-ours-$size" put "put64-floor-$size")
  judge "put, 64 writers, $label: ours / bare log, its writers in the loop that fills it" "$one" "$one ($(thousands "$ours") / $(thousands "$floor"))" at-least "$goal_floor"
  one=$(median_ratio "put64-ours-$size" put "put64-log-$size")
  judge "put, 64 writers, $label: ours / bare log, its writers threads as RocksDB's are" "$one" \
    "$one ($(thousands "$ours") / $(thousands "$(median_per_s "put64-log-$size" put)"))" at-least "$goal_floor"
  row "put, 64 writers, $label: LevelDB, LMDB alone" "$(thousands "$(per_s "put64-leveldb-$size.1" put)"), $(thousands "$(per_s "put64-lmdb-$size.1" put)")" "" ""
  one=$(median_ratio "put1-ours-$size" put "put1-rocksdb-$size")
  judge "put, 1 writer, $label: ours / RocksDB" "$one" \
    "$one ($(thousands "$(median_per_s "put1-ours-$size" put)") / $(thousands "$(median_per_s "put1-rocksdb-$size" put)"))" at-least 1.2
}

tell_latency() {
  local label p50 p999 store
  label=$(label_of)
  p50=$(median_figure "put64-ours-$size" put_p50_us) p999=$(median_figure "put64-ours-$size" checkpoint_put_p999_us)
  if [ "$(highest_figure "put64-ours-$size" checkpoint_put_count | cut -d. -f1)" = 0 ]; then
    row "put during a checkpoint, $label: p99.9 / p50" "no checkpoint ran" "at most 10" "NOT MEASURED"
  else
    judge "put during a checkpoint, $label: p99.9 / p50" "$(quotient "$p999" "$p50")" \
      "$(quotient "$p999" "$p50") (${p999%.*} us / ${p50%.*} us; RocksDB's p99.9 / p50 of all puts: $(quotient "$(median_figure "put64-rocksdb-$size" put_p999_us)" "$(median_figure "put64-rocksdb-$size" put_p50_us)"))" at-most 10
  fi
  for store in 1 64; do
    row "group commit, $store writers, $label" "$(awk -v l="$(median_figure "put$store-ours-$size" put_mean_us)" \
      -v s="$(median_figure "put$store-ours-$size" sync_mean_us)" -v n="$(median_figure "put$store-ours-$size" sync_count)" \
      -v p="$(median_figure "put$store-ours-$size" put_count)" -v b="$(median_figure "put$store-ours-$size" batches)" \
      -v r="$(median_figure "put$store-ours-$size" batch_records)" \
      'BEGIN { if (s && p && b) printf "a put takes %.2f syncs (%.0f us / %.0f us), %.4f syncs a put, %.1f records a batch", l / s, l, s, n / p, r / b }')" "" ""
  done
}

tell_gets() {
  local label ours one rocks1 rocks2 raw1 raw2
  label=$(label_of)
  ours=$(median_per_s "get-ours-$size" get)
  rocks1=$(median_per_s "get1-rocksdb-$size" get) rocks2=$(median_per_s "get2-rocksdb-$size" get)
  raw1=$(median_per_s "get1-lmdb-$size" get) raw2=$(median_per_s "get2-lmdb-$size" get)
  one=$(median_ratio "get-ours-$size" get "get1-rocksdb-$size")
  judge "random get, warm, $label: ours (one loop thread) / RocksDB (1 thread)" "$one" \
    "$one ($(thousands "$ours") / $(thousands "$rocks1"); 2 threads $(thousands "$rocks2"))" at-least 3
  one=$(median_ratio "get-ours-$size" get "get1-lmdb-$size")
  judge "random get, warm, $label: ours (one loop thread) / LMDB alone (1 thread)" "$one" \
    "$one ($(thousands "$ours") / $(thousands "$raw1"); 2 threads $(thousands "$raw2"))" at-least 0.8
}

# cpu_per NAME OP: CPU time of the whole process for each operation, which others on the machine change little.
cpu_per() {
  local n
  for n in $(rounds_of "$1"); do quotient "$(figure "$scratch/$n.figures" cpu_us)" "$(figure "$scratch/$n.figures" "$2_count")"; done | median
}
tell_cpu() {
  local label
  label=$(label_of)
  row "CPU us of a put, 64 writers, $label" \
    "ours $(cpu_per "put64-ours-$size" put), RocksDB $(cpu_per "put64-rocksdb-$size" put), bare log $(cpu_per "put64-floor-$size" put)" "" ""
  row "CPU us of a get, $label" "ours $(cpu_per "get-ours-$size" get), RocksDB $(cpu_per "get1-rocksdb-$size" get), LMDB alone $(cpu_per "get1-lmdb-$size" get)" "" ""
}

tell_space() {
  local label goal=2.5 user peak part
  label=$(label_of)
  [ "$size" = 100 ] && goal=3.3
  user=$(figure "$scratch/put64-ours-$size.1.figures" user_bytes)
  part=$(quotient "$(highest_figure "put64-ours-$size" disk_rest_bytes)" "$user")
  judge "disk, log apart, after the overwrites, $label: times user bytes" "$part" \
    "$part (RocksDB $(quotient "$(highest_figure "put64-rocksdb-$size" disk_rest_bytes)" "$user"))" at-most "$goal"
  peak=$(awk -v b="$(highest_figure "put64-ours-$size" anon_peak_bytes)" 'BEGIN { printf "%.0f", b / 1048576 }')
  judge "anonymous memory, peak, $label: MiB" "$peak" \
    "$peak (RocksDB $(awk -v b="$(highest_figure "put64-rocksdb-$size" anon_peak_bytes)" 'BEGIN { printf "%.0f", b / 1048576 }'))" at-most 200
}

tell_device() {
  local ours rocks
  if [ -z "$device_measured" ]; then
    row "device write amplification, 1 KiB: ours / RocksDB" "" "at most 2" "NOT MEASURED"
    return
  fi
  ours=$(quotient "$(figure "$scratch/device-ours.figures" device_bytes)" "$(figure "$scratch/device-ours.figures" put_bytes)")
  rocks=$(quotient "$(figure "$scratch/device-rocksdb.figures" device_bytes)" "$(figure "$scratch/device-rocksdb.figures" put_bytes)")
  judge "device write amplification, 1 KiB, $device_puts puts: ours / RocksDB" "$(quotient "$ours" "$rocks")" \
    "$(quotient "$ours" "$rocks") ($ours / $rocks times the puts' bytes)" at-most 2
}

tell_restart() {
  local s
  s=$(median <"$scratch/restart")
  judge "kill -9 of gtstore-node, $keys keys of 1 KiB, cold files: serving again, seconds" "$s" "$s" at-most 1
}

describe_machine() {
  local device
  device=$(df --output=source "$scratch" | tail -1)
  printf -- '- %s, Linux %s, %s cores of %s, %s MiB of memory\n' "$(. /etc/os-release && echo "$PRETTY_NAME")" "$(uname -r)" \
    "$(nproc)" "$(lscpu | sed -n 's/^Model name: *//p' | head -1)" "$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)"
  printf -- '- %s on %s, write cache %s\n' "$(df --output=fstype "$scratch" | tail -1)" "$device" \
    "$(cat "/sys/class/block/${device##*/}/queue/write_cache" 2>/dev/null || echo "not known")"
  printf -- '- %s; RocksDB %s, LevelDB %s, LMDB %s\n' "$(date -u +%Y-%m-%d)" \
    "$(dpkg-query -W -f '${Version}' librocksdb-dev)" "$(dpkg-query -W -f '${Version}' libleveldb-dev)" \
    "$(dpkg-query -W -f '${Version}' liblmdb-dev)"
  printf -- '- commit %s\n' "$commit"
  printf -- '- %s keys of 16 bytes, %s rounds of %s s (64 writers) and %s s (the rest), load before the first run %s, after the last %s\n' \
    "$keys" "$rounds" "$seconds" "$short_s" "$load_before" "$(cut -d' ' -f1 /proc/loadavg)"
}

write_results() {
  printf '# The engine beside its peers\n\nWritten by bench/compare-engines.sh; what the lines mean stands in bench/README.md.\n\n'
  describe_machine
  printf '\n| what | figure | goal | |\n|---|---|---|---|\n'
  cat "$scratch/table"
  printf '\nThe commands, each with --keys %s, --value-bytes 100 or 1024 and --figures FILE:\n\n' "$keys"
  sort -u "$scratch/commands" | sed 's/^/    /'
  printf '\nTook %d s.\n' "$((SECONDS - began_s))"
}

began_s=$SECONDS
load_before=$(cut -d' ' -f1 /proc/loadavg)
commit=$(git -C "$root" describe --always --dirty 2>/dev/null || echo "not known") # of what is built now
setup_packages
setup_packages "${packages_peers[@]}"
setup_build peers
bin=$root/build-peers/bin
scratch_make
: >"$scratch/table"
for size in 100 1024; do
  say "values of $size bytes"
  measure_load
  measure_puts
  measure_gets
  "$bin/gtstore-check" "$scratch/ours-$size" >"$scratch/check.out" 2>&1 || die "the engine's folder is not sound: $(cat "$scratch/check.out")"
  tell_puts
  tell_gets
  tell_cpu
  tell_latency
  tell_space
  rm -rf "$scratch"/{ours,floor,log,rocksdb,leveldb,lmdb}-"$size"
done
say "write amplification"
measure_device
tell_device
measure_restart
tell_restart
write_results >"$scratch/results"
cat "$scratch/results"
[ -z "$out" ] || cp "$scratch/results" "$out" || die "cannot write $out"
