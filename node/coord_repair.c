/*
 * Read repair: what a get merged, to the owners that lack part of it. It never mints (RULES 11),
 * and sets in their clocks the dots of the siblings that the answers showed, live or replaced
 * (RULES 1).
 *
 *   a get whose answers differ
 *     | answered already: one repair of a key at a time, under a rate; else left to the next get
 *     | a session or blocking get: always; not answered yet
 *   spreading: STATE to the owners that lack it, and to others where w needs them; STORE_MERGE here
 *     | w hold it ---------------------------------> the get is answered: settled
 *     | w out of reach, or the deadline -----------> a session's: UNSETTLED; blocking: GT_EQUORUM
 *   background: until each that was sent to has answered, broke its link, or was silent for 500 ms
 *
 * Owners that turn out to be slow or away get it by the next get, or by their own pull.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/operations.h"
#include "node/node_private.h"

/* ---- how many, how fast ---------------------------------------------------------------------- */

/* A place among the keys under repair: -1 when the key has one already, or none is free. */
static int place_take(struct node *n, struct slice key)
{
    uint64_t hash = hash_bytes(key);
    int free_place = -1;
    hash += hash == 0;
    for (uint32_t i = 0; i < REPAIRS_MAX; i++) {
        if (n->repairs.hashes[i] == hash)
            return -1;
        if (n->repairs.hashes[i] == 0)
            free_place = (int)i;
    }
    if (free_place >= 0)
        n->repairs.hashes[free_place] = hash;
    return free_place;
}

/* Takes the bytes from what may be sent; a debt is paid before the next repair. */
static bool rate_allows(struct node *n, uint64_t bytes)
{
    uint64_t passed_us = n->now_us - n->repairs.filled_us;
    n->repairs.filled_us = n->now_us;
    if (passed_us > 1000000)
        passed_us = 1000000;
    n->repairs.bytes_left += (int64_t)(passed_us * REPAIR_BYTES_PER_S / 1000000);
    if (n->repairs.bytes_left > (int64_t)REPAIR_BYTES_BURST)
        n->repairs.bytes_left = REPAIR_BYTES_BURST;
    if (n->repairs.bytes_left <= 0)
        return false;
    n->repairs.bytes_left -= (int64_t)bytes;
    return true;
}

void repair_drop(struct node *n, struct slot *s)
{
    blob_unref(s->repair.record);
    if (s->repair.place >= 0)
        n->repairs.hashes[s->repair.place] = 0;
}

/* ---- what is sent, and to whom --------------------------------------------------------------- */

/* A sibling that an answer showed: its dot is listed, and when it was replaced its operation is
 * told along, so that whoever lacked it knows it when it is tried again (RULES 10). */
static int shown(struct node *n, const struct slot *s, const struct sibling *sibling)
{
    uint8_t row[OPERATION_BYTES];
    if (history_covers(&n->history, sibling->dot))
        return 0;
    if (!operation_none(sibling->op) && !state_find(&n->local, sibling->dot)) {
        struct operation o = {.key_hash = hash_bytes(s->key),
                              .dot = sibling->dot,
                              .stamp = sibling->stamp,
                              .noted = n->hlc.last};
        memcpy(o.op, sibling->op, OP_ID_BYTES);
        operation_put(row, &o);
        buf_put(&n->bytes, row, sizeof(row));
    }
    return history_add(&n->history, sibling->dot);
}

/* Into s->spread: the dots of all siblings that the answers showed, live in the merged state
 * n->local, or replaced. False: memory is out. */
static bool spread_shown(struct node *n, struct slot *s)
{
    history_clear(&n->history);
    buf_clear(&n->bytes);
    for (uint32_t i = 0; i < s->quorum.total; i++) {
        if (s->quorum.state[i] != QUORUM_ANSWERED || s->get.shares[i].bytes.bytes == 0)
            continue;
        state_clear(&n->incoming);
        if (record_decode(s->get.shares[i].bytes, s->partition, s->key, &n->incoming) != 0)
            return false;
        for (uint32_t k = 0; k < n->incoming.sibling_count; k++)
            if (shown(n, s, &n->incoming.siblings[k]) != 0)
                return false;
    }
    struct blob *dots = blob_new((size_t)n->history.exact_count * DOT_BYTES);
    for (uint32_t i = 0; dots && i < n->history.exact_count; i++)
        dots_put(dots->data + (size_t)i * DOT_BYTES, n->history.exact[i]);
    s->spread = (struct spread){.dots = dots,
                                .operations = buf_blob(&n->bytes),
                                .flags = s->answered ? 0 : REQUEST_SETTLING,
                                .priority = PRIORITY_REPAIR};
    if (dots && s->spread.operations)
        return true;
    spread_drop(&s->spread);
    return false;
}

/*
 * The quorum of the spreading, into the slot: who holds the state has answered; who lacks it, or is
 * needed for w, is untried; the rest is left alone. While the arc moves, w of both lists are
 * needed. False: the list was read by a map that is in force no more; before is that of the
 * reading.
 */
static bool targets(const struct node *n, struct slot *s, const struct quorum *before,
                    struct slice record)
{
    uint64_t read[REPLICAS_MAX];
    uint32_t total, w, r, known = quorum_count(before, QUORUM_ANSWERED);
    memcpy(read, s->owners, sizeof(read));
    ring_quorums(n->ring, s->partition, &total, &w, &r);
    if (total != before->total || !coord_quorum(n, s, 0, true))
        return false;
    for (uint32_t i = 0; i < total; i++)
        if (s->owners[i] != read[i])
            return false;
    struct quorum *q = &s->quorum;
    bool others = !s->answered && (known < w || q->need_beside > 0);
    for (uint32_t i = 0; i < q->total; i++) {
        bool answered = i < total && before->state[i] == QUORUM_ANSWERED;
        q->state[i] = QUORUM_UNTRIED;
        if (answered && slice_equal(s->get.shares[i].bytes, record))
            quorum_answer(q, i);
        else if (!answered && !others)
            quorum_fail(q, i);
    }
    return true;
}

static void merge_here(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    struct slice key = s->key, record = slice_blob(s->repair.record),
                 dots = slice_blob(s->spread.dots), operations = slice_blob(s->spread.operations);
    struct slice *parts[] = {&key, &record, &dots, &operations};
    struct blob *hold = slices_join(parts, sizeof(parts) / sizeof(parts[0]));
    if (!hold) {
        quorum_fail(&s->quorum, s->self);
        return;
    }
    struct store_request r = {.kind = STORE_MERGE,
                              .tag = id,
                              .deadline_us = s->deadline_us,
                              .hold = hold,
                              .partition = s->partition,
                              .key = key,
                              .record = record,
                              .dots = dots,
                              .operations = operations,
                              .stamp = n->hlc.last};
    effects_store(fx, &r);
    coord_asked(n, id, s, s->self);
}

/* Whether the repair goes ahead, in the background only if its key and the rate allow. */
static bool admitted(struct node *n, const struct slot *s, size_t bytes, int *place)
{
    *place = place_take(n, s->key);
    if (!s->answered)
        return true;
    uint64_t cost = bytes > REPAIR_COST_MIN ? bytes : REPAIR_COST_MIN;
    bool crowded = n->coordinated > n->inflight_max / 2; /* the places are for clients */
    if (*place < 0 || crowded || !rate_allows(n, cost * quorum_count(&s->quorum, QUORUM_UNTRIED))) {
        if (*place >= 0)
            n->repairs.hashes[*place] = 0;
        n->metrics.repairs_skipped_count++;
        return false;
    }
    return true;
}

void repair_begin(struct node *n, uint64_t id, struct slot *s, struct blob *record,
                  struct gt_effects *fx)
{
    struct quorum before = s->quorum;
    uint32_t read_owners = quorum_count(&before, QUORUM_ANSWERED);
    int place = -1;
    bool shown = spread_shown(n, s);
    bool current = targets(n, s, &before, slice_blob(record));
    if (!shown || !current || !admitted(n, s, record->bytes, &place)) {
        if (!s->answered)
            answer(n, &s->origin, current ? GT_ENOMEM : GT_ESTALE, OUTCOME_DONE, NULL, fx);
        blob_unref(record);
        coord_end(n, id, s);
        return;
    }
    n->metrics.repairs_count++;
    shares_close(s->get.shares);
    blob_unref(s->get.min_left);
    s->kind = SLOT_REPAIR;
    s->repair.record = record;
    s->repair.read_owners = (uint8_t)read_owners;
    s->repair.place = place;
    if (s->quorum.state[s->self] == QUORUM_UNTRIED)
        merge_here(n, id, s, fx);
    spread_send(n, id, s, record, fx);
    coord_date(n, id, s);
    repair_progress(n, id, s, fx);
}

/* ---- counting and judging -------------------------------------------------------------------- */

void repair_counted(struct node *n, uint64_t id, struct slot *s, uint32_t owner, int error,
                    struct gt_effects *fx)
{
    s->stale |= error_stale(error);
    if (error)
        quorum_fail(&s->quorum, owner);
    else
        quorum_answer(&s->quorum, owner);
    coord_date(n, id, s);
    repair_progress(n, id, s, fx);
}

void repair_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                   struct gt_effects *fx)
{
    if (r->kind != STORE_MERGE) /* a load that the get did not wait for */
        return;
    if (!r->result)
        watch_changed(n, s->partition);
    repair_counted(n, id, s, s->self, r->result, fx);
}

static void settle(struct node *n, struct slot *s, bool settled, struct gt_effects *fx)
{
    s->answered = true;
    if (!settled && s->head.flags & REQUEST_BLOCKING) {
        char text[MSG_TEXT_BYTES];
        n->metrics.quorum_failures_count++;
        coord_quorum_text(n, s, "what was read is not settled", text);
        answer(n, &s->origin, s->stale ? GT_ESTALE : GT_EQUORUM, OUTCOME_DONE, text, fx);
        return;
    }
    state_clear(&n->local);
    int error = record_decode(slice_blob(s->repair.record), s->partition, s->key, &n->local);
    if (error) {
        answer(n, &s->origin, error, OUTCOME_DONE, NULL, fx);
        return;
    }
    n->metrics.settled_count += settled;
    n->metrics.unsettled_count += !settled;
    get_answer(n, s, s->repair.read_owners, settled ? 0 : REPLY_UNSETTLED, fx);
}

void repair_progress(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    enum quorum_verdict verdict = quorum_judge(&s->quorum, false);
    if (!s->answered && verdict == QUORUM_MET)
        settle(n, s, true, fx);
    else if (!s->answered && (verdict == QUORUM_LOST || s->expired))
        settle(n, s, false, fx);
    if (s->expired || quorum_count(&s->quorum, QUORUM_ASKED) == 0)
        coord_end(n, id, s);
}
