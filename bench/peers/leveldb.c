/*
 * LevelDB by its C interface.
 */
#include <leveldb/c.h>
#include <stdlib.h>
#include <string.h>

#include "bench/peers/peer.h"

#define BLOOM_BITS        10
#define BLOCK_CACHE_BYTES (64u << 20)
#define WRITE_BYTES       (64u << 20) /* as RocksDB's; the default of 4 MiB compacts all the time */

struct store {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_filterpolicy_t *filter;
    leveldb_cache_t *cache;
    leveldb_writeoptions_t *durable, *loading;
    leveldb_readoptions_t *reading;
};

static void store_close(void *arg)
{
    struct store *s = arg;
    if (s->db)
        leveldb_close(s->db);
    leveldb_readoptions_destroy(s->reading);
    leveldb_writeoptions_destroy(s->loading);
    leveldb_writeoptions_destroy(s->durable);
    leveldb_options_destroy(s->options);
    leveldb_filterpolicy_destroy(s->filter);
    leveldb_cache_destroy(s->cache);
    free(s);
}

static void *store_open(const char *folder, char **error)
{
    struct store *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->filter = leveldb_filterpolicy_create_bloom(BLOOM_BITS);
    s->cache = leveldb_cache_create_lru(BLOCK_CACHE_BYTES);
    s->options = leveldb_options_create();
    leveldb_options_set_create_if_missing(s->options, 1);
    leveldb_options_set_compression(s->options, leveldb_no_compression);
    leveldb_options_set_filter_policy(s->options, s->filter);
    leveldb_options_set_cache(s->options, s->cache);
    leveldb_options_set_write_buffer_size(s->options, WRITE_BYTES);
    s->durable = leveldb_writeoptions_create();
    leveldb_writeoptions_set_sync(s->durable, 1);
    s->loading = leveldb_writeoptions_create();
    s->reading = leveldb_readoptions_create();
    s->db = leveldb_open(s->options, folder, error);
    if (s->db)
        return s;
    store_close(s);
    return NULL;
}

static bool put(void *thread, const void *key, size_t key_bytes, const void *value,
                size_t value_bytes, char **error)
{
    struct store *s = thread;
    leveldb_put(s->db, s->durable, key, key_bytes, value, value_bytes, error);
    return !*error;
}

static bool get(void *thread, const void *key, size_t key_bytes, void *value, size_t bytes_max,
                size_t *value_bytes, char **error)
{
    struct store *s = thread;
    char *found = leveldb_get(s->db, s->reading, key, key_bytes, value_bytes, error);
    if (*error)
        return false;
    if (found)
        memcpy(value, found, *value_bytes < bytes_max ? *value_bytes : bytes_max);
    else
        *error = strdup("a key is absent");
    leveldb_free(found);
    return found != NULL;
}

static bool load(void *store, const void *keys, size_t key_bytes, const void *values,
                 size_t value_bytes, size_t count, char **error)
{
    struct store *s = store;
    leveldb_writebatch_t *batch = leveldb_writebatch_create();
    for (size_t i = 0; i < count; i++)
        leveldb_writebatch_put(batch, (const char *)keys + i * key_bytes, key_bytes,
                               (const char *)values + i * value_bytes, value_bytes);
    leveldb_write(s->db, s->loading, batch, error);
    leveldb_writebatch_destroy(batch);
    return !*error;
}

int main(int argc, char **argv)
{
    static const struct peer peer = {
        .name = "leveldb",
        .version = "",
        .setting = "Defaults, but: no compression, since values cannot be compressed; a filter of "
                   "10 bits a key; a block cache and a write buffer of 64 MiB each. A put is "
                   "durable by WriteOptions.sync.",
        .open = store_open,
        .close = store_close,
        .put = put,
        .get = get,
        .load = load};
    return peer_main(&peer, argc, argv);
}
