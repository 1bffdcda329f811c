/*
 * What a guest keeps for owners that could not be reached (RULES 5): parcels, one for each target
 * and key, outside of the node's own partitions: without clock, log or dots of its own. A newer one
 * is the merge of both. Which version of a parcel is meant is told by its number, the LSN of its
 * log record: whoever delivered one version does not drop a newer one.
 *
 * Kept in memory is what a parcel is for; its bytes are here until a checkpoint has moved them into
 * the index, and are read from there then.
 *
 *   put ----> dirty --freeze--> frozen --checkpoint ended--> in the index alone
 *               ^  \              |  \                          |
 *               |   drop          |   drop: gone, taken out by the next checkpoint
 *               '---- newer ------'-----------------------------'
 *
 * Bytes of a parcel: u64 number; u64 seconds since 1970 when the first version was made; varint
 * dots, each 24 B: what it sets in the target's clock; varint length, record; varint bytes,
 * operations (reserved, 0). Unknown trailing bytes are ignored. Index (INDEX_PARCEL): key = target
 * u64 BE, partition u16 BE, hash of the key u64 BE, key bytes; value = u32 CRC32C of key and all
 * that follows, u8 format 1, the parcel's bytes.
 */
#ifndef GT_ENGINE_PARCELS_H
#define GT_ENGINE_PARCELS_H

#include "engine/base/buf.h"

#define PARCEL_KEY_BYTES_MIN 18 /* of an index key, without the key's own bytes */

/* Which one is meant. */
struct parcel_name {
    uint64_t target, hash;
    uint32_t partition;
    struct slice key;
};

/* Its bytes, taken apart; slices borrow. */
struct parcel_value {
    uint64_t number, made_s;
    struct slice dots, record, operations;
};
void parcel_value_encode(const struct parcel_value *v, struct buf *out);
int parcel_value_decode(struct slice bytes, struct parcel_value *v); /* 0 or GT_ECORRUPT */

/* at has INDEX_KEY_BYTES_MAX bytes. Returns a slice of it. */
struct slice parcel_index_key(uint8_t *at, const struct parcel_name *name);
int parcel_index_key_split(struct slice index_key, struct parcel_name *name); /* or GT_ECORRUPT */

struct parcel {
    struct parcel *next; /* of the same bucket */
    uint64_t number, made_s, target, hash;
    uint32_t partition, key_bytes, value_bytes;
    struct blob *value; /* its bytes; NULL: in the index alone */
    bool stored;        /* some version is in the index, or on its way there */
    uint8_t key[];
};
static inline struct slice parcel_key(const struct parcel *p)
{
    return slice_of(p->key, p->key_bytes);
}

/* One target's parcels in the order of their numbers; a place whose parcel went is a hole. */
struct parcel_place {
    uint64_t number, made_s;
    struct parcel *parcel;
};
struct parcel_target {
    uint64_t target, bytes;
    struct parcel_place *places;
    uint32_t place_count, place_capacity, parcels;
};

struct parcels {
    struct parcel **buckets; /* a power of two */
    uint32_t bucket_count;
    struct parcel_target *targets; /* those that have any */
    uint32_t target_count, target_capacity;
    uint32_t count;
    uint64_t bytes;       /* keys and values */
    uint64_t dirty_bytes; /* of what came since the last freeze */
    uint64_t frozen;      /* its cut, 0: none yet */
    uint64_t highest;     /* number that was loaded */
    struct blob **gone;   /* index keys of what was dropped and is stored */
    uint32_t gone_count, gone_capacity;
    uint32_t *partition_counts; /* by partition, as far as one was met */
    uint32_t partition_count;
};

void parcels_init(struct parcels *p);
void parcels_close(struct parcels *p);
struct parcel *parcels_find(const struct parcels *p, const struct parcel_name *name);

/*
 * A new version of a parcel that is known, or the first one: then `made`, from parcel_new, is
 * given. Only reserve can fail, so that the caller can be sure before it logs; put takes over
 * `value`.
 */
struct parcel *parcel_new(const struct parcel_name *name); /* NULL when out of memory */
void parcel_free(struct parcel *p);                        /* one that was not put; NULL too */
/* Room for one more parcel of the target. 0 or GT_ENOMEM. */
int parcels_reserve(struct parcels *p, uint64_t target, uint32_t partition);
void parcels_put(struct parcels *p, struct parcel *known, struct parcel *made, uint64_t number,
                 uint64_t made_s, struct blob *value);
/* As put, of one that is in the index: its bytes stay there. 0 or GT_ENOMEM. */
int parcels_load(struct parcels *p, const struct parcel_name *name, uint64_t number,
                 uint64_t made_s, uint32_t value_bytes);
/* Room for one drop: 0 or GT_ENOMEM. */
int parcels_drop_reserve(struct parcels *p, const struct parcel *parcel, struct blob **index_key);
/* Takes over index_key, which is NULL when nothing of it is stored. Frees the parcel. */
void parcels_drop(struct parcels *p, struct parcel *parcel, struct blob *index_key);

const struct parcel_target *parcels_of(const struct parcels *p, uint64_t target); /* NULL: none */
/* The first place whose number is above. */
uint32_t parcels_place(const struct parcel_target *t, uint64_t above);
/* How many are kept for owners of the partition. */
uint32_t parcels_of_partition(const struct parcels *p, uint32_t partition);

/* What a checkpoint takes along. */
struct frozen_parcel {
    struct blob *key, *value; /* value NULL: it goes */
};
/* Everything that changed since the last freeze: what went comes first, since it may be back. 0 or
 * GT_ENOMEM. It counts as on its way with parcels_frozen, at the LSN of the cut. */
int parcels_freeze(const struct parcels *p, struct frozen_parcel **list, uint32_t *count);
void parcels_frozen(struct parcels *p, uint64_t cut);
void frozen_parcels_free(struct frozen_parcel *list, uint32_t count);
/* The checkpoint with this one is in the index; its cut was that LSN. */
void parcels_settle(struct parcels *p, const struct frozen_parcel *f, uint64_t cut);

#endif
