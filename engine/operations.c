#include "engine/operations.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"

#define NONE         UINT32_MAX
#define CAPACITY_MIN 64u
/* A row, and its share of the places: at most four for each. */
#define ROW_BYTES (sizeof(struct operation_row) + 4 * sizeof(uint32_t))

/* ---- bytes ----------------------------------------------------------------------------------- */

struct operation operations_at(struct slice run, uint32_t i)
{
    const uint8_t *at = run.data + (size_t)i * OPERATION_BYTES;
    struct operation o = {.key_hash = le64_get(at + 16),
                          .dot = {{le64_get(at + 24), le64_get(at + 32)}, le64_get(at + 40)},
                          .stamp = le64_get(at + 48),
                          .noted = le64_get(at + 56)};
    memcpy(o.op, at, OP_ID_BYTES);
    return o;
}

void operation_put(uint8_t at[OPERATION_BYTES], const struct operation *o)
{
    memcpy(at, o->op, OP_ID_BYTES);
    le64_put(at + 16, o->key_hash);
    le64_put(at + 24, o->dot.actor.node);
    le64_put(at + 32, o->dot.actor.incarnation);
    le64_put(at + 40, o->dot.seq);
    le64_put(at + 48, o->stamp);
    le64_put(at + 56, o->noted);
    at[64] = 0;
}

bool operation_none(const uint8_t op[OP_ID_BYTES])
{
    static const uint8_t none[OP_ID_BYTES];
    return memcmp(op, none, OP_ID_BYTES) == 0;
}

/* ---- finding --------------------------------------------------------------------------------- */

static uint32_t place_of(const struct operations *t, const uint8_t op[OP_ID_BYTES])
{
    return (uint32_t)hash_bytes(slice_of(op, OP_ID_BYTES)) & (t->place_count - 1);
}

static bool row_is(const struct operation_row *row, uint32_t partition, uint64_t key_hash,
                   const uint8_t op[OP_ID_BYTES])
{
    return memcmp(row->operation.op, op, OP_ID_BYTES) == 0 && row->operation.key_hash == key_hash &&
           row->partition == partition;
}

const struct operation *operations_find(const struct operations *t, uint32_t partition,
                                        uint64_t key_hash, const uint8_t op[OP_ID_BYTES])
{
    if (t->count == 0)
        return NULL;
    uint32_t mask = t->place_count - 1;
    for (uint32_t at = place_of(t, op); t->places[at] != 0; at = (at + 1) & mask) {
        const struct operation_row *row = &t->rows[t->places[at] - 1];
        if (row_is(row, partition, key_hash, op))
            return &row->operation;
    }
    return NULL;
}

bool operations_raise(struct operations *t, uint32_t partition, const struct operation *o)
{
    struct operation *known = (struct operation *)operations_find(t, partition, o->key_hash, o->op);
    if (!known)
        operations_note(t, partition, o);
    else if (o->stamp > known->stamp)
        known->stamp = o->stamp;
    else
        return false;
    return true;
}

static void place_add(struct operations *t, uint32_t row)
{
    uint32_t mask = t->place_count - 1;
    uint32_t at = place_of(t, t->rows[row].operation.op);
    while (t->places[at] != 0)
        at = (at + 1) & mask;
    t->places[at] = row + 1;
}

/* Frees the place of a row, and moves up those that stood behind it because it was taken. */
static void place_remove(struct operations *t, uint32_t row)
{
    uint32_t mask = t->place_count - 1;
    uint32_t at = place_of(t, t->rows[row].operation.op);
    while (t->places[at] != row + 1)
        at = (at + 1) & mask;
    for (uint32_t next = (at + 1) & mask; t->places[next] != 0; next = (next + 1) & mask) {
        uint32_t home = place_of(t, t->rows[t->places[next] - 1].operation.op);
        if (((next - home) & mask) < ((next - at) & mask))
            continue; /* it would stand before its home */
        t->places[at] = t->places[next];
        at = next;
    }
    t->places[at] = 0;
}

/* ---- chains of partitions -------------------------------------------------------------------- */

static bool chain_reserve(struct operations *t, uint32_t partition)
{
    if (partition < t->chain_count)
        return true;
    uint32_t count = t->chain_count ? t->chain_count : CAPACITY_MIN;
    while (count <= partition)
        count *= 2;
    struct operation_chain *chains = realloc(t->chains, count * sizeof(*chains));
    if (!chains)
        return false;
    for (uint32_t i = t->chain_count; i < count; i++)
        chains[i] = (struct operation_chain){NONE, NONE, 0};
    t->chains = chains;
    t->chain_count = count;
    return true;
}

static void chain_add(struct operations *t, uint32_t row)
{
    struct operation_chain *c = &t->chains[t->rows[row].partition];
    t->rows[row].next = NONE;
    if (c->count++ == 0)
        c->first = row;
    else
        t->rows[c->last].next = row;
    c->last = row;
}

/* The row is the oldest of all, so it is the first of its partition. */
static void chain_remove_first(struct operations *t, uint32_t row)
{
    struct operation_chain *c = &t->chains[t->rows[row].partition];
    c->first = t->rows[row].next;
    if (--c->count == 0)
        c->first = c->last = NONE;
}

/* ---- rows ------------------------------------------------------------------------------------ */

void operations_init(struct operations *t, uint64_t bytes_max)
{
    uint64_t count_max = bytes_max / ROW_BYTES;
    *t = (struct operations){.count_max =
                                 count_max < UINT32_MAX / 8 ? (uint32_t)count_max : UINT32_MAX / 8};
}

void operations_close(struct operations *t)
{
    free(t->rows);
    free(t->places);
    free(t->chains);
    *t = (struct operations){0};
}

/* Finds every row again, after they have moved. */
static void places_rebuild(struct operations *t)
{
    memset(t->places, 0, t->place_count * sizeof(*t->places));
    for (uint32_t i = 0; i < t->chain_count; i++)
        t->chains[i] = (struct operation_chain){NONE, NONE, 0};
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t row = (t->head + i) % t->capacity;
        place_add(t, row);
        chain_add(t, row);
    }
}

/* Room for one more row. False: memory is out, or the limit is reached. */
static bool rows_grow(struct operations *t)
{
    if (t->capacity >= t->count_max)
        return false;
    uint32_t capacity = t->capacity ? t->capacity * 2 : CAPACITY_MIN;
    if (capacity > t->count_max)
        capacity = t->count_max;
    uint32_t place_count = CAPACITY_MIN;
    while (place_count < 2 * capacity)
        place_count *= 2;
    struct operation_row *rows = malloc(capacity * sizeof(*rows));
    uint32_t *places = malloc(place_count * sizeof(*places));
    if (!rows || !places) {
        free(rows);
        free(places);
        return false;
    }
    for (uint32_t i = 0; i < t->count; i++)
        rows[i] = t->rows[(t->head + i) % t->capacity];
    free(t->rows);
    free(t->places);
    t->rows = rows;
    t->places = places;
    t->place_count = place_count;
    t->head = 0;
    t->capacity = capacity;
    if (!t->loading)
        places_rebuild(t);
    return true;
}

static void oldest_leaves(struct operations *t)
{
    uint32_t row = t->head;
    operations_floor_raise(t, t->rows[row].operation.noted);
    place_remove(t, row);
    chain_remove_first(t, row);
    t->head = (t->head + 1) % t->capacity;
    t->count--;
}

void operations_load(struct operations *t, uint32_t partition, const struct operation *o)
{
    if (!t->loading && t->count == 0)
        t->loading = true;
    bool room = t->loading && chain_reserve(t, partition);
    if (room && t->count == t->capacity)
        room = rows_grow(t);
    if (room) {
        t->noted++;
        t->rows[t->count++] = (struct operation_row){.operation = *o, .partition = partition};
        return;
    }
    if (t->loading)
        operations_sort(t);
    operations_note(t, partition, o);
}

void operations_note(struct operations *t, uint32_t partition, const struct operation *o)
{
    gt_assert(!t->loading);
    if (operations_find(t, partition, o->key_hash, o->op))
        return;
    bool room = chain_reserve(t, partition);
    if (room && t->count == t->capacity && !rows_grow(t) && t->count > 0)
        oldest_leaves(t);
    if (!room || t->count == t->capacity) {
        operations_floor_raise(t, o->noted);
        return;
    }
    uint32_t row = (t->head + t->count++) % t->capacity;
    t->noted++;
    t->rows[row] = (struct operation_row){.operation = *o, .partition = partition};
    place_add(t, row);
    chain_add(t, row);
}

void operations_age(struct operations *t, uint64_t now)
{
    uint64_t keep = (uint64_t)OPERATIONS_KEEP_MS << 16;
    while (t->count > 0 && t->rows[t->head].operation.noted + keep < now)
        oldest_leaves(t);
}

void operations_floor_raise(struct operations *t, uint64_t stamp)
{
    if (stamp > t->floor)
        t->floor = stamp;
}

uint64_t operations_length_ms(const struct operations *t, uint64_t now)
{
    if (t->floor == 0)
        return OPERATIONS_KEEP_MS;
    uint64_t length_ms = now > t->floor ? (now - t->floor) >> 16 : 0;
    return length_ms < OPERATIONS_KEEP_MS ? length_ms : OPERATIONS_KEEP_MS;
}

uint64_t operations_bytes(const struct operations *t)
{
    return t->capacity * sizeof(*t->rows) + t->place_count * sizeof(*t->places) +
           t->chain_count * sizeof(*t->chains);
}

uint32_t operations_of_partition(const struct operations *t, uint32_t partition)
{
    return partition < t->chain_count ? t->chains[partition].count : 0;
}

void operations_encode(const struct operations *t, uint32_t partition, uint64_t before,
                       struct buf *out)
{
    if (operations_of_partition(t, partition) == 0)
        return;
    uint64_t first = t->noted - t->count; /* the number of the oldest row, which is at the head */
    for (uint32_t row = t->chains[partition].first; row != NONE; row = t->rows[row].next) {
        uint8_t raw[OPERATION_BYTES];
        if (first + (row >= t->head ? row - t->head : row + t->capacity - t->head) >= before)
            return; /* the chain is in the order of the numbers */
        operation_put(raw, &t->rows[row].operation);
        buf_put(out, raw, sizeof(raw));
    }
}

/* ---- order ----------------------------------------------------------------------------------- */

struct order {
    uint64_t noted;
    uint32_t row;
};

static int by_noted(const void *left, const void *right, void *arg)
{
    const struct order *a = left, *b = right;
    const struct operations *t = arg;
    if (a->noted != b->noted)
        return a->noted < b->noted ? -1 : 1;
    return memcmp(t->rows[a->row].operation.op, t->rows[b->row].operation.op, OP_ID_BYTES);
}

static void rows_turn(struct operation_row *rows, uint32_t from, uint32_t to)
{
    while (from + 1 < to) {
        struct operation_row swap = rows[from];
        rows[from++] = rows[--to];
        rows[to] = swap;
    }
}

/* The ring begins at its first place again: three turns are a rotation. */
static void rows_begin_at_first(struct operations *t)
{
    if (t->head == 0)
        return;
    rows_turn(t->rows, 0, t->head);
    rows_turn(t->rows, t->head, t->capacity);
    rows_turn(t->rows, 0, t->capacity);
    t->head = 0;
}

/* Row order[i].row goes to place i, for every i: along each cycle, so that there is never a second
 * table. */
static void rows_arrange(struct operations *t, struct order *order)
{
    for (uint32_t i = 0; i < t->count; i++) {
        struct operation_row first = t->rows[i];
        uint32_t at = i;
        for (uint32_t from = order[at].row; from != i; from = order[at].row) {
            t->rows[at] = t->rows[from];
            order[at].row = at;
            at = from;
        }
        t->rows[at] = first;
        order[at].row = at;
    }
}

/* Without memory for the order they stay as they came: what leaves first may not be the oldest, and
 * the floor says so all the same. */
void operations_sort(struct operations *t)
{
    struct order *order = t->count > 1 ? malloc(t->count * sizeof(*order)) : NULL;
    t->loading = false;
    rows_begin_at_first(t);
    for (uint32_t i = 0; order && i < t->count; i++)
        order[i] = (struct order){t->rows[i].operation.noted, i};
    if (order) {
        qsort_r(order, t->count, sizeof(*order), by_noted, t);
        rows_arrange(t, order);
    }
    free(order);
    if (t->count > 0)
        places_rebuild(t);
}
