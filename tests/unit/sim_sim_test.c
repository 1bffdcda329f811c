/*
 * What the simulator promises of itself: a seed is a run, a fault that is left out changes nothing
 * before it, what may never be is found, and the seeds of the short suite meet every kind of fault.
 */
#include "tests/sim/pending.h"
#include "tests/sim/swarm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/base/hash.h"
#include "engine/engine_private.h"
#include "node/node.h"

#define SECOND 1000000ull

/* ---- one seed, one run ----------------------------------------------------------------------- */

static uint64_t run_hash(const struct plan *p)
{
    struct swarm_result r;
    swarm_run(p, NULL, NULL, &r);
    return r.hash;
}

static void test_a_seed_is_a_run(void **state)
{
    (void)state;
    struct plan p;
    plan_make(&p, 11);
    uint64_t first = run_hash(&p);
    assert_true(first == run_hash(&p));
    plan_make(&p, 12);
    assert_true(first != run_hash(&p));
}

/* ---- leaving out a fault --------------------------------------------------------------------- */

/* The lines of a trace before a time, as a hash; and whether any came later. */
struct before {
    uint64_t until_us, hash, lines, later;
};

static void line_take(void *arg, const char *line)
{
    struct before *b = arg;
    if (strtod(line, NULL) * 1000 >= (double)b->until_us) {
        b->later++;
        return;
    }
    b->hash = (b->hash * 31) ^ hash_bytes(slice_text(line));
    b->lines++;
}

static void test_a_fault_left_out_changes_nothing_before_it(void **state)
{
    (void)state;
    struct plan p;
    struct swarm_result r;
    plan_make(&p, 11);
    assert_true(p.fault_count >= 2);
    struct fault *last = &p.faults[p.fault_count - 1];
    struct before with = {.until_us = last->at_us}, without = with;
    assert_true(last->at_us > 10 * SECOND);
    swarm_run(&p, line_take, &with, &r);
    uint64_t hash = r.hash;
    last->off = true;
    swarm_run(&p, line_take, &without, &r);
    assert_true(with.lines > 1000 && with.later > 0);
    assert_true(with.lines == without.lines);
    assert_true(with.hash == without.hash);
    assert_true(hash != r.hash); /* it did strike, so this proves something */
}

/* ---- what may never be ----------------------------------------------------------------------- */

/* Writes that were done. */
static void count_done(void *arg, struct sim *s, uint32_t host, uint64_t tag, int error,
                       const char *text, const struct msg *m)
{
    (void)s, (void)host, (void)tag, (void)error, (void)text;
    *(uint64_t *)arg += m && m->put_reply.head.error == 0;
}

static bool serves(void *arg)
{
    const struct node *node = sim_node(arg, sim_node_host(arg, 0));
    const struct ring *ring = node ? node_ring(node) : NULL;
    return ring && ring->formed;
}

/* One node, one partition, one client. */
static struct sim *sim_of_one(uint64_t *writes)
{
    struct sim_config config = {.seed = 5,
                                .nodes = 1,
                                .clients = 1,
                                .settings = {.replicas = 1,
                                             .read_quorum = 1,
                                             .write_quorum = 1,
                                             .partitions = 1,
                                             .form_nodes = 1,
                                             .value_bytes_max = 4096},
                                .network = {.latency_us = 50},
                                .storage = {.sync_us = 150,
                                            .segment_bytes = 64u << 10,
                                            .overlay_bytes = 64u << 10,
                                            .chunk_records = 10},
                                .arg = writes,
                                .done = count_done};
    struct sim *s = sim_new(&config);
    for (uint32_t host = 0; host < sim_host_count(s); host++)
        sim_start(s, host, 0);
    assert_true(sim_run_till(s, 10 * SECOND, serves, s));
    return s;
}

static void put(struct sim *s, const char *key)
{
    struct msg m = {.type = MSG_PUT};
    m.put.key = slice_text(key);
    m.put.value = slice_text("value");
    m.put.head.flags = REQUEST_PLAIN;
    assert_true(sim_call(s, sim_client_host(s, 0), 1, &m));
    sim_run_until(s, sim_now_us(s) + 6 * SECOND);
}

static void test_a_sound_run_is_not_broken(void **state)
{
    (void)state;
    uint64_t writes = 0;
    struct sim *s = sim_of_one(&writes);
    put(s, "one");
    put(s, "two");
    assert_int_equal(writes, 2);
    assert_null(sim_broken(s));
    sim_free(s);
}

/* The clock learns of dots that no state has: the next write of the partition tells. */
static void test_a_dot_that_nobody_holds_is_found(void **state)
{
    (void)state;
    uint64_t writes = 0;
    struct sim *s = sim_of_one(&writes);
    put(s, "one");
    assert_int_equal(writes, 1);
    struct partition *p = sim_engine(s, sim_node_host(s, 0))->partitions[0];
    for (uint64_t seq = 1; seq <= 8; seq++)
        assert_int_equal(clock_add(&p->clock, (struct dot){{99, 1}, seq}), 0);
    for (int i = 0; i < 8 && !sim_broken(s); i++)
        put(s, "two");
    assert_non_null(sim_broken(s));
    assert_non_null(strstr(sim_broken(s), "INV: the clock of node1 in partition 0 holds dot"));
    sim_free(s);
}

/* ---- the plans of the short suite ------------------------------------------------------------ */

static void test_every_fault_strikes_in_some_seed(void **state)
{
    (void)state;
    unsigned strikes[FAULT_KINDS] = {0};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct plan p;
        plan_make(&p, seed);
        for (uint32_t i = 0; i < p.fault_count; i++)
            strikes[p.faults[i].kind]++;
    }
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        print_message("%-14s %u\n", fault_name((enum fault_kind)kind), strikes[kind]);
        /* What the product cannot stand yet strikes nobody. */
        assert_int_equal(strikes[kind] > 0, !pending("fault", fault_name((enum fault_kind)kind)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_seed_is_a_run),
        cmocka_unit_test(test_a_fault_left_out_changes_nothing_before_it),
        cmocka_unit_test(test_a_sound_run_is_not_broken),
        cmocka_unit_test(test_a_dot_that_nobody_holds_is_found),
        cmocka_unit_test(test_every_fault_strikes_in_some_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
