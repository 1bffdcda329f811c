/*
 * What the two ways to place share (placement.c, placement_plan.c). Arcs name seats here, not
 * members.
 */
#ifndef GT_MANAGER_PLACEMENT_PRIVATE_H
#define GT_MANAGER_PLACEMENT_PRIVATE_H

#include "engine/base/prng.h"
#include "manager/placement.h"

struct seat { /* a member that takes part */
    uint32_t member, zone;
    double capacity, share;
    uint32_t tokens;
};

struct zone {
    uint32_t first, count; /* its seats */
    double low, high;      /* bounds of its share */
    double share;
};

struct plan {
    uint32_t q, n; /* arcs, owners of each */
    struct seat *seats;
    uint32_t seat_count;
    struct zone *zones;
    uint32_t zone_count;
};

/* Seats, zones and shares of the members for whom takes_part says so. 0, GT_EARG when there are
 * none, GT_ENOMEM. */
int plan_init(struct plan *p, const struct ring *r, bool (*takes_part)(const struct member *m));
void plan_close(struct plan *p);
/* Gives each seat a whole number of tokens next to its share. held: what each seat has; where it
 * can be chosen who is rounded up, those are that hold more already. NULL: nothing. 0, GT_ENOMEM.
 */
int plan_round(struct plan *p, const uint32_t *held);
/* Whether the zones of `a` are as they must be, or can still be, when `in` stands at `slot` in
 * place of who does; slots may be VACANT. */
#define VACANT UINT16_MAX
bool plan_zones_allow(const struct plan *p, const struct arc *a, uint32_t slot, uint16_t in);
bool arc_has(const struct arc *a, uint16_t seat);
/* Shares out the first places of the lists in proportion to the tokens, by changes of order alone:
 * from how they are, or dealt anew. 0, GT_ENOMEM. */
int plan_primaries(const struct plan *p, struct arc *arcs, bool anew);

#endif
