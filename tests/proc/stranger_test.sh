#!/usr/bin/env bash
# What a manager has in its folder is a copy. With an empty folder, and with the folder of another
# cluster, it takes over the cluster of the nodes that connect to it; and so does the old one when
# it comes back with the map of before.
set -uo pipefail
bin=$1
. "$(dirname "${BASH_SOURCE[0]}")/../lib/cluster.sh"
scratch_begin
# A cluster of its own, at the address of which no node is left.
manager_start --replicas 1 || fail "the other cluster has no manager"
node_start other || fail "the other cluster has no node"
cluster_wait || fail "the other cluster is not well"
daemon_kill other
daemon_kill manager
mv "$scratch/manager" "$scratch/stranger"

cluster_start 3 --replicas 3 || fail "the cluster did not start"
expect 'OK, node*' gt -v put k1 v1
cluster=$(admin -o json status | sed -E 's/.*"cluster_id": *"([0-9a-f]+)".*/\1/')
daemon_kill manager
cp -r "$scratch/manager" "$scratch/old"

# the_cluster_is_as_it_was WHAT: the manager leads it, and can change its map.
the_cluster_is_as_it_was() {
  cluster_wait || fail "not well with $1"
  [ "$cluster" = "$(admin -o json status | sed -E 's/.*"cluster_id": *"([0-9a-f]+)".*/\1/')" ] ||
    fail "another cluster with $1"
  daemon_kill node3
  node_start node3 || fail "node3 does not come back with $1"
  cluster_wait || fail "not well after node3 was away, with $1"
  expect 'v1' gt get k1
}

rm -rf "$scratch/manager"
manager_start --replicas 3 || fail "no start with an empty folder"
the_cluster_is_as_it_was "an empty folder"
daemon_kill manager
rm -rf "$scratch/manager"
mv "$scratch/stranger" "$scratch/manager"
manager_start || fail "no start with the folder of another cluster"
the_cluster_is_as_it_was "the folder of another cluster"
daemon_kill manager
rm -rf "$scratch/manager"
mv "$scratch/old" "$scratch/manager"
manager_start --replicas 3 || fail "no start with the folder of before"
the_cluster_is_as_it_was "the folder of before"
