/*
 * A seeded pseudo-random generator (xoshiro256**, seeded by splitmix64; Blackman and Vigna 2018).
 * Not for secrets. The same seed gives the same numbers on every build.
 */
#ifndef GT_ENGINE_BASE_PRNG_H
#define GT_ENGINE_BASE_PRNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prng {
    uint64_t s[4];
};

void prng_init(struct prng *p, uint64_t seed);
uint64_t prng_next(struct prng *p);
/* Uniform in 0 .. bound-1; bound > 0. */
uint64_t prng_below(struct prng *p, uint64_t bound);
/* Uniform in [0, 1). */
double prng_unit(struct prng *p);
void prng_fill(struct prng *p, void *data, size_t bytes);

#endif
