/* The map: quorums that intersect, tokens that agree with partitions, nothing crooked accepted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/error.h"
#include "engine/base/prng.h"
#include "engine/engine.h"
#include "net/ring.h"

/* Members n0, n1, ...; arc p owned by members p, p+1, ... */
static struct ring *ring_make(uint32_t members, uint32_t partitions, uint32_t owners)
{
    struct ring *r = ring_new(members, partitions);
    r->formed = true;
    r->settings = (struct settings){.replicas = owners,
                                    .read_quorum = owners / 2 + 1,
                                    .write_quorum = owners / 2 + 1,
                                    .partitions = partitions};
    for (uint32_t i = 0; i < members; i++) {
        r->members[i] = (struct member){.id = 100 + i, .capacity = 1, .state = MEMBER_UP};
        snprintf(r->members[i].label, sizeof(r->members[i].label), "n%u", i);
    }
    for (uint32_t p = 0; p < partitions; p++) {
        r->arcs[p].owner_count = (uint8_t)owners;
        for (uint32_t i = 0; i < owners; i++)
            r->arcs[p].owners[i] = (uint16_t)((p + i) % members);
    }
    return r;
}

static void settings_are_exactly_those_that_intersect(void **state)
{
    (void)state;
    for (uint32_t n = 0; n <= REPLICAS_MAX + 1; n++)
        for (uint32_t r = 0; r <= n + 1; r++)
            for (uint32_t w = 0; w <= n + 1; w++) {
                struct settings s = {.replicas = n, .read_quorum = r, .write_quorum = w};
                char why[128];
                bool sound = n >= 1 && n <= REPLICAS_MAX && r >= 1 && r <= n && w >= 1 && w <= n &&
                             w + r > n && 2 * w > n;
                assert_int_equal(settings_check(&s, why), sound ? 0 : GT_EARG);
                assert_int_equal(why[0] == '\0', sound);
            }
}

static void a_refusal_names_the_inequality(void **state)
{
    (void)state;
    struct settings s = {.replicas = 3, .read_quorum = 1, .write_quorum = 1};
    char why[128];
    assert_int_equal(settings_check(&s, why), GT_EARG);
    assert_string_equal(why, "W + R > N does not hold: 1 + 1 > 3");
    s.read_quorum = 3;
    assert_int_equal(settings_check(&s, why), GT_EARG);
    assert_string_equal(why, "2 W > N does not hold: 2 * 1 > 3");
}

static void quorums_of_every_list_intersect(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= REPLICAS_MAX; n++)
        for (uint32_t r = 1; r <= n; r++)
            for (uint32_t w = n / 2 + 1; w <= n; w++) {
                if (w + r <= n)
                    continue;
                struct ring *ring = ring_make(REPLICAS_MAX, 1, n);
                ring->settings.read_quorum = r;
                ring->settings.write_quorum = w;
                for (uint32_t size = 1; size <= REPLICAS_MAX; size++) {
                    uint32_t n_is, w_is, r_is;
                    ring->arcs[0].owner_count = (uint8_t)size;
                    ring_quorums(ring, 0, &n_is, &w_is, &r_is);
                    assert_int_equal(n_is, size);
                    assert_true(w_is + r_is > size && 2 * w_is > size);
                    assert_true(w_is <= size && r_is <= size && r_is >= 1);
                    if (size == n)
                        assert_true(w_is == w && r_is == r);
                }
                ring_unref(ring);
            }
}

static void a_token_is_the_first_hash_of_its_partition(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 7, 1000, 1024, 65535, 65536};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct ring *r = ring_make(1, sizes[i], 1);
        for (uint32_t p = 0; p < sizes[i]; p++) {
            uint64_t token = ring_token(r, p);
            assert_int_equal(hash_partition(token, sizes[i]), p);
            if (p > 0)
                assert_int_equal(hash_partition(token - 1, sizes[i]), p - 1);
        }
        ring_unref(r);
    }
}

static void owners_and_tokens_are_found(void **state)
{
    (void)state;
    struct ring *r = ring_make(5, 10, 3);
    assert_int_equal(ring_check(r), 0);
    assert_int_equal(ring_slot(r, 4, 4), 0);
    assert_int_equal(ring_slot(r, 4, 1), 2);
    assert_int_equal(ring_slot(r, 4, 2), -1);
    assert_int_equal(ring_tokens_of(r, 0), 6);
    assert_int_equal(ring_member_by_id(r, 103), 3);
    assert_int_equal(ring_member_by_id(r, 1), -1);
    assert_int_equal(ring_member_by_label(r, "n2"), 2);
    assert_int_equal(ring_member_by_label(r, "n"), -1);
    assert_true(ring_partition(r, slice_text("key")) < 10);
    ring_unref(r);
}

static void a_copy_is_deep_and_may_have_more_members(void **state)
{
    (void)state;
    struct ring *r = ring_make(3, 4, 2);
    struct ring *copy = ring_copy(r, 4);
    assert_int_equal(copy->member_count, 4);
    assert_int_equal(copy->members[3].id, 0);
    assert_memory_equal(copy->arcs, r->arcs, 4 * sizeof(*r->arcs));
    copy->arcs[0].owners[0] = 3;
    copy->members[0].id = 7;
    assert_int_equal(r->arcs[0].owners[0], 0);
    assert_int_equal(r->members[0].id, 100);
    ring_unref(ring_ref(r));
    ring_unref(r);
    ring_unref(copy);
}

/* One owner of the arc goes and another comes: who is in which list, in every phase. */
static void the_parts_of_a_move_follow_from_its_phase(void **state)
{
    (void)state;
    static const enum ring_part old_ones[] = {PART_OWNER, PART_OWNER, PART_WRITTEN, PART_LEAVER};
    struct ring *r = ring_make(5, 4, 3);
    for (uint8_t phase = ARC_PREPARE; phase <= ARC_CLEANUP; phase++) {
        uint16_t places[PLACES_MAX];
        uint32_t owners, beside;
        bool before = phase == ARC_PREPARE;
        uint16_t goes = 0, comes = 4;
        r->arcs[2] = (struct arc){.phase = phase,
                                  .owner_count = 3,
                                  .beside_count = 3,
                                  .owners = {before ? goes : comes, 1, 2},
                                  .beside = {before ? comes : goes, 1, 2}};
        assert_int_equal(ring_check(r), 0);
        assert_int_equal(ring_leaving(r, 2), goes);
        assert_int_equal(ring_coming(r, 2), comes);
        assert_int_equal(ring_part(r, 2, goes), old_ones[phase]);
        assert_int_equal(ring_part(r, 2, comes), before ? PART_RECEIVER : PART_OWNER);
        assert_int_equal(ring_part(r, 2, 3), PART_NONE);
        assert_int_equal(ring_places(r, 2, false, places, &owners, &beside), 4);
        assert_int_equal(owners, 7);
        assert_int_equal(beside, 14);
        assert_int_equal(places[3], before ? comes : goes);
        uint32_t written = ring_places(r, 2, true, places, &owners, &beside);
        assert_int_equal(written, phase == ARC_CLEANUP ? 3 : 4);
        assert_int_equal(beside, phase == ARC_CLEANUP ? 0 : 14);
    }
    assert_int_equal(ring_coming(r, 1), -1);
    ring_unref(r);
}

typedef void spoil(struct ring *r);
static void spoil_no_owner(struct ring *r)
{
    r->arcs[3].owner_count = 0;
}
static void spoil_twice_owner(struct ring *r)
{
    r->arcs[3].owners[1] = r->arcs[3].owners[0];
}
static void spoil_owner_range(struct ring *r)
{
    r->arcs[9].owners[2] = 5;
}
static void spoil_owner_count(struct ring *r)
{
    r->arcs[9].owner_count = REPLICAS_MAX + 1;
}
static void spoil_phase(struct ring *r)
{
    r->arcs[1].phase = 4;
}
static void spoil_stable_move(struct ring *r)
{
    r->arcs[1].beside_count = 1;
}
static void spoil_empty_move(struct ring *r)
{
    r->arcs[1].phase = ARC_PREPARE;
}
static void spoil_move_of_two(struct ring *r)
{
    r->arcs[1] = (struct arc){.phase = ARC_PREPARE,
                              .owner_count = 2,
                              .beside_count = 2,
                              .owners = {0, 1},
                              .beside = {2, 3}};
}
static void spoil_id(struct ring *r)
{
    r->members[1].id = 100;
}
static void spoil_no_id(struct ring *r)
{
    r->members[1].id = 0;
}
static void spoil_label(struct ring *r)
{
    strcpy(r->members[4].label, "n0");
}
static void spoil_no_label(struct ring *r)
{
    r->members[4].label[0] = '\0';
}
static void spoil_capacity(struct ring *r)
{
    r->members[0].capacity = 0;
}
static void spoil_capacity_nan(struct ring *r)
{
    r->members[0].capacity = __builtin_nan("");
}
static void spoil_state(struct ring *r)
{
    r->members[0].state = (enum member_state)0;
}
static void spoil_quorum(struct ring *r)
{
    r->settings.write_quorum = 1;
}
static void spoil_partitions(struct ring *r)
{
    r->settings.partitions = 0;
}

static void what_contradicts_itself_is_refused(void **state)
{
    (void)state;
    static spoil *const spoils[] = {
        spoil_no_owner,    spoil_twice_owner, spoil_owner_range, spoil_owner_count,  spoil_phase,
        spoil_stable_move, spoil_empty_move,  spoil_move_of_two, spoil_id,           spoil_no_id,
        spoil_label,       spoil_no_label,    spoil_capacity,    spoil_capacity_nan, spoil_state,
        spoil_quorum,      spoil_partitions};
    for (unsigned i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
        struct ring *r = ring_make(5, 10, 3);
        assert_int_equal(ring_check(r), 0);
        spoils[i](r);
        assert_int_equal(ring_check(r), GT_EPROTO);
        ring_unref(r);
    }
}

static void epochs_are_ordered_by_ballot_first(void **state)
{
    (void)state;
    assert_true(epoch_compare((struct epoch){1, 9}, (struct epoch){2, 1}) < 0);
    assert_true(epoch_compare((struct epoch){2, 1}, (struct epoch){1, 9}) > 0);
    assert_true(epoch_compare((struct epoch){2, 1}, (struct epoch){2, 2}) < 0);
    assert_int_equal(epoch_compare((struct epoch){2, 2}, (struct epoch){2, 2}), 0);
}

static void guests_are_the_next_distinct_nodes_that_own_nothing_of_it(void **state)
{
    (void)state;
    uint16_t guests[8];
    struct ring *r = ring_make(6, 12, 3);
    assert_int_equal(ring_guests(r, 1, guests, 8), 3); /* 1, 2, 3 are owners */
    assert_int_equal(guests[0], 4);                    /* arc 2 has 2, 3, 4 */
    assert_int_equal(guests[1], 5);
    assert_int_equal(guests[2], 0);
    assert_int_equal(ring_guests(r, 11, guests, 1), 1); /* owners 5, 0, 1; the ring goes round */
    assert_int_equal(guests[0], 2);
    r->members[2].state = MEMBER_LEAVING;
    r->members[3].state = MEMBER_DOWN; /* perhaps it is back: who asks it knows */
    assert_int_equal(ring_guests(r, 11, guests, 8), 2);
    assert_int_equal(guests[0], 3);
    assert_int_equal(guests[1], 4);
    ring_unref(r);
    r = ring_make(3, 4, 3);
    assert_int_equal(ring_guests(r, 0, guests, 8), 0);
    ring_unref(r);
    r = ring_make(3, 1, 2); /* no other arc has the third: it has no token */
    assert_int_equal(ring_guests(r, 0, guests, 8), 0);
    ring_unref(r);
}

static void states_have_names(void **state)
{
    (void)state;
    assert_string_equal(member_state_name(MEMBER_UP), "up");
    assert_string_equal(member_state_name(MEMBER_CATCHING_UP), "catching_up");
    assert_string_equal(member_state_name(MEMBER_REMOVED), "removed");
    assert_string_equal(member_state_name((enum member_state)99), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_are_exactly_those_that_intersect),
        cmocka_unit_test(a_refusal_names_the_inequality),
        cmocka_unit_test(quorums_of_every_list_intersect),
        cmocka_unit_test(a_token_is_the_first_hash_of_its_partition),
        cmocka_unit_test(owners_and_tokens_are_found),
        cmocka_unit_test(a_copy_is_deep_and_may_have_more_members),
        cmocka_unit_test(the_parts_of_a_move_follow_from_its_phase),
        cmocka_unit_test(what_contradicts_itself_is_refused),
        cmocka_unit_test(epochs_are_ordered_by_ballot_first),
        cmocka_unit_test(guests_are_the_next_distinct_nodes_that_own_nothing_of_it),
        cmocka_unit_test(states_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
