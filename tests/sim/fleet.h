/*
 * Many seeds in several processes. A seed whose run ends its process (an assertion, a crash) is a
 * failure like any other, and its process is replaced.
 */
#ifndef GT_TESTS_SIM_FLEET_H
#define GT_TESTS_SIM_FLEET_H

#include <stdbool.h>
#include <stdint.h>

#define FLEET_JOBS_MAX 64

struct fleet_orders {
    uint64_t first, last; /* seeds, both included */
    uint32_t jobs;        /* 1 .. FLEET_JOBS_MAX */
    uint64_t seconds;     /* no seed begins after so many; 0 = all are run */
    bool first_only;      /* nothing begins after a failure */
    bool moves;           /* partitions move in every run */
};

struct fleet_verdict {
    uint64_t seed, hash, events, virtual_us;
    uint32_t acked;
    bool failed, died; /* died: the run ended its process */
    char checker[32];  /* that failed */
};

struct fleet_tally {
    uint64_t ended, failed, events, acked;
    double seconds;
};

/* Calls each(arg, verdict, tally so far) as runs end, in no order. False when no process can be
 * made (errno says why). */
bool fleet_run(const struct fleet_orders *o,
               void (*each)(void *arg, const struct fleet_verdict *v, const struct fleet_tally *t),
               void *arg, struct fleet_tally *out);

#endif
