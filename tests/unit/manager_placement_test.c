/* Placement: what every ring must be, tried on thousands of random member sets. */
#include "manager/placement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/base/error.h"
#include "engine/base/prng.h"

static struct ring *cluster(uint32_t nodes, uint32_t replicas, uint32_t partitions)
{
    struct ring *r = ring_new(nodes, partitions);
    assert_non_null(r);
    r->settings.replicas = replicas;
    for (uint32_t i = 0; i < nodes; i++) {
        struct member *m = &r->members[i];
        m->id = 1000 + i;
        m->capacity = 1;
        m->state = MEMBER_UP;
        snprintf(m->label, sizeof(m->label), "node%u", i + 1);
    }
    return r;
}

static void zone_set(struct ring *r, uint32_t member, uint32_t zone)
{
    snprintf(r->members[member].zone, UNITS_LABEL_BYTES, "zone%u", zone);
}

static uint32_t zones_of(const struct ring *r)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->member_count; i++) {
        bool first = true;
        for (uint32_t j = 0; j < i; j++)
            first &= strcmp(r->members[i].zone, r->members[j].zone) != 0;
        count += first;
    }
    return count;
}

static uint32_t zones_of_arc(const struct ring *r, const struct arc *a)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < a->owner_count; i++) {
        bool first = true;
        for (uint32_t j = 0; j < i; j++)
            first &= strcmp(r->members[a->owners[i]].zone, r->members[a->owners[j]].zone) != 0;
        count += first;
    }
    return count;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void expect_distinct(const struct ring *r)
{
    uint32_t n = smaller(r->settings.replicas, r->member_count);
    uint32_t zones = smaller(n, zones_of(r));
    for (uint32_t p = 0; p < r->settings.partitions; p++) {
        const struct arc *a = &r->arcs[p];
        assert_int_equal(a->owner_count, n);
        for (uint32_t i = 0; i < n; i++) {
            assert_in_range(a->owners[i], 0, r->member_count - 1);
            for (uint32_t j = 0; j < i; j++)
                assert_int_not_equal(a->owners[i], a->owners[j]);
        }
        assert_int_equal(zones_of_arc(r, a), zones);
    }
}

static void expect_balanced(const struct ring *r)
{
    double *shares = calloc(r->member_count, sizeof(*shares)), sum = 0;
    uint32_t *tokens = calloc(r->member_count, sizeof(*tokens));
    uint32_t *primaries = calloc(r->member_count, sizeof(*primaries));
    uint32_t n = smaller(r->settings.replicas, r->member_count);
    assert_true(shares && tokens && primaries);
    assert_int_equal(placement_shares(r, shares), 0);
    for (uint32_t p = 0; p < r->settings.partitions; p++) {
        primaries[r->arcs[p].owners[0]]++;
        for (uint32_t i = 0; i < r->arcs[p].owner_count; i++)
            tokens[r->arcs[p].owners[i]]++;
    }
    for (uint32_t i = 0; i < r->member_count; i++) {
        double off = (double)tokens[i] - shares[i];
        sum += shares[i];
        if (off >= 1 || off <= -1)
            fail_msg("member %u has %u tokens of %f", i, tokens[i], shares[i]);
        if (primaries[i] < tokens[i] / n || primaries[i] > (tokens[i] + n - 1) / n)
            fail_msg("member %u is primary of %u of its %u tokens, n=%u", i, primaries[i],
                     tokens[i], n);
    }
    double total = (double)n * r->settings.partitions;
    assert_true(sum > total - 0.01 && sum < total + 0.01);
    free(shares);
    free(tokens);
    free(primaries);
}

/* Without zones and caps a share is capacity / sum of capacities: said here once more, so that the
 * shares themselves are not taken on trust. */
static void shares_follow_the_capacities(void **state)
{
    (void)state;
    struct ring *r = cluster(4, 2, 1000);
    double shares[4], expected[4] = {200, 400, 600, 800};
    for (uint32_t i = 0; i < 4; i++)
        r->members[i].capacity = 0.5 * (i + 1);
    assert_int_equal(placement_shares(r, shares), 0);
    for (uint32_t i = 0; i < 4; i++)
        assert_true(shares[i] > expected[i] - 1e-3 && shares[i] < expected[i] + 1e-3);
    ring_unref(r);
}

/* A giant can own every arc once; the rest is shared by the others in proportion. */
static void a_share_is_capped_at_every_arc_once(void **state)
{
    (void)state;
    struct ring *r = cluster(4, 3, 100);
    double shares[4], expected[4] = {100, 50, 50, 100};
    r->members[0].capacity = 1000;
    r->members[3].capacity = 2;
    assert_int_equal(placement_shares(r, shares), 0);
    for (uint32_t i = 0; i < 4; i++)
        assert_true(shares[i] > expected[i] - 1e-3 && shares[i] < expected[i] + 1e-3);
    assert_int_equal(placement_form(r), 0);
    expect_distinct(r);
    expect_balanced(r);
    ring_unref(r);
}

static struct ring *random_cluster(struct prng *dice)
{
    uint32_t nodes = 1 + (uint32_t)prng_below(dice, 24);
    uint32_t replicas = 1 + (uint32_t)prng_below(dice, 7);
    uint32_t partitions = 1 + (uint32_t)prng_below(dice, 130);
    uint32_t zones = (uint32_t)prng_below(dice, 7), weights = (uint32_t)prng_below(dice, 3);
    struct ring *r = cluster(nodes, replicas, partitions);
    for (uint32_t i = 0; i < nodes; i++) {
        r->members[i].id = prng_next(dice) | 1;
        if (zones)
            zone_set(r, i, (uint32_t)prng_below(dice, zones));
        if (weights == 1)
            r->members[i].capacity = 1 + (double)prng_below(dice, 4);
        if (weights == 2)
            r->members[i].capacity = 0.001 + 100 * prng_unit(dice) * prng_unit(dice);
    }
    return r;
}

static void random_clusters_are_distinct_and_balanced(void **state)
{
    (void)state;
    struct prng dice;
    prng_init(&dice, 7);
    for (uint32_t i = 0; i < 5000; i++) {
        struct ring *r = random_cluster(&dice);
        assert_int_equal(placement_form(r), 0);
        expect_distinct(r);
        expect_balanced(r);
        ring_unref(r);
    }
}

static bool same_owners(const struct ring *a, const struct ring *b)
{
    for (uint32_t p = 0; p < a->settings.partitions; p++)
        for (uint32_t i = 0; i < a->arcs[p].owner_count; i++)
            if (a->members[a->arcs[p].owners[i]].id != b->members[b->arcs[p].owners[i]].id)
                return false;
    return true;
}

static void the_order_of_registration_does_not_matter(void **state)
{
    (void)state;
    struct prng dice;
    prng_init(&dice, 11);
    for (uint32_t i = 0; i < 500; i++) {
        struct ring *a = random_cluster(&dice);
        struct ring *b = ring_copy(a, a->member_count);
        assert_non_null(b);
        for (uint32_t j = b->member_count; j > 1; j--) {
            uint32_t k = (uint32_t)prng_below(&dice, j);
            struct member held = b->members[j - 1];
            b->members[j - 1] = b->members[k];
            b->members[k] = held;
        }
        assert_int_equal(placement_form(a), 0);
        assert_int_equal(placement_form(b), 0);
        assert_true(same_owners(a, b));
        ring_unref(a);
        ring_unref(b);
    }
}

static void members_that_are_not_up_get_nothing(void **state)
{
    (void)state;
    struct ring *r = cluster(5, 3, 64);
    r->members[2].state = MEMBER_DOWN;
    assert_int_equal(placement_form(r), 0);
    for (uint32_t p = 0; p < 64; p++)
        for (uint32_t i = 0; i < 3; i++)
            assert_int_not_equal(r->arcs[p].owners[i], 2);
    ring_unref(r);
}

static void nobody_up_is_refused(void **state)
{
    (void)state;
    struct ring *r = cluster(1, 1, 8);
    r->members[0].state = MEMBER_DOWN;
    assert_int_equal(placement_form(r), GT_EARG);
    ring_unref(r);
}

/* Who dies must not throw its whole load on one neighbour: the partners of each member are many. */
static void arcs_of_a_member_are_shared_with_many_others(void **state)
{
    (void)state;
    struct ring *r = cluster(10, 3, 1024);
    uint32_t together[10][10] = {{0}};
    assert_int_equal(placement_form(r), 0);
    for (uint32_t p = 0; p < 1024; p++)
        for (uint32_t i = 0; i < 3; i++)
            for (uint32_t j = 0; j < 3; j++)
                if (i != j)
                    together[r->arcs[p].owners[i]][r->arcs[p].owners[j]]++;
    /* 307 tokens with two partners each, spread over nine others: 68 on average. */
    for (uint32_t i = 0; i < 10; i++)
        for (uint32_t j = 0; j < 10; j++)
            if (i != j)
                assert_in_range(together[i][j], 34, 136);
    ring_unref(r);
}

static void a_hundred_nodes_and_4096_partitions(void **state)
{
    (void)state;
    struct ring *r = cluster(100, 3, 4096);
    for (uint32_t i = 0; i < 100; i++) {
        zone_set(r, i, i % 5);
        r->members[i].capacity = 1 + i % 3;
    }
    assert_int_equal(placement_form(r), 0);
    expect_distinct(r);
    expect_balanced(r);
    ring_unref(r);
}

/* ---- plans -------------------------------------------------------------------------------------
 */

/* Takes out whoever has no part, so that the checks above speak of those that have. */
static struct ring *those_that_stay(const struct ring *r, const struct arc *arcs)
{
    uint32_t count = 0;
    uint16_t *numbers = calloc(r->member_count, sizeof(*numbers));
    for (uint32_t i = 0; i < r->member_count; i++)
        if (r->members[i].state == MEMBER_UP)
            numbers[i] = (uint16_t)count++;
    struct ring *staying = ring_new(count, r->settings.partitions);
    assert_true(numbers && staying);
    staying->settings = r->settings;
    for (uint32_t i = 0; i < r->member_count; i++)
        if (r->members[i].state == MEMBER_UP)
            staying->members[numbers[i]] = r->members[i];
    for (uint32_t p = 0; p < r->settings.partitions; p++) {
        staying->arcs[p] = arcs[p];
        for (uint32_t i = 0; i < arcs[p].owner_count; i++) {
            assert_int_equal(r->members[arcs[p].owners[i]].state, MEMBER_UP);
            staying->arcs[p].owners[i] = numbers[arcs[p].owners[i]];
        }
    }
    free(numbers);
    return staying;
}

struct cost {
    uint64_t moves, least;
};

/* Whatever was planned, each member had to be given what it lacks, and each list what is missing or
 * in the way of its zones. */
static struct cost cost_of(const struct ring *r, const struct arc *target)
{
    struct cost c = {0};
    uint64_t lacking = 0, forced = 0;
    uint32_t staying = 0, zones;
    uint32_t *had = calloc(r->member_count, sizeof(*had)),
             *has = calloc(r->member_count, sizeof(*has));
    assert_true(had && has);
    struct ring *those = those_that_stay(r, target);
    staying = those->member_count;
    uint32_t n = smaller(r->settings.replicas, staying);
    zones = smaller(n, zones_of(those));
    ring_unref(those);
    for (uint32_t p = 0; p < r->settings.partitions; p++) {
        struct placement_move moves[REPLICAS_MAX];
        uint32_t count = placement_moves(&r->arcs[p], &target[p], p, moves);
        for (uint32_t i = 0; i < count; i++)
            c.moves += moves[i].to >= 0;
        struct arc kept = {0};
        for (uint32_t i = 0; i < r->arcs[p].owner_count; i++)
            if (r->members[r->arcs[p].owners[i]].state == MEMBER_UP) {
                kept.owners[kept.owner_count++] = r->arcs[p].owners[i];
                had[r->arcs[p].owners[i]]++;
            }
        uint32_t vacant = kept.owner_count < n ? n - kept.owner_count : 0;
        uint32_t named = zones_of_arc(r, &kept), missing = named < zones ? zones - named : 0;
        forced += missing > vacant ? missing : vacant;
        for (uint32_t i = 0; i < target[p].owner_count; i++)
            has[target[p].owners[i]]++;
    }
    for (uint32_t i = 0; i < r->member_count; i++)
        lacking += has[i] > had[i] ? has[i] - had[i] : 0;
    c.least = lacking > forced ? lacking : forced;
    free(had);
    free(has);
    return c;
}

/* Makes the plan and carries it out. */
static struct cost replan(struct ring *r)
{
    uint32_t bytes = r->settings.partitions * (uint32_t)sizeof(struct arc);
    struct arc *target = malloc(bytes), *again = malloc(bytes);
    assert_true(target && again);
    assert_int_equal(placement_plan(r, target), 0);
    assert_int_equal(placement_plan(r, again), 0);
    assert_memory_equal(target, again, bytes);
    struct ring *staying = those_that_stay(r, target);
    expect_distinct(staying);
    expect_balanced(staying);
    ring_unref(staying);
    struct cost c = cost_of(r, target);
    memcpy(r->arcs, target, bytes);
    assert_int_equal(placement_plan(r, again), 0);
    assert_memory_equal(again, target, bytes); /* what is right is left as it is */
    free(target);
    free(again);
    return c;
}

static struct ring *with_one_more(struct ring *r, struct prng *dice, uint32_t zones)
{
    struct ring *more = ring_copy(r, r->member_count + 1);
    assert_non_null(more);
    struct member *m = &more->members[r->member_count];
    m->id = prng_next(dice) | 1;
    m->capacity = more->members[0].capacity;
    m->state = MEMBER_UP;
    if (zones)
        zone_set(more, r->member_count, (uint32_t)prng_below(dice, zones));
    ring_unref(r);
    return more;
}

static uint32_t up_count(const struct ring *r)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->member_count; i++)
        count += r->members[i].state == MEMBER_UP;
    return count;
}

static void any_sequence_of_changes_is_planned_well_and_cheaply(void **state)
{
    (void)state;
    struct prng dice;
    struct cost sum = {0};
    prng_init(&dice, 23);
    for (uint32_t i = 0; i < 600; i++) {
        struct ring *r = random_cluster(&dice);
        uint32_t zones = r->members[0].zone[0] ? 1 + (uint32_t)prng_below(&dice, 6) : 0;
        assert_int_equal(placement_form(r), 0);
        for (uint32_t step = 0; step < 8; step++) {
            uint32_t who = (uint32_t)prng_below(&dice, r->member_count);
            switch (prng_below(&dice, 5)) {
            case 0:
            case 1:
                r = with_one_more(r, &dice, zones);
                break;
            case 2:
                if (up_count(r) > 1)
                    r->members[who].state = prng_below(&dice, 2) ? MEMBER_LEAVING : MEMBER_REMOVED;
                if (up_count(r) == 0)
                    r->members[who].state = MEMBER_UP;
                break;
            case 3:
                r->members[who].capacity *= 0.5 + 2 * prng_unit(&dice);
                break;
            default:
                if (zones)
                    zone_set(r, who, (uint32_t)prng_below(&dice, zones));
            }
            struct cost c = replan(r);
            sum.moves += c.moves;
            sum.least += c.least;
        }
        ring_unref(r);
    }
    print_message("%llu moves; at least %llu were needed\n", (unsigned long long)sum.moves,
                  (unsigned long long)sum.least);
    assert_true(sum.moves * 10 <= sum.least * 11);
}

static void what_one_leaves_behind_lands_on_many(void **state)
{
    (void)state;
    struct ring *r = cluster(10, 3, 1024);
    struct arc *target = calloc(1024, sizeof(*target));
    uint32_t taken[10] = {0};
    assert_int_equal(placement_form(r), 0);
    r->members[4].state = MEMBER_REMOVED;
    assert_int_equal(placement_plan(r, target), 0);
    for (uint32_t p = 0; p < 1024; p++) {
        struct placement_move moves[REPLICAS_MAX];
        uint32_t count = placement_moves(&r->arcs[p], &target[p], p, moves);
        assert_in_range(count, 0, 1);
        if (count > 0) {
            assert_int_equal(moves[0].from, 4);
            taken[moves[0].to]++;
        }
    }
    for (uint32_t i = 0; i < 10; i++)
        if (i != 4)
            assert_in_range(taken[i], 33, 36); /* 307 among nine */
    free(target);
    ring_unref(r);
}

static void a_cluster_grows_from_one_node_to_seven(void **state)
{
    (void)state;
    struct prng dice;
    prng_init(&dice, 3);
    struct ring *r = cluster(1, 3, 1024);
    assert_int_equal(placement_form(r), 0);
    for (uint32_t nodes = 2; nodes <= 7; nodes++) {
        r = with_one_more(r, &dice, 0);
        struct cost c = replan(r);
        assert_int_equal(c.moves, c.least);
        assert_int_equal(r->arcs[0].owner_count, smaller(nodes, 3));
    }
    ring_unref(r);
}

static void a_plan_of_a_hundred_nodes_and_4096_partitions(void **state)
{
    (void)state;
    struct prng dice;
    prng_init(&dice, 5);
    struct ring *r = cluster(100, 3, 4096);
    for (uint32_t i = 0; i < 100; i++)
        zone_set(r, i, i % 5);
    assert_int_equal(placement_form(r), 0);
    r->members[17].state = MEMBER_REMOVED;
    r->members[60].capacity = 3;
    r = with_one_more(r, &dice, 5);
    struct cost c = replan(r);
    assert_true(c.moves * 10 <= c.least * 11);
    ring_unref(r);
}

static void a_plan_without_anybody_is_refused(void **state)
{
    (void)state;
    struct ring *r = cluster(1, 1, 8);
    struct arc target[8];
    assert_int_equal(placement_form(r), 0);
    r->members[0].state = MEMBER_LEAVING;
    assert_int_equal(placement_plan(r, target), GT_EARG);
    ring_unref(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_follow_the_capacities),
        cmocka_unit_test(a_share_is_capped_at_every_arc_once),
        cmocka_unit_test(random_clusters_are_distinct_and_balanced),
        cmocka_unit_test(the_order_of_registration_does_not_matter),
        cmocka_unit_test(members_that_are_not_up_get_nothing),
        cmocka_unit_test(nobody_up_is_refused),
        cmocka_unit_test(arcs_of_a_member_are_shared_with_many_others),
        cmocka_unit_test(a_hundred_nodes_and_4096_partitions),
        cmocka_unit_test(any_sequence_of_changes_is_planned_well_and_cheaply),
        cmocka_unit_test(what_one_leaves_behind_lands_on_many),
        cmocka_unit_test(a_cluster_grows_from_one_node_to_seven),
        cmocka_unit_test(a_plan_of_a_hundred_nodes_and_4096_partitions),
        cmocka_unit_test(a_plan_without_anybody_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
