#include "engine/wal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/crc.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"

#define SEGMENT_MAGIC    "GTSWAL\r\n"
#define SEGMENT_FORMAT   1
#define SEGMENT_RECYCLED 1u
#define BATCH_MAGIC      "GTB1"
#define BATCH_FORMAT     1

#define PIECE_BYTES (1u << 20) /* of zeros in one write, of log in one read */
#define SYNC_EVERY_BYTES                                                                           \
    (8u << 20)                  /* of zeros, so that the running log's syncs are not held up       \
                                 */
#define SEGMENTS_MAX (1u << 20) /* files looked at by recovery */

static const char *temporary_name(uint64_t number, char name[DISK_NAME_BYTES])
{
    snprintf(name, DISK_NAME_BYTES, "wal/%016" PRIx64 ".tmp", number);
    return name;
}

const char *wal_segment_name(uint64_t number, char name[DISK_NAME_BYTES])
{
    snprintf(name, DISK_NAME_BYTES, "wal/%016" PRIx64 ".wal", number);
    return name;
}

/* Sixteen hexadecimal digits and the ending. Numbers end at INT64_MAX, so that a file with a wild
 * name cannot bring the count to its end. */
static int number_of(const char *file_name, const char *ending, uint64_t *number)
{
    uint64_t v = 0;
    for (int i = 0; i < 16; i++) {
        char c = file_name[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return GT_EARG;
        v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if (strcmp(file_name + 16, ending) != 0 || v == 0 || v >= INT64_MAX)
        return GT_EARG;
    *number = v;
    return 0;
}

int wal_segment_number(const char *file_name, uint64_t *number)
{
    return number_of(file_name, ".wal", number);
}

/* ---- making segments ------------------------------------------------------------------------- */

static int write_header(struct disk *d, const struct wal_segment *s, uint32_t flags)
{
    uint8_t block[WAL_BLOCK] = {0};
    memcpy(block, SEGMENT_MAGIC, 8);
    le32_put(block + 8, SEGMENT_FORMAT);
    le32_put(block + 12, WAL_BLOCK);
    le64_put(block + 16, s->number);
    le64_put(block + 24, s->salt);
    le64_put(block + 32, s->bytes);
    le32_put(block + 40, flags);
    le32_put(block + 44, crc_update(0, block, 44));
    return d->write(d, s->file, 0, block, sizeof(block));
}

static int write_zeros(struct disk *d, struct disk_file *file, uint64_t bytes)
{
    uint8_t *zeros = calloc(1, bytes < PIECE_BYTES ? (size_t)bytes : PIECE_BYTES);
    if (!zeros)
        return GT_ENOMEM;
    int error = 0;
    for (uint64_t at = 0; at < bytes && error == 0;) {
        size_t piece = bytes - at < PIECE_BYTES ? (size_t)(bytes - at) : PIECE_BYTES;
        error = d->write(d, file, at, zeros, piece);
        at += piece;
        if (error == 0 && at % SYNC_EVERY_BYTES == 0)
            error = d->sync(d, file);
    }
    free(zeros);
    return error;
}

static int make_new(struct disk *d, struct wal_segment *s)
{
    char name[DISK_NAME_BYTES];
    int error = d->open(d, temporary_name(s->number, name), true, &s->file);
    if (error != 0)
        return error;
    if ((error = write_zeros(d, s->file, s->bytes)) == 0 && (error = write_header(d, s, 0)) == 0 &&
        !MUTANT(segment_unsynced))
        error = d->sync(d, s->file);
    return error;
}

/* Opens the old segment's file and gives it the new header under its old name, where recovery does
 * not read it. GT_ENOTFOUND when there is no file of use; then it is gone. */
static int make_recycled(struct disk *d, uint64_t recycle, struct wal_segment *s)
{
    char name[DISK_NAME_BYTES];
    uint64_t bytes;
    int error = d->open(d, wal_segment_name(recycle, name), false, &s->file);
    if (error != 0)
        return error;
    if ((error = d->size(d, s->file, &bytes)) != 0)
        return error;
    if (bytes < s->bytes || bytes % WAL_BLOCK != 0) {
        d->close(d, s->file);
        s->file = NULL;
        error = d->remove(d, name);
        return error != 0 ? error : GT_ENOTFOUND;
    }
    s->bytes = bytes;
    if ((error = write_header(d, s, SEGMENT_RECYCLED)) == 0 && !MUTANT(recycled_unsynced))
        error = d->sync(d, s->file);
    return error;
}

int wal_segment_make(struct disk *d, uint64_t number, uint64_t bytes, uint64_t salt,
                     uint64_t recycle, struct wal_segment *out)
{
    gt_assert(number > 0 && number < INT64_MAX && recycle < number);
    gt_assert(bytes >= WAL_SEGMENT_BYTES_MIN && bytes % WAL_BLOCK == 0);
    struct wal_segment s = {.number = number, .salt = salt, .bytes = bytes};
    char from[DISK_NAME_BYTES], to[DISK_NAME_BYTES];
    wal_segment_name(number, to);
    wal_segment_name(recycle, from);
    int error = recycle != 0 ? make_recycled(d, recycle, &s) : GT_ENOTFOUND;
    bool is_new = error == GT_ENOTFOUND;
    if (is_new) {
        temporary_name(number, from);
        error = make_new(d, &s);
    }
    bool renamed = false;
    if (error == 0 && (error = d->rename(d, from, to)) == 0) {
        renamed = true;
        error = MUTANT(segment_name_unsynced) ? 0 : d->sync_folder(d, "wal");
    }
    if (error == 0) {
        *out = s;
        return 0;
    }
    wal_segment_close(d, &s);
    /* Gives the space back; what cannot be removed now is removed or empty at the next start. */
    if (renamed)
        (void)d->remove(d, to);
    else if (is_new)
        (void)d->remove(d, from);
    return error == GT_ENOTFOUND ? GT_EIO : error;
}

void wal_segment_close(struct disk *d, struct wal_segment *s)
{
    if (s->file)
        d->close(d, s->file);
    s->file = NULL;
}

/* ---- building batches ------------------------------------------------------------------------ */

static size_t varint_bytes(uint64_t v)
{
    size_t n = 1;
    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

size_t wal_record_bytes(size_t payload_bytes)
{
    return 1 + varint_bytes(payload_bytes) + payload_bytes;
}

void wal_record_begin(struct buf *body, uint8_t type, size_t payload_bytes)
{
    buf_u8(body, type);
    buf_varint(body, payload_bytes);
}

void wal_body_init(struct buf *body, size_t bytes_max)
{
    buf_init(body, (size_t)wal_batch_bytes(bytes_max));
    buf_zero(body, WAL_BATCH_HEADER);
}

/* Everything in a header but its own checksum, which is returned. */
struct header {
    uint16_t flags;
    uint32_t body_bytes, records, previous, body_crc;
    uint64_t first_lsn, salt, number, offset;
};

static uint32_t header_put(uint8_t *h, const struct header *v)
{
    memcpy(h, BATCH_MAGIC, 4);
    le16_put(h + 4, BATCH_FORMAT);
    le16_put(h + 6, v->flags);
    le32_put(h + 8, v->body_bytes);
    le32_put(h + 12, v->records);
    le64_put(h + 16, v->first_lsn);
    le64_put(h + 24, v->salt);
    le64_put(h + 32, v->number);
    le32_put(h + 40, v->previous);
    le32_put(h + 44, v->body_crc);
    le64_put(h + 48, v->offset);
    le32_put(h + 56, 0);
    uint32_t crc = crc_update(0, h, 60);
    le32_put(h + 60, crc);
    return crc;
}

int wal_batch_seal(struct buf *body, uint16_t flags, uint32_t records, uint64_t first_lsn,
                   const struct wal_segment *segment, uint64_t offset, uint32_t *chain)
{
    if (body->failed)
        return GT_ENOMEM;
    gt_assert(body->bytes >= WAL_BATCH_HEADER && first_lsn > 0);
    size_t body_bytes = body->bytes - WAL_BATCH_HEADER;
    uint64_t padded = wal_batch_bytes(body_bytes);
    gt_assert(offset >= WAL_BLOCK && offset % WAL_STEP == 0 && offset <= segment->bytes &&
              padded <= segment->bytes - offset && body_bytes <= UINT32_MAX);
    uint32_t body_crc = crc_update(0, body->data + WAL_BATCH_HEADER, body_bytes);
    buf_zero(body, (size_t)padded - body->bytes);
    if (body->failed)
        return GT_ENOMEM;
    *chain = header_put(body->data, &(struct header){.flags = flags,
                                                     .body_bytes = (uint32_t)body_bytes,
                                                     .records = records,
                                                     .previous = *chain,
                                                     .body_crc = body_crc,
                                                     .first_lsn = first_lsn,
                                                     .salt = segment->salt,
                                                     .number = segment->number,
                                                     .offset = offset});
    return 0;
}

/* ---- recovery -------------------------------------------------------------------------------- */

/*
 * The walk tries every block of every segment, in order, as the start of a batch, and steps over
 * the whole batch when it is valid. A block that is neither valid nor explained (zero, or left over
 * from an earlier use of the file) leaves a `doubt`, which the next valid batch resolves: when its
 * LSN and chain continue the batch before the doubt, nothing was lost there (a torn batch, cut by
 * an earlier recovery); otherwise it is corruption in the middle. A doubt that is still open at the
 * end is an unproven tail, or, when no torn batch can explain it (a file is missing, a header is
 * bad), corruption too.
 */
struct doubt {
    bool open;
    bool torn; /* a torn batch explains it */
    uint64_t segment, offset;
};

struct batch {
    uint16_t flags;
    uint32_t records, previous, chain;
    uint64_t first_lsn, bytes;
    struct slice body;
};

struct walk {
    struct disk *d;
    struct log *log;
    bool dropped; /* the page cache is that of now */
    uint64_t applied_lsn;
    int (*deliver)(void *arg, const struct wal_record *r);
    void *arg;
    struct wal_report *report;

    /* The log so far. */
    bool any; /* a batch was taken; next_lsn and chain are of it */
    uint64_t next_lsn;
    uint32_t chain;
    bool closed;                               /* the last batch was a CLOSE mark */
    uint64_t end_number, end_salt, end_offset; /* behind the last batch */
    struct doubt doubt;

    /* The open segment. */
    struct disk_file *file;
    uint64_t number, salt, limit; /* limit: where its bytes end */
    bool salt_known, recycled, cut_short;
    /* A piece of it in memory. */
    uint8_t *data;
    size_t capacity, held;
    uint64_t held_at;
};

static void doubt_open(struct walk *w, uint64_t segment, uint64_t offset, bool torn)
{
    if (!w->doubt.open)
        w->doubt = (struct doubt){true, torn, segment, offset};
    else
        w->doubt.torn = w->doubt.torn && torn;
}

/* Bytes of the segment, borrowed until the next call; offset + bytes is at most the limit. */
static int walk_bytes(struct walk *w, uint64_t offset, size_t bytes, const uint8_t **at)
{
    if (offset < w->held_at || offset + bytes > w->held_at + w->held) {
        size_t want = bytes > PIECE_BYTES ? bytes : PIECE_BYTES;
        if (want > w->limit - offset)
            want = (size_t)(w->limit - offset);
        if (want > w->capacity) {
            free(w->data);
            w->held = w->capacity = 0;
            w->data = malloc(want);
            if (!w->data)
                return GT_ENOMEM;
            w->capacity = want;
        }
        size_t got = 0;
        w->held = 0;
        int error = w->d->read(w->d, w->file, offset, w->data, want, &got);
        if (error != 0)
            return error == GT_ENOTFOUND ? GT_EIO : error;
        if (got < bytes)
            return GT_EIO; /* the file shrank under us */
        w->held = got;
        w->held_at = offset;
    }
    *at = w->data + (offset - w->held_at);
    return 0;
}

static bool is_zero(const uint8_t *at, size_t bytes)
{
    return at[0] == 0 && memcmp(at, at + 1, bytes - 1) == 0;
}

/* The records of a body are whole, as many as the header says. */
static bool body_is_framed(struct slice body, uint32_t records)
{
    struct reader r = reader_of(body);
    for (uint32_t i = 0; i < records; i++) {
        read_u8(&r);
        read_bytes(&r);
        if (r.failed)
            return false;
    }
    return reader_left(&r) == 0;
}

/* The block's header names this use of this segment, whose salt is known, though the batch may be
 * bad. */
static bool is_of_segment(const struct walk *w, const uint8_t *h, uint64_t offset)
{
    return le64_get(h + 24) == w->salt ||
           (le64_get(h + 32) == w->number && le64_get(h + 48) == offset);
}

/*
 * A valid batch at offset: 0; GT_ENOTFOUND when there is none; GT_EFORMAT. When the segment's own
 * header is bad, its first good batch tells the salt: the number, never used twice, vouches for it.
 */
static int walk_batch(struct walk *w, uint64_t offset, struct batch *b)
{
    const uint8_t *h;
    int error = walk_bytes(w, offset, WAL_BLOCK, &h);
    if (error != 0)
        return error;
    if (memcmp(h, BATCH_MAGIC, 4) != 0 || crc_update(0, h, 60) != le32_get(h + 60) ||
        (le64_get(h + 32) != w->number && !MUTANT(stale_batch_taken)) ||
        le64_get(h + 48) != offset ||
        (w->salt_known && le64_get(h + 24) != w->salt && !MUTANT(stale_batch_taken)))
        return GT_ENOTFOUND;
    if (le16_get(h + 4) != BATCH_FORMAT) {
        char name[DISK_NAME_BYTES];
        log_error(w->log,
                  "log batch of an unknown, newer format file=%s offset=%" PRIu64 " format=%u",
                  wal_segment_name(w->number, name), offset, le16_get(h + 4));
        return GT_EFORMAT;
    }
    size_t body_bytes = le32_get(h + 8);
    uint32_t body_crc = le32_get(h + 44);
    uint64_t salt = le64_get(h + 24);
    *b = (struct batch){
        .flags = le16_get(h + 6),
        .records = le32_get(h + 12),
        .first_lsn = le64_get(h + 16),
        .previous = le32_get(h + 40),
        .chain = le32_get(h + 60),
        .bytes = wal_batch_bytes(body_bytes),
    };
    if (b->bytes > w->limit - offset || b->first_lsn == 0 || b->first_lsn > UINT64_MAX - b->records)
        return GT_ENOTFOUND;
    if ((error = walk_bytes(w, offset, (size_t)b->bytes, &h)) != 0)
        return error;
    b->body = slice_of(h + WAL_BATCH_HEADER, body_bytes);
    if ((crc_update(0, b->body.data, body_bytes) != body_crc && !MUTANT(body_unchecked)) ||
        !body_is_framed(b->body, b->records))
        return GT_ENOTFOUND;
    w->salt_known = true;
    w->salt = salt;
    return 0;
}

/* The open doubt is damage: records first..last are missing. An empty range (first > last): how
 * many, nobody can say. */
static void middle_report(struct walk *w, uint64_t first, uint64_t last)
{
    struct wal_report *r = w->report;
    r->middle = true;
    if (first <= last) {
        if (r->lost_first_lsn == 0)
            r->lost_first_lsn = first;
        r->lost_last_lsn = last;
    }
    log_error(w->log,
              "log is damaged in the middle lsn=%" PRIu64 " lost=%" PRIu64 "%s"
              " segment=%" PRIu64 " offset=%" PRIu64,
              first, first <= last ? last - first + 1 : 0, first <= last ? "" : " or unknown",
              w->doubt.segment, w->doubt.offset);
}

/* What a seal behind the last batch would leave in the chain: all of it follows from its place. So
 * a bad one with batches behind it is known for what it was: nothing is lost with it. */
static uint32_t seal_chain(const struct walk *w)
{
    uint8_t h[WAL_BATCH_HEADER] = {0};
    return header_put(h, &(struct header){.flags = WAL_SEAL,
                                          .previous = w->chain,
                                          .body_crc = crc_update(0, h, 0),
                                          .first_lsn = w->next_lsn,
                                          .salt = w->end_salt,
                                          .number = w->end_number,
                                          .offset = w->end_offset});
}

/* Whether the batch may come next in the log; opens, resolves or reports doubts on the way. The
 * chain of the first batch cannot be judged: what precedes it may lie below the floor. */
static bool walk_accepts(struct walk *w, const struct batch *b, uint64_t offset)
{
    if (w->any && b->first_lsn < w->next_lsn) {
        doubt_open(w, w->number, offset, false);
        return false;
    }
    uint64_t expected = w->applied_lsn + 1; /* the first record whose loss matters */
    if (w->any && w->next_lsn > expected)
        expected = w->next_lsn;
    bool broken = w->any && b->first_lsn == w->next_lsn && b->first_lsn > w->applied_lsn &&
                  b->previous != w->chain && !(w->doubt.open && b->previous == seal_chain(w));
    if (b->first_lsn > expected || broken) {
        doubt_open(w, w->number, offset, false); /* here, if no earlier place is known */
        middle_report(w, expected, b->first_lsn - 1);
    } else if (w->doubt.open) {
        log_warn(w->log,
                 "log has bytes of no batch, nothing lost segment=%" PRIu64 " offset=%" PRIu64,
                 w->doubt.segment, w->doubt.offset);
    }
    w->doubt.open = false;
    return true;
}

static int walk_deliver(struct walk *w, const struct batch *b, uint64_t offset)
{
    struct wal_report *report = w->report;
    struct reader r = reader_of(b->body);
    for (uint32_t i = 0; i < b->records; i++) {
        struct wal_record record = {.lsn = b->first_lsn + i, .type = read_u8(&r)};
        record.payload = read_bytes(&r);
        if (record.lsn <= w->applied_lsn)
            continue;
        int result = w->deliver(w->arg, &record);
        if (result != 0)
            return result;
    }
    if (b->records > 0 && report->first_lsn == 0)
        report->first_lsn = b->first_lsn;
    report->batches++;
    report->records += b->records;
    w->any = true;
    w->next_lsn = b->first_lsn + b->records;
    w->chain = b->chain;
    w->closed = b->flags & WAL_CLOSE;
    w->end_number = w->number;
    w->end_salt = w->salt;
    w->end_offset = offset + b->bytes;
    return 0;
}

/* The header of the open file: 0; GT_ECORRUPT when it is bad or names another segment; GT_EFORMAT.
 * Fills salt, limit and recycled as far as they are known. */
static int walk_header(struct walk *w, uint64_t file_bytes)
{
    char name[DISK_NAME_BYTES];
    wal_segment_name(w->number, name);
    w->limit = file_bytes / WAL_BLOCK * WAL_BLOCK;
    w->held = 0;
    w->salt_known = w->recycled = w->cut_short = false;
    if (w->limit == 0)
        return GT_ECORRUPT;
    const uint8_t *h;
    int error = walk_bytes(w, 0, WAL_BLOCK, &h);
    if (error != 0)
        return error;
    if (memcmp(h, SEGMENT_MAGIC, 8) != 0 || le32_get(h + 44) != crc_update(0, h, 44))
        return GT_ECORRUPT;
    if (le32_get(h + 8) != SEGMENT_FORMAT) {
        log_error(w->log, "log segment of an unknown, newer format file=%s format=%u", name,
                  le32_get(h + 8));
        return GT_EFORMAT;
    }
    uint64_t bytes = le64_get(h + 32);
    if (le32_get(h + 12) != WAL_BLOCK || le64_get(h + 16) != w->number || bytes % WAL_BLOCK != 0 ||
        bytes < WAL_BLOCK)
        return GT_ECORRUPT;
    w->salt_known = true;
    w->salt = le64_get(h + 24);
    w->recycled = le32_get(h + 40) & SEGMENT_RECYCLED;
    if (bytes <= w->limit)
        w->limit = bytes;
    else
        w->cut_short = true;
    return 0;
}

/* Judges a block where no valid batch starts, and which walk_batch has just looked at, so that it
 * is in memory. `place` is where the next batch was expected. */
static void walk_judge(struct walk *w, uint64_t offset, uint64_t place, bool header_bad)
{
    gt_assert(offset >= w->held_at && offset + WAL_BLOCK <= w->held_at + w->held);
    const uint8_t *h = w->data + (offset - w->held_at);
    if (is_zero(h, WAL_BLOCK))
        return;
    /* A segment is headed, synced and named before it is used: no torn write explains a bad header
     * over bytes that are not zero. */
    if (!w->salt_known)
        doubt_open(w, w->number, place, false);
    else if (is_of_segment(w, h, offset) || (!w->recycled && !header_bad))
        doubt_open(w, w->number, place, true);
}

static int walk_blocks(struct walk *w, bool header_bad)
{
    uint64_t offset = WAL_BLOCK, place = WAL_BLOCK, batches = w->report->batches;
    while (offset + WAL_BLOCK <= w->limit && !(MUTANT(stop_at_first_bad) && w->doubt.open)) {
        struct batch b;
        int error = walk_batch(w, offset, &b);
        if (error == 0 && walk_accepts(w, &b, offset)) {
            if ((error = walk_deliver(w, &b, offset)) != 0)
                return error;
            offset += b.bytes;
            place = offset;
            continue;
        }
        if (error != 0 && error != GT_ENOTFOUND)
            return error;
        walk_judge(w, offset, place, header_bad);
        offset += WAL_STEP;
    }
    /* What stood behind is lost, unless the log went on elsewhere. */
    if (w->cut_short)
        doubt_open(w, w->number, place, false);
    /* A valid batch may not have been synced when its writer died. */
    return w->report->batches > batches && !MUTANT(found_unsynced) ? w->d->sync(w->d, w->file) : 0;
}

static int walk_segment(struct walk *w, uint64_t number)
{
    struct disk *d = w->d;
    char name[DISK_NAME_BYTES];
    uint64_t bytes;
    w->number = number;
    int error = d->open(d, wal_segment_name(number, name), false, &w->file);
    if (error != 0)
        return error == GT_ENOTFOUND ? GT_EIO : error;
    /* After a failed sync the cache may show what the medium never got. */
    if (!w->dropped)
        error = d->drop_cache(d, w->file);
    if (error == 0 && (error = d->size(d, w->file, &bytes)) == 0)
        error = walk_header(w, bytes);
    bool header_bad = error == GT_ECORRUPT;
    if (header_bad)
        log_warn(w->log, "log segment has a bad header, or another segment's file=%s", name);
    if (error == 0 || header_bad)
        error = walk_blocks(w, header_bad);
    d->close(d, w->file);
    w->file = NULL;
    w->report->segments++;
    return error;
}

struct listing {
    struct buf segments, temporaries; /* numbers, u64 each, in memory order */
};

static int listing_add(void *arg, const char *file_name)
{
    struct listing *l = arg;
    uint64_t number;
    struct buf *to = NULL;
    if (wal_segment_number(file_name, &number) == 0)
        to = &l->segments;
    else if (number_of(file_name, ".tmp", &number) == 0)
        to = &l->temporaries;
    if (to)
        buf_put(to, &number, sizeof(number));
    return to && to->failed ? GT_ENOMEM : 0;
}

/* The files of the folder; listing_close ends it in every case. */
static int listing_read(struct disk *d, struct listing *l)
{
    buf_init(&l->segments, SEGMENTS_MAX * sizeof(uint64_t));
    buf_init(&l->temporaries, SEGMENTS_MAX * sizeof(uint64_t));
    return d->list(d, "wal", listing_add, l);
}

static void listing_close(struct listing *l)
{
    buf_close(&l->segments);
    buf_close(&l->temporaries);
}

static int number_order(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? -1 : x > y;
}

static uint64_t listing_at(const struct buf *numbers, size_t i)
{
    uint64_t v;
    memcpy(&v, numbers->data + i * sizeof(v), sizeof(v));
    return v;
}

static int remove_temporaries(struct disk *d, const struct buf *numbers)
{
    for (size_t i = 0; i < numbers->bytes / sizeof(uint64_t); i++) {
        char name[DISK_NAME_BYTES];
        int error = d->remove(d, temporary_name(listing_at(numbers, i), name));
        if (error != 0 && error != GT_ENOTFOUND)
            return error;
    }
    return 0;
}

static int segment_read_ahead(struct disk *d, uint64_t number)
{
    char name[DISK_NAME_BYTES];
    struct disk_file *f;
    int error = d->open(d, wal_segment_name(number, name), false, &f);
    if (error != 0)
        return error == GT_ENOTFOUND ? GT_EIO : error;
    error = d->drop_cache(d, f);
    if (error == 0)
        d->read_ahead(d, f);
    d->close(d, f);
    return error;
}

int wal_read_ahead(struct disk *d, uint64_t floor_segment)
{
    struct listing l;
    int error = listing_read(d, &l);
    if (error == GT_ENOTFOUND) /* not made yet */
        error = 0;
    for (size_t i = 0; i < l.segments.bytes / sizeof(uint64_t) && error == 0; i++)
        if (listing_at(&l.segments, i) >= floor_segment)
            error = segment_read_ahead(d, listing_at(&l.segments, i));
    listing_close(&l);
    return error;
}

static int walk_all(struct walk *w, const struct buf *numbers, uint64_t floor_segment)
{
    uint64_t expected = floor_segment > 0 ? floor_segment : 1;
    for (size_t i = 0; i < numbers->bytes / sizeof(uint64_t); i++) {
        uint64_t number = listing_at(numbers, i);
        w->report->last_segment = number;
        if (number < expected)
            continue;
        /* Segments are made in order, and removed only below the floor. */
        if (number > expected)
            doubt_open(w, expected, 0, false);
        int error = walk_segment(w, number);
        if (error != 0)
            return error;
        expected = number + 1;
    }
    return 0;
}

static void walk_conclude(struct walk *w)
{
    struct wal_report *r = w->report;
    r->chain = w->chain;
    r->last_lsn = w->any ? w->next_lsn - 1 : 0;
    r->clean = w->closed && !w->doubt.open;
    if (!w->doubt.open)
        return;
    if (!w->doubt.torn) {
        uint64_t last = r->last_lsn > w->applied_lsn ? r->last_lsn : w->applied_lsn;
        middle_report(w, last + 1, last);
        return;
    }
    r->tail = true;
    r->tail_segment = w->doubt.segment;
    r->tail_offset = w->doubt.offset;
    log_warn(w->log, "log ends in bytes of no whole batch segment=%" PRIu64 " offset=%" PRIu64,
             r->tail_segment, r->tail_offset);
}

int wal_recover(struct disk *d, struct log *log, uint64_t floor_segment, uint64_t applied_lsn,
                bool dropped, int (*deliver)(void *arg, const struct wal_record *r), void *arg,
                struct wal_report *report)
{
    *report = (struct wal_report){0};
    struct walk w = {.d = d,
                     .log = log,
                     .applied_lsn = applied_lsn,
                     .dropped = dropped,
                     .deliver = deliver,
                     .arg = arg,
                     .report = report};
    struct listing l = {0};
    int error = d->make_folder(d, "wal");
    if (error == 0)
        error = d->sync_folder(d, "");
    if (error == 0)
        error = listing_read(d, &l);
    if (error == 0)
        error = remove_temporaries(d, &l.temporaries);
    if (error == 0 && l.segments.bytes > 0) {
        qsort(l.segments.data, l.segments.bytes / sizeof(uint64_t), sizeof(uint64_t), number_order);
        error = walk_all(&w, &l.segments, floor_segment);
    }
    if (error == 0)
        error = d->sync_folder(d, "wal");
    if (error == 0)
        walk_conclude(&w);
    free(w.data);
    listing_close(&l);
    return error;
}
