/* The seeded generator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "engine/base/prng.h"

static void the_same_seed_gives_the_same_numbers(void **unused)
{
    (void)unused;
    struct prng a, b, c;
    uint32_t same = 0;
    prng_init(&a, 42);
    prng_init(&b, 42);
    prng_init(&c, 43);
    for (int i = 0; i < 1000; i++) {
        uint64_t v = prng_next(&a);
        assert_true(v == prng_next(&b));
        same += v == prng_next(&c);
    }
    assert_int_equal(same, 0);
}

/* A trace of the simulator names a seed; these numbers may never change. */
static void seed_0_begins_with_these_numbers(void **unused)
{
    (void)unused;
    struct prng p;
    prng_init(&p, 0);
    assert_true(prng_next(&p) == 0x99ec5f36cb75f2b4);
    assert_true(prng_next(&p) == 0xbf6e1f784956452a);
    assert_true(prng_next(&p) == 0x1a5f849d4933e6e0);
}

static void numbers_stay_below_their_bound_and_reach_all(void **unused)
{
    (void)unused;
    struct prng p;
    prng_init(&p, 7);
    for (uint64_t bound = 1; bound < 40; bound++) {
        uint32_t seen[40] = {0};
        for (int i = 0; i < 4000; i++) {
            uint64_t v = prng_below(&p, bound);
            assert_true(v < bound);
            seen[v]++;
        }
        for (uint64_t v = 0; v < bound; v++)
            assert_true(seen[v] > 4000 / bound / 2);
    }
    for (int i = 0; i < 1000; i++) {
        assert_true(prng_below(&p, (1ull << 63) + 1) <= 1ull << 63);
        assert_true(prng_below(&p, UINT64_MAX) < UINT64_MAX);
    }
}

static void fractions_lie_in_0_to_1(void **unused)
{
    (void)unused;
    struct prng p;
    double sum = 0;
    prng_init(&p, 8);
    for (int i = 0; i < 100000; i++) {
        double v = prng_unit(&p);
        assert_true(v >= 0.0 && v < 1.0);
        sum += v;
    }
    assert_true(sum > 49000 && sum < 51000);
}

static void filling_writes_every_byte_and_no_other(void **unused)
{
    (void)unused;
    for (size_t bytes = 0; bytes < 40; bytes++) {
        uint8_t data[42];
        bool changed[40] = {false};
        for (uint64_t seed = 0; seed < 8; seed++) {
            struct prng p;
            prng_init(&p, seed);
            memset(data, 0xab, sizeof(data));
            prng_fill(&p, data + 1, bytes);
            assert_true(data[0] == 0xab && data[bytes + 1] == 0xab);
            for (size_t i = 0; i < bytes; i++)
                changed[i] = changed[i] || data[i + 1] != 0xab;
        }
        for (size_t i = 0; i < bytes; i++)
            assert_true(changed[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(seed_0_begins_with_these_numbers),
        cmocka_unit_test(numbers_stay_below_their_bound_and_reach_all),
        cmocka_unit_test(fractions_lie_in_0_to_1),
        cmocka_unit_test(filling_writes_every_byte_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
