/* What a partition remembers of its filling, and the log's record of it: whatever decodes survives
 * encoding. The first byte says which of the two. */
#include "engine/base/assert.h"
#include "engine/base/prng.h"
#include "engine/values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity);

static void fill_try(struct slice bytes)
{
    struct fill fill, again;
    struct buf out;
    fill_init(&fill);
    fill_init(&again);
    buf_init(&out, 1u << 24);
    if (fill_decode(bytes, &fill) == 0) {
        fill_encode(&fill, &out);
        gt_assert(!out.failed && fill_decode(buf_slice(&out), &again) == 0);
        gt_assert(fill.generation == again.generation && fill.reason == again.reason);
        gt_assert(slice_equal(slice_blob(fill.sources), slice_blob(again.sources)));
        gt_assert(clock_equal(&fill.doubt, &again.doubt) && fill.number == again.number);
        gt_assert(slice_equal(slice_blob(fill.cursor), slice_blob(again.cursor)));
    }
    buf_close(&out);
    fill_close(&fill);
    fill_close(&again);
}

static void record_try(struct slice payload)
{
    struct fill_record record, again;
    struct buf out;
    buf_init(&out, 1u << 24);
    if (fill_record_decode(payload, &record) == 0) {
        fill_record_encode(&record, &out);
        gt_assert(!out.failed && fill_record_decode(buf_slice(&out), &again) == 0);
        gt_assert(record.partition == again.partition && slice_equal(record.fill, again.fill));
        gt_assert(record.cleared == again.cleared && record.counted == again.counted);
        gt_assert(counts_equal(&record.counts, &again.counts) && record.stamp == again.stamp);
        fill_try(record.fill);
    }
    buf_close(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] % 2)
        fill_try(slice_of(data + 1, size - 1));
    else if (size > 0)
        record_try(slice_of(data + 1, size - 1));
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity)
{
    static const char sources[] = "12345678abcdefgh";
    struct fill fill;
    struct buf bytes, payload;
    if (index == 6)
        return 0;
    fill_init(&fill);
    buf_init(&bytes, capacity);
    buf_init(&payload, capacity);
    fill.generation = index;
    fill.reason = index % 2 ? FILL_ROT : 0;
    fill.sources = index % 3 ? blob_copy(sources, index % 3 * 8) : NULL;
    fill.cursor = index % 2 ? NULL : blob_copy(sources, index);
    fill.number = index * 100;
    for (unsigned i = 0; i < index; i++)
        gt_assert(clock_add(&fill.doubt, (struct dot){{1 + i, 2}, 3 + i}) == 0);
    fill_encode(&fill, &bytes);
    buf_u8(&payload, (uint8_t)(index % 2));
    if (index % 2) {
        buf_put(&payload, bytes.data, bytes.bytes);
    } else {
        struct fill_record record = {.partition = index,
                                     .fill = buf_slice(&bytes),
                                     .cleared = index == 2,
                                     .counted = index == 4,
                                     .counts = {index, 1, 2, 3},
                                     .stamp = 9};
        fill_record_encode(&record, &payload);
    }
    gt_assert(!payload.failed);
    memcpy(out, payload.data, payload.bytes);
    size_t size = payload.bytes;
    fill_close(&fill);
    buf_close(&bytes);
    buf_close(&payload);
    return size;
}
