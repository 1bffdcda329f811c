/*
 * One run in which a call fails, and what has to be true of it and after it.
 *
 * The run: three lives of one folder, 70 puts and deletions each, with small segments, so that
 * there are checkpoints, segments that are used again and (in the last life) removed, an idle log
 * that is sealed, reads in between, and an orderly stop at the end of each life. It makes the same
 * calls in the same order every time until one fails, and goes on after that as long as the engine
 * does.
 *
 * After it (in a process of its own, without failures): the folder opens and nothing is in doubt,
 * since a call that fails loses nothing that was acknowledged; every key shows what it must; puts
 * are taken again, and are there at the next start.
 */
#ifndef GT_TESTS_CRASH_FAILED_RUN_H
#define GT_TESTS_CRASH_FAILED_RUN_H

#include "tests/crash/fail.h"
#include "tests/crash/rig.h"

#define FAILED_LIVES 3
#define FAILED_PUTS  70u /* in each life */

/* In memory that the processes share. */
struct outcome {
    struct oracle oracle;
    int opened[FAILED_LIVES]; /* 1: not tried */
    int poisoned;
    bool ended; /* the run came to its end, whatever it met on the way */
    bool whole; /* and nothing of what failed was to be seen */
    uint64_t hits, grown_bytes, counts[FAIL_KINDS];
    bool hits_index, hits_close;
    bool warned; /* the engine had something to say, of its own accord */
    uint32_t pages_lost;
    uint64_t checkpoints, recycled, seals; /* of all lives */
    char why[200];                         /* what was wrong; empty: nothing */
};

/* folder: the data folder, inside scratch. With room in the plan there is room again after the half
 * of the last life. Ends the process, with exit code 0; or with that of a daemon's clean end, or
 * by the signal of its fault. */
__attribute__((noreturn)) void failed_run(const struct fail_plan *plan, uint64_t seed, bool loud,
                                          const char *folder, const char *scratch,
                                          struct outcome *out);
/* Likewise; exit code 0: all is well, 1: out->why says what is not. */
__attribute__((noreturn)) void failed_check(uint64_t seed, bool loud, const char *folder,
                                            struct outcome *out);

#endif
