/*
 * The hash of a key: XXH64 with seed 0 over the key's bytes. It decides the key's partition, so it
 * is part of the formats on disk and on the wire.
 */
#ifndef GT_ENGINE_BASE_HASH_H
#define GT_ENGINE_BASE_HASH_H

#include "engine/base/blob.h"

uint64_t hash_bytes(struct slice s);

/* The partition of a hash among `partitions` equal arcs: floor(hash * partitions / 2^64). */
static inline uint32_t hash_partition(uint64_t hash, uint32_t partitions)
{
    return (uint32_t)(((unsigned __int128)hash * partitions) >> 64);
}

#endif
