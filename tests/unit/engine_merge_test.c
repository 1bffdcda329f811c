/*
 * What a merge says of the put that it brings: whether that may be acknowledged by the state here
 * (RULES 10, 12), and whether it came too late, from a life that is over (RULES 8b).
 */
#include "engine/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/buf.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/operations.h"
#include "tests/lib/lanes.h"
#include "tests/lib/memdisk.h"
#include "tests/lib/memindex.h"

#define PARTITION 7u

static struct {
    struct disk *disk;
    struct index *index;
    struct engine *e;
} here;

static int open_here(void **unused)
{
    struct engine_report report;
    (void)unused;
    here.disk = memdisk_new();
    here.index = memindex_new();
    struct engine_config config = {.disk = here.disk,
                                   .index = here.index,
                                   .role = "node",
                                   .seed = 5,
                                   .wall_us = 1700000000000000,
                                   .segment_bytes = 256u << 10};
    return engine_open(&config, &here.e, &report);
}

static int close_here(void **unused)
{
    (void)unused;
    engine_close(here.e, false);
    here.disk->destroy(here.disk);
    here.index->destroy(here.index);
    return 0;
}

static struct store_result call(struct store_request r)
{
    struct store_result result;
    engine_submit(here.e, &r, 1);
    lanes_run(here.e, LANES_ALL);
    assert_true(engine_result(here.e, &result));
    return result;
}

static struct store_request request_of(enum store_kind kind, uint8_t op)
{
    return (struct store_request){
        .kind = kind, .partition = PARTITION, .key = slice_text("key"), .op = {op}};
}

/* ---- a put that was superseded --------------------------------------------------------------- */

#define FIRST   1 /* operations */
#define SEEN    2
#define BESIDE  3
#define UNHEARD 4

/* The first one's record and dots, as its coordinator sent them. */
struct sent {
    struct blob *record, *dots;
};

static struct blob *put(uint8_t op, uint64_t stamp, const struct blob *context, struct sent *sent)
{
    struct store_request r = request_of(STORE_PUT, op);
    r.value = slice_text("value");
    r.stamp = stamp;
    r.context = slice_blob(context);
    struct store_result result = call(r);
    assert_int_equal(result.result, 0);
    if (sent)
        *sent = (struct sent){blob_ref(result.record), blob_ref(result.dots)};
    struct blob *seen = blob_ref(result.context);
    store_result_release(&result);
    return seen;
}

/* A put at 10, one at 30 that has seen it, one at 40 that has seen nothing: which of the two a get
 * answers is older than the other, and may not have seen the first. */
static struct sent superseded_make(void)
{
    struct sent first;
    struct blob *context = put(FIRST, 10, NULL, &first);
    blob_unref(put(SEEN, 30, context, NULL));
    blob_unref(put(BESIDE, 40, NULL, NULL));
    blob_unref(context);
    return first;
}

static bool unsettled(uint8_t op, const struct sent *first, const struct blob *record,
                      const struct operation *row)
{
    uint8_t at[OPERATION_BYTES];
    struct store_request r = request_of(STORE_MERGE, op);
    r.plain = true;
    r.record = slice_blob(record);
    r.dots = slice_of(first->dots->data, DOT_BYTES);
    if (row) {
        operation_put(at, row);
        r.operations = slice_of(at, sizeof(at));
    }
    struct store_result result = call(r);
    assert_int_equal(result.result, 0);
    assert_null(result.outranking); /* it lives no more, so nothing outranks it */
    bool answer = result.unsettled;
    store_result_release(&result);
    return answer;
}

/* The stamp of the operation decides, wherever it is known from: what stands above it may have seen
 * it, and of two that do nobody knows which. */
static void what_superseded_a_put_is_told_by_its_stamp(void **unused)
{
    (void)unused;
    struct sent first = superseded_make();
    struct store_request load = request_of(STORE_LOAD, 0);
    struct store_result stands = call(load);
    assert_int_equal(stands.result, 0);
    /* By its sibling, which the message brings; by the table here; by nothing at all. */
    assert_true(unsettled(FIRST, &first, first.record, NULL));
    assert_true(unsettled(FIRST, &first, stands.record, NULL));
    assert_true(unsettled(UNHEARD, &first, stands.record, NULL));
    /* By a row of the message: above 35 stands one alone. */
    struct operation row = {.op = {UNHEARD},
                            .key_hash = hash_bytes(slice_text("key")),
                            .dot = dots_at(slice_blob(first.dots), 0),
                            .stamp = 35};
    assert_false(unsettled(UNHEARD, &first, stands.record, &row));
    assert_true(unsettled(FIRST, &first, stands.record, &row)); /* it is of another one */
    /* No operation: there is nothing to be settled. */
    assert_false(unsettled(0, &first, stands.record, NULL));
    store_result_release(&stands);
    blob_unref(first.record);
    blob_unref(first.dots);
}

/* ---- a put of a life that is over ------------------------------------------------------------ */

static const struct actor over = {77, 5};

static struct blob *state_of(uint64_t seq, bool tells_closed)
{
    struct state s;
    struct blob *record;
    struct sibling sibling = {.dot = {tells_closed ? (struct actor){88, 1} : over, seq},
                              .value = slice_text("late")};
    state_init(&s);
    if (tells_closed)
        assert_int_equal(history_close_lives(&s.history, over.node, over.incarnation), 0);
    assert_int_equal(state_add(&s, &sibling), 0);
    assert_int_equal(record_encode_blob(&s, PARTITION, slice_text("key"), &record), 0);
    state_close(&s);
    return record;
}

static int merge(const struct blob *record, struct dot d, bool kept)
{
    uint8_t at[DOT_BYTES];
    struct store_request r = request_of(STORE_MERGE, 0);
    dots_put(at, d);
    r.record = slice_blob(record);
    r.dots = slice_of(at, sizeof(at));
    r.kept = kept;
    struct store_result result = call(r);
    int error = result.result;
    store_result_release(&result);
    return error;
}

static bool stands(struct dot d)
{
    struct state s;
    struct store_result result = call(request_of(STORE_LOAD, 0));
    state_init(&s);
    assert_int_equal(record_decode(slice_blob(result.record), PARTITION, slice_text("key"), &s), 0);
    bool found = state_find(&s, d) != NULL;
    state_close(&s);
    store_result_release(&result);
    return found;
}

/* The key's own history says that the life is over, the clock does not know yet. */
static void a_put_of_a_life_that_is_over_comes_too_late(void **unused)
{
    (void)unused;
    struct blob *before = state_of(1, false), *closing = state_of(1, true),
                *late = state_of(2, false);
    assert_int_equal(merge(before, (struct dot){over, 1}, false), 0);
    assert_true(stands((struct dot){over, 1}));
    assert_int_equal(merge(closing, (struct dot){{88, 1}, 1}, false), 0);
    assert_false(stands((struct dot){over, 1}));
    assert_int_equal(merge(late, (struct dot){over, 2}, false), GT_EINCARNATION);
    assert_false(stands((struct dot){over, 2}));
    /* Kept for us it would be kept for ever: it is dead, and has arrived with that. */
    assert_int_equal(merge(late, (struct dot){over, 2}, true), 0);
    assert_false(stands((struct dot){over, 2}));
    assert_true(stands((struct dot){{88, 1}, 1}));
    blob_unref(before);
    blob_unref(closing);
    blob_unref(late);
}

#define STORY(test) cmocka_unit_test_setup_teardown(test, open_here, close_here)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(what_superseded_a_put_is_told_by_its_stamp),
        STORY(a_put_of_a_life_that_is_over_comes_too_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
