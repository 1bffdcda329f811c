/*
 * What the main of every program begins with, and how it speaks and ends.
 *
 * Each line on stderr begins with the program's name, which is kept where libc keeps it. Control
 * bytes in a line are shown, not sent: a key may be in it, and a terminal obeys them.
 */
#ifndef GT_ENGINE_BASE_PROGRAM_H
#define GT_ENGINE_BASE_PROGRAM_H

#include <stddef.h>

#define EXIT_USAGE 2

/* The first call of a main: opens descriptors 0, 1 and 2 that are closed (stdio.h), sets the name,
 * also that of argp's and getopt's own lines, wherever the program lies, what --version says, and
 * the exit code of a wrong flag. */
void program_begin(char **argv, const char *name);

/* The flags are read. Until then a program may end within argp, at --help or --version, and what
 * that printed must have been written too. */
void program_parsed(void);

/* "NAME: text" and the end of the line, on stderr. */
__attribute__((format(printf, 1, 2))) void program_say(const char *format, ...);
/* The same without the name. */
__attribute__((format(printf, 1, 2))) void program_line(const char *format, ...);
__attribute__((noreturn, format(printf, 2, 3))) void program_die(int status, const char *format,
                                                                 ...);
/* The same with a hint at --help and EXIT_USAGE. */
__attribute__((noreturn, format(printf, 1, 2))) void program_usage(const char *format, ...);
/* Writes to stdout what may be longer than its buffer. A failure is said, with its cause, where it
 * happens, and ends the program with 1. */
void program_print(const void *data, size_t bytes);
/* What was printed must have been written: a full disk behind stdout is a failure, and makes of
 * status 0 a 1. */
int program_flush(int status);

#endif
