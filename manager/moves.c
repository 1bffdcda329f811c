/*
 * The mover in the manager: when it takes a step, when a rebalance begins by itself, and what it
 * looks like from outside. It is a file of its own because the mover knows no catalog and no
 * reports, and the manager no arcs.
 */
#include <stdlib.h>

#include "engine/base/error.h"
#include "manager/manager_private.h"

/* What a plan that has not begun is reckoned with: bytes in a second of all streams together, and
 * how long one round of as many moves as may be open takes, however little they carry. */
#define PACE_BYTES_A_SECOND (20u << 20)
#define ROUND_SECONDS       3u

/* ---- steps ----------------------------------------------------------------------------------- */

void moves_told(struct manager *m)
{
    const struct ring *told = m->catalog.told;
    bool first = m->settings_since.ballot != told->epoch.ballot;
    if (first || memcmp(&m->settings, &told->settings, sizeof(m->settings)) != 0)
        m->settings_since = told->epoch;
    m->settings = told->settings;
    if (mover_told(&m->mover, told) != 0)
        log_warn(m->log, "out of memory: moves wait for the next map");
}

/* A change of members is looked at once, when nobody has joined for a while. */
static uint64_t judge_us(const struct manager *m)
{
    const struct ring *told = m->catalog.told;
    bool may = m->rebalance_auto && m->mover.judge && told && told->formed &&
               told->rebalance == REBALANCE_IDLE && !m->catalog.writing;
    return may ? m->last_join_us + REBALANCE_WAIT_US : UINT64_MAX;
}

/* For members such as these it was looked at, or a person has cancelled. */
static bool is_judged(const struct mover *v, const struct ring *r, uint64_t inputs)
{
    return inputs == v->judged_for || inputs == r->cancelled_for;
}

static void judge(struct manager *m)
{
    const struct ring *newest = catalog_newest(&m->catalog);
    uint64_t left, inputs = mover_inputs(newest);
    m->mover.judge = false;
    if (is_judged(&m->mover, newest, inputs))
        return;
    m->mover.judged_for = inputs;
    left = mover_left(&m->mover, newest);
    if (left == 0)
        return;
    log_info(m->log, "rebalance begins by itself moves=%llu", (unsigned long long)left);
    moves_begin_all(m);
}

bool moves_begin_all(struct manager *m)
{
    const struct ring *newest = catalog_newest(&m->catalog);
    if (newest->rebalance != REBALANCE_IDLE)
        return true;
    struct ring *draft = catalog_edit(&m->catalog, newest->member_count);
    if (!draft)
        return false;
    draft->rebalance = REBALANCE_RUNNING;
    draft->cancelled_for = 0;
    events_add(m->events, EVENT_REBALANCE, "begun");
    return true;
}

/* When the next step is due; UINT64_MAX: not before something comes. */
static uint64_t step_us(const struct manager *m)
{
    const struct ring *told = m->catalog.told;
    if (!told || !told->formed || m->catalog.writing)
        return UINT64_MAX;
    uint64_t at = m->mover.news ? 0 : mover_deadline_us(&m->mover, told);
    return at < m->move_us ? m->move_us : at;
}

/* What a person will want to know afterwards. */
static void changes_note(struct manager *m, const struct ring *before, const struct ring *after)
{
    if (before->rebalance != after->rebalance)
        events_add(m->events, EVENT_REBALANCE, "%s",
                   after->rebalance == REBALANCE_IDLE ? "ended" : "begun");
    for (uint32_t i = 0; i < before->member_count; i++) {
        const struct member *was = &before->members[i], *is = &after->members[i];
        if (!was->replacing && is->replacing)
            events_add(m->events, EVENT_NODE_REPLACED, "%s: its places go to others", is->label);
        if (was->replacing && !is->replacing)
            events_add(m->events, EVENT_NODE_REPLACED, "%s: %s", is->label,
                       is->state == MEMBER_DOWN ? "its places have gone; it fills on its return"
                                                : "it is back, and keeps the others");
        if (was->state != MEMBER_REMOVED && is->state == MEMBER_REMOVED)
            events_add(m->events, EVENT_NODE_REMOVED, "%s: it is drained", is->label);
    }
}

void moves_step(struct manager *m, uint64_t now_us)
{
    m->mover.start_us = m->start_us;
    if (judge_us(m) <= now_us)
        judge(m);
    if (step_us(m) > now_us)
        return;
    const struct ring *newest = catalog_newest(&m->catalog);
    struct ring *draft = ring_copy(newest, newest->member_count);
    if (draft && !mover_step(&m->mover, m->catalog.told, draft, now_us)) {
        ring_unref(draft);
        return;
    }
    m->move_us = now_us + MOVES_PAUSE_US; /* out of memory: tried again then */
    if (!draft)
        return;
    changes_note(m, newest, draft);
    catalog_begin(&m->catalog, draft);
}

uint64_t moves_deadline_us(const struct manager *m)
{
    uint64_t step = step_us(m), look = judge_us(m);
    return step < look ? step : look;
}

/* ---- how much it is -------------------------------------------------------------------------- */

/* What is in the tokens of each member, by its own report, and of all who have told. */
struct sizes {
    uint32_t tokens[MEMBERS_MAX];
    uint64_t keys[MEMBERS_MAX], bytes[MEMBERS_MAX];
    uint64_t all_tokens, all_bytes;
};

static void tokens_count(const struct ring *r, uint32_t *tokens)
{
    for (uint32_t p = 0; r->formed && p < r->settings.partitions; p++)
        for (uint32_t i = 0; i < r->arcs[p].owner_count; i++)
            tokens[r->arcs[p].owners[i]]++;
}

static void sizes_take(const struct manager *m, const struct ring *r, struct sizes *s)
{
    *s = (struct sizes){.all_tokens = 0};
    tokens_count(r, s->tokens);
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct node_report *report = &m->sightings[i].report;
        if (!m->sightings[i].report_known || s->tokens[i] == 0)
            continue;
        s->keys[i] = report->keys;
        s->bytes[i] = report->stored_bytes;
        s->all_tokens += s->tokens[i];
        s->all_bytes += report->stored_bytes;
    }
}

/* About: an equal part of what is in the tokens of who gives it, or of all. */
static uint64_t move_bytes(const struct sizes *s, const struct placement_move *move)
{
    if (move->to < 0)
        return 0; /* nothing is copied */
    if (move->from >= 0 && s->bytes[move->from] > 0)
        return s->bytes[move->from] / s->tokens[move->from];
    return s->all_tokens ? s->all_bytes / s->all_tokens : 0;
}

static uint64_t reckoned_s(uint64_t moves, uint64_t bytes)
{
    uint64_t rounds = (moves + MOVES_OPEN_MAX - 1) / MOVES_OPEN_MAX;
    return rounds * ROUND_SECONDS + bytes / PACE_BYTES_A_SECOND;
}

/* ---- status ---------------------------------------------------------------------------------- */

static uint64_t open_bytes(const struct ring *r, const struct sizes *s)
{
    uint64_t bytes = 0;
    for (uint32_t p = 0; p < r->settings.partitions; p++)
        if (r->arcs[p].phase == ARC_PREPARE) {
            struct placement_move move = {p, ring_leaving(r, p), ring_coming(r, p)};
            bytes += move_bytes(s, &move);
        }
    return bytes;
}

/* How many moves are not begun yet, and what they carry. */
static uint64_t planned(struct manager *m, const struct ring *r, const struct sizes *s,
                        uint64_t *bytes)
{
    const struct arc *wanted;
    uint64_t left = 0;
    if (mover_wanted(&m->mover, r, &wanted) != 0)
        return 0;
    for (uint32_t p = 0; p < r->settings.partitions; p++) {
        struct placement_move moves[REPLICAS_MAX];
        uint32_t count = mover_moves(r, wanted, p, moves);
        for (uint32_t i = 0; i < count; i++)
            *bytes += move_bytes(s, &moves[i]);
        left += count;
    }
    return left;
}

void moves_status(struct manager *m, const struct ring *told, struct status *out, uint64_t now_us)
{
    struct mover *v = &m->mover;
    struct sizes sizes;
    if (!told->formed)
        return;
    sizes_take(m, told, &sizes);
    bool on = told->rebalance != REBALANCE_IDLE;
    out->moves_bytes_left = open_bytes(told, &sizes);
    uint64_t left = out->moves_prepare + out->moves_read_new;
    left += on ? planned(m, told, &sizes, &out->moves_bytes_left) : 0;
    out->moves_done = v->done;
    out->moves_total = v->done + left;
    out->moves_eta_s = left == 0 ? 0 : reckoned_s(left, out->moves_bytes_left);
    if (left > 0 && v->done > 0 && now_us > v->begun_us)
        out->moves_eta_s = left * (now_us - v->begun_us) / v->done / 1000000 + 1;
    out->rebalance_pending =
        m->rebalance_auto && !on && v->judge && !is_judged(v, told, mover_inputs(told));
}

/* ---- plan ------------------------------------------------------------------------------------ */

struct plan_text {
    struct plan_node *nodes;
    struct buf moves;
    uint64_t count, bytes;
    uint32_t order_changes;
};

static void move_put(struct buf *to, const struct placement_move *move)
{
    uint8_t row[MOVE_BYTES];
    le16_put(row, (uint16_t)move->partition);
    le16_put(row + 2, move->from < 0 ? MOVE_NOBODY : (uint16_t)move->from);
    le16_put(row + 4, move->to < 0 ? MOVE_NOBODY : (uint16_t)move->to);
    buf_put(to, row, sizeof(row));
}

static void plan_moves(const struct ring *r, const struct arc *wanted, const struct sizes *s,
                       struct plan_text *out)
{
    for (uint32_t p = 0; p < r->settings.partitions; p++) {
        struct placement_move moves[REPLICAS_MAX];
        struct arc settled = mover_settled(&r->arcs[p]);
        uint32_t count = mover_moves(r, wanted, p, moves);
        for (uint32_t i = 0; i < count; i++) {
            move_put(&out->moves, &moves[i]);
            out->bytes += move_bytes(s, &moves[i]);
        }
        out->count += count;
        out->order_changes += count == 0 && !arc_owners_equal(&settled, &wanted[p]);
        for (uint32_t i = 0; i < wanted[p].owner_count; i++)
            out->nodes[wanted[p].owners[i]].tokens_after++;
    }
}

static void plan_nodes(const struct ring *r, const struct sizes *s, struct plan_node *nodes)
{
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct member *member = &r->members[i];
        nodes[i].label = slice_text(member->label);
        nodes[i].takes_part = mover_takes_part(member, s->tokens[i] > 0);
        nodes[i].capacity = member->capacity;
        nodes[i].tokens = s->tokens[i];
        nodes[i].keys = s->keys[i];
        nodes[i].bytes = s->bytes[i];
    }
}

static int plan_make(struct manager *m, const struct ring *told, struct plan_text *out)
{
    const struct arc *wanted;
    struct sizes sizes;
    int error = mover_wanted(&m->mover, told, &wanted);
    if (error)
        return error;
    out->nodes = calloc(told->member_count + 1, sizeof(*out->nodes));
    if (!out->nodes)
        return GT_ENOMEM;
    sizes_take(m, told, &sizes);
    plan_nodes(told, &sizes, out->nodes);
    plan_moves(told, wanted, &sizes, out);
    return out->moves.failed ? GT_ENOMEM : 0;
}

void plan_answer(struct manager *m, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct ring *told = m->catalog.told;
    struct msg reply = reply_to(m, ev);
    struct plan_text plan = {.nodes = NULL};
    buf_init(&plan.moves, (size_t)PARTITIONS_MAX * REPLICAS_MAX * MOVE_BYTES);
    int error = !told || !leading(m) ? GT_EBUSY
                : !told->formed      ? GT_EFORMING
                                     : plan_make(m, told, &plan);
    reply.plan_reply.error = error;
    if (error) {
        reply.plan_reply.text =
            slice_text(error == GT_EBUSY ? NOT_LEADING_TEXT : error_text(error));
    } else {
        reply.plan_reply.formed = true;
        reply.plan_reply.rebalance = told->rebalance;
        reply.plan_reply.eta_s = plan.count ? reckoned_s(plan.count, plan.bytes) : 0;
        reply.plan_reply.order_changes = plan.order_changes;
        reply.plan_reply.nodes = plan.nodes;
        reply.plan_reply.node_count = told->member_count;
        reply.plan_reply.moves = slice_of(plan.moves.data, plan.moves.bytes);
    }
    effects_reply(fx, ev->link, &reply);
    buf_close(&plan.moves);
    free(plan.nodes);
}
