/*
 * Records: whatever decodes is in normal form, so that it encodes again, decodes to an equal state,
 * and is what merging it with itself gives. The input is tried as it is and with its checksum made
 * good, since no mutation would ever get past that.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/crc.h"
#include "engine/base/error.h"
#include "engine/record.h"

#define PARTITION 7

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity);

static const struct slice key = {(const uint8_t *)"key", 3};

struct pieces {
    struct state state, next;
    size_t values_bytes;
};

static int piece_take(void *arg, const struct state *part, bool last)
{
    struct pieces *p = arg;
    (void)last;
    gt_assert(version_merge(&p->state, NULL, part, NULL, &p->next) == 0);
    struct state swap = p->state;
    p->state = p->next;
    p->next = swap;
    return 0;
}

static bool has_elided(const struct state *s)
{
    for (uint32_t i = 0; i < s->sibling_count; i++)
        if (s->siblings[i].flags & SIBLING_ELIDED)
            return true;
    return false;
}

static void try_record(struct slice bytes)
{
    struct state s = {0}, again = {0}, merged = {0};
    struct blob *blob = NULL;
    struct buf buf;
    buf_init(&buf, 1u << 24);
    if (record_decode(bytes, PARTITION, key, &s) == 0) {
        gt_assert(record_encode(&s, PARTITION, key, &buf) == 0);
        gt_assert(record_encode_blob(&s, PARTITION, key, &blob) == 0);
        gt_assert(slice_equal(buf_slice(&buf), slice_blob(blob)));
        gt_assert(buf.bytes <= bytes.bytes);
        gt_assert(record_decode(slice_blob(blob), PARTITION, key, &again) == 0);
        gt_assert(state_equal(&s, &again));
        if (!has_elided(&s)) {
            gt_assert(version_merge(&s, NULL, &again, NULL, &merged) == 0);
            gt_assert(state_equal(&s, &merged));
            struct pieces p = {0};
            gt_assert(record_pieces(&s, 40, piece_take, &p) == 0);
            gt_assert(state_equal(&s, &p.state));
            state_close(&p.state);
            state_close(&p.next);
        }
    }
    buf_close(&buf);
    blob_unref(blob);
    state_close(&s);
    state_close(&again);
    state_close(&merged);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_record(slice_of(data, size));
    if (size < 5)
        return 0;
    uint8_t *good = malloc(size);
    gt_assert(good);
    memcpy(good, data, size);
    uint8_t partition[2];
    le16_put(partition, PARTITION);
    uint32_t crc = crc_update(0, partition, sizeof(partition));
    crc = crc_update(crc, key.data, key.bytes);
    le32_put(good, crc_update(crc, good + 4, size - 4));
    try_record(slice_of(good, size));
    free(good);
    return 0;
}

/* States of index + 1 writes by up to three actors, with vectors, tombstones and expiries, retries
 * and names. */
size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity)
{
    struct state s = {0};
    struct buf buf;
    if (index == 8)
        return 0;
    for (unsigned i = 0; i <= index; i++) {
        struct actor actor = {i % 3 + 1, 0x6543210000000000u + i % 3};
        struct sibling sibling = {
            .dot = {actor, i + 1},
            .stamp = 1000 + i,
            .op = {(uint8_t)i},
            .value = slice_text("value"),
        };
        if (i % 4 == 1) {
            sibling.flags = SIBLING_TOMBSTONE;
            sibling.value = slice_of(NULL, 0);
        } else if (i % 4 == 2) {
            sibling.flags = SIBLING_EXPIRES;
            sibling.expires_at_ms = 123456789;
            sibling.expiry_dot = (struct dot){{9, 9}, 300};
        } else if (i % 4 == 3 && index % 2) {
            sibling.flags = SIBLING_ELIDED;
            sibling.value = slice_of(NULL, 0);
        }
        if (index > 3 && i % 3 == 0)
            sibling.flags |= SIBLING_RETRIED;
        if (index > 5 && i % 5 == 0)
            sibling.flags |= SIBLING_AGAIN;
        gt_assert(state_add(&s, &sibling) == 0);
        if (i % 2)
            gt_assert(history_raise(&s.history, actor, i) == 0);
        gt_assert(history_add(&s.history, (struct dot){actor, i + 100}) == 0);
    }
    for (unsigned i = 5; i < index; i++)
        gt_assert(
            history_name(&s.history, (uint8_t[OP_ID_BYTES]){255, (uint8_t)i}, i, 2 * (i % 7)) == 0);
    buf_init(&buf, capacity);
    gt_assert(record_encode(&s, PARTITION, key, &buf) == 0);
    memcpy(out, buf.data, buf.bytes);
    size_t bytes = buf.bytes;
    buf_close(&buf);
    state_close(&s);
    return bytes;
}
