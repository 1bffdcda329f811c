/*
 * Who wrote what, and who has seen it: dots, histories, siblings, and the one merge.
 *
 *   actor    (node, incarnation): one life of one node.
 *   dot      (actor, seq): one write. seq counts up per (actor, partition), from 1, never per key.
 *   history  all dots that a state includes, live or superseded: a version vector (for an actor,
 *            "all its dots of this key up to seq") plus exact dots. Dotted version vector sets,
 *            Almeida and others 2014, with the vector and the dots kept apart. Of lives that are
 *            over and closed one number for each node instead: "all dots of its lives up to this".
 *   sibling  one value or tombstone with its dot. Live = present in a state.
 *   state    one key's history and siblings. No siblings and an empty history = the key is absent.
 *   context  a history handed to a client: what it has been shown.
 *
 * In memory a history holds the dots of live siblings too, so that "is d in H(S)" is one question.
 * Normal form, which makes equal states equal bytes: vector entries, exact dots and closed lives
 * ascending, no exact dot covered by the vector, neither of a life that is closed, siblings
 * ascending by dot.
 *
 * Memory: the structs own their arrays, which grow and are used again after a clear; values and
 * labels are borrowed from the bytes that they were decoded from. All functions are pure.
 */
#ifndef GT_ENGINE_VERSION_H
#define GT_ENGINE_VERSION_H

#include "engine/base/blob.h"
#include "engine/base/buf.h"

struct clock;

struct actor {
    uint64_t node, incarnation;
};

struct dot {
    struct actor actor;
    uint64_t seq; /* from 1; 0 is no dot */
};

/* By node, then incarnation (then seq): negative, 0 or positive. */
int actor_compare(struct actor a, struct actor b);
int dot_compare(struct dot a, struct dot b);

#define OP_ID_BYTES 16

/*
 * An operation that was tried again has twins, perhaps: what was minted when it was, and the dot of
 * an earlier attempt, on the disk of an owner that was down when the others were asked (RULES 10).
 * Who supersedes the one cannot have seen the other. So the siblings of such operations are marked,
 * and a history names, beside its dots, the operations that it includes of those; whichever of
 * their dots turns up is superseded. Marked is what a retry mints, and what it finds and finishes:
 * the dot of the first attempt then, of which others may know nothing and have minted a twin.
 *
 * Named are the HISTORY_OPERATIONS_MAX whose siblings have the highest stamps: a function of what
 * was ever named, so that joins in any order keep the same. (Not of what superseded them: that
 * rises with every put that has seen the name, and would be the same for all.) Age alone takes no
 * name away: the owner with the twin may be down for long, and where wall clocks were moved stamps
 * tell no age.
 */
#define HISTORY_OPERATIONS_MAX 32
struct history_operation {
    uint8_t op[OP_ID_BYTES];
    uint64_t stamp;      /* the highest of its siblings that were superseded */
    uint64_t superseded; /* and of what superseded them, having seen one of them or this name */
};

struct history {
    struct dot *vector; /* one entry an actor, ascending */
    uint32_t vector_count, vector_capacity;
    struct dot *exact; /* ascending, none covered by the vector */
    uint32_t exact_count, exact_capacity;
    struct history_operation *operations; /* ascending by op */
    uint32_t operation_count, operation_capacity;
    struct actor *closed; /* one a node, ascending: all dots of its lives up to this one */
    uint32_t closed_count, closed_capacity;
};

void history_init(struct history *h);
void history_close(struct history *h);
void history_clear(struct history *h);
/* All return 0 or GT_ENOMEM; on failure h is unchanged or a superset of before. */
int history_copy(struct history *to, const struct history *from);
int history_add(struct history *h, struct dot d);
/* Raises the vector entry of the actor to at least seq and drops the exact dots it covers. Only a
 * holder of all that actor's dots of this key up to seq may do this (RULES 11). */
int history_raise(struct history *h, struct actor actor, uint64_t seq);
int history_join(struct history *h, const struct history *from);
/* Includes all dots of the node's lives up to this one (> 0), which are named no more one by one.
 * Only who has closed them may say so (RULES 8b): what it does not hold live of them is dead, or
 * was promised to nobody. */
int history_close_lives(struct history *h, uint64_t node, uint64_t incarnation);
bool history_covers(const struct history *h, struct dot d);
/* The same by the vector and the exact dots alone: the dot was here, and not only its life. */
bool history_lists(const struct history *h, struct dot d);
/* The highest life of the node that is closed in it, 0 when none is. */
uint64_t history_closed(const struct history *h, uint64_t node);
bool history_closes(const struct history *h, struct actor actor);
/* Every dot of b is in a. An entry of b's vector is covered only by an entry of a's vector. */
bool history_includes(const struct history *a, const struct history *b);
bool history_empty(const struct history *h);
/* Names the operation, or raises its stamps. 0 or GT_ENOMEM. */
int history_name(struct history *h, const uint8_t op[OP_ID_BYTES], uint64_t stamp,
                 uint64_t superseded);
bool history_names(const struct history *h, const uint8_t op[OP_ID_BYTES]);

enum sibling_flag {
    SIBLING_TOMBSTONE = 1, /* no value: the key was deleted by this write */
    SIBLING_EXPIRES = 2,   /* expires_at_ms and expiry_dot are present */
    SIBLING_ELIDED = 4,    /* in a piece of a large state only, never at rest: the value travelled
                              in an earlier piece */
    /* Bytes tell these elsewhere than in their flags (record.h); clients are not shown them. */
    SIBLING_AGAIN = 64,    /* stored once more above what outranked it (RULES 12) */
    SIBLING_RETRIED = 128, /* its operation was tried again: when it was minted, or since */
};

struct sibling {
    struct dot dot;
    uint64_t stamp; /* hybrid logical clock: milliseconds since 1970 << 16 | counter */
    uint8_t op[OP_ID_BYTES];
    uint8_t flags;          /* enum sibling_flag */
    uint64_t expires_at_ms; /* reserved: 0 */
    struct dot expiry_dot;  /* reserved */
    struct slice value;     /* borrowed */
};

/* Names the operation of the sibling, so that another attempt of it goes: a first attempt (not
 * marked), or one that is earlier than what superseded the operation. */
bool history_takes(const struct history *h, const struct sibling *s);

struct state {
    struct history history;
    struct sibling *siblings; /* ascending by dot */
    uint32_t sibling_count, sibling_capacity;
    bool unknown; /* the record here was bad: RULES 2, 16 */
};

void state_init(struct state *s);
void state_close(struct state *s);
void state_clear(struct state *s);
bool state_absent(const struct state *s);
int state_copy(struct state *to, const struct state *from); /* values stay borrowed; 0, GT_ENOMEM */
/* Adds or replaces the sibling with this dot and adds the dot to the history. 0 or GT_ENOMEM. */
int state_add(struct state *s, const struct sibling *sibling);
const struct sibling *state_find(const struct state *s, struct dot d);
/* The sibling that a plain get answers: highest (stamp, dot); NULL when there is none. It may be a
 * tombstone. */
const struct sibling *state_winner(const struct state *s);
/* Sum of the values' bytes. */
size_t state_value_bytes(const struct state *s);
/* Number of siblings shown to people: those with one operation id count once (RULES 10). */
uint32_t state_shown_count(const struct state *s);
/* Whether sibling i is shown: no sibling with the same operation id has a higher (stamp, dot). */
bool state_shown(const struct state *s, uint32_t i);
/* The siblings of other operations that a plain get would answer rather than the operation of the
 * live sibling d (RULES 12): their dots into out, which has room for sibling_count, and the highest
 * of their stamps. Returns how many; 0 when d is not live. */
uint32_t state_outranking(const struct state *s, struct dot d, struct dot *out, uint64_t *stamp);
/* Of an operation that is superseded in s, whose sibling had this stamp: whether a plain get surely
 * answers what superseded it, or something after that. Siblings do not tell which of them has seen
 * which, but whoever supersedes stands above: of those above it one has, and where it is the only
 * one nothing older is answered. (No sibling above: that one was reaped.) Live, it is settled when
 * nothing outranks it. */
bool state_settled(const struct state *s, const uint8_t op[OP_ID_BYTES], uint64_t stamp);
bool state_equal(const struct state *a, const struct state *b);

/*
 * The one merge (RULES 2), used on every path. local with its partition clock, incoming with H(S):
 *   keep a sibling d of incoming  iff  d is live in local, or d is neither in H(local) nor in
 *                                      local_clock;
 *   keep a sibling d of local     iff  d is live in incoming, or d is not in H(incoming); and, when
 *                                      incoming_clock is given (states of a pull), d is not in
 *                                      incoming_clock unless live in incoming.
 * A sibling that is live on one side alone is not kept either when the other side's history names
 * its operation, and it is a first attempt (not marked), or earlier than what superseded that; but
 * when nothing else is left, and both sides lost something so, one of that stays. The
 * history of the result is the join. One that is live on both sides and marked (SIBLING_RETRIED) on
 * one is marked. A clock may be NULL: then it covers nothing. local_clock is not used when
 * local->unknown.
 *
 * An ELIDED sibling of incoming must be live with its value in local, or not be kept: otherwise
 * GT_EMISSING. out is a third state. Also GT_ENOMEM.
 */
int version_merge(const struct state *local, const struct clock *local_clock,
                  const struct state *incoming, const struct clock *incoming_clock,
                  struct state *out);

/*
 * A put at its coordinator (RULES 11). local is the coordinator's state; sibling is the new write,
 * its dot minted by actor `sibling->dot.actor`; context (may be NULL) is what the client has seen.
 *   plain       replaces every sibling of local;
 *   otherwise   replaces the siblings of local that the context covers, and those that share an
 *               operation id with one it covers, or whose operation it names.
 * Replaced siblings whose operation was tried again are named in out and in returned; so is the new
 * one in returned.
 * out: history = H(local) + context + the new dot, where the entry of the minting actor is raised
 * to the new seq (the coordinator holds all its own dots of this key). replaced: the dots of the
 * replaced siblings. returned: the context given, plus what was replaced, plus the new dot, as
 * exact dots; never the vector of out. When returned would hold more than CONTEXT_EXACT_MAX exact
 * dots the lowest others are left out, which is safe: a smaller context supersedes less.
 * replaced must hold local->sibling_count dots. 0 or GT_ENOMEM.
 */
#define CONTEXT_EXACT_MAX 64
int version_put(const struct state *local, const struct history *context, bool plain,
                const struct sibling *sibling, struct state *out, struct dot *replaced,
                uint32_t *replaced_count, struct history *returned);

/*
 * What the history says of lives that the clock closes becomes one number for each node: a history
 * grows with the nodes that wrote to its key, and not with their starts. The clock must be that of
 * the state's holder. A life of which a sibling lives is left, and those of its node after it, so
 * that no sibling is ever covered so: a context of a read may always say it whole.
 *
 * Why it may go into a record, and is merged like any other history: it says of the lives what the
 * clock says, and says it of this key alone. Who closed a life had pulled from every owner all that
 * the others had of it, so what the state does not hold live is dead (closing.c); and a clock that
 * is given up closes nothing. 0 or GT_ENOMEM.
 */
int version_close_lives(struct state *s, const struct clock *clock);

/*
 * The context of a read (RULES 11): all of H(s) when every sibling was shown; otherwise, when only
 * `winner` was shown, H(s) without the dots of siblings that were not: a vector entry that covers
 * an unshown dot (a, q) is lowered to q-1, and shown dots above it are added exactly. Siblings with
 * the winner's operation id count as shown. 0 or GT_ENOMEM.
 *
 * seen: what the reader has seen before, NULL = nothing; its dots are in the context as well, but
 * for those of siblings that are not shown now. The state need not name them all: what superseded
 * one was written, perhaps, by somebody who had not heard of it (ARCHITECTURE, INV).
 */
int version_read_context(const struct state *s, const struct sibling *winner_only,
                         const struct history *seen, struct history *out);

/*
 * The context as clients hold it: opaque, versioned, checksummed, bound to its key.
 *   0  u8   format, 1
 *   1  u64  hash of the key
 *   9  ...  history as in record.h (vector, exact dots, actors in a table)
 *   -4 u32  CRC32C of all before
 */
#define CONTEXT_BYTES_MAX 16384
/* Appends the context. A history over CONTEXT_BYTES_MAX, or over the bound of out, loses the dots
 * of its oldest incarnations (hundreds of lives of nodes) and most of its closed lives, which is
 * safe: a smaller context supersedes less. 0; GT_ELIMIT (bound of out); GT_ENOMEM; out has failed
 * then. */
int context_encode(const struct history *h, uint64_t key_hash, struct buf *out);
/* 0; GT_ECONTEXT for bytes that are no context, damaged, or of another key; GT_EFORMAT for a newer
 * format; GT_ENOMEM. */
int context_decode(struct slice bytes, uint64_t key_hash, struct history *out);

#endif
