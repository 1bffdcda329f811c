/*
 * The checkpoint: moves the frozen overlay into the index.
 *
 *   none --freeze--> waiting for the cut to be durable --> chunk, chunk, ... last chunk --> none
 *                                                            | error         (retired overlay is
 *                                                            v                cleared by a job)
 *                                                   waits 1 s .. 30 s, the same chunk again
 *
 * The index never runs ahead of the log: no chunk is written before the cut is durable. A chunk is
 * one synced transaction over whole consecutive partitions, each with the value that it had at the
 * cut. The last one also carries the named values and the applied mark; only after it are log
 * segments given up.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "engine/engine_private.h"

/* ---- freezing -------------------------------------------------------------------------------- */

static uint32_t metas_dirty(const struct engine *e)
{
    uint32_t dirty = 0;
    for (uint32_t i = 0; i < e->meta_count; i++)
        dirty += e->metas[i].dirty;
    return dirty;
}

bool checkpoint_due(const struct engine *e)
{
    return e->checkpoint_wanted || e->active->bytes >= e->overlay_half ||
           e->parcels.dirty_bytes >= e->overlay_half || segments_live(e) > LIVE_SEGMENTS_CHECKPOINT;
}

static int number_compare(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

/* The keys lie all over the memory, and nobody waits for the thread that gives them up. */
static void frozen_logs_release(struct checkpoint *cp)
{
    for (uint32_t i = 0; i < cp->partition_count; i++)
        dotlog_changes_free(cp->partitions[i].log, cp->partitions[i].log_count);
    cp->partition_count = 0;
}

static void frozen_parcels_release(struct checkpoint *cp)
{
    frozen_parcels_free(cp->parcels, cp->parcel_count);
    cp->parcels = NULL;
    cp->parcel_count = 0;
}

static bool freeze_partitions(struct engine *e, uint64_t cut)
{
    struct checkpoint *cp = &e->checkpoint;
    struct overlay *o = e->active;
    if (o->dirty_count > cp->partition_capacity) {
        void *grown = realloc(cp->partitions, o->dirty_count * sizeof(*cp->partitions));
        if (!grown)
            return false;
        cp->partitions = grown;
        cp->partition_capacity = o->dirty_count;
    }
    if (o->dirty_count > 1)
        qsort(o->dirty, o->dirty_count, sizeof(*o->dirty), number_compare);
    buf_clear(&cp->states);
    cp->operations_before = e->operations.noted;
    for (uint32_t i = 0; i < o->dirty_count; i++) {
        struct partition *p = e->partitions[o->dirty[i]];
        size_t at = cp->states.bytes;
        partition_state_encode(cut, &p->counts, &p->clock, &p->floor, &p->fill, &cp->states);
        cp->partitions[i] = (struct frozen_partition){.partition = o->dirty[i],
                                                      .state_at = at,
                                                      .state_bytes = cp->states.bytes - at,
                                                      .strays = p->strays};
    }
    return !cp->states.failed;
}

/* What the partitions give away, after all that can fail. */
static void partitions_frozen(struct engine *e)
{
    struct checkpoint *cp = &e->checkpoint;
    cp->partition_count = e->active->dirty_count;
    for (uint32_t i = 0; i < cp->partition_count; i++) {
        struct frozen_partition *f = &cp->partitions[i];
        f->log = dotlog_freeze(&e->partitions[f->partition]->log, &f->log_count);
        e->partitions[f->partition]->strays = false;
    }
}

static bool freeze_metas(struct engine *e)
{
    struct checkpoint *cp = &e->checkpoint;
    uint32_t dirty = metas_dirty(e);
    cp->meta_count = 0;
    cp->metas = dirty ? calloc(dirty, sizeof(*cp->metas)) : NULL;
    if (dirty && !cp->metas)
        return false;
    for (uint32_t i = 0; i < e->meta_count; i++) {
        struct meta *m = &e->metas[i];
        if (!m->dirty)
            continue;
        struct frozen_meta *f = &cp->metas[cp->meta_count++];
        memcpy(f->name, m->name, sizeof(f->name));
        f->value = blob_ref(m->value);
        m->dirty = false;
    }
    return true;
}

bool checkpoint_freeze(struct engine *e)
{
    struct checkpoint *cp = &e->checkpoint;
    if (cp->overlay || !e->spare || e->poisoned)
        return false;
    uint64_t cut = e->next_lsn - 1;
    if (!freeze_partitions(e, cut))
        return false;
    if (parcels_freeze(&e->parcels, &cp->parcels, &cp->parcel_count) != 0 || !freeze_metas(e)) {
        frozen_parcels_release(cp);
        return false;
    }
    parcels_frozen(&e->parcels, cut);
    partitions_frozen(e);
    cp->overlay = e->active;
    e->active = e->spare;
    e->spare = NULL;
    cp->cut = cut;
    cp->next = cp->next_parcel = 0;
    throttle_begin(e);
    e->checkpoint_wanted = false;
    return true;
}

/* ---- the job --------------------------------------------------------------------------------- */

/* As many whole partitions, and then parcels, from where it stands on as make a chunk; at least one
 * if there is any. */
static void chunk_cut(const struct checkpoint *cp, const struct operations *operations,
                      uint32_t records_max, struct engine_job *j)
{
    uint64_t bytes = 0, rows = 0;
    j->from = j->to = cp->next;
    j->parcels_from = j->parcels_to = cp->next_parcel;
    while (j->to < cp->partition_count) {
        const struct overlay_chain *chain = &cp->overlay->chains[cp->partitions[j->to].partition];
        uint64_t more_rows = operations_of_partition(operations, cp->partitions[j->to].partition);
        uint64_t more =
            chain->bytes + cp->partitions[j->to].state_bytes + more_rows * OPERATION_BYTES;
        if (j->to > cp->next && (j->records + chain->records > records_max ||
                                 bytes + more > CHUNK_BYTES || rows + more_rows > CHUNK_OPERATIONS))
            return;
        j->records += chain->records;
        bytes += more;
        rows += more_rows;
        j->to++;
    }
    while (j->parcels_to < cp->parcel_count) {
        const struct frozen_parcel *f = &cp->parcels[j->parcels_to];
        uint64_t more = f->key->bytes + slice_blob(f->value).bytes;
        if (j->records > 0 && (j->records + 1 > records_max || bytes + more > CHUNK_BYTES))
            return;
        j->records++;
        bytes += more;
        j->parcels_to++;
    }
    j->last = true;
}

/* The index values of the partitions of a chunk. False: out of memory. */
static bool values_make(struct engine *e, const struct engine_job *j)
{
    struct checkpoint *cp = &e->checkpoint;
    buf_clear(&cp->values);
    for (uint32_t i = j->from; i < j->to; i++) {
        struct frozen_partition *p = &cp->partitions[i];
        p->value_at = cp->values.bytes;
        partition_value_encode(slice_of(cp->states.data + p->state_at, p->state_bytes),
                               &e->operations, p->partition, cp->operations_before, &cp->values);
        p->value_bytes = cp->values.bytes - p->value_at;
    }
    return !cp->values.failed;
}

static struct engine_job *job_begin(struct engine *e, enum job_kind kind)
{
    struct engine_job *j = &e->jobs[ENGINE_CHECKPOINT];
    *j = (struct engine_job){.lane = ENGINE_CHECKPOINT,
                             .kind = kind,
                             .disk = e->disk,
                             .index = e->index,
                             .checkpoint = &e->checkpoint};
    return j;
}

struct engine_job *checkpoint_job(struct engine *e)
{
    struct checkpoint *cp = &e->checkpoint;
    struct engine_job *j;
    if (cp->retired) {
        j = job_begin(e, JOB_RETIRE);
        j->retired = cp->retired;
        cp->retired = NULL;
        return j;
    }
    if (!cp->overlay && checkpoint_due(e) && checkpoint_freeze(e))
        engine_retry_parked(e); /* the new active overlay has room */
    if (!cp->overlay || e->durable_lsn < cp->cut)
        return NULL;
    if (cp->error && (cp->retry_unset || cp->retry_us > e->now_us))
        return NULL;
    j = job_begin(e, JOB_CHUNK);
    throttle_chunk(e);
    chunk_cut(cp, &e->operations, e->chunk_records, j);
    j->result = values_make(e, j) ? 0 : GT_ENOMEM;
    j->applied = (struct applied_value){.lsn = cp->cut,
                                        .floor_segment = segments_floor(e, cp->cut),
                                        .chain = e->chain,
                                        .highest_lsn = e->durable_lsn,
                                        .stamp_max = e->stamp_max};
    return j;
}

static int dotlog_write(struct engine_job *j, struct index_write *w,
                        const struct frozen_partition *p)
{
    struct buf *value = &j->checkpoint->scratch;
    int error = 0;
    dotlog_changes_sort(p->log, p->log_count);
    for (uint32_t i = 0; i < p->log_count && !error; i++) {
        const struct dotlog_change *c = &p->log[i];
        uint8_t at[DOTLOG_KEY_BYTES];
        struct slice key = dotlog_index_key(at, p->partition, c->dot);
        if (i + 1 < p->log_count && dot_compare(c->dot, p->log[i + 1].dot) == 0)
            continue; /* it is back */
        buf_clear(value);
        if (c->key)
            meta_value_encode(key, slice_blob(c->key), value);
        if (value->failed)
            return GT_ENOMEM;
        error = c->key ? j->index->put(w, INDEX_LOG, key, buf_slice(value))
                       : j->index->remove(w, INDEX_LOG, key);
    }
    return error;
}

static int partition_write(struct engine_job *j, struct index_write *w,
                           const struct frozen_partition *p)
{
    struct checkpoint *cp = j->checkpoint;
    cp->list.count = 0;
    int error = overlay_collect(cp->overlay, p->partition, NULL, &cp->list);
    if (error)
        return error;
    if (p->strays)
        error = strays_purge(j->index, w, p->partition);
    if (error)
        return error;
    overlay_list_sort(&cp->list);
    uint8_t at[INDEX_KEY_BYTES_MAX];
    for (uint32_t i = 0; i < cp->list.count; i++) {
        const struct overlay_entry *entry = cp->list.items[i];
        struct slice key = index_data_key(at, entry->partition, entry->hash, overlay_key(entry));
        error = entry->record ? j->index->put(w, INDEX_DATA, key, slice_blob(entry->record))
                              : j->index->remove(w, INDEX_DATA, key);
        if (error)
            return error;
    }
    error = dotlog_write(j, w, p);
    if (error)
        return error;
    return j->index->put(w, INDEX_PARTITION, index_partition_key(at, p->partition),
                         slice_of(cp->values.data + p->value_at, p->value_bytes));
}

static int meta_write(struct engine_job *j, struct index_write *w, const char *name,
                      struct slice bytes)
{
    struct buf *value = &j->checkpoint->scratch;
    buf_clear(value);
    meta_value_encode(slice_text(name), bytes, value);
    return value->failed ? GT_ENOMEM
                         : j->index->put(w, INDEX_META, slice_text(name), buf_slice(value));
}

static int last_write(struct engine_job *j, struct index_write *w)
{
    struct checkpoint *cp = j->checkpoint;
    for (uint32_t i = 0; i < cp->meta_count; i++) {
        const struct frozen_meta *m = &cp->metas[i];
        int error = m->value ? meta_write(j, w, m->name, slice_blob(m->value))
                             : j->index->remove(w, INDEX_META, slice_text(m->name));
        if (error)
            return error;
    }
    struct buf applied;
    buf_init(&applied, 256);
    applied_encode(&j->applied, &applied);
    int error = applied.failed ? GT_ENOMEM : meta_write(j, w, "applied", buf_slice(&applied));
    buf_close(&applied);
    return error;
}

static int parcel_write(struct engine_job *j, struct index_write *w, const struct frozen_parcel *f)
{
    struct buf *value = &j->checkpoint->scratch;
    struct slice key = slice_blob(f->key);
    if (!f->value)
        return j->index->remove(w, INDEX_PARCEL, key);
    buf_clear(value);
    meta_value_encode(key, slice_blob(f->value), value);
    return value->failed ? GT_ENOMEM : j->index->put(w, INDEX_PARCEL, key, buf_slice(value));
}

static int chunk_write(struct engine_job *j)
{
    struct index_write *w = NULL;
    int error = j->index->begin(j->index, &w);
    if (error)
        return error;
    for (uint32_t i = j->from; i < j->to && !error; i++)
        error = partition_write(j, w, &j->checkpoint->partitions[i]);
    for (uint32_t i = j->parcels_from; i < j->parcels_to && !error; i++)
        error = parcel_write(j, w, &j->checkpoint->parcels[i]);
    if (!error && (j->last || MUTANT(lose_frozen_overlay)))
        error = last_write(j, w);
    if (error)
        j->index->abort(w);
    else
        error = j->index->commit(w);
    return error == GT_ENOSPACE && MUTANT(full_disk_as_success) ? 0 : error;
}

void checkpoint_job_run(struct engine_job *j)
{
    if (j->kind == JOB_RETIRE) {
        overlay_clear(j->retired);
        frozen_logs_release(j->checkpoint);
    } else if (!j->result) {
        j->result = chunk_write(j);
    }
}

bool engine_checkpoint_running(const struct engine *e)
{
    return e->checkpoint.overlay != NULL;
}

/* ---- afterwards ------------------------------------------------------------------------------ */

static void metas_release(struct checkpoint *cp)
{
    for (uint32_t i = 0; i < cp->meta_count; i++)
        blob_unref(cp->metas[i].value);
    free(cp->metas);
    cp->metas = NULL;
    cp->meta_count = 0;
}

static void chunk_failed(struct engine *e, int error)
{
    struct checkpoint *cp = &e->checkpoint;
    if (!cp->error)
        events_add(e->events, EVENT_CHECKPOINT_FAILED, "%s; it is tried again", error_text(error));
    cp->error = error;
    cp->backoff_us = cp->backoff_us == 0 ? CHECKPOINT_RETRY_MIN_US : cp->backoff_us * 2;
    if (cp->backoff_us > CHECKPOINT_RETRY_MAX_US)
        cp->backoff_us = CHECKPOINT_RETRY_MAX_US;
    cp->retry_unset = true;
    e->metrics.checkpoint_failures_count++;
    log_warn(e->log, "checkpoint failed, trying again after_ms=%llu cause=%s",
             (unsigned long long)cp->backoff_us / 1000, error_text(error));
}

static void chunk_finished(struct engine *e, const struct engine_job *j)
{
    struct checkpoint *cp = &e->checkpoint;
    if (cp->error) {
        log_info(e->log, "checkpoint goes on after a failure");
        events_add(e->events, EVENT_CHECKPOINT_WORKS, "%s", "");
    }
    cp->error = 0;
    cp->backoff_us = 0;
    cp->next = j->to;
    cp->next_parcel = j->parcels_to;
    e->metrics.checkpoint_records_count += j->records;
    throttle_note(e, j->records);
    if (MUTANT(recycle_early))
        segments_release(e, j->applied.floor_segment);
    if (!j->last)
        return;
    e->applied_lsn = j->applied.lsn;
    segments_release(e, j->applied.floor_segment);
    cp->retired = cp->overlay;
    cp->overlay = NULL;
    metas_release(cp);
    for (uint32_t i = 0; i < cp->parcel_count; i++)
        parcels_settle(&e->parcels, &cp->parcels[i], cp->cut);
    frozen_parcels_release(cp);
    e->metrics.checkpoints_count++;
    if (cp->states.capacity > BODY_KEEP_BYTES)
        buf_close(&cp->states);
    if (cp->values.capacity > BODY_KEEP_BYTES)
        buf_close(&cp->values);
}

void checkpoint_job_done(struct engine *e, struct engine_job *j)
{
    if (j->kind == JOB_RETIRE)
        e->spare = j->retired;
    else if (j->result)
        chunk_failed(e, j->result);
    else
        chunk_finished(e, j);
    engine_retry_parked(e);
}

void checkpoint_tick(struct engine *e)
{
    struct checkpoint *cp = &e->checkpoint;
    if (!cp->retry_unset)
        return;
    cp->retry_us = e->now_us + cp->backoff_us;
    cp->retry_unset = false;
}

void checkpoint_close(struct engine *e)
{
    struct checkpoint *cp = &e->checkpoint;
    overlay_free(cp->overlay);
    overlay_free(cp->retired);
    metas_release(cp);
    frozen_logs_release(cp);
    frozen_parcels_release(cp);
    free(cp->partitions);
    buf_close(&cp->states);
    buf_close(&cp->values);
    buf_close(&cp->scratch);
    overlay_list_close(&cp->list);
}
