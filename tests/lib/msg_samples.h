/*
 * One message of every type with every field set, for round trips and as examples for fuzzing; and
 * whether two messages say the same. Included by tests that link with gt_net.
 */
#ifndef GT_TESTS_LIB_MSG_SAMPLES_H
#define GT_TESTS_LIB_MSG_SAMPLES_H

#include <stdio.h>

#include "engine/base/prng.h"
#include "engine/operations.h"
#include "net/msg.h"

static const enum msg_type sample_types[] = {
    MSG_HELLO,    MSG_HELLO_REPLY,    MSG_PING,        MSG_PING_REPLY,
    MSG_PUT,      MSG_PUT_REPLY,      MSG_GET,         MSG_GET_REPLY,
    MSG_SCAN,     MSG_SCAN_REPLY,     MSG_STATE,       MSG_STATE_REPLY,
    MSG_FETCH,    MSG_FETCH_REPLY,    MSG_OPERATION,   MSG_OPERATION_REPLY,
    MSG_RANGE,    MSG_RANGE_REPLY,    MSG_CLOCKS,      MSG_CLOCKS_REPLY,
    MSG_PULL,     MSG_PULL_REPLY,     MSG_MAP_GET,     MSG_MAP,
    MSG_REGISTER, MSG_REGISTER_REPLY, MSG_HEARTBEAT,   MSG_HEARTBEAT_REPLY,
    MSG_STATUS,   MSG_STATUS_REPLY,   MSG_VERIFY,      MSG_VERIFY_REPLY,
    MSG_EVENTS,   MSG_EVENTS_REPLY,   MSG_ACCEPT_LOSS, MSG_ACCEPT_LOSS_REPLY,
    MSG_RETIRED,  MSG_RETIRED_REPLY,  MSG_PARCEL,      MSG_PARCEL_REPLY,
    MSG_ADMIN,    MSG_ADMIN_REPLY,    MSG_PLAN,        MSG_PLAN_REPLY,
    MSG_VOTE,     MSG_PROPOSE,
};
#define SAMPLE_TYPES (sizeof(sample_types) / sizeof(sample_types[0]))

#define SAMPLE_BYTES    2048
#define SAMPLE_SIBLINGS 64
#define SAMPLE_NODES    5
#define SAMPLE_EVENTS   1000
#define SAMPLE_MOVES    40

/* What a sample points to. */
struct sample_memory {
    struct prng prng;
    bool extreme; /* every number at its bound, every text and list as long as it may be */
    uint8_t bytes[SAMPLE_BYTES];
    struct msg_sibling siblings[SAMPLE_SIBLINGS];
    struct msg_event events[SAMPLE_EVENTS];
    struct status status;
    struct status_node nodes[SAMPLE_NODES];
    struct plan_node plan_nodes[SAMPLE_NODES];
    uint8_t moves[SAMPLE_MOVES * MOVE_BYTES];
    struct ring *ring;
};

static inline uint64_t sample_u(struct sample_memory *s, uint64_t max)
{
    if (s->extreme)
        return max;
    uint64_t v = prng_next(&s->prng) >> prng_below(&s->prng, 64);
    return max == UINT64_MAX ? v : v % (max + 1);
}

static inline struct slice sample_slice(struct sample_memory *s, size_t max)
{
    size_t bytes = sample_u(s, max);
    return slice_of(s->bytes + (SAMPLE_BYTES - bytes) / 2, bytes);
}

/* Items of one length, one after the other. */
static inline struct slice sample_run(struct sample_memory *s, size_t item_bytes)
{
    return slice_of(s->bytes, sample_u(s, SAMPLE_BYTES / item_bytes) * item_bytes);
}

static inline void sample_text(struct sample_memory *s, char *to, size_t room, const char *stem)
{
    size_t bytes = s->extreme ? room - 1 : strlen(stem);
    for (size_t i = 0; i < bytes; i++)
        to[i] = stem[i % strlen(stem)];
    to[bytes] = '\0';
}

static inline void sample_fixed(struct sample_memory *s, uint8_t *to, size_t bytes)
{
    memset(to, 0xff, bytes);
    if (!s->extreme)
        prng_fill(&s->prng, to, bytes);
}

static inline void sample_request_head(struct sample_memory *s, struct request_head *h)
{
    h->flags = (uint32_t)sample_u(s, UINT32_MAX);
    h->deadline_ms = (uint32_t)sample_u(s, UINT32_MAX);
    h->age_ms = (uint32_t)sample_u(s, UINT32_MAX);
    h->priority = (uint8_t)sample_u(s, 2);
    h->mode = (uint8_t)sample_u(s, MODE_AVAILABLE);
    h->quorum = (uint8_t)sample_u(s, UINT8_MAX);
    sample_fixed(s, h->op, OP_ID_BYTES);
}

static inline int32_t sample_error(struct sample_memory *s)
{
    return s->extreme ? INT32_MIN : -(int32_t)sample_u(s, 31);
}

static inline void sample_reply_head(struct sample_memory *s, struct reply_head *h)
{
    h->error = sample_error(s);
    h->outcome = (uint8_t)sample_u(s, OUTCOME_IN_DOUBT);
    h->flags = (uint32_t)sample_u(s, UINT32_MAX);
    h->owners = (uint8_t)sample_u(s, UINT8_MAX);
    h->guests = (uint8_t)sample_u(s, UINT8_MAX);
    h->text = sample_slice(s, 100);
}

static inline void sample_member(struct sample_memory *s, struct member *m, uint32_t number)
{
    char stem[16];
    snprintf(stem, sizeof(stem), "n%u.", number);
    memset(m, 0, sizeof(*m));
    m->id = s->extreme ? UINT64_MAX - number : number + 1;
    m->incarnation = sample_u(s, UINT64_MAX);
    sample_text(s, m->label, sizeof(m->label), stem);
    sample_text(s, m->address.host, sizeof(m->address.host), "host");
    m->address.port = (uint16_t)sample_u(s, UINT16_MAX);
    sample_text(s, m->zone, sizeof(m->zone), "zone");
    m->capacity = s->extreme ? MEMBER_CAPACITY_MAX : 0.5 + (double)sample_u(s, 100);
    m->state = s->extreme ? MEMBER_REMOVED : (enum member_state)(1 + sample_u(s, 5));
    m->refill = sample_u(s, 1);
    m->leaving = sample_u(s, 1);
    m->capacity_set = sample_u(s, 1);
    m->replacing = sample_u(s, 1);
    m->heir = sample_u(s, UINT64_MAX);
}

static inline void sample_settings(struct sample_memory *s, struct settings *c, uint32_t partitions)
{
    c->replicas = 3;
    c->read_quorum = c->write_quorum = 2;
    c->partitions = partitions;
    c->form_nodes = (uint32_t)sample_u(s, UINT32_MAX);
    c->profile = (uint32_t)sample_u(s, UINT32_MAX);
    c->value_bytes_max = sample_u(s, UINT64_MAX);
}

static inline struct ring *sample_ring(struct sample_memory *s)
{
    uint32_t partitions = s->extreme ? 4096 : 1 + (uint32_t)sample_u(s, 63);
    struct ring *r = ring_new(s->extreme ? 100 : 20, partitions);
    r->epoch = (struct epoch){sample_u(s, UINT64_MAX), sample_u(s, UINT64_MAX)};
    sample_fixed(s, r->cluster_id, CLUSTER_ID_BYTES);
    r->formed = true;
    sample_settings(s, &r->settings, partitions);
    r->rebalance = (uint8_t)sample_u(s, REBALANCE_PAUSED);
    r->members_since = (struct epoch){sample_u(s, UINT64_MAX), sample_u(s, UINT64_MAX)};
    r->cancelled_for = sample_u(s, UINT64_MAX);
    for (uint32_t i = 0; i < r->member_count; i++)
        sample_member(s, &r->members[i], i);
    for (uint32_t p = 0; p < partitions; p++) {
        struct arc *a = &r->arcs[p];
        a->phase = (uint8_t)sample_u(s, ARC_CLEANUP);
        a->owner_count = (uint8_t)(s->extreme ? REPLICAS_MAX : 1 + sample_u(s, 4));
        a->beside_count = (uint8_t)(a->phase == ARC_STABLE ? 0 : a->owner_count);
        for (uint32_t i = 0; i < a->owner_count; i++)
            a->owners[i] = (uint16_t)((p + i) % r->member_count);
        for (uint32_t i = 0; i < a->beside_count; i++)
            a->beside[i] = (uint16_t)((p + i + 1) % r->member_count);
        if (a->phase != ARC_STABLE) {
            a->write_since = (struct epoch){1 + sample_u(s, 9), sample_u(s, UINT64_MAX)};
            a->read_since = (struct epoch){sample_u(s, UINT64_MAX), sample_u(s, UINT64_MAX)};
        }
    }
    return r;
}

static inline void sample_report(struct sample_memory *s, struct node_report *r)
{
    r->keys = sample_u(s, UINT64_MAX);
    r->records = sample_u(s, UINT64_MAX);
    r->data_bytes = sample_u(s, UINT64_MAX);
    r->stored_bytes = sample_u(s, UINT64_MAX);
    r->rss_bytes = sample_u(s, UINT64_MAX);
    r->hints = sample_u(s, UINT64_MAX);
    r->lag_writes = sample_u(s, UINT64_MAX);
    r->uptime_s = sample_u(s, UINT64_MAX);
    r->linked_peers = (uint32_t)sample_u(s, UINT32_MAX);
    r->lag_known = sample_u(s, 1);
    r->damage.kinds = (uint8_t)sample_u(s, UINT8_MAX);
    r->damage.first_lsn = sample_u(s, UINT64_MAX);
    r->damage.last_lsn = sample_u(s, UINT64_MAX);
    r->damage.found_s = sample_u(s, UINT64_MAX);
    r->damage.starts = sample_u(s, UINT64_MAX);
    r->filling = (uint32_t)sample_u(s, PARTITIONS_MAX);
    r->operations = sample_u(s, UINT64_MAX);
    r->operations_bytes = sample_u(s, UINT64_MAX);
    r->operations_s = sample_u(s, UINT64_MAX);
    r->tombstones = sample_u(s, UINT64_MAX);
    r->reaped = sample_u(s, UINT64_MAX);
    r->parcels_count = (uint32_t)sample_u(s, PARCEL_TARGETS_TOLD);
    for (uint32_t i = 0; i < r->parcels_count; i++)
        r->parcels[i] = (struct parcels_kept){sample_u(s, UINT64_MAX), sample_u(s, UINT64_MAX),
                                              sample_u(s, UINT64_MAX), sample_u(s, UINT64_MAX)};
    r->lag_eta_s = sample_u(s, UINT64_MAX);
    r->disk_error = sample_error(s);
}

static inline struct status *sample_status(struct sample_memory *s)
{
    struct status *t = &s->status;
    memset(t, 0, sizeof(*t));
    t->manager_reachable = sample_u(s, 1);
    t->standby = sample_u(s, 1);
    sample_text(s, t->source, sizeof(t->source), "manager");
    t->epoch = (struct epoch){sample_u(s, UINT64_MAX), sample_u(s, UINT64_MAX)};
    sample_fixed(s, t->cluster_id, CLUSTER_ID_BYTES);
    t->formed = sample_u(s, 1);
    t->registered = (uint32_t)sample_u(s, UINT32_MAX);
    sample_settings(s, &t->settings, 1024);
    t->verdict = (uint8_t)sample_u(s, VERDICT_UNAVAILABLE);
    t->partitions_full = (uint32_t)sample_u(s, UINT32_MAX);
    t->partitions_quorum = (uint32_t)sample_u(s, UINT32_MAX);
    t->partitions_below = (uint32_t)sample_u(s, UINT32_MAX);
    t->moves_total = sample_u(s, UINT64_MAX);
    t->moves_done = sample_u(s, UINT64_MAX);
    t->moves_bytes_left = sample_u(s, UINT64_MAX);
    t->moves_eta_s = sample_u(s, UINT64_MAX);
    t->rebalance = (uint8_t)sample_u(s, REBALANCE_PAUSED);
    t->moves_prepare = (uint32_t)sample_u(s, UINT32_MAX);
    t->moves_read_new = (uint32_t)sample_u(s, UINT32_MAX);
    t->moves_cleanup = (uint32_t)sample_u(s, UINT32_MAX);
    t->rebalance_pending = sample_u(s, 1);
    t->nodes = s->nodes;
    t->node_count = SAMPLE_NODES;
    for (uint32_t i = 0; i < SAMPLE_NODES; i++) {
        sample_member(s, &s->nodes[i].member, i);
        s->nodes[i].report_known = sample_u(s, 1);
        sample_report(s, &s->nodes[i].report);
        s->nodes[i].tokens = (uint32_t)sample_u(s, UINT32_MAX);
        s->nodes[i].heard_ms = sample_u(s, UINT64_MAX);
    }
    return t;
}

static inline void sample_siblings(struct sample_memory *s, struct msg *m)
{
    m->get_reply.siblings = s->siblings;
    m->get_reply.sibling_count = (uint32_t)sample_u(s, SAMPLE_SIBLINGS);
    m->get_reply.sibling_total = (uint32_t)sample_u(s, UINT32_MAX);
    for (uint32_t i = 0; i < m->get_reply.sibling_count; i++) {
        s->siblings[i].flags = (uint8_t)sample_u(s, UINT8_MAX);
        s->siblings[i].stamp = sample_u(s, UINT64_MAX);
        s->siblings[i].dot.actor.node = sample_u(s, UINT64_MAX);
        s->siblings[i].dot.actor.incarnation = sample_u(s, UINT64_MAX);
        s->siblings[i].dot.seq = sample_u(s, UINT64_MAX);
        s->siblings[i].value = sample_slice(s, 100);
    }
}

static inline void sample_events_reply(struct sample_memory *s, struct msg *m)
{
    m->events_reply.error = sample_error(s);
    m->events_reply.label = sample_slice(s, 63);
    m->events_reply.forgotten = sample_u(s, UINT64_MAX);
    m->events_reply.events = s->events;
    m->events_reply.event_count = (uint32_t)sample_u(s, SAMPLE_EVENTS);
    for (uint32_t i = 0; i < m->events_reply.event_count; i++) {
        s->events[i].wall_us = sample_u(s, UINT64_MAX);
        s->events[i].times = sample_u(s, UINT64_MAX);
        s->events[i].kind = sample_slice(s, EVENT_NAME_BYTES - 1);
        s->events[i].text = sample_slice(s, EVENT_TEXT_BYTES - 1);
    }
}

/* Fills *m; it borrows from s until sample_release. Seed s->prng and s->extreme before. */
static inline void sample_admin(struct sample_memory *s, struct msg *m)
{
    m->admin.verb = (uint8_t)sample_u(s, UINT8_MAX);
    m->admin.apply = sample_u(s, 1);
    m->admin.node = sample_slice(s, UNITS_LABEL_BYTES);
    m->admin.other = sample_slice(s, UNITS_LABEL_BYTES);
    m->admin.capacity = s->extreme ? MEMBER_CAPACITY_MAX : 0.5 * (double)sample_u(s, 100);
    m->admin.epoch.ballot = sample_u(s, UINT64_MAX);
    m->admin.epoch.counter = sample_u(s, UINT64_MAX);
    m->admin.write_quorum = (uint32_t)sample_u(s, UINT32_MAX);
    m->admin.read_quorum = (uint32_t)sample_u(s, UINT32_MAX);
    m->admin.value_bytes_max = sample_u(s, UINT64_MAX);
}

static inline void sample_plan_reply(struct sample_memory *s, struct msg *m)
{
    m->plan_reply.error = sample_error(s);
    m->plan_reply.text = sample_slice(s, 100);
    m->plan_reply.formed = sample_u(s, 1);
    m->plan_reply.rebalance = (uint8_t)sample_u(s, REBALANCE_PAUSED);
    m->plan_reply.eta_s = sample_u(s, UINT64_MAX);
    m->plan_reply.order_changes = (uint32_t)sample_u(s, UINT32_MAX);
    m->plan_reply.nodes = s->plan_nodes;
    m->plan_reply.node_count = SAMPLE_NODES;
    for (uint32_t i = 0; i < SAMPLE_NODES; i++) {
        struct plan_node *n = &s->plan_nodes[i];
        n->label = sample_slice(s, UNITS_LABEL_BYTES);
        n->takes_part = sample_u(s, 1);
        n->capacity = s->extreme ? MEMBER_CAPACITY_MAX : 0.5 * (double)sample_u(s, 100);
        n->tokens = sample_u(s, UINT64_MAX);
        n->tokens_after = sample_u(s, UINT64_MAX);
        n->keys = sample_u(s, UINT64_MAX);
        n->bytes = sample_u(s, UINT64_MAX);
    }
    for (uint32_t i = 0; i < SAMPLE_MOVES; i++) {
        uint8_t *move = s->moves + (size_t)i * MOVE_BYTES;
        le16_put(move, (uint16_t)sample_u(s, PARTITIONS_MAX - 1));
        le16_put(move + 2, i % 3 == 0 ? MOVE_NOBODY : (uint16_t)sample_u(s, SAMPLE_NODES - 1));
        le16_put(move + 4, i % 3 == 1 ? MOVE_NOBODY : (uint16_t)sample_u(s, SAMPLE_NODES - 1));
    }
    m->plan_reply.moves = slice_of(s->moves, sizeof(s->moves));
}

static inline void sample_msg(struct sample_memory *s, enum msg_type type, struct msg *m)
{
    memset(m, 0, sizeof(*m));
    prng_fill(&s->prng, s->bytes, sizeof(s->bytes));
    s->ring = NULL;
    m->type = type;
    m->id = sample_u(s, UINT64_MAX);
    m->epoch = (struct epoch){sample_u(s, UINT64_MAX), sample_u(s, UINT64_MAX)};
    m->stamp = sample_u(s, UINT64_MAX);
    switch (type) {
    case MSG_HELLO:
    case MSG_HELLO_REPLY:
        m->hello.error = sample_error(s);
        m->hello.role = (uint8_t)sample_u(s, ROLE_MANAGER);
        m->hello.protocol_min = (uint16_t)sample_u(s, UINT16_MAX);
        m->hello.protocol_max = (uint16_t)sample_u(s, UINT16_MAX);
        sample_fixed(s, m->hello.cluster_id, CLUSTER_ID_BYTES);
        m->hello.node = sample_u(s, UINT64_MAX);
        m->hello.incarnation = sample_u(s, UINT64_MAX);
        m->hello.previous_incarnation = sample_u(s, UINT64_MAX);
        m->hello.seen_incarnation = sample_u(s, UINT64_MAX);
        m->hello.label = sample_slice(s, 63);
        m->hello.text = sample_slice(s, 100);
        if (type == MSG_HELLO_REPLY)
            m->hello.clock_us = sample_u(s, UINT64_MAX);
        m->hello.lives = sample_run(s, LIFE_TOLD_BYTES);
        break;
    case MSG_PUT:
        sample_request_head(s, &m->put.head);
        m->put.key = sample_slice(s, KEY_BYTES_MAX);
        m->put.context = sample_slice(s, 500);
        m->put.value = sample_slice(s, SAMPLE_BYTES);
        m->put.valid_until = sample_u(s, UINT64_MAX);
        m->put.valid_until_us = sample_u(s, UINT64_MAX);
        m->put.first_stamp = sample_u(s, UINT64_MAX);
        break;
    case MSG_PUT_REPLY:
        sample_reply_head(s, &m->put_reply.head);
        m->put_reply.stamp = sample_u(s, UINT64_MAX);
        m->put_reply.context = sample_slice(s, 500);
        m->put_reply.label = sample_slice(s, 63);
        m->put_reply.clock_us = sample_u(s, UINT64_MAX);
        break;
    case MSG_GET:
        sample_request_head(s, &m->get.head);
        m->get.key = sample_slice(s, KEY_BYTES_MAX);
        m->get.min_context = sample_slice(s, 500);
        break;
    case MSG_GET_REPLY:
        sample_reply_head(s, &m->get_reply.head);
        m->get_reply.context = sample_slice(s, 500);
        m->get_reply.label = sample_slice(s, 63);
        m->get_reply.clock_us = sample_u(s, UINT64_MAX);
        sample_siblings(s, m);
        break;
    case MSG_SCAN:
    case MSG_RANGE:
    case MSG_VERIFY:
        sample_request_head(s, &m->scan.head);
        m->scan.partition = (uint32_t)sample_u(s, PARTITIONS_MAX - 1);
        m->scan.from_start = sample_u(s, 1);
        m->scan.from_hash = sample_u(s, UINT64_MAX);
        m->scan.from_key = sample_slice(s, KEY_BYTES_MAX);
        m->scan.bytes_max = (uint32_t)sample_u(s, UINT32_MAX);
        break;
    case MSG_SCAN_REPLY:
    case MSG_RANGE_REPLY:
        sample_reply_head(s, &m->scan_reply.head);
        m->scan_reply.entries = sample_slice(s, SAMPLE_BYTES);
        m->scan_reply.entry_count = (uint32_t)sample_u(s, m->scan_reply.entries.bytes / 2);
        m->scan_reply.clock = sample_slice(s, SAMPLE_BYTES);
        break;
    case MSG_CLOCKS_REPLY:
        sample_reply_head(s, &m->clocks.head);
        m->clocks.clocks = sample_slice(s, SAMPLE_BYTES);
        m->clocks.unheard = sample_run(s, 2);
        m->clocks.lives = sample_run(s, LIFE_BYTES);
        m->clocks.filling = sample_run(s, 2);
        break;
    case MSG_CLOCKS:
        m->clocks.clocks = sample_slice(s, SAMPLE_BYTES);
        m->clocks.unheard = sample_run(s, 2);
        m->clocks.lives = sample_run(s, LIFE_BYTES);
        m->clocks.filling = sample_run(s, 2);
        break;
    case MSG_RETIRED_REPLY:
        sample_reply_head(s, &m->retired.head);
        m->retired.lives = sample_run(s, LIFE_BYTES);
        m->retired.parcels = sample_run(s, 2);
        m->retired.targets = sample_run(s, 8);
        break;
    case MSG_RETIRED:
        m->retired.lives = sample_run(s, LIFE_BYTES);
        break;
    case MSG_PULL:
        sample_request_head(s, &m->pull.head);
        m->pull.partition = (uint32_t)sample_u(s, PARTITIONS_MAX - 1);
        m->pull.clock = sample_slice(s, 500);
        m->pull.whole = sample_u(s, 1);
        m->pull.from_start = sample_u(s, 1);
        m->pull.from_hash = sample_u(s, UINT64_MAX);
        m->pull.from_key = sample_slice(s, KEY_BYTES_MAX);
        m->pull.bytes_max = (uint32_t)sample_u(s, UINT32_MAX);
        break;
    case MSG_PULL_REPLY:
        sample_reply_head(s, &m->pull_reply.head);
        m->pull_reply.entries = sample_slice(s, SAMPLE_BYTES);
        m->pull_reply.entry_count = (uint32_t)sample_u(s, m->pull_reply.entries.bytes / 2);
        m->pull_reply.clock = sample_slice(s, 500);
        m->pull_reply.lacking = sample_u(s, UINT64_MAX);
        m->pull_reply.operations = sample_run(s, OPERATION_BYTES);
        m->pull_reply.operations_floor = sample_u(s, UINT64_MAX);
        m->pull_reply.data = sample_u(s, UINT64_MAX);
        m->pull_reply.members_since =
            (struct epoch){sample_u(s, UINT64_MAX), sample_u(s, UINT64_MAX)};
        break;
    case MSG_STATE:
    case MSG_PARCEL:
        if (m->type == MSG_PARCEL)
            m->state.target = sample_u(s, UINT64_MAX);
        sample_request_head(s, &m->state.head);
        m->state.partition = (uint32_t)sample_u(s, PARTITIONS_MAX - 1);
        m->state.key = sample_slice(s, KEY_BYTES_MAX);
        m->state.record = sample_slice(s, SAMPLE_BYTES);
        m->state.dots = sample_run(s, DOT_BYTES);
        m->state.operations = sample_run(s, OPERATION_BYTES);
        break;
    case MSG_STATE_REPLY:
    case MSG_PARCEL_REPLY:
        sample_reply_head(s, &m->state_reply.head);
        m->state_reply.outranking_stamp = sample_u(s, UINT64_MAX);
        m->state_reply.outranking = slice_of(s->bytes, sample_u(s, 4) * DOT_BYTES);
        m->state_reply.operations = sample_run(s, OPERATION_BYTES);
        break;
    case MSG_FETCH:
        sample_request_head(s, &m->fetch.head);
        m->fetch.partition = (uint32_t)sample_u(s, PARTITIONS_MAX - 1);
        m->fetch.key = sample_slice(s, KEY_BYTES_MAX);
        m->fetch.digest_above = (uint32_t)sample_u(s, UINT32_MAX);
        break;
    case MSG_OPERATION:
        sample_request_head(s, &m->operation.head);
        m->operation.partition = (uint32_t)sample_u(s, PARTITIONS_MAX - 1);
        m->operation.key = sample_slice(s, KEY_BYTES_MAX);
        break;
    case MSG_OPERATION_REPLY:
        sample_reply_head(s, &m->operation_reply.head);
        m->operation_reply.length_ms = sample_u(s, UINT64_MAX);
        m->operation_reply.record = sample_slice(s, SAMPLE_BYTES);
        m->operation_reply.dots = sample_run(s, DOT_BYTES);
        m->operation_reply.operations = sample_run(s, OPERATION_BYTES);
        break;
    case MSG_FETCH_REPLY:
        sample_reply_head(s, &m->fetch_reply.head);
        m->fetch_reply.record = sample_slice(s, SAMPLE_BYTES);
        m->fetch_reply.digest = sample_u(s, UINT64_MAX);
        m->fetch_reply.record_bytes = (uint32_t)sample_u(s, UINT32_MAX);
        break;
    case MSG_MAP:
        m->map.ring = s->ring = sample_ring(s);
        break;
    case MSG_REGISTER:
        sample_member(s, &m->member.member, 7);
        m->member.previous_incarnation = sample_u(s, UINT64_MAX);
        m->member.replaces = sample_slice(s, 63);
        m->member.lives = sample_run(s, LIFE_TOLD_BYTES);
        break;
    case MSG_REGISTER_REPLY:
        m->register_reply.error = sample_error(s);
        m->register_reply.text = sample_slice(s, 100);
        m->register_reply.label = sample_slice(s, 63);
        sample_fixed(s, m->register_reply.cluster_id, CLUSTER_ID_BYTES);
        break;
    case MSG_HEARTBEAT:
        m->heartbeat.node = sample_u(s, UINT64_MAX);
        m->heartbeat.incarnation = sample_u(s, UINT64_MAX);
        sample_report(s, &m->heartbeat.report);
        m->heartbeat.done = sample_run(s, 2);
        m->heartbeat.heard = sample_run(s, 8);
        break;
    case MSG_HEARTBEAT_REPLY:
        m->heartbeat_reply.error = sample_error(s);
        m->heartbeat_reply.lease_ms = (uint32_t)sample_u(s, UINT32_MAX);
        break;
    case MSG_VOTE:
        m->vote.error = sample_error(s);
        m->vote.node = sample_u(s, UINT64_MAX);
        m->vote.incarnation = sample_u(s, UINT64_MAX);
        m->vote.ballot = sample_u(s, UINT64_MAX);
        m->vote.promised = sample_u(s, UINT64_MAX);
        m->vote.map_epoch = (struct epoch){sample_u(s, UINT64_MAX), sample_u(s, UINT64_MAX)};
        m->vote.proposed_epoch = (struct epoch){sample_u(s, UINT64_MAX), sample_u(s, UINT64_MAX)};
        m->vote.proposed = sample_u(s, 1);
        m->vote.map = sample_slice(s, SAMPLE_BYTES);
        m->vote.voters = sample_run(s, 8);
        break;
    case MSG_PROPOSE:
        m->propose.error = sample_error(s);
        m->propose.ballot = sample_u(s, UINT64_MAX);
        m->propose.life = sample_u(s, UINT64_MAX);
        m->propose.map = sample_slice(s, SAMPLE_BYTES);
        m->propose.voters = sample_run(s, 8);
        break;
    case MSG_STATUS_REPLY:
        m->status_reply.error = sample_error(s);
        m->status_reply.status = sample_status(s);
        break;
    case MSG_PING_REPLY:
        m->ping_reply.wall_us = sample_u(s, UINT64_MAX);
        m->ping_reply.clock_us = sample_u(s, UINT64_MAX);
        break;
    case MSG_VERIFY_REPLY:
        sample_reply_head(s, &m->verify_reply.head);
        m->verify_reply.records = sample_u(s, UINT64_MAX);
        m->verify_reply.digest_sum = sample_u(s, UINT64_MAX);
        m->verify_reply.bad = sample_u(s, UINT64_MAX);
        m->verify_reply.last_key = sample_slice(s, KEY_BYTES_MAX);
        m->verify_reply.row = sample_slice(s, 500);
        m->verify_reply.keys = sample_slice(s, SAMPLE_BYTES);
        break;
    case MSG_EVENTS_REPLY:
        sample_events_reply(s, m);
        break;
    case MSG_ACCEPT_LOSS:
        m->accept_loss.apply = sample_u(s, 1);
        m->accept_loss.first = (uint32_t)sample_u(s, PARTITIONS_MAX - 1);
        m->accept_loss.last = (uint32_t)sample_u(s, PARTITIONS_MAX - 1);
        break;
    case MSG_ACCEPT_LOSS_REPLY:
        m->accept_loss_reply.error = sample_error(s);
        m->accept_loss_reply.text = sample_slice(s, 100);
        m->accept_loss_reply.partitions = sample_run(s, 2);
        break;
    case MSG_ADMIN:
        sample_admin(s, m);
        break;
    case MSG_ADMIN_REPLY:
        m->admin_reply.error = sample_error(s);
        m->admin_reply.text = sample_slice(s, 100);
        m->admin_reply.changed = sample_u(s, 1);
        break;
    case MSG_PLAN_REPLY:
        sample_plan_reply(s, m);
        break;
    case MSG_PING:
    case MSG_MAP_GET:
    case MSG_STATUS:
    case MSG_EVENTS:
    case MSG_PLAN:
        break;
    }
}

static inline void sample_release(struct sample_memory *s)
{
    ring_unref(s->ring);
    s->ring = NULL;
}

/* ---- the same? ------------------------------------------------------------------------------- */

static inline bool same_request_head(const struct request_head *a, const struct request_head *b)
{
    return a->flags == b->flags && a->deadline_ms == b->deadline_ms && a->age_ms == b->age_ms &&
           a->priority == b->priority && a->mode == b->mode && a->quorum == b->quorum &&
           memcmp(a->op, b->op, OP_ID_BYTES) == 0;
}

static inline bool same_reply_head(const struct reply_head *a, const struct reply_head *b)
{
    return a->error == b->error && a->outcome == b->outcome && a->flags == b->flags &&
           a->owners == b->owners && a->guests == b->guests && slice_equal(a->text, b->text);
}

static inline bool same_member(const struct member *a, const struct member *b)
{
    return a->id == b->id && a->incarnation == b->incarnation && strcmp(a->label, b->label) == 0 &&
           strcmp(a->address.host, b->address.host) == 0 && a->address.port == b->address.port &&
           strcmp(a->zone, b->zone) == 0 && a->capacity == b->capacity && a->state == b->state &&
           a->refill == b->refill && a->leaving == b->leaving &&
           a->capacity_set == b->capacity_set && a->replacing == b->replacing && a->heir == b->heir;
}

static inline bool same_settings(const struct settings *a, const struct settings *b)
{
    return a->replicas == b->replicas && a->read_quorum == b->read_quorum &&
           a->write_quorum == b->write_quorum && a->partitions == b->partitions &&
           a->form_nodes == b->form_nodes && a->profile == b->profile &&
           a->value_bytes_max == b->value_bytes_max;
}

static inline bool same_ring(const struct ring *a, const struct ring *b)
{
    if (!a || !b)
        return a == b;
    if (epoch_compare(a->epoch, b->epoch) != 0 || a->formed != b->formed ||
        memcmp(a->cluster_id, b->cluster_id, CLUSTER_ID_BYTES) != 0 ||
        !same_settings(&a->settings, &b->settings) || a->member_count != b->member_count ||
        a->rebalance != b->rebalance || a->cancelled_for != b->cancelled_for ||
        epoch_compare(a->members_since, b->members_since) != 0)
        return false;
    for (uint32_t i = 0; i < a->member_count; i++)
        if (!same_member(&a->members[i], &b->members[i]))
            return false;
    return !a->formed || memcmp(a->arcs, b->arcs, a->settings.partitions * sizeof(*a->arcs)) == 0;
}

static inline bool same_report(const struct node_report *a, const struct node_report *b)
{
    if (a->parcels_count != b->parcels_count ||
        memcmp(a->parcels, b->parcels, a->parcels_count * sizeof(a->parcels[0])) != 0)
        return false;
    return a->keys == b->keys && a->records == b->records && a->data_bytes == b->data_bytes &&
           a->rss_bytes == b->rss_bytes && a->hints == b->hints && a->lag_writes == b->lag_writes &&
           a->uptime_s == b->uptime_s && a->linked_peers == b->linked_peers &&
           a->lag_known == b->lag_known && a->damage.kinds == b->damage.kinds &&
           a->damage.first_lsn == b->damage.first_lsn && a->damage.last_lsn == b->damage.last_lsn &&
           a->damage.found_s == b->damage.found_s && a->damage.starts == b->damage.starts &&
           a->filling == b->filling && a->operations == b->operations &&
           a->operations_bytes == b->operations_bytes && a->operations_s == b->operations_s &&
           a->tombstones == b->tombstones && a->reaped == b->reaped &&
           a->stored_bytes == b->stored_bytes && a->lag_eta_s == b->lag_eta_s &&
           a->disk_error == b->disk_error;
}

static inline bool same_status(const struct status *a, const struct status *b)
{
    if (!a || !b)
        return a == b;
    for (uint32_t i = 0; a->node_count == b->node_count && i < a->node_count; i++)
        if (!same_member(&a->nodes[i].member, &b->nodes[i].member) ||
            a->nodes[i].report_known != b->nodes[i].report_known ||
            !same_report(&a->nodes[i].report, &b->nodes[i].report) ||
            a->nodes[i].tokens != b->nodes[i].tokens ||
            a->nodes[i].heard_ms != b->nodes[i].heard_ms)
            return false;
    return a->manager_reachable == b->manager_reachable && a->standby == b->standby &&
           strcmp(a->source, b->source) == 0 && epoch_compare(a->epoch, b->epoch) == 0 &&
           memcmp(a->cluster_id, b->cluster_id, CLUSTER_ID_BYTES) == 0 && a->formed == b->formed &&
           a->registered == b->registered && same_settings(&a->settings, &b->settings) &&
           a->verdict == b->verdict && a->partitions_full == b->partitions_full &&
           a->partitions_quorum == b->partitions_quorum &&
           a->partitions_below == b->partitions_below && a->moves_total == b->moves_total &&
           a->moves_done == b->moves_done && a->moves_bytes_left == b->moves_bytes_left &&
           a->moves_eta_s == b->moves_eta_s && a->node_count == b->node_count &&
           a->rebalance == b->rebalance && a->moves_prepare == b->moves_prepare &&
           a->moves_read_new == b->moves_read_new && a->moves_cleanup == b->moves_cleanup &&
           a->rebalance_pending == b->rebalance_pending;
}

static inline bool same_siblings(const struct msg *a, const struct msg *b)
{
    if (a->get_reply.sibling_count != b->get_reply.sibling_count)
        return false;
    for (uint32_t i = 0; i < a->get_reply.sibling_count; i++) {
        const struct msg_sibling *s = &a->get_reply.siblings[i], *t = &b->get_reply.siblings[i];
        if (s->flags != t->flags || s->stamp != t->stamp || dot_compare(s->dot, t->dot) != 0 ||
            !slice_equal(s->value, t->value))
            return false;
    }
    return a->get_reply.sibling_total == b->get_reply.sibling_total;
}

static inline bool same_events(const struct msg *a, const struct msg *b)
{
    if (a->events_reply.event_count != b->events_reply.event_count)
        return false;
    for (uint32_t i = 0; i < a->events_reply.event_count; i++) {
        const struct msg_event *e = &a->events_reply.events[i], *f = &b->events_reply.events[i];
        if (e->wall_us != f->wall_us || e->times != f->times || !slice_equal(e->kind, f->kind) ||
            !slice_equal(e->text, f->text))
            return false;
    }
    return a->events_reply.error == b->events_reply.error &&
           a->events_reply.forgotten == b->events_reply.forgotten &&
           slice_equal(a->events_reply.label, b->events_reply.label);
}

static inline bool same_plan_reply(const struct msg *a, const struct msg *b)
{
    if (a->plan_reply.node_count != b->plan_reply.node_count)
        return false;
    for (uint32_t i = 0; i < a->plan_reply.node_count; i++) {
        const struct plan_node *x = &a->plan_reply.nodes[i], *y = &b->plan_reply.nodes[i];
        if (!slice_equal(x->label, y->label) || x->takes_part != y->takes_part ||
            x->capacity != y->capacity || x->tokens != y->tokens ||
            x->tokens_after != y->tokens_after || x->keys != y->keys || x->bytes != y->bytes)
            return false;
    }
    return a->plan_reply.error == b->plan_reply.error &&
           slice_equal(a->plan_reply.text, b->plan_reply.text) &&
           a->plan_reply.formed == b->plan_reply.formed &&
           a->plan_reply.rebalance == b->plan_reply.rebalance &&
           a->plan_reply.eta_s == b->plan_reply.eta_s &&
           a->plan_reply.order_changes == b->plan_reply.order_changes &&
           slice_equal(a->plan_reply.moves, b->plan_reply.moves);
}

static inline bool same_msg(const struct msg *a, const struct msg *b)
{
    if (a->type != b->type || a->id != b->id || epoch_compare(a->epoch, b->epoch) != 0 ||
        a->stamp != b->stamp)
        return false;
    switch (a->type) {
    case MSG_HELLO:
    case MSG_HELLO_REPLY:
        return a->hello.error == b->hello.error && a->hello.role == b->hello.role &&
               a->hello.protocol_min == b->hello.protocol_min &&
               a->hello.protocol_max == b->hello.protocol_max &&
               memcmp(a->hello.cluster_id, b->hello.cluster_id, CLUSTER_ID_BYTES) == 0 &&
               a->hello.node == b->hello.node && a->hello.incarnation == b->hello.incarnation &&
               a->hello.previous_incarnation == b->hello.previous_incarnation &&
               a->hello.seen_incarnation == b->hello.seen_incarnation &&
               slice_equal(a->hello.label, b->hello.label) &&
               slice_equal(a->hello.lives, b->hello.lives) &&
               a->hello.clock_us == b->hello.clock_us && slice_equal(a->hello.text, b->hello.text);
    case MSG_PUT:
        return same_request_head(&a->put.head, &b->put.head) &&
               slice_equal(a->put.key, b->put.key) && slice_equal(a->put.context, b->put.context) &&
               slice_equal(a->put.value, b->put.value) &&
               a->put.valid_until == b->put.valid_until &&
               a->put.valid_until_us == b->put.valid_until_us &&
               a->put.first_stamp == b->put.first_stamp;
    case MSG_PUT_REPLY:
        return same_reply_head(&a->put_reply.head, &b->put_reply.head) &&
               a->put_reply.stamp == b->put_reply.stamp &&
               slice_equal(a->put_reply.context, b->put_reply.context) &&
               a->put_reply.clock_us == b->put_reply.clock_us &&
               slice_equal(a->put_reply.label, b->put_reply.label);
    case MSG_GET:
        return same_request_head(&a->get.head, &b->get.head) &&
               slice_equal(a->get.key, b->get.key) &&
               slice_equal(a->get.min_context, b->get.min_context);
    case MSG_GET_REPLY:
        return same_reply_head(&a->get_reply.head, &b->get_reply.head) &&
               slice_equal(a->get_reply.context, b->get_reply.context) &&
               a->get_reply.clock_us == b->get_reply.clock_us &&
               slice_equal(a->get_reply.label, b->get_reply.label) && same_siblings(a, b);
    case MSG_SCAN:
    case MSG_RANGE:
    case MSG_VERIFY:
        return same_request_head(&a->scan.head, &b->scan.head) &&
               a->scan.partition == b->scan.partition && a->scan.from_start == b->scan.from_start &&
               a->scan.from_hash == b->scan.from_hash &&
               slice_equal(a->scan.from_key, b->scan.from_key) &&
               a->scan.bytes_max == b->scan.bytes_max;
    case MSG_SCAN_REPLY:
    case MSG_RANGE_REPLY:
        return same_reply_head(&a->scan_reply.head, &b->scan_reply.head) &&
               slice_equal(a->scan_reply.entries, b->scan_reply.entries) &&
               a->scan_reply.entry_count == b->scan_reply.entry_count &&
               slice_equal(a->scan_reply.clock, b->scan_reply.clock);
    case MSG_CLOCKS:
        return slice_equal(a->clocks.clocks, b->clocks.clocks) &&
               slice_equal(a->clocks.unheard, b->clocks.unheard) &&
               slice_equal(a->clocks.lives, b->clocks.lives) &&
               slice_equal(a->clocks.filling, b->clocks.filling);
    case MSG_CLOCKS_REPLY:
        return same_reply_head(&a->clocks.head, &b->clocks.head) &&
               slice_equal(a->clocks.clocks, b->clocks.clocks) &&
               slice_equal(a->clocks.unheard, b->clocks.unheard) &&
               slice_equal(a->clocks.lives, b->clocks.lives) &&
               slice_equal(a->clocks.filling, b->clocks.filling);
    case MSG_RETIRED:
        return slice_equal(a->retired.lives, b->retired.lives);
    case MSG_RETIRED_REPLY:
        return same_reply_head(&a->retired.head, &b->retired.head) &&
               slice_equal(a->retired.lives, b->retired.lives) &&
               slice_equal(a->retired.parcels, b->retired.parcels) &&
               slice_equal(a->retired.targets, b->retired.targets);
    case MSG_PULL:
        return same_request_head(&a->pull.head, &b->pull.head) &&
               a->pull.partition == b->pull.partition &&
               slice_equal(a->pull.clock, b->pull.clock) && a->pull.whole == b->pull.whole &&
               a->pull.from_start == b->pull.from_start && a->pull.from_hash == b->pull.from_hash &&
               slice_equal(a->pull.from_key, b->pull.from_key) &&
               a->pull.bytes_max == b->pull.bytes_max;
    case MSG_PULL_REPLY:
        return same_reply_head(&a->pull_reply.head, &b->pull_reply.head) &&
               slice_equal(a->pull_reply.entries, b->pull_reply.entries) &&
               a->pull_reply.entry_count == b->pull_reply.entry_count &&
               slice_equal(a->pull_reply.clock, b->pull_reply.clock) &&
               a->pull_reply.lacking == b->pull_reply.lacking &&
               slice_equal(a->pull_reply.operations, b->pull_reply.operations) &&
               a->pull_reply.operations_floor == b->pull_reply.operations_floor &&
               a->pull_reply.data == b->pull_reply.data &&
               epoch_compare(a->pull_reply.members_since, b->pull_reply.members_since) == 0;
    case MSG_STATE:
    case MSG_PARCEL:
        return same_request_head(&a->state.head, &b->state.head) &&
               (a->type != MSG_PARCEL || a->state.target == b->state.target) &&
               a->state.partition == b->state.partition &&
               slice_equal(a->state.key, b->state.key) &&
               slice_equal(a->state.record, b->state.record) &&
               slice_equal(a->state.dots, b->state.dots) &&
               slice_equal(a->state.operations, b->state.operations);
    case MSG_STATE_REPLY:
    case MSG_PARCEL_REPLY:
        return same_reply_head(&a->state_reply.head, &b->state_reply.head) &&
               a->state_reply.outranking_stamp == b->state_reply.outranking_stamp &&
               slice_equal(a->state_reply.outranking, b->state_reply.outranking) &&
               slice_equal(a->state_reply.operations, b->state_reply.operations);
    case MSG_FETCH:
        return same_request_head(&a->fetch.head, &b->fetch.head) &&
               a->fetch.partition == b->fetch.partition &&
               slice_equal(a->fetch.key, b->fetch.key) &&
               a->fetch.digest_above == b->fetch.digest_above;
    case MSG_OPERATION:
        return same_request_head(&a->operation.head, &b->operation.head) &&
               a->operation.partition == b->operation.partition &&
               slice_equal(a->operation.key, b->operation.key);
    case MSG_OPERATION_REPLY:
        return same_reply_head(&a->operation_reply.head, &b->operation_reply.head) &&
               a->operation_reply.length_ms == b->operation_reply.length_ms &&
               slice_equal(a->operation_reply.record, b->operation_reply.record) &&
               slice_equal(a->operation_reply.dots, b->operation_reply.dots) &&
               slice_equal(a->operation_reply.operations, b->operation_reply.operations);
    case MSG_FETCH_REPLY:
        return same_reply_head(&a->fetch_reply.head, &b->fetch_reply.head) &&
               slice_equal(a->fetch_reply.record, b->fetch_reply.record) &&
               a->fetch_reply.digest == b->fetch_reply.digest &&
               a->fetch_reply.record_bytes == b->fetch_reply.record_bytes;
    case MSG_MAP:
        return same_ring(a->map.ring, b->map.ring);
    case MSG_REGISTER:
        return same_member(&a->member.member, &b->member.member) &&
               a->member.previous_incarnation == b->member.previous_incarnation &&
               slice_equal(a->member.replaces, b->member.replaces) &&
               slice_equal(a->member.lives, b->member.lives);
    case MSG_REGISTER_REPLY:
        return a->register_reply.error == b->register_reply.error &&
               slice_equal(a->register_reply.text, b->register_reply.text) &&
               slice_equal(a->register_reply.label, b->register_reply.label) &&
               memcmp(a->register_reply.cluster_id, b->register_reply.cluster_id,
                      CLUSTER_ID_BYTES) == 0;
    case MSG_HEARTBEAT:
        return a->heartbeat.node == b->heartbeat.node &&
               a->heartbeat.incarnation == b->heartbeat.incarnation &&
               same_report(&a->heartbeat.report, &b->heartbeat.report) &&
               slice_equal(a->heartbeat.done, b->heartbeat.done) &&
               slice_equal(a->heartbeat.heard, b->heartbeat.heard);
    case MSG_HEARTBEAT_REPLY:
        return a->heartbeat_reply.error == b->heartbeat_reply.error &&
               a->heartbeat_reply.lease_ms == b->heartbeat_reply.lease_ms;
    case MSG_VOTE:
        return a->vote.error == b->vote.error && a->vote.node == b->vote.node &&
               a->vote.incarnation == b->vote.incarnation && a->vote.ballot == b->vote.ballot &&
               a->vote.promised == b->vote.promised &&
               epoch_compare(a->vote.map_epoch, b->vote.map_epoch) == 0 &&
               epoch_compare(a->vote.proposed_epoch, b->vote.proposed_epoch) == 0 &&
               a->vote.proposed == b->vote.proposed && slice_equal(a->vote.map, b->vote.map) &&
               slice_equal(a->vote.voters, b->vote.voters);
    case MSG_PROPOSE:
        return a->propose.error == b->propose.error && a->propose.ballot == b->propose.ballot &&
               a->propose.life == b->propose.life && slice_equal(a->propose.map, b->propose.map) &&
               slice_equal(a->propose.voters, b->propose.voters);
    case MSG_STATUS_REPLY:
        return a->status_reply.error == b->status_reply.error &&
               same_status(a->status_reply.status, b->status_reply.status);
    case MSG_PING_REPLY:
        return a->ping_reply.wall_us == b->ping_reply.wall_us &&
               a->ping_reply.clock_us == b->ping_reply.clock_us;
    case MSG_VERIFY_REPLY:
        return same_reply_head(&a->verify_reply.head, &b->verify_reply.head) &&
               a->verify_reply.records == b->verify_reply.records &&
               a->verify_reply.digest_sum == b->verify_reply.digest_sum &&
               a->verify_reply.bad == b->verify_reply.bad &&
               slice_equal(a->verify_reply.last_key, b->verify_reply.last_key) &&
               slice_equal(a->verify_reply.row, b->verify_reply.row) &&
               slice_equal(a->verify_reply.keys, b->verify_reply.keys);
    case MSG_EVENTS_REPLY:
        return same_events(a, b);
    case MSG_ACCEPT_LOSS:
        return a->accept_loss.apply == b->accept_loss.apply &&
               a->accept_loss.first == b->accept_loss.first &&
               a->accept_loss.last == b->accept_loss.last;
    case MSG_ACCEPT_LOSS_REPLY:
        return a->accept_loss_reply.error == b->accept_loss_reply.error &&
               slice_equal(a->accept_loss_reply.text, b->accept_loss_reply.text) &&
               slice_equal(a->accept_loss_reply.partitions, b->accept_loss_reply.partitions);
    case MSG_ADMIN:
        return a->admin.verb == b->admin.verb && a->admin.apply == b->admin.apply &&
               slice_equal(a->admin.node, b->admin.node) &&
               slice_equal(a->admin.other, b->admin.other) &&
               a->admin.capacity == b->admin.capacity &&
               epoch_compare(a->admin.epoch, b->admin.epoch) == 0 &&
               a->admin.write_quorum == b->admin.write_quorum &&
               a->admin.read_quorum == b->admin.read_quorum &&
               a->admin.value_bytes_max == b->admin.value_bytes_max;
    case MSG_ADMIN_REPLY:
        return a->admin_reply.error == b->admin_reply.error &&
               slice_equal(a->admin_reply.text, b->admin_reply.text) &&
               a->admin_reply.changed == b->admin_reply.changed;
    case MSG_PLAN_REPLY:
        return same_plan_reply(a, b);
    case MSG_PING:
    case MSG_MAP_GET:
    case MSG_STATUS:
    case MSG_EVENTS:
    case MSG_PLAN:
        return true;
    }
    return false;
}

#endif
