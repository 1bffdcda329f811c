/*
 * The partition clock: the dots that a replica has seen of one partition, for each actor a
 * contiguous base (all of 1..base) and sorted ranges above it. Seen means INV: for d in the clock
 * the replica durably holds, for d's key, a state whose history contains d, or it was reaped.
 *
 * Bytes (in the index and, later, on the wire):
 *   varint actors; each { u64 node, u64 incarnation, varint base, varint ranges;
 *   each range { varint gap from the previous end (or base), varint length } }
 *   varint closed nodes; each { u64 node, u64 closed up to incarnation }
 *   unknown trailing bytes are ignored.
 *
 * A range is first..last, inclusive; gap = first - previous last, at least 2; length = last - first
 * + 1, at least 1. Normal form: actors ascending, ranges ascending, disjoint, not touching each
 * other or the base.
 */
#ifndef GT_ENGINE_CLOCK_H
#define GT_ENGINE_CLOCK_H

#include "engine/version.h"

struct clock_range {
    uint64_t first, last;
};

struct clock_entry {
    struct actor actor;
    uint64_t base;
    struct clock_range *ranges;
    uint32_t range_count, range_capacity;
};

struct clock_closed {
    uint64_t node, incarnation; /* every incarnation up to this one is covered whole (RULES 8b) */
};

struct clock {
    struct clock_entry *entries; /* ascending by actor */
    uint32_t entry_count, entry_capacity;
    struct clock_closed *closed; /* ascending by node */
    uint32_t closed_count, closed_capacity;
};

/* Above this many ranges a partition is filling (RULES 20). */
#define CLOCK_RANGES_MAX 1024

void clock_init(struct clock *c);
void clock_close(struct clock *c);
void clock_clear(struct clock *c);
int clock_copy(struct clock *to, const struct clock *from);
/* Adds one dot (seq > 0), or all of actor's first..last. 0 or GT_ENOMEM (c unchanged). */
int clock_add(struct clock *c, struct dot d);
int clock_add_range(struct clock *c, struct actor actor, uint64_t first, uint64_t last);
/* After 0, adding these dots does not fail, as long as nothing else changes c. 0 or GT_ENOMEM. */
int clock_reserve(struct clock *c, const struct dot *dots, uint32_t count);
/* Union. 0 or GT_ENOMEM. */
int clock_merge(struct clock *c, const struct clock *from);
/* What both cover, into a third clock. 0 or GT_ENOMEM (then out has a part of it). */
int clock_meet(const struct clock *a, const struct clock *b, struct clock *out);
/* Closes all incarnations of node up to this one and drops their entries. */
int clock_set_closed(struct clock *c, uint64_t node, uint64_t incarnation);
/* The actor is closed: all of its dots are covered. */
bool clock_closes(const struct clock *c, struct actor actor);
/* The highest life of the node that is closed, 0 when none is. */
uint64_t clock_closed(const struct clock *c, uint64_t node);
bool clock_covers(const struct clock *c, struct dot d);
/* Every dot that the history may name is in the clock. A vector entry speaks of the dots of one key
 * up to its seq, and which those are is not known: all up to it are asked for. */
bool clock_covers_history(const struct clock *c, const struct history *h);
/* The actor is closed, or all of its dots up to this one are covered. */
bool clock_base_covers(const struct clock *c, struct dot d);
/* Every dot of b is in a. */
bool clock_includes(const struct clock *a, const struct clock *b);
bool clock_equal(const struct clock *a, const struct clock *b);
/* How many dots b holds that a lacks: the exact lag of a behind b. Lives that b has closed and a
 * has not count as one: what b holds of them cannot be told any more, so a pulls to have them too.
 */
uint64_t clock_missing(const struct clock *a, const struct clock *b);
/* The highest seq of the actor seen, 0 when none. */
uint64_t clock_highest(const struct clock *c, struct actor actor);
uint32_t clock_range_count(const struct clock *c);

void clock_encode(const struct clock *c, struct buf *out);
int clock_decode(struct reader *r, struct clock *out); /* 0, GT_ECORRUPT, GT_ENOMEM */

#endif
