/*
 * A put that may have been tried before (RULES 10), until its coordinator knows whether to mint:
 *
 *   begin -> asking: STORE_OPERATION here, OPERATION to all others, until r owners could tell
 *     | known here ------------------------> STORE_PUT, which finds it and mints nothing
 *     | known elsewhere: merging it here --> STORE_PUT, likewise
 *     | r out of reach, or the deadline ---> NOT_APPLIED: nothing was minted
 *     | its sender has given it up --------> NOT_APPLIED
 *     | unknown to r, and young -----------> STORE_PUT, with the stamp of its first attempt
 *     | unknown, and too old for them -----> IN_DOUBT
 *
 * asking ends by the answers, their silence of 500 ms each, or the deadline; merging by STORED.
 * What was acknowledged is at w owners, and every one of them that can tell knows it, live or
 * superseded; w + r > n, so one of the r that could tell would have known it.
 *
 * An owner that was asked, or has taken the state of a later attempt, promises not to count for an
 * earlier one any more: it takes the state, and does not acknowledge it. So an earlier attempt that
 * is slow, and would be minted or sent after the questions, cannot reach w beside the later one.
 * What is acknowledged is one dot that nobody minted again, or one that was minted by a retry,
 * whose operation the history names (version.h). Promises are in memory alone: with a restart of
 * their owner the link of the earlier attempt breaks.
 *
 * Nor is an earlier attempt minted, or stored again above what outranks it, nor a dot that was
 * found: another attempt may have been acknowledged, and what outranks it begun after that (seed
 * 1795655911368).
 */
#include <stdio.h>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/mutant.h"
#include "engine/operations.h"
#include "node/node_private.h"

/* Clocks may be pushed forward by so much, and a message be on its way for so long, while rows are
 * counted as young. */
#define AGE_MARGIN_MS    CLOCK_AHEAD_MAX_MS
#define LENGTH_MARGIN_MS 1000u

static void ask_self(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    struct store_request r = {.kind = STORE_OPERATION,
                              .tag = id,
                              .deadline_us = s->deadline_us,
                              .hold = blob_ref(s->body),
                              .partition = s->partition,
                              .key = s->key,
                              .stamp = n->hlc.last};
    memcpy(r.op, s->head.op, OP_ID_BYTES);
    effects_store(fx, &r);
}

static void ask_peer(struct node *n, uint64_t id, struct slot *s, uint64_t peer,
                     struct gt_effects *fx)
{
    struct msg m = coord_message(n, s, MSG_OPERATION, id);
    m.operation.head.deadline_ms = coord_left_ms(n, s);
    m.operation.head.age_ms = s->head.age_ms;
    memcpy(m.operation.head.op, s->head.op, OP_ID_BYTES);
    m.operation.partition = s->partition;
    m.operation.key = s->key;
    effects_send(fx, peer, &m);
}

/* Of two attempts of an operation the later one has the higher rank. Those that were sent within
 * one millisecond have the same, but for the first. */
static uint64_t attempt_rank(const struct request_head *head)
{
    return (uint64_t)head->age_ms + 1;
}

void retry_promise(struct node *n, uint32_t partition, struct slice key,
                   const struct request_head *head, struct gt_effects *fx)
{
    uint64_t now = n->now_us / 1000 << 16;
    struct operation o = {.key_hash = hash_bytes(key), .noted = now, .stamp = attempt_rank(head)};
    memcpy(o.op, head->op, OP_ID_BYTES);
    operations_age(&n->promises, now);
    if (operation_none(o.op) || !operations_raise(&n->promises, partition, &o))
        return;
    /* Earlier attempts that wait for room here are not to be minted, nor stored again. */
    struct store_request r = {.kind = STORE_RECALL, .partition = partition};
    memcpy(r.op, head->op, OP_ID_BYTES);
    if (!MUTANT(never_recalled))
        effects_store(fx, &r);
}

bool retry_promised(const struct node *n, uint32_t partition, struct slice key,
                    const struct request_head *head, bool first)
{
    const struct operation *o = operations_find(&n->promises, partition, hash_bytes(key), head->op);
    return o && o->stamp > (first ? 0 : attempt_rank(head)) && !MUTANT(break_promise);
}

bool retry_overtaken(const struct node *n, const struct slot *s)
{
    return retry_promised(n, s->partition, s->key, &s->head, !(s->head.flags & REQUEST_RETRY));
}

void retry_begin(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    s->put.phase = PUT_ASKING;
    s->put.length_ms = OPERATIONS_KEEP_MS;
    coord_quorum(n, s, 0, false);
    retry_promise(n, s->partition, s->key, &s->head, fx);
    retry_progress(n, id, s, fx);
}

/* The questions are over: from here on the owners count toward W. Should this node be none of them
 * any more it is found when the put is stored. */
static void asked(struct node *n, struct slot *s, enum put_phase phase)
{
    s->put.phase = phase;
    if (!coord_quorum(n, s, s->head.quorum, true))
        s->self = 0;
}

static void too_few(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    char text[MSG_TEXT_BYTES];
    if (s->stale) {
        answer(n, &s->origin, GT_ESTALE, OUTCOME_NOT_APPLIED,
               "the owners go by another map; not applied", fx);
        coord_end(n, id, s);
        return;
    }
    snprintf(text, sizeof(text),
             "it was tried before: %u of %u owners can tell whether it was written; R=%u not met; "
             "not applied; see: gtstore-admin status",
             quorum_count(&s->quorum, QUORUM_ANSWERED), s->quorum.total, s->quorum.need);
    n->metrics.quorum_failures_count++;
    answer(n, &s->origin, GT_EQUORUM, OUTCOME_NOT_APPLIED, text, fx);
    coord_end(n, id, s);
}

static bool too_old(const struct slot *s)
{
    uint64_t age_ms = s->head.age_ms;
    return age_ms + AGE_MARGIN_MS >= OPERATIONS_KEEP_MS ||
           age_ms + LENGTH_MARGIN_MS >= s->put.length_ms;
}

static void refuse_old(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    char text[MSG_TEXT_BYTES];
    snprintf(text, sizeof(text),
             "first tried %u s ago; the owners remember operations for %llu s; in doubt: the write "
             "may have happened and been overwritten",
             s->head.age_ms / 1000, (unsigned long long)s->put.length_ms / 1000);
    answer(n, &s->origin, GT_EINDOUBT, OUTCOME_IN_DOUBT, text, fx);
    coord_end(n, id, s);
}

/* Nobody knows it: it takes its place where its first attempt stood. */
static void mint(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    if (n->now_us > s->put.valid_until_us || retry_overtaken(n, s)) {
        answer(n, &s->origin, GT_ESTALE, OUTCOME_NOT_APPLIED,
               "the attempt took too long; not applied", fx);
        coord_end(n, id, s);
        return;
    }
    uint64_t now = clock_stamp(n), age = (uint64_t)s->head.age_ms << 16;
    uint64_t stamp = s->put.first_stamp ? s->put.first_stamp : now > age ? now - age : 1;
    asked(n, s, PUT_STORING);
    put_store(n, id, s, stamp, false, fx);
}

void retry_progress(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    if (!s->expired)
        coord_read_more(n, id, s, true, ask_self, ask_peer, fx);
    enum quorum_verdict verdict = quorum_judge(&s->quorum, false);
    if (verdict == QUORUM_WAIT)
        return;
    if (verdict == QUORUM_LOST || s->expired)
        too_few(n, id, s, fx);
    else if (too_old(s))
        refuse_old(n, id, s, fx);
    else
        mint(n, id, s, fx);
}

/* Owner i does not know it, or cannot tell. */
static void unknown(struct node *n, uint64_t id, struct slot *s, uint32_t i, bool tells,
                    uint64_t length_ms, struct gt_effects *fx)
{
    if (tells)
        quorum_answer(&s->quorum, i);
    else
        quorum_fail(&s->quorum, i);
    if (tells && length_ms < s->put.length_ms)
        s->put.length_ms = length_ms;
    coord_date(n, id, s);
    retry_progress(n, id, s, fx);
}

void retry_told_here(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                     struct gt_effects *fx)
{
    if (s->put.phase != PUT_ASKING)
        return;
    if (!r->result && r->known_op) {
        asked(n, s, PUT_STORING);
        put_store(n, id, s, 0, true, fx);
        return;
    }
    bool tells = !r->result && !r->untold && !fill_has_no_vote(n, s->partition);
    unknown(n, id, s, s->self, tells, r->length_ms, fx);
}

/* Merges the state that includes the operation here. The request borrows from one blob, and its key
 * is not in the answer: so they are copied together. False: memory is out. */
static bool merge_begin(struct node *n, const struct msg *m, struct slot *s, struct gt_effects *fx)
{
    struct slice key = s->key, record = m->operation_reply.record, dots = m->operation_reply.dots,
                 operations = m->operation_reply.operations;
    struct slice *parts[] = {&key, &record, &dots, &operations};
    struct blob *hold = slices_join(parts, sizeof(parts) / sizeof(parts[0]));
    if (!hold)
        return false;
    asked(n, s, PUT_MERGING);
    struct store_request r = {.kind = STORE_MERGE,
                              .tag = m->id,
                              .deadline_us = s->deadline_us,
                              .hold = hold,
                              .partition = s->partition,
                              .key = key,
                              .record = record,
                              .dots = dots,
                              .operations = operations,
                              .stamp = n->hlc.last};
    effects_store(fx, &r);
    coord_asked(n, m->id, s, s->self);
    return true;
}

void retry_told(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    struct slot *s = slots_find(n->slots, m->id);
    int owner =
        s && s->kind == SLOT_PUT && s->put.phase == PUT_ASKING ? coord_owner(s, ev->peer) : -1;
    if (owner < 0)
        return;
    const struct reply_head *head = &m->operation_reply.head;
    s->stale |= error_stale(head->error);
    if (head->error || !(head->flags & REPLY_KNOWN)) {
        bool tells = !head->error && !(head->flags & REPLY_UNKNOWN);
        unknown(n, m->id, s, (uint32_t)owner, tells, m->operation_reply.length_ms, fx);
        return;
    }
    if (!merge_begin(n, m, s, fx))
        unknown(n, m->id, s, (uint32_t)owner, false, 0, fx);
}

void retry_merged(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                  struct gt_effects *fx)
{
    if (s->answered) {
        coord_end(n, id, s);
        return;
    }
    if (r->result) {
        char text[MSG_TEXT_BYTES];
        snprintf(text, sizeof(text), "%s: %s; in doubt", node_label(n), error_text(r->result));
        answer(n, &s->origin, r->result, OUTCOME_IN_DOUBT, text, fx);
        coord_end(n, id, s);
        return;
    }
    s->put.phase = PUT_STORING;
    put_store(n, id, s, 0, true, fx);
}
