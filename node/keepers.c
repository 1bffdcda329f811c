/*
 * Who keeps parcels of what we own. A parcel may hold what no owner has, and two promises rest on
 * knowing that there is none:
 *
 *   one owner's word, where R is 1 (RULES 14, vote.c): every member that can be reached has had
 *     nothing for us, once since we were linked with it; what is kept since is on its way;
 *   reaping (RULES 19) by an owner that has lost data. A put reached it and a guest; its disk was
 *     lost, so the put is in the parcel alone; a delete that outranks it reaches all owners. Were
 *     the tombstone reaped the parcel would bring the deleted value back. So after each start, and
 *     when it fills, an owner with a loss behind it is *unheard*: it reaps nothing, and says with
 *     its clocks that they confirm no deletion, until all members at once have said that they keep
 *     nothing of the partition. Nothing that it lost can become a parcel after that: who makes one
 *     is an owner that has the put.
 *
 *   link up -> unknown --round--> asked --reply--> known, asked again while it keeps something
 *                 ^                 '-- silence, refusal --'
 *                 '-------------------- link lost
 *
 * The question is RETIRED without lives. Where R is above 1 and nothing was ever lost nobody asks.
 */
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "node/node_private.h"

static bool is_member(const struct node *n, const struct peer *p)
{
    return !p->manager && ring_member_by_id(n->ring, p->id) >= 0 && !node_removed(n, p->id);
}

void keepers_greeted(struct peer *p)
{
    blob_unref(p->keeps);
    p->keeps = NULL;
    p->keeps_none = false;
}

void keepers_free(struct node *n)
{
    for (uint32_t i = 0; i < n->peer_count; i++)
        keepers_greeted(&n->peers[i]);
}

void keepers_lost(struct watch *w)
{
    w->unheard = !MUTANT(reap_beside_parcels);
}

/* ---- what follows from the answers ----------------------------------------------------------- */

bool keepers_none(const struct node *n)
{
    for (uint32_t i = 0; i < n->peer_count; i++)
        if (n->peers[i].up && is_member(n, &n->peers[i]) && !n->peers[i].keeps_none)
            return false;
    return true;
}

static bool lists(const struct blob *partitions, uint32_t partition)
{
    for (size_t at = 0; at + 2 <= partitions->bytes; at += 2)
        if (le16_get(partitions->data + at) == partition)
            return true;
    return false;
}

/* All members are linked and have said so. */
static bool nobody_keeps(const struct node *n, uint32_t partition)
{
    for (uint32_t i = 0; i < n->ring->member_count; i++) {
        uint64_t id = n->ring->members[i].id;
        if ((int)i == n->member || node_removed(n, id))
            continue;
        const struct peer *p = node_peer(n, id);
        if (!p || !p->up || !p->keeps || lists(p->keeps, partition))
            return false;
    }
    return true;
}

static void partitions_hear(struct node *n)
{
    for (uint32_t i = 0; i < n->watch_count; i++) {
        struct watch *w = n->watches[i];
        if (!w || !w->unheard || !nobody_keeps(n, i))
            continue;
        w->unheard = false;
        watch_changed(n, i); /* the others are told */
    }
}

void keepers_unheard(const struct node *n, uint32_t partition, struct buf *out)
{
    const struct watch *w = watch_of(n, partition);
    uint8_t number[2];
    le16_put(number, (uint16_t)partition);
    if (w && w->unheard)
        buf_put(out, number, sizeof(number));
}

/* ---- asking ---------------------------------------------------------------------------------- */

static bool any_unheard(const struct node *n)
{
    for (uint32_t i = 0; i < n->watch_count; i++)
        if (n->watches[i] && n->watches[i]->unheard)
            return true;
    return false;
}

static void keeps_ask(struct node *n, struct peer *p, struct gt_effects *fx)
{
    uint64_t id;
    struct slot *s = inner_take(n, SLOT_KEEPS, n->now_us + SILENCE_US, &id);
    if (!s)
        return; /* with the next round */
    s->forward.peer = p->id;
    p->asked_keeps = true;
    struct msg m = node_message(n, MSG_RETIRED, id);
    effects_send(fx, p->id, &m);
}

void keepers_round(struct node *n, struct gt_effects *fx)
{
    if (!n->ring || !n->ring->formed || n->member < 0)
        return;
    bool unheard = any_unheard(n);
    if (unheard)
        partitions_hear(n); /* also when there is nobody to be asked */
    for (uint32_t i = 0; i < n->peer_count; i++) {
        struct peer *p = &n->peers[i];
        bool wanted = (n->ring->settings.read_quorum == 1 && !p->keeps_none) ||
                      (unheard && (!p->keeps || p->keeps->bytes > 0));
        if (wanted && p->up && !p->asked_keeps && is_member(n, p))
            keeps_ask(n, p, fx);
    }
}

void keepers_timeout(struct node *n, uint64_t id, struct slot *s)
{
    struct peer *p = node_peer(n, s->forward.peer);
    if (p)
        p->asked_keeps = false;
    coord_end(n, id, s);
}

void keepers_replied(struct node *n, const struct gt_event *ev)
{
    const struct msg *m = ev->message.msg;
    struct slot *s = slots_find(n->slots, m->id);
    if (!s || s->kind != SLOT_KEEPS || s->forward.peer != ev->peer)
        return;
    struct peer *p = node_peer(n, ev->peer);
    keepers_timeout(n, m->id, s);
    if (!p || !p->up || m->retired.head.error)
        return;
    struct blob *keeps = blob_copy(m->retired.parcels.data, m->retired.parcels.bytes);
    if (!keeps)
        return;
    blob_unref(p->keeps);
    p->keeps = keeps;
    p->keeps_none |= !ids_have(m->retired.targets, n->identity.node_id);
    if (!p->keeps_none && n->ring && n->ring->settings.read_quorum == 1)
        watch_soon(n); /* it is on its way: whoever reads meanwhile is told "degraded" */
    partitions_hear(n);
}
