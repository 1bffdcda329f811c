/*
 * Every call fails once: each call on files of the folder, by kind and number, and each allocation,
 * with each error that it can give, once and from then on (failed_run.h); and files that may grow
 * by N bytes, for each N in steps of a page.
 *
 * A fork server: the program is loaded once, and each case is a child for the run and one for the
 * check. Exit code 0: all is well; 1: a case failed, with the line that plays it again; 2: usage.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/mutant.h"
#include "tests/crash/failed_run.h"
#include "tests/crash/scratch.h"

#define JOBS_MAX     16
#define FAILURES_MAX 20   /* told; then it is enough. Of a planted fault one is */
#define SHORT_CALLS  150u /* of each kind, error and way in the short form */
#define ROOM_STEP    4096u

/* ---- names ----------------------------------------------------------------------------------- */

static const char *const kind_names[FAIL_KINDS + 1] = {
    "open", "read", "write", "sync", "rename", "remove", "mkdir", "size",
    "map",  "stat", "lock",  "list", "cache",  "close",  "alloc", "room"};

static const struct error_name {
    int error;
    const char *name;
} error_names[] = {
    {EIO, "EIO"},       {ENOSPC, "ENOSPC"}, {EINTR, "EINTR"},    {EMFILE, "EMFILE"},
    {ENOMEM, "ENOMEM"}, {ENOLCK, "ENOLCK"}, {FAIL_HALF, "half"}, {FAIL_ONE, "one"},
};

static const char *error_word(int error)
{
    for (size_t i = 0; i < sizeof(error_names) / sizeof(error_names[0]); i++)
        if (error_names[i].error == error)
            return error_names[i].name;
    return "none";
}

static int error_of_word(const char *word)
{
    for (size_t i = 0; i < sizeof(error_names) / sizeof(error_names[0]); i++)
        if (strcmp(error_names[i].name, word) == 0)
            return error_names[i].error;
    return 0;
}

static int kind_of_word(const char *word)
{
    for (int kind = 0; kind <= FAIL_KINDS; kind++)
        if (strcmp(kind_names[kind], word) == 0)
            return kind;
    return -1;
}

/* What each kind of call can answer; 0 ends. EINTR where a call that waits can be interrupted. */
static const int kind_errors[FAIL_KINDS][6] = {
    [FAIL_OPEN] = {EIO, EMFILE, ENOSPC, EINTR},
    [FAIL_READ] = {EIO, EINTR, FAIL_HALF, FAIL_ONE},
    [FAIL_WRITE] = {EIO, ENOSPC, EINTR, FAIL_HALF, FAIL_ONE},
    [FAIL_SYNC] = {EIO, ENOSPC, EINTR},
    [FAIL_RENAME] = {EIO, ENOSPC},
    [FAIL_REMOVE] = {EIO},
    [FAIL_MKDIR] = {EIO, ENOSPC},
    [FAIL_SIZE] = {EIO, ENOSPC, EINTR},
    [FAIL_MAP] = {ENOMEM},
    [FAIL_STAT] = {EIO},
    [FAIL_LOCK] = {ENOLCK, EINTR},
    [FAIL_LIST] = {EIO, ENOMEM},
    [FAIL_CACHE] = {EIO},
    [FAIL_CLOSE] = {EIO},
    [FAIL_ALLOC] = {ENOMEM},
};

/* ---- one case -------------------------------------------------------------------------------- */

struct options {
    const char *program, *mutant;
    struct fail_plan plan; /* kind FAIL_NOTHING without room: all; error 0: each */
    bool one, all, loud;
    uint64_t seconds, seed;
    unsigned jobs;
};

static uint64_t failures_max(const struct options *o)
{
    return o->mutant ? 1 : FAILURES_MAX;
}

struct totals {
    uint64_t runs, hit, failures, lost, made_up, crashed, other, memory_ends, pages_lost;
};

struct bench {
    const struct options *options;
    uint64_t seed;
    char scratch[SCRATCH_BYTES], folder[SCRATCH_BYTES + 16];
    struct outcome *outcome; /* shared with the children */
    struct totals *totals;   /* shared with everybody */
};

static int child_wait(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}

static int run_child(struct bench *b, const struct fail_plan *plan)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        failed_run(plan, b->seed, b->options->loud, b->folder, b->scratch, b->outcome);
    return child < 0 ? -1 : child_wait(child);
}

static int check_child(struct bench *b)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        failed_check(b->seed, b->options->loud, b->folder, b->outcome);
    return child < 0 ? -1 : child_wait(child);
}

/* A call that was interrupted or moved fewer bytes is continued, and nobody sees it. A sync is not:
 * after one that returned an error, whichever, a second proves nothing (disk.h). Files of the index
 * are LMDB's to handle: a short transfer is an error to it, which the engine gets over or reports.
 * Nothing is owed by a close: what counts was synced before.
 */
static bool is_invisible(const struct fail_plan *plan, const struct outcome *out)
{
    if (plan->kind == FAIL_CLOSE)
        return true;
    bool passing = plan->error == EINTR || plan->error == FAIL_HALF || plan->error == FAIL_ONE;
    return passing && plan->kind != FAIL_SYNC && !out->hits_index && plan->kind != FAIL_NOTHING;
}

/* What was wrong, counted; NULL: nothing. */
static const char *judge(struct bench *b, const struct fail_plan *plan, int run, int check)
{
    struct outcome *out = b->outcome;
    struct totals *t = b->totals;
    static char line[128];
    if (!WIFEXITED(run) || !WIFEXITED(check)) {
        int status = WIFEXITED(run) ? check : run;
        __atomic_add_fetch(&t->crashed, 1, __ATOMIC_RELAXED);
        snprintf(line, sizeof(line), "the %s ended by signal %d%s",
                 WIFEXITED(run) ? "next start" : "run", WTERMSIG(status),
                 WTERMSIG(status) == SIGALRM ? ": it did not come to an end" : "");
        return line;
    }
    if (WEXITSTATUS(run) == EXIT_MEMORY && plan->kind == FAIL_ALLOC)
        __atomic_add_fetch(&t->memory_ends, 1, __ATOMIC_RELAXED);
    else if (WEXITSTATUS(run) != 0)
        snprintf(out->why, sizeof(out->why), "the run ended with exit code %d", WEXITSTATUS(run));
    else if (is_invisible(plan, out) && !out->whole && !out->why[0])
        snprintf(out->why, sizeof(out->why), "the failure is to be seen, and must not be");
    else if (out->hits_close && !out->warned && !out->why[0])
        snprintf(out->why, sizeof(out->why), "a file could not be closed, and no line says so");
    if (!out->why[0])
        return NULL;
    bool lost = strstr(out->why, "acknowledged") != NULL, made = strstr(out->why, "damaged data");
    __atomic_add_fetch(lost ? &t->lost : made ? &t->made_up : &t->other, 1, __ATOMIC_RELAXED);
    return out->why;
}

static void plan_print(FILE *to, const struct options *o, uint64_t seed,
                       const struct fail_plan *plan)
{
    if (plan->kind == FAIL_NOTHING)
        fprintf(to, "%s --kind room --call %llu%s", o->program,
                (unsigned long long)plan->room_bytes, plan->room_untold ? " --untold" : "");
    else
        fprintf(to, "%s --kind %s --call %llu --error %s%s", o->program, kind_names[plan->kind],
                (unsigned long long)plan->call, error_word(plan->error),
                plan->forever ? " --forever" : "");
    fprintf(to, " --seed %llu", (unsigned long long)seed);
    if (o->mutant)
        fprintf(to, " --mutant %s", o->mutant);
    fprintf(to, "\n");
}

static void case_run(struct bench *b, struct fail_plan plan)
{
    scratch_empty(b->scratch);
    memset(b->outcome, 0, sizeof(*b->outcome));
    plan.folder = b->scratch;
    int run = run_child(b, &plan);
    int check = WIFEXITED(run) ? check_child(b) : 0;
    const char *why = judge(b, &plan, run, check);
    __atomic_add_fetch(&b->totals->runs, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&b->totals->hit, b->outcome->hits > 0, __ATOMIC_RELAXED);
    __atomic_add_fetch(&b->totals->pages_lost, b->outcome->pages_lost, __ATOMIC_RELAXED);
    if (!why ||
        __atomic_fetch_add(&b->totals->failures, 1, __ATOMIC_RELAXED) >= failures_max(b->options))
        return;
    flockfile(stderr);
    fprintf(stderr, "failed: %s\n  ", why);
    plan_print(stderr, b->options, b->seed, &plan);
    funlockfile(stderr);
}

/* ---- all cases ------------------------------------------------------------------------------- */

/* Calls each case of which the number modulo jobs is job. False: enough has failed. */
struct share {
    struct bench *bench;
    unsigned job, jobs;
    uint64_t number, ways;
    struct timespec until; /* with seconds */
};

static bool share_over(const struct share *s)
{
    struct timespec now;
    if (s->bench->totals->failures >= failures_max(s->bench->options))
        return true;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return s->bench->options->seconds > 0 && now.tv_sec >= s->until.tv_sec;
}

static void share_case(struct share *s, const struct fail_plan *plan)
{
    if (s->number++ % s->jobs == s->job && !share_over(s))
        case_run(s->bench, *plan);
}

static void share_calls(struct share *s, const uint64_t counts[FAIL_KINDS], enum fail_kind kind,
                        int error, bool forever)
{
    uint64_t step = 1;
    if (!s->bench->options->all && counts[kind] > SHORT_CALLS)
        step = counts[kind] / SHORT_CALLS + 1;
    /* Another place to begin for each error, so that all parts of a cycle are met. */
    for (uint64_t call = 1 + s->ways++ % step; call <= counts[kind]; call += step)
        share_case(
            s, &(struct fail_plan){.kind = kind, .call = call, .error = error, .forever = forever});
}

static void share_room(struct share *s, uint64_t grown_bytes)
{
    bool all = s->bench->options->all;
    for (uint64_t step = 0; step * ROOM_STEP <= grown_bytes; step++)
        for (int untold = 0; untold < 2; untold++)
            if (all || (int)(step % 2) == untold)
                share_case(s, &(struct fail_plan){.kind = FAIL_NOTHING,
                                                  .room = true,
                                                  .room_untold = untold,
                                                  .room_bytes = step * ROOM_STEP});
}

static void share_all(struct share *s, const struct outcome *whole)
{
    const struct options *o = s->bench->options;
    bool some = o->plan.kind != FAIL_NOTHING || o->plan.room;
    for (int kind = 0; kind < FAIL_KINDS; kind++)
        for (const int *error = kind_errors[kind]; *error; error++)
            for (int forever = 0; forever < 2; forever++)
                if (!some ||
                    ((int)o->plan.kind == kind && (o->plan.error == 0 || o->plan.error == *error)))
                    share_calls(s, whole->counts, (enum fail_kind)kind, *error, forever);
    if (!some || o->plan.room)
        share_room(s, whole->grown_bytes);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void *shared_new(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return at;
}

static void bench_open(struct bench *b, const struct options *o, struct totals *totals)
{
    *b = (struct bench){.options = o, .seed = o->seed, .totals = totals};
    scratch_make("calls", b->scratch);
    snprintf(b->folder, sizeof(b->folder), "%s/data", b->scratch);
    b->outcome = shared_new(sizeof(*b->outcome));
}

static void bench_close(struct bench *b)
{
    scratch_remove(b->scratch);
    munmap(b->outcome, sizeof(*b->outcome));
}

/* The run in which nothing fails, with what it counts; false when it is not well. */
static bool whole_run(struct bench *b, struct outcome *whole)
{
    scratch_empty(b->scratch);
    memset(b->outcome, 0, sizeof(*b->outcome));
    struct fail_plan plan = {.folder = b->scratch,
                             .kind = FAIL_NOTHING,
                             .room = true,
                             .room_untold = true,
                             .room_bytes = UINT64_MAX / 2};
    int run = run_child(b, &plan);
    int check = WIFEXITED(run) ? check_child(b) : 1;
    *whole = *b->outcome;
    if (run == 0 && check == 0 && whole->whole && whole->hits == 0)
        return true;
    fprintf(stderr, "the run in which nothing fails: %s (%d, %d)\n",
            whole->why[0] ? whole->why : "not all puts were acknowledged", run, check);
    return false;
}

static bool whole_print(const struct outcome *whole)
{
    bool all = whole->checkpoints > 1 && whole->recycled > 0 && whole->seals > 0;
    printf("calls of a run:");
    for (int kind = 0; kind < FAIL_KINDS; kind++) {
        printf(" %s %llu", kind_names[kind], (unsigned long long)whole->counts[kind]);
        all &= whole->counts[kind] > 0;
    }
    printf("; files grow by %llu bytes; %llu checkpoints, %llu segments used again, %llu seals\n",
           (unsigned long long)whole->grown_bytes, (unsigned long long)whole->checkpoints,
           (unsigned long long)whole->recycled, (unsigned long long)whole->seals);
    if (!all)
        fprintf(stderr, "the run leaves something out\n");
    return all;
}

static bool seed_run(const struct options *o, uint64_t seed, struct totals *totals,
                     const struct timespec *until)
{
    struct bench bench;
    struct outcome whole;
    bench_open(&bench, o, totals);
    bench.seed = seed;
    bool good = whole_run(&bench, &whole) && whole_print(&whole);
    bench_close(&bench);
    if (!good)
        return false;
    pid_t children[JOBS_MAX];
    fflush(NULL);
    for (unsigned job = 0; job < o->jobs; job++)
        if ((children[job] = fork()) == 0) {
            struct share share = {.bench = &bench, .job = job, .jobs = o->jobs, .until = *until};
            bench_open(&bench, o, totals);
            bench.seed = seed;
            share_all(&share, &whole);
            bench_close(&bench);
            _exit(0);
        }
    for (unsigned job = 0; job < o->jobs; job++)
        good &= children[job] > 0 && child_wait(children[job]) == 0;
    return good && totals->failures == 0;
}

static bool one_run(const struct options *o, struct totals *totals)
{
    struct bench bench;
    bench_open(&bench, o, totals);
    case_run(&bench, o->plan);
    const struct outcome *out = bench.outcome;
    printf("opened %d, %d, %d; poisoned %d; %s; calls made to fail %llu; pages lost %u\n",
           out->opened[0], out->opened[1], out->opened[2], out->poisoned,
           out->whole ? "all was acknowledged" : "the failure was to be seen",
           (unsigned long long)out->hits, out->pages_lost);
    bench_close(&bench);
    return totals->failures == 0;
}

static int usage(const char *program, int code)
{
    fprintf(
        code ? stderr : stdout,
        "usage: %s [--all] [--seconds S | --minutes M] [--jobs N] [--seed S]\n"
        "          [--mutant NAME] [--kind KIND [--error E]\n"
        "          [--call N [--forever] [--untold] [--loud]]]\n"
        "\n"
        "  --all        every call; else at most %u of each kind, spread over the run\n"
        "  --minutes M  --all, and again with other seeds, until so many minutes have passed\n"
        "  --seconds S  the same in seconds\n"
        "  --kind KIND  open read write sync rename remove mkdir size map stat lock list cache\n"
        "               close alloc, or room: files may grow by so many bytes as --call says\n"
        "  --call N     that call alone, with what the engine says when --loud\n"
        "  --error E    EIO ENOSPC EINTR EMFILE ENOMEM ENOLCK half one (each; of one call EIO)\n"
        "  --forever    it and all later ones of its kind\n"
        "  --untold     room: nobody is told how much is left\n"
        "  --mutant M   with a planted fault of the engine; ends when it is caught\n",
        program, SHORT_CALLS);
    return code;
}

enum {
    ALL = 256,
    MINUTES,
    SECONDS,
    JOBS,
    SEED,
    MUTANT_NAME,
    KIND,
    CALL,
    ERROR,
    FOREVER,
    UNTOLD,
    LOUD,
    HELP
};

static const struct option option_table[] = {{"all", no_argument, NULL, ALL},
                                             {"minutes", required_argument, NULL, MINUTES},
                                             {"seconds", required_argument, NULL, SECONDS},
                                             {"jobs", required_argument, NULL, JOBS},
                                             {"seed", required_argument, NULL, SEED},
                                             {"mutant", required_argument, NULL, MUTANT_NAME},
                                             {"kind", required_argument, NULL, KIND},
                                             {"call", required_argument, NULL, CALL},
                                             {"error", required_argument, NULL, ERROR},
                                             {"forever", no_argument, NULL, FOREVER},
                                             {"untold", no_argument, NULL, UNTOLD},
                                             {"loud", no_argument, NULL, LOUD},
                                             {"help", no_argument, NULL, HELP},
                                             {NULL, 0, NULL, 0}};

static bool number_read(const char *text, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0 && errno == 0;
}

/* -1: go on; else the exit code. */
static int options_read(struct options *o, int argc, char **argv)
{
    uint64_t jobs = 2, room = 0;
    int kind = -1, option;
    bool good = true;
    while ((option = getopt_long(argc, argv, "", option_table, NULL)) != -1)
        switch (option) {
        case ALL:
            o->all = true;
            break;
        case MINUTES:
            good &= number_read(optarg, &o->seconds) && o->seconds > 0;
            o->seconds *= 60;
            break;
        case SECONDS:
            good &= number_read(optarg, &o->seconds) && o->seconds > 0;
            break;
        case JOBS:
            good &= number_read(optarg, &jobs) && jobs >= 1 && jobs <= JOBS_MAX;
            break;
        case SEED:
            good &= number_read(optarg, &o->seed);
            break;
        case MUTANT_NAME:
            o->mutant = optarg;
            break;
        case KIND:
            good &= (kind = kind_of_word(optarg)) >= 0;
            break;
        case CALL:
            good &= number_read(optarg, &room);
            o->one = true;
            break;
        case ERROR:
            good &= (o->plan.error = error_of_word(optarg)) != 0;
            break;
        case FOREVER:
            o->plan.forever = true;
            break;
        case UNTOLD:
            o->plan.room_untold = true;
            break;
        case LOUD:
            o->loud = true;
            break;
        case HELP:
            return usage(o->program, 0);
        default:
            good = false;
        }
    if (!good || optind < argc || (o->one && kind < 0))
        return usage(o->program, 2);
    o->jobs = (unsigned)jobs;
    o->all |= o->seconds > 0;
    if (o->one && o->plan.error == 0)
        o->plan.error = EIO;
    if (kind >= 0)
        o->plan.kind = (enum fail_kind)kind;
    o->plan.room = kind == FAIL_NOTHING;
    o->plan.room_bytes = o->plan.call = room;
    return -1;
}

int main(int argc, char **argv)
{
    struct options o = {.program = argv[0], .seed = 1, .plan = {.kind = FAIL_NOTHING}};
    int code = options_read(&o, argc, argv);
    if (code >= 0)
        return code;
    mutant_chosen = o.mutant;
    struct totals *totals = shared_new(sizeof(*totals));
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)o.seconds;
    bool good = true;
    if (o.one)
        return one_run(&o, totals) ? 0 : 1;
    for (uint64_t seed = o.seed; good; seed++) {
        struct timespec now;
        good = seed_run(&o, seed, totals, &until);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (o.seconds == 0 || now.tv_sec >= until.tv_sec)
            break;
    }
    printf(
        "failed calls: %llu runs (%llu with a failure, %llu pages lost by failed syncs, %llu ends "
        "for want of memory), %llu lost, %llu made up, %llu crashed, %llu wrong otherwise\n",
        (unsigned long long)totals->runs, (unsigned long long)totals->hit,
        (unsigned long long)totals->pages_lost, (unsigned long long)totals->memory_ends,
        (unsigned long long)totals->lost, (unsigned long long)totals->made_up,
        (unsigned long long)totals->crashed, (unsigned long long)totals->other);
    return good && totals->failures == 0 ? 0 : 1;
}
