#include "engine/base/events.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/assert.h"

void events_init(struct events *e, uint64_t wall_us)
{
    e->wall_us = wall_us;
    e->total = 0;
}

void events_at(struct events *e, uint64_t wall_us)
{
    if (e)
        e->wall_us = wall_us;
}

void events_add(struct events *e, enum event_kind kind, const char *format, ...)
{
    if (!e)
        return;
    struct event added = {.wall_us = e->wall_us, .times = 1, .kind = kind};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(added.text, sizeof(added.text), format, arguments);
    va_end(arguments);
    /* Control bytes (a key may hold any) would break the table. */
    for (char *c = added.text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    struct event *last = e->total > 0 ? &e->ring[(e->total - 1) % EVENTS_MAX] : NULL;
    if (last && last->kind == kind && strcmp(last->text, added.text) == 0) {
        last->wall_us = e->wall_us;
        last->times += last->times < UINT32_MAX;
        return;
    }
    e->ring[e->total++ % EVENTS_MAX] = added;
}

uint32_t events_count(const struct events *e)
{
    if (!e)
        return 0;
    return e->total < EVENTS_MAX ? (uint32_t)e->total : EVENTS_MAX;
}

const struct event *events_get(const struct events *e, uint32_t i)
{
    uint32_t count = events_count(e);
    gt_assert(i < count);
    return &e->ring[(e->total - count + i) % EVENTS_MAX];
}

const char *event_name(enum event_kind kind)
{
    static const char *const names[] = {
#define EVENT_NAME(k, name, text) [k] = name,
        EVENT_KINDS(EVENT_NAME)
#undef EVENT_NAME
    };
    gt_assert((size_t)kind < sizeof(names) / sizeof(names[0]));
    return names[kind];
}
