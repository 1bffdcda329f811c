/*
 * What causality costs. A build with GT_BARE keeps neither clocks nor histories, dot logs or recent
 * operations: of two states the one with the later stamp stands. It loses writes, and is there to
 * be measured against (bench/overhead.sh); in every other build BARE is the constant false and
 * leaves no trace.
 */
#ifndef GT_ENGINE_BARE_H
#define GT_ENGINE_BARE_H

#include "engine/version.h"

#ifdef GT_BARE
#define BARE true
#else
#define BARE false
#endif

/* The put's sibling alone; the later of two states. 0 or GT_ENOMEM. */
static inline int bare_put(const struct sibling *sibling, struct state *out)
{
    state_clear(out);
    return state_add(out, sibling);
}
static inline int bare_merge(const struct state *local, const struct state *incoming,
                             struct state *out)
{
    const struct sibling *a = state_winner(local), *b = state_winner(incoming);
    state_clear(out);
    const struct sibling *later = !a || (b && b->stamp > a->stamp) ? b : a;
    return later ? state_add(out, later) : 0;
}

#endif
