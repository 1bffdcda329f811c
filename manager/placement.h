/*
 * Which members own which arcs: a pure function of the members, the number of copies and the
 * number of arcs. The same members give the same lists, in whatever order they registered.
 *
 * Every list has n = min(N, members) distinct members. Zones (an empty name is one zone as well):
 * with at least n of them no list names a zone twice; with fewer, every list names all of them.
 * Within these limits each member's number of tokens is its capacity-weighted share, rounded down
 * or up, and the first places of the lists (primaries) are shared in proportion to the tokens,
 * rounded down or up too.
 *
 * A member can hold one slot of an arc at most, so a share is capped at Q, and a zone's at the
 * slots that its members may hold of all arcs; what is cut off is shared among the others.
 */
#ifndef GT_MANAGER_PLACEMENT_H
#define GT_MANAGER_PLACEMENT_H

#include "net/ring.h"

/* Fills owners and owner_count of r->arcs (settings.partitions of them) from the members that are
 * up. 0; GT_EARG when none is up; GT_ENOMEM. */
int placement_form(struct ring *r);

/* The exact share of each member that is up, in tokens, before it is rounded: what placement_form
 * aims at; 0 for the others. `shares` has room for all members. 0, GT_EARG, GT_ENOMEM. */
int placement_shares(const struct ring *r, double *shares);

#endif
