/*
 * Any bytes as a stream: the same frames come out whether the stream arrives in one piece or in
 * pieces of the size that the first byte names; a stream once lost stays lost.
 */
#include "engine/base/assert.h"
#include "engine/base/prng.h"
#include "net/frame.h"

#define LIMIT 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity);

struct seen {
    uint64_t frames, body_bytes, sum;
    int error;
};

static struct seen cut_all(const uint8_t *data, size_t size, size_t chunk)
{
    struct frame_cutter c;
    struct seen seen = {0, 0, 0, 0};
    frame_cutter_init(&c, LIMIT);
    for (size_t from = 0; from < size && !seen.error; from += chunk) {
        const uint8_t *at = data + from;
        size_t left = chunk < size - from ? chunk : size - from;
        struct blob *body;
        int cut;
        while ((cut = frame_cut(&c, &at, &left, &body)) == 1) {
            seen.frames++;
            seen.body_bytes += body->bytes;
            for (uint32_t i = 0; i < body->bytes; i++)
                seen.sum = seen.sum * 31 + body->data[i];
            blob_unref(body);
        }
        seen.error = cut;
    }
    if (seen.error) {
        struct blob *body;
        size_t left = size;
        gt_assert(frame_cut(&c, &data, &left, &body) == seen.error);
    }
    frame_cutter_close(&c);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct seen whole = cut_all(data + 1, size - 1, size);
    struct seen pieces = cut_all(data + 1, size - 1, 1 + data[0]);
    gt_assert(whole.frames == pieces.frames && whole.body_bytes == pieces.body_bytes);
    gt_assert(whole.sum == pieces.sum && whole.error == pieces.error);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity)
{
    struct prng prng;
    size_t at = 1;
    if (index >= 16)
        return 0;
    prng_init(&prng, index);
    out[0] = (uint8_t)prng_next(&prng);
    for (unsigned frame = 0; frame <= index % 4; frame++) {
        size_t body_bytes = 1 + prng_below(&prng, 300);
        if (at + FRAME_HEADER_BYTES + body_bytes > capacity)
            break;
        prng_fill(&prng, out + at + FRAME_HEADER_BYTES, body_bytes);
        frame_seal(out + at, body_bytes);
        at += FRAME_HEADER_BYTES + body_bytes;
    }
    return at;
}
