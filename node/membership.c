/*
 * Who this node is to the others, and who they are to it: hellos both ways, the highest
 * incarnation seen of every node, registration and heartbeats. It is a file of its own because one
 * promise runs through all of it: nothing is told to anyone that a restart of this process could
 * take back, so a hello waits until the incarnation that it showed is durable.
 *
 *   hello out  LINK_UP -> HELLO -> HELLO_REPLY: up | GT_EINCARNATION: draw above, say hello again
 *   hello in   HELLO -> a map names the node? else it waits, on its link alone, for one that does
 *              -> another life of it is linked, and answers? refused for good: it is a copy
 *              -> a life was seen that it does not know of? refused: it was rolled back, and fills
 *              -> incarnation above what was seen: durable first -> HELLO_REPLY
 *   joining    manager up -> REGISTER -> accepted: the cluster id and the label to be stored, which
 *              node.c does when storage is free
 *
 * A hello or registration that is not answered is said again with the next heartbeat, until its
 * link ends: the answer may have been lost on a link that stands.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "node/node_private.h"

#define SEEN_BYTES 16u
#define UNHEARD_US 1000000u /* a manager on the list is waited for by who is of no cluster yet */

/* ---- inbound links --------------------------------------------------------------------------- */

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

void inbound_drop(struct node *n, uint64_t link)
{
    uint32_t at = inbound_place(n, link);
    if (at == n->link_count || n->links[at].link != link)
        return;
    n->link_count--;
    memmove(&n->links[at], &n->links[at + 1], (n->link_count - at) * sizeof(*n->links));
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

/* What a hello tells of the lives of its folder. */
static struct lives lives_told(const struct msg *m)
{
    struct lives told = {.count = 0};
    lives_take(&told, m->hello.lives);
    lives_add(&told, m->hello.incarnation);
    lives_add(&told, m->hello.previous_incarnation);
    return told;
}

/*
 * A life of the node that was seen, by a hello or in a map, and of which its folder does not know:
 * it was rolled back, or is a copy (RULES 8a). The highest of them, 0: none.
 */
static uint64_t life_unknown(const struct node *n, uint64_t id, const struct lives *known)
{
    const struct seen *s = seen_find(n, id);
    int i = n->ring ? ring_member_by_id(n->ring, id) : -1;
    uint64_t lives[] = {s ? s->incarnation : 0, i >= 0 ? n->ring->members[i].incarnation : 0};
    uint64_t unknown = 0;
    for (int k = 0; k < 2; k++)
        if (!lives_know(known, lives[k]) && lives[k] > unknown)
            unknown = lives[k];
    return unknown;
}

/* Whether the map has it as a member, removed ones too (RULES 8b). Of nobody else anything is
 * remembered, so that strangers can fill no table. */
static bool node_named(const struct node *n, uint64_t id)
{
    return n->ring && ring_member_by_id(n->ring, id) >= 0;
}

bool node_removed(const struct node *n, uint64_t id)
{
    int i = n->ring ? ring_member_by_id(n->ring, id) : -1;
    return i >= 0 && n->ring->members[i].state == MEMBER_REMOVED;
}

/* Of a member of the map. 0, or GT_ENOMEM: it cannot be remembered. */
static int seen_raise(struct node *n, uint64_t id, uint64_t incarnation)
{
    struct seen *s = seen_find(n, id);
    if (s && s->incarnation >= incarnation)
        return 0;
    if (!s) {
        gt_assert(n->seen_count < MEMBERS_MAX);
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

/* An incarnation that must not be remembered: its node would have to draw above it. What is
 * remembered already is not judged again. */
static bool incarnation_absurd(struct node *n, uint64_t id, uint64_t incarnation)
{
    if (incarnation <= node_seen(n, id) || incarnation_plausible(incarnation, &n->hlc, n->wall_us))
        return false;
    log_warn(n->log,
             "incarnation more than a year ahead of the clock here node=%016llx "
             "incarnation=%016llx",
             (unsigned long long)id, (unsigned long long)incarnation);
    return true;
}

int seen_read(struct node *n, const struct blob *bytes)
{
    struct reader r = reader_of(slice_blob(bytes));
    while (reader_left(&r) >= SEEN_BYTES) {
        uint64_t id = read_u64(&r), incarnation = read_u64(&r);
        int error = node_named(n, id) ? seen_raise(n, id, incarnation) : 0;
        if (error)
            return error;
    }
    n->seen_version = 0; /* all of it is durable */
    return reader_left(&r) == 0 ? 0 : GT_EFORMAT;
}

void seen_store(struct node *n, struct gt_effects *fx)
{
    buf_clear(&n->bytes);
    for (uint32_t i = 0; i < n->seen_count; i++) {
        buf_u64(&n->bytes, n->seen[i].node);
        buf_u64(&n->bytes, n->seen[i].incarnation);
    }
    if (!n->bytes.failed && meta_store(n, META_PEERS, n->seen_version, buf_slice(&n->bytes), fx))
        n->seen_storing = n->seen_version;
}

/* ---- hello out, registration, heartbeats ----------------------------------------------------- */

static void hello_fill(const struct node *n, struct msg *m,
                       uint8_t lives[LIVES_KEPT * LIFE_TOLD_BYTES])
{
    m->hello.role = ROLE_NODE;
    m->hello.protocol_min = MSG_PROTOCOL_MIN;
    m->hello.protocol_max = MSG_PROTOCOL_MAX;
    memcpy(m->hello.cluster_id, n->identity.cluster_id, CLUSTER_ID_BYTES);
    m->hello.node = n->identity.node_id;
    m->hello.incarnation = n->identity.incarnation;
    m->hello.previous_incarnation = n->identity.previous_incarnation;
    m->hello.label = slice_text(node_label(n));
    m->hello.lives = lives_put(&n->identity.lives, lives);
}

void hello_send(struct node *n, uint64_t peer, struct gt_effects *fx)
{
    uint8_t lives[LIVES_KEPT * LIFE_TOLD_BYTES];
    struct msg m = node_message(n, MSG_HELLO, ++n->next_id);
    hello_fill(n, &m, lives);
    effects_send(fx, peer, &m);
}

static void register_send(struct node *n, uint64_t peer, struct gt_effects *fx)
{
    uint8_t lives[LIVES_KEPT * LIFE_TOLD_BYTES];
    struct msg m = node_message(n, MSG_REGISTER, ++n->next_id);
    m.member.member = n->self;
    m.member.member.id = n->identity.node_id;
    m.member.member.incarnation = n->identity.incarnation;
    m.member.member.state = MEMBER_UP;
    m.member.previous_incarnation = n->identity.previous_incarnation;
    m.member.lives = lives_put(&n->identity.lives, lives);
    if (n->config.replaces && n->member < 0)
        m.member.replaces = slice_text(n->self.label);
    effects_send(fx, peer, &m);
}

/* A node of no cluster yet joins that of a manager that has members rather than one that is new,
 * and of equals the first one on its list: it asks no other while that one may lead, or, for a
 * moment, while it has not been heard. So a new manager beside another founds no second cluster. */
static bool may_register(const struct node *n, const struct peer *p)
{
    if (!cluster_none(n->identity.cluster_id) || n->cluster_wanted)
        return true;
    for (uint32_t i = 0; i < n->peer_count; i++) {
        const struct peer *q = &n->peers[i];
        if (!q->manager || q == p || q->busy)
            continue;
        bool here = q->counter > 1, there = p->counter > 1; /* the first map has no members */
        bool before = here != there ? here : q->id < p->id;
        if (q->up ? before : n->now_us < n->started_us + UNHEARD_US)
            return false;
    }
    return true;
}

void register_soon(struct node *n, uint64_t peer, struct gt_effects *fx)
{
    const struct peer *p = node_peer(n, peer);
    if (p && p->manager && p->up && !p->registered && may_register(n, p))
        register_send(n, peer, fx);
}

void heartbeats_send(struct node *n, struct gt_effects *fx)
{
    n->heartbeat_at_us = n->now_us + n->config.heartbeat_us;
    watch_lag_note(n);
    struct node_report r = report_now(n);
    uint8_t heard[8 * MEMBERS_MAX];
    struct slice heard_run = slice_of(heard, report_heard(n, heard));
    buf_clear(&n->bytes);
    moves_done(n, &n->bytes);
    for (uint32_t i = 0; i < n->peer_count; i++) {
        struct peer *p = &n->peers[i];
        /* A hello, or its answer, may have been lost on a link that stands. */
        if (p->connected && !p->up && !n->renewal.wanted)
            hello_send(n, p->id, fx);
        if (!p->manager || !p->up)
            continue;
        /* A member is heard also while its registration waits for a map to count. */
        if (!p->registered)
            register_soon(n, p->id, fx);
        if (!p->registered && (n->member < 0 || p->busy))
            continue;
        struct msg m = node_message(n, MSG_HEARTBEAT, ++n->next_id);
        m.heartbeat.node = n->identity.node_id;
        m.heartbeat.incarnation = n->identity.incarnation;
        m.heartbeat.report = r;
        m.heartbeat.heard = heard_run;
        m.heartbeat.done = buf_slice(&n->bytes);
        lease_asked(n, p, m.id);
        effects_send(fx, p->id, &m);
    }
    clock_ask_next(n, fx);
}

static void fail_reply(struct node *n, int error, const char *who, struct slice why,
                       struct gt_effects *fx)
{
    /* Once its own manager has accepted it a node serves on, whoever answers at that address now.
     */
    const struct member *self = n->member >= 0 ? &n->ring->members[n->member] : NULL;
    if (n->registered && self && (self->leaving || self->state == MEMBER_REMOVED)) {
        log_info(n->log, "%s knows this node no more: it has been drained", who);
        return; /* the map that says so is on its way, or here */
    }
    if (n->registered) {
        log_error(n->log, "%s refuses this node, which goes on serving cause=%s", who,
                  error_text(error));
        return;
    }
    char text[MSG_TEXT_BYTES];
    int shown = why.bytes < MSG_TEXT_BYTES ? (int)why.bytes : MSG_TEXT_BYTES;
    if (shown > 0)
        snprintf(text, sizeof(text), "%s refuses this node: %.*s", who, shown,
                 (const char *)why.data);
    else
        snprintf(text, sizeof(text), "%s refuses this node: %s", who, error_text(error));
    node_fail(n, error, text, fx);
}

/* ---- a new life without a restart ------------------------------------------------------------ */

/* A peer claims to have seen a life of this node that its folder does not know of. */
static void renewal_want(struct node *n, const char *who, uint64_t seen)
{
    if (n->renewal.drawing || lives_know(&n->identity.lives, seen))
        return; /* it will hear, or has heard, of a later one */
    n->renewal.wanted = true;
    if (!incarnation_plausible(seen, &n->hlc, n->wall_us))
        log_warn(n->log, "hello refused by=%s for an incarnation that cannot be seen=%016llx", who,
                 (unsigned long long)seen);
    else if (seen > n->renewal.above)
        n->renewal.above = seen;
}

void renewal_forgotten(struct node *n, uint64_t peer)
{
    struct renewal *r = &n->renewal;
    if (r->drawing || r->forgot)
        return;
    log_warn(n->log,
             "writes of an earlier life are missing here: the folder was rolled back had=%s",
             node_label_of(n, peer));
    r->wanted = r->forgot = true;
    if (n->identity.incarnation > r->above)
        r->above = n->identity.incarnation;
}

uint64_t renewal_deadline_us(const struct node *n)
{
    return n->renewal.wanted && !n->renewal.drawing ? n->renewal.at_us : UINT64_MAX;
}

void renewal_begin(struct node *n, struct gt_effects *fx)
{
    struct renewal *r = &n->renewal;
    if (renewal_deadline_us(n) > n->now_us)
        return;
    bool calm = r->pause_us == 0 || n->now_us >= r->at_us + RENEW_PAUSE_MAX_US;
    r->pause_us = calm ? RENEW_PAUSE_MIN_US : r->pause_us * 2;
    if (r->pause_us > RENEW_PAUSE_MAX_US)
        r->pause_us = RENEW_PAUSE_MAX_US;
    r->at_us = n->now_us + r->pause_us;
    r->wanted = false;
    if (r->forgot || !lives_know(&n->identity.lives, r->above)) {
        r->drawing = true;
        n->life_told = r->above > n->life_told ? r->above : n->life_told;
        effects_add(fx, GT_IDENTITY)->identity.above = r->above;
    } else {
        n->rehello = true;
    }
    r->above = 0;
    r->forgot = false;
}

/* ---- hello out: its answer ------------------------------------------------------------------- */

/* It has had a part in a cluster, or holds something all the same. */
static bool bound(const struct node *n)
{
    if (cluster_same(n->formed_cluster, n->identity.cluster_id))
        return true; /* its map came before we were of it, and comes again */
    const struct ring *maps[] = {n->ring, n->map_storing, n->map_next};
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
        if (maps[i] && maps[i]->formed)
            return true;
    for (uint32_t p = 0; p < PARTITIONS_MAX && n->config.holds; p++)
        if (n->config.holds(n->config.filling_arg, p))
            return true;
    return false;
}

bool cluster_change(struct node *n, const uint8_t id[CLUSTER_ID_BYTES])
{
    if (cluster_none(n->identity.cluster_id) || cluster_none(id) || n->cluster_wanted || bound(n))
        return false;
    log_info(n->log, "joins another cluster: the one before never formed");
    memcpy(n->cluster_id, id, CLUSTER_ID_BYTES);
    n->cluster_wanted = true;
    n->registered = false;
    for (uint32_t i = 0; i < n->peer_count; i++)
        n->peers[i].registered = false;
    return true;
}

void hello_reply(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    struct peer *p = node_peer(n, ev->peer);
    int error = m->hello.error;
    if (!p)
        return;
    const char *who = p->manager ? MANAGER_LABEL : node_label_of(n, p->id);
    struct lives told = lives_told(m);
    bool other = !cluster_none(m->hello.cluster_id) && cluster_foreign(n, m->hello.cluster_id);
    if (!error && other)
        error = GT_ECLUSTER;
    if (error == GT_ECLUSTER && p->manager && cluster_change(n, m->hello.cluster_id)) {
        p->up = false; /* and greeted again when that is durable */
    } else if (error == GT_EINCARNATION) {
        p->up = false;
        renewal_want(n, who, m->hello.seen_incarnation);
    } else if (error) {
        p->up = false;
        log_warn(n->log, "hello refused by=%s cause=%s", who, error_text(error));
        /* Too busy, or not sure yet which of two is alive: it is asked again. */
        if (p->manager && error != GT_EBUSY)
            fail_reply(n, error, "the manager", m->hello.text, fx);
        else if (error == GT_ELOCKED)
            fail_reply(n, error, who, m->hello.text, fx);
    } else if (!p->manager && m->hello.node != p->id) {
        p->up = false;
        log_warn(n->log, "another node answers at the address of=%s", who);
    } else if (!p->manager && life_unknown(n, p->id, &told)) {
        /* It will be told by the answer to its own hello; until it fills it must not be asked. */
        p->up = false;
        log_warn(n->log, "a later life was seen than it knows of: it was rolled back label=%s",
                 who);
    } else if (!p->manager && incarnation_absurd(n, p->id, m->hello.incarnation)) {
        p->up = false;
        n->renewal.wanted = true; /* it is asked again */
    } else {
        if (!p->manager && seen_raise(n, p->id, m->hello.incarnation) != 0)
            log_warn(n->log, "incarnation not remembered of=%s", who);
        if (!p->up)
            events_add(n->events, EVENT_LINK_UP, "%s", who);
        p->up = p->fresh = true;
        p->epoch = m->epoch;
        p->unanswered_us = 0;
        p->life = m->hello.incarnation;
        p->lives = told;
        p->told++;
        if (!p->manager) {
            watch_greeted(n, p->id);
            keepers_greeted(p);
        }
        if (p->manager) {
            p->counter = m->epoch.counter;
            register_soon(n, p->id, fx);
        } else
            clock_ask(n, p, fx);
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

void register_reply(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    struct peer *p = node_peer(n, ev->peer);
    int error = m->register_reply.error;
    if (!p || !p->manager)
        return;
    bool joined = !cluster_none(n->identity.cluster_id);
    if (!error && cluster_foreign(n, m->register_reply.cluster_id))
        error = GT_ECLUSTER;
    acceptor_led(n, p, error);
    if (error == GT_EBUSY)
        return; /* it does not lead, or not yet; asked again with the next heartbeat */
    if (error == GT_EINCARNATION) {
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

void heartbeat_reply(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    struct peer *p = node_peer(n, ev->peer);
    if (!p || !p->manager)
        return;
    int error = ev->message.msg->heartbeat_reply.error;
    lease_take(n, p, ev->message.msg);
    acceptor_led(n, p, error);
    if (error == GT_EBUSY)
        p->registered = false;
    if (error != GT_ENOTFOUND)
        return;
    p->registered = false;
    register_send(n, p->id, fx);
}

/* ---- hello in -------------------------------------------------------------------------------- */

static void hello_answer(struct node *n, uint64_t link, uint64_t id, int error, uint64_t seen,
                         const char *text, struct gt_effects *fx)
{
    uint8_t lives[LIVES_KEPT * LIFE_TOLD_BYTES];
    struct msg m = node_message(n, MSG_HELLO_REPLY, id);
    hello_fill(n, &m, lives);
    m.hello.clock_us = n->now_us;
    m.hello.error = error;
    m.hello.seen_incarnation = seen;
    m.hello.text = slice_text(text);
    effects_reply(fx, link, &m);
    if (error && error != GT_EINCARNATION)
        effects_close_link(fx, link);
}

/* Refuses a life of the node that does not know of another one that was seen: true when answered.
 */
static bool hello_older(struct node *n, const struct inbound *l, struct gt_effects *fx)
{
    uint64_t seen = life_unknown(n, l->node, &l->lives);
    if (seen == 0)
        return false;
    hello_answer(n, l->link, l->hello_id, GT_EINCARNATION, seen,
                 "a higher incarnation of this node was seen", fx);
    return true;
}

static void hello_accept(struct node *n, struct inbound *l, struct gt_effects *fx)
{
    l->role = ROLE_NODE;
    hello_answer(n, l->link, l->hello_id, 0, 0, "", fx);
}

/*
 * Another life of the node is linked: this one is a restart whose end we have not heard of, or the
 * process of a copied folder. We say hello to the one that is linked; if it answers, as another one
 * than this, it is alive, and this one must end. True when answered.
 */
static bool hello_rival(struct node *n, const struct inbound *l, struct gt_effects *fx)
{
    struct peer *p = node_peer(n, l->node);
    if (!p || !p->up || p->life == l->incarnation || l->heard)
        return false;
    if (p->rival != l->incarnation) {
        p->rival = l->incarnation;
        p->rival_us = n->now_us;
        p->rival_told = p->told;
        hello_send(n, p->id, fx);
    }
    if (p->told > p->rival_told) {
        log_warn(n->log, "a copy of its folder was started beside=%s", node_label_of(n, p->id));
        hello_answer(n, l->link, l->hello_id, GT_ELOCKED, 0,
                     "another process of this node is alive; is its folder a copy?", fx);
        return true;
    }
    if (n->now_us >= p->rival_us + RIVAL_SILENT_US)
        return false;
    hello_answer(n, l->link, l->hello_id, GT_EBUSY, 0, "another process of this node was alive",
                 fx);
    return true;
}

/* A member's hello: answered now, or when its incarnation is durable. */
static void hello_judge(struct node *n, struct inbound *l, struct gt_effects *fx)
{
    if (node_removed(n, l->node)) {
        hello_answer(n, l->link, l->hello_id, GT_ELABEL, 0,
                     "another node has taken the place of this one", fx);
        return;
    }
    if (incarnation_absurd(n, l->node, l->incarnation)) {
        hello_answer(n, l->link, l->hello_id, GT_ECLOCK, 0,
                     "its start lies more than a year ahead of the clock here", fx);
        return;
    }
    if (hello_rival(n, l, fx) || hello_older(n, l, fx))
        return;
    if (seen_raise(n, l->node, l->incarnation) != 0) {
        effects_close_link(fx, l->link);
        return;
    }
    if (n->seen_version > n->seen_stored)
        l->hello_waits = n->seen_version;
    else
        hello_accept(n, l, fx);
}

void hello_in(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
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
    l->heard = (l->heard || l->role == ROLE_NODE) && l->node == m->hello.node;
    l->role = 0;
    l->hello_waits = 0;
    l->stranger = false;
    bool other = !cluster_none(m->hello.cluster_id) && cluster_foreign(n, m->hello.cluster_id);
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
    l->node = m->hello.node;
    l->incarnation = m->hello.incarnation;
    l->lives = lives_told(m);
    l->hello_id = m->id;
    l->stranger = !node_named(n, l->node);
    if (l->stranger)
        log_info(n->log, "hello of a node that the map does not name waits node=%016llx",
                 (unsigned long long)l->node);
    else
        hello_judge(n, l, fx);
}

/* The incarnations seen up to a version are durable: the hellos that waited for it are answered. */
void hellos_answer(struct node *n, struct gt_effects *fx)
{
    for (uint32_t i = 0; i < n->link_count; i++) {
        struct inbound *l = &n->links[i];
        if (l->hello_waits == 0 || l->hello_waits > n->seen_stored)
            continue;
        l->hello_waits = 0;
        if (!hello_older(n, l, fx))
            hello_accept(n, l, fx);
    }
}

static void link_end(struct node *n, const struct member *m, struct gt_effects *fx)
{
    struct peer *p = node_peer(n, m->id);
    /* Its life may be above the mark, drawn before it heard of that. */
    if (p && p->up && !lives_know(&p->lives, m->incarnation)) {
        p->up = false;
        coord_link_down(n, m->id, fx);
    }
    for (uint32_t i = 0; i < n->link_count; i++) {
        struct inbound *l = &n->links[i];
        if (l->role == ROLE_NODE && l->node == m->id && !lives_know(&l->lives, m->incarnation)) {
            l->role = 0;
            effects_close_link(fx, l->link);
        }
    }
}

void refills_heed(struct node *n, const struct ring *before, struct gt_effects *fx)
{
    for (uint32_t i = 0; i < n->ring->member_count; i++) {
        const struct member *m = &n->ring->members[i];
        int was = before ? ring_member_by_id(before, m->id) : -1;
        if (m->refill != (was >= 0 && before->members[was].refill))
            closing_restart(n);
        if (m->refill && (int)i == n->member)
            renewal_want(n, "the map", m->incarnation);
        else if (m->refill)
            link_end(n, m, fx);
    }
}

void members_changed(struct node *n, struct gt_effects *fx)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n->seen_count; i++)
        if (node_named(n, n->seen[i].node))
            n->seen[kept++] = n->seen[i];
    n->seen_count = kept;
    for (uint32_t i = 0; i < n->link_count; i++) {
        struct inbound *l = &n->links[i];
        if (!l->stranger || !node_named(n, l->node))
            continue;
        l->stranger = false;
        hello_judge(n, l, fx);
    }
}
