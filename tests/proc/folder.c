/*
 * Makes a folder that no process uses look as no test can bring it about, under right checksums:
 *
 *   proc_folder FOLDER folder FORMAT VERSION   it says that it is of this format and by whom
 *
 *   proc_folder FOLDER record KEY              the key's record is of the next format
 *
 *   proc_folder FOLDER lives KEY NODE COUNT    so many early lives of the node (its id, in hex)
 *                                              have written to the key, which is superseded
 *
 *   proc_folder FOLDER early KEY NODE COUNT    the same, the first sibling is of the first life
 *
 *   proc_folder FOLDER strike TABLE head|data  a bit flips in the first page of meta, partition,
 *                                              data, log or free: its kind, or what it holds
 *
 * A record that is changed is counted as it is then. Exit 0; 1 when it cannot be done; 2 usage.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/crc.h"
#include "engine/base/hash.h"
#include "engine/btree.h"
#include "engine/values.h"

#define MAP_BYTES    (1ull << 30)
#define PAGE_BYTES   4096u
#define PAGE_KIND_AT 10u /* btree.h */

static struct index *x;

static void refuse(const char *what)
{
    fprintf(stderr, "proc_folder: %s\n", what);
    exit(1);
}

static struct blob *value_get(enum index_table table, struct slice key)
{
    struct blob *value;
    if (x->get(x, 0, table, key, &value) != 0)
        refuse("nothing is stored under this name");
    return value;
}

static void values_put(enum index_table table, struct slice key, struct slice value,
                       struct slice partition, struct slice counted)
{
    struct index_write *w;
    if (x->begin(x, &w) != 0 || x->put(w, table, key, value) != 0 ||
        (counted.bytes > 0 && x->put(w, INDEX_PARTITION, partition, counted) != 0) ||
        x->commit(w) != 0)
        refuse("the index cannot be written");
}

static void folder_newer(uint32_t format, const char *version)
{
    struct slice name = slice_text("identity"), bytes, none = {NULL, 0};
    struct identity_value identity;
    struct buf encoded, value;
    struct blob *before = value_get(INDEX_META, name);
    if (meta_value_decode(name, slice_blob(before), &bytes) != 0 ||
        identity_decode(bytes, &identity) != 0)
        refuse("the identity cannot be read");
    identity.folder_format = format;
    snprintf(identity.version, sizeof(identity.version), "%s", version);
    buf_init(&encoded, 4096);
    buf_init(&value, 4096);
    identity_encode(&identity, &encoded);
    meta_value_encode(name, buf_slice(&encoded), &value);
    values_put(INDEX_META, name, buf_slice(&value), none, none);
    buf_close(&encoded);
    buf_close(&value);
    blob_unref(before);
}

struct wanted {
    struct slice name;
    uint8_t key[INDEX_KEY_BYTES_MAX];
    size_t key_bytes;
};

static int key_look(void *arg, struct slice index_key, struct slice record)
{
    struct wanted *w = arg;
    uint32_t partition;
    uint64_t hash;
    struct slice key;
    (void)record;
    if (index_data_key_split(index_key, &partition, &hash, &key) != 0 || !slice_equal(key, w->name))
        return 0;
    memcpy(w->key, index_key.data, index_key.bytes);
    w->key_bytes = index_key.bytes;
    return 1;
}

/* The value of a partition (engine.h) when one record of it has other bytes. */
static void counted_follow(struct slice value, const struct blob *before, const struct blob *after,
                           struct buf *out)
{
    struct reader r = reader_of(value);
    struct slice head = read_raw(&r, 4 + 1 + 8); /* checksum, format, LSN */
    uint64_t records = read_varint(&r), live = read_varint(&r), bytes = read_varint(&r);
    uint64_t sum = read_u64(&r);
    buf_put(out, head.data, head.bytes);
    buf_varint(out, records);
    buf_varint(out, live);
    buf_varint(out, bytes - before->bytes + after->bytes);
    buf_u64(out, sum - record_digest(slice_blob(before)) + record_digest(slice_blob(after)));
    struct slice rest = read_raw(&r, reader_left(&r));
    buf_put(out, rest.data, rest.bytes);
    if (r.failed || out->failed)
        refuse("the partition cannot be read");
    le32_put(out->data, crc_update(0, out->data + 4, out->bytes - 4));
}

/* A further record in place of the one before: 0, or it cannot be made. */
typedef struct blob *change_fn(uint32_t partition, struct slice key, const struct blob *before,
                               const void *arg);

static void record_change(const char *name, change_fn *change, const void *arg)
{
    struct wanted w = {.name = slice_text(name)};
    struct buf counts;
    if (x->scan(x, 0, INDEX_DATA, slice_of(NULL, 0), key_look, &w) != 1)
        refuse("the index has no such key");
    struct slice key = slice_of(w.key, w.key_bytes), in = slice_of(w.key, 2);
    struct blob *before = value_get(INDEX_DATA, key), *counted = value_get(INDEX_PARTITION, in);
    struct blob *after = change(be16_get(w.key), w.name, before, arg);
    buf_init(&counts, BLOB_BYTES_MAX);
    counted_follow(slice_blob(counted), before, after, &counts);
    values_put(INDEX_DATA, key, slice_blob(after), in, buf_slice(&counts));
    buf_close(&counts);
    blob_unref(before);
    blob_unref(after);
    blob_unref(counted);
}

static struct blob *format_raise(uint32_t partition, struct slice key, const struct blob *before,
                                 const void *arg)
{
    uint8_t number[2];
    struct blob *after = blob_copy(before->data, before->bytes);
    (void)arg;
    after->data[4]++;
    le16_put(number, (uint16_t)partition);
    uint32_t crc = crc_update(crc_update(0, number, 2), key.data, key.bytes);
    le32_put(after->data, crc_update(crc, after->data + 4, after->bytes - 4));
    return after;
}

struct early {
    uint64_t node, count;
    bool sibling;
};

static struct blob *lives_add_all(uint32_t partition, struct slice key, const struct blob *before,
                                  const void *arg)
{
    const struct early *lives = arg;
    struct state s, changed;
    struct blob *after = NULL;
    state_init(&s);
    state_init(&changed);
    int error = record_decode(slice_blob(before), partition, key, &s);
    for (uint64_t i = 1; i <= lives->count && !error; i++)
        error =
            history_raise(&s.history, (struct actor){lives->node, i << INCARNATION_RANDOM_BITS}, 1);
    if (!error)
        error = history_copy(&changed.history, &s.history);
    for (uint32_t i = 0; i < s.sibling_count && !error; i++) {
        struct sibling one = s.siblings[i];
        if (lives->sibling && i == 0)
            one.dot = (struct dot){{lives->node, 1u << INCARNATION_RANDOM_BITS}, 1};
        error = state_add(&changed, &one);
    }
    if (!error)
        error = record_encode_blob(&changed, partition, key, &after);
    if (error)
        refuse("the record cannot be made anew");
    state_close(&s);
    state_close(&changed);
    return after;
}

/* ---- pages ----------------------------------------------------------------------------------- */

/* The root of the table, or of the free pages, in the newer of the two commits. */
static uint64_t root_of(const uint8_t *map, uint64_t bytes, const char *table)
{
    struct btree two[2] = {0};
    struct btree_root root;
    bool good[2];
    for (unsigned i = 0; i < 2; i++)
        good[i] = btree_meta_read(map, bytes, i, &two[i]) == 0 && btree_check(&two[i]) == 0;
    const struct btree *newest =
        good[1] && (!good[0] || two[1].commit > two[0].commit) ? &two[1] : &two[0];
    if (!good[0] && !good[1])
        refuse("the file is damaged already");
    if (strcmp(table, "free") == 0)
        root = newest->free;
    else if (btree_table(newest, slice_text(table), &root) != 0)
        refuse("there is no such table");
    if (root.root == UINT64_MAX)
        refuse("the table is empty");
    uint64_t number = root.root;
    btree_close(&two[0]);
    btree_close(&two[1]);
    return number;
}

static void page_strike(const char *folder, const char *table, bool head)
{
    char path[4096];
    struct stat facts;
    snprintf(path, sizeof(path), "%s/index/data.mdb", folder);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &facts) != 0)
        refuse("the index cannot be opened");
    uint8_t *map = mmap(NULL, (size_t)facts.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        refuse("the index cannot be read");
    uint64_t number = root_of(map, (uint64_t)facts.st_size, table);
    map[number * PAGE_BYTES + (head ? PAGE_KIND_AT : PAGE_BYTES - 12)] ^= 1;
    printf("page %llu, the first of %s\n", (unsigned long long)number, table);
    munmap(map, (size_t)facts.st_size);
    close(fd);
}

static int usage(const char *program)
{
    fprintf(stderr,
            "usage: %s FOLDER folder FORMAT VERSION | record KEY | lives KEY NODE COUNT |\n"
            "       early KEY NODE COUNT | strike TABLE head|data\n",
            program);
    return 2;
}

int main(int argc, char **argv)
{
    struct log log;
    const char *verb = argc > 3 ? argv[2] : "";
    bool folder = argc == 5 && strcmp(verb, "folder") == 0;
    bool record = argc == 4 && strcmp(verb, "record") == 0;
    bool early = argc == 6 && strcmp(verb, "early") == 0;
    if (argc == 5 && strcmp(verb, "strike") == 0) {
        page_strike(argv[1], argv[3], strcmp(argv[4], "head") == 0);
        return 0;
    }
    if (!folder && !record && !early && !(argc == 6 && strcmp(verb, "lives") == 0))
        return usage(argv[0]);
    log_init(&log, LOG_ERROR, log_sink_stderr, NULL);
    if (index_lmdb_new(argv[1], MAP_BYTES, &log, &x) != 0)
        refuse("the index cannot be opened");
    if (folder) {
        folder_newer((uint32_t)strtoul(argv[3], NULL, 10), argv[4]);
    } else if (record) {
        record_change(argv[3], format_raise, NULL);
    } else {
        struct early lives = {strtoull(argv[4], NULL, 16), strtoull(argv[5], NULL, 10), early};
        record_change(argv[3], lives_add_all, &lives);
    }
    x->destroy(x);
    return 0;
}
