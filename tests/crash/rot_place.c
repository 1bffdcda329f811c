#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/buf.h"
#include "engine/btree.h"
#include "tests/crash/rot.h"

#define PAGE_BYTES      4096u
#define PAGE_HEAD_BYTES 16u /* of LMDB: number, flags, bounds of the free space */
#define META_USED_BYTES 160u
#define DRAWS_MAX       200
#define SEGMENTS_FOUND  64
#define SECTOR_CHANCE   12 /* one in so many is a whole sector */
#define STALE_CHANCE    6  /* and of the branches one in so many gets a stale child */

const char *const rot_target_names[ROT_TARGETS] = {
    [ROT_META_PAGE] = "meta page",      [ROT_BRANCH] = "branch page",
    [ROT_LEAF_HEAD] = "leaf structure", [ROT_LEAF_BODY] = "leaf content",
    [ROT_ANY_PAGE] = "any page",        [ROT_SEGMENT_HEAD] = "segment header",
    [ROT_BATCH_HEAD] = "batch header",  [ROT_LOG_BODY] = "log content"};

struct bytes {
    uint8_t *data;
    size_t count;
};

static struct bytes file_bytes(const char *path)
{
    struct bytes b = {NULL, 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return b;
    off_t end = lseek(fd, 0, SEEK_END);
    b.data = malloc((size_t)end + 1);
    gt_assert(b.data && end >= 0);
    ssize_t got = pread(fd, b.data, (size_t)end, 0);
    gt_assert(got == end);
    b.count = (size_t)end;
    close(fd);
    return b;
}

/* ---- the index ------------------------------------------------------------------------------- */

enum { PAGE_BRANCH = 1, PAGE_LEAF = 2 };

static bool page_is(const uint8_t *page, unsigned kind)
{
    return (le16_get(page + 10) & 0xf) == kind;
}

/* Where in a page of that kind; false: this page is of another one. */
static bool page_draw(const uint8_t *page, enum rot_target target, struct prng *p, uint64_t *at)
{
    unsigned lower = le16_get(page + 12), upper = le16_get(page + 14);
    bool tree = page_is(page, PAGE_BRANCH) || page_is(page, PAGE_LEAF);
    if (tree && (lower < PAGE_HEAD_BYTES || lower > upper || upper > PAGE_BYTES))
        return false;
    switch (target) {
    case ROT_BRANCH:
        if (!page_is(page, PAGE_BRANCH))
            return false;
        *at =
            prng_below(p, 2) ? prng_below(p, lower) : upper + prng_below(p, PAGE_BYTES - upper + 1);
        if (prng_below(p, 3) == 0 && lower > PAGE_HEAD_BYTES) /* the number of a child */
            *at =
                le16_get(page + PAGE_HEAD_BYTES + 2 * prng_below(p, (lower - PAGE_HEAD_BYTES) / 2));
        return *at < PAGE_BYTES;
    case ROT_LEAF_HEAD:
        if (!page_is(page, PAGE_LEAF) || lower == PAGE_HEAD_BYTES)
            return false;
        *at = prng_below(p, lower);
        if (prng_below(p, 2)) {
            unsigned node = (unsigned)prng_below(p, (lower - PAGE_HEAD_BYTES) / 2);
            *at = le16_get(page + PAGE_HEAD_BYTES + 2 * node) + prng_below(p, 8);
        }
        return *at < PAGE_BYTES;
    case ROT_LEAF_BODY:
        if (!page_is(page, PAGE_LEAF))
            return false;
        *at = upper + prng_below(p, PAGE_BYTES - upper + 1);
        return *at < PAGE_BYTES;
    default:
        *at = prng_below(p, PAGE_BYTES);
        return true;
    }
}

/* The newest commit, with what is free in it: most pages are, and what rots there is in nobody's
 * way. */
static void newest_read(struct bytes b, struct btree *out)
{
    struct btree metas[2];
    *out = (struct btree){0};
    if (btree_meta_read(b.data, b.count, 0, &metas[0]) != 0 ||
        btree_meta_read(b.data, b.count, 1, &metas[1]) != 0)
        return;
    *out = metas[metas[0].commit < metas[1].commit];
    if (btree_check(out) != 0)
        btree_close(out);
}

/* The first key of a leaf; empty: it is none. */
static struct slice first_key(const uint8_t *page)
{
    if (!page_is(page, PAGE_LEAF) || le16_get(page + 12) <= PAGE_HEAD_BYTES)
        return slice_of(NULL, 0);
    const uint8_t *node = page + le16_get(page + PAGE_HEAD_BYTES);
    return slice_of(node + 8, le16_get(node + 6));
}

/* A child of this branch becomes a free page that begins as it does. False: there is none. */
static bool stale_draw(struct bytes b, const struct btree *newest, uint64_t branch, struct prng *p,
                       struct rot_place *out)
{
    const uint8_t *page = b.data + branch * PAGE_BYTES;
    unsigned count = (le16_get(page + 12) - PAGE_HEAD_BYTES) / 2;
    uint64_t pages = b.count / PAGE_BYTES;
    if (!page_is(page, PAGE_BRANCH) || !newest->unused || count == 0)
        return false;
    unsigned node = le16_get(page + PAGE_HEAD_BYTES + 2 * prng_below(p, count));
    uint64_t child = le32_get(page + node);
    if (child >= pages)
        return false;
    struct slice key = first_key(b.data + child * PAGE_BYTES);
    for (uint64_t i = 2; i < pages && i < newest->count && key.bytes > 0; i++)
        if ((newest->unused[i / 8] >> (i % 8) & 1) && le64_get(b.data + i * PAGE_BYTES) == i &&
            slice_equal(first_key(b.data + i * PAGE_BYTES), key)) {
            out->damage = ROT_STALE;
            out->number = (uint32_t)i;
            out->offset = branch * PAGE_BYTES + node;
            return true;
        }
    return false;
}

static bool index_draw(const char *folder, struct prng *p, struct rot_place *out)
{
    snprintf(out->file, sizeof(out->file), "%s/index/data.mdb", folder);
    struct bytes b = file_bytes(out->file);
    bool found = false;
    uint64_t pages = b.count / PAGE_BYTES, at = 0;
    if (out->target == ROT_META_PAGE && pages >= 2) {
        out->offset = prng_below(p, 2) * PAGE_BYTES + prng_below(p, META_USED_BYTES);
        found = true;
    }
    struct btree newest;
    newest_read(b, &newest);
    for (int i = 0; i < DRAWS_MAX && !found && pages > 2; i++) {
        uint64_t page = 2 + prng_below(p, pages - 2);
        bool free_page =
            newest.unused && page < newest.count && (newest.unused[page / 8] >> (page % 8) & 1);
        if (free_page && out->target != ROT_ANY_PAGE && prng_below(p, 8) != 0)
            continue;
        found = page_draw(b.data + page * PAGE_BYTES, out->target, p, &at);
        out->offset = page * PAGE_BYTES + at;
        if (found && out->target == ROT_BRANCH && prng_below(p, STALE_CHANCE) == 0)
            stale_draw(b, &newest, page, p, out);
    }
    btree_close(&newest);
    free(b.data);
    return found;
}

/* ---- the log --------------------------------------------------------------------------------- */

static bool block_is_used(const uint8_t *block)
{
    return memcmp(block, "GTB1", 4) == 0;
}

static bool segment_draw(struct bytes b, struct prng *p, struct rot_place *out)
{
    uint64_t blocks = b.count / WAL_BLOCK;
    if (out->target == ROT_SEGMENT_HEAD) {
        out->offset = prng_below(p, 48);
        return blocks > 0;
    }
    for (int i = 0; i < DRAWS_MAX && blocks > 1; i++) {
        uint64_t block = 1 + prng_below(p, blocks - 1);
        const uint8_t *at = b.data + block * WAL_BLOCK;
        if (!block_is_used(at) && (out->target == ROT_BATCH_HEAD || prng_below(p, 16) != 0))
            continue;
        size_t used = block_is_used(at) ? WAL_BATCH_HEADER + le32_get(at + 8) : WAL_BLOCK;
        if (used > b.count - block * WAL_BLOCK)
            continue;
        out->offset = block * WAL_BLOCK +
                      prng_below(p, out->target == ROT_BATCH_HEAD ? WAL_BATCH_HEADER : used);
        return true;
    }
    return false;
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool log_draw(const char *folder, struct prng *p, struct rot_place *out)
{
    static char names[SEGMENTS_FOUND][sizeof(((struct dirent *)0)->d_name)];
    char path[ROT_PATH_BYTES];
    unsigned count = 0;
    uint64_t number;
    snprintf(path, sizeof(path), "%s/wal", folder);
    DIR *d = opendir(path);
    gt_assert(d);
    for (struct dirent *e; (e = readdir(d)) && count < SEGMENTS_FOUND;)
        if (wal_segment_number(e->d_name, &number) == 0)
            snprintf(names[count++], sizeof(names[0]), "%s", e->d_name);
    closedir(d);
    if (count == 0)
        return false;
    qsort(names, count, sizeof(names[0]),
          name_compare); /* the order of a folder is nobody's seed */
    bool found = false;
    for (int i = 0; i < 8 && !found; i++) {
        int bytes = snprintf(out->file, sizeof(out->file), "%s/wal/%s", folder,
                             names[prng_below(p, count)]);
        gt_assert(bytes < (int)sizeof(out->file));
        struct bytes b = file_bytes(out->file);
        found = segment_draw(b, p, out);
        free(b.data);
    }
    return found;
}

/* ---- both ------------------------------------------------------------------------------------ */

bool rot_draw(const char *folder, struct prng *p, struct rot_place *out)
{
    *out = (struct rot_place){.target = (enum rot_target)prng_below(p, ROT_TARGETS),
                              .damage = ROT_BIT,
                              .mask = (uint8_t)(1u << prng_below(p, 8))};
    if (prng_below(p, SECTOR_CHANCE) == 0)
        out->damage = prng_below(p, 2) ? ROT_ZEROED : ROT_GARBLED;
    bool found =
        out->target < ROT_SEGMENT_HEAD ? index_draw(folder, p, out) : log_draw(folder, p, out);
    if (found && (out->damage == ROT_ZEROED || out->damage == ROT_GARBLED))
        out->offset = out->offset / SECTOR_BYTES * SECTOR_BYTES;
    return found;
}

void rot_strike(const struct rot_place *place, struct prng *p)
{
    uint8_t bytes[SECTOR_BYTES] = {0};
    size_t count = place->damage == ROT_BIT     ? 1
                   : place->damage == ROT_STALE ? sizeof(place->number)
                                                : SECTOR_BYTES;
    int fd = open(place->file, O_RDWR | O_CLOEXEC);
    gt_assert(fd >= 0);
    if (place->damage == ROT_BIT) {
        ssize_t got = pread(fd, bytes, 1, (off_t)place->offset);
        gt_assert(got == 1);
        bytes[0] ^= place->mask;
    } else if (place->damage == ROT_GARBLED) {
        prng_fill(p, bytes, count);
    } else if (place->damage == ROT_STALE) {
        le32_put(bytes, place->number);
    }
    ssize_t put = pwrite(fd, bytes, count, (off_t)place->offset);
    gt_assert(put == (ssize_t)count);
    close(fd);
}

void rot_tell(const struct rot_place *place, char *text, size_t bytes)
{
    const char *name = strrchr(place->file, '/');
    static const char *const damages[] = {"bit", "sector zeroed", "sector garbled", "stale child"};
    snprintf(text, bytes, "%s, %s at %s+%llu (page %llu +%llu) mask %02x",
             rot_target_names[place->target], damages[place->damage], name ? name + 1 : "",
             (unsigned long long)place->offset, (unsigned long long)(place->offset / PAGE_BYTES),
             (unsigned long long)(place->offset % PAGE_BYTES),
             place->damage == ROT_BIT ? place->mask : 0);
}
