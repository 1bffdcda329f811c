#include "bench/data.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/buf.h"

bool data_init(struct data *d, size_t value_bytes)
{
    struct prng prng;
    d->value_bytes = value_bytes;
    d->noise = malloc(DATA_RANDOM_BYTES + value_bytes);
    if (!d->noise)
        return false;
    prng_init(&prng, 1);
    prng_fill(&prng, d->noise, DATA_RANDOM_BYTES + value_bytes);
    return true;
}

void data_close(struct data *d)
{
    free(d->noise);
    d->noise = NULL;
}

/* Mixes the number so that no two meet: each step can be undone. */
static uint64_t scatter(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

void data_key(uint64_t number, uint8_t key[DATA_KEY_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t x = scatter(number + 1);
    for (uint32_t i = 0; i < DATA_KEY_BYTES; i++, x >>= 4)
        key[i] = (uint8_t)digits[x & 15];
}

static void head(uint64_t number, uint32_t offset, uint8_t bytes[DATA_HEAD_BYTES])
{
    le64_put(bytes, number);
    le32_put(bytes + 8, offset);
}

void data_value(const struct data *d, uint64_t number, uint64_t draw, uint8_t *value)
{
    uint8_t first[DATA_HEAD_BYTES];
    uint32_t offset = (uint32_t)(draw % DATA_RANDOM_BYTES);
    size_t head_bytes = d->value_bytes < DATA_HEAD_BYTES ? d->value_bytes : DATA_HEAD_BYTES;
    head(number, offset, first);
    memcpy(value, first, head_bytes);
    memcpy(value + head_bytes, d->noise + offset, d->value_bytes - head_bytes);
}

bool data_right(const struct data *d, uint64_t number, const uint8_t *value, size_t bytes)
{
    uint8_t first[DATA_HEAD_BYTES];
    if (bytes != d->value_bytes)
        return false;
    if (bytes < DATA_HEAD_BYTES) {
        head(number, 0, first);
        return memcmp(value, first, bytes < 8 ? bytes : 8) == 0;
    }
    uint32_t offset = le32_get(value + 8);
    if (le64_get(value) != number || offset >= DATA_RANDOM_BYTES)
        return false;
    return memcmp(value + DATA_HEAD_BYTES, d->noise + offset, bytes - DATA_HEAD_BYTES) == 0;
}
