#include "engine/clock.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"

#define CAPACITY_MIN    4
#define LINEAR_MAX      8
#define ENTRY_BYTES_MIN 18 /* actor, base and count of ranges in a byte each */
#define RANGE_BYTES_MIN 2
#define CLOSED_BYTES    16

/*
 * Slots of entries beyond entry_count keep their arrays of ranges, to be used again: a clock that
 * is cleared and filled anew allocates nothing.
 */

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

static bool actor_equal(struct actor a, struct actor b)
{
    return a.node == b.node && a.incarnation == b.incarnation;
}

static int entries_reserve(struct clock *c, size_t wanted)
{
    if (wanted <= c->entry_capacity)
        return 0;
    uint32_t grown = capacity_for(c->entry_capacity, wanted);
    struct clock_entry *moved = grown ? realloc(c->entries, grown * sizeof(*moved)) : NULL;
    if (!moved)
        return GT_ENOMEM;
    memset(moved + c->entry_capacity, 0, (grown - c->entry_capacity) * sizeof(*moved));
    c->entries = moved;
    c->entry_capacity = grown;
    return 0;
}

static int ranges_reserve(struct clock_entry *e, size_t wanted)
{
    if (wanted <= e->range_capacity)
        return 0;
    uint32_t grown = capacity_for(e->range_capacity, wanted);
    struct clock_range *moved = grown ? realloc(e->ranges, grown * sizeof(*moved)) : NULL;
    if (!moved)
        return GT_ENOMEM;
    e->ranges = moved;
    e->range_capacity = grown;
    return 0;
}

static int closed_reserve(struct clock *c, size_t wanted)
{
    if (wanted <= c->closed_capacity)
        return 0;
    uint32_t grown = capacity_for(c->closed_capacity, wanted);
    struct clock_closed *moved = grown ? realloc(c->closed, grown * sizeof(*moved)) : NULL;
    if (!moved)
        return GT_ENOMEM;
    c->closed = moved;
    c->closed_capacity = grown;
    return 0;
}

void clock_init(struct clock *c)
{
    *c = (struct clock){0};
}

void clock_close(struct clock *c)
{
    for (uint32_t i = 0; i < c->entry_capacity; i++)
        free(c->entries[i].ranges);
    free(c->entries);
    free(c->closed);
    *c = (struct clock){0};
}

void clock_clear(struct clock *c)
{
    c->entry_count = 0;
    c->closed_count = 0;
}

/* The first entry whose actor is not below this one. */
static uint32_t entry_place(const struct clock *c, struct actor actor)
{
    uint32_t low = 0, high = c->entry_count;
    while (high - low > LINEAR_MAX) {
        uint32_t middle = low + (high - low) / 2;
        if (actor_compare(c->entries[middle].actor, actor) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    while (low < high && actor_compare(c->entries[low].actor, actor) < 0)
        low++;
    return low;
}

static const struct clock_entry *entry_find(const struct clock *c, struct actor actor)
{
    uint32_t at = entry_place(c, actor);
    bool found = at < c->entry_count && actor_equal(c->entries[at].actor, actor);
    return found ? &c->entries[at] : NULL;
}

/* The first closed row whose node is not below this one. */
static uint32_t closed_place(const struct clock *c, uint64_t node)
{
    uint32_t low = 0, high = c->closed_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (c->closed[middle].node < node)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t clock_closed(const struct clock *c, uint64_t node)
{
    if (c->closed_count == 0)
        return 0;
    uint32_t at = closed_place(c, node);
    return at < c->closed_count && c->closed[at].node == node ? c->closed[at].incarnation : 0;
}

bool clock_closes(const struct clock *c, struct actor actor)
{
    if (c->closed_count == 0)
        return false;
    uint32_t at = closed_place(c, actor.node);
    return at < c->closed_count && c->closed[at].node == actor.node &&
           actor.incarnation <= c->closed[at].incarnation;
}

/*
 * The actor's entry, made when it is new, with room for `ranges` ranges. A new entry is empty: the
 * caller fills it at once, and nothing that it does then can fail.
 */
static int entry_open(struct clock *c, struct actor actor, size_t ranges, struct clock_entry **out)
{
    uint32_t at = entry_place(c, actor);
    if (at < c->entry_count && actor_equal(c->entries[at].actor, actor)) {
        *out = &c->entries[at];
        return ranges_reserve(*out, (*out)->range_count + ranges);
    }
    int error = entries_reserve(c, (size_t)c->entry_count + 1);
    if (!error)
        error = ranges_reserve(&c->entries[c->entry_count], ranges);
    if (error)
        return error;
    struct clock_entry slot = c->entries[c->entry_count];
    slot.actor = actor;
    slot.base = 0;
    slot.range_count = 0;
    memmove(c->entries + at + 1, c->entries + at, (c->entry_count - at) * sizeof(slot));
    c->entries[at] = slot;
    c->entry_count++;
    *out = &c->entries[at];
    return 0;
}

static void entry_remove(struct clock *c, uint32_t at)
{
    struct clock_entry slot = c->entries[at];
    c->entry_count--;
    memmove(c->entries + at, c->entries + at + 1, (c->entry_count - at) * sizeof(slot));
    c->entries[c->entry_count] = slot;
}

/* ---- ranges of one actor --------------------------------------------------------------------- */

/* The first range that ends at or after seq. */
static uint32_t range_place(const struct clock_entry *e, uint64_t seq)
{
    uint32_t low = 0, high = e->range_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (e->ranges[middle].last < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void ranges_remove(struct clock_entry *e, uint32_t from, uint32_t to)
{
    if (from == to)
        return;
    memmove(e->ranges + from, e->ranges + to, (e->range_count - to) * sizeof(*e->ranges));
    e->range_count -= to - from;
}

static bool entry_has(const struct clock_entry *e, uint64_t first, uint64_t last)
{
    if (last <= e->base)
        return true;
    uint32_t at = range_place(e, last);
    return at < e->range_count && e->ranges[at].first <= first;
}

/* Raises the base and swallows the ranges that it reaches. seq + 1 is never formed: it may be 0. */
static void base_raise(struct clock_entry *e, uint64_t base)
{
    uint32_t reached = 0;
    if (base <= e->base)
        return;
    while (reached < e->range_count && e->ranges[reached].first - 1 <= base) {
        if (e->ranges[reached].last > base)
            base = e->ranges[reached].last;
        reached++;
    }
    e->base = base;
    ranges_remove(e, 0, reached);
}

/* The entry has room for one range more. */
static void entry_add(struct clock_entry *e, uint64_t first, uint64_t last)
{
    if (first - 1 <= e->base) {
        base_raise(e, last);
        return;
    }
    /* The ranges from .. to-1 overlap the new one or touch it. */
    uint32_t from = range_place(e, first - 1), to = from;
    while (to < e->range_count && e->ranges[to].first - 1 <= last)
        to++;
    if (from == to) {
        memmove(e->ranges + from + 1, e->ranges + from,
                (e->range_count - from) * sizeof(*e->ranges));
        e->ranges[from] = (struct clock_range){first, last};
        e->range_count++;
        return;
    }
    struct clock_range *joined = &e->ranges[from];
    if (first < joined->first)
        joined->first = first;
    uint64_t reach = e->ranges[to - 1].last;
    joined->last = last > reach ? last : reach;
    ranges_remove(e, from + 1, to);
}

/*
 * The union with another actor's entry; e has room for the ranges of both. They are merged from the
 * back by where they begin, so that nothing is overwritten before it is read, then joined where
 * they overlap or touch: linear, whatever the two hold.
 */
static void entry_union(struct clock_entry *e, const struct clock_entry *from)
{
    uint32_t i = e->range_count, j = from->range_count, k = i + j;
    e->range_count = k;
    while (j > 0) {
        if (i > 0 && e->ranges[i - 1].first > from->ranges[j - 1].first)
            e->ranges[--k] = e->ranges[--i];
        else
            e->ranges[--k] = from->ranges[--j];
    }
    uint32_t kept = 0;
    for (i = 0; i < e->range_count; i++) {
        struct clock_range range = e->ranges[i];
        if (kept > 0 && range.first - 1 <= e->ranges[kept - 1].last) {
            if (range.last > e->ranges[kept - 1].last)
                e->ranges[kept - 1].last = range.last;
        } else {
            e->ranges[kept++] = range;
        }
    }
    e->range_count = kept;
    base_raise(e, from->base);
    /* A range of from may touch a base that did not rise. */
    while (e->range_count > 0 && e->ranges[0].first - 1 <= e->base) {
        if (e->ranges[0].last > e->base)
            e->base = e->ranges[0].last;
        ranges_remove(e, 0, 1);
    }
}

/* ---- the clock ------------------------------------------------------------------------------- */

int clock_copy(struct clock *to, const struct clock *from)
{
    clock_clear(to);
    int error = entries_reserve(to, from->entry_count);
    if (!error)
        error = closed_reserve(to, from->closed_count);
    for (uint32_t i = 0; !error && i < from->entry_count; i++) {
        const struct clock_entry *source = &from->entries[i];
        struct clock_entry *e = &to->entries[i];
        error = ranges_reserve(e, source->range_count);
        if (error)
            break;
        e->actor = source->actor;
        e->base = source->base;
        e->range_count = source->range_count;
        if (source->range_count)
            memcpy(e->ranges, source->ranges, source->range_count * sizeof(*e->ranges));
        to->entry_count++;
    }
    if (error)
        return error;
    if (from->closed_count)
        memcpy(to->closed, from->closed, from->closed_count * sizeof(*to->closed));
    to->closed_count = from->closed_count;
    return 0;
}

int clock_add_range(struct clock *c, struct actor actor, uint64_t first, uint64_t last)
{
    gt_assert(first > 0 && first <= last);
    if (clock_closes(c, actor))
        return 0;
    uint32_t at = entry_place(c, actor);
    if (at < c->entry_count && actor_equal(c->entries[at].actor, actor)) {
        struct clock_entry *known = &c->entries[at];
        if (last <= known->base)
            return 0;
        if (first - 1 <= known->base) { /* the common case: the next in order */
            base_raise(known, last);
            return 0;
        }
    }
    struct clock_entry *e;
    int error = entry_open(c, actor, first > 1, &e);
    if (!error)
        entry_add(e, first, last);
    return error;
}

int clock_add(struct clock *c, struct dot d)
{
    return clock_add_range(c, d.actor, d.seq, d.seq);
}

/* New entries are made of the slots behind the last one, in order (entry_open). */
int clock_reserve(struct clock *c, const struct dot *dots, uint32_t count)
{
    uint32_t slot = c->entry_count;
    int error = entries_reserve(c, (size_t)c->entry_count + count);
    for (uint32_t i = 0; i < count && !error; i++) {
        uint32_t at = entry_place(c, dots[i].actor);
        bool known = at < c->entry_count && actor_equal(c->entries[at].actor, dots[i].actor);
        struct clock_entry *e = &c->entries[known ? at : slot++];
        error = ranges_reserve(e, (known ? (size_t)e->range_count : 0) + count);
    }
    return error;
}

int clock_set_closed(struct clock *c, uint64_t node, uint64_t incarnation)
{
    uint32_t at = closed_place(c, node);
    if (at < c->closed_count && c->closed[at].node == node) {
        if (incarnation <= c->closed[at].incarnation)
            return 0;
        c->closed[at].incarnation = incarnation;
    } else {
        int error = closed_reserve(c, (size_t)c->closed_count + 1);
        if (error)
            return error;
        memmove(c->closed + at + 1, c->closed + at, (c->closed_count - at) * sizeof(*c->closed));
        c->closed[at] = (struct clock_closed){node, incarnation};
        c->closed_count++;
    }
    uint32_t entry = entry_place(c, (struct actor){node, 0});
    while (entry < c->entry_count && c->entries[entry].actor.node == node &&
           c->entries[entry].actor.incarnation <= incarnation)
        entry_remove(c, entry);
    return 0;
}

int clock_merge(struct clock *c, const struct clock *from)
{
    int error = 0;
    gt_assert(c != from);
    for (uint32_t i = 0; !error && i < from->closed_count; i++)
        error = clock_set_closed(c, from->closed[i].node, from->closed[i].incarnation);
    for (uint32_t i = 0; !error && i < from->entry_count; i++) {
        const struct clock_entry *source = &from->entries[i];
        struct clock_entry *e;
        if (clock_closes(c, source->actor))
            continue;
        error = entry_open(c, source->actor, source->range_count, &e);
        if (!error)
            entry_union(e, source);
    }
    return error;
}

/* The runs of an entry one after the other: 1..base, when there is one, and the ranges. */
static uint32_t runs(const struct clock_entry *e)
{
    return e->range_count + (e->base > 0);
}

static struct clock_range run_at(const struct clock_entry *e, uint32_t i)
{
    if (e->base > 0 && i == 0)
        return (struct clock_range){1, e->base};
    return e->ranges[i - (e->base > 0)];
}

static int entry_meet(const struct clock_entry *a, const struct clock_entry *b, struct clock *out)
{
    int error = 0;
    for (uint32_t i = 0, j = 0; !error && i < runs(a) && j < runs(b);) {
        struct clock_range x = run_at(a, i), y = run_at(b, j);
        uint64_t first = x.first > y.first ? x.first : y.first;
        uint64_t last = x.last < y.last ? x.last : y.last;
        if (first <= last)
            error = clock_add_range(out, a->actor, first, last);
        i += x.last == last;
        j += y.last == last;
    }
    return error;
}

/* Of the entries of a: what b has of them, all of those whose lives it closes. With `closed_alone`
 * the latter only. */
static int entries_meet(const struct clock *a, const struct clock *b, bool closed_alone,
                        struct clock *out)
{
    int error = 0;
    for (uint32_t i = 0; !error && i < a->entry_count; i++) {
        const struct clock_entry *e = &a->entries[i], *other = entry_find(b, e->actor);
        if (clock_closes(b, e->actor))
            error = entry_meet(e, e, out);
        else if (other && !closed_alone)
            error = entry_meet(e, other, out);
    }
    return error;
}

int clock_meet(const struct clock *a, const struct clock *b, struct clock *out)
{
    int error = 0;
    gt_assert(out != a && out != b);
    clock_clear(out);
    for (uint32_t i = 0; !error && i < a->closed_count; i++)
        for (uint32_t j = 0; !error && j < b->closed_count; j++) {
            uint64_t x = a->closed[i].incarnation, y = b->closed[j].incarnation;
            if (a->closed[i].node == b->closed[j].node)
                error = clock_set_closed(out, a->closed[i].node, x < y ? x : y);
        }
    if (!error)
        error = entries_meet(a, b, false, out);
    return error ? error : entries_meet(b, a, true, out);
}

bool clock_covers(const struct clock *c, struct dot d)
{
    if (clock_closes(c, d.actor))
        return true;
    const struct clock_entry *e = entry_find(c, d.actor);
    return e && entry_has(e, d.seq, d.seq);
}

bool clock_covers_history(const struct clock *c, const struct history *h)
{
    for (uint32_t i = 0; i < h->vector_count; i++) {
        struct dot d = h->vector[i];
        const struct clock_entry *e = entry_find(c, d.actor);
        if (!clock_closes(c, d.actor) && !(e && entry_has(e, 1, d.seq)))
            return false;
    }
    for (uint32_t i = 0; i < h->exact_count; i++)
        if (!clock_covers(c, h->exact[i]))
            return false;
    for (uint32_t i = 0; i < h->closed_count; i++)
        if (!clock_closes(c, h->closed[i]))
            return false;
    return true;
}

bool clock_base_covers(const struct clock *c, struct dot d)
{
    if (clock_closes(c, d.actor))
        return true;
    const struct clock_entry *e = entry_find(c, d.actor);
    return e && d.seq <= e->base;
}

static bool entry_includes(const struct clock_entry *a, const struct clock_entry *b)
{
    if (b->base > a->base)
        return false; /* a lacks base + 1: no range of a touches its base */
    for (uint32_t i = 0; i < b->range_count; i++)
        if (!entry_has(a, b->ranges[i].first, b->ranges[i].last))
            return false;
    return true;
}

bool clock_includes(const struct clock *a, const struct clock *b)
{
    for (uint32_t i = 0; i < b->closed_count; i++)
        if (!clock_closes(a, (struct actor){b->closed[i].node, b->closed[i].incarnation}))
            return false;
    for (uint32_t i = 0; i < b->entry_count; i++) {
        if (clock_closes(a, b->entries[i].actor))
            continue;
        const struct clock_entry *e = entry_find(a, b->entries[i].actor);
        if (!e || !entry_includes(e, &b->entries[i]))
            return false;
    }
    return true;
}

bool clock_equal(const struct clock *a, const struct clock *b)
{
    if (a->entry_count != b->entry_count || a->closed_count != b->closed_count)
        return false;
    for (uint32_t i = 0; i < a->closed_count; i++)
        if (a->closed[i].node != b->closed[i].node ||
            a->closed[i].incarnation != b->closed[i].incarnation)
            return false;
    for (uint32_t i = 0; i < a->entry_count; i++) {
        const struct clock_entry *x = &a->entries[i], *y = &b->entries[i];
        if (!actor_equal(x->actor, y->actor) || x->base != y->base ||
            x->range_count != y->range_count)
            return false;
        for (uint32_t j = 0; j < x->range_count; j++)
            if (x->ranges[j].first != y->ranges[j].first || x->ranges[j].last != y->ranges[j].last)
                return false;
    }
    return true;
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* The i-th run of an entry that may be NULL: the base first, as 1..base, then the ranges. */
static bool entry_run(const struct clock_entry *e, uint32_t i, struct clock_range *out)
{
    if (!e)
        return false;
    if (e->base > 0 && i-- == 0) {
        *out = (struct clock_range){1, e->base};
        return true;
    }
    if (i >= e->range_count)
        return false;
    *out = e->ranges[i];
    return true;
}

/* What b holds that a lacks: each run of b less what the runs of a cover of it, in one walk. */
static uint64_t entry_missing(const struct clock_entry *a, const struct clock_entry *b)
{
    uint64_t missing = 0;
    struct clock_range want, have;
    for (uint32_t i = 0, j = 0; entry_run(b, i, &want); i++) {
        missing += want.last - want.first + 1;
        while (entry_run(a, j, &have) && have.first <= want.last) {
            uint64_t first = have.first > want.first ? have.first : want.first;
            uint64_t last = have.last < want.last ? have.last : want.last;
            if (first <= last)
                missing -= last - first + 1;
            if (have.last > want.last)
                break; /* the next run of b may overlap it too */
            j++;
        }
    }
    return missing;
}

uint64_t clock_missing(const struct clock *a, const struct clock *b)
{
    uint64_t missing = 0;
    for (uint32_t i = 0; i < b->closed_count; i++)
        missing += !clock_closes(a, (struct actor){b->closed[i].node, b->closed[i].incarnation});
    for (uint32_t i = 0; i < b->entry_count; i++) {
        const struct clock_entry *e = &b->entries[i];
        if (!clock_closes(a, e->actor))
            missing = add_saturated(missing, entry_missing(entry_find(a, e->actor), e));
    }
    return missing;
}

uint64_t clock_highest(const struct clock *c, struct actor actor)
{
    const struct clock_entry *e = entry_find(c, actor);
    if (!e)
        return 0;
    return e->range_count ? e->ranges[e->range_count - 1].last : e->base;
}

uint32_t clock_range_count(const struct clock *c)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->entry_count; i++)
        count += c->entries[i].range_count;
    return count;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

void clock_encode(const struct clock *c, struct buf *out)
{
    buf_varint(out, c->entry_count);
    for (uint32_t i = 0; i < c->entry_count; i++) {
        const struct clock_entry *e = &c->entries[i];
        uint64_t end = e->base;
        buf_u64(out, e->actor.node);
        buf_u64(out, e->actor.incarnation);
        buf_varint(out, e->base);
        buf_varint(out, e->range_count);
        for (uint32_t j = 0; j < e->range_count; j++) {
            buf_varint(out, e->ranges[j].first - end);
            buf_varint(out, e->ranges[j].last - e->ranges[j].first + 1);
            end = e->ranges[j].last;
        }
    }
    buf_varint(out, c->closed_count);
    for (uint32_t i = 0; i < c->closed_count; i++) {
        buf_u64(out, c->closed[i].node);
        buf_u64(out, c->closed[i].incarnation);
    }
}

/* No count is believed beyond what the remaining bytes can hold. */
static bool next_count(struct reader *r, size_t item_bytes, size_t *count)
{
    uint64_t n = read_varint(r);
    if (r->failed || n > reader_left(r) / item_bytes)
        return false;
    *count = (size_t)n;
    return true;
}

static int decode_ranges(struct reader *r, struct clock_entry *e)
{
    size_t count;
    if (!next_count(r, RANGE_BYTES_MIN, &count) || (count == 0 && e->base == 0))
        return GT_ECORRUPT;
    int error = ranges_reserve(e, count);
    if (error)
        return error;
    uint64_t end = e->base;
    while (e->range_count < count) {
        struct clock_range range;
        uint64_t gap = read_varint(r), length = read_varint(r);
        if (r->failed || gap < 2 || length < 1 || __builtin_add_overflow(end, gap, &range.first) ||
            __builtin_add_overflow(range.first, length - 1, &range.last))
            return GT_ECORRUPT;
        e->ranges[e->range_count++] = range;
        end = range.last;
    }
    return 0;
}

static int decode_entries(struct reader *r, struct clock *out)
{
    size_t count;
    if (!next_count(r, ENTRY_BYTES_MIN, &count))
        return GT_ECORRUPT;
    int error = entries_reserve(out, count);
    while (!error && out->entry_count < count) {
        struct clock_entry *e = &out->entries[out->entry_count];
        e->actor.node = read_u64(r);
        e->actor.incarnation = read_u64(r);
        e->base = read_varint(r);
        e->range_count = 0;
        if (r->failed || (out->entry_count > 0 && actor_compare(e[-1].actor, e->actor) >= 0))
            return GT_ECORRUPT;
        error = decode_ranges(r, e);
        if (!error)
            out->entry_count++;
    }
    return error;
}

static int decode_closed(struct reader *r, struct clock *out)
{
    size_t count;
    if (!next_count(r, CLOSED_BYTES, &count))
        return GT_ECORRUPT;
    int error = closed_reserve(out, count);
    while (!error && out->closed_count < count) {
        struct clock_closed *c = &out->closed[out->closed_count];
        c->node = read_u64(r);
        c->incarnation = read_u64(r);
        if (out->closed_count > 0 && c[-1].node >= c->node)
            return GT_ECORRUPT;
        out->closed_count++;
    }
    /* What is closed has no entry. */
    for (uint32_t i = 0; !error && i < out->entry_count; i++)
        if (clock_closes(out, out->entries[i].actor))
            return GT_ECORRUPT;
    return error;
}

int clock_decode(struct reader *r, struct clock *out)
{
    clock_clear(out);
    int error = decode_entries(r, out);
    if (!error)
        error = decode_closed(r, out);
    if (error)
        clock_clear(out);
    return error;
}
