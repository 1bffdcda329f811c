/* A partition moves from one owner to another, or to one more: the test is the manager. */
#include "node/node_private.h"
#include "tests/lib/nodes.h"

#define KEYS 40

/* A cluster, and one partition of it whose last owner goes and a stranger comes. */
struct move {
    struct world *w;
    uint32_t partition;
    uint16_t old[REPLICAS_MAX], new[REPLICAS_MAX];
    uint32_t old_count, new_count;
    int goes, comes;
    char keys[KEYS][16]; /* of that partition */
};

static void keys_find(struct move *m)
{
    uint32_t found = 0;
    for (uint32_t i = 0; found < KEYS; i++) {
        snprintf(m->keys[found], sizeof(m->keys[0]), "key%u", i);
        found += ring_partition(m->w->ring, slice_text(m->keys[found])) == m->partition;
    }
}

static void move_of(struct move *m, struct world *w, uint32_t old_count, bool goes)
{
    *m = (struct move){.w = w, .partition = 2, .old_count = old_count, .goes = TEST};
    const struct arc *arc = &w->ring->arcs[m->partition];
    memcpy(m->old, arc->owners, sizeof(m->old));
    m->comes = stranger(w, (keys_find(m), m->keys[0]));
    for (uint32_t i = 0; i < old_count - goes; i++)
        m->new[m->new_count++] = m->old[i];
    m->new[m->new_count++] = (uint16_t)m->comes;
    if (goes)
        m->goes = m->old[old_count - 1];
}

static void list_set(uint16_t *list, uint8_t *count, const uint16_t *from, uint32_t from_count)
{
    memcpy(list, from, REPLICAS_MAX * sizeof(*list));
    *count = (uint8_t)from_count;
}

/* The next map; who is not among the hosts does not hear of it. */
static void phase_to(struct move *m, enum arc_phase phase, uint32_t hosts)
{
    struct world *w = m->w;
    struct ring *next = ring_copy(w->ring, w->ring->member_count);
    struct arc *arc = &next->arcs[m->partition];
    bool before = phase == ARC_PREPARE;
    next->epoch.counter++;
    arc->phase = (uint8_t)phase;
    list_set(arc->owners, &arc->owner_count, before ? m->old : m->new,
             before ? m->old_count : m->new_count);
    list_set(arc->beside, &arc->beside_count, before ? m->new : m->old,
             phase == ARC_STABLE ? 0
             : before            ? m->new_count
                                 : m->old_count);
    if (phase == ARC_PREPARE)
        arc->write_since = next->epoch;
    if (phase == ARC_READ_NEW)
        arc->read_since = next->epoch;
    assert_int_equal(ring_check(next), 0);
    for (uint32_t i = 0; i < w->count; i++)
        if (w->hosts[i].alive && (hosts >> i & 1))
            map_give_to(w, (int)i, next);
    ring_unref(w->ring);
    w->ring = next;
}

#define EVERYBODY UINT32_MAX

static void put_all(struct move *m, int host, const char *value)
{
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(put(m->w, host, m->keys[i], value)->error, 0);
}

static bool done(const struct move *m, int host)
{
    const struct watch *w = watch_of(m->w->hosts[host].n, m->partition);
    return w && w->done;
}

static bool holds(const struct move *m, int host)
{
    return engine_holds(m->w->hosts[host].e, m->partition);
}

static uint64_t records(const struct move *m, int host)
{
    struct engine_partition part;
    engine_partition(m->w->hosts[host].e, m->partition, &part);
    return part.records;
}

static void test_a_partition_goes_from_one_owner_to_another(void **state)
{
    (void)state;
    struct move m;
    move_of(&m, cluster(4, 3, 2, 2), 3, true);
    put_all(&m, m.old[0], "before");
    phase_to(&m, ARC_PREPARE, EVERYBODY);
    assert_int_equal(put(m.w, m.old[1], m.keys[0], "meanwhile")->error, 0);
    pass(m.w, 3000000);
    assert_true(done(&m, m.comes));
    assert_int_equal(records(&m, m.comes), KEYS);
    assert_int_equal(get(m.w, m.comes, m.keys[1])->error, 0); /* passed on */
    phase_to(&m, ARC_READ_NEW, EVERYBODY);
    assert_false(done(&m, m.comes));
    assert_value(get(m.w, m.comes, m.keys[0]), "meanwhile");
    assert_int_equal(put(m.w, m.comes, m.keys[1], "by the new one")->error, 0);
    pass(m.w, 1000000);
    assert_true(holds(&m, m.goes));
    phase_to(&m, ARC_CLEANUP, EVERYBODY);
    pass(m.w, 3000000);
    assert_true(done(&m, m.goes));
    assert_false(holds(&m, m.goes));
    phase_to(&m, ARC_STABLE, EVERYBODY);
    host_kill(m.w, m.old[0]);
    for (int i = 0; i < KEYS; i++)
        assert_value(get(m.w, m.comes, m.keys[i]), i == 0   ? "meanwhile"
                                                   : i == 1 ? "by the new one"
                                                            : "before");
    host_restart(m.w, m.goes);
    assert_false(holds(&m, m.goes));
    world_free(m.w);
}

/* Of two and two owners of which one pair is away: the old list has its w, the new one has not. */
static void test_a_write_needs_both_lists(void **state)
{
    (void)state;
    struct move m;
    move_of(&m, cluster(4, 3, 2, 2), 3, true);
    phase_to(&m, ARC_PREPARE, EVERYBODY);
    assert_int_equal(put(m.w, m.old[0], m.keys[0], "all")->error, 0);
    host_kill(m.w, m.comes);
    assert_int_equal(put(m.w, m.old[0], m.keys[0], "without the new one")->error, 0);
    host_kill(m.w, m.old[1]);
    assert_int_equal(put(m.w, m.old[0], m.keys[0], "old alone")->error, GT_EQUORUM);
    assert_value(get(m.w, m.old[0], m.keys[0]), "without the new one");
    world_free(m.w);
}

/* A coordinator that has not heard of the move counts the old list alone: who has, refuses. */
static void test_a_fence_refuses_what_an_older_map_counts(void **state)
{
    (void)state;
    struct move m;
    move_of(&m, cluster(4, 3, 2, 2), 3, true);
    int old_one = m.old[0];
    put_all(&m, old_one, "before");
    cut(m.w, old_one, m.comes); /* nor does it hear of it from that one */
    phase_to(&m, ARC_PREPARE, ~(1u << old_one));
    m.w->held = MSG_MAP_GET; /* it would ask for the map */
    const struct answer *a = put(m.w, old_one, m.keys[0], "by the old map");
    assert_int_equal(a->error, GT_ESTALE);
    assert_int_equal(a->outcome, OUTCOME_IN_DOUBT);
    assert_value(get(m.w, old_one, m.keys[1]), "before");
    phase_to(&m, ARC_READ_NEW, ~(1u << old_one));
    assert_int_equal(get(m.w, old_one, m.keys[1])->error, GT_ESTALE);
    assert_value(get(m.w, m.old[1], m.keys[1]), "before");
    world_free(m.w);
}

/* Whoever comes has been fenced, and covers who leaves, before it says that it is done. */
static void test_it_is_not_done_before_the_fences_stand(void **state)
{
    (void)state;
    struct move m;
    move_of(&m, cluster(4, 3, 2, 2), 3, true);
    put_all(&m, m.old[0], "before");
    m.w->held = MSG_MAP_GET;
    phase_to(&m, ARC_PREPARE, 1u << m.comes);
    pass(m.w, 5000000);
    assert_false(done(&m, m.comes));
    phase_to(&m, ARC_PREPARE, EVERYBODY);
    pass(m.w, 3000000);
    assert_true(done(&m, m.comes));
    world_free(m.w);
}

static void test_who_leaves_may_be_dead(void **state)
{
    (void)state;
    struct move m;
    move_of(&m, cluster(4, 3, 2, 2), 3, true);
    put_all(&m, m.old[0], "before");
    pass(m.w, 3000000);
    host_kill(m.w, m.goes);
    phase_to(&m, ARC_PREPARE, EVERYBODY);
    pass(m.w, 3000000);
    assert_true(done(&m, m.comes));
    assert_int_equal(records(&m, m.comes), KEYS);
    world_free(m.w);
}

/* Killed in the middle, it goes on behind what it has: no more than a run comes twice. */
static void test_a_pull_goes_on_where_it_stood(void **state)
{
    (void)state;
    struct world *w = world_new((struct shape){4, 3, 2, 2, 16});
    struct move m;
    w->pull_bytes = 300;
    world_start(w);
    move_of(&m, w, 3, true);
    put_all(&m, m.old[0], "before");
    pass(w, 6000000); /* everybody has confirmed: a list of what is lacking would be short */
    phase_to(&m, ARC_PREPARE, EVERYBODY);
    uint64_t pulled = 0, run = 0;
    for (int i = 0; i < 2000 && node_metrics(w->hosts[m.comes].n)->pulled_states_count < KEYS / 2;
         i++) {
        uint64_t before = node_metrics(w->hosts[m.comes].n)->pulled_states_count;
        for (int k = 0; k < 4 && w->head != w->tail; k++)
            packet_deliver(w);
        engine_turn(w, m.comes);
        for (uint32_t h = 0; h < w->count; h++)
            engine_turn(w, (int)h);
        if (w->head == w->tail)
            pass(w, 10000);
        pulled = node_metrics(w->hosts[m.comes].n)->pulled_states_count;
        run = pulled - before > run ? pulled - before : run;
    }
    host_restart(w, m.comes);
    pass(w, 5000000);
    assert_true(done(&m, m.comes));
    assert_int_equal(records(&m, m.comes), KEYS);
    uint64_t more = node_metrics(w->hosts[m.comes].n)->pulled_states_count;
    assert_true(pulled >= KEYS / 2 && pulled + more <= KEYS + run);
    assert_int_equal(engine_cursor(w->hosts[m.comes].e, m.partition).bytes, 0);
    world_free(w);
}

static void test_a_cancelled_move_leaves_nothing_behind(void **state)
{
    (void)state;
    struct move m;
    move_of(&m, cluster(4, 3, 2, 2), 3, true);
    put_all(&m, m.old[0], "before");
    phase_to(&m, ARC_PREPARE, EVERYBODY);
    pass(m.w, 1000000);
    assert_true(holds(&m, m.comes));
    /* The lists stay as they are: who came has to go. */
    memcpy(m.new, m.old, sizeof(m.new));
    m.old[m.old_count - 1] = (uint16_t)m.comes;
    phase_to(&m, ARC_CLEANUP, EVERYBODY);
    pass(m.w, 3000000);
    assert_true(done(&m, m.comes));
    assert_false(holds(&m, m.comes));
    assert_int_equal(records(&m, m.goes), KEYS);
    assert_value(get(m.w, m.goes, m.keys[3]), "before");
    world_free(m.w);
}

/* One more owner: of one the only one must be covered, and then both have every write. */
static void test_a_list_grows(void **state)
{
    (void)state;
    struct world *w = world_new((struct shape){2, 1, 1, 1, 16});
    struct move m;
    w->ring->settings.replicas = 2;
    w->ring->settings.read_quorum = w->ring->settings.write_quorum = 2;
    world_start(w);
    move_of(&m, w, 1, false);
    put_all(&m, m.old[0], "before");
    phase_to(&m, ARC_PREPARE, EVERYBODY);
    pass(w, 3000000);
    assert_true(done(&m, m.comes));
    assert_int_equal(put(w, m.old[0], m.keys[0], "both")->owners, 2);
    phase_to(&m, ARC_READ_NEW, EVERYBODY);
    phase_to(&m, ARC_STABLE, EVERYBODY);
    assert_int_equal(get(w, m.comes, m.keys[1])->owners, 2);
    host_kill(w, m.comes);
    assert_int_equal(put(w, m.old[0], m.keys[0], "one alone")->error, GT_EQUORUM);
    world_free(w);
}

/* One owner less: those who stay must have what the other one had. */
static void test_a_list_grows_shorter(void **state)
{
    (void)state;
    struct move m;
    struct world *w = cluster(4, 3, 2, 2);
    move_of(&m, w, 3, true);
    m.new_count--;
    int away = m.old[1];
    put_all(&m, m.old[0], "before");
    host_kill(w, away);
    assert_int_equal(put(w, m.old[0], m.keys[0], "without it")->error, 0);
    phase_to(&m, ARC_PREPARE, EVERYBODY);
    pass(w, 3000000);
    assert_true(done(&m, m.old[0]));
    host_restart(w, away);
    map_give_to(w, away, w->ring);
    pass(w, 3000000);
    assert_true(done(&m, away));
    assert_false(done(&m, m.goes));
    phase_to(&m, ARC_READ_NEW, EVERYBODY);
    phase_to(&m, ARC_CLEANUP, EVERYBODY);
    pass(w, 3000000);
    assert_false(holds(&m, m.goes));
    assert_value(get(w, away, m.keys[0]), "without it");
    world_free(w);
}

/* A write that reached nobody but who leaves is not dropped with it. */
static void test_what_is_with_the_leaver_alone_is_pulled_first(void **state)
{
    (void)state;
    struct move m;
    move_of(&m, cluster(4, 3, 2, 2), 3, true);
    put_all(&m, m.old[0], "before");
    phase_to(&m, ARC_PREPARE, EVERYBODY);
    pass(m.w, 3000000);
    m.w->mute = true;
    for (int i = 0; i < 4; i++)
        if (i != m.goes)
            m.w->cut[m.goes][i] = true;
    ask(m.w, m.goes, put_of(m.w, m.keys[5], "doubt"));
    mend(m.w);
    phase_to(&m, ARC_READ_NEW, EVERYBODY);
    phase_to(&m, ARC_CLEANUP, EVERYBODY);
    pass(m.w, 2000000);
    assert_true(holds(&m, m.goes));
    m.w->mute = false;
    pass(m.w, 8000000);
    assert_false(holds(&m, m.goes));
    assert_non_null(strstr(get_all(m.w, m.comes, m.keys[5])->values, "doubt"));
    world_free(m.w);
}

/* It comes back to whom it left, in one life: no dot is given out twice (F5). */
static void test_what_was_given_up_may_come_back(void **state)
{
    (void)state;
    struct move m;
    move_of(&m, cluster(4, 3, 2, 2), 3, true);
    put_all(&m, m.goes, "minted there");
    for (int round = 0; round < 2; round++) {
        phase_to(&m, ARC_PREPARE, EVERYBODY);
        pass(m.w, 3000000);
        assert_true(done(&m, m.comes));
        phase_to(&m, ARC_READ_NEW, EVERYBODY);
        phase_to(&m, ARC_CLEANUP, EVERYBODY);
        pass(m.w, 3000000);
        assert_false(holds(&m, m.goes));
        phase_to(&m, ARC_STABLE, EVERYBODY);
        struct move back = m;
        memcpy(back.old, m.new, sizeof(back.old));
        memcpy(back.new, m.old, sizeof(back.new));
        back.goes = m.comes;
        back.comes = m.goes;
        m = back;
    }
    struct answer first = *put(m.w, m.goes, m.keys[0], "and there again");
    assert_int_equal(first.error, 0);
    assert_int_equal(get_all(m.w, m.old[0], m.keys[0])->shown, 1);
    assert_value(get(m.w, m.old[0], m.keys[0]), "and there again");
    assert_value(get(m.w, m.old[0], m.keys[1]), "minted there");
    world_free(m.w);
}

/* A node that lost its data fills what comes with a move as well, of which it is no owner yet: in
 * what it owns it votes. */
static void test_what_comes_with_a_move_takes_no_vote_away(void **state)
{
    (void)state;
    struct move m;
    move_of(&m, cluster(4, 3, 2, 2), 3, true);
    phase_to(&m, ARC_PREPARE, EVERYBODY);
    struct node *n = m.w->hosts[m.comes].n;
    watch_of(n, m.partition)->filling = true;
    n->filling = 1;
    assert_int_equal(report_now(n).filling, 0);
    watch_of(n, m.partition)->part = PART_OWNER;
    assert_int_equal(report_now(n).filling, 1);
    world_free(m.w);
}

/* A pull that waits for its turn, or the closing of lives, would write a clock into what is being
 * given up. */
static void test_who_leaves_brings_nothing_here(void **state)
{
    (void)state;
    struct move m;
    move_of(&m, cluster(4, 3, 2, 2), 3, true);
    put_all(&m, m.old[0], "value");
    phase_to(&m, ARC_PREPARE, EVERYBODY);
    pass(m.w, 3000000);
    phase_to(&m, ARC_READ_NEW, EVERYBODY);
    struct node *n = m.w->hosts[m.goes].n;
    n->config.pulls_max = 1;
    n->pulls++; /* no other begins */
    pull_want(n, m.partition);
    watch_of(n, m.partition)->closing = true;
    assert_true(watch_of(n, m.partition)->wanted);
    phase_to(&m, ARC_CLEANUP, EVERYBODY);
    assert_false(watch_of(n, m.partition)->wanted);
    assert_false(watch_of(n, m.partition)->closing);
    assert_int_equal(n->pulls_wanted, 0);
    pull_want(n, m.partition);
    assert_false(watch_of(n, m.partition)->wanted);
    n->pulls--;
    pass(m.w, 3000000);
    struct engine_partition part;
    engine_partition(m.w->hosts[m.goes].e, m.partition, &part);
    assert_false(holds(&m, m.goes));
    assert_int_equal(part.clock->entry_count + part.clock->closed_count, 0);
    world_free(m.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_partition_goes_from_one_owner_to_another),
        cmocka_unit_test(test_a_write_needs_both_lists),
        cmocka_unit_test(test_a_fence_refuses_what_an_older_map_counts),
        cmocka_unit_test(test_it_is_not_done_before_the_fences_stand),
        cmocka_unit_test(test_who_leaves_may_be_dead),
        cmocka_unit_test(test_a_pull_goes_on_where_it_stood),
        cmocka_unit_test(test_a_cancelled_move_leaves_nothing_behind),
        cmocka_unit_test(test_a_list_grows),
        cmocka_unit_test(test_a_list_grows_shorter),
        cmocka_unit_test(test_what_is_with_the_leaver_alone_is_pulled_first),
        cmocka_unit_test(test_what_was_given_up_may_come_back),
        cmocka_unit_test(test_what_comes_with_a_move_takes_no_vote_away),
        cmocka_unit_test(test_who_leaves_brings_nothing_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
