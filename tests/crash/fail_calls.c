/* The calls, each before the one of the C library that has its name. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/crash/fail_private.h"

#define PIECES_MAX 1024

/* ---- names ----------------------------------------------------------------------------------- */

static int opened(int fd, int flags, enum concern concern)
{
    if (fd < 0 || concern == CONCERN_NONE)
        return fd;
    concern_opened(fd);
    if (flags & O_TRUNC)
        pages_forget(fd);
    return fd;
}

/* The file is not there yet, and an open with these flags makes it. */
static bool is_made(int folder, const char *path, int flags, enum concern concern)
{
    struct stat facts;
    return concern != CONCERN_NONE && (flags & O_CREAT) &&
           REAL(fstatat)(folder, path, &facts, 0) != 0;
}

static mode_t mode_of(int flags, va_list arguments)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

FAIL_API int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    enum concern concern = concern_of_path(path);
    if (fail_refuses(FAIL_OPEN, concern))
        return -1;
    bool made = is_made(AT_FDCWD, path, flags, concern);
    int fd = opened(REAL(open)(path, flags, mode), flags, concern);
    if (fd >= 0 && made)
        names_made(AT_FDCWD, path);
    return fd;
}

FAIL_API int openat(int folder, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    enum concern concern = concern_at(folder, path);
    if (fail_refuses(FAIL_OPEN, concern))
        return -1;
    bool made = is_made(folder, path, flags, concern);
    int fd = opened(REAL(openat)(folder, path, flags, mode), flags, concern);
    if (fd >= 0 && made)
        names_made(folder, path);
    return fd;
}

/* Whatever a close returns, the descriptor is free. */
static int close_result(int result, bool refused)
{
    if (refused)
        errno = EIO;
    return refused ? -1 : result;
}

FAIL_API int close(int fd)
{
    bool refused = fail_closes(fd);
    return close_result(REAL(close)(fd), refused);
}

FAIL_API int closedir(DIR *stream)
{
    bool refused = fail_closes(dirfd(stream));
    return close_result(REAL(closedir)(stream), refused);
}

FAIL_API int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

FAIL_API int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    enum concern concern = concern_at(from_folder, from);
    if (fail_refuses(FAIL_RENAME, concern))
        return -1;
    int result = REAL(renameat)(from_folder, from, to_folder, to);
    if (result == 0 && concern != CONCERN_NONE)
        names_renamed(from_folder, from, to_folder, to);
    return result;
}

/* The number of a file that goes may be given to the next one. */
static void forget_at(int folder, const char *path)
{
    int fd = REAL(openat)(folder, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    pages_forget(fd);
    REAL(close)(fd);
}

FAIL_API int unlink(const char *path)
{
    enum concern concern = concern_of_path(path);
    if (fail_refuses(FAIL_REMOVE, concern))
        return -1;
    if (concern != CONCERN_NONE)
        forget_at(AT_FDCWD, path);
    return REAL(unlink)(path);
}

FAIL_API int unlinkat(int folder, const char *path, int flags)
{
    enum concern concern = concern_at(folder, path);
    if (fail_refuses(FAIL_REMOVE, concern))
        return -1;
    if (concern != CONCERN_NONE)
        forget_at(folder, path);
    return REAL(unlinkat)(folder, path, flags);
}

FAIL_API int rmdir(const char *path)
{
    return fail_refuses(FAIL_REMOVE, concern_of_path(path)) ? -1 : REAL(rmdir)(path);
}

FAIL_API int mkdir(const char *path, mode_t mode)
{
    return fail_refuses(FAIL_MKDIR, concern_of_path(path)) ? -1 : REAL(mkdir)(path, mode);
}

FAIL_API int mkdirat(int folder, const char *path, mode_t mode)
{
    if (fail_refuses(FAIL_MKDIR, concern_at(folder, path)))
        return -1;
    return REAL(mkdirat)(folder, path, mode);
}

FAIL_API DIR *opendir(const char *path)
{
    return fail_refuses(FAIL_LIST, concern_of_path(path)) ? NULL : REAL(opendir)(path);
}

FAIL_API DIR *fdopendir(int fd)
{
    return fail_refuses(FAIL_LIST, concern_of_descriptor(fd)) ? NULL : REAL(fdopendir)(fd);
}

FAIL_API struct dirent *readdir(DIR *stream)
{
    if (fail_refuses(FAIL_LIST, concern_of_descriptor(dirfd(stream))))
        return NULL;
    return REAL(readdir)(stream);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

FAIL_API ssize_t read(int fd, void *data, size_t bytes)
{
    ssize_t n = fail_transfer(FAIL_READ, concern_of_descriptor(fd), bytes);
    return n < 0 ? n : REAL(read)(fd, data, (size_t)n);
}

FAIL_API ssize_t pread(int fd, void *data, size_t bytes, off_t offset)
{
    ssize_t n = fail_transfer(FAIL_READ, concern_of_descriptor(fd), bytes);
    return n < 0 ? n : REAL(pread)(fd, data, (size_t)n, offset);
}

/* What of a write of so many bytes there is to be made; the disk's pages are kept. */
static ssize_t write_begins(int fd, off_t offset, size_t bytes)
{
    enum concern concern = concern_of_descriptor(fd);
    if (concern == CONCERN_NONE)
        return (ssize_t)bytes;
    ssize_t n = fail_transfer(FAIL_WRITE, concern, bytes);
    if (n > 0)
        n = room_take(fd, offset, (size_t)n);
    if (n > 0)
        pages_written(fd, offset, (size_t)n, REAL(fcntl)(fd, F_GETFL) & O_DSYNC);
    return n;
}

FAIL_API ssize_t write(int fd, const void *data, size_t bytes)
{
    ssize_t n = write_begins(fd, lseek(fd, 0, SEEK_CUR), bytes);
    return n < 0 ? n : REAL(write)(fd, data, (size_t)n);
}

FAIL_API ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    ssize_t n = write_begins(fd, offset, bytes);
    return n < 0 ? n : REAL(pwrite)(fd, data, (size_t)n, offset);
}

FAIL_API ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    struct iovec cut[PIECES_MAX];
    size_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += pieces[i].iov_len;
    ssize_t n = write_begins(fd, lseek(fd, 0, SEEK_CUR), bytes);
    if (n < 0 || (size_t)n == bytes || count > PIECES_MAX)
        return n < 0 ? n : REAL(writev)(fd, pieces, count);
    int used = 0;
    for (size_t left = (size_t)n; left > 0; used++) {
        cut[used] = pieces[used];
        if (cut[used].iov_len > left)
            cut[used].iov_len = left;
        left -= cut[used].iov_len;
    }
    return REAL(writev)(fd, cut, used);
}

FAIL_API int ftruncate(int fd, off_t bytes)
{
    return fail_refuses(FAIL_SIZE, concern_of_descriptor(fd)) ? -1 : REAL(ftruncate)(fd, bytes);
}

static bool sync_refused(int fd)
{
    enum concern concern = concern_of_descriptor(fd);
    if (concern == CONCERN_NONE)
        return false;
    bool refused = fail_refuses(FAIL_SYNC, concern);
    int error = errno;
    if (refused)
        pages_lost(fd);
    else
        pages_synced(fd);
    names_synced(fd, refused);
    errno = error;
    return refused;
}

FAIL_API int fsync(int fd)
{
    return sync_refused(fd) ? -1 : REAL(fsync)(fd);
}

FAIL_API int fdatasync(int fd)
{
    return sync_refused(fd) ? -1 : REAL(fdatasync)(fd);
}

FAIL_API int posix_fadvise(int fd, off_t offset, off_t bytes, int advice)
{
    if (fail_refuses(FAIL_CACHE, concern_of_descriptor(fd)))
        return errno;
    return REAL(posix_fadvise)(fd, offset, bytes, advice);
}

FAIL_API void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if (fail_refuses(FAIL_MAP, concern_of_descriptor(fd)))
        return MAP_FAILED;
    return REAL(mmap)(at, bytes, protection, flags, fd, offset);
}

/* ---- facts and locks ------------------------------------------------------------------------- */

FAIL_API int stat(const char *path, struct stat *facts)
{
    return fail_refuses(FAIL_STAT, concern_of_path(path)) ? -1 : REAL(stat)(path, facts);
}

FAIL_API int fstat(int fd, struct stat *facts)
{
    return fail_refuses(FAIL_STAT, concern_of_descriptor(fd)) ? -1 : REAL(fstat)(fd, facts);
}

/* The name of fstat in libraries that were built for an older C library. */
FAIL_API int __fxstat(int version, int fd, struct stat *facts);
int __fxstat(int version, int fd, struct stat *facts)
{
    (void)version;
    return fstat(fd, facts);
}

FAIL_API int fstatat(int folder, const char *path, struct stat *facts, int flags)
{
    if (fail_refuses(FAIL_STAT, concern_at(folder, path)))
        return -1;
    return REAL(fstatat)(folder, path, facts, flags);
}

static int room_say(int result, struct statvfs *facts)
{
    uint64_t left;
    if (result == 0 && room_told(&left))
        facts->f_bavail = facts->f_bfree = left / facts->f_frsize;
    return result;
}

FAIL_API int statvfs(const char *path, struct statvfs *facts)
{
    enum concern concern = concern_of_path(path);
    if (fail_refuses(FAIL_STAT, concern))
        return -1;
    int result = REAL(statvfs)(path, facts);
    return concern == CONCERN_NONE ? result : room_say(result, facts);
}

FAIL_API int fstatvfs(int fd, struct statvfs *facts)
{
    enum concern concern = concern_of_descriptor(fd);
    if (fail_refuses(FAIL_STAT, concern))
        return -1;
    int result = REAL(fstatvfs)(fd, facts);
    return concern == CONCERN_NONE ? result : room_say(result, facts);
}

FAIL_API int fstatfs(int fd, struct statfs *facts)
{
    return fail_refuses(FAIL_STAT, concern_of_descriptor(fd)) ? -1 : REAL(fstatfs)(fd, facts);
}

FAIL_API int flock(int fd, int operation)
{
    return fail_refuses(FAIL_LOCK, concern_of_descriptor(fd)) ? -1 : REAL(flock)(fd, operation);
}

FAIL_API int fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    bool locks = command == F_SETLK || command == F_SETLKW || command == F_GETLK;
    if (locks && fail_refuses(FAIL_LOCK, concern_of_descriptor(fd)))
        return -1;
    return REAL(fcntl)(fd, command, argument);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* The C library's own, under the names by which whoever replaces them reaches them. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

FAIL_API void *malloc(size_t bytes)
{
    return fail_refuses(FAIL_ALLOC, CONCERN_FOLDER) ? NULL : __libc_malloc(bytes);
}

FAIL_API void *calloc(size_t count, size_t bytes)
{
    return fail_refuses(FAIL_ALLOC, CONCERN_FOLDER) ? NULL : __libc_calloc(count, bytes);
}

FAIL_API void *realloc(void *old, size_t bytes)
{
    return fail_refuses(FAIL_ALLOC, CONCERN_FOLDER) ? NULL : __libc_realloc(old, bytes);
}

FAIL_API int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    if (fail_refuses(FAIL_ALLOC, CONCERN_FOLDER))
        return ENOMEM;
    *out = __libc_memalign(alignment, bytes);
    return *out ? 0 : ENOMEM;
}
