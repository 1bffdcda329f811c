#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/prng.h"
#include "tests/crash/recording.h"
#include "tests/crash/scratch.h"

#define LOCK_BYTES 8192u

static bool file_put(const char *path, const uint8_t *data, size_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool done = fd >= 0;
    for (size_t at = 0; done && at < bytes;) {
        ssize_t n = write(fd, data + at, bytes - at);
        done = n > 0;
        at += done ? (size_t)n : 0;
    }
    if (fd >= 0)
        close(fd);
    return done;
}

/* Absent, full of zeros or of garbage, when its folder is there. */
static bool lock_put(const char *folder, const char *name, struct prng *prng)
{
    uint8_t bytes[LOCK_BYTES] = {0};
    char path[TRACE_PATH_BYTES * 2];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    uint64_t way = prng_below(prng, 3);
    if (way == 0)
        return true;
    if (way == 1)
        prng_fill(prng, bytes, sizeof(bytes));
    return file_put(path, bytes, sizeof(bytes)) || errno == ENOENT;
}

bool image_place(const struct image *image, const char *folder, uint64_t seed)
{
    struct prng prng;
    prng_init(&prng, seed);
    scratch_remove(folder);
    bool done = mkdir(folder, 0700) == 0;
    for (size_t i = 0; done && i < image->count; i++) {
        const struct image_file *f = &image->files[i];
        char path[TRACE_PATH_BYTES * 2];
        snprintf(path, sizeof(path), "%s/%s", folder, f->path);
        done = f->data ? file_put(path, f->data, f->bytes) : mkdir(path, 0700) == 0;
    }
    done = done && lock_put(folder, DATA_FOLDER "/node.lock", &prng) &&
           lock_put(folder, DATA_FOLDER "/index/lock.mdb", &prng);
    if (!done)
        fprintf(stderr, "cannot write a state to %s: %s\n", folder, strerror(errno));
    return done;
}
