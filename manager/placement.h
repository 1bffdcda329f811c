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

/*
 * The lists that there should be, from those that there are (r->arcs) and the members as they are
 * now: who is leaving or removed has no part, everybody else has one, also who is down, since it is
 * expected back. Aims, the first first: as few lists as can be that break a rule of above; tokens
 * next to the shares; few moves. The first places are levelled by changes of order.
 *
 * `target` has room for settings.partitions arcs, all of them stable. The same map gives the same
 * plan. 0; GT_EARG when nobody has a part; GT_ENOMEM.
 */
int placement_plan(const struct ring *r, struct arc *target);

/* One slot of an arc goes from a member to another; -1: to or from nobody, as a list grows longer
 * or shorter. */
struct placement_move {
    uint32_t partition;
    int from, to; /* member indexes */
};

/* The moves between two lists of one partition; their number. */
uint32_t placement_moves(const struct arc *now, const struct arc *target, uint32_t partition,
                         struct placement_move out[REPLICAS_MAX]);

#endif
