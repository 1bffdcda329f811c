/*
 * What the owners of a partition know of one another (RULES 3): each compares its clock with those
 * of the others, every two seconds and when a link is made, for partitions that changed since. From
 * a comparison follows
 *
 *   we lack dots of theirs  -> a pull from them (pull.c); how many is our lag, exactly
 *   they lack dots of ours  -> the answer shows them, and they pull
 *   all others have it      -> the dot log forgets it, and tombstones are reaped (RULES 19): a
 *                              confirmation is the newest durable clock of an owner, never a
 *                              maximum of what was heard
 *
 *   unsure --own clocks read--> CLOCKS sent --CLOCKS_REPLY--> compared
 *      ^                            |
 *      '--- change here, silence of 500 ms, link lost ---'
 *
 * A comparison costs a message each way for up to 256 partitions; when nothing changes nothing is
 * sent.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "node/node_private.h"

#define EXCHANGE_US      2000000u /* between two rounds, less up to a quarter */
#define EXCHANGE_SOON_US 100000u  /* after a pull: the others hear that we have it now */
#define CLOCKS_AT_ONCE   256u     /* partitions of one message */
#define DIFFERS_FIRST_US 2000000u
#define DIFFERS_LAST_US  300000000u
#define CLOCKS_BYTES_MAX (16u << 20)

/* ---- what is watched ------------------------------------------------------------------------- */

static void watch_free(struct watch *w)
{
    for (uint32_t i = 0; w && i < w->count; i++) {
        blob_unref(w->others[i].clock);
        blob_unref(w->others[i].fenced_clock);
    }
    if (w)
        blob_unref(w->cursor);
    free(w);
}

void watches_free(struct node *n)
{
    for (uint32_t i = 0; i < n->watch_count; i++)
        watch_free(n->watches[i]);
    free(n->watches);
    n->watches = NULL;
    n->watch_count = 0;
}

struct watch *watch_of(const struct node *n, uint32_t partition)
{
    return partition < n->watch_count ? n->watches[partition] : NULL;
}

/* One partition of a list of clocks. */
struct told {
    uint32_t partition;
    struct slice clock;
    uint64_t records, digest_sum;
    bool unheard; /* its clock confirms no deletion */
    bool filling; /* nor does it say what is there */
};

/* False at the end, or where it cannot be read. */
static bool told_next(struct reader *r, struct told *t)
{
    if (reader_left(r) == 0)
        return false;
    uint64_t partition = read_varint(r);
    t->clock = read_bytes(r);
    t->records = read_varint(r);
    t->digest_sum = read_u64(r);
    t->partition = partition < PARTITIONS_MAX ? (uint32_t)partition : PARTITIONS_MAX;
    return !r->failed;
}

static struct watch_other *other_of(struct watch *w, uint64_t node)
{
    for (uint32_t i = 0; w && i < w->count; i++)
        if (w->others[i].node == node)
            return &w->others[i];
    return NULL;
}

/* What it told is of this side of the last move of the arc: it cannot have given that up since, as
 * who owned the partition before and comes back to it has (drop.c). */
static bool holds_still(const struct watch *w, const struct watch_other *o)
{
    return o->clock && (epoch_compare(o->clock_epoch, w->write_since) >= 0 || MUTANT(told_before));
}

/* The others who have a part in an arc; what is known of those that stay is kept. A removed owner
 * is none: nobody listens to it. */
static struct watch *watch_make(struct node *n, uint32_t partition, struct watch *before)
{
    uint16_t places[PLACES_MAX];
    uint32_t in_owners, in_beside;
    uint32_t count = ring_places(n->ring, partition, false, places, &in_owners, &in_beside);
    struct watch *w = calloc(1, sizeof(*w) + count * sizeof(w->others[0]));
    gt_assert(w); /* a machine cannot fail for memory */
    if (before) {
        memcpy(w, before, sizeof(*w));
        before->cursor = NULL;
    }
    w->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct member *m = &n->ring->members[places[i]];
        if (places[i] == n->member || m->state == MEMBER_REMOVED)
            continue;
        struct watch_other *o = &w->others[w->count++];
        *o = (struct watch_other){.node = m->id, .unsure = true};
        struct watch_other *was = other_of(before, o->node);
        if (was) {
            *o = *was;
            was->clock = was->fenced_clock = NULL;
        }
        o->owner = in_owners >> i & 1;
    }
    w->unsure |= !before || before->count != w->count;
    if (!before) {
        w->round = ++n->rounds;
        fill_begin_watch(n, partition, w);
    }
    moves_watch(n, partition, w, before);
    return w;
}

void watches_rebuild(struct node *n)
{
    const struct ring *r = n->ring;
    uint32_t count = r && r->formed && n->member >= 0 ? r->settings.partitions : 0;
    struct watch **watches = calloc(count + 1, sizeof(*watches));
    gt_assert(watches);
    n->pulls_wanted = n->filling = 0;
    for (uint32_t p = 0; p < count; p++)
        if (ring_part(r, p, (uint32_t)n->member) != PART_NONE) {
            watches[p] = watch_make(n, p, moves_known(n, p));
            n->pulls_wanted += watches[p]->wanted;
            n->filling += watches[p]->filling;
        }
    watches_free(n);
    n->watches = watches;
    n->watch_count = count;
}

void watch_changed(struct node *n, uint32_t partition)
{
    struct watch *w = watch_of(n, partition);
    if (w)
        w->unsure = true;
    for (uint32_t i = 0; w && i < w->count; i++) {
        w->others[i].unsure = true;
        w->others[i].has_ours = false;
    }
}

void watch_greeted(struct node *n, uint64_t peer)
{
    for (uint32_t p = 0; p < n->watch_count; p++) {
        struct watch_other *o = other_of(n->watches[p], peer);
        if (!o)
            continue;
        o->unsure = true;
        o->current = false;
        /* What it had in an earlier life it may have lost since. */
        if (n->watches[p]->filling && o->life != node_seen(n, peer))
            o->settled = false;
    }
    n->exchange_at_us = n->now_us;
}

void watch_soon(struct node *n)
{
    if (n->now_us + EXCHANGE_SOON_US < n->exchange_at_us)
        n->exchange_at_us = n->now_us + EXCHANGE_SOON_US;
}

uint64_t watch_lag(const struct node *n, bool *known)
{
    uint64_t lag = 0;
    *known = n->watch_count > 0;
    for (uint32_t p = 0; p < n->watch_count; p++) {
        const struct watch *w = n->watches[p];
        uint64_t most = 0;
        if (w && w->part != PART_OWNER)
            continue; /* what comes with a move is no lag, nor what goes with it */
        for (uint32_t i = 0; w && i < w->count; i++) {
            const struct watch_other *o = &w->others[i];
            most = o->lacking > most ? o->lacking : most;
            *known = *known && (o->clock || !node_linked(n, o->node));
        }
        lag += most;
    }
    return lag;
}

void watch_lag_note(struct node *n)
{
    bool known;
    uint64_t lag = watch_lag(n, &known);
    if (known)
        eta_note(&n->eta, n->now_us, lag);
}

struct slice watch_told(const struct node *n, uint32_t partition, uint64_t node, uint64_t life)
{
    const struct watch_other *o = other_of(watch_of(n, partition), node);
    bool holds = o && holds_still(watch_of(n, partition), o) && o->clock_life == life;
    return holds ? slice_blob(o->clock) : slice_of(NULL, 0);
}

bool watch_current(const struct node *n, uint32_t partition)
{
    const struct watch *w = watch_of(n, partition);
    for (uint32_t i = 0; w && i < w->count; i++)
        if (w->others[i].owner && node_linked(n, w->others[i].node) && !w->others[i].current)
            return false;
    return w != NULL;
}

bool node_owner_away(const struct node *n, uint32_t partition)
{
    const struct watch *w = watch_of(n, partition);
    for (uint32_t i = 0; w && i < w->count; i++)
        if (!w->others[i].clock || !node_linked(n, w->others[i].node))
            return true;
    return false;
}

/* ---- asking ---------------------------------------------------------------------------------- */

void clocks_read(uint64_t id, const uint8_t *numbers, uint32_t count, struct gt_effects *fx)
{
    struct blob *hold = blob_copy(numbers, (size_t)count * 2);
    gt_assert(hold);
    struct store_request r = {
        .kind = STORE_CLOCKS, .tag = id, .hold = hold, .value = slice_blob(hold)};
    effects_store(fx, &r);
}

static struct slot *slot_take(struct node *n, enum slot_kind kind, uint64_t peer, uint64_t *id)
{
    struct slot *s = inner_take(n, kind, UINT64_MAX, id);
    if (s)
        s->clocks.peer = peer;
    return s;
}

/* The partitions to compare with one peer, from one on, which then count as being compared. A
 * message takes so many; the answer to it goes on. */
static void compare_begin(struct node *n, struct peer *p, uint32_t from, bool moving,
                          struct gt_effects *fx)
{
    uint8_t numbers[CLOCKS_AT_ONCE * 2];
    uint32_t count = 0;
    uint64_t id;
    uint32_t at = from;
    for (; at < n->watch_count && count < CLOCKS_AT_ONCE; at++) {
        struct watch_other *o = other_of(n->watches[at], p->id);
        if (o && o->unsure && (!moving || moves_open(n->watches[at])))
            le16_put(&numbers[2 * count++], (uint16_t)at);
    }
    p->compare_next = count == CLOCKS_AT_ONCE ? at : 0;
    p->compare_moving = moving;
    if (count == 0 || !slot_take(n, SLOT_CLOCKS, p->id, &id))
        return;
    for (uint32_t i = 0; i < count; i++)
        other_of(n->watches[le16_get(&numbers[2 * i])], p->id)->unsure = false;
    p->comparing = true;
    clocks_read(id, numbers, count, fx);
}

static void confirm(struct node *n, uint32_t partition, struct watch *w, struct gt_effects *fx);

/* What has no other owner has nobody to be compared with: our clock alone is read, for the lives in
 * it that are over. From one partition on; when it was read, it goes on with those that follow. */
static void confirm_alone(struct node *n, uint32_t from, struct gt_effects *fx)
{
    uint8_t numbers[CLOCKS_AT_ONCE * 2];
    uint32_t count = 0, at = from;
    uint64_t id;
    for (; at < n->watch_count && count < CLOCKS_AT_ONCE; at++)
        if (n->watches[at] && n->watches[at]->count == 0 && n->watches[at]->unsure)
            le16_put(&numbers[2 * count++], (uint16_t)at);
    n->alone_next = count == CLOCKS_AT_ONCE ? at : 0;
    n->alone_read = count > 0 && slot_take(n, SLOT_CLOCKS_ALONE, 0, &id);
    if (!n->alone_read)
        return;
    clocks_read(id, numbers, count, fx);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t p = le16_get(&numbers[2 * i]);
        n->watches[p]->unsure = false;
        confirm(n, p, n->watches[p], fx);
    }
}

void clocks_alone_read(struct node *n, uint64_t id, const struct store_result *r,
                       struct gt_effects *fx)
{
    struct reader entries = reader_of(slice_blob(r->entries));
    struct told ours;
    while (!r->result && told_next(&entries, &ours)) {
        struct watch *w = watch_of(n, ours.partition);
        struct reader bytes = reader_of(ours.clock);
        clock_clear(&n->clock_ours);
        if (w && clock_decode(&bytes, &n->clock_ours) == 0)
            closing_note(n, w, &n->clock_ours);
    }
    coord_end(n, id, slots_find(n->slots, id));
    n->alone_read = false;
    if (n->alone_next > 0)
        confirm_alone(n, n->alone_next, fx);
}

void clocks_compare(struct node *n, bool moving, struct gt_effects *fx)
{
    for (uint32_t i = 0; i < n->peer_count; i++) {
        struct peer *p = &n->peers[i];
        if (p->up && !p->manager && !p->comparing)
            compare_begin(n, p, 0, moving, fx);
    }
}

void clocks_exchange(struct node *n, struct gt_effects *fx)
{
    n->exchange_at_us = n->now_us + EXCHANGE_US - prng_below(&n->prng, EXCHANGE_US / 4);
    clocks_compare(n, false, fx);
    fills_round(n, fx);
    keepers_round(n, fx);
    if (!n->alone_read)
        confirm_alone(n, 0, fx);
    closing_round(n, fx);
    pulls_begin(n, fx); /* those that found no room before */
}

/* The comparison did not come to an end: it is made again. */
static void compare_lost(struct node *n, const struct slot *s)
{
    struct peer *p = node_peer(n, s->clocks.peer);
    if (p)
        p->comparing = false;
    struct reader r = reader_of(slice_blob(s->clocks.sent));
    struct told ours;
    while (told_next(&r, &ours)) {
        struct watch_other *o = other_of(watch_of(n, ours.partition), s->clocks.peer);
        if (o)
            o->unsure = true;
    }
}

static bool life_listed(const struct buf *lives, uint64_t node)
{
    for (size_t at = 0; at < lives->bytes; at += LIFE_BYTES)
        if (le64_get(lives->data + at) == node)
            return true;
    return false;
}

/* What goes with a list of our clocks: which of them confirm no deletion, of which of them we fill,
 * and the other owners in the lives in which we know them. The buffers are the node's. */
static void clocks_tell(struct node *n, struct slice clocks, struct msg *m)
{
    struct reader r = reader_of(clocks);
    struct told ours;
    uint8_t life[LIFE_BYTES];
    uint8_t number[2];
    buf_clear(&n->bytes);
    buf_clear(&n->context);
    buf_clear(&n->filling_told);
    while (told_next(&r, &ours)) {
        const struct watch *w = watch_of(n, ours.partition);
        keepers_unheard(n, ours.partition, &n->bytes);
        le16_put(number, (uint16_t)ours.partition);
        if (w && w->filling)
            buf_put(&n->filling_told, number, sizeof(number));
        for (uint32_t i = 0; w && i < w->count; i++) {
            if (life_listed(&n->context, w->others[i].node))
                continue;
            le64_put(life, w->others[i].node);
            le64_put(life + 8, node_seen(n, w->others[i].node));
            buf_put(&n->context, life, sizeof(life));
        }
    }
    m->clocks.clocks = clocks;
    m->clocks.unheard = buf_slice(&n->bytes);
    m->clocks.lives = buf_slice(&n->context);
    m->clocks.filling = buf_slice(&n->filling_told);
}

void clocks_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                   struct gt_effects *fx)
{
    struct peer *p = node_peer(n, s->clocks.peer);
    if (r->result || !p || !p->up) {
        if (p)
            p->comparing = false;
        watch_greeted(n, s->clocks.peer); /* all of it anew */
        coord_end(n, id, s);
        return;
    }
    s->clocks.sent = blob_ref(r->entries);
    slots_set_deadline(n->slots, id, n->now_us + SILENCE_US);
    s->deadline_us = n->now_us; /* when it was asked */
    struct msg m = node_message(n, MSG_CLOCKS, id);
    clocks_tell(n, slice_blob(r->entries), &m);
    effects_send(fx, p->id, &m);
}

void clocks_link_down(struct node *n, uint64_t id, struct slot *s, uint64_t peer)
{
    if (s->clocks.peer == peer && s->clocks.sent)
        clocks_timeout(n, id, s);
}

void clocks_timeout(struct node *n, uint64_t id, struct slot *s)
{
    compare_lost(n, s);
    coord_end(n, id, s);
}

/* ---- comparing ------------------------------------------------------------------------------- */

/*
 * Whether what the owner told last is a confirmation: it holds still what it held then. In a later
 * life it may have lost that. Such a life we need not have met: the owner may have filled from
 * others, who lacked a tombstone then, and have got that since. They have met it, and say so with
 * the very clocks that confirm the tombstone. One that is marked to refill needs to give none: what
 * goes without it goes there too when it fills.
 */
static bool confirms(const struct node *n, const struct watch *w, const struct watch_other *o)
{
    const struct peer *p = node_peer(n, o->node);
    uint64_t seen = node_seen(n, o->node), heard = p ? p->life_heard : 0;
    if (node_refills(n, o->node))
        return true;
    bool present = o->clock_life >= seen && o->clock_life >= heard;
    bool told = holds_still(w, o) && (present || MUTANT(confirmed_by_the_dead));
    return told || MUTANT(confirm_unheard);
}

/* All others have what their clocks cover. One at a time: another comparison that comes meanwhile
 * is waited for, so that storage does not queue what is out of date. */
static void confirm(struct node *n, uint32_t partition, struct watch *w, struct gt_effects *fx)
{
    struct buf list;
    uint64_t id;
    /* What covers our clock there may be more than we hold (RULES 7). */
    if (w->filling || w->part == PART_LEAVER)
        return;
    for (uint32_t i = 0; i < w->count; i++)
        if (!w->others[i].goes && !confirms(n, w, &w->others[i]))
            return;
    if (w->confirming) {
        w->confirm_again = true;
        return;
    }
    /* While the arc moves nothing is reaped (RULES 19). */
    bool unheard = w->unheard || (w->phase != ARC_STABLE && !MUTANT(reap_while_moving));
    buf_init(&list, CLOCKS_BYTES_MAX);
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->others[i].goes || node_refills(n, w->others[i].node))
            continue;
        unheard = unheard || w->others[i].unheard;
        if (w->others[i].clock)
            buf_bytes(&list, slice_blob(w->others[i].clock));
    }
    struct blob *hold = buf_blob(&list);
    buf_close(&list);
    struct slot *s = hold ? slot_take(n, SLOT_CONFIRM, 0, &id) : NULL;
    if (!s) {
        blob_unref(hold);
        return; /* with the next comparison */
    }
    s->partition = partition;
    w->unsure = false;
    w->confirming = true;
    w->confirm_again = false;
    struct store_request r = {.kind = STORE_CONFIRM,
                              .tag = id,
                              .hold = hold,
                              .partition = partition,
                              .clock = slice_blob(hold),
                              .keep_tombstones =
                                  unheard || n->deletes_under_way[partition % DELETES_ROWS] > 0,
                              .stamp = n->hlc.last};
    effects_store(fx, &r);
}

void confirm_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                    struct gt_effects *fx)
{
    uint32_t partition = s->partition;
    struct watch *w = watch_of(n, partition);
    coord_end(n, id, s);
    if (!w)
        return;
    w->confirming = false;
    /* The records have changed: they are compared once more, and what found no room goes then. */
    if (r->reaped > 0 || r->more)
        watch_changed(n, partition);
    if (w->confirm_again || (r->more && r->reaped > 0))
        confirm(n, partition, w, fx);
}

/*
 * Equal clocks and unequal records: one of them may have learnt of a superseded dot in another
 * form, or holds something bad. Every key is pulled then and joined; where that does not help it is
 * tried again less and less often. Owners reap within some seconds of one another: a difference
 * counts only when the next comparison shows the very same one.
 */
static void differ(struct node *n, struct watch_other *o, const struct told *ours,
                   const struct told *theirs)
{
    uint32_t partition = ours->partition;
    bool stands = o->digest_ours == ours->digest_sum && o->digest_theirs == theirs->digest_sum;
    o->digest_ours = ours->digest_sum;
    o->digest_theirs = theirs->digest_sum;
    if (!stands || n->now_us < o->differs_again_us)
        return;
    o->differs_us = o->differs_us ? o->differs_us * 2 : DIFFERS_FIRST_US;
    if (o->differs_us > DIFFERS_LAST_US)
        o->differs_us = DIFFERS_LAST_US;
    o->differs_again_us = n->now_us + o->differs_us;
    o->differs = true;
    n->metrics.partitions_differ_count++;
    log_info(n->log, "equal clocks, unequal records partition=%u with=%s", partition,
             node_label_of(n, o->node));
    events_add(n->events, EVENT_RECORDS_DIFFER, "compared with %s", node_label_of(n, o->node));
}

/*
 * Whether they have a dot of ours, of an earlier life, that we have not. It was durable here before
 * it left, so the folder is of an earlier moment of that life: a hello does not show that. Not
 * while everything is pulled anew: what was lost then is known to be.
 */
static bool forgotten(const struct node *n, const struct watch *w)
{
    if (w->filling || w->owed || w->part == PART_RECEIVER || w->part == PART_LEAVER)
        return false; /* or of what we gave up when we owned it before */
    for (uint32_t i = 0; i < n->clock_theirs.entry_count; i++) {
        struct actor actor = n->clock_theirs.entries[i].actor;
        if (actor.node == n->identity.node_id && actor.incarnation < n->identity.incarnation &&
            !clock_closes(&n->clock_ours, actor) &&
            clock_highest(&n->clock_theirs, actor) > clock_highest(&n->clock_ours, actor))
            return true;
    }
    return false;
}

/* What they durably have beside what we have. */
static void compare(struct node *n, const struct teller *from, const struct told *ours,
                    const struct told *theirs, struct gt_effects *fx)
{
    uint64_t peer = from->node;
    struct watch *w = watch_of(n, ours->partition);
    struct watch_other *o = other_of(w, peer);
    struct reader a = reader_of(ours->clock), b = reader_of(theirs->clock);
    if (!o)
        return;
    clock_clear(&n->clock_ours);
    clock_clear(&n->clock_theirs);
    if (clock_decode(&a, &n->clock_ours) != 0 || clock_decode(&b, &n->clock_theirs) != 0) {
        log_warn(n->log, "clock unreadable from=%s partition=%u", node_label_of(n, peer),
                 ours->partition);
        return;
    }
    closing_note(n, w, &n->clock_ours);
    if (forgotten(n, w) && !MUTANT(rolled_back_unseen))
        renewal_forgotten(n, peer);
    blob_unref(o->clock);
    o->clock = blob_copy(theirs->clock.data, theirs->clock.bytes);
    o->clock_life = from->life;
    o->clock_epoch = from->epoch;
    o->unheard = theirs->unheard;
    o->fills = theirs->filling;
    o->lacking = clock_missing(&n->clock_ours, &n->clock_theirs);
    o->current = o->current || o->lacking == 0;
    bool equal = o->lacking == 0 && clock_missing(&n->clock_theirs, &n->clock_ours) == 0;
    bool same = ours->records == theirs->records && ours->digest_sum == theirs->digest_sum;
    /* What they lack they pull; whether they have it is asked in the next round. */
    o->unsure |= !equal || !same || !holds_still(w, o); /* it may have changed meanwhile */
    if (equal && !same)
        differ(n, o, ours, theirs);
    if (same)
        o->differs_us = o->differs_again_us = 0;
    if ((o->lacking > 0 || o->differs) && !MUTANT(no_pull))
        pull_want(n, ours->partition);
    moves_compared(n, ours->partition, w, o, from->epoch, from->asked_us);
    confirm(n, ours->partition, w, fx);
}

static void lives_hear(struct node *n, struct slice lives)
{
    for (size_t at = 0; at + LIFE_BYTES <= lives.bytes; at += LIFE_BYTES) {
        struct peer *p = node_peer(n, le64_get(lives.data + at));
        uint64_t life = le64_get(lives.data + at + 8);
        if (p && life > p->life_heard)
            p->life_heard = life;
    }
}

/* Of a run of u16 in the order of the lists: whether the partition is the next of them. */
static bool next_is(struct slice run, size_t *at, uint32_t partition)
{
    bool is = *at + 2 <= run.bytes && le16_get(run.data + *at) == partition;
    *at += is ? 2 : 0;
    return is;
}

/* Two lists of partitions in the same order, as the list of those that are unheard; what is missing
 * in one of them has no part there. */
static void compare_all(struct node *n, const struct teller *from, struct slice ours,
                        struct slice theirs, struct gt_effects *fx)
{
    struct reader a = reader_of(ours), b = reader_of(theirs);
    struct told here, there;
    size_t unheard = 0, filling = 0;
    lives_hear(n, from->lives);
    while (told_next(&b, &there)) {
        there.unheard = next_is(from->unheard, &unheard, there.partition);
        there.filling = next_is(from->filling, &filling, there.partition);
        bool found = false;
        struct reader rest = a;
        while (!found && told_next(&rest, &here))
            found = here.partition == there.partition;
        if (found) {
            a = rest;
            compare(n, from, &here, &there, fx);
        }
    }
    pulls_begin(n, fx);
}

void clocks_replied(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    struct slot *s = slots_find(n->slots, m->id);
    if (!s || s->kind != SLOT_CLOCKS || s->clocks.peer != ev->peer || !s->clocks.sent)
        return;
    struct peer *p = node_peer(n, ev->peer);
    uint64_t asked_us = s->deadline_us;
    struct blob *sent = blob_ref(s->clocks.sent);
    if (m->clocks.head.error)
        compare_lost(n, s);
    else if (p)
        p->comparing = false;
    coord_end(n, m->id, s);
    if (!m->clocks.head.error) {
        struct teller from = {.node = ev->peer,
                              .life = p ? p->life : 0,
                              .epoch = m->epoch,
                              .asked_us = asked_us,
                              .unheard = m->clocks.unheard,
                              .filling = m->clocks.filling,
                              .lives = m->clocks.lives};
        compare_all(n, &from, slice_blob(sent), m->clocks.clocks, fx);
        if (p && p->compare_next > 0)
            compare_begin(n, p, p->compare_next, p->compare_moving, fx);
        if (p)
            pull_announce(n, p, p->compare_next == 0);
    }
    blob_unref(sent);
}

/* ---- being asked ----------------------------------------------------------------------------- */

void replica_clocks(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    uint8_t numbers[CLOCKS_AT_ONCE * 2];
    uint32_t count = 0;
    uint64_t id;
    struct reader r = reader_of(m->clocks.clocks);
    struct told theirs;
    const struct inbound *l = node_inbound(n, ev->link);
    while (count < CLOCKS_AT_ONCE && told_next(&r, &theirs))
        if (watch_of(n, theirs.partition))
            le16_put(&numbers[2 * count++], (uint16_t)theirs.partition);
    struct msg reply = node_message(n, MSG_CLOCKS_REPLY, m->id);
    struct slot *s = count > 0 ? slot_take(n, SLOT_CLOCKS_ASKED, l->node, &id) : NULL;
    if (!s) {
        if (count > 0)
            reply.clocks.head.error = GT_EBUSY;
        effects_reply(fx, ev->link, &reply);
        return;
    }
    s->origin = (struct origin){ev->link, m->id, m->type};
    s->body = blob_ref(ev->message.body);
    s->clocks.theirs = m->clocks.clocks;
    s->clocks.from = (struct teller){.node = l->node,
                                     .life = l->incarnation,
                                     .epoch = m->epoch,
                                     .unheard = m->clocks.unheard,
                                     .filling = m->clocks.filling,
                                     .lives = m->clocks.lives};
    for (uint32_t i = 0; i < count; i++) {
        struct watch_other *o = other_of(watch_of(n, le16_get(&numbers[2 * i])), l->node);
        if (o)
            o->unsure = false; /* it is being compared; a change from here on is another one */
    }
    clocks_read(id, numbers, count, fx);
}

void clocks_asked_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                         struct gt_effects *fx)
{
    struct msg reply = node_message(n, MSG_CLOCKS_REPLY, s->origin.id);
    reply.clocks.head.error = r->result;
    if (!r->result)
        clocks_tell(n, slice_blob(r->entries), &reply);
    effects_reply(fx, s->origin.link, &reply);
    if (!r->result) {
        struct peer *p = node_peer(n, s->clocks.peer);
        compare_all(n, &s->clocks.from, slice_blob(r->entries), s->clocks.theirs, fx);
        if (p)
            pull_announce(n, p, false);
    } else {
        watch_greeted(n, s->clocks.peer);
    }
    coord_end(n, id, s);
}
