/* The events of a process: bounded, in order, and each with its time. */
#include "engine/base/events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct events events;

static void events_come_in_order_with_their_time_and_cause(void **state)
{
    (void)state;
    events_init(&events, 5);
    assert_int_equal(events_count(&events), 0);
    events_add(&events, EVENT_STARTED, "incarnation %d", 7);
    events_at(&events, 9);
    events_add(&events, EVENT_LINK_LOST, "%s", "node2");
    assert_int_equal(events_count(&events), 2);
    assert_int_equal(events_get(&events, 0)->wall_us, 5);
    assert_string_equal(events_get(&events, 0)->text, "incarnation 7");
    assert_int_equal(events_get(&events, 1)->wall_us, 9);
    assert_string_equal(event_name(events_get(&events, 1)->kind), "link_lost");
}

static void the_same_in_a_row_is_kept_once_with_its_count(void **state)
{
    (void)state;
    events_init(&events, 1);
    for (uint64_t i = 1; i <= 3; i++) {
        events_at(&events, i);
        events_add(&events, EVENT_BAD_RECORD, "key %s", "a");
    }
    events_add(&events, EVENT_BAD_RECORD, "key %s", "b");
    assert_int_equal(events_count(&events), 2);
    assert_int_equal(events_get(&events, 0)->times, 3);
    assert_int_equal(events_get(&events, 0)->wall_us, 3);
    assert_int_equal(events_get(&events, 1)->times, 1);
}

static void the_oldest_go_when_there_is_no_more_room(void **state)
{
    (void)state;
    events_init(&events, 1);
    for (int i = 0; i < EVENTS_MAX + 5; i++)
        events_add(&events, EVENT_MAP, "epoch %d", i);
    assert_int_equal(events_count(&events), EVENTS_MAX);
    assert_int_equal(events.total, EVENTS_MAX + 5);
    assert_string_equal(events_get(&events, 0)->text, "epoch 5");
    assert_string_equal(events_get(&events, EVENTS_MAX - 1)->text, "epoch 1004");
}

static void a_cause_is_cut_and_cannot_break_a_line(void **state)
{
    (void)state;
    char longer[2 * EVENT_TEXT_BYTES];
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = 0;
    events_init(&events, 1);
    events_add(&events, EVENT_BAD_RECORD, "%s", "a\nb\x7f\x1b[2J");
    events_add(&events, EVENT_BAD_RECORD, "%s", longer);
    assert_string_equal(events_get(&events, 0)->text, "a?b??[2J");
    assert_int_equal(strlen(events_get(&events, 1)->text), EVENT_TEXT_BYTES - 1);
}

static void without_events_all_is_dropped(void **state)
{
    (void)state;
    events_at(NULL, 1);
    events_add(NULL, EVENT_MAP, "%s", "");
    assert_int_equal(events_count(NULL), 0);
}

static void every_kind_has_a_name_that_fits(void **state)
{
    (void)state;
    for (int kind = EVENT_STARTED; kind <= EVENT_CHECKPOINT_WORKS; kind++)
        assert_in_range(strlen(event_name((enum event_kind)kind)), 1, EVENT_NAME_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_in_order_with_their_time_and_cause),
        cmocka_unit_test(the_same_in_a_row_is_kept_once_with_its_count),
        cmocka_unit_test(the_oldest_go_when_there_is_no_more_room),
        cmocka_unit_test(a_cause_is_cut_and_cannot_break_a_line),
        cmocka_unit_test(without_events_all_is_dropped),
        cmocka_unit_test(every_kind_has_a_name_that_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
