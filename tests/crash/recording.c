#include "tests/crash/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/prng.h"

#define LIFE_SECONDS_MAX 60u
#define KILL_CALLS_MAX   130u

bool recorder_find(struct recorder *r)
{
    ssize_t n = readlink("/proc/self/exe", r->program, sizeof(r->program) - 1);
    if (n <= 0)
        return false;
    r->program[n] = 0;
    char *slash = strrchr(r->program, '/');
    int wrote = snprintf(r->library, sizeof(r->library), "%.*s/gtstore-crash-record.so",
                         (int)(slash - r->program), r->program);
    if (wrote < (int)sizeof(r->library) && access(r->library, R_OK) == 0)
        return true;
    fprintf(stderr, "the recorder is not there: %s\n", r->library);
    return false;
}

/* ---- lives ----------------------------------------------------------------------------------- */

struct life_plan {
    uint64_t seed, boot, kill_at; /* 0: it ends by itself */
    uint32_t steps, value_bytes_max;
    enum life_end end;
    bool kill_at_write;
};

__attribute__((noreturn)) static void life_exec(const struct recorder *r, const struct life_plan *l,
                                                const char *folder, const char *trace)
{
    char data[512], seed[24], boot[24], steps[24], value[24], kill_at[24];
    snprintf(data, sizeof(data), "%s/" DATA_FOLDER, folder);
    snprintf(seed, sizeof(seed), "%" PRIu64, l->seed);
    snprintf(boot, sizeof(boot), "%" PRIu64, l->boot);
    snprintf(steps, sizeof(steps), "%" PRIu32, l->steps);
    snprintf(value, sizeof(value), "%" PRIu32, l->value_bytes_max);
    snprintf(kill_at, sizeof(kill_at), "%" PRIu64 "%s", l->kill_at, l->kill_at_write ? "w" : "");
    setenv("LD_PRELOAD", r->library, 1);
    setenv(TRACE_ENV_FOLDER, folder, 1);
    setenv(TRACE_ENV_FILE, trace, 1);
    setenv(TRACE_ENV_KILL, kill_at, 1);
    alarm(LIFE_SECONDS_MAX);
    execl(r->program, r->program, "life", data, trace, seed, boot, steps, value,
          l->end == LIFE_CLEAN ? "clean" : "dropped", r->mutant, (char *)NULL);
    fprintf(stderr, "cannot run %s: %s\n", r->program, strerror(errno));
    _exit(127);
}

/* What it says on stderr goes to `why`. */
static bool life_spawn(const struct recorder *r, const struct life_plan *l, const char *folder,
                       const char *trace, char *why, size_t why_bytes)
{
    int said[2];
    if (pipe2(said, O_CLOEXEC) != 0)
        return false;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(said[1], 2);
        life_exec(r, l, folder, trace);
    }
    close(said[1]);
    size_t have = 0;
    char more[512];
    for (ssize_t n; (n = read(said[0], more, sizeof(more))) > 0;)
        for (ssize_t i = 0; i < n && have + 1 < why_bytes; i++)
            why[have++] = more[i] == '\n' ? ' ' : more[i];
    why[have] = 0;
    close(said[0]);
    int status = -1;
    if (pid > 0)
        waitpid(pid, &status, 0);
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (pid > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && l->kill_at > 0)
        return true;
    snprintf(why + have, why_bytes - have, "(a recorded life ended with status %d)", status);
    return false;
}

static struct life_plan life_draw(const struct plan *plan, struct prng *prng)
{
    struct life_plan l = {.seed = prng_next(prng),
                          .boot = plan->boot,
                          .steps = plan->steps,
                          .value_bytes_max = plan->value_bytes_max};
    l.end = prng_below(prng, 2) ? LIFE_CLEAN : LIFE_DROPPED;
    uint64_t kill_at = 1 + prng_below(prng, KILL_CALLS_MAX);
    l.kill_at_write = prng_below(prng, 2);
    if (prng_below(prng, 3) > 0)
        l.kill_at = kill_at;
    return l;
}

/* ---- the folder afterwards ------------------------------------------------------------------- */

static bool file_is(const char *folder, const struct image_file *f)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, f->path);
    struct stat facts;
    if (stat(path, &facts) != 0)
        return false;
    if (!f->data)
        return S_ISDIR(facts.st_mode);
    uint8_t *data = malloc(f->bytes + 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 && data ? read(fd, data, f->bytes + 1) : -1;
    bool same = n == (ssize_t)f->bytes && memcmp(data, f->data, f->bytes) == 0;
    if (fd >= 0)
        close(fd);
    free(data);
    return same;
}

static size_t entries;

static int entry_count(const char *path, const struct stat *facts, int type, struct FTW *where)
{
    (void)facts;
    (void)type;
    entries += where->level > 0 && !trace_is_volatile(path);
    return 0;
}

/* Files and folders below this one. */
static size_t entries_in(const char *folder)
{
    entries = 0;
    nftw(folder, entry_count, 16, FTW_PHYS);
    return entries;
}

/* What the recorder did not see would show here. */
static bool folder_is(const char *folder, const char *trace, const struct image *before, char *why,
                      size_t why_bytes)
{
    struct trace t;
    if (!trace_read(trace, &t))
        return false;
    struct model *m = model_new(before);
    struct image seen = {0};
    bool same = true;
    for (size_t i = 0; i < t.count && same; i++) {
        same = model_begin(m, &t.ops[i]);
        if (same)
            model_end(m, &t.ops[i]);
        else
            snprintf(why, why_bytes, "operation %zu of the trace makes no sense", i);
    }
    if (same)
        model_seen(m, &seen);
    for (size_t i = 0; i < seen.count && same; i++) {
        same = file_is(folder, &seen.files[i]);
        if (!same)
            snprintf(why, why_bytes, "the trace and the folder differ in %s", seen.files[i].path);
    }
    if (same && entries_in(folder) != seen.count) {
        same = false;
        snprintf(why, why_bytes, "the folder holds what is not in the trace");
    }
    image_close(&seen);
    model_free(m);
    trace_close(&t);
    return same;
}

bool recording_make(const struct recorder *r, const struct plan *plan, const char *folder,
                    const char *trace, const struct image *before, char *why, size_t why_bytes)
{
    struct prng prng;
    prng_init(&prng, plan->seed);
    for (uint32_t i = 0; i < plan->lives; i++) {
        struct life_plan l = life_draw(plan, &prng);
        if (!life_spawn(r, &l, folder, trace, why, why_bytes))
            return false;
    }
    return folder_is(folder, trace, before, why, why_bytes);
}

bool recording_begin(const char *trace, const struct oracle *o)
{
    FILE *f = fopen(trace, "we");
    if (!f)
        return false;
    for (uint64_t key = 0; key < ORACLE_KEYS; key++) {
        struct trace_head begun = {TRACE_MARK, MARK_BEGUN, key, o->begun[key], 0};
        struct trace_head acked = {TRACE_MARK, MARK_ACKED, key, o->acked[key], 0};
        fwrite(&begun, sizeof(begun), 1, f);
        fwrite(&acked, sizeof(acked), 1, f);
    }
    return fclose(f) == 0;
}
