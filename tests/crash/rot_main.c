/*
 * rot: flips bits in folders, at rest and under an open engine, and demands that nothing wrong is
 * ever shown, that nothing crashes or hangs, and that whoever is refused is told why.
 *
 * Each trial runs in a child of its own: what kills it, or takes too long, is a finding and not the
 * end.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/mutant.h"
#include "tests/crash/rot.h"
#include "tests/crash/scratch.h"

#define FLIPS_DEFAULT 5600u /* more than 5,000 single bits are among them */
#define JOBS_MAX      16u
#define TRIAL_CPU_S   (10u * GT_SLOW) /* a trial takes some hundredths of a second */
#define TRIAL_WALL_S  (60u * GT_SLOW)
#define TOLD_MAX      25u /* findings that are told in full */

struct options {
    uint64_t seed, flips, only;
    unsigned jobs;
    const char *check; /* gtstore-check */
    bool loud;
};

struct tally {
    uint64_t at_rest, serving, sectors, stale, wrong, crashed, hung, refused, unconfirmed, noticed;
    uint64_t by_target[ROT_TARGETS], bad_by_target[ROT_TARGETS], refused_by_target[ROT_TARGETS];
};

struct job {
    const struct options *o;
    char scratch[ROT_PATH_BYTES];
    struct rot_folder *folders;
    bool *caught; /* of a planted fault, by one of the jobs */
    struct tally tally;
    uint64_t told;
};

/* ---- one trial ------------------------------------------------------------------------------- */

static void child_run(const struct job *j, const struct rot_folder *folder, const char *copy,
                      bool serving, struct prng *p, struct rot_outcome *out)
{
    struct rlimit cpu = {TRIAL_CPU_S, TRIAL_CPU_S + 1}, core = {0, 0};
    setrlimit(RLIMIT_CPU, &cpu);
    setrlimit(RLIMIT_CORE, &core);
    alarm(TRIAL_WALL_S);
    if (!j->o->loud && !freopen("/dev/null", "w", stderr))
        _exit(1);
    rot_trial(folder, copy, serving, p, j->o->loud, out);
    _exit(0);
}

/* gtstore-check calls the folder damaged, too: exit 1. */
static bool check_says_damaged(const struct options *o, const char *folder)
{
    pid_t child = fork();
    gt_assert(child >= 0);
    if (child == 0) {
        if ((!o->loud && !freopen("/dev/null", "w", stdout)) || !freopen("/dev/null", "w", stderr))
            _exit(9);
        execl(o->check, o->check, folder, (char *)NULL);
        _exit(9);
    }
    int status;
    gt_assert(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

static void tell(struct job *j, uint64_t trial, bool serving, const char *what,
                 const struct rot_outcome *out)
{
    char place[ROT_TEXT_BYTES];
    if (j->told++ >= TOLD_MAX)
        return;
    rot_tell(&out->place, place, sizeof(place));
    printf("--flip %llu (%s): %s while: %s; %s%s%s\n", (unsigned long long)trial,
           serving ? "serving" : "at rest", what, out->phase, place, out->text[0] ? "; " : "",
           out->text);
    fflush(stdout);
}

static void judge(struct job *j, uint64_t trial, bool serving, int status, const char *copy,
                  const struct rot_outcome *out)
{
    struct tally *t = &j->tally;
    char what[64];
    enum rot_target target = out->place.target < ROT_TARGETS ? out->place.target : ROT_ANY_PAGE;
    bool bad = true;
    t->by_target[target]++;
    t->noticed += out->noticed;
    if (WIFSIGNALED(status)) {
        int number = WTERMSIG(status);
        bool hung = number == SIGALRM || number == SIGXCPU || number == SIGKILL;
        hung ? t->hung++ : t->crashed++;
        snprintf(what, sizeof(what), hung ? "HUNG (%s)" : "CRASHED (%s)", strsignal(number));
        tell(j, trial, serving, what, out);
    } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || out->verdict == ROT_UNFINISHED) {
        t->crashed++;
        tell(j, trial, serving, "ENDED", out);
    } else if (out->verdict == ROT_WRONG) {
        t->wrong++;
        tell(j, trial, serving, "WRONG", out);
    } else if (out->verdict == ROT_REFUSED) {
        bad = j->o->check && !check_says_damaged(j->o, copy);
        t->refused++;
        t->unconfirmed += bad;
        t->refused_by_target[target]++;
        if (bad)
            tell(j, trial, serving, "REFUSED, but gtstore-check finds nothing", out);
        else if (j->o->loud)
            tell(j, trial, serving, "refused", out);
    } else {
        bad = false;
        if (j->o->only != UINT64_MAX)
            tell(j, trial, serving, out->noticed ? "sound, and noticed" : "sound", out);
    }
    t->bad_by_target[target] += bad;
    *j->caught |= bad && mutant_chosen;
}

static void trial_run(struct job *j, uint64_t trial, struct rot_outcome *out)
{
    struct prng p;
    char copy[ROT_PATH_BYTES + 8];
    prng_init(&p, j->o->seed * 0x9e3779b97f4a7c15u + trial);
    bool serving = trial % 2 != 0;
    const struct rot_folder *folder = &j->folders[prng_below(&p, ROT_FOLDERS)];
    snprintf(copy, sizeof(copy), "%s/copy", j->scratch);
    rot_folder_copy(folder, copy);
    *out = (struct rot_outcome){0};
    while (!serving && !rot_draw(copy, &p, &out->place))
        ;
    /* Nothing tells of a last batch that is gone without trace, unless it was sealed (wal.h). */
    if (!serving && !folder->proved && out->place.target >= ROT_SEGMENT_HEAD)
        out->place.damage = ROT_BIT;
    pid_t child = fork();
    gt_assert(child >= 0);
    if (child == 0)
        child_run(j, folder, copy, serving, &p, out);
    int status;
    gt_assert(waitpid(child, &status, 0) == child);
    j->tally.at_rest += !serving;
    j->tally.serving += serving;
    j->tally.sectors += out->place.damage == ROT_ZEROED || out->place.damage == ROT_GARBLED;
    j->tally.stale += out->place.damage == ROT_STALE;
    judge(j, trial, serving, status, copy, out);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static void *shared(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    gt_assert(at != MAP_FAILED);
    return at;
}

static void job_run(struct job *j, unsigned number)
{
    const struct options *o = j->o;
    struct rot_outcome *out = shared(sizeof(*out));
    char path[ROT_PATH_BYTES];
    snprintf(path, sizeof(path), "%.*s/job%u", (int)(ROT_PATH_BYTES - 16), j->scratch, number);
    gt_assert(mkdir(path, 0700) == 0);
    memcpy(j->scratch, path, sizeof(path));
    for (uint64_t trial = number; trial < o->flips && !*j->caught; trial += o->jobs)
        if (o->only == UINT64_MAX || o->only == trial)
            trial_run(j, trial, out);
}

static void tally_add(struct tally *to, const struct tally *from)
{
    const uint64_t *f = (const uint64_t *)from;
    uint64_t *t = (uint64_t *)to;
    for (size_t i = 0; i < sizeof(*to) / sizeof(uint64_t); i++)
        t[i] += f[i];
}

static void figures_print(const struct tally *t)
{
    printf("%-16s %8s %8s %8s\n", "where", "flips", "refused", "bad");
    for (int i = 0; i < ROT_TARGETS; i++)
        printf("%-16s %8llu %8llu %8llu\n", rot_target_names[i],
               (unsigned long long)t->by_target[i], (unsigned long long)t->refused_by_target[i],
               (unsigned long long)t->bad_by_target[i]);
    printf("noticed by the engine: %llu; whole sectors: %llu; stale children: %llu; refused and "
           "not confirmed by "
           "gtstore-check: %llu\n",
           (unsigned long long)t->noticed, (unsigned long long)t->sectors,
           (unsigned long long)t->stale, (unsigned long long)t->unconfirmed);
    printf("flips: %llu (at rest %llu, serving %llu), %llu wrong bytes served, %llu crashes, "
           "%llu hung, %llu refused to open with a clear error\n",
           (unsigned long long)(t->at_rest + t->serving), (unsigned long long)t->at_rest,
           (unsigned long long)t->serving, (unsigned long long)t->wrong,
           (unsigned long long)t->crashed, (unsigned long long)t->hung,
           (unsigned long long)t->refused);
}

static int run(const struct options *o)
{
    char scratch[SCRATCH_BYTES];
    static struct rot_folder folders[ROT_FOLDERS];
    struct tally total = {0}, *tallies = shared(JOBS_MAX * sizeof(*tallies));
    bool *caught = shared(sizeof(*caught));
    pid_t children[JOBS_MAX];
    bool died = false;
    scratch_make("rot", scratch);
    rot_folders_make(scratch, o->seed, folders);
    for (unsigned i = 0; i < o->jobs; i++) {
        children[i] = fork();
        gt_assert(children[i] >= 0);
        if (children[i] == 0) {
            struct job j = {.o = o, .folders = folders, .caught = caught};
            memcpy(j.scratch, scratch, sizeof(scratch));
            job_run(&j, i);
            tallies[i] = j.tally;
            _exit(0);
        }
    }
    for (unsigned i = 0; i < o->jobs; i++) {
        int status;
        gt_assert(waitpid(children[i], &status, 0) == children[i]);
        died |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
        tally_add(&total, &tallies[i]);
    }
    scratch_remove(scratch);
    figures_print(&total);
    if (died)
        fputs("rot: a job died\n", stderr);
    return died || total.wrong || total.crashed || total.hung || total.unconfirmed;
}

/* ---- flags ----------------------------------------------------------------------------------- */

static int usage(FILE *to)
{
    fputs("usage: rot [--seed N] [--flips N] [--flip K] [--jobs N] [--check PROGRAM]\n"
          "           [--mutant NAME] [--loud]\n"
          "Flips bits in the files of an engine, and looks whether anything wrong is shown.\n"
          "  --seed N        what is drawn (1)\n"
          "  --flips N       how many (5600); even ones at rest, odd ones under an open engine\n"
          "  --flip K        this one alone, told in full\n"
          "  --jobs N        at the same time (2)\n"
          "  --check PROGRAM gtstore-check: it has to call damaged whatever is refused\n"
          "  --mutant NAME   a planted fault (tests/crash/planted); ends when it is caught\n"
          "  --loud          the engine's lines go to stderr\n"
          "Exit: 0 nothing was wrong, 1 something was, 2 usage\n",
          to);
    return to == stderr ? 2 : 0;
}

static bool number_read(const char *text, uint64_t *out)
{
    char *end;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0;
}

int main(int argc, char **argv)
{
    static const struct option flags[] = {
        {"seed", 1, NULL, 's'}, {"flips", 1, NULL, 'n'}, {"flip", 1, NULL, 'k'},
        {"jobs", 1, NULL, 'j'}, {"check", 1, NULL, 'c'}, {"mutant", 1, NULL, 'm'},
        {"loud", 0, NULL, 'l'}, {"help", 0, NULL, 'h'},  {NULL, 0, NULL, 0}};
    struct options o = {.seed = 1, .flips = FLIPS_DEFAULT, .only = UINT64_MAX, .jobs = 2};
    uint64_t jobs = o.jobs;
    bool good = true;
    for (int flag; good && (flag = getopt_long(argc, argv, "", flags, NULL)) != -1;)
        switch (flag) {
        case 's':
            good = number_read(optarg, &o.seed);
            break;
        case 'n':
            good = number_read(optarg, &o.flips);
            break;
        case 'k':
            good = number_read(optarg, &o.only);
            break;
        case 'j':
            good = number_read(optarg, &jobs) && jobs >= 1 && jobs <= JOBS_MAX;
            break;
        case 'c':
            o.check = optarg;
            break;
        case 'm':
            mutant_chosen = optarg;
            break;
        case 'l':
            o.loud = true;
            break;
        case 'h':
            return usage(stdout);
        default:
            good = false;
        }
    if (!good || optind < argc)
        return usage(stderr);
    o.jobs = (unsigned)jobs;
    if (o.only != UINT64_MAX) {
        o.flips = o.flips > o.only ? o.flips : o.only + 1;
        o.jobs = 1;
    }
    return run(&o);
}
