/*
 * What a guest keeps: parcels through restarts, checkpoints and power cuts, apart from everything
 * that the engine holds for itself.
 */
#include "engine/engine_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/prng.h"
#include "engine/operations.h"
#include "engine/parcels.h"
#include "engine/quarantine.h"
#include "tests/lib/lanes.h"
#include "tests/lib/memdisk.h"
#include "tests/lib/memindex.h"

#define PARTITION 7u
#define AT_ONCE   1000u

/* ---- a keeper, and a coordinator whose states it keeps ----------------------------------------
 */

struct rig {
    struct disk *disk;
    struct index *index;
    struct engine *e;
    struct memcut cut;
    struct log log;
    struct prng prng;
    uint32_t parcels_max;
    uint64_t bytes_max;
    uint64_t now_us;
};

static void line(void *arg, enum log_level level, const char *text)
{
    (void)arg;
    if (getenv("GT_TEST_LOG"))
        fprintf(stderr, "%s %s\n", log_level_name(level), text);
}

static int rig_try_open(struct rig *r)
{
    struct engine_config config = {.disk = r->disk,
                                   .index = r->index,
                                   .log = &r->log,
                                   .role = "node",
                                   .seed = prng_next(&r->prng),
                                   .wall_us = 1700000000000000,
                                   .segment_bytes = 64u << 10,
                                   .overlay_bytes_max = 8u << 10,
                                   .chunk_records = 3,
                                   .parcels_max = r->parcels_max,
                                   .parcels_bytes_max = r->bytes_max};
    struct engine_report report;
    return engine_open(&config, &r->e, &report);
}

static void rig_init(struct rig *r, uint64_t seed)
{
    *r = (struct rig){.disk = memdisk_new(), .index = memindex_new()};
    prng_init(&r->prng, seed);
    log_init(&r->log, LOG_INFO, line, NULL);
    assert_int_equal(rig_try_open(r), 0);
}

static void rig_free(struct rig *r)
{
    engine_close(r->e, false);
    r->disk->destroy(r->disk);
    r->index->destroy(r->index);
}

static void rig_restart(struct rig *r)
{
    engine_close(r->e, false);
    assert_int_equal(rig_try_open(r), 0);
}

static void rig_power_cut(struct rig *r)
{
    memdisk_crash(r->disk, prng_next(&r->prng));
    memindex_crash(r->index);
    rig_restart(r);
}

/* false: there is no answer, since the log cannot go on. */
static bool try_call(struct rig *r, struct store_request request, struct store_result *result)
{
    engine_submit(r->e, &request, ++r->now_us);
    lanes_run(r->e, LANES_ALL);
    return engine_result(r->e, result);
}

static struct store_result call(struct rig *r, struct store_request request)
{
    struct store_result result;
    assert_true(try_call(r, request, &result));
    return result;
}

/* A state as a coordinator sends it. */
struct sent {
    struct blob *record, *dots, *operations;
};

static struct sent write_at(struct rig *coordinator, const char *key, const char *value, bool plain)
{
    struct store_request request = {.kind = STORE_PUT,
                                    .partition = PARTITION,
                                    .key = slice_text(key),
                                    .value = slice_text(value),
                                    .plain = plain,
                                    .stamp = ++coordinator->now_us};
    le64_put(request.op, prng_next(&coordinator->prng));
    struct store_result result = call(coordinator, request);
    assert_int_equal(result.result, 0);
    struct sent sent = {blob_ref(result.record), blob_ref(result.dots),
                        blob_ref(result.operations)};
    store_result_release(&result);
    return sent;
}

static void sent_free(struct sent *s)
{
    blob_unref(s->record);
    blob_unref(s->dots);
    blob_unref(s->operations);
}

static struct store_request keep_of(uint64_t target, const char *key, const struct sent *s)
{
    return (struct store_request){.kind = STORE_PARCEL,
                                  .partition = PARTITION,
                                  .key = slice_text(key),
                                  .record = slice_blob(s->record),
                                  .dots = slice_blob(s->dots),
                                  .operations = slice_blob(s->operations),
                                  .target = target,
                                  .wall_s = 100};
}

static int keep(struct rig *r, uint64_t target, const char *key, const struct sent *s)
{
    struct store_result result = call(r, keep_of(target, key, s));
    int error = result.result;
    store_result_release(&result);
    return error;
}

static int drop(struct rig *r, uint64_t target, const char *key, uint64_t number)
{
    struct store_result result = call(r, (struct store_request){.kind = STORE_PARCEL,
                                                                .partition = PARTITION,
                                                                .key = slice_text(key),
                                                                .target = target,
                                                                .number = number});
    int error = result.result;
    store_result_release(&result);
    return error;
}

/* One entry of a list; borrows from the result that stays in the listing. */
struct listed {
    uint64_t number;
    struct slice key, dots, record, operations;
};
struct listing {
    struct store_result result;
    struct listed items[64];
    uint32_t count;
};

static void list(struct rig *r, uint64_t target, uint64_t above, uint32_t most, struct listing *out)
{
    out->result = call(r, (struct store_request){.kind = STORE_PARCELS,
                                                 .target = target,
                                                 .number = above,
                                                 .bytes_max = 1u << 20,
                                                 .count_max = most});
    assert_int_equal(out->result.result, 0);
    struct reader entries = reader_of(slice_blob(out->result.entries));
    for (out->count = 0; reader_left(&entries) > 0; out->count++) {
        struct listed *l = &out->items[out->count];
        l->number = read_u64(&entries);
        assert_int_equal(read_varint(&entries), PARTITION);
        l->key = read_bytes(&entries);
        l->dots = read_bytes(&entries);
        l->record = read_bytes(&entries);
        l->operations = read_bytes(&entries);
        assert_false(entries.failed);
    }
    assert_int_equal(out->count, out->result.entry_count);
}

/* What is kept of a key, as "value|value" (ascending by dot); "" when nothing is. */
static const char *kept(struct rig *r, uint64_t target, const char *key, char text[200])
{
    struct listing l;
    struct state state;
    size_t at = 0;
    text[0] = 0;
    list(r, target, 0, AT_ONCE, &l);
    for (uint32_t i = 0; i < l.count; i++) {
        if (!slice_equal(l.items[i].key, slice_text(key)))
            continue;
        state_init(&state);
        assert_int_equal(record_decode(l.items[i].record, PARTITION, slice_text(key), &state), 0);
        for (uint32_t k = 0; k < state.sibling_count; k++)
            at += (size_t)snprintf(text + at, 200 - at, "%s%.*s", k ? "|" : "",
                                   (int)state.siblings[k].value.bytes,
                                   (const char *)state.siblings[k].value.data);
        state_close(&state);
    }
    store_result_release(&l.result);
    return text;
}

static uint32_t count_of(struct rig *r)
{
    struct engine_totals totals;
    engine_totals(r->e, &totals);
    return (uint32_t)totals.parcels;
}

/* Enough log that checkpoints are made, of other keys of the keeper itself. */
static void checkpoints_force(struct rig *r)
{
    uint64_t before = engine_metrics(r->e)->checkpoints_count;
    for (int i = 0; i < 400 && engine_metrics(r->e)->checkpoints_count < before + 2; i++) {
        struct sent s = write_at(r, "own", "a value of the keeper's own, of some length", true);
        sent_free(&s);
    }
    lanes_run(r->e, LANES_ALL);
    assert_true(engine_metrics(r->e)->checkpoints_count >= before + 2);
}

/* ---- stories ----------------------------------------------------------------------------------
 */

static void test_kept_through_restarts_until_dropped(void **state)
{
    (void)state;
    struct rig guest, owner;
    struct listing l;
    char text[200];
    rig_init(&guest, 1);
    rig_init(&owner, 2);
    struct sent a = write_at(&owner, "apple", "green", true),
                b = write_at(&owner, "pear", "brown", true);
    assert_int_equal(keep(&guest, 5, "apple", &a), 0);
    assert_int_equal(keep(&guest, 5, "pear", &b), 0);
    assert_int_equal(keep(&guest, 6, "apple", &a), 0);
    for (int life = 0; life < 3; life++) {
        assert_int_equal(count_of(&guest), 3);
        assert_int_equal(engine_parcels_for(guest.e, 5), 2);
        assert_string_equal(kept(&guest, 5, "apple", text), "green");
        assert_string_equal(kept(&guest, 6, "apple", text), "green");
        if (life == 1)
            checkpoints_force(&guest); /* from now on in the index */
        rig_power_cut(&guest);
    }
    list(&guest, 5, 0, 1, &l); /* oldest first, as many as asked for */
    assert_int_equal(l.count, 1);
    assert_true(l.result.more);
    assert_true(slice_equal(l.items[0].key, slice_text("apple")));
    assert_true(slice_equal(l.items[0].dots, slice_blob(a.dots)));
    uint64_t first = l.items[0].number;
    store_result_release(&l.result);
    list(&guest, 5, first, AT_ONCE, &l);
    assert_int_equal(l.count, 1);
    assert_false(l.result.more);
    assert_true(slice_equal(l.items[0].key, slice_text("pear")));
    store_result_release(&l.result);
    assert_int_equal(drop(&guest, 5, "apple", first), 0);
    assert_int_equal(drop(&guest, 5, "apple", first), 0); /* told twice */
    rig_power_cut(&guest);
    assert_string_equal(kept(&guest, 5, "apple", text), "");
    assert_string_equal(kept(&guest, 6, "apple", text), "green");
    checkpoints_force(&guest);
    rig_power_cut(&guest);
    assert_int_equal(count_of(&guest), 2);
    sent_free(&a);
    sent_free(&b);
    rig_free(&guest);
    rig_free(&owner);
}

static void test_a_newer_state_takes_the_older_one_in(void **state)
{
    (void)state;
    struct rig guest, one, other;
    struct listing l;
    char text[200];
    rig_init(&guest, 3);
    rig_init(&one, 4);
    rig_init(&other, 5);
    struct sent a = write_at(&one, "apple", "green", true),
                b = write_at(&one, "apple", "red", true), /* replaces it */
        c = write_at(&other, "apple", "yellow", true);    /* has not seen them */
    assert_int_equal(keep(&guest, 5, "apple", &a), 0);
    list(&guest, 5, 0, AT_ONCE, &l);
    uint64_t first = l.items[0].number;
    store_result_release(&l.result);
    assert_int_equal(keep(&guest, 5, "apple", &b), 0);
    assert_string_equal(kept(&guest, 5, "apple", text), "red");
    assert_int_equal(keep(&guest, 5, "apple", &c), 0);
    assert_non_null(strstr(kept(&guest, 5, "apple", text), "red"));
    assert_non_null(strstr(kept(&guest, 5, "apple", text), "yellow"));
    assert_int_equal(keep(&guest, 5, "apple", &a), 0); /* late: nothing new */
    assert_null(strstr(kept(&guest, 5, "apple", text), "green"));
    assert_int_equal(count_of(&guest), 1);
    list(&guest, 5, 0, AT_ONCE, &l);
    assert_int_equal(dots_count(l.items[0].dots), 3);             /* all that were listed */
    assert_int_equal(operations_count(l.items[0].operations), 1); /* of the one superseded */
    assert_int_equal(
        dot_compare(operations_at(l.items[0].operations, 0).dot, dots_at(slice_blob(a.dots), 0)),
        0);
    store_result_release(&l.result);
    /* Whoever delivered the first version does not drop this one. */
    assert_int_equal(drop(&guest, 5, "apple", first), 0);
    assert_int_equal(count_of(&guest), 1);
    sent_free(&a);
    sent_free(&b);
    sent_free(&c);
    rig_free(&guest);
    rig_free(&one);
    rig_free(&other);
}

/* However often a key is written while its owner is away: what is live is listed, and a bound. */
static void test_the_dots_of_a_hot_key_are_bounded(void **state)
{
    (void)state;
    struct rig guest, owner;
    struct listing l;
    char value[20];
    rig_init(&guest, 6);
    rig_init(&owner, 7);
    struct dot last = {{0, 0}, 0};
    for (int i = 0; i < 300; i++) {
        snprintf(value, sizeof(value), "value %d", i);
        struct sent s = write_at(&owner, "apple", value, true);
        last = dots_at(slice_blob(s.dots), 0);
        assert_int_equal(keep(&guest, 5, "apple", &s), 0);
        sent_free(&s);
    }
    list(&guest, 5, 0, AT_ONCE, &l);
    assert_int_equal(l.count, 1);
    assert_true(dots_count(l.items[0].dots) <= 65);
    assert_int_equal(dot_compare(dots_at(l.items[0].dots, 0), last), 0);
    store_result_release(&l.result);
    rig_free(&guest);
    rig_free(&owner);
}

static void test_no_more_is_taken_than_the_bounds_allow(void **state)
{
    (void)state;
    struct rig guest, owner;
    struct listing l;
    rig_init(&guest, 8);
    rig_init(&owner, 9);
    guest.parcels_max = 2;
    rig_restart(&guest);
    struct sent a = write_at(&owner, "apple", "green", true),
                b = write_at(&owner, "pear", "brown", true),
                c = write_at(&owner, "fig", "blue", true);
    assert_int_equal(keep(&guest, 5, "apple", &a), 0);
    assert_int_equal(keep(&guest, 6, "pear", &b), 0);
    assert_int_equal(keep(&guest, 5, "fig", &c), GT_ELIMIT);
    assert_int_equal(keep(&guest, 5, "apple", &a), 0); /* in the place of the one that is there */
    list(&guest, 5, 0, AT_ONCE, &l);
    assert_int_equal(drop(&guest, 5, "apple", l.items[0].number), 0);
    store_result_release(&l.result);
    assert_int_equal(keep(&guest, 5, "fig", &c), 0);
    guest.parcels_max = 0;
    guest.bytes_max = 300;
    rig_restart(&guest);
    assert_int_equal(count_of(&guest), 2); /* what is there stays, whatever the bound is now */
    assert_int_equal(keep(&guest, 7, "fig", &c), GT_ELIMIT);
    sent_free(&a);
    sent_free(&b);
    sent_free(&c);
    rig_free(&guest);
    rig_free(&owner);
}

static void test_a_parcel_is_no_state_of_its_keeper(void **state)
{
    (void)state;
    struct rig guest, owner;
    struct engine_partition p;
    rig_init(&guest, 10);
    rig_init(&owner, 11);
    struct sent a = write_at(&owner, "apple", "green", true);
    assert_int_equal(keep(&guest, 5, "apple", &a), 0);
    for (int life = 0; life < 2; life++) {
        engine_partition(guest.e, PARTITION, &p);
        assert_int_equal(p.records, 0);
        assert_int_equal(p.log_entries, 0);
        assert_int_equal(clock_range_count(p.clock), 0);
        struct store_result result = call(
            &guest, (struct store_request){
                        .kind = STORE_LOAD, .partition = PARTITION, .key = slice_text("apple")});
        assert_null(result.record);
        store_result_release(&result);
        rig_restart(&guest);
    }
    sent_free(&a);
    rig_free(&guest);
    rig_free(&owner);
}

static int line_take(void *arg, struct slice line)
{
    struct buf *lines = arg;
    buf_put(lines, line.data, line.bytes);
    return lines->failed ? GT_ENOMEM : 0;
}

static void test_what_is_kept_is_told_for_the_quarantine(void **state)
{
    (void)state;
    struct rig guest, owner;
    struct buf lines;
    rig_init(&guest, 10);
    rig_init(&owner, 11);
    buf_init(&lines, 10000);
    struct sent a = write_at(&owner, "apple", "green", true);
    assert_int_equal(keep(&guest, 5, "apple", &a), 0);
    assert_int_equal(engine_quarantine(guest.e, line_take, &lines), 0);
    buf_u8(&lines, 0);
    assert_non_null(strstr((const char *)lines.data, "{\"key64\": \"YXBwbGU=\", \"value64\": "
                                                     "\"Z3JlZW4=\", \"dot\": \""));
    assert_non_null(strstr((const char *)lines.data, "\"for\": \"0000000000000005\"}\n"));
    buf_close(&lines);
    sent_free(&a);
    rig_free(&guest);
    rig_free(&owner);
}

static int line_refuse(void *arg, struct slice line)
{
    (void)line;
    ++*(int *)arg;
    return GT_EIO;
}

/* One that cannot be read any more is left out; who takes the lines may end it. */
static void test_a_bad_parcel_is_left_out_of_the_quarantine(void **state)
{
    (void)state;
    struct rig guest, owner;
    struct buf lines;
    struct index_write *w;
    uint8_t at[INDEX_KEY_BYTES_MAX];
    int told = 0;
    rig_init(&guest, 12);
    rig_init(&owner, 13);
    buf_init(&lines, 10000);
    struct sent a = write_at(&owner, "apple", "green", true),
                b = write_at(&owner, "pear", "brown", true);
    assert_int_equal(keep(&guest, 5, "apple", &a), 0);
    assert_int_equal(keep(&guest, 6, "pear", &b), 0);
    checkpoints_force(&guest);
    struct parcel_name name = {5, hash_bytes(slice_text("apple")), PARTITION, slice_text("apple")};
    assert_int_equal(guest.index->begin(guest.index, &w), 0);
    assert_int_equal(
        guest.index->put(w, INDEX_PARCEL, parcel_index_key(at, &name), slice_text("bad")), 0);
    assert_int_equal(guest.index->commit(w), 0);
    assert_int_equal(engine_quarantine(guest.e, line_take, &lines), 0);
    buf_u8(&lines, 0);
    assert_null(strstr((const char *)lines.data, "YXBwbGU="));
    assert_non_null(strstr((const char *)lines.data, "\"for\": \"0000000000000006\"}\n"));
    assert_int_equal(engine_quarantine(guest.e, line_refuse, &told), GT_EIO);
    assert_int_equal(told, 1);
    buf_close(&lines);
    sent_free(&a);
    sent_free(&b);
    rig_free(&guest);
    rig_free(&owner);
}

static void test_for_whom_the_most_is_kept_is_told_first(void **state)
{
    (void)state;
    struct rig guest, owner;
    struct engine_kept kept_for[3];
    rig_init(&guest, 18);
    rig_init(&owner, 19);
    for (uint64_t target = 1; target <= 5; target++)
        for (uint64_t i = 0; i < (target == 5 ? 2 : target); i++) {
            char key[16];
            snprintf(key, sizeof(key), "key%d", (int)i);
            struct sent s = write_at(&owner, key, "v", true);
            assert_int_equal(keep(&guest, target, key, &s), 0);
            sent_free(&s);
        }
    assert_int_equal(engine_kept(guest.e, kept_for, 3), 3);
    assert_int_equal(kept_for[0].target, 4);
    assert_int_equal(kept_for[0].parcels, 4);
    assert_true(kept_for[0].bytes > 0);
    assert_int_equal(kept_for[0].made_s, 100);
    assert_int_equal(kept_for[1].target, 3);
    assert_int_equal(kept_for[2].target, 2);
    assert_int_equal(engine_kept(guest.e, kept_for, 0), 0);
    rig_free(&guest);
    rig_free(&owner);
}

static void test_those_of_a_partition_can_be_counted(void **state)
{
    (void)state;
    struct rig guest, owner;
    rig_init(&guest, 12);
    rig_init(&owner, 13);
    struct sent a = write_at(&owner, "apple", "green", true);
    assert_int_equal(keep(&guest, 5, "apple", &a), 0);
    assert_int_equal(keep(&guest, 6, "apple", &a), 0);
    rig_restart(&guest);
    struct store_result result =
        call(&guest, (struct store_request){.kind = STORE_PARCELS, .partition = PARTITION});
    assert_int_equal(result.parcels, 2);
    struct reader entries = reader_of(slice_blob(result.entries));
    for (int i = 0; i < 2; i++) {
        uint64_t target = read_u64(&entries);
        assert_true(target == 5 || target == 6);
    }
    assert_int_equal(reader_left(&entries), 0);
    store_result_release(&result);
    result = call(&guest, (struct store_request){.kind = STORE_PARCELS, .partition = 8});
    assert_int_equal(result.parcels, 0);
    store_result_release(&result);
    sent_free(&a);
    rig_free(&guest);
    rig_free(&owner);
}

/* What is bad at rest is told as such, and a new state takes its place. */
static void test_one_that_is_bad_at_rest(void **state)
{
    (void)state;
    struct rig guest, owner;
    struct listing l;
    char text[200];
    rig_init(&guest, 14);
    rig_init(&owner, 15);
    struct sent a = write_at(&owner, "apple", "green", true);
    assert_int_equal(keep(&guest, 5, "apple", &a), 0);
    checkpoints_force(&guest);
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct slice key = slice_text("apple");
    struct parcel_name name = {5, hash_bytes(key), PARTITION, key};
    struct index_write *w;
    assert_int_equal(guest.index->begin(guest.index, &w), 0);
    assert_int_equal(guest.index->put(w, INDEX_PARCEL, parcel_index_key(at, &name),
                                      slice_text("this is no parcel")),
                     0);
    assert_int_equal(guest.index->commit(w), 0);
    list(&guest, 5, 0, AT_ONCE, &l);
    assert_int_equal(l.count, 1);
    assert_int_equal(l.items[0].record.bytes, 0);
    uint64_t number = l.items[0].number;
    store_result_release(&l.result);
    assert_int_equal(keep(&guest, 5, "apple", &a), 0);
    assert_string_equal(kept(&guest, 5, "apple", text), "green");
    assert_int_equal(drop(&guest, 5, "apple", number), 0);
    assert_string_equal(kept(&guest, 5, "apple", text), "green");
    sent_free(&a);
    rig_free(&guest);
    rig_free(&owner);
}

/* The envelope is whole and its record is not: nothing of it is joined with what comes. */
static void test_one_whose_record_is_bad_at_rest(void **state)
{
    (void)state;
    struct rig guest, owner;
    char text[200];
    rig_init(&guest, 20);
    rig_init(&owner, 21);
    struct sent a = write_at(&owner, "apple", "green", true);
    struct sent rotten = {blob_copy(a.record->data, a.record->bytes), blob_ref(a.dots), NULL};
    assert_int_equal(keep(&guest, 5, "apple", &a), 0);
    checkpoints_force(&guest);
    rotten.record->data[rotten.record->bytes - 1] ^= 1;
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct slice key = slice_text("apple");
    struct parcel_name name = {5, hash_bytes(key), PARTITION, key};
    struct parcel_value v = {.number = parcels_find(&guest.e->parcels, &name)->number,
                             .made_s = 100,
                             .dots = slice_blob(a.dots),
                             .record = slice_blob(rotten.record)};
    struct buf bytes, value;
    buf_init(&bytes, 4096);
    buf_init(&value, 4096);
    parcel_value_encode(&v, &bytes);
    meta_value_encode(parcel_index_key(at, &name), buf_slice(&bytes), &value);
    struct index_write *w;
    assert_int_equal(guest.index->begin(guest.index, &w), 0);
    assert_int_equal(
        guest.index->put(w, INDEX_PARCEL, parcel_index_key(at, &name), buf_slice(&value)), 0);
    assert_int_equal(guest.index->commit(w), 0);
    assert_int_equal(keep(&guest, 5, "apple", &a), 0);
    assert_string_equal(kept(&guest, 5, "apple", text), "green");
    buf_close(&bytes);
    buf_close(&value);
    sent_free(&rotten);
    sent_free(&a);
    rig_free(&guest);
    rig_free(&owner);
}

/* What the disk does not give now is not taken for bad: it is left out of the list, and kept. */
static void test_one_that_cannot_be_read_now(void **state)
{
    (void)state;
    struct rig guest, owner;
    struct listing l;
    char text[200];
    rig_init(&guest, 22);
    rig_init(&owner, 23);
    struct sent a = write_at(&owner, "apple", "green", true),
                b = write_at(&owner, "pear", "brown", true);
    assert_int_equal(keep(&guest, 5, "apple", &a), 0);
    assert_int_equal(keep(&guest, 5, "pear", &b), 0);
    checkpoints_force(&guest);
    memindex_fail(guest.index, MEMINDEX_GET, 1, GT_EIO, false);
    list(&guest, 5, 0, AT_ONCE, &l);
    assert_int_equal(l.count, 1);
    assert_true(slice_equal(l.items[0].key, slice_text("pear")));
    store_result_release(&l.result);
    memindex_fail(guest.index, MEMINDEX_GET, 1, GT_EIO, false);
    assert_int_equal(keep(&guest, 5, "apple", &a), GT_EIO); /* nor is it replaced unseen */
    assert_string_equal(kept(&guest, 5, "apple", text), "green");
    sent_free(&a);
    sent_free(&b);
    rig_free(&guest);
    rig_free(&owner);
}

static void test_a_state_that_is_none_is_refused(void **state)
{
    (void)state;
    struct rig guest, owner;
    rig_init(&guest, 16);
    rig_init(&owner, 17);
    struct sent a = write_at(&owner, "apple", "green", true),
                b = write_at(&owner, "pear", "brown", true);
    struct sent wrong = {blob_ref(a.record), blob_ref(b.dots), NULL};
    assert_int_equal(keep(&guest, 5, "apple", &wrong), GT_ECORRUPT); /* dots of another key */
    assert_int_equal(keep(&guest, 5, "pear", &a), GT_ECORRUPT);
    assert_int_equal(count_of(&guest), 0);
    sent_free(&wrong);
    sent_free(&a);
    sent_free(&b);
    rig_free(&guest);
    rig_free(&owner);
}

/* ---- random lives ------------------------------------------------------------------------------
 */

#define KEYS    6
#define TARGETS 3

struct model {
    struct rig guest, owner;
    int kept[TARGETS][KEYS];  /* the number in the newest value acknowledged; 0: none */
    int doubt[TARGETS][KEYS]; /* one that may be there instead, -1: perhaps none; 0: no doubt */
    int next;
};

static void model_check(struct model *m)
{
    for (uint64_t t = 0; t < TARGETS; t++)
        for (int k = 0; k < KEYS; k++) {
            char key[16], text[200], sure[20] = "", maybe[20] = "";
            snprintf(key, sizeof(key), "key%d", k);
            if (m->kept[t][k] > 0)
                snprintf(sure, sizeof(sure), "value %d", m->kept[t][k]);
            if (m->doubt[t][k] > 0)
                snprintf(maybe, sizeof(maybe), "value %d", m->doubt[t][k]);
            kept(&m->guest, t + 1, key, text);
            if (m->doubt[t][k] == 0 || strcmp(text, maybe) != 0)
                assert_string_equal(text, sure);
            m->kept[t][k] = text[0] ? atoi(text + 6) : 0;
            m->doubt[t][k] = 0;
        }
}

static void model_act(struct model *m, bool *cut)
{
    uint64_t t = prng_below(&m->guest.prng, TARGETS);
    int k = (int)prng_below(&m->guest.prng, KEYS);
    char key[16], value[20];
    struct store_result result;
    struct sent s = {NULL, NULL, NULL};
    struct store_request request = {.kind = STORE_PARCEL, .partition = PARTITION, .target = t + 1};
    int after = -1;
    snprintf(key, sizeof(key), "key%d", k);
    if (prng_below(&m->guest.prng, 3) > 0) {
        snprintf(value, sizeof(value), "value %d", after = ++m->next);
        s = write_at(&m->owner, key, value, true);
        request = keep_of(t + 1, key, &s);
    } else {
        struct parcel_name name = {t + 1, hash_bytes(slice_text(key)), PARTITION, slice_text(key)};
        struct listing l;
        list(&m->guest, t + 1, 0, AT_ONCE, &l);
        request.key = name.key;
        for (uint32_t i = 0; i < l.count; i++)
            if (slice_equal(l.items[i].key, name.key))
                request.number = l.items[i].number;
        store_result_release(&l.result);
        if (request.number == 0 && memcut_reached(&m->guest.cut)) {
            *cut = true; /* it could not be read, so its number is not known */
            return;
        }
    }
    bool answered = try_call(&m->guest, request, &result);
    if (answered && result.result == 0)
        m->kept[t][k] = after > 0 ? after : 0;
    else
        m->doubt[t][k] = after;
    *cut = !answered || result.result != 0;
    if (answered)
        store_result_release(&result);
    sent_free(&s);
}

static void model_run(uint64_t seed)
{
    struct model m = {0};
    rig_init(&m.guest, seed);
    rig_init(&m.owner, seed + 1000000);
    memdisk_cut(m.guest.disk, &m.guest.cut);
    memindex_cut(m.guest.index, &m.guest.cut);
    for (int life = 0; life < 6; life++) {
        bool cut = false;
        if (prng_below(&m.guest.prng, 3) > 0)
            memcut_arm(&m.guest.cut, 1 + prng_below(&m.guest.prng, 200));
        for (int i = 0; i < 40 && !cut && !memcut_reached(&m.guest.cut); i++)
            model_act(&m, &cut);
        engine_close(m.guest.e, false);
        for (bool open = false; !open;) {
            memdisk_crash(m.guest.disk, prng_next(&m.guest.prng));
            memindex_crash(m.guest.index);
            memcut_clear(&m.guest.cut);
            if (prng_below(&m.guest.prng, 3) == 0) /* also while it recovers */
                memcut_arm(&m.guest.cut, 1 + prng_below(&m.guest.prng, 30));
            open = rig_try_open(&m.guest) == 0;
            if (open && memcut_reached(&m.guest.cut)) {
                engine_close(m.guest.e, false);
                open = false;
            }
        }
        memcut_clear(&m.guest.cut);
        model_check(&m);
    }
    rig_free(&m.guest);
    rig_free(&m.owner);
}

static void test_random_lives_keep_what_was_acknowledged(void **state)
{
    (void)state;
    const char *only = getenv("GT_TEST_SEED"), *runs = getenv("GT_TEST_RUNS");
    uint64_t first = only ? strtoull(only, NULL, 10) : 1;
    uint64_t count = only ? 1 : runs ? strtoull(runs, NULL, 10) : 150;
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (getenv("GT_TEST_VERBOSE"))
            fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
        model_run(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_through_restarts_until_dropped),
        cmocka_unit_test(test_a_newer_state_takes_the_older_one_in),
        cmocka_unit_test(test_the_dots_of_a_hot_key_are_bounded),
        cmocka_unit_test(test_no_more_is_taken_than_the_bounds_allow),
        cmocka_unit_test(test_a_parcel_is_no_state_of_its_keeper),
        cmocka_unit_test(test_what_is_kept_is_told_for_the_quarantine),
        cmocka_unit_test(test_a_bad_parcel_is_left_out_of_the_quarantine),
        cmocka_unit_test(test_for_whom_the_most_is_kept_is_told_first),
        cmocka_unit_test(test_those_of_a_partition_can_be_counted),
        cmocka_unit_test(test_one_that_is_bad_at_rest),
        cmocka_unit_test(test_one_whose_record_is_bad_at_rest),
        cmocka_unit_test(test_one_that_cannot_be_read_now),
        cmocka_unit_test(test_a_state_that_is_none_is_refused),
        cmocka_unit_test(test_random_lives_keep_what_was_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
