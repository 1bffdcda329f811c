/* What can be done to the index in memory from outside. That it answers as the real one does, the
 * test of the real one holds. */
#include "tests/lib/memindex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/error.h"

static void put(struct index *x, enum index_table table, const char *key, const char *value)
{
    struct index_write *w;
    assert_int_equal(x->begin(x, &w), 0);
    assert_int_equal(x->put(w, table, slice_text(key), slice_text(value)), 0);
    assert_int_equal(x->commit(w), 0);
}

static void drop(struct index *x, enum index_table table, const char *key)
{
    struct index_write *w;
    assert_int_equal(x->begin(x, &w), 0);
    assert_int_equal(x->remove(w, table, slice_text(key)), 0);
    assert_int_equal(x->commit(w), 0);
}

static void assert_value(struct index *x, enum index_table table, const char *key,
                         const char *value)
{
    struct blob *found = NULL;
    assert_int_equal(x->get(x, 0, table, slice_text(key), &found), value ? 0 : GT_ENOTFOUND);
    if (value)
        assert_true(slice_equal(slice_blob(found), slice_text(value)));
    blob_unref(found);
}

static void a_copy_put_back_is_the_index_of_then(void **state)
{
    (void)state;
    struct index *x = memindex_new(), *other = memindex_new();
    struct index_write *w;
    put(x, INDEX_DATA, "a", "1");
    put(x, INDEX_DATA, "b", "2");
    put(x, INDEX_META, "identity", "old");
    put(other, INDEX_PARTITION, "p", "strange");
    assert_int_equal(x->begin(x, &w), 0); /* what is not committed is in no copy */
    assert_int_equal(x->put(w, INDEX_DATA, slice_text("c"), slice_text("3")), 0);
    struct memindex_snapshot *s = memindex_snapshot(x);
    x->abort(w);
    put(x, INDEX_DATA, "a", "9");
    put(x, INDEX_DATA, "d", "4");
    put(x, INDEX_META, "identity", "new");
    drop(x, INDEX_DATA, "b");

    struct index *both[] = {x, other, x};
    for (int i = 0; i < 3; i++) {
        memindex_restore(both[i], s);
        assert_value(both[i], INDEX_DATA, "a", "1");
        assert_value(both[i], INDEX_DATA, "b", "2");
        assert_value(both[i], INDEX_DATA, "c", NULL);
        assert_value(both[i], INDEX_DATA, "d", NULL);
        assert_value(both[i], INDEX_META, "identity", "old");
        assert_value(both[i], INDEX_PARTITION, "p", NULL);
        put(both[i], INDEX_DATA, "a", "8"); /* the copy is not changed by this */
    }
    memindex_snapshot_free(s);
    x->destroy(x);
    other->destroy(other);
}

static void a_restore_drops_a_write_and_ends_the_failing(void **state)
{
    (void)state;
    struct index *x = memindex_new();
    struct index_write *w;
    put(x, INDEX_DATA, "a", "1");
    struct memindex_snapshot *s = memindex_snapshot(x);
    assert_int_equal(x->begin(x, &w), 0);
    memindex_fail(x, MEMINDEX_ANY, 1, GT_EIO, true);
    memindex_restore(x, s);
    put(x, INDEX_DATA, "b", "2"); /* begin finds no other write */
    assert_value(x, INDEX_DATA, "a", "1");
    memindex_snapshot_free(s);
    x->destroy(x);
}

static void a_wiped_index_is_empty(void **state)
{
    (void)state;
    struct index *x = memindex_new();
    put(x, INDEX_DATA, "a", "1");
    put(x, INDEX_META, "m", "1");
    put(x, INDEX_PARTITION, "p", "1");
    memindex_wipe(x);
    assert_value(x, INDEX_DATA, "a", NULL);
    assert_value(x, INDEX_META, "m", NULL);
    assert_value(x, INDEX_PARTITION, "p", NULL);
    assert_int_equal(x->file_bytes(x), 0);
    put(x, INDEX_DATA, "a", "2");
    assert_value(x, INDEX_DATA, "a", "2");
    x->destroy(x);
}

/* Bits in which two values of the same length differ. */
static unsigned bits_apart(struct slice a, struct slice b)
{
    unsigned bits = 0;
    assert_int_equal(a.bytes, b.bytes);
    for (size_t i = 0; i < a.bytes; i++)
        bits += (unsigned)__builtin_popcount(a.data[i] ^ b.data[i]);
    return bits;
}

static void a_record_rots_by_one_bit(void **state)
{
    (void)state;
    static const char *const keys[] = {"a", "b", "c"};
    static const char *const values[] = {"first", "", "third"};
    struct index *x = memindex_new();
    unsigned hits[3] = {0};
    assert_int_equal(memindex_flip(x, 1).bytes, 0); /* there is nothing to rot */
    put(x, INDEX_META, "m", "whole");
    put(x, INDEX_DATA, "b", "");
    assert_int_equal(memindex_flip(x, 1).bytes, 0);
    for (int i = 0; i < 3; i++)
        put(x, INDEX_DATA, keys[i], values[i]);
    struct memindex_snapshot *s = memindex_snapshot(x);
    for (uint64_t seed = 0; seed < 40; seed++) {
        memindex_restore(x, s); /* whose values are whole, whatever rots in the index */
        struct slice rotten = memindex_flip(x, seed);
        for (int i = 0; i < 3; i++) {
            struct blob *value;
            bool hit = slice_equal(rotten, slice_text(keys[i]));
            assert_int_equal(x->get(x, 0, INDEX_DATA, slice_text(keys[i]), &value), 0);
            assert_int_equal(bits_apart(slice_blob(value), slice_text(values[i])), hit);
            blob_unref(value);
            hits[i] += hit;
        }
        assert_value(x, INDEX_META, "m", "whole");
    }
    assert_true(hits[0] > 0 && hits[1] == 0 && hits[2] > 0);
    memindex_snapshot_free(s);
    x->destroy(x);
}

static void one_record_rots(void **state)
{
    (void)state;
    struct index *x = memindex_new();
    struct blob *value;
    put(x, INDEX_DATA, "a", "first");
    put(x, INDEX_DATA, "b", "second");
    put(x, INDEX_DATA, "empty", "");
    assert_true(memindex_flip_key(x, slice_text("b"), 3));
    assert_value(x, INDEX_DATA, "a", "first");
    assert_int_equal(x->get(x, 0, INDEX_DATA, slice_text("b"), &value), 0);
    assert_int_equal(bits_apart(slice_blob(value), slice_text("second")), 1);
    blob_unref(value);
    assert_false(memindex_flip_key(x, slice_text("absent"), 3));
    assert_false(memindex_flip_key(x, slice_text("empty"), 3));
    x->destroy(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_put_back_is_the_index_of_then),
        cmocka_unit_test(a_restore_drops_a_write_and_ends_the_failing),
        cmocka_unit_test(a_wiped_index_is_empty),
        cmocka_unit_test(a_record_rots_by_one_bit),
        cmocka_unit_test(one_record_rots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
