/*
 * The dot log of one partition: which live siblings some owner has not durably confirmed (RULES 3).
 * It answers "what does a replica with this clock lack?" without a walk over the keys, for hinted
 * handoff, resync and the measure of lag alike.
 *
 *   entry  (dot, key): one for each live sibling, tombstones too. It goes with the sibling, so
 *          there is never one for each overwrite. That of a value goes also when every owner has
 *          confirmed the dot; that of a tombstone stays until it is reaped (reap.c), so that
 *          the log is at the same time the list of those that wait for it.
 *   floor  a clock below which entries may be missing: who does not cover it is sent every key. It
 *          has what every owner has confirmed, and all when the log was over its bound. So an owner
 *          that has lost what it confirmed lacks something of it, and is not told by a list in
 * which that is missing that it lacks nothing.
 *
 * After a recovery entries of siblings that were superseded since the checkpoint may still be
 * there: whoever meets one drops it. Missing is none.
 *
 * The checkpoint keeps the log in the index. What it has to write is gathered as it happens and
 * given to it whole (dotlog_freeze): there may be a hundred thousand entries, and everybody waits
 * for a freeze.
 *
 * Bytes in the index (INDEX_LOG): key = partition u16 BE, node u64 BE, incarnation u64 BE, seq u64
 * BE; value = u32 CRC32C of key and all that follows, u8 format 1, the key's bytes.
 */
#ifndef GT_ENGINE_DOTLOG_H
#define GT_ENGINE_DOTLOG_H

#include "engine/base/blob.h"
#include "engine/clock.h"

/* Of the sibling. After a recovery it is not known until the state is looked at. */
enum dotlog_kind { DOTLOG_UNKNOWN, DOTLOG_VALUE, DOTLOG_TOMBSTONE };

struct dotlog_entry {
    struct dot dot;
    struct blob *key; /* one reference */
    uint32_t change;  /* where its change is, if it has one: the dot there is its own */
    uint8_t kind;     /* enum dotlog_kind */
};

/* What the index lacks. Of one dot there may be two: it went, and is back. */
struct dotlog_change {
    struct dot dot;
    struct blob *key; /* one reference; NULL: it goes */
};

struct dotlog {
    struct dotlog_entry *entries; /* ascending by dot */
    uint32_t count, capacity;
    uint32_t waiting;              /* of the entries, those that are not known to be values */
    struct dotlog_change *changes; /* in no order */
    uint32_t change_count, change_capacity;
};

void dotlog_init(struct dotlog *l);
void dotlog_close(struct dotlog *l);
/* Forgets everything, and the index will. 0 or GT_ENOMEM (unchanged). */
int dotlog_clear(struct dotlog *l);
/* Room for so many additions and drops, which then cannot fail. 0 or GT_ENOMEM. */
int dotlog_reserve(struct dotlog *l, uint32_t additions, uint32_t drops);
/* Takes a reference. Nothing changes when the dot is there. stored: it comes from the index. */
void dotlog_add(struct dotlog *l, struct dot d, struct blob *key, bool stored,
                enum dotlog_kind kind);
/* What the entry at this place is, when it becomes known. */
void dotlog_learn(struct dotlog *l, uint32_t at, enum dotlog_kind kind);
void dotlog_drop(struct dotlog *l, struct dot d); /* nothing when it is not there */
/* The first place whose dot is not below. */
uint32_t dotlog_place(const struct dotlog *l, struct dot d);
/* Drops every entry of a value that all of these clocks cover. 0 or GT_ENOMEM (unchanged). */
int dotlog_confirm(struct dotlog *l, const struct clock *clocks, uint32_t count);

/* Gives away what has changed since the last time, for dotlog_changes_free; NULL when nothing has.
 * Cannot fail, and takes no longer for a long log. */
struct dotlog_change *dotlog_freeze(struct dotlog *l, uint32_t *count);
/* By dot, what goes before what comes. */
void dotlog_changes_sort(struct dotlog_change *changes, uint32_t count);
void dotlog_changes_free(struct dotlog_change *changes, uint32_t count);

#define DOTLOG_KEY_BYTES 26
struct slice dotlog_index_key(uint8_t at[DOTLOG_KEY_BYTES], uint32_t partition, struct dot d);
/* 0, or GT_ECORRUPT when it is none. */
int dotlog_index_key_split(struct slice index_key, uint32_t *partition, struct dot *d);

#endif
