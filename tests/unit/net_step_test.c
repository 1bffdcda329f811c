/* The hybrid clock, and whose word on time it takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/step.h"

#define NOW_US 1700000000000000ull
#define DAY_US 86400000000ull

static uint64_t stamp_of(uint64_t wall_us)
{
    return wall_us / 1000 << 16;
}

static void test_stamps_rise_and_follow_the_wall_clock(void **state)
{
    (void)state;
    struct hlc c = {0};
    assert_true(hlc_now(&c, NOW_US) == stamp_of(NOW_US));
    assert_true(hlc_now(&c, NOW_US) == stamp_of(NOW_US) + 1);
    assert_true(hlc_now(&c, NOW_US - DAY_US) == stamp_of(NOW_US) + 2);
    assert_true(hlc_now(&c, NOW_US + 1000) == stamp_of(NOW_US + 1000));
}

static void test_a_stamp_is_followed_up_to_a_bound(void **state)
{
    (void)state;
    struct hlc c = {0};
    uint64_t bound = stamp_of(NOW_US + CLOCK_AHEAD_MAX_MS * 1000ull);
    assert_false(hlc_observe(&c, bound + 1, NOW_US));
    assert_false(hlc_observe(&c, UINT64_MAX, NOW_US));
    assert_true(hlc_now(&c, NOW_US) == stamp_of(NOW_US));
    assert_true(hlc_observe(&c, bound, NOW_US));
    assert_true(hlc_now(&c, NOW_US) == bound + 1);
}

/* Each step within the bound, all of them far beyond it. */
static void test_small_steps_of_others_lead_no_further(void **state)
{
    (void)state;
    struct hlc c = {0};
    uint64_t bound = stamp_of(NOW_US + CLOCK_AHEAD_MAX_MS * 1000ull);
    for (int i = 0; i < 100; i++)
        hlc_observe(&c, hlc_now(&c, NOW_US) + (30000ull << 16), NOW_US);
    assert_true(c.last <= bound + 200);
}

static void test_what_was_stored_is_own_time_wherever_the_wall_clock_stands(void **state)
{
    (void)state;
    struct hlc c;
    uint64_t stored = stamp_of(NOW_US);
    hlc_init(&c, stored);
    assert_true(hlc_now(&c, NOW_US - DAY_US) == stored + 1);
    assert_true(hlc_observe(&c, stored + 1000, NOW_US - DAY_US));
    assert_true(hlc_now(&c, NOW_US - DAY_US) == stored + 1001);
    assert_false(hlc_observe(&c, stored + (1ull << 40), NOW_US - DAY_US));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stamps_rise_and_follow_the_wall_clock),
        cmocka_unit_test(test_a_stamp_is_followed_up_to_a_bound),
        cmocka_unit_test(test_small_steps_of_others_lead_no_further),
        cmocka_unit_test(test_what_was_stored_is_own_time_wherever_the_wall_clock_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
