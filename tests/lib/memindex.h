/*
 * An index in memory, for tests: a sorted array for each table. A commit is atomic and durable;
 * what was not committed is gone with a crash. Holds its content until destroyed, so "the process
 * ended and started again" is: use the same index again. May be called from several threads.
 */
#ifndef GT_TESTS_LIB_MEMINDEX_H
#define GT_TESTS_LIB_MEMINDEX_H

#include "engine/index.h"
#include "tests/lib/memcut.h"

enum memindex_call {
    MEMINDEX_GET = 1,
    MEMINDEX_SCAN = 2,
    MEMINDEX_BEGIN = 4,
    MEMINDEX_PUT = 8,
    MEMINDEX_REMOVE = 16,
    MEMINDEX_COMMIT = 32,
    MEMINDEX_ANY = 63
};

/* Never fails (aborts when out of memory). Ends by its destroy. */
struct index *memindex_new(void);
/* The nth call (from 1, counted from now) of the kinds in `calls` answers `error` and changes
 * nothing; with forever, so do all later ones of these kinds. nth 0 ends the failing. */
void memindex_fail(struct index *x, unsigned calls, uint64_t nth, int error, bool forever);
/* Counts its calls on the cut, which decides before memindex_fail does. Borrowed; NULL: on none. */
void memindex_cut(struct index *x, struct memcut *cut);
/* Calls made of these kinds since the birth of the index. */
uint64_t memindex_calls(const struct index *x, unsigned calls);
/* Keys that were asked for several at once, since the birth of the index. */
uint64_t memindex_some(const struct index *x);
/* Drops a write that is open, and ends the failing. */
void memindex_crash(struct index *x);

/* What is committed at this moment: a copy of the index. Belongs to the caller. */
struct memindex_snapshot;
struct memindex_snapshot *memindex_snapshot(const struct index *x);
void memindex_snapshot_free(struct memindex_snapshot *s); /* NULL is allowed */
/* An old copy is put back, or the copy of another index: otherwise as memindex_crash. The snapshot
 * may be used again. */
void memindex_restore(struct index *x, const struct memindex_snapshot *s);
/* An empty index takes the place of this one: otherwise as memindex_crash. */
void memindex_wipe(struct index *x);

/* A record rots: flips one bit of one value of INDEX_DATA, both drawn from the seed. Its key
 * (partition, hash, key), borrowed until the next write; empty when there is no value with bytes.
 */
struct slice memindex_flip(struct index *x, uint64_t seed);
/* This one; false when it is absent or has no bytes. */
bool memindex_flip_key(struct index *x, struct slice key, uint64_t seed);

/* A record of INDEX_DATA is gone, though nobody removed it; false when it is absent. */
bool memindex_lose_key(struct index *x, struct slice key);

/* What resident answers from now on; 1000 at first. */
void memindex_resident(struct index *x, unsigned share);

#endif
