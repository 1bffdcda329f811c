#include "net/conn_uv.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"

#define WRITE_FRAMES_MAX 512 /* of one call */
/* A peer that acknowledges nothing, or takes nothing, for so long is gone: without this a host that
 * lost its power keeps its links for many minutes. */
#define SILENCE_MS  15000
#define KEEPALIVE_S 5

int conn_error(int uv_error)
{
    switch (uv_error) {
    case UV_EOF:
    case UV_ECONNRESET:
    case UV_EPIPE:
    case UV_ECANCELED:
        return GT_ECLOSED;
    case UV_ENOMEM:
    case UV_ENOBUFS:
        return GT_ENOMEM;
    case UV_ETIMEDOUT:
        return GT_ETIMEOUT;
    case UV_EMFILE:
    case UV_ENFILE:
        return GT_EDESCRIPTORS;
    default:
        return GT_EUNREACHABLE;
    }
}

const char *conn_address_text(const struct sockaddr *address, char text[64])
{
    char host[INET6_ADDRSTRLEN];
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        if (uv_ip6_name(v6, host, sizeof(host)) == 0) {
            snprintf(text, 64, "[%s]:%u", host, ntohs(v6->sin6_port));
            return text;
        }
    } else if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        if (uv_ip4_name(v4, host, sizeof(host)) == 0) {
            snprintf(text, 64, "%s:%u", host, ntohs(v4->sin_port));
            return text;
        }
    }
    snprintf(text, 64, "?");
    return text;
}

const char *conn_peer_text(const struct conn *c, char text[64])
{
    struct sockaddr_storage address = {0};
    int bytes = sizeof(address);
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&address, &bytes) != 0)
        address.ss_family = AF_UNSPEC;
    return conn_address_text((struct sockaddr *)&address, text);
}

/* ---- closing --------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    c->host->on_closed(c->host->arg, c);
    for (uint32_t i = 0; i < c->count; i++)
        blob_unref(c->queue[c->head + i]);
    free(c->queue);
    frame_cutter_close(&c->cutter);
    free(c);
}

void conn_close(struct conn *c, int error)
{
    if (c->state == CONN_CLOSING)
        return;
    c->state = CONN_CLOSING;
    c->error = error;
    uv_close((uv_handle_t *)&c->tcp, on_handle_closed);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct conn *c = handle->data;
    (void)suggested;
    *buffer = uv_buf_init((char *)c->host->read_buffer, CONN_READ_BYTES);
}

static void refuse_bytes(struct conn *c, int error)
{
    char peer[64];
    c->host->metrics->frames_bad_count++;
    log_warn(c->host->log, "link closed: bad frame from=%s error=%s", conn_peer_text(c, peer),
             error_name(error));
    conn_close(c, error);
}

static void on_bytes(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer)
{
    struct conn *c = stream->data;
    if (got < 0) {
        conn_close(c, conn_error((int)got));
        return;
    }
    const uint8_t *data = (const uint8_t *)buffer->base;
    size_t bytes = (size_t)got;
    struct blob *body;
    c->host->metrics->bytes_in += bytes;
    c->host->on_read(c->host->arg);
    while (c->state == CONN_OPEN && !c->last) {
        int cut = frame_cut(&c->cutter, &data, &bytes, &body);
        if (cut == 0)
            return;
        if (cut < 0) {
            refuse_bytes(c, cut);
            return;
        }
        c->host->metrics->frames_in_count++;
        c->host->on_body(c->host->arg, c, body);
        blob_unref(body);
    }
}

void conn_stop_reading(struct conn *c)
{
    if (c->state == CONN_OPEN)
        uv_read_stop((uv_stream_t *)&c->tcp);
}

/* ---- opening --------------------------------------------------------------------------------- */

static struct conn *conn_new(struct conn_host *host)
{
    struct conn *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    if (uv_tcp_init(host->uv, &c->tcp) != 0) {
        free(c);
        return NULL;
    }
    c->tcp.data = c->dial.data = c->write.data = c->shutdown.data = c;
    c->host = host;
    c->state = CONN_DIALING;
    frame_cutter_init(&c->cutter, host->body_bytes_max);
    return c;
}

static void open_now(struct conn *c)
{
    uv_os_fd_t fd;
    unsigned silence_ms = SILENCE_MS;
    c->state = CONN_OPEN;
    uv_tcp_nodelay(&c->tcp, 1);
    uv_tcp_keepalive(&c->tcp, 1, KEEPALIVE_S);
    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_ms, sizeof(silence_ms));
    int rc = uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_bytes);
    if (rc != 0)
        conn_close(c, conn_error(rc));
}

void conn_trust(struct conn *c)
{
    frame_cutter_limit(&c->cutter, c->host->body_bytes_max);
}

struct conn *conn_accept(struct conn_host *host, uv_stream_t *listener)
{
    struct conn *c = conn_new(host);
    if (!c)
        return NULL;
    c->inbound = true;
    if (host->body_bytes_max > CONN_FIRST_BODY_BYTES)
        frame_cutter_limit(&c->cutter, CONN_FIRST_BODY_BYTES);
    int rc = uv_accept(listener, (uv_stream_t *)&c->tcp);
    if (rc != 0)
        conn_close(c, conn_error(rc));
    else
        open_now(c);
    return c;
}

static void on_dialed(uv_connect_t *dial, int status)
{
    struct conn *c = dial->data;
    if (c->state == CONN_CLOSING)
        return;
    if (status != 0) {
        conn_close(c, conn_error(status) == GT_ENOMEM ? GT_ENOMEM : GT_EUNREACHABLE);
        return;
    }
    open_now(c);
    if (c->state == CONN_OPEN)
        c->host->on_open(c->host->arg, c);
}

struct conn *conn_dial(struct conn_host *host, const struct sockaddr *address)
{
    struct conn *c = conn_new(host);
    if (!c)
        return NULL;
    int rc = uv_tcp_connect(&c->dial, &c->tcp, address, on_dialed);
    if (rc != 0)
        conn_close(c, conn_error(rc));
    return c;
}

/* ---- writing --------------------------------------------------------------------------------- */

static bool queue_push(struct conn *c, struct blob *frame)
{
    bool full = c->head + c->count == c->capacity;
    if (full && c->head > c->capacity / 2) {
        memmove(c->queue, c->queue + c->head, c->count * sizeof(*c->queue));
        c->head = 0;
    } else if (full) {
        uint32_t capacity = c->capacity ? c->capacity * 2 : 16;
        struct blob **grown = realloc(c->queue, capacity * sizeof(*grown));
        if (!grown)
            return false;
        c->queue = grown;
        c->capacity = capacity;
    }
    c->queue[c->head + c->count++] = frame;
    c->queued_bytes += frame->bytes;
    return true;
}

/* Drops what has left: whole frames, and the beginning of the next. */
static void queue_drop(struct conn *c, size_t bytes)
{
    c->host->metrics->bytes_out += bytes;
    c->queued_bytes -= bytes;
    bytes += c->sent_of_first;
    while (c->count > 0 && bytes >= c->queue[c->head]->bytes) {
        bytes -= c->queue[c->head]->bytes;
        blob_unref(c->queue[c->head++]);
        c->count--;
        c->host->metrics->frames_out_count++;
    }
    c->sent_of_first = bytes;
    if (c->count == 0)
        c->head = 0;
}

bool conn_send(struct conn *c, struct blob *frame)
{
    if (c->state != CONN_OPEN || c->half_closed ||
        c->queued_bytes + frame->bytes > c->host->queue_bytes_max || !queue_push(c, frame)) {
        if (c->state == CONN_OPEN && !c->half_closed) {
            char peer[64];
            log_warn(c->host->log, "link closed: peer does not read peer=%s queued_bytes=%zu",
                     conn_peer_text(c, peer), c->queued_bytes);
            conn_close(c, GT_ELIMIT);
        }
        c->host->metrics->sends_dropped_count++;
        blob_unref(frame);
        return false;
    }
    return true;
}

/* The front of the queue as buffers; the number of them, and their bytes. */
static unsigned queue_front(const struct conn *c, uv_buf_t buffers[WRITE_FRAMES_MAX], size_t *bytes)
{
    unsigned n = c->count < WRITE_FRAMES_MAX ? c->count : WRITE_FRAMES_MAX;
    size_t skip = c->sent_of_first;
    *bytes = 0;
    for (unsigned i = 0; i < n; i++) {
        struct blob *frame = c->queue[c->head + i];
        buffers[i] = uv_buf_init((char *)frame->data + skip, (unsigned)(frame->bytes - skip));
        *bytes += frame->bytes - skip;
        skip = 0;
    }
    return n;
}

static void on_written(uv_write_t *write, int status)
{
    struct conn *c = write->data;
    c->writing = false;
    if (c->state == CONN_CLOSING)
        return; /* the queue goes with the connection */
    if (status != 0) {
        conn_close(c, conn_error(status));
        return;
    }
    size_t bytes = 0;
    for (uint32_t i = 0; i < c->in_write; i++)
        bytes += c->queue[c->head + i]->bytes;
    queue_drop(c, bytes - c->sent_of_first);
    conn_flush(c);
}

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
    struct conn *c = shutdown->data;
    if (status != 0)
        conn_close(c, conn_error(status));
}

static void half_close(struct conn *c)
{
    if (c->half_closed)
        return;
    c->half_closed = true;
    if (uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_shutdown) != 0)
        conn_close(c, GT_ECLOSED);
}

void conn_flush(struct conn *c)
{
    uv_buf_t buffers[WRITE_FRAMES_MAX];
    while (c->state == CONN_OPEN && !c->writing && c->count > 0) {
        size_t bytes;
        unsigned n = queue_front(c, buffers, &bytes);
        int sent = uv_try_write((uv_stream_t *)&c->tcp, buffers, n);
        c->host->metrics->writes_count++;
        if (sent < 0 && sent != UV_EAGAIN) {
            conn_close(c, conn_error(sent));
            return;
        }
        if (sent > 0)
            queue_drop(c, (size_t)sent);
        if (sent > 0 && (size_t)sent == bytes)
            continue;
        c->in_write = queue_front(c, buffers, &bytes);
        int rc = uv_write(&c->write, (uv_stream_t *)&c->tcp, buffers, c->in_write, on_written);
        if (rc != 0) {
            conn_close(c, conn_error(rc));
            return;
        }
        c->writing = true;
    }
    if (c->last && c->count == 0 && c->state == CONN_OPEN)
        half_close(c);
}

void conn_finish(struct conn *c)
{
    if (c->state != CONN_OPEN) {
        conn_close(c, GT_ECLOSED);
        return;
    }
    c->last = true;
}
