/*
 * Closing (RULES 8b): a life of a node is over when a later one was seen, or when the node has lost
 * its place to another. What it minted and no owner holds will not come any more, so its dots need
 * not be told one by one: the clock says that all of them are covered, and its gaps block no
 * reaping.
 *
 *   closable --all members up--> asking --each knows, durably--> agreed
 *      ^ ^                         |                             | | some partitions a round
 *      | '---- silence, a refusal -'     somebody keeps parcels  | v
 *      '---- the others are closed <-----------------------------' |
 *                    closed <-- one commit <-- every other owner pulled from, to the end
 *
 * Why in this order. Who knows that a life is over acknowledges no put of it any more (replica.c).
 * So what was acknowledged had reached its owners before the last member knew; the pulls that begin
 * after that bring it, whatever they find live, and what they do not find is dead or was never
 * promised to anybody. A message that still comes is not counted (merge_closed in admit.c).
 *
 * But a guest was an owner's place, and that owner's disk may be lost: then the put is in a parcel
 * alone. So a partition of which a member keeps parcels waits, for as long as it does, until all
 * members are asked once more.
 *
 * What is closed is told with the clock, and merged with it: a cut clock that closes a life comes
 * with all that its sender holds, and the sender had all. The commit is a CLOCK record of the log,
 * whose clock has nothing but the closed lives.
 *
 * A pull from an owner that is filling does not count: what it lost may come back to it later,
 * from another that was asked before.
 *
 * A partition with one owner is closed in the same way, with nobody to be pulled from.
 *
 * A member that is away delays it, until it is marked to refill (member.refill): from then on it is
 * not asked, and its partitions are closed without it. Whoever closes has that map durably, and so
 * have all who are asked, so nobody listens to the member before it has begun to fill. What was
 * acknowledged is at an owner that is not marked (manager.h); what is with it alone goes into its
 * quarantine file. Histories say the same of the lives with the next put of their
 * key (version_close_lives).
 */
#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "node/node_private.h"

#define CLOSINGS_A_ROUND 64u /* partitions; a round is two seconds */
#define CLOSE_US         10000000u
#define LIVES_BYTES_MAX  (64u << 10)

/* ---- which lives ----------------------------------------------------------------------------- */

/* The present life of a member, 0 when it is not known. One that another has taken the place of has
 * none any more: all its lives are over. */
static uint64_t present(const struct node *n, uint64_t node)
{
    if (node_removed(n, node))
        return UINT64_MAX;
    return node == n->identity.node_id ? n->identity.incarnation : node_seen(n, node);
}

void closing_note(const struct node *n, struct watch *w, const struct clock *ours)
{
    w->closable = false;
    for (uint32_t i = 0; i < ours->entry_count && !w->closable; i++)
        w->closable = ours->entries[i].actor.incarnation < present(n, ours->entries[i].actor.node);
}

static bool lives_collect(struct node *n)
{
    clock_clear(&n->closing.lives);
    for (uint32_t i = 0; i < n->ring->member_count; i++) {
        uint64_t node = n->ring->members[i].id, life = present(n, node);
        if (life > 1 && clock_set_closed(&n->closing.lives, node, life - 1) != 0)
            return false;
    }
    return n->closing.lives.closed_count > 0;
}

static struct blob *lives_bytes(const struct node *n)
{
    const struct clock *lives = &n->closing.lives;
    struct blob *b = blob_new((size_t)lives->closed_count * LIFE_BYTES);
    for (uint32_t i = 0; b && i < lives->closed_count; i++) {
        le64_put(b->data + (size_t)i * LIFE_BYTES, lives->closed[i].node);
        le64_put(b->data + (size_t)i * LIFE_BYTES + 8, lives->closed[i].incarnation);
    }
    return b;
}

/* ---- asking ---------------------------------------------------------------------------------- */

bool node_refills(const struct node *n, uint64_t id)
{
    int i = n->ring ? ring_member_by_id(n->ring, id) : -1;
    return i >= 0 && n->ring->members[i].refill;
}

/* Whether the member has a say. Who lost its place has none: nobody listens to it. Nor has one that
 * fills on its return. */
static bool asked(const struct node *n, uint32_t member)
{
    const struct member *m = &n->ring->members[member];
    return (int)member != n->member && m->state != MEMBER_REMOVED && !m->refill;
}

static bool members_up(const struct node *n)
{
    for (uint32_t i = 0; i < n->ring->member_count; i++)
        if (asked(n, i) && !node_linked(n, n->ring->members[i].id))
            return false;
    return true;
}

static bool members_know(const struct node *n)
{
    for (uint32_t i = 0; i < n->ring->member_count; i++) {
        const struct peer *p = node_peer(n, n->ring->members[i].id);
        if (asked(n, i) && !(p && p->knows_lives))
            return false;
    }
    return true;
}

/* We are the only member. */
static bool nobody_asked(const struct node *n)
{
    for (uint32_t i = 0; i < n->ring->member_count; i++)
        if (asked(n, i))
            return false;
    return true;
}

static void lives_ask(struct node *n, struct gt_effects *fx)
{
    uint64_t id, peers[MEMBERS_MAX];
    uint32_t count = 0;
    if (n->replicating >= n->inflight_max || !members_up(n) || !lives_collect(n))
        return;
    for (uint32_t p = 0; p < n->watch_count; p++)
        if (n->watches[p])
            n->watches[p]->parcel_free = true; /* until a member says that it keeps some */
    if (nobody_asked(n)) {
        n->closing.agreed = true;
        return;
    }
    struct blob *lives = lives_bytes(n);
    if (lives && inner_take(n, SLOT_RETIRED, n->now_us + SILENCE_US, &id)) {
        n->closing.asking = true;
        n->closing.stale = false;
        for (uint32_t i = 0; i < n->peer_count; i++) {
            n->peers[i].knows_lives = false;
            if (!n->peers[i].manager)
                peers[count++] = n->peers[i].id;
        }
        struct msg m = node_message(n, MSG_RETIRED, id);
        m.retired.lives = slice_blob(lives);
        effects_send_many(fx, peers, count, &m);
    }
    blob_unref(lives);
}

void closing_timeout(struct node *n, uint64_t id, struct slot *s)
{
    n->closing.asking = false;
    coord_end(n, id, s);
}

/* Whether a reply names all that was asked. */
static bool lives_named(const struct node *n, struct slice lives)
{
    const struct clock *asked = &n->closing.lives;
    uint32_t named = 0;
    for (uint32_t i = 0; i < asked->closed_count; i++)
        for (size_t at = 0; at < lives.bytes; at += LIFE_BYTES)
            if (le64_get(lives.data + at) == asked->closed[i].node &&
                le64_get(lives.data + at + 8) == asked->closed[i].incarnation) {
                named++;
                break;
            }
    return named == asked->closed_count;
}

void closing_replied(struct node *n, const struct gt_event *ev)
{
    const struct msg *m = ev->message.msg;
    struct slot *s = slots_find(n->slots, m->id);
    struct peer *p = node_peer(n, ev->peer);
    if (!s || s->kind != SLOT_RETIRED || !p)
        return;
    if (m->retired.head.error || !lives_named(n, m->retired.lives))
        return; /* asked again in a while */
    p->knows_lives = true;
    for (size_t at = 0; at < m->retired.parcels.bytes; at += 2) {
        struct watch *w = watch_of(n, le16_get(m->retired.parcels.data + at));
        if (w && !MUTANT(close_beside_parcels))
            w->parcel_free = false; /* the members are asked anew when the others are closed */
    }
    if (!members_know(n))
        return;
    n->closing.asking = false;
    n->closing.agreed = !n->closing.stale;
    coord_end(n, m->id, s);
}

/* ---- being asked ----------------------------------------------------------------------------- */

void replica_retired(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    uint64_t id;
    struct slot *s = inner_take(n, SLOT_RETIRED_ASKED, UINT64_MAX, &id);
    if (!s) {
        struct msg busy = node_message(n, MSG_RETIRED_REPLY, ev->message.msg->id);
        busy.retired.head.error = GT_EBUSY;
        effects_reply(fx, ev->link, &busy);
        return;
    }
    s->origin = origin_of(ev);
    s->body = blob_ref(ev->message.body);
    s->key = ev->message.msg->retired.lives;
    s->origin_epoch = ev->message.msg->epoch;
    parcels_ask(id, 0, fx);
}

void retired_asked_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                          struct gt_effects *fx)
{
    struct msg reply = node_message(n, MSG_RETIRED_REPLY, s->origin.id);
    struct buf known;
    buf_init(&known, LIVES_BYTES_MAX);
    for (size_t at = 0; at < s->key.bytes; at += LIFE_BYTES) {
        uint64_t node = le64_get(s->key.data + at);
        if (le64_get(s->key.data + at + 8) < present(n, node))
            buf_put(&known, s->key.data + at, LIFE_BYTES);
    }
    bool stored = known.bytes == 0 || n->seen_version <= n->seen_stored;
    bool apart = s->key.bytes > 0 && n->ring &&
                 (epoch_compare(s->origin_epoch, n->ring->members_since) < 0 ||
                  epoch_compare(s->origin_epoch, n->ring->epoch) > 0);
    if (r->result || !stored || known.failed || apart)
        reply.retired.head.error = GT_EBUSY; /* what was seen is not durable yet, or the two of us
                                                do not leave out the same members */
    else
        reply.retired.lives = buf_slice(&known);
    reply.retired.parcels = slice_blob(r->partitions);
    reply.retired.targets = slice_blob(r->entries);
    effects_reply(fx, s->origin.link, &reply);
    buf_close(&known);
    coord_end(n, id, s);
}

/* ---- closing --------------------------------------------------------------------------------- */

static void close_store(struct node *n, uint32_t partition, struct gt_effects *fx)
{
    struct buf bytes;
    uint64_t id;
    buf_init(&bytes, LIVES_BYTES_MAX);
    clock_encode(&n->closing.lives, &bytes);
    struct blob *hold = buf_blob(&bytes);
    buf_close(&bytes);
    struct slot *s = hold ? inner_take(n, SLOT_CLOSE, UINT64_MAX, &id) : NULL;
    if (!s) {
        blob_unref(hold);
        return; /* with the next round */
    }
    s->partition = partition;
    struct store_request r = {.kind = STORE_CLOCK,
                              .tag = id,
                              .deadline_us = n->now_us + CLOSE_US,
                              .hold = hold,
                              .partition = partition,
                              .clock = slice_blob(hold),
                              .stamp = n->hlc.last};
    effects_store(fx, &r);
}

static bool all_swept(const struct node *n, const struct watch *w)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (!w->others[i].swept && !node_refills(n, w->others[i].node) && !MUTANT(close_early))
            return false;
    return true;
}

void closing_swept(struct node *n, uint32_t partition, uint64_t source, uint32_t number,
                   struct gt_effects *fx)
{
    struct watch *w = watch_of(n, partition);
    if (!w || !w->closing || number != w->closing_number || !moves_take(w))
        return;
    for (uint32_t i = 0; i < w->count; i++)
        if (w->others[i].node == source)
            w->others[i].swept = true;
    if (all_swept(n, w))
        close_store(n, partition, fx);
    else
        pull_want(n, partition);
}

void closing_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r)
{
    struct watch *w = watch_of(n, s->partition);
    if (w && !r->result) {
        n->metrics.lives_closed_count++;
        w->closing = w->closable = false;
        watch_changed(n, s->partition);
    }
    coord_end(n, id, s);
}

static void close_begin(struct node *n, uint32_t partition, struct watch *w, struct gt_effects *fx)
{
    for (uint32_t i = 0; i < w->count && !w->closing; i++)
        w->others[i].swept = false;
    w->closing_number += !w->closing;
    w->closing = true;
    if (all_swept(n, w))
        close_store(n, partition, fx);
    else
        pull_want(n, partition);
}

void closing_restart(struct node *n)
{
    n->closing.agreed = false;
    n->closing.stale = true;
    for (uint32_t p = 0; p < n->watch_count; p++)
        if (n->watches[p] && n->watches[p]->closing) {
            n->watches[p]->closing = false;
            n->watches[p]->closable = true;
        }
    /* What waited for a confirmation of it alone is compared once more. */
    for (uint32_t p = 0; p < n->watch_count; p++)
        watch_changed(n, p);
}

void closing_round(struct node *n, struct gt_effects *fx)
{
    uint32_t begun = 0, left = 0, kept = 0;
    if (!n->ring || !n->ring->formed || n->member < 0 || n->closing.asking)
        return;
    if (MUTANT(close_early))
        n->closing.agreed = lives_collect(n);
    for (uint32_t p = 0; p < n->watch_count; p++) {
        struct watch *w = n->watches[p];
        if (!w || !moves_take(w) || !(w->closable || w->closing || MUTANT(close_early)))
            continue;
        if (n->closing.agreed && !w->parcel_free && !MUTANT(close_early)) {
            kept++;
            continue;
        }
        left++;
        if (n->closing.agreed && begun < CLOSINGS_A_ROUND) {
            begun++;
            close_begin(n, p, w, fx);
        }
    }
    if (left == 0)
        n->closing.agreed = false; /* of those that end later the members are asked anew */
    if (left + kept > 0 && !n->closing.agreed)
        lives_ask(n, fx);
}
