/*
 * One iteration:
 *
 *   timers, bytes, results, wakes  ->  event  ->  step  ->  effects, carried out at once:
 *        SEND, REPLY            frames join the queue of their connection, which becomes dirty
 *        STORE, LOAD, SCAN      store_submit
 *        CONNECT, ...           peers
 *        the rest               config.effect, which may feed more events: their effects join
 *                               the same list and are carried out by the same walk
 *   end of the turn (before and after the kernel is asked for more): store_poll, one write for
 *   each dirty connection, timers set again
 *
 * A peer:
 *
 *   WAITING --retry_us--> RESOLVING --addresses--> DIALING --on_open--> UP
 *      ^                      |                       |                  |
 *      '------ LINK_DOWN -----+-----------------------+------------------'
 *
 * What ends each: WAITING its time; RESOLVING the resolver's answer; DIALING the kernel's answer or
 * DIAL_US; UP the connection's end. DISCONNECT ends all. In one dial the addresses of a name are
 * tried one after another, and only the failure of the last is told.
 */
#include "net/loop_uv.h"

#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "engine/base/assert.h"
#include "engine/base/descriptors.h"
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/base/prng.h"
#include "net/conn_uv.h"

#define LINKS_DEFAULT       4096u
#define QUEUE_DEFAULT_BYTES ((uint64_t)64 << 20)
#define PEERS_MAX           4096u
#define LISTEN_BACKLOG      1024
#define BACKOFF_FIRST_US    50000u
#define BACKOFF_LAST_US     2000000u
#define DIAL_US             500000u
#define FIRST_MESSAGE_US    10000000u
#define FINISH_US                                                                                  \
    1000000u /* for the replies of a link that is being closed, and of all at the end */
#define CANDIDATES_MAX 4
/* Without them libuv cannot begin, and in places aborts: one for epoll, one for wakes, four for
 * signals, one to refuse connections with; the rest for the first sockets and lookups. */
#define DESCRIPTORS_MIN 16

struct resolve {
    uv_getaddrinfo_t request;
    struct loop *loop;
    struct peer *peer; /* NULL: nobody waits for it any more */
};

struct peer {
    uint64_t number;
    struct address address;
    struct conn *conn;       /* dialing, open or closing */
    struct resolve *resolve; /* under way */
    struct sockaddr_storage candidates[CANDIDATES_MAX];
    unsigned candidate, candidate_count;
    bool up;           /* LINK_UP was told */
    uint64_t up_us;    /* when */
    bool moved;        /* the address changed: dial at once when conn is gone */
    unsigned failures; /* in a row, for the back-off; a link that did not stand is one too */
    uint64_t due_us;   /* WAITING: retry; DIALING: give up */
};

struct link {
    struct conn *conn;
};

struct loop {
    struct loop_config config;
    uv_loop_t uv;
    uv_async_t async;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t machine_timer, own_timer;
    uv_signal_t terminate, interrupt;
    uv_tcp_t *listener;
    struct conn_host host;
    struct net_metrics metrics;
    struct prng prng;
    struct msg_decoder *decoder;
    struct store *store;
    struct slots *links; /* struct link; the deadline is when to close it by force: one that has
                            said nothing whole yet, or does not let itself be closed in order */
    struct peer **peers; /* ascending by number */
    uint32_t peer_count, peer_capacity;
    struct conn *dirty;
    struct gt_effects fx;
    uint64_t now_us, wall_us;
    uint64_t machine_timer_us, own_timer_us; /* what they are set to; UINT64_MAX: not set */
    bool carrying, submitted, own_timer_stale;
    bool stopping; /* loop_stop was called */
    bool ending;   /* no dials, no links, no reads */
    bool ended;    /* the machine gets no more events */
    int stop_error;
    uint8_t read_buffer[CONN_READ_BYTES];
};

/* ---- time ------------------------------------------------------------------------------------ */

uint64_t loop_now_us(void)
{
    return uv_hrtime() / 1000;
}

uint64_t loop_wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t loop_seed(void)
{
    uint64_t seed;
    while (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        ; /* only a signal interrupts so few bytes */
    return seed;
}

static void touch(struct loop *l)
{
    l->now_us = loop_now_us();
    l->wall_us = loop_wall_us();
}

/* Sees to it that the timer fires by then; *set_us is what it is set to. One that is set to an
 * earlier moment stays: it fires early, which is allowed, and costs less than setting it anew for
 * each request that ends. */
static void timer_set(struct loop *l, uv_timer_t *timer, uv_timer_cb fired, uint64_t due_us,
                      uint64_t *set_us)
{
    if (due_us >= *set_us)
        return;
    *set_us = due_us;
    uint64_t now_us = loop_now_us();
    uint64_t wait_us = due_us > now_us ? due_us - now_us : 0;
    uv_update_time(&l->uv);
    uv_timer_start(timer, fired, (wait_us + 999) / 1000, 0);
}

/* ---- events in, effects out ------------------------------------------------------------------ */

static void carry_out(struct loop *l);

static void feed(struct loop *l, struct gt_event *ev)
{
    if (l->ended)
        return;
    ev->now_us = l->now_us;
    ev->wall_us = l->wall_us;
    l->config.machine.step(l->config.machine.self, ev, &l->fx);
    if (!l->carrying)
        carry_out(l);
}

void loop_feed(struct loop *l, struct gt_event *ev)
{
    touch(l);
    feed(l, ev);
}

static void mark_dirty(struct loop *l, struct conn *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    c->next_dirty = l->dirty;
    l->dirty = c;
}

/* Takes over the reference. */
static void send_on(struct loop *l, struct conn *c, struct blob *frame)
{
    if (!c) {
        l->metrics.sends_dropped_count++;
        blob_unref(frame);
        return;
    }
    if (conn_send(c, frame))
        mark_dirty(l, c);
}

static struct conn *link_conn(struct loop *l, uint64_t link)
{
    struct link *found = slots_find(l->links, link);
    return found ? found->conn : NULL;
}

static void link_finish(struct loop *l, uint64_t link)
{
    struct conn *c = link_conn(l, link);
    if (!c || c->state != CONN_OPEN || c->last)
        return;
    conn_finish(c);
    mark_dirty(l, c);
    slots_set_deadline(l->links, link, l->now_us + FINISH_US);
    l->own_timer_stale = true;
}

static struct conn *peer_conn(const struct loop *l, uint64_t number);
static void peer_connect(struct loop *l, uint64_t number, const struct address *address);
static void peer_disconnect(struct loop *l, uint64_t number);

static void store_one(struct loop *l, struct store_request *r)
{
    struct store_request request = *r;
    r->hold = NULL;
    if (!l->store) {
        gt_assert(l->ending); /* a machine without an engine must not store */
        store_request_release(&request);
        return;
    }
    l->submitted = true;
    store_submit(l->store, &request);
}

static void carry_one(struct loop *l, uint32_t i)
{
    struct gt_effect *e = &l->fx.items[i];
    struct blob *frame;
    switch (e->kind) {
    case GT_SEND:
    case GT_REPLY:
        frame = e->frame;
        e->frame = NULL;
        send_on(l, e->kind == GT_SEND ? peer_conn(l, e->peer) : link_conn(l, e->link), frame);
        return;
    case GT_STORE:
    case GT_LOAD:
    case GT_SCAN:
        store_one(l, &e->request);
        return;
    case GT_CONNECT:
        peer_connect(l, e->peer, &e->address);
        return;
    case GT_DISCONNECT:
        peer_disconnect(l, e->peer);
        return;
    case GT_CLOSE:
        link_finish(l, e->link);
        return;
    case GT_READY:
    case GT_IDENTITY:
    case GT_FAIL:
    case GT_DONE:
        break;
    }
    /* The callback may feed events, so that the list grows and moves. */
    struct gt_effect copy = *e;
    if (l->config.effect)
        l->config.effect(l->config.arg, l, &copy);
}

static void carry_out(struct loop *l)
{
    l->carrying = true;
    for (uint32_t i = 0; i < l->fx.count; i++)
        carry_one(l, i);
    l->carrying = false;
    effects_clear(&l->fx);
}

/* ---- messages -------------------------------------------------------------------------------- */

static void message_refuse(struct loop *l, struct conn *c, const struct msg *m)
{
    struct msg reply = {.type = (enum msg_type)(m->type + 1), .id = m->id};
    reply.refusal.error = GT_EUNSUPPORTED;
    log_debug(l->config.log, "unknown request refused type=%d", (int)m->type);
    if (m->type == UINT16_MAX)
        return;
    struct blob *frame = msg_frame(&reply);
    if (frame)
        send_on(l, c, frame);
}

static void on_read(void *arg)
{
    touch(arg);
}

static void on_body(void *arg, struct conn *c, struct blob *body)
{
    struct loop *l = arg;
    struct msg m;
    if (!c->inbound && peer_conn(l, c->id) != c)
        return; /* disconnected meanwhile */
    int error = msg_decode(l->decoder, slice_blob(body), &m);
    if (error == GT_EUNSUPPORTED) {
        if (!msg_is_reply(m.type))
            message_refuse(l, c, &m);
        return;
    }
    if (error) {
        char peer[64];
        l->metrics.frames_bad_count++;
        log_warn(l->config.log, "link closed: bad message from=%s type=%d error=%s",
                 conn_peer_text(c, peer), (int)m.type, error_name(error));
        conn_close(c, error);
        return;
    }
    if (c->inbound && !c->spoken) {
        conn_trust(c);
        slots_set_deadline(l->links, c->id, UINT64_MAX);
    }
    c->spoken = true;
    struct gt_event ev = {.kind = GT_MESSAGE, .message = {.msg = &m, .body = body}};
    if (c->inbound)
        ev.link = c->id;
    else
        ev.peer = c->id;
    struct ring *ring = m.type == MSG_MAP ? m.map.ring : NULL;
    feed(l, &ev);
    ring_unref(ring);
}

/* ---- peers ----------------------------------------------------------------------------------- */

/* The first place whose number is not below. */
static uint32_t peer_place(const struct loop *l, uint64_t number)
{
    uint32_t low = 0, high = l->peer_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (l->peers[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct peer *peer_find(const struct loop *l, uint64_t number)
{
    uint32_t place = peer_place(l, number);
    if (place < l->peer_count && l->peers[place]->number == number)
        return l->peers[place];
    return NULL;
}

static struct conn *peer_conn(const struct loop *l, uint64_t number)
{
    struct peer *p = peer_find(l, number);
    return p ? p->conn : NULL;
}

static struct peer *peer_add(struct loop *l, uint64_t number)
{
    gt_assert(number != 0 && l->peer_count < PEERS_MAX);
    if (l->peer_count == l->peer_capacity) {
        uint32_t capacity = l->peer_capacity ? l->peer_capacity * 2 : 16;
        void *grown = realloc(l->peers, capacity * sizeof(*l->peers));
        gt_assert(grown);
        l->peers = grown;
        l->peer_capacity = capacity;
    }
    struct peer *p = calloc(1, sizeof(*p));
    gt_assert(p);
    p->number = number;
    uint32_t place = peer_place(l, number);
    memmove(&l->peers[place + 1], &l->peers[place], (l->peer_count - place) * sizeof(*l->peers));
    l->peers[place] = p;
    l->peer_count++;
    return p;
}

static void resolve_abandon(struct peer *p)
{
    if (!p->resolve)
        return;
    p->resolve->peer = NULL;
    uv_cancel((uv_req_t *)&p->resolve->request);
    p->resolve = NULL;
}

static void peer_down(struct loop *l, struct peer *p, int error)
{
    char text[UNITS_ADDRESS_BYTES];
    uint64_t number = p->number;
    uint64_t step_us = (uint64_t)BACKOFF_FIRST_US << (p->failures < 8 ? p->failures : 8);
    if (step_us > BACKOFF_LAST_US)
        step_us = BACKOFF_LAST_US;
    if (p->failures == 0)
        log_info(l->config.log, "link down peer=%s error=%s", units_address_text(&p->address, text),
                 error_name(error));
    p->failures++;
    p->up = false;
    p->due_us = l->now_us + step_us / 2 + prng_below(&l->prng, step_us / 2 + 1);
    if (p->moved)
        p->due_us = l->now_us;
    p->moved = false;
    l->own_timer_stale = true;
    struct gt_event ev = {.kind = GT_LINK_DOWN, .peer = number, .error = error};
    feed(l, &ev);
}

static void peer_dial(struct loop *l, struct peer *p)
{
    const struct sockaddr *address = (const struct sockaddr *)&p->candidates[p->candidate++];
    p->due_us = l->now_us + DIAL_US;
    l->own_timer_stale = true;
    p->conn = conn_dial(&l->host, address);
    if (p->conn)
        p->conn->id = p->number;
    else
        peer_down(l, p, GT_ENOMEM);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct resolve *resolve = request->data;
    struct loop *l = resolve->loop;
    struct peer *p = resolve->peer;
    touch(l);
    if (p) {
        p->resolve = NULL;
        p->candidate = p->candidate_count = 0;
        for (struct addrinfo *a = found; status == 0 && a; a = a->ai_next)
            if (p->candidate_count < CANDIDATES_MAX && a->ai_addrlen <= sizeof(p->candidates[0]))
                memcpy(&p->candidates[p->candidate_count++], a->ai_addr, a->ai_addrlen);
        if (p->candidate_count > 0 && !l->ending)
            peer_dial(l, p);
        else
            peer_down(l, p, GT_EADDRESS);
    }
    if (found)
        uv_freeaddrinfo(found);
    free(resolve);
}

/* From WAITING on: find the address, then dial. */
static void peer_try(struct loop *l, struct peer *p)
{
    struct sockaddr_storage *first = &p->candidates[0];
    p->candidate = 0;
    p->candidate_count = 1;
    if (uv_ip4_addr(p->address.host, p->address.port, (struct sockaddr_in *)first) == 0 ||
        uv_ip6_addr(p->address.host, p->address.port, (struct sockaddr_in6 *)first) == 0) {
        peer_dial(l, p);
        return;
    }
    char port[8];
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct resolve *resolve = calloc(1, sizeof(*resolve));
    snprintf(port, sizeof(port), "%u", p->address.port);
    p->due_us = UINT64_MAX;
    if (!resolve) {
        peer_down(l, p, GT_ENOMEM);
        return;
    }
    resolve->loop = l;
    resolve->peer = p;
    resolve->request.data = resolve;
    if (uv_getaddrinfo(&l->uv, &resolve->request, on_resolved, p->address.host, port, &hints) !=
        0) {
        free(resolve);
        peer_down(l, p, GT_EADDRESS);
        return;
    }
    p->resolve = resolve;
}

static void peer_connect(struct loop *l, uint64_t number, const struct address *address)
{
    struct peer *p = peer_find(l, number);
    if (l->ending)
        return;
    if (p && p->address.port == address->port && strcmp(p->address.host, address->host) == 0)
        return;
    if (!p)
        p = peer_add(l, number);
    p->address = *address;
    p->failures = 0;
    p->candidate_count = 0;
    resolve_abandon(p);
    if (p->conn) {
        p->moved = true;
        conn_close(p->conn, GT_ECLOSED);
        return;
    }
    /* The own timer dials: a machine that connects is inside its step's effects here. */
    p->due_us = l->now_us;
    l->own_timer_stale = true;
}

static void peer_remove(struct loop *l, struct peer *p)
{
    uint32_t place = peer_place(l, p->number);
    resolve_abandon(p);
    if (p->conn)
        conn_close(p->conn, GT_ECLOSED);
    l->peer_count--;
    memmove(&l->peers[place], &l->peers[place + 1], (l->peer_count - place) * sizeof(*l->peers));
    free(p);
}

static void peer_disconnect(struct loop *l, uint64_t number)
{
    struct peer *p = peer_find(l, number);
    if (p)
        peer_remove(l, p);
}

static void on_open(void *arg, struct conn *c)
{
    struct loop *l = arg;
    char text[UNITS_ADDRESS_BYTES];
    struct peer *p = peer_find(l, c->id);
    touch(l);
    if (!p || p->conn != c)
        return;
    p->up = true;
    p->up_us = l->now_us;
    p->due_us = UINT64_MAX;
    log_debug(l->config.log, "link up peer=%s", units_address_text(&p->address, text));
    struct gt_event ev = {.kind = GT_LINK_UP, .peer = c->id};
    feed(l, &ev);
}

static void peer_conn_closed(struct loop *l, struct conn *c)
{
    struct peer *p = peer_find(l, c->id);
    if (!p || p->conn != c)
        return; /* disconnected */
    p->conn = NULL;
    if (!p->up && !p->moved && !l->ending && p->candidate < p->candidate_count) {
        peer_dial(l, p);
        return;
    }
    /* Who answers, and refuses, is no better than who does not answer. */
    if (p->up && l->now_us - p->up_us >= BACKOFF_LAST_US)
        p->failures = 0;
    peer_down(l, p, c->error);
}

static void link_closed(struct loop *l, struct conn *c)
{
    if (!slots_find(l->links, c->id))
        return; /* refused: over the limit */
    slots_release(l->links, c->id);
    l->metrics.links_in_count--;
    if (!c->spoken)
        return; /* the machine never heard of it */
    struct gt_event ev = {.kind = GT_LINK_DOWN, .link = c->id, .error = c->error};
    feed(l, &ev);
}

static void on_closed(void *arg, struct conn *c)
{
    struct loop *l = arg;
    touch(l);
    for (struct conn **at = &l->dirty; c->dirty && *at; at = &(*at)->next_dirty)
        if (*at == c) {
            *at = c->next_dirty;
            break;
        }
    if (c->inbound)
        link_closed(l, c);
    else
        peer_conn_closed(l, c);
}

/* ---- the listener ---------------------------------------------------------------------------- */

static void on_connection(uv_stream_t *listener, int status)
{
    struct loop *l = listener->data;
    if (status != 0) {
        log_warn(l->config.log, "accept failed: %s", uv_strerror(status));
        return;
    }
    struct conn *c = conn_accept(&l->host, listener);
    if (!c) {
        log_warn(l->config.log, "accept failed: %s", error_text(GT_ENOMEM));
        return;
    }
    bool room = slots_used(l->links) + l->peer_count < l->config.sockets_max;
    uint64_t due_us = loop_now_us() + l->config.first_message_us;
    struct link *link = room ? slots_take(l->links, due_us, &c->id) : NULL;
    if (!link) {
        c->id = 0;
        l->metrics.links_refused_count++;
        log_warn(l->config.log, "link refused: %u are open", slots_used(l->links));
        conn_close(c, GT_EBUSY);
        return;
    }
    link->conn = c;
    l->own_timer_stale = true;
    l->metrics.links_in_count++;
}

static void on_listener_closed(uv_handle_t *handle)
{
    free(handle);
}

static void listener_close(struct loop *l)
{
    if (l->listener)
        uv_close((uv_handle_t *)l->listener, on_listener_closed);
    l->listener = NULL;
}

/* Says in words why the address cannot be used. */
static int listen_failed(const struct address *address, int uv_error, char text[MSG_TEXT_BYTES])
{
    char name[UNITS_ADDRESS_BYTES];
    units_address_text(address, name);
    switch (uv_error) {
    case UV_EADDRINUSE:
        snprintf(text, MSG_TEXT_BYTES, "%.120s is in use", name);
        break;
    case UV_EADDRNOTAVAIL:
        snprintf(text, MSG_TEXT_BYTES, "%.120s is not an address of this machine", name);
        break;
    case UV_EACCES:
        snprintf(text, MSG_TEXT_BYTES, "no permission to listen on %.120s", name);
        break;
    default:
        snprintf(text, MSG_TEXT_BYTES, "cannot listen on %.120s: %s", name, uv_strerror(uv_error));
        break;
    }
    return GT_EADDRESS;
}

static int lookup(struct loop *l, const struct address *address, struct sockaddr_storage *out)
{
    uv_getaddrinfo_t request;
    char port[8];
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    snprintf(port, sizeof(port), "%u", address->port);
    int rc = uv_getaddrinfo(&l->uv, &request, NULL, address->host, port, &hints);
    if (rc != 0)
        return rc;
    memcpy(out, request.addrinfo->ai_addr, request.addrinfo->ai_addrlen);
    uv_freeaddrinfo(request.addrinfo);
    return 0;
}

int loop_listen(struct loop *l, const struct address *address, struct address *bound,
                char text[MSG_TEXT_BYTES])
{
    struct sockaddr_storage at;
    int at_bytes = sizeof(at);
    gt_assert(!l->listener);
    text[0] = '\0';
    int rc = lookup(l, address, &at);
    if (rc != 0)
        return listen_failed(address, rc, text);
    uv_tcp_t *listener = calloc(1, sizeof(*listener));
    if (!listener || uv_tcp_init(&l->uv, listener) != 0) {
        free(listener);
        return listen_failed(address, UV_ENOMEM, text);
    }
    listener->data = l;
    l->listener = listener;
    rc = uv_tcp_bind(listener, (struct sockaddr *)&at, 0);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)listener, LISTEN_BACKLOG, on_connection);
    if (rc == 0)
        rc = uv_tcp_getsockname(listener, (struct sockaddr *)&at, &at_bytes);
    if (rc != 0) {
        listener_close(l);
        return listen_failed(address, rc, text);
    }
    struct address result = *address;
    result.port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                                 : ((struct sockaddr_in *)&at)->sin_port);
    *bound = result;
    return 0;
}

/* ---- storage --------------------------------------------------------------------------------- */

static void on_result(void *arg, const struct store_result *r)
{
    struct loop *l = arg;
    struct gt_event ev = {.kind = r->kind == STORE_LOAD   ? GT_LOADED
                                  : r->kind == STORE_SCAN ? GT_SCANNED
                                                          : GT_STORED,
                          .result = r};
    touch(l);
    feed(l, &ev);
}

static void on_poisoned(void *arg, int error)
{
    struct loop *l = arg;
    if (l->config.poisoned)
        l->config.poisoned(l->config.arg, l, error);
}

/* ---- the turn -------------------------------------------------------------------------------- */

static void on_machine_timer(uv_timer_t *timer)
{
    struct loop *l = timer->data;
    struct gt_event ev = {.kind = GT_TIMEOUT};
    l->machine_timer_us = UINT64_MAX;
    touch(l);
    feed(l, &ev);
}

/* A peer that waits, and whose time has come; NULL when there is none. */
static struct peer *peer_due(const struct loop *l)
{
    for (uint32_t i = 0; i < l->peer_count; i++) {
        struct peer *p = l->peers[i];
        bool dialing = p->conn && p->conn->state == CONN_DIALING;
        if (p->due_us <= l->now_us && !p->resolve && (!p->conn || dialing))
            return p;
    }
    return NULL;
}

static uint64_t own_due_us(const struct loop *l)
{
    uint64_t due_us = slots_deadline_us(l->links);
    for (uint32_t i = 0; i < l->peer_count && !l->ending; i++) {
        const struct peer *p = l->peers[i];
        bool dialing = p->conn && p->conn->state == CONN_DIALING;
        if (!p->resolve && (!p->conn || dialing) && p->due_us < due_us)
            due_us = p->due_us;
    }
    return due_us;
}

static void on_own_timer(uv_timer_t *timer)
{
    struct loop *l = timer->data;
    struct peer *p;
    uint64_t link;
    l->own_timer_us = UINT64_MAX;
    l->own_timer_stale = true;
    touch(l);
    while ((link = slots_expired(l->links, l->now_us)) != 0) {
        slots_set_deadline(l->links, link, UINT64_MAX);
        conn_close(link_conn(l, link), GT_ETIMEOUT);
    }
    while (!l->ending && (p = peer_due(l)) != NULL) {
        if (p->conn)
            conn_close(p->conn, GT_ETIMEOUT);
        else
            peer_try(l, p);
    }
}

static void flush_dirty(struct loop *l)
{
    while (l->dirty) {
        struct conn *c = l->dirty;
        l->dirty = c->next_dirty;
        c->dirty = false;
        conn_flush(c);
    }
}

static void turn_end(struct loop *l)
{
    if (l->store && l->submitted) {
        l->submitted = false;
        store_poll(l->store);
    }
    flush_dirty(l);
    if (!l->ended)
        timer_set(l, &l->machine_timer, on_machine_timer,
                  l->config.machine.deadline_us(l->config.machine.self), &l->machine_timer_us);
    if (l->own_timer_stale) {
        l->own_timer_stale = false;
        timer_set(l, &l->own_timer, on_own_timer, own_due_us(l), &l->own_timer_us);
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    turn_end(prepare->data);
}

static void on_check(uv_check_t *check)
{
    turn_end(check->data);
}

static void on_async(uv_async_t *async)
{
    struct loop *l = async->data;
    touch(l);
    if (l->config.wake && !l->ended)
        l->config.wake(l->config.arg, l);
}

void loop_wake(struct loop *l)
{
    uv_async_send(&l->async);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct loop *l = signal->data;
    log_info(l->config.log, "stopping signal=%s", number == SIGINT ? "SIGINT" : "SIGTERM");
    loop_stop(l, 0);
}

/* ---- a loop's life --------------------------------------------------------------------------- */

static int handles_open(struct loop *l)
{
    if (uv_async_init(&l->uv, &l->async, on_async) != 0)
        return GT_ENOMEM;
    uv_prepare_init(&l->uv, &l->prepare);
    uv_check_init(&l->uv, &l->check);
    uv_timer_init(&l->uv, &l->machine_timer);
    uv_timer_init(&l->uv, &l->own_timer);
    uv_signal_init(&l->uv, &l->terminate);
    uv_signal_init(&l->uv, &l->interrupt);
    l->async.data = l->prepare.data = l->check.data = l->machine_timer.data = l->own_timer.data =
        l->terminate.data = l->interrupt.data = l;
    uv_prepare_start(&l->prepare, on_prepare);
    uv_check_start(&l->check, on_check);
    if (l->config.handle_signals) {
        uv_signal_start(&l->terminate, on_signal, SIGTERM);
        uv_signal_start(&l->interrupt, on_signal, SIGINT);
        signal(SIGPIPE, SIG_IGN);
    }
    return 0;
}

static void handles_close(struct loop *l)
{
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->check, NULL);
    uv_close((uv_handle_t *)&l->machine_timer, NULL);
    uv_close((uv_handle_t *)&l->own_timer, NULL);
    uv_close((uv_handle_t *)&l->terminate, NULL);
    uv_close((uv_handle_t *)&l->interrupt, NULL);
}

static void config_defaults(struct loop_config *c)
{
    if (c->body_bytes_max == 0)
        c->body_bytes_max = frame_limit(VALUE_BYTES_LIMIT);
    if (c->first_message_us == 0)
        c->first_message_us = FIRST_MESSAGE_US;
    if (c->links_max == 0)
        c->links_max = LINKS_DEFAULT;
    if (c->sockets_max == 0)
        c->sockets_max = UINT32_MAX;
    if (c->link_queue_bytes == 0)
        c->link_queue_bytes = 2 * c->body_bytes_max > QUEUE_DEFAULT_BYTES ? 2 * c->body_bytes_max
                                                                          : QUEUE_DEFAULT_BYTES;
}

int loop_new(const struct loop_config *c, struct loop **out)
{
    int error = GT_ENOMEM;
    if (descriptors_free(DESCRIPTORS_MIN) < DESCRIPTORS_MIN)
        return GT_EDESCRIPTORS;
    struct loop *l = calloc(1, sizeof(*l));
    if (!l)
        return GT_ENOMEM;
    l->config = *c;
    config_defaults(&l->config);
    prng_init(&l->prng, c->seed);
    effects_init(&l->fx);
    l->machine_timer_us = l->own_timer_us = UINT64_MAX;
    l->host = (struct conn_host){.uv = &l->uv,
                                 .log = c->log,
                                 .metrics = &l->metrics,
                                 .read_buffer = l->read_buffer,
                                 .body_bytes_max = l->config.body_bytes_max,
                                 .queue_bytes_max = l->config.link_queue_bytes,
                                 .arg = l,
                                 .on_open = on_open,
                                 .on_read = on_read,
                                 .on_body = on_body,
                                 .on_closed = on_closed};
    touch(l);
    l->decoder = msg_decoder_new();
    l->links = slots_new(l->config.links_max, sizeof(struct link));
    if (!l->decoder || !l->links || uv_loop_init(&l->uv) != 0)
        goto fail_memory;
    if (handles_open(l) != 0)
        goto fail_uv;
    struct store_callbacks callbacks = {.arg = l, .result = on_result, .poisoned = on_poisoned};
    if (c->engine && (error = store_open(c->engine, &l->uv, &callbacks, c->log, &l->store)) != 0)
        goto fail_handles;
    *out = l;
    return 0;
fail_handles:
    handles_close(l);
    uv_close((uv_handle_t *)&l->async, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
fail_uv:
    uv_loop_close(&l->uv);
fail_memory:
    slots_free(l->links);
    msg_decoder_free(l->decoder);
    free(l);
    return error;
}

void loop_stop(struct loop *l, int error)
{
    if (l->stop_error == 0)
        l->stop_error = error;
    l->stopping = true;
    uv_stop(&l->uv);
}

static void each_link_quiet(void *arg, uint64_t id, void *slot)
{
    (void)arg, (void)id;
    conn_stop_reading(((struct link *)slot)->conn);
}

static void each_link_close(void *arg, uint64_t id, void *slot)
{
    (void)arg, (void)id;
    conn_close(((struct link *)slot)->conn, GT_ECLOSED);
}

static void each_link_unsent(void *arg, uint64_t id, void *slot)
{
    const struct conn *c = ((struct link *)slot)->conn;
    (void)id;
    if (c->state == CONN_OPEN && c->count > 0)
        *(bool *)arg = true;
}

static bool anything_unsent(struct loop *l)
{
    bool unsent = false;
    slots_each(l->links, each_link_unsent, &unsent);
    return unsent;
}

static void on_flush_timer(uv_timer_t *timer)
{
    (void)timer; /* it only ends the wait for the kernel */
}

static void flush_all(struct loop *l)
{
    uint64_t end_us = loop_now_us() + FINISH_US;
    flush_dirty(l);
    uv_update_time(&l->uv);
    uv_timer_start(&l->machine_timer, on_flush_timer, FINISH_US / 1000, 0);
    while (anything_unsent(l) && loop_now_us() < end_us)
        uv_run(&l->uv, UV_RUN_ONCE);
}

static void store_end(struct loop *l)
{
    if (!l->store)
        return;
    int error = store_close(l->store);
    l->store = NULL;
    if (error)
        log_error(l->config.log, "storage did not end in order error=%s", error_name(error));
    if (l->stop_error == 0)
        l->stop_error = error;
}

/* Everything but the async handle, which other threads may still signal. */
static void shut_down(struct loop *l)
{
    l->ending = true;
    listener_close(l);
    slots_each(l->links, each_link_quiet, NULL);
    for (uint32_t i = 0; i < l->peer_count; i++)
        if (l->peers[i]->conn)
            conn_stop_reading(l->peers[i]->conn);
    store_end(l);
    l->ended = true;
    flush_all(l);
    while (l->peer_count > 0)
        peer_remove(l, l->peers[l->peer_count - 1]);
    slots_each(l->links, each_link_close, NULL);
    flush_dirty(l);
    handles_close(l);
    uv_unref((uv_handle_t *)&l->async);
    while (uv_run(&l->uv, UV_RUN_DEFAULT) != 0)
        ;
}

/* A write to a connection that the other side has closed must not kill a process that does not
 * ignore SIGPIPE: it is blocked on this thread while the loop runs, and eaten afterwards. */
static void sigpipe_block(sigset_t *before)
{
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &only, before);
}

static void sigpipe_restore(const sigset_t *before)
{
    sigset_t only;
    struct timespec now = {0, 0};
    sigemptyset(&only);
    sigaddset(&only, SIGPIPE);
    if (!sigismember(before, SIGPIPE))
        while (sigtimedwait(&only, NULL, &now) == SIGPIPE)
            ;
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

int loop_run(struct loop *l)
{
    sigset_t before;
    struct gt_event start = {.kind = GT_START};
    sigpipe_block(&before);
    loop_feed(l, &start);
    while (!l->stopping)
        uv_run(&l->uv, UV_RUN_DEFAULT);
    shut_down(l);
    sigpipe_restore(&before);
    return l->stop_error;
}

const struct net_metrics *loop_metrics(const struct loop *l)
{
    return &l->metrics;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    if (!l->ended)
        shut_down(l);
    uv_close((uv_handle_t *)&l->async, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&l->uv);
    gt_assert(rc == 0);
    effects_close(&l->fx);
    slots_free(l->links);
    msg_decoder_free(l->decoder);
    free(l->peers);
    free(l);
}
