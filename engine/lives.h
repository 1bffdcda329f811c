/*
 * The lives of one node that its folder knows of (RULES 8a): the present one, and those before it.
 * Whoever has seen a life that is not among them has seen one that the folder forgot: it was rolled
 * back, or is a copy.
 *
 * All of them are told, and not only the one before: a folder that was rolled back and starts twice
 * before anybody heard of it would name a life that is later than the one which it forgot.
 */
#ifndef GT_ENGINE_LIVES_H
#define GT_ENGINE_LIVES_H

#include "engine/base/buf.h"

#define LIVES_KEPT      16 /* of older ones nothing is said */
#define LIFE_TOLD_BYTES 8

struct lives {
    uint64_t at[LIVES_KEPT]; /* the newest first */
    uint32_t count;
};

/* Nothing changes when it is 0 or there; the oldest goes where there is no room. */
void lives_add(struct lives *l, uint64_t life);
/* One that is older than all that are kept counts as known. */
bool lives_know(const struct lives *l, uint64_t life);
/* As a run of u64: into room for LIVES_KEPT, and what a run adds. */
struct slice lives_put(const struct lives *l, uint8_t at[LIVES_KEPT * LIFE_TOLD_BYTES]);
void lives_take(struct lives *l, struct slice run);

#endif
