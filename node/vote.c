/*
 * Whether an answer of this owner alone is worth the R of a list whose R is 1 (RULES 14). Where R
 * and W meet in one owner only, or W was reached with guests, an owner that was cut off, or away,
 * knows less than it can tell. So it speaks for itself only
 *
 *   while it holds a lease: three heartbeats from the manager, which would take it for dead after
 *     that, on the monotonic clock, counted from when the heartbeat was sent; and
 *   when it has had, since it was linked with them, what the other owners have that it can reach,
 *     and what any member kept for it (keepers.c).
 *
 * Otherwise it answers all the same, and the answer is flagged DEGRADED.
 */
#include "engine/base/mutant.h"
#include "node/node_private.h"

void lease_asked(struct node *n, struct peer *p, uint64_t beat_id)
{
    p->beat_id = beat_id;
    p->beat_us = n->now_us;
}

void lease_take(struct node *n, struct peer *p, const struct msg *m)
{
    if (m->heartbeat_reply.error || m->id != p->beat_id)
        return;
    uint64_t until_us = p->beat_us + m->heartbeat_reply.lease_ms * 1000ull;
    if (until_us > n->lease_until_us)
        n->lease_until_us = until_us;
}

bool vote_alone(const struct node *n, uint32_t partition)
{
    uint32_t total, w, read;
    ring_quorums(n->ring, partition, &total, &w, &read);
    if (total == 1 || read > 1 || MUTANT(lease_ignored))
        return true;
    return n->now_us < n->lease_until_us && watch_current(n, partition) &&
           (keepers_none(n) || MUTANT(parcels_unasked));
}

bool votes_missing(const struct node *n, const struct slot *s)
{
    uint32_t total, w, read, alone = 0;
    ring_quorums(n->ring, s->partition, &total, &w, &read);
    for (uint32_t i = 0; i < s->quorum.total; i++)
        alone += s->quorum.state[i] == QUORUM_ANSWERED && (s->vouched >> i & 1);
    return total > 1 && read == 1 && alone == 0;
}
