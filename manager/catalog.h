/*
 * The catalog: the cluster map on its way from a change to something that others may be told.
 *
 *     draft ---- catalog_commit: epoch + 1, STORE META "map" ----> writing ---- STORED ----> told
 *
 * told is durable; only it leaves the manager. At most one map is being written; what changes
 * meanwhile gathers in the draft, which is based on the map being written. A write that failed
 * leaves told as it is and its changes in the draft.
 *
 * Epochs: the ballot is the stored one plus 1 at each start of the manager, the counter goes up by
 * one with each map and is never set back (RULES 17).
 */
#ifndef GT_MANAGER_CATALOG_H
#define GT_MANAGER_CATALOG_H

#include "net/step.h"

#define CATALOG_TAG 1 /* of its STOREs */

struct catalog {
    struct ring *told, *writing, *draft; /* one reference each; may be NULL */
    uint64_t ballot;
};

/* From the bytes of the stored map (NULL: there is none yet), whose epoch's ballot is raised by the
 * next commit. 0; GT_EFORMAT, GT_EPROTO for bytes that cannot be read; GT_ENOMEM. */
int catalog_init(struct catalog *c, const struct blob *stored);
void catalog_close(struct catalog *c);
/* The newest state of the map, not to be told; NULL before the first draft of a new cluster. */
const struct ring *catalog_newest(const struct catalog *c);
/* The map to change, with room for member_count members (never fewer than there are; those added
 * are zero). NULL when out of memory, or when there is no map at all yet (catalog_begin). */
struct ring *catalog_edit(struct catalog *c, uint32_t member_count);
/* Replaces the draft by a map made anew; takes over the reference. */
void catalog_begin(struct catalog *c, struct ring *draft);
/* Gives the draft the next epoch, with the fences of arcs that have changed (ring.h), and starts to
 * write it, if there is one and no other write is under way. stamp: the manager's
 * clock, kept along with it. */
void catalog_commit(struct catalog *c, uint64_t stamp, struct gt_effects *fx);
/* The end of the write: true when there is a new map to tell. */
bool catalog_stored(struct catalog *c, int result);

#endif
