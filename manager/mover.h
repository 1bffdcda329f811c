/*
 * The mover: brings the owner lists of the map to where placement wants them, one slot of one arc
 * at a time, through the phases of a move (net/ring.h; RULES 4, 6). Pure: it is given the newest
 * durable map and a draft on it, what heartbeats said of each member, and the time; it changes the
 * draft by one step. An arc changes its phase once in a step, and only when the map that shows the
 * phase before is durable.
 *
 *              begun: wanted, running, within the bounds
 *   STABLE ------------------------------------------------> PREPARE ----+
 *      ^                                                        |        | cancelled: who comes is
 *      |  who leaves has dropped it,     n-w+1 of the old list  |        | down or has no part (or,
 *      |  or is removed                  have this map, and who |        | with nobody coming, one
 *      |                                 comes (with nobody:    |        | who stays is down), who
 *      |                                 everybody who stays)   |        | was replaced is back, or
 *      |                                 has all it must        |        | a person says so
 *   CLEANUP <------------------------------ READ_NEW <----------+        |
 *      ^       n-r+1 of the old list                                     |
 *      |       have this map                                             |
 *      +-----------------------------------------------------------------+
 *
 * What a member has said counts while it is of the life that the map names. A "done" counts when
 * the heartbeat's map is at least as new as the phase: PREPARE, its fence; CLEANUP, the map in
 * which this manager told it first, which is kept in memory, so that after a restart of the manager
 * the first map of its reign stands for it.
 *
 * Where r of the old list is 1, an owner that is down counts as fenced for reads once it was silent
 * for two leases, since the manager's own start at the earliest (RULES 14). So does one that is
 * removed, whatever r is, and for writes too.
 */
#ifndef GT_MANAGER_MOVER_H
#define GT_MANAGER_MOVER_H

#include "manager/placement.h"
#include "net/msg.h"

#define MOVES_OPEN_MAX      64 /* arcs that are open; those whose leaver is down do not count */
#define MOVES_TO_MEMBER_MAX 16 /* of them, that one member receives */
#define MOVES_DONE_TOLD_MAX                                                                        \
    1024                      /* kept of what one member says is done; the rest is said again      \
                               */
#define MOVES_PAUSE_US 50000u /* between two steps: each map goes to every node */

/* What a member has said last. */
struct mover_seen {
    uint64_t node, incarnation;
    struct epoch epoch; /* of its map, which is durable there */
    uint64_t heard_us;
    bool keeps;     /* parcels, or writes that some owner has not confirmed */
    uint16_t *done; /* ascending */
    uint32_t done_count;
    uint64_t hears[MEMBERS_MAX / 64]; /* who answers it, by member index */
};

struct mover {
    uint64_t start_us; /* silence is counted from here; set by whoever owns it */
    uint64_t lease_us;
    uint64_t replace_after_us; /* 0: never */
    struct mover_seen *seen;   /* by member index */
    /* Of the durable map: by partition, since which epoch its CLEANUP is told; by member index,
     * since which epoch no arc names it. Zero: it is not so. */
    struct epoch *cleanup_since, *unnamed_since;
    uint32_t partitions;
    struct arc *target;  /* the lists that are wanted, */
    uint64_t target_for; /* for members such as these (plan_inputs); 0: not known */
    uint64_t judged_for; /* likewise: what was last looked at by itself */
    uint64_t done;       /* moves of this rebalance of which the new owner is read */
    uint64_t begun_us;   /* this rebalance */
    uint64_t ran_us;     /* the last step */
    bool news;           /* since then */
    bool busy;           /* the last step found a rebalance under way */
    bool judge; /* since the last look the durable map is another one: is there what to move? */
    uint64_t ballot; /* of the map that was told last */
};

/* 0 or GT_ENOMEM. */
int mover_init(struct mover *v, uint64_t lease_us, uint64_t replace_after_us);
void mover_close(struct mover *v);
/* A new reign begins: what was heard in an earlier one may be of a map that is gone. */
void mover_forget(struct mover *v);
/* A heartbeat of member `index` of r, whose identity was checked. */
void mover_hear(struct mover *v, const struct ring *r, uint32_t index, const struct msg *beat,
                uint64_t now_us);
/* Member `index` has registered: it was heard, and has said nothing yet in this life. */
void mover_joined(struct mover *v, uint32_t index, uint64_t node, uint64_t now_us);
/* A map has become durable and is told now. 0 or GT_ENOMEM: tell it again before the next step. */
int mover_told(struct mover *v, const struct ring *told);

/* A step, on a draft that is based on told with nothing being written between them. True when the
 * draft was changed. */
bool mover_step(struct mover *v, const struct ring *told, struct ring *draft, uint64_t now_us);
/* When a step is worth while without news; UINT64_MAX: never. */
uint64_t mover_deadline_us(const struct mover *v, const struct ring *told);

/* The move of an arc is cancelled, if it is in PREPARE. base: the map on which the draft is based:
 * where it shows the arc at rest, nobody has heard of the move. True when it was. */
bool mover_cancel(struct ring *draft, const struct ring *base, uint32_t partition);

/* Whether the member has a part in what is wanted; owns: it is in a list, moves taken as done. */
bool mover_takes_part(const struct member *m, bool owns);
/* The lists that are wanted, settings.partitions of them, valid until the next call; kept while
 * nothing that they depend on changes. 0, GT_EARG (nobody has a part), GT_ENOMEM. */
int mover_wanted(struct mover *v, const struct ring *r, const struct arc **out);
/* The arc's list, its move taken as done. */
struct arc mover_settled(const struct arc *a);
/* Names what the wanted lists depend on; never 0. */
uint64_t mover_inputs(const struct ring *r);

/* The moves of an arc towards its wanted list that are not begun; how many. */
uint32_t mover_moves(const struct ring *r, const struct arc *wanted, uint32_t partition,
                     struct placement_move out[REPLICAS_MAX]);
/* How many slots are to be moved whose moves are not begun; 0 where the wanted lists cannot be had.
 */
uint64_t mover_left(struct mover *v, const struct ring *r);

#endif
