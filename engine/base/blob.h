/*
 * Bytes. A blob is a reference-counted run of bytes that nobody changes once it is shared; a slice
 * is a borrowed view of some bytes.
 *
 * Ownership: blob_new gives one reference; whoever keeps a blob takes one with blob_ref and returns
 * it with blob_unref. The count is atomic, since the log, checkpoint and reader threads hold blobs
 * that belong to the loop.
 */
#ifndef GT_ENGINE_BASE_BLOB_H
#define GT_ENGINE_BASE_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct blob {
    uint32_t refs;
    uint32_t bytes; /* at most BLOB_BYTES_MAX */
    uint8_t data[];
};

#define BLOB_BYTES_MAX (1u << 30)

/* A blob of `bytes` undefined bytes, to be filled before it is shared; NULL when out of memory or
 * over BLOB_BYTES_MAX. */
struct blob *blob_new(size_t bytes);
/* A blob with a copy of the bytes; NULL when out of memory. */
struct blob *blob_copy(const void *data, size_t bytes);
/* Takes a reference; returns its argument. NULL is allowed and stays NULL. */
struct blob *blob_ref(struct blob *b);
/* Returns a reference; the last one frees. NULL is allowed. */
void blob_unref(struct blob *b);

struct slice {
    const uint8_t *data; /* may be NULL when bytes is 0 */
    size_t bytes;
};

static inline struct slice slice_of(const void *data, size_t bytes)
{
    return (struct slice){(const uint8_t *)data, bytes};
}

static inline struct slice slice_text(const char *text)
{
    return (struct slice){(const uint8_t *)text, strlen(text)};
}

static inline struct slice slice_blob(const struct blob *b)
{
    return b ? (struct slice){b->data, b->bytes} : (struct slice){NULL, 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

/* Byte order, a prefix before its extensions: negative, 0 or positive as memcmp. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t common = a.bytes < b.bytes ? a.bytes : b.bytes;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    if (order != 0)
        return order;
    return a.bytes < b.bytes ? -1 : a.bytes > b.bytes;
}

#endif
