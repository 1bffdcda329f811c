/* The public header stands alone; its errors are those of the project, in either order of
 * inclusion. */
#include "client/gtstore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/error.h"
#include "net/msg.h"

static const int public_numbers[] = {
#define PUBLIC_NUMBER(name, number, exit_code, text) name,
    GT_ERROR_TABLE(PUBLIC_NUMBER)
#undef PUBLIC_NUMBER
};

static const int table_numbers[] = {
#define TABLE_NUMBER(name, number, exit_code, text) number,
    GT_ERROR_TABLE(TABLE_NUMBER)
#undef TABLE_NUMBER
};

static void test_public_errors_equal_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(table_numbers) / sizeof(table_numbers[0]); i++)
        assert_int_equal(public_numbers[i], table_numbers[i]);
}

static void test_public_flags_equal_the_wire(void **state)
{
    (void)state;
    assert_int_equal(GTSTORE_DEGRADED, REPLY_DEGRADED);
    assert_int_equal(GTSTORE_UNSETTLED, REPLY_UNSETTLED);
    assert_int_equal(GTSTORE_WEAK, REPLY_WEAK);
    assert_int_equal(GTSTORE_KNOWN, REPLY_KNOWN);
    assert_int_equal(GTSTORE_DONE, OUTCOME_DONE);
    assert_int_equal(GTSTORE_NOT_APPLIED, OUTCOME_NOT_APPLIED);
    assert_int_equal(GTSTORE_IN_DOUBT, OUTCOME_IN_DOUBT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_public_errors_equal_the_table),
        cmocka_unit_test(test_public_flags_equal_the_wire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
