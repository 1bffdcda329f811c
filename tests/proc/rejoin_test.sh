#!/usr/bin/env bash
# A node that was away for a thousand writes has them when `wait` returns: verify says so, and it alone answers them.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
cluster_start 3 --replicas 3 || fail "the cluster did not start"

lines() { seq "$2" "$3" | sed "s/.*/{\"key\": \"key&\", \"value\": \"$1&\"}/"; }
lines before 1 2000 | gt import - || fail "import"
daemon_kill node3
lines while 1 800 | gt import - || fail "import with node3 away"
lines while 2001 2200 | gt import - || fail "import with node3 away"
expect_exit 7 admin verify
node_start node3 || fail "node3 did not come back"
cluster_wait || fail "wait did not return"
expect 'equal: 1024 partitions, 2200 keys' admin verify
# Neither lag nor hints were left when wait returned. They may show again for a moment: an owner that has
# closed the life which was killed has something that the others have not.
# Its events tell what it was sent: what it missed, and nothing else.
pulled=$(admin -o json events | jq '[.events[] | select(.node == "node3" and .event == "pull_ended").cause | split(" ")[0] | tonumber] | add')
echo "node3 pulled $pulled states"
[ "${pulled:-0}" -ge 1000 ] || fail "expected events that say that node3 pulled the thousand writes"
[ "$pulled" -le 2000 ] || fail "more crossed the wire than was missed"

echo "node3 alone has them all"
daemon_kill node1
daemon_kill node2
alone=${daemon_address[node3]}
export bin alone
check() {
  [ "$("$bin/gtstore" -m "$alone" get -r 1 --available "key$2")" = "$1$2" ] || echo "key$2"
}
export -f check
lost=$({ seq 1 800 && seq 2001 2200; } | xargs -P 4 -I{} bash -c 'check while {}')
[ -z "$lost" ] || fail "node3 alone does not answer: $lost"
[ "$(gt -m "$alone" get -r 1 --available key2000)" = before2000 ] || fail "what it had before is gone"
