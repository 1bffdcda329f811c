/* CRC32C and the hash of keys: numbers that are part of the formats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/crc.h"
#include "engine/base/hash.h"
#include "engine/base/prng.h"

/* From the definition, bit by bit. */
static uint32_t crc_slow(const uint8_t *data, size_t bytes)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

static void known_vectors(void **unused)
{
    (void)unused;
    uint8_t block[32];
    assert_int_equal(crc_update(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc_update(0, NULL, 0), 0);
    memset(block, 0, sizeof(block)); /* RFC 3720, B.4 */
    assert_int_equal(crc_update(0, block, sizeof(block)), 0x8a9136aa);
    memset(block, 0xff, sizeof(block));
    assert_int_equal(crc_update(0, block, sizeof(block)), 0x62a8ab43);
}

static void the_same_as_by_definition_at_every_length_and_alignment(void **unused)
{
    (void)unused;
    uint8_t data[600];
    struct prng p;
    prng_init(&p, 3);
    prng_fill(&p, data, sizeof(data));
    for (size_t bytes = 0; bytes < 560; bytes++)
        for (size_t at = 0; at < 9; at += 4)
            assert_int_equal(crc_update(0, data + at, bytes), crc_slow(data + at, bytes));
}

static void chunks_give_the_whole(void **unused)
{
    (void)unused;
    uint8_t data[4096];
    struct prng p;
    prng_init(&p, 4);
    prng_fill(&p, data, sizeof(data));
    uint32_t whole = crc_update(0, data, sizeof(data));
    for (int round = 0; round < 1000; round++) {
        uint32_t crc = 0;
        for (size_t at = 0; at < sizeof(data);) {
            size_t part = prng_below(&p, 600);
            if (part > sizeof(data) - at)
                part = sizeof(data) - at;
            crc = crc_update(crc, data + at, part);
            at += part;
        }
        assert_int_equal(crc, whole);
    }
}

static void the_hash_of_a_key_is_xxh64(void **unused)
{
    (void)unused;
    assert_true(hash_bytes(slice_text("")) == 0xef46db3751d8e999);
    assert_true(hash_bytes(slice_text("abc")) == 0x44bc2cf5ad770999);
}

static void partitions_are_equal_arcs_in_order(void **unused)
{
    (void)unused;
    assert_int_equal(hash_partition(0, 1024), 0);
    assert_int_equal(hash_partition(UINT64_MAX, 1024), 1023);
    assert_int_equal(hash_partition((1ull << 54) - 1, 1024), 0);
    assert_int_equal(hash_partition(1ull << 54, 1024), 1);
    assert_int_equal(hash_partition(UINT64_MAX, 1), 0);
    assert_int_equal(hash_partition(UINT64_MAX / 3 * 2, 3), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_vectors),
        cmocka_unit_test(the_same_as_by_definition_at_every_length_and_alignment),
        cmocka_unit_test(chunks_give_the_whole),
        cmocka_unit_test(the_hash_of_a_key_is_xxh64),
        cmocka_unit_test(partitions_are_equal_arcs_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
