/* How long until a replica is level: what may be said of a lag that was noted each second. */
#include "node/eta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* A lag for each second; what is then said of the last. */
static uint64_t said(const uint64_t *lags, size_t count)
{
    struct eta e = {0};
    for (size_t i = 0; i < count; i++)
        eta_note(&e, 5000000 + i * ETA_EVERY_US, lags[i]);
    return eta_seconds(&e, lags[count - 1]);
}
#define SAID(...)                                                                                  \
    said((const uint64_t[]){__VA_ARGS__}, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static void a_falling_lag_has_an_end(void **state)
{
    (void)state;
    assert_int_equal(SAID(1000, 900), 9);
    assert_int_equal(SAID(1000, 900, 700, 700), 7);
    assert_int_equal(SAID(100, 1), 1);
    assert_int_equal(SAID(1000000, 999999), 999999);
}

static void a_lag_that_stands_or_grows_has_none(void **state)
{
    (void)state;
    struct eta none = {0};
    assert_int_equal(eta_seconds(&none, 7), 0);
    assert_int_equal(SAID(7), 0);
    assert_int_equal(SAID(7, 7, 7), 0);
    assert_int_equal(SAID(7, 8, 9), 0);
    assert_int_equal(SAID(9, 8, 9), 0);
    assert_int_equal(SAID(9, 0), 0);
}

/* Of a node that was away it shows in one step how much it lacks. */
static void what_was_before_the_step_does_not_count(void **state)
{
    (void)state;
    assert_int_equal(SAID(3, 2, 1, 1000, 800), 4);
    assert_int_equal(SAID(100, 50, 0, 1000, 800), 4);
}

static void writes_that_go_on_are_in_the_pace(void **state)
{
    (void)state;
    assert_int_equal(SAID(1000, 800, 900, 700, 800), 16); /* 50 a second */
}

/* What stopped falling is forgotten when the fall is too long ago. */
static void a_fall_is_forgotten(void **state)
{
    (void)state;
    struct eta e = {0};
    uint64_t now_us = 0;
    eta_note(&e, now_us, 2000);
    for (uint32_t i = 1; i < ETA_NOTES; i++) {
        eta_note(&e, now_us += ETA_EVERY_US, 1000);
        assert_int_equal(eta_seconds(&e, 1000), i);
    }
    eta_note(&e, now_us += ETA_EVERY_US, 1000);
    assert_int_equal(eta_seconds(&e, 1000), 0);
    assert_int_equal(e.count, ETA_NOTES);
}

static void notes_that_come_too_early_are_passed_over(void **state)
{
    (void)state;
    struct eta e = {0};
    eta_note(&e, 10, 1000);
    eta_note(&e, 9 + ETA_EVERY_US, 10);
    assert_int_equal(eta_seconds(&e, 10), 0);
    eta_note(&e, 10 + ETA_EVERY_US, 900);
    assert_int_equal(eta_seconds(&e, 900), 9);
    assert_int_equal(eta_seconds(&e, 450), 5); /* it has fallen since the last note */
    assert_int_equal(eta_seconds(&e, 0), 0);
}

static void nothing_overflows(void **state)
{
    (void)state;
    assert_int_equal(SAID(UINT64_MAX, UINT64_MAX - 4096), UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_falling_lag_has_an_end),
        cmocka_unit_test(a_lag_that_stands_or_grows_has_none),
        cmocka_unit_test(what_was_before_the_step_does_not_count),
        cmocka_unit_test(writes_that_go_on_are_in_the_pace),
        cmocka_unit_test(a_fall_is_forgotten),
        cmocka_unit_test(notes_that_come_too_early_are_passed_over),
        cmocka_unit_test(nothing_overflows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
