/*
 * One snapshot of the cluster for everyone who asks: the map, and what the heartbeats say.
 */
#ifndef GT_MANAGER_STATUS_H
#define GT_MANAGER_STATUS_H

#include "net/msg.h"

/* What the manager knows of a member besides the map. */
struct sighting {
    uint64_t node;
    uint64_t heard_us; /* its last heartbeat; UINT64_MAX = none since the manager's start */
    struct node_report report;
    bool report_known;
};

/* Fills *out from the map, from sightings[i] of member i (members without one come last and count
 * as never heard), and from the newest map on its way: whom that says to be down is, also while a
 * majority of the members is away and no map comes to count. What it points to ends with
 * status_close. 0 or GT_ENOMEM. */
int status_fill(const struct ring *r, const struct ring *newest, const struct sighting *sightings,
                uint32_t sighting_count, uint64_t now_us, struct status *out);
void status_close(struct status *s);

#endif
