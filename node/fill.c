/*
 * Filling (RULES 7, 15, 16): partitions whose clock here is not known to be whole. We take current
 * writes in them and have no vote until everything was pulled that may have been lost:
 *
 *   filling --everything of an owner is here--> filling --it is enough--> [ stored ] -> votes
 *     ^  a bad record is found, or records are not those that were counted    |
 *     '--------------------------- owners that are left over are pulled from, too
 *
 * Enough, as far as it was pulled since both sides have started, so that progress is kept in memory
 * alone:
 *
 *   lost      a part of the log, the folder, or a record: n-w+1 other owners, so that of every w
 *             that acknowledged a write one beside us was asked. Owners that fill are asked like
 *             the others: what each of them has left they have together
 *
 *   unproven  the machine restarted, and the last batch of the log is not whole: every owner that
 *             can be reached, one at least
 *
 *   n = 1     at once: there is nobody to ask
 *
 * With the sources gone for good it never ends by itself; a person ends it, by accept-loss.
 *
 * While it lasts: what we lend is no vote, repairs and parcels are put off (GT_EFILLING), puts are
 * passed on while another owner is linked, and the clock that we tell is empty (engine/fill.c).
 *
 * The scrub reads the records at rest, a chunk at a time, so that a bad one is found before its
 * copies are needed, and that one is missing is found at all (engine/scrub.c).
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "node/node_private.h"

#define GRACE_US         1000000u /* after our start, for owners to be reached */
#define ROT_PAUSE_MIN_US 2000000u /* what cannot be mended is tried less and less often */
#define ROT_PAUSE_MAX_US 300000000u
#define SCRUB_US         100000u
#define SCRUB_BYTES      (128u << 10) /* every SCRUB_US */

bool fill_has_no_vote(const struct node *n, uint32_t partition)
{
    const struct watch *w = watch_of(n, partition);
    return w && (w->filling || w->part == PART_RECEIVER) && !MUTANT(vote_while_filling);
}

uint32_t fill_owned(const struct node *n)
{
    uint32_t owned = 0;
    for (uint32_t p = 0; n->filling > 0 && p < n->watch_count; p++)
        owned += n->watches[p] && n->watches[p]->filling && n->watches[p]->part == PART_OWNER;
    return owned;
}

/* ---- what storage knows ---------------------------------------------------------------------- */

void fill_begin_watch(const struct node *n, uint32_t partition, struct watch *w)
{
    struct slice sources = {NULL, 0};
    w->filling = n->config.filling && n->config.filling(n->config.filling_arg, partition, &sources);
    w->owed = !w->filling && sources.bytes > 0;
    if (w->filling || n->identity.fill_generation > 0)
        keepers_lost(w);
    for (uint32_t i = 0; i < w->count; i++)
        w->others[i].settled = w->owed && ids_have(sources, w->others[i].node);
}

void fills_reread(struct node *n)
{
    uint32_t before = n->filling;
    n->filling = 0;
    for (uint32_t p = 0; p < n->watch_count; p++) {
        struct watch *w = n->watches[p];
        if (!w)
            continue;
        bool was = w->filling;
        struct slice sources;
        if (!was && n->config.filling && n->config.filling(n->config.filling_arg, p, &sources)) {
            fill_begin_watch(n, p, w);
            w->round = ++n->rounds;
        }
        n->filling += w->filling;
    }
    if (n->filling > before)
        events_add(n->events, EVENT_FILLING, "%u partitions", n->filling);
}

static uint32_t settled_count(const struct watch *w)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->count; i++)
        count += w->others[i].settled && w->others[i].owner;
    return count;
}

/* Of the list in force. */
static uint32_t owners_count(const struct watch *w)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->count; i++)
        count += w->others[i].owner;
    return count;
}

/* ---- beginning ------------------------------------------------------------------------------- */

static bool fill_store(struct node *n, uint32_t partition, uint8_t reason, struct blob *sources,
                       struct gt_effects *fx)
{
    uint64_t id;
    struct slot *s = inner_take(n, SLOT_FILL, UINT64_MAX, &id);
    if (!s) {
        blob_unref(sources);
        return false; /* with the next round */
    }
    s->partition = partition;
    s->fill.begins = reason != 0;
    struct store_request r = {.kind = STORE_FILL,
                              .tag = id,
                              .hold = sources,
                              .partition = partition,
                              .value = slice_blob(sources),
                              .fill = reason,
                              .stamp = n->hlc.last};
    effects_store(fx, &r);
    return true;
}

/* What was pulled before counts no more: everybody is pulled from. */
static void round_begin(struct node *n, uint32_t partition, struct watch *w)
{
    w->ending = false;
    w->round = ++n->rounds;
    for (uint32_t i = 0; i < w->count; i++)
        w->others[i].settled = false;
    pull_want(n, partition);
}

void fill_rot(struct node *n, uint32_t partition, const char *why, struct gt_effects *fx)
{
    struct watch *w = watch_of(n, partition);
    fill_mended(n, partition, fx);
    if (!w || w->count == 0 || w->part == PART_LEAVER || w->rot || n->now_us < w->rot_again_us ||
        MUTANT(rot_stays))
        return;
    if (!fill_store(n, partition, FILL_ROT, NULL, fx))
        return;
    bool soon = w->rot_us > 0 && n->now_us < w->rot_again_us + ROT_PAUSE_MIN_US;
    w->rot_us = soon ? w->rot_us * 2 : ROT_PAUSE_MIN_US;
    if (w->rot_us > ROT_PAUSE_MAX_US)
        w->rot_us = ROT_PAUSE_MAX_US;
    log_warn(n->log, "%s: the partition is filled from the other owners partition=%u", why,
             partition);
    events_add(n->events, EVENT_FILLING, "partition %u: %s", partition, why);
    n->filling += !w->filling;
    w->filling = w->rot = true;
    keepers_lost(w);
    w->owed = false;
    round_begin(n, partition, w);
}

/*
 * It fills because of a bad record. Whoever was pulled from whole has brought all that was bad
 * then: a record that is bad now went bad after that, and dots of it are in the clock that was
 * begun since. So the clock is given up once more, and everybody is pulled from again; what one of
 * them brings in its place may be older than what another had brought before.
 */
static void rot_anew(struct node *n, uint32_t partition, struct watch *w, struct gt_effects *fx)
{
    fill_store(n, partition, FILL_ROT, NULL, fx); /* else with the next round */
    w->anew = true;
    round_begin(n, partition, w);
}

void fill_mended(struct node *n, uint32_t partition, struct gt_effects *fx)
{
    struct watch *w = watch_of(n, partition);
    if (w && w->rot && settled_count(w) > 0 && !MUTANT(rot_once))
        rot_anew(n, partition, w, fx);
}

/* ---- enough ---------------------------------------------------------------------------------- */

static bool enough(const struct node *n, uint32_t partition, const struct watch *w)
{
    uint32_t total, write, read, settled = settled_count(w);
    if (owners_count(w) == 0)
        return true;
    if (w->anew)
        return false;
    ring_quorums(n->ring, partition, &total, &write, &read);
    if (w->rot || n->identity.lost)
        return settled >= (MUTANT(filling_ends_early) ? 1 : total - write + 1);
    for (uint32_t i = 0; i < w->count; i++)
        if (w->others[i].owner && !w->others[i].settled && node_linked(n, w->others[i].node))
            return false;
    return settled > 0 && n->now_us >= n->started_us + GRACE_US;
}

/* The owners that were pulled from; NULL when nobody is left over, or there is no memory. We are in
 * the list as well: it is not empty when nobody was pulled from. */
static struct blob *sources_of(const struct node *n, const struct watch *w, bool *failed)
{
    uint32_t count = settled_count(w), at = 0;
    *failed = false;
    if (count == owners_count(w))
        return NULL;
    struct blob *b = blob_new((size_t)(count + 1) * 8);
    *failed = !b;
    if (b)
        le64_put(b->data + 8 * (size_t)at++, n->identity.node_id);
    for (uint32_t i = 0; b && i < w->count; i++)
        if (w->others[i].settled && w->others[i].owner)
            le64_put(b->data + 8 * (size_t)at++, w->others[i].node);
    return b;
}

static void fill_end(struct node *n, uint32_t partition, struct watch *w, struct gt_effects *fx)
{
    bool failed;
    struct blob *sources = sources_of(n, w, &failed);
    if (!failed && fill_store(n, partition, 0, sources, fx))
        w->ending = true;
}

/* While our own map says that nobody waits for us, others reap without us: what is pulled then may
 * be out of date when we vote. Our registration ends that; and whoever we pull from must know. */
struct watch_other *fill_source(const struct node *n, struct watch *w)
{
    uint64_t mapped = n->member >= 0 ? n->ring->members[n->member].incarnation : 0;
    if (node_refills(n, n->identity.node_id) || mapped < n->life_told)
        return NULL; /* or our map is older than what we were told, which may be such a mark */
    for (uint32_t i = 0; (w->filling || w->owed) && i < w->count; i++)
        if (w->others[i].owner && !w->others[i].settled && node_linked(n, w->others[i].node))
            return &w->others[i];
    return NULL;
}

void fill_pulled(struct node *n, uint32_t partition, uint64_t source, struct gt_effects *fx)
{
    struct watch *w = watch_of(n, partition);
    if (!w || !(w->filling || w->owed))
        return;
    for (uint32_t i = 0; i < w->count; i++)
        if (w->others[i].node == source) {
            w->others[i].settled = true;
            w->others[i].life = node_seen(n, source);
        }
    if (!w->ending && (w->owed || enough(n, partition, w)))
        fill_end(n, partition, w, fx);
    else if (fill_source(n, w))
        pull_want(n, partition);
}

void fill_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                 struct gt_effects *fx)
{
    uint32_t partition = s->partition;
    struct watch *w = watch_of(n, partition);
    bool begins = s->fill.begins;
    coord_end(n, id, s);
    if (!w)
        return;
    if (r->result) {
        uint32_t times;
        if (log_due(&n->lines.unfilled, n->now_us, &times))
            log_warn(n->log, "filling not stored partition=%u cause=%s times=%u", partition,
                     error_text(r->result), times);
        w->rot &= !begins || w->anew; /* the next one that meets the record tries again */
        w->ending &= begins;
        return;
    }
    w->anew &= !begins;
    if (begins || !w->ending)
        return;
    n->filling -= w->filling;
    n->metrics.filled_count += w->filling;
    if (w->rot)
        w->rot_again_us = n->now_us + w->rot_us;
    w->filling = w->rot = w->ending = false;
    w->owed = settled_count(w) < owners_count(w);
    watch_changed(n, partition);
    watch_soon(n);
    if (n->filling == 0)
        log_info(n->log, "every partition is whole again");
    fills_round(n, fx);
}

/* Everything is whole: the mark of the loss goes. Where nobody else had it it stays. */
static void heal(struct node *n, struct gt_effects *fx)
{
    bool owner = false, alone = false;
    if (!n->identity.open || n->filling > 0 || n->healing)
        return;
    for (uint32_t p = 0; p < n->watch_count && !alone; p++) {
        owner |= n->watches[p] != NULL;
        alone = n->watches[p] && n->watches[p]->count == 0;
    }
    if (!owner || alone)
        return;
    n->healing = true;
    events_add(n->events, EVENT_WHOLE, "%s", n->identity.lost ? "after a loss" : "after a restart");
    log_warn(n->log, n->identity.lost
                         ? "what was lost is pulled from the other owners: this node votes again"
                         : "the end of the log could not be proved; what the reachable owners have "
                           "is here: this node votes again");
    effects_add(fx, GT_IDENTITY)->identity.whole = true;
}

void fills_round(struct node *n, struct gt_effects *fx)
{
    for (uint32_t p = 0; n->filling > 0 && p < n->watch_count; p++) {
        struct watch *w = n->watches[p];
        if (!w || !w->filling || w->ending)
            continue;
        if (w->anew)
            rot_anew(n, p, w, fx);
        if (enough(n, p, w))
            fill_end(n, p, w, fx);
        else if (fill_source(n, w))
            pull_want(n, p);
    }
    heal(n, fx);
}

void loss_accept(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    struct msg reply = node_message(n, MSG_ACCEPT_LOSS_REPLY, m->id);
    buf_clear(&n->bytes);
    for (uint32_t p = m->accept_loss.first; p <= m->accept_loss.last && p < n->watch_count; p++) {
        struct watch *w = n->watches[p];
        if (!w || !w->filling)
            continue;
        buf_u16(&n->bytes, (uint16_t)p);
        if (!m->accept_loss.apply || w->ending)
            continue;
        fill_end(n, p, w, fx);
        if (!w->ending)
            reply.accept_loss_reply.error = GT_EBUSY;
    }
    if (m->accept_loss.apply && n->bytes.bytes > 0)
        log_warn(n->log, "told to vote again in partitions whose loss is accepted count=%zu",
                 n->bytes.bytes / 2);
    reply.accept_loss_reply.partitions = buf_slice(&n->bytes);
    effects_reply(fx, ev->link, &reply);
}

/* ---- the scrub ------------------------------------------------------------------------------- */

uint64_t scrub_deadline_us(const struct node *n)
{
    return n->scrub.reading || n->watch_count == 0 ? UINT64_MAX : n->scrub.at_us;
}

/* The next partition that we own and vote in, from this one on; false when there is none. */
static bool scrub_find(struct node *n)
{
    for (uint32_t left = n->watch_count; left > 0; left--) {
        uint32_t at = n->scrub.partition % n->watch_count;
        if (n->watches[at] && !n->watches[at]->filling) {
            n->scrub.partition = at;
            return true;
        }
        n->metrics.scrubs_count += at + 1 == n->watch_count;
        n->scrub.partition = at + 1;
    }
    return false;
}

void scrub_next(struct node *n, struct gt_effects *fx)
{
    uint64_t id;
    n->scrub.at_us = n->now_us + SCRUB_US;
    if (n->replicating >= n->inflight_max || !scrub_find(n))
        return;
    struct slot *s = slots_take(n->slots, UINT64_MAX, &id);
    gt_assert(s);
    n->replicating++;
    n->scrub.reading = true;
    s->kind = SLOT_SCRUB;
    s->partition = n->scrub.partition;
    struct store_request r = {
        .kind = STORE_SCRUB, .tag = id, .partition = s->partition, .bytes_max = SCRUB_BYTES};
    effects_store(fx, &r);
}

/* What is wrong is heard where every result of storage is (node.c). */
void scrub_done(struct node *n, uint64_t id, struct slot *s, const struct store_result *r)
{
    bool over = r->result || !r->more;
    if (over && n->scrub.partition == s->partition) {
        n->scrub.partition++;
        n->metrics.scrubs_count += n->scrub.partition == n->watch_count;
    }
    n->scrub.reading = false;
    coord_end(n, id, s);
}
