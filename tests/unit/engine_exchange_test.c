/*
 * Replicas of one partition, engine against engine: what one lacks is pulled, and nothing else;
 * what all have that is deleted is reaped, and nothing brings it back.
 */
#include "engine/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/prng.h"
#include "engine/quarantine.h"
#include "engine/values.h"
#include "tests/lib/lanes.h"
#include "tests/lib/memdisk.h"
#include "tests/lib/memindex.h"

#define PARTITION 7u

struct replica {
    struct disk *disk;
    struct index *index;
    struct engine *e;
    uint32_t log_max;
    uint64_t seed;
};

static void replica_open(struct replica *r)
{
    struct engine_config config = {.disk = r->disk,
                                   .index = r->index,
                                   .role = "node",
                                   .seed = ++r->seed,
                                   .wall_us = 1700000000000000,
                                   .segment_bytes = 64u << 10,
                                   .overlay_bytes_max = 16u << 10,
                                   .chunk_records = 3,
                                   .log_entries_max = r->log_max};
    struct engine_report report;
    assert_int_equal(engine_open(&config, &r->e, &report), 0);
}

static void replica_new(struct replica *r, uint64_t seed)
{
    *r = (struct replica){.disk = memdisk_new(), .index = memindex_new(), .seed = seed * 1000};
    replica_open(r);
}

static void replica_free(struct replica *r)
{
    engine_close(r->e, false);
    r->disk->destroy(r->disk);
    r->index->destroy(r->index);
}

static void replica_restart(struct replica *r)
{
    engine_close(r->e, false);
    replica_open(r);
}

static struct store_result call(struct replica *r, struct store_request request)
{
    struct store_result result;
    request.partition = PARTITION;
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

static void put(struct replica *r, const char *key, const char *value)
{
    struct store_request request = {
        .kind = STORE_PUT, .key = slice_text(key), .value = slice_text(value), .plain = true};
    call_ok(r, request);
}

static struct blob *clock_of(struct replica *r)
{
    struct buf bytes;
    struct engine_partition p;
    buf_init(&bytes, 1u << 20);
    engine_partition(r->e, PARTITION, &p);
    clock_encode(p.clock, &bytes);
    struct blob *b = buf_blob(&bytes);
    buf_close(&bytes);
    return b;
}

static uint32_t log_of(struct replica *r)
{
    struct engine_partition p;
    engine_partition(r->e, PARTITION, &p);
    return p.log_entries;
}

static void assert_same(struct replica *a, struct replica *b)
{
    struct engine_partition x, y;
    engine_partition(a->e, PARTITION, &x);
    engine_partition(b->e, PARTITION, &y);
    assert_true(clock_equal(x.clock, y.clock));
    assert_int_equal(x.records, y.records);
    assert_int_equal(x.digest_sum, y.digest_sum);
}

/* One reply of the source, stored; true when more is lacking. states counts. */
static bool pull_step(struct replica *to, struct replica *from, uint32_t bytes_max, bool *whole,
                      uint32_t *states, struct blob **cursor)
{
    struct blob *clock = clock_of(to);
    struct store_request request = {
        .kind = STORE_PULL, .clock = slice_blob(clock), .bytes_max = bytes_max, .from_start = true};
    if (*cursor) {
        request.from_start = false;
        request.from_key = slice_blob(*cursor);
        request.from_hash = hash_bytes(request.from_key);
        request.whole = true;
    }
    struct store_result reply = call(from, request);
    assert_int_equal(reply.result, 0);
    *whole = reply.whole;
    struct reader r = reader_of(slice_blob(reply.entries));
    while (reader_left(&r) > 0) {
        struct store_request merge = {
            .kind = STORE_MERGE, .pulled = true, .clock = slice_blob(reply.clock)};
        merge.key = read_bytes(&r);
        merge.record = read_bytes(&r);
        assert_false(r.failed);
        call_ok(to, merge);
        (*states)++;
        blob_unref(*cursor);
        *cursor = reply.whole ? blob_copy(merge.key.data, merge.key.bytes) : NULL;
    }
    bool more = reply.more;
    if (!more) {
        struct store_request merge = {.kind = STORE_CLOCK, .clock = slice_blob(reply.clock)};
        call_ok(to, merge);
    }
    store_result_release(&reply);
    blob_unref(clock);
    return more;
}

static uint32_t pull(struct replica *to, struct replica *from, uint32_t bytes_max, bool *whole)
{
    uint32_t states = 0;
    struct blob *cursor = NULL;
    while (pull_step(to, from, bytes_max, whole, &states, &cursor))
        ;
    blob_unref(cursor);
    return states;
}

static void confirm(struct replica *r, struct replica *other)
{
    struct blob *clock = clock_of(other);
    struct buf list;
    buf_init(&list, 1u << 20);
    buf_bytes(&list, slice_blob(clock));
    struct store_request request = {.kind = STORE_CONFIRM, .clock = buf_slice(&list)};
    struct store_result result;
    do { /* where there was no room the checkpoint makes some */
        result = call(r, request);
        assert_int_equal(result.result, 0);
    } while (result.more);
    buf_close(&list);
    blob_unref(clock);
}

/* ---- stories --------------------------------------------------------------------------------- */

static void test_what_was_missed_crosses_and_nothing_else(void **state)
{
    (void)state;
    struct replica a, b;
    bool whole;
    char key[16];
    replica_new(&a, 1);
    replica_new(&b, 2);
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof(key), "old%d", i);
        put(&a, key, "x");
    }
    assert_int_equal(pull(&b, &a, 0, &whole), 50);
    assert_false(whole);
    assert_same(&a, &b);
    for (int i = 0; i < 9; i++) /* three keys, three times: three states */
        put(&a, i % 3 == 0 ? "new1" : i % 3 == 1 ? "new2" : "old3", "y");
    assert_int_equal(pull(&b, &a, 0, &whole), 3);
    assert_same(&a, &b);
    assert_int_equal(pull(&b, &a, 0, &whole), 0);
    assert_int_equal(pull(&a, &b, 0, &whole), 0);
    replica_free(&a);
    replica_free(&b);
}

static void test_a_long_list_comes_in_pieces_and_a_break_keeps_what_came(void **state)
{
    (void)state;
    struct replica a, b;
    bool whole;
    char key[16];
    replica_new(&a, 1);
    replica_new(&b, 2);
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        put(&a, key, "some value of some length");
    }
    uint32_t states = 0;
    struct blob *cursor = NULL;
    assert_true(pull_step(&b, &a, 1000, &whole, &states, &cursor));
    assert_true(states > 3 && states < 40);
    replica_restart(&b);
    assert_int_equal(pull(&b, &a, 1000, &whole) + states, 40);
    assert_same(&a, &b);
    replica_restart(&b);
    assert_same(&a, &b);
    replica_free(&a);
    replica_free(&b);
}

static void test_the_log_is_of_live_siblings_and_survives(void **state)
{
    (void)state;
    struct replica a, b;
    bool whole;
    char value[24], key[16];
    replica_new(&a, 1);
    replica_new(&b, 2);
    for (int i = 0; i < 500; i++) { /* enough for some checkpoints */
        snprintf(key, sizeof(key), "key%d", i % 10);
        snprintf(value, sizeof(value), "value%d", i);
        put(&a, key, value);
    }
    assert_int_equal(log_of(&a), 10);
    replica_restart(&a);
    assert_true(log_of(&a) >= 10);
    assert_int_equal(pull(&b, &a, 0, &whole), 10);
    assert_false(whole);
    assert_same(&a, &b);
    assert_int_equal(log_of(&a), 10); /* what a recovery had left over has gone */
    confirm(&a, &b);
    assert_int_equal(log_of(&a), 0);
    confirm(&b, &a);
    assert_int_equal(log_of(&b), 0);
    replica_free(&a);
    replica_free(&b);
}

static void test_both_sides_have_news_and_siblings_meet(void **state)
{
    (void)state;
    struct replica a, b;
    bool whole;
    replica_new(&a, 1);
    replica_new(&b, 2);
    put(&a, "k", "from a");
    put(&b, "k", "from b");
    put(&b, "l", "only b");
    assert_int_equal(pull(&a, &b, 0, &whole), 2);
    assert_int_equal(pull(&b, &a, 0, &whole), 1);
    assert_same(&a, &b);
    put(&a, "k", "after both");
    assert_int_equal(pull(&b, &a, 0, &whole), 1);
    assert_same(&a, &b);
    replica_free(&a);
    replica_free(&b);
}

static void test_below_the_floor_every_key_is_sent(void **state)
{
    (void)state;
    struct replica a, b;
    bool whole;
    char key[16];
    replica_new(&a, 1);
    replica_new(&b, 2);
    a.log_max = 5;
    replica_restart(&a);
    for (int i = 0; i < 30; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        put(&a, key, "some value of some length");
    }
    assert_true(log_of(&a) <= 5);
    assert_true(engine_metrics(a.e)->floors_raised_count > 0);
    assert_int_equal(pull(&b, &a, 300, &whole), 30);
    assert_true(whole);
    assert_same(&a, &b);
    put(&a, "one more", "x");
    assert_int_equal(pull(&b, &a, 300, &whole), 1); /* above the floor again */
    assert_false(whole);
    replica_free(&a);
    replica_free(&b);
}

static void test_a_bad_record_gives_no_clock(void **state)
{
    (void)state;
    struct replica a, b;
    char key[16];
    replica_new(&a, 1);
    replica_new(&b, 2);
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        put(&a, key, "some value of some length, so that it is in the index soon");
    }
    lanes_run(a.e, LANES_ALL);
    assert_true(memindex_flip(a.index, 4).bytes > 0);
    struct blob *clock = clock_of(&b);
    struct store_result reply =
        call(&a, (struct store_request){.kind = STORE_PULL, .clock = slice_blob(clock)});
    assert_int_equal(reply.result, 0);
    assert_true(reply.unknown);
    assert_int_equal(reply.entry_count, 299);
    store_result_release(&reply);
    blob_unref(clock);
    replica_free(&a);
    replica_free(&b);
}

/* ---- reading again --------------------------------------------------------------------------- */

struct again {
    uint64_t records, digest_sum, bad, counted, counted_sum;
    uint32_t runs;
};

/* The whole partition in runs of so many bytes, against what the row of the last run counts. */
static struct again read_again(struct replica *r, uint32_t bytes_max)
{
    struct again a = {0};
    struct blob *last = NULL;
    for (bool more = true; more; a.runs++) {
        struct store_request request = {
            .kind = STORE_VERIFY, .from_start = !last, .bytes_max = bytes_max};
        request.from_key = slice_blob(last);
        request.from_hash = last ? hash_bytes(request.from_key) : 0;
        struct store_result result = call(r, request);
        assert_int_equal(result.result, 0);
        struct reader entries = reader_of(slice_blob(result.entries));
        while (reader_left(&entries) > 0) {
            struct slice key = read_bytes(&entries);
            uint64_t digest = read_u64(&entries);
            assert_false(entries.failed);
            blob_unref(last);
            last = blob_copy(key.data, key.bytes);
            a.records += digest != 0;
            a.bad += digest == 0;
            a.digest_sum += digest;
        }
        struct reader row = reader_of(slice_blob(result.clock));
        assert_int_equal(read_varint(&row), PARTITION);
        read_bytes(&row);
        a.counted = read_varint(&row);
        a.counted_sum = read_u64(&row);
        assert_false(row.failed);
        assert_true(result.bytes_read <= bytes_max || result.entry_count == 1);
        more = result.more;
        store_result_release(&result);
    }
    blob_unref(last);
    return a;
}

static void test_what_is_read_again_is_what_is_counted(void **state)
{
    (void)state;
    struct replica a;
    char key[16];
    replica_new(&a, 1);
    struct again nothing = read_again(&a, 1000);
    assert_int_equal(nothing.records, 0);
    assert_int_equal(nothing.runs, 1);
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "key%d", i % 150);
        put(&a, key, i % 2 ? "value" : "another");
    }
    for (uint32_t bytes = 1; bytes <= 1u << 20; bytes *= 64) {
        struct again all = read_again(&a, bytes);
        assert_int_equal(all.records, 150);
        assert_int_equal(all.bad, 0);
        assert_int_equal(all.counted, all.records);
        assert_true(all.counted_sum == all.digest_sum);
        assert_int_equal(all.runs, bytes == 1 ? 150 : bytes > 1u << 16 ? 1 : all.runs);
    }
    replica_free(&a);
}

static void test_a_record_that_rots_is_found_by_reading_it_again(void **state)
{
    (void)state;
    struct replica a;
    char key[16];
    replica_new(&a, 1);
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        put(&a, key, "value");
    }
    assert_true(memindex_flip(a.index, 4).bytes > 0);
    struct again all = read_again(&a, 4096);
    assert_int_equal(all.records + all.bad, 300);
    assert_int_equal(all.bad, 1);
    assert_int_equal(all.counted, 300);
    assert_true(all.counted_sum != all.digest_sum);
    replica_free(&a);
}

static void test_clocks_that_lie_are_refused(void **state)
{
    (void)state;
    struct replica a;
    struct clock clock;
    struct buf bytes;
    replica_new(&a, 1);
    put(&a, "k", "v");
    const struct engine_identity *id = engine_identity(a.e);
    clock_init(&clock);
    buf_init(&bytes, 1000);
    clock_add(&clock, (struct dot){{id->node_id, id->incarnation}, 99});
    clock_encode(&clock, &bytes);
    struct store_result r =
        call(&a, (struct store_request){.kind = STORE_CLOCK, .clock = buf_slice(&bytes)});
    assert_int_equal(r.result, GT_ECORRUPT);
    r = call(&a, (struct store_request){.kind = STORE_CLOCK, .clock = slice_text("\xff\xff\xff")});
    assert_int_equal(r.result, GT_ECORRUPT);
    r = call(&a, (struct store_request){.kind = STORE_PULL, .clock = slice_text("\xff\xff\xff")});
    assert_int_equal(r.result, GT_ECORRUPT);
    buf_close(&bytes);
    clock_close(&clock);
    replica_free(&a);
}

/* Random writes on both sides, pulls that break anywhere, crashes: in the end both are the same. */
static void test_random_exchanges_converge(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct replica r[2];
        struct prng dice;
        bool whole;
        char key[16], value[24];
        prng_init(&dice, seed);
        replica_new(&r[0], seed);
        replica_new(&r[1], seed + 1000);
        if (seed % 3 == 0)
            r[0].log_max = 6;
        replica_restart(&r[0]);
        for (int i = 0; i < 200; i++) {
            uint32_t who = (uint32_t)prng_below(&dice, 2);
            uint32_t states = 0;
            struct blob *cursor = NULL;
            switch (prng_below(&dice, 10)) {
            case 0:
                pull_step(&r[who], &r[!who], 200, &whole, &states, &cursor);
                blob_unref(cursor);
                break;
            case 1:
                pull(&r[who], &r[!who], (uint32_t)prng_below(&dice, 500) + 1, &whole);
                break;
            case 2:
                confirm(&r[who], &r[!who]);
                break;
            case 3:
                replica_restart(&r[who]);
                break;
            default:
                snprintf(key, sizeof(key), "key%d", (int)prng_below(&dice, 12));
                snprintf(value, sizeof(value), "value%d", i);
                put(&r[who], key, value);
            }
        }
        pull(&r[0], &r[1], 300, &whole);
        pull(&r[1], &r[0], 300, &whole);
        assert_same(&r[0], &r[1]);
        replica_free(&r[0]);
        replica_free(&r[1]);
    }
}

/* ---- reaping (RULES 19) -----------------------------------------------------------------------
 */

static void erase(struct replica *r, const char *key)
{
    call_ok(r, (struct store_request){
                   .kind = STORE_PUT, .key = slice_text(key), .plain = true, .tombstone = true});
}

static struct blob *record_of(struct replica *r, const char *key)
{
    struct store_result result =
        call(r, (struct store_request){.kind = STORE_LOAD, .key = slice_text(key)});
    assert_int_equal(result.result, 0);
    struct blob *record = blob_ref(result.record);
    store_result_release(&result);
    return record;
}

static bool is_absent(struct replica *r, const char *key)
{
    struct blob *record = record_of(r, key);
    blob_unref(record);
    return !record;
}

/* How many siblings stand there, and whether a value is what get answers. */
static uint32_t siblings_of(struct replica *r, const char *key, bool *value)
{
    struct blob *record = record_of(r, key);
    struct state s;
    state_init(&s);
    assert_int_equal(record_decode(slice_blob(record), PARTITION, slice_text(key), &s), 0);
    const struct sibling *winner = state_winner(&s);
    uint32_t count = s.sibling_count;
    *value = winner && !(winner->flags & SIBLING_TOMBSTONE);
    state_close(&s);
    blob_unref(record);
    return count;
}

/* A state that was sent long ago: the dots that live in it are listed. */
static struct store_result arrive(struct replica *r, const char *key, struct slice record)
{
    struct state s;
    uint8_t dots[4 * DOT_BYTES];
    state_init(&s);
    assert_int_equal(record_decode(record, PARTITION, slice_text(key), &s), 0);
    for (uint32_t i = 0; i < s.sibling_count; i++)
        dots_put(&dots[i * DOT_BYTES], s.siblings[i].dot);
    struct store_result result =
        call(r, (struct store_request){.kind = STORE_MERGE,
                                       .key = slice_text(key),
                                       .record = record,
                                       .dots = slice_of(dots, s.sibling_count * DOT_BYTES)});
    state_close(&s);
    return result;
}

static void arrives(struct replica *r, const char *key, struct slice record)
{
    struct store_result result = arrive(r, key, record);
    assert_int_equal(result.result, 0);
    store_result_release(&result);
}

static void pair_new(struct replica *a, struct replica *b)
{
    replica_new(a, 1);
    replica_new(b, 2);
}

static void pair_free(struct replica *a, struct replica *b)
{
    replica_free(a);
    replica_free(b);
}

static void test_a_tombstone_goes_when_the_other_has_it(void **state)
{
    (void)state;
    struct replica a, b;
    struct engine_partition p;
    bool whole;
    pair_new(&a, &b);
    put(&a, "k", "v");
    erase(&a, "k");
    confirm(&a, &b);
    assert_false(is_absent(&a, "k")); /* b has nothing of it */
    pull(&b, &a, 0, &whole);
    engine_partition(a.e, PARTITION, &p);
    assert_int_equal(p.tombstones, 1);
    confirm(&a, &b);
    assert_true(is_absent(&a, "k"));
    engine_partition(a.e, PARTITION, &p);
    assert_int_equal(p.records + p.bytes + p.digest_sum + p.tombstones + p.log_entries, 0);
    assert_int_equal(engine_metrics(a.e)->reaped_count, 1);
    /* b has it still: pulled from there it brings nothing. */
    assert_false(is_absent(&b, "k"));
    pull(&a, &b, 0, &whole);
    assert_true(is_absent(&a, "k"));
    confirm(&b, &a);
    assert_same(&a, &b);
    pair_free(&a, &b);
}

/* How many tombstones one confirmation reaps; *more: some are left. */
static uint64_t confirm_once(struct replica *r, struct slice clocks, bool *more)
{
    uint64_t before = engine_metrics(r->e)->reaped_count;
    struct store_result result =
        call(r, (struct store_request){.kind = STORE_CONFIRM, .clock = clocks});
    assert_int_equal(result.result, 0);
    *more = result.more;
    return engine_metrics(r->e)->reaped_count - before;
}

/* While the index is not in memory the loop does not wait for one tombstone after the other. */
static void test_a_cold_index_is_looked_at_once_in_a_while(void **state)
{
    (void)state;
    struct replica a, b;
    bool whole, more;
    char key[16];
    pair_new(&a, &b);
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        erase(&a, key);
    }
    pull(&b, &a, 0, &whole);
    struct blob *clock = clock_of(&b);
    struct buf list;
    buf_init(&list, 1u << 20);
    buf_bytes(&list, slice_blob(clock));
    engine_set_cold(a.e, true);
    assert_int_equal(confirm_once(&a, buf_slice(&list), &more), 1);
    assert_true(more);
    assert_int_equal(confirm_once(&a, buf_slice(&list), &more), 0);
    assert_true(more);
    engine_tick(a.e, 100001);
    assert_int_equal(confirm_once(&a, buf_slice(&list), &more), 1);
    engine_set_cold(a.e, false);
    assert_int_equal(confirm_once(&a, buf_slice(&list), &more), 18);
    assert_int_equal(confirm_once(&a, buf_slice(&list), &more), 0);
    assert_false(more);
    buf_close(&list);
    blob_unref(clock);
    pair_free(&a, &b);
}

static void test_what_was_reaped_stays_so_through_crash_and_checkpoint(void **state)
{
    (void)state;
    struct replica a, b;
    bool whole;
    char key[16];
    pair_new(&a, &b);
    for (int i = 0; i < 300; i++) { /* enough for some checkpoints */
        snprintf(key, sizeof(key), "key%d", i);
        put(&a, key, "some value of some length");
    }
    pull(&b, &a, 0, &whole);
    for (int i = 0; i < 300; i += 2) {
        snprintf(key, sizeof(key), "key%d", i);
        erase(&a, key);
    }
    pull(&b, &a, 0, &whole);
    replica_restart(&a); /* which entries of the log are of tombstones is to be learnt again */
    confirm(&a, &b);
    confirm(&b, &a);
    assert_int_equal(engine_metrics(a.e)->reaped_count, 150);
    assert_same(&a, &b);
    for (int i = 0; i < 3; i++) {
        replica_restart(&a);
        struct engine_partition p;
        engine_partition(a.e, PARTITION, &p);
        assert_int_equal(p.records, 150);
        assert_true(is_absent(&a, "key0"));
        assert_false(is_absent(&a, "key1"));
        struct store_result scan = call(
            &a,
            (struct store_request){.kind = STORE_SCAN, .from_start = true, .bytes_max = 1u << 20});
        assert_int_equal(scan.entry_count, 150);
        store_result_release(&scan);
        for (int k = 0; k < 100; k++)
            put(&a, "filler", "so that what is in the log goes into the index");
        confirm(&a, &b);
        erase(&a, "filler");
        pull(&b, &a, 0, &whole);
        confirm(&a, &b);
        confirm(&b, &a);
        assert_same(&a, &b);
    }
    pair_free(&a, &b);
}

static void test_nobody_reads_that_it_went_before_that_is_durable(void **state)
{
    (void)state;
    struct replica a, b;
    struct store_result result;
    bool whole;
    pair_new(&a, &b);
    put(&a, "k", "v");
    erase(&a, "k");
    pull(&b, &a, 0, &whole);
    struct blob *clock = clock_of(&b);
    struct buf list;
    buf_init(&list, 1u << 20);
    buf_bytes(&list, slice_blob(clock));
    struct store_request request = {
        .kind = STORE_CONFIRM, .partition = PARTITION, .clock = buf_slice(&list)};
    engine_submit(a.e, &request, 1);
    request =
        (struct store_request){.kind = STORE_LOAD, .partition = PARTITION, .key = slice_text("k")};
    engine_submit(a.e, &request, 1);
    request =
        (struct store_request){.kind = STORE_SCAN, .partition = PARTITION, .from_start = true};
    engine_submit(a.e, &request, 1);
    assert_false(engine_result(a.e, &result));
    replica_restart(&a); /* the power went */
    assert_false(is_absent(&a, "k"));
    buf_close(&list);
    blob_unref(clock);
    pair_free(&a, &b);
}

/* The first piece of a put that saw all of the key, and of which the rest is on its way: its
 * sibling alone. */
static void piece_arrives(struct replica *r, const char *key)
{
    struct state s;
    struct blob *record;
    struct sibling sibling = {
        .dot = {{77, 1 << 24}, 1}, .stamp = 1000, .value = slice_text("newer than all")};
    state_init(&s);
    assert_int_equal(state_add(&s, &sibling), 0);
    assert_int_equal(record_encode_blob(&s, PARTITION, slice_text(key), &record), 0);
    call_ok(r, (struct store_request){
                   .kind = STORE_MERGE, .key = slice_text(key), .record = slice_blob(record)});
    state_close(&s);
    blob_unref(record);
}

/* What a get answers is not what is here in part. So the tombstone that it answers, though that
 * stands above it, stays: a value that was deleted would be lent (seed 1795740005188). */
static void test_a_tombstone_stays_beside_what_is_here_in_part(void **state)
{
    (void)state;
    struct replica a, b;
    bool whole, value;
    pair_new(&a, &b);
    struct store_request old = {.kind = STORE_PUT,
                                .key = slice_text("k"),
                                .value = slice_text("v"),
                                .plain = true,
                                .stamp = 100};
    struct store_request gone = old;
    gone.tombstone = true;
    gone.value = slice_of(NULL, 0);
    gone.stamp = 200;
    call_ok(&a, old);
    call_ok(&b, gone);
    pull(&a, &b, 0, &whole);
    pull(&b, &a, 0, &whole);
    assert_int_equal(siblings_of(&a, "k", &value), 2);
    assert_false(value);
    piece_arrives(&a, "k");
    assert_int_equal(siblings_of(&a, "k", &value), 2);
    confirm(&a, &b);
    assert_int_equal(siblings_of(&a, "k", &value), 2);
    assert_false(value);
    pair_free(&a, &b);
}

/* F2: delete, reap, write anew, then the dead value arrives. */
static void test_a_dead_value_that_comes_late_brings_nothing(void **state)
{
    (void)state;
    struct replica a, b;
    bool whole, value;
    pair_new(&a, &b);
    put(&a, "k", "dead");
    struct blob *late = record_of(&a, "k");
    erase(&a, "k");
    pull(&b, &a, 0, &whole);
    confirm(&a, &b);
    confirm(&b, &a);
    assert_true(is_absent(&a, "k") && is_absent(&b, "k"));
    arrives(&b, "k", slice_blob(late));
    assert_true(is_absent(&b, "k"));
    put(&b, "k", "new");
    arrives(&b, "k", slice_blob(late));
    assert_int_equal(siblings_of(&b, "k", &value), 1);
    assert_true(value);
    pull(&a, &b, 0, &whole);
    arrives(&a, "k", slice_blob(late));
    assert_same(&a, &b);
    blob_unref(late);
    pair_free(&a, &b);
}

/* The other has the dots that the history names, but not all below them: one of this key may still
 * be on its way. */
static void test_a_gap_is_waited_for(void **state)
{
    (void)state;
    struct replica a, b;
    bool whole;
    pair_new(&a, &b);
    put(&a, "k", "v");
    struct blob *missed = record_of(&a, "k");
    put(&a, "other", "x");
    erase(&a, "k");
    struct blob *tombstone = record_of(&a, "k");
    arrives(&b, "k", slice_blob(tombstone));
    confirm(&a, &b);
    assert_false(is_absent(&a, "k"));
    confirm(&b, &a);
    assert_false(is_absent(&b, "k"));
    pull(&b, &a, 0, &whole);
    confirm(&a, &b);
    confirm(&b, &a);
    assert_true(is_absent(&a, "k") && is_absent(&b, "k"));
    arrives(&b, "k", slice_blob(missed));
    assert_true(is_absent(&b, "k"));
    blob_unref(missed);
    blob_unref(tombstone);
    pair_free(&a, &b);
}

/* F20: of two siblings the tombstone goes only when it is not what get answers. */
static void test_the_tombstone_that_is_answered_stays_beside_a_value(void **state)
{
    (void)state;
    struct replica a, b;
    bool whole, value;
    pair_new(&a, &b);
    call_ok(&a,
            (struct store_request){
                .kind = STORE_PUT, .key = slice_text("k"), .value = slice_text("v"), .stamp = 10});
    call_ok(&b, (struct store_request){
                    .kind = STORE_PUT, .key = slice_text("k"), .tombstone = true, .stamp = 20});
    pull(&a, &b, 0, &whole);
    pull(&b, &a, 0, &whole);
    confirm(&a, &b);
    confirm(&b, &a);
    assert_int_equal(siblings_of(&a, "k", &value), 2);
    assert_false(value);
    /* A later value that has seen neither: then the tombstone is not answered any more. */
    call_ok(&a,
            (struct store_request){
                .kind = STORE_PUT, .key = slice_text("k"), .value = slice_text("w"), .stamp = 30});
    pull(&b, &a, 0, &whole);
    confirm(&a, &b);
    assert_int_equal(siblings_of(&a, "k", &value), 2);
    assert_true(value);
    confirm(&b, &a);
    assert_same(&a, &b);
    pair_free(&a, &b);
}

/* The other has something that was written beside the tombstone: alone here, it must not go. */
static void test_what_was_written_beside_is_waited_for(void **state)
{
    (void)state;
    struct replica a, b;
    bool whole, value;
    pair_new(&a, &b);
    call_ok(&a,
            (struct store_request){
                .kind = STORE_PUT, .key = slice_text("k"), .value = slice_text("v"), .stamp = 10});
    call_ok(&b, (struct store_request){
                    .kind = STORE_PUT, .key = slice_text("k"), .tombstone = true, .stamp = 20});
    pull(&a, &b, 0, &whole);
    confirm(&b, &a);
    assert_int_equal(siblings_of(&b, "k", &value), 1);
    pull(&b, &a, 0, &whole);
    confirm(&b, &a);
    confirm(&a, &b);
    assert_int_equal(siblings_of(&b, "k", &value), 2);
    assert_false(value);
    assert_same(&a, &b);
    pair_free(&a, &b);
}

/* What a session demands to see, and was reaped, is not asked of states any more. */
static void test_what_went_is_not_demanded(void **state)
{
    (void)state;
    struct replica a, b;
    bool whole;
    pair_new(&a, &b);
    put(&a, "k", "v");
    struct store_result deleted =
        call(&a, (struct store_request){
                     .kind = STORE_PUT, .key = slice_text("k"), .plain = true, .tombstone = true});
    struct store_request read = {
        .kind = STORE_LOAD, .key = slice_text("k"), .context = slice_blob(deleted.context)};
    pull(&b, &a, 0, &whole);
    confirm(&a, &b);
    struct store_result result = call(&a, read);
    assert_int_equal(result.result, 0);
    assert_null(result.record);
    assert_null(result.context);
    store_result_release(&result);
    /* Who has never heard of it cannot say so. */
    struct replica c;
    replica_new(&c, 3);
    result = call(&c, read);
    assert_non_null(result.context);
    store_result_release(&result);
    store_result_release(&deleted);
    replica_free(&c);
    pair_free(&a, &b);
}

/* RULES 8b: what a closed life minted and did not bring is not brought any more, its gaps block
 * nothing, and a node's present life is not closed by anybody. */
static void test_a_life_that_is_closed_brings_nothing_more(void **state)
{
    (void)state;
    struct replica a, b;
    struct buf bytes;
    struct clock lives;
    bool whole;
    pair_new(&a, &b);
    const struct engine_identity *id = engine_identity(a.e);
    struct actor life = {id->node_id, id->incarnation};
    put(&a, "lost", "v");
    struct blob *late = record_of(&a, "lost");
    put(&a, "k", "v");
    erase(&a, "k");
    struct blob *tombstone = record_of(&a, "k");
    arrives(&b, "k", slice_blob(tombstone));
    call_ok(&b, (struct store_request){.kind = STORE_CONFIRM});
    assert_false(is_absent(&b, "k")); /* a gap */
    clock_init(&lives);
    buf_init(&bytes, 1000);
    assert_int_equal(clock_set_closed(&lives, life.node, life.incarnation), 0);
    clock_encode(&lives, &bytes);
    struct store_request close = {.kind = STORE_CLOCK, .clock = buf_slice(&bytes)};
    struct store_result refused = call(&a, close);
    assert_int_equal(refused.result, GT_ECORRUPT);
    call_ok(&b, close);
    replica_restart(&b);
    call_ok(&b, (struct store_request){.kind = STORE_CONFIRM});
    assert_true(is_absent(&b, "k"));
    struct store_result came = arrive(&b, "lost", slice_blob(late));
    assert_int_equal(came.result, GT_EINCARNATION);
    store_result_release(&came);
    assert_true(is_absent(&b, "lost"));
    /* Who kept it for b may forget it: nobody else did, so it is dead or was promised to nobody. */
    struct dot dot = {life, 1};
    uint8_t dots[DOT_BYTES];
    dots_put(dots, dot);
    call_ok(&b, (struct store_request){.kind = STORE_MERGE,
                                       .kept = true,
                                       .key = slice_text("lost"),
                                       .record = slice_blob(late),
                                       .dots = slice_of(dots, sizeof(dots))});
    assert_true(is_absent(&b, "lost"));
    /* In its next life the node learns that, and goes on. */
    replica_restart(&a);
    call_ok(&a, close);
    put(&a, "k", "new");
    assert_int_equal(pull(&b, &a, 0, &whole), 1);
    assert_false(is_absent(&b, "k"));
    blob_unref(late);
    blob_unref(tombstone);
    buf_close(&bytes);
    clock_close(&lives);
    pair_free(&a, &b);
}

static int line_take(void *arg, struct slice line)
{
    struct buf *lines = arg;
    buf_put(lines, line.data, line.bytes);
    return lines->failed ? GT_ENOMEM : 0;
}

/* What others have not confirmed, values and deletes, is told line by line; the rest is not. */
static void test_what_is_not_confirmed_is_told_for_the_quarantine(void **state)
{
    (void)state;
    struct replica a, b;
    struct buf lines;
    bool whole;
    char wanted[400];
    pair_new(&a, &b);
    buf_init(&lines, 10000);
    put(&a, "known", "v");
    pull(&b, &a, 0, &whole);
    confirm(&a, &b);
    put(&a, "k", "alone");
    erase(&a, "gone");
    assert_int_equal(engine_quarantine(a.e, line_take, &lines), 0);
    const struct engine_identity *id = engine_identity(a.e);
    unsigned long long node = id->node_id, life = id->incarnation;
    snprintf(wanted, sizeof(wanted),
             "{\"key64\": \"aw==\", \"value64\": \"YWxvbmU=\", \"dot\": \"%016llx.%016llx.2\", "
             "\"stamp\": 0}\n"
             "{\"key64\": \"Z29uZQ==\", \"siblings\": [{\"deleted\": true}], "
             "\"dot\": \"%016llx.%016llx.3\", \"stamp\": 0}\n",
             node, life, node, life);
    assert_int_equal(lines.bytes, strlen(wanted));
    assert_memory_equal(lines.data, wanted, lines.bytes);
    buf_clear(&lines);
    pull(&b, &a, 0, &whole);
    confirm(&a, &b);
    assert_int_equal(engine_quarantine(a.e, line_take, &lines), 0);
    assert_int_equal(lines.bytes, 0);
    buf_close(&lines);
    pair_free(&a, &b);
}

static int line_refuse(void *arg, struct slice line)
{
    (void)line;
    ++*(int *)arg;
    return GT_EIO;
}

/* What cannot be read is left out, since nobody can say what it was; who takes the lines may end
 * it. */
static void test_the_quarantine_goes_past_a_bad_record_and_ends_when_told(void **state)
{
    (void)state;
    struct replica a, b;
    struct buf lines;
    uint8_t at[INDEX_KEY_BYTES_MAX];
    int told = 0;
    pair_new(&a, &b);
    buf_init(&lines, 10000);
    put(&a, "bad", "v");
    put(&a, "good", "v");
    replica_restart(&a);
    lanes_run(a.e, LANES_ALL);
    struct slice bad = slice_text("bad");
    assert_true(memindex_flip_key(a.index, index_data_key(at, PARTITION, hash_bytes(bad), bad), 3));
    assert_int_equal(engine_quarantine(a.e, line_take, &lines), 0);
    buf_u8(&lines, 0);
    assert_null(strstr((const char *)lines.data, "YmFk"));
    assert_non_null(strstr((const char *)lines.data, "Z29vZA=="));
    assert_int_equal(engine_quarantine(a.e, line_refuse, &told), GT_EIO);
    assert_int_equal(told, 1);
    buf_close(&lines);
    pair_free(&a, &b);
}

/* A record of one tombstone, whose history says of a life of another node that it is over. */
static struct blob *tombstone_after_a_life(struct dot d, struct actor life)
{
    struct state s;
    struct blob *record;
    struct sibling sibling = {.dot = d, .flags = SIBLING_TOMBSTONE, .stamp = 5};
    state_init(&s);
    assert_int_equal(history_close_lives(&s.history, life.node, life.incarnation), 0);
    assert_int_equal(state_add(&s, &sibling), 0);
    assert_int_equal(record_encode_blob(&s, PARTITION, slice_text("k"), &record), 0);
    state_close(&s);
    return record;
}

static uint32_t reaped_by(struct replica *r, const struct clock *other)
{
    struct buf bytes, list;
    buf_init(&bytes, 4096);
    buf_init(&list, 4096);
    clock_encode(other, &bytes);
    buf_bytes(&list, buf_slice(&bytes));
    struct store_result result =
        call(r, (struct store_request){.kind = STORE_CONFIRM, .clock = buf_slice(&list)});
    assert_int_equal(result.result, 0);
    uint32_t reaped = result.reaped;
    store_result_release(&result);
    buf_close(&bytes);
    buf_close(&list);
    return reaped;
}

static void clock_take(struct replica *r, const struct clock *c)
{
    struct buf bytes;
    buf_init(&bytes, 4096);
    clock_encode(c, &bytes);
    call_ok(r, (struct store_request){.kind = STORE_CLOCK, .clock = buf_slice(&bytes)});
    buf_close(&bytes);
}

/* RULES 19: while one owner has not closed a life that the history speaks of, something of it may
 * still come from there, and only the tombstone keeps it away. */
static void test_a_tombstone_stays_until_every_owner_has_closed_its_lives(void **state)
{
    (void)state;
    struct replica a;
    struct clock has, closed;
    struct actor life = {77, 5};
    struct dot d = {{900, 30}, 1};
    uint8_t dots[DOT_BYTES];
    replica_new(&a, 1);
    clock_init(&has);
    clock_init(&closed);
    assert_int_equal(clock_add(&has, d), 0);
    assert_int_equal(clock_copy(&closed, &has), 0);
    assert_int_equal(clock_set_closed(&closed, life.node, life.incarnation), 0);
    dots_put(dots, d);
    struct blob *record = tombstone_after_a_life(d, life);
    call_ok(&a, (struct store_request){.kind = STORE_MERGE,
                                       .key = slice_text("k"),
                                       .record = slice_blob(record),
                                       .dots = slice_of(dots, sizeof(dots))});
    assert_int_equal(reaped_by(&a, &has), 0); /* not closed here */
    clock_take(&a, &closed);
    assert_int_equal(reaped_by(&a, &has), 0); /* not closed there */
    assert_false(is_absent(&a, "k"));
    assert_int_equal(reaped_by(&a, &closed), 1);
    assert_true(is_absent(&a, "k"));
    blob_unref(record);
    clock_close(&has);
    clock_close(&closed);
    replica_free(&a);
}

/* A node that was away for too long comes back with a write that nobody heard of, and that its life
 * is closed elsewhere: it goes. What it had superseded here, and stands there, was acknowledged
 * (seed 1795740016142). With a write beside it that is still to be heard of all is as it was. */
static void test_what_nobody_heard_of_has_superseded_nothing(void **state)
{
    (void)state;
    for (int beside = 0; beside < 2; beside++) {
        struct replica a;
        struct clock closed;
        struct buf bytes;
        replica_new(&a, 1);
        clock_init(&closed);
        buf_init(&bytes, 4096);
        put(&a, "k", "acknowledged");
        struct blob *there = record_of(&a, "k");
        put(&a, "k", "heard of by nobody");
        if (beside)
            piece_arrives(&a, "k");
        replica_restart(&a);
        const struct engine_identity *now = engine_identity(a.e);
        assert_int_equal(clock_set_closed(&closed, now->node_id, now->previous_incarnation), 0);
        clock_encode(&closed, &bytes);
        call_ok(&a, (struct store_request){.kind = STORE_MERGE,
                                           .key = slice_text("k"),
                                           .record = slice_blob(there),
                                           .pulled = true,
                                           .clock = buf_slice(&bytes)});
        struct state s;
        state_init(&s);
        struct blob *here = record_of(&a, "k");
        if (here)
            assert_int_equal(record_decode(slice_blob(here), PARTITION, slice_text("k"), &s), 0);
        assert_int_equal(s.sibling_count, beside ? 0 : 1);
        if (!beside)
            assert_true(slice_equal(s.siblings[0].value, slice_text("acknowledged")));
        state_close(&s);
        blob_unref(here);
        blob_unref(there);
        buf_close(&bytes);
        clock_close(&closed);
        replica_free(&a);
    }
}

/* RULES 8b: a key that is written in many lives of its nodes keeps one number of each node, once
 * they are closed where the next put is made; who gets that put has it too. */
static void test_a_history_does_not_grow_with_the_starts_of_a_node(void **state)
{
    (void)state;
    struct replica a, b;
    struct clock lives;
    bool whole;
    pair_new(&a, &b);
    clock_init(&lives);
    for (uint32_t start = 0; start < 20; start++) {
        struct buf bytes;
        const struct engine_identity *id = engine_identity(a.e);
        struct actor over = {id->node_id, id->incarnation};
        put(&a, "k", "v");
        erase(&a, "k");
        pull(&b, &a, 0, &whole);
        replica_restart(&a);
        buf_init(&bytes, 1000);
        assert_int_equal(clock_set_closed(&lives, over.node, over.incarnation), 0);
        clock_encode(&lives, &bytes);
        struct store_request close = {.kind = STORE_CLOCK, .clock = buf_slice(&bytes)};
        call_ok(&a, close);
        call_ok(&b, close);
        buf_close(&bytes);
    }
    put(&a, "k", "last");
    pull(&b, &a, 0, &whole);
    assert_same(&a, &b);
    struct blob *record = record_of(&b, "k");
    struct state s;
    state_init(&s);
    assert_int_equal(record_decode(slice_blob(record), PARTITION, slice_text("k"), &s), 0);
    assert_int_equal(s.history.vector_count, 1);
    assert_int_equal(s.history.exact_count, 0);
    assert_int_equal(s.history.closed_count, 1);
    /* No history may say of the present life of a node that it is over: the node refuses it. */
    const struct engine_identity *id = engine_identity(a.e);
    struct blob *wrong;
    assert_int_equal(history_close_lives(&s.history, id->node_id, id->incarnation), 0);
    s.sibling_count = 0;
    assert_int_equal(record_encode_blob(&s, PARTITION, slice_text("k"), &wrong), 0);
    struct store_result refused = arrive(&a, "k", slice_blob(wrong));
    assert_int_equal(refused.result, GT_ECORRUPT);
    store_result_release(&refused);
    state_close(&s);
    blob_unref(wrong);
    blob_unref(record);
    clock_close(&lives);
    pair_free(&a, &b);
}

/* Puts and deletes on both sides, exchanges that break anywhere, crashes, copies of old states: in
 * the end both are the same, no tombstone waits, and each key is what its last writer left. */
static void test_random_deletes_go_and_stay_away(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct replica r[2];
        struct prng dice;
        struct blob *old[64] = {0};
        char old_key[64][16], key[16], value[24];
        bool whole;
        prng_init(&dice, seed);
        replica_new(&r[0], seed);
        replica_new(&r[1], seed + 1000);
        for (int i = 0; i < 400; i++) {
            uint32_t who = (uint32_t)prng_below(&dice, 2), at = (uint32_t)prng_below(&dice, 64);
            uint32_t states = 0;
            struct blob *cursor = NULL;
            snprintf(key, sizeof(key), "key%d", (int)prng_below(&dice, 6));
            switch (prng_below(&dice, 12)) {
            case 0:
                pull_step(&r[who], &r[!who], 200, &whole, &states, &cursor);
                blob_unref(cursor);
                break;
            case 1:
            case 2:
                pull(&r[who], &r[!who], (uint32_t)prng_below(&dice, 500) + 1, &whole);
                break;
            case 3:
            case 4:
                confirm(&r[who], &r[!who]);
                break;
            case 5:
                replica_restart(&r[who]);
                break;
            case 6:
            case 7:
                erase(&r[who], key);
                break;
            case 8:
                if (old[at])
                    arrives(&r[who], old_key[at], slice_blob(old[at]));
                break;
            default:
                snprintf(value, sizeof(value), "value%d", i);
                put(&r[who], key, value);
                blob_unref(old[at]);
                old[at] = record_of(&r[who], key);
                memcpy(old_key[at], key, sizeof(key));
            }
        }
        pull(&r[0], &r[1], 300, &whole);
        for (int i = 0; i < 6; i++) {
            snprintf(key, sizeof(key), "key%d", i);
            put(&r[0], key, "last");
            if (i < 3)
                erase(&r[0], key);
        }
        pull(&r[1], &r[0], 300, &whole);
        confirm(&r[0], &r[1]);
        confirm(&r[1], &r[0]);
        for (int i = 0; i < 64; i++) {
            for (int who = 0; who < 2 && old[i]; who++)
                arrives(&r[who], old_key[i], slice_blob(old[i]));
            blob_unref(old[i]);
        }
        for (int who = 0; who < 2; who++) {
            struct engine_partition p;
            engine_partition(r[who].e, PARTITION, &p);
            assert_int_equal(p.records, 3);
            assert_int_equal(p.live, 3);
            assert_int_equal(p.tombstones, 0);
        }
        replica_free(&r[0]);
        replica_free(&r[1]);
    }
}

/* The clock with which a replica asks may be older than the one that it told meanwhile, by which
 * the log has forgotten one of a key's siblings: the key is sent for the others. */
static void test_a_key_is_sent_although_its_lowest_sibling_was_forgotten(void **state)
{
    (void)state;
    struct replica a, b;
    bool whole = false;
    replica_new(&a, 1);
    replica_new(&b, 2);
    struct store_request write = {.kind = STORE_PUT, .key = slice_text("k")};
    write.value = slice_text("one");
    call_ok(&a, write);
    struct blob *before = clock_of(&b);
    pull(&b, &a, 0, &whole);
    confirm(&a, &b); /* it has the first one */
    assert_int_equal(log_of(&a), 0);
    write.value = slice_text("two"); /* seen nothing: it stands beside */
    call_ok(&a, write);
    struct blob *told = clock_of(&b);
    struct store_request pull = {
        .kind = STORE_PULL, .clock = slice_blob(before), .told = slice_blob(told)};
    struct store_result reply = call(&a, pull);
    assert_int_equal(reply.result, 0);
    assert_false(reply.whole);
    assert_int_equal(reply.entry_count, 1);
    store_result_release(&reply);
    blob_unref(told);
    blob_unref(before);
    replica_free(&a);
    replica_free(&b);
}

/* A replica whose disk is put back to before what it has confirmed. The log has forgotten that, and
 * the clock with which it would answer covers it: it must not be told that it lacks nothing. */
static void test_who_lost_what_it_confirmed_is_sent_every_key(void **state)
{
    (void)state;
    for (int restart = 0; restart < 2; restart++) {
        struct replica a, b, old;
        bool whole = false;
        replica_new(&a, 1);
        replica_new(&b, 2);
        replica_new(&old, 2);
        struct store_request write = {.kind = STORE_PUT, .key = slice_text("k")};
        write.value = slice_text("one");
        call_ok(&a, write);
        pull(&b, &a, 0, &whole);
        confirm(&a, &b);
        assert_int_equal(log_of(&a), 0);
        char large[2000] = {0}, key[24];
        memset(large, 'x', sizeof(large) - 1);
        /* Until what was forgotten is so in the index as well. */
        for (int i = 0; restart && i < 20; i++) {
            snprintf(key, sizeof(key), "large%d", i);
            put(&a, key, large);
        }
        if (restart)
            replica_restart(&a);
        struct blob *clock = clock_of(&old);
        struct store_result reply =
            call(&a, (struct store_request){.kind = STORE_PULL, .clock = slice_blob(clock)});
        assert_true(reply.whole);
        store_result_release(&reply);
        blob_unref(clock);
        pull(&old, &a, 0, &whole);
        struct engine_partition p;
        engine_partition(old.e, PARTITION, &p);
        assert_int_equal(p.records, 1 + 20 * restart);
        replica_free(&a);
        replica_free(&b);
        replica_free(&old);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_lost_what_it_confirmed_is_sent_every_key),
        cmocka_unit_test(test_a_key_is_sent_although_its_lowest_sibling_was_forgotten),
        cmocka_unit_test(test_a_tombstone_goes_when_the_other_has_it),
        cmocka_unit_test(test_a_cold_index_is_looked_at_once_in_a_while),
        cmocka_unit_test(test_what_was_reaped_stays_so_through_crash_and_checkpoint),
        cmocka_unit_test(test_a_tombstone_stays_beside_what_is_here_in_part),
        cmocka_unit_test(test_nobody_reads_that_it_went_before_that_is_durable),
        cmocka_unit_test(test_a_dead_value_that_comes_late_brings_nothing),
        cmocka_unit_test(test_a_gap_is_waited_for),
        cmocka_unit_test(test_the_tombstone_that_is_answered_stays_beside_a_value),
        cmocka_unit_test(test_what_was_written_beside_is_waited_for),
        cmocka_unit_test(test_what_went_is_not_demanded),
        cmocka_unit_test(test_a_life_that_is_closed_brings_nothing_more),
        cmocka_unit_test(test_what_nobody_heard_of_has_superseded_nothing),
        cmocka_unit_test(test_a_history_does_not_grow_with_the_starts_of_a_node),
        cmocka_unit_test(test_what_is_not_confirmed_is_told_for_the_quarantine),
        cmocka_unit_test(test_the_quarantine_goes_past_a_bad_record_and_ends_when_told),
        cmocka_unit_test(test_a_tombstone_stays_until_every_owner_has_closed_its_lives),
        cmocka_unit_test(test_random_deletes_go_and_stay_away),
        cmocka_unit_test(test_what_was_missed_crosses_and_nothing_else),
        cmocka_unit_test(test_a_long_list_comes_in_pieces_and_a_break_keeps_what_came),
        cmocka_unit_test(test_the_log_is_of_live_siblings_and_survives),
        cmocka_unit_test(test_both_sides_have_news_and_siblings_meet),
        cmocka_unit_test(test_below_the_floor_every_key_is_sent),
        cmocka_unit_test(test_a_bad_record_gives_no_clock),
        cmocka_unit_test(test_what_is_read_again_is_what_is_counted),
        cmocka_unit_test(test_a_record_that_rots_is_found_by_reading_it_again),
        cmocka_unit_test(test_clocks_that_lie_are_refused),
        cmocka_unit_test(test_random_exchanges_converge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
