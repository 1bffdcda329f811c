/*
 * Several node machines in one array, each on a real engine over a disk and an index in memory,
 * with a tiny network between them. Clients and the manager are the test itself.
 */
#ifndef GT_TESTS_LIB_NODES_H
#define GT_TESTS_LIB_NODES_H

#include "node/node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/prng.h"
#include "engine/values.h"
#include "net/frame.h"
#include "tests/lib/memdisk.h"
#include "tests/lib/memindex.h"

/* ---- the world ------------------------------------------------------------------------------- */

#define HOSTS       5
#define TEST        -1 /* the test's side of a connection: a client, a manager, or a raw node */
#define CONNS_MAX   512
#define PACKETS_MAX 4096
#define MANAGER     1

struct host {
    struct disk *disk;
    struct index *index;
    struct engine *e;
    struct node *n;
    struct events *events; /* of its node; NULL: none are kept */
    bool alive, log_held;
    int64_t clock_us; /* its wall clock, less that of the world */
    uint32_t inflight_max;
    uint32_t digest_above;
    size_t piece_bytes_max;
    uint64_t operations_bytes_max;
    bool born_filling; /* when its folder is empty */
    /* What the machine told its program. */
    uint32_t ready;
    int failed;
    char fail_text[MSG_TEXT_BYTES];
    uint64_t client; /* conn of the client to it */
};

struct conn {
    int from, to;
    uint64_t peer; /* from's name of it; link is the index + 1 at `to` */
    bool open, closed_by_to;
};

struct packet {
    uint32_t conn;
    bool back; /* from `to` to `from` */
    struct blob *body;
};

/* An answer, copied out of its message. */
struct answer {
    enum msg_type type;
    uint64_t id;
    int error;
    enum outcome outcome;
    uint32_t flags, owners, guests, shown, total;
    char text[MSG_TEXT_BYTES], value[64], label[64], values[256];
    struct epoch epoch;
    uint64_t stamp, seen;
    uint8_t context[512];
    size_t context_bytes;
    struct blob *body; /* whole */
};

struct world {
    struct host hosts[HOSTS];
    uint32_t count;
    struct log log;
    struct conn conns[CONNS_MAX];
    uint32_t conn_count;
    struct packet packets[PACKETS_MAX];
    uint32_t head, tail;
    bool cut[HOSTS][HOSTS]; /* packets from a to b vanish */
    bool mute;              /* nobody is asked for its clock: no pull repairs what a read shall */
    enum msg_type held;     /* messages of that type are kept back, 0 = of none */
    struct packet kept[64];
    uint32_t kept_count;
    uint32_t pull_bytes; /* of one reply of a pull; 0 = as usual */
    bool doubles; /* the reply to a PULL comes once more when the second one after it is asked */
    struct blob *doubled[2];
    struct msg_decoder *decoder;
    struct prng prng;
    uint64_t now_us;
    uint64_t wall_base_us; /* the wall clock of all hosts, less now_us */
    uint64_t next_id;
    struct answer answers[256]; /* a ring */
    uint32_t answer_count;
    struct blob *to_manager[256]; /* what hosts sent to peer MANAGER */
    uint32_t manager_count, manager_conn;
    struct ring *ring;
    bool with_manager;
};

static __attribute__((unused)) uint32_t unstored_lines; /* of pulls */

static inline void line(void *arg, enum log_level level, const char *text)
{
    (void)arg;
    unstored_lines += strncmp(text, "pulled state not stored", 23) == 0;
    if (getenv("GT_TEST_LOG"))
        fprintf(stderr, "%s %s\n", log_level_name(level), text);
}

static const uint8_t cluster_id[CLUSTER_ID_BYTES] = "the test cluster";

static inline uint64_t id_of(struct world *w, int host)
{
    return engine_identity(w->hosts[host].e)->node_id;
}

static inline int host_of(struct world *w, uint64_t id)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (w->hosts[i].e && id_of(w, (int)i) == id)
            return (int)i;
    return TEST;
}

static inline uint64_t wall_us(const struct world *w)
{
    return w->wall_base_us + w->now_us;
}

static inline void feed(struct world *w, int host, struct gt_event *ev);

static inline void packet_push(struct world *w, uint32_t conn, bool back, const struct blob *frame)
{
    const struct conn *c = &w->conns[conn];
    int from = back ? c->to : c->from, to = back ? c->from : c->to;
    if (!c->open || (from >= 0 && to >= 0 && w->cut[from][to]))
        return;
    struct packet *p = &w->packets[w->tail++ % PACKETS_MAX];
    assert_true(w->tail - w->head < PACKETS_MAX);
    *p = (struct packet){
        conn, back, blob_copy(frame->data + FRAME_HEADER_BYTES, frame->bytes - FRAME_HEADER_BYTES)};
}

static inline uint32_t conn_new(struct world *w, int from, int to, uint64_t peer)
{
    assert_true(w->conn_count < CONNS_MAX);
    w->conns[w->conn_count] = (struct conn){.from = from, .to = to, .peer = peer, .open = true};
    return w->conn_count++;
}

static inline uint32_t conn_find(struct world *w, int from, uint64_t peer)
{
    for (uint32_t i = w->conn_count; i-- > 0;)
        if (w->conns[i].from == from && w->conns[i].peer == peer && w->conns[i].open)
            return i;
    return UINT32_MAX;
}

static inline void conn_close(struct world *w, uint32_t i)
{
    struct conn *c = &w->conns[i];
    if (!c->open)
        return;
    c->open = false;
    struct gt_event down = {.kind = GT_LINK_DOWN, .error = GT_ECLOSED};
    if (c->from >= 0 && w->hosts[c->from].alive) {
        down.peer = c->peer;
        feed(w, c->from, &down);
    }
    if (c->to >= 0 && w->hosts[c->to].alive) {
        down.peer = 0;
        down.link = i + 1;
        feed(w, c->to, &down);
    }
}

static inline void connect_to(struct world *w, int from, uint64_t peer)
{
    int to = peer == MANAGER ? TEST : host_of(w, peer);
    if (peer == MANAGER ? !w->with_manager : to == TEST || !w->hosts[to].alive)
        return;
    if (conn_find(w, from, peer) != UINT32_MAX)
        return;
    uint32_t i = conn_new(w, from, to, peer);
    if (peer == MANAGER)
        w->manager_conn = i;
    struct gt_event up = {.kind = GT_LINK_UP, .peer = peer};
    feed(w, from, &up);
}

static inline void carry_out(struct world *w, int host, struct gt_effects *fx)
{
    struct host *h = &w->hosts[host];
    for (uint32_t i = 0; i < fx->count; i++) {
        struct gt_effect *e = &fx->items[i];
        uint32_t conn;
        switch (e->kind) {
        case GT_SEND:
            conn = conn_find(w, host, e->peer);
            if (conn != UINT32_MAX)
                packet_push(w, conn, false, e->frame);
            break;
        case GT_REPLY:
            packet_push(w, (uint32_t)e->link - 1, true, e->frame);
            break;
        case GT_STORE:
        case GT_LOAD:
        case GT_SCAN:
            engine_submit(h->e, &e->request, w->now_us);
            e->request.hold = NULL;
            break;
        case GT_CONNECT:
            connect_to(w, host, e->peer);
            break;
        case GT_DISCONNECT:
            conn = conn_find(w, host, e->peer);
            if (conn != UINT32_MAX)
                conn_close(w, conn);
            break;
        case GT_CLOSE:
            w->conns[e->link - 1].closed_by_to = true;
            break;
        case GT_READY:
            h->ready++;
            break;
        case GT_IDENTITY:
            if (e->identity.whole)
                assert_int_equal(engine_whole(h->e), 0);
            else if (e->identity.above)
                assert_int_equal(engine_renew_incarnation(h->e, e->identity.above, wall_us(w)), 0);
            else
                assert_int_equal(engine_set_cluster(h->e, e->identity.cluster_id), 0);
            node_set_identity(h->n, engine_identity(h->e));
            break;
        case GT_FAIL:
            h->failed = e->fail.error;
            snprintf(h->fail_text, sizeof(h->fail_text), "%s", e->fail.text);
            break;
        case GT_DONE:
            fail();
        }
    }
    effects_close(fx);
}

static inline void feed(struct world *w, int host, struct gt_event *ev)
{
    struct gt_effects fx;
    effects_init(&fx);
    ev->now_us = w->now_us;
    ev->wall_us = wall_us(w) + (uint64_t)w->hosts[host].clock_us;
    node_step(w->hosts[host].n, ev, &fx);
    carry_out(w, host, &fx);
}

static inline void text_copy(char *to, size_t bytes, struct slice from)
{
    snprintf(to, bytes, "%.*s", (int)from.bytes, (const char *)from.data);
}

static inline void head_copy(struct answer *a, const struct reply_head *head)
{
    a->error = head->error;
    a->outcome = head->outcome;
    a->flags = head->flags;
    a->owners = head->owners;
    a->guests = head->guests;
    text_copy(a->text, sizeof(a->text), head->text);
}

static inline void context_copy(struct answer *a, struct slice context)
{
    assert_true(context.bytes <= sizeof(a->context));
    if (context.bytes > 0)
        memcpy(a->context, context.data, context.bytes);
    a->context_bytes = context.bytes;
}

/* Siblings' values as "a,b" in the order of the reply; a tombstone is "-". */
static inline void siblings_copy(struct answer *a, const struct msg *m)
{
    a->shown = m->get_reply.sibling_count;
    a->total = m->get_reply.sibling_total;
    for (uint32_t i = 0; i < a->shown; i++) {
        const struct msg_sibling *s = &m->get_reply.siblings[i];
        size_t at = strlen(a->values);
        if (s->flags & SIBLING_TOMBSTONE)
            snprintf(a->values + at, sizeof(a->values) - at, "%s-", i ? "," : "");
        else
            snprintf(a->values + at, sizeof(a->values) - at, "%s%.*s", i ? "," : "",
                     (int)s->value.bytes, (const char *)s->value.data);
    }
    if (a->shown > 0)
        text_copy(a->value, sizeof(a->value), m->get_reply.siblings[0].value);
}

static inline void answer_take(struct world *w, const struct msg *m, struct blob *body)
{
    struct answer *a = &w->answers[w->answer_count++ % 256];
    blob_unref(a->body);
    memset(a, 0, sizeof(*a));
    a->type = m->type;
    a->id = m->id;
    a->epoch = m->epoch;
    a->body = blob_ref(body);
    switch (m->type) {
    case MSG_PUT_REPLY:
        head_copy(a, &m->put_reply.head);
        text_copy(a->label, sizeof(a->label), m->put_reply.label);
        context_copy(a, m->put_reply.context);
        a->stamp = m->put_reply.stamp;
        break;
    case MSG_GET_REPLY:
        head_copy(a, &m->get_reply.head);
        text_copy(a->label, sizeof(a->label), m->get_reply.label);
        context_copy(a, m->get_reply.context);
        siblings_copy(a, m);
        break;
    case MSG_SCAN_REPLY:
    case MSG_RANGE_REPLY:
        head_copy(a, &m->scan_reply.head);
        break;
    case MSG_STATE_REPLY:
    case MSG_PARCEL_REPLY:
        head_copy(a, &m->state_reply.head);
        break;
    case MSG_FETCH_REPLY:
        head_copy(a, &m->fetch_reply.head);
        break;
    case MSG_HELLO_REPLY:
        a->error = m->hello.error;
        a->seen = m->hello.seen_incarnation;
        break;
    default:
        break;
    }
}

static inline void reply_double(struct world *w, const struct packet *p, enum msg_type type)
{
    if (type == MSG_PULL && w->doubled[1])
        w->packets[w->tail++ % PACKETS_MAX] =
            (struct packet){p->conn, true, blob_ref(w->doubled[1])};
    if (type == MSG_PULL_REPLY) {
        blob_unref(w->doubled[1]);
        w->doubled[1] = w->doubled[0];
        w->doubled[0] = blob_ref(p->body);
    }
}

static inline void packet_deliver(struct world *w)
{
    struct packet p = w->packets[w->head++ % PACKETS_MAX];
    const struct conn *c = &w->conns[p.conn];
    int to = p.back ? c->from : c->to;
    struct msg m;
    if (c->open && (to == TEST || w->hosts[to].alive)) {
        assert_int_equal(msg_decode(w->decoder, slice_blob(p.body), &m), 0);
        if (w->doubles)
            reply_double(w, &p, m.type);
        if (to == TEST && p.back) {
            answer_take(w, &m, p.body);
        } else if (w->mute && m.type == MSG_CLOCKS) {
            /* lost */
        } else if (w->held && m.type == w->held) {
            assert_true(w->kept_count < 64);
            w->kept[w->kept_count++] = (struct packet){p.conn, p.back, blob_ref(p.body)};
        } else if (to == TEST) {
            assert_true(w->manager_count < 256);
            w->to_manager[w->manager_count++] = blob_ref(p.body);
        } else {
            struct gt_event ev = {.kind = GT_MESSAGE, .message = {&m, p.body}};
            if (p.back)
                ev.peer = c->peer;
            else
                ev.link = p.conn + 1;
            feed(w, to, &ev);
        }
        if (m.type == MSG_MAP)
            ring_unref(m.map.ring);
    }
    blob_unref(p.body);
}

/* Jobs to their end, results into the machine. True when anything happened. */
static inline bool engine_turn(struct world *w, int host)
{
    struct host *h = &w->hosts[host];
    struct store_result r;
    bool any = false;
    if (!h->alive)
        return false;
    while (engine_result(h->e, &r)) {
        struct gt_event ev = {.kind = r.kind == STORE_LOAD   ? GT_LOADED
                                      : r.kind == STORE_SCAN ? GT_SCANNED
                                                             : GT_STORED,
                              .result = &r};
        feed(w, host, &ev);
        store_result_release(&r);
        any = true;
    }
    for (int lane = 0; lane < ENGINE_LANES; lane++) {
        if (h->log_held && lane == ENGINE_LOG)
            continue;
        struct engine_job *job = engine_job(h->e, (enum engine_lane)lane);
        if (!job)
            continue;
        engine_job_run(job);
        engine_job_done(h->e, job);
        any = true;
    }
    return any;
}

/* Until nothing moves without time. */
static inline void run(struct world *w)
{
    bool any = true;
    while (any) {
        any = false;
        while (w->head != w->tail) {
            packet_deliver(w);
            any = true;
        }
        for (uint32_t i = 0; i < w->count; i++) {
            any |= engine_turn(w, (int)i);
            if (w->hosts[i].alive && node_deadline_us(w->hosts[i].n) <= w->now_us) {
                struct gt_event ev = {.kind = GT_TIMEOUT};
                feed(w, (int)i, &ev);
                any = true;
            }
        }
    }
}

static inline void pass(struct world *w, uint64_t us)
{
    uint64_t end = w->now_us + us;
    while (w->now_us < end) {
        w->now_us += 10000;
        run(w);
    }
}

static inline void host_boot(struct world *w, int i)
{
    struct host *h = &w->hosts[i];
    struct engine_config config = {.disk = h->disk,
                                   .index = h->index,
                                   .log = &w->log,
                                   .role = "node",
                                   .seed = prng_next(&w->prng),
                                   .wall_us = wall_us(w),
                                   .segment_bytes = 1u << 20,
                                   .operations_bytes_max = h->operations_bytes_max,
                                   .born_filling = h->born_filling};
    struct engine_report report;
    assert_int_equal(engine_open(&config, &h->e, &report), 0);
    h->alive = true;
}

static inline bool filling_ask(void *arg, uint32_t partition, struct slice *sources)
{
    const struct host *h = arg;
    *sources = engine_fill_sources(h->e, partition);
    return engine_filling(h->e, partition);
}

static inline struct slice cursor_ask(void *arg, uint32_t partition)
{
    const struct host *h = arg;
    return engine_cursor(h->e, partition);
}

static inline bool holds_ask(void *arg, uint32_t partition)
{
    const struct host *h = arg;
    return engine_holds(h->e, partition);
}

static inline void node_boot(struct world *w, int i)
{
    struct host *h = &w->hosts[i];
    const struct blob *map = engine_meta(h->e, "map");
    struct blob *given = map || !w->ring ? NULL : msg_map_bytes(w->ring);
    struct node_config config = {.log = &w->log,
                                 .events = h->events,
                                 .seed = 1,
                                 .identity = *engine_identity(h->e),
                                 .self = {.capacity = 1, .state = MEMBER_UP},
                                 .map = map ? map : given,
                                 .peers = engine_meta(h->e, "peers"),
                                 .stamp_max = engine_stamp_max(h->e),
                                 .join_timeout_us = 30000000,
                                 .inflight_max = h->inflight_max,
                                 .filling = filling_ask,
                                 .cursor = cursor_ask,
                                 .holds = holds_ask,
                                 .filling_arg = h,
                                 .digest_above = h->digest_above,
                                 .pull_bytes = w->doubles ? 100 : w->pull_bytes,
                                 .piece_bytes_max = h->piece_bytes_max};
    snprintf(config.self.address.host, sizeof(config.self.address.host), "127.0.0.1");
    config.self.address.port = (uint16_t)(7000 + i);
    if (w->with_manager) {
        config.manager_count = 1;
        snprintf(config.managers[0].host, sizeof(config.managers[0].host), "127.0.0.1");
        config.managers[0].port = 5000;
    }
    assert_int_equal(node_new(&config, &h->n), 0);
    blob_unref(given);
    struct gt_event start = {.kind = GT_START};
    feed(w, i, &start);
}

static inline void send_to(struct world *w, uint64_t conn, struct msg *m)
{
    struct blob *frame = msg_frame(m);
    packet_push(w, (uint32_t)conn, w->conns[conn].from != TEST, frame);
    blob_unref(frame);
}

static inline const struct answer *answer_of(struct world *w, uint64_t id)
{
    for (uint32_t i = 0; i < 256; i++)
        if (w->answers[i].id == id && w->answers[i].body)
            return &w->answers[i];
    return NULL;
}

static inline struct msg hello_of(struct world *w, enum role role)
{
    struct msg m = {.type = MSG_HELLO, .id = ++w->next_id};
    m.hello.role = role;
    m.hello.protocol_min = MSG_PROTOCOL_MIN;
    m.hello.protocol_max = MSG_PROTOCOL_MAX;
    return m;
}

static inline void client_connect(struct world *w, int host)
{
    w->hosts[host].client = conn_new(w, TEST, host, 0);
    struct msg m = hello_of(w, ROLE_CLIENT);
    send_to(w, w->hosts[host].client, &m);
}

struct shape {
    uint32_t nodes, replicas, r, w, partitions;
};

static inline void world_init(struct world *w, uint32_t nodes)
{
    memset(w, 0, sizeof(*w));
    w->count = nodes;
    w->now_us = 1000000;
    w->wall_base_us = 1700000000000000u;
    w->decoder = msg_decoder_new();
    prng_init(&w->prng, 7);
    log_init(&w->log, LOG_INFO, line, NULL);
    for (uint32_t i = 0; i < nodes; i++) {
        w->hosts[i].disk = memdisk_new();
        w->hosts[i].index = memindex_new();
        host_boot(w, (int)i);
    }
}

/* Partition p is owned by hosts p, p+1, ... (mod nodes). */
static inline struct ring *ring_of(struct world *w, struct shape s, uint64_t counter)
{
    struct ring *r = ring_new(s.nodes, s.partitions);
    r->epoch = (struct epoch){1, counter};
    memcpy(r->cluster_id, cluster_id, CLUSTER_ID_BYTES);
    r->formed = true;
    r->settings = (struct settings){.replicas = s.replicas,
                                    .read_quorum = s.r,
                                    .write_quorum = s.w,
                                    .partitions = s.partitions,
                                    .form_nodes = s.nodes,
                                    .value_bytes_max = 4096};
    for (uint32_t i = 0; i < s.nodes; i++) {
        struct member *m = &r->members[i];
        m->id = id_of(w, (int)i);
        m->incarnation = engine_identity(w->hosts[i].e)->incarnation;
        snprintf(m->label, sizeof(m->label), "node%u", i + 1);
        snprintf(m->address.host, sizeof(m->address.host), "127.0.0.1");
        m->address.port = (uint16_t)(7000 + i);
        m->capacity = 1;
        m->state = MEMBER_UP;
    }
    for (uint32_t p = 0; p < s.partitions; p++) {
        r->arcs[p].owner_count = (uint8_t)s.replicas;
        for (uint32_t k = 0; k < s.replicas; k++)
            r->arcs[p].owners[k] = (uint16_t)((p + k) % s.nodes);
    }
    return r;
}

static inline struct world *world_new(struct shape s)
{
    struct world *w = malloc(sizeof(*w));
    world_init(w, s.nodes);
    for (uint32_t i = 0; i < s.nodes; i++)
        assert_int_equal(engine_set_cluster(w->hosts[i].e, cluster_id), 0);
    w->ring = ring_of(w, s, 1);
    return w;
}

static inline void world_start(struct world *w)
{
    for (uint32_t i = 0; i < w->count; i++)
        node_boot(w, (int)i);
    for (uint32_t i = 0; i < w->count; i++)
        client_connect(w, (int)i);
    run(w);
}

static inline struct world *cluster(uint32_t nodes, uint32_t replicas, uint32_t r, uint32_t wq)
{
    struct world *w = world_new((struct shape){nodes, replicas, r, wq, 16});
    world_start(w);
    return w;
}

/* One host, and a member of the map that is none of the world's: the test plays it. */
#define OUTSIDER 5555

static inline void outsider_add(struct world *w)
{
    struct ring *r = ring_copy(w->ring, 2);
    r->epoch.counter++;
    r->members[1] = r->members[0];
    r->members[1].id = OUTSIDER;
    r->members[1].incarnation = 0;
    snprintf(r->members[1].label, sizeof(r->members[1].label), "outsider");
    ring_unref(w->ring);
    w->ring = r;
}

static inline struct world *host_and_outsider(void)
{
    struct world *w = world_new((struct shape){1, 1, 1, 1, 16});
    outsider_add(w);
    world_start(w);
    return w;
}

static inline void host_kill(struct world *w, int i)
{
    struct host *h = &w->hosts[i];
    h->alive = false;
    for (uint32_t k = 0; k < w->conn_count; k++)
        if (w->conns[k].from == i || w->conns[k].to == i)
            conn_close(w, k);
    run(w);
}

static inline void host_restart(struct world *w, int i)
{
    struct host *h = &w->hosts[i];
    if (h->alive)
        host_kill(w, i);
    node_free(h->n);
    engine_close(h->e, false);
    host_boot(w, i);
    node_boot(w, i);
    client_connect(w, i);
    for (uint32_t k = 0; k < w->count; k++)
        if ((int)k != i && w->hosts[k].alive)
            connect_to(w, (int)k, id_of(w, i));
    run(w);
}

static inline void world_free(struct world *w)
{
    while (w->kept_count > 0)
        blob_unref(w->kept[--w->kept_count].body);
    for (uint32_t i = 0; i < w->count; i++) {
        node_free(w->hosts[i].n);
        engine_close(w->hosts[i].e, false);
        w->hosts[i].disk->destroy(w->hosts[i].disk);
        w->hosts[i].index->destroy(w->hosts[i].index);
    }
    while (w->head != w->tail)
        blob_unref(w->packets[w->head++ % PACKETS_MAX].body);
    for (uint32_t i = 0; i < 256; i++)
        blob_unref(w->answers[i].body);
    for (uint32_t i = 0; i < w->manager_count; i++)
        blob_unref(w->to_manager[i]);
    msg_decoder_free(w->decoder);
    ring_unref(w->ring);
    free(w);
}

static inline void cut(struct world *w, int a, int b)
{
    w->cut[a][b] = w->cut[b][a] = true;
}

static inline void mend(struct world *w)
{
    memset(w->cut, 0, sizeof(w->cut));
}

/* ---- what clients do ------------------------------------------------------------------------- */

static inline struct slice context_of(const struct answer *a)
{
    return slice_of(a->context, a->context_bytes);
}

/* The message of a put; fields may be changed before it is sent. */
static inline struct msg put_of(struct world *w, const char *key, const char *value)
{
    struct msg m = {.type = MSG_PUT, .id = ++w->next_id};
    m.put.head.flags = value ? 0 : REQUEST_TOMBSTONE;
    le64_put(m.put.head.op, m.id);
    m.put.key = slice_text(key);
    m.put.value = value ? slice_text(value) : slice_of(NULL, 0);
    return m;
}

static inline uint64_t ask(struct world *w, int host, struct msg m)
{
    send_to(w, w->hosts[host].client, &m);
    run(w);
    return m.id;
}

static inline const struct answer *call(struct world *w, int host, struct msg m)
{
    uint64_t id = ask(w, host, m);
    const struct answer *a = answer_of(w, id);
    assert_non_null(a);
    return a;
}

static inline const struct answer *put(struct world *w, int host, const char *key,
                                       const char *value)
{
    struct msg m = put_of(w, key, value);
    m.put.head.flags |= REQUEST_PLAIN;
    return call(w, host, m);
}

static inline const struct answer *put_context(struct world *w, int host, const char *key,
                                               const char *value, struct slice context)
{
    struct msg m = put_of(w, key, value);
    m.put.context = context;
    return call(w, host, m);
}

static inline struct actor actor_of(struct world *w, int host)
{
    const struct engine_identity *i = engine_identity(w->hosts[host].e);
    return (struct actor){i->node_id, i->incarnation};
}

static inline struct msg get_of(struct world *w, const char *key)
{
    struct msg m = {.type = MSG_GET, .id = ++w->next_id};
    m.get.key = slice_text(key);
    return m;
}

static inline const struct answer *get(struct world *w, int host, const char *key)
{
    return call(w, host, get_of(w, key));
}

static inline const struct answer *get_all(struct world *w, int host, const char *key)
{
    struct msg m = get_of(w, key);
    m.get.head.flags = REQUEST_ALL;
    return call(w, host, m);
}

static inline void assert_value(const struct answer *a, const char *value)
{
    assert_int_equal(a->error, 0);
    assert_string_equal(a->value, value);
}

/* Host number k of the key's list. */
static inline int owner(struct world *w, const char *key, uint32_t k)
{
    return w->ring->arcs[ring_partition(w->ring, slice_text(key))].owners[k];
}

static inline int stranger(struct world *w, const char *key)
{
    uint32_t p = ring_partition(w->ring, slice_text(key));
    for (uint32_t i = 0; i < w->count; i++)
        if (ring_slot(w->ring, p, i) < 0)
            return (int)i;
    fail();
    return 0;
}

static inline uint64_t records_of(struct world *w, int host, const char *key)
{
    struct engine_partition part;
    engine_partition(w->hosts[host].e, ring_partition(w->ring, slice_text(key)), &part);
    return part.records;
}

static inline void map_give_to(struct world *w, int host, struct ring *r)
{
    struct msg m = {.type = MSG_MAP, .epoch = r->epoch};
    m.map.ring = r;
    struct blob *frame = msg_frame(&m);
    int from = 0;
    while (from == host || !w->hosts[from].alive)
        from++;
    uint32_t conn = conn_find(w, host, id_of(w, from));
    assert_int_not_equal(conn, UINT32_MAX);
    packet_push(w, conn, true, frame);
    blob_unref(frame);
    run(w);
}

#endif
