/*
 * Memory that runs out. Each allocation of an act fails once: the act says GT_ENOMEM, leaves
 * nothing behind that is not freed with what it worked on, and, tried again, does what it would
 * have done.
 *
 * This is about the parts by themselves; engine_requests_memory_test is about the whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/error.h"
#include "engine/clock.h"
#include "engine/record.h"
#include "engine/version.h"
#include "engine/wal.h"
#include "tests/lib/memdisk.h"
#include "tests/lib/memfail.h"

/* ---- the world of the acts ------------------------------------------------------------------- */

#define SIBLINGS 6 /* above the four that any list has room for at first */

/* What an act reads, all of it with something of every kind in it, and what it makes: empty, so
 * that each of its lists has to be allocated. */
struct desk {
    struct state local, incoming, state;
    struct history context, history;
    struct clock clock, other, met;
    struct buf bytes; /* what the act of encoding made, or what that of decoding reads */
    struct dot replaced[2 * SIBLINGS];
};

static struct sibling sibling_of(uint64_t node, uint64_t seq)
{
    return (struct sibling){.dot = {{node, 5}, seq},
                            .stamp = node * 100 + seq,
                            .op = {(uint8_t)node, (uint8_t)seq},
                            .flags = SIBLING_RETRIED,
                            .value = slice_of("value", 5)};
}

/* Vector, exact dots, operations and closed lives. */
static void history_fill(struct history *h, uint64_t node)
{
    for (uint64_t i = 0; i < SIBLINGS; i++) {
        uint8_t op[OP_ID_BYTES] = {(uint8_t)node, 200, (uint8_t)i};
        assert_int_equal(history_raise(h, (struct actor){node + i, 4}, 3), 0);
        assert_int_equal(history_add(h, (struct dot){{node + i, 4}, 5}), 0);
        assert_int_equal(history_name(h, op, 1 + i, 0), 0);
        assert_int_equal(history_close_lives(h, node + i, 2), 0);
    }
}

static void state_fill(struct state *s, uint64_t node)
{
    history_fill(&s->history, node);
    for (uint64_t seq = 1; seq <= SIBLINGS; seq++) {
        struct sibling sibling = sibling_of(node, seq);
        assert_int_equal(state_add(s, &sibling), 0);
    }
}

/* Bases, ranges and closed lives. */
static void clock_fill(struct clock *c, uint64_t node)
{
    for (uint64_t i = 0; i < SIBLINGS; i++) {
        assert_int_equal(clock_add_range(c, (struct actor){node + i, 9}, 1, 4), 0);
        for (uint64_t seq = 10; seq < 20 + 4 * i; seq += 2)
            assert_int_equal(clock_add(c, (struct dot){{node + i, 9}, seq}), 0);
        assert_int_equal(clock_set_closed(c, node + i, 3), 0);
    }
}

static void desk_lay(struct desk *k)
{
    *k = (struct desk){0};
    state_fill(&k->local, 1);
    state_fill(&k->incoming, 4);
    history_fill(&k->context, 3);
    for (uint32_t i = 0; i < SIBLINGS; i++)
        assert_int_equal(history_add(&k->context, k->local.siblings[i].dot), 0);
    clock_fill(&k->clock, 1);
    clock_fill(&k->other, 4);
    buf_init(&k->bytes, 1u << 20);
}

static void desk_clear(struct desk *k)
{
    state_close(&k->local);
    state_close(&k->incoming);
    state_close(&k->state);
    history_close(&k->context);
    history_close(&k->history);
    clock_close(&k->clock);
    clock_close(&k->other);
    clock_close(&k->met);
    buf_close(&k->bytes);
}

static void assert_desks_equal(const struct desk *a, const struct desk *b)
{
    struct state ha = {.history = a->history}, hb = {.history = b->history};
    struct state ca = {.history = a->context}, cb = {.history = b->context};
    assert_true(state_equal(&a->local, &b->local));
    assert_true(state_equal(&a->state, &b->state));
    assert_true(state_equal(&ha, &hb) && state_equal(&ca, &cb));
    assert_true(clock_equal(&a->clock, &b->clock) && clock_equal(&a->met, &b->met));
    assert_true(slice_equal(buf_slice(&a->bytes), buf_slice(&b->bytes)));
}

/*
 * The act, once for each of its allocations, which fails then. `lay` comes before it and is not
 * disturbed; NULL: the desk is enough. At least `least` allocations are tried.
 */
static void every_allocation_may_fail(int (*lay)(struct desk *k), int (*act)(struct desk *k),
                                      uint32_t least)
{
    struct desk wanted;
    uint32_t failures = 0;
    desk_lay(&wanted);
    assert_int_equal(lay ? lay(&wanted) : 0, 0);
    assert_int_equal(act(&wanted), 0);
    for (bool failed = true; failed; failures += failed) {
        int64_t allocated = memfail_allocated();
        struct desk k;
        desk_lay(&k);
        assert_int_equal(lay ? lay(&k) : 0, 0);
        memfail_arm(failures + 1, 0);
        int error = act(&k);
        failed = memfail_disarm();
        assert_int_equal(error, failed ? GT_ENOMEM : 0);
        if (failed)
            assert_int_equal(act(&k), 0);
        assert_desks_equal(&k, &wanted);
        desk_clear(&k);
        assert_int_equal(memfail_allocated(), allocated);
    }
    assert_true(failures >= least);
    desk_clear(&wanted);
}

/* ---- histories and states -------------------------------------------------------------------- */

static int copy_history(struct desk *k)
{
    return history_copy(&k->history, &k->context);
}

static int join_histories(struct desk *k)
{
    return history_join(&k->history, &k->context);
}

/* One by one, so that each list grows. */
static int fill_history(struct desk *k)
{
    int error = 0;
    for (uint64_t i = 1; i <= SIBLINGS && !error; i++) {
        uint8_t op[OP_ID_BYTES] = {1, (uint8_t)i};
        error = history_raise(&k->history, (struct actor){i, 7}, 2);
        if (!error)
            error = history_add(&k->history, (struct dot){{i, 7}, 5});
        if (!error)
            error = history_name(&k->history, op, 1, 0);
        if (!error)
            error = history_close_lives(&k->history, i, 3);
    }
    return error;
}

static int copy_state(struct desk *k)
{
    return state_copy(&k->state, &k->local);
}

static int add_siblings(struct desk *k)
{
    int error = 0;
    for (uint32_t i = 0; i < SIBLINGS && !error; i++)
        error = state_add(&k->state, &k->local.siblings[i]);
    return error;
}

static void histories_and_states_say_when_memory_is_out(void **unused)
{
    (void)unused;
    every_allocation_may_fail(NULL, copy_history, 4);
    every_allocation_may_fail(NULL, join_histories, 4);
    every_allocation_may_fail(NULL, fill_history, 8);
    every_allocation_may_fail(NULL, copy_state, 5);
    every_allocation_may_fail(NULL, add_siblings, 4);
}

static int merge_states(struct desk *k)
{
    return version_merge(&k->local, &k->clock, &k->incoming, NULL, &k->state);
}

static int put(struct desk *k, const struct history *context, bool plain)
{
    struct sibling sibling = sibling_of(2, 9);
    uint32_t count;
    return version_put(&k->local, context, plain, &sibling, &k->state, k->replaced, &count,
                       &k->history);
}

static int put_with_context(struct desk *k)
{
    return put(k, &k->context, false);
}

static int put_plain(struct desk *k)
{
    return put(k, NULL, true);
}

/* No operation of the key was tried again, and the client has seen names: as many as just fit, so
 * that what names them once more makes room for one more. */
static int leave_names_to_the_client(struct desk *k)
{
    k->local.history.operation_count = 0;
    for (uint32_t i = 0; i < k->local.sibling_count; i++)
        k->local.siblings[i].flags = 0;
    for (uint8_t i = 0; k->context.operation_count < 8; i++)
        assert_int_equal(history_name(&k->context, (uint8_t[OP_ID_BYTES]){9, i}, 1, 0), 0);
    return 0;
}

/* The names of four fit, and that of the new one does not. */
static int retry_four(struct desk *k)
{
    for (uint32_t i = 4; i < k->local.sibling_count; i++)
        k->local.siblings[i].flags = 0;
    return 0;
}

static int put_first(struct desk *k)
{
    state_clear(&k->local);
    return put(k, NULL, true);
}

static void puts_and_merges_say_when_memory_is_out(void **unused)
{
    (void)unused;
    every_allocation_may_fail(NULL, merge_states, 5);
    every_allocation_may_fail(NULL, put_with_context, 5);
    every_allocation_may_fail(NULL, put_plain, 5);
    every_allocation_may_fail(leave_names_to_the_client, put_with_context, 5);
    every_allocation_may_fail(retry_four, put_plain, 5);
    every_allocation_may_fail(NULL, put_first, 3);
}

static int read_all(struct desk *k)
{
    return version_read_context(&k->local, NULL, &k->incoming.history, &k->history);
}

static int read_winner(struct desk *k)
{
    return version_read_context(&k->local, state_winner(&k->local), &k->context, &k->history);
}

/* The vector covers both siblings: when the older is hidden, the winner is told exactly. */
static int tell_all_by_the_vector(struct desk *k)
{
    state_clear(&k->local);
    history_close(&k->context);
    assert_int_equal(history_raise(&k->local.history, (struct actor){1, 5}, 2), 0);
    for (uint64_t seq = 1; seq <= 2; seq++) {
        struct sibling sibling = sibling_of(1, seq);
        assert_int_equal(state_add(&k->local, &sibling), 0);
    }
    return 0;
}

/* Six lives, told by the vector or by exact dots, that the clock closes. */
static int end_lives(struct desk *k, bool exact)
{
    for (uint64_t i = 1; i <= SIBLINGS; i++) {
        struct actor life = {i, 2};
        int error = exact ? history_add(&k->state.history, (struct dot){life, 1})
                          : history_raise(&k->state.history, life, 1);
        assert_int_equal(error, 0);
        assert_true(clock_closes(&k->clock, life));
    }
    return 0;
}

static int end_lives_of_the_vector(struct desk *k)
{
    return end_lives(k, false);
}

static int end_lives_of_exact_dots(struct desk *k)
{
    return end_lives(k, true);
}

static int close_lives(struct desk *k)
{
    return version_close_lives(&k->state, &k->clock);
}

static void reads_and_closed_lives_say_when_memory_is_out(void **unused)
{
    (void)unused;
    every_allocation_may_fail(NULL, read_all, 7);
    every_allocation_may_fail(NULL, read_winner, 4);
    every_allocation_may_fail(tell_all_by_the_vector, read_winner, 3);
    every_allocation_may_fail(end_lives_of_the_vector, close_lives, 2);
    every_allocation_may_fail(end_lives_of_exact_dots, close_lives, 2);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* A buffer that failed does not say whether its bound or the memory ended it. */
static int encoded(struct desk *k, int error)
{
    assert_int_equal(k->bytes.failed, error != 0);
    return error ? GT_ENOMEM : 0;
}

static int encode_context(struct desk *k)
{
    buf_clear(&k->bytes);
    int error = context_encode(&k->context, 42, &k->bytes);
    assert_int_equal(k->bytes.failed, error != 0);
    return error;
}

static int decode_context(struct desk *k)
{
    return context_decode(buf_slice(&k->bytes), 42, &k->history);
}

/* More lives than a table of actors has room for at first. */
static int live_often(struct desk *k, uint64_t lives)
{
    for (uint64_t life = 10; life < 10 + lives; life++) {
        assert_int_equal(history_raise(&k->context, (struct actor){life % 5, life}, 1u << 30), 0);
        assert_int_equal(history_raise(&k->local.history, (struct actor){life % 5, life}, 1u << 30),
                         0);
    }
    return 0;
}

static int live_fifty_times(struct desk *k)
{
    return live_often(k, 50);
}

/* So often that a context leaves out the oldest. */
static int live_two_thousand_times(struct desk *k)
{
    return live_often(k, 2000);
}

static int encode_record(struct desk *k)
{
    buf_clear(&k->bytes);
    int error = record_encode(&k->local, 3, slice_of("key", 3), &k->bytes);
    k->bytes.failed = error != 0; /* the table's failure is not the buffer's */
    return encoded(k, error);
}

static int encode_record_blob(struct desk *k)
{
    struct blob *blob;
    int error = record_encode_blob(&k->local, 3, slice_of("key", 3), &blob);
    assert_int_equal(blob != NULL, error == 0);
    blob_unref(blob);
    return error;
}

static int decode_record(struct desk *k)
{
    return record_decode(buf_slice(&k->bytes), 3, slice_of("key", 3), &k->state);
}

static void bytes_of_versions_say_when_memory_is_out(void **unused)
{
    (void)unused;
    every_allocation_may_fail(live_fifty_times, encode_context, 3);
    every_allocation_may_fail(live_two_thousand_times, encode_context, 7);
    every_allocation_may_fail(encode_context, decode_context, 4);
    every_allocation_may_fail(live_fifty_times, encode_record, 3);
    every_allocation_may_fail(live_fifty_times, encode_record_blob, 2);
    every_allocation_may_fail(encode_record, decode_record, 5);
}

/* ---- clocks ---------------------------------------------------------------------------------- */

static int copy_clock(struct desk *k)
{
    return clock_copy(&k->met, &k->clock);
}

static int merge_clocks(struct desk *k)
{
    int error = clock_merge(&k->met, &k->clock);
    return error ? error : clock_merge(&k->met, &k->other);
}

static int meet_clocks(struct desk *k)
{
    return clock_meet(&k->clock, &k->other, &k->met);
}

static int fill_clock(struct desk *k)
{
    int error = 0;
    for (uint64_t i = 1; i <= SIBLINGS && !error; i++) {
        error = clock_set_closed(&k->met, i, 3);
        for (uint64_t seq = 2; seq < 14 && !error; seq += 2)
            error = clock_add(&k->met, (struct dot){{i, 9}, seq});
    }
    return error;
}

/* Two dots of an actor that is known, and of others that are not. */
static int reserve_in_clock(struct desk *k)
{
    struct dot dots[2 * SIBLINGS];
    for (uint64_t i = 0; i < 2 * SIBLINGS; i++)
        dots[i] = (struct dot){{i / 2 + 4, 9}, 100 + 2 * i};
    int error = clock_reserve(&k->clock, dots, 2 * SIBLINGS);
    if (error)
        return error;
    uint64_t armed = memfail_armed();
    memfail_arm(1, 0); /* what has room asks for none */
    for (uint64_t i = 0; i < 2 * SIBLINGS; i++)
        assert_int_equal(clock_add(&k->clock, dots[i]), 0);
    assert_false(memfail_failed());
    memfail_arm(armed, 0);
    return 0;
}

static int encode_clock(struct desk *k)
{
    buf_clear(&k->bytes);
    clock_encode(&k->clock, &k->bytes);
    return encoded(k, k->bytes.failed ? GT_ENOMEM : 0);
}

static int decode_clock(struct desk *k)
{
    struct reader r = reader_of(buf_slice(&k->bytes));
    return clock_decode(&r, &k->met);
}

static void clocks_say_when_memory_is_out(void **unused)
{
    (void)unused;
    every_allocation_may_fail(NULL, copy_clock, 8);
    every_allocation_may_fail(NULL, merge_clocks, 10);
    every_allocation_may_fail(NULL, meet_clocks, 3);
    every_allocation_may_fail(NULL, fill_clock, 10);
    every_allocation_may_fail(NULL, reserve_in_clock, 5);
    every_allocation_may_fail(NULL, encode_clock, 2);
    every_allocation_may_fail(encode_clock, decode_clock, 8);
}

/* More items than memory counts are asked for nowhere: their lists are not even looked at. */
static void counts_beyond_all_memory_are_refused(void **unused)
{
    (void)unused;
    const struct history wild[] = {{.vector_count = UINT32_MAX},
                                   {.exact_count = UINT32_MAX},
                                   {.operation_count = UINT32_MAX},
                                   {.closed_count = UINT32_MAX}};
    struct history history = {0};
    struct state state = {0};
    struct clock clock = {0};
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(history_copy(&history, &wild[i]), GT_ENOMEM);
        assert_int_equal(history_join(&history, &wild[i]), GT_ENOMEM);
    }
    assert_int_equal(state_copy(&state, &(struct state){.sibling_count = UINT32_MAX}), GT_ENOMEM);
    assert_int_equal(clock_copy(&clock, &(struct clock){.entry_count = UINT32_MAX}), GT_ENOMEM);
    assert_int_equal(clock_copy(&clock, &(struct clock){.closed_count = UINT32_MAX}), GT_ENOMEM);
    struct clock_entry entry = {.actor = {1, 1}, .range_count = UINT32_MAX};
    assert_int_equal(clock_copy(&clock, &(struct clock){.entries = &entry, .entry_count = 1}),
                     GT_ENOMEM);
    history_close(&history);
    state_close(&state);
    clock_close(&clock);
}

/* ---- the log --------------------------------------------------------------------------------- */

static int seal_batch(struct desk *k)
{
    struct wal_segment segment = {.number = 1, .salt = 2, .bytes = WAL_SEGMENT_BYTES_MIN};
    uint32_t chain = 0;
    buf_close(&k->bytes);
    wal_body_init(&k->bytes, wal_record_bytes(100));
    wal_record_begin(&k->bytes, 1, 100);
    buf_zero(&k->bytes, 100);
    return wal_batch_seal(&k->bytes, 0, 1, 1, &segment, WAL_BLOCK, &chain);
}

static int count_record(void *arg, const struct wal_record *r)
{
    (void)r;
    ++*(uint32_t *)arg;
    return 0;
}

/* Makes a segment with a batch in it, and reads it. Memory of the disk itself, which is in smaller
 * pieces, does not fail. */
static int write_and_recover(struct disk *d, uint32_t *records)
{
    struct wal_report report;
    struct wal_segment segment;
    struct buf body;
    uint32_t chain = 0;
    int error = wal_segment_make(d, 1, WAL_SEGMENT_BYTES_MIN, 5, 0, &segment);
    if (error)
        return error;
    wal_body_init(&body, wal_record_bytes(10));
    wal_record_begin(&body, 1, 10);
    buf_zero(&body, 10);
    assert_int_equal(wal_batch_seal(&body, 0, 1, 1, &segment, WAL_BLOCK, &chain), 0);
    assert_int_equal(d->write(d, segment.file, WAL_BLOCK, body.data, body.bytes), 0);
    buf_close(&body);
    wal_segment_close(d, &segment);
    *records = 0;
    return wal_recover(d, NULL, 1, 0, false, count_record, records, &report);
}

static void the_log_says_when_memory_is_out(void **unused)
{
    (void)unused;
    every_allocation_may_fail(NULL, seal_batch, 3);
    int64_t allocated = memfail_allocated();
    bool failed = true;
    uint64_t nth = 0;
    while (failed) {
        struct disk *d = memdisk_new();
        uint32_t records = 0;
        assert_int_equal(d->make_folder(d, "wal"), 0);
        memfail_arm(++nth, WAL_SEGMENT_BYTES_MIN);
        int error = write_and_recover(d, &records);
        failed = memfail_disarm();
        assert_int_equal(error, failed ? GT_ENOMEM : 0);
        assert_int_equal(records, failed ? 0 : 1);
        assert_int_equal(memdisk_open_files(d), 0);
        d->destroy(d);
        assert_int_equal(memfail_allocated(), allocated);
    }
    assert_int_equal(nth, 3); /* the zeros of a new segment, and the piece that is read of it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histories_and_states_say_when_memory_is_out),
        cmocka_unit_test(puts_and_merges_say_when_memory_is_out),
        cmocka_unit_test(reads_and_closed_lives_say_when_memory_is_out),
        cmocka_unit_test(bytes_of_versions_say_when_memory_is_out),
        cmocka_unit_test(clocks_say_when_memory_is_out),
        cmocka_unit_test(counts_beyond_all_memory_are_refused),
        cmocka_unit_test(the_log_says_when_memory_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
