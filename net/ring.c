#include "net/ring.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/engine.h"

int epoch_compare(struct epoch a, struct epoch b)
{
    if (a.ballot != b.ballot)
        return a.ballot < b.ballot ? -1 : 1;
    return a.counter < b.counter ? -1 : a.counter > b.counter;
}

const char *member_state_name(enum member_state state)
{
    static const char *const names[] = {"?",       "up",          "down",   "joining",
                                        "leaving", "catching_up", "removed"};
    return (unsigned)state < sizeof(names) / sizeof(names[0]) ? names[state] : "?";
}

/* ---- settings -------------------------------------------------------------------------------- */

static int quorum_range_check(const char *name, uint32_t quorum, uint32_t replicas, char why[128])
{
    if (quorum >= 1 && quorum <= replicas)
        return 0;
    snprintf(why, 128, "1 <= %s <= N does not hold: %s = %u, N = %u", name, name, quorum, replicas);
    return GT_EARG;
}

int settings_check(const struct settings *s, char why[128])
{
    uint32_t n = s->replicas, r = s->read_quorum, w = s->write_quorum;
    why[0] = '\0';
    if (n < 1 || n > REPLICAS_MAX) {
        snprintf(why, 128, "1 <= N <= %d does not hold: N = %u", REPLICAS_MAX, n);
        return GT_EARG;
    }
    if (quorum_range_check("R", r, n, why) != 0 || quorum_range_check("W", w, n, why) != 0)
        return GT_EARG;
    if (w + r <= n) {
        snprintf(why, 128, "W + R > N does not hold: %u + %u > %u", w, r, n);
        return GT_EARG;
    }
    if (2 * w <= n) {
        snprintf(why, 128, "2 W > N does not hold: 2 * %u > %u", w, n);
        return GT_EARG;
    }
    return 0;
}

/* ---- a map's life ---------------------------------------------------------------------------- */

struct ring *ring_new(uint32_t member_count, uint32_t partitions)
{
    gt_assert(member_count <= MEMBERS_MAX && partitions <= PARTITIONS_MAX);
    struct ring *r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->refs = 1;
    r->member_count = member_count;
    r->settings.partitions = partitions;
    if (member_count > 0 && !(r->members = calloc(member_count, sizeof(*r->members))))
        goto fail;
    if (partitions > 0 && !(r->arcs = calloc(partitions, sizeof(*r->arcs))))
        goto fail;
    return r;
fail:
    ring_unref(r);
    return NULL;
}

struct ring *ring_copy(const struct ring *r, uint32_t member_count)
{
    uint32_t arc_count = r->arcs ? r->settings.partitions : 0;
    struct ring *copy = ring_new(member_count, arc_count);
    if (!copy)
        return NULL;
    uint32_t kept = member_count < r->member_count ? member_count : r->member_count;
    copy->epoch = r->epoch;
    memcpy(copy->cluster_id, r->cluster_id, CLUSTER_ID_BYTES);
    copy->formed = r->formed;
    copy->settings = r->settings;
    copy->rebalance = r->rebalance;
    copy->members_since = r->members_since;
    copy->cancelled_for = r->cancelled_for;
    if (kept > 0)
        memcpy(copy->members, r->members, kept * sizeof(*r->members));
    if (arc_count > 0)
        memcpy(copy->arcs, r->arcs, arc_count * sizeof(*r->arcs));
    return copy;
}

struct ring *ring_ref(struct ring *r)
{
    if (r) {
        gt_assert(r->refs > 0 && r->refs < UINT32_MAX);
        r->refs++;
    }
    return r;
}

void ring_unref(struct ring *r)
{
    if (!r)
        return;
    gt_assert(r->refs > 0);
    if (--r->refs > 0)
        return;
    free(r->members);
    free(r->arcs);
    free(r);
}

/* ---- checking -------------------------------------------------------------------------------- */

static bool member_sound(const struct member *m)
{
    if (m->id == 0 || units_label_check(m->label) != 0)
        return false;
    if (m->zone[0] != '\0' && units_label_check(m->zone) != 0)
        return false;
    if (!(m->capacity > 0) ||
        m->capacity > MEMBER_CAPACITY_MAX) /* also refuses what is no number */
        return false;
    return m->state >= MEMBER_UP && m->state <= MEMBER_REMOVED;
}

static bool members_distinct(const struct ring *r)
{
    for (uint32_t i = 0; i < r->member_count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (r->members[i].id == r->members[j].id ||
                strcmp(r->members[i].label, r->members[j].label) == 0)
                return false;
    return true;
}

static bool owners_sound(const uint16_t *owners, uint32_t count, uint32_t member_count)
{
    if (count > REPLICAS_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (owners[i] >= member_count)
            return false;
        for (uint32_t j = 0; j < i; j++)
            if (owners[i] == owners[j])
                return false;
    }
    return true;
}

static bool index_among(const uint16_t *indexes, uint32_t count, uint16_t index)
{
    for (uint32_t i = 0; i < count; i++)
        if (indexes[i] == index)
            return true;
    return false;
}

/* How many of the list the other one has not. */
static uint32_t outside(const uint16_t *list, uint32_t count, const uint16_t *other,
                        uint32_t other_count)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++)
        found += !index_among(other, other_count, list[i]);
    return found;
}

static bool arc_sound(const struct arc *a, uint32_t member_count)
{
    if (a->owner_count == 0 || a->phase > ARC_CLEANUP)
        return false;
    if ((a->phase == ARC_STABLE) != (a->beside_count == 0))
        return false;
    if (!owners_sound(a->owners, a->owner_count, member_count) ||
        !owners_sound(a->beside, a->beside_count, member_count))
        return false;
    return a->phase == ARC_STABLE ||
           (outside(a->owners, a->owner_count, a->beside, a->beside_count) <= 1 &&
            outside(a->beside, a->beside_count, a->owners, a->owner_count) <= 1);
}

int ring_check(const struct ring *r)
{
    char why[128];
    if (settings_check(&r->settings, why) != 0 || r->member_count > MEMBERS_MAX ||
        r->rebalance > REBALANCE_PAUSED)
        return GT_EPROTO;
    if (r->settings.partitions < 1 || r->settings.partitions > PARTITIONS_MAX)
        return GT_EPROTO;
    for (uint32_t i = 0; i < r->member_count; i++)
        if (!member_sound(&r->members[i]))
            return GT_EPROTO;
    if (!members_distinct(r))
        return GT_EPROTO;
    if (!r->formed)
        return 0;
    if (!r->arcs)
        return GT_EPROTO;
    for (uint32_t i = 0; i < r->settings.partitions; i++)
        if (!arc_sound(&r->arcs[i], r->member_count))
            return GT_EPROTO;
    return 0;
}

/* ---- questions ------------------------------------------------------------------------------- */

int ring_member_by_id(const struct ring *r, uint64_t id)
{
    for (uint32_t i = 0; i < r->member_count; i++)
        if (r->members[i].id == id)
            return (int)i;
    return -1;
}

int ring_member_by_label(const struct ring *r, const char *label)
{
    for (uint32_t i = 0; i < r->member_count; i++)
        if (strcmp(r->members[i].label, label) == 0)
            return (int)i;
    return -1;
}

static const struct arc *arc_of(const struct ring *r, uint32_t partition)
{
    gt_assert(r->formed && r->arcs && partition < r->settings.partitions);
    return &r->arcs[partition];
}

uint32_t ring_partition(const struct ring *r, struct slice key)
{
    gt_assert(r->formed);
    return hash_partition(hash_bytes(key), r->settings.partitions);
}

int ring_slot(const struct ring *r, uint32_t partition, uint32_t member)
{
    const struct arc *a = arc_of(r, partition);
    for (uint32_t i = 0; i < a->owner_count; i++)
        if (a->owners[i] == member)
            return (int)i;
    return -1;
}

enum ring_part ring_part(const struct ring *r, uint32_t partition, uint32_t member)
{
    static const enum ring_part beside[] = {PART_NONE, PART_RECEIVER, PART_WRITTEN, PART_LEAVER};
    const struct arc *a = arc_of(r, partition);
    if (ring_slot(r, partition, member) >= 0)
        return PART_OWNER;
    return index_among(a->beside, a->beside_count, (uint16_t)member) ? beside[a->phase] : PART_NONE;
}

uint32_t ring_places(const struct ring *r, uint32_t partition, bool writers,
                     uint16_t out[PLACES_MAX], uint32_t *in_owners, uint32_t *in_beside)
{
    const struct arc *a = arc_of(r, partition);
    uint32_t count = 0, beside = writers && !arc_doubled(a) ? 0 : a->beside_count;
    *in_owners = (1u << a->owner_count) - 1;
    *in_beside = 0;
    for (uint32_t i = 0; i < a->owner_count; i++) {
        if (index_among(a->beside, beside, a->owners[i]))
            *in_beside |= 1u << count;
        out[count++] = a->owners[i];
    }
    for (uint32_t i = 0; i < beside; i++)
        if (!index_among(a->owners, a->owner_count, a->beside[i])) {
            gt_assert(count < PLACES_MAX); /* ring_check: one at most */
            *in_beside |= 1u << count;
            out[count++] = a->beside[i];
        }
    return count;
}

/* Who is in the list and not in the other one, -1: nobody. */
static int only_in(const uint16_t *list, uint32_t count, const uint16_t *other,
                   uint32_t other_count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!index_among(other, other_count, list[i]))
            return list[i];
    return -1;
}

int ring_leaving(const struct ring *r, uint32_t partition)
{
    const struct arc *a = arc_of(r, partition);
    if (a->phase == ARC_PREPARE)
        return only_in(a->owners, a->owner_count, a->beside, a->beside_count);
    return only_in(a->beside, a->beside_count, a->owners, a->owner_count);
}

int ring_coming(const struct ring *r, uint32_t partition)
{
    const struct arc *a = arc_of(r, partition);
    if (a->phase == ARC_STABLE)
        return -1;
    if (a->phase == ARC_PREPARE)
        return only_in(a->beside, a->beside_count, a->owners, a->owner_count);
    return only_in(a->owners, a->owner_count, a->beside, a->beside_count);
}

static bool may_be_guest(const struct ring *r, const struct arc *own, uint16_t index)
{
    enum member_state state = r->members[index].state;
    return state != MEMBER_JOINING && state != MEMBER_LEAVING && state != MEMBER_REMOVED &&
           !r->members[index].leaving && !index_among(own->owners, own->owner_count, index) &&
           !index_among(own->beside, own->beside_count, index);
}

bool arc_owners_equal(const struct arc *a, const struct arc *b)
{
    return a->owner_count == b->owner_count &&
           memcmp(a->owners, b->owners, a->owner_count * sizeof(*a->owners)) == 0;
}

bool arc_lists_equal(const struct arc *a, const struct arc *b)
{
    return arc_owners_equal(a, b) && a->beside_count == b->beside_count &&
           memcmp(a->beside, b->beside, a->beside_count * sizeof(*a->beside)) == 0;
}

struct ring_tally ring_tally(const struct ring *r)
{
    struct ring_tally t = {0};
    for (uint32_t p = 0; r->formed && p < r->settings.partitions; p++) {
        t.prepare += r->arcs[p].phase == ARC_PREPARE;
        t.read_new += r->arcs[p].phase == ARC_READ_NEW;
        t.cleanup += r->arcs[p].phase == ARC_CLEANUP;
    }
    return t;
}

uint32_t ring_guests(const struct ring *r, uint32_t partition, uint16_t *out, uint32_t max)
{
    const struct arc *own = arc_of(r, partition);
    uint32_t count = 0, partitions = r->settings.partitions, possible = 0;
    for (uint32_t i = 0; i < r->member_count; i++)
        possible += may_be_guest(r, own, (uint16_t)i);
    if (possible < max)
        max = possible;
    for (uint32_t step = 1; step < partitions && count < max; step++) {
        const struct arc *arc = arc_of(r, (partition + step) % partitions);
        for (uint32_t i = 0; i < arc->owner_count && count < max; i++)
            if (may_be_guest(r, own, arc->owners[i]) && !index_among(out, count, arc->owners[i]))
                out[count++] = arc->owners[i];
    }
    return count;
}

uint64_t ring_token(const struct ring *r, uint32_t partition)
{
    gt_assert(partition < r->settings.partitions);
    unsigned __int128 start = (unsigned __int128)partition << 64;
    return (uint64_t)((start + r->settings.partitions - 1) / r->settings.partitions);
}

uint32_t ring_tokens_of(const struct ring *r, uint32_t member)
{
    uint32_t tokens = 0;
    if (!r->formed)
        return 0;
    for (uint32_t p = 0; p < r->settings.partitions; p++)
        tokens += ring_slot(r, p, member) >= 0;
    return tokens;
}

void ring_quorums(const struct ring *r, uint32_t partition, uint32_t *n, uint32_t *w,
                  uint32_t *read)
{
    *n = arc_of(r, partition)->owner_count;
    ring_list_quorums(r, *n, w, read);
}

void ring_list_quorums(const struct ring *r, uint32_t owners, uint32_t *w, uint32_t *read)
{
    uint32_t majority = owners / 2 + 1;
    uint32_t write = r->settings.write_quorum < owners ? r->settings.write_quorum : owners;
    if (write < majority)
        write = majority;
    uint32_t reads = r->settings.read_quorum < owners ? r->settings.read_quorum : owners;
    if (write + reads <= owners)
        reads = owners - write + 1;
    *w = write;
    *read = reads;
}
