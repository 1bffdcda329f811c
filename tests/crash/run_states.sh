#!/usr/bin/env bash
# Crash states of further runs, for so long. Usage: run_states.sh BIN SECONDS
set -euo pipefail
# Other runs each time; what is wrong is told with its seed.
exec "$1/gtstore-crash" --seconds "$2" --seed "$(date +%s)"
