/*
 * What a node does for the moves that the map shows (RULES 4, 5, 6, 20). The map says who has which
 * part; when a phase is over the manager decides, by what the nodes report with their heartbeats:
 * the epoch of the map that they hold, and the partitions in which their part is done.
 *
 * The new owner, in PREPARE, has no vote, mints nothing, and takes every write. It lacks all that
 * was written before, so it pulls, as an owner does that was away (pull.c), until it has what it
 * must:
 *
 *   waiting --n-w+1 of the old owners hold the map: the fences stand--> fenced
 *   fenced  --an old owner tells its clock, cut after that-----------> its clock is kept
 *           --our clock covers that one-----------------------------> covered by us
 *   done    who leaves is covered; or, should it be away or fill, n-w+1 of the others are
 *
 * Why that is enough: a write that is acknowledged from PREPARE on has w of the new list. One from
 * before has w of the old list. Of these one is who leaves, and then we have the write, or none is,
 * and then all w stay. With n-w+1 others covered every w of the old list has one of them, and we
 * stand in for who leaves. Of a list that grows shorter every owner that stays must have it.
 *
 * Who leaves, in CLEANUP, is neither read nor written, and told nothing new. What it has and a
 * present owner lacks is pulled from it. When each of them has said, not filling, that it has all
 * of that, and nothing is under way here that writes to the partition, it is dropped (drop.c). A
 * receiver whose move was cancelled leaves in the same way.
 *
 * Nothing of this is durable but clocks, the map and the pull's cursor: after a restart the same
 * questions are asked again.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/mutant.h"
#include "node/node_private.h"

#define ROUND_US      100000u
#define BEAT_SOON_US  20000u /* the manager hears of what is done */
#define LEFTOVERS_MAX 16u    /* that are dropped at a time */

static void round_soon(struct node *n)
{
    if (n->now_us < n->moves.at_us)
        n->moves.at_us = n->now_us;
}

bool moves_open(const struct watch *w)
{
    return w && !w->done && (w->covering || w->part == PART_LEAVER);
}

/* Who leaves brings nothing here any more, but what makes whole what it holds. What is being
 * dropped, or was, takes no clock: it would speak of states that are not here (INV). */
bool moves_take(const struct watch *w)
{
    return w->part != PART_LEAVER || (w->filling && !w->dropping && !w->done) ||
           MUTANT(leaver_pulls);
}

/* ---- from the map ---------------------------------------------------------------------------- */

static void move_begin(const struct node *n, uint32_t partition, struct watch *w)
{
    w->done = w->fenced = w->dropping = false;
    for (uint32_t i = 0; i < w->count; i++) {
        struct watch_other *o = &w->others[i];
        blob_unref(o->fenced_clock);
        o->fenced_clock = NULL;
        o->covered = o->has_ours = false;
        o->unsure = true;
    }
    blob_unref(w->cursor);
    w->cursor = NULL;
    if (w->part == PART_RECEIVER && n->config.cursor) {
        struct slice kept = n->config.cursor(n->config.filling_arg, partition);
        w->cursor = kept.bytes > 0 ? blob_copy(kept.data, kept.bytes) : NULL;
    }
}

/* What a map before this one showed of the partition, and still counts: of what was dropped and
 * comes back nothing does. */
struct watch *moves_known(const struct node *n, uint32_t partition)
{
    struct watch *before = watch_of(n, partition);
    bool left = before && before->part == PART_LEAVER &&
                ring_part(n->ring, partition, (uint32_t)n->member) != PART_LEAVER;
    return left ? NULL : before;
}

void moves_watch(const struct node *n, uint32_t partition, struct watch *w,
                 const struct watch *before)
{
    const struct arc *arc = &n->ring->arcs[partition];
    enum ring_part part = ring_part(n->ring, partition, (uint32_t)n->member);
    bool same = before && before->part == part && before->phase == arc->phase &&
                epoch_compare(before->write_since, arc->write_since) == 0;
    w->part = part;
    w->phase = arc->phase;
    w->write_since = arc->write_since;
    bool stays = part == PART_OWNER && ring_coming(n->ring, partition) < 0 &&
                 ring_leaving(n->ring, partition) != n->member;
    w->covering = arc->phase == ARC_PREPARE && (part == PART_RECEIVER || stays);
    for (uint32_t i = 0; i < w->count; i++)
        w->others[i].goes = arc->phase == ARC_CLEANUP && !w->others[i].owner;
    if (!same)
        move_begin(n, partition, w);
    w->wanted &= moves_take(w);
    w->closing &= moves_take(w);
}

void moves_heed(struct node *n)
{
    const struct ring *r = n->ring;
    for (uint32_t p = 0; r->formed && p < r->settings.partitions && !n->moves.changed; p++)
        n->moves.changed = r->arcs[p].phase != ARC_STABLE; /* who holds it is a fence */
    n->moves.leftovers = n->identity.fill_generation > 0;
    if (n->moves.changed || n->moves.leftovers)
        round_soon(n);
}

void moves_epoch(struct node *n, const struct gt_event *ev)
{
    const struct inbound *l = ev->link ? node_inbound(n, ev->link) : NULL;
    struct peer *p = node_peer(n, ev->peer ? ev->peer : l && l->role == ROLE_NODE ? l->node : 0);
    struct epoch epoch = ev->message.msg->epoch;
    if (!p || p->manager || !p->up || (l && l->incarnation != p->life) ||
        epoch_compare(epoch, p->epoch) <= 0)
        return;
    p->epoch = epoch;
    if (n->moves.at_us != UINT64_MAX)
        round_soon(n);
}

/* ---- having what we must --------------------------------------------------------------------- */

static uint32_t fences_needed(const struct node *n, uint32_t partition)
{
    uint32_t total, write, read;
    ring_quorums(n->ring, partition, &total, &write, &read);
    return total - write + 1;
}

/* Enough of the old owners hold the map, we ourselves among them where we are one. */
static void fences_look(struct node *n, uint32_t partition, struct watch *w)
{
    uint32_t standing = w->part == PART_OWNER;
    for (uint32_t i = 0; i < w->count; i++) {
        const struct peer *p = node_peer(n, w->others[i].node);
        standing +=
            w->others[i].owner && p && p->up && epoch_compare(p->epoch, w->write_since) >= 0;
    }
    if (standing < fences_needed(n, partition))
        return;
    w->fenced = true;
    w->fenced_us = n->now_us;
    for (uint32_t i = 0; i < w->count; i++)
        w->others[i].unsure = true;
}

static void covered_look(struct node *n, struct watch_other *o)
{
    struct reader bytes = reader_of(slice_blob(o->fenced_clock));
    clock_clear(&n->clock_theirs);
    if (o->fenced_clock && !o->covered && clock_decode(&bytes, &n->clock_theirs) == 0)
        o->covered = clock_missing(&n->clock_ours, &n->clock_theirs) == 0;
}

static bool enough_covered(const struct node *n, uint32_t partition, const struct watch *w)
{
    int leaving = ring_leaving(n->ring, partition);
    uint64_t leaver = leaving >= 0 ? n->ring->members[leaving].id : 0;
    uint32_t others = w->part == PART_OWNER;
    for (uint32_t i = 0; i < w->count; i++) {
        const struct watch_other *o = &w->others[i];
        if (o->covered && o->node == leaver)
            return true;
        others += o->covered && o->node != leaver;
    }
    return others >= fences_needed(n, partition) || MUTANT(read_new_early);
}

/* Ours is in n->clock_ours, theirs in n->clock_theirs, which is used up. */
void moves_compared(struct node *n, uint32_t partition, struct watch *w, struct watch_other *o,
                    struct epoch epoch, uint64_t asked_us)
{
    if (!moves_open(w))
        return;
    if (w->part == PART_LEAVER) {
        o->has_ours = o->owner && !o->fills && epoch_compare(epoch, w->write_since) >= 0 &&
                      clock_missing(&n->clock_theirs, &n->clock_ours) == 0;
        round_soon(n);
        return;
    }
    bool after = w->fenced && asked_us > 0 && asked_us >= w->fenced_us &&
                 epoch_compare(epoch, w->write_since) >= 0;
    if (after && o->owner && !o->fills && !o->fenced_clock)
        o->fenced_clock = blob_ref(o->clock);
    for (uint32_t i = 0; i < w->count; i++)
        covered_look(n, &w->others[i]);
    o->unsure |= o->owner && !o->covered; /* it is asked again, whatever this comparison showed */
    if (w->fenced && !w->filling && enough_covered(n, partition, w)) {
        w->done = n->moves.changed = true;
        round_soon(n);
    }
}

/* ---- giving it up ---------------------------------------------------------------------------- */

struct writing {
    uint32_t partition;
    bool found;
};

static void writing_look(void *arg, uint64_t id, void *slot)
{
    (void)id;
    struct writing *w = arg;
    const struct slot *s = slot;
    bool writes = s->kind == SLOT_PUT || s->kind == SLOT_REPAIR || s->kind == SLOT_REPLICA ||
                  s->kind == SLOT_DELIVERY || s->kind == SLOT_PULL || s->kind == SLOT_CURSOR ||
                  s->kind == SLOT_FILL || s->kind == SLOT_CLOSE || s->kind == SLOT_CONFIRM ||
                  s->kind == SLOT_DROP;
    w->found |= writes && s->partition == w->partition;
}

/* Nothing is under way here that may still write to the partition. */
static bool quiet(struct node *n, uint32_t partition)
{
    struct writing w = {.partition = partition};
    slots_each(n->slots, writing_look, &w);
    return !w.found;
}

static bool drop_store(struct node *n, uint32_t partition, struct gt_effects *fx)
{
    uint64_t id;
    struct slot *s = inner_take(n, SLOT_DROP, UINT64_MAX, &id);
    if (!s)
        return false; /* with the next round */
    s->partition = partition;
    struct store_request r = {
        .kind = STORE_DROP, .tag = id, .partition = partition, .stamp = n->hlc.last};
    effects_store(fx, &r);
    return true;
}

/* Every present owner has all that is here. */
static bool may_drop(struct node *n, uint32_t partition, const struct watch *w)
{
    uint32_t owners = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        owners += w->others[i].owner;
        if (w->others[i].owner && !w->others[i].has_ours && !MUTANT(clean_up_early))
            return false;
    }
    return owners > 0 && !w->pulling && !w->filling && quiet(n, partition);
}

void drop_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                 struct gt_effects *fx)
{
    uint32_t partition = s->partition;
    struct watch *w = watch_of(n, partition);
    bool again = !r->result && r->more && (!w || w->part == PART_LEAVER);
    coord_end(n, id, s);
    if (again && drop_store(n, partition, fx))
        return;
    if (!w) {
        n->moves.leftovers = true;
    } else {
        w->dropping = false;
        if (w->part == PART_LEAVER && !r->result && !again) {
            w->done = n->moves.changed = true;
            log_info(n->log, "partition dropped, its owners have all of it partition=%u",
                     partition);
        }
    }
    round_soon(n);
}

/*
 * What is here of partitions in which we have no part. Nobody waits for it: we were away for so
 * long that the map was changed without us, and when we heard of that what others had not confirmed
 * went into the quarantine file, and the folder is behind its fill generation since (RULES 8b).
 */
static void leftovers_drop(struct node *n, struct gt_effects *fx)
{
    uint32_t begun = 0;
    uint64_t mapped = n->member >= 0 ? n->ring->members[n->member].incarnation : 0;
    if (!n->moves.leftovers || !n->registered || n->watch_count == 0 || !n->config.holds ||
        node_refills(n, n->identity.node_id) || mapped < n->life_told)
        return;
    n->moves.leftovers = false;
    for (uint32_t p = 0; p < n->watch_count && begun < LEFTOVERS_MAX; p++) {
        struct slice sources;
        if (!n->watches[p] && n->config.holds(n->config.filling_arg, p) &&
            n->config.filling(n->config.filling_arg, p, &sources) && quiet(n, p))
            begun += drop_store(n, p, fx);
    }
}

/* ---- rounds ---------------------------------------------------------------------------------- */

uint64_t moves_due_us(const struct node *n)
{
    return n->moves.at_us;
}

void moves_round(struct node *n, struct gt_effects *fx)
{
    bool any = false;
    n->moves.at_us = UINT64_MAX;
    for (uint32_t p = 0; p < n->watch_count; p++) {
        struct watch *w = n->watches[p];
        if (!moves_open(w))
            continue;
        any = true;
        if (w->covering && !w->fenced)
            fences_look(n, p, w);
        if (w->part == PART_LEAVER && !w->dropping && may_drop(n, p, w))
            w->dropping = drop_store(n, p, fx);
    }
    leftovers_drop(n, fx);
    if (any) {
        clocks_compare(n, true, fx);
        n->moves.at_us = n->now_us + ROUND_US;
    }
    if (n->moves.changed && n->heartbeat_at_us > n->now_us + BEAT_SOON_US)
        n->heartbeat_at_us = n->now_us + BEAT_SOON_US;
    n->moves.changed = false;
}

void moves_done(const struct node *n, struct buf *out)
{
    for (uint32_t p = 0; p < n->watch_count; p++) {
        const struct watch *w = n->watches[p];
        uint8_t number[2];
        le16_put(number, (uint16_t)p);
        if (w && w->done)
            buf_put(out, number, sizeof(number));
    }
}
