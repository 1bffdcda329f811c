/*
 * What replicas ask one another: clocks, and what is lacking (RULES 3). The dot log of a partition
 * is kept here, by the writes (engine_log_update), and forgets what every owner has confirmed.
 *
 * PULL. The sender cuts its clock and a list at one LSN: when the asker covers the floor, the live
 * logged dots that it lacks; else every key, range by range. It gives the state of each key, as it
 * is now: newer than the cut is fine, older never. The list may be longer than a reply: then `more`
 * is said, the asker stores what it got and asks again with the clock that it has by then. So no
 * cursor is needed for the list, a pull that breaks has brought what it has brought, and the clock
 * that came with the reply in which nothing more was lacking may be merged whole.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/mutant.h"
#include "engine/engine_private.h"

#define CONFIRMS_MAX 32 /* owners of one partition, both lists of a move */

/* ---- the log, kept --------------------------------------------------------------------------- */

enum dotlog_kind engine_dot_kind(const struct sibling *sibling)
{
    return sibling->flags & SIBLING_TOMBSTONE ? DOTLOG_TOMBSTONE : DOTLOG_VALUE;
}

int engine_dot_keep(struct engine *e, struct partition *p, struct dot d, struct slice key,
                    bool stored, enum dotlog_kind kind)
{
    int error = dotlog_reserve(&p->log, 1, 0);
    struct blob *kept = error ? NULL : blob_copy(key.data, key.bytes);
    if (!kept)
        return GT_ENOMEM;
    uint32_t before = p->log.count;
    dotlog_add(&p->log, d, kept, stored, kind);
    e->log_entries += p->log.count - before;
    blob_unref(kept);
    return 0;
}

static bool live_in(const struct state *s, struct dot d)
{
    return state_find(s, d) != NULL;
}

int engine_log_prepare(struct engine *e, struct partition *p, struct slice key, struct blob **out)
{
    uint32_t fresh = 0;
    *out = NULL;
    for (uint32_t i = 0; i < e->merged.sibling_count; i++)
        fresh += !live_in(&e->local, e->merged.siblings[i].dot);
    int error = dotlog_reserve(&p->log, fresh, e->local.sibling_count);
    if (error || fresh == 0)
        return error;
    *out = blob_copy(key.data, key.bytes);
    return *out ? 0 : GT_ENOMEM;
}

/* Over the bound the largest log forgets: who lacks something of that partition is sent every key.
 */
static void log_bound(struct engine *e)
{
    struct partition *largest = NULL;
    uint32_t number = 0;
    if (e->log_entries <= e->log_entries_max)
        return;
    for (uint32_t i = 0; i < e->partition_count; i++)
        if (e->partitions[i] && (!largest || e->partitions[i]->log.count > largest->log.count)) {
            largest = e->partitions[i];
            number = i;
        }
    struct clock floor;
    clock_init(&floor);
    uint32_t count = largest->log.count;
    if (clock_copy(&floor, &largest->clock) == 0 && dotlog_clear(&largest->log) == 0) {
        clock_close(&largest->floor);
        largest->floor = floor;
        clock_init(&floor);
        e->log_entries -= count;
        e->metrics.floors_raised_count++;
        log_warn(e->log,
                 "dot log over its bound: owners that lack writes of this partition are sent every "
                 "key partition=%u entries=%u",
                 number, count);
        events_add(e->events, EVENT_LOG_FLOOR, "partition %u, %u entries", number, count);
    }
    clock_close(&floor);
}

void engine_log_update(struct engine *e, struct partition *p, struct blob *key)
{
    uint32_t before = p->log.count;
    for (uint32_t i = 0; i < e->local.sibling_count; i++)
        if (!live_in(&e->merged, e->local.siblings[i].dot))
            dotlog_drop(&p->log, e->local.siblings[i].dot);
    for (uint32_t i = 0; i < e->merged.sibling_count; i++)
        if (!live_in(&e->local, e->merged.siblings[i].dot) && !MUTANT(log_forgets))
            dotlog_add(&p->log, e->merged.siblings[i].dot, key, false,
                       engine_dot_kind(&e->merged.siblings[i]));
    blob_unref(key);
    e->log_entries += p->log.count; /* modulo 2^64 */
    e->log_entries -= before;
    log_bound(e);
}

/* ---- clocks ---------------------------------------------------------------------------------- */

bool engine_dot_unminted(const struct engine *e, const struct partition *p, struct dot d)
{
    if (d.actor.node != e->identity.node_id || d.actor.incarnation < e->identity.incarnation)
        return false;
    return d.actor.incarnation > e->identity.incarnation || d.seq > engine_minted(e, p);
}

int engine_clock_read(struct engine *e, const struct partition *p, struct slice bytes)
{
    struct reader r = reader_of(bytes);
    clock_clear(&e->incoming_clock);
    int error = clock_decode(&r, &e->incoming_clock);
    struct actor self = {e->identity.node_id, e->identity.incarnation};
    if (!error && clock_closes(&e->incoming_clock, self)) {
        log_warn(e->log, "clock refused: it closes the present life of this node");
        return GT_ECORRUPT;
    }
    for (uint32_t i = 0; !error && i < e->incoming_clock.entry_count; i++) {
        struct actor actor = e->incoming_clock.entries[i].actor;
        struct dot highest = {actor, clock_highest(&e->incoming_clock, actor)};
        if (highest.seq > 0 && engine_dot_unminted(e, p, highest)) {
            log_warn(e->log, "clock refused: it holds a dot never minted here");
            error = GT_ECORRUPT;
        }
    }
    return error;
}

static void answer_error(struct engine *e, const struct store_request *r, int error)
{
    struct store_result result = {.kind = r->kind, .tag = r->tag, .result = error};
    result_push(&e->results, &result);
}

/* What is told while the partition fills confirms nothing to anybody. */
static void clock_put(struct engine *e, uint32_t partition)
{
    const struct partition *p = engine_partition_find(e, partition);
    bool telling = p && !engine_filling(e, partition);
    buf_clear(&e->scratch);
    clock_encode(telling ? &p->clock : &e->empty_clock, &e->scratch);
    buf_varint(&e->scan, partition);
    buf_bytes(&e->scan, buf_slice(&e->scratch));
    buf_varint(&e->scan, p ? p->counts.records : 0);
    buf_u64(&e->scan, p ? p->counts.digest_sum : 0);
    if (e->scratch.failed)
        e->scan.failed = true;
}

void engine_clocks(struct engine *e, const struct store_request *r)
{
    struct store_result result = {.kind = STORE_CLOCKS, .tag = r->tag};
    buf_clear(&e->scan);
    struct reader wanted = reader_of(r->value);
    while (reader_left(&wanted) >= 2) {
        clock_put(e, read_u16(&wanted));
        result.entry_count++;
    }
    for (uint32_t i = 0; r->value.bytes == 0 && i < e->partition_count; i++)
        if (e->partitions[i]) {
            clock_put(e, i);
            result.entry_count++;
        }
    result.entries = buf_blob(&e->scan);
    if (!result.entries)
        result.result = GT_ENOMEM;
    /* What is not durable must not be told. */
    engine_answer_at(e, &result, result.result ? 0 : e->next_lsn - 1);
}

void engine_verify(struct engine *e, const struct store_request *r)
{
    struct store_result result = {.kind = STORE_VERIFY, .tag = r->tag};
    uint64_t lsn; /* of what was read; the row is at least as new */
    bool unknown;
    if (r->partition >= PARTITIONS_MAX || r->from_key.bytes > KEY_BYTES_MAX) {
        answer_error(e, r, GT_ELIMIT);
        return;
    }
    e->metrics.scans_count++;
    buf_clear(&e->scan);
    int error = engine_scan_run(e, r, &result, &lsn, &unknown);
    if (!error && !(result.entries = buf_blob(&e->scan)))
        error = GT_ENOMEM;
    if (!error) {
        buf_clear(&e->scan);
        clock_put(e, r->partition);
        if (!(result.clock = buf_blob(&e->scan)))
            error = GT_ENOMEM;
    }
    if (error) {
        store_result_release(&result);
        answer_error(e, r, error);
        return;
    }
    engine_answer_at(e, &result, e->next_lsn - 1);
}

/* Repeated varint length, clock. The number of clocks, or GT_ECORRUPT, GT_ENOMEM. */
static int clocks_decode(struct slice bytes, struct clock *clocks, int capacity)
{
    struct reader r = reader_of(bytes);
    int count = 0, error = 0;
    while (reader_left(&r) > 0 && !error) {
        struct reader one = reader_of(read_bytes(&r));
        if (r.failed || count == capacity)
            return GT_ECORRUPT;
        error = clock_decode(&one, &clocks[count++]);
    }
    return error ? error : count;
}

/* What all have confirmed is forgotten by the log, so the floor has it: an owner whose disk is put
 * back to before its confirmation is below it. */
static int floor_raise(struct partition *p, const struct clock *clocks, uint32_t count)
{
    struct clock met[2];
    clock_init(&met[0]);
    clock_init(&met[1]);
    uint32_t at = 0;
    int error = clock_copy(&met[0], &p->clock);
    for (uint32_t i = 0; i < count && !error; i++, at ^= 1)
        error = clock_meet(&met[at], &clocks[i], &met[at ^ 1]);
    if (!error)
        error = clock_merge(&p->floor, &met[at]);
    clock_close(&met[0]);
    clock_close(&met[1]);
    return error;
}

void engine_confirm(struct engine *e, const struct store_request *r)
{
    struct partition *p = engine_partition_find(e, r->partition);
    struct clock clocks[CONFIRMS_MAX];
    for (int i = 0; i < CONFIRMS_MAX; i++)
        clock_init(&clocks[i]);
    int count = clocks_decode(r->clock, clocks, CONFIRMS_MAX);
    struct store_result result = {.kind = r->kind, .tag = r->tag, .result = count < 0 ? count : 0};
    uint64_t lsn = 0;
    if (count >= 0 && p && !MUTANT(floor_stays))
        result.result = floor_raise(p, clocks, (uint32_t)count);
    if (!result.result && p) {
        uint32_t before = p->log.count;
        result.result = dotlog_confirm(&p->log, clocks, (uint32_t)count);
        e->log_entries -= before - p->log.count;
    }
    if (!result.result && p && !r->keep_tombstones)
        engine_reap(e, r, p, clocks, (uint32_t)count, &result, &lsn);
    for (int i = 0; i < CONFIRMS_MAX; i++)
        clock_close(&clocks[i]);
    engine_answer_at(e, &result, lsn);
}

/* ---- pull ------------------------------------------------------------------------------------ */

struct pull {
    struct engine *e;
    const struct store_request *request;
    struct partition *partition;
    struct store_result *result;
    uint32_t bytes_max;
    bool unknown; /* a record here is bad: the clock would claim what is not sent */
};

static bool logged(const struct dotlog *log, struct dot d)
{
    uint32_t at = dotlog_place(log, d);
    return at < log->count && dot_compare(log->entries[at].dot, d) == 0;
}

/* The lowest dot live in the state that the asker lacks and the log has; seq 0: none. It may lack
 * one that the log has not: its clock is older than what it has confirmed since. */
static struct dot first_lacking(const struct engine *e, const struct clock *clock,
                                const struct dotlog *log)
{
    for (uint32_t i = 0; i < e->local.sibling_count; i++) {
        struct dot d = e->local.siblings[i].dot;
        if (!clock_covers(&e->incoming_clock, d) && clock_covers(clock, d) && logged(log, d))
            return d;
    }
    return (struct dot){{0, 0}, 0};
}

enum emitted { EMITTED_NOT, EMITTED, EMITTED_FULL };

/* The state of an entry's key, when this entry is the first of its key that is lacking. *stale: its
 * sibling lives no more. */
static enum emitted entry_emit(struct pull *u, const struct dotlog_entry *entry, bool *stale)
{
    struct engine *e = u->e;
    struct view view;
    struct slice key = slice_blob(entry->key);
    int error = view_read(e, u->request->partition, hash_bytes(key), key, &e->local, &view);
    if (error) {
        u->unknown |= error != GT_EFORMAT;
        u->result->newer |= error == GT_EFORMAT;
        return EMITTED_NOT;
    }
    enum emitted done = EMITTED_NOT;
    *stale = !live_in(&e->local, entry->dot);
    if (!*stale &&
        dot_compare(first_lacking(e, &u->partition->clock, &u->partition->log), entry->dot) == 0) {
        size_t bytes = key.bytes + view.record->bytes + 8;
        if (u->result->entry_count > 0 && e->scan.bytes + bytes > u->bytes_max) {
            done = EMITTED_FULL;
        } else {
            buf_bytes(&e->scan, key);
            buf_bytes(&e->scan, slice_blob(view.record));
            u->result->entry_count++;
            done = EMITTED;
        }
    }
    view_close(&view);
    return done;
}

static void pull_lacking(struct pull *u)
{
    struct dotlog *log = &u->partition->log;
    for (uint32_t i = 0; i < log->count; i++) {
        bool stale = false;
        struct dot d = log->entries[i].dot;
        /* Of what our own clock does not cover we have a piece alone, which does not make it
         * covered there: it would be asked for without end (seed 9078). */
        if (clock_covers(&u->e->incoming_clock, d) || !clock_covers(&u->partition->clock, d))
            continue;
        u->result->lacking++;
        if (u->result->more)
            continue; /* only counted */
        u->result->more = entry_emit(u, &log->entries[i], &stale) == EMITTED_FULL;
        if (!stale)
            continue;
        /* Left over from a recovery: its sibling was superseded before. */
        u->result->lacking--;
        if (dotlog_reserve(log, 0, 1) == 0) {
            dotlog_drop(log, log->entries[i].dot);
            u->e->log_entries--;
            i--;
        }
    }
}

static int pull_clock(struct pull *u)
{
    struct engine *e = u->e;
    u->result->unknown = u->unknown;
    buf_clear(&e->scratch);
    clock_encode(&u->partition->clock, &e->scratch);
    u->result->clock = buf_blob(&e->scratch);
    return u->result->clock ? 0 : GT_ENOMEM;
}

/* The recent operations of dots that the asker lacks and gets by the clock alone, the newest of
 * them: what is left out the floor tells. */
static int pull_operations(struct pull *u)
{
    struct engine *e = u->e;
    buf_clear(&e->scratch);
    operations_encode(&e->operations, u->request->partition, OPERATIONS_ALL, &e->scratch);
    struct slice rows = buf_slice(&e->scratch);
    struct blob *lacking = e->scratch.failed ? NULL : blob_new(rows.bytes);
    if (!lacking)
        return GT_ENOMEM;
    size_t start = lacking->bytes;
    u->result->operations_floor = e->operations.floor;
    for (uint32_t i = operations_count(rows); i-- > 0;) {
        struct operation o = operations_at(rows, i);
        if (clock_covers(&e->incoming_clock, o.dot))
            continue;
        if (lacking->bytes - start >= OPERATIONS_PULL_BYTES) {
            if (o.noted > u->result->operations_floor)
                u->result->operations_floor = o.noted;
            break;
        }
        start -= OPERATION_BYTES;
        operation_put(lacking->data + start, &o);
    }
    lacking->bytes -= start;
    memmove(lacking->data, lacking->data + start, lacking->bytes);
    u->result->operations = lacking;
    return 0;
}

/* Whether the asker lacks something of the floor. It has what it told in its present life as well
 * as what it asks with: that may have been confirmed while the question was on its way. */
static bool below_floor(const struct engine *e, const struct partition *p, struct slice told)
{
    bool below = !clock_includes(&e->incoming_clock, &p->floor);
    struct reader bytes = reader_of(told);
    struct clock has;
    if (!below || told.bytes == 0)
        return below;
    clock_init(&has);
    if (clock_decode(&bytes, &has) == 0 && clock_merge(&has, &e->incoming_clock) == 0)
        below = !clock_includes(&has, &p->floor);
    clock_close(&has);
    return below;
}

/* A name for what is here: another one after a loss. */
static uint64_t data_name(const struct engine *e, const struct partition *p)
{
    uint8_t bytes[16];
    le64_put(bytes, e->identity_value.fill_generation);
    le64_put(bytes + 8, p->fill.number);
    return hash_bytes(slice_of(bytes, sizeof(bytes)));
}

void engine_pull(struct engine *e, const struct store_request *r)
{
    struct store_result result = {.kind = STORE_PULL, .tag = r->tag};
    uint64_t lsn; /* of what was scanned; the clock is at least as new */
    struct pull u = {.e = e, .request = r, .result = &result};
    u.bytes_max = r->bytes_max > 0 && r->bytes_max < SCAN_BYTES_MAX ? r->bytes_max : SCAN_BYTES_MAX;
    u.partition = r->partition < PARTITIONS_MAX ? engine_partition_get(e, r->partition) : NULL;
    struct reader bytes = reader_of(r->clock);
    clock_clear(&e->incoming_clock);
    int error = u.partition ? clock_decode(&bytes, &e->incoming_clock) : GT_ELIMIT;
    if (error) {
        answer_error(e, r, error);
        return;
    }
    result.whole = r->whole || below_floor(e, u.partition, r->told);
    result.data = data_name(e, u.partition);
    buf_clear(&e->scan);
    if (result.whole) {
        struct store_request scan = *r;
        scan.bytes_max = u.bytes_max;
        error = engine_scan_run(e, &scan, &result, &lsn, &u.unknown);
    } else {
        pull_lacking(&u);
    }
    if (!error)
        error = pull_clock(&u);
    if (!error && !result.more)
        error = pull_operations(&u);
    if (!error && (e->scan.failed || !(result.entries = buf_blob(&e->scan))))
        error = GT_ENOMEM;
    if (e->scan.capacity > BODY_KEEP_BYTES)
        buf_close(&e->scan);
    if (error) {
        store_result_release(&result);
        answer_error(e, r, error);
        return;
    }
    /* The clock holds all that is in memory: it is told when all of that is durable. */
    engine_answer_at(e, &result, e->next_lsn - 1);
}
