#include "engine/index.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "engine/base/prng.h"
#include "engine/meta_lmdb.h"

#define FULL_DISK_BYTES (1u << 20) /* less free than this: an EIO of LMDB means a full disk */
#define SAMPLE_PAGES    16

struct index_write {
    struct index_lmdb *index;
    MDB_txn *txn; /* NULL while no write is open */
};

struct index_lmdb {
    struct index index;
    struct log *log;
    char *path;   /* DATA_DIR/index */
    MDB_env *env; /* NULL: not opened */
    MDB_dbi tables[INDEX_TABLES];
    /* A reader of each lane, reset between reads: it keeps its slot and pins no pages. */
    MDB_txn *readers[INDEX_LANES];
    bool reading[INDEX_LANES];
    struct index_write write;
};

static struct index_lmdb *lmdb_of(struct index *x)
{
    return (struct index_lmdb *)x;
}

static bool disk_is_full(const char *path)
{
    struct statvfs facts;
    return statvfs(path, &facts) == 0 &&
           (uint64_t)facts.f_bavail * facts.f_frsize < FULL_DISK_BYTES;
}

static int error_of(const char *path, int cause)
{
    switch (cause) {
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
        return GT_ENOSPACE;
    case ENOMEM:
        return GT_ENOMEM;
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INCOMPATIBLE:
        return GT_ECORRUPT;
    case MDB_VERSION_MISMATCH:
        return GT_EFORMAT;
    case EIO: /* what LMDB says of a write cut short by a full disk */
        return disk_is_full(path) ? GT_ENOSPACE : GT_EIO;
    default:
        return GT_EIO;
    }
}

static int failed(struct index_lmdb *x, const char *what, int cause)
{
    int error = error_of(x->path, cause);
    log_error(x->log, "index cannot %s %s: %s%s", what, x->path, mdb_strerror(cause),
              error == GT_ENOSPACE && cause == EIO ? " (the disk is full)" : "");
    return error;
}

static MDB_val val_of(struct slice s)
{
    /* LMDB copies zero bytes from the pointer, too. */
    static const uint8_t nothing[1];
    return (MDB_val){s.bytes, (void *)(uintptr_t)(s.bytes > 0 ? s.data : nothing)};
}

static MDB_val key_of(struct slice key)
{
    gt_assert(key.bytes > 0 && key.bytes <= INDEX_KEY_BYTES_MAX);
    return val_of(key);
}

static struct slice slice_of_val(const MDB_val *v)
{
    return slice_of(v->mv_data, v->mv_size);
}

static int read_begin(struct index_lmdb *x, unsigned lane)
{
    gt_assert(lane < INDEX_LANES && !x->reading[lane]);
    int cause = mdb_txn_renew(x->readers[lane]);
    if (cause != 0)
        return failed(x, "read", cause);
    x->reading[lane] = true;
    return 0;
}

static void read_end(struct index_lmdb *x, unsigned lane)
{
    mdb_txn_reset(x->readers[lane]);
    x->reading[lane] = false;
}

static int lmdb_get(struct index *index, unsigned lane, enum index_table table, struct slice key,
                    struct blob **value)
{
    struct index_lmdb *x = lmdb_of(index);
    MDB_val k = key_of(key), v;
    int error = read_begin(x, lane);
    if (error != 0)
        return error;
    int cause = mdb_get(x->readers[lane], x->tables[table], &k, &v);
    if (cause == 0) {
        *value = blob_copy(v.mv_data, v.mv_size);
        error = *value ? 0 : GT_ENOMEM;
    } else {
        error = cause == MDB_NOTFOUND ? GT_ENOTFOUND : failed(x, "read", cause);
    }
    read_end(x, lane);
    return error;
}

/* To the first key >= from. Keys with flipped bits may have led the search too far: back over all
 * that lies before and is not below. */
static int cursor_seek(MDB_cursor *cursor, struct slice from, MDB_val *k, MDB_val *v)
{
    if (from.bytes == 0)
        return mdb_cursor_get(cursor, k, v, MDB_FIRST);
    MDB_val before, value, wanted = key_of(from);
    *k = wanted;
    int cause = mdb_cursor_get(cursor, k, v, MDB_SET_RANGE);
    bool end = cause == MDB_NOTFOUND;
    if (cause != 0 && !end)
        return cause;
    cause = mdb_cursor_get(cursor, &before, &value, end ? MDB_LAST : MDB_PREV);
    while (cause == 0 && slice_compare(slice_of_val(&before), from) >= 0)
        cause = mdb_cursor_get(cursor, &before, &value, MDB_PREV);
    if (cause == MDB_NOTFOUND) /* all of them are */
        return mdb_cursor_get(cursor, k, v, MDB_FIRST);
    return cause ? cause : mdb_cursor_get(cursor, k, v, MDB_NEXT);
}

static int lmdb_scan(struct index *index, unsigned lane, enum index_table table, struct slice from,
                     int (*each)(void *arg, struct slice key, struct slice value), void *arg)
{
    struct index_lmdb *x = lmdb_of(index);
    MDB_cursor *cursor;
    MDB_val k, v;
    int result = read_begin(x, lane);
    if (result != 0)
        return result;
    int cause = mdb_cursor_open(x->readers[lane], x->tables[table], &cursor);
    if (cause != 0) {
        result = failed(x, "scan", cause);
        goto end;
    }
    cause = cursor_seek(cursor, from, &k, &v);
    while (cause == 0 && result == 0) {
        result = each(arg, slice_of_val(&k), slice_of_val(&v));
        if (result == 0)
            cause = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    if (cause != 0 && cause != MDB_NOTFOUND)
        result = failed(x, "scan", cause);
    mdb_cursor_close(cursor);
end:
    read_end(x, lane);
    return result;
}

static int lmdb_begin(struct index *index, struct index_write **out)
{
    struct index_lmdb *x = lmdb_of(index);
    MDB_txn *txn;
    /* Waits for the writer's lock, which from then on guards x->write, too. */
    int cause = mdb_txn_begin(x->env, NULL, 0, &txn);
    if (cause != 0)
        return failed(x, "write", cause);
    gt_assert(!x->write.txn);
    x->write.txn = txn;
    *out = &x->write;
    return 0;
}

/* Takes the transaction out before its end gives the lock to the next writer. */
static MDB_txn *write_take(struct index_write *w)
{
    MDB_txn *txn = w->txn;
    w->txn = NULL;
    return txn;
}

static int lmdb_put(struct index_write *w, enum index_table table, struct slice key,
                    struct slice value)
{
    MDB_val k = key_of(key), v = val_of(value);
    int cause = mdb_put(w->txn, w->index->tables[table], &k, &v, 0);
    return cause == 0 ? 0 : failed(w->index, "write", cause);
}

static int lmdb_remove(struct index_write *w, enum index_table table, struct slice key)
{
    MDB_val k = key_of(key);
    int cause = mdb_del(w->txn, w->index->tables[table], &k, NULL);
    return cause == 0 || cause == MDB_NOTFOUND ? 0 : failed(w->index, "write", cause);
}

static int lmdb_purge(struct index_write *w, enum index_table table, struct slice from,
                      index_judge_fn *judge, void *arg)
{
    struct index_lmdb *x = w->index;
    MDB_cursor *cursor;
    MDB_val k, v;
    int cause = mdb_cursor_open(w->txn, x->tables[table], &cursor);
    if (cause != 0)
        return failed(x, "write", cause);
    enum index_judgement judgement = INDEX_KEEP;
    cause = cursor_seek(cursor, from, &k, &v);
    while (cause == 0) {
        judgement = judge(arg, slice_of_val(&k), slice_of_val(&v));
        if (judgement == INDEX_END)
            break;
        if (judgement == INDEX_DROP)
            cause = mdb_cursor_del(cursor, 0);
        if (cause == 0)
            cause = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return cause == 0 || cause == MDB_NOTFOUND ? 0 : failed(x, "write", cause);
}

static int lmdb_commit(struct index_write *w)
{
    /* Frees the transaction whatever the result. */
    struct index_lmdb *x = w->index;
    int cause = mdb_txn_commit(write_take(w));
    return cause == 0 || MUTANT(ignore_failed_commit) ? 0 : failed(x, "commit to", cause);
}

static void lmdb_abort(struct index_write *w)
{
    mdb_txn_abort(write_take(w));
}

/* The page cache is asked through a mapping of our own, made for the moment and never touched:
 * LMDB does not tell where its own is. */
static unsigned lmdb_resident(struct index *index, uint64_t seed)
{
    struct index_lmdb *x = lmdb_of(index);
    struct prng random;
    MDB_envinfo info;
    mdb_filehandle_t fd;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    MDB_stat stat;
    if (mdb_env_info(x->env, &info) != 0 || mdb_env_stat(x->env, &stat) != 0 ||
        mdb_env_get_fd(x->env, &fd) != 0)
        return 0;
    uint64_t bytes = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
    uint8_t *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return 0;
    uint64_t pages = (bytes + page - 1) / page;
    unsigned resident = 0;
    prng_init(&random, seed);
    for (int i = 0; i < SAMPLE_PAGES; i++) {
        unsigned char is_resident = 0;
        if (mincore(map + prng_below(&random, pages) * page, page, &is_resident) == 0)
            resident += is_resident & 1;
    }
    munmap(map, bytes);
    return resident * 1000 / SAMPLE_PAGES;
}

static uint64_t lmdb_file_bytes(struct index *index)
{
    struct index_lmdb *x = lmdb_of(index);
    struct stat facts;
    mdb_filehandle_t fd;
    if (mdb_env_get_fd(x->env, &fd) != 0 || fstat(fd, &facts) != 0)
        return 0;
    return (uint64_t)facts.st_size;
}

static void lmdb_destroy(struct index *index)
{
    struct index_lmdb *x = lmdb_of(index);
    if (x->write.txn)
        mdb_txn_abort(x->write.txn);
    for (unsigned i = 0; i < INDEX_LANES; i++)
        if (x->readers[i])
            mdb_txn_abort(x->readers[i]);
    if (x->env)
        mdb_env_close(x->env);
    free(x->path);
    free(x);
}

static const struct index lmdb_calls = {
    .get = lmdb_get,
    .scan = lmdb_scan,
    .begin = lmdb_begin,
    .put = lmdb_put,
    .remove = lmdb_remove,
    .purge = lmdb_purge,
    .commit = lmdb_commit,
    .abort = lmdb_abort,
    .resident = lmdb_resident,
    .file_bytes = lmdb_file_bytes,
    .destroy = lmdb_destroy,
};

/* Opens the environment at a path: an LMDB error or errno. */
static int open_environment(struct index_lmdb *x, const char *path, unsigned flags,
                            uint64_t map_bytes)
{
    int cause = mdb_env_create(&x->env);
    if (cause != 0) {
        x->env = NULL;
        return cause;
    }
    flags |= MDB_NOTLS | (MUTANT(index_nosync) ? MDB_NOSYNC : 0) |
             (MUTANT(index_nometasync) ? MDB_NOMETASYNC : 0);
    if ((cause = mdb_env_set_maxdbs(x->env, INDEX_TABLES)) != 0 ||
        (cause = mdb_env_set_mapsize(x->env, map_bytes)) != 0)
        return cause;
    return mdb_env_open(x->env, path, flags, 0600);
}

static int open_tables(struct index_lmdb *x)
{
    static const char *const names[INDEX_TABLES] = {"meta", "partition", "data", "log", "parcel"};
    MDB_txn *txn;
    int cause = mdb_txn_begin(x->env, NULL, 0, &txn);
    if (cause != 0)
        return cause;
    for (unsigned i = 0; i < INDEX_TABLES; i++)
        if ((cause = mdb_dbi_open(txn, names[i], MDB_CREATE, &x->tables[i])) != 0) {
            mdb_txn_abort(txn);
            return cause;
        }
    return mdb_txn_commit(txn);
}

static int open_readers(struct index_lmdb *x)
{
    for (unsigned i = 0; i < INDEX_LANES; i++) {
        int cause = mdb_txn_begin(x->env, NULL, MDB_RDONLY, &x->readers[i]);
        if (cause != 0) {
            x->readers[i] = NULL;
            return cause;
        }
        mdb_txn_reset(x->readers[i]);
    }
    return 0;
}

/* LMDB never syncs the folder of its files; without that a power cut may take them whole. */
static int sync_folder(const char *path)
{
    int fd;
    do
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return errno;
    int cause = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return cause;
}

/*
 * LMDB writes the first pages of a new file without a sync, and refuses a file in which they are
 * not whole. So the file is made under another name, with its tables, whose commit makes it
 * durable, and gets its own name then: what bears it is whole.
 */
static int give_birth(struct index_lmdb *x, uint64_t map_bytes)
{
    char *born = NULL, *data = NULL;
    int cause = ENOMEM;
    if (asprintf(&born, "%s/new.mdb", x->path) < 0)
        born = NULL;
    else if (asprintf(&data, "%s/data.mdb", x->path) < 0)
        data = NULL;
    else if (access(data, F_OK) == 0)
        cause = 0;
    else if (errno != ENOENT || (unlink(born) != 0 && errno != ENOENT))
        cause = errno;
    else if ((cause = open_environment(x, born, MDB_NOSUBDIR | MDB_NOLOCK, map_bytes)) == 0 &&
             (cause = open_tables(x)) == 0 && rename(born, data) != 0)
        cause = errno;
    if (x->env)
        mdb_env_close(x->env);
    x->env = NULL;
    free(born);
    free(data);
    return cause;
}

/* Of a meta page that a power cut destroyed. */
static int mend(struct index_lmdb *x)
{
    char *data;
    if (asprintf(&data, "%s/data.mdb", x->path) < 0)
        return ENOMEM;
    int cause = MUTANT(meta_unmended) ? 0 : meta_lmdb_mend(data, &x->index.mended);
    if (x->index.mended)
        log_warn(x->log,
                 "index had a bad meta page: it goes on from the last commit that the "
                 "other one tells of path=%s",
                 data);
    free(data);
    return cause;
}

/* An LMDB error or errno. */
static int open_file(struct index_lmdb *x, uint64_t map_bytes)
{
    int dead, cause = MUTANT(index_born_in_place) ? 0 : give_birth(x, map_bytes);
    if (cause != 0 || (cause = mend(x)) != 0 ||
        (cause = open_environment(x, x->path, 0, map_bytes)) != 0)
        return cause;
    return mdb_reader_check(x->env, &dead);
}

int index_lmdb_new(const char *folder, uint64_t map_bytes, struct log *log, struct index **out)
{
    struct index_lmdb *x = calloc(1, sizeof(*x));
    if (!x)
        return GT_ENOMEM;
    x->index = lmdb_calls;
    x->log = log;
    x->write.index = x;
    if (asprintf(&x->path, "%s/index", folder) < 0) {
        free(x);
        return GT_ENOMEM;
    }
    int error = 0, cause = mkdir(x->path, 0700) == 0 || errno == EEXIST ? 0 : errno;
    if (cause != 0)
        error = failed(x, "make", cause);
    else if ((cause = open_file(x, map_bytes)) == ENOMEM) {
        error = GT_ENOMEM;
        log_error(log, "index cannot map %" PRIu64 " bytes of address space for %s: %s", map_bytes,
                  x->path, mdb_strerror(cause));
    } else if (cause != 0 || (cause = open_tables(x)) != 0 || (cause = open_readers(x)) != 0)
        error = failed(x, "open", cause);
    else if (!MUTANT(index_folder_unsynced) &&
             ((cause = sync_folder(x->path)) != 0 || (cause = sync_folder(folder)) != 0))
        error = failed(x, "sync the folder of", cause);
    if (error != 0) {
        lmdb_destroy(&x->index);
        return error;
    }
    *out = &x->index;
    return 0;
}
