#include "engine/values.h"

#include "engine/base/assert.h"
#include "engine/base/crc.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"

#define LOG_KEPT     2u /* the dot log of the partition is kept, above its floor */
#define VALUE_FORMAT 1

#define FILL_CLEARED 1u /* in a FILL record */
#define FILL_COUNTED 2u

struct slice index_data_key(uint8_t at[INDEX_KEY_BYTES_MAX], uint32_t partition, uint64_t hash,
                            struct slice key)
{
    gt_assert(10 + key.bytes <= INDEX_KEY_BYTES_MAX);
    be16_put(at, (uint16_t)partition);
    be64_put(at + 2, hash);
    if (key.bytes > 0)
        memcpy(at + 10, key.data, key.bytes);
    return slice_of(at, 10 + key.bytes);
}

int index_data_key_split(struct slice index_key, uint32_t *partition, uint64_t *hash,
                         struct slice *key)
{
    if (index_key.bytes <= 10)
        return GT_ECORRUPT;
    *partition = be16_get(index_key.data);
    *hash = be64_get(index_key.data + 2);
    *key = slice_of(index_key.data + 10, index_key.bytes - 10);
    return 0;
}

struct slice index_partition_key(uint8_t at[2], uint32_t partition)
{
    be16_put(at, (uint16_t)partition);
    return slice_of(at, 2);
}

uint64_t read_u64_or_zero(struct reader *r)
{
    return reader_left(r) >= 8 ? read_u64(r) : 0;
}

int state_record_decode(const struct wal_record *record, struct state_record *s)
{
    struct reader r = reader_of(record->payload);
    s->reaped = record->type == LOG_REAP;
    uint64_t partition = read_varint(&r);
    s->key = read_bytes(&r);
    s->previous = (struct presence){.kind = read_u8(&r)};
    if (s->previous.kind != PRESENCE_ABSENT) {
        s->previous.digest = read_u64(&r);
        s->previous.bytes = (uint32_t)read_varint(&r);
    }
    uint64_t dots = read_varint(&r);
    if (dots > reader_left(&r) / DOT_BYTES)
        return GT_ECORRUPT;
    s->dots = read_raw(&r, (size_t)dots * DOT_BYTES);
    s->record = read_bytes(&r);
    s->stamp = read_u64_or_zero(&r);
    s->unnoted = reader_left(&r) == 0;
    s->operations = s->unnoted ? slice_of(NULL, 0) : read_bytes(&r);
    bool fits = partition < PARTITIONS_MAX && s->key.bytes >= 1 && s->key.bytes <= KEY_BYTES_MAX &&
                s->previous.kind <= PRESENCE_BAD && s->record.bytes <= BLOB_BYTES_MAX &&
                s->operations.bytes % OPERATION_BYTES == 0 && (!s->reaped || s->record.bytes == 0);
    s->partition = (uint32_t)partition;
    return r.failed || !fits ? GT_ECORRUPT : 0;
}

void counts_replace(struct counts *c, size_t key_bytes, const struct presence *from,
                    const struct presence *to)
{
    if (from->kind != PRESENCE_ABSENT) {
        c->records--;
        c->live -= from->kind == PRESENCE_VALUE;
        c->bytes -= key_bytes + from->bytes;
        c->digest_sum -= from->digest;
    }
    if (to->kind != PRESENCE_ABSENT) {
        c->records++;
        c->live += to->kind == PRESENCE_VALUE;
        c->bytes += key_bytes + to->bytes;
        c->digest_sum += to->digest;
    }
}

bool counts_equal(const struct counts *a, const struct counts *b)
{
    return a->records == b->records && a->live == b->live && a->bytes == b->bytes &&
           a->digest_sum == b->digest_sum;
}

/* The checksum in front of a value, over `before` and all that follows it. */
static void checksum_fill(struct buf *out, size_t start, struct slice before)
{
    if (out->failed)
        return;
    uint32_t crc = crc_update(0, before.data, before.bytes);
    le32_put(out->data + start, crc_update(crc, out->data + start + 4, out->bytes - start - 4));
}

static int checksum_open(struct slice value, struct slice before, struct reader *r)
{
    if (value.bytes < 5)
        return GT_ECORRUPT;
    uint32_t crc = crc_update(0, before.data, before.bytes);
    if (le32_get(value.data) != crc_update(crc, value.data + 4, value.bytes - 4) &&
        !MUTANT(value_unchecked))
        return GT_ECORRUPT;
    if (value.data[4] != VALUE_FORMAT)
        return GT_EFORMAT;
    *r = reader_of(slice_of(value.data + 5, value.bytes - 5));
    return 0;
}

/* ---- filling --------------------------------------------------------------------------------- */

void fill_init(struct fill *f)
{
    *f = (struct fill){0};
    clock_init(&f->doubt);
}

void fill_close(struct fill *f)
{
    blob_unref(f->sources);
    blob_unref(f->cursor);
    clock_close(&f->doubt);
    fill_init(f);
}

void fill_encode(const struct fill *f, struct buf *out)
{
    struct buf doubt;
    buf_init(&doubt, out->bytes_max);
    if (f->doubt.entry_count + f->doubt.closed_count > 0)
        clock_encode(&f->doubt, &doubt);
    buf_u64(out, f->generation);
    buf_u8(out, f->reason);
    buf_bytes(out, slice_blob(f->sources));
    buf_bytes(out, buf_slice(&doubt));
    buf_bytes(out, slice_blob(f->cursor));
    buf_varint(out, f->number);
    out->failed |= doubt.failed;
    buf_close(&doubt);
}

int fill_decode(struct slice bytes, struct fill *f)
{
    struct reader r = reader_of(bytes);
    fill_close(f);
    if (bytes.bytes == 0)
        return 0;
    f->generation = read_u64(&r);
    f->reason = read_u8(&r);
    struct slice sources = read_bytes(&r);
    struct reader doubt = reader_of(read_bytes(&r));
    if (r.failed || sources.bytes % 8 != 0 || f->reason > FILL_ROT)
        return GT_ECORRUPT;
    if (sources.bytes > 0 && !(f->sources = blob_copy(sources.data, sources.bytes)))
        return GT_ENOMEM;
    struct slice cursor = reader_left(&r) > 0 ? read_bytes(&r) : slice_of(NULL, 0);
    f->number = reader_left(&r) > 0 ? read_varint(&r) : 0;
    if (r.failed)
        return GT_ECORRUPT;
    if (cursor.bytes > 0 && !(f->cursor = blob_copy(cursor.data, cursor.bytes)))
        return GT_ENOMEM;
    return reader_left(&doubt) > 0 ? clock_decode(&doubt, &f->doubt) : 0;
}

bool fill_nothing(const struct fill *f)
{
    return f->generation == 0 && f->reason == 0 && !f->sources && f->doubt.entry_count == 0 &&
           f->doubt.closed_count == 0 && !f->cursor && f->number == 0;
}

void fill_record_encode(const struct fill_record *f, struct buf *out)
{
    buf_varint(out, f->partition);
    buf_bytes(out, f->fill);
    buf_u8(out, (uint8_t)((f->cleared ? FILL_CLEARED : 0) | (f->counted ? FILL_COUNTED : 0)));
    buf_varint(out, f->counts.records);
    buf_varint(out, f->counts.live);
    buf_varint(out, f->counts.bytes);
    buf_u64(out, f->counts.digest_sum);
    buf_u64(out, f->stamp);
}

int fill_record_decode(struct slice payload, struct fill_record *f)
{
    struct reader r = reader_of(payload);
    uint64_t partition = read_varint(&r);
    f->fill = read_bytes(&r);
    uint8_t flags = read_u8(&r);
    f->cleared = flags & FILL_CLEARED;
    f->counted = flags & FILL_COUNTED;
    f->counts.records = read_varint(&r);
    f->counts.live = read_varint(&r);
    f->counts.bytes = read_varint(&r);
    f->counts.digest_sum = read_u64(&r);
    f->stamp = read_u64_or_zero(&r);
    f->partition = (uint32_t)partition;
    return r.failed || partition >= PARTITIONS_MAX ? GT_ECORRUPT : 0;
}

/* ---- partitions ------------------------------------------------------------------------------ */

/* Appends `bytes` with their varint length in front, when the length is known only afterwards. */
static void clock_bytes(const struct clock *clock, struct buf *out)
{
    struct buf encoded;
    buf_init(&encoded, out->bytes_max);
    clock_encode(clock, &encoded);
    if (encoded.failed)
        out->failed = true;
    buf_bytes(out, buf_slice(&encoded));
    buf_close(&encoded);
}

/* The bytes of the fill, their number in front, and what stands before the operations. */
void partition_state_encode(uint64_t lsn, const struct counts *counts, const struct clock *clock,
                            const struct clock *floor, const struct fill *fill, struct buf *out)
{
    struct buf filling;
    buf_init(&filling, out->bytes_max);
    if (!fill_nothing(fill))
        fill_encode(fill, &filling);
    buf_bytes(out, buf_slice(&filling));
    out->failed |= filling.failed;
    buf_close(&filling);
    buf_u8(out, VALUE_FORMAT);
    buf_u64(out, lsn);
    buf_varint(out, counts->records);
    buf_varint(out, counts->live);
    buf_varint(out, counts->bytes);
    buf_u64(out, counts->digest_sum);
    clock_bytes(clock, out);
    clock_bytes(floor, out);
    for (int i = 0; i < 4; i++)
        buf_varint(out, 0); /* fences */
    buf_varint(out, LOG_KEPT);
}

void partition_value_encode(struct slice state, const struct operations *operations,
                            uint32_t partition, uint64_t before, struct buf *out)
{
    struct reader r = reader_of(state);
    struct slice filling = read_bytes(&r), head = read_raw(&r, reader_left(&r));
    struct buf rows;
    size_t start = out->bytes;
    buf_init(&rows, out->bytes_max);
    operations_encode(operations, partition, before, &rows);
    buf_u32(out, 0);
    buf_put(out, head.data, head.bytes);
    buf_u64(out, operations->floor);
    buf_bytes(out, buf_slice(&rows));
    buf_bytes(out, filling);
    out->failed |= rows.failed;
    buf_close(&rows);
    checksum_fill(out, start, slice_of(NULL, 0));
}

int partition_value_decode(struct slice value, uint64_t *lsn, struct counts *counts,
                           struct clock *clock, struct clock *floor,
                           struct partition_operations *operations, struct fill *fill)
{
    struct reader r;
    int error = checksum_open(value, slice_of(NULL, 0), &r);
    if (error)
        return error;
    *lsn = read_u64(&r);
    counts->records = read_varint(&r);
    counts->live = read_varint(&r);
    counts->bytes = read_varint(&r);
    counts->digest_sum = read_u64(&r);
    struct reader clock_reader = reader_of(read_bytes(&r));
    struct reader floor_reader = reader_of(read_bytes(&r));
    for (int i = 0; i < 4; i++)
        read_varint(&r);
    bool kept = !r.failed && reader_left(&r) > 0 && read_varint(&r) == LOG_KEPT;
    *operations = (struct partition_operations){.written = !r.failed && reader_left(&r) > 0};
    if (operations->written) {
        operations->floor = read_u64(&r);
        operations->run = read_bytes(&r);
    }
    struct slice filling = {NULL, 0};
    if (!r.failed && reader_left(&r) > 0)
        filling = read_bytes(&r);
    if (r.failed || operations->run.bytes % OPERATION_BYTES != 0)
        return GT_ECORRUPT;
    error = fill_decode(filling, fill);
    if (!error)
        error = clock_decode(&clock_reader, clock);
    if (error)
        return error;
    /* An earlier version kept no dot log, or (1) a floor that did not tell what was confirmed: the
     * log may lack everything. */
    if (!kept)
        return clock_copy(floor, clock);
    return reader_left(&floor_reader) > 0 ? clock_decode(&floor_reader, floor) : 0;
}

void meta_value_encode(struct slice name, struct slice bytes, struct buf *out)
{
    size_t start = out->bytes;
    buf_u32(out, 0);
    buf_u8(out, VALUE_FORMAT);
    buf_put(out, bytes.data, bytes.bytes);
    checksum_fill(out, start, name);
}

int meta_value_decode(struct slice name, struct slice value, struct slice *bytes)
{
    struct reader r;
    int error = checksum_open(value, name, &r);
    if (error)
        return error;
    *bytes = read_raw(&r, reader_left(&r));
    return 0;
}

void identity_encode(const struct identity_value *v, struct buf *out)
{
    buf_u64(out, v->node_id);
    buf_u64(out, v->incarnation);
    buf_u64(out, v->previous_incarnation);
    buf_put(out, v->cluster_id, sizeof(v->cluster_id));
    buf_put(out, v->boot_id, sizeof(v->boot_id));
    buf_bytes(out, slice_text(v->role));
    buf_u8(out, v->damage.kinds);
    buf_u64(out, v->damage.first_lsn);
    buf_u64(out, v->damage.last_lsn);
    buf_u64(out, v->damage.found_s);
    buf_u64(out, v->damage.starts);
    buf_u8(out, v->log_made);
    buf_u64(out, v->fill_generation);
    buf_u8(out, v->fill_flags);
    uint8_t lives[LIVES_KEPT * LIFE_TOLD_BYTES];
    buf_bytes(out, lives_put(&v->lives, lives));
    buf_u32(out, v->folder_format);
    buf_bytes(out, slice_text(v->version));
}

/* The text of a field with room for `max` bytes, of which one is the NUL; what is longer is cut. */
static void text_take(char *to, size_t max, struct slice from)
{
    size_t bytes = from.bytes < max ? from.bytes : max - 1;
    memset(to, 0, max);
    if (bytes > 0)
        memcpy(to, from.data, bytes);
}

int identity_decode(struct slice bytes, struct identity_value *v)
{
    struct reader r = reader_of(bytes);
    v->node_id = read_u64(&r);
    v->incarnation = read_u64(&r);
    v->previous_incarnation = read_u64(&r);
    struct slice cluster = read_raw(&r, sizeof(v->cluster_id));
    struct slice boot = read_raw(&r, sizeof(v->boot_id));
    struct slice role = read_bytes(&r);
    v->damage = (struct engine_damage){0};
    if (reader_left(&r) > 0) { /* an earlier version wrote no mark */
        v->damage.kinds = read_u8(&r);
        v->damage.first_lsn = read_u64(&r);
        v->damage.last_lsn = read_u64(&r);
        v->damage.found_s = read_u64(&r);
        v->damage.starts = read_u64(&r);
    }
    v->log_made = !r.failed && reader_left(&r) > 0 && read_u8(&r) != 0;
    bool fills = !r.failed && reader_left(&r) > 0;
    v->fill_generation = fills ? read_u64(&r) : 0;
    v->fill_flags = fills ? read_u8(&r) : 0;
    v->lives = (struct lives){0};
    if (!r.failed && reader_left(&r) > 0)
        lives_take(&v->lives, read_bytes(&r));
    bool told = !r.failed && reader_left(&r) > 0;
    v->folder_format = told ? read_u32(&r) : 1;
    text_take(v->version, sizeof(v->version), told ? read_bytes(&r) : slice_of(NULL, 0));
    lives_add(&v->lives, v->incarnation);
    lives_add(&v->lives, v->previous_incarnation);
    if (r.failed || role.bytes >= ROLE_BYTES_MAX)
        return GT_ECORRUPT;
    memcpy(v->cluster_id, cluster.data, cluster.bytes);
    memcpy(v->boot_id, boot.data, boot.bytes);
    text_take(v->role, sizeof(v->role), role);
    return 0;
}

void applied_encode(const struct applied_value *v, struct buf *out)
{
    buf_u64(out, v->lsn);
    buf_u64(out, v->floor_segment);
    buf_u32(out, v->chain);
    buf_u64(out, v->highest_lsn);
    buf_u64(out, v->stamp_max);
}

int applied_decode(struct slice bytes, struct applied_value *v)
{
    struct reader r = reader_of(bytes);
    v->lsn = read_u64(&r);
    v->floor_segment = read_u64(&r);
    v->chain = read_u32(&r);
    v->highest_lsn = read_u64(&r);
    v->stamp_max = read_u64_or_zero(&r);
    return r.failed ? GT_ECORRUPT : 0;
}
