/*
 * What a node does for its peers: merge a state, lend a state, lend a run of states, say whether an
 * operation has been written, keep a parcel. But for parcels it answers only for partitions that it
 * owns by its own map; the rest is GT_ENOTOWNER, and the epochs that
 * both messages carry make the older side fetch the newer map.
 */
#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "node/node_private.h"

static void refuse(struct node *n, const struct gt_event *ev, int error, struct gt_effects *fx)
{
    struct origin o = origin_of(ev);
    answer(n, &o, error, OUTCOME_NOT_APPLIED, error_text(error), fx);
}

static enum ring_part part_of(const struct node *n, uint32_t partition)
{
    const struct ring *r = n->ring;
    bool known = r && r->formed && n->member >= 0 && partition < r->settings.partitions;
    return known ? ring_part(r, partition, (uint32_t)n->member) : PART_NONE;
}

static bool may_ask(enum ring_part part, enum access access)
{
    if (access == ACCESS_WRITE)
        return part == PART_OWNER || part == PART_RECEIVER || part == PART_WRITTEN;
    if (access == ACCESS_READ)
        return part == PART_OWNER || part == PART_RECEIVER;
    return part != PART_NONE;
}

/*
 * The request is counted by a map from before a fence (RULES 6): whoever sent it may count owners
 * that are not, or not all that are.
 */
static bool fenced(const struct node *n, uint32_t partition, enum access access, struct epoch epoch)
{
    const struct arc *arc = &n->ring->arcs[partition];
    if (access == ACCESS_WRITE)
        return epoch_compare(epoch, arc->write_since) < 0 && !MUTANT(skip_write_fence);
    return epoch_compare(epoch, arc->read_since) < 0 && !MUTANT(skip_read_fence);
}

static struct slot *slot_take(struct node *n, const struct gt_event *ev, uint32_t partition,
                              uint64_t *id, struct gt_effects *fx)
{
    struct slot *s = inner_take(n, SLOT_REPLICA, UINT64_MAX, id); /* storage always answers */
    if (!s) {
        n->metrics.busy_count++;
        refuse(n, ev, GT_EBUSY, fx);
        return NULL;
    }
    s->origin = origin_of(ev);
    s->partition = partition;
    return s;
}

struct slot *replica_begin(struct node *n, const struct gt_event *ev, uint32_t partition,
                           enum access access, bool counted, uint64_t *id, struct gt_effects *fx)
{
    if (!may_ask(part_of(n, partition), access)) {
        refuse(n, ev, GT_ENOTOWNER, fx);
        return NULL;
    }
    if (counted && fenced(n, partition, access, ev->message.msg->epoch)) {
        refuse(n, ev, GT_ESTALE, fx);
        return NULL;
    }
    return slot_take(n, ev, partition, id, fx);
}

static bool key_of(const struct node *n, struct slice key, uint32_t partition)
{
    return key.bytes >= 1 && key.bytes <= KEY_BYTES_MAX &&
           ring_partition(n->ring, key) == partition;
}

static uint64_t deadline_us(const struct node *n, const struct request_head *head)
{
    uint32_t ms = head->deadline_ms ? head->deadline_ms : DEADLINE_DEFAULT_MS;
    return n->now_us + (ms < DEADLINE_MAX_MS ? ms : DEADLINE_MAX_MS) * 1000ull;
}

/*
 * A put is taken when its dot (the first one listed) was minted by the life of the node that
 * speaks on the link, and no later life was seen (RULES 8a, 8b). With RETRY it finishes a dot that
 * may be of any life; the live coordinator vouches for it. So may a repair's, which is no put. What
 * is not taken is not stored either: a dot that came here after its life was over could be closed
 * already where nobody has it (closing.c). Its node has it on its disk, and owners pull it from
 * there.
 */
static bool put_stale(const struct node *n, const struct gt_event *ev)
{
    const struct msg *m = ev->message.msg;
    const struct inbound *l = node_inbound(n, ev->link);
    if (l->role != ROLE_NODE)
        return true;
    if (l->incarnation < node_seen(n, l->node) || node_removed(n, l->node))
        return true;
    if (dots_count(m->state.dots) == 0 || m->state.head.flags & REQUEST_RETRY ||
        m->state.head.priority == PRIORITY_REPAIR)
        return false;
    struct dot d = dots_at(m->state.dots, 0);
    return d.actor.node != l->node || d.actor.incarnation != l->incarnation;
}

void replica_state(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    uint64_t id;
    bool counted =
        m->state.head.priority != PRIORITY_REPAIR || m->state.head.flags & REQUEST_SETTLING;
    struct slot *s = replica_begin(n, ev, m->state.partition, ACCESS_WRITE, counted, &id, fx);
    if (!s)
        return;
    if (!key_of(n, m->state.key, m->state.partition) || m->state.dots.bytes % DOT_BYTES != 0) {
        refuse(n, ev, GT_EARG, fx);
        coord_end(n, id, s);
        return;
    }
    /* A repair may bring back what this replica no longer knows to have gone (RULES 7). */
    if (m->state.head.priority == PRIORITY_REPAIR && fill_has_no_vote(n, m->state.partition)) {
        refuse(n, ev, GT_EFILLING, fx);
        coord_end(n, id, s);
        return;
    }
    if (put_stale(n, ev)) {
        refuse(n, ev, GT_EINCARNATION, fx);
        coord_end(n, id, s);
        return;
    }
    n->metrics.replica_writes_count++;
    if (m->state.head.flags & REQUEST_ASKED)
        retry_promise(n, m->state.partition, m->state.key, &m->state.head, fx);
    s->body = blob_ref(ev->message.body);
    s->key = m->state.key;
    s->head = m->state.head;
    struct store_request r = {.kind = STORE_MERGE,
                              .tag = id,
                              .deadline_us = deadline_us(n, &m->state.head),
                              .hold = blob_ref(ev->message.body),
                              .partition = m->state.partition,
                              .key = m->state.key,
                              .record = m->state.record,
                              .dots = m->state.dots,
                              .plain = m->state.head.flags & REQUEST_PLAIN,
                              .kept = m->state.head.flags & REQUEST_KEPT,
                              .operations = m->state.operations,
                              .stamp = n->hlc.last};
    memcpy(r.op, m->state.head.op, OP_ID_BYTES);
    effects_store(fx, &r);
}

/* Whether we can be asked to keep this for that owner, by our own map. */
static int parcel_check(const struct node *n, const struct gt_event *ev)
{
    const struct msg *m = ev->message.msg;
    const struct ring *r = n->ring;
    if (!r || !r->formed || n->member < 0)
        return GT_EFORMING;
    if (r->members[n->member].leaving)
        return GT_ENOTOWNER; /* what it keeps is to get less, until it can go */
    if (m->state.partition >= r->settings.partitions || m->state.dots.bytes % DOT_BYTES != 0 ||
        m->state.record.bytes == 0 || !key_of(n, m->state.key, m->state.partition))
        return GT_EARG;
    if (m->state.target == n->identity.node_id || ring_member_by_id(r, m->state.target) < 0)
        return GT_ENOTOWNER;
    if (fenced(n, m->state.partition, ACCESS_WRITE, m->epoch))
        return GT_ESTALE; /* it would be counted in an owner's place */
    return put_stale(n, ev) ? GT_EINCARNATION : 0;
}

void replica_parcel(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    uint64_t id;
    int error = parcel_check(n, ev);
    if (error) {
        refuse(n, ev, error, fx);
        return;
    }
    if (!slot_take(n, ev, m->state.partition, &id, fx))
        return;
    n->metrics.parcels_taken_count++;
    struct store_request r = {.kind = STORE_PARCEL,
                              .tag = id,
                              .deadline_us = deadline_us(n, &m->state.head),
                              .hold = blob_ref(ev->message.body),
                              .partition = m->state.partition,
                              .key = m->state.key,
                              .record = m->state.record,
                              .dots = m->state.dots,
                              .operations = m->state.operations,
                              .target = m->state.target,
                              .wall_s = n->wall_us / 1000000,
                              .stamp = n->hlc.last};
    effects_store(fx, &r);
}

void replica_fetch(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    uint64_t id;
    struct slot *s = replica_begin(n, ev, m->fetch.partition, ACCESS_READ, true, &id, fx);
    if (!s)
        return;
    if (!key_of(n, m->fetch.key, m->fetch.partition)) {
        refuse(n, ev, GT_EARG, fx);
        coord_end(n, id, s);
        return;
    }
    n->metrics.replica_reads_count++;
    struct store_request r = {.kind = STORE_LOAD,
                              .tag = id,
                              .deadline_us = deadline_us(n, &m->fetch.head),
                              .hold = blob_ref(ev->message.body),
                              .partition = m->fetch.partition,
                              .key = m->fetch.key};
    s->replica.digest_above = m->fetch.digest_above;
    effects_store(fx, &r);
}

void replica_operation(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    uint64_t id;
    struct slot *s = replica_begin(n, ev, m->operation.partition, ACCESS_READ, true, &id, fx);
    if (!s)
        return;
    if (!key_of(n, m->operation.key, m->operation.partition)) {
        refuse(n, ev, GT_EARG, fx);
        coord_end(n, id, s);
        return;
    }
    n->metrics.replica_reads_count++;
    retry_promise(n, m->operation.partition, m->operation.key, &m->operation.head, fx);
    struct store_request r = {.kind = STORE_OPERATION,
                              .tag = id,
                              .deadline_us = deadline_us(n, &m->operation.head),
                              .hold = blob_ref(ev->message.body),
                              .partition = m->operation.partition,
                              .key = m->operation.key,
                              .stamp = n->hlc.last};
    memcpy(r.op, m->operation.head.op, OP_ID_BYTES);
    effects_store(fx, &r);
}

void replica_range(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    uint64_t id;
    if (!replica_begin(n, ev, m->scan.partition, ACCESS_READ, true, &id, fx))
        return;
    n->metrics.replica_reads_count++;
    struct store_request r = {.kind = STORE_SCAN,
                              .tag = id,
                              .deadline_us = deadline_us(n, &m->scan.head),
                              .hold = blob_ref(ev->message.body),
                              .partition = m->scan.partition,
                              .from_start = m->scan.from_start,
                              .from_hash = m->scan.from_hash,
                              .from_key = m->scan.from_key,
                              .bytes_max = m->scan.bytes_max};
    effects_store(fx, &r);
}

static void fetch_done(struct node *n, const struct slot *s, const struct store_result *r,
                       struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_FETCH_REPLY, s->origin.id);
    if (r->result == GT_EUNKNOWN)
        m.fetch_reply.head.flags = REPLY_UNKNOWN;
    else
        m.fetch_reply.head.error = r->result;
    if (!r->result && !r->record)
        m.fetch_reply.head.flags = REPLY_ABSENT;
    m.fetch_reply.record = slice_blob(r->record);
    uint32_t above = s->replica.digest_above, bytes = (uint32_t)m.fetch_reply.record.bytes;
    if (fill_has_no_vote(n, s->partition)) {
        m.fetch_reply.head = (struct reply_head){.error = GT_EFILLING, .flags = REPLY_FILLING};
        m.fetch_reply.record = slice_of(NULL, 0);
    } else if (!r->result && above > 0 && bytes > above) {
        m.fetch_reply.head.flags = REPLY_DIGEST;
        m.fetch_reply.digest = record_digest(m.fetch_reply.record);
        m.fetch_reply.record_bytes = bytes;
        m.fetch_reply.record = slice_of(NULL, 0);
    }
    if (MUTANT(unknown_as_absent) && r->result == GT_EUNKNOWN)
        m.fetch_reply.head = (struct reply_head){.flags = REPLY_ABSENT};
    if (!vote_alone(n, s->partition))
        m.fetch_reply.head.flags |= REPLY_DEGRADED;
    effects_reply(fx, s->origin.link, &m);
}

static void state_done(struct node *n, const struct slot *s, const struct store_result *r,
                       struct gt_effects *fx)
{
    int error = r->result;
    bool first = !(s->head.flags & REQUEST_ASKED), found = s->head.flags & REQUEST_RETRY;
    if (!error && !found && retry_promised(n, s->partition, s->key, &s->head, first))
        error = GT_ESTALE;
    else if (!error && r->unsettled)
        error = GT_EINDOUBT;
    struct msg m = node_message(n, s->origin.type + 1, s->origin.id);
    m.state_reply.head.error = error;
    m.state_reply.head.outcome = error ? OUTCOME_NOT_APPLIED : OUTCOME_DONE;
    m.state_reply.head.text = slice_text(error ? error_text(error) : "");
    m.state_reply.outranking = slice_blob(r->outranking);
    m.state_reply.outranking_stamp = r->outranking_stamp;
    m.state_reply.operations = slice_blob(r->operations);
    effects_reply(fx, s->origin.link, &m);
}

static void operation_done(struct node *n, const struct slot *s, const struct store_result *r,
                           struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_OPERATION_REPLY, s->origin.id);
    bool known = !r->result && r->known_op;
    m.operation_reply.length_ms = r->length_ms;
    if (r->result == GT_EUNKNOWN || r->untold || fill_has_no_vote(n, s->partition))
        m.operation_reply.head.flags = REPLY_UNKNOWN;
    else
        m.operation_reply.head.error = r->result;
    if (known) {
        m.operation_reply.head.flags = REPLY_KNOWN;
        m.operation_reply.record = slice_blob(r->record);
        m.operation_reply.dots = slice_blob(r->dots);
        m.operation_reply.operations = slice_blob(r->operations);
    }
    effects_reply(fx, s->origin.link, &m);
}

static void range_done(struct node *n, const struct slot *s, const struct store_result *r,
                       struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_RANGE_REPLY, s->origin.id);
    m.scan_reply.head.error = r->result;
    m.scan_reply.head.flags =
        (r->more ? REPLY_MORE : 0) | (vote_alone(n, s->partition) ? 0 : REPLY_DEGRADED);
    m.scan_reply.entries = slice_blob(r->entries);
    m.scan_reply.entry_count = r->entry_count;
    m.scan_reply.clock = slice_blob(r->clock);
    if (fill_has_no_vote(n, s->partition)) {
        m.scan_reply.head = (struct reply_head){.error = GT_EFILLING, .flags = REPLY_FILLING};
        m.scan_reply.entries = slice_of(NULL, 0);
        m.scan_reply.entry_count = 0;
        m.scan_reply.clock = slice_of(NULL, 0);
    }
    effects_reply(fx, s->origin.link, &m);
}

void replica_done(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                  struct gt_effects *fx)
{
    if (r->result == GT_ETIMEOUT) {
        n->metrics.expired_count++; /* whoever asked has given up long ago */
    } else if (s->origin.type == MSG_FETCH) {
        fetch_done(n, s, r, fx);
    } else if (s->origin.type == MSG_RANGE) {
        range_done(n, s, r, fx);
    } else if (s->origin.type == MSG_PULL) {
        pull_give(n, s, r, fx);
    } else if (s->origin.type == MSG_OPERATION) {
        operation_done(n, s, r, fx);
    } else {
        if (!r->result && s->origin.type == MSG_STATE)
            watch_changed(n, s->partition);
        state_done(n, s, r, fx);
    }
    coord_end(n, id, s);
}
