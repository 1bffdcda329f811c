/*
 * The index seam: an ordered map of bytes with atomic, durable commits. index_lmdb.c is the real
 * one; the simulator has an ordered map in memory.
 *
 * Keys of INDEX_DATA are partition (u16 BE), hash of the key (u64 BE), key bytes: one partition is
 * one key range. Keys of INDEX_PARTITION are the partition (u16 BE). Keys of INDEX_META are names.
 * Keys of INDEX_LOG are drawn in dotlog.h, those of INDEX_PARCEL in parcels.h. A folder of an
 * earlier version gets the tables when it is opened.
 *
 * One writer at a time (any thread); begin waits for the one before to end. Readers name a lane,
 * 0 .. INDEX_LANES-1; one lane is used by one thread at a time. A read sees the newest commit.
 * Errors: GT_EIO (also for a full disk, which LMDB reports so), GT_ENOSPACE where it is known,
 * GT_ECORRUPT, GT_EFORMAT, GT_ENOMEM.
 */
#ifndef GT_ENGINE_INDEX_H
#define GT_ENGINE_INDEX_H

#include "engine/base/blob.h"
#include "engine/base/log.h"

enum index_table { INDEX_META, INDEX_PARTITION, INDEX_DATA, INDEX_LOG, INDEX_PARCEL, INDEX_TABLES };

#define INDEX_LANES         3 /* loop, reader, checkpoint */
#define INDEX_LANE_COLD     1 /* of these the one that may wait for the disk */
#define INDEX_KEY_BYTES_MAX 511
#define INDEX_SOME_MAX      64u /* keys at once */

struct index_write;

/* Of a record that is passed: whether it stays, and whether the walk goes on. */
enum index_judgement { INDEX_KEEP, INDEX_DROP, INDEX_END };
typedef enum index_judgement index_judge_fn(void *arg, struct slice key, struct slice value);

struct index {
    /* A copy of the value: 0, or GT_ENOTFOUND. GT_ECORRUPT: it is not known whether there is one.
     */
    int (*get)(struct index *x, unsigned lane, enum index_table table, struct slice key,
               struct blob **value);
    /* Some keys at once, faster than one after the other: values[i] is a copy, or NULL where a get
     * has to tell: there is none, or it is large, or not known. NULL: it does not know how to. */
    void (*get_some)(struct index *x, unsigned lane, enum index_table table,
                     const struct slice *keys, unsigned count, struct blob **values);
    /* Calls each(arg, key, value), borrowed, for keys >= from in order, until it returns non-zero
     * (then scan returns that) or the table ends (0). Keep it short: a long reader makes the file
     * grow. */
    int (*scan)(struct index *x, unsigned lane, enum index_table table, struct slice from,
                int (*each)(void *arg, struct slice key, struct slice value), void *arg);
    /* Of the lane's last scan, which ended with GT_ECORRUPT since a page of the index is damaged:
     * the keys from `from` to below `to` are not known, empty `to`: all that follow. A scan from
     * `to` goes on behind them. Borrowed until the lane's next scan. False: it was not that. */
    bool (*hole)(struct index *x, unsigned lane, struct slice *from, struct slice *to);
    /* GT_ECORRUPT, also of put, remove and purge: pages that would be touched are damaged. */
    int (*begin)(struct index *x, struct index_write **out);
    /* Each key at most once in a write. */
    int (*put)(struct index_write *w, enum index_table table, struct slice key, struct slice value);
    int (*remove)(struct index_write *w, enum index_table table,
                  struct slice key); /* 0 if absent */
    /* Walks over what was committed with keys >= from, in the order in which it lies, and removes
     * what is judged so: a key of which a bit has flipped is found by no search, and leads other
     * searches astray. */
    int (*purge)(struct index_write *w, enum index_table table, struct slice from,
                 index_judge_fn *judge, void *arg);
    /* Ends the write in every case; after 0 it is durable. */
    int (*commit)(struct index_write *w);
    void (*abort)(struct index_write *w);
    /* Share of the map that is in memory, in 1/1000, sampled over a few random pages. */
    unsigned (*resident)(struct index *x, uint64_t seed);
    uint64_t (*file_bytes)(struct index *x);
    void (*destroy)(struct index *x);
    /* The file was whole but for the page that tells of one of its two last commits, and goes on
     * from the other: the power was cut in a commit, which had not ended then, or the page rotted.
     */
    bool mended;
};

/* Opens or makes DATA_DIR/index/ (data.mdb, lock.mdb; new.mdb while the file is made) with address
 * space map_bytes, default flags (never NOSYNC, NOMETASYNC or WRITEMAP), and syncs the folder.
 * Stale reader slots are cleared. */
int index_lmdb_new(const char *folder, uint64_t map_bytes, struct log *log, struct index **out);

/* Of a folder whose index that refuses as damaged: whatever can still be read of it, by one thread.
 * Nothing is made or changed; of the calls get, scan, hole, begin (GT_ECORRUPT) and destroy are
 * there. 0, also when all that can be said is that every key is unknown; GT_ECORRUPT: it is empty;
 * GT_EIO, GT_ENOMEM. */
int index_read_new(const char *folder, struct index **out);

/* Of a folder that is a copy (disk.h): whether the pages of its index hang together, so that LMDB
 * can be trusted with them. Reads the whole file. 0, also when there is none; GT_ECORRUPT: no, and
 * it must not be opened; GT_EIO, GT_ENOMEM, GT_EDESCRIPTORS. */
int index_pages_check(const char *folder, struct log *log);

#endif
