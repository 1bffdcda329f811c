/*
 * A partition that lost data, or may have, engine against engine: what it tells of itself, what is
 * pulled into it, and that it is whole in the end.
 */
#include "engine/engine.h"

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

struct replica {
    struct disk *disk;
    struct index *index;
    struct engine *e;
    struct engine_config config;
    struct engine_report report;
    uint8_t boots;
};

static void replica_open(struct replica *r)
{
    r->config.disk = r->disk;
    r->config.index = r->index;
    r->config.role = "node";
    r->config.seed++;
    r->config.wall_us = 1700000000000000;
    r->config.segment_bytes = 64u << 10;
    r->config.overlay_bytes_max = 16u << 10;
    r->config.boot_id[0] = (uint8_t)(r->boots + 1);
    assert_int_equal(engine_open(&r->config, &r->e, &r->report), 0);
}

static void replica_new(struct replica *r, uint64_t seed)
{
    *r = (struct replica){
        .disk = memdisk_new(), .index = memindex_new(), .config.seed = seed * 1000};
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

/* The folder is closed and opened until everything is at rest in the index. */
static void replica_rest(struct replica *r)
{
    for (int i = 0; i < 2; i++) {
        engine_close(r->e, true);
        replica_open(r);
        lanes_run(r->e, LANES_ALL);
    }
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

static int call_code(struct replica *r, struct store_request request)
{
    struct store_result result = call(r, request);
    store_result_release(&result);
    return result.result;
}

static void call_ok(struct replica *r, struct store_request request)
{
    assert_int_equal(call_code(r, request), 0);
}

static void put(struct replica *r, const char *key, const char *value)
{
    call_ok(r, (struct store_request){.kind = STORE_PUT,
                                      .key = slice_text(key),
                                      .value = slice_text(value),
                                      .plain = true});
}

/* The winner's value, "" when there is none, "?" when the record is bad. */
static void assert_value(struct replica *r, const char *key, const char *value)
{
    struct store_result got =
        call(r, (struct store_request){.kind = STORE_LOAD, .key = slice_text(key)});
    struct state s;
    state_init(&s);
    if (got.result == GT_EUNKNOWN) {
        assert_string_equal(value, "?");
    } else {
        assert_int_equal(record_decode(slice_blob(got.record), PARTITION, slice_text(key), &s), 0);
        const struct sibling *winner = state_winner(&s);
        assert_true(slice_equal(winner ? winner->value : slice_of(NULL, 0), slice_text(value)));
    }
    state_close(&s);
    store_result_release(&got);
}

static struct engine_partition partition(const struct replica *r)
{
    struct engine_partition p;
    engine_partition(r->e, PARTITION, &p);
    return p;
}

static void assert_same(const struct replica *a, const struct replica *b)
{
    struct engine_partition x = partition(a), y = partition(b);
    assert_true(clock_equal(x.clock, y.clock));
    assert_int_equal(x.records, y.records);
    assert_int_equal(x.live, y.live);
    assert_int_equal(x.bytes, y.bytes);
    assert_int_equal(x.digest_sum, y.digest_sum);
}

/* Actors in the clock that it tells. */
static uint32_t told(struct replica *r)
{
    uint8_t number[2];
    le16_put(number, PARTITION);
    struct store_result result =
        call(r, (struct store_request){.kind = STORE_CLOCKS, .value = slice_of(number, 2)});
    struct reader entries = reader_of(slice_blob(result.entries));
    struct clock clock;
    clock_init(&clock);
    assert_int_equal(read_varint(&entries), PARTITION);
    struct reader bytes = reader_of(read_bytes(&entries));
    assert_int_equal(clock_decode(&bytes, &clock), 0);
    uint32_t count = clock.entry_count;
    clock_close(&clock);
    store_result_release(&result);
    return count;
}

/* Everything that the source has, as a node brings it. */
static void pull_whole(struct replica *to, struct replica *from)
{
    struct store_request ask = {.kind = STORE_PULL, .whole = true, .from_start = true};
    struct buf none;
    struct clock empty;
    buf_init(&none, 64);
    clock_init(&empty);
    clock_encode(&empty, &none);
    ask.clock = buf_slice(&none);
    struct store_result reply = call(from, ask);
    assert_int_equal(reply.result, 0);
    assert_true(reply.whole && !reply.more);
    struct slice clock = slice_blob(reply.clock);
    struct reader r = reader_of(slice_blob(reply.entries));
    while (reader_left(&r) > 0) {
        struct store_request merge = {.kind = STORE_MERGE, .pulled = true, .clock = clock};
        merge.key = read_bytes(&r);
        merge.record = read_bytes(&r);
        call_ok(to, merge);
    }
    struct store_request rest = {
        .kind = STORE_REST, .value = slice_blob(reply.entries), .clock = clock, .from_start = true};
    call_ok(to, rest);
    call_ok(to, (struct store_request){.kind = STORE_CLOCK, .clock = clock});
    store_result_release(&reply);
    buf_close(&none);
}

static void fill_end(struct replica *r)
{
    call_ok(r, (struct store_request){.kind = STORE_FILL});
}

/* The end of the log is not whole any more. */
static void newest_batch_flip(struct replica *r)
{
    char name[DISK_NAME_BYTES], newest[DISK_NAME_BYTES] = "";
    uint64_t offset = 0, lsn = 0;
    for (uint64_t number = 1; number < 10; number++) {
        size_t bytes = 0;
        const uint8_t *data = memdisk_bytes(r->disk, wal_segment_name(number, name), &bytes);
        for (uint64_t at = WAL_BLOCK; data && at < bytes; at += WAL_BLOCK)
            if (memcmp(data + at, "GTB1", 4) == 0 && le64_get(data + at + 16) > lsn) {
                lsn = le64_get(data + at + 16);
                offset = at;
                memcpy(newest, name, sizeof(newest));
            }
    }
    assert_true(lsn > 0);
    memdisk_flip(r->disk, newest, offset + WAL_BATCH_HEADER, 1);
}

/* ---- the folder ------------------------------------------------------------------------------ */

static void test_a_damaged_log_makes_every_partition_fill_until_it_is_filled(void **state)
{
    (void)state;
    struct replica a, b;
    replica_new(&a, 1);
    replica_new(&b, 2);
    for (int i = 0; i < 10; i++)
        put(&a, "k", "v");
    pull_whole(&b, &a);
    assert_false(engine_filling(a.e, PARTITION));
    assert_int_equal(told(&a), 1);
    engine_close(a.e, false);
    memdisk_flip(a.disk, "wal/0000000000000001.wal", 4 * WAL_BLOCK + 70, 1);
    replica_open(&a);
    for (int life = 0; life < 2; life++) {
        assert_true(engine_filling(a.e, PARTITION) && engine_filling(a.e, PARTITION + 1));
        assert_true(engine_identity(a.e)->lost && engine_identity(a.e)->open);
        assert_int_equal(told(&a), 0); /* it confirms nothing to anybody */
        assert_int_equal(partition(&a).clock->entry_count, 1);
        replica_rest(&a);
    }
    pull_whole(&a, &b);
    fill_end(&a);
    for (int life = 0; life < 3; life++) { /* now, from the log, from the index */
        assert_false(engine_filling(a.e, PARTITION));
        assert_true(engine_filling(a.e, PARTITION + 1)); /* each by itself */
        assert_true(told(&a) > 0);
        if (life == 0)
            replica_kill(&a);
        else
            replica_rest(&a);
    }
    assert_true(engine_identity(a.e)->open);
    assert_int_equal(engine_whole(a.e), 0);
    replica_kill(&a);
    assert_false(engine_identity(a.e)->open);
    replica_free(&a);
    replica_free(&b);
}

static void test_an_unproven_end_is_less_than_a_loss(void **state)
{
    (void)state;
    struct replica a;
    replica_new(&a, 3);
    put(&a, "k", "one");
    put(&a, "k", "two");
    engine_close(a.e, false);
    newest_batch_flip(&a);
    replica_open(&a); /* the same boot: it was never acknowledged */
    assert_false(engine_filling(a.e, PARTITION));
    put(&a, "k", "three"); /* with what was replayed it goes into the index */
    put(&a, "k", "four");
    engine_close(a.e, false);
    newest_batch_flip(&a);
    a.boots++;
    replica_open(&a);
    assert_true(engine_filling(a.e, PARTITION));
    assert_false(engine_identity(a.e)->lost);
    /* A peer knows of a life that the folder does not: so more may be lost. */
    struct engine_identity before = *engine_identity(a.e);
    fill_end(&a);
    assert_false(engine_filling(a.e, PARTITION));
    assert_int_equal(engine_renew_incarnation(a.e, before.incarnation - 1, 0), 0);
    assert_true(engine_identity(a.e)->incarnation == before.incarnation); /* which is above it */
    assert_true(engine_identity(a.e)->previous_incarnation == before.incarnation - 1);
    assert_true(engine_identity(a.e)->lost);
    assert_true(engine_filling(a.e, PARTITION));
    /* Another one that says so may mean that the others went on without it (RULES 8b). */
    fill_end(&a);
    assert_int_equal(engine_renew_incarnation(a.e, before.incarnation + 9, 0), 0);
    assert_true(engine_identity(a.e)->incarnation > before.incarnation + 9);
    assert_true(engine_filling(a.e, PARTITION));
    replica_free(&a);
}

static void test_a_folder_may_be_born_filling_once(void **state)
{
    (void)state;
    struct replica a = {.disk = memdisk_new(), .index = memindex_new()};
    a.config.born_filling = true;
    replica_open(&a);
    assert_true(engine_filling(a.e, PARTITION) && engine_identity(a.e)->lost);
    fill_end(&a);
    replica_kill(&a);
    assert_false(engine_filling(a.e, PARTITION));
    assert_true(engine_filling(a.e, 0));
    replica_free(&a);
    const uint8_t cluster[16] = {7};
    struct replica b;
    replica_new(&b, 5);
    assert_int_equal(engine_set_cluster(b.e, cluster), 0);
    b.config.born_filling = true;
    replica_kill(&b); /* it is not empty */
    assert_false(engine_filling(b.e, PARTITION));
    replica_free(&b);
}

/* What a start leaves behind that was refused before it was registered is as good as nothing. */
static void test_a_folder_of_no_cluster_may_be_born_filling(void **state)
{
    (void)state;
    struct replica a, b;
    replica_new(&a, 5);
    struct store_request meta = {
        .kind = STORE_META, .key = slice_text("port"), .value = slice_text("5001")};
    call_ok(&a, meta);
    a.config.born_filling = true;
    replica_kill(&a);
    assert_true(engine_filling(a.e, PARTITION) && engine_identity(a.e)->lost);
    replica_free(&a);
    replica_new(&b, 5);
    put(&b, "key", "value");
    b.config.born_filling = true;
    replica_kill(&b); /* with data, whatever it is of */
    assert_false(engine_filling(b.e, PARTITION));
    replica_free(&b);
}

static void test_the_owners_pulled_from_are_remembered(void **state)
{
    (void)state;
    struct replica a;
    uint8_t sources[16];
    le64_put(sources, 11);
    le64_put(sources + 8, 12);
    replica_new(&a, 6);
    assert_int_equal(engine_fill_sources(a.e, PARTITION).bytes, 0);
    struct store_request end = {.kind = STORE_FILL, .value = slice_of(sources, 15)};
    assert_int_equal(call_code(&a, end), GT_ELIMIT); /* no run */
    end.value.bytes = 16;
    call_ok(&a, end);
    for (int life = 0; life < 2; life++) {
        assert_true(slice_equal(engine_fill_sources(a.e, PARTITION), slice_of(sources, 16)));
        replica_rest(&a);
    }
    fill_end(&a);
    assert_int_equal(engine_fill_sources(a.e, PARTITION).bytes, 0);
    replica_free(&a);
}

/* ---- rot ------------------------------------------------------------------------------------- */

static void rot(struct replica *r, const char *key)
{
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct slice k = slice_text(key);
    assert_true(memindex_flip_key(r->index, index_data_key(at, PARTITION, hash_bytes(k), k), 5));
}

static void test_a_bad_record_is_mended_and_its_dots_are_not_believed(void **state)
{
    (void)state;
    struct replica a, b;
    replica_new(&a, 7);
    replica_new(&b, 8);
    put(&a, "bad", "one");
    put(&a, "good", "two");
    pull_whole(&b, &a);
    replica_rest(&a);
    rot(&a, "bad");
    assert_value(&a, "bad", "?");
    /* Of others nothing is taken for it as long as nobody said that it fills. */
    struct store_request begin = {.kind = STORE_FILL, .fill = FILL_ROT};
    uint64_t minted = clock_highest(partition(&a).clock, (struct actor){0, 0});
    put(&a, "good", "three");
    assert_int_equal(minted, 0);
    call_ok(&a, begin);
    assert_true(engine_filling(a.e, PARTITION));
    assert_int_equal(partition(&a).clock->entry_count, 0);
    assert_int_equal(told(&a), 0);
    replica_kill(&a);
    assert_true(engine_filling(a.e, PARTITION));
    pull_whole(&a, &b);
    assert_value(&a, "bad", "one");
    assert_value(&a, "good", "three"); /* which only we have: it is in the clock again */
    fill_end(&a);
    assert_false(engine_filling(a.e, PARTITION));
    pull_whole(&b, &a);
    assert_same(&a, &b);
    /* What the index holds in the end is what is counted. */
    replica_rest(&a);
    assert_same(&a, &b);
    assert_value(&a, "bad", "one");
    assert_int_equal(engine_metrics(a.e)->bad_records_count, 0);
    replica_free(&a);
    replica_free(&b);
}

/* A folder that lost data keeps its clock while it fills. A bad record in it is replaced only when
 * the clock was given up, or it would speak of what was in there and is not in what others have. */
/* Where the counts are made anew a bad record is not one of them. */
static void test_a_bad_record_is_not_counted_at_the_end_of_filling(void **state)
{
    (void)state;
    struct replica a;
    replica_new(&a, 1);
    put(&a, "bad", "x");
    put(&a, "good", "y");
    replica_rest(&a);
    rot(&a, "bad");
    call_ok(&a, (struct store_request){.kind = STORE_FILL, .fill = FILL_ROT});
    assert_int_equal(partition(&a).records, 2);
    call_ok(&a, (struct store_request){.kind = STORE_FILL});
    assert_int_equal(partition(&a).records, 1);
    assert_false(engine_filling(a.e, PARTITION));
    assert_value(&a, "good", "y");
    assert_value(&a, "bad", "?");
    replica_free(&a);
}

/* The clock was given up, so it cannot say that what lives no more is nowhere on its way: that of
 * the sender does, and nothing is kept of a key that all have seen go. */
static void test_what_was_reaped_meanwhile_goes_without_trace(void **state)
{
    (void)state;
    struct replica a;
    struct buf clock;
    struct engine_partition p;
    replica_new(&a, 1);
    buf_init(&clock, 4096);
    put(&a, "gone", "x");
    p = partition(&a);
    clock_encode(p.clock, &clock);
    call_ok(&a, (struct store_request){.kind = STORE_FILL, .fill = FILL_ROT});
    assert_int_equal(partition(&a).clock->entry_count, 0);
    call_ok(&a, (struct store_request){
                    .kind = STORE_REST, .from_start = true, .clock = buf_slice(&clock)});
    assert_int_equal(partition(&a).records, 0);
    assert_value(&a, "gone", "");
    for (int i = 0; i < 2; i++) {
        replica_kill(&a);
        lanes_run(a.e, LANES_ALL);
        assert_int_equal(partition(&a).records, 0);
        assert_value(&a, "gone", "");
    }
    buf_close(&clock);
    replica_free(&a);
}

static void test_a_bad_record_in_a_folder_that_fills_waits_for_the_clock(void **state)
{
    (void)state;
    struct replica a, b;
    replica_new(&a, 17);
    replica_new(&b, 18);
    put(&a, "bad", "one");
    pull_whole(&b, &a);
    put(&a, "bad", "two"); /* which nobody else has */
    replica_rest(&a);
    assert_int_equal(engine_renew_incarnation(a.e, engine_identity(a.e)->incarnation + 1, 0), 0);
    assert_true(engine_filling(a.e, PARTITION));
    rot(&a, "bad");
    struct store_request load = {
        .kind = STORE_LOAD, .partition = PARTITION, .key = slice_text("bad")};
    struct store_result theirs = call(&b, load);
    struct buf clock;
    buf_init(&clock, 1000);
    clock_encode(partition(&b).clock, &clock);
    struct store_request merge = {.kind = STORE_MERGE,
                                  .partition = PARTITION,
                                  .key = slice_text("bad"),
                                  .record = slice_blob(theirs.record),
                                  .clock = buf_slice(&clock),
                                  .pulled = true};
    assert_int_equal(call_code(&a, merge), GT_EUNKNOWN);
    assert_value(&a, "bad", "?");
    call_ok(&a, (struct store_request){.kind = STORE_FILL, .fill = FILL_ROT});
    assert_int_equal(partition(&a).clock->entry_count, 0);
    call_ok(&a, merge);
    assert_value(&a, "bad", "one");
    assert_int_equal(clock_highest(partition(&a).clock, partition(&b).clock->entries[0].actor), 1);
    buf_close(&clock);
    store_result_release(&theirs);
    replica_free(&a);
    replica_free(&b);
}

/* Its tombstone was reaped at the others, or nobody else ever had it: nothing can be brought for
 * it. */
static void test_a_bad_record_that_no_source_has_goes(void **state)
{
    (void)state;
    struct replica a, b;
    replica_new(&a, 17);
    replica_new(&b, 18);
    put(&a, "good", "two");
    pull_whole(&b, &a);
    put(&a, "bad", "one");
    replica_rest(&a);
    rot(&a, "bad");
    pull_whole(&a, &b); /* as long as it does not fill nothing is taken from it */
    assert_value(&a, "bad", "?");
    call_ok(&a, (struct store_request){.kind = STORE_FILL, .fill = FILL_ROT});
    pull_whole(&a, &b);
    assert_value(&a, "bad", "");
    fill_end(&a);
    replica_rest(&a);
    assert_value(&a, "bad", "");
    assert_same(&a, &b);
    replica_free(&a);
    replica_free(&b);
}

static void test_no_dot_is_minted_twice_when_the_clock_was_given_up(void **state)
{
    (void)state;
    struct replica a;
    replica_new(&a, 9);
    struct actor self = {engine_identity(a.e)->node_id, engine_identity(a.e)->incarnation};
    for (int i = 0; i < 5; i++)
        put(&a, "k", "v");
    assert_int_equal(clock_highest(partition(&a).clock, self), 5);
    call_ok(&a, (struct store_request){.kind = STORE_FILL, .fill = FILL_ROT});
    put(&a, "k", "w");
    assert_int_equal(clock_highest(partition(&a).clock, self), 6);
    assert_false(clock_covers(partition(&a).clock, (struct dot){self, 4}));
    fill_end(&a);
    put(&a, "k", "x");
    assert_int_equal(clock_highest(partition(&a).clock, self), 7);
    replica_free(&a);
}

/* ---- counts ---------------------------------------------------------------------------------- */

/* Walks on through the partition, so many bytes at a time; whether its counts are wrong. */
static bool walk_to_end(struct replica *r, uint32_t bytes_max)
{
    struct store_result result = {.more = true};
    while (result.more) {
        result = call(r, (struct store_request){.kind = STORE_SCRUB, .bytes_max = bytes_max});
        assert_int_equal(result.result, 0);
        assert_true(!result.miscounted || !result.more);
    }
    return result.miscounted;
}

static struct slice index_key_of(const char *key, uint8_t at[INDEX_KEY_BYTES_MAX])
{
    struct slice k = slice_text(key);
    return index_data_key(at, PARTITION, hash_bytes(k), k);
}

static struct blob *index_record(struct replica *r, const char *key)
{
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct blob *record = NULL;
    struct slice k = index_key_of(key, at);
    assert_int_equal(r->index->get(r->index, READ_LANE_LOOP, INDEX_DATA, k, &record), 0);
    return record;
}

/* Into the index, behind the back of the engine. Takes the record over. */
static void index_place(struct replica *r, const char *key, struct blob *record)
{
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct index_write *w;
    assert_int_equal(r->index->begin(r->index, &w), 0);
    assert_int_equal(r->index->put(w, INDEX_DATA, index_key_of(key, at), slice_blob(record)), 0);
    assert_int_equal(r->index->commit(w), 0);
    blob_unref(record);
}

static void index_lose(struct replica *r, const char *key)
{
    uint8_t at[INDEX_KEY_BYTES_MAX];
    assert_true(memindex_lose_key(r->index, index_key_of(key, at)));
}

static void keys_put(struct replica *r, int first, int last)
{
    for (int i = first; i <= last; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        put(r, key, "value");
    }
}

static void test_a_walk_finds_what_was_counted_otherwise(void **state)
{
    (void)state;
    struct replica a, b;
    replica_new(&a, 21);
    replica_new(&b, 22);
    assert_false(walk_to_end(&a, 100)); /* of nothing */
    keys_put(&a, 0, 30);
    assert_false(walk_to_end(&a, 100)); /* nothing is in the index yet */
    replica_rest(&a);
    for (uint32_t bytes = 1; bytes < 5000; bytes = bytes * 2 + 1)
        assert_false(walk_to_end(&a, bytes));
    /* One is missing, */
    struct blob *kept = index_record(&a, "k7");
    index_lose(&a, "k7");
    assert_true(walk_to_end(&a, 100));
    assert_true(walk_to_end(&a, 1u << 20));
    assert_int_equal(engine_metrics(a.e)->miscounts_count, 2);
    assert_false(engine_filling(a.e, PARTITION)); /* the node says so */
    index_place(&a, "k7", kept);
    assert_false(walk_to_end(&a, 100));
    /* or one too many, */
    put(&b, "foreign", "value");
    replica_rest(&b);
    index_place(&a, "foreign", index_record(&b, "foreign"));
    assert_true(walk_to_end(&a, 100));
    index_lose(&a, "foreign");
    assert_false(walk_to_end(&a, 100));
    /* or as many, but one of them of an earlier moment. */
    kept = index_record(&a, "k7");
    put(&a, "k7", "newer");
    replica_rest(&a);
    assert_false(walk_to_end(&a, 100));
    index_place(&a, "k7", kept);
    assert_true(walk_to_end(&a, 100));
    assert_int_equal(engine_metrics(a.e)->bad_records_count, 0); /* each of them reads well */
    replica_free(&a);
    replica_free(&b);
}

/* Where a key is written that was gone, the counts do not come right by that. */
static void test_what_was_missing_is_missed_when_it_is_written_again(void **state)
{
    (void)state;
    struct replica a;
    replica_new(&a, 23);
    keys_put(&a, 0, 10);
    replica_rest(&a);
    index_lose(&a, "k3");
    put(&a, "k3", "anew");
    assert_true(walk_to_end(&a, 100));
    replica_free(&a);
}

static void confirm_all(struct replica *r)
{
    struct buf own, list;
    buf_init(&own, 1u << 16);
    buf_init(&list, 1u << 16);
    clock_encode(partition(r).clock, &own);
    buf_bytes(&list, buf_slice(&own));
    call_code(r, (struct store_request){.kind = STORE_CONFIRM, .clock = buf_slice(&list)});
    buf_close(&own);
    buf_close(&list);
}

/* Puts, deletes, reaping and checkpoints between any two runs of a walk: no false alarm, and what
 * is gone is found all the same. */
static void test_writes_in_the_course_of_a_walk_count_on_both_sides(void **state)
{
    (void)state;
    uint64_t reaped = 0, runs = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct replica a;
        struct prng random;
        struct store_result result;
        prng_init(&random, seed);
        replica_new(&a, 100 + seed);
        keys_put(&a, 0, 30);
        put(&a, "at rest", "value");
        replica_rest(&a);
        for (int walk = 0; walk < 12; walk++) {
            bool gone = walk == 11;
            if (gone)
                index_lose(&a, "at rest");
            do {
                for (uint64_t left = prng_below(&random, 6); left > 0; left--) {
                    char key[16];
                    snprintf(key, sizeof(key), "k%d", (int)prng_below(&random, 60));
                    if (prng_below(&random, 3) > 0)
                        put(&a, key, prng_below(&random, 2) ? "short" : "a longer value of a key");
                    else
                        call_ok(&a, (struct store_request){.kind = STORE_PUT,
                                                           .key = slice_text(key),
                                                           .tombstone = true,
                                                           .plain = true});
                }
                if (prng_below(&random, 4) == 0)
                    confirm_all(&a);
                result = call(&a, (struct store_request){
                                      .kind = STORE_SCRUB,
                                      .bytes_max = 1 + (uint32_t)prng_below(&random, 600)});
                assert_int_equal(result.result, 0);
                runs++;
            } while (result.more);
            assert_int_equal(result.miscounted, gone);
        }
        reaped += engine_metrics(a.e)->reaped_count;
        assert_true(engine_metrics(a.e)->checkpoints_count > 0);
        replica_free(&a);
    }
    assert_true(reaped > 100 && runs > 3000);
}

static void test_a_walk_that_meets_a_bad_record_compares_nothing(void **state)
{
    (void)state;
    struct replica a;
    replica_new(&a, 24);
    keys_put(&a, 0, 10);
    replica_rest(&a);
    rot(&a, "k3");
    index_lose(&a, "k4");
    struct store_result result = {.more = true};
    int unknown = 0;
    while (result.more) {
        result = call(&a, (struct store_request){.kind = STORE_SCRUB, .bytes_max = 100});
        unknown += result.unknown;
        assert_false(result.miscounted);
    }
    assert_int_equal(unknown, 1);
    replica_free(&a);
}

static void test_a_filling_counts_anew_and_ends_a_walk(void **state)
{
    (void)state;
    struct replica a;
    replica_new(&a, 25);
    keys_put(&a, 0, 30);
    replica_rest(&a);
    struct store_request run = {.kind = STORE_SCRUB, .bytes_max = 300};
    assert_true(call(&a, run).more);
    index_lose(&a, "k7");
    call_ok(&a, (struct store_request){.kind = STORE_FILL, .fill = FILL_ROT});
    assert_false(walk_to_end(&a, 100)); /* it fills: what it counts is of no account */
    assert_true(call(&a, run).more);
    fill_end(&a);
    assert_false(walk_to_end(&a, 100));
    assert_int_equal(engine_metrics(a.e)->miscounts_count, 0);
    /* In the middle of one partition another one is asked for. */
    assert_true(call(&a, run).more);
    struct store_result result;
    struct store_request other = {.kind = STORE_SCRUB, .partition = PARTITION + 1};
    engine_submit(a.e, &other, 1);
    assert_true(engine_result(a.e, &result));
    assert_false(result.more || result.miscounted);
    assert_false(walk_to_end(&a, 100));
    other.partition = PARTITIONS_MAX;
    engine_submit(a.e, &other, 1);
    assert_true(engine_result(a.e, &result));
    assert_int_equal(result.result, GT_ELIMIT);
    replica_free(&a);
}

static void test_an_index_that_cannot_be_read_ends_a_walk(void **state)
{
    (void)state;
    struct replica a;
    replica_new(&a, 26);
    keys_put(&a, 0, 30);
    replica_rest(&a);
    struct store_request run = {.kind = STORE_SCRUB, .bytes_max = 300};
    assert_true(call(&a, run).more);
    memindex_fail(a.index, MEMINDEX_SCAN, 1, GT_EIO, false);
    assert_int_equal(call_code(&a, run), GT_EIO);
    assert_false(walk_to_end(&a, 300));
    replica_free(&a);
}

/* ---- these are all --------------------------------------------------------------------------- */

static void test_what_the_sender_has_seen_go_goes(void **state)
{
    (void)state;
    struct replica a, b;
    replica_new(&a, 10);
    replica_new(&b, 11);
    put(&a, "gone", "old");
    put(&a, "kept", "old");
    pull_whole(&b, &a);
    put(&b, "own", "unseen");
    struct buf clock, entries;
    buf_init(&clock, 4096);
    buf_init(&entries, 4096);
    clock_encode(partition(&a).clock, &clock);
    /* A sender that has seen all that a wrote, and holds "kept" alone. */
    buf_bytes(&entries, slice_text("kept"));
    buf_bytes(&entries, slice_of(NULL, 0));
    struct store_request rest = {.kind = STORE_REST,
                                 .value = buf_slice(&entries),
                                 .clock = buf_slice(&clock),
                                 .from_start = true};
    call_ok(&b, rest);
    assert_value(&b, "gone", "");
    assert_value(&b, "kept", "old");
    assert_value(&b, "own", "unseen"); /* the sender does not know it */
    replica_kill(&b);
    assert_value(&b, "gone", "");
    /* Out of order, or no entries at all. */
    buf_bytes(&entries, slice_text("kept"));
    buf_bytes(&entries, slice_of(NULL, 0));
    rest.value = buf_slice(&entries);
    assert_int_equal(call_code(&b, rest), GT_ECORRUPT);
    rest.value = slice_text("\xff");
    assert_int_equal(call_code(&b, rest), GT_ECORRUPT);
    assert_value(&b, "kept", "old");
    buf_close(&clock);
    buf_close(&entries);
    replica_free(&a);
    replica_free(&b);
}

static void test_a_run_that_goes_on_says_nothing_of_what_lies_behind_it(void **state)
{
    (void)state;
    struct replica a, b;
    replica_new(&a, 12);
    replica_new(&b, 13);
    const char *keys[] = {"a", "b", "c", "d", "e"};
    for (int i = 0; i < 5; i++)
        put(&a, keys[i], "v");
    pull_whole(&b, &a);
    /* The second of them in the order of the index is the one that was sent. */
    struct store_result all =
        call(&a, (struct store_request){.kind = STORE_SCAN, .from_start = true, .bytes_max = 4096});
    struct reader r = reader_of(slice_blob(all.entries));
    struct slice order[5];
    for (int i = 0; i < 5; i++) {
        order[i] = read_bytes(&r);
        read_bytes(&r);
    }
    struct buf clock, entries;
    buf_init(&clock, 4096);
    buf_init(&entries, 4096);
    clock_encode(partition(&a).clock, &clock);
    buf_bytes(&entries, order[2]);
    buf_bytes(&entries, slice_of(NULL, 0));
    struct store_request rest = {.kind = STORE_REST,
                                 .value = buf_slice(&entries),
                                 .clock = buf_slice(&clock),
                                 .from_key = order[0],
                                 .from_hash = hash_bytes(order[0]),
                                 .more = true};
    call_ok(&b, rest);
    static const char *const left[] = {"v", "", "v", "v", "v"};
    for (int i = 0; i < 5; i++) {
        char key[2] = {(char)order[i].data[0], 0};
        assert_value(&b, key, left[i]);
    }
    store_result_release(&all);
    buf_close(&clock);
    buf_close(&entries);
    replica_free(&a);
    replica_free(&b);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static void test_bytes_of_filling_are_read_or_refused(void **state)
{
    (void)state;
    struct buf bytes, payload;
    struct fill fill, read;
    struct fill_record record, back;
    buf_init(&bytes, 4096);
    buf_init(&payload, 4096);
    fill_init(&fill);
    fill_init(&read);
    fill.generation = 9;
    fill.reason = FILL_ROT;
    fill.sources = blob_copy("12345678", 8);
    assert_int_equal(clock_add(&fill.doubt, (struct dot){{3, 4}, 5}), 0);
    fill_encode(&fill, &bytes);
    assert_int_equal(fill_decode(buf_slice(&bytes), &read), 0);
    assert_true(read.generation == 9 && read.reason == FILL_ROT);
    assert_true(slice_equal(slice_blob(read.sources), slice_text("12345678")));
    assert_true(clock_equal(&read.doubt, &fill.doubt));
    /* The last two, a length and a number, are missing in what an earlier version wrote. */
    for (size_t cut = 1; cut < bytes.bytes; cut++)
        assert_int_equal(fill_decode(slice_of(bytes.data, cut), &read),
                         cut < bytes.bytes - 2 ? GT_ECORRUPT : 0);
    fill.cursor = blob_copy("how far", 7);
    fill.number = 300;
    buf_clear(&bytes);
    fill_encode(&fill, &bytes);
    assert_int_equal(fill_decode(buf_slice(&bytes), &read), 0);
    assert_true(slice_equal(slice_blob(read.cursor), slice_text("how far")) && read.number == 300);
    assert_int_equal(fill_decode(slice_of(NULL, 0), &read), 0);
    assert_true(read.generation == 0 && !read.sources);
    bytes.data[8] = FILL_ROT + 1;
    assert_int_equal(fill_decode(buf_slice(&bytes), &read), GT_ECORRUPT);
    record = (struct fill_record){.partition = 5,
                                  .fill = slice_text("fill"),
                                  .counted = true,
                                  .counts = {1, 2, 3, 4},
                                  .stamp = 6};
    fill_record_encode(&record, &payload);
    assert_int_equal(fill_record_decode(buf_slice(&payload), &back), 0);
    assert_true(back.partition == 5 && back.counted && !back.cleared && back.stamp == 6);
    assert_true(slice_equal(back.fill, record.fill) && counts_equal(&back.counts, &record.counts));
    for (size_t cut = 0; cut + 8 < payload.bytes; cut++)
        assert_int_equal(fill_record_decode(slice_of(payload.data, cut), &back), GT_ECORRUPT);
    fill_close(&fill);
    fill_close(&read);
    buf_close(&bytes);
    buf_close(&payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_damaged_log_makes_every_partition_fill_until_it_is_filled),
        cmocka_unit_test(test_an_unproven_end_is_less_than_a_loss),
        cmocka_unit_test(test_a_folder_may_be_born_filling_once),
        cmocka_unit_test(test_a_folder_of_no_cluster_may_be_born_filling),
        cmocka_unit_test(test_the_owners_pulled_from_are_remembered),
        cmocka_unit_test(test_a_bad_record_is_mended_and_its_dots_are_not_believed),
        cmocka_unit_test(test_a_bad_record_in_a_folder_that_fills_waits_for_the_clock),
        cmocka_unit_test(test_a_bad_record_that_no_source_has_goes),
        cmocka_unit_test(test_no_dot_is_minted_twice_when_the_clock_was_given_up),
        cmocka_unit_test(test_a_walk_finds_what_was_counted_otherwise),
        cmocka_unit_test(test_what_was_missing_is_missed_when_it_is_written_again),
        cmocka_unit_test(test_writes_in_the_course_of_a_walk_count_on_both_sides),
        cmocka_unit_test(test_a_walk_that_meets_a_bad_record_compares_nothing),
        cmocka_unit_test(test_a_filling_counts_anew_and_ends_a_walk),
        cmocka_unit_test(test_an_index_that_cannot_be_read_ends_a_walk),
        cmocka_unit_test(test_what_the_sender_has_seen_go_goes),
        cmocka_unit_test(test_a_bad_record_is_not_counted_at_the_end_of_filling),
        cmocka_unit_test(test_what_was_reaped_meanwhile_goes_without_trace),
        cmocka_unit_test(test_a_run_that_goes_on_says_nothing_of_what_lies_behind_it),
        cmocka_unit_test(test_bytes_of_filling_are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
