/* What gtstore-admin says of a node whose log was damaged. */
#include "client/moves_view.h"
#include "engine/base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static struct status_node nodes[2];
static const struct status snapshot = {.nodes = nodes, .node_count = 2};

static void nodes_set(struct engine_damage second)
{
    for (int i = 0; i < 2; i++) {
        nodes[i] = (struct status_node){.report_known = true, .member.state = MEMBER_UP};
        snprintf(nodes[i].member.label, sizeof(nodes[i].member.label), "node%d", i + 1);
    }
    nodes[1].report.damage = second;
}

static void a_line_names_the_node_and_what_may_be_lost(void **state)
{
    (void)state;
    char text[VIEW_TEXT_BYTES];
    nodes_set((struct engine_damage){.kinds = DAMAGE_MIDDLE, .first_lsn = 4, .last_lsn = 7});
    assert_string_equal(view_damage_text(&nodes[0], text), "");
    assert_string_equal(
        view_damage_text(&nodes[1], text),
        "node2: its log was damaged: acknowledged writes may be missing here (lsn 4..7)");
    nodes_set((struct engine_damage){.kinds = DAMAGE_MIDDLE});
    assert_string_equal(view_damage_text(&nodes[1], text),
                        "node2: its log was damaged: acknowledged writes may be missing here "
                        "(which ones is not known)");
    nodes[1].report_known = false;
    assert_string_equal(view_damage_text(&nodes[1], text), "");
}

static void json_has_a_flag_for_every_node(void **state)
{
    (void)state;
    nodes_set((struct engine_damage){.kinds = DAMAGE_TAIL, .first_lsn = 4, .last_lsn = 7});
    nodes[0].report_known = false;
    json_t *answer = view_nodes_json(&snapshot), *array = json_object_get(answer, "nodes");
    json_t *first = json_array_get(array, 0), *second = json_array_get(array, 1);
    assert_true(json_is_null(json_object_get(first, "damaged")));
    assert_true(json_is_true(json_object_get(second, "damaged")));
    assert_int_equal(json_integer_value(json_object_get(second, "damage_last_lsn")), 7);
    json_decref(answer);
    nodes_set((struct engine_damage){0});
    answer = view_nodes_json(&snapshot);
    second = json_array_get(json_object_get(answer, "nodes"), 1);
    assert_true(json_is_false(json_object_get(second, "damaged")));
    assert_true(json_is_null(json_object_get(second, "damage_first_lsn")));
    json_decref(answer);
}

static void assert_waits_for(const struct status *s, const char *reason)
{
    char text[VIEW_TEXT_BYTES];
    assert_string_equal(view_wait_text(s, 1000, text), reason);
}

static void wait_is_for_members_lag_and_hints_as_told_since_it_began(void **state)
{
    (void)state;
    struct status s = snapshot;
    s.registered = 1;
    s.settings.form_nodes = 2;
    s.verdict = VERDICT_UNAVAILABLE;
    nodes_set((struct engine_damage){0});
    for (int i = 0; i < 2; i++) {
        nodes[i].report.lag_known = true;
        nodes[i].heard_ms = 1000;
    }
    assert_waits_for(&s, "unavailable: forming: 1 of 2 nodes");
    s.formed = true;
    s.verdict = VERDICT_AT_RISK; /* three copies of two nodes: nothing that would pass by waiting */
    assert_waits_for(&s, "");
    nodes[0].member.state = MEMBER_DOWN;
    assert_waits_for(&s,
                     "at_risk: of 0 partitions 0 lack an owner and 0 their quorum (node1 down)");
    s.verdict = VERDICT_HEALTHY; /* it owns nothing */
    assert_waits_for(&s, "not every member is up: node1 down");
    nodes[0].member.state = MEMBER_UP;
    nodes[1].report.hints = 7;
    assert_waits_for(&s, "hints of node2 is 7");
    nodes[1].report.lag_writes = 3;
    assert_waits_for(&s, "lag_writes of node2 is 3");
    nodes[1].report.lag_known = false;
    assert_waits_for(&s, "lag_writes of node2 is not known yet");
    nodes[1].heard_ms = 1001;
    assert_waits_for(&s, "node2 has not reported yet");
    nodes[1].heard_ms = 0;
    nodes[1].report_known = false;
    assert_waits_for(&s, "node2 has not reported yet");
    nodes[1].member.state = MEMBER_REMOVED;
    assert_waits_for(&s, "");
}

static void a_node_that_cannot_write_is_named_with_its_cause(void **state)
{
    (void)state;
    char text[VIEW_TEXT_BYTES];
    nodes_set((struct engine_damage){0});
    nodes[1].report.disk_error = GT_ENOSPACE;
    assert_string_equal(view_disk_text(&nodes[0], text), "");
    assert_string_equal(view_disk_text(&nodes[1], text),
                        "node2: its log or index cannot be written: no space left for data; puts "
                        "there end when the log is full (more room, or a larger --map-size)");
    json_t *answer = view_nodes_json(&snapshot), *array = json_object_get(answer, "nodes");
    assert_true(json_is_null(json_object_get(json_array_get(array, 0), "disk_error")));
    assert_string_equal(json_string_value(json_object_get(json_array_get(array, 1), "disk_error")),
                        "no space left for data");
    json_decref(answer);
    nodes[1].report_known = false;
    assert_string_equal(view_disk_text(&nodes[1], text), "");
}

static void how_long_it_takes_to_be_level_is_shown_while_it_is_known(void **state)
{
    (void)state;
    struct grid grid;
    nodes_set((struct engine_damage){0});
    for (int i = 0; i < 2; i++)
        nodes[i].report.lag_known = true;
    nodes[1].report.lag_writes = 412;
    nodes[1].report.lag_eta_s = 7;
    json_t *answer = view_nodes_json(&snapshot), *array = json_object_get(answer, "nodes");
    assert_true(json_is_null(json_object_get(json_array_get(array, 0), "lag_eta_s")));
    assert_int_equal(json_integer_value(json_object_get(json_array_get(array, 1), "lag_eta_s")), 7);
    json_decref(answer);
    grid_init(&grid);
    view_nodes_grid(&snapshot, &grid);
    uint32_t columns = grid.column_count;
    assert_string_equal(grid.headers[columns - 1], "ETA");
    assert_string_equal(grid.cells[columns - 1], "-");
    assert_string_equal(grid.cells[2 * columns - 1], "7s");
    grid_close(&grid);
    nodes[1].report.lag_known = false;
    answer = view_nodes_json(&snapshot);
    array = json_object_get(answer, "nodes");
    assert_true(json_is_null(json_object_get(json_array_get(array, 1), "lag_eta_s")));
    json_decref(answer);
}

static void events_of_all_are_shown_by_time(void **state)
{
    (void)state;
    struct msg_event first[] = {
        {1700000000000000, 1, slice_text("started"), slice_text("")},
        {1700000002500000, 3, slice_text("bad_record"), slice_text("k\x1b")}};
    struct msg_event second[] = {{1700000001000000, 1, slice_text("link_up"), slice_text("node1")},
                                 {1700000002500000, 1, slice_text("link_lost"), slice_text("")}};
    struct view_event all[] = {{slice_text("node1"), &first[0]},
                               {slice_text("node1"), &first[1]},
                               {slice_text("node2"), &second[0]},
                               {slice_text("node2"), &second[1]}};
    struct grid grid;
    grid_init(&grid);
    view_events_sort(all, 4);
    view_events_grid(all, 4, &grid);
    assert_int_equal(grid.cell_count, 4 * 5);
    assert_string_equal(grid.cells[0], "2023-11-14T22:13:20.000Z");
    assert_string_equal(grid.cells[5 + 1], "node2");
    assert_string_equal(grid.cells[5 + 4], "node1");
    assert_string_equal(grid.cells[10 + 0], "2023-11-14T22:13:22.500Z");
    assert_string_equal(grid.cells[10 + 2], "bad_record");
    assert_string_equal(grid.cells[10 + 3], "3");
    assert_string_equal(grid.cells[10 + 4], "k\\x1b");
    assert_string_equal(grid.cells[15 + 2], "link_lost");
    grid_close(&grid);
    const struct view_silent silent = {slice_text("node7"), "unreachable"};
    json_t *answer = view_events_json(all, 4, &silent, 1);
    json_t *row7 = json_array_get(json_object_get(answer, "not_answered"), 0);
    assert_string_equal(json_string_value(json_object_get(row7, "label")), "node7");
    assert_string_equal(json_string_value(json_object_get(row7, "cause")), "unreachable");
    json_t *row = json_array_get(json_object_get(answer, "events"), 1);
    assert_string_equal(json_string_value(json_object_get(row, "event")), "link_up");
    assert_string_equal(json_string_value(json_object_get(row, "node")), "node2");
    assert_string_equal(json_string_value(json_object_get(row, "time")),
                        "2023-11-14T22:13:21.000Z");
    json_decref(answer);
}

static void hints_are_told_by_holder_and_target(void **state)
{
    (void)state;
    struct grid g;
    nodes_set((struct engine_damage){0});
    nodes[0].member.id = 5;
    nodes[1].member.id = 6;
    nodes[0].report.hints = 9;
    nodes[0].report.parcels_count = 2;
    nodes[0].report.parcels[0] = (struct parcels_kept){6, 4, 2048, 17};
    nodes[0].report.parcels[1] = (struct parcels_kept){7, 2, 100, 3};
    const struct view_silent silent = {slice_text("node3"), "timed out"};
    json_t *answer = view_hints_json(&snapshot, &silent, 1),
           *hints = json_object_get(answer, "hints");
    assert_int_equal(json_array_size(hints), 3);
    json_t *away = json_array_get(json_object_get(answer, "not_answered"), 0);
    assert_string_equal(json_string_value(json_object_get(away, "label")), "node3");
    assert_string_equal(json_string_value(json_object_get(away, "cause")), "timed out");
    json_t *first = json_array_get(hints, 0), *log = json_array_get(hints, 2);
    assert_string_equal(json_string_value(json_object_get(first, "holder")), "node1");
    assert_string_equal(json_string_value(json_object_get(first, "kind")), "parcels");
    assert_string_equal(json_string_value(json_object_get(first, "target")), "node2");
    assert_int_equal(json_integer_value(json_object_get(first, "count")), 4);
    assert_int_equal(json_integer_value(json_object_get(first, "oldest_s")), 17);
    assert_string_equal(json_string_value(json_object_get(json_array_get(hints, 1), "target")),
                        "a former member");
    assert_string_equal(json_string_value(json_object_get(log, "kind")), "log");
    assert_int_equal(json_integer_value(json_object_get(log, "count")), 3);
    assert_true(json_is_null(json_object_get(log, "target")));
    json_decref(answer);
    grid_init(&g);
    view_hints_grid(&snapshot, &g);
    assert_int_equal(g.cell_count, 3 * g.column_count);
    assert_string_equal(g.cells[5], "17s");
    grid_close(&g);
    nodes[0].report_known = false;
    grid_init(&g);
    view_hints_grid(&snapshot, &g);
    assert_int_equal(g.cell_count, 0);
    grid_close(&g);
}

/* Two nodes with 300 keys in 100 tokens each, and a third that gets some of both. */
static void a_plan_is_shown_by_who_gives_and_who_gets(void **state)
{
    (void)state;
    struct plan_node three[] = {{slice_text("node1"), true, 1, 100, 67, 300, 2000},
                                {slice_text("node2"), true, 1, 100, 67, 300, 2000},
                                {slice_text("node3"), true, 1, 0, 66, 0, 0}};
    static const uint16_t rows[] = {9, 1, 2, 3, 0, 2, 4, 0, 2, 5, 0, 2, 7, MOVE_NOBODY, 2};
    uint8_t moves[sizeof(rows)];
    for (size_t i = 0; i < sizeof(rows) / 2; i++)
        le16_put(moves + 2 * i, rows[i]);
    struct msg plan = {.type = MSG_PLAN_REPLY, .epoch = {1, 17}};
    plan.plan_reply.nodes = three;
    plan.plan_reply.node_count = 3;
    plan.plan_reply.eta_s = 12;
    plan.plan_reply.moves = slice_of(moves, sizeof(moves));
    struct grid g;
    grid_init(&g);
    view_plan_grid(&plan, &g);
    static const char *const cells[] = {"node1", "node3", "3", "about 9", "about 60 B", "3..5",
                                        "node2", "node3", "1", "about 3", "about 20 B", "9",
                                        "-",     "node3", "1", "about 3", "about 20 B", "7"};
    assert_int_equal(g.cell_count, sizeof(cells) / sizeof(cells[0]));
    for (uint32_t i = 0; i < g.cell_count; i++)
        assert_string_equal(g.cells[i], cells[i]);
    grid_close(&g);
    char text[VIEW_TEXT_BYTES];
    assert_string_equal(view_plan_text(&plan, text),
                        "5 moves, about 15 keys and 100 B, about 12s; 0 lists change their order "
                        "alone; balance (max/mean tokens) 1.500 -> 1.005; epoch 17");
    json_t *answer = view_plan_json(&plan);
    json_t *first = json_array_get(json_object_get(answer, "moves"), 0);
    assert_int_equal(json_array_size(json_object_get(answer, "moves")), 5);
    assert_string_equal(json_string_value(json_object_get(first, "from")), "node2");
    assert_int_equal(json_integer_value(json_object_get(first, "partition")), 9);
    assert_int_equal(json_integer_value(json_object_get(answer, "epoch")), 17);
    json_decref(answer);
}

static void wait_is_for_moves_too(void **state)
{
    (void)state;
    struct status s = snapshot;
    nodes_set((struct engine_damage){0});
    for (int i = 0; i < 2; i++)
        nodes[i].report.lag_known = true;
    s.formed = true;
    s.verdict = VERDICT_HEALTHY;
    s.moves_done = s.moves_total = 64;
    assert_waits_for(&s, "");
    s.moves_cleanup = 2;
    assert_waits_for(&s, "rebalance idle: 64 of 64 moves done; open: 0 prepare, 0 read_new, 2 "
                         "cleanup");
    s.moves_cleanup = 0;
    s.rebalance_pending = true;
    assert_waits_for(&s, "rebalance idle: 64 of 64 moves done; one may begin by itself");
    s.rebalance_pending = false;
    s.rebalance = REBALANCE_PAUSED;
    assert_waits_for(&s, "");
    s.moves_done = 12;
    s.moves_eta_s = 9;
    assert_waits_for(&s, "rebalance paused: 12 of 64 moves done; about 9s are left");
    s.moves_bytes_left = 2048;
    assert_waits_for(&s, "rebalance paused: 12 of 64 moves done; about 2.0 KiB and 9s are left");
    char text[VIEW_TEXT_BYTES];
    assert_string_equal(view_moves_bar(&s, 2.5, 8, text),
                        "[#.......] 12 of 64 moves, 2.5 moves/s, 9s left, paused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_names_the_node_and_what_may_be_lost),
        cmocka_unit_test(how_long_it_takes_to_be_level_is_shown_while_it_is_known),
        cmocka_unit_test(a_node_that_cannot_write_is_named_with_its_cause),
        cmocka_unit_test(events_of_all_are_shown_by_time),
        cmocka_unit_test(json_has_a_flag_for_every_node),
        cmocka_unit_test(wait_is_for_members_lag_and_hints_as_told_since_it_began),
        cmocka_unit_test(hints_are_told_by_holder_and_target),
        cmocka_unit_test(a_plan_is_shown_by_who_gives_and_who_gets),
        cmocka_unit_test(wait_is_for_moves_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
