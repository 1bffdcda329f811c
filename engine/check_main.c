/*
 * gtstore-check DIR [--salvage OUT]: reads a data folder that no process uses and verifies every
 * checksum in it: named values, partitions with their clocks, counts and digest sums, every record
 * of the index, every batch and record of the log. It changes nothing but what any start would: it
 * takes the lock, and removes half-made log segments.
 *
 * An index on which no node starts is read all the same, as far as its pages go.
 *
 * --salvage writes every live key that can still be read to OUT, a new file, as lines for
 * `gtstore import`.
 *
 * What a newer version wrote is told apart from damage: a folder of a newer format is left alone,
 * and what is of a newer format in another one is named, and left out of what is salvaged.
 *
 * Exit: 0 sound, 1 damaged, of a newer version or unreadable, 2 usage.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/base64.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/program.h"
#include "engine/dotlog.h"
#include "engine/parcels.h"
#include "engine/values.h"

#define MAP_BYTES      (1ull << 40)
#define LANE           0u
#define LINE_BYTES_MAX (4ull << 30) /* any record that memory holds */

struct tally {
    struct counts expected, found;
    uint64_t lsn;
    uint64_t bad_index, bad_log;
    uint64_t newer_index, newer_log;
    bool known; /* it has a value in the index */
    bool bad_value, newer_value;
};

struct check {
    struct log log;
    struct disk *disk;
    struct index *index;
    struct tally *tallies; /* by partition */
    struct buf text;       /* one line of what is salvaged */
    struct overlay *newer; /* records of the log that the index does not have */
    struct applied_value applied;
    bool identity_found, log_made;
    uint64_t records, log_records, problems, newer_count, salvaged;
    FILE *out;
};

static void problem(struct check *c, const char *what, const char *name, int error)
{
    bool is_newer = error == GT_EFORMAT;
    c->newer_count += is_newer;
    c->problems += !is_newer;
    printf("%s: %s %s: %s\n", is_newer ? "newer" : "damaged", what, name, error_text(error));
}

/* ---- reading --------------------------------------------------------------------------------- */

static int each_meta(void *arg, struct slice name, struct slice value)
{
    struct check *c = arg;
    struct slice bytes;
    struct identity_value identity;
    char text[64];
    int error = meta_value_decode(name, value, &bytes);
    if (!error && slice_equal(name, slice_text("identity"))) {
        error = identity_decode(bytes, &identity);
        c->identity_found = true;
        c->log_made = !error && identity.log_made;
    }
    if (!error && slice_equal(name, slice_text("applied")))
        error = applied_decode(bytes, &c->applied);
    if (error) {
        snprintf(text, sizeof(text), "%.*s", (int)name.bytes, (const char *)name.data);
        problem(c, "named value", text, error);
    }
    return 0;
}

static int each_partition(void *arg, struct slice key, struct slice value)
{
    struct check *c = arg;
    struct clock clock, floor;
    struct partition_operations operations;
    struct fill fill;
    if (key.bytes != 2) {
        problem(c, "partition", "(no number)", GT_ECORRUPT);
        return 0;
    }
    struct tally *t = &c->tallies[be16_get(key.data)];
    clock_init(&clock);
    clock_init(&floor);
    fill_init(&fill);
    int error =
        partition_value_decode(value, &t->lsn, &t->expected, &clock, &floor, &operations, &fill);
    clock_close(&clock);
    clock_close(&floor);
    fill_close(&fill);
    t->known = true;
    t->bad_value = error != 0;
    if (error == GT_EFORMAT) {
        char text[16];
        snprintf(text, sizeof(text), "%u", be16_get(key.data));
        problem(c, "partition", text, error);
        t->bad_value = false;
        t->newer_value = true; /* and its counts are not known */
    }
    return error == GT_ENOMEM ? error : 0;
}

static struct presence presence_in(struct slice record, const struct state *s)
{
    const struct sibling *winner = state_winner(s);
    bool value = winner && !(winner->flags & SIBLING_TOMBSTONE);
    return (struct presence){.digest = record_digest(record),
                             .bytes = (uint32_t)record.bytes,
                             .kind = value ? PRESENCE_VALUE : PRESENCE_TOMBSTONE};
}

static int each_record(void *arg, struct slice index_key, struct slice record)
{
    struct check *c = arg;
    static const struct presence absent;
    struct state s;
    uint32_t partition;
    uint64_t hash;
    struct slice key;
    if (index_data_key_split(index_key, &partition, &hash, &key) != 0) {
        problem(c, "key of the index", "(too short)", GT_ECORRUPT);
        return 0;
    }
    struct tally *t = &c->tallies[partition];
    state_init(&s);
    int error = record_decode(record, partition, key, &s);
    if (!error && hash != hash_bytes(key))
        error = GT_ECORRUPT;
    c->records++;
    if (!error || error == GT_EFORMAT) { /* of a newer one it is not known whether it is live */
        struct presence now = presence_in(record, &s);
        counts_replace(&t->found, key.bytes, &absent, &now);
        t->newer_index += error == GT_EFORMAT;
    } else {
        t->bad_index++;
    }
    state_close(&s);
    return error == GT_ENOMEM ? error : 0;
}

static int each_parcel(void *arg, struct slice index_key, struct slice value)
{
    struct check *c = arg;
    struct parcel_name name;
    struct parcel_value v;
    struct slice bytes;
    int error = parcel_index_key_split(index_key, &name);
    if (!error)
        error = meta_value_decode(index_key, value, &bytes);
    if (!error)
        error = parcel_value_decode(bytes, &v);
    if (!error)
        error = record_known(v.record, name.partition, name.key);
    if (error)
        problem(c, "parcel", "kept for another owner", error);
    return error == GT_ENOMEM ? error : 0;
}

static int each_dot(void *arg, struct slice index_key, struct slice value)
{
    struct check *c = arg;
    uint32_t partition;
    struct dot d;
    struct slice key;
    int error = dotlog_index_key_split(index_key, &partition, &d);
    if (!error)
        error = meta_value_decode(index_key, value, &key);
    if (error)
        problem(c, "row of the dot log", "of a live sibling", error);
    return 0;
}

/* ---- pages ----------------------------------------------------------------------------------- */

/* Where keys that cannot be read begin or end. Those of records are in the order of partition and
 * hash. */
static void bound_print(struct slice bound, enum index_table table, const char *none)
{
    if (bound.bytes >= 2 && table != INDEX_META && table != INDEX_PARCEL)
        printf("partition %u", be16_get(bound.data));
    else
        printf("%s", bound.bytes > 0 ? "a key between" : none);
    if (bound.bytes >= 10 && table == INDEX_DATA)
        printf(" hash %016llx", (unsigned long long)be64_get(bound.data + 2));
}

/* All of a table: where a page is damaged it says so, and goes on behind. */
static int table_read(struct check *c, enum index_table table, const char *what,
                      int (*each)(void *arg, struct slice key, struct slice value))
{
    struct index *x = c->index;
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct slice from, to, next = {NULL, 0};
    for (;;) {
        int error = x->scan(x, LANE, table, next, each, c);
        if (error != GT_ECORRUPT || !x->hole(x, LANE, &from, &to))
            return error;
        c->problems++;
        printf("damaged: index: %s cannot be read from ", what);
        bound_print(from, table, "the first");
        printf(" to ");
        bound_print(to, table, "the last");
        printf("\n");
        if (to.bytes == 0 || slice_compare(to, next) <= 0)
            return 0;
        memcpy(at, to.data, to.bytes);
        next = slice_of(at, to.bytes);
    }
}

/* ---- the log --------------------------------------------------------------------------------- */

static int newer_keep(struct check *c, const struct state_record *s, uint64_t lsn)
{
    static const struct presence unused;
    uint64_t hash = hash_bytes(s->key);
    struct blob *record = s->reaped ? NULL : blob_copy(s->record.data, s->record.bytes);
    if (!record && !s->reaped)
        return GT_ENOMEM;
    struct overlay_entry *entry = overlay_find(c->newer, s->partition, hash, s->key);
    if (entry) {
        overlay_replace(c->newer, entry, record, &unused, lsn);
        return 0;
    }
    entry = overlay_entry_new(s->partition, hash, s->key, &unused);
    if (!entry || overlay_reserve(c->newer, s->partition) != 0) {
        overlay_entry_free(entry);
        blob_unref(record);
        return GT_ENOMEM;
    }
    overlay_insert(c->newer, entry, record, &unused, lsn);
    return 0;
}

static int each_logged(void *arg, const struct wal_record *r)
{
    struct check *c = arg;
    struct state_record s;
    char text[64];
    c->log_records++;
    if (r->type != LOG_STATE && r->type != LOG_REAP) {
        if (r->type == LOG_META || r->type == LOG_CLOCK || r->type == LOG_FILL ||
            r->type == LOG_DROP || r->type == LOG_PARCEL || r->type >= LOG_OPTIONAL_MIN)
            return 0;
        snprintf(text, sizeof(text), "lsn %llu type %u", (unsigned long long)r->lsn, r->type);
        problem(c, "log record", text, GT_EFORMAT);
        return 0;
    }
    int error = state_record_decode(r, &s);
    if (error) {
        snprintf(text, sizeof(text), "lsn %llu", (unsigned long long)r->lsn);
        problem(c, "log record", text, error);
        return 0;
    }
    struct tally *t = &c->tallies[s.partition];
    error = record_known(s.record, s.partition, s.key);
    if (error) {
        t->newer_log += error == GT_EFORMAT;
        t->bad_log += error != GT_EFORMAT;
        return 0;
    }
    return r->lsn > t->lsn ? newer_keep(c, &s, r->lsn) : 0;
}

static int log_check(struct check *c)
{
    struct wal_report report;
    uint64_t floor_segment = c->applied.floor_segment ? c->applied.floor_segment : 1;
    int error = wal_recover(c->disk, &c->log, floor_segment, c->applied.lsn, false, each_logged, c,
                            &report);
    if (error) {
        problem(c, "log", "wal/", error);
        return error == GT_ENOMEM ? error : 0;
    }
    if (report.middle) {
        c->problems++;
        printf("damaged: log wal/: records are missing in the middle, lsn %llu to %llu\n",
               (unsigned long long)report.lost_first_lsn, (unsigned long long)report.lost_last_lsn);
    }
    if (c->applied.highest_lsn > c->applied.lsn && c->applied.highest_lsn > report.last_lsn) {
        c->problems++;
        printf("damaged: log wal/: ends before lsn %llu, which was durable\n",
               (unsigned long long)c->applied.highest_lsn);
    }
    if (c->log_made && report.last_segment == 0) {
        c->problems++;
        printf("damaged: log wal/: it is gone, and what the index lacks of it\n");
    }
    if (report.tail)
        printf("note: the log ends in an unfinished batch, as it does after a crash\n");
    return 0;
}

/* ---- the verdict by partition ---------------------------------------------------------------- */

static bool tally_miscounts(const struct tally *t)
{
    struct counts found = t->found;
    if (t->newer_index > 0)
        found.live = t->expected.live;
    return !t->newer_value && !counts_equal(&t->expected, &found);
}

static bool tally_is_bad(const struct tally *t)
{
    return t->bad_value || t->bad_index > 0 || t->bad_log > 0 || tally_miscounts(t);
}

static bool tally_is_newer(const struct tally *t)
{
    return t->newer_index > 0 || t->newer_log > 0;
}

/* One line for each run of partitions with records of a newer format. */
static void newer_print(struct check *c)
{
    for (uint32_t first = 0; first < PARTITIONS_MAX; first++) {
        uint64_t index = 0, log = 0;
        uint32_t end = first;
        for (; end < PARTITIONS_MAX && tally_is_newer(&c->tallies[end]); end++) {
            index += c->tallies[end].newer_index;
            log += c->tallies[end].newer_log;
        }
        if (end == first)
            continue;
        printf("newer: partitions %u-%u: %llu records in the index, %llu in the log, of a format "
               "above %u\n",
               first, end - 1, (unsigned long long)index, (unsigned long long)log, RECORD_FORMAT);
        c->newer_count += index + log;
        first = end;
    }
}

/* One line for each run of damaged partitions. */
static void tallies_print(struct check *c)
{
    for (uint32_t first = 0; first < PARTITIONS_MAX; first++) {
        if (!tally_is_bad(&c->tallies[first]))
            continue;
        uint64_t values = 0, index = 0, log = 0, counts = 0;
        uint32_t end = first;
        for (; end < PARTITIONS_MAX && tally_is_bad(&c->tallies[end]); end++) {
            const struct tally *t = &c->tallies[end];
            values += t->bad_value;
            index += t->bad_index;
            log += t->bad_log;
            counts += !t->bad_value && tally_miscounts(t);
        }
        printf(
            "damaged: partitions %u-%u: %llu records in the index, %llu in the log, %llu clocks; "
            "counts or digest sums wrong in %llu\n",
            first, end - 1, (unsigned long long)index, (unsigned long long)log,
            (unsigned long long)values, (unsigned long long)counts);
        c->problems += values + index + log + counts;
        first = end;
    }
}

/* ---- salvage --------------------------------------------------------------------------------- */

/* Into c->text. */
static void field_write(struct check *c, const char *name, struct slice bytes)
{
    buf_printf(&c->text, "\"%s\": \"", name);
    base64_encode(bytes, &c->text);
    buf_u8(&c->text, '"');
}

/* One line for a key that has a value; tombstones among siblings are left out. 0 or GT_ENOMEM. */
static int key_write(struct check *c, struct slice key, const struct state *s)
{
    uint32_t values = 0;
    for (uint32_t i = 0; i < s->sibling_count; i++)
        values += !(s->siblings[i].flags & SIBLING_TOMBSTONE) && state_shown(s, i);
    if (values == 0)
        return 0;
    buf_clear(&c->text);
    buf_u8(&c->text, '{');
    field_write(c, "key64", key);
    buf_printf(&c->text, values == 1 ? ", " : ", \"siblings\": [");
    for (uint32_t i = 0, written = 0; i < s->sibling_count; i++) {
        if (s->siblings[i].flags & SIBLING_TOMBSTONE || !state_shown(s, i))
            continue;
        if (values > 1)
            buf_printf(&c->text, written++ > 0 ? "}, {" : "{");
        field_write(c, "value64", s->siblings[i].value);
    }
    buf_printf(&c->text, values == 1 ? "}\n" : "}]}\n");
    if (c->text.failed)
        return GT_ENOMEM;
    c->salvaged++;
    fwrite(c->text.data, 1, c->text.bytes, c->out);
    return 0;
}

static int record_write(struct check *c, uint32_t partition, struct slice key, struct slice record)
{
    struct state s;
    state_init(&s);
    int error = record_decode(record, partition, key, &s);
    if (!error)
        error = key_write(c, key, &s);
    state_close(&s);
    return error == GT_ENOMEM ? error : 0;
}

static int each_salvaged(void *arg, struct slice index_key, struct slice record)
{
    struct check *c = arg;
    uint32_t partition;
    uint64_t hash;
    struct slice key;
    /* By the hash of the key: the one that lies beside it may be what has rotted. */
    if (index_data_key_split(index_key, &partition, &hash, &key) != 0 ||
        overlay_find(c->newer, partition, hash_bytes(key), key))
        return 0;
    return record_write(c, partition, key, record);
}

static int salvage(struct check *c, const char *path)
{
    c->out = fopen(path, "w");
    if (!c->out) {
        fprintf(stderr, "gtstore-check: cannot write %s: %s\n", path, strerror(errno));
        return GT_EIO;
    }
    int error = table_read(c, INDEX_DATA, "records", each_salvaged);
    for (uint32_t i = 0; i < c->newer->dirty_count && !error; i++) {
        struct overlay_entry *entry = c->newer->chains[c->newer->dirty[i]].first;
        for (; entry && !error; entry = entry->next)
            error =
                record_write(c, entry->partition, overlay_key(entry), slice_blob(entry->record));
    }
    bool failed = ferror(c->out) != 0;
    if (fclose(c->out) != 0 || failed) {
        fprintf(stderr, "gtstore-check: cannot write %s: %s\n", path, strerror(errno));
        return GT_EIO;
    }
    printf("salvaged %llu keys to %s\n", (unsigned long long)c->salvaged, path);
    return error;
}

/* ---- the program ----------------------------------------------------------------------------- */

static int check_open(struct check *c, const char *folder)
{
    char holder[DISK_HOLDER_BYTES], path[4096];
    struct stat facts;
    snprintf(path, sizeof(path), "%s/index/data.mdb", folder);
    /* Looked for first, since opening would make an empty one. */
    if (stat(path, &facts) != 0) {
        fprintf(stderr, "gtstore-check: no data folder, %s: %s\n", path, strerror(errno));
        return GT_ENOTFOUND;
    }
    int error = disk_posix_new(folder, "gtstore-check", &c->log, &c->disk, holder);
    if (error) {
        fprintf(stderr,
                error == GT_ELOCKED ? "gtstore-check: %s is in use by %s\n"
                                    : "gtstore-check: %s: %s\n",
                folder, holder);
        return error;
    }
    if (c->disk->copied)
        error = index_pages_check(folder, &c->log);
    if (!error)
        error = index_lmdb_new(folder, MAP_BYTES, &c->log, &c->index);
    if (error == GT_ECORRUPT) {
        problem(c, "index", "its first pages: no node starts on it", error);
        c->index = NULL;
        error = index_read_new(folder, &c->index);
    }
    if (error) {
        c->index = NULL;
        fprintf(stderr, "gtstore-check: %s: %s\n", path, error_text(error));
    }
    return error;
}

/* A folder of a newer format is not read on: what stands in it is not known, nor whether it may be
 * changed as little as a start does. 0, or GT_EFORMAT. */
static int format_check(struct check *c, const char *folder)
{
    struct slice name = slice_text("identity"), bytes;
    struct identity_value identity = {0};
    struct blob *value = NULL;
    if (c->index->get(c->index, LANE, INDEX_META, name, &value) != 0)
        return 0;
    bool told = meta_value_decode(name, slice_blob(value), &bytes) == 0 &&
                identity_decode(bytes, &identity) == 0;
    blob_unref(value);
    if (!told || identity.folder_format <= FOLDER_FORMAT)
        return 0;
    printf("newer: %s is of format %u, written by version %s; this is version " GT_VERSION
           ", which knows formats up to %u: use the newer gtstore-check\n",
           folder, identity.folder_format, identity.version, FOLDER_FORMAT);
    return GT_EFORMAT;
}

/* Nothing can be written where these are bad, so no node opens it. */
static int free_pages_check(struct check *c)
{
    struct index_write *w;
    int error = c->index->begin(c->index, &w);
    if (!error)
        c->index->abort(w);
    if (error != GT_ECORRUPT)
        return error;
    problem(c, "index", "its list of free pages", error);
    return 0;
}

static int check_read(struct check *c)
{
    if (c->index->mended)
        printf("note: the index goes on from the commit before its last one, as it does when the "
               "power is cut in a commit\n");
    int error = table_read(c, INDEX_META, "named values", each_meta);
    if (!error && !c->identity_found)
        problem(c, "named value", "identity", GT_ENOTFOUND);
    if (!error)
        error = table_read(c, INDEX_PARTITION, "partitions", each_partition);
    if (!error)
        error = table_read(c, INDEX_DATA, "records", each_record);
    if (!error)
        error = table_read(c, INDEX_LOG, "the dot logs", each_dot);
    if (!error)
        error = table_read(c, INDEX_PARCEL, "parcels", each_parcel);
    if (!error)
        error = free_pages_check(c);
    if (!error)
        error = log_check(c);
    if (!error) {
        newer_print(c);
        tallies_print(c);
    }
    return error;
}

static const char *verdict(const struct check *c)
{
    return c->problems > 0 ? "damaged" : c->newer_count > 0 ? "newer" : "sound";
}

static int check_run(struct check *c, const char *folder, const char *salvage_path)
{
    c->tallies = calloc(PARTITIONS_MAX, sizeof(*c->tallies));
    buf_init(&c->text, LINE_BYTES_MAX);
    c->newer = overlay_new();
    int error = c->tallies && c->newer ? check_open(c, folder) : GT_ENOMEM;
    if (!error)
        error = format_check(c, folder);
    if (!error) {
        error = check_read(c);
        if (error)
            fprintf(stderr, "gtstore-check: cannot read %s: %s\n", folder, error_text(error));
    }
    if (!error && salvage_path)
        error = salvage(c, salvage_path);
    if (!error)
        printf("%s: %llu records in the index, %llu in the log, %llu problem%s\n", verdict(c),
               (unsigned long long)c->records, (unsigned long long)c->log_records,
               (unsigned long long)c->problems, c->problems == 1 ? "" : "s");
    if (!error && c->newer_count > 0)
        printf("newer: %llu parts are of a newer version than " GT_VERSION
               ", and left as they are: use that version%s\n",
               (unsigned long long)c->newer_count,
               salvage_path ? "; nothing of them is among what was salvaged" : "");
    if (c->index)
        c->index->destroy(c->index);
    if (c->disk)
        c->disk->destroy(c->disk);
    buf_close(&c->text);
    overlay_free(c->newer);
    free(c->tallies);
    return error || c->problems || c->newer_count ? 1 : 0;
}

static int usage(void)
{
    return fputs("usage: gtstore-check DIR [--salvage OUT]\n"
                 "Verifies the data folder of a node that is not running.\n"
                 "  --salvage OUT   write every key that can be read, as lines for gtstore import; "
                 "OUT is a new file\n"
                 "Exit: 0 sound, 1 damaged or of a newer version, 2 usage\n",
                 stdout) < 0;
}

static int wrong(const char *what, const char *which)
{
    fprintf(stderr, "gtstore-check: %s%s; see: gtstore-check --help\n", what, which);
    return 2;
}

/* A plain file: what is salvaged goes to a device or a pipe as well. */
static bool file_exists(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISREG(facts.st_mode);
}

/* The index's pages point at each other by number, and a flipped bit can send LMDB outside of its
 * file or map. Nothing can be said then of what lies behind. */
static void on_bad_page(int number)
{
    static const char line[] =
        "damaged: the index's pages are broken, what lies behind them cannot be read\n";
    (void)number;
    if (write(STDOUT_FILENO, line, sizeof(line) - 1) < 0)
        _exit(1);
    _exit(1);
}

static int check_main(int argc, char **argv)
{
    struct sigaction bad_page = {.sa_handler = on_bad_page};
    sigaction(SIGBUS, &bad_page, NULL);
    sigaction(SIGSEGV, &bad_page, NULL);
    const char *folder = NULL, *salvage_path = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return usage();
        if (strcmp(argv[i], "--version") == 0)
            return printf("gtstore-check %s\n", GT_VERSION) < 0;
        if (strcmp(argv[i], "--salvage") == 0 && i + 1 < argc)
            salvage_path = argv[++i];
        else if (strncmp(argv[i], "--salvage=", 10) == 0)
            salvage_path = argv[i] + 10;
        else if (strcmp(argv[i], "--salvage") == 0)
            return wrong("--salvage needs a file", "");
        else if (argv[i][0] == '-')
            return wrong("unknown flag ", argv[i]);
        else if (folder)
            return wrong("unexpected argument ", argv[i]);
        else
            folder = argv[i];
    }
    if (!folder)
        return wrong("the data folder of a node is needed", "");
    if (access(folder, F_OK) != 0)
        return wrong("no folder can be read at ", folder);
    static struct check c;
    log_init(&c.log, LOG_WARN, log_sink_stderr, NULL);
    if (salvage_path && file_exists(salvage_path))
        return wrong("the file exists already, and may be all that is left: ", salvage_path);
    return check_run(&c, folder, salvage_path);
}

int main(int argc, char **argv)
{
    program_begin(argv, "gtstore-check");
    program_parsed(); /* what it prints is flushed here, whatever it is */
    return program_flush(check_main(argc, argv));
}
