#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "node/node_private.h"

void answer(struct node *n, const struct origin *o, int error, enum outcome outcome,
            const char *text, struct gt_effects *fx)
{
    struct msg m = node_message(n, o->type + 1, o->id);
    struct reply_head head = {.error = error, .outcome = (uint8_t)outcome};
    if (text)
        head.text = slice_text(text);
    struct slice label = slice_text(node_label(n));
    switch (m.type) {
    case MSG_PUT_REPLY:
        m.put_reply.head = head;
        m.put_reply.label = label;
        m.put_reply.clock_us = n->now_us;
        break;
    case MSG_GET_REPLY:
        m.get_reply.head = head;
        m.get_reply.label = label;
        m.get_reply.clock_us = n->now_us;
        break;
    case MSG_SCAN_REPLY:
    case MSG_RANGE_REPLY:
        m.scan_reply.head = head;
        break;
    case MSG_STATE_REPLY:
    case MSG_PARCEL_REPLY:
        m.state_reply.head = head;
        break;
    case MSG_FETCH_REPLY:
        m.fetch_reply.head = head;
        break;
    case MSG_PULL_REPLY:
        m.pull_reply.head = head;
        break;
    case MSG_OPERATION_REPLY:
        m.operation_reply.head = head;
        break;
    case MSG_VERIFY_REPLY:
        m.verify_reply.head = head;
        break;
    default:
        gt_unreachable("no data reply %d", m.type);
    }
    effects_reply(fx, o->link, &m);
}

static void refuse(struct node *n, const struct gt_event *ev, int error, const char *text,
                   struct gt_effects *fx)
{
    struct origin o = origin_of(ev);
    answer(n, &o, error, OUTCOME_NOT_APPLIED, text, fx);
}

bool coord_key_bad(struct node *n, const struct gt_event *ev, struct slice key,
                   struct gt_effects *fx)
{
    if (key.bytes >= 1 && key.bytes <= KEY_BYTES_MAX)
        return false;
    char text[MSG_TEXT_BYTES];
    snprintf(text, sizeof(text), "key of %zu bytes; 1 to %d are allowed", key.bytes, KEY_BYTES_MAX);
    refuse(n, ev, GT_ELIMIT, text, fx);
    return true;
}

bool coord_forming(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct ring *r = n->ring;
    if (r && r->formed)
        return false;
    char text[MSG_TEXT_BYTES] = "forming: this node has no map yet";
    if (r)
        snprintf(text, sizeof(text), "forming: %u of %u nodes", r->member_count,
                 r->settings.form_nodes);
    refuse(n, ev, GT_EFORMING, text, fx);
    return true;
}

int coord_owner(const struct slot *s, uint64_t node)
{
    for (int i = 0; i < s->quorum.total; i++)
        if (s->owners[i] == node)
            return i;
    return -1;
}

uint32_t coord_left_ms(const struct node *n, const struct slot *s)
{
    uint64_t left_us = s->deadline_us > n->now_us ? s->deadline_us - n->now_us : 0;
    uint64_t left_ms = left_us / 1000;
    return left_ms > 0 ? (uint32_t)left_ms : 1;
}

static uint64_t deadline_of(const struct node *n, const struct request_head *head)
{
    uint32_t ms = head->deadline_ms ? head->deadline_ms : DEADLINE_DEFAULT_MS;
    return n->now_us + (ms < DEADLINE_MAX_MS ? ms : DEADLINE_MAX_MS) * 1000ull;
}

/*
 * When an unanswered replica counts as failed. A read asks another one then, soon. A put has nobody
 * else to ask, and giving it up puts it in doubt: it waits for most of its time, and leaves the
 * rest for the answer to reach the client.
 */
static uint64_t silent_us(const struct slot *s, uint32_t i)
{
    if (s->asked_us[i] == UINT64_MAX)
        return UINT64_MAX;
    if (s->kind != SLOT_PUT || s->put.phase == PUT_ASKING)
        return s->asked_us[i] + SILENCE_US;
    uint64_t left_us = s->deadline_us > s->asked_us[i] ? s->deadline_us - s->asked_us[i] : 0;
    return s->asked_us[i] + left_us * 3 / 4;
}

/* The next moment at which this slot wants to be looked at. */
void coord_date(struct node *n, uint64_t id, struct slot *s)
{
    uint64_t at = s->expired ? UINT64_MAX : s->deadline_us;
    for (uint32_t i = 0; i < s->quorum.total; i++)
        if (s->quorum.state[i] == QUORUM_ASKED && silent_us(s, i) < at)
            at = silent_us(s, i);
    if (s->kind == SLOT_PUT && guests_due_us(n, s) < at)
        at = guests_due_us(n, s);
    slots_set_deadline(n->slots, id, at);
}

void coord_asked(struct node *n, uint64_t id, struct slot *s, uint32_t i)
{
    quorum_ask(&s->quorum, i);
    s->asked_us[i] = i == s->self ? UINT64_MAX : n->now_us;
    coord_date(n, id, s);
}

uint32_t coord_reply_flags(const struct slot *s)
{
    return s->weak ? REPLY_WEAK : 0;
}

void coord_quorum_text(const struct node *n, const struct slot *s, const char *what,
                       char text[MSG_TEXT_BYTES])
{
    char names[90] = "";
    size_t at = 0;
    uint32_t missing = 0;
    for (uint32_t i = 0; i < s->quorum.total; i++) {
        if (s->quorum.state[i] != QUORUM_FAILED)
            continue;
        int wrote = snprintf(names + at, sizeof(names) - at, "%s%s", missing ? ", " : "",
                             node_label_of(n, s->owners[i]));
        at = at + (size_t)wrote < sizeof(names) ? at + (size_t)wrote : sizeof(names) - 1;
        missing++;
    }
    snprintf(text, MSG_TEXT_BYTES,
             "%u of %u owners %s (%s); %c=%u not met; %s%ssee: gtstore-admin status", missing,
             s->quorum.total,
             s->full      ? "unreachable or without room"
             : s->filling ? "unreachable or catching up"
                          : "unreachable",
             names, s->kind == SLOT_PUT || s->kind == SLOT_REPAIR ? 'W' : 'R', s->quorum.need, what,
             *what ? "; " : "");
}

void coord_no_vote(struct slot *s, uint32_t owner)
{
    s->filling |= 1u << owner;
    quorum_fail(&s->quorum, owner);
}

/* Another owner can be asked to coordinate. */
static bool other_linked(const struct node *n, uint32_t partition)
{
    const struct arc *arc = &n->ring->arcs[partition];
    for (uint32_t i = 0; i < arc->owner_count; i++)
        if (arc->owners[i] != n->member && node_linked(n, n->ring->members[arc->owners[i]].id))
            return true;
    return false;
}

struct msg coord_message(struct node *n, const struct slot *s, enum msg_type type, uint64_t id)
{
    struct msg m = node_message(n, type, id);
    if (!MUTANT(newer_epoch))
        m.epoch = s->epoch;
    return m;
}

/* What the list of so many owners needs. */
static uint32_t list_need(const struct node *n, uint32_t owners, uint32_t asked, bool writes)
{
    uint32_t w, read;
    ring_list_quorums(n->ring, owners, &w, &read);
    uint32_t usual = writes ? w : read;
    if (usual > 1 && (writes ? MUTANT(write_quorum_minus_one) : MUTANT(read_quorum_minus_one)))
        usual--;
    return asked == 0 ? usual : asked < owners ? asked : owners;
}

bool coord_quorum(const struct node *n, struct slot *s, uint32_t asked, bool writes)
{
    const struct arc *arc = &n->ring->arcs[s->partition];
    uint16_t places[PLACES_MAX];
    uint32_t in_owners, in_beside, total = arc->owner_count;
    uint32_t count = ring_places(n->ring, s->partition, true, places, &in_owners, &in_beside);
    bool doubled = writes && arc_doubled(arc);
    if (doubled)
        total = count;
    quorum_init(&s->quorum, total, list_need(n, arc->owner_count, asked, writes));
    if (doubled)
        quorum_beside(&s->quorum, in_owners, in_beside,
                      list_need(n, arc->beside_count, asked, writes));
    s->epoch = n->ring->epoch;
    s->filling = s->full = 0;
    bool among = false;
    for (uint32_t i = 0; i < total; i++) {
        bool self = places[i] == n->member;
        s->owners[i] = n->ring->members[places[i]].id;
        if (self)
            s->self = (uint8_t)i;
        among |= self;
        if (self && s->kind != SLOT_PUT && fill_has_no_vote(n, s->partition))
            coord_no_vote(s, i);
        else if (!self && !node_linked(n, s->owners[i]))
            quorum_fail(&s->quorum, i);
    }
    return among;
}

bool coord_forward(struct node *n, const struct origin *o, const struct msg *request,
                   uint32_t partition, uint64_t deadline_us, struct gt_effects *fx)
{
    const struct arc *arc = &n->ring->arcs[partition];
    for (uint32_t i = 0; i < arc->owner_count; i++) {
        uint64_t owner = n->ring->members[arc->owners[i]].id;
        if (arc->owners[i] == n->member || !node_linked(n, owner))
            continue;
        uint64_t id;
        struct slot *s = slots_take(n->slots, deadline_us, &id);
        if (!s)
            return false;
        n->coordinated++;
        s->kind = SLOT_FORWARD;
        s->origin = *o;
        s->deadline_us = deadline_us;
        s->partition = partition;
        s->forward.peer = owner;
        struct msg m = *request;
        struct msg ours = node_message(n, request->type, id);
        m.id = ours.id;
        m.epoch = ours.epoch;
        m.stamp = ours.stamp;
        /* PUT, GET and SCAN begin with their head. The owner must answer before we give up. */
        struct request_head *head = request->type == MSG_PUT   ? &m.put.head
                                    : request->type == MSG_GET ? &m.get.head
                                                               : &m.scan.head;
        head->flags |= REQUEST_FORWARDED;
        head->deadline_ms = coord_left_ms(n, s) * 7 / 8 + 1;
        if (m.type == MSG_PUT && m.put.valid_until_us)
            m.put.valid_until_us = clock_there_us(n, owner, m.put.valid_until_us);
        effects_send(fx, owner, &m);
        n->metrics.forwards_count++;
        return true;
    }
    return false;
}

static void forward_fail(struct node *n, uint64_t id, struct slot *s, int error,
                         struct gt_effects *fx)
{
    char text[MSG_TEXT_BYTES];
    bool put = s->origin.type == MSG_PUT;
    snprintf(text, sizeof(text), "%s did not answer what was passed on to it%s",
             node_label_of(n, s->forward.peer), put ? "; in doubt" : "");
    answer(n, &s->origin, put ? GT_EINDOUBT : error, put ? OUTCOME_IN_DOUBT : OUTCOME_DONE, text,
           fx);
    coord_end(n, id, s);
}

void coord_relay(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *reply = ev->message.msg;
    struct slot *s = slots_find(n->slots, reply->id);
    if (!s || s->kind != SLOT_FORWARD || s->forward.peer != ev->peer ||
        s->origin.type + 1 != reply->type)
        return;
    struct msg ours = node_message(n, reply->type, s->origin.id);
    struct msg m = *reply;
    m.id = ours.id;
    m.epoch = ours.epoch;
    m.stamp = ours.stamp;
    if (m.type == MSG_PUT_REPLY)
        m.put_reply.clock_us = n->now_us;
    else if (m.type == MSG_GET_REPLY)
        m.get_reply.clock_us = n->now_us;
    effects_reply(fx, s->origin.link, &m);
    coord_end(n, reply->id, s);
}

/* What a refusal proves: of a read there is nothing to say. */
static const char *proved(const struct gt_event *ev)
{
    return ev->message.msg->type == MSG_PUT ? "; not applied" : "";
}

/* The request is not ours to coordinate: passes it on, once. */
static void pass_on(struct node *n, const struct gt_event *ev, const struct request_head *head,
                    uint32_t partition, struct gt_effects *fx)
{
    char text[MSG_TEXT_BYTES];
    struct origin o = origin_of(ev);
    if (head->flags & REQUEST_FORWARDED) {
        snprintf(text, sizeof(text), "%s does not own the key%s", node_label(n), proved(ev));
        refuse(n, ev, GT_ENOTOWNER, text, fx);
    } else if (!coord_forward(n, &o, ev->message.msg, partition, deadline_of(n, head), fx)) {
        /* A guest mints nothing: an owner always coordinates (RULES 5). */
        bool sloppy = o.type == MSG_PUT && guests_allowed(n, head);
        n->metrics.quorum_failures_count++;
        snprintf(text, sizeof(text), "%u of %u owners unreachable%s; see: gtstore-admin status",
                 n->ring->arcs[partition].owner_count, n->ring->arcs[partition].owner_count,
                 proved(ev));
        refuse(n, ev, sloppy ? GT_EUNREACHABLE : GT_EQUORUM, text, fx);
    }
}

struct slot *coord_begin(struct node *n, const struct gt_event *ev, enum slot_kind kind,
                         const struct request_head *head, uint32_t partition, uint64_t *id,
                         struct gt_effects *fx)
{
    char text[MSG_TEXT_BYTES];
    bool write = kind == SLOT_PUT;
    if (n->coordinated >= n->inflight_max) {
        n->metrics.busy_count++;
        snprintf(text, sizeof(text), "too many requests in flight here%s", proved(ev));
        refuse(n, ev, GT_EBUSY, text, fx);
        return NULL;
    }
    if (write && n->put_bytes > 0 && n->put_bytes + ev->message.body->bytes > PUT_BYTES_MAX) {
        n->metrics.busy_count++;
        refuse(n, ev, GT_EBUSY, "too many bytes in flight here; not applied", fx);
        return NULL;
    }
    uint32_t total, w, read;
    ring_quorums(n->ring, partition, &total, &w, &read);
    uint32_t usual = write ? w : read;
    if (head->quorum > total) {
        snprintf(text, sizeof(text), "%c=%u asked of %u owners%s", write ? 'W' : 'R', head->quorum,
                 total, proved(ev));
        refuse(n, ev, GT_EARG, text, fx);
        return NULL;
    }
    bool owner = n->member >= 0 && ring_slot(n->ring, partition, (uint32_t)n->member) >= 0;
    /* Who may have lost siblings, or the operation itself, should not be the one to write above
     * them. */
    bool better = write && owner && !(head->flags & REQUEST_FORWARDED) &&
                  fill_has_no_vote(n, partition) && other_linked(n, partition);
    if (!owner || better) {
        pass_on(n, ev, head, partition, fx);
        return NULL;
    }
    uint64_t deadline_us = deadline_of(n, head);
    struct slot *s = slots_take(n->slots, deadline_us, id);
    gt_assert(s); /* the table holds what the counters allow */
    n->coordinated++;
    s->kind = kind;
    s->origin = origin_of(ev);
    s->head = *head;
    s->partition = partition;
    s->deadline_us = deadline_us;
    s->begun_us = n->now_us;
    s->body = blob_ref(ev->message.body);
    if (write) {
        s->put.sloppy = guests_allowed(n, head);
        s->put.bytes = s->body->bytes;
        n->put_bytes += s->put.bytes;
        n->deletes_under_way[partition % DELETES_ROWS] += (head->flags & REQUEST_TOMBSTONE) != 0;
    }
    coord_quorum(n, s, head->quorum, write);
    s->weak = head->quorum > 0 && head->quorum < usual;
    for (uint32_t i = 0; !write && MUTANT(guest_counts_in_read) && i < total; i++)
        if (s->quorum.state[i] == QUORUM_FAILED && guests_possible(n, partition) > 0)
            quorum_stand_in_answer(&s->quorum, i);
    bool available = !write && head->mode == MODE_AVAILABLE, sloppy = write && s->put.sloppy;
    uint32_t guests = sloppy ? guests_possible(n, partition) : 0;
    if (!available && !quorum_reachable(&s->quorum, guests)) {
        n->metrics.quorum_failures_count++;
        coord_quorum_text(n, s,
                          !write   ? ""
                          : sloppy ? "not applied, too few guests"
                                   : "not applied",
                          text);
        refuse(n, ev, GT_EQUORUM, text, fx);
        coord_end(n, *id, s);
        return NULL;
    }
    return s;
}

struct blob *slices_join(struct slice **slices, uint32_t count)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        bytes += slices[i]->bytes;
    struct blob *b = blob_new(bytes);
    uint8_t *at = b ? b->data : NULL;
    for (uint32_t i = 0; b && i < count; i++) {
        struct slice *s = slices[i];
        if (s->bytes > 0)
            memcpy(at, s->data, s->bytes);
        *s = slice_of(at, s->bytes);
        at += s->bytes;
    }
    return b;
}

void shares_close(struct share *shares)
{
    for (int i = 0; i < REPLICAS_MAX; i++) {
        blob_unref(shares[i].hold);
        blob_unref(shares[i].clock_hold);
    }
}

struct slot *inner_take(struct node *n, enum slot_kind kind, uint64_t deadline_us, uint64_t *id)
{
    if (n->replicating >= n->inflight_max)
        return NULL;
    struct slot *s = slots_take(n->slots, deadline_us, id);
    gt_assert(s); /* there are as many */
    n->replicating++;
    s->kind = kind;
    return s;
}

void coord_end(struct node *n, uint64_t id, struct slot *s)
{
    blob_unref(s->body);
    spread_drop(&s->spread);
    switch (s->kind) {
    case SLOT_PUT:
        if (s->head.flags & REQUEST_TOMBSTONE) {
            n->deletes_under_way[s->partition % DELETES_ROWS]--;
            watch_changed(n, s->partition); /* it may be reaped now */
        }
        blob_unref(s->put.context);
        n->put_bytes -= s->put.bytes;
        n->coordinated--;
        break;
    case SLOT_GET:
        shares_close(s->get.shares);
        blob_unref(s->get.min_left);
        n->coordinated--;
        break;
    case SLOT_REPAIR:
        repair_drop(n, s);
        n->coordinated--;
        break;
    case SLOT_SCAN:
        shares_close(s->scan.shares);
        n->coordinated--;
        break;
    case SLOT_FORWARD:
        n->coordinated--;
        break;
    case SLOT_PIECE:
    case SLOT_REPLICA:
        n->replicating--;
        break;
    case SLOT_META:
        n->metas--;
        break;
    case SLOT_CLOCKS:
        blob_unref(s->clocks.sent);
        n->replicating--;
        break;
    case SLOT_CLOCKS_ASKED:
    case SLOT_CLOCKS_ALONE:
    case SLOT_CONFIRM:
    case SLOT_VERIFY:
    case SLOT_STREAM:
    case SLOT_FILL:
    case SLOT_DROP:
    case SLOT_CURSOR:
    case SLOT_SCRUB:
    case SLOT_RETIRED:
    case SLOT_RETIRED_ASKED:
    case SLOT_KEEPS:
    case SLOT_CLOSE:
        n->replicating--;
        break;
    case SLOT_PARCELS:
        parcels_end(n, s);
        n->replicating--;
        break;
    case SLOT_DELIVERY:
        n->replicating--;
        break;
    case SLOT_PULL:
        blob_unref(s->pull.body);
        blob_unref(s->pull.begin_key);
        blob_unref(s->pull.cut);
        blob_unref(s->pull.last_key);
        blob_unref(s->pull.operations);
        n->pulls--;
        n->replicating--;
        break;
    }
    slots_release(n->slots, id);
}

void coord_read_more(struct node *n, uint64_t id, struct slot *s, bool all,
                     void (*ask_self)(struct node *, uint64_t, struct slot *, struct gt_effects *),
                     void (*ask_peer)(struct node *, uint64_t, struct slot *, uint64_t,
                                      struct gt_effects *),
                     struct gt_effects *fx)
{
    /* Ourselves first: storage is nearer than any peer. */
    if (s->quorum.state[s->self] == QUORUM_UNTRIED) {
        ask_self(n, id, s, fx);
        coord_asked(n, id, s, s->self);
    }
    for (uint32_t i = 0; i < s->quorum.total; i++) {
        if (s->quorum.state[i] != QUORUM_UNTRIED || (!all && quorum_next(&s->quorum) < 0))
            continue;
        if (node_linked(n, s->owners[i])) {
            ask_peer(n, id, s, s->owners[i], fx);
            coord_asked(n, id, s, i);
        } else {
            quorum_fail(&s->quorum, i);
        }
    }
}

void coord_progress(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    switch (s->kind) {
    case SLOT_PUT:
        put_progress(n, id, s, fx);
        break;
    case SLOT_GET:
        get_progress(n, id, s, fx);
        break;
    case SLOT_REPAIR:
        repair_progress(n, id, s, fx);
        break;
    case SLOT_SCAN:
        scan_progress(n, id, s, fx);
        break;
    case SLOT_DELIVERY:
        delivery_progress(n, id, s, fx);
        break;
    default:
        break;
    }
}

static void silence_count(const struct node *n, struct slot *s)
{
    for (uint32_t i = 0; i < s->quorum.total; i++)
        if (s->quorum.state[i] == QUORUM_ASKED && silent_us(s, i) <= n->now_us)
            quorum_fail(&s->quorum, i);
}

/* At the deadline nobody is asked any more. What our own storage was told to write it will write.
 */
static void deadline_count(struct node *n, struct slot *s)
{
    n->metrics.deadlines_count += !s->answered;
    s->expired = true;
    for (uint32_t i = 0; i < s->quorum.total; i++) {
        quorum_fail(&s->quorum, i);
        quorum_stand_in_fail(&s->quorum, i);
    }
}

void coord_timeout(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    switch (s->kind) {
    case SLOT_PUT:
    case SLOT_GET:
    case SLOT_REPAIR:
    case SLOT_SCAN:
    case SLOT_DELIVERY:
        silence_count(n, s);
        if (s->deadline_us <= n->now_us)
            deadline_count(n, s);
        coord_date(n, id, s);
        coord_progress(n, id, s, fx);
        break;
    case SLOT_FORWARD:
        n->metrics.deadlines_count++;
        forward_fail(n, id, s, GT_ETIMEOUT, fx);
        break;
    case SLOT_PIECE:
        coord_end(n, id, s);
        break;
    case SLOT_CLOCKS:
        clocks_timeout(n, id, s);
        break;
    case SLOT_PULL:
        pull_timeout(n, id, s, fx);
        break;
    case SLOT_VERIFY:
        verify_timeout(n, id, s, fx);
        break;
    case SLOT_STREAM:
        stream_timeout(n, id, s, fx);
        break;
    case SLOT_RETIRED:
        closing_timeout(n, id, s);
        break;
    case SLOT_KEEPS:
        keepers_timeout(n, id, s);
        break;
    case SLOT_PARCELS:
        parcels_timeout(n, id, s, fx);
        break;
    case SLOT_REPLICA:
    case SLOT_META:
    case SLOT_CLOCKS_ASKED:
    case SLOT_CLOCKS_ALONE:
    case SLOT_CONFIRM:
    case SLOT_FILL:
    case SLOT_DROP:
    case SLOT_CURSOR:
    case SLOT_SCRUB:
    case SLOT_RETIRED_ASKED:
    case SLOT_CLOSE:
        gt_unreachable("slot of kind %d has no deadline", s->kind);
    }
}

struct link_down {
    struct node *n;
    uint64_t peer;
    struct gt_effects *fx;
};

static void slot_link_down(void *arg, uint64_t id, void *slot)
{
    struct link_down *d = arg;
    struct slot *s = slot;
    if (s->kind == SLOT_FORWARD) {
        if (s->forward.peer == d->peer)
            forward_fail(d->n, id, s, GT_EUNREACHABLE, d->fx);
        return;
    }
    if (s->kind == SLOT_CLOCKS)
        clocks_link_down(d->n, id, s, d->peer);
    else if (s->kind == SLOT_PULL)
        pull_link_down(d->n, id, s, d->peer, d->fx);
    if (s->kind != SLOT_PUT && s->kind != SLOT_GET && s->kind != SLOT_REPAIR &&
        s->kind != SLOT_SCAN && s->kind != SLOT_DELIVERY)
        return;
    if (s->kind == SLOT_PUT && guest_place(s, d->peer) >= 0) {
        guest_link_down(d->n, id, s, d->peer, d->fx);
        return;
    }
    int i = coord_owner(s, d->peer);
    if (i < 0 || s->quorum.state[i] != QUORUM_ASKED)
        return;
    quorum_fail(&s->quorum, (uint32_t)i);
    coord_date(d->n, id, s);
    coord_progress(d->n, id, s, d->fx);
}

void coord_link_down(struct node *n, uint64_t peer, struct gt_effects *fx)
{
    struct link_down d = {n, peer, fx};
    slots_each(n->slots, slot_link_down, &d);
}
