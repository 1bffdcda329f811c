#!/usr/bin/env bash
# Keys that very many have written to. A 65th value beside 64 others is refused by a typed error that says
# what to do, and nothing is lost. A history of so many lives of nodes that its context would be over 16 KiB
# gives one that fits: it supersedes less, so a sibling may stay, and none goes that was not shown.
# Usage: contexts_test.sh BIN
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
context_max=16384 siblings_max=64
scratch_begin
segment=1MiB
cluster_start 3 --replicas 3 --partitions 16 --replace-after 0 || fail "the cluster did not start"

values() { gt get --all "$1" | jq -r .value | LC_ALL=C sort | tr '\n' ' '; }
token() { gt -o json get --all --context "$1" | jq -r 'if type == "array" then .[0].context else .context end' | head -n 1; }
token_bytes() { token "$1" | tr -d '\n' | tr -- '-_' '+/' | base64 -d 2>/dev/null | wc -c; }
sibling_put() { gt put --context - "$1" "$2" >"$scratch/out" || fail "the sibling $2 of $1 is not taken"; }

echo "as many siblings as a key may have, and one more"
for ((i = 10; i < 10 + siblings_max; i++)); do sibling_put many "v$i"; done
all=$(for ((i = 10; i < 10 + siblings_max; i++)); do echo -n "v$i "; done)
expect_exit 2 gt put --context - many over
err=$(gt put --context - many over 2>&1)
grep -q "over the limit of $siblings_max siblings: gtstore get --all --context KEY, then put with that context; not applied" <<<"$err" ||
  fail "the refusal does not say what it is of, and what to do: $err"
[ "$(values many)" = "$all" ] || fail "not all values are there: $(values many)"
gt put --context "$(token many)" many one || fail "a put that has seen all of them is refused"
[ "$(values many)" = "one " ] || fail "what was seen is not replaced: $(values many)"

# Lives are closed, and leave histories, only when every member has told that it has nothing of them: node3
# is away.
for key in near over early; do for value in a b c; do sibling_put $key $value; done; done
cluster_wait || fail "not well"
id=$(admin -o json nodes | jq -r '.nodes[] | select(.label == "node1") | .id')
for label in node1 node2 node3; do daemon_stop $label; done
for label in node1 node2 node3; do node_start $label || fail "$label does not start"; done
cluster_wait || fail "not well again"
for label in node1 node2 node3; do daemon_stop $label; done # all of it is in the index
for label in node1 node2; do
  "$bin/proc_folder" "$scratch/$label" lives near "$id" 800 && "$bin/proc_folder" "$scratch/$label" lives over "$id" 3000 &&
    "$bin/proc_folder" "$scratch/$label" early early "$id" 3000 || fail "the histories were not made"
  node_start $label || fail "$label does not start"
done
two_serve() { gt get --all near >"$scratch/near" 2>&1; }
poll 400 two_serve || fail "two of three owners do not serve: $(cat "$scratch/near")"

for key in near over; do
  [ "$(values $key)" = "a b c " ] || fail "$key: not all values are there: $(values $key)"
  bytes=$(token_bytes $key)
  echo "$key: a context of $bytes bytes"
  [ "$bytes" -gt 5000 ] && [ "$bytes" -le $context_max ] || fail "$key: a context of $bytes bytes"
  gt put --context "$(token $key)" $key merged || fail "$key: the context that was given is refused"
  [ "$(values $key)" = "merged " ] || fail "$key: what was seen is not replaced: $(values $key)"
  gt put $key plain && [ "$(values $key)" = "plain " ] || fail "$key: no plain put after that"
  gt delete --context "$(token $key)" $key || fail "$key: is not deleted"
  expect_exit 3 gt get $key
done
[ "$(token_bytes near)" -le $context_max ] || fail "the context of a deleted key is too long"

# Its oldest sibling is of a life that the context leaves out.
[ "$(values early)" = "a b c " ] || fail "not all values are there: $(values early)"
gt put --context "$(token early)" early merged || fail "the context that was given is refused"
left=$(values early)
case $left in
  "a merged " | "b merged " | "c merged ") echo "left beside: $left" ;;
  *) fail "a context without the sibling's life: $left" ;;
esac
gt put early plain && [ "$(values early)" = "plain " ] || fail "a plain put does not replace what it saw: $(values early)"

echo "a token that is longer than any context"
long=$(head -c $((context_max + 100)) /dev/zero | base64 -w 0 | tr -d '=')
too_long() { # COMMAND...
  local code=0 err
  err=$("$@" 2>&1) || code=$?
  [ $code = 2 ] && [ ${#err} -lt 200 ] && grep -q 'no context is so long' <<<"$err" || fail "exit $code: ${err:0:200}"
}
too_long gt put --context "$long" near v
too_long gt get --min-context "$long" near
daemon_alive node1 && daemon_alive node2 || fail "a node has ended"
node_start node3 || fail "node3 does not start"
cluster_wait || fail "not well with all three"
[ "$(values early)" = "plain " ] && expect_exit 3 gt get near && admin verify || fail "the owners are not equal"
