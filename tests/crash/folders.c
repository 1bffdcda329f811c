/*
 * Whose folder it is, and of which version: a second process is told who holds it; what a newer
 * version wrote is refused, with nothing changed; what an older one left is read.
 *
 * Exit code 0: all is so; 1: the lines say what is not; 2: usage.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/crc.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "engine/values.h"
#include "tests/crash/rig.h"
#include "tests/crash/scratch.h"

#define PATH_BYTES 256
#define PUTS       20u
#define NEWER_TYPE 100 /* of a log record, below those that may be skipped */

static char scratch[SCRATCH_BYTES], folder[SCRATCH_BYTES + 16];
static unsigned wrong_count;

__attribute__((format(printf, 1, 2))) static void wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "wrong: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    wrong_count++;
}

/* ---- a folder with a log and an index -------------------------------------------------------- */

static struct rig_config config = {.folder = folder};

/* Half of the puts are in the index, the others in the log alone: its last batch is one of records.
 */
static void folder_fill(struct oracle *o)
{
    struct rig rig;
    memset(o, 0, sizeof(*o));
    scratch_remove(folder);
    for (int life = 0; life < 2; life++) {
        config.seed++; /* a segment that is used again has another salt */
        if (rig_open(&rig, &config) != 0) {
            wrong("a folder could not be made");
            return;
        }
        rig_run(&rig, o); /* what was replayed goes to the index first */
        for (uint32_t i = 0; i < PUTS; i++)
            rig_put(&rig, o, i % ORACLE_KEYS);
        if (rig_run(&rig, o) != 0)
            wrong("a folder could not be filled");
        rig_close(&rig, o, life == 0);
    }
}

static uint32_t sum;

static int file_add(const char *path, const struct stat *facts, int type, struct FTW *at)
{
    (void)at;
    static uint8_t data[1 << 16];
    bool lock = strstr(path, "lock") != NULL; /* of the folder, and of LMDB */
    FILE *f = type == FTW_F && !lock ? fopen(path, "r") : NULL;
    if (!f)
        return 0;
    sum = crc_update(sum, (const uint8_t *)path, strlen(path));
    sum = crc_update(sum, (const uint8_t *)&facts->st_size, sizeof(facts->st_size));
    for (size_t n; (n = fread(data, 1, sizeof(data), f)) > 0;)
        sum = crc_update(sum, data, n);
    fclose(f);
    return 0;
}

/* Of the names and bytes of all files but the locks. Names come in the order of the folder. */
static uint32_t folder_sum(void)
{
    sum = 0;
    nftw(folder, file_add, 8, FTW_PHYS);
    return sum;
}

/* ---- two processes --------------------------------------------------------------------------- */

static void a_second_process_is_told_who_holds_the_folder(void)
{
    struct rig rig;
    char expected[64];
    scratch_remove(folder);
    if (rig_open(&rig, &config) != 0) {
        wrong("a folder could not be made");
        return;
    }
    snprintf(expected, sizeof(expected), "pid %ld tests/crash", (long)getpid());
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct rig second;
        int error = rig_open(&second, &config);
        if (error != GT_ELOCKED)
            _exit(1);
        _exit(strcmp(second.holder, expected) == 0 ? 0 : 2);
    }
    int status = -1;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        wrong("a second process on the folder was %s",
              status == 0x200 ? "not told who holds it" : "let in");
    struct oracle o = {0};
    rig_close(&rig, &o, true);
}

/* ---- versions -------------------------------------------------------------------------------- */

typedef void change_fn(uint8_t *file, size_t bytes);

/* A batch of this use of the segment: with its salt. */
static bool is_batch(const uint8_t *header, const uint8_t *batch)
{
    return memcmp(batch, "GTB1", 4) == 0 && memcmp(header + 24, batch + 24, 8) == 0;
}

/* The last segment that holds a batch. */
static bool last_segment(char path[PATH_BYTES])
{
    char name[PATH_BYTES];
    snprintf(name, sizeof(name), "%s/wal", folder);
    DIR *stream = opendir(name);
    path[0] = 0;
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        uint8_t header[32] = {0}, batch[32] = {0};
        snprintf(name, sizeof(name), "%s/wal/%.40s", folder, entry->d_name);
        int fd = open(name, O_RDONLY);
        bool holds = fd >= 0 && pread(fd, header, 32, 0) == 32 &&
                     pread(fd, batch, 32, WAL_BLOCK) == 32 && is_batch(header, batch);
        if (fd >= 0)
            close(fd);
        if (holds && strcmp(name, path) > 0)
            snprintf(path, PATH_BYTES, "%s", name);
    }
    if (stream)
        closedir(stream);
    return path[0] != 0;
}

static void segment_change(change_fn *change)
{
    char path[PATH_BYTES];
    static uint8_t file[1 << 20];
    FILE *f = last_segment(path) ? fopen(path, "r+") : NULL;
    if (!f) {
        wrong("no segment with a batch");
        return;
    }
    size_t bytes = fread(file, 1, sizeof(file), f);
    change(file, bytes);
    rewind(f);
    if (fwrite(file, 1, bytes, f) != bytes)
        wrong("a segment could not be changed");
    fclose(f);
}

static void segment_newer(uint8_t *file, size_t bytes)
{
    (void)bytes;
    le32_put(file + 8, 2);
    le32_put(file + 44, crc_update(0, file, 44));
}

static uint8_t *batch_last(uint8_t *file, size_t bytes)
{
    uint8_t *last = file + WAL_BLOCK;
    for (size_t at = WAL_BLOCK; at < bytes; at += WAL_BLOCK)
        if (is_batch(file, file + at))
            last = file + at;
    return last;
}

static void batch_newer(uint8_t *file, size_t bytes)
{
    uint8_t *h = batch_last(file, bytes);
    le16_put(h + 4, 2);
    le32_put(h + 60, crc_update(0, h, 60));
}

static void record_newer(uint8_t *file, size_t bytes)
{
    uint8_t *h = batch_last(file, bytes);
    h[WAL_BATCH_HEADER] = NEWER_TYPE;
    le32_put(h + 44, crc_update(0, h + WAL_BATCH_HEADER, le32_get(h + 8)));
    le32_put(h + 60, crc_update(0, h, 60));
}

/* The record of the key's state in the first record of the log's last batch. */
static void logged_state_newer(uint8_t *file, size_t bytes)
{
    uint8_t *h = batch_last(file, bytes), partition[2];
    struct reader r = reader_of(slice_of(h + WAL_BATCH_HEADER, le32_get(h + 8)));
    struct wal_record logged = {.type = read_u8(&r)};
    struct state_record s;
    logged.payload = read_bytes(&r);
    if (logged.type != LOG_STATE || state_record_decode(&logged, &s) != 0) {
        wrong("the last batch does not begin with a state");
        return;
    }
    uint8_t *record = file + (s.record.data - file);
    record[4]++;
    le16_put(partition, (uint16_t)s.partition);
    uint32_t crc = crc_update(crc_update(0, partition, 2), s.key.data, s.key.bytes);
    le32_put(record, crc_update(crc, record + 4, s.record.bytes - 4));
    le32_put(h + 44, crc_update(0, h + WAL_BATCH_HEADER, le32_get(h + 8)));
    le32_put(h + 60, crc_update(0, h, 60));
}

struct found {
    uint8_t key[INDEX_KEY_BYTES_MAX], value[1 << 16];
    size_t key_bytes, value_bytes;
    const char *wanted;
};

static int value_take(void *arg, struct slice key, struct slice value)
{
    struct found *f = arg;
    if (f->wanted && !slice_equal(key, slice_text(f->wanted)))
        return 0;
    memcpy(f->key, key.data, key.bytes);
    memcpy(f->value, value.data, value.bytes);
    f->key_bytes = key.bytes;
    f->value_bytes = value.bytes;
    return 1;
}

/* Of the value itself. */
static void format_raise(struct found *f)
{
    f->value[4]++;
}

/* Of the folder: an identity that this program can read says that the rest is newer. */
static void folder_raise(struct found *f)
{
    struct slice name = slice_of(f->key, f->key_bytes), bytes;
    struct identity_value identity;
    struct buf encoded, value;
    if (meta_value_decode(name, slice_of(f->value, f->value_bytes), &bytes) != 0 ||
        identity_decode(bytes, &identity) != 0)
        wrong("the identity cannot be read");
    identity.folder_format++;
    buf_init(&encoded, sizeof(f->value));
    buf_init(&value, sizeof(f->value));
    identity_encode(&identity, &encoded);
    meta_value_encode(name, buf_slice(&encoded), &value);
    memcpy(f->value, value.data, value.bytes);
    f->value_bytes = value.bytes;
    buf_close(&encoded);
    buf_close(&value);
}

/* The first value of the table, or that of the name, is made newer, under a right checksum. */
static void value_newer(enum index_table table, const char *name, void (*raise)(struct found *f))
{
    static struct found f;
    struct index *x;
    struct index_write *w;
    struct log log;
    log_init(&log, LOG_ERROR, log_sink_stderr, NULL);
    f.wanted = name;
    f.value_bytes = 0;
    if (index_lmdb_new(folder, 1u << 30, &log, &x) != 0) {
        wrong("the index could not be opened");
        return;
    }
    x->scan(x, 0, table, slice_of(NULL, 0), value_take, &f);
    raise(&f);
    uint32_t crc = name ? crc_update(0, f.key, f.key_bytes) : 0;
    le32_put(f.value, crc_update(crc, f.value + 4, f.value_bytes - 4));
    if (f.value_bytes < 5 || x->begin(x, &w) != 0 ||
        x->put(w, table, slice_of(f.key, f.key_bytes), slice_of(f.value, f.value_bytes)) != 0 ||
        x->commit(w) != 0)
        wrong("a value of the index could not be changed");
    x->destroy(x);
}

static void is_refused(const char *what)
{
    struct rig rig;
    uint32_t before = folder_sum();
    int error = rig_open(&rig, &config);
    if (error != GT_EFORMAT)
        wrong("%s: expected a refusal as newer, saw: %s", what, error_text(error));
    if (error == 0)
        rig_close(&rig, &(struct oracle){0}, false);
    if (folder_sum() != before)
        wrong("%s: the folder was changed", what);
}

static void a_newer_version_is_refused_and_nothing_changed(void)
{
    static const struct {
        const char *what;
        change_fn *change;
        enum index_table table;
        const char *name;
        void (*raise)(struct found *f);
    } newer[] = {
        {"a segment", segment_newer, 0, NULL, NULL},
        {"a batch", batch_newer, 0, NULL, NULL},
        {"a log record", record_newer, 0, NULL, NULL},
        {"a state in the log", logged_state_newer, 0, NULL, NULL},
        {"a partition", NULL, INDEX_PARTITION, NULL, format_raise},
        {"the identity", NULL, INDEX_META, "identity", format_raise},
        {"the folder", NULL, INDEX_META, "identity", folder_raise},
        {"the applied mark", NULL, INDEX_META, "applied", format_raise},
    };
    struct oracle o;
    for (size_t i = 0; i < sizeof(newer) / sizeof(newer[0]); i++) {
        folder_fill(&o);
        if (newer[i].change)
            segment_change(newer[i].change);
        else
            value_newer(newer[i].table, newer[i].name, newer[i].raise);
        is_refused(newer[i].what);
    }
}

/* Earlier versions wrote one line into the lock, and left it there. */
static void the_lock_of_an_older_version_says_nothing_of_copies(void)
{
    struct oracle o;
    struct rig rig;
    char path[PATH_BYTES], why[160];
    folder_fill(&o);
    snprintf(path, sizeof(path), "%s/node.lock", folder);
    FILE *f = fopen(path, "w");
    if (!f || fprintf(f, "pid 12 gtstore-node node1\n") < 0 || fclose(f) != 0)
        wrong("the lock could not be written");
    int error = rig_open(&rig, &config);
    if (error || rig.report.doubtful || !rig_check(&rig, &o, false, why, sizeof(why)))
        wrong("a folder of an older version: %s", error ? error_text(error) : "in doubt, or lost");
    if (!error)
        rig_close(&rig, &o, true);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--mutant") == 0) {
        mutant_chosen = argv[2];
    } else if (argc != 1) {
        bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
        fprintf(help ? stdout : stderr, "usage: %s [--mutant NAME]\n", argv[0]);
        return help ? 0 : 2;
    }
    scratch_make("folders", scratch);
    snprintf(folder, sizeof(folder), "%s/data", scratch);
    a_second_process_is_told_who_holds_the_folder();
    a_newer_version_is_refused_and_nothing_changed();
    the_lock_of_an_older_version_says_nothing_of_copies();
    scratch_remove(scratch);
    printf("folders: %u wrong\n", wrong_count);
    return wrong_count > 0;
}
