/*
 * Guests of a sloppy put (DESIGN 6, RULES 5): when owners cannot be reached, the next live nodes by
 * token order keep the state for them, as parcels, and count toward W. The coordinator is an owner
 * in any case.
 *
 *   a place   owner asked ----------------------------------------> answered
 *               | no link, refused, link lost (and w out of reach without it), or silent for 250 ms
 *               v
 *             the next guest asked --> answered: the place counts, as a guest's
 *               | the same                     (an owner that answers after all: as its own)
 *               v
 *             the guest after that ...; none is left: only the owner may still answer
 *
 * No more are asked than w needs: what owners lack otherwise they pull from those who have it.
 */
#include "engine/base/mutant.h"
#include "node/node_private.h"

#define GUESTS_MAX 32u /* that are tried in turn */

bool guests_allowed(const struct node *n, const struct request_head *head)
{
    bool course = n->ring && n->ring->settings.profile == PROFILE_COURSE;
    return head->mode == MODE_SLOPPY || course;
}

uint32_t guests_possible(const struct node *n, uint32_t partition)
{
    uint16_t candidates[GUESTS_MAX];
    uint32_t count = ring_guests(n->ring, partition, candidates, GUESTS_MAX), linked = 0;
    for (uint32_t i = 0; i < count; i++)
        linked += node_linked(n, n->ring->members[candidates[i]].id);
    return linked;
}

/* The next one in turn that can be asked, 0 when there is none. */
static uint64_t guest_next(const struct node *n, struct slot *s)
{
    uint16_t candidates[GUESTS_MAX];
    uint32_t count = ring_guests(n->ring, s->partition, candidates, GUESTS_MAX);
    while (s->put.guests_tried < count) {
        uint64_t id = n->ring->members[candidates[s->put.guests_tried++]].id;
        if (node_linked(n, id))
            return id;
    }
    s->put.guests_out = true;
    return 0;
}

/* True when one was asked. */
static bool stand_in(struct node *n, uint64_t id, struct slot *s, uint32_t place,
                     struct gt_effects *fx)
{
    uint64_t guest;
    while ((guest = guest_next(n, s)) != 0) {
        s->put.guests[place] = guest;
        if (!spread_to_guest(n, id, s, place, fx))
            continue;
        n->metrics.guests_asked_count++;
        quorum_stand_in_fail(&s->quorum, place); /* the one before, which was silent */
        quorum_stand_in(&s->quorum, place);
        s->put.guest_asked_us[place] = n->now_us;
        return true;
    }
    return false;
}

/* When the place is to be given to the next guest, if nobody has answered for it. */
static uint64_t due_us(const struct slot *s, uint32_t i)
{
    const struct quorum *q = &s->quorum;
    if (q->state[i] == QUORUM_ANSWERED || q->stand_in[i] == QUORUM_ANSWERED)
        return UINT64_MAX;
    if (q->stand_in[i] == QUORUM_ASKED)
        return s->put.guest_asked_us[i] + GUEST_AFTER_US;
    if (q->state[i] == QUORUM_ASKED && s->asked_us[i] != UINT64_MAX)
        return s->asked_us[i] + GUEST_AFTER_US;
    return UINT64_MAX;
}

/* What is due already waits for something else: guests_ask has seen it. */
uint64_t guests_due_us(const struct node *n, const struct slot *s)
{
    uint64_t at = UINT64_MAX;
    if (!s->put.sloppy || s->put.guests_out || s->answered || s->expired || !s->put.stored)
        return at;
    for (uint32_t i = 0; i < s->quorum.total; i++)
        if (due_us(s, i) > n->now_us && due_us(s, i) < at)
            at = due_us(s, i);
    return at;
}

struct hope {
    const struct node *n;
    const struct slot *s;
};

/* The place is answered for, or a guest was asked for it just now. */
static bool hopeful(const void *arg, uint32_t i)
{
    const struct hope *h = arg;
    const struct quorum *q = &h->s->quorum;
    return q->state[i] == QUORUM_ANSWERED || q->stand_in[i] == QUORUM_ANSWERED ||
           (q->stand_in[i] == QUORUM_ASKED && due_us(h->s, i) > h->n->now_us);
}

/* Nobody can answer for it any more. */
static bool place_lost(const struct quorum *q, uint32_t i)
{
    return q->state[i] == QUORUM_FAILED && q->stand_in[i] != QUORUM_ASKED &&
           q->stand_in[i] != QUORUM_ANSWERED;
}

void guests_ask(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    struct quorum *q = &s->quorum;
    struct hope hope = {n, s};
    bool asked = false;
    for (uint32_t i = 0; i < q->total && !quorum_reachable(q, 0); i++)
        if (place_lost(q, i))
            asked |= stand_in(n, id, s, i, fx);
    for (uint32_t i = 0; i < q->total && !s->put.guests_out; i++)
        if (due_us(s, i) <= n->now_us && !quorum_enough(q, hopeful, &hope))
            asked |= stand_in(n, id, s, i, fx);
    if (asked || s->put.guests_out)
        coord_date(n, id, s);
}

int guest_place(const struct slot *s, uint64_t node)
{
    for (uint32_t i = 0; s->put.sloppy && i < s->quorum.total; i++)
        if (s->put.guests[i] == node)
            return (int)i;
    return -1;
}

/* As put_counted, of the stand-in of the place. */
void guest_counted(struct node *n, uint64_t id, struct slot *s, uint32_t place, int error,
                   struct gt_effects *fx)
{
    if (!s->put.stored)
        return;
    if (error)
        quorum_stand_in_fail(&s->quorum, place);
    else
        quorum_stand_in_answer(&s->quorum, place);
    coord_date(n, id, s);
    put_progress(n, id, s, fx);
}

void guest_link_down(struct node *n, uint64_t id, struct slot *s, uint64_t peer,
                     struct gt_effects *fx)
{
    int place = guest_place(s, peer);
    if (place < 0 || s->quorum.stand_in[place] != QUORUM_ASKED)
        return;
    quorum_stand_in_fail(&s->quorum, (uint32_t)place);
    coord_date(n, id, s);
    put_progress(n, id, s, fx);
}
