#!/usr/bin/env bash
# Every call of the runs on a folder fails, for so long. Usage: run_failed_calls.sh BIN SECONDS
set -euo pipefail
# Other runs each time; what is wrong is told with its seed.
exec "$1/crash_failed_calls" --all --seconds "$2" --seed "$(date +%s)"
