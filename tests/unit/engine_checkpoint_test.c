/*
 * A checkpoint of which each call of the index fails once, and then from there on for a while: it
 * is tried again, its chunks that were committed are not written twice, and at every moment, in
 * memory and after a kill, all is there that was acknowledged.
 */
#include "engine/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "tests/lib/lanes.h"
#include "tests/lib/memdisk.h"
#include "tests/lib/memindex.h"

#define PARTITIONS 4u
#define KEYS       6u
#define TARGET     9u
#define LATER_US   60000000u

struct world {
    struct disk *disk;
    struct index *index;
    struct engine *e;
    uint64_t seed, now_us;
};

static void world_open(struct world *w)
{
    struct engine_report report;
    struct engine_config config = {.disk = w->disk,
                                   .index = w->index,
                                   .role = "node",
                                   .seed = ++w->seed,
                                   .wall_us = 1700000000000000,
                                   .segment_bytes = 256u << 10,
                                   .chunk_records = 3};
    assert_int_equal(engine_open(&config, &w->e, &report), 0);
    assert_false(report.doubtful);
}

static void world_close(struct world *w)
{
    engine_close(w->e, false);
    w->disk->destroy(w->disk);
    w->index->destroy(w->index);
}

static void log_run(struct engine *e)
{
    static const enum engine_lane lanes[] = {ENGINE_LOG, ENGINE_SEGMENT};
    for (bool any = true; any;) {
        any = false;
        for (int i = 0; i < 2; i++) {
            struct engine_job *j = engine_job(e, lanes[i]);
            if (!j)
                continue;
            engine_job_run(j);
            engine_job_done(e, j);
            any = true;
        }
    }
}

static struct store_result call(struct world *w, struct store_request r)
{
    struct store_result result;
    engine_submit(w->e, &r, ++w->now_us);
    log_run(w->e);
    assert_true(engine_result(w->e, &result));
    assert_int_equal(result.result, 0);
    return result;
}

static void done(struct world *w, struct store_request r)
{
    struct store_result result = call(w, r);
    store_result_release(&result);
}

static void key_put(struct world *w, uint32_t partition, uint32_t number, bool tombstone)
{
    char key[16];
    snprintf(key, sizeof(key), "key%u", number);
    done(w, (struct store_request){.kind = STORE_PUT,
                                   .partition = partition,
                                   .key = slice_text(key),
                                   .value = slice_text("value"),
                                   .tombstone = tombstone,
                                   .plain = true});
}

static void parcel_keep(struct world *w, const char *key)
{
    struct store_result put = call(w, (struct store_request){.kind = STORE_PUT,
                                                             .partition = 0,
                                                             .key = slice_text(key),
                                                             .value = slice_text("value"),
                                                             .plain = true});
    done(w, (struct store_request){.kind = STORE_PARCEL,
                                   .partition = 0,
                                   .key = slice_text(key),
                                   .record = slice_blob(put.record),
                                   .target = TARGET});
    store_result_release(&put);
}

/* The oldest one goes. */
static void parcel_end(struct world *w)
{
    struct store_result list =
        call(w, (struct store_request){
                    .kind = STORE_PARCELS, .target = TARGET, .count_max = 1, .bytes_max = 4096});
    struct reader r = reader_of(slice_blob(list.entries));
    struct store_request end = {.kind = STORE_PARCEL, .target = TARGET, .number = read_u64(&r)};
    end.partition = (uint32_t)read_varint(&r);
    end.key = read_bytes(&r);
    assert_false(r.failed);
    done(w, end);
    store_result_release(&list);
}

static void meta_set(struct world *w, const char *name, const char *value)
{
    done(w, (struct store_request){
                .kind = STORE_META, .key = slice_text(name), .value = slice_text(value)});
}

/* All that the partition's own clock has is confirmed: its tombstones are reaped. */
static void all_confirm(struct world *w, uint32_t partition)
{
    struct engine_partition p;
    struct buf clock, list;
    engine_partition(w->e, partition, &p);
    buf_init(&clock, 4096);
    buf_init(&list, 4096);
    clock_encode(p.clock, &clock);
    buf_bytes(&list, buf_slice(&clock));
    done(w, (struct store_request){
                .kind = STORE_CONFIRM, .partition = partition, .clock = buf_slice(&list)});
    buf_close(&clock);
    buf_close(&list);
}

/* Something in the index, and in memory what takes its place, or takes it away. */
static void world_new(struct world *w)
{
    *w = (struct world){.disk = memdisk_new(), .index = memindex_new(), .seed = 5};
    world_open(w);
    for (uint32_t partition = 0; partition < PARTITIONS; partition++)
        for (uint32_t i = 0; i < KEYS; i++)
            key_put(w, partition, i, false);
    meta_set(w, "map", "first");
    meta_set(w, "port", "4711");
    parcel_keep(w, "apple");
    parcel_keep(w, "pear");
    engine_close(w->e, false);
    world_open(w);
    lanes_run(w->e, LANES_ALL);
    assert_int_equal(engine_metrics(w->e)->checkpoints_count, 1);
    for (uint32_t partition = 0; partition < PARTITIONS; partition++) {
        key_put(w, partition, 1, false);
        key_put(w, partition, 2, true);
        all_confirm(w, partition);
        key_put(w, partition, 3, true);
    }
    meta_set(w, "map", "second");
    meta_set(w, "port", "");
    parcel_end(w);
    parcel_keep(w, "plum");
    engine_close(w->e, false);
    world_open(w); /* a checkpoint is due, of what was replayed */
}

/* Whatever the engine would show. */
static struct blob *summary(struct world *w)
{
    struct buf out;
    buf_init(&out, 1u << 20);
    for (uint32_t partition = 0; partition < PARTITIONS; partition++) {
        struct engine_partition p;
        engine_partition(w->e, partition, &p);
        buf_varint(&out, p.records);
        buf_u64(&out, p.digest_sum);
        clock_encode(p.clock, &out);
        struct store_result keys = call(w, (struct store_request){.kind = STORE_SCAN,
                                                                  .partition = partition,
                                                                  .from_start = true,
                                                                  .bytes_max = 1u << 20});
        assert_false(keys.unknown);
        buf_bytes(&out, slice_blob(keys.entries));
        store_result_release(&keys);
    }
    struct store_result list =
        call(w, (struct store_request){
                    .kind = STORE_PARCELS, .target = TARGET, .count_max = 9, .bytes_max = 4096});
    buf_bytes(&out, slice_blob(list.entries));
    store_result_release(&list);
    buf_bytes(&out, slice_blob(engine_meta(w->e, "map")));
    buf_bytes(&out, slice_blob(engine_meta(w->e, "port")));
    struct blob *b = buf_blob(&out);
    buf_close(&out);
    return b;
}

static void assert_shows(struct world *w, const struct blob *wanted, uint64_t nth)
{
    struct blob *shown = summary(w);
    if (!slice_equal(slice_blob(shown), slice_blob(wanted)))
        fail_msg("call %llu: something else is shown", (unsigned long long)nth);
    blob_unref(shown);
}

static void tick_later(struct world *w)
{
    w->now_us += LATER_US;
    engine_tick(w->e, w->now_us);
    engine_tick(w->e, w->now_us + LATER_US / 2);
    w->now_us += LATER_US / 2;
    lanes_run(w->e, LANES_ALL);
}

/* True when the checkpoint makes so many calls. */
static bool checkpoint_fails(uint64_t nth, bool forever, const struct blob *wanted)
{
    struct world w;
    world_new(&w);
    memindex_fail(w.index, MEMINDEX_ANY, nth, GT_EIO, forever);
    uint64_t calls = memindex_calls(w.index, MEMINDEX_ANY);
    lanes_run(w.e, LANES_ALL);
    bool reached = memindex_calls(w.index, MEMINDEX_ANY) - calls >= nth;
    assert_int_equal(engine_poisoned(w.e), 0);
    if (reached) {
        assert_int_equal(engine_disk_error(w.e), GT_EIO);
        assert_true(engine_deadline_us(w.e) < UINT64_MAX);
    }
    if (forever)
        tick_later(&w); /* fails again, and is tried later */
    memindex_fail(w.index, 0, 0, 0, false);
    if (reached && nth % 2 == 0) { /* or it ends before that */
        engine_close(w.e, false);
        memindex_crash(w.index);
        world_open(&w);
    }
    assert_shows(&w, wanted, nth);
    for (int i = 0; i < 8 && engine_metrics(w.e)->checkpoints_count == 0; i++)
        tick_later(&w);
    assert_int_equal(engine_metrics(w.e)->checkpoints_count, 1);
    assert_int_equal(engine_disk_error(w.e), 0);
    assert_shows(&w, wanted, nth);
    engine_close(w.e, false);
    world_open(&w);
    assert_shows(&w, wanted, nth);
    world_close(&w);
    return reached;
}

static void every_call_of_a_checkpoint_may_fail(void **unused)
{
    (void)unused;
    struct world w;
    world_new(&w);
    struct blob *wanted = summary(&w);
    world_close(&w);
    for (int forever = 0; forever < 2; forever++) {
        uint64_t nth = 1;
        while (checkpoint_fails(nth, forever, wanted))
            nth++;
        assert_true(nth > 30);
    }
    blob_unref(wanted);
}

/* Until it is made there is room for so much, and no more: what comes then waits, and is refused
 * with the cause when the disk is what is full. */
static void without_checkpoints_writes_are_refused_in_the_end(void **unused)
{
    (void)unused;
    struct world w;
    struct store_result result;
    uint32_t stored = 0, refused = 0;
    static const uint8_t value[64u << 10];
    world_new(&w);
    memindex_fail(w.index, MEMINDEX_ANY & ~(unsigned)(MEMINDEX_GET | MEMINDEX_SCAN), 1, GT_ENOSPACE,
                  true);
    for (uint32_t i = 0; i < 2000 && refused == 0; i++) {
        char key[16];
        snprintf(key, sizeof(key), "more%u", i);
        struct store_request r = {.kind = STORE_PUT,
                                  .partition = 1,
                                  .key = slice_text(key),
                                  .value = slice_of(value, sizeof(value)),
                                  .plain = true};
        r.hold = blob_copy(key, strlen(key));
        r.key = slice_blob(r.hold);
        engine_submit(w.e, &r, ++w.now_us);
        lanes_run(w.e, LANES_ALL);
        while (engine_result(w.e, &result)) {
            assert_true(result.result == 0 || result.result == GT_ENOSPACE);
            stored += result.result == 0;
            refused += result.result != 0;
            store_result_release(&result);
        }
    }
    assert_true(stored > 20 && refused > 0);
    assert_int_equal(engine_disk_error(w.e), GT_ENOSPACE);
    memindex_fail(w.index, 0, 0, 0, false);
    for (int i = 0; i < 8; i++)
        tick_later(&w);
    key_put(&w, 1, 9, false); /* there is room again */
    struct engine_partition p;
    engine_partition(w.e, 1, &p);
    assert_int_equal(p.records, KEYS - 1 + stored + 1);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_of_a_checkpoint_may_fail),
        cmocka_unit_test(without_checkpoints_writes_are_refused_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
