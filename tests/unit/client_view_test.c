/* What gtstore-admin says of a node whose log was damaged. */
#include "client/admin_view.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_names_the_node_and_what_may_be_lost),
        cmocka_unit_test(json_has_a_flag_for_every_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
