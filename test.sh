#!/usr/bin/env bash
# ./test.sh        installs what is missing, builds with AddressSanitizer and UBSan, runs the short
#                  form of every test.
# ./test.sh long   runs the tests marked long as well.
# ./test.sh mutants [NAME...]   plants one fault after another and shows which checker of the simulator
#                  catches it, after how many seeds (a release build; some minutes).
# ./test.sh crash [--minutes M]  cuts the power of an engine at work, and what else the programs of
#                  tests/crash do to one, with other seeds each time, for so long (10; a release build).
# ./test.sh planted [NAME...]  plants one fault of the storage after another and shows which of these
#                  programs catches it, and by what.
# ./test.sh coverage       which lines and branches of engine/ and node/quorum.c the tests reach, by file
#                  (10 minutes and more; --only REGEX runs the tests of these names alone).
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$root/tests/lib/setup.sh"

labels=(-LE long)
case ${1:-} in
  "") ;;
  long) labels=() ;;
  mutants | planted | coverage) ;;
  crash)
    [[ $# = 1 || ($# = 3 && $2 = --minutes && $3 =~ ^[1-9][0-9]*$) ]] || { say "usage: ./test.sh crash [--minutes M]"; exit 2; } ;;
  -h | --help) sed -n '2,13s/^# //p' "$0"; exit 0 ;;
  *) say "usage: ./test.sh [long | mutants [NAME...] | crash [--minutes M] | planted [NAME...] | coverage [--only REGEX]]"; exit 2 ;;
esac

setup_packages
if [ "${1:-}" = mutants ]; then
  setup_build mutants
  exec "$root/tests/sim/mutants.sh" "$root" "$root/build-mutants/bin/gtstore-sim" "${@:2}"
fi
if [ "${1:-}" = planted ]; then
  setup_build release
  exec "$root/tests/crash/planted.sh" "$root/build/bin" "${@:2}"
fi
if [ "${1:-}" = crash ]; then
  setup_build release
  runners=("$root"/tests/crash/run_*.sh) code=0
  for runner in "${runners[@]}"; do
    "$runner" "$root/build/bin" $((60 * ${3:-10} / ${#runners[@]})) || code=1
  done
  exit $code
fi
if [ "${1:-}" = coverage ]; then
  setup_build coverage
  exec "$root/tests/coverage.sh" "$root" "$root/build-coverage" "${@:2}"
fi
setup_build asan
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0:exitcode=99}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
cd "$root/build-asan" || exit 1
ctest --output-on-failure --no-tests=error "${labels[@]}" -j 2
code=$?
# ctest names what it skipped; the tests say why. And what was done to engines, and what came of it.
grep -h '^SKIPPED: ' Testing/Temporary/LastTest.log | sort -u
grep -hE '^(crash states|failed calls|copies|folders|flips|planted): ' Testing/Temporary/LastTest.log
exit $code
