/*
 * One TCP connection: frames in, frames out. It knows no message and no machine.
 *
 *            conn_accept / conn_dial
 *                    |                    what ends a state
 *   DIALING ----> OPEN ----> CLOSING      DIALING: the dial's answer, or conn_close by the owner's
 *      |                        ^                  timer
 *      '------------------------'         OPEN: end of stream, bad bytes, full queue, conn_close
 *                                         CLOSING: libuv's close callback; then on_closed, once
 *
 * Reading uses one buffer that all connections of a loop share; a callback consumes all that was
 * read before it returns. Writing: frames collect in a queue until conn_flush hands them to the
 * kernel in as few calls as possible; what the kernel does not take leaves by one uv_write at a
 * time, and frames that come meanwhile wait behind it.
 *
 * Memory: a connection is freed after on_closed. It owns one reference to every queued frame.
 */
#ifndef GT_NET_CONN_UV_H
#define GT_NET_CONN_UV_H

#include <uv.h>

#include "engine/base/log.h"
#include "engine/base/metrics.h"
#include "net/frame.h"

#define CONN_READ_BYTES       (64u << 10)
#define CONN_FIRST_BODY_BYTES (64u << 10)

struct conn;

/* What all connections of one loop share. */
struct conn_host {
    uv_loop_t *uv;
    struct log *log;
    struct net_metrics *metrics;
    uint8_t *read_buffer; /* CONN_READ_BYTES */
    size_t body_bytes_max, queue_bytes_max;
    void *arg;
    void (*on_open)(void *arg, struct conn *c);                    /* a dial succeeded */
    void (*on_read)(void *arg);                                    /* before a read's frames */
    void (*on_body)(void *arg, struct conn *c, struct blob *body); /* borrowed */
    void (*on_closed)(void *arg, struct conn *c);                  /* c->error says why */
};

enum conn_state { CONN_DIALING, CONN_OPEN, CONN_CLOSING };

struct conn {
    uv_tcp_t tcp;
    uv_connect_t dial;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct conn_host *host;
    uint64_t id;      /* the owner's: a link or peer number */
    bool inbound;     /* the owner's */
    bool spoken;      /* the owner's: something whole came in */
    bool dirty;       /* the owner's: on its list of connections to flush */
    bool last;        /* conn_finish was called */
    bool half_closed; /* and all is written */
    bool writing;     /* a uv_write is under way */
    enum conn_state state;
    int error; /* GT_E*, when closing */
    struct frame_cutter cutter;
    struct blob **queue; /* a run of `count` frames from `head` on */
    uint32_t head, count, capacity;
    uint32_t in_write;    /* frames of the uv_write under way */
    size_t sent_of_first; /* bytes of the first frame that are gone already */
    size_t queued_bytes;  /* unsent */
    struct conn *next_dirty;
};

/* Takes the connection that waits at the listener. NULL: none, or no memory. */
struct conn *conn_accept(struct conn_host *host, uv_stream_t *listener);
/* Begins to connect; on_open or on_closed follows. NULL when out of memory. */
struct conn *conn_dial(struct conn_host *host, const struct sockaddr *address);
/* Takes over the reference. False (dropped): the connection is not open, or its queue is over the
 * bound, which closes it. Nothing is written before conn_flush. */
bool conn_send(struct conn *c, struct blob *frame);
void conn_flush(struct conn *c);
/* Closes after what is queued is written and the other side has closed too: whoever closes with
 * bytes unread makes the kernel throw away what it has not delivered yet. What still comes in is
 * dropped. The owner bounds the wait with conn_close. */
void conn_finish(struct conn *c);
void conn_stop_reading(struct conn *c);
/* What comes in may be as long as the host allows: this one has shown that it speaks our protocol.
 * Until then a connection that was accepted takes bodies of CONN_FIRST_BODY_BYTES. */
void conn_trust(struct conn *c);
/* Closes now. on_closed comes later, never inside the call. Once closing, does nothing. */
void conn_close(struct conn *c, int error);
/* "127.0.0.1:5000" of the other side, "?" when it is not known. Returns text. */
const char *conn_peer_text(const struct conn *c, char text[64]);
/* GT_E* of a libuv error on a connection. */
int conn_error(int uv_error);
/* "127.0.0.1:5000", "[::1]:5000". Returns text. */
const char *conn_address_text(const struct sockaddr *address, char text[64]);

#endif
