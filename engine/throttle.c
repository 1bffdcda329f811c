/*
 * How fast writers are let in. What they write fills the active overlay while a checkpoint empties
 * the frozen one; who is faster than the checkpoint would find the overlay full, and wait for all
 * of it. So they are let in as it gets on, and each waits a little:
 *
 *   one part ahead | as many parts as the checkpoint has done of its records | two parts kept
 *
 * What the chunk under way has done is guessed from the speed of the ones before. The parts that
 * are kept are for the time in which the frozen overlay, all of it in the index, is cleared.
 */
#include "engine/base/error.h"
#include "engine/engine_private.h"

#define PARTS      16u
#define PARTS_KEPT 2u
#define AGAIN_US   1000u /* who was not let in asks again */
/* On a cold or slow disk a checkpoint gets on by jerks: they are let in at least as if it took so
 * long. */
#define LONGEST_US 8000000u

void throttle_begin(struct engine *e)
{
    struct checkpoint *cp = &e->checkpoint;
    cp->records = cp->overlay->records + cp->parcel_count;
    cp->records_done = 0;
    cp->frozen_us = e->now_us;
}

void throttle_chunk(struct engine *e)
{
    e->checkpoint.chunk_us = e->now_us;
}

/* One chunk counts for a quarter of the speed. */
void throttle_note(struct engine *e, uint32_t records)
{
    struct checkpoint *cp = &e->checkpoint;
    uint64_t took_us = e->now_us - cp->chunk_us;
    cp->records_done += records;
    if (records == 0 || took_us == 0)
        return;
    uint64_t records_s = (uint64_t)records * 1000000 / took_us;
    cp->records_s = cp->records_s ? (3 * cp->records_s + records_s) / 4 : records_s;
}

static uint64_t records_written(const struct engine *e)
{
    const struct checkpoint *cp = &e->checkpoint;
    const struct engine_job *j = &e->jobs[ENGINE_CHECKPOINT];
    if (!e->busy[ENGINE_CHECKPOINT] || j->kind != JOB_CHUNK)
        return cp->records_done;
    uint64_t part = cp->records_s * (e->now_us - cp->chunk_us) / 1000000;
    return cp->records_done + (part < j->records ? part : j->records);
}

/* The bytes that the active overlay may have by now. */
static uint64_t bytes_allowed(const struct engine *e)
{
    const struct checkpoint *cp = &e->checkpoint;
    if (!cp->overlay || cp->error || cp->records == 0)
        return e->overlay_half;
    uint64_t part = e->overlay_half / PARTS, parts = (PARTS - PARTS_KEPT - 1) * part;
    uint64_t took_us = e->now_us - cp->frozen_us;
    uint64_t least = took_us < LONGEST_US ? parts * took_us / LONGEST_US : parts;
    uint64_t paced = parts * records_written(e) / cp->records;
    return part + (paced > least ? paced : least);
}

int throttle_room(struct engine *e)
{
    if (e->active->bytes >= e->overlay_half)
        return e->checkpoint.error == GT_ENOSPACE ? GT_ENOSPACE : NO_ROOM;
    if (e->active->bytes < bytes_allowed(e))
        return 0;
    e->throttle_us = e->now_us + AGAIN_US;
    return NO_ROOM;
}

void throttle_tick(struct engine *e)
{
    if (e->now_us < e->throttle_us)
        return;
    e->throttle_us = UINT64_MAX;
    engine_retry_parked(e);
}
