/*
 * Where a bound of the engine is reached: what is too much waits, is told to come in parts, or
 * makes the tables grow, and nothing is lost by that.
 */
#include "engine/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/engine_private.h"
#include "tests/lib/lanes.h"
#include "tests/lib/memdisk.h"
#include "tests/lib/memindex.h"

#define PARTITION 7u
#define MANY      3000u /* parcels: more than any table has room for at first */

static struct {
    struct disk *disk;
    struct index *index;
    struct engine *e;
    uint64_t seed;
} here;

static void open_here(uint64_t segment_bytes)
{
    struct engine_report report;
    struct engine_config config = {.disk = here.disk,
                                   .index = here.index,
                                   .role = "node",
                                   .seed = ++here.seed,
                                   .wall_us = 1700000000000000,
                                   .segment_bytes = segment_bytes,
                                   .value_bytes_max = VALUE_BYTES_LIMIT};
    assert_int_equal(engine_open(&config, &here.e, &report), 0);
}

static int folder_new(void **unused)
{
    (void)unused;
    here.disk = memdisk_new();
    here.index = memindex_new();
    open_here(4u << 20);
    return 0;
}

static int folder_end(void **unused)
{
    (void)unused;
    engine_close(here.e, false);
    here.disk->destroy(here.disk);
    here.index->destroy(here.index);
    return 0;
}

static void open_again(void)
{
    engine_close(here.e, false);
    open_here(4u << 20);
}

static void submit(struct store_request r)
{
    engine_submit(here.e, &r, 1);
}

static struct store_result answer(void)
{
    struct store_result result;
    assert_true(engine_result(here.e, &result));
    return result;
}

static struct store_result call(struct store_request r)
{
    submit(r);
    lanes_run(here.e, LANES_ALL);
    return answer();
}

static void done(struct store_request r)
{
    struct store_result result = call(r);
    assert_int_equal(result.result, 0);
    store_result_release(&result);
}

static struct store_request put_of(const char *key, struct slice value)
{
    return (struct store_request){.kind = STORE_PUT,
                                  .partition = PARTITION,
                                  .key = slice_text(key),
                                  .value = value,
                                  .plain = true,
                                  .stamp = 50};
}

/* ---- results that wait for one sync ---------------------------------------------------------- */

/* What shows a state that is not durable waits with it; of so many the next is told to come again,
 * and a write waits for the next batch. */
static void a_batch_has_so_many_who_wait_for_it(void **unused)
{
    (void)unused;
    struct store_request load = put_of("key", slice_of(NULL, 0));
    load.kind = STORE_LOAD;
    submit(put_of("key", slice_text("value")));
    for (uint32_t i = 1; i < BATCH_WAITERS_MAX; i++)
        submit(load);
    submit(load);
    struct store_result result = answer();
    assert_int_equal(result.kind, STORE_LOAD);
    assert_int_equal(result.result, GT_EBUSY);
    assert_null(result.record);
    submit(put_of("other", slice_text("value")));
    assert_int_equal(here.e->parked.count, 1);
    assert_false(engine_result(here.e, &result));
    lanes_run(here.e, LANES_ALL);
    assert_int_equal(here.e->parked.count, 0);
    uint32_t loads = 0, puts = 0;
    while (engine_result(here.e, &result)) {
        assert_int_equal(result.result, 0);
        loads += result.kind == STORE_LOAD;
        puts += result.kind == STORE_PUT;
        store_result_release(&result);
    }
    assert_int_equal(puts, 2);
    assert_int_equal(loads, BATCH_WAITERS_MAX - 1);
}

/* ---- values as large as there are ------------------------------------------------------------ */

static struct slice large_value(void)
{
    static uint8_t bytes[9u << 20];
    memset(bytes, 'v', sizeof(bytes));
    return slice_of(bytes, sizeof(bytes));
}

/* In batches of their own, in segments that are made for them, and in scans one by one; and what
 * has grown for one of them is given back. */
static void large_values_go_one_by_one(void **unused)
{
    (void)unused;
    static const char *const keys[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        submit(put_of(keys[i], large_value()));
    lanes_run(here.e, LANES_ALL);
    for (int i = 0; i < 3; i++) {
        struct store_result result = answer();
        assert_int_equal(result.result, 0);
        store_result_release(&result);
    }
    assert_int_equal(engine_metrics(here.e)->batches_count, 3);
    assert_true(here.e->batches[0].body.capacity <= BODY_KEEP_BYTES);
    assert_true(here.e->batches[1].body.capacity <= BODY_KEEP_BYTES);
    struct store_request scan = {
        .kind = STORE_SCAN, .partition = PARTITION, .from_start = true, .bytes_max = UINT32_MAX};
    struct clock none;
    struct buf clock;
    clock_init(&none);
    buf_init(&clock, 4096);
    clock_encode(&none, &clock);
    for (int way = 0; way < 3; way++) {
        scan.kind = way == 0 ? STORE_SCAN : STORE_PULL;
        scan.whole = way == 1;
        scan.clock = buf_slice(&clock);
        struct store_result result = call(scan);
        assert_int_equal(result.result, 0);
        assert_int_equal(result.entry_count, 1); /* at least one key */
        assert_true(result.more);
        assert_true(result.entries->bytes > large_value().bytes);
        assert_true(here.e->scan.capacity <= BODY_KEEP_BYTES);
        store_result_release(&result);
    }
    buf_close(&clock);
    assert_int_equal(engine_metrics(here.e)->checkpoints_count, 1); /* due for so much log */
    open_again();
    for (int i = 0; i < 3; i++) {
        struct store_request load = put_of(keys[i], slice_of(NULL, 0));
        load.kind = STORE_LOAD;
        struct store_result result = call(load);
        assert_int_equal(result.result, 0);
        assert_true(result.record->bytes > large_value().bytes);
        store_result_release(&result);
    }
}

static void a_large_parcel_is_listed_alone(void **unused)
{
    (void)unused;
    struct store_result put = call(put_of("key", large_value()));
    assert_int_equal(put.result, 0);
    for (uint64_t i = 0; i < 2; i++)
        done((struct store_request){.kind = STORE_PARCEL,
                                    .partition = PARTITION,
                                    .key = slice_text("key"),
                                    .record = slice_blob(put.record),
                                    .target = 5 + i});
    store_result_release(&put);
    struct store_result list = call((struct store_request){
        .kind = STORE_PARCELS, .target = 5, .count_max = 9, .bytes_max = 100});
    assert_int_equal(list.result, 0);
    assert_int_equal(list.entry_count, 1);
    assert_true(list.entries->bytes > large_value().bytes);
    assert_true(here.e->scan.capacity <= BODY_KEEP_BYTES);
    store_result_release(&list);
}

/* ---- operations of one pull ------------------------------------------------------------------ */

/* Of the rows that the asker lacks it is sent the newest that fit, and up to when more are missing.
 */
static void a_pull_brings_so_many_rows(void **unused)
{
    (void)unused;
    struct clock none;
    struct buf clock;
    uint32_t most = OPERATIONS_PULL_BYTES / OPERATION_BYTES;
    for (uint32_t i = 0; i < most + 100; i++) {
        struct store_request r = put_of("key", slice_text("value"));
        le32_put(r.op, i + 1);
        r.stamp = 1000 + i;
        submit(r);
        if (i % 100 == 0)
            lanes_run(here.e, LANES_ALL);
    }
    lanes_run(here.e, LANES_ALL);
    struct store_result result;
    while (engine_result(here.e, &result)) {
        assert_int_equal(result.result, 0);
        store_result_release(&result);
    }
    clock_init(&none);
    buf_init(&clock, 4096);
    clock_encode(&none, &clock);
    result = call((struct store_request){
        .kind = STORE_PULL, .partition = PARTITION, .clock = buf_slice(&clock)});
    assert_int_equal(result.result, 0);
    struct slice rows = slice_blob(result.operations);
    assert_int_equal(operations_count(rows), most);
    struct operation first = operations_at(rows, 0), last = operations_at(rows, most - 1);
    assert_true(first.stamp < last.stamp);
    assert_int_equal(result.operations_floor, first.noted - 1);
    store_result_release(&result);
    buf_close(&clock);
}

/* ---- parcels --------------------------------------------------------------------------------- */

static const char *name_of(uint32_t number, char text[16])
{
    snprintf(text, 16, "key%u", number);
    return text;
}

/* One state for all of the keys: a parcel's record says of which key it is. */
static void parcels_keep(uint64_t target, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        char text[16];
        struct state s;
        struct blob *record;
        struct sibling sibling = {.dot = {{900, 30}, i + 1}, .value = slice_text("theirs")};
        struct slice key = slice_text(name_of(i, text));
        uint32_t partition = i % 3000; /* so many that their table grows */
        state_init(&s);
        assert_int_equal(state_add(&s, &sibling), 0);
        assert_int_equal(record_encode_blob(&s, partition, key, &record), 0);
        state_close(&s);
        done((struct store_request){.kind = STORE_PARCEL,
                                    .partition = partition,
                                    .key = key,
                                    .record = slice_blob(record),
                                    .target = target,
                                    .wall_s = 9000 - i});
        blob_unref(record);
    }
}

/* The numbers of the keys that are kept, in the order of the list. */
static uint32_t parcels_list_all(uint64_t target, uint32_t *numbers, uint64_t *versions)
{
    uint64_t above = 0;
    uint32_t count = 0;
    for (bool more = true; more;) {
        struct store_result list = call((struct store_request){.kind = STORE_PARCELS,
                                                               .target = target,
                                                               .number = above,
                                                               .count_max = 500,
                                                               .bytes_max = 1u << 20});
        assert_int_equal(list.result, 0);
        struct reader r = reader_of(slice_blob(list.entries));
        while (reader_left(&r) > 0) {
            uint64_t number = read_u64(&r);
            assert_true(number > above);
            versions[count] = above = number;
            (void)read_varint(&r);
            struct slice key = read_bytes(&r);
            numbers[count++] = (uint32_t)strtoul((const char *)key.data + 3, NULL, 10);
            (void)read_bytes(&r);
            assert_true(read_bytes(&r).bytes > 0);
            (void)read_bytes(&r);
        }
        assert_false(r.failed);
        more = list.more;
        store_result_release(&list);
    }
    return count;
}

/* Most go, in no order; what is left is listed in the order in which it came, at once and after a
 * start. */
static void of_many_parcels_those_are_left_that_did_not_go(void **unused)
{
    (void)unused;
    static uint32_t numbers[MANY];
    static uint64_t versions[MANY];
    parcels_keep(5, 0, MANY);
    parcels_keep(6, 0, 10);
    assert_int_equal(parcels_list_all(5, numbers, versions), MANY);
    for (uint32_t step = 0; step < MANY; step++) {
        uint32_t i = (step * 1999u) % MANY; /* each of them once */
        char text[16];
        assert_int_equal(numbers[i], i);
        if (i % 10 == 3)
            continue; /* stays */
        done((struct store_request){.kind = STORE_PARCEL,
                                    .partition = i % 3000,
                                    .key = slice_text(name_of(i, text)),
                                    .target = 5,
                                    .number = versions[i]});
    }
    for (int starts = 0; starts < 3; starts++) {
        uint32_t left[MANY];
        uint64_t of[MANY];
        struct engine_kept kept[3];
        assert_int_equal(parcels_list_all(5, left, of), MANY / 10);
        for (uint32_t i = 0; i < MANY / 10; i++)
            assert_true(left[i] == i * 10 + 3 && of[i] == versions[left[i]]);
        assert_int_equal(engine_kept(here.e, kept, 1), 1); /* those with the most */
        assert_true(kept[0].target == 5 && kept[0].parcels == MANY / 10);
        assert_int_equal(kept[0].made_s, 9000 - (MANY - 7));
        assert_int_equal(engine_kept(here.e, kept, 3), 2);
        assert_true(kept[1].target == 6 && kept[1].parcels == 10);
        open_again();
        lanes_run(here.e, LANES_ALL);
    }
    struct store_result all = call((struct store_request){.kind = STORE_PARCELS, .partition = 3});
    assert_int_equal(all.parcels, 2); /* one of each target */
    store_result_release(&all);
}

/* More than half of what may be in memory waits for a checkpoint. */
static void parcels_wait_for_a_checkpoint_as_writes_do(void **unused)
{
    (void)unused;
    char text[16];
    uint32_t waiting = 0;
    engine_close(here.e, false);
    struct engine_report report;
    struct engine_config config = {.disk = here.disk,
                                   .index = here.index,
                                   .role = "node",
                                   .seed = 77,
                                   .wall_us = 1700000000000000,
                                   .segment_bytes = 4u << 20,
                                   .overlay_bytes_max = 64u << 10};
    assert_int_equal(engine_open(&config, &here.e, &report), 0);
    struct state s;
    struct blob *record;
    static const uint8_t value[4096];
    struct sibling sibling = {.dot = {{900, 30}, 1}, .value = slice_of(value, sizeof(value))};
    for (uint32_t i = 0; i < 40; i++) {
        struct slice key = slice_text(name_of(i, text));
        state_init(&s);
        assert_int_equal(state_add(&s, &sibling), 0);
        assert_int_equal(record_encode_blob(&s, PARTITION, key, &record), 0);
        state_close(&s);
        struct blob *hold = blob_new(key.bytes + record->bytes);
        memcpy(hold->data, key.data, key.bytes);
        memcpy(hold->data + key.bytes, record->data, record->bytes);
        submit((struct store_request){.kind = STORE_PARCEL,
                                      .hold = hold,
                                      .partition = PARTITION,
                                      .key = slice_of(hold->data, key.bytes),
                                      .record = slice_of(hold->data + key.bytes, record->bytes),
                                      .target = 5});
        blob_unref(record);
        waiting = here.e->parked.count;
    }
    assert_true(waiting > 0);
    lanes_run(here.e, LANES_ALL);
    for (uint32_t i = 0; i < 40; i++) {
        struct store_result result = answer();
        assert_int_equal(result.result, 0);
    }
    assert_true(engine_metrics(here.e)->checkpoints_count > 0);
    assert_int_equal(engine_parcels_for(here.e, 5), 40);
}

/* ---- dot logs -------------------------------------------------------------------------------- */

/* Over the bound of all the largest forgets, and says so by its floor; the others stay. */
static void the_largest_dot_log_begins_anew(void **unused)
{
    (void)unused;
    static const uint32_t partitions[] = {3, 90, 5};
    char key[16];
    struct engine_partition p;
    struct engine_report report;
    engine_close(here.e, false);
    struct engine_config config = {.disk = here.disk,
                                   .index = here.index,
                                   .role = "node",
                                   .seed = 78,
                                   .wall_us = 1700000000000000,
                                   .segment_bytes = 1, /* there is a least */
                                   .log_entries_max = 12};
    assert_int_equal(engine_open(&config, &here.e, &report), 0);
    for (uint32_t i = 0; i < 13; i++) {
        struct store_request r = put_of(name_of(i, key), slice_text("value"));
        r.partition = partitions[i < 3 ? 0 : i < 11 ? 1 : 2];
        assert_int_equal(engine_metrics(here.e)->floors_raised_count, 0);
        done(r);
    }
    assert_int_equal(engine_metrics(here.e)->floors_raised_count, 1);
    engine_partition(here.e, 90, &p);
    assert_int_equal(p.log_entries, 0);
    assert_true(clock_equal(p.clock, p.floor));
    engine_partition(here.e, 3, &p);
    assert_int_equal(p.log_entries, 3);
    assert_int_equal(p.floor->entry_count, 0);
    engine_partition(here.e, 5, &p);
    assert_int_equal(p.log_entries, 2);
}

/* ---- the end of it --------------------------------------------------------------------------- */

/* A log that failed takes nothing more; a recall asks for no answer, and gets none. */
static void a_failed_log_answers_all_but_recalls(void **unused)
{
    (void)unused;
    struct store_result result;
    memdisk_fail(here.disk, MEMDISK_SYNC, 1, GT_EIO, true);
    submit(put_of("key", slice_text("value")));
    lanes_run(here.e, LANES_ALL);
    result = answer();
    assert_int_equal(result.result, GT_EPOISONED);
    submit((struct store_request){.kind = STORE_RECALL, .op = {1}});
    assert_false(engine_result(here.e, &result));
    submit(put_of("key", slice_text("value")));
    result = answer();
    assert_int_equal(result.result, GT_EPOISONED);
    assert_true(engine_deadline_us(here.e) == UINT64_MAX);
    assert_true(engine_idle(here.e)); /* nothing of it will be done */
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, folder_new, folder_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_batch_has_so_many_who_wait_for_it),
        STORY(large_values_go_one_by_one),
        STORY(a_large_parcel_is_listed_alone),
        STORY(a_pull_brings_so_many_rows),
        STORY(of_many_parcels_those_are_left_that_did_not_go),
        STORY(parcels_wait_for_a_checkpoint_as_writes_do),
        STORY(the_largest_dot_log_begins_anew),
        STORY(a_failed_log_answers_all_but_recalls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
