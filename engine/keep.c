/*
 * Parcels (parcels.h) as the engine keeps them. A parcel touches no partition: no clock is asked
 * and none is set, and its states are joined with one another alone. It is durable like everything
 * else: one log record for each version, one for the end of it.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/mutant.h"
#include "engine/engine_private.h"

#define PARCEL_DOTS_MAX 64u /* beside those of live siblings */

int parcel_read(struct engine *e, const struct parcel *p, struct blob **hold,
                struct parcel_value *out)
{
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct parcel_name name = {p->target, p->hash, p->partition, parcel_key(p)};
    struct slice key = parcel_index_key(at, &name), bytes = slice_blob(p->value);
    int error = 0;
    *hold = NULL;
    if (p->value)
        *hold = blob_ref(p->value);
    else
        error = e->index->get(e->index, READ_LANE_LOOP, INDEX_PARCEL, key, hold);
    if (!error && !p->value)
        error = meta_value_decode(key, slice_blob(*hold), &bytes);
    if (!error)
        error = parcel_value_decode(bytes, out);
    if (!error)
        error = record_known(out->record, p->partition, name.key);
    if (!error)
        return 0;
    blob_unref(*hold);
    *hold = NULL;
    *out = (struct parcel_value){0}; /* whatever was read of it is gone */
    if (error != GT_ECORRUPT && error != GT_ENOTFOUND)
        return error; /* of the disk, or a newer format: what is kept may be read another time */
    e->metrics.bad_records_count++;
    log_error(e->log, "parcel unreadable partition=%u target=%016llx cause=%s", p->partition,
              (unsigned long long)p->target, error_text(error));
    return GT_EUNKNOWN;
}

/* ---- taken ----------------------------------------------------------------------------------- */

/* The next version of a parcel: what is kept, joined with what came. The state is in e->merged. */
struct version {
    struct buf dots, operations;
    struct blob *record, *value; /* the value is the parcel's bytes */
};

static void version_init(struct version *v)
{
    *v = (struct version){0};
    buf_init(&v->dots, BLOB_BYTES_MAX);
    buf_init(&v->operations, BLOB_BYTES_MAX);
}

static void version_close(struct version *v)
{
    buf_close(&v->dots);
    buf_close(&v->operations);
    blob_unref(v->record);
    blob_unref(v->value);
}

static bool dots_have(struct slice dots, struct dot d)
{
    for (uint32_t i = 0; i < dots_count(dots); i++)
        if (dot_compare(dots_at(dots, i), d) == 0)
            return true;
    return false;
}

static bool operation_told(struct slice operations, struct dot d, struct operation *out)
{
    for (uint32_t i = 0; i < operations_count(operations); i++) {
        *out = operations_at(operations, i);
        if (dot_compare(out->dot, d) == 0)
            return true;
    }
    return false;
}

/* Of a sibling that the other state superseded. False: none has the dot. */
static bool operation_superseded(const struct engine *e, const struct store_request *r,
                                 struct dot d, struct operation *out)
{
    const struct sibling *s = state_find(&e->local, d);
    if (!s)
        s = state_find(&e->incoming, d);
    if (!s)
        return false;
    *out = (struct operation){
        .key_hash = hash_bytes(r->key), .dot = d, .stamp = s->stamp, .noted = r->stamp};
    memcpy(out->op, s->op, OP_ID_BYTES);
    return true;
}

static void dot_add(struct version *v, struct dot d, const struct operation *o)
{
    uint8_t raw[DOT_BYTES], row[OPERATION_BYTES];
    dots_put(raw, d);
    buf_put(&v->dots, raw, sizeof(raw));
    if (!o || operation_none(o->op))
        return;
    operation_put(row, o);
    buf_put(&v->operations, row, sizeof(row));
}

/*
 * Of the dots of both versions: those that are live, and while there is room those whose operations
 * are known, so that the target can tell of them too (RULES 10). So the list of a key that is
 * written on and on while its owner is away stays short; of the rest the owner learns by its pulls.
 * GT_ENOMEM, or GT_ECORRUPT for a dot that the state does not hold.
 */
static int dots_join(struct engine *e, const struct store_request *r,
                     const struct parcel_value *before, struct version *v)
{
    struct slice lists[] = {r->dots, before->dots};
    for (int l = 0; l < 2; l++)
        for (uint32_t i = 0; i < dots_count(lists[l]); i++) {
            struct dot d = dots_at(lists[l], i);
            struct operation o;
            if (d.seq == 0 || !history_covers(&e->merged.history, d))
                return GT_ECORRUPT;
            if (dots_have(buf_slice(&v->dots), d))
                continue;
            if (state_find(&e->merged, d))
                dot_add(v, d, NULL);
            else if (dots_count(buf_slice(&v->dots)) < PARCEL_DOTS_MAX &&
                     (operation_told(r->operations, d, &o) ||
                      operation_told(before->operations, d, &o) ||
                      operation_superseded(e, r, d, &o)))
                dot_add(v, d, &o);
        }
    return v->dots.failed || v->operations.failed ? GT_ENOMEM : 0;
}

static int value_make(struct engine *e, uint64_t made_s, struct version *v)
{
    struct buf bytes;
    buf_init(&bytes, BLOB_BYTES_MAX);
    struct parcel_value value = {.number = e->next_lsn,
                                 .made_s = made_s,
                                 .dots = buf_slice(&v->dots),
                                 .record = slice_blob(v->record),
                                 .operations = buf_slice(&v->operations)};
    parcel_value_encode(&value, &bytes);
    v->value = buf_blob(&bytes);
    buf_close(&bytes);
    return v->value ? 0 : GT_ENOMEM;
}

static int version_make(struct engine *e, const struct store_request *r,
                        const struct parcel_value *before, struct version *v)
{
    state_clear(&e->local);
    state_clear(&e->incoming);
    int error = record_decode(r->record, r->partition, r->key, &e->incoming);
    if (!error && before->record.bytes > 0)
        error = record_decode(before->record, r->partition, r->key, &e->local);
    if (!error)
        error = version_merge(&e->local, NULL, &e->incoming, NULL, &e->merged);
    if (!error)
        error = dots_join(e, r, before, v);
    if (!error)
        error = record_encode_blob(&e->merged, r->partition, r->key, &v->record);
    return error ? error : value_make(e, before->made_s, v);
}

static size_t payload_bytes_of(const struct store_request *r, size_t value_bytes)
{
    return 8 + varint_bytes(r->partition) + slice_bytes(r->key.bytes) + slice_bytes(value_bytes) +
           STAMP_BYTES;
}

static uint64_t parcel_log(struct engine *e, const struct store_request *r, struct slice value)
{
    struct buf *body = &e->forming->body;
    uint64_t lsn = log_append(e, LOG_PARCEL, r, payload_bytes_of(r, value.bytes));
    buf_u64(body, r->target);
    buf_varint(body, r->partition);
    buf_bytes(body, r->key);
    buf_bytes(body, value);
    buf_u64(body, r->stamp);
    gt_assert(!body->failed);
    return lsn;
}

static bool kept_full(const struct engine *e, const struct parcel *known, const struct blob *value,
                      struct slice key)
{
    if (!known && e->parcels.count >= e->parcels_max)
        return true;
    uint64_t before = known ? known->key_bytes + known->value_bytes : 0;
    return e->parcels.bytes - before + key.bytes + value->bytes > e->parcels_bytes_max;
}

/* Room and memory for the version, then log and table: nothing in between can fail. */
static int version_write(struct engine *e, const struct store_request *r, struct parcel *known,
                         const struct parcel_name *name, uint64_t made_s, struct blob *value,
                         bool parked, uint64_t *lsn)
{
    size_t payload_bytes = payload_bytes_of(r, value->bytes);
    if (kept_full(e, known, value, r->key))
        return GT_ELIMIT;
    int error = log_room(e, payload_bytes, parked);
    if (!error && e->parcels.dirty_bytes >= e->overlay_half)
        error = e->checkpoint.error == GT_ENOSPACE ? GT_ENOSPACE : NO_ROOM;
    if (!error)
        error = log_reserve(e, payload_bytes);
    struct parcel *made = error || known ? NULL : parcel_new(name);
    if (!error && !known && !made)
        error = GT_ENOMEM;
    if (!error)
        error = parcels_reserve(&e->parcels, r->target, r->partition);
    if (error) {
        parcel_free(made);
        return error;
    }
    *lsn = parcel_log(e, r, slice_blob(value));
    parcels_put(&e->parcels, known, made, *lsn, made_s, blob_ref(value));
    return 0;
}

static int parcel_take(struct engine *e, const struct store_request *r,
                       const struct parcel_name *name, struct parcel *known, bool parked)
{
    struct store_result result = {.kind = STORE_PARCEL, .tag = r->tag};
    struct parcel_value before = {.made_s = r->wall_s};
    struct blob *hold = NULL;
    struct version v;
    uint64_t lsn = 0;
    version_init(&v);
    int error = known ? parcel_read(e, known, &hold, &before) : 0;
    if (error == GT_EUNKNOWN) { /* nothing can be joined with it: the new one takes its place */
        before.made_s = known->made_s;
        error = 0;
    }
    if (!error)
        error = version_make(e, r, &before, &v);
    if (!error)
        error = version_write(e, r, known, name, before.made_s, v.value, parked, &lsn);
    blob_unref(hold);
    version_close(&v);
    if (error)
        return error;
    if (MUTANT(guest_sets_clock)) {
        struct partition *p = engine_partition_get(e, r->partition);
        for (uint32_t i = 0; p && i < dots_count(r->dots); i++)
            clock_add(&p->clock, dots_at(r->dots, i));
    }
    engine_answer_at(e, &result, MUTANT(parcel_before_durable) ? 0 : lsn);
    return 0;
}

/* ---- dropped --------------------------------------------------------------------------------- */

static int parcel_end(struct engine *e, const struct store_request *r, struct parcel *known,
                      bool parked)
{
    struct store_result result = {.kind = STORE_PARCEL, .tag = r->tag};
    if (!known || (known->number != r->number &&
                   !MUTANT(drop_newer_parcel))) { /* went before, or there is a newer one */
        engine_answer_at(e, &result, 0);
        return 0;
    }
    size_t payload_bytes = payload_bytes_of(r, 0);
    struct blob *index_key;
    int error = log_room(e, payload_bytes, parked);
    if (!error)
        error = log_reserve(e, payload_bytes);
    if (!error)
        error = parcels_drop_reserve(&e->parcels, known, &index_key);
    if (error)
        return error;
    uint64_t lsn = parcel_log(e, r, slice_of(NULL, 0));
    parcels_drop(&e->parcels, known, index_key);
    engine_answer_at(e, &result, lsn);
    return 0;
}

int admit_parcel(struct engine *e, const struct store_request *r, bool parked)
{
    if (r->key.bytes < 1 || r->key.bytes > KEY_BYTES_MAX || r->partition >= PARTITIONS_MAX)
        return GT_ELIMIT;
    struct parcel_name name = {r->target, hash_bytes(r->key), r->partition, r->key};
    struct parcel *known = parcels_find(&e->parcels, &name);
    if (r->record.bytes == 0)
        return parcel_end(e, r, known, parked);
    bool whole = r->dots.bytes % DOT_BYTES == 0 && r->operations.bytes % OPERATION_BYTES == 0;
    return whole ? parcel_take(e, r, &name, known, parked) : GT_ECORRUPT;
}

/* ---- listed ---------------------------------------------------------------------------------- */

static uint64_t oldest_s(const struct parcel_target *t)
{
    uint64_t oldest = UINT64_MAX;
    for (uint32_t i = 0; i < t->place_count; i++)
        if (t->places[i].parcel && t->places[i].made_s < oldest)
            oldest = t->places[i].made_s;
    return oldest;
}

static void targets_list(struct engine *e, struct buf *out)
{
    for (uint32_t i = 0; i < e->parcels.target_count; i++)
        if (e->parcels.targets[i].parcels > 0)
            buf_u64(out, e->parcels.targets[i].target);
}

static int parcel_list(struct engine *e, const struct parcel *p, struct buf *out)
{
    struct blob *hold;
    struct parcel_value v = {0};
    int error = parcel_read(e, p, &hold, &v);
    if (error && error != GT_EUNKNOWN)
        return error;
    buf_u64(out, p->number);
    buf_varint(out, p->partition);
    buf_bytes(out, parcel_key(p));
    buf_bytes(out, v.dots);
    buf_bytes(out, v.record);
    buf_bytes(out, v.operations);
    blob_unref(hold);
    return out->failed ? GT_ENOMEM : 0;
}

/* The target's parcels above the number, as many as the bounds allow and at least one. */
static int parcels_list(struct engine *e, const struct store_request *r,
                        struct store_result *result, uint64_t *lsn)
{
    const struct parcel_target *t = parcels_of(&e->parcels, r->target);
    struct buf *out = &e->scan;
    uint64_t bytes = 0;
    for (uint32_t i = t ? parcels_place(t, r->number) : 0; t && i < t->place_count; i++) {
        const struct parcel *p = t->places[i].parcel;
        if (!p)
            continue;
        bytes += p->key_bytes + p->value_bytes;
        if (result->entry_count > 0 &&
            (result->entry_count >= r->count_max || bytes > r->bytes_max)) {
            result->more = true;
            return 0;
        }
        int error = parcel_list(e, p, out);
        if (error == GT_ENOMEM)
            return error;
        if (error) {
            log_warn(e->log, "parcel not read, it is kept partition=%u target=%016llx cause=%s",
                     p->partition, (unsigned long long)p->target, error_text(error));
            continue;
        }
        *lsn = p->number;
        result->entry_count++;
    }
    return 0;
}

static struct blob *partitions_list(const struct parcels *p)
{
    struct blob *list = blob_new((size_t)p->partition_count * 2);
    uint32_t bytes = 0;
    for (uint32_t i = 0; list && i < p->partition_count; i++)
        if (p->partition_counts[i] > 0) {
            le16_put(list->data + bytes, (uint16_t)i);
            bytes += 2;
        }
    if (list)
        list->bytes = bytes;
    return list;
}

void engine_parcels(struct engine *e, const struct store_request *r)
{
    struct store_result result = {.kind = STORE_PARCELS, .tag = r->tag};
    uint64_t lsn = 0;
    buf_clear(&e->scan);
    result.parcels = parcels_of_partition(&e->parcels, r->partition);
    if (r->target == 0) {
        targets_list(e, &e->scan);
        result.partitions = partitions_list(&e->parcels);
        result.result = result.partitions ? 0 : GT_ENOMEM;
    } else {
        result.result = parcels_list(e, r, &result, &lsn);
    }
    if (!result.result) {
        result.entries = buf_blob(&e->scan);
        result.result = result.entries ? 0 : GT_ENOMEM;
    }
    if (e->scan.capacity > BODY_KEEP_BYTES)
        buf_close(&e->scan);
    engine_answer_at(e, &result, result.result ? 0 : lsn);
}

uint32_t engine_parcels_for(const struct engine *e, uint64_t target)
{
    const struct parcel_target *t = parcels_of(&e->parcels, target);
    return t ? t->parcels : 0;
}

uint32_t engine_kept(const struct engine *e, struct engine_kept *out, uint32_t max)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < e->parcels.target_count; i++) {
        const struct parcel_target *t = &e->parcels.targets[i];
        uint32_t at = count;
        while (at > 0 && out[at - 1].parcels < t->parcels)
            at--;
        if (t->parcels == 0 || at == max)
            continue;
        count += count < max;
        memmove(&out[at + 1], &out[at], (count - at - 1) * sizeof(*out));
        out[at] = (struct engine_kept){t->target, t->parcels, t->bytes, oldest_s(t)};
    }
    return count;
}

/* ---- recovery -------------------------------------------------------------------------------- */

int parcel_install(struct engine *e, const struct wal_record *r, uint64_t *stamp)
{
    struct reader reader = reader_of(r->payload);
    struct parcel_name name = {.target = read_u64(&reader)};
    struct parcel_value v;
    uint64_t partition = read_varint(&reader);
    name.key = read_bytes(&reader);
    struct slice bytes = read_bytes(&reader);
    *stamp = read_u64_or_zero(&reader);
    if (reader.failed || partition >= PARTITIONS_MAX || name.key.bytes < 1 ||
        name.key.bytes > KEY_BYTES_MAX || (bytes.bytes && parcel_value_decode(bytes, &v) != 0))
        return GT_ECORRUPT;
    name.partition = (uint32_t)partition;
    name.hash = hash_bytes(name.key);
    if (bytes.bytes && record_known(v.record, name.partition, name.key) == GT_EFORMAT)
        return GT_EFORMAT;
    struct parcel *known = parcels_find(&e->parcels, &name);
    if (known && known->number >= r->lsn) /* of a checkpoint that did not end */
        return 0;
    struct blob *index_key;
    if (bytes.bytes == 0) {
        int error = known ? parcels_drop_reserve(&e->parcels, known, &index_key) : 0;
        if (known && !error)
            parcels_drop(&e->parcels, known, index_key);
        return error;
    }
    struct parcel *made = known ? NULL : parcel_new(&name);
    struct blob *value = blob_copy(bytes.data, bytes.bytes);
    if ((!known && !made) || !value ||
        parcels_reserve(&e->parcels, name.target, name.partition) != 0) {
        parcel_free(made);
        blob_unref(value);
        return GT_ENOMEM;
    }
    parcels_put(&e->parcels, known, made, r->lsn, v.made_s, value);
    return 0;
}

int parcel_load(struct engine *e, struct slice index_key, struct slice value)
{
    struct parcel_name name;
    struct parcel_value v;
    struct slice bytes;
    int error = parcel_index_key_split(index_key, &name);
    if (!error)
        error = meta_value_decode(index_key, value, &bytes);
    if (!error)
        error = parcel_value_decode(bytes, &v);
    if (!error)
        return parcels_load(&e->parcels, &name, v.number, v.made_s, (uint32_t)bytes.bytes);
    if (error == GT_ENOMEM || error == GT_EFORMAT)
        return error;
    e->metrics.bad_records_count++;
    log_error(e->log, "parcel unreadable in the index, it is given up bytes=%zu cause=%s",
              value.bytes, error_text(error));
    return 0;
}
