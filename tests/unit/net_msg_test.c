/* The codec: what goes in comes out, and bytes that lie are refused before they cost anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/error.h"
#include "net/frame.h"
#include "tests/lib/msg_samples.h"

static struct msg_decoder *decoder;
static struct sample_memory memory;

static int decoder_open(void **state)
{
    (void)state;
    decoder = msg_decoder_new();
    return decoder ? 0 : -1;
}

static int decoder_close(void **state)
{
    (void)state;
    msg_decoder_free(decoder);
    return 0;
}

static struct slice body_of(const struct blob *frame)
{
    return slice_of(frame->data + FRAME_HEADER_BYTES, frame->bytes - FRAME_HEADER_BYTES);
}

static void msg_release(struct msg *m)
{
    if (m->type == MSG_MAP)
        ring_unref(m->map.ring);
}

/* Decodes a copy of exactly these bytes, so that a sanitizer sees a read past them. */
static int decode(struct slice bytes, struct msg *out, uint8_t **copy)
{
    *copy = malloc(bytes.bytes + (bytes.bytes == 0));
    if (bytes.bytes > 0)
        memcpy(*copy, bytes.data, bytes.bytes);
    return msg_decode(decoder, slice_of(*copy, bytes.bytes), out);
}

static int decode_only(const void *bytes, size_t count)
{
    struct msg m;
    uint8_t *copy;
    int error = decode(slice_of(bytes, count), &m, &copy);
    if (!error)
        msg_release(&m);
    free(copy);
    return error;
}

static void assert_round_trip(enum msg_type type)
{
    struct msg m, back;
    uint8_t *copy;
    sample_msg(&memory, type, &m);
    struct blob *frame = msg_frame(&m);
    assert_non_null(frame);
    assert_int_equal(decode(body_of(frame), &back, &copy), 0);
    assert_true(same_msg(&m, &back));
    msg_release(&back);
    free(copy);
    blob_unref(frame);
    sample_release(&memory);
}

static void every_type_comes_back_as_it_went(void **state)
{
    (void)state;
    for (unsigned t = 0; t < SAMPLE_TYPES; t++)
        for (unsigned seed = 0; seed < 50; seed++) {
            prng_init(&memory.prng, seed);
            memory.extreme = false;
            assert_round_trip(sample_types[t]);
        }
}

static void every_type_comes_back_with_every_number_at_its_bound(void **state)
{
    (void)state;
    for (unsigned t = 0; t < SAMPLE_TYPES; t++) {
        prng_init(&memory.prng, t);
        memory.extreme = true;
        assert_round_trip(sample_types[t]);
    }
}

static void every_type_comes_back_empty(void **state)
{
    (void)state;
    for (unsigned t = 0; t < SAMPLE_TYPES; t++) {
        struct msg m = {.type = sample_types[t]}, back;
        struct blob *frame = msg_frame(&m);
        assert_int_equal(msg_decode(decoder, body_of(frame), &back), 0);
        assert_true(same_msg(&m, &back));
        blob_unref(frame);
    }
}

static void a_frame_of_a_large_value_is_sealed_and_whole(void **state)
{
    (void)state;
    size_t value_bytes = 3u << 20;
    uint8_t *value = malloc(value_bytes);
    memset(value, 0xa5, value_bytes);
    struct msg m = {.type = MSG_PUT, .put = {.value = {value, value_bytes}}}, back;
    struct blob *frame = msg_frame(&m), *body;
    struct frame_cutter cutter;
    const uint8_t *at = frame->data;
    size_t left = frame->bytes;
    frame_cutter_init(&cutter, frame_limit(1u << 20));
    assert_int_equal(frame_cut(&cutter, &at, &left, &body), 1);
    assert_int_equal(left, 0);
    assert_int_equal(msg_decode(decoder, slice_blob(body), &back), 0);
    assert_true(slice_equal(back.put.value, m.put.value));
    blob_unref(body);
    frame_cutter_close(&cutter);
    blob_unref(frame);
    free(value);
}

static void a_body_cut_short_anywhere_is_refused(void **state)
{
    (void)state;
    for (unsigned t = 0; t < SAMPLE_TYPES; t++) {
        struct msg m;
        prng_init(&memory.prng, t);
        memory.extreme = false;
        sample_msg(&memory, sample_types[t], &m);
        struct blob *frame = msg_frame(&m);
        struct slice body = body_of(frame);
        for (size_t cut = 0; cut < body.bytes; cut++)
            assert_int_equal(decode_only(body.data, cut), GT_EPROTO);
        blob_unref(frame);
        sample_release(&memory);
    }
}

static void bytes_after_the_body_are_refused(void **state)
{
    (void)state;
    static const uint8_t ping_and_more[] = {0x95, MSG_PING, 1, 0, 0, 0, 0xc0};
    assert_int_equal(decode_only(ping_and_more, sizeof(ping_and_more) - 1), 0);
    assert_int_equal(decode_only(ping_and_more, sizeof(ping_and_more)), GT_EPROTO);
}

static void unknown_trailing_fields_are_ignored(void **state)
{
    (void)state;
    /* HEARTBEAT_REPLY with error -3 and a lease of 7 ms, then a map, a float, a text and a list of
     * unknown meaning. */
    static const uint8_t body[] = {0x9b, MSG_HEARTBEAT_REPLY,
                                   9,    0,
                                   0,    0,
                                   0xfd, 7,
                                   0x81, 0xa1,
                                   'k',  0xca,
                                   0x3f, 0x80,
                                   0,    0,
                                   0xca, 0,
                                   0,    0,
                                   0,    0xa2,
                                   'h',  'i',
                                   0x92, 1,
                                   2};
    struct msg m;
    assert_int_equal(msg_decode(decoder, slice_of(body, sizeof(body)), &m), 0);
    assert_int_equal(m.heartbeat_reply.error, GT_ENOTFOUND);
    assert_int_equal(m.heartbeat_reply.lease_ms, 7);
}

static void unknown_trailing_fields_of_inner_lists_are_ignored(void **state)
{
    (void)state;
    /* STATE_REPLY whose head has seven fields. */
    static const uint8_t body[] = {
        0x96, MSG_STATE_REPLY, 9, 0, 0, 0, 0x97, 0xfe, 1, 2, 3, 4, 0xa1, 'x', 0xc3};
    struct msg m;
    assert_int_equal(msg_decode(decoder, slice_of(body, sizeof(body)), &m), 0);
    assert_int_equal(m.state_reply.head.error, GT_ELIMIT);
    assert_int_equal(m.state_reply.head.guests, 4);
}

static void missing_trailing_fields_are_zero(void **state)
{
    (void)state;
    for (unsigned t = 0; t < SAMPLE_TYPES; t++) {
        uint8_t body[] = {0x92, (uint8_t)sample_types[t], 42};
        struct msg m, expected = {.type = sample_types[t], .id = 42};
        assert_int_equal(msg_decode(decoder, slice_of(body, sizeof(body)), &m), 0);
        assert_true(same_msg(&expected, &m));
    }
}

static void an_unknown_type_is_named_and_not_supported(void **state)
{
    (void)state;
    static const uint8_t body[] = {0x96, 0xcd, 0x03, 0xe8, 7, 1, 2, 3, 0x90};
    struct msg m;
    assert_int_equal(msg_decode(decoder, slice_of(body, sizeof(body)), &m), GT_EUNSUPPORTED);
    assert_int_equal(m.type, 1000);
    assert_int_equal(m.id, 7);
}

static void every_reply_can_be_a_bare_refusal(void **state)
{
    (void)state;
    struct msg refusal = {.type = (enum msg_type)1001, .id = 7};
    refusal.refusal.error = GT_EUNSUPPORTED;
    struct blob *frame = msg_frame(&refusal);
    static const uint8_t expected[] = {0x96, 0xcd, 0x03, 0xe9, 7, 0, 0, 0, 0xe7};
    assert_true(slice_equal(body_of(frame), slice_of(expected, sizeof(expected))));
    blob_unref(frame);
    static const uint8_t put_reply[] = {0x96, MSG_PUT_REPLY, 7, 0, 0, 0, 0xe7};
    struct msg m;
    assert_int_equal(msg_decode(decoder, slice_of(put_reply, sizeof(put_reply)), &m), 0);
    assert_int_equal(m.put_reply.head.error, GT_EUNSUPPORTED);
}

/* Each claims far more than its few bytes can hold. Without the check of counts msgpack-c would
 * reserve gigabytes here, and the sanitizer's limit would end the test. */
static void counts_above_the_bytes_are_refused(void **state)
{
    (void)state;
    static const uint8_t claims[][12] = {
        {0xdd, 0xff, 0xff, 0xff, 0xff, 10, 1, 0, 0, 0},       /* a list of four billion */
        {0xdd, 0x10, 0x00, 0x00, 0x00, 10, 1, 0, 0, 0},       /* of 268 million */
        {0xdc, 0xff, 0xff, 10, 1, 0, 0, 0},                   /* of 65535 */
        {0x96, 13, 1, 0, 0, 0, 0xdd, 0x10, 0, 0, 0, 0},       /* inside a body */
        {0x96, 13, 1, 0, 0, 0, 0xdf, 0xff, 0xff, 0xff, 0xff}, /* pairs */
        {0x96, 10, 1, 0, 0, 0, 0xc6, 0xff, 0xff, 0xff, 0xff}, /* bytes */
        {0x96, 10, 1, 0, 0, 0, 0xdb, 0xff, 0xff, 0xff, 0xff}, /* a text */
        {0x96, 10, 1, 0, 0, 0, 0xc9, 0xff, 0xff, 0xff, 0xff}, /* an extension */
    };
    for (unsigned i = 0; i < sizeof(claims) / sizeof(claims[0]); i++)
        assert_int_equal(decode_only(claims[i], sizeof(claims[i])), GT_EPROTO);
}

static void more_objects_than_any_message_has_are_refused(void **state)
{
    (void)state;
    size_t count = 1u << 20;
    uint8_t *body = malloc(5 + count);
    memcpy(body, (uint8_t[]){0xdd, 0x00, 0x10, 0x00, 0x00}, 5);
    memset(body + 5, 0, count);
    body[5] = MSG_GET_REPLY;
    assert_int_equal(decode_only(body, 5 + count), GT_EPROTO);
    free(body);
}

static void nesting_has_a_bound(void **state)
{
    (void)state;
    for (unsigned depth = 1; depth < 100; depth++) {
        uint8_t body[128] = {0x96, MSG_PING, 1, 0, 0, 0};
        memset(body + 6, 0x91, depth - 1);
        body[6 + depth - 1] = 0x01;
        int expected = depth <= MSG_NESTING_MAX ? 0 : GT_EPROTO;
        assert_int_equal(decode_only(body, 6 + depth), expected);
    }
}

static void fields_of_the_wrong_kind_are_refused(void **state)
{
    (void)state;
    static const uint8_t bodies[][12] = {
        {0x95, 0xa1, 'x', 1, 0, 0, 0},                               /* a type that is a text */
        {0x95, 0xff, 1, 0, 0, 0},                                    /* a negative type */
        {0x95, MSG_PING, 0xa1, 'x', 0, 0, 0},                        /* an id that is a text */
        {0x95, MSG_PING, 1, 0xff, 0, 0},                             /* a negative epoch */
        {0x96, MSG_GET, 1, 0, 0, 0, 0x05},                           /* a head that is a number */
        {0x97, MSG_GET, 1, 0, 0, 0, 0x90, 0x07},                     /* a key that is a number */
        {0x96, MSG_STATE_REPLY, 1, 0, 0, 0, 0x91, 0x01},             /* an error above zero */
        {0x96, MSG_HEARTBEAT_REPLY, 1, 0, 0, 0, 0xa1, 'x'},          /* an error that is a text */
        {0x96, MSG_GET, 1, 0, 0, 0, 0x94, 0, 0, 0, 3},               /* a priority out of range */
        {0x97, MSG_FETCH, 1, 0, 0, 0, 0x90, 0xce, 0, 1, 0, 0},       /* partition 65536 */
        {0x98, MSG_SCAN_REPLY, 1, 0, 0, 0, 0x90, 0xa2, 'a', 'b', 2}, /* two entries in two bytes */
        {0x96, MSG_MAP, 1, 0, 0, 0, 0x01},                           /* a map that is a number */
    };
    static const uint8_t sizes[] = {7, 6, 7, 6, 7, 8, 8, 8, 11, 12, 11, 7};
    for (unsigned i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        assert_int_equal(decode_only(bodies[i], sizes[i]), GT_EPROTO);
}

static void a_text_too_long_for_its_place_is_refused(void **state)
{
    (void)state;
    uint8_t body[128] = {0x96, MSG_REGISTER, 1, 0, 0, 0, 0x93, 1, 1, 0xd9, UNITS_LABEL_BYTES};
    memset(body + 11, 'x', UNITS_LABEL_BYTES);
    assert_int_equal(decode_only(body, 11 + UNITS_LABEL_BYTES), GT_EPROTO);
    body[10] = UNITS_LABEL_BYTES - 1;
    assert_int_equal(decode_only(body, 11 + UNITS_LABEL_BYTES - 1), 0);
    body[20] = '\0';
    assert_int_equal(decode_only(body, 11 + UNITS_LABEL_BYTES - 1), GT_EPROTO);
}

static void a_map_that_contradicts_itself_is_refused(void **state)
{
    (void)state;
    struct msg m;
    prng_init(&memory.prng, 3);
    memory.extreme = false;
    sample_msg(&memory, MSG_MAP, &m);
    m.map.ring->arcs[0].owners[0] = 20; /* one past the last member */
    struct blob *frame = msg_frame(&m);
    assert_int_equal(decode_only(body_of(frame).data, body_of(frame).bytes), GT_EPROTO);
    blob_unref(frame);
    sample_release(&memory);
}

static void a_map_is_read_back_from_its_bytes(void **state)
{
    (void)state;
    struct msg m;
    struct ring *back = NULL;
    prng_init(&memory.prng, 4);
    memory.extreme = false;
    sample_msg(&memory, MSG_MAP, &m);
    struct blob *bytes = msg_map_bytes(m.map.ring);
    assert_int_equal(msg_map_read(slice_blob(bytes), &back), 0);
    assert_true(same_ring(m.map.ring, back));
    assert_int_equal(msg_map_read(slice_of("\x95\x04\x01\x00\x00\x00", 6), &back), GT_EPROTO);
    ring_unref(back);
    blob_unref(bytes);
    sample_release(&memory);
}

static void a_text_for_logs_fits_and_names_the_key(void **state)
{
    (void)state;
    char text[200];
    struct msg m = {.type = MSG_PUT, .id = 7, .put.key = slice_text("fruit/apple")};
    assert_non_null(strstr(msg_text(&m, text), "PUT id=7"));
    assert_non_null(strstr(text, "key=fruit/apple"));
    for (unsigned t = 0; t < SAMPLE_TYPES; t++) {
        prng_init(&memory.prng, t);
        memory.extreme = true;
        sample_msg(&memory, sample_types[t], &m);
        assert_true(strlen(msg_text(&m, text)) < sizeof(text));
        sample_release(&memory);
    }
}

/* The worked example of net/README.md: others write clients from it, so these bytes are final. */
static void the_worked_example_of_the_specification_holds(void **state)
{
    (void)state;
    static const uint8_t hello_bytes[] =
        "\x24\x00\x00\x00\x01\x00\x00\x00\x63\x19\x66\xb9\xdc\x00\x10\x02"
        "\x01\x00\x00\x00\x00\x01\x01\x01\xc4\x10\x00\x00\x00\x00\x00\x00"
        "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xa0\xa0";
    static const uint8_t put_bytes[] =
        "\x33\x00\x00\x00\x01\x00\x00\x00\x45\xd4\x9e\x98\x9b\x0a\x07\x01"
        "\x2a\x00\x97\x02\xcd\x13\x88\x00\x00\x00\x00\xc4\x10\x01\x02\x03"
        "\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\xc4\x05\x66"
        "\x72\x75\x69\x74\xc4\x00\xc4\x05\x61\x70\x70\x6c\x65\x00\x00";
    static const uint8_t reply_bytes[] =
        "\x2a\x00\x00\x00\x01\x00\x00\x00\x85\x4f\xd2\x8e\x9a\x0b\x07\x01"
        "\x2a\xcf\x01\x8b\xcf\xe5\x68\x00\x00\x01\x96\x00\x00\x00\x02\x00"
        "\xa0\xcf\x01\x8b\xcf\xe5\x68\x00\x00\x00\xc4\x03\x01\x02\x03\xa5"
        "\x6e\x6f\x64\x65\x32\x00";
    struct msg hello = {.type = MSG_HELLO,
                        .id = 1,
                        .hello = {.role = ROLE_CLIENT, .protocol_min = 1, .protocol_max = 1}};
    struct msg put = {.type = MSG_PUT,
                      .id = 7,
                      .epoch = {1, 42},
                      .put = {.head = {.flags = REQUEST_PLAIN, .deadline_ms = 5000},
                              .key = slice_text("fruit"),
                              .value = slice_text("apple")}};
    for (uint8_t i = 0; i < OP_ID_BYTES; i++)
        put.put.head.op[i] = i + 1;
    struct msg reply = {.type = MSG_PUT_REPLY,
                        .id = 7,
                        .epoch = {1, 42},
                        .stamp = 1700000000000u << 16 | 1,
                        .put_reply = {.head.owners = 2,
                                      .stamp = 1700000000000u << 16,
                                      .context = slice_of("\1\2\3", 3),
                                      .label = slice_text("node2")}};
    const struct {
        const struct msg *m;
        struct slice bytes;
    } examples[] = {{&hello, slice_of(hello_bytes, sizeof(hello_bytes) - 1)},
                    {&put, slice_of(put_bytes, sizeof(put_bytes) - 1)},
                    {&reply, slice_of(reply_bytes, sizeof(reply_bytes) - 1)}};
    for (unsigned i = 0; i < 3; i++) {
        struct blob *frame = msg_frame(examples[i].m);
        assert_true(slice_equal(slice_blob(frame), examples[i].bytes));
        blob_unref(frame);
    }
    assert_int_equal(hash_bytes(slice_text("fruit")), 0x2346387688e555fau);
    assert_int_equal(hash_partition(hash_bytes(slice_text("fruit")), 1024), 141);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_comes_back_as_it_went),
        cmocka_unit_test(every_type_comes_back_with_every_number_at_its_bound),
        cmocka_unit_test(every_type_comes_back_empty),
        cmocka_unit_test(a_frame_of_a_large_value_is_sealed_and_whole),
        cmocka_unit_test(a_body_cut_short_anywhere_is_refused),
        cmocka_unit_test(bytes_after_the_body_are_refused),
        cmocka_unit_test(unknown_trailing_fields_are_ignored),
        cmocka_unit_test(unknown_trailing_fields_of_inner_lists_are_ignored),
        cmocka_unit_test(missing_trailing_fields_are_zero),
        cmocka_unit_test(an_unknown_type_is_named_and_not_supported),
        cmocka_unit_test(every_reply_can_be_a_bare_refusal),
        cmocka_unit_test(counts_above_the_bytes_are_refused),
        cmocka_unit_test(more_objects_than_any_message_has_are_refused),
        cmocka_unit_test(nesting_has_a_bound),
        cmocka_unit_test(fields_of_the_wrong_kind_are_refused),
        cmocka_unit_test(a_text_too_long_for_its_place_is_refused),
        cmocka_unit_test(a_map_that_contradicts_itself_is_refused),
        cmocka_unit_test(a_map_is_read_back_from_its_bytes),
        cmocka_unit_test(a_text_for_logs_fits_and_names_the_key),
        cmocka_unit_test(the_worked_example_of_the_specification_holds),
    };
    return cmocka_run_group_tests(tests, decoder_open, decoder_close);
}
