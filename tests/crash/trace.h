/*
 * What a recorded run did to the files under one folder, in the order in which the calls ended.
 *
 * A trace is a run of operations: this head, then `bytes` bytes, padded with zeros to a multiple of
 * 8. It is written and read on one machine, so integers are as that machine has them.
 *
 *   OPEN    a plain file was opened for writing, or made: `inode`, the path; flags TRACE_*
 *   WRITE   `inode`, offset, the bytes that were written; TRACE_DURABLE when the descriptor was
 *           opened O_DSYNC or O_SYNC: these bytes, and no others, are durable when the call ends
 *   SIZE    `inode`, offset: the new size (ftruncate), or the size that it has at least
 *           (TRACE_GROW: fallocate)
 *   RENAME  the two paths, each with its NUL
 *   UNLINK  the path;  MKDIR  the path
 *   SYNC    fsync or fdatasync: `inode` of a file; or of a folder, TRACE_FOLDER and its path
 *   MARK    of the program itself: flags enum trace_mark, `inode` the key, offset the number
 *
 * Paths are relative to the folder; "" is the folder itself. Inodes are the system's numbers: the
 * newest file that was opened with a number is meant. sync_file_range and msync promise nothing
 * that is kept, so they stand in no trace. The content of the files of trace_is_volatile does not
 * either: they are locks, arbitrary after a power cut, whose owners make them anew.
 */
#ifndef GT_TESTS_CRASH_TRACE_H
#define GT_TESTS_CRASH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum trace_kind {
    TRACE_OPEN = 1,
    TRACE_WRITE,
    TRACE_SIZE,
    TRACE_RENAME,
    TRACE_UNLINK,
    TRACE_MKDIR,
    TRACE_SYNC,
    TRACE_MARK
};

enum trace_flag {
    TRACE_CUT = 1, /* O_TRUNC */
    TRACE_DURABLE = 2,
    TRACE_GROW = 4,
    TRACE_FOLDER = 8
};

enum trace_mark {
    MARK_BEGUN = 1, /* this put of the key will be submitted now */
    MARK_ACKED,     /* it was acknowledged */
    MARK_SEEN,      /* a read showed it: a promise like an acknowledgement */
    MARK_END        /* the life did all that it meant to */
};

struct trace_head {
    uint32_t kind, flags;
    uint64_t inode, offset, bytes;
};

#define TRACE_PATH_BYTES 256

/* The environment of a recorded process. */
#define TRACE_ENV_FOLDER "GT_CRASH_FOLDER" /* what is recorded: a real path */
#define TRACE_ENV_FILE   "GT_CRASH_TRACE"  /* appended to; outside of the folder */
/* The operation after which the process is killed; with a w behind it the next write from there. */
#define TRACE_ENV_KILL "GT_CRASH_KILL"

static inline bool trace_is_volatile(const char *path)
{
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    return strcmp(name, "lock.mdb") == 0 || strcmp(name, "node.lock") == 0;
}

/* The recorder's functions, which a recorded process finds by their names. */
typedef void crash_mark_fn(enum trace_mark mark, uint64_t key, uint64_t number); /* crash_mark */
/*
 * crash_turns: two threads run at once, and which of them makes the next call follows from the
 * seed, so the trace does as well. Each says here which of them it is, 0 or 1, and waits for the
 * other; with -1 it takes no further turn.
 */
typedef void crash_turns_fn(int who, uint64_t seed);

/* ---- reading --------------------------------------------------------------------------------- */

struct trace_op {
    struct trace_head head;
    const uint8_t *bytes;
};

struct trace {
    uint8_t *data;
    struct trace_op *ops;
    size_t count;
};

/* The whole file; false, with a line on stderr, when it cannot be read or is cut short. */
bool trace_read(const char *path, struct trace *out);
void trace_close(struct trace *t);
/* One line of text, for people. */
void trace_text(const struct trace_op *op, char *out, size_t bytes);

#endif
