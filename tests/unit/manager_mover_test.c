/*
 * The mover against a model of nodes: members come, go, die and return, people drain, remove,
 * cancel and pause, heartbeats come in any order, and every map that follows from it is compared
 * with what the nodes truly have.
 */
#include "manager/mover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/base/prng.h"

#define NODES_MAX      12
#define PARTITIONS     24
#define BEATS_MAX      32
#define LEASE_US       1500000u
#define REPLACE_US     10000000u
#define DISORDER_STEPS 400
#define QUIET_STEPS    4000

struct node {
    bool alive;
    uint64_t incarnation;
    struct ring *ring; /* durable there; NULL: none yet */
    bool holds[PARTITIONS];
    /* The fence of the move for which it has filled; and whether it has dropped what it must. */
    struct epoch filled[PARTITIONS];
    bool dropped[PARTITIONS];
    bool hints;
    uint64_t beat_us; /* its last heartbeat that was heard */
};

/* A heartbeat on its way. */
struct beat {
    struct msg msg;
    uint32_t node;
    uint8_t done[2 * PARTITIONS], heard[8 * NODES_MAX];
};

struct world {
    struct prng dice;
    struct mover mover;
    struct ring *told, *draft;    /* draft: NULL when nothing has changed */
    struct node nodes[NODES_MAX]; /* by member index */
    struct beat beats[BEATS_MAX];
    uint32_t beat_count;
    uint64_t now_us, ballot, trace, maps, moved, cancelled;
    bool disorder;
};

static bool chance(struct world *w, uint32_t percent)
{
    return prng_below(&w->dice, 100) < percent;
}

static uint64_t node_id(uint32_t index)
{
    return 500 + index;
}

/* ---- what must hold -------------------------------------------------------------------------- */

static bool same_list(const uint16_t *a, uint32_t a_count, const uint16_t *b, uint32_t b_count)
{
    return a_count == b_count && memcmp(a, b, a_count * sizeof(*a)) == 0;
}

/* Of these members so many surely have a map of that epoch; those whose lease is over as well. */
static uint32_t fenced(const struct world *w, const struct ring *r, const uint16_t *list,
                       uint32_t count, struct epoch since, bool leases)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct node *n = &w->nodes[list[i]];
        const struct member *m = &r->members[list[i]];
        bool has = n->ring && epoch_compare(n->ring->epoch, since) >= 0;
        bool silent = w->now_us > n->beat_us + 2 * LEASE_US;
        found +=
            has || (silent && (m->state == MEMBER_REMOVED || (leases && m->state == MEMBER_DOWN)));
    }
    return found;
}

static void expect_read_new(const struct world *w, const struct ring *from, const struct ring *to,
                            uint32_t p)
{
    const struct arc *was = &from->arcs[p], *now = &to->arcs[p];
    uint32_t write, read;
    int coming = ring_coming(from, p);
    assert_int_equal(was->phase, ARC_PREPARE);
    assert_true(same_list(was->owners, was->owner_count, now->beside, now->beside_count));
    assert_true(same_list(was->beside, was->beside_count, now->owners, now->owner_count));
    ring_list_quorums(from, was->owner_count, &write, &read);
    assert_true(fenced(w, to, was->owners, was->owner_count, was->write_since, false) >=
                was->owner_count - write + 1);
    if (coming >= 0)
        assert_true(w->nodes[coming].holds[p]);
    for (uint32_t i = 0; coming < 0 && i < was->beside_count; i++)
        assert_true(to->members[was->beside[i]].state == MEMBER_REMOVED ||
                    epoch_compare(w->nodes[was->beside[i]].filled[p], was->write_since) == 0);
}

static void expect_read_old_ended(const struct world *w, const struct ring *from,
                                  const struct ring *to, uint32_t p)
{
    const struct arc *was = &from->arcs[p];
    uint32_t write, read;
    ring_list_quorums(from, was->beside_count, &write, &read);
    assert_true(fenced(w, to, was->beside, was->beside_count, was->read_since, read == 1) >=
                was->beside_count - read + 1);
}

static void expect_dropped(const struct world *w, const struct ring *to, int leaver, uint32_t p)
{
    if (leaver < 0 || to->members[leaver].state == MEMBER_REMOVED || to->members[leaver].refill)
        return;
    assert_false(w->nodes[leaver].holds[p]);
}

static void expect_arc(struct world *w, const struct ring *from, const struct ring *to, uint32_t p)
{
    const struct arc *was = &from->arcs[p], *now = &to->arcs[p];
    bool owners_kept = same_list(was->owners, was->owner_count, now->owners, now->owner_count);
    int leaver = ring_leaving(from, p), comer = ring_coming(from, p);
    if (was->phase == now->phase && now->phase != ARC_STABLE) {
        assert_true(owners_kept);
        assert_true(same_list(was->beside, was->beside_count, now->beside, now->beside_count));
    } else if (was->phase == ARC_STABLE && now->phase == ARC_STABLE) {
        struct placement_move moves[REPLICAS_MAX]; /* the order alone */
        assert_int_equal(placement_moves(was, now, p, moves), 0);
        assert_int_equal(was->owner_count, now->owner_count);
    } else if (was->phase == ARC_STABLE) {
        assert_int_equal(now->phase, ARC_PREPARE);
        assert_true(owners_kept);
        int coming = ring_coming(to, p);
        assert_true(coming < 0 || to->members[coming].state == MEMBER_UP ||
                    to->members[coming].state == MEMBER_JOINING);
    } else if (now->phase == ARC_READ_NEW) {
        expect_read_new(w, from, to, p);
        w->moved++;
    } else if (was->phase == ARC_PREPARE) { /* cancelled */
        assert_true(owners_kept);
        assert_true(now->phase == ARC_CLEANUP || comer < 0 ||
                    to->members[comer].state == MEMBER_REMOVED);
        w->cancelled++;
    } else if (was->phase == ARC_READ_NEW) {
        assert_true(owners_kept);
        assert_true(now->phase == ARC_CLEANUP || leaver < 0 ||
                    to->members[leaver].state == MEMBER_REMOVED);
        expect_read_old_ended(w, from, to, p);
    } else {
        assert_int_equal(was->phase, ARC_CLEANUP);
        assert_int_equal(now->phase, ARC_STABLE);
        struct placement_move moves[REPLICAS_MAX];
        assert_int_equal(placement_moves(was, now, p, moves), 0);
        expect_dropped(w, to, leaver, p);
    }
}

/* Owners that could tell what is in the arc: with fewer than this nothing could be proved. */
static void expect_held(const struct world *w, const struct ring *r, uint32_t p)
{
    for (uint32_t i = 0; i < r->arcs[p].owner_count; i++)
        if (r->members[r->arcs[p].owners[i]].state != MEMBER_REMOVED)
            assert_true(w->nodes[r->arcs[p].owners[i]].holds[p]);
}

static void expect_bounds(const struct ring *from, const struct ring *to)
{
    uint32_t open = 0, receiving[NODES_MAX] = {0};
    bool begun = false;
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        open += arc_doubled(&to->arcs[p]);
        begun |= from->arcs[p].phase == ARC_STABLE && to->arcs[p].phase == ARC_PREPARE;
        if (to->arcs[p].phase == ARC_PREPARE && ring_coming(to, p) >= 0)
            receiving[ring_coming(to, p)]++;
    }
    assert_true(open <= MOVES_OPEN_MAX);
    assert_true(!begun || from->rebalance == REBALANCE_RUNNING ||
                to->rebalance == REBALANCE_RUNNING);
    for (uint32_t i = 0; i < to->member_count; i++)
        assert_true(receiving[i] <= MOVES_TO_MEMBER_MAX);
}

/* Who is replaced may be back, as it was, before it is seen that it was not there. */
static void expect_looked_at_again(const struct world *w, const struct ring *from,
                                   const struct ring *to)
{
    for (uint32_t i = 0; i < from->member_count; i++)
        if (!from->members[i].replacing && to->members[i].replacing)
            assert_int_equal(w->mover.judged_for, 0);
}

static void expect_map(struct world *w, const struct ring *from, const struct ring *to)
{
    assert_int_equal(ring_check(to), 0);
    uint32_t replacing = 0;
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        expect_arc(w, from, to, p);
        expect_held(w, to, p);
    }
    for (uint32_t i = 0; i < to->member_count; i++)
        replacing += to->members[i].replacing;
    assert_true(replacing <= 1);
    expect_bounds(from, to);
}

/* ---- the manager around it ------------------------------------------------------------------- */

/* As the catalog does it: the epochs of fences are those of the map that begins the phase. */
static void fences_set(const struct ring *from, struct ring *to)
{
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        if (from->arcs[p].phase == ARC_STABLE && to->arcs[p].phase == ARC_PREPARE)
            to->arcs[p].write_since = to->epoch;
        if (from->arcs[p].phase == ARC_PREPARE && to->arcs[p].phase == ARC_READ_NEW)
            to->arcs[p].read_since = to->epoch;
    }
}

static void map_commit(struct world *w)
{
    if (!w->draft)
        return;
    struct ring *from = w->told;
    w->told = w->draft;
    w->draft = NULL;
    w->told->epoch = (struct epoch){w->ballot, from->epoch.counter + 1};
    fences_set(from, w->told);
    struct blob *bytes = msg_map_bytes(w->told);
    w->trace = hash_bytes(slice_blob(bytes)) ^ w->trace * 31;
    w->maps++;
    blob_unref(bytes);
    expect_map(w, from, w->told);
    assert_int_equal(mover_told(&w->mover, w->told), 0);
    ring_unref(from);
}

static const struct ring *newest(const struct world *w)
{
    return w->draft ? w->draft : w->told;
}

static struct ring *edit_with(struct world *w, uint32_t member_count)
{
    struct ring *draft = ring_copy(newest(w), member_count);
    assert_non_null(draft);
    ring_unref(w->draft);
    w->draft = draft;
    return draft;
}

static struct ring *edit(struct world *w)
{
    return edit_with(w, newest(w)->member_count);
}

static void manager_turn(struct world *w)
{
    struct ring *draft = ring_copy(newest(w), newest(w)->member_count);
    assert_non_null(draft);
    w->mover.judged_for = 1;
    if (mover_step(&w->mover, w->told, draft, w->now_us)) {
        expect_looked_at_again(w, newest(w), draft);
        ring_unref(w->draft);
        w->draft = draft;
    } else {
        ring_unref(draft);
    }
    map_commit(w);
}

static void member_join(struct world *w)
{
    uint32_t index = newest(w)->member_count;
    if (index == NODES_MAX)
        return;
    struct ring *draft = edit_with(w, index + 1);
    struct member *m = &draft->members[index];
    *m = (struct member){.id = node_id(index), .incarnation = 7, .state = MEMBER_JOINING};
    m->capacity = chance(w, 70) ? 1 : 2;
    snprintf(m->label, sizeof(m->label), "node%u", index + 1);
    snprintf(m->zone, sizeof(m->zone), "z%u", (unsigned)prng_below(&w->dice, 3));
    w->nodes[index] = (struct node){.alive = true, .incarnation = 7, .beat_us = w->now_us};
    mover_joined(&w->mover, index, node_id(index), w->now_us);
    map_commit(w);
}

static void world_begin(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof(*w));
    prng_init(&w->dice, seed);
    w->now_us = 1000000;
    assert_int_equal(mover_init(&w->mover, LEASE_US, chance(w, 60) ? REPLACE_US : 0), 0);
    w->mover.start_us = w->now_us;
    uint32_t count = 1 + (uint32_t)prng_below(&w->dice, 6);
    struct ring *r = ring_new(count, PARTITIONS);
    assert_non_null(r);
    r->settings.replicas = 1 + (uint32_t)prng_below(&w->dice, 4);
    uint32_t n = r->settings.replicas;
    r->settings.write_quorum = n / 2 + 1 + (uint32_t)prng_below(&w->dice, n - n / 2);
    uint32_t least = n + 1 - r->settings.write_quorum;
    r->settings.read_quorum = least + (uint32_t)prng_below(&w->dice, n - least + 1);
    r->settings.form_nodes = count;
    r->formed = true;
    for (uint32_t i = 0; i < count; i++) {
        struct member *m = &r->members[i];
        m->id = node_id(i);
        m->incarnation = 7;
        m->capacity = 1;
        m->state = MEMBER_UP;
        snprintf(m->label, sizeof(m->label), "node%u", i + 1);
        snprintf(m->zone, sizeof(m->zone), "z%u", (unsigned)prng_below(&w->dice, 3));
        w->nodes[i] = (struct node){.alive = true, .incarnation = 7, .beat_us = w->now_us};
    }
    assert_int_equal(placement_form(r), 0);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        for (uint32_t i = 0; i < r->arcs[p].owner_count; i++)
            w->nodes[r->arcs[p].owners[i]].holds[p] = true;
    w->ballot = 1;
    r->epoch = (struct epoch){w->ballot, 1};
    w->told = r;
    assert_int_equal(mover_told(&w->mover, w->told), 0);
}

static void world_end(struct world *w)
{
    for (uint32_t i = 0; i < NODES_MAX; i++)
        ring_unref(w->nodes[i].ring);
    mover_close(&w->mover);
    ring_unref(w->told);
    ring_unref(w->draft);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

/* It acts on its own durable map, at its own pace. */
static void node_work(struct world *w, uint32_t i)
{
    struct node *n = &w->nodes[i];
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        const struct arc *a = &n->ring->arcs[p];
        enum ring_part part = ring_part(n->ring, p, i);
        bool stays = part == PART_OWNER && a->phase == ARC_PREPARE && ring_coming(n->ring, p) < 0 &&
                     ring_leaving(n->ring, p) != (int)i;
        bool fills = part == PART_RECEIVER || stays;
        if (part != PART_LEAVER)
            n->dropped[p] = false;
        if (fills && chance(w, w->disorder ? 30 : 80)) {
            n->holds[p] = true;
            n->filled[p] = a->write_since;
        }
        if (part == PART_LEAVER && chance(w, w->disorder ? 30 : 80)) {
            n->holds[p] = false;
            n->dropped[p] = true;
            n->filled[p] = (struct epoch){0, 0};
        }
    }
}

static void node_adopt(struct world *w, uint32_t i)
{
    struct node *n = &w->nodes[i];
    bool known = ring_member_by_id(w->told, node_id(i)) >= 0;
    if (!known || (n->ring && epoch_compare(n->ring->epoch, w->told->epoch) >= 0))
        return;
    ring_unref(n->ring);
    n->ring = ring_ref(w->told);
}

static bool is_done(const struct node *n, uint32_t i, uint32_t p)
{
    const struct arc *a = &n->ring->arcs[p];
    if (a->phase == ARC_PREPARE)
        return epoch_compare(n->filled[p], a->write_since) == 0;
    return ring_part(n->ring, p, i) == PART_LEAVER && n->dropped[p];
}

static void beat_write(struct world *w, uint32_t i)
{
    const struct node *n = &w->nodes[i];
    struct beat *b = &w->beats[w->beat_count++];
    size_t done = 0, heard = 0;
    *b = (struct beat){.node = i, .msg = {.type = MSG_HEARTBEAT, .epoch = n->ring->epoch}};
    for (uint32_t p = 0; p < PARTITIONS; p++)
        if (is_done(n, i, p)) {
            le16_put(b->done + done, (uint16_t)p);
            done += 2;
        }
    for (uint32_t k = 0; k < w->told->member_count; k++)
        if (k != i && w->nodes[k].alive) {
            le64_put(b->heard + heard, node_id(k));
            heard += 8;
        }
    b->msg.heartbeat.node = node_id(i);
    b->msg.heartbeat.incarnation = n->incarnation;
    b->msg.heartbeat.report.hints = n->hints;
    b->msg.heartbeat.done.bytes = done;
    b->msg.heartbeat.heard.bytes = heard;
}

static bool owns_any(const struct ring *r, uint32_t i)
{
    return ring_tokens_of(r, i) > 0;
}

static void beat_hear(struct world *w, uint32_t at)
{
    struct beat b = w->beats[at];
    w->beats[at] = w->beats[--w->beat_count];
    const struct ring *r = newest(w);
    const struct member *m = &r->members[b.node];
    if (m->state == MEMBER_REMOVED || m->incarnation != b.msg.heartbeat.incarnation)
        return;
    b.msg.heartbeat.done.data = b.done;
    b.msg.heartbeat.heard.data = b.heard;
    mover_hear(&w->mover, r, b.node, &b.msg, w->now_us);
    w->nodes[b.node].beat_us = w->now_us;
    if (m->state == MEMBER_DOWN)
        edit(w)->members[b.node].state = owns_any(newest(w), b.node) ? MEMBER_UP : MEMBER_JOINING;
}

/* It comes back as a new life; where it was marked, it has laid aside what it had. */
static void node_return(struct world *w, uint32_t i)
{
    struct node *n = &w->nodes[i];
    struct ring *draft = edit(w);
    struct member *m = &draft->members[i];
    n->alive = true;
    n->beat_us = w->now_us;
    mover_joined(&w->mover, i, node_id(i), w->now_us);
    n->incarnation = (n->incarnation > m->incarnation ? n->incarnation : m->incarnation) + 1;
    if (m->refill) {
        memset(n->holds, 0, sizeof(n->holds));
        ring_unref(n->ring); /* it does nothing before it has the map of now */
        n->ring = NULL;
    }
    m->refill = false;
    m->incarnation = n->incarnation;
    if (m->state == MEMBER_DOWN)
        m->state = owns_any(draft, i) ? MEMBER_UP : MEMBER_JOINING;
    map_commit(w);
}

static void nodes_turn(struct world *w)
{
    for (uint32_t i = 0; i < w->told->member_count; i++) {
        struct node *n = &w->nodes[i];
        if (!n->alive || w->told->members[i].state == MEMBER_REMOVED)
            continue;
        if (n->incarnation < w->told->members[i].incarnation)
            node_return(w, i); /* it was marked meanwhile, and registers anew */
        if (chance(w, w->disorder ? 40 : 90))
            node_adopt(w, i);
        if (!n->ring)
            continue;
        n->hints = w->disorder && chance(w, 20);
        node_work(w, i);
        if (w->beat_count < BEATS_MAX && chance(w, 60))
            beat_write(w, i);
    }
    while (w->beat_count > 0 && chance(w, w->disorder ? 60 : 95))
        beat_hear(w, (uint32_t)prng_below(&w->dice, w->beat_count));
}

/* ---- people and faults ----------------------------------------------------------------------- */

static uint32_t any_member(struct world *w)
{
    return (uint32_t)prng_below(&w->dice, w->told->member_count);
}

static uint32_t members_left(const struct ring *r)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < r->member_count; i++)
        left += r->members[i].state != MEMBER_REMOVED && !r->members[i].leaving;
    return left;
}

/* Without the member each arc has as many that hold it as every write surely reached. */
static bool may_remove(const struct ring *r, uint32_t member)
{
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        uint32_t n, write, read, left = 0;
        ring_quorums(r, p, &n, &write, &read);
        for (uint32_t i = 0; i < n; i++)
            left += r->arcs[p].owners[i] != member &&
                    r->members[r->arcs[p].owners[i]].state != MEMBER_REMOVED;
        if (ring_slot(r, p, member) >= 0 && left < n - write + 1)
            return false;
    }
    return true;
}

static void somebody_dies(struct world *w, uint32_t i)
{
    w->nodes[i].alive = false;
}

static void silent_are_marked(struct world *w)
{
    for (uint32_t i = 0; i < w->told->member_count; i++) {
        enum member_state state = newest(w)->members[i].state;
        if (!w->nodes[i].alive && state != MEMBER_DOWN && state != MEMBER_REMOVED &&
            w->now_us > w->nodes[i].beat_us + LEASE_US)
            edit(w)->members[i].state = MEMBER_DOWN;
    }
}

static void moves_cancel(struct world *w)
{
    struct ring *draft = edit(w);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        mover_cancel(draft, w->told, p);
    for (uint32_t i = 0; i < draft->member_count; i++)
        draft->members[i].leaving = false;
    draft->rebalance = REBALANCE_IDLE;
    map_commit(w);
}

/* Another manager, which knows the map and has heard nobody. */
static void manager_restarts(struct world *w)
{
    uint64_t replace_after_us = w->mover.replace_after_us;
    mover_close(&w->mover);
    assert_int_equal(mover_init(&w->mover, LEASE_US, replace_after_us), 0);
    w->mover.start_us = w->now_us;
    for (uint32_t i = 0; i < NODES_MAX; i++)
        w->nodes[i].beat_us = w->now_us;
    w->ballot++;
    edit(w);
    map_commit(w);
}

static void something_happens(struct world *w)
{
    uint32_t i = any_member(w);
    const struct ring *told = w->told;
    const struct member *m = &told->members[i];
    switch (prng_below(&w->dice, 13)) {
    case 0:
        member_join(w);
        break;
    case 1:
    case 2:
        if (m->state != MEMBER_REMOVED)
            somebody_dies(w, i);
        break;
    case 3:
    case 4:
        if (!w->nodes[i].alive && m->state != MEMBER_REMOVED)
            node_return(w, i);
        break;
    case 5: /* it was cut off for a while, and is the same */
        if (!w->nodes[i].alive && m->state != MEMBER_REMOVED && !m->refill)
            w->nodes[i].alive = true;
        break;
    case 6:
        if (m->state != MEMBER_REMOVED && members_left(told) > 1 && chance(w, 50)) {
            edit(w)->members[i].leaving = true;
            w->draft->rebalance = REBALANCE_RUNNING;
        }
        break;
    case 7:
        if (m->state == MEMBER_DOWN && members_left(told) > 1 && may_remove(told, i)) {
            edit(w)->members[i].state = MEMBER_REMOVED;
            w->draft->members[i].leaving = w->draft->members[i].replacing = false;
            w->draft->rebalance = REBALANCE_RUNNING;
        }
        break;
    case 8:
        if (chance(w, 30))
            moves_cancel(w);
        break;
    case 9:
        edit(w)->rebalance = chance(w, 50) ? REBALANCE_PAUSED : REBALANCE_RUNNING;
        break;
    case 10:
        edit(w)->members[i].capacity = 0.5 + (double)prng_below(&w->dice, 4);
        break;
    case 11:
        if (chance(w, 30))
            manager_restarts(w);
        break;
    default:
        edit(w)->rebalance = REBALANCE_RUNNING;
        break;
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool settled(const struct world *w)
{
    const struct ring *r = w->told;
    for (uint32_t i = 0; i < r->member_count; i++)
        if (r->members[i].leaving || r->members[i].replacing)
            return false;
    for (uint32_t p = 0; p < PARTITIONS; p++)
        if (r->arcs[p].phase != ARC_STABLE)
            return false;
    return r->rebalance == REBALANCE_IDLE;
}

static void expect_as_wanted(struct world *w)
{
    const struct ring *r = w->told;
    const struct arc *wanted;
    assert_int_equal(mover_wanted(&w->mover, r, &wanted), 0);
    for (uint32_t p = 0; p < PARTITIONS; p++)
        assert_true(same_list(r->arcs[p].owners, r->arcs[p].owner_count, wanted[p].owners,
                              wanted[p].owner_count));
    for (uint32_t i = 0; i < r->member_count; i++)
        for (uint32_t p = 0; p < PARTITIONS; p++)
            if (r->members[i].state != MEMBER_REMOVED && ring_slot(r, p, i) < 0)
                assert_false(w->nodes[i].holds[p]);
}

static void quiet(struct world *w)
{
    w->disorder = false;
    for (uint32_t i = 0; i < w->told->member_count; i++)
        if (!w->nodes[i].alive && w->told->members[i].state != MEMBER_REMOVED)
            node_return(w, i);
    edit(w)->rebalance = REBALANCE_RUNNING;
    map_commit(w);
    for (uint32_t step = 0; step < QUIET_STEPS && !settled(w); step++) {
        w->now_us += MOVES_PAUSE_US;
        nodes_turn(w);
        manager_turn(w);
    }
    assert_true(settled(w));
}

static uint64_t play(uint64_t seed, uint64_t *moved, uint64_t *cancelled)
{
    struct world *w = malloc(sizeof(*w));
    assert_non_null(w);
    world_begin(w, seed);
    w->disorder = true;
    for (uint32_t step = 0; step < DISORDER_STEPS; step++) {
        w->now_us += prng_below(&w->dice, 10) == 0 ? LEASE_US : MOVES_PAUSE_US;
        nodes_turn(w);
        if (chance(w, 15))
            something_happens(w);
        silent_are_marked(w);
        manager_turn(w);
    }
    quiet(w);
    expect_as_wanted(w);
    uint64_t trace = w->trace;
    *moved += w->moved;
    *cancelled += w->cancelled;
    world_end(w);
    free(w);
    return trace;
}

static void whatever_happens_moves_keep_the_rules_and_end(void **state)
{
    (void)state;
    uint64_t moved = 0, cancelled = 0;
    for (uint64_t seed = 1; seed <= 800; seed++)
        play(seed, &moved, &cancelled);
    assert_true(moved > 10000 && cancelled > 1000);
}

static void the_same_seed_gives_the_same_maps(void **state)
{
    (void)state;
    uint64_t moved = 0, cancelled = 0;
    for (uint64_t seed = 1; seed <= 50; seed++)
        assert_true(play(seed, &moved, &cancelled) == play(seed, &moved, &cancelled));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_moves_keep_the_rules_and_end),
        cmocka_unit_test(the_same_seed_gives_the_same_maps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
