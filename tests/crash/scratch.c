#include "tests/crash/scratch.h"

#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define TMPFS_TYPE 0x01021994

void scratch_make(const char *name, char path[SCRATCH_BYTES])
{
    struct statfs facts;
    char made[PATH_MAX], real[PATH_MAX];
    const char *wanted = getenv("TMPDIR");
    bool memory = statfs("/dev/shm", &facts) == 0 && facts.f_type == TMPFS_TYPE &&
                  access("/dev/shm", W_OK) == 0;
    snprintf(made, sizeof(made), "%s/gtstore-%s.XXXXXX",
             wanted   ? wanted
             : memory ? "/dev/shm"
                      : "/tmp",
             name);
    if (!mkdtemp(made) || !realpath(made, real) || strlen(real) >= SCRATCH_BYTES) {
        fprintf(stderr, "cannot make a scratch folder %s\n", made);
        exit(1);
    }
    strcpy(path, real);
}

static int below_remove(const char *path, const struct stat *facts, int type, struct FTW *at)
{
    (void)facts, (void)type;
    return at->level == 0 ? 0 : remove(path);
}

void scratch_empty(const char *path)
{
    nftw(path, below_remove, 16, FTW_DEPTH | FTW_PHYS);
}

void scratch_remove(const char *path)
{
    scratch_empty(path);
    rmdir(path);
}
