/*
 * A bare log for threads that block: what group commit costs at the least where each writer is a
 * thread, as in RocksDB and LevelDB. The file and its batches are those of wal-floor
 * (bench/floor_posix.h). A writer adds its record to the forming batch and waits; whoever finds
 * nobody writing writes what has gathered, while the next batch gathers. There is nothing to get.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/peers/peer.h"
#include "engine/base/buf.h"
#include "engine/base/crc.h"

#define FILE_BYTES      (64u << 20)
#define BLOCK_BYTES     4096u
#define HEADER_BYTES    64u
#define FRAME_BYTES     8u          /* of a record: u32 its bytes, u32 CRC32C */
#define BATCH_BYTES_MAX (32u << 20) /* of all writers there can be, or the value is too large */

struct batch {
    uint8_t *bytes;
    size_t used;
};

struct store {
    int fd;
    uint64_t offset; /* of whoever writes */
    pthread_mutex_t lock;
    pthread_cond_t durable; /* a batch is */
    struct batch batches[2];
    uint64_t forming, done; /* numbers of the batch that gathers, and of the newest durable one */
    bool writing;
    int error;
};

static bool write_whole(int fd, const uint8_t *data, size_t bytes, uint64_t offset)
{
    while (bytes > 0) {
        ssize_t n = pwrite(fd, data, bytes, (off_t)offset);
        if (n < 0 && errno != EINTR)
            return false;
        if (n <= 0)
            continue;
        data += n;
        bytes -= (size_t)n;
        offset += (uint64_t)n;
    }
    return true;
}

/* Writes the batch durably; 0 or errno. Nobody else writes meanwhile. */
static int batch_write(struct store *s, struct batch *b, uint64_t number)
{
    size_t padded = (b->used + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
    memset(b->bytes + b->used, 0, padded - b->used);
    le64_put(b->bytes, number);
    if (s->offset + padded > FILE_BYTES)
        s->offset = 0;
    if (!write_whole(s->fd, b->bytes, padded, s->offset) || fdatasync(s->fd) != 0)
        return errno;
    s->offset += padded;
    return 0;
}

/* With the lock held, which is given up meanwhile. */
static void lead(struct store *s)
{
    uint64_t number = s->forming++;
    struct batch *b = &s->batches[number & 1];
    s->batches[s->forming & 1].used = HEADER_BYTES;
    s->writing = true;
    pthread_mutex_unlock(&s->lock);
    int error = batch_write(s, b, number);
    pthread_mutex_lock(&s->lock);
    s->writing = false;
    s->done = number;
    s->error = s->error ? s->error : error;
    pthread_cond_broadcast(&s->durable);
}

static bool put(void *thread, const void *key, size_t key_bytes, const void *value,
                size_t value_bytes, char **error)
{
    struct store *s = thread;
    pthread_mutex_lock(&s->lock);
    struct batch *b = &s->batches[s->forming & 1];
    uint64_t number = s->forming;
    uint8_t *at = b->bytes + b->used, *pair = at + FRAME_BYTES;
    int failed = b->used + FRAME_BYTES + key_bytes + value_bytes > BATCH_BYTES_MAX ? EFBIG : 0;
    if (!failed) {
        memcpy(pair, key, key_bytes);
        memcpy(pair + key_bytes, value, value_bytes);
        le32_put(at, (uint32_t)(key_bytes + value_bytes));
        le32_put(at + 4, crc_update(0, pair, key_bytes + value_bytes));
        b->used += FRAME_BYTES + key_bytes + value_bytes;
    }
    while (!failed && s->done < number && !s->error) {
        if (s->writing)
            pthread_cond_wait(&s->durable, &s->lock);
        else
            lead(s);
    }
    failed = failed ? failed : s->error;
    pthread_mutex_unlock(&s->lock);
    if (failed)
        *error = strdup(strerror(failed));
    return failed == 0;
}

static bool get(void *thread, const void *key, size_t key_bytes, void *value, size_t bytes_max,
                size_t *value_bytes, char **error)
{
    (void)thread, (void)key, (void)key_bytes, (void)value, (void)bytes_max, (void)value_bytes;
    *error = strdup("a bare log has no index: nothing can be read");
    return false;
}

static bool load(void *store, const void *keys, size_t key_bytes, const void *values,
                 size_t value_bytes, size_t count, char **error)
{
    (void)store, (void)keys, (void)key_bytes, (void)values, (void)value_bytes, (void)count;
    (void)error;
    return true; /* what was loaded would be found in no index */
}

static void store_close(void *arg)
{
    struct store *s = arg;
    if (s->fd >= 0)
        close(s->fd);
    free(s->batches[0].bytes);
    free(s->batches[1].bytes);
    free(s);
}

/* Every block is written once, so that what follows overwrites it. */
static bool file_make(struct store *s, const char *folder)
{
    static const uint8_t zeros[1u << 20];
    char path[4096];
    errno = ENAMETOOLONG;
    if ((size_t)snprintf(path, sizeof(path), "%s/floor.log", folder) >= sizeof(path))
        return false;
    s->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = s->fd >= 0;
    for (uint64_t at = 0; at < FILE_BYTES && good; at += sizeof(zeros))
        good = write_whole(s->fd, zeros, sizeof(zeros), at);
    return good && fsync(s->fd) == 0;
}

static void *store_open(const char *folder, char **error)
{
    struct store *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->fd = -1;
    s->forming = 1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->durable, NULL);
    for (int i = 0; i < 2; i++) {
        s->batches[i].bytes = malloc(BATCH_BYTES_MAX + BLOCK_BYTES);
        s->batches[i].used = HEADER_BYTES;
    }
    if (s->batches[0].bytes && s->batches[1].bytes && file_make(s, folder))
        return s;
    *error = strdup(strerror(errno));
    store_close(s);
    return NULL;
}

int main(int argc, char **argv)
{
    static const struct peer peer = {.name = "log",
                                     .version = "",
                                     .setting = "A bare log: puts alone, one write and one "
                                                "fdatasync for all threads that wait.",
                                     .open = store_open,
                                     .close = store_close,
                                     .put = put,
                                     .get = get,
                                     .load = load};
    return peer_main(&peer, argc, argv);
}
