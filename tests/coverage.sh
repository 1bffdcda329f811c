#!/usr/bin/env bash
# coverage.sh SOURCE BUILD: runs what exercises the engine in a build with --coverage, and prints which lines and
# branches it reached: by file of engine/ and of node/quorum.c, and in all.
#
# Left out are lines that no run of a sound program can reach or that say so themselves:
#   gt_assert      a programmer's error; the branch that fails ends the process
#   MUTANT         a planted fault, off in this build (a constant: gcov counts no branch of it)
#   unreachable    lines that bear this word in a comment
# Failures of memory are not left out: "every call fails once" is to reach them.
set -uo pipefail
source=$1 build=$2
[ -d "$build" ] || { echo "coverage.sh: no build in $build; see ./test.sh coverage" >&2; exit 2; }
cd "$build" || exit 1
find . -name '*.gcda' -delete
echo "running the tests of the engine" >&2
ctest -j 2 -R '^(unit\.(engine|base|node|sim|lib)_|fuzz\.engine_|crash\.|story\.|proc\.(rot|lostlog|fulldisk|faileddisk)_test)' \
  --timeout 900 >coverage.log 2>&1 || { grep -E 'Failed|Timeout|tests passed' coverage.log; echo "coverage.sh: a test failed" >&2; }
bin/gtstore-sim --brief --seeds 1..40 >>coverage.log 2>&1 || { tail -n 3 coverage.log; echo "coverage.sh: the simulator failed" >&2; }

# One object of each source may be compiled into several libraries: what any of them reached is reached.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
while read -r notes; do
  case $notes in
    */engine/*.c.gcno | */node/quorum.c.gcno) ;;
    *) continue ;;
  esac
  [ -f "${notes%.gcno}.gcda" ] || continue
  gcov --branch-probabilities --json-format --stdout "${notes%.gcno}.gcda" 2>/dev/null
done < <(find . -name '*.c.gcno') |
  jq -c --arg root "$source/" '.files[] | select(.file | startswith($root) and endswith(".c")) | .file |= ltrimstr($root)
    | select(.file | test("^(engine/|node/quorum.c)")) | .file as $f | .lines[]
    | [$f, .line_number, .count, [.branches[] | select(.throw | not) | .count]]' >"$work/lines"
jq -rs 'group_by([.[0], .[1]])[] | . as $same | $same[0][0:2]
    + [([$same[][2]] | max)] + [([$same[][3] | length] | max) as $n
    | [range($n) as $i | [$same[] | select((.[3] | length) == $n) | .[3][$i]] | max | if . > 0 then 1 else 0 end] | join(",")]
    | @tsv' "$work/lines" >"$work/joined"
awk -F '\t' -v root="$source" '
  function percent(part, all) { return all ? sprintf("%5.1f", 100 * part / all) : "    -" }
  function text_of(file, line,  t, n) {
    if (!(file in read_)) { n = 0; while ((getline t < (root "/" file)) > 0) text[file, ++n] = t; read_[file] = 1 }
    return text[file, line]
  }
  { t = text_of($1, $2)
    if (t ~ /gt_assert|MUTANT\(|unreachable/) next
    lines[$1]++; hit[$1] += $3 > 0
    n = split($4, b, ",")
    for (i = 1; i <= n; i++) { branches[$1]++; taken[$1] += b[i]; if (!b[i] && $3 > 0) open_[$1] = open_[$1] " " $2 }
    if ($3 == 0) missed[$1] = missed[$1] " " $2 }
  END {
    printf "%-28s %15s %20s\n", "file", "lines", "branches"
    for (f in lines) {
      printf "%-28s %4d/%4d %s%% %6d/%5d %s%%\n", f, hit[f], lines[f], percent(hit[f], lines[f]), taken[f], branches[f], percent(taken[f], branches[f]) | "sort"
      if (f ~ /^engine\//) { L += lines[f]; H += hit[f]; B += branches[f]; T += taken[f] }
      if (missed[f]) print f ": lines never reached:" missed[f] > (root "/build-coverage/coverage.missed")
      if (open_[f]) print f ": branches never taken, at lines:" open_[f] > (root "/build-coverage/coverage.missed")
    }
    close("sort")
    printf "engine/ in all: lines %d of %d, %s %%; branches %d of %d, %s %%\n", H, L, percent(H, L), T, B, percent(T, B)
  }' "$work/joined"
echo "what was not reached, by line: $build/coverage.missed"
