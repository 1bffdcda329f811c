/*
 * The log. Event first, then facts: log_info(n->log, "put quorum met key=%s acks=%u", ...).
 *
 *   error  the operator must act      warn   we coped
 *   info   state changed              debug  kept in the flight recorder only
 *
 * Every line, whatever its level, goes to a ring of the last LOG_RING_LINES lines (the flight
 * recorder), dumped when an assertion or the simulator asks; lines at or above the level also go to
 * the sink. The sink adds the time; a log itself knows no clock. A NULL log drops everything.
 */
#ifndef GT_ENGINE_BASE_LOG_H
#define GT_ENGINE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

#define LOG_LINE_BYTES 240
#define LOG_RING_LINES 256

typedef void log_sink(void *arg, enum log_level level, const char *line);

struct log {
    enum log_level level;
    log_sink *sink; /* may be called from any thread */
    void *sink_arg;
    uint32_t next; /* lines ever written, atomically */
    char ring[LOG_RING_LINES][LOG_LINE_BYTES];
};

void log_init(struct log *l, enum log_level level, log_sink *sink, void *sink_arg);
__attribute__((format(printf, 3, 4))) void log_write(struct log *l, enum log_level level,
                                                     const char *format, ...);
/* Calls the sink with every line of the ring, oldest first. */
void log_dump(struct log *l);
/* "error", "warn", "info", "debug" to a level: 0, or GT_EARG. */
int log_level_parse(const char *text, enum log_level *level);
const char *log_level_name(enum log_level level);

#define log_error(l, ...) log_write(l, LOG_ERROR, __VA_ARGS__)
#define log_warn(l, ...)  log_write(l, LOG_WARN, __VA_ARGS__)
#define log_info(l, ...)  log_write(l, LOG_INFO, __VA_ARGS__)
#define log_debug(l, ...) log_write(l, LOG_DEBUG, __VA_ARGS__)

/* A line that may come again and again: written at once, and then once a second at most, with how
 * many came meanwhile. Zero to begin with; the time is any that goes on. True: write it; *times is
 * how often it came since the last one, this one included. */
struct log_pace {
    uint64_t next_us;
    uint32_t held_back;
};
bool log_due(struct log_pace *p, uint64_t now_us, uint32_t *times);

/* Sink of the programs (log_posix.c): one line on stderr with UTC time; arg is ignored. */
void log_sink_stderr(void *arg, enum log_level level, const char *line);

#endif
