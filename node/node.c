/*
 * The node: one switch over events, one over messages; and what is neither coordination (coord*.c)
 * nor replica work (replica.c): hello, registration, heartbeats, the map, status.
 *
 *   hello out  LINK_UP -> HELLO -> HELLO_REPLY: up | GT_EINCARNATION: draw above, say hello again
 *   hello in   HELLO -> incarnation above what was seen: durable first -> HELLO_REPLY
 *   joining    manager up -> REGISTER -> accepted: [ cluster id stored ] -> [ label stored ] ->
 * READY a map      MAP, newer, of this cluster -> STORE META -> STORED -> acted on
 *
 * What waits for storage ends by STORED; a hello or registration that is not answered ends with its
 * link; joining ends by the join timeout. Invariant: nothing is told to anyone that a restart of
 * this process could take back (cluster id, map, incarnations seen).
 */
#include "node/node.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "net/status.h"
#include "node/node_private.h"

#define SEEN_BYTES 16u

static const uint8_t no_cluster[CLUSTER_ID_BYTES];

static bool cluster_none(const uint8_t id[CLUSTER_ID_BYTES])
{
    return memcmp(id, no_cluster, CLUSTER_ID_BYTES) == 0;
}

static bool cluster_same(const uint8_t a[CLUSTER_ID_BYTES], const uint8_t b[CLUSTER_ID_BYTES])
{
    return memcmp(a, b, CLUSTER_ID_BYTES) == 0;
}

/* ---- small questions ------------------------------------------------------------------------- */

struct msg node_message(struct node *n, enum msg_type type, uint64_t id)
{
    struct msg m;
    memset(&m, 0, sizeof(m));
    m.type = type;
    m.id = id;
    if (n->ring)
        m.epoch = n->ring->epoch;
    m.stamp = hlc_now(&n->hlc, n->wall_us);
    return m;
}

struct peer *node_peer(const struct node *n, uint64_t id)
{
    uint32_t low = 0, high = n->peer_count;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (n->peers[mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low < n->peer_count && n->peers[low].id == id ? &n->peers[low] : NULL;
}

bool node_linked(const struct node *n, uint64_t id)
{
    const struct peer *p = node_peer(n, id);
    return p && p->up;
}

static uint32_t inbound_place(const struct node *n, uint64_t link)
{
    uint32_t low = 0, high = n->link_count;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (n->links[mid].link < link)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct inbound *node_inbound(const struct node *n, uint64_t link)
{
    uint32_t at = inbound_place(n, link);
    return at < n->link_count && n->links[at].link == link ? &n->links[at] : NULL;
}

const char *node_label(const struct node *n)
{
    return n->ring && n->member >= 0 ? n->ring->members[n->member].label : n->self.label;
}

const char *node_label_of(const struct node *n, uint64_t id)
{
    if (id == n->identity.node_id)
        return node_label(n);
    int i = n->ring ? ring_member_by_id(n->ring, id) : -1;
    return i >= 0 ? n->ring->members[i].label : "a former member";
}

/* ---- incarnations seen ----------------------------------------------------------------------- */

static struct seen *seen_find(const struct node *n, uint64_t id)
{
    for (uint32_t i = 0; i < n->seen_count; i++)
        if (n->seen[i].node == id)
            return &n->seen[i];
    return NULL;
}

uint64_t node_seen(const struct node *n, uint64_t id)
{
    const struct seen *s = seen_find(n, id);
    int i = n->ring ? ring_member_by_id(n->ring, id) : -1;
    uint64_t mapped = i >= 0 ? n->ring->members[i].incarnation : 0;
    return s && s->incarnation > mapped ? s->incarnation : mapped;
}

/* 0, or GT_ELIMIT, GT_ENOMEM: it cannot be remembered. */
static int seen_raise(struct node *n, uint64_t id, uint64_t incarnation)
{
    struct seen *s = seen_find(n, id);
    if (s && s->incarnation >= incarnation)
        return 0;
    if (!s) {
        if (n->seen_count == SEEN_MAX)
            return GT_ELIMIT;
        if (n->seen_count == n->seen_capacity) {
            uint32_t capacity = n->seen_capacity ? n->seen_capacity * 2 : 16;
            void *grown = realloc(n->seen, capacity * sizeof(*n->seen));
            if (!grown)
                return GT_ENOMEM;
            n->seen = grown;
            n->seen_capacity = capacity;
        }
        s = &n->seen[n->seen_count++];
        s->node = id;
    }
    s->incarnation = incarnation;
    n->seen_version++;
    return 0;
}

static int seen_read(struct node *n, const struct blob *bytes)
{
    struct reader r = reader_of(slice_blob(bytes));
    while (reader_left(&r) >= SEEN_BYTES) {
        uint64_t id = read_u64(&r), incarnation = read_u64(&r);
        int error = seen_raise(n, id, incarnation);
        if (error)
            return error;
    }
    n->seen_version = 0; /* all of it is durable */
    return reader_left(&r) == 0 ? 0 : GT_EFORMAT;
}

/* ---- small durable values -------------------------------------------------------------------- */

static bool meta_store(struct node *n, enum meta_kind kind, uint64_t version, struct slice value,
                       struct gt_effects *fx)
{
    static const char *const names[] = {"map", "peers", "label"};
    struct slice name = slice_text(names[kind]);
    uint64_t id;
    struct blob *hold = blob_new(name.bytes + value.bytes);
    struct slot *s = hold && n->metas < META_SLOTS ? slots_take(n->slots, UINT64_MAX, &id) : NULL;
    if (!s) {
        blob_unref(hold);
        return false;
    }
    n->metas++;
    s->kind = SLOT_META;
    s->meta.kind = kind;
    s->meta.version = version;
    memcpy(hold->data, name.data, name.bytes);
    if (value.bytes > 0)
        memcpy(hold->data + name.bytes, value.data, value.bytes);
    struct store_request r = {.kind = STORE_META,
                              .tag = id,
                              .hold = hold,
                              .key = slice_of(hold->data, name.bytes),
                              .value = slice_of(hold->data + name.bytes, value.bytes)};
    effects_store(fx, &r);
    return true;
}

static void seen_store(struct node *n, struct gt_effects *fx)
{
    buf_clear(&n->bytes);
    for (uint32_t i = 0; i < n->seen_count; i++) {
        buf_u64(&n->bytes, n->seen[i].node);
        buf_u64(&n->bytes, n->seen[i].incarnation);
    }
    if (!n->bytes.failed && meta_store(n, META_PEERS, n->seen_version, buf_slice(&n->bytes), fx))
        n->seen_storing = n->seen_version;
}

static void map_store(struct node *n, struct gt_effects *fx)
{
    struct blob *bytes = msg_map_bytes(n->map_next);
    if (bytes && meta_store(n, META_MAP, 0, slice_blob(bytes), fx)) {
        n->map_storing = n->map_next;
        n->map_next = NULL;
    }
    blob_unref(bytes);
}

/* ---- hello out, registration, heartbeats ----------------------------------------------------- */

static void hello_fill(const struct node *n, struct msg *m)
{
    m->hello.role = ROLE_NODE;
    m->hello.protocol_min = MSG_PROTOCOL_MIN;
    m->hello.protocol_max = MSG_PROTOCOL_MAX;
    memcpy(m->hello.cluster_id, n->identity.cluster_id, CLUSTER_ID_BYTES);
    m->hello.node = n->identity.node_id;
    m->hello.incarnation = n->identity.incarnation;
    m->hello.previous_incarnation = n->identity.previous_incarnation;
    m->hello.label = slice_text(node_label(n));
}

static void hello_send(struct node *n, uint64_t peer, struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_HELLO, ++n->next_id);
    hello_fill(n, &m);
    effects_send(fx, peer, &m);
}

static void register_send(struct node *n, uint64_t peer, struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_REGISTER, ++n->next_id);
    m.member.member = n->self;
    m.member.member.id = n->identity.node_id;
    m.member.member.incarnation = n->identity.incarnation;
    m.member.member.state = MEMBER_UP;
    m.member.previous_incarnation = n->identity.previous_incarnation;
    effects_send(fx, peer, &m);
}

static struct node_report report(const struct node *n)
{
    struct node_report r = {0};
    if (n->config.report)
        n->config.report(n->config.report_arg, &r);
    for (uint32_t i = 0; i < n->peer_count; i++)
        r.linked_peers += n->peers[i].up && !n->peers[i].manager;
    return r;
}

static void heartbeats_send(struct node *n, struct gt_effects *fx)
{
    n->heartbeat_at_us = n->now_us + n->config.heartbeat_us;
    struct node_report r = report(n);
    for (uint32_t i = 0; i < n->peer_count; i++) {
        const struct peer *p = &n->peers[i];
        if (!p->manager || !p->up)
            continue;
        if (!p->registered) {
            register_send(n, p->id, fx);
            continue;
        }
        struct msg m = node_message(n, MSG_HEARTBEAT, ++n->next_id);
        m.heartbeat.node = n->identity.node_id;
        m.heartbeat.incarnation = n->identity.incarnation;
        m.heartbeat.report = r;
        effects_send(fx, p->id, &m);
    }
}

static void fail(struct node *n, int error, const char *text, struct gt_effects *fx)
{
    if (n->failed)
        return;
    n->failed = true;
    effects_fail(fx, error, "%s", text);
}

static void fail_reply(struct node *n, int error, const char *who, struct slice why,
                       struct gt_effects *fx)
{
    char text[MSG_TEXT_BYTES];
    int shown = why.bytes < 120 ? (int)why.bytes : 120;
    if (shown > 0)
        snprintf(text, sizeof(text), "%s refuses this node: %.*s", who, shown,
                 (const char *)why.data);
    else
        snprintf(text, sizeof(text), "%s refuses this node: %s", who, error_text(error));
    fail(n, error, text, fx);
}

static void incarnation_renew(struct node *n, uint64_t above, struct gt_effects *fx)
{
    if (n->renewing || above < n->identity.incarnation)
        return; /* under way, or done since */
    log_warn(n->log, "a higher incarnation of this node was seen: drawing above it");
    n->renewing = true;
    effects_add(fx, GT_IDENTITY)->identity.above = above;
}

static void hello_reply(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    struct peer *p = node_peer(n, ev->peer);
    int error = m->hello.error;
    if (!p)
        return;
    bool other = !cluster_none(n->identity.cluster_id) && !cluster_none(m->hello.cluster_id) &&
                 !cluster_same(n->identity.cluster_id, m->hello.cluster_id);
    if (!error && other)
        error = GT_ECLUSTER;
    if (error == GT_EINCARNATION) {
        p->up = false;
        incarnation_renew(n, m->hello.seen_incarnation, fx);
    } else if (error) {
        p->up = false;
        log_warn(n->log, "hello refused by=%s cause=%s",
                 p->manager ? "manager" : node_label_of(n, p->id), error_text(error));
        if (p->manager)
            fail_reply(n, error, "the manager", m->hello.text, fx);
    } else if (!p->manager && m->hello.node != p->id) {
        p->up = false;
        log_warn(n->log, "another node answers at the address of=%s", node_label_of(n, p->id));
    } else {
        if (!p->manager && seen_raise(n, p->id, m->hello.incarnation) != 0)
            log_warn(n->log, "incarnation not remembered of=%s", node_label_of(n, p->id));
        p->up = true;
        if (p->manager)
            register_send(n, p->id, fx);
    }
}

static void label_take(struct node *n, struct slice label)
{
    if (n->label_known || label.bytes == 0 || label.bytes >= UNITS_LABEL_BYTES)
        return;
    memcpy(n->self.label, label.data, label.bytes);
    n->self.label[label.bytes] = 0;
    n->label_known = n->label_wanted = true;
}

static void register_reply(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    struct peer *p = node_peer(n, ev->peer);
    int error = m->register_reply.error;
    if (!p || !p->manager)
        return;
    bool joined = !cluster_none(n->identity.cluster_id);
    if (!error && joined && !cluster_same(n->identity.cluster_id, m->register_reply.cluster_id))
        error = GT_ECLUSTER;
    if (error == GT_EINCARNATION || error == GT_EBUSY) {
        log_warn(n->log, "registration put off cause=%s", error_text(error));
        return; /* asked again with the next heartbeat */
    }
    if (error) {
        fail_reply(n, error, "the manager", m->register_reply.text, fx);
        return;
    }
    p->registered = true;
    n->registered = true;
    label_take(n, m->register_reply.label);
    if (!joined && !cluster_none(m->register_reply.cluster_id)) {
        memcpy(n->cluster_id, m->register_reply.cluster_id, CLUSTER_ID_BYTES);
        n->cluster_wanted = true;
    }
}

static void heartbeat_reply(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    struct peer *p = node_peer(n, ev->peer);
    if (!p || !p->manager || ev->message.msg->heartbeat_reply.error != GT_ENOTFOUND)
        return;
    p->registered = false;
    register_send(n, p->id, fx);
}

/* ---- hello in -------------------------------------------------------------------------------- */

static struct inbound *inbound_new(struct node *n, uint64_t link)
{
    if (n->link_count == LINKS_MAX)
        return NULL;
    if (n->link_count == n->link_capacity) {
        uint32_t capacity = n->link_capacity ? n->link_capacity * 2 : 32;
        void *grown = realloc(n->links, capacity * sizeof(*n->links));
        if (!grown)
            return NULL;
        n->links = grown;
        n->link_capacity = capacity;
    }
    uint32_t at = inbound_place(n, link);
    memmove(&n->links[at + 1], &n->links[at], (n->link_count - at) * sizeof(*n->links));
    n->link_count++;
    n->links[at] = (struct inbound){.link = link};
    return &n->links[at];
}

static void inbound_drop(struct node *n, uint64_t link)
{
    uint32_t at = inbound_place(n, link);
    if (at == n->link_count || n->links[at].link != link)
        return;
    n->link_count--;
    memmove(&n->links[at], &n->links[at + 1], (n->link_count - at) * sizeof(*n->links));
}

static void hello_answer(struct node *n, uint64_t link, uint64_t id, int error, uint64_t seen,
                         const char *text, struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_HELLO_REPLY, id);
    hello_fill(n, &m);
    m.hello.error = error;
    m.hello.seen_incarnation = seen;
    m.hello.text = slice_text(text);
    effects_reply(fx, link, &m);
    if (error && error != GT_EINCARNATION)
        effects_close_link(fx, link);
}

static void hello_in(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    struct inbound *l = node_inbound(n, ev->link);
    if (!l)
        l = inbound_new(n, ev->link);
    if (!l || m->hello.role < ROLE_CLIENT || m->hello.role > ROLE_MANAGER ||
        (m->hello.role == ROLE_NODE && m->hello.node == 0)) {
        effects_close_link(fx, ev->link);
        return;
    }
    l->role = 0;
    l->hello_waits = 0;
    bool other = !cluster_none(n->identity.cluster_id) && !cluster_none(m->hello.cluster_id) &&
                 !cluster_same(n->identity.cluster_id, m->hello.cluster_id);
    if (other) {
        hello_answer(n, ev->link, m->id, GT_ECLUSTER, 0, "this node is of another cluster", fx);
        return;
    }
    if (m->hello.protocol_min > MSG_PROTOCOL_MAX || m->hello.protocol_max < MSG_PROTOCOL_MIN) {
        hello_answer(n, ev->link, m->id, GT_EFORMAT, 0, "no protocol version in common", fx);
        return;
    }
    if (m->hello.role != ROLE_NODE) {
        l->role = m->hello.role;
        hello_answer(n, ev->link, m->id, 0, 0, "", fx);
        return;
    }
    uint64_t seen = node_seen(n, m->hello.node);
    if (m->hello.incarnation < seen) {
        hello_answer(n, ev->link, m->id, GT_EINCARNATION, seen,
                     "a higher incarnation of this node was seen", fx);
        return;
    }
    if (seen_raise(n, m->hello.node, m->hello.incarnation) != 0) {
        effects_close_link(fx, ev->link);
        return;
    }
    l->node = m->hello.node;
    l->incarnation = m->hello.incarnation;
    l->hello_id = m->id;
    l->hello_waits = n->seen_version;
    if (l->hello_waits > n->seen_stored)
        return; /* answered when it is durable */
    l->hello_waits = 0;
    l->role = ROLE_NODE;
    hello_answer(n, ev->link, m->id, 0, 0, "", fx);
}

/* The incarnations seen up to a version are durable: the hellos that waited for it are answered. */
static void hellos_answer(struct node *n, struct gt_effects *fx)
{
    for (uint32_t i = 0; i < n->link_count; i++) {
        struct inbound *l = &n->links[i];
        if (l->hello_waits == 0 || l->hello_waits > n->seen_stored)
            continue;
        l->hello_waits = 0;
        uint64_t seen = node_seen(n, l->node);
        if (l->incarnation < seen) {
            hello_answer(n, l->link, l->hello_id, GT_EINCARNATION, seen,
                         "a higher incarnation of this node was seen", fx);
            continue;
        }
        l->role = ROLE_NODE;
        hello_answer(n, l->link, l->hello_id, 0, 0, "", fx);
    }
}

/* ---- the map --------------------------------------------------------------------------------- */

static int peer_order(const void *a, const void *b)
{
    const struct peer *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Connections as managers and map want them; those that stay keep their state. */
static void peers_rebuild(struct node *n, struct gt_effects *fx)
{
    uint32_t members = n->ring ? n->ring->member_count : 0, count = 0;
    struct peer *peers = calloc(n->config.manager_count + members + 1, sizeof(*peers));
    gt_assert(peers); /* a machine cannot fail for memory */
    for (uint32_t i = 0; i < n->config.manager_count; i++)
        peers[count++] =
            (struct peer){.id = i + 1, .address = n->config.managers[i], .manager = true};
    for (uint32_t i = 0; i < members; i++) {
        const struct member *m = &n->ring->members[i];
        if ((int)i == n->member || m->id == n->identity.node_id || m->state == MEMBER_REMOVED)
            continue;
        peers[count++] = (struct peer){.id = m->id, .address = m->address};
    }
    qsort(peers, count, sizeof(*peers), peer_order);
    struct peer *old = n->peers;
    uint32_t old_count = n->peer_count;
    for (uint32_t i = 0; i < count; i++) {
        const struct peer *was = node_peer(n, peers[i].id);
        bool same = was && was->address.port == peers[i].address.port &&
                    strcmp(was->address.host, peers[i].address.host) == 0;
        if (same)
            peers[i] = *was;
        else
            effects_connect(fx, peers[i].id, &peers[i].address);
    }
    n->peers = peers;
    n->peer_count = count;
    for (uint32_t i = 0; i < old_count; i++) {
        const struct peer *now = node_peer(n, old[i].id);
        if (!now)
            effects_disconnect(fx, old[i].id);
        if (!now || (old[i].up && !now->up))
            coord_link_down(n, old[i].id, fx);
    }
    free(old);
}

/* Takes over one reference. */
static void map_adopt(struct node *n, struct ring *r, struct gt_effects *fx)
{
    ring_unref(n->ring);
    n->ring = r;
    n->member = ring_member_by_id(r, n->identity.node_id);
    if (n->member >= 0 && !n->self.label[0])
        snprintf(n->self.label, sizeof(n->self.label), "%s", r->members[n->member].label);
    log_info(n->log, "map epoch=%llu.%llu members=%u %s", (unsigned long long)r->epoch.ballot,
             (unsigned long long)r->epoch.counter, r->member_count,
             r->formed ? "formed" : "forming");
    peers_rebuild(n, fx);
}

static struct epoch epoch_known(const struct node *n)
{
    const struct ring *r = n->map_next ? n->map_next : n->map_storing ? n->map_storing : n->ring;
    return r ? r->epoch : (struct epoch){0, 0};
}

static void map_take(struct node *n, const struct gt_event *ev)
{
    struct ring *r = ev->message.msg->map.ring;
    const struct peer *p = node_peer(n, ev->peer);
    if (!r || !p || epoch_compare(r->epoch, epoch_known(n)) <= 0)
        return;
    const uint8_t *ours =
        cluster_none(n->identity.cluster_id) ? n->cluster_id : n->identity.cluster_id;
    if (!cluster_same(ours, r->cluster_id)) {
        if (!cluster_none(ours))
            log_warn(n->log, "map of another cluster ignored");
        return;
    }
    ring_unref(n->map_next);
    n->map_next = ring_ref(r);
}

/* Somebody acts by a newer map: asks for it, at most once in a while. */
static void map_ask(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    if (m->type == MSG_MAP || epoch_compare(m->epoch, epoch_known(n)) <= 0)
        return;
    if (n->map_asked_us != 0 && n->now_us < n->map_asked_us + SILENCE_US)
        return;
    const struct inbound *l = ev->link ? node_inbound(n, ev->link) : NULL;
    uint64_t whom = ev->peer ? ev->peer : l && l->role == ROLE_NODE ? l->node : 0;
    for (uint32_t i = 0; i < n->config.manager_count && !node_linked(n, whom); i++)
        whom = i + 1;
    if (!node_linked(n, whom))
        return;
    n->map_asked_us = n->now_us;
    struct msg ask = node_message(n, MSG_MAP_GET, ++n->next_id);
    effects_send(fx, whom, &ask);
}

static void map_give(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    struct msg reply = node_message(n, MSG_MAP, m->id);
    bool current = n->ring && epoch_compare(m->epoch, n->ring->epoch) == 0;
    reply.map.ring = current ? NULL : n->ring;
    effects_reply(fx, ev->link, &reply);
}

/* ---- status ---------------------------------------------------------------------------------- */

static enum member_state state_seen(const struct node *n, uint32_t i)
{
    const struct member *m = &n->ring->members[i];
    bool up = (int)i == n->member || node_linked(n, m->id);
    if (m->state != MEMBER_UP && m->state != MEMBER_DOWN)
        return m->state;
    return up ? MEMBER_UP : MEMBER_DOWN;
}

static void status_nodes(const struct node *n, struct status *st, bool *up)
{
    for (uint32_t i = 0; i < st->node_count; i++) {
        struct status_node *row = &st->nodes[i];
        bool self = (int)i == n->member;
        row->member = n->ring->members[i];
        row->member.state = state_seen(n, i);
        row->tokens = n->ring->formed ? ring_tokens_of(n->ring, i) : 0;
        row->report_known = self;
        if (self)
            row->report = report(n);
        row->heard_ms = self ? 0 : UINT64_MAX;
        up[i] = self || node_linked(n, row->member.id);
        up[i] = up[i] && row->member.state != MEMBER_CATCHING_UP;
    }
}

static void status_give(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_STATUS_REPLY, ev->message.msg->id);
    struct status st = {.verdict = VERDICT_UNAVAILABLE};
    uint32_t members = n->ring ? n->ring->member_count : 0;
    bool *up = calloc(members + 1, sizeof(*up));
    st.nodes = calloc(members + 1, sizeof(*st.nodes));
    if (!up || !st.nodes) {
        m.status_reply.error = GT_ENOMEM;
    } else {
        snprintf(st.source, sizeof(st.source), "%s", node_label(n));
        memcpy(st.cluster_id, n->identity.cluster_id, CLUSTER_ID_BYTES);
        if (n->ring) {
            st.epoch = n->ring->epoch;
            st.formed = n->ring->formed;
            st.registered = members;
            st.settings = n->ring->settings;
            st.node_count = members;
            status_nodes(n, &st, up);
            status_count(n->ring, up, &st);
        }
        m.status_reply.status = &st;
    }
    effects_reply(fx, ev->link, &m);
    free(up);
    free(st.nodes);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void meta_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                        struct gt_effects *fx)
{
    enum meta_kind kind = s->meta.kind;
    uint64_t version = s->meta.version;
    coord_end(n, id, s);
    if (r->result) {
        log_error(n->log, "own state not stored kind=%d cause=%s", kind, error_text(r->result));
        n->meta_retry_us = n->now_us + SILENCE_US;
    }
    switch (kind) {
    case META_MAP:
        if (r->result)
            ring_unref(n->map_storing); /* the next heartbeat shows that it is missing */
        else
            map_adopt(n, n->map_storing, fx);
        n->map_storing = NULL;
        break;
    case META_PEERS:
        n->seen_storing = 0;
        n->seen_stored = r->result ? n->seen_stored : version;
        hellos_answer(n, fx);
        break;
    case META_LABEL:
        n->label_storing = false;
        n->label_wanted = r->result != 0;
        break;
    }
}

static void stored(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct store_result *r = ev->result;
    struct slot *s = slots_find(n->slots, r->tag);
    if (!s)
        return; /* a read that ended before its storage answered */
    switch (s->kind) {
    case SLOT_PUT:
        put_stored(n, r->tag, s, r, fx);
        break;
    case SLOT_GET:
        get_loaded(n, r->tag, s, r, fx);
        break;
    case SLOT_SCAN:
        scan_scanned(n, r->tag, s, r, fx);
        break;
    case SLOT_REPLICA:
        replica_done(n, r->tag, s, r, fx);
        break;
    case SLOT_META:
        meta_stored(n, r->tag, s, r, fx);
        break;
    default:
        gt_unreachable("storage answers a slot of kind %d", s->kind);
    }
}

static void ping(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_PING_REPLY, ev->message.msg->id);
    effects_reply(fx, ev->link, &m);
}

static void request(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    if (m->type == MSG_HELLO) {
        hello_in(n, ev, fx);
        return;
    }
    const struct inbound *l = node_inbound(n, ev->link);
    bool among_nodes = m->type == MSG_STATE || m->type == MSG_FETCH || m->type == MSG_RANGE;
    if (!l || l->role == 0 || (among_nodes && l->role != ROLE_NODE)) {
        log_warn(n->log, "link closed: request before its hello type=%d", m->type);
        effects_close_link(fx, ev->link);
        return;
    }
    n->metrics.stale_count +=
        n->ring && m->epoch.ballot && epoch_compare(m->epoch, n->ring->epoch) != 0;
    switch (m->type) {
    case MSG_PING:
        ping(n, ev, fx);
        break;
    case MSG_PUT:
        put_begin(n, ev, fx);
        break;
    case MSG_GET:
        get_begin(n, ev, fx);
        break;
    case MSG_SCAN:
        scan_begin(n, ev, fx);
        break;
    case MSG_STATE:
        replica_state(n, ev, fx);
        break;
    case MSG_FETCH:
        replica_fetch(n, ev, fx);
        break;
    case MSG_RANGE:
        replica_range(n, ev, fx);
        break;
    case MSG_MAP_GET:
        map_give(n, ev, fx);
        break;
    case MSG_STATUS:
        status_give(n, ev, fx);
        break;
    default:
        log_warn(n->log, "link closed: no request to a node type=%d", m->type);
        effects_close_link(fx, ev->link);
    }
}

static void reply(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    switch (ev->message.msg->type) {
    case MSG_HELLO_REPLY:
        hello_reply(n, ev, fx);
        break;
    case MSG_PUT_REPLY:
    case MSG_GET_REPLY:
    case MSG_SCAN_REPLY:
        coord_relay(n, ev, fx);
        break;
    case MSG_STATE_REPLY:
        put_acked(n, ev, fx);
        break;
    case MSG_FETCH_REPLY:
        get_fetched(n, ev, fx);
        break;
    case MSG_RANGE_REPLY:
        scan_ranged(n, ev, fx);
        break;
    case MSG_MAP:
        map_take(n, ev);
        break;
    case MSG_REGISTER_REPLY:
        register_reply(n, ev, fx);
        break;
    case MSG_HEARTBEAT_REPLY:
        heartbeat_reply(n, ev, fx);
        break;
    default:
        break; /* an answer to nothing that a node asks */
    }
}

static void message(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    hlc_observe(&n->hlc, ev->message.msg->stamp);
    if (ev->peer)
        reply(n, ev, fx);
    else
        request(n, ev, fx);
    map_ask(n, ev, fx);
}

static void link_up(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    struct peer *p = node_peer(n, ev->peer);
    if (!p)
        return;
    p->connected = true;
    p->up = p->registered = false;
    hello_send(n, p->id, fx);
}

static void link_down(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    if (ev->link) {
        inbound_drop(n, ev->link);
        return;
    }
    struct peer *p = node_peer(n, ev->peer);
    if (!p)
        return;
    if (p->up)
        log_info(n->log, "link down to=%s", p->manager ? "manager" : node_label_of(n, p->id));
    p->connected = p->up = p->registered = false;
    coord_link_down(n, ev->peer, fx);
}

static void start(struct node *n, struct gt_effects *fx)
{
    n->started = true;
    n->join_deadline_us = n->now_us + n->config.join_timeout_us;
    n->heartbeat_at_us = n->now_us + n->config.heartbeat_us;
    peers_rebuild(n, fx);
}

static void join_fail(struct node *n, struct gt_effects *fx)
{
    char text[MSG_TEXT_BYTES] = "no manager answers:";
    for (uint32_t i = 0; i < n->config.manager_count; i++) {
        char address[UNITS_ADDRESS_BYTES];
        size_t at = strlen(text);
        snprintf(text + at, sizeof(text) - at, " %s",
                 units_address_text(&n->config.managers[i], address));
    }
    fail(n, GT_EUNREACHABLE, text, fx);
}

static void timeout(struct node *n, struct gt_effects *fx)
{
    uint64_t id;
    while ((id = slots_expired(n->slots, n->now_us)) != 0)
        coord_timeout(n, id, slots_find(n->slots, id), fx);
    if (!n->started)
        return;
    if (n->heartbeat_at_us <= n->now_us)
        heartbeats_send(n, fx);
    if (!n->ready && n->join_deadline_us <= n->now_us)
        join_fail(n, fx);
}

/* The identity has changed: whoever is connected hears it. */
static void rehello(struct node *n, struct gt_effects *fx)
{
    n->rehello = false;
    for (uint32_t i = 0; i < n->peer_count; i++)
        if (n->peers[i].connected)
            hello_send(n, n->peers[i].id, fx);
}

static void ready(struct node *n, struct gt_effects *fx)
{
    bool mapped = n->ring && n->ring->formed && n->member >= 0;
    bool joined = n->registered && !cluster_none(n->identity.cluster_id) && !n->cluster_wanted &&
                  !n->label_wanted;
    if (!mapped && !joined)
        return;
    n->ready = true;
    effects_ready(fx);
}

/* After every event: starts what has become possible. The cluster id is stored while nothing else
 * is on its way to storage, and nothing is sent there until it is. */
static void settle(struct node *n, struct gt_effects *fx)
{
    if (!n->started || n->failed)
        return;
    if (n->cluster_wanted && !n->joining && n->metas == 0) {
        n->joining = true;
        memcpy(effects_add(fx, GT_IDENTITY)->identity.cluster_id, n->cluster_id, CLUSTER_ID_BYTES);
    }
    if (n->rehello)
        rehello(n, fx);
    if (n->cluster_wanted)
        return;
    bool may_store = n->meta_retry_us <= n->now_us;
    if (may_store && n->seen_version > n->seen_stored && n->seen_storing == 0)
        seen_store(n, fx);
    if (may_store && n->map_next && !n->map_storing && !cluster_none(n->identity.cluster_id))
        map_store(n, fx);
    if (may_store && n->label_wanted && !n->label_storing)
        n->label_storing = meta_store(n, META_LABEL, 0, slice_text(n->self.label), fx);
    if (!n->ready)
        ready(n, fx);
}

void node_step(struct node *n, const struct gt_event *ev, struct gt_effects *out)
{
    n->now_us = ev->now_us;
    n->wall_us = ev->wall_us;
    switch (ev->kind) {
    case GT_START:
        start(n, out);
        break;
    case GT_MESSAGE:
        message(n, ev, out);
        break;
    case GT_TIMEOUT:
        timeout(n, out);
        break;
    case GT_STORED:
    case GT_LOADED:
    case GT_SCANNED:
        stored(n, ev, out);
        break;
    case GT_LINK_UP:
        link_up(n, ev, out);
        break;
    case GT_LINK_DOWN:
        link_down(n, ev, out);
        break;
    case GT_CALL:
        gt_unreachable("a node has no application");
    }
    settle(n, out);
}

uint64_t node_deadline_us(const struct node *n)
{
    if (n->rehello)
        return 0;
    uint64_t at = slots_deadline_us(n->slots);
    if (!n->started || n->failed)
        return at;
    if (n->heartbeat_at_us < at)
        at = n->heartbeat_at_us;
    if (!n->ready && n->join_deadline_us < at)
        at = n->join_deadline_us;
    return at;
}

void node_set_identity(struct node *n, const struct engine_identity *identity)
{
    n->identity = *identity;
    n->renewing = false;
    if (n->joining) {
        n->joining = false;
        n->cluster_wanted = cluster_none(identity->cluster_id);
    }
    n->rehello = true;
}

/* ---- birth and end --------------------------------------------------------------------------- */

static int map_restore(struct node *n, const struct blob *bytes)
{
    if (!bytes || bytes->bytes == 0)
        return 0;
    struct msg_decoder *d = msg_decoder_new();
    if (!d)
        return GT_ENOMEM;
    int error = msg_map_read(d, slice_blob(bytes), &n->ring);
    msg_decoder_free(d);
    if (error)
        return error;
    n->member = ring_member_by_id(n->ring, n->identity.node_id);
    return 0;
}

int node_new(const struct node_config *c, struct node **out)
{
    struct node *n = calloc(1, sizeof(*n));
    if (!n)
        return GT_ENOMEM;
    n->config = *c;
    n->config.map = n->config.peers = NULL; /* borrowed for this call */
    if (n->config.heartbeat_us == 0)
        n->config.heartbeat_us = HEARTBEAT_US;
    n->log = c->log;
    n->identity = c->identity;
    n->self = c->self;
    n->label_known = c->label_stored;
    n->member = -1;
    n->inflight_max = c->inflight_max ? c->inflight_max : INFLIGHT_DEFAULT;
    state_init(&n->local);
    state_init(&n->incoming);
    state_init(&n->merged);
    history_init(&n->history);
    history_init(&n->wanted);
    buf_init(&n->bytes, BLOB_BYTES_MAX / 2);
    buf_init(&n->context, CONTEXT_BYTES_MAX);
    n->slots = slots_new(n->inflight_max * 2 + META_SLOTS, sizeof(struct slot));
    int error = n->slots ? map_restore(n, c->map) : GT_ENOMEM;
    if (!error && c->peers)
        error = seen_read(n, c->peers);
    if (error) {
        node_free(n);
        return error;
    }
    *out = n;
    return 0;
}

static void slot_drop(void *arg, uint64_t id, void *slot)
{
    coord_end(arg, id, slot);
}

void node_free(struct node *n)
{
    if (!n)
        return;
    if (n->slots) {
        slots_each(n->slots, slot_drop, n);
        slots_free(n->slots);
    }
    ring_unref(n->ring);
    ring_unref(n->map_storing);
    ring_unref(n->map_next);
    free(n->peers);
    free(n->links);
    free(n->seen);
    state_close(&n->local);
    state_close(&n->incoming);
    state_close(&n->merged);
    history_close(&n->history);
    history_close(&n->wanted);
    buf_close(&n->bytes);
    buf_close(&n->context);
    free(n);
}

static void machine_step(void *self, const struct gt_event *ev, struct gt_effects *out)
{
    node_step(self, ev, out);
}

static uint64_t machine_deadline_us(const void *self)
{
    return node_deadline_us(self);
}

struct gt_machine node_machine(struct node *n)
{
    return (struct gt_machine){n, machine_step, machine_deadline_us};
}

const struct ring *node_ring(const struct node *n)
{
    return n->ring;
}

const struct node_metrics *node_metrics(const struct node *n)
{
    return &n->metrics;
}
