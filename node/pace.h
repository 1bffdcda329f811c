/*
 * How fast partitions may move: so many bytes a second at most, and fewer while what clients wait
 * for gets slower by it. Pure; time comes in.
 *
 * Requests that this node coordinates tell how long they took. Twice a second the longest but one
 * in a hundred of the last ones (p99) is held against what it usually is while nothing moves: above
 * twice that, and by more than 2 ms, the rate is halved, down to a least one; else it grows by a
 * quarter, up to the limit. What has passed without enough requests to judge by counts as calm.
 */
#ifndef GT_NODE_PACE_H
#define GT_NODE_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_SAMPLES         256u
#define PACE_BYTES_PER_S     (64u << 20)
#define PACE_BYTES_PER_S_MIN (1u << 20)

struct pace {
    uint64_t rate;     /* bytes a second */
    uint64_t free_us;  /* nothing more before */
    uint64_t judge_us; /* when the rate is looked at again */
    uint64_t moved_us; /* when something moved last */
    uint32_t usual_us; /* the p99 while nothing moves; 0: not known */
    uint32_t samples[PACE_SAMPLES];
    uint32_t count, next; /* of this half second; the place of the next one */
};

void pace_init(struct pace *p, uint64_t rate_max);
/* A client waited so long for an answer of this node. */
void pace_note(struct pace *p, uint64_t now_us, uint64_t waited_us);
/* Bytes of a moving partition were sent or taken: nothing more before free_us. */
void pace_take(struct pace *p, uint64_t now_us, uint64_t bytes);

#endif
