/*
 * gtstore-check, as its user sees it: what it says of a folder that is sound, of each thing in it
 * that can be damaged, and what it salvages. The folders are made by a real engine; what is damaged
 * is written with the functions that write such bytes, so that every checksum around it is right.
 */
#include "engine/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/dotlog.h"
#include "engine/parcels.h"
#include "engine/values.h"
#include "tests/lib/lanes.h"

#define MAP_BYTES  64u << 20
#define PARTITION  7u
#define PAGE_BYTES 4096u

static char scratch[64], folder[96];

/* ---- folders --------------------------------------------------------------------------------- */

static struct disk *disk_open(void)
{
    char holder[DISK_HOLDER_BYTES];
    struct disk *d;
    assert_int_equal(disk_posix_new(folder, "test", NULL, &d, holder), 0);
    return d;
}

static struct index *index_open(void)
{
    struct index *x;
    assert_int_equal(index_lmdb_new(folder, MAP_BYTES, NULL, &x), 0);
    return x;
}

struct world {
    struct disk *disk;
    struct index *index;
    struct engine *e;
};

static void world_open(struct world *w)
{
    struct engine_report report;
    w->disk = disk_open();
    w->index = index_open();
    struct engine_config config = {.disk = w->disk,
                                   .index = w->index,
                                   .role = "node",
                                   .seed = 3,
                                   .wall_us = 1700000000000000,
                                   .segment_bytes = WAL_SEGMENT_BYTES_MIN};
    assert_int_equal(engine_open(&config, &w->e, &report), 0);
}

static void world_close(struct world *w, bool clean)
{
    engine_close(w->e, clean);
    w->index->destroy(w->index);
    w->disk->destroy(w->disk);
}

static void log_run(struct engine *e)
{
    static const enum engine_lane lanes[] = {ENGINE_LOG, ENGINE_SEGMENT};
    for (int i = 0; i < 4; i++) {
        struct engine_job *j = engine_job(e, lanes[i % 2]);
        if (!j)
            continue;
        engine_job_run(j);
        engine_job_done(e, j);
    }
}

static struct store_result call(struct world *w, struct store_request r)
{
    struct store_result result;
    engine_submit(w->e, &r, 1);
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

static struct store_request put_of(const char *key, const char *value)
{
    return (struct store_request){.kind = STORE_PUT,
                                  .partition = PARTITION,
                                  .key = slice_text(key),
                                  .value = slice_text(value),
                                  .plain = true,
                                  .stamp = 50};
}

static void deletion(struct world *w, const char *key)
{
    struct store_request r = put_of(key, "");
    r.tombstone = true;
    done(w, r);
}

/* One value, two of one key, a value beside a deletion, a deletion: all in the index, and in the
 * log alone a record of each type. */
static void folder_fill(void)
{
    struct world w;
    world_open(&w);
    done(&w, put_of("one", "1"));
    done(&w, put_of("two", "first"));
    struct store_request beside = put_of("two", "second");
    beside.plain = false;
    done(&w, beside);
    done(&w, put_of("half", "here"));
    beside = put_of("half", "");
    beside.plain = false;
    beside.tombstone = true;
    done(&w, beside);
    deletion(&w, "gone");
    world_close(&w, false);
    world_open(&w);
    lanes_run(w.e, LANES_ALL); /* what was replayed is written to the index */
    assert_true(engine_metrics(w.e)->checkpoints_count == 1);
    struct store_result of_one =
        call(&w, (struct store_request){
                     .kind = STORE_LOAD, .partition = PARTITION, .key = slice_text("one")});
    done(&w, (struct store_request){.kind = STORE_PARCEL,
                                    .partition = PARTITION,
                                    .key = slice_text("one"),
                                    .record = slice_blob(of_one.record),
                                    .target = 9,
                                    .wall_s = 5});
    store_result_release(&of_one);
    done(&w, (struct store_request){
                 .kind = STORE_META, .key = slice_text("map"), .value = slice_text("a map")});
    done(&w, (struct store_request){
                 .kind = STORE_CURSOR, .partition = PARTITION, .value = slice_text("so far")});
    done(&w, put_of("one", "newer"));
    done(&w, put_of("three", "3"));
    done(&w, put_of("three", "three"));
    world_close(&w, false);
}

/* Other partitions' records: those of a drop and of a clock. */
static void folder_fill_others(void)
{
    struct world w;
    struct clock clock;
    struct buf bytes;
    world_open(&w);
    struct store_request r = put_of("left", "behind");
    r.partition = 8;
    done(&w, r);
    done(&w, (struct store_request){.kind = STORE_DROP, .partition = 8});
    clock_init(&clock);
    buf_init(&bytes, 4096);
    assert_int_equal(clock_add(&clock, (struct dot){{77, 5}, 1}), 0);
    clock_encode(&clock, &bytes);
    done(&w,
         (struct store_request){.kind = STORE_CLOCK, .partition = 9, .clock = buf_slice(&bytes)});
    clock_close(&clock);
    buf_close(&bytes);
    world_close(&w, false);
}

static int scratch_make(void **unused)
{
    (void)unused;
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(scratch, sizeof(scratch), "%s/gtstore-check-XXXXXX", base);
    if (!mkdtemp(scratch))
        return -1;
    snprintf(folder, sizeof(folder), "%s/data", scratch);
    folder_fill();
    return 0;
}

static void shell(const char *command)
{
    char line[512];
    snprintf(line, sizeof(line), "cd %s && %s", scratch, command);
    assert_int_equal(system(line), 0);
}

static int scratch_remove(void **unused)
{
    (void)unused;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", scratch);
    return system(command);
}

static int folder_new(void **unused)
{
    (void)unused;
    shell("rm -rf data out out2");
    folder_fill();
    return 0;
}

/* ---- the program ----------------------------------------------------------------------------- */

static char said[64u << 10];

/* Its exit code; what it says, on both streams, is in `said`. */
static int check_run(const char *arguments)
{
    char program[256], command[1024];
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    assert_true(n > 0);
    program[n] = 0;
    *(strrchr(program, '/') + 1) = 0;
    snprintf(command, sizeof(command), "cd %s && %sgtstore-check 2>&1 %s", scratch, program,
             arguments);
    FILE *out = popen(command, "r");
    assert_non_null(out);
    size_t bytes = fread(said, 1, sizeof(said) - 1, out);
    said[bytes] = 0;
    int status = pclose(out);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void assert_says(int code, const char *arguments, const char *what)
{
    int exit_code = check_run(arguments);
    if (exit_code != code || !strstr(said, what))
        fail_msg("gtstore-check %s ends with %d, wanted %d and: %s\n%s", arguments, exit_code, code,
                 what, said);
}

/* ---- bytes that are put in the place of others ----------------------------------------------- */

static void index_put(enum index_table table, struct slice key, struct slice value)
{
    struct index_write *w;
    struct index *x = index_open();
    assert_int_equal(x->begin(x, &w), 0);
    assert_int_equal(x->put(w, table, key, value), 0);
    assert_int_equal(x->commit(w), 0);
    x->destroy(x);
}

static void index_remove(enum index_table table, struct slice key)
{
    struct index_write *w;
    struct index *x = index_open();
    assert_int_equal(x->begin(x, &w), 0);
    assert_int_equal(x->remove(w, table, key), 0);
    assert_int_equal(x->commit(w), 0);
    x->destroy(x);
}

/* Under the checksum of a named value. */
static void meta_put(enum index_table table, struct slice key, struct slice bytes)
{
    struct buf value;
    buf_init(&value, 8192);
    meta_value_encode(key, bytes, &value);
    index_put(table, key, buf_slice(&value));
    buf_close(&value);
}

static int unheard(void *arg, const struct wal_record *r)
{
    (void)arg;
    (void)r;
    return 0;
}

/* A further batch of one record, in a segment of its own. */
static void log_append(uint8_t type, struct slice payload)
{
    struct wal_report report;
    struct wal_segment segment;
    struct buf body;
    struct disk *d = disk_open();
    assert_int_equal(wal_recover(d, NULL, 1, 0, false, unheard, NULL, &report), 0);
    assert_int_equal(
        wal_segment_make(d, report.last_segment + 1, WAL_SEGMENT_BYTES_MIN, 5, 0, &segment), 0);
    wal_body_init(&body, wal_record_bytes(payload.bytes));
    wal_record_begin(&body, type, payload.bytes);
    buf_put(&body, payload.data, payload.bytes);
    assert_int_equal(
        wal_batch_seal(&body, 0, 1, report.last_lsn + 1, &segment, WAL_BLOCK, &report.chain), 0);
    assert_int_equal(d->write(d, segment.file, WAL_BLOCK, body.data, body.bytes), 0);
    buf_close(&body);
    wal_segment_close(d, &segment);
    d->destroy(d);
}

/* The payload of a STATE record of the key `name`, with these bytes as its record. */
static void state_append(const char *name, struct slice record)
{
    struct buf payload;
    buf_init(&payload, 4096);
    buf_varint(&payload, PARTITION);
    buf_bytes(&payload, slice_text(name));
    buf_u8(&payload, PRESENCE_ABSENT);
    buf_varint(&payload, 0);
    buf_bytes(&payload, record);
    buf_u64(&payload, 50);
    buf_varint(&payload, 0);
    log_append(LOG_STATE, buf_slice(&payload));
    buf_close(&payload);
}

static uint64_t word_at(FILE *file, uint64_t offset)
{
    uint8_t raw[8];
    assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
    assert_int_equal(fread(raw, 1, 8, file), 8);
    return le64_get(raw);
}

/* The file of the index, for whoever changes bytes of it, and which of its metas is the newest.
 * Behind the head of its page: u32 magic, u32 version, u64 address, u64 bytes, two trees (of the
 * free pages, of the tables) of 48 bytes each, u64 last page, u64 commit. */
static FILE *pages_open(uint64_t *newest)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/index/data.mdb", folder);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    uint64_t last = 16 + 24 + 48 + 48 + 8;
    *newest = word_at(file, PAGE_BYTES + last) > word_at(file, last) ? PAGE_BYTES : 0;
    return file;
}

static void bytes_set(FILE *file, uint64_t offset, int byte, unsigned count)
{
    assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(fputc(byte, file), byte);
}

/* ---- stories --------------------------------------------------------------------------------- */

static void a_sound_folder_is_called_so(void **unused)
{
    (void)unused;
    assert_says(0, "data", "sound: 4 records in the index, 6 in the log, 0 problems\n");
    assert_null(strstr(said, "damaged"));
    folder_fill_others();
    assert_says(0, "data", "0 problems\n");
    struct world w;
    world_open(&w);
    lanes_run(w.e, LANES_ALL);
    world_close(&w, true);
    assert_says(0, "data", "sound: 5 records in the index, 0 in the log, 0 problems\n");
}

static void every_value_that_can_be_read_is_salvaged(void **unused)
{
    (void)unused;
    assert_says(0, "data --salvage out", "salvaged 4 keys to out\n");
    shell("sort out >sorted");
    assert_says(0, "data --salvage=out2", "salvaged 4 keys to out2\n");
    shell("sort out2 | cmp - sorted");
    /* one, three, two, half: in base64. The log's is newer than the index's. */
    shell("printf '%s\\n' '{\"key64\": \"aGFsZg==\", \"value64\": \"aGVyZQ==\"}' "
          "'{\"key64\": \"b25l\", \"value64\": \"bmV3ZXI=\"}' "
          "'{\"key64\": \"dGhyZWU=\", \"value64\": \"dGhyZWU=\"}' "
          "'{\"key64\": \"dHdv\", \"siblings\": [{\"value64\": \"Zmlyc3Q=\"}, "
          "{\"value64\": \"c2Vjb25k\"}]}' | sort | cmp - sorted");
}

static void what_cannot_be_salvaged_is_said(void **unused)
{
    (void)unused;
    assert_says(1, "data --salvage nowhere/out",
                "gtstore-check: cannot write nowhere/out: No such file or directory\n");
    assert_says(1, "data --salvage /dev/full",
                "gtstore-check: cannot write /dev/full: No space left on device\n");
    state_append("bad", slice_text("no record"));
    assert_says(1, "data --salvage out", "salvaged 4 keys to out\n");
    /* Nothing is written over, least of all what is to be salvaged. */
    shell("cp out before");
    assert_says(2, "data --salvage out",
                "the file exists already, and may be all that is left: out");
    assert_says(2, "data --salvage data/index/data.mdb", "the file exists already");
    shell("cmp out before");
    assert_says(1, "data --salvage out2", "salvaged 4 keys to out2\n");
}

static void what_is_asked_wrongly_is_said(void **unused)
{
    (void)unused;
    assert_says(0, "--help", "usage: gtstore-check DIR [--salvage OUT]\n");
    assert_says(0, "--version", "gtstore-check ");
    assert_says(2, "", "gtstore-check: the data folder of a node is needed; see: gtstore-check");
    assert_says(2, "--salvage", "gtstore-check: --salvage needs a file; see");
    assert_says(2, "data --mend", "gtstore-check: unknown flag --mend; see");
    assert_says(2, "data more", "gtstore-check: unexpected argument more; see");
    assert_says(2, "nowhere", "gtstore-check: no folder can be read at nowhere; see");
    assert_says(1, "/proc", "gtstore-check: no data folder, /proc/index/data.mdb: ");
    assert_says(1, "data >/dev/full", "gtstore-check: stdout: No space left on device\n");
}

static void a_folder_in_use_is_refused(void **unused)
{
    (void)unused;
    struct disk *d = disk_open();
    assert_says(1, "data", "gtstore-check: data is in use by pid ");
    d->destroy(d);
    shell("mv data/node.lock lock && mkdir data/node.lock");
    assert_says(1, "data", "gtstore-check: data: cannot create data/node.lock: Is a directory\n");
    shell("rmdir data/node.lock");
    assert_says(0, "data", "sound: ");
}

/* The lock's lines name the file that it was: another one is a copy's (disk.h). */
static void pages_of_a_copy_are_walked_first(void **unused)
{
    (void)unused;
    shell("printf 'pid 1 gtstore-node\\nfile 1\\n' >data/node.lock");
    assert_says(0, "data", "sound: ");
    shell("truncate -s 20k data/index/data.mdb");
    assert_says(1, "data", "damaged: index its first pages: no node starts on it: damaged data\n");
    shell("truncate -s 0 data/index/data.mdb");
    assert_says(1, "data", "damaged: index its first pages: no node starts on it: damaged data\n");
}

static void named_values_are_verified(void **unused)
{
    (void)unused;
    index_put(INDEX_META, slice_text("port"), slice_text("no value"));
    assert_says(1, "data", "damaged: named value port: damaged data\n");
    index_remove(INDEX_META, slice_text("port"));
    meta_put(INDEX_META, slice_text("applied"), slice_text("short"));
    assert_says(1, "data", "damaged: named value applied: damaged data\n");
    meta_put(INDEX_META, slice_text("identity"), slice_text("short"));
    assert_says(1, "data", "damaged: named value identity: damaged data\n");
    index_remove(INDEX_META, slice_text("identity"));
    assert_says(1, "data", "damaged: named value identity: not found\n");
}

static void partitions_are_verified(void **unused)
{
    (void)unused;
    index_put(INDEX_PARTITION, slice_text("abc"), slice_text("x"));
    assert_says(1, "data", "damaged: partition (no number): damaged data\n");
    assert_non_null(strstr(said, " 1 problem\n"));
    uint8_t at[2];
    index_put(INDEX_PARTITION, index_partition_key(at, 40), slice_text("no value"));
    index_put(INDEX_PARTITION, index_partition_key(at, PARTITIONS_MAX - 1), slice_text("no value"));
    assert_says(1, "data",
                "damaged: partitions 40-40: 0 records in the index, 0 in the log, 1 clocks; counts "
                "or digest sums wrong in 0\n"
                "damaged: partitions 65535-65535: 0 records in the index, 0 in the log, 1 clocks; "
                "counts or digest sums wrong in 0\n");
}

static void records_are_verified(void **unused)
{
    (void)unused;
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct slice key = slice_text("one");
    index_put(INDEX_DATA, index_data_key(at, PARTITION, hash_bytes(key), key), slice_text("bad"));
    assert_says(1, "data",
                "damaged: partitions 7-7: 1 records in the index, 0 in the log, 0 clocks; counts "
                "or digest sums wrong in 1\n");
    key = slice_text("none");
    index_put(INDEX_DATA, index_data_key(at, 41, hash_bytes(key), key), slice_text("bad"));
    assert_says(1, "data", "damaged: partitions 41-41: 1 records in the index");
}

/* Its own checksum is right: it lies where nobody looks for it. */
static void a_record_in_the_wrong_place_is_found(void **unused)
{
    (void)unused;
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct blob *record;
    struct slice key = slice_text("two");
    struct index *x = index_open();
    assert_int_equal(
        x->get(x, 0, INDEX_DATA, index_data_key(at, PARTITION, hash_bytes(key), key), &record), 0);
    x->destroy(x);
    index_put(INDEX_DATA, index_data_key(at, PARTITION, 5, key), slice_blob(record));
    blob_unref(record);
    assert_says(1, "data", "damaged: partitions 7-7: 1 records in the index, 0 in the log");
    index_put(INDEX_DATA, slice_text("\x09"), slice_text("x"));
    assert_says(1, "data", "damaged: key of the index (too short): damaged data\n");
}

static void rows_and_parcels_are_verified(void **unused)
{
    (void)unused;
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct slice row = dotlog_index_key(at, PARTITION, (struct dot){{5, 6}, 7});
    index_put(INDEX_LOG, row, slice_text("no value"));
    assert_says(1, "data", "damaged: row of the dot log of a live sibling: damaged data\n");
    index_remove(INDEX_LOG, row);
    index_put(INDEX_LOG, slice_text("short"), slice_text("x"));
    assert_says(1, "data", "damaged: row of the dot log of a live sibling: damaged data\n");
    index_remove(INDEX_LOG, slice_text("short"));
    const char *parcel = "damaged: parcel kept for another owner: damaged data\n";
    index_put(INDEX_PARCEL, slice_text("short"), slice_text("x"));
    assert_says(1, "data", parcel);
    index_remove(INDEX_PARCEL, slice_text("short"));
    struct parcel_name name = {9, 10, PARTITION, slice_text("key")};
    struct slice parcel_key = parcel_index_key(at, &name);
    index_put(INDEX_PARCEL, parcel_key, slice_text("no value"));
    assert_says(1, "data", parcel);
    meta_put(INDEX_PARCEL, parcel_key, slice_text("short"));
    assert_says(1, "data", parcel);
    struct buf value;
    buf_init(&value, 4096);
    parcel_value_encode(&(struct parcel_value){.number = 1, .record = slice_text("no record")},
                        &value);
    meta_put(INDEX_PARCEL, parcel_key, buf_slice(&value));
    buf_close(&value);
    assert_says(1, "data", parcel);
    index_remove(INDEX_PARCEL, parcel_key);
    assert_says(0, "data", "sound: ");
}

static void records_of_the_log_are_verified(void **unused)
{
    (void)unused;
    log_append(200, slice_text("whatever")); /* whoever does not know it may skip it */
    assert_says(0, "data", "sound: 4 records in the index, 7 in the log, 0 problems\n");
    state_append("bad", slice_text("no record"));
    assert_says(1, "data",
                "damaged: partitions 7-7: 0 records in the index, 1 in the log, 0 clocks; counts "
                "or digest sums wrong in 0\n");
    log_append(LOG_STATE, slice_text("\xff"));
    assert_says(1, "data", "damaged: log record lsn ");
    assert_non_null(strstr(said, ": damaged data\n"));
    log_append(99, slice_text("whatever"));
    assert_says(1, "data", " type 99: unknown or newer format\n");
}

/* Of an index without its first pages nothing is known, and of the log all is. */
static void what_the_log_has_is_salvaged_though_no_index_is_left(void **unused)
{
    (void)unused;
    shell("dd if=/dev/zero of=data/index/data.mdb bs=4096 count=2 conv=notrunc status=none");
    assert_says(1, "data --salvage out", "damaged: index: records cannot be read from the first");
    assert_non_null(strstr(said, "damaged: index its first pages: no node starts on it"));
    assert_non_null(strstr(said, "damaged: 0 records in the index, 6 in the log"));
    assert_non_null(strstr(said, "salvaged 2 keys to out\n"));
    shell(
        "printf '%s\\n' '{\"key64\": \"b25l\", \"value64\": \"bmV3ZXI=\"}' "
        "'{\"key64\": \"dGhyZWU=\", \"value64\": \"dGhyZWU=\"}' >wanted; sort out | cmp - wanted");
}

/* A key whose end the log holds is not salvaged from the index. */
static void what_went_in_the_log_has_gone(void **unused)
{
    (void)unused;
    struct buf payload;
    buf_init(&payload, 4096);
    buf_varint(&payload, PARTITION);
    buf_bytes(&payload, slice_text("half"));
    buf_u8(&payload, PRESENCE_VALUE);
    buf_u64(&payload, 1);
    buf_varint(&payload, 1);
    buf_varint(&payload, 0);
    buf_bytes(&payload, slice_of(NULL, 0));
    buf_u64(&payload, 50);
    buf_varint(&payload, 0);
    log_append(LOG_REAP, buf_slice(&payload));
    buf_close(&payload);
    assert_says(0, "data --salvage out", "salvaged 3 keys to out\n");
    shell("! grep aGFsZg out");
}

static void an_end_of_the_log_that_was_durable_is_missed(void **unused)
{
    (void)unused;
    struct buf bytes;
    buf_init(&bytes, 4096);
    applied_encode(&(struct applied_value){.lsn = 4, .floor_segment = 1, .highest_lsn = 4000},
                   &bytes);
    meta_put(INDEX_META, slice_text("applied"), buf_slice(&bytes));
    buf_close(&bytes);
    assert_says(1, "data", "damaged: log wal/: ends before lsn 4000, which was durable\n");
    shell("rm -r data/wal");
    assert_says(1, "data", "damaged: log wal/: it is gone, and what the index lacks of it\n");
    shell("rm -rf data/wal && touch data/wal");
    assert_says(1, "data", "damaged: log wal/: input/output error\n");
}

static void an_unfinished_batch_is_no_damage(void **unused)
{
    (void)unused;
    state_append("torn", slice_of(NULL, 0));
    shell("f=$(ls data/wal/*.wal | tail -n 1); "
          "printf x | dd of=$f bs=1 seek=4170 conv=notrunc status=none");
    assert_says(0, "data", "note: the log ends in an unfinished batch, as it does after a crash\n");
}

static void a_commit_that_is_not_whole_is_no_damage(void **unused)
{
    (void)unused;
    uint64_t newest;
    meta_put(INDEX_META, slice_text("port"), slice_text("4711"));
    FILE *file = pages_open(&newest);
    bytes_set(file, newest, 0xff, 100);
    assert_int_equal(fclose(file), 0);
    assert_says(0, "data", "note: the index goes on from the commit before its last one");
}

/* The trees of the free pages, of both commits: their pages say that they are others. */
static void a_list_of_free_pages_that_is_bad_is_said(void **unused)
{
    (void)unused;
    uint64_t newest;
    FILE *file = pages_open(&newest);
    for (int meta = 0; meta < 2; meta++) {
        uint64_t root = word_at(file, (uint64_t)meta * PAGE_BYTES + 16 + 24 + 40);
        assert_true(root > 1 && root < 1000);
        bytes_set(file, root * PAGE_BYTES, 0x55, 8);
    }
    assert_int_equal(fclose(file), 0);
    assert_says(1, "data", "damaged: index its list of free pages: damaged data\n");
}

/* So many that the records lie in more than one page; then one of these says that it is another. */
static void many_struck(const char *value)
{
    struct world w;
    uint64_t newest, struck = 0;
    world_open(&w);
    for (int i = 0; i < 300; i++) {
        struct store_result result;
        char key[16];
        snprintf(key, sizeof(key), "key%d", i);
        struct store_request r =
            put_of(key, "a value of which some hundreds do not fit into one page");
        engine_submit(w.e, &r, 1);
        lanes_run(w.e, LANES_ALL);
        assert_true(engine_result(w.e, &result));
        assert_int_equal(result.result, 0);
        store_result_release(&result);
    }
    world_close(&w, false);
    world_open(&w);
    lanes_run(w.e, LANES_ALL);
    world_close(&w, true);
    FILE *file = pages_open(&newest);
    fseek(file, 0, SEEK_END);
    uint64_t pages = (uint64_t)ftell(file) / PAGE_BYTES;
    for (uint64_t page = 2; page < pages; page++) {
        uint8_t bytes[PAGE_BYTES];
        fseek(file, (long)(page * PAGE_BYTES), SEEK_SET);
        assert_int_equal(fread(bytes, 1, PAGE_BYTES, file), PAGE_BYTES);
        if (!memmem(bytes, PAGE_BYTES, value, strlen(value)))
            continue;
        bytes_set(file, page * PAGE_BYTES, 0x55, 8);
        struck++;
    }
    assert_true(struck > 0);
    assert_int_equal(fclose(file), 0);
}

static void keys_of_a_damaged_page_are_named(void **unused)
{
    (void)unused;
    many_struck("second");
    assert_says(1, "data --salvage out", "damaged: index: records cannot be read from ");
    assert_non_null(strstr(said, "partition 7 hash "));
    shell("test $(wc -l <out) -gt 200"); /* what lies beside it is salvaged */
    shell("! grep dHdv out");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_sound_folder_is_called_so, folder_new),
        cmocka_unit_test_setup(every_value_that_can_be_read_is_salvaged, folder_new),
        cmocka_unit_test_setup(what_cannot_be_salvaged_is_said, folder_new),
        cmocka_unit_test_setup(what_the_log_has_is_salvaged_though_no_index_is_left, folder_new),
        cmocka_unit_test_setup(what_is_asked_wrongly_is_said, folder_new),
        cmocka_unit_test_setup(a_folder_in_use_is_refused, folder_new),
        cmocka_unit_test_setup(pages_of_a_copy_are_walked_first, folder_new),
        cmocka_unit_test_setup(named_values_are_verified, folder_new),
        cmocka_unit_test_setup(partitions_are_verified, folder_new),
        cmocka_unit_test_setup(records_are_verified, folder_new),
        cmocka_unit_test_setup(a_record_in_the_wrong_place_is_found, folder_new),
        cmocka_unit_test_setup(rows_and_parcels_are_verified, folder_new),
        cmocka_unit_test_setup(records_of_the_log_are_verified, folder_new),
        cmocka_unit_test_setup(what_went_in_the_log_has_gone, folder_new),
        cmocka_unit_test_setup(an_end_of_the_log_that_was_durable_is_missed, folder_new),
        cmocka_unit_test_setup(an_unfinished_batch_is_no_damage, folder_new),
        cmocka_unit_test_setup(a_commit_that_is_not_whole_is_no_damage, folder_new),
        cmocka_unit_test_setup(a_list_of_free_pages_that_is_bad_is_said, folder_new),
        cmocka_unit_test_setup(keys_of_a_damaged_page_are_named, folder_new),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
