/* The table of errors: numbers that travel on the wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "engine/base/error.h"

static const struct {
    int number, exit_code;
    const char *name, *text;
} rows[] = {
#define ROW(name, number, exit_code, text) {number, exit_code, #name, text},
    GT_ERROR_TABLE(ROW)
#undef ROW
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void numbers_are_negative_and_each_used_once(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ROWS; i++) {
        assert_true(rows[i].number < 0);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(rows[i].number, rows[j].number);
            assert_string_not_equal(rows[i].text, rows[j].text);
        }
    }
}

static void every_error_has_its_name_text_and_exit_code(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ROWS; i++) {
        assert_string_equal(error_name(rows[i].number), rows[i].name);
        assert_string_equal(error_text(rows[i].number), rows[i].text);
        assert_int_equal(error_exit_code(rows[i].number), rows[i].exit_code);
        assert_true(rows[i].exit_code >= 1 && rows[i].exit_code <= 8);
    }
}

/* The exit codes that scripts rely on. */
static void the_exit_codes_of_the_contract(void **unused)
{
    (void)unused;
    assert_int_equal(error_exit_code(0), 0);
    assert_int_equal(error_exit_code(GT_EARG), 2);
    assert_int_equal(error_exit_code(GT_ELIMIT), 2);
    assert_int_equal(error_exit_code(GT_ENOTFOUND), 3);
    assert_int_equal(error_exit_code(GT_ECONFLICT), 4);
    assert_int_equal(error_exit_code(GT_EQUORUM), 5);
    assert_int_equal(error_exit_code(GT_EUNREACHABLE), 6);
    assert_int_equal(error_exit_code(GT_EINDOUBT), 8);
}

static void what_is_not_in_the_table_is_unknown(void **unused)
{
    (void)unused;
    static const int outside[] = {1, -1000, 1 << 30, -(1 << 30)};
    assert_string_equal(error_text(0), "ok");
    assert_string_equal(error_name(0), "GT_OK");
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        assert_string_equal(error_text(outside[i]), "unknown error");
        assert_string_equal(error_name(outside[i]), "GT_E?");
        assert_int_equal(error_exit_code(outside[i]), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_negative_and_each_used_once),
        cmocka_unit_test(every_error_has_its_name_text_and_exit_code),
        cmocka_unit_test(the_exit_codes_of_the_contract),
        cmocka_unit_test(what_is_not_in_the_table_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
