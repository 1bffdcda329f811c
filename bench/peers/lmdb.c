/*
 * LMDB alone: a put is a transaction, synced; a get renews the read transaction of its thread.
 */
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

#include "bench/peers/peer.h"

#define MAP_BYTES   ((size_t)1 << 40)
#define READERS_MAX 1100

struct store {
    MDB_env *env;
    MDB_dbi table;
};

struct thread {
    struct store *store;
    MDB_txn *reading; /* reset between two gets; NULL: none was made */
};

static bool said(int code, char **error)
{
    if (code)
        *error = strdup(mdb_strerror(code));
    return code == 0;
}

static int table_open(struct store *s)
{
    MDB_txn *txn;
    int code = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (code)
        return code;
    code = mdb_dbi_open(txn, NULL, 0, &s->table);
    if (!code)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return code;
}

static void *store_open(const char *folder, char **error)
{
    struct store *s = calloc(1, sizeof(*s));
    int code = s ? mdb_env_create(&s->env) : MDB_PANIC;
    if (!code)
        code = mdb_env_set_mapsize(s->env, MAP_BYTES);
    if (!code)
        code = mdb_env_set_maxreaders(s->env, READERS_MAX);
    if (!code)
        code = mdb_env_open(s->env, folder, MDB_NOTLS, 0600);
    if (!code)
        code = table_open(s);
    if (said(code, error))
        return s;
    if (s && s->env)
        mdb_env_close(s->env);
    free(s);
    return NULL;
}

static void store_close(void *arg)
{
    struct store *s = arg;
    mdb_env_close(s->env);
    free(s);
}

static void *thread_begin(void *store)
{
    struct thread *t = calloc(1, sizeof(*t));
    if (t)
        t->store = store;
    return t;
}

static void thread_end(void *arg)
{
    struct thread *t = arg;
    if (t->reading)
        mdb_txn_abort(t->reading);
    free(t);
}

static bool put(void *thread, const void *key, size_t key_bytes, const void *value,
                size_t value_bytes, char **error)
{
    const struct store *s = ((struct thread *)thread)->store;
    MDB_val k = {key_bytes, (void *)key}, v = {value_bytes, (void *)value};
    MDB_txn *txn;
    int code = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (code)
        return said(code, error);
    code = mdb_put(txn, s->table, &k, &v, 0);
    if (!code)
        return said(mdb_txn_commit(txn), error);
    mdb_txn_abort(txn);
    return said(code, error);
}

static bool get(void *thread, const void *key, size_t key_bytes, void *value, size_t bytes_max,
                size_t *value_bytes, char **error)
{
    struct thread *t = thread;
    MDB_val k = {key_bytes, (void *)key}, v = {0};
    int code = t->reading ? mdb_txn_renew(t->reading)
                          : mdb_txn_begin(t->store->env, NULL, MDB_RDONLY, &t->reading);
    if (code)
        return said(code, error);
    code = mdb_get(t->reading, t->store->table, &k, &v);
    if (!code)
        memcpy(value, v.mv_data, v.mv_size < bytes_max ? v.mv_size : bytes_max);
    *value_bytes = v.mv_size;
    mdb_txn_reset(t->reading);
    return said(code, error);
}

static bool load(void *store, const void *keys, size_t key_bytes, const void *values,
                 size_t value_bytes, size_t count, char **error)
{
    const struct store *s = store;
    MDB_txn *txn;
    int code = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (code)
        return said(code, error);
    for (size_t i = 0; i < count && !code; i++) {
        MDB_val k = {key_bytes, (uint8_t *)keys + i * key_bytes};
        MDB_val v = {value_bytes, (uint8_t *)values + i * value_bytes};
        code = mdb_put(txn, s->table, &k, &v, 0);
    }
    if (!code)
        return said(mdb_txn_commit(txn), error);
    mdb_txn_abort(txn);
    return said(code, error);
}

int main(int argc, char **argv)
{
    static const struct peer peer = {
        .name = "lmdb",
        .version = MDB_VERSION_STRING,
        .setting = "Default flags, and MDB_NOTLS, which changes nothing of what is written. A put "
                   "is a transaction of its own; the load takes a thousand pairs in each.",
        .open = store_open,
        .close = store_close,
        .thread_begin = thread_begin,
        .thread_end = thread_end,
        .put = put,
        .get = get,
        .load = load};
    return peer_main(&peer, argc, argv);
}
