/*
 * What the machine knows of this process and of the disk below a folder.
 */
#ifndef GT_BENCH_MACHINE_POSIX_H
#define GT_BENCH_MACHINE_POSIX_H

#include <stdbool.h>
#include <stdint.h>

uint64_t machine_now_us(void); /* monotonic */
/* Anonymous memory of this process, now (RssAnon); 0: not known. */
uint64_t machine_anon_bytes(void);
/* Bytes written to the block device that the folder lies on, by all processes. False when there is
 * none, as on tmpfs. */
bool machine_device_bytes(const char *folder, uint64_t *bytes);
/* Blocks allocated to the files below the folder, in bytes: those of a log (in wal/, or *.log), and
 * all others. */
void machine_disk_bytes(const char *folder, uint64_t *log, uint64_t *rest);
/* The folder's file system has written all that it was given, and the device has been quiet for a
 * second since; waits a minute and a half for that at most. Returns the bytes a second that were
 * written in that last second. */
double machine_settle(const char *folder);
/* CPU time of this process so far, of threads that have ended too. */
uint64_t machine_cpu_us(void);
/* Calls each(arg, name, CPU time so far) for every thread of this process. */
void machine_threads(void (*each)(void *arg, const char *name, uint64_t cpu_us), void *arg);

#endif
