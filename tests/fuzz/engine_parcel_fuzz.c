/* Parcels at rest: whatever decodes is what it is encoded from, and a key of the index names one.
 */
#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/prng.h"
#include "engine/engine.h"
#include "engine/parcels.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity);

static bool value_same(const struct parcel_value *a, const struct parcel_value *b)
{
    return a->number == b->number && a->made_s == b->made_s && slice_equal(a->dots, b->dots) &&
           slice_equal(a->record, b->record) && slice_equal(a->operations, b->operations);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct parcel_value v, again;
    struct parcel_name name;
    struct slice bytes = slice_of(data, size);
    struct buf buf;
    buf_init(&buf, 1u << 24);
    if (parcel_value_decode(bytes, &v) == 0) {
        gt_assert(v.dots.bytes % DOT_BYTES == 0 && v.record.bytes > 0);
        parcel_value_encode(&v, &buf);
        gt_assert(!buf.failed && parcel_value_decode(buf_slice(&buf), &again) == 0);
        gt_assert(value_same(&v, &again));
    }
    if (parcel_index_key_split(bytes, &name) == 0) {
        uint8_t at[INDEX_KEY_BYTES_MAX];
        gt_assert(slice_equal(parcel_index_key(at, &name), bytes));
    }
    buf_close(&buf);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity)
{
    uint8_t raw[256];
    struct prng p;
    struct buf buf;
    if (index == 8)
        return 0;
    prng_init(&p, index);
    for (size_t i = 0; i < sizeof(raw); i++)
        raw[i] = (uint8_t)prng_next(&p);
    if (index < 2) {
        struct slice key = slice_of(raw, 1 + index * 100);
        struct parcel_name name = {prng_next(&p), hash_bytes(key), 7, key};
        return parcel_index_key(out, &name).bytes;
    }
    struct parcel_value v = {.number = prng_next(&p),
                             .made_s = prng_next(&p),
                             .dots = slice_of(raw, (index - 2) * DOT_BYTES),
                             .record = slice_of(raw, 1 + index * 30)};
    buf_init(&buf, capacity);
    parcel_value_encode(&v, &buf);
    memcpy(out, buf.data, buf.bytes);
    size_t bytes = buf.bytes;
    buf_close(&buf);
    return bytes;
}
