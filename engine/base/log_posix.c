#include "engine/base/log.h"

#include <stdio.h>
#include <time.h>

void log_sink_stderr(void *arg, enum log_level level, const char *line)
{
    (void)arg;
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    char when[32];
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &parts);
    fprintf(stderr, "%s.%03ldZ %-5s %s\n", when, now.tv_nsec / 1000000, log_level_name(level),
            line);
}
