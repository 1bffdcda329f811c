/* The dot log beside a plain set, and an index that is given what the log says has changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/prng.h"
#include "engine/dotlog.h"

#define DOTS 6u /* of two actors, three each */

/* The log, the dots that it should have, and those that the index has by now. */
struct world {
    struct dotlog log;
    struct blob *key;
    bool held[DOTS], values[DOTS], indexed[DOTS];
};

static struct dot dot_of(unsigned i)
{
    return (struct dot){{1 + i / 3, 7}, 1 + i % 3};
}

static unsigned number_of(struct dot d)
{
    return (unsigned)((d.actor.node - 1) * 3 + d.seq - 1);
}

static void world_open(struct world *w)
{
    *w = (struct world){.key = blob_copy("key", 3)};
    dotlog_init(&w->log);
}

static void assert_as_held(const struct world *w)
{
    unsigned at = 0, waiting = 0;
    for (unsigned i = 0; i < DOTS; i++) {
        if (!w->held[i])
            continue;
        assert_true(at < w->log.count);
        assert_int_equal(dot_compare(w->log.entries[at].dot, dot_of(i)), 0);
        assert_ptr_equal(w->log.entries[at++].key, w->key);
        waiting += !w->values[i];
    }
    assert_int_equal(w->log.count, at);
    assert_int_equal(w->log.waiting, waiting);
}

/* A checkpoint: behind it the index has what the log has. At most one change of a dot, but when it
 * went and is back: then that it went comes first. */
static void checkpoint(struct world *w)
{
    uint32_t count;
    struct dotlog_change *changes = dotlog_freeze(&w->log, &count);
    dotlog_changes_sort(changes, count);
    for (uint32_t i = 0; i < count; i++) {
        unsigned number = number_of(changes[i].dot);
        if (i > 0 && dot_compare(changes[i - 1].dot, changes[i].dot) == 0) {
            assert_null(changes[i - 1].key);
            assert_non_null(changes[i].key);
        }
        /* Nothing is told for nothing: what goes was there, and what comes was not. */
        assert_int_equal(w->indexed[number], changes[i].key == NULL);
        w->indexed[number] = changes[i].key != NULL;
    }
    dotlog_changes_free(changes, count);
    assert_memory_equal(w->indexed, w->held, sizeof(w->held));
    changes = dotlog_freeze(&w->log, &count);
    assert_null(changes);
    assert_int_equal(count, 0);
}

static void world_close(struct world *w)
{
    checkpoint(w);
    dotlog_close(&w->log);
    assert_int_equal(w->key->refs, 1);
    blob_unref(w->key);
}

/* ---- what may happen ------------------------------------------------------------------------- */

static void add(struct world *w, unsigned i, bool value)
{
    assert_int_equal(dotlog_reserve(&w->log, 1, 0), 0);
    dotlog_add(&w->log, dot_of(i), w->key, false, value ? DOTLOG_VALUE : DOTLOG_TOMBSTONE);
    if (!w->held[i])
        w->values[i] = value;
    w->held[i] = true;
}

static void drop(struct world *w, unsigned i)
{
    assert_int_equal(dotlog_reserve(&w->log, 0, 1), 0);
    dotlog_drop(&w->log, dot_of(i));
    w->held[i] = false;
}

/* Of the second actor all is confirmed: its values go. */
static void confirm(struct world *w)
{
    struct clock clock = {0};
    for (unsigned i = 3; i < DOTS; i++)
        assert_int_equal(clock_add(&clock, dot_of(i)), 0);
    assert_int_equal(dotlog_confirm(&w->log, &clock, 1), 0);
    for (unsigned i = 3; i < DOTS; i++)
        w->held[i] &= !w->values[i];
    clock_close(&clock);
}

static void clear(struct world *w)
{
    assert_int_equal(dotlog_clear(&w->log), 0);
    memset(w->held, 0, sizeof(w->held));
}

#define STEPS (3 * DOTS + 3)

static void step(struct world *w, unsigned what)
{
    if (what < DOTS)
        add(w, what, true);
    else if (what < 2 * DOTS)
        add(w, what - DOTS, false);
    else if (what < 3 * DOTS)
        drop(w, what - 2 * DOTS);
    else if (what == 3 * DOTS)
        confirm(w);
    else if (what == 3 * DOTS + 1)
        clear(w);
    else
        checkpoint(w);
    assert_as_held(w);
}

/* ---- stories --------------------------------------------------------------------------------- */

/* Every run of four steps, after each beginning that there is for two dots: nothing, one that the
 * index has, one that it lacks, both. */
static void whatever_happens_the_index_has_what_the_log_had_at_the_checkpoint(void **unused)
{
    (void)unused;
    for (unsigned run = 0; run < STEPS * STEPS * STEPS * STEPS; run++) {
        struct world w;
        world_open(&w);
        if (run & 1) {
            add(&w, 1, true);
            checkpoint(&w);
        }
        if (run & 2)
            add(&w, 4, true);
        for (unsigned left = run, i = 0; i < 4; i++, left /= STEPS)
            step(&w, left % STEPS);
        world_close(&w);
    }
}

static void so_it_is_in_long_runs(void **unused)
{
    (void)unused;
    struct prng p;
    prng_init(&p, 11);
    for (unsigned run = 0; run < 200; run++) {
        struct world w;
        world_open(&w);
        for (unsigned i = 0; i < 400; i++)
            step(&w, (unsigned)prng_below(&p, STEPS - (prng_below(&p, 4) ? 3 : 0)));
        world_close(&w);
    }
}

/* What a start finds in the index is not told to it again. */
static void what_comes_from_the_index_has_not_changed(void **unused)
{
    (void)unused;
    struct world w;
    world_open(&w);
    assert_int_equal(dotlog_reserve(&w.log, 2, 0), 0);
    dotlog_add(&w.log, dot_of(0), w.key, true, DOTLOG_UNKNOWN);
    dotlog_add(&w.log, dot_of(1), w.key, true, DOTLOG_UNKNOWN);
    assert_int_equal(w.log.change_count, 0);
    assert_int_equal(w.log.waiting, 2);
    dotlog_learn(&w.log, 1, DOTLOG_VALUE);
    assert_int_equal(w.log.waiting, 1);
    w.held[0] = w.held[1] = w.values[1] = w.indexed[0] = w.indexed[1] = true;
    drop(&w, 0);
    assert_as_held(&w);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_the_index_has_what_the_log_had_at_the_checkpoint),
        cmocka_unit_test(so_it_is_in_long_runs),
        cmocka_unit_test(what_comes_from_the_index_has_not_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
