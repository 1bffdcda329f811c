#include "tests/crash/fail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crash/fail_private.h"

#define DESCRIPTORS_MAX 1024
#define PATH_BYTES      512

/* One for the process: what stands between it and the system has no other place. */
static struct {
    struct fail_plan plan;
    bool armed, paused;
    uint64_t counts[FAIL_KINDS];
    uint64_t hits, hits_index, hits_close;
    uint64_t grown_bytes;
    uint8_t concerns[DESCRIPTORS_MAX];
} fail = {.plan = {.kind = FAIL_NOTHING}};

void fail_begin(const struct fail_plan *plan)
{
    memset(&fail, 0, sizeof(fail));
    fail.plan = *plan;
    pages_forget_all();
    names_forget_all();
    fail.armed = true;
}

void fail_end(void)
{
    fail.armed = false;
}

void fail_pause(bool paused)
{
    fail.paused = paused;
}

uint64_t fail_count(enum fail_kind kind)
{
    return fail.counts[kind];
}

uint64_t fail_hits(void)
{
    return fail.hits;
}

bool fail_hits_index(void)
{
    return fail.hits_index > 0;
}

uint64_t fail_grown(void)
{
    return fail.grown_bytes;
}

bool fail_hits_close(void)
{
    return fail.hits_close > 0;
}

void fail_room(uint64_t more_bytes)
{
    fail.plan.room_bytes += more_bytes;
}

/* ---- what concerns the folder ---------------------------------------------------------------- */

enum concern concern_of_path(const char *path)
{
    if (!fail.armed || !fail.plan.folder)
        return CONCERN_NONE;
    size_t bytes = strlen(fail.plan.folder);
    if (strncmp(path, fail.plan.folder, bytes) != 0 || (path[bytes] != 0 && path[bytes] != '/'))
        return CONCERN_NONE;
    return strstr(path + bytes, "/index/") ? CONCERN_INDEX : CONCERN_FOLDER;
}

enum concern concern_of_descriptor(int fd)
{
    bool known = fail.armed && fd >= 0 && fd < DESCRIPTORS_MAX;
    return known ? (enum concern)fail.concerns[fd] : CONCERN_NONE;
}

enum concern concern_at(int folder, const char *path)
{
    return path[0] == '/' || folder == AT_FDCWD ? concern_of_path(path)
                                                : concern_of_descriptor(folder);
}

void concern_opened(int fd)
{
    char link[40], path[PATH_BYTES];
    if (fd < 0 || fd >= DESCRIPTORS_MAX)
        return;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = 0;
    fail.concerns[fd] = (uint8_t)concern_of_path(path);
}

void concern_closed(int fd)
{
    if (fd >= 0 && fd < DESCRIPTORS_MAX)
        fail.concerns[fd] = CONCERN_NONE;
}

/* ---- which call fails ------------------------------------------------------------------------ */

int fail_decide(enum fail_kind kind, enum concern concern)
{
    const struct fail_plan *p = &fail.plan;
    if (!fail.armed || (kind == FAIL_ALLOC ? fail.paused : concern == CONCERN_NONE))
        return 0;
    uint64_t number = ++fail.counts[kind];
    if (kind != p->kind || number < p->call || (number > p->call && !p->forever))
        return 0;
    bool second = p->error == EINTR || p->error == FAIL_ONE;
    if (second && (number - p->call) % 2 != 0)
        return 0;
    fail.hits++;
    fail.hits_index += concern == CONCERN_INDEX;
    return p->error;
}

bool fail_refuses(enum fail_kind kind, enum concern concern)
{
    int error = fail_decide(kind, concern);
    if (error == 0)
        return false;
    errno = error > 0 ? error : EIO;
    return true;
}

bool fail_closes(int fd)
{
    enum concern concern = concern_of_descriptor(fd);
    struct stat facts;
    bool refused = concern != CONCERN_NONE && fail_refuses(FAIL_CLOSE, concern);
    concern_closed(fd);
    if (!refused)
        return false;
    pages_lost(fd);
    fail.hits_close +=
        concern == CONCERN_FOLDER && REAL(fstat)(fd, &facts) == 0 && S_ISREG(facts.st_mode);
    return true;
}

ssize_t fail_transfer(enum fail_kind kind, enum concern concern, size_t bytes)
{
    int error = fail_decide(kind, concern);
    if (error > 0) {
        errno = error;
        return -1;
    }
    if (error == FAIL_HALF)
        return (ssize_t)((bytes + 1) / 2);
    return error == FAIL_ONE && bytes > 0 ? 1 : (ssize_t)bytes;
}

/* ---- little room ----------------------------------------------------------------------------- */

ssize_t room_take(int fd, off_t offset, size_t bytes)
{
    struct stat facts;
    if (!fail.armed || !fail.plan.room || REAL(fstat)(fd, &facts) != 0)
        return (ssize_t)bytes;
    uint64_t end = (uint64_t)offset + bytes, old = (uint64_t)facts.st_size;
    uint64_t more = end > old ? end - old : 0;
    uint64_t left =
        fail.plan.room_bytes > fail.grown_bytes ? fail.plan.room_bytes - fail.grown_bytes : 0;
    uint64_t over = more > left ? more - left : 0;
    fail.hits += over > 0;
    if (over >= bytes && bytes > 0) {
        errno = ENOSPC;
        return -1;
    }
    fail.grown_bytes += more - over;
    return (ssize_t)(bytes - over);
}

bool room_told(uint64_t *left_bytes)
{
    if (!fail.armed || !fail.plan.room || fail.plan.room_untold)
        return false;
    *left_bytes =
        fail.plan.room_bytes > fail.grown_bytes ? fail.plan.room_bytes - fail.grown_bytes : 0;
    return true;
}
