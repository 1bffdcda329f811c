/*
 * Descriptors 0, 1 and 2. A program that was started with one of them closed would get it back from
 * its next open or socket: its log would then be written into its own data.
 */
#ifndef GT_ENGINE_BASE_STDIO_H
#define GT_ENGINE_BASE_STDIO_H

/* Opens those of 0, 1 and 2 that are closed on /dev/null. The first call of every main. */
void stdio_open(void);

#endif
