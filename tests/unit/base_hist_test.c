/* The histogram against sorted arrays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "engine/base/hist.h"
#include "engine/base/prng.h"

#define VALUES 3000

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Values of all sizes, or crowded, or with a long tail, by the round. */
static uint64_t value_of(struct prng *p, int round)
{
    switch (round % 4) {
    case 0:
        return prng_next(p) >> prng_below(p, 64);
    case 1:
        return 100 + prng_below(p, 1000);
    case 2:
        return prng_below(p, 70);
    default:
        return (uint64_t)(1000.0 / (1.0 - prng_unit(p) * 0.99999));
    }
}

static void every_quantile_is_within_a_64th_of_the_exact_one(void **unused)
{
    (void)unused;
    static const double shares[] = {0.0, 0.0001, 0.01, 0.1, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0};
    static uint64_t values[VALUES];
    struct hist *h = malloc(sizeof(*h));
    struct prng p;
    prng_init(&p, 31);
    for (int round = 0; round < 60; round++) {
        uint64_t count = 1 + prng_below(&p, VALUES);
        hist_init(h);
        for (uint64_t i = 0; i < count; i++) {
            values[i] = value_of(&p, round);
            hist_add(h, values[i]);
        }
        qsort(values, count, sizeof(*values), by_value);
        for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]) + 50; i++) {
            double share = i < sizeof(shares) / sizeof(shares[0]) ? shares[i] : 1 - prng_unit(&p);
            uint64_t rank = (uint64_t)ceil(share * (double)count);
            uint64_t exact = values[rank > 0 ? rank - 1 : 0], got = hist_quantile(h, share);
            if (got < exact || got - exact > exact / 64)
                fail_msg("share %f: %llu, exactly %llu", share, (unsigned long long)got,
                         (unsigned long long)exact);
        }
        assert_true(hist_quantile(h, 1.0) == values[count - 1]);
        assert_true(h->min == values[0] && h->max == values[count - 1] && h->count == count);
    }
    free(h);
}

static void small_values_are_exact(void **unused)
{
    (void)unused;
    for (uint32_t v = 0; v < 128; v++)
        assert_true(hist_bucket_max(hist_bucket(v)) == v);
}

static void buckets_ascend_without_a_gap_to_the_highest_number(void **unused)
{
    (void)unused;
    for (uint32_t b = 0; b < HIST_BUCKETS; b++) {
        uint64_t max = hist_bucket_max(b);
        assert_int_equal(hist_bucket(max), b);
        if (b + 1 < HIST_BUCKETS)
            assert_int_equal(hist_bucket(max + 1), b + 1);
        else
            assert_true(max == UINT64_MAX);
    }
}

static void a_bucket_is_at_most_a_64th_wide(void **unused)
{
    (void)unused;
    for (uint32_t b = 1; b < HIST_BUCKETS; b++) {
        uint64_t low = hist_bucket_max(b - 1) + 1, high = hist_bucket_max(b);
        assert_true(high - low <= low / 64);
    }
}

static void merging_is_the_same_as_adding_all_to_one(void **unused)
{
    (void)unused;
    struct hist *h = calloc(3, sizeof(*h));
    struct prng p;
    prng_init(&p, 32);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 3; i++)
            hist_init(&h[i]);
        for (uint64_t i = prng_below(&p, 500); i > 0; i--) {
            uint64_t v = value_of(&p, round) >> 12, which = prng_below(&p, 2);
            hist_add(&h[which], v);
            hist_add(&h[2], v);
        }
        hist_merge(&h[0], &h[1]);
        assert_memory_equal(&h[0], &h[2], sizeof(*h));
    }
    free(h);
}

static void an_empty_histogram_says_zero(void **unused)
{
    (void)unused;
    struct hist *h = malloc(sizeof(*h));
    hist_init(h);
    assert_int_equal(hist_quantile(h, 0.5), 0);
    assert_true(hist_mean(h) == 0.0);
    free(h);
}

static void the_mean_is_exact(void **unused)
{
    (void)unused;
    struct hist *h = malloc(sizeof(*h));
    hist_init(h);
    for (uint64_t v = 1000; v <= 2000; v++)
        hist_add(h, v);
    assert_true(hist_mean(h) == 1500.0);
    free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_quantile_is_within_a_64th_of_the_exact_one),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(buckets_ascend_without_a_gap_to_the_highest_number),
        cmocka_unit_test(a_bucket_is_at_most_a_64th_wide),
        cmocka_unit_test(merging_is_the_same_as_adding_all_to_one),
        cmocka_unit_test(an_empty_histogram_says_zero),
        cmocka_unit_test(the_mean_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
