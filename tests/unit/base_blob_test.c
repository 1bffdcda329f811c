/* Blobs and slices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/blob.h"

static void a_blob_lives_until_its_last_reference(void **unused)
{
    (void)unused;
    struct blob *b = blob_copy("hello", 5);
    assert_non_null(b);
    assert_ptr_equal(blob_ref(b), b);
    assert_int_equal(b->refs, 2);
    blob_unref(b);
    assert_int_equal(b->refs, 1);
    assert_true(slice_equal(slice_blob(b), slice_text("hello")));
    blob_unref(b);
}

static void an_empty_blob_is_a_blob(void **unused)
{
    (void)unused;
    struct blob *b = blob_copy(NULL, 0);
    assert_non_null(b);
    assert_int_equal(b->bytes, 0);
    blob_unref(b);
}

static void nothing_may_be_referenced_and_returned(void **unused)
{
    (void)unused;
    assert_null(blob_ref(NULL));
    blob_unref(NULL);
    assert_int_equal(slice_blob(NULL).bytes, 0);
}

static void a_blob_over_the_limit_is_refused(void **unused)
{
    (void)unused;
    assert_null(blob_new((size_t)BLOB_BYTES_MAX + 1));
    assert_null(blob_new(SIZE_MAX));
}

static void slices_compare_as_bytes_and_then_by_length(void **unused)
{
    (void)unused;
    static const char *const ascending[] = {"", "a", "aa", "ab", "b", "\x7f", "\x80", "\xff"};
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++) {
            struct slice a = slice_text(ascending[i]), b = slice_text(ascending[j]);
            int order = slice_compare(a, b);
            assert_true((order < 0) == (i < j) && (order > 0) == (i > j));
            assert_true(slice_equal(a, b) == (i == j));
        }
    assert_true(slice_equal(slice_of(NULL, 0), slice_text("")));
    assert_false(slice_equal(slice_of("a\0b", 3), slice_of("a\0c", 3)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_blob_lives_until_its_last_reference),
        cmocka_unit_test(an_empty_blob_is_a_blob),
        cmocka_unit_test(nothing_may_be_referenced_and_returned),
        cmocka_unit_test(a_blob_over_the_limit_is_refused),
        cmocka_unit_test(slices_compare_as_bytes_and_then_by_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
