/*
 * The cluster map as this node has it, from where it is read back to where it is lent on, and the
 * connections that follow from it. It is a file of its own because every way to a newer map must
 * pass the same gate:
 *
 *   MAP, newer, of this cluster -> map_next -> STORE META -> map_storing -> STORED -> acted on
 *
 * A map that could not be stored is dropped; the epochs that later messages carry show that it is
 * missing, and it is asked for again.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "node/node_private.h"

/* ---- connections ----------------------------------------------------------------------------- */

static int peer_order(const void *a, const void *b)
{
    const struct peer *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Connections as managers and map want them; those that stay keep their state. */
void peers_rebuild(struct node *n, struct gt_effects *fx)
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
        if (!now || now->keeps != old[i].keeps)
            blob_unref(old[i].keeps);
        if (!now)
            effects_disconnect(fx, old[i].id);
        if (!now || (old[i].up && !now->up))
            coord_link_down(n, old[i].id, fx);
    }
    free(old);
}

/* ---- taking and acting ----------------------------------------------------------------------- */

/* Of this cluster: what another one has counted says nothing here. */
static struct epoch epoch_known(const struct node *n, const uint8_t cluster[CLUSTER_ID_BYTES])
{
    const struct ring *r = n->map_next ? n->map_next : n->map_storing ? n->map_storing : n->ring;
    return r && cluster_same(r->cluster_id, cluster) ? r->epoch : (struct epoch){0, 0};
}

void map_take(struct node *n, const struct gt_event *ev)
{
    struct ring *r = ev->message.msg->map.ring;
    const struct peer *p = node_peer(n, ev->peer);
    bool older = r && epoch_compare(r->epoch, epoch_known(n, r->cluster_id)) <= 0;
    if (!r || !p || (older && !MUTANT(ignore_epoch)))
        return;
    const uint8_t *ours =
        cluster_none(n->identity.cluster_id) ? n->cluster_id : n->identity.cluster_id;
    if (r->formed && (cluster_none(ours) || cluster_same(ours, r->cluster_id)))
        memcpy(n->formed_cluster, r->cluster_id, CLUSTER_ID_BYTES);
    if (!cluster_same(ours, r->cluster_id)) {
        if (!cluster_none(ours) && !cluster_change(n, r->cluster_id))
            log_warn(n->log, "map of another cluster ignored");
        return;
    }
    ring_unref(n->map_next);
    n->map_next = ring_ref(r);
}

void map_store(struct node *n, struct gt_effects *fx)
{
    struct blob *bytes = msg_map_bytes(n->map_next);
    if (bytes && meta_store(n, META_MAP, 0, slice_blob(bytes), fx)) {
        n->map_storing = n->map_next;
        n->map_next = NULL;
    }
    blob_unref(bytes);
}

void left_heed(struct node *n, const struct ring *before, struct gt_effects *fx)
{
    const struct member *self = n->member >= 0 ? &n->ring->members[n->member] : NULL;
    if (!self || self->state != MEMBER_REMOVED)
        return;
    int was = before ? ring_member_by_id(before, n->identity.node_id) : -1;
    if (was >= 0 && before->members[was].leaving)
        node_fail(n, 0,
                  "drained: the other nodes have all that was here, and this one has left the "
                  "cluster; its folder can be deleted",
                  fx);
    else
        node_fail(n, GT_ELABEL,
                  "this node was removed from the cluster, or another one has its place: begin in "
                  "an empty folder",
                  fx);
}

/* Takes over one reference. */
void map_adopt(struct node *n, struct ring *r, struct gt_effects *fx)
{
    struct ring *before = n->ring;
    n->ring = r;
    n->member = ring_member_by_id(r, n->identity.node_id);
    if (n->member >= 0 && !n->self.label[0])
        snprintf(n->self.label, sizeof(n->self.label), "%s", r->members[n->member].label);
    log_info(n->log, "map epoch=%llu.%llu members=%u %s", (unsigned long long)r->epoch.ballot,
             (unsigned long long)r->epoch.counter, r->member_count,
             r->formed ? "formed" : "forming");
    events_add(n->events, EVENT_MAP, "epoch %llu.%llu, %u members, %s",
               (unsigned long long)r->epoch.ballot, (unsigned long long)r->epoch.counter,
               r->member_count, r->formed ? "formed" : "forming");
    watches_rebuild(n);
    peers_rebuild(n, fx);
    members_changed(n, fx);
    refills_heed(n, before, fx);
    moves_heed(n);
    left_heed(n, before, fx);
    ring_unref(before);
}

int map_restore(struct node *n, const struct blob *bytes)
{
    if (!bytes || bytes->bytes == 0)
        return 0;
    int error = msg_map_read(slice_blob(bytes), &n->ring);
    if (error)
        return error;
    n->member = ring_member_by_id(n->ring, n->identity.node_id);
    watches_rebuild(n);
    moves_heed(n);
    return 0;
}

/* ---- asking and giving ----------------------------------------------------------------------- */

/* Somebody acts by a newer map: asks for it, at most once in a while. */
void map_ask(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    if (m->type == MSG_MAP || epoch_compare(m->epoch, epoch_known(n, n->identity.cluster_id)) <= 0)
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

void map_give(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    struct msg reply = node_message(n, MSG_MAP, m->id);
    bool current = n->ring && epoch_compare(m->epoch, n->ring->epoch) == 0;
    reply.map.ring = current ? NULL : n->ring;
    effects_reply(fx, ev->link, &reply);
}
