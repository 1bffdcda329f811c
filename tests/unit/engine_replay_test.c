/*
 * What a start makes of a log, record by record: the payloads are written here, under checksums
 * that are right. One that is none is refused, since whoever wrote it was no engine of this format;
 * one of an earlier version is read; and what the index has already is not done twice.
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
#include "engine/dotlog.h"
#include "engine/engine_private.h"
#include "tests/lib/lanes.h"
#include "tests/lib/memdisk.h"
#include "tests/lib/memindex.h"

#define PARTITION 7u

static struct {
    struct disk *disk;
    struct index *index;
    struct engine *e;
    struct engine_report report;
    uint64_t seed;
    struct buf payload; /* of the record that is being written */
} here;

static int try_open(void)
{
    struct engine_config config = {.disk = here.disk,
                                   .index = here.index,
                                   .role = "node",
                                   .seed = ++here.seed,
                                   .wall_us = 1700000000000000,
                                   .segment_bytes = WAL_SEGMENT_BYTES_MIN};
    here.e = NULL;
    return engine_open(&config, &here.e, &here.report);
}

static void open_again(void)
{
    engine_close(here.e, false);
    assert_int_equal(try_open(), 0);
}

static int folder_new(void **unused)
{
    (void)unused;
    here.disk = memdisk_new();
    here.index = memindex_new();
    buf_init(&here.payload, 1u << 16);
    return try_open();
}

static int folder_end(void **unused)
{
    (void)unused;
    engine_close(here.e, false);
    here.disk->destroy(here.disk);
    here.index->destroy(here.index);
    buf_close(&here.payload);
    return 0;
}

static void done(struct store_request r)
{
    struct store_result result;
    engine_submit(here.e, &r, 1);
    lanes_run(here.e, LANES_ALL);
    assert_true(engine_result(here.e, &result));
    assert_int_equal(result.result, 0);
    store_result_release(&result);
}

static struct store_request put_of(const char *key, const char *value)
{
    return (struct store_request){.kind = STORE_PUT,
                                  .partition = PARTITION,
                                  .key = slice_text(key),
                                  .value = slice_text(value),
                                  .plain = true,
                                  .stamp = 40};
}

static int unheard(void *arg, const struct wal_record *r)
{
    (void)arg;
    (void)r;
    return 0;
}

/* The engine ends, and its log has one more batch, with the payload that was written. `missing`: so
 * many records are lost before it. Returns its LSN. */
static uint64_t log_end_with(uint8_t type, uint64_t missing)
{
    struct wal_report report;
    struct wal_segment segment;
    struct buf body;
    struct slice payload = buf_slice(&here.payload);
    struct disk *d = here.disk;
    engine_close(here.e, false);
    here.e = NULL;
    assert_int_equal(wal_recover(d, NULL, 1, 0, false, unheard, NULL, &report), 0);
    assert_int_equal(
        wal_segment_make(d, report.last_segment + 1, WAL_SEGMENT_BYTES_MIN, 5, 0, &segment), 0);
    wal_body_init(&body, wal_record_bytes(payload.bytes));
    wal_record_begin(&body, type, payload.bytes);
    buf_put(&body, payload.data, payload.bytes);
    uint64_t lsn = report.last_lsn + 1 + missing;
    uint32_t chain = report.chain + (missing > 0);
    assert_int_equal(wal_batch_seal(&body, 0, 1, lsn, &segment, WAL_BLOCK, &chain), 0);
    assert_int_equal(d->write(d, segment.file, WAL_BLOCK, body.data, body.bytes), 0);
    buf_close(&body);
    wal_segment_close(d, &segment);
    return lsn;
}

/* A start with this record at the end of its log. */
static void assert_replay(int error, uint8_t type)
{
    log_end_with(type, 0);
    int opened = try_open();
    if (opened != error)
        fail_msg("type %u: %s instead of %s", type, error_text(opened), error_text(error));
    buf_clear(&here.payload);
    if (!error)
        return;
    engine_close(here.e, false); /* none */
    here.disk->destroy(here.disk);
    here.index->destroy(here.index);
    here.disk = memdisk_new();
    here.index = memindex_new();
    assert_int_equal(try_open(), 0);
}

static struct engine_partition partition(uint32_t number)
{
    struct engine_partition p;
    engine_partition(here.e, number, &p);
    return p;
}

/* ---- what is no record ----------------------------------------------------------------------- */

static void assert_all_refused(uint8_t type, const char *const *payloads)
{
    for (; *payloads; payloads++) {
        for (const char *at = *payloads; *at; at++)
            buf_u8(&here.payload, (uint8_t)(*at == 'x' ? 0xff : *at == 'o' ? 0 : *at - '0'));
        assert_replay(GT_ECORRUPT, type);
    }
}

/* A digit is that byte, o is zero, x is 255. */
static void what_is_cut_short_is_refused(void **unused)
{
    (void)unused;
    static const char *const any[] = {"x", "xxxo1", "xx9o1", NULL};
    static const char *const named[] = {"x", "o", "9", "1", NULL};
    static const char *const clocks[] = {"x", "7", "72x", "72x9o", "711", "7o3123", NULL};
    static const char *const parcels[] = {"1", "111111117", "1111111171", "11111111xxxo1111", NULL};
    assert_all_refused(LOG_STATE, any);
    assert_all_refused(LOG_REAP, any);
    assert_all_refused(LOG_DROP, any);
    assert_all_refused(LOG_FILL, any);
    assert_all_refused(LOG_META, named);
    assert_all_refused(LOG_CLOCK, clocks);
    assert_all_refused(LOG_PARCEL, parcels);
}

static void partitions_and_names_beyond_the_bounds_are_refused(void **unused)
{
    (void)unused;
    static const uint8_t types[] = {LOG_DROP, LOG_CLOCK, LOG_FILL, LOG_STATE};
    for (size_t i = 0; i < sizeof(types); i++) {
        buf_varint(&here.payload, PARTITIONS_MAX);
        buf_zero(&here.payload, 60);
        assert_replay(GT_ECORRUPT, types[i]);
    }
    uint8_t name[META_NAME_MAX + 1];
    memset(name, 'n', sizeof(name));
    buf_bytes(&here.payload, slice_of(name, sizeof(name)));
    buf_bytes(&here.payload, slice_text("value"));
    assert_replay(GT_ECORRUPT, LOG_META);
    for (int way = 0; way < 3; way++) {
        buf_u64(&here.payload, 5);
        buf_varint(&here.payload, way == 0 ? PARTITIONS_MAX : PARTITION);
        if (way == 2) {
            buf_varint(&here.payload, KEY_BYTES_MAX + 1);
            buf_zero(&here.payload, KEY_BYTES_MAX + 1);
        } else {
            buf_bytes(&here.payload, slice_of("key", way == 0 ? 3 : 0));
        }
        buf_bytes(&here.payload, slice_of(NULL, 0));
        assert_replay(GT_ECORRUPT, LOG_PARCEL);
    }
    buf_u64(&here.payload, 5);
    buf_varint(&here.payload, PARTITION);
    buf_bytes(&here.payload, slice_text("key"));
    buf_bytes(&here.payload, slice_text("no parcel"));
    assert_replay(GT_ECORRUPT, LOG_PARCEL);
}

static void a_fill_that_is_none_is_refused(void **unused)
{
    (void)unused;
    struct fill_record record = {.partition = PARTITION, .fill = slice_text("no fill")};
    fill_record_encode(&record, &here.payload);
    assert_replay(GT_ECORRUPT, LOG_FILL);
    buf_varint(&here.payload, PARTITION);
    buf_bytes(&here.payload, slice_text("\xff")); /* no clock */
    buf_varint(&here.payload, 0);
    assert_replay(GT_ECORRUPT, LOG_CLOCK);
}

static void more_names_than_there_is_room_for_are_refused(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < METAS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "name%u", i);
        done((struct store_request){
            .kind = STORE_META, .key = slice_text(name), .value = slice_text("value")});
    }
    buf_bytes(&here.payload, slice_text("one more"));
    buf_bytes(&here.payload, slice_text("value"));
    assert_replay(GT_ECORRUPT, LOG_META);
}

static void types_of_newer_versions_are_refused_or_skipped(void **unused)
{
    (void)unused;
    buf_u8(&here.payload, 1);
    assert_replay(0, LOG_OPTIONAL_MIN);
    assert_int_equal(here.report.replayed, 0);
    buf_u8(&here.payload, 1);
    assert_replay(GT_EFORMAT, LOG_OPTIONAL_MIN - 1);
}

/* ---- what earlier versions wrote ------------------------------------------------------------- */

/* Without stamps and operations; and a partition that nobody has heard of. */
static void shorter_records_of_earlier_versions_are_read(void **unused)
{
    (void)unused;
    struct clock c;
    struct buf bytes;
    clock_init(&c);
    buf_init(&bytes, 4096);
    assert_int_equal(clock_add(&c, (struct dot){{5, 6}, 7}), 0);
    clock_encode(&c, &bytes);
    buf_varint(&here.payload, 40);
    buf_bytes(&here.payload, buf_slice(&bytes));
    assert_replay(0, LOG_CLOCK);
    assert_true(clock_covers(partition(40).clock, (struct dot){{5, 6}, 7}));
    buf_varint(&here.payload, 40);
    assert_replay(0, LOG_DROP);
    assert_int_equal(partition(40).clock->entry_count, 0);
    assert_false(engine_holds(here.e, 40));
    buf_bytes(&here.payload, slice_text("map"));
    buf_bytes(&here.payload, slice_text("a map"));
    assert_replay(0, LOG_META);
    assert_true(slice_equal(slice_blob(engine_meta(here.e, "map")), slice_text("a map")));
    clock_close(&c);
    buf_close(&bytes);
}

/* ---- what lies behind a gap, or is bad ------------------------------------------------------- */

static void payload_state(const char *key, struct slice record)
{
    buf_varint(&here.payload, PARTITION);
    buf_bytes(&here.payload, slice_text(key));
    buf_u8(&here.payload, PRESENCE_ABSENT);
    buf_varint(&here.payload, 0);
    buf_bytes(&here.payload, record);
    buf_u64(&here.payload, 50);
    buf_varint(&here.payload, 0);
}

static int load(const char *key)
{
    struct store_result result;
    struct store_request r = put_of(key, "");
    r.kind = STORE_LOAD;
    engine_submit(here.e, &r, 1);
    assert_true(engine_result(here.e, &result));
    int error = result.result;
    store_result_release(&result);
    return error;
}

/* The batch was right, its record is not: the key is unknown, and not absent. */
static void a_bad_record_in_a_good_batch_is_unknown(void **unused)
{
    (void)unused;
    done(put_of("good", "value"));
    payload_state("bad", slice_text("no record"));
    assert_replay(0, LOG_STATE);
    assert_int_equal(load("bad"), GT_EUNKNOWN);
    assert_int_equal(load("good"), 0);
    assert_int_equal(engine_metrics(here.e)->bad_records_count, 2); /* at the start, and now */
    assert_int_equal(partition(PARTITION).records, 2);
}

/* Behind a gap a clock may speak of states that are among what is missing: it is left out, and the
 * folder says that it has lost something. A state is believed, not what it says it replaced. */
static void behind_a_gap_clocks_are_left_out(void **unused)
{
    (void)unused;
    struct clock c;
    struct buf bytes;
    clock_init(&c);
    buf_init(&bytes, 4096);
    assert_int_equal(clock_add(&c, (struct dot){{5, 6}, 7}), 0);
    clock_encode(&c, &bytes);
    done(put_of("key", "value"));
    buf_varint(&here.payload, PARTITION);
    buf_bytes(&here.payload, buf_slice(&bytes));
    log_end_with(LOG_CLOCK, 3);
    assert_int_equal(try_open(), 0);
    assert_false(clock_covers(partition(PARTITION).clock, (struct dot){{5, 6}, 7}));
    assert_true(here.report.doubtful);
    assert_true(engine_damage(here.e)->kinds & DAMAGE_MIDDLE);
    assert_true(engine_filling(here.e, PARTITION));
    assert_int_equal(load("key"), 0);
    clock_close(&c);
    buf_close(&bytes);
}

static void behind_a_gap_what_was_there_is_read_again(void **unused)
{
    (void)unused;
    struct store_result result;
    done(put_of("key", "value"));
    open_again();
    lanes_run(here.e, LANES_ALL); /* it is in the index now */
    struct store_request r = put_of("key", "");
    r.kind = STORE_LOAD;
    engine_submit(here.e, &r, 1);
    assert_true(engine_result(here.e, &result));
    payload_state("key", slice_blob(result.record));
    store_result_release(&result);
    log_end_with(LOG_STATE, 3);
    assert_int_equal(try_open(), 0);
    assert_int_equal(partition(PARTITION).records, 1); /* though it says that there was none */
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct slice key = slice_text("key");
    assert_true(
        memindex_flip_key(here.index, index_data_key(at, PARTITION, hash_bytes(key), key), 5));
    engine_close(here.e, false);
    assert_int_equal(try_open(), 0); /* and when that is bad it is believed */
    assert_int_equal(load("key"), 0);
}

/* ---- what the index has already -------------------------------------------------------------- */

/* A checkpoint that did not end wrote this partition: records up to its LSN are in it. */
static void what_a_half_checkpoint_wrote_is_not_done_twice(void **unused)
{
    (void)unused;
    struct store_request r = put_of("key", "value");
    r.partition = 3; /* the first chunk is of it alone */
    done(r);
    done((struct store_request){.kind = STORE_CURSOR, .partition = 3, .value = slice_text("far")});
    r.key = slice_text("other");
    done(r);
    done((struct store_request){.kind = STORE_DROP, .partition = 3});
    struct clock c;
    struct buf bytes;
    clock_init(&c);
    buf_init(&bytes, 4096);
    assert_int_equal(clock_add(&c, (struct dot){{5, 6}, 7}), 0);
    clock_encode(&c, &bytes);
    done((struct store_request){.kind = STORE_CLOCK, .partition = 3, .clock = buf_slice(&bytes)});
    uint64_t cut = here.e->next_lsn - 1;
    struct engine_partition p = partition(3);
    /* Its value as such a chunk would have left it. */
    struct buf value;
    struct counts none = {0};
    struct fill whole;
    fill_init(&whole);
    buf_init(&value, 4096);
    partition_state_encode(cut, &none, p.clock, p.floor, &whole, &value);
    struct slice state = buf_slice(&value);
    struct buf all;
    buf_init(&all, 4096);
    partition_value_encode(state, &here.e->operations, 3, 0, &all);
    struct index_write *w;
    uint8_t at[2];
    assert_int_equal(here.index->begin(here.index, &w), 0);
    assert_int_equal(
        here.index->put(w, INDEX_PARTITION, index_partition_key(at, 3), buf_slice(&all)), 0);
    assert_int_equal(here.index->commit(w), 0);
    open_again();
    assert_int_equal(here.report.replayed, 0);
    assert_int_equal(partition(3).records, 0);
    assert_true(clock_covers(partition(3).clock, (struct dot){{5, 6}, 7}));
    assert_int_equal(engine_cursor(here.e, 3).bytes, 0);
    assert_true(here.e->next_lsn == cut + 1);
    clock_close(&c);
    buf_close(&bytes);
    buf_close(&value);
    buf_close(&all);
}

/* What a record that was lost had counted goes with the last one that is there, at once and when
 * the log is replayed. */
static void the_end_of_a_drop_counts_nothing_any_more(void **unused)
{
    (void)unused;
    done(put_of("lost", "value"));
    open_again();
    lanes_run(here.e, LANES_ALL);
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct slice key = slice_text("lost");
    assert_true(memindex_lose_key(here.index, index_data_key(at, PARTITION, hash_bytes(key), key)));
    assert_int_equal(partition(PARTITION).records, 1);
    done((struct store_request){.kind = STORE_DROP, .partition = PARTITION, .stamp = 60});
    for (int starts = 0; starts < 2; starts++) {
        struct engine_totals totals;
        engine_totals(here.e, &totals);
        assert_int_equal(partition(PARTITION).records, 0);
        assert_int_equal(partition(PARTITION).bytes, 0);
        assert_true(totals.records == 0 && totals.bytes == 0);
        assert_false(engine_holds(here.e, PARTITION));
        open_again();
        assert_true(engine_stamp_max(here.e) >= 60);
    }
}

/* ---- what is bad in the index ---------------------------------------------------------------- */

static void index_put(enum index_table table, struct slice key, struct slice value)
{
    struct index_write *w;
    assert_int_equal(here.index->begin(here.index, &w), 0);
    assert_int_equal(here.index->put(w, table, key, value), 0);
    assert_int_equal(here.index->commit(w), 0);
}

static void meta_put(enum index_table table, struct slice key, struct slice bytes)
{
    struct buf value;
    buf_init(&value, 4096);
    meta_value_encode(key, bytes, &value);
    index_put(table, key, buf_slice(&value));
    buf_close(&value);
}

static void index_remove(enum index_table table, struct slice key)
{
    struct index_write *w;
    assert_int_equal(here.index->begin(here.index, &w), 0);
    assert_int_equal(here.index->remove(w, table, key), 0);
    assert_int_equal(here.index->commit(w), 0);
}

static void assert_start_refused(int error, enum index_table table, struct slice key)
{
    engine_close(here.e, false);
    assert_int_equal(try_open(), error);
    index_remove(table, key);
    assert_int_equal(try_open(), 0);
}

static void a_start_needs_names_and_partitions(void **unused)
{
    (void)unused;
    uint8_t name[META_NAME_MAX + 1];
    memset(name, 'n', sizeof(name));
    index_put(INDEX_META, slice_of(name, sizeof(name)), slice_text("value"));
    assert_start_refused(GT_ECORRUPT, INDEX_META, slice_of(name, sizeof(name)));
    index_put(INDEX_META, slice_text("map"), slice_text("no value"));
    assert_start_refused(GT_ECORRUPT, INDEX_META, slice_text("map"));
    index_put(INDEX_PARTITION, slice_text("abc"), slice_text("value"));
    assert_start_refused(GT_ECORRUPT, INDEX_PARTITION, slice_text("abc"));
    index_put(INDEX_PARTITION, slice_text("ab"), slice_text("no value"));
    assert_start_refused(GT_ECORRUPT, INDEX_PARTITION, slice_text("ab"));
}

/* More of them than there is room for: no engine wrote these. */
static void a_start_has_room_for_so_many_names(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i <= METAS_MAX; i++) {
        char text[16];
        snprintf(text, sizeof(text), "name%u", i);
        meta_put(INDEX_META, slice_text(text), slice_text("value"));
    }
    assert_start_refused(GT_ECORRUPT, INDEX_META, slice_text("name0"));
}

/* What lies in the index where no key of a partition can lie ends the walk over it; a record under
 * the name of another partition is a bad one of that, also where nothing else is known of it. */
static void a_walk_meets_keys_that_have_rotted(void **unused)
{
    (void)unused;
    uint8_t at[INDEX_KEY_BYTES_MAX];
    char long_name[200];
    struct store_result result;
    memset(long_name, 'n', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = 0;
    done(put_of("key", "value"));
    done(put_of(long_name, "value"));
    open_again();
    lanes_run(here.e, LANES_ALL);
    struct slice key = slice_text("other");
    index_put(INDEX_DATA, index_data_key(at, 40, 99, key), slice_text("no record"));
    struct store_request scan = {
        .kind = STORE_SCAN, .partition = 40, .from_start = true, .bytes_max = 4096};
    engine_submit(here.e, &scan, 1);
    assert_true(engine_result(here.e, &result));
    assert_int_equal(result.result, 0);
    assert_true(result.unknown);
    assert_int_equal(result.entry_count, 0);
    store_result_release(&result);
    assert_false(engine_holds(here.e, 40));
    index_put(INDEX_DATA, slice_of("\x00\x07\x00", 3), slice_text("x")); /* before all keys of 7 */
    scan.partition = PARTITION;
    engine_submit(here.e, &scan, 1);
    assert_true(engine_result(here.e, &result));
    assert_int_equal(result.entry_count, 0);
    store_result_release(&result);
    index_remove(INDEX_DATA, slice_of("\x00\x07\x00", 3));
    /* A key longer than a line is cut there. */
    key = slice_text(long_name);
    engine_warm(here.e, PARTITION, key);
    assert_true(
        memindex_flip_key(here.index, index_data_key(at, PARTITION, hash_bytes(key), key), 5));
    assert_int_equal(load(long_name), GT_EUNKNOWN);
    assert_int_equal(load("key"), 0);
}

/* A parcel, or a row of the dot log, is no reason not to start. */
static void a_start_goes_on_without_rows_and_parcels(void **unused)
{
    (void)unused;
    done(put_of("key", "value"));
    open_again();
    lanes_run(here.e, LANES_ALL);
    index_put(INDEX_PARCEL, slice_text("short"), slice_text("x"));
    struct parcel_name name = {9, 10, PARTITION, slice_text("key")};
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct slice key = parcel_index_key(at, &name);
    index_put(INDEX_PARCEL, key, slice_text("no value"));
    index_put(INDEX_LOG, slice_text("short"), slice_text("x"));
    open_again();
    assert_int_equal(engine_metrics(here.e)->bad_records_count, 3);
    assert_int_equal(engine_parcels_for(here.e, 9), 0);
    /* Who lacks anything of a partition is sent every key. */
    assert_true(clock_equal(partition(PARTITION).floor, partition(PARTITION).clock));
    meta_put(INDEX_PARCEL, key, slice_text("short"));
    open_again();
    assert_int_equal(engine_parcels_for(here.e, 9), 0);
}

/* Numbers are given out above everything that was given out before: also above that of a parcel,
 * when the log that told of it is gone. */
static void numbers_go_on_above_those_of_parcels(void **unused)
{
    (void)unused;
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct parcel_name name = {9, hash_bytes(slice_text("key")), PARTITION, slice_text("key")};
    struct buf value;
    buf_init(&value, 4096);
    parcel_value_encode(&(struct parcel_value){.number = 5000, .record = slice_text("record")},
                        &value);
    meta_put(INDEX_PARCEL, parcel_index_key(at, &name), buf_slice(&value));
    open_again();
    assert_int_equal(engine_parcels_for(here.e, 9), 1);
    assert_true(here.e->next_lsn > 5000);
    buf_close(&value);
}

/* A segment that a start made and did not come to use has a number, too. */
static void segments_go_on_above_those_that_are_there(void **unused)
{
    (void)unused;
    char name[DISK_NAME_BYTES];
    struct wal_segment segment;
    done(put_of("key", "value"));
    uint64_t next = here.e->segment_next;
    engine_close(here.e, false);
    here.e = NULL;
    assert_int_equal(wal_segment_make(here.disk, next, WAL_SEGMENT_BYTES_MIN, 9, 0, &segment), 0);
    wal_segment_close(here.disk, &segment);
    assert_int_equal(try_open(), 0);
    assert_true(here.e->segment_next > next + 1);
    done(put_of("key", "another"));
    size_t bytes;
    assert_non_null(memdisk_bytes(here.disk, wal_segment_name(next + 1, name), &bytes));
    open_again();
    assert_false(here.report.doubtful);
    assert_int_equal(load("key"), 0);
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, folder_new, folder_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(what_is_cut_short_is_refused),
        STORY(partitions_and_names_beyond_the_bounds_are_refused),
        STORY(a_fill_that_is_none_is_refused),
        STORY(more_names_than_there_is_room_for_are_refused),
        STORY(types_of_newer_versions_are_refused_or_skipped),
        STORY(shorter_records_of_earlier_versions_are_read),
        STORY(a_bad_record_in_a_good_batch_is_unknown),
        STORY(behind_a_gap_clocks_are_left_out),
        STORY(behind_a_gap_what_was_there_is_read_again),
        STORY(what_a_half_checkpoint_wrote_is_not_done_twice),
        STORY(the_end_of_a_drop_counts_nothing_any_more),
        STORY(numbers_go_on_above_those_of_parcels),
        STORY(segments_go_on_above_those_that_are_there),
        STORY(a_start_needs_names_and_partitions),
        STORY(a_start_has_room_for_so_many_names),
        STORY(a_start_goes_on_without_rows_and_parcels),
        STORY(a_walk_meets_keys_that_have_rotted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
