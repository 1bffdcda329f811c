#include "tests/crash/states.h"

#include "engine/base/prng.h"

#define TEARS 11u
#define SIZES 9u

static const enum fate drawn_tears[] = {FATE_FIRST, FATE_SOME, FATE_GARBLED, FATE_SHREDDED};

static uint64_t writes_count(const struct model *m)
{
    uint64_t count = 0;
    for (size_t i = 0; i < model_pending(m); i++)
        count += model_pending_bytes(m, i) > 0;
    return count;
}

static bool any_grows(const struct model *m)
{
    for (size_t i = 0; i < model_pending(m); i++)
        if (model_pending_grows(m, i))
            return true;
    return false;
}

uint64_t states_count(const struct model *m, uint64_t *plain)
{
    uint64_t n = model_pending(m);
    *plain = n == 0 ? 1 : n == 1 ? 2 : 2 + 3 * n;
    return *plain + writes_count(m) * TEARS + (any_grows(m) ? SIZES : 0);
}

static void choose_all(struct cut *cut, size_t from, size_t to, enum fate fate)
{
    for (size_t i = from; i < to; i++)
        cut->choices[i] = (struct choice){.fate = fate};
}

static void plain_cut(struct cut *cut, size_t n, uint64_t number)
{
    if (number < 2) {
        choose_all(cut, 0, n, number == 0 ? FATE_LOST : FATE_KEPT);
        return;
    }
    size_t i = (size_t)(number - 2) / 3;
    switch ((number - 2) % 3) {
    case 0: /* all but it */
        choose_all(cut, 0, n, FATE_KEPT);
        cut->choices[i].fate = FATE_LOST;
        return;
    case 1: /* it alone */
        choose_all(cut, 0, n, FATE_LOST);
        cut->choices[i].fate = FATE_KEPT;
        return;
    default: /* those before it */
        choose_all(cut, 0, i, FATE_KEPT);
        choose_all(cut, i, n, FATE_LOST);
    }
}

static void tear_cut(struct cut *cut, size_t n, size_t write, uint32_t sectors, uint64_t way)
{
    choose_all(cut, 0, n, FATE_KEPT);
    struct choice *c = &cut->choices[write];
    const struct choice ways[TEARS] = {{FATE_FIRST, 1},
                                       {FATE_FIRST, sectors / 2},
                                       {FATE_FIRST, sectors - 1},
                                       {FATE_SOME, 0},
                                       {FATE_SOME, 0},
                                       {FATE_GARBLED, 0},
                                       {FATE_GARBLED, 0},
                                       {FATE_SHREDDED, 0},
                                       {FATE_SHREDDED, 0},
                                       {FATE_SHREDDED, 1},
                                       {FATE_SHREDDED, 1}};
    *c = ways[way];
    cut->sector_bytes = way % 2 ? SECTOR_BYTES : SECTOR_BYTES_MAX;
}

static void draw_choices(const struct model *m, struct cut *cut, size_t n, struct prng *prng)
{
    static const unsigned kept_in_100[] = {10, 50, 90};
    static const unsigned torn_in_100[] = {0, 30, 80};
    unsigned kept = kept_in_100[prng_below(prng, 3)], torn = torn_in_100[prng_below(prng, 3)];
    for (size_t i = 0; i < n; i++) {
        struct choice *c = &cut->choices[i];
        uint64_t sectors = (model_pending_bytes(m, i) + SECTOR_BYTES - 1) / SECTOR_BYTES;
        *c = (struct choice){.fate = prng_below(prng, 100) < kept ? FATE_KEPT : FATE_LOST};
        if (sectors > 0 && prng_below(prng, 100) < torn)
            *c = (struct choice){drawn_tears[prng_below(prng, 4)],
                                 (uint32_t)prng_below(prng, sectors + 1)};
    }
}

static void size_cut(const struct model *m, struct cut *cut, size_t n, uint64_t way,
                     struct prng *prng)
{
    cut->size = (enum size_rule)(SIZE_AHEAD + way % 3);
    if (way / 3 == 2)
        draw_choices(m, cut, n, prng);
    else
        choose_all(cut, 0, n, way / 3 == 0 ? FATE_LOST : FATE_KEPT);
}

static size_t write_at(const struct model *m, uint64_t number)
{
    for (size_t i = 0;; i++)
        if (model_pending_bytes(m, i) > 0 && number-- == 0)
            return i;
}

void states_cut(const struct model *m, uint64_t number, uint64_t seed, struct cut *cut)
{
    struct prng prng;
    prng_init(&prng, seed + number * 0x9e3779b97f4a7c15u);
    size_t n = model_pending(m);
    cut->seed = prng_next(&prng);
    cut->sector_bytes = prng_below(&prng, 2) ? SECTOR_BYTES : SECTOR_BYTES_MAX;
    cut->size = SIZE_KEPT;
    uint64_t plain, all = states_count(m, &plain), tears = writes_count(m) * TEARS;
    if (number < plain) {
        plain_cut(cut, n, number);
    } else if (number - plain < tears) {
        size_t write = write_at(m, (number - plain) / TEARS);
        uint64_t sectors = (model_pending_bytes(m, write) + SECTOR_BYTES - 1) / SECTOR_BYTES;
        tear_cut(cut, n, write, (uint32_t)sectors, (number - plain) % TEARS);
    } else if (number < all) {
        size_cut(m, cut, n, number - plain - tears, &prng);
    } else {
        draw_choices(m, cut, n, &prng);
        if (any_grows(m))
            cut->size = (enum size_rule)prng_below(&prng, 4);
    }
}
