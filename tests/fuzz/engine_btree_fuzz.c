/*
 * Pages of the index: whatever stands in them, nothing is read outside of the file, every call
 * ends, and a scan and a search agree. The input is a list of changes, of eight bytes each, to a
 * file that LMDB could have written: three leaves under a branch, a value of two pages, a free
 * page. The file stands in a heap block of exactly its size.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/btree.h"

#define PAGE   512u
#define PAGES  12u
#define LEAVES 3u
#define KEYS   6u /* of a leaf */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity);

/* ---- a good file ----------------------------------------------------------------------------- */

enum { TABLES = 2, ROOT = 3, LEAF = 4, BIG = 7, FREE = 9 };

struct page {
    uint8_t *at;
    unsigned lower, upper;
};

static struct page page_begin(uint8_t *file, unsigned number, unsigned kind)
{
    struct page p = {file + number * PAGE, 16, PAGE};
    le64_put(p.at, number);
    le16_put(p.at + 10, (uint16_t)kind);
    return p;
}

static uint8_t *node_add(struct page *p, struct slice key, size_t bytes)
{
    p->upper -= (unsigned)(8 + key.bytes + bytes + 1) / 2 * 2;
    uint8_t *node = p->at + p->upper;
    le16_put(node + 6, (uint16_t)key.bytes);
    if (key.bytes > 0)
        memcpy(node + 8, key.data, key.bytes);
    le16_put(p->at + p->lower, (uint16_t)p->upper);
    p->lower += 2;
    le16_put(p->at + 12, (uint16_t)p->lower);
    le16_put(p->at + 14, (uint16_t)p->upper);
    return node;
}

static void value_add(struct page *p, struct slice key, const void *value, size_t bytes,
                      unsigned flags)
{
    uint8_t *node = node_add(p, key, bytes);
    le32_put(node, (uint32_t)bytes);
    le16_put(node + 4, (uint16_t)flags);
    memcpy(node + 8 + key.bytes, value, bytes);
}

static void tree_put(uint8_t at[48], uint16_t flags, uint16_t levels, uint64_t branches,
                     uint64_t leaves, uint64_t overflows, uint64_t entries, uint64_t root)
{
    memset(at, 0, 48);
    le16_put(at + 4, flags);
    le16_put(at + 6, levels);
    le64_put(at + 8, branches);
    le64_put(at + 16, leaves);
    le64_put(at + 24, overflows);
    le64_put(at + 32, entries);
    le64_put(at + 40, root);
}

static struct slice key_of(unsigned number, uint8_t at[2])
{
    at[0] = 'k';
    at[1] = (uint8_t)(number * 8);
    return slice_of(at, 2);
}

static void file_make(uint8_t file[PAGES * PAGE])
{
    uint8_t key[2], tree[48], list[16], commit[8];
    memset(file, 0, PAGES * PAGE);
    struct page tables = page_begin(file, TABLES, 2);
    tree_put(tree, 0, 2, 1, LEAVES, 2, LEAVES * KEYS, ROOT);
    value_add(&tables, slice_text("data"), tree, 48, 2);
    struct page root = page_begin(file, ROOT, 1);
    for (unsigned leaf = 0; leaf < LEAVES; leaf++) {
        struct slice first = leaf ? key_of(leaf * KEYS, key) : slice_of(NULL, 0);
        le32_put(node_add(&root, first, 0), LEAF + leaf);
        struct page p = page_begin(file, LEAF + leaf, 2);
        for (unsigned i = 0; i < KEYS; i++) {
            uint64_t big = BIG;
            bool is_big = leaf == 1 && i == 2;
            value_add(&p, key_of(leaf * KEYS + i, key), is_big ? (void *)&big : "value",
                      is_big ? 8 : 5, is_big ? 1 : 0);
            if (is_big)
                le32_put(p.at + p.upper, PAGE + 100);
        }
    }
    struct page big = page_begin(file, BIG, 4);
    le32_put(big.at + 12, 2);
    struct page unused = page_begin(file, FREE, 2);
    le64_put(list, 2);
    uint8_t numbers[24];
    le64_put(numbers, 2);
    le64_put(numbers + 8, 11);
    le64_put(numbers + 16, 10);
    le64_put(commit, 6);
    value_add(&unused, slice_of(commit, 8), numbers, sizeof(numbers), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct page meta = page_begin(file, i, 8);
        le32_put(meta.at + 16, 0xbeefc0de);
        le32_put(meta.at + 20, 1);
        tree_put(meta.at + 40, 8, 1, 0, 1, 0, 1, FREE);
        le32_put(meta.at + 40, PAGE);
        tree_put(meta.at + 88, 0, 1, 0, 1, 0, 1, TABLES);
        le64_put(meta.at + 136, PAGES - 1);
        le64_put(meta.at + 144, 6 + i);
    }
}

/* ---- what is tried --------------------------------------------------------------------------- */

struct seen {
    uint8_t last[512];
    size_t last_bytes;
    unsigned count;
    uint32_t sum;
};

static int take(void *arg, struct slice key, struct slice value)
{
    struct seen *s = arg;
    gt_assert(key.bytes <= PAGE && ++s->count <= 100000);
    for (size_t i = 0; i < value.bytes; i++) /* the sanitizer looks */
        s->sum += value.data[i];
    if (key.bytes > 0)
        memcpy(s->last, key.data, key.bytes);
    s->last_bytes = key.bytes;
    return 0;
}

static bool is_sound(const struct btree_entry *e)
{
    return e->key.bytes == 2 && e->key.data[0] == 'k' && e->key.data[1] % 8 == 0;
}

static void table_try(const struct btree *s, const struct btree_root *t, bool changed)
{
    uint8_t at[2];
    struct slice value;
    struct btree_hole hole;
    struct seen all = {.count = 0};
    int result = btree_scan(s, t, slice_of(NULL, 0), is_sound, take, &all, &hole);
    gt_assert(result == 0 || (result == GT_ECORRUPT && hole.met));
    gt_assert(changed || (result == 0 && all.count == LEAVES * KEYS));
    for (unsigned i = 0; i <= LEAVES * KEYS; i++) {
        struct btree_guarded guarded = {0};
        struct seen rest = {.count = 0};
        struct slice key = key_of(i, at);
        int found = btree_find(s, t, key, is_sound, &value);
        gt_assert(found == 0 || found == GT_ENOTFOUND || found == GT_ECORRUPT);
        gt_assert(changed || found == (i < LEAVES * KEYS ? 0 : GT_ENOTFOUND));
        int guard = btree_guard(s, t, key, is_sound, &guarded);
        gt_assert(changed || guard == 0);
        struct slice some;
        btree_find_some(s, t, &key, 1, &some);
        gt_assert(!some.data || (found == 0 && slice_equal(some, value)));
        gt_assert(changed || found != 0 || some.data || value.bytes > PAGE);
        btree_scan(s, t, key, is_sound, take, &rest, &hole);
        gt_assert(changed || rest.count == LEAVES * KEYS - i);
    }
}

static void file_try(const uint8_t *file, size_t bytes, bool changed)
{
    for (unsigned which = 0; which < 2; which++) {
        struct btree s;
        struct btree_root t;
        if (btree_meta_read(file, bytes, which, &s) != 0) {
            gt_assert(changed);
            continue;
        }
        int error = btree_check(&s);
        gt_assert(error == 0 || error == GT_ECORRUPT);
        gt_assert(changed || (error == 0 && s.tables_sound && s.freed == 6));
        if (btree_table(&s, slice_text("data"), &t) == 0)
            table_try(&s, &t, changed);
        else
            gt_assert(changed);
        gt_assert(changed || btree_table(&s, slice_text("none"), &t) == GT_ENOTFOUND);
        btree_close(&s);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *file = malloc(PAGES * PAGE);
    gt_assert(file);
    file_make(file);
    bool changed = false;
    for (size_t i = 0; i + 8 <= size && i < 64 * 8; i += 8) {
        size_t at = le32_get(data + i) % (PAGES * PAGE - 3);
        uint32_t mask = le32_get(data + i + 4);
        le32_put(file + at, le32_get(file + at) ^ mask);
        changed |= mask != 0;
    }
    size_t bytes = size % 8 == 7 ? size % (PAGES * PAGE) : PAGES * PAGE;
    if (bytes < PAGES * PAGE) { /* a file cut short */
        uint8_t *cut = malloc(bytes ? bytes : 1);
        gt_assert(cut);
        memcpy(cut, file, bytes);
        free(file);
        file = cut;
    }
    file_try(file, bytes, changed || bytes < PAGES * PAGE);
    free(file);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity)
{
    if (index > 96 || capacity < 16)
        return 0;
    memset(out, 0, 16);
    if (index == 0)
        return 8; /* nothing is changed */
    /* One bit of the structure of a page. */
    uint32_t page = index % PAGES, at = index / PAGES * 3;
    le32_put(out, page * PAGE + at);
    le32_put(out + 4, 1u << (index * 7 % 32));
    return 8;
}
