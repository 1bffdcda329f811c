#include "engine/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/error.h"

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_init(struct log *l, enum log_level level, log_sink *sink, void *sink_arg)
{
    memset(l, 0, sizeof(*l));
    l->level = level;
    l->sink = sink;
    l->sink_arg = sink_arg;
}

void log_write(struct log *l, enum log_level level, const char *format, ...)
{
    if (!l)
        return;
    uint32_t at = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED) % LOG_RING_LINES;
    char line[LOG_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    /* Control bytes (a key may hold any) would break the line. */
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    memcpy(l->ring[at], line, sizeof(line));
    if (level <= l->level && l->sink)
        l->sink(l->sink_arg, level, line);
}

bool log_due(struct log_pace *p, uint64_t now_us, uint32_t *times)
{
    *times = p->held_back + 1;
    if (now_us < p->next_us) {
        p->held_back += p->held_back < UINT32_MAX - 1;
        return false;
    }
    p->held_back = 0;
    p->next_us = now_us + 1000000;
    return true;
}

void log_dump(struct log *l)
{
    if (!l || !l->sink)
        return;
    uint32_t end = l->next, count = end < LOG_RING_LINES ? end : LOG_RING_LINES;
    for (uint32_t i = end - count; i != end; i++)
        l->sink(l->sink_arg, LOG_DEBUG, l->ring[i % LOG_RING_LINES]);
}

int log_level_parse(const char *text, enum log_level *level)
{
    for (int i = LOG_ERROR; i <= LOG_DEBUG; i++)
        if (strcmp(text, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return 0;
        }
    return GT_EARG;
}

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}
