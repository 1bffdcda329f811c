/*
 * gtstore-sim: seeds in, verdicts out; or a story, played and compared.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "commit.h"
#include "engine/base/assert.h"
#include "engine/base/mutant.h"
#include "engine/base/program.h"
#include "engine/base/units.h"
#include "tests/sim/fleet.h"
#include "tests/sim/story.h"
#include "tests/sim/swarm.h"

#define TRACE_KEPT     200
#define TRACE_LINE     700
#define PROGRESS_EVERY 1.0

struct options {
    struct fleet_orders fleet;
    bool trace, minimize, brief;
    bool one, many; /* --seed, --seeds */
    const char *story;
    bool print;
};

/* ---- traces ---------------------------------------------------------------------------------- */

static void line_print(void *arg, const char *line)
{
    (void)arg;
    program_print(line, strlen(line));
    program_print("\n", 1);
}

/* The last lines of a run. */
struct tail {
    char lines[TRACE_KEPT][TRACE_LINE];
    uint64_t count;
};

static void line_keep(void *arg, const char *line)
{
    struct tail *t = arg;
    snprintf(t->lines[t->count++ % TRACE_KEPT], TRACE_LINE, "%s", line);
}

static void tail_print(const struct tail *t)
{
    uint64_t from = t->count > TRACE_KEPT ? t->count - TRACE_KEPT : 0;
    for (uint64_t i = from; i < t->count; i++)
        printf("  %s\n", t->lines[i % TRACE_KEPT]);
}

static void plan_print(const struct plan *p)
{
    char text[300];
    printf("plan   %s\n", plan_text(p, text));
    for (uint32_t i = 0; i < p->fault_count; i++)
        if (!p->faults[i].off)
            printf("fault  %s\n", fault_text(&p->faults[i], text));
}

/* ---- one failure, at length ------------------------------------------------------------------ */

/* The same plan again, with its trace. */
static void failure_report(const struct plan *p, bool moves, const struct swarm_result *r)
{
    struct tail *tail = calloc(1, sizeof(*tail));
    gt_assert(tail);
    struct swarm_result again;
    swarm_run(p, line_keep, tail, &again);
    printf("FAILED seed %llu commit %s\n", (unsigned long long)p->seed, GT_COMMIT);
    printf("%s: %s\n", r->finding.checker, r->finding.text);
    plan_print(p);
    printf("the last %d lines of the trace:\n", TRACE_KEPT);
    tail_print(tail);
    printf("again: gtstore-sim%s --seed %llu --trace\n", moves ? " --moves" : "",
           (unsigned long long)p->seed);
    free(tail);
}

/* Fails in the same way. */
static bool still_fails(const struct plan *p, const struct finding *finding)
{
    struct swarm_result r;
    swarm_run(p, NULL, NULL, &r);
    return r.failed && strcmp(r.finding.checker, finding->checker) == 0;
}

static bool rate_drop(struct plan *p, uint32_t *rate, const struct finding *finding)
{
    uint32_t before = *rate;
    *rate = 0;
    if (before == 0 || still_fails(p, finding))
        return before != 0;
    *rate = before;
    return false;
}

/* Leaves out one thing after another while the failure stays, until nothing more can go. */
static void minimize(struct plan *p, const struct finding *finding)
{
    for (bool any = true; any;) {
        any = false;
        for (uint32_t i = 0; i < p->fault_count; i++) {
            if (p->faults[i].off)
                continue;
            p->faults[i].off = true;
            bool stays = still_fails(p, finding);
            p->faults[i].off = stays;
            any |= stays;
        }
        any |= rate_drop(p, &p->network.loss, finding);
        any |= rate_drop(p, &p->network.doubled, finding);
        any |= rate_drop(p, &p->network.reorder, finding);
        any |= rate_drop(p, &p->network.late, finding);
        any |= rate_drop(p, &p->network.broken, finding);
        for (uint32_t i = 0; i < SIM_HOSTS_MAX; i++) {
            int64_t before = p->clock_offset_us[i];
            p->clock_offset_us[i] = 0;
            if (before && still_fails(p, finding))
                any = true;
            else
                p->clock_offset_us[i] = before;
        }
    }
}

/* ---- one seed -------------------------------------------------------------------------------- */

static int seed_run(uint64_t seed, const struct options *o)
{
    struct plan plan;
    struct swarm_result r;
    (o->fleet.moves ? plan_make_moving : plan_make)(&plan, seed);
    if (o->trace)
        plan_print(&plan);
    swarm_run(&plan, o->trace ? line_print : NULL, NULL, &r);
    if (r.failed && o->minimize)
        minimize(&plan, &r.finding);
    if (r.failed && !o->trace)
        failure_report(&plan, o->fleet.moves, &r);
    else if (r.failed)
        printf("FAILED seed %llu commit %s\n%s: %s\n", (unsigned long long)seed, GT_COMMIT,
               r.finding.checker, r.finding.text);
    printf("seed %llu: %s; %u writes done, %u not applied, %u in doubt, %u reads, %u faults, "
           "%llu events in %.1f virtual s\n",
           (unsigned long long)seed, r.failed ? "FAILED" : "ok", r.acked, r.not_applied, r.in_doubt,
           r.reads, r.faults, (unsigned long long)r.events, (double)r.virtual_us / 1e6);
    printf("trace %016llx\n", (unsigned long long)r.hash);
    return r.failed;
}

/* ---- many seeds ------------------------------------------------------------------------------ */

#define SHOWN_MAX 3 /* failures at length */

struct watch {
    const struct options *options;
    struct fleet_verdict failures[SHOWN_MAX];
    uint32_t failure_count;
    double told_s;
};

static void progress(const struct options *o, const struct fleet_tally *t)
{
    fprintf(stderr, "\r%llu of %llu seeds, %llu failed, %.1f seeds/s ",
            (unsigned long long)t->ended, (unsigned long long)(o->fleet.last - o->fleet.first + 1),
            (unsigned long long)t->failed, (double)t->ended / t->seconds);
}

static void each_verdict(void *arg, const struct fleet_verdict *v, const struct fleet_tally *t)
{
    struct watch *w = arg;
    if (isatty(STDERR_FILENO) && t->seconds - w->told_s > PROGRESS_EVERY) {
        w->told_s = t->seconds;
        progress(w->options, t);
    }
    if (!v->failed)
        return;
    fprintf(stderr, "%sseed %llu FAILED: %s\n", isatty(STDERR_FILENO) ? "\n" : "",
            (unsigned long long)v->seed, v->checker);
    if (w->failure_count < SHOWN_MAX)
        w->failures[w->failure_count++] = *v;
}

static int seeds_run(const struct options *o)
{
    struct watch w = {.options = o};
    struct fleet_tally t;
    if (!fleet_run(&o->fleet, each_verdict, &w, &t)) {
        perror("gtstore-sim: no process can be started");
        return 1;
    }
    if (isatty(STDERR_FILENO)) {
        progress(o, &t);
        fputc('\n', stderr);
    }
    for (uint32_t i = 0; i < w.failure_count && !o->brief; i++)
        if (w.failures[i].died)
            printf("\nseed %llu ended its process; again: gtstore-sim --seed %llu --trace\n",
                   (unsigned long long)w.failures[i].seed, (unsigned long long)w.failures[i].seed);
        else
            seed_run(w.failures[i].seed, o);
    if (o->fleet.seconds)
        printf("fresh seeds: %llu..%llu\n", (unsigned long long)o->fleet.first,
               (unsigned long long)(o->fleet.first + t.ended - 1));
    printf("%llu seeds: %llu failed%s%s; %llu writes done, %llu events; %.1f seeds/s, %u jobs\n",
           (unsigned long long)t.ended, (unsigned long long)t.failed, t.failed ? ", first by " : "",
           t.failed ? w.failures[0].checker : "", (unsigned long long)t.acked,
           (unsigned long long)t.events, (double)t.ended / (t.seconds > 0 ? t.seconds : 1),
           o->fleet.jobs);
    return t.failed > 0;
}

/* ---- options --------------------------------------------------------------------------------- */

enum { KEY_STORY = 256, KEY_PRINT, KEY_MOVES }; /* options without a letter */

static const struct argp_option option_table[] = {
    {"seed", 's', "N", 0, "one run, at length", 0},
    {"seeds", 'S', "A..B", 0, "all runs from A to B", 0},
    {"jobs", 'j', "J", 0, "processes (the machine's processors)", 0},
    {"trace", 't', NULL, 0, "every event of the one run", 0},
    {"minimize", 'm', NULL, 0, "leave faults out of a failing run while it fails", 0},
    {"seconds", 'T', "SECONDS", 0, "with --seeds: begin no run after so long", 0},
    {"brief", 'b', NULL, 0, "do not run failing seeds again for their traces", 0},
    {"first", 'f', NULL, 0, "end with the first run that fails", 0},
    {"story", KEY_STORY, "FILE", 0, "play a story; what happens must be what it says", 0},
    {"print", KEY_PRINT, NULL, 0, "with --story: write what happens instead", 0},
    {"moves", KEY_MOVES, NULL, 0, "partitions move in every run: nodes come, go and die", 0},
    {"mutant", 'M', "NAME", 0, "switch a planted fault on (a build with GT_MUTANTS)", 0},
    {0}};

static void seeds_parse(struct argp_state *state, const char *text, struct options *o)
{
    char first[24];
    const char *dots = strstr(text, "..");
    if (!dots || (size_t)(dots - text) >= sizeof(first))
        argp_error(state, "--seeds %s: A..B is needed", text);
    snprintf(first, sizeof(first), "%.*s", (int)(dots - text), text);
    if (units_number(first, 0, UINT64_MAX - 1, &o->fleet.first) != 0 ||
        units_number(dots + 2, 0, UINT64_MAX - 1, &o->fleet.last) != 0 ||
        o->fleet.last < o->fleet.first)
        argp_error(state, "--seeds %s: two numbers up to %llu, the lower one first, are needed",
                   text, (unsigned long long)UINT64_MAX - 1);
}

static error_t option_take(int key, char *text, struct argp_state *state)
{
    struct options *o = state->input;
    uint64_t number;
    switch (key) {
    case 's':
        if (units_number(text, 0, UINT64_MAX, &o->fleet.first) != 0)
            argp_error(state, "--seed %s: a number from 0 to %llu is needed", text,
                       (unsigned long long)UINT64_MAX);
        o->fleet.last = o->fleet.first;
        o->one = true;
        return 0;
    case 'S':
        seeds_parse(state, text, o);
        o->many = true;
        return 0;
    case 'j':
        if (units_number(text, 1, FLEET_JOBS_MAX, &number) != 0)
            argp_error(state, "--jobs %s: 1 to %d are possible", text, FLEET_JOBS_MAX);
        o->fleet.jobs = (uint32_t)number;
        return 0;
    case 't':
        o->trace = true;
        return 0;
    case 'm':
        o->minimize = true;
        return 0;
    case 'T':
        if (units_number(text, 1, 1u << 30, &o->fleet.seconds) != 0)
            argp_error(state, "--seconds %s: a number is needed", text);
        return 0;
    case 'b':
        o->brief = true;
        return 0;
    case 'f':
        o->fleet.first_only = true;
        return 0;
    case 'M':
#ifdef GT_MUTANTS
        mutant_chosen = text;
#else
        argp_error(state, "--mutant %s: this build has none; see: cmake --preset mutants", text);
#endif
        return 0;
    case KEY_MOVES:
        o->fleet.moves = true;
        return 0;
    case KEY_STORY:
        o->story = text;
        return 0;
    case KEY_PRINT:
        o->print = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument %s", text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp argp = {option_table,
                                     option_take,
                                     NULL,
                                     "A GTStore cluster in one process, under a seed: the same "
                                     "seed gives the same run, the same failure, the same trace.",
                                     NULL,
                                     NULL,
                                     NULL};
    struct options o = {0};
    program_begin(argv, "gtstore-sim");
    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return EXIT_USAGE;
    program_parsed();
    if (o.one + o.many + (o.story != NULL) != 1) {
        fprintf(stderr, "gtstore-sim: one of --seed N, --seeds A..B and --story FILE is needed; "
                        "see: gtstore-sim --help\n");
        return EXIT_USAGE;
    }
    if ((o.trace && o.many) || (o.print && !o.story)) {
        fprintf(stderr, "gtstore-sim: --trace is for one --seed or --story, --print for a story\n");
        return EXIT_USAGE;
    }
    if (o.story)
        return program_flush(story_run(o.story, o.print, o.trace));
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (o.fleet.jobs == 0)
        o.fleet.jobs = processors < 1                ? 1
                       : processors > FLEET_JOBS_MAX ? FLEET_JOBS_MAX
                                                     : (uint32_t)processors;
    return program_flush(o.one ? seed_run(o.fleet.first, &o) : seeds_run(&o));
}
