#include "tests/crash/life.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#include "engine/base/error.h"
#include "engine/base/prng.h"

#define BURST_PUTS_MAX 20u
#define IDLE_US        10000u /* longer than a log waits for its seal */

struct worker {
    struct rig rig;
    struct oracle oracle;
    struct prng prng;
    int error;
    crash_mark_fn *mark;
    crash_turns_fn *turns;
};

struct rig_config life_rig(const char *folder, uint64_t boot, uint32_t value_bytes_max)
{
    return (struct rig_config){.folder = folder,
                               .overlay_bytes_max = 12u << 10,
                               .map_bytes = 64u << 20,
                               .chunk_records = 4,
                               .value_bytes_max = value_bytes_max,
                               .seed = 7 + boot,
                               .boot = boot};
}

void oracle_note(struct oracle *o, const struct trace_op *op)
{
    uint64_t key = op->head.inode;
    uint32_t number = (uint32_t)op->head.offset;
    if (op->head.kind != TRACE_MARK || key >= ORACLE_KEYS)
        return;
    if (op->head.flags == MARK_BEGUN && o->begun[key] < number)
        o->begun[key] = number;
    if ((op->head.flags == MARK_ACKED || op->head.flags == MARK_SEEN) && o->acked[key] < number)
        o->acked[key] = number;
}

static void answers(struct worker *w)
{
    struct oracle before = w->oracle;
    int error = rig_answers(&w->rig, &w->oracle);
    w->error = w->error ? w->error : error;
    for (uint32_t key = 0; key < ORACLE_KEYS; key++)
        if (w->oracle.acked[key] != before.acked[key])
            w->mark(MARK_ACKED, key, w->oracle.acked[key]);
}

static bool step(struct worker *w, enum engine_lane lane)
{
    bool any = rig_step(&w->rig, lane);
    answers(w);
    return any;
}

/* A job that runs beside another one. */
struct beside {
    struct engine_job *job;
    crash_turns_fn *turns;
    uint64_t seed;
};

static void *beside_run(void *arg)
{
    struct beside *b = arg;
    b->turns(1, b->seed);
    engine_job_run(b->job);
    b->turns(-1, 0);
    return NULL;
}

/* The jobs of two lanes at once, as with the threads of a node: their calls alternate. */
static void step_two(struct worker *w, enum engine_lane one, enum engine_lane other)
{
    struct engine *e = w->rig.engine;
    struct engine_job *first = engine_job(e, one);
    struct beside b = {first ? engine_job(e, other) : NULL, w->turns, prng_next(&w->prng)};
    pthread_t thread;
    bool two = b.job && pthread_create(&thread, NULL, beside_run, &b) == 0;
    if (two)
        w->turns(0, b.seed);
    if (first)
        engine_job_run(first);
    if (two) {
        w->turns(-1, 0);
        pthread_join(thread, NULL);
        engine_job_done(e, b.job);
    } else if (b.job) {
        engine_job_run(b.job);
        engine_job_done(e, b.job);
    }
    answers(w);
    if (first)
        engine_job_done(e, first);
    answers(w);
}

/* Jobs of lanes that are drawn, until a round finds none. */
static void run_all(struct worker *w)
{
    for (bool any = true; any;) {
        any = false;
        uint64_t first = prng_below(&w->prng, ENGINE_LANES);
        for (uint64_t i = 0; i < ENGINE_LANES; i++)
            any |= step(w, (enum engine_lane)((first + i) % ENGINE_LANES));
    }
}

/* What a read shows is a promise. It may have to wait, and then shows nothing here. */
static void get(struct worker *w, uint32_t key)
{
    uint32_t number;
    if (rig_get(&w->rig, key, &number) != 0 || number <= w->oracle.acked[key])
        return;
    w->oracle.acked[key] = number;
    w->mark(MARK_SEEN, key, number);
}

static void put(struct worker *w)
{
    uint32_t key = (uint32_t)prng_below(&w->prng, ORACLE_KEYS);
    w->mark(MARK_BEGUN, key, w->oracle.begun[key] + 1);
    rig_put(&w->rig, &w->oracle, key);
    answers(w);
    get(w, key);
}

static void burst(struct worker *w, uint64_t puts)
{
    while (puts-- > 0)
        put(w);
    step(w, ENGINE_LOG);
}

static void idle(struct worker *w)
{
    for (int i = 0; i < 2; i++) { /* the first begins to wait, the second ends that */
        w->rig.now_us += IDLE_US;
        engine_tick(w->rig.engine, w->rig.now_us);
    }
    step(w, ENGINE_LOG);
}

static void work(struct worker *w)
{
    uint64_t drawn = prng_below(&w->prng, 100);
    if (drawn < 40)
        burst(w, 1);
    else if (drawn < 55)
        burst(w, 2 + prng_below(&w->prng, BURST_PUTS_MAX));
    else if (drawn < 68)
        put(w);
    else if (drawn < 77)
        step(w, ENGINE_CHECKPOINT);
    else if (drawn < 83)
        step_two(w, ENGINE_LOG, ENGINE_CHECKPOINT);
    else if (drawn < 86)
        step_two(w, ENGINE_LOG, ENGINE_SEGMENT);
    else if (drawn < 88)
        step_two(w, ENGINE_CHECKPOINT, ENGINE_SEGMENT);
    else if (drawn < 92)
        step(w, ENGINE_SEGMENT);
    else if (drawn < 96)
        idle(w);
    else
        run_all(w);
}

/* Everything must be as the earlier lives left it; from now on it has been seen. */
static int look(struct worker *w)
{
    char why[200];
    if (!rig_check(&w->rig, &w->oracle, false, why, sizeof(why))) {
        fprintf(stderr, "a life found its folder wrong: %s\n", why);
        return 1;
    }
    for (uint32_t key = 0; key < ORACLE_KEYS; key++) {
        uint32_t number;
        if (rig_get(&w->rig, key, &number) != 0 || number == 0)
            continue;
        w->oracle.acked[key] = number;
        w->mark(MARK_SEEN, key, number);
    }
    return 0;
}

static int end(struct worker *w, const struct life *life)
{
    if (w->error || engine_poisoned(w->rig.engine)) {
        fprintf(stderr, "a life was refused a put: %s\n", error_text(w->error));
        return 1;
    }
    if (life->end == LIFE_CLEAN) {
        run_all(w);
        if (rig_close(&w->rig, &w->oracle, true) != 0)
            return 1;
    }
    w->mark(MARK_END, 0, 0);
    return 0;
}

int life_run(const struct life *life)
{
    struct worker w = {.mark = (crash_mark_fn *)dlsym(RTLD_DEFAULT, "crash_mark"),
                       .turns = (crash_turns_fn *)dlsym(RTLD_DEFAULT, "crash_turns")};
    struct trace trace;
    if (!w.mark || !w.turns) {
        fprintf(stderr, "a life runs without its recorder\n");
        return 1;
    }
    if (!trace_read(life->trace, &trace))
        return 1;
    for (size_t i = 0; i < trace.count; i++)
        oracle_note(&w.oracle, &trace.ops[i]);
    trace_close(&trace);
    prng_init(&w.prng, life->seed);
    struct rig_config config = life_rig(life->folder, life->boot, life->value_bytes_max);
    config.seed = life->seed;
    int error = rig_open(&w.rig, &config);
    if (error) {
        fprintf(stderr, "a life was refused its folder: %s\n", error_text(error));
        return 1;
    }
    if (look(&w) != 0)
        return 1;
    for (uint32_t i = 0; i < life->steps; i++)
        work(&w);
    return end(&w, life);
}
