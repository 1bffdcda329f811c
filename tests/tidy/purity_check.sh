#!/usr/bin/env bash
# A pure file asks nothing of the world: every symbol that its object leaves undefined is either the
# project's own or in the list below (memory, text, arithmetic, the libraries that compute).
# Usage: purity_check.sh SOURCE_DIR BUILD_DIR
set -euo pipefail
source_dir=$1 build_dir=$2

allowed='^(malloc|calloc|realloc|free|abort|_Exit|mem(cpy|move|set|cmp|chr|rchr|mem)|str(len|cmp|ncmp|casecmp|ncasecmp|chr|rchr|str|spn|cspn|nlen|tod|tol|toul|tull|toull|dup|ndup|pbrk|sep|tok_r)|stpcpy|bcmp|qsort(_r)?|bsearch|(v?snprintf|sscanf|vfprintf|fprintf|stderr)|(ceil|floor|log|log2|pow|exp|sqrt|fmod|round|llround|lround)f?|__(isoc99_sscanf|ctype_b_loc|ctype_tolower_loc|ctype_toupper_loc|errno_location|stack_chk_fail|(mem|str|sn|vsn|f|vf)[a-z]*_chk|popcountdi2|u?divti3|u?modti3)|toupper|tolower|is(alnum|alpha|digit|print|space|xdigit|upper|lower)|XXH[0-9A-Za-z_]*|crc32_iscsi|__cpu_model|msgpack_[a-z0-9_]*|json_[a-z0-9_]*|jsonp_[a-z0-9_]*|_GLOBAL_OFFSET_TABLE_|__(asan|ubsan|tsan|sanitizer|lsan|gcov|sancov)_[A-Za-z0-9_]*|_Unwind_Resume|gmtime_r|strftime|timegm|(open_memstream|fflush|fclose|fputs|fputc|putc))$'
# Of stdio only assert.c (the last words before abort) may touch a stream.
stdio='^(stderr|v?fprintf|open_memstream|fflush|fclose|fputs|fputc|putc)$'

shopt -s nullglob globstar
own=$(mktemp) bad=0 seen=0
trap 'rm -f "$own"' EXIT
for archive in "$build_dir"/libgt_*.a; do
  nm -g --defined-only "$archive" 2>/dev/null | awk 'NF==3{print $3}'
done | sort -u >"$own"

for object in "$build_dir"/CMakeFiles/gt_*.dir/**/*.o; do
  file=${object#*.dir/}
  file=${file%.o}
  case $file in
    *_uv.c | *_posix.c | *_lmdb.c | *_main.c | */main.c | bench/* | tests/*) continue ;;
  esac
  [ -f "$source_dir/$file" ] || continue # left over from a file that has gone
  seen=$((seen + 1))
  while read -r symbol; do
    grep -qxF "$symbol" "$own" && continue
    if ! grep -qE "$allowed" <<<"$symbol"; then
      echo "$file uses $symbol: not allowed in a pure file"
      bad=1
    elif grep -qE "$stdio" <<<"$symbol" && [ "$file" != engine/base/assert.c ]; then
      echo "$file uses $symbol: streams belong to the edge"
      bad=1
    fi
  done < <(nm -u "$object" | awk '{print $NF}' | sed 's/@.*//' | sort -u)
done
[ "$seen" -gt 10 ] || { echo "only $seen pure objects found: is the build folder right?"; exit 1; }
[ "$bad" = 0 ] && echo "$seen pure objects, all within the allow-list"
exit "$bad"
