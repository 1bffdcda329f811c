/*
 * Filling (RULES 7, 15, 16): a partition whose clock is not known to be whole, and how it gets
 * whole again. Who asks for what, and when it is enough, the node decides; here is what must be
 * durable.
 *
 *   behind its folder  a loss that struck the whole folder: batches of the log bad or gone, a
 *                      folder rolled back, one born in the place of a lost one. What is here is of
 *                      an earlier moment, and the clock with it, so both stay
 *
 *   rot                a record is bad. Of its key nothing is known, so the clock holds dots whose
 *                      state is not here: it is given up, begins anew with what comes in, and is
 *                      kept aside as the doubt. A sibling that is live here all the same and was in
 *                      it is in the clock again as soon as a pull has passed its key
 *
 * In both cases every key is pulled, since others may have forgotten what this replica had
 * confirmed. A run that was pulled ends with "these are all": a local key of the run that was not
 * sent is merged with the empty state and the sender's clock, so that what the sender has seen go
 * goes here too.
 *
 * The owners of which nothing was pulled when it was enough are owed: until each of them was pulled
 * from whole too, a list of what is lacking would be short of what this replica once confirmed to
 * them.
 */
#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/mutant.h"
#include "engine/engine_private.h"

/* ---- questions ------------------------------------------------------------------------------- */

bool engine_filling(const struct engine *e, uint32_t partition)
{
    const struct partition *p = engine_partition_find(e, partition);
    uint64_t filled = p ? p->fill.generation : 0;
    return filled < e->identity_value.fill_generation || (p && p->fill.reason != 0);
}

struct slice engine_fill_sources(const struct engine *e, uint32_t partition)
{
    const struct partition *p = engine_partition_find(e, partition);
    return slice_blob(p ? p->fill.sources : NULL);
}

struct slice engine_cursor(const struct engine *e, uint32_t partition)
{
    const struct partition *p = engine_partition_find(e, partition);
    return slice_blob(p ? p->fill.cursor : NULL);
}

uint64_t engine_minted(const struct engine *e, const struct partition *p)
{
    struct actor self = {e->identity.node_id, e->identity.incarnation};
    uint64_t known = clock_highest(&p->clock, self);
    bool given_up = p->minted_incarnation == self.incarnation && p->minted > known;
    return given_up ? p->minted : known;
}

void fill_raise(struct identity_value *identity, bool lost)
{
    if (identity->fill_flags & FILL_OPEN)
        lost |= (identity->fill_flags & FILL_LOST) != 0;
    uint64_t above = identity->fill_generation + 1;
    identity->fill_generation = identity->incarnation > above ? identity->incarnation : above;
    identity->fill_flags = FILL_OPEN | (lost ? FILL_LOST : 0);
}

/* ---- counting anew --------------------------------------------------------------------------- */

static int count_one(struct engine *e, uint32_t partition, struct slice key, struct slice record,
                     struct counts *counts)
{
    static const struct presence absent;
    if (record.bytes == 0)
        return 0; /* bad: not a record */
    int error = record_decode(record, partition, key, &e->local);
    if (error)
        return error == GT_ENOMEM ? error : 0;
    const struct sibling *winner = state_winner(&e->local);
    bool value = winner && !(winner->flags & SIBLING_TOMBSTONE);
    struct presence now = {.digest = record_digest(record),
                           .bytes = (uint32_t)record.bytes,
                           .kind = value ? PRESENCE_VALUE : PRESENCE_TOMBSTONE};
    counts_replace(counts, key.bytes, &absent, &now);
    return 0;
}

/* A run of our own keys, from where the request says, into e->scan; then it goes on behind the last
 * of them. */
struct run {
    struct store_request from;
    uint8_t last[KEY_BYTES_MAX];
    bool more;
};

static int run_next(struct engine *e, struct run *run)
{
    struct store_result result = {0};
    uint64_t lsn;
    bool unknown;
    buf_clear(&e->scan);
    int error = engine_scan_run(e, &run->from, &result, &lsn, &unknown);
    run->more = result.more;
    return error;
}

static void run_pass(struct run *run, struct slice key)
{
    memcpy(run->last, key.data, key.bytes);
    run->from.from_start = false;
    run->from.from_key = slice_of(run->last, key.bytes);
    run->from.from_hash = hash_bytes(run->from.from_key);
}

static int recount(struct engine *e, uint32_t partition, struct counts *counts)
{
    struct run run = {
        .from = {.partition = partition, .from_start = true, .bytes_max = SCAN_BYTES_MAX},
        .more = true};
    int error = 0;
    *counts = (struct counts){0};
    while (run.more && !error) {
        error = run_next(e, &run);
        struct reader entries = reader_of(buf_slice(&e->scan));
        while (!error && reader_left(&entries) > 0) {
            struct slice key = read_bytes(&entries), record = read_bytes(&entries);
            error = count_one(e, partition, key, record, counts);
            run_pass(&run, key);
        }
    }
    return error;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static void totals_follow(struct engine *e, const struct counts *before, const struct counts *after)
{
    e->totals.records += after->records - before->records; /* modulo 2^64 */
    e->totals.live += after->live - before->live;
    e->totals.bytes += after->bytes - before->bytes;
    e->totals.digest_sum += after->digest_sum - before->digest_sum;
}

/* What stands for the partition from now on. Takes over *next. */
static void fill_install(struct engine *e, struct partition *p, struct fill *next, bool cleared,
                         const struct counts *counts)
{
    fill_close(&p->fill);
    p->fill = *next;
    if (cleared) {
        p->rotten = false;
        e->metrics.fills_count++;
        p->minted = engine_minted(e, p);
        p->minted_incarnation = e->identity.incarnation;
        clock_clear(&p->clock);
    }
    if (counts) {
        totals_follow(e, &p->counts, counts);
        p->counts = *counts;
    }
}

static int fill_next(struct engine *e, const struct partition *p, const struct store_request *r,
                     struct fill *next)
{
    fill_init(next);
    next->generation = p->fill.generation;
    next->number = p->fill.number;
    if (r->kind == STORE_CURSOR) {
        next->reason = p->fill.reason;
        next->sources = blob_ref(p->fill.sources);
        next->cursor = r->value.bytes > 0 ? blob_copy(r->value.data, r->value.bytes) : NULL;
        return r->value.bytes > 0 && !next->cursor ? GT_ENOMEM
                                                   : clock_copy(&next->doubt, &p->fill.doubt);
    }
    next->reason = r->fill;
    if (r->fill != 0) {
        next->number++;
        int error = clock_copy(&next->doubt, &p->clock);
        return error ? error : clock_merge(&next->doubt, &p->fill.doubt);
    }
    next->generation = e->identity_value.fill_generation;
    if (r->value.bytes > 0)
        next->sources = blob_copy(r->value.data, r->value.bytes);
    return r->value.bytes > 0 && !next->sources ? GT_ENOMEM : 0;
}

static int fill_write(struct engine *e, const struct store_request *r, struct partition *p,
                      struct fill *next, bool parked, uint64_t *lsn)
{
    struct buf payload, bytes;
    struct fill_record record = {.partition = r->partition, .stamp = r->stamp};
    buf_init(&payload, BLOB_BYTES_MAX);
    buf_init(&bytes, BLOB_BYTES_MAX);
    fill_encode(next, &bytes);
    record.fill = buf_slice(&bytes);
    record.cleared = r->fill != 0;
    record.counted = r->kind == STORE_FILL && r->fill == 0;
    int error = record.counted ? recount(e, r->partition, &record.counts) : 0;
    if (!error && record.counted && p->rotten) {
        p->rotten = false; /* whoever is told fills for this reason, too, if there is anybody to
                              fill from */
        error = GT_EUNKNOWN;
    }
    fill_record_encode(&record, &payload);
    if (!error)
        error = bytes.failed || payload.failed ? GT_ENOMEM : 0;
    if (!error)
        error = log_room(e, payload.bytes, parked);
    if (!error)
        error = log_reserve(e, payload.bytes);
    if (!error)
        error = overlay_reserve(e->active, r->partition);
    if (!error) {
        *lsn = log_append(e, LOG_FILL, r, payload.bytes);
        buf_put(&e->forming->body, payload.data, payload.bytes);
        fill_install(e, p, next, record.cleared, record.counted ? &record.counts : NULL);
        overlay_touch(e->active, r->partition);
    }
    buf_close(&bytes);
    buf_close(&payload);
    return error;
}

int admit_fill(struct engine *e, const struct store_request *r, bool parked)
{
    bool cursor = r->kind == STORE_CURSOR;
    if (r->partition >= PARTITIONS_MAX || r->fill > FILL_ROT ||
        (cursor ? r->value.bytes > CURSOR_BYTES_MAX : r->value.bytes % 8 != 0))
        return GT_ELIMIT;
    struct partition *p = engine_partition_get(e, r->partition);
    if (!p)
        return GT_ENOMEM;
    struct fill next;
    uint64_t lsn = 0;
    int error = fill_next(e, p, r, &next);
    if (!error)
        error = fill_write(e, r, p, &next, parked, &lsn);
    if (error) {
        fill_close(&next);
        return error;
    }
    if (!cursor)
        scrub_forget(e, r->partition);
    struct store_result result = {.kind = r->kind, .tag = r->tag};
    engine_answer_at(e, &result, lsn);
    return 0;
}

int fill_replay(struct engine *e, struct slice payload, uint64_t lsn, uint64_t *replayed)
{
    struct fill_record record;
    int error = fill_record_decode(payload, &record);
    struct partition *p = error ? NULL : engine_partition_get(e, record.partition);
    if (error)
        return error;
    if (!p)
        return GT_ENOMEM;
    if (record.stamp > e->stamp_max)
        e->stamp_max = record.stamp;
    if (lsn <= p->lsn)
        return 0;
    struct fill next;
    fill_init(&next);
    error = fill_decode(record.fill, &next);
    if (!error)
        error = overlay_reserve(e->active, record.partition);
    if (error) {
        fill_close(&next);
        return error;
    }
    fill_install(e, p, &next, record.cleared, record.counted ? &record.counts : NULL);
    overlay_touch(e->active, record.partition);
    *replayed += 1;
    return 0;
}

/* ---- these are all --------------------------------------------------------------------------- */

/* A walk over what was sent. */
struct sent {
    struct reader entries;
    struct slice key;
    uint64_t hash;
    bool end;
};

static int sent_next(struct sent *s)
{
    if (reader_left(&s->entries) == 0) {
        s->end = true;
        return 0;
    }
    struct slice key = read_bytes(&s->entries);
    read_bytes(&s->entries);
    if (s->entries.failed || key.bytes == 0 || key.bytes > KEY_BYTES_MAX)
        return GT_ECORRUPT;
    uint64_t hash = hash_bytes(key);
    /* Out of order a key would seem not to have been sent. */
    if (s->key.bytes > 0 && overlay_key_compare(s->hash, s->key, hash, key) >= 0)
        return GT_ECORRUPT;
    s->key = key;
    s->hash = hash;
    return 0;
}

/* Walks on to the key: 0, or GT_ECORRUPT. *was_sent says whether it is there. */
static int sent_find(struct sent *s, struct slice key, bool *was_sent)
{
    uint64_t hash = hash_bytes(key);
    int error = 0, order = -1;
    while (!error && !s->end && (s->key.bytes == 0 || order < 0)) {
        order = s->key.bytes ? overlay_key_compare(s->hash, s->key, hash, key) : -1;
        if (order < 0)
            error = sent_next(s);
    }
    *was_sent = !s->end && order == 0;
    return error;
}

/* The keys of e->scan against those sent. *over: they lie behind the run. */
static int rest_merge(struct engine *e, const struct store_request *r, bool parked, struct run *run,
                      struct sent *sent, bool *over)
{
    struct reader entries = reader_of(buf_slice(&e->scan));
    while (reader_left(&entries) > 0) {
        bool was_sent;
        struct slice key = read_bytes(&entries), record = read_bytes(&entries);
        int error = sent_find(sent, key, &was_sent);
        if (error)
            return error;
        *over = sent->end && r->more;
        if (*over)
            return 0;
        run_pass(run, key);
        /* Of a bad record nothing is known that the sender could have seen go; where the partition
         * fills, what no source has is not there (RULES 16). */
        if (was_sent || (record.bytes == 0 && !engine_filling(e, r->partition)))
            continue;
        struct store_request one = {.kind = STORE_REST,
                                    .partition = r->partition,
                                    .key = key,
                                    .pulled = true,
                                    .clock = r->clock,
                                    .stamp = r->stamp};
        error = admit_merge(e, &one, parked);
        if (error)
            return error;
    }
    return 0;
}

int admit_rest(struct engine *e, const struct store_request *r, bool parked)
{
    if (r->partition >= PARTITIONS_MAX || r->from_key.bytes > KEY_BYTES_MAX)
        return GT_ELIMIT;
    struct run run = {.from = {.partition = r->partition,
                               .from_start = r->from_start,
                               .from_hash = r->from_hash,
                               .from_key = r->from_key,
                               .bytes_max = SCAN_BYTES_MAX},
                      .more = true};
    struct sent sent = {.entries = reader_of(r->value)};
    bool over = false;
    int error = 0;
    while (run.more && !over && !error) {
        error = run_next(e, &run);
        if (!error)
            error = rest_merge(e, r, parked, &run, &sent, &over);
    }
    if (error)
        return error;
    struct store_result result = {.kind = STORE_REST, .tag = r->tag};
    engine_answer_at(e, &result, e->next_lsn - 1);
    return 0;
}
