#!/usr/bin/env bash
# Every call of the runs on a folder fails, every allocation, and every write is the one that does not fit.
# Usage: failed_calls.sh PROGRAMS [--minutes M]     PROGRAMS is the folder of crash_failed_calls
# Without minutes each call once. Exit code 0: all is well; 1: the lines say what is not, and how it is played again.
set -uo pipefail
[ $# -ge 1 ] && [ -x "$1/crash_failed_calls" ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
bin=$1
shift
exec "$bin/crash_failed_calls" --all "$@"
