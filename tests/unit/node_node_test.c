/* The node machine: what it answers, keeps and refuses, told in stories. */
#include "tests/lib/nodes.h"

/* ---- stories --------------------------------------------------------------------------------- */

static void test_put_get_overwrite_delete_at_every_owner(void **state)
{
    (void)state;
    struct world *w = cluster(5, 3, 2, 2);
    for (uint32_t k = 0; k < 3; k++) {
        char value[16];
        snprintf(value, sizeof(value), "value%u", k);
        const struct answer *a = put(w, owner(w, "ada", k), "ada", value);
        assert_int_equal(a->error, 0);
        assert_int_equal(a->outcome, OUTCOME_DONE);
        assert_int_equal(a->owners, 2);
        for (uint32_t i = 0; i < 3; i++) {
            assert_value(get(w, owner(w, "ada", i), "ada"), value);
            assert_int_equal(get(w, owner(w, "ada", i), "ada")->total, 1);
        }
    }
    assert_int_equal(put(w, owner(w, "ada", 0), "ada", NULL)->error, 0);
    const struct answer *gone = get(w, owner(w, "ada", 2), "ada");
    assert_int_equal(gone->error, GT_ENOTFOUND);
    assert_true(gone->context_bytes > 0);
    assert_int_equal(get(w, 0, "never")->error, GT_ENOTFOUND);
    world_free(w);
}

static void test_a_stranger_passes_on_once_and_a_passed_on_request_is_not_passed_on(void **state)
{
    (void)state;
    struct world *w = cluster(5, 3, 2, 2);
    int s = stranger(w, "ada");
    char first[16];
    snprintf(first, sizeof(first), "node%d", owner(w, "ada", 0) + 1);
    const struct answer *a = put(w, s, "ada", "v");
    assert_int_equal(a->error, 0);
    assert_string_equal(a->label, first);
    assert_value(get(w, s, "ada"), "v");
    struct msg m = put_of(w, "ada", "x");
    m.put.head.flags |= REQUEST_FORWARDED;
    a = call(w, s, m);
    assert_int_equal(a->error, GT_ENOTOWNER);
    assert_int_equal(a->outcome, OUTCOME_NOT_APPLIED);
    assert_int_equal(node_metrics(w->hosts[s].n)->forwards_count, 2);
    world_free(w);
}

static void test_a_lost_owner_leaves_a_passed_on_put_in_doubt(void **state)
{
    (void)state;
    struct world *w = cluster(5, 3, 2, 2);
    int s = stranger(w, "ada"), o = owner(w, "ada", 0);
    cut(w, s, o);
    uint64_t id = ask(w, s, put_of(w, "ada", "v"));
    assert_null(answer_of(w, id));
    host_kill(w, o);
    assert_int_equal(answer_of(w, id)->error, GT_EINDOUBT);
    assert_int_equal(answer_of(w, id)->outcome, OUTCOME_IN_DOUBT);
    world_free(w);
}

static void test_racing_puts_are_siblings_until_a_context_covers_them(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    struct answer before = *put(w, 0, "cart", "milk");
    assert_int_equal(put_context(w, 0, "cart", "milk,egg", context_of(&before))->error, 0);
    assert_int_equal(put_context(w, 1, "cart", "milk,tea", context_of(&before))->error, 0);
    struct answer both = *get_all(w, 2, "cart");
    assert_int_equal(both.shown, 2);
    assert_int_equal(both.total, 2);
    struct answer one = *get(w, 2, "cart");
    assert_string_equal(one.value, "milk,tea");
    assert_int_equal(one.shown, 1);
    assert_int_equal(one.total, 2);
    /* The context of the plain get covers the winner alone. */
    assert_int_equal(put_context(w, 1, "cart", "milk,jam", context_of(&one))->error, 0);
    assert_int_equal(get_all(w, 0, "cart")->shown, 2);
    both = *get_all(w, 0, "cart");
    assert_int_equal(put_context(w, 2, "cart", "all", context_of(&both))->error, 0);
    for (int i = 0; i < 3; i++)
        assert_string_equal(get_all(w, i, "cart")->values, "all");
    world_free(w);
}

static void test_a_delete_with_a_context_leaves_the_sibling_nobody_read(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    struct answer first = *put(w, 0, "k", "a");
    assert_int_equal(put_context(w, 1, "k", "b", slice_of(NULL, 0))->error, 0);
    assert_int_equal(put_context(w, 2, "k", NULL, context_of(&first))->error, 0);
    struct answer all = *get_all(w, 0, "k");
    assert_int_equal(all.error, 0);
    assert_non_null(strchr(all.values, '-'));
    assert_non_null(strchr(all.values, 'b'));
    assert_int_equal(all.shown, 2);
    world_free(w);
}

static void test_contexts_that_are_damaged_foreign_or_of_nobody_are_refused(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    struct answer a = *put(w, 0, "k", "v");
    const struct answer *refused = put_context(w, 0, "other", "x", context_of(&a));
    assert_int_equal(refused->error, GT_ECONTEXT);
    assert_int_equal(refused->outcome, OUTCOME_NOT_APPLIED);
    struct answer bad = a;
    bad.context[10] ^= 1;
    assert_int_equal(put_context(w, 0, "k", "x", context_of(&bad))->error, GT_ECONTEXT);
    struct history h;
    struct buf b;
    for (int later = 0; later < 2; later++) {
        /* A node nobody knows, and a life of a member that nobody has heard of. */
        struct actor actor = {later ? id_of(w, 1) : 4242, later ? UINT64_MAX : 1};
        history_init(&h);
        buf_init(&b, CONTEXT_BYTES_MAX);
        assert_int_equal(history_add(&h, (struct dot){actor, 3}), 0);
        assert_int_equal(context_encode(&h, hash_bytes(slice_text("k")), &b), 0);
        assert_int_equal(put_context(w, 0, "k", "x", buf_slice(&b))->error, GT_ECONTEXT);
        buf_close(&b);
        history_close(&h);
    }
    assert_value(get(w, 1, "k"), "v");
    assert_int_equal(put_context(w, 1, "k", "new", context_of(&a))->error, 0);
    world_free(w);
}

static void test_one_owner_down_is_served_two_are_refused_before_anything_is_written(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    put(w, 0, "k", "v");
    host_kill(w, 1);
    assert_int_equal(put(w, 0, "k", "v2")->error, 0);
    assert_value(get(w, 2, "k"), "v2");
    host_kill(w, 2);
    struct answer a = *put(w, 0, "k", "v3");
    assert_int_equal(a.error, GT_EQUORUM);
    assert_int_equal(a.outcome, OUTCOME_NOT_APPLIED);
    const char *names[] = {"(node2, node3)", "(node3, node2)"};
    assert_true(strstr(a.text, "2 of 3 owners unreachable") && strstr(a.text, "W=2 not met") &&
                strstr(a.text, "not applied") && strstr(a.text, "see: gtstore-admin status"));
    assert_true(strstr(a.text, names[0]) || strstr(a.text, names[1]));
    struct answer g = *get(w, 0, "k");
    assert_int_equal(g.error, GT_EQUORUM);
    assert_non_null(strstr(g.text, "R=2 not met"));
    struct msg m = get_of(w, "k");
    m.get.head.mode = MODE_AVAILABLE;
    g = *call(w, 0, m);
    assert_value(&g, "v2");
    assert_int_equal(g.flags, REPLY_DEGRADED);
    m = get_of(w, "k");
    m.get.head.quorum = 1;
    g = *call(w, 0, m);
    assert_value(&g, "v2");
    assert_int_equal(g.flags, REPLY_WEAK);
    world_free(w);
}

static void test_silent_replicas_leave_a_put_in_doubt_before_its_deadline(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    cut(w, 0, 1);
    cut(w, 0, 2);
    /* Three quarters of the 5 s that it has: it has nobody else to ask. */
    uint64_t id = ask(w, 0, put_of(w, "k", "v"));
    pass(w, 3740000);
    assert_null(answer_of(w, id));
    pass(w, 20000);
    struct answer a = *answer_of(w, id);
    assert_int_equal(a.error, GT_EQUORUM);
    assert_int_equal(a.outcome, OUTCOME_IN_DOUBT);
    assert_int_equal(a.owners, 1);
    assert_non_null(strstr(a.text, "in doubt"));
    assert_non_null(strstr(a.text, "2 of 3"));
    world_free(w);
}

/* Its sender was told that nothing was applied. A copy of the message that comes when the put would
 * be possible changes nothing; the same operation, asked for anew, does. */
static void test_a_copy_of_a_put_that_was_refused_is_passed_over(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    host_kill(w, 1);
    host_kill(w, 2);
    struct msg m = put_of(w, "k", "v");
    assert_int_equal(call(w, 0, m)->outcome, OUTCOME_NOT_APPLIED);
    host_restart(w, 1);
    host_restart(w, 2);
    pass(w, 3000000);
    ask(w, 0, m);
    pass(w, 3000000);
    assert_int_equal(get(w, 0, "k")->error, GT_ENOTFOUND);
    m.id = ++w->next_id;
    assert_int_equal(call(w, 0, m)->error, 0);
    assert_value(get(w, 0, "k"), "v");
    world_free(w);
}

/* Given up by its sender and overtaken by a newer put, an attempt that arrives late is void. */
static void test_a_put_that_arrives_too_late_is_not_applied(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    struct answer newer = *put(w, 0, "k", "new");
    struct msg m = put_of(w, "k", "old");
    m.put.valid_until = newer.stamp - 1;
    struct answer a = *call(w, 1, m);
    assert_int_equal(a.error, GT_ESTALE);
    assert_int_equal(a.outcome, OUTCOME_NOT_APPLIED);
    struct answer g = *call(w, 1, get_of(w, "k"));
    assert_value(&g, "new");
    m = put_of(w, "k", "newest");
    m.put.valid_until = newer.stamp + (60000ull << 16);
    assert_int_equal(call(w, 1, m)->error, 0);
    world_free(w);
}

/* ---- plain puts in real-time order ----------------------------------------------------------- */

/* Three hosts; 1 and 0 do not hear one another, and 1 has a fast clock, which nobody knows yet. */
static struct world *cluster_with_a_fast_clock(void)
{
    struct world *w = cluster(3, 3, 2, 2);
    cut(w, 0, 1);
    w->hosts[1].clock_us = 30000000;
    return w;
}

static void test_a_plain_put_that_is_outranked_is_stored_again_above(void **state)
{
    (void)state;
    struct world *w = cluster_with_a_fast_clock();
    struct answer first = *put(w, 1, "k", "first");
    assert_int_equal(first.error, 0);
    struct msg m = put_of(w, "k", "second");
    m.put.head.flags |= REQUEST_PLAIN;
    m.put.valid_until = (wall_us(w) / 1000 + 500) << 16; /* what is heard of 1 lies beyond that */
    m.put.valid_until_us = w->now_us + 500000;
    struct answer second = *call(w, 0, m);
    assert_int_equal(second.error, 0);
    assert_true(second.flags & REPLY_OUTRANKED);
    assert_int_equal(second.owners, 2);
    assert_true(second.stamp > first.stamp);
    assert_int_equal(node_metrics(w->hosts[0].n)->puts_outranked_count, 1);
    mend(w);
    for (int i = 0; i < 3; i += 2) {
        struct answer g = *get_all(w, i, "k");
        assert_string_equal(g.values, "second");
    }
    /* What was replaced unseen is in the coordinator's clock, or it would count as missed. */
    struct engine_partition p[2];
    uint32_t partition = ring_partition(w->ring, slice_text("k"));
    engine_partition(w->hosts[0].e, partition, &p[0]);
    assert_int_equal(clock_highest(p[0].clock, actor_of(w, 1)), 1);
    assert_int_equal(clock_highest(p[0].clock, actor_of(w, 0)), 2);
    engine_partition(w->hosts[2].e, partition, &p[1]);
    assert_int_equal(clock_highest(p[1].clock, actor_of(w, 0)), 2);
    world_free(w);
}

static void test_a_large_plain_put_is_stored_again_too(void **state)
{
    (void)state;
    struct world *w = world_new((struct shape){3, 3, 2, 2, 16});
    w->hosts[0].piece_bytes_max = 100;
    world_start(w);
    cut(w, 0, 1);
    w->hosts[1].clock_us = 30000000;
    assert_int_equal(put(w, 1, "k", "first")->error, 0);
    char text[200];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    struct answer a = *put(w, 0, "k", text);
    assert_int_equal(a.error, 0);
    assert_true(a.flags & REPLY_OUTRANKED);
    assert_string_equal(get_all(w, 2, "k")->values, text);
    world_free(w);
}

/* With a context nothing is promised of the order: the other stays beside it, and may answer. */
static void test_a_put_with_a_context_is_not_stored_again(void **state)
{
    (void)state;
    struct world *w = cluster_with_a_fast_clock();
    assert_int_equal(put(w, 1, "k", "first")->error, 0);
    struct answer second = *put_context(w, 0, "k", "second", slice_of(NULL, 0));
    assert_int_equal(second.error, 0);
    assert_false(second.flags & REPLY_OUTRANKED);
    assert_string_equal(get_all(w, 2, "k")->values, "second,first");
    assert_value(get(w, 2, "k"), "first");
    world_free(w);
}

/* Its sender has given it up meanwhile: what outranks it may have come later. It exists, so it is
 * in doubt. */
static void test_an_outranked_put_past_its_time_is_not_stored_again(void **state)
{
    (void)state;
    struct world *w = cluster_with_a_fast_clock();
    assert_int_equal(put(w, 1, "k", "first")->error, 0);
    struct msg m = put_of(w, "k", "second");
    m.put.head.flags |= REQUEST_PLAIN;
    m.put.valid_until_us = w->now_us + 1000000;
    w->hosts[2].log_held = true;
    uint64_t id = ask(w, 0, m);
    pass(w, 1100000);
    w->hosts[2].log_held = false;
    run(w);
    struct answer a = *answer_of(w, id);
    assert_int_equal(a.error, GT_ESTALE);
    assert_int_equal(a.outcome, OUTCOME_IN_DOUBT);
    assert_value(get(w, 2, "k"), "first");
    world_free(w);
}

static void test_what_cannot_be_stored_again_is_in_doubt(void **state)
{
    (void)state;
    struct world *w = cluster_with_a_fast_clock();
    assert_int_equal(put(w, 1, "k", "first")->error, 0);
    struct msg m = put_of(w, "k", "second");
    m.put.head.flags |= REQUEST_PLAIN;
    w->hosts[2].log_held = true;
    uint64_t id = ask(w, 0, m);
    assert_null(answer_of(w, id));
    engine_set_value_bytes_max(w->hosts[0].e, 1);
    w->hosts[2].log_held = false;
    run(w);
    const struct answer *a = answer_of(w, id);
    assert_non_null(a);
    assert_int_equal(a->error, GT_ELIMIT);
    assert_int_equal(a->outcome, OUTCOME_IN_DOUBT);
    world_free(w);
}

/* ---- wall clocks ----------------------------------------------------------------------------- */

static void test_a_clock_far_off_mints_nothing_and_another_owner_does(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    static const int64_t off_us[] = {3600000000, -3600000000};
    for (int i = 0; i < 2; i++) {
        w->hosts[1].clock_us = off_us[i];
        struct answer a = *put(w, 1, "k", "mine");
        assert_int_equal(a.error, GT_ECLOCK);
        assert_int_equal(a.outcome, OUTCOME_NOT_APPLIED);
        assert_non_null(strstr(a.text, i ? "3600 s behind the other owners'" : "3600 s ahead of"));
        assert_int_equal(put(w, 0, "k", "of another")->error, 0);
        assert_value(get(w, 1, "k"), "of another"); /* reads need no clock */
        w->hosts[1].clock_us = 59000000 * (i ? -1 : 1);
        assert_int_equal(put(w, 1, "k", "near enough")->error, 0);
    }
    world_free(w);
}

static void test_the_clock_of_another_is_heard_with_the_heartbeats(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    w->hosts[0].clock_us = w->hosts[1].clock_us = 3600000000; /* two of three: 2 is off */
    assert_int_equal(put(w, 2, "k", "v")->error, 0);
    pass(w, 1100000);
    assert_int_equal(put(w, 2, "k", "v")->error, GT_ECLOCK);
    assert_int_equal(put(w, 0, "k", "v")->error, 0);
    world_free(w);
}

static void test_of_two_clocks_apart_the_earlier_mints(void **state)
{
    (void)state;
    struct world *w = cluster(2, 2, 1, 2);
    w->hosts[1].clock_us = 3600000000;
    pass(w, 1100000);
    assert_int_equal(put(w, 1, "k", "v")->error, GT_ECLOCK);
    assert_int_equal(put(w, 0, "k", "v")->error, 0);
    world_free(w);
}

/* A put that was given up arrives at a node that has heard nothing for a while and whose own clock
 * is slow. By the clocks that it measured before it knows better. */
static void test_time_goes_on_for_a_slow_clock_that_hears_nobody(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    w->hosts[1].clock_us = -50000000;
    struct answer a = *put(w, 1, "k", "v");
    assert_int_equal(a.error, 0);
    assert_true(a.stamp >= (wall_us(w) / 1000 - 1000) << 16);
    cut(w, 1, 0);
    cut(w, 1, 2);
    for (int i = 0; i < 200; i++)
        pass(w, 10000);
    struct msg m = put_of(w, "k", "late");
    m.put.valid_until = a.stamp + (1000ull << 16);
    assert_int_equal(call(w, 1, m)->error, GT_ESTALE);
    world_free(w);
}

/* Its wall clock jumped ahead and back, so that its stamps stand still: time goes on all the same.
 */
static void test_a_late_put_is_known_where_stamps_stand_still(void **state)
{
    (void)state;
    struct world *w = cluster(1, 1, 1, 1);
    w->hosts[0].clock_us = 3600000000;
    assert_int_equal(put(w, 0, "k", "v")->error, 0);
    w->hosts[0].clock_us = 0;
    struct msg m = put_of(w, "k", "late");
    m.put.valid_until_us = w->now_us + 500000;
    pass(w, 510000);
    assert_int_equal(call(w, 0, m)->error, GT_ESTALE);
    m = put_of(w, "k", "in time");
    m.put.valid_until_us = w->now_us;
    assert_int_equal(call(w, 0, m)->error, 0);
    world_free(w);
}

/* Who passes a put on tells its time on the clock of the owner. */
static void test_a_put_that_is_passed_on_keeps_its_time(void **state)
{
    (void)state;
    struct world *w = cluster(4, 3, 2, 2);
    struct msg m = put_of(w, "k", "v");
    m.put.valid_until_us = w->now_us + 500000;
    assert_int_equal(call(w, stranger(w, "k"), m)->error, 0);
    m = put_of(w, "k", "late");
    m.put.valid_until_us = w->now_us - 1;
    assert_int_equal(call(w, stranger(w, "k"), m)->error, GT_ESTALE);
    world_free(w);
}

static void test_a_replica_lost_in_the_middle_counts_at_once(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 3);
    cut(w, 0, 1);
    uint64_t id = ask(w, 0, put_of(w, "k", "v"));
    assert_null(answer_of(w, id));
    host_kill(w, 1);
    struct answer a = *answer_of(w, id);
    assert_int_equal(a.outcome, OUTCOME_IN_DOUBT);
    assert_non_null(strstr(a.text, "1 of 3 owners unreachable (node2)"));
    world_free(w);
}

static void test_a_silent_owner_makes_a_get_ask_the_next_one(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    put(w, 0, "k", "v");
    int c = owner(w, "k", 0);
    cut(w, c, owner(w, "k", 1));
    uint64_t id = ask(w, c, get_of(w, "k"));
    assert_null(answer_of(w, id));
    pass(w, 510000);
    assert_value(answer_of(w, id), "v");
    world_free(w);
}

static void test_a_read_of_r_finds_what_a_replica_missed(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    for (int k = 0; k < 12; k++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", k);
        put(w, 0, key, "old");
        cut(w, 0, 2);
        put(w, 0, key, "new");
        mend(w);
        for (int i = 0; i < 3; i++) {
            const struct answer *a = get(w, i, key);
            assert_value(a, "new");
            assert_int_equal(a->total, 1);
        }
    }
    world_free(w);
}

/* INV, and that a replica knows what it has: the clocks of all owners are the coordinator's. */
/* Both ways, and exactly: three keys were missed, however often they were written. */
static void test_an_owner_that_was_away_pulls_what_it_missed(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    put(w, 0, "k", "v");
    put(w, 0, "untouched", "v");
    host_kill(w, 2);
    for (int i = 0; i < 5; i++) {
        put(w, 0, "k", i == 4 ? "newest" : "newer");
        put(w, 1, "l", "also");
    }
    host_restart(w, 2);
    pass(w, 3000000);
    assert_int_equal(node_metrics(w->hosts[2].n)->pulled_states_count, 2);
    host_kill(w, 0);
    host_kill(w, 1);
    struct msg m = get_of(w, "k");
    m.get.head.quorum = 1;
    struct answer a = *call(w, 2, m);
    assert_value(&a, "newest");
    world_free(w);
}

/* What it missed comes as fast as it stores it, and no faster (scylladb #4935: a node that returned
 * was flooded by all who kept something for it). */
static void test_a_returning_owner_is_not_flooded(void **state)
{
    (void)state;
    struct world *w = world_new((struct shape){3, 3, 2, 2, 64});
    world_start(w);
    host_kill(w, 2);
    for (int i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(put(w, i % 2, key, "v")->error, 0);
    }
    w->hosts[2].log_held = true; /* it can store nothing yet */
    host_restart(w, 2);
    pass(w, 2500000);
    /* Of eight partitions at the most, of 64. */
    assert_in_range(node_metrics(w->hosts[2].n)->pulled_states_count, 1, 60);
    w->hosts[2].log_held = false;
    pass(w, 8000000);
    assert_int_equal(node_metrics(w->hosts[2].n)->pulled_states_count, 200);
    world_free(w);
}

/* Where there is no other owner nothing is kept to be told to one: one round is over all
 * partitions, however many there are. */
static void test_what_has_one_owner_leaves_the_dot_logs(void **state)
{
    (void)state;
    struct world *w = world_new((struct shape){1, 1, 1, 1, 1024});
    world_start(w);
    uint32_t kept = 0;
    for (int i = 0; i < 3000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(put(w, 0, key, "v")->error, 0);
    }
    pass(w, 2500000);
    for (uint32_t p = 0; p < 1024; p++) {
        struct engine_partition part;
        engine_partition(w->hosts[0].e, p, &part);
        kept += part.log_entries;
    }
    assert_int_equal(kept, 0);
    world_free(w);
}

/* Each partition tries again and again, and one line a second is enough to say so. */
static void test_a_full_disk_does_not_flood_the_log(void **state)
{
    (void)state;
    struct world *w = world_new((struct shape){3, 3, 2, 2, 64});
    static char value[4097];
    memset(value, 'v', 4096);
    world_start(w);
    host_kill(w, 2);
    for (int i = 0; i < 600; i++) { /* more than two segments hold */
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(put(w, i % 2, key, value)->error, 0);
    }
    memdisk_capacity(w->hosts[2].disk, 0);
    host_restart(w, 2);
    unstored_lines = 0;
    pass(w, 5000000);
    assert_in_range(unstored_lines, 1, 6);
    assert_true(node_metrics(w->hosts[2].n)->pulls_count > 50);
    memdisk_capacity(w->hosts[2].disk, 1u << 30);
    pass(w, 8000000);
    host_kill(w, 0);
    host_kill(w, 1);
    struct msg m = get_of(w, "k599");
    m.get.head.quorum = 1;
    assert_int_equal(call(w, 2, m)->error, 0);
    world_free(w);
}

static struct node_report report_of(struct world *w, int host)
{
    struct msg m = {.type = MSG_STATUS, .id = ++w->next_id}, reply;
    const struct answer *a = call(w, host, m);
    assert_int_equal(msg_decode(w->decoder, slice_blob(a->body), &reply), 0);
    return reply.status_reply.status->nodes[host].report;
}

static void test_an_owner_that_catches_up_says_how_long_it_will_take(void **state)
{
    (void)state;
    struct world *w = world_new((struct shape){3, 3, 2, 2, 64});
    world_start(w);
    pass(w, 3000000);
    host_kill(w, 2);
    for (int i = 0; i < 200; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(put(w, i % 2, key, "v")->error, 0);
    }
    w->hosts[2].log_held = true;
    host_restart(w, 2);
    pass(w, 2500000);
    struct node_report r = report_of(w, 2);
    assert_true(r.lag_known);
    assert_int_equal(r.lag_writes, 200);
    assert_int_equal(r.lag_eta_s, 0); /* nothing has come yet, so nothing tells when it will */
    uint64_t before = 200;
    for (int batch = 0; batch < 3; batch++) {
        w->hosts[2].log_held = false;
        engine_turn(w, 2);
        w->hosts[2].log_held = true;
        pass(w, 4000000);
        r = report_of(w, 2);
        assert_in_range(r.lag_writes, 1, before - 1);
        assert_in_range(r.lag_eta_s, 1, 600);
        before = r.lag_writes;
    }
    w->hosts[2].log_held = false;
    pass(w, 8000000);
    r = report_of(w, 2);
    assert_int_equal(r.lag_writes, 0);
    assert_int_equal(r.lag_eta_s, 0);
    world_free(w);
}

/* ---- reaping (RULES 19) ---- */

/* At every owner, some seconds apart; nobody takes the difference for something to be mended, and
 * the session that deleted the key may ask for what it knows of it. */
static void test_a_tombstone_that_all_owners_have_is_reaped(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    put(w, 0, "k", "v");
    pass(w, 3000000);
    struct answer deleted = *put(w, 1, "k", NULL);
    assert_int_equal(deleted.error, 0);
    pass(w, 6000000);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(records_of(w, i, "k"), 0);
        assert_int_equal(node_metrics(w->hosts[i].n)->pulls_count, 0);
        struct msg m = get_of(w, "k");
        m.get.min_context = context_of(&deleted);
        assert_int_equal(call(w, i, m)->error, GT_ENOTFOUND);
    }
    assert_int_equal(put(w, 2, "k", "new")->error, 0);
    assert_value(get(w, 0, "k"), "new");
    assert_int_equal(get(w, 0, "k")->total, 1);
    world_free(w);
}

static void test_no_tombstone_goes_while_an_owner_lacks_it(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    put(w, 0, "k", "v");
    pass(w, 3000000);
    host_kill(w, 2);
    assert_int_equal(put(w, 0, "k", NULL)->error, 0);
    pass(w, 20000000);
    assert_int_equal(records_of(w, 0, "k"), 1);
    assert_int_equal(records_of(w, 1, "k"), 1);
    host_restart(w, 2);
    pass(w, 8000000);
    for (int i = 0; i < 3; i++)
        assert_int_equal(records_of(w, i, "k"), 0);
    assert_int_equal(get(w, 2, "k")->error, GT_ENOTFOUND);
    world_free(w);
}

static void test_an_only_owner_reaps_by_itself(void **state)
{
    (void)state;
    struct world *w = cluster(1, 1, 1, 1);
    put(w, 0, "k", "v");
    assert_int_equal(put(w, 0, "k", NULL)->error, 0);
    pass(w, 3000000);
    assert_int_equal(records_of(w, 0, "k"), 0);
    assert_int_equal(get(w, 0, "k")->error, GT_ENOTFOUND);
    world_free(w);
}

/* ---- closing (RULES 8b) ---- */

static bool clock_has_life(struct world *w, int host, struct actor life)
{
    struct engine_partition part;
    engine_partition(w->hosts[host].e, ring_partition(w->ring, slice_text("k")), &part);
    for (uint32_t i = 0; i < part.clock->entry_count; i++)
        if (actor_compare(part.clock->entries[i].actor, life) == 0)
            return true;
    return false;
}

static void test_lives_that_are_over_leave_the_clocks(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    put(w, 0, "k", "v");
    struct actor over = actor_of(w, 0);
    host_kill(w, 0);
    host_restart(w, 0);
    pass(w, 12000000);
    struct actor present = actor_of(w, 0);
    put(w, 0, "k", "w");
    pass(w, 3000000);
    for (int i = 0; i < 3; i++) {
        struct engine_partition part;
        engine_partition(w->hosts[i].e, ring_partition(w->ring, slice_text("k")), &part);
        assert_true(node_metrics(w->hosts[i].n)->lives_closed_count > 0);
        assert_true(clock_closes(part.clock, over));
        assert_false(clock_closes(part.clock, present));
        assert_false(clock_has_life(w, i, over));
        assert_true(clock_has_life(w, i, present));
        assert_value(get(w, i, "k"), "w");
    }
    world_free(w);
}

/* A partition that one node owns: nobody is pulled from, but every member is asked all the same. */
static void test_lives_leave_the_clock_of_the_one_owner(void **state)
{
    (void)state;
    for (uint32_t nodes = 1; nodes <= 3; nodes += 2) {
        struct world *w = cluster(nodes, 1, 1, 1);
        int host = owner(w, "k", 0);
        put(w, host, "k", "v");
        struct actor over = actor_of(w, host);
        host_kill(w, host);
        if (nodes > 1)
            host_kill(w, (host + 1) % 3);
        host_restart(w, host);
        pass(w, 20000000);
        assert_true(clock_has_life(w, host, over) == (nodes > 1));
        if (nodes > 1)
            host_restart(w, (host + 1) % 3);
        pass(w, 12000000);
        assert_false(clock_has_life(w, host, over));
        assert_true(node_metrics(w->hosts[host].n)->lives_closed_count > 0);
        assert_value(get(w, host, "k"), "v");
        put(w, host, "k", "w");
        put(w, host, "k", NULL);
        pass(w, 5000000);
        assert_int_equal(records_of(w, host, "k"), 0);
        world_free(w);
    }
}

static void test_a_member_that_is_away_delays_closing(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    put(w, 0, "k", "v");
    struct actor over = actor_of(w, 0);
    host_kill(w, 2);
    host_kill(w, 0);
    host_restart(w, 0);
    pass(w, 20000000);
    assert_true(clock_has_life(w, 1, over));
    host_restart(w, 2);
    pass(w, 12000000);
    for (int i = 0; i < 3; i++)
        assert_false(clock_has_life(w, i, over));
    world_free(w);
}

/* The manager says that the host was away for too long; who is alive hears it. Returns the life
 * that nobody ever had. */
static uint64_t refill_mark(struct world *w, int host)
{
    struct ring *next = ring_copy(w->ring, w->ring->member_count);
    struct member *m = &next->members[ring_member_by_id(next, id_of(w, host))];
    uint64_t mark = actor_of(w, host).incarnation + 1;
    next->epoch.counter++;
    m->refill = true;
    m->incarnation = mark;
    ring_unref(w->ring);
    w->ring = next;
    for (int i = 0; i < (int)w->count; i++) { /* that one first: the others end their links */
        int to = (host + i) % (int)w->count;
        if (w->hosts[to].alive)
            map_give_to(w, to, next);
    }
    return mark;
}

/* It has registered with a life above. */
static void refill_clear(struct world *w, int host)
{
    struct ring *next = ring_copy(w->ring, w->ring->member_count);
    struct member *m = &next->members[ring_member_by_id(next, id_of(w, host))];
    next->epoch.counter++;
    m->refill = false;
    m->incarnation = actor_of(w, host).incarnation;
    ring_unref(w->ring);
    w->ring = next;
    for (int i = 0; i < (int)w->count; i++)
        map_give_to(w, i, next);
}

/* Lives are closed and tombstones go without who is marked; when it comes back with what was
 * deleted it fills before anybody listens to it. */
static void test_who_is_marked_to_refill_is_waited_for_no_more(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    put(w, 0, "k", "v");
    pass(w, 3000000);
    struct actor over = actor_of(w, 0);
    host_kill(w, 2);
    host_restart(w, 0);
    pass(w, 3000000);
    put(w, 0, "k", NULL);
    pass(w, 12000000);
    assert_int_equal(records_of(w, 1, "k"), 1);
    assert_true(clock_has_life(w, 1, over));
    uint64_t mark = refill_mark(w, 2);
    pass(w, 12000000);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(records_of(w, i, "k"), 0);
        assert_false(clock_has_life(w, i, over));
    }
    host_restart(w, 2);
    pass(w, 6000000);
    assert_true(actor_of(w, 2).incarnation > mark);
    /* The others still leave it out: what it pulls now is no ground to vote on. */
    assert_int_equal(node_metrics(w->hosts[2].n)->pulls_count, 0);
    refill_clear(w, 2);
    pass(w, 12000000);
    assert_true(node_metrics(w->hosts[2].n)->pulls_count > 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(records_of(w, i, "k"), 0);
        assert_int_equal(get(w, i, "k")->error, GT_ENOTFOUND);
    }
    world_free(w);
}

/* It was cut off from the manager alone, or from everybody, and never ended. */
static void test_a_node_that_runs_and_is_marked_draws_a_life_and_fills(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    put(w, 0, "k", "v");
    uint64_t mark = refill_mark(w, 2);
    pass(w, 100000);
    assert_true(actor_of(w, 2).incarnation > mark);
    pass(w, 5000000);
    refill_clear(w, 2);
    pass(w, 12000000);
    host_kill(w, 0);
    assert_value(get(w, 2, "k"), "v");
    put(w, 2, "k", "w");
    assert_value(get(w, 1, "k"), "w");
    world_free(w);
}

static void test_every_owner_has_the_dots_of_a_put_in_its_clock(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    struct clock first;
    clock_init(&first);
    for (int i = 0; i < 3; i++)
        put(w, i, "k", "v");
    for (int i = 0; i < 3; i++) {
        struct engine_partition part;
        engine_partition(w->hosts[i].e, ring_partition(w->ring, slice_text("k")), &part);
        if (i == 0)
            assert_int_equal(clock_copy(&first, part.clock), 0);
        assert_int_equal(part.clock->entry_count, 3);
        assert_true(clock_equal(&first, part.clock));
    }
    clock_close(&first);
    world_free(w);
}

static void test_a_least_context_asks_all_and_is_refused_when_nobody_is_that_new(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    put(w, 0, "k", "old");
    cut(w, 0, 1);
    cut(w, 0, 2);
    uint64_t id = ask(w, 0, put_of(w, "k", "new")); /* at host 0 alone */
    pass(w, 3800000);
    struct answer fresh = *answer_of(w, id);
    assert_true(fresh.context_bytes > 0);
    int reader = owner(w, "k", 0) == 1 ? 2 : 1;
    struct msg m = get_of(w, "k");
    m.get.min_context = context_of(&fresh);
    id = ask(w, reader, m);
    pass(w, 600000);
    struct answer a = *answer_of(w, id);
    assert_int_equal(a.error, GT_EQUORUM);
    assert_non_null(strstr(a.text, "no reachable owner has a state that new"));
    mend(w);
    m = get_of(w, "k");
    m.get.head.quorum = 1;
    m.get.min_context = context_of(&fresh);
    a = *call(w, reader, m);
    assert_int_equal(a.error, 0);
    struct msg all = get_of(w, "k");
    all.get.head.flags = REQUEST_ALL;
    all.get.min_context = context_of(&fresh);
    assert_non_null(strstr(call(w, reader, all)->values, "new"));
    world_free(w);
}

static struct msg again_of(struct world *w, struct msg m, uint32_t age_ms)
{
    m.id = ++w->next_id;
    m.put.head.flags |= REQUEST_RETRY;
    m.put.head.age_ms = age_ms;
    return m;
}

/* A further attempt is live at the owner that is asked, and the reader's session has been told by
 * another one that the operation was superseded. */
static void test_a_session_is_not_shown_an_attempt_that_it_saw_superseded(void **state)
{
    (void)state;
    struct world *w = cluster(1, 1, 1, 1);
    struct msg m = put_of(w, "k", "tried again");
    m.put.head.flags |= REQUEST_PLAIN;
    struct answer a = *call(w, 0, again_of(w, m, 700));
    assert_int_equal(a.error, 0);
    for (uint64_t later = 0; later < 2; later++) {
        struct history seen = {0};
        struct buf bytes;
        buf_init(&bytes, 1000);
        assert_int_equal(context_decode(context_of(&a), hash_bytes(slice_text("k")), &seen), 0);
        assert_int_equal(history_name(&seen, m.put.head.op, 1, a.stamp + later), 0);
        assert_int_equal(context_encode(&seen, hash_bytes(slice_text("k")), &bytes), 0);
        struct msg get = get_of(w, "k");
        get.get.head.flags = REQUEST_ALL | REQUEST_SESSION;
        get.get.min_context = buf_slice(&bytes);
        assert_int_equal(call(w, 0, get)->error, later ? GT_ENOTFOUND : 0);
        history_close(&seen);
        buf_close(&bytes);
    }
    /* What it was told is kept here, too. */
    assert_int_equal(get_all(w, 0, "k")->error, GT_ENOTFOUND);
    world_free(w);
}

/* At one owner alone, whatever the cluster's W. */
static struct answer put_alone(struct world *w, int host, const char *value, struct slice context)
{
    struct msg m = put_of(w, "k", value);
    m.put.head.flags |= REQUEST_PLAIN;
    m.put.head.quorum = 1;
    m.put.context = context;
    struct answer a = *call(w, host, m);
    assert_int_equal(a.error, 0);
    return a;
}

static struct dot only_dot(const struct answer *a)
{
    struct history h = {0};
    assert_int_equal(context_decode(context_of(a), hash_bytes(slice_text("k")), &h), 0);
    assert_int_equal(h.exact_count, 1);
    struct dot d = h.exact[0];
    history_close(&h);
    return d;
}

static bool answer_knows(const struct answer *a, struct dot d)
{
    struct history h = {0};
    assert_int_equal(context_decode(context_of(a), hash_bytes(slice_text("k")), &h), 0);
    bool knows = history_covers(&h, d);
    history_close(&h);
    return knows;
}

/* Three writers overwrite one another at host 0, and the third goes on at host 1, with what it was
 * told: not of the first write. Host 1 gets to know by a pull that this is dead, and not by what.
 */
static void test_an_answer_knows_what_its_session_has_seen_before(void **state)
{
    (void)state;
    struct world *w = cluster(2, 2, 1, 2);
    struct slice none = slice_of(NULL, 0);
    cut(w, 0, 1);
    struct answer first = put_alone(w, 0, "a", none);
    struct dot dead = only_dot(&first);
    put_alone(w, 0, "b", none);
    struct answer third = put_alone(w, 0, "c", none);
    assert_false(answer_knows(&third, dead));
    w->cut[1][0] = false;
    put_alone(w, 1, "d", context_of(&third));
    assert_value(get(w, 0, "k"), "d");
    mend(w);
    struct engine_partition part;
    for (int i = 0; i < 100; i++) {
        engine_partition(w->hosts[1].e, ring_partition(w->ring, slice_text("k")), &part);
        if (clock_covers(part.clock, dead))
            break;
        pass(w, 50000);
    }
    assert_true(clock_covers(part.clock, dead));
    assert_false(answer_knows(get(w, 1, "k"), dead));
    for (int all = 0; all < 2; all++) {
        struct msg m = get_of(w, "k");
        m.get.head.flags = all ? REQUEST_ALL | REQUEST_SESSION : REQUEST_SESSION;
        m.get.min_context = context_of(&first);
        const struct answer *a = call(w, 1, m);
        assert_value(a, "d");
        assert_int_equal(a->total, 1);
        assert_true(answer_knows(a, dead));
    }
    world_free(w);
}

/* ---- repair and settled reads ---------------------------------------------------------------- */

/* Three hosts; what is "new" is at host 0 alone, the others have "old". */
static struct world *cluster_apart(uint32_t wq)
{
    struct world *w = cluster(3, 3, 2, wq);
    w->mute = true;
    assert_int_equal(put(w, 0, "k", "old")->error, 0);
    cut(w, 0, 1);
    cut(w, 0, 2);
    struct msg m = put_of(w, "k", "new");
    m.put.head.flags |= REQUEST_PLAIN;
    uint64_t id = ask(w, 0, m);
    pass(w, 3800000);
    assert_int_equal(answer_of(w, id)->outcome, OUTCOME_IN_DOUBT);
    mend(w);
    return w;
}

static bool holds(struct world *w, int host, const char *key, const char *value)
{
    struct store_request r = {.kind = STORE_LOAD,
                              .tag = 1,
                              .partition = ring_partition(w->ring, slice_text(key)),
                              .key = slice_text(key)};
    struct store_result result;
    struct state s;
    state_init(&s);
    engine_submit(w->hosts[host].e, &r, w->now_us);
    assert_true(engine_result(w->hosts[host].e, &result));
    assert_int_equal(record_decode(slice_blob(result.record), r.partition, r.key, &s), 0);
    bool same = s.sibling_count == 1 && slice_equal(s.siblings[0].value, slice_text(value));
    struct engine_partition p;
    engine_partition(w->hosts[host].e, r.partition, &p);
    same = same && clock_covers(p.clock, s.siblings[0].dot);
    state_close(&s);
    store_result_release(&result);
    return same;
}

/* Of large records digests travel: equal ones need no more, others are asked for whole. */
static void test_large_records_are_compared_by_digest(void **state)
{
    (void)state;
    struct world *w = cluster_apart(2);
    for (int i = 0; i < 3; i++) {
        w->hosts[i].digest_above = 20;
        host_restart(w, i);
    }
    const struct node_metrics *metrics = node_metrics(w->hosts[1].n);
    struct msg m = get_of(w, "k");
    m.get.head.quorum = 3;
    struct answer a = *call(w, 1, m);
    assert_value(&a, "new");
    assert_int_equal(metrics->digests_equal_count, 1); /* host 2 has the old one too */
    assert_int_equal(metrics->digests_apart_count, 1);
    m.id = ++w->next_id;
    assert_value(call(w, 1, m), "new");
    assert_int_equal(metrics->digests_equal_count, 3);
    assert_int_equal(metrics->digests_apart_count, 1);
    world_free(w);
}

static void test_a_read_repairs_who_lacks_what_it_shows(void **state)
{
    (void)state;
    for (int reader = 0; reader < 2; reader++) {
        struct world *w = cluster_apart(2);
        struct msg m = get_of(w, "k");
        m.get.head.quorum = 3;
        struct answer a = *call(w, reader, m);
        assert_value(&a, "new");
        assert_true(a.flags & REPLY_UNSETTLED);
        for (int i = 0; i < 3; i++)
            assert_true(holds(w, i, "k", "new"));
        const struct node_metrics *metrics = node_metrics(w->hosts[reader].n);
        assert_int_equal(metrics->repairs_count, 1);
        assert_int_equal(metrics->client_puts_count, reader == 0 ? 2 : 0);
        assert_false(call(w, reader, get_of(w, "k"))->flags & REPLY_UNSETTLED);
        assert_int_equal(metrics->repairs_count, 1);
        world_free(w);
    }
}

static void test_a_repair_of_a_large_state_goes_in_pieces(void **state)
{
    (void)state;
    struct world *w = cluster_apart(2);
    /* All start again, with small pieces. */
    for (int i = 0; i < 3; i++) {
        w->hosts[i].piece_bytes_max = 40;
        host_restart(w, i);
    }
    struct msg m = get_of(w, "k");
    m.get.head.quorum = 3;
    assert_value(call(w, 1, m), "new");
    for (int i = 0; i < 3; i++)
        assert_true(holds(w, i, "k", "new"));
    world_free(w);
}

static void test_one_repair_of_a_key_is_under_way_at_a_time(void **state)
{
    (void)state;
    struct world *w = cluster_apart(2);
    struct msg m = get_of(w, "k");
    m.get.head.quorum = 3;
    send_to(w, w->hosts[0].client, &m);
    m.id = ++w->next_id;
    call(w, 0, m);
    const struct node_metrics *metrics = node_metrics(w->hosts[0].n);
    assert_int_equal(metrics->repairs_count, 1);
    assert_int_equal(metrics->repairs_skipped_count, 1);
    assert_true(holds(w, 1, "k", "new"));
    world_free(w);
}

/* An owner that is silent does not keep the key from the next repair. */
static void test_a_repair_that_is_not_answered_ends(void **state)
{
    (void)state;
    struct world *w = cluster_apart(2);
    w->hosts[1].log_held = w->hosts[2].log_held = true;
    struct msg m = get_of(w, "k");
    m.get.head.quorum = 3;
    assert_value(call(w, 0, m), "new");
    pass(w, 600000);
    for (int i = 1; i < 3; i++)
        host_restart(w, i); /* what was held back is lost */
    for (int i = 1; i < 3; i++)
        w->hosts[i].log_held = false;
    assert_true(holds(w, 1, "k", "old"));
    m.id = ++w->next_id;
    assert_value(call(w, 0, m), "new");
    assert_int_equal(node_metrics(w->hosts[0].n)->repairs_count, 2);
    assert_true(holds(w, 1, "k", "new"));
    world_free(w);
}

/* What a session is shown it will ask for again: it waits until w owners have it. */
static void test_a_session_or_blocking_read_is_answered_when_it_is_settled(void **state)
{
    (void)state;
    static const uint32_t flags[] = {REQUEST_SESSION, REQUEST_BLOCKING};
    for (int k = 0; k < 2; k++) {
        struct world *w = cluster_apart(2);
        w->hosts[1].log_held = w->hosts[2].log_held = true;
        struct msg m = get_of(w, "k");
        m.get.head.flags = flags[k];
        uint64_t id = ask(w, 0, m);
        assert_null(answer_of(w, id));
        w->hosts[1].log_held = w->hosts[2].log_held = false;
        run(w);
        struct answer a = *answer_of(w, id);
        assert_value(&a, "new");
        assert_int_equal(a.flags, 0);
        assert_true(holds(w, 1, "k", "new") || holds(w, 2, "k", "new"));
        assert_int_equal(node_metrics(w->hosts[0].n)->settled_count, 1);
        world_free(w);
    }
}

/* What is repaired was written by another node than the one that repairs; it counts all the same.
 */
static void test_a_read_settles_what_another_node_wrote(void **state)
{
    (void)state;
    struct world *w = cluster_apart(3);
    struct msg m = get_of(w, "k");
    m.get.head.quorum = 3;
    m.get.head.flags = REQUEST_SESSION;
    struct answer a = *call(w, 1, m);
    assert_value(&a, "new");
    assert_int_equal(a.flags, 0);
    world_free(w);
}

/* When w owners cannot have it in time a session is told so, and who insists gets an error. */
static void test_a_read_that_cannot_be_settled_says_so(void **state)
{
    (void)state;
    static const uint32_t flags[] = {REQUEST_SESSION, REQUEST_BLOCKING};
    for (int k = 0; k < 2; k++) {
        struct world *w = cluster_apart(2);
        w->hosts[1].log_held = w->hosts[2].log_held = true;
        struct msg m = get_of(w, "k");
        m.get.head.flags = flags[k];
        uint64_t id = ask(w, 0, m);
        pass(w, 600000);
        struct answer a = *answer_of(w, id);
        if (flags[k] == REQUEST_SESSION) {
            assert_value(&a, "new");
            assert_true(a.flags & REPLY_UNSETTLED);
        } else {
            assert_int_equal(a.error, GT_EQUORUM);
            assert_non_null(strstr(a.text, "W=2 not met; what was read is not settled"));
        }
        world_free(w);
    }
}

/* A blocking read that asks fewer than w owners goes on until w are known to have it. */
static void test_a_blocking_read_of_few_owners_settles_among_more(void **state)
{
    (void)state;
    struct world *w = cluster_apart(2);
    struct msg m = get_of(w, "k");
    m.get.head.quorum = 1;
    m.get.head.flags = REQUEST_BLOCKING;
    struct answer a = *call(w, 0, m);
    assert_value(&a, "new");
    assert_false(a.flags & REPLY_UNSETTLED);
    for (int i = 0; i < 3; i++)
        assert_true(holds(w, i, "k", "new"));
    world_free(w);
}

static void test_repairs_keep_to_their_rate(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    w->mute = true;
    char value[4000], key[16];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    host_kill(w, 2);
    for (int i = 0; i < 400; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(put(w, 0, key, value)->error, 0);
    }
    host_restart(w, 2);
    const struct node_metrics *metrics = node_metrics(w->hosts[0].n);
    for (int i = 0; i < 400; i++) {
        struct msg m;
        snprintf(key, sizeof(key), "k%d", i);
        m = get_of(w, key);
        m.get.head.quorum = 3;
        call(w, 0, m);
    }
    /* The burst of a MiB at 4 KiB each. */
    assert_in_range(metrics->repairs_count, 256, 257);
    assert_int_equal(metrics->repairs_count + metrics->repairs_skipped_count, 400);
    world_free(w);
}

static void test_a_retry_is_the_same_write(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    struct msg m = put_of(w, "k", "v");
    struct answer first = *call(w, 0, m);
    for (int i = 0; i < 3; i++) {
        m.id = ++w->next_id;
        m.put.head.flags |= REQUEST_RETRY;
        struct answer again = *call(w, i, m);
        assert_int_equal(again.error, 0);
        assert_int_equal(again.outcome, OUTCOME_DONE);
        assert_int_equal(again.flags, REPLY_KNOWN);
        assert_true(again.stamp == first.stamp);
    }
    assert_int_equal(get_all(w, 1, "k")->shown, 1);
    world_free(w);
}

static void test_a_known_write_of_an_earlier_life_can_be_finished(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    cut(w, 0, 1);
    cut(w, 0, 2);
    struct msg m = put_of(w, "k", "v");
    ask(w, 0, m);
    pass(w, 510000);
    mend(w);
    host_restart(w, 0);
    m.id = ++w->next_id;
    m.put.head.flags |= REQUEST_RETRY;
    struct answer a = *call(w, 0, m);
    assert_int_equal(a.error, 0);
    assert_int_equal(a.flags, REPLY_KNOWN);
    host_kill(w, 0);
    assert_value(get(w, 1, "k"), "v");
    world_free(w);
}

/* Tried again, first tried so long ago. */
static void test_a_superseded_write_that_is_tried_again_does_not_come_back(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    struct msg m = put_of(w, "k", "first");
    m.put.head.flags |= REQUEST_PLAIN;
    struct answer first = *call(w, 0, m);
    put(w, 1, "k", "second");
    for (int i = 0; i < 3; i++) {
        struct answer again = *call(w, i, again_of(w, m, 700));
        assert_int_equal(again.error, 0);
        assert_int_equal(again.outcome, OUTCOME_DONE);
        assert_int_equal(again.flags, REPLY_KNOWN);
        assert_int_equal(again.owners, 2);
        assert_true(again.stamp == first.stamp);
        assert_string_equal(get_all(w, i, "k")->values, "second");
        host_restart(w, i);
    }
    /* Not said to be a retry: it is known all the same where it is in the table. */
    m.id = ++w->next_id;
    assert_int_equal(call(w, 2, m)->flags, REPLY_KNOWN);
    assert_string_equal(get_all(w, 2, "k")->values, "second");
    world_free(w);
}

static void test_a_state_tells_the_operations_of_what_it_replaces(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    cut(w, 0, 2);
    cut(w, 1, 2);
    struct msg m = put_of(w, "k", "first");
    m.put.head.flags |= REQUEST_PLAIN;
    struct answer first = *call(w, 0, m);
    mend(w);
    put(w, 0, "k", "second");
    /* Host 2 never had the first one, and knows it without asking. */
    m.id = ++w->next_id;
    struct answer late = *call(w, 2, m);
    assert_int_equal(late.flags, REPLY_KNOWN);
    assert_true(late.stamp == first.stamp);
    assert_string_equal(get_all(w, 2, "k")->values, "second");
    world_free(w);
}

static void test_a_coordinator_that_missed_the_write_asks_before_it_mints(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    cut(w, 0, 2);
    cut(w, 1, 2);
    struct msg m = put_of(w, "k", "first");
    m.put.head.flags |= REQUEST_PLAIN;
    struct answer first = *call(w, 0, m);
    assert_int_equal(first.outcome, OUTCOME_DONE);
    put(w, 0, "k", "second");
    mend(w);
    assert_int_equal(put(w, 2, "other", "1")->error, 0);
    /* Host 2 has seen none of it. Whom it asks has: it merges what they hold, and mints nothing. */
    struct answer again = *call(w, 2, again_of(w, m, 700));
    assert_int_equal(again.error, 0);
    assert_int_equal(again.flags, REPLY_KNOWN);
    assert_true(again.stamp == first.stamp);
    host_kill(w, 0);
    assert_string_equal(get_all(w, 2, "k")->values, "second");
    host_kill(w, 1);
    struct msg weak = get_of(w, "k");
    weak.get.head.quorum = 1;
    assert_value(call(w, 2, weak), "second");
    world_free(w);
}

/* What a pull brings: the clock covers dots of which no state tells any more, and their operations
 * come along. */
static void test_a_pull_brings_the_operations_of_what_was_missed(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    cut(w, 0, 2);
    cut(w, 1, 2);
    struct msg m = put_of(w, "k", "first");
    m.put.head.flags |= REQUEST_PLAIN;
    struct answer first = *call(w, 0, m);
    put(w, 0, "k", "second");
    mend(w);
    host_restart(w, 2);
    pass(w, 5000000);
    m.id = ++w->next_id;
    struct answer late = *call(w, 2, m); /* not said to be a retry: nobody is asked */
    assert_int_equal(late.flags, REPLY_KNOWN);
    assert_true(late.stamp == first.stamp);
    assert_string_equal(get_all(w, 2, "k")->values, "second");
    world_free(w);
}

static void test_a_retry_is_not_applied_when_too_few_owners_can_tell(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    w->mute = true;
    struct msg m = put_of(w, "k", "first");
    m.put.head.flags |= REQUEST_PLAIN;
    /* Host 1 answers nothing more, and is still linked; host 2 is gone. */
    host_kill(w, 2);
    cut(w, 0, 1);
    uint64_t id = ask(w, 0, again_of(w, m, 700));
    pass(w, 400000);
    assert_null(answer_of(w, id));
    pass(w, 200000);
    const struct answer *a = answer_of(w, id);
    assert_int_equal(a->error, GT_EQUORUM);
    assert_int_equal(a->outcome, OUTCOME_NOT_APPLIED);
    assert_non_null(strstr(a->text, "1 of 3 owners can tell"));
    mend(w);
    assert_int_equal(get(w, 0, "k")->error, GT_ENOTFOUND);
    /* Host 2 comes back without an earlier write of the key; it has a later one, and so it knows
     * that it misses one. It does not count either. */
    put(w, 0, "k", "1");
    put(w, 0, "k", "2");
    host_restart(w, 2);
    put(w, 0, "k", "3");
    host_kill(w, 0);
    id = ask(w, 1, again_of(w, m, 700));
    pass(w, 600000);
    a = answer_of(w, id);
    assert_int_equal(a->error, GT_EQUORUM);
    assert_int_equal(a->outcome, OUTCOME_NOT_APPLIED);
    world_free(w);
}

static void test_an_unknown_operation_is_minted_while_it_is_young(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    struct msg m = put_of(w, "k", "first");
    pass(w, 2000000);
    struct answer other = *put(w, 1, "k", "second");
    pass(w, 1000000);
    /* First tried before the other was written: it takes its place below. */
    struct answer a = *call(w, 0, again_of(w, m, 2000));
    assert_int_equal(a.error, 0);
    assert_int_equal(a.flags, 0);
    assert_true(a.stamp < other.stamp);
    assert_value(get(w, 2, "k"), "second");
    assert_int_equal(get_all(w, 2, "k")->shown, 2);
    /* A plain one is acknowledged when nothing is answered rather than it: it has not ended before
     * the other began, and goes above it. */
    struct msg plain = put_of(w, "k", "third");
    plain.put.head.flags |= REQUEST_PLAIN;
    a = *call(w, 0, again_of(w, plain, 2000));
    assert_int_equal(a.error, 0);
    assert_int_equal(a.flags, REPLY_OUTRANKED);
    assert_true(a.stamp > other.stamp);
    assert_value(get(w, 2, "k"), "third");
    assert_int_equal(get_all(w, 2, "k")->shown, 1);
    /* Nobody remembers that far. */
    struct msg old = put_of(w, "k", "old");
    a = *call(w, 0, again_of(w, old, 541000));
    assert_int_equal(a.error, GT_EINDOUBT);
    assert_int_equal(a.outcome, OUTCOME_IN_DOUBT);
    assert_non_null(
        strstr(a.text, "first tried 541 s ago; the owners remember operations for 600"));
    assert_int_equal(get_all(w, 2, "k")->shown, 1);
    world_free(w);
}

static void test_a_retry_is_refused_that_is_older_than_the_tables_reach(void **state)
{
    (void)state;
    struct world *w = world_new((struct shape){3, 3, 2, 2, 16});
    for (int i = 0; i < 3; i++) {
        w->hosts[i].operations_bytes_max = 2000;
        engine_close(w->hosts[i].e, false);
        host_boot(w, i);
    }
    world_start(w);
    struct msg m = put_of(w, "k", "first");
    m.put.head.flags |= REQUEST_PLAIN;
    call(w, 0, m);
    for (int i = 0; i < 60; i++) {
        put(w, 0, "k", "more");
        pass(w, 1000000);
    }
    struct answer a = *call(w, 1, again_of(w, m, 60000));
    assert_int_equal(a.error, GT_EINDOUBT);
    assert_int_equal(a.outcome, OUTCOME_IN_DOUBT);
    assert_string_equal(get_all(w, 2, "k")->values, "more");
    m = put_of(w, "k", "young");
    m.put.head.flags |= REQUEST_PLAIN;
    assert_int_equal(call(w, 1, again_of(w, m, 100))->error, 0);
    world_free(w);
}

/* What is here of "k" is superseded while host 0 is away: what that returns with is superseded too.
 */
static void superseded_before_return(struct world *w)
{
    struct answer seen = *get_all(w, 2, "k");
    assert_int_equal(put_context(w, 2, "k", "over", context_of(&seen))->error, 0);
    host_restart(w, 0);
    for (int i = 0; i < 3; i++)
        assert_string_equal(get_all(w, i, "k")->values, "over");
}

/* The first attempt is on one disk that is away; the second was minted anew and is superseded. */
static void test_a_twin_that_returns_is_superseded_too(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    cut(w, 0, 1);
    cut(w, 0, 2);
    struct msg m = put_of(w, "k", "twice");
    m.put.head.flags |= REQUEST_PLAIN;
    ask(w, 0, m);
    host_kill(w, 0);
    mend(w);
    struct answer again = *call(w, 1, again_of(w, m, 100));
    assert_int_equal(again.error, 0);
    assert_int_equal(again.flags, 0); /* nobody knew */
    superseded_before_return(w);
    world_free(w);
}

/* Two attempts, neither of which knew of the other, minted by clocks that are an hour apart: what
 * supersedes the later one is later than both (seed 1795664053311). */
static void test_twins_have_one_stamp_whatever_the_clocks_show(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    cut(w, 0, 1);
    w->hosts[0].clock_us = 3600000000;
    struct msg m = put_of(w, "k", "twice");
    m.put.head.flags |= REQUEST_PLAIN;
    m.put.first_stamp = wall_us(w) / 1000 << 16;
    w->held = MSG_STATE;
    ask(w, 0, again_of(w, m, 100));
    host_kill(w, 0);
    w->held = 0;
    mend(w);
    struct answer again = *call(w, 1, again_of(w, m, 700));
    assert_int_equal(again.error, 0);
    assert_int_equal(again.flags, 0); /* nobody knew */
    assert_true(again.stamp == m.put.first_stamp);
    superseded_before_return(w);
    world_free(w);
}

static void test_a_retry_by_a_clock_far_ahead_is_not_minted(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    struct msg m = put_of(w, "k", "v");
    m.put.first_stamp = (wall_us(w) / 1000 + CLOCK_AHEAD_MAX_MS + 1000) << 16;
    struct answer a = *call(w, 0, again_of(w, m, 100));
    assert_int_equal(a.error, GT_ECLOCK);
    assert_int_equal(a.outcome, OUTCOME_NOT_APPLIED);
    m.put.first_stamp -= 2000ull << 16;
    a = *call(w, 0, again_of(w, m, 100));
    assert_int_equal(a.error, 0);
    assert_true(a.stamp == m.put.first_stamp);
    world_free(w);
}

/* With R=1 a retry asks its coordinator alone, which mints a twin; another one finds the first
 * attempt and finishes it. What is put over a read of that takes the twin along (seed 30966). */
static void test_what_a_retry_finishes_may_have_a_twin(void **state)
{
    (void)state;
    struct world *w = cluster(2, 2, 1, 2);
    cut(w, 0, 1);
    struct msg m = put_of(w, "k", "twice");
    m.put.head.flags |= REQUEST_PLAIN;
    ask(w, 0, m);
    ask(w, 1, again_of(w, m, 100));
    mend(w);
    struct answer seen = *get_all(w, 0, "k");
    assert_string_equal(seen.values, "twice");
    struct answer again = *call(w, 0, again_of(w, m, 200));
    assert_int_equal(again.error, 0);
    assert_true(again.flags & REPLY_KNOWN);
    assert_int_equal(put_context(w, 0, "k", "over", context_of(&seen))->error, 0);
    for (int i = 0; i < 2; i++)
        assert_string_equal(get_all(w, i, "k")->values, "over");
    world_free(w);
}

/* Two puts, both tried before, both below an older one. The second supersedes the first where both
 * are coordinated, and is on its way to be stored again above the old one: until it is, the old one
 * is answered, and the first is not done (seed 805). */
static void test_superseded_by_what_is_outranked_is_not_done(void **state)
{
    (void)state;
    struct world *w = cluster(2, 2, 1, 2);
    w->hosts[1].clock_us = 30000000;
    assert_int_equal(put(w, 1, "k", "old")->error, 0);
    struct msg one = put_of(w, "k", "one"), two = put_of(w, "k", "two");
    one.put.head.flags |= REQUEST_PLAIN;
    two.put.head.flags |= REQUEST_PLAIN;
    w->held = MSG_STATE_REPLY;
    uint64_t first = ask(w, 0, again_of(w, one, 200)), second = ask(w, 0, again_of(w, two, 100));
    assert_int_equal(w->kept_count, 2);
    /* That the first is outranked is heard, that the second is not yet. */
    w->held = 0;
    w->packets[w->tail++ % PACKETS_MAX] = w->kept[0];
    run(w);
    assert_value(get(w, 1, "k"), "old");
    assert_int_equal(answer_of(w, first)->outcome, OUTCOME_IN_DOUBT);
    /* Tried again likewise, whoever coordinates it. */
    for (int i = 0; i < 2; i++)
        assert_int_equal(call(w, i, again_of(w, one, 300))->outcome, OUTCOME_IN_DOUBT);
    w->packets[w->tail++ % PACKETS_MAX] = w->kept[1];
    w->kept_count = 0;
    run(w);
    assert_int_equal(answer_of(w, second)->error, 0);
    assert_value(get(w, 1, "k"), "two");
    for (int i = 0; i < 2; i++)
        assert_int_equal(call(w, i, again_of(w, one, 400))->error, 0);
    world_free(w);
}

static void test_an_owner_that_was_asked_does_not_count_for_an_earlier_attempt(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    w->hosts[0].log_held = true;
    struct msg m = put_of(w, "k", "slow");
    m.put.head.flags |= REQUEST_PLAIN;
    uint64_t slow = ask(w, 0, m);
    uint64_t again = ask(w, 1, again_of(w, m, 600)); /* host 0 does not answer, host 2 does */
    pass(w, 600000);
    assert_int_equal(answer_of(w, again)->error, 0);
    w->hosts[0].log_held = false;
    run(w);
    /* The first one was stored and sent, and none of those that were asked counts for it. */
    assert_int_equal(answer_of(w, slow)->outcome, OUTCOME_IN_DOUBT);
    assert_int_equal(answer_of(w, slow)->owners, 0);
    assert_int_equal(get_all(w, 2, "k")->shown, 1);
    /* One that comes even later is not begun. */
    w->hosts[1].log_held = true;
    struct msg other = put_of(w, "l", "late");
    again = ask(w, 1, again_of(w, other, 600));
    pass(w, 600000);
    other.id = ++w->next_id;
    int asked = owner(w, "l", 0) == 1 ? owner(w, "l", 1) : owner(w, "l", 0);
    struct answer late = *call(w, asked, other);
    assert_int_equal(late.error, GT_ESTALE);
    assert_int_equal(late.outcome, OUTCOME_NOT_APPLIED);
    w->hosts[1].log_held = false;
    run(w);
    assert_int_equal(answer_of(w, again)->error, 0);
    world_free(w);
}

static void test_a_slow_disk_ends_in_doubt_at_the_deadline_and_the_write_spreads_later(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    w->hosts[0].log_held = true;
    struct msg m = put_of(w, "k", "v");
    m.put.head.deadline_ms = 100;
    uint64_t id = ask(w, 0, m);
    pass(w, 80000);
    assert_null(answer_of(w, id));
    pass(w, 30000);
    assert_int_equal(answer_of(w, id)->outcome, OUTCOME_IN_DOUBT);
    w->hosts[0].log_held = false;
    run(w);
    host_kill(w, 0);
    assert_value(get(w, 1, "k"), "v");
    world_free(w);
}

static void test_a_full_table_answers_busy(void **state)
{
    (void)state;
    struct world *w = world_new((struct shape){3, 3, 2, 2, 16});
    w->hosts[0].inflight_max = 2;
    world_start(w);
    w->hosts[0].log_held = true;
    ask(w, 0, put_of(w, "a", "1"));
    ask(w, 0, put_of(w, "b", "1"));
    struct answer a = *put(w, 0, "c", "1");
    assert_int_equal(a.error, GT_EBUSY);
    assert_int_equal(a.outcome, OUTCOME_NOT_APPLIED);
    w->hosts[0].log_held = false;
    run(w);
    assert_int_equal(put(w, 0, "c", "1")->error, 0);
    world_free(w);
}

static void test_limits_are_refused_before_anything_happens(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    static char big[5000];
    memset(big, 'x', sizeof(big) - 1);
    assert_int_equal(put(w, 0, "", "v")->error, GT_ELIMIT);
    assert_int_equal(put(w, 0, "k", big)->error, GT_ELIMIT);
    assert_int_equal(put(w, 0, "k", big)->outcome, OUTCOME_NOT_APPLIED);
    big[481] = 0;
    assert_int_equal(put(w, 0, big, "v")->error, GT_ELIMIT);
    assert_int_equal(get(w, 0, big)->error, GT_ELIMIT);
    big[480] = 0;
    assert_int_equal(put(w, 0, big, "v")->error, 0);
    struct msg m = put_of(w, "k", "v");
    m.put.head.quorum = 4;
    struct answer a = *call(w, 0, m);
    assert_int_equal(a.error, GT_EARG);
    assert_non_null(strstr(a.text, "W=4"));
    world_free(w);
}

static void test_a_put_refused_by_the_engine_is_not_applied(void **state)
{
    (void)state;
    struct world *w = cluster(1, 1, 1, 1);
    char value[16];
    for (int i = 0; i < 64; i++) {
        snprintf(value, sizeof(value), "%d", i);
        assert_int_equal(put_context(w, 0, "k", value, slice_of(NULL, 0))->error, 0);
    }
    struct answer a = *put_context(w, 0, "k", "one too many", slice_of(NULL, 0));
    assert_int_equal(a.error, GT_ELIMIT);
    assert_int_equal(a.outcome, OUTCOME_NOT_APPLIED);
    assert_string_equal(a.text,
                        "node1: over the limit of 64 siblings: gtstore get --all --context KEY, "
                        "then put with that context; not applied");
    world_free(w);
}

static void test_a_large_state_travels_in_pieces(void **state)
{
    (void)state;
    struct world *w = world_new((struct shape){3, 3, 2, 3, 16});
    for (int i = 0; i < 3; i++)
        w->hosts[i].piece_bytes_max = 600;
    world_start(w);
    char value[300];
    for (int i = 0; i < 8; i++) {
        memset(value, 'a' + i, sizeof(value) - 1);
        value[sizeof(value) - 1] = 0;
        struct answer a = *put_context(w, i % 3, "k", value, slice_of(NULL, 0));
        assert_int_equal(a.error, 0);
        assert_int_equal(a.owners, 3);
    }
    for (int i = 0; i < 3; i++) {
        struct msg m = get_of(w, "k");
        m.get.head.quorum = 1;
        m.get.head.flags = REQUEST_ALL;
        assert_int_equal(call(w, i, m)->shown, 8);
    }
    world_free(w);
}

/* ---- clocks ---------------------------------------------------------------------------------- */

static void test_a_newer_put_wins_after_all_wall_clocks_went_back(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    assert_int_equal(put(w, 2, "k", "first")->error, 0);
    pass(w, 1000000);
    cut(w, 0, 2);
    uint64_t before = put(w, 0, "k", "older")->stamp; /* 2 does not hear of it */
    pass(w, 600000);
    assert_true(engine_stamp_max(w->hosts[1].e) >= before); /* it only merged */
    w->wall_base_us -= 86400000000ull;
    for (int i = 0; i < 3; i++)
        host_kill(w, i);
    mend(w);
    for (int i = 0; i < 3; i++)
        host_restart(w, i);
    cut(w, 0, 2);
    struct answer a = *put(w, 2, "k", "newer");
    assert_int_equal(a.error, 0);
    assert_true(a.stamp > before);
    pass(w, 600000);
    mend(w);
    for (int i = 0; i < 3; i++)
        assert_value(get(w, i, "k"), "newer");
    world_free(w);
}

/* A state whose stamp lies years ahead is kept, and moves no clock: not when it is merged, not when
 * a put stands above it, and not at the next start. */
static void test_a_stamp_of_the_far_future_moves_no_clock(void **state)
{
    (void)state;
    struct world *w = cluster(1, 1, 1, 1);
    struct sibling s = {.dot = {{77, 1 << 24}, 1},
                        .stamp = (wall_us(w) / 1000 + (1ull << 40)) << 16,
                        .value = slice_text("future")};
    struct state st;
    struct blob *record;
    state_init(&st);
    assert_int_equal(state_add(&st, &s), 0);
    uint32_t p = ring_partition(w->ring, slice_text("k"));
    assert_int_equal(record_encode_blob(&st, p, slice_text("k"), &record), 0);
    struct msg m = hello_of(w, ROLE_NODE);
    m.stamp = s.stamp;
    m.hello.node = id_of(w, 0);
    m.hello.incarnation = engine_identity(w->hosts[0].e)->incarnation;
    uint64_t conn = conn_new(w, TEST, 0, 0);
    send_to(w, conn, &m);
    run(w);
    struct msg put_state = {.type = MSG_STATE, .id = ++w->next_id, .stamp = s.stamp};
    put_state.state.head.flags = REQUEST_RETRY; /* a dot of whomever */
    put_state.state.partition = p;
    put_state.state.key = slice_text("k");
    uint8_t dot[DOT_BYTES];
    dots_put(dot, s.dot);
    put_state.state.dots = slice_of(dot, sizeof(dot));
    put_state.state.record = slice_blob(record);
    send_to(w, conn, &put_state);
    run(w);
    assert_value(get(w, 0, "k"), "future");
    assert_int_equal(put(w, 0, "k", "above")->error, 0);
    assert_value(get(w, 0, "k"), "above");
    for (int life = 0; life < 2; life++) {
        struct answer a = *put(w, 0, "other", "v");
        assert_int_equal(a.error, 0);
        assert_true(a.stamp < (wall_us(w) / 1000 + 1000) << 16);
        host_restart(w, 0);
    }
    blob_unref(record);
    state_close(&st);
    world_free(w);
}

/* ---- identity -------------------------------------------------------------------------------- */

static uint64_t raw_hello(struct world *w, int host, struct msg *m)
{
    uint64_t conn = conn_new(w, TEST, host, 0);
    send_to(w, conn, m);
    run(w);
    return conn;
}

static void test_another_cluster_and_another_protocol_are_refused(void **state)
{
    (void)state;
    struct world *w = cluster(1, 1, 1, 1);
    struct msg m = hello_of(w, ROLE_NODE);
    m.hello.node = OUTSIDER;
    m.hello.incarnation = 1;
    memset(m.hello.cluster_id, 9, CLUSTER_ID_BYTES);
    uint64_t conn = raw_hello(w, 0, &m);
    assert_int_equal(answer_of(w, m.id)->error, GT_ECLUSTER);
    assert_true(w->conns[conn].closed_by_to);
    m = hello_of(w, ROLE_CLIENT);
    m.hello.protocol_min = m.hello.protocol_max = MSG_PROTOCOL_MAX + 1;
    conn = raw_hello(w, 0, &m);
    assert_int_equal(answer_of(w, m.id)->error, GT_EFORMAT);
    assert_true(w->conns[conn].closed_by_to);
    world_free(w);
}

static void test_a_request_before_its_hello_closes_the_link(void **state)
{
    (void)state;
    struct world *w = cluster(1, 1, 1, 1);
    struct msg m = get_of(w, "k");
    uint64_t conn = raw_hello(w, 0, &m);
    assert_true(w->conns[conn].closed_by_to);
    assert_null(answer_of(w, m.id));
    world_free(w);
}

static void test_a_lower_incarnation_is_refused_also_after_a_restart(void **state)
{
    (void)state;
    struct world *w = host_and_outsider();
    for (int round = 0; round < 2; round++) {
        struct msg m = hello_of(w, ROLE_NODE);
        m.hello.node = OUTSIDER;
        m.hello.incarnation = 100;
        raw_hello(w, 0, &m);
        assert_int_equal(answer_of(w, m.id)->error, 0);
        host_restart(w, 0);
        m.id = ++w->next_id;
        m.hello.incarnation = 99;
        raw_hello(w, 0, &m);
        assert_int_equal(answer_of(w, m.id)->error, GT_EINCARNATION);
        assert_true(answer_of(w, m.id)->seen == 100);
    }
    world_free(w);
}

static void test_a_hello_is_answered_only_when_its_incarnation_is_durable(void **state)
{
    (void)state;
    struct world *w = host_and_outsider();
    w->hosts[0].log_held = true;
    struct msg m = hello_of(w, ROLE_NODE);
    m.hello.node = OUTSIDER;
    m.hello.incarnation = 100;
    raw_hello(w, 0, &m);
    assert_null(answer_of(w, m.id));
    w->hosts[0].log_held = false;
    run(w);
    assert_int_equal(answer_of(w, m.id)->error, 0);
    world_free(w);
}

static void test_a_hello_whose_answer_was_lost_is_said_again(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    host_kill(w, 2);
    w->cut[0][2] = w->cut[1][2] = true; /* the others answer, and it does not hear them */
    host_restart(w, 2);
    assert_int_equal(put(w, 2, "k", "v")->error, GT_EQUORUM);
    mend(w);
    pass(w, 600000);
    assert_int_equal(put(w, 2, "k", "v")->error, 0);
    world_free(w);
}

static void test_a_node_that_is_behind_its_own_past_draws_above_it_and_serves(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    uint64_t above = engine_identity(w->hosts[0].e)->incarnation + 1000;
    struct msg m = hello_of(w, ROLE_NODE);
    m.hello.node = id_of(w, 0);
    m.hello.incarnation = above;
    raw_hello(w, 1, &m); /* a copy of the folder was here */
    host_kill(w, 0);
    memindex_crash(w->hosts[0].index);
    host_restart(w, 0);
    /* The same seconds, so the draw alone may not be above: the refusal makes it so. */
    if (engine_identity(w->hosts[0].e)->incarnation <= above)
        pass(w, 100000);
    assert_true(engine_identity(w->hosts[0].e)->incarnation > above);
    struct answer a = *put(w, 0, "k", "v");
    assert_int_equal(a.error, 0);
    pass(w, 600000);
    world_free(w);
}

static void test_a_refused_incarnation_is_renewed_and_said_again(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    uint64_t before = engine_identity(w->hosts[0].e)->incarnation;
    uint32_t conn = conn_find(w, 0, id_of(w, 1));
    struct msg m = {.type = MSG_HELLO_REPLY, .id = 1};
    m.hello.error = GT_EINCARNATION;
    m.hello.role = ROLE_NODE;
    m.hello.node = id_of(w, 1);
    m.hello.seen_incarnation = before + (1ull << 30);
    struct blob *frame = msg_frame(&m);
    packet_push(w, conn, true, frame);
    blob_unref(frame);
    run(w);
    assert_true(engine_identity(w->hosts[0].e)->incarnation > before + (1ull << 30));
    assert_int_equal(put(w, 0, "k", "v")->error, 0);
    assert_value(get(w, 1, "k"), "v");
    world_free(w);
}

static uint64_t incarnation_of(struct world *w, int host)
{
    return engine_identity(w->hosts[host].e)->incarnation;
}

/* ---- filling --------------------------------------------------------------------------------- */

/* Host i begins in an empty folder, as the same member: all that is left of it is lost. */
static void host_lose(struct world *w, int i)
{
    struct host *h = &w->hosts[i];
    uint64_t id = id_of(w, i);
    host_kill(w, i);
    node_free(h->n);
    h->n = NULL;
    engine_close(h->e, false);
    memdisk_wipe(h->disk);
    memindex_wipe(h->index);
    h->born_filling = true;
    host_boot(w, i);
    assert_int_equal(engine_set_cluster(h->e, cluster_id), 0);
    struct ring *r = ring_copy(w->ring, w->ring->member_count);
    r->epoch.counter++;
    r->members[i].id = id_of(w, i);
    r->members[i].incarnation = 0;
    assert_true(r->members[i].id != id);
    h->alive = false; /* until all_restart */
    ring_unref(w->ring);
    w->ring = r;
}

/* Everybody begins anew with the map that names the new one. */
static void all_restart(struct world *w)
{
    struct blob *map = msg_map_bytes(w->ring);
    for (uint32_t i = 0; i < w->count; i++)
        if (w->hosts[i].alive)
            host_kill(w, (int)i);
    for (uint32_t i = 0; i < w->count; i++) {
        struct host *h = &w->hosts[i];
        node_free(h->n);
        h->n = NULL;
        engine_close(h->e, false);
        host_boot(w, (int)i);
        struct store_request r = {.kind = STORE_META,
                                  .hold = blob_ref(map),
                                  .key = slice_text("map"),
                                  .value = slice_blob(map)};
        struct store_result done;
        engine_submit(h->e, &r, w->now_us);
        for (int turn = 0; turn < 10; turn++)
            for (int lane = 0; lane < ENGINE_LANES; lane++) {
                struct engine_job *job = engine_job(h->e, (enum engine_lane)lane);
                if (job) {
                    engine_job_run(job);
                    engine_job_done(h->e, job);
                }
            }
        assert_true(engine_result(h->e, &done));
    }
    blob_unref(map);
    world_start(w);
}

static void test_who_lost_its_data_has_no_vote_until_it_has_pulled_it(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    assert_int_equal(put(w, 0, "k", "kept")->error, 0);
    pass(w, 3000000);
    host_lose(w, 0);
    cut(w, 0, 2); /* two owners would be needed, and one can be reached */
    all_restart(w);
    pass(w, 5000000);
    assert_int_equal(get_all(w, 1, "k")->error, 0); /* of the two who vote */
    assert_string_equal(get_all(w, 1, "k")->values, "kept");
    struct answer a = *get_all(w, 0, "k"); /* it coordinates, and asks whom it reaches */
    assert_int_equal(a.error, GT_EQUORUM);
    assert_non_null(strstr(a.text, "catching up"));
    struct answer p = *put(w, 0, "k2", "new"); /* passed on */
    assert_int_equal(p.error, 0);
    assert_string_equal(p.label, "node2");
    /* With the one who lost it alone nobody is told "not found". */
    cut(w, 1, 2);
    uint64_t id = ask(w, 1, get_of(w, "k"));
    pass(w, 1000000);
    assert_int_equal(answer_of(w, id)->error, GT_EQUORUM);
    mend(w);
    pass(w, 8000000);
    host_kill(w, 2);
    assert_string_equal(get_all(w, 0, "k")->values, "kept");
    assert_string_equal(get_all(w, 0, "k2")->values, "new");
    assert_int_equal(engine_identity(w->hosts[0].e)->open, 0);
    world_free(w);
}

static const struct answer *get_one(struct world *w, int host, const char *key)
{
    struct msg m = get_of(w, key);
    m.get.head.quorum = 1;
    return call(w, host, m);
}

/* A run that comes once more is of other keys than those that were asked for since: what it does
 * not have is not gone. */
static void test_the_reply_to_an_earlier_pull_takes_nothing_away(void **state)
{
    (void)state;
    struct world *w = world_new((struct shape){2, 2, 1, 2, 1});
    w->doubles = true;
    world_start(w);
    char key[16];
    for (int i = 0; i < 12; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(put(w, 0, key, "a value of some bytes")->error, 0);
    }
    pass(w, 3000000);
    host_lose(w, 1);
    all_restart(w);
    pass(w, 20000000);
    assert_int_equal(engine_identity(w->hosts[1].e)->open, 0);
    assert_true(node_metrics(w->hosts[1].n)->pulled_states_count >= 12);
    host_kill(w, 0);
    for (int i = 0; i < 12; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_value(get_one(w, 1, key), "a value of some bytes");
    }
    blob_unref(w->doubled[0]);
    blob_unref(w->doubled[1]);
    world_free(w);
}

static void test_one_copy_alone_votes_at_once(void **state)
{
    (void)state;
    struct world *w = world_new((struct shape){1, 1, 1, 1, 16});
    host_lose(w, 0);
    all_restart(w);
    pass(w, 100000);
    assert_int_equal(put(w, 0, "k", "v")->error, 0);
    assert_string_equal(get_all(w, 0, "k")->values, "v");
    assert_true(
        engine_identity(w->hosts[0].e)->open); /* but what is gone is gone, and is said so */
    world_free(w);
}

static void test_a_loss_is_accepted_where_a_person_says_so(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    assert_int_equal(put(w, 0, "k", "kept")->error, 0);
    pass(w, 3000000);
    host_lose(w, 0);
    host_lose(w, 1);
    cut(w, 0, 2); /* who has it */
    cut(w, 1, 2);
    all_restart(w);
    pass(w, 5000000);
    assert_int_equal(get_all(w, 0, "k")->error, GT_EQUORUM);
    for (int i = 0; i < 2; i++) {
        struct msg m = {.type = MSG_ACCEPT_LOSS,
                        .accept_loss = {.apply = true, .last = PARTITIONS_MAX - 1}};
        call(w, i, m);
    }
    pass(w, 100000);
    assert_int_equal(get_all(w, 0, "k")->error, GT_ENOTFOUND);
    /* Who comes back after all is pulled from whole. */
    mend(w);
    pass(w, 8000000);
    host_kill(w, 2);
    assert_string_equal(get_all(w, 0, "k")->values, "kept");
    world_free(w);
}

static void test_a_copy_of_a_folder_ends_and_the_original_does_not(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    struct msg m = hello_of(w, ROLE_NODE);
    m.hello.node = id_of(w, 0);
    m.hello.previous_incarnation = incarnation_of(w, 0);
    m.hello.incarnation = incarnation_of(w, 0) + (5ull << 24);
    raw_hello(w, 1, &m);
    assert_int_equal(answer_of(w, m.id)->error, GT_EBUSY); /* the original is asked */
    m.id = ++w->next_id;
    raw_hello(w, 1, &m);
    assert_int_equal(answer_of(w, m.id)->error, GT_ELOCKED); /* and has answered */
    /* The original goes on. */
    assert_int_equal(put(w, 0, "k", "v")->error, 0);
    assert_true(incarnation_of(w, 0) < m.hello.incarnation);
    assert_int_equal(engine_identity(w->hosts[0].e)->open, 0);
    /* Whoever does not answer is not alive: then it was a restart. */
    cut(w, 0, 1);
    m.id = ++w->next_id;
    m.hello.incarnation++;
    raw_hello(w, 1, &m);
    assert_int_equal(answer_of(w, m.id)->error, GT_EBUSY);
    w->now_us += 1600000;
    m.id = ++w->next_id;
    raw_hello(w, 1, &m);
    assert_int_equal(answer_of(w, m.id)->error, 0);
    world_free(w);
}

static void test_who_was_rolled_back_is_told_and_fills(void **state)
{
    (void)state;
    struct world *w = host_and_outsider();
    struct msg m = hello_of(w, ROLE_NODE);
    m.hello.node = OUTSIDER;
    m.hello.incarnation = 100;
    raw_hello(w, 0, &m);
    assert_int_equal(answer_of(w, m.id)->error, 0);
    host_restart(w, 0);
    /* It was at 100, and knows of 90 alone: nothing of its new life is remembered. */
    m.id = ++w->next_id;
    m.hello.incarnation = 200;
    m.hello.previous_incarnation = 90;
    raw_hello(w, 0, &m);
    assert_int_equal(answer_of(w, m.id)->error, GT_EINCARNATION);
    m.id = ++w->next_id;
    raw_hello(w, 0, &m);
    assert_int_equal(answer_of(w, m.id)->error, GT_EINCARNATION);
    m.id = ++w->next_id;
    m.hello.previous_incarnation = 100;
    raw_hello(w, 0, &m);
    assert_int_equal(answer_of(w, m.id)->error, 0);
    /* It is put back from 200 to 100 and starts twice before anybody hears of it: that the life
     * before this one is later than 200 hides nothing. */
    struct lives known = {.count = 0};
    uint8_t bytes[LIVES_KEPT * LIFE_TOLD_BYTES];
    lives_add(&known, 100);
    lives_add(&known, 300);
    lives_add(&known, 400);
    m.id = ++w->next_id;
    m.hello.incarnation = 400;
    m.hello.previous_incarnation = 300;
    m.hello.lives = lives_put(&known, bytes);
    raw_hello(w, 0, &m);
    assert_int_equal(answer_of(w, m.id)->error, GT_EINCARNATION);
    m.id = ++w->next_id;
    lives_add(&known, 200);
    m.hello.lives = lives_put(&known, bytes);
    raw_hello(w, 0, &m);
    assert_int_equal(answer_of(w, m.id)->error, 0);
    world_free(w);
}

/* What host 1 answered, had it been asked; of host 0's connection to it. */
static void reply_forge(struct world *w, struct msg *m)
{
    m->type = MSG_HELLO_REPLY;
    m->hello.role = ROLE_NODE;
    m->hello.node = id_of(w, 1);
    struct blob *frame = msg_frame(m);
    packet_push(w, conn_find(w, 0, id_of(w, 1)), true, frame);
    blob_unref(frame);
    run(w);
}

static void test_an_incarnation_far_ahead_is_refused_and_remembered_nowhere(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    uint64_t year = (366ull * 86400) << 24, before = incarnation_of(w, 0);
    for (int i = 0; i < 2; i++) {
        struct msg m = hello_of(w, ROLE_NODE);
        m.hello.node = id_of(w, 0);
        m.hello.incarnation = i ? before + year + (10ull << 24) : UINT64_MAX;
        uint64_t conn = raw_hello(w, 1, &m);
        assert_int_equal(answer_of(w, m.id)->error, GT_ECLOCK);
        assert_true(w->conns[conn].closed_by_to);
    }
    /* The same lie in an answer: host 1 is not believed to be of that life. */
    struct msg lie = {.hello.incarnation = UINT64_MAX};
    reply_forge(w, &lie);
    host_restart(w, 1);
    pass(w, 3000000);
    assert_true(incarnation_of(w, 0) == before);
    cut(w, 1, 2); /* so that they need each other */
    for (int i = 0; i < 2; i++)
        assert_int_equal(put(w, i, "k", "v")->error, 0);
    pass(w, 600000);
    mend(w);
    /* Within a year it is believed, and the node draws above it. */
    host_kill(w, 0);
    struct msg m = hello_of(w, ROLE_NODE);
    m.hello.node = id_of(w, 0);
    m.hello.incarnation = before + year - (10ull << 24);
    m.hello.previous_incarnation = before;
    raw_hello(w, 1, &m);
    assert_int_equal(answer_of(w, m.id)->error, 0);
    host_restart(w, 0);
    pass(w, 3000000);
    assert_true(incarnation_of(w, 0) > before + year - (10ull << 24));
    assert_int_equal(put(w, 0, "k", "v2")->error, 0);
    assert_value(get(w, 1, "k"), "v2");
    pass(w, 600000);
    world_free(w);
}

static void test_a_claim_far_ahead_moves_no_incarnation_and_hello_is_said_again(void **state)
{
    (void)state;
    struct world *w = cluster(2, 2, 1, 2);
    uint64_t before = incarnation_of(w, 0);
    for (int i = 0; i < 5; i++) {
        struct msg m = {.hello.error = GT_EINCARNATION, .hello.seen_incarnation = UINT64_MAX - 1};
        reply_forge(w, &m);
    }
    assert_true(incarnation_of(w, 0) == before);
    pass(w, 1100000); /* the second hello waited its second */
    assert_int_equal(put(w, 0, "k", "v")->error, 0);
    world_free(w);
}

/* Somebody refuses whatever this node draws, a hundred times a second. */
static uint32_t renewals_under_fire(struct world *w, uint64_t us)
{
    uint32_t renewals = 0;
    for (uint64_t end = w->now_us + us; w->now_us < end; w->now_us += 10000) {
        uint64_t before = incarnation_of(w, 0);
        struct msg m = {.hello.error = GT_EINCARNATION,
                        .hello.seen_incarnation = before + (1ull << 24)};
        reply_forge(w, &m);
        renewals += incarnation_of(w, 0) != before;
    }
    return renewals;
}

static void test_renewals_are_paced_and_forgive_after_a_calm_while(void **state)
{
    (void)state;
    struct world *w = cluster(2, 2, 1, 2);
    pass(w, 130000); /* off the beat of heartbeats */
    assert_int_equal(renewals_under_fire(w, 900000), 1);
    assert_true(node_deadline_us(w->hosts[0].n) <= w->now_us + 100000);
    assert_int_equal(renewals_under_fire(w, 9000000), 3);   /* after 1, 3 and 7 s */
    assert_int_equal(renewals_under_fire(w, 300000000), 7); /* 15, 31, 63, then every 60 s */
    pass(w, 200000000); /* the last claim, its pause, and a minute of peace */
    assert_int_equal(renewals_under_fire(w, 900000), 1);
    assert_int_equal(renewals_under_fire(w, 200000), 1);
    pass(w, 3000000);
    assert_int_equal(put(w, 0, "k", "v")->error, 0);
    world_free(w);
}

/* A link of a node that is none of the world's; its puts are checked. */
static void test_a_put_of_another_life_is_not_taken(void **state)
{
    (void)state;
    struct world *w = host_and_outsider();
    struct msg m = hello_of(w, ROLE_NODE);
    m.hello.node = OUTSIDER;
    m.hello.incarnation = 100;
    uint64_t conn = raw_hello(w, 0, &m);
    for (int live = 0; live < 2; live++) {
        const char *key = live ? "live" : "dead";
        struct sibling s = {.dot = {{OUTSIDER, live ? 100 : 50}, 1 + (uint64_t)live},
                            .stamp = 1,
                            .value = slice_text("v")};
        struct state st;
        state_init(&st);
        assert_int_equal(state_add(&st, &s), 0);
        uint32_t p = ring_partition(w->ring, slice_text(key));
        struct blob *record;
        assert_int_equal(record_encode_blob(&st, p, slice_text(key), &record), 0);
        uint8_t dots[DOT_BYTES];
        dots_put(dots, s.dot);
        struct msg put_state = {.type = MSG_STATE, .id = ++w->next_id};
        put_state.state.partition = p;
        put_state.state.key = slice_text(key);
        put_state.state.record = slice_blob(record);
        put_state.state.dots = slice_of(dots, sizeof(dots));
        send_to(w, conn, &put_state);
        run(w);
        assert_int_equal(answer_of(w, put_state.id)->error, live ? 0 : GT_EINCARNATION);
        if (live)
            assert_value(get(w, 0, key), "v");
        else
            assert_int_equal(get(w, 0, key)->error, GT_ENOTFOUND);
        blob_unref(record);
        state_close(&st);
    }
    world_free(w);
}

/* ---- guests ---------------------------------------------------------------------------------- */

static struct msg sloppy_of(struct world *w, const char *key, const char *value)
{
    struct msg m = put_of(w, key, value);
    m.put.head.flags |= REQUEST_PLAIN;
    m.put.head.mode = MODE_SLOPPY;
    return m;
}

/* The host that stands in first. */
static int guest(struct world *w, const char *key, uint32_t k)
{
    uint16_t guests[HOSTS];
    uint32_t count = ring_guests(w->ring, ring_partition(w->ring, slice_text(key)), guests, HOSTS);
    assert_true(k < count);
    return guests[k];
}

static uint32_t kept_for(struct world *w, int keeper, uint64_t target)
{
    return engine_parcels_for(w->hosts[keeper].e, target);
}

static void test_a_guest_counts_for_an_owner_and_brings_it_what_it_kept(void **state)
{
    (void)state;
    struct world *w = cluster(5, 3, 1, 3);
    int first = owner(w, "ada", 0), away = owner(w, "ada", 2);
    uint64_t target = id_of(w, away);
    host_kill(w, away);
    const struct answer *strict = put(w, first, "ada", "one");
    assert_int_equal(strict->error, GT_EQUORUM);
    assert_int_equal(strict->outcome, OUTCOME_NOT_APPLIED);
    const struct answer *a = call(w, first, sloppy_of(w, "ada", "two"));
    assert_int_equal(a->error, 0);
    assert_int_equal(a->owners, 2);
    assert_int_equal(a->guests, 1);
    assert_int_equal(kept_for(w, guest(w, "ada", 0), target), 1);
    assert_int_equal(kept_for(w, guest(w, "ada", 1), target), 0);
    pass(w, 5000000);
    assert_int_equal(kept_for(w, guest(w, "ada", 0), target), 1); /* it is still away */
    w->mute = true;                                               /* no pull helps */
    host_restart(w, away);
    pass(w, 5000000);
    assert_int_equal(kept_for(w, guest(w, "ada", 0), target), 0);
    assert_int_equal(node_metrics(w->hosts[guest(w, "ada", 0)].n)->parcels_delivered_count, 1);
    host_kill(w, first);
    assert_value(get_one(w, away, "ada"), "two");
    world_free(w);
}

static void test_an_owner_coordinates_and_too_few_guests_refuse(void **state)
{
    (void)state;
    struct world *w = cluster(5, 3, 1, 3);
    host_kill(w, guest(w, "ada", 0));
    host_kill(w, guest(w, "ada", 1));
    host_kill(w, owner(w, "ada", 2));
    const struct answer *a = call(w, owner(w, "ada", 0), sloppy_of(w, "ada", "one"));
    assert_int_equal(a->error, GT_EQUORUM);
    assert_int_equal(a->outcome, OUTCOME_NOT_APPLIED);
    assert_non_null(strstr(a->text, "too few guests"));
    world_free(w);
    w = cluster(5, 3, 1, 3);
    for (uint32_t k = 0; k < 3; k++)
        host_kill(w, owner(w, "ada", k));
    a = call(w, guest(w, "ada", 0), sloppy_of(w, "ada", "one"));
    assert_int_equal(a->error, GT_EUNREACHABLE);
    assert_int_equal(a->outcome, OUTCOME_NOT_APPLIED);
    assert_int_equal(call(w, guest(w, "ada", 0), get_of(w, "ada"))->error, GT_EQUORUM);
    world_free(w);
}

/* As many guests as the quorum lacks, and where it lacks none, none. */
static void test_no_more_guests_are_asked_than_w_needs(void **state)
{
    (void)state;
    struct world *w = cluster(5, 3, 2, 2);
    host_kill(w, owner(w, "ada", 1));
    const struct answer *a = call(w, owner(w, "ada", 0), sloppy_of(w, "ada", "one"));
    assert_int_equal(a->owners, 2);
    assert_int_equal(a->guests, 0);
    host_kill(w, owner(w, "ada", 2));
    a = call(w, owner(w, "ada", 0), sloppy_of(w, "ada", "two"));
    assert_int_equal(a->error, 0);
    assert_int_equal(a->owners, 1);
    assert_int_equal(a->guests, 1);
    assert_int_equal(node_metrics(w->hosts[owner(w, "ada", 0)].n)->guests_asked_count, 1);
    world_free(w);
}

static void test_a_guest_is_asked_when_an_owner_or_a_guest_is_silent(void **state)
{
    (void)state;
    struct world *w = cluster(5, 3, 1, 3);
    int first = owner(w, "ada", 0), silent = owner(w, "ada", 1);
    w->cut[silent][first] = true; /* what it says is lost */
    cut(w, first, guest(w, "ada", 0));
    uint64_t id = ask(w, first, sloppy_of(w, "ada", "one"));
    pass(w, 240000);
    assert_null(answer_of(w, id));
    assert_int_equal(node_metrics(w->hosts[first].n)->guests_asked_count, 0);
    pass(w, 20000);
    assert_null(answer_of(w, id));
    assert_int_equal(node_metrics(w->hosts[first].n)->guests_asked_count, 1);
    pass(w, 250000);
    const struct answer *a = answer_of(w, id);
    assert_non_null(a);
    assert_int_equal(a->error, 0);
    assert_int_equal(a->owners, 2);
    assert_int_equal(a->guests, 1);
    assert_int_equal(kept_for(w, guest(w, "ada", 0), id_of(w, silent)), 0);
    assert_int_equal(kept_for(w, guest(w, "ada", 1), id_of(w, silent)), 1);
    pass(w, 5000000);
    assert_int_equal(kept_for(w, guest(w, "ada", 1), id_of(w, silent)), 0);
    world_free(w);
}

/* The place of the silent owner is counted once, and as its own. */
static void test_an_owner_that_answers_after_all_counts_as_itself(void **state)
{
    (void)state;
    struct world *w = cluster(5, 3, 1, 3);
    int first = owner(w, "ada", 0), slow = owner(w, "ada", 1);
    int stand_in = guest(w, "ada", 0);
    w->hosts[slow].log_held = true;
    w->hosts[stand_in].log_held = true;
    uint64_t id = ask(w, first, sloppy_of(w, "ada", "one"));
    pass(w, 300000);
    assert_null(answer_of(w, id));
    w->hosts[slow].log_held = false;
    run(w);
    assert_int_equal(answer_of(w, id)->owners, 3);
    assert_int_equal(answer_of(w, id)->guests, 0);
    w->hosts[stand_in].log_held = false;
    run(w);
    world_free(w);
}

static void test_a_guest_keeps_a_large_state_in_pieces(void **state)
{
    (void)state;
    struct world *w = world_new((struct shape){5, 3, 1, 3, 16});
    for (uint32_t i = 0; i < w->count; i++)
        w->hosts[i].piece_bytes_max = 100;
    world_start(w);
    int first = owner(w, "ada", 0), away = owner(w, "ada", 1);
    char value[61];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    for (int i = 0; i < 4; i++) /* siblings: nobody has seen the one before */
        assert_int_equal(put_context(w, first, "ada", value, slice_of(NULL, 0))->error, 0);
    host_kill(w, away);
    struct msg m = sloppy_of(w, "ada", "small");
    m.put.head.flags = 0; /* beside the others */
    const struct answer *a = call(w, first, m);
    assert_int_equal(a->error, 0);
    assert_int_equal(a->guests, 1);
    w->mute = true;
    host_restart(w, away);
    pass(w, 5000000);
    assert_int_equal(kept_for(w, guest(w, "ada", 0), id_of(w, away)), 0);
    struct msg all = get_of(w, "ada");
    all.get.head.flags = REQUEST_ALL;
    all.get.head.quorum = 1;
    assert_int_equal(call(w, away, all)->total, 5);
    world_free(w);
}

/* Host 2 had the tombstone and may have lost it with an earlier life: what that told does not count
 * once the map shows another one, before anybody is linked with it. */
static void test_what_an_earlier_life_told_confirms_nothing(void **state)
{
    (void)state;
    for (int reborn = 0; reborn < 2; reborn++) {
        struct world *w = cluster(3, 3, 2, 2);
        put(w, 0, "k", "v");
        pass(w, 3000000);
        cut(w, 0, 1);
        cut(w, 2, 1);
        assert_int_equal(put(w, 0, "k", NULL)->error, 0);
        pass(w, 6000000);
        assert_int_equal(records_of(w, 0, "k"), 1);
        w->cut[0][1] = w->cut[1][0] = false;
        cut(w, 0, 2);
        struct ring *r = ring_copy(w->ring, w->ring->member_count);
        r->epoch.counter++;
        r->members[2].incarnation += reborn ? 1u << 24 : 0;
        map_give_to(w, 0, r);
        pass(w, 12000000);
        assert_int_equal(records_of(w, 0, "k"), reborn ? 1 : 0);
        ring_unref(r);
        world_free(w);
    }
}

/* A put was acknowledged by one owner and a guest, and the life that minted it is over. While the
 * guest keeps it nobody says of that life that all is here, however often clocks are compared
 * (seed 31662). */
static void test_no_life_is_closed_of_which_a_guest_keeps_something(void **state)
{
    (void)state;
    struct world *w = cluster(3, 2, 1, 2);
    int first = owner(w, "k", 0), away = owner(w, "k", 1), keeper = guest(w, "k", 0);
    struct actor over = actor_of(w, first);
    uint32_t partition = ring_partition(w->ring, slice_text("k"));
    struct engine_partition part;
    host_kill(w, away);
    assert_int_equal(call(w, first, sloppy_of(w, "k", "kept"))->guests, 1);
    for (char name[] = "a"; name[0] <= 'z'; name[0]++) /* of others it can be closed at once */
        if (ring_slot(w->ring, ring_partition(w->ring, slice_text(name)), (uint32_t)away) < 0)
            assert_int_equal(put(w, first, name, "v")->error, 0);
    host_restart(w, first);
    w->cut[keeper][away] = true; /* it hears of the new life, and delivers nothing */
    host_restart(w, away);
    for (int i = 0; i < 30; i++) {
        pass(w, 1000000);
        put(w, first, "k", "more");
        assert_int_equal(kept_for(w, keeper, id_of(w, away)), 1);
        engine_partition(w->hosts[first].e, partition, &part);
        assert_false(clock_closes(part.clock, over));
    }
    assert_true(node_metrics(w->hosts[first].n)->lives_closed_count > 0);
    mend(w);
    pass(w, 20000000);
    assert_int_equal(kept_for(w, keeper, id_of(w, away)), 0);
    engine_partition(w->hosts[first].e, partition, &part);
    assert_true(clock_closes(part.clock, over));
    world_free(w);
}

/* Whom it was for does not own the key any more: those get it who do. */
static void test_a_parcel_for_a_former_owner_goes_to_the_present_ones(void **state)
{
    (void)state;
    struct world *w = cluster(5, 2, 1, 2);
    int first = owner(w, "ada", 0), away = owner(w, "ada", 1), keeper = guest(w, "ada", 0);
    uint64_t target = id_of(w, away);
    host_kill(w, away);
    assert_int_equal(call(w, first, sloppy_of(w, "ada", "one"))->guests, 1);
    assert_int_equal(kept_for(w, keeper, target), 1);
    struct ring *next = ring_copy(w->ring, w->ring->member_count);
    struct arc *arc = &next->arcs[ring_partition(next, slice_text("ada"))];
    int heir = guest(w, "ada", 1);
    next->epoch.counter++;
    arc->owners[0] = (uint16_t)keeper; /* the keeper itself is one of them */
    arc->owners[1] = (uint16_t)heir;
    w->mute = true;
    for (int i = 0; i < (int)w->count; i++)
        if (w->hosts[i].alive)
            map_give_to(w, i, next);
    ring_unref(w->ring);
    w->ring = next;
    host_restart(w, away); /* it is a member still */
    pass(w, 5000000);
    assert_int_equal(kept_for(w, keeper, target), 0);
    assert_value(get_one(w, keeper, "ada"), "one");
    host_kill(w, keeper);
    assert_value(get_one(w, heir, "ada"), "one");
    world_free(w);
}

/* Whom it was for will not come back, and another has its place: that one gets it. */
static void test_a_parcel_for_who_was_replaced_goes_to_who_has_its_place(void **state)
{
    (void)state;
    struct world *w = cluster(5, 2, 1, 2);
    int first = owner(w, "ada", 0), lost = owner(w, "ada", 1), keeper = guest(w, "ada", 0);
    int heir = guest(w, "ada", 1);
    uint64_t target = id_of(w, lost);
    host_kill(w, lost);
    assert_int_equal(call(w, first, sloppy_of(w, "ada", "one"))->guests, 1);
    struct ring *next = ring_copy(w->ring, w->ring->member_count);
    next->epoch.counter++;
    next->members[lost].state = MEMBER_REMOVED;
    next->arcs[ring_partition(next, slice_text("ada"))].owners[1] = (uint16_t)heir;
    w->mute = true;
    for (int i = 0; i < (int)w->count; i++)
        if (w->hosts[i].alive)
            map_give_to(w, i, next);
    ring_unref(w->ring);
    w->ring = next;
    pass(w, 5000000);
    assert_int_equal(kept_for(w, keeper, target), 0);
    host_kill(w, first);
    assert_value(get_one(w, heir, "ada"), "one");
    world_free(w);
}

/* Whoever comes back is not flooded (scylladb #4935): so many at a time, however many there are. */
static void test_parcels_are_delivered_a_few_at_a_time(void **state)
{
    (void)state;
    struct world *w = world_new((struct shape){3, 2, 1, 2, 3});
    world_start(w);
    uint32_t p = ring_partition(w->ring, slice_text("k"));
    int first = owner(w, "k", 0), away = owner(w, "k", 1), keeper = guest(w, "k", 0);
    host_kill(w, away);
    for (int i = 0, kept = 0; kept < 60; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        if (ring_partition(w->ring, slice_text(key)) != p)
            continue;
        assert_int_equal(call(w, first, sloppy_of(w, key, "v"))->guests, 1);
        kept++;
    }
    uint64_t target = id_of(w, away);
    assert_int_equal(kept_for(w, keeper, target), 60);
    w->mute = true;
    w->hosts[away].log_held = true; /* it confirms nothing yet */
    host_restart(w, away);
    pass(w, 400000);
    assert_in_range(node_metrics(w->hosts[away].n)->replica_writes_count, 1, 16);
    pass(w, 4000000); /* given up and tried again, no more at once */
    assert_int_equal(kept_for(w, keeper, target), 60);
    w->hosts[away].log_held = false;
    pass(w, 8000000);
    assert_int_equal(kept_for(w, keeper, target), 0);
    world_free(w);
}

static void test_a_parcel_that_cannot_be_kept_is_refused(void **state)
{
    (void)state;
    struct world *w = host_and_outsider();
    struct msg hello = hello_of(w, ROLE_NODE);
    hello.hello.node = OUTSIDER;
    hello.hello.incarnation = 100;
    uint64_t conn = raw_hello(w, 0, &hello);
    struct sibling s = {.dot = {{OUTSIDER, 100}, 1}, .stamp = 1, .value = slice_text("v")};
    struct state st;
    struct blob *record;
    uint8_t dots[DOT_BYTES];
    uint32_t p = ring_partition(w->ring, slice_text("k"));
    state_init(&st);
    assert_int_equal(state_add(&st, &s), 0);
    assert_int_equal(record_encode_blob(&st, p, slice_text("k"), &record), 0);
    dots_put(dots, s.dot);
    struct msg parcel = {.type = MSG_PARCEL};
    parcel.state.partition = p;
    parcel.state.key = slice_text("k");
    parcel.state.record = slice_blob(record);
    parcel.state.dots = slice_of(dots, sizeof(dots));
    static const struct {
        uint64_t target;
        int error;
    } cases[] = {{OUTSIDER, 0}, {OUTSIDER + 1, GT_ENOTOWNER}, {0, GT_ENOTOWNER}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        parcel.id = ++w->next_id;
        parcel.state.target = cases[i].target;
        send_to(w, conn, &parcel);
        run(w);
        assert_int_equal(answer_of(w, parcel.id)->error, cases[i].error);
    }
    parcel.id = ++w->next_id;
    parcel.state.target = id_of(w, 0); /* it is no guest of its own */
    send_to(w, conn, &parcel);
    run(w);
    assert_int_equal(answer_of(w, parcel.id)->error, GT_ENOTOWNER);
    parcel.id = ++w->next_id;
    parcel.state.target = OUTSIDER;
    parcel.state.partition = (p + 1) % 16;
    send_to(w, conn, &parcel);
    run(w);
    assert_int_equal(answer_of(w, parcel.id)->error, GT_EARG);
    s.dot.actor.incarnation = 50; /* of another life than the one that speaks */
    dots_put(dots, s.dot);
    parcel.id = ++w->next_id;
    parcel.state.partition = p;
    send_to(w, conn, &parcel);
    run(w);
    assert_int_equal(answer_of(w, parcel.id)->error, GT_EINCARNATION);
    assert_int_equal(kept_for(w, 0, OUTSIDER), 1);
    blob_unref(record);
    state_close(&st);
    world_free(w);
}

/* ---- R = 1 (RULES 14) ------------------------------------------------------------------------ */

/* The manager, which is the test, answers every heartbeat that has come. */
static void heartbeats_answer(struct world *w, uint32_t lease_ms)
{
    struct msg m;
    for (uint32_t i = 0; i < w->manager_count; i++) {
        assert_int_equal(msg_decode(w->decoder, slice_blob(w->to_manager[i]), &m), 0);
        if (m.type == MSG_HEARTBEAT) {
            int from = host_of(w, m.heartbeat.node);
            struct msg reply = {.type = MSG_HEARTBEAT_REPLY, .id = m.id};
            reply.heartbeat_reply.lease_ms = lease_ms;
            struct blob *frame = msg_frame(&reply);
            packet_push(w, conn_find(w, from, MANAGER), true, frame);
            blob_unref(frame);
        }
        blob_unref(w->to_manager[i]);
    }
    w->manager_count = 0;
    run(w);
}

static void manager_accepts(struct world *w, int host)
{
    uint32_t conn = conn_find(w, host, MANAGER);
    struct msg hello = {.type = MSG_HELLO_REPLY, .id = 0};
    hello.hello.role = ROLE_MANAGER;
    hello.hello.protocol_min = MSG_PROTOCOL_MIN;
    hello.hello.protocol_max = MSG_PROTOCOL_MAX;
    memcpy(hello.hello.cluster_id, cluster_id, CLUSTER_ID_BYTES);
    struct msg registered = {.type = MSG_REGISTER_REPLY};
    registered.register_reply.label = slice_text(w->ring->members[host].label);
    memcpy(registered.register_reply.cluster_id, cluster_id, CLUSTER_ID_BYTES);
    struct msg *replies[] = {&hello, &registered};
    for (int i = 0; i < 2; i++) {
        struct blob *frame = msg_frame(replies[i]);
        packet_push(w, conn, true, frame);
        blob_unref(frame);
        run(w);
    }
}

static struct world *cluster_with_leases(void)
{
    struct world *w = world_new((struct shape){3, 3, 1, 3, 16});
    w->with_manager = true;
    world_start(w);
    for (int i = 0; i < 3; i++)
        manager_accepts(w, i);
    pass(w, 600000);
    heartbeats_answer(w, 1500);
    return w;
}

static bool degraded(struct world *w, int host, const char *key)
{
    return get(w, host, key)->flags & REPLY_DEGRADED;
}

static void test_an_owner_speaks_for_itself_while_it_has_a_lease(void **state)
{
    (void)state;
    struct world *w = cluster_with_leases();
    int first = owner(w, "ada", 0);
    assert_int_equal(put(w, first, "ada", "one")->error, 0);
    assert_false(degraded(w, first, "ada"));
    pass(w, 1300000);
    assert_false(degraded(w, first, "ada"));
    pass(w, 400000); /* no heartbeat was answered since */
    const struct answer *a = get(w, first, "ada");
    assert_true(a->flags & REPLY_DEGRADED);
    assert_value(a, "one");
    heartbeats_answer(w, 1500);
    assert_false(degraded(w, first, "ada"));
    world_free(w);
}

/* Of one that has been away the first answers are flagged, until it has what the others have. */
static void test_an_owner_that_was_away_speaks_for_itself_when_it_has_pulled(void **state)
{
    (void)state;
    struct world *w = cluster_with_leases();
    int first = owner(w, "ada", 0), away = owner(w, "ada", 1);
    assert_int_equal(put(w, first, "ada", "one")->error, 0);
    host_kill(w, away);
    w->mute = true; /* nobody is compared with */
    host_restart(w, away);
    manager_accepts(w, away);
    pass(w, 600000);
    heartbeats_answer(w, 1500);
    assert_true(degraded(w, away, "ada"));
    w->mute = false;
    pass(w, 4000000);
    heartbeats_answer(w, 1500);
    assert_false(degraded(w, away, "ada"));
    world_free(w);
}

static void test_where_two_owners_answer_nobody_needs_a_lease(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    assert_int_equal(put(w, 0, "ada", "one")->error, 0);
    assert_false(degraded(w, owner(w, "ada", 0), "ada"));
    world_free(w);
    w = cluster(3, 1, 1, 1);
    assert_int_equal(put(w, owner(w, "ada", 0), "ada", "one")->error, 0);
    assert_false(degraded(w, owner(w, "ada", 0), "ada"));
    world_free(w);
}

/* ---- the map --------------------------------------------------------------------------------- */

static const struct ring *ring_at(struct world *w, int host)
{
    return node_ring(w->hosts[host].n);
}

static void test_a_newer_map_is_durable_before_it_is_used_and_spreads(void **state)
{
    (void)state;
    struct world *w = world_new((struct shape){3, 3, 2, 2, 16});
    w->with_manager = true;
    world_start(w);
    struct ring *next = ring_of(w, (struct shape){3, 2, 2, 2, 16}, 2);
    struct msg m = {.type = MSG_MAP, .epoch = next->epoch};
    m.map.ring = next;
    struct blob *frame = msg_frame(&m);
    uint32_t conn = conn_find(w, 0, MANAGER);
    w->hosts[0].log_held = true;
    packet_push(w, conn, true, frame);
    run(w);
    assert_int_equal(ring_at(w, 0)->epoch.counter, 1);
    w->hosts[0].log_held = false;
    run(w);
    assert_int_equal(ring_at(w, 0)->epoch.counter, 2);
    assert_non_null(engine_meta(w->hosts[0].e, "map"));
    /* An older one changes nothing. */
    m.map.ring = w->ring;
    m.epoch = w->ring->epoch;
    blob_unref(frame);
    frame = msg_frame(&m);
    packet_push(w, conn, true, frame);
    run(w);
    assert_int_equal(ring_at(w, 0)->epoch.counter, 2);
    /* The others learn of it by the epoch in a message, and ask whoever sent it. */
    assert_int_equal(ring_at(w, 1)->epoch.counter, 1);
    for (int i = 0; i < 16 && ring_at(w, 1)->epoch.counter == 1; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        put(w, 0, key, "v");
        pass(w, 510000);
    }
    assert_int_equal(ring_at(w, 1)->epoch.counter, 2);
    host_restart(w, 0);
    assert_int_equal(ring_at(w, 0)->epoch.counter, 2);
    blob_unref(frame);
    ring_unref(next);
    world_free(w);
}

static void test_a_map_of_another_cluster_is_ignored(void **state)
{
    (void)state;
    struct world *w = world_new((struct shape){1, 1, 1, 1, 16});
    w->with_manager = true;
    world_start(w);
    struct ring *other = ring_of(w, (struct shape){1, 1, 1, 1, 16}, 9);
    other->cluster_id[0] ^= 1;
    struct msg m = {.type = MSG_MAP, .epoch = other->epoch};
    m.map.ring = other;
    struct blob *frame = msg_frame(&m);
    packet_push(w, conn_find(w, 0, MANAGER), true, frame);
    run(w);
    assert_int_equal(ring_at(w, 0)->epoch.counter, 1);
    blob_unref(frame);
    ring_unref(other);
    world_free(w);
}

static void test_the_map_is_given_to_who_asks_with_another_epoch(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    for (int same = 0; same < 2; same++) {
        struct msg m = {.type = MSG_MAP_GET, .id = ++w->next_id};
        if (same)
            m.epoch = w->ring->epoch;
        const struct answer *a = call(w, 0, m);
        struct msg map;
        assert_int_equal(a->type, MSG_MAP);
        assert_int_equal(msg_decode(w->decoder, slice_blob(a->body), &map), 0);
        if (same) {
            assert_null(map.map.ring);
        } else {
            assert_int_equal(map.map.ring->member_count, 3);
            ring_unref(map.map.ring);
        }
    }
    world_free(w);
}

static void test_status_without_a_manager_is_of_own_links(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    enum verdict want[] = {VERDICT_HEALTHY, VERDICT_AT_RISK, VERDICT_UNAVAILABLE};
    for (int dead = 0; dead < 3; dead++) {
        if (dead > 0)
            host_kill(w, dead);
        struct msg m = {.type = MSG_STATUS, .id = ++w->next_id}, reply;
        const struct answer *a = call(w, 0, m);
        assert_int_equal(msg_decode(w->decoder, slice_blob(a->body), &reply), 0);
        const struct status *st = reply.status_reply.status;
        assert_int_equal(st->verdict, want[dead]);
        assert_false(st->manager_reachable);
        assert_string_equal(st->source, "node1");
        assert_int_equal(st->node_count, 3);
        assert_int_equal(st->nodes[1].member.state, dead ? MEMBER_DOWN : MEMBER_UP);
        assert_int_equal(st->partitions_full + st->partitions_quorum + st->partitions_below, 16);
    }
    world_free(w);
}

static void test_an_owner_is_away_until_it_is_linked_and_has_told_what_it_has(void **state)
{
    (void)state;
    struct world *w = cluster(2, 2, 1, 2);
    pass(w, 3000000); /* they compare */
    assert_false(node_owner_away(w->hosts[0].n, 0));
    host_kill(w, 1);
    assert_true(node_owner_away(w->hosts[0].n, 0));
    host_restart(w, 1);
    pass(w, 3000000);
    assert_false(node_owner_away(w->hosts[0].n, 0));
    world_free(w);
    w = cluster(1, 1, 1, 1); /* nobody else */
    assert_false(node_owner_away(w->hosts[0].n, 0));
    world_free(w);
}

/* ---- joining --------------------------------------------------------------------------------- */

static bool manager_got(struct world *w, enum msg_type type, struct msg *m)
{
    for (uint32_t i = w->manager_count; i-- > 0;)
        if (msg_decode(w->decoder, slice_blob(w->to_manager[i]), m) == 0 && m->type == type)
            return true;
    return false;
}

static void manager_says(struct world *w, struct msg *m)
{
    struct blob *frame = msg_frame(m);
    packet_push(w, w->manager_conn, true, frame);
    blob_unref(frame);
    run(w);
}

static struct world *fresh_node(bool with_manager)
{
    struct world *w = malloc(sizeof(*w));
    world_init(w, 1);
    w->with_manager = with_manager;
    node_boot(w, 0);
    client_connect(w, 0);
    run(w);
    return w;
}

static bool manager_is_reachable(struct world *w)
{
    struct msg m = {.type = MSG_STATUS, .id = ++w->next_id}, reply;
    const struct answer *a = call(w, 0, m);
    assert_int_equal(msg_decode(w->decoder, slice_blob(a->body), &reply), 0);
    return reply.status_reply.status->manager_reachable;
}

static void test_status_says_whether_a_manager_has_accepted_this_node(void **state)
{
    (void)state;
    struct world *w = fresh_node(true);
    assert_false(manager_is_reachable(w)); /* a link stands, and nobody has spoken on it */
    struct msg m = {.type = MSG_HELLO_REPLY, .id = 1};
    m.hello.role = ROLE_MANAGER;
    m.hello.protocol_min = m.hello.protocol_max = 1;
    memcpy(m.hello.cluster_id, cluster_id, CLUSTER_ID_BYTES);
    manager_says(w, &m);
    assert_true(manager_is_reachable(w));
    conn_close(w, w->manager_conn);
    assert_false(manager_is_reachable(w));
    world_free(w);
}

static void test_a_fresh_node_joins_takes_label_and_cluster_and_is_ready(void **state)
{
    (void)state;
    struct world *w = fresh_node(true);
    struct msg m, got;
    assert_true(manager_got(w, MSG_HELLO, &got));
    assert_false(manager_got(w, MSG_REGISTER, &got));
    m = (struct msg){.type = MSG_HELLO_REPLY, .id = 1};
    m.hello.role = ROLE_MANAGER;
    m.hello.protocol_min = m.hello.protocol_max = 1;
    memcpy(m.hello.cluster_id, cluster_id, CLUSTER_ID_BYTES);
    manager_says(w, &m);
    assert_true(manager_got(w, MSG_REGISTER, &got));
    assert_true(got.member.member.id == id_of(w, 0));
    assert_int_equal(w->hosts[0].ready, 0);
    assert_int_equal(put(w, 0, "k", "v")->error, GT_EFORMING);
    w->hosts[0].log_held = true;
    m = (struct msg){.type = MSG_REGISTER_REPLY, .id = 2};
    m.register_reply.label = slice_text("node7");
    memcpy(m.register_reply.cluster_id, cluster_id, CLUSTER_ID_BYTES);
    manager_says(w, &m);
    assert_int_equal(w->hosts[0].ready, 0); /* the label is not durable yet */
    w->hosts[0].log_held = false;
    run(w);
    assert_int_equal(w->hosts[0].ready, 1);
    assert_string_equal(node_label(w->hosts[0].n), "node7");
    assert_memory_equal(engine_identity(w->hosts[0].e)->cluster_id, cluster_id, CLUSTER_ID_BYTES);
    assert_non_null(engine_meta(w->hosts[0].e, "label"));
    /* It said hello again with its cluster, heard nothing yet, and beats. */
    m = (struct msg){.type = MSG_HELLO_REPLY, .id = 3};
    m.hello.role = ROLE_MANAGER;
    memcpy(m.hello.cluster_id, cluster_id, CLUSTER_ID_BYTES);
    pass(w, 510000);
    assert_true(manager_got(w, MSG_HEARTBEAT, &got));
    uint32_t before = w->manager_count;
    m = (struct msg){.type = MSG_HEARTBEAT_REPLY, .id = 4};
    m.heartbeat_reply.error = GT_ENOTFOUND;
    manager_says(w, &m);
    assert_int_equal(w->manager_count, before + 1);
    assert_int_equal(msg_decode(w->decoder, slice_blob(w->to_manager[before]), &got), 0);
    assert_int_equal(got.type, MSG_REGISTER);
    /* While forming it says how far. */
    struct ring *r = ring_new(1, 0);
    r->epoch = (struct epoch){1, 1};
    memcpy(r->cluster_id, cluster_id, CLUSTER_ID_BYTES);
    r->settings = (struct settings){.replicas = 3,
                                    .read_quorum = 2,
                                    .write_quorum = 2,
                                    .partitions = 16,
                                    .form_nodes = 3,
                                    .value_bytes_max = 4096};
    r->members[0] = (struct member){.id = id_of(w, 0),
                                    .capacity = 1,
                                    .state = MEMBER_UP,
                                    .label = "node7",
                                    .address = {"127.0.0.1", 7000}};
    m = (struct msg){.type = MSG_MAP, .epoch = r->epoch};
    m.map.ring = r;
    manager_says(w, &m);
    struct answer a = *put(w, 0, "k", "v");
    assert_int_equal(a.error, GT_EFORMING);
    assert_string_equal(a.text, "forming: 1 of 3 nodes");
    assert_int_equal(w->hosts[0].ready, 1);
    ring_unref(r);
    world_free(w);
}

static void test_a_hello_of_a_stranger_waits_for_a_map_that_names_it(void **state)
{
    (void)state;
    struct world *w = world_new((struct shape){1, 1, 1, 1, 16});
    struct msg got;
    w->with_manager = true;
    world_start(w);
    struct msg m = {.type = MSG_HELLO_REPLY, .hello.role = ROLE_MANAGER};
    memcpy(m.hello.cluster_id, cluster_id, CLUSTER_ID_BYTES);
    manager_says(w, &m);
    /* Invented ones leave no trace but their links. */
    for (uint64_t i = 0; i < 100; i++) {
        struct msg invented = hello_of(w, ROLE_NODE);
        invented.hello.node = 6000 + i;
        invented.hello.incarnation = 100;
        uint64_t conn = raw_hello(w, 0, &invented);
        assert_null(answer_of(w, invented.id));
        assert_false(w->conns[conn].closed_by_to);
    }
    assert_null(engine_meta(w->hosts[0].e, "peers"));
    assert_false(manager_got(w, MSG_MAP_GET, &got));
    /* One that knows a newer map makes this node ask for it, and is answered when it is there. */
    outsider_add(w);
    struct msg hello = hello_of(w, ROLE_NODE), older = hello_of(w, ROLE_NODE);
    hello.epoch = older.epoch = w->ring->epoch;
    hello.hello.node = older.hello.node = OUTSIDER;
    hello.hello.incarnation = 100;
    older.hello.incarnation = 99;
    raw_hello(w, 0, &hello);
    raw_hello(w, 0, &older);
    assert_null(answer_of(w, hello.id));
    assert_true(manager_got(w, MSG_MAP_GET, &got));
    m = (struct msg){.type = MSG_MAP, .epoch = w->ring->epoch};
    m.map.ring = w->ring;
    manager_says(w, &m);
    assert_int_equal(answer_of(w, hello.id)->error, 0);
    assert_int_equal(answer_of(w, older.id)->error, GT_EINCARNATION);
    assert_int_equal(engine_meta(w->hosts[0].e, "peers")->bytes, 16);
    world_free(w);
}

/* The table as an earlier version left it, with thousands that nobody knows: members have their
 * places, and the next time that it is stored it holds them alone. */
static void test_strangers_remembered_by_an_earlier_version_are_forgotten(void **state)
{
    (void)state;
    struct world *w = world_new((struct shape){1, 1, 1, 1, 16});
    outsider_add(w);
    struct buf bytes;
    buf_init(&bytes, 1u << 20);
    for (uint64_t i = 0; i < 4096; i++) {
        buf_u64(&bytes, i == 7 ? OUTSIDER : 6000 + i);
        buf_u64(&bytes, 100);
    }
    struct blob *hold = buf_blob(&bytes);
    struct store_request r = {
        .kind = STORE_META, .hold = hold, .key = slice_text("peers"), .value = slice_blob(hold)};
    engine_submit(w->hosts[0].e, &r, w->now_us);
    struct store_result done;
    for (int turn = 0; turn < 10; turn++)
        for (int lane = 0; lane < ENGINE_LANES; lane++) {
            struct engine_job *job = engine_job(w->hosts[0].e, (enum engine_lane)lane);
            if (job) {
                engine_job_run(job);
                engine_job_done(w->hosts[0].e, job);
            }
        }
    assert_true(engine_result(w->hosts[0].e, &done));
    world_start(w);
    struct msg m = hello_of(w, ROLE_NODE);
    m.hello.node = OUTSIDER;
    m.hello.incarnation = 99;
    raw_hello(w, 0, &m);
    assert_int_equal(answer_of(w, m.id)->error, GT_EINCARNATION);
    m.id = ++w->next_id;
    m.hello.incarnation = 101;
    m.hello.previous_incarnation = 100;
    raw_hello(w, 0, &m);
    assert_int_equal(answer_of(w, m.id)->error, 0);
    assert_int_equal(engine_meta(w->hosts[0].e, "peers")->bytes, 16);
    buf_close(&bytes);
    world_free(w);
}

static void test_a_label_in_use_ends_the_node(void **state)
{
    (void)state;
    struct world *w = fresh_node(true);
    struct msg m = {.type = MSG_REGISTER_REPLY, .id = 2};
    m.register_reply.error = GT_ELABEL;
    m.register_reply.text = slice_text("label node1 is in use by another folder");
    manager_says(w, &m);
    assert_int_equal(w->hosts[0].failed, GT_ELABEL);
    assert_non_null(strstr(w->hosts[0].fail_text, "in use by another folder"));
    world_free(w);
}

static void test_neither_map_nor_manager_ends_at_the_join_timeout(void **state)
{
    (void)state;
    struct world *w = fresh_node(false);
    node_free(w->hosts[0].n);
    w->with_manager = true; /* configured, but it does not answer */
    node_boot(w, 0);
    pass(w, 29900000);
    assert_int_equal(w->hosts[0].failed, 0);
    pass(w, 200000);
    assert_int_equal(w->hosts[0].failed, GT_EUNREACHABLE);
    assert_non_null(strstr(w->hosts[0].fail_text, "127.0.0.1:5000"));
    world_free(w);
}

static void test_a_stored_map_serves_without_a_manager(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(w->hosts[i].ready, 1);
    put(w, 0, "k", "v");
    for (int i = 0; i < 3; i++)
        host_restart(w, i);
    for (int i = 0; i < 3; i++)
        assert_value(get(w, i, "k"), "v");
    world_free(w);
}

/* ---- scans ----------------------------------------------------------------------------------- */

#define SCAN_KEYS 160

/* All live keys of the cluster by chunks of one partition after another; each key once. */
static uint32_t export_all(struct world *w, uint32_t bytes_max, char values[SCAN_KEYS][16])
{
    uint32_t found = 0;
    struct state st;
    state_init(&st);
    for (uint32_t p = 0; p < 16; p++) {
        struct blob *last = NULL;
        struct slice from = {0};
        for (bool more = true; more;) {
            struct msg m = {.type = MSG_SCAN, .id = ++w->next_id}, reply;
            m.scan.partition = p;
            m.scan.from_start = from.bytes == 0;
            m.scan.from_key = from;
            m.scan.from_hash = from.bytes ? hash_bytes(from) : 0;
            m.scan.bytes_max = bytes_max;
            const struct answer *a = call(w, (int)prng_below(&w->prng, w->count), m);
            assert_int_equal(a->error, 0);
            blob_unref(last);
            last = blob_ref(a->body);
            assert_int_equal(msg_decode(w->decoder, slice_blob(last), &reply), 0);
            struct reader r = reader_of(reply.scan_reply.entries);
            uint32_t entries = 0;
            while (reader_left(&r) > 0) {
                struct slice key = read_bytes(&r), record = read_bytes(&r);
                char text[16];
                entries++;
                from = key;
                state_clear(&st);
                assert_int_equal(record_decode(record, p, key, &st), 0);
                const struct sibling *s = state_winner(&st);
                text_copy(text, sizeof(text), key);
                int i = atoi(text + 1);
                assert_string_equal(values[i], "");
                if (s->flags & SIBLING_TOMBSTONE) {
                    snprintf(values[i], 16, "-");
                } else {
                    text_copy(values[i], 16, s->value);
                    found++;
                }
            }
            assert_false(r.failed);
            assert_int_equal(entries, reply.scan_reply.entry_count);
            more = reply.scan_reply.head.flags & REPLY_MORE;
            assert_true(!more || entries > 0);
        }
        blob_unref(last);
    }
    state_close(&st);
    return found;
}

static void test_an_export_equals_the_model_though_replicas_differ(void **state)
{
    (void)state;
    struct world *w = cluster(4, 3, 2, 2);
    char model[SCAN_KEYS][16] = {0};
    for (int step = 0; step < 300; step++) {
        int i = (int)prng_below(&w->prng, SCAN_KEYS), host = (int)prng_below(&w->prng, 4);
        char key[16], value[16];
        snprintf(key, sizeof(key), "k%d", i);
        snprintf(value, sizeof(value), "v%d", step);
        mend(w);
        int c = ring_slot(w->ring, ring_partition(w->ring, slice_text(key)), (uint32_t)host) >= 0
                    ? host
                    : owner(w, key, 0);
        for (uint32_t k = 0, cuts = 0; k < 3 && cuts < 1; k++)
            if (owner(w, key, k) != c && prng_below(&w->prng, 2)) {
                cut(w, c, owner(w, key, k));
                cuts++;
            }
        bool delete = prng_below(&w->prng, 5) == 0;
        struct answer a = *put(w, c, key, delete ? NULL : value);
        assert_int_equal(a.error, 0);
        snprintf(model[i], 16, "%s", delete ? "-" : value);
        w->now_us += 1000;
    }
    pass(w, 600000);
    mend(w);
    uint32_t live = 0;
    for (int i = 0; i < SCAN_KEYS; i++)
        live += model[i][0] && model[i][0] != '-';
    for (uint32_t bytes = 1; bytes <= 1u << 20; bytes *= 32) {
        char seen[SCAN_KEYS][16] = {0};
        assert_int_equal(export_all(w, bytes, seen), live);
        for (int i = 0; i < SCAN_KEYS; i++)
            assert_string_equal(seen[i], model[i]);
    }
    world_free(w);
}

static void test_a_scan_below_quorum_fails_and_of_no_partition_too(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    struct msg m = {.type = MSG_SCAN, .id = ++w->next_id};
    m.scan.from_start = true;
    m.scan.partition = 16;
    assert_int_equal(call(w, 0, m)->error, GT_EARG);
    host_kill(w, 1);
    host_kill(w, 2);
    m.id = ++w->next_id;
    m.scan.partition = 0;
    assert_int_equal(call(w, 0, m)->error, GT_EQUORUM);
    world_free(w);
}

/* What was kept back arrives. */
static void held_arrive(struct world *w)
{
    w->held = 0;
    for (uint32_t i = 0; i < w->kept_count; i++)
        w->packets[w->tail++ % PACKETS_MAX] = w->kept[i];
    w->kept_count = 0;
    run(w);
}

/* What a host has of a partition, as if all owners had told it just now. */
static void reap_now(struct world *w, int host, const char *key)
{
    uint32_t p = ring_partition(w->ring, slice_text(key));
    struct buf list, one;
    buf_init(&list, 1u << 16);
    buf_init(&one, 1u << 16);
    for (int i = 0; i < 3; i++) {
        struct engine_partition part;
        if (i == host)
            continue;
        engine_partition(w->hosts[i].e, p, &part);
        buf_clear(&one);
        clock_encode(part.clock, &one);
        buf_bytes(&list, buf_slice(&one));
    }
    struct store_request r = {.kind = STORE_CONFIRM, .partition = p, .clock = buf_slice(&list)};
    engine_submit(w->hosts[host].e, &r, w->now_us);
    run(w);
    buf_close(&list);
    buf_close(&one);
}

/* Whether the scan of the key's partition shows a value of it, in the answer that is the newest. */
static bool scan_shows(struct world *w, const struct answer *a, const char *key)
{
    struct msg reply;
    struct state st;
    bool shown = false;
    assert_int_equal(a->type, MSG_SCAN_REPLY);
    assert_int_equal(a->error, 0);
    assert_int_equal(msg_decode(w->decoder, slice_blob(a->body), &reply), 0);
    struct reader r = reader_of(reply.scan_reply.entries);
    state_init(&st);
    while (reader_left(&r) > 0) {
        struct slice at = read_bytes(&r), record = read_bytes(&r);
        if (!slice_equal(at, slice_text(key)))
            continue;
        state_clear(&st);
        uint32_t p = ring_partition(w->ring, at);
        assert_int_equal(record_decode(record, p, at, &st), 0);
        const struct sibling *s = state_winner(&st);
        shown = s && !(s->flags & SIBLING_TOMBSTONE);
    }
    state_close(&st);
    return shown;
}

static struct msg scan_of(struct world *w, const char *key)
{
    struct msg m = {.type = MSG_SCAN, .id = ++w->next_id};
    m.scan.partition = ring_partition(w->ring, slice_text(key));
    m.scan.from_start = true;
    return m;
}

/* One owner is asked before the delete comes to it, the other when it has reaped the tombstone. */
static void test_a_scan_shows_nothing_that_was_reaped_while_it_asked(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    put(w, 0, "k", "v");
    put(w, 0, "l", "v");
    pass(w, 3000000);
    assert_true(scan_shows(w, call(w, 0, scan_of(w, "k")), "k"));
    w->held = MSG_RANGE;
    struct msg m = scan_of(w, "k");
    send_to(w, w->hosts[0].client, &m);
    run(w);
    assert_true(w->kept_count > 0);
    assert_int_equal(put(w, 2, "k", NULL)->error, 0);
    reap_now(w, 1, "k");
    reap_now(w, 2, "k");
    assert_int_equal(records_of(w, 0, "k"), 1);
    assert_int_equal(records_of(w, 1, "k") + records_of(w, 2, "k"), 0);
    held_arrive(w);
    assert_false(scan_shows(w, answer_of(w, m.id), "k"));
    assert_true(scan_shows(w, call(w, 0, scan_of(w, "l")), "l"));
    world_free(w);
}

/* Where the others have the value still it counts, however often they are asked: one has lost it,
 * and its clock says nothing of that. */
static void test_a_scan_shows_what_one_owner_has_lost(void **state)
{
    (void)state;
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct world *w = cluster(3, 3, 2, 2);
    struct slice key = slice_text("k");
    uint32_t p = ring_partition(w->ring, key);
    put(w, 0, "k", "v");
    pass(w, 3000000);
    for (int i = 1; i < 3; i++) {
        host_kill(w, i);
        host_restart(w, i); /* what was replayed goes into the index */
    }
    pass(w, 600000);
    for (int i = 1; i < 3; i++)
        assert_true(
            memindex_lose_key(w->hosts[i].index, index_data_key(at, p, hash_bytes(key), key)));
    assert_true(scan_shows(w, call(w, 0, scan_of(w, "k")), "k"));
    world_free(w);
}

/* ---- faces ----------------------------------------------------------------------------------- */

/* Decodes an answer anew; what it says borrows from it until the next message. */
static struct msg said(struct world *w, const struct answer *a)
{
    struct msg m;
    assert_int_equal(msg_decode(w->decoder, slice_blob(a->body), &m), 0);
    return m;
}

static struct msg verify_of(struct world *w, uint32_t partition, uint32_t flags)
{
    struct msg m = {.type = MSG_VERIFY, .id = ++w->next_id};
    m.scan.head.flags = flags;
    m.scan.partition = partition;
    m.scan.from_start = true;
    return m;
}

/* The answer of one run that does not have to wait for its turn. */
static struct msg read_again(struct world *w, int host, uint32_t partition, uint32_t flags)
{
    pass(w, 10000);
    return said(w, call(w, host, verify_of(w, partition, flags)));
}

static void test_owners_that_agree_say_the_same_when_they_read_again(void **state)
{
    (void)state;
    struct world *w = cluster(3, 3, 2, 2);
    for (int i = 0; i < 40; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key%d", i);
        assert_int_equal(put(w, owner(w, key, 0), key, "value")->error, 0);
    }
    pass(w, 5000000);
    uint64_t records = 0;
    for (uint32_t p = 0; p < 16; p++) {
        uint64_t sum = 0;
        for (int host = 0; host < 3; host++) {
            struct msg m = read_again(w, host, p, 0);
            assert_int_equal(m.type, MSG_VERIFY_REPLY);
            assert_int_equal(m.verify_reply.head.error, 0);
            assert_int_equal(m.verify_reply.bad, 0);
            assert_int_equal(m.verify_reply.keys.bytes, 0);
            assert_true(host == 0 || m.verify_reply.digest_sum == sum);
            sum = m.verify_reply.digest_sum;
            records += m.verify_reply.records;
            m = read_again(w, host, p, REQUEST_KEYS_ONLY);
            uint64_t listed = 0;
            struct reader keys = reader_of(m.verify_reply.keys);
            while (reader_left(&keys) > 0) {
                assert_int_equal(ring_partition(w->ring, read_bytes(&keys)), p);
                listed += read_u64(&keys);
            }
            assert_true(listed == sum);
        }
    }
    assert_int_equal(records, 3 * 40);
    assert_int_equal(read_again(w, 0, 16, 0).verify_reply.head.error, GT_ENOTOWNER);
    world_free(w);
}

static void test_reading_again_is_paced(void **state)
{
    (void)state;
    struct world *w = cluster(1, 1, 1, 1);
    enum { RUNS = 100 };
    uint64_t first = w->next_id + 1, at_once = 0;
    for (int i = 0; i < RUNS; i++) {
        struct msg m = verify_of(w, (uint32_t)i % 16, 0);
        send_to(w, w->hosts[0].client, &m);
        if (i % 10 == 0) /* what was read so far is reckoned with */
            run(w);
    }
    for (uint64_t id = first; id < first + RUNS; id++)
        at_once += answer_of(w, id) != NULL;
    assert_true(at_once < RUNS);
    pass(w, 1000000);
    for (uint64_t id = first; id < first + RUNS; id++)
        assert_int_equal(said(w, answer_of(w, id)).verify_reply.head.error, 0);
    world_free(w);
}

static uint32_t events_of(struct world *w, int host, const char *kind, char text[100])
{
    struct msg ask = {.type = MSG_EVENTS, .id = ++w->next_id};
    struct msg m = said(w, call(w, host, ask));
    uint32_t count = 0;
    assert_int_equal(m.type, MSG_EVENTS_REPLY);
    for (uint32_t i = 0; i < m.events_reply.event_count; i++) {
        if (!slice_equal(m.events_reply.events[i].kind, slice_text(kind)))
            continue;
        count++;
        text_copy(text, 100, m.events_reply.events[i].text);
    }
    return count;
}

static void test_links_and_what_was_caught_up_on_are_events(void **state)
{
    (void)state;
    char text[100];
    struct world *w = world_new((struct shape){3, 3, 2, 2, 16});
    w->hosts[0].events = calloc(1, sizeof(struct events));
    w->hosts[2].events = calloc(1, sizeof(struct events));
    world_start(w);
    assert_int_equal(events_of(w, 1, "started", text), 0); /* it keeps none */
    assert_int_equal(events_of(w, 0, "started", text), 1);
    assert_int_equal(events_of(w, 0, "link_up", text), 2);
    assert_int_equal(events_of(w, 0, "link_lost", text), 0);
    pass(w, 3000000);
    host_kill(w, 2);
    assert_int_equal(events_of(w, 0, "link_lost", text), 1);
    assert_string_equal(text, "node3");
    for (int i = 0; i < 30; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key%d", i);
        assert_int_equal(put(w, 0, key, "value")->error, 0);
    }
    host_restart(w, 2);
    pass(w, 5000000);
    assert_int_equal(events_of(w, 0, "link_up", text), 3);
    assert_int_equal(events_of(w, 2, "pull_begun", text), 1);
    assert_int_equal(events_of(w, 2, "pull_ended", text), 1);
    assert_memory_equal(text, "30 states, ", 11);
    free(w->hosts[0].events);
    free(w->hosts[2].events);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owners_that_agree_say_the_same_when_they_read_again),
        cmocka_unit_test(test_reading_again_is_paced),
        cmocka_unit_test(test_links_and_what_was_caught_up_on_are_events),
        cmocka_unit_test(test_put_get_overwrite_delete_at_every_owner),
        cmocka_unit_test(test_a_stranger_passes_on_once_and_a_passed_on_request_is_not_passed_on),
        cmocka_unit_test(test_a_lost_owner_leaves_a_passed_on_put_in_doubt),
        cmocka_unit_test(test_racing_puts_are_siblings_until_a_context_covers_them),
        cmocka_unit_test(test_a_delete_with_a_context_leaves_the_sibling_nobody_read),
        cmocka_unit_test(test_contexts_that_are_damaged_foreign_or_of_nobody_are_refused),
        cmocka_unit_test(test_one_owner_down_is_served_two_are_refused_before_anything_is_written),
        cmocka_unit_test(test_silent_replicas_leave_a_put_in_doubt_before_its_deadline),
        cmocka_unit_test(test_large_records_are_compared_by_digest),
        cmocka_unit_test(test_a_read_repairs_who_lacks_what_it_shows),
        cmocka_unit_test(test_a_repair_of_a_large_state_goes_in_pieces),
        cmocka_unit_test(test_one_repair_of_a_key_is_under_way_at_a_time),
        cmocka_unit_test(test_a_repair_that_is_not_answered_ends),
        cmocka_unit_test(test_a_session_or_blocking_read_is_answered_when_it_is_settled),
        cmocka_unit_test(test_a_read_settles_what_another_node_wrote),
        cmocka_unit_test(test_a_read_that_cannot_be_settled_says_so),
        cmocka_unit_test(test_a_blocking_read_of_few_owners_settles_among_more),
        cmocka_unit_test(test_repairs_keep_to_their_rate),
        cmocka_unit_test(test_a_put_that_arrives_too_late_is_not_applied),
        cmocka_unit_test(test_a_copy_of_a_put_that_was_refused_is_passed_over),
        cmocka_unit_test(test_a_late_put_is_known_where_stamps_stand_still),
        cmocka_unit_test(test_a_put_that_is_passed_on_keeps_its_time),
        cmocka_unit_test(test_a_plain_put_that_is_outranked_is_stored_again_above),
        cmocka_unit_test(test_a_large_plain_put_is_stored_again_too),
        cmocka_unit_test(test_a_put_with_a_context_is_not_stored_again),
        cmocka_unit_test(test_an_outranked_put_past_its_time_is_not_stored_again),
        cmocka_unit_test(test_what_cannot_be_stored_again_is_in_doubt),
        cmocka_unit_test(test_a_clock_far_off_mints_nothing_and_another_owner_does),
        cmocka_unit_test(test_the_clock_of_another_is_heard_with_the_heartbeats),
        cmocka_unit_test(test_of_two_clocks_apart_the_earlier_mints),
        cmocka_unit_test(test_time_goes_on_for_a_slow_clock_that_hears_nobody),
        cmocka_unit_test(test_a_replica_lost_in_the_middle_counts_at_once),
        cmocka_unit_test(test_a_silent_owner_makes_a_get_ask_the_next_one),
        cmocka_unit_test(test_a_read_of_r_finds_what_a_replica_missed),
        cmocka_unit_test(test_an_owner_that_was_away_pulls_what_it_missed),
        cmocka_unit_test(test_what_has_one_owner_leaves_the_dot_logs),
        cmocka_unit_test(test_a_full_disk_does_not_flood_the_log),
        cmocka_unit_test(test_a_returning_owner_is_not_flooded),
        cmocka_unit_test(test_an_owner_that_catches_up_says_how_long_it_will_take),
        cmocka_unit_test(test_a_tombstone_that_all_owners_have_is_reaped),
        cmocka_unit_test(test_no_tombstone_goes_while_an_owner_lacks_it),
        cmocka_unit_test(test_an_only_owner_reaps_by_itself),
        cmocka_unit_test(test_what_an_earlier_life_told_confirms_nothing),
        cmocka_unit_test(test_lives_that_are_over_leave_the_clocks),
        cmocka_unit_test(test_lives_leave_the_clock_of_the_one_owner),
        cmocka_unit_test(test_a_member_that_is_away_delays_closing),
        cmocka_unit_test(test_who_is_marked_to_refill_is_waited_for_no_more),
        cmocka_unit_test(test_a_node_that_runs_and_is_marked_draws_a_life_and_fills),
        cmocka_unit_test(test_every_owner_has_the_dots_of_a_put_in_its_clock),
        cmocka_unit_test(test_a_least_context_asks_all_and_is_refused_when_nobody_is_that_new),
        cmocka_unit_test(test_a_session_is_not_shown_an_attempt_that_it_saw_superseded),
        cmocka_unit_test(test_an_answer_knows_what_its_session_has_seen_before),
        cmocka_unit_test(test_a_retry_is_the_same_write),
        cmocka_unit_test(test_a_known_write_of_an_earlier_life_can_be_finished),
        cmocka_unit_test(test_a_superseded_write_that_is_tried_again_does_not_come_back),
        cmocka_unit_test(test_a_state_tells_the_operations_of_what_it_replaces),
        cmocka_unit_test(test_a_coordinator_that_missed_the_write_asks_before_it_mints),
        cmocka_unit_test(test_a_pull_brings_the_operations_of_what_was_missed),
        cmocka_unit_test(test_a_retry_is_not_applied_when_too_few_owners_can_tell),
        cmocka_unit_test(test_an_unknown_operation_is_minted_while_it_is_young),
        cmocka_unit_test(test_a_retry_is_refused_that_is_older_than_the_tables_reach),
        cmocka_unit_test(test_a_twin_that_returns_is_superseded_too),
        cmocka_unit_test(test_twins_have_one_stamp_whatever_the_clocks_show),
        cmocka_unit_test(test_a_retry_by_a_clock_far_ahead_is_not_minted),
        cmocka_unit_test(test_what_a_retry_finishes_may_have_a_twin),
        cmocka_unit_test(test_superseded_by_what_is_outranked_is_not_done),
        cmocka_unit_test(test_an_owner_that_was_asked_does_not_count_for_an_earlier_attempt),
        cmocka_unit_test(
            test_a_slow_disk_ends_in_doubt_at_the_deadline_and_the_write_spreads_later),
        cmocka_unit_test(test_a_full_table_answers_busy),
        cmocka_unit_test(test_limits_are_refused_before_anything_happens),
        cmocka_unit_test(test_a_put_refused_by_the_engine_is_not_applied),
        cmocka_unit_test(test_a_large_state_travels_in_pieces),
        cmocka_unit_test(test_a_newer_put_wins_after_all_wall_clocks_went_back),
        cmocka_unit_test(test_a_stamp_of_the_far_future_moves_no_clock),
        cmocka_unit_test(test_another_cluster_and_another_protocol_are_refused),
        cmocka_unit_test(test_a_request_before_its_hello_closes_the_link),
        cmocka_unit_test(test_who_lost_its_data_has_no_vote_until_it_has_pulled_it),
        cmocka_unit_test(test_the_reply_to_an_earlier_pull_takes_nothing_away),
        cmocka_unit_test(test_one_copy_alone_votes_at_once),
        cmocka_unit_test(test_a_loss_is_accepted_where_a_person_says_so),
        cmocka_unit_test(test_a_copy_of_a_folder_ends_and_the_original_does_not),
        cmocka_unit_test(test_who_was_rolled_back_is_told_and_fills),
        cmocka_unit_test(test_a_lower_incarnation_is_refused_also_after_a_restart),
        cmocka_unit_test(test_a_hello_is_answered_only_when_its_incarnation_is_durable),
        cmocka_unit_test(test_a_hello_whose_answer_was_lost_is_said_again),
        cmocka_unit_test(test_a_node_that_is_behind_its_own_past_draws_above_it_and_serves),
        cmocka_unit_test(test_a_refused_incarnation_is_renewed_and_said_again),
        cmocka_unit_test(test_an_incarnation_far_ahead_is_refused_and_remembered_nowhere),
        cmocka_unit_test(test_a_claim_far_ahead_moves_no_incarnation_and_hello_is_said_again),
        cmocka_unit_test(test_renewals_are_paced_and_forgive_after_a_calm_while),
        cmocka_unit_test(test_a_put_of_another_life_is_not_taken),
        cmocka_unit_test(test_a_guest_counts_for_an_owner_and_brings_it_what_it_kept),
        cmocka_unit_test(test_an_owner_coordinates_and_too_few_guests_refuse),
        cmocka_unit_test(test_no_more_guests_are_asked_than_w_needs),
        cmocka_unit_test(test_a_guest_is_asked_when_an_owner_or_a_guest_is_silent),
        cmocka_unit_test(test_an_owner_that_answers_after_all_counts_as_itself),
        cmocka_unit_test(test_a_guest_keeps_a_large_state_in_pieces),
        cmocka_unit_test(test_a_parcel_for_a_former_owner_goes_to_the_present_ones),
        cmocka_unit_test(test_no_life_is_closed_of_which_a_guest_keeps_something),
        cmocka_unit_test(test_a_parcel_for_who_was_replaced_goes_to_who_has_its_place),
        cmocka_unit_test(test_parcels_are_delivered_a_few_at_a_time),
        cmocka_unit_test(test_a_parcel_that_cannot_be_kept_is_refused),
        cmocka_unit_test(test_an_owner_speaks_for_itself_while_it_has_a_lease),
        cmocka_unit_test(test_an_owner_that_was_away_speaks_for_itself_when_it_has_pulled),
        cmocka_unit_test(test_where_two_owners_answer_nobody_needs_a_lease),
        cmocka_unit_test(test_a_newer_map_is_durable_before_it_is_used_and_spreads),
        cmocka_unit_test(test_a_map_of_another_cluster_is_ignored),
        cmocka_unit_test(test_the_map_is_given_to_who_asks_with_another_epoch),
        cmocka_unit_test(test_status_without_a_manager_is_of_own_links),
        cmocka_unit_test(test_an_owner_is_away_until_it_is_linked_and_has_told_what_it_has),
        cmocka_unit_test(test_status_says_whether_a_manager_has_accepted_this_node),
        cmocka_unit_test(test_a_fresh_node_joins_takes_label_and_cluster_and_is_ready),
        cmocka_unit_test(test_a_hello_of_a_stranger_waits_for_a_map_that_names_it),
        cmocka_unit_test(test_strangers_remembered_by_an_earlier_version_are_forgotten),
        cmocka_unit_test(test_a_label_in_use_ends_the_node),
        cmocka_unit_test(test_neither_map_nor_manager_ends_at_the_join_timeout),
        cmocka_unit_test(test_a_stored_map_serves_without_a_manager),
        cmocka_unit_test(test_an_export_equals_the_model_though_replicas_differ),
        cmocka_unit_test(test_a_scan_below_quorum_fails_and_of_no_partition_too),
        cmocka_unit_test(test_a_scan_shows_nothing_that_was_reaped_while_it_asked),
        cmocka_unit_test(test_a_scan_shows_what_one_owner_has_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
