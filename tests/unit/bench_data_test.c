/*
 * Keys and values of a run in one process: what is read back is told from what was never put.
 */
#include "bench/data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEYS 20000u

static int key_order(const void *a, const void *b)
{
    return memcmp(a, b, DATA_KEY_BYTES);
}

static void keys_differ(void **state)
{
    (void)state;
    uint8_t(*keys)[DATA_KEY_BYTES] = malloc(KEYS * sizeof(*keys));
    assert_non_null(keys);
    for (uint64_t i = 0; i < KEYS; i++)
        data_key(i, keys[i]);
    qsort(keys, KEYS, sizeof(*keys), key_order);
    for (uint32_t i = 1; i < KEYS; i++)
        assert_true(key_order(keys[i - 1], keys[i]) < 0);
    free(keys);
}

/* Neighbouring numbers lie scattered: about half of them stand behind the one before. */
static void keys_lie_scattered(void **state)
{
    (void)state;
    uint8_t before[DATA_KEY_BYTES], now[DATA_KEY_BYTES];
    uint32_t ascending = 0;
    data_key(0, before);
    for (uint64_t i = 1; i <= KEYS; i++) {
        data_key(i, now);
        ascending += key_order(before, now) < 0;
        memcpy(before, now, sizeof(now));
    }
    assert_in_range(ascending, KEYS * 2 / 5, KEYS * 3 / 5);
}

static void keys_are_digits(void **state)
{
    (void)state;
    uint8_t key[DATA_KEY_BYTES];
    data_key(12345, key);
    for (uint32_t i = 0; i < DATA_KEY_BYTES; i++)
        assert_non_null(memchr("0123456789abcdef", key[i], 16));
}

static void a_value_is_known_again(void **state)
{
    static const size_t sizes[] = {0, 1, 7, 8, 11, 12, 13, 100, 1024, 70000};
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct data writer, reader;
        assert_true(data_init(&writer, sizes[i]));
        assert_true(data_init(&reader, sizes[i])); /* of another process */
        uint8_t *value = malloc(sizes[i] + 1);
        assert_non_null(value);
        for (uint64_t draw = 0; draw < 50; draw++) {
            data_value(&writer, 77, draw * 0x9e3779b97f4a7c15u, value);
            assert_true(data_right(&reader, 77, value, sizes[i]));
        }
        free(value);
        data_close(&writer);
        data_close(&reader);
    }
}

static void another_value_is_not(void **state)
{
    (void)state;
    struct data d;
    uint8_t value[101];
    assert_true(data_init(&d, 100));
    data_value(&d, 77, 5, value);
    assert_false(data_right(&d, 78, value, 100));
    assert_false(data_right(&d, 77, value, 99));
    assert_false(data_right(&d, 77, value, 101));
    for (uint32_t i = 0; i < 100; i++) {
        value[i] ^= 1;
        assert_false(data_right(&d, 77, value, 100));
        value[i] ^= 1;
    }
    memset(value + 8, 0xff, 4); /* an offset that is none */
    assert_false(data_right(&d, 77, value, 100));
    data_close(&d);
}

static void values_of_one_key_differ(void **state)
{
    (void)state;
    struct data d;
    uint8_t one[100], other[100];
    assert_true(data_init(&d, 100));
    data_value(&d, 77, 5, one);
    data_value(&d, 77, 6, other);
    assert_memory_not_equal(one + DATA_HEAD_BYTES, other + DATA_HEAD_BYTES, 88);
    data_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_differ),          cmocka_unit_test(keys_lie_scattered),
        cmocka_unit_test(keys_are_digits),      cmocka_unit_test(a_value_is_known_again),
        cmocka_unit_test(another_value_is_not), cmocka_unit_test(values_of_one_key_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
