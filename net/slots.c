/*
 * An id is generation << 32 | index + 1. A slot's generation changes when it is released, so an id
 * of an ended slot is found no more (until 2^32 uses of one slot later).
 *
 * Memory that was never used is never touched: indexes from `fresh` on have not been taken yet.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "net/step.h"

struct slot {
    uint32_t generation;
    uint32_t place; /* in the heap; in a free slot, the next free one */
    uint64_t deadline_us;
};

#define NOWHERE UINT32_MAX

struct slots {
    uint32_t capacity, used, fresh, free;
    size_t bytes;
    struct slot *slots;
    uint32_t *heap; /* indexes of the used slots, earliest deadline on top */
    bool *taken;
    uint8_t *data;
};

struct slots *slots_new(uint32_t capacity, size_t bytes)
{
    gt_assert(capacity > 0 && capacity < NOWHERE && bytes > 0);
    struct slots *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->capacity = capacity;
    s->free = NOWHERE;
    s->bytes = (bytes + 15) & ~(size_t)15;
    s->slots = calloc(capacity, sizeof(*s->slots));
    s->heap = calloc(capacity, sizeof(*s->heap));
    s->taken = calloc(capacity, sizeof(*s->taken));
    s->data = calloc(capacity, s->bytes);
    if (!s->slots || !s->heap || !s->taken || !s->data) {
        slots_free(s);
        return NULL;
    }
    return s;
}

void slots_free(struct slots *s)
{
    if (!s)
        return;
    free(s->slots);
    free(s->heap);
    free(s->taken);
    free(s->data);
    free(s);
}

/* ---- the heap -------------------------------------------------------------------------------- */

static uint64_t due(const struct slots *s, uint32_t place)
{
    return s->slots[s->heap[place]].deadline_us;
}

static void put(struct slots *s, uint32_t place, uint32_t index)
{
    s->heap[place] = index;
    s->slots[index].place = place;
}

static void sift_up(struct slots *s, uint32_t place)
{
    uint32_t index = s->heap[place];
    while (place > 0) {
        uint32_t above = (place - 1) / 2;
        if (due(s, above) <= s->slots[index].deadline_us)
            break;
        put(s, place, s->heap[above]);
        place = above;
    }
    put(s, place, index);
}

static void sift_down(struct slots *s, uint32_t place)
{
    uint32_t index = s->heap[place];
    for (;;) {
        uint32_t below = 2 * place + 1;
        if (below >= s->used)
            break;
        if (below + 1 < s->used && due(s, below + 1) < due(s, below))
            below++;
        if (due(s, below) >= s->slots[index].deadline_us)
            break;
        put(s, place, s->heap[below]);
        place = below;
    }
    put(s, place, index);
}

/* ---- slots ----------------------------------------------------------------------------------- */

static uint64_t id_of(const struct slots *s, uint32_t index)
{
    return (uint64_t)s->slots[index].generation << 32 | (index + 1);
}

/* The index that the id names, NOWHERE when it has ended. */
static uint32_t index_of(const struct slots *s, uint64_t id)
{
    uint32_t index = (uint32_t)id - 1; /* 0 becomes NOWHERE, which is no index */
    if (index >= s->fresh || !s->taken[index] || s->slots[index].generation != id >> 32)
        return NOWHERE;
    return index;
}

void *slots_take(struct slots *s, uint64_t deadline_us, uint64_t *id)
{
    uint32_t index = s->free;
    if (index != NOWHERE)
        s->free = s->slots[index].place;
    else if (s->fresh < s->capacity)
        index = s->fresh++;
    else
        return NULL;
    s->taken[index] = true;
    s->slots[index].deadline_us = deadline_us;
    put(s, s->used++, index);
    sift_up(s, s->used - 1);
    *id = id_of(s, index);
    return memset(s->data + index * s->bytes, 0, s->bytes);
}

void *slots_find(struct slots *s, uint64_t id)
{
    uint32_t index = index_of(s, id);
    return index == NOWHERE ? NULL : s->data + index * s->bytes;
}

void slots_release(struct slots *s, uint64_t id)
{
    uint32_t index = index_of(s, id);
    gt_assert(index != NOWHERE);
    uint32_t place = s->slots[index].place, last = s->heap[--s->used];
    if (last != index) {
        put(s, place, last);
        sift_up(s, place);
        sift_down(s, s->slots[last].place);
    }
    s->taken[index] = false;
    s->slots[index].generation++;
    s->slots[index].place = s->free;
    s->free = index;
}

uint64_t slots_renew(struct slots *s, uint64_t id)
{
    uint32_t index = index_of(s, id);
    gt_assert(index != NOWHERE);
    s->slots[index].generation++;
    return id_of(s, index);
}

void slots_set_deadline(struct slots *s, uint64_t id, uint64_t deadline_us)
{
    uint32_t index = index_of(s, id);
    gt_assert(index != NOWHERE);
    s->slots[index].deadline_us = deadline_us;
    sift_up(s, s->slots[index].place);
    sift_down(s, s->slots[index].place);
}

uint64_t slots_deadline_us(const struct slots *s)
{
    return s->used > 0 ? due(s, 0) : UINT64_MAX;
}

uint64_t slots_expired(struct slots *s, uint64_t now_us)
{
    return s->used > 0 && due(s, 0) <= now_us ? id_of(s, s->heap[0]) : 0;
}

uint32_t slots_used(const struct slots *s)
{
    return s->used;
}

void slots_each(struct slots *s, void (*each)(void *arg, uint64_t id, void *slot), void *arg)
{
    for (uint32_t index = 0; index < s->fresh; index++)
        if (s->taken[index])
            each(arg, id_of(s, index), s->data + index * s->bytes);
}
