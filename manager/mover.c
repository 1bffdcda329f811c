#include "manager/mover.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/buf.h"

static bool epoch_zero(struct epoch e)
{
    return e.ballot == 0 && e.counter == 0;
}

int mover_init(struct mover *v, uint64_t lease_us, uint64_t replace_after_us)
{
    *v = (struct mover){.lease_us = lease_us, .replace_after_us = replace_after_us};
    v->seen = calloc(MEMBERS_MAX, sizeof(*v->seen));
    v->unnamed_since = calloc(MEMBERS_MAX, sizeof(*v->unnamed_since));
    if (v->seen && v->unnamed_since)
        return 0;
    mover_close(v);
    return GT_ENOMEM;
}

void mover_close(struct mover *v)
{
    for (uint32_t i = 0; v->seen && i < MEMBERS_MAX; i++)
        free(v->seen[i].done);
    free(v->seen);
    free(v->unnamed_since);
    free(v->cleanup_since);
    free(v->target);
    *v = (struct mover){0};
}

void mover_forget(struct mover *v)
{
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        free(v->seen[i].done);
        v->seen[i] = (struct mover_seen){0};
        v->unnamed_since[i] = (struct epoch){0, 0};
    }
    free(v->cleanup_since);
    free(v->target);
    *v = (struct mover){.lease_us = v->lease_us,
                        .replace_after_us = v->replace_after_us,
                        .seen = v->seen,
                        .unnamed_since = v->unnamed_since};
}

/* ---- what members say ------------------------------------------------------------------------ */

static int partition_order(const void *left, const void *right)
{
    uint16_t a = *(const uint16_t *)left, b = *(const uint16_t *)right;
    return a < b ? -1 : a > b;
}

/* Sorted; the partitions are wanted by binary search. */
static void done_take(struct mover_seen *s, struct slice run)
{
    uint32_t count = (uint32_t)(run.bytes / 2);
    if (count > MOVES_DONE_TOLD_MAX)
        count = MOVES_DONE_TOLD_MAX;
    uint16_t *done = count ? malloc(count * sizeof(*done)) : NULL;
    free(s->done);
    s->done = done;
    s->done_count = done ? count : 0; /* out of memory: it is said again */
    for (uint32_t i = 0; i < s->done_count; i++)
        done[i] = le16_get(run.data + 2 * (size_t)i);
    if (s->done_count > 1)
        qsort(done, count, sizeof(*done), partition_order);
}

static void hears_take(struct mover_seen *s, const struct ring *r, struct slice run)
{
    memset(s->hears, 0, sizeof(s->hears));
    for (size_t at = 0; at + 8 <= run.bytes; at += 8) {
        int index = ring_member_by_id(r, le64_get(run.data + at));
        if (index >= 0)
            s->hears[index / 64] |= 1ull << (index % 64);
    }
}

/* Says whether something changed that a step may turn upon. */
static bool seen_differ(const struct mover_seen *a, const struct mover_seen *b,
                        const uint16_t *done_before, uint32_t count_before)
{
    return a->node != b->node || a->incarnation != b->incarnation ||
           epoch_compare(a->epoch, b->epoch) != 0 || a->keeps != b->keeps ||
           memcmp(a->hears, b->hears, sizeof(a->hears)) != 0 || b->done_count != count_before ||
           (count_before > 0 &&
            memcmp(b->done, done_before, count_before * sizeof(*done_before)) != 0);
}

void mover_hear(struct mover *v, const struct ring *r, uint32_t index, const struct msg *beat,
                uint64_t now_us)
{
    gt_assert(index < MEMBERS_MAX);
    struct mover_seen *s = &v->seen[index], before = *s;
    const struct node_report *report = &beat->heartbeat.report;
    s->done = NULL;
    s->done_count = 0;
    s->node = beat->heartbeat.node;
    s->incarnation = beat->heartbeat.incarnation;
    s->epoch = beat->epoch;
    s->heard_us = now_us;
    s->keeps = report->hints > 0 || report->parcels_count > 0;
    done_take(s, beat->heartbeat.done);
    hears_take(s, r, beat->heartbeat.heard);
    v->news |= seen_differ(&before, s, before.done, before.done_count);
    free(before.done);
}

void mover_joined(struct mover *v, uint32_t index, uint64_t node, uint64_t now_us)
{
    gt_assert(index < MEMBERS_MAX);
    free(v->seen[index].done);
    v->seen[index] = (struct mover_seen){.node = node, .heard_us = now_us};
}

/* What it said in the life that the map names; NULL: nothing. */
static const struct mover_seen *said_by(const struct mover *v, const struct ring *r,
                                        uint32_t member)
{
    const struct mover_seen *s = &v->seen[member];
    const struct member *m = &r->members[member];
    return s->node == m->id && s->incarnation == m->incarnation ? s : NULL;
}

/* It durably has a map of this epoch, or a newer one. */
static bool has_map(const struct mover *v, const struct ring *r, uint32_t member,
                    struct epoch since)
{
    const struct mover_seen *s = said_by(v, r, member);
    return s && epoch_compare(s->epoch, since) >= 0;
}

static bool has_done(const struct mover *v, const struct ring *r, uint32_t member,
                     uint32_t partition, struct epoch since)
{
    const struct mover_seen *s = said_by(v, r, member);
    uint16_t wanted = (uint16_t)partition;
    return s && epoch_compare(s->epoch, since) >= 0 && s->done_count > 0 &&
           bsearch(&wanted, s->done, s->done_count, sizeof(*s->done), partition_order);
}

static uint64_t silent_since_us(const struct mover *v, const struct ring *r, uint32_t member)
{
    const struct mover_seen *s = &v->seen[member];
    bool heard = s->node == r->members[member].id && s->heard_us > v->start_us;
    return heard ? s->heard_us : v->start_us;
}

/* ---- the durable map ------------------------------------------------------------------------- */

static void named_mark(const struct ring *r, bool *named)
{
    for (uint32_t p = 0; r->formed && p < r->settings.partitions; p++) {
        const struct arc *a = &r->arcs[p];
        for (uint32_t i = 0; i < a->owner_count; i++)
            named[a->owners[i]] = true;
        for (uint32_t i = 0; i < a->beside_count; i++)
            named[a->beside[i]] = true;
    }
}

static void unnamed_note(struct mover *v, const struct ring *told)
{
    bool named[MEMBERS_MAX] = {false};
    named_mark(told, named);
    for (uint32_t i = 0; i < told->member_count; i++) {
        if (named[i])
            v->unnamed_since[i] = (struct epoch){0, 0};
        else if (epoch_zero(v->unnamed_since[i]))
            v->unnamed_since[i] = told->epoch;
    }
}

int mover_told(struct mover *v, const struct ring *told)
{
    v->news = v->judge = true;
    if (v->ballot != told->epoch.ballot) { /* another reign: it has told nothing yet */
        memset(v->unnamed_since, 0, MEMBERS_MAX * sizeof(*v->unnamed_since));
        v->partitions = 0;
        v->ballot = told->epoch.ballot;
    }
    unnamed_note(v, told);
    if (!told->formed)
        return 0;
    if (v->partitions != told->settings.partitions) {
        free(v->cleanup_since);
        v->cleanup_since = calloc(told->settings.partitions, sizeof(*v->cleanup_since));
        v->partitions = v->cleanup_since ? told->settings.partitions : 0;
        if (!v->cleanup_since)
            return GT_ENOMEM;
    }
    for (uint32_t p = 0; p < v->partitions; p++) {
        if (told->arcs[p].phase != ARC_CLEANUP)
            v->cleanup_since[p] = (struct epoch){0, 0};
        else if (epoch_zero(v->cleanup_since[p]))
            v->cleanup_since[p] = told->epoch;
    }
    return 0;
}

/* ---- what is wanted -------------------------------------------------------------------------- */

bool mover_takes_part(const struct member *m, bool owns)
{
    if (m->state == MEMBER_REMOVED || m->state == MEMBER_LEAVING || m->leaving || m->replacing)
        return false;
    return m->state != MEMBER_DOWN || owns; /* who is down is expected back, if it has been there */
}

struct arc mover_settled(const struct arc *a)
{
    struct arc settled = {.owner_count = a->owner_count};
    memcpy(settled.owners, a->owners, sizeof(settled.owners));
    if (a->phase == ARC_PREPARE) {
        settled.owner_count = a->beside_count;
        memcpy(settled.owners, a->beside, sizeof(settled.owners));
    }
    return settled;
}

static void owning_mark(const struct ring *r, bool *owns)
{
    for (uint32_t p = 0; p < r->settings.partitions; p++) {
        struct arc settled = mover_settled(&r->arcs[p]);
        for (uint32_t i = 0; i < settled.owner_count; i++)
            owns[settled.owners[i]] = true;
    }
}

static uint64_t mixed(uint64_t hash, const void *bytes, size_t count)
{
    return hash_bytes(slice_of(bytes, count)) ^ (hash << 7 | hash >> 57) * 0x9e3779b97f4a7c15ull;
}

uint64_t mover_inputs(const struct ring *r)
{
    bool owns[MEMBERS_MAX] = {false};
    uint64_t hash = mixed(r->settings.replicas, &r->settings.partitions, sizeof(uint32_t));
    if (r->formed)
        owning_mark(r, owns);
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct member *m = &r->members[i];
        uint64_t part = mover_takes_part(m, owns[i]);
        hash = mixed(hash, &part, sizeof(part));
        hash = mixed(hash, &m->id, sizeof(m->id));
        hash = mixed(hash, &m->heir, sizeof(m->heir));
        hash = mixed(hash, &m->capacity, sizeof(m->capacity));
        hash = mixed(hash, m->zone, strlen(m->zone));
    }
    return hash ? hash : 1;
}

static int index_in(const struct arc *a, uint32_t member)
{
    for (uint32_t i = 0; i < a->owner_count; i++)
        if (a->owners[i] == member)
            return (int)i;
    return -1;
}

/* Whoever has an heir that takes part leaves its places to it, where that one is not there yet. */
static void heirs_seat(struct ring *view, uint32_t member)
{
    const struct member *m = &view->members[member];
    int heir = m->heir ? ring_member_by_id(view, m->heir) : -1;
    if (heir < 0 || !m->leaving || view->members[heir].leaving)
        return;
    for (uint32_t p = 0; p < view->settings.partitions; p++) {
        struct arc *a = &view->arcs[p];
        int slot = index_in(a, member);
        if (slot >= 0 && index_in(a, (uint32_t)heir) < 0)
            a->owners[slot] = (uint16_t)heir;
    }
}

/* The map as the planner is to see it: moves done, and `leaving` says who has no part. */
static struct ring *view_new(const struct ring *r)
{
    bool owns[MEMBERS_MAX] = {false};
    struct ring *view = ring_copy(r, r->member_count);
    if (!view)
        return NULL;
    owning_mark(r, owns);
    for (uint32_t p = 0; p < r->settings.partitions; p++)
        view->arcs[p] = mover_settled(&r->arcs[p]);
    for (uint32_t i = 0; i < r->member_count; i++)
        view->members[i].leaving = !mover_takes_part(&r->members[i], owns[i]);
    for (uint32_t i = 0; i < r->member_count; i++)
        heirs_seat(view, i);
    return view;
}

int mover_wanted(struct mover *v, const struct ring *r, const struct arc **out)
{
    gt_assert(r->formed);
    uint64_t inputs = mover_inputs(r);
    *out = v->target;
    if (v->target_for == inputs)
        return 0;
    v->target_for = 0;
    free(v->target);
    v->target = calloc(r->settings.partitions, sizeof(*v->target));
    struct ring *view = v->target ? view_new(r) : NULL;
    int error = view ? placement_plan(view, v->target) : GT_ENOMEM;
    ring_unref(view);
    if (error)
        return error;
    v->target_for = inputs;
    *out = v->target;
    return 0;
}

uint32_t mover_moves(const struct ring *r, const struct arc *wanted, uint32_t partition,
                     struct placement_move out[REPLICAS_MAX])
{
    struct arc settled = mover_settled(&r->arcs[partition]);
    return placement_moves(&settled, &wanted[partition], partition, out);
}

uint64_t mover_left(struct mover *v, const struct ring *r)
{
    const struct arc *wanted;
    uint64_t left = 0;
    if (!r->formed || mover_wanted(v, r, &wanted) != 0)
        return 0;
    for (uint32_t p = 0; p < r->settings.partitions; p++) {
        struct placement_move moves[REPLICAS_MAX];
        left += mover_moves(r, wanted, p, moves);
    }
    return left;
}

/* ---- one step -------------------------------------------------------------------------------- */

struct turn {
    struct mover *v;
    const struct ring *told;
    struct ring *draft;
    uint64_t now_us;
    bool changed;
};

/* The arc is as the durable map shows it: it may change its phase. */
static bool arc_told(const struct turn *t, uint32_t p)
{
    const struct arc *a = &t->draft->arcs[p], *b = &t->told->arcs[p];
    return a->phase == b->phase && arc_lists_equal(a, b);
}

static void arc_rest(struct arc *a)
{
    a->phase = ARC_STABLE;
    a->beside_count = 0;
    memset(a->beside, 0, sizeof(a->beside));
}

static void lists_swap(struct arc *a)
{
    uint16_t owners[REPLICAS_MAX];
    uint8_t count = a->owner_count;
    memcpy(owners, a->owners, sizeof(owners));
    a->owner_count = a->beside_count;
    memcpy(a->owners, a->beside, sizeof(a->owners));
    a->beside_count = count;
    memcpy(a->beside, owners, sizeof(a->beside));
}

static bool is_up(const struct ring *r, uint32_t member)
{
    enum member_state state = r->members[member].state;
    return state == MEMBER_UP || state == MEMBER_JOINING;
}

static bool is_removed(const struct ring *r, int member)
{
    return member < 0 || r->members[member].state == MEMBER_REMOVED;
}

/* Nobody is left who must drop anything; else it is for who must. */
static void arc_clean(struct ring *r, uint32_t p)
{
    struct arc *a = &r->arcs[p];
    a->phase = ARC_CLEANUP;
    if (is_removed(r, ring_leaving(r, p)))
        arc_rest(a);
}

bool mover_cancel(struct ring *draft, const struct ring *base, uint32_t partition)
{
    struct arc *a = &draft->arcs[partition];
    if (a->phase != ARC_PREPARE)
        return false;
    if (base->arcs[partition].phase == ARC_PREPARE)
        arc_clean(draft, partition);
    else
        arc_rest(a);
    return true;
}

/* ---- phases ---------------------------------------------------------------------------------- */

/* Everybody in the list is up, but for one who goes, and those who are gone. */
static bool all_up(const struct ring *r, const uint16_t *list, uint32_t count, int goes)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i] != goes && !is_up(r, list[i]) && !is_removed(r, list[i]))
            return false;
    return true;
}

/* A move that must not go on: who is to say that it is done is not there, or who was being replaced
 * is back. */
static bool move_void(const struct ring *r, uint32_t p)
{
    const struct arc *a = &r->arcs[p];
    int coming = ring_coming(r, p), leaving = ring_leaving(r, p);
    if (coming >= 0 ? !is_up(r, (uint32_t)coming) || !mover_takes_part(&r->members[coming], true)
                    : !all_up(r, a->beside, a->beside_count, -1))
        return true;
    return leaving >= 0 && r->members[leaving].replacing &&
           r->members[leaving].state != MEMBER_DOWN;
}

static void void_moves_cancel(struct turn *t)
{
    for (uint32_t p = 0; p < t->draft->settings.partitions; p++)
        if (t->draft->arcs[p].phase == ARC_PREPARE && move_void(t->draft, p))
            t->changed |= mover_cancel(t->draft, t->told, p);
}

/* Who comes has all it must; where nobody comes, everybody who stays has. */
static bool receivers_done(const struct turn *t, uint32_t p)
{
    const struct arc *a = &t->draft->arcs[p];
    int coming = ring_coming(t->draft, p);
    if (coming >= 0)
        return has_done(t->v, t->draft, (uint32_t)coming, p, a->write_since);
    for (uint32_t i = 0; i < a->beside_count; i++)
        if (!is_removed(t->draft, a->beside[i]) &&
            !has_done(t->v, t->draft, a->beside[i], p, a->write_since))
            return false;
    return true;
}

/* It is not up, and its lease has surely ended, so that it answers no read alone. */
static bool lease_over(const struct turn *t, uint32_t member)
{
    return !is_up(t->draft, member) &&
           t->now_us > silent_since_us(t->v, t->draft, member) + 2 * t->v->lease_us;
}

/* It acts by no older map than this. One that is removed acts no more at all, or nobody could ever
 * be removed while a move waits for it: that it is gone is what a person has said. */
static bool is_fenced(const struct turn *t, uint32_t member, struct epoch since)
{
    return has_map(t->v, t->draft, member, since) ||
           (is_removed(t->draft, (int)member) && lease_over(t, member));
}

static bool writers_fenced(const struct turn *t, uint32_t p)
{
    const struct arc *a = &t->draft->arcs[p];
    uint32_t write, read, fenced = 0;
    ring_list_quorums(t->draft, a->owner_count, &write, &read);
    for (uint32_t i = 0; i < a->owner_count; i++)
        fenced += is_fenced(t, a->owners[i], a->write_since);
    return fenced >= a->owner_count - write + 1;
}

static bool readers_fenced(const struct turn *t, uint32_t p)
{
    const struct arc *a = &t->draft->arcs[p];
    uint32_t write, read, fenced = 0;
    ring_list_quorums(t->draft, a->beside_count, &write, &read);
    for (uint32_t i = 0; i < a->beside_count; i++)
        fenced +=
            is_fenced(t, a->beside[i], a->read_since) || (read == 1 && lease_over(t, a->beside[i]));
    return fenced >= a->beside_count - read + 1;
}

static bool leaver_dropped(const struct turn *t, uint32_t p)
{
    int leaving = ring_leaving(t->draft, p);
    struct epoch since = t->v->cleanup_since[p];
    return is_removed(t->draft, leaving) ||
           (!epoch_zero(since) && has_done(t->v, t->draft, (uint32_t)leaving, p, since));
}

static void arc_advance(struct turn *t, uint32_t p)
{
    struct arc *a = &t->draft->arcs[p];
    if (a->phase == ARC_PREPARE && writers_fenced(t, p) && receivers_done(t, p)) {
        lists_swap(a);
        a->phase = ARC_READ_NEW;
    } else if (a->phase == ARC_READ_NEW && readers_fenced(t, p)) {
        arc_clean(t->draft, p);
        t->v->done++;
    } else if (a->phase == ARC_CLEANUP && leaver_dropped(t, p)) {
        arc_rest(a);
    } else {
        return;
    }
    t->changed = true;
}

static void arcs_advance(struct turn *t)
{
    for (uint32_t p = 0; p < t->draft->settings.partitions; p++)
        if (t->draft->arcs[p].phase != ARC_STABLE && arc_told(t, p))
            arc_advance(t, p);
}

/* ---- members --------------------------------------------------------------------------------- */

/* What the arcs say of a member. */
struct part {
    bool owns;    /* it is in a list in force */
    bool doubled; /* it is in a list of a move */
    bool cleans;  /* it is to drop something */
    bool hurried; /* that is in the draft alone */
};

static void parts_of(const struct turn *t, struct part *parts)
{
    const struct ring *r = t->draft;
    for (uint32_t p = 0; p < r->settings.partitions; p++) {
        const struct arc *a = &r->arcs[p];
        for (uint32_t i = 0; i < a->owner_count; i++) {
            parts[a->owners[i]].owns = true;
            parts[a->owners[i]].doubled |= arc_doubled(a);
        }
        for (uint32_t i = 0; i < a->beside_count; i++)
            parts[a->beside[i]].doubled |= arc_doubled(a);
        if (a->phase == ARC_CLEANUP) {
            struct part *leaver = &parts[ring_leaving(r, p)];
            leaver->cleans = true;
            leaver->hurried |= !arc_told(t, p);
        }
    }
}

/* Its last place has gone, and it is not there to drop what it has: it is marked, so that it fills
 * when it returns, which keeps aside what it alone may have (RULES 8b). */
static void replaced_let_go(struct turn *t, uint32_t member)
{
    struct member *m = &t->draft->members[member];
    for (uint32_t p = 0; p < t->draft->settings.partitions; p++)
        if (t->draft->arcs[p].phase == ARC_CLEANUP && ring_leaving(t->draft, p) == (int)member)
            arc_rest(&t->draft->arcs[p]);
    m->incarnation += !m->refill;
    m->refill = true;
    m->replacing = false;
    t->changed = true;
}

/* It owns nothing, no arc names it, and what it says since then is that it keeps nothing. */
static bool is_drained(const struct turn *t, uint32_t member, const struct part *part)
{
    struct epoch since = t->v->unnamed_since[member];
    const struct mover_seen *s = said_by(t->v, t->draft, member);
    return !part->owns && !part->doubled && !part->cleans && !epoch_zero(since) && s &&
           epoch_compare(s->epoch, since) >= 0 && !s->keeps;
}

static void member_advance(struct turn *t, uint32_t member, const struct part *part)
{
    struct member *m = &t->draft->members[member];
    if (m->state == MEMBER_JOINING && part->owns) {
        m->state = MEMBER_UP;
        t->changed = true;
    }
    if (m->replacing && m->state != MEMBER_DOWN) {
        m->replacing = false;
        t->changed = true;
    }
    if (m->replacing && !part->owns && !part->doubled && !part->hurried)
        replaced_let_go(t, member);
    if (m->leaving && is_drained(t, member, part)) {
        m->state = MEMBER_REMOVED;
        m->leaving = false;
        m->heir = 0;
        t->changed = true;
    }
}

static void members_advance(struct turn *t)
{
    struct part parts[MEMBERS_MAX] = {{0}};
    parts_of(t, parts);
    for (uint32_t i = 0; i < t->draft->member_count; i++)
        if (t->draft->members[i].state != MEMBER_REMOVED)
            member_advance(t, i, &parts[i]);
}

/* ---- replacement ----------------------------------------------------------------------------- */

static bool is_heard(const struct turn *t, uint32_t member)
{
    for (uint32_t i = 0; i < t->draft->member_count; i++) {
        const struct mover_seen *s = said_by(t->v, t->draft, i);
        if (s && is_up(t->draft, i) && (s->hears[member / 64] >> (member % 64) & 1))
            return true;
    }
    return false;
}

/* One at a time, and not while more than a third are down: then it may be us who are cut off. */
static bool replacing_allowed(const struct ring *r)
{
    uint32_t members = 0, down = 0;
    for (uint32_t i = 0; i < r->member_count; i++) {
        if (r->members[i].state == MEMBER_REMOVED)
            continue;
        if (r->members[i].replacing)
            return false;
        members++;
        down += r->members[i].state == MEMBER_DOWN;
    }
    return down * 3 <= members;
}

/* Without it there are still enough for lists of full length: shorter ones would be worth less than
 * those that wait for it. */
static bool others_suffice(const struct ring *r, uint32_t member)
{
    uint32_t others = 0;
    for (uint32_t i = 0; i < r->member_count; i++)
        others += i != member && is_up(r, i) && mover_takes_part(&r->members[i], true);
    return others >= r->settings.replicas;
}

static uint64_t replace_us(const struct mover *v, const struct ring *r, uint32_t member)
{
    const struct member *m = &r->members[member];
    bool may = v->replace_after_us > 0 && m->state == MEMBER_DOWN && !m->leaving && !m->replacing;
    return may ? silent_since_us(v, r, member) + v->replace_after_us : UINT64_MAX;
}

static void absent_replace(struct turn *t)
{
    bool named[MEMBERS_MAX] = {false};
    if (t->v->replace_after_us == 0 || t->draft->rebalance == REBALANCE_PAUSED ||
        !replacing_allowed(t->draft))
        return;
    named_mark(t->draft, named);
    for (uint32_t i = 0; i < t->draft->member_count; i++) {
        if (!named[i] || t->now_us < replace_us(t->v, t->draft, i) ||
            !others_suffice(t->draft, i) || is_heard(t, i))
            continue;
        t->draft->members[i].replacing = true;
        t->v->judged_for = 0; /* it may be back, as it was, before anybody looks */
        t->draft->rebalance = REBALANCE_RUNNING;
        t->changed = true;
        return;
    }
}

/* ---- beginning moves ------------------------------------------------------------------------- */

struct load {
    uint32_t open;
    uint16_t receiving[MEMBERS_MAX];
};

static void load_count(const struct ring *r, struct load *load)
{
    for (uint32_t p = 0; p < r->settings.partitions; p++) {
        const struct arc *a = &r->arcs[p];
        int leaving = a->phase == ARC_CLEANUP ? ring_leaving(r, p) : -1;
        load->open += arc_doubled(a) || (leaving >= 0 && is_up(r, (uint32_t)leaving));
        if (a->phase == ARC_PREPARE && ring_coming(r, p) >= 0)
            load->receiving[ring_coming(r, p)]++;
    }
}

/* Who of the wanted list is not in the arc's and can receive now; -1. *lacking: whether any is
 * lacking at all. */
static int comer(const struct ring *r, const struct arc *a, const struct arc *wanted,
                 const struct load *load, bool *lacking)
{
    int found = -1;
    *lacking = false;
    for (uint32_t i = 0; i < wanted->owner_count; i++) {
        uint32_t member = wanted->owners[i];
        if (index_in(a, member) >= 0)
            continue;
        *lacking = true;
        if (found < 0 && is_up(r, member) && load->receiving[member] < MOVES_TO_MEMBER_MAX)
            found = (int)member;
    }
    return found;
}

/* Who of the arc's list is not wanted, those first who are not there anyway; -1. */
static int goer(const struct ring *r, const struct arc *a, const struct arc *wanted)
{
    int found = -1;
    for (uint32_t i = 0; i < a->owner_count; i++) {
        uint32_t member = a->owners[i];
        if (index_in(wanted, member) >= 0)
            continue;
        if (!is_up(r, member))
            return (int)member;
        if (found < 0)
            found = (int)member;
    }
    return found;
}

/* The move brings back a copy that is missing. */
static bool move_urgent(const struct ring *r, const struct arc *a, const struct arc *wanted,
                        int goes)
{
    return wanted->owner_count > a->owner_count || (goes >= 0 && !is_up(r, (uint32_t)goes));
}

static void arc_prepare(struct arc *a, int comes, int goes)
{
    a->beside_count = 0;
    for (uint32_t i = 0; i < a->owner_count; i++) {
        if (a->owners[i] != goes)
            a->beside[a->beside_count++] = a->owners[i];
        else if (comes >= 0)
            a->beside[a->beside_count++] = (uint16_t)comes;
    }
    if (goes < 0)
        a->beside[a->beside_count++] = (uint16_t)comes;
    a->phase = ARC_PREPARE;
}

static void move_begin(struct turn *t, uint32_t p, const struct arc *wanted, struct load *load,
                       bool urgent)
{
    struct arc *a = &t->draft->arcs[p];
    bool lacking;
    int comes = comer(t->draft, a, wanted, load, &lacking), goes = goer(t->draft, a, wanted);
    if ((lacking && comes < 0) || (comes < 0 && goes < 0) ||
        (comes < 0 && !all_up(t->draft, a->owners, a->owner_count, goes)) ||
        move_urgent(t->draft, a, wanted, goes) != urgent)
        return;
    if (wanted->owner_count > a->owner_count)
        goes = -1; /* first as many as there should be */
    arc_prepare(a, comes, goes);
    load->open++;
    if (comes >= 0)
        load->receiving[comes]++;
    t->changed = true;
}

static void moves_begin(struct turn *t, const struct arc *wanted)
{
    struct load load = {0};
    load_count(t->draft, &load);
    for (int urgent = 1; urgent >= 0; urgent--)
        for (uint32_t p = 0; p < t->draft->settings.partitions; p++) {
            if (load.open >= MOVES_OPEN_MAX)
                return;
            if (t->draft->arcs[p].phase == ARC_STABLE && arc_told(t, p))
                move_begin(t, p, &wanted[p], &load, urgent);
        }
}

/* Nothing is left to move: the order of the lists is put right, of those that are at rest in the
 * durable map too, and that is the end. */
static void rebalance_end(struct turn *t, const struct arc *wanted, const struct ring_tally *tally)
{
    bool ends = tally->cleanup == 0;
    for (uint32_t p = 0; p < t->draft->settings.partitions; p++) {
        struct arc *a = &t->draft->arcs[p];
        if (arc_owners_equal(a, &wanted[p]))
            continue;
        if (a->phase == ARC_STABLE && arc_told(t, p)) {
            memcpy(a->owners, wanted[p].owners, sizeof(a->owners));
            t->changed = true;
        } else {
            ends = false;
        }
    }
    if (!ends)
        return;
    t->draft->rebalance = REBALANCE_IDLE;
    t->changed = true;
}

static void rebalance_run(struct turn *t)
{
    const struct arc *wanted;
    if (t->draft->rebalance != REBALANCE_RUNNING)
        return;
    int error = mover_wanted(t->v, t->draft, &wanted);
    if (error == GT_EARG) { /* nobody has a part: nothing can be moved anywhere */
        t->draft->rebalance = REBALANCE_IDLE;
        t->changed = true;
    }
    if (error)
        return;
    moves_begin(t, wanted);
    struct ring_tally tally = ring_tally(t->draft);
    if (mover_left(t->v, t->draft) == 0 && tally.prepare == 0 && tally.read_new == 0)
        rebalance_end(t, wanted, &tally);
}

bool mover_step(struct mover *v, const struct ring *told, struct ring *draft, uint64_t now_us)
{
    struct turn t = {.v = v, .told = told, .draft = draft, .now_us = now_us};
    v->news = false;
    v->ran_us = now_us;
    if (draft->rebalance != REBALANCE_IDLE && !v->busy) {
        v->done = 0;
        v->begun_us = now_us;
    }
    v->busy = draft->rebalance != REBALANCE_IDLE;
    if (!told->formed || !draft->formed || v->partitions != draft->settings.partitions)
        return false;
    void_moves_cancel(&t);
    arcs_advance(&t);
    members_advance(&t);
    absent_replace(&t);
    rebalance_run(&t);
    return t.changed;
}

/* ---- time ------------------------------------------------------------------------------------ */

/* A lease of an owner that is down ends, on which a fence waits. */
static uint64_t lease_deadline_us(const struct mover *v, const struct ring *r, uint64_t deadline)
{
    for (uint32_t p = 0; p < r->settings.partitions; p++) {
        const struct arc *a = &r->arcs[p];
        const uint16_t *old = a->phase == ARC_PREPARE ? a->owners : a->beside;
        uint32_t count = a->phase == ARC_PREPARE ? a->owner_count : a->beside_count;
        for (uint32_t i = 0; arc_doubled(a) && i < count; i++) {
            uint64_t at = silent_since_us(v, r, old[i]) + 2 * v->lease_us + 1;
            if (!is_up(r, old[i]) && at > v->ran_us && at < deadline)
                deadline = at;
        }
    }
    return deadline;
}

uint64_t mover_deadline_us(const struct mover *v, const struct ring *told)
{
    uint64_t deadline = UINT64_MAX;
    if (!told || !told->formed)
        return deadline;
    for (uint32_t i = 0; i < told->member_count; i++) {
        uint64_t at = replace_us(v, told, i);
        if (at > v->ran_us && at < deadline)
            deadline = at;
    }
    return lease_deadline_us(v, told, deadline);
}
