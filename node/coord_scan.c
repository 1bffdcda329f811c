/*
 * One chunk of one partition, read at R: SCAN here and RANGE at r-1 other owners give runs of
 * (key, record), ascending by (hash, key). Runs that say MORE end somewhere; the smallest of those
 * ends is the horizon: up to it every owner has shown all that it has. Up to there the runs are
 * merged key by key; the rest is dropped, and the reply says MORE.
 *
 * An empty record says "unknown here": when fewer than r owners know a key's state, so does the
 * answer.
 *
 * Each owner tells its clock along with its run. A value that one shows, that another has not, and
 * that its clock covers all the same was deleted and reaped there after the first had been asked:
 * as nobody reaps before every owner has the tombstone (RULES 19), who is asked anew shows that, or
 * nothing. So all of them are asked anew, a few times at the most: where it stays so the other
 * owner has lost the record, and the value counts.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "node/node_private.h"

#define CHUNK_BYTES_MAX (1u << 20)
#define ROUNDS_MAX      3u /* of asking all owners */

static void ask_self(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    (void)n;
    struct store_request r = {.kind = STORE_SCAN,
                              .tag = id,
                              .hold = blob_ref(s->body),
                              .partition = s->partition,
                              .from_start = s->scan.from_start,
                              .from_hash = s->scan.from_hash,
                              .from_key = s->scan.from_key,
                              .bytes_max = s->scan.bytes_max};
    effects_store(fx, &r);
}

static void ask_peer(struct node *n, uint64_t id, struct slot *s, uint64_t peer,
                     struct gt_effects *fx)
{
    struct msg m = coord_message(n, s, MSG_RANGE, id);
    m.scan.head.deadline_ms = coord_left_ms(n, s);
    m.scan.partition = s->partition;
    m.scan.from_start = s->scan.from_start;
    m.scan.from_hash = s->scan.from_hash;
    m.scan.from_key = s->scan.from_key;
    m.scan.bytes_max = s->scan.bytes_max;
    effects_send(fx, peer, &m);
}

void scan_begin(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    struct origin o = origin_of(ev);
    if (coord_forming(n, ev, fx))
        return;
    if (m->scan.partition >= n->ring->settings.partitions) {
        answer(n, &o, GT_EARG, OUTCOME_DONE, "no such partition", fx);
        return;
    }
    uint64_t id;
    struct slot *s = coord_begin(n, ev, SLOT_SCAN, &m->scan.head, m->scan.partition, &id, fx);
    if (!s)
        return;
    n->metrics.client_scans_count++;
    s->scan.from_start = m->scan.from_start;
    s->scan.from_hash = m->scan.from_hash;
    s->scan.from_key = m->scan.from_key;
    s->scan.bytes_max = m->scan.bytes_max;
    if (s->scan.bytes_max == 0 || s->scan.bytes_max > CHUNK_BYTES_MAX)
        s->scan.bytes_max = CHUNK_BYTES_MAX;
    scan_progress(n, id, s, fx);
}

/* ---- runs ------------------------------------------------------------------------------------ */

struct cursor {
    struct reader reader;
    uint64_t hash;
    struct slice key, record;
    bool at_end;
};

static int order(uint64_t hash_a, struct slice a, uint64_t hash_b, struct slice b)
{
    if (hash_a != hash_b)
        return hash_a < hash_b ? -1 : 1;
    return slice_compare(a, b);
}

/* False when the bytes are no run. */
static bool cursor_next(struct cursor *c)
{
    if (reader_left(&c->reader) == 0) {
        c->at_end = true;
        return true;
    }
    struct slice key = read_bytes(&c->reader);
    struct slice record = read_bytes(&c->reader);
    if (c->reader.failed || key.bytes == 0 || key.bytes > KEY_BYTES_MAX)
        return false;
    uint64_t hash = hash_bytes(key);
    if (c->key.bytes > 0 && order(c->hash, c->key, hash, key) >= 0)
        return false;
    c->hash = hash;
    c->key = key;
    c->record = record;
    return true;
}

/* Well formed, ascending, of this partition, and behind the place asked for: what cannot be merged
 * is found before it counts. */
static bool run_good(const struct node *n, const struct slot *s, struct slice run, bool more)
{
    struct cursor c = {.reader = reader_of(run)};
    if (run.bytes == 0)
        return !more;
    for (;;) {
        if (!cursor_next(&c))
            return false;
        if (c.at_end)
            return true;
        if (hash_partition(c.hash, n->ring->settings.partitions) != s->partition)
            return false;
        if (!s->scan.from_start && order(c.hash, c.key, s->scan.from_hash, s->scan.from_key) <= 0)
            return false;
    }
}

/* What owner i answers; references are taken of what it holds. */
static void share_take(struct node *n, uint64_t id, struct slot *s, uint32_t i,
                       const struct share *share, int error, struct gt_effects *fx)
{
    if (s->quorum.state[i] == QUORUM_ANSWERED)
        return;
    if (error || !run_good(n, s, share->bytes, share->more)) {
        quorum_fail(&s->quorum, i);
    } else {
        s->scan.shares[i] = *share;
        blob_ref(share->hold);
        if (share->clock_hold)
            blob_ref(share->clock_hold);
        quorum_answer(&s->quorum, i);
    }
    coord_date(n, id, s);
    scan_progress(n, id, s, fx);
}

void scan_scanned(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                  struct gt_effects *fx)
{
    s->vouched |= (uint32_t)vote_alone(n, s->partition) << s->self;
    int error = r->result;
    if (fill_has_no_vote(n, s->partition)) {
        coord_no_vote(s, s->self);
        error = GT_EFILLING;
    }
    struct share share = {.hold = r->entries,
                          .bytes = slice_blob(r->entries),
                          .more = r->more,
                          .clock_hold = r->clock,
                          .clock = slice_blob(r->clock)};
    share_take(n, id, s, s->self, &share, error, fx);
}

void scan_ranged(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    struct slot *s = slots_find(n->slots, m->id);
    int owner = s && s->kind == SLOT_SCAN ? coord_owner(s, ev->peer) : -1;
    if (owner < 0)
        return;
    if (!(m->scan_reply.head.flags & REPLY_DEGRADED))
        s->vouched |= 1u << owner;
    int error = m->scan_reply.head.error;
    s->stale |= error_stale(error);
    if (m->scan_reply.head.flags & REPLY_FILLING) {
        coord_no_vote(s, (uint32_t)owner);
        error = GT_EFILLING;
    }
    struct share share = {.hold = ev->message.body,
                          .bytes = m->scan_reply.entries,
                          .more = m->scan_reply.head.flags & REPLY_MORE,
                          .clock = m->scan_reply.clock};
    share_take(n, m->id, s, (uint32_t)owner, &share, error, fx);
}

/* ---- merging --------------------------------------------------------------------------------- */

/* The last key of the run into c. */
static void run_last(struct slice run, struct cursor *c)
{
    *c = (struct cursor){.reader = reader_of(run)};
    while (!c->at_end) {
        bool good = cursor_next(c);
        gt_assert(good); /* run_good has seen it */
    }
}

struct chunk {
    struct cursor cursors[REPLICAS_MAX];
    struct clock clocks[REPLICAS_MAX]; /* empty where none is told */
    uint32_t count, need;              /* owners, and how many of them must know a key */
    bool more;
    bool reaped; /* a value was met that was reaped at another owner */
    uint64_t horizon_hash;
    struct slice horizon;
};

static void chunk_open(const struct slot *s, struct chunk *c)
{
    *c = (struct chunk){.need = s->quorum.need};
    for (uint32_t i = 0; i < s->quorum.total; i++) {
        if (s->quorum.state[i] != QUORUM_ANSWERED)
            continue;
        struct slice run = s->scan.shares[i].bytes;
        struct clock *clock = &c->clocks[c->count];
        struct cursor *cursor = &c->cursors[c->count++];
        struct reader told = reader_of(s->scan.shares[i].clock);
        clock_init(clock);
        if (clock_decode(&told, clock) != 0)
            clock_clear(clock);
        *cursor = (struct cursor){.reader = reader_of(run)};
        cursor_next(cursor);
        if (!s->scan.shares[i].more)
            continue;
        struct cursor last;
        run_last(run, &last);
        if (!c->more || order(last.hash, last.key, c->horizon_hash, c->horizon) < 0) {
            c->horizon_hash = last.hash;
            c->horizon = last.key;
        }
        c->more = true;
    }
}

static void chunk_close(struct chunk *c)
{
    for (uint32_t i = 0; i < c->count; i++)
        clock_close(&c->clocks[i]);
}

/* The smallest key that a cursor stands on, within the horizon; false when there is none. */
static bool chunk_least(const struct chunk *c, uint64_t *hash, struct slice *key)
{
    bool any = false;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct cursor *at = &c->cursors[i];
        if (at->at_end || (any && order(at->hash, at->key, *hash, *key) >= 0))
            continue;
        *hash = at->hash;
        *key = at->key;
        any = true;
    }
    return any && !(c->more && order(*hash, *key, c->horizon_hash, c->horizon) > 0);
}

/* The owners' states of one key, merged, appended to n->bytes. known: enough of them know it. */
static int key_merge(struct node *n, const struct slot *s, struct slice key,
                     const struct slice *records, uint32_t record_count, bool known)
{
    struct blob *encoded = NULL;
    struct slice out = slice_of(NULL, 0);
    bool same = true;
    for (uint32_t i = 1; i < record_count; i++)
        same &= slice_equal(records[0], records[i]);
    state_clear(&n->local);
    int error = 0;
    for (uint32_t i = 0; i < record_count && !error; i++) {
        struct state *into = i == 0 ? &n->local : &n->incoming;
        state_clear(into);
        error = record_decode(records[i], s->partition, key, into);
        if (error || i == 0)
            continue;
        if (same)
            break;
        error = incoming_merge(n);
    }
    if (error == GT_ENOMEM)
        return error;
    if (!error && known && record_count > 0) {
        out = records[0];
        if (!same) {
            error = record_encode_blob(&n->local, s->partition, key, &encoded);
            if (error)
                return error;
            out = slice_blob(encoded);
        }
    }
    buf_bytes(&n->bytes, key);
    buf_bytes(&n->bytes, out);
    blob_unref(encoded);
    return n->bytes.failed ? GT_ENOMEM : 0;
}

/* n->local is what the owners that have the key made of it: whether a value of it has gone at one
 * that has not. */
static bool key_reaped(const struct node *n, const struct chunk *c, uint64_t hash, struct slice key)
{
    for (uint32_t i = 0; i < c->count; i++) {
        const struct cursor *at = &c->cursors[i];
        if (!at->at_end && order(at->hash, at->key, hash, key) == 0)
            continue;
        for (uint32_t k = 0; k < n->local.sibling_count; k++)
            if (!(n->local.siblings[k].flags & SIBLING_TOMBSTONE) &&
                clock_covers(&c->clocks[i], n->local.siblings[k].dot))
                return true;
    }
    return false;
}

static int chunk_merge(struct node *n, const struct slot *s, struct chunk *c, uint32_t *entries)
{
    uint64_t hash = 0;
    struct slice key = {0};
    *entries = 0;
    buf_clear(&n->bytes);
    while (chunk_least(c, &hash, &key)) {
        struct slice records[REPLICAS_MAX];
        uint32_t count = 0, known = 0;
        for (uint32_t i = 0; i < c->count; i++) {
            struct cursor *at = &c->cursors[i];
            bool here = !at->at_end && order(at->hash, at->key, hash, key) == 0;
            bool good =
                here && at->record.bytes > 0 && record_verify(at->record, s->partition, key) == 0;
            known += !here || good; /* not having the key is knowing it to be absent */
            if (good)
                records[count++] = at->record;
        }
        int error = key_merge(n, s, key, records, count, known >= c->need);
        if (error)
            return error;
        c->reaped = c->reaped || (count > 0 && key_reaped(n, c, hash, key));
        (*entries)++;
        for (uint32_t i = 0; i < c->count; i++) {
            struct cursor *at = &c->cursors[i];
            if (!at->at_end && order(at->hash, at->key, hash, key) == 0)
                cursor_next(at);
        }
    }
    return 0;
}

/* All owners anew, under another id, so that no answer to the first question passes for one to the
 * second. False when it was often enough. */
static bool ask_anew(struct node *n, uint64_t *id, struct slot *s)
{
    if (s->scan.rounds + 1 >= ROUNDS_MAX || s->expired)
        return false;
    s->scan.rounds++;
    *id = slots_renew(n->slots, *id);
    shares_close(s->scan.shares);
    memset(s->scan.shares, 0, sizeof(s->scan.shares));
    for (uint32_t i = 0; i < s->quorum.total; i++)
        if (s->quorum.state[i] != QUORUM_FAILED)
            s->quorum.state[i] = QUORUM_UNTRIED;
    return true;
}

static void scan_reply(struct node *n, struct slot *s, const struct chunk *c, uint32_t entries,
                       bool degraded, struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_SCAN_REPLY, s->origin.id);
    m.scan_reply.head.flags =
        coord_reply_flags(s) | (c->more ? REPLY_MORE : 0) | (degraded ? REPLY_DEGRADED : 0);
    m.scan_reply.head.owners = (uint8_t)c->count;
    m.scan_reply.entries = buf_slice(&n->bytes);
    m.scan_reply.entry_count = entries;
    effects_reply(fx, s->origin.link, &m);
}

/* Enough have answered. False when they are to be asked anew. */
static bool scan_finish(struct node *n, uint64_t *id, struct slot *s, bool degraded,
                        struct gt_effects *fx)
{
    struct chunk c;
    uint32_t entries;
    chunk_open(s, &c);
    if (degraded)
        c.need = c.count; /* what is there must do */
    int error = chunk_merge(n, s, &c, &entries);
    bool anew = !error && c.reaped && ask_anew(n, id, s);
    if (error)
        answer(n, &s->origin, error, OUTCOME_DONE, error_text(error), fx);
    else if (!anew)
        scan_reply(n, s, &c, entries, degraded, fx);
    chunk_close(&c);
    if (!anew)
        coord_end(n, *id, s);
    return !anew;
}

void scan_progress(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    char text[MSG_TEXT_BYTES];
    for (bool over = false; !over;) {
        if (!s->expired)
            coord_read_more(n, id, s, false, ask_self, ask_peer, fx);
        switch (quorum_judge(&s->quorum, s->head.mode == MODE_AVAILABLE)) {
        case QUORUM_WAIT:
            return;
        case QUORUM_MET:
            over = scan_finish(n, &id, s, votes_missing(n, s), fx);
            break;
        case QUORUM_PART:
            over = scan_finish(n, &id, s, true, fx);
            break;
        case QUORUM_LOST:
            n->metrics.quorum_failures_count++;
            coord_quorum_text(n, s, "", text);
            answer(n, &s->origin, s->stale ? GT_ESTALE : GT_EQUORUM, OUTCOME_DONE, text, fx);
            coord_end(n, id, s);
            return;
        }
    }
}
