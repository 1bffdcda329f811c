#include "net/status.h"

static uint32_t owners_up(const uint16_t *owners, uint32_t owner_count, const bool *up)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < owner_count; i++)
        count += up[owners[i]];
    return count;
}

/* While an arc moves its other list must have its W as well. How many more are up there than that
 * needs, `enough` for one that does not move; -1: too few. */
static int beside_spare(const struct ring *r, const struct arc *arc, const bool *up, uint32_t nodes,
                        int enough)
{
    uint32_t w, read;
    if (!arc_doubled(arc))
        return enough;
    ring_list_quorums(r, arc->beside_count, &w, &read);
    uint32_t have = owners_up(arc->beside, arc->beside_count, up);
    uint32_t writers = have > 0 && nodes > have ? nodes : have;
    return writers >= w ? (int)(writers - w) : -1;
}

/* How many can stand in for owners that are away, where every put may have guests. */
static uint32_t nodes_up(const struct ring *r, const bool *up)
{
    uint32_t count = 0;
    for (uint32_t i = 0; r->settings.profile == PROFILE_COURSE && i < r->member_count; i++)
        count += up[i] && r->members[i].state != MEMBER_JOINING && !r->members[i].leaving;
    return count;
}

static void moves_count(const struct ring *r, struct status *out)
{
    struct ring_tally tally = ring_tally(r);
    out->rebalance = r->rebalance;
    out->moves_prepare = tally.prepare;
    out->moves_read_new = tally.read_new;
    out->moves_cleanup = tally.cleanup;
}

void status_count(const struct ring *r, const bool *up, struct status *out)
{
    out->partitions_full = out->partitions_quorum = out->partitions_below = 0;
    out->verdict = VERDICT_UNAVAILABLE;
    if (!r || !r->formed)
        return;
    moves_count(r, out);
    uint32_t nodes = nodes_up(r, up);
    bool edge = false; /* a partition that stands on exactly its quorum, be its list short or not */
    for (uint32_t p = 0; p < r->settings.partitions; p++) {
        uint32_t n, w, read;
        ring_quorums(r, p, &n, &w, &read);
        const struct arc *arc = &r->arcs[p];
        uint32_t have = owners_up(arc->owners, arc->owner_count, up);
        uint32_t writers = have > 0 && nodes > have ? nodes : have;
        int spare = beside_spare(r, arc, up, nodes, 1);
        if (have < read || writers < w || spare < 0)
            out->partitions_below++;
        else if (have == n && n >= r->settings.replicas)
            out->partitions_full++;
        else
            out->partitions_quorum++;
        edge |= have == read || writers == w || spare == 0;
    }
    if (out->partitions_below > 0)
        out->verdict = VERDICT_UNAVAILABLE;
    else if (out->partitions_quorum == 0)
        out->verdict = VERDICT_HEALTHY;
    else
        out->verdict = edge ? VERDICT_AT_RISK : VERDICT_DEGRADED;
}
