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
#include "engine/base/hash.h"
#include "engine/base/prng.h"
#include "engine/record.h"
#include "engine/snapshot_lmdb.h"
#include "engine/values.h"
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
    /* In memory where there is such a folder: what is tested here does not need the disk's syncs.
     */
    const char *scratch = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(p->folder, sizeof(p->folder), "%s/gtstore-index-XXXXXX", scratch);
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

/* ---- both, side by side ---------------------------------------------------------------------- */

/*
 * A seeded driver makes the same calls of both and compares every answer. What it does follows from
 * the seed alone; a difference names it: run it again with GT_TEST_SEED, or more of them with
 * GT_TEST_RUNS.
 */
#define SEEDS      5u
#define STEPS      5000u
#define KEYS       100u /* so few that operations meet */
#define VALUE_MAX  65536u
#define STOP_ERROR 7 /* what a scan's callback ends it with */

struct pair {
    struct place *place;
    struct index_write *real, *model; /* the open write; NULL: none */
    bool put[INDEX_TABLES][KEYS];     /* in that write */
    struct prng random;
    uint64_t seed;
    unsigned step;
    uint8_t keys[KEYS][INDEX_KEY_BYTES_MAX];
    size_t key_bytes[KEYS];
    uint8_t value[VALUE_MAX];
};

static void same(const struct pair *p, bool is_same, const char *what)
{
    if (!is_same)
        fail_msg("LMDB and the index in memory differ in %s: GT_TEST_SEED=%llu, step %u", what,
                 (unsigned long long)p->seed, p->step);
}

static size_t some_length(struct prng *random)
{
    switch (prng_below(random, 8)) {
    case 0:
        return INDEX_KEY_BYTES_MAX - (size_t)prng_below(random, 3);
    case 1:
        return 1 + (size_t)prng_below(random, INDEX_KEY_BYTES_MAX);
    default:
        return 1 + (size_t)prng_below(random, 12);
    }
}

/* Keys that begin as earlier ones do, of bytes of which many are the lowest and the highest. */
static void keys_draw(struct pair *p)
{
    static const uint8_t letters[] = {0, 0, 1, 'a', 0xff, 0xff};
    for (unsigned i = 0; i < KEYS; i++) {
        size_t bytes = some_length(&p->random);
        size_t other = i > 0 ? (size_t)prng_below(&p->random, i) : 0;
        size_t common = i > 0 ? (size_t)prng_below(&p->random, p->key_bytes[other] + 1) : 0;
        memcpy(p->keys[i], p->keys[other], common);
        for (size_t at = common; at < bytes; at++)
            p->keys[i][at] = letters[prng_below(&p->random, sizeof(letters))];
        p->key_bytes[i] = bytes;
    }
}

static struct slice some_key(struct pair *p)
{
    uint64_t i = prng_below(&p->random, KEYS);
    return slice_of(p->keys[i], p->key_bytes[i]);
}

static struct slice some_value(struct pair *p)
{
    uint64_t most = prng_below(&p->random, 4) ? 60 : prng_below(&p->random, 8) ? 5000 : VALUE_MAX;
    size_t bytes = (size_t)prng_below(&p->random, most + 1);
    prng_fill(&p->random, p->value, bytes);
    return slice_of(p->value, bytes);
}

/* Any but the one whose keys have to name their records. */
static enum index_table some_table(struct pair *p)
{
    static const enum index_table tables[] = {INDEX_META, INDEX_PARTITION, INDEX_LOG, INDEX_PARCEL};
    return tables[prng_below(&p->random, sizeof(tables) / sizeof(tables[0]))];
}

static unsigned some_lane(struct pair *p)
{
    return (unsigned)prng_below(&p->random, INDEX_LANES);
}

static void pair_get(struct pair *p, enum index_table table, struct slice key)
{
    struct index *x = p->place->real, *y = p->place->model;
    struct blob *a = NULL, *b = NULL;
    unsigned lane = some_lane(p);
    same(p, x->get(x, lane, table, key, &a) == y->get(y, lane, table, key, &b), "what get returns");
    same(p, slice_equal(slice_blob(a), slice_blob(b)), "the value of a get");
    blob_unref(a);
    blob_unref(b);
}

/* What a scan shows, as bytes. */
struct picture {
    struct buf content;
    unsigned seen, stop_after; /* stop_after: 0 = at the end */
};

static int picture_add(void *arg, struct slice key, struct slice value)
{
    struct picture *picture = arg;
    buf_varint(&picture->content, key.bytes);
    buf_bytes(&picture->content, key);
    buf_bytes(&picture->content, value);
    return ++picture->seen == picture->stop_after ? STOP_ERROR : 0;
}

static void pair_scan(struct pair *p, enum index_table table, struct slice from,
                      unsigned stop_after)
{
    struct index *x = p->place->real, *y = p->place->model;
    struct picture a = {.stop_after = stop_after}, b = a;
    unsigned lane = some_lane(p);
    buf_init(&a.content, 64 << 20);
    buf_init(&b.content, 64 << 20);
    same(p,
         x->scan(x, lane, table, from, picture_add, &a) ==
             y->scan(y, lane, table, from, picture_add, &b),
         "what scan returns");
    same(p, a.seen == b.seen && !a.content.failed, "the keys of a scan");
    same(p, slice_equal(buf_slice(&a.content), buf_slice(&b.content)), "what a scan shows");
    buf_close(&a.content);
    buf_close(&b.content);
}

static void pair_scan_all(struct pair *p)
{
    for (enum index_table t = 0; t < INDEX_TABLES; t++)
        pair_scan(p, t, slice_of(NULL, 0), 0);
}

/* From a key, or from a place between keys. */
static void pair_scan_some(struct pair *p)
{
    uint8_t from[INDEX_KEY_BYTES_MAX];
    struct slice key = some_key(p);
    memcpy(from, key.data, key.bytes);
    size_t bytes = key.bytes;
    if (prng_below(&p->random, 3) == 0)
        bytes = (size_t)prng_below(&p->random, bytes + 1);
    else if (bytes < sizeof(from) && prng_below(&p->random, 3) == 0)
        from[bytes++] = (uint8_t)prng_next(&p->random);
    pair_scan(p, some_table(p), slice_of(from, bytes), (unsigned)prng_below(&p->random, 8));
}

/* Drops every so many, and ends after some. */
struct purge {
    unsigned every, end, seen;
};

static enum index_judgement purge_judge(void *arg, struct slice key, struct slice value)
{
    struct purge *u = arg;
    (void)key;
    (void)value;
    if (u->seen == u->end)
        return INDEX_END;
    return ++u->seen % u->every == 0 ? INDEX_DROP : INDEX_KEEP;
}

/* Of what was committed: before anything is put. */
static void pair_purge(struct pair *p)
{
    struct index *x = p->place->real, *y = p->place->model;
    enum index_table t = some_table(p);
    struct slice from = prng_below(&p->random, 4) ? some_key(p) : slice_of(NULL, 0);
    struct purge a = {.every = 1 + (unsigned)prng_below(&p->random, 4),
                      .end = (unsigned)prng_below(&p->random, 40)};
    struct purge b = a;
    same(p,
         x->purge(p->real, t, from, purge_judge, &a) == 0 &&
             y->purge(p->model, t, from, purge_judge, &b) == 0,
         "what purge returns");
    same(p, a.seen == b.seen, "what a purge passes");
}

static void pair_begin(struct pair *p, bool purges)
{
    struct index *x = p->place->real, *y = p->place->model;
    same(p, x->begin(x, &p->real) == 0 && y->begin(y, &p->model) == 0, "what begin returns");
    memset(p->put, 0, sizeof(p->put));
    if (purges)
        pair_purge(p);
}

static void pair_put(struct pair *p)
{
    struct index *x = p->place->real, *y = p->place->model;
    enum index_table t = some_table(p);
    uint64_t i = prng_below(&p->random, KEYS);
    struct slice key = slice_of(p->keys[i], p->key_bytes[i]), value = some_value(p);
    for (uint64_t k = i; k-- > 0;) /* some are drawn twice */
        if (slice_equal(slice_of(p->keys[k], p->key_bytes[k]), key))
            i = k;
    if (p->put[t][i])
        return;
    p->put[t][i] = true;
    same(p, x->put(p->real, t, key, value) == 0 && y->put(p->model, t, key, value) == 0,
         "what put returns");
}

static void pair_remove(struct pair *p)
{
    struct index *x = p->place->real, *y = p->place->model;
    enum index_table t = some_table(p);
    struct slice key = some_key(p);
    same(p, x->remove(p->real, t, key) == 0 && y->remove(p->model, t, key) == 0,
         "what remove returns");
}

static void pair_end(struct pair *p, bool commit)
{
    struct index *x = p->place->real, *y = p->place->model;
    if (commit) {
        same(p, x->commit(p->real) == 0 && y->commit(p->model) == 0, "what commit returns");
    } else {
        x->abort(p->real);
        y->abort(p->model);
    }
    p->real = p->model = NULL;
}

/* The process ends, with a write open or not, and another one opens the same. */
static void pair_reopen(struct pair *p)
{
    place_reopen(p->place);
    memindex_crash(p->place->model);
    p->real = p->model = NULL;
    pair_scan_all(p);
}

static void pair_step(struct pair *p)
{
    uint64_t what = prng_below(&p->random, 160);
    if (what < 1)
        pair_reopen(p);
    else if (what < 40)
        pair_scan_some(p);
    else if (what < 80)
        pair_get(p, some_table(p), some_key(p));
    else if (!p->real)
        pair_begin(p, what < 84);
    else if (what < 110)
        pair_remove(p);
    else if (what < 150)
        pair_put(p);
    else
        pair_end(p, what < 157);
}

static void pair_run(struct place *place, uint64_t seed)
{
    struct pair *p = calloc(1, sizeof(*p));
    p->place = place;
    p->seed = seed;
    prng_init(&p->random, seed);
    keys_draw(p);
    for (p->step = 1; p->step <= STEPS; p->step++)
        pair_step(p);
    pair_scan_all(p);
    pair_reopen(p);
    free(p);
}

static void both_answer_alike(void **state)
{
    const char *only = getenv("GT_TEST_SEED"), *runs = getenv("GT_TEST_RUNS");
    uint64_t first = only ? strtoull(only, NULL, 10) : 1;
    uint64_t count = only ? 1 : runs ? strtoull(runs, NULL, 10) : SEEDS;
    for (uint64_t seed = first; seed < first + count; seed++) {
        pair_run(*state, seed);
        place_remove(state); /* each seed begins with nothing, so that it can be run alone */
        place_make(state);
    }
}

/* ---- each alone ------------------------------------------------------------------------------ */

static void put_text(struct index *x, struct index_write *w, const char *key, const char *value)
{
    assert_int_equal(x->put(w, INDEX_PARCEL, slice_text(key), slice_text(value)), 0);
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
        assert_int_equal(x->get(x, 0, INDEX_PARCEL, slice_text("a"), &value), GT_ENOTFOUND);
        x->abort(w);
        assert_int_equal(x->get(x, 0, INDEX_PARCEL, slice_text("b"), &value), GT_ENOTFOUND);
        assert_int_equal(x->begin(x, &w), 0);
        put_text(x, w, "a", "1");
        assert_int_equal(x->commit(w), 0);
        assert_int_equal(x->get(x, 2, INDEX_PARCEL, slice_text("a"), &value), 0);
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
    assert_int_equal(x->get(x, 1, INDEX_PARCEL, key, &again), 0);
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
        assert_int_equal(x->scan(x, 0, INDEX_PARCEL, slice_of(NULL, 0), read_on_another_lane, x),
                         0);
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
        error = x->put(w, INDEX_PARCEL, slice_text(key), slice_of(big, sizeof(big)));
    }
    assert_int_equal(error, GT_ENOSPACE);
    x->abort(w);
    assert_int_equal(x->get(x, 0, INDEX_PARCEL, slice_text("first"), &value), 0);
    blob_unref(value);
    assert_int_equal(x->get(x, 0, INDEX_PARCEL, slice_text("0"), &value), GT_ENOTFOUND);
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

static void commit_text(struct index *x, const char *key, const char *value)
{
    struct index_write *w;
    assert_int_equal(x->begin(x, &w), 0);
    put_text(x, w, key, value);
    assert_int_equal(x->commit(w), 0);
}

static bool has(struct index *x, const char *key)
{
    struct blob *value = NULL;
    int error = x->get(x, 0, INDEX_PARCEL, slice_text(key), &value);
    assert_true(error == 0 || error == GT_ENOTFOUND);
    blob_unref(value);
    return error == 0;
}

/* Each of the two last commits is told of by a page of its own. A power cut in the write of one
 * leaves garbage in that page, a sector of it or all, and the other commit. */
static void a_torn_meta_page_costs_at_most_the_commit_that_it_tells_of(void **state)
{
    struct place *p = *state;
    char path[96], text[16];
    uint8_t garbage[4096];
    unsigned lost = 0;
    snprintf(path, sizeof(path), "%s/index/data.mdb", p->folder);
    for (unsigned i = 0; i < 8; i++) {
        snprintf(text, sizeof(text), "%u first", i);
        commit_text(p->real, text, "1");
        snprintf(text, sizeof(text), "%u last", i);
        commit_text(p->real, text, "2");
        p->real->destroy(p->real);
        unsigned page = i / 2 % 2;
        memset(garbage, 0x5a, sizeof(garbage));
        write_file(path, garbage, i % 2 ? 512 : 4096, page * 4096l);
        place_open(p);
        assert_true(p->real->mended);
        snprintf(text, sizeof(text), "%u first", i);
        assert_true(has(p->real, text));
        snprintf(text, sizeof(text), "%u last", i);
        lost += !has(p->real, text);
        commit_text(p->real, text, "again");
        place_reopen(p);
        assert_false(p->real->mended);
        assert_true(has(p->real, text));
    }
    assert_in_range(lost, 1, 7); /* both pages were the newest one, once */
}

/* What a start left that was cut off before the file had its name. */
static void a_file_that_was_not_finished_is_made_anew(void **state)
{
    struct place *p = *state;
    char path[96], command[256];
    p->real->destroy(p->real);
    snprintf(path, sizeof(path), "%s/index/new.mdb", p->folder);
    snprintf(command, sizeof(command), "rm %s/index/data.mdb && printf garbage >%s", p->folder,
             path);
    assert_int_equal(system(command), 0);
    place_open(p);
    assert_false(p->real->mended);
    assert_int_not_equal(access(path, F_OK), 0);
    commit_text(p->real, "key", "value");
    place_reopen(p);
    assert_true(has(p->real, "key"));
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
    assert_int_equal(x->put(w, INDEX_PARCEL, slice_text("k"), slice_of(big, sizeof(big))), 0);
    assert_int_equal(x->commit(w), 0);
    assert_true(x->file_bytes(x) >= sizeof(big));
    for (uint64_t seed = 0; seed < 10; seed++)
        assert_in_range(x->resident(x, seed), 900, 1000);
}

/* ---- pages and keys that have rotted ----------------------------------------------------------
 */

struct seen {
    unsigned count;
    uint16_t first; /* the partition of the first key */
};

static enum index_judgement seen_judge(void *arg, struct slice key, struct slice value)
{
    struct seen *seen = arg;
    (void)value;
    if (seen->count++ == 0)
        seen->first = be16_get(key.data);
    return be16_get(key.data) == 7 ? INDEX_DROP : INDEX_KEEP;
}

static void record_put(struct index *x, uint32_t partition, uint64_t hash, const char *name)
{
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct index_write *w;
    struct state s;
    struct blob *record;
    struct slice key = slice_text(name);
    struct sibling sibling = {.dot = {{1, 2}, 3}, .value = slice_text("value")};
    state_init(&s);
    assert_int_equal(state_add(&s, &sibling), 0);
    assert_int_equal(record_encode_blob(&s, partition, key, &record), 0);
    assert_int_equal(x->begin(x, &w), 0);
    assert_int_equal(
        x->put(w, INDEX_DATA, index_data_key(at, partition, hash, key), slice_blob(record)), 0);
    assert_int_equal(x->commit(w), 0);
    blob_unref(record);
    state_close(&s);
}

static unsigned purge_all(struct index *x, uint32_t partition, struct seen *seen)
{
    uint8_t at[2];
    struct index_write *w;
    *seen = (struct seen){0};
    assert_int_equal(x->begin(x, &w), 0);
    assert_int_equal(x->purge(w, INDEX_DATA, index_partition_key(at, partition), seen_judge, seen),
                     0);
    assert_int_equal(x->commit(w), 0);
    return seen->count;
}

/* A key with a flipped bit may lead a search too far, so a walk that removes begins before all that
 * lie beside the place and are not what they say. */
static void a_purge_begins_before_keys_that_have_rotted(void **state)
{
    struct place *p = *state;
    struct index *x = p->real;
    struct seen seen;
    record_put(x, 7, hash_bytes(slice_text("a")), "a");
    record_put(x, 7, hash_bytes(slice_text("b")), "b");
    record_put(x, 5, hash_bytes(slice_text("sound")), "sound");
    record_put(x, 6, 99, "astray"); /* no search comes here */
    assert_int_equal(purge_all(x, 7, &seen), 3);
    assert_int_equal(seen.first, 6);
    assert_int_equal(purge_all(x, 7, &seen), 1); /* those of partition 7 have gone */
    record_put(x, 7, hash_bytes(slice_text("a")), "a");
    record_put(x, 4, 99, "astray");
    place_reopen(p);
    x = p->real;
    assert_int_equal(purge_all(x, 5, &seen), 4); /* all that is there */
    assert_int_equal(seen.first, 4);
}

/* The number of a page that holds this text becomes another one. */
static void page_strike(const struct place *p, const char *text)
{
    char path[96];
    uint8_t page[4096];
    const uint64_t wrong = 0x5555555555555555;
    long at = -1;
    snprintf(path, sizeof(path), "%s/index/data.mdb", p->folder);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (long i = 0; fread(page, 1, sizeof(page), f) == sizeof(page); i++)
        if (i > 1 && memmem(page, sizeof(page), text, strlen(text)))
            at = i;
    fclose(f);
    assert_true(at > 0);
    write_file(path, &wrong, sizeof(wrong), at * 4096);
}

static int count_keys(void *arg, struct slice key, struct slice value)
{
    (void)key;
    (void)value;
    ++*(unsigned *)arg;
    return 0;
}

static void a_write_over_a_damaged_page_is_refused_and_others_go_on(void **state)
{
    struct place *p = *state;
    struct index_write *w;
    char key[16], value[120];
    struct slice from, to;
    struct seen seen = {0};
    unsigned keys = 0;
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    assert_int_equal(p->real->begin(p->real, &w), 0);
    for (int i = 100; i < 400; i++) {
        snprintf(key, sizeof(key), "aa%d", i);
        put_text(p->real, w, key, i == 250 ? "struck" : value);
    }
    put_text(p->real, w, "zz", "value");
    assert_int_equal(p->real->commit(w), 0);
    p->real->destroy(p->real);
    page_strike(p, "struck");
    place_open(p);
    struct index *x = p->real;
    assert_int_equal(x->scan(x, 0, INDEX_PARCEL, slice_of(NULL, 0), count_keys, &keys),
                     GT_ECORRUPT);
    assert_true(keys > 100 && keys < 250);
    assert_true(x->hole(x, 0, &from, &to));
    assert_true(slice_compare(from, slice_text("aa250")) <= 0);
    assert_true(slice_compare(to, slice_text("aa250")) > 0);
    assert_int_equal(x->begin(x, &w), 0);
    assert_int_equal(x->put(w, INDEX_PARCEL, slice_text("aa250"), slice_text("x")), GT_ECORRUPT);
    assert_int_equal(x->remove(w, INDEX_PARCEL, slice_text("aa250")), GT_ECORRUPT);
    assert_int_equal(x->purge(w, INDEX_PARCEL, slice_text("aa100"), seen_judge, &seen),
                     GT_ECORRUPT);
    assert_int_equal(seen.count, 0);
    assert_int_equal(x->put(w, INDEX_PARCEL, slice_text("zz"), slice_text("other")), 0);
    assert_int_equal(x->commit(w), 0);
    assert_true(has(x, "zz"));
    assert_true(has(x, "aa100"));
    struct blob *none = NULL;
    assert_int_equal(x->get(x, 0, INDEX_PARCEL, slice_text("aa250"), &none), GT_ECORRUPT);
}

/* What is no index, or not there yet. */
static void a_file_in_the_place_of_the_folder_is_an_error(void **state)
{
    struct place *p = *state;
    char path[96], command[400];
    uint64_t offset;
    bool mended = false;
    p->real->destroy(p->real);
    p->real = NULL;
    snprintf(command, sizeof(command), "rm -r %s/index", p->folder);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof(path), "%s/index/data.mdb", p->folder);
    assert_int_equal(index_pages_check(p->folder, NULL), 0); /* of a copy without one */
    assert_int_equal(snapshot_mend_file(path, NULL, &mended), 0);
    assert_false(mended);
    assert_int_equal(snapshot_table_place(path, INDEX_META, &offset), GT_ENOTFOUND);
    snprintf(command, sizeof(command), "touch %s/index", p->folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(index_lmdb_new(p->folder, MAP_BYTES, NULL, &p->real), GT_EIO);
    assert_int_equal(index_pages_check(p->folder, NULL), GT_EIO);
    assert_int_equal(snapshot_mend_file(path, NULL, &mended), GT_EIO);
    snprintf(command, sizeof(command), "rm %s/index && mkdir %s/index && touch %s", p->folder,
             p->folder, path);
    assert_int_equal(system(command), 0);
    assert_int_equal(snapshot_table_place(path, INDEX_META, &offset), GT_ECORRUPT); /* empty */
    assert_int_equal(index_pages_check(p->folder, NULL), GT_ECORRUPT);
    p->real = NULL;
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
        ON_INDEX(a_torn_meta_page_costs_at_most_the_commit_that_it_tells_of),
        ON_INDEX(a_file_that_was_not_finished_is_made_anew),
        ON_INDEX(what_was_just_written_is_in_memory),
        ON_INDEX(a_purge_begins_before_keys_that_have_rotted),
        ON_INDEX(a_write_over_a_damaged_page_is_refused_and_others_go_on),
        ON_INDEX(a_file_in_the_place_of_the_folder_is_an_error),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
