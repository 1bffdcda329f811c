/*
 * The engine driven in this process, as a node drives it: one libuv loop that owns it, its lanes on
 * their threads (engine/store_uv.h), 1024 partitions, a hybrid clock, an operation id for each put,
 * and clocks of owners that confirm every partition each two seconds.
 *
 * --clients C are C requests in flight, each submitted again when it is answered; a put is answered
 * when it is durable. A get is answered with the record, which is decoded; every value that is read
 * must be one that its key was given.
 *
 * Figures beside those of local.h:
 *   open_us               from the call to the engine's being open
 *   first_get_us          from the call to the first answer of a get
 *   batches, batch_records, log_bytes, seals, checkpoints, checkpoint_records, parked
 *   sync_*                syncs of the log and their times, in microseconds
 *   put_*, get_*          latencies; quiet_put_*, checkpoint_put_*: of the puts during whose life
 *                         no checkpoint was under way, or one was
 *   checkpoint_share      of the run's time that one was under way, as seen at the answers
 */
#ifndef GT_BENCH_ENGINE_UV_H
#define GT_BENCH_ENGINE_UV_H

#include "bench/flags.h"

/* 0 or 1: the exit code. What went wrong is said. */
int engine_bench_run(const struct flags *flags, const struct local_flags *local);

#endif
