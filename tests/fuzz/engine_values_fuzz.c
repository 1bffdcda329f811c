/*
 * The small values of the index and the log's record of a state: partitions, named values,
 * identity, applied mark, rows of the dot log. Whatever decodes survives encoding. The first byte
 * says which of them; the input is tried as it is and with its checksum made good, since no
 * mutation would ever get past that.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/crc.h"
#include "engine/dotlog.h"
#include "engine/values.h"

#define KINDS 5
#define NAME  "identity"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity);

struct partition_read {
    uint64_t lsn;
    struct counts counts;
    struct clock clock, floor;
    struct partition_operations operations;
    struct fill fill;
};

static int partition_read(struct slice value, struct partition_read *p)
{
    *p = (struct partition_read){0};
    clock_init(&p->clock);
    clock_init(&p->floor);
    fill_init(&p->fill);
    return partition_value_decode(value, &p->lsn, &p->counts, &p->clock, &p->floor, &p->operations,
                                  &p->fill);
}

static void partition_close(struct partition_read *p)
{
    clock_close(&p->clock);
    clock_close(&p->floor);
    fill_close(&p->fill);
}

/* Both steps at once. */
static void partition_write(uint64_t lsn, const struct counts *counts, const struct clock *clock,
                            const struct clock *floor, const struct operations *operations,
                            const struct fill *fill, struct buf *out)
{
    struct buf state;
    buf_init(&state, 1u << 24);
    partition_state_encode(lsn, counts, clock, floor, fill, &state);
    partition_value_encode(buf_slice(&state), operations, 3, OPERATIONS_ALL, out);
    out->failed |= state.failed;
    buf_close(&state);
}

static void partition_try(struct slice value)
{
    struct partition_read p, again;
    struct operations none;
    struct buf out;
    operations_init(&none, 1u << 20);
    buf_init(&out, 1u << 24);
    if (partition_read(value, &p) == 0) {
        partition_write(p.lsn, &p.counts, &p.clock, &p.floor, &none, &p.fill, &out);
        gt_assert(!out.failed && partition_read(buf_slice(&out), &again) == 0);
        gt_assert(p.lsn == again.lsn && counts_equal(&p.counts, &again.counts));
        gt_assert(clock_equal(&p.clock, &again.clock) && clock_equal(&p.floor, &again.floor));
        gt_assert(p.operations.run.bytes % OPERATION_BYTES == 0);
        partition_close(&again);
    }
    partition_close(&p);
    buf_close(&out);
    operations_close(&none);
}

static void identity_try(struct slice bytes)
{
    struct identity_value v, again;
    struct buf out;
    buf_init(&out, 1u << 20);
    if (identity_decode(bytes, &v) == 0) {
        identity_encode(&v, &out);
        gt_assert(!out.failed && identity_decode(buf_slice(&out), &again) == 0);
        gt_assert(v.node_id == again.node_id && v.incarnation == again.incarnation &&
                  v.previous_incarnation == again.previous_incarnation);
        gt_assert(strcmp(v.role, again.role) == 0 &&
                  memcmp(v.cluster_id, again.cluster_id, sizeof(v.cluster_id)) == 0);
        gt_assert(v.damage.kinds == again.damage.kinds && v.log_made == again.log_made &&
                  v.fill_generation == again.fill_generation && v.fill_flags == again.fill_flags);
    }
    buf_close(&out);
}

static void applied_try(struct slice bytes)
{
    struct applied_value v, again;
    struct buf out;
    buf_init(&out, 1u << 20);
    if (applied_decode(bytes, &v) == 0) {
        applied_encode(&v, &out);
        gt_assert(!out.failed && applied_decode(buf_slice(&out), &again) == 0);
        gt_assert(v.lsn == again.lsn && v.floor_segment == again.floor_segment &&
                  v.chain == again.chain && v.highest_lsn == again.highest_lsn &&
                  v.stamp_max == again.stamp_max);
    }
    buf_close(&out);
}

/* A value under a name, and what these names stand for. */
static void named_try(struct slice value)
{
    struct slice bytes;
    if (meta_value_decode(slice_text(NAME), value, &bytes) != 0)
        return;
    gt_assert(bytes.data >= value.data && bytes.bytes <= value.bytes);
    identity_try(bytes);
    applied_try(bytes);
}

static void logged_try(uint8_t type, struct slice payload)
{
    struct wal_record record = {.lsn = 1, .type = type, .payload = payload};
    struct state_record s;
    if (state_record_decode(&record, &s) != 0)
        return;
    gt_assert(s.key.bytes >= 1 && s.key.bytes <= KEY_BYTES_MAX && s.partition < PARTITIONS_MAX);
    gt_assert(!s.reaped || s.record.bytes == 0);
    for (uint32_t i = 0; i < dots_count(s.dots); i++)
        (void)dots_at(s.dots, i);
}

static void keys_try(struct slice bytes)
{
    uint8_t at[INDEX_KEY_BYTES_MAX], dot_at[DOTLOG_KEY_BYTES];
    uint32_t partition;
    uint64_t hash;
    struct slice key;
    struct dot d;
    if (bytes.bytes <= INDEX_KEY_BYTES_MAX &&
        index_data_key_split(bytes, &partition, &hash, &key) == 0)
        gt_assert(slice_equal(index_data_key(at, partition, hash, key), bytes));
    if (dotlog_index_key_split(bytes, &partition, &d) == 0)
        gt_assert(slice_equal(dotlog_index_key(dot_at, partition, d), bytes));
}

static void any_try(uint8_t kind, struct slice bytes)
{
    switch (kind % KINDS) {
    case 0:
        partition_try(bytes);
        break;
    case 1:
        named_try(bytes);
        break;
    case 2:
        identity_try(bytes);
        applied_try(bytes);
        break;
    case 3:
        logged_try(kind & 64 ? LOG_REAP : LOG_STATE, bytes);
        break;
    default:
        keys_try(bytes);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    any_try(data[0], slice_of(data + 1, size - 1));
    if (size < 6 || data[0] % KINDS > 1)
        return 0;
    uint8_t *good = malloc(size - 1);
    gt_assert(good);
    memcpy(good, data + 1, size - 1);
    struct slice before = data[0] % KINDS == 1 ? slice_text(NAME) : slice_of(NULL, 0);
    uint32_t crc = crc_update(0, before.data, before.bytes);
    le32_put(good, crc_update(crc, good + 4, size - 5));
    any_try(data[0], slice_of(good, size - 1));
    free(good);
    return 0;
}

/* ---- good ones to start from ----------------------------------------------------------------- */

static void partition_seed(unsigned index, struct buf *out)
{
    struct operations none;
    struct clock clock, floor;
    struct fill fill;
    struct counts counts = {index, 1, 100 * index, 12345};
    operations_init(&none, 1u << 20);
    clock_init(&clock);
    clock_init(&floor);
    fill_init(&fill);
    for (unsigned i = 0; i < index; i++)
        gt_assert(clock_add(&clock, (struct dot){{1 + i % 3, 2}, 1 + 2 * i}) == 0);
    fill.reason = index % 2 ? FILL_ROT : 0;
    fill.generation = index;
    partition_write(7, &counts, &clock, &floor, &none, &fill, out);
    clock_close(&clock);
    clock_close(&floor);
    fill_close(&fill);
    operations_close(&none);
}

static void identity_seed(unsigned index, struct buf *out)
{
    struct identity_value v = {.node_id = 5,
                               .incarnation = 1000 + index,
                               .previous_incarnation = index,
                               .role = "node",
                               .log_made = true,
                               .fill_generation = index};
    struct buf bytes;
    v.damage.kinds = (uint8_t)(index % 8);
    lives_add(&v.lives, v.incarnation);
    buf_init(&bytes, 4096);
    identity_encode(&v, &bytes);
    if (index % 2)
        meta_value_encode(slice_text(NAME), buf_slice(&bytes), out);
    else
        buf_put(out, bytes.data, bytes.bytes);
    buf_close(&bytes);
}

static void logged_seed(unsigned index, struct buf *out)
{
    uint8_t dot[DOT_BYTES];
    dots_put(dot, (struct dot){{1, 2}, 3});
    buf_varint(out, index);
    buf_bytes(out, slice_text("key"));
    buf_u8(out, PRESENCE_ABSENT);
    buf_varint(out, 1);
    buf_put(out, dot, sizeof(dot));
    buf_bytes(out, slice_text("what stands for a record"));
    buf_u64(out, 99);
    buf_bytes(out, slice_of(NULL, 0));
}

size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity)
{
    static const uint8_t kinds[4] = {0, 1, 2, 3};
    if (index >= 16)
        return 0;
    struct buf b;
    buf_init(&b, capacity);
    uint8_t kind = kinds[index % 4];
    buf_u8(&b, kind);
    struct buf body;
    buf_init(&body, capacity);
    if (kind == 0)
        partition_seed(index / 4, &body);
    else if (kind == 3)
        logged_seed(index, &body);
    else
        identity_seed(kind, &body);
    buf_put(&b, body.data, body.bytes);
    gt_assert(!b.failed && !body.failed);
    memcpy(out, b.data, b.bytes);
    size_t bytes = b.bytes;
    buf_close(&b);
    buf_close(&body);
    return bytes;
}
