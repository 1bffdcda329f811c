#include "tests/crash/model.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"
#include "engine/base/prng.h"

struct inode {
    struct inode *next;
    uint64_t number; /* the system's */
    bool folder;
    uint8_t *medium; /* what is durable */
    size_t bytes, capacity;
};

enum pending_kind { PENDING_WRITE, PENDING_SIZE, PENDING_MAKE, PENDING_MOVE, PENDING_REMOVE };

struct pending {
    enum pending_kind kind;
    bool durable; /* a durable write waits here for its turn: it is applied in every cut */
    bool grow;    /* SIZE: at least */
    struct inode *inode;
    uint64_t offset; /* of the write; the new size */
    const uint8_t *data;
    size_t bytes;
    const char *path, *from; /* names; REMOVE: path */
};

struct name {
    const char *path;
    struct inode *inode;
};

struct names {
    struct name *items;
    size_t count, capacity;
};

struct model {
    struct inode *inodes;
    struct names durable, seen;
    struct pending *pending;
    size_t count, capacity;
    struct image base; /* holds the paths of what it began with */
};

static void *grown(void *items, size_t count, size_t *capacity, size_t item_bytes)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 16;
    items = realloc(items, *capacity * item_bytes);
    gt_assert(items);
    return items;
}

/* ---- images ---------------------------------------------------------------------------------- */

void image_close(struct image *i)
{
    for (size_t k = 0; k < i->count; k++) {
        if (i->files[k].owned)
            free(i->files[k].data);
        free(i->files[k].path);
    }
    free(i->files);
    *i = (struct image){0};
}

uint64_t image_hash(const struct image *i)
{
    uint64_t hash = i->count;
    for (size_t k = 0; k < i->count; k++) {
        const struct image_file *f = &i->files[k];
        uint64_t parts[4] = {hash, hash_bytes(slice_text(f->path)), f->data ? f->bytes + 1 : 0,
                             f->data ? hash_bytes(slice_of(f->data, f->bytes)) : 0};
        hash = hash_bytes(slice_of((const uint8_t *)parts, sizeof(parts)));
    }
    return hash;
}

void image_copy(const struct image *from, struct image *to)
{
    *to = (struct image){calloc(from->count + 1, sizeof(*to->files)), from->count};
    gt_assert(to->files);
    for (size_t k = 0; k < from->count; k++) {
        const struct image_file *f = &from->files[k];
        struct image_file *copy = &to->files[k];
        *copy = (struct image_file){.path = strdup(f->path), .bytes = f->bytes, .owned = true};
        if (f->data) {
            copy->data = malloc(f->bytes + 1);
            gt_assert(copy->data);
            memcpy(copy->data, f->data, f->bytes);
        }
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

static struct name *name_find(const struct names *n, const char *path)
{
    for (size_t i = 0; i < n->count; i++)
        if (strcmp(n->items[i].path, path) == 0)
            return &n->items[i];
    return NULL;
}

static void name_set(struct names *n, const char *path, struct inode *inode)
{
    struct name *at = name_find(n, path);
    if (!at) {
        n->items = grown(n->items, n->count, &n->capacity, sizeof(*n->items));
        at = &n->items[n->count++];
        at->path = path;
    }
    at->inode = inode;
}

static void name_drop(struct names *n, const char *path, const struct inode *inode)
{
    struct name *at = name_find(n, path);
    if (at && at->inode == inode)
        *at = n->items[--n->count];
}

static void name_apply(struct names *n, const struct pending *p)
{
    if (p->kind == PENDING_MOVE)
        name_drop(n, p->from, p->inode);
    if (p->kind == PENDING_REMOVE)
        name_drop(n, p->path, p->inode);
    else
        name_set(n, p->path, p->inode);
}

static bool is_name(const struct pending *p)
{
    return p->kind == PENDING_MAKE || p->kind == PENDING_MOVE || p->kind == PENDING_REMOVE;
}

/* Whether the path lies in the folder itself. */
static bool lies_in(const char *path, const char *folder)
{
    size_t bytes = strlen(folder);
    const char *slash = strrchr(path, '/');
    size_t above = slash ? (size_t)(slash - path) : 0;
    return above == bytes && memcmp(path, folder, bytes) == 0;
}

/* ---- files ----------------------------------------------------------------------------------- */

static struct inode *inode_new(struct model *m, bool folder)
{
    struct inode *i = calloc(1, sizeof(*i));
    gt_assert(i);
    i->folder = folder;
    i->next = m->inodes;
    m->inodes = i;
    return i;
}

static struct inode *inode_of(struct model *m, uint64_t number)
{
    for (struct inode *i = m->inodes; i; i = i->next)
        if (i->number == number && !i->folder)
            return i;
    return NULL;
}

/* Bytes with a size that changes. */
struct bytes {
    uint8_t *data;
    size_t bytes, capacity;
};

static void bytes_resize(struct bytes *b, size_t bytes)
{
    if (bytes > b->capacity) {
        b->capacity = bytes + bytes / 2;
        b->data = realloc(b->data, b->capacity);
        gt_assert(b->data);
    }
    if (bytes > b->bytes)
        memset(b->data + b->bytes, 0, bytes - b->bytes);
    b->bytes = bytes;
}

static void bytes_put(struct bytes *b, uint64_t offset, const uint8_t *data, size_t bytes)
{
    if (bytes == 0)
        return;
    if (offset + bytes > b->bytes)
        bytes_resize(b, (size_t)offset + bytes);
    memcpy(b->data + offset, data, bytes);
}

static void pending_apply(struct bytes *b, const struct pending *p)
{
    if (p->kind == PENDING_WRITE)
        bytes_put(b, p->offset, p->data, p->bytes);
    else if (!p->grow || p->offset > b->bytes)
        bytes_resize(b, (size_t)p->offset);
}

/* The size behind this operation, of a file that had `bytes`. */
static size_t pending_size(const struct pending *p, size_t bytes)
{
    size_t end = (size_t)p->offset + p->bytes;
    if (p->kind == PENDING_SIZE && !p->grow)
        return end;
    return end > bytes ? end : bytes;
}

/* ---- running --------------------------------------------------------------------------------- */

struct model *model_new(const struct image *from)
{
    struct model *m = calloc(1, sizeof(*m));
    gt_assert(m);
    if (from)
        image_copy(from, &m->base);
    for (size_t k = 0; k < m->base.count; k++) {
        struct image_file *f = &m->base.files[k];
        struct inode *i = inode_new(m, !f->data);
        i->medium = f->data;
        i->bytes = i->capacity = f->bytes;
        f->owned = false;
        name_set(&m->durable, f->path, i);
        name_set(&m->seen, f->path, i);
    }
    return m;
}

void model_free(struct model *m)
{
    while (m->inodes) {
        struct inode *i = m->inodes;
        m->inodes = i->next;
        free(i->medium);
        free(i);
    }
    image_close(&m->base);
    free(m->durable.items);
    free(m->seen.items);
    free(m->pending);
    free(m);
}

static struct pending *pending_add(struct model *m, enum pending_kind kind, struct inode *inode)
{
    m->pending = grown(m->pending, m->count, &m->capacity, sizeof(*m->pending));
    struct pending *p = &m->pending[m->count++];
    *p = (struct pending){.kind = kind, .inode = inode};
    return p;
}

static void name_begin(struct model *m, enum pending_kind kind, struct inode *inode,
                       const char *path, const char *from)
{
    struct pending *p = pending_add(m, kind, inode);
    p->path = path;
    p->from = from;
    name_apply(&m->seen, p);
}

static void open_begin(struct model *m, const struct trace_op *op)
{
    const char *path = (const char *)op->bytes;
    struct name *found = name_find(&m->seen, path);
    if (!found) {
        struct inode *made = inode_new(m, false);
        made->number = op->head.inode;
        name_begin(m, PENDING_MAKE, made, path, NULL);
        return;
    }
    for (struct inode *i = m->inodes; i; i = i->next)
        if (i->number == op->head.inode)
            i->number = 0; /* of a file that is gone */
    found->inode->number = op->head.inode;
    if (op->head.flags & TRACE_CUT)
        pending_add(m, PENDING_SIZE, found->inode);
}

static bool data_begin(struct model *m, const struct trace_op *op)
{
    struct inode *inode = inode_of(m, op->head.inode);
    if (!inode)
        return false;
    bool write = op->head.kind == TRACE_WRITE;
    struct pending *p = pending_add(m, write ? PENDING_WRITE : PENDING_SIZE, inode);
    p->offset = op->head.offset;
    p->data = op->bytes;
    p->bytes = (size_t)op->head.bytes;
    p->grow = op->head.flags & TRACE_GROW;
    return true;
}

bool model_begin(struct model *m, const struct trace_op *op)
{
    const char *path = (const char *)op->bytes;
    struct name *n;
    switch ((enum trace_kind)op->head.kind) {
    case TRACE_OPEN:
        open_begin(m, op);
        return true;
    case TRACE_WRITE:
    case TRACE_SIZE:
        return data_begin(m, op);
    case TRACE_RENAME:
        n = name_find(&m->seen, path);
        if (n)
            name_begin(m, PENDING_MOVE, n->inode, path + strlen(path) + 1, path);
        return n != NULL;
    case TRACE_UNLINK:
        n = name_find(&m->seen, path);
        if (n)
            name_begin(m, PENDING_REMOVE, n->inode, path, NULL);
        return n != NULL || trace_is_volatile(path);
    case TRACE_MKDIR:
        name_begin(m, PENDING_MAKE, inode_new(m, true), path, NULL);
        return true;
    case TRACE_SYNC:
        return op->head.flags & TRACE_FOLDER || inode_of(m, op->head.inode);
    case TRACE_MARK:
        return true;
    }
    return false;
}

static void file_sync(struct model *m, struct inode *inode)
{
    struct bytes b = {inode->medium, inode->bytes, inode->capacity};
    size_t kept = 0;
    for (size_t k = 0; k < m->count; k++) {
        struct pending *p = &m->pending[k];
        if (is_name(p) || p->inode != inode)
            m->pending[kept++] = *p;
        else
            pending_apply(&b, p);
    }
    m->count = kept;
    inode->medium = b.data;
    inode->bytes = b.bytes;
    inode->capacity = b.capacity;
}

static void folder_sync(struct model *m, const char *folder)
{
    size_t kept = 0;
    for (size_t k = 0; k < m->count; k++) {
        struct pending *p = &m->pending[k];
        if (is_name(p) && lies_in(p->path, folder))
            name_apply(&m->durable, p);
        else
            m->pending[kept++] = *p;
    }
    m->count = kept;
}

void model_end(struct model *m, const struct trace_op *op)
{
    if (op->head.kind == TRACE_WRITE && op->head.flags & TRACE_DURABLE) {
        struct pending *last = &m->pending[m->count - 1];
        bool alone = true;
        for (size_t k = 0; k + 1 < m->count; k++)
            alone = alone && (is_name(&m->pending[k]) || m->pending[k].inode != last->inode ||
                              m->pending[k].durable);
        last->durable = true;
        if (alone)
            file_sync(m, last->inode);
    } else if (op->head.kind == TRACE_SYNC && op->head.flags & TRACE_FOLDER) {
        folder_sync(m, (const char *)op->bytes);
    } else if (op->head.kind == TRACE_SYNC) {
        file_sync(m, inode_of(m, op->head.inode));
    }
}

/* ---- cutting --------------------------------------------------------------------------------- */

static const struct pending *pending_at(const struct model *m, size_t i)
{
    for (size_t k = 0;; k++)
        if (!m->pending[k].durable && i-- == 0)
            return &m->pending[k];
}

size_t model_pending(const struct model *m)
{
    size_t count = 0;
    for (size_t k = 0; k < m->count; k++)
        count += !m->pending[k].durable;
    return count;
}

size_t model_pending_bytes(const struct model *m, size_t i)
{
    const struct pending *p = pending_at(m, i);
    return p->kind == PENDING_WRITE ? p->bytes : 0;
}

bool model_pending_grows(const struct model *m, size_t i)
{
    const struct pending *p = pending_at(m, i);
    return !is_name(p) && p->offset + p->bytes > p->inode->bytes;
}

static void garbage_put(struct bytes *b, uint64_t from, uint64_t to, uint64_t seed)
{
    struct prng prng;
    prng_init(&prng, seed ^ from * 0x9e3779b97f4a7c15u);
    if (to > b->bytes)
        to = b->bytes;
    if (from < to)
        prng_fill(&prng, b->data + from, (size_t)(to - from));
}

/* One sector of a write that the power cut came into: [from, to) of the file. */
static void sector_tear(struct bytes *b, const struct pending *p, const struct cut *cut,
                        enum fate fate, uint64_t from, uint64_t to, struct prng *prng)
{
    uint64_t first = from > p->offset ? from : p->offset;
    uint64_t end = p->offset + p->bytes < to ? p->offset + p->bytes : to;
    uint64_t drawn = fate == FATE_SHREDDED ? 2 : prng_below(prng, fate == FATE_SOME ? 2 : 3);
    if (drawn > 0)
        bytes_put(b, first, p->data + (first - p->offset), (size_t)(end - first));
    if (drawn == 2)
        garbage_put(b, from, to, cut->seed);
}

static void write_tear(struct bytes *b, const struct pending *p, const struct cut *cut,
                       const struct choice *choice, struct prng *prng)
{
    uint64_t end = p->offset + p->bytes;
    if (choice->fate == FATE_FIRST) {
        uint64_t to =
            p->offset / SECTOR_BYTES * SECTOR_BYTES + (uint64_t)choice->sectors * SECTOR_BYTES;
        to = to < end ? to : end;
        if (to > p->offset)
            bytes_put(b, p->offset, p->data, (size_t)(to - p->offset));
        return;
    }
    uint32_t sector = choice->fate == FATE_SOME ? SECTOR_BYTES : cut->sector_bytes, number = 0;
    for (uint64_t from = p->offset / sector * sector; from < end; from += sector, number++) {
        if (choice->fate == FATE_SHREDDED && choice->sectors > 0 && number >= choice->sectors)
            sector_tear(b, p, cut, FATE_SOME, from, from + sector, prng);
        else
            sector_tear(b, p, cut, choice->fate, from, from + sector, prng);
    }
}

/* What of the file the medium has. `untouched` gets the places that no data came to. */
static void file_apply(const struct model *m, const struct inode *inode, const struct cut *cut,
                       struct bytes *b)
{
    struct prng prng;
    prng_init(&prng, cut->seed);
    size_t choice = 0, floor = inode->bytes, ahead = inode->bytes;
    for (size_t k = 0; k < m->count; k++) {
        const struct pending *p = &m->pending[k];
        const struct choice *c = p->durable ? NULL : &cut->choices[choice++];
        if (is_name(p) || p->inode != inode)
            continue;
        ahead = pending_size(p, ahead);
        size_t before = b->bytes;
        if (!c || c->fate == FATE_KEPT || (c->fate != FATE_LOST && p->kind != PENDING_WRITE))
            pending_apply(b, p);
        else if (c->fate != FATE_LOST)
            write_tear(b, p, cut, c, &prng);
        floor = !c ? pending_size(p, floor) : b->bytes < floor ? b->bytes : floor;
        if (cut->size == SIZE_AHEAD_GARBAGE && p->kind == PENDING_WRITE && p->offset > before)
            garbage_put(b, before, p->offset, cut->seed);
    }
    size_t end = b->bytes;
    if (cut->size == SIZE_BEHIND && floor < end)
        bytes_resize(b, floor);
    else if (cut->size >= SIZE_AHEAD && cut->size <= SIZE_AHEAD_GARBAGE && ahead > end)
        bytes_resize(b, ahead);
    if (cut->size == SIZE_AHEAD_GARBAGE && ahead > end)
        garbage_put(b, end, ahead, cut->seed);
}

static int file_order(const void *left, const void *right)
{
    return strcmp(((const struct image_file *)left)->path,
                  ((const struct image_file *)right)->path);
}

/* A file is there only with all folders above it. */
static bool is_reached(const struct names *n, const char *path)
{
    char above[TRACE_PATH_BYTES];
    gt_assert(strlen(path) < sizeof(above));
    strcpy(above, path);
    for (char *slash; (slash = strrchr(above, '/'));) {
        *slash = 0;
        const struct name *found = name_find(n, above);
        if (!found || !found->inode->folder)
            return false;
    }
    return true;
}

static bool is_touched(const struct model *m, const struct inode *inode)
{
    for (size_t k = 0; k < m->count; k++)
        if (!is_name(&m->pending[k]) && m->pending[k].inode == inode)
            return true;
    return false;
}

static void image_make(const struct model *m, const struct names *n, const struct cut *cut,
                       struct image *out)
{
    *out = (struct image){calloc(n->count + 1, sizeof(*out->files)), 0};
    gt_assert(out->files);
    for (size_t i = 0; i < n->count; i++) {
        const struct inode *inode = n->items[i].inode;
        if (!is_reached(n, n->items[i].path))
            continue;
        struct image_file *f = &out->files[out->count++];
        *f = (struct image_file){.path = strdup(n->items[i].path)};
        gt_assert(f->path);
        if (inode->folder)
            continue;
        struct bytes b = {inode->medium, inode->bytes, inode->capacity};
        if (is_touched(m, inode)) {
            b = (struct bytes){malloc(inode->bytes + 1), inode->bytes, inode->bytes + 1};
            gt_assert(b.data);
            if (inode->bytes > 0)
                memcpy(b.data, inode->medium, inode->bytes);
            file_apply(m, inode, cut, &b);
            f->owned = true;
        }
        static uint8_t nothing;
        f->data = b.data ? b.data : &nothing;
        f->bytes = b.bytes;
    }
    qsort(out->files, out->count, sizeof(*out->files), file_order);
}

void model_cut(const struct model *m, const struct cut *cut, struct image *out)
{
    struct names n = {calloc(m->durable.count + 1, sizeof(struct name)), m->durable.count,
                      m->durable.count + 1};
    gt_assert(n.items);
    memcpy(n.items, m->durable.items, m->durable.count * sizeof(struct name));
    size_t choice = 0;
    for (size_t k = 0; k < m->count; k++) {
        const struct pending *p = &m->pending[k];
        const struct choice *c = p->durable ? NULL : &cut->choices[choice++];
        if (c && is_name(p) && c->fate != FATE_LOST)
            name_apply(&n, p);
    }
    image_make(m, &n, cut, out);
    free(n.items);
}

void model_seen(const struct model *m, struct image *out)
{
    struct choice *all = calloc(m->count + 1, sizeof(*all));
    gt_assert(all);
    for (size_t k = 0; k < m->count; k++)
        all[k].fate = FATE_KEPT;
    image_make(m, &m->seen, &(struct cut){.choices = all}, out);
    free(all);
}
