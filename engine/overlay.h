/*
 * The overlay: the states newer than the index, in memory, by (partition, hash, key). It is the
 * engine's own and belongs to the loop thread until it is frozen; a frozen overlay is not changed
 * by anybody, so that the checkpoint may read it on its thread while the loop does.
 *
 * An entry of a key that was reaped has no record: it hides what older layers hold, until the
 * checkpoint has taken that out of the index.
 *
 * An entry knows what it is (its record and the log number of it) and its *base*: what the index
 * holds for the key at the moment when this entry is written there. The difference of the two is
 * what a checkpoint changes in the counts of the partition.
 *
 * Nothing is ever taken out of an overlay but everything at once: after a checkpoint the frozen one
 * is cleared and used again. A hash table finds one key; a chain for each partition finds all keys
 * of it, so that a scan visits only what it may need.
 */
#ifndef GT_ENGINE_OVERLAY_H
#define GT_ENGINE_OVERLAY_H

#include "engine/base/blob.h"

/* What stands for a key: these numbers are the `previous` byte of a log record (engine.h). */
enum presence_kind { PRESENCE_ABSENT, PRESENCE_TOMBSTONE, PRESENCE_VALUE, PRESENCE_BAD };

struct presence {
    uint64_t digest; /* of the record; 0 when absent */
    uint32_t bytes;  /* of the record; 0 when absent */
    uint8_t kind;    /* enum presence_kind */
};

struct overlay_entry {
    struct overlay_entry *next; /* of the same partition */
    struct blob *record;        /* one reference; NULL: the key is gone */
    uint64_t hash, lsn;         /* of the key; of the newest log record of this key */
    struct presence now, base;
    uint32_t partition, key_bytes;
    uint8_t key[];
};

static inline struct slice overlay_key(const struct overlay_entry *entry)
{
    return slice_of(entry->key, entry->key_bytes);
}

struct overlay_chain {
    struct overlay_entry *first;
    uint64_t bytes; /* keys and records */
    uint32_t records;
    bool dirty; /* in the list of dirty partitions */
};

struct overlay_slot {
    uint64_t hash;
    struct overlay_entry *entry; /* NULL: free */
};

struct overlay {
    struct overlay_slot *slots; /* a power of two, at most half full */
    uint32_t slot_count, records;
    uint64_t bytes;               /* memory held by entries and their records */
    struct overlay_chain *chains; /* by partition, as far as one was reserved */
    uint32_t chain_count;
    uint32_t *dirty; /* partitions with a chain, in order of their first entry */
    uint32_t dirty_count, dirty_capacity;
};

/* NULL when out of memory. */
struct overlay *overlay_new(void);
void overlay_free(struct overlay *o);
/* Drops all entries, keeps the tables. */
void overlay_clear(struct overlay *o);

struct overlay_entry *overlay_find(const struct overlay *o, uint32_t partition, uint64_t hash,
                                   struct slice key);

/*
 * A new key goes in by three steps, of which only the first two can fail, so that the caller can
 * be sure of them before it logs: reserve makes room in the tables for one entry of the partition,
 * entry_new makes the entry (overlay_entry_free undoes it), insert puts it in. The record is given;
 * NULL: the key is gone.
 */
int overlay_reserve(struct overlay *o, uint32_t partition);
struct overlay_entry *overlay_entry_new(uint32_t partition, uint64_t hash, struct slice key,
                                        const struct presence *base);
void overlay_entry_free(struct overlay_entry *entry);
void overlay_insert(struct overlay *o, struct overlay_entry *entry, struct blob *record,
                    const struct presence *now, uint64_t lsn);
/* The partition's value has changed, though perhaps none of its records: it is dirty. After a
 * reserve. */
void overlay_touch(struct overlay *o, uint32_t partition);
/* Replaces the record of an entry that is in o. The record is given; the base stays. */
void overlay_replace(struct overlay *o, struct overlay_entry *entry, struct blob *record,
                     const struct presence *now, uint64_t lsn);

/* A growing list of borrowed entries. */
struct overlay_list {
    struct overlay_entry **items;
    uint32_t count, capacity;
};
void overlay_list_close(struct overlay_list *list);
/* Appends the entries of a partition; with a cursor only those after it. 0 or GT_ENOMEM. */
struct overlay_cursor {
    uint64_t hash;
    struct slice key;
};
int overlay_collect(const struct overlay *o, uint32_t partition, const struct overlay_cursor *after,
                    struct overlay_list *list);
/* By (hash, key). Of two entries of one key the one with the higher LSN comes first. */
void overlay_list_sort(struct overlay_list *list);
/* The order of the index: by hash, then key bytes. */
int overlay_key_compare(uint64_t hash_a, struct slice a, uint64_t hash_b, struct slice b);

#endif
