/*
 * Wall clocks compared. Stamps follow wall clocks, so a coordinator whose clock is far off would
 * mint values that stand above, or below, all others for hours. It refuses to mint (RULES 12); an
 * owner whose clock is right coordinates in its place.
 *
 *   PING -> PING_REPLY with the wall clock there: when the link is made, then one node in turn with
 *   every heartbeat. An answer that took longer than CLOCK_PING_MAX_US says too little and is not
 *   used.
 *
 * Judged are the owners of one key, since only their stamps are ever compared, and against the
 * middle one of the clocks that are known (of two the earlier: stamps must not follow a clock into
 * the future). So whatever the clocks show, one owner may mint. What was measured is kept against
 * our monotonic clock: a jump of our own wall clock shows at once, and a peer that is out of reach
 * still counts as it was when it was last heard.
 *
 * Stamps follow the fastest of these clocks, unless it is more than CLOCK_AHEAD_MAX_MS ahead, so
 * that they agree also among nodes that hear nothing for a while: a hybrid clock alone stands still
 * at what it heard last until its own time has caught up. Since wall clocks are measured here, not
 * stamps, nodes cannot push one another on.
 */
#include <stdlib.h>

#include "node/node_private.h"

#define CLOCK_PING_MAX_US  2000000u
#define CLOCK_APART_MAX_US ((int64_t)CLOCK_AHEAD_MAX_MS * 1000)

void clock_ask(struct node *n, struct peer *p, struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_PING, ++n->next_id);
    if (p->unanswered_us == 0)
        p->unanswered_us = n->now_us;
    p->ping_id = m.id;
    p->ping_us = n->now_us;
    effects_send(fx, p->id, &m);
}

void clock_ask_next(struct node *n, struct gt_effects *fx)
{
    struct peer *next = NULL;
    for (uint32_t i = 0; i < n->peer_count; i++) {
        struct peer *p = &n->peers[i];
        if (!p->up || p->manager)
            continue;
        if (!next || (next->id <= n->pinged && p->id > n->pinged))
            next = p;
    }
    if (!next)
        return;
    n->pinged = next->id;
    clock_ask(n, next, fx);
}

static void lead_judge(struct node *n)
{
    int64_t most = (int64_t)n->wall_us - (int64_t)n->now_us + CLOCK_APART_MAX_US;
    n->clock_lead_known = false;
    for (uint32_t i = 0; i < n->peer_count; i++) {
        const struct peer *p = &n->peers[i];
        if (!p->clock_known || p->clock_us > most)
            continue;
        if (!n->clock_lead_known || p->clock_us > n->clock_lead_us)
            n->clock_lead_us = p->clock_us;
        n->clock_lead_known = true;
    }
}

void clock_told(struct node *n, const struct gt_event *ev)
{
    const struct msg *m = ev->message.msg;
    struct peer *p = node_peer(n, ev->peer);
    if (p)
        p->unanswered_us = 0;
    if (!p || p->manager || p->ping_id == 0 || m->id != p->ping_id || m->ping_reply.wall_us == 0)
        return;
    uint64_t took_us = n->now_us - p->ping_us;
    p->ping_id = 0;
    if (took_us > CLOCK_PING_MAX_US || m->ping_reply.wall_us > INT64_MAX)
        return;
    p->clock_known = true;
    p->clock_us = (int64_t)m->ping_reply.wall_us - (int64_t)n->now_us;
    p->monotonic_us = (int64_t)(m->ping_reply.clock_us - n->now_us);
    lead_judge(n);
}

uint64_t clock_there_us(const struct node *n, uint64_t node, uint64_t at_us)
{
    const struct peer *p = node_peer(n, node);
    return p && p->clock_known ? at_us + (uint64_t)p->monotonic_us : 0;
}

uint64_t clock_stamp(struct node *n)
{
    int64_t lead_us = n->clock_lead_us + (int64_t)n->now_us;
    if (n->clock_lead_known && lead_us > 0)
        hlc_observe(&n->hlc, (uint64_t)lead_us / 1000 << 16, n->wall_us);
    return hlc_now(&n->hlc, n->wall_us);
}

static int clock_order(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

int64_t clock_apart_us(struct node *n, const struct slot *s)
{
    int64_t own = (int64_t)n->wall_us - (int64_t)n->now_us, clocks[PLACES_MAX + 1];
    uint32_t count = 0;
    clocks[count++] = own;
    for (uint32_t i = 0; i < s->quorum.total; i++) {
        const struct peer *p = i == s->self ? NULL : node_peer(n, s->owners[i]);
        if (p && p->clock_known)
            clocks[count++] = p->clock_us;
    }
    qsort(clocks, count, sizeof(*clocks), clock_order);
    int64_t apart = own - clocks[(count - 1) / 2];
    bool far = apart > CLOCK_APART_MAX_US || apart < -CLOCK_APART_MAX_US;
    if (far != n->clock_apart) {
        n->clock_apart = far;
        log_warn(n->log, "wall clock %s by_s=%lld", far ? "apart from the other owners'" : "agrees",
                 (long long)(apart / 1000000));
        events_add(n->events, far ? EVENT_CLOCK_APART : EVENT_CLOCK_AGREES,
                   "by %lld s, compared with the other owners", (long long)(apart / 1000000));
    }
    return far ? apart : 0;
}
