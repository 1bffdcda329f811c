/*
 * A log-linear histogram of latencies: 64 equal buckets in each power of two, so that any recorded
 * value is off by less than 1/64 (1.6 %); values below 64 are exact. Fixed memory, no allocation.
 */
#ifndef GT_ENGINE_BASE_HIST_H
#define GT_ENGINE_BASE_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS 6
#define HIST_BUCKETS ((64 - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

struct hist {
    uint64_t count, sum, max, min;
    uint32_t buckets[HIST_BUCKETS];
};

void hist_init(struct hist *h);
void hist_add(struct hist *h, uint64_t value);
/* Adds all that `from` holds. */
void hist_merge(struct hist *h, const struct hist *from);
/* The smallest recorded value v such that at least share (0..1] of the values are <= v, to the
 * upper edge of its bucket but never above the maximum; 0 when empty. */
uint64_t hist_quantile(const struct hist *h, double share);
double hist_mean(const struct hist *h);
/* The bucket of a value and the largest value of a bucket (for tests and plots). */
uint32_t hist_bucket(uint64_t value);
uint64_t hist_bucket_max(uint32_t bucket);

#endif
