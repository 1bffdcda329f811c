/*
 * The comparison of replicas, driven by hand: three owners of every partition, each a list of keys
 * with digests that the test lays out, answer in runs of two keys.
 */
#include "client/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/admin_view.h"
#include "engine/base/error.h"
#include "net/frame.h"

#define OWNERS     3u
#define PARTITIONS 8u
#define KEYS_MAX   64u
#define RUN_KEYS   2u

struct held {
    char key[16];
    uint64_t digest; /* 0: the record is bad */
};

struct owner {
    struct held keys[KEYS_MAX]; /* in the order of a partition */
    uint32_t count;
    uint64_t moved; /* of its clock */
    uint64_t extra; /* records that it counts and does not have */
    uint32_t busy;  /* so many requests are refused */
    bool dead;      /* nobody listens there */
    bool silent;    /* it is greeted, and then never answers */
    bool stranger;  /* another node has its address */
    bool stuck;     /* more, it says, and begins anew */
    uint32_t asked;
};

struct world {
    struct ring *ring;
    struct owner owners[OWNERS];
    struct verifier verifier;
    struct gt_effects fx;
    struct msg_decoder *decoder;
    uint64_t now_us;
    bool done;
    int error;
    uint32_t looks;
    void (*time_passes)(struct world *w); /* before each look that is waited for */
};

/* ---- verbs ----------------------------------------------------------------------------------- */

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    w->ring = ring_new(OWNERS, PARTITIONS);
    w->ring->formed = true;
    w->ring->settings = (struct settings){.replicas = OWNERS, .partitions = PARTITIONS};
    for (uint32_t i = 0; i < OWNERS; i++) {
        w->ring->members[i].id = 100 + i;
        w->ring->members[i].state = MEMBER_UP;
        snprintf(w->ring->members[i].label, UNITS_LABEL_BYTES, "node%u", i + 1);
    }
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        w->ring->arcs[p].owner_count = OWNERS;
        for (uint32_t i = 0; i < OWNERS; i++)
            w->ring->arcs[p].owners[i] = (uint16_t)i;
    }
    w->decoder = msg_decoder_new();
    w->now_us = 1000000;
    effects_init(&w->fx);
    verifier_init(&w->verifier, w->ring, 600000000);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    effects_close(&w->fx);
    verifier_close(&w->verifier);
    msg_decoder_free(w->decoder);
    ring_unref(w->ring);
    free(w);
    return 0;
}

static int order(struct slice a, struct slice b)
{
    uint64_t x = hash_bytes(a), y = hash_bytes(b);
    return x != y ? (x < y ? -1 : 1) : slice_compare(a, b);
}

static void hold(struct world *w, uint32_t owner, const char *key, uint64_t digest)
{
    struct owner *o = &w->owners[owner];
    uint32_t at = 0;
    o->moved++;
    while (at < o->count && order(slice_text(o->keys[at].key), slice_text(key)) < 0)
        at++;
    if (at == o->count || strcmp(o->keys[at].key, key) != 0) {
        assert_true(o->count < KEYS_MAX);
        memmove(&o->keys[at + 1], &o->keys[at], (o->count++ - at) * sizeof(o->keys[0]));
        snprintf(o->keys[at].key, sizeof(o->keys[at].key), "%s", key);
    }
    o->keys[at].digest = digest;
}

static void hold_all(struct world *w, const char *key, uint64_t digest)
{
    for (uint32_t i = 0; i < OWNERS; i++)
        hold(w, i, key, digest);
}

static void forty_keys(struct world *w)
{
    for (uint32_t i = 0; i < 40; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key%u", i);
        hold_all(w, key, 1000 + i);
    }
}

static void feed(struct world *w, struct gt_event *ev)
{
    struct gt_machine machine = verifier_machine(&w->verifier);
    ev->now_us = w->now_us;
    machine.step(machine.self, ev, &w->fx);
}

static void say(struct world *w, uint64_t peer, const struct msg *m)
{
    struct msg heard;
    struct blob *frame = msg_frame(m);
    struct blob *body =
        blob_copy(frame->data + FRAME_HEADER_BYTES, frame->bytes - FRAME_HEADER_BYTES);
    assert_int_equal(msg_decode(w->decoder, slice_blob(body), &heard), 0);
    struct gt_event ev = {.kind = GT_MESSAGE, .peer = peer, .message = {&heard, body}};
    feed(w, &ev);
    blob_unref(body);
    blob_unref(frame);
}

/* The row of a partition, as a list of clocks has it: its clock is a number that moves. */
static void row_write(struct world *w, const struct owner *o, uint32_t partition, struct buf *out)
{
    uint64_t records = o->extra, sum = 0;
    for (uint32_t i = 0; i < o->count; i++)
        if (ring_partition(w->ring, slice_text(o->keys[i].key)) == partition) {
            records++;
            sum += o->keys[i].digest;
        }
    buf_varint(out, partition);
    buf_bytes(out, slice_of((const uint8_t *)&o->moved, sizeof(o->moved)));
    buf_varint(out, records);
    buf_u64(out, sum);
}

static void run_answer(struct world *w, uint32_t owner, const struct msg *ask)
{
    struct owner *o = &w->owners[owner];
    struct msg m = {.type = MSG_VERIFY_REPLY, .id = ask->id};
    struct buf row, keys;
    struct slice from = ask->scan.from_key;
    o->asked++;
    buf_init(&row, 1000);
    buf_init(&keys, 10000);
    if (o->busy > 0) {
        o->busy--;
        m.verify_reply.head.error = GT_EBUSY;
    }
    for (uint32_t i = 0; i < o->count && !m.verify_reply.head.error; i++) {
        struct slice key = slice_text(o->keys[i].key);
        if (ring_partition(w->ring, key) != ask->scan.partition ||
            (!ask->scan.from_start && !o->stuck && order(key, from) <= 0))
            continue;
        if (m.verify_reply.records + m.verify_reply.bad == RUN_KEYS) {
            m.verify_reply.head.flags = REPLY_MORE;
            break;
        }
        m.verify_reply.bad += o->keys[i].digest == 0;
        m.verify_reply.records += o->keys[i].digest != 0;
        m.verify_reply.digest_sum += o->keys[i].digest;
        m.verify_reply.last_key = key;
        buf_bytes(&keys, key);
        buf_u64(&keys, o->keys[i].digest);
    }
    if (ask->scan.head.flags & REQUEST_KEYS_ONLY)
        m.verify_reply.keys = buf_slice(&keys);
    row_write(w, o, ask->scan.partition, &row);
    m.verify_reply.row = buf_slice(&row);
    say(w, owner + 1, &m);
    buf_close(&row);
    buf_close(&keys);
}

static void hello_answer(struct world *w, uint32_t owner)
{
    struct msg m = {.type = MSG_HELLO_REPLY, .id = 1};
    m.hello.role = ROLE_NODE;
    m.hello.node = w->ring->members[owner].id + w->owners[owner].stranger;
    say(w, owner + 1, &m);
}

static void answer(struct world *w, uint64_t peer, struct blob *frame)
{
    struct msg ask;
    struct msg_decoder *decoder = msg_decoder_new();
    struct slice body =
        slice_of(frame->data + FRAME_HEADER_BYTES, frame->bytes - FRAME_HEADER_BYTES);
    assert_int_equal(msg_decode(decoder, body, &ask), 0);
    if (ask.type == MSG_HELLO)
        hello_answer(w, (uint32_t)peer - 1);
    else if (!w->owners[peer - 1].silent)
        run_answer(w, (uint32_t)peer - 1, &ask);
    msg_decoder_free(decoder);
}

static void link_event(struct world *w, uint64_t peer)
{
    bool dead = w->owners[peer - 1].dead;
    struct gt_event ev = {.kind = dead ? GT_LINK_DOWN : GT_LINK_UP, .peer = peer};
    feed(w, &ev);
}

/* Effects until there are none. */
static void carry_out(struct world *w)
{
    while (w->fx.count > 0) {
        struct gt_effects now = w->fx;
        effects_init(&w->fx);
        for (uint32_t i = 0; i < now.count; i++) {
            struct gt_effect *e = &now.items[i];
            if (e->kind == GT_CONNECT) {
                link_event(w, e->peer);
            } else if (e->kind == GT_SEND) {
                answer(w, e->peer, e->frame);
            } else if (e->kind == GT_DONE) {
                w->done = true;
                w->error = e->done.error;
            }
        }
        effects_close(&now);
    }
}

/* From the start to the end, as fast as time allows. Its result. */
static int play(struct world *w)
{
    struct gt_machine machine = verifier_machine(&w->verifier);
    struct gt_event start = {.kind = GT_START};
    feed(w, &start);
    carry_out(w);
    while (!w->done) {
        uint64_t at = machine.deadline_us(machine.self);
        assert_true(at < UINT64_MAX && w->looks++ < 1000);
        w->now_us = at > w->now_us ? at : w->now_us;
        if (w->time_passes)
            w->time_passes(w);
        struct gt_event ev = {.kind = GT_TIMEOUT};
        feed(w, &ev);
        carry_out(w);
    }
    return w->error;
}

static void assert_says(struct world *w, const char *lines)
{
    struct buf out;
    buf_init(&out, 100000);
    view_verify_lines(&w->verifier, &out);
    buf_u8(&out, 0);
    assert_string_equal((const char *)out.data, lines);
    buf_close(&out);
}

static int64_t number_in(json_t *answer, const char *name)
{
    json_t *value = json_object_get(answer, name);
    return json_is_array(value) ? (int64_t)json_array_size(value) : json_integer_value(value);
}

/* ---- stories --------------------------------------------------------------------------------- */

static void owners_that_agree_are_asked_once(void **state)
{
    struct world *w = *state;
    forty_keys(w);
    assert_int_equal(play(w), 0);
    assert_true(verifier_equal(&w->verifier));
    assert_int_equal(w->looks, 0);
    assert_says(w, "equal: 8 partitions, 40 keys\n");
    json_t *answer = view_verify_json(&w->verifier);
    assert_true(json_is_true(json_object_get(answer, "equal")));
    assert_int_equal(number_in(answer, "keys"), 40);
    assert_int_equal(number_in(answer, "not_compared"), 0);
    json_decref(answer);
}

static void nothing_at_all_is_equal(void **state)
{
    struct world *w = *state;
    assert_int_equal(play(w), 0);
    assert_says(w, "equal: 8 partitions, 0 keys\n");
}

static void keys_that_differ_are_named_with_what_each_owner_has(void **state)
{
    struct world *w = *state;
    forty_keys(w);
    hold(w, 0, "alpha", 5);
    hold(w, 1, "alpha", 5);
    hold_all(w, "beta", 6);
    hold(w, 2, "beta", 7);
    assert_int_equal(play(w), 0);
    assert_false(verifier_equal(&w->verifier));
    assert_int_equal(w->verifier.differing, 2);
    char text[VIEW_TEXT_BYTES];
    const char *alpha = "differs: alpha: node1 has 0000000000000005, node2 has 0000000000000005, "
                        "node3 lacks it\n";
    const char *beta = "differs: beta: node1 has 0000000000000006, node2 has 0000000000000006, "
                       "node3 has 0000000000000007\n";
    bool first =
        ring_partition(w->ring, slice_text("alpha")) < ring_partition(w->ring, slice_text("beta"));
    char lines[400];
    snprintf(lines, sizeof(lines), "%s%s", first ? alpha : beta, first ? beta : alpha);
    assert_says(w, lines);
    assert_string_equal(view_verify_text(&w->verifier, text),
                        "6 of 8 partitions are equal at all owners; 2 keys differ");
    json_t *answer = view_verify_json(&w->verifier);
    assert_true(json_is_false(json_object_get(answer, "equal")));
    assert_int_equal(number_in(answer, "differing"), 2);
    json_t *key = json_array_get(json_object_get(answer, "differing"), first ? 0 : 1);
    assert_string_equal(json_string_value(json_object_get(key, "key")), "alpha");
    json_t *third = json_array_get(json_object_get(key, "owners"), 2);
    assert_string_equal(json_string_value(json_object_get(third, "state")), "absent");
    json_decref(answer);
}

static void arrive(struct world *w)
{
    if (w->looks == 3)
        hold(w, 2, "late", 9);
}

static void what_arrives_meanwhile_is_no_difference(void **state)
{
    struct world *w = *state;
    forty_keys(w);
    hold(w, 0, "late", 9);
    hold(w, 1, "late", 9);
    w->time_passes = arrive;
    assert_int_equal(play(w), 0);
    assert_int_equal(w->looks, 3);
    assert_says(w, "equal: 8 partitions, 41 keys\n");
}

static void overwrite(struct world *w)
{
    hold(w, w->looks % 3, "hot", 100 + w->looks);
    hold(w, (w->looks + 1) % 3, "hot", 200 + w->looks);
}

static void a_key_that_changes_at_every_look_is_not_called_different(void **state)
{
    struct world *w = *state;
    forty_keys(w);
    hold_all(w, "hot", 1);
    hold(w, 0, "hot", 2);
    w->time_passes = overwrite;
    assert_int_equal(play(w), 0);
    assert_int_equal(w->verifier.differing, 0);
    assert_int_equal(w->verifier.changing, 1);
    char text[VIEW_TEXT_BYTES];
    assert_string_equal(view_verify_text(&w->verifier, text),
                        "7 of 8 partitions are equal at all owners; 1 keys changed at every look");
}

static void write_elsewhere(struct world *w)
{
    char key[16];
    snprintf(key, sizeof(key), "new%u", w->looks);
    hold(w, w->looks % 3, key, 5); /* it reaches one owner before it is looked at, and then all */
    snprintf(key, sizeof(key), "new%u", w->looks - 1);
    if (w->looks > 1)
        hold_all(w, key, 5);
}

static void keys_seen_equal_once_do_not_wait_for_new_ones(void **state)
{
    struct world *w = *state;
    hold_all(w, "one", 1);
    hold(w, 0, "one", 2);
    w->time_passes = write_elsewhere;
    assert_int_equal(play(w), 0);
    assert_int_equal(w->verifier.differing, 1); /* of what was there when it began */
}

static void a_bad_record_is_named_with_its_node(void **state)
{
    struct world *w = *state;
    forty_keys(w);
    hold(w, 1, "key7", 0);
    assert_int_equal(play(w), 0);
    assert_false(verifier_equal(&w->verifier));
    assert_says(w, "differs: key7: node1 has 00000000000003ef, node2 cannot read it, node3 has "
                   "00000000000003ef\nunreadable: node2: 1 records\n");
}

static void a_node_that_counts_what_it_does_not_have_is_named(void **state)
{
    struct world *w = *state;
    for (uint32_t p = 1; p < PARTITIONS; p++)
        w->ring->arcs[p].owners[2] = 0, w->ring->arcs[p].owner_count = 2;
    forty_keys(w);
    w->owners[2].extra = 3;
    assert_int_equal(play(w), 0);
    assert_false(verifier_equal(&w->verifier));
    assert_int_equal(w->verifier.differing, 0);
    assert_int_equal(w->verifier.unsound_count, 1);
    assert_int_equal(w->verifier.unsound[0].member, 2);
    assert_int_equal(w->verifier.unsound[0].counted, w->verifier.unsound[0].read + 3);
}

static void an_owner_that_is_away_is_named_and_the_others_compared(void **state)
{
    struct world *w = *state;
    forty_keys(w);
    w->owners[2].dead = true;
    hold(w, 1, "key7", 4);
    assert_int_equal(play(w), 0);
    assert_int_equal(w->verifier.equal_count, 0);
    assert_says(w, "differs: key7: node1 has 00000000000003ef, node2 has 0000000000000004\n"
                   "not compared: node3: 8 partitions: unreachable\n");
}

static void an_owner_that_falls_silent_is_asked_no_more(void **state)
{
    struct world *w = *state;
    forty_keys(w);
    w->owners[0].silent = true;
    assert_int_equal(play(w), 0);
    assert_true(w->now_us <= 1000000 + 2 * VERIFY_SILENT_US);
    assert_says(w, "not compared: node1: 8 partitions: deadline passed\n");
}

static void another_node_at_the_address_is_not_taken_for_the_owner(void **state)
{
    struct world *w = *state;
    forty_keys(w);
    w->owners[0].stranger = true;
    assert_int_equal(play(w), 0);
    assert_says(w, "not compared: node1: 8 partitions: unreachable\n");
}

static void nobody_to_ask_is_an_error(void **state)
{
    struct world *w = *state;
    for (uint32_t i = 0; i < OWNERS; i++)
        w->owners[i].dead = true;
    assert_int_equal(play(w), GT_EUNREACHABLE);
}

static void a_busy_owner_is_asked_again(void **state)
{
    struct world *w = *state;
    forty_keys(w);
    for (uint32_t i = 0; i < OWNERS; i++) /* all of them, for some partitions */
        w->owners[i].busy = 20;
    assert_int_equal(play(w), 0);
    assert_says(w, "equal: 8 partitions, 40 keys\n");
}

static void an_owner_that_never_comes_to_an_end_is_left_out(void **state)
{
    struct world *w = *state;
    forty_keys(w);
    w->owners[1].stuck = true;
    assert_int_equal(play(w), 0);
    assert_false(verifier_equal(&w->verifier));
    assert_true(w->verifier.members[1].left_out > 0);
    assert_int_equal(w->verifier.members[1].error, GT_EPROTO);
}

static void more_keys_than_can_be_named_are_counted(void **state)
{
    struct world *w = *state;
    forty_keys(w);
    w->owners[2].count = 0;
    w->verifier.named = VERIFY_KEYS_MAX - 5; /* others took the room */
    assert_int_equal(play(w), 0);
    assert_int_equal(w->verifier.differing, 40);
    uint32_t named = 0;
    for (uint32_t p = 0; p < PARTITIONS; p++)
        named += w->verifier.partitions[p].found_count;
    assert_true(named <= 5);
    w->verifier.named = named;
}

static void what_is_left_when_the_time_is_over_is_not_compared(void **state)
{
    struct world *w = *state;
    forty_keys(w);
    hold(w, 0, "key7", 4);
    w->verifier.timeout_us = 1200000;
    assert_int_equal(play(w), 0);
    assert_false(verifier_equal(&w->verifier));
    char text[VIEW_TEXT_BYTES];
    assert_string_equal(view_verify_text(&w->verifier, text),
                        "7 of 8 partitions are equal at all owners; out of time");
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(owners_that_agree_are_asked_once),
        STORY(nothing_at_all_is_equal),
        STORY(keys_that_differ_are_named_with_what_each_owner_has),
        STORY(what_arrives_meanwhile_is_no_difference),
        STORY(a_key_that_changes_at_every_look_is_not_called_different),
        STORY(keys_seen_equal_once_do_not_wait_for_new_ones),
        STORY(a_bad_record_is_named_with_its_node),
        STORY(a_node_that_counts_what_it_does_not_have_is_named),
        STORY(an_owner_that_is_away_is_named_and_the_others_compared),
        STORY(an_owner_that_falls_silent_is_asked_no_more),
        STORY(another_node_at_the_address_is_not_taken_for_the_owner),
        STORY(nobody_to_ask_is_an_error),
        STORY(a_busy_owner_is_asked_again),
        STORY(an_owner_that_never_comes_to_an_end_is_left_out),
        STORY(more_keys_than_can_be_named_are_counted),
        STORY(what_is_left_when_the_time_is_over_is_not_compared),
    };
#undef STORY
    return cmocka_run_group_tests(tests, NULL, NULL);
}
