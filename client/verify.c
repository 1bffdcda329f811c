#include "client/verify.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"

#define HELLO_ID   1
#define RUN_IDS_AT (1ull << 32)

void verifier_init(struct verifier *v, const struct ring *ring, uint64_t timeout_us)
{
    uint32_t partitions = ring->settings.partitions;
    gt_assert(ring->formed);
    *v = (struct verifier){.ring = ring, .timeout_us = timeout_us, .next_id = RUN_IDS_AT};
    v->partitions = calloc(partitions, sizeof(*v->partitions));
    v->queue = calloc(partitions, sizeof(*v->queue));
    v->members = calloc(ring->member_count, sizeof(*v->members));
    gt_assert(v->partitions && v->queue && v->members); /* a tool has nothing else to do */
}

static void found_release(struct verifier *v, struct verify_key *keys, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        blob_unref(keys[i].key);
    v->named -= count;
    free(keys);
}

static void run_release(struct verifier *v, struct verify_run *r)
{
    for (uint32_t i = 0; i < r->owner_count; i++) {
        blob_unref(r->owners[i].row);
        blob_unref(r->owners[i].last);
        blob_unref(r->owners[i].body);
    }
    found_release(v, r->seen, r->seen_count);
    *r = (struct verify_run){0};
}

void verifier_close(struct verifier *v)
{
    for (uint32_t i = 0; i < VERIFY_WINDOW; i++)
        run_release(v, &v->runs[i]);
    for (uint32_t p = 0; p < v->ring->settings.partitions; p++)
        found_release(v, v->partitions[p].found, v->partitions[p].found_count);
    free(v->partitions);
    free(v->queue);
    free(v->members);
    free(v->unsound);
}

bool verifier_equal(const struct verifier *v)
{
    return v->equal_count == v->ring->settings.partitions;
}

static const struct arc *arc_of(const struct verifier *v, const struct verify_run *r)
{
    return &v->ring->arcs[r->partition];
}

/* ---- the end of a look ----------------------------------------------------------------------- */

/* What an owner counts is what was read, unless it was being written to. */
static bool sound(const struct verify_owner *o)
{
    return !o->still ||
           (o->records + o->bad == o->counted && (o->bad > 0 || o->digest_sum == o->counted_sum));
}

static void unsound_add(struct verifier *v, const struct verify_run *r, uint32_t owner)
{
    if (v->unsound_count == v->unsound_capacity) {
        v->unsound_capacity = v->unsound_capacity ? v->unsound_capacity * 2 : 16;
        v->unsound = realloc(v->unsound, v->unsound_capacity * sizeof(*v->unsound));
        gt_assert(v->unsound);
    }
    const struct verify_owner *o = &r->owners[owner];
    v->unsound[v->unsound_count++] = (struct verify_unsound){
        r->partition, arc_of(v, r)->owners[owner], o->records + o->bad, o->counted};
}

/* The last look at a partition: what it adds to the result. */
static void partition_end(struct verifier *v, struct verify_run *r, bool agreed)
{
    struct verify_partition *p = &v->partitions[r->partition];
    uint64_t most = 0, changing = 0;
    bool whole = true;
    for (uint32_t i = 0; i < r->owner_count; i++) {
        const struct verify_owner *o = &r->owners[i];
        struct verify_member *m = &v->members[arc_of(v, r)->owners[i]];
        most = o->records + o->bad > most ? o->records + o->bad : most;
        m->bad += o->bad;
        whole = whole && !o->error && sound(o);
        if (!o->error && !sound(o))
            unsound_add(v, r, i);
        if (!o->error)
            continue;
        m->left_out++;
        if (!m->error)
            m->error = o->error;
    }
    for (uint32_t i = 0; i < p->found_count; i++)
        changing += p->found[i].changing;
    v->keys += most;
    v->changing += changing;
    v->differing += agreed ? 0 : p->found_total - changing;
    v->equal_count += agreed && whole;
    v->done_count++;
    p->stage = agreed ? VERIFY_EQUAL : VERIFY_UNEQUAL;
}

static bool found_same(const struct verify_key *a, const struct verify_key *b)
{
    return memcmp(a->held, b->held, sizeof(a->held)) == 0 &&
           memcmp(a->digests, b->digests, sizeof(a->digests)) == 0;
}

static int key_order(struct slice a, struct slice b)
{
    uint64_t ha = hash_bytes(a), hb = hash_bytes(b);
    return ha != hb ? (ha < hb ? -1 : 1) : slice_compare(a, b);
}

/* Of what differs at this look, what differed at all before it: those two in order. When some were
 * not named, this look stands for itself. */
static void found_keep(struct verifier *v, struct verify_partition *p, struct verify_run *r)
{
    bool named = r->seen_total == r->seen_count && p->found_total == p->found_count;
    uint32_t kept = 0;
    for (uint32_t i = 0, k = 0; p->looks > 1 && i < r->seen_count; i++) {
        struct verify_key *now = &r->seen[i];
        while (k < p->found_count &&
               key_order(slice_blob(p->found[k].key), slice_blob(now->key)) < 0)
            k++;
        bool before =
            k < p->found_count && slice_equal(slice_blob(p->found[k].key), slice_blob(now->key));
        now->changing = before && !found_same(&p->found[k], now);
        if (before || !named) {
            r->seen[kept++] = *now;
            continue;
        }
        blob_unref(now->key);
        v->named--;
    }
    if (p->looks > 1) {
        r->seen_total -= r->seen_count - kept;
        r->seen_count = kept;
    }
    found_release(v, p->found, p->found_count);
    p->found = r->seen;
    p->found_count = r->seen_count;
    p->found_total = r->seen_total;
    r->seen = NULL;
    r->seen_count = 0;
}

static bool sums_equal(const struct verify_run *r)
{
    const struct verify_owner *first = NULL;
    for (uint32_t i = 0; i < r->owner_count; i++) {
        const struct verify_owner *o = &r->owners[i];
        if (o->error)
            continue;
        if (o->bad > 0 ||
            (first && (o->records != first->records || o->digest_sum != first->digest_sum)))
            return false;
        first = o;
    }
    return true;
}

/* Every owner of the partition was heard, or cannot be. */
static void look_end(struct verifier *v, struct verify_run *r)
{
    struct verify_partition *p = &v->partitions[r->partition];
    if (p->looks > 0)
        found_keep(v, p, r);
    bool agreed = p->looks > 0 ? p->found_total == 0 : sums_equal(r);
    bool again = !agreed;
    for (uint32_t i = 0; i < r->owner_count; i++) {
        const struct verify_owner *o = &r->owners[i];
        /* Refused for now, perhaps; one that has gone will not be back. */
        again |= o->error && v->members[arc_of(v, r)->owners[i]].link == LINK_READY;
        again |= !o->error && !sound(o);
    }
    if (!again || p->looks == VERIFY_LOOKS) {
        partition_end(v, r, agreed);
    } else {
        p->looks++;
        p->stage = VERIFY_WAITS;
        p->due_us = v->now_us + VERIFY_PAUSE_US;
        uint32_t size = v->ring->settings.partitions;
        v->queue[(v->queue_head + v->queue_count++) % size] = r->partition;
    }
    run_release(v, r);
    v->active--;
}

/* ---- a look ---------------------------------------------------------------------------------- */

static void ask(struct verifier *v, struct verify_run *r, uint32_t owner, struct gt_effects *fx)
{
    struct verify_owner *o = &r->owners[owner];
    struct msg m = {.type = MSG_VERIFY, .id = r->id + owner, .epoch = v->ring->epoch};
    m.scan.head.priority = PRIORITY_REPAIR;
    m.scan.head.deadline_ms = VERIFY_SILENT_US / 1000;
    m.scan.head.flags = v->partitions[r->partition].looks > 0 ? REQUEST_KEYS_ONLY : 0;
    m.scan.partition = r->partition;
    m.scan.from_start = !o->last;
    m.scan.from_key = slice_blob(o->last);
    m.scan.from_hash = o->last ? hash_bytes(m.scan.from_key) : 0;
    o->asked = true;
    r->waiting++;
    r->silent_us = v->now_us + VERIFY_SILENT_US; /* all are asked at one time */
    effects_send(fx, arc_of(v, r)->owners[owner] + 1u, &m);
}

/* The next key of the owner's run, if there is one. */
static void key_next(struct verify_owner *o)
{
    o->key = slice_of(NULL, 0);
    if (reader_left(&o->keys) == 0)
        return;
    o->key = read_bytes(&o->keys);
    o->digest = read_u64(&o->keys);
    if (o->keys.failed || o->key.bytes == 0)
        o->error = GT_EPROTO;
}

static void seen_add(struct verifier *v, struct verify_run *r, const struct verify_key *found,
                     struct slice key)
{
    r->seen_total++;
    if (v->named == VERIFY_KEYS_MAX)
        return;
    if (r->seen_count == r->seen_capacity) {
        r->seen_capacity = r->seen_capacity ? r->seen_capacity * 2 : 16;
        r->seen = realloc(r->seen, r->seen_capacity * sizeof(*r->seen));
        gt_assert(r->seen);
    }
    struct verify_key *added = &r->seen[r->seen_count++];
    *added = *found;
    added->key = blob_copy(key.data, key.bytes);
    gt_assert(added->key);
    v->named++;
}

/* The lowest key that any owner shows; empty: none does. */
static struct slice key_lowest(const struct verify_run *r)
{
    struct slice lowest = slice_of(NULL, 0);
    for (uint32_t i = 0; i < r->owner_count; i++) {
        const struct verify_owner *o = &r->owners[i];
        if (!o->error && o->key.bytes > 0 && (lowest.bytes == 0 || key_order(o->key, lowest) < 0))
            lowest = o->key;
    }
    return lowest;
}

/* What every owner has of that key, which is passed over. */
static void key_compare(struct verifier *v, struct verify_run *r, struct slice key)
{
    struct verify_key found = {0};
    bool first = true, same = true;
    uint8_t held = HELD_NOT_ASKED;
    uint64_t digest = 0;
    for (uint32_t i = 0; i < r->owner_count; i++) {
        struct verify_owner *o = &r->owners[i];
        if (o->error)
            continue;
        bool here = o->key.bytes > 0 && slice_equal(o->key, key);
        if (MUTANT(verify_excuses_bad) && here && o->digest == 0) {
            found.held[i] = HELD_BAD;
            continue;
        }
        found.held[i] = !here ? HELD_ABSENT : o->digest == 0 ? HELD_BAD : HELD;
        found.digests[i] = here ? o->digest : 0;
        same = same && found.held[i] != HELD_BAD &&
               (first || (found.held[i] == held && found.digests[i] == digest));
        held = found.held[i];
        digest = found.digests[i];
        first = false;
    }
    if (!same)
        seen_add(v, r, &found, key);
    /* The key borrows from one of them: that one's bytes stay until its next run. */
    for (uint32_t i = 0; i < r->owner_count; i++) {
        struct verify_owner *o = &r->owners[i];
        if (found.held[i] > HELD_ABSENT)
            key_next(o);
    }
}

/* On with the look until an owner must be asked for its next run. */
static void look_on(struct verifier *v, struct verify_run *r, struct gt_effects *fx)
{
    for (;;) {
        for (uint32_t i = 0; i < r->owner_count; i++) {
            struct verify_owner *o = &r->owners[i];
            if (!o->error && o->key.bytes == 0 && o->more)
                ask(v, r, i, fx);
        }
        if (r->waiting > 0)
            return;
        struct slice key = key_lowest(r);
        if (key.bytes == 0) {
            look_end(v, r);
            return;
        }
        key_compare(v, r, key);
    }
}

static void look_begin(struct verifier *v, struct verify_run *r, uint32_t partition,
                       struct gt_effects *fx)
{
    const struct arc *arc = &v->ring->arcs[partition];
    *r = (struct verify_run){
        .used = true, .partition = partition, .owner_count = arc->owner_count, .id = v->next_id};
    v->next_id += REPLICAS_MAX;
    v->active++;
    v->partitions[partition].stage = VERIFY_RUNS;
    for (uint32_t i = 0; i < r->owner_count; i++) {
        const struct verify_member *m = &v->members[arc->owners[i]];
        if (m->link == LINK_READY)
            r->owners[i].more = true;
        else
            r->owners[i].error = m->error;
    }
    look_on(v, r, fx);
}

/* The row of the partition: its clock moved? what does it count? */
static void row_take(struct verify_owner *o, struct slice row)
{
    struct reader in = reader_of(row);
    read_varint(&in);
    read_bytes(&in);
    o->counted = read_varint(&in);
    o->counted_sum = read_u64(&in);
    if (in.failed)
        o->error = GT_EPROTO;
    if (!o->row) {
        o->row = blob_copy(row.data, row.bytes);
        gt_assert(o->row);
    }
    o->still = slice_equal(slice_blob(o->row), row);
}

static void run_take(struct verify_owner *o, const struct gt_event *ev)
{
    const struct msg *m = ev->message.msg;
    struct slice last = m->verify_reply.last_key;
    o->error = m->verify_reply.head.error;
    o->more = m->verify_reply.head.flags & REPLY_MORE;
    /* Runs that do not go on would never end. */
    if (!o->error && o->more &&
        (last.bytes == 0 || (o->last && key_order(slice_blob(o->last), last) >= 0)))
        o->error = GT_EPROTO;
    if (o->error)
        return;
    blob_unref(o->last);
    o->last = blob_copy(last.data, last.bytes);
    gt_assert(o->last);
    o->records += m->verify_reply.records;
    o->digest_sum += m->verify_reply.digest_sum;
    o->bad += m->verify_reply.bad;
    row_take(o, m->verify_reply.row);
    blob_unref(o->body);
    o->body = blob_ref(ev->message.body);
    o->keys = reader_of(m->verify_reply.keys);
    key_next(o);
}

static void on_run(struct verifier *v, const struct gt_event *ev, struct gt_effects *fx)
{
    for (uint32_t i = 0; i < VERIFY_WINDOW; i++) {
        struct verify_run *r = &v->runs[i];
        uint64_t owner = ev->message.msg->id - r->id;
        if (!r->used || owner >= r->owner_count || !r->owners[owner].asked ||
            arc_of(v, r)->owners[owner] + 1u != ev->peer)
            continue;
        r->owners[owner].asked = false;
        r->waiting--;
        run_take(&r->owners[owner], ev);
        if (r->waiting == 0)
            look_on(v, r, fx);
        return;
    }
}

/* ---- members --------------------------------------------------------------------------------- */

static void member_gone(struct verifier *v, uint32_t member, int error, struct gt_effects *fx)
{
    struct verify_member *m = &v->members[member];
    m->link = LINK_GONE;
    m->error = error;
    effects_disconnect(fx, member + 1u);
    for (uint32_t k = 0; k < VERIFY_WINDOW; k++) {
        struct verify_run *r = &v->runs[k];
        for (uint32_t i = 0; i < r->owner_count; i++) {
            if (!r->owners[i].asked || arc_of(v, r)->owners[i] != member)
                continue;
            r->owners[i].asked = false;
            r->owners[i].error = error;
            r->waiting--;
            if (r->waiting == 0)
                look_on(v, r, fx);
            break;
        }
    }
}

static void greet(const struct verifier *v, uint64_t peer, struct gt_effects *fx)
{
    struct msg hello = {.type = MSG_HELLO,
                        .id = HELLO_ID,
                        .hello = {.role = ROLE_CLIENT,
                                  .protocol_min = MSG_PROTOCOL_MIN,
                                  .protocol_max = MSG_PROTOCOL_MAX,
                                  .label = slice_text("gtstore-admin")}};
    memcpy(hello.hello.cluster_id, v->ring->cluster_id, CLUSTER_ID_BYTES);
    effects_send(fx, peer, &hello);
}

static void on_hello_reply(struct verifier *v, uint32_t member, const struct msg *m,
                           struct gt_effects *fx)
{
    if (v->members[member].link != LINK_WAITS)
        return;
    if (m->hello.error)
        member_gone(v, member, m->hello.error, fx);
    else if (m->hello.node != v->ring->members[member].id)
        member_gone(v, member, GT_EUNREACHABLE, fx); /* another one has its address now */
    else
        v->members[member].link = LINK_READY;
}

static void on_start(struct verifier *v, struct gt_effects *fx)
{
    v->end_us = v->now_us + v->timeout_us;
    v->greet_us = v->now_us + VERIFY_GREET_US;
    for (uint32_t i = 0; i < v->ring->member_count; i++) {
        if (ring_tokens_of(v->ring, i) == 0)
            continue;
        v->members[i].link = LINK_WAITS;
        effects_connect(fx, i + 1u, &v->ring->members[i].address);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void finish(struct verifier *v, int error, struct gt_effects *fx)
{
    v->done = true;
    effects_add(fx, GT_DONE)->done.error = error;
}

/* Who was asked has answered, or has not in time. */
static bool greeting_over(struct verifier *v, struct gt_effects *fx)
{
    uint32_t ready = 0;
    for (uint32_t i = 0; i < v->ring->member_count; i++) {
        if (v->members[i].link == LINK_WAITS && v->now_us >= v->greet_us)
            member_gone(v, i, GT_ETIMEOUT, fx);
        if (v->members[i].link == LINK_WAITS)
            return false;
        ready += v->members[i].link == LINK_READY;
    }
    v->greeted = true;
    if (ready == 0)
        finish(v, GT_EUNREACHABLE, fx);
    return ready > 0;
}

/* The next partition to be looked at, UINT32_MAX when none is due. */
static uint32_t partition_next(struct verifier *v)
{
    uint32_t partitions = v->ring->settings.partitions;
    if (v->queue_count > 0) {
        uint32_t first = v->queue[v->queue_head];
        if (v->partitions[first].due_us <= v->now_us) {
            v->queue_head = (v->queue_head + 1) % partitions;
            v->queue_count--;
            return first;
        }
    }
    return v->next < partitions ? v->next++ : UINT32_MAX;
}

static void looks_begin(struct verifier *v, struct gt_effects *fx)
{
    while (v->active < VERIFY_WINDOW) {
        uint32_t partition = partition_next(v), free_run = 0;
        if (partition == UINT32_MAX)
            break;
        while (v->runs[free_run].used)
            free_run++;
        look_begin(v, &v->runs[free_run], partition, fx);
    }
    if (v->done_count == v->ring->settings.partitions)
        finish(v, 0, fx);
}

static void silence(struct verifier *v, struct gt_effects *fx)
{
    for (uint32_t k = 0; k < VERIFY_WINDOW; k++)
        for (uint32_t i = 0; i < v->runs[k].owner_count; i++)
            if (v->runs[k].silent_us <= v->now_us && v->runs[k].owners[i].asked)
                member_gone(v, arc_of(v, &v->runs[k])->owners[i], GT_ETIMEOUT, fx);
}

static void on_message(struct verifier *v, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    if (m->type == MSG_HELLO_REPLY)
        on_hello_reply(v, (uint32_t)ev->peer - 1, m, fx);
    else if (m->type == MSG_VERIFY_REPLY)
        on_run(v, ev, fx);
}

static void step(void *self, const struct gt_event *ev, struct gt_effects *fx)
{
    struct verifier *v = self;
    if (v->done)
        return;
    v->now_us = ev->now_us;
    if (ev->kind == GT_START)
        on_start(v, fx);
    else if (ev->kind == GT_LINK_UP && v->members[ev->peer - 1].link == LINK_WAITS)
        greet(v, ev->peer, fx);
    else if (ev->kind == GT_LINK_DOWN && v->members[ev->peer - 1].link != LINK_GONE)
        member_gone(v, (uint32_t)ev->peer - 1, GT_EUNREACHABLE, fx);
    else if (ev->kind == GT_MESSAGE)
        on_message(v, ev, fx);
    if (v->now_us >= v->end_us) {
        finish(v, 0, fx);
        return;
    }
    if (!v->greeted && !greeting_over(v, fx))
        return;
    silence(v, fx);
    looks_begin(v, fx);
}

static uint64_t deadline(const void *self)
{
    const struct verifier *v = self;
    if (v->done)
        return UINT64_MAX;
    uint64_t at = v->end_us;
    if (!v->greeted)
        return v->greet_us < at ? v->greet_us : at;
    for (uint32_t k = 0; k < VERIFY_WINDOW; k++)
        if (v->runs[k].used && v->runs[k].silent_us < at)
            at = v->runs[k].silent_us;
    if (v->queue_count > 0 && v->active < VERIFY_WINDOW) {
        uint64_t due = v->partitions[v->queue[v->queue_head]].due_us;
        at = due < at ? due : at;
    }
    return at;
}

struct gt_machine verifier_machine(struct verifier *v)
{
    return (struct gt_machine){v, step, deadline};
}
