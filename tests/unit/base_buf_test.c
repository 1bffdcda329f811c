/* Bytes out and in: buffers, readers, varints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/base/prng.h"

static const uint64_t edges[] = {
    0,          1,          0x7f,
    0x80,       0x3fff,     0x4000,
    0xffffffff, 1ull << 35, (1ull << 56) - 1,
    1ull << 56, 1ull << 63, UINT64_MAX,
};

static void integers_come_back_in_little_endian(void **unused)
{
    (void)unused;
    struct buf b;
    buf_init(&b, 100);
    buf_u8(&b, 0x01);
    buf_u16(&b, 0x0203);
    buf_u32(&b, 0x04050607);
    buf_u64(&b, 0x08090a0b0c0d0e0f);
    static const uint8_t wanted[] = {1, 3, 2, 7, 6, 5, 4, 15, 14, 13, 12, 11, 10, 9, 8};
    assert_int_equal(b.bytes, sizeof(wanted));
    assert_memory_equal(b.data, wanted, sizeof(wanted));
    struct reader r = reader_of(buf_slice(&b));
    assert_int_equal(read_u8(&r), 0x01);
    assert_int_equal(read_u16(&r), 0x0203);
    assert_int_equal(read_u32(&r), 0x04050607);
    assert_true(read_u64(&r) == 0x08090a0b0c0d0e0f);
    assert_false(r.failed);
    assert_int_equal(reader_left(&r), 0);
    buf_close(&b);
}

static void integers_in_memory_come_back(void **unused)
{
    (void)unused;
    uint8_t raw[8];
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        uint64_t v = edges[i];
        le16_put(raw, (uint16_t)v);
        assert_int_equal(le16_get(raw), (uint16_t)v);
        le32_put(raw, (uint32_t)v);
        assert_int_equal(le32_get(raw), (uint32_t)v);
        le64_put(raw, v);
        assert_true(le64_get(raw) == v);
        be16_put(raw, (uint16_t)v);
        assert_int_equal(be16_get(raw), (uint16_t)v);
        be64_put(raw, v);
        assert_true(be64_get(raw) == v);
    }
}

/* Index keys sort as bytes and must sort as numbers. */
static void big_endian_orders_bytes_as_numbers(void **unused)
{
    (void)unused;
    struct prng p;
    prng_init(&p, 1);
    for (int i = 0; i < 10000; i++) {
        uint64_t a = prng_next(&p) >> prng_below(&p, 64), b = prng_next(&p) >> prng_below(&p, 64);
        uint8_t x[8], y[8];
        be64_put(x, a);
        be64_put(y, b);
        assert_true((memcmp(x, y, 8) < 0) == (a < b));
    }
}

static void a_varint_comes_back_from_its_shortest_form(void **unused)
{
    (void)unused;
    struct buf b;
    struct prng p;
    buf_init(&b, 100);
    prng_init(&p, 2);
    for (size_t i = 0; i < 10000; i++) {
        size_t count = sizeof(edges) / sizeof(edges[0]);
        uint64_t v = i < count ? edges[i] : prng_next(&p) >> prng_below(&p, 64);
        buf_clear(&b);
        buf_varint(&b, v);
        size_t bits = v ? 64 - (size_t)__builtin_clzll(v) : 1;
        assert_int_equal(b.bytes, (bits + 6) / 7);
        struct reader r = reader_of(buf_slice(&b));
        assert_true(read_varint(&r) == v);
        assert_false(r.failed);
        assert_int_equal(reader_left(&r), 0);
        for (size_t cut = 0; cut < b.bytes; cut++) {
            r = reader_of(slice_of(b.data, cut));
            assert_true(read_varint(&r) == 0 && r.failed);
        }
    }
    buf_close(&b);
}

static void a_varint_in_any_other_form_is_refused(void **unused)
{
    (void)unused;
    static const struct {
        uint8_t data[11];
        size_t bytes;
    } bad[] = {
        {{0x80, 0x00}, 2},
        {{0xff, 0x80, 0x00}, 3},
        {{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}, 10},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, 10},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0x00}, 11},
        {{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, 11},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct reader r = reader_of(slice_of(bad[i].data, bad[i].bytes));
        assert_true(read_varint(&r) == 0);
        assert_true(r.failed);
    }
}

/* One check at the end is enough: after a failure nothing succeeds. */
static void a_reader_that_failed_yields_zero_for_ever(void **unused)
{
    (void)unused;
    static const uint8_t data[] = {1, 2, 3};
    struct reader r = reader_of(slice_of(data, sizeof(data)));
    assert_int_equal(read_u32(&r), 0);
    assert_true(r.failed);
    assert_int_equal(reader_left(&r), 0);
    assert_int_equal(read_u8(&r), 0);
    assert_int_equal(read_u16(&r), 0);
    assert_int_equal(read_u64(&r), 0);
    assert_int_equal(read_varint(&r), 0);
    assert_int_equal(read_raw(&r, 0).bytes, 0);
    assert_int_equal(read_bytes(&r).bytes, 0);
    assert_true(r.failed);

    r = reader_of(slice_of(NULL, 0));
    assert_int_equal(read_raw(&r, 0).bytes, 0);
    assert_false(r.failed);
    assert_int_equal(read_u8(&r), 0);
    assert_true(r.failed);
}

static void a_length_past_the_end_is_refused(void **unused)
{
    (void)unused;
    struct buf b;
    buf_init(&b, 100);
    buf_bytes(&b, slice_text("hello"));
    buf_bytes(&b, slice_text(""));
    struct reader r = reader_of(buf_slice(&b));
    assert_true(slice_equal(read_bytes(&r), slice_text("hello")));
    assert_int_equal(read_bytes(&r).bytes, 0);
    assert_false(r.failed);

    buf_clear(&b);
    buf_varint(&b, UINT64_MAX);
    buf_put(&b, "hello", 5);
    r = reader_of(buf_slice(&b));
    assert_int_equal(read_bytes(&r).bytes, 0);
    assert_true(r.failed);
    buf_close(&b);
}

static void a_buffer_grows_to_its_bound_and_no_further(void **unused)
{
    (void)unused;
    for (size_t bound = 0; bound < 300; bound += 7) {
        struct buf b;
        buf_init(&b, bound);
        for (size_t i = 0; i < bound; i++)
            buf_u8(&b, (uint8_t)i);
        assert_false(b.failed);
        assert_int_equal(b.bytes, bound);
        buf_u8(&b, 0);
        assert_true(b.failed);
        assert_int_equal(b.bytes, bound);
        assert_true(b.capacity <= bound);
        for (size_t i = 0; i < bound; i++)
            assert_int_equal(b.data[i], (uint8_t)i);
        assert_null(buf_blob(&b));
        buf_clear(&b);
        assert_int_equal(buf_reserve(&b, bound), 0);
        assert_int_equal(buf_reserve(&b, SIZE_MAX), GT_ELIMIT);
        buf_close(&b);
    }
}

/* Many fields are written and the failure is checked once, so a later, smaller one must not fit. */
static void a_failed_buffer_takes_nothing_more(void **unused)
{
    (void)unused;
    struct buf b;
    buf_init(&b, 10);
    buf_zero(&b, 11);
    buf_u8(&b, 1);
    assert_true(b.failed);
    assert_int_equal(b.bytes, 0);
    buf_clear(&b);
    buf_u8(&b, 1);
    assert_false(b.failed);
    assert_int_equal(b.bytes, 1);
    buf_close(&b);
}

static void printed_text_and_blobs_are_the_content(void **unused)
{
    (void)unused;
    struct buf b;
    buf_init(&b, 4096);
    buf_printf(&b, "%s=%d", "n", 7);
    assert_true(slice_equal(buf_slice(&b), slice_text("n=7")));
    struct blob *blob = buf_blob(&b);
    assert_true(slice_equal(slice_blob(blob), slice_text("n=7")));
    blob_unref(blob);
    buf_printf(&b, "%2000d", 1); /* over what one call can print: marked, not cut */
    assert_true(b.failed);
    assert_int_equal(b.bytes, 3);
    buf_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_come_back_in_little_endian),
        cmocka_unit_test(integers_in_memory_come_back),
        cmocka_unit_test(big_endian_orders_bytes_as_numbers),
        cmocka_unit_test(a_varint_comes_back_from_its_shortest_form),
        cmocka_unit_test(a_varint_in_any_other_form_is_refused),
        cmocka_unit_test(a_reader_that_failed_yields_zero_for_ever),
        cmocka_unit_test(a_length_past_the_end_is_refused),
        cmocka_unit_test(a_buffer_grows_to_its_bound_and_no_further),
        cmocka_unit_test(a_failed_buffer_takes_nothing_more),
        cmocka_unit_test(printed_text_and_blobs_are_the_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
