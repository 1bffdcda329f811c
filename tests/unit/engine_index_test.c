/*
 * The index in LMDB and the index in memory answer alike, whatever is done to them; and what the
 * real one holds is there when it is opened again.
 */
#include "engine/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/base/prng.h"
#include "tests/lib/memindex.h"

#define MAP_BYTES (64u << 20)

struct place {
    char folder[64];
    struct index *real, *model;
};

static void place_open(struct place *p)
{
    assert_int_equal(index_lmdb_new(p->folder, MAP_BYTES, NULL, &p->real), 0);
}

static void place_reopen(struct place *p)
{
    p->real->destroy(p->real);
    place_open(p);
}

static int place_make(void **state)
{
    struct place *p = calloc(1, sizeof(*p));
    strcpy(p->folder, "/tmp/gtstore-index-XXXXXX");
    if (!mkdtemp(p->folder))
        return -1;
    place_open(p);
    p->model = memindex_new();
    *state = p;
    return 0;
}

static int place_remove(void **state)
{
    struct place *p = *state;
    char command[128];
    if (p->real)
        p->real->destroy(p->real);
    p->model->destroy(p->model);
    snprintf(command, sizeof(command), "rm -r %s", p->folder);
    int result = system(command);
    free(p);
    return result;
}

/* Everything a scan shows, as bytes. stop_after: the callback ends the scan with 7 there. */
struct picture {
    struct buf content;
    unsigned seen, stop_after;
};

static int picture_add(void *arg, struct slice key, struct slice value)
{
    struct picture *p = arg;
    buf_bytes(&p->content, key);
    buf_bytes(&p->content, value);
    return ++p->seen == p->stop_after ? 7 : 0;
}

static void assert_scans_equal(struct place *p, unsigned lane, enum index_table table,
                               struct slice from, unsigned stop_after)
{
    struct picture a = {.stop_after = stop_after}, b = a;
    buf_init(&a.content, 16 << 20);
    buf_init(&b.content, 16 << 20);
    int result = p->real->scan(p->real, lane, table, from, picture_add, &a);
    assert_int_equal(result, p->model->scan(p->model, lane, table, from, picture_add, &b));
    assert_true(slice_equal(buf_slice(&a.content), buf_slice(&b.content)));
    buf_close(&a.content);
    buf_close(&b.content);
}

static void assert_gets_equal(struct place *p, unsigned lane, enum index_table table,
                              struct slice key)
{
    struct blob *a = NULL, *b = NULL;
    int result = p->real->get(p->real, lane, table, key, &a);
    assert_int_equal(result, p->model->get(p->model, lane, table, key, &b));
    assert_true(slice_equal(slice_blob(a), slice_blob(b)));
    blob_unref(a);
    blob_unref(b);
}

static void assert_equal_throughout(struct place *p)
{
    for (enum index_table t = 0; t < INDEX_TABLES; t++)
        assert_scans_equal(p, 0, t, slice_of(NULL, 0), 0);
}

/* A key of a small set, so that operations meet: lengths 1 to the maximum, any bytes. */
static struct slice some_key(struct prng *random, uint8_t key[INDEX_KEY_BYTES_MAX])
{
    struct prng shape;
    prng_init(&shape, prng_below(random, 150));
    size_t bytes = 1 + (size_t)prng_below(&shape, prng_below(&shape, 8) ? 6 : INDEX_KEY_BYTES_MAX);
    prng_fill(&shape, key, bytes);
    key[0] &= 3;
    return slice_of(key, bytes);
}

/* Like some_key; now and then beyond a page. */
static struct slice some_value(struct prng *random, uint8_t *value)
{
    size_t bytes = (size_t)prng_below(random, prng_below(random, 10) ? 60 : 10000);
    prng_fill(random, value, bytes);
    return slice_of(value, bytes);
}

/* Some puts and removals in one transaction on both; committed or not. */
static void random_write(struct place *p, struct prng *random)
{
    static uint8_t key[INDEX_KEY_BYTES_MAX], value[10000];
    struct index_write *a, *b;
    assert_int_equal(p->real->begin(p->real, &a), 0);
    assert_int_equal(p->model->begin(p->model, &b), 0);
    for (uint64_t n = prng_below(random, 20); n > 0; n--) {
        enum index_table t = (enum index_table)prng_below(random, INDEX_TABLES);
        struct slice k = some_key(random, key);
        if (prng_below(random, 3) == 0) {
            assert_int_equal(p->real->remove(a, t, k), 0);
            assert_int_equal(p->model->remove(b, t, k), 0);
        } else {
            struct slice v = some_value(random, value);
            assert_int_equal(p->real->put(a, t, k, v), 0);
            assert_int_equal(p->model->put(b, t, k, v), 0);
        }
        if (prng_below(random, 5) == 0) /* what is not committed is not seen */
            assert_gets_equal(p, 1, t, some_key(random, key));
    }
    if (prng_below(random, 4) == 0) {
        p->real->abort(a);
        p->model->abort(b);
    } else {
        assert_int_equal(p->real->commit(a), 0);
        assert_int_equal(p->model->commit(b), 0);
    }
}

static void random_read(struct place *p, struct prng *random)
{
    uint8_t key[INDEX_KEY_BYTES_MAX];
    struct slice k = some_key(random, key);
    enum index_table t = (enum index_table)prng_below(random, INDEX_TABLES);
    unsigned lane = (unsigned)prng_below(random, INDEX_LANES);
    if (prng_below(random, 2) == 0)
        assert_gets_equal(p, lane, t, k);
    else
        assert_scans_equal(p, lane, t, k, (unsigned)prng_below(random, 10));
}

static void both_answer_alike(void **state)
{
    struct place *p = *state;
    struct prng random;
    prng_init(&random, 20);
    for (int step = 0; step < 600; step++) {
        if (prng_below(&random, 3) == 0)
            random_write(p, &random);
        else
            random_read(p, &random);
        if (prng_below(&random, 60) == 0)
            place_reopen(p);
    }
    assert_equal_throughout(p);
    place_reopen(p);
    assert_equal_throughout(p);
}

static void put_text(struct index *x, struct index_write *w, const char *key, const char *value)
{
    assert_int_equal(x->put(w, INDEX_DATA, slice_text(key), slice_text(value)), 0);
}

static void a_write_is_seen_whole_or_not_at_all(void **state)
{
    struct place *p = *state;
    struct index *both[] = {p->real, p->model};
    for (int i = 0; i < 2; i++) {
        struct index *x = both[i];
        struct index_write *w;
        struct blob *value = NULL;
        assert_int_equal(x->begin(x, &w), 0);
        put_text(x, w, "a", "1");
        put_text(x, w, "b", "2");
        assert_int_equal(x->get(x, 0, INDEX_DATA, slice_text("a"), &value), GT_ENOTFOUND);
        x->abort(w);
        assert_int_equal(x->get(x, 0, INDEX_DATA, slice_text("b"), &value), GT_ENOTFOUND);
        assert_int_equal(x->begin(x, &w), 0);
        put_text(x, w, "a", "1");
        assert_int_equal(x->commit(w), 0);
        assert_int_equal(x->get(x, 2, INDEX_DATA, slice_text("a"), &value), 0);
        assert_true(slice_equal(slice_blob(value), slice_text("1")));
        blob_unref(value);
        /* The tables are apart. */
        assert_int_equal(x->get(x, 0, INDEX_META, slice_text("a"), &value), GT_ENOTFOUND);
    }
}

static int read_on_another_lane(void *arg, struct slice key, struct slice value)
{
    struct index *x = arg;
    struct blob *again;
    assert_int_equal(x->get(x, 1, INDEX_DATA, key, &again), 0);
    assert_true(slice_equal(slice_blob(again), value));
    blob_unref(again);
    return 0;
}

static void lanes_read_at_the_same_time(void **state)
{
    struct place *p = *state;
    struct index *both[] = {p->real, p->model};
    for (int i = 0; i < 2; i++) {
        struct index *x = both[i];
        struct index_write *w;
        assert_int_equal(x->begin(x, &w), 0);
        put_text(x, w, "a", "1");
        put_text(x, w, "b", "");
        assert_int_equal(x->commit(w), 0);
        assert_int_equal(x->scan(x, 0, INDEX_DATA, slice_of(NULL, 0), read_on_another_lane, x), 0);
    }
}

static void a_full_map_is_no_space_and_loses_nothing(void **state)
{
    struct place *p = *state;
    p->real->destroy(p->real);
    assert_int_equal(index_lmdb_new(p->folder, 1 << 20, NULL, &p->real), 0);
    struct index *x = p->real;
    struct index_write *w;
    struct blob *value;
    static uint8_t big[100000];
    char key[16] = "first";
    assert_int_equal(x->begin(x, &w), 0);
    put_text(x, w, key, "1");
    assert_int_equal(x->commit(w), 0);
    assert_int_equal(x->begin(x, &w), 0);
    int error = 0;
    for (int i = 0; i < 20 && error == 0; i++) {
        snprintf(key, sizeof(key), "%d", i);
        error = x->put(w, INDEX_DATA, slice_text(key), slice_of(big, sizeof(big)));
    }
    assert_int_equal(error, GT_ENOSPACE);
    x->abort(w);
    assert_int_equal(x->get(x, 0, INDEX_DATA, slice_text("first"), &value), 0);
    blob_unref(value);
    assert_int_equal(x->get(x, 0, INDEX_DATA, slice_text("0"), &value), GT_ENOTFOUND);
    /* And takes small writes again. */
    assert_int_equal(x->begin(x, &w), 0);
    put_text(x, w, "second", "2");
    assert_int_equal(x->commit(w), 0);
}

static void write_file(const char *path, const void *data, size_t bytes, long offset)
{
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    fclose(f);
}

static void a_damaged_or_newer_file_is_refused(void **state)
{
    struct place *p = *state;
    char path[96];
    snprintf(path, sizeof(path), "%s/index/data.mdb", p->folder);
    p->real->destroy(p->real);
    p->real = NULL;
    /* The version stands behind the magic in both meta pages: after a page header of 16 bytes. */
    uint32_t version = 77;
    write_file(path, &version, sizeof(version), 20);
    write_file(path, &version, sizeof(version), 4096 + 20);
    assert_int_equal(index_lmdb_new(p->folder, MAP_BYTES, NULL, &p->real), GT_EFORMAT);
    uint32_t magic = 1;
    write_file(path, &magic, sizeof(magic), 16);
    assert_int_equal(index_lmdb_new(p->folder, MAP_BYTES, NULL, &p->real), GT_ECORRUPT);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    struct index *x;
    assert_int_equal(index_lmdb_new("/tmp/gtstore-no-such-folder", MAP_BYTES, NULL, &x), GT_EIO);
}

static void what_was_just_written_is_in_memory(void **state)
{
    struct place *p = *state;
    struct index *x = p->real;
    struct index_write *w;
    static uint8_t big[1000000];
    assert_int_equal(x->begin(x, &w), 0);
    assert_int_equal(x->put(w, INDEX_DATA, slice_text("k"), slice_of(big, sizeof(big))), 0);
    assert_int_equal(x->commit(w), 0);
    assert_true(x->file_bytes(x) >= sizeof(big));
    for (uint64_t seed = 0; seed < 10; seed++)
        assert_in_range(x->resident(x, seed), 900, 1000);
}

#define ON_INDEX(test) cmocka_unit_test_setup_teardown(test, place_make, place_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_INDEX(both_answer_alike),
        ON_INDEX(a_write_is_seen_whole_or_not_at_all),
        ON_INDEX(lanes_read_at_the_same_time),
        ON_INDEX(a_full_map_is_no_space_and_loses_nothing),
        ON_INDEX(a_damaged_or_newer_file_is_refused),
        ON_INDEX(what_was_just_written_is_in_memory),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
