#include "bench/engine_sync_posix.h"

#include <pthread.h>

#include "bench/machine_posix.h"
#include "engine/disk.h"

/* A table of functions has no room for an argument of ours, and a process of the benchmark has one
 * disk. */
static struct {
    pthread_mutex_t lock;
    int (*sync)(struct disk *d, struct disk_file *f);
    struct hist us;
} watched = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int timed_sync(struct disk *d, struct disk_file *f)
{
    uint64_t began = machine_now_us();
    int error = watched.sync(d, f);
    uint64_t took = machine_now_us() - began;
    pthread_mutex_lock(&watched.lock);
    hist_add(&watched.us, took);
    pthread_mutex_unlock(&watched.lock);
    return error;
}

void sync_watch(struct disk *d)
{
    hist_init(&watched.us);
    watched.sync = d->sync;
    d->sync = timed_sync;
}

void sync_take(struct hist *out)
{
    pthread_mutex_lock(&watched.lock);
    *out = watched.us;
    hist_init(&watched.us);
    pthread_mutex_unlock(&watched.lock);
}
