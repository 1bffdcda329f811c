/*
 * The verdict on a cluster, as one pure function of a map and of who is up: the manager computes it
 * from heartbeats, a node (when the manager is away) from its own links.
 *
 *   healthy      every partition has all its owners up, as many as the settings ask for
 *   degraded     every partition has its quorum for R and W
 *   at_risk      so too, but some partition would lose it by one more failure; a list that is
 *                shorter than the settings ask for may need all of its owners
 *   unavailable  some partition has lost it, or the cluster is forming
 *
 * In profile course guests stand in for owners of W, while one of them is up.
 */
#ifndef GT_NET_STATUS_H
#define GT_NET_STATUS_H

#include "net/msg.h"

/* up[i]: member i is up and votes. Fills verdict, partitions_full, partitions_quorum (quorum, not
 * full) and partitions_below (no quorum), which add up to the partitions; all zero and unavailable
 * while r is NULL or forming. */
void status_count(const struct ring *r, const bool *up, struct status *out);

#endif
