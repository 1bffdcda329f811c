/*
 * Do the replicas agree? Asks every owner of every partition to read what it holds again (VERIFY),
 * and compares. The machine (verify.c) is pure; verify() in verify_uv.c drives it and blocks.
 *
 *   greeted all --> a partition is SUMMED at its owners, run by run
 *                       | equal: done            | differs, or could not be read
 *                       |                        v   a pause, for what is in flight to arrive
 *                       |                    LISTED key by key, again and again
 *                       |                        | no key is left that differed at every look
 *                       v                        v                       | VERIFY_LOOKS looks
 *                     equal <--------------------'                       v
 *                                                           differing, changing, not compared
 *
 * Writes go on meanwhile, so unequal sums prove nothing yet. A key that was once seen equal at all
 * owners agrees: whatever was written later is not what is asked about. One that differs at
 * every look in the same way differs; one that is something else at each look is changing, and
 * could not be compared.
 *
 * An owner's runs also tell what it believes to have: where its clock stood still meanwhile, the
 * records read must be those counted (RULES 16).
 *
 * Bounds: VERIFY_WINDOW partitions at a time, a run of keys of each owner; VERIFY_KEYS_MAX keys
 * are named, more are counted. Every wait ends: the greeting by VERIFY_GREET_US, a run by
 * VERIFY_SILENT_US (such a node is asked no more), all of it by the timeout.
 */
#ifndef GT_CLIENT_VERIFY_H
#define GT_CLIENT_VERIFY_H

#include "net/step.h"

#define VERIFY_WINDOW    16u
#define VERIFY_LOOKS     12u /* at keys, VERIFY_PAUSE_US apart: what is in flight takes seconds */
#define VERIFY_PAUSE_US  500000u
#define VERIFY_GREET_US  3000000u
#define VERIFY_SILENT_US 5000000u
#define VERIFY_KEYS_MAX  10000u

enum verify_held { HELD_NOT_ASKED, HELD_ABSENT, HELD_BAD, HELD };

/* A key at which the owners differ: what each of them has, in the order of the arc's owners. */
struct verify_key {
    struct blob *key;
    bool changing;              /* it was something else at each look */
    uint8_t held[REPLICAS_MAX]; /* enum verify_held */
    uint64_t digests[REPLICAS_MAX];
};

/* What one owner answered of one partition. */
struct verify_owner {
    uint64_t records, digest_sum, bad;
    uint64_t counted, counted_sum; /* what it believes to have, as its last run says */
    bool still;                    /* its clock did not move between the first and the last run */
    bool asked, more;
    int error;         /* it is not compared with */
    struct blob *row;  /* of the first run */
    struct blob *last; /* the last key */
    struct blob *body; /* of the run whose keys are being compared */
    struct reader keys;
    struct slice key; /* the next of them; empty: none */
    uint64_t digest;
};

enum verify_stage { VERIFY_WAITS, VERIFY_RUNS, VERIFY_EQUAL, VERIFY_UNEQUAL };

struct verify_partition {
    uint8_t stage, looks;
    uint64_t due_us;
    struct verify_key *found; /* differing at every look so far, in order */
    uint32_t found_count;
    uint64_t found_total; /* at the last look, also those that are not named */
};

/* An owner whose records are not those that it counts. */
struct verify_unsound {
    uint32_t partition, member;
    uint64_t read, counted;
};

struct verify_run {
    bool used;
    uint32_t partition;
    uint32_t owner_count, waiting;
    uint64_t silent_us; /* whoever has not answered by then is silent */
    uint64_t id;        /* of its requests: + the owner's place */
    struct verify_owner owners[REPLICAS_MAX];
    struct verify_key *seen; /* differing at this look */
    uint32_t seen_count, seen_capacity;
    uint64_t seen_total;
};

enum verify_link { LINK_NOT_WANTED, LINK_WAITS, LINK_READY, LINK_GONE };

struct verify_member {
    uint8_t link;      /* enum verify_link */
    int error;         /* GONE: why; else of the first partition that it would not tell */
    uint32_t left_out; /* partitions that were not compared with it */
    uint64_t bad;      /* records */
};

struct verifier {
    const struct ring *ring; /* borrowed */
    uint64_t timeout_us, end_us, greet_us, now_us;
    struct verify_partition *partitions;
    struct verify_member *members; /* of the ring */
    uint32_t *queue;               /* partitions to be looked at again, by the time that is due */
    uint32_t queue_head, queue_count;
    struct verify_run runs[VERIFY_WINDOW];
    uint32_t active, next, done_count, named;
    uint64_t next_id;
    bool greeted, done;
    /* The result. */
    uint32_t equal_count; /* partitions of which every owner was compared, and is equal */
    uint64_t keys;        /* records, tombstones too, each counted once */
    uint64_t differing, changing;
    struct verify_unsound *unsound;
    uint32_t unsound_count, unsound_capacity;
};

/* The ring is formed, and outlives it. */
void verifier_init(struct verifier *v, const struct ring *ring, uint64_t timeout_us);
void verifier_close(struct verifier *v);
struct gt_machine verifier_machine(struct verifier *v);
/* All partitions are equal. */
bool verifier_equal(const struct verifier *v);

/* Runs it on a loop of its own. progress is called after every step. 0; GT_EUNREACHABLE: no owner
 * could be asked; or why there is no loop. */
int verify(struct verifier *v, void (*progress)(const struct verifier *v));

#endif
