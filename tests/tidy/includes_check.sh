#!/usr/bin/env bash
# Includes point one way only:
#   engine/base <- engine <- net <- { node, manager, client }; bench sees client/gtstore.h and
#   engine/base; and the headers of libuv, LMDB and msgpack-c stay in the files named for them.
# Usage: includes_check.sh SOURCE_DIR
set -euo pipefail
cd "$1"
bad=0
complain() {
  echo "$1"
  bad=1
}

room_of() { # file -> room
  case $1 in
    engine/base/*) echo base ;;
    *) echo "${1%%/*}" ;;
  esac
}

declare -A may=(
  [base]="base"
  [engine]="base engine"
  [net]="base engine net"
  [node]="base engine net node"
  [manager]="base engine net manager"
  [client]="base engine net client"
  [bench]="base bench"
)

files=0
while read -r file; do
  files=$((files + 1))
  room=$(room_of "$file")
  while read -r included; do
    case $included in
      client/gtstore.h) [ "$room" = bench ] && continue ;;
      engine/*) case $file in bench/engine_*.c) continue ;; esac ;;
    esac
    to=$(room_of "$included")
    case " ${may[$room]} " in
      *" $to "*) ;;
      *) complain "$file includes $included: $room may not see $to" ;;
    esac
  done < <(sed -nE 's/^#include "([a-z]+\/[^"]+)".*/\1/p' "$file")
  # uv.h reaches *_uv.c alone: directly, or through a header named *_uv.h that only they include.
  if grep -qE '^#include <uv\.h>' "$file" && [[ $file != *_uv.[ch] ]]; then
    complain "$file includes uv.h: only *_uv.c may"
  fi
  if [[ $file != *_uv.[ch] ]]; then
    while read -r header; do
      grep -qE '^#include <uv\.h>' "$header" && complain "$file includes $header, and so uv.h"
    done < <(sed -nE 's/^#include "([a-z\/]+_uv\.h)".*/\1/p' "$file")
  fi
  if grep -qE '^#include <lmdb\.h>' "$file" && [[ $file != engine/index_lmdb.c && $file != bench/peers/* ]]; then
    complain "$file includes lmdb.h: only engine/index_lmdb.c may"
  fi
  if grep -qE '^#include <msgpack' "$file" && [ "$file" != net/msg.c ]; then
    complain "$file includes msgpack.h: only net/msg.c may"
  fi
done < <(find engine net node manager client bench -path client/examples -prune -o -name '*.[ch]' -print)
[ "$files" -gt 30 ] || complain "only $files files found: is the source folder right?"
[ "$bad" = 0 ] && echo "$files files, every include points the right way"
exit "$bad"
