#include "engine/base/hist.h"

#include <math.h>
#include <string.h>

#include "engine/base/assert.h"

void hist_init(struct hist *h)
{
    memset(h, 0, sizeof(*h));
    h->min = UINT64_MAX;
}

uint32_t hist_bucket(uint64_t value)
{
    if (value < (1u << HIST_SUB_BITS))
        return (uint32_t)value;
    uint32_t power = 63 - (uint32_t)__builtin_clzll(value);
    uint32_t shift = power - HIST_SUB_BITS;
    uint32_t sub = (uint32_t)(value >> shift) & ((1u << HIST_SUB_BITS) - 1);
    return ((shift + 1) << HIST_SUB_BITS) + sub;
}

uint64_t hist_bucket_max(uint32_t bucket)
{
    gt_assert(bucket < HIST_BUCKETS);
    if (bucket < (1u << HIST_SUB_BITS))
        return bucket;
    uint32_t shift = (bucket >> HIST_SUB_BITS) - 1;
    uint64_t sub = (bucket & ((1u << HIST_SUB_BITS) - 1)) | (1u << HIST_SUB_BITS);
    return (sub << shift) + ((1ull << shift) - 1);
}

void hist_add(struct hist *h, uint64_t value)
{
    h->buckets[hist_bucket(value)]++;
    h->count++;
    h->sum += value;
    if (value > h->max)
        h->max = value;
    if (value < h->min)
        h->min = value;
}

void hist_merge(struct hist *h, const struct hist *from)
{
    for (uint32_t i = 0; i < HIST_BUCKETS; i++)
        h->buckets[i] += from->buckets[i];
    h->count += from->count;
    h->sum += from->sum;
    if (from->max > h->max)
        h->max = from->max;
    if (from->min < h->min)
        h->min = from->min;
}

uint64_t hist_quantile(const struct hist *h, double share)
{
    if (h->count == 0)
        return 0;
    uint64_t wanted = (uint64_t)ceil(share * (double)h->count), seen = 0;
    if (wanted < 1)
        wanted = 1;
    for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= wanted) {
            uint64_t v = hist_bucket_max(i);
            return v < h->max ? v : h->max;
        }
    }
    return h->max;
}

double hist_mean(const struct hist *h)
{
    return h->count ? (double)h->sum / (double)h->count : 0.0;
}
