/* Contexts come back from clients, who may send anything. */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/crc.h"
#include "engine/record.h"

#define KEY_HASH 0x1122334455667788u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity);

static void try_context(struct slice bytes)
{
    struct history h = {0}, again = {0};
    struct buf buf;
    buf_init(&buf, 1u << 20);
    if (context_decode(bytes, KEY_HASH, &h) == 0) {
        gt_assert(context_encode(&h, KEY_HASH, &buf) == 0 && buf.bytes <= bytes.bytes);
        gt_assert(context_decode(buf_slice(&buf), KEY_HASH, &again) == 0);
        gt_assert(history_includes(&h, &again) && history_includes(&again, &h));
    }
    buf_close(&buf);
    history_close(&h);
    history_close(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_context(slice_of(data, size));
    if (size < 4)
        return 0;
    uint8_t *good = malloc(size);
    gt_assert(good);
    memcpy(good, data, size);
    le32_put(good + size - 4, crc_update(0, good, size - 4));
    try_context(slice_of(good, size));
    free(good);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity)
{
    struct history h = {0};
    struct buf buf;
    if (index == 6)
        return 0;
    for (unsigned i = 0; i < index * 2; i++) {
        struct actor actor = {i % 3 + 1, 77 + i % 2};
        gt_assert(history_raise(&h, actor, i + 1) == 0);
        gt_assert(history_add(&h, (struct dot){actor, i + 150}) == 0);
    }
    buf_init(&buf, capacity);
    gt_assert(context_encode(&h, KEY_HASH, &buf) == 0);
    memcpy(out, buf.data, buf.bytes);
    size_t bytes = buf.bytes;
    buf_close(&buf);
    history_close(&h);
    return bytes;
}
