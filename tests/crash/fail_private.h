/* What the files of the library share: the real calls, the plan, and the pages that a failed sync
 * would lose. */
#ifndef GT_TESTS_CRASH_FAIL_PRIVATE_H
#define GT_TESTS_CRASH_FAIL_PRIVATE_H

#include <dlfcn.h>
#include <stddef.h>
#include <sys/types.h>

#include "tests/crash/fail.h"

/* The call that ours stands before, looked up once at each place. */
#define REAL(name)                                                                                 \
    ({                                                                                             \
        static __typeof__(&name) real_;                                                            \
        if (!real_)                                                                                \
            *(void **)&real_ = dlsym(RTLD_NEXT, #name);                                            \
        real_;                                                                                     \
    })

/* ---- fail.c ---------------------------------------------------------------------------------- */

enum concern { CONCERN_NONE, CONCERN_FOLDER, CONCERN_INDEX };

enum concern concern_of_path(const char *path);
enum concern concern_of_descriptor(int fd);
enum concern concern_at(int folder, const char *path);
/* A descriptor was opened, or will be closed. */
void concern_opened(int fd);
void concern_closed(int fd);

/* Counts a call: 0 when it is to be made, an errno or FAIL_HALF, FAIL_ONE when not. */
int fail_decide(enum fail_kind kind, enum concern concern);
/* As fail_decide for calls that transfer nothing: whether it fails, with errno set. */
bool fail_refuses(enum fail_kind kind, enum concern concern);
/* A descriptor is about to be closed: whether that is to fail, with EIO. */
bool fail_closes(int fd);
/* Of how many bytes a transfer is to be made; below 0: it fails, with errno set. */
ssize_t fail_transfer(enum fail_kind kind, enum concern concern, size_t bytes);

/* With little room: how many of the bytes fit; below 0: none, with errno set. */
ssize_t room_take(int fd, off_t offset, size_t bytes);
/* What statvfs has to say, or false when it may say the truth. */
bool room_told(uint64_t *left_bytes);

/* ---- fail_disk.c ----------------------------------------------------------------------------- */

void pages_forget_all(void);
/* The bytes of the file are about to be written; durable: by this write alone. */
void pages_written(int fd, off_t offset, size_t bytes, bool durable);
/* The file was synced well, or its sync failed. */
void pages_synced(int fd);
void pages_lost(int fd);
/* The file's bytes are given up, or its last name. */
void pages_forget(int fd);

/* ---- fail_names.c ---------------------------------------------------------------------------- */

void names_forget_all(void);
/* A file was made, or renamed. */
void names_made(int folder, const char *path);
void names_renamed(int from_folder, const char *from, int to_folder, const char *to);
/* The folder was synced well, or its sync failed (lost). */
void names_synced(int folder, bool lost);
/* Files are called again as they were before what was lost. Returns how many. */
uint32_t names_lose(void);

#endif
