#include <errno.h>
#include <string.h>

#include "bench/local.h"
#include "bench/machine_posix.h"
#include "engine/base/program.h"

#define TEXT_BYTES_MAX 65536u
#define SECOND_US      1000000u
/* A row that would cover less at the end belongs to the one before. */
#define ROW_LEAST_US 500000u

static bool file_open(const char *path, FILE **file)
{
    *file = path ? fopen(path, "we") : NULL;
    if (path && !*file)
        program_say("cannot write %s: %s", path, strerror(errno));
    return !path || *file;
}

int local_open(struct local *l, const struct flags *flags, const struct local_flags *local)
{
    memset(l, 0, sizeof(*l));
    l->flags = flags;
    l->local = local;
    buf_init(&l->text, TEXT_BYTES_MAX);
    report_init(&l->report, flags->kind);
    if (!file_open(flags->csv_path, &l->csv) || !file_open(local->figures_path, &l->figures))
        return 1;
    if (!data_init(&l->data, flags->value_bytes)) {
        program_say("out of memory");
        return 1;
    }
    return 0;
}

/* Writes the text and empties it. */
static void csv_write(struct local *l)
{
    size_t bytes = l->text.bytes;
    l->failed |= l->text.failed;
    if (l->csv && (fwrite(l->text.data, 1, bytes, l->csv) != bytes || fflush(l->csv) != 0))
        l->failed = true;
    buf_clear(&l->text);
}

/* ---- threads --------------------------------------------------------------------------------- */

/* Threads of one name count together. */
static void thread_add(void *arg, const char *name, uint64_t cpu_us)
{
    struct local *l = arg;
    uint32_t i = 0;
    while (i < l->thread_count && strcmp(l->threads[i].name, name) != 0)
        i++;
    if (i == LOCAL_THREADS_MAX)
        return;
    if (i == l->thread_count) {
        snprintf(l->threads[i].name, sizeof(l->threads[i].name), "%s", name);
        l->threads[i].cpu_us = 0;
        l->thread_count++;
    }
    l->threads[i].cpu_us += cpu_us;
}

static void figures_of_threads(struct local *l)
{
    struct local before = *l;
    l->thread_count = 0;
    machine_threads(thread_add, l);
    for (uint32_t i = 0; i < l->thread_count; i++) {
        char name[64];
        uint64_t began = 0;
        for (uint32_t b = 0; b < before.thread_count; b++)
            if (strcmp(before.threads[b].name, l->threads[i].name) == 0)
                began = before.threads[b].cpu_us;
        snprintf(name, sizeof(name), "cpu_%s_us", l->threads[i].name);
        local_figure(l, name,
                     l->threads[i].cpu_us > began ? (double)(l->threads[i].cpu_us - began) : 0);
    }
}

/* ---- the run --------------------------------------------------------------------------------- */

void local_begin(struct local *l)
{
    report_header(&l->text);
    csv_write(l);
    if (l->local->settle)
        l->device_quiet = machine_settle(l->local->folder);
    machine_device_bytes(l->local->folder, &l->device_begin);
    machine_threads(thread_add, l);
    l->cpu_begin = machine_cpu_us();
    l->begin_us = l->cut_us = machine_now_us();
    l->second_us = l->begin_us + SECOND_US;
    l->time_s = 1;
    l->end_us = l->flags->ops ? UINT64_MAX : l->begin_us + l->flags->duration_us;
}

bool local_tick(struct local *l, uint64_t now_us)
{
    uint64_t anon = machine_anon_bytes();
    l->anon_peak = anon > l->anon_peak ? anon : l->anon_peak;
    bool last = l->end_us != UINT64_MAX && l->second_us + ROW_LEAST_US > l->end_us;
    return l->begin_us && now_us >= l->second_us && !last;
}

void local_second(struct local *l, uint64_t now_us)
{
    report_second(&l->report, l->time_s++, (double)(now_us - l->cut_us) / 1e6, &l->text);
    csv_write(l);
    l->cut_us = now_us;
    l->second_us += SECOND_US;
}

static void figures_of_machine(struct local *l, double seconds)
{
    uint64_t log, rest, puts = l->report.total[WORKLOAD_VERB_PUT].latency_us.count;
    uint64_t pair_bytes = DATA_KEY_BYTES + l->flags->value_bytes, device;
    local_figure(l, "seconds", seconds);
    local_figure(l, "anon_peak_bytes", (double)l->anon_peak);
    local_figure(l, "user_bytes", (double)(l->flags->keys * pair_bytes));
    local_figure(l, "put_bytes", (double)(puts * pair_bytes));
    local_figure(l, "cpu_us", (double)(machine_cpu_us() - l->cpu_begin));
    figures_of_threads(l);
    if (l->local->settle) {
        machine_settle(l->local->folder);
        double took = (double)(machine_now_us() - l->begin_us) / 1e6;
        if (machine_device_bytes(l->local->folder, &device))
            local_figure(l, "device_bytes",
                         (double)(device - l->device_begin) - l->device_quiet * took);
    }
    machine_disk_bytes(l->local->folder, &log, &rest);
    local_figure(l, "disk_log_bytes", (double)log);
    local_figure(l, "disk_rest_bytes", (double)rest);
}

void local_end(struct local *l, uint64_t now_us)
{
    double seconds = (double)(now_us - l->begin_us) / 1e6;
    report_second(&l->report, l->time_s, (double)(now_us - l->cut_us) / 1e6, &l->text);
    report_totals(&l->report, seconds, &l->text);
    csv_write(l);
    report_table(&l->report, seconds, &l->text);
    printf("%.*s", (int)l->text.bytes, (const char *)l->text.data);
    buf_clear(&l->text);
    figures_of_machine(l, seconds);
}

void local_figure_text(struct local *l, const char *name, const char *value)
{
    if (l->figures && fprintf(l->figures, "%s,%s\n", name, value) < 0)
        l->failed = true;
}

void local_figure(struct local *l, const char *name, double value)
{
    char text[64];
    snprintf(text, sizeof(text), "%.3f", value);
    local_figure_text(l, name, text);
}

void local_figures_of(struct local *l, const char *name, const struct hist *h)
{
    static const struct {
        const char *name;
        double share;
    } shares[] = {{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}};
    char text[96];
    snprintf(text, sizeof(text), "%s_count", name);
    local_figure(l, text, (double)h->count);
    snprintf(text, sizeof(text), "%s_mean_us", name);
    local_figure(l, text, hist_mean(h));
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        snprintf(text, sizeof(text), "%s_%s_us", name, shares[i].name);
        local_figure(l, text, (double)hist_quantile(h, shares[i].share));
    }
}

int local_close(struct local *l)
{
    bool failed = l->failed;
    if (l->csv)
        failed |= fclose(l->csv) != 0;
    if (l->figures)
        failed |= fclose(l->figures) != 0;
    if (failed)
        program_say("cannot write the report");
    uint64_t errors = report_errors(&l->report);
    buf_close(&l->text);
    data_close(&l->data);
    return program_flush(failed || errors ? 1 : 0);
}
