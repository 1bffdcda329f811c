#!/usr/bin/env bash
# Copies of folders whose engine runs, for so long. Usage: run_copies.sh BIN SECONDS
set -euo pipefail
end=$((SECONDS + $2)) seed=$(date +%s)
# Other runs each time; what is wrong is told with its seed.
while :; do
  "$1/crash_copies" --seed "$seed" || { echo "crash_copies --seed $seed"; exit 1; }
  seed=$((seed + 1))
  [ $SECONDS -lt $end ] || break
done
