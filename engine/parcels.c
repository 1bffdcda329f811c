#include "engine/parcels.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/engine.h"
#include "engine/operations.h"

#define BUCKETS_MIN 64u
#define HOLES_KEPT  64u /* of one target, before its places are closed up */

/* ---- bytes ----------------------------------------------------------------------------------- */

void parcel_value_encode(const struct parcel_value *v, struct buf *out)
{
    buf_u64(out, v->number);
    buf_u64(out, v->made_s);
    buf_varint(out, v->dots.bytes / DOT_BYTES);
    buf_put(out, v->dots.data, v->dots.bytes);
    buf_bytes(out, v->record);
    buf_bytes(out, v->operations);
}

int parcel_value_decode(struct slice bytes, struct parcel_value *v)
{
    struct reader r = reader_of(bytes);
    v->number = read_u64(&r);
    v->made_s = read_u64(&r);
    uint64_t dots = read_varint(&r);
    if (dots > reader_left(&r) / DOT_BYTES)
        return GT_ECORRUPT;
    v->dots = read_raw(&r, (size_t)dots * DOT_BYTES);
    v->record = read_bytes(&r);
    v->operations = read_bytes(&r);
    bool whole = !r.failed && v->record.bytes > 0 && v->operations.bytes % OPERATION_BYTES == 0;
    return whole ? 0 : GT_ECORRUPT;
}

struct slice parcel_index_key(uint8_t *at, const struct parcel_name *name)
{
    gt_assert(PARCEL_KEY_BYTES_MIN + name->key.bytes <= INDEX_KEY_BYTES_MAX);
    be64_put(at, name->target);
    be16_put(at + 8, (uint16_t)name->partition);
    be64_put(at + 10, name->hash);
    memcpy(at + PARCEL_KEY_BYTES_MIN, name->key.data, name->key.bytes);
    return slice_of(at, PARCEL_KEY_BYTES_MIN + name->key.bytes);
}

int parcel_index_key_split(struct slice index_key, struct parcel_name *name)
{
    if (index_key.bytes <= PARCEL_KEY_BYTES_MIN ||
        index_key.bytes > PARCEL_KEY_BYTES_MIN + KEY_BYTES_MAX)
        return GT_ECORRUPT;
    name->target = be64_get(index_key.data);
    name->partition = be16_get(index_key.data + 8);
    name->hash = be64_get(index_key.data + 10);
    name->key =
        slice_of(index_key.data + PARCEL_KEY_BYTES_MIN, index_key.bytes - PARCEL_KEY_BYTES_MIN);
    return name->hash == hash_bytes(name->key) ? 0 : GT_ECORRUPT;
}

static struct parcel_name name_of(const struct parcel *p)
{
    return (struct parcel_name){p->target, p->hash, p->partition, parcel_key(p)};
}

/* ---- the table ------------------------------------------------------------------------------- */

void parcels_init(struct parcels *p)
{
    *p = (struct parcels){0};
}

void parcel_free(struct parcel *p)
{
    if (p)
        blob_unref(p->value);
    free(p);
}

void parcels_close(struct parcels *p)
{
    for (uint32_t i = 0; i < p->bucket_count; i++)
        for (struct parcel *at = p->buckets[i], *next; at; at = next) {
            next = at->next;
            parcel_free(at);
        }
    for (uint32_t i = 0; i < p->target_count; i++)
        free(p->targets[i].places);
    for (uint32_t i = 0; i < p->gone_count; i++)
        blob_unref(p->gone[i]);
    free(p->buckets);
    free(p->targets);
    free(p->gone);
    free(p->partition_counts);
    *p = (struct parcels){0};
}

static struct parcel **bucket_of(const struct parcels *p, uint64_t target, uint64_t hash)
{
    uint64_t mixed = (hash ^ target) * 0x9e3779b97f4a7c15ull;
    return &p->buckets[(mixed >> 32) & (p->bucket_count - 1)];
}

struct parcel *parcels_find(const struct parcels *p, const struct parcel_name *name)
{
    if (p->count == 0)
        return NULL;
    struct parcel *at = *bucket_of(p, name->target, name->hash);
    while (at && (at->target != name->target || at->partition != name->partition ||
                  !slice_equal(parcel_key(at), name->key)))
        at = at->next;
    return at;
}

/* An array with room for one more item. 0 or GT_ENOMEM. */
static int grow(void **items, uint32_t count, uint32_t *capacity, size_t item_bytes)
{
    if (count < *capacity)
        return 0;
    uint32_t larger = *capacity < 4 ? 8 : *capacity * 2;
    void *grown = realloc(*items, larger * item_bytes);
    if (!grown)
        return GT_ENOMEM;
    *items = grown;
    *capacity = larger;
    return 0;
}

static int buckets_reserve(struct parcels *p)
{
    if (p->count < p->bucket_count)
        return 0;
    struct parcels larger = {.bucket_count = p->bucket_count ? p->bucket_count * 2 : BUCKETS_MIN};
    larger.buckets = calloc(larger.bucket_count, sizeof(struct parcel *));
    if (!larger.buckets)
        return GT_ENOMEM;
    for (uint32_t i = 0; i < p->bucket_count; i++)
        for (struct parcel *at = p->buckets[i], *next; at; at = next) {
            struct parcel **bucket = bucket_of(&larger, at->target, at->hash);
            next = at->next;
            at->next = *bucket;
            *bucket = at;
        }
    free(p->buckets);
    p->buckets = larger.buckets;
    p->bucket_count = larger.bucket_count;
    return 0;
}

static int partition_reserve(struct parcels *p, uint32_t partition)
{
    if (partition < p->partition_count)
        return 0;
    uint32_t count = p->partition_count ? p->partition_count : BUCKETS_MIN;
    while (count <= partition)
        count *= 2;
    uint32_t *counts = realloc(p->partition_counts, count * sizeof(*counts));
    if (!counts)
        return GT_ENOMEM;
    memset(&counts[p->partition_count], 0, (count - p->partition_count) * sizeof(*counts));
    p->partition_counts = counts;
    p->partition_count = count;
    return 0;
}

static struct parcel_target *target_find(const struct parcels *p, uint64_t target)
{
    for (uint32_t i = 0; i < p->target_count; i++)
        if (p->targets[i].target == target)
            return &p->targets[i];
    return NULL;
}

/* ---- the order of a target's parcels --------------------------------------------------------- */

uint32_t parcels_place(const struct parcel_target *t, uint64_t above)
{
    uint32_t low = 0, high = t->place_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (t->places[middle].number <= above)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void place_leave(struct parcel_target *t, uint64_t number)
{
    uint32_t at = parcels_place(t, number - 1);
    gt_assert(at < t->place_count && t->places[at].number == number);
    t->places[at].parcel = NULL;
    uint32_t holes = t->place_count - (t->parcels - 1);
    t->parcels--;
    if (holes < HOLES_KEPT || holes < t->place_count / 2)
        return;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < t->place_count; i++)
        if (t->places[i].parcel)
            t->places[kept++] = t->places[i];
    t->place_count = kept;
}

/* The newest comes last; but for a folder that is being opened, whose index has another order. */
static void place_take(struct parcel_target *t, struct parcel *parcel)
{
    uint32_t at = t->place_count;
    if (at > 0 && t->places[at - 1].number > parcel->number)
        at = parcels_place(t, parcel->number);
    memmove(&t->places[at + 1], &t->places[at], (t->place_count - at) * sizeof(*t->places));
    t->places[at] = (struct parcel_place){parcel->number, parcel->made_s, parcel};
    t->place_count++;
    t->parcels++;
}

const struct parcel_target *parcels_of(const struct parcels *p, uint64_t target)
{
    return target_find(p, target);
}

uint32_t parcels_of_partition(const struct parcels *p, uint32_t partition)
{
    return partition < p->partition_count ? p->partition_counts[partition] : 0;
}

/* ---- in and out ------------------------------------------------------------------------------ */

struct parcel *parcel_new(const struct parcel_name *name)
{
    struct parcel *made = calloc(1, sizeof(*made) + name->key.bytes);
    if (!made)
        return NULL;
    made->target = name->target;
    made->hash = name->hash;
    made->partition = name->partition;
    made->key_bytes = (uint32_t)name->key.bytes;
    memcpy(made->key, name->key.data, name->key.bytes);
    return made;
}

int parcels_reserve(struct parcels *p, uint64_t target, uint32_t partition)
{
    int error = buckets_reserve(p);
    if (!error)
        error = partition_reserve(p, partition);
    struct parcel_target *t = target_find(p, target);
    if (!error && !t) {
        void *targets = p->targets;
        error = grow(&targets, p->target_count, &p->target_capacity, sizeof(*p->targets));
        p->targets = targets;
        if (!error) {
            t = &p->targets[p->target_count++];
            *t = (struct parcel_target){.target = target};
        }
    }
    if (error)
        return error;
    void *places = t->places;
    error = grow(&places, t->place_count, &t->place_capacity, sizeof(*t->places));
    t->places = places;
    return error;
}

static uint32_t weight(const struct parcel *p)
{
    return p->key_bytes + p->value_bytes;
}

static void parcel_take(struct parcels *p, struct parcel *parcel)
{
    struct parcel **bucket = bucket_of(p, parcel->target, parcel->hash);
    parcel->next = *bucket;
    *bucket = parcel;
    p->count++;
    p->partition_counts[parcel->partition]++;
}

/* The version that is there counts, or no more. */
static void version_count(struct parcels *p, struct parcel_target *t, const struct parcel *parcel,
                          bool there)
{
    p->bytes += there ? weight(parcel) : -(uint64_t)weight(parcel);
    t->bytes += there ? weight(parcel) : -(uint64_t)weight(parcel);
}

void parcels_put(struct parcels *p, struct parcel *known, struct parcel *made, uint64_t number,
                 uint64_t made_s, struct blob *value)
{
    struct parcel *parcel = known ? known : made;
    struct parcel_target *t = target_find(p, parcel->target);
    if (known) {
        version_count(p, t, known, false);
        place_leave(t, known->number);
        blob_unref(known->value);
    } else {
        parcel_take(p, made);
    }
    parcel->number = number;
    parcel->made_s = made_s;
    parcel->value = value;
    parcel->value_bytes = value->bytes;
    place_take(t, parcel);
    version_count(p, t, parcel, true);
    p->dirty_bytes += weight(parcel);
}

int parcels_load(struct parcels *p, const struct parcel_name *name, uint64_t number,
                 uint64_t made_s, uint32_t value_bytes)
{
    struct parcel *made = parcel_new(name);
    int error = made ? parcels_reserve(p, name->target, name->partition) : GT_ENOMEM;
    if (error) {
        parcel_free(made);
        return error;
    }
    made->number = number;
    made->made_s = made_s;
    made->value_bytes = value_bytes;
    made->stored = true;
    if (number > p->highest)
        p->highest = number;
    struct parcel_target *t = target_find(p, name->target);
    parcel_take(p, made);
    place_take(t, made);
    version_count(p, t, made, true);
    return 0;
}

int parcels_drop_reserve(struct parcels *p, const struct parcel *parcel, struct blob **index_key)
{
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct parcel_name name = name_of(parcel);
    *index_key = NULL;
    if (!parcel->stored)
        return 0;
    void *gone = p->gone;
    int error = grow(&gone, p->gone_count, &p->gone_capacity, sizeof(*p->gone));
    p->gone = gone;
    if (error)
        return error;
    struct slice key = parcel_index_key(at, &name);
    *index_key = blob_copy(key.data, key.bytes);
    return *index_key ? 0 : GT_ENOMEM;
}

static void target_leave(struct parcels *p, struct parcel_target *t)
{
    if (t->parcels > 0)
        return;
    free(t->places);
    *t = p->targets[--p->target_count];
}

void parcels_drop(struct parcels *p, struct parcel *parcel, struct blob *index_key)
{
    struct parcel_target *t = target_find(p, parcel->target);
    struct parcel **link = bucket_of(p, parcel->target, parcel->hash);
    while (*link != parcel)
        link = &(*link)->next;
    *link = parcel->next;
    version_count(p, t, parcel, false);
    place_leave(t, parcel->number);
    target_leave(p, t);
    p->count--;
    p->partition_counts[parcel->partition]--;
    if (index_key)
        p->gone[p->gone_count++] = index_key;
    parcel_free(parcel);
}

/* ---- into the index -------------------------------------------------------------------------- */

void frozen_parcels_free(struct frozen_parcel *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        blob_unref(list[i].key);
        blob_unref(list[i].value);
    }
    free(list);
}

int parcels_freeze(const struct parcels *p, struct frozen_parcel **list, uint32_t *count)
{
    uint32_t most = p->gone_count;
    for (uint32_t t = 0; t < p->target_count; t++)
        most += p->targets[t].place_count - parcels_place(&p->targets[t], p->frozen);
    struct frozen_parcel *out = malloc((most + 1) * sizeof(*out));
    uint32_t at = 0;
    if (!out)
        return GT_ENOMEM;
    for (uint32_t i = 0; i < p->gone_count; i++)
        out[at++] = (struct frozen_parcel){.key = blob_ref(p->gone[i])};
    for (uint32_t t = 0; t < p->target_count; t++) {
        const struct parcel_target *target = &p->targets[t];
        for (uint32_t i = parcels_place(target, p->frozen); i < target->place_count; i++) {
            uint8_t raw[INDEX_KEY_BYTES_MAX];
            const struct parcel *parcel = target->places[i].parcel;
            if (!parcel || !parcel->value)
                continue;
            struct parcel_name name = name_of(parcel);
            struct slice key = parcel_index_key(raw, &name);
            out[at] =
                (struct frozen_parcel){blob_copy(key.data, key.bytes), blob_ref(parcel->value)};
            if (!out[at++].key) {
                frozen_parcels_free(out, at);
                return GT_ENOMEM;
            }
        }
    }
    *list = out;
    *count = at;
    return 0;
}

void parcels_frozen(struct parcels *p, uint64_t cut)
{
    for (uint32_t t = 0; t < p->target_count; t++) {
        const struct parcel_target *target = &p->targets[t];
        for (uint32_t i = parcels_place(target, p->frozen); i < target->place_count; i++)
            if (target->places[i].parcel)
                target->places[i].parcel->stored = true;
    }
    for (uint32_t i = 0; i < p->gone_count; i++)
        blob_unref(p->gone[i]);
    p->gone_count = 0;
    p->dirty_bytes = 0;
    p->frozen = cut;
}

void parcels_settle(struct parcels *p, const struct frozen_parcel *f, uint64_t cut)
{
    struct parcel_name name;
    if (!f->value || parcel_index_key_split(slice_blob(f->key), &name) != 0)
        return;
    struct parcel *parcel = parcels_find(p, &name);
    if (!parcel || parcel->number > cut)
        return;
    blob_unref(parcel->value);
    parcel->value = NULL;
}
