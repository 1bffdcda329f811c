/* The verdict: what a map and those who are up are worth, list by list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/status.h"

#define MEMBERS 5

/* One partition for each list of members that is given as text, "01" is members 0 and 1. */
static struct status judged_with(uint32_t replicas, uint32_t read, uint32_t write,
                                 enum profile profile, const char *const *lists,
                                 const char *up_list)
{
    uint32_t count = 0;
    bool up[MEMBERS] = {false};
    struct status out = {0};
    while (lists[count])
        count++;
    struct ring *r = ring_new(MEMBERS, count);
    r->formed = true;
    r->settings = (struct settings){.replicas = replicas,
                                    .read_quorum = read,
                                    .write_quorum = write,
                                    .profile = profile,
                                    .partitions = count};
    for (uint32_t p = 0; p < count; p++) {
        const char *at = lists[p];
        struct arc *arc = &r->arcs[p];
        for (; *at && *at != '>'; at++)
            arc->owners[arc->owner_count++] = (uint16_t)(*at - '0');
        arc->phase = *at ? ARC_PREPARE : ARC_STABLE; /* what stands behind > is the list to come */
        for (at += *at == '>'; *at; at++)
            arc->beside[arc->beside_count++] = (uint16_t)(*at - '0');
    }
    for (uint32_t i = 0; up_list[i]; i++)
        up[up_list[i] - '0'] = true;
    status_count(r, up, &out);
    ring_unref(r);
    return out;
}

static struct status judged(uint32_t replicas, uint32_t quorum, const char *const *lists,
                            const char *up_list)
{
    return judged_with(replicas, quorum, quorum, PROFILE_DEFAULT, lists, up_list);
}

static void all_owners_up_is_healthy(void **state)
{
    (void)state;
    struct status s = judged(3, 2, (const char *const[]){"012", "123", NULL}, "0123");
    assert_int_equal(s.verdict, VERDICT_HEALTHY);
    assert_int_equal(s.partitions_full, 2);
    /* Also where every owner is needed: nothing is away yet. */
    s = judged(2, 2, (const char *const[]){"01", NULL}, "01");
    assert_int_equal(s.verdict, VERDICT_HEALTHY);
}

static void an_owner_to_spare_is_degraded(void **state)
{
    (void)state;
    struct status s = judged(5, 3, (const char *const[]){"01234", NULL}, "0123");
    assert_int_equal(s.verdict, VERDICT_DEGRADED);
    assert_int_equal(s.partitions_quorum, 1);
}

static void no_owner_to_spare_is_at_risk(void **state)
{
    (void)state;
    struct status s = judged(3, 2, (const char *const[]){"012", "123", NULL}, "123");
    assert_int_equal(s.verdict, VERDICT_AT_RISK);
    assert_int_equal(s.partitions_full, 1);
    assert_int_equal(s.partitions_quorum, 1);
    s = judged(3, 2, (const char *const[]){"012", "123", NULL}, "13");
    assert_int_equal(s.verdict, VERDICT_UNAVAILABLE);
    assert_int_equal(s.partitions_below, 1);
}

/* Writes need both lists of a move. */
static void a_moving_arc_needs_both_its_lists(void **state)
{
    (void)state;
    static const char *const moves[] = {"012>013", NULL};
    assert_int_equal(judged(3, 2, moves, "0123").verdict, VERDICT_HEALTHY);
    assert_int_equal(judged(3, 2, moves, "012").verdict, VERDICT_HEALTHY); /* a move alone is nothing */
    assert_int_equal(judged(3, 2, moves, "02").verdict, VERDICT_UNAVAILABLE);
    assert_int_equal(judged(3, 2, moves, "01").verdict, VERDICT_AT_RISK);
    assert_int_equal(judged(2, 2, (const char *const[]){"0>01", NULL}, "0").verdict,
                     VERDICT_UNAVAILABLE);
}

/* A cluster that formed with two nodes where three copies are wanted needs both of them. */
static void a_short_list_that_needs_all_its_owners_is_at_risk(void **state)
{
    (void)state;
    struct status s = judged(3, 2, (const char *const[]){"01", "10", NULL}, "01");
    assert_int_equal(s.verdict, VERDICT_AT_RISK);
    assert_int_equal(s.partitions_quorum, 2);
    /* Three owners where five are wanted can spare one: quorums are those of the list. */
    s = judged(5, 2, (const char *const[]){"012", NULL}, "012");
    assert_int_equal(s.verdict, VERDICT_DEGRADED);
}

/* Profile course: guests make up for what W lacks, as long as there are some, and an owner. */
static void guests_count_for_writes_in_profile_course(void **state)
{
    (void)state;
    const char *const lists[] = {"012", "123", NULL};
    assert_int_equal(judged_with(3, 1, 3, PROFILE_DEFAULT, lists, "1234").verdict,
                     VERDICT_UNAVAILABLE);
    assert_int_equal(judged_with(3, 1, 3, PROFILE_COURSE, lists, "01234").verdict, VERDICT_HEALTHY);
    struct status s = judged_with(3, 1, 3, PROFILE_COURSE, lists, "1234");
    assert_int_equal(s.verdict, VERDICT_DEGRADED);
    assert_int_equal(s.partitions_quorum, 1);
    assert_int_equal(judged_with(3, 1, 3, PROFILE_COURSE, lists, "123").verdict, VERDICT_AT_RISK);
    assert_int_equal(judged_with(3, 1, 3, PROFILE_COURSE, lists, "12").verdict,
                     VERDICT_UNAVAILABLE);
    s = judged_with(3, 1, 3, PROFILE_COURSE, lists, "034"); /* one owner of each */
    assert_int_equal(s.partitions_quorum, 2);
    assert_int_equal(s.verdict, VERDICT_AT_RISK);
    const char *const gone[] = {"01", NULL};
    assert_int_equal(judged_with(2, 1, 2, PROFILE_COURSE, gone, "234").verdict,
                     VERDICT_UNAVAILABLE);
}

static void a_forming_cluster_is_unavailable(void **state)
{
    (void)state;
    bool up[MEMBERS] = {true, true};
    struct status s = {.partitions_full = 7};
    struct ring *r = ring_new(MEMBERS, 2);
    status_count(r, up, &s);
    assert_int_equal(s.verdict, VERDICT_UNAVAILABLE);
    assert_int_equal(s.partitions_full, 0);
    status_count(NULL, up, &s);
    assert_int_equal(s.verdict, VERDICT_UNAVAILABLE);
    ring_unref(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_owners_up_is_healthy),
        cmocka_unit_test(an_owner_to_spare_is_degraded),
        cmocka_unit_test(no_owner_to_spare_is_at_risk),
        cmocka_unit_test(a_moving_arc_needs_both_its_lists),
        cmocka_unit_test(a_short_list_that_needs_all_its_owners_is_at_risk),
        cmocka_unit_test(guests_count_for_writes_in_profile_course),
        cmocka_unit_test(a_forming_cluster_is_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
