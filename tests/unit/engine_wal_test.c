/*
 * The log on a disk in memory: what was synced comes back, in order and whole, whatever the power
 * does; and damage is told apart from an end that was merely cut.
 */
#include "engine/wal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/crc.h"
#include "engine/base/error.h"
#include "engine/base/prng.h"
#include "tests/lib/memdisk.h"

#define RECORDS_MAX   4096
#define SEGMENT_BYTES WAL_SEGMENT_BYTES_MIN
#define FIRST         "wal/0000000000000001.wal"
#define SECOND        "wal/0000000000000002.wal"
#define THIRD         "wal/0000000000000003.wal"

/* The content of a record follows from its seed: its type, its size and its bytes. */
struct content {
    uint64_t seed;
    uint32_t bytes;
};

/* A log with its writer, and what a reader of it must see. */
struct story {
    struct disk *disk;
    struct wal_segment segment;
    uint64_t offset;
    uint32_t chain;
    uint64_t next_lsn, next_segment;
    uint64_t salt;
    struct content written[RECORDS_MAX]; /* by LSN: the newest record that got this LSN */
    /* What the last recovery said. */
    struct wal_report report;
    uint64_t got[RECORDS_MAX];
    size_t got_count;
    bool content_equal;
};

static void content_fill(const struct content *c, uint8_t *out)
{
    struct prng p;
    prng_init(&p, c->seed);
    prng_fill(&p, out, c->bytes);
}

static int take_record(void *arg, const struct wal_record *r)
{
    struct story *s = arg;
    if (r->lsn >= RECORDS_MAX || s->got_count >= RECORDS_MAX)
        return GT_ELIMIT;
    const struct content *c = &s->written[r->lsn];
    uint8_t *want = malloc(c->bytes + 1);
    content_fill(c, want);
    s->content_equal = s->content_equal && r->type == (uint8_t)c->seed &&
                       slice_equal(r->payload, slice_of(want, c->bytes));
    free(want);
    s->got[s->got_count++] = r->lsn;
    return 0;
}

static int try_recover(struct story *s, uint64_t floor_segment, uint64_t applied_lsn)
{
    s->got_count = 0;
    s->content_equal = true;
    return wal_recover(s->disk, NULL, floor_segment, applied_lsn, false, take_record, s,
                       &s->report);
}

static void story_recover(struct story *s, uint64_t floor_segment, uint64_t applied_lsn)
{
    assert_int_equal(try_recover(s, floor_segment, applied_lsn), 0);
    assert_true(s->content_equal);
}

/* The records of the last recovery were first..last, and nothing else; none when first is 0. */
static void assert_got(const struct story *s, uint64_t first, uint64_t last)
{
    assert_int_equal(s->got_count, first ? last - first + 1 : 0);
    for (size_t i = 0; i < s->got_count; i++)
        assert_int_equal(s->got[i], first + i);
}

static void assert_sound(const struct story *s)
{
    assert_false(s->report.tail);
    assert_false(s->report.middle);
}

static int try_segment(struct story *s, uint64_t bytes, uint64_t recycle)
{
    struct wal_segment made;
    int error =
        wal_segment_make(s->disk, s->next_segment, bytes, 0x5a17 + s->salt++, recycle, &made);
    if (error != 0)
        return error;
    wal_segment_close(s->disk, &s->segment);
    s->segment = made;
    s->next_segment++;
    s->offset = WAL_BLOCK;
    return 0;
}

static void story_segment(struct story *s, uint64_t recycle)
{
    assert_int_equal(try_segment(s, SEGMENT_BYTES, recycle), 0);
}

static struct story *story_new(void)
{
    struct story *s = calloc(1, sizeof(*s));
    s->disk = memdisk_new();
    s->next_lsn = s->next_segment = 1;
    story_recover(s, 0, 0);
    return s;
}

static void story_end(struct story *s)
{
    wal_segment_close(s->disk, &s->segment);
    assert_int_equal(memdisk_open_files(s->disk), 0);
    s->disk->destroy(s->disk);
    free(s);
}

static size_t body_bytes(uint32_t records, uint32_t bytes)
{
    return records * wal_record_bytes(bytes);
}

/* One batch of equal-sized records, and a sync: 0, or the disk's error. */
static int try_batch(struct story *s, uint16_t flags, uint32_t records, uint32_t bytes)
{
    struct buf body;
    wal_body_init(&body, body_bytes(records, bytes));
    uint8_t *content = malloc(bytes + 1);
    for (uint32_t i = 0; i < records; i++) {
        struct content *c = &s->written[s->next_lsn + i];
        *c = (struct content){s->next_lsn * 31 + i * 7 + s->salt * 1000003, bytes};
        content_fill(c, content);
        wal_record_begin(&body, (uint8_t)c->seed, bytes);
        buf_put(&body, content, bytes);
    }
    free(content);
    assert_int_equal(
        wal_batch_seal(&body, flags, records, s->next_lsn, &s->segment, s->offset, &s->chain), 0);
    int error = s->disk->write(s->disk, s->segment.file, s->offset, body.data, body.bytes);
    if (error == 0)
        error = s->disk->sync(s->disk, s->segment.file);
    if (error == 0) {
        s->next_lsn += records;
        s->offset += body.bytes;
    }
    buf_close(&body);
    return error;
}

static void story_batch(struct story *s, uint32_t records, uint32_t bytes)
{
    assert_int_equal(try_batch(s, 0, records, bytes), 0);
}

/* A new life of the process on the same folder, without damage. */
static void story_restart(struct story *s, uint64_t floor_segment, uint64_t applied_lsn)
{
    wal_segment_close(s->disk, &s->segment);
    story_recover(s, floor_segment, applied_lsn);
    s->next_lsn = (s->report.last_lsn > applied_lsn ? s->report.last_lsn : applied_lsn) + 1;
    s->chain = s->report.chain;
    s->next_segment = s->report.last_segment + 1;
}

/* A log of three batches: records 1..2, 3..5 and 6. */
static struct story *story_of_three_batches(void)
{
    struct story *s = story_new();
    story_segment(s, 0);
    story_batch(s, 2, 100);
    story_batch(s, 3, 50);
    story_batch(s, 1, 20);
    return s;
}
#define BATCH_1 WAL_BLOCK
#define BATCH_2 (2 * WAL_BLOCK)
#define BATCH_3 (3 * WAL_BLOCK)

/* The bytes of a file, to be changed and put back. */
static uint8_t *file_copy(struct story *s, const char *name, size_t *bytes)
{
    const uint8_t *at = memdisk_bytes(s->disk, name, bytes);
    assert_non_null(at);
    uint8_t *copy = malloc(*bytes);
    memcpy(copy, at, *bytes);
    return copy;
}

/* ---- the good days --------------------------------------------------------------------------- */

static void an_empty_folder_is_an_empty_log(void **state)
{
    (void)state;
    struct story *s = story_new();
    assert_got(s, 0, 0);
    assert_sound(s);
    assert_int_equal(s->report.last_segment, 0);
    assert_false(s->report.clean);
    story_end(s);
}

static void records_come_back_in_order(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    story_segment(s, 0);
    story_batch(s, 4, 9000);
    story_restart(s, 1, 0);
    assert_got(s, 1, 10);
    assert_sound(s);
    assert_int_equal(s->report.batches, 4);
    assert_int_equal(s->report.records, 10);
    assert_int_equal(s->report.first_lsn, 1);
    assert_int_equal(s->report.last_lsn, 10);
    assert_int_equal(s->report.last_segment, 2);
    assert_false(s->report.clean);
    story_end(s);
}

static void a_batch_above_a_piece_of_reading_comes_back(void **state)
{
    (void)state;
    struct story *s = story_new();
    assert_int_equal(try_segment(s, 4 << 20, 0), 0);
    story_batch(s, 1, 10);
    story_batch(s, 3, 700000);
    story_batch(s, 1, 10);
    story_restart(s, 1, 0);
    assert_got(s, 1, 5);
    assert_sound(s);
    story_end(s);
}

static void a_batch_may_fill_the_segment_to_its_last_byte(void **state)
{
    (void)state;
    struct story *s = story_new();
    story_segment(s, 0);
    uint32_t bytes = SEGMENT_BYTES - WAL_BLOCK - WAL_BATCH_HEADER - 4;
    assert_int_equal(wal_batch_bytes(body_bytes(1, bytes)), SEGMENT_BYTES - WAL_BLOCK);
    story_batch(s, 1, bytes);
    story_segment(s, 0);
    story_batch(s, 1, 1);
    story_restart(s, 1, 0);
    assert_got(s, 1, 2);
    assert_sound(s);
    story_end(s);
}

static void the_log_goes_on_over_restarts(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    for (int life = 0; life < 3; life++) {
        story_restart(s, 1, 0);
        story_segment(s, 0); /* one made ahead stays empty */
        story_segment(s, 0);
        story_batch(s, 2, 30);
    }
    story_restart(s, 1, 0);
    assert_got(s, 1, 12);
    assert_sound(s);
    story_end(s);
}

static void a_close_mark_makes_a_clean_end(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    assert_int_equal(try_batch(s, WAL_CLOSE, 0, 0), 0);
    story_segment(s, 0);
    story_restart(s, 1, 0);
    assert_true(s->report.clean);
    assert_got(s, 1, 6);
    story_segment(s, 0);
    story_batch(s, 1, 1);
    story_restart(s, 1, 0);
    assert_false(s->report.clean);
    assert_got(s, 1, 7);
    assert_sound(s);
    story_end(s);
}

static void applied_records_and_old_segments_are_not_delivered(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    story_segment(s, 0);
    story_batch(s, 4, 10);
    story_recover(s, 2, 8);
    assert_got(s, 9, 10);
    assert_sound(s);
    assert_int_equal(s->report.records, 4);
    assert_int_equal(s->report.first_lsn, 7);
    story_end(s);
}

static void a_recycled_segment_shows_its_new_batches_only(void **state)
{
    (void)state;
    /* The old use leaves large and small batches; the new log ends at every block of them. */
    for (uint32_t batches = 0; batches <= 14; batches++) {
        struct story *s = story_new();
        story_segment(s, 0);
        story_batch(s, 3, 4000);
        story_batch(s, 1, 10);
        story_batch(s, 2, 10000);
        story_batch(s, 1, 1000);
        story_segment(s, 0);
        story_batch(s, 1, 1);
        uint64_t applied = s->next_lsn - 1;
        story_segment(s, 1);
        assert_null(memdisk_bytes(s->disk, FIRST, &(size_t){0}));
        for (uint32_t i = 0; i < batches; i++)
            story_batch(s, 1, 1);
        story_restart(s, 2, applied - 1);
        assert_got(s, applied, applied + batches);
        assert_sound(s);
        story_end(s);
    }
}

static void a_longer_file_is_used_whole_and_a_shorter_one_replaced(void **state)
{
    (void)state;
    struct story *s = story_new();
    assert_int_equal(try_segment(s, 2 * SEGMENT_BYTES, 0), 0);
    story_segment(s, 1);
    assert_int_equal(s->segment.bytes, 2 * SEGMENT_BYTES);
    assert_int_equal(try_segment(s, 3 * SEGMENT_BYTES, 2), 0);
    assert_int_equal(s->segment.bytes, 3 * SEGMENT_BYTES);
    assert_null(memdisk_bytes(s->disk, SECOND, &(size_t){0}));
    story_batch(s, 2, 100);
    story_restart(s, 3, 0);
    assert_got(s, 1, 2);
    assert_sound(s);
    story_end(s);
}

static void left_over_temporary_files_are_removed(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    size_t bytes;
    memdisk_put(s->disk, "wal/0000000000000002.tmp", "half", 4);
    memdisk_put(s->disk, "wal/notes.tmp", "mine", 4);
    story_restart(s, 1, 0);
    assert_null(memdisk_bytes(s->disk, "wal/0000000000000002.tmp", &bytes));
    assert_non_null(memdisk_bytes(s->disk, "wal/notes.tmp", &bytes));
    assert_got(s, 1, 6);
    story_end(s);
}

static int refuse_the_third(void *arg, const struct wal_record *r)
{
    (void)arg;
    return r->lsn == 3 ? GT_EFORMAT : 0;
}

static void the_receiver_may_end_the_walk(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    assert_int_equal(wal_recover(s->disk, NULL, 1, 0, false, refuse_the_third, NULL, &s->report),
                     GT_EFORMAT);
    story_end(s);
}

static void only_segment_names_have_numbers(void **state)
{
    (void)state;
    uint64_t number;
    char name[DISK_NAME_BYTES];
    assert_string_equal(wal_segment_name(0x1af, name), "wal/00000000000001af.wal");
    assert_int_equal(wal_segment_number(name + 4, &number), 0);
    assert_int_equal(number, 0x1af);
    const char *const wrong[] = {"",
                                 "1.wal",
                                 "0000000000000000.wal",
                                 "00000000000001AF.wal",
                                 "00000000000001af.tmp",
                                 "00000000000001af.wal2",
                                 "000000000000001af.wal",
                                 "ffffffffffffffff.wal",
                                 "00000000000001a"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(wal_segment_number(wrong[i], &number), GT_EARG);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void a_batch_torn_at_any_byte_is_a_tail(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    size_t bytes, whole = WAL_BATCH_HEADER + body_bytes(1, 20);
    uint8_t *file = file_copy(s, FIRST, &bytes), *torn = malloc(bytes);
    for (size_t cut = 0; cut <= whole; cut++) {
        memcpy(torn, file, bytes);
        memset(torn + BATCH_3 + cut, 0, WAL_BLOCK - cut);
        bool lost = memcmp(torn, file, bytes) != 0;
        memdisk_put(s->disk, FIRST, torn, bytes);
        story_recover(s, 1, 0);
        assert_got(s, 1, lost ? 5 : 6);
        assert_false(s->report.middle);
        assert_int_equal(s->report.tail, lost && cut > 0);
        if (s->report.tail) {
            assert_int_equal(s->report.tail_segment, 1);
            assert_int_equal(s->report.tail_offset, BATCH_3);
        }
    }
    free(torn);
    free(file);
    story_end(s);
}

static void a_torn_batch_without_its_head_is_a_tail(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    story_batch(s, 2, 5000);
    size_t bytes;
    uint8_t *file = file_copy(s, FIRST, &bytes);
    memset(file + 4 * WAL_BLOCK, 0, WAL_BLOCK);
    memdisk_put(s->disk, FIRST, file, bytes);
    free(file);
    story_recover(s, 1, 0);
    assert_got(s, 1, 6);
    assert_true(s->report.tail);
    assert_int_equal(s->report.tail_offset, 4 * WAL_BLOCK);
    story_end(s);
}

static void a_flipped_byte_in_the_last_batch_is_a_tail(void **state)
{
    (void)state;
    for (int recycled = 0; recycled < 2; recycled++) {
        struct story *s = story_new();
        story_segment(s, 0);
        story_batch(s, 3, 9000);
        if (recycled)
            story_segment(s, 1);
        else
            story_segment(s, 0);
        story_batch(s, 1, 20);
        for (size_t i = 0; i < WAL_BATCH_HEADER + body_bytes(1, 20); i++) {
            memdisk_flip(s->disk, SECOND, BATCH_1 + i, 0x40);
            story_recover(s, 2, 3);
            assert_got(s, 0, 0);
            assert_false(s->report.middle);
            assert_true(s->report.tail);
            memdisk_flip(s->disk, SECOND, BATCH_1 + i, 0x40);
        }
        story_end(s);
    }
}

static void a_flipped_byte_before_a_valid_batch_is_damage_in_the_middle(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    for (size_t i = 0; i < WAL_BATCH_HEADER + body_bytes(3, 50); i++) {
        memdisk_flip(s->disk, FIRST, BATCH_2 + i, 0x01);
        story_recover(s, 1, 0);
        assert_true(s->report.middle);
        assert_false(s->report.tail);
        assert_int_equal(s->report.lost_first_lsn, 3);
        assert_int_equal(s->report.lost_last_lsn, 5);
        assert_int_equal(s->got_count, 3);
        assert_int_equal(s->got[1], 2);
        assert_int_equal(s->got[2], 6);
        memdisk_flip(s->disk, FIRST, BATCH_2 + i, 0x01);
    }
    story_recover(s, 1, 0);
    assert_sound(s);
    story_end(s);
}

static void damage_is_seen_across_segments(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    story_segment(s, 0);
    story_batch(s, 1, 1);
    memdisk_flip(s->disk, FIRST, BATCH_3 + 70, 0xff);
    story_recover(s, 1, 0);
    assert_true(s->report.middle);
    assert_int_equal(s->report.lost_first_lsn, 6);
    assert_int_equal(s->report.lost_last_lsn, 6);
    assert_int_equal(s->got[5], 7);
    story_end(s);
}

static void a_lost_first_batch_is_damage_in_the_middle(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    memdisk_flip(s->disk, FIRST, BATCH_1 + 20, 0xff);
    story_recover(s, 1, 0);
    assert_got(s, 3, 6);
    assert_true(s->report.middle);
    assert_int_equal(s->report.lost_first_lsn, 1);
    assert_int_equal(s->report.lost_last_lsn, 2);
    story_end(s);
}

static void the_close_mark_proves_what_was_lost_before_it(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    assert_int_equal(try_batch(s, WAL_CLOSE, 0, 0), 0);
    memdisk_flip(s->disk, FIRST, BATCH_3 + 70, 0xff);
    story_restart(s, 1, 0);
    assert_true(s->report.middle);
    assert_int_equal(s->report.lost_last_lsn, 6);
    /* The number of the lost record is not given out again. */
    assert_int_equal(s->report.last_lsn, 6);
    story_segment(s, 0);
    story_batch(s, 1, 5);
    story_recover(s, 1, 0);
    assert_int_equal(s->got[s->got_count - 1], 7);
    story_end(s);
}

/* Three batches of an engine that was idle then. */
static struct story *story_that_is_sealed(void)
{
    struct story *s = story_of_three_batches();
    assert_int_equal(try_batch(s, WAL_SEAL, 0, 0), 0);
    return s;
}
#define SEAL (4 * WAL_BLOCK)

static void a_seal_proves_the_batch_before_it(void **state)
{
    (void)state;
    struct story *s = story_that_is_sealed();
    for (size_t i = 0; i < WAL_BATCH_HEADER + body_bytes(1, 20); i++) {
        memdisk_flip(s->disk, FIRST, BATCH_3 + i, 0x01);
        story_recover(s, 1, 0);
        assert_got(s, 1, 5);
        assert_true(s->report.middle);
        assert_false(s->report.tail);
        assert_int_equal(s->report.lost_first_lsn, 6);
        assert_int_equal(s->report.lost_last_lsn, 6);
        assert_int_equal(s->report.last_lsn, 6); /* it is not given out again */
        memdisk_flip(s->disk, FIRST, BATCH_3 + i, 0x01);
    }
    story_recover(s, 1, 0);
    assert_got(s, 1, 6);
    assert_sound(s);
    assert_false(s->report.clean);
    story_end(s);
}

static void the_log_goes_on_behind_a_seal(void **state)
{
    (void)state;
    struct story *s = story_that_is_sealed();
    story_batch(s, 2, 30);
    assert_int_equal(try_batch(s, WAL_SEAL, 0, 0), 0);
    story_segment(s, 0);
    assert_int_equal(try_batch(s, WAL_SEAL, 0, 0), 0); /* one alone in its segment */
    story_restart(s, 1, 0);
    assert_got(s, 1, 8);
    assert_sound(s);
    assert_int_equal(s->report.last_lsn, 8);
    story_segment(s, 0);
    story_batch(s, 1, 30);
    story_restart(s, 1, 0);
    assert_got(s, 1, 9);
    assert_sound(s);
    story_end(s);
}

/* Nothing that was acknowledged is behind the batch before it. But that a bad one is a seal, and
 * not a batch of records, nobody can say. */
static void a_bad_seal_is_a_tail(void **state)
{
    (void)state;
    struct story *s = story_that_is_sealed();
    for (size_t i = 0; i < WAL_BATCH_HEADER; i++) {
        memdisk_flip(s->disk, FIRST, SEAL + i, 0x40);
        story_recover(s, 1, 0);
        assert_got(s, 1, 6);
        assert_true(s->report.tail);
        assert_false(s->report.middle);
        assert_int_equal(s->report.tail_offset, SEAL);
        memdisk_flip(s->disk, FIRST, SEAL + i, 0x40);
    }
    story_end(s);
}

static void a_bad_seal_before_a_valid_batch_is_no_loss(void **state)
{
    (void)state;
    struct story *s = story_that_is_sealed();
    story_batch(s, 1, 10);
    for (size_t i = 0; i < WAL_BATCH_HEADER; i++) {
        memdisk_flip(s->disk, FIRST, SEAL + i, 0x40);
        story_recover(s, 1, 0);
        assert_got(s, 1, 7);
        assert_sound(s);
        memdisk_flip(s->disk, FIRST, SEAL + i, 0x40);
    }
    /* But the batch before it is not proved by that. */
    memdisk_flip(s->disk, FIRST, BATCH_3 + 70, 0x40);
    memdisk_flip(s->disk, FIRST, SEAL + 20, 0x40);
    story_recover(s, 1, 0);
    assert_true(s->report.middle);
    assert_int_equal(s->report.lost_first_lsn, 6);
    assert_int_equal(s->report.lost_last_lsn, 6);
    story_end(s);
}

static void a_loss_among_applied_records_is_none(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    memdisk_flip(s->disk, FIRST, BATCH_2 + 70, 0xff);
    story_recover(s, 1, 5);
    assert_got(s, 6, 6);
    assert_sound(s);
    story_recover(s, 1, 4);
    assert_true(s->report.middle);
    assert_int_equal(s->report.lost_first_lsn, 5);
    assert_int_equal(s->report.lost_last_lsn, 5);
    story_end(s);
}

static void a_tail_that_was_cut_is_no_damage_when_the_log_goes_on(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    memdisk_flip(s->disk, FIRST, BATCH_3 + 70, 0xff);
    story_restart(s, 1, 0);
    assert_true(s->report.tail);
    story_segment(s, 0);
    story_batch(s, 2, 10);
    story_restart(s, 1, 0);
    assert_got(s, 1, 7);
    assert_sound(s);
    story_end(s);
}

static void a_missing_segment_is_damage(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    story_segment(s, 0);
    story_batch(s, 1, 1);
    story_segment(s, 0);
    assert_int_equal(s->disk->remove(s->disk, SECOND), 0);
    /* With nothing written behind it: how much is lost nobody knows. */
    story_recover(s, 1, 0);
    assert_true(s->report.middle);
    assert_int_equal(s->report.lost_first_lsn, 0);
    story_batch(s, 1, 1);
    story_recover(s, 1, 0);
    assert_true(s->report.middle);
    assert_int_equal(s->report.lost_first_lsn, 7);
    assert_int_equal(s->report.lost_last_lsn, 7);
    assert_int_equal(s->got[s->got_count - 1], 8);
    /* Not when the missing one is behind the floor. */
    story_recover(s, 3, 7);
    assert_got(s, 8, 8);
    assert_sound(s);
    story_end(s);
}

static void a_missing_empty_segment_is_no_loss_when_the_log_goes_on(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    story_segment(s, 0);
    story_segment(s, 0);
    story_batch(s, 1, 1);
    assert_int_equal(s->disk->remove(s->disk, SECOND), 0);
    story_recover(s, 1, 0);
    assert_got(s, 1, 7);
    assert_sound(s);
    story_end(s);
}

static void batches_under_a_bad_header_are_still_found(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    for (size_t i = 0; i < 48; i++) {
        memdisk_flip(s->disk, FIRST, i, 0x10);
        story_recover(s, 1, 0);
        assert_got(s, 1, 6);
        assert_sound(s);
        memdisk_flip(s->disk, FIRST, i, 0x10);
    }
    story_end(s);
}

static void a_segment_under_another_name_is_not_read(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    assert_int_equal(s->disk->rename(s->disk, FIRST, SECOND), 0);
    story_recover(s, 2, 0);
    assert_got(s, 0, 0);
    assert_true(s->report.middle);
    assert_int_equal(s->report.last_segment, 2);
    story_end(s);
}

static void a_batch_of_another_place_or_salt_is_not_read(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    size_t bytes;
    uint8_t *file = file_copy(s, FIRST, &bytes);
    memcpy(file + 4 * WAL_BLOCK, file + BATCH_3, WAL_BLOCK);
    memset(file + BATCH_3, 0, WAL_BLOCK);
    memdisk_put(s->disk, FIRST, file, bytes);
    story_recover(s, 1, 0);
    assert_got(s, 1, 5);
    le64_put(file + 24, 1);
    le32_put(file + 44, crc_update(0, file, 44));
    memdisk_put(s->disk, FIRST, file, bytes);
    story_recover(s, 1, 0);
    assert_got(s, 0, 0);
    free(file);
    story_end(s);
}

static void a_segment_of_another_history_is_damage(void **state)
{
    (void)state;
    /* The numbers fit, only the chain tells. */
    struct story *s = story_of_three_batches(), *other = story_new();
    size_t bytes;
    story_segment(s, 0);
    story_segment(other, 0);
    story_batch(other, 6, 10);
    story_segment(other, 0);
    story_batch(other, 1, 10);
    uint8_t *file = file_copy(other, SECOND, &bytes);
    memdisk_put(s->disk, SECOND, file, bytes);
    free(file);
    s->written[7] = other->written[7];
    story_recover(s, 1, 0);
    assert_got(s, 1, 7);
    assert_true(s->report.middle);
    assert_int_equal(s->report.lost_first_lsn, 0);
    story_recover(s, 2, 6); /* where only the other is read, nobody can tell */
    assert_sound(s);
    story_end(other);
    story_end(s);
}

static void a_file_cut_short_is_damage(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    size_t bytes;
    uint8_t *file = file_copy(s, FIRST, &bytes);
    memdisk_put(s->disk, FIRST, file, BATCH_2 + 100);
    story_recover(s, 1, 0);
    assert_got(s, 1, 2);
    assert_true(s->report.middle);
    memdisk_put(s->disk, FIRST, file, 0);
    story_recover(s, 1, 0);
    assert_got(s, 0, 0);
    free(file);
    story_end(s);
}

static void a_newer_format_is_refused(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    size_t bytes;
    uint8_t *file = file_copy(s, FIRST, &bytes);
    le32_put(file + 8, 2);
    memdisk_put(s->disk, FIRST, file, bytes);
    story_recover(s, 1, 0); /* a wrong checksum: a bad header, nothing else */
    le32_put(file + 44, crc_update(0, file, 44));
    memdisk_put(s->disk, FIRST, file, bytes);
    assert_int_equal(try_recover(s, 1, 0), GT_EFORMAT);
    le32_put(file + 8, 1);
    le32_put(file + 44, crc_update(0, file, 44));
    le16_put(file + BATCH_2 + 4, 2);
    le32_put(file + BATCH_2 + 60, crc_update(0, file + BATCH_2, 60));
    memdisk_put(s->disk, FIRST, file, bytes);
    assert_int_equal(try_recover(s, 1, 0), GT_EFORMAT);
    free(file);
    story_end(s);
}

/* A batch or header that no writer wrote, though its checksums are right: the batch of records 3..5
 * with one field of its header, an integer of so many bytes, changed. Its records are lost. */
static void assert_forged_batch_is_lost(size_t field, size_t field_bytes, uint64_t value)
{
    struct story *s = story_of_three_batches();
    size_t bytes;
    uint8_t *file = file_copy(s, FIRST, &bytes), raw[8];
    le64_put(raw, value);
    memcpy(file + BATCH_2 + field, raw, field_bytes);
    le32_put(file + BATCH_2 + 60, crc_update(0, file + BATCH_2, 60));
    memdisk_put(s->disk, FIRST, file, bytes);
    story_recover(s, 1, 0);
    assert_int_equal(s->got_count, 3);
    assert_int_equal(s->got[1], 2);
    assert_int_equal(s->got[2], 6);
    assert_true(s->report.middle);
    assert_int_equal(s->report.lost_first_lsn, 3);
    assert_int_equal(s->report.lost_last_lsn, 5);
    free(file);
    story_end(s);
}

static void a_batch_with_impossible_numbers_is_not_read(void **state)
{
    (void)state;
    enum { BODY_BYTES = 8, RECORDS = 12, FIRST_LSN = 16 };
    assert_forged_batch_is_lost(BODY_BYTES, 4, SEGMENT_BYTES);
    assert_forged_batch_is_lost(BODY_BYTES, 4, UINT32_MAX);
    assert_forged_batch_is_lost(RECORDS, 4, 2);
    assert_forged_batch_is_lost(RECORDS, 4, 4);
    assert_forged_batch_is_lost(FIRST_LSN, 8, 0);
    assert_forged_batch_is_lost(FIRST_LSN, 8, UINT64_MAX - 2);
}

static void a_segment_with_impossible_numbers_has_a_bad_header(void **state)
{
    (void)state;
    const struct {
        size_t field;
        uint64_t value;
    } forged[] = {{12, 512}, {16, 2}, {32, 0}, {32, SEGMENT_BYTES + 1}};
    for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
        struct story *s = story_of_three_batches();
        size_t bytes;
        uint8_t *file = file_copy(s, FIRST, &bytes), raw[8];
        le64_put(raw, forged[i].value);
        memcpy(file + forged[i].field, raw, forged[i].field == 12 ? 4 : 8);
        le32_put(file + 44, crc_update(0, file, 44));
        memdisk_put(s->disk, FIRST, file, bytes);
        story_recover(s, 1, 0);
        assert_got(s, 1, 6);
        assert_sound(s);
        free(file);
        story_end(s);
    }
}

/* Whether the file was one used again nobody can say then: what is left over from an earlier use is
 * no doubt. */
static void left_over_bytes_under_a_bad_header_are_no_doubt(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    memdisk_flip(s->disk, FIRST, 5 * WAL_BLOCK, 0xff);
    story_recover(s, 1, 0);
    assert_true(s->report.tail);
    memdisk_flip(s->disk, FIRST, 20, 0xff);
    story_recover(s, 1, 0);
    assert_got(s, 1, 6);
    assert_sound(s);
    story_end(s);
}

static void two_losses_are_told_from_the_first_to_the_last(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    story_batch(s, 2, 10);
    story_batch(s, 1, 10);
    memdisk_flip(s->disk, FIRST, BATCH_2 + 70, 0xff);
    memdisk_flip(s->disk, FIRST, BATCH_3 + WAL_BLOCK + 70, 0xff);
    story_recover(s, 1, 0);
    assert_true(s->report.middle);
    assert_int_equal(s->report.lost_first_lsn, 3);
    assert_int_equal(s->report.lost_last_lsn, 8);
    assert_int_equal(s->got_count, 4);
    story_end(s);
}

/* Valid, of this segment and this place, and yet of no sound writer. */
static void a_batch_whose_numbers_are_taken_is_damage(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    struct content fourth = s->written[4];
    s->next_lsn = 4;
    story_batch(s, 1, 50);
    s->written[4] = fourth;
    story_recover(s, 1, 0);
    assert_got(s, 1, 6);
    assert_true(s->report.middle);
    assert_int_equal(s->report.lost_first_lsn, 0);
    assert_int_equal(s->report.last_lsn, 6);
    story_end(s);
}

/* A torn end explains bytes that are missing, and not that what follows is of another chain. */
static void a_torn_end_does_not_excuse_another_history(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    memdisk_flip(s->disk, FIRST, 4 * WAL_BLOCK, 0xff);
    story_segment(s, 0);
    uint32_t chain = s->chain;
    s->chain++;
    story_batch(s, 1, 10);
    story_recover(s, 1, 0);
    assert_got(s, 1, 7);
    assert_true(s->report.middle);
    assert_int_equal(s->report.lost_first_lsn, 0);
    s->chain = chain;
    s->next_lsn = 7;
    s->offset = WAL_BLOCK;
    story_batch(s, 1, 10);
    story_recover(s, 1, 0);
    assert_got(s, 1, 7);
    assert_sound(s);
    story_end(s);
}

static void bytes_behind_a_close_mark_make_its_end_unclean(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    assert_int_equal(try_batch(s, WAL_CLOSE, 0, 0), 0);
    story_recover(s, 1, 0);
    assert_true(s->report.clean);
    memdisk_flip(s->disk, FIRST, 6 * WAL_BLOCK, 0xff);
    story_recover(s, 1, 0);
    assert_got(s, 1, 6);
    assert_false(s->report.clean);
    assert_true(s->report.tail);
    story_end(s);
}

/* ---- faults and power cuts ------------------------------------------------------------------- */

static void a_full_disk_leaves_no_segment(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    size_t bytes;
    memdisk_capacity(s->disk, SEGMENT_BYTES + 5000);
    assert_int_equal(try_segment(s, SEGMENT_BYTES, 0), GT_ENOSPACE);
    assert_null(memdisk_bytes(s->disk, SECOND, &bytes));
    assert_null(memdisk_bytes(s->disk, "wal/0000000000000002.tmp", &bytes));
    /* The log goes on where it is, and in a file used again. */
    story_batch(s, 1, 1);
    assert_int_equal(try_segment(s, SEGMENT_BYTES, 1), 0);
    story_batch(s, 1, 1);
    story_recover(s, 2, 7);
    assert_got(s, 8, 8);
    assert_sound(s);
    story_end(s);
}

/* A life with every kind of call in it; ends at the first error. */
static int short_life(struct story *s)
{
    int error = try_recover(s, 1, 0);
    if (error == 0)
        error = try_segment(s, SEGMENT_BYTES, 0);
    if (error == 0)
        error = try_batch(s, 0, 2, 100);
    if (error == 0)
        error = try_segment(s, SEGMENT_BYTES, 0);
    if (error == 0)
        error = try_batch(s, 0, 1, 5000);
    return error;
}

static void every_call_may_fail(void **state)
{
    (void)state;
    bool reached_the_end = false;
    for (uint64_t nth = 1; !reached_the_end; nth++) {
        struct story *s = story_of_three_batches();
        memdisk_put(s->disk, "wal/0000000000000009.tmp", "x", 1);
        memdisk_fail(s->disk, MEMDISK_ANY, nth, GT_EIO, nth % 2);
        int error = short_life(s);
        memdisk_fail(s->disk, 0, 0, 0, false);
        reached_the_end = error == 0;
        assert_true(error == 0 || error == GT_EIO);
        /* The next life finds all that was synced, and maybe the batch that was not. */
        uint64_t synced = s->next_lsn - 1;
        story_restart(s, 1, 0);
        assert_false(s->report.middle);
        assert_true(s->report.last_lsn >= synced);
        assert_got(s, 1, s->report.last_lsn);
        story_end(s);
    }
}

static void every_call_of_recycling_may_fail(void **state)
{
    (void)state;
    int error = GT_EIO;
    for (uint64_t nth = 1; error != 0; nth++) {
        struct story *s = story_of_three_batches();
        size_t bytes;
        story_segment(s, 0);
        story_batch(s, 1, 1);
        memdisk_fail(s->disk, MEMDISK_ANY, nth, GT_EIO, false);
        error = try_segment(s, SEGMENT_BYTES, 1);
        memdisk_fail(s->disk, 0, 0, 0, false);
        assert_true(error == 0 || error == GT_EIO);
        if (error != 0) {
            assert_null(memdisk_bytes(s->disk, THIRD, &bytes));
            /* Trying again works, with the same file or, when that is gone, a new one. */
            story_segment(s, 1);
        }
        story_batch(s, 1, 1);
        story_restart(s, 2, 6);
        assert_got(s, 7, 8);
        assert_sound(s);
        story_end(s);
    }
}

/* Above the bytes that are written before a sync, and of several pieces of reading. */
#define LARGE_BYTES (9u << 20)

static void every_call_of_making_a_large_segment_may_fail(void **state)
{
    (void)state;
    int error = GT_EIO;
    for (uint64_t nth = 1; error != 0; nth++) {
        struct story *s = story_new();
        uint64_t syncs = memdisk_calls(s->disk, MEMDISK_SYNC);
        memdisk_fail(s->disk, MEMDISK_ANY, nth, GT_EIO, false);
        error = try_segment(s, LARGE_BYTES, 0);
        memdisk_fail(s->disk, 0, 0, 0, false);
        assert_true(error == 0 || error == GT_EIO);
        assert_true((error == 0) == (memdisk_bytes(s->disk, FIRST, &(size_t){0}) != NULL));
        if (error == 0)
            assert_int_equal(memdisk_calls(s->disk, MEMDISK_SYNC) - syncs, 2);
        story_end(s);
    }
}

/* Two segments with batches in several pieces of reading each. */
static struct story *story_of_large_segments(void)
{
    struct story *s = story_new();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(try_segment(s, 4u << 20, 0), 0);
        story_batch(s, 1, 10);
        story_batch(s, 3, 700000);
        for (int small = 0; small < 3; small++)
            story_batch(s, 1, 300000);
    }
    return s;
}

/* Neither an error nor a file that vanished is an end of the log. */
static void every_call_of_reading_large_segments_may_fail(void **state)
{
    (void)state;
    struct story *s = story_of_large_segments();
    memdisk_put(s->disk, "wal/0000000000000009.tmp", "x", 1);
    story_recover(s, 0, 0); /* and it is gone */
    assert_got(s, 1, 14);
    assert_sound(s);
    const unsigned kinds[] = {MEMDISK_OPEN, MEMDISK_DROP_CACHE, MEMDISK_SIZE,
                              MEMDISK_READ, MEMDISK_SYNC,       MEMDISK_LIST};
    const int errors[] = {GT_EIO, GT_ENOTFOUND};
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
        for (int e = 0; e < 2 && (e == 0 || kinds[k] & (MEMDISK_OPEN | MEMDISK_READ)); e++) {
            int error = GT_EIO;
            uint64_t nth = 0;
            while (error != 0) {
                memdisk_fail(s->disk, kinds[k], ++nth, errors[e], false);
                error = try_recover(s, 1, 0);
                memdisk_fail(s->disk, 0, 0, 0, false);
                assert_true(error == 0 || error == GT_EIO);
                assert_true(s->content_equal);
            }
            assert_true(kinds[k] == MEMDISK_LIST ? nth == 2 : nth > 2);
            assert_got(s, 1, 14);
            assert_sound(s);
        }
    story_end(s);
}

/* Somebody else removes it first. */
static void a_temporary_file_that_is_gone_is_no_error(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    memdisk_put(s->disk, "wal/0000000000000002.tmp", "half", 4);
    memdisk_fail(s->disk, MEMDISK_REMOVE, 1, GT_ENOTFOUND, false);
    story_recover(s, 1, 0);
    assert_got(s, 1, 6);
    story_end(s);
}

struct shrinking {
    struct disk *disk;
    const uint8_t *file;
};

static int shrink(void *arg, const struct wal_record *r)
{
    const struct shrinking *at = arg;
    if (r->lsn == 1)
        memdisk_put(at->disk, FIRST, at->file, 2 * WAL_BLOCK);
    return 0;
}

static void a_file_that_shrinks_while_it_is_read_is_an_error(void **state)
{
    (void)state;
    struct story *s = story_of_large_segments();
    size_t bytes;
    uint8_t *file = file_copy(s, FIRST, &bytes);
    struct shrinking at = {s->disk, file};
    assert_int_equal(wal_recover(s->disk, NULL, 1, 0, false, shrink, &at, &s->report), GT_EIO);
    free(file);
    story_end(s);
}

static void a_cache_that_was_dropped_is_not_dropped_again(void **state)
{
    (void)state;
    struct story *s = story_of_three_batches();
    uint64_t drops = memdisk_calls(s->disk, MEMDISK_DROP_CACHE);
    s->got_count = 0;
    assert_int_equal(wal_recover(s->disk, NULL, 1, 0, true, take_record, s, &s->report), 0);
    assert_got(s, 1, 6);
    assert_int_equal(memdisk_calls(s->disk, MEMDISK_DROP_CACHE), drops);
    story_recover(s, 1, 0);
    assert_int_equal(memdisk_calls(s->disk, MEMDISK_DROP_CACHE), drops + 1);
    story_end(s);
}

/* A folder with one file more than recovery looks at, the last ones first. */
static int list_too_many(struct disk *d, const char *folder,
                         int (*each)(void *arg, const char *name), void *arg)
{
    (void)d;
    (void)folder;
    int error = 0;
    for (uint64_t number = (1u << 20) + 1; number > 0 && error == 0; number--) {
        char name[DISK_NAME_BYTES];
        error = each(arg, wal_segment_name(number, name) + 4);
    }
    return error;
}

static void a_folder_of_too_many_files_is_refused(void **state)
{
    (void)state;
    struct story *s = story_new();
    s->disk->list = list_too_many;
    assert_int_equal(try_recover(s, 1, 0), GT_ENOMEM);
    assert_int_equal(wal_read_ahead(s->disk, 1), GT_ENOMEM);
    story_end(s);
}

static void reading_ahead_opens_what_recovery_will_read(void **state)
{
    (void)state;
    struct disk *empty = memdisk_new();
    assert_int_equal(wal_read_ahead(empty, 1), 0); /* there is no log yet */
    empty->destroy(empty);

    struct story *s = story_of_three_batches();
    story_segment(s, 0);
    story_segment(s, 0);
    uint64_t opened = memdisk_calls(s->disk, MEMDISK_OPEN);
    assert_int_equal(wal_read_ahead(s->disk, 2), 0);
    assert_int_equal(memdisk_calls(s->disk, MEMDISK_OPEN), opened + 2);
    for (int gone = 0; gone < 2; gone++) {
        int error = GT_EIO;
        uint64_t nth = 0;
        while (error != 0) {
            memdisk_fail(s->disk, gone ? MEMDISK_OPEN : MEMDISK_ANY, ++nth,
                         gone ? GT_ENOTFOUND : GT_EIO, false);
            error = wal_read_ahead(s->disk, 1);
            memdisk_fail(s->disk, 0, 0, 0, false);
            assert_true(error == 0 || error == GT_EIO);
            assert_int_equal(memdisk_open_files(s->disk), 1); /* the writer's */
        }
        assert_int_equal(nth, gone ? 4 : 8); /* three files; a list, and two calls for each */
    }
    story_end(s);
}

static void a_file_of_odd_length_is_not_used_again(void **state)
{
    (void)state;
    for (int removable = 0; removable < 2; removable++) {
        struct story *s = story_of_three_batches();
        story_segment(s, 0);
        size_t bytes;
        uint8_t *file = calloc(1, SEGMENT_BYTES + 100);
        memdisk_put(s->disk, FIRST, file, SEGMENT_BYTES + 100);
        if (!removable)
            memdisk_fail(s->disk, MEMDISK_REMOVE, 1, GT_EIO, false);
        assert_int_equal(try_segment(s, SEGMENT_BYTES, 1), removable ? 0 : GT_EIO);
        assert_int_equal(memdisk_bytes(s->disk, FIRST, &bytes) == NULL, removable);
        assert_int_equal(memdisk_bytes(s->disk, THIRD, &bytes) != NULL, removable);
        free(file);
        story_end(s);
    }
}

/* A segment that somebody takes away while it is made is no segment that was not there. */
static void a_segment_that_vanishes_while_it_is_made_is_an_error(void **state)
{
    (void)state;
    struct story *s = story_new();
    memdisk_fail(s->disk, MEMDISK_RENAME, 1, GT_ENOTFOUND, false);
    assert_int_equal(try_segment(s, SEGMENT_BYTES, 0), GT_EIO);
    assert_null(memdisk_bytes(s->disk, FIRST, &(size_t){0}));
    story_end(s);
}

/* What the writer knows about its segments, as the engine does. */
struct chronicle {
    struct story *s;
    struct prng random;
    uint64_t floor_segment, applied_lsn; /* as an index would keep them, durably */
    uint64_t segment_last_lsn[256];      /* by number */
    uint64_t synced_lsn;
};

/* Everything up to some synced record gets applied; the floor follows. */
static void chronicle_apply(struct chronicle *c)
{
    uint64_t span = c->synced_lsn - c->applied_lsn;
    c->applied_lsn += prng_below(&c->random, span + 1);
    while (c->floor_segment < c->s->segment.number &&
           c->segment_last_lsn[c->floor_segment] <= c->applied_lsn)
        c->floor_segment++;
}

static int chronicle_segment(struct chronicle *c)
{
    struct story *s = c->s;
    uint64_t recycle = 0;
    char name[DISK_NAME_BYTES];
    for (uint64_t n = 1; n < c->floor_segment && recycle == 0; n++)
        if (prng_below(&c->random, 4) > 0 &&
            memdisk_bytes(s->disk, wal_segment_name(n, name), &(size_t){0}))
            recycle = n;
    return try_segment(s, SEGMENT_BYTES, recycle);
}

static int chronicle_batch(struct chronicle *c)
{
    struct story *s = c->s;
    uint32_t records = (uint32_t)prng_below(&c->random, 5);
    uint32_t bytes = (uint32_t)prng_below(&c->random, prng_below(&c->random, 3) ? 300 : 4000);
    uint64_t place = wal_batch_bytes(body_bytes(records, bytes));
    int error = s->offset + place > s->segment.bytes ? chronicle_segment(c) : 0;
    if (error == 0)
        error = try_batch(s, records > 0 ? 0 : WAL_SEAL, records, bytes);
    if (error == 0) {
        c->synced_lsn = s->next_lsn - 1;
        c->segment_last_lsn[s->segment.number] = c->synced_lsn;
    }
    return error;
}

/* Writes until a call fails, or for a while. */
static void chronicle_live(struct chronicle *c)
{
    uint64_t steps = prng_below(&c->random, 25);
    int error = chronicle_segment(c);
    while (error == 0 && steps-- > 0) {
        if (prng_below(&c->random, 6) == 0)
            chronicle_apply(c);
        error = prng_below(&c->random, 15) == 0 ? chronicle_segment(c) : chronicle_batch(c);
    }
    wal_segment_close(c->s->disk, &c->s->segment);
}

/* All that was synced is there, in order, and nothing that was not written. */
static void chronicle_recover(struct chronicle *c)
{
    struct story *s = c->s;
    if (prng_below(&c->random, 4) == 0) {
        /* A recovery that is cut itself. */
        memdisk_fail(s->disk, MEMDISK_ANY, 1 + prng_below(&c->random, 20), GT_EIO, true);
        (void)try_recover(s, c->floor_segment, c->applied_lsn);
        memdisk_crash(s->disk, prng_next(&c->random));
    }
    story_restart(s, c->floor_segment, c->applied_lsn);
    assert_false(s->report.middle);
    assert_true(s->next_lsn > c->synced_lsn);
    if (s->next_lsn > c->applied_lsn + 1)
        assert_got(s, c->applied_lsn + 1, s->next_lsn - 1);
    else
        assert_got(s, 0, 0);
    c->synced_lsn = s->next_lsn - 1;
    for (uint64_t n = c->floor_segment; n < s->next_segment; n++)
        c->segment_last_lsn[n] = c->synced_lsn;
}

static void no_synced_record_is_lost_by_any_power_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        struct chronicle c = {.s = story_new(), .floor_segment = 1};
        prng_init(&c.random, seed);
        for (int life = 0; life < 4; life++) {
            if (prng_below(&c.random, 2) == 0)
                memdisk_fail(c.s->disk, MEMDISK_ANY, 1 + prng_below(&c.random, 60), GT_EIO,
                             prng_below(&c.random, 2));
            chronicle_live(&c);
            memdisk_fail(c.s->disk, 0, 0, 0, false);
            if (prng_below(&c.random, 4) > 0) /* else only the process died */
                memdisk_crash(c.s->disk, prng_next(&c.random));
            chronicle_recover(&c);
        }
        story_end(c.s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_folder_is_an_empty_log),
        cmocka_unit_test(records_come_back_in_order),
        cmocka_unit_test(a_batch_above_a_piece_of_reading_comes_back),
        cmocka_unit_test(a_batch_may_fill_the_segment_to_its_last_byte),
        cmocka_unit_test(the_log_goes_on_over_restarts),
        cmocka_unit_test(a_close_mark_makes_a_clean_end),
        cmocka_unit_test(applied_records_and_old_segments_are_not_delivered),
        cmocka_unit_test(a_recycled_segment_shows_its_new_batches_only),
        cmocka_unit_test(a_longer_file_is_used_whole_and_a_shorter_one_replaced),
        cmocka_unit_test(left_over_temporary_files_are_removed),
        cmocka_unit_test(the_receiver_may_end_the_walk),
        cmocka_unit_test(only_segment_names_have_numbers),
        cmocka_unit_test(a_batch_torn_at_any_byte_is_a_tail),
        cmocka_unit_test(a_torn_batch_without_its_head_is_a_tail),
        cmocka_unit_test(a_flipped_byte_in_the_last_batch_is_a_tail),
        cmocka_unit_test(a_flipped_byte_before_a_valid_batch_is_damage_in_the_middle),
        cmocka_unit_test(damage_is_seen_across_segments),
        cmocka_unit_test(a_lost_first_batch_is_damage_in_the_middle),
        cmocka_unit_test(the_close_mark_proves_what_was_lost_before_it),
        cmocka_unit_test(a_seal_proves_the_batch_before_it),
        cmocka_unit_test(the_log_goes_on_behind_a_seal),
        cmocka_unit_test(a_bad_seal_is_a_tail),
        cmocka_unit_test(a_bad_seal_before_a_valid_batch_is_no_loss),
        cmocka_unit_test(a_loss_among_applied_records_is_none),
        cmocka_unit_test(a_tail_that_was_cut_is_no_damage_when_the_log_goes_on),
        cmocka_unit_test(a_missing_segment_is_damage),
        cmocka_unit_test(a_missing_empty_segment_is_no_loss_when_the_log_goes_on),
        cmocka_unit_test(batches_under_a_bad_header_are_still_found),
        cmocka_unit_test(a_segment_under_another_name_is_not_read),
        cmocka_unit_test(a_batch_of_another_place_or_salt_is_not_read),
        cmocka_unit_test(a_segment_of_another_history_is_damage),
        cmocka_unit_test(a_file_cut_short_is_damage),
        cmocka_unit_test(a_newer_format_is_refused),
        cmocka_unit_test(a_batch_with_impossible_numbers_is_not_read),
        cmocka_unit_test(a_segment_with_impossible_numbers_has_a_bad_header),
        cmocka_unit_test(left_over_bytes_under_a_bad_header_are_no_doubt),
        cmocka_unit_test(two_losses_are_told_from_the_first_to_the_last),
        cmocka_unit_test(a_batch_whose_numbers_are_taken_is_damage),
        cmocka_unit_test(a_torn_end_does_not_excuse_another_history),
        cmocka_unit_test(bytes_behind_a_close_mark_make_its_end_unclean),
        cmocka_unit_test(a_full_disk_leaves_no_segment),
        cmocka_unit_test(every_call_may_fail),
        cmocka_unit_test(every_call_of_recycling_may_fail),
        cmocka_unit_test(every_call_of_making_a_large_segment_may_fail),
        cmocka_unit_test(every_call_of_reading_large_segments_may_fail),
        cmocka_unit_test(a_temporary_file_that_is_gone_is_no_error),
        cmocka_unit_test(a_file_that_shrinks_while_it_is_read_is_an_error),
        cmocka_unit_test(a_cache_that_was_dropped_is_not_dropped_again),
        cmocka_unit_test(a_folder_of_too_many_files_is_refused),
        cmocka_unit_test(reading_ahead_opens_what_recovery_will_read),
        cmocka_unit_test(a_file_of_odd_length_is_not_used_again),
        cmocka_unit_test(a_segment_that_vanishes_while_it_is_made_is_an_error),
        cmocka_unit_test(no_synced_record_is_lost_by_any_power_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
