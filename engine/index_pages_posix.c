/*
 * Whether the pages of an index's file hang together: that LMDB can walk them without leaving them.
 * It trusts what it reads, and is only right to when the file is of one moment. A copy of a running
 * folder may not be, so its pages are looked at before LMDB does (lmdb 0.9, little-endian, 64
 * bits).
 *
 * PAGE     0   8  its number
 *          8   2  pad: the size of a page, in a meta page
 *          10  2  flags: 1 branch, 2 leaf, 4 overflow, 8 meta, 16 dirty (never on disk)
 *          12  2  lower: end of the places; 2 upper: begin of the nodes. Overflow: u32 pages
 *          16     branch, leaf: u16 places of the nodes, as many as fit below lower
 * NODE     0   2  low, 2 high: bytes of data; with the flags behind them a branch's page number
 *          4   2  flags: 1 data on overflow pages, 2 data is a tree
 *          6   2  bytes of the key, which follows; then the data, or u64 the first overflow page
 * TREE     0   4  pad; 2 flags; 2 depth; 3 x u64 pages of each kind; u64 entries; u64 root, or all
 *                 bits set (48 bytes)
 * META     16  4  magic; 4 version; 8 address; 8 map bytes; 48 tree of free pages; 48 tree of
 *                 tables; u64 last page; u64 number of the transaction. Two pages; the higher
 * counts
 *
 * Sound means: each page that a tree reaches is inside the file, has its own number and the kind
 * that is expected there, no node leaves it, the nodes fill what is behind `upper`, all leaves lie
 * at the depth that the tree says, no page is reached twice, and none of the free ones at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/index.h"

#define MAGIC            0xBEEFC0DEu
#define PAGE_HEADER      16u
#define NODE_HEADER      8u
#define TREE_BYTES       48u
#define META_FREE        (PAGE_HEADER + 24u)
#define META_TABLES      (META_FREE + TREE_BYTES)
#define META_LAST        (META_TABLES + TREE_BYTES)
#define META_TRANSACTION (META_LAST + 8u)
#define META_BYTES       (META_TRANSACTION + 8u)
#define NO_PAGE          UINT64_MAX
#define DEPTH_MAX        32u
#define FREE_TREE        0 /* what the leaves of a tree hold */
#define TABLES_TREE      1
#define RECORDS_TREE     2

enum { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_OVERFLOW = 4, PAGE_META = 8 };
enum { NODE_OVERFLOW = 1, NODE_TREE = 2 };

struct pages {
    const uint8_t *data;
    uint64_t count; /* of whole pages in the file that the meta page knows of */
    uint32_t page_bytes;
    uint8_t *seen; /* a bit for each */
};

static const uint8_t *page_at(const struct pages *p, uint64_t number)
{
    return p->data + number * p->page_bytes;
}

/* Takes the page for the one that reaches it; false when it is none, or was taken before. */
static bool page_take(struct pages *p, uint64_t number)
{
    if (number < 2 || number >= p->count || (p->seen[number / 8] >> number % 8 & 1))
        return false;
    p->seen[number / 8] |= (uint8_t)(1u << number % 8);
    return true;
}

static bool overflow_take(struct pages *p, uint64_t first, uint64_t bytes)
{
    if (first < 2 || first >= p->count)
        return false;
    const uint8_t *h = page_at(p, first);
    uint64_t pages = (PAGE_HEADER + bytes + p->page_bytes - 1) / p->page_bytes;
    if (le64_get(h) != first || le16_get(h + 10) != PAGE_OVERFLOW || le32_get(h + 12) != pages ||
        pages > p->count - first)
        return false;
    for (uint64_t i = 0; i < pages; i++)
        if (!page_take(p, first + i))
            return false;
    return true;
}

/* What a transaction has freed: u64 count, and so many page numbers, falling. */
static bool free_take(struct pages *p, struct slice data)
{
    if (data.bytes < 8 || data.bytes / 8 - 1 != le64_get(data.data) || data.bytes % 8 != 0)
        return false;
    uint64_t above = UINT64_MAX;
    for (size_t at = 8; at < data.bytes; at += 8) {
        uint64_t number = le64_get(data.data + at);
        if (number >= above || !page_take(p, number))
            return false;
        above = number;
    }
    return true;
}

static bool tree_take(struct pages *p, const uint8_t *tree, int holds);

static bool leaf_take(struct pages *p, const uint8_t *node, uint64_t bytes, int holds)
{
    const uint8_t *data = node + NODE_HEADER + le16_get(node + 6);
    unsigned flags = le16_get(node + 4);
    if (flags == NODE_TREE)
        return holds == TABLES_TREE && bytes == TREE_BYTES && tree_take(p, data, RECORDS_TREE);
    if (flags != 0 && flags != NODE_OVERFLOW)
        return false;
    if (flags == NODE_OVERFLOW) {
        uint64_t first = le64_get(data);
        if (!overflow_take(p, first, bytes))
            return false;
        data = page_at(p, first) + PAGE_HEADER;
    }
    return holds != FREE_TREE || (le16_get(node + 6) == 8 && free_take(p, slice_of(data, bytes)));
}

/* The bytes that a node takes in its page, or 0 when it leaves the page. */
static uint32_t node_bytes(const struct pages *p, const uint8_t *page, uint32_t at, bool leaf)
{
    if (at + NODE_HEADER > p->page_bytes)
        return 0;
    const uint8_t *node = page + at;
    uint64_t bytes = NODE_HEADER + le16_get(node + 6);
    if (leaf)
        bytes += le16_get(node + 4) & NODE_OVERFLOW ? 8 : le32_get(node);
    return bytes <= p->page_bytes - at ? (uint32_t)(bytes + (bytes & 1)) : 0;
}

static bool page_check(struct pages *p, uint64_t number, unsigned depth, int holds)
{
    if (!page_take(p, number))
        return false;
    const uint8_t *page = page_at(p, number);
    uint32_t lower = le16_get(page + 12), upper = le16_get(page + 14), filled = 0;
    bool leaf = depth == 1;
    if (le64_get(page) != number || le16_get(page + 10) != (leaf ? PAGE_LEAF : PAGE_BRANCH) ||
        lower < PAGE_HEADER || lower % 2 != 0 || lower > upper || upper > p->page_bytes)
        return false;
    uint32_t nodes = (lower - PAGE_HEADER) / 2;
    if (nodes < (leaf ? 1u : 2u))
        return false;
    for (uint32_t i = 0; i < nodes; i++) {
        uint32_t at = le16_get(page + PAGE_HEADER + 2 * i);
        uint32_t bytes = at >= upper && at % 2 == 0 ? node_bytes(p, page, at, leaf) : 0;
        const uint8_t *node = page + at;
        if (bytes == 0)
            return false;
        filled += bytes;
        bool good = leaf ? leaf_take(p, node, le32_get(node), holds)
                         : page_check(p, le32_get(node) | (uint64_t)le16_get(node + 4) << 32,
                                      depth - 1, holds);
        if (!good)
            return false;
    }
    return filled == p->page_bytes - upper;
}

static bool tree_take(struct pages *p, const uint8_t *tree, int holds)
{
    unsigned depth = le16_get(tree + 6);
    uint64_t root = le64_get(tree + 40);
    if (root == NO_PAGE)
        return depth == 0;
    return depth >= 1 && depth < DEPTH_MAX && page_check(p, root, depth, holds);
}

/* The meta page that counts; NULL: neither is one. */
static const uint8_t *meta_find(const uint8_t *data, uint64_t bytes, uint32_t page_bytes)
{
    const uint8_t *found = NULL;
    for (uint64_t at = 0; at < 2 * (uint64_t)page_bytes; at += page_bytes) {
        const uint8_t *m = data + at;
        if (at + META_BYTES > bytes || le32_get(m + 16) != MAGIC ||
            !(le16_get(m + 10) & PAGE_META) || le32_get(m + META_FREE) != page_bytes)
            return NULL;
        if (!found || le64_get(m + META_TRANSACTION) > le64_get(found + META_TRANSACTION))
            found = m;
    }
    return found;
}

static int file_check(const uint8_t *data, uint64_t bytes)
{
    uint32_t page_bytes = bytes >= META_BYTES ? le32_get(data + META_FREE) : 0;
    if (page_bytes < 512 || page_bytes > 65536 / 2 || (page_bytes & (page_bytes - 1)) != 0)
        return GT_ECORRUPT;
    const uint8_t *meta = meta_find(data, bytes, page_bytes);
    if (!meta)
        return GT_ECORRUPT;
    struct pages p = {.data = data, .count = bytes / page_bytes, .page_bytes = page_bytes};
    uint64_t last = le64_get(meta + META_LAST);
    if (last < p.count)
        p.count = last + 1;
    p.seen = calloc(1, p.count / 8 + 1);
    if (!p.seen)
        return GT_ENOMEM;
    bool sound = tree_take(&p, meta + META_FREE, FREE_TREE) &&
                 tree_take(&p, meta + META_TABLES, TABLES_TREE);
    free(p.seen);
    return sound ? 0 : GT_ECORRUPT;
}

int index_pages_check(const char *folder, struct log *log)
{
    char path[4096];
    struct stat facts;
    if (snprintf(path, sizeof(path), "%s/index/data.mdb", folder) >= (int)sizeof(path))
        return GT_EIO;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : GT_EIO;
    int error = GT_EIO;
    void *data = MAP_FAILED;
    if (fstat(fd, &facts) == 0 && facts.st_size == 0)
        error = GT_ECORRUPT;
    else if (facts.st_size > 0)
        data = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (data != MAP_FAILED) {
        error = file_check(data, (uint64_t)facts.st_size);
        munmap(data, (size_t)facts.st_size);
    }
    close(fd);
    if (error)
        log_error(log, "index is not of one moment file=%s cause=%s", path, error_text(error));
    return error;
}
