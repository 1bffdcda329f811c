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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
