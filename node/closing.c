/*
 * Closing (RULES 8b): a life of a node is over when a later one was seen, or when the node has lost
 * its place to another. What it minted and no
 * owner holds will not come any more, so its dots need not be told one by one: the clock says that
 * all of them are covered, and its gaps block no reaping.
 *
 *   closable --all members up--> asking --each knows, durably--> agreed
 *      ^                           |                               | some partitions a round
 *      '---- silence, a refusal ---'                               v
 *                    closed <-- one commit <-- every other owner pulled from, to the end
 *
 * Why in this order. Who knows that a life is over acknowledges no put of it any more (replica.c).
 * So what was acknowledged had reached its owners before the last member knew; the pulls that begin
 * after that bring it, whatever they find live, and what they do not find is dead or was never
 * promised to anybody. A message that still comes is not counted (merge_closed in admit.c).
 *
 * What is closed is told with the clock, and merged with it: a cut clock that closes a life comes
 * with all that its sender holds, and the sender had all. The commit is a CLOCK record of the log,
 * whose clock has nothing but the closed lives.
 *
 * What a member keeps as a parcel is acknowledged and at no owner, perhaps. So a partition of which
 * any said that it keeps something is left out until the members are asked anew, which is when the
 * others are closed.
 *
 * A member that is away delays it. Histories keep the dots of closed lives: taken out at one
 * owner and not yet at another they would make records differ.
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

/* Whether the member has a say. Who lost its place has none: nobody listens to it. */
static bool asked(const struct node *n, uint32_t member)
{
    return (int)member != n->member && n->ring->members[member].state != MEMBER_REMOVED;
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

static void lives_ask(struct node *n, struct gt_effects *fx)
{
    uint64_t id, peers[MEMBERS_MAX];
    uint32_t count = 0;
    if (n->replicating >= n->inflight_max || !members_up(n) || !lives_collect(n))
        return;
    struct blob *lives = lives_bytes(n);
    struct slot *s = lives ? slots_take(n->slots, n->now_us + SILENCE_US, &id) : NULL;
    if (s) {
        n->replicating++;
        s->kind = SLOT_RETIRED;
        n->closing.asking = true;
        for (uint32_t p = 0; p < n->watch_count; p++)
            if (n->watches[p])
                n->watches[p]->kept = false;
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
        if (w) {
            w->kept = true;
            w->closing = false;
        }
    }
    if (!members_know(n))
        return;
    n->closing.asking = false;
    n->closing.agreed = true;
    coord_end(n, m->id, s);
}

/* ---- being asked ----------------------------------------------------------------------------- */

void replica_retired(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    struct slot *s = NULL;
    uint64_t id;
    if (n->replicating < n->inflight_max)
        s = slots_take(n->slots, UINT64_MAX, &id);
    if (!s) {
        struct msg busy = node_message(n, MSG_RETIRED_REPLY, ev->message.msg->id);
        busy.retired.head.error = GT_EBUSY;
        effects_reply(fx, ev->link, &busy);
        return;
    }
    n->replicating++;
    s->kind = SLOT_RETIRED_ASKED;
    s->origin = origin_of(ev);
    s->body = blob_ref(ev->message.body);
    s->key = ev->message.msg->retired.lives;
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
    if (r->result || !stored || known.failed)
        reply.retired.head.error = GT_EBUSY; /* what was seen is not durable yet */
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
    struct slot *s = NULL;
    if (hold && n->replicating < n->inflight_max)
        s = slots_take(n->slots, UINT64_MAX, &id);
    if (!s) {
        blob_unref(hold);
        return; /* with the next round */
    }
    n->replicating++;
    s->kind = SLOT_CLOSE;
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

static bool all_swept(const struct watch *w)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (!w->others[i].swept && !MUTANT(close_early))
            return false;
    return true;
}

void closing_swept(struct node *n, uint32_t partition, uint64_t source, struct gt_effects *fx)
{
    struct watch *w = watch_of(n, partition);
    if (!w || !w->closing)
        return;
    for (uint32_t i = 0; i < w->count; i++)
        if (w->others[i].node == source)
            w->others[i].swept = true;
    if (all_swept(w))
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
    if (!w->closing)
        for (uint32_t i = 0; i < w->count; i++)
            w->others[i].swept = false;
    w->closing = true;
    if (all_swept(w))
        close_store(n, partition, fx);
    else
        pull_want(n, partition);
}

void closing_round(struct node *n, struct gt_effects *fx)
{
    uint32_t begun = 0, left = 0;
    if (!n->ring || !n->ring->formed || n->member < 0 || n->closing.asking)
        return;
    if (MUTANT(close_early))
        n->closing.agreed = lives_collect(n);
    for (uint32_t p = 0; p < n->watch_count; p++) {
        struct watch *w = n->watches[p];
        if (!w || w->count == 0 || !(w->closable || w->closing || MUTANT(close_early)))
            continue;
        if (n->closing.agreed && w->kept)
            continue;
        left++;
        if (n->closing.agreed && begun < CLOSINGS_A_ROUND) {
            begun++;
            close_begin(n, p, w, fx);
        }
    }
    if (left == 0)
        n->closing.agreed = false; /* of those that end later the members are asked anew */
    else if (!n->closing.agreed)
        lives_ask(n, fx);
}
