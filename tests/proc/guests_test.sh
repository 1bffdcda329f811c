#!/usr/bin/env bash
# Four nodes, three copies, profile course: one owner is killed, writes go on with a guest for it, and
# when it is back it is brought what was kept: it answers alone for what was written while it was away.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
# Nobody takes the place of the one that is away, however slow the machine is.
cluster_start 4 --replicas 3 --profile course --replace-after 0 || fail "the cluster did not start"

expect 'OK, node*' gt -v put fruit green
victim=$(admin -o json locate fruit | jq -r '.owners[1].label')
[ "$(gt -o json put fruit green | jq -c '[.owners, .guests]')" = '[3,0]' ] || fail "expected three owners and no guest"

echo "kill -9 $victim: writes go on, and say with whom"
daemon_kill "$victim"
[ "$(gt -o json put fruit red | jq -c '[.owners, .guests]')" = '[2,1]' ] || fail "expected two owners and a guest"
expect '*sloppy: 1 of the 3 that have it stand in for owners out of reach*' gt -v put fruit red
for i in {1..40}; do
  expect 'OK' gt put "key$i" "value$i"
done
expect 'fruit, red, node*' gt -v get fruit
kept=$(admin -o json hints | jq "[.hints[] | select(.kind == \"parcels\" and .target == \"$victim\").count] | add")
[ "${kept:-0}" -gt 10 ] || fail "expected parcels for $victim, saw ${kept:-none}"
expect "*parcels *$victim *" admin hints
expect_exit 7 admin hints
[ "$(admin hints 2>&1 >/dev/null)" = "gtstore-admin: $victim did not answer: unreachable: what it keeps is not known" ] || fail "expected that $victim is named"
[ "$(admin -o json hints 2>/dev/null | jq -c .not_answered)" = "[{\"label\":\"$victim\",\"cause\":\"unreachable\"}]" ] || fail "expected $victim in a field"
expect_exit 7 admin wait --timeout 300ms

echo "who keeps something is killed as well, and has it still when it is back"
keeper=$(admin -o json hints | jq -r '[.hints[] | select(.kind == "parcels")][0].holder')
daemon_kill "$keeper"
node_start "$keeper" || fail "$keeper did not come back"
again=$(admin -o json hints | jq "[.hints[] | select(.kind == \"parcels\" and .target == \"$victim\").count] | add")
[ "${again:-0}" = "$kept" ] || fail "expected $kept parcels, saw ${again:-none}"

echo "$victim comes back, and is brought what was kept for it"
node_start "$victim" || fail "$victim did not come back"
cluster_wait || fail "not well after $victim came back"
expect_exit 0 admin hints
[ "$(admin -o json hints | jq -c '[.hints, .not_answered]')" = '[[],[]]' ] || fail "expected nothing to be kept any more, saw $(admin -o json hints)"

echo "with the other owners dead it answers alone"
for label in $(admin -o json locate fruit | jq -r '.owners[].label'); do
  [ "$label" = "$victim" ] || daemon_kill "$label"
done
# It has asked the others once more whether they keep something for it, or does within moments.
for ((i = 0; i < 100; i++)); do
  [[ $(gt -v get fruit 2>&1) == *degraded* ]] || break
  sleep 0.05 # polls a condition with a bound
done
expect "fruit, red, $victim" gt -v get fruit

echo "no owner is within reach: nothing is stored"
daemon_kill "$victim"
expect_exit 6 gt put fruit blue

echo "nobody is left to tell what is kept"
for label in node1 node2 node3 node4; do daemon_kill "$label"; done
expect_exit 6 admin hints
expect_exit 6 admin -o json hints
[ -z "$(admin hints 2>/dev/null)" ] || fail "an answer of nobody"
