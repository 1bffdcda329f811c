/* The disk in memory does to files what power cuts, thefts and sudden ends do, and nothing else. */
#include "tests/lib/memdisk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/error.h"
#include "engine/base/prng.h"
#include "tests/lib/memindex.h"

#define NAME        "wal/a"
#define BLOCK       4096u
#define FILE_BLOCKS 8u
#define FILE_BYTES  (FILE_BLOCKS * BLOCK)

/* ---- verbs ----------------------------------------------------------------------------------- */

static struct disk_file *file_open(struct disk *d, const char *name)
{
    struct disk_file *f;
    assert_int_equal(d->open(d, name, false, &f), 0);
    return f;
}

static void file_write(struct disk *d, struct disk_file *f, uint64_t offset, char c, size_t bytes)
{
    uint8_t *data = malloc(bytes);
    memset(data, c, bytes);
    assert_int_equal(d->write(d, f, offset, data, bytes), 0);
    free(data);
}

static void file_put(struct disk *d, const char *name, const char *text)
{
    memdisk_put(d, name, text, strlen(text));
}

static void assert_file(struct disk *d, const char *name, const char *text)
{
    size_t bytes;
    const uint8_t *data = memdisk_bytes(d, name, &bytes);
    if (!text) {
        assert_null(data);
        return;
    }
    assert_non_null(data);
    assert_true(slice_equal(slice_of(data, bytes), slice_text(text)));
}

static int name_count(void *arg, const char *name)
{
    (void)name;
    ++*(unsigned *)arg;
    return 0;
}

static unsigned files_in(struct disk *d, const char *folder)
{
    unsigned count = 0;
    assert_int_equal(d->list(d, folder, name_count, &count), 0);
    return count;
}

/* ---- reads and writes ------------------------------------------------------------------------ */

/* Many writes of zeros and others, against an array: what is read, from the cache and, after a
 * sync, from the medium. */
static void a_read_shows_what_was_written(void **state)
{
    (void)state;
    static uint8_t model[FILE_BYTES], data[FILE_BYTES];
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct prng random;
        struct disk *d = memdisk_new();
        size_t end = 0, got;
        prng_init(&random, seed);
        memset(model, 0, sizeof(model));
        memdisk_put(d, NAME, NULL, 0);
        struct disk_file *f = file_open(d, NAME);
        for (int i = 0; i < 200; i++) {
            size_t at = (size_t)prng_below(&random, FILE_BYTES);
            size_t bytes = (size_t)prng_below(&random, FILE_BYTES - at) + 1;
            if (prng_below(&random, 2) == 0)
                at = at / BLOCK * BLOCK;
            if (prng_below(&random, 2) == 0)
                memset(model + at, 0, bytes);
            else
                prng_fill(&random, model + at, bytes);
            end = at + bytes > end ? at + bytes : end;
            assert_int_equal(d->write(d, f, at, model + at, bytes), 0);
            if (prng_below(&random, 4) == 0) {
                assert_int_equal(d->sync(d, f), 0);
                memdisk_crash(d, seed);
                d->close(d, f);
                f = file_open(d, NAME);
            } else if (prng_below(&random, 4) == 0) {
                assert_int_equal(d->drop_cache(d, f), 0);
            }
            at = (size_t)prng_below(&random, end);
            assert_int_equal(d->read(d, f, at, data, sizeof(data), &got), 0);
            assert_int_equal(got, end - at);
            assert_memory_equal(data, model + at, got);
        }
        d->close(d, f);
        d->destroy(d);
    }
}

/* ---- power ----------------------------------------------------------------------------------- */

/* A file of FILE_BYTES 'a' that is synced, with 'b' over a part of it that is not; crashed. */
static struct disk *crashed(uint64_t offset, size_t bytes, uint64_t seed)
{
    static uint8_t a[FILE_BYTES];
    struct disk *d = memdisk_new();
    memset(a, 'a', sizeof(a));
    memdisk_put(d, NAME, a, sizeof(a));
    struct disk_file *f = file_open(d, NAME);
    file_write(d, f, offset, 'b', bytes);
    memdisk_crash(d, seed);
    d->close(d, f);
    return d;
}

/* What the file holds in the named range: all of it one byte, or something else. */
static char range_is(const uint8_t *data, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (data[i] != data[from])
            return '?';
    return (char)data[from];
}

static void a_crash_leaves_sectors_old_new_or_garbled(void **state)
{
    (void)state;
    unsigned old = 0, new = 0, garbled = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        size_t bytes;
        struct disk *d = crashed(2 * BLOCK, 2 * BLOCK, seed);
        const uint8_t *data = memdisk_bytes(d, NAME, &bytes);
        assert_int_equal(bytes, FILE_BYTES);
        /* What was synced and shares no sector with the write is whole. */
        assert_int_equal(range_is(data, 0, 2 * BLOCK), 'a');
        assert_int_equal(range_is(data, 4 * BLOCK, FILE_BYTES), 'a');
        for (size_t at = 2 * BLOCK; at < 4 * BLOCK; at += 512) {
            char what = range_is(data, at, at + 512);
            old += what == 'a';
            new += what == 'b';
            garbled += what == '?';
        }
        d->destroy(d);
    }
    assert_true(old > 500 && new > 500);
    assert_in_range(garbled, 50, 1000);
}

static void a_garbled_sector_takes_its_neighbours_along(void **state)
{
    (void)state;
    unsigned small = 0, large = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        size_t bytes, at = BLOCK + 600;
        struct disk *d = crashed(at, 100, seed);
        const uint8_t *data = memdisk_bytes(d, NAME, &bytes);
        assert_int_equal(bytes, FILE_BYTES);
        assert_int_equal(range_is(data, 0, BLOCK), 'a');
        assert_int_equal(range_is(data, 2 * BLOCK, FILE_BYTES), 'a');
        if (range_is(data, BLOCK + 512, at) == '?') {
            bool is_large = range_is(data, BLOCK, BLOCK + 512) == '?';
            assert_int_equal(is_large, range_is(data, BLOCK + 1024, 2 * BLOCK) == '?');
            small += !is_large;
            large += is_large;
        }
        d->destroy(d);
    }
    assert_true(small > 0 && large > 0);
}

static void garbage_makes_no_file_longer(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        size_t bytes;
        struct disk *d = crashed(FILE_BYTES, 700, seed);
        assert_non_null(memdisk_bytes(d, NAME, &bytes));
        assert_in_range(bytes, FILE_BYTES, FILE_BYTES + 700);
        d->destroy(d);
    }
}

/* Zeros over a part of a page that was zero in the cache, and on the medium is not. */
static void zeros_are_written_as_other_bytes_are(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        static uint8_t zeros[BLOCK];
        size_t bytes;
        struct disk *d = memdisk_new();
        memdisk_put(d, NAME, NULL, 0);
        struct disk_file *f = file_open(d, NAME);
        file_write(d, f, 0, 'a', BLOCK);
        assert_int_equal(d->sync(d, f), 0);
        assert_int_equal(d->write(d, f, 0, zeros, BLOCK), 0);
        assert_int_equal(d->write(d, f, 0, zeros, 512), 0);
        memdisk_crash(d, seed);
        const uint8_t *data = memdisk_bytes(d, NAME, &bytes);
        seen += range_is(data, 0, 512) == 0 && range_is(data, 512, BLOCK) == 'a';
        d->close(d, f);
        d->destroy(d);
    }
    assert_true(seen > 5);
}

static void what_is_synced_survives_every_crash(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct disk *d = memdisk_new();
        struct disk_file *f;
        assert_int_equal(d->make_folder(d, "wal"), 0);
        assert_int_equal(d->sync_folder(d, ""), 0);
        assert_int_equal(d->open(d, "wal/tmp", true, &f), 0);
        assert_int_equal(d->write(d, f, 0, "12", 2), 0);
        assert_int_equal(d->write(d, f, 1, "3", 1), 0);
        assert_int_equal(d->sync(d, f), 0);
        assert_int_equal(d->rename(d, "wal/tmp", NAME), 0);
        assert_int_equal(d->sync_folder(d, "wal"), 0);
        for (unsigned crash = 0; crash < 3; crash++) {
            memdisk_crash(d, seed * 3 + crash);
            assert_file(d, NAME, "13");
            assert_file(d, "wal/tmp", NULL);
        }
        d->close(d, f);
        d->destroy(d);
    }
}

/* ---- the whole disk -------------------------------------------------------------------------- */

static void a_copy_put_back_is_the_disk_of_then(void **state)
{
    (void)state;
    struct disk *d = memdisk_new(), *other = memdisk_new();
    file_put(d, "wal/old", "old");
    file_put(d, "wal/both", "before");
    file_put(other, "wal/strange", "strange");
    struct disk_file *f = file_open(d, "wal/old");
    assert_int_equal(d->write(d, f, 3, "er", 2), 0); /* not synced: a copy shows it all the same */
    struct memdisk_snapshot *s = memdisk_snapshot(d);
    assert_int_equal(d->write(d, f, 0, "new", 3), 0);
    assert_int_equal(d->sync(d, f), 0);
    assert_int_equal(d->remove(d, "wal/both"), 0);
    file_put(d, "wal/new", "new");

    struct disk *disks[] = {d, other, d};
    for (int i = 0; i < 3; i++) {
        struct disk *at = disks[i];
        memdisk_restore(at, s);
        for (uint64_t seed = 0; seed < 10; seed++) {
            assert_int_equal(files_in(at, "wal"), 2);
            assert_file(at, "wal/old", "older");
            assert_file(at, "wal/both", "before");
            memdisk_crash(at, seed);
        }
        struct disk_file *g = file_open(at, "wal/old");
        file_write(at, g, 0, 'x', 5); /* the copy is not changed by this */
        assert_int_equal(at->sync(at, g), 0);
        at->close(at, g);
    }
    /* What was open is of the disk that was taken away. */
    uint64_t bytes;
    assert_int_equal(d->size(d, f, &bytes), GT_EIO);
    assert_int_equal(d->write(d, f, 0, "y", 1), GT_EIO);
    d->close(d, f);
    memdisk_snapshot_free(s);
    d->destroy(d);
    other->destroy(other);
}

static void a_wiped_disk_is_empty(void **state)
{
    (void)state;
    struct disk *d = memdisk_new();
    uint64_t space_before, space_after;
    assert_int_equal(d->space(d, &space_before), 0);
    file_put(d, NAME, "1");
    struct disk_file *f = file_open(d, NAME), *g;
    memdisk_wipe(d);
    assert_int_equal(d->sync(d, f), GT_EIO);
    assert_int_equal(d->list(d, "wal", name_count, NULL), GT_ENOTFOUND);
    assert_int_equal(d->open(d, NAME, true, &g), GT_ENOTFOUND); /* the folder is gone, too */
    assert_int_equal(files_in(d, ""), 0);
    assert_int_equal(d->space(d, &space_after), 0);
    assert_int_equal(space_before, space_after);
    file_put(d, NAME, "2");
    memdisk_crash(d, 1);
    assert_file(d, NAME, "2");
    d->close(d, f);
    d->destroy(d);
}

/* ---- the end of a process -------------------------------------------------------------------- */

#define UNSYNCED 20u /* bytes behind the first four, a write each: a sync that fails drops some */

static void unsynced_make(struct disk *d)
{
    file_put(d, NAME, "aaaa");
    struct disk_file *f = file_open(d, NAME);
    for (unsigned i = 0; i < UNSYNCED; i++)
        file_write(d, f, 4 + i, 'u', 1);
    d->close(d, f);
}

/* A sync that was cut off took nothing away from the next one. */
static void assert_unsynced(struct disk *d, const char *name)
{
    size_t bytes;
    struct disk_file *f = file_open(d, name);
    assert_int_equal(d->sync(d, f), 0);
    assert_int_equal(d->drop_cache(d, f), 0);
    const uint8_t *data = memdisk_bytes(d, name, &bytes);
    assert_int_equal(bytes, 4 + UNSYNCED);
    assert_int_equal(range_is(data, 4, bytes), 'u');
    d->close(d, f);
}

/* What a process does on disk and index: each step is one call. How many were done. */
static unsigned process_run(struct disk *d, struct index *x, struct disk_file **f)
{
    struct index_write *w = NULL;
    struct slice k = slice_text("k");
    struct blob *value;
    unsigned done = 0;
    int error = d->open(d, NAME, false, f);
    if (!error && ++done)
        error = d->write(d, *f, 0, "BBBB", 4);
    if (!error && ++done)
        error = x->begin(x, &w);
    if (!error && ++done)
        error = x->put(w, INDEX_DATA, k, slice_text("new"));
    if (!error && ++done) {
        error = x->commit(w);
        w = NULL;
    }
    if (!error && ++done)
        error = d->sync(d, *f);
    if (!error && ++done)
        error = d->rename(d, NAME, "wal/b");
    if (!error && ++done)
        error = x->get(x, 0, INDEX_DATA, k, &value);
    if (!error && ++done)
        blob_unref(value);
    if (w)
        x->abort(w);
    if (error) /* it is dead: nothing of this is done */
        assert_int_equal(error, GT_EIO);
    return done;
}

static void assert_dead(struct disk *d, struct index *x, struct disk_file *f)
{
    struct index_write *w;
    struct blob *value;
    uint64_t bytes;
    assert_int_equal(d->remove(d, NAME), GT_EIO);
    assert_int_equal(d->space(d, &bytes), GT_EIO);
    assert_int_equal(x->begin(x, &w), GT_EIO);
    assert_int_equal(x->get(x, 0, INDEX_DATA, slice_text("k"), &value), GT_EIO);
    if (f) {
        assert_int_equal(d->write(d, f, 0, "CCCC", 4), GT_EIO);
        assert_int_equal(d->sync(d, f), GT_EIO);
        assert_int_equal(d->drop_cache(d, f), GT_EIO);
    }
}

static void nothing_is_done_from_the_cut_on(void **state)
{
    (void)state;
    enum { OPEN = 1, WRITE, BEGIN, PUT, COMMIT, SYNC, RENAME, GET };
    bool write_torn = false;
    for (uint64_t nth = 1; nth <= GET + 1; nth++) {
        struct memcut cut = {0};
        struct disk *d = memdisk_new();
        struct index *x = memindex_new();
        struct disk_file *f = NULL;
        size_t bytes;
        struct blob *value = NULL;
        unsynced_make(d);
        memdisk_cut(d, &cut);
        memindex_cut(x, &cut);
        memcut_arm(&cut, nth);
        assert_false(memcut_reached(&cut));
        unsigned done = process_run(d, x, &f);
        assert_int_equal(done, nth - 1);
        assert_int_equal(memcut_reached(&cut), nth <= GET);
        if (memcut_reached(&cut))
            assert_dead(d, x, f);
        memcut_clear(&cut);
        assert_false(memcut_reached(&cut));
        /* Where the process got to, that is what the next one finds. */
        const char *name = done >= RENAME ? "wal/b" : NAME;
        const uint8_t *data = memdisk_bytes(d, name, &bytes);
        assert_non_null(data);
        if (nth == WRITE)
            write_torn = memcmp(data, "aaaa", 4) != 0;
        else
            assert_memory_equal(data, done >= WRITE ? "BBBB" : "aaaa", 4);
        assert_int_equal(x->get(x, 0, INDEX_DATA, slice_text("k"), &value),
                         done >= COMMIT ? 0 : GT_ENOTFOUND);
        blob_unref(value);
        assert_unsynced(d, name);
        if (f)
            d->close(d, f);
        x->destroy(x);
        d->destroy(d);
    }
    assert_true(write_torn);
}

static void a_cut_counts_for_all_that_are_on_it(void **state)
{
    (void)state;
    struct memcut cut = {0};
    struct disk *a = memdisk_new(), *b = memdisk_new();
    uint64_t bytes;
    memdisk_cut(a, &cut);
    memdisk_cut(b, &cut);
    memcut_arm(&cut, 3);
    assert_int_equal(a->space(a, &bytes), 0);
    assert_int_equal(b->space(b, &bytes), 0);
    assert_int_equal(a->space(a, &bytes), GT_EIO);
    assert_int_equal(b->space(b, &bytes), GT_EIO);
    assert_int_equal(memcut_calls(&cut), 4);
    memdisk_cut(b, NULL);
    assert_int_equal(b->space(b, &bytes), 0);
    memdisk_crash(a, 1); /* ends what memdisk_fail began; a cut is the caller's */
    assert_int_equal(a->space(a, &bytes), GT_EIO);
    a->destroy(a);
    b->destroy(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_shows_what_was_written),
        cmocka_unit_test(a_crash_leaves_sectors_old_new_or_garbled),
        cmocka_unit_test(a_garbled_sector_takes_its_neighbours_along),
        cmocka_unit_test(garbage_makes_no_file_longer),
        cmocka_unit_test(zeros_are_written_as_other_bytes_are),
        cmocka_unit_test(what_is_synced_survives_every_crash),
        cmocka_unit_test(a_copy_put_back_is_the_disk_of_then),
        cmocka_unit_test(a_wiped_disk_is_empty),
        cmocka_unit_test(nothing_is_done_from_the_cut_on),
        cmocka_unit_test(a_cut_counts_for_all_that_are_on_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
