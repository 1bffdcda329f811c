#include "bench/engine_uv.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "bench/engine_sync_posix.h"
#include "bench/local.h"
#include "bench/machine_posix.h"
#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/program.h"
#include "engine/store_uv.h"

#define PARTITIONS      1024u /* what a cluster has unless it is told otherwise */
#define MAP_BYTES       (1ull << 40)
#define LOAD_IN_FLIGHT  1024u
#define TICK_MS         100u
#define CONFIRM_TICKS   5u /* a quarter of the partitions each half second, as owners compare */
#define CONFIRM_AT_ONCE (PARTITIONS / 4)
#define TAG_CONFIRM     UINT64_MAX

/* One closed loop: a request in flight, and its bytes. */
struct client {
    struct blob *hold; /* key, then room for a value */
    uint64_t number;   /* of the key */
    uint64_t sent_us;
    bool checkpoint; /* one was under way when it was sent */
};

/* What is being run: the load, the reading of all keys once, or what was asked for. */
struct course {
    enum workload_kind kind;
    bool sweep; /* every key once, in order; else drawn */
    uint64_t left, end_us;
    uint32_t in_flight;
};

struct engine_bench {
    const struct flags *flags;
    struct local local;
    struct log log;
    uv_loop_t loop;
    uv_timer_t timer;
    struct disk *disk;
    struct index *index;
    struct engine *engine;
    struct store *store;
    struct client *clients;
    uint32_t client_count, in_flight;
    struct course course;
    struct prng prng, ids; /* ids: of operations, new ones in every process */
    uint64_t swept, stamp, ticks, called_us;
    struct state state; /* scratch of the decoding */
    struct hist quiet_us, checkpoint_us;
    uint64_t checkpoint_seen_us, last_us; /* time that a checkpoint was under way */
    struct engine_metrics before;
    uint64_t open_us, first_get_us;
    bool dirty[PARTITIONS]; /* written to since it was confirmed */
    uint32_t confirm_next;
    int error;
    const char *what; /* failed with it */
};

static void fail(struct engine_bench *b, int error, const char *what)
{
    if (!b->error) {
        b->error = error;
        b->what = what;
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

/* As a coordinator's hybrid clock: milliseconds of the wall clock and a counter, never twice. */
static uint64_t stamp_next(struct engine_bench *b)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t own = ((uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000) << 16;
    b->stamp = own > b->stamp ? own : b->stamp + 1;
    return b->stamp;
}

static uint32_t partition_of(const uint8_t key[DATA_KEY_BYTES])
{
    return hash_partition(hash_bytes(slice_of(key, DATA_KEY_BYTES)), PARTITIONS);
}

static bool is_put(struct engine_bench *b)
{
    return b->course.kind == WORKLOAD_PUT ||
           (b->course.kind == WORKLOAD_MIXED && prng_next(&b->prng) & 1);
}

static void put_fill(struct engine_bench *b, struct client *c, struct store_request *r)
{
    uint8_t *value = c->hold->data + DATA_KEY_BYTES;
    data_value(&b->local.data, c->number, prng_next(&b->prng), value);
    r->kind = STORE_PUT;
    r->value = slice_of(value, b->flags->value_bytes);
    r->plain = true;
    r->stamp = stamp_next(b);
    prng_fill(&b->ids, r->op, sizeof(r->op));
    b->dirty[r->partition] = true;
    c->checkpoint = engine_checkpoint_running(b->engine);
}

static void client_send(struct engine_bench *b, struct client *c, uint64_t now)
{
    /* It was answered, so nobody else holds its bytes any more. */
    gt_assert(c->hold->refs == 1);
    c->number = b->course.sweep ? b->swept++ : prng_below(&b->prng, b->flags->keys);
    data_key(c->number, c->hold->data);
    struct store_request r = {.kind = STORE_LOAD,
                              .tag = (uint64_t)(c - b->clients),
                              .hold = blob_ref(c->hold),
                              .partition = partition_of(c->hold->data),
                              .key = slice_of(c->hold->data, DATA_KEY_BYTES)};
    if (is_put(b))
        put_fill(b, c, &r);
    c->sent_us = now;
    store_submit(b->store, &r);
}

/* The client's next request, or it rests for the remainder of the course. */
static void client_next(struct engine_bench *b, struct client *c, uint64_t now)
{
    if (b->course.left == 0 || now >= b->course.end_us || b->error) {
        if (--b->in_flight == 0)
            uv_stop(&b->loop);
        return;
    }
    b->course.left--;
    client_send(b, c, now);
}

/* ---- answers --------------------------------------------------------------------------------- */

static bool get_right(struct engine_bench *b, const struct client *c, const struct store_result *r)
{
    struct slice key = slice_of(c->hold->data, DATA_KEY_BYTES);
    state_clear(&b->state);
    if (r->result || !r->record ||
        record_decode(slice_blob(r->record), partition_of(key.data), key, &b->state) != 0)
        return false;
    const struct sibling *s = state_winner(&b->state);
    return s && data_right(&b->local.data, c->number, s->value.data, s->value.bytes);
}

static void put_note(struct engine_bench *b, const struct client *c, uint64_t now)
{
    bool during = c->checkpoint || engine_checkpoint_running(b->engine);
    hist_add(during ? &b->checkpoint_us : &b->quiet_us, now - c->sent_us);
    if (during && b->last_us)
        b->checkpoint_seen_us += now - b->last_us;
    b->last_us = now;
}

static void on_result(void *arg, const struct store_result *r)
{
    struct engine_bench *b = arg;
    if (r->tag == TAG_CONFIRM) {
        if (r->result)
            fail(b, r->result, "a confirmation");
        return;
    }
    struct client *c = &b->clients[r->tag];
    uint64_t now = machine_now_us();
    bool put = r->kind == STORE_PUT;
    struct report_op *op = &b->local.report.second[put ? WORKLOAD_VERB_PUT : WORKLOAD_VERB_GET];
    if (r->result) {
        op->errors++;
        fail(b, r->result, put ? "a put" : "a get");
    } else if (r->known_op) {
        /* It would have cost nothing: an id was drawn twice. */
        op->errors++;
        fail(b, GT_EINDOUBT, "a put was taken for one that had happened");
    } else if (!put && !get_right(b, c, r)) {
        op->errors++;
        fail(b, GT_ECORRUPT, "a get was answered with what was never put");
    } else {
        hist_add(&op->latency_us, now - c->sent_us);
    }
    if (put)
        put_note(b, c, now);
    else if (!b->first_get_us)
        b->first_get_us = now - b->called_us;
    client_next(b, c, now);
}

static void on_poisoned(void *arg, int error)
{
    fail(arg, error, "the log failed");
}

/* ---- what happens by the clock --------------------------------------------------------------- */

/* All other owners have what this one has: there are none. */
static void confirm_some(struct engine_bench *b)
{
    for (uint32_t i = 0; i < CONFIRM_AT_ONCE; i++) {
        uint32_t partition = b->confirm_next++ % PARTITIONS;
        if (!b->dirty[partition])
            continue;
        struct store_request r = {.kind = STORE_CONFIRM,
                                  .tag = TAG_CONFIRM,
                                  .partition = partition,
                                  .stamp = stamp_next(b)};
        b->dirty[partition] = false;
        store_submit(b->store, &r);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct engine_bench *b = timer->data;
    uint64_t now = machine_now_us();
    if (++b->ticks % CONFIRM_TICKS == 0)
        confirm_some(b);
    if (local_tick(&b->local, now))
        local_second(&b->local, now);
}

/* ---- courses --------------------------------------------------------------------------------- */

static void course_run(struct engine_bench *b, const struct course *course)
{
    uint64_t now = machine_now_us();
    b->course = *course;
    b->swept = 0;
    b->in_flight = b->course.in_flight;
    for (uint32_t i = 0; i < b->course.in_flight; i++)
        client_next(b, &b->clients[i], now);
    if (b->in_flight > 0)
        uv_run(&b->loop, UV_RUN_DEFAULT);
}

/* Figures of what goes before the run are not kept. */
static void sweep(struct engine_bench *b, enum workload_kind kind)
{
    struct course course = {.kind = kind,
                            .sweep = true,
                            .left = b->flags->keys,
                            .end_us = UINT64_MAX,
                            .in_flight = b->client_count};
    if (!b->error)
        course_run(b, &course);
    report_init(&b->local.report, b->flags->kind);
}

static void measure(struct engine_bench *b)
{
    struct hist sync;
    local_begin(&b->local);
    struct course course = {.kind = b->flags->kind,
                            .left = b->flags->ops ? b->flags->ops : UINT64_MAX,
                            .end_us = b->local.end_us,
                            .in_flight = (uint32_t)b->flags->clients};
    hist_init(&b->quiet_us);
    hist_init(&b->checkpoint_us);
    b->checkpoint_seen_us = b->last_us = 0;
    sync_take(&sync);
    b->before = *engine_metrics(b->engine);
    course_run(b, &course);
}

static void figures(struct engine_bench *b, uint64_t took_us)
{
    struct local *l = &b->local;
    const struct engine_metrics *now = engine_metrics(b->engine), *was = &b->before;
    struct hist sync;
    sync_take(&sync);
    local_figure(l, "open_us", (double)b->open_us);
    local_figure(l, "first_get_us", (double)b->first_get_us);
    local_figure(l, "batches", (double)(now->batches_count - was->batches_count));
    local_figure(l, "batch_records", (double)(now->batch_records_count - was->batch_records_count));
    local_figure(l, "log_bytes", (double)(now->log_bytes - was->log_bytes));
    local_figure(l, "seals", (double)(now->seals_count - was->seals_count));
    local_figure(l, "checkpoints", (double)(now->checkpoints_count - was->checkpoints_count));
    local_figure(l, "checkpoint_records",
                 (double)(now->checkpoint_records_count - was->checkpoint_records_count));
    local_figure(l, "parked", (double)(now->parked_count - was->parked_count));
    local_figure(l, "checkpoint_share", (double)b->checkpoint_seen_us / (double)took_us);
    local_figures_of(l, "sync", &sync);
    local_figures_of(l, "put", &l->report.total[WORKLOAD_VERB_PUT].latency_us);
    local_figures_of(l, "get", &l->report.total[WORKLOAD_VERB_GET].latency_us);
    local_figures_of(l, "quiet_put", &b->quiet_us);
    local_figures_of(l, "checkpoint_put", &b->checkpoint_us);
}

static void courses(struct engine_bench *b)
{
    if (!b->flags->no_load)
        sweep(b, WORKLOAD_PUT);
    /* Gets are measured warm, unless the first one is what is asked for. */
    if (b->flags->kind != WORKLOAD_PUT && !(b->flags->no_load && b->flags->ops))
        sweep(b, WORKLOAD_GET);
    if (b->error)
        return;
    measure(b);
    uint64_t now = machine_now_us();
    local_end(&b->local, now);
    figures(b, now - b->local.begin_us);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static bool clients_make(struct engine_bench *b)
{
    b->client_count =
        b->flags->clients > LOAD_IN_FLIGHT ? (uint32_t)b->flags->clients : LOAD_IN_FLIGHT;
    b->clients = calloc(b->client_count, sizeof(*b->clients));
    for (uint32_t i = 0; b->clients && i < b->client_count; i++)
        if (!(b->clients[i].hold = blob_new(DATA_KEY_BYTES + b->flags->value_bytes)))
            return false;
    return b->clients != NULL;
}

static void clients_free(struct engine_bench *b)
{
    for (uint32_t i = 0; b->clients && i < b->client_count; i++)
        blob_unref(b->clients[i].hold);
    free(b->clients);
}

static int folder_open(struct engine_bench *b, const char *folder)
{
    char holder[DISK_HOLDER_BYTES];
    int error = disk_posix_new(folder, "gtstore-bench", &b->log, &b->disk, holder);
    if (error) {
        program_say("data folder %s: %s%s", folder, error == GT_ELOCKED ? "in use by " : "",
                    holder);
        return error;
    }
    sync_watch(b->disk);
    error = index_lmdb_new(folder, MAP_BYTES, &b->log, &b->index);
    if (error) {
        program_say("data folder %s: index: %s", folder, error_text(error));
        b->disk->destroy(b->disk);
    }
    return error;
}

static int engine_start(struct engine_bench *b, const char *folder)
{
    struct engine_report report;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t seed = (uint64_t)t.tv_nsec ^ (uint64_t)t.tv_sec << 30;
    prng_init(&b->ids, seed);
    struct engine_config config = {.disk = b->disk,
                                   .index = b->index,
                                   .log = &b->log,
                                   .role = "node",
                                   .seed = seed,
                                   .wall_us =
                                       (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000};
    disk_posix_boot_id(config.boot_id);
    int error = engine_open(&config, &b->engine, &report);
    if (error) {
        program_say("data folder %s: %s", folder, error_text(error));
        return error;
    }
    engine_set_value_bytes_max(b->engine, VALUE_BYTES_LIMIT);
    b->stamp = engine_stamp_max(b->engine);
    b->open_us = machine_now_us() - b->called_us;
    return 0;
}

static int store_start(struct engine_bench *b)
{
    struct store_callbacks callbacks = {.arg = b, .result = on_result, .poisoned = on_poisoned};
    if (uv_loop_init(&b->loop) != 0)
        return GT_ENOMEM;
    int error = store_open(b->engine, &b->loop, &callbacks, &b->log, &b->store);
    if (error) {
        uv_loop_close(&b->loop);
        return error;
    }
    uv_timer_init(&b->loop, &b->timer);
    b->timer.data = b;
    uv_timer_start(&b->timer, on_timer, TICK_MS, TICK_MS);
    return 0;
}

static void store_end(struct engine_bench *b)
{
    uv_close((uv_handle_t *)&b->timer, NULL);
    int error = store_close(b->store);
    if (error)
        fail(b, error, "the log failed");
    uv_run(&b->loop, UV_RUN_DEFAULT);
    uv_loop_close(&b->loop);
}

/* Opens, runs and closes; what has failed is in b->error. */
static void engine_run(struct engine_bench *b, const char *folder)
{
    b->error = folder_open(b, folder);
    if (b->error)
        return;
    b->error = engine_start(b, folder);
    if (!b->error) {
        int error = store_start(b);
        if (error)
            fail(b, error, "the threads of the store");
        else {
            courses(b);
            store_end(b);
        }
        engine_close(b->engine, b->error == 0);
    }
    b->index->destroy(b->index);
    b->disk->destroy(b->disk);
}

int engine_bench_run(const struct flags *flags, const struct local_flags *local)
{
    struct engine_bench *b = calloc(1, sizeof(*b));
    int code = 1;
    if (!b)
        program_die(1, "out of memory");
    if (flags->value_bytes > VALUE_BYTES_LIMIT)
        program_usage("--engine takes values up to %u MiB", VALUE_BYTES_LIMIT >> 20);
    b->called_us = machine_now_us();
    b->flags = flags;
    log_init(&b->log, LOG_WARN, log_sink_stderr, NULL);
    prng_init(&b->prng, flags->seed);
    state_init(&b->state);
    if (local_open(&b->local, flags, local) == 0) {
        if (clients_make(b))
            engine_run(b, local->folder);
        else
            program_say("out of memory");
        if (b->what)
            program_say("%s: %s", b->what, error_text(b->error));
        code = local_close(&b->local);
    }
    if (b->error)
        code = 1;
    clients_free(b);
    state_close(&b->state);
    free(b);
    return code;
}
