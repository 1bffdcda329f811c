/*
 * One life of an engine, to be recorded: it opens the folder, reads everything, and works: puts
 * alone and in groups, checkpoints, idle seals, jobs of the lanes in an order that is drawn. It
 * says in the trace what it begins to put, what was acknowledged, and what a read has shown.
 */
#ifndef GT_TESTS_CRASH_LIFE_H
#define GT_TESTS_CRASH_LIFE_H

#include "tests/crash/rig.h"
#include "tests/crash/trace.h"

enum life_end {
    LIFE_CLEAN,  /* an orderly stop */
    LIFE_DROPPED /* the process ends as it stands */
};

struct life {
    const char *folder, *trace; /* the trace so far tells what earlier lives did */
    uint64_t seed, boot;
    uint32_t steps, value_bytes_max;
    enum life_end end;
};

/* What all engines of this room that share a folder are opened with. */
struct rig_config life_rig(const char *folder, uint64_t boot, uint32_t value_bytes_max);
/* What the operation, when it is a mark, adds to what must be true. */
void oracle_note(struct oracle *o, const struct trace_op *op);
/* 0, or 1 after a line on stderr that says what was wrong. */
int life_run(const struct life *life);

#endif
