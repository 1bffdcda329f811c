/* Partition clocks: whatever decodes is in normal form and survives encoding, copying, merging. */
#include "engine/base/assert.h"
#include "engine/base/prng.h"
#include "engine/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct clock c = {0}, again = {0}, joined = {0};
    struct reader r = reader_of(slice_of(data, size));
    struct buf buf;
    buf_init(&buf, 1u << 24);
    if (clock_decode(&r, &c) == 0) {
        clock_encode(&c, &buf);
        /* Only one form is accepted, so what was read is what is written. */
        gt_assert(!buf.failed);
        gt_assert(slice_equal(buf_slice(&buf), slice_of(data, (size_t)(r.at - data))));
        struct reader back = reader_of(buf_slice(&buf));
        gt_assert(clock_decode(&back, &again) == 0 && reader_left(&back) == 0);
        gt_assert(clock_equal(&c, &again));
        gt_assert(clock_missing(&c, &again) == 0 && clock_includes(&c, &again));
        gt_assert(clock_merge(&joined, &c) == 0 && clock_merge(&joined, &again) == 0);
        gt_assert(clock_equal(&joined, &c));
        for (uint32_t i = 0; i < c.entry_count; i++) {
            struct dot highest = {c.entries[i].actor, clock_highest(&c, c.entries[i].actor)};
            gt_assert(clock_covers(&c, highest));
            gt_assert(clock_add(&again, highest) == 0);
        }
        gt_assert(clock_equal(&c, &again));
    }
    buf_close(&buf);
    clock_close(&c);
    clock_close(&again);
    clock_close(&joined);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity)
{
    struct clock c = {0};
    struct prng p;
    struct buf buf;
    if (index == 8)
        return 0;
    prng_init(&p, index);
    for (unsigned i = 0; i < index * 8; i++) {
        struct actor actor = {1 + prng_below(&p, 3), 1 + prng_below(&p, 3)};
        uint64_t first = 1 + prng_below(&p, index < 6 ? 50 : UINT64_MAX - 10);
        gt_assert(clock_add_range(&c, actor, first, first + prng_below(&p, 4)) == 0);
    }
    if (index % 2)
        gt_assert(clock_set_closed(&c, 2, 2) == 0);
    buf_init(&buf, capacity);
    clock_encode(&c, &buf);
    memcpy(out, buf.data, buf.bytes);
    size_t bytes = buf.bytes;
    buf_close(&buf);
    clock_close(&c);
    return bytes;
}
