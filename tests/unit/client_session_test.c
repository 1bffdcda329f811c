/*
 * The client's session, driven by hand: three nodes own every key, in the order node1, node2,
 * node3; a manager is the seed. Each test is a story of what the session sends and what it answers.
 */
#include "client/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/base/error.h"
#include "net/frame.h"

#define MANAGER 1
#define NODE(i) (2000u + (i))
#define WINDOW  8
#define KEYS    3

struct world {
    struct session *session;
    struct gt_effects fx;
    struct msg_decoder *decoder;
    uint64_t now_us;
    uint64_t tag;
    struct blob *body; /* of the message last taken */
};

/* ---- verbs ----------------------------------------------------------------------------------- */

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct session_config config = {
        .seed = 42, .seed_count = 1, .window = WINDOW, .context_keys_max = KEYS};
    assert_int_equal(units_address("127.0.0.1:5000", &config.seeds[0]), 0);
    w->session = session_new(&config);
    w->decoder = msg_decoder_new();
    w->now_us = 1000000;
    effects_init(&w->fx);
    assert_non_null(w->session);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    effects_close(&w->fx);
    session_free(w->session);
    msg_decoder_free(w->decoder);
    blob_unref(w->body);
    free(w);
    return 0;
}

static void feed(struct world *w, struct gt_event *ev)
{
    ev->now_us = w->now_us;
    session_step(w->session, ev, &w->fx);
}

static void pass(struct world *w, uint64_t us)
{
    w->now_us += us;
    feed(w, &(struct gt_event){.kind = GT_TIMEOUT});
}

static void say(struct world *w, uint64_t peer, const struct msg *m)
{
    struct blob *frame = msg_frame(m);
    assert_non_null(frame);
    struct blob *body =
        blob_copy(frame->data + FRAME_HEADER_BYTES, frame->bytes - FRAME_HEADER_BYTES);
    struct gt_event ev = {.kind = GT_MESSAGE, .peer = peer};
    ev.message.msg = m;
    ev.message.body = body;
    feed(w, &ev);
    blob_unref(body);
    blob_unref(frame);
}

static void effect_drop(struct world *w, uint32_t i)
{
    memmove(&w->fx.items[i], &w->fx.items[i + 1], (--w->fx.count - i) * sizeof(w->fx.items[0]));
}

/* The first message of the type that goes to the peer, which is taken off. */
static bool take(struct world *w, uint64_t peer, enum msg_type type, struct msg *out)
{
    for (uint32_t i = 0; i < w->fx.count; i++) {
        struct gt_effect *e = &w->fx.items[i];
        if (e->kind != GT_SEND || e->peer != peer)
            continue;
        struct slice body =
            slice_of(e->frame->data + FRAME_HEADER_BYTES, e->frame->bytes - FRAME_HEADER_BYTES);
        assert_int_equal(msg_decode(w->decoder, body, out), 0);
        if (out->type != type)
            continue;
        blob_unref(w->body);
        w->body = e->frame;
        effect_drop(w, i);
        return true;
    }
    return false;
}

static struct msg expect_send(struct world *w, uint64_t peer, enum msg_type type)
{
    struct msg m;
    assert_true(take(w, peer, type, &m));
    return m;
}

static void expect_silence(struct world *w, enum msg_type type)
{
    struct msg m;
    for (uint64_t node = NODE(1); node <= NODE(3); node++)
        assert_false(take(w, node, type, &m));
}

static bool connects(struct world *w, uint64_t peer)
{
    for (uint32_t i = 0; i < w->fx.count; i++)
        if (w->fx.items[i].kind == GT_CONNECT && w->fx.items[i].peer == peer) {
            effect_drop(w, i);
            return true;
        }
    return false;
}

static bool done(struct world *w, uint64_t tag, struct gt_effect *out)
{
    for (uint32_t i = 0; i < w->fx.count; i++)
        if (w->fx.items[i].kind == GT_DONE && w->fx.items[i].done.tag == tag) {
            *out = w->fx.items[i];
            effect_drop(w, i);
            return true;
        }
    return false;
}

static void expect_open(struct world *w, uint64_t tag)
{
    struct gt_effect e;
    assert_false(done(w, tag, &e));
}

/* The call ended by itself, with this error and a text that holds this. */
static void expect_failed(struct world *w, uint64_t tag, int error, const char *text)
{
    struct gt_effect e;
    assert_true(done(w, tag, &e));
    assert_int_equal(e.done.error, error);
    assert_non_null(strstr(e.done.text, text));
    assert_null(e.done.body);
}

/* The call ended with a reply, which holds this error. */
static void expect_answered(struct world *w, uint64_t tag, int error)
{
    struct gt_effect e;
    struct msg m;
    assert_true(done(w, tag, &e));
    assert_int_equal(e.done.error, 0);
    assert_int_equal(msg_decode(w->decoder, slice_blob(e.done.body), &m), 0);
    assert_int_equal(m.type == MSG_PUT_REPLY ? m.put_reply.head.error : m.get_reply.head.error,
                     error);
    blob_unref(e.done.body);
    expect_open(w, tag); /* exactly one */
}

static void link_up(struct world *w, uint64_t peer)
{
    feed(w, &(struct gt_event){.kind = GT_LINK_UP, .peer = peer});
    expect_send(w, peer, MSG_HELLO);
    struct msg m = {.type = MSG_HELLO_REPLY};
    m.hello.protocol_min = m.hello.protocol_max = 1;
    say(w, peer, &m);
}

static void link_down(struct world *w, uint64_t peer)
{
    feed(w, &(struct gt_event){.kind = GT_LINK_DOWN, .peer = peer, .error = GT_EIO});
}

static struct ring *make_map(uint64_t counter, bool formed)
{
    struct ring *r = ring_new(3, formed ? 8 : 0);
    r->epoch = (struct epoch){1, counter};
    r->cluster_id[0] = 9;
    r->formed = formed;
    r->settings = (struct settings){3, 2, 2, 8, 3, 0, 1 << 20};
    for (uint32_t i = 0; i < 3; i++) {
        struct member *m = &r->members[i];
        m->id = NODE(i + 1);
        m->incarnation = 1;
        m->capacity = 1;
        m->state = MEMBER_UP;
        snprintf(m->label, sizeof(m->label), "node%u", i + 1);
        snprintf(m->address.host, sizeof(m->address.host), "127.0.0.1");
        m->address.port = (uint16_t)(6001 + i);
    }
    for (uint32_t p = 0; formed && p < 8; p++) {
        r->arcs[p].owner_count = 3;
        for (uint16_t i = 0; i < 3; i++)
            r->arcs[p].owners[i] = i;
    }
    assert_int_equal(ring_check(r), 0);
    return r;
}

/* Answers the MAP_GET that the peer was sent. */
static void give_map(struct world *w, uint64_t peer, struct ring *r)
{
    struct msg ask = expect_send(w, peer, MSG_MAP_GET);
    struct msg m = {.type = MSG_MAP, .id = ask.id, .epoch = r->epoch};
    m.map.ring = r;
    say(w, peer, &m);
    ring_unref(r);
}

static void start_without_map(struct world *w)
{
    feed(w, &(struct gt_event){.kind = GT_START});
    assert_true(connects(w, MANAGER));
    link_up(w, MANAGER);
}

static void start(struct world *w)
{
    start_without_map(w);
    give_map(w, MANAGER, make_map(1, true));
}

/* With a link to each node, made by a get that goes from one to the next. */
static void start_linked(struct world *w)
{
    start(w);
    struct gt_event ev = {.kind = GT_CALL};
    struct msg get = {.type = MSG_GET};
    get.get.key = slice_text("warm");
    ev.call.request = &get;
    ev.call.tag = 999;
    feed(w, &ev);
    for (uint64_t node = NODE(1); node <= NODE(3); node++) {
        assert_true(connects(w, node));
        link_up(w, node);
        struct msg m = expect_send(w, node, MSG_GET);
        struct msg reply = {.type = MSG_GET_REPLY, .id = m.id};
        reply.get_reply.head.error = node < NODE(3) ? GT_EQUORUM : GT_ENOTFOUND;
        say(w, node, &reply);
    }
    expect_answered(w, 999, GT_ENOTFOUND);
}

static uint64_t call(struct world *w, const struct msg *request)
{
    struct gt_event ev = {.kind = GT_CALL};
    ev.call.tag = ++w->tag;
    ev.call.request = request;
    feed(w, &ev);
    return w->tag;
}

static uint64_t put(struct world *w, const char *key, const char *value)
{
    struct msg m = {.type = MSG_PUT};
    m.put.head.flags = REQUEST_PLAIN;
    m.put.key = slice_text(key);
    m.put.value = slice_text(value);
    return call(w, &m);
}

static uint64_t get(struct world *w, const char *key)
{
    struct msg m = {.type = MSG_GET};
    m.get.key = slice_text(key);
    return call(w, &m);
}

/* A context of the key that has seen one dot of node 7. */
static struct blob *context_of(const char *key, uint64_t seq)
{
    struct history h;
    struct buf bytes;
    history_init(&h);
    buf_init(&bytes, CONTEXT_BYTES_MAX);
    assert_int_equal(history_add(&h, (struct dot){{7, 1}, seq}), 0);
    assert_int_equal(context_encode(&h, hash_bytes(slice_text(key)), &bytes), 0);
    struct blob *b = buf_blob(&bytes);
    buf_close(&bytes);
    history_close(&h);
    return b;
}

static bool context_covers(struct slice context, const char *key, uint64_t seq)
{
    struct history h;
    history_init(&h);
    bool covers = context.bytes && context_decode(context, hash_bytes(slice_text(key)), &h) == 0 &&
                  history_covers(&h, (struct dot){{7, 1}, seq});
    history_close(&h);
    return covers;
}

static void reply_put(struct world *w, uint64_t peer, uint64_t id, int error, enum outcome outcome)
{
    struct msg m = {.type = MSG_PUT_REPLY, .id = id};
    m.put_reply.head.error = error;
    m.put_reply.head.outcome = (uint8_t)outcome;
    say(w, peer, &m);
}

static void reply_put_seen(struct world *w, uint64_t peer, uint64_t id, const char *key,
                           uint64_t seq)
{
    struct blob *context = context_of(key, seq);
    struct msg m = {.type = MSG_PUT_REPLY, .id = id};
    m.put_reply.context = slice_blob(context);
    say(w, peer, &m);
    blob_unref(context);
}

static void reply_get(struct world *w, uint64_t peer, uint64_t id, int error)
{
    struct msg m = {.type = MSG_GET_REPLY, .id = id};
    m.get_reply.head.error = error;
    say(w, peer, &m);
}

/* ---- stories --------------------------------------------------------------------------------- */

static void test_owners_are_connected_when_needed(void **state)
{
    struct world *w = *state;
    start(w);
    assert_false(connects(w, NODE(1)));
    uint64_t tag = get(w, "k");
    assert_true(connects(w, NODE(1)));
    assert_false(connects(w, NODE(2)));
    expect_silence(w, MSG_GET);
    link_up(w, NODE(1));
    struct msg m = expect_send(w, NODE(1), MSG_GET);
    assert_false(m.get.head.flags & REQUEST_RETRY);
    assert_int_equal(m.get.head.deadline_ms, 5000);
    reply_get(w, NODE(1), m.id, GT_ENOTFOUND);
    expect_answered(w, tag, GT_ENOTFOUND);
}

static void test_the_hello_names_the_cluster_once_it_is_known(void **state)
{
    struct world *w = *state;
    feed(w, &(struct gt_event){.kind = GT_START});
    feed(w, &(struct gt_event){.kind = GT_LINK_UP, .peer = MANAGER});
    struct msg first = expect_send(w, MANAGER, MSG_HELLO);
    assert_int_equal(first.hello.role, ROLE_CLIENT);
    assert_int_equal(first.hello.cluster_id[0], 0);
    struct msg reply = {.type = MSG_HELLO_REPLY};
    say(w, MANAGER, &reply);
    give_map(w, MANAGER, make_map(1, true));
    get(w, "k");
    feed(w, &(struct gt_event){.kind = GT_LINK_UP, .peer = NODE(1)});
    struct msg second = expect_send(w, NODE(1), MSG_HELLO);
    assert_int_equal(second.hello.cluster_id[0], 9);
}

static void test_a_refused_hello_is_remembered(void **state)
{
    struct world *w = *state;
    feed(w, &(struct gt_event){.kind = GT_START});
    feed(w, &(struct gt_event){.kind = GT_LINK_UP, .peer = MANAGER});
    struct msg reply = {.type = MSG_HELLO_REPLY};
    reply.hello.error = GT_EFORMAT;
    reply.hello.text = slice_text("protocol 2 is wanted");
    say(w, MANAGER, &reply);
    uint64_t tag = put(w, "k", "v");
    pass(w, 5000000);
    expect_failed(w, tag, GT_EFORMAT, "protocol 2 is wanted");
}

static void test_members_shown_as_down_are_asked_last(void **state)
{
    struct world *w = *state;
    start_without_map(w);
    struct ring *r = make_map(1, true);
    r->members[0].state = MEMBER_DOWN;
    give_map(w, MANAGER, r);
    get(w, "k");
    assert_true(connects(w, NODE(2)));
    assert_false(connects(w, NODE(1)));
}

static void test_a_broken_link_moves_a_put_on_at_once_with_its_operation_id(void **state)
{
    struct world *w = *state;
    start_linked(w);
    uint64_t tag = put(w, "k", "v");
    struct msg first = expect_send(w, NODE(1), MSG_PUT);
    assert_false(first.put.head.flags & REQUEST_RETRY);
    w->now_us += 30000;
    link_down(w, NODE(1));
    struct msg second = expect_send(w, NODE(2), MSG_PUT);
    assert_true(second.put.head.flags & REQUEST_RETRY);
    assert_int_equal(second.put.head.age_ms, 30);
    assert_memory_equal(second.put.head.op, first.put.head.op, OP_ID_BYTES);
    reply_put(w, NODE(2), second.id, 0, OUTCOME_DONE);
    expect_answered(w, tag, 0);
}

static void test_a_silent_owner_is_passed_after_500_ms_and_may_still_answer(void **state)
{
    struct world *w = *state;
    start_linked(w);
    uint64_t tag = put(w, "k", "v");
    struct msg first = expect_send(w, NODE(1), MSG_PUT);
    pass(w, 499000);
    expect_silence(w, MSG_PUT);
    pass(w, 1000);
    struct msg second = expect_send(w, NODE(2), MSG_PUT);
    assert_true(second.put.head.flags & REQUEST_RETRY);
    assert_int_not_equal(second.id, first.id);
    reply_put(w, NODE(1), first.id, 0, OUTCOME_DONE);
    expect_answered(w, tag, 0);
    reply_put(w, NODE(2), second.id, 0, OUTCOME_DONE);
    expect_open(w, tag);
    assert_int_equal(session_in_flight(w->session), 0);
}

/* An attempt's time is told on the clock of the node that gets it: no two need agree. */
static void test_an_attempt_is_valid_by_the_clock_of_its_coordinator(void **state)
{
    struct world *w = *state;
    start_linked(w);
    for (uint64_t node = NODE(1); node <= NODE(2); node++) {
        uint64_t tag = put(w, "k", "v");
        struct msg m = expect_send(w, node, MSG_PUT);
        assert_int_equal(m.put.valid_until_us, 0); /* nothing heard */
        struct msg reply = {.type = MSG_PUT_REPLY, .id = m.id};
        reply.put_reply.clock_us = node == NODE(1) ? 7000000 : 5000;
        reply.put_reply.head.error = node == NODE(1) ? GT_ECLOCK : 0;
        reply.put_reply.head.outcome = node == NODE(1) ? OUTCOME_NOT_APPLIED : OUTCOME_DONE;
        say(w, node, &reply);
        if (node == NODE(1)) {
            m = expect_send(w, NODE(2), MSG_PUT);
            reply_put(w, NODE(2), m.id, 0, OUTCOME_DONE);
            expect_answered(w, tag, 0);
            link_down(w, NODE(1));
        }
    }
    w->now_us += 20000;
    put(w, "other", "v");
    assert_int_equal(expect_send(w, NODE(2), MSG_PUT).put.valid_until_us, 525000);
    link_up(w, NODE(1)); /* a new link: what was heard on the one before counts no more */
    put(w, "third", "v");
    assert_int_equal(expect_send(w, NODE(1), MSG_PUT).put.valid_until_us, 0);
}

/* It took too long to be stored again above what outranks it: the next owner is asked. */
static void test_a_put_that_went_stale_in_doubt_goes_to_another_owner(void **state)
{
    struct world *w = *state;
    start_linked(w);
    uint64_t tag = put(w, "k", "v");
    struct msg m = expect_send(w, NODE(1), MSG_PUT);
    reply_put(w, NODE(1), m.id, GT_ESTALE, OUTCOME_IN_DOUBT);
    expect_open(w, tag);
    m = expect_send(w, NODE(2), MSG_PUT);
    assert_true(m.put.head.flags & REQUEST_RETRY);
    reply_put(w, NODE(2), m.id, GT_EQUORUM, OUTCOME_NOT_APPLIED);
    m = expect_send(w, NODE(3), MSG_PUT);
    reply_put(w, NODE(3), m.id, GT_EQUORUM, OUTCOME_NOT_APPLIED);
    pass(w, 5000000);
    expect_failed(w, tag, GT_EINDOUBT, "in doubt");
}

static void test_operation_ids_differ(void **state)
{
    struct world *w = *state;
    start_linked(w);
    put(w, "a", "v");
    put(w, "b", "v");
    struct msg a = expect_send(w, NODE(1), MSG_PUT);
    struct msg b = expect_send(w, NODE(1), MSG_PUT);
    assert_memory_not_equal(a.put.head.op, b.put.head.op, OP_ID_BYTES);
}

static void test_a_put_unanswered_at_its_deadline_is_in_doubt(void **state)
{
    struct world *w = *state;
    start_linked(w);
    uint64_t tag = put(w, "k", "v");
    expect_send(w, NODE(1), MSG_PUT);
    for (int i = 0; i < 10; i++) {
        expect_open(w, tag);
        pass(w, 500000);
    }
    expect_failed(w, tag, GT_EINDOUBT, "in doubt: the write may exist");
    assert_int_equal(session_in_flight(w->session), 0);
    assert_int_equal(session_deadline_us(w->session) > w->now_us, 1);
}

static void test_a_put_whose_link_broke_stays_in_doubt_whatever_the_next_owner_refuses(void **state)
{
    struct world *w = *state;
    start_linked(w);
    uint64_t tag = put(w, "k", "v");
    expect_send(w, NODE(1), MSG_PUT);
    link_down(w, NODE(1));
    struct msg second = expect_send(w, NODE(2), MSG_PUT);
    reply_put(w, NODE(2), second.id, GT_EQUORUM, OUTCOME_NOT_APPLIED);
    struct msg third = expect_send(w, NODE(3), MSG_PUT);
    reply_put(w, NODE(3), third.id, GT_EQUORUM, OUTCOME_NOT_APPLIED);
    expect_open(w, tag);
    pass(w, 5000000);
    expect_failed(w, tag, GT_EINDOUBT, "in doubt");
}

static void test_a_proved_refusal_of_every_owner_is_the_answer(void **state)
{
    struct world *w = *state;
    start_linked(w);
    uint64_t tag = put(w, "k", "v");
    for (uint64_t node = NODE(1); node <= NODE(3); node++) {
        expect_open(w, tag);
        struct msg m = expect_send(w, node, MSG_PUT);
        assert_false(m.put.head.flags & REQUEST_RETRY); /* each is the first that may be written */
        reply_put(w, node, m.id, GT_EQUORUM, OUTCOME_NOT_APPLIED);
    }
    expect_answered(w, tag, GT_EQUORUM);
}

/* The first may have been written: what the second says of itself says nothing of that. */
static void test_a_refused_retry_is_followed_by_a_retry(void **state)
{
    struct world *w = *state;
    start_linked(w);
    put(w, "k", "v");
    struct msg first = expect_send(w, NODE(1), MSG_PUT);
    pass(w, 500000);
    struct msg second = expect_send(w, NODE(2), MSG_PUT);
    reply_put(w, NODE(2), second.id, GT_EQUORUM, OUTCOME_NOT_APPLIED);
    struct msg third = expect_send(w, NODE(3), MSG_PUT);
    assert_true(third.put.head.flags & REQUEST_RETRY);
    /* Nor when the first is refused at last: owners have promised to count no first one. */
    reply_put(w, NODE(1), first.id, GT_EQUORUM, OUTCOME_NOT_APPLIED);
    reply_put(w, NODE(3), third.id, GT_EBUSY, OUTCOME_NOT_APPLIED);
    pass(w, 10000);
    third = expect_send(w, NODE(1), MSG_PUT);
    assert_true(third.put.head.flags & REQUEST_RETRY);
    assert_int_equal(third.put.head.age_ms, 510);
}

static void say_stamp(struct world *w, uint64_t peer, uint64_t stamp)
{
    struct msg m = {.type = MSG_PING_REPLY, .stamp = stamp};
    say(w, peer, &m);
}

/* What supersedes one of them is later than all, whichever coordinators wrote them. */
static void test_the_retries_of_a_put_have_one_stamp(void **state)
{
    struct world *w = *state;
    start_linked(w);
    say_stamp(w, NODE(2), 5000ull << 16 | 3);
    say_stamp(w, NODE(3), 9000ull << 16);
    w->now_us += 1000000;
    put(w, "k", "v");
    assert_int_equal(expect_send(w, NODE(1), MSG_PUT).put.first_stamp, 0);
    pass(w, 500000);
    /* The clock of the node when the first one was sent, by what was heard of it. */
    struct msg m = expect_send(w, NODE(2), MSG_PUT);
    assert_true(m.put.first_stamp == (6000ull << 16 | 3));
    pass(w, 500000);
    m = expect_send(w, NODE(3), MSG_PUT);
    assert_true(m.put.first_stamp == (6000ull << 16 | 3));
}

static void test_a_retry_that_was_refused_binds_no_stamp(void **state)
{
    struct world *w = *state;
    start_linked(w);
    say_stamp(w, NODE(2), 5000ull << 16);
    say_stamp(w, NODE(3), 9000ull << 16);
    put(w, "k", "v");
    expect_send(w, NODE(1), MSG_PUT);
    pass(w, 500000);
    struct msg m = expect_send(w, NODE(2), MSG_PUT);
    assert_true(m.put.first_stamp == 5000ull << 16);
    reply_put(w, NODE(2), m.id, GT_ECLOCK, OUTCOME_NOT_APPLIED);
    m = expect_send(w, NODE(3), MSG_PUT);
    assert_true(m.put.first_stamp == 9000ull << 16);
}

/* A coordinator whose own record is bad has done nothing, and the others may hold a good one. */
static void test_a_put_that_meets_a_bad_record_goes_to_another_owner(void **state)
{
    struct world *w = *state;
    start_linked(w);
    uint64_t tag = put(w, "k", "v");
    struct msg m = expect_send(w, NODE(1), MSG_PUT);
    reply_put(w, NODE(1), m.id, GT_EUNKNOWN, OUTCOME_NOT_APPLIED);
    expect_open(w, tag);
    m = expect_send(w, NODE(2), MSG_PUT);
    reply_put(w, NODE(2), m.id, 0, OUTCOME_DONE);
    expect_answered(w, tag, 0);
    expect_silence(w, MSG_PUT);
}

static void test_a_quorum_missed_in_doubt_is_final(void **state)
{
    struct world *w = *state;
    start_linked(w);
    uint64_t tag = put(w, "k", "v");
    struct msg m = expect_send(w, NODE(1), MSG_PUT);
    reply_put(w, NODE(1), m.id, GT_EQUORUM, OUTCOME_IN_DOUBT);
    expect_answered(w, tag, GT_EQUORUM);
    expect_silence(w, MSG_PUT);
}

static void test_a_busy_owner_is_asked_again_a_little_later(void **state)
{
    struct world *w = *state;
    start_linked(w);
    uint64_t tag = put(w, "k", "v");
    struct msg m = expect_send(w, NODE(1), MSG_PUT);
    reply_put(w, NODE(1), m.id, GT_EBUSY, OUTCOME_NOT_APPLIED);
    expect_open(w, tag);
    expect_silence(w, MSG_PUT);
    assert_in_range(session_deadline_us(w->session) - w->now_us, 1, 10000);
    pass(w, 10000);
    m = expect_send(w, NODE(1), MSG_PUT);
    reply_put(w, NODE(1), m.id, 0, OUTCOME_DONE);
    expect_answered(w, tag, 0);
}

static void test_nobody_reachable_names_the_owners(void **state)
{
    struct world *w = *state;
    start_linked(w);
    for (uint64_t node = NODE(1); node <= NODE(3); node++)
        link_down(w, node);
    uint64_t tag = put(w, "k", "v");
    expect_open(w, tag);
    pass(w, 5000000);
    expect_failed(w, tag, GT_EUNREACHABLE,
                  "no owner of the key is reachable (node1, node2, node3)");
}

static void test_a_link_that_comes_back_takes_what_waits(void **state)
{
    struct world *w = *state;
    start_linked(w);
    for (uint64_t node = NODE(1); node <= NODE(3); node++)
        link_down(w, node);
    uint64_t tag = put(w, "k", "v");
    link_up(w, NODE(2));
    struct msg m = expect_send(w, NODE(2), MSG_PUT);
    assert_false(m.put.head.flags & REQUEST_RETRY);
    reply_put(w, NODE(2), m.id, 0, OUTCOME_DONE);
    expect_answered(w, tag, 0);
}

static void test_without_any_manager_a_call_ends_unreachable(void **state)
{
    struct world *w = *state;
    feed(w, &(struct gt_event){.kind = GT_START});
    link_down(w, MANAGER);
    uint64_t tag = put(w, "k", "v");
    pass(w, 5000000);
    expect_failed(w, tag, GT_EUNREACHABLE, "127.0.0.1:5000");
}

static void test_without_descriptors_a_call_names_the_cause(void **state)
{
    struct world *w = *state;
    feed(w, &(struct gt_event){.kind = GT_START});
    feed(w, &(struct gt_event){.kind = GT_LINK_DOWN, .peer = MANAGER, .error = GT_EDESCRIPTORS});
    uint64_t tag = put(w, "k", "v");
    pass(w, 5000000);
    expect_failed(w, tag, GT_EDESCRIPTORS, "too many open files");
}

static void test_not_an_owner_fetches_the_map_and_follows_it(void **state)
{
    struct world *w = *state;
    start_linked(w);
    uint64_t tag = put(w, "k", "v");
    for (uint64_t node = NODE(1); node <= NODE(3); node++) {
        struct msg m = expect_send(w, node, MSG_PUT);
        reply_put(w, node, m.id, GT_ENOTOWNER, OUTCOME_NOT_APPLIED);
    }
    expect_open(w, tag);
    struct ring *r = make_map(2, true);
    for (uint32_t p = 0; p < 8; p++) {
        r->arcs[p].owner_count = 1;
        r->arcs[p].owners[0] = 2;
    }
    uint64_t asked = 0;
    struct msg ask;
    for (uint64_t node = NODE(1); node <= NODE(3) && !asked; node++)
        asked = take(w, node, MSG_MAP_GET, &ask) ? node : 0;
    if (!asked && take(w, MANAGER, MSG_MAP_GET, &ask))
        asked = MANAGER;
    assert_int_not_equal(asked, 0);
    struct msg m = {.type = MSG_MAP, .id = ask.id, .epoch = r->epoch};
    m.map.ring = r;
    say(w, asked, &m);
    ring_unref(r);
    struct msg moved = expect_send(w, NODE(3), MSG_PUT);
    assert_int_equal(moved.epoch.counter, 2);
    reply_put(w, NODE(3), moved.id, 0, OUTCOME_DONE);
    expect_answered(w, tag, 0);
}

static void test_a_newer_epoch_in_any_message_fetches_the_map(void **state)
{
    struct world *w = *state;
    start_linked(w);
    get(w, "k");
    struct msg m = expect_send(w, NODE(1), MSG_GET);
    struct msg reply = {.type = MSG_GET_REPLY, .id = m.id, .epoch = {1, 5}};
    reply.get_reply.head.error = GT_ENOTFOUND;
    say(w, NODE(1), &reply);
    give_map(w, NODE(1), make_map(5, true)); /* whoever showed it is asked */
    assert_int_equal(session_map(w->session)->epoch.counter, 5);
}

static void test_an_older_map_and_one_of_another_cluster_are_ignored(void **state)
{
    struct world *w = *state;
    start(w);
    struct msg m = {.type = MSG_MAP};
    m.map.ring = make_map(7, true);
    m.map.ring->cluster_id[0] = 1;
    say(w, MANAGER, &m);
    ring_unref(m.map.ring);
    assert_int_equal(session_map(w->session)->epoch.counter, 1);
    m.map.ring = make_map(0, true);
    say(w, MANAGER, &m);
    ring_unref(m.map.ring);
    assert_int_equal(session_map(w->session)->epoch.counter, 1);
}

static void test_a_plain_put_carries_what_the_one_before_has_seen(void **state)
{
    struct world *w = *state;
    start_linked(w);
    put(w, "k", "1");
    struct msg m = expect_send(w, NODE(1), MSG_PUT);
    assert_int_equal(m.put.context.bytes, 0);
    reply_put_seen(w, NODE(1), m.id, "k", 4);
    put(w, "k", "2");
    m = expect_send(w, NODE(1), MSG_PUT);
    assert_true(context_covers(m.put.context, "k", 4));
}

static void test_what_a_late_get_shows_is_added_to_what_is_remembered(void **state)
{
    struct world *w = *state;
    start_linked(w);
    get(w, "k");
    struct msg asked = expect_send(w, NODE(1), MSG_GET);
    uint64_t asked_id = asked.id;
    put(w, "k", "1");
    struct msg m = expect_send(w, NODE(1), MSG_PUT);
    reply_put_seen(w, NODE(1), m.id, "k", 4);
    struct blob *older = context_of("k", 2);
    struct msg reply = {.type = MSG_GET_REPLY, .id = asked_id};
    reply.get_reply.head.error = GT_ENOTFOUND;
    reply.get_reply.context = slice_blob(older);
    say(w, NODE(1), &reply);
    blob_unref(older);
    put(w, "k", "2");
    m = expect_send(w, NODE(1), MSG_PUT);
    assert_true(context_covers(m.put.context, "k", 4));
    assert_true(context_covers(m.put.context, "k", 2));
}

static void reply_get_seen(struct world *w, uint64_t peer, uint64_t id, const char *key,
                           uint64_t seq, uint32_t flags)
{
    struct blob *context = context_of(key, seq);
    struct msg m = {.type = MSG_GET_REPLY, .id = id};
    m.get_reply.head.flags = flags;
    m.get_reply.context = slice_blob(context);
    say(w, peer, &m);
    blob_unref(context);
}

/* A get asks for what the session wrote and was shown, at whichever owner. */
static void test_a_get_demands_what_the_session_has_seen(void **state)
{
    struct world *w = *state;
    start_linked(w);
    put(w, "k", "v");
    struct msg m = expect_send(w, NODE(1), MSG_PUT);
    reply_put_seen(w, NODE(1), m.id, "k", 5);
    get(w, "k");
    m = expect_send(w, NODE(1), MSG_GET);
    assert_true(m.get.head.flags & REQUEST_SESSION);
    assert_true(context_covers(m.get.min_context, "k", 5));
    link_down(w, NODE(1));
    m = expect_send(w, NODE(2), MSG_GET);
    assert_true(context_covers(m.get.min_context, "k", 5));
    reply_get_seen(w, NODE(2), m.id, "k", 6, 0);
    get(w, "k");
    m = expect_send(w, NODE(2), MSG_GET);
    assert_true(context_covers(m.get.min_context, "k", 5));
    assert_true(context_covers(m.get.min_context, "k", 6));
    get(w, "other");
    assert_int_equal(expect_send(w, NODE(2), MSG_GET).get.min_context.bytes, 0);
}

/* What later reads may not find is not demanded; a put replaces it all the same. */
static void test_what_is_unsettled_or_degraded_is_not_demanded(void **state)
{
    struct world *w = *state;
    start_linked(w);
    static const uint32_t flags[] = {REPLY_UNSETTLED, REPLY_DEGRADED};
    for (int i = 0; i < 2; i++) {
        const char *key = i ? "a" : "b";
        get(w, key);
        struct msg m = expect_send(w, NODE(1), MSG_GET);
        reply_get_seen(w, NODE(1), m.id, key, 4, flags[i]);
        get(w, key);
        assert_int_equal(expect_send(w, NODE(1), MSG_GET).get.min_context.bytes, 0);
        put(w, key, "v");
        assert_true(context_covers(expect_send(w, NODE(1), MSG_PUT).put.context, key, 4));
    }
}

static void test_what_the_application_demands_is_joined_with_that(void **state)
{
    struct world *w = *state;
    start_linked(w);
    put(w, "k", "v");
    struct msg m = expect_send(w, NODE(1), MSG_PUT);
    reply_put_seen(w, NODE(1), m.id, "k", 5);
    struct blob *given = context_of("k", 9);
    struct msg asked = {.type = MSG_GET};
    asked.get.key = slice_text("k");
    asked.get.min_context = slice_blob(given);
    call(w, &asked);
    m = expect_send(w, NODE(1), MSG_GET);
    assert_true(context_covers(m.get.min_context, "k", 5));
    assert_true(context_covers(m.get.min_context, "k", 9));
    /* Who takes what there is demands what he says, and nothing of himself. */
    asked.get.head.mode = MODE_AVAILABLE;
    call(w, &asked);
    m = expect_send(w, NODE(1), MSG_GET);
    assert_false(context_covers(m.get.min_context, "k", 5));
    assert_true(context_covers(m.get.min_context, "k", 9));
    blob_unref(given);
}

static void test_an_explicit_context_goes_as_it_is(void **state)
{
    struct world *w = *state;
    start_linked(w);
    put(w, "k", "1");
    struct msg m = expect_send(w, NODE(1), MSG_PUT);
    reply_put_seen(w, NODE(1), m.id, "k", 4);
    struct blob *own = context_of("k", 1);
    struct msg request = {.type = MSG_PUT};
    request.put.key = slice_text("k");
    request.put.context = slice_blob(own);
    call(w, &request);
    m = expect_send(w, NODE(1), MSG_PUT);
    assert_true(slice_equal(m.put.context, slice_blob(own)));
    assert_false(m.put.head.flags & REQUEST_PLAIN);
    blob_unref(own);
}

static void test_the_memory_of_contexts_is_bounded(void **state)
{
    struct world *w = *state;
    static const char *const keys[] = {"a", "b", "c", "d"};
    start_linked(w);
    for (int i = 0; i < KEYS + 1; i++) {
        put(w, keys[i], "1");
        struct msg m = expect_send(w, NODE(1), MSG_PUT);
        reply_put_seen(w, NODE(1), m.id, keys[i], 4);
    }
    put(w, "d", "2");
    struct msg m = expect_send(w, NODE(1), MSG_PUT);
    assert_true(context_covers(m.put.context, "d", 4));
    put(w, "a", "2"); /* the least recently used one left */
    m = expect_send(w, NODE(1), MSG_PUT);
    assert_int_equal(m.put.context.bytes, 0);
}

static void test_puts_of_one_key_go_one_after_the_other(void **state)
{
    struct world *w = *state;
    start_linked(w);
    uint64_t first = put(w, "k", "1"), second = put(w, "k", "2"), third = put(w, "k", "3");
    struct msg m = expect_send(w, NODE(1), MSG_PUT);
    assert_true(slice_equal(m.put.value, slice_text("1")));
    expect_silence(w, MSG_PUT);
    reply_put_seen(w, NODE(1), m.id, "k", 4);
    expect_answered(w, first, 0);
    m = expect_send(w, NODE(1), MSG_PUT);
    assert_true(slice_equal(m.put.value, slice_text("2")));
    assert_true(context_covers(m.put.context, "k", 4));
    expect_silence(w, MSG_PUT);
    reply_put_seen(w, NODE(1), m.id, "k", 5);
    expect_answered(w, second, 0);
    m = expect_send(w, NODE(1), MSG_PUT);
    assert_true(slice_equal(m.put.value, slice_text("3")));
    reply_put_seen(w, NODE(1), m.id, "k", 6);
    expect_answered(w, third, 0);
}

static void test_a_put_that_dies_in_line_does_not_break_the_line(void **state)
{
    struct world *w = *state;
    start_linked(w);
    struct msg request = {.type = MSG_PUT};
    request.put.key = slice_text("k");
    put(w, "k", "1");
    struct msg m = expect_send(w, NODE(1), MSG_PUT);
    uint64_t id = m.id;
    request.put.head.deadline_ms = 20;
    uint64_t impatient = call(w, &request);
    uint64_t third = put(w, "k", "3");
    pass(w, 20000);
    expect_failed(w, impatient, GT_ETIMEOUT, "not applied");
    reply_put(w, NODE(1), id, 0, OUTCOME_DONE);
    m = expect_send(w, NODE(1), MSG_PUT);
    assert_true(slice_equal(m.put.value, slice_text("3")));
    reply_put(w, NODE(1), m.id, 0, OUTCOME_DONE);
    expect_answered(w, third, 0);
}

static void test_a_full_window_says_busy(void **state)
{
    struct world *w = *state;
    start_linked(w);
    for (int i = 0; i < WINDOW; i++)
        expect_open(w, get(w, "k"));
    expect_failed(w, get(w, "k"), GT_EBUSY, "in flight");
    struct msg m = expect_send(w, NODE(1), MSG_GET);
    reply_get(w, NODE(1), m.id, GT_ENOTFOUND);
    expect_open(w, get(w, "k")); /* one ended, one may enter */
}

static void test_a_doubled_reply_and_one_of_another_peer_are_ignored(void **state)
{
    struct world *w = *state;
    start_linked(w);
    uint64_t first = get(w, "a");
    struct msg m = expect_send(w, NODE(1), MSG_GET);
    uint64_t id = m.id;
    reply_get(w, NODE(2), id, GT_ENOTFOUND);
    expect_open(w, first);
    reply_get(w, NODE(1), id, GT_ENOTFOUND);
    expect_answered(w, first, GT_ENOTFOUND);
    uint64_t second = get(w, "b"); /* in the slot that became free */
    reply_get(w, NODE(1), id, GT_ENOTFOUND);
    expect_open(w, second);
}

/* For a while: a manager that has just begun knows of no node yet. Then they say so. */
static void test_while_forming_calls_wait_and_say_so(void **state)
{
    struct world *w = *state;
    start_without_map(w);
    uint64_t early = put(w, "k", "v");
    give_map(w, MANAGER, make_map(9, false));
    expect_open(w, early);
    for (int i = 0; i < 4; i++) {
        pass(w, 500001); /* asks again */
        give_map(w, MANAGER, make_map(9, false));
    }
    expect_failed(w, early, GT_EFORMING, "forming: 3 of 3 nodes");
    uint64_t later = get(w, "k");
    pass(w, 500001);
    struct ring *formed =
        make_map(2, true); /* of a lower epoch, and of the cluster that there is */
    formed->cluster_id[0] ^= 1;
    give_map(w, MANAGER, formed);
    assert_true(connects(w, NODE(1)));
    expect_open(w, later);
}

/* Its map is older than ours: it will hear of it. */
static void test_a_node_that_has_not_heard_of_the_map_is_asked_again(void **state)
{
    struct world *w = *state;
    start_linked(w);
    uint64_t tag = get(w, "k");
    struct msg m = expect_send(w, NODE(1), MSG_GET);
    reply_get(w, NODE(1), m.id, GT_EFORMING);
    expect_open(w, tag);
    pass(w, 20000);
    m = expect_send(w, NODE(1), MSG_GET);
    reply_get(w, NODE(1), m.id, GT_ENOTFOUND);
    expect_answered(w, tag, GT_ENOTFOUND);
}

static void test_a_manager_whose_greeting_was_lost_is_greeted_again(void **state)
{
    struct world *w = *state;
    struct msg request = {.type = MSG_MAP_GET};
    feed(w, &(struct gt_event){.kind = GT_START});
    assert_true(connects(w, MANAGER));
    feed(w, &(struct gt_event){.kind = GT_LINK_UP, .peer = MANAGER});
    expect_send(w, MANAGER, MSG_HELLO); /* nobody hears it */
    uint64_t tag = call(w, &request);
    struct msg put = {.type = MSG_PUT, .put = {.key = slice_text("k"), .value = slice_text("v")}};
    uint64_t put_tag = call(w, &put);
    pass(w, SESSION_ATTEMPT_US + 1000);
    expect_send(w, MANAGER, MSG_HELLO);
    expect_open(w, tag);
    expect_open(w, put_tag);
}

static void test_a_map_call_is_answered_from_the_sessions_map(void **state)
{
    struct world *w = *state;
    struct msg request = {.type = MSG_MAP_GET}, m;
    struct gt_effect e;
    start_without_map(w);
    uint64_t tag = call(w, &request);
    expect_open(w, tag);
    give_map(w, MANAGER, make_map(3, true));
    assert_true(done(w, tag, &e));
    assert_int_equal(msg_decode(w->decoder, slice_blob(e.done.body), &m), 0);
    assert_int_equal(m.map.ring->epoch.counter, 3);
    ring_unref(m.map.ring);
    blob_unref(e.done.body);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(test_owners_are_connected_when_needed),
        STORY(test_the_hello_names_the_cluster_once_it_is_known),
        STORY(test_a_refused_hello_is_remembered),
        STORY(test_members_shown_as_down_are_asked_last),
        STORY(test_a_broken_link_moves_a_put_on_at_once_with_its_operation_id),
        STORY(test_a_silent_owner_is_passed_after_500_ms_and_may_still_answer),
        STORY(test_an_attempt_is_valid_by_the_clock_of_its_coordinator),
        STORY(test_a_put_that_went_stale_in_doubt_goes_to_another_owner),
        STORY(test_operation_ids_differ),
        STORY(test_a_put_unanswered_at_its_deadline_is_in_doubt),
        STORY(test_a_put_whose_link_broke_stays_in_doubt_whatever_the_next_owner_refuses),
        STORY(test_a_proved_refusal_of_every_owner_is_the_answer),
        STORY(test_a_refused_retry_is_followed_by_a_retry),
        STORY(test_the_retries_of_a_put_have_one_stamp),
        STORY(test_a_retry_that_was_refused_binds_no_stamp),
        STORY(test_a_put_that_meets_a_bad_record_goes_to_another_owner),
        STORY(test_a_quorum_missed_in_doubt_is_final),
        STORY(test_a_busy_owner_is_asked_again_a_little_later),
        STORY(test_nobody_reachable_names_the_owners),
        STORY(test_a_link_that_comes_back_takes_what_waits),
        STORY(test_without_any_manager_a_call_ends_unreachable),
        STORY(test_without_descriptors_a_call_names_the_cause),
        STORY(test_not_an_owner_fetches_the_map_and_follows_it),
        STORY(test_a_newer_epoch_in_any_message_fetches_the_map),
        STORY(test_an_older_map_and_one_of_another_cluster_are_ignored),
        STORY(test_a_plain_put_carries_what_the_one_before_has_seen),
        STORY(test_what_a_late_get_shows_is_added_to_what_is_remembered),
        STORY(test_a_get_demands_what_the_session_has_seen),
        STORY(test_what_is_unsettled_or_degraded_is_not_demanded),
        STORY(test_what_the_application_demands_is_joined_with_that),
        STORY(test_an_explicit_context_goes_as_it_is),
        STORY(test_the_memory_of_contexts_is_bounded),
        STORY(test_puts_of_one_key_go_one_after_the_other),
        STORY(test_a_put_that_dies_in_line_does_not_break_the_line),
        STORY(test_a_full_window_says_busy),
        STORY(test_a_doubled_reply_and_one_of_another_peer_are_ignored),
        STORY(test_while_forming_calls_wait_and_say_so),
        STORY(test_a_node_that_has_not_heard_of_the_map_is_asked_again),
        STORY(test_a_manager_whose_greeting_was_lost_is_greeted_again),
        STORY(test_a_map_call_is_answered_from_the_sessions_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
