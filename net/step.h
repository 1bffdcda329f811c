/*
 * The seam. Node, manager and client session are deterministic machines:
 *
 *     void x_step(struct x *x, const struct gt_event *ev, struct gt_effects *out);  cannot fail
 *     uint64_t x_deadline_us(const struct x *x);     next TIMEOUT wanted, UINT64_MAX if none
 *
 * 1. step returns void; slots for in-flight work are sized at init; a full table is an answer
 *    (GT_EBUSY), not an error.
 * 2. Effects of one step carry no order. What depends on durability waits for its STORED event.
 * 3. Bytes are reference-counted immutable blobs. Events borrow, whoever keeps takes a reference.
 * 4. One deadline per machine. Time, monotonic and wall, and the seed come in.
 * 5. Machines never call each other.
 * 6. Little is asked of the edge: messages may be lost, doubled, reordered or late.
 *
 * Links. A machine names those it wants to talk to by a peer number of its own choosing (CONNECT);
 * the edge keeps one connection to each, reconnecting with back-off. LINK_UP says that one stands,
 * LINK_DOWN that it broke (or could not be made: repeated for each failed attempt); messages sent
 * in between are lost. Inbound connections are named by a link number, never used twice; an answer
 * goes to the link on which its request came, and is dropped when that link is gone. The first
 * message on every connection is the HELLO of the side that connected, then the HELLO_REPLY.
 */
#ifndef GT_NET_STEP_H
#define GT_NET_STEP_H

#include "net/msg.h"

enum gt_event_kind {
    GT_START,
    GT_MESSAGE,   /* from a peer (a reply or a push) or on an inbound link (a request) */
    GT_TIMEOUT,   /* the deadline passed; may come early or twice */
    GT_STORED,    /* of a STORE effect */
    GT_LOADED,    /* of a LOAD effect */
    GT_SCANNED,   /* of a SCAN effect */
    GT_LINK_UP,   /* to a peer */
    GT_LINK_DOWN, /* to a peer, or an inbound link */
    GT_CALL       /* client session only: the application asks */
};

struct gt_event {
    enum gt_event_kind kind;
    uint64_t now_us;  /* monotonic */
    uint64_t wall_us; /* since 1970 */
    /* MESSAGE, LINK_*: exactly one is not zero. Peer numbers and link numbers start at 1. */
    uint64_t peer, link;
    int error; /* LINK_DOWN: why */
    union {
        struct {
            const struct msg *msg;
            struct blob *body; /* what msg borrows from; take a reference to keep it */
        } message;
        const struct store_result *result; /* STORED, LOADED, SCANNED */
        struct {
            uint64_t tag;
            const struct msg *request; /* PUT, GET, SCAN, STATUS, MAP_GET, PING; id is ignored */
            struct blob *hold;         /* what request borrows from */
        } call;
    };
};

enum gt_effect_kind {
    GT_SEND,       /* frame to a peer; lost when there is no link */
    GT_REPLY,      /* frame on an inbound link */
    GT_STORE,      /* PUT, MERGE, META and the like; ends with STORED */
    GT_LOAD,       /* ends with LOADED */
    GT_SCAN,       /* ends with SCANNED */
    GT_CONNECT,    /* keep a connection to peer at address (another address moves it) */
    GT_DISCONNECT, /* no longer: closes it */
    GT_CLOSE,      /* close an inbound link (after its replies are written) */
    GT_READY,      /* the machine serves: print the ready line; once */
    GT_IDENTITY,   /* node: joined this cluster id; was rolled back; or is whole again */
    GT_FAIL,       /* the process must end: error and text */
    GT_DONE        /* client session only: the answer to a CALL */
};

struct gt_effect {
    enum gt_effect_kind kind;
    uint64_t peer, link;
    union {
        struct blob *frame;            /* SEND, REPLY: one reference */
        struct store_request request;  /* STORE, LOAD, SCAN: owns its hold */
        struct address address;        /* CONNECT */
        struct {
            uint8_t cluster_id[CLUSTER_ID_BYTES]; /* zero = unchanged */
            uint64_t above; /* a life that the folder does not know of was seen; 0 = none */
            bool whole;     /* what was lost is here again: engine_whole */
        } identity;
        struct {
            int error;
            char text[MSG_TEXT_BYTES];
        } fail;
        struct {
            uint64_t tag;
            int error;        /* 0: reply holds the answer (which has an error field of its own) */
            struct blob *body; /* of the reply message, one reference; NULL on error */
            char text[MSG_TEXT_BYTES]; /* on error: what failed, where, what to do */
        } done;
    };
};

/* Effects of one step (or of several): the edge carries them out and clears. Grows; the bound is
 * on the machines' tables. Aborts when out of memory, since a machine cannot fail. */
struct gt_effects {
    struct gt_effect *items;
    uint32_t count, capacity;
};

void effects_init(struct gt_effects *fx);
void effects_close(struct gt_effects *fx); /* releases what was not carried out */
void effects_clear(struct gt_effects *fx);
/* Encodes at once: m and what it points to may die after the call. */
void effects_send(struct gt_effects *fx, uint64_t peer, const struct msg *m);
void effects_reply(struct gt_effects *fx, uint64_t link, const struct msg *m);
/* One frame to several peers, encoded once. */
void effects_send_many(struct gt_effects *fx, const uint64_t *peers, uint32_t count,
                       const struct msg *m);
/* Takes over r->hold. The kind of effect follows from r->kind. */
void effects_store(struct gt_effects *fx, const struct store_request *r);
void effects_connect(struct gt_effects *fx, uint64_t peer, const struct address *address);
void effects_disconnect(struct gt_effects *fx, uint64_t peer);
void effects_close_link(struct gt_effects *fx, uint64_t link);
void effects_ready(struct gt_effects *fx);
__attribute__((format(printf, 3, 4))) void effects_fail(struct gt_effects *fx, int error,
                                                        const char *format, ...);
struct gt_effect *effects_add(struct gt_effects *fx, enum gt_effect_kind kind); /* for the rest */

/* One machine, as a driver sees it. */
struct gt_machine {
    void *self;
    void (*step)(void *self, const struct gt_event *ev, struct gt_effects *out);
    uint64_t (*deadline_us)(const void *self);
};

/*
 * A hybrid logical clock (Kulkarni and others 2014) in 64 bits: milliseconds since 1970 << 16 |
 * counter. Machines keep one each.
 *
 * What others say of time is judged against `own`, which only the machine's own disk and wall clock
 * move, and never back. So a stamp from the far future, whoever sent it, does not stop the clock of
 * everybody, not even in many small steps; and machines whose wall clocks were all set back go on
 * following one another from what their disks hold.
 */
#define CLOCK_AHEAD_MAX_MS 60000u /* a stamp further ahead of our own time is not followed */

struct hlc {
    uint64_t last; /* the highest given out or followed */
    uint64_t own;  /* the highest stored at birth, or since then shown by the wall clock */
};
/* stored: engine_stamp_max, so that what is written from now on stands above it. */
static inline void hlc_init(struct hlc *c, uint64_t stored)
{
    *c = (struct hlc){stored, stored};
}
/* The own time, as a stamp. */
static inline uint64_t hlc_own(struct hlc *c, uint64_t wall_us)
{
    uint64_t physical = wall_us / 1000 << 16;
    if (physical > c->own)
        c->own = physical;
    return c->own;
}
static inline uint64_t hlc_now(struct hlc *c, uint64_t wall_us)
{
    uint64_t own = hlc_own(c, wall_us);
    c->last = own > c->last ? own : c->last + 1;
    return c->last;
}
/* Follows the stamp, unless it is too far ahead: then false. */
static inline bool hlc_observe(struct hlc *c, uint64_t stamp, uint64_t wall_us)
{
    uint64_t own = hlc_own(c, wall_us);
    if (stamp > own && stamp - own > (uint64_t)CLOCK_AHEAD_MAX_MS << 16)
        return false;
    if (stamp > c->last)
        c->last = stamp;
    return true;
}

/* A life of a node that would have begun so far ahead of our own time is a mistake or a lie, and is
 * not to be remembered anywhere: whoever believed it would have to draw above it. Honest ones are
 * ahead by little, also those of a node that starts again and again, a second at the least for
 * each. */
#define INCARNATION_AHEAD_MAX_S (366u * 86400u)

static inline bool incarnation_plausible(uint64_t incarnation, struct hlc *c, uint64_t wall_us)
{
    uint64_t own_s = (hlc_own(c, wall_us) >> 16) / 1000;
    return incarnation >> INCARNATION_RANDOM_BITS <= own_s + INCARNATION_AHEAD_MAX_S;
}

/*
 * A table of in-flight work with deadlines: fixed capacity, constant-time take and release, lookup
 * by an id that names slot and generation (a late answer to an ended slot finds nothing), and a
 * heap of deadlines. Slots are `bytes` large, zeroed when taken.
 */
struct slots;
struct slots *slots_new(uint32_t capacity, size_t bytes);
void slots_free(struct slots *s);
/* NULL when the table is full. *id is never 0. */
void *slots_take(struct slots *s, uint64_t deadline_us, uint64_t *id);
void *slots_find(struct slots *s, uint64_t id); /* NULL when ended */
void slots_release(struct slots *s, uint64_t id);
/* The same slot under a new id, which is returned: late answers to the old one find nothing. */
uint64_t slots_renew(struct slots *s, uint64_t id);
void slots_set_deadline(struct slots *s, uint64_t id, uint64_t deadline_us);
uint64_t slots_deadline_us(const struct slots *s); /* earliest; UINT64_MAX when none */
/* The id of a slot whose deadline has passed, 0 when none; the caller releases or re-dates it. */
uint64_t slots_expired(struct slots *s, uint64_t now_us);
uint32_t slots_used(const struct slots *s);
/* Calls each(arg, id, slot) for every slot in use; each may release that slot. */
void slots_each(struct slots *s, void (*each)(void *arg, uint64_t id, void *slot), void *arg);

#endif
