/*
 * Opening a folder, and leaving it:
 *
 *   index: identity, applied mark, named values, partitions -> log from the floor on, records above
 *   the LSN of their partition into the overlay -> a fresh incarnation, durable -> a fresh segment
 *
 * An old segment is never appended to: whatever its end looked like, what is written from now on
 * lies behind it, in a segment of its own.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/mutant.h"
#include "engine/engine_private.h"

#define INCARNATION_SECONDS_MAX (UINT64_MAX >> INCARNATION_RANDOM_BITS)

/* ---- the index ------------------------------------------------------------------------------- */

struct loading {
    struct engine *e;
    struct applied_value applied;
    bool identity_found;
    bool unnoted;      /* a partition was written by a version without the table of operations */
    uint32_t bad_rows; /* of the dot logs */
    struct engine_damage found; /* by the log's recovery */
};

static void stamp_raise(struct engine *e, uint64_t stamp)
{
    if (stamp > e->stamp_max)
        e->stamp_max = stamp;
}

static int meta_load(void *arg, struct slice name, struct slice value)
{
    struct loading *l = arg;
    struct engine *e = l->e;
    struct slice bytes;
    int error = name.bytes <= META_NAME_MAX ? meta_value_decode(name, value, &bytes) : GT_ECORRUPT;
    if (!error && slice_equal(name, slice_text("identity"))) {
        error = identity_decode(bytes, &e->identity_value);
        l->identity_found = true;
    } else if (!error && slice_equal(name, slice_text("applied"))) {
        error = applied_decode(bytes, &l->applied);
        stamp_raise(e, l->applied.stamp_max);
    } else if (!error) {
        struct meta *m = engine_meta_find(e, name, true);
        if (m)
            m->value = blob_copy(bytes.data, bytes.bytes);
        error = m ? m->value ? 0 : GT_ENOMEM : GT_ECORRUPT;
    }
    if (error)
        log_error(e->log, "index value unreadable name=%.*s cause=%s", (int)name.bytes,
                  (const char *)name.data, error_text(error));
    return error;
}

static void counts_add(struct counts *to, const struct counts *from)
{
    to->records += from->records;
    to->live += from->live;
    to->bytes += from->bytes;
    to->digest_sum += from->digest_sum;
}

static void operations_replay(struct engine *e, uint32_t partition, struct slice rows)
{
    for (uint32_t i = 0; i < operations_count(rows); i++) {
        struct operation o = operations_at(rows, i);
        operations_note(&e->operations, partition, &o);
    }
}

static void operations_load_all(struct engine *e, uint32_t partition, struct slice rows)
{
    for (uint32_t i = 0; i < operations_count(rows); i++) {
        struct operation o = operations_at(rows, i);
        operations_load(&e->operations, partition, &o);
    }
}

static int partition_load(void *arg, struct slice key, struct slice value)
{
    struct engine *e = ((struct loading *)arg)->e;
    struct partition_operations operations;
    uint32_t number = key.bytes == 2 ? be16_get(key.data) : PARTITIONS_MAX;
    struct partition *p = number < PARTITIONS_MAX ? engine_partition_get(e, number) : NULL;
    int error = number < PARTITIONS_MAX ? GT_ENOMEM : GT_ECORRUPT;
    if (p)
        error = partition_value_decode(value, &p->lsn, &p->counts, &p->clock, &p->floor,
                                       &operations, &p->fill);
    if (error) {
        log_error(e->log, "index value of a partition unreadable partition=%u cause=%s", number,
                  error_text(error));
        return error;
    }
    counts_add(&e->totals, &p->counts);
    operations_load_all(e, number, operations.run);
    operations_floor_raise(&e->operations, operations.floor);
    /* What earlier versions superseded they did not note. */
    ((struct loading *)arg)->unnoted |= !operations.written;
    return 0;
}

/* A row that has rotted is one that may be missing: see log_rotted. */
static int dot_load(void *arg, struct slice index_key, struct slice value)
{
    struct loading *l = arg;
    struct engine *e = l->e;
    uint32_t number;
    struct dot d;
    struct slice key;
    int error = dotlog_index_key_split(index_key, &number, &d);
    if (!error)
        error = meta_value_decode(index_key, value, &key);
    if (error == GT_ECORRUPT) {
        l->bad_rows++;
        return 0;
    }
    struct partition *p = error ? NULL : engine_partition_get(e, number);
    if (!error && !p)
        error = GT_ENOMEM;
    return error ? error : engine_dot_keep(e, p, d, key, true, DOTLOG_UNKNOWN);
}

/*
 * Rows of the dot logs cannot be read, and of which partitions they were is not known: entries may
 * be missing below what each has in its clock (RULES 3). Who lacks more than that is given every
 * key.
 */
static int log_rotted(struct loading *l)
{
    struct engine *e = l->e;
    int error = 0;
    log_error(e->log, "rows of the dot log unreadable count=%u", l->bad_rows);
    events_add(e->events, EVENT_BAD_RECORD, "%u rows of the dot log", l->bad_rows);
    e->metrics.bad_records_count += l->bad_rows;
    for (uint32_t i = 0; i < e->partition_count && !error; i++)
        if (e->partitions[i])
            error = clock_merge(&e->partitions[i]->floor, &e->partitions[i]->clock);
    return error;
}

static int parcel_each(void *arg, struct slice index_key, struct slice value)
{
    return parcel_load(((struct loading *)arg)->e, index_key, value);
}

/* Asked first: of a folder of a newer format nothing else is looked at. What else is wrong with the
 * identity is said where all named values are read. */
static int folder_known(struct loading *l, struct engine_report *report)
{
    struct engine *e = l->e;
    struct slice name = slice_text("identity"), bytes;
    struct identity_value identity;
    struct blob *value = NULL;
    if (e->index->get(e->index, READ_LANE_LOOP, INDEX_META, name, &value) != 0)
        return 0;
    if (meta_value_decode(name, slice_blob(value), &bytes) == 0 &&
        identity_decode(bytes, &identity) == 0) {
        report->folder_format = identity.folder_format;
        memcpy(report->folder_version, identity.version, sizeof(report->folder_version));
    }
    blob_unref(value);
    if (report->folder_format <= FOLDER_FORMAT || MUTANT(folder_format_unread))
        return 0;
    log_error(e->log, "data folder is of a newer format format=%u known=%u written_by=%s this=%s",
              report->folder_format, FOLDER_FORMAT, report->folder_version, GT_VERSION);
    return GT_EFORMAT;
}

static int index_load(struct loading *l)
{
    struct index *x = l->e->index;
    struct slice all = {NULL, 0};
    int error = x->scan(x, READ_LANE_LOOP, INDEX_META, all, meta_load, l);
    if (!error)
        error = wal_read_ahead(l->e->disk, l->applied.floor_segment);
    if (!error)
        error = x->scan(x, READ_LANE_LOOP, INDEX_PARTITION, all, partition_load, l);
    if (!error)
        error = x->scan(x, READ_LANE_LOOP, INDEX_LOG, all, dot_load, l);
    if (!error && l->bad_rows > 0)
        error = log_rotted(l);
    operations_sort(&l->e->operations);
    if (!error)
        error = x->scan(x, READ_LANE_LOOP, INDEX_PARCEL, all, parcel_each, l);
    return error;
}

static int meta_put(struct index *x, struct index_write *w, const char *name, const struct buf *b)
{
    struct buf value;
    buf_init(&value, 4096);
    meta_value_encode(slice_text(name), buf_slice(b), &value);
    int error = b->failed || value.failed
                    ? GT_ENOMEM
                    : x->put(w, INDEX_META, slice_text(name), buf_slice(&value));
    buf_close(&value);
    return error;
}

/* Makes an identity durable, and the applied mark with it when there is one. */
static int identity_commit(struct engine *e, const struct identity_value *identity,
                           const struct applied_value *applied)
{
    struct index *x = e->index;
    struct index_write *w = NULL;
    struct buf bytes;
    int error = x->begin(x, &w);
    if (error)
        return error;
    buf_init(&bytes, 4096);
    identity_encode(identity, &bytes);
    error = meta_put(x, w, "identity", &bytes);
    if (!error && applied) {
        buf_clear(&bytes);
        applied_encode(applied, &bytes);
        error = meta_put(x, w, "applied", &bytes);
    }
    buf_close(&bytes);
    if (error) {
        x->abort(w);
        return error;
    }
    error = x->commit(w);
    if (error)
        return error;
    e->identity_value = *identity;
    e->identity = (struct engine_identity){.node_id = identity->node_id,
                                           .incarnation = identity->incarnation,
                                           .previous_incarnation = identity->previous_incarnation,
                                           .lives = identity->lives,
                                           .fill_generation = identity->fill_generation,
                                           .lost = identity->fill_flags & FILL_LOST,
                                           .open = identity->fill_flags & FILL_OPEN};
    memcpy(e->identity.cluster_id, identity->cluster_id, sizeof(identity->cluster_id));
    return 0;
}

/* ---- the log --------------------------------------------------------------------------------- */

struct replay {
    struct engine *e;
    uint64_t lsn; /* the last delivered */
    bool gap;     /* records are missing before this one: do not trust what it says it replaced */
    bool clock_left_out; /* and one after them spoke of states that may be among those */
    uint64_t replayed;   /* records installed */
    bool unnoted;        /* one of them is of a version without the table of operations */
};

/* What stands for the record in counts. A record that does not verify is installed all the same:
 * every read of it will say so. GT_EFORMAT: a newer version wrote it, and with it the log. */
static int presence_read(struct engine *e, const struct state_record *s, const struct blob *record,
                         struct presence *out)
{
    state_clear(&e->local);
    *out = (struct presence){0};
    if (!record)
        return 0;
    int error = record_decode(slice_blob(record), s->partition, s->key, &e->local);
    if (error == GT_ENOMEM || (error == GT_EFORMAT && !MUTANT(newer_is_rot)))
        return error;
    if (!error) {
        *out = presence_of(&e->local, record);
        return 0;
    }
    e->metrics.bad_records_count++;
    log_error(e->log, "record unreadable in the log partition=%u cause=%s", s->partition,
              error_text(error));
    *out = (struct presence){.digest = record_digest(slice_blob(record)),
                             .bytes = record->bytes,
                             .kind = PRESENCE_TOMBSTONE};
    return 0;
}

static int previous_read(struct replay *replay, struct state_record *s, uint64_t hash)
{
    if (!replay->gap)
        return 0;
    struct engine *e = replay->e;
    struct view view;
    int error = view_read(e, s->partition, hash, s->key, &e->local, &view);
    if (error)
        return error == GT_EUNKNOWN ? 0 : error;
    s->previous = view.presence;
    view_close(&view);
    return 0;
}

static int state_install(struct replay *replay, struct partition *p, struct state_record *s,
                         uint64_t lsn)
{
    struct engine *e = replay->e;
    uint64_t hash = hash_bytes(s->key);
    struct blob *record = s->reaped ? NULL : blob_copy(s->record.data, s->record.bytes);
    if (!record && !s->reaped)
        return GT_ENOMEM;
    struct presence now;
    struct overlay_entry *entry = overlay_find(e->active, s->partition, hash, s->key);
    int error = presence_read(e, s, record, &now);
    /* What it superseded stays in the dot log until somebody looks: nothing is read here. */
    for (uint32_t i = 0; i < e->local.sibling_count && !error; i++)
        error = engine_dot_keep(e, p, e->local.siblings[i].dot, s->key, false,
                                engine_dot_kind(&e->local.siblings[i]));
    if (!error && entry)
        s->previous = entry->now;
    else if (!error)
        error = previous_read(replay, s, hash);
    if (!error && !entry)
        error = overlay_reserve(e->active, s->partition);
    for (uint32_t i = 0; i < dots_count(s->dots) && !error; i++)
        error = clock_add(&p->clock, dots_at(s->dots, i));
    struct overlay_entry *added = NULL;
    if (!error && !entry) {
        added = overlay_entry_new(s->partition, hash, s->key, &s->previous);
        error = added ? 0 : GT_ENOMEM;
    }
    if (error) {
        blob_unref(record);
        return error;
    }
    counts_replace(&p->counts, s->key.bytes, &s->previous, &now);
    counts_replace(&e->totals, s->key.bytes, &s->previous, &now);
    if (added)
        overlay_insert(e->active, added, record, &now, lsn);
    else
        overlay_replace(e->active, entry, record, &now, lsn);
    replay->replayed++;
    return 0;
}

static int state_replay(struct replay *replay, const struct wal_record *r)
{
    struct state_record s;
    int error = state_record_decode(r, &s);
    if (error)
        return error;
    stamp_raise(replay->e, s.stamp);
    struct partition *p = engine_partition_get(replay->e, s.partition);
    if (!p)
        return GT_ENOMEM;
    /* In the index already, by a chunk of a checkpoint that did not end. */
    if (r->lsn <= p->lsn + MUTANT(replay_skips_one))
        return 0;
    replay->unnoted |= s.unnoted;
    operations_replay(replay->e, s.partition, s.operations);
    return state_install(replay, p, &s, r->lsn);
}

static int clock_replay(struct replay *replay, const struct wal_record *r)
{
    struct engine *e = replay->e;
    struct reader reader = reader_of(r->payload);
    uint64_t number = read_varint(&reader);
    struct reader bytes = reader_of(read_bytes(&reader));
    struct slice operations = reader_left(&reader) > 0 ? read_bytes(&reader) : slice_of(NULL, 0);
    uint64_t operations_floor = read_u64_or_zero(&reader);
    if (reader.failed || number >= PARTITIONS_MAX || operations.bytes % OPERATION_BYTES != 0)
        return GT_ECORRUPT;
    struct partition *p = engine_partition_get(e, (uint32_t)number);
    int error = p ? overlay_reserve(e->active, (uint32_t)number) : GT_ENOMEM;
    if (error || r->lsn <= p->lsn)
        return error;
    /* The states that it speaks of may be among the records that are missing. */
    if (replay->gap) {
        replay->clock_left_out = true;
        return 0;
    }
    clock_clear(&e->incoming_clock);
    error = clock_decode(&bytes, &e->incoming_clock);
    if (!error)
        error = clock_merge(&p->clock, &e->incoming_clock);
    if (error)
        return error;
    operations_replay(e, (uint32_t)number, operations);
    operations_floor_raise(&e->operations, operations_floor);
    overlay_touch(e->active, (uint32_t)number);
    replay->replayed++;
    return 0;
}

static int meta_replay(struct replay *replay, const struct wal_record *r)
{
    struct reader reader = reader_of(r->payload);
    struct slice name = read_bytes(&reader), bytes = read_bytes(&reader);
    stamp_raise(replay->e, read_u64_or_zero(&reader));
    if (reader.failed || name.bytes == 0 || name.bytes > META_NAME_MAX)
        return GT_ECORRUPT;
    struct meta *m = engine_meta_find(replay->e, name, true);
    struct blob *value = bytes.bytes ? blob_copy(bytes.data, bytes.bytes) : NULL;
    if (!m || (bytes.bytes && !value)) {
        blob_unref(value);
        return m ? GT_ENOMEM : GT_ECORRUPT;
    }
    blob_unref(m->value);
    m->value = value;
    m->lsn = r->lsn;
    m->dirty = true;
    replay->replayed++;
    return 0;
}

static int parcel_replay(struct replay *replay, const struct wal_record *r)
{
    uint64_t stamp = 0;
    int error = parcel_install(replay->e, r, &stamp);
    stamp_raise(replay->e, stamp);
    replay->replayed += !error;
    return error;
}

static int deliver(void *arg, const struct wal_record *r)
{
    struct replay *replay = arg;
    int error = 0;
    if (r->lsn > replay->lsn + 1)
        replay->gap = true;
    replay->lsn = r->lsn;
    if (r->type == LOG_STATE || r->type == LOG_REAP)
        error = state_replay(replay, r);
    else if (r->type == LOG_META)
        error = meta_replay(replay, r);
    else if (r->type == LOG_CLOCK)
        error = clock_replay(replay, r);
    else if (r->type == LOG_FILL)
        error = fill_replay(replay->e, r->payload, r->lsn, &replay->replayed);
    else if (r->type == LOG_DROP)
        error = drop_replay(replay->e, r->payload, r->lsn, &replay->replayed);
    else if (r->type == LOG_PARCEL)
        error = parcel_replay(replay, r);
    else if (r->type < LOG_OPTIONAL_MIN)
        error = GT_EFORMAT;
    if (error)
        log_error(replay->e->log, "log record cannot be replayed lsn=%llu type=%u cause=%s",
                  (unsigned long long)r->lsn, r->type, error_text(error));
    return error;
}

/* ---- segments found -------------------------------------------------------------------------- */

static int segment_each(void *arg, const char *name)
{
    uint64_t number;
    if (wal_segment_number(name, &number) != 0)
        return 0;
    return segment_file_add(arg, number, 0, SEGMENT_LIVE);
}

static int file_compare(const void *left, const void *right)
{
    const struct segment_file *a = left, *b = right;
    return a->number < b->number ? -1 : a->number > b->number;
}

static int segments_list(struct engine *e)
{
    char name[DISK_NAME_BYTES];
    struct disk *d = e->disk;
    int error = d->make_folder(d, "wal");
    if (!error)
        error = d->sync_folder(d, "");
    if (!error)
        error = d->list(d, "wal", segment_each, e);
    if (error)
        return error;
    if (e->file_count > 1)
        qsort(e->files, e->file_count, sizeof(*e->files), file_compare);
    for (uint32_t i = 0; i < e->file_count; i++) {
        struct disk_file *f = NULL;
        error = d->open(d, wal_segment_name(e->files[i].number, name), false, &f);
        if (error)
            return error;
        error = d->size(d, f, &e->files[i].bytes);
        d->close(d, f);
        if (error)
            return error;
    }
    return 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static struct engine *engine_alloc(const struct engine_config *config)
{
    struct engine *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    uint64_t overlay_max =
        config->overlay_bytes_max ? config->overlay_bytes_max : OVERLAY_BYTES_DEFAULT;
    uint64_t segment = config->segment_bytes ? config->segment_bytes : WAL_SEGMENT_BYTES_DEFAULT;
    if (segment < WAL_SEGMENT_BYTES_MIN)
        segment = WAL_SEGMENT_BYTES_MIN;
    e->disk = config->disk;
    e->index = config->index;
    e->log = config->log;
    e->events = config->events;
    e->segment_bytes = (segment + WAL_BLOCK - 1) / WAL_BLOCK * WAL_BLOCK;
    e->overlay_half = overlay_max / 2;
    e->parked_max = config->parked_max ? config->parked_max : PARKED_DEFAULT;
    e->chunk_records = config->chunk_records ? config->chunk_records : CHUNK_RECORDS_DEFAULT;
    e->parked_deadline_us = UINT64_MAX;
    e->throttle_us = UINT64_MAX;
    e->forming = &e->batches[0];
    e->flying = &e->batches[1];
    prng_init(&e->prng, config->seed);
    engine_set_value_bytes_max(e, config->value_bytes_max ? config->value_bytes_max
                                                          : VALUE_BYTES_DEFAULT);
    operations_init(&e->operations, config->operations_bytes_max ? config->operations_bytes_max
                                                                 : OPERATIONS_BYTES_DEFAULT);
    clock_init(&e->empty_clock);
    clock_init(&e->incoming_clock);
    parcels_init(&e->parcels);
    e->parcels_max = config->parcels_max ? config->parcels_max : PARCELS_DEFAULT;
    e->parcels_bytes_max =
        config->parcels_bytes_max ? config->parcels_bytes_max : PARCEL_BYTES_DEFAULT;
    e->log_entries_max = config->log_entries_max ? config->log_entries_max : LOG_ENTRIES_DEFAULT;
    state_init(&e->local);
    state_init(&e->incoming);
    state_init(&e->merged);
    history_init(&e->context);
    history_init(&e->returned);
    buf_init(&e->scratch, BLOB_BYTES_MAX);
    buf_init(&e->scan, BLOB_BYTES_MAX);
    buf_init(&e->noted, BLOB_BYTES_MAX);
    buf_init(&e->checkpoint.states, BLOB_BYTES_MAX);
    buf_init(&e->checkpoint.values, BLOB_BYTES_MAX);
    buf_init(&e->checkpoint.scratch, BLOB_BYTES_MAX);
    for (int i = 0; i < 2; i++) {
        buf_init(&e->batches[i].body, BLOB_BYTES_MAX);
        body_clear(&e->batches[i]);
    }
    e->active = overlay_new();
    e->spare = overlay_new();
    if (!e->active || !e->spare || e->batches[0].body.failed || e->batches[1].body.failed) {
        engine_close(e, false);
        return NULL;
    }
    return e;
}

/* 0, or GT_ELIMIT when there is none above. Never goes back, whatever the wall clock says. */
static int incarnation_draw(struct engine *e, uint64_t above, uint64_t wall_us, uint64_t *out)
{
    uint64_t seconds = wall_us / 1000000, high = above >> INCARNATION_RANDOM_BITS;
    if (high == INCARNATION_SECONDS_MAX) {
        log_error(e->log, "no incarnation is left above=%016llx", (unsigned long long)above);
        return GT_ELIMIT;
    }
    if (seconds > INCARNATION_SECONDS_MAX)
        seconds = INCARNATION_SECONDS_MAX;
    high = seconds > high ? seconds : high + 1;
    uint64_t low = prng_next(&e->prng) & ((1u << INCARNATION_RANDOM_BITS) - 1);
    *out = high << INCARNATION_RANDOM_BITS | low;
    gt_assert(*out > above);
    return 0;
}

static int role_check(struct engine *e, const char *role)
{
    if (strcmp(e->identity_value.role, role) == 0)
        return 0;
    log_error(e->log, "data folder belongs to another role role=%s wanted=%s",
              e->identity_value.role, role);
    return GT_EFORMAT;
}

/* Records that the index knows to have been durable, and the log does not have any more. */
static bool records_missing(const struct loading *l, const struct wal_report *wal)
{
    return l->applied.highest_lsn > l->applied.lsn && l->applied.highest_lsn > wal->last_lsn;
}

/* Not one segment is left of a log that there was: whatever the index lacks of it is gone. */
static bool log_gone(const struct engine *e, const struct wal_report *wal)
{
    return e->identity_value.log_made && wal->last_segment == 0;
}

/* ---- damage ---------------------------------------------------------------------------------- */

/* The hull of both; 0 is not known. */
static void damage_add(struct engine_damage *d, uint8_t kinds, uint64_t first_lsn,
                       uint64_t last_lsn)
{
    d->kinds |= kinds;
    if (d->first_lsn == 0 || (first_lsn != 0 && first_lsn < d->first_lsn))
        d->first_lsn = first_lsn;
    if (last_lsn > d->last_lsn)
        d->last_lsn = last_lsn;
}

/* Says what this start found, and returns it. */
static struct engine_damage damage_found(struct engine *e, const struct loading *l,
                                         const struct wal_report *wal, bool same_boot)
{
    struct engine_damage d = {0};
    uint64_t last = wal->last_lsn > l->applied.lsn ? wal->last_lsn : l->applied.lsn;
    if (records_missing(l, wal)) {
        log_warn(e->log, "log ends too early: acknowledged writes are lost lsn=%llu..%llu",
                 (unsigned long long)last + 1, (unsigned long long)l->applied.highest_lsn);
        damage_add(&d, DAMAGE_END, last + 1, l->applied.highest_lsn);
    } else if (log_gone(e, wal)) {
        log_warn(e->log,
                 "log gone, wal/ holds no segment: acknowledged writes may be lost lsn=%llu..",
                 (unsigned long long)last + 1);
        damage_add(&d, DAMAGE_END, 0, 0);
    }
    if (wal->middle) {
        log_warn(e->log,
                 "log damaged in the middle: acknowledged writes may be lost lsn=%llu..%llu",
                 (unsigned long long)wal->lost_first_lsn, (unsigned long long)wal->lost_last_lsn);
        damage_add(&d, DAMAGE_MIDDLE, wal->lost_first_lsn, wal->lost_last_lsn);
    }
    if (wal->tail && same_boot) {
        log_info(e->log,
                 "log ends in an unfinished batch, never acknowledged segment=%llu "
                 "offset=%llu",
                 (unsigned long long)wal->tail_segment, (unsigned long long)wal->tail_offset);
    } else if (wal->tail) {
        log_warn(e->log,
                 "log ends in a batch that is not whole after a restart of the machine: "
                 "unfinished, or damaged segment=%llu offset=%llu first_lsn=%llu",
                 (unsigned long long)wal->tail_segment, (unsigned long long)wal->tail_offset,
                 (unsigned long long)e->next_lsn);
        damage_add(&d, DAMAGE_TAIL, e->next_lsn, e->next_lsn);
    }
    if (e->index->mended) { /* a commit that no power cut came into had ended */
        log_warn(e->log, "index goes on from the commit before its last one%s",
                 same_boot ? ": acknowledged writes may be lost" : ", which may not have ended");
        damage_add(&d, same_boot ? DAMAGE_END : DAMAGE_TAIL, 0, 0);
    }
    return d;
}

/* The mark of the life that begins: with what was found now, or one start older. */
static void damage_mark(struct engine *e, struct engine_damage *mark,
                        const struct engine_damage *found, uint64_t wall_us)
{
    if (found->kinds) {
        damage_add(mark, found->kinds, found->first_lsn, found->last_lsn);
        mark->found_s = wall_us / 1000000;
        mark->starts = 0;
        events_add(e->events, EVENT_DAMAGE, "lsn %llu..%llu may be lost",
                   (unsigned long long)mark->first_lsn, (unsigned long long)mark->last_lsn);
    } else if (mark->kinds) {
        mark->starts++;
        log_warn(e->log,
                 "the log was damaged: acknowledged writes may be missing here lsn=%llu..%llu "
                 "kinds=%u found_s=%llu starts_since=%llu",
                 (unsigned long long)mark->first_lsn, (unsigned long long)mark->last_lsn,
                 mark->kinds, (unsigned long long)mark->found_s, (unsigned long long)mark->starts);
        events_add(e->events, EVENT_DAMAGE, "lsn %llu..%llu may be lost, found %llu starts ago",
                   (unsigned long long)mark->first_lsn, (unsigned long long)mark->last_lsn,
                   (unsigned long long)mark->starts);
    }
}

int engine_whole(struct engine *e)
{
    struct identity_value identity = e->identity_value;
    identity.damage = (struct engine_damage){0};
    identity.fill_flags &= (uint8_t)~FILL_OPEN;
    return identity_commit(e, &identity, NULL);
}

/* ---- the log's numbers, and a new life ------------------------------------------------------- */

static bool boot_same(const struct engine *e, const uint8_t boot_id[16])
{
    static const uint8_t unknown[16];
    return memcmp(boot_id, unknown, 16) != 0 && memcmp(boot_id, e->identity_value.boot_id, 16) == 0;
}

/* Where numbering goes on: above everything that is known to have been given out. */
static void numbers_continue(struct engine *e, const struct loading *l,
                             const struct wal_report *wal)
{
    uint64_t highest =
        l->applied.lsn > l->applied.highest_lsn ? l->applied.lsn : l->applied.highest_lsn;
    if (wal->last_lsn > highest)
        highest = wal->last_lsn;
    if (wal->lost_last_lsn > highest)
        highest = wal->lost_last_lsn;
    for (uint32_t i = 0; i < e->partition_count; i++)
        if (e->partitions[i] && e->partitions[i]->lsn > highest)
            highest = e->partitions[i]->lsn;
    if (e->parcels.highest > highest)
        highest = e->parcels.highest;
    e->next_lsn = highest + 1;
    e->durable_lsn = highest;
    e->applied_lsn = l->applied.lsn;
    e->floor_segment = l->applied.floor_segment;
    e->chain = wal->batches > 0 ? wal->chain : l->applied.chain;
    e->segment_next =
        e->floor_segment > wal->last_segment ? e->floor_segment : wal->last_segment + 1;
    for (uint32_t i = 0; i < e->file_count; i++) {
        e->files[i].last_lsn = highest;
        if (e->files[i].number >= e->segment_next)
            e->segment_next = e->files[i].number + 1;
    }
    e->segment_next -= MUTANT(tail_reused) && wal->last_segment > 0;
}

static int recover(struct engine *e, struct loading *l, const uint8_t boot_id[16],
                   struct engine_report *report)
{
    struct replay replay = {.e = e, .lsn = l->applied.lsn};
    if (l->applied.floor_segment == 0)
        l->applied.floor_segment = 1;
    if (!l->identity_found && e->file_count > 0) {
        log_error(e->log, "wal/ holds a log but index/ is empty: the index was lost");
        report->where = "index lost, wal/ holds a log: ";
        return GT_ECORRUPT;
    }
    int error = wal_recover(e->disk, e->log, l->applied.floor_segment, l->applied.lsn, true,
                            deliver, &replay, &report->wal);
    if (error)
        return error;
    numbers_continue(e, l, &report->wal);
    if (l->unnoted || replay.unnoted)
        operations_floor_raise(&e->operations, e->stamp_max);
    report->replayed = replay.replayed;
    report->fresh = !l->identity_found;
    l->found = damage_found(e, l, &report->wal, boot_same(e, boot_id));
    if (replay.clock_left_out)
        l->found.kinds |= DAMAGE_MIDDLE;
    if (e->disk->copied) {
        log_warn(e->log, "the folder was copied while a process worked in it: what it holds may be "
                         "of different moments, and acknowledged writes may be missing");
        l->found.kinds |= DAMAGE_COPY;
    }
    report->doubtful = l->found.kinds != 0;
    return 0;
}

/* Nothing but this folder's own names is in it: an earlier start was refused before it was of any
 * cluster. A cluster id is durable before anything of the cluster is (node.c). */
static bool folder_unused(const struct engine *e)
{
    static const uint8_t none[16];
    if (memcmp(e->identity_value.cluster_id, none, sizeof(none)) != 0 || e->parcels.count > 0)
        return false;
    for (uint32_t i = 0; i < e->partition_count; i++)
        if (e->partitions[i])
            return false;
    return true;
}

/* The new life's identity; with nothing replayed also a new floor, so that what was written by
 * earlier lives is behind it and its files can be used again. */
static int identity_renew(struct engine *e, const struct engine_config *config,
                          const struct engine_damage *found, const struct engine_report *report)
{
    struct identity_value identity = e->identity_value;
    while (identity.node_id == 0)
        identity.node_id = prng_next(&e->prng);
    identity.previous_incarnation = identity.incarnation;
    int error = incarnation_draw(e, identity.incarnation, config->wall_us, &identity.incarnation);
    if (error)
        return error;
    lives_add(&identity.lives, identity.incarnation);
    memcpy(identity.boot_id, config->boot_id, sizeof(identity.boot_id));
    memcpy(identity.role, config->role, strlen(config->role) + 1);
    identity.folder_format = FOLDER_FORMAT;
    memcpy(identity.version, GT_VERSION, sizeof(GT_VERSION));
    damage_mark(e, &identity.damage, found, config->wall_us);
    bool never = identity.fill_generation == 0;
    bool born = config->born_filling && (report->fresh || folder_unused(e));
    bool marked = identity.damage.kinds && never; /* by an earlier version, and not filled since */
    if (found->kinds || born || marked)
        fill_raise(&identity, born || identity.damage.kinds != DAMAGE_TAIL);
    /* A folder of an earlier version has no such flag. */
    identity.log_made |= e->file_count > 0 || MUTANT(log_made_early);
    if (report->replayed > 0 && !MUTANT(floor_before_replayed)) {
        e->checkpoint_wanted = true;
        return identity_commit(e, &identity, NULL);
    }
    struct applied_value applied = {.lsn = e->next_lsn - 1,
                                    .floor_segment = e->segment_next,
                                    .chain = e->chain,
                                    .highest_lsn = e->durable_lsn,
                                    .stamp_max = e->stamp_max};
    error = identity_commit(e, &identity, &applied);
    if (error)
        return error;
    e->applied_lsn = applied.lsn;
    segments_release(e, applied.floor_segment);
    return 0;
}

/* The log of this folder begins: from here on wal/ is never empty (lanes.c keeps the last segment),
 * and nothing was written before. */
static int log_begin(struct engine *e)
{
    struct identity_value identity = e->identity_value;
    if (identity.log_made)
        return 0;
    identity.log_made = true;
    return identity_commit(e, &identity, NULL);
}

/* A disk without room for it keeps nobody from reading: writes are refused, and each one asks for
 * the segment again. But a folder that never had a log has nothing to read. */
static int segment_first(struct engine *e)
{
    struct engine_job *j = segment_job(e);
    if (!j || j->kind != JOB_SEGMENT_MAKE)
        return 0; /* very much live log: the checkpoint comes first */
    /* Who starts waits for it to be written full of zeros; the next one is made beside its use. */
    if (j->recycle == 0 && j->bytes > SEGMENT_FIRST_BYTES)
        j->bytes = SEGMENT_FIRST_BYTES;
    segment_job_run(j);
    segment_job_done(e, j);
    if (e->segment_error != GT_ENOSPACE || !e->identity_value.log_made)
        return e->segment_error;
    log_warn(e->log,
             "no room for the log: reads go on, writes are refused until there is bytes=%llu",
             (unsigned long long)e->segment_bytes);
    return 0;
}

int engine_open(const struct engine_config *config, struct engine **out,
                struct engine_report *report)
{
    gt_assert(strlen(config->role) < ROLE_BYTES_MAX);
    _Static_assert(sizeof(GT_VERSION) <= VERSION_BYTES_MAX, "the version fits into the identity");
    *report = (struct engine_report){0};
    struct engine *e = engine_alloc(config);
    if (!e)
        return GT_ENOMEM;
    struct loading loading = {.e = e};
    report->where = "index: ";
    int error = folder_known(&loading, report);
    if (!error)
        error = index_load(&loading);
    if (!error && loading.identity_found)
        error = role_check(e, config->role);
    if (!error) {
        report->where = "log: ";
        error = segments_list(e);
    }
    if (!error)
        error = recover(e, &loading, config->boot_id, report);
    pieces_recovered(e);
    /* What was replayed stands in the last batch of an old segment until it is in the index. */
    if (!error && report->replayed > 0)
        e->seal = SEAL_UNSET;
    if (!error && !report->wal.middle)
        segments_release(e, loading.applied.floor_segment);
    if (!error) {
        report->where = "index: ";
        error = identity_renew(e, config, &loading.found, report);
    }
    if (!error && e->disk->copied) /* that is in the identity now */
        error = e->disk->copy_known(e->disk);
    if (!error)
        error = segment_first(e);
    if (!error)
        error = log_begin(e);
    if (error) {
        engine_close(e, false);
        return error;
    }
    log_info(e->log,
             "storage open fresh=%d records=%llu replayed=%llu segments=%llu batches=%llu "
             "lsn=%llu clean=%d",
             report->fresh, (unsigned long long)e->totals.records,
             (unsigned long long)report->replayed, (unsigned long long)report->wal.segments,
             (unsigned long long)report->wal.batches, (unsigned long long)e->next_lsn - 1,
             report->wal.clean);
    *out = e;
    return 0;
}

int engine_set_cluster(struct engine *e, const uint8_t cluster_id[16])
{
    struct identity_value identity = e->identity_value;
    memcpy(identity.cluster_id, cluster_id, sizeof(identity.cluster_id));
    return identity_commit(e, &identity, NULL);
}

int engine_renew_incarnation(struct engine *e, uint64_t seen, uint64_t wall_us)
{
    struct identity_value identity = e->identity_value;
    int error = 0;
    if (seen > identity.previous_incarnation)
        identity.previous_incarnation = seen;
    if (seen >= identity.incarnation)
        error = incarnation_draw(e, seen, wall_us, &identity.incarnation);
    if (error)
        return error;
    lives_add(&identity.lives, seen);
    lives_add(&identity.lives, identity.incarnation);
    log_warn(
        e->log,
        "others know of a life or of writes of this node that its folder does not have, so the "
        "folder was rolled back or is a copy, or the node was away for too long: acknowledged "
        "writes may be missing here life=%016llx",
        (unsigned long long)seen);
    /* Also when this process has filled before: others may have gone on without us since then. */
    if (!MUTANT(rolled_back_keeps_vote))
        fill_raise(&identity, true);
    return identity_commit(e, &identity, NULL);
}

/* ---- closing --------------------------------------------------------------------------------- */

/* The mark that nothing follows: with it a torn end of the log can be told from rot. */
static void close_mark(struct engine *e)
{
    struct batch *b = e->forming;
    uint64_t bytes = wal_batch_bytes(0);
    if (!log_fits(e, bytes))
        return;
    if (!e->current.file || e->current_offset + bytes > e->current.bytes) {
        if (e->current.file)
            e->disk->close(e->disk, e->current.file);
        e->current = e->ready[0];
        e->current_offset = WAL_BLOCK;
        e->ready[0] = e->ready[--e->ready_count];
    }
    int error = wal_batch_seal(&b->body, WAL_CLOSE, 0, e->next_lsn, &e->current, e->current_offset,
                               &e->chain);
    if (!error)
        error = e->disk->write(e->disk, e->current.file, e->current_offset, b->body.data,
                               b->body.bytes);
    if (!error)
        error = e->disk->sync(e->disk, e->current.file);
    if (error)
        log_warn(e->log, "clean-close mark not written cause=%s", error_text(error));
}

static void files_close(struct engine *e)
{
    struct engine_job *log = &e->jobs[ENGINE_LOG], *segment = &e->jobs[ENGINE_SEGMENT];
    for (uint32_t i = 0; i < e->closing_count; i++)
        e->disk->close(e->disk, e->closing[i]);
    if (e->busy[ENGINE_LOG])
        for (uint32_t i = 0; i < log->closing_count; i++)
            e->disk->close(e->disk, log->closing[i]);
    if (e->busy[ENGINE_SEGMENT] && segment->made)
        wal_segment_close(e->disk, &segment->segment);
    for (uint32_t i = 0; i < e->ready_count; i++)
        wal_segment_close(e->disk, &e->ready[i]);
    if (e->current.file)
        wal_segment_close(e->disk, &e->current);
}

static void requests_close(struct engine *e)
{
    struct store_request r;
    while (request_pop(&e->parked, &r))
        store_request_release(&r);
    free(e->parked.items);
    result_queue_close(&e->results);
    for (int i = 0; i < 2; i++) {
        result_queue_close(&e->batches[i].waiters);
        buf_close(&e->batches[i].body);
    }
}

static void partitions_close(struct engine *e)
{
    for (uint32_t i = 0; i < e->partition_count; i++)
        if (e->partitions[i]) {
            clock_close(&e->partitions[i]->clock);
            clock_close(&e->partitions[i]->floor);
            dotlog_close(&e->partitions[i]->log);
            fill_close(&e->partitions[i]->fill);
            free(e->partitions[i]);
        }
    free(e->partitions);
    for (uint32_t i = 0; i < e->meta_count; i++)
        blob_unref(e->metas[i].value);
}

static void scratch_close(struct engine *e)
{
    operations_close(&e->operations);
    buf_close(&e->noted);
    state_close(&e->local);
    state_close(&e->incoming);
    state_close(&e->merged);
    history_close(&e->context);
    history_close(&e->returned);
    clock_close(&e->empty_clock);
    clock_close(&e->incoming_clock);
    buf_close(&e->scratch);
    buf_close(&e->scan);
    overlay_list_close(&e->scan_list);
    free(e->dots);
    free(e->files);
}

void engine_close(struct engine *e, bool clean)
{
    if (!e)
        return;
    if (clean && (!e->poisoned || MUTANT(close_after_poison))) {
        gt_assert(engine_idle(e));
        close_mark(e);
    }
    files_close(e);
    struct engine_job *cp = &e->jobs[ENGINE_CHECKPOINT];
    if (e->busy[ENGINE_CHECKPOINT] && cp->kind == JOB_RETIRE)
        overlay_free(cp->retired);
    checkpoint_close(e);
    overlay_free(e->active);
    overlay_free(e->spare);
    requests_close(e);
    partitions_close(e);
    parcels_close(&e->parcels);
    scratch_close(e);
    free(e);
}
