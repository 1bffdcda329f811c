#include "engine/version.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/crc.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "engine/clock.h"
#include "engine/record.h"

#define LINEAR_MAX         8 /* up to here a scan beats a binary search */
#define CAPACITY_MIN       4
#define CONTEXT_FORMAT     1
#define CONTEXT_HEAD_BYTES 9
#define CONTEXT_TAIL_BYTES 4
/* Dots, and nodes with closed lives, of a context that is over CONTEXT_BYTES_MAX whole: at most 28
 * and 16 bytes each fit well within, with all names of operations. */
#define CONTEXT_TRIMMED_DOTS  512
#define CONTEXT_TRIMMED_NODES 48

int actor_compare(struct actor a, struct actor b)
{
    if (a.node != b.node)
        return a.node < b.node ? -1 : 1;
    return (a.incarnation > b.incarnation) - (a.incarnation < b.incarnation);
}

int dot_compare(struct dot a, struct dot b)
{
    int order = actor_compare(a.actor, b.actor);
    return order != 0 ? order : (a.seq > b.seq) - (a.seq < b.seq);
}

static bool actor_equal(struct actor a, struct actor b)
{
    return a.node == b.node && a.incarnation == b.incarnation;
}

static bool dot_equal(struct dot a, struct dot b)
{
    return a.seq == b.seq && actor_equal(a.actor, b.actor);
}

/* A new capacity of at least `wanted`, or 0 when that many items are more than memory counts. */
static uint32_t capacity_for(uint32_t capacity, size_t wanted)
{
    if (wanted > UINT32_MAX / 2)
        return 0;
    if (capacity < CAPACITY_MIN)
        capacity = CAPACITY_MIN;
    while (capacity < wanted)
        capacity *= 2;
    return capacity;
}

static int dots_reserve(struct dot **dots, uint32_t *capacity, size_t wanted)
{
    if (wanted <= *capacity)
        return 0;
    uint32_t grown = capacity_for(*capacity, wanted);
    struct dot *moved = grown ? realloc(*dots, grown * sizeof(**dots)) : NULL;
    if (!moved)
        return GT_ENOMEM;
    *dots = moved;
    *capacity = grown;
    return 0;
}

/* ---- histories ------------------------------------------------------------------------------- */

void history_init(struct history *h)
{
    *h = (struct history){0};
}

void history_close(struct history *h)
{
    free(h->vector);
    free(h->exact);
    free(h->operations);
    free(h->closed);
    *h = (struct history){0};
}

void history_clear(struct history *h)
{
    h->vector_count = 0;
    h->exact_count = 0;
    h->operation_count = 0;
    h->closed_count = 0;
}

bool history_empty(const struct history *h)
{
    return h->vector_count == 0 && h->exact_count == 0 && h->closed_count == 0;
}

/* The first vector entry whose actor is not below this one. */
static uint32_t vector_place(const struct history *h, struct actor actor)
{
    uint32_t low = 0, high = h->vector_count;
    while (high - low > LINEAR_MAX) {
        uint32_t middle = low + (high - low) / 2;
        if (actor_compare(h->vector[middle].actor, actor) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    while (low < high && actor_compare(h->vector[low].actor, actor) < 0)
        low++;
    return low;
}

/* The first exact dot that is not below this one. */
static uint32_t exact_place(const struct history *h, struct dot d)
{
    uint32_t low = 0, high = h->exact_count;
    while (high - low > LINEAR_MAX) {
        uint32_t middle = low + (high - low) / 2;
        if (dot_compare(h->exact[middle], d) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    while (low < high && dot_compare(h->exact[low], d) < 0)
        low++;
    return low;
}

/* The vector's seq of the actor, 0 when it has no entry. */
static uint64_t vector_seq(const struct history *h, struct actor actor)
{
    uint32_t at = vector_place(h, actor);
    bool found = at < h->vector_count && actor_equal(h->vector[at].actor, actor);
    return found ? h->vector[at].seq : 0;
}

static bool exact_has(const struct history *h, struct dot d)
{
    uint32_t at = exact_place(h, d);
    return at < h->exact_count && dot_equal(h->exact[at], d);
}

/* The first closed row whose node is not below this one. */
static uint32_t closed_place(const struct history *h, uint64_t node)
{
    uint32_t at = 0;
    while (at < h->closed_count && h->closed[at].node < node)
        at++;
    return at;
}

uint64_t history_closed(const struct history *h, uint64_t node)
{
    if (h->closed_count == 0)
        return 0;
    uint32_t at = closed_place(h, node);
    return at < h->closed_count && h->closed[at].node == node ? h->closed[at].incarnation : 0;
}

bool history_closes(const struct history *h, struct actor actor)
{
    uint64_t closed = history_closed(h, actor.node);
    return closed > 0 && actor.incarnation <= closed;
}

bool history_lists(const struct history *h, struct dot d)
{
    return d.seq <= vector_seq(h, d.actor) || exact_has(h, d);
}

bool history_covers(const struct history *h, struct dot d)
{
    return history_closes(h, d.actor) || history_lists(h, d);
}

static int closed_reserve(struct history *h, size_t wanted)
{
    if (wanted <= h->closed_capacity)
        return 0;
    uint32_t grown = capacity_for(h->closed_capacity, wanted);
    struct actor *moved = grown ? realloc(h->closed, grown * sizeof(*moved)) : NULL;
    if (!moved)
        return GT_ENOMEM;
    h->closed = moved;
    h->closed_capacity = grown;
    return 0;
}

/* There is room. */
static void closed_raise(struct history *h, struct actor life)
{
    uint32_t at = closed_place(h, life.node);
    if (at < h->closed_count && h->closed[at].node == life.node) {
        if (life.incarnation > h->closed[at].incarnation)
            h->closed[at].incarnation = life.incarnation;
        return;
    }
    memmove(h->closed + at + 1, h->closed + at, (h->closed_count - at) * sizeof(*h->closed));
    h->closed[at] = life;
    h->closed_count++;
}

/* Drops what is said one by one of lives that are closed. */
static void closed_prune(struct history *h)
{
    uint32_t vectors = 0, exacts = 0;
    if (h->closed_count == 0)
        return;
    for (uint32_t i = 0; i < h->vector_count; i++)
        if (!history_closes(h, h->vector[i].actor))
            h->vector[vectors++] = h->vector[i];
    for (uint32_t i = 0; i < h->exact_count; i++)
        if (!history_closes(h, h->exact[i].actor))
            h->exact[exacts++] = h->exact[i];
    h->vector_count = vectors;
    h->exact_count = exacts;
}

int history_close_lives(struct history *h, uint64_t node, uint64_t incarnation)
{
    gt_assert(incarnation > 0);
    int error = closed_reserve(h, (size_t)h->closed_count + 1);
    if (error)
        return error;
    closed_raise(h, (struct actor){node, incarnation});
    closed_prune(h);
    return 0;
}

static int operations_reserve(struct history *h, size_t wanted)
{
    if (wanted <= h->operation_capacity)
        return 0;
    uint32_t grown = capacity_for(h->operation_capacity, wanted);
    struct history_operation *moved = grown ? realloc(h->operations, grown * sizeof(*moved)) : NULL;
    if (!moved)
        return GT_ENOMEM;
    h->operations = moved;
    h->operation_capacity = grown;
    return 0;
}

/* The first operation that is not below this one. What is decoded comes in order, so that the end
 * is a good first guess. */
static uint32_t operation_place(const struct history *h, const uint8_t op[OP_ID_BYTES])
{
    uint32_t low = 0, high = h->operation_count;
    if (low < high && memcmp(h->operations[high - 1].op, op, OP_ID_BYTES) < 0)
        return high;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (memcmp(h->operations[middle].op, op, OP_ID_BYTES) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* NULL: the operation is not named. */
static const struct history_operation *operation_named(const struct history *h,
                                                       const uint8_t op[OP_ID_BYTES])
{
    if (h->operation_count == 0)
        return NULL;
    uint32_t at = operation_place(h, op);
    bool named = at < h->operation_count && memcmp(h->operations[at].op, op, OP_ID_BYTES) == 0;
    return named ? &h->operations[at] : NULL;
}

bool history_names(const struct history *h, const uint8_t op[OP_ID_BYTES])
{
    return operation_named(h, op) != NULL;
}

/* At `at`, its place. There is room. */
static void operation_insert(struct history *h, const struct history_operation *o, uint32_t at)
{
    struct history_operation *place = &h->operations[at];
    if (at < h->operation_count && memcmp(place->op, o->op, OP_ID_BYTES) == 0) {
        if (o->stamp > place->stamp)
            place->stamp = o->stamp;
        if (o->superseded > place->superseded)
            place->superseded = o->superseded;
        return;
    }
    memmove(place + 1, place, (h->operation_count - at) * sizeof(*place));
    *place = *o;
    h->operation_count++;
}

static void operation_remove(struct history *h, uint32_t at)
{
    struct history_operation *place = &h->operations[at];
    memmove(place, place + 1, (--h->operation_count - at) * sizeof(*place));
}

/* Of the operations with the lowest stamp the one with the lowest id: it is the next to go. */
static uint32_t operation_oldest(const struct history *h)
{
    uint32_t oldest = 0;
    for (uint32_t i = 1; i < h->operation_count; i++)
        if (h->operations[i].stamp < h->operations[oldest].stamp)
            oldest = i;
    return oldest;
}

static void operations_prune(struct history *h)
{
    while (h->operation_count > HISTORY_OPERATIONS_MAX)
        operation_remove(h, operation_oldest(h));
}

int history_name(struct history *h, const uint8_t op[OP_ID_BYTES], uint64_t stamp,
                 uint64_t superseded)
{
    struct history_operation o = {.stamp = stamp,
                                  .superseded = superseded > stamp ? superseded : stamp};
    int error = operations_reserve(h, (size_t)h->operation_count + 1);
    if (error)
        return error;
    memcpy(o.op, op, OP_ID_BYTES);
    operation_insert(h, &o, operation_place(h, op));
    operations_prune(h);
    return 0;
}

int history_copy(struct history *to, const struct history *from)
{
    int error = dots_reserve(&to->vector, &to->vector_capacity, from->vector_count);
    if (!error)
        error = dots_reserve(&to->exact, &to->exact_capacity, from->exact_count);
    if (!error)
        error = operations_reserve(to, from->operation_count);
    if (!error)
        error = closed_reserve(to, from->closed_count);
    if (error)
        return error;
    if (from->closed_count)
        memcpy(to->closed, from->closed, from->closed_count * sizeof(*to->closed));
    to->closed_count = from->closed_count;
    if (from->operation_count)
        memcpy(to->operations, from->operations, from->operation_count * sizeof(*to->operations));
    to->operation_count = from->operation_count;
    if (from->vector_count)
        memcpy(to->vector, from->vector, from->vector_count * sizeof(*to->vector));
    if (from->exact_count)
        memcpy(to->exact, from->exact, from->exact_count * sizeof(*to->exact));
    to->vector_count = from->vector_count;
    to->exact_count = from->exact_count;
    return 0;
}

static void dots_insert(struct dot *dots, uint32_t *count, uint32_t at, struct dot d)
{
    memmove(dots + at + 1, dots + at, (*count - at) * sizeof(*dots));
    dots[at] = d;
    ++*count;
}

static void dots_remove(struct dot *dots, uint32_t *count, uint32_t from, uint32_t to)
{
    if (from == to)
        return;
    memmove(dots + from, dots + to, (*count - to) * sizeof(*dots));
    *count -= to - from;
}

int history_add(struct history *h, struct dot d)
{
    if (d.seq <= vector_seq(h, d.actor) || history_closes(h, d.actor))
        return 0;
    uint32_t at = exact_place(h, d);
    if (at < h->exact_count && dot_equal(h->exact[at], d))
        return 0;
    int error = dots_reserve(&h->exact, &h->exact_capacity, (size_t)h->exact_count + 1);
    if (!error)
        dots_insert(h->exact, &h->exact_count, at, d);
    return error;
}

int history_raise(struct history *h, struct actor actor, uint64_t seq)
{
    if (seq == 0 || history_closes(h, actor))
        return 0;
    uint32_t at = vector_place(h, actor);
    if (at < h->vector_count && actor_equal(h->vector[at].actor, actor)) {
        if (seq <= h->vector[at].seq)
            return 0;
        h->vector[at].seq = seq;
    } else {
        int error = dots_reserve(&h->vector, &h->vector_capacity, (size_t)h->vector_count + 1);
        if (error)
            return error;
        dots_insert(h->vector, &h->vector_count, at, (struct dot){actor, seq});
    }
    uint32_t from = exact_place(h, (struct dot){actor, 0}), to = from;
    while (to < h->exact_count && actor_equal(h->exact[to].actor, actor) && h->exact[to].seq <= seq)
        to++;
    dots_remove(h->exact, &h->exact_count, from, to);
    return 0;
}

/*
 * The union of two ascending lists of dots, into the first, which has room for both: merged from
 * the back, so that nothing is overwritten before it is read, then moved down over the places that
 * equal items left. With by_actor the lists have one dot an actor and the higher seq is kept.
 */
static uint32_t dots_union(struct dot *into, uint32_t into_count, const struct dot *from,
                           uint32_t from_count, bool by_actor)
{
    size_t i = into_count, j = from_count, end = i + j, k = end;
    while (j > 0) {
        int order = i == 0     ? -1
                    : by_actor ? actor_compare(into[i - 1].actor, from[j - 1].actor)
                               : dot_compare(into[i - 1], from[j - 1]);
        if (order > 0) {
            into[--k] = into[--i];
        } else if (order < 0) {
            into[--k] = from[--j];
        } else {
            i--, j--;
            into[--k] = into[i].seq > from[j].seq ? into[i] : from[j];
        }
    }
    if (k > i)
        memmove(into + i, into + k, (end - k) * sizeof(*into));
    return (uint32_t)(i + end - k);
}

/* Drops the exact dots that the vector covers. */
static void exact_prune(struct history *h)
{
    uint32_t kept = 0, v = 0;
    for (uint32_t i = 0; i < h->exact_count; i++) {
        struct dot d = h->exact[i];
        while (v < h->vector_count && actor_compare(h->vector[v].actor, d.actor) < 0)
            v++;
        bool covered = v < h->vector_count && actor_equal(h->vector[v].actor, d.actor) &&
                       d.seq <= h->vector[v].seq;
        if (!covered)
            h->exact[kept++] = d;
    }
    h->exact_count = kept;
}

/* Entry by entry the higher, and all exact dots not covered then: commutative and associative in
 * the bytes too, since the unions are and covering depends on the joined vector and the joined
 * closed lives alone. */
int history_join(struct history *h, const struct history *from)
{
    size_t vectors = (size_t)h->vector_count + from->vector_count;
    size_t exacts = (size_t)h->exact_count + from->exact_count;
    size_t operations = (size_t)h->operation_count + from->operation_count;
    int error = dots_reserve(&h->vector, &h->vector_capacity, vectors);
    if (!error)
        error = dots_reserve(&h->exact, &h->exact_capacity, exacts);
    if (!error && from->operation_count)
        error = operations_reserve(h, operations);
    if (!error && from->closed_count)
        error = closed_reserve(h, (size_t)h->closed_count + from->closed_count);
    if (error)
        return error;
    for (uint32_t i = 0; i < from->closed_count; i++)
        closed_raise(h, from->closed[i]);
    for (uint32_t i = 0, at = 0; i < from->operation_count; i++) {
        const struct history_operation *o = &from->operations[i];
        while (at < h->operation_count && memcmp(h->operations[at].op, o->op, OP_ID_BYTES) < 0)
            at++;
        operation_insert(h, o, at);
    }
    if (from->operation_count)
        operations_prune(h);
    h->vector_count =
        dots_union(h->vector, h->vector_count, from->vector, from->vector_count, true);
    h->exact_count = dots_union(h->exact, h->exact_count, from->exact, from->exact_count, false);
    exact_prune(h);
    closed_prune(h);
    return 0;
}

bool history_includes(const struct history *a, const struct history *b)
{
    for (uint32_t i = 0; i < b->closed_count; i++)
        if (!history_closes(a, b->closed[i]))
            return false;
    for (uint32_t i = 0; i < b->vector_count; i++)
        if (b->vector[i].seq > vector_seq(a, b->vector[i].actor) &&
            !history_closes(a, b->vector[i].actor))
            return false;
    for (uint32_t i = 0; i < b->exact_count; i++)
        if (!history_covers(a, b->exact[i]))
            return false;
    return true;
}

static bool operations_equal(const struct history *a, const struct history *b)
{
    if (a->operation_count != b->operation_count)
        return false;
    for (uint32_t i = 0; i < a->operation_count; i++)
        if (memcmp(a->operations[i].op, b->operations[i].op, OP_ID_BYTES) != 0 ||
            a->operations[i].stamp != b->operations[i].stamp ||
            a->operations[i].superseded != b->operations[i].superseded)
            return false;
    return true;
}

static bool closed_equal(const struct history *a, const struct history *b)
{
    if (a->closed_count != b->closed_count)
        return false;
    for (uint32_t i = 0; i < a->closed_count; i++)
        if (!actor_equal(a->closed[i], b->closed[i]))
            return false;
    return true;
}

static bool dots_equal(const struct dot *a, uint32_t a_count, const struct dot *b, uint32_t b_count)
{
    if (a_count != b_count)
        return false;
    for (uint32_t i = 0; i < a_count; i++)
        if (!dot_equal(a[i], b[i]))
            return false;
    return true;
}

/* ---- states ---------------------------------------------------------------------------------- */

void state_init(struct state *s)
{
    *s = (struct state){0};
}

void state_close(struct state *s)
{
    history_close(&s->history);
    free(s->siblings);
    *s = (struct state){0};
}

void state_clear(struct state *s)
{
    history_clear(&s->history);
    s->sibling_count = 0;
    s->unknown = false;
}

bool state_absent(const struct state *s)
{
    return !s->unknown && s->sibling_count == 0 && history_empty(&s->history);
}

static int siblings_reserve(struct state *s, size_t wanted)
{
    if (wanted <= s->sibling_capacity)
        return 0;
    uint32_t grown = capacity_for(s->sibling_capacity, wanted);
    struct sibling *moved = grown ? realloc(s->siblings, grown * sizeof(*moved)) : NULL;
    if (!moved)
        return GT_ENOMEM;
    s->siblings = moved;
    s->sibling_capacity = grown;
    return 0;
}

int state_copy(struct state *to, const struct state *from)
{
    int error = siblings_reserve(to, from->sibling_count);
    if (!error)
        error = history_copy(&to->history, &from->history);
    if (error)
        return error;
    if (from->sibling_count)
        memcpy(to->siblings, from->siblings, from->sibling_count * sizeof(*to->siblings));
    to->sibling_count = from->sibling_count;
    to->unknown = from->unknown;
    return 0;
}

/* The first sibling whose dot is not below this one. */
static uint32_t sibling_place(const struct state *s, struct dot d)
{
    uint32_t low = 0, high = s->sibling_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (dot_compare(s->siblings[middle].dot, d) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int state_add(struct state *s, const struct sibling *sibling)
{
    /* Room first: a dot in the history whose sibling is not there would read as superseded. */
    int error = siblings_reserve(s, (size_t)s->sibling_count + 1);
    if (!error)
        error = history_add(&s->history, sibling->dot);
    if (error)
        return error;
    uint32_t at = sibling_place(s, sibling->dot);
    if (at == s->sibling_count || !dot_equal(s->siblings[at].dot, sibling->dot)) {
        memmove(s->siblings + at + 1, s->siblings + at,
                (s->sibling_count - at) * sizeof(*s->siblings));
        s->sibling_count++;
    }
    s->siblings[at] = *sibling;
    return 0;
}

const struct sibling *state_find(const struct state *s, struct dot d)
{
    uint32_t at = sibling_place(s, d);
    bool found = at < s->sibling_count && dot_equal(s->siblings[at].dot, d);
    return found ? &s->siblings[at] : NULL;
}

static bool sibling_outranks(const struct sibling *a, const struct sibling *b)
{
    return a->stamp != b->stamp ? a->stamp > b->stamp : dot_compare(a->dot, b->dot) > 0;
}

const struct sibling *state_winner(const struct state *s)
{
    const struct sibling *winner = NULL;
    for (uint32_t i = 0; i < s->sibling_count; i++)
        if (!winner || sibling_outranks(&s->siblings[i], winner))
            winner = &s->siblings[i];
    return winner;
}

size_t state_value_bytes(const struct state *s)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < s->sibling_count; i++)
        bytes += s->siblings[i].value.bytes;
    return bytes;
}

/* Sixteen zero bytes are no operation id: two writes without one are two writes. */
static bool same_operation(const struct sibling *a, const struct sibling *b)
{
    static const uint8_t none[OP_ID_BYTES];
    return memcmp(a->op, b->op, OP_ID_BYTES) == 0 && memcmp(a->op, none, OP_ID_BYTES) != 0;
}

bool state_shown(const struct state *s, uint32_t i)
{
    gt_assert(i < s->sibling_count);
    for (uint32_t j = 0; j < s->sibling_count; j++)
        if (j != i && same_operation(&s->siblings[j], &s->siblings[i]) &&
            sibling_outranks(&s->siblings[j], &s->siblings[i]))
            return false;
    return true;
}

uint32_t state_shown_count(const struct state *s)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->sibling_count; i++)
        count += state_shown(s, i);
    return count;
}

uint32_t state_outranking(const struct state *s, struct dot d, struct dot *out, uint64_t *stamp)
{
    const struct sibling *own = state_find(s, d), *best = own;
    uint32_t count = 0;
    *stamp = 0;
    if (!own)
        return 0;
    for (uint32_t i = 0; i < s->sibling_count; i++)
        if (same_operation(&s->siblings[i], own) && sibling_outranks(&s->siblings[i], best))
            best = &s->siblings[i];
    for (uint32_t i = 0; i < s->sibling_count; i++) {
        const struct sibling *other = &s->siblings[i];
        if (!sibling_outranks(other, best))
            continue;
        out[count++] = other->dot;
        if (other->stamp > *stamp)
            *stamp = other->stamp;
    }
    return count;
}

bool state_settled(const struct state *s, const uint8_t op[OP_ID_BYTES], uint64_t stamp)
{
    const struct history_operation *named = operation_named(&s->history, op);
    const struct sibling *own = NULL, *above = NULL, *winner = state_winner(s);
    for (uint32_t i = 0; i < s->sibling_count; i++)
        if (memcmp(s->siblings[i].op, op, OP_ID_BYTES) == 0)
            own = &s->siblings[i];
    if (own)
        return same_operation(own, winner);
    for (uint32_t i = 0; i < s->sibling_count; i++) {
        const struct sibling *other = &s->siblings[i];
        bool may_have_seen = named ? other->stamp >= named->superseded : other->stamp > stamp;
        if (!may_have_seen)
            continue;
        if (above && !same_operation(above, other))
            return false;
        above = other;
    }
    return true;
}

static bool sibling_equal(const struct sibling *a, const struct sibling *b)
{
    return dot_equal(a->dot, b->dot) && a->stamp == b->stamp &&
           memcmp(a->op, b->op, OP_ID_BYTES) == 0 && a->flags == b->flags &&
           a->expires_at_ms == b->expires_at_ms && dot_equal(a->expiry_dot, b->expiry_dot) &&
           slice_equal(a->value, b->value);
}

bool state_equal(const struct state *a, const struct state *b)
{
    const struct history *ha = &a->history, *hb = &b->history;
    if (a->unknown != b->unknown || a->sibling_count != b->sibling_count ||
        !dots_equal(ha->vector, ha->vector_count, hb->vector, hb->vector_count) ||
        !dots_equal(ha->exact, ha->exact_count, hb->exact, hb->exact_count) ||
        !operations_equal(ha, hb) || !closed_equal(ha, hb))
        return false;
    for (uint32_t i = 0; i < a->sibling_count; i++)
        if (!sibling_equal(&a->siblings[i], &b->siblings[i]))
            return false;
    return true;
}

/* ---- the one merge (RULES 2) ----------------------------------------------------------------- */

/*
 * The sibling is another attempt at a write that was superseded. A first one, which no retry found,
 * goes whatever its stamp is: nobody mints it having seen what names it, and the clock of its
 * coordinator may have been ahead. A later one goes only where the name came with a later put: a
 * name has the stamp of what superseded the operation, so that names take away upwards in time and
 * never in a circle. Two operations of which each was tried again through two coordinators, that
 * took them in opposite order, would take each other away otherwise, and so would two that were
 * stored again above one another; with the latest of all always one is left.
 */
bool history_takes(const struct history *h, const struct sibling *s)
{
    const struct history_operation *named = operation_named(h, s->op);
    bool first = !(s->flags & (SIBLING_RETRIED | SIBLING_AGAIN));
    bool later = named && !first && s->stamp >= named->superseded;
    return named && !later && !MUTANT(keep_twin);
}

/*
 * A sibling of one side that the other does not hold live is either news to the other, or the other
 * has dropped it. Its history tells which: what it includes and no longer holds was superseded
 * there by a write that had seen it. And so does its clock, after the history was reaped with the
 * key (RULES 19): by INV a dot in the clock was held here, or went with its key; it never comes
 * back, whatever parcel brings it (F2). The clock says so for the dots of one key only because a
 * message sets no other dots in it than those it lists (RULES 1, F1); no vector entry is asked
 * about a dot of another key.
 *
 * The sender's clock is asked about the siblings of local only when it was cut with the states that
 * it sends (a pull): then a dot that it covers and does not send has gone there. It is never asked
 * about a sibling that is live in incoming, or every pull would drop what it brings.
 *
 * A bad record broke INV for its key: its dots are in the clock and their state is not here. So the
 * local clock says nothing then (RULES 16).
 *
 * Without clocks: live = (L & S) + (L - H(S)) + (S - H(L)) and history = H(L) + H(S), for any
 * L within H(L) and S within H(S), which is commutative, associative and idempotent.
 *
 * A twin (version.h) that nobody had seen is dropped by the name of its operation, beside all this:
 * the name came into the history by a put that had seen another dot of it, and goes wherever that
 * put goes, so all who hold both the put and the twin drop it.
 */
static bool keep_of_incoming(const struct state *local, const struct clock *local_clock,
                             const struct sibling *s)
{
    struct dot d = s->dot;
    if (history_covers(&local->history, d) && !MUTANT(keep_superseded))
        return false;
    if (MUTANT(clock_for_absent_only) && !state_absent(local))
        return true;
    if (MUTANT(merge_without_clock))
        return true;
    return !local_clock || local->unknown || !clock_covers(local_clock, d);
}

static bool keep_of_local(const struct state *incoming, const struct clock *incoming_clock,
                          const struct sibling *s)
{
    struct dot d = s->dot;
    if (history_covers(&incoming->history, d))
        return false;
    return !incoming_clock || !clock_covers(incoming_clock, d);
}

/* The other side names its operation. Where its own side does so too, and holds it all the same, a
 * circle was broken there (circle_break). */
static bool named_away(const struct state *own, const struct state *other, const struct sibling *s)
{
    return history_takes(&other->history, s) &&
           (!history_takes(&own->history, s) || MUTANT(names_in_circle));
}

/* Of two that go by the other side's names alone, the one that is rather a write that was done: a
 * retry found it; of equals the later one. */
static const struct sibling *circle_left(const struct sibling *a, const struct sibling *b)
{
    bool a_found = a->flags & SIBLING_RETRIED, b_found = b->flags & SIBLING_RETRIED;
    if (a_found != b_found)
        return a_found ? a : b;
    if (a->stamp != b->stamp)
        return a->stamp > b->stamp ? a : b;
    return dot_compare(a->dot, b->dot) > 0 ? a : b;
}

/* The same of what one side has lost so far. */
static void circle_note(const struct sibling **left, const struct sibling *s)
{
    *left = *left ? circle_left(*left, s) : s;
}

/*
 * All that is live on either side went by the names of the other. Each of two operations was taken
 * for superseded by the other, where a first attempt, that goes whatever its stamp is, had
 * superseded the other one's: a name is worth as much as what superseded it, and both of that have
 * gone. One is left, the same on every path (seed 1795760012653).
 */
static int circle_break(const struct sibling *a, const struct sibling *b, struct state *out)
{
    if (!a || !b || out->sibling_count > 0 || MUTANT(names_in_circle))
        return 0;
    const struct sibling *left = circle_left(a, b);
    if (left->flags & SIBLING_ELIDED)
        return GT_EMISSING;
    out->siblings[out->sibling_count++] = *left;
    return 0;
}

int version_merge(const struct state *local, const struct clock *local_clock,
                  const struct state *incoming, const struct clock *incoming_clock,
                  struct state *out)
{
    gt_assert(out != local && out != incoming);
    state_clear(out);
    int error = siblings_reserve(out, (size_t)local->sibling_count + incoming->sibling_count);
    if (!error)
        error = history_copy(&out->history, &local->history);
    if (!error && !MUTANT(drop_incoming_history))
        error = history_join(&out->history, &incoming->history);
    if (error)
        return error;
    out->unknown = local->unknown;

    /* Both lists ascend, so one walk meets every dot once and leaves the result ascending. */
    const struct sibling *a = local->siblings, *a_end = a + local->sibling_count;
    const struct sibling *b = incoming->siblings, *b_end = b + incoming->sibling_count;
    const struct sibling *a_named = NULL, *b_named = NULL; /* what goes by names alone */
    while (a < a_end || b < b_end) {
        int order = a == a_end ? 1 : b == b_end ? -1 : dot_compare(a->dot, b->dot);
        const struct sibling *kept = NULL;
        uint8_t retried = 0;
        if (order < 0) {
            bool stays = keep_of_local(incoming, incoming_clock, a);
            if (stays && named_away(local, incoming, a))
                circle_note(&a_named, a);
            else if (stays)
                kept = a;
            a++;
        } else if (order > 0) {
            bool stays = keep_of_incoming(local, local_clock, b);
            if (stays && named_away(incoming, local, b))
                circle_note(&b_named, b);
            else if (stays)
                kept = b;
            b++;
        } else {
            /* One dot is one write, so both are the same, but one may have left its value out, and
             * of one it is known, perhaps, that it was tried again. */
            kept = a->flags & SIBLING_ELIDED ? b : a;
            retried = (a->flags | b->flags) & SIBLING_RETRIED;
            a++, b++;
        }
        if (!kept)
            continue;
        if (kept->flags & SIBLING_ELIDED)
            return GT_EMISSING;
        out->siblings[out->sibling_count] = *kept;
        out->siblings[out->sibling_count++].flags |= retried;
    }
    return circle_break(a_named, b_named, out);
}

/* ---- puts and contexts (RULES 11) ------------------------------------------------------------ */

/* Whether a put with this context replaces the sibling: the context covers it, or covers another
 * live sibling of the same operation, since one write that was minted twice was shown as one
 * (RULES 10). */
static bool context_replaces(const struct state *local, const struct history *context,
                             const struct sibling *sibling)
{
    if (!context)
        return false;
    if (history_covers(context, sibling->dot) || history_names(context, sibling->op))
        return true;
    for (uint32_t i = 0; i < local->sibling_count; i++)
        if (same_operation(&local->siblings[i], sibling) &&
            history_covers(context, local->siblings[i].dot))
            return true;
    return false;
}

/* Names the operations of those siblings of local that were tried again and that out has not; at
 * least with the stamp of the put that superseded them. */
static int superseded_name(const struct state *local, const struct state *out, uint64_t stamp,
                           struct history *h)
{
    int error = 0;
    for (uint32_t i = 0; i < local->sibling_count && !error; i++) {
        const struct sibling *s = &local->siblings[i];
        if (s->flags & SIBLING_RETRIED && !state_find(out, s->dot))
            error = history_name(h, s->op, s->stamp, stamp);
    }
    return error;
}

/* What the context names was seen by this put, too. */
static int seen_name(const struct history *context, uint64_t stamp, struct history *h)
{
    int error = 0;
    for (uint32_t i = 0; context && i < context->operation_count && !error; i++) {
        const struct history_operation *o = &context->operations[i];
        error = history_name(h, o->op, o->stamp, o->superseded > stamp ? o->superseded : stamp);
    }
    return error;
}

/* What is live is not superseded: its operation is not named. */
static void live_unname(struct state *s)
{
    for (uint32_t i = 0; i < s->sibling_count && s->history.operation_count > 0; i++)
        if (history_names(&s->history, s->siblings[i].op))
            operation_remove(&s->history, operation_place(&s->history, s->siblings[i].op));
}

/*
 * What the put's reply may claim to have been seen: what the client had, what it replaced and what
 * it wrote. Never the vector of the new state: a maximum for each actor would cover siblings
 * that nobody read, and the next put would kill them (F12).
 */
static int context_returned(const struct history *context, const struct dot *replaced,
                            uint32_t replaced_count, struct dot minted, struct history *returned)
{
    int error = 0;
    if (context)
        error = history_copy(returned, context);
    else
        history_clear(returned);
    for (uint32_t i = 0; !error && i < replaced_count; i++)
        error = history_add(returned, replaced[i]);
    if (!error)
        error = history_add(returned, minted);
    if (error || returned->exact_count <= CONTEXT_EXACT_MAX)
        return error;

    /* The new dot stays whatever its place: a session must be able to replace its own write. */
    bool exact = exact_has(returned, minted);
    uint32_t over = returned->exact_count - CONTEXT_EXACT_MAX;
    dots_remove(returned->exact, &returned->exact_count, 0, over);
    if (exact && !exact_has(returned, minted)) {
        dots_remove(returned->exact, &returned->exact_count, 0, 1);
        error = history_add(returned, minted);
    }
    return error;
}

int version_put(const struct state *local, const struct history *context, bool plain,
                const struct sibling *sibling, struct state *out, struct dot *replaced,
                uint32_t *replaced_count, struct history *returned)
{
    gt_assert(out != local && returned != context && sibling->dot.seq > 0);
    state_clear(out);
    *replaced_count = 0;
    int error = siblings_reserve(out, (size_t)local->sibling_count + 1);
    if (!error)
        error = history_copy(&out->history, &local->history);
    if (!error && context)
        error = history_join(&out->history, context);
    /* The coordinator minted all of this actor's dots and holds durably what it minted, so it holds
     * all of this key up to the new one: the one place where a vector entry rises from a dot. */
    if (!error)
        error = history_raise(&out->history, sibling->dot.actor, sibling->dot.seq);
    if (error)
        return error;
    out->unknown = local->unknown;

    for (uint32_t i = 0; i < local->sibling_count; i++) {
        const struct sibling *old = &local->siblings[i];
        if (plain || MUTANT(replace_unseen) || context_replaces(local, context, old))
            replaced[(*replaced_count)++] = old->dot;
        else
            out->siblings[out->sibling_count++] = *old;
    }
    error = state_add(out, sibling);
    gt_assert(!error); /* there is room, and the vector covers its dot */
    error = superseded_name(local, out, sibling->stamp, &out->history);
    if (!error)
        error = seen_name(context, sibling->stamp, &out->history);
    if (error)
        return error;
    live_unname(out);
    if (MUTANT(context_as_maximum))
        return history_copy(returned, &out->history);
    error = context_returned(context, replaced, *replaced_count, sibling->dot, returned);
    if (!error)
        error = superseded_name(local, out, sibling->stamp, returned);
    if (!error && sibling->flags & SIBLING_RETRIED)
        error = history_name(returned, sibling->op, sibling->stamp, 0);
    return error;
}

/* The highest life of the node that may be closed in the state: below the first of which a sibling
 * lives. */
static uint64_t closed_bound(const struct state *s, uint64_t node, uint64_t bound)
{
    for (uint32_t i = 0; i < s->sibling_count && !MUTANT(close_what_lives); i++) {
        struct actor actor = s->siblings[i].dot.actor;
        if (actor.node == node && actor.incarnation <= bound)
            bound = actor.incarnation - 1;
    }
    return bound;
}

/* What the state may say of the actor's node, when the clock closes the actor; 0: nothing. */
static uint64_t closed_for(const struct state *s, const struct clock *clock, struct actor actor)
{
    uint64_t bound = clock_closes(clock, actor)
                         ? closed_bound(s, actor.node, clock_closed(clock, actor.node))
                         : 0;
    return bound >= actor.incarnation ? bound : 0;
}

int version_close_lives(struct state *s, const struct clock *clock)
{
    struct history *h = &s->history;
    int error = 0;
    if (clock->closed_count == 0)
        return 0;
    /* What is closed leaves the list, so the place is looked at again. */
    for (uint32_t i = 0; i < h->vector_count && !error;) {
        struct actor actor = h->vector[i].actor;
        uint64_t bound = closed_for(s, clock, actor);
        if (bound > 0)
            error = history_close_lives(h, actor.node, bound);
        else
            i++;
    }
    for (uint32_t i = 0; i < h->exact_count && !error;) {
        struct actor actor = h->exact[i].actor;
        uint64_t bound = closed_for(s, clock, actor);
        if (bound > 0)
            error = history_close_lives(h, actor.node, bound);
        else
            i++;
    }
    return error;
}

/*
 * Leaves out of the context one dot that was not shown. A vector entry that covers it falls to just
 * below it, which claims less than before and so is as true; dots that this uncovers are added back
 * by the caller where they were shown.
 */
static void history_hide(struct history *h, struct dot d)
{
    uint32_t at = vector_place(h, d.actor);
    if (at < h->vector_count && actor_equal(h->vector[at].actor, d.actor) &&
        d.seq <= h->vector[at].seq) {
        h->vector[at].seq = d.seq - 1;
        if (d.seq == 1)
            dots_remove(h->vector, &h->vector_count, at, at + 1);
    }
    at = exact_place(h, d);
    if (at < h->exact_count && dot_equal(h->exact[at], d))
        dots_remove(h->exact, &h->exact_count, at, at + 1);
}

/* What of the other are dots, and not the names of operations. What it says of closed lives is
 * taken below the first of which a sibling is live here: one that came late was shown to nobody. */
static int dots_join(struct history *h, const struct history *from, const struct state *s)
{
    int error = 0;
    for (uint32_t i = 0; !error && i < from->closed_count; i++) {
        uint64_t bound = closed_bound(s, from->closed[i].node, from->closed[i].incarnation);
        error = bound > 0 ? history_close_lives(h, from->closed[i].node, bound) : 0;
    }
    for (uint32_t i = 0; !error && i < from->vector_count; i++)
        error = history_raise(h, from->vector[i].actor, from->vector[i].seq);
    for (uint32_t i = 0; !error && i < from->exact_count; i++)
        error = history_add(h, from->exact[i]);
    return error;
}

int version_read_context(const struct state *s, const struct sibling *winner_only,
                         const struct history *seen, struct history *out)
{
    int error = history_copy(out, &s->history);
    if (!error && seen)
        error = dots_join(out, seen, s);
    for (uint32_t i = 0; i < s->sibling_count && !error; i++) {
        const struct sibling *sibling = &s->siblings[i];
        bool shown = !winner_only || sibling == winner_only || same_operation(sibling, winner_only);
        if (shown && sibling->flags & SIBLING_RETRIED)
            error = history_name(out, sibling->op, sibling->stamp, 0);
    }
    if (error || !winner_only || MUTANT(context_of_hidden))
        return error;
    for (uint32_t i = 0; i < s->sibling_count; i++) {
        const struct sibling *sibling = &s->siblings[i];
        if (!dot_equal(sibling->dot, winner_only->dot) && !same_operation(sibling, winner_only))
            history_hide(out, sibling->dot);
    }
    for (uint32_t i = 0; !error && i < s->sibling_count; i++) {
        const struct sibling *sibling = &s->siblings[i];
        if (dot_equal(sibling->dot, winner_only->dot) || same_operation(sibling, winner_only))
            error = history_add(out, sibling->dot);
    }
    return error;
}

/* 0, or GT_ELIMIT (bound of out) or GT_ENOMEM; then out has failed. */
static int context_write(const struct history *h, uint64_t key_hash, struct buf *out)
{
    size_t start = out->bytes;
    int error = buf_reserve(out, CONTEXT_HEAD_BYTES);
    if (error)
        return error;
    buf_u8(out, CONTEXT_FORMAT);
    buf_u64(out, key_hash);
    error = history_encode(h, out);
    if (!error)
        error = buf_reserve(out, CONTEXT_TAIL_BYTES);
    if (!error)
        buf_u32(out, crc_update(0, out->data + start, out->bytes - start));
    return error;
}

static int by_age(const void *a, const void *b)
{
    const struct dot *x = a, *y = b;
    if (x->actor.incarnation != y->actor.incarnation)
        return x->actor.incarnation < y->actor.incarnation ? -1 : 1;
    return dot_compare(*x, *y);
}

static int by_dot(const void *a, const void *b)
{
    const struct dot *x = a, *y = b;
    return dot_compare(*x, *y);
}

/* The `count` newest lives of nodes of an ascending list, ascending again. */
static uint32_t dots_newest(struct dot *dots, uint32_t dot_count, uint32_t count)
{
    if (dot_count <= count)
        return dot_count;
    qsort(dots, dot_count, sizeof(*dots), by_age);
    dots_remove(dots, &dot_count, 0, dot_count - count);
    qsort(dots, count, sizeof(*dots), by_dot);
    return count;
}

/*
 * A key that hundreds of lives of nodes have written to has a history over CONTEXT_BYTES_MAX. Its
 * context leaves out the oldest lives, whose dots are the least likely to be live, and most of the
 * lives that are closed, of which nothing is live: it supersedes less, which at worst leaves a
 * sibling, never loses one.
 */
int context_encode(const struct history *h, uint64_t key_hash, struct buf *out)
{
    size_t start = out->bytes;
    if (out->failed)
        return GT_ELIMIT;
    int error = context_write(h, key_hash, out);
    bool fits = !error && out->bytes - start <= CONTEXT_BYTES_MAX;
    if (fits || error == GT_ENOMEM)
        return error;
    /* Whether it was over the bound of contexts or that of out: a smaller one may fit. */
    struct history newest = {0};
    out->bytes = start;
    out->failed = false;
    error = history_copy(&newest, h);
    if (!error) {
        newest.exact_count = dots_newest(newest.exact, newest.exact_count, CONTEXT_EXACT_MAX);
        newest.vector_count = dots_newest(newest.vector, newest.vector_count,
                                          CONTEXT_TRIMMED_DOTS - newest.exact_count);
        if (newest.closed_count > CONTEXT_TRIMMED_NODES)
            newest.closed_count = CONTEXT_TRIMMED_NODES;
        error = context_write(&newest, key_hash, out);
    }
    history_close(&newest);
    out->failed = error != 0;
    return error;
}

int context_decode(struct slice bytes, uint64_t key_hash, struct history *out)
{
    history_clear(out);
    if (bytes.bytes < CONTEXT_HEAD_BYTES + CONTEXT_TAIL_BYTES || bytes.bytes > CONTEXT_BYTES_MAX)
        return GT_ECONTEXT;
    /* The checksum first: a flipped bit in the format is damage, not a newer format. */
    size_t body = bytes.bytes - CONTEXT_TAIL_BYTES;
    if (crc_update(0, bytes.data, body) != le32_get(bytes.data + body))
        return GT_ECONTEXT;
    if (bytes.data[0] != CONTEXT_FORMAT)
        return GT_EFORMAT;
    if (le64_get(bytes.data + 1) != key_hash)
        return GT_ECONTEXT;
    struct reader r =
        reader_of(slice_of(bytes.data + CONTEXT_HEAD_BYTES, body - CONTEXT_HEAD_BYTES));
    int error = history_decode(&r, out);
    return error == GT_ECORRUPT ? GT_ECONTEXT : error;
}
