#include "engine/base/prng.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/buf.h"

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void prng_init(struct prng *p, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        p->s[i] = splitmix(&seed);
}

static uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

uint64_t prng_next(struct prng *p)
{
    uint64_t *s = p->s, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *p, uint64_t bound)
{
    gt_assert(bound > 0);
    /* Rejects the numbers that would favour the low results. */
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound, v;
    do
        v = prng_next(p);
    while (v >= limit);
    return v % bound;
}

double prng_unit(struct prng *p)
{
    return (double)(prng_next(p) >> 11) * 0x1.0p-53;
}

void prng_fill(struct prng *p, void *data, size_t bytes)
{
    uint8_t *at = data;
    while (bytes > 0) {
        uint8_t raw[8];
        size_t part = bytes < sizeof(raw) ? bytes : sizeof(raw);
        le64_put(raw, prng_next(p));
        memcpy(at, raw, part);
        at += part;
        bytes -= part;
    }
}
