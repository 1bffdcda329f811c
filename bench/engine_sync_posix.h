/*
 * How long the syncs of a disk take. One disk of a process at a time.
 */
#ifndef GT_BENCH_ENGINE_SYNC_POSIX_H
#define GT_BENCH_ENGINE_SYNC_POSIX_H

#include "engine/base/hist.h"

struct disk;

/* From now on every sync of a file of this disk is timed. */
void sync_watch(struct disk *d);
/* What was timed since the last call, in microseconds; any thread may be syncing meanwhile. */
void sync_take(struct hist *out);

#endif
