#!/usr/bin/env bash
# What make install leaves: a first program compiles against it by pkg-config alone, wherever it was
# put, and runs; the installed programs serve it.
set -uo pipefail
bin=$1
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$source_dir/tests/lib/cluster.sh"
scratch_begin
build=$(cd "$bin/.." && pwd)
command -v pkg-config >/dev/null || skip "the installed library: needs pkg-config"
make -n -C "$source_dir" install PREFIX=/opt/gtstore | grep -x 'cmake --install build --prefix /opt/gtstore' >/dev/null ||
  fail "make install does not pass PREFIX on"

for place in "$scratch/stage /opt/gtstore" " $scratch/prefix"; do
  stage=${place%% *} prefix=${place##* }
  echo "DESTDIR=$stage PREFIX=$prefix"
  DESTDIR=$stage cmake --install "$build" --prefix "$prefix" >"$scratch/install.log" 2>&1 || fail "$(tail -n 5 "$scratch/install.log")"
  root=$stage$prefix
  pc=$(find "$root" -name gtstore.pc)
  [ -f "$pc" ] || fail "no gtstore.pc under $root"
  export PKG_CONFIG_PATH=${pc%/*}
  sanitize=$(sed -n 's/^GT_SANITIZE:STRING=\(..*\)/-fsanitize=\1/p' "$build/CMakeCache.txt")
  # shellcheck disable=SC2046
  "${CC:-cc}" $sanitize -Wall -Werror "$source_dir/client/examples/first.c" -o "$scratch/first" \
    $(pkg-config --cflags --libs gtstore) || fail "first.c does not compile against $root"
  # shellcheck disable=SC2046
  "${CC:-cc}" $sanitize -Wall -Werror "$source_dir"/client/examples/{shopping_cart,cart}.c -o "$scratch/cart" \
    $(pkg-config --cflags --libs gtstore) || fail "shopping_cart.c does not compile against $root"
done

library=$(dirname "$(find "$scratch/prefix" -name libgtstore.so)")
bin=$scratch/prefix/bin
cluster_start 1 --replicas 1 || fail "the installed programs do not serve"
LD_LIBRARY_PATH=$library expect 'name = Ada, from node1' "$scratch/first" "$manager"
LD_LIBRARY_PATH=$library expect '0 siblings, from node1: empty' "$scratch/cart" cart anna "$manager" <<<read
for program in gtstore gtstore-admin gtstore-bench gtstore-check gtstore-node gtstore-manager; do
  [ "$("$bin/$program" --version)" = "$program $(pkg-config --modversion gtstore)" ] || fail "$program --version"
done
