/*
 * RocksDB by its C interface.
 */
#include <rocksdb/c.h>
#include <stdlib.h>
#include <string.h>

#include "bench/peers/peer.h"

#define BLOOM_BITS        10
#define BLOCK_CACHE_BYTES (64u << 20) /* with two memory tables of 64 MiB: 192 MiB */

struct store {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *durable, *loading;
    rocksdb_readoptions_t *reading;
};

static void store_close(void *arg)
{
    struct store *s = arg;
    if (s->db)
        rocksdb_close(s->db);
    rocksdb_readoptions_destroy(s->reading);
    rocksdb_writeoptions_destroy(s->loading);
    rocksdb_writeoptions_destroy(s->durable);
    rocksdb_options_destroy(s->options);
    free(s);
}

static void *store_open(const char *folder, char **error)
{
    struct store *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_cache_t *cache = rocksdb_cache_create_lru(BLOCK_CACHE_BYTES);
    rocksdb_block_based_options_set_filter_policy(
        table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
    rocksdb_block_based_options_set_block_cache(table, cache);
    s->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(s->options, 1);
    rocksdb_options_set_compression(s->options, rocksdb_no_compression);
    rocksdb_options_set_block_based_table_factory(s->options, table);
    rocksdb_block_based_options_destroy(table);
    rocksdb_cache_destroy(cache);
    s->durable = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(s->durable, 1);
    s->loading = rocksdb_writeoptions_create();
    s->reading = rocksdb_readoptions_create();
    s->db = rocksdb_open(s->options, folder, error);
    if (s->db)
        return s;
    store_close(s);
    return NULL;
}

static bool put(void *thread, const void *key, size_t key_bytes, const void *value,
                size_t value_bytes, char **error)
{
    struct store *s = thread;
    rocksdb_put(s->db, s->durable, key, key_bytes, value, value_bytes, error);
    return !*error;
}

static bool get(void *thread, const void *key, size_t key_bytes, void *value, size_t bytes_max,
                size_t *value_bytes, char **error)
{
    struct store *s = thread;
    rocksdb_pinnableslice_t *found = rocksdb_get_pinned(s->db, s->reading, key, key_bytes, error);
    if (*error)
        return false;
    const char *bytes = found ? rocksdb_pinnableslice_value(found, value_bytes) : NULL;
    if (bytes)
        memcpy(value, bytes, *value_bytes < bytes_max ? *value_bytes : bytes_max);
    else
        *error = strdup("a key is absent");
    rocksdb_pinnableslice_destroy(found);
    return bytes != NULL;
}

static bool load(void *store, const void *keys, size_t key_bytes, const void *values,
                 size_t value_bytes, size_t count, char **error)
{
    struct store *s = store;
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    for (size_t i = 0; i < count; i++)
        rocksdb_writebatch_put(batch, (const char *)keys + i * key_bytes, key_bytes,
                               (const char *)values + i * value_bytes, value_bytes);
    rocksdb_write(s->db, s->loading, batch, error);
    rocksdb_writebatch_destroy(batch);
    return !*error;
}

int main(int argc, char **argv)
{
    static const struct peer peer = {
        .name = "rocksdb",
        .version = "",
        .setting = "Defaults, but: no compression, since values cannot be compressed; a filter of "
                   "10 bits a key; a block cache of 64 MiB. A put is durable by WriteOptions.sync.",
        .open = store_open,
        .close = store_close,
        .put = put,
        .get = get,
        .load = load};
    return peer_main(&peer, argc, argv);
}
