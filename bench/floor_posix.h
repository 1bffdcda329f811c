/*
 * What a log costs at the least on this disk: no index, no table in memory, no recovery. A file of
 * 64 MiB is written with zeros once and synced; then batches overwrite it from its beginning on,
 * and again when it is full. A batch is one pwrite and one fdatasync, starts on a 4 KiB boundary,
 * and has the key and value of each put with a length and a checksum.
 *
 *   loop thread: answers the batch that is durable; its writers put again; the batch is handed over
 *   log thread:  pwrite, fdatasync
 *
 * The writers are those of the other modes: each puts again when it is answered. Since those who
 * were answered put again before the next batch is issued, every batch has all of them: that is the
 * most that one sync can carry.
 */
#ifndef GT_BENCH_FLOOR_POSIX_H
#define GT_BENCH_FLOOR_POSIX_H

#include "bench/flags.h"

/* 0 or 1: the exit code. What went wrong is said. */
int floor_run(const struct flags *flags, const struct local_flags *local);

#endif
