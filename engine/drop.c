/*
 * Giving up a partition that this node owns no more (RULES 5, 20). Whoever asks for it knows that
 * every present owner has what is here.
 *
 *   DROP record: clock, dot log, floor, filling --> REAP records, a run of keys at a time --> empty
 *
 * What says that something is here goes first, in one commit, and the records after it. So INV
 * holds at every moment, and a crash in between leaves records of which nobody claims that they are
 * there; the next request goes on with them.
 *
 * The numbers that this life has minted here are kept in memory, as they are when a clock is given
 * up to a bad record: should the node own the partition once more it mints above them, and a later
 * process of it is another life (RULES 5, F5).
 */
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/mutant.h"
#include "engine/engine_private.h"

#define DROP_BYTES (64u << 10) /* of what is read for one run */

static bool clock_nothing(const struct clock *c)
{
    return c->entry_count == 0 && c->closed_count == 0;
}

static bool claims_nothing(const struct partition *p)
{
    return clock_nothing(&p->clock) && clock_nothing(&p->floor) && p->log.count == 0 &&
           fill_nothing(&p->fill);
}

/* What a bad record, or one that was lost, had counted stays when the last record has gone. */
static void counts_clear(struct engine *e, struct partition *p)
{
    e->totals.records -= p->counts.records;
    e->totals.live -= p->counts.live;
    e->totals.bytes -= p->counts.bytes;
    e->totals.digest_sum -= p->counts.digest_sum;
    p->counts = (struct counts){0};
}

static int claims_clear(struct engine *e, struct partition *p)
{
    uint32_t count = p->log.count;
    int error = dotlog_clear(&p->log);
    if (error)
        return error;
    e->log_entries -= count;
    p->minted = engine_minted(e, p);
    p->minted_incarnation = e->identity.incarnation;
    if (!MUTANT(keep_dropped_clock))
        clock_clear(&p->clock);
    clock_clear(&p->floor);
    fill_close(&p->fill);
    p->strays |= p->rotten;
    p->rotten = false;
    return 0;
}

/* empty: no record is left. */
static int claims_drop(struct engine *e, const struct store_request *r, struct partition *p,
                       bool empty, bool parked)
{
    size_t payload_bytes = varint_bytes(r->partition) + STAMP_BYTES + 1;
    int error = log_room(e, payload_bytes, parked);
    if (!error)
        error = log_reserve(e, payload_bytes);
    if (!error)
        error = overlay_reserve(e->active, r->partition);
    if (!error)
        error = claims_clear(e, p);
    if (error)
        return error;
    if (empty)
        counts_clear(e, p);
    log_append(e, LOG_DROP, r, payload_bytes);
    buf_varint(&e->forming->body, r->partition);
    buf_u64(&e->forming->body, r->stamp);
    buf_u8(&e->forming->body, empty);
    overlay_touch(e->active, r->partition);
    e->metrics.drops_count++;
    scrub_forget(e, r->partition);
    return 0;
}

static int key_drop(struct engine *e, const struct store_request *r, struct partition *p,
                    struct slice key)
{
    uint64_t lsn, hash = hash_bytes(key);
    struct view view;
    struct store_request one = {
        .kind = STORE_DROP, .partition = r->partition, .key = key, .stamp = r->stamp};
    int error = view_read(e, r->partition, hash, key, &e->local, &view);
    if (error == GT_EUNKNOWN) {
        state_clear(&e->local);
        view = (struct view){.entry = overlay_find(e->active, r->partition, hash, key),
                             .presence = {.kind = PRESENCE_BAD}};
        error = 0;
    }
    if (error)
        return error;
    state_clear(&e->merged);
    error = engine_replace(e, &one, p, &view, &lsn);
    view_close(&view);
    return error;
}

/* A run of keys. Those that went before room ran out are gone when it is tried again. */
static int records_drop(struct engine *e, const struct store_request *r, struct partition *p,
                        bool *more)
{
    struct store_request from = {
        .partition = r->partition, .from_start = true, .bytes_max = DROP_BYTES};
    struct store_result run = {0};
    uint64_t lsn;
    bool unknown;
    buf_clear(&e->scan);
    int error = engine_scan_run(e, &from, &run, &lsn, &unknown);
    struct reader entries = reader_of(buf_slice(&e->scan));
    while (!error && reader_left(&entries) > 0) {
        struct slice key = read_bytes(&entries);
        read_bytes(&entries);
        error = key_drop(e, r, p, key);
    }
    *more = run.more;
    return error;
}

int admit_drop(struct engine *e, const struct store_request *r, bool parked)
{
    struct store_result result = {.kind = STORE_DROP, .tag = r->tag};
    if (r->partition >= PARTITIONS_MAX)
        return GT_ELIMIT;
    struct partition *p = engine_partition_find(e, r->partition);
    int error = 0;
    if (p && !claims_nothing(p))
        error = claims_drop(e, r, p, false, parked);
    if (p && !error)
        error = records_drop(e, r, p, &result.more);
    if (p && !error && !result.more && (p->counts.records > 0 || p->counts.bytes > 0))
        error = claims_drop(e, r, p, true, parked);
    if (error)
        return error;
    engine_answer_at(e, &result, e->next_lsn - 1);
    return 0;
}

int drop_replay(struct engine *e, struct slice payload, uint64_t lsn, uint64_t *replayed)
{
    struct reader r = reader_of(payload);
    uint64_t number = read_varint(&r), stamp = read_u64_or_zero(&r);
    bool empty = reader_left(&r) > 0 && read_u8(&r) == 1;
    if (r.failed || number >= PARTITIONS_MAX)
        return GT_ECORRUPT;
    struct partition *p = engine_partition_get(e, (uint32_t)number);
    int error = p ? overlay_reserve(e->active, (uint32_t)number) : GT_ENOMEM;
    if (stamp > e->stamp_max)
        e->stamp_max = stamp;
    if (error || lsn <= p->lsn)
        return error;
    error = claims_clear(e, p);
    if (error)
        return error;
    if (empty)
        counts_clear(e, p);
    overlay_touch(e->active, (uint32_t)number);
    *replayed += 1;
    return 0;
}

bool engine_holds(const struct engine *e, uint32_t partition)
{
    const struct partition *p = engine_partition_find(e, partition);
    return p && (p->counts.records > 0 || !claims_nothing(p));
}
