#include "engine/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"

#define PATH_TEXT_BYTES 256

struct disk_posix {
    struct disk disk;
    int folder, lock;
    bool working; /* the lock is ours */
    char who[DISK_HOLDER_BYTES];
    struct log *log;
    char *path;
};

struct disk_file {
    int fd;
};

static struct disk_posix *posix_of(struct disk *d)
{
    return (struct disk_posix *)d;
}

static int error_of(int cause)
{
    switch (cause) {
    case ENOENT:
        return GT_ENOTFOUND;
    case ENOSPC:
    case EDQUOT:
        return GT_ENOSPACE;
    case ENOMEM:
        return GT_ENOMEM;
    case EMFILE:
    case ENFILE:
        return GT_EDESCRIPTORS;
    default:
        return GT_EIO;
    }
}

/* Logs a failure on an object of the folder. Absence is an answer, not a failure. */
static int failed(struct disk_posix *p, const char *verb, const char *name, int cause)
{
    if (cause != ENOENT)
        log_error(p->log, "disk cannot %s %s%s%s: %s", verb, p->path, *name ? "/" : "", name,
                  strerror(cause));
    return error_of(cause);
}

/* The same for an open file, whose name is asked of the kernel: it may have been renamed. */
static int file_failed(struct disk_posix *p, const char *verb, struct disk_file *f, int cause)
{
    char link[40], path[PATH_TEXT_BYTES];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", f->fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = 0;
    log_error(p->log, "disk cannot %s %s: %s", verb, n > 0 ? path : p->path, strerror(cause));
    /* An open file is never "not found". */
    int error = error_of(cause);
    return error == GT_ENOTFOUND ? GT_EIO : error;
}

/* What was acknowledged was synced before, so nothing depends on a close. But a file system that
 * writes at the close, or a disk that fails, is to be heard of. */
static void close_told(struct disk_posix *p, int fd, const char *name)
{
    if (close(fd) != 0 && !MUTANT(close_untold))
        log_warn(p->log, "disk cannot close %s%s%s: %s", p->path, *name ? "/" : "", name,
                 strerror(errno));
}

static int open_again(int folder, const char *name, int flags)
{
    int fd;
    do
        fd = openat(folder, name, flags | O_CLOEXEC, 0600);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static int posix_open(struct disk *d, const char *name, bool create, struct disk_file **out)
{
    struct disk_posix *p = posix_of(d);
    struct disk_file *f = malloc(sizeof(*f));
    if (!f)
        return GT_ENOMEM;
    f->fd = open_again(p->folder, name, O_RDWR | (create ? O_CREAT | O_TRUNC : 0));
    if (f->fd < 0) {
        int cause = errno;
        free(f);
        return failed(p, create ? "create" : "open", name, cause);
    }
    *out = f;
    return 0;
}

static void posix_close(struct disk *d, struct disk_file *f)
{
    close_told(posix_of(d), f->fd, "wal/, a segment");
    free(f);
}

static int posix_size(struct disk *d, struct disk_file *f, uint64_t *bytes)
{
    struct stat facts;
    if (fstat(f->fd, &facts) != 0)
        return file_failed(posix_of(d), "stat", f, errno);
    *bytes = (uint64_t)facts.st_size;
    return 0;
}

static int posix_read(struct disk *d, struct disk_file *f, uint64_t offset, void *data,
                      size_t bytes, size_t *got)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t n = pread(f->fd, (uint8_t *)data + done, bytes - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return file_failed(posix_of(d), "read", f, errno);
        done += (size_t)n;
        if (n == 0 || MUTANT(short_read_as_end))
            break;
    }
    *got = done;
    return 0;
}

/* All of it: 0 or the cause. */
static int write_all(int fd, uint64_t offset, const void *data, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t n = pwrite(fd, (const uint8_t *)data + done, bytes - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR && !MUTANT(stop_at_interrupt))
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        done += MUTANT(short_write_unseen) ? bytes : (size_t)n;
    }
    return 0;
}

static int posix_write(struct disk *d, struct disk_file *f, uint64_t offset, const void *data,
                       size_t bytes)
{
    int cause = write_all(f->fd, offset, data, bytes);
    return cause == 0 ? 0 : file_failed(posix_of(d), "write", f, cause);
}

/* EINTR is not retried: after a sync that returned an error a second one proves nothing. */
static int posix_sync(struct disk *d, struct disk_file *f)
{
    return fdatasync(f->fd) == 0 ? 0 : file_failed(posix_of(d), "sync", f, errno);
}

static int posix_drop_cache(struct disk *d, struct disk_file *f)
{
    int cause = posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
    return cause == 0 ? 0 : file_failed(posix_of(d), "evict", f, cause);
}

static void posix_read_ahead(struct disk *d, struct disk_file *f)
{
    (void)d;
    (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_WILLNEED);
}

static int posix_rename(struct disk *d, const char *from, const char *to)
{
    struct disk_posix *p = posix_of(d);
    bool renamed = renameat(p->folder, from, p->folder, to) == 0 || MUTANT(ignore_failed_rename);
    return renamed ? 0 : failed(p, "rename", from, errno);
}

static int posix_remove(struct disk *d, const char *name)
{
    struct disk_posix *p = posix_of(d);
    return unlinkat(p->folder, name, 0) == 0 ? 0 : failed(p, "remove", name, errno);
}

static int posix_make_folder(struct disk *d, const char *name)
{
    struct disk_posix *p = posix_of(d);
    if (mkdirat(p->folder, name, 0700) == 0)
        return 0;
    int cause = errno;
    struct stat facts;
    if (cause == EEXIST && fstatat(p->folder, name, &facts, 0) == 0 && S_ISDIR(facts.st_mode))
        return 0;
    return failed(p, "make folder", name, cause == EEXIST ? ENOTDIR : cause);
}

static int open_folder(struct disk_posix *p, const char *name)
{
    return open_again(p->folder, *name ? name : ".", O_RDONLY | O_DIRECTORY);
}

static int posix_sync_folder(struct disk *d, const char *name)
{
    struct disk_posix *p = posix_of(d);
    int fd = open_folder(p, name);
    if (fd < 0)
        return failed(p, "open folder", name, errno);
    int cause = MUTANT(folders_unsynced) || fsync(fd) == 0 ? 0 : errno;
    close_told(p, fd, name);
    bool synced = cause == 0 || MUTANT(ignore_folder_sync);
    return synced ? 0 : failed(p, "sync folder", name, cause);
}

static bool is_plain_file(int folder, const struct dirent *entry)
{
    struct stat facts;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_REG;
    return fstatat(folder, entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(facts.st_mode);
}

static int posix_list(struct disk *d, const char *folder, int (*each)(void *arg, const char *name),
                      void *arg)
{
    struct disk_posix *p = posix_of(d);
    int fd = open_folder(p, folder);
    if (fd < 0)
        return failed(p, "open folder", folder, errno);
    DIR *stream = fdopendir(fd);
    if (!stream) {
        int cause = errno;
        close(fd);
        return failed(p, "list folder", folder, cause);
    }
    int result = 0;
    const struct dirent *entry;
    while (result == 0 && (errno = 0, entry = readdir(stream)))
        if (is_plain_file(fd, entry))
            result = each(arg, entry->d_name);
    if (result == 0 && errno != 0)
        result = failed(p, "list folder", folder, errno);
    if (closedir(stream) != 0)
        log_warn(p->log, "disk cannot close %s/%s: %s", p->path, folder, strerror(errno));
    return result;
}

static int posix_space(struct disk *d, uint64_t *bytes)
{
    struct disk_posix *p = posix_of(d);
    struct statvfs facts;
    if (fstatvfs(p->folder, &facts) != 0)
        return failed(p, "ask the free space of", "", errno);
    *bytes = (uint64_t)facts.f_bavail * facts.f_frsize;
    return 0;
}

static void posix_destroy(struct disk *d)
{
    struct disk_posix *p = posix_of(d);
    /* Nobody works in the folder from here on, so a copy of it is of one moment. */
    if (p->working && !d->copied && ftruncate(p->lock, 0) != 0)
        log_warn(p->log, "the lock is not emptied %s/node.lock: %s", p->path, strerror(errno));
    if (p->lock >= 0)
        close_told(p, p->lock, "node.lock"); /* releases the lock, also when it fails */
    if (p->folder >= 0)
        close_told(p, p->folder, "");
    free(p->path);
    free(p);
}

static int posix_copy_known(struct disk *d);

static const struct disk posix_calls = {
    .open = posix_open,
    .close = posix_close,
    .size = posix_size,
    .read = posix_read,
    .write = posix_write,
    .sync = posix_sync,
    .drop_cache = posix_drop_cache,
    .read_ahead = posix_read_ahead,
    .rename = posix_rename,
    .remove = posix_remove,
    .make_folder = posix_make_folder,
    .sync_folder = posix_sync_folder,
    .list = posix_list,
    .space = posix_space,
    .destroy = posix_destroy,
    .copy_known = posix_copy_known,
};

__attribute__((format(printf, 2, 3))) static void say(char holder[DISK_HOLDER_BYTES],
                                                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(holder, DISK_HOLDER_BYTES, format, arguments);
    va_end(arguments);
}

static int refuse(char holder[DISK_HOLDER_BYTES], const char *verb, const char *path, int cause)
{
    say(holder, "cannot %s %s: %s", verb, path, strerror(cause));
    int error = error_of(cause);
    return error == GT_ENOTFOUND ? GT_EIO : error;
}

/* Makes the entry of a new folder durable in the one above it. */
static int sync_parent(const char *path)
{
    char *above = strdup(path);
    if (!above)
        return ENOMEM;
    char *slash = strrchr(above, '/');
    if (slash == above)
        slash[1] = 0;
    else if (slash)
        *slash = 0;
    int fd = open_again(AT_FDCWD, slash ? above : ".", O_RDONLY | O_DIRECTORY);
    int cause = fd < 0 || (!MUTANT(data_folder_unsynced) && fsync(fd) != 0) ? errno : 0;
    if (fd >= 0)
        close(fd);
    free(above);
    return cause;
}

/* Makes the folder at `path` with its missing parents. Cuts path at each '/' in turn. */
static int make_path(char *path, char holder[DISK_HOLDER_BYTES])
{
    for (char *at = path + 1;; at++) {
        if (*at != '/' && *at != 0)
            continue;
        char end = *at;
        *at = 0;
        bool made = mkdir(path, 0700) == 0;
        int cause = made ? sync_parent(path) : errno;
        if (made && cause != 0) {
            rmdir(path); /* else the next start would take it for durable */
            int error = refuse(holder, "sync the folder above", path, cause);
            return cause == EIO ? GT_EPOISONED : error;
        }
        /* A parent that exists may answer EACCES or EROFS to mkdir; what comes below decides. */
        struct stat facts;
        if (!made && stat(path, &facts) != 0)
            return refuse(holder, "create", path, cause);
        *at = end;
        if (end == 0)
            return 0;
    }
}

/*
 * Makes the entries durable that lead to the folder, up to the root of its file system: a start
 * that was killed when it had made one of them, and not yet synced it, left it looking like any
 * other. Folders above that we may not read were not made by us.
 */
static int sync_above(const char *path, char holder[DISK_HOLDER_BYTES])
{
    struct stat own, facts;
    char *at = strdup(path);
    int cause = !at ? ENOMEM : stat(path, &own) != 0 ? errno : 0;
    if (cause != 0) {
        free(at);
        return refuse(holder, "look at", path, cause);
    }
    for (bool more = !MUTANT(found_folder_unsynced); more && cause != EIO;) {
        cause = sync_parent(at);
        char *slash = strrchr(at, '/');
        more = slash && slash != at;
        if (more)
            *slash = 0;
        more = more && stat(at, &facts) == 0 && facts.st_dev == own.st_dev;
    }
    free(at);
    if (cause != EIO)
        return 0;
    refuse(holder, "sync the folder above", path, cause);
    return GT_EPOISONED;
}

static void read_holder(int fd, char holder[DISK_HOLDER_BYTES])
{
    ssize_t n = pread(fd, holder, DISK_HOLDER_BYTES - 1, 0);
    holder[n > 0 ? n : 0] = 0;
    holder[strcspn(holder, "\n")] = 0;
    if (!*holder)
        say(holder, "another process");
}

/* Replaces what stands in the lock's file: 0 or the cause. */
static int lock_write(int fd, const char *text)
{
    int emptied;
    do
        emptied = ftruncate(fd, 0);
    while (emptied != 0 && errno == EINTR);
    return emptied != 0 ? errno : write_all(fd, 0, text, strlen(text));
}

/* The lines of a holder; number: of the lock's file, 0: it stays a copy, whose number fits none. */
static int lock_claim(struct disk_posix *p, uint64_t number)
{
    char text[DISK_HOLDER_BYTES + 80];
    snprintf(text, sizeof(text), "pid %ld %.300s\nfile %llu\n", (long)getpid(), p->who,
             (unsigned long long)number);
    return lock_write(p->lock, text);
}

/* The number in the lines that a holder has left; false: there is none. */
static bool lock_number(int fd, uint64_t *number)
{
    char text[DISK_HOLDER_BYTES + 80];
    ssize_t n;
    do
        n = pread(fd, text, sizeof(text) - 1, 0);
    while (n < 0 && errno == EINTR);
    text[n > 0 ? n : 0] = 0;
    const char *line = strstr(text, "\nfile ");
    if (!line)
        return false;
    *number = strtoull(line + 6, NULL, 10);
    return true;
}

static int posix_copy_known(struct disk *d)
{
    struct disk_posix *p = posix_of(d);
    struct stat facts;
    int cause = fstat(p->lock, &facts) == 0 ? lock_claim(p, (uint64_t)facts.st_ino) : errno;
    if (cause != 0)
        return failed(p, "write", "node.lock", cause);
    d->copied = false;
    return 0;
}

/* ---- who holds the lock ---------------------------------------------------------------------- */

#define ENDING_WAIT_MS 5000
#define ENDING_POLL_MS 10
#define PF_EXITING     0x4u   /* /proc/PID/stat, proc(5): the ninth field */
#define PENDING_KILL   0x100u /* /proc/PID/status: SigPnd, ShdPnd */

/* The file of /proc about this process as a text; false when there is none. */
static bool proc_read(long pid, const char *name, char *text, size_t bytes)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%ld/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, bytes - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    return n > 0;
}

static bool kill_is_pending(long pid)
{
    char text[4096];
    if (!proc_read(pid, "status", text, sizeof(text)))
        return true;
    const char *own = strstr(text, "\nSigPnd:"), *shared = strstr(text, "\nShdPnd:");
    return (own && strtoull(own + 8, NULL, 16) & PENDING_KILL) ||
           (shared && strtoull(shared + 8, NULL, 16) & PENDING_KILL);
}

/* Killed, and not yet gone: what it holds it gives up by itself. */
static bool holder_is_ending(int fd)
{
    char text[1024];
    char state = 0;
    unsigned flags = 0;
    long pid = 0;
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = 0;
    if (sscanf(text, "pid %ld ", &pid) != 1)
        return false;
    if (!proc_read(pid, "stat", text, sizeof(text)))
        return true;
    const char *name_end = strrchr(text, ')');
    if (!name_end || sscanf(name_end + 1, " %c %*d %*d %*d %*d %*d %u", &state, &flags) != 2)
        return false;
    return strchr("ZXx", state) || flags & PF_EXITING || kill_is_pending(pid);
}

/* 0 or the cause. Who is killed and started anew at once may meet what is left of itself. */
static int lock_take(int fd)
{
    const struct timespec pause = {.tv_nsec = ENDING_POLL_MS * 1000000L};
    int left_ms = ENDING_WAIT_MS;
    if (MUTANT(lock_untaken))
        return 0;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR)
            continue;
        if (errno != EWOULDBLOCK || left_ms <= 0 || !holder_is_ending(fd))
            return errno;
        nanosleep(&pause, NULL);
        left_ms -= ENDING_POLL_MS;
    }
    return 0;
}

/* Locks the folder, or says who holds it. */
static int lock_folder(struct disk_posix *p, const char *who, char holder[DISK_HOLDER_BYTES])
{
    char path[DISK_HOLDER_BYTES];
    uint64_t left;
    struct stat facts;
    snprintf(path, sizeof(path), "%s/node.lock", p->path);
    snprintf(p->who, sizeof(p->who), "%s", who);
    p->lock = open_again(p->folder, "node.lock", O_RDWR | O_CREAT);
    if (p->lock < 0)
        return refuse(holder, "create", path, errno);
    int cause = lock_take(p->lock);
    if (cause == EWOULDBLOCK) {
        read_holder(p->lock, holder);
        return GT_ELOCKED;
    }
    if (cause != 0)
        return refuse(holder, "lock", path, cause);
    if (fstat(p->lock, &facts) != 0)
        return refuse(holder, "stat", path, errno);
    p->disk.copied =
        lock_number(p->lock, &left) && left != (uint64_t)facts.st_ino && !MUTANT(copy_trusted);
    cause = lock_claim(p, p->disk.copied ? 0 : (uint64_t)facts.st_ino);
    p->working = cause == 0;
    return cause == 0 ? 0 : refuse(holder, "write", path, cause);
}

int disk_posix_new(const char *folder, const char *who, struct log *log, struct disk **out,
                   char holder[DISK_HOLDER_BYTES])
{
    holder[0] = 0;
    struct disk_posix *p = malloc(sizeof(*p));
    char *path = strdup(folder);
    if (!p || !path) {
        free(p);
        free(path);
        say(holder, "out of memory");
        return GT_ENOMEM;
    }
    for (size_t end = strlen(path); end > 1 && path[end - 1] == '/'; end--)
        path[end - 1] = 0;
    *p = (struct disk_posix){
        .disk = posix_calls, .folder = -1, .lock = -1, .log = log, .path = path};
    int error;
    if (!*path) {
        say(holder, "the name of the data folder is empty");
        error = GT_EIO;
        goto fail;
    }
    if ((error = make_path(path, holder)) != 0 || (error = sync_above(path, holder)) != 0)
        goto fail;
    p->folder = open_again(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
    if (p->folder < 0) {
        error = refuse(holder, "open folder", path, errno);
        goto fail;
    }
    if ((error = lock_folder(p, who, holder)) != 0)
        goto fail;
    *out = &p->disk;
    return 0;
fail:
    posix_destroy(&p->disk);
    return error;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void disk_posix_boot_id(uint8_t id[16])
{
    memset(id, 0, 16);
    char text[64];
    int fd = open_again(AT_FDCWD, "/proc/sys/kernel/random/boot_id", O_RDONLY);
    if (fd < 0)
        return;
    ssize_t n = read(fd, text, sizeof(text));
    close(fd);
    unsigned digits = 0;
    for (ssize_t i = 0; i < n && digits < 32; i++) {
        int digit = hex_digit(text[i]);
        if (digit >= 0) {
            id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | digit);
            digits++;
        }
    }
    if (digits != 32)
        memset(id, 0, 16);
}
