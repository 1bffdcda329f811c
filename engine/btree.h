/*
 * The pages of the index, read by somebody who trusts none of them. LMDB keeps no checksums and
 * follows whatever number stands in a page: one flipped bit of a header sends it out of its file,
 * or makes it write over the heap. So reads are done here, and before a write the pages that LMDB
 * will touch are looked at. Everything is checked that one flipped bit can change; what a record
 * says is for its own checksum (record.h).
 *
 * FILE (LMDB 0.9, data version 1; little-endian; lock file and writing are LMDB's)
 *   page     0 u64 its own number; 8 u16 0; 10 u16 kind: 1 branch, 2 leaf, 4 overflow, 8 meta;
 *            12 u16 lower, end of the pointers; 14 u16 upper, begin of the nodes (overflow: 12 u32
 *            pages); 16 pointers, u16 each, in the order of the keys. The nodes fill the page from
 *            upper on without a gap, each padded to an even length
 *   node     0 u32 bytes of the value; 4 u16 flags: 1 the value is the u64 number of an overflow
 *            page, 2 it is a table; 6 u16 bytes of the key; 8 key, value.
 *            In a branch the first 6 bytes are the number of the child, and nothing follows the
 *            key; the key of its first node counts for nothing
 *   tree     0 u32 pad; 4 u16 flags; 6 u16 levels; 8 u64 branches; 16 u64 leaves; 24 u64 overflow
 *            pages; 32 u64 entries; 40 u64 root, all ones: empty
 *   meta     pages 0 and 1, written in turn: 16 u32 magic; 20 u32 version; 24 u64 0; 32 u64 size
 *            of the map; 40 tree of the free pages (its pad: bytes of a page; its flags: 8, and
 *            0x4000 when the file was made under a name of its own); 88 tree of the tables;
 *            136 u64 last page; 144 u64 commit. Commit N stands in page N mod 2, beside commit N-1
 *   free     u64 commit -> u64 count, u64 page numbers, falling: given up by that commit
 *
 * A commit writes no page that either of the two metas knows to be in use: with the newest damaged
 * the one before is whole.
 *
 * VALID  A page is taken if it says its own number, is of the kind that its level demands and is
 * not among the free ones: a page that an older commit used is free, and would show what was there
 * then. A key is absent only if, in addition, all pages on the way tile without gap, the keys of
 * the leaf are in order and inside the bounds that its parents set, the nearest keys on both sides
 * are inside theirs, and each entry of the leaf is what the caller calls sound.
 *
 * No state is kept but the map of free pages. Memory is read through the caller's map, so an error
 * of the medium under it is still SIGBUS.
 */
#ifndef GT_ENGINE_BTREE_H
#define GT_ENGINE_BTREE_H

#include "engine/base/buf.h"

#define BTREE_LEVELS_MAX 32
#define BTREE_META_BYTES 136u /* of a meta, behind the head of its page */
#define BTREE_TREE_BYTES 48u

struct btree_root {
    uint64_t root, branches, leaves, overflows, entries;
    uint16_t levels, flags;
};

struct btree {
    const uint8_t *map; /* borrowed */
    size_t page_bytes;
    uint64_t count,
        commit;     /* pages of this commit; the last may be free and behind the file's end */
    uint64_t held;  /* pages of the file */
    uint64_t freed; /* the newest commit of which pages are free; 0: none */
    struct btree_root free, tables;
    uint8_t *unused; /* a bit for each page: it is free. NULL: not known, nothing is asked of it */
    /* Told by a walk of the pages that it will come to soon, so that the disk is not asked for one
     * after the other. NULL: nobody is. */
    void (*ahead)(const struct btree *s, uint64_t first, uint64_t count);
    bool tables_sound;
};

/* An entry of a leaf, and the keys before and behind it; no data: there is none in this leaf. */
struct btree_entry {
    struct slice key, value, before, after;
};
/* An entry is what it should be, as far as its key and value tell. */
typedef bool btree_sound_fn(const struct btree_entry *e);

/* Of meta 0 or 1 of a file of so many bytes at `map`: 0; GT_ECORRUPT; GT_EFORMAT: all is well but
 * the version. Nothing is owned. */
int btree_meta_read(const uint8_t *map, uint64_t bytes, unsigned which, struct btree *out);
/* Whether all that this commit says of its free pages and tables is so, and each table begins as it
 * should; the free pages into s->unused, and s->tables_sound when the tables are, at least. 0,
 * GT_ECORRUPT, GT_ENOMEM. btree_close ends it. */
int btree_check(struct btree *s);
void btree_close(struct btree *s);

/* A named table: 0; GT_ENOTFOUND, GT_ECORRUPT. */
int btree_table(const struct btree *s, struct slice name, struct btree_root *out);
/* The value of a key, borrowed from the map: 0; GT_ENOTFOUND; GT_ECORRUPT: it is not known. */
int btree_find(const struct btree *s, const struct btree_root *t, struct slice key,
               btree_sound_fn *sound, struct slice *value);
/* The same for many keys side by side, while the processor fetches what each of them will touch
 * next: a search by itself waits for memory at each of its steps. values[i]: borrowed from the map;
 * no data: it was not found, is not in a leaf, or is not known, and btree_find tells which. */
void btree_find_some(const struct btree *s, const struct btree_root *t, const struct slice *keys,
                     unsigned count, struct slice *values);
/* What was looked at last in a write; zero: nothing. Keys that follow in the same leaf are not
 * looked at again, nor are branches that the way goes through once more: LMDB works on copies of
 * those by now. Borrowed from the map. */
struct btree_guarded {
    bool any, overflows;
    struct slice low, high;
    struct {
        const uint8_t *page;
        unsigned at;
    } branches[BTREE_LEVELS_MAX];
};
/* The pages that a write of this key touches, and their neighbours: 0 or GT_ECORRUPT. */
int btree_guard(const struct btree *s, const struct btree_root *t, struct slice key,
                btree_sound_fn *sound, struct btree_guarded *last);

/* Where a walk could not go on: what lies from `from` to below `to`, empty `to`: to the end, is not
 * known. Borrowed from the map. */
struct btree_hole {
    bool met;
    struct slice from, to;
};
/* Calls each(arg, key, value) for keys from `from` on in the order in which they lie, which is that
 * of the keys but for those that have rotted: a key outside of the bounds that its page has is
 * passed on if it is not sound. 0, what each returned, or GT_ECORRUPT with *hole. */
int btree_scan(const struct btree *s, const struct btree_root *t, struct slice from,
               btree_sound_fn *sound, int (*each)(void *arg, struct slice key, struct slice value),
               void *arg, struct btree_hole *hole);

/* Walks all of a table, or of s->free or s->tables, and takes its pages: one that was taken before,
 * in this walk or another one, is damage. For pages that may not be of one moment; behind
 * btree_check, and nothing else reads from s any more. 0 or GT_ECORRUPT. */
int btree_take(struct btree *s, const struct btree_root *t);

#endif
