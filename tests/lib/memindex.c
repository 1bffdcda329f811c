#include "tests/lib/memindex.h"

#include <pthread.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/prng.h"

struct item {
    struct blob *key, *value; /* value NULL in a write: removed */
};

struct table {
    struct item *items;
    size_t count, capacity;
};

struct index_write {
    struct memindex *index;
    bool open;
    struct table changes[INDEX_TABLES]; /* in the order in which they were made */
};

struct memindex {
    struct index index;
    pthread_mutex_t lock; /* recursive: a scan's callback may read */
    struct table tables[INDEX_TABLES];
    struct index_write write;
    unsigned resident;
    uint64_t calls[6], some;
    unsigned fail_calls;
    uint64_t fail_in;
    int fail_error;
    bool fail_forever;
    struct memcut *cut;
};

static struct memindex *mem_of(const struct index *x)
{
    return (struct memindex *)(uintptr_t)x;
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* The first item whose key is not below. */
static size_t table_find(const struct table *t, struct slice key)
{
    size_t low = 0, high = t->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (slice_compare(slice_blob(t->items[middle].key), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool table_has(const struct table *t, size_t at, struct slice key)
{
    return at < t->count && slice_equal(slice_blob(t->items[at].key), key);
}

static void table_insert(struct table *t, size_t at, struct item item)
{
    if (t->count == t->capacity) {
        t->capacity = t->capacity ? t->capacity * 2 : 16;
        t->items = realloc(t->items, t->capacity * sizeof(*t->items));
        gt_assert(t->items);
    }
    memmove(&t->items[at + 1], &t->items[at], (t->count - at) * sizeof(*t->items));
    t->items[at] = item;
    t->count++;
}

static void item_release(struct item *i)
{
    blob_unref(i->key);
    blob_unref(i->value);
}

static void table_close(struct table *t)
{
    for (size_t i = 0; i < t->count; i++)
        item_release(&t->items[i]);
    free(t->items);
    *t = (struct table){0};
}

static void table_copy(struct table *to, const struct table *from)
{
    table_close(to);
    to->items = calloc(from->count + 1, sizeof(*to->items));
    gt_assert(to->items);
    to->capacity = from->count + 1;
    for (; to->count < from->count; to->count++) {
        const struct item *i = &from->items[to->count];
        to->items[to->count] = (struct item){blob_ref(i->key), blob_ref(i->value)};
    }
}

static void table_drop(struct table *t, size_t at)
{
    item_release(&t->items[at]);
    t->count--;
    memmove(&t->items[at], &t->items[at + 1], (t->count - at) * sizeof(*t->items));
}

/* Takes over the item. */
static void table_apply(struct table *t, struct item item)
{
    size_t at = table_find(t, slice_blob(item.key));
    bool has = table_has(t, at, slice_blob(item.key));
    if (item.value && !has) {
        table_insert(t, at, item);
    } else if (item.value) {
        item_release(&t->items[at]);
        t->items[at] = item;
    } else {
        if (has)
            table_drop(t, at);
        item_release(&item);
    }
}

/* ---- the table of functions ------------------------------------------------------------------ */

/* Counts the call; the error that it shall answer, or 0. Takes the lock. */
static int call_begin(struct memindex *m, enum memindex_call call)
{
    pthread_mutex_lock(&m->lock);
    m->calls[__builtin_ctz(call)]++;
    if (m->cut && memcut_call(m->cut) != MEMCUT_DONE)
        return GT_EIO;
    if (m->fail_in == 0 || !(m->fail_calls & call))
        return 0;
    if (m->fail_in > 1) {
        m->fail_in--;
        return 0;
    }
    if (!m->fail_forever)
        m->fail_in = 0;
    return m->fail_error;
}

static int call_end(struct memindex *m, int result)
{
    pthread_mutex_unlock(&m->lock);
    return result;
}

static int mem_get(struct index *x, unsigned lane, enum index_table table, struct slice key,
                   struct blob **value)
{
    gt_assert(lane < INDEX_LANES && key.bytes > 0 && key.bytes <= INDEX_KEY_BYTES_MAX);
    struct memindex *m = mem_of(x);
    int error = call_begin(m, MEMINDEX_GET);
    const struct table *t = &m->tables[table];
    size_t at = table_find(t, key);
    if (error == 0 && !table_has(t, at, key))
        error = GT_ENOTFOUND;
    if (error == 0)
        *value = blob_ref(t->items[at].value);
    return call_end(m, error);
}

/* It has no pages that could be damaged. */
static bool mem_hole(struct index *x, unsigned lane, struct slice *from, struct slice *to)
{
    (void)x, (void)lane, (void)from, (void)to;
    return false;
}

static void mem_get_some(struct index *x, unsigned lane, enum index_table table,
                         const struct slice *keys, unsigned count, struct blob **values)
{
    struct memindex *m = mem_of(x);
    gt_assert(lane < INDEX_LANES && table < INDEX_TABLES && count <= INDEX_SOME_MAX);
    pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < count; i++) {
        const struct table *t = &m->tables[table];
        size_t at = table_find(t, keys[i]);
        values[i] = table_has(t, at, keys[i]) ? blob_ref(t->items[at].value) : NULL;
    }
    m->some += count;
    pthread_mutex_unlock(&m->lock);
}

static int mem_scan(struct index *x, unsigned lane, enum index_table table, struct slice from,
                    int (*each)(void *arg, struct slice key, struct slice value), void *arg)
{
    gt_assert(lane < INDEX_LANES);
    struct memindex *m = mem_of(x);
    int result = call_begin(m, MEMINDEX_SCAN);
    const struct table *t = &m->tables[table];
    for (size_t i = table_find(t, from); i < t->count && result == 0; i++)
        result = each(arg, slice_blob(t->items[i].key), slice_blob(t->items[i].value));
    return call_end(m, result);
}

static int mem_begin(struct index *x, struct index_write **out)
{
    struct memindex *m = mem_of(x);
    int error = call_begin(m, MEMINDEX_BEGIN);
    gt_assert(!m->write.open);
    if (error == 0) {
        m->write.open = true;
        *out = &m->write;
    }
    return call_end(m, error);
}

static void write_add(struct index_write *w, enum index_table table, struct slice key,
                      struct blob *value)
{
    gt_assert(w->open && key.bytes > 0 && key.bytes <= INDEX_KEY_BYTES_MAX);
    struct item item = {blob_copy(key.data, key.bytes), value};
    gt_assert(item.key);
    table_insert(&w->changes[table], w->changes[table].count, item);
}

static int mem_put(struct index_write *w, enum index_table table, struct slice key,
                   struct slice value)
{
    int error = call_begin(w->index, MEMINDEX_PUT);
    if (error == 0) {
        struct blob *copy = blob_copy(value.data, value.bytes);
        gt_assert(copy);
        write_add(w, table, key, copy);
    }
    return call_end(w->index, error);
}

static int mem_remove(struct index_write *w, enum index_table table, struct slice key)
{
    int error = call_begin(w->index, MEMINDEX_REMOVE);
    if (error == 0)
        write_add(w, table, key, NULL);
    return call_end(w->index, error);
}

static int mem_purge(struct index_write *w, enum index_table table, struct slice from,
                     index_judge_fn *judge, void *arg)
{
    const struct table *t = &w->index->tables[table];
    int error = call_begin(w->index, MEMINDEX_REMOVE);
    enum index_judgement judgement = INDEX_KEEP;
    for (size_t i = table_find(t, from); error == 0 && i < t->count && judgement != INDEX_END;
         i++) {
        struct slice key = slice_blob(t->items[i].key);
        judgement = judge(arg, key, slice_blob(t->items[i].value));
        if (judgement == INDEX_DROP)
            write_add(w, table, key, NULL);
    }
    return call_end(w->index, error);
}

static void write_end(struct index_write *w)
{
    for (unsigned t = 0; t < INDEX_TABLES; t++)
        table_close(&w->changes[t]);
    w->open = false;
}

static int mem_commit(struct index_write *w)
{
    struct memindex *m = w->index;
    int error = call_begin(m, MEMINDEX_COMMIT);
    gt_assert(w->open);
    for (unsigned t = 0; t < INDEX_TABLES && error == 0; t++) {
        for (size_t i = 0; i < w->changes[t].count; i++)
            table_apply(&m->tables[t], w->changes[t].items[i]);
        w->changes[t].count = 0; /* taken over */
    }
    write_end(w);
    return call_end(m, error);
}

static void mem_abort(struct index_write *w)
{
    struct memindex *m = w->index;
    pthread_mutex_lock(&m->lock);
    write_end(w);
    pthread_mutex_unlock(&m->lock);
}

static unsigned mem_resident(struct index *x, uint64_t seed)
{
    (void)seed;
    return mem_of(x)->resident;
}

static uint64_t mem_file_bytes(struct index *x)
{
    struct memindex *m = mem_of(x);
    uint64_t bytes = 0;
    pthread_mutex_lock(&m->lock);
    for (unsigned t = 0; t < INDEX_TABLES; t++)
        for (size_t i = 0; i < m->tables[t].count; i++)
            bytes += m->tables[t].items[i].key->bytes + m->tables[t].items[i].value->bytes;
    pthread_mutex_unlock(&m->lock);
    return bytes;
}

static void mem_destroy(struct index *x)
{
    struct memindex *m = mem_of(x);
    write_end(&m->write);
    for (unsigned t = 0; t < INDEX_TABLES; t++)
        table_close(&m->tables[t]);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

struct index *memindex_new(void)
{
    struct memindex *m = calloc(1, sizeof(*m));
    gt_assert(m);
    m->index = (struct index){
        .get = mem_get,
        .get_some = mem_get_some,
        .scan = mem_scan,
        .hole = mem_hole,
        .begin = mem_begin,
        .put = mem_put,
        .remove = mem_remove,
        .purge = mem_purge,
        .commit = mem_commit,
        .abort = mem_abort,
        .resident = mem_resident,
        .file_bytes = mem_file_bytes,
        .destroy = mem_destroy,
    };
    m->write.index = m;
    m->resident = 1000;
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&m->lock, &kind);
    pthread_mutexattr_destroy(&kind);
    return &m->index;
}

void memindex_fail(struct index *x, unsigned calls, uint64_t nth, int error, bool forever)
{
    struct memindex *m = mem_of(x);
    pthread_mutex_lock(&m->lock);
    m->fail_calls = calls;
    m->fail_in = nth;
    m->fail_error = error;
    m->fail_forever = forever;
    pthread_mutex_unlock(&m->lock);
}

void memindex_cut(struct index *x, struct memcut *cut)
{
    struct memindex *m = mem_of(x);
    pthread_mutex_lock(&m->lock);
    m->cut = cut;
    pthread_mutex_unlock(&m->lock);
}

uint64_t memindex_some(const struct index *x)
{
    return mem_of(x)->some;
}

uint64_t memindex_calls(const struct index *x, unsigned calls)
{
    struct memindex *m = mem_of(x);
    uint64_t count = 0;
    pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < sizeof(m->calls) / sizeof(m->calls[0]); i++)
        if (calls & 1u << i)
            count += m->calls[i];
    pthread_mutex_unlock(&m->lock);
    return count;
}

void memindex_crash(struct index *x)
{
    struct memindex *m = mem_of(x);
    pthread_mutex_lock(&m->lock);
    write_end(&m->write);
    m->fail_in = 0;
    pthread_mutex_unlock(&m->lock);
}

/* ---- the whole index ------------------------------------------------------------------------- */

struct memindex_snapshot {
    struct table tables[INDEX_TABLES];
};

struct memindex_snapshot *memindex_snapshot(const struct index *x)
{
    struct memindex *m = mem_of(x);
    struct memindex_snapshot *s = calloc(1, sizeof(*s));
    gt_assert(s);
    pthread_mutex_lock(&m->lock);
    for (unsigned t = 0; t < INDEX_TABLES; t++)
        table_copy(&s->tables[t], &m->tables[t]);
    pthread_mutex_unlock(&m->lock);
    return s;
}

void memindex_snapshot_free(struct memindex_snapshot *s)
{
    if (!s)
        return;
    for (unsigned t = 0; t < INDEX_TABLES; t++)
        table_close(&s->tables[t]);
    free(s);
}

void memindex_restore(struct index *x, const struct memindex_snapshot *s)
{
    struct memindex *m = mem_of(x);
    memindex_crash(x);
    pthread_mutex_lock(&m->lock);
    for (unsigned t = 0; t < INDEX_TABLES; t++)
        table_copy(&m->tables[t], &s->tables[t]);
    pthread_mutex_unlock(&m->lock);
}

void memindex_wipe(struct index *x)
{
    static const struct memindex_snapshot empty;
    memindex_restore(x, &empty);
}

/* The item of the table that is drawn, or the next one behind it that has bytes. */
static struct item *item_drawn(struct table *t, struct prng *random)
{
    size_t first = t->count > 0 ? (size_t)prng_below(random, t->count) : 0;
    for (size_t i = 0; i < t->count; i++) {
        struct item *item = &t->items[(first + i) % t->count];
        if (item->value->bytes > 0)
            return item;
    }
    return NULL;
}

static void item_flip(struct item *item, struct prng *random)
{
    /* Others may hold the blob: snapshots, and another index made of one. */
    struct blob *rotten = blob_copy(item->value->data, item->value->bytes);
    gt_assert(rotten);
    uint64_t bit = prng_below(random, (uint64_t)rotten->bytes * 8);
    rotten->data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    blob_unref(item->value);
    item->value = rotten;
}

struct slice memindex_flip(struct index *x, uint64_t seed)
{
    struct memindex *m = mem_of(x);
    struct prng random;
    struct slice key = {NULL, 0};
    prng_init(&random, seed);
    pthread_mutex_lock(&m->lock);
    struct item *item = item_drawn(&m->tables[INDEX_DATA], &random);
    if (item) {
        item_flip(item, &random);
        key = slice_blob(item->key);
    }
    pthread_mutex_unlock(&m->lock);
    return key;
}

bool memindex_flip_key(struct index *x, struct slice key, uint64_t seed)
{
    struct memindex *m = mem_of(x);
    struct prng random;
    prng_init(&random, seed);
    pthread_mutex_lock(&m->lock);
    struct table *t = &m->tables[INDEX_DATA];
    size_t at = table_find(t, key);
    bool found = table_has(t, at, key) && t->items[at].value->bytes > 0;
    if (found)
        item_flip(&t->items[at], &random);
    pthread_mutex_unlock(&m->lock);
    return found;
}

bool memindex_lose_key(struct index *x, struct slice key)
{
    struct memindex *m = mem_of(x);
    pthread_mutex_lock(&m->lock);
    struct table *t = &m->tables[INDEX_DATA];
    size_t at = table_find(t, key);
    bool found = table_has(t, at, key);
    if (found)
        table_drop(t, at);
    pthread_mutex_unlock(&m->lock);
    return found;
}

void memindex_resident(struct index *x, unsigned share)
{
    mem_of(x)->resident = share;
}
