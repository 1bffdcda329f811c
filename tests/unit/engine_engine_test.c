/* The engine on a disk and an index in memory, its jobs run inline, in an order drawn from a seed.
 */
#include "engine/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/base/assert.h"
#include "engine/base/crc.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/prng.h"
#include "engine/engine_private.h"
#include "tests/lib/memdisk.h"
#include "tests/lib/memindex.h"

/* ---- the rig --------------------------------------------------------------------------------- */

enum stage { STAGE_NONE, STAGE_TAKEN, STAGE_RAN };

struct rig {
    struct disk *disk;
    struct index *index;
    struct log log;
    struct prng prng;
    struct engine_config config;
    struct engine *e;
    struct engine_report report;
    uint64_t now_us, boots;
    struct engine_job *jobs[ENGINE_LANES];
    enum stage stages[ENGINE_LANES];
    uint64_t next_tag;
    uint32_t warnings;
};

static void count_warnings(void *arg, enum log_level level, const char *line)
{
    struct rig *rig = arg;
    rig->warnings += level <= LOG_WARN;
    if (getenv("GT_TEST_LOG"))
        fprintf(stderr, "%s %s\n", log_level_name(level), line);
}

static void rig_init(struct rig *rig, uint64_t seed)
{
    memset(rig, 0, sizeof(*rig));
    rig->disk = memdisk_new();
    rig->index = memindex_new();
    log_init(&rig->log, LOG_INFO, count_warnings, rig);
    prng_init(&rig->prng, seed);
    rig->now_us = 1000;
    rig->boots = 1;
    rig->config = (struct engine_config){.disk = rig->disk,
                                         .index = rig->index,
                                         .log = &rig->log,
                                         .role = "node",
                                         .seed = seed,
                                         .wall_us = 1700000000000000u,
                                         .segment_bytes = WAL_SEGMENT_BYTES_MIN,
                                         .overlay_bytes_max = 1u << 20};
}

static int rig_try_open(struct rig *rig)
{
    memset(rig->config.boot_id, 0, 16);
    le64_put(rig->config.boot_id, rig->boots);
    rig->config.seed = prng_next(&rig->prng);
    memset(rig->stages, 0, sizeof(rig->stages));
    rig->e = NULL;
    return engine_open(&rig->config, &rig->e, &rig->report);
}

static void rig_open(struct rig *rig)
{
    assert_int_equal(rig_try_open(rig), 0);
}

static void rig_new(struct rig *rig, uint64_t seed)
{
    rig_init(rig, seed);
    rig_open(rig);
}

/* The process dies; what it wrote stays in the cache of the machine. */
static void rig_kill(struct rig *rig)
{
    engine_close(rig->e, false);
    rig->e = NULL;
    memdisk_fail(rig->disk, MEMDISK_ANY, 0, 0, false);
    memindex_crash(rig->index);
}

/* The machine loses power. */
static void rig_power_cut(struct rig *rig)
{
    memdisk_crash(rig->disk, prng_next(&rig->prng));
    rig_kill(rig);
    rig->boots++;
}

static void rig_free(struct rig *rig)
{
    engine_close(rig->e, false);
    assert_int_equal(memdisk_open_files(rig->disk), 0);
    rig->disk->destroy(rig->disk);
    rig->index->destroy(rig->index);
}

/* One step of one lane: takes a job, runs it, or brings it back. False when it has nothing. */
static bool lane_step(struct rig *rig, int lane)
{
    switch (rig->stages[lane]) {
    case STAGE_NONE:
        rig->jobs[lane] = engine_job(rig->e, (enum engine_lane)lane);
        if (!rig->jobs[lane])
            return false;
        rig->stages[lane] = STAGE_TAKEN;
        return true;
    case STAGE_TAKEN:
        engine_job_run(rig->jobs[lane]);
        rig->stages[lane] = STAGE_RAN;
        return true;
    default:
        rig->stages[lane] = STAGE_NONE;
        engine_job_done(rig->e, rig->jobs[lane]);
        return true;
    }
}

/* Steps of random lanes. */
static void rig_steps(struct rig *rig, uint64_t count)
{
    for (; count > 0; count--)
        lane_step(rig, (int)prng_below(&rig->prng, ENGINE_LANES));
}

/* Until no lane has anything to do. */
static void rig_settle(struct rig *rig)
{
    bool any = true;
    while (any) {
        any = false;
        for (int lane = 0; lane < ENGINE_LANES; lane++)
            any |= lane_step(rig, lane);
    }
}

/* 5 ms in which nothing is written. */
static void rig_rest(struct rig *rig)
{
    rig_settle(rig);
    engine_tick(rig->e, rig->now_us);
    rig->now_us += 5000;
    engine_tick(rig->e, rig->now_us);
    rig_settle(rig);
}

static void rig_close(struct rig *rig)
{
    rig_settle(rig);
    engine_close(rig->e, true);
    rig->e = NULL;
}

static void rig_reopen(struct rig *rig)
{
    rig_close(rig);
    rig_open(rig);
}

/* ---- requests -------------------------------------------------------------------------------- */

#define PARTITIONS 4u

static uint32_t partition_of(struct slice key)
{
    return hash_partition(hash_bytes(key), PARTITIONS);
}

static struct store_request put_of(const char *key, struct slice value)
{
    struct store_request r = {.kind = STORE_PUT,
                              .partition = partition_of(slice_text(key)),
                              .key = slice_text(key),
                              .value = value,
                              .plain = true,
                              .stamp = 1};
    return r;
}

/* Copies what the request points to into its hold, as a machine does. */
static void submit(struct rig *rig, struct store_request r)
{
    struct slice *slices[] = {&r.key,  &r.value,    &r.context,   &r.record,
                              &r.dots, &r.from_key, &r.operations};
    size_t bytes = 0;
    for (int i = 0; i < 7; i++)
        bytes += slices[i]->bytes;
    r.hold = blob_new(bytes);
    uint8_t *at = r.hold->data;
    for (int i = 0; i < 7; i++) {
        if (slices[i]->bytes > 0)
            memcpy(at, slices[i]->data, slices[i]->bytes);
        slices[i]->data = at;
        at += slices[i]->bytes;
    }
    engine_submit(rig->e, &r, rig->now_us);
}

/* Submits and runs lanes until the result of this request is there; others are dropped. */
static struct store_result call(struct rig *rig, struct store_request r)
{
    struct store_result result;
    r.tag = ++rig->next_tag | 1ull << 63;
    submit(rig, r);
    for (int idle = 0; idle < 2;) {
        while (engine_result(rig->e, &result)) {
            if (result.tag == r.tag)
                return result;
            store_result_release(&result);
        }
        bool any = false;
        for (int lane = 0; lane < ENGINE_LANES; lane++)
            any |= lane_step(rig, lane);
        idle = any ? 0 : idle + 1;
    }
    fail_msg("no result");
    return result;
}

static int call_code(struct rig *rig, struct store_request r)
{
    struct store_result result = call(rig, r);
    store_result_release(&result);
    return result.result;
}

static int put(struct rig *rig, const char *key, const char *value)
{
    return call_code(rig, put_of(key, slice_text(value)));
}

static struct store_result load_key(struct rig *rig, struct slice key)
{
    struct store_request r = {.kind = STORE_LOAD, .partition = partition_of(key), .key = key};
    return call(rig, r);
}

/* The state of a key, which borrows from *record (to be released). */
static void load_state(struct rig *rig, struct slice key, struct state *state, struct blob **record)
{
    struct store_result r = load_key(rig, key);
    assert_int_equal(r.result, 0);
    state_clear(state);
    assert_int_equal(record_decode(slice_blob(r.record), partition_of(key), key, state), 0);
    *record = blob_ref(r.record);
    store_result_release(&r);
}

static void assert_value(struct rig *rig, const char *key, const char *value)
{
    struct state state;
    struct blob *record;
    state_init(&state);
    load_state(rig, slice_text(key), &state, &record);
    const struct sibling *winner = state_winner(&state);
    if (!value) {
        assert_true(!winner || winner->flags & SIBLING_TOMBSTONE);
    } else {
        assert_non_null(winner);
        assert_true(slice_equal(winner->value, slice_text(value)));
    }
    state_close(&state);
    blob_unref(record);
}

static uint32_t sibling_count(struct rig *rig, const char *key)
{
    struct state state;
    struct blob *record;
    state_init(&state);
    load_state(rig, slice_text(key), &state, &record);
    uint32_t count = state.sibling_count;
    state_close(&state);
    blob_unref(record);
    return count;
}

static uint64_t highest_own(struct rig *rig, uint32_t partition)
{
    struct engine_partition p;
    const struct engine_identity *id = engine_identity(rig->e);
    engine_partition(rig->e, partition, &p);
    return clock_highest(p.clock, (struct actor){id->node_id, id->incarnation});
}

/* ---- checks ---------------------------------------------------------------------------------- */

struct recount {
    uint64_t records, live, bytes, digest_sum;
};

/* Counts a partition by scanning it in small pieces; the keys must ascend. */
static struct recount recount_partition(struct rig *rig, uint32_t partition, uint32_t bytes_max)
{
    struct recount c = {0};
    struct state state;
    state_init(&state);
    uint8_t from[KEY_BYTES_MAX];
    struct store_request r = {
        .kind = STORE_SCAN, .partition = partition, .from_start = true, .bytes_max = bytes_max};
    for (bool more = true; more;) {
        struct store_result result = call(rig, r);
        assert_int_equal(result.result, 0);
        struct reader reader = reader_of(slice_blob(result.entries));
        for (uint32_t i = 0; i < result.entry_count; i++) {
            struct slice key = read_bytes(&reader), record = read_bytes(&reader);
            assert_false(reader.failed);
            uint64_t hash = hash_bytes(key);
            if (!r.from_start)
                assert_true(hash > r.from_hash ||
                            (hash == r.from_hash && slice_compare(key, r.from_key) > 0));
            assert_int_equal(partition_of(key), partition);
            state_clear(&state);
            assert_int_equal(record_decode(record, partition, key, &state), 0);
            const struct sibling *winner = state_winner(&state);
            c.records++;
            c.live += winner && !(winner->flags & SIBLING_TOMBSTONE);
            c.bytes += key.bytes + record.bytes;
            c.digest_sum += record_digest(record);
            struct store_result loaded = load_key(rig, key);
            assert_true(slice_equal(slice_blob(loaded.record), record));
            store_result_release(&loaded);
            r.from_start = false;
            r.from_hash = hash;
            memcpy(from, key.data, key.bytes);
            r.from_key = slice_of(from, key.bytes);
        }
        assert_int_equal(reader_left(&reader), 0);
        more = result.more;
        assert_true(!more || result.entry_count > 0);
        store_result_release(&result);
    }
    state_close(&state);
    return c;
}

static void assert_counts(struct rig *rig)
{
    struct engine_totals totals;
    uint64_t records = 0, live = 0, bytes = 0;
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        struct recount c = recount_partition(rig, i, (uint32_t)prng_below(&rig->prng, 20000));
        struct engine_partition p;
        engine_partition(rig->e, i, &p);
        assert_int_equal(p.records, c.records);
        assert_int_equal(p.live, c.live);
        assert_int_equal(p.bytes, c.bytes);
        assert_int_equal(p.digest_sum, c.digest_sum);
        records += c.records, live += c.live, bytes += c.bytes;
    }
    engine_totals(rig->e, &totals);
    assert_int_equal(totals.records, records);
    assert_int_equal(totals.live, live);
    assert_int_equal(totals.bytes, bytes);
}

/* ---- stories: requests ----------------------------------------------------------------------- */

static void test_put_get_overwrite_delete(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 1);
    assert_true(rig.report.fresh);
    assert_value(&rig, "key1", NULL);
    assert_int_equal(put(&rig, "key1", "value1"), 0);
    assert_value(&rig, "key1", "value1");
    assert_int_equal(put(&rig, "key1", "value2"), 0);
    assert_value(&rig, "key1", "value2");
    assert_int_equal(sibling_count(&rig, "key1"), 1);
    struct store_request r = put_of("key1", slice_of(NULL, 0));
    r.tombstone = true;
    assert_int_equal(call_code(&rig, r), 0);
    assert_value(&rig, "key1", NULL);
    assert_counts(&rig);
    rig_reopen(&rig);
    assert_false(rig.report.fresh);
    assert_true(rig.report.wal.clean);
    assert_value(&rig, "key1", NULL);
    assert_counts(&rig);
    rig_free(&rig);
}

static void test_contexts_make_and_replace_siblings(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 2);
    struct store_request r = put_of("cart", slice_text("milk"));
    r.plain = false;
    struct store_result first = call(&rig, r);
    assert_int_equal(first.result, 0);
    assert_int_equal(dots_count(slice_blob(first.dots)), 1);
    r.value = slice_text("bread");
    struct store_result second = call(&rig, r); /* has seen nothing */
    assert_int_equal(sibling_count(&rig, "cart"), 2);
    r.value = slice_text("milk and eggs");
    r.context = slice_blob(first.context); /* has seen the first alone */
    struct store_result third = call(&rig, r);
    assert_int_equal(third.result, 0);
    /* The new one, what it replaced, and the sibling that stays (RULES 1). */
    assert_int_equal(dots_count(slice_blob(third.dots)), 3);
    assert_int_equal(
        dot_compare(dots_at(slice_blob(third.dots), 2), dots_at(slice_blob(second.dots), 0)), 0);
    struct dot replaced = dots_at(slice_blob(third.dots), 1);
    assert_int_equal(dot_compare(replaced, dots_at(slice_blob(first.dots), 0)), 0);
    assert_int_equal(sibling_count(&rig, "cart"), 2);
    assert_true(third.stamp > second.stamp && second.stamp > first.stamp);
    store_result_release(&first);
    store_result_release(&second);
    store_result_release(&third);
    rig_free(&rig);
}

static void test_results_wait_for_the_sync(void **unused)
{
    (void)unused;
    struct rig rig;
    struct store_result r;
    rig_new(&rig, 3);
    submit(&rig, put_of("a", slice_text("1")));
    struct store_request get = {
        .kind = STORE_LOAD, .partition = partition_of(slice_text("a")), .key = slice_text("a")};
    struct store_request absent = {
        .kind = STORE_LOAD, .partition = partition_of(slice_text("b")), .key = slice_text("b")};
    submit(&rig, get);
    submit(&rig, absent);
    /* The absent key shows nothing that is not durable. */
    assert_true(engine_result(rig.e, &r));
    assert_int_equal(r.kind, STORE_LOAD);
    assert_null(r.record);
    assert_false(engine_result(rig.e, &r));
    lane_step(&rig, ENGINE_LOG);
    lane_step(&rig, ENGINE_LOG);
    assert_false(engine_result(rig.e, &r));
    lane_step(&rig, ENGINE_LOG);
    assert_true(engine_result(rig.e, &r));
    assert_int_equal(r.kind, STORE_PUT);
    store_result_release(&r);
    assert_true(engine_result(rig.e, &r));
    assert_int_equal(r.kind, STORE_LOAD);
    assert_non_null(r.record);
    store_result_release(&r);
    rig_free(&rig);
}

static void test_refused_puts_mint_nothing(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_init(&rig, 4);
    rig.config.value_bytes_max = 100;
    rig_open(&rig);
    assert_int_equal(put(&rig, "k", "v"), 0);
    uint32_t partition = partition_of(slice_text("k"));
    uint64_t minted = highest_own(&rig, partition);
    uint8_t bytes[600] = {'x'};
    struct store_request r = put_of("k", slice_of(bytes, 101));
    assert_int_equal(call_code(&rig, r), GT_ELIMIT);
    r = put_of("k", slice_text("v"));
    r.key = slice_of(bytes, 0);
    assert_int_equal(call_code(&rig, r), GT_ELIMIT);
    r.key = slice_of(bytes, 481);
    assert_int_equal(call_code(&rig, r), GT_ELIMIT);
    r = put_of("k", slice_text("v"));
    r.context = slice_text("no context at all");
    assert_int_equal(call_code(&rig, r), GT_ECONTEXT);
    assert_int_equal(highest_own(&rig, partition), minted);
    r.key = slice_of(bytes, 480);
    r.partition = partition_of(r.key);
    r.context = slice_of(NULL, 0);
    assert_int_equal(call_code(&rig, r), 0);
    rig_free(&rig);
}

static void test_a_context_of_dots_never_minted_is_refused(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 5);
    const struct engine_identity *id = engine_identity(rig.e);
    struct actor self = {id->node_id, id->incarnation};
    struct history h;
    struct buf context;
    history_init(&h);
    buf_init(&context, CONTEXT_BYTES_MAX);
    assert_int_equal(history_add(&h, (struct dot){self, 7}), 0);
    context_encode(&h, hash_bytes(slice_text("k")), &context);
    struct store_request r = put_of("k", slice_text("v"));
    r.context = buf_slice(&context);
    assert_int_equal(call_code(&rig, r), GT_ECONTEXT);
    /* Dots of others are theirs to know. */
    history_clear(&h);
    buf_clear(&context);
    self.node++;
    assert_int_equal(history_add(&h, (struct dot){self, 7}), 0);
    context_encode(&h, hash_bytes(slice_text("k")), &context);
    r.context = buf_slice(&context);
    assert_int_equal(call_code(&rig, r), 0);
    history_close(&h);
    buf_close(&context);
    rig_free(&rig);
}

static void test_sibling_limits_bind_the_coordinator(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_init(&rig, 6);
    rig.config.value_bytes_max = 100;
    rig_open(&rig);
    struct store_request r = put_of("many", slice_text("v"));
    r.plain = false;
    for (int i = 0; i < SIBLINGS_MAX; i++)
        assert_int_equal(call_code(&rig, r), 0);
    struct store_result over = call(&rig, r);
    assert_true(over.result == GT_ELIMIT && over.limit == LIMIT_SIBLINGS);
    store_result_release(&over);
    uint8_t value[100] = {0};
    r = put_of("large", slice_of(value, sizeof(value)));
    r.plain = false;
    for (int i = 0; i < STATE_VALUE_LIMITS; i++)
        assert_int_equal(call_code(&rig, r), 0);
    over = call(&rig, r);
    assert_true(over.result == GT_ELIMIT && over.limit == LIMIT_SIBLING_BYTES);
    store_result_release(&over);
    /* A plain put replaces them all, so it fits. */
    r.plain = true;
    assert_int_equal(call_code(&rig, r), 0);
    assert_int_equal(sibling_count(&rig, "large"), 1);
    rig_free(&rig);
}

/* Whether the only sibling of the record is marked as of an operation that was tried again. */
static bool is_marked(const struct store_request *r, const struct blob *record)
{
    struct state s = {0};
    assert_int_equal(record_decode(slice_blob(record), r->partition, r->key, &s), 0);
    assert_int_equal(s.sibling_count, 1);
    bool marked = s.siblings[0].flags & SIBLING_RETRIED;
    state_close(&s);
    return marked;
}

/* Nothing is minted; the sibling is marked, once, durably: it may have a twin, by owners that did
 * not know it when they were asked. */
static void test_a_retry_of_a_known_operation_mints_nothing(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 7);
    struct store_request r = put_of("k", slice_text("v"));
    memset(r.op, 5, sizeof(r.op));
    struct store_result first = call(&rig, r);
    r.stamp = 99;
    struct store_result again = call(&rig, r);
    assert_true(again.known_op && !first.known_op);
    assert_true(slice_equal(slice_blob(first.dots), slice_blob(again.dots)));
    assert_true(!is_marked(&r, first.record) && is_marked(&r, again.record));
    uint64_t lsn = rig.e->next_lsn;
    struct store_result third = call(&rig, r);
    assert_true(third.known_op && rig.e->next_lsn == lsn);
    assert_true(slice_equal(slice_blob(third.record), slice_blob(again.record)));
    store_result_release(&third);
    /* Its context includes the same, and names the operation: it may have a twin. */
    struct history seen[2] = {0};
    assert_int_equal(context_decode(slice_blob(first.context), hash_bytes(r.key), &seen[0]), 0);
    assert_int_equal(context_decode(slice_blob(again.context), hash_bytes(r.key), &seen[1]), 0);
    assert_true(history_includes(&seen[0], &seen[1]) && history_includes(&seen[1], &seen[0]));
    assert_true(!history_names(&seen[0], r.op) && history_names(&seen[1], r.op));
    history_close(&seen[0]);
    history_close(&seen[1]);
    assert_int_equal(first.stamp, again.stamp);
    assert_int_equal(highest_own(&rig, r.partition), 1);
    r.op[0]++;
    struct store_result other = call(&rig, r);
    assert_false(other.known_op);
    store_result_release(&first);
    store_result_release(&again);
    store_result_release(&other);
    rig_free(&rig);
}

/* ---- operations that are superseded ---------------------------------------------------------- */

static struct store_request put_op(const char *key, const char *value, uint8_t op, uint64_t stamp)
{
    struct store_request r = put_of(key, slice_text(value));
    memset(r.op, op, OP_ID_BYTES);
    r.stamp = stamp;
    return r;
}

/* A further attempt of the operation, of another node, and what its state includes beside it. */
/* seen: what it was stored again above. */
static struct store_result merge_attempt(struct rig *rig, const char *key, uint8_t op, uint64_t seq,
                                         uint64_t stamp, const struct dot *seen, struct slice rows)
{
    struct state s;
    struct blob *record = NULL;
    struct sibling attempt = {.dot = {{77, 1 << 24}, seq},
                              .stamp = stamp,
                              .flags = SIBLING_RETRIED | (seen ? SIBLING_AGAIN : 0),
                              .value = slice_text("attempt")};
    uint8_t dot[DOT_BYTES];
    memset(attempt.op, op, OP_ID_BYTES);
    dots_put(dot, attempt.dot);
    state_init(&s);
    assert_int_equal(state_add(&s, &attempt), 0);
    if (seen)
        assert_int_equal(history_add(&s.history, *seen), 0);
    struct store_request r = put_op(key, "", op, 1);
    assert_int_equal(record_encode_blob(&s, r.partition, r.key, &record), 0);
    r.kind = STORE_MERGE;
    r.record = slice_blob(record);
    r.dots = slice_of(dot, sizeof(dot));
    r.operations = rows;
    struct store_result result = call(rig, r);
    state_close(&s);
    blob_unref(record);
    return result;
}

/* The first attempt was superseded here while others, who knew neither, minted a further one: that
 * is superseded as well, but where it is later than what superseded the first, or has seen that. */
static void test_a_further_attempt_goes_by_the_row_of_the_first(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 51);
    static const struct {
        const char *key;
        uint64_t stamp;
        bool sees;
        uint32_t left;
        const char *value;
    } cases[] = {{"earlier", 150, false, 1, "over"},
                 {"as late", 200, false, 2, "over"},
                 {"later", 250, false, 2, "attempt"},
                 {"above", 150, true, 1, "attempt"}};
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(call_code(&rig, put_op(cases[i].key, "first", 1, 100)), 0);
        struct store_result over = call(&rig, put_op(cases[i].key, "over", 2, 200));
        struct dot seen = dots_at(slice_blob(over.dots), 0);
        struct store_result r = merge_attempt(&rig, cases[i].key, 1, 3 + i, cases[i].stamp,
                                              cases[i].sees ? &seen : NULL, slice_of(NULL, 0));
        assert_int_equal(r.result, 0);
        assert_false(r.unsettled); /* it is done, live or superseded */
        assert_int_equal(sibling_count(&rig, cases[i].key), cases[i].left);
        assert_value(&rig, cases[i].key, cases[i].value);
        store_result_release(&over);
        store_result_release(&r);
    }
    assert_counts(&rig);
    rig_free(&rig);
}

/* The same where the attempt is here and the row comes with what superseded the first. */
static void test_what_comes_with_the_row_of_the_first_takes_a_further_attempt(void **unused)
{
    (void)unused;
    struct rig there, here;
    rig_new(&there, 52);
    assert_int_equal(call_code(&there, put_op("k", "first", 1, 100)), 0);
    struct store_result over = call(&there, put_op("k", "over", 2, 200));
    for (uint64_t stamp = 199; stamp <= 200; stamp++) {
        rig_new(&here, 53 + stamp);
        struct store_result r = merge_attempt(&here, "k", 1, 3, stamp, NULL, slice_of(NULL, 0));
        store_result_release(&r);
        struct store_request told = put_op("k", "", 2, 1);
        told.kind = STORE_MERGE;
        told.record = slice_blob(over.record);
        told.dots = slice_blob(over.dots);
        told.operations = slice_blob(over.operations);
        assert_int_equal(call_code(&here, told), 0);
        assert_int_equal(sibling_count(&here, "k"), stamp < 200 ? 1 : 2);
        rig_free(&here);
    }
    store_result_release(&over);
    rig_free(&there);
}

/* It was superseded here while others said what outranks it: it is not minted again, and its client
 * is not told to have seen what outranked it. */
static void test_an_outranked_operation_that_is_superseded_is_finished(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 10);
    struct store_request r = put_op("k", "mine", 5, 5);
    r.plain = true;
    struct store_result first = call(&rig, r);
    struct store_request over = put_op("k", "theirs", 6, 6);
    over.plain = true;
    struct store_result second = call(&rig, over);
    uint64_t lsn = rig.e->next_lsn;
    r.again = true;
    r.above = 20;
    r.outranking = slice_of(second.dots->data, DOT_BYTES);
    struct store_result again = call(&rig, r);
    assert_int_equal(again.result, 0);
    assert_true(again.known_op);
    assert_true(rig.e->next_lsn == lsn);
    assert_null(again.outranking);
    struct history told;
    history_init(&told);
    assert_int_equal(context_decode(slice_blob(again.context), hash_bytes(r.key), &told), 0);
    assert_true(history_covers(&told, dots_at(slice_blob(first.dots), 0)));
    assert_false(history_covers(&told, dots_at(slice_blob(second.dots), 0)));
    history_close(&told);
    store_result_release(&first);
    store_result_release(&second);
    store_result_release(&again);
    rig_free(&rig);
}

/* The operation is known, as this dot, and trying it again writes nothing. */
static void assert_known(struct rig *rig, const char *key, uint8_t op, struct dot dot)
{
    struct store_request r = put_op(key, "again", op, 1);
    uint64_t lsn = rig->e->next_lsn;
    struct store_result again = call(rig, r);
    assert_int_equal(again.result, 0);
    assert_true(again.known_op);
    assert_int_equal(dot_compare(dots_at(slice_blob(again.dots), 0), dot), 0);
    assert_true(rig->e->next_lsn == lsn);
    store_result_release(&again);
    r.kind = STORE_OPERATION;
    struct store_result told = call(rig, r);
    assert_int_equal(told.result, 0);
    assert_true(told.known_op);
    assert_int_equal(dot_compare(dots_at(slice_blob(told.dots), 0), dot), 0);
    assert_non_null(told.record);
    store_result_release(&told);
}

static struct store_result ask_op(struct rig *rig, const char *key, uint8_t op, uint64_t stamp)
{
    struct store_request r = put_op(key, "", op, stamp);
    r.kind = STORE_OPERATION;
    return call(rig, r);
}

static void assert_unknown(struct rig *rig, const char *key, uint8_t op)
{
    struct store_result told = ask_op(rig, key, op, 1);
    assert_int_equal(told.result, 0);
    assert_false(told.known_op);
    store_result_release(&told);
}

/* A value and the delete over it, by their operations: the value's dot. */
static struct dot supersede(struct rig *rig, const char *key, uint8_t op, uint64_t stamp)
{
    struct store_result first = call(rig, put_op(key, "first", op, stamp));
    assert_int_equal(first.result, 0);
    struct dot dot = dots_at(slice_blob(first.dots), 0);
    store_result_release(&first);
    struct store_request second = put_op(key, "", op + 1, stamp + 1);
    second.tombstone = true;
    struct store_result over = call(rig, second);
    assert_int_equal(over.result, 0);
    assert_int_equal(operations_count(slice_blob(over.operations)), 1);
    assert_memory_equal(operations_at(slice_blob(over.operations), 0).op, put_op(key, "", op, 0).op,
                        OP_ID_BYTES);
    store_result_release(&over);
    return dot;
}

static void test_a_superseded_operation_is_known_through_every_restart(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 31);
    rig.config.chunk_records = 2;
    struct dot dots[8];
    char key[16];
    for (int i = 0; i < 8; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        dots[i] = supersede(&rig, key, (uint8_t)(10 + 2 * i), 100);
    }
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 8; i++) {
            snprintf(key, sizeof(key), "k%d", i);
            assert_known(&rig, key, (uint8_t)(10 + 2 * i), dots[i]);
            assert_value(&rig, key, NULL);
        }
        assert_unknown(&rig, "k0", 99);
        assert_unknown(&rig, "k1", 10); /* an operation of another key */
        assert_int_equal(engine_metrics(rig.e)->operations_count, 8);
        if (round == 0) {
            rig_kill(&rig); /* replayed */
            rig_open(&rig);
            rig_settle(&rig); /* and in the index */
        } else if (round == 1) {
            rig_reopen(&rig);
        } else {
            rig_settle(&rig);
            rig_power_cut(&rig);
            rig_open(&rig);
        }
    }
    rig_free(&rig);
}

static void test_a_merge_notes_what_it_supersedes_on_either_side(void **unused)
{
    (void)unused;
    struct rig a, b;
    rig_new(&a, 32);
    rig_new(&b, 33);
    struct store_result first = call(&a, put_op("k", "first", 1, 10));
    struct dot dot = dots_at(slice_blob(first.dots), 0);
    struct store_result second = call(&a, put_op("k", "second", 2, 11));
    struct store_request state = {.kind = STORE_MERGE,
                                  .partition = partition_of(slice_text("k")),
                                  .key = slice_text("k"),
                                  .record = slice_blob(second.record),
                                  .dots = slice_blob(second.dots),
                                  .operations = slice_blob(second.operations),
                                  .stamp = 12};
    /* b never saw the first one; the message of the second tells its operation. */
    assert_int_equal(call_code(&b, state), 0);
    assert_known(&b, "k", 1, dot);
    /* It comes late: superseded already. */
    struct rig c;
    rig_new(&c, 34);
    state.operations = slice_of(NULL, 0);
    assert_int_equal(call_code(&c, state), 0);
    assert_unknown(&c, "k", 1);
    struct store_request late = state;
    late.record = slice_blob(first.record);
    late.dots = slice_blob(first.dots);
    assert_int_equal(call_code(&c, late), 0);
    assert_known(&c, "k", 1, dot);
    rig_kill(&c);
    rig_open(&c);
    assert_known(&c, "k", 1, dot);
    /* It was here, and the message supersedes it. */
    struct rig d;
    rig_new(&d, 35);
    assert_int_equal(call_code(&d, late), 0);
    assert_int_equal(call_code(&d, state), 0);
    assert_known(&d, "k", 1, dot);
    store_result_release(&first);
    store_result_release(&second);
    rig_free(&a);
    rig_free(&b);
    rig_free(&c);
    rig_free(&d);
}

/* What a pull will bring: all rows of the partition, with any state of it. */
static void test_rows_of_a_partition_are_listed_and_taken(void **unused)
{
    (void)unused;
    struct rig a, b;
    rig_new(&a, 42);
    rig_new(&b, 43);
    struct dot dot = supersede(&a, "k", 1, 10);
    struct store_result held = load_key(&a, slice_text("k"));
    struct store_request state = {.kind = STORE_MERGE,
                                  .partition = partition_of(slice_text("k")),
                                  .key = slice_text("k"),
                                  .record = slice_blob(held.record),
                                  .stamp = 12};
    assert_int_equal(call_code(&b, state), 0);
    assert_unknown(&b, "k", 1);
    struct store_request pull = {
        .kind = STORE_PULL, .partition = state.partition, .clock = slice_of("\0\0", 2)};
    struct store_result pulled = call(&a, pull);
    assert_int_equal(pulled.result, 0);
    assert_int_equal(pulled.operations_floor, 0);
    assert_int_equal(operations_count(slice_blob(pulled.operations)), 1);
    pull.clock = slice_blob(pulled.clock);
    struct store_result level = call(&a, pull); /* who has all lacks no row */
    assert_int_equal(operations_count(slice_blob(level.operations)), 0);
    state.operations = slice_blob(pulled.operations);
    assert_int_equal(call_code(&b, state), 0);
    assert_known(&b, "k", 1, dot);
    uint64_t lsn = b.e->next_lsn;
    assert_int_equal(call_code(&b, state), 0); /* once more: no news */
    assert_true(b.e->next_lsn == lsn);
    rig_kill(&b);
    rig_open(&b);
    assert_known(&b, "k", 1, dot);
    store_result_release(&pulled);
    store_result_release(&level);
    store_result_release(&held);
    rig_free(&a);
    rig_free(&b);
}

static void test_rows_of_a_message_are_looked_at_before_they_are_believed(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 36);
    assert_int_equal(put(&rig, "k", "v"), 0);
    struct store_result held = load_key(&rig, slice_text("k"));
    struct operation o = {
        .key_hash = hash_bytes(slice_text("k")), .dot = {{77, 1 << 24}, 1}, .noted = UINT64_MAX};
    uint8_t row[OPERATION_BYTES + 1];
    memset(o.op, 7, OP_ID_BYTES);
    operation_put(row, &o);
    struct store_request r = {.kind = STORE_MERGE,
                              .partition = partition_of(slice_text("k")),
                              .key = slice_text("k"),
                              .record = slice_blob(held.record),
                              .operations = slice_of(row, OPERATION_BYTES + 1),
                              .stamp = 5};
    assert_int_equal(call_code(&rig, r), GT_ECORRUPT);
    r.operations = slice_of(row, OPERATION_BYTES);
    assert_int_equal(call_code(&rig, r), 0);
    /* It ages by our clock. It is of no state that is here, so it is not known. */
    assert_int_equal(rig.e->operations.rows[0].operation.noted, 5);
    assert_unknown(&rig, "k", 7);
    o.dot = (struct dot){{engine_identity(rig.e)->node_id, engine_identity(rig.e)->incarnation}, 9};
    operation_put(row, &o);
    assert_int_equal(call_code(&rig, r), GT_ECORRUPT); /* never minted here */
    o.dot.seq = 0;
    operation_put(row, &o);
    assert_int_equal(call_code(&rig, r), GT_ECORRUPT);
    store_result_release(&held);
    rig_free(&rig);
}

static void test_old_operations_leave_and_the_engine_says_how_far_it_remembers(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 37);
    uint64_t second = 1000ull << 16;
    struct dot dot = supersede(&rig, "k", 1, 5 * second);
    assert_int_equal(call_code(&rig, put_op("other", "v", 5, 600 * second)), 0);
    assert_known(&rig, "k", 1, dot);
    supersede(&rig, "l", 7, 606 * second);
    assert_unknown(&rig, "k", 1);
    struct store_result told = ask_op(&rig, "k", 99, 606 * second);
    assert_true(told.length_ms == OPERATIONS_KEEP_MS);
    store_result_release(&told);
    assert_int_equal(engine_metrics(rig.e)->operations_s, 600);
    rig_close(&rig);
    /* A table that is too small for what its folder holds. */
    rig.config.operations_bytes_max = 3000;
    rig_open(&rig);
    for (uint8_t i = 0; i < 100; i++)
        supersede(&rig, "m", (uint8_t)(20 + 2 * i), (1000 + i) * second);
    told = ask_op(&rig, "m", 255, 1100 * second);
    uint64_t rows = engine_metrics(rig.e)->operations_count;
    assert_true(rows < 50 && rows > 10);
    assert_true(told.length_ms < 60000);
    uint64_t length_ms = told.length_ms;
    store_result_release(&told);
    /* What left it is not known after restarts either, however much room there is then. */
    rig_reopen(&rig);
    rig_settle(&rig);
    rig.config.operations_bytes_max = 0;
    rig_reopen(&rig);
    told = ask_op(&rig, "m", 255, 1100 * second);
    assert_true(told.length_ms <= length_ms);
    store_result_release(&told);
    rig_free(&rig);
}

static void test_a_replica_that_misses_writes_of_a_key_cannot_tell(void **unused)
{
    (void)unused;
    struct rig a, b;
    rig_new(&a, 38);
    rig_new(&b, 39);
    struct store_result first = call(&a, put_op("k", "1", 1, 10));
    struct store_result second = call(&a, put_op("k", "2", 2, 11));
    struct store_result third = call(&a, put_op("k", "3", 3, 12));
    struct store_request state = {.kind = STORE_MERGE,
                                  .partition = partition_of(slice_text("k")),
                                  .key = slice_text("k"),
                                  .record = slice_blob(third.record),
                                  .dots = slice_blob(third.dots),
                                  .operations = slice_blob(third.operations)};
    struct store_result told = ask_op(&b, "k", 1, 1);
    assert_false(told.untold); /* nothing is here: so nothing was missed */
    store_result_release(&told);
    assert_int_equal(call_code(&b, state), 0);
    told = ask_op(&b, "k", 1, 1);
    assert_true(!told.known_op && told.untold);
    store_result_release(&told);
    state.record = slice_blob(first.record);
    state.dots = slice_blob(first.dots);
    state.operations = slice_of(NULL, 0);
    assert_int_equal(call_code(&b, state), 0);
    told = ask_op(&b, "k", 9, 1);
    assert_true(!told.known_op && !told.untold); /* all of them came */
    store_result_release(&told);
    store_result_release(&first);
    store_result_release(&second);
    store_result_release(&third);
    rig_free(&a);
    rig_free(&b);
}

static void test_an_operation_minted_late_stands_where_its_first_attempt_stood(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 40);
    assert_int_equal(call_code(&rig, put_op("k", "older", 1, 100)), 0);
    struct store_request newer = put_op("k", "newer", 2, 200);
    newer.plain = false;
    assert_int_equal(call_code(&rig, newer), 0);
    struct store_request again = put_op("k", "again", 3, 300);
    again.first_stamp = 150;
    struct store_result r = call(&rig, again);
    assert_int_equal(r.stamp, 150);
    store_result_release(&r);
    assert_int_equal(sibling_count(&rig, "k"), 2); /* older was replaced, newer was not */
    assert_value(&rig, "k", "newer");
    again = put_op("k", "nobody", 4, 300);
    again.known_only = true;
    assert_int_equal(call_code(&rig, again), GT_EINDOUBT);
    assert_int_equal(sibling_count(&rig, "k"), 2);
    rig_free(&rig);
}

static void test_a_folder_of_an_earlier_version_remembers_from_now_on(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 41);
    uint64_t second = 1000ull << 16;
    supersede(&rig, "k", 1, 50 * second);
    rig_close(&rig);
    rig_open(&rig);
    rig_settle(&rig);
    rig_close(&rig);
    /* Its value without the fields that such a version did not write. */
    uint8_t at[2];
    struct blob *value = NULL;
    struct slice key = index_partition_key(at, partition_of(slice_text("k")));
    struct index *x = rig.index;
    assert_int_equal(x->get(x, 0, INDEX_PARTITION, key, &value), 0);
    size_t bytes = value->bytes - 8 - 1 - OPERATION_BYTES - 1; /* and nothing of filling */
    le32_put(value->data, crc_update(0, value->data + 4, bytes - 4));
    struct index_write *w;
    assert_int_equal(x->begin(x, &w), 0);
    assert_int_equal(x->put(w, INDEX_PARTITION, key, slice_of(value->data, bytes)), 0);
    assert_int_equal(x->commit(w), 0);
    blob_unref(value);
    rig_open(&rig);
    assert_unknown(&rig, "k", 1);
    struct store_result told = ask_op(&rig, "k", 99, 60 * second);
    assert_true(told.length_ms <= 10000);
    store_result_release(&told);
    rig_free(&rig);
}

/* A state of another node: one value with its dot. */
static struct blob *foreign_record(const char *key, uint64_t seq, const char *value)
{
    struct state s;
    struct blob *record = NULL;
    struct sibling sibling = {.dot = {{77, 1 << 24}, seq}, .stamp = 10, .value = slice_text(value)};
    state_init(&s);
    assert_int_equal(state_add(&s, &sibling), 0);
    assert_int_equal(
        record_encode_blob(&s, partition_of(slice_text(key)), slice_text(key), &record), 0);
    state_close(&s);
    return record;
}

/* The record of a key in the index, under another name: a bit of it has flipped. */
static void rename_at_rest(struct rig *rig, const char *key, size_t at)
{
    uint8_t name[INDEX_KEY_BYTES_MAX];
    struct index *x = rig->index;
    struct index_write *w;
    struct blob *value = NULL;
    struct slice text = slice_text(key),
                 right = index_data_key(name, partition_of(text), hash_bytes(text), text);
    assert_int_equal(x->get(x, 0, INDEX_DATA, right, &value), 0);
    assert_int_equal(x->begin(x, &w), 0);
    assert_int_equal(x->remove(w, INDEX_DATA, right), 0);
    name[at < right.bytes ? at : right.bytes - 1] ^= 1;
    assert_int_equal(x->put(w, INDEX_DATA, right, slice_blob(value)), 0);
    assert_int_equal(x->commit(w), 0);
    blob_unref(value);
}

static int count_each(void *arg, struct slice key, struct slice value)
{
    (void)key;
    (void)value;
    ++*(uint32_t *)arg;
    return 0;
}

static uint32_t records_in_index(struct rig *rig)
{
    uint32_t count = 0;
    struct index *x = rig->index;
    assert_int_equal(x->scan(x, 0, INDEX_DATA, slice_of(NULL, 0), count_each, &count), 0);
    return count;
}

/* A key of the index has rotted, in its hash or in its name: whoever walks over the partition is
 * told that something is bad, and not that this is all; what is not found is not taken for dropped,
 * nor the partition for whole, until it fills for that; then the next checkpoint removes the record
 * from where no search finds it. */
static void test_a_key_of_the_index_that_rotted(void **unused)
{
    (void)unused;
    for (int name = 0; name < 2; name++) {
        struct rig rig;
        rig_new(&rig, 60);
        assert_int_equal(put(&rig, "left", "1"), 0);
        assert_int_equal(put(&rig, "right", "2"), 0);
        rig_close(&rig);
        rig_open(&rig);
        rig_settle(&rig);
        rig_close(&rig);
        assert_int_equal(records_in_index(&rig), 2);
        rename_at_rest(&rig, "left", name ? 12 : 5);
        rig_open(&rig);
        rig_settle(&rig);
        struct store_request scrub = {
            .kind = STORE_SCRUB, .partition = partition_of(slice_text("left")), .bytes_max = 1000};
        struct store_result r = call(&rig, scrub);
        assert_int_equal(r.result, 0);
        assert_true(r.unknown);
        store_result_release(&r);
        rig_settle(&rig);
        assert_int_equal(records_in_index(&rig), 2);
        struct blob *brought = foreign_record("left", 3, "1");
        uint8_t dot[DOT_BYTES];
        dots_put(dot, (struct dot){{77, 1 << 24}, 3});
        struct store_request merge = {.kind = STORE_MERGE,
                                      .partition = scrub.partition,
                                      .key = slice_text("left"),
                                      .record = slice_blob(brought),
                                      .dots = slice_of(dot, sizeof(dot))};
        assert_int_equal(call_code(&rig, merge), GT_EUNKNOWN);
        struct store_request fill = {
            .kind = STORE_FILL, .partition = scrub.partition, .fill = 0, .stamp = 1};
        assert_int_equal(call_code(&rig, fill), GT_EUNKNOWN);
        fill.fill = FILL_ROT;
        assert_int_equal(call_code(&rig, fill), 0);
        assert_int_equal(call_code(&rig, merge), 0);
        r = call(&rig, scrub);
        assert_true(r.unknown);
        store_result_release(&r);
        rig_settle(&rig);
        fill.fill = 0;
        assert_int_equal(call_code(&rig, fill), 0);
        assert_value(&rig, "left", "1");
        assert_value(&rig, "right", "2");
        r = call(&rig, scrub);
        assert_false(r.unknown || r.miscounted);
        store_result_release(&r);
        assert_counts(&rig);
        blob_unref(brought);
        rig_free(&rig);
    }
}

/* A merge of a plain put says what is answered rather than that; minted once more above it, and
 * over it, the operation is the only one. */
static void test_an_outranked_operation_is_minted_again_above(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 9);
    struct store_request r = put_of("k", slice_text("mine"));
    r.plain = true;
    r.stamp = 5;
    memset(r.op, 5, sizeof(r.op));
    struct store_result first = call(&rig, r);
    assert_null(first.outranking);
    struct blob *record = foreign_record("k", 3, "theirs"); /* of stamp 10 */
    uint8_t dot[DOT_BYTES], own[DOT_BYTES];
    dots_put(dot, (struct dot){{77, 1 << 24}, 3});
    struct store_request merge = {.kind = STORE_MERGE,
                                  .partition = r.partition,
                                  .key = r.key,
                                  .record = slice_blob(record),
                                  .dots = slice_of(dot, sizeof(dot)),
                                  .plain = true};
    struct store_result merged = call(&rig, merge);
    assert_null(merged.outranking); /* theirs is the one that is answered */
    store_result_release(&merged);

    merge.record = slice_blob(first.record);
    memcpy(own, first.dots->data, sizeof(own));
    merge.dots = slice_of(own, sizeof(own));
    merged = call(&rig, merge);
    assert_true(slice_equal(slice_blob(merged.outranking), slice_of(dot, sizeof(dot))));
    assert_int_equal(merged.outranking_stamp, 10);
    store_result_release(&merged);
    merge.plain = false;
    merged = call(&rig, merge);
    assert_null(merged.outranking);
    store_result_release(&merged);
    struct store_result known = call(&rig, r);
    assert_true(known.known_op);
    assert_true(slice_equal(slice_blob(known.outranking), slice_of(dot, sizeof(dot))));
    store_result_release(&known);

    uint8_t unseen[2 * DOT_BYTES];
    dots_put(unseen, (struct dot){{77, 1 << 24}, 3});
    dots_put(unseen + DOT_BYTES, (struct dot){{78, 1 << 24}, 1});
    r.again = true;
    r.above = 20;
    r.outranking = slice_of(unseen, sizeof(unseen));
    struct store_result again = call(&rig, r);
    assert_int_equal(again.result, 0);
    assert_false(again.known_op);
    assert_int_equal(again.stamp, 21);
    assert_int_equal(dots_count(slice_blob(again.dots)), 4);
    assert_int_equal(sibling_count(&rig, "k"), 1);
    assert_value(&rig, "k", "mine");
    struct engine_partition p;
    engine_partition(rig.e, r.partition, &p);
    assert_true(clock_covers(p.clock, (struct dot){{78, 1 << 24}, 1}));
    /* Dots that this node never minted are nothing to stand above. */
    dots_put(unseen, (struct dot){{engine_identity(rig.e)->node_id, UINT64_MAX}, 1});
    assert_int_equal(call_code(&rig, r), GT_ECONTEXT);
    store_result_release(&first);
    store_result_release(&again);
    blob_unref(record);
    rig_free(&rig);
}

/* A first piece of a large state brought the operation and not what it replaced: a retry replaces
 * what its client had seen, under a new dot. */
static void test_an_operation_of_which_a_piece_arrived_is_minted_again(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 8);
    struct store_request r = put_of("k", slice_text("old"));
    r.plain = true;
    struct store_result old = call(&rig, r);
    struct sibling sibling = {.dot = {{77, 1 << 24}, 3}, .stamp = 10, .value = slice_text("new")};
    struct state piece;
    struct blob *record;
    memset(sibling.op, 5, OP_ID_BYTES);
    state_init(&piece);
    assert_int_equal(state_add(&piece, &sibling), 0);
    assert_int_equal(record_encode_blob(&piece, r.partition, r.key, &record), 0);
    struct store_request merge = {
        .kind = STORE_MERGE, .partition = r.partition, .key = r.key, .record = slice_blob(record)};
    assert_int_equal(call_code(&rig, merge), 0);
    assert_int_equal(sibling_count(&rig, "k"), 1); /* what is not here whole is not lent */
    r.value = slice_text("new");
    r.context = slice_blob(old.context);
    memset(r.op, 5, OP_ID_BYTES);
    struct store_result again = call(&rig, r);
    assert_true(again.known_op);                             /* and yet minted, as something was */
    assert_int_equal(dots_count(slice_blob(again.dots)), 3); /* the new one, and both replaced */
    assert_int_equal(sibling_count(&rig, "k"), 1);
    rig_reopen(&rig);
    assert_int_equal(sibling_count(&rig, "k"), 1);
    assert_counts(&rig);
    state_close(&piece);
    blob_unref(record);
    store_result_release(&old);
    store_result_release(&again);
    rig_free(&rig);
}

/* What its client had seen is not here any more, or never was. The piece does not say that it was
 * superseded, so where it is alive it would stay. */
static void test_what_a_piece_does_not_say_was_seen_is_said_again(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 8);
    struct store_request r = put_of("k", slice_text("old"));
    r.plain = true;
    struct store_result old = call(&rig, r);
    struct sibling sibling = {.dot = {{77, 1 << 24}, 3}, .stamp = 10, .value = slice_text("new")};
    struct state piece;
    struct blob *record;
    memset(sibling.op, 5, OP_ID_BYTES);
    for (int whole = 0; whole < 2; whole++) {
        struct store_request merge = {
            .kind = STORE_MERGE, .partition = r.partition, .key = slice_text(whole ? "b" : "a")};
        struct dot seen = dots_at(slice_blob(old.dots), 0);
        sibling.dot.seq = 3 + (uint64_t)whole;
        state_init(&piece);
        assert_int_equal(state_add(&piece, &sibling), 0);
        if (whole)
            assert_int_equal(history_add(&piece.history, seen), 0);
        assert_int_equal(record_encode_blob(&piece, r.partition, merge.key, &record), 0);
        merge.record = slice_blob(record);
        assert_int_equal(call_code(&rig, merge), 0);
        struct history had = {0};
        struct buf context;
        buf_init(&context, 1000);
        assert_int_equal(history_add(&had, seen), 0);
        assert_int_equal(context_encode(&had, hash_bytes(merge.key), &context), 0);
        struct store_request put = put_of(whole ? "b" : "a", slice_text("new"));
        put.partition = r.partition;
        put.context = buf_slice(&context);
        memset(put.op, 5, OP_ID_BYTES);
        struct store_result again = call(&rig, put);
        assert_true(again.known_op);
        struct dot written = dots_at(slice_blob(again.dots), 0);
        assert_int_equal(written.actor.node == sibling.dot.actor.node, whole);
        store_result_release(&again);
        history_close(&had);
        buf_close(&context);
        state_close(&piece);
        blob_unref(record);
    }
    store_result_release(&old);
    rig_free(&rig);
}

/* Its client had seen nothing, so that nothing is missing: it is finished as it is, and lent from
 * then on (seed 2438). Another one, of which a piece stands beside it, is not. */
static void test_an_operation_that_a_piece_finishes_is_whole(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 8);
    struct store_request r = put_of("k", slice_text("new"));
    for (uint8_t op = 5; op <= 6; op++) {
        struct sibling sibling = {
            .dot = {{77, 1 << 24}, op}, .stamp = 10, .value = slice_text("new")};
        struct state piece;
        struct blob *record;
        memset(sibling.op, op, OP_ID_BYTES);
        state_init(&piece);
        assert_int_equal(state_add(&piece, &sibling), 0);
        assert_int_equal(record_encode_blob(&piece, r.partition, r.key, &record), 0);
        struct store_request merge = {.kind = STORE_MERGE,
                                      .partition = r.partition,
                                      .key = r.key,
                                      .record = slice_blob(record)};
        assert_int_equal(call_code(&rig, merge), 0);
        state_close(&piece);
        blob_unref(record);
    }
    assert_int_equal(sibling_count(&rig, "k"), 0);
    memset(r.op, 5, OP_ID_BYTES);
    for (int i = 0; i < 2; i++) {
        struct store_result again = call(&rig, r);
        assert_true(again.known_op);
        assert_int_equal(dots_count(slice_blob(again.dots)), 1);
        assert_int_equal(dots_at(slice_blob(again.dots), 0).seq, 5);
        store_result_release(&again);
        assert_int_equal(sibling_count(&rig, "k"), 1);
        rig_reopen(&rig);
        assert_int_equal(sibling_count(&rig, "k"), 1);
    }
    rig_free(&rig);
}

/* Of a large state a first piece came, and not yet the history that says what its put had seen: it
 * may have superseded the operation, which would be back if it were stored again above. */
static void test_a_piece_outranks_nothing(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 11);
    struct store_request r = put_op("k", "mine", 5, 5);
    r.plain = true;
    struct store_result first = call(&rig, r);
    struct blob *record = foreign_record("k", 3, "theirs"); /* of stamp 10 */
    struct store_request piece = {
        .kind = STORE_MERGE, .partition = r.partition, .key = r.key, .record = slice_blob(record)};
    assert_int_equal(call_code(&rig, piece), 0);
    assert_int_equal(sibling_count(&rig, "k"), 1); /* what is not here whole is not lent */

    struct store_request merge = piece;
    uint8_t own[DOT_BYTES], dot[DOT_BYTES];
    memcpy(own, first.dots->data, sizeof(own));
    merge.record = slice_blob(first.record);
    merge.dots = slice_of(own, sizeof(own));
    merge.plain = true;
    struct store_result merged = call(&rig, merge);
    assert_null(merged.outranking);
    store_result_release(&merged);
    struct store_result known = call(&rig, r);
    assert_true(known.known_op);
    assert_null(known.outranking);
    store_result_release(&known);

    /* It is here whole, and had not seen the operation. */
    dots_put(dot, (struct dot){{77, 1 << 24}, 3});
    piece.dots = slice_of(dot, sizeof(dot));
    assert_int_equal(call_code(&rig, piece), 0);
    merged = call(&rig, merge);
    assert_true(slice_equal(slice_blob(merged.outranking), slice_of(dot, sizeof(dot))));
    assert_int_equal(merged.outranking_stamp, 10);
    store_result_release(&merged);
    store_result_release(&first);
    blob_unref(record);
    rig_free(&rig);
}

enum { PARTS = 1800 }; /* more in each partition than are remembered of all */

static void part_merge(struct rig *rig, int number, bool whole)
{
    char key[16];
    snprintf(key, sizeof(key), "k%d", number);
    uint64_t seq = 1 + (uint64_t)number;
    struct blob *record = foreign_record(key, seq, "theirs");
    uint8_t dot[DOT_BYTES];
    dots_put(dot, (struct dot){{77, 1 << 24}, seq});
    struct store_request r = {.kind = STORE_MERGE,
                              .partition = partition_of(slice_text(key)),
                              .key = slice_text(key),
                              .record = slice_blob(record),
                              .dots = slice_of(dot, whole ? sizeof(dot) : 0)};
    assert_int_equal(call_code(rig, r), 0);
    blob_unref(record);
}

/* Of a third of the keys there is a part alone, beside another sibling of a third, and the last
 * third is whole. Loads and scans show the same. */
static void parts_hidden(struct rig *rig)
{
    uint64_t records = 0;
    for (uint32_t partition = 0; partition < PARTITIONS; partition++)
        records += recount_partition(rig, partition, 1000).records;
    assert_int_equal(records, PARTS * 2 / 3);
    for (int i = 0; i < PARTS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(sibling_count(rig, key), i % 3);
    }
}

static void scrub_partition(struct rig *rig, uint32_t partition)
{
    struct store_request r = {.kind = STORE_SCRUB, .partition = partition, .bytes_max = 500};
    for (bool more = true; more;) {
        struct store_result result = call(rig, r);
        assert_int_equal(result.result, 0);
        assert_false(result.miscounted);
        more = result.more;
        store_result_release(&result);
    }
}

/* Whatever was forgotten of them, by a restart or for want of room (seed 1795664105603). */
static void test_what_is_here_in_part_is_never_lent(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 13);
    for (int i = 0; i < PARTS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        if (i % 3 > 0)
            assert_int_equal(put(&rig, key, "mine"), 0);
        part_merge(&rig, i, i % 3 == 2);
    }
    parts_hidden(&rig);
    for (int restart = 0; restart < 2; restart++) {
        if (restart == 0)
            rig_power_cut(&rig);
        else
            rig_close(&rig);
        rig_open(&rig);
        parts_hidden(&rig);
        for (uint32_t partition = 0; partition < PARTITIONS; partition++)
            scrub_partition(&rig, partition);
        parts_hidden(&rig);
    }
    part_merge(&rig, 0, true);
    part_merge(&rig, 1, true);
    assert_int_equal(sibling_count(&rig, "k0"), 1);
    assert_int_equal(sibling_count(&rig, "k1"), 2);
    rig_free(&rig);
}

static void test_merge_keeps_bytes_and_raises_the_clock(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 8);
    struct blob *record = foreign_record("k", 3, "theirs");
    uint8_t dots[2 * DOT_BYTES];
    struct dot dot = {{77, 1 << 24}, 3};
    dots_put(dots, dot);
    struct store_request r = {.kind = STORE_MERGE,
                              .partition = partition_of(slice_text("k")),
                              .key = slice_text("k"),
                              .record = slice_blob(record),
                              .dots = slice_of(dots, DOT_BYTES)};
    struct store_result result = call(&rig, r);
    assert_int_equal(result.result, 0);
    assert_true(slice_equal(slice_blob(result.record), slice_blob(record)));
    store_result_release(&result);
    struct engine_partition p;
    engine_partition(rig.e, r.partition, &p);
    assert_true(clock_covers(p.clock, dot));
    uint64_t logged = engine_metrics(rig.e)->batch_records_count;
    assert_int_equal(call_code(&rig, r), 0); /* nothing new: nothing logged */
    assert_int_equal(engine_metrics(rig.e)->batch_records_count, logged);
    /* A dot that the state does not hold is not believed. */
    dots_put(dots + DOT_BYTES, (struct dot){{77, 1 << 24}, 9});
    r.dots = slice_of(dots, 2 * DOT_BYTES);
    assert_int_equal(call_code(&rig, r), GT_ECORRUPT);
    r.dots = slice_of(dots, DOT_BYTES);
    /* A put here and a merge make siblings. */
    assert_int_equal(put(&rig, "k", "ours"), 0);
    assert_int_equal(sibling_count(&rig, "k"), 1);
    struct blob *later = foreign_record("k", 4, "theirs again");
    r.record = slice_blob(later);
    dots_put(dots, (struct dot){{77, 1 << 24}, 4});
    assert_int_equal(call_code(&rig, r), 0);
    assert_int_equal(sibling_count(&rig, "k"), 2);
    struct blob *bad = blob_copy(later->data, later->bytes);
    bad->data[bad->bytes - 1] ^= 1;
    r.record = slice_blob(bad);
    assert_int_equal(call_code(&rig, r), GT_ECORRUPT);
    rig_reopen(&rig);
    assert_int_equal(sibling_count(&rig, "k"), 2);
    assert_counts(&rig);
    blob_unref(record);
    blob_unref(later);
    blob_unref(bad);
    rig_free(&rig);
}

static void test_named_values_survive(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 9);
    struct store_request r = {
        .kind = STORE_META, .key = slice_text("map"), .value = slice_text("the map")};
    assert_int_equal(call_code(&rig, r), 0);
    r.key = slice_text("port");
    assert_int_equal(call_code(&rig, r), 0);
    r.key = slice_text("identity");
    assert_int_equal(call_code(&rig, r), GT_EARG);
    r.key = slice_text("port");
    r.value = slice_of(NULL, 0);
    assert_int_equal(call_code(&rig, r), 0);
    for (int i = 0; i < 3; i++) { /* from the log, then from the index */
        assert_true(slice_equal(slice_blob(engine_meta(rig.e, "map")), slice_text("the map")));
        assert_null(engine_meta(rig.e, "port"));
        rig_settle(&rig);
        rig_kill(&rig);
        rig_open(&rig);
    }
    rig_free(&rig);
}

static void test_identity_is_fresh_in_every_life(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 10);
    struct engine_identity first = *engine_identity(rig.e);
    assert_true(first.node_id != 0);
    assert_int_equal(first.incarnation >> 24, 1700000000u);
    uint8_t cluster[16] = "cluster";
    assert_int_equal(engine_set_cluster(rig.e, cluster), 0);
    rig_kill(&rig);
    rig.config.wall_us = 5; /* the clock of the machine went back */
    rig_open(&rig);
    struct engine_identity second = *engine_identity(rig.e);
    assert_int_equal(second.node_id, first.node_id);
    assert_int_equal(second.incarnation >> 24, 1700000001u);
    assert_int_equal(second.previous_incarnation, first.incarnation);
    assert_memory_equal(second.cluster_id, cluster, 16);
    assert_int_equal(engine_renew_incarnation(rig.e, second.incarnation + (9ull << 24), 0), 0);
    assert_true(engine_identity(rig.e)->incarnation > second.incarnation + (9ull << 24));
    assert_int_equal(put(&rig, "k", "v"), 0);
    assert_int_equal(highest_own(&rig, partition_of(slice_text("k"))), 1);
    rig_free(&rig);
}

static void test_incarnations_end_at_the_last_one_and_never_go_back(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 22);
    uint64_t before = engine_identity(rig.e)->incarnation, last_second = UINT64_MAX >> 24;
    assert_int_equal(engine_renew_incarnation(rig.e, UINT64_MAX, rig.config.wall_us), GT_ELIMIT);
    assert_int_equal(engine_renew_incarnation(rig.e, last_second << 24, UINT64_MAX), GT_ELIMIT);
    assert_true(engine_identity(rig.e)->incarnation == before);
    uint64_t above = (last_second - 1) << 24 | 77;
    assert_int_equal(engine_renew_incarnation(rig.e, above, UINT64_MAX), 0);
    assert_true(engine_identity(rig.e)->incarnation > above);
    assert_true(engine_identity(rig.e)->incarnation >> 24 == last_second);
    rig_kill(&rig);
    assert_int_equal(rig_try_open(&rig), GT_ELIMIT);
    rig_free(&rig);
}

static void test_the_highest_stamp_outlives_every_end(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 21);
    assert_int_equal(engine_stamp_max(rig.e), 0);
    struct store_request r = put_of("k", slice_text("v"));
    r.stamp = 1000;
    assert_int_equal(call_code(&rig, r), 0);
    r.stamp = 900; /* what is older lowers nothing */
    assert_int_equal(call_code(&rig, r), 0);
    rig_power_cut(&rig);
    rig_open(&rig); /* from the log */
    assert_int_equal(engine_stamp_max(rig.e), 1000);
    rig_reopen(&rig); /* from the index */
    assert_int_equal(engine_stamp_max(rig.e), 1000);
    rig_reopen(&rig); /* a life that wrote nothing */
    assert_int_equal(engine_stamp_max(rig.e), 1000);
    /* Also with states of others, whatever stamps these have, and with named values. */
    struct blob *record = foreign_record("m", UINT64_MAX, "theirs");
    struct store_request merge = {.kind = STORE_MERGE,
                                  .partition = partition_of(slice_text("m")),
                                  .key = slice_text("m"),
                                  .record = slice_blob(record),
                                  .stamp = 2000};
    assert_int_equal(call_code(&rig, merge), 0);
    rig_power_cut(&rig);
    rig_open(&rig);
    assert_int_equal(engine_stamp_max(rig.e), 2000);
    struct store_request meta = {.kind = STORE_META,
                                 .key = slice_text("map"),
                                 .value = slice_text("the map"),
                                 .stamp = 3000};
    assert_int_equal(call_code(&rig, meta), 0);
    rig_kill(&rig);
    rig_open(&rig);
    assert_int_equal(engine_stamp_max(rig.e), 3000);
    assert_true(slice_equal(slice_blob(engine_meta(rig.e, "map")), slice_text("the map")));
    blob_unref(record);
    rig_free(&rig);
}

/* Values without the fields that came later, as the first versions wrote them. */
static void test_values_of_an_earlier_version_are_read(void **unused)
{
    (void)unused;
    struct buf bytes;
    buf_init(&bytes, 4096);
    struct applied_value applied = {.lsn = 7, .highest_lsn = 9, .stamp_max = 5}, old;
    applied_encode(&applied, &bytes);
    assert_int_equal(applied_decode(slice_of(bytes.data, 28), &old), 0);
    assert_true(old.lsn == 7 && old.highest_lsn == 9 && old.stamp_max == 0);
    assert_int_equal(applied_decode(buf_slice(&bytes), &old), 0);
    assert_int_equal(old.stamp_max, 5);
    struct identity_value was;
    struct identity_value identity = {.node_id = 3,
                                      .role = "node",
                                      .damage = {.kinds = 1},
                                      .log_made = true,
                                      .fill_generation = 8,
                                      .fill_flags = FILL_OPEN};
    lives_add(&identity.lives, 4);
    lives_add(&identity.lives, 5);
    const size_t told_bytes = 4 + 1; /* format and version */
    const size_t lives_bytes = 1 + 2 * LIFE_TOLD_BYTES + told_bytes, fill_bytes = 9 + lives_bytes;
    buf_clear(&bytes);
    identity_encode(&identity, &bytes);
    assert_int_equal(identity_decode(slice_of(bytes.data, 56 + 5), &was), 0);
    assert_true(was.node_id == 3 && was.damage.kinds == 0);
    assert_int_equal(identity_decode(slice_of(bytes.data, bytes.bytes - fill_bytes - 2), &was),
                     GT_ECORRUPT);
    assert_int_equal(identity_decode(slice_of(bytes.data, bytes.bytes - fill_bytes - 1), &was), 0);
    assert_true(was.damage.kinds == 1 && !was.log_made);
    assert_int_equal(identity_decode(slice_of(bytes.data, bytes.bytes - fill_bytes), &was), 0);
    assert_true(was.damage.kinds == 1 && was.log_made && was.fill_generation == 0);
    assert_int_equal(identity_decode(slice_of(bytes.data, bytes.bytes - lives_bytes), &was), 0);
    assert_true(was.fill_generation == 8 && was.fill_flags == FILL_OPEN);
    assert_int_equal(was.lives.count, 0);
    assert_int_equal(identity_decode(buf_slice(&bytes), &was), 0);
    assert_true(was.damage.kinds == 1 && was.log_made && was.fill_generation == 8);
    assert_int_equal(was.fill_flags, FILL_OPEN);
    assert_true(was.lives.count == 2 && was.lives.at[0] == 5 && was.lives.at[1] == 4);
    buf_close(&bytes);
}

static void test_a_folder_of_another_role_is_refused(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 11);
    rig_close(&rig);
    rig.config.role = "manager";
    assert_int_equal(rig_try_open(&rig), GT_EFORMAT);
    rig.config.role = "node";
    /* A log without its index is not taken for an empty folder. */
    rig.index->destroy(rig.index);
    rig.index = rig.config.index = memindex_new();
    assert_int_equal(rig_try_open(&rig), GT_ECORRUPT);
    rig_free(&rig);
}

/* ---- stories: room --------------------------------------------------------------------------- */

static void value_fill(uint8_t *value, size_t bytes, uint64_t seed)
{
    struct prng p;
    prng_init(&p, seed);
    prng_fill(&p, value, bytes);
}

static void put_large(struct rig *rig, const char *key, size_t bytes, uint64_t seed, int expected)
{
    uint8_t *value = malloc(bytes);
    value_fill(value, bytes, seed);
    assert_int_equal(call_code(rig, put_of(key, slice_of(value, bytes))), expected);
    free(value);
}

static void assert_large(struct rig *rig, const char *key, size_t bytes, uint64_t seed)
{
    struct state state;
    struct blob *record;
    uint8_t *value = malloc(bytes);
    value_fill(value, bytes, seed);
    state_init(&state);
    load_state(rig, slice_text(key), &state, &record);
    assert_non_null(state_winner(&state));
    assert_true(slice_equal(state_winner(&state)->value, slice_of(value, bytes)));
    state_close(&state);
    blob_unref(record);
    free(value);
}

static void test_a_record_larger_than_a_segment(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 12);
    put_large(&rig, "small", 1000, 1, 0);
    put_large(&rig, "large", 3 * WAL_SEGMENT_BYTES_MIN, 2, 0);
    put_large(&rig, "after", 1000, 3, 0);
    put_large(&rig, "larger", 5 * WAL_SEGMENT_BYTES_MIN, 4, 0);
    rig_kill(&rig);
    rig_open(&rig);
    assert_false(rig.report.wal.middle);
    assert_large(&rig, "small", 1000, 1);
    assert_large(&rig, "large", 3 * WAL_SEGMENT_BYTES_MIN, 2);
    assert_large(&rig, "after", 1000, 3);
    assert_large(&rig, "larger", 5 * WAL_SEGMENT_BYTES_MIN, 4);
    assert_counts(&rig);
    rig_free(&rig);
}

/* Many large writes through few small segments and a small overlay: all are there. */
static void test_a_small_overlay_slows_and_drops_nothing(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_init(&rig, 13);
    rig.config.overlay_bytes_max = 64u << 10;
    rig_open(&rig);
    char key[32];
    uint8_t value[700];
    struct store_result r;
    for (uint64_t i = 0; i < 2000; i++) {
        snprintf(key, sizeof(key), "key%llu", (unsigned long long)i);
        value_fill(value, sizeof(value), i);
        submit(&rig, put_of(key, slice_of(value, sizeof(value))));
        const struct engine_metrics *m = engine_metrics(rig.e);
        assert_true(m->overlay_bytes <= (64u << 10) + 2 * 2000);
    }
    assert_true(engine_metrics(rig.e)->parked_count > 0);
    rig_settle(&rig);
    uint32_t done = 0;
    while (engine_result(rig.e, &r)) {
        assert_int_equal(r.result, 0);
        store_result_release(&r);
        done++;
    }
    assert_int_equal(done, 2000);
    assert_true(engine_metrics(rig.e)->checkpoints_count > 10);
    assert_true(engine_metrics(rig.e)->segments_recycled_count > 10);
    struct engine_totals totals;
    engine_totals(rig.e, &totals);
    assert_true(totals.log_file_bytes <= 24 * WAL_SEGMENT_BYTES_MIN);
    rig_reopen(&rig);
    for (uint64_t i = 0; i < 2000; i++) {
        snprintf(key, sizeof(key), "key%llu", (unsigned long long)i);
        assert_large(&rig, key, sizeof(value), i);
    }
    assert_counts(&rig);
    rig_free(&rig);
}

/* Lets all lanes but that of the checkpoint come to rest. */
static void rig_settle_log(struct rig *rig)
{
    bool any = true;
    while (any)
        any = lane_step(rig, ENGINE_LOG) | lane_step(rig, ENGINE_SEGMENT);
}

/* Puts 500 bytes under a new key; the log is written, the checkpoint stands. */
static void put_paced(struct rig *rig, uint64_t i)
{
    char key[32];
    uint8_t value[500];
    snprintf(key, sizeof(key), "key%llu", (unsigned long long)i);
    value_fill(value, sizeof(value), i);
    submit(rig, put_of(key, slice_of(value, sizeof(value))));
    rig_settle_log(rig);
}

/* A chunk from its begin to its end; true: there is another one. */
static bool chunk_step(struct rig *rig, uint64_t took_us)
{
    assert_int_equal(rig->stages[ENGINE_CHECKPOINT], STAGE_TAKEN);
    assert_true(lane_step(rig, ENGINE_CHECKPOINT));
    rig->now_us += took_us;
    engine_tick(rig->e, rig->now_us);
    assert_true(lane_step(rig, ENGINE_CHECKPOINT));
    rig_settle_log(rig);
    lane_step(rig, ENGINE_CHECKPOINT);
    return rig->e->checkpoint.overlay != NULL;
}

/* Who writes faster than the checkpoint waits a little for each chunk, never for all of it. */
static void test_writers_keep_pace_with_the_checkpoint(void **unused)
{
    (void)unused;
    struct rig rig;
    struct store_result r;
    rig_init(&rig, 51);
    rig.config.overlay_bytes_max = 128u << 10;
    rig.config.segment_bytes = 1u << 20;
    rig.config.chunk_records = 4;
    rig_open(&rig);
    const uint64_t half = 64u << 10;
    uint64_t sent = 0, was = 0, chunks = 0;
    while (!rig.e->checkpoint.overlay)
        put_paced(&rig, sent++);
    assert_int_equal(rig.e->parked.count, 0);
    assert_true(lane_step(&rig, ENGINE_CHECKPOINT));
    while (rig.e->parked.count == 0)
        put_paced(&rig, sent++);
    assert_true(rig.e->active->bytes >= half / 16 && rig.e->active->bytes < half / 8);
    assert_int_equal(rig.e->throttle_us - rig.now_us, 1000);
    engine_tick(rig.e, rig.now_us); /* the seal of the log takes its time */
    assert_true(engine_deadline_us(rig.e) <= rig.e->throttle_us);
    while (sent < 2 * half / 500)
        put_paced(&rig, sent++);
    /* The first chunk tells the speed; by it the second is believed to get on while it runs. */
    assert_true(chunk_step(&rig, 10000));
    was = rig.e->active->bytes;
    assert_true(was > half / 16 && rig.e->parked.count > 0);
    rig.now_us = rig.e->throttle_us + 4000;
    engine_tick(rig.e, rig.now_us);
    assert_true(rig.e->active->bytes > was);
    was = rig.e->active->bytes;
    rig.now_us += 100000; /* not beyond its end */
    engine_tick(rig.e, rig.now_us);
    assert_true(rig.e->active->bytes < half - half / 4);
    while (chunk_step(&rig, 10000)) {
        assert_true(rig.e->active->bytes >= was && rig.e->active->bytes < half - half / 16);
        was = rig.e->active->bytes;
        chunks++;
    }
    assert_int_equal(chunks, 2); /* four partitions */
    rig_settle(&rig);
    /* One that does not get on lets them in all the same, while there is room. */
    while (!rig.e->checkpoint.overlay)
        put_paced(&rig, sent++);
    assert_true(lane_step(&rig, ENGINE_CHECKPOINT));
    while (rig.e->parked.count < 10)
        put_paced(&rig, sent++);
    was = rig.e->active->bytes;
    rig.now_us += 800000;
    engine_tick(rig.e, rig.now_us);
    assert_true(rig.e->active->bytes >= was + half / 16);
    rig_settle(&rig);
    for (uint64_t done = 0; done < sent; done++) {
        assert_true(engine_result(rig.e, &r));
        assert_int_equal(r.result, 0);
        store_result_release(&r);
    }
    assert_counts(&rig);
    rig_free(&rig);
}

static void test_a_full_disk_refuses_and_recovers(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 14);
    put_large(&rig, "before", 1000, 1, 0);
    rig_settle(&rig);
    memdisk_capacity(rig.disk, 0);
    int refused = 0, stored = 0;
    for (uint64_t i = 0; i < 40; i++) {
        char key[32];
        uint8_t value[10000];
        snprintf(key, sizeof(key), "key%llu", (unsigned long long)i);
        value_fill(value, sizeof(value), i);
        /* A record of a key that needs a checkpoint first would be stored after one. */
        int code = call_code(&rig, put_of(key, slice_of(value, sizeof(value))));
        assert_true(code == 0 || code == GT_ENOSPACE);
        stored += code == 0;
        refused += code != 0;
        if (code == 0)
            assert_large(&rig, key, sizeof(value), i);
        assert_large(&rig, "before", 1000, 1);
    }
    assert_true(stored > 0);
    put_large(&rig, "huge", 4 * WAL_SEGMENT_BYTES_MIN, 9, GT_ENOSPACE);
    assert_true(engine_poisoned(rig.e) == 0);
    assert_int_equal(engine_disk_error(rig.e), GT_ENOSPACE);
    assert_true(refused > 1);
    assert_int_equal(rig.warnings, 1); /* each put asked for a segment, all within a second */
    memdisk_capacity(rig.disk, 1u << 30);
    put_large(&rig, "huge", 4 * WAL_SEGMENT_BYTES_MIN, 9, 0);
    assert_int_equal(engine_disk_error(rig.e), 0);
    assert_large(&rig, "huge", 4 * WAL_SEGMENT_BYTES_MIN, 9);
    assert_counts(&rig);
    rig_free(&rig);
}

/* Nobody writes, and all the same it is noticed: at most every two seconds a segment is tried. */
static void test_room_is_noticed_though_nobody_writes(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 72);
    put_large(&rig, "before", 1000, 1, 0);
    rig_settle(&rig);
    for (int huge = 0; huge < 2; huge++) {
        memdisk_capacity(rig.disk, 0);
        if (huge) { /* for which the segment that is ready is too small */
            put_large(&rig, "huge", 4 * WAL_SEGMENT_BYTES_MIN, 9, GT_ENOSPACE);
        } else {
            uint8_t value[10000] = {1};
            int code = 0;
            for (int i = 0; i < 60 && !code; i++)
                code = call_code(&rig, put_of("k", slice_of(value, sizeof(value))));
            assert_int_equal(code, GT_ENOSPACE);
        }
        assert_int_equal(engine_disk_error(rig.e), GT_ENOSPACE);
        uint64_t attempts = 0;
        for (int seconds = 0; seconds < 20 && !huge; seconds++) {
            assert_true(engine_deadline_us(rig.e) <= rig.now_us + 2000000);
            rig.now_us += 1000000;
            engine_tick(rig.e, rig.now_us);
            struct engine_job *j = engine_job(rig.e, ENGINE_SEGMENT);
            attempts += j != NULL;
            if (j) {
                engine_job_run(j);
                engine_job_done(rig.e, j);
            }
            assert_int_equal(engine_disk_error(rig.e), GT_ENOSPACE);
        }
        assert_true(huge || (attempts >= 5 && attempts <= 10));
        memdisk_capacity(rig.disk, 1u << 30);
        for (int tick = 0; tick < 3; tick++) {
            rig.now_us += 2000000;
            engine_tick(rig.e, rig.now_us);
            rig_settle(&rig);
        }
        assert_int_equal(engine_disk_error(rig.e), 0);
    }
    put_large(&rig, "after", 1000, 1, 0);
    rig_free(&rig);
}

static void test_a_full_disk_does_not_keep_a_node_from_starting(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_init(&rig, 71);
    memdisk_capacity(rig.disk, 0);
    assert_int_equal(rig_try_open(&rig), GT_ENOSPACE); /* there is nothing to read yet */
    memdisk_capacity(rig.disk, 1u << 30);
    rig_open(&rig);
    put_large(&rig, "before", 1000, 1, 0);
    for (int settled = 0; settled < 2; settled++) { /* the log was not applied, and was */
        if (settled)
            rig_settle(&rig);
        rig_kill(&rig);
        memdisk_capacity(rig.disk, 0);
        rig_open(&rig);
        assert_large(&rig, "before", 1000, 1);
        put_large(&rig, "huge", 4 * WAL_SEGMENT_BYTES_MIN, 9, GT_ENOSPACE);
        assert_int_equal(engine_poisoned(rig.e), 0);
        assert_large(&rig, "before", 1000, 1);
        memdisk_capacity(rig.disk, 1u << 30);
        put_large(&rig, "huge", 4 * WAL_SEGMENT_BYTES_MIN, 9, 0);
        assert_large(&rig, "huge", 4 * WAL_SEGMENT_BYTES_MIN, 9);
        assert_counts(&rig);
    }
    /* Another cause than room is not waited out. */
    rig_kill(&rig);
    memdisk_fail(rig.disk, MEMDISK_RENAME, 1, GT_EIO, true);
    assert_int_equal(rig_try_open(&rig), GT_EIO);
    rig_free(&rig);
}

static void test_a_full_index_refuses_beyond_the_overlay(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_init(&rig, 15);
    rig.config.overlay_bytes_max = 64u << 10;
    rig.config.segment_bytes = 1u << 20;
    rig_open(&rig);
    memindex_fail(rig.index, MEMINDEX_COMMIT, 1, GT_ENOSPACE, true);
    int code = 0;
    char key[32];
    uint64_t i = 0;
    for (; i < 1000 && code == 0; i++) {
        uint8_t value[1000];
        snprintf(key, sizeof(key), "key%llu", (unsigned long long)i);
        value_fill(value, sizeof(value), i);
        code = call_code(&rig, put_of(key, slice_of(value, sizeof(value))));
    }
    assert_int_equal(code, GT_ENOSPACE);
    assert_int_equal(engine_disk_error(rig.e), GT_ENOSPACE);
    assert_true(i > 40);
    assert_large(&rig, "key0", 1000, 0);
    assert_int_equal(engine_metrics(rig.e)->checkpoint_failures_count, 1);
    assert_true(engine_checkpoint_running(rig.e)); /* until it has come to its end */
    /* It waits, a second at first, and longer every time. */
    uint64_t waits[6];
    for (int k = 0; k < 6; k++) {
        assert_int_equal(engine_deadline_us(rig.e), 0);
        engine_tick(rig.e, rig.now_us);
        waits[k] = rig.e->checkpoint.retry_us - rig.now_us;
        rig.now_us += waits[k];
        engine_tick(rig.e, rig.now_us);
        rig_settle(&rig);
    }
    assert_int_equal(waits[0], 1000000);
    assert_int_equal(waits[1], 2000000);
    assert_int_equal(waits[5], 30000000);
    memindex_fail(rig.index, MEMINDEX_COMMIT, 0, 0, false);
    engine_tick(rig.e, rig.now_us);
    rig.now_us = engine_deadline_us(rig.e);
    engine_tick(rig.e, rig.now_us);
    rig_settle(&rig);
    put_large(&rig, key, 1000, 5, 0);
    rig_rest(&rig);
    assert_int_equal(engine_deadline_us(rig.e), UINT64_MAX);
    assert_false(engine_checkpoint_running(rig.e));
    assert_counts(&rig);
    rig_free(&rig);
}

/* A later attempt of the operation is under way: the earlier one is not to be minted any more. */
static void test_waiting_puts_of_an_operation_are_recalled(void **unused)
{
    (void)unused;
    struct rig rig;
    struct store_result r;
    rig_new(&rig, 16);
    uint8_t value[20000] = {1};
    uint32_t accepted = 0;
    for (; engine_metrics(rig.e)->parked_count == 0; accepted++)
        submit(&rig, put_of("k", slice_of(value, sizeof(value))));
    submit(&rig, put_op("one", "1", 5, 5));
    submit(&rig, put_op("two", "2", 6, 5));
    struct store_request recall = {.kind = STORE_RECALL};
    memset(recall.op, 5, OP_ID_BYTES);
    submit(&rig, recall);
    submit(&rig, recall); /* nothing to be recalled */
    assert_true(engine_result(rig.e, &r));
    assert_int_equal(r.kind, STORE_PUT);
    assert_int_equal(r.result, GT_ESTALE);
    assert_false(engine_result(rig.e, &r));
    rig_settle(&rig);
    for (; accepted > 0; accepted--) {
        assert_true(engine_result(rig.e, &r));
        assert_int_equal(r.result, 0);
        store_result_release(&r);
    }
    assert_true(engine_result(rig.e, &r));
    assert_int_equal(r.result, 0);
    store_result_release(&r);
    assert_int_equal(sibling_count(&rig, "one"), 0);
    assert_int_equal(sibling_count(&rig, "two"), 1);
    rig_free(&rig);
}

static void test_waiting_requests_end_at_their_deadline(void **unused)
{
    (void)unused;
    struct rig rig;
    struct store_result r;
    rig_init(&rig, 16);
    rig.config.parked_max = 3;
    rig_open(&rig);
    /* No segment lane runs, so there is room for a part of these only. */
    uint8_t value[20000] = {1};
    uint32_t accepted = 0;
    for (; engine_metrics(rig.e)->parked_count == 0; accepted++)
        submit(&rig, put_of("k", slice_of(value, sizeof(value))));
    struct store_request late = put_of("k", slice_of(value, sizeof(value)));
    late.deadline_us = rig.now_us + 500;
    submit(&rig, late);
    late.deadline_us = rig.now_us + 700;
    submit(&rig, late);
    submit(&rig, late); /* the fourth that waits */
    assert_true(engine_result(rig.e, &r));
    assert_int_equal(r.result, GT_EBUSY);
    assert_int_equal(engine_deadline_us(rig.e), rig.now_us + 500);
    engine_tick(rig.e, rig.now_us + 499);
    assert_false(engine_result(rig.e, &r));
    engine_tick(rig.e, rig.now_us + 500);
    assert_true(engine_result(rig.e, &r));
    assert_int_equal(r.result, GT_ETIMEOUT);
    assert_int_equal(engine_deadline_us(rig.e), rig.now_us + 700);
    engine_tick(rig.e, rig.now_us + 1000);
    assert_true(engine_result(rig.e, &r));
    assert_int_equal(r.result, GT_ETIMEOUT);
    assert_false(engine_result(rig.e, &r));
    assert_int_equal(engine_deadline_us(rig.e), UINT64_MAX);
    /* The one without a deadline is done when there is room. */
    rig_settle(&rig);
    for (; accepted > 0; accepted--) {
        assert_true(engine_result(rig.e, &r));
        assert_int_equal(r.result, 0);
        store_result_release(&r);
    }
    assert_false(engine_result(rig.e, &r));
    rig_free(&rig);
}

static void test_restarts_without_writes_do_not_grow_the_log(void **unused)
{
    (void)unused;
    struct rig rig;
    struct engine_totals totals;
    rig_new(&rig, 17);
    assert_int_equal(put(&rig, "k", "v"), 0);
    for (int i = 0; i < 30; i++) {
        if (i % 3 == 0)
            rig_reopen(&rig);
        rig_settle(&rig);
        rig_kill(&rig);
        rig_open(&rig);
        assert_false(rig.report.wal.middle);
    }
    rig_settle(&rig);
    engine_totals(rig.e, &totals);
    assert_true(totals.log_file_bytes <= 5 * WAL_SEGMENT_BYTES_MIN);
    assert_value(&rig, "k", "v");
    rig_free(&rig);
}

/* ---- stories: the seal ----------------------------------------------------------------------- */

static uint64_t seals(const struct rig *rig)
{
    return engine_metrics(rig->e)->seals_count;
}

static void test_an_idle_log_is_sealed_once(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 40);
    rig_rest(&rig);
    assert_int_equal(seals(&rig), 0); /* nothing was written that needs a proof */
    assert_int_equal(engine_deadline_us(rig.e), UINT64_MAX);
    assert_int_equal(put(&rig, "k", "v"), 0);
    assert_int_equal(engine_deadline_us(rig.e), 0); /* it is idle since now, whatever now is */
    rig.now_us += 700;
    engine_tick(rig.e, rig.now_us);
    assert_int_equal(engine_deadline_us(rig.e), rig.now_us + 5000);
    rig.now_us += 4999;
    engine_tick(rig.e, rig.now_us);
    rig_settle(&rig);
    assert_int_equal(seals(&rig), 0);
    rig.now_us++;
    engine_tick(rig.e, rig.now_us);
    rig_settle(&rig);
    assert_int_equal(seals(&rig), 1);
    assert_int_equal(engine_deadline_us(rig.e), UINT64_MAX);
    rig_rest(&rig);
    assert_int_equal(seals(&rig), 1);
    assert_int_equal(put(&rig, "k", "w"), 0);
    rig_rest(&rig);
    assert_int_equal(seals(&rig), 2);
    assert_int_equal(engine_metrics(rig.e)->batches_count, 2);
    rig_kill(&rig);
    rig_open(&rig);
    assert_false(rig.report.doubtful || rig.report.wal.tail);
    assert_value(&rig, "k", "w");
    rig_free(&rig);
}

static void test_batches_that_follow_one_another_are_not_sealed(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 41);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(put(&rig, "k", "v"), 0);
        rig.now_us += 3000;
        engine_tick(rig.e, rig.now_us);
        rig.now_us += 3000; /* 6 ms of sync, of which the lane tells nothing before it is done */
        submit(&rig, put_of("k", slice_text("v")));
        engine_tick(rig.e, rig.now_us);
    }
    rig_settle(&rig);
    assert_int_equal(seals(&rig), 0);
    rig_rest(&rig);
    assert_int_equal(seals(&rig), 1);
    rig_free(&rig);
}

/* The same bit, with and without a seal behind its batch. */
static void test_a_seal_tells_damage_from_an_unproven_end(void **unused)
{
    (void)unused;
    for (int sealed = 0; sealed < 2; sealed++) {
        struct rig rig;
        rig_new(&rig, 42);
        for (int i = 0; i < 3; i++)
            assert_int_equal(put(&rig, "k", "v"), 0);
        rig_settle(&rig);
        if (sealed)
            rig_rest(&rig);
        rig_power_cut(&rig);
        memdisk_flip(rig.disk, "wal/0000000000000001.wal", 3 * WAL_BLOCK + 70, 1);
        rig_open(&rig);
        assert_int_equal(rig.report.wal.middle, sealed);
        assert_int_equal(rig.report.wal.tail, !sealed);
        const struct engine_damage *d = engine_damage(rig.e);
        assert_int_equal(d->kinds, sealed ? DAMAGE_MIDDLE : DAMAGE_TAIL);
        assert_int_equal(d->first_lsn, 3);
        assert_int_equal(d->last_lsn, 3);
        assert_int_equal(engine_identity(rig.e)->lost, sealed);
        rig_free(&rig);
    }
}

/* A bit of the last batch in the same boot: without a seal it passes for one that was never
 * acknowledged. */
static void test_a_seal_proves_in_the_same_boot(void **unused)
{
    (void)unused;
    for (int sealed = 0; sealed < 2; sealed++) {
        struct rig rig;
        rig_new(&rig, 43);
        assert_int_equal(put(&rig, "k", "v"), 0);
        rig_settle(&rig);
        if (sealed)
            rig_rest(&rig);
        rig_kill(&rig);
        memdisk_flip(rig.disk, "wal/0000000000000001.wal", WAL_BLOCK + 70, 1);
        rig_open(&rig);
        assert_int_equal(rig.report.doubtful, sealed);
        rig_free(&rig);
    }
}

static void test_what_was_replayed_is_sealed_too(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 44);
    for (int i = 0; i < 3; i++)
        assert_int_equal(put(&rig, "k", "v"), 0);
    rig_kill(&rig);
    memdisk_flip(rig.disk, "wal/0000000000000001.wal", 3 * WAL_BLOCK + 70, 1);
    memindex_fail(rig.index, MEMINDEX_COMMIT, 2, GT_EIO, true); /* so that it stays in the log */
    rig_open(&rig);
    assert_true(rig.report.wal.tail); /* it was cut off, in the same boot */
    rig_rest(&rig);
    assert_int_equal(seals(&rig), 1);
    rig_kill(&rig);
    memindex_fail(rig.index, 0, 0, 0, false);
    rig.boots++;
    rig_open(&rig);
    assert_false(rig.report.doubtful); /* and is not found once more, in another */
    assert_value(&rig, "k", "v");
    rig_free(&rig);
}

/* A power cut in the middle of a seal costs nothing that was written before. */
static void test_a_seal_may_be_torn(void **unused)
{
    (void)unused;
    for (uint64_t seed = 100; seed < 300; seed++) {
        struct rig rig;
        rig_new(&rig, seed);
        assert_int_equal(put(&rig, "k", "v"), 0);
        rig_settle(&rig);
        engine_tick(rig.e, rig.now_us);
        rig.now_us += 5000;
        engine_tick(rig.e, rig.now_us);
        memdisk_fail(rig.disk, MEMDISK_SYNC, 1, GT_EIO, true);
        rig_settle(&rig);
        assert_int_equal(engine_poisoned(rig.e), GT_EIO);
        rig_power_cut(&rig);
        rig_open(&rig);
        assert_false(rig.report.wal.middle);
        assert_value(&rig, "k", "v");
        rig_free(&rig);
    }
}

static void test_a_seal_goes_into_the_next_segment(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 45);
    uint8_t value[8000] = {1};
    /* Until the segment has no block left. */
    while (!rig.e->current.file || rig.e->current_offset + WAL_BLOCK <= rig.e->current.bytes) {
        uint64_t left = rig.e->current.file ? rig.e->current.bytes - rig.e->current_offset : 99999;
        size_t bytes = left <= 3 * WAL_BLOCK ? 10 : sizeof(value);
        assert_int_equal(call_code(&rig, put_of("k", slice_of(value, bytes))), 0);
        rig_settle(&rig);
    }
    uint64_t number = rig.e->current.number;
    rig_rest(&rig);
    assert_int_equal(seals(&rig), 1);
    assert_int_equal(rig.e->current.number, number + 1);
    assert_int_equal(put(&rig, "k", "v"), 0);
    rig_kill(&rig);
    rig_open(&rig);
    assert_false(rig.report.doubtful);
    assert_value(&rig, "k", "v");
    rig_free(&rig);
}

/* ---- stories: damage ------------------------------------------------------------------------- */

static void test_a_bad_record_is_unknown(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 18);
    assert_int_equal(put(&rig, "good", "v"), 0);
    assert_int_equal(put(&rig, "bad", "v"), 0);
    rig_kill(&rig);
    rig_open(&rig); /* replays, so it checkpoints */
    rig_settle(&rig);
    uint8_t key[13];
    struct slice name = slice_text("bad");
    be16_put(key, (uint16_t)partition_of(name));
    be64_put(key + 2, hash_bytes(name));
    memcpy(key + 10, name.data, 3);
    struct blob *record;
    struct index_write *w;
    assert_int_equal(rig.index->get(rig.index, 0, INDEX_DATA, slice_of(key, sizeof(key)), &record),
                     0);
    record->data[record->bytes - 1] ^= 4;
    assert_int_equal(rig.index->begin(rig.index, &w), 0);
    assert_int_equal(rig.index->put(w, INDEX_DATA, slice_of(key, sizeof(key)), slice_blob(record)),
                     0);
    assert_int_equal(rig.index->commit(w), 0);
    blob_unref(record);
    struct store_result r = load_key(&rig, name);
    assert_int_equal(r.result, GT_EUNKNOWN);
    assert_null(r.record);
    assert_int_equal(put(&rig, "bad", "new"), GT_EUNKNOWN);
    assert_value(&rig, "good", "v");
    struct store_request scan = {.kind = STORE_SCAN,
                                 .partition = partition_of(name),
                                 .from_start = true,
                                 .bytes_max = 1u << 20};
    r = call(&rig, scan);
    struct reader reader = reader_of(slice_blob(r.entries));
    bool seen = false;
    for (uint32_t i = 0; i < r.entry_count; i++) {
        struct slice at = read_bytes(&reader), bytes = read_bytes(&reader);
        if (slice_equal(at, name)) {
            seen = true;
            assert_int_equal(bytes.bytes, 0);
        }
    }
    assert_true(seen);
    store_result_release(&r);
    assert_true(engine_metrics(rig.e)->bad_records_count >= 3);
    rig_free(&rig);
}

/* Batches lost in the middle of the log: what remains is served, and counted as it is. */
static void test_damage_in_the_middle_is_reported_and_counted(void **unused)
{
    (void)unused;
    struct rig rig;
    char key[32];
    rig_init(&rig, 20);
    rig.config.segment_bytes = 1u << 20;
    rig_open(&rig);
    for (int i = 0; i < 30; i++) { /* the first block is the header, then a batch a block */
        snprintf(key, sizeof(key), "key%d", i % 10);
        assert_int_equal(put(&rig, key, i < 20 ? "old" : "a longer new value"), 0);
    }
    rig_kill(&rig);
    for (uint64_t block = 5; block < 9; block++) /* the 5th to 8th put */
        memdisk_flip(rig.disk, "wal/0000000000000001.wal", block * WAL_BLOCK + 70, 1);
    memdisk_flip(rig.disk, "wal/0000000000000001.wal", 30 * WAL_BLOCK - WAL_BLOCK + 70, 1);
    rig_open(&rig);
    assert_true(rig.report.wal.middle && rig.report.doubtful);
    assert_true(rig.warnings > 0);
    assert_value(&rig, "key0", "a longer new value");
    assert_value(&rig, "key8", "old"); /* its newest put is lost */
    assert_counts(&rig);
    rig_settle(&rig); /* into the index */
    assert_counts(&rig);
    rig_reopen(&rig);
    assert_false(rig.report.wal.middle);
    assert_counts(&rig);
    rig_free(&rig);
}

static void assert_mark(struct rig *rig, uint8_t kinds, uint64_t first_lsn, uint64_t last_lsn,
                        uint64_t starts)
{
    const struct engine_damage *d = engine_damage(rig->e);
    assert_int_equal(d->kinds, kinds);
    assert_int_equal(d->first_lsn, first_lsn);
    assert_int_equal(d->last_lsn, last_lsn);
    assert_int_equal(d->starts, starts);
    assert_int_equal(d->found_s, kinds ? 1700000000 : 0);
}

static void open_with_warning(struct rig *rig, bool expected)
{
    rig->warnings = 0;
    rig_open(rig);
    assert_true((rig->warnings > 0) == expected);
}

static void test_a_damaged_log_is_marked_until_it_is_cleared(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 23);
    for (int i = 0; i < 10; i++)
        assert_int_equal(put(&rig, "k", "v"), 0);
    assert_mark(&rig, 0, 0, 0, 0);
    rig_kill(&rig);
    memdisk_flip(rig.disk, "wal/0000000000000001.wal", 4 * WAL_BLOCK + 70, 1); /* the 4th put */
    open_with_warning(&rig, true);
    assert_true(rig.report.doubtful);
    assert_mark(&rig, DAMAGE_MIDDLE, 4, 4, 0);
    rig_settle(&rig); /* the log that shows it is given up */
    rig_kill(&rig);
    open_with_warning(&rig, true);
    assert_false(rig.report.doubtful);
    assert_mark(&rig, DAMAGE_MIDDLE, 4, 4, 1);
    assert_int_equal(engine_renew_incarnation(rig.e, 0, rig.config.wall_us), 0);
    rig_close(&rig);
    open_with_warning(&rig, true);
    assert_mark(&rig, DAMAGE_MIDDLE, 4, 4, 2);
    /* What the index knows to have been durable is not in the log. */
    rig_close(&rig);
    struct buf bytes, value;
    struct index_write *w;
    buf_init(&bytes, 4096);
    buf_init(&value, 4096);
    struct applied_value applied = {.lsn = 20, .floor_segment = 90, .highest_lsn = 33};
    applied_encode(&applied, &bytes);
    meta_value_encode(slice_text("applied"), buf_slice(&bytes), &value);
    assert_int_equal(rig.index->begin(rig.index, &w), 0);
    assert_int_equal(rig.index->put(w, INDEX_META, slice_text("applied"), buf_slice(&value)), 0);
    assert_int_equal(rig.index->commit(w), 0);
    buf_close(&bytes);
    buf_close(&value);
    open_with_warning(&rig, true);
    assert_mark(&rig, DAMAGE_MIDDLE | DAMAGE_END, 4, 33, 0); /* the hull of both */
    assert_int_equal(engine_whole(rig.e), 0);
    assert_mark(&rig, 0, 0, 0, 0);
    rig_kill(&rig);
    open_with_warning(&rig, false);
    assert_mark(&rig, 0, 0, 0, 0);
    rig_free(&rig);
}

static int remove_segment(void *arg, const char *name)
{
    struct disk *d = arg;
    char path[DISK_NAME_BYTES];
    snprintf(path, sizeof(path), "wal/%s", name);
    return d->remove(d, path);
}

static void test_a_log_of_which_nothing_is_left_is_marked(void **unused)
{
    (void)unused;
    for (int applied = 0; applied < 2; applied++) {
        struct rig rig;
        rig_new(&rig, 25);
        assert_int_equal(put(&rig, "k", "v"), 0);
        if (applied) { /* the index is all that there is, but who knows what came after */
            rig_reopen(&rig);
            rig_settle(&rig);
        }
        rig_kill(&rig);
        assert_int_equal(rig.disk->list(rig.disk, "wal", remove_segment, rig.disk), 0);
        open_with_warning(&rig, true);
        assert_true(rig.report.doubtful && !rig.report.fresh);
        assert_mark(&rig, DAMAGE_END, 0, 0, 0);
        assert_value(&rig, "k", applied ? "v" : NULL);
        assert_int_equal(put(&rig, "k", "new"), 0);
        rig_kill(&rig);
        open_with_warning(&rig, true);
        assert_false(rig.report.doubtful);
        assert_mark(&rig, DAMAGE_END, 0, 0, 1);
        assert_value(&rig, "k", "new");
        rig_free(&rig);
    }
}

/* No segment of the right size, no room for one, and none that is needed: the last one stays. */
static void test_a_log_that_is_not_needed_is_not_taken_for_lost(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_new(&rig, 26);
    assert_int_equal(put(&rig, "k", "v"), 0);
    rig_reopen(&rig);
    rig_settle(&rig);
    rig_close(&rig);
    rig.config.segment_bytes = 2 * WAL_SEGMENT_BYTES_MIN;
    memdisk_capacity(rig.disk, 0);
    for (int starts = 0; starts < 3; starts++) {
        rig_open(&rig);
        rig_settle(&rig); /* what is not needed is removed */
        assert_int_equal(put(&rig, "k", "new"), GT_ENOSPACE);
        assert_value(&rig, "k", "v");
        assert_mark(&rig, 0, 0, 0, 0);
        rig_kill(&rig);
    }
    rig_free(&rig);
}

/* A start that ended before there was a log: the next one is the first. */
static void test_a_folder_whose_log_has_not_begun_is_whole(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_init(&rig, 27);
    memdisk_fail(rig.disk, MEMDISK_WRITE, 1, GT_EIO, true);
    assert_int_equal(rig_try_open(&rig), GT_EIO);
    memdisk_fail(rig.disk, MEMDISK_WRITE, 0, 0, false);
    rig_open(&rig);
    assert_mark(&rig, 0, 0, 0, 0);
    rig_free(&rig);
}

/* After a power cut the commit may not have ended; otherwise it had, and is gone. */
static void test_an_index_that_lacks_its_last_commit_is_marked(void **unused)
{
    (void)unused;
    for (int restarted = 0; restarted < 2; restarted++) {
        struct rig rig;
        rig_new(&rig, 26);
        assert_int_equal(put(&rig, "k", "v"), 0);
        rig_kill(&rig);
        rig.boots += (uint64_t)restarted;
        rig.index->mended = true;
        open_with_warning(&rig, true);
        assert_mark(&rig, restarted ? DAMAGE_TAIL : DAMAGE_END, 0, 0, 0);
        assert_int_equal(engine_identity(rig.e)->lost, !restarted);
        rig_free(&rig);
    }
}

static void test_an_end_that_is_not_whole_is_marked_after_a_restart_of_the_machine(void **unused)
{
    (void)unused;
    for (int restarted = 0; restarted < 2; restarted++) {
        struct rig rig;
        rig_new(&rig, 24);
        for (int i = 0; i < 3; i++)
            assert_int_equal(put(&rig, "k", "v"), 0);
        rig_kill(&rig);
        memdisk_flip(rig.disk, "wal/0000000000000001.wal", 3 * WAL_BLOCK + 70, 1);
        rig.boots += (uint64_t)restarted;
        for (uint64_t starts = 0; starts < 3; starts++) {
            if (restarted || starts > 0)
                open_with_warning(&rig, restarted);
            else
                rig_open(&rig);
            if (restarted)
                assert_mark(&rig, DAMAGE_TAIL, 3, 3, starts);
            else
                assert_mark(&rig, 0, 0, 0, 0);
            rig_settle(&rig);
            rig_kill(&rig);
        }
        rig_open(&rig);
        rig_free(&rig);
    }
}

static void test_a_failed_sync_poisons_the_log(void **unused)
{
    (void)unused;
    struct rig rig;
    struct store_result r;
    rig_new(&rig, 19);
    assert_int_equal(put(&rig, "k", "old"), 0);
    rig_settle(&rig);
    memdisk_fail(rig.disk, MEMDISK_SYNC, 1, GT_EIO, false);
    submit(&rig, put_of("k", slice_text("new")));
    submit(&rig, put_of("other", slice_text("new")));
    rig_settle(&rig);
    for (int i = 0; i < 2; i++) {
        assert_true(engine_result(rig.e, &r));
        assert_int_equal(r.result, GT_EPOISONED);
        assert_null(r.record);
    }
    assert_int_equal(engine_poisoned(rig.e), GT_EIO);
    assert_int_equal(put(&rig, "k", "newer"), GT_EPOISONED);
    rig_kill(&rig);
    rig_open(&rig);
    assert_int_equal(put(&rig, "third", "v"), 0);
    assert_counts(&rig);
    rig_free(&rig);
}

/* ---- random lives ---------------------------------------------------------------------------- */

#define KEYS    24u
#define OPS_MAX 4096u

enum op_state { OP_PENDING, OP_ACKED, OP_REFUSED, OP_UNKNOWN };

struct op {
    uint32_t key;
    bool merge, tombstone, plain;
    uint64_t seed;
    size_t bytes;
    enum op_state state;
    struct dot dot;
};

/* What the world outside knows: everything that was asked, and what was answered. */
struct world {
    struct rig rig;
    struct op ops[OPS_MAX];
    uint32_t op_count;
    struct blob *contexts[KEYS]; /* the newest that a put returned */
    uint64_t foreign_seq[PARTITIONS];
    uint32_t kills;
    struct memcut cut; /* of disk and index, where a test puts them on it */
};

static const char *key_name(uint32_t i, char name[24])
{
    snprintf(name, 24, "key-%u", i);
    return name;
}

static struct blob *op_value(const struct op *op)
{
    struct blob *value = blob_new(op->bytes);
    value_fill(value->data, op->bytes, op->seed);
    return value;
}

static size_t random_bytes(struct prng *p)
{
    switch (prng_below(p, 40)) {
    case 0:
        return WAL_SEGMENT_BYTES_MIN + prng_below(p, 100000);
    case 1:
    case 2:
        return prng_below(p, 20000);
    case 3:
        return 0;
    default:
        return prng_below(p, 400);
    }
}

static void world_put(struct world *w, struct op *op)
{
    struct rig *rig = &w->rig;
    char name[24];
    struct blob *value = op_value(op);
    struct store_request r = put_of(key_name(op->key, name), slice_blob(value));
    r.tag = (uint64_t)(op - w->ops);
    op->plain = r.plain = prng_below(&rig->prng, 3) > 0;
    op->tombstone = r.tombstone = prng_below(&rig->prng, 8) == 0;
    le64_put(r.op, r.tag + 1);
    if (!r.plain && w->contexts[op->key] && prng_below(&rig->prng, 8) > 0)
        r.context = slice_blob(w->contexts[op->key]);
    submit(rig, r);
    blob_unref(value);
}

/* A write that another node coordinated. */
static void world_merge(struct world *w, struct op *op)
{
    char name[24];
    struct slice key = slice_text(key_name(op->key, name));
    uint32_t partition = partition_of(key);
    struct blob *value = op_value(op), *record = NULL;
    op->merge = true;
    op->dot = (struct dot){{99, 1ull << 24}, ++w->foreign_seq[partition]};
    struct sibling sibling = {.dot = op->dot, .stamp = 5, .value = slice_blob(value)};
    struct state s;
    state_init(&s);
    assert_int_equal(state_add(&s, &sibling), 0);
    assert_int_equal(record_encode_blob(&s, partition, key, &record), 0);
    uint8_t dots[DOT_BYTES];
    dots_put(dots, op->dot);
    struct store_request r = {.kind = STORE_MERGE,
                              .tag = (uint64_t)(op - w->ops),
                              .partition = partition,
                              .key = key,
                              .record = slice_blob(record),
                              .dots = slice_of(dots, sizeof(dots))};
    submit(&w->rig, r);
    state_close(&s);
    blob_unref(record);
    blob_unref(value);
}

/* No dot of a partition is given out twice. */
static void assert_dot_is_new(const struct world *w, const struct op *op)
{
    char name[24], other_name[24];
    uint32_t partition = partition_of(slice_text(key_name(op->key, name)));
    for (const struct op *other = w->ops; other < w->ops + w->op_count; other++)
        if (other != op && other->state == OP_ACKED && dot_compare(other->dot, op->dot) == 0)
            assert_int_not_equal(partition_of(slice_text(key_name(other->key, other_name))),
                                 partition);
}

static void world_results(struct world *w)
{
    struct store_result r;
    while (engine_result(w->rig.e, &r)) {
        struct op *op = &w->ops[r.tag];
        assert_true(r.tag < w->op_count && op->state == OP_PENDING);
        if (r.result == 0) {
            op->state = OP_ACKED;
            if (!op->merge) {
                op->dot = dots_at(slice_blob(r.dots), 0);
                assert_dot_is_new(w, op);
                blob_unref(w->contexts[op->key]);
                w->contexts[op->key] = blob_ref(r.context);
            }
        } else {
            assert_true(r.result == GT_EPOISONED || r.result == GT_ELIMIT ||
                        r.result == GT_ENOSPACE || r.result == GT_EIO || r.result == GT_EBUSY ||
                        (r.result == GT_EUNKNOWN && memcut_reached(&w->cut)));
            op->state = r.result == GT_EPOISONED ? OP_UNKNOWN : OP_REFUSED;
        }
        store_result_release(&r);
    }
}

static void world_work(struct world *w, uint32_t ops)
{
    for (; ops > 0 && w->op_count < OPS_MAX; ops--) {
        struct op *op = &w->ops[w->op_count++];
        *op = (struct op){.key = (uint32_t)prng_below(&w->rig.prng, KEYS),
                          .seed = prng_next(&w->rig.prng),
                          .bytes = random_bytes(&w->rig.prng)};
        if (prng_below(&w->rig.prng, 5) == 0)
            world_merge(w, op);
        else
            world_put(w, op);
        rig_steps(&w->rig, prng_below(&w->rig.prng, 12));
        if (engine_deadline_us(w->rig.e) <= w->rig.now_us + 2000000) {
            engine_tick(w->rig.e, w->rig.now_us);
            w->rig.now_us += 2000000;
            engine_tick(w->rig.e, w->rig.now_us);
        }
        world_results(w);
    }
}

/* After a life ended: what was not answered is in doubt for ever, and contexts of then may name
 * what was never durable. */
static void world_forget(struct world *w)
{
    for (uint32_t i = 0; i < w->op_count; i++)
        if (w->ops[i].state == OP_PENDING)
            w->ops[i].state = OP_UNKNOWN;
}

static void world_check_key(struct world *w, uint32_t k)
{
    char name[24];
    struct slice key = slice_text(key_name(k, name));
    struct state state;
    struct blob *record;
    struct engine_partition p;
    state_init(&state);
    load_state(&w->rig, key, &state, &record);
    engine_partition(w->rig.e, partition_of(key), &p);
    const struct op *last_plain = NULL;
    for (uint32_t i = 0; i < w->op_count; i++) {
        const struct op *op = &w->ops[i];
        if (op->key != k)
            continue;
        if (op->state == OP_ACKED) {
            assert_true(history_covers(&state.history, op->dot));
            assert_true(clock_covers(p.clock, op->dot));
            const struct sibling *live = state_find(&state, op->dot);
            struct blob *value = op_value(op);
            if (live && op->tombstone)
                assert_true(live->flags & SIBLING_TOMBSTONE);
            else if (live)
                assert_true(slice_equal(live->value, slice_blob(value)));
            blob_unref(value);
        }
        if (op->state == OP_ACKED && op->plain)
            last_plain = op;
        else if (op->state != OP_REFUSED && !op->merge)
            last_plain = NULL; /* may have replaced it */
    }
    if (last_plain)
        assert_non_null(state_find(&state, last_plain->dot));
    for (uint32_t i = 0; i < state.sibling_count; i++)
        assert_true(clock_covers(p.clock, state.siblings[i].dot));
    state_close(&state);
    blob_unref(record);
}

/* Each dot of the clock is in the history of some key's state of the partition. */
static void world_check_clock(struct world *w, uint32_t partition)
{
    struct history seen;
    struct state state;
    history_init(&seen);
    state_init(&state);
    for (uint32_t k = 0; k < KEYS; k++) {
        char name[24];
        struct slice key = slice_text(key_name(k, name));
        struct blob *record;
        if (partition_of(key) != partition)
            continue;
        load_state(&w->rig, key, &state, &record);
        assert_int_equal(history_join(&seen, &state.history), 0);
        blob_unref(record);
    }
    struct engine_partition p;
    engine_partition(w->rig.e, partition, &p);
    for (uint32_t i = 0; i < p.clock->entry_count; i++) {
        const struct clock_entry *entry = &p.clock->entries[i];
        for (uint64_t seq = 1; seq <= entry->base; seq++)
            assert_true(history_covers(&seen, (struct dot){entry->actor, seq}));
        for (uint32_t k = 0; k < entry->range_count; k++)
            for (uint64_t seq = entry->ranges[k].first; seq <= entry->ranges[k].last; seq++)
                assert_true(history_covers(&seen, (struct dot){entry->actor, seq}));
    }
    history_close(&seen);
    state_close(&state);
}

static void world_check(struct world *w)
{
    assert_counts(&w->rig);
    for (uint32_t k = 0; k < KEYS; k++)
        world_check_key(w, k);
    for (uint32_t i = 0; i < PARTITIONS; i++)
        world_check_clock(w, i);
}

/* Opens, dying now and then in the middle of it. */
static void world_open(struct world *w)
{
    struct rig *rig = &w->rig;
    for (int tries = 0;; tries++) {
        bool doomed = tries < 3 && prng_below(&rig->prng, 3) == 0;
        if (doomed && prng_below(&rig->prng, 4) > 0)
            memdisk_fail(rig->disk, MEMDISK_ANY, 1 + prng_below(&rig->prng, 40), GT_EIO, true);
        else if (doomed)
            memindex_fail(rig->index, MEMINDEX_ANY, 1 + prng_below(&rig->prng, 6), GT_EIO, true);
        int error = rig_try_open(rig);
        if (error) {
            assert_true(doomed && error == GT_EIO);
            memdisk_crash(rig->disk, prng_next(&rig->prng));
            memindex_crash(rig->index);
            rig->boots++;
            continue;
        }
        memdisk_fail(rig->disk, MEMDISK_ANY, 0, 0, false);
        memindex_fail(rig->index, MEMINDEX_ANY, 0, 0, false);
        assert_false(rig->report.wal.middle);
        return;
    }
}

static void world_life(struct world *w)
{
    struct rig *rig = &w->rig;
    uint64_t end = prng_below(&rig->prng, 4);
    if (end == 0) /* every call fails from some moment on: the instant of the cut */
        memdisk_fail(rig->disk, MEMDISK_ANY, 1 + prng_below(&rig->prng, 150), GT_EIO, true);
    if (prng_below(&rig->prng, 3) == 0)
        memindex_fail(rig->index, MEMINDEX_ANY & ~MEMINDEX_GET & ~MEMINDEX_SCAN,
                      1 + prng_below(&rig->prng, 60), GT_EIO, prng_below(&rig->prng, 2));
    world_work(w, (uint32_t)prng_below(&rig->prng, 60));
    if (end == 3) {
        memindex_fail(rig->index, MEMINDEX_ANY, 0, 0, false);
        rig_settle(rig);
        world_results(w);
        if (!engine_poisoned(rig->e) && engine_idle(rig->e)) {
            world_check(w);
            engine_close(rig->e, true);
            rig->e = NULL;
            world_forget(w);
            return;
        }
    }
    world_results(w);
    world_forget(w);
    if (end <= 1)
        rig_power_cut(rig);
    else
        rig_kill(rig);
}

static void world_run(uint64_t seed, int lives)
{
    struct world *w = calloc(1, sizeof(*w));
    rig_init(&w->rig, seed);
    w->rig.config.overlay_bytes_max = (16u << 10) << prng_below(&w->rig.prng, 8);
    w->rig.config.chunk_records = (uint32_t)prng_below(&w->rig.prng, 10);
    w->rig.log.level = getenv("GT_TEST_LOG") ? LOG_INFO : LOG_ERROR;
    uint64_t incarnation = 0;
    for (int i = 0; i < lives; i++) {
        world_open(w);
        assert_true(engine_identity(w->rig.e)->incarnation > incarnation);
        incarnation = engine_identity(w->rig.e)->incarnation;
        if (prng_below(&w->rig.prng, 2))
            world_check(w);
        world_life(w);
    }
    world_open(w);
    world_check(w);
    rig_settle(&w->rig);
    world_check(w);
    for (uint32_t k = 0; k < KEYS; k++)
        blob_unref(w->contexts[k]);
    rig_free(&w->rig);
    free(w);
}

static void test_random_lives_lose_nothing_acknowledged(void **unused)
{
    (void)unused;
    const char *only = getenv("GT_TEST_SEED"), *runs = getenv("GT_TEST_RUNS");
    uint64_t first = only ? strtoull(only, NULL, 10) : 1;
    uint64_t count = only ? 1 : runs ? strtoull(runs, NULL, 10) : 400;
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (getenv("GT_TEST_VERBOSE"))
            fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
        world_run(seed, 8);
    }
}

/* The same short life, with the disk failing for good at its n-th call, for every n. */
static void test_every_disk_call_fails_once(void **unused)
{
    (void)unused;
    for (uint64_t n = 1;; n++) {
        struct world *w = calloc(1, sizeof(*w));
        rig_init(&w->rig, 77);
        w->rig.log.level = LOG_ERROR;
        w->rig.config.overlay_bytes_max = 64u << 10;
        rig_open(&w->rig);
        uint64_t before = memdisk_calls(w->rig.disk, MEMDISK_ANY);
        memdisk_fail(w->rig.disk, MEMDISK_ANY, n, GT_EIO, false);
        world_work(w, 50);
        bool failed = memdisk_calls(w->rig.disk, MEMDISK_ANY) - before >= n;
        world_forget(w);
        rig_kill(&w->rig);
        rig_open(&w->rig);
        assert_false(w->rig.report.wal.middle);
        world_check(w);
        for (uint32_t k = 0; k < KEYS; k++)
            blob_unref(w->contexts[k]);
        rig_free(&w->rig);
        free(w);
        if (!failed)
            break;
        assert_true(n < 10000);
    }
}

/* A life from its recovery to its checkpoint, ended in the n-th call of disk or index, for every n:
 * by kill -9 or by the power cut. */
static void test_a_life_ends_in_every_call(void **unused)
{
    (void)unused;
    bool reached = true;
    for (uint64_t n = 1; reached; n++) {
        struct world *w = calloc(1, sizeof(*w));
        rig_init(&w->rig, 78);
        w->rig.log.level = LOG_ERROR;
        rig_open(&w->rig);
        world_work(w, 40);
        world_forget(w);
        rig_kill(&w->rig);
        memdisk_cut(w->rig.disk, &w->cut);
        memindex_cut(w->rig.index, &w->cut);
        memcut_arm(&w->cut, n);
        int error = rig_try_open(&w->rig);
        if (!error) {
            world_work(w, 10);
            rig_settle(&w->rig);
            world_results(w);
        }
        reached = memcut_reached(&w->cut);
        assert_int_equal(error, error ? GT_EIO : 0);
        assert_true(reached || (!error && engine_metrics(w->rig.e)->checkpoints_count > 0));
        world_forget(w);
        if (n % 2 == 0)
            rig_kill(&w->rig);
        else
            rig_power_cut(&w->rig);
        memcut_clear(&w->cut);
        rig_open(&w->rig);
        assert_false(w->rig.report.wal.middle);
        world_check(w);
        for (uint32_t k = 0; k < KEYS; k++)
            blob_unref(w->contexts[k]);
        rig_free(&w->rig);
        free(w);
        assert_true(n < 10000);
    }
}

/* Keys that a scan of the partition shows. */
static uint32_t keys_of_partition(struct rig *rig, uint32_t partition)
{
    struct store_request scan = {
        .kind = STORE_SCAN, .partition = partition, .from_start = true, .bytes_max = 1000};
    struct store_result r = call(rig, scan);
    assert_int_equal(r.result, 0);
    store_result_release(&r);
    return r.entry_count;
}

/* The tables of partitions reach as far as the highest one in use, wherever that is. */
static void test_partitions_lie_far_apart(void **unused)
{
    (void)unused;
    static const uint32_t used[] = {70, 3, 63, 64, PARTITIONS_MAX - 1, 128, 0};
    static const uint32_t unused_ones[] = {1, 69, 129, PARTITIONS_MAX - 2};
    enum { USED = sizeof(used) / sizeof(used[0]) };
    struct rig rig;
    rig_new(&rig, 81);
    for (uint32_t i = 0; i < USED; i++) {
        struct store_request r = put_of("k", slice_of(&used[i], sizeof(used[i])));
        r.partition = used[i];
        assert_int_equal(call_code(&rig, r), 0);
    }
    for (int life = 0; life < 3; life++) { /* from the overlay, from the log, from the index */
        for (uint32_t i = 0; i < USED; i++) {
            struct engine_partition p;
            assert_int_equal(keys_of_partition(&rig, used[i]), 1);
            engine_partition(rig.e, used[i], &p);
            assert_int_equal(p.records, 1);
        }
        for (uint32_t i = 0; i < sizeof(unused_ones) / sizeof(unused_ones[0]); i++) {
            struct engine_partition p;
            assert_int_equal(keys_of_partition(&rig, unused_ones[i]), 0);
            engine_partition(rig.e, unused_ones[i], &p);
            assert_int_equal(p.records, 0);
            assert_int_equal(p.clock->entry_count, 0);
        }
        if (life == 1)
            rig_settle(&rig); /* the checkpoint of what was replayed */
        rig_kill(&rig);
        rig_open(&rig);
    }
    rig_free(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_get_overwrite_delete),
        cmocka_unit_test(test_contexts_make_and_replace_siblings),
        cmocka_unit_test(test_results_wait_for_the_sync),
        cmocka_unit_test(test_refused_puts_mint_nothing),
        cmocka_unit_test(test_a_context_of_dots_never_minted_is_refused),
        cmocka_unit_test(test_sibling_limits_bind_the_coordinator),
        cmocka_unit_test(test_a_retry_of_a_known_operation_mints_nothing),
        cmocka_unit_test(test_an_outranked_operation_is_minted_again_above),
        cmocka_unit_test(test_what_comes_with_the_row_of_the_first_takes_a_further_attempt),
        cmocka_unit_test(test_a_further_attempt_goes_by_the_row_of_the_first),
        cmocka_unit_test(test_an_outranked_operation_that_is_superseded_is_finished),
        cmocka_unit_test(test_an_operation_of_which_a_piece_arrived_is_minted_again),
        cmocka_unit_test(test_what_a_piece_does_not_say_was_seen_is_said_again),
        cmocka_unit_test(test_an_operation_that_a_piece_finishes_is_whole),
        cmocka_unit_test(test_a_piece_outranks_nothing),
        cmocka_unit_test(test_what_is_here_in_part_is_never_lent),
        cmocka_unit_test(test_a_superseded_operation_is_known_through_every_restart),
        cmocka_unit_test(test_a_merge_notes_what_it_supersedes_on_either_side),
        cmocka_unit_test(test_rows_of_a_partition_are_listed_and_taken),
        cmocka_unit_test(test_rows_of_a_message_are_looked_at_before_they_are_believed),
        cmocka_unit_test(test_old_operations_leave_and_the_engine_says_how_far_it_remembers),
        cmocka_unit_test(test_a_replica_that_misses_writes_of_a_key_cannot_tell),
        cmocka_unit_test(test_an_operation_minted_late_stands_where_its_first_attempt_stood),
        cmocka_unit_test(test_a_folder_of_an_earlier_version_remembers_from_now_on),
        cmocka_unit_test(test_merge_keeps_bytes_and_raises_the_clock),
        cmocka_unit_test(test_named_values_survive),
        cmocka_unit_test(test_identity_is_fresh_in_every_life),
        cmocka_unit_test(test_incarnations_end_at_the_last_one_and_never_go_back),
        cmocka_unit_test(test_the_highest_stamp_outlives_every_end),
        cmocka_unit_test(test_values_of_an_earlier_version_are_read),
        cmocka_unit_test(test_a_folder_of_another_role_is_refused),
        cmocka_unit_test(test_a_record_larger_than_a_segment),
        cmocka_unit_test(test_a_small_overlay_slows_and_drops_nothing),
        cmocka_unit_test(test_writers_keep_pace_with_the_checkpoint),
        cmocka_unit_test(test_a_full_disk_refuses_and_recovers),
        cmocka_unit_test(test_room_is_noticed_though_nobody_writes),
        cmocka_unit_test(test_a_full_disk_does_not_keep_a_node_from_starting),
        cmocka_unit_test(test_a_full_index_refuses_beyond_the_overlay),
        cmocka_unit_test(test_waiting_puts_of_an_operation_are_recalled),
        cmocka_unit_test(test_waiting_requests_end_at_their_deadline),
        cmocka_unit_test(test_restarts_without_writes_do_not_grow_the_log),
        cmocka_unit_test(test_an_idle_log_is_sealed_once),
        cmocka_unit_test(test_batches_that_follow_one_another_are_not_sealed),
        cmocka_unit_test(test_a_seal_tells_damage_from_an_unproven_end),
        cmocka_unit_test(test_a_seal_proves_in_the_same_boot),
        cmocka_unit_test(test_what_was_replayed_is_sealed_too),
        cmocka_unit_test(test_a_seal_may_be_torn),
        cmocka_unit_test(test_a_seal_goes_into_the_next_segment),
        cmocka_unit_test(test_a_bad_record_is_unknown),
        cmocka_unit_test(test_a_key_of_the_index_that_rotted),
        cmocka_unit_test(test_damage_in_the_middle_is_reported_and_counted),
        cmocka_unit_test(test_a_damaged_log_is_marked_until_it_is_cleared),
        cmocka_unit_test(test_a_log_of_which_nothing_is_left_is_marked),
        cmocka_unit_test(test_a_log_that_is_not_needed_is_not_taken_for_lost),
        cmocka_unit_test(test_a_folder_whose_log_has_not_begun_is_whole),
        cmocka_unit_test(test_an_index_that_lacks_its_last_commit_is_marked),
        cmocka_unit_test(test_an_end_that_is_not_whole_is_marked_after_a_restart_of_the_machine),
        cmocka_unit_test(test_a_failed_sync_poisons_the_log),
        cmocka_unit_test(test_random_lives_lose_nothing_acknowledged),
        cmocka_unit_test(test_every_disk_call_fails_once),
        cmocka_unit_test(test_a_life_ends_in_every_call),
        cmocka_unit_test(test_partitions_lie_far_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
