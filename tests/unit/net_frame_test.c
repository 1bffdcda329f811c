/* Frames are cut from a stream however it arrives, and a bad one ends it before it costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/crc.h"
#include "engine/base/error.h"
#include "engine/base/prng.h"
#include "net/frame.h"

#define LIMIT 5000u

/* A sealed frame with a body of `bytes` bytes that depend on the seed. */
static struct blob *frame_make(size_t bytes, uint64_t seed)
{
    struct blob *frame = blob_new(FRAME_HEADER_BYTES + bytes);
    struct prng prng;
    prng_init(&prng, seed);
    prng_fill(&prng, frame->data + FRAME_HEADER_BYTES, bytes);
    frame_seal(frame->data, bytes);
    return frame;
}

static void assert_body_is(struct blob *body, const struct blob *frame)
{
    assert_true(slice_equal(slice_blob(body), slice_of(frame->data + FRAME_HEADER_BYTES,
                                                       frame->bytes - FRAME_HEADER_BYTES)));
}

static void a_frame_cut_at_any_byte_comes_whole(void **state)
{
    (void)state;
    struct blob *frame = frame_make(40, 1);
    for (size_t cut = 0; cut <= frame->bytes; cut++) {
        struct frame_cutter c;
        struct blob *body = NULL;
        const uint8_t *at = frame->data;
        size_t left = cut;
        frame_cutter_init(&c, LIMIT);
        int first = frame_cut(&c, &at, &left, &body);
        assert_int_equal(left, 0);
        assert_int_equal(first, cut == frame->bytes);
        if (first == 0) {
            left = frame->bytes - cut;
            assert_int_equal(frame_cut(&c, &at, &left, &body), 1);
        }
        assert_body_is(body, frame);
        blob_unref(body);
        assert_int_equal(frame_cut(&c, &at, &left, &body), 0);
        frame_cutter_close(&c);
    }
    blob_unref(frame);
}

static void a_stream_in_random_chunks_gives_all_frames_in_order(void **state)
{
    (void)state;
    enum { FRAMES = 60 };
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct prng prng;
        struct buf stream;
        struct blob *frames[FRAMES];
        struct frame_cutter c;
        unsigned seen = 0;
        prng_init(&prng, seed);
        buf_init(&stream, 1u << 20);
        for (unsigned i = 0; i < FRAMES; i++) {
            frames[i] = frame_make(1 + prng_below(&prng, i % 5 == 0 ? LIMIT : 50), seed * 100 + i);
            buf_put(&stream, frames[i]->data, frames[i]->bytes);
        }
        frame_cutter_init(&c, LIMIT);
        for (size_t from = 0; from < stream.bytes;) {
            size_t chunk = 1 + prng_below(&prng, seed % 2 ? 20 : 9000);
            chunk = chunk < stream.bytes - from ? chunk : stream.bytes - from;
            const uint8_t *at = stream.data + from;
            size_t left = chunk;
            struct blob *body;
            while (frame_cut(&c, &at, &left, &body) == 1) {
                assert_true(seen < FRAMES);
                assert_body_is(body, frames[seen++]);
                blob_unref(body);
            }
            assert_int_equal(c.error, 0);
            from += chunk;
        }
        assert_int_equal(seen, FRAMES);
        for (unsigned i = 0; i < FRAMES; i++)
            blob_unref(frames[i]);
        frame_cutter_close(&c);
        buf_close(&stream);
    }
}

/* Cuts the frame's first `bytes` bytes and returns what the cutter says, twice. */
static int cut_error(const struct blob *frame, size_t bytes)
{
    struct frame_cutter c;
    struct blob *body = NULL;
    const uint8_t *at = frame->data;
    size_t left = bytes;
    frame_cutter_init(&c, LIMIT);
    int error = frame_cut(&c, &at, &left, &body);
    assert_null(body);
    assert_null(c.body);
    left = 0;
    assert_int_equal(frame_cut(&c, &at, &left, &body), error);
    frame_cutter_close(&c);
    return error;
}

static void assert_header_refused(size_t at, uint8_t byte, int error)
{
    struct blob *frame = frame_make(40, 2);
    frame->data[at] = byte;
    /* Make the checksum right, so that nothing but the header is wrong. */
    uint32_t crc = crc_update(0, frame->data, 8);
    le32_put(frame->data + 8, crc_update(crc, frame->data + FRAME_HEADER_BYTES, 40));
    assert_int_equal(cut_error(frame, FRAME_HEADER_BYTES), error); /* without its body */
    blob_unref(frame);
}

static void a_bad_header_is_refused_before_its_body(void **state)
{
    (void)state;
    assert_header_refused(3, 0x40, GT_EPROTO); /* a gigabyte */
    assert_header_refused(0, 0, GT_EPROTO);    /* no body */
    assert_header_refused(4, 0, GT_EPROTO);
    assert_header_refused(4, FRAME_VERSION + 1, GT_EFORMAT);
    assert_header_refused(5, 1, GT_EPROTO);
    assert_header_refused(6, 1, GT_EPROTO);
    assert_header_refused(7, 1, GT_EPROTO);
}

static void the_limit_itself_is_allowed(void **state)
{
    (void)state;
    for (unsigned over = 0; over < 2; over++) {
        struct blob *frame = frame_make(LIMIT + over, 3), *body = NULL;
        struct frame_cutter c;
        const uint8_t *at = frame->data;
        size_t left = frame->bytes;
        frame_cutter_init(&c, LIMIT);
        assert_int_equal(frame_cut(&c, &at, &left, &body), over ? GT_EPROTO : 1);
        blob_unref(body);
        frame_cutter_close(&c);
        blob_unref(frame);
    }
}

static void any_flipped_bit_is_noticed(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 8 * (FRAME_HEADER_BYTES + 20); bit++) {
        struct blob *frame = frame_make(20, 4), *body = NULL;
        struct frame_cutter c;
        frame->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        const uint8_t *at = frame->data;
        size_t left = frame->bytes;
        frame_cutter_init(&c, LIMIT);
        /* A longer length only makes the cutter wait for more. */
        assert_int_not_equal(frame_cut(&c, &at, &left, &body), 1);
        frame_cutter_close(&c);
        blob_unref(frame);
    }
}

static void the_limit_of_a_body_follows_the_value_limit(void **state)
{
    (void)state;
    assert_int_equal(frame_limit(1u << 20), 5u << 20);
    assert_true(frame_limit(UINT64_MAX / 4) <= BLOB_BYTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_cut_at_any_byte_comes_whole),
        cmocka_unit_test(a_stream_in_random_chunks_gives_all_frames_in_order),
        cmocka_unit_test(a_bad_header_is_refused_before_its_body),
        cmocka_unit_test(the_limit_itself_is_allowed),
        cmocka_unit_test(any_flipped_bit_is_noticed),
        cmocka_unit_test(the_limit_of_a_body_follows_the_value_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
