#include "tests/lib/pages.h"

#include <stdlib.h>

#include "engine/base/assert.h"

static bool is_zero(const uint8_t *data, size_t bytes)
{
    return data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0;
}

static void page_set(struct blob **page, struct blob *given)
{
    blob_unref(*page);
    *page = given;
}

/* The page's bytes, to be changed. */
static uint8_t *page_own(struct blob **page)
{
    if (*page && __atomic_load_n(&(*page)->refs, __ATOMIC_ACQUIRE) == 1)
        return (*page)->data;
    struct blob *own = blob_new(PAGE_BYTES);
    gt_assert(own);
    if (*page)
        memcpy(own->data, (*page)->data, PAGE_BYTES);
    else
        memset(own->data, 0, PAGE_BYTES);
    page_set(page, own);
    return own->data;
}

static void pages_reserve(struct pages *p, size_t count)
{
    if (count <= p->count)
        return;
    size_t larger = count > 2 * p->count ? count : 2 * p->count;
    p->items = realloc(p->items, larger * sizeof(struct blob *));
    gt_assert(p->items);
    for (; p->count < larger; p->count++)
        p->items[p->count] = NULL;
}

static void pages_reach(struct pages *p, uint64_t end)
{
    if (end <= p->bytes)
        return;
    pages_reserve(p, (size_t)((end + PAGE_BYTES - 1) / PAGE_BYTES));
    p->bytes = (size_t)end;
}

/* The part of a range that lies in the page of its first byte. */
static size_t part_bytes(uint64_t offset, size_t bytes)
{
    size_t left = PAGE_BYTES - (size_t)(offset % PAGE_BYTES);
    return bytes < left ? bytes : left;
}

void pages_write(struct pages *p, uint64_t offset, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    pages_reach(p, offset + bytes);
    while (bytes > 0) {
        struct blob **page = &p->items[offset / PAGE_BYTES];
        size_t part = part_bytes(offset, bytes);
        bool zero = is_zero(at, part);
        if (part == PAGE_BYTES) {
            page_set(page, zero ? NULL : blob_copy(at, part));
            gt_assert(zero || *page);
        } else if (*page || !zero) {
            memcpy(page_own(page) + offset % PAGE_BYTES, at, part);
        }
        offset += part;
        at += part;
        bytes -= part;
    }
}

void pages_read(const struct pages *p, uint64_t offset, void *data, size_t bytes)
{
    uint8_t *at = data;
    gt_assert(offset + bytes <= p->bytes);
    while (bytes > 0) {
        const struct blob *page = p->items[offset / PAGE_BYTES];
        size_t part = part_bytes(offset, bytes);
        if (page)
            memcpy(at, page->data + offset % PAGE_BYTES, part);
        else
            memset(at, 0, part);
        offset += part;
        at += part;
        bytes -= part;
    }
}

uint8_t *pages_byte(struct pages *p, uint64_t offset)
{
    gt_assert(offset < p->bytes);
    return page_own(&p->items[offset / PAGE_BYTES]) + offset % PAGE_BYTES;
}

void pages_share(struct pages *p, uint64_t offset, size_t bytes, struct blob *const *from)
{
    pages_reach(p, offset + bytes);
    for (; bytes > 0; from++) {
        struct blob **page = &p->items[offset / PAGE_BYTES];
        size_t part = part_bytes(offset, bytes), within = (size_t)(offset % PAGE_BYTES);
        if (part == PAGE_BYTES)
            page_set(page, blob_ref(*from));
        else if (*from)
            memcpy(page_own(page) + within, (*from)->data + within, part);
        else if (*page)
            memset(page_own(page) + within, 0, part);
        offset += part;
        bytes -= part;
    }
}

void pages_copy(struct pages *to, const struct pages *from)
{
    pages_cut(to);
    pages_reach(to, from->bytes);
    size_t used = pages_touched(0, from->bytes);
    for (size_t i = 0; i < used; i++)
        to->items[i] = blob_ref(from->items[i]);
}

void pages_cut(struct pages *p)
{
    size_t used = pages_touched(0, p->bytes);
    for (size_t i = 0; i < used; i++)
        page_set(&p->items[i], NULL);
    p->bytes = 0;
}

void pages_close(struct pages *p)
{
    pages_cut(p);
    free(p->items);
    *p = (struct pages){0};
}
