/*
 * Carries the engine out on threads, for a libuv loop: one thread for each job lane and one reader
 * that warms cold keys. It decides nothing: while the sampled resident share of the index is at
 * least 99 % a request goes to the engine at once on the loop thread; otherwise the reader thread
 * touches its key first.
 */
#ifndef GT_ENGINE_STORE_UV_H
#define GT_ENGINE_STORE_UV_H

#include "engine/engine.h"

struct uv_loop_s;
struct store;

struct store_callbacks {
    void *arg;
    /* One result, borrowed for the call; loop thread. May submit again. */
    void (*result)(void *arg, const struct store_result *r);
    /* The log failed; nothing more will be acknowledged. Once. */
    void (*poisoned)(void *arg, int error);
};

/* Starts the threads. The engine is borrowed and from now on belongs to the loop's thread. */
int store_open(struct engine *e, struct uv_loop_s *loop, const struct store_callbacks *callbacks,
               struct log *log, struct store **out);
/* Loop thread. Takes over the request's hold. Results never arrive inside the call: they come from
 * store_poll or a later turn of the loop. A turn of the loop that submitted polls by itself at its
 * end, so calling store_poll only makes it earlier. */
void store_submit(struct store *s, const struct store_request *r);
/* Delivers the results that are ready and starts the jobs that are due. The loop calls it once for
 * each iteration that submitted anything, so that all of an iteration's records share a batch. */
void store_poll(struct store *s);
/* Waits for all work in flight (running jobs to the end), stops the threads, closes the uv handles
 * (their close callbacks run in the loop afterwards) and frees. engine_idle holds on success.
 * Blocking; results of requests in flight are delivered before it returns (GT_ETIMEOUT, not
 * applied, for those that wait for room), and what a callback submits meanwhile is dropped
 * unanswered. 0, or what poisoned the log. Not from within a callback. */
int store_close(struct store *s);
/* Bounds: requests inside the store. Above it a request is answered GT_EBUSY. */
#define STORE_INFLIGHT_MAX 16384

#endif
