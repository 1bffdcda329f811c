/*
 * What clients did and were told, and what the replicas hold in the end: all that a checker sees.
 *
 * Every write has a number of its own, which its value spells out (value.h), so that a value that
 * is read names the write that it came from. Deletes have numbers too, but nothing to carry them:
 * a tombstone is known by its dot.
 *
 * Contexts are kept decoded. For a done write w, `returned` holds its own dot (and what it was
 * given and replaced): whatever includes all of returned(w) has seen w.
 */
#ifndef GT_TESTS_SIM_HISTORY_H
#define GT_TESTS_SIM_HISTORY_H

#include "engine/version.h"

enum op_kind { OP_PUT, OP_DELETE, OP_GET };

enum op_end {
    OP_OPEN,        /* no answer (yet) */
    OP_DONE,        /* a write at its quorum; a read that was answered, also "not found" */
    OP_NOT_APPLIED, /* a write that was proved not to exist */
    OP_IN_DOUBT,    /* a write that may or may not exist */
    OP_FAILED       /* a read that got an error */
};

/* One sibling as a read, or a replica, shows it. */
struct shown {
    uint64_t write; /* the op whose value it is; 0 for a tombstone */
    struct dot dot;
    uint64_t stamp;
    bool tombstone;
};

struct op {
    uint64_t number;  /* its place in the history, from 1: ops[number - 1] */
    uint32_t session; /* one session is one life of a client; ops of one session may overlap */
    uint32_t key;
    enum op_kind kind;
    enum op_end end;
    int error;
    uint64_t begin_us, end_us; /* virtual; end_us is UINT64_MAX while it is open */
    uint64_t deadline_us;      /* by when the session owes an answer; UINT64_MAX: never */
    bool plain;                /* write without a context of the application's */
    bool strict;               /* strict mode, no quorum below the cluster's, not flagged weak */
    bool all;                  /* read: every sibling was asked for */
    bool blocking;             /* read: it waits until w owners have what it shows */
    bool weak;                 /* a quorum below the cluster's was used */
    bool degraded, unsettled, outranked, known;
    uint64_t stamp;         /* done write: of its dot */
    uint32_t guests;        /* that counted */
    uint64_t basis;         /* write: the op whose answer gave its context; 0 = none, or not told */
    struct history context; /* write: what the application gave, empty when plain */
    struct history returned; /* done write: the context it got; done read: what was shown */
    struct shown *shown;     /* done read; without `all` the winner alone */
    uint32_t shown_count;
    uint32_t shown_total; /* siblings that the state showed */
};

/* One replica's state of one key when all was quiet. */
struct replica {
    uint32_t node, key;
    bool owner;   /* by the map of that moment */
    bool unknown; /* the record there is bad */
    struct history history;
    struct shown *siblings;
    uint32_t sibling_count;
    uint64_t digest; /* of the record's bytes, 0 when absent */
};

struct run {
    struct op *ops;
    uint64_t op_count, op_capacity;
    struct replica *replicas;
    uint32_t replica_count, replica_capacity;
    uint32_t key_count, session_count;
    uint32_t n, r, w;    /* the cluster's */
    uint64_t healed_us;  /* faults stopped here */
    uint64_t settled_us; /* reads that began from here on must succeed: `final` reads of each key */
    /* Of each key, from malloc, freed by run_close. seq counts up per partition, so that a dot may
     * name one write in each; NULL: not told, and dots are compared within their key alone. */
    uint32_t *partitions;
    uint64_t parcels_left; /* kept by guests when all was quiet */
    bool rots;             /* a bad record stays bad where it is (no RULES 16) */
    bool verified;         /* gtstore-admin verify was played in the end, and says: */
    bool verify_equal;
    char verify_text[400];
    bool alike;               /* every owner of every key held the same, before and after that */
    uint64_t client_pause_us; /* the longest time for which a client stood still, and heard of no
                                 deadline */
    bool reaps; /* tombstones are reaped (RULES 19): with a deleted key its history may go */
    bool loses; /* disks were lost, or put back */
};

void run_init(struct run *run);
void run_close(struct run *run);
/* A new op with number, OP_OPEN, end_us UINT64_MAX and empty histories; valid until the next call.
 * Aborts when out of memory: a test cannot go on. */
struct op *run_op(struct run *run);
struct replica *run_replica(struct run *run);
void op_show(struct op *op, const struct shown *s);
void replica_show(struct replica *r, const struct shown *s);

static inline bool op_is_write(const struct op *op)
{
    return op->kind != OP_GET;
}
/* It may exist: done, in doubt, or never answered. */
static inline bool op_may_exist(const struct op *op)
{
    return op_is_write(op) && op->end != OP_NOT_APPLIED;
}

/*
 * A checker reads a run and finds nothing (false), or the first thing that may not be (true), as
 * one sentence that names the ops, the key and the times.
 */
struct finding {
    const char *checker;
    char text[600];
};
typedef bool checker_fn(const struct run *run, struct finding *out);

/* An acknowledged write is shown by the last reads, or was covered by a write that had seen it. */
checker_fn check_durability;
/* No acknowledged value vanishes from any later strict read without a successor that saw it; what
 * an acknowledged write covered is not shown again; one dot names one write. */
checker_fn check_causality;
/* Of two plain puts, one begun after the other was acknowledged, the later one wins. */
checker_fn check_realtime;
/* A session reads what it wrote; what it once read it does not lose again (monotonic). */
checker_fn check_sessions_own;
checker_fn check_sessions_monotonic;
/* A read includes what an earlier blocking read has shown; where every owner is asked, what any
 * has. */
checker_fn check_settled_reads;
/* A strict read that began after an acknowledged strict write ended includes it. */
checker_fn check_quorums;
/* A deleted value is not shown again, by reads or by replicas. */
checker_fn check_resurrection;
/* All owners of a key end with the same state. */
checker_fn check_convergence;
/* And verify says so if and only if it is so. */
checker_fn check_verify;
/* Every op is answered by its deadline; after healing every key can be read. */
checker_fn check_liveness;
/* Not applied is never seen; a done read shows only what was written to that key. */
checker_fn check_outcomes;
/* At least one write was acknowledged (else the run proves nothing). */
checker_fn check_valid;

struct checker {
    const char *name;
    checker_fn *check;
};
/* All of the above in this order, NULL-terminated by name. */
extern const struct checker checkers[];

#endif
