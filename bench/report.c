#include "bench/report.h"

#include <string.h>

void report_op_init(struct report_op *op)
{
    hist_init(&op->latency_us);
    op->errors = 0;
}

void report_op_merge(struct report_op *op, const struct report_op *from)
{
    hist_merge(&op->latency_us, &from->latency_us);
    op->errors += from->errors;
}

void report_init(struct report *r, enum workload_kind kind)
{
    for (int v = 0; v < WORKLOAD_VERBS; v++) {
        r->shown[v] = workload_has(kind, (enum workload_verb)v);
        report_op_init(&r->second[v]);
        report_op_init(&r->total[v]);
    }
}

static double rate(uint64_t count, double seconds)
{
    return seconds > 0 ? (double)count / seconds : 0;
}

void report_header(struct buf *out)
{
    buf_printf(out,
               "time_s,op,count,ops_per_s,mean_us,p50_us,p90_us,p99_us,p999_us,max_us,errors\n");
}

static unsigned long long quantile(const struct hist *h, double share)
{
    return (unsigned long long)hist_quantile(h, share);
}

/* The columns from `op` on. */
static void row(const struct report_op *op, int verb, double seconds, struct buf *out)
{
    const struct hist *h = &op->latency_us;
    buf_printf(out, "%s,%llu,%.1f,%.1f,", workload_verb_name((enum workload_verb)verb),
               (unsigned long long)h->count, rate(h->count, seconds), hist_mean(h));
    buf_printf(out, "%llu,%llu,%llu,%llu,%llu,%llu\n", quantile(h, 0.5), quantile(h, 0.9),
               quantile(h, 0.99), quantile(h, 0.999), (unsigned long long)h->max,
               (unsigned long long)op->errors);
}

void report_second(struct report *r, uint64_t time_s, double seconds, struct buf *out)
{
    for (int v = 0; v < WORKLOAD_VERBS; v++) {
        if (!r->shown[v])
            continue;
        buf_printf(out, "%llu,", (unsigned long long)time_s);
        row(&r->second[v], v, seconds, out);
        report_op_merge(&r->total[v], &r->second[v]);
        report_op_init(&r->second[v]);
    }
}

void report_totals(const struct report *r, double seconds, struct buf *out)
{
    for (int v = 0; v < WORKLOAD_VERBS; v++) {
        if (!r->shown[v])
            continue;
        buf_printf(out, "total,");
        row(&r->total[v], v, seconds, out);
    }
}

void report_table(const struct report *r, double seconds, struct buf *out)
{
    buf_printf(out, "%-4s %12s %12s %10s %9s %9s %9s %9s %10s %8s\n", "op", "count", "ops/s",
               "mean us", "p50 us", "p90 us", "p99 us", "p99.9 us", "max us", "errors");
    for (int v = 0; v < WORKLOAD_VERBS; v++) {
        if (!r->shown[v])
            continue;
        const struct hist *h = &r->total[v].latency_us;
        buf_printf(out, "%-4s %12llu %12.1f %10.1f ", workload_verb_name((enum workload_verb)v),
                   (unsigned long long)h->count, rate(h->count, seconds), hist_mean(h));
        buf_printf(out, "%9llu %9llu %9llu %9llu %10llu %8llu\n", quantile(h, 0.5),
                   quantile(h, 0.9), quantile(h, 0.99), quantile(h, 0.999),
                   (unsigned long long)h->max, (unsigned long long)r->total[v].errors);
    }
}

void report_progress(const struct report *r, uint64_t time_s, double seconds, struct buf *out)
{
    struct report_op all;
    report_op_init(&all);
    for (int v = 0; v < WORKLOAD_VERBS; v++)
        report_op_merge(&all, &r->second[v]);
    buf_printf(out, "%6llu s %10.0f ops/s   p99 %llu us   errors %llu", (unsigned long long)time_s,
               rate(all.latency_us.count, seconds), quantile(&all.latency_us, 0.99),
               (unsigned long long)all.errors);
}

uint64_t report_errors(const struct report *r)
{
    uint64_t errors = 0;
    for (int v = 0; v < WORKLOAD_VERBS; v++)
        errors += r->second[v].errors + r->total[v].errors;
    return errors;
}
