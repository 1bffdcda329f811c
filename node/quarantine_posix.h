/* The quarantine (engine/quarantine.h) as a file of the data folder. */
#ifndef GT_NODE_QUARANTINE_POSIX_H
#define GT_NODE_QUARANTINE_POSIX_H

#include "engine/engine.h"

#define QUARANTINE_PATH_BYTES 4096

/*
 * Writes folder/quarantine-LIFE.jsonl, LIFE being the present one in hex: a life writes at most one
 * with the same name, and a later one that it writes replaces it, with all that is still not
 * confirmed. Durable when it returns 0; *count 0: there was nothing to write, and there is no file.
 * GT_EIO, GT_ENOSPACE, GT_ELIMIT (the path), GT_ENOMEM.
 */
int quarantine_write(struct engine *e, const char *folder, char path[QUARANTINE_PATH_BYTES],
                     uint64_t *count);

#endif
