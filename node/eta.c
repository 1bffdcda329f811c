#include "node/eta.h"

#include <string.h>

void eta_note(struct eta *e, uint64_t now_us, uint64_t lag)
{
    if (lag == 0) {
        e->count = 0;
        return;
    }
    if (e->count > 0 && now_us < e->notes[e->count - 1].at_us + ETA_EVERY_US)
        return;
    if (e->count == ETA_NOTES)
        memmove(&e->notes[0], &e->notes[1], --e->count * sizeof(e->notes[0]));
    e->notes[e->count].at_us = now_us;
    e->notes[e->count++].lag = lag;
}

uint64_t eta_seconds(const struct eta *e, uint64_t lag)
{
    uint32_t high = 0, last = e->count - 1;
    if (e->count == 0 || lag == 0)
        return 0;
    for (uint32_t i = 1; i < e->count; i++)
        if (e->notes[i].lag >= e->notes[high].lag)
            high = i;
    uint64_t fallen = e->notes[high].lag - e->notes[last].lag;
    uint64_t took_us = e->notes[last].at_us - e->notes[high].at_us;
    if (fallen == 0)
        return 0;
    double seconds = (double)lag * (double)took_us / ((double)fallen * 1e6);
    if (seconds >= (double)UINT32_MAX)
        return UINT32_MAX;
    return (uint64_t)seconds + (seconds > (double)(uint64_t)seconds);
}
