/*
 * The pull (RULES 3): brings here what another owner has and we lack. It is hinted handoff when we
 * come back from being away, resync after a crash, and how in-doubt writes of others reach us;
 * there is no second way.
 *
 *   wanted --own clock read--> PULL sent --PULL_REPLY--> states stored, all of them; of a run of
 * all |                           |                       keys also what was not sent (STORE_REST)
 *      ^                           ^                          | more is lacking
 *      |                           '-- paced, by a fresh clock'
 *      '-- failed: silence, link lost, a state refused        | nothing more
 *                                                             v
 *                                                  the cut clock merged -> ended, told soon
 *
 * Invariant: the sender's clock is merged only when every state that it speaks of is durable here.
 * A pull that breaks leaves what it stored, which the next one does not ask for.
 *
 * Bounds: PULLS_MAX at a time, PULL_BYTES each reply, PULL_BYTES_PER_S together. Every waiting
 * state ends: storage by its answer, the rest by SILENT_US.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/mutant.h"
#include "node/node_private.h"

#define PULLS_MAX        8u /* unless the configuration says another number */
#define PULL_BYTES       (256u << 10)
#define PULL_BYTES_PER_S (64u << 20)
#define PULL_SILENT_US   3000000u
#define MERGE_US         10000000u
#define STREAM_WAIT_US   1000000u /* who would wait longer for its turn is to ask again */

void pull_want(struct node *n, uint32_t partition)
{
    struct watch *w = watch_of(n, partition);
    if (w && !w->wanted && moves_take(w)) {
        w->wanted = true;
        n->pulls_wanted++;
    }
}

void pull_announce(struct node *n, struct peer *p, bool over)
{
    bool known;
    uint64_t lag = p->fresh ? watch_lag(n, &known) : 0;
    p->fresh = p->fresh && lag == 0 && !over;
    if (lag == 0 || n->catching_up.begun)
        return;
    n->catching_up = (struct catching_up){.begun = true,
                                          .begun_us = n->now_us,
                                          .states = n->metrics.pulled_states_count,
                                          .bytes = n->metrics.pulled_bytes_count};
    events_add(n->events, EVENT_PULL_BEGUN, "%llu writes behind, seen when %s was compared with",
               (unsigned long long)lag, node_label_of(n, p->id));
}

/* Nothing is wanted any more of what a link that came up showed to be lacking. */
static void caught_up(struct node *n)
{
    struct catching_up *c = &n->catching_up;
    if (!c->begun || n->pulls > 0 || n->pulls_wanted > 0)
        return;
    c->begun = false;
    events_add(n->events, EVENT_PULL_ENDED, "%llu states, %llu bytes in %llu ms",
               (unsigned long long)(n->metrics.pulled_states_count - c->states),
               (unsigned long long)(n->metrics.pulled_bytes_count - c->bytes),
               (unsigned long long)((n->now_us - c->begun_us) / 1000));
}

/* ---- the cursor of a move -------------------------------------------------------------------- */

/*
 * How far the pull of every key of a partition that moves here came (RULES 4): a restart goes on
 * behind that. It belongs to the move, the source, what that had, and its cut, which speaks of the
 * keys behind the cursor as well as of those before: whoever has another one begins at the start.
 *
 *   u64 ballot, u64 counter of the arc's PREPARE; u64 node id of the source, u64 data (msg.h);
 *   varint length, cut clock; varint length, the last key
 */
struct cursor {
    struct epoch move;
    uint64_t source, data;
    struct slice cut, key;
};

/* False: there is none for this move. */
static bool cursor_read(const struct watch *w, struct cursor *c)
{
    struct reader r = reader_of(slice_blob(w->cursor));
    if (!w->cursor)
        return false;
    c->move.ballot = read_u64(&r);
    c->move.counter = read_u64(&r);
    c->source = read_u64(&r);
    c->data = read_u64(&r);
    c->cut = read_bytes(&r);
    c->key = read_bytes(&r);
    return !r.failed && c->key.bytes > 0 && c->key.bytes <= KEY_BYTES_MAX &&
           epoch_compare(c->move, w->write_since) == 0;
}

static void cursor_store(struct node *n, uint32_t partition, struct watch *w, struct gt_effects *fx)
{
    uint64_t id;
    struct slot *s = inner_take(n, SLOT_CURSOR, UINT64_MAX, &id);
    if (!s)
        return; /* a restart repeats a run more */
    s->partition = partition;
    struct store_request r = {.kind = STORE_CURSOR,
                              .tag = id,
                              .deadline_us = n->now_us + MERGE_US,
                              .hold = blob_ref(w->cursor),
                              .partition = partition,
                              .value = slice_blob(w->cursor),
                              .stamp = n->hlc.last};
    effects_store(fx, &r);
}

/* All states of the runs so far are durable here. */
static void cursor_keep(struct node *n, const struct slot *s, struct gt_effects *fx)
{
    struct watch *w = watch_of(n, s->partition);
    if (!w || w->part != PART_RECEIVER || !s->pull.moving || !s->pull.whole || !s->pull.last_key)
        return;
    buf_clear(&n->bytes);
    buf_u64(&n->bytes, w->write_since.ballot);
    buf_u64(&n->bytes, w->write_since.counter);
    buf_u64(&n->bytes, s->pull.source);
    buf_u64(&n->bytes, s->pull.data);
    buf_bytes(&n->bytes, slice_blob(s->pull.cut));
    buf_bytes(&n->bytes, slice_blob(s->pull.last_key));
    blob_unref(w->cursor);
    w->cursor = buf_blob(&n->bytes);
    if (w->cursor)
        cursor_store(n, s->partition, w, fx);
}

static void cursor_forget(struct node *n, uint32_t partition, struct gt_effects *fx)
{
    struct watch *w = watch_of(n, partition);
    if (!w || !w->cursor)
        return;
    blob_unref(w->cursor);
    w->cursor = NULL;
    cursor_store(n, partition, w, fx);
}

/* A pull from the source of the cursor goes on where that stands. */
static void cursor_take(struct slot *s, const struct watch *w)
{
    struct cursor c;
    bool ours = cursor_read(w, &c) && (c.source == s->pull.source || MUTANT(cursor_of_another));
    if (!ours)
        return;
    s->pull.cut = blob_copy(c.cut.data, c.cut.bytes);
    s->pull.last_key = blob_copy(c.key.data, c.key.bytes);
    gt_assert(s->pull.cut && s->pull.last_key); /* a machine cannot fail for memory */
    s->pull.data = c.data;
    s->pull.whole = true;
}

/* ---- beginning ------------------------------------------------------------------------------- */

static void want_no_more(struct node *n, struct watch *w)
{
    if (w->wanted)
        n->pulls_wanted--;
    w->wanted = false;
}

/* Who has most of what we lack, and can be asked; for closing everybody once. */
static struct watch_other *source_of(const struct node *n, struct watch *w)
{
    struct watch_other *best = NULL;
    for (uint32_t i = 0; i < w->count; i++) {
        struct watch_other *o = &w->others[i];
        bool has = o->lacking > 0 || o->differs || (w->closing && !o->swept);
        if (has && node_linked(n, o->node) && (!best || o->lacking > best->lacking))
            best = o;
    }
    return best;
}

/* For a partition that is moving here: who was pulled from before, as its cursor is of use with
 * nobody else; or whom we stand in for; or anybody who has what we lack. */
static struct watch_other *mover_source(const struct node *n, uint32_t partition, struct watch *w)
{
    struct cursor c;
    int leaving = ring_leaving(n->ring, partition);
    uint64_t leaver = leaving >= 0 ? n->ring->members[leaving].id : 0;
    uint64_t before = cursor_read(w, &c) ? c.source : 0;
    struct watch_other *best = NULL;
    uint32_t best_rank = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        struct watch_other *o = &w->others[i];
        if (!o->owner || o->fills || o->lacking == 0 || !node_linked(n, o->node))
            continue;
        uint32_t rank = o->node == before ? 3 : o->node == leaver ? 2 : 1;
        if (rank > best_rank || (rank == best_rank && o->lacking > best->lacking)) {
            best = o;
            best_rank = rank;
        }
    }
    return best;
}

static void clock_read(uint64_t id, uint32_t partition, struct gt_effects *fx)
{
    uint8_t number[2];
    le16_put(number, (uint16_t)partition);
    clocks_read(id, number, 1, fx);
}

static bool pull_begin(struct node *n, uint32_t partition, struct watch *w, struct gt_effects *fx)
{
    struct watch_other *source = fill_source(n, w);
    bool fills = source != NULL;
    uint64_t id;
    if (!moves_take(w))
        source = NULL;
    else if (!source && !w->filling)
        source = w->part == PART_RECEIVER ? mover_source(n, partition, w) : source_of(n, w);
    if (!source) { /* the next comparison wants it again */
        want_no_more(n, w);
        return true;
    }
    struct slot *s = inner_take(n, SLOT_PULL, UINT64_MAX, &id);
    if (!s)
        return false;
    n->pulls++;
    want_no_more(n, w);
    w->pulling = true;
    s->partition = partition;
    s->pull.source = source->node;
    s->pull.sweeps = w->closing ? w->closing_number : 0;
    s->pull.whole = fills || (source->differs && source->lacking == 0);
    s->pull.round = w->round;
    source->differs = false;
    s->pull.moving = w->part == PART_RECEIVER;
    if (s->pull.moving && !fills)
        cursor_take(s, w);
    s->pull.stage = PULL_READING;
    clock_read(id, partition, fx);
    return true;
}

static void wanted_begin(struct node *n, struct gt_effects *fx)
{
    uint32_t pulls_max = n->config.pulls_max ? n->config.pulls_max : PULLS_MAX;
    for (uint32_t left = n->watch_count; left > 0 && n->pulls_wanted > 0 && n->pulls < pulls_max;
         left--) {
        uint32_t at = n->pull_next++ % n->watch_count;
        struct watch *w = n->watches[at];
        if (w && w->wanted && !w->pulling && !pull_begin(n, at, w, fx))
            return;
    }
}

void pulls_begin(struct node *n, struct gt_effects *fx)
{
    wanted_begin(n, fx);
    caught_up(n);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void pull_end(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    struct watch *w = watch_of(n, s->partition);
    bool current = w && w->round == s->pull.round;
    if (w)
        w->pulling = false;
    if (current && s->pull.whole && !s->pull.failed && !s->pull.unknown && !s->pull.foreign)
        fill_pulled(n, s->partition, s->pull.source, fx);
    watch_changed(n, s->partition); /* what we have now is told, and compared anew */
    if (!s->pull.failed && !s->pull.uncut)
        watch_soon(n);
    coord_end(n, id, s);
    pulls_begin(n, fx);
}

static void pull_fail(struct node *n, uint64_t id, struct slot *s, int error, struct gt_effects *fx)
{
    uint32_t times;
    if (log_due(&n->lines.broke, n->now_us, &times))
        log_info(n->log, "pull broke partition=%u from=%s cause=%s times=%u", s->partition,
                 node_label_of(n, s->pull.source), error_text(error), times);
    n->metrics.pulls_broken_count++;
    s->pull.failed = true;
    if (s->pull.outstanding == 0)
        pull_end(n, id, s, fx); /* else with the last answer of storage */
}

void pull_link_down(struct node *n, uint64_t id, struct slot *s, uint64_t peer,
                    struct gt_effects *fx)
{
    if (s->pull.source == peer && s->pull.stage == PULL_ASKED)
        pull_fail(n, id, s, GT_EUNREACHABLE, fx);
}

void pull_timeout(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    slots_set_deadline(n->slots, id, UINT64_MAX);
    if (s->pull.stage == PULL_PAUSED) {
        s->pull.stage = PULL_READING;
        clock_read(id, s->partition, fx);
        return;
    }
    pull_fail(n, id, s, GT_ETIMEOUT, fx);
}

/* ---- the way --------------------------------------------------------------------------------- */

static void ask(struct node *n, uint64_t id, struct slot *s, struct slice clock,
                struct gt_effects *fx)
{
    if (!node_linked(n, s->pull.source)) {
        pull_fail(n, id, s, GT_EUNREACHABLE, fx);
        return;
    }
    /* A name of its own for every question: a late copy of the answer to the one before would say
     * of another run that it is all there is. */
    if (!MUTANT(take_late_run))
        id = slots_renew(n->slots, id);
    s->pull.stage = PULL_ASKED;
    slots_set_deadline(n->slots, id, n->now_us + PULL_SILENT_US);
    struct msg m = node_message(n, MSG_PULL, id);
    m.pull.head.priority = s->pull.moving ? PRIORITY_STREAM : PRIORITY_REPAIR;
    m.pull.head.deadline_ms = PULL_SILENT_US / 1000;
    m.pull.partition = s->partition;
    m.pull.clock = clock;
    m.pull.whole = s->pull.whole;
    m.pull.from_start = !s->pull.last_key;
    m.pull.from_key = slice_blob(s->pull.last_key);
    m.pull.from_hash = s->pull.last_key ? hash_bytes(m.pull.from_key) : 0;
    if (MUTANT(cursor_plus_one) && s->pull.moving && s->pull.last_key && !s->pull.body)
        m.pull.from_hash += 1ull << 50;
    m.pull.bytes_max = n->config.pull_bytes ? n->config.pull_bytes : PULL_BYTES;
    effects_send(fx, s->pull.source, &m);
}

/* The reply is stored: on with what is lacking, or the clock, or the end. */
static void reply_over(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    if (s->pull.failed) {
        pull_end(n, id, s, fx);
        return;
    }
    if (s->pull.more)
        cursor_keep(n, s, fx);
    else
        cursor_forget(n, s->partition, fx);
    uint64_t free_us = n->pull_free_us;
    if (s->pull.moving && n->pace.free_us > free_us)
        free_us = n->pace.free_us;
    if (s->pull.more && free_us > n->now_us) {
        s->pull.stage = PULL_PAUSED;
        slots_set_deadline(n->slots, id, free_us);
        return;
    }
    if (s->pull.more) {
        s->pull.stage = PULL_READING;
        clock_read(id, s->partition, fx);
        return;
    }
    /* A record here proved bad meanwhile: what was stored before may not be here any more. */
    const struct watch *w = watch_of(n, s->partition);
    if (!w || w->round != s->pull.round) {
        pull_fail(n, id, s, GT_ESTALE, fx);
        return;
    }
    /* Where the sender has a bad record its clock speaks of more than it sent. */
    if (s->pull.uncut) {
        pull_end(n, id, s, fx);
        return;
    }
    struct slice clock = slice_blob(s->pull.cut), operations = slice_blob(s->pull.operations);
    struct slice *parts[] = {&clock, &operations};
    struct blob *hold = slices_join(parts, sizeof(parts) / sizeof(parts[0]));
    if (!hold) {
        pull_fail(n, id, s, GT_ENOMEM, fx);
        return;
    }
    s->pull.stage = PULL_MERGING;
    struct store_request r = {.kind = STORE_CLOCK,
                              .tag = id,
                              .deadline_us = n->now_us + MERGE_US,
                              .hold = hold,
                              .partition = s->partition,
                              .clock = clock,
                              .operations = operations,
                              .operations_floor = s->pull.operations_floor,
                              .stamp = n->hlc.last};
    s->pull.outstanding = 1;
    effects_store(fx, &r);
}

/* A bad record was replaced by what this source knows: the others are asked once more. */
static void mended(struct node *n, const struct slot *s)
{
    struct watch *w = watch_of(n, s->partition);
    for (uint32_t i = 0; w && w->filling && i < w->count; i++)
        w->others[i].settled = false;
}

/* What the reply brought is stored. Of a run of all keys, what was not sent is settled as well. But
 * where the sender has a bad record: the key may be what is bad of it, and the right one be missed
 * by that, which is no reason to take it away here. */
static void states_stored(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    if (!s->pull.whole || s->pull.failed || s->pull.uncut || MUTANT(keep_what_was_not_sent)) {
        reply_over(n, id, s, fx);
        return;
    }
    struct slice begin = slice_blob(s->pull.begin_key), clock = s->pull.clock,
                 entries = s->pull.entries;
    struct slice *parts[] = {&begin, &clock, &entries};
    struct blob *hold = slices_join(parts, sizeof(parts) / sizeof(parts[0]));
    if (!hold) {
        pull_fail(n, id, s, GT_ENOMEM, fx);
        return;
    }
    s->pull.stage = PULL_RESTING;
    s->pull.outstanding = 1;
    struct store_request r = {.kind = STORE_REST,
                              .tag = id,
                              .deadline_us = n->now_us + MERGE_US,
                              .hold = hold,
                              .partition = s->partition,
                              .value = entries,
                              .clock = clock,
                              .from_start = !s->pull.begin_key,
                              .from_key = begin,
                              .from_hash = s->pull.begin_key ? hash_bytes(begin) : 0,
                              .more = s->pull.more,
                              .stamp = n->hlc.last};
    effects_store(fx, &r);
}

void pull_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                 struct gt_effects *fx)
{
    if (r->kind == STORE_CLOCKS) {
        struct reader entries = reader_of(slice_blob(r->entries));
        read_varint(&entries);
        struct slice clock = read_bytes(&entries);
        if (r->result || entries.failed)
            pull_fail(n, id, s, r->result ? r->result : GT_ECORRUPT, fx);
        else
            ask(n, id, s, clock, fx);
        return;
    }
    s->pull.outstanding--;
    if (r->kind == STORE_LOAD) { /* unknown there: then it must be known here */
        s->pull.unknown |= r->result || !r->record;
        if (s->pull.outstanding == 0)
            states_stored(n, id, s, fx);
        return;
    }
    if (r->kind == STORE_MERGE && r->unknown) {
        mended(n, s);
        fill_mended(n, s->partition, fx);
    }
    /* A record here that is bad stays so; the rest is brought all the same, but not the clock. */
    if (r->result && !s->pull.failed) {
        uint32_t times;
        if (log_due(&n->lines.unstored, n->now_us,
                    &times)) /* on a full disk, each pull ends here */
            log_info(n->log, "pulled state not stored partition=%u cause=%s times=%u", s->partition,
                     error_text(r->result), times);
        s->pull.failed = true;
    }
    if (s->pull.outstanding > 0)
        return;
    if (s->pull.stage == PULL_STORING) {
        states_stored(n, id, s, fx);
        return;
    }
    if (s->pull.stage != PULL_MERGING) {
        reply_over(n, id, s, fx);
        return;
    }
    if (!s->pull.failed) {
        n->metrics.pulls_count++;
        struct watch *w = watch_of(n, s->partition);
        for (uint32_t i = 0; w && i < w->count; i++)
            if (w->others[i].node == s->pull.source) {
                w->others[i].lacking = 0;
                w->others[i].current = true;
            }
        if (s->pull.sweeps && !s->pull.filling && !s->pull.foreign)
            closing_swept(n, s->partition, s->pull.source, s->pull.sweeps, fx);
    }
    pull_end(n, id, s, fx);
}

/* One state of the reply into storage. False when the entries end here. */
static bool entry_store(struct node *n, uint64_t id, struct slot *s, struct reader *entries,
                        struct blob *body, struct slice clock, struct gt_effects *fx)
{
    struct slice key = read_bytes(entries), record = read_bytes(entries);
    if (entries->failed)
        return false;
    if (s->pull.whole) {
        blob_unref(s->pull.last_key);
        s->pull.last_key = blob_copy(key.data, key.bytes);
        gt_assert(s->pull.last_key);
    }
    if (record.bytes == 0 && s->pull.whole) { /* unknown there */
        struct store_request look = {.kind = STORE_LOAD,
                                     .tag = id,
                                     .hold = blob_ref(body),
                                     .partition = s->partition,
                                     .key = key};
        s->pull.outstanding++;
        effects_store(fx, &look);
    }
    if (record.bytes == 0)
        return reader_left(entries) > 0;
    if (key.bytes < 1 || key.bytes > KEY_BYTES_MAX ||
        ring_partition(n->ring, key) != s->partition) {
        s->pull.failed = true;
        return false;
    }
    struct store_request r = {.kind = STORE_MERGE,
                              .tag = id,
                              .deadline_us = n->now_us + MERGE_US,
                              .hold = blob_ref(body),
                              .partition = s->partition,
                              .key = key,
                              .record = record,
                              .pulled = true,
                              .clock = clock,
                              .stamp = n->hlc.last};
    s->pull.outstanding++;
    n->metrics.pulled_states_count++;
    effects_store(fx, &r);
    return reader_left(entries) > 0;
}

/* The first cut speaks of every key of a run, a later one does not; of a list the last one does. */
static void cut_keep(struct slot *s, struct slice clock, bool unknown)
{
    s->pull.uncut = s->pull.uncut || unknown;
    if (s->pull.whole && s->pull.cut)
        return;
    blob_unref(s->pull.cut);
    s->pull.cut = blob_copy(clock.data, clock.bytes);
    gt_assert(s->pull.cut);
}

/* The rows go into storage with the clock: what it covers and was not sent is known by them. */
static void operations_keep(struct slot *s, struct slice rows, uint64_t floor)
{
    blob_unref(s->pull.operations);
    s->pull.operations = blob_copy(rows.data, rows.bytes);
    gt_assert(s->pull.operations);
    s->pull.operations_floor = floor;
}

/* Where the run begins, and what it holds, for when its states are stored. */
static void run_keep(struct slot *s, const struct msg *m, struct blob *body)
{
    blob_unref(s->pull.begin_key);
    s->pull.begin_key = blob_ref(s->pull.last_key);
    blob_unref(s->pull.body);
    s->pull.body = blob_ref(body);
    s->pull.entries = m->pull_reply.entries;
    s->pull.clock = m->pull_reply.clock;
}

void pull_replied(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    uint64_t id = m->id;
    struct slot *s = slots_find(n->slots, id);
    if (!s || s->kind != SLOT_PULL || s->pull.stage != PULL_ASKED || s->pull.source != ev->peer)
        return;
    slots_set_deadline(n->slots, id, UINT64_MAX);
    if (m->pull_reply.head.error || !watch_of(n, s->partition)) {
        pull_fail(n, id, s, m->pull_reply.head.error ? m->pull_reply.head.error : GT_ENOTOWNER, fx);
        return;
    }
    /* The source has lost something since, and filled: its first cut speaks of what is gone. */
    if (s->pull.data != 0 && s->pull.data != m->pull_reply.data && !MUTANT(cursor_of_another)) {
        cursor_forget(n, s->partition, fx);
        pull_fail(n, id, s, GT_ESTALE, fx);
        return;
    }
    s->pull.data = m->pull_reply.data;
    s->pull.stage = PULL_STORING;
    s->pull.whole = s->pull.whole || m->pull_reply.head.flags & REPLY_WHOLE;
    s->pull.more = m->pull_reply.head.flags & REPLY_MORE && !MUTANT(merge_clock_early);
    s->pull.filling = s->pull.filling || m->pull_reply.head.flags & REPLY_FILLING;
    s->pull.foreign =
        s->pull.foreign || epoch_compare(m->pull_reply.members_since, n->ring->members_since) != 0;
    cut_keep(s, m->pull_reply.clock, m->pull_reply.head.flags & REPLY_UNKNOWN);
    if (!s->pull.more)
        operations_keep(s, m->pull_reply.operations, m->pull_reply.operations_floor);
    if (s->pull.whole)
        run_keep(s, m, ev->message.body);
    struct reader entries = reader_of(m->pull_reply.entries);
    /* Held until all are asked for: an answer does not come inside the step. */
    bool any = reader_left(&entries) > 0;
    while (any)
        any = entry_store(n, id, s, &entries, ev->message.body, m->pull_reply.clock, fx);
    if (entries.failed)
        s->pull.failed = true;
    n->metrics.pulled_bytes_count += m->pull_reply.entries.bytes;
    if (n->pull_free_us < n->now_us)
        n->pull_free_us = n->now_us;
    n->pull_free_us += m->pull_reply.entries.bytes * 1000000 / PULL_BYTES_PER_S;
    if (s->pull.moving)
        pace_take(&n->pace, n->now_us, m->pull_reply.entries.bytes);
    if (s->pull.outstanding == 0)
        states_stored(n, id, s, fx);
}

/* ---- being asked ----------------------------------------------------------------------------- */

/* Storage is asked for what the asker lacks. */
static void lacking_read(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    const struct stream *from = &s->stream;
    struct slice clock = from->clock, from_key = from->from_key,
                 told = watch_told(n, s->partition, from->node, from->life);
    struct slice *parts[] = {&clock, &from_key, &told};
    struct blob *hold = slices_join(parts, sizeof(parts) / sizeof(parts[0]));
    if (!hold) {
        answer(n, &s->origin, GT_ENOMEM, OUTCOME_NOT_APPLIED, error_text(GT_ENOMEM), fx);
        coord_end(n, id, s);
        return;
    }
    struct store_request r = {.kind = STORE_PULL,
                              .tag = id,
                              .hold = hold,
                              .partition = s->partition,
                              .clock = clock,
                              .told = told,
                              .whole = from->whole,
                              .from_start = from->from_start,
                              .from_hash = from->from_hash,
                              .from_key = from_key,
                              .bytes_max = from->bytes_max};
    effects_store(fx, &r);
}

void replica_pull(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    uint64_t id;
    struct slot *s = replica_begin(n, ev, m->pull.partition, ACCESS_LOOK, false, &id, fx);
    if (!s)
        return;
    const struct inbound *l = node_inbound(n, ev->link);
    s->body = blob_ref(ev->message.body);
    s->stream = (struct stream){.node = l->node,
                                .life = l->incarnation,
                                .clock = m->pull.clock,
                                .from_key = m->pull.from_key,
                                .from_hash = m->pull.from_hash,
                                .from_start = m->pull.from_start,
                                .whole = m->pull.whole,
                                .bytes_max = m->pull.bytes_max,
                                .paced = m->pull.head.priority == PRIORITY_STREAM};
    if (!s->stream.paced || n->pace.free_us <= n->now_us) {
        lacking_read(n, id, s, fx);
    } else if (n->pace.free_us > n->now_us + STREAM_WAIT_US) {
        answer(n, &s->origin, GT_EBUSY, OUTCOME_NOT_APPLIED, error_text(GT_EBUSY), fx);
        coord_end(n, id, s);
    } else {
        s->kind = SLOT_STREAM;
        slots_set_deadline(n->slots, id, n->pace.free_us);
    }
}

void stream_timeout(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    slots_set_deadline(n->slots, id, UINT64_MAX);
    s->kind = SLOT_REPLICA;
    lacking_read(n, id, s, fx);
}

void pull_give(struct node *n, const struct slot *s, const struct store_result *r,
               struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_PULL_REPLY, s->origin.id);
    m.pull_reply.head.error = r->result;
    m.pull_reply.head.flags = (r->more ? REPLY_MORE : 0) | (r->whole ? REPLY_WHOLE : 0) |
                              (r->unknown || r->newer ? REPLY_UNKNOWN : 0) |
                              (fill_has_no_vote(n, s->partition) ? REPLY_FILLING : 0);
    m.pull_reply.entries = slice_blob(r->entries);
    m.pull_reply.entry_count = r->entry_count;
    m.pull_reply.clock = slice_blob(r->clock);
    m.pull_reply.lacking = r->lacking;
    m.pull_reply.operations = slice_blob(r->operations);
    m.pull_reply.operations_floor = r->operations_floor;
    m.pull_reply.data = r->data;
    m.pull_reply.members_since = n->ring ? n->ring->members_since : (struct epoch){0, 0};
    effects_reply(fx, s->origin.link, &m);
    if (s->stream.paced)
        pace_take(&n->pace, n->now_us, m.pull_reply.entries.bytes);
}
