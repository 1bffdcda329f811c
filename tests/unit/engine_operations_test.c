/* The table of recent operations alone, against a plain list that is searched from end to end. */
#include "engine/operations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/base/prng.h"

#define MS(ms) ((uint64_t)(ms) << 16)

static struct operation operation_of(uint64_t number, uint64_t noted)
{
    struct operation o = {
        .key_hash = number % 7, .dot = {{1, 2}, number}, .stamp = noted + 1, .noted = noted};
    le64_put(o.op, number);
    return o;
}

static bool has(const struct operations *t, uint64_t number)
{
    struct operation o = operation_of(number, 0);
    const struct operation *found = operations_find(t, (uint32_t)(number % 3), o.key_hash, o.op);
    if (found)
        assert_int_equal(found->dot.seq, number);
    return found != NULL;
}

static void note(struct operations *t, uint64_t number, uint64_t noted)
{
    struct operation o = operation_of(number, noted);
    operations_note(t, (uint32_t)(number % 3), &o);
}

static void test_a_row_is_found_by_operation_key_and_partition(void **state)
{
    (void)state;
    struct operations t;
    operations_init(&t, OPERATIONS_BYTES_DEFAULT);
    note(&t, 5, MS(1));
    struct operation o = operation_of(5, 0);
    assert_true(has(&t, 5));
    assert_null(operations_find(&t, 1, o.key_hash, o.op)); /* another partition */
    assert_null(operations_find(&t, 2, o.key_hash + 1, o.op));
    o.op[0]++;
    assert_null(operations_find(&t, 2, o.key_hash, o.op));
    note(&t, 5, MS(9)); /* once more: the first stays */
    assert_int_equal(t.count, 1);
    assert_int_equal(operations_find(&t, 2, 5, operation_of(5, 0).op)->noted, MS(1));
    operations_close(&t);
}

static void test_rows_leave_by_age_and_the_table_reaches_ten_minutes(void **state)
{
    (void)state;
    struct operations t;
    operations_init(&t, OPERATIONS_BYTES_DEFAULT);
    for (uint64_t i = 1; i <= 100; i++)
        note(&t, i, MS(i * 1000));
    assert_int_equal(operations_length_ms(&t, MS(100000)), OPERATIONS_KEEP_MS);
    operations_age(&t, MS(OPERATIONS_KEEP_MS + 50000));
    assert_false(has(&t, 49));
    assert_true(has(&t, 50));
    operations_age(&t, MS(OPERATIONS_KEEP_MS + 50500));
    assert_false(has(&t, 50));
    assert_true(has(&t, 51));
    assert_int_equal(operations_length_ms(&t, MS(OPERATIONS_KEEP_MS + 50500)), OPERATIONS_KEEP_MS);
    operations_close(&t);
}

static void test_a_full_table_drops_the_oldest_and_says_how_far_it_reaches(void **state)
{
    (void)state;
    struct operations t;
    uint64_t limit = 16384;
    operations_init(&t, limit);
    for (uint64_t i = 1; i <= 1000; i++) {
        note(&t, i, MS(i * 1000));
        assert_true(operations_bytes(&t) <= limit + 64 * sizeof(struct operation_chain));
    }
    assert_true(has(&t, 1000));
    assert_false(has(&t, 1));
    uint64_t length_ms = operations_length_ms(&t, MS(1000000));
    assert_true(length_ms < OPERATIONS_KEEP_MS && length_ms == t.count * 1000);
    assert_true(has(&t, 1000 - t.count + 1));
    assert_false(has(&t, 1000 - t.count));
    operations_close(&t);
}

static void test_a_table_without_room_knows_nothing_and_says_so(void **state)
{
    (void)state;
    struct operations t;
    operations_init(&t, 1);
    note(&t, 1, MS(5));
    assert_false(has(&t, 1));
    assert_int_equal(operations_length_ms(&t, MS(7)), 2);
    operations_close(&t);
}

static void test_rows_of_a_partition_travel_as_bytes(void **state)
{
    (void)state;
    struct operations t;
    struct buf run;
    buf_init(&run, 1u << 20);
    operations_init(&t, OPERATIONS_BYTES_DEFAULT);
    for (uint64_t i = 1; i <= 300; i++)
        note(&t, i, MS(i));
    operations_encode(&t, 2, OPERATIONS_ALL, &run);
    assert_int_equal(operations_count(buf_slice(&run)), 100);
    assert_int_equal(operations_of_partition(&t, 2), 100);
    for (uint32_t i = 0; i < 100; i++) {
        struct operation o = operations_at(buf_slice(&run), i), as = operation_of(3 * i + 2, 0);
        assert_int_equal(o.dot.seq, as.dot.seq);
        assert_memory_equal(o.op, as.op, OP_ID_BYTES);
        assert_int_equal(o.key_hash, as.key_hash);
        assert_int_equal(o.noted, MS(3 * i + 2));
        assert_int_equal(o.stamp, MS(3 * i + 2) + 1);
        assert_int_equal(dot_compare(o.dot, as.dot), 0);
    }
    operations_close(&t);
    buf_close(&run);
}

/* What is taken down for a moment that has passed has the rows of then that are still there. */
static void test_rows_noted_later_are_left_out(void **state)
{
    (void)state;
    struct operations t;
    struct buf run;
    buf_init(&run, 1u << 20);
    operations_init(&t, 64 * 200);
    for (uint64_t i = 1; i <= 90; i++)
        note(&t, i, MS(i));
    uint64_t then = t.noted;
    uint32_t before = operations_of_partition(&t, 2);
    for (uint64_t i = 91; i <= 120; i++) {
        note(&t, i, MS(i));
        buf_clear(&run);
        operations_encode(&t, 2, then, &run);
        uint32_t count = operations_count(buf_slice(&run));
        assert_true(count <= before);
        for (uint32_t at = 0; at < count; at++)
            assert_true(operations_at(buf_slice(&run), at).noted <= MS(90));
        before = count; /* the oldest leave, none comes */
    }
    operations_encode(&t, 2, OPERATIONS_ALL, &run);
    assert_true(operations_count(buf_slice(&run)) > before);
    operations_close(&t);
    buf_close(&run);
}

/* Notes, ages, fills, sorts at random; the table is at each moment the newest rows of the list. */
static void test_the_table_is_the_newest_of_all_that_was_noted(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct operations t;
        struct prng dice;
        prng_init(&dice, seed);
        operations_init(&t, seed % 2 ? 24000 : OPERATIONS_BYTES_DEFAULT);
        uint64_t now_ms = 1, first = 1, number = 0, noted_ms[3001] = {0};
        while (number < 3000) {
            now_ms += 1 + prng_below(&dice, seed % 3 ? 900 : 20);
            noted_ms[++number] = now_ms;
            note(&t, number, MS(now_ms));
            if (prng_below(&dice, 4) == 0)
                operations_age(&t, MS(now_ms));
            if (prng_below(&dice, 50) == 0) {
                operations_sort(&t);
                assert_int_equal(t.head, 0);
            }
            while (first <= number && !has(&t, first))
                first++;
            assert_int_equal(t.count, number - first + 1);
            if (first > 1)
                assert_int_equal(t.floor, MS(noted_ms[first - 1]));
            assert_true(has(&t, first + prng_below(&dice, number - first + 1)));
            uint32_t rows = 0;
            for (uint32_t p = 0; p < 3; p++)
                rows += operations_of_partition(&t, p);
            assert_int_equal(rows, t.count);
        }
        operations_close(&t);
    }
}

static void test_rows_noted_in_no_order_are_put_in_order(void **state)
{
    (void)state;
    struct operations t;
    operations_init(&t, OPERATIONS_BYTES_DEFAULT);
    for (uint64_t i = 0; i < 200; i++)
        note(&t, i * 73 % 200 + 1, MS((i * 73 % 200 + 1) * 1000));
    operations_sort(&t);
    operations_age(&t, MS(OPERATIONS_KEEP_MS + 100500));
    for (uint64_t i = 1; i <= 200; i++)
        assert_int_equal(has(&t, i), i > 100);
    operations_close(&t);
}

/* As a start loads them: partition after partition, each run in order, more of them than there is
 * room for or not. */
static void test_loaded_rows_are_found_when_they_were_sorted(void **state)
{
    (void)state;
    for (uint64_t rows = 0; rows <= 300; rows += 1 + rows / 8) {
        struct operations t;
        operations_init(&t, rows % 2 ? 16384 : OPERATIONS_BYTES_DEFAULT);
        for (uint64_t partition = 0; partition < 3; partition++)
            for (uint64_t i = 1; i <= rows; i++) {
                struct operation o = operation_of(i, MS(i * 100));
                if (i % 3 == partition)
                    operations_load(&t, (uint32_t)partition, &o);
            }
        operations_sort(&t);
        note(&t, rows + 1, MS((rows + 1) * 100)); /* what is replayed comes behind */
        uint32_t found = 0, in_partitions = 0;
        for (uint64_t i = 1; i <= rows + 1; i++)
            found += has(&t, i);
        for (uint32_t p = 0; p < 3; p++)
            in_partitions += operations_of_partition(&t, p);
        assert_int_equal(found, t.count);
        assert_int_equal(in_partitions, t.count);
        assert_true(found == rows + 1 || (rows % 2 && t.floor > 0));
        assert_true(has(&t, rows + 1));
        for (uint32_t i = 1; i < t.count; i++)
            assert_true(t.rows[(t.head + i - 1) % t.capacity].operation.noted <=
                            t.rows[(t.head + i) % t.capacity].operation.noted ||
                        rows % 2);
        operations_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loaded_rows_are_found_when_they_were_sorted),
        cmocka_unit_test(test_a_row_is_found_by_operation_key_and_partition),
        cmocka_unit_test(test_rows_leave_by_age_and_the_table_reaches_ten_minutes),
        cmocka_unit_test(test_a_full_table_drops_the_oldest_and_says_how_far_it_reaches),
        cmocka_unit_test(test_a_table_without_room_knows_nothing_and_says_so),
        cmocka_unit_test(test_rows_of_a_partition_travel_as_bytes),
        cmocka_unit_test(test_rows_noted_later_are_left_out),
        cmocka_unit_test(test_the_table_is_the_newest_of_all_that_was_noted),
        cmocka_unit_test(test_rows_noted_in_no_order_are_put_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
