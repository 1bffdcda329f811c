/*
 * What a run came to: rows for each second and operation, totals, a table and a progress line.
 * Pure: it makes text; the caller writes it.
 *
 *     time_s,op,count,ops_per_s,mean_us,p50_us,p90_us,p99_us,p999_us,max_us,errors
 *     1,get,25120,25120.0,604.2,575,1063,1551,2623,4210,0
 *     1,put,...
 *     total,get,...
 *
 * `count` and the latencies are those of the operations that succeeded; `errors` counts the others.
 * `time_s` is the end of the second, counted from the start of the run.
 */
#ifndef GT_BENCH_REPORT_H
#define GT_BENCH_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/workload.h"
#include "engine/base/buf.h"
#include "engine/base/hist.h"

/* One operation's figures over some time. */
struct report_op {
    struct hist latency_us;
    uint64_t errors;
};

void report_op_init(struct report_op *op);
void report_op_merge(struct report_op *op, const struct report_op *from);

struct report {
    bool shown[WORKLOAD_VERBS]; /* operations that the workload has: they get rows even when idle */
    struct report_op second[WORKLOAD_VERBS]; /* the caller merges into it what it collects */
    struct report_op total[WORKLOAD_VERBS];
};

void report_init(struct report *r, enum workload_kind kind);
/* The CSV header with its newline. */
void report_header(struct buf *out);
/* Ends the second: appends its rows, which cover `seconds` of time, adds it to the totals and
 * clears it. */
void report_second(struct report *r, uint64_t time_s, double seconds, struct buf *out);
/* The total rows of a run of that length. */
void report_totals(const struct report *r, double seconds, struct buf *out);
/* The totals for people. */
void report_table(const struct report *r, double seconds, struct buf *out);
/* The open second in one line, without a newline. Call it before report_second. */
void report_progress(const struct report *r, uint64_t time_s, double seconds, struct buf *out);
uint64_t report_errors(const struct report *r);

#endif
