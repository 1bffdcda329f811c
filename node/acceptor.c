/*
 * The node as an acceptor of cluster maps (RULES 17; manager/ballots.c is the other side): what it
 * has promised, and the newest map that was proposed to it, both durable before a manager hears of
 * them. It is a file of its own because a promise must outlive everything: what is here is written
 * in one value, and answered only then.
 *
 *   PROPOSE -> waits while storage is busy -> judged -> [ STORE META "ballot" -> STORED ] -> VOTE
 *
 *   ballot 0       "would you promise one?": yes, unless another manager leads here. Nothing is
 *                  promised, so who asks disturbs nobody
 *   no map         the promise: to take nothing of a lower ballot, nor of this one from another
 *                  life of a manager
 *   with a map     held, as a proposal: it is acted on only when a MAP says that it counts (map.c)
 *
 * Another manager leads here while it has answered a heartbeat of the last three.
 *
 * META "ballot": u64 promised; u64 life of that manager; u32 number of voters; u64 each; the bytes
 * of the map proposed (none: to the end of the value), as META "map" has them.
 */
#include <stdlib.h>

#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "node/node_private.h"

#define LEADS_HEARTBEATS 3u

/* ---- what is held ---------------------------------------------------------------------------- */

static void held_drop(struct held *h)
{
    ring_unref(h->ring);
    blob_unref(h->map);
    blob_unref(h->voters);
    *h = (struct held){0};
}

static void asked_drop(struct asked *a)
{
    blob_unref(a->map);
    blob_unref(a->voters);
    *a = (struct asked){0};
}

void acceptor_close(struct node *n)
{
    held_drop(&n->acceptor.now);
    held_drop(&n->acceptor.next);
    asked_drop(&n->acceptor.next_asked);
    for (uint32_t i = 0; i < NODE_MANAGERS_MAX; i++)
        asked_drop(&n->acceptor.asked[i]);
}

/* The map proposed, where it is above the one in force. A node that is of no cluster yet may be a
 * member in it. */
static const struct ring *proposed(const struct node *n)
{
    const struct ring *r = n->acceptor.now.ring;
    if (r && cluster_foreign(n, r->cluster_id))
        return NULL;
    return r && (!n->ring || epoch_compare(r->epoch, n->ring->epoch) > 0) ? r : NULL;
}

int acceptor_restore(struct node *n, const struct blob *bytes)
{
    if (!bytes || bytes->bytes == 0)
        return 0;
    struct held *h = &n->acceptor.now;
    struct reader r = reader_of(slice_blob(bytes));
    h->ballot = read_u64(&r);
    h->life = read_u64(&r);
    uint64_t voters = read_u32(&r);
    if (voters * 8 > reader_left(&r))
        return GT_EFORMAT;
    struct slice run = read_raw(&r, voters * 8);
    struct slice map = read_raw(&r, reader_left(&r));
    if (map.bytes == 0)
        return 0;
    h->voters = blob_copy(run.data, run.bytes);
    h->map = blob_copy(map.data, map.bytes);
    return h->voters && h->map ? msg_map_read(map, &h->ring) : GT_ENOMEM;
}

/* ---- who leads ------------------------------------------------------------------------------- */

void acceptor_led(struct node *n, struct peer *p, int error)
{
    p->busy = error == GT_EBUSY;
    p->leads_us = p->busy ? 0 : n->now_us + LEADS_HEARTBEATS * n->config.heartbeat_us;
}

static bool another_leads(const struct node *n, uint64_t asker)
{
    for (uint32_t i = 0; i < n->peer_count; i++) {
        const struct peer *p = &n->peers[i];
        if (p->manager && p->id != asker && n->now_us < p->leads_us)
            return true;
    }
    return false;
}

/* ---- the vote -------------------------------------------------------------------------------- */

/* To an asker that has sent no map and knows of a lower one: the highest. */
static void content_add(const struct node *n, const struct asked *a, struct msg *m,
                        struct blob **own)
{
    const struct ring *p = proposed(n);
    const struct ring *best = p ? p : n->ring;
    if (a->map || !best || epoch_compare(best->epoch, a->known) <= 0)
        return;
    if (p) {
        m->vote.proposed = true;
        m->vote.map = slice_blob(n->acceptor.now.map);
        m->vote.voters = slice_blob(n->acceptor.now.voters);
        return;
    }
    *own = msg_map_bytes(best);
    if (*own)
        m->vote.map = slice_blob(*own);
}

static void vote_send(struct node *n, const struct asked *a, int error, struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_VOTE, ++n->next_id);
    struct blob *own = NULL;
    if (!node_linked(n, a->peer))
        return; /* it asks again when it is back */
    m.vote.error = error;
    m.vote.node = n->identity.node_id;
    m.vote.incarnation = n->identity.incarnation;
    m.vote.ballot = a->ballot;
    m.vote.promised = n->acceptor.now.ballot;
    if (n->ring)
        m.vote.map_epoch = n->ring->epoch;
    if (proposed(n))
        m.vote.proposed_epoch = proposed(n)->epoch;
    content_add(n, a, &m, &own);
    effects_send(fx, a->peer, &m);
    blob_unref(own);
}

/* ---- a proposal ------------------------------------------------------------------------------ */

void acceptor_propose(struct node *n, const struct gt_event *ev)
{
    const struct msg *m = ev->message.msg;
    struct peer *p = node_peer(n, ev->peer);
    if (!p || !p->manager || p->id > NODE_MANAGERS_MAX || m->propose.error)
        return;
    struct asked *a = &n->acceptor.asked[p->id - 1];
    asked_drop(a); /* the newest of each manager is enough: it asks again */
    *a = (struct asked){
        .peer = p->id, .ballot = m->propose.ballot, .life = m->propose.life, .known = m->epoch};
    if (m->propose.map.bytes > 0) {
        a->map = blob_copy(m->propose.map.data, m->propose.map.bytes);
        a->voters = blob_copy(m->propose.voters.data, m->propose.voters.bytes);
        if (!a->map || !a->voters)
            asked_drop(a);
    }
}

/* 0: it may be promised, and held. */
static int ballot_check(const struct node *n, const struct asked *a)
{
    const struct held *h = &n->acceptor.now;
    if (MUTANT(promise_lower))
        return 0;
    if (a->ballot < h->ballot || (a->ballot == h->ballot && a->life != h->life))
        return GT_ESTALE;
    return 0;
}

/* The map of the proposal, when it is to be held: 0 with *out, which is NULL when one as high is
 * held or in force already. */
static int map_check(const struct node *n, const struct asked *a, struct ring **out)
{
    struct ring *r = NULL;
    *out = NULL;
    int error = msg_map_read(slice_blob(a->map), &r);
    if (error)
        return error;
    const struct ring *held = proposed(n);
    bool old = (n->ring && epoch_compare(r->epoch, n->ring->epoch) <= 0) ||
               (held && epoch_compare(r->epoch, held->epoch) <= 0);
    if (cluster_foreign(n, r->cluster_id))
        error = GT_ECLUSTER;
    else if (r->epoch.ballot != a->ballot)
        error = GT_EPROTO;
    else if (!old)
        *out = ring_ref(r);
    ring_unref(r);
    return error;
}

static void promise_store(struct node *n, const struct asked *a, struct ring *map,
                          struct gt_effects *fx)
{
    struct acceptor *c = &n->acceptor;
    bool fresh = map != NULL;
    struct blob *bytes = fresh ? a->map : proposed(n) ? c->now.map : NULL;
    struct blob *voters = fresh ? a->voters : proposed(n) ? c->now.voters : NULL;
    struct held next = {.ballot = a->ballot > c->now.ballot ? a->ballot : c->now.ballot,
                        .life = a->life,
                        .ring = fresh   ? map
                                : bytes ? ring_ref(c->now.ring)
                                        : NULL,
                        .map = bytes ? blob_ref(bytes) : NULL,
                        .voters = voters ? blob_ref(voters) : NULL};
    buf_clear(&n->bytes);
    buf_u64(&n->bytes, next.ballot);
    buf_u64(&n->bytes, next.life);
    buf_u32(&n->bytes, voters ? (uint32_t)(voters->bytes / 8) : 0);
    if (voters)
        buf_put(&n->bytes, voters->data, voters->bytes);
    if (bytes)
        buf_put(&n->bytes, bytes->data, bytes->bytes);
    if (n->bytes.failed || !meta_store(n, META_BALLOT, 0, buf_slice(&n->bytes), fx)) {
        held_drop(&next);
        return; /* it asks again */
    }
    c->storing = true;
    c->next = next;
    c->next_asked = (struct asked){.peer = a->peer,
                                   .ballot = a->ballot,
                                   .life = a->life,
                                   .known = a->known,
                                   .map = a->map ? blob_ref(a->map) : NULL};
}

void acceptor_stored(struct node *n, int result, struct gt_effects *fx)
{
    struct acceptor *c = &n->acceptor;
    c->storing = false;
    if (result) {
        held_drop(&c->next);
    } else {
        held_drop(&c->now);
        c->now = c->next;
        c->next = (struct held){0};
        vote_send(n, &c->next_asked, 0, fx);
        if (MUTANT(act_on_proposal) && proposed(n) && !n->map_next && !n->map_storing)
            n->map_next = ring_ref(c->now.ring);
    }
    asked_drop(&c->next_asked);
}

static void judge(struct node *n, const struct asked *a, struct gt_effects *fx)
{
    struct ring *map = NULL;
    int error = 0;
    if (!a->map && another_leads(n, a->peer))
        error = GT_EBUSY;
    else if (a->ballot > 0)
        error = ballot_check(n, a);
    if (!error && a->ballot > 0 && a->map)
        error = map_check(n, a, &map);
    bool promises = !error && a->ballot > 0 && a->ballot != n->acceptor.now.ballot;
    if (map || promises)
        promise_store(n, a, map, fx);
    else
        vote_send(n, a, error, fx);
    /* Only one that leads proposes maps. */
    if (!error && a->map)
        register_soon(n, a->peer, fx);
}

void acceptor_next(struct node *n, struct gt_effects *fx)
{
    for (uint32_t i = 0; i < NODE_MANAGERS_MAX && !n->acceptor.storing; i++) {
        struct asked a = n->acceptor.asked[i];
        n->acceptor.asked[i] = (struct asked){0};
        if (a.peer != 0)
            judge(n, &a, fx);
        asked_drop(&a);
    }
}
