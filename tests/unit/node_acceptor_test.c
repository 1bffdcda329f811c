/* A node as an acceptor of maps, driven event by event: what it promises, holds and refuses, and
 * that it says so only when it is durable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/base/error.h"
#include "net/frame.h"
#include "node/node_private.h"

#define ONE  1u /* the managers, as peers */
#define TWO  2u
#define BEAT 500000u

struct world {
    struct node *node;
    struct node_config config;
    struct gt_effects fx;
    uint64_t now_us;
    struct msg_decoder *decoder;
    struct blob *body;    /* of the last vote */
    struct msg vote;      /* type 0: none since the last forget */
    uint64_t beats[3];    /* ids of the last heartbeat or registration to each */
    uint32_t registered;  /* how many of the latter */
    struct blob *writing; /* the value on its way to META "ballot" */
    uint64_t writing_tag;
    struct blob *stored, *map_stored;
};

static void sent(struct world *w, const struct gt_effect *e)
{
    struct msg m;
    struct slice body =
        slice_of(e->frame->data + FRAME_HEADER_BYTES, e->frame->bytes - FRAME_HEADER_BYTES);
    assert_int_equal(msg_decode(w->decoder, body, &m), 0);
    w->registered += m.type == MSG_REGISTER;
    if (e->peer <= TWO && (m.type == MSG_HEARTBEAT || m.type == MSG_REGISTER))
        w->beats[e->peer] = m.id;
    if (m.type != MSG_VOTE)
        return;
    blob_unref(w->body);
    w->body = blob_copy(body.data, body.bytes);
    assert_int_equal(msg_decode(w->decoder, slice_blob(w->body), &w->vote), 0);
}

static void carry_out(struct world *w)
{
    for (uint32_t i = 0; i < w->fx.count; i++) {
        const struct gt_effect *e = &w->fx.items[i];
        if (e->kind == GT_SEND)
            sent(w, e);
        if (e->kind != GT_STORE || e->request.kind != STORE_META)
            continue;
        if (!slice_equal(e->request.key, slice_text("ballot")))
            continue;
        assert_null(w->writing); /* one at a time */
        w->writing = blob_copy(e->request.value.data, e->request.value.bytes);
        w->writing_tag = e->request.tag;
    }
    effects_clear(&w->fx);
}

static void feed(struct world *w, struct gt_event *ev)
{
    ev->now_us = w->now_us;
    ev->wall_us = 1700000000000000u + w->now_us;
    node_step(w->node, ev, &w->fx);
    carry_out(w);
}

static void say(struct world *w, uint64_t peer, const struct msg *m)
{
    struct gt_event ev = {.kind = GT_MESSAGE, .peer = peer, .message = {.msg = m}};
    feed(w, &ev);
}

static void write_ends(struct world *w, int result)
{
    assert_non_null(w->writing);
    struct store_result r = {.kind = STORE_META, .tag = w->writing_tag, .result = result};
    struct gt_event ev = {.kind = GT_STORED, .result = &r};
    if (result == 0) {
        blob_unref(w->stored);
        w->stored = w->writing;
    } else {
        blob_unref(w->writing);
    }
    w->writing = NULL;
    feed(w, &ev);
}

static void begin(struct world *w)
{
    w->config.ballot = w->stored;
    w->config.map = w->map_stored;
    assert_int_equal(node_new(&w->config, &w->node), 0);
    struct gt_event start = {.kind = GT_START};
    feed(w, &start);
    for (uint64_t peer = ONE; peer <= TWO; peer++) {
        struct gt_event up = {.kind = GT_LINK_UP, .peer = peer};
        feed(w, &up);
        struct msg hello = {.type = MSG_HELLO_REPLY};
        hello.hello.role = ROLE_MANAGER;
        say(w, peer, &hello);
    }
}

static void restart(struct world *w)
{
    node_free(w->node);
    blob_unref(w->writing);
    w->writing = NULL;
    begin(w);
}

/* A map of the cluster with this node, and another. */
static struct ring *map_of(uint64_t ballot, uint64_t counter)
{
    struct ring *r = ring_new(2, 0);
    r->epoch = (struct epoch){ballot, counter};
    memset(r->cluster_id, 9, CLUSTER_ID_BYTES);
    r->settings = (struct settings){.replicas = 1,
                                    .read_quorum = 1,
                                    .write_quorum = 1,
                                    .partitions = 4,
                                    .form_nodes = 2,
                                    .value_bytes_max = 1000};
    for (uint32_t i = 0; i < 2; i++) {
        struct member *m = &r->members[i];
        *m = (struct member){.id = 7 + i, .incarnation = 5, .capacity = 1, .state = MEMBER_UP};
        snprintf(m->label, sizeof(m->label), "node%u", i + 1);
        snprintf(m->address.host, sizeof(m->address.host), "h%u", i);
        m->address.port = 1;
    }
    return r;
}

static int world_new(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    effects_init(&w->fx);
    w->decoder = msg_decoder_new();
    w->now_us = 10 * BEAT;
    w->config = (struct node_config){.seed = 3,
                                     .identity = {.node_id = 7, .incarnation = 5},
                                     .manager_count = 2,
                                     .join_timeout_us = 1000 * BEAT,
                                     .label_stored = true};
    memset(w->config.identity.cluster_id, 9, CLUSTER_ID_BYTES);
    snprintf(w->config.self.label, sizeof(w->config.self.label), "node1");
    w->config.self.id = 7;
    for (int i = 0; i < 2; i++)
        w->config.managers[i] = (struct address){.host = "m", .port = (uint16_t)(1 + i)};
    struct ring *first = map_of(4, 20);
    w->map_stored = msg_map_bytes(first);
    ring_unref(first);
    begin(w);
    *state = w;
    return 0;
}

static int world_end(void **state)
{
    struct world *w = *state;
    node_free(w->node);
    blob_unref(w->writing);
    blob_unref(w->stored);
    blob_unref(w->map_stored);
    blob_unref(w->body);
    msg_decoder_free(w->decoder);
    effects_close(&w->fx);
    free(w);
    return 0;
}

/* Asks, and lets what is to be stored be stored. Returns the vote's error. */
static int propose(struct world *w, uint64_t peer, uint64_t ballot, uint64_t life, struct ring *map)
{
    struct msg m = {.type = MSG_PROPOSE};
    uint8_t voters[16];
    struct blob *bytes = map ? msg_map_bytes(map) : NULL;
    le64_put(voters, 7);
    le64_put(voters + 8, 8);
    m.propose.ballot = ballot;
    m.propose.life = life;
    if (map) {
        m.epoch = map->epoch;
        m.propose.map = slice_blob(bytes);
        m.propose.voters = slice_of(voters, sizeof(voters));
    }
    w->vote = (struct msg){0};
    say(w, peer, &m);
    blob_unref(bytes);
    ring_unref(map);
    if (w->writing)
        write_ends(w, 0);
    assert_int_equal(w->vote.type, MSG_VOTE);
    assert_int_equal(w->vote.vote.ballot, ballot);
    assert_int_equal(w->vote.vote.node, 7);
    return w->vote.vote.error;
}

/* ---- stories --------------------------------------------------------------------------------- */

static void a_promise_is_said_when_it_is_durable(void **state)
{
    struct world *w = *state;
    struct msg m = {.type = MSG_PROPOSE};
    m.propose.ballot = 6;
    m.propose.life = 1;
    say(w, ONE, &m);
    assert_non_null(w->writing);
    assert_int_equal(w->vote.type, 0);
    write_ends(w, GT_ENOSPACE); /* then it is not said, and not so */
    assert_int_equal(w->vote.type, 0);
    w->now_us += 2 * BEAT;
    assert_int_equal(propose(w, TWO, 5, 2, NULL), 0);
    assert_int_equal(w->vote.vote.promised, 5);
}

static void a_lower_ballot_is_refused_and_told_the_higher(void **state)
{
    struct world *w = *state;
    assert_int_equal(propose(w, ONE, 6, 1, NULL), 0);
    assert_int_equal(propose(w, TWO, 5, 2, NULL), GT_ESTALE);
    assert_int_equal(w->vote.vote.promised, 6);
    assert_int_equal(propose(w, TWO, 6, 2, NULL), GT_ESTALE); /* a ballot is one's alone */
    assert_int_equal(propose(w, ONE, 6, 1, NULL), 0);
    assert_int_equal(propose(w, TWO, 7, 2, NULL), 0);
    assert_int_equal(propose(w, ONE, 6, 1, map_of(6, 21)), GT_ESTALE);
    assert_int_equal(w->vote.vote.proposed_epoch.ballot, 0);
    restart(w);
    assert_int_equal(propose(w, ONE, 6, 1, NULL), GT_ESTALE); /* and for ever */
    assert_int_equal(w->vote.vote.promised, 7);
}

static void a_proposal_is_held_and_not_acted_on(void **state)
{
    struct world *w = *state;
    assert_int_equal(propose(w, ONE, 6, 1, map_of(6, 21)), 0);
    assert_int_equal(w->vote.vote.promised, 6); /* who holds has promised */
    assert_int_equal(w->vote.vote.proposed_epoch.counter, 21);
    assert_int_equal(w->vote.vote.map_epoch.counter, 20);
    assert_int_equal(node_ring(w->node)->epoch.counter, 20);
    restart(w);
    assert_int_equal(node_ring(w->node)->epoch.counter, 20);
    /* Who gathers is given it, with who has to hold it. */
    assert_int_equal(propose(w, TWO, 7, 2, NULL), 0);
    assert_true(w->vote.vote.proposed);
    assert_int_equal(w->vote.vote.voters.bytes, 16);
    struct ring *r = NULL;
    assert_int_equal(msg_map_read(w->vote.vote.map, &r), 0);
    assert_int_equal(r->epoch.counter, 21);
    ring_unref(r);
    /* A late copy of an older one does not take its place. */
    assert_int_equal(propose(w, TWO, 7, 2, map_of(7, 23)), 0);
    assert_int_equal(propose(w, TWO, 7, 2, map_of(7, 22)), 0);
    assert_int_equal(w->vote.vote.proposed_epoch.counter, 23);
}

static void the_map_in_force_is_given_to_who_knows_a_lower_one(void **state)
{
    struct world *w = *state;
    assert_int_equal(propose(w, ONE, 0, 1, NULL), 0);
    assert_null(w->stored); /* the question alone binds nobody */
    assert_int_equal(w->vote.vote.promised, 0);
    assert_false(w->vote.vote.proposed);
    assert_true(w->vote.vote.map.bytes > 0);
    struct msg m = {.type = MSG_PROPOSE, .epoch = {4, 20}};
    say(w, ONE, &m);
    assert_int_equal(w->vote.vote.map.bytes, 0);
}

static void a_map_of_another_cluster_or_ballot_is_not_held(void **state)
{
    struct world *w = *state;
    struct ring *other = map_of(6, 21);
    other->cluster_id[0] = 1;
    assert_int_equal(propose(w, ONE, 6, 1, other), GT_ECLUSTER);
    assert_int_equal(propose(w, ONE, 6, 1, map_of(5, 21)), GT_EPROTO);
    assert_int_equal(w->vote.vote.proposed_epoch.ballot, 0);
}

static void beside_a_manager_that_leads_nobody_is_promised_anything(void **state)
{
    struct world *w = *state;
    struct msg m = {.type = MSG_REGISTER_REPLY, .id = w->beats[ONE]};
    memset(m.register_reply.cluster_id, 9, CLUSTER_ID_BYTES);
    say(w, ONE, &m);
    assert_int_equal(propose(w, TWO, 0, 2, NULL), GT_EBUSY);
    assert_int_equal(propose(w, TWO, 8, 2, NULL), GT_EBUSY);
    assert_int_equal(w->vote.vote.promised, 0);
    assert_int_equal(propose(w, ONE, 0, 1, NULL), 0); /* it may ask itself, under a higher one */
    w->now_us += 3 * BEAT;                            /* it was silent for three heartbeats */
    assert_int_equal(propose(w, TWO, 8, 2, NULL), 0);
    say(w, ONE, &m); /* it is back, and says at once that it leads no more */
    struct msg beat = {.type = MSG_HEARTBEAT_REPLY, .id = w->beats[ONE]};
    beat.heartbeat_reply.error = GT_EBUSY;
    say(w, ONE, &beat);
    assert_int_equal(propose(w, TWO, 0, 2, NULL), 0);
}

static void who_proposes_a_map_is_registered_with_at_once(void **state)
{
    struct world *w = *state;
    uint32_t before = w->registered;
    propose(w, ONE, 6, 1, NULL);
    assert_int_equal(w->registered, before);
    propose(w, ONE, 6, 1, map_of(6, 21));
    assert_int_equal(w->registered, before + 1);
}

static void a_damaged_value_is_refused_at_birth(void **state)
{
    struct world *w = *state;
    struct node *n = NULL;
    uint8_t bytes[24] = {0};
    bytes[16] = 200; /* more voters than there are bytes */
    struct node_config c = w->config;
    struct blob *bad = blob_copy(bytes, sizeof(bytes));
    c.ballot = bad;
    c.map = NULL;
    assert_int_equal(node_new(&c, &n), GT_EFORMAT);
    blob_unref(bad);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, world_new, world_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_promise_is_said_when_it_is_durable),
        STORY(a_lower_ballot_is_refused_and_told_the_higher),
        STORY(a_proposal_is_held_and_not_acted_on),
        STORY(the_map_in_force_is_given_to_who_knows_a_lower_one),
        STORY(a_map_of_another_cluster_or_ballot_is_not_held),
        STORY(beside_a_manager_that_leads_nobody_is_promised_anything),
        STORY(who_proposes_a_map_is_registered_with_at_once),
        STORY(a_damaged_value_is_refused_at_birth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
