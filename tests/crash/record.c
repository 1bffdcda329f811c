/*
 * The recorder: a library to be loaded before all others (LD_PRELOAD), which writes down every call
 * that changes a file under one folder (trace.h). A call holds one lock from its beginning to its
 * end, so the trace has the order in which the calls took place. A changing call that it knows but
 * has no operation for ends the process: nothing may be missed silently. (What it does not know is
 * found at the end of a run, when the files are compared with what the trace makes of them.)
 *
 * Which file a descriptor stands for is asked of the kernel at each call, so no table of
 * descriptors can go stale.
 */
#include "tests/crash/trace.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SEEN __attribute__((visibility("default")))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[TRACE_PATH_BYTES];
static size_t folder_bytes;
static int trace_fd = -1;
static uint64_t kill_at, recorded;
static bool kill_at_write;

/* Two threads that take turns (trace.h). */
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static __thread int self = -1;
static bool present[2];
static unsigned arrived;
static int turn;
static uint64_t turn_seed;

/* The function of the C library behind this one's name. */
#define REAL(name)                                                                                 \
    ({                                                                                             \
        static __typeof__(&name) real_;                                                            \
        if (!real_)                                                                                \
            real_ = (__typeof__(&name))dlsym(RTLD_NEXT, #name);                                    \
        real_;                                                                                     \
    })

__attribute__((noreturn)) static void give_up(const char *what, const char *path)
{
    dprintf(2, "recorder: %s %s\n", what, path);
    abort();
}

__attribute__((constructor)) static void begin(void)
{
    const char *root = getenv(TRACE_ENV_FOLDER), *file = getenv(TRACE_ENV_FILE);
    const char *at = getenv(TRACE_ENV_KILL);
    if (!root || !file)
        return;
    folder_bytes = strlen(root);
    if (folder_bytes == 0 || folder_bytes >= sizeof(folder))
        give_up("bad folder", root);
    memcpy(folder, root, folder_bytes + 1);
    char *end = NULL;
    kill_at = at ? strtoull(at, &end, 10) : 0;
    kill_at_write = end && *end == 'w';
    trace_fd =
        (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (trace_fd < 0)
        give_up("cannot open", file);
}

/* ---- turns ----------------------------------------------------------------------------------- */

static void turn_next(void)
{
    turn_seed ^= turn_seed << 13;
    turn_seed ^= turn_seed >> 7;
    turn_seed ^= turn_seed << 17;
    turn = (int)(turn_seed & 1);
    if (!present[turn])
        turn = 1 - turn;
    pthread_cond_broadcast(&turned);
}

static void enter(void)
{
    pthread_mutex_lock(&lock);
    while (self >= 0 && turn != self)
        pthread_cond_wait(&turned, &lock);
}

static void leave(void)
{
    if (self >= 0)
        turn_next();
    pthread_mutex_unlock(&lock);
}

crash_turns_fn crash_turns;
SEEN void crash_turns(int who, uint64_t seed)
{
    pthread_mutex_lock(&lock);
    if (who < 0) {
        present[self] = false;
        self = -1;
        turn_next();
        pthread_mutex_unlock(&lock);
        return;
    }
    self = who;
    present[who] = true;
    turn_seed = seed | 1;
    turn = (int)(seed >> 1 & 1);
    pthread_cond_broadcast(&turned);
    /* The other one may have come, done all its calls and gone before this one wakes. */
    arrived++;
    while (arrived % 2 == 1)
        pthread_cond_wait(&turned, &lock);
    pthread_mutex_unlock(&lock);
}

/* ---- writing down ---------------------------------------------------------------------------- */

static void append(const void *data, size_t bytes)
{
    while (bytes > 0) {
        long n = syscall(SYS_write, trace_fd, data, bytes);
        if (n <= 0)
            give_up("cannot write the trace:", strerror(errno));
        data = (const uint8_t *)data + n;
        bytes -= (size_t)n;
    }
}

static void head(enum trace_kind kind, uint32_t flags, uint64_t inode, uint64_t offset,
                 uint64_t bytes)
{
    struct trace_head h = {(uint32_t)kind, flags, inode, offset, bytes};
    append(&h, sizeof(h));
}

static void tail(enum trace_kind kind, uint64_t bytes)
{
    static const uint8_t zeros[8];
    append(zeros, (size_t)((8 - bytes % 8) % 8));
    recorded++;
    bool here = kill_at_write ? recorded >= kill_at && kind == TRACE_WRITE : recorded == kill_at;
    if (kill_at > 0 && here)
        syscall(SYS_kill, getpid(), SIGKILL);
}

static void note(enum trace_kind kind, uint32_t flags, uint64_t inode, uint64_t offset,
                 const void *data, size_t bytes)
{
    head(kind, flags, inode, offset, bytes);
    append(data, bytes);
    tail(kind, bytes);
}

crash_mark_fn crash_mark;
SEEN void crash_mark(enum trace_mark mark, uint64_t key, uint64_t number)
{
    if (trace_fd < 0)
        return;
    enter();
    head(TRACE_MARK, mark, key, number, 0);
    leave();
}

/* ---- which file ------------------------------------------------------------------------------ */

/* The path below the folder, or NULL when it lies elsewhere or is volatile. */
static const char *below(const char *path)
{
    if (trace_fd < 0 || strncmp(path, folder, folder_bytes) != 0 ||
        (path[folder_bytes] != '/' && path[folder_bytes] != 0) || trace_is_volatile(path))
        return NULL;
    return path[folder_bytes] ? path + folder_bytes + 1 : path + folder_bytes;
}

static const char *path_of(int fd, char path[PATH_MAX])
{
    char link[40];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = 0;
    return below(path);
}

/* A name as it was given, made whole. Its folder exists; "." and ".." are not used in it. */
static const char *path_at(int at, const char *name, char path[PATH_MAX])
{
    char base[PATH_MAX] = "";
    if (name[0] != '/' && at != AT_FDCWD)
        path_of(at, base);
    else if (name[0] != '/' && !getcwd(base, sizeof(base)))
        give_up("no working folder for", name);
    if (snprintf(path, PATH_MAX, "%s%s%s", base, name[0] == '/' ? "" : "/", name) >= PATH_MAX)
        give_up("path is too long:", name);
    return below(path);
}

/* Whether the descriptor is of a plain file or folder of the recording. */
static const char *file_of(int fd, struct stat *facts, char path[PATH_MAX])
{
    if (trace_fd < 0 || fstat(fd, facts) != 0)
        return NULL;
    return S_ISREG(facts->st_mode) || S_ISDIR(facts->st_mode) ? path_of(fd, path) : NULL;
}

static void refuse(int fd, const char *what)
{
    struct stat facts;
    char path[PATH_MAX];
    if (file_of(fd, &facts, path))
        give_up(what, path);
}

static void refuse_path(int at, const char *name, const char *what)
{
    char path[PATH_MAX];
    if (trace_fd >= 0 && path_at(at, name, path))
        give_up(what, path);
}

/* ---- opening --------------------------------------------------------------------------------- */

static int note_open(int fd, int flags)
{
    struct stat facts;
    char path[PATH_MAX];
    const char *name = fd >= 0 ? file_of(fd, &facts, path) : NULL;
    if (name && (flags & O_TMPFILE) == O_TMPFILE)
        give_up("file without a name:", path);
    if (name && S_ISREG(facts.st_mode) && (flags & (O_ACCMODE | O_CREAT)) != O_RDONLY)
        note(TRACE_OPEN, flags & O_TRUNC ? TRACE_CUT : 0, facts.st_ino, 0, name, strlen(name) + 1);
    return fd;
}

#define MODE_OF(flags, last)                                                                       \
    ({                                                                                             \
        mode_t mode_ = 0;                                                                          \
        if ((flags) & (O_CREAT | O_TMPFILE)) {                                                     \
            va_list more_;                                                                         \
            va_start(more_, last);                                                                 \
            mode_ = (mode_t)va_arg(more_, int);                                                    \
            va_end(more_);                                                                         \
        }                                                                                          \
        mode_;                                                                                     \
    })

#define LOCKED(expression)                                                                         \
    ({                                                                                             \
        enter();                                                                                   \
        __typeof__(expression) result_ = (expression);                                             \
        int cause_ = errno;                                                                        \
        leave();                                                                                   \
        errno = cause_;                                                                            \
        result_;                                                                                   \
    })

static int open_noted(int at, const char *name, int flags, mode_t mode)
{
    return LOCKED(note_open((int)syscall(SYS_openat, at, name, flags, mode), flags));
}

SEEN int open(const char *name, int flags, ...)
{
    return open_noted(AT_FDCWD, name, flags, MODE_OF(flags, flags));
}
SEEN int open64(const char *name, int flags, ...)
{
    return open_noted(AT_FDCWD, name, flags, MODE_OF(flags, flags));
}
SEEN int openat(int at, const char *name, int flags, ...)
{
    return open_noted(at, name, flags, MODE_OF(flags, flags));
}
SEEN int openat64(int at, const char *name, int flags, ...)
{
    return open_noted(at, name, flags, MODE_OF(flags, flags));
}
SEEN int creat(const char *name, mode_t mode)
{
    return open_noted(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
SEEN int creat64(const char *name, mode_t mode)
{
    return open_noted(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
/* What a fortified program calls instead, when it gives no mode. */
int __open_2(const char *name, int flags);
int __open64_2(const char *name, int flags);
int __openat_2(int at, const char *name, int flags);
int __openat64_2(int at, const char *name, int flags);
SEEN int __open_2(const char *name, int flags)
{
    return open_noted(AT_FDCWD, name, flags, 0);
}
SEEN int __open64_2(const char *name, int flags)
{
    return open_noted(AT_FDCWD, name, flags, 0);
}
SEEN int __openat_2(int at, const char *name, int flags)
{
    return open_noted(at, name, flags, 0);
}
SEEN int __openat64_2(int at, const char *name, int flags)
{
    return open_noted(at, name, flags, 0);
}

/* A stream writes by ways of its own, which are not seen here. */
static FILE *stream_checked(FILE *f, const char *mode)
{
    if (f && strpbrk(mode, "wa+"))
        refuse(fileno(f), "stream that writes:");
    return f;
}
SEEN FILE *fopen(const char *name, const char *mode)
{
    return stream_checked(REAL(fopen)(name, mode), mode);
}
SEEN FILE *fopen64(const char *name, const char *mode)
{
    return stream_checked(REAL(fopen64)(name, mode), mode);
}
SEEN FILE *fdopen(int fd, const char *mode)
{
    return stream_checked(REAL(fdopen)(fd, mode), mode);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Notes the first n bytes of the vectors. An O_DSYNC write has written its bytes when it returns,
 * as if followed by an fdatasync of that range; of other bytes of the file it promises nothing. */
static ssize_t note_write(int fd, const struct iovec *v, int count, uint64_t offset, ssize_t n)
{
    struct stat facts;
    char path[PATH_MAX];
    int cause = errno;
    if (n <= 0 || !file_of(fd, &facts, path)) {
        errno = cause;
        return n;
    }
    bool durable = fcntl(fd, F_GETFL) & O_DSYNC; /* a bit of O_SYNC */
    head(TRACE_WRITE, durable ? TRACE_DURABLE : 0, facts.st_ino, offset, (uint64_t)n);
    size_t left = (size_t)n;
    for (int i = 0; i < count && left > 0; i++) {
        size_t piece = v[i].iov_len < left ? v[i].iov_len : left;
        append(v[i].iov_base, piece);
        left -= piece;
    }
    tail(TRACE_WRITE, (uint64_t)n);
    return n;
}

/* Where a write without an offset has begun, now that it is done. */
static uint64_t begun_at(int fd, ssize_t n)
{
    off_t end = n > 0 ? lseek(fd, 0, SEEK_CUR) : -1;
    return end >= n ? (uint64_t)(end - n) : 0;
}

static struct iovec vector(const void *data, size_t bytes)
{
    return (struct iovec){(void *)(uintptr_t)data, bytes};
}

static ssize_t write_noted(int fd, const struct iovec *v, int count)
{
    ssize_t n = syscall(SYS_writev, fd, v, count);
    return n > 0 ? note_write(fd, v, count, begun_at(fd, n), n) : n;
}

static ssize_t pwrite_noted(int fd, const struct iovec *v, int count, off_t offset)
{
    return note_write(fd, v, count, (uint64_t)offset,
                      syscall(SYS_pwritev, fd, v, count, offset, 0));
}

SEEN ssize_t write(int fd, const void *data, size_t bytes)
{
    struct iovec v = vector(data, bytes);
    return LOCKED(write_noted(fd, &v, 1));
}
SEEN ssize_t writev(int fd, const struct iovec *v, int count)
{
    return LOCKED(write_noted(fd, v, count));
}
SEEN ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
    struct iovec v = vector(data, bytes);
    return LOCKED(pwrite_noted(fd, &v, 1, offset));
}
SEEN ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset)
{
    struct iovec v = vector(data, bytes);
    return LOCKED(pwrite_noted(fd, &v, 1, offset));
}
SEEN ssize_t pwritev(int fd, const struct iovec *v, int count, off_t offset)
{
    return LOCKED(pwrite_noted(fd, v, count, offset));
}
SEEN ssize_t pwritev64(int fd, const struct iovec *v, int count, off64_t offset)
{
    return LOCKED(pwrite_noted(fd, v, count, offset));
}
SEEN ssize_t pwritev2(int fd, const struct iovec *v, int count, off_t offset, int flags)
{
    refuse(fd, "pwritev2 on");
    return REAL(pwritev2)(fd, v, count, offset, flags);
}
SEEN ssize_t pwritev64v2(int fd, const struct iovec *v, int count, off64_t offset, int flags)
{
    refuse(fd, "pwritev64v2 on");
    return REAL(pwritev64v2)(fd, v, count, offset, flags);
}
SEEN ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t bytes,
                             unsigned flags)
{
    refuse(out, "copy_file_range to");
    return REAL(copy_file_range)(in, from, out, to, bytes, flags);
}

static int note_size(int fd, uint32_t flags, off_t bytes, int result)
{
    struct stat facts;
    char path[PATH_MAX];
    if (result == 0 && file_of(fd, &facts, path))
        note(TRACE_SIZE, flags, facts.st_ino, (uint64_t)bytes, NULL, 0);
    return result;
}
SEEN int ftruncate(int fd, off_t bytes)
{
    return LOCKED(note_size(fd, 0, bytes, (int)syscall(SYS_ftruncate, fd, bytes)));
}
SEEN int ftruncate64(int fd, off64_t bytes)
{
    return LOCKED(note_size(fd, 0, bytes, (int)syscall(SYS_ftruncate, fd, bytes)));
}
static int grow(int fd, int mode, off_t offset, off_t bytes)
{
    if (mode != 0)
        refuse(fd, "fallocate with a mode on");
    return LOCKED(note_size(fd, TRACE_GROW, offset + bytes,
                            (int)syscall(SYS_fallocate, fd, mode, offset, bytes)));
}
SEEN int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
    return grow(fd, mode, offset, bytes);
}
SEEN int fallocate64(int fd, int mode, off64_t offset, off64_t bytes)
{
    return grow(fd, mode, offset, bytes);
}
SEEN int posix_fallocate(int fd, off_t offset, off_t bytes)
{
    return grow(fd, 0, offset, bytes) == 0 ? 0 : errno;
}
SEEN int posix_fallocate64(int fd, off64_t offset, off64_t bytes)
{
    return grow(fd, 0, offset, bytes) == 0 ? 0 : errno;
}
SEEN int truncate(const char *name, off_t bytes)
{
    refuse_path(AT_FDCWD, name, "truncate of");
    return REAL(truncate)(name, bytes);
}
SEEN int truncate64(const char *name, off64_t bytes)
{
    refuse_path(AT_FDCWD, name, "truncate of");
    return REAL(truncate64)(name, bytes);
}

/* ---- names ----------------------------------------------------------------------------------- */

static int rename_noted(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    char paths[2 * PATH_MAX], second[PATH_MAX];
    int result = (int)syscall(SYS_renameat2, from_at, from, to_at, to, flags);
    int cause = errno;
    if (result == 0 && trace_fd >= 0) {
        const char *old = path_at(from_at, from, paths), *new = path_at(to_at, to, second);
        if ((old || new) && (!old || !new || flags & ~(unsigned)RENAME_NOREPLACE))
            give_up("rename into, out of or within the folder:", from);
        if (old) {
            char both[2 * PATH_MAX];
            size_t first = strlen(old) + 1, all = first + strlen(new) + 1;
            memcpy(both, old, first);
            memcpy(both + first, new, all - first);
            note(TRACE_RENAME, 0, 0, 0, both, all);
        }
    }
    errno = cause;
    return result;
}
SEEN int rename(const char *from, const char *to)
{
    return LOCKED(rename_noted(AT_FDCWD, from, AT_FDCWD, to, 0));
}
SEEN int renameat(int from_at, const char *from, int to_at, const char *to)
{
    return LOCKED(rename_noted(from_at, from, to_at, to, 0));
}
SEEN int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags)
{
    return LOCKED(rename_noted(from_at, from, to_at, to, flags));
}

static int note_name(enum trace_kind kind, int at, const char *name, int result)
{
    char path[PATH_MAX];
    int cause = errno;
    const char *found = result == 0 && trace_fd >= 0 ? path_at(at, name, path) : NULL;
    if (found)
        note(kind, 0, 0, 0, found, strlen(found) + 1);
    errno = cause;
    return result;
}
static int remove_at(int at, const char *name, int flags)
{
    if (flags & AT_REMOVEDIR)
        refuse_path(at, name, "folder to remove:");
    return LOCKED(note_name(TRACE_UNLINK, at, name, (int)syscall(SYS_unlinkat, at, name, flags)));
}
SEEN int unlink(const char *name)
{
    return remove_at(AT_FDCWD, name, 0);
}
SEEN int unlinkat(int at, const char *name, int flags)
{
    return remove_at(at, name, flags);
}
SEEN int rmdir(const char *name)
{
    return remove_at(AT_FDCWD, name, AT_REMOVEDIR);
}
SEEN int remove(const char *name)
{
    return remove_at(AT_FDCWD, name, 0);
}
SEEN int mkdirat(int at, const char *name, mode_t mode)
{
    return LOCKED(note_name(TRACE_MKDIR, at, name, (int)syscall(SYS_mkdirat, at, name, mode)));
}
SEEN int mkdir(const char *name, mode_t mode)
{
    return mkdirat(AT_FDCWD, name, mode);
}
SEEN int link(const char *from, const char *to)
{
    refuse_path(AT_FDCWD, to, "link at");
    return REAL(link)(from, to);
}
SEEN int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
    refuse_path(to_at, to, "link at");
    return REAL(linkat)(from_at, from, to_at, to, flags);
}
SEEN int symlink(const char *from, const char *to)
{
    refuse_path(AT_FDCWD, to, "link at");
    return REAL(symlink)(from, to);
}
SEEN int symlinkat(const char *from, int at, const char *to)
{
    refuse_path(at, to, "link at");
    return REAL(symlinkat)(from, at, to);
}

/* ---- syncing --------------------------------------------------------------------------------- */

static int note_sync(int fd, int result)
{
    struct stat facts;
    char path[PATH_MAX];
    const char *name = result == 0 ? file_of(fd, &facts, path) : NULL;
    if (name && S_ISDIR(facts.st_mode))
        note(TRACE_SYNC, TRACE_FOLDER, facts.st_ino, 0, name, strlen(name) + 1);
    else if (name)
        note(TRACE_SYNC, 0, facts.st_ino, 0, NULL, 0);
    return result;
}
SEEN int fsync(int fd)
{
    return LOCKED(note_sync(fd, (int)syscall(SYS_fsync, fd)));
}
SEEN int fdatasync(int fd)
{
    return LOCKED(note_sync(fd, (int)syscall(SYS_fdatasync, fd)));
}
/* More than is promised to us would become durable: the model has no operation for it. */
SEEN void sync(void)
{
    give_up("sync of", folder);
}
SEEN int syncfs(int fd)
{
    refuse(fd, "syncfs of");
    return REAL(syncfs)(fd);
}

/* ---- maps ------------------------------------------------------------------------------------ */

static void map_check(int prot, int flags, int fd)
{
    int type = flags & MAP_TYPE;
    if (prot & PROT_WRITE && (type == MAP_SHARED || type == MAP_SHARED_VALIDATE) &&
        !(flags & MAP_ANONYMOUS))
        refuse(fd, "map that writes:");
}
SEEN void *mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    map_check(prot, flags, fd);
    return (void *)syscall(SYS_mmap, at, bytes, prot, flags, fd, offset);
}
SEEN void *mmap64(void *at, size_t bytes, int prot, int flags, int fd, off64_t offset)
{
    map_check(prot, flags, fd);
    return (void *)syscall(SYS_mmap, at, bytes, prot, flags, fd, offset);
}
