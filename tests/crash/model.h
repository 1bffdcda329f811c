/*
 * A file system as a power cut finds it: what is durable, what is only in the cache, and every
 * state that may be on the medium afterwards. Pure: no file is touched.
 *
 * Durable is what a sync has promised, and nothing else:
 *   sync of a file      all that was written to it before, and its size; not its name
 *   sync of a folder    the names that were made, moved or removed in it before; not what the files
 *                       hold, and not the folder's own name in the one above
 *   a durable write     (O_DSYNC) its bytes, and a size that reaches their end
 * All else is `pending`, in the order in which it was done: writes, sizes, names. A call that the
 * power cut came into is pending as well, whatever it would have promised.
 *
 * Of each pending operation the medium has all or nothing, in every combination (a disk writes in
 * any order). Of a pending write it may also have some of the sectors that the write touches: each
 * holds its old bytes, the new ones, or garbage. A sector is garbled whole, with what synced or
 * earlier writes left in it, since a write in flight destroys what lies beside it; the size of a
 * sector is 512 or 4096 bytes, as disks have them. No other synced byte is ever harmed.
 * The size of a file may be ahead of its data (what no write left there is zero, or garbage) or
 * behind it, down to what is durable.
 */
#ifndef GT_TESTS_CRASH_MODEL_H
#define GT_TESTS_CRASH_MODEL_H

#include "tests/crash/trace.h"

#define SECTOR_BYTES     512u
#define SECTOR_BYTES_MAX 4096u

struct model;

/* What a file system holds, for whoever wants to place it in a folder. Sorted by path. */
struct image_file {
    char *path;
    uint8_t *data; /* NULL: a folder */
    size_t bytes;
    bool owned; /* the data; else it is borrowed from the model or a trace */
};
struct image {
    struct image_file *files;
    size_t count;
};
void image_close(struct image *i);
uint64_t image_hash(const struct image *i);
/* A copy that outlives what it was made from. */
void image_copy(const struct image *from, struct image *to);

/* ---- running --------------------------------------------------------------------------------- */

/* Holds what the image holds, durably; NULL: an empty folder. Aborts without memory. */
struct model *model_new(const struct image *from);
void model_free(struct model *m);

/* The operation begins: its effect is pending. It borrows the operation's bytes for the life of the
 * model. False when the trace makes no sense (a file that it never opened). */
bool model_begin(struct model *m, const struct trace_op *op);
/* It ended: what it promises is durable. */
void model_end(struct model *m, const struct trace_op *op);

/* ---- cutting --------------------------------------------------------------------------------- */

/* What can be left out, torn or garbled now; the oldest first. Durable writes are none of it. */
size_t model_pending(const struct model *m);
/* Of one of them: the bytes that it writes, 0 when it is no write. */
size_t model_pending_bytes(const struct model *m, size_t i);
/* Whether it makes its file longer than what is durable. */
bool model_pending_grows(const struct model *m, size_t i);

enum fate {
    FATE_LOST,
    FATE_KEPT,
    FATE_FIRST,   /* of a write: the first `sectors` of 512 bytes */
    FATE_SOME,    /* of a write: some sectors, drawn */
    FATE_GARBLED, /* of a write: each sector old, new or garbage, drawn */
    FATE_SHREDDED /* of a write: each sector garbage; with `sectors` only the first of them */
};

struct choice {
    enum fate fate;
    uint32_t sectors;
};

enum size_rule {
    SIZE_KEPT,          /* as the writes leave it */
    SIZE_AHEAD,         /* as all pending operations would; zeros where no data came */
    SIZE_AHEAD_GARBAGE, /* the same with garbage there */
    SIZE_BEHIND         /* as short as durable; what is behind is cut off */
};

struct cut {
    uint64_t seed;          /* of what is drawn, and of garbage */
    uint32_t sector_bytes;  /* of garbage: 512 or 4096 */
    enum size_rule size;    /* of all files */
    struct choice *choices; /* of each pending operation */
};

/* What the medium holds after such a cut. The image is closed before the model goes on. */
void model_cut(const struct model *m, const struct cut *cut, struct image *out);
/* What is seen without a cut. */
void model_seen(const struct model *m, struct image *out);

#endif
