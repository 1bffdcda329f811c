#include "engine/record.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/crc.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "engine/base/hash.h"

#define CRC_BYTES         4
#define HEAD_BYTES        5 /* checksum, format */
#define ACTOR_BYTES       16
#define DOT_BYTES_MIN     2 /* actor index and seq, a byte each */
#define SIBLING_BYTES_MIN (1 + DOT_BYTES_MIN + 8 + OP_ID_BYTES)
#define FLAGS_KNOWN       (SIBLING_TOMBSTONE | SIBLING_EXPIRES | SIBLING_ELIDED)
#define KEY_BYTES_SHORT   62
#define ACTORS_LOCAL      16 /* a table up to here needs no allocation */

static bool actor_equal(struct actor a, struct actor b)
{
    return a.node == b.node && a.incarnation == b.incarnation;
}

static size_t varint_bytes(uint64_t v)
{
    /* Seven bits a byte; (9 * bits + 64) / 64 is ceil(bits / 7) for 1..64 bits. */
    unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1);
    return (9 * bits + 64) / 64;
}

/* ---- the table of actors --------------------------------------------------------------------- */

struct table {
    struct actor local[ACTORS_LOCAL];
    struct actor *actors; /* local, or allocated */
    uint32_t count, capacity;
};

static int table_insert(struct table *t, uint32_t at, struct actor actor)
{
    if (t->count == t->capacity) {
        uint32_t capacity = t->capacity * 2;
        bool was_local = t->actors == t->local;
        struct actor *moved = realloc(was_local ? NULL : t->actors, capacity * sizeof(*moved));
        if (!moved)
            return GT_ENOMEM;
        if (was_local)
            memcpy(moved, t->local, sizeof(t->local));
        t->actors = moved;
        t->capacity = capacity;
    }
    memmove(t->actors + at + 1, t->actors + at, (t->count - at) * sizeof(*t->actors));
    t->actors[at] = actor;
    t->count++;
    return 0;
}

/* The place of the actor, or where it would stand; lists ascend, so the last place is a good first
 * guess, and the one after it the next. */
static uint32_t table_place(const struct table *t, struct actor actor, uint32_t guess)
{
    for (uint32_t i = guess; i < guess + 2 && i < t->count; i++)
        if (actor_equal(t->actors[i], actor))
            return i;
    uint32_t low = 0, high = t->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (actor_compare(t->actors[middle], actor) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int table_need(struct table *t, struct actor actor)
{
    uint32_t at = table_place(t, actor, 0);
    if (at < t->count && actor_equal(t->actors[at], actor))
        return 0;
    return table_insert(t, at, actor);
}

/* All actors of a history, by one walk over its two ascending lists; a state's siblings are in its
 * history and add none. */
static int table_of_history(struct table *t, const struct history *h)
{
    uint32_t v = 0, x = 0;
    while (v < h->vector_count || x < h->exact_count) {
        struct actor actor;
        if (x == h->exact_count ||
            (v < h->vector_count && actor_compare(h->vector[v].actor, h->exact[x].actor) <= 0))
            actor = h->vector[v++].actor;
        else
            actor = h->exact[x++].actor;
        if (t->count > 0 && actor_equal(t->actors[t->count - 1], actor))
            continue;
        int error = table_insert(t, t->count, actor);
        if (error)
            return error;
    }
    return 0;
}

static int table_open(struct table *t, const struct history *h, const struct sibling *siblings,
                      uint32_t sibling_count)
{
    t->actors = t->local;
    t->count = 0;
    t->capacity = ACTORS_LOCAL;
    int error = table_of_history(t, h);
    for (uint32_t i = 0; !error && i < sibling_count; i++)
        if (siblings[i].flags & SIBLING_EXPIRES)
            error = table_need(t, siblings[i].expiry_dot.actor);
    return error;
}

static void table_close(struct table *t)
{
    if (t->actors != t->local)
        free(t->actors);
}

/* ---- encoding -------------------------------------------------------------------------------- */

/*
 * Encoding runs twice over the same code: first to count, with `at` NULL, then to write into room
 * that is known to suffice, without a check for each field. All of it is inlined into both, so that
 * each keeps its own half of every branch.
 */
#define INLINE static inline __attribute__((always_inline))

struct sink {
    uint8_t *at;
    size_t bytes;
};

INLINE void sink_u8(struct sink *s, uint8_t v)
{
    if (s->at)
        s->at[s->bytes] = v;
    s->bytes++;
}

INLINE void sink_u64(struct sink *s, uint64_t v)
{
    if (s->at)
        le64_put(s->at + s->bytes, v);
    s->bytes += 8;
}

INLINE void sink_varint(struct sink *s, uint64_t v)
{
    if (!s->at) {
        s->bytes += varint_bytes(v);
        return;
    }
    for (; v >= 0x80; v >>= 7)
        s->at[s->bytes++] = (uint8_t)(v | 0x80);
    s->at[s->bytes++] = (uint8_t)v;
}

INLINE void sink_put(struct sink *s, const void *data, size_t bytes)
{
    if (s->at && bytes)
        memcpy(s->at + s->bytes, data, bytes);
    s->bytes += bytes;
}

INLINE uint32_t sink_dot(struct sink *s, const struct table *t, struct dot d, uint32_t guess)
{
    uint32_t index = table_place(t, d.actor, guess);
    gt_assert(index < t->count && actor_equal(t->actors[index], d.actor));
    sink_varint(s, index);
    sink_varint(s, d.seq);
    return index;
}

INLINE void sink_history(struct sink *s, const struct table *t, const struct history *h,
                         const struct sibling *siblings, uint32_t sibling_count)
{
    sink_varint(s, t->count);
    for (uint32_t i = 0; i < t->count; i++) {
        sink_u64(s, t->actors[i].node);
        sink_u64(s, t->actors[i].incarnation);
    }
    uint32_t index = 0;
    sink_varint(s, h->vector_count);
    for (uint32_t i = 0; i < h->vector_count; i++)
        index = sink_dot(s, t, h->vector[i], index);

    /* Exact dots of live siblings are told by the siblings. Both lists ascend. */
    uint32_t live = 0;
    for (uint32_t i = 0, j = 0; i < h->exact_count && j < sibling_count;) {
        int order = dot_compare(h->exact[i], siblings[j].dot);
        live += order == 0;
        i += order <= 0;
        j += order >= 0;
    }
    sink_varint(s, h->exact_count - live);
    index = 0;
    for (uint32_t i = 0, j = 0; i < h->exact_count; i++) {
        while (j < sibling_count && dot_compare(siblings[j].dot, h->exact[i]) < 0)
            j++;
        if (j == sibling_count || dot_compare(siblings[j].dot, h->exact[i]) != 0)
            index = sink_dot(s, t, h->exact[i], index);
    }
}

INLINE void sink_siblings(struct sink *s, const struct table *t, const struct state *state)
{
    uint32_t index = 0;
    sink_varint(s, state->sibling_count);
    for (uint32_t i = 0; i < state->sibling_count; i++) {
        const struct sibling *sibling = &state->siblings[i];
        sink_u8(s, sibling->flags & FLAGS_KNOWN);
        index = sink_dot(s, t, sibling->dot, index);
        sink_u64(s, sibling->stamp);
        sink_put(s, sibling->op, OP_ID_BYTES);
        if (sibling->flags & SIBLING_EXPIRES) {
            sink_varint(s, sibling->expires_at_ms);
            sink_dot(s, t, sibling->expiry_dot, index);
        }
        if (!(sibling->flags & (SIBLING_TOMBSTONE | SIBLING_ELIDED))) {
            sink_varint(s, sibling->value.bytes);
            sink_put(s, sibling->value.data, sibling->value.bytes);
        }
    }
}

INLINE void sink_operations(struct sink *s, const struct history *h)
{
    sink_varint(s, h->operation_count);
    for (uint32_t i = 0; i < h->operation_count; i++) {
        sink_put(s, h->operations[i].op, OP_ID_BYTES);
        sink_u64(s, h->operations[i].stamp);
    }
}

/* One was superseded by what is later than itself. */
INLINE bool superseded_later(const struct history *h)
{
    for (uint32_t i = 0; i < h->operation_count; i++)
        if (h->operations[i].superseded != h->operations[i].stamp)
            return true;
    return false;
}

INLINE void sink_superseded(struct sink *s, const struct history *h)
{
    for (uint32_t i = 0; i < h->operation_count; i++)
        sink_u64(s, h->operations[i].superseded);
}

INLINE uint32_t flagged_count(const struct state *state, uint8_t flag)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < state->sibling_count; i++)
        count += (state->siblings[i].flags & flag) != 0;
    return count;
}

/* The places of the siblings that have the flag. */
INLINE void sink_flagged(struct sink *s, const struct state *state, uint8_t flag)
{
    sink_varint(s, flagged_count(state, flag));
    for (uint32_t i = 0; i < state->sibling_count; i++)
        if (state->siblings[i].flags & flag)
            sink_varint(s, i);
}

INLINE void sink_closed(struct sink *s, const struct history *h)
{
    sink_varint(s, h->closed_count);
    for (uint32_t i = 0; i < h->closed_count; i++) {
        sink_u64(s, h->closed[i].node);
        sink_u64(s, h->closed[i].incarnation);
    }
}

/* Nothing for the many states to which no retry has come and no life was closed. */
INLINE void sink_rest(struct sink *s, const struct state *state)
{
    bool closed = state->history.closed_count > 0;
    bool later = superseded_later(&state->history) || closed;
    bool again = flagged_count(state, SIBLING_AGAIN) > 0 || later;
    if (!again && flagged_count(state, SIBLING_RETRIED) == 0 && state->history.operation_count == 0)
        return;
    sink_flagged(s, state, SIBLING_RETRIED);
    sink_operations(s, &state->history);
    if (again)
        sink_flagged(s, state, SIBLING_AGAIN);
    if (later)
        sink_superseded(s, &state->history);
    if (closed)
        sink_closed(s, &state->history);
}

INLINE void sink_record(struct sink *s, const struct table *t, const struct state *state)
{
    sink_put(s, (uint8_t[CRC_BYTES]){0}, CRC_BYTES);
    sink_u8(s, RECORD_FORMAT);
    sink_history(s, t, &state->history, state->siblings, state->sibling_count);
    sink_siblings(s, t, state);
    sink_rest(s, state);
}

static uint32_t record_crc(struct slice bytes, uint32_t partition, struct slice key)
{
    /* A short key goes with the partition: a checksum of few bytes costs as much as one of many. */
    uint8_t raw[2 + KEY_BYTES_SHORT];
    bool is_short = key.bytes > 0 && key.bytes <= KEY_BYTES_SHORT;
    le16_put(raw, (uint16_t)partition);
    if (is_short)
        memcpy(raw + 2, key.data, key.bytes);
    uint32_t crc = crc_update(0, raw, 2 + (is_short ? key.bytes : 0));
    if (!is_short)
        crc = crc_update(crc, key.data, key.bytes);
    return crc_update(crc, bytes.data + CRC_BYTES, bytes.bytes - CRC_BYTES);
}

static size_t record_count(const struct table *t, const struct state *s)
{
    struct sink counting = {0};
    sink_record(&counting, t, s);
    return counting.bytes;
}

/* Into room of exactly `bytes`, as record_count counted. */
static void record_write(const struct table *t, const struct state *s, uint32_t partition,
                         struct slice key, uint8_t *at, size_t bytes)
{
    struct sink writing = {.at = at};
    sink_record(&writing, t, s);
    gt_assert(writing.bytes == bytes);
    le32_put(at, record_crc(slice_of(at, bytes), partition, key));
}

int record_encode(const struct state *s, uint32_t partition, struct slice key, struct buf *out)
{
    gt_assert(partition <= UINT16_MAX);
    if (state_absent(s))
        return 0;
    struct table t;
    int error = table_open(&t, &s->history, s->siblings, s->sibling_count);
    if (!error) {
        size_t bytes = record_count(&t, s);
        error = buf_reserve(out, bytes);
        if (!error) {
            record_write(&t, s, partition, key, out->data + out->bytes, bytes);
            out->bytes += bytes;
        }
    }
    table_close(&t);
    return error;
}

int record_encode_blob(const struct state *s, uint32_t partition, struct slice key,
                       struct blob **out)
{
    gt_assert(partition <= UINT16_MAX);
    *out = NULL;
    struct table t;
    int error = table_open(&t, &s->history, s->siblings, s->sibling_count);
    if (!error) {
        size_t bytes = state_absent(s) ? 0 : record_count(&t, s);
        error = bytes > BLOB_BYTES_MAX ? GT_ELIMIT : 0;
        if (!error && !(*out = blob_new(bytes)))
            error = GT_ENOMEM;
        if (!error && bytes)
            record_write(&t, s, partition, key, (*out)->data, bytes);
    }
    table_close(&t);
    return error;
}

INLINE void sink_history_rest(struct sink *s, const struct history *h)
{
    bool closed = h->closed_count > 0, later = superseded_later(h) || closed;
    if (h->operation_count > 0 || closed)
        sink_operations(s, h);
    if (later)
        sink_superseded(s, h);
    if (closed)
        sink_closed(s, h);
}

int history_encode(const struct history *h, struct buf *out)
{
    struct table t;
    int error = table_open(&t, h, NULL, 0);
    if (!error) {
        struct sink counting = {0};
        sink_history(&counting, &t, h, NULL, 0);
        sink_history_rest(&counting, h);
        error = buf_reserve(out, counting.bytes);
        if (!error) {
            struct sink writing = {.at = out->data + out->bytes};
            sink_history(&writing, &t, h, NULL, 0);
            sink_history_rest(&writing, h);
            out->bytes += writing.bytes;
        }
    }
    if (error)
        out->failed = true;
    table_close(&t);
    return error;
}

/* ---- decoding -------------------------------------------------------------------------------- */

/*
 * The table stays where it is in the bytes; indices order as actors do, because the table ascends,
 * so the lists are checked by comparing indices. No count is believed beyond what the remaining
 * bytes can hold, before anything is allocated for it.
 */
struct decoder {
    struct reader r;
    const uint8_t *actors;
    uint32_t actor_count;
};

struct indexed {
    uint64_t index, seq;
};

static inline uint64_t next_varint(struct reader *r)
{
    if (r->at < r->end && *r->at < 0x80)
        return *r->at++;
    return read_varint(r);
}

static struct actor decoder_actor(const struct decoder *d, uint64_t index)
{
    const uint8_t *at = d->actors + index * ACTOR_BYTES;
    return (struct actor){le64_get(at), le64_get(at + 8)};
}

static struct dot decoder_dot(const struct decoder *d, struct indexed i)
{
    return (struct dot){decoder_actor(d, i.index), i.seq};
}

/* An index within the table and a seq. */
static inline bool next_indexed(struct decoder *d, struct indexed *i)
{
    i->index = next_varint(&d->r);
    i->seq = next_varint(&d->r);
    return !d->r.failed && i->index < d->actor_count;
}

static bool next_count(struct reader *r, size_t item_bytes, uint32_t limit, uint32_t *count)
{
    uint64_t n = next_varint(r);
    if (r->failed || n > limit || n > reader_left(r) / item_bytes)
        return false;
    *count = (uint32_t)n;
    return true;
}

static int dots_room(struct dot **dots, uint32_t *capacity, uint32_t count)
{
    if (count <= *capacity)
        return 0;
    uint32_t grown = count < 4 ? 4 : count;
    struct dot *moved = realloc(*dots, grown * sizeof(*moved));
    if (!moved)
        return GT_ENOMEM;
    *dots = moved;
    *capacity = grown;
    return 0;
}

static int decode_actors(struct decoder *d)
{
    if (!next_count(&d->r, ACTOR_BYTES, RECORD_ACTORS_MAX, &d->actor_count))
        return GT_ECORRUPT;
    d->actors = read_raw(&d->r, (size_t)d->actor_count * ACTOR_BYTES).data;
    for (uint32_t i = 1; i < d->actor_count; i++)
        if (actor_compare(decoder_actor(d, i - 1), decoder_actor(d, i)) >= 0)
            return GT_ECORRUPT;
    return 0;
}

static int decode_vector(struct decoder *d, struct history *out)
{
    uint32_t count;
    if (!next_count(&d->r, DOT_BYTES_MIN, RECORD_DOTS_MAX, &count))
        return GT_ECORRUPT;
    int error = dots_room(&out->vector, &out->vector_capacity, count);
    if (error)
        return error;
    struct indexed i;
    for (uint64_t next = 0; out->vector_count < count; next = i.index + 1) {
        if (!next_indexed(d, &i) || i.seq == 0 || i.index < next)
            return GT_ECORRUPT;
        out->vector[out->vector_count++] = decoder_dot(d, i);
    }
    return 0;
}

/* A walk along the vector beside an ascending list of dots: is this one covered? */
static bool covered_next(const struct history *h, uint32_t *v, struct dot d)
{
    while (*v < h->vector_count && actor_compare(h->vector[*v].actor, d.actor) < 0)
        ++*v;
    return *v < h->vector_count && actor_equal(h->vector[*v].actor, d.actor) &&
           d.seq <= h->vector[*v].seq;
}

static bool indexed_ascend(struct indexed before, struct indexed i)
{
    return i.index > before.index || (i.index == before.index && i.seq > before.seq);
}

static int decode_exact(struct decoder *d, struct history *out)
{
    uint32_t count, v = 0;
    if (!next_count(&d->r, DOT_BYTES_MIN, RECORD_DOTS_MAX, &count))
        return GT_ECORRUPT;
    int error = dots_room(&out->exact, &out->exact_capacity, count);
    if (error)
        return error;
    struct indexed before = {0}; /* seq 0 at index 0: below every dot */
    while (out->exact_count < count) {
        struct indexed i;
        if (!next_indexed(d, &i) || i.seq == 0 || !indexed_ascend(before, i))
            return GT_ECORRUPT;
        struct dot dot = decoder_dot(d, i);
        if (covered_next(out, &v, dot))
            return GT_ECORRUPT;
        out->exact[out->exact_count++] = dot;
        before = i;
    }
    return 0;
}

static int decode_history(struct decoder *d, struct history *out)
{
    history_clear(out);
    int error = decode_actors(d);
    if (!error)
        error = decode_vector(d, out);
    if (!error)
        error = decode_exact(d, out);
    if (error)
        history_clear(out);
    return error;
}

static int decode_operations(struct decoder *d, struct history *out)
{
    uint32_t count;
    uint8_t before[OP_ID_BYTES] = {0}; /* no operation, below all */
    if (!next_count(&d->r, OP_ID_BYTES + 8, HISTORY_OPERATIONS_MAX, &count))
        return GT_ECORRUPT;
    for (uint32_t i = 0; i < count; i++) {
        struct slice raw = read_raw(&d->r, OP_ID_BYTES + 8);
        if (memcmp(before, raw.data, OP_ID_BYTES) >= 0)
            return GT_ECORRUPT;
        memcpy(before, raw.data, OP_ID_BYTES);
        int error = history_name(out, before, le64_get(raw.data + OP_ID_BYTES), 0);
        if (error)
            return error;
    }
    return out->operation_count == count ? 0 : GT_ECORRUPT;
}

static int decode_superseded(struct decoder *d, struct history *out)
{
    for (uint32_t i = 0; i < out->operation_count; i++) {
        struct slice raw = read_raw(&d->r, 8);
        if (d->r.failed)
            return GT_ECORRUPT;
        out->operations[i].superseded = le64_get(raw.data);
        if (out->operations[i].superseded < out->operations[i].stamp)
            return GT_ECORRUPT;
    }
    return 0;
}

/* What is closed is told by no dot. */
static bool closed_told_twice(const struct history *h)
{
    for (uint32_t i = 0; i < h->vector_count; i++)
        if (history_closes(h, h->vector[i].actor))
            return true;
    for (uint32_t i = 0; i < h->exact_count; i++)
        if (history_closes(h, h->exact[i].actor))
            return true;
    return false;
}

static int decode_closed(struct decoder *d, struct history *out)
{
    uint32_t count;
    if (!next_count(&d->r, ACTOR_BYTES, RECORD_ACTORS_MAX, &count))
        return GT_ECORRUPT;
    struct actor *closed =
        count > out->closed_capacity ? realloc(out->closed, count * sizeof(*closed)) : out->closed;
    if (count > 0 && !closed)
        return GT_ENOMEM;
    out->closed = closed;
    if (count > out->closed_capacity)
        out->closed_capacity = count;
    for (uint32_t i = 0; i < count; i++) {
        struct slice raw = read_raw(&d->r, ACTOR_BYTES);
        struct actor life = {le64_get(raw.data), le64_get(raw.data + 8)};
        if (life.incarnation == 0 || (i > 0 && closed[i - 1].node >= life.node))
            return GT_ECORRUPT;
        closed[i] = life;
        out->closed_count++;
    }
    return closed_told_twice(out) ? GT_ECORRUPT : 0;
}

int history_decode(struct reader *r, struct history *out)
{
    struct decoder d = {.r = *r};
    int error = decode_history(&d, out);
    if (!error && reader_left(&d.r) > 0)
        error = decode_operations(&d, out);
    if (!error && reader_left(&d.r) > 0)
        error = decode_superseded(&d, out);
    if (!error && reader_left(&d.r) > 0)
        error = decode_closed(&d, out);
    if (error)
        history_clear(out);
    *r = d.r;
    return error;
}

static int siblings_room(struct state *s, uint32_t count)
{
    if (count <= s->sibling_capacity)
        return 0;
    uint32_t grown = count < 4 ? 4 : count;
    struct sibling *moved = realloc(s->siblings, grown * sizeof(*moved));
    if (!moved)
        return GT_ENOMEM;
    s->siblings = moved;
    s->sibling_capacity = grown;
    return 0;
}

static int decode_sibling(struct decoder *d, struct indexed before, struct indexed *i,
                          struct sibling *out)
{
    uint8_t flags = read_u8(&d->r);
    if (flags & ~FLAGS_KNOWN)
        return GT_EFORMAT; /* a newer writer's, with fields that this reader cannot step over */
    if ((flags & SIBLING_TOMBSTONE) && (flags & SIBLING_ELIDED))
        return GT_ECORRUPT;
    if (!next_indexed(d, i) || i->seq == 0 || !indexed_ascend(before, *i))
        return GT_ECORRUPT;
    *out = (struct sibling){.dot = decoder_dot(d, *i), .flags = flags};
    struct slice fixed = read_raw(&d->r, 8 + OP_ID_BYTES);
    if (d->r.failed)
        return GT_ECORRUPT;
    out->stamp = le64_get(fixed.data);
    memcpy(out->op, fixed.data + 8, OP_ID_BYTES);
    if (flags & SIBLING_EXPIRES) {
        struct indexed expiry;
        out->expires_at_ms = next_varint(&d->r);
        if (!next_indexed(d, &expiry))
            return GT_ECORRUPT;
        out->expiry_dot = decoder_dot(d, expiry);
    }
    if (!(flags & (SIBLING_TOMBSTONE | SIBLING_ELIDED))) {
        uint64_t bytes = next_varint(&d->r);
        if (d->r.failed || bytes > reader_left(&d->r))
            return GT_ECORRUPT;
        out->value = read_raw(&d->r, (size_t)bytes);
    }
    return 0;
}

static int decode_siblings(struct decoder *d, struct state *out)
{
    uint32_t count;
    if (!next_count(&d->r, SIBLING_BYTES_MIN, RECORD_DOTS_MAX, &count))
        return GT_ECORRUPT;
    int error = siblings_room(out, count);
    struct indexed before = {0}, i;
    while (!error && out->sibling_count < count) {
        error = decode_sibling(d, before, &i, &out->siblings[out->sibling_count]);
        if (!error)
            out->sibling_count++;
        before = i;
    }
    return error;
}

static int decode_flagged(struct decoder *d, struct state *out, uint8_t flag)
{
    uint32_t count;
    if (!next_count(&d->r, 1, out->sibling_count, &count))
        return GT_ECORRUPT;
    for (uint64_t i = 0, next = 0; i < count; i++) {
        uint64_t place = next_varint(&d->r);
        if (d->r.failed || place < next || place >= out->sibling_count)
            return GT_ECORRUPT;
        out->siblings[place].flags |= flag;
        next = place + 1;
    }
    return 0;
}

/* Live siblings are of lives that are not closed in their state (version_close_lives). */
static bool sibling_closed(const struct state *s)
{
    for (uint32_t i = 0; i < s->sibling_count && s->history.closed_count > 0; i++)
        if (history_closes(&s->history, s->siblings[i].dot.actor))
            return true;
    return false;
}

static int decode_rest(struct decoder *d, struct state *out)
{
    int error = decode_flagged(d, out, SIBLING_RETRIED);
    if (!error)
        error = decode_operations(d, &out->history);
    if (!error && reader_left(&d->r) > 0)
        error = decode_flagged(d, out, SIBLING_AGAIN);
    if (!error && reader_left(&d->r) > 0)
        error = decode_superseded(d, &out->history);
    if (!error && reader_left(&d->r) > 0)
        error = decode_closed(d, &out->history);
    if (!error && sibling_closed(out))
        return GT_ECORRUPT;
    /* What has no dot includes no operation: it would be encoded as absent. */
    return !error && state_absent(out) ? GT_ECORRUPT : error;
}

/*
 * The dots of live siblings into the exact dots, where the vector does not cover them: counted
 * first, then merged from the back in one walk. A sibling's dot among the listed ones was told
 * twice.
 */
static int live_dots_add(struct state *s)
{
    struct history *h = &s->history;
    uint32_t more = 0, v = 0;
    for (uint32_t i = 0; i < s->sibling_count; i++)
        more += !covered_next(h, &v, s->siblings[i].dot);
    if (more == 0)
        return 0;
    int error = dots_room(&h->exact, &h->exact_capacity, h->exact_count + more);
    if (error)
        return error;
    uint32_t from = h->exact_count, to = from + more, j = s->sibling_count;
    h->exact_count = to;
    while (j > 0) {
        struct dot d = s->siblings[--j].dot;
        if (h->vector_count > 0 &&
            history_covers(&(struct history){.vector = h->vector, .vector_count = h->vector_count},
                           d))
            continue;
        while (from > 0 && dot_compare(h->exact[from - 1], d) > 0)
            h->exact[--to] = h->exact[--from];
        if (from > 0 && dot_compare(h->exact[from - 1], d) == 0)
            return GT_ECORRUPT;
        h->exact[--to] = d;
    }
    return 0;
}

int record_verify(struct slice bytes, uint32_t partition, struct slice key)
{
    if (bytes.bytes == 0)
        return 0;
    if (partition > UINT16_MAX || bytes.bytes < HEAD_BYTES ||
        (record_crc(bytes, partition, key) != le32_get(bytes.data) && !MUTANT(record_unchecked)))
        return GT_ECORRUPT;
    return 0;
}

int record_known(struct slice bytes, uint32_t partition, struct slice key)
{
    /* The checksum before the format: a flipped bit there is damage, not a newer format. */
    int error = record_verify(bytes, partition, key);
    if (error || bytes.bytes == 0)
        return error;
    return bytes.data[CRC_BYTES] == RECORD_FORMAT ? 0 : GT_EFORMAT;
}

int record_decode(struct slice bytes, uint32_t partition, struct slice key, struct state *out)
{
    state_clear(out);
    int error = record_known(bytes, partition, key);
    if (error || bytes.bytes == 0)
        return error;
    struct decoder d = {
        .r = reader_of(slice_of(bytes.data + HEAD_BYTES, bytes.bytes - HEAD_BYTES)),
    };
    error = decode_history(&d, &out->history);
    if (!error)
        error = decode_siblings(&d, out);
    if (!error && reader_left(&d.r) > 0)
        error = decode_rest(&d, out);
    if (!error)
        error = live_dots_add(out);
    if (error)
        state_clear(out);
    return error;
}

uint64_t record_digest(struct slice bytes)
{
    return hash_bytes(bytes);
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static int record_bytes(const struct state *s, size_t *bytes)
{
    struct table t;
    int error = table_open(&t, &s->history, s->siblings, s->sibling_count);
    if (!error)
        *bytes = record_count(&t, s);
    table_close(&t);
    return error;
}

static bool sibling_has_value(const struct sibling *s)
{
    return !(s->flags & (SIBLING_TOMBSTONE | SIBLING_ELIDED));
}

static size_t value_cost(const struct sibling *s)
{
    return varint_bytes(s->value.bytes) + s->value.bytes;
}

/* The last piece: everything, with the values that fit beside the history and the rest elided.
 * Tombstones have nothing to leave out. */
static int last_piece(const struct state *s, size_t bytes_max, struct state *last)
{
    size_t bytes;
    int error = state_copy(last, s);
    for (uint32_t i = 0; !error && i < s->sibling_count; i++)
        if (sibling_has_value(&s->siblings[i])) {
            last->siblings[i].flags |= SIBLING_ELIDED;
            last->siblings[i].value = slice_of(NULL, 0);
        }
    if (!error)
        error = record_bytes(last, &bytes);
    for (uint32_t i = s->sibling_count; !error && i-- > 0;) {
        const struct sibling *sibling = &s->siblings[i];
        if (!sibling_has_value(sibling) || bytes + value_cost(sibling) > bytes_max)
            continue;
        bytes += value_cost(sibling);
        last->siblings[i] = *sibling;
    }
    return error;
}

/*
 * Why the pieces give the same as the whole, when all but the last are merged without the sender's
 * clock (it speaks of the whole state): a piece's history is the dots of its own live siblings, so
 * it drops nothing that is here. A sibling d of it is kept iff the whole would keep it, and then is
 * live when the last piece comes, so it is kept again, with its value; or it is not kept, and then
 * the history holds d by now, so the last piece does not bring it either. For every other sibling
 * the last piece asks the same questions as the whole.
 */
int record_pieces(const struct state *s, size_t bytes_max,
                  int (*piece)(void *arg, const struct state *part, bool last), void *arg)
{
    size_t bytes;
    int error = record_bytes(s, &bytes);
    if (error)
        return error;
    if (bytes <= bytes_max)
        return piece(arg, s, true);

    struct state last = {0}, part = {0};
    error = last_piece(s, bytes_max, &last);
    for (uint32_t i = 0; !error && i < s->sibling_count; i++) {
        const struct sibling *sibling = &s->siblings[i];
        bool travels_ahead = sibling_has_value(sibling) && !sibling_has_value(&last.siblings[i]);
        if (!travels_ahead)
            continue;
        if (part.sibling_count > 0) {
            /* An actor, an exact dot's worth of slack and longer counts: generous by design. */
            error = record_bytes(&part, &bytes);
            size_t more = ACTOR_BYTES + SIBLING_BYTES_MIN + 64 + value_cost(sibling);
            if (!error && bytes + more > bytes_max) {
                error = piece(arg, &part, false);
                state_clear(&part);
            }
        }
        if (!error)
            error = state_add(&part, sibling);
    }
    if (!error && part.sibling_count > 0)
        error = piece(arg, &part, false);
    if (!error)
        error = piece(arg, &last, true);
    state_close(&part);
    state_close(&last);
    return error;
}
