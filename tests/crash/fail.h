/*
 * Calls that fail: a library that stands between a program and the system, and makes one chosen
 * call fail. Linked before everything else, so that it is found first by the program and by the
 * libraries that it uses (LMDB, libuv): nothing has to be changed to be tried.
 *
 *   fail_begin(&plan) --> calls that concern the folder are counted by kind; the plan's n-th fails
 *   fail_end()        --> nothing fails any more
 *   fail_lose()       --> what a failed sync has lost is gone from the files
 *
 * What concerns the folder: paths below it, and descriptors opened from such paths. Allocations
 * concern no folder: all of the process are counted, but those made between fail_pause calls.
 *
 * A FAILED SYNC LOSES. The system gives up the dirty pages: the cache shows them for a while, the
 * disk never gets them, and the next sync says that all is well (ext4, xfs and btrfs do that). So
 * of each page written since the last good sync of its file the bytes before are kept. A sync that
 * is made to fail turns them into losses, fail_lose writes them back, and only a page that was
 * written again and then synced is safe. Writes through a descriptor with O_DSYNC are durable by
 * themselves.
 *
 * A FAILED CLOSE LOSES likewise what was not synced: some file systems write at the close.
 *
 * LITTLE ROOM. With room_bytes files may grow by so much in all; a write that does not fit is cut
 * short at the last byte that does, and one of which nothing fits fails with ENOSPC. statvfs tells
 * what is left, unless room_untold. fail_room gives more.
 */
#ifndef GT_TESTS_CRASH_FAIL_H
#define GT_TESTS_CRASH_FAIL_H

#include <stdbool.h>
#include <stdint.h>

enum fail_kind {
    FAIL_OPEN,   /* open, openat */
    FAIL_READ,   /* read, pread */
    FAIL_WRITE,  /* write, pwrite, writev */
    FAIL_SYNC,   /* fsync, fdatasync, msync */
    FAIL_RENAME, /* rename, renameat */
    FAIL_REMOVE, /* unlink, unlinkat, rmdir */
    FAIL_MKDIR,  /* mkdir, mkdirat */
    FAIL_SIZE,   /* ftruncate */
    FAIL_MAP,    /* mmap of a file, madvise is a hint and does not count */
    FAIL_STAT,   /* stat, fstat, fstatat, statvfs, fstatvfs, fstatfs */
    FAIL_LOCK,   /* flock, fcntl that locks */
    FAIL_LIST,   /* fdopendir, opendir, readdir */
    FAIL_CACHE,  /* posix_fadvise */
    FAIL_CLOSE,  /* close, closedir: the descriptor is gone all the same */
    FAIL_ALLOC,  /* malloc, calloc, realloc, posix_memalign, and what calls them in the C library */
    FAIL_KINDS,
    FAIL_NOTHING = FAIL_KINDS
};

/* What the call answers: an errno, or a transfer of fewer bytes. */
#define FAIL_HALF (-1) /* of what was asked for, at least 1 */
#define FAIL_ONE  (-2) /* one byte */

struct fail_plan {
    const char *folder; /* borrowed until fail_end */
    enum fail_kind kind;
    uint64_t call; /* from 1 */
    int error;
    /* From that call on all of its kind fail. EINTR and FAIL_ONE answer every second one: a call
     * that is interrupted for ever, or takes a segment byte by byte, is no case of its own. */
    bool forever;
    bool room, room_untold; /* room_bytes is in force */
    uint64_t room_bytes;
};

#define FAIL_API __attribute__((visibility("default")))

FAIL_API void fail_begin(const struct fail_plan *plan);
FAIL_API void fail_end(void);
/* Allocations between fail_pause(true) and fail_pause(false) are neither counted nor failed. */
FAIL_API void fail_pause(bool paused);
/* How many calls of the kind were counted since fail_begin. */
FAIL_API uint64_t fail_count(enum fail_kind kind);
/* How many calls were made to fail, whether one of them was on a file of the index, and whether one
 * was the close of a file outside of it, and not of a folder. */
FAIL_API uint64_t fail_hits(void);
FAIL_API bool fail_hits_index(void);
FAIL_API bool fail_hits_close(void);
/* Bytes by which files grew since fail_begin with room. */
FAIL_API uint64_t fail_grown(void);
FAIL_API void fail_room(uint64_t more_bytes);
/* After fail_end: writes back what failed syncs have lost in the files below the folder. Returns
 * the number of pages. */
FAIL_API uint32_t fail_lose(const char *folder);

#endif
