/*
 * Forced into every pure file: names without a second meaning that reach for a clock, randomness,
 * a thread, a file or a socket do not compile there. The rest is checked by purity_check.sh, which
 * asks the objects themselves.
 */
#ifndef GT_TIDY_PURE_H
#define GT_TIDY_PURE_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#pragma GCC poison gettimeofday clock_gettime nanosleep usleep
#pragma GCC poison srand rand random srandom drand48 getrandom getentropy
#pragma GCC poison pthread_create pthread_mutex_lock fork execve
#pragma GCC poison fopen fread fwrite fsync fdatasync pwrite pread mmap
#pragma GCC poison getenv setenv

#endif
