/*
 * Whether an engine makes of a folder that a power cut left what it has promised: it opens, every
 * acknowledged put is there, nothing is there that was never put, and no damage is reported (a last
 * batch that is not whole is none: it may be left by a cut, and is called doubtful). With `more` it
 * also goes on from there: it takes puts, and a further opening shows the same and those.
 */
#ifndef GT_TESTS_CRASH_CHECK_H
#define GT_TESTS_CRASH_CHECK_H

#include "tests/crash/rig.h"

enum verdict {
    VERDICT_RIGHT,
    VERDICT_REFUSED, /* it does not open, or takes no puts */
    VERDICT_LOST,
    VERDICT_MADE_UP,
    VERDICT_ALARM, /* it says that it is damaged */
    VERDICT_DIED,  /* the process of the engine ended */
    VERDICTS
};

const char *verdict_text(enum verdict v);

struct check {
    const char *folder; /* of the engine */
    uint64_t boot;      /* another one than that of those who wrote there */
    uint64_t seed;
    uint32_t value_bytes_max;
    bool more, loud;
};

/* At what is wrong a line is written to why. */
enum verdict check_run(const struct check *check, const struct oracle *o, char *why, size_t bytes);

#endif
