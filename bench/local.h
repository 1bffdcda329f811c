/*
 * A run on a store in this process, whichever store it is: rows of the CSV while it lasts, totals,
 * and the figures of store and machine behind it.
 *
 *   local_open -> load -> local_begin -> local_tick, local_tick, ... -> local_end -> local_close
 *
 * FIGURES: lines `name,value`. Those of the machine are written by every store alike:
 *   seconds            how long the run took
 *   anon_peak_bytes    RssAnon, the most that was seen at any tick of load and run
 *   disk_log_bytes, disk_rest_bytes       blocks of the folder's files after the run
 *   user_bytes         keys and values of the set
 *   device_bytes       written to the device during the run (--settle: until it was quiet), less
 *                      what it wrote when it was quiet before; only with --settle
 *   put_bytes          keys and values of the puts of the run
 *   cpu_us             CPU of all threads during the run
 *   cpu_NAME_us        of the threads of that name that did not end with the run
 */
#ifndef GT_BENCH_LOCAL_H
#define GT_BENCH_LOCAL_H

#include <stdio.h>

#include "bench/data.h"
#include "bench/flags.h"
#include "bench/report.h"

#define LOCAL_THREADS_MAX 16

struct local_thread {
    char name[32];
    uint64_t cpu_us;
};

struct local {
    const struct flags *flags;
    const struct local_flags *local;
    struct data data;
    struct report report; /* the store's driver merges into report.second before each tick */
    FILE *csv, *figures;  /* or NULL */
    struct buf text;
    bool failed; /* a file could not be written */
    uint64_t begin_us, cut_us, second_us, time_s, end_us;
    uint64_t anon_peak, device_begin, cpu_begin;
    double device_quiet; /* bytes a second */
    struct local_thread threads[LOCAL_THREADS_MAX];
    uint32_t thread_count;
};

/* Opens the files and makes the data. 0, or 1 with the cause said. */
int local_open(struct local *l, const struct flags *flags, const struct local_flags *local);
void local_begin(struct local *l);
/* Samples memory, at most every 100 ms; true when a second is over: then the driver merges what it
 * has into report.second and calls local_second. */
bool local_tick(struct local *l, uint64_t now_us);
void local_second(struct local *l, uint64_t now_us);
/* The run is over: the last row, the totals, the table on stdout, the figures of the machine. */
void local_end(struct local *l, uint64_t now_us);
/* A further figure; after local_end. */
void local_figure(struct local *l, const char *name, double value);
void local_figure_text(struct local *l, const char *name, const char *value);
/* What `total` says of latency: NAME_count, NAME_mean_us, NAME_p50_us, NAME_p99_us, NAME_p999_us.
 */
void local_figures_of(struct local *l, const char *name, const struct hist *h);
/* The exit code: 0, or 1 when a file failed or an operation did. */
int local_close(struct local *l);

#endif
