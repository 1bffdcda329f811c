/*
 * The names that a failed sync of their folder would lose: of each file that was made or renamed
 * since the last good sync, what it was called before.
 *
 *   made, renamed --> FRESH --sync of the folder, 0-----> forgotten
 *                           '--sync of the folder, error--> LOST --fail_lose: called as before, or
 *                                                                  gone
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crash/fail_private.h"

#define NAMES_MAX  256u
#define PATH_BYTES 400

enum name_state { NAME_FREE, NAME_FRESH, NAME_LOST };

struct name {
    enum name_state state;
    dev_t device; /* of the folder */
    ino_t folder, file;
    char before[PATH_BYTES], now[PATH_BYTES]; /* before: empty when it was made */
};

static struct name names[NAMES_MAX]; /* oldest first */
static uint32_t name_count;

void names_forget_all(void)
{
    name_count = 0;
}

/* The whole path of a name in an open folder. */
static void path_at(int folder, const char *path, char whole[PATH_BYTES])
{
    char link[40];
    ssize_t n = 0;
    if (path[0] != '/' && folder != AT_FDCWD) {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", folder);
        n = readlink(link, whole, PATH_BYTES / 2);
        n = n > 0 ? n : 0;
        whole[n++] = '/';
    }
    snprintf(whole + n, PATH_BYTES - (size_t)n, "%s", path);
}

static bool folder_of(const char *path, struct stat *facts)
{
    char above[PATH_BYTES];
    snprintf(above, sizeof(above), "%s", path);
    char *slash = strrchr(above, '/');
    if (!slash)
        return false;
    *slash = 0;
    return REAL(stat)(above, facts) == 0;
}

static void name_keep(const char *before, const char *now)
{
    struct stat folder, file;
    while (name_count > 0 && names[name_count - 1].state == NAME_FREE)
        name_count--;
    if (!folder_of(now, &folder) || REAL(stat)(now, &file) != 0)
        return;
    if (name_count == NAMES_MAX) {
        static const char line[] = "fail: more names between two syncs than are kept\n";
        (void)!REAL(write)(STDERR_FILENO, line, sizeof(line) - 1);
        _exit(2);
    }
    struct name *n = &names[name_count++];
    *n = (struct name){
        .state = NAME_FRESH, .device = folder.st_dev, .folder = folder.st_ino, .file = file.st_ino};
    snprintf(n->before, sizeof(n->before), "%s", before);
    snprintf(n->now, sizeof(n->now), "%s", now);
}

void names_made(int folder, const char *path)
{
    char whole[PATH_BYTES];
    path_at(folder, path, whole);
    name_keep("", whole);
}

void names_renamed(int from_folder, const char *from, int to_folder, const char *to)
{
    char before[PATH_BYTES], now[PATH_BYTES];
    path_at(from_folder, from, before);
    path_at(to_folder, to, now);
    name_keep(before, now);
}

void names_synced(int folder, bool lost)
{
    struct stat facts;
    if (REAL(fstat)(folder, &facts) != 0 || !S_ISDIR(facts.st_mode))
        return;
    for (uint32_t i = 0; i < name_count; i++)
        if (names[i].state == NAME_FRESH && names[i].device == facts.st_dev &&
            names[i].folder == facts.st_ino)
            names[i].state = lost ? NAME_LOST : NAME_FREE;
}

uint32_t names_lose(void)
{
    uint32_t undone = 0;
    struct stat facts;
    for (uint32_t i = name_count; i-- > 0;) {
        const struct name *n = &names[i];
        if (n->state != NAME_LOST || REAL(stat)(n->now, &facts) != 0 || facts.st_ino != n->file)
            continue;
        undone += (n->before[0] ? REAL(rename)(n->now, n->before) : REAL(unlink)(n->now)) == 0;
    }
    name_count = 0;
    return undone;
}
