#!/usr/bin/env bash
# coverage.sh SOURCE BUILD: runs what exercises the engine in a build with --coverage, and prints which lines and
# branches it reached: by file of engine/ and of node/quorum.c, and in all. BUILD/coverage.missed names the rest by line.
# coverage.sh SOURCE BUILD --only REGEX: runs the tests of these names alone, as ctest -R does, for whoever writes one.
#
# A branch is what gcov counts: one way on from a condition, at -O0, so that each && and || has its own two. All ways of
# ending count: children that end by _exit write down what they reached, too (tests/coverage_exit.c); who is ended by a
# signal does not. Failures of memory and of every call count as any other branch does: "each call fails once" reaches them.
#
# No branch of the product, left out by the text of its line, and summed in the output:
#   gt_assert(      its branches: one ends the process, for a programmer's error. The line itself counts
#   gt_unreachable( the line and its branches, for the same reason
#   planted faults  which lines there are, and how many branches each has, says the build without the faults, where
#                   MUTANT(...) is the constant false. The one that has them (tests/crash) adds what it reached of these;
#                   no branch of a line on which it has others. And no test is run that plants a fault
set -uo pipefail
[[ $# = 2 || ($# = 4 && $3 = --only && -n $4) ]] || { echo "usage: coverage.sh SOURCE BUILD [--only REGEX]" >&2; exit 2; }
source=$1 build=$2 only=${4:-}
[ -d "$build" ] || { echo "coverage.sh: no build in $build; see ./test.sh coverage" >&2; exit 2; }
cd "$build" || exit 1
code=0
find . -name '*.gcda' -delete
echo "running the tests of the engine" >&2
tests='^(unit\.(engine|base|node|sim|lib)_|fuzz\.engine_|crash\.(model|states|failed_calls|copies|folders|rot)$|story\.'
tests+='|proc\.(rot|rot_alone|rot_serving|lostlog|fulldisk|faileddisk|descriptors|copy|cli|badinput)_test)'
ctest -j 2 -R "${only:-$tests}" --no-tests=error --timeout 900 >coverage.log 2>&1 || {
  grep -E 'Failed|Timeout|No tests|tests passed' coverage.log >&2
  echo "coverage.sh: a test failed; what was reached is counted nevertheless" >&2
  code=1
}
if [ -z "$only" ]; then
  bin/gtstore-sim --brief --seeds 1..40 >>coverage.log 2>&1 || {
    tail -n 3 coverage.log >&2
    echo "coverage.sh: the simulator failed" >&2
    code=1
  }
fi

# One source may be compiled into several libraries, with the planted faults (tests/crash) or without: what any of them
# reached is reached. As lines, those without first: file, line, 1 with the faults, count, counts of its branches.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
while read -r notes; do
  case $notes in
    */engine/*.c.gcno | */node/quorum.c.gcno) ;;
    *) continue ;;
  esac
  data=${notes%.gcno}.gcda faults=0
  [[ $notes != */gt_crash.dir/* ]] || faults=1
  [ -f "$data" ] || data=$notes # no test ran it: all that is in it was not reached
  gcov --branch-probabilities --json-format --stdout "$data" 2>/dev/null |
    jq -r --arg root "$source/" --arg faults "$faults" '.files[] | select(.file | startswith($root) and endswith(".c"))
      | .file |= ltrimstr($root) | select(.file | test("^(engine/|node/quorum.c)")) | .file as $f | .lines[]
      | [$f, .line_number, $faults, .count, ([.branches[] | select(.throw | not) | .count | tostring] | join(","))] | @tsv'
done < <(find . -name '*.c.gcno') | sort -s -t $'\t' -k 3,3n >"$work/lines"

awk -F '\t' -v root="$source" -v missed_file="$build/coverage.missed" '
  function percent(part, all) { return all ? sprintf("%5.1f", 100 * part / all) : "    -" }
  function text_of(file, line,  t, n) {
    if (!(file in read_)) { n = 0; while ((getline t < (root "/" file)) > 0) text[file, ++n] = t; read_[file] = 1 }
    return text[file, line]
  }
  function branches_add(file, line, counts,  b, n, i) {
    n = split(counts, b, ",")
    if (n > ways[file, line]) ways[file, line] = n
    for (i = 1; i <= n; i++) way[file, line, i] += b[i]
  }
  { t = text_of($1, $2)
    if (t ~ /gt_unreachable\(/) { unreachable[$1, $2]; next }
    if ($3 == 1 && !(($1, $2) in seen)) { planted[$1, $2]; next }
    seen[$1, $2]
    reached[$1, $2] += $4
    if (t ~ /gt_assert\(/) asserted[$1, $2]
    else if ($3 == 1 && split($5, b, ",") != ways[$1, $2]) planted[$1, $2]
    else branches_add($1, $2, $5) }
  END {
    for (at in seen) {
      split(at, k, SUBSEP); f = k[1]
      lines[f]++; hit[f] += reached[at] > 0
      if (!reached[at]) missed[f] = missed[f] " " k[2]
      branches[f] += ways[at]
      for (i = 1; i <= ways[at]; i++)
        if (way[f, k[2], i] > 0) taken[f]++
        else if (reached[at] > 0) open_[f] = open_[f] " " k[2]
    }
    printf "%-28s %15s %20s\n", "file", "lines", "branches"
    printf "" > missed_file
    for (f in lines) {
      printf "%-28s %4d/%4d %s%% %6d/%5d %s%%\n", f, hit[f], lines[f], percent(hit[f], lines[f]), taken[f], branches[f], percent(taken[f], branches[f]) | "sort"
      if (f ~ /^engine\//) { L += lines[f]; H += hit[f]; B += branches[f]; T += taken[f] }
      if (missed[f]) print f ": lines never reached:" missed[f] > missed_file
      if (open_[f]) print f ": branches never taken, at lines:" open_[f] > missed_file
    }
    close("sort")
    for (at in unreachable) U++
    for (at in asserted) A++
    for (at in planted) P++
    printf "engine/ in all: lines %d of %d, %s %%; branches %d of %d, %s %%\n", H, L, percent(H, L), T, B, percent(T, B)
    printf "no branch of the product, and not counted: those of %d lines with gt_assert, %d lines with gt_unreachable; ", A, U
    printf "%d lines with a planted fault, as the build that has them counts them\n", P
  }' "$work/lines"
echo "what was not reached, by line: $build/coverage.missed"
exit $code
