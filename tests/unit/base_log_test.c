/* The log and its flight recorder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "engine/base/error.h"
#include "engine/base/log.h"

struct lines {
    uint32_t count;
    enum log_level levels[LOG_RING_LINES + 1];
    char text[LOG_RING_LINES + 1][LOG_LINE_BYTES];
};

static void take(void *arg, enum log_level level, const char *line)
{
    struct lines *l = arg;
    assert_true(l->count <= LOG_RING_LINES);
    assert_true(strlen(line) < LOG_LINE_BYTES);
    l->levels[l->count] = level;
    strcpy(l->text[l->count++], line);
}

struct fixture {
    struct log log;
    struct lines lines;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    if (!f)
        return -1;
    log_init(&f->log, LOG_WARN, take, &f->lines);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void the_sink_gets_lines_up_to_the_level(void **state)
{
    struct fixture *f = *state;
    log_error(&f->log, "one n=%d", 1);
    log_warn(&f->log, "two");
    log_info(&f->log, "three");
    log_debug(&f->log, "four");
    assert_int_equal(f->lines.count, 2);
    assert_string_equal(f->lines.text[0], "one n=1");
    assert_int_equal(f->lines.levels[0], LOG_ERROR);
    assert_string_equal(f->lines.text[1], "two");
}

static void the_ring_keeps_every_level_in_order(void **state)
{
    struct fixture *f = *state;
    log_debug(&f->log, "first");
    log_info(&f->log, "second");
    assert_int_equal(f->lines.count, 0);
    log_dump(&f->log);
    assert_int_equal(f->lines.count, 2);
    assert_string_equal(f->lines.text[0], "first");
    assert_string_equal(f->lines.text[1], "second");
}

static void the_ring_keeps_the_last_lines(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3 * LOG_RING_LINES + 7; i++)
        log_debug(&f->log, "line %d", i);
    log_dump(&f->log);
    assert_int_equal(f->lines.count, LOG_RING_LINES);
    for (int i = 0; i < LOG_RING_LINES; i++) {
        char wanted[32];
        snprintf(wanted, sizeof(wanted), "line %d", 2 * LOG_RING_LINES + 7 + i);
        assert_string_equal(f->lines.text[i], wanted);
    }
}

static void long_lines_are_cut_and_control_bytes_replaced(void **state)
{
    struct fixture *f = *state;
    log_error(&f->log, "%0500d", 1);
    assert_int_equal(strlen(f->lines.text[0]), LOG_LINE_BYTES - 1);
    log_error(&f->log, "key=%s", "a\nb\x1b[31m\x7f\xc3\xa4");
    assert_string_equal(f->lines.text[1], "key=a?b?[31m?\xc3\xa4");
}

static void no_log_and_no_sink_drop_everything(void **state)
{
    struct fixture *f = *state;
    log_error(NULL, "nobody hears n=%d", 1);
    log_dump(NULL);
    f->log.sink = NULL;
    log_error(&f->log, "kept in the ring");
    log_dump(&f->log);
    assert_int_equal(f->lines.count, 0);
}

static void a_line_that_comes_again_is_held_back_and_counted(void **state)
{
    (void)state;
    struct log_pace p = {0};
    uint32_t times;
    assert_true(log_due(&p, 0, &times));
    assert_int_equal(times, 1);
    for (int i = 0; i < 4; i++)
        assert_false(log_due(&p, 999999, &times));
    assert_true(log_due(&p, 1000000, &times));
    assert_int_equal(times, 5);
    assert_false(log_due(&p, 1000001, &times));
    assert_true(log_due(&p, 90000000, &times));
    assert_int_equal(times, 2);
}

static void levels_have_names(void **state)
{
    (void)state;
    enum log_level level;
    for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
        assert_int_equal(log_level_parse(log_level_name((enum log_level)i), &level), 0);
        assert_int_equal(level, i);
    }
    assert_int_equal(log_level_parse("loud", &level), GT_EARG);
    assert_int_equal(log_level_parse("", &level), GT_EARG);
    assert_int_equal(log_level_parse("INFO", &level), GT_EARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_sink_gets_lines_up_to_the_level, setup, teardown),
        cmocka_unit_test_setup_teardown(the_ring_keeps_every_level_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(the_ring_keeps_the_last_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(long_lines_are_cut_and_control_bytes_replaced, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(no_log_and_no_sink_drop_everything, setup, teardown),
        cmocka_unit_test(a_line_that_comes_again_is_held_back_and_counted),
        cmocka_unit_test(levels_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
