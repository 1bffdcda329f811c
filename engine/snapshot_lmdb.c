#include "engine/snapshot_lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/base/mutant.h"

const char *const index_table_names[INDEX_TABLES] = {"meta", "partition", "data", "log", "parcel"};

#define AROUND_PAGES 32u
#define META_AT      16u /* behind the head of its page */

void snapshot_ahead(const struct btree *s, uint64_t first, uint64_t count)
{
    uint64_t bytes = (s->held - first < count ? s->held - first : count) * s->page_bytes;
    (void)madvise((void *)(uintptr_t)(s->map + first * s->page_bytes), bytes, MADV_WILLNEED);
}

void snapshot_around(const struct btree *s, const uint8_t *at)
{
    uint64_t page = (uint64_t)(at - s->map) / s->page_bytes;
    snapshot_ahead(s, page / AROUND_PAGES * AROUND_PAGES, AROUND_PAGES);
}

/* ---- of one commit --------------------------------------------------------------------------- */

void snapshots_init(struct snapshots *all, const uint8_t *map, int file, struct log *log)
{
    *all = (struct snapshots){.map = map, .file = file, .log = log};
    pthread_mutex_init(&all->lock, NULL);
}

static void snapshot_unref(struct snapshot *s)
{
    if (!s || --s->references > 0)
        return;
    btree_close(&s->pages);
    free(s->table_page);
    free(s);
}

void snapshots_close(struct snapshots *all)
{
    if (!all->map)
        return;
    snapshot_unref(all->newest);
    pthread_mutex_destroy(&all->lock);
}

static int tables_read(struct snapshot *s)
{
    const struct btree *p = &s->pages;
    for (unsigned i = 0; i < INDEX_TABLES; i++) {
        int error = btree_table(p, slice_text(index_table_names[i]), &s->tables[i]);
        if (error)
            return error == GT_ENOTFOUND ? GT_ECORRUPT : error;
    }
    memcpy(s->meta, p->map + (p->commit % 2) * p->page_bytes + META_AT, BTREE_META_BYTES);
    if (p->tables.levels != 1)
        return 0;
    s->table_page = malloc(p->page_bytes);
    if (!s->table_page)
        return GT_ENOMEM;
    memcpy(s->table_page, p->map + p->tables.root * p->page_bytes, p->page_bytes);
    return 0;
}

static int snapshot_new(struct snapshots *all, uint64_t commit, struct snapshot **out)
{
    struct stat facts;
    if (fstat(all->file, &facts) != 0)
        return GT_EIO;
    struct snapshot *s = calloc(1, sizeof(*s));
    if (!s)
        return GT_ENOMEM;
    s->references = 1;
    int error = btree_meta_read(all->map, (uint64_t)facts.st_size, commit % 2, &s->pages);
    s->pages.ahead = snapshot_ahead;
    if (!error && s->pages.commit != commit)
        error = GT_ECORRUPT;
    if (!error)
        error = btree_check(&s->pages);
    bool known = s->pages.tables_sound;
    if (!error || (error == GT_ECORRUPT && known))
        error = tables_read(s);
    if (error) {
        log_error(all->log,
                  "index cannot be read, its first pages say what cannot be commit=%" PRIu64,
                  commit);
        snapshot_unref(s);
        return error;
    }
    *out = s;
    return 0;
}

int snapshots_take(struct snapshots *all, uint64_t commit, struct snapshot **out)
{
    int error = 0;
    pthread_mutex_lock(&all->lock);
    if (!all->newest || all->newest->pages.commit != commit) {
        struct snapshot *fresh = NULL;
        error = snapshot_new(all, commit, &fresh);
        if (!error) {
            snapshot_unref(all->newest);
            all->newest = fresh;
        }
    }
    if (!error) {
        *out = all->newest;
        all->newest->references++;
    }
    pthread_mutex_unlock(&all->lock);
    return error;
}

void snapshots_give(struct snapshots *all, struct snapshot *s)
{
    pthread_mutex_lock(&all->lock);
    snapshot_unref(s);
    pthread_mutex_unlock(&all->lock);
}

/* ---- under an open index --------------------------------------------------------------------- */

static int write_whole(int file, uint64_t at, const void *bytes, size_t count)
{
    ssize_t put;
    do
        put = pwrite(file, bytes, count, (off_t)at);
    while (put < 0 && errno == EINTR);
    return put == (ssize_t)count && fdatasync(file) == 0 ? 0 : GT_EIO;
}

static int rewrite_when_other(struct snapshots *all, uint64_t at, const void *bytes, size_t count,
                              const char *what, bool *mended)
{
    if (memcmp(all->map + at, bytes, count) == 0)
        return 0;
    log_error(all->log, "index page has rotted, it is written anew page=%s", what);
    *mended = true;
    return write_whole(all->file, at, bytes, count);
}

int snapshots_mend(struct snapshots *all, const struct snapshot *s, bool *mended)
{
    const struct btree *p = &s->pages;
    struct btree now = *p;
    *mended = false;
    if (MUTANT(meta_page_trusted))
        return 0;
    int error = rewrite_when_other(all, (p->commit % 2) * p->page_bytes + META_AT, s->meta,
                                   BTREE_META_BYTES, "meta", mended);
    if (!error && s->table_page)
        error = rewrite_when_other(all, p->tables.root * p->page_bytes, s->table_page,
                                   p->page_bytes, "tables", mended);
    now.unused = NULL;
    if (!error)
        error = btree_check(&now);
    btree_close(&now);
    if (error == GT_ECORRUPT)
        log_error(all->log, "index takes no writes, what it says of its free pages is damaged");
    return error;
}

int snapshots_mend_newest(struct snapshots *all, bool *mended)
{
    *mended = false;
    pthread_mutex_lock(&all->lock);
    struct snapshot *s = all->newest;
    if (s)
        s->references++;
    pthread_mutex_unlock(&all->lock);
    int error = s ? snapshots_mend(all, s, mended) : 0;
    if (s)
        snapshots_give(all, s);
    return error;
}

/* ---- before it is opened --------------------------------------------------------------------- */

struct file {
    int fd;
    uint64_t bytes;
    uint8_t *map; /* NULL: it is empty */
};

/* Maps it. A page that is not in memory is read with its neighbours, as suits one who reads them
 * all, or alone. */
static int file_open(const char *path, bool whole, struct file *f)
{
    struct stat facts;
    *f = (struct file){.fd = open(path, O_RDWR | O_CLOEXEC)};
    if (f->fd < 0)
        return errno == ENOENT                      ? GT_ENOTFOUND
               : errno == EMFILE || errno == ENFILE ? GT_EDESCRIPTORS
                                                    : GT_EIO;
    if (fstat(f->fd, &facts) != 0) {
        close(f->fd);
        return GT_EIO;
    }
    f->bytes = (uint64_t)facts.st_size;
    if (f->bytes == 0)
        return 0;
    f->map = mmap(NULL, f->bytes, PROT_READ, MAP_SHARED, f->fd, 0);
    if (f->map == MAP_FAILED) {
        close(f->fd);
        return GT_ENOMEM;
    }
    if (!whole)
        (void)madvise(f->map, f->bytes, MADV_RANDOM);
    return 0;
}

static void file_close(struct file *f)
{
    if (f->map)
        munmap(f->map, f->bytes);
    close(f->fd);
}

struct meta_pair {
    struct btree pages[2];
    bool good[2], usable[2]; /* all that it says is so; its tables can be found, at least */
};

static int metas_read(const struct file *f, struct meta_pair *m)
{
    unsigned newer = 0;
    for (unsigned i = 0; i < 2; i++) {
        int error = btree_meta_read(f->map, f->bytes, i, &m->pages[i]);
        newer += error == GT_EFORMAT;
        if (newer == 2)
            return GT_EFORMAT;
        if (error)
            continue;
        m->pages[i].ahead = snapshot_ahead;
        error = btree_check(&m->pages[i]);
        if (error && error != GT_ECORRUPT)
            return error;
        m->good[i] = !error;
        m->usable[i] = m->pages[i].tables_sound;
    }
    /* One follows the other. The one of which the free pages tell another number is not it. */
    uint64_t a = m->pages[0].commit, b = m->pages[1].commit;
    if (m->good[0] && m->good[1] && a != b && a + 1 != b && b + 1 != a) {
        m->good[0] = a == m->pages[0].freed;
        m->good[1] = b == m->pages[1].freed;
        m->usable[0] &= m->good[0];
        m->usable[1] &= m->good[1];
    }
    return 0;
}

/* The other meta becomes what the good one says, one commit before it. */
static int meta_write(const struct file *f, const struct btree *good, unsigned which)
{
    uint8_t page[BTREE_META_BYTES + META_AT];
    memcpy(page, f->map + (size_t)(1 - which) * good->page_bytes, sizeof(page));
    le64_put(page, which);
    le64_put(page + META_AT + BTREE_META_BYTES - 8, good->commit > 0 ? good->commit - 1 : 0);
    return write_whole(f->fd, (uint64_t)which * good->page_bytes, page, sizeof(page));
}

static int metas_mend(const struct file *f, struct log *log, bool *mended)
{
    struct meta_pair m = {0};
    int error = metas_read(f, &m);
    const bool *from = m.good[0] || m.good[1] ? m.good : m.usable;
    if (!error && !from[0] && !from[1])
        error = GT_ECORRUPT;
    if (!error && from[0] != from[1]) {
        unsigned bad = from[0] ? 1 : 0;
        *mended = m.pages[bad].commit + 1 != m.pages[1 - bad].commit;
        log_error(log,
                  "index has a bad meta page, the other one stands commit=%" PRIu64 " page=%u%s",
                  m.pages[1 - bad].commit, bad, *mended ? ": the last commit may be lost" : "");
        error = meta_write(f, &m.pages[1 - bad], bad);
    }
    btree_close(&m.pages[0]);
    btree_close(&m.pages[1]);
    return error;
}

int snapshot_mend_file(const char *path, struct log *log, bool *mended)
{
    struct file f;
    int error = file_open(path, false, &f);
    if (error)
        return error == GT_ENOTFOUND ? 0 : error;
    if (f.map)
        error = metas_mend(&f, log, mended);
    file_close(&f);
    return error;
}

/* ---- pages that may not be of one moment ----------------------------------------------------- */

static int tables_take(struct btree *s)
{
    struct btree_root tables[INDEX_TABLES];
    int error = 0;
    for (unsigned i = 0; i < INDEX_TABLES && !error; i++)
        if ((error = btree_table(s, slice_text(index_table_names[i]), &tables[i])) == GT_ENOTFOUND)
            error = GT_ECORRUPT;
    for (unsigned i = 0; i < INDEX_TABLES && !error; i++)
        error = btree_take(s, &tables[i]);
    if (!error)
        error = btree_take(s, &s->free);
    return error ? error : btree_take(s, &s->tables);
}

/* Of the newest commit. Both metas must be readable: LMDB reads both. */
static int newest_take(const struct file *f)
{
    struct btree metas[2];
    for (unsigned i = 0; i < 2; i++) {
        int error = f->map ? btree_meta_read(f->map, f->bytes, i, &metas[i]) : GT_ECORRUPT;
        if (error)
            return error;
    }
    struct btree *newest = &metas[metas[0].commit < metas[1].commit];
    int error = btree_check(newest);
    if (!error)
        error = tables_take(newest);
    btree_close(newest);
    return error;
}

int index_pages_check(const char *folder, struct log *log)
{
    char *path;
    struct file f;
    if (asprintf(&path, "%s/index/data.mdb", folder) < 0)
        return GT_ENOMEM;
    int error = file_open(path, true, &f);
    if (!error) {
        error = newest_take(&f);
        file_close(&f);
    }
    if (error == GT_ENOTFOUND)
        error = 0;
    if (error)
        log_error(log, "index is not of one moment file=%s cause=%s", path, error_text(error));
    free(path);
    return error;
}

/* ---- where LMDB has its map ------------------------------------------------------------------ */

int snapshot_table_place(const char *path, enum index_table table, uint64_t *offset)
{
    struct file f;
    struct btree metas[2];
    struct slice value;
    int error = file_open(path, false, &f);
    if (error)
        return error;
    error = f.map ? btree_meta_read(f.map, f.bytes, 0, &metas[0]) : GT_ECORRUPT;
    if (!error)
        error = btree_meta_read(f.map, f.bytes, 1, &metas[1]);
    if (!error) {
        const struct btree *newest = &metas[metas[0].commit < metas[1].commit];
        error =
            btree_find(newest, &newest->tables, slice_text(index_table_names[table]), NULL, &value);
    }
    if (!error)
        *offset = (uint64_t)(value.data - f.map);
    file_close(&f);
    return error;
}
