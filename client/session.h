/*
 * A client's session, as a pure machine (net/step.h): where a request goes, when it is tried again,
 * when it is given up, and what the session has seen of each key.
 *
 * A CALL takes a slot and lives through these states; each names what ends it, and the call's own
 * deadline ends every one of them:
 *
 *   QUEUED     an earlier put of this session on the same key has not ended    its end
 *   WAIT_MAP   no formed map is had yet                                        a MAP message
 *   WAIT_LINK  the owner next in line is being connected                       LINK_UP, LINK_DOWN,
 *                                                                              500 ms
 *   SENT       an attempt is under way                                         its reply,
 * LINK_DOWN, 500 ms: next owner BACKOFF    every owner was tried, or one was busy 10 .. 320 ms, a
 * link, a new map
 *
 * Owners are tried in list order, those that the map shows as up first; one whose link is down is
 * passed over at once (DESIGN 7). Every attempt of a put carries the same operation id, and all say
 * RETRY but the first that may have been carried out, so that the same put through another
 * coordinator is one write. While each attempt was refused (not applied) the next is a first one:
 * nobody need be asked for it, and nothing that it writes can have a twin (version.h).
 *
 * Outcome of a put (RULES 9, 10). An attempt that got no answer leaves the put in doubt for good.
 * What a later attempt says then counts only when it is a success: every other end is GT_EINDOUBT.
 * Without doubt the error of the last attempt is the answer.
 *
 * Contexts. For up to context_keys_max keys the session remembers what it has seen: the joined
 * contexts of its puts' and gets' replies. A PLAIN put carries what is remembered. Puts of one key
 * go one after the other, so that puts in a row never become siblings. The cache is bounded (least
 * recently used leaves first); a miss means no context, which is safe: it replaces less.
 *
 * Own writes and monotonic reads. Apart from that it remembers what a get must be as new as: the
 * contexts of its puts and of the gets that were settled (RULES 18), and sends them along as
 * min_context, with what the application demands. So a get shows what this session wrote and was
 * shown before, whichever owner answers, or fails. MODE_AVAILABLE takes what there is.
 *
 * Invariant: a call holds at most SESSION_ATTEMPTS_MAX attempts without an answer; a late or
 * doubled reply finds no attempt and is dropped.
 */
#ifndef GT_CLIENT_SESSION_H
#define GT_CLIENT_SESSION_H

#include "engine/base/log.h"
#include "net/step.h"

#define SESSION_SEEDS_MAX    16
#define SESSION_WINDOW       4096
#define SESSION_CONTEXT_KEYS 4096
#define SESSION_ATTEMPTS_MAX 16
#define SESSION_ATTEMPT_US   500000

struct session_config {
    struct log *log;                         /* may be NULL */
    uint64_t seed;                           /* of operation ids */
    struct address seeds[SESSION_SEEDS_MAX]; /* managers or nodes: peers 1 .. seed_count */
    uint32_t seed_count;
    uint64_t timeout_us;       /* of a call that names no deadline; 0 = 5 s */
    uint32_t window;           /* calls in flight; 0 = SESSION_WINDOW */
    uint32_t context_keys_max; /* 0 = SESSION_CONTEXT_KEYS */
};

struct session;

/* NULL when out of memory. */
struct session *session_new(const struct session_config *c);
void session_free(struct session *s);

/*
 * CALL requests: PUT, GET, SCAN (to an owner), STATUS, PING (to a seed), and MAP_GET, which is
 * answered from the session's own map as soon as it has one, formed or not: the body of the DONE is
 * that of a MAP message. head.op and head.age_ms are the session's to fill; head.deadline_ms is how
 * long the call may take, 0 for the session's timeout. A put's `context` is looked up by the
 * session when PLAIN is set.
 *
 * Each CALL gets exactly one DONE. With error 0 the body is that of the reply, which may hold an
 * error of its own; otherwise: GT_EBUSY (window full), GT_EUNREACHABLE (never sent, not applied),
 * GT_EINDOUBT, GT_ETIMEOUT, GT_EFORMING, GT_EUNSUPPORTED.
 */
void session_step(void *session, const struct gt_event *ev, struct gt_effects *out);
uint64_t session_deadline_us(const void *session);
struct gt_machine session_machine(struct session *s);

/* Borrowed; NULL before one was had. */
const struct ring *session_map(const struct session *s);
uint32_t session_in_flight(const struct session *s);

#endif
