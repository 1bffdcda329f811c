/*
 * Runs that are recorded: one life after another of this same program, each a process with the
 * recorder loaded, under one folder.
 */
#ifndef GT_TESTS_CRASH_RECORDING_H
#define GT_TESTS_CRASH_RECORDING_H

#include "tests/crash/life.h"
#include "tests/crash/model.h"

#define DATA_FOLDER "data" /* of the engine, below what is recorded */

struct recorder {
    char program[512], library[512]; /* this program, and the recorder */
    const char *mutant;              /* NULL: none */
};

/* False when the recorder is not beside the program. */
bool recorder_find(struct recorder *r);

/*
 * Records lives in `folder`, which holds what `before` holds (NULL: nothing) and is a real path, to
 * the file `trace`, which may hold marks already. How many, how they work and how they end follows
 * from the seed: some are killed at a call. Afterwards the folder must hold, byte for byte, what
 * the trace makes of `before`. False, with a line in `why`, when a life found something wrong.
 */
struct plan {
    uint64_t seed, boot;
    uint32_t lives, steps, value_bytes_max;
};
bool recording_make(const struct recorder *r, const struct plan *plan, const char *folder,
                    const char *trace, const struct image *before, char *why, size_t why_bytes);

/* Marks of what was true before, for lives whose trace begins later. False on a failure. */
bool recording_begin(const char *trace, const struct oracle *o);

/* Makes the folder hold exactly this; lock files get what the seed says. False on a failure. */
bool image_place(const struct image *image, const char *folder, uint64_t seed);

#endif
