/*
 * The two meta pages of LMDB's file, of which a power cut can destroy one.
 *
 * A commit writes its data, syncs it, and then writes the meta page that the last commit did not
 * write: 120 bytes in the first sector of page 0 or 1. A power cut in that write can leave garbage
 * in its place, and then LMDB 0.9 refuses the file, though the other page is sound and the commit
 * that it tells of was the last that ended: no page of that one is used again before the next
 * commit has ended. So the bad page is made a copy of the sound one, which both are right with.
 *
 *   offset in the page (native integers):
 *   0   8  number of the page        20  4  version, 1
 *   10  2  flags, 8 for a meta page  40  4  bytes of a page
 *   16  4  magic 0xBEEFC0DE          152    the end of what is used
 */
#ifndef GT_ENGINE_META_LMDB_H
#define GT_ENGINE_META_LMDB_H

#include <stdbool.h>

/* Mends data.mdb, before LMDB opens it, when exactly one of the two pages is sound, and makes that
 * durable. In every other case the file is left as it is: LMDB judges it. 0 or an errno. */
int meta_lmdb_mend(const char *path, bool *mended);

#endif
