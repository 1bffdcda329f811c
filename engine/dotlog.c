#include "engine/dotlog.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"

void dotlog_init(struct dotlog *l)
{
    *l = (struct dotlog){0};
}

void dotlog_close(struct dotlog *l)
{
    for (uint32_t i = 0; i < l->count; i++)
        blob_unref(l->entries[i].key);
    free(l->entries);
    dotlog_changes_free(l->changes, l->change_count);
    *l = (struct dotlog){0};
}

/* An array with room for `more` items. 0 or GT_ENOMEM. */
static int grow(void **items, uint32_t count, uint32_t *capacity, uint32_t more, size_t item_bytes)
{
    if (more <= *capacity - count)
        return 0;
    uint32_t larger = *capacity < 4 ? 8 : *capacity * 2;
    if (larger - count < more)
        larger = count + more;
    void *grown = realloc(*items, larger * item_bytes);
    if (!grown)
        return GT_ENOMEM;
    *items = grown;
    *capacity = larger;
    return 0;
}

int dotlog_reserve(struct dotlog *l, uint32_t additions, uint32_t drops)
{
    void *entries = l->entries, *changes = l->changes;
    int error = grow(&entries, l->count, &l->capacity, additions, sizeof(*l->entries));
    l->entries = entries;
    if (!error)
        error = grow(&changes, l->change_count, &l->change_capacity, additions + drops,
                     sizeof(*l->changes));
    l->changes = changes;
    return error;
}

uint32_t dotlog_place(const struct dotlog *l, struct dot d)
{
    uint32_t low = 0, high = l->count;
    /* What is new is mostly the newest of its writer, and there is mostly one that writes. */
    if (high > 0 && dot_compare(l->entries[high - 1].dot, d) < 0)
        return high;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (dot_compare(l->entries[middle].dot, d) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct dotlog *l, uint32_t at, struct dot d)
{
    return at < l->count && dot_compare(l->entries[at].dot, d) == 0;
}

/* ---- what the index lacks -------------------------------------------------------------------- */

static uint32_t change_add(struct dotlog *l, struct dot d, struct blob *key)
{
    gt_assert(l->change_count < l->change_capacity);
    l->changes[l->change_count] = (struct dotlog_change){d, blob_ref(key)};
    return l->change_count++;
}

/* The entry is none that the index has, or is about to have. */
static bool is_fresh(const struct dotlog *l, const struct dotlog_entry *entry)
{
    return entry->change < l->change_count && l->changes[entry->change].key &&
           dot_compare(l->changes[entry->change].dot, entry->dot) == 0;
}

/* The last one takes its place. */
static void change_undo(struct dotlog *l, uint32_t at)
{
    blob_unref(l->changes[at].key);
    l->changes[at] = l->changes[--l->change_count];
    if (at < l->change_count && l->changes[at].key)
        l->entries[dotlog_place(l, l->changes[at].dot)].change = at;
}

struct dotlog_change *dotlog_freeze(struct dotlog *l, uint32_t *count)
{
    struct dotlog_change *changes = l->changes;
    *count = l->change_count;
    l->changes = NULL;
    l->change_count = l->change_capacity = 0;
    return changes;
}

static int change_compare(const void *left, const void *right)
{
    const struct dotlog_change *a = left, *b = right;
    int order = dot_compare(a->dot, b->dot);
    return order ? order : (a->key != NULL) - (b->key != NULL);
}

void dotlog_changes_sort(struct dotlog_change *changes, uint32_t count)
{
    if (count > 1)
        qsort(changes, count, sizeof(*changes), change_compare);
}

void dotlog_changes_free(struct dotlog_change *changes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        blob_unref(changes[i].key);
    free(changes);
}

/* ---- entries --------------------------------------------------------------------------------- */

void dotlog_add(struct dotlog *l, struct dot d, struct blob *key, bool stored,
                enum dotlog_kind kind)
{
    uint32_t at = dotlog_place(l, d);
    if (is_at(l, at, d))
        return;
    gt_assert(l->count < l->capacity);
    memmove(&l->entries[at + 1], &l->entries[at], (l->count - at) * sizeof(*l->entries));
    l->entries[at] = (struct dotlog_entry){.dot = d,
                                           .key = blob_ref(key),
                                           .change = stored ? UINT32_MAX : change_add(l, d, key),
                                           .kind = (uint8_t)kind};
    l->count++;
    l->waiting += kind != DOTLOG_VALUE;
}

void dotlog_learn(struct dotlog *l, uint32_t at, enum dotlog_kind kind)
{
    struct dotlog_entry *entry = &l->entries[at];
    l->waiting -= entry->kind != DOTLOG_VALUE;
    entry->kind = (uint8_t)kind;
    l->waiting += entry->kind != DOTLOG_VALUE;
}

/* It stays where it is, without a key, until the caller leaves it out. */
static void entry_end(struct dotlog *l, struct dotlog_entry *entry)
{
    blob_unref(entry->key);
    entry->key = NULL;
    l->waiting -= entry->kind != DOTLOG_VALUE;
    if (is_fresh(l, entry))
        change_undo(l, entry->change);
    else
        change_add(l, entry->dot, NULL);
}

void dotlog_drop(struct dotlog *l, struct dot d)
{
    uint32_t at = dotlog_place(l, d);
    if (!is_at(l, at, d))
        return;
    entry_end(l, &l->entries[at]);
    l->count--;
    memmove(&l->entries[at], &l->entries[at + 1], (l->count - at) * sizeof(*l->entries));
}

static bool all_cover(const struct clock *clocks, uint32_t count, struct dot d)
{
    for (uint32_t i = 0; i < count; i++)
        if (!clock_covers(&clocks[i], d))
            return false;
    return true;
}

static void entries_close_up(struct dotlog *l)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < l->count; i++)
        if (l->entries[i].key)
            l->entries[kept++] = l->entries[i];
    l->count = kept;
}

int dotlog_confirm(struct dotlog *l, const struct clock *clocks, uint32_t count)
{
    int error = dotlog_reserve(l, 0, l->count);
    if (error)
        return error;
    for (uint32_t i = 0; i < l->count; i++)
        if (l->entries[i].kind == DOTLOG_VALUE && all_cover(clocks, count, l->entries[i].dot))
            entry_end(l, &l->entries[i]);
    entries_close_up(l);
    return 0;
}

int dotlog_clear(struct dotlog *l)
{
    int error = dotlog_reserve(l, 0, l->count);
    if (error)
        return error;
    for (uint32_t i = 0; i < l->count; i++)
        entry_end(l, &l->entries[i]);
    l->count = 0;
    return 0;
}

struct slice dotlog_index_key(uint8_t at[DOTLOG_KEY_BYTES], uint32_t partition, struct dot d)
{
    be16_put(at, (uint16_t)partition);
    be64_put(at + 2, d.actor.node);
    be64_put(at + 10, d.actor.incarnation);
    be64_put(at + 18, d.seq);
    return slice_of(at, DOTLOG_KEY_BYTES);
}

int dotlog_index_key_split(struct slice index_key, uint32_t *partition, struct dot *d)
{
    if (index_key.bytes != DOTLOG_KEY_BYTES)
        return GT_ECORRUPT;
    *partition = be16_get(index_key.data);
    *d = (struct dot){{be64_get(index_key.data + 2), be64_get(index_key.data + 10)},
                      be64_get(index_key.data + 18)};
    return d->seq > 0 ? 0 : GT_ECORRUPT;
}
