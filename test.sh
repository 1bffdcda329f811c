#!/usr/bin/env bash
# ./test.sh        installs what is missing, builds with AddressSanitizer and UBSan, runs the short
#                  form of every test.
# ./test.sh long   runs the tests marked long as well.
# ./test.sh mutants [NAME...]   plants one fault after another and shows which checker of the simulator
#                  catches it, after how many seeds (a release build; some minutes).
# ./test.sh coverage       which lines and branches of engine/ and node/quorum.c the tests reach, by file.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$root/tests/lib/setup.sh"

labels=(-LE long)
case ${1:-} in
  "") ;;
  long) labels=() ;;
  mutants | coverage) ;;
  -h | --help) sed -n '2,8s/^# //p' "$0"; exit 0 ;;
  *) say "usage: ./test.sh [long | mutants [NAME...] | coverage]"; exit 2 ;;
esac

setup_packages
if [ "${1:-}" = mutants ]; then
  setup_build mutants
  exec "$root/tests/sim/mutants.sh" "$root" "$root/build-mutants/bin/gtstore-sim" "${@:2}"
fi
if [ "${1:-}" = coverage ]; then
  setup_build coverage
  exec "$root/tests/coverage.sh" "$root" "$root/build-coverage"
fi
setup_build asan
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0:exitcode=99}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
cd "$root/build-asan" || exit 1
ctest --output-on-failure --no-tests=error "${labels[@]}" -j 2
code=$?
# ctest names what it skipped; the tests say why.
grep -h '^SKIPPED: ' Testing/Temporary/LastTest.log | sort -u
exit $code
