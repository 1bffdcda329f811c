/* The table of in-flight work, against a list that is searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/prng.h"
#include "net/step.h"

#define CAPACITY 37u

struct work {
    uint64_t number;
    uint8_t more[21];
};

struct model {
    struct {
        uint64_t id, number, deadline_us;
    } used[CAPACITY];
    uint32_t count;
    uint64_t ended[64]; /* ids that must never be found again */
    uint32_t ended_count;
};

static uint64_t model_earliest(const struct model *m)
{
    uint64_t earliest = UINT64_MAX;
    for (uint32_t i = 0; i < m->count; i++)
        if (m->used[i].deadline_us < earliest)
            earliest = m->used[i].deadline_us;
    return earliest;
}

static void model_end(struct model *m, uint32_t i)
{
    m->ended[m->ended_count++ % 64] = m->used[i].id;
    m->used[i] = m->used[--m->count];
}

static void take_one(struct slots *s, struct model *m, struct prng *prng, uint64_t number)
{
    uint64_t id = 0, deadline_us = prng_below(prng, 10) ? prng_below(prng, 1000) : UINT64_MAX;
    struct work *w = slots_take(s, deadline_us, &id);
    assert_int_equal(w == NULL, m->count == CAPACITY);
    if (!w)
        return;
    assert_int_not_equal(id, 0);
    assert_int_equal(w->number, 0);
    assert_int_equal(w->more[20], 0);
    w->number = number;
    memset(w->more, 0xff, sizeof(w->more));
    m->used[m->count].id = id;
    m->used[m->count].number = number;
    m->used[m->count++].deadline_us = deadline_us;
}

static void assert_same(struct slots *s, const struct model *m)
{
    assert_int_equal(slots_used(s), m->count);
    assert_int_equal(slots_deadline_us(s), model_earliest(m));
    for (uint32_t i = 0; i < m->count; i++) {
        struct work *w = slots_find(s, m->used[i].id);
        assert_non_null(w);
        assert_int_equal(w->number, m->used[i].number);
    }
    for (uint32_t i = 0; i < 64 && i < m->ended_count; i++)
        assert_null(slots_find(s, m->ended[i]));
}

static void expire_all(struct slots *s, struct model *m, uint64_t now_us)
{
    uint64_t id;
    while ((id = slots_expired(s, now_us)) != 0) {
        uint32_t i = 0;
        while (i < m->count && m->used[i].id != id)
            i++;
        assert_true(i < m->count);
        assert_int_equal(m->used[i].deadline_us, model_earliest(m));
        assert_true(m->used[i].deadline_us <= now_us);
        slots_release(s, id);
        model_end(m, i);
    }
    assert_true(model_earliest(m) > now_us);
}

static void a_random_life_agrees_with_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct slots *s = slots_new(CAPACITY, sizeof(struct work));
        struct model m = {.count = 0};
        struct prng prng;
        prng_init(&prng, seed);
        for (uint64_t number = 1; number < 2000; number++) {
            uint64_t dice = prng_below(&prng, 100);
            uint32_t i = m.count ? (uint32_t)prng_below(&prng, m.count) : 0;
            if (dice < 50) {
                take_one(s, &m, &prng, number);
            } else if (dice < 75 && m.count > 0) {
                slots_release(s, m.used[i].id);
                model_end(&m, i);
            } else if (dice < 98 && m.count > 0) {
                m.used[i].deadline_us = prng_below(&prng, 1000);
                slots_set_deadline(s, m.used[i].id, m.used[i].deadline_us);
                if (dice < 80) {
                    m.ended[m.ended_count++ % 64] = m.used[i].id;
                    m.used[i].id = slots_renew(s, m.used[i].id);
                }
            } else if (dice >= 98) {
                expire_all(s, &m, prng_below(&prng, 500));
            }
            assert_same(s, &m);
        }
        slots_free(s);
    }
}

static void each_release(void *arg, uint64_t id, void *slot)
{
    struct slots *s = arg;
    if (((struct work *)slot)->number % 2)
        slots_release(s, id);
}

static void a_walk_may_release_what_it_sees(void **state)
{
    (void)state;
    struct slots *s = slots_new(10, sizeof(struct work));
    for (uint64_t i = 0; i < 10; i++) {
        uint64_t id;
        struct work *w = slots_take(s, i, &id);
        w->number = i;
    }
    slots_each(s, each_release, s);
    assert_int_equal(slots_used(s), 5);
    slots_free(s);
}

static void ids_that_were_never_given_are_not_found(void **state)
{
    (void)state;
    struct slots *s = slots_new(4, 1);
    uint64_t id;
    assert_non_null(slots_take(s, 1, &id));
    assert_null(slots_find(s, 0));
    assert_null(slots_find(s, id + 1));
    assert_null(slots_find(s, id + ((uint64_t)1 << 32)));
    assert_null(slots_find(s, UINT64_MAX));
    slots_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_random_life_agrees_with_the_model),
        cmocka_unit_test(a_walk_may_release_what_it_sees),
        cmocka_unit_test(ids_that_were_never_given_are_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
