/*
 * A disk in memory that can refuse, fill up, and lose power; deterministic from its seeds.
 *
 * It knows for every file what the medium holds and which writes since are only in the cache, and
 * for the folders which creations, renames and removals are not yet synced. A power cut
 * (memdisk_crash) keeps an arbitrary part of those, tears or garbles some of them, and forgets the
 * rest; all files open at that moment answer GT_EIO from then on and only want closing. The
 * process's end alone (kill -9) loses nothing: just open the log again on the same disk.
 *
 * A sync that was made to fail drops some of the file's writes from the medium for good while reads
 * go on showing them, until drop_cache; a second sync succeeds and does not bring them back. A
 * write that was made to fail leaves a part of its bytes.
 *
 * May be called from several threads.
 */
#ifndef GT_TESTS_LIB_MEMDISK_H
#define GT_TESTS_LIB_MEMDISK_H

#include "engine/disk.h"
#include "tests/lib/memcut.h"

enum memdisk_call {
    MEMDISK_OPEN = 1,
    MEMDISK_SIZE = 2,
    MEMDISK_READ = 4,
    MEMDISK_WRITE = 8,
    MEMDISK_SYNC = 16,
    MEMDISK_DROP_CACHE = 32,
    MEMDISK_RENAME = 64,
    MEMDISK_REMOVE = 128,
    MEMDISK_MAKE_FOLDER = 256,
    MEMDISK_SYNC_FOLDER = 512,
    MEMDISK_LIST = 1024,
    MEMDISK_SPACE = 2048,
    MEMDISK_ANY = 4095
};

/* An empty disk of 1 TiB. Ends by its destroy. Never fails (aborts when out of memory). */
struct disk *memdisk_new(void);

/* The nth call (from 1, counted from now) of the kinds in `calls` answers `error`; with forever, so
 * do all later ones of these kinds. nth 0 ends the failing. */
void memdisk_fail(struct disk *d, unsigned calls, uint64_t nth, int error, bool forever);
/* Counts its calls on the cut, which decides before memdisk_fail does. Borrowed; NULL: on none. */
void memdisk_cut(struct disk *d, struct memcut *cut);
/* Calls made of these kinds since the birth of the disk. */
uint64_t memdisk_calls(const struct disk *d, unsigned calls);
/* Bytes of the whole disk; a file that grows over it gets GT_ENOSPACE. */
void memdisk_capacity(struct disk *d, uint64_t bytes);
/* Files open now. */
unsigned memdisk_open_files(const struct disk *d);

/*
 * The power is cut, and is back. Ends the failing. Of each write that is not synced the medium has
 * all, nothing, a first part, or of each sector that it touches the old bytes, the new ones or
 * garbage. A sector is garbled whole, with what earlier writes left in it; the drawn size of a
 * sector is 512 or 4096 bytes, as disks have them.
 */
void memdisk_crash(struct disk *d, uint64_t seed);

/* What all files hold at this moment, as a read would show it: a copy of the disk. Belongs to the
 * caller. */
struct memdisk_snapshot;
struct memdisk_snapshot *memdisk_snapshot(const struct disk *d);
void memdisk_snapshot_free(struct memdisk_snapshot *s); /* NULL is allowed */
/*
 * An old copy of the disk is put back, durably, or the copy of another disk. Files open at this
 * moment answer GT_EIO and only want closing; ends the failing. The snapshot may be used again.
 */
void memdisk_restore(struct disk *d, const struct memdisk_snapshot *s);
/* An empty disk takes the place of this one: otherwise as memdisk_restore. */
void memdisk_wipe(struct disk *d);

/* Files from outside, without faults. The bytes are those that a read would show; borrowed until
 * the next call on the disk. NULL when there is no such file. */
const uint8_t *memdisk_bytes(const struct disk *d, const char *name, size_t *bytes);
/* Makes or replaces a file, durably, with its folder. */
void memdisk_put(struct disk *d, const char *name, const void *data, size_t bytes);
/* Changes one byte, in cache and medium. The file must reach so far. */
void memdisk_flip(struct disk *d, const char *name, uint64_t offset, uint8_t mask);

#endif
