/*
 * The events of a process: its last EVENTS_MAX changes of state that an operator cares for, with
 * time and cause. Unlike the log it is bounded, kept in memory, and answered to whoever asks
 * (gtstore-admin events). What happens with every request, or every few seconds of a healthy
 * cluster, is no event.
 *
 * It belongs to the loop thread, as engine and machine do. It knows no clock: who lets the machine
 * act says the time before (events_at), and what is added bears that time. What is added twice in a
 * row is kept once, with the time of the last and a count. A NULL events drops everything.
 */
#ifndef GT_ENGINE_BASE_EVENTS_H
#define GT_ENGINE_BASE_EVENTS_H

#include <stdint.h>

#define EVENTS_MAX       1000
#define EVENT_TEXT_BYTES 160 /* with NUL */
#define EVENT_NAME_BYTES 32  /* of a kind, with NUL */

/* The kind, its name to users and scripts, and when it is added. Grow it freely. */
#define EVENT_KINDS(X)                                                                             \
    X(EVENT_STARTED, "started", "the process serves its folder")                                   \
    X(EVENT_DAMAGE, "damage_found", "the log was damaged: writes may be missing here")             \
    X(EVENT_BAD_RECORD, "bad_record", "a record failed its checksum")                              \
    X(EVENT_NEWER_RECORD, "newer_record", "a record of a newer version is left as it is")          \
    X(EVENT_MISCOUNT, "miscount", "a partition holds other records than it has counted")           \
    X(EVENT_FILLING, "filling", "writes may be missing here: it has no vote until it caught up")   \
    X(EVENT_QUARANTINED, "quarantined", "what others had not confirmed was written to a file")     \
    X(EVENT_WHOLE, "whole", "what was lost is pulled from others: it votes again")                 \
    X(EVENT_LINK_UP, "link_up", "a peer can be asked")                                             \
    X(EVENT_LINK_LOST, "link_lost", "a peer can be asked no more")                                 \
    X(EVENT_NODE_JOINED, "node_joined", "the manager registered a new member")                     \
    X(EVENT_NODE_UP, "node_up", "the manager hears a member again")                                \
    X(EVENT_NODE_DOWN, "node_down", "the manager heard a member no more")                          \
    X(EVENT_NODE_AWAY, "node_away",                                                                \
      "it was away for longer than --reap-wait: nobody waits for it")                              \
    X(EVENT_NODE_REPLACED, "node_replaced",                                                        \
      "it was down for longer than --replace-after: its places go to others, or it is back")       \
    X(EVENT_NODE_REMOVED, "node_removed", "it is a member no more")                                \
    X(EVENT_REBALANCE, "rebalance", "moves to other lists begin, or have come to an end")          \
    X(EVENT_NODE_REFUSED, "node_refused", "the manager refused a registration")                    \
    X(EVENT_FORMED, "cluster_formed", "tokens were handed out")                                    \
    X(EVENT_MANAGER, "manager", "the manager leads, or stands by while another one does")          \
    X(EVENT_MAP, "map_adopted", "a newer cluster map is durable and acted upon")                   \
    X(EVENT_PULL_BEGUN, "pull_begun", "a link came up, and there are writes to catch up on")       \
    X(EVENT_PULL_ENDED, "pull_ended", "they have been brought")                                    \
    X(EVENT_RECORDS_DIFFER, "records_differ",                                                      \
      "equal clocks, unequal records: every key is joined")                                        \
    X(EVENT_CLOCK_APART, "clock_apart", "the wall clock is far off: puts are refused here")        \
    X(EVENT_CLOCK_AGREES, "clock_agrees", "it is so no more")                                      \
    X(EVENT_INCARNATION, "incarnation_renewed", "a new life was drawn")                            \
    X(EVENT_LOG_FLOOR, "log_floor_raised", "the dot logs were at their bound: one started anew")   \
    X(EVENT_DISK_FULL, "disk_full", "there is no room for the log: writes are refused")            \
    X(EVENT_DISK_ROOM, "disk_room", "there is room again")                                         \
    X(EVENT_CHECKPOINT_FAILED, "checkpoint_failed", "the index could not be written")              \
    X(EVENT_CHECKPOINT_WORKS, "checkpoint_works", "it can be written again")

enum event_kind {
#define EVENT_ENUM(kind, name, text) kind,
    EVENT_KINDS(EVENT_ENUM)
#undef EVENT_ENUM
};

struct event {
    uint64_t wall_us; /* since 1970; of the last one */
    uint32_t times;   /* in a row */
    enum event_kind kind;
    char text[EVENT_TEXT_BYTES]; /* whom and why; may be empty */
};

struct events {
    uint64_t wall_us; /* now */
    uint64_t total;   /* ever added, those in a row once */
    struct event ring[EVENTS_MAX];
};

void events_init(struct events *e, uint64_t wall_us);
void events_at(struct events *e, uint64_t wall_us);
__attribute__((format(printf, 3, 4))) void events_add(struct events *e, enum event_kind kind,
                                                      const char *format, ...);
uint32_t events_count(const struct events *e); /* of those kept */
/* The i-th of them, 0 = the oldest. */
const struct event *events_get(const struct events *e, uint32_t i);
const char *event_name(enum event_kind kind);

#endif
