#include "tests/crash/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/prng.h"

#define KEY_TEXT_BYTES 16u
#define IDLE_US        10000u /* longer than a log waits for its seal */

static uint32_t key_text(uint32_t key, char text[KEY_TEXT_BYTES])
{
    snprintf(text, KEY_TEXT_BYTES, "key-%u", key);
    return hash_partition(hash_bytes(slice_text(text)), RIG_PARTITIONS);
}

static void op_of(uint32_t key, uint32_t number, uint8_t op[OP_ID_BYTES])
{
    memset(op, 0, OP_ID_BYTES);
    le32_put(op, key + 1);
    le32_put(op + 4, number);
}

struct blob *oracle_value(uint32_t key, uint32_t number, uint32_t bytes_max)
{
    struct prng prng;
    prng_init(&prng, ((uint64_t)key << 32) | number);
    size_t bytes = prng_below(&prng, bytes_max + 1u);
    struct blob *value = blob_new(bytes);
    gt_assert(value);
    for (size_t i = 0; i < bytes; i++)
        value->data[i] = (uint8_t)prng_next(&prng);
    return value;
}

static void own(const struct rig *rig, bool begins)
{
    if (rig->config.own)
        rig->config.own(begins);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void hear(void *arg, enum log_level level, const char *line)
{
    struct rig *rig = arg;
    rig->warnings += level <= LOG_WARN;
    if (rig->config.loud)
        fprintf(stderr, "  engine: %s %s\n", log_level_name(level), line);
}

int rig_open(struct rig *rig, const struct rig_config *config)
{
    memset(rig, 0, sizeof(*rig));
    rig->config = *config;
    struct rig_config *c = &rig->config;
    c->segment_bytes = c->segment_bytes ? c->segment_bytes : WAL_SEGMENT_BYTES_MIN;
    c->overlay_bytes_max = c->overlay_bytes_max ? c->overlay_bytes_max : 32u << 10;
    c->map_bytes = c->map_bytes ? c->map_bytes : 1u << 30;
    c->chunk_records = c->chunk_records ? c->chunk_records : 8;
    c->value_bytes_max = c->value_bytes_max ? c->value_bytes_max : 700;
    rig->now_us = 1000;
    log_init(&rig->log, LOG_INFO, hear, rig);
    int error = disk_posix_new(c->folder, "tests/crash", &rig->log, &rig->disk, rig->holder);
    if (error)
        return error;
    if (rig->disk->copied)
        error = index_pages_check(c->folder, &rig->log);
    if (!error)
        error = index_lmdb_new(c->folder, c->map_bytes, &rig->log, &rig->index);
    if (error)
        goto close_disk;
    struct engine_config engine = {.disk = rig->disk,
                                   .index = rig->index,
                                   .log = &rig->log,
                                   .role = "node",
                                   .seed = c->seed,
                                   .wall_us = 1700000000000000u,
                                   .segment_bytes = c->segment_bytes,
                                   .overlay_bytes_max = c->overlay_bytes_max,
                                   .chunk_records = c->chunk_records};
    le64_put(engine.boot_id, c->boot + 1);
    error = engine_open(&engine, &rig->engine, &rig->report);
    if (error)
        goto close_index;
    return 0;
close_index:
    rig->index->destroy(rig->index);
close_disk:
    rig->disk->destroy(rig->disk);
    return error;
}

int rig_close(struct rig *rig, struct oracle *o, bool clean)
{
    int error = clean ? rig_run(rig, o) : 0;
    engine_close(rig->engine, clean && engine_idle(rig->engine));
    rig->index->destroy(rig->index);
    rig->disk->destroy(rig->disk);
    return error;
}

/* ---- writing --------------------------------------------------------------------------------- */

void rig_put(struct rig *rig, struct oracle *o, uint32_t key)
{
    char text[KEY_TEXT_BYTES];
    uint32_t number = ++o->begun[key];
    struct store_request r = {.kind = STORE_PUT,
                              .partition = key_text(key, text),
                              .tag = ((uint64_t)key << 32) | number,
                              .plain = true,
                              .stamp = rig->now_us,
                              .tombstone = oracle_deletes(number)};
    own(rig, true);
    struct blob *value = oracle_value(key, number, r.tombstone ? 0 : rig->config.value_bytes_max);
    size_t key_bytes = strlen(text);
    r.hold = blob_new(key_bytes + value->bytes);
    gt_assert(r.hold);
    memcpy(r.hold->data, text, key_bytes);
    memcpy(r.hold->data + key_bytes, value->data, value->bytes);
    r.key = slice_of(r.hold->data, key_bytes);
    r.value = slice_of(r.hold->data + key_bytes, value->bytes);
    blob_unref(value);
    own(rig, false);
    op_of(key, number, r.op);
    engine_submit(rig->engine, &r, rig->now_us++);
}

bool rig_step(struct rig *rig, enum engine_lane lane)
{
    struct engine_job *job = engine_job(rig->engine, lane);
    if (!job)
        return false;
    engine_job_run(job);
    engine_job_done(rig->engine, job);
    return true;
}

int rig_answers(struct rig *rig, struct oracle *o)
{
    int error = 0;
    struct store_result result;
    while (engine_result(rig->engine, &result)) {
        uint32_t key = (uint32_t)(result.tag >> 32), number = (uint32_t)result.tag;
        if (result.kind == STORE_PUT && result.result == 0 && o->acked[key] < number)
            o->acked[key] = number;
        if (result.kind == STORE_PUT && result.result != 0 && result.result != GT_EPOISONED &&
            number < 64)
            o->refused[key] |= UINT64_C(1) << number;
        if (!error)
            error = result.result;
        store_result_release(&result);
    }
    return error;
}

int rig_run(struct rig *rig, struct oracle *o)
{
    int error = 0;
    for (bool any = true; any;) {
        any = false;
        for (int lane = 0; lane < ENGINE_LANES; lane++)
            any |= rig_step(rig, (enum engine_lane)lane);
        int answered = rig_answers(rig, o);
        error = error ? error : answered;
    }
    return error ? error : engine_poisoned(rig->engine);
}

int rig_idle(struct rig *rig, struct oracle *o)
{
    /* The first says when the log fell idle, the second that it is so still. */
    engine_tick(rig->engine, rig->now_us);
    rig->now_us += IDLE_US;
    engine_tick(rig->engine, rig->now_us);
    return rig_run(rig, o);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The number of the put that a record shows, or GT_ECORRUPT. */
static int record_number(const struct rig *rig, const struct store_result *result, uint32_t key,
                         uint32_t partition, struct slice name, uint32_t *number)
{
    struct state state;
    uint8_t op[OP_ID_BYTES];
    *number = 0;
    if (!result->record)
        return 0;
    state_init(&state);
    int error = record_decode(slice_blob(result->record), partition, name, &state);
    const struct sibling *s = error ? NULL : state_winner(&state);
    if (!error && s) {
        *number = le32_get(s->op + 4);
        bool tombstone = (s->flags & SIBLING_TOMBSTONE) != 0;
        op_of(key, *number, op);
        struct blob *value =
            oracle_value(key, *number, tombstone ? 0 : rig->config.value_bytes_max);
        if (state.sibling_count != 1 || memcmp(op, s->op, OP_ID_BYTES) != 0 ||
            tombstone != oracle_deletes(*number) ||
            (!tombstone && !slice_equal(s->value, slice_blob(value))))
            error = GT_ECORRUPT;
        blob_unref(value);
    }
    state_close(&state);
    return error;
}

int rig_get(struct rig *rig, uint32_t key, uint32_t *number)
{
    char text[KEY_TEXT_BYTES];
    struct store_request r = {
        .kind = STORE_LOAD, .partition = key_text(key, text), .tag = UINT64_MAX};
    struct store_result result;
    own(rig, true);
    r.hold = blob_new(strlen(text));
    own(rig, false);
    gt_assert(r.hold);
    memcpy(r.hold->data, text, r.hold->bytes);
    r.key = slice_blob(r.hold);
    engine_submit(rig->engine, &r, rig->now_us);
    *number = 0;
    while (engine_result(rig->engine, &result)) {
        bool mine = result.kind == STORE_LOAD && result.tag == UINT64_MAX;
        int error = result.result;
        own(rig, true);
        if (mine && !error)
            error = record_number(rig, &result, key, r.partition, slice_text(text), number);
        own(rig, false);
        store_result_release(&result);
        if (mine)
            return error;
    }
    return GT_EBUSY; /* the answer would show what is not durable yet */
}

bool rig_check(struct rig *rig, const struct oracle *o, bool doubtful, char *why, size_t bytes)
{
    for (uint32_t key = 0; key < ORACLE_KEYS; key++) {
        uint32_t number;
        int error = rig_get(rig, key, &number);
        if (error && !(doubtful && error == GT_EUNKNOWN)) {
            snprintf(why, bytes, "key %u: %s", key, error_text(error));
            return false;
        }
        if (error)
            continue;
        if (number > o->begun[key] || (number < o->acked[key] && !doubtful)) {
            snprintf(why, bytes, "key %u shows put %u; acknowledged %u, begun %u", key, number,
                     o->acked[key], o->begun[key]);
            return false;
        }
        if (number > 0 && number < 64 && (o->refused[key] >> number & 1)) {
            snprintf(why, bytes, "key %u shows put %u, which was refused", key, number);
            return false;
        }
    }
    return true;
}
