/*
 * One write:
 *
 *   checks that refuse -> the resulting state and its record -> room in log and overlay
 *      -> memory for every step that follows -> [ clock, log record, overlay, counts ] -> result
 *
 * Nothing between the brackets can fail for want of room, and nothing before them has changed
 * anything. So a dot is minted exactly when its record is in the forming batch (RULES 9).
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/bare.h"
#include "engine/base/hash.h"
#include "engine/base/mutant.h"
#include "engine/engine_private.h"

struct write {
    const struct store_request *request;
    struct partition *partition;
    struct view *view; /* what it replaces */
    uint64_t hash;
    struct blob *record; /* what it leaves; a reference, taken over on success. NULL: nothing */
    struct presence now;
    uint32_t dot_count;  /* of engine.dots: what the state sets in the clock; the minted one last */
    uint32_t fresh_dots; /* of these, not yet in the clock */
    uint32_t fresh_operations; /* of engine.noted, not yet in the table */
    bool found;                /* a piece of the operation stood here before */
    uint8_t marks;             /* of a put's sibling: SIBLING_RETRIED, SIBLING_AGAIN */
};

static bool answer(struct engine *e, const struct store_request *r, int error)
{
    struct store_result result = {
        .kind = r->kind, .tag = r->tag, .result = error, .limit = e->limit};
    e->metrics.refused_count++;
    result_push(&e->results, &result);
    return true;
}

/* The operation was applied before; what failed is the answer. */
static void answer_known(struct engine *e, const struct store_request *r, int error)
{
    struct store_result result = {
        .kind = r->kind, .tag = r->tag, .result = error, .known_op = true};
    result_push(&e->results, &result);
}

size_t varint_bytes(uint64_t v)
{
    size_t bytes = 1;
    for (; v >= 0x80; v >>= 7)
        bytes++;
    return bytes;
}

size_t slice_bytes(size_t bytes)
{
    return varint_bytes(bytes) + bytes;
}

/* ---- room and memory ------------------------------------------------------------------------- */

int log_room(struct engine *e, size_t payload_bytes, bool parked)
{
    const struct batch *b = e->forming;
    size_t alone = wal_record_bytes(payload_bytes);
    size_t body = b->body.bytes - WAL_BATCH_HEADER + alone;
    bool stuck = e->checkpoint.error == GT_ENOSPACE;
    if (b->waiters.count >= BATCH_WAITERS_MAX || (b->records > 0 && body > BATCH_BYTES_MAX))
        return NO_ROOM;
    if (!log_fits(e, wal_batch_bytes(body))) {
        if (parked && e->segment_error)
            return e->segment_error;
        if (stuck && segments_live(e) >= LIVE_SEGMENTS_MAX)
            return GT_ENOSPACE;
        e->segment_need = WAL_BLOCK + wal_batch_bytes(alone);
        return NO_ROOM;
    }
    return 0;
}

int log_reserve(struct engine *e, size_t payload_bytes)
{
    struct batch *b = e->forming;
    int error = result_reserve(&b->waiters);
    if (!error)
        error = buf_reserve(&b->body, wal_record_bytes(payload_bytes) + WAL_BLOCK);
    b->body.failed = false; /* nothing was dropped: only the room was asked for */
    return error;
}

uint64_t log_append(struct engine *e, uint8_t type, const struct store_request *r,
                    size_t payload_bytes)
{
    struct batch *b = e->forming;
    if (r->stamp > e->stamp_max)
        e->stamp_max = r->stamp;
    uint64_t lsn = e->next_lsn++;
    if (b->records++ == 0)
        b->first_lsn = lsn;
    b->last_lsn = lsn;
    wal_record_begin(&b->body, type, payload_bytes);
    return lsn;
}

static int dots_reserve(struct engine *e, uint32_t count)
{
    if (count <= e->dots_capacity)
        return 0;
    uint32_t capacity = count < 64 ? 64 : count * 2;
    struct dot *dots = realloc(e->dots, capacity * sizeof(*dots));
    if (!dots)
        return GT_ENOMEM;
    e->dots = dots;
    e->dots_capacity = capacity;
    return 0;
}

/* ---- a state into log and overlay ------------------------------------------------------------ */

static size_t state_payload_bytes(const struct write *w)
{
    const struct presence *previous = &w->view->presence;
    size_t bytes = varint_bytes(w->request->partition) + slice_bytes(w->request->key.bytes) + 1;
    if (previous->kind != PRESENCE_ABSENT)
        bytes += 8 + varint_bytes(previous->bytes);
    return bytes + varint_bytes(w->fresh_dots) + (size_t)w->fresh_dots * DOT_BYTES +
           slice_bytes(slice_blob(w->record).bytes) + STAMP_BYTES +
           slice_bytes((size_t)w->fresh_operations * OPERATION_BYTES);
}

/* ---- operations that the write supersedes (RULES 10) ------------------------------------------
 */

/* Appends a row to engine.noted. */
static int noted_add(struct engine *e, const struct operation *o)
{
    uint8_t raw[OPERATION_BYTES];
    operation_put(raw, o);
    buf_put(&e->noted, raw, sizeof(raw));
    return e->noted.failed ? GT_ENOMEM : 0;
}

/* The row of a sibling that is superseded, or may soon be. */
static struct operation operation_of(const struct write *w, const struct sibling *s)
{
    struct operation o = {
        .key_hash = w->hash, .dot = s->dot, .stamp = s->stamp, .noted = w->request->stamp};
    memcpy(o.op, s->op, OP_ID_BYTES);
    return o;
}

/* The siblings of `from` that the write leaves without. */
static int noted_superseded(struct engine *e, const struct write *w, const struct state *from)
{
    int error = 0;
    for (uint32_t i = 0; i < from->sibling_count && !error; i++) {
        const struct sibling *s = &from->siblings[i];
        if (operation_none(s->op) || state_find(&e->merged, s->dot))
            continue;
        struct operation o = operation_of(w, s);
        error = noted_add(e, &o);
    }
    return error;
}

/* The rows that came with the request. */
static int noted_told(struct engine *e, const struct write *w)
{
    const struct store_request *r = w->request;
    int error = r->operations.bytes % OPERATION_BYTES != 0 ? GT_ECORRUPT : 0;
    for (uint32_t i = 0; !error && i < operations_count(r->operations); i++) {
        struct operation o = operations_at(r->operations, i);
        if (o.dot.seq == 0 || operation_none(o.op) || engine_dot_unminted(e, w->partition, o.dot))
            return GT_ECORRUPT;
        /* It ages by our own clock, whatever the sender's says. */
        if (o.noted > r->stamp)
            o.noted = r->stamp;
        error = noted_add(e, &o);
    }
    return error;
}

/* Row i of engine.noted is not in the table. */
static bool operation_fresh(const struct engine *e, const struct write *w, uint32_t i)
{
    struct operation o = operations_at(buf_slice(&e->noted), i);
    return !operations_find(&e->operations, w->request->partition, o.key_hash, o.op);
}

static void fresh_operations_count(const struct engine *e, struct write *w)
{
    w->fresh_operations = 0;
    for (uint32_t i = 0; i < operations_count(buf_slice(&e->noted)); i++)
        w->fresh_operations += operation_fresh(e, w, i);
}

static void operations_take(struct engine *e, const struct write *w)
{
    operations_age(&e->operations, e->stamp_max);
    for (uint32_t i = 0; i < operations_count(buf_slice(&e->noted)); i++) {
        struct operation o = operations_at(buf_slice(&e->noted), i);
        operations_note(&e->operations, w->request->partition, &o);
    }
}

/* Those that are new to the table, with their length, into the log. */
static void operations_log(struct engine *e, const struct write *w)
{
    struct buf *body = &e->forming->body;
    buf_varint(body, (uint64_t)w->fresh_operations * OPERATION_BYTES);
    for (uint32_t i = 0; i < operations_count(buf_slice(&e->noted)); i++)
        if (operation_fresh(e, w, i))
            buf_put(body, e->noted.data + (size_t)i * OPERATION_BYTES, OPERATION_BYTES);
}

/* ---- the record ------------------------------------------------------------------------------ */

/* Which dots are new is known by the clock as it was: before they are added. */
static void state_log(struct engine *e, const struct write *w, size_t payload_bytes)
{
    struct buf *body = &e->forming->body;
    const struct presence *previous = &w->view->presence;
    size_t end = body->bytes + payload_bytes;
    buf_varint(body, w->request->partition);
    buf_bytes(body, w->request->key);
    buf_u8(body, previous->kind);
    if (previous->kind != PRESENCE_ABSENT) {
        buf_u64(body, previous->digest);
        buf_varint(body, previous->bytes);
    }
    buf_varint(body, w->fresh_dots);
    for (uint32_t i = 0; i < w->dot_count; i++) {
        uint8_t raw[DOT_BYTES];
        if (clock_covers(&w->partition->clock, e->dots[i]))
            continue;
        dots_put(raw, e->dots[i]);
        buf_put(body, raw, sizeof(raw));
    }
    buf_bytes(body, slice_blob(w->record));
    buf_u64(body, w->request->stamp);
    operations_log(e, w);
    gt_assert(!body->failed && body->bytes == end);
}

static void fresh_dots_count(struct engine *e, struct write *w)
{
    w->fresh_dots = 0;
    for (uint32_t i = 0; i < w->dot_count; i++)
        w->fresh_dots += !clock_covers(&w->partition->clock, e->dots[i]);
}

/*
 * Admits the state: from here on it is in doubt, never not applied. *lsn is what its result waits
 * for. 0, with w->record taken over; NO_ROOM; or an error, with nothing changed.
 */
static int state_write(struct engine *e, struct write *w, bool parked, uint64_t *lsn)
{
    const struct store_request *r = w->request;
    size_t payload_bytes = state_payload_bytes(w);
    int error = log_room(e, payload_bytes, parked);
    if (error)
        return error;
    error = throttle_room(e);
    if (error)
        return error;
    error = log_reserve(e, payload_bytes);
    if (!error)
        error = clock_reserve(&w->partition->clock, e->dots, w->dot_count);
    if (error)
        return error;
    struct blob *log_key = NULL;
    error = BARE ? 0 : engine_log_prepare(e, w->partition, r->key, &log_key);
    if (error)
        return error;
    struct overlay_entry *entry = w->view->entry, *added = NULL;
    if (!entry) {
        added = overlay_entry_new(r->partition, w->hash, r->key, &w->view->presence);
        bool made = added || MUTANT(memory_unchecked);
        error = made ? overlay_reserve(e->active, r->partition) : GT_ENOMEM;
        if (error) {
            overlay_entry_free(added);
            blob_unref(log_key);
            return error;
        }
    }
    *lsn = log_append(e, w->record ? LOG_STATE : LOG_REAP, r, payload_bytes);
    state_log(e, w, payload_bytes);
    operations_take(e, w);
    for (uint32_t i = 0; i < w->dot_count; i++) {
        error = clock_add(&w->partition->clock, e->dots[i]);
        /* Reserved: the record is in the batch, and without its dots the clock would be wrong. */
        gt_assert(error == 0);
    }
    if (!BARE)
        engine_log_update(e, w->partition, log_key);
    if (added)
        overlay_insert(e->active, added, w->record, &w->now, *lsn);
    else
        overlay_replace(e->active, entry, w->record, &w->now, *lsn);
    counts_replace(&w->partition->counts, r->key.bytes, &w->view->presence, &w->now);
    counts_replace(&e->totals, r->key.bytes, &w->view->presence, &w->now);
    scrub_follow(e, r->partition, w->hash, r->key, &w->view->presence, &w->now);
    return 0;
}

int engine_replace(struct engine *e, const struct store_request *r, struct partition *p,
                   struct view *view, uint64_t *lsn)
{
    struct write w = {.request = r, .partition = p, .view = view, .hash = hash_bytes(r->key)};
    int error = 0;
    if (!state_absent(&e->merged))
        error = record_encode_blob(&e->merged, r->partition, r->key, &w.record);
    if (error)
        return error;
    w.now = presence_of(&e->merged, w.record);
    buf_clear(&e->noted);
    if (r->kind != STORE_DROP) /* what is given up was not superseded by that */
        error = noted_superseded(e, &w, &e->local);
    fresh_operations_count(e, &w);
    if (!error)
        error = state_write(e, &w, false, lsn);
    if (error)
        blob_unref(w.record);
    return error;
}

static bool history_unminted(const struct engine *e, const struct partition *p,
                             const struct history *h)
{
    for (uint32_t i = 0; i < h->vector_count; i++)
        if (engine_dot_unminted(e, p, h->vector[i]))
            return true;
    for (uint32_t i = 0; i < h->exact_count; i++)
        if (engine_dot_unminted(e, p, h->exact[i]))
            return true;
    /* Our present life is not over. */
    return history_closed(h, e->identity.node_id) >= e->identity.incarnation;
}

static int key_check(const struct store_request *r)
{
    bool fits = r->key.bytes >= 1 && r->key.bytes <= KEY_BYTES_MAX;
    return fits && r->partition < PARTITIONS_MAX ? 0 : GT_ELIMIT;
}

/* ---- put ------------------------------------------------------------------------------------- */

static bool dots_have(const struct dot *dots, uint32_t count, struct dot d)
{
    for (uint32_t i = 0; i < count; i++)
        if (dot_compare(dots[i], d) == 0)
            return true;
    return false;
}

/* The sibling is here with its whole state, now or by this write. Of a large state the first pieces
 * are merged before the history comes: what the put had seen is live beside it until then. */
static bool sibling_whole(const struct engine *e, const struct write *w, struct dot d)
{
    return dots_have(e->dots, w->dot_count, d) || pieces_whole(w->partition, d);
}

/*
 * What a get answers rather than the sibling d of the state, into the result (RULES 12). A piece
 * outranks nothing: what we acknowledged is here whole, and what came in part may have superseded
 * d. Stored again above it, d's operation would be back after it was done and overwritten.
 */
static int outranking_tell(const struct engine *e, const struct write *w, const struct state *s,
                           struct dot d, struct store_result *result)
{
    if (s->sibling_count < 2 || result->unsettled)
        return 0;
    struct dot *dots = malloc(s->sibling_count * sizeof(*dots));
    if (!dots)
        return GT_ENOMEM;
    uint64_t stamp;
    uint32_t kept = 0, count = state_outranking(s, d, dots, &stamp);
    for (uint32_t i = 0; i < count; i++) {
        if (!sibling_whole(e, w, dots[i]))
            continue;
        stamp = state_find(s, dots[i])->stamp;
        if (stamp > result->outranking_stamp)
            result->outranking_stamp = stamp;
        dots[kept++] = dots[i];
    }
    if (kept > 0)
        result->outranking = blob_new((size_t)kept * DOT_BYTES);
    for (uint32_t i = 0; result->outranking && i < kept; i++)
        dots_put(result->outranking->data + (size_t)i * DOT_BYTES, dots[i]);
    free(dots);
    return kept > 0 && !result->outranking ? GT_ENOMEM : 0;
}

/* And the operations of those: who stores the put again lists their dots without having had them.
 */
static int outranking_operations(struct engine *e, const struct write *w,
                                 struct store_result *result)
{
    struct slice dots = slice_blob(result->outranking);
    int error = 0;
    if (dots.bytes == 0)
        return 0;
    buf_clear(&e->noted);
    for (uint32_t i = 0; !error && i < dots_count(dots); i++) {
        struct operation o = operation_of(w, state_find(&e->merged, dots_at(dots, i)));
        error = operation_none(o.op) ? 0 : noted_add(e, &o);
    }
    result->operations = error ? NULL : buf_blob(&e->noted);
    return result->operations ? 0 : GT_ENOMEM;
}

static struct blob *context_blob(struct engine *e, const struct history *h, uint64_t hash)
{
    buf_clear(&e->scratch);
    context_encode(h, hash, &e->scratch);
    return buf_blob(&e->scratch);
}

/*
 * Where a first piece of an operation's large state arrived and the rest did not, its history does
 * not include what its client had seen, or a sibling that its client had seen is still live beside
 * it. Then the operation is minted once more, under a dot that has seen all that: finished as it is
 * here it would leave alive at other owners what it superseded.
 */
static bool piece_alone(const struct engine *e, const uint8_t op[OP_ID_BYTES])
{
    if (!history_includes(&e->local.history, &e->context))
        return true;
    for (uint32_t i = 0; i < e->local.sibling_count; i++) {
        const struct sibling *s = &e->local.siblings[i];
        if (memcmp(s->op, op, OP_ID_BYTES) != 0 && history_covers(&e->context, s->dot))
            return true;
    }
    return false;
}

/*
 * The live sibling of the operation into the log with its mark: whoever asks for it a second time
 * may have had a twin of it minted, by owners that did not know it (version.h). What a retry
 * acknowledges is marked where it is, whoever minted it; so what supersedes it names it.
 *
 * Where it came as a piece it is whole from now on, and in the clock: what is here includes all
 * that its client had seen (else it is minted once more), and it is acknowledged as it is here.
 */
static int known_mark(struct engine *e, struct write *w, const struct known_operation *known,
                      bool parked, uint64_t *lsn)
{
    int error = dots_reserve(e, 1);
    if (!error)
        error = state_copy(&e->merged, &e->local);
    for (uint32_t i = 0; !error && i < e->merged.sibling_count; i++)
        if (dot_compare(e->merged.siblings[i].dot, known->dot) == 0)
            e->merged.siblings[i].flags |= SIBLING_RETRIED;
    if (!error)
        error = record_encode_blob(&e->merged, w->request->partition, w->request->key, &w->record);
    if (error)
        return error;
    w->now = presence_of(&e->merged, w->record);
    w->dot_count = w->fresh_operations = 0;
    if (!pieces_whole(w->partition, known->dot))
        e->dots[w->dot_count++] = known->dot;
    fresh_dots_count(e, w);
    error = state_write(e, w, parked, lsn);
    if (error)
        blob_unref(w->record);
    return error;
}

/* The operation is known here: its dot is finished, nothing is minted (RULES 10). It may have been
 * superseded meanwhile; then the state that goes to the others includes it, and a row of the table
 * goes along. */
static int put_known(struct engine *e, struct write *w, const struct known_operation *known,
                     bool parked)
{
    const struct store_request *r = w->request;
    bool marks = known->live && !(known->mark && pieces_whole(w->partition, known->dot));
    uint64_t lsn = w->view->lsn;
    int error = history_copy(&e->returned, &e->context);
    if (!error && known->dot.seq > 0)
        error = history_add(&e->returned, known->dot);
    /* Whoever was minted after the others were asked in vain has a twin: both have been seen now.
     */
    if (!error)
        error = history_name(&e->returned, r->op, known->stamp, 0);
    if (!error && known->superseded)
        error = noted_add(e, known->superseded);
    if (error)
        return error;
    struct store_result result = {.kind = STORE_PUT,
                                  .tag = r->tag,
                                  .dots = known_dots(w->partition, &e->local, known->dot),
                                  .context = context_blob(e, &e->returned, w->hash),
                                  .operations = buf_blob(&e->noted),
                                  .stamp = known->stamp,
                                  .known_op = true};
    error = result.dots && result.context && result.operations ? 0 : GT_ENOMEM;
    result.unsettled = r->plain && !known->live && !state_settled(&e->local, r->op, known->stamp);
    if (!error && r->plain)
        error = outranking_tell(e, w, &e->local, known->dot, &result);
    if (!error && marks)
        error = known_mark(e, w, known, parked, &lsn);
    if (error) {
        store_result_release(&result);
        return error;
    }
    result.record = blob_ref(marks ? w->record : w->view->record);
    engine_answer_at(e, &result, lsn);
    return 0;
}

static uint64_t stamp_raised(uint64_t lowest, uint64_t above)
{
    if (above < lowest)
        return lowest;
    return above == UINT64_MAX ? above : above + 1;
}

/* Above the siblings of the local state. An operation that is tried again stands where its first
 * attempt stood, above those alone that its context covers. */
static uint64_t stamp_to_mint(const struct engine *e, const struct store_request *r)
{
    uint64_t stamp = r->first_stamp ? r->first_stamp : r->stamp;
    if (r->again)
        stamp = stamp_raised(stamp, r->above);
    for (uint32_t i = 0; i < e->local.sibling_count; i++) {
        const struct sibling *s = &e->local.siblings[i];
        if (!r->first_stamp || history_covers(&e->context, s->dot))
            stamp = stamp_raised(stamp, s->stamp);
    }
    return stamp;
}

/*
 * What the new sibling is to replace beside what its client has seen, wherever that is: the dots
 * that outrank what the operation wrote before. And an operation that is minted when it is tried
 * again takes its place where its first attempt stood: of what is here it has seen what is older.
 */
static int context_extend(struct engine *e, const struct write *w)
{
    const struct store_request *r = w->request;
    int error = 0;
    for (uint32_t i = 0; i < dots_count(r->outranking) && !error; i++) {
        struct dot d = dots_at(r->outranking, i);
        bool minted = d.seq > 0 && !engine_dot_unminted(e, w->partition, d);
        error = minted ? history_add(&e->context, d) : GT_ECONTEXT;
    }
    for (uint32_t i = 0; r->first_stamp && r->plain && i < e->local.sibling_count && !error; i++)
        if (e->local.siblings[i].stamp < r->first_stamp)
            error = history_add(&e->context, e->local.siblings[i].dot);
    return error;
}

/* The state after the put is in e->merged, its dots in e->dots: the replaced ones, then the new. */
static int put_state(struct engine *e, struct write *w, struct sibling *sibling)
{
    const struct store_request *r = w->request;
    uint32_t outranking = dots_count(r->outranking);
    if (BARE) {
        int error = bare_put(sibling, &e->merged);
        if (!error)
            error = record_encode_blob(&e->merged, r->partition, r->key, &w->record);
        if (!error)
            w->now = presence_of(&e->merged, w->record);
        return error;
    }
    int error = dots_reserve(e, e->local.sibling_count + outranking + 1);
    if (error)
        return error;
    uint32_t replaced = 0;
    bool plain = r->plain && r->first_stamp == 0;
    error = version_put(&e->local, &e->context, plain, sibling, &e->merged, e->dots, &replaced,
                        &e->returned);
    if (!error)
        error = version_close_lives(&e->merged, &w->partition->clock);
    if (error)
        return error;
    if (e->merged.sibling_count > SIBLINGS_MAX)
        e->limit = LIMIT_SIBLINGS;
    else if (state_value_bytes(&e->merged) > STATE_VALUE_LIMITS * e->value_bytes_max)
        e->limit = LIMIT_SIBLING_BYTES;
    if (e->limit != LIMIT_OTHER)
        return GT_ELIMIT;
    /* Beside what was replaced, the siblings that stay: the message carries them too (RULES 1). But
     * for one of which only a piece arrived here: whoever has that lacks it still. */
    uint32_t listed = replaced;
    for (uint32_t i = 0; i < e->merged.sibling_count; i++)
        if (clock_covers(&w->partition->clock, e->merged.siblings[i].dot))
            e->dots[listed++] = e->merged.siblings[i].dot;
    for (uint32_t i = 0; i < outranking; i++)
        if (!dots_have(e->dots, listed, dots_at(r->outranking, i)))
            e->dots[listed++] = dots_at(r->outranking, i);
    e->dots[listed] = sibling->dot;
    w->dot_count = listed + 1;
    fresh_dots_count(e, w);
    error = noted_superseded(e, w, &e->local);
    if (!error)
        error = noted_told(e, w);
    if (error)
        return error;
    fresh_operations_count(e, w);
    error = record_encode_blob(&e->merged, r->partition, r->key, &w->record);
    if (!error)
        w->now = presence_of(&e->merged, w->record);
    return error;
}

static int put_write(struct engine *e, struct write *w, bool parked)
{
    const struct store_request *r = w->request;
    struct actor self = {e->identity.node_id, e->identity.incarnation};
    int error = context_extend(e, w);
    if (error)
        return error;
    struct sibling sibling = {.dot = {self, engine_minted(e, w->partition) + 1},
                              .stamp = stamp_to_mint(e, r),
                              .flags = (r->tombstone ? SIBLING_TOMBSTONE : 0) | w->marks,
                              .value = r->tombstone ? slice_of(NULL, 0) : r->value};
    memcpy(sibling.op, r->op, OP_ID_BYTES);
    if (MUTANT(dot_before_log) && clock_add(&w->partition->clock, sibling.dot) != 0)
        return GT_ENOMEM;
    error = put_state(e, w, &sibling);
    if (error)
        return error;
    struct store_result result = {
        .kind = STORE_PUT, .tag = r->tag, .stamp = sibling.stamp, .known_op = w->found};
    result.dots = blob_new((size_t)(BARE ? 1 : w->dot_count) * DOT_BYTES);
    result.context = context_blob(e, &e->returned, w->hash);
    result.operations = buf_blob(&e->noted);
    uint64_t lsn = 0;
    error = result.dots && result.context && result.operations ? 0 : GT_ENOMEM;
    if (!error && r->plain)
        error = outranking_tell(e, w, &e->merged, sibling.dot, &result);
    if (!error)
        error = state_write(e, w, parked, &lsn);
    if (error) {
        store_result_release(&result);
        blob_unref(w->record);
        return error;
    }
    dots_put(result.dots->data, sibling.dot);
    for (uint32_t i = 0; i + 1 < w->dot_count; i++)
        dots_put(result.dots->data + (size_t)(i + 1) * DOT_BYTES, e->dots[i]);
    result.record = blob_ref(w->record);
    e->metrics.puts_count++;
    engine_answer_at(e, &result, lsn);
    return 0;
}

/* What the client has seen. */
static int put_context(struct engine *e, const struct store_request *r, uint64_t hash,
                       const struct partition *p)
{
    history_clear(&e->context);
    int error = r->context.bytes > 0 ? context_decode(r->context, hash, &e->context) : 0;
    if (!error && history_unminted(e, p, &e->context))
        error = GT_ECONTEXT;
    return error == 0 || error == GT_ENOMEM ? error : GT_ECONTEXT;
}

static int admit_put(struct engine *e, const struct store_request *r, bool parked)
{
    int error = key_check(r);
    if (error)
        return error;
    if (!r->tombstone && r->value.bytes > e->value_bytes_max)
        return GT_ELIMIT;
    struct write w = {.request = r, .hash = hash_bytes(r->key)};
    w.partition = engine_partition_get(e, r->partition);
    if (!w.partition)
        return GT_ENOMEM;
    error = put_context(e, r, w.hash, w.partition);
    if (error)
        return error;
    buf_clear(&e->noted);
    struct view view;
    error = view_read(e, r->partition, w.hash, r->key, &e->local, &view);
    if (error)
        return error;
    w.view = &view;
    /* Looked up whether or not the sender knows that it tries again: a first attempt may arrive
     * after the second one was done through another coordinator. */
    struct known_operation known;
    bool found = !BARE && operation_known(e, r->partition, w.hash, &e->local, r->op, &known);
    bool piece = found && known.live && !r->again && piece_alone(e, r->op);
    bool once_more = found && known.live && (r->again || piece);
    w.marks = r->first_stamp ? SIBLING_RETRIED : 0;
    if (once_more)
        w.marks = r->again ? known.mark | SIBLING_AGAIN : SIBLING_RETRIED;
    if (found && !once_more) {
        error = put_known(e, &w, &known, parked);
        if (error && error != NO_ROOM) {
            answer_known(e, r, error);
            error = 0;
        }
    } else if (!found && (r->known_only || r->again)) {
        answer_known(e, r, GT_EINDOUBT);
    } else {
        struct store_request placed = *r;
        if (piece && r->plain) {
            /* Another attempt may have been done since: of what is here it has seen what is older,
             * and the piece. */
            placed.first_stamp = known.stamp + 1;
            w.request = &placed;
        }
        w.found = piece;
        error = put_write(e, &w, parked);
    }
    view_close(&view);
    return error;
}

/* ---- merge ----------------------------------------------------------------------------------- */

static int dot_order(const void *left, const void *right)
{
    return dot_compare(*(const struct dot *)left, *(const struct dot *)right);
}

/* Of a pulled state what is live in it is set in the clock: if the pull breaks, that is what was
 * brought. But for what the sender's own clock does not cover: of that it has a piece alone. What
 * is live here and was in the clock that was given up is there again. */
static int pulled_dots(struct engine *e, struct write *w)
{
    const struct clock *doubt = &w->partition->fill.doubt;
    int error = dots_reserve(e, e->incoming.sibling_count + e->merged.sibling_count);
    if (error)
        return error;
    w->dot_count = 0;
    for (uint32_t i = 0; i < e->incoming.sibling_count; i++)
        if (clock_covers(&e->incoming_clock, e->incoming.siblings[i].dot))
            e->dots[w->dot_count++] = e->incoming.siblings[i].dot;
    for (uint32_t i = 0; i < e->merged.sibling_count; i++)
        if (clock_covers(doubt, e->merged.siblings[i].dot) &&
            !dots_have(e->dots, w->dot_count, e->merged.siblings[i].dot))
            e->dots[w->dot_count++] = e->merged.siblings[i].dot;
    fresh_dots_count(e, w);
    return 0;
}

/* The dots of the message into e->dots; they must be dots of this key (RULES 1), or no news: of a
 * key that was reaped no history tells them. */
static int merge_dots(struct engine *e, struct write *w)
{
    const struct store_request *r = w->request;
    if (r->pulled)
        return pulled_dots(e, w);
    uint32_t count = dots_count(r->dots);
    if (r->dots.bytes % DOT_BYTES != 0)
        return GT_ECORRUPT;
    int error = dots_reserve(e, count);
    if (error)
        return error;
    for (uint32_t i = 0; i < count; i++) {
        e->dots[i] = dots_at(r->dots, i);
        if (e->dots[i].seq == 0 || (!history_covers(&e->merged.history, e->dots[i]) &&
                                    !clock_covers(&w->partition->clock, e->dots[i])))
            return GT_ECORRUPT;
    }
    /* A dot twice in the message is once in the log. */
    if (count > 1)
        qsort(e->dots, count, sizeof(*e->dots), dot_order);
    w->dot_count = 0;
    for (uint32_t i = 0; i < count; i++)
        if (i == 0 || dot_compare(e->dots[w->dot_count - 1], e->dots[i]) != 0)
            e->dots[w->dot_count++] = e->dots[i];
    fresh_dots_count(e, w);
    return 0;
}

static bool state_elided(const struct state *s)
{
    for (uint32_t i = 0; i < s->sibling_count; i++)
        if (s->siblings[i].flags & SIBLING_ELIDED)
            return true;
    return false;
}

/* The record of the merged state: bytes that exist are kept, with the checksum made by whoever made
 * them. */
static int merge_record(struct engine *e, struct write *w, bool as_local)
{
    const struct store_request *r = w->request;
    if (as_local) {
        w->record = blob_ref(w->view->record);
        w->now = w->view->presence;
        return 0;
    }
    int error = 0;
    if (state_absent(&e->merged)) {
        w->record = NULL;
    } else if (!state_elided(&e->incoming) && state_equal(&e->merged, &e->incoming)) {
        w->record = blob_copy(r->record.data, r->record.bytes);
        error = w->record ? 0 : GT_ENOMEM;
    } else {
        error = record_encode_blob(&e->merged, r->partition, r->key, &w->record);
    }
    if (!error)
        w->now = presence_of(&e->merged, w->record);
    return error;
}

/* What the merge supersedes, on either side, and what the message tells of operations. */
static int merge_operations(struct engine *e, struct write *w)
{
    buf_clear(&e->noted);
    int error = noted_superseded(e, w, &e->local);
    if (!error)
        error = noted_superseded(e, w, &e->incoming);
    if (!error)
        error = noted_told(e, w);
    fresh_operations_count(e, w);
    return error;
}

/*
 * A message that would finish the dot of a life that is closed here, by the clock or for this key
 * alone by its history, and the dot never came before: it cannot any more, and nobody must count us
 * for it (RULES 8b). Only a parcel counts for nothing: a life is closed when no member keeps any of
 * the partition, so what one brings that comes all the same was here before and is dead, or was
 * promised to nobody. Refused it would be kept for ever.
 */
static bool merge_closed(const struct engine *e, const struct write *w)
{
    const struct store_request *r = w->request;
    if (r->pulled || (r->kept && !MUTANT(refuse_closed_parcel)) || dots_count(r->dots) == 0)
        return false;
    struct dot d = dots_at(r->dots, 0);
    bool closed =
        clock_closes(&w->partition->clock, d.actor) || history_closes(&e->local.history, d.actor);
    return closed && state_find(&e->incoming, d) && !state_find(&e->merged, d) &&
           !history_lists(&e->local.history, d);
}

/* The stamp of the operation's sibling, live on one of the sides or told of by a row. */
static uint64_t merge_stamp(const struct engine *e, const struct write *w)
{
    const struct store_request *r = w->request;
    const struct state *sides[] = {&e->incoming, &e->local};
    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t j = 0; j < sides[i]->sibling_count; j++)
            if (memcmp(sides[i]->siblings[j].op, r->op, OP_ID_BYTES) == 0)
                return sides[i]->siblings[j].stamp;
    for (uint32_t i = 0; i < operations_count(r->operations); i++) {
        struct operation o = operations_at(r->operations, i);
        if (memcmp(o.op, r->op, OP_ID_BYTES) == 0)
            return o.stamp;
    }
    const struct operation *o = operations_find(&e->operations, r->partition, w->hash, r->op);
    return o ? o->stamp : 0;
}

/* Of a plain put: what outranks it here; superseded, whether that is settled. */
static int merge_rank(const struct engine *e, const struct write *w, struct store_result *result)
{
    const struct store_request *r = w->request;
    if (!r->plain || dots_count(r->dots) == 0)
        return 0;
    struct dot d = dots_at(r->dots, 0);
    const struct sibling *s = state_find(&e->merged, d);
    bool live = s && (operation_none(r->op) || memcmp(s->op, r->op, OP_ID_BYTES) == 0);
    result->unsettled =
        !live && !operation_none(r->op) && !state_settled(&e->merged, r->op, merge_stamp(e, w));
    return live ? outranking_tell(e, w, &e->merged, d, result) : 0;
}

/*
 * A write of a life that is closed where the message comes from, of which nobody there has heard:
 * it goes, since it was promised to nobody (RULES 8b). But what it had superseded here was
 * superseded by nothing else, and may be live there, acknowledged: what is here says nothing of
 * that. Unless something else of here stays, of which the history tells what it has seen.
 */
static bool local_is_unheard(const struct engine *e, const struct clock *sender)
{
    const struct state *in = &e->incoming;
    bool unheard = false;
    if (in->sibling_count == 0 || MUTANT(unheard_supersedes))
        return false;
    for (uint32_t i = 0; i < e->local.sibling_count; i++) {
        struct dot d = e->local.siblings[i].dot;
        if (state_find(in, d) || history_lists(&in->history, d))
            continue;
        if (!history_covers(&in->history, d) && !(sender && clock_closes(sender, d.actor)))
            return false;
        unheard = true;
    }
    return unheard;
}

/* Such writes are included all the same: the clock here has their dots. */
static int unheard_include(struct engine *e)
{
    int error = 0;
    for (uint32_t i = 0; i < e->local.sibling_count && !error; i++)
        if (!history_covers(&e->merged.history, e->local.siblings[i].dot))
            error = history_add(&e->merged.history, e->local.siblings[i].dot);
    return error;
}

static int sides_merge(struct engine *e, const struct write *w, const struct clock *sender)
{
    if (BARE)
        return bare_merge(&e->local, &e->incoming, &e->merged);
    bool unheard = local_is_unheard(e, sender);
    if (unheard) {
        history_clear(&e->local.history);
        e->local.unknown = true;
    }
    int error = version_merge(&e->local, &w->partition->clock, &e->incoming, sender, &e->merged);
    return error || !unheard ? error : unheard_include(e);
}

static int merge_write(struct engine *e, struct write *w, bool parked)
{
    const struct store_request *r = w->request;
    struct store_result result = {.kind = STORE_MERGE, .tag = r->tag, .unknown = e->local.unknown};
    const struct clock *sender = r->pulled ? &e->incoming_clock : NULL;
    int error = BARE ? 0 : twins_name(e, r, w->hash, &w->partition->clock);
    if (!error)
        error = sides_merge(e, w, sender);
    e->merged.unknown = false;
    if (!error && merge_closed(e, w))
        error = GT_EINCARNATION;
    if (!error && !BARE)
        error = merge_dots(e, w);
    if (!error && !BARE)
        error = merge_rank(e, w, &result);
    if (!error)
        error = outranking_operations(e, w, &result);
    if (error) {
        store_result_release(&result);
        return error;
    }
    /* A state without siblings says of its history that it has gone. Where the clock says so of all
     * of it, nothing is kept: the key was reaped, here before or at the sender (RULES 19). */
    if (e->merged.sibling_count == 0 && (sender || e->local.sibling_count == 0) &&
        (clock_covers_history(&w->partition->clock, &e->merged.history) ||
         (sender && clock_covers_history(sender, &e->merged.history))))
        state_clear(&e->merged);
    for (uint32_t i = 0; MUTANT(clock_from_vector) && i < e->incoming.history.vector_count; i++) {
        struct dot d = e->incoming.history.vector[i];
        clock_add_range(&w->partition->clock, d.actor, 1, d.seq);
    }
    error = BARE ? 0 : merge_operations(e, w);
    if (error) {
        store_result_release(&result);
        return error;
    }
    bool part = false;
    for (uint32_t i = 0; i < e->merged.sibling_count && !BARE; i++)
        part |= !sibling_whole(e, w, e->merged.siblings[i].dot);
    bool as_local = state_equal(&e->merged, &e->local);
    uint64_t lsn = w->view->lsn;
    /* Where nothing is held of the key there is no state for the rows to be logged with. */
    bool news = w->fresh_dots > 0 || (w->fresh_operations > 0 && w->view->record);
    if (as_local && !news) {
        result.record = blob_ref(w->view->record);
    } else {
        error = merge_record(e, w, as_local);
        if (!error) {
            error = state_write(e, w, parked, &lsn);
            if (error)
                blob_unref(w->record);
        }
        if (error) {
            store_result_release(&result);
            return error;
        }
        result.record = blob_ref(w->record);
    }
    if (part || e->pieces.count > 0)
        pieces_note(e, r->partition, w->hash, part);
    e->metrics.merges_count++;
    if (r->kind == STORE_REST)
        store_result_release(&result);
    else
        engine_answer_at(e, &result, lsn);
    return 0;
}

/* Of a key whose record here is bad nothing is known: in a partition that fills because of rot,
 * what others know of it takes its place (RULES 16). Where it fills because of its folder the clock
 * still speaks of what was in that record: then it is refused until the node has begun to fill it
 * for this reason too, and the clock has been given up. */
static int merge_view(struct engine *e, const struct store_request *r, uint64_t hash,
                      struct view *view)
{
    int error = view_read(e, r->partition, hash, r->key, &e->local, view);
    bool told = r->record.bytes > 0 || r->kind == STORE_REST;
    const struct partition *p = engine_partition_find(e, r->partition);
    bool given_up = p && p->fill.reason == FILL_ROT;
    if (error != GT_EUNKNOWN || !r->pulled || !told || !given_up)
        return error;
    e->metrics.records_mended_count++;
    state_clear(&e->local);
    e->local.unknown = true;
    *view = (struct view){.entry = overlay_find(e->active, r->partition, hash, r->key),
                          .presence = {.kind = PRESENCE_BAD}};
    return 0;
}

int admit_merge(struct engine *e, const struct store_request *r, bool parked)
{
    int error = key_check(r);
    if (error)
        return error;
    struct write w = {.request = r, .hash = hash_bytes(r->key)};
    w.partition = engine_partition_get(e, r->partition);
    if (!w.partition)
        return GT_ENOMEM;
    state_clear(&e->incoming);
    error = record_decode(r->record, r->partition, r->key, &e->incoming);
    if (!error && MUTANT(refuse_large_merge) && r->record.bytes > 600)
        error = GT_ELIMIT;
    if (!error && history_unminted(e, w.partition, &e->incoming.history)) {
        log_warn(e->log, "merge refused: names a dot never minted here partition=%u", r->partition);
        error = GT_ECORRUPT;
    }
    if (!error && r->pulled)
        error = engine_clock_read(e, w.partition, r->clock);
    if (error)
        return error;
    struct view view;
    error = merge_view(e, r, w.hash, &view);
    if (error)
        return error;
    w.view = &view;
    error = w.partition->rotten && !view.record && !e->local.unknown ? GT_EUNKNOWN
                                                                     : merge_write(e, &w, parked);
    view_close(&view);
    return error;
}

/* ---- meta ------------------------------------------------------------------------------------ */

struct meta *engine_meta_find(struct engine *e, struct slice name, bool create)
{
    for (uint32_t i = 0; i < e->meta_count; i++)
        if (slice_equal(slice_text(e->metas[i].name), name))
            return &e->metas[i];
    if (!create || e->meta_count == METAS_MAX)
        return NULL;
    struct meta *m = &e->metas[e->meta_count++];
    *m = (struct meta){0};
    memcpy(m->name, name.data, name.bytes);
    return m;
}

static bool meta_name_ok(struct slice name)
{
    return name.bytes >= 1 && name.bytes <= META_NAME_MAX && !memchr(name.data, 0, name.bytes) &&
           !slice_equal(name, slice_text("identity")) && !slice_equal(name, slice_text("applied"));
}

static int admit_meta(struct engine *e, const struct store_request *r, bool parked)
{
    if (!meta_name_ok(r->key))
        return GT_EARG;
    if (r->value.bytes > VALUE_BYTES_LIMIT)
        return GT_ELIMIT;
    size_t payload_bytes = slice_bytes(r->key.bytes) + slice_bytes(r->value.bytes) + STAMP_BYTES;
    int error = log_room(e, payload_bytes, parked);
    if (error)
        return error;
    struct blob *value = r->value.bytes ? blob_copy(r->value.data, r->value.bytes) : NULL;
    error = r->value.bytes && !value ? GT_ENOMEM : log_reserve(e, payload_bytes);
    struct meta *m = error ? NULL : engine_meta_find(e, r->key, true);
    if (!m) {
        blob_unref(value);
        return error ? error : GT_ELIMIT;
    }
    uint64_t lsn = log_append(e, LOG_META, r, payload_bytes);
    buf_bytes(&e->forming->body, r->key);
    buf_bytes(&e->forming->body, r->value);
    buf_u64(&e->forming->body, r->stamp);
    blob_unref(m->value);
    m->value = value;
    m->lsn = lsn;
    m->dirty = true;
    struct store_result result = {.kind = STORE_META, .tag = r->tag};
    engine_answer_at(e, &result, lsn);
    return 0;
}

/* ---- a cut clock ----------------------------------------------------------------------------- */

/* Everything that the clock speaks of is stored here, so it is merged whole, in one commit. */
static int admit_clock(struct engine *e, const struct store_request *r, bool parked)
{
    struct partition *p =
        r->partition < PARTITIONS_MAX ? engine_partition_get(e, r->partition) : NULL;
    if (!p)
        return r->partition < PARTITIONS_MAX ? GT_ENOMEM : GT_ELIMIT;
    int error = engine_clock_read(e, p, r->clock);
    if (error)
        return error;
    struct store_result result = {.kind = STORE_CLOCK, .tag = r->tag};
    struct write w = {.request = r, .partition = p};
    buf_clear(&e->noted);
    error = noted_told(e, &w);
    if (error)
        return error;
    fresh_operations_count(e, &w);
    if (clock_includes(&p->clock, &e->incoming_clock)) {
        engine_answer_at(e, &result, e->next_lsn - 1);
        return 0;
    }
    size_t payload_bytes = varint_bytes(r->partition) + slice_bytes(r->clock.bytes) +
                           slice_bytes((size_t)w.fresh_operations * OPERATION_BYTES) + STAMP_BYTES;
    error = log_room(e, payload_bytes, parked);
    if (!error)
        error = log_reserve(e, payload_bytes);
    if (!error)
        error = overlay_reserve(e->active, r->partition);
    if (!error)
        error = clock_merge(&p->clock, &e->incoming_clock);
    if (error)
        return error;
    uint64_t lsn = log_append(e, LOG_CLOCK, r, payload_bytes);
    buf_varint(&e->forming->body, r->partition);
    buf_bytes(&e->forming->body, r->clock);
    operations_log(e, &w);
    buf_u64(&e->forming->body, r->operations_floor);
    operations_take(e, &w);
    operations_floor_raise(&e->operations, r->operations_floor);
    overlay_touch(e->active, r->partition);
    e->metrics.clocks_merged_count++;
    engine_answer_at(e, &result, lsn);
    return 0;
}

bool engine_admit(struct engine *e, const struct store_request *r, bool parked)
{
    /* A swap of the overlays moves entries from one to the other, so it comes before they are
     * looked up. */
    if (r->kind != STORE_META &&
        (e->active->bytes >= e->overlay_half || e->parcels.dirty_bytes >= e->overlay_half))
        checkpoint_freeze(e);
    e->limit = LIMIT_OTHER;
    int error = r->kind == STORE_PUT      ? admit_put(e, r, parked)
                : r->kind == STORE_MERGE  ? admit_merge(e, r, parked)
                : r->kind == STORE_CLOCK  ? admit_clock(e, r, parked)
                : r->kind == STORE_REST   ? admit_rest(e, r, parked)
                : r->kind == STORE_FILL   ? admit_fill(e, r, parked)
                : r->kind == STORE_CURSOR ? admit_fill(e, r, parked)
                : r->kind == STORE_DROP   ? admit_drop(e, r, parked)
                : r->kind == STORE_PARCEL ? admit_parcel(e, r, parked)
                                          : admit_meta(e, r, parked);
    if (error == NO_ROOM)
        return false;
    return error ? answer(e, r, error) : true;
}
