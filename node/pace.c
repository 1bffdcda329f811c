#include "node/pace.h"

#include <stdlib.h>
#include <string.h>

#define JUDGE_US      500000u
#define CALM_US       2000000u /* nothing has moved for so long */
#define SAMPLES_LEAST 50u
#define SLOWER_US     2000u

void pace_init(struct pace *p, uint64_t rate_max)
{
    *p = (struct pace){.rate = rate_max};
}

static int longer(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static uint32_t p99(const struct pace *p)
{
    uint32_t sorted[PACE_SAMPLES];
    uint32_t count = p->count < PACE_SAMPLES ? p->count : PACE_SAMPLES;
    memcpy(sorted, p->samples, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), longer);
    return sorted[count - 1 - count / 100];
}

static void rate_set(struct pace *p, bool slower)
{
    uint64_t rate = slower ? p->rate / 2 : p->rate + p->rate / 4;
    p->rate = rate < PACE_BYTES_PER_S_MIN ? PACE_BYTES_PER_S_MIN
              : rate > PACE_BYTES_PER_S   ? PACE_BYTES_PER_S
                                          : rate;
}

static void judge(struct pace *p, uint64_t now_us)
{
    bool first = p->judge_us == 0;
    bool enough = p->count >= SAMPLES_LEAST, calm = now_us - p->moved_us >= CALM_US;
    uint32_t now = enough ? p99(p) : 0;
    if (enough && calm) /* an eighth of the way, so that one bad moment is not what is usual */
        p->usual_us = p->usual_us == 0 ? now : p->usual_us - p->usual_us / 8 + now / 8;
    if (!calm && !first)
        rate_set(p, enough && p->usual_us > 0 && now > 2 * p->usual_us &&
                        now > p->usual_us + SLOWER_US);
    p->count = p->next = 0;
    p->judge_us = now_us + JUDGE_US;
}

void pace_note(struct pace *p, uint64_t now_us, uint64_t waited_us)
{
    if (now_us >= p->judge_us)
        judge(p, now_us);
    p->samples[p->next++ % PACE_SAMPLES] =
        waited_us < UINT32_MAX ? (uint32_t)waited_us : UINT32_MAX;
    p->count++;
}

void pace_take(struct pace *p, uint64_t now_us, uint64_t bytes)
{
    if (now_us >= p->judge_us)
        judge(p, now_us);
    p->moved_us = now_us;
    if (p->free_us < now_us)
        p->free_us = now_us;
    p->free_us += bytes * 1000000 / p->rate;
}
