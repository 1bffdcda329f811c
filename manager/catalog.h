/*
 * The catalog: the cluster map on its way from a change to something that others may be told.
 *
 *     draft -- catalog_commit: next epoch --> writing -- held by a majority: catalog_counted,
 *     STORE META "map" --> STORED --> told
 *
 * told counts (RULES 17), and is durable here as well; only it leaves the manager as a map to act
 * on. At most one map is on its way; what changes meanwhile gathers in the draft, which is based on
 * that one. One that does not come to count may be superseded by the draft: nobody else can find
 * that it counts, since only its manager counts under its ballot.
 *
 * Who must hold a map: a majority of the members of the map before that own partitions, or get some
 * by a move. Those without hold nothing that a wrong map could lose, and are easily added, and gone
 * again: if they counted, three that had joined three others and ended would stop every change.
 * When exactly one goes with it nothing is asked of that one: a majority of the others meets every
 * majority with it (of n: n/2 + 1, of n - 1: (n-1)/2 + 1, together more than n). Nor is anything
 * asked of those whose places are given to others, since a person has said that they are lost for
 * good: then all that anybody can ever gather are majorities of who is left, or more. So one of two
 * nodes, or two of three, can be replaced.
 *
 * A map that is not formed counts when it is durable here: it has no owners, so nothing is written
 * by it, and nodes that come and go while the cluster gathers must not hold it up. The map that
 * forms the cluster must be held by a majority of its own members.
 *
 * Epochs: the ballot is that of the manager's reign (ballots.c), the counter goes up by one with
 * each map and is never set back, nor used for two maps.
 */
#ifndef GT_MANAGER_CATALOG_H
#define GT_MANAGER_CATALOG_H

#include "net/step.h"

#define CATALOG_TAG 1 /* of its STOREs */

struct catalog {
    struct ring *told, *writing, *draft; /* one reference each; may be NULL */
    uint64_t ballot;
    uint64_t counter;      /* the highest that was given to a map */
    struct blob *bytes;    /* of writing */
    struct blob *voters;   /* a majority of whom must hold writing: a run of u64, empty: nobody */
    struct blob *voters2;  /* and a majority of these; NULL: the first are enough */
    bool found;            /* writing: catalog_commit_found */
    bool counted, storing; /* writing: they do; and it is being stored */
};

/* From the bytes of the stored map (NULL: there is none yet). 0; GT_EFORMAT, GT_EPROTO for bytes
 * that cannot be read; GT_ENOMEM. */
int catalog_init(struct catalog *c, const struct blob *stored);
void catalog_close(struct catalog *c);
/* The newest state of the map, not to be told; NULL before the first draft of a new cluster. */
const struct ring *catalog_newest(const struct catalog *c);
/* The map to change, with room for member_count members (never fewer than there are; those added
 * are zero). NULL when out of memory, or when there is no map at all yet (catalog_begin). */
struct ring *catalog_edit(struct catalog *c, uint32_t member_count);
/* Replaces the draft by a map made anew; takes over the reference. */
void catalog_begin(struct catalog *c, struct ring *draft);
/* Drops what is on its way and does not count, and the draft. */
void catalog_drop(struct catalog *c);
/* Gives the draft the next epoch, with the fences of arcs that have changed (ring.h), and puts it
 * in the place of what is on its way, which must not count yet. False: nothing was done. */
bool catalog_commit(struct catalog *c);
/* The same of a proposal that was found, and counts or not: a majority of its voters must hold it,
 * and one of its own members (catalog_second); nothing supersedes it. Takes over nothing. */
bool catalog_commit_found(struct catalog *c, const struct ring *found, struct slice voters);
/* They hold it: it is stored here too. stamp: the manager's clock, kept along with it. Again after
 * a store that failed. */
void catalog_counted(struct catalog *c, uint64_t stamp, struct gt_effects *fx);
/* A map that counts, of another manager: kept here. Only when nothing is on its way. */
void catalog_copy(struct catalog *c, struct ring *counts, uint64_t stamp, struct gt_effects *fx);
/* The end of the write: true when there is a new map to tell. */
bool catalog_stored(struct catalog *c, int result);
/* The members of the map that have a part in it (all, while it is not formed), without those
 * removed, nor those who are gone for good, of whom the ids are given; when nobody is left so the
 * other members: a run of u64, one reference. */
struct blob *catalog_voters(const struct ring *r, const uint64_t *gone, uint32_t gone_count);
/* The same of a proposal that was found, when its members must be asked besides its voters: NULL
 * when any majority of the one meets any of the other, as with one who comes or goes. */
struct blob *catalog_second(const struct ring *found, struct slice voters);

#endif
