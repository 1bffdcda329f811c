#!/usr/bin/env bash
# Two managers. The one that leads is killed, and the other one takes over; the first comes back with
# an empty folder and changes nothing beside it; then both are killed, and one of them begins with an
# empty folder.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
declare -A at
# manager_begin NAME: starts it, at the address that it had before.
manager_begin() {
  daemon_start "$1" "$bin/gtstore-manager" --data-dir "$scratch/$1" --replicas 3 \
    --form-nodes 3 --form-after 0.2s --listen "${at[$1]:-127.0.0.1:0}" || fail "$1 did not start"
  at[$1]=${daemon_address[$1]}
}
says() { # NAME: reachable (it leads), standby
  "$bin/gtstore-admin" -m "${at[$1]}" -o json status | grep -oE '"manager": *"[a-z]+"' | cut -d'"' -f4
}
# leads NAME: within a while it does, as it says itself.
is_leading() { [ "$(says "$1")" = reachable ]; }
leads() {
  poll 600 is_leading "$1" || fail "$1 does not lead"
}
stands_by() { [ "$(says "$1")" = standby ]; }
epoch() { # NAME
  "$bin/gtstore-admin" -m "${at[$1]}" -o json status | grep -oE '"(epoch|ballot)": *[0-9]+' | tr -d '\n'
}
well() { # WHEN
  "$bin/gtstore-admin" wait --timeout 60s || fail "not well $1"
}

manager_begin one
manager=${at[one]}
# The second one comes to a cluster that is formed; its address is known from the start.
manager_begin two
daemon_kill two
rm -rf "$scratch/two"
manager=${at[one]},${at[two]}
export GTSTORE_MANAGER=$manager
for node in node1 node2 node3; do
  node_start $node || fail "$node did not start"
done
well "at first"
leads one
manager_begin two
follows() { stands_by two && [ "$(epoch one)" = "$(epoch two)" ]; }
poll 600 follows
stands_by two || fail "the second manager does not stand by"
expect 'OK, node*' gt -v put k1 v1
# Who stands by has a copy of the map that may be old: it shows no plan, and the next on the list is asked.
expect_exit 1 "$bin/gtstore-admin" -m "${at[two]}" rebalance --plan
"$bin/gtstore-admin" -m "${at[two]},${at[one]}" rebalance --plan >/dev/null || fail "the one that leads was not asked"

daemon_kill one
expect 'OK, node*' gt -v put k2 v2
leads two
daemon_kill node3
node_start node3 || fail "node3 does not come back"
well "with the second manager"
before=$(epoch two)

rm -rf "$scratch/one"
manager_begin one
has_come_back() { stands_by one && [ "$(epoch one)" = "$before" ]; }
poll 600 has_come_back
stands_by one || fail "the first manager does not stand by"
[ "$(epoch one)" = "$before" ] || fail "the first manager has not the map: $(epoch one), $before"
[ "$(epoch two)" = "$before" ] || fail "an empty folder has changed the map"
leads two
expect 'v1' gt get k1
expect_exit 0 admin status

daemon_kill one
daemon_kill two
rm -rf "$scratch/one" "$scratch/two"
expect 'OK, node*' gt -m "${daemon_address[node1]}" -v put k3 v3
manager_begin one
leads one
daemon_kill node2
node_start node2 || fail "node2 does not come back"
well "with an empty folder"
for key in k1 k2 k3; do
  expect "v${key#k}" gt get $key
done
