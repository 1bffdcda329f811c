/* A folder for a while: below $TMPDIR, else in memory where there is such a file system. */
#ifndef GT_TESTS_CRASH_SCRATCH_H
#define GT_TESTS_CRASH_SCRATCH_H

#define SCRATCH_BYTES 128

/* Makes it, and gives its real path; ends the process with 1 when that fails. */
void scratch_make(const char *name, char path[SCRATCH_BYTES]);
/* What is below the folder goes; with the folder itself. Also when there is none. */
void scratch_empty(const char *path);
void scratch_remove(const char *path);

#endif
