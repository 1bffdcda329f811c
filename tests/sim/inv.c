/*
 * INV (RULES): d in clock(X) means: X holds, for d's key, a state whose history contains d, or that
 * was reaped. Asserted after every write that a replica was asked for, and for everything it holds
 * when it has recovered.
 *
 * A dot of a life that is closed there need not be held either when no owner that runs has it alive
 * (RULES 8b): it was promised to nobody, or is dead.
 *
 * Reaped: a dot may cease to be included where a confirmation was given to storage, and only when
 * every owner that runs has all of its actor's dots up to it in its clock (RULES 19). From then on
 * it may be missing anywhere.
 *
 * Which key a dot is of is learnt from what passes by: the siblings of states, and the dots that
 * messages list. So a dot of two keys (one minted twice) is found here too. A dot that came into a
 * clock without any state or message that names it belongs to no key: it is found as foreign.
 *
 * So for parcels: one is acknowledged when it is durable, and dropped when its target has taken it.
 *
 * What was seen to hold of a dot at one life of a host is not looked at again unless its key
 * changes; a recovery looks at everything anew.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/mutant.h"
#include "engine/engine_private.h"
#include "tests/sim/world.h"

/* What was live in states of a key, and all that these included. */
struct heirs {
    struct heirs *next;
    uint32_t key;
    bool used; /* scratch of descends() */
    struct history history;
    uint32_t count;
    struct dot dots[];
};

struct inv_dot {
    struct dot dot;
    uint32_t key;
    uint32_t held; /* bit of a host: seen to be held in its present life */
    bool reaped;   /* somewhere, by right */
};

struct inv_key {
    struct blob *key;
    uint32_t unknown; /* bit of a host: the record there was bad */
};

/* One partition's keys and dots. */
struct inv_keys {
    struct inv_key *keys;
    uint32_t key_count, key_capacity;
    struct inv_dot *dots; /* ascending */
    uint32_t dot_count, dot_capacity;
    struct heirs *heirs; /* all that were seen, the newest first */
};

_Static_assert(SIM_HOSTS_MAX <= 32, "a bit for each host");

static struct inv_keys *keys_of(struct sim *s, uint32_t partition)
{
    if (!s->keys) {
        s->keys = calloc(s->config.settings.partitions, sizeof(*s->keys));
        gt_assert(s->keys);
    }
    gt_assert(partition < s->config.settings.partitions);
    return &s->keys[partition];
}

void inv_free(struct sim *s)
{
    for (uint32_t p = 0; s->keys && p < s->config.settings.partitions; p++) {
        for (uint32_t i = 0; i < s->keys[p].key_count; i++)
            blob_unref(s->keys[p].keys[i].key);
        while (s->keys[p].heirs) {
            struct heirs *next = s->keys[p].heirs->next;
            history_close(&s->keys[p].heirs->history);
            free(s->keys[p].heirs);
            s->keys[p].heirs = next;
        }
        free(s->keys[p].keys);
        free(s->keys[p].dots);
    }
    free(s->keys);
}

static uint32_t key_number(struct inv_keys *k, struct slice key)
{
    for (uint32_t i = 0; i < k->key_count; i++)
        if (slice_equal(slice_blob(k->keys[i].key), key))
            return i;
    k->keys = sim_grown(k->keys, k->key_count, &k->key_capacity, sizeof(*k->keys));
    k->keys[k->key_count] = (struct inv_key){.key = blob_copy(key.data, key.bytes)};
    gt_assert(k->keys[k->key_count].key);
    return k->key_count++;
}

static uint32_t dot_place(const struct inv_keys *k, struct dot d)
{
    uint32_t low = 0, high = k->dot_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (dot_compare(k->dots[middle].dot, d) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void dot_learn(struct sim *s, struct inv_keys *k, struct dot d, uint32_t key)
{
    uint32_t at = dot_place(k, d);
    if (at < k->dot_count && dot_compare(k->dots[at].dot, d) == 0) {
        if (k->dots[at].key != key)
            sim_break(s, "INV: dot (%llx,%llx,%llu) is of two keys, %.*s and %.*s",
                      (unsigned long long)d.actor.node, (unsigned long long)d.actor.incarnation,
                      (unsigned long long)d.seq, (int)k->keys[k->dots[at].key].key->bytes,
                      (const char *)k->keys[k->dots[at].key].key->data,
                      (int)k->keys[key].key->bytes, (const char *)k->keys[key].key->data);
        return;
    }
    k->dots = sim_grown(k->dots, k->dot_count, &k->dot_capacity, sizeof(*k->dots));
    memmove(&k->dots[at + 1], &k->dots[at], (k->dot_count - at) * sizeof(*k->dots));
    k->dots[at] = (struct inv_dot){.dot = d, .key = key};
    k->dot_count++;
}

static bool heirs_are(const struct heirs *h, const struct state *state, uint32_t key)
{
    uint32_t i = 0;
    while (i < h->count && i < state->sibling_count &&
           dot_compare(h->dots[i], state->siblings[i].dot) == 0)
        i++;
    return h->key == key && i == h->count && i == state->sibling_count;
}

/* What is live in the state, once for all the states that are alike. */
static struct heirs *heirs_of(struct inv_keys *k, const struct state *state, uint32_t key)
{
    for (struct heirs *h = k->heirs; h; h = h->next)
        if (heirs_are(h, state, key))
            return h;
    struct heirs *h = calloc(1, sizeof(*h) + state->sibling_count * sizeof(h->dots[0]));
    gt_assert(h);
    h->key = key;
    h->count = state->sibling_count;
    for (uint32_t i = 0; i < h->count; i++)
        h->dots[i] = state->siblings[i].dot;
    h->next = k->heirs;
    k->heirs = h;
    return h;
}

static void state_learn(struct sim *s, struct inv_keys *k, const struct state *state, uint32_t key)
{
    for (uint32_t i = 0; i < state->sibling_count; i++)
        dot_learn(s, k, state->siblings[i].dot, key);
    for (uint32_t i = 0; i < state->history.exact_count; i++)
        dot_learn(s, k, state->history.exact[i], key);
    if (history_empty(&state->history))
        return;
    int error = history_join(&heirs_of(k, state, key)->history, &state->history);
    gt_assert(!error);
}

static bool reaped(const struct inv_keys *k, struct dot d)
{
    uint32_t at = dot_place(k, d);
    return at < k->dot_count && dot_compare(k->dots[at].dot, d) == 0 && k->dots[at].reaped;
}

/*
 * The state includes the dot, or what came of it: where some state included it and did not have it
 * alive, all that was alive there is included here, or has descendants that are. So from what is
 * included here one goes on to what states had included of which all that lived is, until nothing
 * is added.
 */
static bool descends(struct inv_keys *k, const struct state *state, uint32_t key, struct dot d)
{
    struct history got;
    history_init(&got);
    int error = history_copy(&got, &state->history);
    for (struct heirs *h = k->heirs; h; h = h->next)
        h->used = h->key != key;
    for (bool more = true; more && !error && !history_covers(&got, d);) {
        more = false;
        for (struct heirs *h = k->heirs; h && !error; h = h->next) {
            uint32_t i = 0;
            while (!h->used && i < h->count &&
                   (history_covers(&got, h->dots[i]) || reaped(k, h->dots[i])))
                i++;
            if (h->used || i < h->count)
                continue;
            error = history_join(&got, &h->history);
            h->used = more = true;
        }
    }
    gt_assert(!error);
    bool found = history_covers(&got, d);
    history_close(&got);
    return found;
}

static bool includes(struct inv_keys *k, const struct state *state, const struct inv_dot *d)
{
    return history_covers(&state->history, d->dot) || d->reaped ||
           descends(k, state, d->key, d->dot);
}

/* What the replica holds of a key now, learnt from; false when it cannot be known there. */
static bool state_read(struct sim *s, uint32_t host, uint32_t partition, uint32_t key,
                       struct state *state, struct view *view)
{
    struct inv_keys *k = keys_of(s, partition);
    struct slice name = slice_blob(k->keys[key].key);
    int error = view_read(s->hosts[host].engine, partition, hash_bytes(name), name, state, view);
    if (error) {
        k->keys[key].unknown |= 1u << host;
        return false;
    }
    state_learn(s, k, state, key);
    return true;
}

static void not_held(struct sim *s, uint32_t host, uint32_t partition, const struct inv_dot *d,
                     const char *why)
{
    const struct blob *key = keys_of(s, partition)->keys[d->key].key;
    sim_break(s, "INV: the clock of %s in partition %u holds dot (%llx,%llx,%llu) of %.*s, %s",
              s->hosts[host].name, partition, (unsigned long long)d->dot.actor.node,
              (unsigned long long)d->dot.actor.incarnation, (unsigned long long)d->dot.seq,
              (int)key->bytes, (const char *)key->data, why);
}

/* It was away for too long, and has not heard of it yet: it fills when it does (RULES 8b). */
static bool refills(const struct ring *ring, const struct engine *e)
{
    int i = ring_member_by_id(ring, engine_identity(e)->node_id);
    return i >= 0 && ring->members[i].refill &&
           !lives_know(&engine_identity(e)->lives, ring->members[i].incarnation);
}

/* Every owner that runs has all of the dot's actor up to it. What the others have their owners'
 * confirmations said; they are asked when they run again. So it is with one that fills, which had
 * it when it confirmed, and votes no more until it has pulled from those that reaped (RULES 7). */
static bool may_be_reaped(struct sim *s, uint32_t partition, struct dot d)
{
    const struct ring *ring = sim_ring(s);
    for (uint32_t host = 0; ring && host < s->host_count; host++) {
        struct engine *e = s->hosts[host].engine;
        struct engine_partition p;
        if (s->hosts[host].role != SIM_NODE || !e)
            continue;
        int member = ring_member_by_id(ring, engine_identity(e)->node_id);
        if (member < 0 || ring_slot(ring, partition, (uint32_t)member) < 0 || refills(ring, e))
            continue;
        engine_partition(e, partition, &p);
        if (!engine_filling(e, partition) && !clock_base_covers(p.clock, d))
            return false;
    }
    return true;
}

/* No owner that runs has the dot live, but for who fills: it was away while the life was closed,
 * and drops the dot when its pull has passed the key. (What was acknowledged is at one that does
 * not fill; the checker of durability asks for it.) */
static bool nobody_has(struct sim *s, uint32_t partition, const struct inv_dot *d)
{
    const struct ring *ring = sim_ring(s);
    struct slice name = slice_blob(keys_of(s, partition)->keys[d->key].key);
    bool found = false;
    for (uint32_t host = 0; ring && host < s->host_count && !found; host++) {
        struct engine *e = s->hosts[host].engine;
        struct state state;
        struct view view;
        if (s->hosts[host].role != SIM_NODE || !e || refills(ring, e) ||
            engine_filling(e, partition))
            continue;
        state_init(&state);
        if (view_read(e, partition, hash_bytes(name), name, &state, &view) == 0) {
            found = state_find(&state, d->dot) != NULL;
            view_close(&view);
        }
        state_close(&state);
    }
    return !found;
}

/* What is not in the key's state any more and may have gone. All of it first: of a dot that is not
 * covered everywhere its heirs tell, which were reaped with the key. */
static void reaped_learn(struct sim *s, uint32_t partition, uint32_t key, const struct clock *clock,
                         const struct state *state)
{
    struct inv_keys *k = keys_of(s, partition);
    for (uint32_t i = 0; i < k->dot_count; i++) {
        struct inv_dot *d = &k->dots[i];
        if (d->key == key && clock_covers(clock, d->dot))
            d->reaped |=
                !history_covers(&state->history, d->dot) && may_be_reaped(s, partition, d->dot);
    }
}

/* All dots of one key, against its state. reaping: some may go. */
static void key_check(struct sim *s, uint32_t host, uint32_t partition, uint32_t key, bool reaping)
{
    struct inv_keys *k = keys_of(s, partition);
    struct state state;
    struct view view = {0};
    state_init(&state);
    if (state_read(s, host, partition, key, &state, &view)) {
        struct engine_partition p;
        engine_partition(s->hosts[host].engine, partition, &p);
        if (reaping)
            reaped_learn(s, partition, key, p.clock, &state);
        for (uint32_t i = 0; i < k->dot_count; i++) {
            struct inv_dot *d = &k->dots[i];
            if (d->key != key || !clock_covers(p.clock, d->dot))
                continue;
            bool included = includes(k, &state, d);
            if (!included && clock_closes(p.clock, d->dot.actor) && nobody_has(s, partition, d))
                included = d->reaped = true;
            if (!included)
                not_held(s, host, partition, d, "whose state there does not include it");
            d->held |= 1u << host;
        }
    }
    view_close(&view);
    state_close(&state);
}

/* Dots in the clock whose keys have not been looked at since. */
static void clock_check(struct sim *s, uint32_t host, uint32_t partition)
{
    struct inv_keys *k = keys_of(s, partition);
    struct engine_partition p;
    engine_partition(s->hosts[host].engine, partition, &p);
    for (uint32_t i = 0; i < k->dot_count; i++)
        if (!(k->dots[i].held & 1u << host) && clock_covers(p.clock, k->dots[i].dot) &&
            !(k->keys[k->dots[i].key].unknown & 1u << host))
            key_check(s, host, partition, k->dots[i].key, false);
}

/* What a node minted in earlier lives that ended with puts under way may have been superseded
 * before anybody saw it; so may what it mints while puts are under way that wait for room. */
static bool may_be_unseen(const struct sim *s, uint32_t host, struct actor actor)
{
    bool away = false;
    for (uint32_t i = 0; i < s->host_count; i++) {
        const struct host *h = &s->hosts[i];
        away |= h->role == SIM_NODE && !h->engine;
        const struct engine_identity *minter = h->engine ? engine_identity(h->engine) : NULL;
        if (!minter || actor.node != minter->node_id)
            continue;
        return actor.incarnation == minter->incarnation ? i == host && h->put_count > 0
                                                        : i == host || h->puts_cut_off;
    }
    return away; /* it may be the minter */
}

/* A dot that no state and no message ever named. */
static void foreign_check(struct sim *s, uint32_t host, uint32_t partition)
{
    struct inv_keys *k = keys_of(s, partition);
    struct engine_partition p;
    engine_partition(s->hosts[host].engine, partition, &p);
    for (uint32_t i = 0; i < p.clock->entry_count; i++) {
        const struct clock_entry *e = &p.clock->entries[i];
        if (may_be_unseen(s, host, e->actor))
            continue;
        for (uint64_t seq = 1; seq <= clock_highest(p.clock, e->actor); seq++) {
            struct dot d = {e->actor, seq};
            uint32_t at = dot_place(k, d);
            bool known = at < k->dot_count && dot_compare(k->dots[at].dot, d) == 0;
            if (clock_covers(p.clock, d) && !known)
                sim_break(s,
                          "INV: the clock of %s in partition %u holds dot (%llx,%llx,%llu) "
                          "that no state there was seen to have",
                          s->hosts[host].name, partition, (unsigned long long)d.actor.node,
                          (unsigned long long)d.actor.incarnation, (unsigned long long)seq);
        }
    }
}

/* What a confirmation has changed. */
static void reaping_check(struct sim *s, uint32_t host, uint32_t partition)
{
    uint64_t reaped = engine_metrics(s->hosts[host].engine)->reaped_count;
    if (reaped == s->hosts[host].reaped_seen)
        return;
    s->hosts[host].reaped_seen = reaped;
    for (uint32_t key = 0; key < keys_of(s, partition)->key_count; key++)
        key_check(s, host, partition, key, true);
}

/* ---- parcels --------------------------------------------------------------------------------- */

static struct parcel *parcel_of(const struct engine *e, const struct store_request *r)
{
    struct parcel_name name = {r->target, hash_bytes(r->key), r->partition, r->key};
    return parcels_find(&e->parcels, &name);
}

static uint32_t host_of_node(const struct sim *s, uint64_t node)
{
    for (uint32_t i = 0; i < s->host_count; i++)
        if (s->hosts[i].role == SIM_NODE && s->hosts[i].engine &&
            engine_identity(s->hosts[i].engine)->node_id == node)
            return i;
    return NONE;
}

/* The host has taken the dot. Where a record turned bad since, its clock was given up, and what
 * that covered stands in the doubt (RULES 16). */
static bool was_taken(const struct sim *s, uint32_t host, uint32_t partition, struct dot d)
{
    const struct engine *e = s->hosts[host].engine;
    const struct partition *p = partition < e->partition_count ? e->partitions[partition] : NULL;
    return p && (clock_covers(&p->clock, d) || clock_covers(&p->fill.doubt, d));
}

void inv_parcel_drop(struct sim *s, uint32_t host, const struct store_request *r)
{
    struct parcel_value v;
    struct blob *hold;
    if (r->kind != STORE_PARCEL || r->record.bytes > 0)
        return;
    struct engine *e = s->hosts[host].engine;
    uint32_t target = host_of_node(s, r->target);
    struct parcel *parcel = parcel_of(e, r);
    bool drops = parcel && (parcel->number == r->number || MUTANT(drop_newer_parcel));
    if (!drops || target == NONE || s->hosts[target].lost || parcel_read(e, parcel, &hold, &v) != 0)
        return;
    for (uint32_t i = 0; i < dots_count(v.dots); i++)
        if (!was_taken(s, target, r->partition, dots_at(v.dots, i)))
            sim_break(s, "INV: %s drops a parcel of %.*s that %s does not have",
                      s->hosts[host].name, (int)r->key.bytes, (const char *)r->key.data,
                      s->hosts[target].name);
    blob_unref(hold);
}

/* One that was admitted at once: its result may come when this is durable. */
static void parcel_note(struct sim *s, uint32_t host, const struct store_request *r)
{
    struct host *h = &s->hosts[host];
    struct parcel *parcel = parcel_of(h->engine, r);
    if (!parcel || parcel->number + 1 != h->engine->next_lsn)
        return;
    h->parcels = sim_grown(h->parcels, h->parcel_count, &h->parcel_capacity, sizeof(*h->parcels));
    h->parcels[h->parcel_count++] = (struct parcel_under_way){r->tag, parcel->number};
}

static void parcel_result(struct sim *s, uint32_t host, const struct store_result *r)
{
    struct host *h = &s->hosts[host];
    for (uint32_t i = 0; i < h->parcel_count; i++) {
        if (h->parcels[i].tag != r->tag)
            continue;
        if (!r->result && h->parcels[i].lsn > h->engine->durable_lsn)
            sim_break(s, "INV: %s acknowledges a parcel that is not durable", h->name);
        h->parcels[i] = h->parcels[--h->parcel_count];
        return;
    }
}

void inv_stored(struct sim *s, uint32_t host, const struct store_request *r)
{
    if (r->kind == STORE_CONFIRM)
        reaping_check(s, host, r->partition);
    /* A parcel is no state of its keeper: nothing may enter its clock. */
    if (r->kind != STORE_PUT && r->kind != STORE_MERGE && r->kind != STORE_PARCEL)
        return;
    struct host *h = &s->hosts[host];
    struct inv_keys *k = keys_of(s, r->partition);
    uint32_t key = key_number(k, r->key);
    if (r->kind == STORE_PARCEL && r->record.bytes > 0)
        parcel_note(s, host, r);
    if (r->kind == STORE_PUT) {
        h->puts = sim_grown(h->puts, h->put_count, &h->put_capacity, sizeof(*h->puts));
        h->puts[h->put_count++] = (struct put_under_way){r->tag, r->partition, key};
    }
    for (uint32_t i = 0; i < dots_count(r->dots); i++)
        dot_learn(s, k, dots_at(r->dots, i), key);
    k->keys[key].unknown &= ~(1u << host);
    key_check(s, host, r->partition, key, false);
    clock_check(s, host, r->partition);
    if (s->stores++ % 8 == 0)
        foreign_check(s, host, r->partition);
}

void inv_result(struct sim *s, uint32_t host, const struct store_result *r)
{
    struct host *h = &s->hosts[host];
    if (r->kind == STORE_PARCEL)
        parcel_result(s, host, r);
    for (uint32_t i = 0; r->kind == STORE_PUT && i < h->put_count; i++) {
        struct put_under_way put = h->puts[i];
        if (put.tag != r->tag)
            continue;
        h->puts[i] = h->puts[--h->put_count];
        for (uint32_t d = 0; r->dots && d < dots_count(slice_blob(r->dots)); d++)
            dot_learn(s, keys_of(s, put.partition), dots_at(slice_blob(r->dots), d), put.key);
        return;
    }
}

void inv_recovered(struct sim *s, uint32_t host)
{
    s->hosts[host].puts_cut_off |= s->hosts[host].put_count > 0;
    s->hosts[host].put_count = s->hosts[host].parcel_count = 0;
    s->hosts[host].reaped_seen = 0;
    for (uint32_t p = 0; s->keys && p < s->config.settings.partitions; p++) {
        struct inv_keys *k = &s->keys[p];
        for (uint32_t i = 0; i < k->dot_count; i++)
            k->dots[i].held &= ~(1u << host);
        for (uint32_t i = 0; i < k->key_count; i++) {
            k->keys[i].unknown &= ~(1u << host);
            key_check(s, host, p, i, false);
        }
        foreign_check(s, host, p);
    }
}
