#include "tests/lib/memcut.h"

#include "engine/base/assert.h"

static uint64_t load(const uint64_t *count)
{
    return __atomic_load_n(count, __ATOMIC_SEQ_CST);
}

void memcut_arm(struct memcut *c, uint64_t nth)
{
    gt_assert(nth > 0);
    __atomic_store_n(&c->at, load(&c->calls) + nth, __ATOMIC_SEQ_CST);
}

void memcut_clear(struct memcut *c)
{
    __atomic_store_n(&c->at, 0, __ATOMIC_SEQ_CST);
}

bool memcut_reached(const struct memcut *c)
{
    uint64_t at = load(&c->at);
    return at > 0 && load(&c->calls) >= at;
}

uint64_t memcut_calls(const struct memcut *c)
{
    return load(&c->calls);
}

enum memcut_fate memcut_call(struct memcut *c)
{
    uint64_t call = __atomic_add_fetch(&c->calls, 1, __ATOMIC_SEQ_CST), at = load(&c->at);
    if (at == 0 || call < at)
        return MEMCUT_DONE;
    return call == at ? MEMCUT_CUT : MEMCUT_TOO_LATE;
}
