/*
 * gtstore-bench: puts a cluster under a known load and says how it answered.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/engine_uv.h"
#include "bench/flags.h"
#include "bench/floor_posix.h"
#include "bench/plot.h"
#include "bench/report.h"
#include "bench/sessions_posix.h"
#include "bench/workload.h"
#include "client/gtstore.h"
#include "engine/base/error.h"
#include "engine/base/program.h"
#include "engine/base/units.h"

#define PROGRAM        "gtstore-bench"
#define TEXT_BYTES_MAX 65536
/* The main thread wakes at least this often to feed places that rest after an error, and in the
 * open loop at most that often. */
#define NAP_MAX_US 10000
#define NAP_MIN_US 50
/* The load keeps at least so many puts in flight in each session. */
#define LOAD_IN_FLIGHT 16
/* The answers that come this shortly after the end of a timed run belong to its last second. */
#define TAIL_US 500000

struct options {
    struct flags flags;
    struct local_flags local;
    const char *managers, *plot_path, *ack_path;
    enum workload_distribution distribution;
    bool distribution_given;
    const char *of_cluster; /* a flag that was given and makes no sense with --engine, or NULL */
    uint64_t in_flight;
    double rate;
};

enum option_key {
    OPTION_IN_FLIGHT = 256,
    OPTION_RATE,
    OPTION_DISTRIBUTION,
    OPTION_PLOT,
    OPTION_ACK_LOG
};

static const struct argp_option option_table[] = {
    {"manager", 'm', "HOST:PORT", 0,
     "Manager or storage node, or several with commas (GTSTORE_MANAGER, else 127.0.0.1:5000)", 0},
    {"in-flight", OPTION_IN_FLIGHT, "P", 0,
     "Operations that each session keeps in flight (default 1)", 0},
    {"rate", OPTION_RATE, "R", 0,
     "Start R operations a second, whatever the answers do; latency counts from when an operation "
     "was due (default: as fast as the answers come)",
     0},
    {"distribution", OPTION_DISTRIBUTION, "NAME", 0,
     "uniform, zipfian, latest or sequential (default: the workload's)", 0},
    {"plot", OPTION_PLOT, "FILE.png", 0, "Draw throughput and latency over time (needs gnuplot)",
     0},
    {"ack-log", OPTION_ACK_LOG, "FILE", 0,
     "Write a line `KEY HASH` for every acknowledged put, of the load too, in the order of the "
     "answers; HASH is the XXH64 of the value, 16 hexadecimal digits",
     0},
    {0},
};

static error_t option_take(int key, char *text, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case 'm':
        o->managers = text;
        o->of_cluster = "--manager";
        return 0;
    case OPTION_IN_FLIGHT:
        o->of_cluster = "--in-flight";
        o->in_flight = flags_number("--in-flight", text, 1, SESSIONS_IN_FLIGHT_MAX);
        return 0;
    case OPTION_RATE:
        o->of_cluster = "--rate";
        if (units_real(text, 0.001, 1e8, &o->rate) != 0)
            flags_refuse("--rate", text, "operations a second, from 0.001 to 100000000");
        return 0;
    case OPTION_DISTRIBUTION:
        o->of_cluster = "--distribution";
        if (workload_distribution_parse(text, &o->distribution) != 0)
            flags_refuse("--distribution", text, "uniform, zipfian, latest or sequential");
        o->distribution_given = true;
        return 0;
    case OPTION_PLOT:
        o->of_cluster = "--plot";
        o->plot_path = text;
        return 0;
    case OPTION_ACK_LOG:
        o->of_cluster = "--ack-log";
        o->ack_path = text;
        return 0;
    case ARGP_KEY_ARG:
        program_usage("unexpected argument %s", text);
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->flags;
        state->child_inputs[1] = &o->local;
        state->err_stream = NULL; /* getopt's own line is enough */
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Ends the program when the flags do not fit together. */
static void options_check(struct options *o)
{
    flags_check(&o->flags);
    if (o->local.folder) {
        flags_check_local(&o->flags, &o->local, true);
        if (o->of_cluster)
            program_usage("--engine runs without a cluster: %s makes no sense then", o->of_cluster);
        return;
    }
    if (o->local.figures_path || o->local.settle || o->flags.floor)
        program_usage("%s needs --engine DIR", o->flags.floor          ? "--workload wal-floor"
                                               : o->local.figures_path ? "--figures"
                                                                       : "--settle");
    struct address addresses[16];
    if (units_addresses(o->managers, addresses, 16) < 1)
        flags_refuse("--manager", o->managers, "HOST:PORT[,HOST:PORT]");
    if (!o->distribution_given)
        o->distribution = workload_distribution_default(o->flags.kind);
    if (o->plot_path && plot_check() != 0)
        program_die(1, "--plot needs gnuplot, which is not installed (or not on the PATH)");
}

static void options_parse(struct options *o, int argc, char **argv)
{
    static const struct argp_child children[] = {
        {.argp = &flags_argp}, {.argp = &local_flags_argp}, {0}};
    static const struct argp parser = {
        .options = option_table,
        .parser = option_take,
        .children = children,
        .doc = "Puts a GTStore cluster under load and reports throughput and latency.\v"
               "Exit codes: 0 ok, 1 an operation failed, 2 usage, 6 the cluster is unreachable."};
    const char *managers = getenv("GTSTORE_MANAGER");
    *o = (struct options){.managers = managers && *managers ? managers : "127.0.0.1:5000",
                          .in_flight = 1};
    flags_init(&o->flags);
    if (argp_parse(&parser, argc, argv, 0, NULL, o) != 0)
        exit(EXIT_USAGE); /* getopt has said why */
    program_parsed();
    options_check(o);
}

struct bench {
    struct options options;
    struct sessions sessions;
    struct report report;
    FILE *csv; /* or NULL */
    FILE *ack_log;
    const char *csv_path;
    char csv_scratch[64]; /* the path of a CSV that only the picture needs */
    bool terminal, interrupted;
    sigset_t signals;
};

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Sleeps until then, or until somebody asks us to stop. */
static void nap_until(struct bench *b, uint64_t now_us, uint64_t then_us)
{
    uint64_t us = then_us > now_us + NAP_MIN_US ? then_us - now_us : NAP_MIN_US;
    struct timespec t = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    if (sigtimedwait(&b->signals, NULL, &t) > 0) {
        if (b->interrupted)
            _exit(130);
        b->interrupted = true;
        sessions_stop(&b->sessions);
    }
}

static void progress(const struct bench *b, const char *text)
{
    if (b->terminal)
        fprintf(stderr, "\r\033[K%s", text);
}

static void progress_end(const struct bench *b)
{
    progress(b, "");
}

/* Puts every key once. 0, or the exit code. */
static int load(struct bench *b)
{
    const struct options *o = &b->options;
    struct phase phase = {
        .workload = {.kind = WORKLOAD_PUT,
                     .distribution = WORKLOAD_SEQUENTIAL,
                     .keys = o->flags.keys,
                     .seed = o->flags.seed ^ 0x6c6f6164u}, /* other values than the run's */
        .ops = o->flags.keys,
        .end_us = UINT64_MAX,
        .in_flight = b->sessions.in_flight,
    };
    report_init(&b->report, WORKLOAD_PUT);
    struct report_op *puts = &b->report.second[WORKLOAD_VERB_PUT];
    uint64_t next_us, now_us = sessions_now_us(), show_us = now_us;
    sessions_begin(&b->sessions, &phase, now_us);
    while (sessions_feed(&b->sessions, now_us, &next_us)) {
        nap_until(b, now_us, now_us + NAP_MAX_US);
        now_us = sessions_now_us();
        if (now_us < show_us)
            continue;
        sessions_collect(&b->sessions, b->report.second);
        char line[96];
        snprintf(line, sizeof(line), "load %llu of %llu keys",
                 (unsigned long long)puts->latency_us.count, (unsigned long long)o->flags.keys);
        progress(b, line);
        show_us = now_us + 250000;
    }
    progress_end(b);
    sessions_collect(&b->sessions, b->report.second);
    if (puts->errors) {
        program_say("the load failed: %llu of %llu puts; the first: %s",
                    (unsigned long long)puts->errors, (unsigned long long)o->flags.keys,
                    sessions_first_error(&b->sessions));
        return 1;
    }
    if (b->interrupted) {
        program_say("interrupted during the load");
        return 1;
    }
    return 0;
}

/* Writes the text and empties it; true unless the file fails. */
static bool csv_write(struct bench *b, struct buf *text)
{
    bool good = !text->failed;
    if (b->csv && text->bytes > 0)
        good = good && fwrite(text->data, 1, text->bytes, b->csv) == text->bytes &&
               fflush(b->csv) == 0;
    buf_clear(text);
    return good;
}

/* Ends a second of the run. */
static bool second_end(struct bench *b, uint64_t time_s, double seconds, struct buf *text)
{
    sessions_collect(&b->sessions, b->report.second);
    report_progress(&b->report, time_s, seconds, text);
    buf_u8(text, 0);
    if (!text->failed)
        progress(b, (const char *)text->data);
    buf_clear(text);
    report_second(&b->report, time_s, seconds, text);
    return csv_write(b, text);
}

/* The run itself; *seconds is how long it took. False when the CSV could not be written. */
static bool run(struct bench *b, struct buf *text, double *seconds)
{
    const struct options *o = &b->options;
    uint64_t begin_us = sessions_now_us(), now_us = begin_us, next_us, cut_us = begin_us;
    uint64_t time_s = 1, tick_us = begin_us + 1000000;
    struct phase phase = {
        .workload = {.kind = o->flags.kind,
                     .distribution = o->distribution,
                     .keys = o->flags.keys,
                     .seed = o->flags.seed},
        .ops = o->flags.ops ? o->flags.ops : UINT64_MAX,
        .end_us = o->flags.duration_us ? begin_us + o->flags.duration_us : UINT64_MAX,
        .rate = o->rate,
        .in_flight = (uint32_t)o->in_flight,
    };
    report_header(text);
    bool good = csv_write(b, text);
    sessions_begin(&b->sessions, &phase, begin_us);
    while (sessions_feed(&b->sessions, now_us, &next_us)) {
        bool tail = tick_us >= phase.end_us && now_us < phase.end_us + TAIL_US;
        if (now_us >= tick_us && !tail) {
            good = second_end(b, time_s++, (double)(now_us - cut_us) / 1e6, text) && good;
            cut_us = now_us;
            tick_us += 1000000;
        }
        uint64_t wake_us = min_u64(next_us, now_us + NAP_MAX_US);
        nap_until(b, now_us, tail ? wake_us : min_u64(wake_us, tick_us));
        now_us = sessions_now_us();
    }
    uint64_t last_us = sessions_last_us(&b->sessions);
    /* When the last answer came before the last cut, nothing is left to report. */
    if (last_us > cut_us || time_s == 1)
        good = second_end(b, time_s, (double)(last_us - cut_us) / 1e6, text) && good;
    progress_end(b);
    *seconds = (double)(last_us - begin_us) / 1e6;
    report_totals(&b->report, *seconds, text);
    return csv_write(b, text) && good;
}

static int draw(struct bench *b, struct buf *text)
{
    const struct options *o = &b->options;
    char title[200], size[32];
    snprintf(title, sizeof(title), "workload %s, %s, %llu keys, %s values, %llu x %llu in flight",
             workload_kind_name(o->flags.kind), workload_distribution_name(o->distribution),
             (unsigned long long)o->flags.keys, units_size_text(o->flags.value_bytes, size),
             (unsigned long long)o->flags.clients, (unsigned long long)o->in_flight);
    plot_script(b->report.shown, b->csv_path, o->plot_path, title, text);
    int error = plot_run(text);
    buf_clear(text);
    if (error)
        program_say("gnuplot could not draw %s", o->plot_path);
    return error;
}

/* The table, the picture and the verdict: the exit code. */
static int conclude(struct bench *b, struct buf *text, double seconds)
{
    report_table(&b->report, seconds, text);
    printf("%.*s", (int)text->bytes, (const char *)text->data);
    buf_clear(text);
    int code = program_flush(0);
    uint64_t unsent = sessions_unsent(&b->sessions), errors = report_errors(&b->report);
    if (unsent)
        program_say(
            "%llu operations fell due but were not sent: the rate is more than the cluster, "
            "or --clients x --in-flight, can carry",
            (unsigned long long)unsent);
    if (errors) {
        program_say("%llu operations failed; the first: %s", (unsigned long long)errors,
                    sessions_first_error(&b->sessions));
        code = 1;
    }
    if (b->options.plot_path && draw(b, text) != 0)
        code = 1;
    return code;
}

static FILE *file_create(const char *path)
{
    FILE *file = fopen(path, "we");
    if (!file)
        program_say("cannot write %s: %s", path, strerror(errno));
    return file;
}

/* gnuplot writes it itself, long after: tried here, so that no run is made for nothing. */
static bool file_writable(const char *path)
{
    FILE *file = fopen(path, "ae"); /* what is there stays until there is a new picture */
    if (file)
        fclose(file);
    else
        program_say("cannot write %s: %s", path, strerror(errno));
    return file != NULL;
}

/* Opens the files that the options ask for; false when one cannot be written. */
static bool files_open(struct bench *b)
{
    const struct options *o = &b->options;
    b->csv_path = o->flags.csv_path;
    if (o->flags.csv_path) {
        b->csv = file_create(o->flags.csv_path);
        if (!b->csv)
            return false;
    } else if (o->plot_path) {
        strcpy(b->csv_scratch, "/tmp/" PROGRAM "-XXXXXX");
        int fd = mkstemp(b->csv_scratch);
        b->csv = fd < 0 ? NULL : fdopen(fd, "w");
        if (!b->csv) {
            program_say("cannot write to /tmp: %s", strerror(errno));
            return false;
        }
        b->csv_path = b->csv_scratch;
    }
    if (o->ack_path && !(b->ack_log = file_create(o->ack_path)))
        return false;
    return !o->plot_path || file_writable(o->plot_path);
}

/* True unless what was written could not be kept. */
static bool files_close(struct bench *b)
{
    bool good = true;
    if (b->ack_log && (ferror(b->ack_log) | fclose(b->ack_log)) != 0) {
        program_say("cannot write %s", b->options.ack_path);
        good = false;
    }
    if (b->csv && fclose(b->csv) != 0)
        good = false;
    if (b->csv_scratch[0])
        unlink(b->csv_scratch);
    return good;
}

/* Ctrl-C ends the run early, with its totals; the second one ends the program. */
static void signals_block(struct bench *b)
{
    sigemptyset(&b->signals);
    sigaddset(&b->signals, SIGINT);
    sigaddset(&b->signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &b->signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int bench_run(struct bench *b)
{
    const struct options *o = &b->options;
    uint32_t in_flight = (uint32_t)o->in_flight;
    if (!o->flags.no_load && in_flight < LOAD_IN_FLIGHT)
        in_flight = LOAD_IN_FLIGHT;
    int error = sessions_open(&b->sessions, o->managers, (uint32_t)o->flags.clients, in_flight,
                              o->flags.value_bytes, b->ack_log);
    if (error) {
        program_say("cannot open a session with %s: %s", o->managers, gtstore_strerror(error));
        return error_exit_code(error);
    }
    /* The sessions' threads are there now and have the signals blocked, as we do. */
    struct buf text;
    buf_init(&text, TEXT_BYTES_MAX);
    double seconds = 0;
    int code = o->flags.no_load ? 0 : load(b);
    if (code == 0) {
        report_init(&b->report, o->flags.kind);
        if (!run(b, &text, &seconds)) {
            program_say("cannot write %s", b->csv_path ? b->csv_path : "the report");
            code = 1;
        }
        int verdict = conclude(b, &text, seconds);
        code = code ? code : verdict;
    }
    buf_close(&text);
    sessions_close(&b->sessions);
    return code;
}

int main(int argc, char **argv)
{
    program_begin(argv, PROGRAM);
    struct bench *b = calloc(1, sizeof(*b));
    if (!b)
        program_die(1, "out of memory");
    options_parse(&b->options, argc, argv);
    const struct options *o = &b->options;
    if (o->local.folder) {
        int local = o->flags.floor ? floor_run(&o->flags, &o->local)
                                   : engine_bench_run(&o->flags, &o->local);
        free(b);
        return local;
    }
    b->terminal = isatty(STDERR_FILENO);
    signals_block(b);
    int code = files_open(b) ? bench_run(b) : 1;
    if (!files_close(b) && code == 0)
        code = 1;
    free(b);
    return code;
}
