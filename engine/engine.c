#include "engine/engine.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/engine_private.h"

/* ---- queues ---------------------------------------------------------------------------------- */

/* Doubles a ring of `count` items that begins at *head. Returns the new items or NULL. */
static void *ring_grow(void *items, size_t item_bytes, uint32_t *head, uint32_t count,
                       uint32_t *capacity)
{
    uint32_t larger = *capacity ? *capacity * 2 : 64;
    uint8_t *grown = malloc(larger * item_bytes);
    if (!grown)
        return NULL;
    uint32_t first = *capacity - *head < count ? *capacity - *head : count;
    if (count > 0) {
        memcpy(grown, (uint8_t *)items + *head * item_bytes, first * item_bytes);
        memcpy(grown + first * item_bytes, items, (count - first) * item_bytes);
    }
    free(items);
    *head = 0;
    *capacity = larger;
    return grown;
}

int result_reserve(struct result_queue *q)
{
    if (q->count < q->capacity)
        return 0;
    void *items = ring_grow(q->items, sizeof(*q->items), &q->head, q->count, &q->capacity);
    if (!items)
        return GT_ENOMEM;
    q->items = items;
    return 0;
}

void result_push(struct result_queue *q, const struct store_result *r)
{
    gt_memory(result_reserve(q) == 0); /* an answer cannot be refused */
    q->items[(q->head + q->count++) & (q->capacity - 1)] = *r;
}

bool result_pop(struct result_queue *q, struct store_result *out)
{
    if (q->count == 0)
        return false;
    *out = q->items[q->head];
    q->head = (q->head + 1) & (q->capacity - 1);
    q->count--;
    return true;
}

void result_queue_close(struct result_queue *q)
{
    struct store_result r;
    while (result_pop(q, &r))
        store_result_release(&r);
    free(q->items);
    *q = (struct result_queue){0};
}

static int request_push(struct request_queue *q, const struct store_request *r)
{
    if (q->count == q->capacity) {
        void *items = ring_grow(q->items, sizeof(*q->items), &q->head, q->count, &q->capacity);
        if (!items)
            return GT_ENOMEM;
        q->items = items;
    }
    q->items[(q->head + q->count++) & (q->capacity - 1)] = *r;
    return 0;
}

bool request_pop(struct request_queue *q, struct store_request *out)
{
    if (q->count == 0)
        return false;
    *out = q->items[q->head];
    q->head = (q->head + 1) & (q->capacity - 1);
    q->count--;
    return true;
}

void store_request_release(struct store_request *r)
{
    blob_unref(r->hold);
    r->hold = NULL;
}

void store_result_release(struct store_result *r)
{
    blob_unref(r->record);
    blob_unref(r->dots);
    blob_unref(r->context);
    blob_unref(r->entries);
    blob_unref(r->clock);
    blob_unref(r->outranking);
    blob_unref(r->operations);
    blob_unref(r->partitions);
    r->partitions = NULL;
    r->record = r->dots = r->context = r->entries = r->clock = r->outranking = r->operations = NULL;
}

/* ---- in and out ------------------------------------------------------------------------------ */

static void answer_error(struct engine *e, const struct store_request *r, int error)
{
    struct store_result result = {.kind = r->kind, .tag = r->tag, .result = error};
    if (error == GT_EBUSY || error == GT_ETIMEOUT)
        e->metrics.refused_count++;
    result_push(&e->results, &result);
}

static void gauges_update(struct engine *e)
{
    const struct overlay *frozen = e->checkpoint.overlay;
    e->metrics.overlay_records = e->active->records + (frozen ? frozen->records : 0);
    e->metrics.overlay_bytes = e->active->bytes + (frozen ? frozen->bytes : 0);
    e->metrics.operations_count = e->operations.count;
    e->metrics.operations_bytes = operations_bytes(&e->operations);
    e->metrics.operations_s = operations_length_ms(&e->operations, e->stamp_max) / 1000;
}

static bool deadline_passed(const struct engine *e, const struct store_request *r)
{
    return r->deadline_us != 0 && r->deadline_us <= e->now_us;
}

/* The request waits for room. Takes over its hold. */
static void park(struct engine *e, struct store_request *r)
{
    int error = 0;
    if (e->parked.count >= e->parked_max)
        error = GT_EBUSY;
    else if (deadline_passed(e, r))
        error = GT_ETIMEOUT;
    else
        error = request_push(&e->parked, r);
    if (error) {
        answer_error(e, r, error);
        store_request_release(r);
        return;
    }
    e->metrics.parked_count++;
    /* Somebody asks for room: a segment that could not be made is tried once more. */
    e->segment_error = 0;
    if (r->deadline_us != 0 && r->deadline_us < e->parked_deadline_us)
        e->parked_deadline_us = r->deadline_us;
}

/* Those of the requests that wait whose deadline has passed are refused, and, with an operation,
 * its puts. The others keep their order. */
static void parked_sift(struct engine *e, const uint8_t *recalled)
{
    uint64_t earliest = UINT64_MAX;
    for (uint32_t left = e->parked.count; left > 0; left--) {
        struct store_request r;
        request_pop(&e->parked, &r);
        bool recall = recalled && r.kind == STORE_PUT && memcmp(r.op, recalled, OP_ID_BYTES) == 0;
        if (recall || deadline_passed(e, &r)) {
            answer_error(e, &r, recall ? GT_ESTALE : GT_ETIMEOUT);
            store_request_release(&r);
            continue;
        }
        if (r.deadline_us != 0 && r.deadline_us < earliest)
            earliest = r.deadline_us;
        int error = request_push(&e->parked, &r);
        gt_assert(error == 0); /* the place that it came from is free */
    }
    e->parked_deadline_us = earliest;
    engine_retry_parked(e);
}

void engine_submit(struct engine *e, const struct store_request *r, uint64_t now_us)
{
    if (now_us > e->now_us)
        e->now_us = now_us;
    struct store_request request = *r;
    if (e->poisoned) {
        if (request.kind != STORE_RECALL)
            answer_error(e, &request, GT_EPOISONED);
        store_request_release(&request);
        return;
    }
    switch (request.kind) {
    case STORE_LOAD:
        engine_load(e, &request);
        break;
    case STORE_SCAN:
        engine_scan(e, &request);
        break;
    case STORE_CLOCKS:
        engine_clocks(e, &request);
        break;
    case STORE_PULL:
        engine_pull(e, &request);
        break;
    case STORE_VERIFY:
        engine_verify(e, &request);
        break;
    case STORE_SCRUB:
        engine_scrub(e, &request);
        break;
    case STORE_CONFIRM:
        engine_confirm(e, &request);
        break;
    case STORE_OPERATION:
        engine_operation(e, &request);
        break;
    case STORE_PARCELS:
        engine_parcels(e, &request);
        break;
    case STORE_RECALL:
        if (e->parked.count > 0)
            parked_sift(e, request.op);
        break;
    case STORE_PUT:
    case STORE_MERGE:
    case STORE_META:
    case STORE_CLOCK:
    case STORE_REST:
    case STORE_FILL:
    case STORE_CURSOR:
    case STORE_DROP:
    case STORE_PARCEL:
        /* Behind those that wait, so that nobody is overtaken for ever. */
        if (e->parked.count > 0 || !engine_admit(e, &request, false)) {
            park(e, &request);
            gauges_update(e);
            return;
        }
        break;
    default:
        gt_unreachable("request kind %d", request.kind);
    }
    store_request_release(&request);
    gauges_update(e);
}

bool engine_result(struct engine *e, struct store_result *out)
{
    return result_pop(&e->results, out);
}

void engine_retry_parked(struct engine *e)
{
    e->segment_need = 0;
    while (e->parked.count > 0 && !e->poisoned) {
        struct store_request *r = &e->parked.items[e->parked.head];
        if (!engine_admit(e, r, true))
            break;
        struct store_request done;
        request_pop(&e->parked, &done);
        store_request_release(&done);
    }
    if (e->parked.count == 0)
        e->parked_deadline_us = UINT64_MAX;
    gauges_update(e);
}

void engine_refuse_parked(struct engine *e, int error)
{
    struct store_request r;
    while (request_pop(&e->parked, &r)) {
        answer_error(e, &r, error);
        store_request_release(&r);
    }
    e->parked_deadline_us = UINT64_MAX;
    e->segment_need = 0;
}

void engine_tick(struct engine *e, uint64_t now_us)
{
    if (now_us == UINT64_MAX) {
        engine_refuse_parked(e, GT_ETIMEOUT);
        return;
    }
    if (now_us > e->now_us)
        e->now_us = now_us;
    if (e->now_us >= e->parked_deadline_us)
        parked_sift(e, NULL);
    throttle_tick(e);
    seal_tick(e);
    segment_tick(e);
    checkpoint_tick(e);
}

uint64_t engine_deadline_us(const struct engine *e)
{
    const struct checkpoint *cp = &e->checkpoint;
    uint64_t deadline = e->parked_deadline_us;
    if (e->poisoned)
        return deadline;
    bool waits = e->segment_failing && !e->busy[ENGINE_SEGMENT];
    if (cp->retry_unset || e->seal == SEAL_UNSET || (waits && e->segment_retry_unset))
        return 0;
    if (waits && e->segment_retry_us < deadline)
        deadline = e->segment_retry_us;
    if (e->seal == SEAL_WAITS && e->seal_us < deadline)
        deadline = e->seal_us;
    if (e->throttle_us < deadline)
        deadline = e->throttle_us;
    if (cp->error && !e->busy[ENGINE_CHECKPOINT] && cp->retry_us > e->now_us &&
        cp->retry_us < deadline)
        deadline = cp->retry_us;
    return deadline;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

struct engine_job *engine_job(struct engine *e, enum engine_lane lane)
{
    if (e->busy[lane] || e->poisoned)
        return NULL;
    struct engine_job *j = lane == ENGINE_LOG          ? log_job(e)
                           : lane == ENGINE_CHECKPOINT ? checkpoint_job(e)
                                                       : segment_job(e);
    if (j)
        e->busy[lane] = true;
    return j;
}

void engine_job_run(struct engine_job *j)
{
    switch (j->lane) {
    case ENGINE_LOG:
        log_job_run(j);
        break;
    case ENGINE_CHECKPOINT:
        checkpoint_job_run(j);
        break;
    case ENGINE_SEGMENT:
        segment_job_run(j);
        break;
    default:
        gt_unreachable("lane %d", j->lane);
    }
}

void engine_job_done(struct engine *e, struct engine_job *j)
{
    gt_assert(e->busy[j->lane]);
    e->busy[j->lane] = false;
    switch (j->lane) {
    case ENGINE_LOG:
        log_job_done(e, j);
        break;
    case ENGINE_CHECKPOINT:
        checkpoint_job_done(e, j);
        break;
    case ENGINE_SEGMENT:
        segment_job_done(e, j);
        break;
    default:
        gt_unreachable("lane %d", j->lane);
    }
    gauges_update(e);
}

bool engine_idle(const struct engine *e)
{
    for (int lane = 0; lane < ENGINE_LANES; lane++)
        if (e->busy[lane])
            return false;
    return e->parked.count == 0 && (e->forming->records == 0 || e->poisoned);
}

int engine_poisoned(const struct engine *e)
{
    return e->poisoned;
}

/* ---- figures --------------------------------------------------------------------------------- */

static int partitions_grow(struct engine *e, uint32_t partition)
{
    uint32_t count = e->partition_count ? e->partition_count : PARTITIONS_MIN;
    while (count <= partition)
        count *= 2;
    struct partition **partitions = realloc(e->partitions, count * sizeof(*partitions));
    if (!partitions)
        return GT_ENOMEM;
    memset(&partitions[e->partition_count], 0, (count - e->partition_count) * sizeof(*partitions));
    e->partitions = partitions;
    e->partition_count = count;
    return 0;
}

struct partition *engine_partition_get(struct engine *e, uint32_t partition)
{
    gt_assert(partition < PARTITIONS_MAX);
    if (partition >= e->partition_count && partitions_grow(e, partition) != 0)
        return NULL;
    struct partition *p = e->partitions[partition];
    if (p)
        return p;
    p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    clock_init(&p->clock);
    clock_init(&p->floor);
    dotlog_init(&p->log);
    fill_init(&p->fill);
    e->partitions[partition] = p;
    return p;
}

struct partition *engine_partition_find(const struct engine *e, uint32_t partition)
{
    return partition < e->partition_count ? e->partitions[partition] : NULL;
}

void engine_partition(const struct engine *e, uint32_t partition, struct engine_partition *out)
{
    const struct partition *p = engine_partition_find(e, partition);
    *out = (struct engine_partition){.clock = &e->empty_clock, .floor = &e->empty_clock};
    if (!p)
        return;
    out->records = p->counts.records;
    out->live = p->counts.live;
    out->bytes = p->counts.bytes;
    out->digest_sum = p->counts.digest_sum;
    out->clock = &p->clock;
    out->floor = &p->floor;
    out->log_entries = p->log.count;
    out->tombstones = p->log.waiting;
}

void engine_totals(const struct engine *e, struct engine_totals *out)
{
    *out = (struct engine_totals){.records = e->totals.records,
                                  .live = e->totals.live,
                                  .bytes = e->totals.bytes,
                                  .index_file_bytes = e->index->file_bytes(e->index),
                                  .bad_records = e->metrics.bad_records_count,
                                  .parcels = e->parcels.count,
                                  .parcel_bytes = e->parcels.bytes};
    for (uint32_t i = 0; i < e->partition_count; i++)
        out->tombstones += e->partitions[i] ? e->partitions[i]->log.waiting : 0;
    for (uint32_t i = 0; i < e->file_count; i++)
        out->log_file_bytes += e->files[i].bytes;
}

const struct engine_metrics *engine_metrics(const struct engine *e)
{
    return &e->metrics;
}

void engine_note_read(struct engine *e, bool warmed)
{
    if (warmed)
        e->metrics.loads_reader_count++;
    else
        e->metrics.loads_inline_count++;
}

void engine_set_cold(struct engine *e, bool cold)
{
    e->cold = cold;
}

unsigned engine_resident(const struct engine *e, uint64_t seed)
{
    return e->index->resident(e->index, seed);
}

const struct engine_identity *engine_identity(const struct engine *e)
{
    return &e->identity;
}

const struct engine_damage *engine_damage(const struct engine *e)
{
    return &e->identity_value.damage;
}

int engine_disk_error(const struct engine *e)
{
    return e->segment_failing ? e->segment_failing : e->checkpoint.error;
}

uint64_t engine_stamp_max(const struct engine *e)
{
    return e->stamp_max;
}

void engine_set_value_bytes_max(struct engine *e, uint64_t bytes)
{
    e->value_bytes_max = bytes < VALUE_BYTES_LIMIT ? bytes : VALUE_BYTES_LIMIT;
}

const struct blob *engine_meta(const struct engine *e, const char *name)
{
    struct slice wanted = slice_text(name);
    for (uint32_t i = 0; i < e->meta_count; i++)
        if (slice_equal(slice_text(e->metas[i].name), wanted))
            return e->metas[i].value;
    return NULL;
}

void engine_meta_text(const struct engine *e, const char *name, char *text, size_t bytes)
{
    const struct blob *b = engine_meta(e, name);
    text[0] = 0;
    if (!b || b->bytes >= bytes)
        return;
    memcpy(text, b->data, b->bytes);
    text[b->bytes] = 0;
}
