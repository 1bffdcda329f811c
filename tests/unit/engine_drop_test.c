/* A partition that is given up: what says that it is here goes first, then its records, whatever
 * happens in between; and the cursor of a pull. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/engine_private.h"
#include "tests/lib/lanes.h"
#include "tests/lib/memdisk.h"
#include "tests/lib/memindex.h"

#define PARTITION 7u
#define OTHER     8u
#define KEYS      2000u

struct replica {
    struct disk *disk;
    struct index *index;
    struct engine *e;
    struct engine_config config;
};

static void replica_open(struct replica *r)
{
    struct engine_report report;
    r->config.disk = r->disk;
    r->config.index = r->index;
    r->config.role = "node";
    r->config.seed++;
    r->config.wall_us = 1700000000000000;
    r->config.segment_bytes = 256u << 10;
    r->config.overlay_bytes_max = 2u << 20;
    r->config.boot_id[0] = 1;
    assert_int_equal(engine_open(&r->config, &r->e, &report), 0);
}

static void replica_new(struct replica *r)
{
    *r = (struct replica){.disk = memdisk_new(), .index = memindex_new(), .config.seed = 5};
    replica_open(r);
}

static void replica_free(struct replica *r)
{
    engine_close(r->e, false);
    r->disk->destroy(r->disk);
    r->index->destroy(r->index);
}

static void replica_kill(struct replica *r)
{
    engine_close(r->e, false);
    memindex_crash(r->index);
    replica_open(r);
}

static struct store_result call(struct replica *r, struct store_request request)
{
    struct store_result result;
    engine_submit(r->e, &request, 1);
    lanes_run(r->e, LANES_ALL);
    assert_true(engine_result(r->e, &result));
    return result;
}

static void call_ok(struct replica *r, struct store_request request)
{
    struct store_result result = call(r, request);
    assert_int_equal(result.result, 0);
    store_result_release(&result);
}

static uint64_t put(struct replica *r, uint32_t partition, uint32_t number)
{
    char key[16], value[40];
    snprintf(key, sizeof(key), "key%u", number);
    snprintf(value, sizeof(value), "the value of number %u", number);
    struct store_result result = call(r, (struct store_request){.kind = STORE_PUT,
                                                                .partition = partition,
                                                                .key = slice_text(key),
                                                                .value = slice_text(value),
                                                                .plain = true});
    assert_int_equal(result.result, 0);
    uint64_t seq = dots_at(slice_blob(result.dots), 0).seq;
    store_result_release(&result);
    return seq;
}

static bool has(struct replica *r, uint32_t partition, uint32_t number)
{
    char key[16];
    snprintf(key, sizeof(key), "key%u", number);
    struct store_result got = call(
        r,
        (struct store_request){.kind = STORE_LOAD, .partition = partition, .key = slice_text(key)});
    bool there = got.record != NULL;
    assert_int_equal(got.result, 0);
    store_result_release(&got);
    return there;
}

static struct engine_partition partition(const struct replica *r, uint32_t number)
{
    struct engine_partition p;
    engine_partition(r->e, number, &p);
    return p;
}

/* One run of it; whether another one is needed. */
static bool drop_run(struct replica *r)
{
    struct store_result result =
        call(r, (struct store_request){.kind = STORE_DROP, .partition = PARTITION});
    assert_int_equal(result.result, 0);
    bool more = result.more;
    store_result_release(&result);
    return more;
}

static void drop(struct replica *r)
{
    while (drop_run(r))
        continue;
}

static void assert_dropped(struct replica *r)
{
    struct engine_partition p = partition(r, PARTITION);
    assert_false(engine_holds(r->e, PARTITION));
    assert_true(p.records == 0 && p.live == 0 && p.bytes == 0 && p.digest_sum == 0);
    assert_true(p.clock->entry_count == 0 && p.floor->entry_count == 0 && p.log_entries == 0);
    for (uint32_t i = 0; i < KEYS; i += 97)
        assert_false(has(r, PARTITION, i));
    for (uint32_t i = 0; i < 20; i++)
        assert_true(has(r, OTHER, i));
}

static void fill_both(struct replica *r)
{
    for (uint32_t i = 0; i < KEYS; i++)
        put(r, PARTITION, i);
    for (uint32_t i = 0; i < 20; i++)
        put(r, OTHER, i);
}

static void test_what_is_given_up_is_gone_and_stays_so(void **state)
{
    (void)state;
    struct replica r;
    replica_new(&r);
    fill_both(&r);
    assert_true(engine_holds(r.e, PARTITION));
    assert_true(drop_run(&r)); /* the records go run by run, but nobody claims them any more */
    assert_int_equal(partition(&r, PARTITION).clock->entry_count, 0);
    assert_true(partition(&r, PARTITION).records > 0);
    drop(&r);
    assert_dropped(&r);
    replica_kill(&r);
    assert_dropped(&r);
    drop(&r); /* of nothing */
    for (int i = 0; i < 2; i++) {
        engine_close(r.e, true);
        replica_open(&r);
        lanes_run(r.e, LANES_ALL);
    }
    assert_dropped(&r);
    replica_free(&r);
}

/* Killed after every number of jobs: a clock never speaks of records that are gone. */
static void test_killed_at_any_moment_it_goes_on(void **state)
{
    (void)state;
    for (int jobs = 0; jobs < 60; jobs++) {
        struct replica r;
        replica_new(&r);
        fill_both(&r);
        struct store_request request = {.kind = STORE_DROP, .partition = PARTITION};
        for (int i = 0; i < 3; i++) {
            engine_submit(r.e, &request, 1);
            lanes_run(r.e, jobs / 3);
        }
        replica_kill(&r);
        struct engine_partition p = partition(&r, PARTITION);
        assert_true(p.clock->entry_count == 0 || p.records == KEYS);
        drop(&r);
        assert_dropped(&r);
        replica_free(&r);
    }
}

/* In the same life a number that was given out is not given out again; a later one is another
 * actor. */
static void test_numbers_go_on_where_they_stood(void **state)
{
    (void)state;
    struct replica r;
    replica_new(&r);
    fill_both(&r);
    drop(&r);
    assert_int_equal(put(&r, PARTITION, 1), KEYS + 1);
    assert_true(has(&r, PARTITION, 1));
    assert_int_equal(partition(&r, PARTITION).records, 1);
    replica_kill(&r);
    assert_true(has(&r, PARTITION, 1));
    assert_false(has(&r, PARTITION, 2));
    assert_int_equal(put(&r, PARTITION, 2), 1);
    replica_free(&r);
}

static void test_a_bad_record_goes_with_the_others(void **state)
{
    (void)state;
    struct replica r;
    replica_new(&r);
    fill_both(&r);
    for (int i = 0; i < 2; i++) {
        engine_close(r.e, true);
        replica_open(&r);
        lanes_run(r.e, LANES_ALL);
    }
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct slice key = slice_text("key97");
    assert_true(memindex_flip_key(r.index, index_data_key(at, PARTITION, hash_bytes(key), key), 5));
    drop(&r);
    assert_dropped(&r);
    replica_free(&r);
}

static void test_a_cursor_is_kept_with_its_partition(void **state)
{
    (void)state;
    struct replica r;
    replica_new(&r);
    fill_both(&r);
    struct store_request keep = {
        .kind = STORE_CURSOR, .partition = PARTITION, .value = slice_text("so far")};
    call_ok(&r, keep);
    for (int i = 0; i < 3; i++) {
        assert_true(slice_equal(engine_cursor(r.e, PARTITION), slice_text("so far")));
        assert_int_equal(engine_cursor(r.e, OTHER).bytes, 0);
        if (i == 0)
            replica_kill(&r);
        else
            engine_close(r.e, true), replica_open(&r), lanes_run(r.e, LANES_ALL);
    }
    keep.value = slice_of(NULL, 0);
    call_ok(&r, keep);
    assert_int_equal(engine_cursor(r.e, PARTITION).bytes, 0);
    keep.value = slice_text("again");
    call_ok(&r, keep);
    drop(&r);
    assert_int_equal(engine_cursor(r.e, PARTITION).bytes, 0);
    assert_dropped(&r);
    replica_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_given_up_is_gone_and_stays_so),
        cmocka_unit_test(test_killed_at_any_moment_it_goes_on),
        cmocka_unit_test(test_numbers_go_on_where_they_stood),
        cmocka_unit_test(test_a_bad_record_goes_with_the_others),
        cmocka_unit_test(test_a_cursor_is_kept_with_its_partition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
