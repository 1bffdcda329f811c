/*
 * Any bytes as the files of a log: recovery ends with a report or an error, never with a crash, and
 * delivers records in ascending order.
 *
 * The first byte says how: bit 0 cuts the rest into two segments; bit 1 repairs the checksums of
 * what looks like a header, so that the walk gets behind them.
 */
#include "engine/wal.h"

#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/crc.h"
#include "engine/base/error.h"

#define FILE_BYTES_MAX (256u << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity);

/* Two files of bytes, and no more of a disk than recovery asks. */
struct flat {
    struct disk disk;
    struct slice files[2];
};

struct disk_file {
    struct slice bytes;
};

static int flat_open(struct disk *d, const char *name, bool create, struct disk_file **out)
{
    struct flat *f = (struct flat *)d;
    uint64_t number;
    gt_assert(!create);
    gt_assert(wal_segment_number(name + 4, &number) == 0 && number >= 1 && number <= 2);
    *out = malloc(sizeof(**out));
    gt_assert(*out);
    (*out)->bytes = f->files[number - 1];
    return 0;
}

static void flat_close(struct disk *d, struct disk_file *file)
{
    (void)d;
    free(file);
}

static int flat_size(struct disk *d, struct disk_file *file, uint64_t *bytes)
{
    (void)d;
    *bytes = file->bytes.bytes;
    return 0;
}

static int flat_read(struct disk *d, struct disk_file *file, uint64_t offset, void *data,
                     size_t bytes, size_t *got)
{
    (void)d;
    gt_assert(offset <= file->bytes.bytes);
    size_t left = file->bytes.bytes - (size_t)offset;
    *got = bytes < left ? bytes : left;
    if (*got > 0)
        memcpy(data, file->bytes.data + offset, *got);
    return 0;
}

static void flat_read_ahead(struct disk *d, struct disk_file *file)
{
    (void)d;
    (void)file;
}

static int flat_file_done(struct disk *d, struct disk_file *file)
{
    (void)d;
    (void)file;
    return 0;
}

static int flat_folder_done(struct disk *d, const char *name)
{
    (void)d;
    (void)name;
    return 0;
}

static int flat_list(struct disk *d, const char *folder, int (*each)(void *arg, const char *name),
                     void *arg)
{
    struct flat *f = (struct flat *)d;
    char name[DISK_NAME_BYTES];
    (void)folder;
    for (unsigned i = 2; i > 0; i--) /* in no helpful order */
        if (f->files[i - 1].data && each(arg, wal_segment_name(i, name) + 4) != 0)
            return GT_ENOMEM;
    return 0;
}

static int take(void *arg, const struct wal_record *r)
{
    uint64_t *last = arg;
    gt_assert(r->lsn > *last);
    *last = r->lsn;
    for (size_t i = 0; i < r->payload.bytes; i++) /* the sanitizer looks */
        if (r->payload.data[i] == 0xa5 && r->payload.bytes == 77)
            return GT_EFORMAT;
    return 0;
}

static void repair(uint8_t *file, size_t bytes)
{
    if (bytes >= WAL_BLOCK)
        le32_put(file + 44, crc_update(0, file, 44));
    for (size_t at = WAL_BLOCK; at + WAL_BLOCK <= bytes; at += WAL_BLOCK) {
        uint8_t *h = file + at;
        size_t body = le32_get(h + 8);
        if (memcmp(h, "GTB1", 4) != 0)
            continue;
        if (body <= bytes - at - WAL_BATCH_HEADER)
            le32_put(h + 44, crc_update(0, h + WAL_BATCH_HEADER, body));
        le32_put(h + 60, crc_update(0, h, 60));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes < 2 || bytes > FILE_BYTES_MAX)
        return 0;
    uint8_t how = data[0];
    size_t rest = bytes - 1, first = rest;
    if (how & 1)
        first = rest / 2 / WAL_BLOCK * WAL_BLOCK;
    uint8_t *files[2] = {malloc(first + 1), malloc(rest - first + 1)};
    gt_assert(files[0] && files[1]);
    memcpy(files[0], data + 1, first);
    memcpy(files[1], data + 1 + first, rest - first);
    if (how & 2) {
        repair(files[0], first);
        repair(files[1], rest - first);
    }
    struct flat f = {
        .disk = {.open = flat_open,
                 .close = flat_close,
                 .size = flat_size,
                 .read = flat_read,
                 .sync = flat_file_done,
                 .drop_cache = flat_file_done,
                 .read_ahead = flat_read_ahead,
                 .make_folder = flat_folder_done,
                 .sync_folder = flat_folder_done,
                 .list = flat_list},
        .files = {slice_of(files[0], first),
                  first < rest ? slice_of(files[1], rest - first) : slice_of(NULL, 0)},
    };
    struct wal_report report;
    uint64_t last = how >> 4;
    int error = wal_recover(&f.disk, NULL, how >> 2 & 1, last, false, take, &last, &report);
    gt_assert(error == 0 || error == GT_EFORMAT);
    gt_assert(error != 0 || !report.clean || !report.tail);
    free(files[0]);
    free(files[1]);
    return 0;
}

/* Good logs to start from: one or two segments of a few batches. */
size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity)
{
    static const struct {
        uint8_t how;
        uint32_t batches, records, payload;
    } shapes[] = {{2, 3, 2, 50}, {3, 3, 1, 5000}, {0, 2, 1, 10}, {7, 1, 9, 100}};
    const size_t segment_bytes = 7 * WAL_BLOCK;
    if (index >= sizeof(shapes) / sizeof(shapes[0]))
        return 0;
    size_t segments = shapes[index].how & 1 ? 2 : 1, bytes = 1 + segments * segment_bytes;
    if (capacity < bytes)
        return 0;
    memset(out, 0, bytes);
    out[0] = shapes[index].how;
    uint32_t chain = 0;
    uint64_t lsn = 1;
    for (size_t s = 0; s < segments; s++) {
        uint8_t *at = out + 1 + s * segment_bytes;
        struct wal_segment segment = {.number = s + 1, .salt = 42 + s, .bytes = segment_bytes};
        memcpy(at, "GTSWAL\r\n", 8);
        le32_put(at + 8, 1);
        le32_put(at + 12, WAL_BLOCK);
        le64_put(at + 16, segment.number);
        le64_put(at + 24, segment.salt);
        le64_put(at + 32, segment.bytes);
        le32_put(at + 44, crc_update(0, at, 44));
        uint64_t offset = WAL_BLOCK;
        for (uint32_t b = 0; b < shapes[index].batches; b++) {
            struct buf body;
            wal_body_init(&body, shapes[index].records * (shapes[index].payload + 4));
            for (uint32_t r = 0; r < shapes[index].records; r++) {
                wal_record_begin(&body, (uint8_t)r, shapes[index].payload);
                buf_zero(&body, shapes[index].payload);
            }
            gt_assert(wal_batch_seal(&body, b == 2 ? WAL_SEAL : 0, shapes[index].records, lsn,
                                     &segment, offset, &chain) == 0);
            memcpy(at + offset, body.data, body.bytes);
            offset += body.bytes;
            lsn += shapes[index].records;
            buf_close(&body);
        }
    }
    return bytes;
}
