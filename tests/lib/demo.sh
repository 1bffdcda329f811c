#!/usr/bin/env bash
# The demonstration of ./run.sh: five nodes, three copies, real records, one node killed.
# Usage: demo.sh ROOT, with bin set to the folder of the programs.
set -uo pipefail
root=$1
. "$root/tests/lib/service.sh"
data=$root/data/demo

service_lock "$data" || { say "run.sh: nothing was started"; exit 1; }
service_stop "$data" >&2
if [ -e "$data" ]; then
  service_ours "$data" || { say "run.sh: $data was not made by run.sh; move it away first"; exit 1; }
  rm -rf "$data"
fi
mkdir -p "$data/expected"
printf 'nodes=5\nreplicas=3\nprofile=default\nport=5000\n' >"$data/service.conf"
trap 'code=$?; [ $code = 0 ] || { say "run.sh: stopping the cluster; logs are in data/demo/*.log"; service_stop "$data" >&2; }; exit $code' EXIT

echo "1. a manager on 127.0.0.1:5000 and five nodes, three copies of everything"
service_start "$data" || fail "the cluster did not start"
while read -r _ _ label address; do printf '   %-8s %s\n' "$label" "$address"; done < <(service_daemons "$data")

# Name -> stanza, exactly as dpkg has it; a foreign architecture's package has it in the name.
awk -v RS= -v ORS= -v dir="$data/expected/" '
  /\nStatus: [^\n]* installed/ {
    name = arch = ""
    n = split($0, line, "\n")
    for (i = 1; i <= n; i++) {
      if (line[i] ~ /^Package: /) name = substr(line[i], 10)
      if (line[i] ~ /^Architecture: /) arch = substr(line[i], 15)
    }
    if (name in seen) name = name ":" arch
    seen[name] = 1
    print $0 > (dir name)
    close(dir name)
    text = $0
    gsub(/\\/, "\\\\", text); gsub(/"/, "\\\"", text); gsub(/\t/, "\\t", text); gsub(/\r/, "\\r", text)
    gsub(/\n/, "\\n", text)
    print "{\"key\": \"" name "\", \"value\": \"" text "\"}\n" > (dir "../records.jsonl")
  }' /var/lib/dpkg/status || fail "cannot read the package database"
records=$(ls "$data/expected" | wc -l)
[ "$records" -gt 0 ] || fail "the package database of this machine is empty"
bytes=$(cat "$data"/expected/* | wc -c)
largest=$(stat -c %s "$data"/expected/* | sort -n | tail -n 1)

echo "2. importing this machine's package database: $records records, $bytes bytes, the largest $largest"
started=$(date +%s%N)
gt import "$data/records.jsonl" || fail "the import failed"
import_ms=$((($(date +%s%N) - started) / 1000000))

read_back() { # WHEN
  local key count=0
  for key in "$data"/expected/*; do
    key=${key##*/}
    gt get -- "$key" | cmp -s - "$data/expected/$key" || fail "$1: $key does not read back equal"
    count=$((count + 1))
    [ ! -t 2 ] || printf '\r   %d of %d' "$count" "$records" >&2
  done
  [ ! -t 2 ] || printf '\r' >&2
  echo "   $count of $records records equal, byte for byte"
}

victim=node3
echo "3. kill -9 $victim (pid ${daemon_pid[$victim]}), and every record is read back"
daemon_kill "$victim"
read_back "with $victim dead"

echo "4. $victim starts again on its folder"
started=$(date +%s%N)
segment=64MiB node_start "$victim" || fail "$victim did not come back"
cluster_wait 60s || fail "the cluster is not well"
back_ms=$((($(date +%s%N) - started) / 1000000))
service_remember "$data" "$victim"
read_back "with $victim back"

echo "5. the cluster"
admin status || fail "status is not healthy"
cat <<EOF

imported $records records in $import_ms ms; $victim was up again after $back_ms ms.
The cluster goes on running. Go on with:
  build/bin/gtstore put hello world         build/bin/gtstore get hello
  build/bin/gtstore get dpkg                build/bin/gtstore-admin nodes
  ./stop_service                            stops it; ./start_service --data data/demo starts it again
EOF
