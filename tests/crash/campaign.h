/*
 * Checking the states of one recorded run: workers, each a process of its own, take the cuts of the
 * trace among them. What a worker does stands in shared memory, so that a state in which the engine
 * ends the process is known.
 */
#ifndef GT_TESTS_CRASH_CAMPAIGN_H
#define GT_TESTS_CRASH_CAMPAIGN_H

#include "tests/crash/check.h"
#include "tests/crash/recording.h"
#include "tests/crash/scratch.h"

#define JOBS_MAX 16u

/* Which state: of the run of a seed; and of the recovery of that state, when cut2 is not 0. Cuts
 * are numbered by the operation of the trace that the power cut came into, from 1. */
struct place {
    uint64_t seed, cut, state, cut2, state2;
};

struct progress {
    struct place at;
    uint64_t checked, of_recovery, recoveries;
    enum verdict verdict;
    char why[256];
};

struct shared {
    struct progress workers[JOBS_MAX];
    bool stop; /* the first wrong state ends all */
};

struct campaign {
    struct recorder recorder;
    char scratch[SCRATCH_BYTES]; /* a real path */
    uint64_t seed;               /* of the run */
    uint64_t states_max;         /* in all workers together */
    uint64_t until_s;            /* of the monotonic clock; 0: no end */
    uint64_t one_in;             /* of so many cuts the states of one are checked */
    uint32_t jobs;
    struct shared *shared;
};

/* Records the run of the seed: the trace's path to `trace`. False, with why. */
bool campaign_record(const struct campaign *c, char *trace, size_t trace_bytes, char *why,
                     size_t why_bytes);
/* Checks states of the trace. False when one is wrong: the progress of its worker says which. */
bool campaign_run(struct campaign *c, const char *trace);
/* Checks this one state, loudly, in this process. */
enum verdict campaign_replay(struct campaign *c, const char *trace, const struct place *at,
                             char *why, size_t why_bytes);

#endif
