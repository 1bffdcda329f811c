/* Records: the bytes of a key's state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/crc.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/prng.h"
#include "engine/record.h"

#define PARTITION     513
#define RANDOM_STATES 20000

static const struct slice key = {(const uint8_t *)"a key", 5};

/* A real node's numbers: random ids, an incarnation with the time in its high bits. */
static const struct actor A = {0x9f3c55aa01020304, (1800000000ull << 24) + 77},
                          B = {0xa000000000000000, (1800000001ull << 24) + 5},
                          C = {0xa000000000000000, (1800000002ull << 24) + 6};

static struct sibling write_of(struct actor actor, uint64_t seq, struct slice value)
{
    return (struct sibling){
        .dot = {actor, seq},
        .stamp = 1800000000000ull << 16,
        .op = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, (uint8_t)seq},
        .value = value,
    };
}

static void add(struct state *s, struct sibling sibling)
{
    assert_int_equal(state_add(s, &sibling), 0);
}

static struct blob *encode(const struct state *s)
{
    struct blob *blob;
    assert_int_equal(record_encode_blob(s, PARTITION, key, &blob), 0);
    return blob;
}

static void assert_decodes_to(struct slice bytes, const struct state *wanted)
{
    struct state s = {0};
    assert_int_equal(record_decode(bytes, PARTITION, key, &s), 0);
    assert_true(state_equal(&s, wanted));
    state_close(&s);
}

/* One of everything that the format knows. */
static void state_full(struct state *s)
{
    struct sibling gone = write_of(B, 4, slice_of(NULL, 0));
    gone.flags = SIBLING_TOMBSTONE;
    struct sibling expires = write_of(B, 300, slice_text("expires"));
    expires.flags = SIBLING_EXPIRES;
    expires.expires_at_ms = 1800000000000;
    expires.expiry_dot = (struct dot){{1, 2}, 3}; /* an actor that nothing else names */
    add(s, write_of(A, 9, slice_text("value")));
    add(s, gone);
    add(s, expires);
    add(s, write_of(C, 1, slice_text("")));
    assert_int_equal(history_raise(&s->history, A, 10), 0);
    assert_int_equal(history_raise(&s->history, B, 2), 0);
    assert_int_equal(history_add(&s->history, (struct dot){A, 20}), 0);
    assert_int_equal(history_add(&s->history, (struct dot){C, 3}), 0);
    s->siblings[1].flags |= SIBLING_RETRIED;
    s->siblings[2].flags |= SIBLING_AGAIN;
    assert_int_equal(history_name(&s->history, (uint8_t[OP_ID_BYTES]){9, 9}, 7, 70), 0);
    assert_int_equal(history_name(&s->history, (uint8_t[OP_ID_BYTES]){9, 8}, 5, 0), 0);
}

/* Random states in normal form; values borrow from `bytes`. */
static void state_random(struct prng *p, struct state *s, uint32_t actors)
{
    static const char bytes[200] = "values borrow from here";
    state_clear(s);
    for (uint64_t i = prng_below(p, 2 * actors); i > 0; i--) {
        struct actor actor = {1 + prng_below(p, actors), 5 + prng_below(p, 2)};
        assert_int_equal(history_raise(&s->history, actor, 1 + prng_below(p, 300)), 0);
    }
    for (uint64_t i = prng_below(p, 3 * actors); i > 0; i--) {
        struct actor actor = {1 + prng_below(p, actors), 5 + prng_below(p, 2)};
        struct dot d = {actor, 1 + prng_below(p, 400)};
        assert_int_equal(history_add(&s->history, d), 0);
    }
    for (uint64_t i = prng_below(p, 6); i > 0; i--) {
        struct actor actor = {1 + prng_below(p, actors), 5 + prng_below(p, 2)};
        struct sibling sibling =
            write_of(actor, 1 + prng_below(p, 400), slice_of(bytes, prng_below(p, sizeof(bytes))));
        sibling.stamp = prng_next(p);
        if (prng_below(p, 4) == 0) {
            sibling.flags |= SIBLING_TOMBSTONE;
            sibling.value = slice_of(NULL, 0);
        }
        if (prng_below(p, 8) == 0) {
            sibling.flags |= SIBLING_EXPIRES;
            sibling.expires_at_ms = prng_next(p);
            sibling.expiry_dot = (struct dot){{prng_below(p, 9), 8}, 1 + prng_below(p, 400)};
        }
        if (prng_below(p, 4) == 0)
            sibling.flags |= SIBLING_RETRIED;
        if (prng_below(p, 8) == 0)
            sibling.flags |= SIBLING_AGAIN;
        add(s, sibling);
    }
    uint64_t names = prng_below(p, 8) / 6 * prng_below(p, 40);
    for (uint64_t i = history_empty(&s->history) ? 0 : names; i > 0; i--) {
        uint8_t op[OP_ID_BYTES] = {255, (uint8_t)prng_next(p), (uint8_t)i};
        uint64_t stamp = prng_below(p, 1ull << 40),
                 superseded = names % 2 ? prng_below(p, 1ull << 40) : 0;
        assert_int_equal(history_name(&s->history, op, stamp, superseded), 0);
    }
}

/* Makes the checksum good again after the bytes were changed. */
static void reseal(uint8_t *data, size_t bytes)
{
    uint8_t partition[2];
    le16_put(partition, PARTITION);
    uint32_t crc = crc_update(0, partition, sizeof(partition));
    crc = crc_update(crc, key.data, key.bytes);
    le32_put(data, crc_update(crc, data + 4, bytes - 4));
}

/* ---- there and back -------------------------------------------------------------------------- */

static void a_state_comes_back_as_it_went(void **unused)
{
    (void)unused;
    struct state s = {0};
    state_full(&s);
    struct blob *blob = encode(&s);
    assert_decodes_to(slice_blob(blob), &s);
    assert_int_equal(record_verify(slice_blob(blob), PARTITION, key), 0);
    assert_true(record_digest(slice_blob(blob)) == hash_bytes(slice_blob(blob)));
    blob_unref(blob);
    state_close(&s);
}

static void the_absent_state_is_no_bytes(void **unused)
{
    (void)unused;
    struct state absent = {0}, s = {0};
    struct blob *blob = encode(&absent);
    assert_int_equal(blob->bytes, 0);
    blob_unref(blob);
    add(&s, write_of(A, 1, slice_text("left from before")));
    s.unknown = true;
    assert_int_equal(record_decode(slice_of(NULL, 0), PARTITION, key, &s), 0);
    assert_true(state_absent(&s));
    assert_int_equal(record_verify(slice_of(NULL, 0), PARTITION, key), 0);
    state_close(&s);
}

/* A history without siblings is a state too: everything written was superseded elsewhere. */
static void a_history_alone_comes_back(void **unused)
{
    (void)unused;
    struct state s = {0};
    assert_int_equal(history_add(&s.history, (struct dot){A, 2}), 0);
    struct blob *blob = encode(&s);
    assert_decodes_to(slice_blob(blob), &s);
    blob_unref(blob);
    state_close(&s);
}

static void random_states_come_back_and_blob_and_buffer_agree(void **unused)
{
    (void)unused;
    struct prng p;
    struct state s = {0}, back = {0};
    struct buf buf;
    prng_init(&p, 11);
    buf_init(&buf, 1u << 20);
    for (uint32_t i = 0; i < RANDOM_STATES; i++) {
        state_random(&p, &s, i % 100 == 0 ? 60 : 4);
        struct blob *blob = encode(&s);
        buf_clear(&buf);
        buf_u8(&buf, 0xee); /* a record is appended to what is there */
        assert_int_equal(record_encode(&s, PARTITION, key, &buf), 0);
        assert_true(slice_equal(slice_of(buf.data + 1, buf.bytes - 1), slice_blob(blob)));
        assert_int_equal(record_decode(slice_blob(blob), PARTITION, key, &back), 0);
        assert_true(state_equal(&s, &back));
        blob_unref(blob);
    }
    buf_close(&buf);
    state_close(&s);
    state_close(&back);
}

/* Equal states, reached by different ways, are equal bytes. */
static void equal_states_are_equal_bytes(void **unused)
{
    (void)unused;
    struct prng p;
    struct state a = {0}, b = {0}, ab = {0}, ba = {0};
    prng_init(&p, 12);
    for (uint32_t i = 0; i < RANDOM_STATES; i++) {
        state_random(&p, &a, 3);
        state_random(&p, &b, 3);
        for (uint32_t j = 0; j < b.sibling_count; j++) { /* one dot is one write */
            const struct sibling *same = state_find(&a, b.siblings[j].dot);
            if (same)
                b.siblings[j] = *same;
        }
        assert_int_equal(version_merge(&a, NULL, &b, NULL, &ab), 0);
        assert_int_equal(version_merge(&b, NULL, &a, NULL, &ba), 0);
        struct blob *one = encode(&ab), *two = encode(&ba);
        assert_true(slice_equal(slice_blob(one), slice_blob(two)));
        blob_unref(one);
        blob_unref(two);
    }
    state_close(&a);
    state_close(&b);
    state_close(&ab);
    state_close(&ba);
}

static void a_plain_100_byte_value_costs_at_most_64_bytes(void **unused)
{
    (void)unused;
    struct state absent = {0}, s = {0};
    struct history returned = {0};
    static const uint8_t value[100];
    struct sibling sibling = write_of(A, 2000000, slice_of(value, sizeof(value)));
    uint32_t count;
    assert_int_equal(
        version_put(&absent, NULL, true, &sibling, &s, &(struct dot){0}, &count, &returned), 0);
    struct blob *blob = encode(&s);
    print_message("overhead: %zu bytes\n", blob->bytes - sizeof(value));
    assert_true(blob->bytes - sizeof(value) <= 64);
    blob_unref(blob);
    state_close(&s);
    history_close(&returned);
}

/* The layout is final: these bytes were written by the first version and mean this for ever. */
static void the_bytes_of_format_1_are_these(void **unused)
{
    (void)unused;
    struct state s = {0};
    struct sibling sibling = {
        .dot = {{0x0102, 0x0304}, 5},
        .stamp = 0x0607,
        .op = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
        .value = slice_text("hi"),
    };
    add(&s, sibling);
    assert_int_equal(history_raise(&s.history, sibling.dot.actor, 4), 0);
    assert_int_equal(history_add(&s.history, (struct dot){sibling.dot.actor, 200}), 0);
    static const uint8_t wanted[] = {
        1,                                                             /* format */
        1, 2,   1,    0, 0, 0, 0, 0, 0, 4,  3,  0,  0,  0,  0,  0,  0, /* one actor */
        1, 0,   4,                                                     /* vector */
        1, 0,   0xc8, 1,                                               /* exact: not the live one */
        1, 0,   0,    5, 7, 6, 0, 0, 0, 0,  0,  0,                  /* sibling: flags, dot, stamp */
        1, 2,   3,    4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, /* operation */
        2, 'h', 'i',
    };
    struct blob *blob = encode(&s);
    assert_int_equal(blob->bytes, 4 + sizeof(wanted));
    assert_memory_equal(blob->data + 4, wanted, sizeof(wanted));
    uint32_t crc = crc_update(0,
                              "\x01\x02"
                              "a key",
                              7);
    assert_int_equal(le32_get(blob->data), crc_update(crc, wanted, sizeof(wanted)));
    blob_unref(blob);
    state_close(&s);
}

static void a_record_over_the_bound_of_its_buffer_is_refused(void **unused)
{
    (void)unused;
    struct state s = {0};
    struct buf buf;
    state_full(&s);
    struct blob *blob = encode(&s);
    buf_init(&buf, blob->bytes - 1);
    assert_int_equal(record_encode(&s, PARTITION, key, &buf), GT_ELIMIT);
    assert_true(buf.failed);
    buf_close(&buf);
    buf_init(&buf, blob->bytes);
    assert_int_equal(record_encode(&s, PARTITION, key, &buf), 0);
    buf_close(&buf);
    blob_unref(blob);
    state_close(&s);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void every_flipped_bit_is_seen(void **unused)
{
    (void)unused;
    struct state s = {0}, back = {0};
    state_full(&s);
    struct blob *blob = encode(&s);
    for (size_t bit = 0; bit < blob->bytes * 8u; bit++) {
        blob->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(record_verify(slice_blob(blob), PARTITION, key), GT_ECORRUPT);
        assert_int_equal(record_decode(slice_blob(blob), PARTITION, key, &back), GT_ECORRUPT);
        assert_true(state_absent(&back));
        blob->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_decodes_to(slice_blob(blob), &s);
    blob_unref(blob);
    state_close(&s);
    state_close(&back);
}

/* Short of the checksum, and also when somebody sealed the shorter bytes anew. */
static void every_shorter_record_is_refused(void **unused)
{
    (void)unused;
    struct state s = {0}, back = {0};
    state_full(&s);
    struct blob *blob = encode(&s);
    /* Those of earlier versions end behind those that were stored again, the names, or the
     * siblings: they are whole. */
    size_t again = blob->bytes - 2 * 8;
    size_t named = again - (1 + 1);
    size_t whole = named - (1 + 1 + 1 + 2 * (OP_ID_BYTES + 8));
    for (size_t bytes = 1; bytes < blob->bytes; bytes++) {
        uint8_t *cut = malloc(bytes);
        memcpy(cut, blob->data, bytes);
        assert_int_equal(record_decode(slice_of(cut, bytes), PARTITION, key, &back), GT_ECORRUPT);
        if (bytes >= 4 && bytes != whole && bytes != named && bytes != again) {
            reseal(cut, bytes);
            assert_int_equal(record_decode(slice_of(cut, bytes), PARTITION, key, &back),
                             GT_ECORRUPT);
        }
        assert_true(state_absent(&back));
        free(cut);
    }
    blob_unref(blob);
    state_close(&s);
    state_close(&back);
}

static void another_key_or_partition_is_refused(void **unused)
{
    (void)unused;
    struct state s = {0}, back = {0};
    state_full(&s);
    struct blob *blob = encode(&s);
    struct slice bytes = slice_blob(blob);
    assert_int_equal(record_decode(bytes, PARTITION + 1, key, &back), GT_ECORRUPT);
    assert_int_equal(record_decode(bytes, PARTITION, slice_text("a kex"), &back), GT_ECORRUPT);
    assert_int_equal(record_verify(bytes, PARTITION + 65536, key), GT_ECORRUPT);
    assert_int_equal(record_verify(bytes, PARTITION, slice_text("a key2")), GT_ECORRUPT);
    blob_unref(blob);
    state_close(&s);
    state_close(&back);
}

static void a_newer_format_is_named_as_such(void **unused)
{
    (void)unused;
    struct state s = {0}, back = {0};
    state_full(&s);
    struct blob *blob = encode(&s);
    blob->data[4] = RECORD_FORMAT + 1;
    reseal(blob->data, blob->bytes);
    assert_int_equal(record_decode(slice_blob(blob), PARTITION, key, &back), GT_EFORMAT);
    assert_int_equal(record_verify(slice_blob(blob), PARTITION, key), 0);
    blob_unref(blob);
    state_close(&s);
    state_close(&back);
}

static void unknown_bytes_at_the_end_are_ignored(void **unused)
{
    (void)unused;
    struct state s = {0};
    struct buf buf;
    buf_init(&buf, 1u << 16);
    state_full(&s);
    s.siblings[0].flags |= SIBLING_RETRIED;
    assert_int_equal(history_close_lives(&s.history, 77, 5), 0);
    assert_int_equal(record_encode(&s, PARTITION, key, &buf), 0);
    buf_put(&buf, "a later field", 13);
    struct state back = {0};
    assert_int_equal(record_decode(buf_slice(&buf), PARTITION, key, &back), GT_ECORRUPT);
    reseal(buf.data, buf.bytes);
    assert_decodes_to(buf_slice(&buf), &s);
    buf_close(&buf);
    state_close(&back);
    state_close(&s);
}

/* What follows the siblings, as it should not be. */
static void retried_siblings_and_names_out_of_form_are_refused(void **unused)
{
    (void)unused;
    struct state s = {0}, back = {0};
    struct buf buf;
    uint8_t low[OP_ID_BYTES] = {1}, high[OP_ID_BYTES] = {2};
    buf_init(&buf, 1u << 16);
    add(&s, write_of(A, 1, slice_text("a")));
    add(&s, write_of(A, 2, slice_text("b")));
    assert_int_equal(record_encode(&s, PARTITION, key, &buf), 0);
    size_t bare = buf.bytes;
    for (int wrong = -1; wrong < 7; wrong++) {
        buf.bytes = bare;
        bool backward = wrong == 0, twice = wrong == 1, beyond = wrong == 2;
        buf_varint(&buf, wrong == 3 ? 3 : 2);
        buf_varint(&buf, backward);
        buf_varint(&buf, backward || twice ? 0 : beyond ? 2 : 1);
        buf_varint(&buf, wrong == 4 ? HISTORY_OPERATIONS_MAX + 1 : wrong == 5 ? 3 : 2);
        buf_put(&buf, wrong == 6 ? high : low, OP_ID_BYTES);
        buf_u64(&buf, 5);
        buf_put(&buf, high, OP_ID_BYTES);
        buf_u64(&buf, 6);
        reseal(buf.data, buf.bytes);
        assert_int_equal(record_decode(buf_slice(&buf), PARTITION, key, &back),
                         wrong < 0 ? 0 : GT_ECORRUPT);
        assert_int_equal(state_absent(&back), wrong >= 0);
    }
    buf_close(&buf);
    state_close(&back);
    state_close(&s);
}

/* ---- records that are sealed well and made badly --------------------------------------------- */

struct craft {
    struct buf buf;
};

static void craft_begin(struct craft *c, uint32_t actors)
{
    buf_init(&c->buf, 1u << 16);
    buf_u32(&c->buf, 0);
    buf_u8(&c->buf, RECORD_FORMAT);
    buf_varint(&c->buf, actors);
    for (uint32_t i = 1; i <= actors; i++) {
        buf_u64(&c->buf, i);
        buf_u64(&c->buf, 1);
    }
}

static void craft_numbers(struct craft *c, uint32_t count, const uint64_t *numbers)
{
    for (uint32_t i = 0; i < count; i++)
        buf_varint(&c->buf, numbers[i]);
}
#define NUMBERS(c, ...)                                                                            \
    craft_numbers(c, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t),                         \
                  (uint64_t[]){__VA_ARGS__})

static void craft_sibling(struct craft *c, uint8_t flags, uint64_t index, uint64_t seq)
{
    buf_u8(&c->buf, flags);
    buf_varint(&c->buf, index);
    buf_varint(&c->buf, seq);
    buf_zero(&c->buf, 8 + OP_ID_BYTES);
    if (!(flags & (SIBLING_TOMBSTONE | SIBLING_ELIDED)))
        buf_varint(&c->buf, 0);
}

static int craft_end(struct craft *c)
{
    struct state s = {0};
    reseal(c->buf.data, c->buf.bytes);
    int error = record_decode(buf_slice(&c->buf), PARTITION, key, &s);
    if (error)
        assert_true(state_absent(&s));
    state_close(&s);
    buf_close(&c->buf);
    return error;
}

static int crafted_history(uint32_t actors, uint32_t count, const uint64_t *numbers)
{
    struct craft c;
    craft_begin(&c, actors);
    craft_numbers(&c, count, numbers);
    buf_varint(&c.buf, 0); /* siblings */
    return craft_end(&c);
}
#define HISTORY(actors, ...)                                                                       \
    crafted_history(actors, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t),                  \
                    (uint64_t[]){__VA_ARGS__})

static void histories_out_of_normal_form_are_refused(void **unused)
{
    (void)unused;
    /*                          vector          exact */
    assert_int_equal(HISTORY(2, 2, 0, 5, 1, 5, 1, 0, 6), 0);
    assert_int_equal(HISTORY(2, 1, 0, 5, 0), 0); /* an actor that nothing uses: for later fields */
    assert_int_equal(HISTORY(2, 2, 1, 5, 0, 5, 0), GT_ECORRUPT);       /* descends */
    assert_int_equal(HISTORY(2, 2, 0, 5, 0, 6, 0), GT_ECORRUPT);       /* twice */
    assert_int_equal(HISTORY(2, 1, 2, 5, 0), GT_ECORRUPT);             /* no such actor */
    assert_int_equal(HISTORY(2, 1, 0, 0, 0), GT_ECORRUPT);             /* seq 0 */
    assert_int_equal(HISTORY(2, 0, 2, 0, 6, 0, 5), GT_ECORRUPT);       /* descends */
    assert_int_equal(HISTORY(2, 0, 2, 1, 1, 0, 5), GT_ECORRUPT);       /* descends */
    assert_int_equal(HISTORY(2, 0, 2, 0, 5, 0, 5), GT_ECORRUPT);       /* twice */
    assert_int_equal(HISTORY(2, 0, 1, 0, 0), GT_ECORRUPT);             /* seq 0 */
    assert_int_equal(HISTORY(2, 0, 1, 2, 1), GT_ECORRUPT);             /* no such actor */
    assert_int_equal(HISTORY(2, 1, 1, 5, 2, 0, 1, 1, 5), GT_ECORRUPT); /* covered */
    assert_int_equal(HISTORY(0, 0, 0), 0);                             /* absent, told at length */
}

static void actors_out_of_order_are_refused(void **unused)
{
    (void)unused;
    for (uint32_t second = 0; second < 3; second++) {
        struct craft c;
        craft_begin(&c, 2);
        le64_put(c.buf.data + 6 + 16, second);
        NUMBERS(&c, 0, 0, 0);
        assert_int_equal(craft_end(&c), second == 2 ? 0 : GT_ECORRUPT);
    }
}

static void siblings_out_of_normal_form_are_refused(void **unused)
{
    (void)unused;
    static const struct {
        uint64_t index[2], seq[2];
        uint8_t flags;
        int result;
    } cases[] = {
        {{0, 1}, {5, 1}, 0, 0},
        {{0, 0}, {5, 6}, SIBLING_TOMBSTONE, 0},
        {{0, 0}, {5, 6}, SIBLING_ELIDED, 0},
        {{0, 0}, {5, 5}, 0, GT_ECORRUPT}, /* twice */
        {{0, 0}, {6, 5}, 0, GT_ECORRUPT}, /* descends */
        {{1, 0}, {1, 5}, 0, GT_ECORRUPT}, /* descends */
        {{0, 2}, {5, 5}, 0, GT_ECORRUPT}, /* no such actor */
        {{0, 1}, {0, 5}, 0, GT_ECORRUPT}, /* seq 0 */
        {{0, 1}, {5, 5}, SIBLING_TOMBSTONE | SIBLING_ELIDED, GT_ECORRUPT},
        {{0, 1}, {5, 5}, 8, GT_EFORMAT},  /* a flag of a newer writer */
        {{0, 1}, {5, 4}, 0, GT_ECORRUPT}, /* listed as an exact dot as well */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct craft c;
        craft_begin(&c, 2);
        NUMBERS(&c, 0, 1, 1, 4, 2);
        craft_sibling(&c, 0, cases[i].index[0], cases[i].seq[0]);
        craft_sibling(&c, cases[i].flags, cases[i].index[1], cases[i].seq[1]);
        int result = craft_end(&c);
        if (result != cases[i].result)
            fail_msg("case %zu: %s", i, error_name(result));
    }
}

/* A count is checked against the bytes that remain before anything is allocated. */
/* What is said of lives that are over comes last: their dots are told by nothing else. */
static int crafted_closed(uint64_t node, uint64_t life, uint64_t vector_actor, bool live)
{
    struct craft c;
    craft_begin(&c, 2);
    if (vector_actor)
        NUMBERS(&c, 1, vector_actor - 1, 1, 0);
    else
        NUMBERS(&c, 0, 0);
    NUMBERS(&c, 1);
    craft_sibling(&c, 0, live ? 0 : 1, 5);
    NUMBERS(&c, 0, 0, 0); /* none was tried again, none is named, none is stored again */
    NUMBERS(&c, 1);
    buf_u64(&c.buf, node);
    buf_u64(&c.buf, life);
    return craft_end(&c);
}

static void what_a_closed_life_wrote_is_told_by_nothing_else(void **unused)
{
    (void)unused;
    assert_int_equal(crafted_closed(1, 1, 0, false), 0);
    assert_int_equal(crafted_closed(1, 1, 0, true), GT_ECORRUPT);  /* by a live sibling */
    assert_int_equal(crafted_closed(1, 1, 1, false), GT_ECORRUPT); /* by the vector */
    assert_int_equal(crafted_closed(1, 1, 2, false), 0);           /* that is another's */
    assert_int_equal(crafted_closed(1, 0, 0, false), GT_ECORRUPT); /* no life */
}

static void counts_that_claim_more_than_the_bytes_hold_are_refused(void **unused)
{
    (void)unused;
    static const uint64_t claims[] = {1, 100, 65537, 1u << 20, 1u << 31, UINT32_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++)
        for (uint32_t before = 0; before < 4; before++) {
            struct craft c;
            buf_init(&c.buf, 1u << 16);
            buf_u32(&c.buf, 0);
            buf_u8(&c.buf, RECORD_FORMAT);
            buf_zero(&c.buf, before); /* counts of nothing, up to the one that lies */
            buf_varint(&c.buf, claims[i]);
            assert_int_equal(craft_end(&c), GT_ECORRUPT);
        }
    struct craft c;
    craft_begin(&c, 1);
    NUMBERS(&c, 0, 0, 1);
    buf_u8(&c.buf, 0);
    NUMBERS(&c, 0, 1);
    buf_zero(&c.buf, 8 + OP_ID_BYTES);
    buf_varint(&c.buf, UINT64_MAX); /* a value longer than any memory */
    assert_int_equal(craft_end(&c), GT_ECORRUPT);
}

/* ---- pieces ---------------------------------------------------------------------------------- */

struct receiver {
    struct state state, next;
    struct blob *held[64]; /* the records whose values the state borrows */
    uint32_t pieces;
    bool done;
    size_t bytes_max, largest;
};

static int receive(void *arg, const struct state *part, bool last)
{
    struct receiver *r = arg;
    struct state arrived = {0};
    assert_false(r->done);
    assert_true(r->pieces < 64);
    struct blob *blob = encode(part);
    r->held[r->pieces++] = blob;
    r->done = last;
    assert_int_equal(record_decode(slice_blob(blob), PARTITION, key, &arrived), 0);
    uint32_t values = 0;
    for (uint32_t i = 0; i < part->sibling_count; i++)
        values += !(part->siblings[i].flags & (SIBLING_TOMBSTONE | SIBLING_ELIDED));
    if (!last) {
        assert_true(blob->bytes <= r->bytes_max || values == 1);
        assert_int_equal(part->history.vector_count, 0);
        assert_int_equal(part->history.exact_count, part->sibling_count);
    } else {
        assert_true(blob->bytes <= r->bytes_max || values == 0);
    }
    assert_int_equal(version_merge(&r->state, NULL, &arrived, NULL, &r->next), 0);
    struct state swap = r->state;
    r->state = r->next;
    r->next = swap;
    state_close(&arrived);
    return 0;
}

static void receiver_close(struct receiver *r)
{
    for (uint32_t i = 0; i < r->pieces; i++)
        blob_unref(r->held[i]);
    state_close(&r->state);
    state_close(&r->next);
}

static void pieces_merged_in_order_are_the_whole(void **unused)
{
    (void)unused;
    static const size_t bounds[] = {0, 1, 64, 100, 200, 300, 500, 1000, 100000};
    struct prng p;
    struct state s = {0}, local = {0}, whole = {0};
    prng_init(&p, 13);
    for (uint32_t i = 0; i < RANDOM_STATES / 4; i++) {
        struct receiver r = {.bytes_max = bounds[i % (sizeof(bounds) / sizeof(bounds[0]))]};
        state_random(&p, &s, 3);
        state_random(&p, &local, 3);
        for (uint32_t j = 0; j < local.sibling_count; j++) { /* one dot is one write */
            const struct sibling *same = state_find(&s, local.siblings[j].dot);
            if (same)
                local.siblings[j] = *same;
        }
        assert_int_equal(version_merge(&local, NULL, &s, NULL, &whole), 0);
        assert_int_equal(state_copy(&r.state, &local), 0);
        assert_int_equal(record_pieces(&s, r.bytes_max, receive, &r), 0);
        assert_true(r.done);
        assert_true(state_equal(&r.state, &whole));
        receiver_close(&r);
    }
    state_close(&s);
    state_close(&local);
    state_close(&whole);
}

static void a_small_state_is_one_piece(void **unused)
{
    (void)unused;
    struct state s = {0};
    state_full(&s);
    struct blob *blob = encode(&s);
    struct receiver r = {.bytes_max = blob->bytes};
    assert_int_equal(record_pieces(&s, blob->bytes, receive, &r), 0);
    assert_int_equal(r.pieces, 1);
    assert_true(state_equal(&r.state, &s));
    receiver_close(&r);
    blob_unref(blob);
    state_close(&s);
}

static int refuse_second(void *arg, const struct state *part, bool last)
{
    (void)part, (void)last;
    return ++*(int *)arg == 2 ? GT_EBUSY : 0;
}

static void pieces_stop_where_the_caller_says(void **unused)
{
    (void)unused;
    struct state s = {0};
    int calls = 0;
    state_full(&s);
    assert_int_equal(record_pieces(&s, 1, refuse_second, &calls), GT_EBUSY);
    assert_int_equal(calls, 2);
    state_close(&s);
}

/* A lost piece is noticed, not merged around. */
static int skip_first(void *arg, const struct state *part, bool last)
{
    struct state out = {0}, absent = {0};
    int *result = arg;
    if (last)
        *result = version_merge(&absent, NULL, part, NULL, &out);
    state_close(&out);
    return 0;
}

static void a_lost_piece_is_noticed(void **unused)
{
    (void)unused;
    struct state s = {0};
    int result = 0;
    state_full(&s);
    assert_int_equal(record_pieces(&s, 1, skip_first, &result), 0);
    assert_int_equal(result, GT_EMISSING);
    state_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_comes_back_as_it_went),
        cmocka_unit_test(the_absent_state_is_no_bytes),
        cmocka_unit_test(a_history_alone_comes_back),
        cmocka_unit_test(random_states_come_back_and_blob_and_buffer_agree),
        cmocka_unit_test(equal_states_are_equal_bytes),
        cmocka_unit_test(a_plain_100_byte_value_costs_at_most_64_bytes),
        cmocka_unit_test(the_bytes_of_format_1_are_these),
        cmocka_unit_test(a_record_over_the_bound_of_its_buffer_is_refused),
        cmocka_unit_test(every_flipped_bit_is_seen),
        cmocka_unit_test(every_shorter_record_is_refused),
        cmocka_unit_test(another_key_or_partition_is_refused),
        cmocka_unit_test(a_newer_format_is_named_as_such),
        cmocka_unit_test(unknown_bytes_at_the_end_are_ignored),
        cmocka_unit_test(retried_siblings_and_names_out_of_form_are_refused),
        cmocka_unit_test(histories_out_of_normal_form_are_refused),
        cmocka_unit_test(actors_out_of_order_are_refused),
        cmocka_unit_test(siblings_out_of_normal_form_are_refused),
        cmocka_unit_test(what_a_closed_life_wrote_is_told_by_nothing_else),
        cmocka_unit_test(counts_that_claim_more_than_the_bytes_hold_are_refused),
        cmocka_unit_test(pieces_merged_in_order_are_the_whole),
        cmocka_unit_test(a_small_state_is_one_piece),
        cmocka_unit_test(pieces_stop_where_the_caller_says),
        cmocka_unit_test(a_lost_piece_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
