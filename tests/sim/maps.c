/*
 * RULES 17, asserted after every step of a manager and of a node. All maps that have counted are
 * kept, with who has ever held each durably.
 *
 *   1. no two maps of one epoch differ
 *   2. of the maps that count, the later one has the higher counter too: none is set back
 *   3. a map counts only when a majority of the owners of the last one before it held it; the one
 *      that forms the cluster, when one of its own did. Of one whose disk was lost nothing is
 *      asked, nor of anybody new when a proposal that was found is proposed anew as it is
 *   4. under one ballot the maps of one life of one manager count
 *   5. a node acts only on a map that counts
 *
 * 2 to 4 are of maps that are formed: by others nothing is written, and they count when they are on
 * the disk of a manager.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "manager/manager_private.h"
#include "node/node_private.h"
#include "tests/sim/world.h"

struct map_seen {
    struct ring *ring;
    struct blob *bytes;
    bool counts;
    uint64_t life; /* of the manager for whom it did */
    uint64_t *held;
    uint32_t held_count, held_capacity;
};

struct maps {
    struct map_seen *seen;
    uint32_t count, capacity;
};

static void slice_say(char text[48], struct epoch e)
{
    snprintf(text, 48, "%llu.%llu", (unsigned long long)e.ballot, (unsigned long long)e.counter);
}

static struct map_seen *seen_of(struct sim *s, const struct ring *r)
{
    struct maps *maps = s->maps;
    char epoch[48];
    for (uint32_t i = 0; i < maps->count; i++) {
        struct map_seen *m = &maps->seen[i];
        if (m->ring == r)
            return m;
        if (epoch_compare(m->ring->epoch, r->epoch) != 0 ||
            !cluster_same(m->ring->cluster_id, r->cluster_id))
            continue;
        struct blob *bytes = msg_map_bytes(r);
        gt_assert(bytes);
        slice_say(epoch, r->epoch);
        if (!slice_equal(slice_blob(bytes), slice_blob(m->bytes)))
            sim_break(s, "two maps of the epoch %s differ", epoch);
        blob_unref(bytes);
        return m;
    }
    maps->seen = sim_grown(maps->seen, maps->count, &maps->capacity, sizeof(*maps->seen));
    struct map_seen *m = &maps->seen[maps->count++];
    *m =
        (struct map_seen){.ring = ring_ref((struct ring *)(uintptr_t)r), .bytes = msg_map_bytes(r)};
    gt_assert(m->bytes);
    return m;
}

static bool has_held(const struct map_seen *m, uint64_t node)
{
    for (uint32_t i = 0; i < m->held_count; i++)
        if (m->held[i] == node)
            return true;
    return false;
}

static void hold(struct map_seen *m, uint64_t node)
{
    if (has_held(m, node))
        return;
    m->held = sim_grown(m->held, m->held_count, &m->held_capacity, sizeof(*m->held));
    m->held[m->held_count++] = node;
}

/* Its folder is that of no host any more. */
static bool is_lost(const struct sim *s, uint64_t node)
{
    for (uint32_t i = 0; i < s->host_count; i++)
        if (s->hosts[i].node_id == node)
            return false;
    return true;
}

static void majority_judge(struct sim *s, const struct map_seen *m, const struct ring *before)
{
    struct blob *voters = catalog_voters(before, NULL, 0);
    uint32_t members = (uint32_t)voters->bytes / 8, lost = 0, held = 0;
    char epoch[48];
    for (uint32_t i = 0; i < members; i++) {
        uint64_t id = le64_get(voters->data + i * 8u);
        int now = ring_member_by_id(m->ring, id);
        bool goes = now >= 0 && m->ring->members[now].state == MEMBER_REMOVED;
        lost += goes || is_lost(s, id);
        held += has_held(m, id);
    }
    blob_unref(voters);
    uint32_t asked = members - lost;
    slice_say(epoch, m->ring->epoch);
    if (asked > 0 && held < asked / 2 + 1)
        sim_break(s, "the map %s counts, and %u of %u members held it", epoch, held, members);
}

/* It counts from now on, for a manager. anew: it is a proposal that was found. */
static void counted(struct sim *s, const struct ring *r, uint64_t life, bool anew)
{
    struct map_seen *m = seen_of(s, r);
    const struct ring *before = NULL;
    char epoch[48], other[48];
    if (m->counts)
        return;
    m->counts = true;
    m->life = life;
    if (!r->formed)
        return;
    slice_say(epoch, r->epoch);
    for (uint32_t i = 0; i < s->maps->count; i++) {
        const struct map_seen *o = &s->maps->seen[i];
        if (!o->counts || !o->ring->formed || o == m ||
            !cluster_same(o->ring->cluster_id, r->cluster_id))
            continue;
        int order = epoch_compare(o->ring->epoch, r->epoch);
        slice_say(other, o->ring->epoch);
        if ((order < 0) != (o->ring->epoch.counter < r->epoch.counter))
            sim_break(s, "the maps %s and %s both count", other, epoch);
        if (o->ring->epoch.ballot == r->epoch.ballot && o->life != life)
            sim_break(s, "two managers under one ballot: %s and %s", other, epoch);
        if (order < 0 && (!before || epoch_compare(o->ring->epoch, before->epoch) > 0))
            before = o->ring;
    }
    if (!anew)
        majority_judge(s, m, before ? before : r);
}

void maps_look(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    char epoch[48];
    if (h->manager) {
        const struct catalog *c = &h->manager->catalog;
        if (c->counted && leading(h->manager))
            counted(s, c->writing, h->manager->identity.incarnation, c->found);
    }
    if (!h->node)
        return;
    h->node_id = h->node->identity.node_id;
    const struct ring *held = h->node->acceptor.now.ring, *acts = h->node->ring;
    if (held && held != h->map_held)
        hold(seen_of(s, held), h->node_id);
    h->map_held = held;
    if (!acts || acts == h->map_acted)
        return;
    h->map_acted = acts;
    struct map_seen *m = seen_of(s, acts);
    hold(m, h->node_id);
    slice_say(epoch, acts->epoch);
    if (!m->counts)
        sim_break(s, "%s acts on the map %s, which does not count", h->name, epoch);
}

void maps_free(struct sim *s)
{
    struct maps *maps = s->maps;
    for (uint32_t i = 0; maps && i < maps->count; i++) {
        ring_unref(maps->seen[i].ring);
        blob_unref(maps->seen[i].bytes);
        free(maps->seen[i].held);
    }
    if (maps)
        free(maps->seen);
    free(maps);
}

struct maps *maps_new(void)
{
    struct maps *maps = calloc(1, sizeof(*maps));
    gt_assert(maps);
    return maps;
}
