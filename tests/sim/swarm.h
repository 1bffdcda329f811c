/*
 * One run of a plan:
 *
 *   safety     clients work, faults strike
 *   healing    faults end, what is down starts, clients finish
 *   settled    every key is read once more by a session that nobody has used; then the replicas'
 *              states are taken down
 *   judgement  the checkers read the history
 */
#ifndef GT_TESTS_SIM_SWARM_H
#define GT_TESTS_SIM_SWARM_H

#include "tests/sim/plan.h"

struct swarm_result {
    bool failed;
    struct finding finding; /* when it failed: by whom and why */
    uint64_t hash, events, virtual_us;
    uint32_t acked, not_applied, in_doubt, reads, faults;
};

/* trace may be NULL. */
void swarm_run(const struct plan *p, void (*trace)(void *arg, const char *line), void *arg,
               struct swarm_result *out);

#endif
