/*
 * The file seam: everything the log does to files goes through this table, so that the simulator
 * can lose, tear and refuse. disk_posix.c is the real one, rooted at one data folder.
 *
 * Names are relative to the folder, with '/' between folder and file ("wal/0000000000000001.wal").
 * All calls block; they may be made from several threads, but never two at once on one file.
 * Results are 0 or a GT_E*: GT_ENOTFOUND, GT_ENOSPACE (ENOSPC, EDQUOT), GT_ENOMEM, GT_EDESCRIPTORS
 * (EMFILE, ENFILE), GT_EIO for the rest. The real disk logs errno text and object, once, where it
 * happens. EINTR and short transfers are continued inside.
 */
#ifndef GT_ENGINE_DISK_H
#define GT_ENGINE_DISK_H

#include "engine/base/blob.h"
#include "engine/base/log.h"

struct disk_file; /* an open file */

#define DISK_NAME_BYTES 64 /* with the final NUL */

struct disk {
    /* Opens for reading and writing; with create, makes an empty file or truncates what is there.
     */
    int (*open)(struct disk *d, const char *name, bool create, struct disk_file **out);
    /* Cannot fail: what is to be durable was synced. A close that fails is logged. */
    void (*close)(struct disk *d, struct disk_file *f);
    int (*size)(struct disk *d, struct disk_file *f, uint64_t *bytes);
    /* Reads up to `bytes` bytes at offset; *got is less only at the end of the file. */
    int (*read)(struct disk *d, struct disk_file *f, uint64_t offset, void *data, size_t bytes,
                size_t *got);
    int (*write)(struct disk *d, struct disk_file *f, uint64_t offset, const void *data,
                 size_t bytes);
    /* After 0, all that was written to f is durable. After an error nothing is known, and a second
     * call proves nothing (FSYNC: a failed sync drops the dirty pages and the next one succeeds).
     */
    int (*sync)(struct disk *d, struct disk_file *f);
    /* Evicts the file's clean pages, so that what is read next comes from the medium. */
    int (*drop_cache)(struct disk *d, struct disk_file *f);
    /* Begins to read the whole file into the cache, and does not wait; a hint. */
    void (*read_ahead)(struct disk *d, struct disk_file *f);
    int (*rename)(struct disk *d, const char *from, const char *to);
    int (*remove)(struct disk *d, const char *name);
    int (*make_folder)(struct disk *d, const char *name); /* 0 too when it exists */
    /* After 0, creations, renames and removals in this folder ("" = the root) are durable. */
    int (*sync_folder)(struct disk *d, const char *name);
    /* Calls each(arg, file name without folder) for every plain file; stops at non-zero. */
    int (*list)(struct disk *d, const char *folder, int (*each)(void *arg, const char *name),
                void *arg);
    /* Bytes free for us on the file system. */
    int (*space)(struct disk *d, uint64_t *bytes);
    /* Ends it: unlocks the folder, frees. */
    void (*destroy)(struct disk *d);
    /* The folder was copied while a process worked in it, file by file: it may be of no one moment.
     * Found again at every start, until copy_known is called, which may be NULL when it is never
     * so: what follows from it is durable. 0 or an error. */
    bool copied;
    int (*copy_known)(struct disk *d);
};

/*
 * The real disk (disk_posix.c). Makes the folder (mode 0700, with missing parents) when absent, and
 * the entries that lead to it durable, whoever made them. Locks it by an exclusive flock on
 * `node.lock`, in which it writes one line naming the holder ("pid 123 gtstore-node node1"), and
 * keeps the lock until destroyed. A second line says which file it is (its number) while the holder
 * works; an orderly end empties the file. So a folder whose lock was left by a kill is known from
 * the copy of one, whose lock has another number: see copied. 0; GT_ELOCKED with the holder's line
 * in *holder (for the error message); GT_EIO, GT_ENOSPACE, GT_ENOMEM, GT_EDESCRIPTORS, or
 * GT_EPOISONED (a sync failed by EIO) with a text that names path and cause in *holder.
 */
#define DISK_HOLDER_BYTES 400
int disk_posix_new(const char *folder, const char *who, struct log *log, struct disk **out,
                   char holder[DISK_HOLDER_BYTES]);

/* The identity of this boot of the machine (Linux boot_id; 16 bytes, zero when unknown). */
void disk_posix_boot_id(uint8_t id[16]);

#endif
