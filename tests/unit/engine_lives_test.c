/* The lives that a folder knows of: whoever has seen another one has seen what it forgot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/prng.h"
#include "engine/lives.h"

static struct lives lives_of(const uint64_t *list)
{
    struct lives l = {.count = 0};
    for (; *list; list++)
        lives_add(&l, *list);
    return l;
}
#define LIVES(...) lives_of((const uint64_t[]){__VA_ARGS__, 0})

static void a_life_that_the_folder_forgot_is_not_known(void **unused)
{
    (void)unused;
    /* It was at 20 when it was put back to 10; 30 and 40 have been seen by nobody. */
    struct lives l = LIVES(10, 30, 40);
    assert_false(lives_know(&l, 20));
    assert_false(lives_know(&l, 35));
    assert_false(lives_know(&l, 41));
    assert_true(lives_know(&l, 10));
    assert_true(lives_know(&l, 30));
    assert_true(lives_know(&l, 40));
    assert_true(lives_know(&l, 9)); /* of what came before nothing is told */
    lives_add(&l, 20);
    assert_true(lives_know(&l, 20));
}

static void who_tells_the_last_two_alone_is_asked_for_later_ones_alone(void **unused)
{
    (void)unused;
    struct lives l = LIVES(40, 30);
    assert_true(lives_know(&l, 20));
    assert_false(lives_know(&l, 35));
    struct lives none = {.count = 0};
    assert_true(lives_know(&none, 7));
}

static void the_newest_are_kept_in_any_order(void **unused)
{
    (void)unused;
    struct prng p;
    prng_init(&p, 5);
    for (int round = 0; round < 200; round++) {
        struct lives up = {.count = 0}, any = {.count = 0};
        uint64_t last = 1 + prng_below(&p, 40);
        for (uint64_t i = 1; i <= last; i++)
            lives_add(&up, i);
        for (int i = 0; i < 400; i++)
            lives_add(&any, prng_below(&p, last + 1)); /* 0 is none */
        for (uint64_t i = last; i > 0; i--)
            lives_add(&any, i);
        assert_int_equal(up.count, last < LIVES_KEPT ? last : LIVES_KEPT);
        assert_int_equal(any.count, up.count);
        for (uint32_t i = 0; i < up.count; i++) {
            assert_int_equal(up.at[i], last - i);
            assert_int_equal(any.at[i], last - i);
        }
    }
}

static void what_was_put_is_taken_and_half_a_life_is_none(void **unused)
{
    (void)unused;
    uint8_t bytes[LIVES_KEPT * LIFE_TOLD_BYTES];
    struct lives l = LIVES(UINT64_MAX, 3, 1), taken = {.count = 0};
    struct slice run = lives_put(&l, bytes);
    assert_int_equal(run.bytes, 3 * LIFE_TOLD_BYTES);
    lives_take(&taken, run);
    assert_int_equal(taken.count, 3);
    assert_true(taken.at[0] == UINT64_MAX && taken.at[1] == 3 && taken.at[2] == 1);
    taken.count = 0;
    lives_take(&taken, slice_of(bytes, 2 * LIFE_TOLD_BYTES + 3));
    assert_int_equal(taken.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_that_the_folder_forgot_is_not_known),
        cmocka_unit_test(who_tells_the_last_two_alone_is_asked_for_later_ones_alone),
        cmocka_unit_test(the_newest_are_kept_in_any_order),
        cmocka_unit_test(what_was_put_is_taken_and_half_a_life_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
