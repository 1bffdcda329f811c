#!/usr/bin/env bash
# Bits flip in the files of an engine, for so long. Usage: run_rot.sh BIN SECONDS
set -euo pipefail
end=$((SECONDS + $2)) seed=$(date +%s)
# Other flips each time; what is wrong is told with its number, of this seed.
while :; do
  "$1/crash_rot" --seed "$seed" --flips 2000 --check "$1/gtstore-check" || { echo "crash_rot --seed $seed"; exit 1; }
  seed=$((seed + 1))
  [ $SECONDS -lt $end ] || break
done
