#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/mutant.h"
#include "engine/engine_private.h"

/* As much of a key as a log line takes. */
#define KEY_SHOWN 64

/* It is bad, or of a newer format. */
static void unread_record(struct engine *e, uint32_t partition, struct slice key, int error)
{
    int shown = key.bytes < KEY_SHOWN ? (int)key.bytes : KEY_SHOWN;
    bool newer = error == GT_EFORMAT;
    e->metrics.newer_records_count += newer;
    e->metrics.bad_records_count += !newer;
    log_error(e->log, "record unreadable partition=%u key=%.*s cause=%s", partition, shown,
              (const char *)key.data, error_text(error));
    events_add(e->events, newer ? EVENT_NEWER_RECORD : EVENT_BAD_RECORD,
               "partition %u, key %.*s: %s", partition, shown, (const char *)key.data,
               error_text(error));
}

struct presence presence_of(const struct state *state, const struct blob *record)
{
    if (!record)
        return (struct presence){0};
    const struct sibling *winner = state_winner(state);
    bool value = winner && !(winner->flags & SIBLING_TOMBSTONE);
    return (struct presence){.digest = record_digest(slice_blob(record)),
                             .bytes = record->bytes,
                             .kind = value ? PRESENCE_VALUE : PRESENCE_TOMBSTONE};
}

void view_close(struct view *view)
{
    blob_unref(view->record);
    view->record = NULL;
}

static int index_read(struct engine *e, unsigned lane, uint32_t partition, uint64_t hash,
                      struct slice key, struct blob **record)
{
    uint8_t at[INDEX_KEY_BYTES_MAX];
    if (lane == READ_LANE_LOOP && e->ahead && e->ahead->partition == partition &&
        slice_equal(e->ahead->key, key)) {
        *record = blob_ref(e->ahead->record);
        return 0;
    }
    return e->index->get(e->index, lane, INDEX_DATA, index_data_key(at, partition, hash, key),
                         record);
}

int view_read(struct engine *e, uint32_t partition, uint64_t hash, struct slice key,
              struct state *state, struct view *view)
{
    *view = (struct view){.entry = overlay_find(e->active, partition, hash, key)};
    const struct overlay_entry *entry = view->entry;
    if (!entry && e->checkpoint.overlay)
        entry = overlay_find(e->checkpoint.overlay, partition, hash, key);
    if (state)
        state_clear(state);
    int error = 0;
    if (entry) {
        view->record = blob_ref(entry->record);
        view->presence = entry->now;
        view->lsn = entry->lsn;
        if (!view->record)
            return 0; /* reaped */
    } else {
        error = index_read(e, READ_LANE_LOOP, partition, hash, key, &view->record);
        if (error == GT_ENOTFOUND)
            return 0;
        if (error == GT_EFORMAT) /* of the index, which was opened: that has rotted since */
            error = GT_ECORRUPT;
    }
    if (!error)
        error = state ? record_decode(slice_blob(view->record), partition, key, state)
                      : record_known(slice_blob(view->record), partition, key);
    if (!error) {
        if (state && !entry)
            view->presence = presence_of(state, view->record);
        return 0;
    }
    view_close(view);
    if (error == GT_ENOMEM || MUTANT(bad_is_absent))
        return error == GT_ENOMEM ? error : 0;
    unread_record(e, partition, key, error);
    return error == GT_EFORMAT && !MUTANT(newer_is_rot) ? GT_EFORMAT : GT_EUNKNOWN;
}

void engine_answer_at(struct engine *e, struct store_result *result, uint64_t lsn)
{
    bool early = (MUTANT(ack_before_sync) && result->kind == STORE_MERGE) ||
                 (MUTANT(send_before_durable) && result->kind == STORE_PUT) ||
                 (MUTANT(reply_not_durable) && result->kind == STORE_LOAD);
    if (lsn <= e->durable_lsn || early) {
        result_push(&e->results, result);
        return;
    }
    bool in_flight = e->busy[ENGINE_LOG] && lsn <= e->flying->last_lsn;
    struct batch *b = in_flight ? e->flying : e->forming;
    gt_assert(lsn <= b->last_lsn);
    if (b->waiters.count >= BATCH_WAITERS_MAX) {
        store_result_release(result);
        *result =
            (struct store_result){.kind = result->kind, .tag = result->tag, .result = GT_EBUSY};
        e->metrics.refused_count++;
        result_push(&e->results, result);
        return;
    }
    result_push(&b->waiters, result);
}

/*
 * What of the context is still to be found in a state. A dot in our clock is included by what we
 * hold, or went when its key was reaped, and its history with it: nobody can show it any more.
 */
static int load_context(struct engine *e, const struct store_request *r, struct blob **left)
{
    struct slice bytes = r->context;
    const struct partition *p = engine_partition_find(e, r->partition);
    const struct clock *clock = p ? &p->clock : &e->empty_clock;
    uint64_t hash = hash_bytes(r->key);
    if (bytes.bytes == 0)
        return 0;
    int error = context_decode(bytes, hash, &e->context);
    if (error)
        return error;
    history_clear(&e->returned);
    for (uint32_t i = 0; !error && i < e->context.vector_count; i++)
        if (!clock_base_covers(clock, e->context.vector[i]))
            error =
                history_raise(&e->returned, e->context.vector[i].actor, e->context.vector[i].seq);
    for (uint32_t i = 0; !error && i < e->context.exact_count; i++)
        if (!clock_covers(clock, e->context.exact[i]))
            error = history_add(&e->returned, e->context.exact[i]);
    if (error || history_empty(&e->returned))
        return error;
    buf_clear(&e->scratch);
    error = context_encode(&e->returned, hash, &e->scratch);
    *left = error ? NULL : buf_blob(&e->scratch);
    return error ? error : *left ? 0 : GT_ENOMEM;
}

void engine_load(struct engine *e, const struct store_request *r)
{
    struct store_result result = {.kind = STORE_LOAD, .tag = r->tag};
    struct view view = {0};
    e->metrics.loads_count++;
    if (r->key.bytes == 0 || r->key.bytes > KEY_BYTES_MAX || r->partition >= PARTITIONS_MAX)
        result.result = GT_ELIMIT;
    else
        result.result = view_read(e, r->partition, hash_bytes(r->key), r->key, NULL, &view);
    if (!result.result)
        result.result = load_context(e, r, &result.context);
    result.record = view.record;
    bool hide = false;
    struct blob *shown = NULL;
    if (!result.result)
        result.result =
            pieces_hide(e, r->partition, r->key, slice_blob(view.record), &hide, &shown);
    if (hide) {
        blob_unref(view.record);
        result.record = shown;
    }
    engine_answer_at(e, &result, view.lsn);
}

void engine_warm(struct engine *e, uint32_t partition, struct slice key)
{
    struct blob *record = NULL;
    if (key.bytes == 0 || key.bytes > KEY_BYTES_MAX || partition >= PARTITIONS_MAX)
        return;
    if (index_read(e, READ_LANE_READER, partition, hash_bytes(key), key, &record) == 0)
        blob_unref(record);
}

/* ---- several requests at once ---------------------------------------------------------------- */

static bool reads_its_key(const struct store_request *r)
{
    return (r->kind == STORE_LOAD || r->kind == STORE_PUT || r->kind == STORE_MERGE ||
            r->kind == STORE_OPERATION) &&
           r->key.bytes > 0 && r->key.bytes <= KEY_BYTES_MAX && r->partition < PARTITIONS_MAX;
}

/* What the index has of the requests' keys, NULL where it is asked again. */
static void records_ahead(struct engine *e, const struct store_request *requests, uint32_t count,
                          struct blob **records)
{
    uint8_t bytes[ENGINE_SOME_MAX][INDEX_KEY_BYTES_MAX];
    struct slice keys[ENGINE_SOME_MAX];
    struct blob *values[ENGINE_SOME_MAX];
    uint32_t asked[ENGINE_SOME_MAX], n = 0;
    memset(records, 0, count * sizeof(*records));
    for (uint32_t i = 0; i < count; i++)
        if (reads_its_key(&requests[i])) {
            const struct store_request *r = &requests[i];
            keys[n] = index_data_key(bytes[n], r->partition, hash_bytes(r->key), r->key);
            asked[n++] = i;
        }
    if (n < 2 || !e->index->get_some)
        return;
    e->index->get_some(e->index, READ_LANE_LOOP, INDEX_DATA, keys, n, values);
    for (uint32_t i = 0; i < n; i++)
        records[asked[i]] = values[i];
}

void engine_submit_some(struct engine *e, const struct store_request *requests, uint32_t count,
                        uint64_t now_us)
{
    struct blob *records[ENGINE_SOME_MAX];
    gt_assert(count <= ENGINE_SOME_MAX);
    records_ahead(e, requests, count, records);
    for (uint32_t i = 0; i < count; i++) {
        struct ahead ahead = {requests[i].partition, requests[i].key, records[i]};
        e->ahead = records[i] ? &ahead : NULL;
        engine_submit(e, &requests[i], now_us);
        e->ahead = NULL;
        blob_unref(records[i]);
    }
}

/* ---- one operation --------------------------------------------------------------------------- */

/* Of twins the one that a retry minted: the other was not acknowledged. */
static const struct sibling *sibling_of(const struct state *s, const uint8_t op[OP_ID_BYTES])
{
    const struct sibling *found = NULL;
    for (uint32_t i = 0; i < s->sibling_count; i++)
        if (memcmp(s->siblings[i].op, op, OP_ID_BYTES) == 0 &&
            (!found || !(found->flags & SIBLING_RETRIED)))
            found = &s->siblings[i];
    return found;
}

bool operation_known(const struct engine *e, uint32_t partition, uint64_t hash,
                     const struct state *state, const uint8_t op[OP_ID_BYTES],
                     struct known_operation *out)
{
    if (operation_none(op) || MUTANT(forget_operation))
        return false;
    const struct sibling *live = sibling_of(state, op);
    *out = (struct known_operation){0};
    if (live) {
        out->dot = live->dot;
        out->stamp = live->stamp;
        out->live = true;
        out->mark = live->flags & SIBLING_RETRIED;
        return true;
    }
    if (MUTANT(forget_superseded))
        return false;
    const struct operation *o = operations_find(&e->operations, partition, hash, op);
    if (!o)
        return history_names(&state->history, op);
    /* A row may come before the state that it is of. What the clock has and no state includes was
     * reaped with its key. */
    struct engine_partition p;
    engine_partition(e, partition, &p);
    if (!history_covers(&state->history, o->dot) && !clock_covers(p.clock, o->dot))
        return false;
    *out = (struct known_operation){.dot = o->dot, .stamp = o->stamp, .superseded = o};
    return true;
}

struct blob *known_dots(const struct partition *p, const struct state *s, struct dot known)
{
    struct blob *b = blob_new(((size_t)s->sibling_count + 1) * DOT_BYTES);
    uint32_t at = 0;
    if (!b)
        return NULL;
    if (known.seq > 0 && history_covers(&s->history, known))
        dots_put(b->data + (size_t)at++ * DOT_BYTES, known);
    for (uint32_t i = 0; i < s->sibling_count; i++)
        if (dot_compare(s->siblings[i].dot, known) != 0 && pieces_whole(p, s->siblings[i].dot))
            dots_put(b->data + (size_t)at++ * DOT_BYTES, s->siblings[i].dot);
    b->bytes = at * DOT_BYTES;
    return b;
}

/* The answer about an operation that is known: dots, and its row. */
static int operation_answer(const struct engine *e, uint32_t partition,
                            const struct known_operation *known, struct store_result *result)
{
    result->known_op = true;
    result->stamp = known->stamp;
    result->dots = known_dots(e->partitions[partition], &e->local, known->dot);
    if (!result->dots)
        return GT_ENOMEM;
    if (!known->superseded)
        return 0;
    result->operations = blob_new(OPERATION_BYTES);
    if (!result->operations)
        return GT_ENOMEM;
    operation_put(result->operations->data, known->superseded);
    return 0;
}

/* A piece of it is all that is here: who has it whole finishes it. What is minted in its place
 * would supersede a dot that somebody may have been shown there (seed 3265). */
static bool is_piece(const struct engine *e, uint32_t partition, const struct known_operation *o)
{
    const struct partition *p = engine_partition_find(e, partition);
    return o->live && p && !pieces_whole(p, o->dot);
}

void engine_operation(struct engine *e, const struct store_request *r)
{
    struct store_result result = {.kind = STORE_OPERATION, .tag = r->tag};
    struct view view = {0};
    struct known_operation known;
    uint64_t now = r->stamp > e->stamp_max ? r->stamp : e->stamp_max;
    e->metrics.loads_count++;
    if (r->key.bytes == 0 || r->key.bytes > KEY_BYTES_MAX || r->partition >= PARTITIONS_MAX) {
        result.result = GT_ELIMIT;
        engine_answer_at(e, &result, 0);
        return;
    }
    uint64_t hash = hash_bytes(r->key);
    result.length_ms = operations_length_ms(&e->operations, now);
    result.result = view_read(e, r->partition, hash, r->key, &e->local, &view);
    bool found = !result.result && operation_known(e, r->partition, hash, &e->local, r->op, &known);
    bool piece = found && is_piece(e, r->partition, &known);
    if (found && !piece) {
        result.result = operation_answer(e, r->partition, &known, &result);
    } else if (!result.result) {
        struct engine_partition p;
        engine_partition(e, r->partition, &p);
        result.untold = piece || !clock_covers_history(p.clock, &e->local.history);
    }
    result.record = view.record;
    engine_answer_at(e, &result, view.lsn);
}

/* ---- scan: overlay, frozen overlay and index as one ascending run ---------------------------- */

struct scan {
    struct engine *e;
    uint32_t partition, bytes_max;
    const struct overlay_cursor *after; /* NULL: from the start */
    struct overlay_list *list;          /* both overlays, newest of a key first */
    uint32_t at;                        /* the next of list */
    uint64_t lsn;                       /* the newest shown */
    uint32_t count;
    bool more;
    bool unknown; /* a bad record was met */
    bool newer;   /* one of a newer format was */
    bool digests; /* in place of records */
    bool lent;    /* what is here in part is left out */
    bool scrub;   /* and here it is noted */
    uint64_t bytes_read;
    struct stray_walk walk;
};

#define SCAN_END 1 /* ends the walk over the index */

static int scan_write(struct scan *s, struct slice key, struct slice record)
{
    struct buf *out = &s->e->scan;
    s->count++;
    buf_bytes(out, key);
    if (s->digests)
        buf_u64(out, record.bytes ? record_digest(record) : 0);
    else
        buf_bytes(out, record);
    return out->failed ? GT_ENOMEM : 0;
}

/* A good record. */
static int scan_record(struct scan *s, struct slice key, struct slice record)
{
    bool hide = false;
    struct blob *shown = NULL;
    int error = 0;
    if (s->lent)
        error = pieces_hide(s->e, s->partition, key, record, &hide, &shown);
    else if (s->scrub)
        error = pieces_met(s->e, s->partition, key, record);
    if (!error && !(hide && !shown))
        error = scan_write(s, key, hide ? slice_blob(shown) : record);
    blob_unref(shown);
    return error;
}

/* 0, or SCAN_END when the result is full. */
static int scan_emit(struct scan *s, struct slice key, struct slice record)
{
    size_t bytes = key.bytes + record.bytes + 2 + 5;
    if (s->count > 0 && s->bytes_read + bytes > s->bytes_max) {
        s->more = true;
        return SCAN_END;
    }
    s->bytes_read += bytes;
    int error = record_known(record, s->partition, key);
    if (!error)
        return scan_record(s, key, record);
    unread_record(s->e, s->partition, key, error);
    if (error == GT_EFORMAT && !MUTANT(newer_is_rot)) {
        s->newer = true; /* whole, so that it has a digest and is counted */
        return scan_write(s, key, s->digests ? record : slice_of(NULL, 0));
    }
    s->unknown = true;
    return scan_write(s, key, slice_of(NULL, 0));
}

static int scan_emit_overlay(struct scan *s)
{
    struct overlay_entry *entry = s->list->items[s->at];
    int end =
        entry->record ? scan_emit(s, overlay_key(entry), slice_blob(entry->record)) : 0; /* gone */
    if (end)
        return end;
    if (entry->lsn > s->lsn)
        s->lsn = entry->lsn;
    /* An older entry of the same key, from the frozen overlay, is hidden. */
    s->at++;
    if (s->at < s->list->count && s->list->items[s->at]->hash == entry->hash &&
        slice_equal(overlay_key(s->list->items[s->at]), overlay_key(entry)))
        s->at++;
    return 0;
}

static int scan_each(void *arg, struct slice index_key, struct slice record)
{
    struct scan *s = arg;
    uint32_t partition;
    uint64_t hash;
    struct slice key;
    enum stray stray = stray_judge(&s->walk, index_key, record);
    if (stray == STRAY_END || index_data_key_split(index_key, &partition, &hash, &key) != 0)
        return SCAN_END;
    if (stray == STRAY_OTHER)
        return 0;
    if (stray == STRAY) {
        s->unknown = true;
        stray_met(s->e, s->partition);
        return 0;
    }
    if (s->after && overlay_key_compare(hash, key, s->after->hash, s->after->key) <= 0)
        return 0;
    while (s->at < s->list->count) {
        struct overlay_entry *entry = s->list->items[s->at];
        int order = overlay_key_compare(entry->hash, overlay_key(entry), hash, key);
        if (order > 0)
            break;
        int end = scan_emit_overlay(s);
        if (end || order == 0)
            return end;
    }
    return scan_emit(s, key, record);
}

/* A page of the partition's keys is damaged: every walk meets it and is told so by the index, and
 * the log; the event is added once, or it would push out all others. */
static void hole_tell(struct engine *e, uint32_t partition)
{
    struct partition *p = engine_partition_find(e, partition);
    struct slice from, to;
    char first[24] = "the first", last[24] = "the last";
    if (!p || p->torn || !e->index->hole(e->index, READ_LANE_LOOP, &from, &to))
        return;
    p->torn = true;
    if (from.bytes >= 10 && be16_get(from.data) == partition)
        snprintf(first, sizeof(first), "%016llx", (unsigned long long)be64_get(from.data + 2));
    if (to.bytes >= 10 && be16_get(to.data) == partition)
        snprintf(last, sizeof(last), "%016llx", (unsigned long long)be64_get(to.data + 2));
    events_add(e->events, EVENT_BAD_RECORD,
               "partition %u, a page of the index: keys of hash %s to %s are unknown", partition,
               first, last);
}

static int scan_run(struct scan *s)
{
    struct engine *e = s->e;
    s->list->count = 0;
    int error = overlay_collect(e->active, s->partition, s->after, s->list);
    if (!error && e->checkpoint.overlay)
        error = overlay_collect(e->checkpoint.overlay, s->partition, s->after, s->list);
    if (error)
        return error;
    overlay_list_sort(s->list);
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct slice from = s->after ? index_data_key(at, s->partition, s->after->hash, s->after->key)
                                 : index_partition_key(at, s->partition);
    error = e->index->scan(e->index, READ_LANE_LOOP, INDEX_DATA, from, scan_each, s);
    if (error == GT_ECORRUPT)
        hole_tell(e, s->partition);
    if (error < 0)
        return error;
    while (!s->more && s->at < s->list->count) {
        error = scan_emit_overlay(s);
        if (error < 0)
            return error;
    }
    return 0;
}

int engine_scan_run(struct engine *e, const struct store_request *r, struct store_result *result,
                    uint64_t *lsn, bool *unknown)
{
    struct overlay_cursor after = {r->from_hash, r->from_key};
    struct scan s = {.e = e,
                     .partition = r->partition,
                     .bytes_max = r->bytes_max < SCAN_BYTES_MAX ? r->bytes_max : SCAN_BYTES_MAX,
                     .after = r->from_start ? NULL : &after,
                     .list = &e->scan_list,
                     .digests = r->kind == STORE_VERIFY || r->kind == STORE_SCRUB,
                     .lent = r->kind == STORE_SCAN,
                     .scrub = r->kind == STORE_SCRUB,
                     .walk = {.partition = r->partition}};
    int error = scan_run(&s);
    result->entry_count = s.count;
    result->more = s.more;
    result->bytes_read = s.bytes_read;
    result->newer = s.newer;
    *lsn = s.lsn;
    *unknown = s.unknown;
    return error;
}

/* That of the partition, of this moment; none while it fills: what it covers may not be here. */
static int scan_clock(struct engine *e, uint32_t partition, struct blob **out)
{
    struct engine_partition p;
    if (engine_filling(e, partition))
        return 0;
    engine_partition(e, partition, &p);
    buf_clear(&e->scratch);
    clock_encode(p.clock, &e->scratch);
    *out = e->scratch.failed ? NULL : buf_blob(&e->scratch);
    return *out ? 0 : GT_ENOMEM;
}

void engine_scan(struct engine *e, const struct store_request *r)
{
    struct store_result result = {.kind = STORE_SCAN, .tag = r->tag};
    uint64_t lsn = 0;
    e->metrics.scans_count++;
    buf_clear(&e->scan);
    if (r->partition >= PARTITIONS_MAX || r->from_key.bytes > KEY_BYTES_MAX)
        result.result = GT_ELIMIT;
    else
        result.result = engine_scan_run(e, r, &result, &lsn, &result.unknown);
    if (result.result == 0) {
        result.entries = buf_blob(&e->scan);
        result.result = result.entries ? scan_clock(e, r->partition, &result.clock) : GT_ENOMEM;
    }
    if (e->scan.capacity > BODY_KEEP_BYTES)
        buf_close(&e->scan);
    /* The clock is at least as new as what is shown, and nobody sees what is not durable. */
    engine_answer_at(e, &result, result.result ? 0 : e->next_lsn - 1);
}
