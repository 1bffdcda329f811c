/* The pages of a real index of four levels, in which bits flip one after another: what is read is
 * right or unknown, never another value, never absent, and a write is refused or harmless. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/crc.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/prng.h"
#include "engine/btree.h"
#include "engine/index.h"
#include "engine/record.h"
#include "engine/values.h"

#define MAP_BYTES  (256u << 20)
#define KEYS       1500u
#define FLIPS      600u
#define PAGE_BYTES 4096u
#define BIG_EVERY  40u /* one in so many values lies in overflow pages */

struct tree {
    char folder[64], path[96];
    struct index *index;
    int file;
    bool present[KEYS];
};

/* A key of some length, so that a branch has few children. */
static struct slice key_of(uint32_t number, char text[300])
{
    memset(text, 'x', 300);
    int bytes = snprintf(text, 300, "%u", number * 7919u);
    text[bytes] = '-';
    return slice_of(text, 250);
}

static struct slice index_key(uint32_t number, uint8_t at[INDEX_KEY_BYTES_MAX])
{
    char text[300];
    struct slice key = key_of(number, text);
    uint64_t hash = hash_bytes(key);
    return index_data_key(at, hash_partition(hash, 16), hash, key);
}

/* Bytes with the checksum of a record. */
static struct slice value_of(uint32_t number, uint8_t *at)
{
    char text[300];
    struct slice key = key_of(number, text);
    struct prng p;
    size_t bytes = number % BIG_EVERY == 0 ? 9000 : 30 + number % 50;
    prng_init(&p, number);
    prng_fill(&p, at, bytes);
    uint8_t partition[2];
    le16_put(partition, (uint16_t)hash_partition(hash_bytes(key), 16));
    uint32_t crc = crc_update(crc_update(0, partition, 2), key.data, key.bytes);
    le32_put(at, crc_update(crc, at + 4, bytes - 4));
    return slice_of(at, bytes);
}

static int tree_put(struct tree *t, struct index_write *w, uint32_t number)
{
    static uint8_t value[16384];
    uint8_t key[INDEX_KEY_BYTES_MAX];
    return t->index->put(w, INDEX_DATA, index_key(number, key), value_of(number, value));
}

/* Several commits, so that there are free pages with what stood in others before. */
static int tree_make(void **state)
{
    struct tree *t = calloc(1, sizeof(*t));
    struct index_write *w;
    const char *scratch = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(t->folder, sizeof(t->folder), "%s/gtstore-btree-XXXXXX", scratch);
    if (!mkdtemp(t->folder) || index_lmdb_new(t->folder, MAP_BYTES, NULL, &t->index) != 0)
        return -1;
    for (unsigned part = 0; part < 5; part++) {
        if (t->index->begin(t->index, &w) != 0)
            return -1;
        for (uint32_t i = part; i < KEYS; i += 5) {
            t->present[i] = i % 10 != 3;
            if (t->present[i] && tree_put(t, w, i) != 0)
                return -1;
        }
        if (t->index->commit(w) != 0)
            return -1;
    }
    snprintf(t->path, sizeof(t->path), "%s/index/data.mdb", t->folder);
    t->file = open(t->path, O_RDWR);
    *state = t;
    return t->file < 0;
}

static int tree_remove(void **state)
{
    struct tree *t = *state;
    char command[128];
    if (t->index)
        t->index->destroy(t->index);
    close(t->file);
    snprintf(command, sizeof(command), "rm -r %s", t->folder);
    int result = system(command);
    free(t);
    return result;
}

/* Returns the byte as it was. */
static uint8_t flip(const struct tree *t, uint64_t at, uint8_t mask)
{
    uint8_t byte;
    assert_int_equal(pread(t->file, &byte, 1, (off_t)at), 1);
    byte ^= mask;
    assert_int_equal(pwrite(t->file, &byte, 1, (off_t)at), 1);
    return byte ^ mask;
}

/* How many keys are unknown; the others are what they are. */
static unsigned tree_read(struct tree *t, uint64_t at)
{
    static uint8_t value[16384];
    uint8_t key[INDEX_KEY_BYTES_MAX];
    char text[300];
    unsigned unknown = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        struct blob *found = NULL;
        int error = t->index->get(t->index, 0, INDEX_DATA, index_key(i, key), &found);
        struct slice name = key_of(i, text);
        uint32_t partition = hash_partition(hash_bytes(name), 16);
        bool bad = error == 0 && record_verify(slice_blob(found), partition, name) != 0;
        if (error == GT_ECORRUPT || bad)
            unknown++;
        else if (error != (t->present[i] ? 0 : GT_ENOTFOUND) ||
                 (error == 0 && !slice_equal(slice_blob(found), value_of(i, value))))
            fail_msg("key %u is shown wrong, error %d, after a flip at %llu", i, error,
                     (unsigned long long)at);
        if (found)
            blob_unref(found);
    }
    return unknown;
}

static int count(void *arg, struct slice key, struct slice value)
{
    (void)key, (void)value;
    ++*(unsigned *)arg;
    return 0;
}

static void a_flipped_bit_makes_keys_unknown_and_never_wrong(void **state)
{
    struct tree *t = *state;
    struct prng p;
    struct stat facts;
    unsigned noticed = 0, present = 0;
    prng_init(&p, 1);
    for (uint32_t i = 0; i < KEYS; i++)
        present += t->present[i];
    assert_int_equal(fstat(t->file, &facts), 0);
    assert_int_equal(tree_read(t, 0), 0);
    for (unsigned i = 0; i < FLIPS; i++) {
        uint64_t page = 2 + prng_below(&p, (uint64_t)facts.st_size / PAGE_BYTES - 2);
        /* Half of them where numbers of pages, nodes and lengths stand. */
        uint64_t at = page * PAGE_BYTES + prng_below(&p, prng_below(&p, 2) ? 64 : PAGE_BYTES);
        uint8_t mask = (uint8_t)(1u << prng_below(&p, 8));
        flip(t, at, mask);
        noticed += tree_read(t, at) > 0;
        unsigned seen = 0;
        struct slice from, to;
        int error = t->index->scan(t->index, 0, INDEX_DATA, slice_of(NULL, 0), count, &seen);
        if (error == GT_ECORRUPT)
            assert_true(t->index->hole(t->index, 0, &from, &to));
        else
            assert_int_equal(seen, present);
        flip(t, at, mask);
    }
    assert_int_equal(tree_read(t, 0), 0);
    assert_true(noticed > FLIPS / 20);
}

/* How often each page was told, of the file that is walked. */
static uint8_t *told;

static void tell(const struct btree *s, uint64_t first, uint64_t pages)
{
    assert_true(first + pages <= s->held);
    for (uint64_t i = first; i < first + pages; i++)
        told[i]++;
}

static void a_walk_tells_of_the_pages_that_it_will_come_to(void **state)
{
    struct tree *t = *state;
    struct stat facts;
    struct btree metas[2];
    struct btree_root root;
    struct btree_hole hole;
    unsigned seen = 0;
    uint64_t pages = 0;
    assert_int_equal(fstat(t->file, &facts), 0);
    uint8_t *map = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_SHARED, t->file, 0);
    assert_true(map != MAP_FAILED);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(btree_meta_read(map, (uint64_t)facts.st_size, i, &metas[i]), 0);
    struct btree *s = &metas[metas[0].commit < metas[1].commit];
    assert_int_equal(btree_check(s), 0);
    assert_int_equal(btree_table(s, slice_text("data"), &root), 0);
    assert_true(root.levels > 2 && root.overflows > 0);
    told = calloc(1, (size_t)s->held);
    s->ahead = tell;
    assert_int_equal(btree_scan(s, &root, slice_of(NULL, 0), NULL, count, &seen, &hole), 0);
    for (uint64_t i = 0; i < s->held; i++) {
        assert_true(told[i] <= 1);
        pages += told[i];
    }
    assert_int_equal(pages, root.leaves + root.overflows);
    free(told);
    btree_close(s);
    munmap(map, (size_t)facts.st_size);
}

static void a_write_upon_damaged_pages_is_refused_or_harmless(void **state)
{
    struct tree *t = *state;
    struct prng p;
    struct stat facts;
    unsigned refused = 0;
    prng_init(&p, 2);
    assert_int_equal(fstat(t->file, &facts), 0);
    for (unsigned i = 0; i < FLIPS; i++) {
        uint64_t page = 2 + prng_below(&p, (uint64_t)facts.st_size / PAGE_BYTES - 2);
        uint64_t at = page * PAGE_BYTES + prng_below(&p, 64);
        uint8_t mask = (uint8_t)(1u << prng_below(&p, 8)), key[INDEX_KEY_BYTES_MAX];
        struct index_write *w;
        uint8_t byte = flip(t, at, mask);
        int begun = t->index->begin(t->index, &w), error = begun;
        for (uint32_t k = i % 7; k < KEYS && !error; k += 7)
            error = k % 3 ? tree_put(t, w, k) : t->index->remove(w, INDEX_DATA, index_key(k, key));
        refused += error == GT_ECORRUPT;
        assert_true(error == 0 || error == GT_ECORRUPT);
        if (begun == 0)
            t->index->abort(w);
        /* It may have been mended meanwhile, so it is not flipped back. */
        assert_int_equal(pwrite(t->file, &byte, 1, (off_t)at), 1);
    }
    assert_true(refused > FLIPS / 20);
}

/* ---- the meta pages -------------------------------------------------------------------------- */

static void either_meta_page_may_rot_at_rest(void **state)
{
    struct tree *t = *state;
    t->index->destroy(t->index);
    for (unsigned which = 0; which < 2; which++)
        for (unsigned at = 0; at < 152; at++) {
            uint8_t page[152], again[152];
            uint64_t place = which * PAGE_BYTES;
            assert_int_equal(pread(t->file, page, sizeof(page), (off_t)place), sizeof(page));
            flip(t, place + at, (uint8_t)(1u << at % 8));
            assert_int_equal(index_lmdb_new(t->folder, MAP_BYTES, NULL, &t->index), 0);
            struct blob *found = NULL;
            uint8_t key[INDEX_KEY_BYTES_MAX];
            assert_int_equal(t->index->get(t->index, 0, INDEX_DATA, index_key(0, key), &found), 0);
            blob_unref(found);
            t->index->destroy(t->index);
            t->index = NULL;
            /* Mended, or nobody reads what was flipped. */
            assert_int_equal(pread(t->file, again, sizeof(again), (off_t)place), sizeof(again));
            assert_int_equal(pwrite(t->file, page, sizeof(page), (off_t)place), sizeof(page));
        }
}

static void a_meta_page_that_rots_under_an_open_index_is_written_anew(void **state)
{
    struct tree *t = *state;
    for (unsigned which = 0; which < 2; which++)
        for (unsigned at = 40; at < 152; at++) {
            struct index_write *w;
            uint8_t before[152], after[152];
            uint64_t place = which * PAGE_BYTES;
            assert_int_equal(pread(t->file, before, sizeof(before), (off_t)place), sizeof(before));
            assert_int_equal(tree_read(t, 0) > 0, 0);
            flip(t, place + at, 4);
            assert_int_equal(t->index->begin(t->index, &w), 0);
            t->index->abort(w);
            assert_int_equal(pread(t->file, after, sizeof(after), (off_t)place), sizeof(after));
            if (memcmp(before, after, sizeof(before)) != 0) /* that of the commit before */
                flip(t, place + at, 4);
        }
}

static void a_file_of_which_both_meta_pages_are_bad_is_refused(void **state)
{
    struct tree *t = *state;
    t->index->destroy(t->index);
    t->index = NULL;
    flip(t, 16, 1);
    flip(t, PAGE_BYTES + 16, 1);
    assert_int_equal(index_lmdb_new(t->folder, MAP_BYTES, NULL, &t->index), GT_ECORRUPT);
    t->index = NULL;
}

static void a_file_cut_short_is_refused(void **state)
{
    struct tree *t = *state;
    t->index->destroy(t->index);
    t->index = NULL;
    assert_int_equal(ftruncate(t->file, 8192), 0);
    assert_int_equal(index_lmdb_new(t->folder, MAP_BYTES, NULL, &t->index), GT_ECORRUPT);
    t->index = NULL;
    assert_int_equal(ftruncate(t->file, 100), 0);
    assert_int_equal(index_lmdb_new(t->folder, MAP_BYTES, NULL, &t->index), GT_ECORRUPT);
    t->index = NULL;
}

#define ON_TREE(test) cmocka_unit_test_setup_teardown(test, tree_make, tree_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_TREE(a_walk_tells_of_the_pages_that_it_will_come_to),
        ON_TREE(a_flipped_bit_makes_keys_unknown_and_never_wrong),
        ON_TREE(a_write_upon_damaged_pages_is_refused_or_harmless),
        ON_TREE(either_meta_page_may_rot_at_rest),
        ON_TREE(a_meta_page_that_rots_under_an_open_index_is_written_anew),
        ON_TREE(a_file_of_which_both_meta_pages_are_bad_is_refused),
        ON_TREE(a_file_cut_short_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
