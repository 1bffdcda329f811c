/*
 * How long a replica will take to be level, from how its lag fell of late: no clock, no messages.
 *
 * The lag is noted once a second, and 16 notes are kept. What counts is the fall from the highest
 * of them, the latest where several are equal, to the last: a link that came up shows in one step
 * how much is lacking, and what was before says nothing of the pace. Writes that go on meanwhile
 * are in it, since they keep the lag up. Nothing is said when the last is the highest: a lag that
 * stands or grows has no end.
 */
#ifndef GT_NODE_ETA_H
#define GT_NODE_ETA_H

#include <stdint.h>

#define ETA_NOTES    16u
#define ETA_EVERY_US 1000000u

struct eta { /* all zero to begin with */
    struct {
        uint64_t at_us, lag;
    } notes[ETA_NOTES]; /* the oldest first */
    uint32_t count;
};

/* The lag now. One that comes too early is passed over; a lag of 0 ends what was noted. */
void eta_note(struct eta *e, uint64_t now_us, uint64_t lag);

/* Seconds until a lag of as much will be none, at least 1; 0 = not known. */
uint64_t eta_seconds(const struct eta *e, uint64_t lag);

#endif
