/* The lanes of an engine, run at once by the test itself. */
#ifndef GT_TESTS_LANES_H
#define GT_TESTS_LANES_H

#include <limits.h>

#include "engine/engine.h"

/* Jobs, one of each lane after the other, until there are none, or so many are done. */
static inline void lanes_run(struct engine *e, int jobs)
{
    for (bool any = true; any && jobs > 0;) {
        any = false;
        for (int lane = 0; lane < ENGINE_LANES && jobs > 0; lane++) {
            struct engine_job *j = engine_job(e, (enum engine_lane)lane);
            if (!j)
                continue;
            engine_job_run(j);
            engine_job_done(e, j);
            any = true;
            jobs--;
        }
    }
}

#define LANES_ALL INT_MAX

#endif
