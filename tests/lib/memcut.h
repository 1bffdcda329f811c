/*
 * The end of a process at an exact call: one count of the calls of any number of disks and indexes
 * in memory (memdisk_cut, memindex_cut). From the chosen call on nothing is done any more and every
 * call answers GT_EIO, so that the code unwinds as on any error while disk and index stay as the
 * process left them. Only a write that is the chosen call itself may leave a part of its bytes.
 *
 * The loop that cuts a recovery, or a checkpoint, at every place:
 *
 *     for (uint64_t nth = 1;; nth++) {
 *         memcut_arm(&cut, nth);
 *         ... the work; end the process ...
 *         bool reached = memcut_reached(&cut);
 *         memcut_clear(&cut);
 *         if (!reached)
 *             break;
 *         ... open again, and look ...
 *     }
 *
 * Starts as {0}; lives as long as a disk or index counts on it. May be called from several threads.
 */
#ifndef GT_TESTS_LIB_MEMCUT_H
#define GT_TESTS_LIB_MEMCUT_H

#include <stdbool.h>
#include <stdint.h>

struct memcut {
    uint64_t calls; /* made so far */
    uint64_t at;    /* the first that is not done, counted likewise; 0: all are */
};

enum memcut_fate {
    MEMCUT_DONE,    /* the call is done */
    MEMCUT_CUT,     /* the process ends in this call */
    MEMCUT_TOO_LATE /* the process ended earlier */
};

/* The nth call (from 1, counted from now) is the one at which the process ends. */
void memcut_arm(struct memcut *c, uint64_t nth);
/* All calls are done again. */
void memcut_clear(struct memcut *c);
/* The process has ended: the chosen call was made, and the cut not cleared since. */
bool memcut_reached(const struct memcut *c);
uint64_t memcut_calls(const struct memcut *c);

/* For disk and index: counts one call. */
enum memcut_fate memcut_call(struct memcut *c);

#endif
