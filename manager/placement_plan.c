/*
 * From the lists that there are to those that there should be, moving as little as can be
 * (placement.h).
 *
 * 1. Who must leave a list does: members that take no part, and owners that stand in the way of the
 *    zones. Their slots are vacant.
 * 2. Shares as for a new cluster, rounded up where more is held already.
 * 3. Each vacant slot is filled, and then each seat that holds more than its tokens gives one away,
 *    until every seat has its tokens. Each time along a shortest path: a seat takes the place, and
 *    where it had its tokens already it gives another place to the next, up to one that has too
 *    few. Nearly every path is one step long, and then what is moved is what must be.
 *    Where several could, one is drawn that has the least of its tokens, so that what one leaves
 *    behind lands on many. The seed is fixed: the same map gives the same plan.
 * 4. First places are levelled by changes of order, as little as can be too.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "manager/placement_private.h"

#define PLAN_SEED 0x72656261616e6365ull
#define NO_SEAT   UINT16_MAX

/* The arcs in which a seat stands. */
struct stand {
    uint32_t *arcs;
    uint32_t count, capacity;
};

struct work {
    const struct plan *p;
    struct arc *arcs;
    struct stand *stands; /* by seat */
    struct prng dice;
    /* The search: by seat, from which one it was reached, and in which arc it takes its place. */
    uint16_t *before, *queue;
    uint32_t *via;
    bool *seen;
};

static int stand_add(struct stand *s, uint32_t arc)
{
    if (s->count == s->capacity) {
        uint32_t capacity = s->capacity ? s->capacity * 2 : 16;
        uint32_t *arcs = realloc(s->arcs, capacity * sizeof(*arcs));
        if (!arcs)
            return GT_ENOMEM;
        s->arcs = arcs;
        s->capacity = capacity;
    }
    s->arcs[s->count++] = arc;
    return 0;
}

static void stand_drop(struct stand *s, uint32_t arc)
{
    uint32_t at = 0;
    while (s->arcs[at] != arc)
        at++;
    s->arcs[at] = s->arcs[--s->count];
}

static uint32_t slot_of(const struct arc *a, uint16_t seat)
{
    uint32_t slot = 0;
    while (a->owners[slot] != seat)
        slot++;
    return slot;
}

/* Seat `in` takes the place of `out`, or a vacant one. */
static int seat_put(struct work *w, uint32_t arc, uint16_t out, uint16_t in)
{
    struct arc *a = &w->arcs[arc];
    int error = stand_add(&w->stands[in], arc);
    if (error)
        return error;
    a->owners[slot_of(a, out)] = in;
    if (out != VACANT)
        stand_drop(&w->stands[out], arc);
    return 0;
}

static uint32_t wanting(const struct work *w, uint16_t seat)
{
    uint32_t tokens = w->p->seats[seat].tokens, held = w->stands[seat].count;
    return held < tokens ? tokens - held : 0;
}

static bool arc_on_path(const struct work *w, uint32_t arc, uint16_t at, uint32_t first)
{
    for (; at != NO_SEAT; at = w->before[at])
        if (w->via[at] == arc)
            return true;
    return arc == first;
}

static void reach(struct work *w, uint32_t *tail, uint16_t seat, uint16_t before, uint32_t via)
{
    w->seen[seat] = true;
    w->before[seat] = before;
    w->via[seat] = via;
    w->queue[(*tail)++] = seat;
}

/* Seats that may take the place of `at` somewhere, NO_SEAT: the vacant one of `arc`. */
static void reach_from(struct work *w, uint32_t *tail, uint16_t at, uint32_t arc)
{
    const struct plan *p = w->p;
    uint32_t count = at == NO_SEAT ? 1 : w->stands[at].count;
    uint32_t turn = count ? (uint32_t)prng_below(&w->dice, count) : 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t there = at == NO_SEAT ? arc : w->stands[at].arcs[(i + turn) % count];
        const struct arc *a = &w->arcs[there];
        if (at != NO_SEAT && arc_on_path(w, there, at, arc))
            continue;
        for (uint16_t s = 0; s < p->seat_count; s++)
            if (!w->seen[s] && !arc_has(a, s) &&
                plan_zones_allow(p, a, slot_of(a, at == NO_SEAT ? VACANT : at), s))
                reach(w, tail, s, at, there);
    }
}

/* Of what the queue holds from head to tail the seat that wants most for its size, or NO_SEAT. */
static uint16_t most_wanting(struct work *w, uint32_t head, uint32_t tail)
{
    uint16_t best = NO_SEAT;
    uint64_t best_drawn = 0;
    for (uint32_t i = head; i < tail; i++) {
        uint16_t s = w->queue[i];
        uint64_t wants = wanting(w, s);
        if (wants == 0)
            continue;
        /* One in a million more or less decides among equals. */
        uint64_t part = (wants << 20) / w->p->seats[s].tokens << 20;
        uint64_t drawn = part + prng_below(&w->dice, 1u << 20);
        if (best == NO_SEAT || drawn > best_drawn) {
            best = s;
            best_drawn = drawn;
        }
    }
    return best;
}

/* Along the path to `end`, from its end. */
static int path_walk(struct work *w, uint16_t end, uint16_t start)
{
    int error = 0;
    for (uint16_t at = end; at != start && !error; at = w->before[at]) {
        uint16_t before = w->before[at];
        error = seat_put(w, w->via[at], before == NO_SEAT ? VACANT : before, at);
    }
    return error;
}

/*
 * Moves one token along a shortest path: into the vacant slot of the arc (from NO_SEAT), or away
 * from a seat that has too many. 0, or GT_ENOTFOUND when no path leads to a seat that wants one.
 * The steps of a search are looked at all together, so that the draw is among all that are as near.
 */
static int path_move(struct work *w, uint16_t from, uint32_t arc)
{
    uint32_t head = 0, tail = 0;
    memset(w->seen, 0, w->p->seat_count * sizeof(*w->seen));
    if (from != NO_SEAT) {
        w->seen[from] = true;
        w->before[from] = NO_SEAT;
        w->via[from] = UINT32_MAX;
    }
    reach_from(w, &tail, from, arc);
    while (head < tail) {
        uint32_t end = tail;
        uint16_t found = most_wanting(w, head, end);
        if (found != NO_SEAT)
            return path_walk(w, found, from);
        for (; head < end; head++)
            reach_from(w, &tail, w->queue[head], arc);
    }
    return GT_ENOTFOUND;
}

/* ---- who must leave -------------------------------------------------------------------------- */

/* Owners of which the list must name fewer: with enough zones those that share one, with too few
 * those of a zone that is named twice while another is not named at all. The one that has most for
 * its share leaves. Returns its slot, or n when the zones are as they should be. */
static uint32_t one_too_many(const struct plan *p, const struct arc *a, const uint32_t *held)
{
    uint32_t worst = p->n, named = 0, vacant = 0;
    bool enough = p->zone_count >= p->n;
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t alike = 0;
        bool first = true;
        if (a->owners[i] == VACANT) {
            vacant++;
            continue;
        }
        for (uint32_t j = 0; j < p->n; j++)
            if (j != i && a->owners[j] != VACANT &&
                p->seats[a->owners[j]].zone == p->seats[a->owners[i]].zone) {
                alike++;
                first &= j > i;
            }
        named += first;
        if (alike > 0 &&
            (worst == p->n || (double)held[a->owners[i]] * p->seats[a->owners[worst]].share >
                                  (double)held[a->owners[worst]] * p->seats[a->owners[i]].share))
            worst = i;
    }
    return enough || p->zone_count - named > vacant ? worst : p->n;
}

static void leave_for_zones(const struct plan *p, struct arc *arcs, uint32_t *held)
{
    for (uint32_t q = 0; q < p->q; q++)
        for (uint32_t slot; (slot = one_too_many(p, &arcs[q], held)) < p->n;) {
            held[arcs[q].owners[slot]]--;
            arcs[q].owners[slot] = VACANT;
        }
}

/* The lists by seats, n slots each, those of members that take no part vacant. Of a list that is
 * longer the last ones leave, of which there is no lack. */
static void lists_read(const struct plan *p, const struct ring *r, const uint16_t *seat_of,
                       struct arc *arcs, uint32_t *held)
{
    for (uint32_t q = 0; q < p->q; q++) {
        const struct arc *now = &r->arcs[q];
        struct arc *a = &arcs[q];
        uint32_t at = 0, spare = now->owner_count > p->n ? now->owner_count - p->n : 0;
        *a = (struct arc){.owner_count = (uint8_t)p->n};
        for (uint32_t i = 0; i < now->owner_count; i++) {
            uint16_t seat = seat_of[now->owners[i]];
            if (seat == NO_SEAT && spare > 0)
                spare--;
            else if (at < p->n)
                a->owners[at++] = seat; /* NO_SEAT is VACANT */
        }
        while (at < p->n)
            a->owners[at++] = VACANT;
        for (uint32_t i = 0; i < p->n; i++)
            if (a->owners[i] != VACANT)
                held[a->owners[i]]++;
    }
}

/* ---- the work -------------------------------------------------------------------------------- */

static void work_close(struct work *w)
{
    for (uint32_t s = 0; w->stands && s < w->p->seat_count; s++)
        free(w->stands[s].arcs);
    free(w->stands);
    free(w->before);
    free(w->queue);
    free(w->via);
    free(w->seen);
}

static int work_init(struct work *w, const struct plan *p, struct arc *arcs)
{
    uint32_t room = p->seat_count;
    *w = (struct work){.p = p,
                       .arcs = arcs,
                       .stands = calloc(room, sizeof(*w->stands)),
                       .before = calloc(room, sizeof(*w->before)),
                       .queue = calloc(room, sizeof(*w->queue)),
                       .via = calloc(room, sizeof(*w->via)),
                       .seen = calloc(room, sizeof(*w->seen))};
    prng_init(&w->dice, PLAN_SEED);
    int error = w->stands && w->before && w->queue && w->via && w->seen ? 0 : GT_ENOMEM;
    for (uint32_t q = 0; q < p->q; q++)
        for (uint32_t i = 0; i < p->n && !error; i++)
            if (arcs[q].owners[i] != VACANT)
                error = stand_add(&w->stands[arcs[q].owners[i]], q);
    return error;
}

/* No path leads to a seat that wants one: the zones come first, then that no slot is empty. */
static int fill_anyhow(struct work *w, uint32_t arc)
{
    const struct plan *p = w->p;
    const struct arc *a = &w->arcs[arc];
    uint16_t best = NO_SEAT;
    for (int strict = 1; strict >= 0 && best == NO_SEAT; strict--)
        for (uint16_t s = 0; s < p->seat_count; s++)
            if (!arc_has(a, s) && (!strict || plan_zones_allow(p, a, slot_of(a, VACANT), s)) &&
                (best == NO_SEAT || (uint64_t)w->stands[s].count * p->seats[best].tokens <
                                        (uint64_t)w->stands[best].count * p->seats[s].tokens))
                best = s;
    gt_assert(best != NO_SEAT); /* n is at most the number of seats */
    return seat_put(w, arc, VACANT, best);
}

static int lists_fill(struct work *w)
{
    const struct plan *p = w->p;
    int error = 0;
    for (uint32_t q = 0; q < p->q; q++)
        for (uint32_t i = 0; i < p->n && !error; i++)
            if (w->arcs[q].owners[i] == VACANT) {
                error = path_move(w, NO_SEAT, q);
                if (error == GT_ENOTFOUND)
                    error = fill_anyhow(w, q);
            }
    for (uint16_t s = 0; s < p->seat_count && !error; s++)
        while (w->stands[s].count > p->seats[s].tokens && !error)
            error = path_move(w, s, UINT32_MAX);
    return error == GT_ENOTFOUND ? 0 : error;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool stays(const struct member *m)
{
    return m->state != MEMBER_LEAVING && m->state != MEMBER_REMOVED && !m->leaving;
}

static int seats_number(const struct plan *p, const struct ring *r, uint16_t **out)
{
    uint16_t *seat_of = malloc(r->member_count * sizeof(*seat_of));
    if (!seat_of)
        return GT_ENOMEM;
    for (uint32_t i = 0; i < r->member_count; i++)
        seat_of[i] = NO_SEAT;
    for (uint32_t s = 0; s < p->seat_count; s++)
        seat_of[p->seats[s].member] = (uint16_t)s;
    *out = seat_of;
    return 0;
}

int placement_plan(const struct ring *r, struct arc *target)
{
    struct plan p;
    struct work w;
    gt_assert(r->arcs && r->settings.partitions > 0);
    int error = plan_init(&p, r, stays);
    if (error)
        return error;
    uint16_t *seat_of = NULL;
    uint32_t *held = calloc(p.seat_count, sizeof(*held));
    error = held ? seats_number(&p, r, &seat_of) : GT_ENOMEM;
    if (!error) {
        lists_read(&p, r, seat_of, target, held);
        leave_for_zones(&p, target, held);
        error = plan_round(&p, held);
    }
    if (!error) {
        error = work_init(&w, &p, target);
        if (!error)
            error = lists_fill(&w);
        work_close(&w);
    }
    if (!error)
        error = plan_primaries(&p, target, false);
    for (uint32_t q = 0; !error && q < p.q; q++)
        for (uint32_t i = 0; i < p.n; i++)
            target[q].owners[i] = (uint16_t)p.seats[target[q].owners[i]].member;
    free(held);
    free(seat_of);
    plan_close(&p);
    return error;
}

static bool owns(const struct arc *a, uint16_t member)
{
    for (uint32_t i = 0; i < a->owner_count; i++)
        if (a->owners[i] == member)
            return true;
    return false;
}

uint32_t placement_moves(const struct arc *now, const struct arc *target, uint32_t partition,
                         struct placement_move out[REPLICAS_MAX])
{
    uint32_t count = 0, leaving = 0;
    for (uint32_t i = 0; i < target->owner_count; i++)
        if (!owns(now, target->owners[i]))
            out[count++] = (struct placement_move){partition, -1, target->owners[i]};
    for (uint32_t i = 0; i < now->owner_count; i++) {
        if (owns(target, now->owners[i]))
            continue;
        if (leaving == count)
            out[count++] = (struct placement_move){partition, -1, -1};
        out[leaving++].from = now->owners[i];
    }
    return count;
}
