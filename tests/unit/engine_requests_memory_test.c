/*
 * Memory that runs out under a whole engine, on real files and the real index. Each allocation of a
 * request fails once, on a fresh copy of one folder that has something of everything in it: the
 * request says GT_ENOMEM, nothing has changed, and asked once more it does what it would have done.
 * The same of the jobs of a checkpoint, which are tried again, and of a start.
 */
#include "engine/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/operations.h"
#include "engine/quarantine.h"
#include "tests/lib/lanes.h"
#include "tests/lib/memdisk.h"
#include "tests/lib/memfail.h"
#include "tests/lib/memindex.h"

#define MAP_BYTES 64u << 20
#define HOME      7u   /* the partition with everything in it */
#define ROTTEN    8u   /* it fills, since a record was bad */
#define LEFT      9u   /* it is given up */
#define NEW       300u /* nothing is there yet, nor room for it in the table of partitions */
#define KEYS      30u
#define TARGET    77u
#define LATER_US  60000000u /* what failed is tried again by then */

static char scratch[64]; /* holds `made`, the folder as it was made, and `work`, its copies */
static struct log quiet;

static void unheard(void *arg, enum log_level level, const char *line)
{
    (void)arg;
    if (getenv("GT_TEST_LOG"))
        fprintf(stderr, "%s %s\n", log_level_name(level), line);
}

/* ---- an engine, and what it holds ------------------------------------------------------------ */

struct world {
    struct disk *disk;
    struct index *index;
    struct engine *e;
};

static struct engine_config config_of(const struct world *w, uint64_t seed, uint64_t overlay_bytes)
{
    return (struct engine_config){.disk = w->disk,
                                  .index = w->index,
                                  .log = &quiet,
                                  .role = "node",
                                  .seed = seed,
                                  .wall_us = 1700000000000000,
                                  .segment_bytes = 64u << 10,
                                  .overlay_bytes_max = overlay_bytes,
                                  .chunk_records = 5};
}

static void world_close(struct world *w)
{
    engine_close(w->e, false);
    if (w->index)
        w->index->destroy(w->index);
    if (w->disk)
        w->disk->destroy(w->disk);
    *w = (struct world){0};
}

/* 0, or what the first step that fails says. */
static int world_try_open(struct world *w, const char *name, uint64_t seed)
{
    char folder[80], holder[DISK_HOLDER_BYTES];
    struct engine_report report;
    *w = (struct world){0};
    snprintf(folder, sizeof(folder), "%s/%s", scratch, name);
    int error = disk_posix_new(folder, "test", &quiet, &w->disk, holder);
    if (!error)
        error = index_lmdb_new(folder, MAP_BYTES, &quiet, &w->index);
    struct engine_config config = config_of(w, seed, 1u << 20);
    if (!error)
        error = engine_open(&config, &w->e, &report);
    return error;
}

static void world_open(struct world *w, const char *name, uint64_t seed)
{
    assert_int_equal(world_try_open(w, name, seed), 0);
}

/* All jobs but those of the checkpoint. */
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

/* The nth allocation of the request's admission fails; 0: none. */
static struct store_result call_failing(struct engine *e, const struct store_request *r,
                                        uint64_t nth, bool *failed)
{
    struct store_result result;
    memfail_arm(nth, 0);
    engine_submit(e, r, 1);
    *failed = memfail_disarm() && nth > 0;
    log_run(e);
    assert_true(engine_result(e, &result));
    return result;
}

static struct store_result call(struct engine *e, struct store_request r)
{
    bool failed;
    return call_failing(e, &r, 0, &failed);
}

static void call_ok(struct engine *e, struct store_request r)
{
    struct store_result result = call(e, r);
    assert_int_equal(result.result, 0);
    store_result_release(&result);
}

static struct blob *kept(struct blob *b)
{
    assert_non_null(b);
    return blob_ref(b);
}

/* ---- the summary: whatever an engine would show ---------------------------------------------- */

static void partition_show(struct engine *e, uint32_t number, struct buf *out)
{
    struct engine_partition p;
    engine_partition(e, number, &p);
    buf_varint(out, p.records);
    buf_varint(out, p.live);
    buf_varint(out, p.bytes);
    buf_u64(out, p.digest_sum);
    clock_encode(p.clock, out);
    buf_u8(out, engine_filling(e, number));
    buf_u8(out, engine_holds(e, number));
    buf_bytes(out, engine_cursor(e, number));
    buf_bytes(out, engine_fill_sources(e, number));
    struct store_result keys = call(
        e, (struct store_request){
               .kind = STORE_SCAN, .partition = number, .from_start = true, .bytes_max = 1u << 20});
    assert_int_equal(keys.result, 0);
    assert_false(keys.more);
    buf_bytes(out, slice_blob(keys.entries));
    store_result_release(&keys);
}

/* Their numbers are of the log, and so of how often something was tried. */
static void parcels_show(struct engine *e, struct buf *out)
{
    struct store_result list = call(
        e, (struct store_request){
               .kind = STORE_PARCELS, .target = TARGET, .count_max = 99, .bytes_max = 1u << 20});
    assert_int_equal(list.result, 0);
    buf_varint(out, list.entry_count);
    struct reader r = reader_of(slice_blob(list.entries));
    while (reader_left(&r) > 0) {
        (void)read_u64(&r);
        buf_varint(out, read_varint(&r));
        for (int i = 0; i < 4; i++)
            buf_bytes(out, read_bytes(&r));
        assert_false(r.failed);
    }
    store_result_release(&list);
}

static struct blob *summary(struct engine *e)
{
    static const uint32_t numbers[] = {HOME, ROTTEN, LEFT, NEW};
    struct buf out;
    struct engine_totals totals;
    buf_init(&out, 16u << 20);
    for (int i = 0; i < 4; i++)
        partition_show(e, numbers[i], &out);
    parcels_show(e, &out);
    engine_totals(e, &totals);
    buf_varint(&out, totals.records);
    buf_varint(&out, totals.live);
    buf_varint(&out, totals.bytes);
    buf_varint(&out, totals.parcels);
    buf_varint(&out, totals.parcel_bytes);
    buf_bytes(&out, slice_blob(engine_meta(e, "map")));
    buf_bytes(&out, slice_blob(engine_meta(e, "port")));
    struct blob *all = buf_blob(&out);
    assert_non_null(all);
    buf_close(&out);
    return all;
}

static void assert_shows(struct engine *e, const struct blob *wanted, const char *when,
                         const char *what, uint64_t nth)
{
    struct blob *shown = summary(e);
    bool same = slice_equal(slice_blob(shown), slice_blob(wanted));
    blob_unref(shown);
    if (!same)
        fail_msg("%s, allocation %llu: %s another state is shown", what, (unsigned long long)nth,
                 when);
}

/* ---- what comes from others ------------------------------------------------------------------ */

static struct {
    struct blob *fresh, *fresh_dots;   /* a key that the folder does not have */
    struct blob *beside, *beside_dots; /* concurrent with what it has of key3 */
    struct blob *twice, *twice_dots,
        *twice_rows;                    /* written twice there: with the row of the first */
    struct blob *clock;                 /* of the other */
    struct blob *clock_list;            /* the same as CONFIRM has it */
    struct blob *entries;               /* all of the other's keys, as a pull brings them */
    struct blob *live_dots, *gone_dots; /* of operations of the folder itself */
    struct blob *context;               /* what a client was shown of key5 */
} given;

static const uint8_t op_live[OP_ID_BYTES] = {1, 1}, op_gone[OP_ID_BYTES] = {2, 2};

static struct store_request put_of(uint32_t partition, const char *key, const char *value)
{
    static uint64_t stamp = 1000;
    return (struct store_request){.kind = STORE_PUT,
                                  .partition = partition,
                                  .key = slice_text(key),
                                  .value = slice_text(value),
                                  .plain = true,
                                  .stamp = stamp += 10};
}

static struct store_result put(struct engine *e, struct store_request r)
{
    struct store_result result = call(e, r);
    assert_int_equal(result.result, 0);
    return result;
}

static struct blob *clock_of(struct engine *e)
{
    struct buf bytes;
    struct engine_partition p;
    buf_init(&bytes, 1u << 20);
    engine_partition(e, HOME, &p);
    clock_encode(p.clock, &bytes);
    struct blob *b = buf_blob(&bytes);
    buf_close(&bytes);
    return b;
}

static struct blob *list_of(const struct blob *clock)
{
    struct buf list;
    buf_init(&list, 1u << 20);
    buf_bytes(&list, slice_blob(clock));
    struct blob *b = buf_blob(&list);
    buf_close(&list);
    return b;
}

/* Another node, whose states, dots and clock these are. */
static void given_make(void)
{
    struct world other = {.disk = memdisk_new(), .index = memindex_new()};
    struct engine_config config = config_of(&other, 99, 1u << 20);
    struct engine_report report;
    assert_int_equal(engine_open(&config, &other.e, &report), 0);
    struct store_result r = put(other.e, put_of(HOME, "fresh", "of the other"));
    given.fresh = kept(r.record);
    given.fresh_dots = kept(r.dots);
    store_result_release(&r);
    r = put(other.e, put_of(HOME, "key3", "beside it"));
    given.beside = kept(r.record);
    given.beside_dots = kept(r.dots);
    store_result_release(&r);
    struct store_request first = put_of(HOME, "key4", "first");
    first.op[0] = 9;
    r = put(other.e, first);
    store_result_release(&r);
    r = put(other.e, put_of(HOME, "key4", "second"));
    given.twice = kept(r.record);
    given.twice_dots = kept(r.dots);
    given.twice_rows = kept(r.operations);
    store_result_release(&r);
    given.clock = clock_of(other.e);
    given.clock_list = list_of(given.clock);
    r = call(other.e,
             (struct store_request){
                 .kind = STORE_SCAN, .partition = HOME, .from_start = true, .bytes_max = 1u << 20});
    assert_int_equal(r.result, 0);
    given.entries = kept(r.entries);
    store_result_release(&r);
    world_close(&other);
}

/* ---- the folder ------------------------------------------------------------------------------ */

static void keys_put(struct engine *e, uint32_t partition, const char *value)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key%u", i);
        struct store_request r = put_of(partition, key, value);
        r.op[0] = 100;
        r.op[1] = (uint8_t)i;
        r.op[2] = (uint8_t)(partition + strlen(value));
        r.plain = i % 4 != 0; /* else it stands beside what is there */
        r.tombstone = i % 7 == 6;
        struct store_result result = put(e, r);
        store_result_release(&result);
    }
}

static struct store_request parcel_of(const char *key, const struct blob *record,
                                      const struct blob *dots, const struct blob *rows)
{
    return (struct store_request){.kind = STORE_PARCEL,
                                  .partition = HOME,
                                  .key = slice_text(key),
                                  .record = slice_blob(record),
                                  .dots = slice_blob(dots),
                                  .operations = slice_blob(rows),
                                  .target = TARGET,
                                  .wall_s = 100,
                                  .stamp = 5};
}

static struct store_request meta_of(const char *name, const char *value)
{
    return (struct store_request){
        .kind = STORE_META, .key = slice_text(name), .value = slice_text(value), .stamp = 6};
}

/* What is in the index, and nothing in the log. */
static void older_make(void)
{
    struct world w;
    world_open(&w, "made", 1);
    keys_put(w.e, HOME, "one");
    keys_put(w.e, HOME, "another");
    keys_put(w.e, ROTTEN, "three");
    keys_put(w.e, LEFT, "four");
    call_ok(w.e, meta_of("map", "the first map"));
    call_ok(w.e, parcel_of("fresh", given.fresh, given.fresh_dots, NULL));
    call_ok(w.e, parcel_of("key3", given.beside, given.beside_dots, NULL));
    world_close(&w);
    for (int i = 0; i < 2; i++) { /* what was replayed is written to the index */
        world_open(&w, "made", 2 + (uint64_t)i);
        lanes_run(w.e, LANES_ALL);
        assert_true(engine_idle(w.e));
        engine_close(w.e, true);
        w.e = NULL;
        world_close(&w);
    }
}

/* And what is in the log alone: a record of each type. */
static void newer_make(void)
{
    struct world w;
    world_open(&w, "made", 4);
    struct store_request r = put_of(HOME, "live", "it stands");
    memcpy(r.op, op_live, sizeof(r.op));
    struct store_result result = put(w.e, r);
    given.live_dots = kept(result.dots);
    store_result_release(&result);
    r = put_of(HOME, "gone", "it stood");
    memcpy(r.op, op_gone, sizeof(r.op));
    result = put(w.e, r);
    given.gone_dots = kept(result.dots);
    store_result_release(&result);
    result = put(w.e, put_of(HOME, "gone", "it stands in its place"));
    store_result_release(&result);
    result = put(w.e, put_of(HOME, "key5", "newer than the index"));
    given.context = kept(result.context);
    store_result_release(&result);
    call_ok(w.e, (struct store_request){.kind = STORE_FILL, .partition = ROTTEN, .fill = FILL_ROT});
    call_ok(w.e, (struct store_request){
                     .kind = STORE_CURSOR, .partition = ROTTEN, .value = slice_text("so far")});
    call_ok(w.e, meta_of("port", "4711"));
    call_ok(w.e, parcel_of("key4", given.twice, given.twice_dots, given.twice_rows));
    result = call(w.e, (struct store_request){.kind = STORE_DROP, .partition = LEFT});
    assert_int_equal(result.result, 0);
    store_result_release(&result);
    keys_put(w.e, LEFT, "once more");
    call_ok(w.e, (struct store_request){
                     .kind = STORE_CLOCK, .partition = LEFT, .clock = slice_blob(given.clock)});
    assert_int_equal(engine_metrics(w.e)->checkpoints_count, 0);
    world_close(&w);
}

/* A copy of the folder as it was made takes the place of the one before. */
static void work_renew(void)
{
    char command[256];
    snprintf(command, sizeof(command), "rm -rf %s/work && cp -r %s/made %s/work", scratch, scratch,
             scratch);
    assert_int_equal(system(command), 0);
}

/* On such a copy; with room for the answers, of which there may be no failure: the process would
 * end (engine/base/assert.h). */
static void work_open(struct world *w)
{
    work_renew();
    world_open(w, "work", 10);
    call_ok(w->e, (struct store_request){.kind = STORE_LOAD, .key = slice_text("k")});
}

static int folder_make(void **unused)
{
    (void)unused;
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(scratch, sizeof(scratch), "%s/gtstore-memory-XXXXXX", base);
    log_init(&quiet, LOG_INFO, unheard, NULL);
    if (!mkdtemp(scratch))
        return -1;
    given_make();
    older_make();
    newer_make();
    return 0;
}

static int folder_remove(void **unused)
{
    (void)unused;
    struct blob **all[] = {
        &given.fresh,      &given.fresh_dots, &given.beside, &given.beside_dots, &given.twice,
        &given.twice_dots, &given.twice_rows, &given.clock,  &given.clock_list,  &given.entries,
        &given.live_dots,  &given.gone_dots,  &given.context};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        blob_unref(*all[i]);
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", scratch);
    return system(command);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* What a request does when nothing fails. */
struct outcome {
    struct blob *before, *after; /* summaries */
    struct blob *answer;         /* its entries, when it has any */
    uint32_t entry_count;
};

static void outcome_take(const struct store_request *r, struct outcome *o)
{
    struct world w;
    work_open(&w);
    o->before = summary(w.e);
    struct store_result result = call(w.e, *r);
    assert_int_equal(result.result, 0);
    o->answer = result.entries ? blob_ref(result.entries) : NULL;
    o->entry_count = result.entry_count;
    store_result_release(&result);
    o->after = summary(w.e);
    world_close(&w);
}

static void outcome_close(struct outcome *o)
{
    blob_unref(o->before);
    blob_unref(o->after);
    blob_unref(o->answer);
}

/* Of a run of keys some may be done when the memory is out. */
static bool done_in_steps(const struct store_request *r)
{
    return r->kind == STORE_DROP || r->kind == STORE_REST || r->kind == STORE_CONFIRM;
}

/* A request, the nth allocation of which fails; and once more, when it did. */
static bool one_allocation_fails(const char *what, const struct store_request *r, uint64_t nth,
                                 const struct outcome *o)
{
    struct world w;
    bool failed;
    work_open(&w);
    struct store_result result = call_failing(w.e, r, nth, &failed);
    int error = result.result;
    store_result_release(&result);
    if (error != 0 && (error != GT_ENOMEM || !failed))
        fail_msg("%s, allocation %llu: %s", what, (unsigned long long)nth, error_text(error));
    if (error && !done_in_steps(r))
        assert_shows(w.e, o->before, "after the failure", what, nth);
    /* What could not be reaped is reaped with the next confirmation. */
    bool again = error || (failed && r->kind == STORE_CONFIRM);
    if (again) {
        result = call(w.e, *r);
        assert_int_equal(result.result, 0);
        assert_true(!o->answer || slice_equal(slice_blob(result.entries), slice_blob(o->answer)));
        store_result_release(&result);
    }
    assert_shows(w.e, o->after, "in the end", what, nth);
    world_close(&w);
    world_open(&w, "work", 11);
    assert_shows(w.e, o->after, "at the next start", what, nth);
    world_close(&w);
    return failed;
}

/* At least so many allocations are tried. */
static void every_allocation_fails(const char *what, struct store_request r, uint64_t least)
{
    struct outcome o;
    uint64_t nth = 1;
    outcome_take(&r, &o);
    while (one_allocation_fails(what, &r, nth, &o))
        nth++;
    if (nth <= least)
        fail_msg("%s: only %llu allocations", what, (unsigned long long)nth - 1);
    outcome_close(&o);
}

static void a_put_is_refused_or_done(void **unused)
{
    (void)unused;
    struct store_request r = put_of(HOME, "key5", "a value");
    every_allocation_fails("put", r, 5);
    r.plain = false;
    r.context = slice_blob(given.context);
    every_allocation_fails("put of what was seen", r, 5);
    r = put_of(HOME, "key8", "a value");
    r.plain = false;
    every_allocation_fails("put beside others", r, 5);
    every_allocation_fails("first put", put_of(NEW, "a new key", "a value"), 5);
    r = put_of(HOME, "key4", "");
    r.tombstone = true;
    every_allocation_fails("delete", r, 5);
}

static void a_put_that_is_tried_again_too(void **unused)
{
    (void)unused;
    struct store_request r = put_of(HOME, "live", "it stands");
    memcpy(r.op, op_live, sizeof(r.op));
    r.first_stamp = r.stamp;
    every_allocation_fails("retry of what stands", r, 5);
    r.again = true;
    r.above = 1u << 20;
    r.outranking = slice_blob(given.live_dots);
    every_allocation_fails("put stored again", r, 5);
    r = put_of(HOME, "gone", "it stood");
    memcpy(r.op, op_gone, sizeof(r.op));
    r.first_stamp = r.stamp;
    every_allocation_fails("retry of what stood", r, 3);
}

static struct store_request merge_of(const char *key, const struct blob *record,
                                     const struct blob *dots)
{
    return (struct store_request){.kind = STORE_MERGE,
                                  .partition = HOME,
                                  .key = slice_text(key),
                                  .record = slice_blob(record),
                                  .dots = slice_blob(dots),
                                  .stamp = 50};
}

static void a_merge_is_refused_or_done(void **unused)
{
    (void)unused;
    struct store_request r = merge_of("fresh", given.fresh, given.fresh_dots);
    every_allocation_fails("merge of a new key", r, 5);
    r.dots = slice_of(NULL, 0);
    r.pulled = true;
    r.clock = slice_blob(given.clock);
    every_allocation_fails("merge of what was pulled", r, 5);
    r = merge_of("key3", given.beside, given.beside_dots);
    r.plain = true;
    every_allocation_fails("merge beside others", r, 5);
    r = merge_of("key4", given.twice, given.twice_dots);
    r.operations = slice_blob(given.twice_rows);
    every_allocation_fails("merge with rows", r, 5);
}

static void what_is_not_of_a_key_is_refused_or_done(void **unused)
{
    (void)unused;
    every_allocation_fails("meta", meta_of("map", "the second map"), 1);
    struct store_request r = {
        .kind = STORE_CLOCK, .partition = HOME, .clock = slice_blob(given.clock)};
    every_allocation_fails("clock", r, 2);
    r = (struct store_request){.kind = STORE_FILL, .partition = HOME, .fill = FILL_ROT};
    every_allocation_fails("fill", r, 3);
    uint64_t owners[] = {5, 6};
    r.fill = 0;
    r.value = slice_of(owners, sizeof(owners));
    every_allocation_fails("filled", r, 3);
    r.partition = ROTTEN;
    every_allocation_fails("filled after rot", r, 3);
    r = (struct store_request){
        .kind = STORE_CURSOR, .partition = ROTTEN, .value = slice_text("somewhat further")};
    every_allocation_fails("cursor", r, 3);
    r.partition = NEW;
    every_allocation_fails("first cursor", r, 3);
}

static void runs_of_keys_go_on_where_they_stood(void **unused)
{
    (void)unused;
    every_allocation_fails("drop", (struct store_request){.kind = STORE_DROP, .partition = LEFT},
                           9);
    every_allocation_fails("drop of what is in the index",
                           (struct store_request){.kind = STORE_DROP, .partition = ROTTEN}, 9);
    struct store_request r = {.kind = STORE_REST,
                              .partition = HOME,
                              .from_start = true,
                              .value = slice_blob(given.entries),
                              .clock = slice_blob(given.clock),
                              .stamp = 60};
    every_allocation_fails("rest", r, 5);
    r.partition = ROTTEN;
    r.value = slice_of(NULL, 0);
    every_allocation_fails("rest of a partition that fills", r, 5);
    r = (struct store_request){
        .kind = STORE_CONFIRM, .partition = HOME, .clock = slice_blob(given.clock_list)};
    every_allocation_fails("confirm", r, 2);
}

/* All that the folder has is confirmed by its own clock: its tombstones go. */
static void tombstones_go_or_stay(void **unused)
{
    (void)unused;
    struct world w;
    work_open(&w);
    struct blob *clock = clock_of(w.e), *list = list_of(clock);
    world_close(&w);
    every_allocation_fails(
        "reap",
        (struct store_request){.kind = STORE_CONFIRM, .partition = HOME, .clock = slice_blob(list)},
        9);
    blob_unref(clock);
    blob_unref(list);
}

static void a_parcel_is_kept_or_not(void **unused)
{
    (void)unused;
    struct store_request r = parcel_of("key9", given.fresh, given.fresh_dots, NULL);
    r.key = slice_text("fresh");
    r.target = 5000; /* nothing is kept for it */
    every_allocation_fails("first parcel of a target", r, 5);
    r = parcel_of("key4", given.twice, given.twice_dots, given.twice_rows);
    every_allocation_fails("parcel joined with one in memory", r, 5);
    r = parcel_of("key3", given.beside, given.beside_dots, NULL);
    every_allocation_fails("parcel joined with one in the index", r, 5);
}

/* Its end, by number. */
static void a_parcel_goes_or_stays(void **unused)
{
    (void)unused;
    struct world w;
    work_open(&w);
    struct store_result list = call(
        w.e, (struct store_request){
                 .kind = STORE_PARCELS, .target = TARGET, .count_max = 9, .bytes_max = 1u << 20});
    assert_int_equal(list.result, 0);
    struct store_request r = {.kind = STORE_PARCEL, .target = TARGET, .stamp = 5};
    struct reader entries = reader_of(slice_blob(list.entries));
    r.number = read_u64(&entries);
    r.partition = (uint32_t)read_varint(&entries);
    r.key = read_bytes(&entries);
    assert_false(entries.failed);
    world_close(&w);
    every_allocation_fails("end of a parcel", r, 1);
    store_result_release(&list);
}

static void a_read_answers_or_says_so(void **unused)
{
    (void)unused;
    struct store_request r = {.kind = STORE_LOAD, .partition = HOME, .key = slice_text("key2")};
    every_allocation_fails("load", r, 1);
    r.key = slice_text("key5");
    r.partition = NEW; /* where nothing of the context is known */
    r.context = slice_blob(given.context);
    every_allocation_fails("load with a context", r, 2);
    r = (struct store_request){
        .kind = STORE_SCAN, .partition = HOME, .from_start = true, .bytes_max = 1u << 20};
    every_allocation_fails("scan", r, 3);
    r.kind = STORE_VERIFY;
    every_allocation_fails("verify", r, 3);
    r.kind = STORE_SCRUB;
    every_allocation_fails("scrub", r, 2);
    r = (struct store_request){.kind = STORE_CLOCKS};
    every_allocation_fails("clocks", r, 2);
    r = (struct store_request){.kind = STORE_PARCELS};
    every_allocation_fails("parcels", r, 2);
    r = (struct store_request){
        .kind = STORE_PARCELS, .target = TARGET, .count_max = 9, .bytes_max = 1u << 20};
    every_allocation_fails("parcels of one", r, 2);
}

static void a_pull_answers_or_says_so(void **unused)
{
    (void)unused;
    struct store_request r = {.kind = STORE_PULL,
                              .partition = HOME,
                              .clock = slice_blob(given.clock),
                              .told = slice_blob(given.clock),
                              .from_start = true};
    every_allocation_fails("pull", r, 4);
    r.partition = LEFT;
    r.told = slice_of(NULL, 0);
    every_allocation_fails("pull of a list", r, 4);
    r = (struct store_request){
        .kind = STORE_OPERATION, .partition = HOME, .key = slice_text("live")};
    memcpy(r.op, op_live, sizeof(r.op));
    every_allocation_fails("question for what stands", r, 1);
    r.key = slice_text("gone");
    memcpy(r.op, op_gone, sizeof(r.op));
    every_allocation_fails("question for what stood", r, 2);
}

/* ---- jobs and starts ------------------------------------------------------------------------- */

/* A checkpoint is tried again until it is made; nothing is lost by one that was not. */
static bool checkpoint_fails(uint64_t nth, const struct blob *wanted)
{
    struct world w;
    work_open(&w);
    memfail_arm(nth, 0);
    lanes_run(w.e, LANES_ALL);
    bool failed = memfail_disarm();
    assert_int_equal(engine_poisoned(w.e), 0);
    assert_shows(w.e, wanted, "after a checkpoint", "checkpoint", nth);
    for (uint64_t now_us = LATER_US; engine_metrics(w.e)->checkpoints_count == 0;
         now_us += LATER_US) {
        assert_true(now_us < 9 * LATER_US);
        engine_tick(w.e, now_us);
        engine_tick(w.e, now_us + LATER_US / 2);
        lanes_run(w.e, LANES_ALL);
    }
    assert_int_equal(engine_disk_error(w.e), 0);
    assert_shows(w.e, wanted, "after its checkpoint", "checkpoint", nth);
    world_close(&w);
    world_open(&w, "work", 12);
    assert_shows(w.e, wanted, "at the next start", "checkpoint", nth);
    world_close(&w);
    return failed;
}

static void a_checkpoint_is_tried_again(void **unused)
{
    (void)unused;
    struct world w;
    work_open(&w);
    struct blob *wanted = summary(w.e);
    world_close(&w);
    uint64_t nth = 1;
    while (checkpoint_fails(nth, wanted))
        nth++;
    assert_true(nth > 20);
    blob_unref(wanted);
}

/* What was superseded long ago is known to have happened, or the table of operations says that it
 * does not reach back so far: its rows are given up where there is no memory for them. */
static void assert_operations_told(struct engine *e)
{
    for (uint32_t i = 1; i < KEYS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key%u", i);
        struct store_request r = {.kind = STORE_OPERATION,
                                  .partition = HOME,
                                  .key = slice_text(key),
                                  .op = {100, (uint8_t)i, HOME + sizeof("one") - 1}};
        struct store_result result = call(e, r);
        assert_int_equal(result.result, 0);
        assert_true(result.known_op || result.length_ms == 0);
        store_result_release(&result);
    }
}

/* A start that runs out of memory leaves the folder as it was. */
static bool start_fails(uint64_t nth, const struct blob *wanted)
{
    struct world w;
    work_renew();
    memfail_arm(nth, 0);
    int error = world_try_open(&w, "work", 20);
    bool failed = memfail_disarm();
    if (error && (error != GT_ENOMEM || !failed))
        fail_msg("a start of which allocation %llu fails: %s", (unsigned long long)nth,
                 error_text(error));
    if (!error) {
        assert_operations_told(w.e);
        assert_shows(w.e, wanted, "after the start", "start", nth);
    }
    world_close(&w);
    world_open(&w, "work", 21);
    assert_false(engine_damage(w.e)->kinds);
    assert_shows(w.e, wanted, "at the next start", "start", nth);
    world_close(&w);
    return failed;
}

static void a_start_is_refused_or_whole(void **unused)
{
    (void)unused;
    struct world w;
    work_open(&w);
    struct blob *wanted = summary(w.e);
    world_close(&w);
    uint64_t nth = 1;
    while (start_fails(nth, wanted))
        nth++;
    assert_true(nth > 100);
    blob_unref(wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_put_is_refused_or_done),
        cmocka_unit_test(a_put_that_is_tried_again_too),
        cmocka_unit_test(a_merge_is_refused_or_done),
        cmocka_unit_test(what_is_not_of_a_key_is_refused_or_done),
        cmocka_unit_test(runs_of_keys_go_on_where_they_stood),
        cmocka_unit_test(tombstones_go_or_stay),
        cmocka_unit_test(a_parcel_is_kept_or_not),
        cmocka_unit_test(a_parcel_goes_or_stays),
        cmocka_unit_test(a_read_answers_or_says_so),
        cmocka_unit_test(a_pull_answers_or_says_so),
        cmocka_unit_test(a_checkpoint_is_tried_again),
        cmocka_unit_test(a_start_is_refused_or_whole),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
