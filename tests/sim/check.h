/*
 * What the checkers share: the ops of a run by key, and which write may have superseded which.
 *
 * Time. Op a was over before op b iff a ended strictly before b began: at one microsecond nobody
 * can tell which came first. A write is over only when it is done; one that is in doubt or was
 * never answered may take place at any time after it began.
 *
 * Dots. A write's own dots are those under which its value was shown, by any read or replica. It
 * has several when it was minted again through another coordinator.
 *
 * A checker must never accuse a sound store, so every question here leans one way and says which:
 * `may` is answered yes when in doubt, `surely` is answered no.
 */
#ifndef GT_TESTS_SIM_CHECK_H
#define GT_TESTS_SIM_CHECK_H

#include "tests/sim/history.h"

/* "put 3 of key 1 (session 2, 10..20 us, done)". */
struct op_text {
    char text[128];
};
struct op_text op_text(const struct op *op);

/* Writes the finding; always true, so that a checker returns it. */
__attribute__((format(printf, 3, 4))) bool finding_set(struct finding *out, const char *checker,
                                                       const char *format, ...);

/* Ops of one key; arrays of borrowed ops. */
struct key_ops {
    const struct op **ops;    /* all, ascending by begin */
    const struct op **writes; /* that may exist, ascending by begin */
    const struct op **acked;  /* op_acked, ascending by end */
    const struct op **reads;  /* op_trusted, ascending by begin */
    uint32_t op_count, write_count, acked_count, read_count;
};

struct own_dot {
    struct dot dot;
    uint32_t next; /* place in story.dots, 0 ends */
};

/* What superseded_from_us found, once it has been asked. */
struct superseded {
    bool known;
    uint64_t from_us;
};

struct story {
    struct superseded *superseded; /* by an operation's number */
    const struct run *run;
    struct key_ops *keys; /* run->key_count */
    const struct op **places;
    uint32_t *dot_first; /* by the write's number; 0 = none */
    struct own_dot *dots;
    uint32_t dot_count;
};

/* Borrows the run. Aborts when out of memory. */
void story_init(struct story *story, const struct run *run);
void story_close(struct story *story);

/* calloc that aborts when out of memory; never NULL. */
void *need(size_t count, size_t bytes);

/* A write that the cluster's promises are about. */
static inline bool op_acked(const struct op *op)
{
    return op_is_write(op) && op->end == OP_DONE && op->strict;
}
/* One that must not be lost: also with guests it was at w nodes, be it as parcels. */
static inline bool op_kept(const struct op *op)
{
    return op_acked(op) || (op_is_write(op) && op->end == OP_DONE && op->guests > 0 && !op->weak);
}
/* A read that they are about. */
static inline bool op_trusted(const struct op *op)
{
    return op->kind == OP_GET && op->end == OP_DONE && op->strict && !op->degraded;
}
/* Whether a read's context is the whole history of the state that it saw: where siblings were
 * hidden, their dots were taken out of it. */
static inline bool op_whole(const struct op *read)
{
    return read->all || read->shown_total <= 1;
}
static inline bool op_over_before(const struct op *a, const struct op *b)
{
    return a->end == OP_DONE && a->end_us < b->begin_us;
}
bool op_shows(const struct op *read, uint64_t write);
/* The put of this key whose value it is; NULL for a tombstone and for a value that no put of the
 * key wrote (check_outcomes speaks of those). */
const struct op *shown_write(const struct run *run, uint32_t key, const struct shown *s);

/*
 * May v have superseded u? Both are writes of one key that may exist. Yes iff v was not over before
 * u began, and
 *   v is plain: its coordinator covers what it has seen, and that may be anything minted before; or
 *   the answer whose context v carried (v's basis) showed u, or is u's own, or is that of a write
 *   that may have superseded u. So what v may drop follows from what its client was shown, not from
 *   what the context claims; or
 *   that answer is a read's, v's context includes u as below, and the read's session had been told
 *   of u before: that is in the context of its reads whether the state that was read names it or
 *   not; or, of a write whose basis is not told,
 *   v's context includes all that u returned, or one of u's own dots: then it was given by a reader
 *   or writer who had seen u.
 * A context holds u's dot by another way only from a state in which u had been superseded before:
 * that write is then between u and v.
 */
bool may_supersede(const struct story *story, const struct op *v, const struct op *u);

/* The earliest begin of a write that may have superseded u; UINT64_MAX when there is none. */
uint64_t superseded_from_us(const struct story *story, const struct op *u);

/*
 * A chain: writes, each of which may have superseded the one before. queue holds the places (in
 * k->writes) of `count` writes, which are marked; marks and queues all from which a chain leads to
 * one of them. Returns how many are queued then. marked and queue have k->write_count places.
 */
uint32_t chains_mark(const struct story *story, const struct key_ops *k, bool *marked,
                     uint32_t *queue, uint32_t count);

/*
 * Looks for a sibling that an acked write of this kind, d, has surely superseded: in trusted reads
 * that began after d ended, and in the owners' replicas. A put supersedes values and tombstones, a
 * delete is asked about values alone, since its own tombstone has no number to know it by.
 *
 * Surely: d's context, and what it returned (the context it travelled with, what it replaced, its
 * own dot), are in the history of every state that counted for it, and nothing that they cover is
 * live there. So: the sibling is not d's own, and d covers its dot, or all that its write was told
 * when it was done, be it under another dot: a context that covers one dot of an operation covers
 * the operation (RULES 10).
 */
bool superseded_back(const struct story *story, enum op_kind kind, const char *checker,
                     struct finding *out);

/* May the key's history have been reaped before this read ended? Only with a delete that was not
 * over at from_us. */
bool may_be_reaped(const struct story *story, uint32_t key, uint64_t from_us,
                   const struct op *read);

#endif
