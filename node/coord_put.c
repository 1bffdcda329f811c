/*
 * One put (or delete) at its coordinator, an owner of the key:
 *
 *   begin --refused--------------------------------> NOT_APPLIED
 *     | tried before: retry.c asks whether it was written, and comes back with what is to be stored
 *     | STORE_PUT: mint, durable here (RULES 9)
 *   storing --refused by the engine----------------> NOT_APPLIED
 *     |       (poisoned: IN_DOUBT; the record unknown: passed on to another owner)
 *     | stored: counts as the first of w
 *   sending: STATE to all other owners; of a sloppy put PARCEL to guests, where owners fail
 * (guest.c) | w acknowledged ----------------------------> DONE | w out of reach, or the deadline
 * -----------> IN_DOUBT background: pieces of a large state alone, until every asked replica
 * answered or was silent
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
    if (node_removed(n, a.node))
        return true; /* it has no life any more that could be unknown (closing.c) */
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
    for (uint32_t i = 0; !error && i < n->history.closed_count; i++)
        error = actor_known(n, n->history.closed[i]) ? 0 : GT_ECONTEXT;
    if (!error)
        return false;
    if (!history_empty(&n->history))
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
    const struct msg *m = ev->message.msg;
    uint64_t until = m->put.valid_until, until_us = m->put.valid_until_us;
    bool over = (until && clock_stamp(n) > until) || (until_us && n->now_us > until_us);
    if (!over || MUTANT(late_put))
        return false;
    n->metrics.expired_count++;
    refuse(n, ev, GT_ESTALE, "the attempt arrived too late; not applied", fx);
    return true;
}

/* The wall clock here is too far off to mint by. */
static bool clock_bad(struct node *n, const struct gt_event *ev, const struct slot *s,
                      struct gt_effects *fx)
{
    int64_t apart_us = clock_apart_us(n, s);
    if (apart_us == 0)
        return false;
    char text[MSG_TEXT_BYTES];
    snprintf(text, sizeof(text), "the clock of %s is %lld s %s the other owners'; not applied",
             node_label(n), (long long)(apart_us < 0 ? -apart_us : apart_us) / 1000000,
             apart_us < 0 ? "behind" : "ahead of");
    refuse(n, ev, GT_ECLOCK, text, fx);
    return true;
}

/* An earlier attempt went by a clock that is too far ahead of the one here: minted at its stamp it
 * would stand above what nobody here may follow. */
static bool first_stamp_bad(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    uint64_t own = hlc_own(&n->hlc, n->wall_us), first = m->put.first_stamp;
    if (!(m->put.head.flags & REQUEST_RETRY) || first <= own + ((uint64_t)CLOCK_AHEAD_MAX_MS << 16))
        return false;
    char text[MSG_TEXT_BYTES];
    snprintf(text, sizeof(text),
             "it was tried before by a clock that is %llu s ahead of that of %s; not applied",
             (unsigned long long)((first - own) >> 16) / 1000, node_label(n));
    refuse(n, ev, GT_ECLOCK, text, fx);
    return true;
}

/* A later attempt of this operation has asked here: this one would be one too many. */
static bool overtaken(struct node *n, const struct gt_event *ev, uint32_t partition,
                      struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    bool first = !(m->put.head.flags & REQUEST_RETRY);
    if (!retry_promised(n, partition, m->put.key, &m->put.head, first))
        return false;
    refuse(n, ev, GT_ESTALE, "a later attempt of it is under way; not applied", fx);
    return true;
}

/*
 * The message has come before. The first one may have been refused, and its sender told that
 * nothing was applied; carried out now the write would exist all the same. So a copy is passed
 * over: what became of the first one is answered once. (TCP delivers no copies; what stands between
 * may.) Known are some thousands: by then whatever was doubled on its way has come. Without an
 * operation id two requests may look alike.
 */
static bool came_before(struct node *n, const struct gt_event *ev)
{
    const struct msg *m = ev->message.msg;
    uint64_t name[2] = {ev->link, m->id};
    struct operation o = {.key_hash = hash_bytes((struct slice){(uint8_t *)name, sizeof(name)})};
    memcpy(o.op, m->put.head.op, OP_ID_BYTES);
    if (operation_none(o.op) || MUTANT(carry_out_copies))
        return false;
    if (operations_find(&n->taken, 0, o.key_hash, o.op))
        return true;
    operations_note(&n->taken, 0, &o);
    return false;
}

void put_begin(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    if (came_before(n, ev))
        return;
    if (coord_key_bad(n, ev, m->put.key, fx) || coord_forming(n, ev, fx) || value_bad(n, ev, fx) ||
        late(n, ev, fx))
        return;
    uint64_t id;
    uint32_t partition = ring_partition(n->ring, m->put.key);
    if (overtaken(n, ev, partition, fx))
        return;
    struct slot *s = coord_begin(n, ev, SLOT_PUT, &m->put.head, partition, &id, fx);
    if (!s)
        return;
    if (context_bad(n, ev, fx) || clock_bad(n, ev, s, fx) || first_stamp_bad(n, ev, fx)) {
        coord_end(n, id, s);
        return;
    }
    n->metrics.client_puts_count++;
    s->key = m->put.key;
    s->put.value = m->put.value;
    s->put.client_context = m->put.context;
    s->put.first_stamp = m->put.first_stamp;
    s->put.valid_until_us = m->put.valid_until_us;
    if (m->put.valid_until_us == 0 || MUTANT(late_put))
        s->put.valid_until_us = UINT64_MAX;
    if (m->put.head.flags & REQUEST_RETRY && !MUTANT(retry_unasked))
        retry_begin(n, id, s, fx);
    else
        put_store(n, id, s, 0, false, fx);
}

void put_store(struct node *n, uint64_t id, struct slot *s, uint64_t first_stamp, bool known_only,
               struct gt_effects *fx)
{
    struct store_request r = {.kind = STORE_PUT,
                              .tag = id,
                              .deadline_us = s->deadline_us,
                              .hold = blob_ref(s->body),
                              .partition = s->partition,
                              .key = s->key,
                              .value = s->put.value,
                              .context = s->put.client_context,
                              .tombstone = s->head.flags & REQUEST_TOMBSTONE,
                              .plain = s->head.flags & REQUEST_PLAIN,
                              .known_only = known_only,
                              .stamp = clock_stamp(n),
                              .first_stamp = first_stamp};
    memcpy(r.op, s->head.op, OP_ID_BYTES);
    effects_store(fx, &r);
    coord_asked(n, id, s, s->self);
}

/* ---- what happens on the way ----------------------------------------------------------------- */

/* Which limit it is, and what lets the key be written again. */
static void put_limit_text(const struct node *n, enum store_limit limit, char text[MSG_TEXT_BYTES])
{
    static const char way[] = "gtstore get --all --context KEY, then put with that context";
    if (limit == LIMIT_SIBLINGS)
        snprintf(text, MSG_TEXT_BYTES, "%s: over the limit of %d siblings: %s; not applied",
                 node_label(n), SIBLINGS_MAX, way);
    else
        snprintf(text, MSG_TEXT_BYTES,
                 "%s: over the limit of %llu bytes in siblings: %s; not applied", node_label(n),
                 (unsigned long long)STATE_VALUE_LIMITS * n->ring->settings.value_bytes_max, way);
}

/* The engine did not store it. */
static void put_refused(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                        struct gt_effects *fx)
{
    char text[MSG_TEXT_BYTES];
    struct origin o = s->origin;
    int error = r->result;
    /* An operation that is known was applied, whatever went wrong with its answer. */
    bool doubt = error == GT_EPOISONED || r->known_op || s->put.again;
    if (s->answered) {
        coord_end(n, id, s);
        return;
    }
    snprintf(text, sizeof(text), "%s: %s; %s", node_label(n), error_text(error),
             doubt ? "in doubt" : "not applied");
    if (error == GT_ELIMIT && r->limit != LIMIT_OTHER && !doubt)
        put_limit_text(n, r->limit, text);
    answer(n, &o, error, doubt ? OUTCOME_IN_DOUBT : OUTCOME_NOT_APPLIED, text, fx);
    coord_end(n, id, s);
}

/* What is stored here for the key is bad: another owner must coordinate. */
static bool put_pass_on(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    if (s->answered || s->put.again || s->head.flags & REQUEST_FORWARDED || !s->body)
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

/* ---- stored again, above what outranks it ---------------------------------------------------- */

static void put_doubt(struct node *n, struct slot *s, int error, const char *text,
                      struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_PUT_REPLY, s->origin.id);
    m.put_reply.head.error = error;
    m.put_reply.head.outcome = MUTANT(doubt_as_refusal) ? OUTCOME_NOT_APPLIED : OUTCOME_IN_DOUBT;
    m.put_reply.head.owners = (uint8_t)quorum_count(&s->quorum, QUORUM_ANSWERED);
    m.put_reply.head.guests = (uint8_t)quorum_guests(&s->quorum);
    m.put_reply.head.text = slice_text(text);
    m.put_reply.stamp = s->put.stamp;
    m.put_reply.context = slice_blob(s->put.context);
    m.put_reply.label = slice_text(node_label(n));
    m.put_reply.clock_us = n->now_us;
    effects_reply(fx, s->origin.link, &m);
    s->answered = true;
}

/* What the first round has made goes; nobody is counted any more. */
static void put_round_clear(struct node *n, struct slot *s)
{
    blob_unref(s->put.context);
    spread_drop(&s->spread);
    s->put.context = NULL;
    s->put.stored = s->put.guests_out = false;
    s->put.guests_tried = 0;
    memset(s->put.guests, 0, sizeof(s->put.guests));
    if (!coord_quorum(n, s, s->head.quorum, true))
        s->self = 0; /* it is found when the put is stored */
}

/*
 * Another owner answers something else rather than this put. So that a plain put which began after
 * that was acknowledged wins, the operation is minted once more: a new dot, a later stamp, over its
 * first dot and over those. Only what then reached w counts, so the slot gets a new id, and late
 * acknowledgements of the first dot find nothing.
 */
static void put_again(struct node *n, uint64_t id, struct slot *s, uint64_t above,
                      struct slice outranking, struct slice operations, struct gt_effects *fx)
{
    struct slice key = s->key, value = s->put.value, context = s->put.client_context;
    struct slice *parts[] = {&key, &value, &context, &outranking, &operations};
    struct blob *hold = slices_join(parts, sizeof(parts) / sizeof(parts[0]));
    if (!hold) {
        put_doubt(n, s, GT_ENOMEM, error_text(GT_ENOMEM), fx);
        return;
    }
    n->metrics.puts_outranked_count++;
    put_round_clear(n, s);
    s->put.again = true;
    id = slots_renew(n->slots, id);
    struct store_request r = {.kind = STORE_PUT,
                              .tag = id,
                              .deadline_us = s->deadline_us,
                              .hold = hold,
                              .partition = s->partition,
                              .key = key,
                              .value = value,
                              .context = context,
                              .tombstone = s->head.flags & REQUEST_TOMBSTONE,
                              .plain = true,
                              .stamp = clock_stamp(n),
                              .again = true,
                              .above = above,
                              .outranking = outranking,
                              .operations = operations};
    memcpy(r.op, s->head.op, OP_ID_BYTES);
    effects_store(fx, &r);
    coord_asked(n, id, s, s->self);
}

/* True when the slot goes on, under another id, or was answered: the caller is done with it. */
static bool put_outranked(struct node *n, uint64_t id, struct slot *s, uint64_t above,
                          struct slice outranking, struct slice operations, struct gt_effects *fx)
{
    if (outranking.bytes == 0 || s->answered || !(s->head.flags & REQUEST_PLAIN) ||
        MUTANT(stay_outranked))
        return false;
    if (n->now_us > s->put.valid_until_us || retry_overtaken(n, s)) {
        /* Its sender has gone on, and what outranks it may be newer. */
        put_doubt(n, s, GT_ESTALE, "the attempt took too long; in doubt", fx);
        return false;
    }
    if (s->put.known && !MUTANT(restore_found)) {
        /* So may it be here: the dot was found, and may have been acknowledged long ago. */
        put_doubt(
            n, s, GT_ESTALE,
            "it was tried before, and something is ranked above it that may be older or newer; "
            "in doubt",
            fx);
        return false;
    }
    put_again(n, id, s, above, outranking, operations, fx);
    return true;
}

/* ---- what was stored, and who has it --------------------------------------------------------- */

void put_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                struct gt_effects *fx)
{
    if (r->kind == STORE_OPERATION) {
        retry_told_here(n, id, s, r, fx);
        return;
    }
    if (r->kind == STORE_MERGE) {
        retry_merged(n, id, s, r, fx);
        return;
    }
    bool unread = r->result == GT_EUNKNOWN || r->result == GT_EFORMAT;
    if (unread && put_pass_on(n, id, s, fx))
        return;
    if (r->result) {
        put_refused(n, id, s, r, fx);
        return;
    }
    watch_changed(n, s->partition);
    uint64_t record_bytes = slice_blob(r->record).bytes; /* none: known, and reaped since */
    s->put.bytes += record_bytes;
    n->put_bytes += record_bytes;
    s->put.stored = true;
    s->put.known |= r->known_op;
    s->put.stamp = r->stamp;
    s->put.context = blob_ref(r->context);
    s->spread.dots = blob_ref(r->dots);
    s->spread.operations = blob_ref(r->operations);
    if (s->put.sloppy)
        s->spread.record = blob_ref(r->record);
    s->spread.flags = s->head.flags & REQUEST_PLAIN;
    if (r->known_op) /* a dot of any life is finished */
        s->spread.flags |= REQUEST_RETRY;
    if (s->head.flags & REQUEST_RETRY)
        s->spread.flags |= REQUEST_ASKED;
    hlc_observe(&n->hlc, r->stamp, n->wall_us);
    /* What outranks it here goes along, and whoever has that says so too. Alone with it nothing is
     * stored again: an owner that is cut off would leave attempts behind which nobody knows. */
    bool alone = s->quorum.need == 1 && s->quorum.need_beside <= 1;
    if (alone && put_outranked(n, id, s, r->outranking_stamp, slice_blob(r->outranking),
                               slice_of(NULL, 0), fx))
        return;
    /* Others may be linked again since they were counted as failed, and the map be a newer one: who
     * is counted, and the epoch by which they are asked, are of one map. */
    if (!coord_quorum(n, s, s->head.quorum, true)) {
        if (!s->answered)
            put_doubt(n, s, GT_ESTALE, "this node owns the key no more; in doubt", fx);
        coord_end(n, id, s);
        return;
    }
    /* A later attempt asked here while this one waited for storage. */
    if ((!r->known_op && retry_overtaken(n, s)) || r->unsettled)
        quorum_fail(&s->quorum, s->self);
    else
        quorum_answer(&s->quorum, s->self);
    spread_send(n, id, s, r->record, fx);
    coord_date(n, id, s);
    put_progress(n, id, s, fx);
}

void put_counted(struct node *n, uint64_t id, struct slot *s, uint32_t owner, int error,
                 const struct msg *reply, struct gt_effects *fx)
{
    if (!s->put.stored)
        return;
    if (!error && put_outranked(n, id, s, reply->state_reply.outranking_stamp,
                                reply->state_reply.outranking, reply->state_reply.operations, fx))
        return;
    s->full |= (uint32_t)(error == GT_ENOSPACE) << owner;
    s->stale |= error_stale(error);
    if (error)
        quorum_fail(&s->quorum, owner);
    else
        quorum_answer(&s->quorum, owner);
    coord_date(n, id, s);
    put_progress(n, id, s, fx);
}

/* ---- judging --------------------------------------------------------------------------------- */

static void put_reply(struct node *n, struct slot *s, struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_PUT_REPLY, s->origin.id);
    m.put_reply.head.outcome = OUTCOME_DONE;
    m.put_reply.head.flags = coord_reply_flags(s) | (s->put.known ? REPLY_KNOWN : 0) |
                             (s->put.again ? REPLY_OUTRANKED : 0);
    m.put_reply.head.owners = (uint8_t)quorum_count(&s->quorum, QUORUM_ANSWERED);
    m.put_reply.head.guests = (uint8_t)quorum_guests(&s->quorum);
    m.put_reply.stamp = s->put.stamp;
    m.put_reply.context = slice_blob(s->put.context);
    m.put_reply.label = slice_text(node_label(n));
    m.put_reply.clock_us = n->now_us;
    effects_reply(fx, s->origin.link, &m);
    s->answered = true;
    pace_note(&n->pace, n->now_us, n->now_us - s->begun_us);
}

static void put_quorum_missed(struct node *n, struct slot *s, struct gt_effects *fx)
{
    char text[MSG_TEXT_BYTES];
    coord_quorum_text(n, s, "in doubt", text);
    n->metrics.quorum_failures_count++;
    put_doubt(n, s, s->stale ? GT_ESTALE : GT_EQUORUM, text, fx);
}

void put_progress(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    if (s->put.phase == PUT_ASKING) {
        retry_progress(n, id, s, fx);
        return;
    }
    if (s->put.stored && s->put.sloppy && !s->answered && !s->expired)
        guests_ask(n, id, s, fx);
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
        put_quorum_missed(n, s, fx);
    /* What was sent whole needs nobody to wait for it; pieces are sent one after the other. */
    bool over = s->expired ||
                quorum_count(&s->quorum, QUORUM_ASKED) + quorum_guests_asked(&s->quorum) == 0 ||
                (s->answered && s->spread.piece_count == 0);
    if (s->put.stored && over)
        coord_end(n, id, s);
}
