/*
 * Makes a folder that no process uses look as a newer version would have left it, under right
 * checksums.
 *
 *   proc_newer FOLDER folder FORMAT VERSION   it says that it is of this format and by whom
 *   proc_newer FOLDER record KEY              the key's record is of the next format, and counted so
 *
 * Exit 0; 1 when it cannot be done; 2 usage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/crc.h"
#include "engine/base/hash.h"
#include "engine/values.h"

#define MAP_BYTES (1ull << 30)

static struct index *x;

static void refuse(const char *what)
{
    fprintf(stderr, "proc_newer: %s\n", what);
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
    if (index_data_key_split(index_key, &partition, &hash, &key) != 0 ||
        !slice_equal(key, w->name))
        return 0;
    memcpy(w->key, index_key.data, index_key.bytes);
    w->key_bytes = index_key.bytes;
    return 1;
}

/* The sum of digests in the value of a partition (engine.h). */
static void counted_follow(struct blob *value, uint64_t before, uint64_t after)
{
    struct reader r = reader_of(slice_blob(value));
    read_raw(&r, 4 + 1 + 8); /* checksum, format, LSN */
    read_varint(&r);
    read_varint(&r);
    read_varint(&r);
    uint8_t *sum = value->data + (value->bytes - reader_left(&r));
    le64_put(sum, le64_get(sum) - before + after);
    le32_put(value->data, crc_update(0, value->data + 4, value->bytes - 4));
}

static void record_newer(const char *name)
{
    struct wanted w = {.name = slice_text(name)};
    uint8_t partition[2];
    if (x->scan(x, 0, INDEX_DATA, slice_of(NULL, 0), key_look, &w) != 1)
        refuse("the index has no such key");
    struct slice key = slice_of(w.key, w.key_bytes), in = slice_of(w.key, 2);
    struct blob *record = value_get(INDEX_DATA, key), *counted = value_get(INDEX_PARTITION, in);
    uint64_t before = record_digest(slice_blob(record));
    record->data[4]++;
    le16_put(partition, be16_get(w.key));
    uint32_t crc = crc_update(crc_update(0, partition, 2), w.name.data, w.name.bytes);
    le32_put(record->data, crc_update(crc, record->data + 4, record->bytes - 4));
    counted_follow(counted, before, record_digest(slice_blob(record)));
    values_put(INDEX_DATA, key, slice_blob(record), in, slice_blob(counted));
    blob_unref(record);
    blob_unref(counted);
}

int main(int argc, char **argv)
{
    bool folder = argc == 5 && strcmp(argv[2], "folder") == 0;
    if (!folder && !(argc == 4 && strcmp(argv[2], "record") == 0)) {
        fprintf(stderr, "usage: %s FOLDER folder FORMAT VERSION | FOLDER record KEY\n", argv[0]);
        return 2;
    }
    struct log log;
    log_init(&log, LOG_ERROR, log_sink_stderr, NULL);
    if (index_lmdb_new(argv[1], MAP_BYTES, &log, &x) != 0)
        refuse("the index cannot be opened");
    if (folder)
        folder_newer((uint32_t)strtoul(argv[3], NULL, 10), argv[4]);
    else
        record_newer(argv[3]);
    x->destroy(x);
    return 0;
}
