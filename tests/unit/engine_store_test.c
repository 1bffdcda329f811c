/* The store on real threads, a real disk and LMDB, in a folder of its own. */
#include "engine/store_uv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include <uv.h>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/values.h"
#include "tests/lib/memdisk.h"
#include "tests/lib/memindex.h"

#define PUTS       20000u
#define WINDOW     256u
#define PARTITIONS 64u

struct world {
    char folder[64];
    struct log log;
    uv_loop_t loop;
    struct disk *disk;
    struct index *index;
    struct engine *engine;
    struct store *store;
    uint32_t submitted, done, wanted;
    enum store_kind kind;
    int poisoned, poisonings;
    int expected; /* the result of every request */
};

static void world_open_engine(struct world *w, uint64_t overlay_bytes_max)
{
    struct engine_report report;
    struct engine_config config = {.disk = w->disk,
                                   .index = w->index,
                                   .log = &w->log,
                                   .role = "node",
                                   .seed = 5,
                                   .wall_us = 1700000000000000u,
                                   .segment_bytes = 1u << 20,
                                   .overlay_bytes_max = overlay_bytes_max};
    disk_posix_boot_id(config.boot_id);
    assert_int_equal(engine_open(&config, &w->engine, &report), 0);
    assert_false(report.doubtful);
}

static void world_open(struct world *w, uint64_t overlay_bytes_max)
{
    char holder[DISK_HOLDER_BYTES];
    assert_int_equal(disk_posix_new(w->folder, "engine_store_test", &w->log, &w->disk, holder), 0);
    assert_int_equal(index_lmdb_new(w->folder, 1ull << 30, &w->log, &w->index), 0);
    world_open_engine(w, overlay_bytes_max);
}

static void world_open_memory(struct world *w)
{
    w->disk = memdisk_new();
    w->index = memindex_new();
    world_open_engine(w, 0);
}

static void world_close_files(struct world *w, bool clean)
{
    engine_close(w->engine, clean);
    w->index->destroy(w->index);
    w->disk->destroy(w->disk);
}

static void key_of(uint32_t i, char key[32])
{
    snprintf(key, 32, "key-%u", i);
}

static void value_of(uint32_t i, char value[120])
{
    int n = snprintf(value, 120, "value of %u ", i);
    memset(value + n, 'a' + (int)(i % 26), (size_t)(99 - n));
    value[99] = 0;
}

static void submit_next(struct world *w)
{
    char key[32], value[120];
    uint32_t i = w->submitted++;
    key_of(i, key);
    value_of(i, value);
    size_t key_bytes = strlen(key), value_bytes = strlen(value);
    struct store_request r = {.kind = w->kind, .tag = i, .plain = true, .stamp = 1};
    r.hold = blob_new(key_bytes + value_bytes);
    memcpy(r.hold->data, key, key_bytes);
    memcpy(r.hold->data + key_bytes, value, value_bytes);
    r.key = slice_of(r.hold->data, key_bytes);
    r.value = slice_of(r.hold->data + key_bytes, value_bytes);
    r.partition = hash_partition(hash_bytes(r.key), PARTITIONS);
    store_submit(w->store, &r);
}

static void check_loaded(struct world *w, const struct store_result *r)
{
    char key[32], value[120];
    struct state state;
    (void)w;
    key_of((uint32_t)r->tag, key);
    value_of((uint32_t)r->tag, value);
    state_init(&state);
    uint32_t partition = hash_partition(hash_bytes(slice_text(key)), PARTITIONS);
    assert_non_null(r->record);
    assert_int_equal(record_decode(slice_blob(r->record), partition, slice_text(key), &state), 0);
    assert_int_equal(state.sibling_count, 1);
    assert_true(slice_equal(state.siblings[0].value, slice_text(value)));
    state_close(&state);
}

static void on_result(void *arg, const struct store_result *r)
{
    struct world *w = arg;
    assert_int_equal(r->result, w->expected);
    assert_int_equal(r->kind, w->kind);
    if (r->kind == STORE_LOAD)
        check_loaded(w, r);
    w->done++;
    if (w->submitted < w->wanted)
        submit_next(w);
}

static void on_poisoned(void *arg, int error)
{
    struct world *w = arg;
    w->poisoned = error;
    w->poisonings++;
}

/* Never blocks in the loop: the last result may come just before it would wait for an event. */
static void run_until(struct world *w, uint32_t done)
{
    while (w->done < done)
        uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* Keys 0 .. wanted-1, WINDOW at a time, through a running loop. */
static void world_run(struct world *w, enum store_kind kind, uint32_t wanted)
{
    struct store_callbacks callbacks = {w, on_result, on_poisoned};
    assert_int_equal(store_open(w->engine, &w->loop, &callbacks, &w->log, &w->store), 0);
    w->kind = kind;
    w->wanted = wanted;
    w->submitted = w->done = 0;
    while (w->submitted < WINDOW && w->submitted < wanted)
        submit_next(w);
    run_until(w, wanted);
    assert_int_equal(store_close(w->store), 0);
    assert_true(engine_idle(w->engine));
    uv_run(&w->loop, UV_RUN_DEFAULT); /* close callbacks */
}

static int world_make(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    snprintf(w->folder, sizeof(w->folder), "/tmp/engine_store_test.XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    log_init(&w->log, LOG_WARN, log_sink_stderr, NULL);
    uv_loop_init(&w->loop);
    *state = w;
    return 0;
}

static int world_end(void **state)
{
    struct world *w = *state;
    char command[128];
    assert_int_equal(uv_loop_close(&w->loop), 0);
    snprintf(command, sizeof(command), "rm -r %s", w->folder);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

static void test_puts_are_all_there_after_a_restart(void **state)
{
    struct world *w = *state;
    world_open(w, 4u << 20); /* several checkpoints on the way */
    world_run(w, STORE_PUT, PUTS);
    assert_true(engine_metrics(w->engine)->checkpoints_count > 0);
    assert_true(engine_metrics(w->engine)->batches_count < PUTS / 2);
    world_close_files(w, true);
    world_open(w, 4u << 20);
    struct engine_totals totals;
    engine_totals(w->engine, &totals);
    assert_int_equal(totals.records, PUTS);
    assert_int_equal(totals.live, PUTS);
    world_run(w, STORE_LOAD, PUTS);
    world_close_files(w, false);
}

/* What is in flight when the store closes is answered before it returns. */
static void test_close_answers_what_is_in_flight(void **state)
{
    struct world *w = *state;
    struct store_callbacks callbacks = {w, on_result, on_poisoned};
    world_open(w, 0);
    assert_int_equal(store_open(w->engine, &w->loop, &callbacks, &w->log, &w->store), 0);
    w->kind = STORE_PUT;
    w->submitted = w->done = w->wanted = 0;
    for (int i = 0; i < 500; i++)
        submit_next(w);
    assert_int_equal(w->done, 0); /* never inside submit */
    assert_int_equal(store_close(w->store), 0);
    assert_int_equal(w->done, 500);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    world_close_files(w, true);
    world_open(w, 0);
    world_run(w, STORE_LOAD, 500);
    world_close_files(w, true);
}

static void test_a_cold_index_is_read_by_the_reader(void **state)
{
    struct world *w = *state;
    world_open_memory(w);
    memindex_resident(w->index, 500);
    world_run(w, STORE_PUT, 1000);
    world_run(w, STORE_LOAD, 1000);
    assert_int_equal(engine_metrics(w->engine)->loads_reader_count, 1000);
    world_close_files(w, true);
}

/* Which thread synced last, on a disk that can be slow. A table of functions has no room for an
 * argument of ours. */
static struct {
    int (*sync)(struct disk *d, struct disk_file *f);
    uv_thread_t loop;
    bool by_loop, slow;
} watched;

static int watched_sync(struct disk *d, struct disk_file *f)
{
    uv_thread_t self = uv_thread_self();
    watched.by_loop = uv_thread_equal(&self, &watched.loop);
    if (watched.slow)
        uv_sleep(3);
    return watched.sync(d, f);
}

/* So many puts at once; whether the loop itself synced their batch. */
static bool puts_by_loop(struct world *w, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        submit_next(w);
    run_until(w, w->submitted);
    return watched.by_loop;
}

/* A sync may be slow by itself: then the next is not. */
static void assert_by_loop_at_last(struct world *w)
{
    bool by_loop = false;
    for (int i = 0; i < 5000 && !by_loop; i++)
        by_loop = puts_by_loop(w, 1);
    assert_true(by_loop);
}

static void test_the_batch_of_a_lone_writer_is_written_by_the_loop(void **state)
{
    struct world *w = *state;
    struct store_callbacks callbacks = {w, on_result, on_poisoned};
    world_open_memory(w);
    watched.sync = w->disk->sync;
    watched.loop = uv_thread_self();
    w->disk->sync = watched_sync;
    assert_int_equal(store_open(w->engine, &w->loop, &callbacks, &w->log, &w->store), 0);
    w->kind = STORE_PUT;
    w->submitted = w->done = w->wanted = 0;
    assert_by_loop_at_last(w);
    assert_false(puts_by_loop(w, 2));
    assert_by_loop_at_last(w);
    watched.slow = true;
    puts_by_loop(w, 1);
    assert_false(puts_by_loop(w, 1)); /* a slow disk keeps the loop once */
    watched.slow = false;
    assert_by_loop_at_last(w);
    assert_int_equal(store_close(w->store), 0);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    world_close_files(w, true);
}

static void test_a_failed_log_is_told_once_and_acknowledges_nothing(void **state)
{
    struct world *w = *state;
    struct store_callbacks callbacks = {w, on_result, on_poisoned};
    world_open_memory(w);
    assert_int_equal(store_open(w->engine, &w->loop, &callbacks, &w->log, &w->store), 0);
    memdisk_fail(w->disk, MEMDISK_SYNC, 1, GT_EIO, true);
    w->log.level = LOG_ERROR;
    w->log.sink = NULL;
    w->kind = STORE_PUT;
    w->submitted = w->done = w->wanted = 0;
    w->expected = GT_EPOISONED;
    submit_next(w);
    submit_next(w);
    run_until(w, 2);
    submit_next(w);
    run_until(w, 3);
    assert_int_equal(w->poisoned, GT_EIO);
    assert_int_equal(w->poisonings, 1);
    assert_int_equal(store_close(w->store), GT_EIO);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    world_close_files(w, false);
}

/* ---- more than there is room for, and the end ------------------------------------------------ */

/* What a burst came to. */
struct burst {
    struct world *world;
    uint32_t answered, busy, stored;
    bool again; /* each refusal leads to one more request */
};

static void put_one(struct store *store, uint64_t tag)
{
    store_submit(store, &(struct store_request){.kind = STORE_PUT,
                                                .tag = tag,
                                                .partition = 1,
                                                .key = slice_text("key"),
                                                .value = slice_text("value"),
                                                .plain = true});
}

static void burst_result(void *arg, const struct store_result *r)
{
    struct burst *b = arg;
    b->answered++;
    store_poll(b->world->store); /* from within: the loop comes to it */
    if (r->result == 0) {
        b->stored++;
        return;
    }
    assert_int_equal(r->result, GT_EBUSY);
    assert_true(r->tag >= STORE_INFLIGHT_MAX);
    b->busy++;
    if (b->again && r->tag < STORE_INFLIGHT_MAX + 2)
        put_one(b->world->store, r->tag + 10);
}

static void burst_poisoned(void *arg, int error)
{
    (void)arg;
    fail_msg("poisoned: %s", error_text(error));
}

/* What is too much is answered so, and never inside the call; the rest is done. */
static void burst_run(struct burst *b, uint32_t requests, uint32_t answers)
{
    struct world *w = b->world;
    struct store_callbacks callbacks = {b, burst_result, burst_poisoned};
    assert_int_equal(store_open(w->engine, &w->loop, &callbacks, &w->log, &w->store), 0);
    for (uint32_t i = 0; i < requests; i++)
        put_one(w->store, i);
    assert_int_equal(b->answered, 0);
    while (b->answered < answers)
        uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_int_equal(store_close(w->store), 0);
    assert_int_equal(b->answered, answers);
    uv_run(&w->loop, UV_RUN_DEFAULT);
}

static void test_more_than_may_be_in_flight_is_refused(void **state)
{
    struct world *w = *state;
    struct burst b = {.world = w};
    world_open_memory(w);
    burst_run(&b, STORE_INFLIGHT_MAX + 100, STORE_INFLIGHT_MAX + 100);
    assert_int_equal(b.busy, 100);
    assert_int_equal(b.stored, STORE_INFLIGHT_MAX);
    world_close_files(w, true);
}

/* Who is told so may ask again at once, and is answered later. */
static void test_who_is_refused_may_ask_again_at_once(void **state)
{
    struct world *w = *state;
    struct burst b = {.world = w, .again = true};
    world_open_memory(w);
    burst_run(&b, STORE_INFLIGHT_MAX + 3, STORE_INFLIGHT_MAX + 5);
    assert_true(b.busy >= 3);
    assert_int_equal(b.stored + b.busy, STORE_INFLIGHT_MAX + 5);
    world_close_files(w, true);
}

/* Puts of one key and gets behind them, each answered in its turn. */
struct turn {
    struct store *store;
    uint32_t answered;
};

static void turn_result(void *arg, const struct store_result *r)
{
    struct turn *t = arg;
    assert_int_equal(r->result, 0);
    if (r->kind == STORE_LOAD) {
        struct state state;
        char key[8], value[16];
        snprintf(key, sizeof(key), "key%u", (unsigned)r->tag % 1000 % 64);
        snprintf(value, sizeof(value), "%u", (unsigned)r->tag);
        state_init(&state);
        assert_int_equal(record_decode(slice_blob(r->record), 1, slice_text(key), &state), 0);
        assert_true(slice_equal(state_winner(&state)->value, slice_text(value)));
        state_close(&state);
    }
    t->answered++;
}

/* Puts of 64 keys and a get behind each, more than are looked up at once: a get sees the put that
 * came before it, and no later one, though the index has an older value of each key. What they read
 * is looked up at once, but for one key alone. */
static void turn_run(struct world *w, struct turn *t, uint32_t number)
{
    uint32_t answers = t->answered + 4 * ENGINE_SOME_MAX + 2;
    for (uint32_t i = 0; i < 2 * ENGINE_SOME_MAX + 1; i++) {
        struct store_request get = {.kind = STORE_LOAD, .partition = 1};
        get.tag = number * 1000 + i;
        get.hold = blob_new(32);
        char *key = (char *)get.hold->data, *value = key + 16;
        snprintf(key, 16, "key%u", i % 64);
        snprintf(value, 16, "%u", (unsigned)get.tag);
        get.key = slice_text(key);
        struct store_request put = get;
        put.kind = STORE_PUT;
        put.hold = blob_ref(get.hold);
        put.value = slice_text(value);
        put.plain = true;
        put.stamp = get.tag + 1;
        store_submit(t->store, &put);
        store_submit(t->store, &get);
    }
    while (t->answered < answers)
        uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* Straight into the index: what a checkpoint has left there. */
static void old_put(struct index *x, uint32_t number)
{
    char key[8];
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct sibling sibling = {
        .dot = {{77, 1u << 24}, 1 + number}, .stamp = 1, .value = slice_text("old")};
    struct state s;
    struct blob *record;
    struct index_write *w;
    snprintf(key, sizeof(key), "key%u", number);
    struct slice k = slice_text(key);
    state_init(&s);
    assert_int_equal(state_add(&s, &sibling), 0);
    assert_int_equal(record_encode_blob(&s, 1, k, &record), 0);
    assert_int_equal(x->begin(x, &w), 0);
    assert_int_equal(
        x->put(w, INDEX_DATA, index_data_key(at, 1, hash_bytes(k), k), slice_blob(record)), 0);
    assert_int_equal(x->commit(w), 0);
    state_close(&s);
    blob_unref(record);
}

static void test_a_turn_is_served_in_the_order_in_which_it_came(void **state)
{
    struct world *w = *state;
    struct turn t = {0};
    struct store_callbacks callbacks = {&t, turn_result, burst_poisoned};
    world_open_memory(w);
    for (uint32_t i = 0; i < 64; i++)
        old_put(w->index, i);
    assert_int_equal(store_open(w->engine, &w->loop, &callbacks, &w->log, &t.store), 0);
    uint32_t asked = 0;
    for (uint32_t number = 0; number < 3; number++) {
        turn_run(w, &t, number);
        asked += 4 * ENGINE_SOME_MAX + 2;
    }
    assert_int_equal(memindex_some(w->index), asked);
    struct store_request get = {
        .kind = STORE_LOAD, .partition = 1, .key = slice_text("key0"), .tag = 2128};
    store_submit(t.store, &get);
    while (t.answered < asked + 1)
        uv_run(&w->loop, UV_RUN_NOWAIT);
    assert_int_equal(memindex_some(w->index), asked);
    assert_int_equal(store_close(t.store), 0);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    world_close_files(w, true);
}

struct cold_read {
    struct store *store;
    uint32_t answered;
};

static void cold_result(void *arg, const struct store_result *r)
{
    struct cold_read *c = arg;
    assert_int_equal(r->result, 0);
    c->answered++;
    put_one(c->store, 0); /* the store closes: it is not taken, and not answered */
    store_poll(c->store);
}

/* The reader touches where a run begins, too; and a close waits for what it has before it. */
static void test_a_close_answers_what_the_reader_has(void **state)
{
    struct world *w = *state;
    struct cold_read c = {0};
    struct store_callbacks callbacks = {&c, cold_result, burst_poisoned};
    static const enum store_kind kinds[] = {STORE_SCAN, STORE_VERIFY, STORE_LOAD, STORE_PUT};
    world_open_memory(w);
    memindex_resident(w->index, 500);
    assert_int_equal(store_open(w->engine, &w->loop, &callbacks, &w->log, &c.store), 0);
    uint64_t gets = memindex_calls(w->index, MEMINDEX_GET);
    for (uint32_t i = 0; i < 400; i++)
        store_submit(c.store, &(struct store_request){.kind = kinds[i % 4],
                                                      .partition = 1,
                                                      .key = slice_text("key"),
                                                      .from_key = slice_text("from"),
                                                      .value = slice_text("value"),
                                                      .plain = true});
    assert_int_equal(store_close(c.store), 0);
    assert_int_equal(c.answered, 400);
    assert_true(memindex_calls(w->index, MEMINDEX_GET) >= gets + 400);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(engine_metrics(w->engine)->puts_count, 100);
    world_close_files(w, true);
}

/* ---- a start that fails ---------------------------------------------------------------------- */

/* The linker sends these calls of the store here (tests/CMakeLists.txt). */
int __real_uv_thread_create(uv_thread_t *thread, uv_thread_cb entry, void *arg);
int __real_uv_mutex_init(uv_mutex_t *mutex);
int __real_uv_async_init(uv_loop_t *loop, uv_async_t *async, uv_async_cb callback);
int __wrap_uv_thread_create(uv_thread_t *thread, uv_thread_cb entry, void *arg);
int __wrap_uv_mutex_init(uv_mutex_t *mutex);
int __wrap_uv_async_init(uv_loop_t *loop, uv_async_t *async, uv_async_cb callback);

static uint32_t fail_in; /* such calls until the one that fails; 0: none does */

static bool call_fails(void)
{
    return fail_in > 0 && --fail_in == 0;
}

int __wrap_uv_thread_create(uv_thread_t *thread, uv_thread_cb entry, void *arg)
{
    return call_fails() ? UV_EAGAIN : __real_uv_thread_create(thread, entry, arg);
}

int __wrap_uv_mutex_init(uv_mutex_t *mutex)
{
    return call_fails() ? UV_ENOMEM : __real_uv_mutex_init(mutex);
}

int __wrap_uv_async_init(uv_loop_t *loop, uv_async_t *async, uv_async_cb callback)
{
    return call_fails() ? UV_EMFILE : __real_uv_async_init(loop, async, callback);
}

/* Lock, handle and each thread: whatever was started is ended, and the engine is as it was. */
static void test_a_store_that_cannot_start_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct store_callbacks callbacks = {w, on_result, on_poisoned};
    world_open_memory(w);
    w->log.sink = NULL;
    uint32_t nth = 0;
    for (int error = GT_ENOMEM; error; nth++) {
        fail_in = nth + 1;
        error = store_open(w->engine, &w->loop, &callbacks, &w->log, &w->store);
        assert_int_equal(error, fail_in == 0 ? GT_ENOMEM : 0);
        fail_in = 0;
        if (error)
            uv_run(&w->loop, UV_RUN_DEFAULT);
    }
    assert_int_equal(nth, 2 + ENGINE_LANES + 1 + 1);
    assert_int_equal(store_close(w->store), 0);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    world_run(w, STORE_PUT, 100);
    world_close_files(w, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_puts_are_all_there_after_a_restart, world_make,
                                        world_end),
        cmocka_unit_test_setup_teardown(test_close_answers_what_is_in_flight, world_make,
                                        world_end),
        cmocka_unit_test_setup_teardown(test_a_cold_index_is_read_by_the_reader, world_make,
                                        world_end),
        cmocka_unit_test_setup_teardown(test_the_batch_of_a_lone_writer_is_written_by_the_loop,
                                        world_make, world_end),
        cmocka_unit_test_setup_teardown(test_a_failed_log_is_told_once_and_acknowledges_nothing,
                                        world_make, world_end),
        cmocka_unit_test_setup_teardown(test_more_than_may_be_in_flight_is_refused, world_make,
                                        world_end),
        cmocka_unit_test_setup_teardown(test_who_is_refused_may_ask_again_at_once, world_make,
                                        world_end),
        cmocka_unit_test_setup_teardown(test_a_turn_is_served_in_the_order_in_which_it_came,
                                        world_make, world_end),
        cmocka_unit_test_setup_teardown(test_a_close_answers_what_the_reader_has, world_make,
                                        world_end),
        cmocka_unit_test_setup_teardown(test_a_store_that_cannot_start_leaves_nothing, world_make,
                                        world_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
