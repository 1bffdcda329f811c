#include "engine/overlay.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"

#define SLOTS_MIN  1024u
#define CHAINS_MIN 64u
/* What an entry costs besides its bytes: two allocations' headers and a half-full table. */
#define ENTRY_OVERHEAD 64u

struct overlay *overlay_new(void)
{
    struct overlay *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    o->slots = calloc(SLOTS_MIN, sizeof(*o->slots));
    if (!o->slots) {
        overlay_free(o);
        return NULL;
    }
    o->slot_count = SLOTS_MIN;
    return o;
}

void overlay_free(struct overlay *o)
{
    if (!o)
        return;
    overlay_clear(o);
    free(o->slots);
    free(o->chains);
    free(o->dirty);
    free(o);
}

void overlay_clear(struct overlay *o)
{
    for (uint32_t i = 0; i < o->dirty_count; i++) {
        struct overlay_chain *chain = &o->chains[o->dirty[i]];
        struct overlay_entry *next;
        for (struct overlay_entry *entry = chain->first; entry; entry = next) {
            next = entry->next;
            overlay_entry_free(entry);
        }
        *chain = (struct overlay_chain){0};
    }
    if (o->records > 0)
        memset(o->slots, 0, o->slot_count * sizeof(*o->slots));
    o->dirty_count = 0;
    o->records = 0;
    o->bytes = 0;
}

static uint32_t slot_first(uint32_t slot_count, uint32_t partition, uint64_t hash)
{
    /* The high bits of the hash decide the partition; the low ones are as good as random. */
    return (uint32_t)(hash ^ partition * 0x9e3779b1u) & (slot_count - 1);
}

struct overlay_entry *overlay_find(const struct overlay *o, uint32_t partition, uint64_t hash,
                                   struct slice key)
{
    uint32_t mask = o->slot_count - 1;
    for (uint32_t i = slot_first(o->slot_count, partition, hash); o->slots[i].entry;
         i = (i + 1) & mask) {
        struct overlay_entry *entry = o->slots[i].entry;
        if (o->slots[i].hash == hash && entry->partition == partition &&
            slice_equal(overlay_key(entry), key))
            return entry;
    }
    return NULL;
}

static void slot_fill(struct overlay_slot *slots, uint32_t slot_count, struct overlay_entry *entry)
{
    uint32_t i = slot_first(slot_count, entry->partition, entry->hash);
    while (slots[i].entry)
        i = (i + 1) & (slot_count - 1);
    slots[i] = (struct overlay_slot){entry->hash, entry};
}

static int slots_grow(struct overlay *o)
{
    uint32_t slot_count = o->slot_count * 2;
    if (slot_count == 0)
        return GT_ENOMEM;
    struct overlay_slot *slots = calloc(slot_count, sizeof(*slots));
    if (!slots)
        return GT_ENOMEM;
    for (uint32_t i = 0; i < o->slot_count; i++)
        if (o->slots[i].entry)
            slot_fill(slots, slot_count, o->slots[i].entry);
    free(o->slots);
    o->slots = slots;
    o->slot_count = slot_count;
    return 0;
}

/* Most clusters have few partitions, and the number of them is not known here: the table reaches
 * as far as the highest that was written to. */
static int chains_grow(struct overlay *o, uint32_t partition)
{
    uint32_t chain_count = o->chain_count ? o->chain_count : CHAINS_MIN;
    while (chain_count <= partition)
        chain_count *= 2;
    struct overlay_chain *chains = realloc(o->chains, chain_count * sizeof(*chains));
    if (!chains)
        return GT_ENOMEM;
    memset(&chains[o->chain_count], 0, (chain_count - o->chain_count) * sizeof(*chains));
    o->chains = chains;
    o->chain_count = chain_count;
    return 0;
}

int overlay_reserve(struct overlay *o, uint32_t partition)
{
    if (partition >= o->chain_count && chains_grow(o, partition) != 0)
        return GT_ENOMEM;
    if (o->dirty_count == o->dirty_capacity) {
        uint32_t capacity = o->dirty_capacity ? o->dirty_capacity * 2 : 64;
        uint32_t *dirty = realloc(o->dirty, capacity * sizeof(*dirty));
        if (!dirty)
            return GT_ENOMEM;
        o->dirty = dirty;
        o->dirty_capacity = capacity;
    }
    if (o->records + 1 > o->slot_count / 2)
        return slots_grow(o);
    return 0;
}

struct overlay_entry *overlay_entry_new(uint32_t partition, uint64_t hash, struct slice key,
                                        const struct presence *base)
{
    struct overlay_entry *entry = malloc(sizeof(*entry) + key.bytes);
    if (!entry)
        return NULL;
    *entry = (struct overlay_entry){
        .partition = partition, .hash = hash, .base = *base, .key_bytes = (uint32_t)key.bytes};
    memcpy(entry->key, key.data, key.bytes);
    return entry;
}

void overlay_entry_free(struct overlay_entry *entry)
{
    if (!entry)
        return;
    blob_unref(entry->record);
    free(entry);
}

static uint64_t record_bytes(const struct blob *record)
{
    return record ? record->bytes : 0;
}

static uint64_t entry_memory(const struct overlay_entry *entry)
{
    return sizeof(*entry) + entry->key_bytes + record_bytes(entry->record) + ENTRY_OVERHEAD;
}

void overlay_touch(struct overlay *o, uint32_t partition)
{
    gt_assert(partition < o->chain_count);
    if (o->chains[partition].dirty)
        return;
    gt_assert(o->dirty_count < o->dirty_capacity);
    o->chains[partition].dirty = true;
    o->dirty[o->dirty_count++] = partition;
}

void overlay_insert(struct overlay *o, struct overlay_entry *entry, struct blob *record,
                    const struct presence *now, uint64_t lsn)
{
    gt_assert(o->records < o->slot_count / 2 && entry->partition < o->chain_count);
    entry->record = record;
    entry->now = *now;
    entry->lsn = lsn;
    slot_fill(o->slots, o->slot_count, entry);
    struct overlay_chain *chain = &o->chains[entry->partition];
    overlay_touch(o, entry->partition);
    entry->next = chain->first;
    chain->first = entry;
    chain->records++;
    chain->bytes += entry->key_bytes + record_bytes(record);
    o->records++;
    o->bytes += entry_memory(entry);
}

void overlay_replace(struct overlay *o, struct overlay_entry *entry, struct blob *record,
                     const struct presence *now, uint64_t lsn)
{
    struct overlay_chain *chain = &o->chains[entry->partition];
    o->bytes -= entry_memory(entry);
    chain->bytes -= record_bytes(entry->record);
    blob_unref(entry->record);
    entry->record = record;
    entry->now = *now;
    entry->lsn = lsn;
    chain->bytes += record_bytes(record);
    o->bytes += entry_memory(entry);
}

void overlay_list_close(struct overlay_list *list)
{
    free(list->items);
    *list = (struct overlay_list){0};
}

int overlay_collect(const struct overlay *o, uint32_t partition, const struct overlay_cursor *after,
                    struct overlay_list *list)
{
    if (partition >= o->chain_count)
        return 0;
    const struct overlay_chain *chain = &o->chains[partition];
    if (list->count + chain->records > list->capacity) {
        uint32_t capacity = list->capacity ? list->capacity : 64;
        while (capacity < list->count + chain->records)
            capacity *= 2;
        struct overlay_entry **items = realloc(list->items, capacity * sizeof(*items));
        if (!items)
            return GT_ENOMEM;
        list->items = items;
        list->capacity = capacity;
    }
    for (struct overlay_entry *entry = chain->first; entry; entry = entry->next)
        if (!after ||
            overlay_key_compare(entry->hash, overlay_key(entry), after->hash, after->key) > 0)
            list->items[list->count++] = entry;
    return 0;
}

int overlay_key_compare(uint64_t hash_a, struct slice a, uint64_t hash_b, struct slice b)
{
    if (hash_a != hash_b)
        return hash_a < hash_b ? -1 : 1;
    return slice_compare(a, b);
}

static int entry_compare(const void *left, const void *right)
{
    const struct overlay_entry *a = *(struct overlay_entry *const *)left;
    const struct overlay_entry *b = *(struct overlay_entry *const *)right;
    int order = overlay_key_compare(a->hash, overlay_key(a), b->hash, overlay_key(b));
    if (order != 0)
        return order;
    return a->lsn > b->lsn ? -1 : a->lsn < b->lsn;
}

void overlay_list_sort(struct overlay_list *list)
{
    if (list->count > 1)
        qsort(list->items, list->count, sizeof(struct overlay_entry *), entry_compare);
}
