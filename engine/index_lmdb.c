/*
 * The real index. LMDB writes, holds readers off the pages that it gives up, and says which commit
 * a reader sees; what a page says is read by btree.c, which trusts none of it. Before LMDB touches
 * a page in a write, that page and its neighbours are looked at as they were committed.
 */
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
#include "engine/base/hash.h"
#include "engine/base/mutant.h"
#include "engine/base/prng.h"
#include "engine/record.h"
#include "engine/snapshot_lmdb.h"
#include "engine/values.h"

#define FULL_DISK_BYTES (1u << 20) /* less free than this: an EIO of LMDB means a full disk */
#define SAMPLE_PAGES    16

struct index_write {
    struct index_lmdb *index;
    MDB_txn *txn;              /* NULL while no write is open */
    struct snapshot *snapshot; /* what it writes upon */
    struct btree_guarded guarded[INDEX_TABLES];
};

/* The keys that a scan could not read. */
struct hole {
    bool met;
    uint8_t from[INDEX_KEY_BYTES_MAX], to[INDEX_KEY_BYTES_MAX];
    size_t from_bytes, to_bytes;
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
    struct snapshot *seen[INDEX_LANES]; /* by the lane's last reader; NULL: none */
    struct hole holes[INDEX_LANES];
    struct snapshots snapshots;
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

/* The lane sees the newest commit. */
static int read_begin(struct index_lmdb *x, unsigned lane)
{
    gt_assert(lane < INDEX_LANES && !x->reading[lane]);
    int cause = mdb_txn_renew(x->readers[lane]);
    if (cause != 0)
        return failed(x, "read", cause);
    uint64_t commit = mdb_txn_id(x->readers[lane]);
    struct snapshot *seen = x->seen[lane];
    int error = 0;
    if (!seen || seen->pages.commit != commit) {
        if (seen)
            snapshots_give(&x->snapshots, seen);
        x->seen[lane] = NULL;
        error = snapshots_take(&x->snapshots, commit, &x->seen[lane]);
    }
    if (error)
        mdb_txn_reset(x->readers[lane]);
    x->reading[lane] = !error;
    return error;
}

static void read_end(struct index_lmdb *x, unsigned lane)
{
    mdb_txn_reset(x->readers[lane]);
    x->reading[lane] = false;
}

static bool same_partition(struct slice a, struct slice b)
{
    return a.bytes >= 2 && b.bytes >= 2 && memcmp(a.data, b.data, 2) == 0;
}

/* An entry of INDEX_DATA names the key that its record is of: the hash follows from the key, and
 * that the partition is the right one shows at its neighbours, or else the record's checksum says
 * it. */
static bool data_sound(const struct btree_entry *e)
{
    uint32_t partition;
    uint64_t hash;
    struct slice key;
    if (index_data_key_split(e->key, &partition, &hash, &key) != 0 || hash != hash_bytes(key))
        return false;
    return (same_partition(e->before, e->key) && same_partition(e->key, e->after)) ||
           record_verify(e->value, partition, key) == 0;
}

btree_sound_fn *index_sound(enum index_table table)
{
    return table == INDEX_DATA ? data_sound : NULL;
}

static int lmdb_get(struct index *index, unsigned lane, enum index_table table, struct slice key,
                    struct blob **value)
{
    struct index_lmdb *x = lmdb_of(index);
    struct slice found;
    gt_assert(key.bytes > 0 && key.bytes <= INDEX_KEY_BYTES_MAX);
    int error = read_begin(x, lane);
    if (error != 0)
        return error;
    const struct snapshot *s = x->seen[lane];
    error = btree_find(&s->pages, &s->tables[table], key, index_sound(table), &found);
    if (error == 0) {
        *value = blob_copy(found.data, found.bytes);
        error = *value ? 0 : GT_ENOMEM;
        if (lane == INDEX_LANE_COLD)
            snapshot_around(&s->pages, found.data);
    }
    read_end(x, lane);
    return error;
}

static void lmdb_get_some(struct index *index, unsigned lane, enum index_table table,
                          const struct slice *keys, unsigned count, struct blob **values)
{
    struct index_lmdb *x = lmdb_of(index);
    struct slice found[INDEX_SOME_MAX];
    gt_assert(count <= INDEX_SOME_MAX);
    memset(values, 0, count * sizeof(*values));
    if (read_begin(x, lane) != 0)
        return;
    const struct snapshot *s = x->seen[lane];
    btree_find_some(&s->pages, &s->tables[table], keys, count, found);
    for (unsigned i = 0; i < count; i++)
        if (found[i].data)
            values[i] = blob_copy(found[i].data, found[i].bytes);
    read_end(x, lane);
}

/* A bound of what cannot be read, as text. */
static const char *bound_text(struct slice bound, enum index_table table, const char *none,
                              char text[64])
{
    if (bound.bytes == 0)
        snprintf(text, 64, "%s", none);
    else if (table == INDEX_DATA && bound.bytes > 10)
        snprintf(text, 64, "partition %u hash %016" PRIx64, be16_get(bound.data),
                 be64_get(bound.data + 2));
    else
        snprintf(text, 64, "%u..", bound.data[0]);
    return text;
}

static void hole_tell(const struct index_lmdb *x, enum index_table table,
                      const struct btree_hole *hole)
{
    char from[64], to[64];
    log_error(x->log, "index has a damaged page, keys are unknown table=%s from=\"%s\" to=\"%s\"",
              index_table_names[table], bound_text(hole->from, table, "the first", from),
              bound_text(hole->to, table, "the last", to));
}

static size_t bound_copy(uint8_t to[INDEX_KEY_BYTES_MAX], struct slice bound)
{
    size_t bytes = bound.bytes < INDEX_KEY_BYTES_MAX ? bound.bytes : INDEX_KEY_BYTES_MAX;
    if (bytes > 0)
        memcpy(to, bound.data, bytes);
    return bytes;
}

static bool lmdb_hole(struct index *index, unsigned lane, struct slice *from, struct slice *to)
{
    const struct hole *hole = &lmdb_of(index)->holes[lane];
    *from = slice_of(hole->from, hole->from_bytes);
    *to = slice_of(hole->to, hole->to_bytes);
    return hole->met;
}

static int lmdb_scan(struct index *index, unsigned lane, enum index_table table, struct slice from,
                     int (*each)(void *arg, struct slice key, struct slice value), void *arg)
{
    struct index_lmdb *x = lmdb_of(index);
    struct btree_hole hole;
    int result = read_begin(x, lane);
    if (result != 0)
        return result;
    const struct snapshot *s = x->seen[lane];
    result = btree_scan(&s->pages, &s->tables[table], from, index_sound(table), each, arg, &hole);
    struct hole *kept = &x->holes[lane];
    kept->met = hole.met;
    if (hole.met) {
        hole_tell(x, table, &hole);
        kept->from_bytes = bound_copy(kept->from, hole.from);
        kept->to_bytes = bound_copy(kept->to, hole.to);
    }
    read_end(x, lane);
    return result;
}

/* Takes the transaction out before its end gives the lock to the next writer. */
static MDB_txn *write_take(struct index_write *w)
{
    MDB_txn *txn = w->txn;
    if (w->snapshot)
        snapshots_give(&w->index->snapshots, w->snapshot);
    w->snapshot = NULL;
    w->txn = NULL;
    return txn;
}

/* What the write goes upon is what was committed. */
static int write_mend(struct index_write *w, bool *mended)
{
    struct index_lmdb *x = w->index;
    *mended = false;
    memset(w->guarded, 0, sizeof(w->guarded));
    int error = snapshots_take(&x->snapshots, mdb_txn_id(w->txn) - 1, &w->snapshot);
    return error ? error : snapshots_mend(&x->snapshots, w->snapshot, mended);
}

static int write_begin(struct index_lmdb *x, bool *mended)
{
    MDB_txn *txn;
    /* Waits for the writer's lock, which from then on guards x->write, too. */
    int cause = mdb_txn_begin(x->env, NULL, 0, &txn);
    if (cause ==
        MDB_MAP_RESIZED) { /* the meta page says that there are more pages than the map has */
        int error = snapshots_mend_newest(&x->snapshots, mended);
        return error || *mended ? error : failed(x, "write", cause);
    }
    if (cause != 0)
        return failed(x, "write", cause);
    gt_assert(!x->write.txn);
    x->write.txn = txn;
    int error = write_mend(&x->write, mended);
    if (error || *mended)
        mdb_txn_abort(write_take(&x->write));
    return error;
}

static int lmdb_begin(struct index *index, struct index_write **out)
{
    struct index_lmdb *x = lmdb_of(index);
    bool mended = true;
    int error = 0;
    /* LMDB took over what stood there, so it begins once more. */
    for (int i = 0; i < 2 && mended && !error; i++)
        error = write_begin(x, &mended);
    *out = &x->write;
    return error ? error : mended ? GT_ECORRUPT : 0;
}

/* The pages that a write of the key will touch can be trusted. */
static int write_guard(struct index_write *w, enum index_table table, struct slice key)
{
    const struct snapshot *s = w->snapshot;
    int error = MUTANT(pages_unguarded) ? 0
                                        : btree_guard(&s->pages, &s->tables[table], key,
                                                      index_sound(table), &w->guarded[table]);
    if (error)
        log_error(w->index->log, "index cannot be written, a page is damaged table=%s path=%s",
                  index_table_names[table], w->index->path);
    return error;
}

static int lmdb_put(struct index_write *w, enum index_table table, struct slice key,
                    struct slice value)
{
    MDB_val k = key_of(key), v = val_of(value);
    int error = write_guard(w, table, key);
    if (error)
        return error;
    int cause = mdb_put(w->txn, w->index->tables[table], &k, &v, 0);
    return cause == 0 ? 0 : failed(w->index, "write", cause);
}

static int lmdb_remove(struct index_write *w, enum index_table table, struct slice key)
{
    MDB_val k = key_of(key);
    int error = write_guard(w, table, key);
    if (error)
        return error;
    int cause = mdb_del(w->txn, w->index->tables[table], &k, NULL);
    return cause == 0 || cause == MDB_NOTFOUND ? 0 : failed(w->index, "write", cause);
}

/* To the first key >= from. Keys with flipped bits may have led the search too far: back over all
 * that lies before and is not below, or is not sound. */
static int cursor_seek(MDB_cursor *cursor, struct slice from, btree_sound_fn *sound, MDB_val *k,
                       MDB_val *v)
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
    while (cause == 0 && (slice_compare(slice_of_val(&before), from) >= 0 ||
                          (sound && !sound(&(struct btree_entry){.key = slice_of_val(&before),
                                                                 .value = slice_of_val(&value)}))))
        cause = mdb_cursor_get(cursor, &before, &value, MDB_PREV);
    if (cause == MDB_NOTFOUND) /* all of them are */
        return mdb_cursor_get(cursor, k, v, MDB_FIRST);
    return cause ? cause : mdb_cursor_get(cursor, k, v, MDB_NEXT);
}

#define PURGE_END 1

/* Ends behind the second key in a row of which the first two bytes are others: the walk of LMDB
 * ends at the first. */
struct purge_guard {
    struct slice from;
    unsigned others;
};

static int purge_guard_each(void *arg, struct slice key, struct slice value)
{
    struct purge_guard *g = arg;
    size_t head = g->from.bytes < 2 ? g->from.bytes : 2;
    (void)value;
    if (key.bytes >= head && (head == 0 || memcmp(key.data, g->from.data, head) == 0))
        g->others = 0;
    else if (++g->others == 2)
        return PURGE_END;
    return 0;
}

static int purge_check(struct index_write *w, enum index_table table, struct slice from)
{
    const struct snapshot *s = w->snapshot;
    struct purge_guard g = {.from = from};
    struct btree_hole hole;
    int result = btree_scan(&s->pages, &s->tables[table], from, index_sound(table),
                            purge_guard_each, &g, &hole);
    if (hole.met)
        hole_tell(w->index, table, &hole);
    return result < 0 ? result : 0;
}

static int lmdb_purge(struct index_write *w, enum index_table table, struct slice from,
                      index_judge_fn *judge, void *arg)
{
    struct index_lmdb *x = w->index;
    MDB_cursor *cursor;
    MDB_val k, v;
    int error = purge_check(w, table, from);
    if (error)
        return error;
    int cause = mdb_cursor_open(w->txn, x->tables[table], &cursor);
    if (cause != 0)
        return failed(x, "write", cause);
    enum index_judgement judgement = INDEX_KEEP;
    cause = cursor_seek(cursor, from, index_sound(table), &k, &v);
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
        mdb_txn_abort(write_take(&x->write));
    for (unsigned i = 0; i < INDEX_LANES; i++) {
        if (x->readers[i])
            mdb_txn_abort(x->readers[i]);
        if (x->seen[i])
            snapshots_give(&x->snapshots, x->seen[i]);
    }
    snapshots_close(&x->snapshots);
    if (x->env)
        mdb_env_close(x->env);
    free(x->path);
    free(x);
}

static const struct index lmdb_calls = {
    .get = lmdb_get,
    .get_some = lmdb_get_some,
    .scan = lmdb_scan,
    .hole = lmdb_hole,
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
    /* A page that is not in memory is read alone: what the system would read with it is megabytes
     * on some devices, and its neighbours in the file are not those of its keys. Walks say ahead
     * what they need, and the cold lane reads a little around. */
    flags |= MDB_NOTLS | MDB_NORDAHEAD | (MUTANT(index_nosync) ? MDB_NOSYNC : 0) |
             (MUTANT(index_nometasync) ? MDB_NOMETASYNC : 0);
    if ((cause = mdb_env_set_maxdbs(x->env, INDEX_TABLES)) != 0 ||
        (cause = mdb_env_set_mapsize(x->env, map_bytes)) != 0)
        return cause;
    return mdb_env_open(x->env, path, flags, 0600);
}

static int open_tables(struct index_lmdb *x)
{
    MDB_txn *txn;
    int cause = mdb_txn_begin(x->env, NULL, 0, &txn);
    if (cause != 0)
        return cause;
    for (unsigned i = 0; i < INDEX_TABLES; i++)
        if ((cause = mdb_dbi_open(txn, index_table_names[i], MDB_CREATE, &x->tables[i])) != 0) {
            mdb_txn_abort(txn);
            return cause;
        }
    return mdb_txn_commit(txn);
}

/* LMDB does not say where its map is, but where a value is. */
static int open_snapshots(struct index_lmdb *x, const char *path)
{
    MDB_txn *txn;
    MDB_dbi names;
    uint64_t offset;
    mdb_filehandle_t file;
    MDB_val k = val_of(slice_text(index_table_names[INDEX_META])), v;
    int error = snapshot_table_place(path, INDEX_META, &offset);
    if (error)
        return error;
    int cause = mdb_txn_begin(x->env, NULL, MDB_RDONLY, &txn);
    if (cause != 0)
        return failed(x, "read", cause);
    if ((cause = mdb_dbi_open(txn, NULL, 0, &names)) != 0 ||
        (cause = mdb_get(txn, names, &k, &v)) != 0 || (cause = mdb_env_get_fd(x->env, &file)) != 0)
        error = failed(x, "read", cause);
    else
        snapshots_init(&x->snapshots, (const uint8_t *)v.mv_data - offset, file, x->log);
    mdb_txn_abort(txn);
    return error;
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
 * durable, and gets its own name then: what bears it is whole. An LMDB error or errno.
 */
static int give_birth(struct index_lmdb *x, const char *data, uint64_t map_bytes)
{
    char *born;
    int cause;
    if (access(data, F_OK) == 0)
        return 0;
    if (errno != ENOENT)
        return errno;
    if (asprintf(&born, "%s/new.mdb", x->path) < 0)
        return ENOMEM;
    if (unlink(born) != 0 && errno != ENOENT)
        cause = errno;
    else if ((cause = open_environment(x, born, MDB_NOSUBDIR | MDB_NOLOCK, map_bytes)) == 0 &&
             (cause = open_tables(x)) == 0 && rename(born, data) != 0)
        cause = errno;
    if (x->env)
        mdb_env_close(x->env);
    x->env = NULL;
    free(born);
    return cause;
}

static int mend(struct index_lmdb *x, const char *data)
{
    int error = MUTANT(meta_unmended) ? 0 : snapshot_mend_file(data, x->log, &x->index.mended);
    if (error == GT_ECORRUPT)
        log_error(x->log,
                  "index cannot be read, both of its meta pages are bad, or what they say: %s",
                  data);
    return error;
}

/* An LMDB error or errno. */
static int open_lmdb(struct index_lmdb *x, uint64_t map_bytes)
{
    int dead, cause = open_environment(x, x->path, 0, map_bytes);
    if (cause == 0 && (cause = mdb_reader_check(x->env, &dead)) == 0 &&
        (cause = open_tables(x)) == 0)
        cause = open_readers(x);
    return cause;
}

static int sync_folders(struct index_lmdb *x, const char *folder)
{
    int cause;
    if (!MUTANT(index_folder_unsynced) &&
        ((cause = sync_folder(x->path)) != 0 || (cause = sync_folder(folder)) != 0))
        return failed(x, "sync the folder of", cause);
    return 0;
}

/* GT_E* of an LMDB error or errno. */
static int open_failed(struct index_lmdb *x, int cause, uint64_t map_bytes)
{
    if (cause != ENOMEM)
        return failed(x, "open", cause);
    log_error(x->log, "index cannot map %" PRIu64 " bytes of address space for %s: %s", map_bytes,
              x->path, mdb_strerror(cause));
    return GT_ENOMEM;
}

static int open_all(struct index_lmdb *x, const char *folder, uint64_t map_bytes)
{
    char *data;
    int cause = mkdir(x->path, 0700) == 0 || errno == EEXIST ? 0 : errno;
    if (cause != 0)
        return failed(x, "make", cause);
    if (asprintf(&data, "%s/data.mdb", x->path) < 0)
        return GT_ENOMEM;
    int error = 0;
    if (!MUTANT(index_born_in_place) && (cause = give_birth(x, data, map_bytes)) != 0)
        error = open_failed(x, cause, map_bytes);
    if (!error)
        error = mend(x, data);
    if (!error && (cause = open_lmdb(x, map_bytes)) != 0)
        error = open_failed(x, cause, map_bytes);
    if (!error)
        error = sync_folders(x, folder);
    if (!error)
        error = open_snapshots(x, data);
    free(data);
    return error;
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
    int error = open_all(x, folder, map_bytes);
    if (error != 0) {
        lmdb_destroy(&x->index);
        return error;
    }
    *out = &x->index;
    return 0;
}
