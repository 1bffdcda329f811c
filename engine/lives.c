#include "engine/lives.h"

#include <string.h>

#include "engine/base/mutant.h"

void lives_add(struct lives *l, uint64_t life)
{
    uint32_t at = 0;
    while (at < l->count && l->at[at] > life)
        at++;
    if (life == 0 || at == LIVES_KEPT || (at < l->count && l->at[at] == life))
        return;
    uint32_t behind = l->count - at;
    if (l->count == LIVES_KEPT)
        behind--;
    else
        l->count++;
    memmove(&l->at[at + 1], &l->at[at], behind * sizeof(l->at[0]));
    l->at[at] = life;
}

bool lives_know(const struct lives *l, uint64_t life)
{
    uint32_t at = 0;
    while (at < l->count && l->at[at] > life)
        at++;
    bool older = at == l->count || (MUTANT(know_last_lives_only) && at > 1);
    return older || l->at[at] == life;
}

struct slice lives_put(const struct lives *l, uint8_t at[LIVES_KEPT * LIFE_TOLD_BYTES])
{
    for (uint32_t i = 0; i < l->count; i++)
        le64_put(at + (size_t)i * LIFE_TOLD_BYTES, l->at[i]);
    return slice_of(at, (size_t)l->count * LIFE_TOLD_BYTES);
}

void lives_take(struct lives *l, struct slice run)
{
    for (size_t at = 0; at + LIFE_TOLD_BYTES <= run.bytes; at += LIFE_TOLD_BYTES)
        lives_add(l, le64_get(run.data + at));
}
