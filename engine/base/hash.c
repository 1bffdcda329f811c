#include "engine/base/hash.h"

#include <xxhash.h>

uint64_t hash_bytes(struct slice s)
{
    return XXH64(s.data, s.bytes, 0);
}
