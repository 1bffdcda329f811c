/*
 * Threads: the loop owns the engine and everything here; a lane's thread has a job from the moment
 * when it takes it until it puts it back (the batch of a lone writer stays with the loop); the
 * reader has the key of the request that it warms. What passes between them passes under `lock`,
 * which also makes the memory behind it visible.
 *
 *   store_submit -> arrived, or behind the reader when the index is cold
 *   check/prepare or store_poll: what arrived to the engine, results out, jobs of idle lanes to
 *   their threads
 *   thread done -> async -> engine_job_done, results out; jobs wait for the end of the iteration,
 *   so that all that it brings shares one batch
 */
#include "engine/store_uv.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"

#define RESIDENT_WARM      990u /* of 1000: from here on reads are made on the loop thread */
#define RESIDENT_SAMPLE_US 1000000u
#define LANE_NICE          5     /* of threads that work ahead */
#define INLINE_US          2000u /* the log's last batch took less: see inline_allowed */
#define DELIVER_MAX        4096u /* results in one go */

struct lane {
    struct store *store;
    uv_thread_t thread;
    uv_cond_t wake;
    struct engine_job *todo, *done; /* under lock */
    bool running;
};

/* Requests of this turn, in order: what several of them will read is looked up side by side, since
 * one search after the other waits for memory most of its time. */
struct arrived {
    struct store_request items[ENGINE_SOME_MAX];
    uint32_t count;
};

/* Requests whose keys the reader touches, in order; the first `warmed` of them are ready. */
struct cold {
    struct store_request *items; /* a ring of STORE_INFLIGHT_MAX, made when first needed */
    uint32_t head, count, warmed;
};

struct store {
    struct engine *engine;
    struct log *log;
    struct store_callbacks callbacks;
    uv_mutex_t lock;
    uv_cond_t progress, reader_wake;
    struct lane lanes[ENGINE_LANES];
    uv_thread_t reader;
    bool reader_running;
    bool stop;        /* under lock */
    struct cold cold; /* under lock */
    uv_async_t async;
    uv_check_t check;
    uv_prepare_t prepare;
    uv_timer_t timer;
    uint32_t handles;
    /* Loop thread alone. */
    struct arrived arrived;
    uint64_t timer_us; /* what the timer is set to; UINT64_MAX: not set */
    uint64_t sampled_us, samples;
    uint32_t inflight;
    uint64_t log_us; /* that the log's last batch took, from its start until it was taken back */
    uint64_t log_started_us;
    bool is_cold, dirty, polling, closing, poison_told;
    struct store_result *refused; /* answers that the engine did not give */
    uint32_t refused_count, refused_capacity;
};

static uint64_t now_us(void)
{
    return uv_hrtime() / 1000;
}

/* ---- threads --------------------------------------------------------------------------------- */

/* What tools that list threads show them as. */
static const char *const lane_names[ENGINE_LANES] = {"log", "checkpoint", "segment"};

static void lane_run(void *arg)
{
    struct lane *lane = arg;
    struct store *s = lane->store;
    pthread_setname_np(pthread_self(), lane_names[lane - s->lanes]);
    /* Nobody waits for these as for the loop and the log. A system that refuses it goes without. */
    if (lane != &s->lanes[ENGINE_LOG])
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), LANE_NICE);
    uv_mutex_lock(&s->lock);
    for (;;) {
        while (!lane->todo && !s->stop)
            uv_cond_wait(&lane->wake, &s->lock);
        struct engine_job *job = lane->todo;
        if (!job)
            break;
        lane->todo = NULL;
        uv_mutex_unlock(&s->lock);
        engine_job_run(job);
        uv_mutex_lock(&s->lock);
        lane->done = job;
        uv_cond_signal(&s->progress);
        uv_async_send(&s->async);
    }
    uv_mutex_unlock(&s->lock);
}

static void reader_run(void *arg)
{
    struct store *s = arg;
    struct cold *c = &s->cold;
    pthread_setname_np(pthread_self(), "reader");
    uv_mutex_lock(&s->lock);
    for (;;) {
        while (c->warmed == c->count && !s->stop)
            uv_cond_wait(&s->reader_wake, &s->lock);
        if (c->warmed == c->count)
            break;
        /* The request stays in its place, and its hold with it, until the loop takes it. */
        const struct store_request *r = &c->items[(c->head + c->warmed) % STORE_INFLIGHT_MAX];
        uint32_t partition = r->partition;
        bool run = r->kind == STORE_SCAN || r->kind == STORE_VERIFY;
        struct slice key = run ? r->from_key : r->key;
        uv_mutex_unlock(&s->lock);
        engine_warm(s->engine, partition, key);
        uv_mutex_lock(&s->lock);
        c->warmed++;
        uv_cond_signal(&s->progress);
        uv_async_send(&s->async);
    }
    uv_mutex_unlock(&s->lock);
}

/* ---- results --------------------------------------------------------------------------------- */

static void arrived_give(struct store *s)
{
    struct arrived *a = &s->arrived;
    if (a->count == 0)
        return;
    for (uint32_t i = 0; i < a->count; i++)
        if (a->items[i].kind == STORE_LOAD)
            engine_note_read(s->engine, false);
    engine_submit_some(s->engine, a->items, a->count, now_us());
    a->count = 0;
}

/* At most DELIVER_MAX results, so that callbacks which submit again do not keep the loop for
 * themselves; false when some are left. */
static bool deliver(struct store *s)
{
    struct store_result r;
    uint32_t left = DELIVER_MAX;
    do {
        arrived_give(s);
        while (left > 0 && engine_result(s->engine, &r)) {
            left--;
            s->inflight--;
            s->callbacks.result(s->callbacks.arg, &r);
            store_result_release(&r);
        }
    } while (left > 0 && s->arrived.count > 0);
    /* A callback may add to these while they are told: that waits for the next time. */
    uint32_t refused = s->refused_count;
    for (uint32_t i = 0; i < refused; i++) {
        r = s->refused[i];
        s->callbacks.result(s->callbacks.arg, &r);
    }
    s->refused_count -= refused;
    if (s->refused_count > 0)
        memmove(s->refused, s->refused + refused, s->refused_count * sizeof(*s->refused));
    int error = engine_poisoned(s->engine);
    if (error && !s->poison_told) {
        s->poison_told = true;
        s->callbacks.poisoned(s->callbacks.arg, error);
    }
    return left > 0 && s->refused_count == 0;
}

/* The same in a running loop, which comes back for the rest. */
static void deliver_some(struct store *s)
{
    if (deliver(s))
        return;
    s->dirty = true;
    uv_async_send(&s->async);
}

static void refuse(struct store *s, const struct store_request *r, int error)
{
    if (s->refused_count == s->refused_capacity) {
        uint32_t capacity = s->refused_capacity ? s->refused_capacity * 2 : 64;
        void *grown = realloc(s->refused, capacity * sizeof(*s->refused));
        gt_memory(grown); /* an answer cannot be refused */
        s->refused = grown;
        s->refused_capacity = capacity;
    }
    s->refused[s->refused_count++] =
        (struct store_result){.kind = r->kind, .tag = r->tag, .result = error};
}

/* ---- requests -------------------------------------------------------------------------------- */

/* By the loop's time: it is asked for each request, and the clock costs as much as a search's step.
 */
static void sample(struct store *s)
{
    uint64_t now = uv_now(s->timer.loop) * 1000;
    if (s->samples > 0 && now - s->sampled_us < RESIDENT_SAMPLE_US)
        return;
    s->sampled_us = now;
    s->is_cold = engine_resident(s->engine, ++s->samples) < RESIDENT_WARM;
    engine_set_cold(s->engine, s->is_cold);
}

/* Hands the request to the reader. False when it can go to the engine at once: what reads nothing
 * may always, and the rest when the index is warm and nobody is in front. */
static bool cold_take(struct store *s, const struct store_request *r)
{
    struct cold *c = &s->cold;
    bool taken = false;
    /* No other thread changes the count. */
    if (r->kind == STORE_META || (!s->is_cold && c->count == 0))
        return false;
    uv_mutex_lock(&s->lock);
    if (c->count < STORE_INFLIGHT_MAX) {
        if (!c->items)
            c->items = malloc(STORE_INFLIGHT_MAX * sizeof(*c->items));
        taken = c->items != NULL;
    }
    if (taken) {
        c->items[(c->head + c->count++) % STORE_INFLIGHT_MAX] = *r;
        uv_cond_signal(&s->reader_wake);
    }
    uv_mutex_unlock(&s->lock);
    return taken;
}

/* Submits what the reader has warmed. */
static void cold_give(struct store *s, uint64_t now)
{
    struct cold *c = &s->cold;
    arrived_give(s); /* these came before */
    for (;;) {
        struct store_request r;
        uv_mutex_lock(&s->lock);
        bool any = c->warmed > 0;
        if (any) {
            r = c->items[c->head];
            c->head = (c->head + 1) % STORE_INFLIGHT_MAX;
            c->count--;
            c->warmed--;
        }
        uv_mutex_unlock(&s->lock);
        if (!any)
            return;
        if (r.kind == STORE_LOAD)
            engine_note_read(s->engine, true);
        engine_submit(s->engine, &r, now);
    }
}

void store_submit(struct store *s, const struct store_request *r)
{
    struct store_request request = *r;
    s->dirty = true;
    if (s->closing || s->inflight >= STORE_INFLIGHT_MAX) {
        if (!s->closing)
            refuse(s, r, GT_EBUSY);
        store_request_release(&request);
        return;
    }
    s->inflight++;
    sample(s);
    if (cold_take(s, &request))
        return;
    if (s->arrived.count == ENGINE_SOME_MAX)
        arrived_give(s);
    s->arrived.items[s->arrived.count++] = request;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

/*
 * A lone writer waits for one sync and for nothing else: to wake a thread and to be woken by it
 * takes half as long again. So its batch is written here, when nobody but it would wait for that:
 * it is the only request, and the disk was quick the last time. Who comes meanwhile would wait for
 * this sync anyway, unless it only reads.
 */
static bool inline_allowed(const struct store *s)
{
    return s->inflight == 1 && s->log_us < INLINE_US;
}

static void job_done(struct store *s, enum engine_lane which, struct engine_job *job)
{
    if (which == ENGINE_LOG)
        s->log_us = now_us() - s->log_started_us;
    engine_job_done(s->engine, job);
}

static bool lane_start(struct store *s, enum engine_lane which)
{
    struct engine_job *job = engine_job(s->engine, which);
    if (!job)
        return false;
    struct lane *lane = &s->lanes[which];
    if (which == ENGINE_LOG)
        s->log_started_us = now_us();
    if (which == ENGINE_LOG && inline_allowed(s)) {
        engine_job_run(job);
        job_done(s, which, job);
        return true;
    }
    uv_mutex_lock(&s->lock);
    gt_assert(!lane->todo && !lane->done);
    lane->todo = job;
    uv_cond_signal(&lane->wake);
    uv_mutex_unlock(&s->lock);
    return true;
}

/* Takes back the jobs that are done. */
static bool lanes_collect(struct store *s)
{
    struct engine_job *done[ENGINE_LANES];
    bool any = false;
    uv_mutex_lock(&s->lock);
    for (int i = 0; i < ENGINE_LANES; i++) {
        done[i] = s->lanes[i].done;
        s->lanes[i].done = NULL;
    }
    uv_mutex_unlock(&s->lock);
    for (int i = 0; i < ENGINE_LANES; i++)
        if (done[i]) {
            job_done(s, (enum engine_lane)i, done[i]);
            any = true;
        }
    return any;
}

static void timer_fired(uv_timer_t *timer)
{
    struct store *s = timer->data;
    s->timer_us = UINT64_MAX;
    s->dirty = true;
}

static void timer_set(struct store *s, uint64_t now)
{
    uint64_t deadline = engine_deadline_us(s->engine);
    if (deadline == s->timer_us)
        return;
    s->timer_us = deadline;
    if (deadline == UINT64_MAX) {
        uv_timer_stop(&s->timer);
        return;
    }
    uint64_t wait_us = deadline > now ? deadline - now : 0;
    uv_update_time(s->timer.loop);
    uv_timer_start(&s->timer, timer_fired, (wait_us + 999) / 1000, 0);
}

void store_poll(struct store *s)
{
    if (s->polling || s->closing)
        return;
    s->polling = true;
    s->dirty = false;
    uint64_t now = now_us();
    if (engine_deadline_us(s->engine) <= now)
        engine_tick(s->engine, now);
    bool started = true;
    while (started) {
        started = false;
        deliver_some(s);
        for (int i = 0; i < ENGINE_LANES; i++)
            started |= lane_start(s, (enum engine_lane)i);
    }
    timer_set(s, now);
    s->polling = false;
}

static void on_check(uv_check_t *check)
{
    struct store *s = check->data;
    if (s->dirty)
        store_poll(s);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct store *s = prepare->data;
    if (s->dirty)
        store_poll(s);
}

static void on_async(uv_async_t *async)
{
    struct store *s = async->data;
    lanes_collect(s);
    cold_give(s, now_us());
    s->dirty = true;
    s->polling = true; /* a callback that polls is served at the end of the iteration */
    deliver_some(s);
    s->polling = false;
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void threads_stop(struct store *s)
{
    uv_mutex_lock(&s->lock);
    s->stop = true;
    for (int i = 0; i < ENGINE_LANES; i++)
        uv_cond_signal(&s->lanes[i].wake);
    uv_cond_signal(&s->reader_wake);
    uv_mutex_unlock(&s->lock);
    for (int i = 0; i < ENGINE_LANES; i++)
        if (s->lanes[i].running)
            uv_thread_join(&s->lanes[i].thread);
    if (s->reader_running)
        uv_thread_join(&s->reader);
}

static int threads_start(struct store *s)
{
    for (int i = 0; i < ENGINE_LANES; i++) {
        if (uv_thread_create(&s->lanes[i].thread, lane_run, &s->lanes[i]) != 0)
            return GT_ENOMEM;
        s->lanes[i].running = true;
    }
    if (uv_thread_create(&s->reader, reader_run, s) != 0)
        return GT_ENOMEM;
    s->reader_running = true;
    return 0;
}

static int locks_open(struct store *s)
{
    if (uv_mutex_init(&s->lock) != 0)
        return GT_ENOMEM;
    /* The others do not fail on this platform: they allocate nothing. */
    int failed = uv_cond_init(&s->progress) | uv_cond_init(&s->reader_wake);
    for (int i = 0; i < ENGINE_LANES; i++) {
        s->lanes[i].store = s;
        failed |= uv_cond_init(&s->lanes[i].wake);
    }
    gt_assert(failed == 0);
    return 0;
}

static void locks_close(struct store *s)
{
    for (int i = 0; i < ENGINE_LANES; i++)
        uv_cond_destroy(&s->lanes[i].wake);
    uv_cond_destroy(&s->reader_wake);
    uv_cond_destroy(&s->progress);
    uv_mutex_destroy(&s->lock);
}

static void on_closed(uv_handle_t *handle)
{
    struct store *s = handle->data;
    if (--s->handles > 0)
        return;
    free(s->refused);
    free(s->cold.items);
    free(s);
}

static int handles_open(struct store *s, uv_loop_t *loop)
{
    if (uv_async_init(loop, &s->async, on_async) != 0)
        return GT_ENOMEM;
    uv_check_init(loop, &s->check);
    uv_prepare_init(loop, &s->prepare);
    uv_timer_init(loop, &s->timer);
    s->async.data = s->check.data = s->prepare.data = s->timer.data = s;
    s->handles = 4;
    uv_check_start(&s->check, on_check);
    uv_prepare_start(&s->prepare, on_prepare);
    /* The async handle alone keeps the loop going. */
    uv_unref((uv_handle_t *)&s->check);
    uv_unref((uv_handle_t *)&s->prepare);
    uv_unref((uv_handle_t *)&s->timer);
    return 0;
}

static void handles_close(struct store *s)
{
    uv_close((uv_handle_t *)&s->async, on_closed);
    uv_close((uv_handle_t *)&s->check, on_closed);
    uv_close((uv_handle_t *)&s->prepare, on_closed);
    uv_close((uv_handle_t *)&s->timer, on_closed);
}

int store_open(struct engine *e, struct uv_loop_s *loop, const struct store_callbacks *callbacks,
               struct log *log, struct store **out)
{
    struct store *s = calloc(1, sizeof(*s));
    if (!s)
        return GT_ENOMEM;
    s->engine = e;
    s->log = log;
    s->callbacks = *callbacks;
    s->timer_us = UINT64_MAX;
    s->dirty = true; /* a checkpoint may be due from the start */
    int error = locks_open(s);
    if (error)
        goto free_store;
    error = handles_open(s, loop);
    if (error)
        goto close_locks;
    error = threads_start(s);
    if (error) {
        log_error(log, "storage threads cannot be started");
        threads_stop(s);
        locks_close(s);
        handles_close(s); /* frees */
        return error;
    }
    *out = s;
    return 0;
close_locks:
    locks_close(s);
free_store:
    free(s);
    return error;
}

/* Until the reader has warmed all that it has, and what it warmed is in the engine. */
static void reader_drain(struct store *s)
{
    uv_mutex_lock(&s->lock);
    while (s->cold.warmed < s->cold.count)
        uv_cond_wait(&s->progress, &s->lock);
    uv_mutex_unlock(&s->lock);
    cold_give(s, now_us());
}

/* A job is on its way: waits until one is done. */
static void lanes_wait(struct store *s)
{
    uv_mutex_lock(&s->lock);
    for (;;) {
        bool any = false;
        for (int i = 0; i < ENGINE_LANES; i++)
            any |= s->lanes[i].done != NULL;
        if (any)
            break;
        uv_cond_wait(&s->progress, &s->lock);
    }
    uv_mutex_unlock(&s->lock);
}

int store_close(struct store *s)
{
    gt_assert(!s->polling && !s->closing);
    s->closing = true;
    reader_drain(s);
    for (;;) {
        lanes_collect(s);
        /* What waits for room was not applied, and its sender is told so. */
        engine_tick(s->engine, UINT64_MAX);
        while (!deliver(s))
            ;
        if (engine_idle(s->engine))
            break;
        /* With no log job to start, a lane is busy: else the engine would be idle. */
        if (!lane_start(s, ENGINE_LOG))
            lanes_wait(s);
    }
    int error = engine_poisoned(s->engine);
    threads_stop(s);
    locks_close(s);
    handles_close(s);
    return error;
}
