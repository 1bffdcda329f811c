/*
 * One get at its coordinator, an owner of the key:
 *
 *   LOAD here, FETCH from the first r-1 linked owners in list order
 *     | failure, silence of 500 ms, lost link, bad record: the next owner is asked
 *     | r answered: one merge of all; min_context included -------> answer; or first repair
 *     |                               not included: all others are asked, then refused
 *     | r out of reach, or the deadline: GT_EQUORUM, or with MODE_AVAILABLE what is there, degraded
 *
 * A bad record is "unknown": it does not count, and is never "not found".
 *
 * Of a large record the others lend the digest alone. Where it is that of our own record they have
 * lent that; otherwise they are asked once more, for the whole.
 *
 * When one owner has nothing and another has, those that have are asked once more (ask_twice).
 *
 * When the answers differ, the owners that lack part of the merged state are sent it
 * (coord_repair.c). A session or blocking get is answered when it is at w owners, so that whoever
 * reads later finds it; any other at once, UNSETTLED (RULES 18).
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "node/node_private.h"

static void ask_self(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    (void)n;
    struct store_request r = {.kind = STORE_LOAD,
                              .tag = id,
                              .hold = blob_ref(s->body),
                              .partition = s->partition,
                              .key = s->key,
                              .context = s->min_context};
    effects_store(fx, &r);
}

static void fetch_send(struct node *n, uint64_t id, const struct slot *s, uint64_t peer,
                       uint32_t digest_above, struct gt_effects *fx)
{
    struct msg m = coord_message(n, s, MSG_FETCH, id);
    m.fetch.head.deadline_ms = coord_left_ms(n, s);
    m.fetch.partition = s->partition;
    m.fetch.key = s->key;
    m.fetch.digest_above = digest_above;
    effects_send(fx, peer, &m);
}

static void ask_peer(struct node *n, uint64_t id, struct slot *s, uint64_t peer,
                     struct gt_effects *fx)
{
    /* With no record of our own to compare with, the whole is wanted at once. */
    bool whole = s->quorum.state[s->self] == QUORUM_FAILED;
    uint32_t above = n->config.digest_above ? n->config.digest_above : DIGEST_ABOVE_BYTES;
    fetch_send(n, id, s, peer, whole ? 0 : above, fx);
}

void get_begin(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    if (coord_key_bad(n, ev, m->get.key, fx) || coord_forming(n, ev, fx))
        return;
    struct origin o = origin_of(ev);
    if (m->get.min_context.bytes > 0) {
        history_clear(&n->wanted);
        if (context_decode(m->get.min_context, hash_bytes(m->get.key), &n->wanted) != 0) {
            answer(n, &o, GT_ECONTEXT, OUTCOME_DONE,
                   "the least context is damaged or of another key", fx);
            return;
        }
    }
    uint64_t id;
    struct slot *s =
        coord_begin(n, ev, SLOT_GET, &m->get.head, ring_partition(n->ring, m->get.key), &id, fx);
    if (!s)
        return;
    n->metrics.client_gets_count++;
    s->key = m->get.key;
    s->min_context = s->get.wanted = m->get.min_context;
    get_progress(n, id, s, fx);
}

/* ---- answers of owners ----------------------------------------------------------------------- */

/* bad: what was lent is no state. */
static void share_take(struct node *n, uint64_t id, struct slot *s, uint32_t i, struct blob *hold,
                       struct slice record, bool bad, struct gt_effects *fx)
{
    if (s->quorum.state[i] == QUORUM_ANSWERED)
        return;
    if (!bad && record.bytes > 0)
        bad = record_verify(record, s->partition, s->key) != 0;
    if (bad) {
        quorum_fail(&s->quorum, i);
    } else {
        blob_unref(s->get.shares[i].hold); /* of a share that was spoiled */
        s->get.shares[i].hold = blob_ref(hold);
        s->get.shares[i].bytes = record;
        quorum_answer(&s->quorum, i);
    }
    coord_date(n, id, s);
    get_progress(n, id, s, fx);
}

/* The owner lent a digest, and our own record is loaded, or will not be: it is the same, or the
 * whole is asked for. */
static void digest_judge(struct node *n, uint64_t id, struct slot *s, uint32_t i,
                         struct gt_effects *fx)
{
    const struct share *own = &s->get.shares[s->self];
    struct share *share = &s->get.shares[i];
    bool loaded = s->quorum.state[s->self] == QUORUM_ANSWERED;
    bool same = loaded && own->bytes.bytes == share->digest_bytes &&
                record_digest(own->bytes) == share->digest;
    share->digest_bytes = 0;
    if (same || (loaded && MUTANT(digest_unread))) {
        n->metrics.digests_equal_count++;
        blob_unref(share->hold);
        share->hold = blob_ref(own->hold);
        share->bytes = own->bytes;
        quorum_answer(&s->quorum, i);
    } else if (s->quorum.state[i] == QUORUM_ASKED) {
        n->metrics.digests_apart_count++;
        fetch_send(n, id, s, s->owners[i], 0, fx);
        coord_asked(n, id, s, i);
    }
}

/*
 * What our own state is merged into need not name what our clock covers: that is in it, or was
 * superseded by what is in it, or went with a key that was reaped, and before that every owner had
 * it in its clock.
 */
static void min_context_take(struct slot *s, const struct store_result *r)
{
    blob_unref(s->get.min_left);
    s->get.min_left = blob_ref(r->context);
    s->get.wanted = slice_blob(s->get.min_left);
}

void get_loaded(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                struct gt_effects *fx)
{
    struct slice record = slice_blob(r->record);
    bool bad =
        r->result != 0 || (record.bytes > 0 && record_verify(record, s->partition, s->key) != 0);
    if (fill_has_no_vote(n, s->partition)) {
        coord_no_vote(s, s->self);
    } else if (bad) {
        quorum_fail(&s->quorum, s->self);
    } else if (s->quorum.state[s->self] != QUORUM_ANSWERED) {
        s->get.shares[s->self].hold = blob_ref(r->record);
        s->get.shares[s->self].bytes = record;
        s->vouched |= (uint32_t)vote_alone(n, s->partition) << s->self;
        quorum_answer(&s->quorum, s->self);
        min_context_take(s, r);
    }
    for (uint32_t i = 0; i < s->quorum.total; i++)
        if (s->get.shares[i].digest_bytes > 0)
            digest_judge(n, id, s, i, fx);
    coord_date(n, id, s);
    get_progress(n, id, s, fx);
}

static void digest_take(struct node *n, uint64_t id, struct slot *s, uint32_t i,
                        const struct msg *m, struct gt_effects *fx)
{
    struct share *share = &s->get.shares[i];
    if (s->quorum.state[i] == QUORUM_ANSWERED || m->fetch_reply.record_bytes == 0)
        return;
    share->digest = m->fetch_reply.digest;
    share->digest_bytes = m->fetch_reply.record_bytes;
    if (s->quorum.state[s->self] == QUORUM_ASKED)
        return; /* our own record is being loaded */
    digest_judge(n, id, s, i, fx);
    coord_date(n, id, s);
    get_progress(n, id, s, fx);
}

void get_fetched(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    struct slot *s = slots_find(n->slots, m->id);
    int owner = s && s->kind == SLOT_GET ? coord_owner(s, ev->peer) : -1;
    if (owner < 0)
        return;
    if (!(m->fetch_reply.head.flags & REPLY_DEGRADED))
        s->vouched |= 1u << owner;
    if (m->fetch_reply.head.flags & REPLY_DIGEST && !m->fetch_reply.head.error) {
        digest_take(n, m->id, s, (uint32_t)owner, m, fx);
        return;
    }
    s->stale |= error_stale(m->fetch_reply.head.error);
    bool absent = m->fetch_reply.head.flags & REPLY_ABSENT;
    if (m->fetch_reply.head.flags & REPLY_FILLING)
        coord_no_vote(s, (uint32_t)owner);
    bool bad = m->fetch_reply.head.flags & REPLY_FILLING || m->fetch_reply.head.error ||
               m->fetch_reply.head.flags & REPLY_UNKNOWN ||
               absent != (m->fetch_reply.record.bytes == 0);
    share_take(n, m->id, s, (uint32_t)owner, ev->message.body, m->fetch_reply.record, bad, fx);
}

/* ---- merging and answering ------------------------------------------------------------------- */

int incoming_merge(struct node *n)
{
    int error = version_merge(&n->local, NULL, &n->incoming, NULL, &n->merged);
    struct state swap = n->local;
    n->local = n->merged;
    n->merged = swap;
    return error;
}

/*
 * The session has been told by another owner that an operation was superseded, of which a further
 * attempt is live here still: its context names that, and takes it from here too. What a put leaves
 * dead takes a dot along that the session demands; a name does not (seed 8315). (A context names
 * what it was shown live as well, so that a put over that names it: nothing later superseded it.)
 */
static int names_take(struct node *n, const struct slot *s)
{
    history_clear(&n->wanted);
    if (s->min_context.bytes == 0 || MUTANT(answer_older))
        return 0;
    int error = context_decode(s->min_context, hash_bytes(s->key), &n->wanted);
    state_clear(&n->incoming);
    for (uint32_t i = 0; i < n->local.sibling_count && !error; i++) {
        const struct sibling *sibling = &n->local.siblings[i];
        for (uint32_t k = 0; k < n->wanted.operation_count && !error; k++) {
            const struct history_operation *o = &n->wanted.operations[k];
            if (memcmp(o->op, sibling->op, OP_ID_BYTES) == 0 && o->superseded > o->stamp &&
                history_takes(&n->wanted, sibling))
                error = history_name(&n->incoming.history, o->op, o->stamp, o->superseded);
        }
    }
    if (error || n->incoming.history.operation_count == 0)
        return error;
    return incoming_merge(n);
}

/* All shares into n->local. 0; 1 when one of them proved bad and no longer counts; GT_ENOMEM. */
static int get_merge(struct node *n, struct slot *s)
{
    const struct share *last = NULL;
    state_clear(&n->local);
    for (uint32_t i = 0; i < s->quorum.total; i++) {
        const struct share *share = &s->get.shares[i];
        if (s->quorum.state[i] != QUORUM_ANSWERED || share->bytes.bytes == 0 ||
            (last && slice_equal(share->bytes, last->bytes)))
            continue;
        struct state *into = last ? &n->incoming : &n->local;
        state_clear(into);
        int error = record_decode(share->bytes, s->partition, s->key, into);
        if (!error && last)
            error = incoming_merge(n);
        if (error == GT_ENOMEM)
            return error;
        if (error) {
            quorum_spoil(&s->quorum, i);
            return 1;
        }
        last = share;
    }
    return names_take(n, s);
}

/* Whether the merged state is as new as the client demands. */
static bool get_new_enough(struct node *n, const struct slot *s)
{
    if (s->get.wanted.bytes == 0 || MUTANT(answer_older))
        return true;
    history_clear(&n->wanted);
    return context_decode(s->get.wanted, hash_bytes(s->key), &n->wanted) == 0 &&
           history_includes(&n->local.history, &n->wanted);
}

static struct msg_sibling sibling_shown(const struct sibling *from)
{
    return (struct msg_sibling){.flags = from->flags & ~(SIBLING_RETRIED | SIBLING_AGAIN),
                                .stamp = from->stamp,
                                .dot = from->dot,
                                .value = from->value};
}

static uint32_t siblings_fill(const struct node *n, bool all, const struct sibling *winner,
                              struct msg_sibling *out, bool *any_value)
{
    const struct state *state = &n->local;
    uint32_t count = 0;
    *any_value = false;
    if (!all) {
        *any_value = winner && !(winner->flags & SIBLING_TOMBSTONE);
        if (*any_value)
            out[count++] = sibling_shown(winner);
        return count;
    }
    for (uint32_t i = 0; i < state->sibling_count; i++) {
        if (!state_shown(state, i))
            continue;
        *any_value |= !(state->siblings[i].flags & SIBLING_TOMBSTONE);
        out[count++] = sibling_shown(&state->siblings[i]);
    }
    return count;
}

/*
 * A put that is given the context of an answer replaces all that its client has seen. So what the
 * client had seen before is in it, also where this state does not name it: in another owner it may
 * be live still. Of a key that was reaped there is nothing to be replaced.
 */
static int get_context(struct node *n, const struct slot *s, bool all, const struct sibling *winner)
{
    bool before = s->min_context.bytes > 0 && !state_absent(&n->local);
    int error = 0;
    history_clear(&n->history);
    history_clear(&n->wanted);
    buf_clear(&n->context);
    if (before)
        error = context_decode(s->min_context, hash_bytes(s->key), &n->wanted);
    if (!error)
        error = version_read_context(&n->local, all ? NULL : winner, before ? &n->wanted : NULL,
                                     &n->history);
    if (!error && !history_empty(&n->history))
        error = context_encode(&n->history, hash_bytes(s->key), &n->context);
    return error;
}

int get_answer(struct node *n, const struct slot *s, uint32_t owners, uint32_t flags,
               struct gt_effects *fx)
{
    const struct sibling *winner = state_winner(&n->local);
    bool all = s->head.flags & REQUEST_ALL, any_value;
    struct msg_sibling *shown = malloc((n->local.sibling_count + 1) * sizeof(*shown));
    if (!shown || get_context(n, s, all, winner) != 0) {
        free(shown);
        answer(n, &s->origin, GT_ENOMEM, OUTCOME_DONE, NULL, fx);
        return GT_ENOMEM;
    }
    struct msg m = node_message(n, MSG_GET_REPLY, s->origin.id);
    m.get_reply.siblings = shown;
    m.get_reply.sibling_count = siblings_fill(n, all, winner, shown, &any_value);
    m.get_reply.sibling_total = state_shown_count(&n->local);
    m.get_reply.head.error = any_value ? 0 : GT_ENOTFOUND;
    m.get_reply.head.flags = coord_reply_flags(s) | flags;
    m.get_reply.head.owners = (uint8_t)owners;
    m.get_reply.context = buf_slice(&n->context);
    m.get_reply.label = slice_text(node_label(n));
    m.get_reply.clock_us = n->now_us;
    effects_reply(fx, s->origin.link, &m);
    free(shown);
    pace_note(&n->pace, n->now_us, n->now_us - s->begun_us);
    return 0;
}

/* How many owners are known to hold all of the merged state. */
static uint32_t holders(const struct slot *s, struct slice record)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->quorum.total; i++)
        count +=
            s->quorum.state[i] == QUORUM_ANSWERED && slice_equal(s->get.shares[i].bytes, record);
    return count;
}

/* The merged state is in n->local: answers, now or when it is settled, and repairs. */
static void get_finish(struct node *n, uint64_t id, struct slot *s, bool degraded,
                       struct gt_effects *fx)
{
    uint32_t total, w, r, answered = quorum_count(&s->quorum, QUORUM_ANSWERED);
    struct blob *record = NULL;
    ring_quorums(n->ring, s->partition, &total, &w, &r);
    if (!state_absent(&n->local) &&
        record_encode_blob(&n->local, s->partition, s->key, &record) != 0) {
        answer(n, &s->origin, GT_ENOMEM, OUTCOME_DONE, NULL, fx);
        coord_end(n, id, s);
        return;
    }
    uint32_t held = holders(s, slice_blob(record));
    bool differ = held < answered, blocking = s->head.flags & REQUEST_BLOCKING;
    /* While the arc moves it is not told from the list in force alone. */
    bool at_w = held >= w && !arc_doubled(&n->ring->arcs[s->partition]);
    bool settled = !record || at_w || (!differ && !blocking) || MUTANT(answer_unsettled);
    bool waits = !settled && !degraded && (blocking || s->head.flags & REQUEST_SESSION);
    s->answered = !waits;
    n->metrics.unsettled_count += !settled && !waits;
    if (!waits)
        get_answer(n, s, answered,
                   (degraded || votes_missing(n, s) ? REPLY_DEGRADED : 0) |
                       (settled ? 0 : REPLY_UNSETTLED),
                   fx);
    if (differ || waits) {
        repair_begin(n, id, s, record, fx);
    } else {
        blob_unref(record);
        coord_end(n, id, s);
    }
}

/*
 * One owner has nothing of the key and another has: the one may have reaped what the other had not
 * merged yet when it was asked. Before anybody reaped every owner had the tombstone (RULES 19), so
 * who is asked once more now shows it, or nothing. True when they are to be asked, under another
 * id, so that no copy of an answer to the first question passes for one to the second.
 */
static bool ask_twice(struct node *n, uint64_t *id, struct slot *s)
{
    bool nothing = false, something = false;
    for (uint32_t i = 0; i < s->quorum.total; i++) {
        bool answered = s->quorum.state[i] == QUORUM_ANSWERED;
        nothing |= answered && s->get.shares[i].bytes.bytes == 0;
        something |= answered && s->get.shares[i].bytes.bytes > 0;
    }
    if (!nothing || !something || s->get.twice || s->expired || MUTANT(ask_once))
        return false;
    s->get.twice = true;
    *id = slots_renew(n->slots, *id);
    for (uint32_t i = 0; i < s->quorum.total; i++) {
        struct share *share = &s->get.shares[i];
        if (s->quorum.state[i] == QUORUM_FAILED ||
            (s->quorum.state[i] == QUORUM_ANSWERED && share->bytes.bytes == 0))
            continue;
        blob_unref(share->hold);
        *share = (struct share){0};
        s->quorum.state[i] = QUORUM_UNTRIED;
    }
    return true;
}

static void get_fail(struct node *n, uint64_t id, struct slot *s, const char *text,
                     struct gt_effects *fx)
{
    n->metrics.quorum_failures_count++;
    answer(n, &s->origin, s->stale ? GT_ESTALE : GT_EQUORUM, OUTCOME_DONE, text, fx);
    coord_end(n, id, s);
}

void get_progress(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    char text[MSG_TEXT_BYTES];
    bool available = s->head.mode == MODE_AVAILABLE;
    for (;;) {
        if (!s->expired)
            coord_read_more(n, id, s, false, ask_self, ask_peer, fx);
        enum quorum_verdict verdict = quorum_judge(&s->quorum, available);
        if (verdict == QUORUM_WAIT)
            return;
        if (verdict == QUORUM_LOST) {
            coord_quorum_text(n, s, "", text);
            get_fail(n, id, s, text, fx);
            return;
        }
        int error = get_merge(n, s);
        if (error == 1)
            continue; /* one owner less: asks on */
        if (error) {
            answer(n, &s->origin, error, OUTCOME_DONE, NULL, fx);
            coord_end(n, id, s);
            return;
        }
        if (ask_twice(n, &id, s))
            continue;
        if (get_new_enough(n, s)) {
            get_finish(n, id, s, verdict == QUORUM_PART, fx);
            return;
        }
        if (!s->expired)
            coord_read_more(n, id, s, true, ask_self, ask_peer, fx);
        if (quorum_count(&s->quorum, QUORUM_ASKED) > 0)
            return;
        get_fail(n, id, s, "no reachable owner has a state that new", fx);
        return;
    }
}
