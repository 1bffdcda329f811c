#include "engine/base/program.h"

#include <argp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/printable.h"
#include "engine/base/stdio.h"

#define LINE_BYTES_MAX (1u << 20)

static void version_print(FILE *stream, struct argp_state *state)
{
    (void)state;
    fprintf(stream, "%s %s\n", program_invocation_short_name, GT_VERSION);
}

static bool parsing;

/* argp ends the program itself, with 0, whatever came of what it printed. */
static void parsing_ended(void)
{
    if (parsing && program_flush(0) != 0)
        _exit(1);
}

void program_parsed(void)
{
    parsing = false;
}

void program_begin(char **argv, const char *name)
{
    stdio_open();
    argv[0] = (char *)(uintptr_t)name; /* nobody writes to it */
    program_invocation_name = program_invocation_short_name = argv[0];
    argp_program_version_hook = version_print;
    argp_err_exit_status = EXIT_USAGE;
    parsing = atexit(parsing_ended) == 0;
}

/* One write, so that the lines of several programs do not mix. */
static void line(const char *name, const char *format, va_list args, const char *hint)
{
    char *text = NULL;
    struct buf out;
    buf_init(&out, LINE_BYTES_MAX);
    if (name)
        buf_printf(&out, "%s: ", name);
    int bytes = vasprintf(&text, format, args);
    if (bytes >= 0)
        printable(slice_of(text, (size_t)bytes), &out);
    if (hint)
        buf_printf(&out, "; see: %s %s", name, hint);
    buf_u8(&out, '\n');
    fwrite(out.data, 1, out.bytes, stderr);
    buf_close(&out);
    if (bytes >= 0)
        free(text);
}

void program_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line(program_invocation_short_name, format, args, NULL);
    va_end(args);
}

void program_line(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line(NULL, format, args, NULL);
    va_end(args);
}

void program_die(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line(program_invocation_short_name, format, args, NULL);
    va_end(args);
    exit(status);
}

void program_usage(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line(program_invocation_short_name, format, args, "--help");
    va_end(args);
    exit(EXIT_USAGE);
}

void program_print(const void *data, size_t bytes)
{
    if (fwrite(data, 1, bytes, stdout) != bytes)
        program_die(1, "stdout: %s", strerror(errno));
}

int program_flush(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    program_say("stdout: %s", strerror(errno));
    return status ? status : 1;
}
