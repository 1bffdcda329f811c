/*
 * Another store, driven as gtstore-bench --engine drives ours: the same flags, keys, values and
 * CSV. Each peer's file fills the table below and calls peer_main; its client threads block in put
 * and get, since that is how these stores are made to be used, and how they gather writers for one
 * sync.
 */
#ifndef GT_BENCH_PEERS_PEER_H
#define GT_BENCH_PEERS_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer {
    const char *name, *version;
    /* One line: what differs from the store's defaults, and what makes a put durable. */
    const char *setting;
    /* The store, or NULL with the cause in *error, to be freed. Makes the folder's content. */
    void *(*open)(const char *folder, char **error);
    void (*close)(void *store);
    /* What one thread needs; NULL when out of memory. Both calls NULL: the store itself. */
    void *(*thread_begin)(void *store);
    void (*thread_end)(void *thread);
    /* Durable when it returns true. False with the cause in *error, to be freed. */
    bool (*put)(void *thread, const void *key, size_t key_bytes, const void *value,
                size_t value_bytes, char **error);
    /* Copies the value to `value` and says how long it is; at most bytes_max are copied. False
     * with the cause in *error (absent is one). */
    bool (*get)(void *thread, const void *key, size_t key_bytes, void *value, size_t bytes_max,
                size_t *value_bytes, char **error);
    /* A run of pairs of the load, which need not be durable. */
    bool (*load)(void *store, const void *keys, size_t key_bytes, const void *values,
                 size_t value_bytes, size_t count, char **error);
};

/* A main: reads the flags, runs, and returns the exit code. */
int peer_main(const struct peer *peer, int argc, char **argv);

#endif
