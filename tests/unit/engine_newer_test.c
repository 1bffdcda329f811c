/*
 * What a newer version wrote: a folder of a newer format is refused by its number, what a start
 * reads refuses it too, and a record of a newer format that is met later is left as it is: not
 * known, never served, never "not found", never mended over or dropped.
 */
#include "engine/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/crc.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/engine_private.h"
#include "tests/lib/lanes.h"
#include "tests/lib/memdisk.h"
#include "tests/lib/memindex.h"

#define PARTITION 7u
#define NEWER     "newer"
#define GOOD      "good"

struct replica {
    struct disk *disk;
    struct index *index;
    struct engine *e;
    struct engine_config config;
    struct engine_report report;
    struct log log;
    struct events events;
};

static int replica_try_open(struct replica *r)
{
    r->config.disk = r->disk;
    r->config.index = r->index;
    r->config.events = &r->events;
    r->config.role = "node";
    r->config.seed++;
    r->config.wall_us = 1700000000000000;
    r->config.segment_bytes = 64u << 10;
    r->config.overlay_bytes_max = 16u << 10;
    return engine_open(&r->config, &r->e, &r->report);
}

static void replica_new(struct replica *r, uint64_t seed)
{
    *r = (struct replica){
        .disk = memdisk_new(), .index = memindex_new(), .config.seed = seed * 1000};
    events_init(&r->events, 0);
    assert_int_equal(replica_try_open(r), 0);
}

static void replica_free(struct replica *r)
{
    engine_close(r->e, false);
    r->disk->destroy(r->disk);
    r->index->destroy(r->index);
}

/* The folder is closed and opened until everything is at rest in the index. */
static void replica_rest(struct replica *r)
{
    for (int i = 0; i < 2; i++) {
        engine_close(r->e, true);
        assert_int_equal(replica_try_open(r), 0);
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

static struct store_request put_of(const char *key, const char *value)
{
    return (struct store_request){
        .kind = STORE_PUT, .key = slice_text(key), .value = slice_text(value), .plain = true};
}

/* ---- values of the index get a newer format under a right checksum --------------------------- */

struct found {
    uint8_t key[INDEX_KEY_BYTES_MAX], value[4096];
    size_t key_bytes, value_bytes;
};

static int found_take(void *arg, struct slice key, struct slice value)
{
    struct found *f = arg;
    assert_true(value.bytes <= sizeof(f->value));
    memcpy(f->key, key.data, key.bytes);
    memcpy(f->value, value.data, value.bytes);
    f->key_bytes = key.bytes;
    f->value_bytes = value.bytes;
    return 1;
}

static void index_write(struct replica *r, enum index_table table, struct slice key,
                        struct slice value)
{
    struct index_write *w;
    assert_int_equal(r->index->begin(r->index, &w), 0);
    assert_int_equal(r->index->put(w, table, key, value), 0);
    assert_int_equal(r->index->commit(w), 0);
}

/* The first value of the table at or behind the key. */
static void value_newer(struct replica *r, enum index_table table, const char *from)
{
    struct found f = {.key_bytes = 0};
    assert_int_equal(r->index->scan(r->index, 0, table, slice_text(from), found_take, &f), 1);
    f.value[4]++;
    uint32_t crc = table == INDEX_PARTITION ? 0 : crc_update(0, f.key, f.key_bytes);
    le32_put(f.value, crc_update(crc, f.value + 4, f.value_bytes - 4));
    index_write(r, table, slice_of(f.key, f.key_bytes), slice_of(f.value, f.value_bytes));
}

static struct slice data_key(uint8_t at[INDEX_KEY_BYTES_MAX], const char *key)
{
    return index_data_key(at, PARTITION, hash_bytes(slice_text(key)), slice_text(key));
}

static struct blob *record_in_index(struct replica *r, const char *key)
{
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct blob *record;
    assert_int_equal(r->index->get(r->index, 0, INDEX_DATA, data_key(at, key), &record), 0);
    return record;
}

/* The record of the key gets a newer format, and the partition's digest follows, as a newer version
 * would have written both. A copy of its bytes. */
static struct blob *record_newer(struct replica *r, const char *key)
{
    uint8_t at[INDEX_KEY_BYTES_MAX], partition[2];
    struct blob *record = record_in_index(r, key);
    uint64_t before = record_digest(slice_blob(record));
    record->data[4]++;
    le16_put(partition, PARTITION);
    uint32_t crc = crc_update(crc_update(0, partition, 2), (const uint8_t *)key, strlen(key));
    le32_put(record->data, crc_update(crc, record->data + 4, record->bytes - 4));
    index_write(r, INDEX_DATA, data_key(at, key), slice_blob(record));
    r->e->partitions[PARTITION]->counts.digest_sum += record_digest(slice_blob(record)) - before;
    return record;
}

/* ---- a folder of a newer format -------------------------------------------------------------- */

static void identity_read(struct replica *r, struct identity_value *identity)
{
    struct slice name = slice_text("identity"), bytes;
    struct blob *value;
    assert_int_equal(r->index->get(r->index, 0, INDEX_META, name, &value), 0);
    assert_int_equal(meta_value_decode(name, slice_blob(value), &bytes), 0);
    assert_int_equal(identity_decode(bytes, identity), 0);
    blob_unref(value);
}

/* As the first `bytes` of what is encoded; 0: all. */
static void identity_write(struct replica *r, const struct identity_value *identity, size_t bytes)
{
    struct buf encoded, value;
    buf_init(&encoded, 4096);
    buf_init(&value, 4096);
    identity_encode(identity, &encoded);
    meta_value_encode(slice_text("identity"), slice_of(encoded.data, bytes ? bytes : encoded.bytes),
                      &value);
    index_write(r, INDEX_META, slice_text("identity"), buf_slice(&value));
    buf_close(&encoded);
    buf_close(&value);
}

static void test_a_folder_says_who_wrote_it_and_a_newer_one_is_refused(void **state)
{
    (void)state;
    struct replica r;
    struct identity_value identity;
    replica_new(&r, 1);
    assert_int_equal(r.report.folder_format, 0); /* it was new */
    identity_read(&r, &identity);
    assert_int_equal(identity.folder_format, FOLDER_FORMAT);
    assert_string_equal(identity.version, GT_VERSION);
    engine_close(r.e, true);
    identity.folder_format = FOLDER_FORMAT + 1;
    memcpy(identity.version, "9.8.7", 6);
    identity_write(&r, &identity, 0);
    value_newer(&r, INDEX_META, "applied"); /* whatever else is newer, that is said */
    assert_int_equal(replica_try_open(&r), GT_EFORMAT);
    assert_int_equal(r.report.folder_format, FOLDER_FORMAT + 1);
    assert_string_equal(r.report.folder_version, "9.8.7");
    r.e = NULL;
    replica_free(&r);
}

static void test_a_folder_of_an_earlier_version_becomes_ours(void **state)
{
    (void)state;
    struct replica r;
    struct identity_value identity;
    struct buf encoded;
    replica_new(&r, 2);
    engine_close(r.e, true);
    identity_read(&r, &identity);
    identity.version[0] = 0;
    buf_init(&encoded, 4096);
    identity_encode(&identity, &encoded);
    identity_write(&r, &identity, encoded.bytes - 5); /* without format and version */
    buf_close(&encoded);
    assert_int_equal(replica_try_open(&r), 0);
    assert_int_equal(r.report.folder_format, 1);
    assert_string_equal(r.report.folder_version, "");
    identity_read(&r, &identity);
    assert_int_equal(identity.folder_format, FOLDER_FORMAT);
    assert_string_equal(identity.version, GT_VERSION);
    replica_free(&r);
}

/* A row of the dot log, a parcel: of which no start may say that they rotted, or give them up. */
static void test_whatever_a_start_reads_refuses_it(void **state)
{
    (void)state;
    for (enum index_table table = INDEX_PARTITION; table <= INDEX_PARCEL; table++) {
        struct replica r;
        if (table == INDEX_DATA)
            continue;
        replica_new(&r, 3);
        assert_int_equal(call_code(&r, put_of(GOOD, "v")), 0);
        struct store_result stored =
            call(&r, (struct store_request){.kind = STORE_LOAD, .key = slice_text(GOOD)});
        assert_int_equal(call_code(&r, (struct store_request){.kind = STORE_PARCEL,
                                                              .target = 5,
                                                              .key = slice_text(GOOD),
                                                              .record = slice_blob(stored.record)}),
                         0);
        store_result_release(&stored);
        replica_rest(&r);
        engine_close(r.e, true);
        r.e = NULL;
        value_newer(&r, table, "");
        assert_int_equal(replica_try_open(&r), GT_EFORMAT);
        replica_free(&r);
    }
}

/* ---- a record of a newer format -------------------------------------------------------------- */

/* What the partition's only two keys are shown as in a run; digests: with theirs. */
static void assert_run(struct replica *r, enum store_kind kind, bool digests,
                       const struct blob *newer)
{
    struct store_request request = {
        .kind = kind, .from_start = true, .bytes_max = 1u << 20, .whole = true};
    struct clock none;
    struct buf clock;
    clock_init(&none);
    buf_init(&clock, 100);
    clock_encode(&none, &clock);
    request.clock = buf_slice(&clock);
    struct store_result result = call(r, request);
    assert_int_equal(result.result, 0);
    assert_true(result.newer);
    assert_false(result.unknown); /* nothing is to be mended */
    assert_int_equal(result.entry_count, 2);
    struct reader entries = reader_of(slice_blob(result.entries));
    for (int i = 0; i < 2; i++) {
        bool is_newer = slice_equal(read_bytes(&entries), slice_text(NEWER));
        uint64_t digest = digests ? read_u64(&entries) : 0;
        struct slice record = digests ? slice_of(NULL, 0) : read_bytes(&entries);
        if (is_newer)
            assert_true(digests ? digest == record_digest(slice_blob(newer)) : record.bytes == 0);
        else
            assert_true(digests ? digest != 0 : record.bytes > 0);
    }
    buf_close(&clock);
    store_result_release(&result);
}

static void assert_scrubbed(struct replica *r)
{
    struct store_result result =
        call(r, (struct store_request){.kind = STORE_SCRUB, .bytes_max = 1u << 20});
    assert_true(result.newer);
    assert_false(result.unknown);
    assert_false(result.miscounted);
    assert_false(result.more);
    store_result_release(&result);
}

/* Everything that could put something in its place. */
static void assert_refused(struct replica *r, struct replica *other)
{
    struct slice key = slice_text(NEWER);
    struct buf clock;
    struct engine_partition p;
    buf_init(&clock, 1000);
    engine_partition(other->e, PARTITION, &p);
    clock_encode(p.clock, &clock);
    struct store_result theirs =
        call(other, (struct store_request){.kind = STORE_LOAD, .key = key});
    assert_int_equal(theirs.result, 0);
    const struct store_request all[] = {
        {.kind = STORE_LOAD, .key = key},
        put_of(NEWER, "another"),
        {.kind = STORE_PUT, .key = key, .tombstone = true, .plain = true},
        {.kind = STORE_OPERATION, .key = key, .op = {1}},
        {.kind = STORE_MERGE, .key = key, .record = slice_blob(theirs.record)},
        {.kind = STORE_MERGE,
         .key = key,
         .record = slice_blob(theirs.record),
         .clock = buf_slice(&clock),
         .pulled = true},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        assert_int_equal(call_code(r, all[i]), GT_EFORMAT);
    /* "These are all": it is passed by, but where the partition fills the end of that waits for it.
     */
    struct store_request rest = {
        .kind = STORE_REST, .from_start = true, .clock = buf_slice(&clock)};
    assert_int_equal(call_code(r, rest), engine_filling(r->e, PARTITION) ? GT_EFORMAT : 0);
    buf_close(&clock);
    store_result_release(&theirs);
}

static void assert_there(struct replica *r, const struct blob *newer)
{
    struct blob *record = record_in_index(r, NEWER);
    assert_true(slice_equal(slice_blob(record), slice_blob(newer)));
    blob_unref(record);
}

static void test_a_record_of_a_newer_format_is_left_as_it_is(void **state)
{
    (void)state;
    struct replica r, other;
    replica_new(&r, 4);
    replica_new(&other, 5);
    assert_int_equal(call_code(&r, put_of(GOOD, "v")), 0);
    assert_int_equal(call_code(&r, put_of(NEWER, "v")), 0);
    assert_int_equal(call_code(&other, put_of(NEWER, "what others have")), 0);
    replica_rest(&r);
    struct blob *newer = record_newer(&r, NEWER);
    assert_refused(&r, &other);
    assert_run(&r, STORE_SCAN, false, newer);
    assert_run(&r, STORE_PULL, false, newer);
    assert_run(&r, STORE_VERIFY, true, newer);
    assert_scrubbed(&r);
    assert_int_equal(call_code(&r, put_of(GOOD, "w")), 0);
    assert_there(&r, newer);
    assert_true(engine_metrics(r.e)->newer_records_count > 0);
    assert_int_equal(engine_metrics(r.e)->bad_records_count, 0);
    for (uint32_t i = 0; i < events_count(&r.events); i++)
        assert_int_equal(events_get(&r.events, i)->kind, EVENT_NEWER_RECORD);
    /* Also while the partition fills for another record that is bad, and after starts. */
    assert_int_equal(call_code(&r, (struct store_request){.kind = STORE_FILL, .fill = FILL_ROT}),
                     0);
    assert_refused(&r, &other);
    replica_rest(&r);
    assert_refused(&r, &other);
    assert_there(&r, newer);
    /* Nor does it go with the partition that it is of. */
    assert_int_equal(call_code(&r, (struct store_request){.kind = STORE_DROP}), GT_EFORMAT);
    replica_rest(&r);
    assert_there(&r, newer);
    blob_unref(newer);
    replica_free(&r);
    replica_free(&other);
}

static int get_newer(struct index *x, unsigned lane, enum index_table table, struct slice key,
                     struct blob **value)
{
    (void)x, (void)lane, (void)table, (void)key, (void)value;
    return GT_EFORMAT;
}

/* The index was opened, so that its version was ours: a bit of that has flipped since then
 * (crash_rot --seed 1795709210 --flip 357). */
static void test_an_index_that_turns_newer_has_rotted(void **state)
{
    (void)state;
    struct replica r;
    replica_new(&r, 6);
    assert_int_equal(call_code(&r, put_of(GOOD, "v")), 0);
    replica_rest(&r);
    __typeof__(r.index->get) get = r.index->get;
    r.index->get = get_newer;
    struct store_request load = {.kind = STORE_LOAD, .key = slice_text(GOOD)};
    assert_int_equal(call_code(&r, load), GT_EUNKNOWN);
    assert_int_equal(engine_metrics(r.e)->newer_records_count, 0);
    r.index->get = get;
    assert_int_equal(call_code(&r, load), 0);
    replica_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_folder_says_who_wrote_it_and_a_newer_one_is_refused),
        cmocka_unit_test(test_a_folder_of_an_earlier_version_becomes_ours),
        cmocka_unit_test(test_whatever_a_start_reads_refuses_it),
        cmocka_unit_test(test_a_record_of_a_newer_format_is_left_as_it_is),
        cmocka_unit_test(test_an_index_that_turns_newer_has_rotted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
