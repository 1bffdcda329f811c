/*
 * The one merge, puts and contexts, against an oracle that holds explicit sets of dots and knows
 * nothing of vectors: a state is the dots it has seen and, of these, the dots that are live.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/crc.h"
#include "engine/base/error.h"
#include "engine/base/prng.h"
#include "engine/clock.h"
#include "engine/record.h"
#include "engine/version.h"

/* ---- the oracle ------------------------------------------------------------------------------ */

#define DOTS_MAX 64

struct sets {
    uint64_t seen, live; /* live within seen; bit i is dots[i] of the world */
};

/* All dots of the key that exist, and the write that each is. */
struct world {
    struct dot dots[DOTS_MAX];
    struct sibling siblings[DOTS_MAX];
    uint32_t count;
};

#define BIT(i) (1ull << (i))

/* RULES 2, dot by dot. A clock is the set of dots in it. */
static struct sets oracle_merge(const struct world *w, struct sets l, uint64_t clock_l,
                                struct sets s, uint64_t clock_s)
{
    struct sets out = {l.seen | s.seen, 0};
    for (uint32_t i = 0; i < w->count; i++) {
        bool in_l = l.live & BIT(i), in_s = s.live & BIT(i);
        bool keep_of_s = in_s && (in_l || (!(l.seen & BIT(i)) && !(clock_l & BIT(i))));
        bool keep_of_l = in_l && (in_s || (!(s.seen & BIT(i)) && !(clock_s & BIT(i))));
        if (keep_of_s || keep_of_l)
            out.live |= BIT(i);
    }
    return out;
}

static uint64_t dots_of_actor(const struct world *w, struct actor actor)
{
    uint64_t set = 0;
    for (uint32_t i = 0; i < w->count; i++)
        if (actor_compare(w->dots[i].actor, actor) == 0)
            set |= BIT(i);
    return set;
}

/* RULES 11. The minting actor holds all its dots of this key, reaped ones included. */
static struct sets oracle_put(const struct world *w, struct sets l, uint64_t context, bool plain,
                              uint32_t minted)
{
    return (struct sets){
        l.seen | context | dots_of_actor(w, w->dots[minted].actor),
        (plain ? 0 : l.live & ~context) | BIT(minted),
    };
}

/* ---- the world ------------------------------------------------------------------------------- */

static uint32_t world_add(struct world *w, struct dot d, uint64_t stamp, bool tombstone)
{
    static const char text[] =
        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnop";
    uint32_t i = w->count++;
    assert_true(i < DOTS_MAX);
    w->dots[i] = d;
    w->siblings[i] = (struct sibling){
        .dot = d,
        .stamp = stamp,
        .op = {1, (uint8_t)i},
        .flags = tombstone ? SIBLING_TOMBSTONE : 0,
        .value = tombstone ? slice_of(NULL, 0) : slice_of(text + i, 1 + i % 4),
    };
    return i;
}

/* `per_actor` dots of each of `actors` actors; dot i is of actor i / per_actor. */
static struct world world_small(uint32_t actors, uint32_t per_actor)
{
    struct world w = {.count = 0};
    for (uint32_t a = 0; a < actors; a++)
        for (uint32_t s = 1; s <= per_actor; s++)
            world_add(&w, (struct dot){{a + 1, 7}, s}, s * 8 + a, s % 3 == 0);
    return w;
}

static uint64_t covered_set(const struct world *w, const struct history *h)
{
    uint64_t set = 0;
    for (uint32_t i = 0; i < w->count; i++)
        if (history_covers(h, w->dots[i]))
            set |= BIT(i);
    return set;
}

static void assert_history_normal(const struct history *h)
{
    for (uint32_t i = 0; i < h->vector_count; i++) {
        assert_true(h->vector[i].seq > 0);
        if (i > 0)
            assert_true(actor_compare(h->vector[i - 1].actor, h->vector[i].actor) < 0);
    }
    for (uint32_t i = 1; i < h->closed_count; i++)
        assert_true(h->closed[i - 1].node < h->closed[i].node);
    for (uint32_t i = 0; i < h->exact_count; i++) {
        if (i > 0)
            assert_true(dot_compare(h->exact[i - 1], h->exact[i]) < 0);
        for (uint32_t v = 0; v < h->vector_count; v++)
            if (actor_compare(h->vector[v].actor, h->exact[i].actor) == 0)
                assert_true(h->vector[v].seq < h->exact[i].seq);
    }
}

static void assert_state_is(const struct world *w, const struct state *s, struct sets sets)
{
    struct sets real = {covered_set(w, &s->history), 0};
    for (uint32_t j = 0, i = 0; j < s->sibling_count; j++) {
        const struct sibling *sibling = &s->siblings[j];
        if (j > 0)
            assert_true(dot_compare(sibling[-1].dot, sibling->dot) < 0);
        for (i = 0; i < w->count && dot_compare(w->dots[i], sibling->dot) != 0;)
            i++;
        assert_true(i < w->count);
        assert_true(sibling->stamp == w->siblings[i].stamp &&
                    sibling->flags == w->siblings[i].flags &&
                    slice_equal(sibling->value, w->siblings[i].value));
        real.live |= BIT(i);
    }
    assert_history_normal(&s->history);
    if (real.seen != sets.seen || real.live != sets.live)
        fail_msg("seen %llx live %llx, and the oracle says seen %llx live %llx",
                 (unsigned long long)real.seen, (unsigned long long)real.live,
                 (unsigned long long)sets.seen, (unsigned long long)sets.live);
}

/* The state of these sets, with the vector entries asked for. */
static void state_make(const struct world *w, struct state *s, struct sets sets,
                       const uint64_t *vector, uint32_t actors, uint32_t per_actor)
{
    state_clear(s);
    for (uint32_t a = 0; vector && a < actors; a++)
        assert_int_equal(history_raise(&s->history, w->dots[a * per_actor].actor, vector[a]), 0);
    for (uint32_t i = 0; i < w->count; i++) {
        if (sets.live & BIT(i))
            assert_int_equal(state_add(s, &w->siblings[i]), 0);
        else if (sets.seen & BIT(i))
            assert_int_equal(history_add(&s->history, w->dots[i]), 0);
    }
}

static void clock_make(const struct world *w, struct clock *c, uint64_t set)
{
    clock_clear(c);
    for (uint32_t i = 0; i < w->count; i++)
        if (set & BIT(i))
            assert_int_equal(clock_add(c, w->dots[i]), 0);
}

/* Every (seen, live) over the dots of the world: 3 to their number. */
static uint32_t sets_all(const struct world *w, struct sets *out)
{
    uint32_t count = 0;
    for (uint64_t seen = 0; seen < BIT(w->count); seen++)
        for (uint64_t live = seen;; live = (live - 1) & seen) {
            out[count++] = (struct sets){seen, live};
            if (live == 0)
                break;
        }
    return count;
}

static void states_close(struct state *states, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        state_close(&states[i]);
    free(states);
}

/* ---- the merge on small domains, all of it --------------------------------------------------- */

static void merge_of_every_pair_with_every_clock_is_the_rule(void **unused)
{
    (void)unused;
    enum { ACTORS = 2, PER_ACTOR = 2, STATES = 81, CLOCKS = 16 };
    struct world w = world_small(ACTORS, PER_ACTOR);
    struct sets sets[STATES];
    struct state *states = calloc(STATES, sizeof(*states)), out = {0};
    struct clock clocks[CLOCKS] = {0};
    assert_int_equal(sets_all(&w, sets), STATES);
    for (uint32_t i = 0; i < STATES; i++)
        state_make(&w, &states[i], sets[i], NULL, 0, 0);
    for (uint64_t c = 0; c < CLOCKS; c++)
        clock_make(&w, &clocks[c], c);
    for (uint32_t l = 0; l < STATES; l++)
        for (uint32_t s = 0; s < STATES; s++)
            for (uint32_t c = 0; c < CLOCKS * CLOCKS; c++) {
                uint64_t cl = c % CLOCKS, cs = c / CLOCKS;
                assert_int_equal(
                    version_merge(&states[l], &clocks[cl], &states[s], &clocks[cs], &out), 0);
                struct sets wanted = oracle_merge(&w, sets[l], cl, sets[s], cs);
                assert_true(out.sibling_count == (uint32_t)__builtin_popcountll(wanted.live));
                for (uint32_t i = 0; i < out.sibling_count; i++)
                    assert_true(wanted.live & BIT((out.siblings[i].dot.actor.node - 1) * PER_ACTOR +
                                                  out.siblings[i].dot.seq - 1));
                if (c == 0)
                    assert_state_is(&w, &out, wanted);
            }
    for (uint32_t c = 0; c < CLOCKS; c++)
        clock_close(&clocks[c]);
    state_close(&out);
    states_close(states, STATES);
}

/* The same sets may be told by a vector or by exact dots: all ways of telling 2 x 2 dots. */
static void merge_does_not_depend_on_how_a_history_is_told(void **unused)
{
    (void)unused;
    enum { ACTORS = 2, PER_ACTOR = 2, SETS = 81, STATES = 361 };
    struct world w = world_small(ACTORS, PER_ACTOR);
    struct sets sets[SETS], of[STATES];
    struct state *states = calloc(STATES, sizeof(*states)), ab = {0}, ba = {0};
    uint32_t count = 0;
    sets_all(&w, sets);
    for (uint32_t i = 0; i < SETS; i++)
        for (uint64_t v = 0; v < 9; v++) {
            uint64_t vector[ACTORS] = {v % 3, v / 3};
            uint64_t prefix = (BIT(vector[0]) - 1) | (BIT(vector[1]) - 1) << PER_ACTOR;
            if (prefix & ~sets[i].seen)
                continue;
            assert_true(count < STATES);
            of[count] = sets[i];
            state_make(&w, &states[count++], sets[i], vector, ACTORS, PER_ACTOR);
        }
    assert_int_equal(count, STATES);
    for (uint32_t a = 0; a < STATES; a++)
        for (uint32_t b = 0; b < STATES; b++) {
            assert_int_equal(version_merge(&states[a], NULL, &states[b], NULL, &ab), 0);
            assert_int_equal(version_merge(&states[b], NULL, &states[a], NULL, &ba), 0);
            assert_state_is(&w, &ab, oracle_merge(&w, of[a], 0, of[b], 0));
            assert_true(state_equal(&ab, &ba));
            assert_true(history_includes(&ab.history, &states[a].history));
            assert_true(history_includes(&ab.history, &states[b].history));
        }
    state_close(&ab);
    state_close(&ba);
    states_close(states, STATES);
}

static void merge_is_associative_and_idempotent(void **unused)
{
    (void)unused;
    enum { STATES = 81 };
    struct world w = world_small(2, 2);
    struct sets sets[STATES];
    struct state *states = calloc(STATES, sizeof(*states));
    struct state ab = {0}, bc = {0}, left = {0}, right = {0};
    sets_all(&w, sets);
    for (uint32_t i = 0; i < STATES; i++) {
        /* As long a vector as the set allows, so that vectors and exact dots meet. */
        uint64_t seen = sets[i].seen;
        uint64_t vector[2] = {
            (i & 1) * (uint64_t)__builtin_ctzll(~(seen & 3)),
            (i & 2) / 2 * (uint64_t)__builtin_ctzll(~(seen >> 2)),
        };
        state_make(&w, &states[i], sets[i], vector, 2, 2);
        assert_state_is(&w, &states[i], sets[i]);
        assert_int_equal(version_merge(&states[i], NULL, &states[i], NULL, &left), 0);
        assert_true(state_equal(&left, &states[i]));
    }
    for (uint32_t a = 0; a < STATES; a++)
        for (uint32_t b = 0; b < STATES; b++) {
            assert_int_equal(version_merge(&states[a], NULL, &states[b], NULL, &ab), 0);
            for (uint32_t c = 0; c < STATES; c++) {
                assert_int_equal(version_merge(&states[b], NULL, &states[c], NULL, &bc), 0);
                assert_int_equal(version_merge(&ab, NULL, &states[c], NULL, &left), 0);
                assert_int_equal(version_merge(&states[a], NULL, &bc, NULL, &right), 0);
                assert_true(state_equal(&left, &right));
            }
        }
    state_close(&ab);
    state_close(&bc);
    state_close(&left);
    state_close(&right);
    states_close(states, STATES);
}

/* ---- all that two replicas can reach --------------------------------------------------------- */

/*
 * Two replicas, one actor each, at most PER_REPLICA writes each. A state packs into 16 bits: two
 * vector entries, exact dots, live dots; the pair of both states is one node of the search. Moves:
 * a plain put, a put without context, with what a full read or a plain read of either replica
 * shows, and merging one replica into the other.
 */
#define PER_REPLICA 3
#define TABLE_SIZE  (1u << 22)

struct search {
    struct world world;
    uint32_t *table; /* open addressing; pair + 1, 0 is free */
    uint32_t *queue;
    uint32_t queued;
    bool reached[1 << 16];
};

static uint32_t pack(const struct world *w, const struct state *s)
{
    uint32_t packed = 0;
    for (uint32_t i = 0; i < s->history.vector_count; i++)
        packed |= (uint32_t)s->history.vector[i].seq << (2 * (s->history.vector[i].actor.node - 1));
    for (uint32_t i = 0; i < w->count; i++) {
        for (uint32_t j = 0; j < s->history.exact_count; j++)
            if (dot_compare(s->history.exact[j], w->dots[i]) == 0)
                packed |= 1u << (4 + i);
        if (state_find(s, w->dots[i]))
            packed |= 1u << (10 + i);
    }
    return packed;
}

static struct sets unpack(const struct world *w, uint32_t packed, struct state *s)
{
    struct sets sets = {(packed >> 4) & 63, (packed >> 10) & 63};
    uint64_t vector[2] = {packed & 3, (packed >> 2) & 3};
    sets.seen |= (BIT(vector[0]) - 1) | (BIT(vector[1]) - 1) << PER_REPLICA;
    state_make(w, s, sets, vector, 2, PER_REPLICA);
    return sets;
}

static void search_push(struct search *search, uint32_t pair)
{
    uint32_t at = (pair * 2654435761u) % TABLE_SIZE;
    while (search->table[at] != 0 && search->table[at] != pair + 1)
        at = (at + 1) % TABLE_SIZE;
    if (search->table[at] != 0)
        return;
    assert_true(search->queued < TABLE_SIZE / 2);
    search->table[at] = pair + 1;
    search->queue[search->queued++] = pair;
    search->reached[pair & 0xffff] = search->reached[pair >> 16] = true;
}

static void search_put(struct search *search, const uint32_t packed[2], uint32_t r,
                       const struct state *local, struct sets sets, const struct history *context,
                       bool plain)
{
    const struct world *w = &search->world;
    uint32_t minted = r * PER_REPLICA;
    while (minted < (r + 1) * PER_REPLICA && (sets.seen & BIT(minted)))
        minted++;
    if (minted == (r + 1) * PER_REPLICA)
        return;
    struct state out = {0};
    struct history returned = {0};
    struct dot replaced[DOTS_MAX];
    uint32_t replaced_count;
    uint64_t shown = context ? covered_set(w, context) : 0;
    assert_int_equal(version_put(local, context, plain, &w->siblings[minted], &out, replaced,
                                 &replaced_count, &returned),
                     0);
    /* The oracle mints dot by dot, so of the actor's dots only those up to this one exist. */
    struct sets wanted = {sets.seen | shown | BIT(minted),
                          (plain ? 0 : sets.live & ~shown) | BIT(minted)};
    assert_state_is(w, &out, wanted);
    uint64_t gone = 0;
    for (uint32_t i = 0; i < replaced_count; i++)
        for (uint32_t d = 0; d < w->count; d++)
            if (dot_compare(replaced[i], w->dots[d]) == 0)
                gone |= BIT(d);
    assert_true(gone == (sets.live & ~wanted.live));
    assert_true(covered_set(w, &returned) == (shown | gone | BIT(minted)));
    uint32_t after[2] = {packed[0], packed[1]};
    after[r] = pack(w, &out);
    search_push(search, after[0] | after[1] << 16);
    state_close(&out);
    history_close(&returned);
}

static void search_step(struct search *search, uint32_t pair)
{
    const struct world *w = &search->world;
    struct state states[2] = {0}, out = {0};
    struct history context = {0};
    struct sets sets[2];
    uint32_t packed[2] = {pair & 0xffff, pair >> 16};
    for (uint32_t r = 0; r < 2; r++)
        sets[r] = unpack(w, packed[r], &states[r]);
    for (uint32_t r = 0; r < 2; r++) {
        search_put(search, packed, r, &states[r], sets[r], NULL, true);
        search_put(search, packed, r, &states[r], sets[r], NULL, false);
        for (uint32_t q = 0; q < 2; q++) {
            const struct sibling *winner = state_winner(&states[q]);
            assert_int_equal(version_read_context(&states[q], NULL, NULL, &context), 0);
            assert_true(covered_set(w, &context) == sets[q].seen);
            search_put(search, packed, r, &states[r], sets[r], &context, false);
            if (!winner)
                continue;
            assert_int_equal(version_read_context(&states[q], winner, NULL, &context), 0);
            uint64_t shown = covered_set(w, &context), won = 0;
            for (uint32_t i = 0; i < w->count; i++)
                if (dot_compare(w->dots[i], winner->dot) == 0)
                    won = BIT(i);
            assert_true((shown & sets[q].live) == won && (shown & ~sets[q].seen) == 0);
            search_put(search, packed, r, &states[r], sets[r], &context, false);
        }
        assert_int_equal(version_merge(&states[r], NULL, &states[!r], NULL, &out), 0);
        assert_state_is(w, &out, oracle_merge(w, sets[r], 0, sets[!r], 0));
        uint32_t after[2] = {packed[0], packed[1]};
        after[r] = pack(w, &out);
        search_push(search, after[0] | after[1] << 16);
    }
    state_close(&states[0]);
    state_close(&states[1]);
    state_close(&out);
    history_close(&context);
}

static void everything_two_replicas_can_reach_is_as_the_oracle_says(void **unused)
{
    (void)unused;
    struct search *search = calloc(1, sizeof(*search));
    search->world = world_small(2, PER_REPLICA);
    search->table = calloc(TABLE_SIZE, sizeof(*search->table));
    search->queue = calloc(TABLE_SIZE / 2, sizeof(*search->queue));
    search_push(search, 0);
    for (uint32_t next = 0; next < search->queued; next++)
        search_step(search, search->queue[next]);

    /* And every two of the states met, whether or not they can meet. */
    const struct world *w = &search->world;
    uint32_t count = 0;
    for (uint32_t packed = 0; packed < 1 << 16; packed++)
        count += search->reached[packed];
    struct state *states = calloc(count, sizeof(*states)), ab = {0}, ba = {0};
    struct sets *sets = calloc(count, sizeof(*sets));
    for (uint32_t packed = 0, i = 0; packed < 1 << 16; packed++)
        if (search->reached[packed]) {
            sets[i] = unpack(w, packed, &states[i]);
            i++;
        }
    print_message("%u pairs of replicas, %u states\n", search->queued, count);
    uint32_t stride = 1 + count / 400; /* at most 400 x all of them */
    for (uint32_t a = 0; a < count; a += stride)
        for (uint32_t b = 0; b < count; b++) {
            assert_int_equal(version_merge(&states[a], NULL, &states[b], NULL, &ab), 0);
            assert_int_equal(version_merge(&states[b], NULL, &states[a], NULL, &ba), 0);
            assert_true(state_equal(&ab, &ba));
            assert_state_is(w, &ab, oracle_merge(w, sets[a], 0, sets[b], 0));
        }
    state_close(&ab);
    state_close(&ba);
    states_close(states, count);
    free(sets);
    free(search->queue);
    free(search->table);
    free(search);
}

/* ---- a million random cases ------------------------------------------------------------------ */

/*
 * Four replicas of one key, with clocks that hold INV. They mint (also for other keys, so that
 * seqs have gaps), restart with a new incarnation, send states that arrive late, twice or never,
 * pull from one another, and reap. In the end everyone pulls from everyone and all agree.
 */
#define REPLICAS     4
#define PARCELS      8
#define CONTEXTS     8
#define RANDOM_CASES 1000000

struct replica {
    struct actor actor;
    uint64_t seq;
    struct state state;
    struct clock clock;
    struct sets sets;
    uint64_t clock_set;
};

struct parcel {
    struct state state;
    struct sets sets;
    uint64_t listed; /* the dots that it may set in a clock: live ones and the ones replaced */
    bool used;
};

struct model {
    struct prng prng;
    struct world world;
    struct replica replicas[REPLICAS];
    struct parcel parcels[PARCELS];
    struct history contexts[CONTEXTS];
    uint64_t context_sets[CONTEXTS];
    struct state out;
    struct history returned;
    uint64_t cases;
};

static void model_check(const struct model *m, const struct replica *r)
{
    assert_state_is(&m->world, &r->state, r->sets);
    for (uint32_t i = 0; i < m->world.count; i++)
        assert_true(clock_covers(&r->clock, m->world.dots[i]) == !!(r->clock_set & BIT(i)));
    /* INV, as far as one key shows it: what is seen by the state is in the clock only if held or
     * reaped; what is live is always in the clock. */
    assert_true((r->sets.live & ~r->clock_set) == 0);
}

static void replica_take(struct model *m, struct replica *r, struct sets sets)
{
    struct state swap = r->state;
    r->state = m->out;
    m->out = swap;
    r->sets = sets;
    model_check(m, r);
    m->cases++;
}

static void replica_list(struct model *m, struct replica *r, uint64_t listed)
{
    r->clock_set |= listed;
    for (uint32_t i = 0; i < m->world.count; i++)
        if (listed & BIT(i))
            assert_int_equal(clock_add(&r->clock, m->world.dots[i]), 0);
}

static void parcel_post(struct model *m, const struct replica *r, uint64_t replaced)
{
    struct parcel *p = &m->parcels[prng_below(&m->prng, PARCELS)];
    assert_int_equal(state_copy(&p->state, &r->state), 0);
    p->sets = r->sets;
    p->listed = r->sets.live | replaced;
    p->used = true;
}

static void context_keep(struct model *m, const struct history *h)
{
    uint32_t at = (uint32_t)prng_below(&m->prng, CONTEXTS);
    assert_int_equal(history_copy(&m->contexts[at], h), 0);
    m->context_sets[at] = covered_set(&m->world, h);
}

static void model_put(struct model *m, struct replica *r)
{
    struct world *w = &m->world;
    if (w->count == DOTS_MAX)
        return;
    bool plain = prng_below(&m->prng, 3) == 0, has_context = prng_below(&m->prng, 4) != 0;
    uint32_t which = (uint32_t)prng_below(&m->prng, CONTEXTS);
    uint64_t context = has_context ? m->context_sets[which] : 0;
    uint64_t stamp = 1000 + prng_below(&m->prng, 64);
    uint32_t minted =
        world_add(w, (struct dot){r->actor, ++r->seq}, stamp, prng_below(&m->prng, 4) == 0);
    struct dot replaced[DOTS_MAX];
    uint32_t replaced_count;
    assert_int_equal(version_put(&r->state, has_context ? &m->contexts[which] : NULL, plain,
                                 &w->siblings[minted], &m->out, replaced, &replaced_count,
                                 &m->returned),
                     0);
    struct sets before = r->sets, after = oracle_put(w, before, context, plain, minted);
    uint64_t gone = before.live & ~after.live;
    assert_int_equal(replaced_count, __builtin_popcountll(gone));
    assert_true(covered_set(w, &m->returned) == (context | gone | BIT(minted)));
    replica_list(m, r, BIT(minted));
    replica_take(m, r, after);
    parcel_post(m, r, gone);
    context_keep(m, &m->returned);
}

static void model_read(struct model *m, struct replica *r)
{
    const struct sibling *winner = state_winner(&r->state);
    bool all = !winner || prng_below(&m->prng, 2);
    assert_int_equal(version_read_context(&r->state, all ? NULL : winner, NULL, &m->returned), 0);
    assert_history_normal(&m->returned);
    uint64_t shown = covered_set(&m->world, &m->returned);
    assert_true((shown & ~r->sets.seen) == 0);
    if (all) {
        assert_true(shown == r->sets.seen);
    } else {
        assert_true(history_covers(&m->returned, winner->dot));
        assert_int_equal(__builtin_popcountll(shown & r->sets.live), 1);
    }
    context_keep(m, &m->returned);
    m->cases++;
}

static void model_deliver(struct model *m, struct replica *r)
{
    struct parcel *p = &m->parcels[prng_below(&m->prng, PARCELS)];
    if (!p->used)
        return;
    assert_int_equal(version_merge(&r->state, &r->clock, &p->state, NULL, &m->out), 0);
    struct sets after = oracle_merge(&m->world, r->sets, r->clock_set, p->sets, 0);
    replica_list(m, r, p->listed);
    replica_take(m, r, after);
}

static void model_pull(struct model *m, struct replica *r, const struct replica *from)
{
    if (r == from)
        return;
    assert_int_equal(version_merge(&r->state, &r->clock, &from->state, &from->clock, &m->out), 0);
    struct sets after = oracle_merge(&m->world, r->sets, r->clock_set, from->sets, from->clock_set);
    assert_int_equal(clock_merge(&r->clock, &from->clock), 0);
    r->clock_set |= from->clock_set;
    replica_take(m, r, after);
}

static void model_reap(struct model *m, struct replica *r)
{
    const struct sibling *only = r->state.sibling_count == 1 ? r->state.siblings : NULL;
    if (!only || !(only->flags & SIBLING_TOMBSTONE))
        return;
    for (uint32_t i = 0; i < REPLICAS; i++)
        if (r->sets.seen & ~m->replicas[i].clock_set)
            return;
    state_clear(&m->out);
    replica_take(m, r, (struct sets){0, 0});
}

static void model_step(struct model *m)
{
    struct replica *r = &m->replicas[prng_below(&m->prng, REPLICAS)];
    switch (prng_below(&m->prng, 12)) {
    case 0:
    case 1:
    case 2:
        model_put(m, r);
        break;
    case 3:
        model_read(m, r);
        break;
    case 4: /* a write to another key of the partition */
        r->seq++;
        assert_int_equal(clock_add(&r->clock, (struct dot){r->actor, r->seq}), 0);
        break;
    case 5:
        if (prng_below(&m->prng, 4) == 0) {
            r->actor.incarnation += 1 + prng_below(&m->prng, 3);
            r->seq = 0;
        }
        break;
    case 6:
        model_reap(m, r);
        break;
    case 7:
    case 8:
        model_pull(m, r, &m->replicas[prng_below(&m->prng, REPLICAS)]);
        break;
    case 9:
        parcel_post(m, r, 0);
        break;
    default:
        model_deliver(m, r);
        break;
    }
}

static void model_reset(struct model *m, uint64_t seed)
{
    prng_init(&m->prng, seed);
    m->world.count = 0;
    for (uint32_t i = 0; i < REPLICAS; i++) {
        struct replica *r = &m->replicas[i];
        r->actor = (struct actor){i % 3 + 1, i < 3 ? 100 : 500}; /* two lives of node 1 */
        r->seq = 0;
        state_clear(&r->state);
        clock_clear(&r->clock);
        r->sets = (struct sets){0, 0};
        r->clock_set = 0;
    }
    for (uint32_t i = 0; i < PARCELS; i++)
        m->parcels[i].used = false;
    for (uint32_t i = 0; i < CONTEXTS; i++) {
        history_clear(&m->contexts[i]);
        m->context_sets[i] = 0;
    }
}

static void model_close(struct model *m)
{
    for (uint32_t i = 0; i < REPLICAS; i++) {
        state_close(&m->replicas[i].state);
        clock_close(&m->replicas[i].clock);
    }
    for (uint32_t i = 0; i < PARCELS; i++)
        state_close(&m->parcels[i].state);
    for (uint32_t i = 0; i < CONTEXTS; i++)
        history_close(&m->contexts[i]);
    state_close(&m->out);
    history_close(&m->returned);
    free(m);
}

static void a_million_random_cases_are_as_the_oracle_says(void **unused)
{
    (void)unused;
    struct model *m = calloc(1, sizeof(*m));
    for (uint64_t seed = 1; m->cases < RANDOM_CASES; seed++) {
        model_reset(m, seed);
        for (uint32_t step = 0; step < 100; step++)
            model_step(m);
        for (uint32_t round = 0; round < 2; round++)
            for (uint32_t i = 0; i < REPLICAS; i++)
                for (uint32_t j = 0; j < REPLICAS; j++)
                    model_pull(m, &m->replicas[i], &m->replicas[j]);
        for (uint32_t i = 1; i < REPLICAS; i++)
            if (m->replicas[i].sets.live != m->replicas[0].sets.live)
                fail_msg("seed %llu: replica %u did not converge", (unsigned long long)seed, i);
    }
    model_close(m);
}

/* ---- named executions ------------------------------------------------------------------------ */

static const struct actor A = {1, 10}, B = {2, 20}, C = {3, 30};

static struct sibling write_of(struct actor actor, uint64_t seq, const char *value)
{
    return (struct sibling){
        .dot = {actor, seq},
        .stamp = seq,
        .op = {(uint8_t)actor.node, (uint8_t)seq},
        .flags = value ? 0 : SIBLING_TOMBSTONE,
        .value = value ? slice_text(value) : slice_of(NULL, 0),
    };
}

static void put(const struct state *local, const struct history *context, bool plain,
                struct sibling sibling, struct state *out, struct history *returned)
{
    struct dot replaced[DOTS_MAX];
    uint32_t count;
    struct history dropped = {0};
    assert_int_equal(version_put(local, context, plain, &sibling, out, replaced, &count,
                                 returned ? returned : &dropped),
                     0);
    history_close(&dropped);
}

/* F1: a replica that took the vector of a message for its own clock would call a late put of
 * another key old news. A message sets only the dots that it lists; with those the late put is
 * kept. */
static void f1_a_late_put_is_not_old_news(void **unused)
{
    (void)unused;
    struct state key1 = {0}, key2 = {0}, absent = {0}, out = {0};
    struct clock clock = {0}, wrong = {0};
    /* A writes key2 (1), then key1 (2); the put of key1 arrives first. */
    put(&absent, NULL, true, write_of(A, 1, "late"), &key2, NULL);
    put(&absent, NULL, true, write_of(A, 2, "early"), &key1, NULL);
    assert_true(history_covers(&key1.history, (struct dot){A, 1})); /* says nothing of key2 */
    assert_int_equal(version_merge(&absent, &clock, &key1, NULL, &out), 0);
    for (uint32_t i = 0; i < out.sibling_count; i++)
        assert_int_equal(clock_add(&clock, out.siblings[i].dot), 0);

    assert_int_equal(version_merge(&absent, &clock, &key2, NULL, &out), 0);
    assert_int_equal(out.sibling_count, 1);

    /* What the rule forbids would have lost it. */
    assert_int_equal(clock_add_range(&wrong, A, 1, 2), 0);
    assert_int_equal(version_merge(&absent, &wrong, &key2, NULL, &out), 0);
    assert_int_equal(out.sibling_count, 0);
    state_close(&key1);
    state_close(&key2);
    state_close(&out);
    clock_close(&clock);
    clock_close(&wrong);
}

/* F2: delete, reap, write again; then a parcel comes with the dead value. */
static void f2_a_parcel_does_not_bring_back_what_was_reaped(void **unused)
{
    (void)unused;
    struct state absent = {0}, parcel = {0}, again = {0}, out = {0};
    struct clock clock = {0};
    put(&absent, NULL, true, write_of(A, 1, "dead"), &parcel, NULL);
    /* The owner saw the write (A,1) and its tombstone (B,1), and reaped the key. */
    assert_int_equal(clock_add(&clock, (struct dot){A, 1}), 0);
    assert_int_equal(clock_add(&clock, (struct dot){B, 1}), 0);

    /* While the key is absent. */
    assert_int_equal(version_merge(&absent, &clock, &parcel, NULL, &out), 0);
    assert_int_equal(out.sibling_count, 0);

    /* And when it was written again: the new value stays and stays alone. */
    put(&absent, NULL, true, write_of(B, 2, "new"), &again, NULL);
    assert_int_equal(clock_add(&clock, (struct dot){B, 2}), 0);
    assert_int_equal(version_merge(&again, &clock, &parcel, NULL, &out), 0);
    assert_int_equal(out.sibling_count, 1);
    assert_true(slice_equal(out.siblings[0].value, slice_text("new")));
    state_close(&parcel);
    state_close(&again);
    state_close(&out);
    clock_close(&clock);
}

/* A pull from a replica that reaped the key takes it away here, by the clock cut with it; without
 * that clock nothing is dropped. */
static void a_pull_drops_what_the_sender_covers_and_no_longer_holds(void **unused)
{
    (void)unused;
    struct state absent = {0}, mine = {0}, out = {0};
    struct clock clock = {0}, senders = {0};
    put(&absent, NULL, true, write_of(A, 1, NULL), &mine, NULL);
    assert_int_equal(clock_add(&clock, (struct dot){A, 1}), 0);
    assert_int_equal(clock_add_range(&senders, A, 1, 5), 0);
    assert_int_equal(version_merge(&mine, &clock, &absent, NULL, &out), 0);
    assert_int_equal(out.sibling_count, 1);
    assert_int_equal(version_merge(&mine, &clock, &absent, &senders, &out), 0);
    assert_int_equal(out.sibling_count, 0);
    /* What the sender has live stays, whatever its clock covers. */
    assert_int_equal(version_merge(&mine, &clock, &mine, &senders, &out), 0);
    assert_int_equal(out.sibling_count, 1);
    state_close(&mine);
    state_close(&out);
    clock_close(&clock);
    clock_close(&senders);
}

static void an_unknown_state_does_not_ask_its_clock(void **unused)
{
    (void)unused;
    struct state unknown = {.unknown = true}, sent = {0}, absent = {0}, out = {0};
    struct clock clock = {0};
    put(&absent, NULL, true, write_of(A, 1, "mended"), &sent, NULL);
    assert_int_equal(clock_add(&clock, (struct dot){A, 1}), 0);
    assert_false(state_absent(&unknown));
    assert_int_equal(version_merge(&unknown, &clock, &sent, NULL, &out), 0);
    assert_int_equal(out.sibling_count, 1);
    assert_true(out.unknown); /* until the caller has enough owners (RULES 16) */
    state_close(&sent);
    state_close(&out);
    clock_close(&clock);
}

/* F12: two clients write without having read; the context of one does not kill the other. */
static void f12_a_context_does_not_cover_what_nobody_read(void **unused)
{
    (void)unused;
    struct state absent = {0}, first = {0}, both = {0}, after = {0};
    struct history returned = {0}, again = {0}, read = {0}, seen = {0};
    put(&absent, NULL, false, write_of(A, 1, "of one"), &first, NULL);
    put(&first, NULL, false, write_of(A, 2, "of two"), &both, &returned);
    assert_int_equal(both.sibling_count, 2);
    assert_true(history_covers(&both.history, (struct dot){A, 1}));
    assert_false(history_covers(&returned, (struct dot){A, 1}));
    assert_int_equal(returned.vector_count, 0);

    /* The second client writes on with what its put returned. */
    put(&both, &returned, false, write_of(A, 3, "of two, later"), &after, &again);
    assert_int_equal(after.sibling_count, 2);
    assert_non_null(state_find(&after, (struct dot){A, 1}));
    assert_null(state_find(&after, (struct dot){A, 2}));
    assert_true(history_covers(&again, (struct dot){A, 2}));
    assert_false(history_covers(&again, (struct dot){A, 1}));

    /* A reader that was shown the winner alone does not kill the other either. */
    assert_int_equal(version_read_context(&both, state_winner(&both), NULL, &read), 0);
    put(&both, &read, false, write_of(B, 1, "of a reader"), &after, NULL);
    assert_non_null(state_find(&after, (struct dot){A, 1}));
    assert_null(state_find(&after, (struct dot){A, 2}));

    /* Nor when it has seen both before: what it is not shown now it does not replace. But for what
     * is dead here, and may not be elsewhere. */
    history_clear(&seen);
    assert_int_equal(history_add(&seen, (struct dot){A, 1}), 0);
    assert_int_equal(history_add(&seen, (struct dot){C, 5}), 0);
    assert_int_equal(version_read_context(&both, state_winner(&both), &seen, &read), 0);
    assert_false(history_covers(&read, (struct dot){A, 1}));
    assert_true(history_covers(&read, (struct dot){A, 2}));
    assert_true(history_covers(&read, (struct dot){C, 5}));

    /* A reader that was shown both replaces both. */
    assert_int_equal(version_read_context(&both, NULL, NULL, &read), 0);
    put(&both, &read, false, write_of(B, 1, "of a merger"), &after, NULL);
    assert_int_equal(after.sibling_count, 1);
    state_close(&first);
    state_close(&both);
    state_close(&after);
    history_close(&returned);
    history_close(&again);
    history_close(&read);
    history_close(&seen);
}

/* ---- puts ------------------------------------------------------------------------------------ */

static void a_put_raises_the_vector_of_its_own_actor_only(void **unused)
{
    (void)unused;
    struct state s = {0}, out = {0}, absent = {0};
    struct history context = {0};
    put(&absent, NULL, true, write_of(A, 4, "a"), &s, NULL);
    assert_int_equal(s.history.vector_count, 1);
    assert_int_equal(s.history.vector[0].seq, 4);
    assert_int_equal(history_add(&context, (struct dot){B, 9}), 0);
    put(&s, &context, false, write_of(C, 2, "c"), &out, NULL);
    assert_int_equal(out.history.vector_count, 2);
    assert_int_equal(out.history.exact_count, 1);
    assert_true(history_covers(&out.history, (struct dot){B, 9}));
    assert_false(history_covers(&out.history, (struct dot){B, 8}));
    assert_int_equal(out.sibling_count, 2);
    state_close(&s);
    state_close(&out);
    history_close(&context);
}

static void a_delete_is_a_sibling_like_any_other(void **unused)
{
    (void)unused;
    struct state absent = {0}, s = {0}, gone = {0};
    put(&absent, NULL, true, write_of(A, 1, "v"), &s, NULL);
    put(&s, NULL, true, write_of(B, 1, NULL), &gone, NULL);
    assert_int_equal(gone.sibling_count, 1);
    assert_int_equal(state_winner(&gone)->flags, SIBLING_TOMBSTONE);
    assert_int_equal(state_value_bytes(&gone), 0);
    assert_false(state_absent(&gone));
    state_close(&s);
    state_close(&gone);
}

/* RULES 10: one operation minted twice is shown as one; a context that covers one covers both. */
static void one_operation_minted_twice_counts_as_one(void **unused)
{
    (void)unused;
    struct state s = {0}, out = {0};
    struct history context = {0};
    struct sibling one = write_of(A, 1, "v"), two = write_of(B, 5, "v"),
                   other = write_of(C, 1, "w");
    memcpy(two.op, one.op, OP_ID_BYTES);
    assert_int_equal(state_add(&s, &one), 0);
    assert_int_equal(state_add(&s, &two), 0);
    assert_int_equal(state_add(&s, &other), 0);
    assert_int_equal(state_shown_count(&s), 2);
    assert_false(state_shown(&s, 0));
    assert_true(state_shown(&s, 1) && state_shown(&s, 2));

    assert_int_equal(version_read_context(&s, state_winner(&s), NULL, &context), 0);
    assert_true(history_covers(&context, one.dot) && history_covers(&context, two.dot));
    assert_false(history_covers(&context, other.dot));

    history_clear(&context);
    assert_int_equal(history_add(&context, two.dot), 0);
    put(&s, &context, false, write_of(A, 2, "x"), &out, NULL);
    assert_int_equal(out.sibling_count, 2);
    assert_null(state_find(&out, one.dot));
    assert_non_null(state_find(&out, other.dot));
    state_close(&s);
    state_close(&out);
    history_close(&context);
}

/* An operation that was tried again is on two disks, and whoever supersedes the one dot has not
 * seen the other. */
static void a_twin_that_nobody_saw_is_superseded_by_name(void **unused)
{
    (void)unused;
    struct state first = {0}, again = {0}, over = {0}, out = {0}, other = {0};
    struct history seen = {0}, returned = {0};
    struct sibling lost = write_of(A, 1, "x"), told = write_of(B, 1, "x");
    memset(lost.op, 7, OP_ID_BYTES);
    memset(told.op, 7, OP_ID_BYTES);
    told.flags |= SIBLING_RETRIED;
    put(&(struct state){0}, NULL, true, told, &again, &returned);
    assert_true(history_names(&returned, told.op) && !history_names(&again.history, told.op));
    for (int all = 0; all < 4; all++) {
        /* Whatever the clock of the first coordinator showed. */
        lost.stamp = all < 2 ? told.stamp : told.stamp + (1ull << 40);
        state_clear(&first);
        assert_int_equal(state_add(&first, &lost), 0);
        assert_int_equal(
            version_read_context(&again, all % 2 ? NULL : &again.siblings[0], NULL, &seen), 0);
        assert_true(history_names(&seen, told.op));
        put(&again, &seen, false, write_of(B, 2, "over"), &over, &returned);
        assert_true(history_names(&over.history, told.op) && history_names(&returned, told.op));
        assert_int_equal(version_merge(&over, NULL, &first, NULL, &out), 0);
        assert_int_equal(out.sibling_count, 1);
        assert_true(dot_compare(out.siblings[0].dot, (struct dot){B, 2}) == 0);
        assert_true(history_covers(&out.history, lost.dot));
        assert_int_equal(version_merge(&first, NULL, &over, NULL, &other), 0);
        assert_true(state_equal(&out, &other));
    }
    /* A context that has seen the one replaces the other, where the one has never been. */
    put(&first, &returned, false, write_of(C, 1, "later"), &out, &seen);
    assert_int_equal(out.sibling_count, 1);
    /* While the operation is live it is not named, and both its dots stay, as one. */
    assert_int_equal(version_merge(&first, NULL, &again, NULL, &out), 0);
    assert_int_equal(out.sibling_count, 2);
    assert_int_equal(state_shown_count(&out), 1);
    state_close(&first);
    state_close(&again);
    state_close(&over);
    state_close(&out);
    state_close(&other);
    history_close(&seen);
    history_close(&returned);
}

/* The dot of a first attempt is marked where a retry has found it. Who has it unmarked learns that,
 * and what supersedes it takes a twin along that was minted elsewhere. */
static void a_mark_is_joined_and_what_supersedes_it_takes_the_twin(void **unused)
{
    (void)unused;
    struct state first = {0}, marked = {0}, twin = {0}, over = {0}, out = {0}, other = {0};
    struct history seen = {0};
    struct sibling one = write_of(A, 1, "x"), two = write_of(B, 1, "x");
    memset(one.op, 7, OP_ID_BYTES);
    memset(two.op, 7, OP_ID_BYTES);
    assert_int_equal(state_add(&first, &one), 0);
    one.flags |= SIBLING_RETRIED;
    two.flags |= SIBLING_RETRIED;
    assert_int_equal(state_add(&marked, &one), 0);
    assert_int_equal(state_add(&twin, &two), 0);
    assert_int_equal(version_merge(&first, NULL, &marked, NULL, &out), 0);
    assert_int_equal(version_merge(&marked, NULL, &first, NULL, &other), 0);
    assert_true(state_equal(&out, &marked) && state_equal(&other, &marked));
    /* The put is over a read of before the mark. */
    assert_int_equal(version_read_context(&first, NULL, NULL, &seen), 0);
    put(&out, &seen, false, write_of(A, 2, "over"), &over, NULL);
    assert_int_equal(version_merge(&over, NULL, &twin, NULL, &out), 0);
    assert_int_equal(version_merge(&twin, NULL, &over, NULL, &other), 0);
    assert_true(state_equal(&out, &other));
    assert_int_equal(out.sibling_count, 1);
    assert_true(dot_compare(out.siblings[0].dot, (struct dot){A, 2}) == 0);
    state_close(&first);
    state_close(&marked);
    state_close(&twin);
    state_close(&over);
    state_close(&out);
    state_close(&other);
    history_close(&seen);
}

/* Which of several siblings has superseded an operation is not known, unless only one stands above
 * it, or above what its name says. */
static void superseded_is_settled_when_one_sibling_alone_can_have_done_it(void **unused)
{
    (void)unused;
    struct state s = {0};
    uint8_t op[OP_ID_BYTES] = {7};
    struct sibling low = write_of(A, 1, "low"), high = write_of(B, 1, "high");
    memset(low.op, 8, OP_ID_BYTES);
    memset(high.op, 9, OP_ID_BYTES);
    low.stamp = 10;
    high.stamp = 20;
    assert_true(state_settled(&s, op, 5)); /* it was reaped */
    assert_int_equal(state_add(&s, &low), 0);
    assert_true(state_settled(&s, op, 5));
    assert_int_equal(state_add(&s, &high), 0);
    assert_false(state_settled(&s, op, 5));
    assert_true(state_settled(&s, op, 10));
    /* Two dots of one operation are one. */
    struct sibling twin = high;
    twin.dot.actor = C;
    twin.stamp = 30;
    assert_int_equal(state_add(&s, &twin), 0);
    assert_true(state_settled(&s, op, 10));
    /* Live it is settled when it is answered itself. */
    assert_false(state_settled(&s, low.op, 5));
    assert_true(state_settled(&s, high.op, 5));
    /* Its name has the stamp of what superseded it: nothing lower has. */
    assert_int_equal(history_name(&s.history, op, 5, 10), 0);
    assert_false(state_settled(&s, op, 5));
    assert_int_equal(history_name(&s.history, op, 5, 11), 0);
    assert_true(state_settled(&s, op, 5));
    state_close(&s);
}

/* Two operations at A, the second above the first; and both tried again at B, which took them in
 * opposite order. */
static void put_in_opposite_order(uint8_t flags_at_a, uint64_t first_stamp, struct state *a,
                                  struct state *b)
{
    struct state next = {0};
    struct sibling one = write_of(A, 1, "one"), two = write_of(A, 2, "two");
    memset(one.op, 7, OP_ID_BYTES);
    memset(two.op, 8, OP_ID_BYTES);
    one.flags |= flags_at_a;
    two.flags |= flags_at_a;
    one.stamp = first_stamp;
    two.stamp = 20;
    put(&(struct state){0}, NULL, true, one, &next, NULL);
    put(&next, NULL, true, two, a, NULL);
    one.dot.actor = two.dot.actor = B;
    one.dot.seq = 2;
    two.dot.seq = 1;
    one.flags |= SIBLING_RETRIED;
    two.flags |= SIBLING_RETRIED;
    two.stamp = 12;
    one.stamp = 14;
    put(&(struct state){0}, NULL, true, two, &next, NULL);
    put(&next, NULL, true, one, b, NULL);
    state_close(&next);
}

/* Whoever meets whom, this one alone is left. */
static void assert_one_left(const struct state *a, const struct state *b, struct dot left,
                            struct state *out)
{
    struct state other = {0};
    assert_int_equal(version_merge(a, NULL, b, NULL, out), 0);
    assert_int_equal(version_merge(b, NULL, a, NULL, &other), 0);
    assert_true(state_equal(out, &other));
    assert_int_equal(out->sibling_count, 1);
    assert_true(dot_compare(out->siblings[0].dot, left) == 0);
    state_close(&other);
}

/* Two operations were tried again through two coordinators, which took them in opposite order: each
 * is named where the other is live. The later one stays, whoever meets whom. */
static void of_two_in_opposite_order_the_later_stays(void **unused)
{
    (void)unused;
    struct state a = {0}, b = {0}, out = {0};
    put_in_opposite_order(SIBLING_RETRIED, 10, &a, &b);
    assert_one_left(&a, &b, (struct dot){A, 2}, &out);
    state_close(&a);
    state_close(&b);
    state_close(&out);
}

/* The same, where the one of them that stays by the rule above is a first attempt, of which nobody
 * heard: by its name it goes, and by what it had superseded the other one goes. One is left, the
 * one that a retry found, whoever meets whom (seed 1795760012653). */
static void of_two_that_take_each_other_away_one_is_left(void **unused)
{
    (void)unused;
    struct state a = {0}, b = {0}, out = {0}, again = {0};
    const uint64_t one_stamp = 18;
    uint8_t one_op[OP_ID_BYTES];
    memset(one_op, 7, OP_ID_BYTES);
    put_in_opposite_order(0, one_stamp, &a, &b);
    /* A row becomes a name where another attempt comes. */
    assert_int_equal(history_name(&a.history, one_op, one_stamp, 20), 0);
    assert_one_left(&a, &b, (struct dot){B, 2}, &out);
    /* With either of them once more nothing changes. */
    assert_int_equal(version_merge(&out, NULL, &a, NULL, &again), 0);
    assert_true(state_equal(&out, &again));
    assert_int_equal(version_merge(&b, NULL, &out, NULL, &again), 0);
    assert_true(state_equal(&out, &again));
    state_close(&a);
    state_close(&b);
    state_close(&out);
    state_close(&again);
}

/* Two attempts were stored again, each above what outranked it. A later delete has seen the one: it
 * takes the other away too. What stands above the delete stays. */
static void of_two_stored_again_the_later_delete_takes_both(void **unused)
{
    (void)unused;
    struct state here = {0}, there = {0}, deleted = {0}, out = {0}, other = {0};
    struct history returned = {0};
    struct sibling one = write_of(A, 1, "x"), two = write_of(B, 1, "x");
    memset(one.op, 7, OP_ID_BYTES);
    memset(two.op, 7, OP_ID_BYTES);
    one.flags |= SIBLING_RETRIED | SIBLING_AGAIN;
    two.flags |= SIBLING_RETRIED | SIBLING_AGAIN;
    for (uint64_t stamp = 19; stamp <= 21; stamp++) {
        one.stamp = 10;
        two.stamp = stamp;
        put(&(struct state){0}, NULL, true, one, &here, &returned);
        put(&(struct state){0}, NULL, true, two, &there, &returned);
        struct sibling later = write_of(A, 2, "");
        later.stamp = 20;
        later.flags |= SIBLING_TOMBSTONE;
        put(&here, NULL, true, later, &deleted, &returned);
        assert_int_equal(version_merge(&deleted, NULL, &there, NULL, &out), 0);
        assert_int_equal(out.sibling_count, stamp < 20 ? 1 : 2);
        assert_int_equal(version_merge(&there, NULL, &deleted, NULL, &other), 0);
        assert_true(state_equal(&out, &other));
    }
    /* A context that has seen the one: likewise, where the one has never been. */
    two.stamp = 19;
    put(&(struct state){0}, NULL, true, two, &there, &returned);
    assert_int_equal(version_read_context(&here, NULL, NULL, &returned), 0);
    struct sibling later = write_of(C, 1, "later");
    later.stamp = 20;
    put(&(struct state){0}, &returned, false, later, &out, &other.history);
    assert_int_equal(version_merge(&out, NULL, &there, NULL, &deleted), 0);
    assert_int_equal(deleted.sibling_count, 1);
    state_close(&here);
    state_close(&there);
    state_close(&deleted);
    state_close(&out);
    state_close(&other);
    history_close(&returned);
}

/* One put has seen more operations than are named: the newest are kept, whatever their ids. */
static void the_newest_names_stay(void **unused)
{
    (void)unused;
    struct history h = {0}, newest = {0};
    for (uint8_t i = 1; i <= HISTORY_OPERATIONS_MAX; i++)
        assert_int_equal(history_name(&h, (uint8_t[OP_ID_BYTES]){200, i}, i, 1000), 0);
    assert_int_equal(history_name(&newest, (uint8_t[OP_ID_BYTES]){100}, 500, 1000), 0);
    assert_int_equal(history_join(&h, &newest), 0);
    assert_true(history_names(&h, (uint8_t[OP_ID_BYTES]){100}));
    assert_false(history_names(&h, (uint8_t[OP_ID_BYTES]){200, 1}));
    assert_int_equal(h.operation_count, HISTORY_OPERATIONS_MAX);
    history_close(&h);
    history_close(&newest);
}

static void join(struct history *to, const struct history *from)
{
    assert_int_equal(history_join(to, from), 0);
}

/* Joined in any order and grouping: the newest, however far apart their stamps are. What superseded
 * one that was left out on one way and not on the other they learn when they meet. */
static void names_are_bounded_whatever_the_order(void **unused)
{
    (void)unused;
    struct prng p;
    prng_init(&p, 11);
    for (int round = 0; round < 300; round++) {
        struct history h[3] = {0}, left = {0}, right = {0};
        uint64_t span = round % 2 ? 1000 : UINT64_MAX;
        for (int i = 0; i < 3; i++)
            for (uint64_t n = prng_below(&p, 60); n > 0; n--) {
                uint8_t op[OP_ID_BYTES] = {(uint8_t)prng_below(&p, 90), 1};
                uint64_t stamp = prng_below(&p, span);
                assert_int_equal(history_name(&h[i], op, stamp, prng_below(&p, span)), 0);
            }
        assert_int_equal(history_copy(&left, &h[0]), 0);
        join(&left, &h[1]);
        join(&left, &h[2]);
        assert_int_equal(history_copy(&right, &h[2]), 0);
        join(&right, &h[1]);
        join(&right, &h[0]);
        assert_int_equal(left.operation_count, right.operation_count);
        for (uint32_t i = 0; i < left.operation_count; i++) {
            assert_memory_equal(left.operations[i].op, right.operations[i].op, OP_ID_BYTES);
            assert_int_equal(left.operations[i].stamp, right.operations[i].stamp);
        }
        join(&right, &left);
        join(&left, &right);
        assert_true(
            state_equal(&(struct state){.history = left}, &(struct state){.history = right}));
        assert_true(left.operation_count <= HISTORY_OPERATIONS_MAX);
        for (int i = 0; i < 3; i++)
            history_close(&h[i]);
        history_close(&left);
        history_close(&right);
    }
}

static const struct sibling *live_of(const struct state *s, const uint8_t op[OP_ID_BYTES])
{
    for (uint32_t i = 0; i < s->sibling_count; i++)
        if (memcmp(s->siblings[i].op, op, OP_ID_BYTES) == 0)
            return &s->siblings[i];
    return NULL;
}

/* By a name that takes the sibling away. */
static bool is_named(const struct history *h, const struct sibling *s)
{
    for (uint32_t i = 0; i < h->operation_count; i++)
        if (memcmp(h->operations[i].op, s->op, OP_ID_BYTES) == 0)
            return !(s->flags & (SIBLING_RETRIED | SIBLING_AGAIN)) ||
                   s->stamp < h->operations[i].superseded;
    return false;
}

/* Three replicas put, try again, store outranked puts again and merge at random, with twins among
 * what they write; when all have met they are equal, something is left, and nothing is both live
 * and named by what it should have gone for. */
static void twins_converge_whatever_meets_first(void **unused)
{
    (void)unused;
    struct prng p;
    prng_init(&p, 12);
    for (int round = 0; round < 3000; round++) {
        struct state replicas[3] = {0}, out = {0};
        struct history context = {0}, returned = {0};
        uint64_t seq[3] = {0};
        uint32_t minted[7] = {0}; /* by operation: all attempts but the first are marked */
        for (int step = 0; step < 24; step++) {
            uint32_t r = (uint32_t)prng_below(&p, 3), from = (uint32_t)prng_below(&p, 3);
            struct state *at = &replicas[r];
            state_clear(&out);
            if (prng_below(&p, 2)) {
                assert_int_equal(version_merge(at, NULL, &replicas[from], NULL, &out), 0);
            } else {
                struct sibling s = write_of((struct actor){r + 1, 1}, seq[r] + 1, "v");
                memset(s.op, (int)prng_below(&p, 6) + 1, OP_ID_BYTES);
                s.stamp = 1 + prng_below(&p, 50);
                const struct sibling *live = live_of(at, s.op);
                bool over = false; /* another attempt was superseded somewhere */
                for (uint32_t i = 0; i < 3; i++)
                    over |= history_names(&replicas[i].history, s.op);
                /* An attempt is not minted after the next one; and nobody has seen what he is about
                 * to write. */
                if (!live && (over || live_of(&replicas[from], s.op)))
                    continue;
                if (minted[s.op[0]]++ > 0)
                    s.flags |= SIBLING_RETRIED;
                assert_int_equal(version_read_context(&replicas[from], NULL, NULL, &context), 0);
                bool plain = prng_below(&p, 3) == 0;
                if (live) { /* it is outranked, and stored again above */
                    s.flags = (live->flags & SIBLING_RETRIED) | SIBLING_AGAIN;
                    s.stamp = 50 + seq[0] + seq[1] + seq[2];
                    plain = true;
                } else if (history_names(&context, s.op)) {
                    continue;
                }
                put(at, &context, plain, s, &out, &returned);
                seq[r]++;
            }
            struct state swap = *at;
            *at = out;
            out = swap;
        }
        for (uint32_t i = 0; i < 9; i++) {
            struct state *at = &replicas[i % 3];
            state_clear(&out);
            assert_int_equal(
                version_merge(at, NULL, &replicas[(i + 1 + i / 3 % 2) % 3], NULL, &out), 0);
            struct state swap = *at;
            *at = out;
            out = swap;
        }
        for (int i = 0; i < 3; i++)
            for (uint32_t j = 0; j < replicas[i].sibling_count; j++)
                assert_false(is_named(&replicas[i].history, &replicas[i].siblings[j]));
        assert_true(state_equal(&replicas[0], &replicas[1]));
        assert_true(state_equal(&replicas[0], &replicas[2]));
        assert_true(replicas[0].sibling_count > 0 || seq[0] + seq[1] + seq[2] == 0);
        for (int i = 0; i < 3; i++)
            state_close(&replicas[i]);
        state_close(&out);
        history_close(&context);
        history_close(&returned);
    }
}

static void writes_without_an_operation_id_are_each_their_own(void **unused)
{
    (void)unused;
    struct state s = {0};
    struct sibling one = write_of(A, 1, "v"), two = write_of(B, 1, "w");
    memset(one.op, 0, OP_ID_BYTES);
    memset(two.op, 0, OP_ID_BYTES);
    assert_int_equal(state_add(&s, &one), 0);
    assert_int_equal(state_add(&s, &two), 0);
    assert_int_equal(state_shown_count(&s), 2);
    state_close(&s);
}

static void the_winner_has_the_highest_stamp_then_the_highest_dot(void **unused)
{
    (void)unused;
    struct state s = {0};
    assert_null(state_winner(&s));
    struct sibling one = write_of(C, 1, "v"), two = write_of(A, 2, "w"),
                   three = write_of(B, 2, "x");
    assert_int_equal(state_add(&s, &one), 0);
    assert_int_equal(state_add(&s, &two), 0);
    assert_true(dot_compare(state_winner(&s)->dot, two.dot) == 0);
    assert_int_equal(state_add(&s, &three), 0);
    assert_true(dot_compare(state_winner(&s)->dot, three.dot) == 0);
    state_close(&s);
}

static void a_returned_context_holds_64_exact_dots_and_the_new_one_always(void **unused)
{
    (void)unused;
    struct state s = {0}, out = {0};
    struct history returned = {0};
    for (uint64_t i = 1; i <= 100; i++) {
        struct sibling sibling = write_of(C, i, "v");
        assert_int_equal(state_add(&s, &sibling), 0);
    }
    struct dot replaced[100];
    uint32_t count;
    struct sibling lowest = write_of(A, 1, "new"), highest = write_of(C, 101, "new");
    assert_int_equal(version_put(&s, NULL, true, &lowest, &out, replaced, &count, &returned), 0);
    assert_int_equal(count, 100);
    assert_int_equal(returned.exact_count, CONTEXT_EXACT_MAX);
    assert_true(history_covers(&returned, lowest.dot));
    assert_true(history_covers(&returned, (struct dot){C, 100}));
    assert_false(history_covers(&returned, (struct dot){C, 1}));
    assert_int_equal(version_put(&s, NULL, true, &highest, &out, replaced, &count, &returned), 0);
    assert_int_equal(returned.exact_count, CONTEXT_EXACT_MAX);
    assert_true(history_covers(&returned, highest.dot));
    assert_false(history_covers(&returned, (struct dot){C, 37}));
    assert_true(history_covers(&returned, (struct dot){C, 38}));
    assert_history_normal(&returned);
    state_close(&s);
    state_close(&out);
    history_close(&returned);
}

/* The vector falls below the lowest dot that was not shown; what was shown above it is exact. */
static void a_read_of_the_winner_lowers_the_vector_below_what_it_hides(void **unused)
{
    (void)unused;
    struct state s = {0};
    struct history read = {0};
    struct sibling hidden = write_of(A, 5, "h"), shown = write_of(A, 7, "s"),
                   first = write_of(B, 1, "f");
    assert_int_equal(state_add(&s, &hidden), 0);
    assert_int_equal(state_add(&s, &shown), 0);
    assert_int_equal(state_add(&s, &first), 0);
    assert_int_equal(history_raise(&s.history, A, 8), 0);
    assert_int_equal(history_raise(&s.history, B, 1), 0);
    assert_int_equal(version_read_context(&s, state_winner(&s), NULL, &read), 0);
    assert_int_equal(read.vector_count, 1);
    assert_int_equal(read.vector[0].seq, 4);
    assert_int_equal(read.exact_count, 1);
    assert_true(dot_compare(read.exact[0], shown.dot) == 0);
    state_close(&s);
    history_close(&read);
}

static void an_elided_sibling_needs_its_value_here(void **unused)
{
    (void)unused;
    struct state absent = {0}, have = {0}, elided = {0}, out = {0};
    struct clock clock = {0};
    struct sibling full = write_of(A, 1, "v"), empty = full;
    empty.flags = SIBLING_ELIDED;
    empty.value = slice_of(NULL, 0);
    assert_int_equal(state_add(&have, &full), 0);
    assert_int_equal(state_add(&elided, &empty), 0);
    assert_int_equal(version_merge(&have, NULL, &elided, NULL, &out), 0);
    assert_true(state_equal(&out, &have));
    assert_int_equal(version_merge(&absent, NULL, &elided, NULL, &out), GT_EMISSING);
    /* Not to be kept: nothing is missing. */
    assert_int_equal(clock_add(&clock, full.dot), 0);
    assert_int_equal(version_merge(&absent, &clock, &elided, NULL, &out), 0);
    assert_int_equal(out.sibling_count, 0);
    state_close(&have);
    state_close(&elided);
    state_close(&out);
    clock_close(&clock);
}

/* ---- histories ------------------------------------------------------------------------------- */

static void a_vector_entry_is_included_only_by_a_vector_entry(void **unused)
{
    (void)unused;
    struct history exact = {0}, vector = {0};
    assert_int_equal(history_add(&exact, (struct dot){A, 1}), 0);
    assert_int_equal(history_raise(&vector, A, 1), 0);
    assert_true(history_includes(&vector, &exact));
    assert_false(history_includes(&exact, &vector));
    history_close(&exact);
    history_close(&vector);
}

static void raising_drops_the_exact_dots_that_it_covers_and_no_others(void **unused)
{
    (void)unused;
    struct history h = {0};
    for (uint64_t seq = 1; seq <= 6; seq++) {
        assert_int_equal(history_add(&h, (struct dot){A, seq}), 0);
        assert_int_equal(history_add(&h, (struct dot){B, seq}), 0);
    }
    assert_int_equal(history_raise(&h, B, 4), 0);
    assert_int_equal(h.exact_count, 8);
    assert_history_normal(&h);
    assert_int_equal(history_raise(&h, B, 2), 0);
    assert_int_equal(h.vector[0].seq, 4);
    assert_true(history_covers(&h, (struct dot){A, 6}));
    assert_true(history_covers(&h, (struct dot){B, 1}));
    assert_false(history_covers(&h, (struct dot){B, 7}));
    history_close(&h);
}

/* Long lists use other searches than short ones. */
static void a_join_of_long_histories_is_the_union(void **unused)
{
    (void)unused;
    enum { NODES = 40, SEQS = 30 };
    struct prng p;
    prng_init(&p, 5);
    for (uint32_t round = 0; round < 200; round++) {
        struct history h[2] = {0};
        static bool in[2][NODES][SEQS];
        memset(in, 0, sizeof(in));
        for (uint32_t i = 0; i < 2; i++)
            for (uint32_t n = 0; n < 150; n++) {
                uint64_t node = prng_below(&p, NODES), seq = 1 + prng_below(&p, SEQS - 1);
                bool raise = prng_below(&p, 5) == 0;
                struct dot d = {{node, 1}, seq};
                assert_int_equal(raise ? history_raise(&h[i], d.actor, seq) : history_add(&h[i], d),
                                 0);
                for (uint64_t s = raise ? 1 : seq; s <= seq; s++)
                    in[i][node][s] = true;
            }
        struct history other = {0};
        assert_int_equal(history_copy(&other, &h[1]), 0);
        assert_int_equal(history_join(&other, &h[0]), 0);
        assert_int_equal(history_join(&h[0], &h[1]), 0);
        assert_true(history_includes(&h[0], &h[1]));
        assert_true(history_includes(&h[0], &other) && history_includes(&other, &h[0]));
        assert_history_normal(&h[0]);
        for (uint64_t node = 0; node < NODES; node++)
            for (uint64_t seq = 1; seq < SEQS; seq++)
                assert_true(history_covers(&h[0], (struct dot){{node, 1}, seq}) ==
                            (in[0][node][seq] || in[1][node][seq]));
        history_close(&h[0]);
        history_close(&h[1]);
        history_close(&other);
    }
}

/* ---- lives that are closed --------------------------------------------------------------------
 */

/* Dots of three nodes with lives 1 to 4, each told in a random way, some lives closed. */
static void history_random(struct prng *p, struct history *h)
{
    for (uint32_t n = 0; n < 12; n++) {
        struct actor actor = {1 + prng_below(p, 3), 1 + prng_below(p, 4)};
        uint64_t seq = 1 + prng_below(p, 5), how = prng_below(p, 6);
        int error = how == 0   ? history_close_lives(h, actor.node, actor.incarnation)
                    : how <= 2 ? history_raise(h, actor, seq)
                               : history_add(h, (struct dot){actor, seq});
        assert_int_equal(error, 0);
    }
}

static bool histories_equal(const struct history *a, const struct history *b)
{
    struct buf x, y;
    buf_init(&x, CONTEXT_BYTES_MAX);
    buf_init(&y, CONTEXT_BYTES_MAX);
    history_encode(a, &x);
    history_encode(b, &y);
    bool equal = slice_equal(buf_slice(&x), buf_slice(&y));
    buf_close(&x);
    buf_close(&y);
    return equal;
}

/* A join is one in the bytes too, whoever has closed what: so records that met in any order are
 * equal. */
static void a_join_with_closed_lives_is_the_union_in_any_order(void **unused)
{
    (void)unused;
    struct prng p;
    prng_init(&p, 8);
    for (uint32_t round = 0; round < 5000; round++) {
        struct history h[3] = {0}, ab = {0}, ba = {0}, bc = {0};
        for (uint32_t i = 0; i < 3; i++)
            history_random(&p, &h[i]);
        assert_int_equal(history_copy(&ab, &h[0]), 0);
        assert_int_equal(history_join(&ab, &h[1]), 0);
        assert_int_equal(history_copy(&ba, &h[1]), 0);
        assert_int_equal(history_join(&ba, &h[0]), 0);
        assert_true(histories_equal(&ab, &ba));
        for (uint64_t node = 1; node <= 3; node++)
            for (uint64_t life = 1; life <= 4; life++)
                for (uint64_t seq = 1; seq <= 5; seq++) {
                    struct dot d = {{node, life}, seq};
                    assert_true(history_covers(&ab, d) ==
                                (history_covers(&h[0], d) || history_covers(&h[1], d)));
                }
        assert_true(history_includes(&ab, &h[0]) && history_includes(&ab, &h[1]));
        /* (a b) c = a (b c), and once more changes nothing. */
        assert_int_equal(history_copy(&bc, &h[1]), 0);
        assert_int_equal(history_join(&bc, &h[2]), 0);
        assert_int_equal(history_join(&bc, &h[0]), 0);
        assert_int_equal(history_join(&ab, &h[2]), 0);
        assert_true(histories_equal(&ab, &bc));
        assert_int_equal(history_join(&ab, &h[1]), 0);
        assert_true(histories_equal(&ab, &bc));
        struct buf bytes;
        buf_init(&bytes, CONTEXT_BYTES_MAX);
        history_encode(&ab, &bytes);
        struct reader r = reader_of(buf_slice(&bytes));
        assert_int_equal(history_decode(&r, &ba), 0);
        assert_true(histories_equal(&ab, &ba));
        buf_close(&bytes);
        for (uint32_t i = 0; i < 3; i++)
            history_close(&h[i]);
        history_close(&ab);
        history_close(&ba);
        history_close(&bc);
    }
}

/* However often a node started, one number is left of what its lives wrote; of the life of which a
 * sibling is live, and of later ones, each is still told. */
static void lives_that_the_clock_closes_are_one_number_for_each_node(void **unused)
{
    (void)unused;
    struct state s, back;
    struct clock clock;
    struct buf bytes;
    state_init(&s);
    state_init(&back);
    clock_init(&clock);
    buf_init(&bytes, CONTEXT_BYTES_MAX);
    struct slice key = slice_text("k");
    for (uint64_t life = 1; life <= 50; life++) {
        assert_int_equal(history_raise(&s.history, (struct actor){1, life}, 3), 0);
        assert_int_equal(history_add(&s.history, (struct dot){{2, life}, 9}), 0);
    }
    struct sibling live = {.dot = {{2, 40}, 10}, .stamp = 1};
    assert_int_equal(state_add(&s, &live), 0);
    assert_int_equal(version_close_lives(&s, &clock), 0);
    assert_int_equal(s.history.closed_count, 0);
    assert_int_equal(clock_set_closed(&clock, 1, 49), 0);
    assert_int_equal(clock_set_closed(&clock, 2, 45), 0);
    assert_int_equal(version_close_lives(&s, &clock), 0);
    assert_int_equal(history_closed(&s.history, 1), 49);
    assert_int_equal(history_closed(&s.history, 2), 39);
    assert_int_equal(s.history.vector_count, 1);
    assert_int_equal(s.history.exact_count, 12);
    assert_true(history_covers(&s.history, (struct dot){{1, 7}, 1000}));
    assert_false(history_lists(&s.history, (struct dot){{1, 7}, 1}));
    assert_false(history_covers(&s.history, (struct dot){{2, 41}, 1}));
    assert_int_equal(record_encode(&s, 3, key, &bytes), 0);
    assert_int_equal(record_decode(buf_slice(&bytes), 3, key, &back), 0);
    assert_true(state_equal(&s, &back));
    /* A record that closes the life of what it shows is none. */
    uint8_t partition[2] = {3, 0};
    le64_put(bytes.data + bytes.bytes - 8, 40);
    uint32_t crc = crc_update(crc_update(0, partition, 2), key.data, key.bytes);
    le32_put(bytes.data, crc_update(crc, bytes.data + 4, bytes.bytes - 4));
    assert_int_equal(record_decode(buf_slice(&bytes), 3, key, &back), GT_ECORRUPT);
    buf_close(&bytes);
    clock_close(&clock);
    state_close(&s);
    state_close(&back);
}

/* Whoever lags behind and holds what was replaced in a life that is closed elsewhere drops it; and
 * a client who has seen that replaces it, by whatever name. */
static void what_a_closed_life_left_dead_is_dropped_by_its_number(void **unused)
{
    (void)unused;
    struct state behind, ahead, merged;
    struct clock clock;
    struct history returned = {0}, seen = {0};
    struct dot replaced[2];
    uint32_t count;
    state_init(&behind);
    state_init(&ahead);
    state_init(&merged);
    clock_init(&clock);
    struct sibling old = {.dot = {{1, 5}, 4}, .stamp = 1, .op = {1}};
    struct sibling new = {.dot = {{2, 9}, 1}, .stamp = 2, .op = {2}};
    assert_int_equal(state_add(&behind, &old), 0);
    assert_int_equal(version_put(&behind, NULL, true, &new, &ahead, replaced, &count, &returned),
                     0);
    assert_int_equal(clock_set_closed(&clock, 1, 6), 0);
    assert_int_equal(version_close_lives(&ahead, &clock), 0);
    assert_int_equal(ahead.history.exact_count, 0);
    assert_int_equal(version_merge(&behind, NULL, &ahead, NULL, &merged), 0);
    assert_true(state_equal(&merged, &ahead));
    assert_int_equal(version_merge(&ahead, NULL, &behind, NULL, &merged), 0);
    assert_true(state_equal(&merged, &ahead));
    assert_int_equal(version_read_context(&ahead, state_winner(&ahead), NULL, &seen), 0);
    struct sibling third = {.dot = {{3, 1}, 1}, .stamp = 3, .op = {3}};
    assert_int_equal(
        version_put(&behind, &seen, false, &third, &merged, replaced, &count, &returned), 0);
    assert_int_equal(count, 1);
    assert_int_equal(merged.sibling_count, 1);
    history_close(&returned);
    history_close(&seen);
    clock_close(&clock);
    state_close(&behind);
    state_close(&ahead);
    state_close(&merged);
}

/*
 * Two owners, and everything that may happen to a key of which a life that is over wrote the first
 * sibling, step by step in every order, once with histories that are stripped and once with
 * histories that keep all. What lives is the same at both, always: the number says of no sibling
 * that it is dead but of those that are. And in the end both owners have the same bytes.
 */
enum { TWIN_STEPS = 4, TWIN_KINDS = 14 };

struct twin {
    struct state of[2][2];     /* [stripped][owner] */
    struct history context[2]; /* of the client */
    struct clock clocks[2];
    uint64_t minted[2];
};

static void twin_close(struct twin *t)
{
    for (uint32_t i = 0; i < 4; i++)
        state_close(&t->of[i / 2][i % 2]);
    for (uint32_t i = 0; i < 2; i++) {
        history_close(&t->context[i]);
        clock_close(&t->clocks[i]);
    }
}

static void twin_copy(struct twin *to, const struct twin *from)
{
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(state_copy(&to->of[i / 2][i % 2], &from->of[i / 2][i % 2]), 0);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(history_copy(&to->context[i], &from->context[i]), 0);
        assert_int_equal(clock_copy(&to->clocks[i], &from->clocks[i]), 0);
        to->minted[i] = from->minted[i];
    }
}

static void twin_put(struct twin *t, uint32_t owner, bool plain)
{
    struct dot d = {{owner + 1, 2}, ++t->minted[owner]}, replaced[8];
    struct sibling sibling = {.dot = d, .stamp = d.seq * 2 + owner, .op = {1, owner, d.seq}};
    for (uint32_t stripped = 0; stripped < 2; stripped++) {
        struct state out = {0}, *s = &t->of[stripped][owner];
        struct history returned = {0};
        uint32_t count;
        assert_int_equal(version_put(s, &t->context[stripped], plain, &sibling, &out, replaced,
                                     &count, &returned),
                         0);
        if (stripped)
            assert_int_equal(version_close_lives(&out, &t->clocks[owner]), 0);
        assert_int_equal(history_copy(&t->context[stripped], &returned), 0);
        assert_int_equal(state_copy(s, &out), 0);
        state_close(&out);
        history_close(&returned);
    }
    assert_int_equal(clock_add(&t->clocks[owner], d), 0);
}

/* A message (no clock goes with it), or a pull. */
static void twin_merge(struct twin *t, uint32_t owner, const struct state *from[2],
                       const struct clock *cut)
{
    for (uint32_t stripped = 0; stripped < 2; stripped++) {
        struct state out = {0}, *s = &t->of[stripped][owner];
        assert_int_equal(version_merge(s, &t->clocks[owner], from[stripped], cut, &out), 0);
        assert_int_equal(state_copy(s, &out), 0);
        state_close(&out);
    }
    for (uint32_t i = 0; i < from[0]->sibling_count; i++)
        assert_int_equal(clock_add(&t->clocks[owner], from[0]->siblings[i].dot), 0);
    if (cut)
        assert_int_equal(clock_merge(&t->clocks[owner], cut), 0);
}

static void twin_hear(struct twin *t, uint32_t owner, bool pull)
{
    const struct state *from[2] = {&t->of[0][!owner], &t->of[1][!owner]};
    twin_merge(t, owner, from, pull ? &t->clocks[!owner] : NULL);
}

static void twin_step(struct twin *t, uint32_t kind, const struct state *late)
{
    const struct state *from[2] = {late, late};
    uint32_t owner = kind % 2;
    switch (kind / 2) {
    case 0:
        twin_put(t, owner, true);
        break;
    case 1:
        twin_put(t, owner, false);
        break;
    case 2:
        twin_hear(t, owner, false);
        break;
    case 3:
        twin_hear(t, owner, true);
        break;
    case 4: /* a life is closed after a pull */
        twin_hear(t, owner, true);
        assert_int_equal(clock_set_closed(&t->clocks[owner], 1, 1), 0);
        break;
    case 5: /* a repair, as late as it may be */
        twin_merge(t, owner, from, NULL);
        break;
    default: /* the client reads one value, and has seen what it had seen */
        for (uint32_t stripped = 0; stripped < 2; stripped++) {
            const struct state *s = &t->of[stripped][owner];
            struct history read = {0};
            assert_int_equal(version_read_context(s, state_winner(s), &t->context[stripped], &read),
                             0);
            assert_int_equal(history_copy(&t->context[stripped], &read), 0);
            history_close(&read);
        }
    }
}

static void assert_twins_live_alike(const struct twin *t)
{
    for (uint32_t owner = 0; owner < 2; owner++) {
        const struct state *kept = &t->of[0][owner], *stripped = &t->of[1][owner];
        assert_int_equal(kept->sibling_count, stripped->sibling_count);
        for (uint32_t i = 0; i < kept->sibling_count; i++) {
            struct dot d = kept->siblings[i].dot;
            assert_int_equal(dot_compare(d, stripped->siblings[i].dot), 0);
            assert_false(history_closes(&stripped->history, d.actor));
        }
    }
}

/* One after the other pulls; then they are the same. */
static void assert_twins_converge(const struct twin *t, struct twin *scratch)
{
    twin_copy(scratch, t);
    for (uint32_t i = 0; i < 3; i++)
        twin_hear(scratch, i % 2, true);
    assert_twins_live_alike(scratch);
    for (uint32_t stripped = 0; stripped < 2; stripped++)
        assert_true(state_equal(&scratch->of[stripped][0], &scratch->of[stripped][1]));
}

static uint32_t twins_from(struct twin *at, uint32_t steps, const struct state *late)
{
    uint32_t closed = 0;
    assert_twins_converge(at, at + 1);
    for (uint32_t kind = 0; steps > 0 && kind < TWIN_KINDS; kind++) {
        twin_copy(at + 1, at);
        twin_step(at + 1, kind, late);
        assert_twins_live_alike(at + 1);
        closed += twins_from(at + 1, steps - 1, late);
    }
    return closed + (at->of[1][0].history.closed_count > 0) +
           (at->of[1][1].history.closed_count > 0);
}

static void what_lives_is_the_same_with_and_without_closed_lives(void **unused)
{
    (void)unused;
    struct sibling first = {.dot = {{1, 1}, 1}, .stamp = 1, .op = {9}};
    struct state late = {0};
    assert_int_equal(state_add(&late, &first), 0);
    /* The first owner, the second, or both have it: a life that is over left it somewhere. */
    for (uint32_t holders = 1; holders <= 3; holders++) {
        struct twin at[TWIN_STEPS + 2] = {0};
        const struct state *from[2] = {&late, &late};
        for (uint32_t owner = 0; owner < 2; owner++)
            if (holders >> owner & 1)
                twin_merge(&at[0], owner, from, NULL);
        assert_true(twins_from(at, TWIN_STEPS, &late) > 1000);
        for (uint32_t i = 0; i < TWIN_STEPS + 2; i++)
            twin_close(&at[i]);
    }
    state_close(&late);
}

/* ---- what is asked about histories and states ------------------------------------------------ */

/* One history of each of the kinds of what it can say: a vector entry, an exact dot, a closed life.
 * A name alone includes nothing. */
enum { SAYINGS = 3 };

static void history_say(struct history *h, uint32_t kind)
{
    int error = kind == 0   ? history_raise(h, A, 2)
                : kind == 1 ? history_add(h, (struct dot){B, 4})
                            : history_close_lives(h, C.node, C.incarnation);
    assert_int_equal(error, 0);
}

static void a_history_that_says_anything_is_not_empty_and_not_included(void **unused)
{
    (void)unused;
    for (uint32_t says = 0; says < 1u << SAYINGS; says++)
        for (uint32_t asked = 0; asked < 1u << SAYINGS; asked++) {
            struct history h, of;
            history_init(&h);
            history_init(&of);
            for (uint32_t kind = 0; kind < SAYINGS; kind++) {
                if (says >> kind & 1)
                    history_say(&h, kind);
                if (asked >> kind & 1)
                    history_say(&of, kind);
            }
            assert_int_equal(history_empty(&h), says == 0);
            assert_int_equal(history_includes(&h, &of), (asked & ~says) == 0);
            history_close(&h);
            history_close(&of);
        }
}

static void a_key_is_absent_when_nothing_is_known_of_it(void **unused)
{
    (void)unused;
    struct state s = {0};
    assert_true(state_absent(&s));
    s.unknown = true;
    assert_false(state_absent(&s));
    state_clear(&s);
    assert_true(state_absent(&s));
    assert_int_equal(state_add(&s, &(struct sibling){.dot = {A, 1}, .stamp = 1}), 0);
    assert_false(state_absent(&s));
    s.sibling_count = 0; /* superseded, and remembered */
    assert_false(state_absent(&s));
    state_close(&s);
}

/* A state with something of every kind, in which one thing, chosen by number, is another. */
enum { STATE_THINGS = 18 };

static void state_with_another(struct state *s, uint32_t thing)
{
    struct sibling sibling = {.dot = {A, 5 + (thing == 1)},
                              .stamp = 7 + (thing == 2),
                              .op = {1 + (thing == 3)},
                              .flags = SIBLING_EXPIRES | (thing == 4 ? SIBLING_AGAIN : 0),
                              .expires_at_ms = 9 + (thing == 5),
                              .expiry_dot = {B, 1 + (thing == 6)},
                              .value = thing == 7 ? slice_of("other", 5) : slice_of("value", 5)};
    struct history *h = &s->history;
    const uint8_t op[OP_ID_BYTES] = {40 + (thing == 8)}, more[OP_ID_BYTES] = {50};
    assert_int_equal(history_raise(h, B, 3 + (thing == 9)), 0);
    assert_int_equal(history_add(h, (struct dot){B, 6 + (thing == 10)}), 0);
    assert_int_equal(history_name(h, op, 2 + (thing == 11), 8 + (thing == 12)), 0);
    assert_int_equal(history_close_lives(h, C.node, 1 + (thing == 13)), 0);
    /* And one more of what there is. */
    if (thing == 14)
        assert_int_equal(history_raise(h, C, 3), 0);
    if (thing == 15)
        assert_int_equal(history_name(h, more, 2, 8), 0);
    if (thing == 16)
        assert_int_equal(history_close_lives(h, C.node + 1, 1), 0);
    s->unknown = thing == 17;
    assert_int_equal(state_add(s, &sibling), 0);
    if (thing == 1) /* in the history as it was, so that the sibling alone is another */
        h->exact[0].seq--;
}

static void states_that_differ_in_anything_are_not_equal(void **unused)
{
    (void)unused;
    for (uint32_t a = 0; a < STATE_THINGS; a++)
        for (uint32_t b = 0; b < STATE_THINGS; b++) {
            struct state x = {0}, y = {0};
            state_with_another(&x, a);
            state_with_another(&y, b);
            assert_int_equal(state_equal(&x, &y), a == b);
            state_close(&x);
            state_close(&y);
        }
    struct state one = {0}, two = {0};
    state_with_another(&one, 0);
    assert_int_equal(state_copy(&two, &one), 0);
    two.sibling_count = 0;
    assert_false(state_equal(&one, &two));
    state_close(&one);
    state_close(&two);
}

static void a_dot_that_is_added_again_is_replaced(void **unused)
{
    (void)unused;
    struct state s = {0};
    for (uint64_t seq = 1; seq <= 3; seq++)
        assert_int_equal(state_add(&s, &(struct sibling){.dot = {A, seq}, .stamp = seq}), 0);
    assert_int_equal(state_add(&s, &(struct sibling){.dot = {A, 2}, .stamp = 9}), 0);
    assert_int_equal(s.sibling_count, 3);
    assert_int_equal(s.history.exact_count, 3);
    assert_int_equal(state_find(&s, (struct dot){A, 2})->stamp, 9);
    state_close(&s);
}

/* Of all states of three siblings with one of two stamps and one of two operations or none: those
 * are told that stand above every sibling of the operation, and no others. */
static void what_outranks_an_operation_stands_above_all_its_siblings(void **unused)
{
    (void)unused;
    enum { COUNT = 3, WAYS = 6 * 6 * 6 };
    for (uint32_t way = 0; way < WAYS; way++) {
        struct state s = {0};
        uint64_t rank[COUNT];
        uint8_t op[COUNT];
        for (uint32_t i = 0, rest = way; i < COUNT; i++, rest /= 6) {
            uint64_t stamp = 1 + rest % 2;
            op[i] = (uint8_t)(rest % 6 / 2); /* 0: none, and so its own */
            rank[i] = stamp * COUNT + i;
            assert_int_equal(
                state_add(&s, &(struct sibling){.dot = {A, i + 1}, .stamp = stamp, .op = {op[i]}}),
                0);
        }
        for (uint32_t d = 0; d < COUNT; d++) {
            struct dot told[COUNT], wanted[COUNT];
            uint64_t best = rank[d], highest = 0, stamp;
            uint32_t count = 0;
            for (uint32_t i = 0; i < COUNT; i++)
                if (op[d] != 0 && op[i] == op[d] && rank[i] > best)
                    best = rank[i];
            for (uint32_t i = 0; i < COUNT; i++) {
                if (rank[i] <= best)
                    continue;
                wanted[count++] = (struct dot){A, i + 1};
                highest = s.siblings[i].stamp > highest ? s.siblings[i].stamp : highest;
            }
            assert_int_equal(state_outranking(&s, (struct dot){A, d + 1}, told, &stamp), count);
            assert_int_equal(stamp, highest);
            for (uint32_t i = 0; i < count; i++)
                assert_int_equal(dot_compare(told[i], wanted[i]), 0);
        }
        uint64_t stamp = 1;
        assert_int_equal(state_outranking(&s, (struct dot){B, 1}, NULL, &stamp), 0);
        assert_int_equal(stamp, 0); /* what is not live is outranked by nothing */
        state_close(&s);
    }
}

/* Pieces of a state may be joined in any order: the one with the value gives it. */
static void a_value_that_was_left_out_is_taken_from_the_other_side(void **unused)
{
    (void)unused;
    struct state whole = {0}, piece = {0}, merged = {0};
    struct sibling s = {.dot = {A, 1}, .stamp = 1, .value = slice_of("value", 5)};
    assert_int_equal(state_add(&whole, &s), 0);
    s.flags = SIBLING_ELIDED;
    s.value = slice_of(NULL, 0);
    assert_int_equal(state_add(&piece, &s), 0);
    assert_int_equal(version_merge(&piece, NULL, &whole, NULL, &merged), 0);
    assert_true(state_equal(&merged, &whole));
    assert_int_equal(version_merge(&whole, NULL, &piece, NULL, &merged), 0);
    assert_true(state_equal(&merged, &whole));
    assert_int_equal(version_merge(&piece, NULL, &piece, NULL, &merged), GT_EMISSING);
    state_close(&whole);
    state_close(&piece);
    state_close(&merged);
}

/* A context over its bound whose vector covers the new dot: no exact dot of it is to be kept. */
static void a_returned_context_may_cover_the_new_dot_by_its_vector(void **unused)
{
    (void)unused;
    struct state local = {0}, out = {0};
    struct history context = {0}, returned = {0};
    struct sibling s = {.dot = {A, 3}, .stamp = 1, .op = {1}};
    uint32_t count;
    assert_int_equal(history_raise(&context, A, 9), 0);
    for (uint64_t seq = 1; seq <= CONTEXT_EXACT_MAX + 2; seq++)
        assert_int_equal(history_add(&context, (struct dot){B, seq}), 0);
    assert_int_equal(version_put(&local, &context, false, &s, &out, NULL, &count, &returned), 0);
    assert_int_equal(returned.exact_count, CONTEXT_EXACT_MAX);
    assert_true(history_covers(&returned, s.dot));
    assert_false(history_covers(&returned, (struct dot){B, 2}));
    assert_true(history_covers(&returned, (struct dot){B, 3}));
    state_close(&out);
    history_close(&context);
    history_close(&returned);
}

/* ---- contexts as bytes ----------------------------------------------------------------------- */

static void context_example(struct history *h)
{
    assert_int_equal(history_raise(h, A, 12), 0);
    assert_int_equal(history_raise(h, B, 1000000), 0);
    assert_int_equal(history_add(h, (struct dot){A, 14}), 0);
    assert_int_equal(history_add(h, (struct dot){C, UINT64_MAX}), 0);
}

static void a_context_comes_back_as_it_went(void **unused)
{
    (void)unused;
    struct history h = {0}, back = {0};
    struct buf buf;
    buf_init(&buf, CONTEXT_BYTES_MAX);
    assert_int_equal(context_encode(&h, 42, &buf), 0);
    assert_int_equal(context_decode(buf_slice(&buf), 42, &back), 0);
    assert_true(history_empty(&back));
    buf_clear(&buf);
    context_example(&h);
    assert_int_equal(context_encode(&h, 42, &buf), 0);
    assert_int_equal(context_decode(buf_slice(&buf), 42, &back), 0);
    assert_true(history_includes(&h, &back) && history_includes(&back, &h));
    assert_int_equal(back.exact_count, 2);
    buf_close(&buf);
    history_close(&h);
    history_close(&back);
}

static void a_damaged_context_is_refused(void **unused)
{
    (void)unused;
    struct history h = {0}, back = {0};
    struct buf buf;
    buf_init(&buf, CONTEXT_BYTES_MAX);
    context_example(&h);
    assert_int_equal(context_encode(&h, 42, &buf), 0);
    for (size_t bytes = 0; bytes < buf.bytes; bytes++)
        assert_int_equal(context_decode(slice_of(buf.data, bytes), 42, &back), GT_ECONTEXT);
    for (size_t bit = 0; bit < buf.bytes * 8; bit++) {
        buf.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(context_decode(buf_slice(&buf), 42, &back), GT_ECONTEXT);
        assert_true(history_empty(&back));
        buf.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(context_decode(buf_slice(&buf), 42, &back), 0);
    buf_close(&buf);
    history_close(&h);
    history_close(&back);
}

static void a_context_of_another_key_or_a_newer_format_is_refused(void **unused)
{
    (void)unused;
    struct history h = {0}, back = {0};
    struct buf buf;
    buf_init(&buf, CONTEXT_BYTES_MAX);
    context_example(&h);
    assert_int_equal(context_encode(&h, 42, &buf), 0);
    assert_int_equal(context_decode(buf_slice(&buf), 43, &back), GT_ECONTEXT);
    buf.data[0] = 2;
    le32_put(buf.data + buf.bytes - 4, crc_update(0, buf.data, buf.bytes - 4));
    assert_int_equal(context_decode(buf_slice(&buf), 42, &back), GT_EFORMAT);
    buf_close(&buf);
    history_close(&h);
    history_close(&back);
}

/* A context cannot grow without bound: the oldest lives of nodes are left out. */
static void a_huge_history_gives_a_smaller_context(void **unused)
{
    (void)unused;
    struct history h = {0}, back = {0};
    struct buf buf;
    buf_init(&buf, 1u << 20);
    for (uint64_t life = 1; life <= 2000; life++)
        assert_int_equal(history_raise(&h, (struct actor){life % 5, life}, 1u << 30), 0);
    assert_int_equal(context_encode(&h, 42, &buf), 0);
    assert_true(buf.bytes <= CONTEXT_BYTES_MAX);
    assert_int_equal(context_decode(buf_slice(&buf), 42, &back), 0);
    assert_true(history_includes(&h, &back));
    assert_true(back.vector_count >= 400);
    assert_true(history_covers(&back, (struct dot){{0, 2000}, 1}));
    assert_false(history_covers(&back, (struct dot){{1, 1}, 1}));
    buf_close(&buf);
    history_close(&h);
    history_close(&back);
}

/* Nor by the number of nodes whose lives were closed: of those, too, some are left out. */
static void a_huge_history_of_many_nodes_gives_a_smaller_context(void **unused)
{
    (void)unused;
    struct history h = {0}, back = {0};
    struct buf buf;
    buf_init(&buf, CONTEXT_BYTES_MAX); /* as a node and a client have it */
    for (uint64_t node = 1; node <= 1000; node++) {
        assert_int_equal(history_close_lives(&h, node, 5), 0);
        assert_int_equal(history_raise(&h, (struct actor){node, 5 + node}, UINT64_MAX), 0);
    }
    for (uint8_t i = 0; i < HISTORY_OPERATIONS_MAX; i++)
        assert_int_equal(history_name(&h, (uint8_t[OP_ID_BYTES]){1, i}, 1, 2), 0);
    assert_int_equal(context_encode(&h, 42, &buf), 0);
    assert_true(buf.bytes <= CONTEXT_BYTES_MAX);
    assert_int_equal(context_decode(buf_slice(&buf), 42, &back), 0);
    assert_true(history_includes(&h, &back));
    assert_int_equal(back.vector_count, 512);
    assert_true(back.closed_count > 0);
    assert_int_equal(back.operation_count, HISTORY_OPERATIONS_MAX);
    buf_close(&buf);
    history_close(&h);
    history_close(&back);
}

static void a_context_over_the_bound_of_its_buffer_says_so(void **unused)
{
    (void)unused;
    struct history h = {0};
    struct buf buf;
    buf_init(&buf, 20);
    context_example(&h);
    assert_int_equal(context_encode(&h, 42, &buf), GT_ELIMIT);
    assert_true(buf.failed);
    assert_int_equal(context_encode(&h, 42, &buf), GT_ELIMIT); /* and goes on to say so */
    buf_close(&buf);
    history_close(&h);
}

/* Neither bytes over the bound nor bytes that no writer wrote are a context, though their checksum
 * is right. */
static void a_context_that_nobody_can_have_been_given_is_refused(void **unused)
{
    (void)unused;
    struct history h = {0}, back = {0};
    struct buf buf;
    buf_init(&buf, 1u << 20);
    context_example(&h);
    assert_int_equal(context_encode(&h, 42, &buf), 0);
    for (size_t body = 9; body < buf.bytes - 4; body++) {
        uint8_t cut[1024];
        assert_true(buf.bytes <= sizeof(cut));
        memcpy(cut, buf.data, body);
        le32_put(cut + body, crc_update(0, cut, body));
        assert_int_equal(context_decode(slice_of(cut, body + 4), 42, &back), GT_ECONTEXT);
        assert_true(history_empty(&back));
    }
    buf.bytes -= 4;
    buf_zero(&buf, CONTEXT_BYTES_MAX - buf.bytes - 3);
    buf_u32(&buf, crc_update(0, buf.data, buf.bytes));
    assert_int_equal(buf.bytes, CONTEXT_BYTES_MAX + 1);
    assert_int_equal(context_decode(buf_slice(&buf), 42, &back), GT_ECONTEXT);
    buf_close(&buf);
    history_close(&h);
    history_close(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merge_of_every_pair_with_every_clock_is_the_rule),
        cmocka_unit_test(merge_does_not_depend_on_how_a_history_is_told),
        cmocka_unit_test(merge_is_associative_and_idempotent),
        cmocka_unit_test(everything_two_replicas_can_reach_is_as_the_oracle_says),
        cmocka_unit_test(a_million_random_cases_are_as_the_oracle_says),
        cmocka_unit_test(f1_a_late_put_is_not_old_news),
        cmocka_unit_test(f2_a_parcel_does_not_bring_back_what_was_reaped),
        cmocka_unit_test(f12_a_context_does_not_cover_what_nobody_read),
        cmocka_unit_test(a_pull_drops_what_the_sender_covers_and_no_longer_holds),
        cmocka_unit_test(an_unknown_state_does_not_ask_its_clock),
        cmocka_unit_test(a_put_raises_the_vector_of_its_own_actor_only),
        cmocka_unit_test(a_delete_is_a_sibling_like_any_other),
        cmocka_unit_test(one_operation_minted_twice_counts_as_one),
        cmocka_unit_test(a_twin_that_nobody_saw_is_superseded_by_name),
        cmocka_unit_test(a_mark_is_joined_and_what_supersedes_it_takes_the_twin),
        cmocka_unit_test(superseded_is_settled_when_one_sibling_alone_can_have_done_it),
        cmocka_unit_test(of_two_in_opposite_order_the_later_stays),
        cmocka_unit_test(of_two_that_take_each_other_away_one_is_left),
        cmocka_unit_test(of_two_stored_again_the_later_delete_takes_both),
        cmocka_unit_test(the_newest_names_stay),
        cmocka_unit_test(names_are_bounded_whatever_the_order),
        cmocka_unit_test(twins_converge_whatever_meets_first),
        cmocka_unit_test(writes_without_an_operation_id_are_each_their_own),
        cmocka_unit_test(the_winner_has_the_highest_stamp_then_the_highest_dot),
        cmocka_unit_test(a_returned_context_holds_64_exact_dots_and_the_new_one_always),
        cmocka_unit_test(a_read_of_the_winner_lowers_the_vector_below_what_it_hides),
        cmocka_unit_test(an_elided_sibling_needs_its_value_here),
        cmocka_unit_test(a_vector_entry_is_included_only_by_a_vector_entry),
        cmocka_unit_test(raising_drops_the_exact_dots_that_it_covers_and_no_others),
        cmocka_unit_test(a_join_of_long_histories_is_the_union),
        cmocka_unit_test(a_join_with_closed_lives_is_the_union_in_any_order),
        cmocka_unit_test(lives_that_the_clock_closes_are_one_number_for_each_node),
        cmocka_unit_test(what_a_closed_life_left_dead_is_dropped_by_its_number),
        cmocka_unit_test(what_lives_is_the_same_with_and_without_closed_lives),
        cmocka_unit_test(a_history_that_says_anything_is_not_empty_and_not_included),
        cmocka_unit_test(a_key_is_absent_when_nothing_is_known_of_it),
        cmocka_unit_test(states_that_differ_in_anything_are_not_equal),
        cmocka_unit_test(a_dot_that_is_added_again_is_replaced),
        cmocka_unit_test(what_outranks_an_operation_stands_above_all_its_siblings),
        cmocka_unit_test(a_value_that_was_left_out_is_taken_from_the_other_side),
        cmocka_unit_test(a_returned_context_may_cover_the_new_dot_by_its_vector),
        cmocka_unit_test(a_context_comes_back_as_it_went),
        cmocka_unit_test(a_damaged_context_is_refused),
        cmocka_unit_test(a_context_of_another_key_or_a_newer_format_is_refused),
        cmocka_unit_test(a_huge_history_gives_a_smaller_context),
        cmocka_unit_test(a_huge_history_of_many_nodes_gives_a_smaller_context),
        cmocka_unit_test(a_context_over_the_bound_of_its_buffer_says_so),
        cmocka_unit_test(a_context_that_nobody_can_have_been_given_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
