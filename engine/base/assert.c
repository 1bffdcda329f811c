#include "engine/base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void assert_fail(const char *file, int line, const char *condition, const char *format, ...)
{
    char detail[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s:%d: assertion failed: %s %s\n", file, line, condition, detail);
    abort();
}

void memory_fail(const char *file, int line)
{
    fprintf(stderr, "out of memory (%s:%d): what was acknowledged is safe; start again\n", file,
            line);
    _Exit(EXIT_MEMORY);
}
