#include "net/msg.h"

#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/operations.h"
#include "net/frame.h"

/* Objects of one body: msgpack-c spends 24 bytes on each, so small bytes could claim much memory.
 * A map of 65536 arcs has some 2.3 million, everything else far less. */
#define OBJECTS_MAX     (64u << 10)
#define OBJECTS_MAX_MAP (4u << 20)

#define ROOM_FIRST_BYTES 256u /* for what stands around keys and values; grows when it must */

const char *verdict_name(enum verdict v)
{
    static const char *const names[] = {"healthy", "degraded", "at_risk", "unavailable"};
    return (unsigned)v < sizeof(names) / sizeof(names[0]) ? names[v] : "?";
}

/* ---- writing: the body grows inside the blob that becomes the frame -------------------------- */

struct writer {
    struct blob *blob; /* NULL: failed */
    size_t bytes, capacity;
    msgpack_packer packer;
};

static int writer_append(void *arg, const char *data, size_t bytes)
{
    struct writer *w = arg;
    if (w->capacity - w->bytes < bytes) {
        size_t capacity = w->capacity * 2 > w->bytes + bytes ? w->capacity * 2 : w->bytes + bytes;
        struct blob *grown = w->blob ? blob_new(capacity) : NULL;
        if (grown)
            memcpy(grown->data, w->blob->data, w->bytes);
        blob_unref(w->blob);
        w->blob = grown;
        w->capacity = grown ? capacity : 0;
        if (!grown) {
            w->bytes = 0;
            return -1;
        }
    }
    memcpy(w->blob->data + w->bytes, data, bytes);
    w->bytes += bytes;
    return 0;
}

/* The first `reserved` bytes are left for a header. */
static bool writer_init(struct writer *w, size_t reserved, size_t expected)
{
    w->blob = blob_new(reserved + expected);
    w->capacity = w->blob ? reserved + expected : 0;
    w->bytes = w->blob ? reserved : 0;
    msgpack_packer_init(&w->packer, w, writer_append);
    return w->blob != NULL;
}

static struct blob *writer_end(struct writer *w)
{
    if (w->blob)
        w->blob->bytes = (uint32_t)w->bytes;
    return w->blob;
}

/* A write that fails leaves no blob behind, so nobody has to look at each result. */
static void put_array(struct writer *w, size_t count)
{
    msgpack_pack_array(&w->packer, count);
}

static void put_u(struct writer *w, uint64_t v)
{
    msgpack_pack_uint64(&w->packer, v);
}

static void put_i(struct writer *w, int64_t v)
{
    msgpack_pack_int64(&w->packer, v);
}

static void put_real(struct writer *w, double v)
{
    msgpack_pack_double(&w->packer, v);
}

static void put_bin(struct writer *w, struct slice s)
{
    msgpack_pack_bin(&w->packer, s.bytes);
    if (s.bytes > 0)
        msgpack_pack_bin_body(&w->packer, s.data, s.bytes);
}

static void put_str(struct writer *w, struct slice s)
{
    msgpack_pack_str(&w->packer, s.bytes);
    if (s.bytes > 0)
        msgpack_pack_str_body(&w->packer, s.data, s.bytes);
}

static void put_text(struct writer *w, const char *text)
{
    put_str(w, slice_text(text));
}

static void put_request_head(struct writer *w, const struct request_head *h)
{
    put_array(w, 7);
    put_u(w, h->flags);
    put_u(w, h->deadline_ms);
    put_u(w, h->age_ms);
    put_u(w, h->priority);
    put_u(w, h->mode);
    put_u(w, h->quorum);
    put_bin(w, slice_of(h->op, OP_ID_BYTES));
}

static void put_reply_head(struct writer *w, const struct reply_head *h)
{
    put_array(w, 6);
    put_i(w, h->error);
    put_u(w, h->outcome);
    put_u(w, h->flags);
    put_u(w, h->owners);
    put_u(w, h->guests);
    put_str(w, h->text);
}

static void put_epoch(struct writer *w, struct epoch e)
{
    put_array(w, 2);
    put_u(w, e.ballot);
    put_u(w, e.counter);
}

static void put_settings(struct writer *w, const struct settings *s)
{
    put_array(w, 7);
    put_u(w, s->replicas);
    put_u(w, s->read_quorum);
    put_u(w, s->write_quorum);
    put_u(w, s->partitions);
    put_u(w, s->form_nodes);
    put_u(w, s->profile);
    put_u(w, s->value_bytes_max);
}

static void put_member(struct writer *w, const struct member *m)
{
    put_array(w, 13);
    put_u(w, m->id);
    put_u(w, m->incarnation);
    put_text(w, m->label);
    put_text(w, m->address.host);
    put_u(w, m->address.port);
    put_text(w, m->zone);
    put_real(w, m->capacity);
    put_u(w, m->state);
    put_u(w, m->refill);
    put_u(w, m->leaving);
    put_u(w, m->capacity_set);
    put_u(w, m->replacing);
    put_u(w, m->heir);
}

static void put_owners(struct writer *w, const uint16_t *owners, uint32_t count)
{
    put_array(w, count);
    for (uint32_t i = 0; i < count; i++)
        put_u(w, owners[i]);
}

static void put_ring(struct writer *w, const struct ring *r)
{
    static const struct epoch never;
    uint32_t arc_count = r->formed ? r->settings.partitions : 0;
    put_epoch(w, r->epoch);
    put_bin(w, slice_of(r->cluster_id, CLUSTER_ID_BYTES));
    put_u(w, r->formed);
    put_settings(w, &r->settings);
    put_array(w, r->member_count);
    for (uint32_t i = 0; i < r->member_count; i++)
        put_member(w, &r->members[i]);
    put_array(w, arc_count);
    for (uint32_t i = 0; i < arc_count; i++) {
        const struct arc *a = &r->arcs[i];
        bool moved =
            epoch_compare(a->write_since, never) != 0 || epoch_compare(a->read_since, never) != 0;
        put_array(w, moved ? 5 : 3);
        put_u(w, a->phase);
        put_owners(w, a->owners, a->owner_count);
        put_owners(w, a->beside, a->beside_count);
        if (moved) {
            put_epoch(w, a->write_since);
            put_epoch(w, a->read_since);
        }
    }
    put_u(w, r->rebalance);
    put_epoch(w, r->members_since);
    put_u(w, r->cancelled_for);
}

static void put_report(struct writer *w, const struct node_report *r)
{
    put_array(w, 24);
    put_u(w, r->keys);
    put_u(w, r->records);
    put_u(w, r->data_bytes);
    put_u(w, r->rss_bytes);
    put_u(w, r->hints);
    put_u(w, r->lag_writes);
    put_u(w, r->uptime_s);
    put_u(w, r->linked_peers);
    put_u(w, r->lag_known);
    put_u(w, r->damage.kinds);
    put_u(w, r->damage.first_lsn);
    put_u(w, r->damage.last_lsn);
    put_u(w, r->damage.found_s);
    put_u(w, r->damage.starts);
    put_u(w, r->operations);
    put_u(w, r->operations_bytes);
    put_u(w, r->operations_s);
    put_u(w, r->filling);
    put_u(w, r->tombstones);
    put_u(w, r->reaped);
    put_array(w, r->parcels_count * 4);
    for (uint32_t i = 0; i < r->parcels_count; i++) {
        put_u(w, r->parcels[i].target);
        put_u(w, r->parcels[i].count);
        put_u(w, r->parcels[i].bytes);
        put_u(w, r->parcels[i].oldest_s);
    }
    put_u(w, r->lag_eta_s);
    put_i(w, r->disk_error);
    put_u(w, r->stored_bytes);
}

static void put_status(struct writer *w, const struct status *s)
{
    put_array(w, 11);
    put_u(w, (s->manager_reachable ? 1u : 0) | (s->formed ? 2u : 0) | (s->standby ? 4u : 0));
    put_text(w, s->source);
    put_epoch(w, s->epoch);
    put_bin(w, slice_of(s->cluster_id, CLUSTER_ID_BYTES));
    put_u(w, s->registered);
    put_settings(w, &s->settings);
    put_u(w, s->verdict);
    put_array(w, 3);
    put_u(w, s->partitions_full);
    put_u(w, s->partitions_quorum);
    put_u(w, s->partitions_below);
    put_array(w, 4);
    put_u(w, s->moves_total);
    put_u(w, s->moves_done);
    put_u(w, s->moves_bytes_left);
    put_u(w, s->moves_eta_s);
    put_array(w, s->node_count);
    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct status_node *n = &s->nodes[i];
        put_array(w, 5);
        put_member(w, &n->member);
        put_u(w, n->report_known);
        put_report(w, &n->report);
        put_u(w, n->tokens);
        put_u(w, n->heard_ms);
    }
    put_array(w, 5);
    put_u(w, s->rebalance);
    put_u(w, s->moves_prepare);
    put_u(w, s->moves_read_new);
    put_u(w, s->moves_cleanup);
    put_u(w, s->rebalance_pending);
}

/* type, id, ballot, counter, stamp, then `fields` more. */
static void put_start(struct writer *w, const struct msg *m, size_t fields)
{
    put_array(w, 5 + fields);
    put_u(w, m->type);
    put_u(w, m->id);
    put_u(w, m->epoch.ballot);
    put_u(w, m->epoch.counter);
    put_u(w, m->stamp);
}

static void put_hello(struct writer *w, const struct msg *m)
{
    bool reply = m->type == MSG_HELLO_REPLY, lives = m->hello.lives.bytes > 0;
    put_start(w, m, 11 + reply + lives);
    put_i(w, m->hello.error);
    put_u(w, m->hello.role);
    put_u(w, m->hello.protocol_min);
    put_u(w, m->hello.protocol_max);
    put_bin(w, slice_of(m->hello.cluster_id, CLUSTER_ID_BYTES));
    put_u(w, m->hello.node);
    put_u(w, m->hello.incarnation);
    put_u(w, m->hello.previous_incarnation);
    put_u(w, m->hello.seen_incarnation);
    put_str(w, m->hello.label);
    put_str(w, m->hello.text);
    if (reply)
        put_u(w, m->hello.clock_us);
    if (lives)
        put_bin(w, m->hello.lives);
}

static void put_get_reply(struct writer *w, const struct msg *m)
{
    put_start(w, m, 6);
    put_reply_head(w, &m->get_reply.head);
    put_bin(w, m->get_reply.context);
    put_str(w, m->get_reply.label);
    put_array(w, m->get_reply.sibling_count);
    for (uint32_t i = 0; i < m->get_reply.sibling_count; i++) {
        const struct msg_sibling *s = &m->get_reply.siblings[i];
        put_array(w, 6);
        put_u(w, s->flags);
        put_u(w, s->stamp);
        put_u(w, s->dot.actor.node);
        put_u(w, s->dot.actor.incarnation);
        put_u(w, s->dot.seq);
        put_bin(w, s->value);
    }
    put_u(w, m->get_reply.sibling_total);
    put_u(w, m->get_reply.clock_us);
}

static void put_scan(struct writer *w, const struct msg *m)
{
    put_start(w, m, 6);
    put_request_head(w, &m->scan.head);
    put_u(w, m->scan.partition);
    put_u(w, m->scan.from_start);
    put_u(w, m->scan.from_hash);
    put_bin(w, m->scan.from_key);
    put_u(w, m->scan.bytes_max);
}

static void put_events_reply(struct writer *w, const struct msg *m)
{
    put_start(w, m, 4);
    put_i(w, m->events_reply.error);
    put_str(w, m->events_reply.label);
    put_u(w, m->events_reply.forgotten);
    put_array(w, m->events_reply.event_count);
    for (uint32_t i = 0; i < m->events_reply.event_count; i++) {
        const struct msg_event *e = &m->events_reply.events[i];
        put_array(w, 4);
        put_u(w, e->wall_us);
        put_u(w, e->times);
        put_str(w, e->kind);
        put_str(w, e->text);
    }
}

static void put_admin(struct writer *w, const struct msg *m)
{
    put_start(w, m, 9);
    put_u(w, m->admin.verb);
    put_u(w, m->admin.apply);
    put_str(w, m->admin.node);
    put_str(w, m->admin.other);
    put_real(w, m->admin.capacity);
    put_epoch(w, m->admin.epoch);
    put_u(w, m->admin.write_quorum);
    put_u(w, m->admin.read_quorum);
    put_u(w, m->admin.value_bytes_max);
}

static void put_plan_reply(struct writer *w, const struct msg *m)
{
    put_start(w, m, 8);
    put_i(w, m->plan_reply.error);
    put_str(w, m->plan_reply.text);
    put_u(w, m->plan_reply.formed);
    put_u(w, m->plan_reply.rebalance);
    put_u(w, m->plan_reply.eta_s);
    put_u(w, m->plan_reply.order_changes);
    put_array(w, m->plan_reply.node_count);
    for (uint32_t i = 0; i < m->plan_reply.node_count; i++) {
        const struct plan_node *n = &m->plan_reply.nodes[i];
        put_array(w, 7);
        put_str(w, n->label);
        put_u(w, n->takes_part);
        put_real(w, n->capacity);
        put_u(w, n->tokens);
        put_u(w, n->tokens_after);
        put_u(w, n->keys);
        put_u(w, n->bytes);
    }
    put_bin(w, m->plan_reply.moves);
}

static void put_body(struct writer *w, const struct msg *m)
{
    switch (m->type) {
    case MSG_HELLO:
    case MSG_HELLO_REPLY:
        put_hello(w, m);
        return;
    case MSG_PING:
    case MSG_MAP_GET:
    case MSG_STATUS:
    case MSG_EVENTS:
    case MSG_PLAN:
        put_start(w, m, 0);
        return;
    case MSG_PING_REPLY:
        put_start(w, m, 2);
        put_u(w, m->ping_reply.wall_us);
        put_u(w, m->ping_reply.clock_us);
        return;
    case MSG_PUT:
        put_start(w, m, m->put.first_stamp ? 7 : 6);
        put_request_head(w, &m->put.head);
        put_bin(w, m->put.key);
        put_bin(w, m->put.context);
        put_bin(w, m->put.value);
        put_u(w, m->put.valid_until);
        put_u(w, m->put.valid_until_us);
        if (m->put.first_stamp)
            put_u(w, m->put.first_stamp);
        return;
    case MSG_PUT_REPLY:
        put_start(w, m, 5);
        put_reply_head(w, &m->put_reply.head);
        put_u(w, m->put_reply.stamp);
        put_bin(w, m->put_reply.context);
        put_str(w, m->put_reply.label);
        put_u(w, m->put_reply.clock_us);
        return;
    case MSG_GET:
        put_start(w, m, 3);
        put_request_head(w, &m->get.head);
        put_bin(w, m->get.key);
        put_bin(w, m->get.min_context);
        return;
    case MSG_GET_REPLY:
        put_get_reply(w, m);
        return;
    case MSG_SCAN:
    case MSG_RANGE:
    case MSG_VERIFY:
        put_scan(w, m);
        return;
    case MSG_SCAN_REPLY:
    case MSG_RANGE_REPLY:
        put_start(w, m, 4);
        put_reply_head(w, &m->scan_reply.head);
        put_bin(w, m->scan_reply.entries);
        put_u(w, m->scan_reply.entry_count);
        put_bin(w, m->scan_reply.clock);
        return;
    case MSG_VERIFY_REPLY:
        put_start(w, m, 7);
        put_reply_head(w, &m->verify_reply.head);
        put_u(w, m->verify_reply.records);
        put_u(w, m->verify_reply.digest_sum);
        put_u(w, m->verify_reply.bad);
        put_bin(w, m->verify_reply.last_key);
        put_bin(w, m->verify_reply.row);
        put_bin(w, m->verify_reply.keys);
        return;
    case MSG_CLOCKS:
        put_start(w, m, 4);
        put_bin(w, m->clocks.clocks);
        put_bin(w, m->clocks.unheard);
        put_bin(w, m->clocks.lives);
        put_bin(w, m->clocks.filling);
        return;
    case MSG_CLOCKS_REPLY:
        put_start(w, m, 5);
        put_reply_head(w, &m->clocks.head);
        put_bin(w, m->clocks.clocks);
        put_bin(w, m->clocks.unheard);
        put_bin(w, m->clocks.lives);
        put_bin(w, m->clocks.filling);
        return;
    case MSG_RETIRED:
        put_start(w, m, 1);
        put_bin(w, m->retired.lives);
        return;
    case MSG_RETIRED_REPLY:
        put_start(w, m, 4);
        put_reply_head(w, &m->retired.head);
        put_bin(w, m->retired.lives);
        put_bin(w, m->retired.parcels);
        put_bin(w, m->retired.targets);
        return;
    case MSG_PULL:
        put_start(w, m, 8);
        put_request_head(w, &m->pull.head);
        put_u(w, m->pull.partition);
        put_bin(w, m->pull.clock);
        put_u(w, m->pull.whole);
        put_u(w, m->pull.from_start);
        put_u(w, m->pull.from_hash);
        put_bin(w, m->pull.from_key);
        put_u(w, m->pull.bytes_max);
        return;
    case MSG_PULL_REPLY:
        put_start(w, m, 9);
        put_reply_head(w, &m->pull_reply.head);
        put_bin(w, m->pull_reply.entries);
        put_u(w, m->pull_reply.entry_count);
        put_bin(w, m->pull_reply.clock);
        put_u(w, m->pull_reply.lacking);
        put_bin(w, m->pull_reply.operations);
        put_u(w, m->pull_reply.operations_floor);
        put_u(w, m->pull_reply.data);
        put_epoch(w, m->pull_reply.members_since);
        return;
    case MSG_STATE:
    case MSG_PARCEL:
        put_start(w, m, m->type == MSG_PARCEL ? 7 : 6);
        if (m->type == MSG_PARCEL)
            put_u(w, m->state.target);
        put_request_head(w, &m->state.head);
        put_u(w, m->state.partition);
        put_bin(w, m->state.key);
        put_bin(w, m->state.record);
        put_bin(w, m->state.dots);
        put_bin(w, m->state.operations);
        return;
    case MSG_STATE_REPLY:
    case MSG_PARCEL_REPLY:
        put_start(w, m, 4);
        put_reply_head(w, &m->state_reply.head);
        put_u(w, m->state_reply.outranking_stamp);
        put_bin(w, m->state_reply.outranking);
        put_bin(w, m->state_reply.operations);
        return;
    case MSG_FETCH:
        put_start(w, m, 4);
        put_request_head(w, &m->fetch.head);
        put_u(w, m->fetch.partition);
        put_bin(w, m->fetch.key);
        put_u(w, m->fetch.digest_above);
        return;
    case MSG_FETCH_REPLY:
        put_start(w, m, 4);
        put_reply_head(w, &m->fetch_reply.head);
        put_bin(w, m->fetch_reply.record);
        put_u(w, m->fetch_reply.digest);
        put_u(w, m->fetch_reply.record_bytes);
        return;
    case MSG_OPERATION:
        put_start(w, m, 3);
        put_request_head(w, &m->operation.head);
        put_u(w, m->operation.partition);
        put_bin(w, m->operation.key);
        return;
    case MSG_OPERATION_REPLY:
        put_start(w, m, 5);
        put_reply_head(w, &m->operation_reply.head);
        put_u(w, m->operation_reply.length_ms);
        put_bin(w, m->operation_reply.record);
        put_bin(w, m->operation_reply.dots);
        put_bin(w, m->operation_reply.operations);
        return;
    case MSG_MAP:
        put_start(w, m, m->map.ring ? 9 : 0);
        if (m->map.ring)
            put_ring(w, m->map.ring);
        return;
    case MSG_REGISTER:
        put_start(w, m, 4);
        put_member(w, &m->member.member);
        put_u(w, m->member.previous_incarnation);
        put_str(w, m->member.replaces);
        put_bin(w, m->member.lives);
        return;
    case MSG_REGISTER_REPLY:
        put_start(w, m, 4);
        put_i(w, m->register_reply.error);
        put_str(w, m->register_reply.text);
        put_str(w, m->register_reply.label);
        put_bin(w, slice_of(m->register_reply.cluster_id, CLUSTER_ID_BYTES));
        return;
    case MSG_HEARTBEAT:
        put_start(w, m, 5);
        put_u(w, m->heartbeat.node);
        put_u(w, m->heartbeat.incarnation);
        put_report(w, &m->heartbeat.report);
        put_bin(w, m->heartbeat.done);
        put_bin(w, m->heartbeat.heard);
        return;
    case MSG_HEARTBEAT_REPLY:
        put_start(w, m, 2);
        put_i(w, m->heartbeat_reply.error);
        put_u(w, m->heartbeat_reply.lease_ms);
        return;
    case MSG_PROPOSE:
        put_start(w, m, 5);
        put_i(w, m->propose.error);
        put_u(w, m->propose.ballot);
        put_u(w, m->propose.life);
        put_bin(w, m->propose.map);
        put_bin(w, m->propose.voters);
        return;
    case MSG_VOTE:
        put_start(w, m, 10);
        put_i(w, m->vote.error);
        put_u(w, m->vote.node);
        put_u(w, m->vote.incarnation);
        put_u(w, m->vote.ballot);
        put_u(w, m->vote.promised);
        put_epoch(w, m->vote.map_epoch);
        put_epoch(w, m->vote.proposed_epoch);
        put_u(w, m->vote.proposed);
        put_bin(w, m->vote.map);
        put_bin(w, m->vote.voters);
        return;
    case MSG_ACCEPT_LOSS:
        put_start(w, m, 3);
        put_u(w, m->accept_loss.apply);
        put_u(w, m->accept_loss.first);
        put_u(w, m->accept_loss.last);
        return;
    case MSG_ACCEPT_LOSS_REPLY:
        put_start(w, m, 3);
        put_i(w, m->accept_loss_reply.error);
        put_str(w, m->accept_loss_reply.text);
        put_bin(w, m->accept_loss_reply.partitions);
        return;
    case MSG_STATUS_REPLY:
        put_start(w, m, m->status_reply.status ? 2 : 1);
        put_i(w, m->status_reply.error);
        if (m->status_reply.status)
            put_status(w, m->status_reply.status);
        return;
    case MSG_EVENTS_REPLY:
        put_events_reply(w, m);
        return;
    case MSG_ADMIN:
        put_admin(w, m);
        return;
    case MSG_ADMIN_REPLY:
        put_start(w, m, 3);
        put_i(w, m->admin_reply.error);
        put_str(w, m->admin_reply.text);
        put_u(w, m->admin_reply.changed);
        return;
    case MSG_PLAN_REPLY:
        put_plan_reply(w, m);
        return;
    }
    gt_assert(msg_is_reply(m->type));
    put_start(w, m, 1);
    put_i(w, m->refusal.error);
}

/* What keys, values and lists will take; too little only costs a copy. */
static size_t body_bytes_expected(const struct msg *m)
{
    size_t bytes = ROOM_FIRST_BYTES;
    switch (m->type) {
    case MSG_PUT:
        return bytes + m->put.key.bytes + m->put.value.bytes + m->put.context.bytes;
    case MSG_PUT_REPLY:
        return bytes + m->put_reply.context.bytes;
    case MSG_GET:
        return bytes + m->get.key.bytes + m->get.min_context.bytes;
    case MSG_GET_REPLY:
        for (uint32_t i = 0; i < m->get_reply.sibling_count; i++)
            bytes += 48 + m->get_reply.siblings[i].value.bytes;
        return bytes + m->get_reply.context.bytes;
    case MSG_SCAN:
    case MSG_RANGE:
    case MSG_VERIFY:
        return bytes + m->scan.from_key.bytes;
    case MSG_VERIFY_REPLY:
        return bytes + m->verify_reply.row.bytes + m->verify_reply.keys.bytes;
    case MSG_EVENTS_REPLY:
        return bytes + m->events_reply.event_count * 100u;
    case MSG_SCAN_REPLY:
    case MSG_RANGE_REPLY:
        return bytes + m->scan_reply.entries.bytes + m->scan_reply.clock.bytes;
    case MSG_CLOCKS:
    case MSG_CLOCKS_REPLY:
        return bytes + m->clocks.clocks.bytes + m->clocks.unheard.bytes + m->clocks.lives.bytes +
               m->clocks.filling.bytes;
    case MSG_RETIRED:
    case MSG_RETIRED_REPLY:
        return bytes + m->retired.lives.bytes + m->retired.parcels.bytes + m->retired.targets.bytes;
    case MSG_PULL:
        return bytes + m->pull.clock.bytes + m->pull.from_key.bytes;
    case MSG_PULL_REPLY:
        return bytes + m->pull_reply.entries.bytes + m->pull_reply.clock.bytes +
               m->pull_reply.operations.bytes;
    case MSG_STATE:
    case MSG_PARCEL:
        return bytes + m->state.key.bytes + m->state.record.bytes + m->state.dots.bytes +
               m->state.operations.bytes;
    case MSG_STATE_REPLY:
    case MSG_PARCEL_REPLY:
        return bytes + m->state_reply.outranking.bytes + m->state_reply.operations.bytes;
    case MSG_FETCH:
        return bytes + m->fetch.key.bytes;
    case MSG_FETCH_REPLY:
        return bytes + m->fetch_reply.record.bytes;
    case MSG_OPERATION:
        return bytes + m->operation.key.bytes;
    case MSG_OPERATION_REPLY:
        return bytes + m->operation_reply.record.bytes + m->operation_reply.dots.bytes +
               m->operation_reply.operations.bytes;
    case MSG_MAP:
        if (m->map.ring)
            bytes += m->map.ring->member_count * 100u + m->map.ring->settings.partitions * 16u;
        return bytes;
    case MSG_PROPOSE:
        return bytes + m->propose.map.bytes + m->propose.voters.bytes;
    case MSG_VOTE:
        return bytes + m->vote.map.bytes + m->vote.voters.bytes;
    case MSG_STATUS_REPLY:
        if (m->status_reply.status)
            bytes += m->status_reply.status->node_count * 200u;
        return bytes;
    case MSG_HEARTBEAT:
        return bytes + m->heartbeat.done.bytes + m->heartbeat.heard.bytes;
    case MSG_PLAN_REPLY:
        return bytes + m->plan_reply.moves.bytes + m->plan_reply.node_count * 64u;
    default:
        return bytes;
    }
}

struct blob *msg_frame(const struct msg *m)
{
    struct writer w;
    if (!writer_init(&w, FRAME_HEADER_BYTES, body_bytes_expected(m)))
        return NULL;
    put_body(&w, m);
    struct blob *frame = writer_end(&w);
    if (frame)
        frame_seal(frame->data, frame->bytes - FRAME_HEADER_BYTES);
    return frame;
}

struct blob *msg_map_bytes(const struct ring *r)
{
    struct msg m = {.type = MSG_MAP, .epoch = r->epoch, .map.ring = (struct ring *)r};
    struct writer w;
    if (!writer_init(&w, 0, body_bytes_expected(&m)))
        return NULL;
    put_body(&w, &m);
    return writer_end(&w);
}

/* ---- walking: nothing is unpacked before all counts are known to be honest ------------------- */

/* The head of one object: what of it follows. */
struct object_head {
    uint64_t skip;     /* bytes behind the head that belong to it */
    uint64_t children; /* objects inside it */
};

static uint64_t be_get(const uint8_t *at, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | at[i];
    return v;
}

/* Reads a head; false when the bytes end inside it or start nothing. */
static bool head_read(struct reader *r, struct object_head *out)
{
    uint8_t tag = read_u8(r);
    *out = (struct object_head){0, 0};
    if (r->failed || tag == 0xc1)
        return false;
    if (tag <= 0x7f || tag >= 0xe0 || tag == 0xc0 || tag == 0xc2 || tag == 0xc3)
        return true;
    if (tag <= 0x8f) {
        out->children = 2 * (uint64_t)(tag & 15);
        return true;
    }
    if (tag <= 0x9f) {
        out->children = tag & 15;
        return true;
    }
    if (tag <= 0xbf) {
        out->skip = tag & 31;
        return true;
    }
    /* 0xc4 to 0xdf: bytes of the count or number that follows, and what it counts. */
    enum { NUMBER, RUN, EXT, FIXED_EXT, LIST, PAIRS };
    static const struct {
        uint8_t bytes, kind;
    } heads[] = {
        [0xc4 - 0xc4] = {1, RUN},        [0xc5 - 0xc4] = {2, RUN},
        [0xc6 - 0xc4] = {4, RUN},        [0xc7 - 0xc4] = {1, EXT},
        [0xc8 - 0xc4] = {2, EXT},        [0xc9 - 0xc4] = {4, EXT},
        [0xca - 0xc4] = {4, NUMBER},     [0xcb - 0xc4] = {8, NUMBER},
        [0xcc - 0xc4] = {1, NUMBER},     [0xcd - 0xc4] = {2, NUMBER},
        [0xce - 0xc4] = {4, NUMBER},     [0xcf - 0xc4] = {8, NUMBER},
        [0xd0 - 0xc4] = {1, NUMBER},     [0xd1 - 0xc4] = {2, NUMBER},
        [0xd2 - 0xc4] = {4, NUMBER},     [0xd3 - 0xc4] = {8, NUMBER},
        [0xd4 - 0xc4] = {2, FIXED_EXT},  [0xd5 - 0xc4] = {3, FIXED_EXT},
        [0xd6 - 0xc4] = {5, FIXED_EXT},  [0xd7 - 0xc4] = {9, FIXED_EXT},
        [0xd8 - 0xc4] = {17, FIXED_EXT}, [0xd9 - 0xc4] = {1, RUN},
        [0xda - 0xc4] = {2, RUN},        [0xdb - 0xc4] = {4, RUN},
        [0xdc - 0xc4] = {2, LIST},       [0xdd - 0xc4] = {4, LIST},
        [0xde - 0xc4] = {2, PAIRS},      [0xdf - 0xc4] = {4, PAIRS},
    };
    size_t bytes = heads[tag - 0xc4].bytes;
    struct slice raw = read_raw(r, bytes);
    if (r->failed)
        return false;
    switch (heads[tag - 0xc4].kind) {
    case RUN:
        out->skip = be_get(raw.data, bytes);
        break;
    case EXT:
        out->skip = be_get(raw.data, bytes) + 1; /* and its type */
        break;
    case LIST:
        out->children = be_get(raw.data, bytes);
        break;
    case PAIRS:
        out->children = 2 * be_get(raw.data, bytes);
        break;
    default:
        break;
    }
    return true;
}

/* Exactly one object, an array, whose counts the bytes can hold. */
static bool body_sound(struct slice body)
{
    struct reader r = reader_of(body);
    uint64_t left[MSG_NESTING_MAX]; /* objects to come in each open list */
    uint64_t objects = 0, objects_max = OBJECTS_MAX;
    unsigned depth = 0;
    if (body.bytes < 2 || ((body.data[0] & 0xf0) != 0x90 && (body.data[0] & 0xfe) != 0xdc))
        return false;
    size_t type_at = (body.data[0] & 0xf0) == 0x90 ? 1 : body.data[0] == 0xdc ? 3 : 5;
    if (type_at < body.bytes && body.data[type_at] == MSG_MAP)
        objects_max = OBJECTS_MAX_MAP;
    do {
        /* Most are small numbers, a byte each, within a list that goes on. */
        while (depth > 0 && left[depth - 1] > 1 && r.at < r.end && *r.at <= 0x7f) {
            left[depth - 1]--;
            r.at++;
        }
        struct object_head head;
        if (!head_read(&r, &head) || head.skip > reader_left(&r) || head.children > reader_left(&r))
            return false;
        objects += head.children;
        if (objects > objects_max)
            return false;
        read_raw(&r, (size_t)head.skip);
        if (depth > 0)
            left[depth - 1]--;
        if (head.children > 0) {
            if (depth == MSG_NESTING_MAX)
                return false;
            left[depth++] = head.children;
        }
        while (depth > 0 && left[depth - 1] == 0)
            depth--;
    } while (depth > 0);
    return reader_left(&r) == 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct msg_decoder {
    msgpack_zone *zone;
};

/* The elements of one array, taken in order. What is missing at the end reads as zero; the first
 * thing that is wrong marks it. */
struct fields {
    const msgpack_object *at, *end;
    msgpack_zone *zone;
    int error;
};

static const msgpack_object *next(struct fields *f)
{
    static const msgpack_object nothing = {.type = MSGPACK_OBJECT_NIL};
    return f->at < f->end ? f->at++ : &nothing;
}

static void wrong(struct fields *f)
{
    if (!f->error)
        f->error = GT_EPROTO;
    f->at = f->end;
}

static uint64_t get_u(struct fields *f, uint64_t max)
{
    const msgpack_object *o = next(f);
    if (o->type == MSGPACK_OBJECT_NIL)
        return 0;
    if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER || o->via.u64 > max) {
        wrong(f);
        return 0;
    }
    return o->via.u64;
}

/* 0 or a negative error. */
static int32_t error_of(struct fields *f, const msgpack_object *o)
{
    if (o->type == MSGPACK_OBJECT_NIL)
        return 0;
    if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 == 0)
        return 0;
    if (o->type != MSGPACK_OBJECT_NEGATIVE_INTEGER || o->via.i64 < INT32_MIN) {
        wrong(f);
        return 0;
    }
    return (int32_t)o->via.i64;
}

static int32_t get_error(struct fields *f)
{
    return error_of(f, next(f));
}

/* A weight: finite and not negative. */
static double get_real(struct fields *f, double max)
{
    const msgpack_object *o = next(f);
    double v = 0;
    if (o->type == MSGPACK_OBJECT_FLOAT64 || o->type == MSGPACK_OBJECT_FLOAT32)
        v = o->via.f64;
    else if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
        v = (double)o->via.u64;
    else if (o->type != MSGPACK_OBJECT_NIL)
        v = -1;
    if (!(v >= 0 && v <= max)) { /* what is no number fails too */
        wrong(f);
        return 0;
    }
    return v;
}

/* Bytes or a text, whichever way they were sent. */
static struct slice get_bytes(struct fields *f)
{
    const msgpack_object *o = next(f);
    switch (o->type) {
    case MSGPACK_OBJECT_NIL:
        return slice_of(NULL, 0);
    case MSGPACK_OBJECT_BIN:
        return slice_of(o->via.bin.ptr, o->via.bin.size);
    case MSGPACK_OBJECT_STR:
        return slice_of(o->via.str.ptr, o->via.str.size);
    default:
        wrong(f);
        return slice_of(NULL, 0);
    }
}

/* Exactly `bytes` bytes, or none, which is all zero. */
static void get_fixed(struct fields *f, uint8_t *to, size_t bytes)
{
    struct slice s = get_bytes(f);
    memset(to, 0, bytes);
    if (s.bytes == bytes)
        memcpy(to, s.data, bytes);
    else if (s.bytes != 0)
        wrong(f);
}

/* A text into room of `bytes` bytes, the final NUL included. */
static void get_text(struct fields *f, char *to, size_t bytes)
{
    struct slice s = get_bytes(f);
    to[0] = '\0';
    if (s.bytes == 0)
        return;
    if (s.bytes >= bytes || memchr(s.data, '\0', s.bytes)) {
        wrong(f);
        return;
    }
    memcpy(to, s.data, s.bytes);
    to[s.bytes] = '\0';
}

static struct fields fields_of(struct fields *f, const msgpack_object *o)
{
    struct fields inner = {.zone = f->zone, .error = f->error};
    if (o->type == MSGPACK_OBJECT_ARRAY) {
        inner.at = o->via.array.ptr;
        inner.end = o->via.array.ptr + o->via.array.size;
    } else if (o->type != MSGPACK_OBJECT_NIL) {
        wrong(f);
        inner.error = f->error;
    }
    return inner;
}

static struct fields get_array(struct fields *f)
{
    return fields_of(f, next(f));
}

/* Call it when the inner array is read: its error is the outer one's. */
static void end_array(struct fields *f, const struct fields *inner)
{
    if (inner->error)
        wrong(f);
    if (inner->error == GT_ENOMEM)
        f->error = GT_ENOMEM;
}

static uint32_t fields_left(const struct fields *f)
{
    return (uint32_t)(f->end - f->at);
}

/* Zeroed memory that lives until the next message. */
static void *zone_array(struct fields *f, uint32_t count, size_t bytes)
{
    void *p = msgpack_zone_malloc(f->zone, (count ? count : 1) * bytes);
    if (!p) {
        wrong(f);
        f->error = GT_ENOMEM;
        return NULL;
    }
    return memset(p, 0, (count ? count : 1) * bytes);
}

static void get_request_head(struct fields *f, struct request_head *h)
{
    struct fields in = get_array(f);
    h->flags = (uint32_t)get_u(&in, UINT32_MAX);
    h->deadline_ms = (uint32_t)get_u(&in, UINT32_MAX);
    h->age_ms = (uint32_t)get_u(&in, UINT32_MAX);
    h->priority = (uint8_t)get_u(&in, 2);
    h->mode = (uint8_t)get_u(&in, MODE_AVAILABLE);
    h->quorum = (uint8_t)get_u(&in, UINT8_MAX);
    get_fixed(&in, h->op, OP_ID_BYTES);
    end_array(f, &in);
}

/* Or a bare error: the answer of someone who does not know the request. */
static void get_reply_head(struct fields *f, struct reply_head *h)
{
    const msgpack_object *o = next(f);
    if (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        h->error = error_of(f, o);
        return;
    }
    struct fields in = fields_of(f, o);
    h->error = get_error(&in);
    h->outcome = (uint8_t)get_u(&in, OUTCOME_IN_DOUBT);
    h->flags = (uint32_t)get_u(&in, UINT32_MAX);
    h->owners = (uint8_t)get_u(&in, UINT8_MAX);
    h->guests = (uint8_t)get_u(&in, UINT8_MAX);
    h->text = get_bytes(&in);
    end_array(f, &in);
}

static struct epoch get_epoch(struct fields *f)
{
    struct fields in = get_array(f);
    struct epoch e = {.ballot = get_u(&in, UINT64_MAX)};
    e.counter = get_u(&in, UINT64_MAX);
    end_array(f, &in);
    return e;
}

static void get_settings(struct fields *f, struct settings *s)
{
    struct fields in = get_array(f);
    s->replicas = (uint32_t)get_u(&in, UINT32_MAX);
    s->read_quorum = (uint32_t)get_u(&in, UINT32_MAX);
    s->write_quorum = (uint32_t)get_u(&in, UINT32_MAX);
    s->partitions = (uint32_t)get_u(&in, UINT32_MAX);
    s->form_nodes = (uint32_t)get_u(&in, UINT32_MAX);
    s->profile = (uint32_t)get_u(&in, UINT32_MAX);
    s->value_bytes_max = get_u(&in, UINT64_MAX);
    end_array(f, &in);
}

static void get_member(struct fields *f, struct member *m)
{
    struct fields in = get_array(f);
    m->id = get_u(&in, UINT64_MAX);
    m->incarnation = get_u(&in, UINT64_MAX);
    get_text(&in, m->label, sizeof(m->label));
    get_text(&in, m->address.host, sizeof(m->address.host));
    m->address.port = (uint16_t)get_u(&in, UINT16_MAX);
    get_text(&in, m->zone, sizeof(m->zone));
    m->capacity = get_real(&in, MEMBER_CAPACITY_MAX);
    m->state = (enum member_state)get_u(&in, MEMBER_REMOVED);
    m->refill = get_u(&in, UINT32_MAX) & 1;
    m->leaving = get_u(&in, UINT32_MAX) & 1;
    m->capacity_set = get_u(&in, UINT32_MAX) & 1;
    m->replacing = get_u(&in, UINT32_MAX) & 1;
    m->heir = get_u(&in, UINT64_MAX);
    end_array(f, &in);
}

static uint8_t get_owners(struct fields *f, uint16_t owners[REPLICAS_MAX])
{
    struct fields in = get_array(f);
    uint32_t count = fields_left(&in);
    if (count > REPLICAS_MAX) {
        wrong(f);
        return 0;
    }
    for (uint32_t i = 0; i < count; i++)
        owners[i] = (uint16_t)get_u(&in, MEMBERS_MAX - 1);
    end_array(f, &in);
    return (uint8_t)count;
}

static void get_arc(struct fields *f, struct arc *a)
{
    struct fields in = get_array(f);
    a->phase = (uint8_t)get_u(&in, ARC_CLEANUP);
    a->owner_count = get_owners(&in, a->owners);
    a->beside_count = get_owners(&in, a->beside);
    if (fields_left(&in) > 0)
        a->write_since = get_epoch(&in);
    if (fields_left(&in) > 0)
        a->read_since = get_epoch(&in);
    end_array(f, &in);
}

/* A checked map with one reference, NULL with f->error set. */
static struct ring *get_ring(struct fields *f)
{
    struct ring start = {.epoch = get_epoch(f)};
    get_fixed(f, start.cluster_id, CLUSTER_ID_BYTES);
    start.formed = get_u(f, 1) != 0;
    get_settings(f, &start.settings);
    struct fields members = get_array(f), arcs = get_array(f);
    uint32_t member_count = fields_left(&members), arc_count = fields_left(&arcs);
    if (f->error || member_count > MEMBERS_MAX || arc_count > PARTITIONS_MAX ||
        arc_count != (start.formed ? start.settings.partitions : 0)) {
        wrong(f);
        return NULL;
    }
    struct ring *r = ring_new(member_count, arc_count);
    if (!r) {
        f->error = GT_ENOMEM;
        return NULL;
    }
    r->epoch = start.epoch;
    memcpy(r->cluster_id, start.cluster_id, CLUSTER_ID_BYTES);
    r->formed = start.formed;
    r->settings = start.settings;
    for (uint32_t i = 0; i < member_count; i++)
        get_member(&members, &r->members[i]);
    for (uint32_t i = 0; i < arc_count; i++)
        get_arc(&arcs, &r->arcs[i]);
    end_array(f, &members);
    end_array(f, &arcs);
    r->rebalance = (uint8_t)get_u(f, REBALANCE_PAUSED);
    if (fields_left(f) > 0)
        r->members_since = get_epoch(f);
    if (fields_left(f) > 0)
        r->cancelled_for = get_u(f, UINT64_MAX);
    if (!f->error)
        f->error = ring_check(r);
    if (f->error) {
        ring_unref(r);
        return NULL;
    }
    return r;
}

static void get_report(struct fields *f, struct node_report *r)
{
    struct fields in = get_array(f);
    r->keys = get_u(&in, UINT64_MAX);
    r->records = get_u(&in, UINT64_MAX);
    r->data_bytes = get_u(&in, UINT64_MAX);
    r->rss_bytes = get_u(&in, UINT64_MAX);
    r->hints = get_u(&in, UINT64_MAX);
    r->lag_writes = get_u(&in, UINT64_MAX);
    r->uptime_s = get_u(&in, UINT64_MAX);
    r->linked_peers = (uint32_t)get_u(&in, UINT32_MAX);
    r->lag_known = get_u(&in, UINT32_MAX) & 1;
    r->damage.kinds = (uint8_t)get_u(&in, UINT8_MAX);
    r->damage.first_lsn = get_u(&in, UINT64_MAX);
    r->damage.last_lsn = get_u(&in, UINT64_MAX);
    r->damage.found_s = get_u(&in, UINT64_MAX);
    r->damage.starts = get_u(&in, UINT64_MAX);
    r->operations = get_u(&in, UINT64_MAX);
    r->operations_bytes = get_u(&in, UINT64_MAX);
    r->operations_s = get_u(&in, UINT64_MAX);
    r->filling = (uint32_t)get_u(&in, PARTITIONS_MAX);
    r->tombstones = get_u(&in, UINT64_MAX);
    r->reaped = get_u(&in, UINT64_MAX);
    struct fields rows = get_array(&in);
    r->parcels_count = 0;
    for (; r->parcels_count < PARCEL_TARGETS_TOLD && fields_left(&rows) >= 4; r->parcels_count++) {
        struct parcels_kept *kept = &r->parcels[r->parcels_count];
        kept->target = get_u(&rows, UINT64_MAX);
        kept->count = get_u(&rows, UINT64_MAX);
        kept->bytes = get_u(&rows, UINT64_MAX);
        kept->oldest_s = get_u(&rows, UINT64_MAX);
    }
    end_array(&in, &rows);
    r->lag_eta_s = get_u(&in, UINT64_MAX);
    r->disk_error = get_error(&in);
    r->stored_bytes = get_u(&in, UINT64_MAX);
    end_array(f, &in);
}

static void get_status_node(struct fields *f, struct status_node *n)
{
    struct fields in = get_array(f);
    get_member(&in, &n->member);
    n->report_known = get_u(&in, UINT32_MAX) & 1;
    get_report(&in, &n->report);
    n->tokens = (uint32_t)get_u(&in, UINT32_MAX);
    n->heard_ms = get_u(&in, UINT64_MAX);
    end_array(f, &in);
}

static struct status *get_status(struct fields *f)
{
    if (fields_left(f) == 0 || f->at->type == MSGPACK_OBJECT_NIL)
        return NULL;
    struct status *s = zone_array(f, 1, sizeof(*s));
    if (!s)
        return NULL;
    struct fields in = get_array(f);
    uint64_t flags = get_u(&in, UINT32_MAX);
    s->manager_reachable = flags & 1;
    s->standby = flags & 4;
    s->formed = flags & 2;
    get_text(&in, s->source, sizeof(s->source));
    s->epoch = get_epoch(&in);
    get_fixed(&in, s->cluster_id, CLUSTER_ID_BYTES);
    s->registered = (uint32_t)get_u(&in, UINT32_MAX);
    get_settings(&in, &s->settings);
    s->verdict = (uint8_t)get_u(&in, VERDICT_UNAVAILABLE);
    struct fields partitions = get_array(&in);
    s->partitions_full = (uint32_t)get_u(&partitions, UINT32_MAX);
    s->partitions_quorum = (uint32_t)get_u(&partitions, UINT32_MAX);
    s->partitions_below = (uint32_t)get_u(&partitions, UINT32_MAX);
    end_array(&in, &partitions);
    struct fields moves = get_array(&in);
    s->moves_total = get_u(&moves, UINT64_MAX);
    s->moves_done = get_u(&moves, UINT64_MAX);
    s->moves_bytes_left = get_u(&moves, UINT64_MAX);
    s->moves_eta_s = get_u(&moves, UINT64_MAX);
    end_array(&in, &moves);
    struct fields nodes = get_array(&in);
    if (fields_left(&nodes) > MEMBERS_MAX)
        wrong(&nodes);
    s->node_count = fields_left(&nodes);
    s->nodes = zone_array(&nodes, s->node_count, sizeof(*s->nodes));
    for (uint32_t i = 0; s->nodes && i < s->node_count; i++)
        get_status_node(&nodes, &s->nodes[i]);
    end_array(&in, &nodes);
    struct fields open = get_array(&in);
    s->rebalance = (uint8_t)get_u(&open, REBALANCE_PAUSED);
    s->moves_prepare = (uint32_t)get_u(&open, UINT32_MAX);
    s->moves_read_new = (uint32_t)get_u(&open, UINT32_MAX);
    s->moves_cleanup = (uint32_t)get_u(&open, UINT32_MAX);
    s->rebalance_pending = get_u(&open, UINT32_MAX) & 1;
    end_array(&in, &open);
    end_array(f, &in);
    return s;
}

static struct slice get_run(struct fields *f, size_t item_bytes)
{
    struct slice run = get_bytes(f);
    if (run.bytes % item_bytes != 0)
        wrong(f);
    return run;
}

static void get_hello(struct fields *f, struct msg *m)
{
    m->hello.error = get_error(f);
    m->hello.role = (uint8_t)get_u(f, ROLE_MANAGER);
    m->hello.protocol_min = (uint16_t)get_u(f, UINT16_MAX);
    m->hello.protocol_max = (uint16_t)get_u(f, UINT16_MAX);
    get_fixed(f, m->hello.cluster_id, CLUSTER_ID_BYTES);
    m->hello.node = get_u(f, UINT64_MAX);
    m->hello.incarnation = get_u(f, UINT64_MAX);
    m->hello.previous_incarnation = get_u(f, UINT64_MAX);
    m->hello.seen_incarnation = get_u(f, UINT64_MAX);
    m->hello.label = get_bytes(f);
    m->hello.text = get_bytes(f);
    if (m->type == MSG_HELLO_REPLY)
        m->hello.clock_us = get_u(f, UINT64_MAX);
    m->hello.lives = get_run(f, LIFE_TOLD_BYTES);
}

static void get_sibling(struct fields *f, struct msg_sibling *s)
{
    struct fields in = get_array(f);
    s->flags = (uint8_t)get_u(&in, UINT8_MAX);
    s->stamp = get_u(&in, UINT64_MAX);
    s->dot.actor.node = get_u(&in, UINT64_MAX);
    s->dot.actor.incarnation = get_u(&in, UINT64_MAX);
    s->dot.seq = get_u(&in, UINT64_MAX);
    s->value = get_bytes(&in);
    end_array(f, &in);
}

static void get_get_reply(struct fields *f, struct msg *m)
{
    get_reply_head(f, &m->get_reply.head);
    m->get_reply.context = get_bytes(f);
    m->get_reply.label = get_bytes(f);
    struct fields in = get_array(f);
    uint32_t count = fields_left(&in);
    m->get_reply.siblings = zone_array(&in, count, sizeof(*m->get_reply.siblings));
    m->get_reply.sibling_count = count;
    for (uint32_t i = 0; m->get_reply.siblings && i < count; i++)
        get_sibling(&in, &m->get_reply.siblings[i]);
    end_array(f, &in);
    m->get_reply.sibling_total = (uint32_t)get_u(f, UINT32_MAX);
    m->get_reply.clock_us = get_u(f, UINT64_MAX);
}

static void get_events_reply(struct fields *f, struct msg *m)
{
    m->events_reply.error = get_error(f);
    m->events_reply.label = get_bytes(f);
    m->events_reply.forgotten = get_u(f, UINT64_MAX);
    struct fields in = get_array(f);
    uint32_t count = fields_left(&in);
    m->events_reply.events = zone_array(&in, count, sizeof(*m->events_reply.events));
    m->events_reply.event_count = m->events_reply.events ? count : 0;
    for (uint32_t i = 0; i < m->events_reply.event_count; i++) {
        struct msg_event *e = &m->events_reply.events[i];
        struct fields one = get_array(&in);
        e->wall_us = get_u(&one, UINT64_MAX);
        e->times = get_u(&one, UINT64_MAX);
        e->kind = get_bytes(&one);
        e->text = get_bytes(&one);
        end_array(&in, &one);
    }
    end_array(f, &in);
}

/* A run of whole dots. */
static uint32_t get_partition(struct fields *f)
{
    return (uint32_t)get_u(f, PARTITIONS_MAX - 1);
}

static void get_scan(struct fields *f, struct msg *m)
{
    get_request_head(f, &m->scan.head);
    m->scan.partition = get_partition(f);
    m->scan.from_start = get_u(f, UINT32_MAX) & 1;
    m->scan.from_hash = get_u(f, UINT64_MAX);
    m->scan.from_key = get_bytes(f);
    m->scan.bytes_max = (uint32_t)get_u(f, UINT32_MAX);
}

static void get_scan_reply(struct fields *f, struct msg *m)
{
    get_reply_head(f, &m->scan_reply.head);
    m->scan_reply.entries = get_bytes(f);
    m->scan_reply.entry_count = (uint32_t)get_u(f, UINT32_MAX);
    if (m->scan_reply.entry_count > m->scan_reply.entries.bytes / 2) /* two lengths each */
        wrong(f);
    m->scan_reply.clock = get_bytes(f);
}

static void get_admin(struct fields *f, struct msg *m)
{
    m->admin.verb = (uint8_t)get_u(f, UINT8_MAX);
    m->admin.apply = get_u(f, UINT32_MAX) & 1;
    m->admin.node = get_bytes(f);
    m->admin.other = get_bytes(f);
    m->admin.capacity = get_real(f, MEMBER_CAPACITY_MAX);
    m->admin.epoch = get_epoch(f);
    m->admin.write_quorum = (uint32_t)get_u(f, UINT32_MAX);
    m->admin.read_quorum = (uint32_t)get_u(f, UINT32_MAX);
    m->admin.value_bytes_max = get_u(f, UINT64_MAX);
}

static void get_plan_node(struct fields *f, struct plan_node *n)
{
    struct fields in = get_array(f);
    n->label = get_bytes(&in);
    n->takes_part = get_u(&in, UINT32_MAX) & 1;
    n->capacity = get_real(&in, MEMBER_CAPACITY_MAX);
    n->tokens = get_u(&in, UINT64_MAX);
    n->tokens_after = get_u(&in, UINT64_MAX);
    n->keys = get_u(&in, UINT64_MAX);
    n->bytes = get_u(&in, UINT64_MAX);
    end_array(f, &in);
}

/* from and to are nobody, or count the nodes of the plan. */
static bool moves_sound(struct slice moves, uint32_t node_count)
{
    for (size_t at = 0; at < moves.bytes; at += MOVE_BYTES)
        for (size_t end = 2; end <= 4; end += 2) {
            uint16_t node = le16_get(moves.data + at + end);
            if (node != MOVE_NOBODY && node >= node_count)
                return false;
        }
    return true;
}

static void get_plan_reply(struct fields *f, struct msg *m)
{
    m->plan_reply.error = get_error(f);
    m->plan_reply.text = get_bytes(f);
    m->plan_reply.formed = get_u(f, UINT32_MAX) & 1;
    m->plan_reply.rebalance = (uint8_t)get_u(f, REBALANCE_PAUSED);
    m->plan_reply.eta_s = get_u(f, UINT64_MAX);
    m->plan_reply.order_changes = (uint32_t)get_u(f, UINT32_MAX);
    struct fields in = get_array(f);
    uint32_t count = fields_left(&in);
    if (count > MEMBERS_MAX) {
        wrong(f);
        return;
    }
    m->plan_reply.nodes = zone_array(&in, count, sizeof(*m->plan_reply.nodes));
    m->plan_reply.node_count = m->plan_reply.nodes ? count : 0;
    for (uint32_t i = 0; i < m->plan_reply.node_count; i++)
        get_plan_node(&in, &m->plan_reply.nodes[i]);
    end_array(f, &in);
    m->plan_reply.moves = get_run(f, MOVE_BYTES);
    if (!f->error && !moves_sound(m->plan_reply.moves, m->plan_reply.node_count))
        wrong(f);
}

static void get_body(struct fields *f, struct msg *m)
{
    switch (m->type) {
    case MSG_HELLO:
    case MSG_HELLO_REPLY:
        get_hello(f, m);
        return;
    case MSG_PING:
    case MSG_MAP_GET:
    case MSG_STATUS:
    case MSG_EVENTS:
    case MSG_PLAN:
        return;
    case MSG_PING_REPLY:
        m->ping_reply.wall_us = get_u(f, UINT64_MAX);
        m->ping_reply.clock_us = get_u(f, UINT64_MAX);
        return;
    case MSG_PUT:
        get_request_head(f, &m->put.head);
        m->put.key = get_bytes(f);
        m->put.context = get_bytes(f);
        m->put.value = get_bytes(f);
        m->put.valid_until = get_u(f, UINT64_MAX);
        m->put.valid_until_us = get_u(f, UINT64_MAX);
        m->put.first_stamp = get_u(f, UINT64_MAX);
        return;
    case MSG_PUT_REPLY:
        get_reply_head(f, &m->put_reply.head);
        m->put_reply.stamp = get_u(f, UINT64_MAX);
        m->put_reply.context = get_bytes(f);
        m->put_reply.label = get_bytes(f);
        m->put_reply.clock_us = get_u(f, UINT64_MAX);
        return;
    case MSG_GET:
        get_request_head(f, &m->get.head);
        m->get.key = get_bytes(f);
        m->get.min_context = get_bytes(f);
        return;
    case MSG_GET_REPLY:
        get_get_reply(f, m);
        return;
    case MSG_SCAN:
    case MSG_RANGE:
    case MSG_VERIFY:
        get_scan(f, m);
        return;
    case MSG_VERIFY_REPLY:
        get_reply_head(f, &m->verify_reply.head);
        m->verify_reply.records = get_u(f, UINT64_MAX);
        m->verify_reply.digest_sum = get_u(f, UINT64_MAX);
        m->verify_reply.bad = get_u(f, UINT64_MAX);
        m->verify_reply.last_key = get_bytes(f);
        m->verify_reply.row = get_bytes(f);
        m->verify_reply.keys = get_bytes(f);
        return;
    case MSG_EVENTS_REPLY:
        get_events_reply(f, m);
        return;
    case MSG_SCAN_REPLY:
    case MSG_RANGE_REPLY:
        get_scan_reply(f, m);
        return;
    case MSG_CLOCKS:
        m->clocks.clocks = get_bytes(f);
        m->clocks.unheard = get_run(f, 2);
        m->clocks.lives = get_run(f, LIFE_BYTES);
        m->clocks.filling = get_run(f, 2);
        return;
    case MSG_CLOCKS_REPLY:
        get_reply_head(f, &m->clocks.head);
        m->clocks.clocks = get_bytes(f);
        m->clocks.unheard = get_run(f, 2);
        m->clocks.lives = get_run(f, LIFE_BYTES);
        m->clocks.filling = get_run(f, 2);
        return;
    case MSG_RETIRED:
        m->retired.lives = get_run(f, LIFE_BYTES);
        return;
    case MSG_RETIRED_REPLY:
        get_reply_head(f, &m->retired.head);
        m->retired.lives = get_run(f, LIFE_BYTES);
        m->retired.parcels = get_run(f, 2);
        m->retired.targets = get_run(f, 8);
        return;
    case MSG_PULL:
        get_request_head(f, &m->pull.head);
        m->pull.partition = get_partition(f);
        m->pull.clock = get_bytes(f);
        m->pull.whole = get_u(f, UINT32_MAX) & 1;
        m->pull.from_start = get_u(f, UINT32_MAX) & 1;
        m->pull.from_hash = get_u(f, UINT64_MAX);
        m->pull.from_key = get_bytes(f);
        m->pull.bytes_max = (uint32_t)get_u(f, UINT32_MAX);
        return;
    case MSG_PULL_REPLY:
        get_reply_head(f, &m->pull_reply.head);
        m->pull_reply.entries = get_bytes(f);
        m->pull_reply.entry_count = (uint32_t)get_u(f, UINT32_MAX);
        if (m->pull_reply.entry_count > m->pull_reply.entries.bytes / 2) /* two lengths each */
            wrong(f);
        m->pull_reply.clock = get_bytes(f);
        m->pull_reply.lacking = get_u(f, UINT64_MAX);
        m->pull_reply.operations = get_run(f, OPERATION_BYTES);
        m->pull_reply.operations_floor = get_u(f, UINT64_MAX);
        m->pull_reply.data = get_u(f, UINT64_MAX);
        if (fields_left(f) > 0)
            m->pull_reply.members_since = get_epoch(f);
        return;
    case MSG_STATE:
    case MSG_PARCEL:
        if (m->type == MSG_PARCEL)
            m->state.target = get_u(f, UINT64_MAX);
        get_request_head(f, &m->state.head);
        m->state.partition = get_partition(f);
        m->state.key = get_bytes(f);
        m->state.record = get_bytes(f);
        m->state.dots = get_run(f, DOT_BYTES);
        m->state.operations = get_run(f, OPERATION_BYTES);
        return;
    case MSG_STATE_REPLY:
    case MSG_PARCEL_REPLY:
        get_reply_head(f, &m->state_reply.head);
        m->state_reply.outranking_stamp = get_u(f, UINT64_MAX);
        m->state_reply.outranking = get_run(f, DOT_BYTES);
        m->state_reply.operations = get_run(f, OPERATION_BYTES);
        return;
    case MSG_FETCH:
        get_request_head(f, &m->fetch.head);
        m->fetch.partition = get_partition(f);
        m->fetch.key = get_bytes(f);
        m->fetch.digest_above = (uint32_t)get_u(f, UINT32_MAX);
        return;
    case MSG_FETCH_REPLY:
        get_reply_head(f, &m->fetch_reply.head);
        m->fetch_reply.record = get_bytes(f);
        m->fetch_reply.digest = get_u(f, UINT64_MAX);
        m->fetch_reply.record_bytes = (uint32_t)get_u(f, UINT32_MAX);
        return;
    case MSG_OPERATION:
        get_request_head(f, &m->operation.head);
        m->operation.partition = get_partition(f);
        m->operation.key = get_bytes(f);
        return;
    case MSG_OPERATION_REPLY:
        get_reply_head(f, &m->operation_reply.head);
        m->operation_reply.length_ms = get_u(f, UINT64_MAX);
        m->operation_reply.record = get_bytes(f);
        m->operation_reply.dots = get_run(f, DOT_BYTES);
        m->operation_reply.operations = get_run(f, OPERATION_BYTES);
        return;
    case MSG_MAP:
        if (fields_left(f) > 0 && f->at->type != MSGPACK_OBJECT_NIL)
            m->map.ring = get_ring(f);
        return;
    case MSG_REGISTER:
        get_member(f, &m->member.member);
        m->member.previous_incarnation = get_u(f, UINT64_MAX);
        m->member.replaces = get_bytes(f);
        m->member.lives = get_run(f, LIFE_TOLD_BYTES);
        return;
    case MSG_REGISTER_REPLY:
        m->register_reply.error = get_error(f);
        m->register_reply.text = get_bytes(f);
        m->register_reply.label = get_bytes(f);
        get_fixed(f, m->register_reply.cluster_id, CLUSTER_ID_BYTES);
        return;
    case MSG_HEARTBEAT:
        m->heartbeat.node = get_u(f, UINT64_MAX);
        m->heartbeat.incarnation = get_u(f, UINT64_MAX);
        get_report(f, &m->heartbeat.report);
        m->heartbeat.done = get_run(f, 2);
        m->heartbeat.heard = get_run(f, 8);
        return;
    case MSG_HEARTBEAT_REPLY:
        m->heartbeat_reply.error = get_error(f);
        m->heartbeat_reply.lease_ms = (uint32_t)get_u(f, UINT32_MAX);
        return;
    case MSG_PROPOSE:
        m->propose.error = get_error(f);
        m->propose.ballot = get_u(f, UINT64_MAX);
        m->propose.life = get_u(f, UINT64_MAX);
        m->propose.map = get_bytes(f);
        m->propose.voters = get_run(f, 8);
        return;
    case MSG_VOTE:
        m->vote.error = get_error(f);
        m->vote.node = get_u(f, UINT64_MAX);
        m->vote.incarnation = get_u(f, UINT64_MAX);
        m->vote.ballot = get_u(f, UINT64_MAX);
        m->vote.promised = get_u(f, UINT64_MAX);
        if (fields_left(f) > 0)
            m->vote.map_epoch = get_epoch(f);
        if (fields_left(f) > 0)
            m->vote.proposed_epoch = get_epoch(f);
        m->vote.proposed = get_u(f, UINT32_MAX) & 1;
        m->vote.map = get_bytes(f);
        m->vote.voters = get_run(f, 8);
        return;
    case MSG_ACCEPT_LOSS:
        m->accept_loss.apply = get_u(f, UINT32_MAX) & 1;
        m->accept_loss.first = get_partition(f);
        m->accept_loss.last = get_partition(f);
        return;
    case MSG_ACCEPT_LOSS_REPLY:
        m->accept_loss_reply.error = get_error(f);
        m->accept_loss_reply.text = get_bytes(f);
        m->accept_loss_reply.partitions = get_bytes(f);
        if (m->accept_loss_reply.partitions.bytes % 2 != 0)
            wrong(f);
        return;
    case MSG_STATUS_REPLY:
        m->status_reply.error = get_error(f);
        m->status_reply.status = get_status(f);
        return;
    case MSG_ADMIN:
        get_admin(f, m);
        return;
    case MSG_ADMIN_REPLY:
        m->admin_reply.error = get_error(f);
        m->admin_reply.text = get_bytes(f);
        m->admin_reply.changed = get_u(f, UINT32_MAX) & 1;
        return;
    case MSG_PLAN_REPLY:
        get_plan_reply(f, m);
        return;
    }
    f->error = GT_EUNSUPPORTED;
}

void msg_events(struct msg *m, const char *label, const struct events *kept)
{
    uint32_t count = events_count(kept);
    m->events_reply.label = slice_text(label);
    m->events_reply.events = calloc(count + 1, sizeof(*m->events_reply.events));
    if (!m->events_reply.events) {
        m->events_reply.error = GT_ENOMEM;
        return;
    }
    m->events_reply.forgotten = kept ? kept->total - count : 0;
    m->events_reply.event_count = count;
    for (uint32_t i = 0; i < count; i++) {
        const struct event *e = events_get(kept, i);
        m->events_reply.events[i] = (struct msg_event){.wall_us = e->wall_us,
                                                       .times = e->times,
                                                       .kind = slice_text(event_name(e->kind)),
                                                       .text = slice_text(e->text)};
    }
}

struct msg_decoder *msg_decoder_new(void)
{
    struct msg_decoder *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->zone = msgpack_zone_new(MSGPACK_ZONE_CHUNK_SIZE);
    if (!d->zone) {
        free(d);
        return NULL;
    }
    return d;
}

void msg_decoder_free(struct msg_decoder *d)
{
    if (!d)
        return;
    msgpack_zone_free(d->zone);
    free(d);
}

int msg_decode(struct msg_decoder *d, struct slice body, struct msg *out)
{
    size_t offset = 0;
    msgpack_object top;
    memset(out, 0, sizeof(*out));
    msgpack_zone_clear(d->zone);
    if (!body_sound(body))
        return GT_EPROTO;
    /* The bytes are known to be whole, so what fails here is memory. */
    if (msgpack_unpack((const char *)body.data, body.bytes, &offset, d->zone, &top) !=
        MSGPACK_UNPACK_SUCCESS)
        return GT_ENOMEM;
    struct fields nothing = {.zone = d->zone};
    struct fields f = fields_of(&nothing, &top);
    out->type = (enum msg_type)get_u(&f, UINT16_MAX);
    out->id = get_u(&f, UINT64_MAX);
    out->epoch.ballot = get_u(&f, UINT64_MAX);
    out->epoch.counter = get_u(&f, UINT64_MAX);
    out->stamp = get_u(&f, UINT64_MAX);
    if (f.error)
        return f.error;
    get_body(&f, out);
    if (f.error && out->type == MSG_MAP && out->map.ring) {
        ring_unref(out->map.ring);
        out->map.ring = NULL;
    }
    return f.error;
}

int msg_map_read(struct slice bytes, struct ring **out)
{
    struct msg m;
    struct msg_decoder *d = msg_decoder_new();
    int error = d ? msg_decode(d, bytes, &m) : GT_ENOMEM;
    if (error == GT_EUNSUPPORTED || (!error && (m.type != MSG_MAP || !m.map.ring)))
        error = GT_EPROTO;
    if (!error)
        *out = m.map.ring;
    msg_decoder_free(d);
    return error;
}

/* ---- for people ------------------------------------------------------------------------------ */

static const char *type_name(enum msg_type type)
{
    switch (type) {
#define NAME(t)                                                                                    \
    case MSG_##t:                                                                                  \
        return #t
        NAME(HELLO);
        NAME(HELLO_REPLY);
        NAME(RETIRED);
        NAME(RETIRED_REPLY);
        NAME(PING);
        NAME(PING_REPLY);
        NAME(PUT);
        NAME(PUT_REPLY);
        NAME(GET);
        NAME(GET_REPLY);
        NAME(SCAN);
        NAME(SCAN_REPLY);
        NAME(CLOCKS);
        NAME(CLOCKS_REPLY);
        NAME(PULL);
        NAME(PULL_REPLY);
        NAME(STATE);
        NAME(STATE_REPLY);
        NAME(PARCEL);
        NAME(PARCEL_REPLY);
        NAME(FETCH);
        NAME(FETCH_REPLY);
        NAME(RANGE);
        NAME(RANGE_REPLY);
        NAME(OPERATION);
        NAME(OPERATION_REPLY);
        NAME(MAP_GET);
        NAME(MAP);
        NAME(REGISTER);
        NAME(REGISTER_REPLY);
        NAME(HEARTBEAT);
        NAME(HEARTBEAT_REPLY);
        NAME(PROPOSE);
        NAME(VOTE);
        NAME(STATUS);
        NAME(STATUS_REPLY);
        NAME(VERIFY);
        NAME(VERIFY_REPLY);
        NAME(EVENTS);
        NAME(EVENTS_REPLY);
        NAME(ACCEPT_LOSS);
        NAME(ACCEPT_LOSS_REPLY);
        NAME(ADMIN);
        NAME(ADMIN_REPLY);
        NAME(PLAN);
        NAME(PLAN_REPLY);
#undef NAME
    }
    return "?";
}

/* The key of a message, if it has one. */
static struct slice key_of(const struct msg *m)
{
    switch (m->type) {
    case MSG_PUT:
        return m->put.key;
    case MSG_GET:
        return m->get.key;
    case MSG_STATE:
    case MSG_PARCEL:
        return m->state.key;
    case MSG_FETCH:
        return m->fetch.key;
    case MSG_OPERATION:
        return m->operation.key;
    default:
        return slice_of(NULL, 0);
    }
}

/* The error of a reply, 0 when it has none. */
static int error_in(const struct msg *m)
{
    switch (m->type) {
    case MSG_PUT_REPLY:
        return m->put_reply.head.error;
    case MSG_GET_REPLY:
        return m->get_reply.head.error;
    case MSG_SCAN_REPLY:
    case MSG_RANGE_REPLY:
        return m->scan_reply.head.error;
    case MSG_VERIFY_REPLY:
        return m->verify_reply.head.error;
    case MSG_EVENTS_REPLY:
        return m->events_reply.error;
    case MSG_CLOCKS_REPLY:
        return m->clocks.head.error;
    case MSG_PULL_REPLY:
        return m->pull_reply.head.error;
    case MSG_STATE_REPLY:
    case MSG_PARCEL_REPLY:
        return m->state_reply.head.error;
    case MSG_FETCH_REPLY:
        return m->fetch_reply.head.error;
    case MSG_OPERATION_REPLY:
        return m->operation_reply.head.error;
    case MSG_HELLO_REPLY:
        return m->hello.error;
    case MSG_REGISTER_REPLY:
        return m->register_reply.error;
    case MSG_HEARTBEAT_REPLY:
        return m->heartbeat_reply.error;
    case MSG_PROPOSE:
        return m->propose.error;
    case MSG_VOTE:
        return m->vote.error;
    case MSG_STATUS_REPLY:
        return m->status_reply.error;
    case MSG_ACCEPT_LOSS_REPLY:
        return m->accept_loss_reply.error;
    case MSG_ADMIN_REPLY:
        return m->admin_reply.error;
    case MSG_PLAN_REPLY:
        return m->plan_reply.error;
    default:
        return 0;
    }
}

#define TEXT_KEY_BYTES 64

const char *msg_text(const struct msg *m, char text[200])
{
    struct slice key = key_of(m);
    int at = snprintf(text, 200, "%s id=%llu epoch=%llu.%llu", type_name(m->type),
                      (unsigned long long)m->id, (unsigned long long)m->epoch.ballot,
                      (unsigned long long)m->epoch.counter);
    if (error_in(m) != 0)
        at += snprintf(text + at, 200 - (size_t)at, " error=%s", error_name(error_in(m)));
    if (key.bytes > 0) {
        size_t shown = key.bytes < TEXT_KEY_BYTES ? key.bytes : TEXT_KEY_BYTES;
        at += snprintf(text + at, 200 - (size_t)at, " key=");
        for (size_t i = 0; i < shown; i++)
            text[at++] = key.data[i] > 32 && key.data[i] < 127 ? (char)key.data[i] : '.';
        snprintf(text + at, 200 - (size_t)at, "%s", shown < key.bytes ? ".." : "");
    }
    return text;
}
