/*
 * The driver of one machine on one libuv loop: carries sockets, storage and time in as events and
 * effects out. It decides nothing about data.
 *
 * One timer, one listener, one connection for each CONNECTed peer (back-off 50 ms doubling to 2 s,
 * with jitter from the seed; it begins anew after a link that stood for 2 s), inbound links up to a bound. Writes are coalesced: what a loop
 * iteration produced for one connection leaves by one uv_try_write. A connection whose write queue
 * passes its bound is closed (the peer does not read); TCP_NODELAY always. A bad frame or message
 * closes its link with one log line. A stranger holds little and not for long: before its first
 * message an inbound link takes bodies of 64 KiB, and without one it is closed after 10 s.
 */
#ifndef GT_NET_LOOP_UV_H
#define GT_NET_LOOP_UV_H

#include "engine/store_uv.h"
#include "net/frame.h"
#include "net/step.h"

struct loop;

struct loop_config {
    struct gt_machine machine;
    struct engine *engine; /* NULL: the machine stores nothing */
    struct log *log;
    uint64_t seed;
    size_t body_bytes_max;     /* of inbound frames; 0 = frame_limit(VALUE_BYTES_LIMIT) */
    uint32_t links_max;        /* inbound; 0 = 4096 */
    uint32_t sockets_max;      /* inbound links and peers together; 0 = no bound but the others. A
                                  process that may open few files refuses links before it runs out
                                  of descriptors for its own */
    uint64_t first_message_us; /* an inbound link that has sent no whole message within it is closed;
                                  0 = 10 s */
    uint64_t link_queue_bytes; /* unsent bytes of one connection; 0 = 64 MiB */
    bool handle_signals;       /* SIGTERM and SIGINT stop the loop in order; SIGPIPE is ignored */
    void *arg;
    /* Effects that are not the loop's own: READY, IDENTITY, FAIL, DONE. Borrowed for the call. */
    void (*effect)(void *arg, struct loop *l, const struct gt_effect *e);
    /* On the loop thread after loop_wake, any number of wakes together; may be NULL. */
    void (*wake)(void *arg, struct loop *l);
    /* The log failed (exit 74); NULL when there is no engine. */
    void (*poisoned)(void *arg, struct loop *l, int error);
};

/* 0; GT_EDESCRIPTORS; GT_ENOMEM. */
int loop_new(const struct loop_config *c, struct loop **out);
/* Binds and listens; *bound has the real port. 0; GT_EADDRESS with a text that says why
 * ("127.0.0.1:5000 is in use"). Blocking name lookup. */
int loop_listen(struct loop *l, const struct address *address, struct address *bound,
                char text[MSG_TEXT_BYTES]);
/* Feeds GT_START, then runs until loop_stop (or a signal). Orderly: no new links, storage drained
 * (running syncs end, results delivered), replies flushed for at most a second, all closed.
 * 0 or the error that loop_stop was given. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l, int error); /* loop thread, from any callback */
void loop_wake(struct loop *l);            /* any thread, async-signal-safe */
/* Loop thread (from wake, effect, or before loop_run): one event into the machine; times are filled
 * in by the loop. Effects are carried out before it returns or at the end of the iteration. */
void loop_feed(struct loop *l, struct gt_event *ev);
const struct net_metrics *loop_metrics(const struct loop *l);
uint64_t loop_now_us(void);  /* monotonic */
uint64_t loop_wall_us(void); /* since 1970 */
uint64_t loop_seed(void);    /* from the kernel's random source */
void loop_free(struct loop *l);

#endif
