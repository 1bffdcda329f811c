/*
 * The log lane: one batch at a time. A record enters the forming batch when it is admitted; the
 * batch is cut when the lane is idle, and its waiters are answered when its sync returned.
 *
 *        admit            engine_job(LOG)          job done, 0
 *   ----------> forming ----------------> flying -------------> durable, waiters answered
 *                                            | job done, error
 *                                            v
 *                                        poisoned: everything that waits is in doubt
 *
 * A log that stays idle for 5 ms after a batch is sealed: an empty batch says that the one before
 * it was durable (RULES 15). So of an idle log nothing that was acknowledged is in the last batch,
 * and a bit that flips in it is found to be damage, not an end that may never have been
 * acknowledged. While batches follow one another none is written.
 *
 *   NONE --batch durable--> UNSET --tick--> WAITS --5 ms--> DUE --lane asked--> NONE
 *     ^                       '---- a batch is cut --------------'               |
 *     '--------------------------------------------------------------------------'
 *
 * Invariant: a forming batch with records fits the current segment or one that is ready, so cutting
 * never waits. The segment lane keeps one segment ready ahead, so that a full disk is met there.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "engine/engine_private.h"

/* ---- segments, as the loop thread knows them --------------------------------------------------
 */

static struct segment_file *file_find(struct engine *e, uint64_t number)
{
    for (uint32_t i = 0; i < e->file_count; i++)
        if (e->files[i].number == number)
            return &e->files[i];
    return NULL;
}

static int file_reserve(struct engine *e)
{
    if (e->file_count < e->file_capacity)
        return 0;
    uint32_t capacity = e->file_capacity ? e->file_capacity * 2 : 16;
    struct segment_file *files = realloc(e->files, capacity * sizeof(*files));
    if (!files)
        return GT_ENOMEM;
    e->files = files;
    e->file_capacity = capacity;
    return 0;
}

int segment_file_add(struct engine *e, uint64_t number, uint64_t bytes, enum segment_use use)
{
    int error = file_reserve(e);
    if (error)
        return error;
    e->files[e->file_count++] = (struct segment_file){.number = number, .bytes = bytes, .use = use};
    return 0;
}

static void file_forget(struct engine *e, uint64_t number)
{
    for (uint32_t i = 0; i < e->file_count; i++)
        if (e->files[i].number == number) {
            memmove(&e->files[i], &e->files[i + 1], (e->file_count - i - 1) * sizeof(*e->files));
            e->file_count--;
            return;
        }
}

uint32_t segments_live(const struct engine *e)
{
    uint32_t live = 0;
    for (uint32_t i = 0; i < e->file_count; i++)
        live += e->files[i].use == SEGMENT_LIVE && e->files[i].last_lsn > e->applied_lsn;
    return live;
}

uint64_t segments_floor(const struct engine *e, uint64_t lsn)
{
    for (uint32_t i = 0; i < e->file_count; i++)
        if (e->files[i].use == SEGMENT_LIVE && e->files[i].last_lsn > lsn)
            return e->files[i].number + MUTANT(floor_one_high);
    /* Nothing of it is in the log: what comes next will be in the first of these. */
    if (e->current.file)
        return e->current.number;
    return e->ready_count > 0 ? e->ready[0].number : e->segment_next;
}

void segments_release(struct engine *e, uint64_t floor_segment)
{
    uint32_t spare = 0;
    for (uint32_t i = 0; i < e->file_count; i++)
        spare += e->files[i].use == SEGMENT_SPARE;
    for (uint32_t i = 0; i < e->file_count; i++) {
        struct segment_file *f = &e->files[i];
        if (f->use != SEGMENT_LIVE || f->number >= floor_segment)
            continue;
        bool keep = f->bytes == e->segment_bytes && spare < SPARE_SEGMENTS_MAX;
        f->use = keep ? SEGMENT_SPARE : SEGMENT_DEAD;
        spare += keep;
    }
    e->floor_segment = floor_segment;
    /* A file to use again needs no new space. */
    if (spare > 0)
        e->segment_error = 0;
}

/* Leaves the current segment for the first ready one. */
static void rotate(struct engine *e)
{
    gt_assert(e->ready_count > 0 && e->closing_count < CLOSING_MAX);
    if (e->current.file)
        e->closing[e->closing_count++] = e->current.file;
    e->current = e->ready[0];
    e->current_offset = WAL_BLOCK;
    e->ready_count--;
    memmove(&e->ready[0], &e->ready[1], e->ready_count * sizeof(e->ready[0]));
    file_find(e, e->current.number)->use = SEGMENT_LIVE;
    e->segment_error = 0; /* one attempt to make the next */
}

static bool current_fits(const struct engine *e, uint64_t batch_bytes)
{
    return e->current.file && e->current_offset + batch_bytes <= e->current.bytes;
}

bool log_fits(const struct engine *e, uint64_t batch_bytes)
{
    if (current_fits(e, batch_bytes))
        return true;
    for (uint32_t i = 0; i < e->ready_count; i++)
        if (WAL_BLOCK + batch_bytes <= e->ready[i].bytes)
            return true;
    return false;
}

/* ---- the log lane ---------------------------------------------------------------------------- */

void body_clear(struct batch *b)
{
    if (b->body.capacity > BODY_KEEP_BYTES)
        buf_close(&b->body);
    buf_clear(&b->body);
    buf_zero(&b->body, WAL_BATCH_HEADER);
    b->records = 0;
}

void seal_tick(struct engine *e)
{
    if (e->seal == SEAL_UNSET) {
        e->seal = SEAL_WAITS;
        e->seal_us = e->now_us + SEAL_AFTER_US;
    } else if (e->seal == SEAL_WAITS && e->now_us >= e->seal_us) {
        e->seal = SEAL_DUE;
    }
}

/* The forming batch, empty, is to be the seal. Without room it waits for the next segment. */
static bool seal_cut(struct engine *e)
{
    struct batch *b = e->forming;
    if (e->seal != SEAL_DUE || !log_fits(e, wal_batch_bytes(0)) || MUTANT(seal_forgotten))
        return false;
    b->first_lsn = e->next_lsn;
    b->last_lsn = e->next_lsn - 1;
    return true;
}

struct engine_job *log_job(struct engine *e)
{
    struct batch *b = e->forming;
    if (b->records == 0 && !seal_cut(e))
        return NULL;
    e->seal = SEAL_NONE;
    uint64_t batch_bytes = wal_batch_bytes(b->body.bytes - WAL_BATCH_HEADER);
    while (!current_fits(e, batch_bytes))
        rotate(e);
    struct engine_job *j = &e->jobs[ENGINE_LOG];
    *j = (struct engine_job){.lane = ENGINE_LOG,
                             .kind = JOB_BATCH,
                             .disk = e->disk,
                             .batch = b,
                             .segment = e->current,
                             .offset = e->current_offset,
                             .chain = e->chain,
                             .bytes = batch_bytes,
                             .closing_count = e->closing_count};
    memcpy(j->closing, e->closing, sizeof(j->closing));
    e->closing_count = 0;
    e->current_offset += batch_bytes;
    file_find(e, e->current.number)->last_lsn = b->last_lsn;
    e->forming = e->flying;
    e->flying = b;
    e->busy[ENGINE_LOG] = true;
    /* The new forming batch is empty: those that waited for it may come. */
    engine_retry_parked(e);
    return j;
}

void log_job_run(struct engine_job *j)
{
    struct batch *b = j->batch;
    for (; j->closing_count > 0; j->closing_count--)
        j->disk->close(j->disk, j->closing[j->closing_count - 1]);
    j->result = wal_batch_seal(&b->body, b->records > 0 ? 0 : WAL_SEAL, b->records, b->first_lsn,
                               &j->segment, j->offset, &j->chain);
    if (j->result)
        return;
    gt_assert(b->body.bytes == j->bytes);
    j->result = j->disk->write(j->disk, j->segment.file, j->offset, b->body.data, b->body.bytes);
    bool left_to_close =
        MUTANT(sync_left_to_close) && j->segment.bytes - j->offset - j->bytes < 2 * WAL_BLOCK;
    if (!j->result && !(MUTANT(sync_left_to_next) && j->offset / WAL_BLOCK % 2 == 0) &&
        !left_to_close)
        j->result = j->disk->sync(j->disk, j->segment.file);
    if (j->result && MUTANT(retry_failed_sync))
        j->result = j->disk->sync(j->disk, j->segment.file);
}

static void poison_waiters(struct engine *e, struct batch *b)
{
    struct store_result r;
    while (result_pop(&b->waiters, &r)) {
        store_result_release(&r);
        r = (struct store_result){.kind = r.kind, .tag = r.tag, .result = GT_EPOISONED};
        result_push(&e->results, &r);
    }
}

/* No retry: after a failed sync nothing is known about the file, and a second sync proves nothing.
 * Only a recovery, which reads from the medium, can tell. */
static void poison(struct engine *e, int error)
{
    log_error(e->log, "log failed, no more writes are taken segment=%llu lsn=%llu..%llu cause=%s",
              (unsigned long long)e->current.number, (unsigned long long)e->flying->first_lsn,
              (unsigned long long)e->flying->last_lsn, error_text(error));
    e->poisoned = error;
    poison_waiters(e, e->flying);
    poison_waiters(e, e->forming);
    engine_refuse_parked(e, GT_EPOISONED);
}

void log_job_done(struct engine *e, struct engine_job *j)
{
    struct batch *b = j->batch;
    if (j->result && !MUTANT(ignore_failed_sync)) {
        poison(e, j->result);
        return;
    }
    e->chain = j->chain;
    e->durable_lsn = b->last_lsn;
    e->metrics.batches_count += b->records > 0;
    e->metrics.seals_count += b->records == 0;
    e->metrics.batch_records_count += b->records;
    e->metrics.log_bytes += j->bytes;
    if (b->records > 0)
        e->seal = SEAL_UNSET;
    struct store_result r;
    while (result_pop(&b->waiters, &r))
        result_push(&e->results, &r);
    body_clear(b);
    engine_retry_parked(e);
}

/* ---- the segment lane ------------------------------------------------------------------------ */

/* How many bytes the next segment must have; 0 when none is wanted now. */
static uint64_t segment_wanted(struct engine *e)
{
    if (e->segment_error || segments_live(e) >= LIVE_SEGMENTS_MAX)
        return 0;
    uint64_t need = (e->segment_need + WAL_BLOCK - 1) / WAL_BLOCK * WAL_BLOCK;
    if (e->ready_count == 0)
        return need > e->segment_bytes ? need : e->segment_bytes;
    if (need <= e->ready[e->ready_count - 1].bytes)
        return 0;
    if (e->ready_count == READY_SEGMENTS_MAX) {
        /* Both are too small for the record that waits: pass over one of them. */
        if (e->forming->records > 0 || e->closing_count == CLOSING_MAX)
            return 0;
        rotate(e);
    }
    return need;
}

/* The newest stays, needed or not: a start that finds none takes the log for lost. */
static bool any_dead(const struct engine *e)
{
    for (uint32_t i = 0; i + 1 < e->file_count; i++)
        if (e->files[i].use == SEGMENT_DEAD)
            return true;
    return false;
}

struct engine_job *segment_job(struct engine *e)
{
    struct engine_job *j = &e->jobs[ENGINE_SEGMENT];
    uint64_t wanted = segment_wanted(e);
    if (wanted == 0 && !any_dead(e))
        return NULL;
    *j = (struct engine_job){.lane = ENGINE_SEGMENT, .disk = e->disk, .bytes = wanted};
    if (j->bytes > 0 && file_reserve(e) == 0) {
        j->kind = JOB_SEGMENT_MAKE;
        j->number = e->segment_next;
        j->salt = prng_next(&e->prng);
        for (uint32_t i = 0; i < e->file_count && j->recycle == 0; i++)
            if (e->files[i].use == SEGMENT_SPARE && e->files[i].bytes >= j->bytes) {
                j->recycle = e->files[i].number;
                e->files[i].use = SEGMENT_DEAD; /* whatever becomes of it, it is no spare */
            }
        return j;
    }
    j->kind = JOB_SEGMENT_REMOVE;
    for (uint32_t i = 0; i + 1 < e->file_count && j->number_count < REMOVE_BATCH; i++)
        if (e->files[i].use == SEGMENT_DEAD)
            j->numbers[j->number_count++] = e->files[i].number;
    return j->number_count > 0 ? j : NULL;
}

static void segment_make(struct engine_job *j)
{
    uint64_t free_bytes;
    if (j->recycle == 0 && j->disk->space(j->disk, &free_bytes) == 0 && free_bytes < j->bytes) {
        j->result = GT_ENOSPACE;
        return;
    }
    j->result = wal_segment_make(j->disk, j->number, j->bytes, j->salt, j->recycle, &j->segment);
    j->made = j->result == 0;
}

static void segment_remove(struct engine_job *j)
{
    char name[DISK_NAME_BYTES];
    for (uint32_t i = 0; i < j->number_count; i++) {
        int error = j->disk->remove(j->disk, wal_segment_name(j->numbers[i], name));
        if (error && error != GT_ENOTFOUND)
            j->result = error;
    }
    if (!j->result)
        j->result = j->disk->sync_folder(j->disk, "wal");
}

void segment_job_run(struct engine_job *j)
{
    if (j->kind == JOB_SEGMENT_MAKE)
        segment_make(j);
    else
        segment_remove(j);
}

static void segment_works(struct engine *e, const char *why)
{
    if (e->disk_full)
        events_add(e->events, EVENT_DISK_ROOM, "%s", why);
    e->disk_full = false;
    e->segment_failing = 0;
    e->segment_retry_unset = false;
}

/* Nobody may be writing, so that nobody asks; but whoever makes room looks whether it is seen. */
void segment_tick(struct engine *e)
{
    if (!e->segment_failing || e->busy[ENGINE_SEGMENT] || MUTANT(full_disk_remembered))
        return;
    if (e->segment_retry_unset) {
        e->segment_retry_us = e->now_us + SEGMENT_RETRY_US;
        e->segment_retry_unset = false;
    } else if (e->now_us >= e->segment_retry_us) {
        e->segment_error = 0;
        e->segment_retry_unset = true;
        if (e->ready_count > 0 && segment_wanted(e) == 0)
            segment_works(e, "the next log segment is there"); /* a larger one was asked for */
    }
}

static void segment_made(struct engine *e, struct engine_job *j)
{
    if (j->result) {
        uint32_t times;
        if (log_due(&e->segment_pace, e->now_us, &times)) /* each put asks for one */
            log_warn(e->log, "log segment not made segment=%llu bytes=%llu cause=%s times=%u",
                     (unsigned long long)j->number, (unsigned long long)j->bytes,
                     error_text(j->result), times);
        e->segment_error = e->segment_failing = j->result;
        e->segment_retry_unset = true;
        if (j->result == GT_ENOSPACE && !e->disk_full) {
            e->disk_full = true;
            events_add(e->events, EVENT_DISK_FULL, "a log segment of %llu bytes not made",
                       (unsigned long long)j->bytes);
        }
        return;
    }
    if (j->recycle)
        file_forget(e, j->recycle);
    int error = segment_file_add(e, j->number, j->segment.bytes, SEGMENT_READY);
    gt_assert(error == 0); /* reserved with the job */
    gt_assert(e->ready_count < READY_SEGMENTS_MAX);
    e->ready[e->ready_count++] = j->segment;
    e->segment_next = j->number + 1;
    segment_works(e, "a log segment was made");
    j->made = false;
    if (j->recycle)
        e->metrics.segments_recycled_count++;
    else
        e->metrics.segments_made_count++;
}

void segment_job_done(struct engine *e, struct engine_job *j)
{
    if (j->kind == JOB_SEGMENT_MAKE) {
        segment_made(e, j);
        engine_retry_parked(e);
        return;
    }
    if (j->result)
        log_warn(e->log, "old log segments not removed cause=%s", error_text(j->result));
    /* Those that are left are found again at the next start. */
    for (uint32_t i = 0; i < j->number_count; i++)
        file_forget(e, j->numbers[i]);
}
