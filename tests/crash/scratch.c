#include "tests/crash/scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void scratch_make(const char *name, char path[SCRATCH_BYTES])
{
    const char *above = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(path, SCRATCH_BYTES, "%s/gtstore-%s.XXXXXX", above, name);
    if (!mkdtemp(path)) {
        perror(path);
        exit(1);
    }
}

static int below_remove(const char *path, const struct stat *facts, int type, struct FTW *at)
{
    (void)facts, (void)type;
    return at->level == 0 ? 0 : remove(path);
}

void scratch_empty(const char *path)
{
    nftw(path, below_remove, 8, FTW_DEPTH | FTW_PHYS);
}

void scratch_remove(const char *path)
{
    scratch_empty(path);
    rmdir(path);
}
