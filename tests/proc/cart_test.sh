#!/usr/bin/env bash
# The shopping cart of client/examples: it refuses what it cannot read or write with one clear line,
# and changes nothing then; and its scenario.
set -uo pipefail
bin=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../lib/cluster.sh"
scratch_begin
cluster_start 1 --replicas 1 || fail "the cluster did not start"
cart() { "$bin/gtstore-example-cart" "$@"; }

expect_exit 2 cart
expect_exit 2 cart cart
expect_exit 2 cart cart anna "$manager" more
expect_exit 2 cart cart 'anna b'
expect_exit 2 cart cart "$(printf 'a%.0s' {1..32})"
expect_exit 2 cart cart anna nowhere

echo "commands that are none"
for line in '' buy 'add' 'add milk' 'add 0 milk' 'add -1 milk' 'add 1000001 milk' 'add 1 ' 'add 1  milk' \
  "add 1 $(printf 'i%.0s' {1..201})" "add 1 $(printf 'i%.0s' {1..2000})" 'remove milk' 'remove ' write; do
  expect 'failed: *' cart cart anna <<<"$line"
  expect_exit 1 cart cart anna <<<"$line"
done
expect_exit 3 gt get cart
expect $'cart: 1 milk\nfailed: *\ncart: 1 milk' cart cart anna <<<$'add 1 milk\nadd 1\nshow'

echo "a value that is no cart is neither read nor replaced"
expect OK gt put cart 'cart 1
item anna 1 1 milk
'
expect $'failed: line 2 of the cart: an item that was not seen\ncart: 1 tea\nfailed: read first*' \
  cart cart anna <<<$'read\nadd 1 tea\nwrite'
expect $'cart 1\nitem anna 1 1 milk' gt get cart

echo "a cart whose key somebody deleted is written anew"
expect OK gt delete cart
expect '? sibling*, from node1: empty
cart: 1 tea
written, by node1' cart cart anna <<<$'read\nadd 1 tea\nwrite'

echo "reading keeps what is not written yet"
expect 'cart: 2 jam
1 sibling, from node1: 2 jam, 1 tea' cart cart ben <<<$'add 2 jam\nread'

cluster_stop
bin=$bin bash "$here/../scenario/cart.sh"
