/*
 * Keys and values of a run on a store in this process. Pure.
 *
 * A key is 16 hexadecimal digits that look random: keys loaded one after the other lie scattered in
 * the order of any store. A value is cheap to make, and no compressor shrinks it: its first twelve
 * bytes say whose it is and where in a run of random bytes the rest was taken from, so that
 * whoever reads it back can tell that it is whole.
 */
#ifndef GT_BENCH_DATA_H
#define GT_BENCH_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/prng.h"

#define DATA_KEY_BYTES 16u
#define DATA_HEAD_BYTES                                                                            \
    12u /* u64 number of the key, u32 offset; a shorter value has less of it                       \
         */

struct data {
    uint8_t *noise; /* DATA_RANDOM_BYTES and a value more */
    size_t value_bytes;
};
#define DATA_RANDOM_BYTES (1u << 20)

/* False when out of memory. The bytes are the same in every process, so that a later run on the
 * same folder knows what it reads. */
bool data_init(struct data *d, size_t value_bytes);
void data_close(struct data *d);
/* The key of this number; different numbers have different keys. */
void data_key(uint64_t number, uint8_t key[DATA_KEY_BYTES]);
/* value_bytes bytes for the key, by a draw that makes them differ from the last ones. */
void data_value(const struct data *d, uint64_t number, uint64_t draw, uint8_t *value);
/* Whether these bytes are one of the values that the key was given. */
bool data_right(const struct data *d, uint64_t number, const uint8_t *value, size_t bytes);

#endif
