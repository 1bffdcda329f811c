#include "bench/floor_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/local.h"
#include "bench/machine_posix.h"
#include "engine/base/buf.h"
#include "engine/base/crc.h"
#include "engine/base/program.h"

#define FILE_BYTES   (64u << 20)
#define BLOCK_BYTES  4096u
#define HEADER_BYTES 64u
#define FRAME_BYTES  8u /* of a record: u32 its bytes, u32 CRC32C */
#define TICK_US      100000u

enum lane_state { LANE_IDLE, LANE_BUSY, LANE_DONE, LANE_STOP };

struct floor {
    const struct flags *flags;
    struct local local;
    struct prng prng;
    struct hist sync_us;
    int fd;
    uint64_t offset, batches, batch_records, log_bytes, left, *sent_us;
    uint8_t *batch;
    size_t bytes, capacity;
    uint32_t in_flight;
    /* Of the log thread; the batch belongs to it while the lane is busy. */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum lane_state lane;
    int error; /* errno of the log thread */
};

/* ---- the log thread -------------------------------------------------------------------------- */

static int write_whole(int fd, const uint8_t *data, size_t bytes, uint64_t offset)
{
    while (bytes > 0) {
        ssize_t n = pwrite(fd, data, bytes, (off_t)offset);
        if (n < 0 && errno != EINTR)
            return errno;
        if (n <= 0)
            continue;
        data += n;
        bytes -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

static int batch_write(struct floor *f)
{
    int error = write_whole(f->fd, f->batch, f->bytes, f->offset);
    uint64_t began = machine_now_us();
    if (!error && fdatasync(f->fd) != 0)
        error = errno;
    hist_add(&f->sync_us, machine_now_us() - began);
    return error;
}

static void *log_run(void *arg)
{
    struct floor *f = arg;
    pthread_setname_np(pthread_self(), "log");
    pthread_mutex_lock(&f->lock);
    while (f->lane != LANE_STOP) {
        if (f->lane != LANE_BUSY) {
            pthread_cond_wait(&f->changed, &f->lock);
            continue;
        }
        pthread_mutex_unlock(&f->lock);
        int error = batch_write(f);
        pthread_mutex_lock(&f->lock);
        f->error = error;
        f->lane = LANE_DONE;
        pthread_cond_broadcast(&f->changed);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static void lane_set(struct floor *f, enum lane_state lane)
{
    pthread_mutex_lock(&f->lock);
    f->lane = lane;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

/* Waits until the batch is durable. */
static int lane_wait(struct floor *f)
{
    pthread_mutex_lock(&f->lock);
    while (f->lane != LANE_DONE)
        pthread_cond_wait(&f->changed, &f->lock);
    f->lane = LANE_IDLE;
    int error = f->error;
    pthread_mutex_unlock(&f->lock);
    return error;
}

/* ---- the loop thread ------------------------------------------------------------------------- */

static void record_add(struct floor *f)
{
    uint64_t number = prng_below(&f->prng, f->flags->keys);
    uint8_t *at = f->batch + f->bytes, *pair = at + FRAME_BYTES;
    uint32_t pair_bytes = DATA_KEY_BYTES + (uint32_t)f->flags->value_bytes;
    data_key(number, pair);
    data_value(&f->local.data, number, prng_next(&f->prng), pair + DATA_KEY_BYTES);
    le32_put(at, pair_bytes);
    le32_put(at + 4, crc_update(0, pair, pair_bytes));
    f->bytes += FRAME_BYTES + pair_bytes;
}

/* A batch of all writers, padded, and its place in the file. */
static void batch_end(struct floor *f)
{
    size_t padded = (f->bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
    memset(f->batch + f->bytes, 0, padded - f->bytes);
    f->bytes = padded;
    le64_put(f->batch, ++f->batches);
    if (f->offset + f->bytes > FILE_BYTES)
        f->offset = 0;
}

static void batch_begin(struct floor *f, uint64_t now)
{
    f->bytes = HEADER_BYTES;
    f->in_flight = 0;
    for (uint32_t i = 0; i < f->flags->clients && f->left > 0; i++, f->left--) {
        record_add(f);
        f->sent_us[f->in_flight++] = now;
    }
    batch_end(f);
}

static int batch_run(struct floor *f)
{
    lane_set(f, LANE_BUSY);
    int error = lane_wait(f);
    uint64_t now = machine_now_us();
    for (uint32_t i = 0; i < f->in_flight && !error; i++)
        hist_add(&f->local.report.second[WORKLOAD_VERB_PUT].latency_us, now - f->sent_us[i]);
    f->offset += f->bytes;
    f->batch_records += f->in_flight;
    f->log_bytes += f->bytes;
    return error;
}

static int puts_run(struct floor *f)
{
    uint64_t now = machine_now_us(), tick_us = now;
    int error = 0;
    while (!error && f->left > 0 && now < f->local.end_us) {
        batch_begin(f, now);
        error = batch_run(f);
        now = machine_now_us();
        if (now < tick_us)
            continue;
        tick_us = now + TICK_US;
        if (local_tick(&f->local, now))
            local_second(&f->local, now);
    }
    return error;
}

/* ---- opening and closing --------------------------------------------------------------------- */

/* Every block is written once, so that what follows overwrites it. */
static int file_make(struct floor *f, const char *folder)
{
    static const uint8_t zeros[1u << 20];
    char path[4096];
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return errno;
    if ((size_t)snprintf(path, sizeof(path), "%s/floor.log", folder) >= sizeof(path))
        return ENAMETOOLONG;
    f->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int error = f->fd < 0 ? errno : 0;
    for (uint64_t at = 0; at < FILE_BYTES && !error; at += sizeof(zeros))
        error = write_whole(f->fd, zeros, sizeof(zeros), at);
    if (!error && fsync(f->fd) != 0)
        error = errno;
    return error;
}

static int memory_make(struct floor *f)
{
    f->capacity =
        HEADER_BYTES + BLOCK_BYTES +
        f->flags->clients * (FRAME_BYTES + DATA_KEY_BYTES + (size_t)f->flags->value_bytes);
    f->batch = malloc(f->capacity);
    f->sent_us = calloc(f->flags->clients, sizeof(*f->sent_us));
    return !f->batch || !f->sent_us ? ENOMEM : f->capacity > FILE_BYTES ? EFBIG : 0;
}

static void figures(struct floor *f)
{
    struct local *l = &f->local;
    local_figure(l, "batches", (double)f->batches);
    local_figure(l, "batch_records", (double)f->batch_records);
    local_figure(l, "log_bytes", (double)f->log_bytes);
    local_figures_of(l, "sync", &f->sync_us);
    local_figures_of(l, "put", &l->report.total[WORKLOAD_VERB_PUT].latency_us);
}

static int floor_measure(struct floor *f)
{
    int error = pthread_create(&f->thread, NULL, log_run, f);
    if (error)
        return error;
    local_begin(&f->local);
    error = puts_run(f);
    local_end(&f->local, machine_now_us());
    figures(f);
    lane_set(f, LANE_STOP);
    pthread_join(f->thread, NULL);
    return error;
}

int floor_run(const struct flags *flags, const struct local_flags *local)
{
    struct floor *f = calloc(1, sizeof(*f));
    if (!f)
        program_die(1, "out of memory");
    f->flags = flags;
    f->fd = -1;
    f->left = flags->ops ? flags->ops : UINT64_MAX;
    prng_init(&f->prng, flags->seed);
    hist_init(&f->sync_us);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    int code = 1;
    if (local_open(&f->local, flags, local) == 0) {
        int error = memory_make(f);
        if (!error)
            error = file_make(f, local->folder);
        if (!error)
            error = floor_measure(f);
        if (error)
            program_say("data folder %s: %s", local->folder, strerror(error));
        code = local_close(&f->local);
        code = error ? 1 : code;
    }
    if (f->fd >= 0)
        close(f->fd);
    free(f->batch);
    free(f->sent_us);
    free(f);
    return code;
}
