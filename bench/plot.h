/*
 * The picture of a run: throughput above, latency below, both over time, drawn by gnuplot from the
 * CSV. plot.c writes the script (pure); plot_posix.c runs gnuplot.
 */
#ifndef GT_BENCH_PLOT_H
#define GT_BENCH_PLOT_H

#include "bench/report.h"
#include "engine/base/buf.h"

/* Appends the script that draws csv_path (a file with rows of the operations `shown`) to png_path.
 */
void plot_script(const bool shown[WORKLOAD_VERBS], const char *csv_path, const char *png_path,
                 const char *title, struct buf *out);

/* 0, or GT_EMISSING when there is no gnuplot on the PATH. */
int plot_check(void);
/* Runs gnuplot on the script: 0, GT_EMISSING, or GT_EIO when it failed; it has then said why on
 * stderr. The caller ignores SIGPIPE. */
int plot_run(const struct buf *script);

#endif
