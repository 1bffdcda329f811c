/*
 * The checkers of the simulator, against histories made by hand: some that a sound store may have,
 * and for every rule one that it may not, which that checker alone catches; then against a store of
 * three owners made of the engine's own merge, which nobody may accuse.
 *
 * Write n has the dot (1, 1, n) and, unless told otherwise, the stamp n. Every op lasts from `at`
 * to at + 1 and is done, strict and of session 1 on key 0, until the story changes it.
 */
#include "tests/sim/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/base/prng.h"

#define SETTLED_US 1000

static struct run run;

static int set_up(void **state)
{
    (void)state;
    run_init(&run);
    run.key_count = 1;
    run.session_count = 4;
    run.n = 3;
    run.r = run.w = 2;
    run.settled_us = SETTLED_US;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    run_close(&run);
    return 0;
}

/* ---- verbs ----------------------------------------------------------------------------------- */

/* Numbers of ops, ended by 0. */
#define OPS(...)                                                                                   \
    (const uint64_t[])                                                                             \
    {                                                                                              \
        __VA_ARGS__ __VA_OPT__(, ) 0                                                               \
    }

static struct op *op(uint64_t number)
{
    assert_true(number >= 1 && number <= run.op_count);
    return &run.ops[number - 1];
}

static struct dot dot_of(uint64_t number)
{
    return (struct dot){{1, 1}, number};
}

static struct shown shown_of(uint64_t number)
{
    bool tombstone = op(number)->kind == OP_DELETE;
    return (struct shown){.write = tombstone ? 0 : number,
                          .dot = dot_of(number),
                          .stamp = number,
                          .tombstone = tombstone};
}

static struct op *begin(enum op_kind kind, uint64_t at)
{
    struct op *o = run_op(&run);
    o->session = 1;
    o->kind = kind;
    o->end = OP_DONE;
    o->begin_us = at;
    o->end_us = at + 1;
    o->deadline_us = at + 100;
    o->strict = true;
    return o;
}

static void see(struct history *h, const uint64_t *numbers)
{
    for (; *numbers; numbers++)
        assert_int_equal(history_add(h, dot_of(*numbers)), 0);
}

/* A write without a context; `replaced` is what it turned out to cover. */
static uint64_t plain(enum op_kind kind, uint64_t at, const uint64_t *replaced)
{
    struct op *o = begin(kind, at);
    o->plain = true;
    see(&o->returned, replaced);
    see(&o->returned, OPS(o->number));
    return o->number;
}

/* A write whose context holds the dots of `seen`. */
static uint64_t over(enum op_kind kind, uint64_t at, const uint64_t *seen)
{
    struct op *o = begin(kind, at);
    see(&o->context, seen);
    see(&o->returned, seen);
    see(&o->returned, OPS(o->number));
    return o->number;
}

static uint64_t put(uint64_t at)
{
    return plain(OP_PUT, at, OPS());
}

static void includes(struct op *read, const uint64_t *writes)
{
    for (; *writes; writes++)
        assert_int_equal(history_join(&read->returned, &op(*writes)->returned), 0);
}

/* A read of all siblings, whose context includes `writes` and what is shown. */
static uint64_t read_all(uint64_t at, const uint64_t *shown, const uint64_t *writes)
{
    struct op *o = begin(OP_GET, at);
    o->session = 2;
    o->all = true;
    includes(o, writes);
    includes(o, shown);
    for (; *shown; shown++) {
        struct shown s = shown_of(*shown);
        op_show(o, &s);
        o->shown_total++;
    }
    return o->number;
}

/* A read of the winner alone (0: nothing), of `total` siblings. */
static uint64_t read_winner(uint64_t at, uint64_t shown, uint32_t total, const uint64_t *writes)
{
    struct op *o = begin(OP_GET, at);
    o->session = 2;
    o->shown_total = total;
    includes(o, writes);
    if (shown) {
        struct shown s = shown_of(shown);
        op_show(o, &s);
    }
    return o->number;
}

/* The last read of key 0, by a session of its own. */
static uint64_t final(const uint64_t *shown, const uint64_t *writes)
{
    uint64_t number = read_all(SETTLED_US, shown, writes);
    op(number)->session = 3;
    return number;
}

static struct replica *replica(uint32_t node, const uint64_t *shown)
{
    struct replica *r = run_replica(&run);
    r->node = node;
    r->owner = true;
    r->digest = 7;
    for (; *shown; shown++) {
        struct shown s = shown_of(*shown);
        replica_show(r, &s);
    }
    return r;
}

static void doubt(uint64_t number)
{
    op(number)->end = OP_IN_DOUBT;
    history_clear(&op(number)->returned);
}

/* ---- verdicts -------------------------------------------------------------------------------- */

/* The named checker says something with this text; NULL: nobody says anything. With `alone` the
 * others are silent. */
static void verdict(const char *name, const char *text, bool alone)
{
    bool known = !name;
    for (const struct checker *c = checkers; c->name; c++) {
        struct finding finding = {0};
        bool found = c->check(&run, &finding), meant = name && strcmp(name, c->name) == 0;
        known |= meant;
        if (found)
            assert_string_equal(finding.checker, c->name);
        if (meant && !found)
            fail_msg("%s found nothing", c->name);
        if (meant && !strstr(finding.text, text))
            fail_msg("%s says: %s", c->name, finding.text);
        if (!meant && found && alone)
            fail_msg("%s says: %s", c->name, finding.text);
    }
    assert_true(known);
}

static void sound(void)
{
    verdict(NULL, NULL, true);
}

static void only(const char *name, const char *text)
{
    verdict(name, text, true);
}

/* ---- durability ------------------------------------------------------------------------------ */

static void test_durability_shown_or_superseded_is_kept(void **state)
{
    (void)state;
    uint64_t a = put(10);
    uint64_t b = over(OP_PUT, 20, OPS(a));
    read_winner(25, b, 1, OPS(a, b));
    uint64_t c = over(OP_PUT, 30, OPS(b)); /* has read b, not a */
    doubt(c);
    uint64_t lost = put(40);
    doubt(lost);
    final(OPS(c), OPS(a, b));
    sound();
}

static void test_durability_a_delete_ends_a_chain(void **state)
{
    (void)state;
    uint64_t a = put(10);
    uint64_t d = over(OP_DELETE, 20, OPS(a));
    final(OPS(d), OPS(a));
    sound();
    run.ops[run.op_count - 1].shown_count = 0; /* the tombstone was not among the siblings */
    sound();
    run.reaps = true;
    history_clear(&run.ops[run.op_count - 1].returned);
    sound();
}

/* The context of a read has what its session had been told before, shown or not: who writes with it
 * may supersede that. */
static void test_durability_a_session_supersedes_what_it_was_told(void **state)
{
    (void)state;
    uint64_t a = put(10), told = read_all(12, OPS(a), OPS());
    uint64_t b = over(OP_PUT, 15, OPS());
    uint64_t from = read_all(20, OPS(b), OPS(a));
    op(from)->strict = false; /* it need not have met an owner that has a */
    op(from)->degraded = true;
    uint64_t c = over(OP_PUT, 30, OPS(a, b));
    op(c)->basis = from;
    final(OPS(c), OPS(a, b));
    sound();
    op(told)->session = 5;
    verdict("durability", "is lost", false);
    op(told)->session = 2;
    op(told)->end_us = 22; /* after the other was answered */
    verdict("durability", "is lost", false);
    op(told)->end_us = 13;
    history_clear(&op(c)->context); /* of b alone */
    see(&op(c)->context, OPS(b));
    verdict("durability", "is lost", false);
}

static void test_durability_weak_writes_are_owed_nothing(void **state)
{
    (void)state;
    uint64_t a = put(10), b = put(20);
    op(a)->strict = false;
    final(OPS(b), OPS());
    sound();
}

static void test_durability_what_guests_kept_is_not_lost(void **state)
{
    (void)state;
    uint64_t a = put(10), b = put(20);
    op(a)->strict = false;
    op(a)->guests = 1;
    final(OPS(a, b), OPS());
    sound();
    uint64_t c = put(30);
    op(c)->strict = false;
    op(c)->guests = 1;
    run.ops[run.op_count - 2].begin_us = 2000;
    run.ops[run.op_count - 2].end_us = 2001;
    only("durability", "put 4 of key 0 (session 1, 30..31 us, done) is lost");
    op(c)->weak = true;
    sound();
}

static void test_durability_superseded_by_what_is_lost_itself(void **state)
{
    (void)state;
    uint64_t a = put(10);
    doubt(over(OP_PUT, 20, OPS(a)));
    uint64_t sibling = over(OP_PUT, 30, OPS());
    final(OPS(sibling), OPS(a));
    only("durability", "put 1 of key 0 (session 1, 10..11 us, done) is lost: read 4");
}

static void test_durability_a_circle_excuses_nobody(void **state)
{
    (void)state;
    uint64_t a = put(10), b = put(12);
    op(a)->end_us = 20;
    uint64_t sibling = over(OP_PUT, 30, OPS());
    final(OPS(sibling), OPS(a, b));
    only("durability", "put 1 of key 0 (session 1, 10..20 us, done) is lost");
}

static void test_durability_a_link_that_began_after_the_read_is_none(void **state)
{
    (void)state;
    uint64_t a = put(10);
    doubt(over(OP_PUT, 20, OPS(a)));
    uint64_t sibling = over(OP_PUT, 30, OPS());
    op(read_all(35, OPS(2), OPS(a)))->strict = false; /* this is put 2's dot */
    final(OPS(sibling), OPS(a));
    uint64_t late = over(OP_DELETE, SETTLED_US + 10, OPS(2));
    doubt(late);
    only("durability", "put 1 of key 0");
    op(late)->begin_us = 40;
    sound();
}

/* Quorums see it too: a last read is a read. */
static void test_durability_a_delete_must_be_included(void **state)
{
    (void)state;
    put(10);
    over(OP_DELETE, 20, OPS(1));
    final(OPS(), OPS(1));
    verdict("durability", "delete 2 of key 0 (session 1, 20..21 us, done) is lost", false);
    run.reaps = true;
    sound();
}

static void test_durability_reaping_excuses_only_what_was_deleted(void **state)
{
    (void)state;
    plain(OP_DELETE, 10, OPS());
    put(20);
    put(30);
    run.reaps = true;
    final(OPS(3), OPS());
    verdict("durability", "put 2 of key 0 (session 1, 20..21 us, done) is lost: read 4", false);
}

static void test_durability_hidden_siblings_are_not_lost(void **state)
{
    (void)state;
    uint64_t a = put(10), b = over(OP_PUT, 12, OPS());
    final(OPS(a, b), OPS());
    op(read_winner(SETTLED_US, b, 2, OPS()))->session = 3;
    sound();
}

static void test_reaping_takes_a_delete_to_have_begun(void **state)
{
    (void)state;
    uint64_t a = put(10), read = read_winner(20, a, 1, OPS());
    history_clear(&op(read)->returned);
    plain(OP_DELETE, 30, OPS(a));
    run.reaps = true;
    final(OPS(), OPS());
    only("quorums", "does not include put 1");
    op(3)->begin_us = 20;
    sound();
}

/* ---- causality ------------------------------------------------------------------------------- */

static void test_causality_siblings_and_successors(void **state)
{
    (void)state;
    uint64_t a = put(10), b = over(OP_PUT, 12, OPS());
    read_all(20, OPS(a, b), OPS());
    uint64_t c = over(OP_PUT, 30, OPS(a));
    op(c)->end_us = 50;
    read_all(40, OPS(a, b), OPS()); /* c is on its way */
    read_all(41, OPS(b, c), OPS(a));
    final(OPS(b, c), OPS(a));
    sound();
}

static void test_causality_a_plain_put_may_cover_what_began_before_it_ended(void **state)
{
    (void)state;
    uint64_t p = put(10), a = over(OP_PUT, 15, OPS());
    op(p)->end_us = 20;
    final(OPS(p), OPS(a));
    sound();
    op(p)->end_us = 14; /* over before a began */
    verdict("causality", "put 2 of key 0 (session 1, 15..16 us, done) vanished", false);
    doubt(p); /* or minted much later */
    sound();
}

static void test_causality_vanished_for_a_while(void **state)
{
    (void)state;
    uint64_t a = put(10), b = over(OP_PUT, 12, OPS());
    read_all(20, OPS(b), OPS(a));
    final(OPS(a, b), OPS());
    only("causality", "put 1 of key 0 (session 1, 10..11 us, done) vanished: read 3");
}

static void test_causality_a_successor_must_have_begun(void **state)
{
    (void)state;
    uint64_t a = put(10), b = over(OP_PUT, 12, OPS());
    read_all(20, OPS(b), OPS(a));
    uint64_t c = over(OP_PUT, 30, OPS(a));
    final(OPS(b, c), OPS(a));
    only("causality", "vanished");
    op(c)->begin_us = 20;
    sound();
}

static void test_causality_a_successor_must_have_seen_it(void **state)
{
    (void)state;
    uint64_t a = put(10), b = over(OP_PUT, 12, OPS());
    uint64_t c = over(OP_PUT, 30, OPS(b));
    read_all(40, OPS(c), OPS(a, b));
    final(OPS(a, c), OPS(b));
    only("causality", "put 1 of key 0 (session 1, 10..11 us, done) vanished: read 4");
}

/* A winner's context may lack what u was told, but holds the dot that it showed. */
static void test_causality_a_shown_dot_is_enough_to_have_seen(void **state)
{
    (void)state;
    uint64_t x = put(10);
    uint64_t u = plain(OP_PUT, 20, OPS(x));
    read_winner(30, u, 2, OPS());
    uint64_t v = over(OP_PUT, 40, OPS(u));
    op(3)->returned.exact_count = 0;
    final(OPS(v), OPS(x, u));
    sound();
    doubt(u);
    sound();
}

static void test_causality_superseded_is_back(void **state)
{
    (void)state;
    uint64_t a = put(10);
    uint64_t b = over(OP_PUT, 20, OPS(a));
    read_winner(30, a, 2, OPS(a, b));
    final(OPS(b), OPS(a));
    only("causality", "put 1 is back: read 3 of key 0");
    op(3)->begin_us = 21; /* b ended in that microsecond */
    sound();
}

static void test_causality_what_a_plain_put_replaced_is_back(void **state)
{
    (void)state;
    uint64_t a = put(10);
    doubt(a);
    uint64_t b = plain(OP_PUT, 20, OPS(a));
    read_all(30, OPS(a, b), OPS());
    final(OPS(b), OPS(a));
    only("causality", "put 1 is back: read 3 of key 0");
    op(2)->strict = false;
    sound();
}

static void test_causality_a_tombstone_is_back(void **state)
{
    (void)state;
    uint64_t d = plain(OP_DELETE, 10, OPS());
    uint64_t b = over(OP_PUT, 20, OPS(d));
    read_all(30, OPS(d, b), OPS());
    final(OPS(b), OPS(d));
    only("causality", "a tombstone is back: read 3 of key 0");
}

static void test_causality_a_delete_shows_its_own_tombstone(void **state)
{
    (void)state;
    uint64_t d = over(OP_DELETE, 10, OPS());
    read_all(20, OPS(d), OPS());
    final(OPS(d), OPS());
    sound();
    replica(1, OPS(d));
    sound();
}

/* What was acked and seen stays away under every dot; an attempt in doubt may come late. */
static void test_causality_an_operation_is_superseded_under_all_its_dots(void **state)
{
    (void)state;
    uint64_t a = put(10);
    uint64_t b = over(OP_PUT, 20, OPS(a));
    uint64_t read = read_all(30, OPS(a, b), OPS());
    op(read)->shown[0].dot = dot_of(99);
    final(OPS(b), OPS(a));
    only("causality", "put 1 is back");
    doubt(a);
    sound();
}

/* One that was found superseded is told of that dot; another attempt may have stored it again above
 * what had superseded the dot, and not below. */
static void test_causality_an_operation_may_have_been_stored_again(void **state)
{
    (void)state;
    uint64_t a = put(10);
    uint64_t b = over(OP_PUT, 20, OPS(a));
    op(a)->end_us = 40;
    op(a)->known = true;
    op(b)->stamp = 50;
    uint64_t read = read_all(50, OPS(a), OPS(b));
    op(read)->shown[0].dot = dot_of(99);
    op(read)->shown[0].stamp = 51;
    final(OPS(b), OPS(a));
    sound();
    op(read)->shown[0].stamp = 50;
    only("causality", "put 1 is back");
    op(read)->shown[0].stamp = 51;
    op(a)->known = false;
    only("causality", "put 1 is back");
    op(read)->begin_us = 39; /* the put is under way */
    sound();
}

static void test_causality_a_dot_names_one_write(void **state)
{
    (void)state;
    uint64_t a = put(10), b = over(OP_PUT, 12, OPS());
    uint64_t read = read_all(20, OPS(b), OPS(a));
    final(OPS(a, b), OPS());
    op(read)->strict = false;
    sound();
    op(read)->shown[0].dot = dot_of(a);
    op(read)->shown[0].stamp = a;
    only("causality", "dot (1, 1, 1) names two writes: 2 of key 0 stamp 1, and 1 of key 0 stamp 1");
    op(read)->shown[0] = shown_of(a);
    op(read)->shown[0].stamp = 9;
    only("causality", "1 of key 0 stamp 9, and 1 of key 0 stamp 1");
    op(read)->shown[0] = (struct shown){.dot = dot_of(a), .stamp = a, .tombstone = true};
    only("causality", "0 of key 0 stamp 1, and 1 of key 0 stamp 1");
}

static void test_causality_a_dot_names_one_write_in_replicas(void **state)
{
    (void)state;
    uint64_t a = put(10);
    final(OPS(a), OPS());
    replica(1, OPS(a));
    struct replica *r = replica(2, OPS(a));
    r->siblings[0].stamp = 5;
    only("causality", "names two writes");
}

static void test_causality_dots_count_up_by_partition(void **state)
{
    (void)state;
    run.key_count = 2;
    uint64_t a = put(10), b = put(12);
    final(OPS(a), OPS());
    uint64_t read = final(OPS(b), OPS());
    op(b)->key = op(read)->key = 1;
    op(read)->shown[0].dot = dot_of(a);
    sound(); /* the partitions are not told */
    run.partitions = calloc(2, sizeof(*run.partitions));
    assert_non_null(run.partitions);
    run.partitions[1] = 1;
    sound();
    run.partitions[1] = 0;
    only("causality", "1 of key 0 stamp 1, and 2 of key 1 stamp 2");
}

static void test_causality_a_read_shows_a_write_once(void **state)
{
    (void)state;
    uint64_t a = put(10);
    read_all(20, OPS(a), OPS());
    uint64_t read = final(OPS(a), OPS());
    op(read)->shown[0].dot = dot_of(99); /* minted again */
    sound();
    struct shown s = shown_of(a);
    op_show(op(read), &s);
    only("causality", "shows put 1 twice");
    op(read)->shown[0].dot = dot_of(a);
    only("causality", "shows one dot twice");
}

static void test_causality_what_a_put_superseded_is_back_in_a_replica(void **state)
{
    (void)state;
    uint64_t a = put(10), b = over(OP_PUT, 20, OPS(a));
    final(OPS(b), OPS(a));
    struct replica *r = replica(1, OPS(a));
    only("causality", "put 1 is back: it is live on node 1, and put 2");
    r->owner = false;
    sound();
}

static void test_causality_tombstones_have_one_key(void **state)
{
    (void)state;
    run.key_count = 2;
    uint64_t a = plain(OP_DELETE, 10, OPS()), b = plain(OP_DELETE, 12, OPS());
    final(OPS(a), OPS());
    uint64_t read = final(OPS(b), OPS());
    op(b)->key = op(read)->key = 1;
    op(read)->shown[0] = shown_of(a);
    sound();
    run.partitions = calloc(2, sizeof(*run.partitions));
    assert_non_null(run.partitions);
    only("causality", "0 of key 0 stamp 1, and 0 of key 1 stamp 1");
}

/* ---- realtime -------------------------------------------------------------------------------- */

static void test_realtime_the_later_wins(void **state)
{
    (void)state;
    uint64_t a = put(10), b = put(20);
    final(OPS(a, b), OPS()); /* b's coordinator had not seen a: a sibling, but b wins */
    sound();
    op(3)->shown[0].stamp = 9;
    only("realtime",
         "answers put 1 of key 0 (session 1, 10..11 us, done), although put 2 of key 0");
    op(3)->shown[0].stamp = 2; /* the same stamp: the higher dot wins */
    sound();
    op(3)->shown[0].stamp = 9;
    op(a)->end_us = 20; /* they overlap */
    sound();
    op(a)->end_us = 11;
    op(b)->strict = false;
    sound();
}

static void test_realtime_a_winner_alone_is_judged_too(void **state)
{
    (void)state;
    uint64_t a = put(10), b = put(20);
    read_winner(30, a, 2, OPS(a, b));
    final(OPS(b), OPS(a, b));
    only("realtime", "read 3 of key 0");
    over(OP_PUT, 12, OPS()); /* a context on this key */
    doubt(5);
    sound();
}

static void test_realtime_the_latest_is_that_which_began_last(void **state)
{
    (void)state;
    uint64_t a = put(10), b = put(20), slow = put(5);
    op(slow)->end_us = 25;
    uint64_t read = final(OPS(a, b, slow), OPS());
    sound();
    op(read)->shown[0].stamp = 9;
    only("realtime", "although put 2");
    op(a)->strict = false;
    sound();
}

static void test_realtime_deletes_win_too(void **state)
{
    (void)state;
    uint64_t a = put(10), d = plain(OP_DELETE, 20, OPS());
    uint64_t read = final(OPS(a, d), OPS());
    sound();
    op(read)->shown[0].stamp = 9;
    only("realtime", "although delete 2");
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void test_sessions_read_what_they_wrote(void **state)
{
    (void)state;
    uint64_t a = put(10);
    op(a)->strict = false;
    op(a)->guests = 1;
    uint64_t read = read_all(20, OPS(), OPS());
    op(read)->strict = false;
    final(OPS(a), OPS());
    sound(); /* another session */
    op(read)->session = 1;
    only("sessions_own", "read 2 of key 0 (session 1, 20..21 us, done) does not include put 1");
    op(read)->degraded = true;
    sound();
    op(read)->degraded = false;
    op(read)->begin_us = 11; /* perhaps before the put ended */
    sound();
    op(read)->begin_us = 20;
    op(read)->all = false;
    op(read)->shown_total = 2; /* its own put is hidden behind the winner */
    sound();
    op(read)->shown_total = 1;
    only("sessions_own", "does not include put 1");
}

static void test_sessions_do_not_lose_what_they_read(void **state)
{
    (void)state;
    uint64_t a = put(10), b = put(12);
    doubt(a);
    op(b)->strict = false;
    uint64_t first = read_all(20, OPS(a), OPS()), second = read_all(30, OPS(), OPS());
    final(OPS(), OPS());
    assert_int_equal(history_add(&op(first)->returned, dot_of(a)), 0);
    only("sessions_monotonic",
         "read 4 of key 0 (session 2, 30..31 us, done) does not include read 3");
    op(first)->unsettled = true;
    sound();
    op(first)->unsettled = false;
    op(first)->degraded = true;
    sound();
    op(first)->degraded = false;
    op(first)->end_us = 30;
    sound();
    op(first)->end_us = 21;
    op(second)->degraded = true;
    sound();
    op(second)->degraded = false;
    op(second)->all = false;
    op(second)->shown_total = 2;
    sound();
}

/* A context has all that the session said that it had seen, whatever the state is that was read. */
static void test_sessions_are_held_against_what_is_shown(void **state)
{
    (void)state;
    uint64_t a = put(10), b = over(OP_PUT, 12, OPS(a));
    uint64_t read = read_all(20, OPS(a), OPS(b)), later = read_all(30, OPS(), OPS(a, b));
    op(read)->strict = op(later)->strict = false;
    op(later)->session = 4;
    final(OPS(b), OPS(a));
    sound(); /* another session */
    op(read)->session = 1;
    only("sessions_own", "read 3 of key 0 (session 1, 20..21 us, done) shows what put 2 of key 0");
    op(read)->session = 2;
    op(read)->shown[0] = shown_of(b);
    op(later)->session = 2;
    only("sessions_monotonic", "does not show what read 3 of key 0 (session 2, 20..21 us, done) of "
                               "the same session showed, and no write could have superseded it");
    op(later)->session = 1;
    only("sessions_own", "of the same session wrote, and no write could have superseded it");
    uint64_t late = put(29);
    op(late)->session = 4;
    op(late)->strict = false;
    sound(); /* a plain put may have seen it */
}

static void test_sessions_of_a_key_that_was_reaped(void **state)
{
    (void)state;
    uint64_t d = plain(OP_DELETE, 10, OPS());
    op(read_all(20, OPS(d), OPS()))->session = 1;
    op(read_all(30, OPS(), OPS()))->session = 1;
    final(OPS(), OPS());
    verdict("sessions_own", "does not include delete 1", false);
    verdict("sessions_monotonic", "does not include read 2", false);
    run.reaps = true;
    sound();
}

/* A run without an acknowledged write proves nothing: there is one of key 1, which is read. */
static void other_key_is_written(void)
{
    run.key_count = 2;
    uint64_t other = put(1);
    op(other)->key = op(final(OPS(other), OPS()))->key = 1;
}

/* What a blocking read showed was at w owners; what any showed, where all owners are asked, at one.
 * Put 1 is in doubt, so that nothing but the first read owes it. */
static void test_settled_reads_are_found_again(void **state)
{
    (void)state;
    other_key_is_written();
    uint64_t a = put(10);
    uint64_t first = read_all(20, OPS(a), OPS()), second = read_all(30, OPS(), OPS());
    op(second)->session = 4;
    final(OPS(a), OPS());
    doubt(a);
    sound(); /* two of three owners each */
    op(first)->blocking = true;
    only("settled_reads", "read 5 of key 0 (session 4, 30..31 us, done) does not include read 4 of "
                          "key 0 (session 2, 20..21 us, done), which was settled");
    op(second)->begin_us = 21; /* they may have overlapped */
    sound();
    op(second)->begin_us = 30;
    op(second)->degraded = true;
    sound();
    op(second)->degraded = false;
    op(second)->all = false;
    op(second)->shown_total = 2; /* it may be hidden behind the winner */
    sound();
    op(second)->shown_total = 0;
    op(first)->blocking = false;
    run.r = 3;
    only("settled_reads", "which one of all owners held");
    op(first)->strict = false;
    sound();
}

/* What the session of a read had been told before is in its context whether the state names it or
 * not; what the read showed is the state's. */
static void test_settled_reads_what_the_session_knew_is_not_the_states(void **state)
{
    (void)state;
    other_key_is_written();
    uint64_t x = put(5), a = put(10);
    uint64_t told = read_all(15, OPS(), OPS(x)), first = read_all(20, OPS(a), OPS(x));
    uint64_t second = read_all(30, OPS(a), OPS());
    op(second)->session = 4;
    final(OPS(a), OPS());
    op(first)->blocking = true;
    doubt(x);
    doubt(a);
    sound();
    op(told)->session = 5;
    only("settled_reads", "does not include read 6");
    op(told)->session = 2;
    op(told)->end_us = 22; /* not told when the other was answered */
    only("settled_reads", "does not include read 6");
    op(told)->end_us = 16;
    op(told)->unsettled = true; /* the session does not rely on it */
    assert_int_equal(history_add(&op(told)->returned, dot_of(a)), 0);
    sound();
    history_clear(&op(second)->returned);
    op(second)->shown_count = op(second)->shown_total = 0;
    only("settled_reads", "read 7 of key 0 (session 4, 30..31 us, done) does not include read 6");
}

/* A delete may have taken what a read showed, and been reaped: of one owner only one that was not
 * over before it. */
static void test_settled_reads_of_a_key_that_was_reaped(void **state)
{
    (void)state;
    other_key_is_written();
    uint64_t d = plain(OP_DELETE, 5, OPS()), a = put(10);
    uint64_t first = read_all(20, OPS(a), OPS(d));
    op(read_all(30, OPS(), OPS()))->session = 4;
    final(OPS(), OPS());
    doubt(a);
    run.reaps = true;
    run.r = 3;
    sound();
    run.n = run.w = run.r = 1;
    only("settled_reads", "does not include read 5");
    doubt(d);
    sound(); /* it may have been minted since */
    op(d)->end = OP_DONE;
    includes(op(d), OPS(a));
    op(first)->shown[0] = shown_of(d);
    sound(); /* a tombstone is reaped by itself */
}

/* ---- quorums --------------------------------------------------------------------------------- */

static void test_quorums_a_read_includes_what_was_acked(void **state)
{
    (void)state;
    uint64_t d = plain(OP_DELETE, 10, OPS());
    uint64_t read = read_all(20, OPS(), OPS());
    final(OPS(), OPS(d));
    only("quorums", "read 2 of key 0 (session 2, 20..21 us, done) does not include delete 1");
    op(read)->all = false;
    only("quorums", "does not include delete 1");
    op(read)->shown_total = 2;
    sound();
    op(read)->shown_total = 0;
    op(read)->strict = false;
    sound();
    op(read)->strict = true;
    op(d)->strict = false;
    sound();
    op(d)->strict = true;
    op(read)->begin_us = 11;
    sound();
    op(read)->begin_us = 20;
    run.reaps = true;
    sound();
}

static void test_quorums_all_includes_what_was_acked_beside_what_it_shows(void **state)
{
    (void)state;
    uint64_t a = put(10), b = over(OP_PUT, 12, OPS()), d = over(OP_DELETE, 14, OPS());
    read_all(20, OPS(a, b), OPS());
    final(OPS(a, b, d), OPS());
    only("quorums", "read 4 of key 0 (session 2, 20..21 us, done) does not include delete 3");
}

static void test_quorums_a_hidden_delete_must_have_begun(void **state)
{
    (void)state;
    uint64_t a = put(10);
    read_winner(20, 0, 2, OPS(a));
    uint64_t d = plain(OP_DELETE, 30, OPS(a));
    final(OPS(d), OPS(a));
    only("quorums", "no delete could have taken put 1");
    op(d)->begin_us = 20;
    sound();
}

static void test_quorums_reaping_excuses_no_put_after_the_delete(void **state)
{
    (void)state;
    run.reaps = true;
    plain(OP_DELETE, 10, OPS());
    uint64_t a = put(20);
    uint64_t read = read_all(30, OPS(a), OPS());
    history_clear(&op(read)->returned);
    final(OPS(a), OPS());
    only("quorums", "does not include put 2");
}

/* A delete that was reaped from beside a value that it outranks; and one that did not outrank it.
 */
static void test_causality_a_delete_goes_not_from_beside_what_it_outranks(void **state)
{
    (void)state;
    run.reaps = true;
    uint64_t a = over(OP_PUT, 10, OPS()), d = over(OP_DELETE, 10, OPS());
    read_all(20, OPS(a, d), OPS());
    final(OPS(a), OPS(d));
    only("causality", "delete 2 of key 0 (session 1, 10..11 us, done) is gone from beside what it "
                      "outranks");
    /* One that began later may have found it gone. */
    op(a)->begin_us = 12;
    op(a)->end_us = 13;
    sound();
    op(a)->begin_us = 10;
    op(a)->end_us = 11;
    for (uint64_t i = 0; i < run.op_count; i++)
        for (uint32_t j = 0; j < run.ops[i].shown_count; j++)
            if (!run.ops[i].shown[j].tombstone)
                run.ops[i].shown[j].stamp += 100;
    sound();
}

static void test_quorums_nothing_shown_needs_a_delete(void **state)
{
    (void)state;
    uint64_t a = put(10);
    read_winner(20, 0, 0, OPS(a));
    final(OPS(a), OPS());
    only("quorums", "read 2 of key 0 (session 2, 20..21 us, done) shows nothing, and no delete "
                    "could have taken put 1");
    op(2)->shown_total = 2;
    only("quorums", "shows nothing");
}

static void test_quorums_the_delete_must_lead_back_to_the_put(void **state)
{
    (void)state;
    uint64_t a = put(10), d = over(OP_DELETE, 15, OPS());
    uint64_t read = read_winner(20, 0, 1, OPS(a, d));
    final(OPS(a, d), OPS());
    only("quorums", "no delete could have taken put 1");
    op(read)->shown_total = 2; /* a is there, hidden behind the tombstone */
    sound();
    op(read)->shown_total = 1;
}

static void test_quorums_a_chain_of_writes_in_doubt_may_delete(void **state)
{
    (void)state;
    uint64_t a = put(10), b = over(OP_PUT, 12, OPS(a));
    uint64_t seen = read_all(14, OPS(b), OPS(a)), d = over(OP_DELETE, 17, OPS(b));
    doubt(b);
    doubt(d);
    op(seen)->session = 3;
    read_winner(20, 0, 1, OPS(a));
    final(OPS(d), OPS(a));
    includes(op(6), OPS(3));
    sound();
    uint64_t other = over(OP_DELETE, 11, OPS());
    doubt(other);
    op(d)->begin_us = 25; /* after the read; the other has not seen put 1 */
    only("quorums", "no delete could have taken put 1");
}

/* ---- resurrection ---------------------------------------------------------------------------- */

static void test_resurrection_in_a_read(void **state)
{
    (void)state;
    uint64_t a = put(10), d = over(OP_DELETE, 20, OPS(a));
    uint64_t read = read_winner(30, a, 2, OPS(a, d));
    final(OPS(d), OPS(a));
    only("resurrection", "put 1 is back: read 3 of key 0");
    op(read)->begin_us = 21;
    sound();
    op(read)->begin_us = 30;
    op(read)->strict = false;
    sound();
    op(read)->strict = true;
    doubt(d);
    sound();
}

static void test_resurrection_in_a_replica(void **state)
{
    (void)state;
    uint64_t a = put(10), d = plain(OP_DELETE, 20, OPS(a));
    final(OPS(d), OPS(a));
    struct replica *r = replica(2, OPS(a));
    only("resurrection", "put 1 is back: it is live on node 2, and delete 2");
    r->siblings[0].dot = dot_of(99); /* from another attempt */
    only("resurrection", "put 1 is back: it is live on node 2");
    r->owner = false;
    sound();
}

static void test_resurrection_a_plain_delete_takes_what_it_has_seen(void **state)
{
    (void)state;
    uint64_t a = put(10), d = plain(OP_DELETE, 20, OPS());
    final(OPS(a, d), OPS()); /* its coordinator did not have a */
    replica(1, OPS(a, d));
    sound();
}

/* ---- convergence ----------------------------------------------------------------------------- */

static void test_convergence(void **state)
{
    (void)state;
    uint64_t a = put(10);
    final(OPS(a), OPS());
    replica(1, OPS(a));
    struct replica *r = replica(2, OPS(a));
    sound();
    r->digest = 8;
    only("convergence", "key 0 differs: digest 0000000000000007 on node 1, 0000000000000008 on "
                        "node 2");
    r->owner = false;
    sound();
    r->owner = true;
    r->digest = 7;
    r->unknown = true;
    only("convergence", "key 0 is unknown on node 2");
}

static void test_verify(void **state)
{
    (void)state;
    uint64_t a = put(10);
    final(OPS(a), OPS());
    run.verify_equal = true;
    sound(); /* it was not played */
    run.verified = run.alike = true;
    sound();
    run.alike = false;
    only("verify", "all replicas are called equal, and they are not");
    run.verify_equal = false;
    sound();
    run.alike = true;
    snprintf(run.verify_text, sizeof(run.verify_text), "1 keys differ");
    only("verify", "the replicas are equal, and verify says: 1 keys differ");
}

/* ---- liveness -------------------------------------------------------------------------------- */

static void test_liveness_every_op_is_answered(void **state)
{
    (void)state;
    uint64_t a = put(10);
    final(OPS(a), OPS());
    uint64_t b = put(20);
    doubt(b);
    op(b)->end_us = op(b)->deadline_us + 2000000;
    sound();
    op(b)->end_us++;
    only("liveness", "(session 1, 20..2000121 us, in doubt) was answered too late; its deadline is "
                     "120");
    op(b)->end = OP_OPEN;
    op(b)->end_us = UINT64_MAX;
    only("liveness", "put 3 of key 0 (session 1, 20.. us, open) was never answered");
    op(b)->deadline_us = UINT64_MAX;
    sound();
}

static void test_liveness_guests_deliver_what_they_keep(void **state)
{
    (void)state;
    uint64_t a = put(10);
    final(OPS(a), OPS());
    run.parcels_left = 2;
    only("liveness", "2 parcels are kept when all is quiet");
}

static void test_liveness_every_key_can_be_read(void **state)
{
    (void)state;
    uint64_t a = put(10), read = final(OPS(a), OPS());
    run.key_count = 2;
    only("liveness", "key 1 could not be read from 1000 us on");
    run.key_count = 1;
    op(read)->begin_us = SETTLED_US - 1;
    only("liveness", "key 0 could not be read");
    op(read)->begin_us = SETTLED_US;
    op(read)->degraded = true;
    only("liveness", "key 0 could not be read");
    op(read)->degraded = false;
    sound();
    op(read)->end = OP_FAILED;
    op(read)->shown_count = 0;
    only("liveness", "key 0 could not be read");
}

/* ---- outcomes, valid ------------------------------------------------------------------------- */

static void test_outcomes_values_come_from_puts_of_the_key(void **state)
{
    (void)state;
    run.key_count = 2;
    uint64_t a = put(10), other = put(12);
    op(other)->key = 1;
    uint64_t last = final(OPS(a), OPS());
    op(final(OPS(other), OPS()))->key = 1;
    uint64_t read = read_all(20, OPS(other), OPS(a));
    op(read)->strict = false;
    only("outcomes", "shows the value 2 for key 0, which no put of that key wrote");
    op(read)->shown[0].write = 1000;
    op(read)->shown[0].dot = dot_of(1000);
    only("outcomes", "shows the value 1000 for key 0");
    op(read)->shown[0].write = 0;
    only("outcomes", "shows the value 0 for key 0");
    op(read)->shown[0].write = last;
    only("outcomes", "shows the value 3 for key 0");
    op(read)->shown[0].tombstone = true;
    op(read)->shown[0].write = 0;
    sound();
}

static void test_outcomes_not_applied_is_never_shown(void **state)
{
    (void)state;
    uint64_t a = put(10), b = put(12);
    doubt(b);
    uint64_t read = read_all(20, OPS(a, b), OPS());
    final(OPS(a), OPS());
    sound();
    op(b)->end = OP_NOT_APPLIED;
    only("outcomes",
         "read 3 of key 0 (session 2, 20..21 us, done) shows put 2 of key 0 (session 1, "
         "12..13 us, not applied)");
    op(read)->shown_count = 1;
    sound();
    replica(3, OPS(a, b));
    only("outcomes", "node 3 shows put 2");
}

static void test_outcomes_nothing_is_shown_before_it_was_written(void **state)
{
    (void)state;
    uint64_t a = put(10), b = put(30);
    doubt(b);
    uint64_t read = read_all(20, OPS(a, b), OPS());
    final(OPS(a), OPS());
    only("outcomes", "shows put 2 of key 0 (session 1, 30..31 us, in doubt), which began later");
    op(read)->end_us = 30;
    sound();
}

static void test_valid_one_write_was_acked(void **state)
{
    (void)state;
    final(OPS(), OPS());
    only("valid", "no write of 1 ops was acknowledged");
    uint64_t a = put(10);
    doubt(a);
    only("valid", "no write of 2 ops");
    op(a)->end = OP_DONE;
    op(a)->begin_us = SETTLED_US + 10;
    op(a)->end_us = SETTLED_US + 11;
    op(a)->deadline_us = SETTLED_US + 11;
    sound();
}

/* ---- a sound store, and some that are not ---------------------------------------------------- */

#define OWNERS     3
#define KEYS       5
#define OPS_COUNT  300
#define LATE_COUNT 8

enum flaw {
    FLAW_NONE,
    FLAW_READ_ONE,     /* a strict read asks one owner */
    FLAW_WIDE_CONTEXT, /* a put returns its coordinator's whole history (F12) */
    FLAW_FORGETS,      /* an owner drops a key of which only tombstones are left */
    FLAW_BLIND_PUT,    /* a put replaces whatever its coordinator holds */
};

/* Three owners that put, replicate and read by the engine's rules. Each op takes place at one
 * moment, somewhere between its begin and its end, so that ops overlap. */
struct store {
    struct prng prng;
    enum flaw flaw;
    struct state owners[OWNERS][KEYS];
    struct late { /* a state on its way to an owner */
        struct state state;
        uint32_t owner, key;
        bool used;
    } late[LATE_COUNT];
    uint64_t seqs[OWNERS], now_us;
};

static bool chance(struct store *s, uint32_t percent)
{
    return prng_below(&s->prng, 100) < percent;
}

static void owner_merge(struct store *s, uint32_t owner, uint32_t key, const struct state *incoming)
{
    struct state *local = &s->owners[owner][key], merged = {0};
    assert_int_equal(version_merge(local, NULL, incoming, NULL, &merged), 0);
    state_close(local);
    *local = merged;
    bool live = s->flaw != FLAW_FORGETS;
    for (uint32_t i = 0; i < local->sibling_count; i++)
        live |= !(local->siblings[i].flags & SIBLING_TOMBSTONE);
    if (!live)
        state_clear(local);
}

static void late_deliver(struct store *s, struct late *late)
{
    if (late->used)
        owner_merge(s, late->owner, late->key, &late->state);
    late->used = false;
}

/* True when it is there at once; otherwise it comes later, or never. */
static bool replicate(struct store *s, uint32_t owner, uint32_t key, const struct state *state)
{
    if (chance(s, 75)) {
        owner_merge(s, owner, key, state);
        return true;
    }
    struct late *late = &s->late[prng_below(&s->prng, LATE_COUNT)];
    if (late->used)
        return false;
    *late = (struct late){.state = late->state, .owner = owner, .key = key, .used = true};
    assert_int_equal(state_copy(&late->state, state), 0);
    return false;
}

/* What the session has been told of the key before the op began. */
static void session_seen(const struct op *o, struct history *seen)
{
    for (uint64_t i = 0; i < run.op_count; i++) {
        const struct op *p = &run.ops[i];
        if (p->session == o->session && p->key == o->key && p->end == OP_DONE &&
            p->end_us < o->begin_us)
            assert_int_equal(history_join(seen, &p->returned), 0);
    }
}

/* The context of some earlier answer. */
static void context_pick(struct store *s, struct op *o)
{
    for (uint32_t tries = 0; tries < 8 * KEYS; tries++) {
        const struct op *p = &run.ops[prng_below(&s->prng, run.op_count)];
        if (p->key != o->key || p->end != OP_DONE || p->end_us >= o->begin_us)
            continue;
        assert_int_equal(history_copy(&o->context, &p->returned), 0);
        return;
    }
}

static void store_write(struct store *s, struct op *o)
{
    struct history seen = {0};
    struct state out = {0};
    uint32_t c = (uint32_t)prng_below(&s->prng, OWNERS), replaced_count;
    const struct state *local = &s->owners[c][o->key];
    struct dot *replaced = calloc(local->sibling_count + 1, sizeof(*replaced));
    assert_non_null(replaced);
    o->kind = chance(s, 25) ? OP_DELETE : OP_PUT;
    o->plain = chance(s, 50);
    if (o->plain)
        session_seen(o, &seen);
    else
        context_pick(s, o);
    struct sibling sibling = {.dot = {{c + 1, 1}, ++s->seqs[c]},
                              .stamp = s->now_us,
                              .flags = o->kind == OP_DELETE ? SIBLING_TOMBSTONE : 0};
    memcpy(sibling.op, &o->number, sizeof(o->number));
    assert_int_equal(version_put(local, o->plain ? &seen : &o->context,
                                 o->plain || s->flaw == FLAW_BLIND_PUT, &sibling, &out, replaced,
                                 &replaced_count, &o->returned),
                     0);
    if (s->flaw == FLAW_WIDE_CONTEXT)
        assert_int_equal(history_copy(&o->returned, &out.history), 0);
    uint32_t copies = 0;
    for (uint32_t i = 0; i < OWNERS; i++)
        if (i != c)
            copies += replicate(s, i, o->key, &out);
    owner_merge(s, c, o->key, &out);
    o->strict = chance(s, 90);
    if (o->strict && copies == 0)
        doubt(o->number);
    free(replaced);
    state_close(&out);
    history_close(&seen);
}

static void state_join(struct state *into, const struct state *from)
{
    struct state merged = {0};
    assert_int_equal(version_merge(into, NULL, from, NULL, &merged), 0);
    state_close(into);
    *into = merged;
}

static struct shown sibling_as_shown(const struct sibling *sibling)
{
    struct shown shown = {.dot = sibling->dot,
                          .stamp = sibling->stamp,
                          .tombstone = sibling->flags & SIBLING_TOMBSTONE};
    if (!shown.tombstone)
        memcpy(&shown.write, sibling->op, sizeof(shown.write));
    return shown;
}

static void read_answer(struct op *o, const struct state *seen)
{
    const struct sibling *winner = state_winner(seen);
    for (uint32_t i = 0; i < seen->sibling_count; i++) {
        const struct sibling *sibling = &seen->siblings[i];
        struct shown shown = sibling_as_shown(sibling);
        if (o->all || (sibling == winner && !shown.tombstone))
            op_show(o, &shown);
    }
    o->shown_total = state_shown_count(seen);
    assert_int_equal(version_read_context(seen, o->all ? NULL : winner, NULL, &o->returned), 0);
}

static void store_read(struct store *s, struct op *o)
{
    struct history wanted = {0};
    struct state seen = {0};
    uint32_t first = (uint32_t)prng_below(&s->prng, OWNERS), asked = 0;
    o->kind = OP_GET;
    o->all = chance(s, 60);
    o->strict = chance(s, 90);
    uint32_t need = o->strict && s->flaw != FLAW_READ_ONE ? 2 : 1;
    session_seen(o, &wanted);
    while (asked < need || (asked < OWNERS && !history_includes(&seen.history, &wanted)))
        state_join(&seen, &s->owners[(first + asked++) % OWNERS][o->key]);
    if (history_includes(&seen.history, &wanted))
        read_answer(o, &seen);
    else
        o->end = OP_FAILED;
    state_close(&seen);
    history_close(&wanted);
}

static void store_settle(struct store *s)
{
    for (uint32_t i = 0; i < LATE_COUNT; i++)
        late_deliver(s, &s->late[i]);
    run.settled_us = s->now_us + 100;
    for (uint32_t key = 0; key < KEYS; key++) {
        struct state all = {0};
        for (uint32_t i = 0; i < OWNERS; i++)
            state_join(&all, &s->owners[i][key]);
        for (uint32_t i = 0; i < OWNERS; i++) {
            struct replica *r = run_replica(&run);
            *r = (struct replica){.node = i + 1, .key = key, .owner = true, .digest = 1};
            owner_merge(s, i, key, &all);
            for (uint32_t j = 0; j < s->owners[i][key].sibling_count; j++) {
                struct shown shown = sibling_as_shown(&s->owners[i][key].siblings[j]);
                replica_show(r, &shown);
            }
        }
        struct op *o = begin(OP_GET, run.settled_us);
        o->key = key;
        o->all = true;
        read_answer(o, &s->owners[key % OWNERS][key]);
        state_close(&all);
    }
}

static void store_run(uint64_t seed, enum flaw flaw)
{
    struct store *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    prng_init(&s->prng, seed);
    s->flaw = flaw;
    s->now_us = 10;
    run.key_count = KEYS;
    for (uint32_t i = 0; i < OPS_COUNT; i++) {
        s->now_us += 1 + prng_below(&s->prng, 3);
        struct op *o = begin(OP_GET, s->now_us - prng_below(&s->prng, 5));
        o->end_us = s->now_us + 1 + prng_below(&s->prng, 5);
        o->key = (uint32_t)prng_below(&s->prng, KEYS);
        o->session = (uint32_t)prng_below(&s->prng, 4);
        if (chance(s, 50))
            store_write(s, o);
        else
            store_read(s, o);
        if (chance(s, 20))
            late_deliver(s, &s->late[prng_below(&s->prng, LATE_COUNT)]);
    }
    store_settle(s);
    for (uint32_t i = 0; i < OWNERS; i++)
        for (uint32_t key = 0; key < KEYS; key++)
            state_close(&s->owners[i][key]);
    for (uint32_t i = 0; i < LATE_COUNT; i++)
        state_close(&s->late[i].state);
    free(s);
}

static void test_store_that_is_sound_is_never_accused(void **state)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        tear_down(state);
        set_up(state);
        store_run(seed, FLAW_NONE);
        sound();
    }
}

/* How many of 20 seeds the checker accuses. */
static uint32_t accused(void **state, enum flaw flaw, checker_fn *check)
{
    uint32_t count = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct finding finding;
        tear_down(state);
        set_up(state);
        store_run(seed, flaw);
        count += check(&run, &finding);
    }
    return count;
}

static void test_store_that_is_flawed_is_accused(void **state)
{
    assert_true(accused(state, FLAW_READ_ONE, check_quorums) > 15);
    assert_true(accused(state, FLAW_READ_ONE, check_causality) > 15);
    assert_true(accused(state, FLAW_WIDE_CONTEXT, check_causality) > 0);
    assert_true(accused(state, FLAW_FORGETS, check_quorums) > 15);
    assert_true(accused(state, FLAW_FORGETS, check_resurrection) > 0);
    assert_true(accused(state, FLAW_BLIND_PUT, check_causality) > 15);
    assert_true(accused(state, FLAW_BLIND_PUT, check_durability) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_durability_shown_or_superseded_is_kept, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_durability_a_delete_ends_a_chain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_durability_a_session_supersedes_what_it_was_told,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_durability_weak_writes_are_owed_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_durability_what_guests_kept_is_not_lost, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_durability_superseded_by_what_is_lost_itself, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_durability_a_circle_excuses_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_durability_a_link_that_began_after_the_read_is_none,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_durability_a_delete_must_be_included, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_durability_reaping_excuses_only_what_was_deleted,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_durability_hidden_siblings_are_not_lost, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_reaping_takes_a_delete_to_have_begun, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_causality_siblings_and_successors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_causality_a_plain_put_may_cover_what_began_before_it_ended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_causality_vanished_for_a_while, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_causality_a_successor_must_have_begun, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_causality_a_successor_must_have_seen_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_causality_a_shown_dot_is_enough_to_have_seen, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_causality_superseded_is_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_causality_what_a_plain_put_replaced_is_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_causality_a_tombstone_is_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_causality_a_delete_shows_its_own_tombstone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_causality_an_operation_is_superseded_under_all_its_dots, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_causality_an_operation_may_have_been_stored_again,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_causality_a_dot_names_one_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_causality_a_dot_names_one_write_in_replicas, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_causality_dots_count_up_by_partition, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_causality_a_read_shows_a_write_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_causality_what_a_put_superseded_is_back_in_a_replica,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_causality_tombstones_have_one_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_realtime_the_later_wins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_realtime_a_winner_alone_is_judged_too, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_realtime_the_latest_is_that_which_began_last, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_realtime_deletes_win_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sessions_read_what_they_wrote, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sessions_do_not_lose_what_they_read, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_sessions_are_held_against_what_is_shown, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_sessions_of_a_key_that_was_reaped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_settled_reads_are_found_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_settled_reads_what_the_session_knew_is_not_the_states,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_settled_reads_of_a_key_that_was_reaped, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_quorums_a_read_includes_what_was_acked, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_quorums_all_includes_what_was_acked_beside_what_it_shows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_quorums_a_hidden_delete_must_have_begun, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_quorums_reaping_excuses_no_put_after_the_delete,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_causality_a_delete_goes_not_from_beside_what_it_outranks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_quorums_nothing_shown_needs_a_delete, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_quorums_the_delete_must_lead_back_to_the_put, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_quorums_a_chain_of_writes_in_doubt_may_delete, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_resurrection_in_a_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_resurrection_in_a_replica, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_resurrection_a_plain_delete_takes_what_it_has_seen,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_convergence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_verify, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_liveness_every_op_is_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_liveness_guests_deliver_what_they_keep, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_liveness_every_key_can_be_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_outcomes_values_come_from_puts_of_the_key, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_outcomes_not_applied_is_never_shown, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_outcomes_nothing_is_shown_before_it_was_written,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_valid_one_write_was_acked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_that_is_sound_is_never_accused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_store_that_is_flawed_is_accused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
