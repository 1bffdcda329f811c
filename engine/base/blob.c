#include "engine/base/blob.h"

#include <stdlib.h>

#include "engine/base/assert.h"

struct blob *blob_new(size_t bytes)
{
    if (bytes > BLOB_BYTES_MAX)
        return NULL;
    struct blob *b = malloc(sizeof(*b) + bytes);
    if (!b)
        return NULL;
    b->refs = 1;
    b->bytes = (uint32_t)bytes;
    return b;
}

struct blob *blob_copy(const void *data, size_t bytes)
{
    struct blob *b = blob_new(bytes);
    if (b && bytes)
        memcpy(b->data, data, bytes);
    return b;
}

struct blob *blob_ref(struct blob *b)
{
    if (b) {
        uint32_t before = __atomic_fetch_add(&b->refs, 1, __ATOMIC_RELAXED);
        gt_assert(before > 0 && before < UINT32_MAX);
    }
    return b;
}

void blob_unref(struct blob *b)
{
    if (!b)
        return;
    uint32_t before = __atomic_fetch_sub(&b->refs, 1, __ATOMIC_ACQ_REL);
    gt_assert(before > 0);
    if (before == 1)
        free(b);
}
