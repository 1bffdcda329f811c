/* The rate of moves follows what clients wait for. */
#include "node/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* So many half seconds of requests that take so long; with moves or without. */
static void live(struct pace *p, uint64_t *now_us, uint32_t halves, uint32_t waited_us, bool moves)
{
    for (uint32_t i = 0; i < halves; i++)
        for (uint32_t k = 0; k < 100; k++) {
            *now_us += 5000;
            pace_note(p, *now_us, waited_us);
            if (moves)
                pace_take(p, *now_us, 1000);
        }
}

static void test_it_slows_down_while_clients_wait_longer_and_recovers(void **state)
{
    (void)state;
    struct pace p;
    uint64_t now_us = 1000000;
    pace_init(&p, PACE_BYTES_PER_S);
    live(&p, &now_us, 10, 1000, false);
    assert_int_equal(p.rate, PACE_BYTES_PER_S);
    live(&p, &now_us, 6, 1500, true); /* not twice as long */
    assert_int_equal(p.rate, PACE_BYTES_PER_S);
    live(&p, &now_us, 3, 9000, true);
    assert_true(p.rate <= PACE_BYTES_PER_S / 4);
    live(&p, &now_us, 20, 9000, true);
    assert_int_equal(p.rate, PACE_BYTES_PER_S_MIN);
    live(&p, &now_us, 30, 1000, true);
    assert_int_equal(p.rate, PACE_BYTES_PER_S);
}

/* What is slow while nothing moves is usual. */
static void test_slow_by_itself_is_no_reason(void **state)
{
    (void)state;
    struct pace p;
    uint64_t now_us = 1000000;
    pace_init(&p, PACE_BYTES_PER_S);
    live(&p, &now_us, 20, 50000, false);
    live(&p, &now_us, 10, 60000, true);
    assert_int_equal(p.rate, PACE_BYTES_PER_S);
}

static void test_bytes_take_their_time(void **state)
{
    (void)state;
    struct pace p;
    pace_init(&p, 1u << 20);
    pace_take(&p, 1000000, 1u << 19);
    assert_int_equal(p.free_us, 1500000);
    pace_take(&p, 1200000, 1u << 19);
    assert_int_equal(p.free_us, 2000000);
    pace_take(&p, 9000000, 0);
    assert_int_equal(p.free_us, 9000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_slows_down_while_clients_wait_longer_and_recovers),
        cmocka_unit_test(test_slow_by_itself_is_no_reason),
        cmocka_unit_test(test_bytes_take_their_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
