/*
 * What makes no sense is refused with the error that says why, by each kind of request, and has
 * changed nothing: neither what the engine shows nor its log.
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

static struct {
    struct disk *disk;
    struct index *index;
    struct engine *e;
} here;

static int open_here(void **unused)
{
    struct engine_report report;
    (void)unused;
    here.disk = memdisk_new();
    here.index = memindex_new();
    struct engine_config config = {.disk = here.disk,
                                   .index = here.index,
                                   .role = "node",
                                   .seed = 5,
                                   .wall_us = 1700000000000000,
                                   .segment_bytes = 256u << 10};
    return engine_open(&config, &here.e, &report);
}

static int close_here(void **unused)
{
    (void)unused;
    engine_close(here.e, false);
    here.disk->destroy(here.disk);
    here.index->destroy(here.index);
    return 0;
}

static struct store_result call(struct store_request r)
{
    struct store_result result;
    engine_submit(here.e, &r, 1);
    lanes_run(here.e, LANES_ALL);
    assert_true(engine_result(here.e, &result));
    assert_int_equal(result.kind, r.kind);
    return result;
}

static void done(struct store_request r)
{
    struct store_result result = call(r);
    assert_int_equal(result.result, 0);
    store_result_release(&result);
}

/* The answer, and that no record came of it. */
static void assert_answer(int error, struct store_request r)
{
    uint64_t lsn = here.e->next_lsn;
    struct engine_partition before, after;
    engine_partition(here.e, PARTITION, &before);
    struct store_result result = call(r);
    engine_partition(here.e, PARTITION, &after);
    if (result.result != error)
        fail_msg("%s instead of %s", error_text(result.result), error_text(error));
    store_result_release(&result);
    assert_true(here.e->next_lsn == lsn);
    assert_true(before.records == after.records && before.digest_sum == after.digest_sum);
}

static struct actor self(void)
{
    const struct engine_identity *id = engine_identity(here.e);
    return (struct actor){id->node_id, id->incarnation};
}

static const struct dot theirs = {{900, 30}, 4}, unknown = {{901, 30}, 1};
static char long_key[KEY_BYTES_MAX + 2];

static struct slice key_too_long(void)
{
    memset(long_key, 'k', sizeof(long_key));
    return slice_of(long_key, KEY_BYTES_MAX + 1);
}

static struct store_request put_of(const char *key)
{
    return (struct store_request){.kind = STORE_PUT,
                                  .partition = PARTITION,
                                  .key = slice_text(key),
                                  .value = slice_text("value"),
                                  .plain = true};
}

static struct slice run_of(const struct dot *dots, uint32_t count, uint8_t *at)
{
    for (uint32_t i = 0; i < count; i++)
        dots_put(at + (size_t)i * DOT_BYTES, dots[i]);
    return slice_of(at, (size_t)count * DOT_BYTES);
}

/* ---- states, clocks and rows of others ------------------------------------------------------- */

/* The record of a state with one sibling of `theirs`, and in its history what is given. */
static struct blob *record_of(const char *key, struct history *more)
{
    struct state s;
    struct blob *record;
    struct sibling sibling = {.dot = theirs, .stamp = 9, .value = slice_text("theirs")};
    state_init(&s);
    if (more)
        assert_int_equal(history_join(&s.history, more), 0);
    assert_int_equal(state_add(&s, &sibling), 0);
    assert_int_equal(record_encode_blob(&s, PARTITION, slice_text(key), &record), 0);
    state_close(&s);
    if (more)
        history_close(more);
    return record;
}

static struct store_request merge_of(const char *key, const struct blob *record)
{
    return (struct store_request){.kind = STORE_MERGE,
                                  .partition = PARTITION,
                                  .key = slice_text(key),
                                  .record = slice_blob(record)};
}

static struct slice row_of(const struct operation *o, uint8_t at[OPERATION_BYTES])
{
    operation_put(at, o);
    return slice_of(at, OPERATION_BYTES);
}

static struct blob *clock_bytes(struct clock *c)
{
    struct buf out;
    buf_init(&out, 4096);
    clock_encode(c, &out);
    struct blob *b = buf_blob(&out);
    buf_close(&out);
    clock_close(c);
    return b;
}

/* ---- of keys and bounds ---------------------------------------------------------------------- */

static void keys_and_partitions_have_bounds(void **unused)
{
    (void)unused;
    static const enum store_kind of_keys[] = {STORE_PUT, STORE_MERGE, STORE_LOAD, STORE_OPERATION,
                                              STORE_PARCEL};
    for (size_t i = 0; i < sizeof(of_keys) / sizeof(of_keys[0]); i++) {
        struct store_request r = {.kind = of_keys[i], .partition = PARTITION};
        assert_answer(GT_ELIMIT, r);
        r.key = key_too_long();
        assert_answer(GT_ELIMIT, r);
        r.key.bytes = KEY_BYTES_MAX;
        r.partition = PARTITIONS_MAX;
        assert_answer(GT_ELIMIT, r);
    }
    static const enum store_kind of_runs[] = {STORE_SCAN, STORE_VERIFY, STORE_REST};
    for (size_t i = 0; i < sizeof(of_runs) / sizeof(of_runs[0]); i++) {
        struct store_request r = {
            .kind = of_runs[i], .partition = PARTITION, .from_key = key_too_long()};
        assert_answer(GT_ELIMIT, r);
        r.from_key.bytes = 0;
        r.partition = PARTITIONS_MAX;
        assert_answer(GT_ELIMIT, r);
    }
    static const enum store_kind of_partitions[] = {STORE_SCRUB, STORE_PULL,   STORE_CLOCK,
                                                    STORE_FILL,  STORE_CURSOR, STORE_DROP};
    for (size_t i = 0; i < sizeof(of_partitions) / sizeof(of_partitions[0]); i++)
        assert_answer(GT_ELIMIT, (struct store_request){.kind = of_partitions[i],
                                                        .partition = PARTITIONS_MAX});
}

/* Reading ahead is a hint: what it cannot read it leaves. */
static void what_is_warmed_has_bounds(void **unused)
{
    (void)unused;
    done(put_of("key"));
    uint64_t gets = memindex_calls(here.index, MEMINDEX_GET);
    engine_warm(here.e, PARTITION, slice_of(NULL, 0));
    engine_warm(here.e, PARTITION, key_too_long());
    engine_warm(here.e, PARTITIONS_MAX, slice_text("key"));
    assert_int_equal(memindex_calls(here.index, MEMINDEX_GET), gets);
    engine_warm(here.e, PARTITION, slice_text("key"));
    assert_int_equal(memindex_calls(here.index, MEMINDEX_GET), gets + 1);
}

static void values_have_bounds(void **unused)
{
    (void)unused;
    static uint8_t bytes[VALUE_BYTES_LIMIT + 1];
    struct store_request r = put_of("key");
    r.value = slice_of(bytes, VALUE_BYTES_DEFAULT + 1);
    assert_answer(GT_ELIMIT, r);
    r = (struct store_request){.kind = STORE_META, .key = slice_text("map")};
    r.value = slice_of(bytes, sizeof(bytes));
    assert_answer(GT_ELIMIT, r);
    r = (struct store_request){.kind = STORE_CURSOR, .partition = PARTITION};
    r.value = slice_of(bytes, CURSOR_BYTES_MAX + 1);
    assert_answer(GT_ELIMIT, r);
}

static void names_of_values_are_of_their_kind(void **unused)
{
    (void)unused;
    struct store_request r = {.kind = STORE_META, .value = slice_text("value")};
    assert_answer(GT_EARG, r);
    r.key = slice_of(key_too_long().data, META_NAME_MAX + 1);
    assert_answer(GT_EARG, r);
    r.key = slice_of("a\0b", 3);
    assert_answer(GT_EARG, r);
    r.key = slice_text("identity");
    assert_answer(GT_EARG, r);
    r.key = slice_text("applied");
    assert_answer(GT_EARG, r);
    for (unsigned i = 0; i < METAS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "name%u", i);
        r.key = slice_text(name);
        done(r);
    }
    r.key = slice_text("one more");
    assert_answer(GT_ELIMIT, r);
    assert_null(engine_meta(here.e, "one more"));
    r.key = slice_text("name3");
    r.value = slice_text("another");
    done(r);
    assert_true(slice_equal(slice_blob(engine_meta(here.e, "name3")), slice_text("another")));
    char text[7];
    engine_meta_text(here.e, "name3", text, sizeof(text));
    assert_string_equal(text, ""); /* does not fit */
}

/* ---- of dots and histories ------------------------------------------------------------------- */

static void a_put_that_saw_what_never_was_is_refused(void **unused)
{
    (void)unused;
    uint8_t at[DOT_BYTES];
    struct store_request r = put_of("key");
    r.context = slice_text("no context");
    assert_answer(GT_ECONTEXT, r);
    r.context = slice_of(NULL, 0);
    r.op[0] = 1;
    r.known_only = true;
    assert_answer(GT_EINDOUBT, r);
    r.known_only = false;
    r.again = true;
    assert_answer(GT_EINDOUBT, r);
    r.again = false;
    done(r);
    r.again = true; /* above a dot of ours that was never minted, or that is none */
    r.outranking = run_of(&(struct dot){self(), 99}, 1, at);
    assert_answer(GT_ECONTEXT, r);
    r.outranking = run_of(&(struct dot){self(), 0}, 1, at);
    assert_answer(GT_ECONTEXT, r);
    r.outranking = run_of(&theirs, 1, at);
    r.above = UINT64_MAX; /* there is none above it, so it stands beside it */
    struct store_result result = call(r);
    assert_int_equal(result.result, 0);
    assert_true(result.stamp == UINT64_MAX);
    store_result_release(&result);
}

/* Contexts as clients hold them, of histories that this node could not have given out. */
static void a_context_of_what_was_never_minted_is_refused(void **unused)
{
    (void)unused;
    for (int way = 0; way < 3; way++) {
        struct history h;
        struct buf context;
        history_init(&h);
        buf_init(&context, 4096);
        struct actor life = self();
        int error = way == 0   ? history_raise(&h, life, 5)
                    : way == 1 ? history_add(&h, (struct dot){life, 5})
                               : history_close_lives(&h, life.node, life.incarnation);
        assert_int_equal(error, 0);
        assert_int_equal(context_encode(&h, hash_bytes(slice_text("key")), &context), 0);
        struct store_request r = put_of("key");
        r.context = buf_slice(&context);
        assert_answer(GT_ECONTEXT, r);
        history_close(&h);
        buf_close(&context);
    }
}

static void a_merge_of_what_never_was_is_refused(void **unused)
{
    (void)unused;
    struct store_request r = merge_of("key", NULL);
    r.record = slice_text("no record");
    assert_answer(GT_ECORRUPT, r);
    for (int way = 0; way < 3; way++) {
        struct history h;
        history_init(&h);
        struct actor life = self();
        int error = way == 0   ? history_raise(&h, life, 5)
                    : way == 1 ? history_add(&h, (struct dot){life, 5})
                               : history_close_lives(&h, life.node, life.incarnation);
        assert_int_equal(error, 0);
        struct blob *record = record_of("key", &h);
        assert_answer(GT_ECORRUPT, merge_of("key", record));
        blob_unref(record);
    }
}

static void a_merge_of_dots_that_are_of_no_key_is_refused(void **unused)
{
    (void)unused;
    uint8_t at[3 * DOT_BYTES];
    struct blob *record = record_of("key", NULL);
    struct store_request r = merge_of("key", record);
    r.dots = slice_of(at, DOT_BYTES - 1);
    assert_answer(GT_ECORRUPT, r);
    r.dots = run_of(&(struct dot){theirs.actor, 0}, 1, at);
    assert_answer(GT_ECORRUPT, r);
    r.dots = run_of(&unknown, 1, at);
    assert_answer(GT_ECORRUPT, r);
    struct dot twice[] = {theirs, theirs}; /* is once in the clock */
    r.dots = run_of(twice, 2, at);
    done(r);
    struct engine_partition p;
    engine_partition(here.e, PARTITION, &p);
    assert_true(clock_covers(p.clock, theirs));
    blob_unref(record);
}

static void rows_of_operations_that_never_were_are_refused(void **unused)
{
    (void)unused;
    uint8_t at[OPERATION_BYTES], dots[DOT_BYTES];
    struct blob *record = record_of("key", NULL);
    struct store_request r = merge_of("key", record);
    r.dots = run_of(&theirs, 1, dots);
    r.operations = slice_of(at, OPERATION_BYTES - 1);
    assert_answer(GT_ECORRUPT, r);
    struct operation o = {.op = {1}, .dot = {theirs.actor, 0}};
    r.operations = row_of(&o, at);
    assert_answer(GT_ECORRUPT, r);
    o = (struct operation){.dot = theirs};
    r.operations = row_of(&o, at);
    assert_answer(GT_ECORRUPT, r);
    o = (struct operation){.op = {1}, .dot = {self(), 99}};
    r.operations = row_of(&o, at);
    assert_answer(GT_ECORRUPT, r);
    blob_unref(record);
}

static void a_clock_of_what_was_never_minted_is_refused(void **unused)
{
    (void)unused;
    struct store_request r = {
        .kind = STORE_CLOCK, .partition = PARTITION, .clock = slice_text("\xff")};
    assert_answer(GT_ECORRUPT, r);
    struct clock c;
    clock_init(&c);
    assert_int_equal(clock_add(&c, (struct dot){self(), 77}), 0);
    struct blob *bytes = clock_bytes(&c);
    r.clock = slice_blob(bytes);
    assert_answer(GT_ECORRUPT, r);
    blob_unref(bytes);
    clock_init(&c);
    assert_int_equal(clock_set_closed(&c, self().node, self().incarnation), 0);
    bytes = clock_bytes(&c);
    r.clock = slice_blob(bytes);
    assert_answer(GT_ECORRUPT, r);
    blob_unref(bytes);
    clock_init(&c);
    assert_int_equal(clock_add(&c, theirs), 0);
    bytes = clock_bytes(&c);
    r.clock = slice_blob(bytes);
    r.operations = slice_text("no row");
    assert_answer(GT_ECORRUPT, r);
    r.operations = slice_of(NULL, 0);
    done(r);
    assert_answer(0, r); /* no news: nothing is written */
    /* Of a pull, and of an asker. */
    r = merge_of("key", NULL);
    r.pulled = true;
    r.clock = slice_text("\xff");
    assert_answer(GT_ECORRUPT, r);
    assert_answer(GT_ECORRUPT, (struct store_request){.kind = STORE_PULL,
                                                      .partition = PARTITION,
                                                      .clock = slice_text("\xff")});
    blob_unref(bytes);
}

static void confirmations_are_clocks(void **unused)
{
    (void)unused;
    struct buf list;
    struct clock none;
    clock_init(&none);
    struct blob *bytes = clock_bytes(&none);
    buf_init(&list, 1u << 16);
    done(put_of("key"));
    struct store_request r = {.kind = STORE_CONFIRM, .partition = PARTITION};
    r.clock = slice_text("\x09");
    assert_answer(GT_ECORRUPT, r); /* says that it is longer than it is */
    r.clock = slice_text("\x01\xff");
    assert_answer(GT_ECORRUPT, r);
    for (int i = 0; i < 33; i++)
        buf_bytes(&list, slice_blob(bytes));
    r.clock = buf_slice(&list);
    assert_answer(GT_ECORRUPT, r); /* of more owners than a partition has */
    r.clock.bytes -= bytes->bytes + 1;
    assert_answer(0, r);
    struct engine_partition p;
    engine_partition(here.e, PARTITION, &p);
    assert_int_equal(p.log_entries, 1);
    buf_close(&list);
    blob_unref(bytes);
}

/* ---- of filling, parcels and loads ----------------------------------------------------------- */

static void what_ends_or_begins_filling_is_of_its_kind(void **unused)
{
    (void)unused;
    struct store_request r = {.kind = STORE_FILL, .partition = PARTITION, .fill = FILL_ROT + 1};
    assert_answer(GT_ELIMIT, r);
    r.fill = 0;
    r.value = slice_text("not owners");
    assert_answer(GT_ELIMIT, r);
    assert_false(engine_filling(here.e, PARTITION));
}

/* A run of entries: out of order a key would seem not to have been sent. */
static void a_run_that_is_none_is_refused(void **unused)
{
    (void)unused;
    struct clock none;
    clock_init(&none);
    struct blob *clock = clock_bytes(&none);
    struct slice a = slice_text("a"), b = slice_text("b");
    struct slice low = hash_bytes(a) < hash_bytes(b) ? a : b, high = low.data == a.data ? b : a;
    done(put_of("key"));
    for (int way = 0; way < 4; way++) {
        struct buf run;
        buf_init(&run, 1u << 12);
        if (way == 0)
            buf_u8(&run, 9); /* longer than it is */
        if (way == 1)
            buf_bytes(&run, slice_of(NULL, 0)), buf_bytes(&run, slice_of(NULL, 0));
        if (way == 2)
            buf_bytes(&run, key_too_long()), buf_bytes(&run, slice_of(NULL, 0));
        for (int i = 0; way == 3 && i < 2; i++)
            buf_bytes(&run, i == 0 ? high : low), buf_bytes(&run, slice_of(NULL, 0));
        struct store_request r = {.kind = STORE_REST,
                                  .partition = PARTITION,
                                  .from_start = true,
                                  .value = buf_slice(&run),
                                  .clock = slice_blob(clock)};
        /* In order of the hashes the first of two may lie behind our key. */
        uint64_t ours = hash_bytes(slice_text("key"));
        bool seen = way < 3 || hash_bytes(high) < ours;
        assert_answer(seen ? GT_ECORRUPT : 0, r);
        buf_close(&run);
    }
    blob_unref(clock);
}

static void a_parcel_that_is_none_is_refused(void **unused)
{
    (void)unused;
    uint8_t at[DOT_BYTES];
    struct blob *record = record_of("key", NULL);
    struct store_request r = merge_of("key", record);
    r.kind = STORE_PARCEL;
    r.target = 5;
    r.dots = slice_of(at, 3);
    assert_answer(GT_ECORRUPT, r);
    r.dots = slice_of(NULL, 0);
    r.operations = slice_text("no row");
    assert_answer(GT_ECORRUPT, r);
    r.operations = slice_of(NULL, 0);
    r.dots = run_of(&unknown, 1, at);
    assert_answer(GT_ECORRUPT, r);
    r.dots = run_of(&(struct dot){theirs.actor, 0}, 1, at);
    assert_answer(GT_ECORRUPT, r);
    r.record = slice_text("no record");
    assert_answer(GT_ECORRUPT, r);
    assert_int_equal(engine_parcels_for(here.e, 5), 0);
    r.record = slice_of(NULL, 0);
    assert_answer(0, r); /* the end of one that is not there */
    blob_unref(record);
}

static void a_load_with_a_context_that_is_none_is_refused(void **unused)
{
    (void)unused;
    done(put_of("key"));
    struct store_request r = put_of("key");
    r.kind = STORE_LOAD;
    r.context = slice_text("no context");
    assert_answer(GT_ECONTEXT, r);
}

/* ---- of those that wait ---------------------------------------------------------------------- */

/* What comes when it is too late for it is not even begun. */
static void a_request_that_would_wait_past_its_deadline_is_refused(void **unused)
{
    (void)unused;
    struct store_request r = put_of("key");
    struct store_result result;
    uint32_t waiting = 0;
    while (waiting < 200) { /* without jobs the first segment is full soon */
        static uint8_t large[64u << 10];
        r.value = slice_of(large, sizeof(large));
        engine_submit(here.e, &r, 1000);
        waiting++;
    }
    assert_true(here.e->parked.count > 0);
    r.deadline_us = 900;
    engine_submit(here.e, &r, 1000);
    assert_true(engine_result(here.e, &result));
    assert_int_equal(result.result, GT_ETIMEOUT);
    engine_tick(here.e, UINT64_MAX);
    uint32_t refused = 0;
    while (engine_result(here.e, &result)) {
        assert_int_equal(result.result, GT_ETIMEOUT);
        refused++;
    }
    assert_true(refused > 0 && refused < waiting);
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, open_here, close_here)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(keys_and_partitions_have_bounds),
        STORY(what_is_warmed_has_bounds),
        STORY(values_have_bounds),
        STORY(names_of_values_are_of_their_kind),
        STORY(a_put_that_saw_what_never_was_is_refused),
        STORY(a_context_of_what_was_never_minted_is_refused),
        STORY(a_merge_of_what_never_was_is_refused),
        STORY(a_merge_of_dots_that_are_of_no_key_is_refused),
        STORY(rows_of_operations_that_never_were_are_refused),
        STORY(a_clock_of_what_was_never_minted_is_refused),
        STORY(confirmations_are_clocks),
        STORY(what_ends_or_begins_filling_is_of_its_kind),
        STORY(a_run_that_is_none_is_refused),
        STORY(a_parcel_that_is_none_is_refused),
        STORY(a_load_with_a_context_that_is_none_is_refused),
        STORY(a_request_that_would_wait_past_its_deadline_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
