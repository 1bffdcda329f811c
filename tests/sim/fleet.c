#include "tests/sim/fleet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/swarm.h"

/* Shared with the workers: the next seed to take, and what each of them is at. */
struct board {
    uint64_t next;
    bool over;
    uint64_t seed[FLEET_JOBS_MAX];
    bool running[FLEET_JOBS_MAX];
};

struct fleet {
    const struct fleet_orders *orders;
    struct board *board;
    pid_t pids[FLEET_JOBS_MAX];
    int out; /* verdicts are written here by workers, one write each */
    double began_s;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void worker(const struct fleet *f, uint32_t number)
{
    struct board *b = f->board;
    const struct fleet_orders *o = f->orders;
    while (!__atomic_load_n(&b->over, __ATOMIC_RELAXED)) {
        uint64_t seed = __atomic_fetch_add(&b->next, 1, __ATOMIC_RELAXED);
        if (seed > o->last || (o->seconds && now_s() - f->began_s > (double)o->seconds))
            break;
        b->seed[number] = seed;
        b->running[number] = true;
        struct plan plan;
        struct swarm_result r;
        (o->moves ? plan_make_moving : plan_make)(&plan, seed);
        swarm_run(&plan, NULL, NULL, &r);
        struct fleet_verdict v = {.seed = seed,
                                  .hash = r.hash,
                                  .events = r.events,
                                  .virtual_us = r.virtual_us,
                                  .acked = r.acked,
                                  .failed = r.failed};
        if (r.failed)
            snprintf(v.checker, sizeof(v.checker), "%s", r.finding.checker);
        b->running[number] = false;
        if (write(f->out, &v, sizeof(v)) != sizeof(v))
            _exit(1);
    }
    _exit(0);
}

static bool worker_start(struct fleet *f, uint32_t number)
{
    pid_t pid = fork();
    if (pid == 0)
        worker(f, number);
    f->pids[number] = pid;
    return pid > 0;
}

/* A worker ended. With a seed under way it died of it: that is a verdict, and another goes on. */
static void worker_ended(struct fleet *f, uint32_t number)
{
    struct board *b = f->board;
    f->pids[number] = 0;
    if (!b->running[number])
        return;
    b->running[number] = false;
    struct fleet_verdict v = {
        .seed = b->seed[number], .failed = true, .died = true, .checker = "process"};
    if (write(f->out, &v, sizeof(v)) != sizeof(v) || !worker_start(f, number))
        __atomic_store_n(&b->over, true, __ATOMIC_RELAXED);
}

/* Looks after the workers; writes the verdicts of those that died. Ends when all have. */
static void reap(struct fleet *f)
{
    int status;
    pid_t pid;
    while ((pid = wait(&status)) > 0)
        for (uint32_t i = 0; i < f->orders->jobs; i++)
            if (f->pids[i] == pid)
                worker_ended(f, i);
}

static void count(struct fleet_tally *t, const struct fleet_verdict *v)
{
    t->ended++;
    t->failed += v->failed;
    t->events += v->events;
    t->acked += v->acked;
}

bool fleet_run(const struct fleet_orders *o,
               void (*each)(void *arg, const struct fleet_verdict *v, const struct fleet_tally *t),
               void *arg, struct fleet_tally *out)
{
    struct fleet f = {.orders = o, .began_s = now_s()};
    int ends[2];
    *out = (struct fleet_tally){0};
    f.board =
        mmap(NULL, sizeof(*f.board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (f.board == MAP_FAILED || pipe(ends) != 0)
        return false;
    f.board->next = o->first;
    f.out = ends[1];
    fflush(NULL);
    /* A keeper of its own waits for the workers, so that this process may wait for verdicts. */
    pid_t keeper = fork();
    if (keeper == 0) {
        close(ends[0]);
        for (uint32_t i = 0; i < o->jobs; i++)
            if (!worker_start(&f, i))
                break;
        reap(&f);
        _exit(0);
    }
    close(ends[1]);
    struct fleet_verdict v;
    while (keeper > 0 && read(ends[0], &v, sizeof(v)) == sizeof(v)) {
        count(out, &v);
        out->seconds = now_s() - f.began_s;
        if (v.failed && o->first_only)
            __atomic_store_n(&f.board->over, true, __ATOMIC_RELAXED);
        each(arg, &v, out);
    }
    int error = errno;
    close(ends[0]);
    if (keeper > 0)
        waitpid(keeper, NULL, 0);
    munmap(f.board, sizeof(*f.board));
    out->seconds = now_s() - f.began_s;
    errno = error;
    return keeper > 0;
}
