/* gtstore-crash: checks the states in which a power cut can leave the folder of an engine. */
#include <argp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/mutant.h"
#include "tests/crash/campaign.h"
#include "tests/crash/scratch.h"

#define STATES_DEFAULT 20000u
#define RUNS_MAX       1000000u

struct options {
    uint64_t states, seconds, jobs, runs, one_in;
    struct place at;
    const char *mutant;
    bool replay, keep;
};

enum { OPTION_CUT2 = 256, OPTION_STATE2, OPTION_KEEP };

static const struct argp_option argp_options[] = {
    {"seed", 'S', "N", 0, "the first run (1)", 0},
    {"states", 'N', "N", 0, "end after so many states (20000)", 0},
    {"minutes", 'm', "N", 0, "go on with further runs for so long, whatever the number", 0},
    {"seconds", 's', "N", 0, "the same in seconds", 0},
    {"runs", 'r', "N", 0, "end after so many recorded runs", 0},
    {"one-in", 'o', "N", 0, "of so many cuts take one, and so more runs (1)", 0},
    {"jobs", 'j', "N", 0, "processes that check (2)", 0},
    {"mutant", 'M', "NAME", 0, "switch a planted fault on (tests/crash/planted)", 0},
    {"cut", 'C', "N", 0, "check one state alone: the call that the power cut came into", 0},
    {"state", 'T', "N", 0, "and which of its states", 0},
    {"cut2", OPTION_CUT2, "N", 0, "and the call of its recovery", 0},
    {"state2", OPTION_STATE2, "N", 0, "and which of the states of that", 0},
    {"keep", OPTION_KEEP, NULL, 0, "keep the scratch folder", 0},
    {0}};

static uint64_t number_of(struct argp_state *state, const char *text)
{
    char *end;
    uint64_t v = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end)
        argp_error(state, "'%s' is no number", text);
    return v;
}

static error_t option(int key, char *text, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case 'S':
        o->at.seed = number_of(state, text);
        return 0;
    case 'N':
        o->states = number_of(state, text);
        return 0;
    case 'm':
        o->seconds = 60 * number_of(state, text);
        return 0;
    case 's':
        o->seconds = number_of(state, text);
        return 0;
    case 'r':
        o->runs = number_of(state, text);
        return 0;
    case 'o':
        o->one_in = number_of(state, text);
        if (o->one_in == 0)
            argp_error(state, "--one-in is at least 1");
        return 0;
    case 'j':
        o->jobs = number_of(state, text);
        if (o->jobs < 1 || o->jobs > JOBS_MAX)
            argp_error(state, "--jobs is 1 to %u", JOBS_MAX);
        return 0;
    case 'M':
        o->mutant = text;
        return 0;
    case 'C':
        o->at.cut = number_of(state, text);
        if (o->at.cut == 0)
            argp_error(state, "--cut counts from 1");
        o->replay = true;
        return 0;
    case 'T':
        o->at.state = number_of(state, text);
        return 0;
    case OPTION_CUT2:
        o->at.cut2 = number_of(state, text);
        return 0;
    case OPTION_STATE2:
        o->at.state2 = number_of(state, text);
        return 0;
    case OPTION_KEEP:
        o->keep = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* The process of a recorded life: life FOLDER TRACE SEED BOOT STEPS VALUE clean|dropped [MUTANT] */
static int life_main(int count, char **arguments)
{
    if (count < 9) {
        fprintf(stderr, "life: for the recorder alone\n");
        return 2;
    }
    mutant_chosen = count > 9 ? arguments[9] : NULL;
    struct life life = {.folder = arguments[2],
                        .trace = arguments[3],
                        .seed = strtoull(arguments[4], NULL, 10),
                        .boot = strtoull(arguments[5], NULL, 10),
                        .steps = (uint32_t)strtoul(arguments[6], NULL, 10),
                        .value_bytes_max = (uint32_t)strtoul(arguments[7], NULL, 10),
                        .end = strcmp(arguments[8], "clean") == 0 ? LIFE_CLEAN : LIFE_DROPPED};
    return life_run(&life);
}

/* ---- being told to end ----------------------------------------------------------------------- */

static struct shared *told; /* all processes of this program see it */
static volatile sig_atomic_t told_by;

static void end_told(int number)
{
    told_by = number;
    told->stop = true;
}

/* The workers end at their next state, and then this process, which removes the scratch folder. */
static void end_listen(struct shared *shared)
{
    struct sigaction action = {.sa_handler = end_told, .sa_flags = SA_RESTART};
    told = shared;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- reporting ------------------------------------------------------------------------------- */

struct totals {
    uint64_t checked, of_recovery, recoveries, wrong[VERDICTS];
};

static void place_tell(const struct options *o, const struct place *at, enum verdict v,
                       const char *why)
{
    printf("WRONG (%s): %s\n", verdict_text(v), why);
    printf("replay: gtstore-crash --seed %" PRIu64 " --cut %" PRIu64 " --state %" PRIu64, at->seed,
           at->cut, at->state);
    if (at->cut2 > 0)
        printf(" --cut2 %" PRIu64 " --state2 %" PRIu64, at->cut2, at->state2);
    printf("%s%s\n", o->mutant ? " --mutant " : "", o->mutant ? o->mutant : "");
}

static void totals_add(struct totals *t, const struct options *o, const struct shared *shared)
{
    bool said = false;
    for (uint32_t i = 0; i < JOBS_MAX; i++) {
        const struct progress *p = &shared->workers[i];
        t->checked += p->checked;
        t->of_recovery += p->of_recovery;
        t->recoveries += p->recoveries;
        t->wrong[p->verdict]++;
        if (p->verdict != VERDICT_RIGHT && !said)
            place_tell(o, &p->at, p->verdict, p->why);
        said |= p->verdict != VERDICT_RIGHT;
    }
}

static void totals_tell(const struct totals *t)
{
    printf("crash states: %" PRIu64 " checked (%" PRIu64 " of a recovery), %" PRIu64
           " lost, %" PRIu64 " made up, %" PRIu64 " refused to open",
           t->checked, t->of_recovery, t->wrong[VERDICT_LOST], t->wrong[VERDICT_MADE_UP],
           t->wrong[VERDICT_REFUSED]);
    if (t->wrong[VERDICT_ALARM] + t->wrong[VERDICT_DIED] > 0)
        printf(", %" PRIu64 " false alarms, %" PRIu64 " ended", t->wrong[VERDICT_ALARM],
               t->wrong[VERDICT_DIED]);
    printf("\n");
}

/* ---- running --------------------------------------------------------------------------------- */

static uint64_t now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

static bool record_told(const struct options *o, const struct campaign *c, char *trace,
                        size_t bytes)
{
    char why[256];
    if (campaign_record(c, trace, bytes, why, sizeof(why)))
        return true;
    if (told_by)
        return false;
    printf("WRONG (while it was recorded): %s\nreplay: gtstore-crash --seed %" PRIu64
           " --runs 1%s%s\n",
           why, c->seed, o->mutant ? " --mutant " : "", o->mutant ? o->mutant : "");
    return false;
}

static int states_run(const struct options *o, struct campaign *c)
{
    struct totals totals = {0};
    char trace[400];
    bool right = true;
    if (o->seconds)
        c->until_s = now_s() + o->seconds;
    uint64_t states = o->seconds ? UINT64_MAX : o->states;
    for (uint64_t run = 0; right && run < o->runs && totals.checked < states; run++) {
        if (told_by || (c->until_s && now_s() >= c->until_s))
            break;
        memset(c->shared->workers, 0, sizeof(c->shared->workers));
        c->seed = o->at.seed + run;
        c->states_max = states - totals.checked;
        right = record_told(o, c, trace, sizeof(trace)) && campaign_run(c, trace);
        totals_add(&totals, o, c->shared);
    }
    totals_tell(&totals);
    return right ? 0 : 1;
}

static int state_replay(const struct options *o, struct campaign *c)
{
    char trace[400], why[256] = "";
    c->seed = o->at.seed;
    c->states_max = UINT64_MAX;
    if (!record_told(o, c, trace, sizeof(trace)))
        return 1;
    enum verdict v = campaign_replay(c, trace, &o->at, why, sizeof(why));
    printf("%s%s%s\n", verdict_text(v), *why ? ": " : "", why);
    return v == VERDICT_RIGHT ? 0 : 1;
}

int main(int count, char **arguments)
{
    if (count > 1 && strcmp(arguments[1], "life") == 0)
        return life_main(count, arguments);
    static const struct argp argp = {
        argp_options,
        option,
        NULL,
        "Records an engine at work and checks the states in which a power cut can leave its "
        "folder. Ends with 1 at the first that is wrong.",
        NULL,
        NULL,
        NULL};
    struct options o = {
        .states = STATES_DEFAULT, .jobs = 2, .runs = RUNS_MAX, .one_in = 1, .at = {.seed = 1}};
    argp_err_exit_status = 2;
    argp_parse(&argp, count, arguments, 0, NULL, &o);
    mutant_chosen = o.mutant;
    struct campaign c = {.jobs = (uint32_t)o.jobs, .one_in = o.one_in};
    c.recorder.mutant = o.mutant;
    c.shared =
        mmap(NULL, sizeof(*c.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c.shared == MAP_FAILED || !recorder_find(&c.recorder))
        return 1;
    scratch_make("crash", c.scratch);
    end_listen(c.shared);
    int code = o.replay ? state_replay(&o, &c) : states_run(&o, &c);
    code = told_by ? 128 + told_by : code;
    if (o.keep)
        printf("kept: %s\n", c.scratch);
    else
        scratch_remove(c.scratch);
    return code;
}
