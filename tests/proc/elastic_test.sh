#!/usr/bin/env bash
# The scenario `elastic` with few keys: nodes come, one is drained, a dead one is replaced, under load.
set -uo pipefail
bin=$1
export bin keys=${2:-2000} partitions=256
exec bash "$(dirname "${BASH_SOURCE[0]}")/../scenario/elastic.sh"
