#!/usr/bin/env bash
# A manager with an empty folder is started at the address of the old one. It refuses nodes of
# another cluster, and they go on serving; when the old one comes back, all is as it was.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
cluster_start 3 --replicas 3 || fail "the cluster did not start"
expect 'OK, node*' gt -v put k1 v1
daemon_kill manager
mv "$scratch/manager" "$scratch/old"
manager_start --replicas 3 || fail "the stranger did not start at the old address"

for label in node1 node2 node3; do
  for ((i = 0; i < 600; i++)); do
    ! grep -q 'refuses this node' "$scratch/$label.log" || break
    sleep 0.05 # nanosleep_seam: polls a condition with a bound
  done
  grep -q 'refuses this node' "$scratch/$label.log" || fail "$label has not met the stranger"
  daemon_alive $label || fail "the stranger ended $label"
done
for label in node1 node2 node3; do
  expect 'k1, v1, node*' gt -m "${daemon_address[$label]}" -v get k1
  expect 'OK, node*' gt -m "${daemon_address[$label]}" -v put "$label" there
done
expect_exit 5 admin locate k1 # the stranger has no node

daemon_kill manager
rm -rf "$scratch/manager"
mv "$scratch/old" "$scratch/manager"
manager_start || fail "the old manager did not come back"
cluster_wait || fail "not well with the old manager"
for label in node1 node2 node3; do
  daemon_alive $label || fail "$label died"
  expect 'there' gt get $label
done
