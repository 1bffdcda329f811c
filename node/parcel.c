/*
 * What this node keeps for others on its way to them. Every round (that of clocks.c) it looks for
 * whom parcels are kept; who of them can be reached is delivered to:
 *
 *   run (SLOT_PARCELS)    listed: some parcels, oldest first --> a delivery each --> paced, the
 * next ^                                        |               | no more
 *                            '----------------------------------------'               v
 *   delivery              STATE sent, as a repair: it sets the dots listed          ended
 *                           | confirmed durable by all whom it is for -> dropped here, durably
 *                           | "later", refused, silent, link lost -----> kept, for another round
 *
 * For whom a parcel is: its target, if that owns the key by the present map; else all who do (RULES
 * 20). Bounds: PARCEL_RUNS_MAX targets at a time, PARCELS_AT_ONCE parcels and RUN_BYTES of each,
 * PARCEL_BYTES_PER_S together: an owner that comes back has more to do than to take parcels.
 * Nothing is forgotten but what was confirmed, and what is unreadable at rest (said in the log).
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "node/node_private.h"

#define PARCELS_AT_ONCE    16u
#define RUN_BYTES          (256u << 10)
#define PARCEL_BYTES_PER_S (8u << 20)
#define DELIVERY_US        3000000u

/* ---- whose there are ------------------------------------------------------------------------- */

void parcels_ask(uint64_t id, uint32_t partition, struct gt_effects *fx)
{
    struct store_request r = {.kind = STORE_PARCELS, .tag = id, .partition = partition};
    effects_store(fx, &r);
}

void parcels_round(struct node *n, struct gt_effects *fx)
{
    uint64_t id;
    if (n->parcels.asking || !n->ring || !n->ring->formed || n->member < 0 ||
        !inner_take(n, SLOT_PARCELS, UINT64_MAX, &id))
        return;
    n->parcels.asking = true;
    parcels_ask(id, 0, fx);
}

static bool run_under_way(const struct node *n, uint64_t target)
{
    for (uint32_t i = 0; i < PARCEL_RUNS_MAX; i++)
        if (n->parcels.runs[i] == target)
            return true;
    return false;
}

/* It can be reached; or it has left, or another has its place (--replace): then the present owners
 * get what it was to have. */
static bool deliverable(const struct node *n, uint64_t target)
{
    return node_linked(n, target) || node_removed(n, target) ||
           ring_member_by_id(n->ring, target) < 0;
}

/* Deliveries at a time: each takes a slot, and one more for each owner that it may be for, and they
 * take half of what there is. More would take them from one another, and few would come to an end.
 */
static uint32_t deliveries_max(const struct node *n)
{
    uint32_t most = n->inflight_max / (2 * (1 + n->ring->settings.replicas));
    return most > 0 ? most : 1;
}

static uint32_t runs_max(const struct node *n)
{
    return deliveries_max(n) < PARCEL_RUNS_MAX ? deliveries_max(n) : PARCEL_RUNS_MAX;
}

static void run_list(uint64_t id, struct node *n, const struct slot *s, struct gt_effects *fx)
{
    uint32_t most = deliveries_max(n) / runs_max(n);
    struct store_request r = {.kind = STORE_PARCELS,
                              .tag = id,
                              .target = s->parcels.target,
                              .number = s->parcels.number,
                              .bytes_max = RUN_BYTES,
                              .count_max = most < PARCELS_AT_ONCE ? most : PARCELS_AT_ONCE};
    effects_store(fx, &r);
}

static void run_begin(struct node *n, uint64_t target, struct gt_effects *fx)
{
    uint32_t place = 0;
    uint64_t id;
    while (place < runs_max(n) && n->parcels.runs[place] != 0)
        place++;
    struct slot *s = place < runs_max(n) ? inner_take(n, SLOT_PARCELS, UINT64_MAX, &id) : NULL;
    if (!s)
        return;
    n->parcels.runs[place] = target;
    s->parcels.target = target;
    run_list(id, n, s, fx);
}

void parcels_end(struct node *n, struct slot *s)
{
    if (s->parcels.target == 0)
        n->parcels.asking = false;
    for (uint32_t i = 0; s->parcels.target != 0 && i < PARCEL_RUNS_MAX; i++)
        if (n->parcels.runs[i] == s->parcels.target)
            n->parcels.runs[i] = 0;
}

static void targets_take(struct node *n, const struct store_result *r, struct gt_effects *fx)
{
    struct reader entries = reader_of(slice_blob(r->entries));
    while (reader_left(&entries) > 0) {
        uint64_t target = read_u64(&entries);
        gt_assert(!entries.failed);
        if (deliverable(n, target) && !run_under_way(n, target))
            run_begin(n, target, fx);
    }
}

/* ---- one parcel ------------------------------------------------------------------------------ */

/* One of a run is over: delivered, or kept for another round. The last one goes on with the run. */
static void run_counted(struct node *n, uint64_t id, bool delivered, struct gt_effects *fx)
{
    struct slot *s = slots_find(n->slots, id);
    gt_assert(s && s->kind == SLOT_PARCELS && s->parcels.outstanding > 0);
    s->parcels.delivered += delivered;
    if (--s->parcels.outstanding > 0)
        return;
    /* Whoever takes none of them now will be tried again. */
    if (!s->parcels.more || s->parcels.delivered == 0 || !deliverable(n, s->parcels.target)) {
        coord_end(n, id, s);
        return;
    }
    s->parcels.delivered = 0;
    if (n->parcels.free_us > n->now_us)
        slots_set_deadline(n->slots, id, n->parcels.free_us);
    else
        run_list(id, n, s, fx);
}

void parcels_timeout(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    slots_set_deadline(n->slots, id, UINT64_MAX);
    run_list(id, n, s, fx);
}

static void delivery_end(struct node *n, uint64_t id, struct slot *s, bool delivered,
                         struct gt_effects *fx)
{
    uint64_t run = s->delivery.run;
    n->metrics.parcels_delivered_count += delivered;
    coord_end(n, id, s);
    run_counted(n, run, delivered, fx);
}

static void drop(uint64_t id, struct node *n, struct slot *s, struct gt_effects *fx)
{
    s->delivery.dropping = true;
    slots_set_deadline(n->slots, id, UINT64_MAX); /* storage always answers */
    struct store_request r = {.kind = STORE_PARCEL,
                              .tag = id,
                              .deadline_us = n->now_us + DELIVERY_US,
                              .hold = blob_ref(s->body),
                              .partition = s->partition,
                              .key = s->key,
                              .target = s->delivery.target,
                              .number = s->delivery.number,
                              .stamp = n->hlc.last};
    effects_store(fx, &r);
}

void delivery_progress(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx)
{
    enum quorum_verdict verdict = quorum_judge(&s->quorum, false);
    if (s->delivery.dropping || (verdict == QUORUM_WAIT && !s->expired))
        return;
    /* What our own storage was told to merge is waited for: its answer finds this slot. */
    if (s->self < s->quorum.total && s->quorum.state[s->self] == QUORUM_ASKED)
        return;
    if (verdict == QUORUM_MET || MUTANT(drop_parcel_unconfirmed))
        drop(id, n, s, fx);
    else
        delivery_end(n, id, s, false, fx);
}

void delivery_counted(struct node *n, uint64_t id, struct slot *s, uint32_t owner, int error,
                      struct gt_effects *fx)
{
    if (error)
        quorum_fail(&s->quorum, owner);
    else
        quorum_answer(&s->quorum, owner);
    if (s->delivery.dropping)
        return;
    coord_date(n, id, s);
    delivery_progress(n, id, s, fx);
}

void delivery_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                     struct gt_effects *fx)
{
    if (s->delivery.dropping) {
        delivery_end(n, id, s, r->result == 0, fx);
        return;
    }
    if (!r->result)
        watch_changed(n, s->partition);
    delivery_counted(n, id, s, s->self, r->result, fx);
}

/* Those for whom it is, into the slot. */
static void recipients(const struct node *n, struct slot *s)
{
    const struct ring *r = n->ring;
    const struct arc *arc = &r->arcs[s->partition];
    int target = ring_member_by_id(r, s->delivery.target);
    enum ring_part part = target >= 0 ? ring_part(r, s->partition, (uint32_t)target) : PART_NONE;
    bool owns = part == PART_OWNER || part == PART_RECEIVER || part == PART_WRITTEN;
    s->self = UINT8_MAX;
    if (owns) {
        s->owners[0] = s->delivery.target;
        quorum_init(&s->quorum, 1, 1);
        return;
    }
    quorum_init(&s->quorum, arc->owner_count, arc->owner_count);
    for (uint32_t i = 0; i < arc->owner_count; i++) {
        s->owners[i] = r->members[arc->owners[i]].id;
        if (arc->owners[i] == n->member)
            s->self = (uint8_t)i;
    }
}

/* What a parcel brings. */
struct content {
    struct slice dots, record, operations;
};

static void merge_here(struct node *n, uint64_t id, struct slot *s, const struct content *c,
                       struct gt_effects *fx)
{
    struct store_request r = {.kind = STORE_MERGE,
                              .tag = id,
                              .deadline_us = s->deadline_us,
                              .hold = blob_ref(s->body),
                              .partition = s->partition,
                              .key = s->key,
                              .record = c->record,
                              .dots = c->dots,
                              .kept = true,
                              .operations = c->operations,
                              .stamp = n->hlc.last};
    effects_store(fx, &r);
    coord_asked(n, id, s, s->self);
}

static void deliver(struct node *n, uint64_t id, struct slot *s, const struct content *c,
                    struct gt_effects *fx)
{
    struct blob *whole = blob_copy(c->record.data, c->record.bytes);
    s->spread = (struct spread){.dots = blob_copy(c->dots.data, c->dots.bytes),
                                .operations = blob_copy(c->operations.data, c->operations.bytes),
                                .flags = REQUEST_KEPT,
                                .priority = PRIORITY_REPAIR};
    gt_assert(whole && s->spread.dots &&
              s->spread.operations); /* a machine cannot fail for memory */
    recipients(n, s);
    if (s->self < s->quorum.total)
        merge_here(n, id, s, c, fx);
    spread_send(n, id, s, whole, fx);
    blob_unref(whole);
    coord_date(n, id, s);
    delivery_progress(n, id, s, fx);
}

/* One entry of a list. */
static void entry_deliver(struct node *n, uint64_t run, uint64_t target, struct reader *entries,
                          struct blob *hold, struct gt_effects *fx)
{
    uint64_t id, number = read_u64(entries);
    uint32_t partition = (uint32_t)read_varint(entries);
    struct slice key = read_bytes(entries);
    struct content c = {.dots = read_bytes(entries)};
    c.record = read_bytes(entries);
    c.operations = read_bytes(entries);
    gt_assert(!entries->failed);
    struct slot *s = slots_find(n->slots, run);
    s->parcels.number = number;
    struct slot *d = inner_take(n, SLOT_DELIVERY, UINT64_MAX, &id);
    if (!d)
        return;
    s->parcels.outstanding++;
    d->delivery.run = run;
    d->delivery.target = target;
    d->delivery.number = number;
    d->body = blob_ref(hold);
    d->key = key;
    d->partition = partition;
    d->deadline_us = n->now_us + DELIVERY_US;
    if (c.record.bytes > 0 && partition < n->ring->settings.partitions) {
        deliver(n, id, d, &c, fx);
        return;
    }
    log_error(n->log, "parcel given up: it cannot be read for=%s partition=%u",
              node_label_of(n, target), partition);
    drop(id, n, d, fx);
}

static void run_listed(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                       struct gt_effects *fx)
{
    uint64_t target = s->parcels.target;
    struct reader entries = reader_of(slice_blob(r->entries));
    if (n->parcels.free_us < n->now_us)
        n->parcels.free_us = n->now_us;
    n->parcels.free_us += slice_blob(r->entries).bytes * 1000000 / PARCEL_BYTES_PER_S;
    s->parcels.more = r->more;
    s->parcels.outstanding = 1; /* the list itself, until all of it is under way */
    while (reader_left(&entries) > 0)
        entry_deliver(n, id, target, &entries, r->entries, fx);
    run_counted(n, id, false, fx);
}

void parcels_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                    struct gt_effects *fx)
{
    if (!r->result && s->parcels.target != 0) {
        run_listed(n, id, s, r, fx);
        return;
    }
    if (r->result)
        log_warn(n->log, "parcels not listed cause=%s", error_text(r->result));
    else
        targets_take(n, r, fx);
    coord_end(n, id, s);
}
