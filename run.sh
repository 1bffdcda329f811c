#!/usr/bin/env bash
# The demonstration (no argument) and the scenarios. See ./run.sh --help.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$root/tests/lib/setup.sh"

scenarios=$(cd "$root/tests/scenario" && ls -- *.sh 2>/dev/null | sed 's/\.sh$//' | tr '\n' ' ')

usage() {
  cat <<EOF
usage: ./run.sh            the demonstration: 5 nodes, 3 copies, this machine's package database
       ./run.sh SCENARIO   one of: $scenarios
The demonstration leaves a cluster running on port 5000 (data in data/demo); ./stop_service ends it.
A scenario runs on a cluster of its own and stops it again; figures go to results/, logs to logs/SCENARIO/.
EOF
}

[ $# -le 1 ] || { usage >&2; exit 2; }
name=${1:-demo}
case $name in
  -h | --help) usage; exit 0 ;;
esac
[ "$name" = demo ] || [ -f "$root/tests/scenario/$name.sh" ] || { say "run.sh: no scenario $name"; usage >&2; exit 2; }

setup_packages
setup_build release
export bin=$root/build/bin

if [ "$name" = demo ]; then
  exec bash "$root/tests/lib/demo.sh" "$root"
fi
export results=$root/results logs=$root/logs/$name
rm -rf "$logs" && mkdir -p "$results" "$logs" || die "run.sh: cannot make $logs anew"
if bash "$root/tests/scenario/$name.sh"; then
  say "$name: every expectation held"
else
  code=$?
  say "$name: FAILED (logs in logs/$name/)"
  exit "$code"
fi
