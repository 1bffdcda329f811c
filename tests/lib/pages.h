/*
 * The bytes of a file in pages that are shared: a page is a blob of PAGE_BYTES which cache, medium,
 * unsynced writes and copies of the disk hold together, and which whoever changes it copies first.
 * A page of zeros is no page (NULL), so that a segment of the log costs memory only for what is
 * written to it. Bytes behind the end of a file are zero.
 *
 * A struct pages starts as {0}; copies of it are made by pages_copy alone.
 */
#ifndef GT_TESTS_LIB_PAGES_H
#define GT_TESTS_LIB_PAGES_H

#include "engine/base/blob.h"

#define PAGE_BYTES 4096u

struct pages {
    struct blob **items; /* by number; NULL: zeros */
    size_t count;        /* of items, at least those that bytes reach into */
    size_t bytes;        /* of the file */
};

/* Makes the file longer where it must. */
void pages_write(struct pages *p, uint64_t offset, const void *data, size_t bytes);
/* The range must lie inside the file. */
void pages_read(const struct pages *p, uint64_t offset, void *data, size_t bytes);
/* The byte at offset, inside the file, to be changed: no other holder of its page sees it. */
uint8_t *pages_byte(struct pages *p, uint64_t offset);
/* Takes the bytes of a range from pages of another file, of which from[0] is the one that offset
 * lies in. Makes the file longer where it must. */
void pages_share(struct pages *p, uint64_t offset, size_t bytes, struct blob *const *from);
void pages_copy(struct pages *to, const struct pages *from);
/* To no bytes at all. */
void pages_cut(struct pages *p);
void pages_close(struct pages *p);

/* How many pages a range reaches into. */
static inline size_t pages_touched(uint64_t offset, size_t bytes)
{
    return (size_t)((offset % PAGE_BYTES + bytes + PAGE_BYTES - 1) / PAGE_BYTES);
}

#endif
