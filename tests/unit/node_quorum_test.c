/* Counting answers: every order of answers and failures for every n <= 7 and every need. */
#include "node/quorum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static uint64_t visited;

/* Whatever happens, the verdict follows from how many answered and how many still may. */
static void check(const struct quorum *q)
{
    uint32_t answered = 0, failed = 0;
    for (uint32_t i = 0; i < q->total; i++) {
        answered += q->state[i] == QUORUM_ANSWERED;
        failed += q->state[i] == QUORUM_FAILED;
    }
    bool met = answered >= q->need;
    bool hopeless = q->total - failed < q->need;
    assert_int_equal(quorum_judge(q, false), met        ? QUORUM_MET
                                             : hopeless ? QUORUM_LOST
                                                        : QUORUM_WAIT);
    bool all_known = answered + failed == q->total;
    assert_int_equal(quorum_judge(q, true), met            ? QUORUM_MET
                                            : !all_known   ? QUORUM_WAIT
                                            : answered > 0 ? QUORUM_PART
                                                           : QUORUM_LOST);
    visited++;
}

/* Asks as a read does, then lets each asked owner answer or fail, in every order. */
static void every_order(struct quorum q)
{
    int next;
    while ((next = quorum_next(&q)) >= 0) {
        assert_int_equal(q.state[next], QUORUM_UNTRIED);
        quorum_ask(&q, (uint32_t)next);
    }
    check(&q);
    uint32_t open = quorum_count(&q, QUORUM_ASKED) + quorum_count(&q, QUORUM_ANSWERED);
    assert_true(open >= q.need || quorum_count(&q, QUORUM_UNTRIED) == 0);
    if (quorum_judge(&q, true) != QUORUM_WAIT)
        return;
    for (uint32_t i = 0; i < q.total; i++) {
        if (q.state[i] != QUORUM_ASKED)
            continue;
        struct quorum answered = q, failed = q;
        quorum_answer(&answered, i);
        quorum_fail(&failed, i);
        every_order(answered);
        every_order(failed);
    }
}

static void test_reads_ask_on_until_met_or_nobody_is_left(void **state)
{
    (void)state;
    visited = 0;
    for (uint32_t n = 1; n <= 5; n++)
        for (uint32_t r = 1; r <= n; r++) {
            struct quorum q;
            quorum_init(&q, n, r);
            every_order(q);
        }
    assert_true(visited > 1000);
}

/* All owners asked at once, as a put does: every subset of answers, in ascending and descending
 * order, for every n <= 7 and w; the reply would leave exactly at the w-th answer. */
static void test_writes_are_met_at_exactly_w(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 7; n++)
        for (uint32_t w = 1; w <= n; w++)
            for (uint32_t subset = 0; subset < 1u << n; subset++)
                for (int down = 0; down < 2; down++) {
                    struct quorum q;
                    uint32_t answered = 0;
                    quorum_init(&q, n, w);
                    for (uint32_t i = 0; i < n; i++)
                        quorum_ask(&q, i);
                    for (uint32_t k = 0; k < n; k++) {
                        uint32_t i = down ? n - 1 - k : k;
                        if (subset >> i & 1)
                            quorum_answer(&q, i);
                        else
                            quorum_fail(&q, i);
                        answered += subset >> i & 1;
                        check(&q);
                        assert_int_equal(quorum_judge(&q, false) == QUORUM_MET, answered >= w);
                    }
                    assert_int_not_equal(quorum_judge(&q, false), QUORUM_WAIT);
                }
}

static void test_each_owner_counts_once(void **state)
{
    (void)state;
    struct quorum q;
    quorum_init(&q, 3, 2);
    for (uint32_t i = 0; i < 3; i++)
        quorum_ask(&q, i);
    quorum_answer(&q, 1);
    quorum_answer(&q, 1);
    assert_int_equal(quorum_judge(&q, false), QUORUM_WAIT);
    quorum_fail(&q, 1);
    assert_int_equal(quorum_count(&q, QUORUM_ANSWERED), 1);
}

static void test_a_late_answer_counts_and_a_bad_one_does_not(void **state)
{
    (void)state;
    struct quorum q;
    quorum_init(&q, 2, 2);
    quorum_ask(&q, 0);
    quorum_ask(&q, 1);
    quorum_fail(&q, 0);
    assert_int_equal(quorum_judge(&q, false), QUORUM_LOST);
    quorum_answer(&q, 0);
    quorum_answer(&q, 1);
    assert_int_equal(quorum_judge(&q, false), QUORUM_MET);
    quorum_spoil(&q, 1);
    assert_int_equal(quorum_judge(&q, false), QUORUM_LOST);
}

/* A place counts once, whoever answers for it, and as the owner's when both did. */
static void test_a_stand_in_counts_for_one_place(void **state)
{
    (void)state;
    struct quorum q;
    quorum_init(&q, 3, 3);
    for (uint32_t i = 0; i < 3; i++)
        quorum_ask(&q, i);
    quorum_answer(&q, 0);
    quorum_answer(&q, 1);
    quorum_fail(&q, 2);
    assert_int_equal(quorum_judge(&q, false), QUORUM_LOST);
    quorum_stand_in(&q, 2);
    assert_true(quorum_reachable(&q, 0));
    assert_int_equal(quorum_judge(&q, false), QUORUM_WAIT);
    quorum_stand_in_fail(&q, 2);
    assert_int_equal(quorum_judge(&q, false), QUORUM_LOST);
    quorum_stand_in(&q, 2);
    assert_int_equal(quorum_guests_asked(&q), 1);
    quorum_stand_in_answer(&q, 2);
    quorum_stand_in_fail(&q, 2); /* it has answered */
    assert_int_equal(quorum_judge(&q, false), QUORUM_MET);
    assert_int_equal(quorum_guests(&q), 1);
    assert_int_equal(quorum_count(&q, QUORUM_ANSWERED), 2);
    quorum_answer(&q, 2);
    assert_int_equal(quorum_guests(&q), 0);
    assert_int_equal(quorum_count(&q, QUORUM_ANSWERED), 3);
}

/* All lists of up to four owners, and another one with one owner more, one less, or another one:
 * every subset of answers is met exactly when each list has its need. */
static void lists_check(uint32_t old, bool goes, bool comes)
{
    uint32_t total = old + comes, in_owners = (1u << old) - 1;
    uint32_t in_beside = ((1u << total) - 1) & ~(goes ? 1u : 0), size = total - goes;
    for (uint32_t w = 1; w <= old; w++)
        for (uint32_t v = 1; v <= size; v++)
            for (uint32_t subset = 0; subset < 1u << total; subset++) {
                struct quorum q;
                quorum_init(&q, total, w);
                quorum_beside(&q, in_owners, in_beside, v);
                assert_int_equal(quorum_judge(&q, false), QUORUM_WAIT);
                for (uint32_t i = 0; i < total; i++)
                    if (subset >> i & 1)
                        quorum_answer(&q, i);
                    else
                        quorum_fail(&q, i);
                bool met = (uint32_t)__builtin_popcount(subset & in_owners) >= w &&
                           (uint32_t)__builtin_popcount(subset & in_beside) >= v;
                assert_int_equal(quorum_judge(&q, false), met ? QUORUM_MET : QUORUM_LOST);
                visited++;
            }
}

static void test_both_lists_of_a_move_need_their_quorum(void **state)
{
    (void)state;
    visited = 0;
    for (uint32_t old = 1; old <= 4; old++)
        for (int kind = 1; kind < 4; kind++)
            if (old > 1 || kind != 1) /* no list is left without an owner */
                lists_check(old, kind & 1, kind & 2);
    assert_true(visited > 500);
}

/* Whoever was asked, answered or failed is not asked as if for the first time. */
static void test_asking_again_forgets_no_answer(void **state)
{
    (void)state;
    struct quorum q;
    quorum_init(&q, 3, 3);
    quorum_ask(&q, 0);
    quorum_answer(&q, 0);
    quorum_ask(&q, 1);
    quorum_fail(&q, 1);
    for (uint32_t i = 0; i < 3; i++)
        quorum_ask(&q, i);
    assert_int_equal(q.state[0], QUORUM_ANSWERED);
    assert_int_equal(q.state[1], QUORUM_FAILED);
    assert_int_equal(q.state[2], QUORUM_ASKED);
}

/* The guest of an owner that answered after all is waited for no longer; and a place for which a
 * guest answered is one that answered, though its owner failed. */
static void test_a_place_is_settled_by_its_owner_or_by_its_guest(void **state)
{
    (void)state;
    struct quorum q;
    quorum_init(&q, 2, 2);
    for (uint32_t i = 0; i < 2; i++) {
        quorum_ask(&q, i);
        quorum_fail(&q, i);
        quorum_stand_in(&q, i);
    }
    assert_int_equal(quorum_guests_asked(&q), 2);
    quorum_answer(&q, 0);
    assert_int_equal(quorum_guests_asked(&q), 1);
    quorum_stand_in_fail(&q, 0);
    quorum_stand_in_answer(&q, 1);
    assert_int_equal(quorum_guests_asked(&q), 0);
    assert_int_equal(quorum_judge(&q, false), QUORUM_MET);
    quorum_spoil(&q, 0);
    assert_false(quorum_reachable(&q, 0));
    assert_true(quorum_reachable(&q, 1));
    assert_int_equal(quorum_judge(&q, false), QUORUM_LOST);
    assert_int_equal(quorum_judge(&q, true), QUORUM_PART);
}

static bool is_in_subset(const void *subset, uint32_t i)
{
    return *(const uint32_t *)subset >> i & 1;
}

/* Of four places every two lists, every two needs and every subset that the caller counts. */
static void test_enough_is_the_need_of_either_list(void **state)
{
    (void)state;
    for (uint32_t lists = 0; lists < 1u << 8; lists++)
        for (uint32_t needs = 0; needs < 4 * 5; needs++)
            for (uint32_t subset = 0; subset < 1u << 4; subset++) {
                uint32_t owners = lists & 15, beside = lists >> 4;
                uint32_t need = 1 + needs % 4, need_beside = needs / 4;
                struct quorum q;
                quorum_init(&q, 4, need);
                quorum_beside(&q, owners, beside, need_beside);
                bool enough = (uint32_t)__builtin_popcount(subset & owners) >= need &&
                              (uint32_t)__builtin_popcount(subset & beside) >= need_beside;
                assert_int_equal(quorum_enough(&q, is_in_subset, &subset), enough);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_ask_on_until_met_or_nobody_is_left),
        cmocka_unit_test(test_writes_are_met_at_exactly_w),
        cmocka_unit_test(test_each_owner_counts_once),
        cmocka_unit_test(test_a_late_answer_counts_and_a_bad_one_does_not),
        cmocka_unit_test(test_a_stand_in_counts_for_one_place),
        cmocka_unit_test(test_both_lists_of_a_move_need_their_quorum),
        cmocka_unit_test(test_asking_again_forgets_no_answer),
        cmocka_unit_test(test_a_place_is_settled_by_its_owner_or_by_its_guest),
        cmocka_unit_test(test_enough_is_the_need_of_either_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
