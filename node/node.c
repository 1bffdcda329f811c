/*
 * The node: one switch over events, one over messages, and what happens after each of them. The
 * work itself is elsewhere: coordination (coord*.c), work for peers (replica.c), hello and
 * registration (membership.c), the map (map.c), status (report.c). Here is what must see all of it
 * at once: start, timeouts, what may go to storage next, birth and end.
 *
 *   joining    manager up -> registered -> [ cluster id stored ] -> [ label stored ] -> READY
 *
 * What waits for storage ends by STORED; joining ends by the join timeout. Invariant: nothing is
 * told to anyone that a restart of this process could take back (cluster id, map, incarnations
 * seen).
 */
#include "node/node.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "node/node_private.h"

/* ---- small questions ------------------------------------------------------------------------- */

struct msg node_message(struct node *n, enum msg_type type, uint64_t id)
{
    struct msg m;
    memset(&m, 0, sizeof(m));
    m.type = type;
    m.id = id;
    if (n->ring)
        m.epoch = n->ring->epoch;
    m.stamp = clock_stamp(n);
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

void node_fail(struct node *n, int error, const char *text, struct gt_effects *fx)
{
    if (n->failed)
        return;
    n->failed = true;
    effects_fail(fx, error, "%s", text);
}

/* ---- small durable values -------------------------------------------------------------------- */

bool meta_store(struct node *n, enum meta_kind kind, uint64_t version, struct slice value,
                struct gt_effects *fx)
{
    static const char *const names[] = {"map", "peers", "label", "ballot"};
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
                              .deadline_us = n->now_us + DEADLINE_DEFAULT_MS * 1000ull,
                              .hold = hold,
                              .key = slice_of(hold->data, name.bytes),
                              .value = slice_of(hold->data + name.bytes, value.bytes),
                              .stamp = n->hlc.last};
    effects_store(fx, &r);
    return true;
}

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
    case META_BALLOT:
        acceptor_stored(n, r->result, fx);
        break;
    }
}

/* ---- events ---------------------------------------------------------------------------------- */

static void stored(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct store_result *r = ev->result;
    struct slot *s = slots_find(n->slots, r->tag);
    if (!s)
        return; /* a read that ended before its storage answered */
    if (r->result == GT_EUNKNOWN || (r->unknown && r->kind != STORE_MERGE))
        fill_rot(n, s->partition, "a bad record", fx);
    if (r->miscounted)
        fill_rot(n, s->partition, "other records than were counted", fx);
    switch (s->kind) {
    case SLOT_PUT:
        put_stored(n, r->tag, s, r, fx);
        break;
    case SLOT_GET:
        get_loaded(n, r->tag, s, r, fx);
        break;
    case SLOT_REPAIR:
        repair_stored(n, r->tag, s, r, fx);
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
    case SLOT_CLOCKS_ALONE:
        clocks_alone_read(n, r->tag, r, fx);
        break;
    case SLOT_CLOCKS:
        clocks_stored(n, r->tag, s, r, fx);
        break;
    case SLOT_CLOCKS_ASKED:
        clocks_asked_stored(n, r->tag, s, r, fx);
        break;
    case SLOT_CLOSE:
        closing_stored(n, r->tag, s, r);
        break;
    case SLOT_CONFIRM:
        confirm_stored(n, r->tag, s, r, fx);
        break;
    case SLOT_PULL:
        pull_stored(n, r->tag, s, r, fx);
        break;
    case SLOT_STREAM:
        replica_done(n, r->tag, s, r, fx);
        break;
    case SLOT_VERIFY:
        verify_stored(n, r->tag, s, r, fx);
        break;
    case SLOT_RETIRED_ASKED:
        retired_asked_stored(n, r->tag, s, r, fx);
        break;
    case SLOT_FILL:
        fill_stored(n, r->tag, s, r, fx);
        break;
    case SLOT_DROP:
        drop_stored(n, r->tag, s, r, fx);
        break;
    case SLOT_CURSOR: /* a pull that does not find it begins anew */
        coord_end(n, r->tag, s);
        break;
    case SLOT_SCRUB:
        scrub_done(n, r->tag, s, r);
        break;
    case SLOT_PARCELS:
        parcels_stored(n, r->tag, s, r, fx);
        break;
    case SLOT_DELIVERY:
        delivery_stored(n, r->tag, s, r, fx);
        break;
    default:
        gt_unreachable("storage answers a slot of kind %d", s->kind);
    }
}

static void ping(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_PING_REPLY, ev->message.msg->id);
    m.ping_reply.wall_us = n->wall_us;
    m.ping_reply.clock_us = n->now_us;
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
    bool among_nodes = m->type == MSG_STATE || m->type == MSG_FETCH || m->type == MSG_RANGE ||
                       m->type == MSG_OPERATION || m->type == MSG_CLOCKS || m->type == MSG_PULL ||
                       m->type == MSG_RETIRED || m->type == MSG_PARCEL;
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
    case MSG_PARCEL:
        replica_parcel(n, ev, fx);
        break;
    case MSG_FETCH:
        replica_fetch(n, ev, fx);
        break;
    case MSG_RANGE:
        replica_range(n, ev, fx);
        break;
    case MSG_CLOCKS:
        replica_clocks(n, ev, fx);
        break;
    case MSG_PULL:
        replica_pull(n, ev, fx);
        break;
    case MSG_RETIRED:
        replica_retired(n, ev, fx);
        break;
    case MSG_OPERATION:
        replica_operation(n, ev, fx);
        break;
    case MSG_VERIFY:
        replica_verify(n, ev, fx);
        break;
    case MSG_EVENTS:
        events_give(n, ev, fx);
        break;
    case MSG_MAP_GET:
        map_give(n, ev, fx);
        break;
    case MSG_STATUS:
        status_give(n, ev, fx);
        break;
    case MSG_ACCEPT_LOSS:
        loss_accept(n, ev, fx);
        break;
    case MSG_ADMIN:
    case MSG_PLAN:
        admin_refuse(n, ev, fx);
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
    case MSG_PING_REPLY:
        clock_told(n, ev);
        break;
    case MSG_PUT_REPLY:
    case MSG_GET_REPLY:
    case MSG_SCAN_REPLY:
        coord_relay(n, ev, fx);
        break;
    case MSG_STATE_REPLY:
    case MSG_PARCEL_REPLY:
        spread_acked(n, ev, fx);
        break;
    case MSG_FETCH_REPLY:
        get_fetched(n, ev, fx);
        break;
    case MSG_RANGE_REPLY:
        scan_ranged(n, ev, fx);
        break;
    case MSG_CLOCKS_REPLY:
        clocks_replied(n, ev, fx);
        break;
    case MSG_PULL_REPLY:
        pull_replied(n, ev, fx);
        break;
    case MSG_RETIRED_REPLY:
        closing_replied(n, ev);
        keepers_replied(n, ev);
        break;
    case MSG_OPERATION_REPLY:
        retry_told(n, ev, fx);
        break;
    case MSG_MAP:
        map_take(n, ev);
        break;
    case MSG_PROPOSE:
        acceptor_propose(n, ev);
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
    hlc_observe(&n->hlc, ev->message.msg->stamp, n->wall_us);
    moves_epoch(n, ev);
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

static void link_lost(struct node *n, const struct peer *p)
{
    const char *who = p->manager ? MANAGER_LABEL : node_label_of(n, p->id);
    log_info(n->log, "link down to=%s", who);
    events_add(n->events, EVENT_LINK_LOST, "%s", who);
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
        link_lost(n, p);
    p->connected = p->up = p->registered = p->comparing = false;
    coord_link_down(n, ev->peer, fx);
}

static void start(struct node *n, struct gt_effects *fx)
{
    events_add(n->events, EVENT_STARTED, "incarnation %016llx",
               (unsigned long long)n->identity.incarnation);
    left_heed(n, NULL, fx);
    if (n->failed)
        return;
    n->started = true;
    n->started_us = n->now_us;
    n->scrub.at_us = n->now_us + SCRUB_FIRST_US;
    if (n->filling > 0)
        events_add(n->events, EVENT_FILLING, "%u partitions", n->filling);
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
    node_fail(n, GT_EUNREACHABLE, text, fx);
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
    if (n->exchange_at_us <= n->now_us) {
        clocks_exchange(n, fx);
        parcels_round(n, fx);
    }
    if (moves_due_us(n) <= n->now_us)
        moves_round(n, fx);
    if (scrub_deadline_us(n) <= n->now_us)
        scrub_next(n, fx);
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
    renewal_begin(n, fx);
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
    if (may_store)
        acceptor_next(n, fx);
    if (!n->ready)
        ready(n, fx);
}

void node_step(struct node *n, const struct gt_event *ev, struct gt_effects *out)
{
    n->now_us = ev->now_us;
    n->wall_us = ev->wall_us;
    events_at(n->events, ev->wall_us);
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
    if (n->exchange_at_us < at)
        at = n->exchange_at_us;
    if (moves_due_us(n) < at)
        at = moves_due_us(n);
    if (scrub_deadline_us(n) < at)
        at = scrub_deadline_us(n);
    if (!n->ready && n->join_deadline_us < at)
        at = n->join_deadline_us;
    if (renewal_deadline_us(n) < at)
        at = renewal_deadline_us(n);
    return at;
}

void node_set_identity(struct node *n, const struct engine_identity *identity)
{
    if (identity->incarnation != n->identity.incarnation)
        events_add(n->events, EVENT_INCARNATION, "%016llx: a peer had seen a later one",
                   (unsigned long long)identity->incarnation);
    bool other = identity->incarnation != n->identity.incarnation ||
                 memcmp(&identity->lives, &n->identity.lives, sizeof(identity->lives)) != 0 ||
                 !cluster_same(identity->cluster_id, n->identity.cluster_id);
    n->identity = *identity;
    n->renewal.drawing = n->healing = false;
    if (n->joining) {
        n->joining = false;
        n->cluster_wanted = cluster_none(identity->cluster_id);
    }
    n->rehello |= other;
    fills_reread(n);
}

/* ---- birth and end --------------------------------------------------------------------------- */

int node_new(const struct node_config *c, struct node **out)
{
    struct node *n = calloc(1, sizeof(*n));
    if (!n)
        return GT_ENOMEM;
    n->config = *c;
    n->config.map = n->config.peers = n->config.ballot = NULL; /* borrowed for this call */
    if (n->config.heartbeat_us == 0)
        n->config.heartbeat_us = HEARTBEAT_US;
    n->log = c->log;
    n->events = c->events;
    n->identity = c->identity;
    hlc_init(&n->hlc, c->stamp_max);
    n->self = c->self;
    n->label_known = c->label_stored;
    n->member = -1;
    n->moves.at_us = UINT64_MAX;
    pace_init(&n->pace, PACE_BYTES_PER_S);
    n->inflight_max = c->inflight_max ? c->inflight_max : INFLIGHT_DEFAULT;
    operations_init(&n->promises, PROMISES_BYTES_MAX);
    operations_init(&n->taken, TAKEN_BYTES_MAX);
    state_init(&n->local);
    state_init(&n->incoming);
    state_init(&n->merged);
    clock_init(&n->clock_ours);
    clock_init(&n->clock_theirs);
    clock_init(&n->closing.lives);
    prng_init(&n->prng, c->seed);
    history_init(&n->history);
    history_init(&n->wanted);
    buf_init(&n->bytes, BLOB_BYTES_MAX / 2);
    buf_init(&n->context, CONTEXT_BYTES_MAX);
    buf_init(&n->filling_told, PARTITIONS_MAX * 2);
    n->slots = slots_new(n->inflight_max * 2 + META_SLOTS, sizeof(struct slot));
    int error = n->slots ? map_restore(n, c->map) : GT_ENOMEM;
    if (!error && c->peers)
        error = seen_read(n, c->peers);
    if (!error)
        error = acceptor_restore(n, c->ballot);
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
    acceptor_close(n);
    keepers_free(n);
    free(n->peers);
    free(n->links);
    free(n->seen);
    operations_close(&n->promises);
    operations_close(&n->taken);
    state_close(&n->local);
    state_close(&n->incoming);
    state_close(&n->merged);
    clock_close(&n->clock_ours);
    clock_close(&n->clock_theirs);
    clock_close(&n->closing.lives);
    watches_free(n);
    history_close(&n->history);
    history_close(&n->wanted);
    buf_close(&n->bytes);
    buf_close(&n->context);
    buf_close(&n->filling_told);
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
