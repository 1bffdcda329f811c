/*
 * One put (or delete) at its coordinator, an owner of the key:
 *
 *   begin --refused--------------------------------> NOT_APPLIED
 *     | STORE_PUT: mint, durable here (RULES 9)
 *   storing --refused by the engine----------------> NOT_APPLIED (poisoned: IN_DOUBT; unknown:
 * passed on) | stored: counts as the first of w sending: STATE to all other owners | w acknowledged
 * ----------------------------> DONE | w out of reach, or the deadline -----------> IN_DOUBT
 *   background: pieces of a large state alone, until every asked replica answered or was silent
 *
 * storing ends by the STORED event alone, even past the deadline: what is stored must be sent.
 * From the moment of STORE no failure is "not applied" unless the engine proved it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "node/node_private.h"

/* ---- checks ---------------------------------------------------------------------------------- */

static void refuse(struct node *n, const struct gt_event *ev, int error, const char *text,
                   struct gt_effects *fx)
{
    struct origin o = origin_of(ev);
    answer(n, &o, error, OUTCOME_NOT_APPLIED, text, fx);
}

static bool actor_known(const struct node *n, struct actor a)
{
    if (a.node == n->identity.node_id)
        return a.incarnation <= n->identity.incarnation;
    return a.incarnation <= node_seen(n, a.node);
}

/* A context that names an actor of whom nobody told this node is refused (RULES 11). */
static bool context_bad(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    if (m->put.context.bytes == 0)
        return false;
    history_clear(&n->history);
    int error = context_decode(m->put.context, hash_bytes(m->put.key), &n->history);
    const char *text = "the context is damaged or of another key; not applied";
    for (uint32_t i = 0; !error && i < n->history.vector_count; i++)
        error = actor_known(n, n->history.vector[i].actor) ? 0 : GT_ECONTEXT;
    for (uint32_t i = 0; !error && i < n->history.exact_count; i++)
        error = actor_known(n, n->history.exact[i].actor) ? 0 : GT_ECONTEXT;
    if (!error)
        return false;
    if (n->history.vector_count + n->history.exact_count > 0)
        text = "the context names a writer unknown to this node; not applied";
    refuse(n, ev, error == GT_ENOMEM ? error : GT_ECONTEXT, text, fx);
    return true;
}

static bool value_bad(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    uint64_t limit = n->ring->settings.value_bytes_max;
    if (m->put.head.flags & REQUEST_TOMBSTONE || m->put.value.bytes <= limit)
        return false;
    char text[MSG_TEXT_BYTES];
    snprintf(text, sizeof(text), "value of %zu bytes; the limit is %llu; not applied",
             m->put.value.bytes, (unsigned long long)limit);
    refuse(n, ev, GT_ELIMIT, text, fx);
    return true;
}

/* Its sender has given this attempt up and may have gone on to newer puts elsewhere; minted now it
 * would stand above them. */
static bool late(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    uint64_t until = ev->message.msg->put.valid_until;
    if (until == 0 || MUTANT(late_put) || hlc_now(&n->hlc, n->wall_us) <= until)
        return false;
    n->metrics.expired_count++;
    refuse(n, ev, GT_ESTALE, "the attempt arrived too late; not applied", fx);
    return true;
}

void put_begin(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    if (coord_key_bad(n, ev, m->put.key, fx) || coord_forming(n, ev, fx) || value_bad(n, ev, fx) ||
        late(n, ev, fx))
        return;
    uint64_t id;
    uint32_t partition = ring_partition(n->ring, m->put.key);
    struct slot *s = coord_begin(n, ev, SLOT_PUT, &m->put.head, partition, &id, fx);
    if (!s)
        return;
    if (context_bad(n, ev, fx)) {
        coord_end(n, id, s);
        return;
    }
    n->metrics.client_puts_count++;
    s->key = m->put.key;
    struct store_request r = {.kind = STORE_PUT,
                              .tag = id,
                              .deadline_us = s->deadline_us,
                              .hold = blob_ref(ev->message.body),
                              .partition = partition,
                              .key = m->put.key,
                              .value = m->put.value,
                              .context = m->put.context,
                              .tombstone = m->put.head.flags & REQUEST_TOMBSTONE,
                              .plain = m->put.head.flags & REQUEST_PLAIN,
                              .retry = m->put.head.flags & REQUEST_RETRY,
                              .stamp = hlc_now(&n->hlc, n->wall_us)};
    memcpy(r.op, m->put.head.op, OP_ID_BYTES);
    effects_store(fx, &r);
    coord_asked(n, id, s, s->self);
}

/* ---- sending the state ----------------------------------------------------------------------- */

static struct msg state_message(struct node *n, uint64_t id, const struct slot *s,
                                const struct blob *record, bool last)
{
    struct msg m = node_message(n, MSG_STATE, id);
    m.state.head = (struct request_head){.deadline_ms = coord_left_ms(n, s),
                                         .flags = s->put.known ? REQUEST_RETRY : 0};
    memcpy(m.state.head.op, s->head.op, OP_ID_BYTES);
    m.state.partition = s->partition;
    m.state.key = s->key;
    m.state.record = slice_blob(record);
    /* Of a state in pieces the last one alone sets the clock: it has the whole history. */
    if (last)
        m.state.dots = slice_blob(s->put.dots);
    return m;
}

/* Piece `number` to an owner; the one before is acknowledged. False when the table is full. */
static bool piece_send(struct node *n, uint64_t id, struct slot *s, uint32_t owner, uint32_t number,
                       struct gt_effects *fx)
{
    uint64_t piece_id;
    struct slot *p = NULL;
    if (n->replicating < n->inflight_max)
        p = slots_take(n->slots, s->deadline_us, &piece_id); /* the put does not wait longer */
    if (!p)
        return false;
    n->replicating++;
    p->kind = SLOT_PIECE;
    p->piece.put = id;
    p->piece.owner = owner;
    p->piece.number = number;
    bool last = number + 1 == s->put.piece_count;
    struct msg m = state_message(n, piece_id, s, s->put.pieces[number], last);
    effects_send(fx, s->owners[owner], &m);
    return true;
}

struct cutting {
    struct slot *s;
    uint32_t capacity;
};

static int piece_keep(void *arg, const struct state *part, bool last)
{
    (void)last;
    struct cutting *c = arg;
    struct slot *s = c->s;
    if (s->put.piece_count == c->capacity) {
        uint32_t capacity = c->capacity ? c->capacity * 2 : 8;
        void *grown = realloc(s->put.pieces, capacity * sizeof(*s->put.pieces));
        if (!grown)
            return GT_ENOMEM;
        s->put.pieces = grown;
        c->capacity = capacity;
    }
    int error = record_encode_blob(part, s->partition, s->key, &s->put.pieces[s->put.piece_count]);
    s->put.piece_count += !error;
    return error;
}

static int pieces_cut(struct node *n, struct slot *s, const struct blob *record, size_t bytes_max)
{
    struct cutting c = {.s = s};
    state_clear(&n->local);
    int error = record_decode(slice_blob(record), s->partition, s->key, &n->local);
    return error ? error : record_pieces(&n->local, bytes_max, piece_keep, &c);
}

static void state_send(struct node *n, uint64_t id, struct slot *s, const struct blob *record,
                       struct gt_effects *fx)
{
    uint64_t peers[REPLICAS_MAX];
    uint32_t count = 0;
    size_t bytes_max = n->config.piece_bytes_max;
    if (bytes_max == 0)
        bytes_max = STATE_VALUE_LIMITS * n->ring->settings.value_bytes_max + (1u << 19);
    bool whole = !record || record->bytes <= bytes_max;
    int error = whole ? 0 : pieces_cut(n, s, record, bytes_max);
    if (error)
        log_warn(n->log, "state not sent: cutting it failed cause=%s", error_text(error));
    for (uint32_t i = 0; i < s->quorum.total; i++) {
        if (i == s->self)
            continue;
        if (error || !node_linked(n, s->owners[i]) || (!whole && !piece_send(n, id, s, i, 0, fx))) {
            quorum_fail(&s->quorum, i);
            continue;
        }
        /* It may be linked again since it was counted as failed. */
        s->quorum.state[i] = QUORUM_UNTRIED;
        coord_asked(n, id, s, i);
        if (whole)
            peers[count++] = s->owners[i];
    }
    if (count == 0)
        return;
    struct msg m = state_message(n, id, s, record, true);
    effects_send_many(fx, peers, count, &m);
}

/* ---- what happens on the way ----------------------------------------------------------------- */

/* The engine did not store it. */
static void put_refused(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                        struct gt_effects *fx)
{
    char text[MSG_TEXT_BYTES];
    struct origin o = s->origin;
    int error = r->result;
    /* An operation that is known was applied, whatever went wrong with its answer. */
    bool doubt = error == GT_EPOISONED || r->known_op;
    if (s->answered) {
        coord_end(n, id, s);
        return;
    }
    snprintf(text, sizeof(text), "%s: %s; %s", node_label(n), error_text(error),
             doubt ? "in doubt" : "not applied");
    answer(n, &o, error, doubt ? OUTCOME_IN_DOUBT : OUTCOME_NOT_APPLIED, text, fx);
    coord_end(n, id, s);
}

/* What is stored here for the key is bad: another owner must coordinate. */
static bool put_pass_on(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    if (s->answered || s->head.flags & REQUEST_FORWARDED || !s->body)
        return false;
    struct msg_decoder *d = msg_decoder_new();
    struct msg m;
    bool passed = d && msg_decode(d, slice_blob(s->body), &m) == 0 && m.type == MSG_PUT &&
                  coord_forward(n, &s->origin, &m, s->partition, s->deadline_us, fx);
    msg_decoder_free(d);
    if (passed)
        coord_end(n, id, s);
    return passed;
}

void put_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                struct gt_effects *fx)
{
    if (r->result == GT_EUNKNOWN && put_pass_on(n, id, s, fx))
        return;
    if (r->result) {
        put_refused(n, id, s, r, fx);
        return;
    }
    watch_changed(n, s->partition);
    s->put.bytes += r->record->bytes;
    n->put_bytes += r->record->bytes;
    s->put.stored = true;
    s->put.known = r->known_op;
    s->put.stamp = r->stamp;
    s->put.context = blob_ref(r->context);
    s->put.dots = blob_ref(r->dots);
    hlc_observe(&n->hlc, r->stamp, n->wall_us);
    quorum_answer(&s->quorum, s->self);
    state_send(n, id, s, r->record, fx);
    coord_date(n, id, s);
    put_progress(n, id, s, fx);
}

static void put_counted(struct node *n, uint64_t id, struct slot *s, uint32_t owner, int error,
                        struct gt_effects *fx)
{
    if (error)
        quorum_fail(&s->quorum, owner);
    else
        quorum_answer(&s->quorum, owner);
    coord_date(n, id, s);
    put_progress(n, id, s, fx);
}

static void piece_acked(struct node *n, uint64_t piece_id, struct slot *p, int error,
                        struct gt_effects *fx)
{
    uint64_t id = p->piece.put;
    uint32_t owner = p->piece.owner, next = p->piece.number + 1;
    coord_end(n, piece_id, p);
    struct slot *s = slots_find(n->slots, id);
    if (!s)
        return;
    if (!error && next < s->put.piece_count) {
        if (piece_send(n, id, s, owner, next, fx)) {
            s->asked_us[owner] = n->now_us; /* it speaks: the silence begins anew */
            coord_date(n, id, s);
            return;
        }
        error = GT_EBUSY;
    }
    put_counted(n, id, s, owner, error, fx);
}

void put_acked(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    struct slot *s = slots_find(n->slots, m->id);
    int error = m->state_reply.head.error;
    if (error)
        log_debug(n->log, "state refused by=%s cause=%s", node_label_of(n, ev->peer),
                  error_text(error));
    if (s && s->kind == SLOT_PIECE) {
        struct slot *put = slots_find(n->slots, s->piece.put);
        if (!put || put->owners[s->piece.owner] == ev->peer)
            piece_acked(n, m->id, s, error, fx);
        return;
    }
    if (!s || s->kind != SLOT_PUT || !s->put.stored || s->put.piece_count > 0)
        return;
    int owner = coord_owner(s, ev->peer);
    if (owner >= 0)
        put_counted(n, m->id, s, (uint32_t)owner, error, fx);
}

/* ---- judging --------------------------------------------------------------------------------- */

static void put_reply(struct node *n, struct slot *s, struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_PUT_REPLY, s->origin.id);
    m.put_reply.head.outcome = OUTCOME_DONE;
    m.put_reply.head.flags = coord_reply_flags(s) | (s->put.known ? REPLY_KNOWN : 0);
    m.put_reply.head.owners = (uint8_t)quorum_count(&s->quorum, QUORUM_ANSWERED);
    m.put_reply.stamp = s->put.stamp;
    m.put_reply.context = slice_blob(s->put.context);
    m.put_reply.label = slice_text(node_label(n));
    effects_reply(fx, s->origin.link, &m);
    s->answered = true;
}

static void put_doubt(struct node *n, struct slot *s, struct gt_effects *fx)
{
    char text[MSG_TEXT_BYTES];
    coord_quorum_text(n, s, "in doubt", text);
    n->metrics.quorum_failures_count++;
    struct msg m = node_message(n, MSG_PUT_REPLY, s->origin.id);
    m.put_reply.head.error = GT_EQUORUM;
    m.put_reply.head.outcome = MUTANT(doubt_as_refusal) ? OUTCOME_NOT_APPLIED : OUTCOME_IN_DOUBT;
    m.put_reply.head.owners = (uint8_t)quorum_count(&s->quorum, QUORUM_ANSWERED);
    m.put_reply.head.text = slice_text(text);
    m.put_reply.stamp = s->put.stamp;
    m.put_reply.context = slice_blob(s->put.context);
    m.put_reply.label = slice_text(node_label(n));
    effects_reply(fx, s->origin.link, &m);
    s->answered = true;
}

void put_progress(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    enum quorum_verdict verdict = quorum_judge(&s->quorum, false);
    if (MUTANT(count_failed_replica) && quorum_count(&s->quorum, QUORUM_FAILED) > 0)
        verdict = QUORUM_MET;
    /* While storage is at work a lost quorum may come back with a link; it is judged when the state
     * is sent. The deadline alone is not waited past. */
    if (!s->put.stored && !s->expired)
        return;
    if (!s->answered && verdict == QUORUM_MET)
        put_reply(n, s, fx);
    else if (!s->answered && (verdict == QUORUM_LOST || s->expired))
        put_doubt(n, s, fx);
    /* What was sent whole needs nobody to wait for it; pieces are sent one after the other. */
    bool over = s->expired || quorum_count(&s->quorum, QUORUM_ASKED) == 0 ||
                (s->answered && s->put.piece_count == 0);
    if (s->put.stored && over)
        coord_end(n, id, s);
}
