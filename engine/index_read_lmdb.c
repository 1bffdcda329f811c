/*
 * An index that is read and never written, of a file that no start accepts (index.h): LMDB has no
 * part in it. Of the two commits that the file keeps the one of which more is sound is taken, the
 * newer one of equals; a table of which the first pages are damaged is one hole, and so are all of
 * them when of neither commit anything is left: what the log has is to be had all the same.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/snapshot_lmdb.h"

struct index_read {
    struct index index;
    int fd;
    uint8_t *map;
    uint64_t bytes;
    struct btree pages;
    struct btree_root tables[INDEX_TABLES];
    bool known[INDEX_TABLES]; /* where the table begins */
    struct btree_hole hole;   /* of the last scan: there is one reader */
};

static struct index_read *read_of(struct index *x)
{
    return (struct index_read *)x;
}

/* ---- which commit ---------------------------------------------------------------------------- */

static bool table_known(const struct btree *pages, unsigned table, struct btree_root *root)
{
    return btree_table(pages, slice_text(index_table_names[table]), root) == 0;
}

/* How much of a commit is sound: 0, nothing. */
static int worth(const uint8_t *map, uint64_t bytes, unsigned which, struct btree *pages)
{
    struct btree_root root;
    if (btree_meta_read(map, bytes, which, pages) != 0)
        return 0;
    int error = btree_check(pages);
    return 1 + 2 * table_known(pages, INDEX_DATA, &root) + 4 * pages->tables_sound +
           8 * (error == 0);
}

static void commit_choose(struct index_read *x)
{
    struct btree both[2] = {0};
    int worths[2];
    for (unsigned i = 0; i < 2; i++)
        worths[i] = worth(x->map, x->bytes, i, &both[i]);
    bool newer = both[1].commit > both[0].commit;
    unsigned taken = worths[1] > worths[0] || (worths[1] == worths[0] && newer);
    btree_close(&both[1 - taken]);
    x->pages = both[taken];
    for (unsigned i = 0; i < INDEX_TABLES; i++)
        x->known[i] = worths[taken] > 0 && table_known(&x->pages, i, &x->tables[i]);
}

/* ---- the calls ------------------------------------------------------------------------------- */

static int read_get(struct index *index, unsigned lane, enum index_table table, struct slice key,
                    struct blob **value)
{
    struct index_read *x = read_of(index);
    struct slice found;
    (void)lane;
    if (!x->known[table])
        return GT_ECORRUPT;
    int error = btree_find(&x->pages, &x->tables[table], key, index_sound(table), &found);
    if (error)
        return error;
    *value = blob_copy(found.data, found.bytes);
    return *value ? 0 : GT_ENOMEM;
}

static int read_scan(struct index *index, unsigned lane, enum index_table table, struct slice from,
                     int (*each)(void *arg, struct slice key, struct slice value), void *arg)
{
    struct index_read *x = read_of(index);
    (void)lane;
    x->hole = (struct btree_hole){.met = true};
    if (!x->known[table])
        return GT_ECORRUPT;
    return btree_scan(&x->pages, &x->tables[table], from, index_sound(table), each, arg, &x->hole);
}

static bool read_hole(struct index *index, unsigned lane, struct slice *from, struct slice *to)
{
    const struct index_read *x = read_of(index);
    (void)lane;
    *from = x->hole.from;
    *to = x->hole.to;
    return x->hole.met;
}

static int read_begin(struct index *index, struct index_write **out)
{
    (void)index;
    *out = NULL;
    return GT_ECORRUPT;
}

static void read_destroy(struct index *index)
{
    struct index_read *x = read_of(index);
    btree_close(&x->pages);
    if (x->map)
        munmap(x->map, x->bytes);
    if (x->fd >= 0)
        close(x->fd);
    free(x);
}

/* ---- opening --------------------------------------------------------------------------------- */

static int file_map(struct index_read *x, const char *path)
{
    struct stat facts;
    x->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (x->fd < 0 || fstat(x->fd, &facts) != 0)
        return GT_EIO;
    if (facts.st_size == 0)
        return GT_ECORRUPT;
    x->bytes = (uint64_t)facts.st_size;
    void *map = mmap(NULL, x->bytes, PROT_READ, MAP_SHARED, x->fd, 0);
    if (map == MAP_FAILED)
        return GT_ENOMEM;
    x->map = map;
    return 0;
}

int index_read_new(const char *folder, struct index **out)
{
    struct index_read *x = calloc(1, sizeof(*x));
    char *path = NULL;
    if (!x || asprintf(&path, "%s/index/data.mdb", folder) < 0) {
        free(x);
        return GT_ENOMEM;
    }
    *x = (struct index_read){.index = {.get = read_get,
                                       .scan = read_scan,
                                       .hole = read_hole,
                                       .begin = read_begin,
                                       .destroy = read_destroy},
                             .fd = -1};
    int error = file_map(x, path);
    free(path);
    if (error) {
        read_destroy(&x->index);
        return error;
    }
    commit_choose(x);
    *out = &x->index;
    return 0;
}
