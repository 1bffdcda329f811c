#include "tests/lib/memdisk.h"

#include <pthread.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/prng.h"
#include "tests/lib/pages.h"

#define SECTOR_BYTES_MAX 4096u

/* A write that is not on the medium. */
struct pending {
    uint64_t offset;
    size_t bytes;
    struct blob **pages; /* of the cache after it, from that of offset on; NULL: cut to zero */
    bool dropped;        /* by a failed sync: no later sync writes it */
};

struct inode {
    struct inode *next;
    bool folder;
    unsigned refs; /* open files */
    struct pages cache, medium;
    uint8_t *shown; /* by memdisk_bytes */
    struct pending *writes;
    size_t write_count, write_capacity;
};

struct entry {
    char name[DISK_NAME_BYTES];
    struct inode *inode;
};

struct entries {
    struct entry *items;
    size_t count, capacity;
};

/* A change of a folder that is not on the medium. */
struct change {
    char from[DISK_NAME_BYTES], to[DISK_NAME_BYTES]; /* creation: to; removal: from; rename: both */
    struct inode *inode;
};

struct memdisk {
    struct disk disk;
    pthread_mutex_t lock;
    struct inode *inodes;
    struct entries cache, medium;
    struct change *changes;
    size_t change_count, change_capacity;
    uint64_t capacity;
    unsigned open_files;
    uint64_t power; /* counts the power cuts */
    uint64_t calls[12];
    unsigned fail_calls;
    uint64_t fail_in; /* calls until the failing one; 0: none fails */
    int fail_error;
    bool fail_forever;
    struct memcut *cut;
    bool fail_harms;    /* the call that fails now leaves something behind */
    struct prng random; /* for what a failed call leaves behind */
};

struct disk_file {
    struct inode *inode;
    uint64_t power;
};

static struct memdisk *mem_of(const struct disk *d)
{
    return (struct memdisk *)(uintptr_t)d;
}

static void *grown(void *items, size_t count, size_t *capacity, size_t item_bytes)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 8;
    items = realloc(items, *capacity * item_bytes);
    gt_assert(items);
    return items;
}

/* ---- bytes and files ------------------------------------------------------------------------- */

/* Puts a part of the write where it belongs. */
static void pending_apply_part(struct pages *to, const struct pending *p, size_t from, size_t bytes)
{
    uint64_t offset = p->offset + from;
    pages_share(to, offset, bytes, p->pages + (offset / PAGE_BYTES - p->offset / PAGE_BYTES));
}

static void pending_apply(struct pages *to, const struct pending *p)
{
    if (!p->pages)
        pages_cut(to);
    else
        pending_apply_part(to, p, 0, p->bytes);
}

static void pending_close(struct pending *p)
{
    for (size_t i = 0; p->pages && i < pages_touched(p->offset, p->bytes); i++)
        blob_unref(p->pages[i]);
    free(p->pages);
}

static struct pending *inode_pending(struct inode *i)
{
    i->writes = grown(i->writes, i->write_count, &i->write_capacity, sizeof(*i->writes));
    return &i->writes[i->write_count++];
}

static void inode_cut(struct inode *i)
{
    *inode_pending(i) = (struct pending){0};
    pages_cut(&i->cache);
}

static void inode_write(struct inode *i, uint64_t offset, const void *data, size_t bytes)
{
    struct pending *p = inode_pending(i);
    size_t touched = pages_touched(offset, bytes);
    *p = (struct pending){.offset = offset, .bytes = bytes};
    p->pages = malloc(touched * sizeof(struct blob *));
    gt_assert(p->pages);
    pages_write(&i->cache, offset, data, bytes);
    for (size_t k = 0; k < touched; k++)
        p->pages[k] = blob_ref(i->cache.items[offset / PAGE_BYTES + k]);
}

static void inode_forget_writes(struct inode *i)
{
    for (size_t k = 0; k < i->write_count; k++)
        pending_close(&i->writes[k]);
    i->write_count = 0;
}

/* Writes to the medium what no failed sync dropped; what it dropped stays in the cache alone. */
static void inode_sync(struct inode *i)
{
    size_t kept = 0;
    for (size_t k = 0; k < i->write_count; k++) {
        struct pending *p = &i->writes[k];
        if (p->dropped) {
            i->writes[kept++] = *p;
            continue;
        }
        pending_apply(&i->medium, p);
        pending_close(p);
    }
    i->write_count = kept;
}

/* Of each dirty write the medium gets it or never will. */
static void inode_sync_fail(struct inode *i, struct prng *random)
{
    for (size_t k = 0; k < i->write_count; k++)
        if (prng_below(random, 2) == 0)
            i->writes[k].dropped = true;
    inode_sync(i);
}

/* Clean pages leave the cache, also those that lie about the medium. */
static void inode_drop_cache(struct inode *i)
{
    size_t kept = 0;
    pages_copy(&i->cache, &i->medium);
    for (size_t k = 0; k < i->write_count; k++) {
        struct pending *p = &i->writes[k];
        if (p->dropped) {
            pending_close(p);
            continue;
        }
        pending_apply(&i->cache, p);
        i->writes[kept++] = *p;
    }
    i->write_count = kept;
}

/* A write that the power cut came into: the bytes up to any place, or some of its sectors, of which
 * some may be garbage. A garbled sector loses also what was in it and is not of this write; the
 * file does not grow by it. */
static void pending_apply_torn(struct pages *to, const struct pending *p, struct prng *random,
                               size_t sector_bytes)
{
    enum { FIRST_PART, SECTORS, GARBAGE, WAYS } way = prng_below(random, WAYS);
    if (way == FIRST_PART) {
        pending_apply_part(to, p, 0, (size_t)prng_below(random, p->bytes + 1));
        return;
    }
    for (size_t at = 0; at < p->bytes;) {
        size_t before = (size_t)((p->offset + at) % sector_bytes), part = sector_bytes - before;
        if (part > p->bytes - at)
            part = p->bytes - at;
        uint64_t fate = prng_below(random, way == SECTORS ? 2 : 3);
        if (fate > 0)
            pending_apply_part(to, p, at, part);
        if (fate == 2) {
            uint8_t garbage[SECTOR_BYTES_MAX];
            size_t sector = (size_t)p->offset + at - before, left = to->bytes - sector;
            size_t bytes = left < sector_bytes ? left : sector_bytes;
            prng_fill(random, garbage, bytes);
            pages_write(to, sector, garbage, bytes);
        }
        at += part;
    }
}

static void inode_crash(struct inode *i, struct prng *random, uint64_t keep, size_t sector_bytes)
{
    for (size_t k = 0; k < i->write_count; k++) {
        const struct pending *p = &i->writes[k];
        bool tears = p->pages && p->bytes > 0 && prng_below(random, 3) == 0;
        if (p->dropped || prng_below(random, 1000) >= keep)
            continue;
        if (tears)
            pending_apply_torn(&i->medium, p, random, sector_bytes);
        else
            pending_apply(&i->medium, p);
    }
    inode_forget_writes(i);
    pages_copy(&i->cache, &i->medium);
}

static struct inode *inode_new(struct memdisk *m, bool folder)
{
    struct inode *i = calloc(1, sizeof(*i));
    gt_assert(i);
    i->folder = folder;
    i->next = m->inodes;
    m->inodes = i;
    return i;
}

static void inode_free(struct inode *i)
{
    inode_forget_writes(i);
    free(i->writes);
    pages_close(&i->cache);
    pages_close(&i->medium);
    free(i->shown);
    free(i);
}

/* ---- folders --------------------------------------------------------------------------------- */

static struct entry *entry_find(const struct entries *e, const char *name)
{
    for (size_t i = 0; i < e->count; i++)
        if (strcmp(e->items[i].name, name) == 0)
            return &e->items[i];
    return NULL;
}

static void entry_set(struct entries *e, const char *name, struct inode *inode)
{
    struct entry *at = entry_find(e, name);
    if (!at) {
        e->items = grown(e->items, e->count, &e->capacity, sizeof(*e->items));
        at = &e->items[e->count++];
        gt_assert(strlen(name) < DISK_NAME_BYTES);
        memcpy(at->name, name, strlen(name) + 1);
    }
    at->inode = inode;
}

static void entry_drop(struct entries *e, const char *name, const struct inode *inode)
{
    struct entry *at = entry_find(e, name);
    if (at && at->inode == inode)
        *at = e->items[--e->count];
}

static void change_apply(struct entries *e, const struct change *c)
{
    if (c->from[0])
        entry_drop(e, c->from, c->inode);
    if (c->to[0])
        entry_set(e, c->to, c->inode);
}

/* The folder part of a name: its bytes before the last '/', 0 for the root. */
static size_t folder_bytes(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? (size_t)(slash - name) : 0;
}

static bool is_in_folder(const char *name, const char *folder)
{
    size_t n = strlen(folder);
    return folder_bytes(name) == n && memcmp(name, folder, n) == 0;
}

static bool folder_exists(const struct entries *e, const char *folder)
{
    if (!*folder)
        return true;
    const struct entry *at = entry_find(e, folder);
    return at && at->inode->folder;
}

static bool folder_of_exists(const struct entries *e, const char *name)
{
    char folder[DISK_NAME_BYTES];
    size_t n = folder_bytes(name);
    memcpy(folder, name, n);
    folder[n] = 0;
    return folder_exists(e, folder);
}

static void change(struct memdisk *m, const char *from, const char *to, struct inode *inode)
{
    m->changes = grown(m->changes, m->change_count, &m->change_capacity, sizeof(*m->changes));
    struct change *c = &m->changes[m->change_count++];
    *c = (struct change){.inode = inode};
    gt_assert(strlen(from) < DISK_NAME_BYTES && strlen(to) < DISK_NAME_BYTES);
    memcpy(c->from, from, strlen(from) + 1);
    memcpy(c->to, to, strlen(to) + 1);
    change_apply(&m->cache, c);
}

static void entries_copy(struct entries *to, const struct entries *from)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++)
        entry_set(to, from->items[i].name, from->items[i].inode);
}

static void folders_sync(struct memdisk *m, const char *folder)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->change_count; i++) {
        const struct change *c = &m->changes[i];
        if (is_in_folder(c->to[0] ? c->to : c->from, folder))
            change_apply(&m->medium, c);
        else
            m->changes[kept++] = *c;
    }
    m->change_count = kept;
}

/* Keeps a first part of the changes, or any of them; files of a lost folder are lost. */
static void folders_crash(struct memdisk *m, struct prng *random, uint64_t keep)
{
    size_t first = prng_below(random, 2) == 0 ? 0 : (size_t)prng_below(random, m->change_count + 1);
    for (size_t i = 0; i < m->change_count; i++)
        if (first > 0 ? i < first : prng_below(random, 1000) < keep)
            change_apply(&m->medium, &m->changes[i]);
    m->change_count = 0;
    for (size_t i = 0; i < m->medium.count;)
        if (folder_of_exists(&m->medium, m->medium.items[i].name))
            i++;
        else
            m->medium.items[i] = m->medium.items[--m->medium.count];
    entries_copy(&m->cache, &m->medium);
}

/* Some name leads to it, or may lead to it again after a power cut. */
static bool inode_is_named(const struct memdisk *m, const struct inode *inode)
{
    for (size_t i = 0; i < m->cache.count; i++)
        if (m->cache.items[i].inode == inode)
            return true;
    for (size_t i = 0; i < m->medium.count; i++)
        if (m->medium.items[i].inode == inode)
            return true;
    for (size_t i = 0; i < m->change_count; i++)
        if (m->changes[i].inode == inode)
            return true;
    return false;
}

static void inodes_sweep(struct memdisk *m)
{
    for (struct inode **at = &m->inodes; *at;) {
        struct inode *i = *at;
        if (i->refs > 0 || inode_is_named(m, i)) {
            at = &i->next;
            continue;
        }
        *at = i->next;
        inode_free(i);
    }
}

static uint64_t used_bytes(const struct memdisk *m)
{
    uint64_t used = 0;
    for (size_t i = 0; i < m->cache.count; i++)
        used += m->cache.items[i].inode->cache.bytes;
    return used;
}

/* ---- the table ------------------------------------------------------------------------------- */

/* Counts the call; the error that it shall answer, or 0. Takes the lock. */
static int call_begin(struct memdisk *m, enum memdisk_call call)
{
    pthread_mutex_lock(&m->lock);
    m->calls[__builtin_ctz(call)]++;
    enum memcut_fate fate = m->cut ? memcut_call(m->cut) : MEMCUT_DONE;
    /* A process that ends takes nothing back that is in the cache: its last sync does no harm. */
    m->fail_harms = fate == MEMCUT_DONE || (fate == MEMCUT_CUT && call == MEMDISK_WRITE);
    if (fate != MEMCUT_DONE)
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

static int call_end(struct memdisk *m, int result)
{
    pthread_mutex_unlock(&m->lock);
    return result;
}

static int file_call_begin(struct memdisk *m, enum memdisk_call call, const struct disk_file *f)
{
    int error = call_begin(m, call);
    return error == 0 && f->power != m->power ? GT_EIO : error;
}

static int open_locked(struct memdisk *m, const char *name, bool create, struct disk_file **out)
{
    struct entry *at = entry_find(&m->cache, name);
    if (at && at->inode->folder)
        return GT_EIO;
    if (!at && (!create || !folder_of_exists(&m->cache, name)))
        return GT_ENOTFOUND;
    struct inode *inode = at ? at->inode : inode_new(m, false);
    if (!at)
        change(m, "", name, inode);
    else if (create)
        inode_cut(inode);
    struct disk_file *f = malloc(sizeof(*f));
    gt_assert(f);
    *f = (struct disk_file){inode, m->power};
    inode->refs++;
    m->open_files++;
    *out = f;
    return 0;
}

static int mem_open(struct disk *d, const char *name, bool create, struct disk_file **out)
{
    struct memdisk *m = mem_of(d);
    int error = call_begin(m, MEMDISK_OPEN);
    return call_end(m, error ? error : open_locked(m, name, create, out));
}

static void mem_close(struct disk *d, struct disk_file *f)
{
    struct memdisk *m = mem_of(d);
    pthread_mutex_lock(&m->lock);
    f->inode->refs--;
    m->open_files--;
    free(f);
    pthread_mutex_unlock(&m->lock);
}

static int mem_size(struct disk *d, struct disk_file *f, uint64_t *bytes)
{
    struct memdisk *m = mem_of(d);
    int error = file_call_begin(m, MEMDISK_SIZE, f);
    if (error == 0)
        *bytes = f->inode->cache.bytes;
    return call_end(m, error);
}

static int mem_read(struct disk *d, struct disk_file *f, uint64_t offset, void *data, size_t bytes,
                    size_t *got)
{
    struct memdisk *m = mem_of(d);
    int error = file_call_begin(m, MEMDISK_READ, f);
    if (error == 0) {
        const struct pages *p = &f->inode->cache;
        size_t left = offset < p->bytes ? p->bytes - (size_t)offset : 0;
        *got = bytes < left ? bytes : left;
        if (*got > 0)
            pages_read(p, offset, data, *got);
    }
    return call_end(m, error);
}

static int mem_write(struct disk *d, struct disk_file *f, uint64_t offset, const void *data,
                     size_t bytes)
{
    struct memdisk *m = mem_of(d);
    int error = file_call_begin(m, MEMDISK_WRITE, f);
    uint64_t end = offset + bytes, size = f->inode->cache.bytes;
    if (error == 0 && end > size && used_bytes(m) + (end - size) > m->capacity)
        error = GT_ENOSPACE;
    if (error != 0 && f->power == m->power)
        bytes = m->fail_harms ? (size_t)prng_below(&m->random, bytes + 1) : 0;
    if (f->power == m->power && bytes > 0 && error != GT_ENOSPACE)
        inode_write(f->inode, offset, data, bytes);
    return call_end(m, error);
}

static int mem_sync(struct disk *d, struct disk_file *f)
{
    struct memdisk *m = mem_of(d);
    int error = file_call_begin(m, MEMDISK_SYNC, f);
    if (error == 0)
        inode_sync(f->inode);
    else if (f->power == m->power && m->fail_harms)
        inode_sync_fail(f->inode, &m->random);
    return call_end(m, error);
}

static int mem_drop_cache(struct disk *d, struct disk_file *f)
{
    struct memdisk *m = mem_of(d);
    int error = file_call_begin(m, MEMDISK_DROP_CACHE, f);
    if (error == 0)
        inode_drop_cache(f->inode);
    return call_end(m, error);
}

static void mem_read_ahead(struct disk *d, struct disk_file *f)
{
    (void)d;
    (void)f;
}

static int mem_rename(struct disk *d, const char *from, const char *to)
{
    struct memdisk *m = mem_of(d);
    int error = call_begin(m, MEMDISK_RENAME);
    size_t n = folder_bytes(from);
    gt_assert(folder_bytes(to) == n && memcmp(from, to, n) == 0); /* within one folder */
    const struct entry *at = entry_find(&m->cache, from);
    if (error == 0 && !at)
        error = GT_ENOTFOUND;
    if (error == 0)
        change(m, from, to, at->inode);
    return call_end(m, error);
}

static int mem_remove(struct disk *d, const char *name)
{
    struct memdisk *m = mem_of(d);
    int error = call_begin(m, MEMDISK_REMOVE);
    const struct entry *at = entry_find(&m->cache, name);
    if (error == 0 && !at)
        error = GT_ENOTFOUND;
    if (error == 0)
        change(m, name, "", at->inode);
    return call_end(m, error);
}

static int mem_make_folder(struct disk *d, const char *name)
{
    struct memdisk *m = mem_of(d);
    int error = call_begin(m, MEMDISK_MAKE_FOLDER);
    const struct entry *at = entry_find(&m->cache, name);
    if (error == 0 && !at)
        change(m, "", name, inode_new(m, true));
    else if (error == 0 && !at->inode->folder)
        error = GT_EIO;
    return call_end(m, error);
}

static int mem_sync_folder(struct disk *d, const char *name)
{
    struct memdisk *m = mem_of(d);
    int error = call_begin(m, MEMDISK_SYNC_FOLDER);
    if (error == 0 && !folder_exists(&m->cache, name))
        error = GT_ENOTFOUND;
    if (error == 0) {
        folders_sync(m, name);
        inodes_sweep(m); /* those whose removal is durable now */
    }
    return call_end(m, error);
}

static int mem_list(struct disk *d, const char *folder, int (*each)(void *arg, const char *name),
                    void *arg)
{
    struct memdisk *m = mem_of(d);
    int error = call_begin(m, MEMDISK_LIST);
    if (error == 0 && !folder_exists(&m->cache, folder))
        error = GT_ENOTFOUND;
    /* The caller may use the disk meanwhile: it gets a copy. */
    struct entries names = {0};
    if (error == 0)
        entries_copy(&names, &m->cache);
    call_end(m, 0);
    for (size_t i = 0; i < names.count && error == 0; i++) {
        const char *name = names.items[i].name;
        if (!names.items[i].inode->folder && is_in_folder(name, folder))
            error = each(arg, *folder ? name + strlen(folder) + 1 : name);
    }
    free(names.items);
    return error;
}

static int mem_space(struct disk *d, uint64_t *bytes)
{
    struct memdisk *m = mem_of(d);
    int error = call_begin(m, MEMDISK_SPACE);
    uint64_t used = used_bytes(m);
    if (error == 0)
        *bytes = m->capacity > used ? m->capacity - used : 0;
    return call_end(m, error);
}

static void mem_destroy(struct disk *d)
{
    struct memdisk *m = mem_of(d);
    gt_assert(m->open_files == 0);
    while (m->inodes) {
        struct inode *next = m->inodes->next;
        inode_free(m->inodes);
        m->inodes = next;
    }
    free(m->cache.items);
    free(m->medium.items);
    free(m->changes);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

struct disk *memdisk_new(void)
{
    struct memdisk *m = calloc(1, sizeof(*m));
    gt_assert(m);
    m->disk = (struct disk){
        .open = mem_open,
        .close = mem_close,
        .size = mem_size,
        .read = mem_read,
        .write = mem_write,
        .sync = mem_sync,
        .drop_cache = mem_drop_cache,
        .read_ahead = mem_read_ahead,
        .rename = mem_rename,
        .remove = mem_remove,
        .make_folder = mem_make_folder,
        .sync_folder = mem_sync_folder,
        .list = mem_list,
        .space = mem_space,
        .destroy = mem_destroy,
    };
    m->capacity = (uint64_t)1 << 40;
    pthread_mutex_init(&m->lock, NULL);
    prng_init(&m->random, 1);
    return &m->disk;
}

/* ---- control --------------------------------------------------------------------------------- */

void memdisk_fail(struct disk *d, unsigned calls, uint64_t nth, int error, bool forever)
{
    struct memdisk *m = mem_of(d);
    pthread_mutex_lock(&m->lock);
    m->fail_calls = calls;
    m->fail_in = nth;
    m->fail_error = error;
    m->fail_forever = forever;
    pthread_mutex_unlock(&m->lock);
}

void memdisk_cut(struct disk *d, struct memcut *cut)
{
    struct memdisk *m = mem_of(d);
    pthread_mutex_lock(&m->lock);
    m->cut = cut;
    pthread_mutex_unlock(&m->lock);
}

uint64_t memdisk_calls(const struct disk *d, unsigned calls)
{
    struct memdisk *m = mem_of(d);
    uint64_t count = 0;
    pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < sizeof(m->calls) / sizeof(m->calls[0]); i++)
        if (calls & 1u << i)
            count += m->calls[i];
    pthread_mutex_unlock(&m->lock);
    return count;
}

void memdisk_capacity(struct disk *d, uint64_t bytes)
{
    struct memdisk *m = mem_of(d);
    pthread_mutex_lock(&m->lock);
    m->capacity = bytes;
    pthread_mutex_unlock(&m->lock);
}

unsigned memdisk_open_files(const struct disk *d)
{
    struct memdisk *m = mem_of(d);
    pthread_mutex_lock(&m->lock);
    unsigned count = m->open_files;
    pthread_mutex_unlock(&m->lock);
    return count;
}

/* What is open is of a disk that is no more. */
static void files_cut_off(struct memdisk *m)
{
    m->power++;
    m->fail_in = 0;
}

void memdisk_crash(struct disk *d, uint64_t seed)
{
    struct memdisk *m = mem_of(d);
    struct prng random;
    pthread_mutex_lock(&m->lock);
    prng_init(&random, seed);
    /* Sometimes all is lost, sometimes nothing, mostly something between. */
    static const uint64_t shares[] = {0, 200, 500, 800, 1000};
    uint64_t keep = shares[prng_below(&random, sizeof(shares) / sizeof(shares[0]))];
    size_t sector_bytes = prng_below(&random, 2) == 0 ? 512 : SECTOR_BYTES_MAX;
    folders_crash(m, &random, keep);
    for (struct inode *i = m->inodes; i; i = i->next)
        inode_crash(i, &random, keep, sector_bytes);
    inodes_sweep(m);
    files_cut_off(m);
    m->random = random;
    pthread_mutex_unlock(&m->lock);
}

/* ---- the whole disk -------------------------------------------------------------------------- */

struct saved {
    char name[DISK_NAME_BYTES];
    bool folder;
    struct pages content;
};

struct memdisk_snapshot {
    struct saved *items;
    size_t count;
};

struct memdisk_snapshot *memdisk_snapshot(const struct disk *d)
{
    struct memdisk *m = mem_of(d);
    struct memdisk_snapshot *s = calloc(1, sizeof(*s));
    gt_assert(s);
    pthread_mutex_lock(&m->lock);
    s->items = calloc(m->cache.count + 1, sizeof(*s->items));
    gt_assert(s->items);
    for (; s->count < m->cache.count; s->count++) {
        const struct entry *from = &m->cache.items[s->count];
        struct saved *to = &s->items[s->count];
        memcpy(to->name, from->name, sizeof(to->name));
        to->folder = from->inode->folder;
        pages_copy(&to->content, &from->inode->cache);
    }
    pthread_mutex_unlock(&m->lock);
    return s;
}

void memdisk_snapshot_free(struct memdisk_snapshot *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        pages_close(&s->items[i].content);
    free(s->items);
    free(s);
}

void memdisk_restore(struct disk *d, const struct memdisk_snapshot *s)
{
    struct memdisk *m = mem_of(d);
    pthread_mutex_lock(&m->lock);
    m->cache.count = m->medium.count = m->change_count = 0;
    inodes_sweep(m);
    for (size_t i = 0; i < s->count; i++) {
        const struct saved *from = &s->items[i];
        struct inode *inode = inode_new(m, from->folder);
        pages_copy(&inode->cache, &from->content);
        pages_copy(&inode->medium, &from->content);
        entry_set(&m->cache, from->name, inode);
        entry_set(&m->medium, from->name, inode);
    }
    files_cut_off(m);
    pthread_mutex_unlock(&m->lock);
}

void memdisk_wipe(struct disk *d)
{
    static const struct memdisk_snapshot empty;
    memdisk_restore(d, &empty);
}

/* ---- single files ---------------------------------------------------------------------------- */

const uint8_t *memdisk_bytes(const struct disk *d, const char *name, size_t *bytes)
{
    struct memdisk *m = mem_of(d);
    uint8_t *shown = NULL;
    pthread_mutex_lock(&m->lock);
    const struct entry *at = entry_find(&m->cache, name);
    if (at && !at->inode->folder) {
        struct inode *inode = at->inode;
        *bytes = inode->cache.bytes;
        shown = realloc(inode->shown, *bytes + 1);
        gt_assert(shown);
        pages_read(&inode->cache, 0, shown, *bytes);
        inode->shown = shown;
    }
    pthread_mutex_unlock(&m->lock);
    return shown;
}

void memdisk_put(struct disk *d, const char *name, const void *data, size_t bytes)
{
    struct memdisk *m = mem_of(d);
    pthread_mutex_lock(&m->lock);
    char folder[DISK_NAME_BYTES];
    size_t n = folder_bytes(name);
    memcpy(folder, name, n);
    folder[n] = 0;
    if (!folder_exists(&m->cache, folder))
        change(m, "", folder, inode_new(m, true));
    struct entry *at = entry_find(&m->cache, name);
    struct inode *inode = at ? at->inode : inode_new(m, false);
    if (!at)
        change(m, "", name, inode);
    folders_sync(m, "");
    folders_sync(m, folder);
    inode_forget_writes(inode);
    pages_cut(&inode->cache);
    pages_write(&inode->cache, 0, data, bytes);
    pages_copy(&inode->medium, &inode->cache);
    pthread_mutex_unlock(&m->lock);
}

void memdisk_flip(struct disk *d, const char *name, uint64_t offset, uint8_t mask)
{
    struct memdisk *m = mem_of(d);
    pthread_mutex_lock(&m->lock);
    struct inode *inode = entry_find(&m->cache, name)->inode;
    *pages_byte(&inode->cache, offset) ^= mask;
    if (offset < inode->medium.bytes)
        *pages_byte(&inode->medium, offset) ^= mask;
    pthread_mutex_unlock(&m->lock);
}
