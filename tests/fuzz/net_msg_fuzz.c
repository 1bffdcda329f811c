/* Any bytes as a body: decoded or refused, never worse. What is decoded can be sent on. */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/frame.h"
#include "tests/lib/msg_samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity);

static struct msg_decoder *decoder, *second;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct msg m, again;
    char text[200];
    if (!decoder) {
        decoder = msg_decoder_new();
        second = msg_decoder_new();
    }
    if (msg_decode(decoder, slice_of(data, size), &m) != 0)
        return 0;
    msg_text(&m, text);
    struct blob *frame = msg_frame(&m);
    gt_assert(frame);
    int error = msg_decode(
        second, slice_of(frame->data + FRAME_HEADER_BYTES, frame->bytes - FRAME_HEADER_BYTES),
        &again);
    gt_assert(error == 0 && same_msg(&m, &again));
    if (m.type == MSG_MAP) {
        ring_unref(m.map.ring);
        ring_unref(again.map.ring);
    }
    blob_unref(frame);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity)
{
    static struct sample_memory memory;
    struct msg m;
    if (index >= 4 * SAMPLE_TYPES)
        return 0;
    prng_init(&memory.prng, index);
    memory.extreme = false;
    sample_msg(&memory, sample_types[index % SAMPLE_TYPES], &m);
    struct blob *frame = msg_frame(&m);
    size_t bytes = frame->bytes - FRAME_HEADER_BYTES;
    bytes = bytes < capacity ? bytes : capacity;
    memcpy(out, frame->data + FRAME_HEADER_BYTES, bytes);
    blob_unref(frame);
    sample_release(&memory);
    return bytes;
}
