/*
 * How it works
 *
 * 1. Shares by filling: a level L is sought by bisection at which the zones' shares, each the sum
 *    over its members of min(Q, L x capacity) held between the zone's bounds, add up to n x Q.
 * 2. Rounding in two steps, zone by zone and then inside each zone, so that every member and every
 *    zone ends within one token of its share.
 * 3. Wrap-around (McNaughton 1959, for jobs on machines): the members lie one behind the other,
 *    zone by zone, on a line of n x Q places, each as long as its tokens; arc p takes the places p,
 *    p + Q, p + 2Q, ... Nobody longer than Q meets an arc twice; a zone of at most Q neither; a
 *    zone of at least Q meets every arc.
 * 4. Neighbours on the line would share all their arcs, and one would bear the other's whole load
 *    when it dies; so owners of random pairs of arcs are exchanged where the limits allow it.
 * 5. Primaries are dealt out greedily and then levelled along augmenting paths, as in a flow: since
 *    every owner being primary for 1/n of the arc balances exactly, whole numbers next to it exist.
 */
#include "manager/placement_private.h"

#include <math.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"

#define MIXING_SEED   0x706c6163656d656eull
#define MIXING_ROUNDS 4u /* exchanges tried for each slot */

static double least(double a, double b)
{
    return a < b ? a : b;
}

static double greatest(double a, double b)
{
    return a > b ? a : b;
}

static int seat_order(const struct member *a, const struct member *b)
{
    int order = strcmp(a->zone, b->zone);
    return order != 0 ? order : a->id < b->id ? -1 : a->id > b->id;
}

static void seats_sort(struct plan *p, const struct ring *r)
{
    for (uint32_t i = 1; i < p->seat_count; i++) {
        struct seat moving = p->seats[i];
        uint32_t at = i;
        while (at > 0 &&
               seat_order(&r->members[moving.member], &r->members[p->seats[at - 1].member]) < 0) {
            p->seats[at] = p->seats[at - 1];
            at--;
        }
        p->seats[at] = moving;
    }
}

static void zones_find(struct plan *p, const struct ring *r)
{
    for (uint32_t i = 0; i < p->seat_count; i++) {
        const char *name = r->members[p->seats[i].member].zone;
        if (i == 0 || strcmp(name, r->members[p->seats[i - 1].member].zone) != 0)
            p->zones[p->zone_count++] = (struct zone){.first = i};
        p->zones[p->zone_count - 1].count++;
        p->seats[i].zone = p->zone_count - 1;
    }
}

/* With enough zones each holds one slot of an arc at most; with fewer each holds one at least, and
 * no more than leaves one to every other. */
static void zones_bound(struct plan *p)
{
    bool enough = p->zone_count >= p->n;
    for (uint32_t z = 0; z < p->zone_count; z++) {
        struct zone *zone = &p->zones[z];
        uint32_t most = enough ? 1 : p->n - (p->zone_count - 1);
        zone->low = enough ? 0 : p->q;
        zone->high = (double)p->q * (zone->count < most ? zone->count : most);
    }
}

static double zone_filled(const struct plan *p, const struct zone *z, double level)
{
    double sum = 0;
    for (uint32_t i = z->first; i < z->first + z->count; i++)
        sum += least(p->q, level * p->seats[i].capacity);
    return sum;
}

static double zone_share(const struct plan *p, const struct zone *z, double level)
{
    return least(z->high, greatest(z->low, zone_filled(p, z, level)));
}

/* The level at which `zone` alone (or all zones, when NULL) hold `wanted`. */
static double level_for(const struct plan *p, const struct zone *zone, double wanted)
{
    double smallest = p->seats[0].capacity;
    for (uint32_t i = 1; i < p->seat_count; i++)
        smallest = least(smallest, p->seats[i].capacity);
    double low = 0, high = p->q / smallest;
    for (int step = 0; step < 2000 && low < high; step++) {
        double middle = low + (high - low) / 2, sum = 0;
        if (middle <= low || middle >= high)
            break;
        if (zone)
            sum = zone_filled(p, zone, middle);
        else
            for (uint32_t z = 0; z < p->zone_count; z++)
                sum += zone_share(p, &p->zones[z], middle);
        if (sum < wanted)
            low = middle;
        else
            high = middle;
    }
    return high;
}

static double snapped(double share)
{
    double whole = round(share);
    return share - whole < 1e-6 && whole - share < 1e-6 ? whole : share;
}

static void shares_fill(struct plan *p)
{
    double level = level_for(p, NULL, (double)p->n * p->q);
    for (uint32_t z = 0; z < p->zone_count; z++) {
        struct zone *zone = &p->zones[z];
        zone->share = snapped(zone_share(p, zone, level));
        double inner = level_for(p, zone, zone->share);
        for (uint32_t i = zone->first; i < zone->first + zone->count; i++)
            p->seats[i].share = snapped(least(p->q, inner * p->seats[i].capacity));
    }
}

/* Of two shares, rounded down so far, whether the first is to be rounded up before the second. */
static bool rounds_up_before(double share, uint64_t down, uint64_t held, double other,
                             uint64_t other_down, uint64_t other_held)
{
    bool cut = share > (double)down, other_cut = other > (double)other_down;
    bool has = cut && held > down, other_has = other_cut && other_held > other_down;
    return has != other_has ? has : share - (double)down > other - (double)other_down;
}

/* Rounds `shares` to whole numbers that add up to `total`: down, then up where more is held, then
 * where most was cut off, the earlier first. Never above `most`. */
static void round_to(const double *shares, uint32_t count, uint64_t total, const uint64_t *most,
                     const uint64_t *held, uint64_t *out)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        out[i] = (uint64_t)floor(shares[i]);
        if (out[i] > most[i])
            out[i] = most[i];
        sum += out[i];
    }
    for (; sum < total; sum++) {
        uint32_t best = count;
        for (uint32_t i = 0; i < count; i++)
            if (out[i] < most[i] &&
                (best == count ||
                 rounds_up_before(shares[i], out[i], held[i], shares[best], out[best], held[best])))
                best = i;
        gt_assert(best < count);
        out[best]++;
    }
    for (; sum > total; sum--) {
        uint32_t worst = count;
        for (uint32_t i = 0; i < count; i++)
            if (out[i] > 0 &&
                (worst == count || shares[i] - (double)out[i] < shares[worst] - (double)out[worst]))
                worst = i;
        gt_assert(worst < count);
        out[worst]--;
    }
}

int plan_round(struct plan *p, const uint32_t *held)
{
    uint32_t room = p->seat_count; /* zones are never more than seats */
    double *shares = calloc(room, sizeof(*shares));
    uint64_t *most = calloc(room, sizeof(*most)), *inner = calloc(room, sizeof(*inner));
    uint64_t *totals = calloc(room, sizeof(*totals)), *have = calloc(room, sizeof(*have));
    int error = shares && most && inner && totals && have ? 0 : GT_ENOMEM;
    if (!error) {
        for (uint32_t z = 0; z < p->zone_count; z++) {
            const struct zone *zone = &p->zones[z];
            shares[z] = zone->share;
            most[z] = (uint64_t)zone->high;
            for (uint32_t i = zone->first; held && i < zone->first + zone->count; i++)
                have[z] += held[i];
        }
        round_to(shares, p->zone_count, (uint64_t)p->n * p->q, most, have, totals);
        for (uint32_t z = 0; z < p->zone_count; z++) {
            struct zone *zone = &p->zones[z];
            for (uint32_t i = 0; i < zone->count; i++) {
                shares[i] = p->seats[zone->first + i].share;
                most[i] = p->q;
                have[i] = held ? held[zone->first + i] : 0;
            }
            round_to(shares, zone->count, totals[z], most, have, inner);
            for (uint32_t i = 0; i < zone->count; i++)
                p->seats[zone->first + i].tokens = (uint32_t)inner[i];
        }
    }
    free(shares);
    free(most);
    free(inner);
    free(totals);
    free(have);
    return error;
}

void plan_close(struct plan *p)
{
    free(p->seats);
    free(p->zones);
}

int plan_init(struct plan *p, const struct ring *r, bool (*takes_part)(const struct member *m))
{
    *p = (struct plan){.q = r->settings.partitions};
    p->seats = calloc(r->member_count + 1, sizeof(*p->seats));
    p->zones = calloc(r->member_count + 1, sizeof(*p->zones));
    int error = p->seats && p->zones ? 0 : GT_ENOMEM;
    for (uint32_t i = 0; !error && i < r->member_count; i++)
        if (takes_part(&r->members[i]))
            p->seats[p->seat_count++] =
                (struct seat){.member = i, .capacity = r->members[i].capacity};
    if (!error && p->seat_count == 0)
        error = GT_EARG;
    if (error) {
        plan_close(p);
        return error;
    }
    p->n = r->settings.replicas < p->seat_count ? r->settings.replicas : p->seat_count;
    seats_sort(p, r);
    zones_find(p, r);
    zones_bound(p);
    shares_fill(p);
    return 0;
}

/* ---- lists: from here on arcs name seats ------------------------------------------------------
 */

static void lay_out(const struct plan *p, struct arc *arcs)
{
    uint64_t place = 0;
    for (uint32_t s = 0; s < p->seat_count; s++)
        for (uint32_t t = 0; t < p->seats[s].tokens; t++, place++) {
            struct arc *a = &arcs[place % p->q];
            a->owners[a->owner_count++] = (uint16_t)s;
        }
    gt_assert(place == (uint64_t)p->n * p->q);
}

bool arc_has(const struct arc *a, uint16_t seat)
{
    for (uint32_t i = 0; i < a->owner_count; i++)
        if (a->owners[i] == seat)
            return true;
    return false;
}

bool plan_zones_allow(const struct plan *p, const struct arc *a, uint32_t slot, uint16_t in)
{
    uint32_t named = 1, vacant = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        if (i == slot)
            continue;
        if (a->owners[i] == VACANT) {
            vacant++;
            continue;
        }
        uint32_t zone = p->seats[a->owners[i]].zone;
        bool first = zone != p->seats[in].zone;
        if (!first && p->zone_count >= p->n)
            return false;
        for (uint32_t j = 0; j < i && first; j++)
            first = j == slot || a->owners[j] == VACANT || p->seats[a->owners[j]].zone != zone;
        named += first;
    }
    return p->zone_count >= p->n || p->zone_count - named <= vacant;
}

static void mix(const struct plan *p, struct arc *arcs, struct prng *dice)
{
    uint64_t tries = (uint64_t)MIXING_ROUNDS * p->n * p->q;
    for (uint64_t i = 0; i < tries; i++) {
        struct arc *a = &arcs[prng_below(dice, p->q)], *b = &arcs[prng_below(dice, p->q)];
        uint32_t sa = (uint32_t)prng_below(dice, p->n), sb = (uint32_t)prng_below(dice, p->n);
        uint16_t x = a->owners[sa], y = b->owners[sb];
        if (arc_has(a, y) || arc_has(b, x) || !plan_zones_allow(p, a, sa, y) ||
            !plan_zones_allow(p, b, sb, x))
            continue;
        a->owners[sa] = y;
        b->owners[sb] = x;
    }
}

static void shuffle(const struct plan *p, struct arc *arcs, struct prng *dice)
{
    for (uint32_t q = 0; q < p->q; q++)
        for (uint32_t i = p->n; i > 1; i--) {
            uint32_t j = (uint32_t)prng_below(dice, i);
            uint16_t held = arcs[q].owners[i - 1];
            arcs[q].owners[i - 1] = arcs[q].owners[j];
            arcs[q].owners[j] = held;
        }
}

/* ---- primaries ---------------------------------------------------------------------------------
 */

/* All by seat. */
struct level {
    uint32_t *count, *low, *high; /* primaries, and the bounds wanted */
    uint32_t *starts, *arc_list;  /* the arcs in which a seat stands, as runs */
    uint32_t *via;                /* search: the arc by which the seat was reached, */
    uint16_t *before;             /* and from which seat */
    uint16_t *queue;
    bool *seen;
};

static void primary_set(struct arc *a, uint16_t seat)
{
    uint32_t slot = 0;
    while (a->owners[slot] != seat)
        slot++;
    a->owners[slot] = a->owners[0];
    a->owners[0] = seat;
}

/* Each arc to the owner that has used the smallest part of its tokens. */
static void deal(const struct plan *p, struct arc *arcs, struct level *l)
{
    for (uint32_t q = 0; q < p->q; q++) {
        uint16_t best = arcs[q].owners[0];
        for (uint32_t i = 1; i < p->n; i++) {
            uint16_t seat = arcs[q].owners[i];
            if ((uint64_t)l->count[seat] * p->seats[best].tokens <
                (uint64_t)l->count[best] * p->seats[seat].tokens)
                best = seat;
        }
        primary_set(&arcs[q], best);
        l->count[best]++;
    }
}

static void path_apply(struct arc *arcs, struct level *l, uint16_t from, uint16_t to, bool give)
{
    l->count[from] += give ? -1u : 1u;
    l->count[to] += give ? 1u : -1u;
    for (uint16_t at = to; at != from; at = l->before[at])
        primary_set(&arcs[l->via[at]], give ? at : l->before[at]);
}

/*
 * Moves one primary along a path of arcs: away from `from` to a seat below its upper bound (give),
 * or to `from` from a seat above its lower bound (take). No two arcs of a path have the same
 * primary, so they are distinct. False when there is no such path.
 */
static bool path_move(const struct plan *p, struct arc *arcs, struct level *l, uint16_t from,
                      bool give)
{
    uint32_t head = 0, tail = 0;
    memset(l->seen, 0, p->seat_count * sizeof(*l->seen));
    l->seen[from] = true;
    l->queue[tail++] = from;
    while (head < tail) {
        uint16_t at = l->queue[head++];
        if (at != from && (give ? l->count[at] < l->high[at] : l->count[at] > l->low[at])) {
            path_apply(arcs, l, from, at, give);
            return true;
        }
        for (uint32_t i = l->starts[at]; i < l->starts[at + 1]; i++) {
            const struct arc *a = &arcs[l->arc_list[i]];
            if (give != (a->owners[0] == at))
                continue;
            for (uint32_t s = give ? 1 : 0; s < (give ? p->n : 1u); s++) {
                uint16_t next = a->owners[s];
                if (l->seen[next])
                    continue;
                l->seen[next] = true;
                l->via[next] = l->arc_list[i];
                l->before[next] = at;
                l->queue[tail++] = next;
            }
        }
    }
    return false;
}

static void level_close(struct level *l)
{
    free(l->count);
    free(l->low);
    free(l->high);
    free(l->starts);
    free(l->arc_list);
    free(l->via);
    free(l->before);
    free(l->queue);
    free(l->seen);
}

static int level_init(const struct plan *p, const struct arc *arcs, struct level *l)
{
    uint32_t room = p->seat_count + 1;
    *l = (struct level){
        .count = calloc(room, sizeof(*l->count)),
        .low = calloc(room, sizeof(*l->low)),
        .high = calloc(room, sizeof(*l->high)),
        .starts = calloc(room, sizeof(*l->starts)),
        .arc_list = calloc((size_t)p->n * p->q + 1, sizeof(*l->arc_list)),
        .via = calloc(room, sizeof(*l->via)),
        .before = calloc(room, sizeof(*l->before)),
        .queue = calloc(room, sizeof(*l->queue)),
        .seen = calloc(room, sizeof(*l->seen)),
    };
    if (!l->count || !l->low || !l->high || !l->starts || !l->arc_list || !l->via || !l->before ||
        !l->queue || !l->seen) {
        level_close(l);
        return GT_ENOMEM;
    }
    for (uint32_t s = 0; s < p->seat_count; s++) {
        l->low[s] = p->seats[s].tokens / p->n;
        l->high[s] = (p->seats[s].tokens + p->n - 1) / p->n;
        l->starts[s + 1] = l->starts[s] + p->seats[s].tokens;
    }
    for (uint32_t q = 0; q < p->q; q++) /* via counts what is filled in already */
        for (uint32_t i = 0; i < p->n; i++) {
            uint16_t seat = arcs[q].owners[i];
            l->arc_list[l->starts[seat] + l->via[seat]++] = q;
        }
    return 0;
}

int plan_primaries(const struct plan *p, struct arc *arcs, bool anew)
{
    struct level l;
    int error = level_init(p, arcs, &l);
    if (error)
        return error;
    if (anew)
        deal(p, arcs, &l);
    for (uint32_t q = 0; !anew && q < p->q; q++)
        l.count[arcs[q].owners[0]]++;
    for (uint32_t s = 0; s < p->seat_count; s++)
        while (l.count[s] > l.high[s] && path_move(p, arcs, &l, (uint16_t)s, true)) {
        }
    for (uint32_t s = 0; s < p->seat_count; s++)
        while (l.count[s] < l.low[s] && path_move(p, arcs, &l, (uint16_t)s, false)) {
        }
    level_close(&l);
    return 0;
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

static bool is_up(const struct member *m)
{
    return m->state == MEMBER_UP;
}

int placement_form(struct ring *r)
{
    struct plan p;
    struct prng dice;
    gt_assert(r->arcs && r->settings.partitions > 0);
    gt_assert(r->settings.replicas >= 1 && r->settings.replicas <= REPLICAS_MAX);
    int error = plan_init(&p, r, is_up);
    if (error)
        return error;
    memset(r->arcs, 0, p.q * sizeof(*r->arcs));
    error = plan_round(&p, NULL);
    if (!error) {
        prng_init(&dice, MIXING_SEED);
        lay_out(&p, r->arcs);
        mix(&p, r->arcs, &dice);
        shuffle(&p, r->arcs, &dice);
        error = plan_primaries(&p, r->arcs, true);
    }
    for (uint32_t q = 0; !error && q < p.q; q++)
        for (uint32_t i = 0; i < p.n; i++)
            r->arcs[q].owners[i] = (uint16_t)p.seats[r->arcs[q].owners[i]].member;
    plan_close(&p);
    return error;
}

int placement_shares(const struct ring *r, double *shares)
{
    struct plan p;
    int error = plan_init(&p, r, is_up);
    if (error)
        return error;
    for (uint32_t i = 0; i < r->member_count; i++)
        shares[i] = 0;
    for (uint32_t s = 0; s < p.seat_count; s++)
        shares[p.seats[s].member] = p.seats[s].share;
    plan_close(&p);
    return 0;
}
