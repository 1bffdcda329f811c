/* The partition clock against explicit sets of dots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/error.h"
#include "engine/base/prng.h"
#include "engine/clock.h"

static const struct actor A = {1, 10}, B = {2, 20};

static struct dot dot(struct actor actor, uint64_t seq)
{
    return (struct dot){actor, seq};
}

static void assert_normal(const struct clock *c)
{
    for (uint32_t i = 0; i < c->entry_count; i++) {
        const struct clock_entry *e = &c->entries[i];
        uint64_t end = e->base;
        assert_true(e->base > 0 || e->range_count > 0);
        if (i > 0)
            assert_true(actor_compare(e[-1].actor, e->actor) < 0);
        for (uint32_t j = 0; j < e->range_count; j++) {
            assert_true(e->ranges[j].first > end && e->ranges[j].first - end >= 2);
            assert_true(e->ranges[j].last >= e->ranges[j].first);
            end = e->ranges[j].last;
        }
    }
    for (uint32_t i = 1; i < c->closed_count; i++)
        assert_true(c->closed[i - 1].node < c->closed[i].node);
}

static void assert_roundtrip(const struct clock *c)
{
    struct clock back = {0};
    struct buf buf;
    buf_init(&buf, 1u << 20);
    clock_encode(c, &buf);
    assert_false(buf.failed);
    struct reader r = reader_of(buf_slice(&buf));
    assert_int_equal(clock_decode(&r, &back), 0);
    assert_int_equal(reader_left(&r), 0);
    assert_true(clock_equal(c, &back));
    buf_close(&buf);
    clock_close(&back);
}

/* ---- one actor, every set of 8 dots ---------------------------------------------------------- */

#define SEQS 8
#define SETS (1u << SEQS)

/* Bit s of a set is seq s + 1. */
static void clock_of_set(struct clock *c, uint32_t set, bool downwards)
{
    clock_clear(c);
    for (uint32_t i = 0; i < SEQS; i++) {
        uint32_t s = downwards ? SEQS - 1 - i : i;
        if (set & 1u << s)
            assert_int_equal(clock_add(c, dot(A, s + 1)), 0);
    }
}

static uint32_t set_of_clock(const struct clock *c)
{
    uint32_t set = 0;
    for (uint32_t s = 0; s < SEQS; s++)
        set |= (uint32_t)clock_covers(c, dot(A, s + 1)) << s;
    return set;
}

static void the_base_reaches_to_the_first_gap(void **unused)
{
    (void)unused;
    struct clock c = {0};
    for (uint32_t set = 0; set < SETS; set++) {
        bool whole = true;
        clock_of_set(&c, set, false);
        for (uint32_t s = 0; s < SEQS; s++) {
            whole = whole && (set & 1u << s);
            assert_int_equal(clock_base_covers(&c, dot(A, s + 1)), whole);
        }
        assert_false(clock_base_covers(&c, dot(B, 1)));
    }
    assert_int_equal(clock_set_closed(&c, B.node, B.incarnation), 0);
    assert_true(clock_base_covers(&c, dot(B, 99)));
    clock_close(&c);
}

static void every_set_of_8_dots_is_held_whatever_the_order(void **unused)
{
    (void)unused;
    struct clock up = {0}, down = {0}, copy = {0};
    for (uint32_t set = 0; set < SETS; set++) {
        clock_of_set(&up, set, false);
        clock_of_set(&down, set, true);
        assert_true(clock_equal(&up, &down));
        assert_normal(&up);
        assert_int_equal(set_of_clock(&up), set);
        assert_int_equal(clock_highest(&up, A), set ? 32 - __builtin_clz(set) : 0);
        assert_false(clock_covers(&up, dot(A, SEQS + 1)));
        assert_false(clock_covers(&up, dot(B, 1)));
        assert_int_equal(clock_copy(&copy, &up), 0);
        assert_true(clock_equal(&copy, &up));
        assert_roundtrip(&up);
    }
    clock_close(&up);
    clock_close(&down);
    clock_close(&copy);
}

static void every_two_sets_of_8_dots_compare_and_merge(void **unused)
{
    (void)unused;
    struct clock clocks[SETS] = {0}, joined = {0};
    for (uint32_t set = 0; set < SETS; set++)
        clock_of_set(&clocks[set], set, set & 1);
    for (uint32_t a = 0; a < SETS; a++)
        for (uint32_t b = 0; b < SETS; b++) {
            assert_int_equal(clock_copy(&joined, &clocks[a]), 0);
            assert_int_equal(clock_merge(&joined, &clocks[b]), 0);
            assert_true(clock_equal(&joined, &clocks[a | b]));
            assert_int_equal(clock_meet(&clocks[a], &clocks[b], &joined), 0);
            assert_true(clock_equal(&joined, &clocks[a & b]));
            assert_true(clock_includes(&clocks[a], &clocks[b]) == ((b & ~a) == 0));
            assert_true(clock_equal(&clocks[a], &clocks[b]) == (a == b));
            assert_int_equal(clock_missing(&clocks[a], &clocks[b]), __builtin_popcount(b & ~a));
        }
    for (uint32_t set = 0; set < SETS; set++)
        clock_close(&clocks[set]);
    clock_close(&joined);
}

static void every_range_added_to_every_set_is_the_union(void **unused)
{
    (void)unused;
    struct clock c = {0}, wanted = {0};
    for (uint32_t set = 0; set < SETS; set++)
        for (uint32_t first = 1; first <= SEQS; first++)
            for (uint32_t last = first; last <= SEQS; last++) {
                uint32_t range = ((1u << last) - 1) & ~((1u << (first - 1)) - 1);
                clock_of_set(&c, set, false);
                assert_int_equal(clock_add_range(&c, A, first, last), 0);
                clock_of_set(&wanted, set | range, false);
                assert_true(clock_equal(&c, &wanted));
                assert_normal(&c);
            }
    clock_close(&c);
    clock_close(&wanted);
}

/* ---- many actors, random --------------------------------------------------------------------- */

#define NODES       12
#define LIVES       3
#define SEQS_RANDOM 80

struct explicit_set {
    bool in[NODES][LIVES][SEQS_RANDOM + 1];
    uint64_t closed[NODES]; /* lives 0 .. closed-1 are closed */
};

static bool set_covers(const struct explicit_set *s, uint64_t node, uint64_t life, uint64_t seq)
{
    return life < s->closed[node] || s->in[node][life][seq];
}

/* A node's number is its index; its incarnations are 0, 1, 2. */
static void set_and_clock(struct prng *p, struct explicit_set *s, struct clock *c)
{
    memset(s, 0, sizeof(*s));
    clock_clear(c);
    for (uint64_t i = prng_below(p, 120); i > 0; i--) {
        uint64_t node = prng_below(p, NODES), life = prng_below(p, LIVES);
        uint64_t first = 1 + prng_below(p, SEQS_RANDOM), last = first + prng_below(p, 6);
        if (last > SEQS_RANDOM)
            last = SEQS_RANDOM;
        if (prng_below(p, 100) == 0) {
            assert_int_equal(clock_set_closed(c, node, life), 0);
            if (s->closed[node] < life + 1)
                s->closed[node] = life + 1;
            continue;
        }
        assert_int_equal(clock_add_range(c, (struct actor){node, life}, first, last), 0);
        for (uint64_t seq = first; seq <= last; seq++)
            s->in[node][life][seq] = true;
    }
}

static void random_clocks_are_their_sets(void **unused)
{
    (void)unused;
    static struct explicit_set a, b;
    struct clock ca = {0}, cb = {0}, joined = {0}, met = {0};
    struct prng p;
    prng_init(&p, 21);
    for (uint32_t round = 0; round < 1500; round++) {
        set_and_clock(&p, &a, &ca);
        set_and_clock(&p, &b, &cb);
        assert_normal(&ca);
        assert_roundtrip(&ca);
        assert_int_equal(clock_copy(&joined, &ca), 0);
        assert_int_equal(clock_merge(&joined, &cb), 0);
        assert_normal(&joined);
        assert_int_equal(clock_meet(&ca, &cb, &met), 0);
        assert_normal(&met);
        uint64_t missing = 0;
        bool included = true;
        for (uint64_t n = 0; n < NODES; n++) {
            included = included && b.closed[n] <= a.closed[n];
            missing += b.closed[n] > a.closed[n]; /* closed dots are not counted one by one */
            for (uint64_t l = 0; l < LIVES; l++)
                for (uint64_t s = 1; s <= SEQS_RANDOM; s++) {
                    bool in_a = set_covers(&a, n, l, s), in_b = set_covers(&b, n, l, s);
                    struct dot d = {{n, l}, s};
                    assert_true(clock_covers(&ca, d) == in_a);
                    assert_true(clock_covers(&joined, d) == (in_a || in_b));
                    assert_true(clock_covers(&met, d) == (in_a && in_b));
                    included = included && (in_a || !in_b);
                    missing += !in_a && in_b && l >= b.closed[n];
                }
        }
        assert_true(clock_includes(&ca, &cb) == included);
        assert_true(clock_missing(&ca, &cb) == missing);
        assert_true(clock_includes(&joined, &ca) && clock_includes(&joined, &cb));
        assert_int_equal(clock_missing(&joined, &cb), 0);
        /* The other way round gives the same clock. */
        assert_int_equal(clock_merge(&cb, &ca), 0);
        assert_true(clock_equal(&cb, &joined));
    }
    clock_close(&met);
    clock_close(&ca);
    clock_close(&cb);
    clock_close(&joined);
}

/* ---- the ends of the numbers ----------------------------------------------------------------- */

static void the_highest_numbers_are_held(void **unused)
{
    (void)unused;
    struct clock c = {0}, all = {0};
    assert_int_equal(clock_add(&c, dot(A, UINT64_MAX)), 0);
    assert_int_equal(clock_add(&c, dot(A, UINT64_MAX - 2)), 0);
    assert_int_equal(clock_range_count(&c), 2);
    assert_int_equal(clock_add(&c, dot(A, UINT64_MAX - 1)), 0);
    assert_int_equal(clock_range_count(&c), 1);
    assert_true(clock_highest(&c, A) == UINT64_MAX);
    assert_roundtrip(&c);
    assert_int_equal(clock_add_range(&all, A, 1, UINT64_MAX), 0);
    assert_int_equal(clock_missing(&all, &c), 0);
    assert_true(clock_missing(&c, &all) == UINT64_MAX - 3);
    assert_int_equal(clock_merge(&c, &all), 0);
    assert_true(clock_equal(&c, &all));
    assert_int_equal(clock_add(&c, dot(A, UINT64_MAX)), 0);
    assert_true(clock_equal(&c, &all));
    assert_roundtrip(&all);
    clock_close(&c);
    clock_close(&all);
}

static void lag_over_all_numbers_stays_at_the_highest(void **unused)
{
    (void)unused;
    struct clock none = {0}, all = {0};
    assert_int_equal(clock_add_range(&all, A, 1, UINT64_MAX), 0);
    assert_int_equal(clock_add_range(&all, B, 1, UINT64_MAX), 0);
    assert_true(clock_missing(&none, &all) == UINT64_MAX);
    clock_close(&all);
}

/* ---- closing --------------------------------------------------------------------------------- */

static void closing_covers_every_life_up_to_it_and_drops_its_entries(void **unused)
{
    (void)unused;
    struct clock c = {0};
    for (uint64_t life = 1; life <= 4; life++)
        assert_int_equal(clock_add(&c, dot((struct actor){7, life}, 3)), 0);
    assert_int_equal(clock_add(&c, dot((struct actor){6, 1}, 3)), 0);
    assert_int_equal(clock_set_closed(&c, 7, 3), 0);
    assert_int_equal(c.entry_count, 2);
    assert_true(clock_covers(&c, dot((struct actor){7, 0}, 1000)));
    assert_true(clock_covers(&c, dot((struct actor){7, 3}, UINT64_MAX)));
    assert_true(clock_covers(&c, dot((struct actor){7, 4}, 3)));
    assert_false(clock_covers(&c, dot((struct actor){7, 4}, 4)));
    assert_false(clock_covers(&c, dot((struct actor){6, 1}, 4)));
    /* A late dot of a closed life adds nothing; closing lower takes nothing back. */
    assert_int_equal(clock_add(&c, dot((struct actor){7, 2}, 9)), 0);
    assert_int_equal(clock_set_closed(&c, 7, 1), 0);
    assert_int_equal(c.entry_count, 2);
    assert_int_equal(c.closed[0].incarnation, 3);
    assert_roundtrip(&c);
    clock_close(&c);
}

static void only_a_closed_life_includes_a_closed_life(void **unused)
{
    (void)unused;
    struct clock closed = {0}, dots = {0};
    assert_int_equal(clock_set_closed(&closed, 7, 3), 0);
    assert_int_equal(clock_add_range(&dots, (struct actor){7, 3}, 1, 100), 0);
    assert_true(clock_includes(&closed, &dots));
    assert_false(clock_includes(&dots, &closed));
    assert_int_equal(clock_missing(&closed, &dots), 0);
    assert_int_equal(clock_merge(&dots, &closed), 0);
    assert_true(clock_equal(&dots, &closed));
    clock_close(&closed);
    clock_close(&dots);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* A clock that was filled once takes as much again without new memory. */
static void a_cleared_clock_keeps_its_memory(void **unused)
{
    (void)unused;
    struct clock c = {0};
    struct clock_range *ranges[3];
    for (uint64_t node = 0; node < 3; node++)
        for (uint64_t seq = 2; seq < 40; seq += 2)
            assert_int_equal(clock_add(&c, dot((struct actor){node, 1}, seq)), 0);
    const struct clock_entry *entries = c.entries;
    for (uint32_t i = 0; i < 3; i++)
        ranges[i] = c.entries[i].ranges;
    clock_clear(&c);
    for (uint64_t node = 0; node < 3; node++)
        for (uint64_t seq = 2; seq < 40; seq += 2)
            assert_int_equal(clock_add(&c, dot((struct actor){node, 1}, seq)), 0);
    assert_ptr_equal(c.entries, entries);
    for (uint32_t i = 0; i < 3; i++)
        assert_ptr_equal(c.entries[i].ranges, ranges[i]);
    clock_close(&c);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static int decode_numbers(uint32_t count, const uint64_t *numbers)
{
    /* The first is the count of entries; each actor is written as two u64 after it. */
    struct clock c = {0};
    struct buf buf;
    buf_init(&buf, 4096);
    for (uint32_t i = 0; i < count; i++)
        buf_varint(&buf, numbers[i]);
    struct reader r = reader_of(buf_slice(&buf));
    int error = clock_decode(&r, &c);
    assert_true(error == 0 || c.entry_count + c.closed_count == 0);
    buf_close(&buf);
    clock_close(&c);
    return error;
}
#define DECODE(...)                                                                                \
    decode_numbers(sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), (uint64_t[]){__VA_ARGS__})
/* Sixteen one-byte varints that read as the two u64 of an actor. */
#define ACTOR(n) (n), 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0

static void bytes_out_of_normal_form_are_refused(void **unused)
{
    (void)unused;
    assert_int_equal(DECODE(0, 0), 0);
    assert_int_equal(DECODE(1, ACTOR(1), 5, 0, 0), 0);
    assert_int_equal(DECODE(1, ACTOR(1), 0, 1, 2, 1, 0), 0);
    assert_int_equal(DECODE(2, ACTOR(1), 5, 0, ACTOR(2), 5, 0, 0), 0);
    assert_int_equal(DECODE(0, 1, ACTOR(1)), 0);
    assert_int_equal(DECODE(0, 0, 99, 99), 0); /* fields of a later version */

    assert_int_equal(DECODE(1, ACTOR(1), 0, 0, 0), GT_ECORRUPT);             /* holds nothing */
    assert_int_equal(DECODE(1, ACTOR(1), 5, 1, 1, 1, 0), GT_ECORRUPT);       /* touches the base */
    assert_int_equal(DECODE(1, ACTOR(1), 5, 1, 0, 1, 0), GT_ECORRUPT);       /* gap 0 */
    assert_int_equal(DECODE(1, ACTOR(1), 5, 1, 2, 0, 0), GT_ECORRUPT);       /* length 0 */
    assert_int_equal(DECODE(1, ACTOR(1), 5, 2, 2, 1, 1, 1, 0), GT_ECORRUPT); /* ranges touch */
    assert_int_equal(DECODE(2, ACTOR(1), 5, 0, ACTOR(1), 5, 0, 0), GT_ECORRUPT);
    assert_int_equal(DECODE(2, ACTOR(2), 5, 0, ACTOR(1), 5, 0, 0), GT_ECORRUPT);
    assert_int_equal(DECODE(0, 2, ACTOR(2), ACTOR(1)), GT_ECORRUPT);
    assert_int_equal(DECODE(0, 2, ACTOR(2), ACTOR(2)), GT_ECORRUPT);
    assert_int_equal(DECODE(1, ACTOR(1), 5, 0, 1, ACTOR(1)), GT_ECORRUPT); /* closed, and there */
    assert_int_equal(DECODE(1, ACTOR(1), UINT64_MAX, 1, 2, 1, 0), GT_ECORRUPT); /* overflows */
    assert_int_equal(DECODE(1, ACTOR(1), 5, 1, 2, UINT64_MAX, 0), GT_ECORRUPT);
}

static void counts_that_claim_more_than_the_bytes_hold_are_refused(void **unused)
{
    (void)unused;
    static const uint64_t claims[] = {1, 1000, UINT32_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        assert_int_equal(DECODE(claims[i]), GT_ECORRUPT);
        assert_int_equal(DECODE(1, ACTOR(1), 5, claims[i]), GT_ECORRUPT);
        assert_int_equal(DECODE(0, claims[i]), GT_ECORRUPT);
    }
}

static void every_shorter_clock_is_refused(void **unused)
{
    (void)unused;
    struct clock c = {0}, back = {0};
    struct buf buf;
    buf_init(&buf, 4096);
    assert_int_equal(clock_add_range(&c, A, 1, 200), 0);
    assert_int_equal(clock_add_range(&c, A, 300, 500), 0);
    assert_int_equal(clock_add_range(&c, B, 7, 7), 0);
    assert_int_equal(clock_set_closed(&c, 9, 4), 0);
    clock_encode(&c, &buf);
    for (size_t bytes = 0; bytes < buf.bytes; bytes++) {
        struct reader r = reader_of(slice_of(buf.data, bytes));
        assert_int_equal(clock_decode(&r, &back), GT_ECORRUPT);
        assert_int_equal(back.entry_count + back.closed_count, 0);
    }
    buf_close(&buf);
    clock_close(&c);
    clock_close(&back);
}

/* ---- what is asked about clocks -------------------------------------------------------------- */

static void the_closed_life_of_a_node_is_told(void **unused)
{
    (void)unused;
    struct clock c = {0};
    assert_int_equal(clock_closed(&c, 2), 0);
    assert_int_equal(clock_set_closed(&c, 2, 20), 0);
    for (uint64_t node = 1; node <= 3; node++)
        assert_int_equal(clock_closed(&c, node), node == 2 ? 20 : 0);
    clock_close(&c);
}

/* Every set of four dots of A, with B's lives closed or not, against every history of a vector
 * entry, an exact dot and closed lives: it is covered when each of its parts is. */
static void a_history_is_covered_when_all_that_it_may_name_is(void **unused)
{
    (void)unused;
    struct clock c = {0};
    struct history h = {0};
    for (uint32_t set = 0; set < 1u << 4; set++)
        for (uint32_t closes = 0; closes < 2; closes++) {
            clock_of_set(&c, set, false);
            if (closes)
                assert_int_equal(clock_set_closed(&c, B.node, B.incarnation), 0);
            for (uint32_t way = 0; way < 5 * 5 * 2 * 2 * 2; way++) {
                uint32_t vector = way % 5, exact = way / 5 % 5;
                bool vector_b = way / 25 & 1, exact_b = way / 50 & 1, closed_b = way / 100 & 1;
                history_clear(&h);
                assert_int_equal(history_raise(&h, A, vector), 0);
                if (exact > 0)
                    assert_int_equal(history_add(&h, dot(A, exact)), 0);
                if (vector_b)
                    assert_int_equal(history_raise(&h, B, 2), 0);
                if (exact_b)
                    assert_int_equal(history_add(&h, dot(B, 3)), 0);
                if (closed_b)
                    assert_int_equal(history_close_lives(&h, B.node, B.incarnation), 0);
                uint32_t named = ((1u << vector) - 1) | (exact > 0 ? 1u << (exact - 1) : 0);
                bool covered = (named & ~set) == 0;
                covered = covered && (closes || !(vector_b || exact_b || closed_b));
                assert_int_equal(clock_covers_history(&c, &h), covered);
            }
        }
    clock_close(&c);
    history_close(&h);
}

/* A clock in which one thing, chosen by number, is another. */
static void clock_with_another(struct clock *c, uint32_t thing)
{
    struct actor actor = thing == 1 ? (struct actor){1, 11} : A;
    assert_int_equal(clock_add_range(c, actor, 1, 4 + (thing == 2)), 0);
    assert_int_equal(clock_add_range(c, actor, 8 + (thing == 3), 12 + (thing == 4)), 0);
    assert_int_equal(clock_set_closed(c, 5 + (thing == 5), 2 + (thing == 6)), 0);
    if (thing == 7)
        assert_int_equal(clock_add(c, dot(B, 1)), 0);
    if (thing == 8)
        assert_int_equal(clock_add(c, dot(actor, 20)), 0);
    if (thing == 9)
        assert_int_equal(clock_set_closed(c, 9, 1), 0);
}

static void clocks_that_differ_in_anything_are_not_equal(void **unused)
{
    (void)unused;
    enum { THINGS = 10 };
    for (uint32_t a = 0; a < THINGS; a++)
        for (uint32_t b = 0; b < THINGS; b++) {
            struct clock x = {0}, y = {0};
            clock_with_another(&x, a);
            clock_with_another(&y, b);
            assert_int_equal(clock_equal(&x, &y), a == b);
            clock_close(&x);
            clock_close(&y);
        }
}

/* What was reserved is there for actors below, among and above those that are known. */
static void what_was_reserved_is_added_whatever_its_actor(void **unused)
{
    (void)unused;
    struct clock c = {0};
    struct dot dots[] = {{A, 5}, {A, 7}, {{1, 11}, 3}, {B, 9}, {B, 11}, {{3, 30}, 4}};
    enum { COUNT = sizeof(dots) / sizeof(dots[0]) };
    assert_int_equal(clock_add(&c, dot(B, 1)), 0);
    assert_int_equal(clock_reserve(&c, dots, COUNT), 0);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(clock_add(&c, dots[i]), 0);
    assert_normal(&c);
    assert_int_equal(c.entry_count, 4);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_true(clock_covers(&c, dots[i]));
        assert_false(clock_covers(&c, dot(dots[i].actor, dots[i].seq + 1)));
    }
    clock_close(&c);
}

/* A varint with a byte too many, in the gap or in the length of a range. */
static void a_range_in_overlong_numbers_is_damage(void **unused)
{
    (void)unused;
    for (uint32_t second = 0; second < 2; second++) {
        struct clock c = {0};
        struct buf buf;
        buf_init(&buf, 256);
        buf_varint(&buf, 1);
        buf_u64(&buf, A.node);
        buf_u64(&buf, A.incarnation);
        buf_varint(&buf, 1); /* base */
        buf_varint(&buf, 1); /* ranges */
        buf_u16(&buf, second ? 0x8002 : 0x0082);
        buf_zero(&buf, 2);
        struct reader r = reader_of(buf_slice(&buf));
        assert_int_equal(clock_decode(&r, &c), GT_ECORRUPT);
        assert_int_equal(c.entry_count, 0);
        buf_close(&buf);
        clock_close(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_set_of_8_dots_is_held_whatever_the_order),
        cmocka_unit_test(the_base_reaches_to_the_first_gap),
        cmocka_unit_test(every_two_sets_of_8_dots_compare_and_merge),
        cmocka_unit_test(every_range_added_to_every_set_is_the_union),
        cmocka_unit_test(random_clocks_are_their_sets),
        cmocka_unit_test(the_highest_numbers_are_held),
        cmocka_unit_test(lag_over_all_numbers_stays_at_the_highest),
        cmocka_unit_test(closing_covers_every_life_up_to_it_and_drops_its_entries),
        cmocka_unit_test(only_a_closed_life_includes_a_closed_life),
        cmocka_unit_test(a_cleared_clock_keeps_its_memory),
        cmocka_unit_test(bytes_out_of_normal_form_are_refused),
        cmocka_unit_test(counts_that_claim_more_than_the_bytes_hold_are_refused),
        cmocka_unit_test(every_shorter_clock_is_refused),
        cmocka_unit_test(the_closed_life_of_a_node_is_told),
        cmocka_unit_test(a_history_is_covered_when_all_that_it_may_name_is),
        cmocka_unit_test(clocks_that_differ_in_anything_are_not_equal),
        cmocka_unit_test(what_was_reserved_is_added_whatever_its_actor),
        cmocka_unit_test(a_range_in_overlong_numbers_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
