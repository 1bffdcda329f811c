/*
 * Descriptors 0, 1 and 2. A program that was started with one of them closed would get it back from
 * its next open or socket: its log would then be written into its own data. /dev/null takes the
 * place, opened the wrong way round: who reads from a closed stdin, or writes to a closed stdout,
 * is told so by EBADF and not by the end of a file that nobody has given, or by a success that
 * nobody has seen.
 */
#ifndef GT_ENGINE_BASE_STDIO_H
#define GT_ENGINE_BASE_STDIO_H

/* Occupies those of 0, 1 and 2 that are closed. The first call of every main. */
void stdio_open(void);

#endif
