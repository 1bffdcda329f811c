/*
 * INV (RULES): d in clock(X) means: X holds, for d's key, a state whose history contains d, or that
 * was reaped. Asserted after every write that a replica was asked for, and for everything it holds
 * when it has recovered.
 *
 * A dot of a life that is closed there need not be held either when no owner that runs has it alive
 * (RULES 8b): it was promised to nobody, or is dead.
 *
 * Nor one whose write has another dot that was superseded there: it is taken away for that.
 *
 * Reaped: a dot may cease to be included where a confirmation was given to storage, and only when
 * every owner that runs has all of its actor's dots up to it in its clock (RULES 19). From then on
 * it may be missing anywhere.
 *
 * Which key a dot is of is learnt from what passes by: the siblings of states, and the dots that
 * messages list. So a dot of two keys (one minted twice) is found here too. A dot that came into a
 * clock without any state or message that names it belongs to no key: it is found as foreign.
 *
 * Answered is a write when its record is durable.
 *
 * So for parcels: one is acknowledged when it is durable, and dropped when its target has taken it.
 *
 * What a node gives up because it owns the partition no more it holds no more, and its clock says
 * so in the same moment. By no map that the manager has told may it own the partition then.
 *
 * What was seen to hold of a dot at one life of a host is not looked at again unless its key
 * changes; a recovery looks at everything anew. So a write costs what its key has seen, and not
 * what the partition has: dots are kept by key, and each host has a list of those that it was not
 * yet seen to hold.
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
    bool used; /* scratch of descends() */
    struct history history;
    uint32_t count;
    struct dot dots[];
};

struct inv_dot {
    struct dot dot;
    uint32_t key;
    uint8_t op[OP_ID_BYTES]; /* of its write; zero: not seen alive */
    uint32_t held;           /* bit of a host: seen to be held in its present life */
    bool reaped;             /* somewhere, by right */
};

struct inv_dots {
    struct inv_dot **items;
    uint32_t count, capacity;
};

/* A record whose state includes all dots of its key, learnt from. */
struct learnt {
    struct blob *record; /* NULL: none */
    uint64_t lessons;    /* as many as the key had had then */
};

#define HEIRS_ROWS  64
#define LEARNT_KEPT 2

struct inv_key {
    struct blob *key;
    uint32_t unknown;                /* bit of a host: the record there was bad */
    struct inv_dots dots;            /* ascending */
    struct heirs *heirs[HEIRS_ROWS]; /* all that were seen, the newest of a row first */
    uint64_t lessons;                /* dots that were new */
    struct learnt learnt[LEARNT_KEPT];
    uint32_t learnt_next;
};

/* One partition's keys and dots. */
struct inv_keys {
    struct inv_key *keys;
    uint32_t key_count, key_capacity;
    struct inv_dots dots; /* ascending; the owner of them */
    /* Those of which a host may not have been seen to hold them, in no order. */
    struct inv_dots awaited[SIM_HOSTS_MAX];
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

static void key_free(struct inv_key *k)
{
    for (uint32_t row = 0; row < HEIRS_ROWS; row++)
        while (k->heirs[row]) {
            struct heirs *next = k->heirs[row]->next;
            history_close(&k->heirs[row]->history);
            free(k->heirs[row]);
            k->heirs[row] = next;
        }
    for (uint32_t i = 0; i < LEARNT_KEPT; i++)
        blob_unref(k->learnt[i].record);
    free(k->dots.items);
    blob_unref(k->key);
}

void inv_free(struct sim *s)
{
    for (uint32_t p = 0; s->keys && p < s->config.settings.partitions; p++) {
        struct inv_keys *k = &s->keys[p];
        for (uint32_t i = 0; i < k->key_count; i++)
            key_free(&k->keys[i]);
        for (uint32_t i = 0; i < k->dots.count; i++)
            free(k->dots.items[i]);
        for (uint32_t host = 0; host < SIM_HOSTS_MAX; host++)
            free(k->awaited[host].items);
        free(k->keys);
        free(k->dots.items);
    }
    free(s->keys);
    state_close(&s->looked);
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

static uint32_t dot_place(const struct inv_dots *dots, struct dot d)
{
    uint32_t low = 0, high = dots->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (dot_compare(dots->items[middle]->dot, d) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* NULL: no state and no message has named it. */
static struct inv_dot *dot_find(const struct inv_keys *k, struct dot d)
{
    uint32_t at = dot_place(&k->dots, d);
    return at < k->dots.count && dot_compare(k->dots.items[at]->dot, d) == 0 ? k->dots.items[at]
                                                                             : NULL;
}

static void dot_insert(struct inv_dots *dots, uint32_t at, struct inv_dot *d)
{
    dots->items = sim_grown(dots->items, dots->count, &dots->capacity, sizeof(*dots->items));
    memmove(&dots->items[at + 1], &dots->items[at], (dots->count - at) * sizeof(*dots->items));
    dots->items[at] = d;
    dots->count++;
}

static void dot_learn(struct sim *s, struct inv_keys *k, struct dot d, uint32_t key)
{
    const struct inv_dot *known = dot_find(k, d);
    if (known) {
        if (known->key != key)
            sim_break(s, "INV: dot (%llx,%llx,%llu) is of two keys, %.*s and %.*s",
                      (unsigned long long)d.actor.node, (unsigned long long)d.actor.incarnation,
                      (unsigned long long)d.seq, (int)k->keys[known->key].key->bytes,
                      (const char *)k->keys[known->key].key->data, (int)k->keys[key].key->bytes,
                      (const char *)k->keys[key].key->data);
        return;
    }
    struct inv_dot *made = calloc(1, sizeof(*made));
    gt_assert(made);
    made->dot = d;
    made->key = key;
    dot_insert(&k->dots, dot_place(&k->dots, d), made);
    dot_insert(&k->keys[key].dots, dot_place(&k->keys[key].dots, d), made);
    k->keys[key].lessons++;
    for (uint32_t host = 0; host < s->host_count; host++)
        if (s->hosts[host].role == SIM_NODE)
            dot_insert(&k->awaited[host], k->awaited[host].count, made);
}

static bool heirs_are(const struct heirs *h, const struct state *state)
{
    uint32_t i = 0;
    while (i < h->count && i < state->sibling_count &&
           dot_compare(h->dots[i], state->siblings[i].dot) == 0)
        i++;
    return i == h->count && i == state->sibling_count;
}

/* What is live in the state, once for all the states that are alike. */
static struct heirs *heirs_of(struct inv_key *k, const struct state *state)
{
    uint64_t hash = state->sibling_count;
    for (uint32_t i = 0; i < state->sibling_count; i++)
        hash = hash * 31 + (state->siblings[i].dot.seq ^ state->siblings[i].dot.actor.incarnation);
    struct heirs **row = &k->heirs[hash % HEIRS_ROWS];
    for (struct heirs *h = *row; h; h = h->next)
        if (heirs_are(h, state))
            return h;
    struct heirs *h = calloc(1, sizeof(*h) + state->sibling_count * sizeof(h->dots[0]));
    gt_assert(h);
    h->count = state->sibling_count;
    for (uint32_t i = 0; i < h->count; i++)
        h->dots[i] = state->siblings[i].dot;
    h->next = *row;
    *row = h;
    return h;
}

/* A walk along a history beside an ascending list of dots. */
struct walk {
    const struct history *history;
    uint32_t vector, exact;
};

static bool walk_covers(struct walk *w, struct dot d)
{
    const struct history *h = w->history;
    while (w->vector < h->vector_count && actor_compare(h->vector[w->vector].actor, d.actor) < 0)
        w->vector++;
    while (w->exact < h->exact_count && dot_compare(h->exact[w->exact], d) < 0)
        w->exact++;
    bool listed = w->vector < h->vector_count &&
                  actor_compare(h->vector[w->vector].actor, d.actor) == 0 &&
                  d.seq <= h->vector[w->vector].seq;
    return listed || (w->exact < h->exact_count && dot_compare(h->exact[w->exact], d) == 0) ||
           history_closes(h, d.actor);
}

static void state_learn(struct sim *s, struct inv_keys *k, const struct state *state, uint32_t key)
{
    for (uint32_t i = 0; i < state->sibling_count; i++) {
        dot_learn(s, k, state->siblings[i].dot, key);
        struct inv_dot *known = dot_find(k, state->siblings[i].dot);
        memcpy(known->op, state->siblings[i].op, OP_ID_BYTES);
    }
    for (uint32_t i = 0; i < state->history.exact_count; i++)
        dot_learn(s, k, state->history.exact[i], key);
    if (history_empty(&state->history))
        return;
    int error = history_join(&heirs_of(&k->keys[key], state)->history, &state->history);
    gt_assert(!error);
}

static bool reaped(const struct inv_keys *k, struct dot d)
{
    const struct inv_dot *known = dot_find(k, d);
    return known && known->reaped;
}

/* Whether all that lives in the heirs is in the history, or has gone by right; once for each. */
static bool heirs_take(const struct inv_keys *k, struct heirs *h, const struct history *got)
{
    uint32_t i = 0;
    while (!h->used && i < h->count && (history_covers(got, h->dots[i]) || reaped(k, h->dots[i])))
        i++;
    if (h->used || i < h->count)
        return false;
    h->used = true;
    return true;
}

/*
 * The state includes what came of the dot: where some state included it and did not have it alive,
 * all that was alive there is included here, or has descendants that are. So from what is included
 * here one goes on to what states had included of which all that lived is, until nothing is added.
 */
static bool descends(const struct inv_keys *k, const struct state *state, const struct inv_dot *d)
{
    const struct inv_key *key = &k->keys[d->key];
    struct history got;
    history_init(&got);
    int error = history_copy(&got, &state->history);
    for (uint32_t row = 0; row < HEIRS_ROWS; row++)
        for (struct heirs *h = key->heirs[row]; h; h = h->next)
            h->used = false;
    for (bool more = true; more && !error && !history_covers(&got, d->dot);) {
        more = false;
        for (uint32_t row = 0; row < HEIRS_ROWS; row++)
            for (struct heirs *h = key->heirs[row]; h && !error; h = h->next)
                if (heirs_take(k, h, &got)) {
                    error = history_join(&got, &h->history);
                    more = true;
                }
    }
    gt_assert(!error);
    bool found = history_covers(&got, d->dot);
    history_close(&got);
    return found;
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

/* By its own map it has no part any more, and it has dropped what it had: it confirmed before. */
static bool gave_up(struct sim *s, uint32_t host, uint32_t partition)
{
    const struct ring *own = node_ring(sim_node(s, host));
    int i = own ? ring_member_by_id(own, engine_identity(s->hosts[host].engine)->node_id) : -1;
    enum ring_part part = i >= 0 ? ring_part(own, partition, (uint32_t)i) : PART_NONE;
    return own && (part == PART_NONE || part == PART_LEAVER) &&
           !engine_holds(s->hosts[host].engine, partition);
}

/* Every owner that runs has all of the dot's actor up to it. What the others have their owners'
 * confirmations said; they are asked when they run again. So it is with one that fills, which had
 * it when it confirmed, and votes no more until it has pulled from those that reaped (RULES 7); and
 * with one that was rolled back and is about to be told: what it confirmed may still be under way.
 */
static bool may_be_reaped(struct sim *s, uint32_t reaper, uint32_t partition, struct dot d)
{
    /* By the map of who reaps: one who has not heard of a move asks the owners of before. Whoever
     * comes is below its floor, and is sent every key. */
    const struct ring *ring = node_ring(sim_node(s, reaper));
    for (uint32_t host = 0; ring && host < s->host_count; host++) {
        struct engine *e = s->hosts[host].engine;
        struct engine_partition p;
        if (s->hosts[host].role != SIM_NODE || !e)
            continue;
        int member = ring_member_by_id(ring, engine_identity(e)->node_id);
        if (member < 0 || ring_slot(ring, partition, (uint32_t)member) < 0 || refills(ring, e))
            continue;
        if (gave_up(s, host, partition))
            continue;
        engine_partition(e, partition, &p);
        const struct host *h = &s->hosts[host];
        bool untold = h->untold && engine_identity(e)->fill_generation == h->fill_generation;
        if (!untold && !engine_filling(e, partition) && !clock_base_covers(p.clock, d))
            return false;
    }
    return true;
}

/* It owns the partition, or is written to as if it did. */
static bool votes(const struct ring *ring, const struct engine *e, uint32_t partition)
{
    int i = ring_member_by_id(ring, engine_identity(e)->node_id);
    enum ring_part part = i >= 0 ? ring_part(ring, partition, (uint32_t)i) : PART_NONE;
    return part == PART_OWNER || part == PART_WRITTEN;
}

/* No owner that runs has the dot live, but for who has a part of it alone, which nobody will
 * complete (engine/pieces.c), and who fills: it was away while the life was closed,
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
            engine_filling(e, partition) || !votes(ring, e, partition))
            continue;
        state_init(&state);
        if (view_read(e, partition, hash_bytes(name), name, &state, &view) == 0) {
            found = state_find(&state, d->dot) && pieces_whole(e->partitions[partition], d->dot);
            view_close(&view);
        }
        state_close(&state);
    }
    return !found;
}

/* What the nodes hold of the key now, where no write was looked at: a disk may have refused that.
 */
static void key_learn(struct sim *s, uint32_t partition, uint32_t key)
{
    struct inv_keys *k = keys_of(s, partition);
    struct slice name = slice_blob(k->keys[key].key);
    for (uint32_t host = 0; host < s->host_count; host++) {
        struct state state;
        struct view view;
        if (s->hosts[host].role != SIM_NODE || !s->hosts[host].engine)
            continue;
        state_init(&state);
        if (view_read(s->hosts[host].engine, partition, hash_bytes(name), name, &state, &view) ==
            0) {
            state_learn(s, k, &state, key);
            view_close(&view);
        }
        state_close(&state);
    }
}

/* Another dot of its write was superseded there: the row says so, and takes this one away, also
 * where nothing is left of the key to name it (engine/twins.c). */
static bool twin_superseded(struct sim *s, uint32_t host, uint32_t partition,
                            const struct inv_dot *d)
{
    struct slice key = slice_blob(keys_of(s, partition)->keys[d->key].key);
    const struct operations *rows = &s->hosts[host].engine->operations;
    const struct operation *row =
        operation_none(d->op) ? NULL : operations_find(rows, partition, hash_bytes(key), d->op);
    return row && dot_compare(row->dot, d->dot) != 0;
}

/* A dot that is in the clock and not in the history of its key's state. */
static void missing_check(struct sim *s, uint32_t host, uint32_t partition, struct inv_dot *d,
                          const struct state *state)
{
    const struct inv_keys *k = keys_of(s, partition);
    struct engine_partition p;
    engine_partition(s->hosts[host].engine, partition, &p);
    if (d->reaped || descends(k, state, d))
        return;
    key_learn(s, partition, d->key);
    if (descends(k, state, d))
        return;
    d->reaped = (clock_closes(p.clock, d->dot.actor) && nobody_has(s, partition, d)) ||
                twin_superseded(s, host, partition, d);
    if (!d->reaped)
        not_held(s, host, partition, d, "whose state there does not include it");
}

static bool is_learnt(const struct inv_key *k, const struct blob *record)
{
    for (uint32_t i = 0; i < LEARNT_KEPT; i++) {
        const struct learnt *l = &k->learnt[i];
        if (l->record && l->lessons == k->lessons &&
            slice_equal(slice_blob(l->record), slice_blob(record)))
            return true;
    }
    return false;
}

static void learnt_keep(struct inv_key *k, struct blob *record)
{
    struct learnt *l = &k->learnt[k->learnt_next++ % LEARNT_KEPT];
    blob_unref(l->record);
    *l = (struct learnt){blob_ref(record), k->lessons};
}

/* All dots of the key are in the state: so are those in the clock. */
static void all_held(struct sim *s, uint32_t host, uint32_t partition, uint32_t key)
{
    const struct inv_dots *awaited = &keys_of(s, partition)->awaited[host];
    struct engine_partition p;
    engine_partition(s->hosts[host].engine, partition, &p);
    for (uint32_t i = 0; i < awaited->count; i++)
        if (awaited->items[i]->key == key && clock_covers(p.clock, awaited->items[i]->dot))
            awaited->items[i]->held |= 1u << host;
}

/* The key was reaped, perhaps: what may have gone by right. All of it, before any is asked after:
 * of what a state descended from some is named by none that is left. */
static void reaped_mark(struct sim *s, uint32_t host, uint32_t partition, struct inv_key *k,
                        const struct state *state)
{
    struct engine_partition p;
    engine_partition(s->hosts[host].engine, partition, &p);
    for (uint32_t i = 0; i < k->dots.count; i++) {
        struct inv_dot *d = k->dots.items[i];
        d->reaped |= clock_covers(p.clock, d->dot) && !history_covers(&state->history, d->dot) &&
                     may_be_reaped(s, host, partition, d->dot);
    }
}

/* All dots of the key, against the state, which was learnt from. Whether all are in it. */
static bool dots_check(struct sim *s, uint32_t host, uint32_t partition, struct inv_key *k,
                       const struct state *state)
{
    struct walk walk = {.history = &state->history};
    struct engine_partition p;
    bool all = true;
    engine_partition(s->hosts[host].engine, partition, &p);
    for (uint32_t i = 0; i < k->dots.count; i++) {
        struct inv_dot *d = k->dots.items[i];
        bool covered = walk_covers(&walk, d->dot);
        all &= covered;
        if ((covered && d->held & 1u << host) || !clock_covers(p.clock, d->dot))
            continue;
        if (!covered)
            missing_check(s, host, partition, d, state);
        d->held |= 1u << host;
    }
    return all;
}

/* All dots of one key, against what the replica holds now. reaping: some may go. */
static void key_check(struct sim *s, uint32_t host, uint32_t partition, uint32_t key, bool reaping)
{
    struct inv_key *k = &keys_of(s, partition)->keys[key];
    struct slice name = slice_blob(k->key);
    struct state *state = &s->looked;
    struct view view;
    if (view_read(s->hosts[host].engine, partition, hash_bytes(name), name, NULL, &view) != 0) {
        k->unknown |= 1u << host;
        return;
    }
    if (view.record && is_learnt(k, view.record)) {
        all_held(s, host, partition, key);
    } else if (record_decode(slice_blob(view.record), partition, name, state) != 0) {
        k->unknown |= 1u << host;
    } else {
        state_learn(s, keys_of(s, partition), state, key);
        if (reaping)
            reaped_mark(s, host, partition, k, state);
        if (dots_check(s, host, partition, k, state) && view.record)
            learnt_keep(k, view.record);
    }
    view_close(&view);
}

static int dots_ascend(const void *left, const void *right)
{
    const struct inv_dot *const *a = left, *const *b = right;
    return dot_compare((*a)->dot, (*b)->dot);
}

/* Dots in the clock whose keys have not been looked at since. */
static void clock_check(struct sim *s, uint32_t host, uint32_t partition)
{
    struct inv_keys *k = keys_of(s, partition);
    struct inv_dots *awaited = &k->awaited[host];
    struct engine_partition p;
    uint32_t kept = 0, come = 0;
    engine_partition(s->hosts[host].engine, partition, &p);
    /* Those that have come to the front of those that are still awaited. */
    for (uint32_t i = 0; i < awaited->count; i++) {
        struct inv_dot *d = awaited->items[i];
        if (d->held & 1u << host)
            continue;
        awaited->items[kept] = d;
        if (clock_covers(p.clock, d->dot) && !(k->keys[d->key].unknown & 1u << host)) {
            awaited->items[kept] = awaited->items[come];
            awaited->items[come++] = d;
        }
        kept++;
    }
    awaited->count = kept;
    if (come > 1)
        qsort(awaited->items, come, sizeof(*awaited->items), dots_ascend);
    for (uint32_t i = 0; i < come; i++) {
        const struct inv_dot *d = awaited->items[i];
        if (!(d->held & 1u << host) && !(k->keys[d->key].unknown & 1u << host))
            key_check(s, host, partition, d->key, false);
    }
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
    const struct inv_keys *k = keys_of(s, partition);
    struct engine_partition p;
    engine_partition(s->hosts[host].engine, partition, &p);
    for (uint32_t i = 0; i < p.clock->entry_count; i++) {
        const struct clock_entry *e = &p.clock->entries[i];
        if (may_be_unseen(s, host, e->actor))
            continue;
        uint64_t highest = clock_highest(p.clock, e->actor);
        uint32_t next = dot_place(&k->dots, (struct dot){e->actor, 1});
        for (uint64_t seq = 1; seq <= highest; seq++) {
            struct dot d = {e->actor, seq};
            if (next < k->dots.count && dot_compare(k->dots.items[next]->dot, d) == 0)
                next++;
            else if (clock_covers(p.clock, d))
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

/* Or there is nobody to take them. */
static bool all_taken(const struct sim *s, uint32_t host, uint32_t partition, struct slice dots)
{
    for (uint32_t d = 0; host != NONE && !s->hosts[host].lost && d < dots_count(dots); d++)
        if (!was_taken(s, host, partition, dots_at(dots, d)))
            return false;
    return true;
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
    if (!drops || parcel_read(e, parcel, &hold, &v) != 0)
        return;
    const struct ring *ring = node_ring(sim_node(s, host));
    const struct arc *arc = &ring->arcs[r->partition];
    /* Where the target owns the key no more, or not yet again, all owners have taken it. */
    bool taken = all_taken(s, target, r->partition, v.dots);
    uint32_t lacks = NONE;
    for (uint32_t i = 0; !taken && lacks == NONE && i < arc->owner_count; i++) {
        uint32_t at = host_of_node(s, ring->members[arc->owners[i]].id);
        lacks = all_taken(s, at, r->partition, v.dots) ? NONE : at;
    }
    if (lacks != NONE)
        sim_break(s, "INV: %s drops a parcel of %.*s that %s does not have", s->hosts[host].name,
                  (int)r->key.bytes, (const char *)r->key.data, s->hosts[lacks].name);
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

static bool is_parked(const struct engine *e, const struct store_request *r)
{
    const struct request_queue *q = &e->parked;
    if (q->count == 0)
        return false;
    const struct store_request *last = &q->items[(q->head + q->count - 1) % q->capacity];
    return last->kind == r->kind && last->tag == r->tag;
}

/* One that waits for room is merged later, and looked at when its result comes: what it leaves may
 * be what somebody else's clock is about to speak of. */
static void merge_note(struct sim *s, uint32_t host, const struct store_request *r, uint32_t key)
{
    struct host *h = &s->hosts[host];
    if (!is_parked(h->engine, r))
        return;
    h->merges = sim_grown(h->merges, h->merge_count, &h->merge_capacity, sizeof(*h->merges));
    h->merges[h->merge_count++] = (struct merge_under_way){r->tag, r->partition, key};
}

static void merge_result(struct sim *s, uint32_t host, const struct store_result *r)
{
    struct host *h = &s->hosts[host];
    for (uint32_t i = 0; i < h->merge_count; i++) {
        struct merge_under_way m = h->merges[i];
        if (m.tag != r->tag)
            continue;
        h->merges[i] = h->merges[--h->merge_count];
        key_check(s, host, m.partition, m.key, false);
        return;
    }
}

/* Whoever is answered may tell others, so it is in the log, and that synced. */
static void write_note(struct sim *s, uint32_t host, const struct store_request *r, uint64_t lsn)
{
    struct host *h = &s->hosts[host];
    if (h->engine->next_lsn != lsn + 1 || r->pulled)
        return; /* nothing was written, or it waits for room; the states of a pull share a tag */
    h->writes = sim_grown(h->writes, h->write_count, &h->write_capacity, sizeof(*h->writes));
    h->writes[h->write_count++] = (struct write_under_way){r->tag, lsn};
}

static void write_result(struct sim *s, uint32_t host, const struct store_result *r)
{
    struct host *h = &s->hosts[host];
    for (uint32_t i = 0; i < h->write_count; i++) {
        if (h->writes[i].tag != r->tag)
            continue;
        if (!r->result && h->writes[i].lsn > h->engine->durable_lsn)
            sim_break(s, "INV: %s answers for a record that is not durable", h->name);
        h->writes[i] = h->writes[--h->write_count];
        return;
    }
}

/* What is looked at once more: all that the host may hold of the partition. */
static void held_forget(struct inv_keys *k, uint32_t host)
{
    k->awaited[host].count = 0;
    for (uint32_t i = 0; i < k->dots.count; i++) {
        k->dots.items[i]->held &= ~(1u << host);
        dot_insert(&k->awaited[host], i, k->dots.items[i]);
    }
}

static void dropped(struct sim *s, uint32_t host, uint32_t partition)
{
    const struct ring *ring = sim_ring(s);
    if (ring && votes(ring, s->hosts[host].engine, partition))
        sim_break(s, "INV: %s drops partition %u, which it owns", s->hosts[host].name, partition);
    held_forget(keys_of(s, partition), host);
    clock_check(s, host, partition);
}

void inv_stored(struct sim *s, uint32_t host, const struct store_request *r, uint64_t lsn)
{
    if (r->kind == STORE_DROP)
        dropped(s, host, r->partition);
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
    if (r->kind != STORE_PARCEL)
        write_note(s, host, r, lsn);
    if (r->kind == STORE_MERGE)
        merge_note(s, host, r, key);
    if (r->kind == STORE_PUT) {
        h->puts = sim_grown(h->puts, h->put_count, &h->put_capacity, sizeof(*h->puts));
        h->puts[h->put_count++] = (struct put_under_way){
            r->tag, engine_metrics(h->engine)->reaped_count, r->partition, key};
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
    if (r->kind == STORE_MERGE)
        merge_result(s, host, r);
    if (r->kind == STORE_MERGE || r->kind == STORE_PUT)
        write_result(s, host, r);
    for (uint32_t i = 0; r->kind == STORE_PUT && i < h->put_count; i++) {
        struct put_under_way put = h->puts[i];
        if (put.tag != r->tag)
            continue;
        h->puts[i] = h->puts[--h->put_count];
        for (uint32_t d = 0; r->dots && d < dots_count(slice_blob(r->dots)); d++)
            dot_learn(s, keys_of(s, put.partition), dots_at(slice_blob(r->dots), d), put.key);
        /* A delete that waited for room in the log may have been minted and reaped before anybody
         * was told of its dot. */
        if (engine_metrics(h->engine)->reaped_count != put.reaped)
            key_check(s, host, put.partition, put.key, true);
        return;
    }
}

void inv_recovered(struct sim *s, uint32_t host)
{
    s->hosts[host].puts_cut_off |= s->hosts[host].put_count > 0;
    s->hosts[host].put_count = s->hosts[host].parcel_count = s->hosts[host].merge_count = 0;
    s->hosts[host].write_count = 0;
    s->hosts[host].reaped_seen = 0;
    for (uint32_t p = 0; s->keys && p < s->config.settings.partitions; p++) {
        struct inv_keys *k = &s->keys[p];
        held_forget(k, host);
        for (uint32_t i = 0; i < k->key_count; i++) {
            k->keys[i].unknown &= ~(1u << host);
            key_check(s, host, p, i, false);
        }
        foreign_check(s, host, p);
    }
}
