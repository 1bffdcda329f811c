/* The manager, driven event by event: no clock, no disk, no network but what the test plays. */
#include "manager/manager.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/base/error.h"
#include "manager/mover.h"
#include "net/frame.h"

#define MS            1000u
#define HEARTBEAT_US  (500 * MS)
#define FORM_AFTER_US (2000 * MS)
#define REPLIES_MAX   2048
#define LINKS         64

struct heard {
    uint64_t link;
    struct msg_decoder *decoder;
    struct blob *body;
    struct msg msg;
};

/* The node at the other end of a link, as an acceptor: promises, and holds what is proposed. */
struct acceptor {
    uint64_t node; /* 0: nobody has said hello */
    bool mute;     /* it does not answer */
    bool led;      /* it says that another manager leads */
    bool asked;
    uint64_t ballot, promised; /* as it was asked last; its highest */
    struct epoch in_force, holds;
    struct blob *map, *voters; /* of the highest of those; voters NULL: in force */
    struct epoch known;
    bool with_map;
};

struct world {
    struct acceptor acceptors[LINKS];
    struct manager *manager;
    struct manager_config config;
    struct gt_effects fx;
    uint64_t now_us, wall_base_us;
    /* The disk: one write waits until map_store, then it is what a restart finds. */
    struct blob *writing, *stored;
    uint64_t writing_tag, writing_stamp;
    uint32_t writes;
    uint32_t ready, closed;
    /* What was answered and pushed since the last forget. */
    struct heard heard[REPLIES_MAX];
    uint32_t heard_count;
};

static void forget(struct world *w)
{
    for (uint32_t i = 0; i < w->heard_count; i++) {
        if (w->heard[i].msg.type == MSG_MAP)
            ring_unref(w->heard[i].msg.map.ring);
        msg_decoder_free(w->heard[i].decoder);
        blob_unref(w->heard[i].body);
    }
    w->heard_count = 0;
}

static void hear(struct world *w, const struct gt_effect *e)
{
    assert_true(w->heard_count < REPLIES_MAX);
    struct heard *h = &w->heard[w->heard_count++];
    h->link = e->link;
    h->decoder = msg_decoder_new();
    h->body = blob_copy(e->frame->data + FRAME_HEADER_BYTES, e->frame->bytes - FRAME_HEADER_BYTES);
    assert_true(h->decoder && h->body);
    assert_int_equal(msg_decode(h->decoder, slice_blob(h->body), &h->msg), 0);
}

static void proposed(struct world *w, uint64_t link, const struct msg *m)
{
    struct acceptor *a = &w->acceptors[link];
    assert_true(link < LINKS);
    assert_int_equal(m->propose.error, 0);
    a->asked = true;
    a->ballot = m->propose.ballot;
    a->known = m->epoch;
    a->with_map = m->propose.map.bytes > 0;
    if (a->mute || a->ballot < a->promised)
        return;
    a->promised = a->ballot ? a->ballot : a->promised;
    if (!a->with_map)
        return;
    a->holds = m->epoch;
    blob_unref(a->map);
    blob_unref(a->voters);
    a->map = blob_copy(m->propose.map.data, m->propose.map.bytes);
    a->voters = blob_copy(m->propose.voters.data, m->propose.voters.bytes);
}

static void acceptors_clear(struct world *w)
{
    for (uint64_t link = 1; link < LINKS; link++) {
        struct acceptor *a = &w->acceptors[link];
        blob_unref(a->map);
        blob_unref(a->voters);
        *a = (struct acceptor){.promised = a->promised};
    }
}

static void carry_out(struct world *w)
{
    for (uint32_t i = 0; i < w->fx.count; i++) {
        const struct gt_effect *e = &w->fx.items[i];
        if (e->kind == GT_REPLY) {
            hear(w, e);
            if (w->heard[w->heard_count - 1].msg.type == MSG_PROPOSE)
                proposed(w, e->link, &w->heard[w->heard_count - 1].msg);
        } else if (e->kind == GT_STORE && slice_equal(e->request.key, slice_text("map"))) {
            assert_null(w->writing); /* never two map writes in flight */
            w->writing = blob_copy(e->request.value.data, e->request.value.bytes);
            w->writing_tag = e->request.tag;
            w->writing_stamp = e->request.stamp;
            w->writes++;
        } else if (e->kind == GT_READY) {
            w->ready++;
        } else if (e->kind == GT_CLOSE) {
            w->closed++;
        } else {
            assert_int_equal(e->kind, GT_STORE); /* the port */
        }
    }
    effects_clear(&w->fx);
}

static void vote(struct world *w, uint64_t link)
{
    struct acceptor *a = &w->acceptors[link];
    struct msg m = {.type = MSG_VOTE, .id = 8};
    m.vote.node = a->node;
    m.vote.ballot = a->ballot;
    m.vote.promised = a->promised;
    m.vote.map_epoch = a->in_force;
    m.vote.proposed_epoch = a->holds;
    m.vote.error = a->ballot && a->ballot < a->promised ? GT_ESTALE
                   : a->led && !a->with_map             ? GT_EBUSY
                                                        : 0;
    struct epoch has = a->voters ? a->holds : a->in_force;
    if (a->map && !a->with_map && epoch_compare(has, a->known) > 0) {
        m.vote.map = slice_blob(a->map);
        m.vote.proposed = a->voters != NULL;
        if (a->voters)
            m.vote.voters = slice_blob(a->voters);
    }
    struct gt_event ev = {.kind = GT_MESSAGE,
                          .link = link,
                          .now_us = w->now_us,
                          .wall_us = w->wall_base_us + w->now_us};
    ev.message.msg = &m;
    a->asked = false;
    manager_step(w->manager, &ev, &w->fx);
    carry_out(w);
}

static void votes_give(struct world *w)
{
    for (uint64_t link = 1; link < LINKS; link++)
        if (w->acceptors[link].asked && !w->acceptors[link].mute) {
            vote(w, link);
            link = 0; /* it may have been asked again */
        }
}

static void feed(struct world *w, struct gt_event *ev)
{
    ev->now_us = w->now_us;
    ev->wall_us = w->wall_base_us + w->now_us;
    manager_step(w->manager, ev, &w->fx);
    carry_out(w);
    votes_give(w);
}

static void map_write_ends(struct world *w, int result)
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

static void map_store(struct world *w)
{
    map_write_ends(w, 0);
}

static void map_store_all(struct world *w)
{
    while (w->writing)
        map_store(w);
}

/* Lets time pass, with a TIMEOUT wherever the manager asked for one. */
static void wait_us(struct world *w, uint64_t us)
{
    uint64_t end_us = w->now_us + us;
    for (;;) {
        uint64_t deadline_us = manager_deadline_us(w->manager);
        if (deadline_us > end_us)
            break;
        w->now_us = deadline_us > w->now_us ? deadline_us : w->now_us;
        struct gt_event ev = {.kind = GT_TIMEOUT};
        uint32_t writes = w->writes;
        feed(w, &ev);
        if (writes == w->writes && manager_deadline_us(w->manager) <= w->now_us)
            fail_msg("the manager asks for the same timeout again and again");
    }
    w->now_us = end_us;
}

static void say(struct world *w, uint64_t link, struct msg *m)
{
    struct gt_event ev = {.kind = GT_MESSAGE, .link = link};
    ev.message.msg = m;
    if (m->type == MSG_HELLO && m->hello.role == ROLE_NODE && link < LINKS)
        w->acceptors[link].node = m->hello.node;
    feed(w, &ev);
}

/* Node i speaks on link i; its id is 100 + i. */
static void greet(struct world *w, uint64_t node, uint64_t incarnation)
{
    struct msg m = {.type = MSG_HELLO,
                    .id = 1,
                    .hello = {.role = ROLE_NODE,
                              .protocol_min = 1,
                              .protocol_max = 1,
                              .node = 100 + node,
                              .incarnation = incarnation,
                              .previous_incarnation = incarnation - 1}};
    say(w, node, &m);
}

static void enlist(struct world *w, uint64_t node, const char *label, uint64_t incarnation,
                   uint16_t port)
{
    struct msg m = {.type = MSG_REGISTER, .id = 2};
    struct member *self = &m.member.member;
    self->id = 100 + node;
    self->incarnation = incarnation;
    m.member.previous_incarnation = incarnation - 1;
    snprintf(self->label, sizeof(self->label), "%s", label);
    snprintf(self->address.host, sizeof(self->address.host), "127.0.0.1");
    self->address.port = port;
    self->capacity = 1;
    say(w, node, &m);
}

static void join(struct world *w, uint64_t node)
{
    greet(w, node, 7);
    enlist(w, node, "", 7, (uint16_t)(6000 + node));
}

static void beat(struct world *w, uint64_t node)
{
    struct msg m = {.type = MSG_HEARTBEAT, .id = 3};
    m.heartbeat.node = 100 + node;
    m.heartbeat.incarnation = 7;
    m.heartbeat.report.keys = 10 * node;
    m.heartbeat.report.damage = (struct engine_damage){.kinds = node == 3, .first_lsn = 5};
    say(w, node, &m);
}

static void beats_for(struct world *w, uint64_t first, uint64_t last, uint64_t us)
{
    for (uint64_t passed = 0; passed < us; passed += HEARTBEAT_US) {
        wait_us(w, HEARTBEAT_US);
        for (uint64_t node = first; node <= last; node++)
            beat(w, node);
        map_store_all(w);
    }
}

static const struct msg *last_heard(const struct world *w, uint64_t link, enum msg_type type)
{
    for (uint32_t i = w->heard_count; i > 0; i--)
        if (w->heard[i - 1].link == link && w->heard[i - 1].msg.type == type)
            return &w->heard[i - 1].msg;
    return NULL;
}

static enum member_state state_told(const struct world *w, uint64_t node)
{
    const struct ring *told = manager_ring(w->manager);
    int i = ring_member_by_id(told, 100 + node);
    assert_true(i >= 0);
    return told->members[i].state;
}

static uint32_t tokens_told(const struct world *w, uint64_t node)
{
    const struct ring *told = manager_ring(w->manager);
    return ring_tokens_of(told, (uint32_t)ring_member_by_id(told, 100 + node));
}

static void begin(struct world *w)
{
    char why[MSG_TEXT_BYTES];
    w->config.map = w->stored;
    assert_int_equal(manager_new(&w->config, &w->manager, why), 0);
    struct gt_event ev = {.kind = GT_START};
    feed(w, &ev);
}

/* The process ends and starts again, and hears of nobody. */
static void restart_alone(struct world *w)
{
    manager_free(w->manager);
    blob_unref(w->writing);
    w->writing = NULL;
    forget(w);
    acceptors_clear(w);
    begin(w);
}

/* The same, and the members of the map that it has connect to it. */
static void restart(struct world *w)
{
    restart_alone(w);
    const struct ring *copy = manager_ring(w->manager);
    struct ring *held = copy ? ring_ref((struct ring *)copy) : NULL;
    for (uint32_t i = 0; held && i < held->member_count; i++)
        greet(w, held->members[i].id - 100, held->members[i].incarnation);
    ring_unref(held);
}

static int world_new(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    effects_init(&w->fx);
    w->now_us = 1000 * MS;
    w->wall_base_us = 1700000000000000u;
    w->config = (struct manager_config){.seed = 5,
                                        .identity = {.node_id = 1, .incarnation = 2},
                                        .settings = {.replicas = 3,
                                                     .read_quorum = 2,
                                                     .write_quorum = 2,
                                                     .partitions = 64,
                                                     .form_nodes = 3,
                                                     .value_bytes_max = VALUE_BYTES_DEFAULT},
                                        .form_after_us = FORM_AFTER_US,
                                        .heartbeat_us = HEARTBEAT_US};
    memset(w->config.identity.cluster_id, 9, CLUSTER_ID_BYTES);
    begin(w);
    map_store(w);
    forget(w);
    *state = w;
    return 0;
}

static int world_end(void **state)
{
    struct world *w = *state;
    forget(w);
    acceptors_clear(w);
    manager_free(w->manager);
    blob_unref(w->writing);
    blob_unref(w->stored);
    effects_close(&w->fx);
    free(w);
    return 0;
}

/* Three members, formed, all heard just now. */
static void cluster_form(struct world *w)
{
    for (uint64_t node = 1; node <= 3; node++) {
        join(w, node);
        map_store_all(w);
    }
    beats_for(w, 1, 3, FORM_AFTER_US + HEARTBEAT_US);
    assert_true(manager_ring(w->manager)->formed);
    forget(w);
}

/* ---- forming --------------------------------------------------------------------------------- */

static void it_is_ready_at_once(void **state)
{
    struct world *w = *state;
    assert_int_equal(w->ready, 1);
}

static void a_cluster_waits_for_its_nodes(void **state)
{
    struct world *w = *state;
    join(w, 1);
    map_store_all(w);
    join(w, 2);
    map_store_all(w);
    beats_for(w, 1, 2, 10 * FORM_AFTER_US);
    assert_false(manager_ring(w->manager)->formed);
    assert_int_equal(manager_ring(w->manager)->member_count, 2);
}

static void each_one_who_joins_prolongs_the_pause(void **state)
{
    struct world *w = *state;
    for (uint64_t node = 1; node <= 4; node++) {
        join(w, node);
        map_store_all(w);
        if (node >= 3) {
            beats_for(w, 1, node, FORM_AFTER_US - HEARTBEAT_US);
            assert_false(manager_ring(w->manager)->formed);
        }
    }
    beats_for(w, 1, 4, HEARTBEAT_US);
    assert_true(manager_ring(w->manager)->formed);
    for (uint64_t node = 1; node <= 4; node++)
        assert_int_equal(tokens_told(w, node), 48);
}

static void labels_are_given_to_those_who_bring_none(void **state)
{
    struct world *w = *state;
    greet(w, 1, 7);
    enlist(w, 1, "node2", 7, 6001);
    map_store_all(w);
    join(w, 2);
    map_store_all(w);
    join(w, 3);
    map_store_all(w);
    const struct ring *told = manager_ring(w->manager);
    assert_string_equal(told->members[1].label, "node1");
    assert_string_equal(told->members[2].label, "node3");
    assert_true(slice_equal(last_heard(w, 3, MSG_REGISTER_REPLY)->register_reply.label,
                            slice_text("node3")));
}

static void the_managers_own_label_is_refused(void **state)
{
    struct world *w = *state;
    greet(w, 1, 7);
    enlist(w, 1, "manager", 7, 6001);
    const struct msg *reply = last_heard(w, 1, MSG_REGISTER_REPLY);
    assert_non_null(reply);
    assert_int_equal(reply->register_reply.error, GT_ELABEL);
    assert_true(
        slice_equal(reply->register_reply.text, slice_text("the label manager is the manager's")));
    assert_int_equal(manager_ring(w->manager)->member_count, 0);
}

static void a_label_in_use_is_refused(void **state)
{
    struct world *w = *state;
    join(w, 1);
    map_store_all(w);
    greet(w, 2, 7);
    enlist(w, 2, "node1", 7, 6002);
    const struct msg *reply = last_heard(w, 2, MSG_REGISTER_REPLY);
    assert_non_null(reply);
    assert_int_equal(reply->register_reply.error, GT_ELABEL);
    const char way[] = "; if its folder was lost, start with --replace node1";
    struct slice text = reply->register_reply.text;
    assert_memory_equal(text.data, "label node1 in use by", 21);
    assert_memory_equal(text.data + text.bytes - strlen(way), way, strlen(way));
    assert_int_equal(manager_ring(w->manager)->member_count, 1);
}

static void a_late_node_is_joining_without_tokens(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    join(w, 4);
    map_store_all(w);
    assert_int_equal(state_told(w, 4), MEMBER_JOINING);
    assert_int_equal(tokens_told(w, 4), 0);
    /* Down and back, it is joining again, not up. */
    beats_for(w, 1, 3, 4 * HEARTBEAT_US);
    assert_int_equal(state_told(w, 4), MEMBER_DOWN);
    beats_for(w, 1, 4, HEARTBEAT_US);
    assert_int_equal(state_told(w, 4), MEMBER_JOINING);
}

/* ---- away for too long ----------------------------------------------------------------------- */

#define REAP_WAIT_US (20 * HEARTBEAT_US)

static const struct member *member_told(const struct world *w, uint64_t node)
{
    const struct ring *r = manager_ring(w->manager);
    int i = ring_member_by_id(r, 100 + node);
    assert_true(i >= 0);
    return &r->members[i];
}

/* The mark is a life that the folder of the member cannot know of; it goes when the member comes
 * with one above, which it draws when it is told. */
static void who_is_away_for_too_long_is_marked_to_refill(void **state)
{
    struct world *w = *state;
    w->config.reap_wait_us = REAP_WAIT_US;
    restart(w);
    cluster_form(w);
    uint64_t life = member_told(w, 3)->incarnation;
    beats_for(w, 1, 2, REAP_WAIT_US - 2 * HEARTBEAT_US);
    assert_int_equal(state_told(w, 3), MEMBER_DOWN);
    assert_false(member_told(w, 3)->refill);
    beats_for(w, 1, 2, 4 * HEARTBEAT_US);
    assert_true(member_told(w, 3)->refill);
    assert_int_equal(member_told(w, 3)->incarnation, life + 1);
    /* A manager that starts again reads it, and counts anew for others. */
    restart(w);
    map_store_all(w);
    assert_true(member_told(w, 3)->refill);
    greet(w, 3, life);
    const struct msg *told = last_heard(w, 3, MSG_HELLO_REPLY);
    assert_int_equal(told->hello.error, GT_EINCARNATION);
    assert_int_equal(told->hello.seen_incarnation, life + 1);
    greet(w, 3, life + 2);
    enlist(w, 3, "", life + 2, 6003);
    map_store_all(w);
    assert_int_equal(state_told(w, 3), MEMBER_UP);
    assert_false(member_told(w, 3)->refill);
    assert_int_equal(member_told(w, 3)->incarnation, life + 2);
}

/* Of every arc n-w+1 owners stay unmarked: here two of three, so that one alone may be marked; and
 * with two of three away nobody is. */
static void nobody_is_marked_whom_the_others_need(void **state)
{
    struct world *w = *state;
    w->config.reap_wait_us = REAP_WAIT_US;
    restart(w);
    cluster_form(w);
    beats_for(w, 1, 1, 2 * REAP_WAIT_US);
    assert_false(member_told(w, 2)->refill || member_told(w, 3)->refill);
    beats_for(w, 1, 2, 2 * REAP_WAIT_US);
    assert_true(member_told(w, 3)->refill);
    assert_false(member_told(w, 2)->refill);
    beats_for(w, 1, 1, 2 * REAP_WAIT_US);
    assert_false(member_told(w, 2)->refill);
}

static void without_a_limit_nobody_is_marked(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    beats_for(w, 1, 2, 5 * REAP_WAIT_US);
    assert_int_equal(state_told(w, 3), MEMBER_DOWN);
    assert_false(member_told(w, 3)->refill);
}

/* ---- durable before told --------------------------------------------------------------------- */

static void nothing_is_told_before_it_is_durable(void **state)
{
    struct world *w = *state;
    join(w, 1);
    assert_non_null(w->writing);
    assert_null(last_heard(w, 1, MSG_REGISTER_REPLY));
    assert_null(last_heard(w, 1, MSG_MAP));
    struct msg ask = {.type = MSG_MAP_GET, .id = 9};
    say(w, 1, &ask);
    assert_int_equal(last_heard(w, 1, MSG_MAP)->map.ring->member_count, 0);
    forget(w);
    map_store(w);
    assert_int_equal(last_heard(w, 1, MSG_REGISTER_REPLY)->register_reply.error, 0);
    assert_int_equal(last_heard(w, 1, MSG_MAP)->map.ring->member_count, 1);
    assert_int_equal(last_heard(w, 1, MSG_MAP)->id, 0);
}

static void what_changes_during_a_write_goes_into_the_next(void **state)
{
    struct world *w = *state;
    join(w, 1);
    uint32_t writes = w->writes;
    join(w, 2); /* carry_out asserts that no second write begins */
    join(w, 3);
    map_store(w);
    assert_null(last_heard(w, 2, MSG_REGISTER_REPLY));
    assert_non_null(w->writing);
    map_store(w);
    assert_non_null(last_heard(w, 2, MSG_REGISTER_REPLY));
    assert_non_null(last_heard(w, 3, MSG_REGISTER_REPLY));
    assert_int_equal(w->writes, writes + 1); /* both in one */
    assert_null(w->writing);
}

static void a_doubled_registration_waits_for_the_same_write(void **state)
{
    struct world *w = *state;
    join(w, 1);
    enlist(w, 1, "", 7, 6001);
    assert_null(last_heard(w, 1, MSG_REGISTER_REPLY));
    map_store(w);
    assert_int_equal(last_heard(w, 1, MSG_REGISTER_REPLY)->register_reply.error, 0);
    assert_null(w->writing);
}

static void each_map_has_a_new_epoch(void **state)
{
    struct world *w = *state;
    struct epoch before = manager_ring(w->manager)->epoch;
    for (uint64_t node = 1; node <= 3; node++) {
        join(w, node);
        map_store(w);
        struct epoch after = manager_ring(w->manager)->epoch;
        assert_int_equal(after.ballot, before.ballot);
        assert_int_equal(after.counter, before.counter + 1);
        before = after;
    }
}

static void a_failed_write_is_tried_again_and_tells_nothing(void **state)
{
    struct world *w = *state;
    join(w, 1);
    map_write_ends(w, GT_ENOSPACE);
    assert_null(last_heard(w, 1, MSG_REGISTER_REPLY));
    assert_null(w->writing);
    wait_us(w, 1000 * MS);
    assert_non_null(w->writing);
    map_store(w);
    assert_int_equal(last_heard(w, 1, MSG_REGISTER_REPLY)->register_reply.error, 0);
}

static void registering_again_unchanged_makes_no_new_map(void **state)
{
    struct world *w = *state;
    join(w, 1);
    map_store_all(w);
    forget(w);
    enlist(w, 1, "", 7, 6001);
    assert_null(w->writing);
    assert_int_equal(last_heard(w, 1, MSG_REGISTER_REPLY)->register_reply.error, 0);
    assert_non_null(last_heard(w, 1, MSG_MAP));
}

static void registering_again_elsewhere_changes_the_address(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    uint32_t tokens = tokens_told(w, 2);
    greet(w, 2, 8);
    enlist(w, 2, "node2", 8, 7002);
    map_store_all(w);
    const struct ring *told = manager_ring(w->manager);
    assert_int_equal(told->members[1].address.port, 7002);
    assert_int_equal(told->members[1].incarnation, 8);
    assert_int_equal(tokens_told(w, 2), tokens);
    assert_non_null(last_heard(w, 1, MSG_MAP)); /* the others learn of it */
}

/* ---- down and up ----------------------------------------------------------------------------- */

static void three_missed_heartbeats_are_down(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    beats_for(w, 1, 2, 2 * HEARTBEAT_US);
    assert_int_equal(state_told(w, 3), MEMBER_UP);
    beats_for(w, 1, 2, HEARTBEAT_US);
    assert_int_equal(state_told(w, 3), MEMBER_DOWN);
    assert_int_equal(last_heard(w, 1, MSG_MAP)->map.ring->members[2].state, MEMBER_DOWN);
}

static void who_is_heard_again_is_up_with_all_its_tokens(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    uint32_t tokens = tokens_told(w, 3);
    beats_for(w, 1, 2, 4 * HEARTBEAT_US);
    assert_int_equal(tokens_told(w, 3), tokens);
    beats_for(w, 1, 3, HEARTBEAT_US);
    assert_int_equal(state_told(w, 3), MEMBER_UP);
    assert_int_equal(tokens_told(w, 3), tokens);
}

/* ---- places -------------------------------------------------------------------------------- */

static int replace(struct world *w, uint64_t node, const char *label)
{
    struct msg m = {.type = MSG_REGISTER, .id = 4};
    struct member *self = &m.member.member;
    self->id = 100 + node;
    self->incarnation = 7;
    snprintf(self->label, sizeof(self->label), "%s", label);
    snprintf(self->address.host, sizeof(self->address.host), "127.0.0.1");
    self->address.port = 6009;
    self->capacity = 1;
    m.member.replaces = slice_text(label);
    greet(w, node, 7);
    say(w, node, &m);
    map_store_all(w);
    return last_heard(w, node, MSG_REGISTER_REPLY)->register_reply.error;
}

static void the_place_of_a_member_is_given_away_only_while_it_is_down(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    uint32_t tokens = tokens_told(w, 3);
    assert_int_equal(replace(w, 4, "node3"), GT_ELABEL);
    assert_int_equal(replace(w, 4, "node9"), GT_ELABEL); /* nobody is called so */
    beats_for(w, 1, 2, 4 * HEARTBEAT_US);
    assert_int_equal(state_told(w, 3), MEMBER_DOWN);
    assert_int_equal(replace(w, 4, "node3"), 0);
    const struct ring *told = manager_ring(w->manager);
    assert_int_equal(told->member_count, 4);
    assert_int_equal(ring_member_by_id(told, 104), 2); /* its index, its label, its tokens */
    assert_string_equal(told->members[2].label, "node3");
    assert_int_equal(state_told(w, 4), MEMBER_UP);
    assert_int_equal(tokens_told(w, 4), tokens);
    assert_int_equal(state_told(w, 3), MEMBER_REMOVED);
    assert_int_equal(tokens_told(w, 3), 0);
    assert_string_equal(told->members[3].label, "node3-replaced-1");
    assert_int_equal(ring_check(told), 0);
    /* Who comes back finds its place taken; who took it registers as everybody does. */
    enlist(w, 3, "node3", 8, 6003);
    assert_int_equal(last_heard(w, 3, MSG_REGISTER_REPLY)->register_reply.error, GT_ELABEL);
    assert_int_equal(replace(w, 4, "node3"), 0);
    assert_int_equal(manager_ring(w->manager)->member_count, 4);
    beats_for(w, 1, 2, 4 * HEARTBEAT_US);
    assert_int_equal(replace(w, 5, "node3"), 0); /* and so on */
    assert_string_equal(manager_ring(w->manager)->members[4].label, "node3-replaced-2");
}

static void who_does_not_know_of_a_life_that_was_seen_was_rolled_back(void **state)
{
    struct world *w = *state;
    join(w, 1); /* of the life 7 */
    map_store_all(w);
    struct msg m = {.type = MSG_HELLO,
                    .id = 1,
                    .hello = {.role = ROLE_NODE,
                              .protocol_min = 1,
                              .protocol_max = 1,
                              .node = 101,
                              .incarnation = 9,
                              .previous_incarnation = 6}};
    say(w, 1, &m);
    assert_int_equal(last_heard(w, 1, MSG_HELLO_REPLY)->hello.error, GT_EINCARNATION);
    assert_int_equal(last_heard(w, 1, MSG_HELLO_REPLY)->hello.seen_incarnation, 7);
    m.hello.previous_incarnation = 7; /* now it does */
    say(w, 1, &m);
    assert_int_equal(last_heard(w, 1, MSG_HELLO_REPLY)->hello.error, 0);
}

static int hello_again(struct world *w, uint64_t link, uint64_t node, uint64_t incarnation)
{
    struct msg m = {.type = MSG_HELLO,
                    .id = 1,
                    .hello = {.role = ROLE_NODE,
                              .protocol_min = 1,
                              .protocol_max = 1,
                              .node = 100 + node,
                              .incarnation = incarnation,
                              .previous_incarnation = incarnation - 1}};
    say(w, link, &m);
    return last_heard(w, link, MSG_HELLO_REPLY)->hello.error;
}

static void a_copy_beside_the_original_ends_and_a_restart_does_not(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    assert_int_equal(hello_again(w, 9, 3, 8), GT_EBUSY);
    beats_for(w, 1, 3, HEARTBEAT_US);
    assert_int_equal(hello_again(w, 9, 3, 8), GT_ELOCKED); /* the one who is linked was heard */
    assert_int_equal(hello_again(w, 9, 3, 9), GT_EBUSY);   /* another one */
    beats_for(w, 1, 2, 3 * HEARTBEAT_US);
    assert_int_equal(hello_again(w, 9, 3, 9), 0); /* the other one is silent */
    /* With a link that broke there is nobody to wait for; nor on the same link. */
    struct gt_event down = {.kind = GT_LINK_DOWN, .link = 2, .error = GT_ECLOSED};
    feed(w, &down);
    assert_int_equal(hello_again(w, 10, 2, 8), 0);
    assert_int_equal(hello_again(w, 1, 1, 8), 0);
}

static void who_catches_up_has_no_vote_in_the_verdict(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    struct msg m = {.type = MSG_HEARTBEAT, .id = 3};
    m.heartbeat.node = 102;
    m.heartbeat.incarnation = 7;
    m.heartbeat.report.filling = 1;
    say(w, 2, &m);
    struct msg ask = {.type = MSG_STATUS, .id = 9};
    say(w, 1, &ask);
    const struct status *s = last_heard(w, 1, MSG_STATUS_REPLY)->status_reply.status;
    assert_int_equal(s->nodes[1].member.state, MEMBER_CATCHING_UP);
    assert_int_equal(s->verdict, VERDICT_AT_RISK);
    assert_int_equal(state_told(w, 2), MEMBER_UP); /* the map does not say so */
}

static void a_heartbeat_of_a_stranger_asks_it_to_register(void **state)
{
    struct world *w = *state;
    greet(w, 1, 7);
    beat(w, 1);
    assert_int_equal(last_heard(w, 1, MSG_HEARTBEAT_REPLY)->heartbeat_reply.error, GT_ENOTFOUND);
}

static void status_shows_what_heartbeats_say(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    wait_us(w, 100 * MS);
    struct msg ask = {.type = MSG_STATUS, .id = 9};
    say(w, 1, &ask);
    const struct status *s = last_heard(w, 1, MSG_STATUS_REPLY)->status_reply.status;
    assert_int_equal(s->verdict, VERDICT_HEALTHY);
    assert_int_equal(s->partitions_full, 64);
    assert_int_equal(s->node_count, 3);
    assert_int_equal(s->nodes[1].report.keys, 20);
    assert_int_equal(s->nodes[1].report.damage.kinds, 0);
    assert_int_equal(s->nodes[2].report.damage.kinds, 1);
    assert_int_equal(s->nodes[2].report.damage.first_lsn, 5);
    assert_int_equal(s->nodes[1].heard_ms, 100);
    assert_int_equal(s->nodes[1].tokens, 64);
}

static const struct msg *events_told(struct world *w, uint64_t link)
{
    struct msg ask = {.type = MSG_EVENTS, .id = 10};
    say(w, link, &ask);
    return last_heard(w, link, MSG_EVENTS_REPLY);
}

static uint32_t events_of(const struct msg *reply, const char *kind, const char *text)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < reply->events_reply.event_count; i++)
        count += slice_equal(reply->events_reply.events[i].kind, slice_text(kind)) &&
                 slice_equal(reply->events_reply.events[i].text, slice_text(text));
    return count;
}

static void members_that_come_go_and_come_back_are_events(void **state)
{
    struct world *w = *state;
    static struct events events;
    events_init(&events, 0);
    greet(w, 1, 7);
    assert_int_equal(events_told(w, 1)->events_reply.event_count, 0); /* none are kept */
    w->config.events = &events;
    restart(w);
    map_store(w);
    cluster_form(w);
    beats_for(w, 1, 2, 4 * HEARTBEAT_US);
    if (w->writing)
        map_store(w);
    beats_for(w, 1, 3, HEARTBEAT_US);
    const struct msg *told = events_told(w, 1);
    assert_true(slice_equal(told->events_reply.label, slice_text(MANAGER_LABEL)));
    assert_int_equal(events_of(told, "node_joined", "node3"), 1);
    assert_int_equal(events_of(told, "cluster_formed", "3 members"), 1);
    assert_int_equal(events_of(told, "node_down", "node3: no heartbeat for 1500 ms"), 1);
    assert_int_equal(events_of(told, "node_up", "node3: heard again"), 1);
    assert_int_equal(events_of(told, "node_down", "node1: no heartbeat for 1500 ms"), 0);
}

/* ---- restart --------------------------------------------------------------------------------- */

static void a_restart_keeps_tokens_and_raises_the_ballot(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    struct ring *before = ring_ref((struct ring *)manager_ring(w->manager));
    restart(w);
    map_store_all(w);
    const struct ring *after = manager_ring(w->manager);
    assert_int_equal(after->epoch.ballot >> 16, (before->epoch.ballot >> 16) + 1);
    assert_int_equal(after->epoch.counter, before->epoch.counter + 1);
    assert_true(after->formed);
    assert_memory_equal(after->arcs, before->arcs, 64 * sizeof(*after->arcs));
    assert_memory_equal(after->cluster_id, before->cluster_id, CLUSTER_ID_BYTES);
    ring_unref(before);
}

static void silence_is_counted_from_the_managers_own_start(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    w->now_us += 3600000u * (uint64_t)MS;
    restart(w);
    map_store_all(w);
    wait_us(w, 2 * HEARTBEAT_US);
    assert_int_equal(state_told(w, 1), MEMBER_UP);
    wait_us(w, HEARTBEAT_US);
    map_store_all(w);
    assert_int_equal(state_told(w, 1), MEMBER_DOWN);
}

static void a_map_that_was_not_durable_is_gone_after_a_crash(void **state)
{
    struct world *w = *state;
    join(w, 1);
    restart(w);
    map_store_all(w);
    assert_int_equal(manager_ring(w->manager)->member_count, 0);
}

/* ---- whose maps count ------------------------------------------------------------------------ */

/* The members of a map, as a proposal names them. */
static struct blob *members_of(const struct ring *r)
{
    struct blob *run = blob_new(r->member_count * 8u);
    for (uint32_t i = 0; i < r->member_count; i++)
        le64_put(run->data + i * 8u, r->members[i].id);
    return run;
}

/* From now on the node holds the map: in force, or (voters) as a proposal. */
static void brings(struct world *w, uint64_t link, const struct ring *r, struct blob *map,
                   struct blob *voters)
{
    struct acceptor *a = &w->acceptors[link];
    blob_unref(a->map);
    blob_unref(a->voters);
    a->map = blob_ref(map);
    a->voters = voters ? blob_ref(voters) : NULL;
    *(voters ? &a->holds : &a->in_force) = r->epoch;
}

static void a_map_counts_when_a_majority_of_the_members_holds_it(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    struct epoch before = manager_ring(w->manager)->epoch;
    for (uint64_t link = 1; link <= 3; link++)
        w->acceptors[link].mute = true;
    enlist(w, 2, "node2", 7, 7002);
    wait_us(w, HEARTBEAT_US);
    assert_null(w->writing); /* nobody holds it */
    w->acceptors[3].mute = false;
    for (uint64_t node = 1; node <= 3; node++)
        beat(w, node);
    assert_null(w->writing); /* one of three does */
    assert_null(last_heard(w, 2, MSG_REGISTER_REPLY));
    assert_int_equal(epoch_compare(manager_ring(w->manager)->epoch, before), 0);
    w->acceptors[1].mute = false;
    wait_us(w, HEARTBEAT_US);
    for (uint64_t node = 1; node <= 3; node++)
        beat(w, node);
    assert_non_null(w->writing); /* and now it is made durable here */
    map_store(w);
    assert_int_equal(last_heard(w, 2, MSG_REGISTER_REPLY)->register_reply.error, 0);
    assert_int_equal(last_heard(w, 3, MSG_MAP)->map.ring->members[1].address.port, 7002);
}

static void a_manager_that_hears_of_no_majority_changes_nothing(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    struct epoch before = manager_ring(w->manager)->epoch;
    restart_alone(w);
    uint32_t writes = w->writes;
    join(w, 1);
    assert_int_equal(last_heard(w, 1, MSG_REGISTER_REPLY)->register_reply.error, GT_EBUSY);
    for (int i = 0; i < 20; i++) {
        wait_us(w, HEARTBEAT_US);
        beat(w, 1);
        assert_int_equal(last_heard(w, 1, MSG_HEARTBEAT_REPLY)->heartbeat_reply.error, GT_EBUSY);
    }
    assert_int_equal(w->writes, writes);
    assert_int_equal(epoch_compare(manager_ring(w->manager)->epoch, before), 0);
    struct msg ask = {.type = MSG_STATUS, .id = 9};
    say(w, 1, &ask);
    const struct msg *reply = last_heard(w, 1, MSG_STATUS_REPLY);
    assert_int_equal(reply->status_reply.error, 0);
    assert_false(reply->status_reply.status->manager_reachable);
    assert_int_equal(reply->status_reply.status->node_count, 3);
    join(w, 2); /* two of three are */
    map_store_all(w);
    assert_true(epoch_compare(manager_ring(w->manager)->epoch, before) > 0);
    wait_us(w, HEARTBEAT_US);
    beat(w, 1);
    assert_int_equal(last_heard(w, 1, MSG_HEARTBEAT_REPLY)->heartbeat_reply.error, 0);
}

static void a_manager_of_yesterday_adopts_the_newest_map(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    struct blob *yesterday = blob_ref(w->stored);
    join(w, 4);
    map_store_all(w);
    struct ring *newest = ring_ref((struct ring *)manager_ring(w->manager));
    struct blob *map = msg_map_bytes(newest);
    blob_unref(w->stored);
    w->stored = yesterday;
    restart_alone(w);
    greet(w, 1, 7); /* as old as the copy here; the other one has heard of node4 */
    brings(w, 2, newest, map, NULL);
    greet(w, 2, 7);
    map_store_all(w); /* two of three owners: node4 has nothing yet, and no voice */
    const struct ring *now = manager_ring(w->manager);
    assert_int_equal(now->member_count, 4);
    assert_int_equal(now->epoch.counter, newest->epoch.counter + 1);
    assert_true(now->epoch.ballot > newest->epoch.ballot);
    ring_unref(newest);
    blob_unref(map);
}

/* Two of three held it when its manager ended: it may count, and is proposed anew as it is. */
static void a_proposal_that_may_count_is_taken_up(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    struct ring *next = ring_copy(manager_ring(w->manager), 4);
    next->members[3] = next->members[2];
    next->members[3].id = 104;
    next->members[3].state = MEMBER_JOINING;
    snprintf(next->members[3].label, sizeof(next->members[3].label), "node4");
    next->epoch.counter++;
    struct blob *map = msg_map_bytes(next), *voters = members_of(manager_ring(w->manager));
    restart_alone(w);
    greet(w, 1, 7);
    brings(w, 3, next, map, voters);
    greet(w, 3, 7);
    map_store_all(w);
    const struct ring *now = manager_ring(w->manager);
    assert_int_equal(ring_member_by_id(now, 104), 3);
    assert_int_equal(now->epoch.counter, next->epoch.counter + 1);
    assert_int_equal(epoch_compare(w->acceptors[1].holds, now->epoch), 0);
    ring_unref(next);
    blob_unref(map);
    blob_unref(voters);
}

static void a_second_manager_leads_when_the_first_is_silent(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    restart_alone(w);
    for (uint64_t link = 1; link <= 3; link++) {
        w->acceptors[link].led = true;
        greet(w, link, 7);
    }
    uint32_t writes = w->writes;
    for (int i = 0; i < 10; i++) {
        wait_us(w, HEARTBEAT_US);
        for (uint64_t node = 1; node <= 3; node++)
            beat(w, node);
    }
    assert_int_equal(w->writes, writes);
    for (uint64_t link = 1; link <= 3; link++) {
        assert_int_equal(w->acceptors[link].ballot, 0); /* it has asked, and bound nobody */
        w->acceptors[link].led = false;
    }
    for (int i = 0; i < 4; i++) {
        wait_us(w, HEARTBEAT_US);
        for (uint64_t node = 1; node <= 3; node++)
            beat(w, node);
        map_store_all(w);
    }
    assert_int_equal(last_heard(w, 1, MSG_HEARTBEAT_REPLY)->heartbeat_reply.error, 0);
    assert_int_equal(w->writes, writes + 1);
}

static void a_higher_ballot_ends_the_reign(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    struct epoch before = manager_ring(w->manager)->epoch;
    w->acceptors[2].promised = before.ballot + (5 << 16); /* to another one */
    enlist(w, 2, "node2", 7, 7002);
    map_store_all(w);
    assert_int_equal(epoch_compare(manager_ring(w->manager)->epoch, before), 0);
    beat(w, 1);
    assert_int_equal(last_heard(w, 1, MSG_HEARTBEAT_REPLY)->heartbeat_reply.error, GT_EBUSY);
    for (int i = 0; i < 8; i++) {
        wait_us(w, HEARTBEAT_US);
        for (uint64_t node = 1; node <= 3; node++)
            beat(w, node);
        map_store_all(w);
    }
    beat(w, 1); /* the other one was never heard of again */
    assert_int_equal(last_heard(w, 1, MSG_HEARTBEAT_REPLY)->heartbeat_reply.error, 0);
    assert_true(manager_ring(w->manager)->epoch.ballot > before.ballot + (5 << 16));
}

static void a_node_with_a_later_map_ends_the_reign(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    struct msg m = {.type = MSG_PING, .id = 4, .epoch = manager_ring(w->manager)->epoch};
    m.epoch.ballot += 1 << 16;
    say(w, 1, &m);
    beat(w, 2);
    assert_int_equal(last_heard(w, 2, MSG_HEARTBEAT_REPLY)->heartbeat_reply.error, GT_EBUSY);
}

/* Its folder is empty: the cluster that it has founded meanwhile has nobody. */
static void an_empty_folder_is_filled_by_the_nodes(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    struct ring *newest = ring_ref((struct ring *)manager_ring(w->manager));
    struct blob *map = msg_map_bytes(newest);
    blob_unref(w->stored);
    w->stored = NULL;
    memset(w->config.identity.cluster_id, 4, CLUSTER_ID_BYTES);
    restart_alone(w);
    map_store_all(w);
    for (uint64_t node = 1; node <= 3; node++) {
        struct msg hello = {.type = MSG_HELLO,
                            .id = 1,
                            .hello = {.role = ROLE_NODE,
                                      .protocol_min = 1,
                                      .protocol_max = 1,
                                      .node = 100 + node,
                                      .incarnation = 7,
                                      .previous_incarnation = 6}};
        memcpy(hello.hello.cluster_id, newest->cluster_id, CLUSTER_ID_BYTES);
        brings(w, node, newest, map, NULL);
        say(w, node, &hello);
        assert_int_equal(last_heard(w, node, MSG_HELLO_REPLY)->hello.error, 0);
    }
    map_store_all(w);
    const struct ring *now = manager_ring(w->manager);
    assert_memory_equal(now->cluster_id, newest->cluster_id, CLUSTER_ID_BYTES);
    assert_int_equal(now->member_count, 3);
    assert_int_equal(now->epoch.counter, newest->epoch.counter + 1);
    enlist(w, 1, "node1", 7, 6001);
    assert_int_equal(last_heard(w, 1, MSG_REGISTER_REPLY)->register_reply.error, 0);
    ring_unref(newest);
    blob_unref(map);
}

/* Two members, one of which is lost, and the manager starts again: a majority of two is both. */
static void one_of_two_that_is_lost_can_be_replaced(void **state)
{
    struct world *w = *state;
    manager_free(w->manager);
    blob_unref(w->stored);
    w->stored = NULL;
    w->config.settings.replicas = w->config.settings.form_nodes = 2;
    begin(w);
    map_store(w);
    for (uint64_t node = 1; node <= 2; node++) {
        join(w, node);
        map_store_all(w);
    }
    beats_for(w, 1, 2, FORM_AFTER_US + HEARTBEAT_US);
    assert_true(manager_ring(w->manager)->formed);
    restart_alone(w);
    greet(w, 1, 7);
    uint32_t writes = w->writes;
    beats_for(w, 1, 1, 10 * HEARTBEAT_US);
    assert_int_equal(w->writes, writes); /* without the other one it leads nobody */
    assert_int_equal(replace(w, 3, "node2"), GT_EBUSY);
    assert_int_equal(w->writes, writes + 1); /* a person has said that it is gone */
    beats_for(w, 1, 1, 4 * HEARTBEAT_US);
    replace(w, 3, "node2"); /* waits for the place of the map that says that it is down */
    beats_for(w, 1, 1, 4 * HEARTBEAT_US);
    assert_int_equal(last_heard(w, 3, MSG_REGISTER_REPLY)->register_reply.error, 0);
    assert_int_equal(tokens_told(w, 3), 64);
    assert_int_equal(state_told(w, 2), MEMBER_REMOVED);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void settings_that_differ_from_the_map_are_refused(void **state)
{
    struct world *w = *state;
    struct manager *second = NULL;
    struct manager_config c = w->config;
    char why[MSG_TEXT_BYTES];
    c.map = w->stored;
    c.settings.replicas = 5;
    c.given = GIVEN_REPLICAS;
    assert_int_equal(manager_new(&c, &second, why), GT_ESETTINGS);
    assert_memory_equal(why, "--replicas 5 differs from the cluster's 3", 41);
    c.given = 0; /* not named: the map's hold */
    assert_int_equal(manager_new(&c, &second, why), 0);
    assert_int_equal(manager_settings(second)->replicas, 3);
    manager_free(second);
}

static void a_bad_triple_is_refused_with_the_inequality(void **state)
{
    struct world *w = *state;
    struct manager *second = NULL;
    struct manager_config c = w->config;
    char why[MSG_TEXT_BYTES];
    c.map = NULL;
    c.settings.read_quorum = 1;
    assert_int_equal(manager_new(&c, &second, why), GT_EARG);
    assert_string_equal(why, "W + R > N does not hold: 2 + 1 > 3");
}

static void a_node_of_another_cluster_is_refused(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    struct msg m = {.type = MSG_HELLO,
                    .id = 1,
                    .hello = {.role = ROLE_NODE, .protocol_min = 1, .protocol_max = 1, .node = 5}};
    memset(m.hello.cluster_id, 1, CLUSTER_ID_BYTES);
    say(w, 9, &m);
    assert_int_equal(last_heard(w, 9, MSG_HELLO_REPLY)->hello.error, GT_ECLUSTER);
    assert_int_equal(w->closed, 1);
}

/* An empty manager and a node of a cluster that there is: what that has must be seen before another
 * one forms beside it. */
static void no_cluster_forms_beside_one_that_is_heard_of(void **state)
{
    struct world *w = *state;
    struct msg m = {.type = MSG_HELLO,
                    .id = 1,
                    .hello = {.role = ROLE_NODE,
                              .protocol_min = 1,
                              .protocol_max = 1,
                              .node = 109,
                              .incarnation = 7,
                              .previous_incarnation = 6}};
    memset(m.hello.cluster_id, 1, CLUSTER_ID_BYTES);
    w->acceptors[9].mute = true;
    say(w, 9, &m);
    assert_non_null(last_heard(w, 9, MSG_PROPOSE)); /* its answer is lost */
    for (uint64_t node = 1; node <= 3; node++) {
        join(w, node);
        map_store_all(w);
    }
    beats_for(w, 1, 3, 4 * FORM_AFTER_US);
    assert_false(manager_ring(w->manager)->formed);
    forget(w);
    struct msg beat_of_another = {.type = MSG_HEARTBEAT, .id = 5};
    beat_of_another.heartbeat.node = 109;
    say(w, 9, &beat_of_another);
    assert_non_null(last_heard(w, 9, MSG_PROPOSE)); /* asked again */
    struct msg vote = {.type = MSG_VOTE, .id = 6};
    vote.vote.node = 109; /* it holds no map after all */
    say(w, 9, &vote);
    beats_for(w, 1, 3, 2 * FORM_AFTER_US);
    assert_true(manager_ring(w->manager)->formed);
}

/* Of a cluster that this folder does not know of the members may not have called yet, and new nodes
 * come first: it is waited for those, however many are there (seed 1795719325589). */
static void no_cluster_forms_before_who_runs_already_can_have_called(void **state)
{
    struct world *w = *state;
    uint64_t began_us = w->now_us, first_us = 4 * FORM_AFTER_US;
    blob_unref(w->stored);
    w->stored = NULL;
    w->config.form_first_us = first_us;
    restart_alone(w);
    map_store(w);
    for (uint64_t node = 1; node <= 3; node++) {
        join(w, node);
        map_store_all(w);
    }
    beats_for(w, 1, 3, began_us + first_us - w->now_us - HEARTBEAT_US);
    assert_false(manager_ring(w->manager)->formed);
    beats_for(w, 1, 3, 2 * HEARTBEAT_US);
    assert_true(manager_ring(w->manager)->formed);
}

static void an_older_incarnation_is_refused_and_told_the_newer(void **state)
{
    struct world *w = *state;
    join(w, 1);
    map_store_all(w);
    greet(w, 1, 6);
    const struct msg *reply = last_heard(w, 1, MSG_HELLO_REPLY);
    assert_int_equal(reply->hello.error, GT_EINCARNATION);
    assert_int_equal(reply->hello.seen_incarnation, 7);
}

static void an_incarnation_far_ahead_gets_into_no_map(void **state)
{
    struct world *w = *state;
    join(w, 1);
    map_store_all(w);
    uint64_t year_ahead = (w->wall_base_us / 1000000 + 366ull * 86400 + 10) << 24;
    greet(w, 1, year_ahead);
    assert_int_equal(last_heard(w, 1, MSG_HELLO_REPLY)->hello.error, GT_ECLOCK);
    assert_int_equal(w->closed, 1);
    greet(w, 2, 7); /* a hello that is honest, and a registration that is not */
    enlist(w, 2, "", UINT64_MAX, 6002);
    assert_int_equal(last_heard(w, 2, MSG_REGISTER_REPLY)->register_reply.error, GT_ECLOCK);
    map_store_all(w);
    assert_int_equal(manager_ring(w->manager)->member_count, 1);
    assert_int_equal(manager_ring(w->manager)->members[0].incarnation, 7);
    join(w, 1);
    assert_int_equal(last_heard(w, 1, MSG_REGISTER_REPLY)->register_reply.error, 0);
}

static void a_newer_protocol_is_refused(void **state)
{
    struct world *w = *state;
    struct msg m = {.type = MSG_HELLO,
                    .id = 1,
                    .hello = {.role = ROLE_CLIENT, .protocol_min = 2, .protocol_max = 3}};
    say(w, 1, &m);
    assert_int_equal(last_heard(w, 1, MSG_HELLO_REPLY)->hello.error, GT_EFORMAT);
}

static void who_does_not_greet_is_not_answered(void **state)
{
    struct world *w = *state;
    struct msg m = {.type = MSG_MAP_GET, .id = 1};
    say(w, 1, &m);
    assert_int_equal(w->heard_count, 0);
    assert_int_equal(w->closed, 1);
}

/* The stamp of its answer to a ping with that stamp. */
static uint64_t stamp_answered(struct world *w, uint64_t stamp)
{
    struct msg ping = {.type = MSG_PING, .id = 4, .stamp = stamp};
    say(w, 1, &ping);
    return last_heard(w, 1, MSG_PING_REPLY)->stamp;
}

static void a_stamp_of_the_far_future_is_not_followed(void **state)
{
    struct world *w = *state;
    greet(w, 1, 7);
    uint64_t now = stamp_answered(w, 0);
    assert_true(stamp_answered(w, UINT64_MAX) < now + (1ull << 16));
    assert_true(stamp_answered(w, now + (61000ull << 16)) < now + (1ull << 16));
    assert_true(stamp_answered(w, now + (59000ull << 16)) > now + (59000ull << 16));
}

static void its_clock_goes_on_from_what_it_stored(void **state)
{
    struct world *w = *state;
    join(w, 1);
    map_store_all(w);
    assert_true(w->writing_stamp >= (w->wall_base_us / 1000) << 16);
    w->config.stamp_max = w->writing_stamp;
    w->wall_base_us -= 86400000000ull;
    restart(w);
    greet(w, 1, 7);
    assert_true(stamp_answered(w, 0) > w->config.stamp_max);
    uint64_t other = w->config.stamp_max + (5000ull << 16); /* its clock went back too */
    assert_true(stamp_answered(w, other) > other);
}

static void data_is_not_the_managers(void **state)
{
    struct world *w = *state;
    greet(w, 1, 7);
    struct msg m = {.type = MSG_PUT, .id = 4};
    m.put.key = slice_text("k");
    say(w, 1, &m);
    const struct msg *reply = last_heard(w, 1, MSG_PUT_REPLY);
    assert_int_equal(reply->put_reply.head.error, GT_ENOTOWNER);
    assert_int_equal(reply->put_reply.head.outcome, OUTCOME_NOT_APPLIED);
}

static void a_current_map_is_not_sent_again(void **state)
{
    struct world *w = *state;
    greet(w, 1, 7);
    struct msg m = {.type = MSG_MAP_GET, .id = 4, .epoch = manager_ring(w->manager)->epoch};
    say(w, 1, &m);
    assert_null(last_heard(w, 1, MSG_MAP)->map.ring);
}

static void a_chosen_port_is_durable_before_ready(void **state)
{
    struct world *w = *state;
    manager_free(w->manager);
    char why[MSG_TEXT_BYTES];
    w->ready = 0;
    w->config.map = w->stored;
    assert_int_equal(manager_new(&w->config, &w->manager, why), 0);
    manager_remember_port(w->manager, 4711);
    struct gt_event start = {.kind = GT_START, .now_us = w->now_us};
    manager_step(w->manager, &start, &w->fx);
    uint64_t tag = 0;
    for (uint32_t i = 0; i < w->fx.count; i++)
        if (w->fx.items[i].kind == GT_STORE &&
            slice_equal(w->fx.items[i].request.key, slice_text("port")))
            tag = w->fx.items[i].request.tag;
    carry_out(w);
    assert_int_equal(w->ready, 0);
    struct store_result stored = {.kind = STORE_META, .tag = tag};
    struct gt_event ev = {.kind = GT_STORED, .result = &stored};
    feed(w, &ev);
    assert_int_equal(w->ready, 1);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, world_new, world_end)

/* ---- people ---------------------------------------------------------------------------------- */

/* A person speaks on link 90. Returns the answer, NULL while it waits for a map. */
static const struct msg *ask_admin(struct world *w, struct msg *m)
{
    struct msg hello = {.type = MSG_HELLO,
                        .id = 1,
                        .hello = {.role = ROLE_CLIENT, .protocol_min = 1, .protocol_max = 1}};
    forget(w);
    say(w, 90, &hello);
    m->type = MSG_ADMIN;
    m->id = 11;
    say(w, 90, m);
    return last_heard(w, 90, MSG_ADMIN_REPLY);
}

static void expect_refused(struct world *w, struct msg m, int error)
{
    const struct msg *reply = ask_admin(w, &m);
    assert_non_null(reply);
    assert_int_equal(reply->admin_reply.error, error);
    assert_true(reply->admin_reply.text.bytes > 0);
    assert_false(reply->admin_reply.changed);
}

static void expect_done(struct world *w, struct msg m)
{
    assert_null(ask_admin(w, &m)); /* not before the map is told */
    map_store_all(w);
    const struct msg *reply = last_heard(w, 90, MSG_ADMIN_REPLY);
    assert_non_null(reply);
    assert_int_equal(reply->admin_reply.error, 0);
    assert_true(reply->admin_reply.changed);
}

/* Nothing is changed, and that is no failure. */
static void expect_said(struct world *w, struct msg m, const char *text)
{
    const struct msg *reply = ask_admin(w, &m);
    assert_non_null(reply);
    assert_int_equal(reply->admin_reply.error, 0);
    assert_false(reply->admin_reply.changed);
    assert_true(slice_equal(reply->admin_reply.text, slice_text(text)));
}

static struct msg wish(enum admin_verb verb, const char *node)
{
    return (struct msg){.admin = {.verb = (uint8_t)verb, .apply = true, .node = slice_text(node)}};
}

static const struct msg *ask_plan(struct world *w)
{
    struct msg plan = {.type = MSG_PLAN, .id = 12};
    forget(w);
    say(w, 1, &plan);
    return last_heard(w, 1, MSG_PLAN_REPLY);
}

static uint32_t arcs_in(const struct world *w, enum arc_phase phase)
{
    const struct ring *r = manager_ring(w->manager);
    uint32_t count = 0;
    for (uint32_t p = 0; p < r->settings.partitions; p++)
        count += r->arcs[p].phase == phase;
    return count;
}

static void four_of_which_one_has_nothing(struct world *w)
{
    cluster_form(w);
    join(w, 4);
    map_store_all(w);
    assert_int_equal(state_told(w, 4), MEMBER_JOINING);
}

static void a_plan_is_shown_and_begun_and_cancelled(void **state)
{
    struct world *w = *state;
    four_of_which_one_has_nothing(w);
    struct msg apply = wish(ADMIN_APPLY, "");
    const struct msg *reply = ask_plan(w);
    assert_non_null(reply);
    assert_int_equal(reply->plan_reply.error, 0);
    assert_int_equal(reply->plan_reply.node_count, 4);
    assert_int_equal(reply->plan_reply.moves.bytes, 48 * MOVE_BYTES);
    assert_int_equal(reply->plan_reply.nodes[3].tokens_after, 48);
    apply.admin.epoch.counter = reply->epoch.counter - 1;
    expect_refused(w, apply, GT_ECONFLICT);
    apply.admin.epoch.counter++;
    expect_done(w, apply);
    beats_for(w, 1, 4, HEARTBEAT_US);
    assert_int_equal(arcs_in(w, ARC_PREPARE), MOVES_TO_MEMBER_MAX);
    apply.admin.epoch.counter = manager_ring(w->manager)->epoch.counter;
    expect_refused(w, apply, GT_ECONFLICT); /* of the epoch of now, and all the same another plan */
    apply.admin.epoch.counter = 0;
    expect_said(w, apply, "a rebalance is under way already");
    expect_done(w, wish(ADMIN_CANCEL, ""));
    beats_for(w, 1, 4, HEARTBEAT_US);
    assert_int_equal(arcs_in(w, ARC_PREPARE), 0);
    assert_int_equal(arcs_in(w, ARC_CLEANUP), MOVES_TO_MEMBER_MAX);
    assert_int_equal(manager_ring(w->manager)->rebalance, REBALANCE_IDLE);
}

static void what_cannot_be_is_refused_with_its_reason(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    struct msg set = wish(ADMIN_SET, "");
    expect_refused(w, wish(ADMIN_DRAIN, "nobody"), GT_ENOTFOUND);
    expect_refused(w, wish(ADMIN_REMOVE, "node1"), GT_ELABEL);
    set.admin.read_quorum = 1;
    expect_refused(w, set, GT_EARG); /* W + R > N */
    set.admin.write_quorum = 3;
    expect_refused(w, set, GT_EARG); /* old W + new R > N */
    expect_said(w, wish(ADMIN_APPLY, ""), "nothing to move");
}

/* Where nothing begins by itself, to pause and to go on begins nothing that nobody has applied. */
static void what_nobody_applied_is_not_begun_by_going_on(void **state)
{
    struct world *w = *state;
    four_of_which_one_has_nothing(w);
    expect_said(w, wish(ADMIN_PAUSE, ""),
                "nothing to pause: no rebalance is under way, and none begins by itself");
    expect_said(w, wish(ADMIN_RESUME, ""), "the rebalance is not paused");
    expect_done(w, wish(ADMIN_APPLY, ""));
    expect_done(w, wish(ADMIN_PAUSE, ""));
    expect_said(w, wish(ADMIN_PAUSE, ""), "the rebalance is paused already");
    expect_done(w, wish(ADMIN_RESUME, ""));
    assert_int_equal(manager_ring(w->manager)->rebalance, REBALANCE_RUNNING);
}

/* A manager that has just begun holds an old map, perhaps: it shows no plan of it. */
static void who_does_not_lead_shows_no_plan(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    restart_alone(w);
    join(w, 1);
    const struct msg *reply = ask_plan(w);
    assert_non_null(reply);
    assert_int_equal(reply->plan_reply.error, GT_EBUSY);
    assert_true(reply->plan_reply.text.bytes > 0);
}

static void a_weight_that_a_person_set_outlives_a_restart_of_the_node(void **state)
{
    struct world *w = *state;
    cluster_form(w);
    struct msg heavy = wish(ADMIN_WEIGHT, "node2");
    heavy.admin.capacity = 2;
    expect_done(w, heavy);
    greet(w, 2, 8);
    enlist(w, 2, "", 8, 6002);
    map_store_all(w);
    const struct ring *r = manager_ring(w->manager);
    const struct member *m = &r->members[ring_member_by_label(r, "node2")];
    assert_true(m->capacity_set && m->capacity > 1.9 && m->capacity < 2.1);
    assert_int_equal(m->incarnation, 8);
}

static void one_that_is_down_is_removed_and_gets_no_lease_any_more(void **state)
{
    struct world *w = *state;
    four_of_which_one_has_nothing(w);
    beats_for(w, 1, 3, 4 * HEARTBEAT_US);
    assert_int_equal(state_told(w, 4), MEMBER_DOWN);
    struct msg look = wish(ADMIN_REMOVE, "node4");
    look.admin.apply = false;
    const struct msg *reply = ask_admin(w, &look);
    assert_non_null(reply);
    assert_int_equal(reply->admin_reply.error, 0);
    assert_int_equal(state_told(w, 4), MEMBER_DOWN);
    expect_done(w, wish(ADMIN_REMOVE, "node4"));
    assert_int_equal(state_told(w, 4), MEMBER_REMOVED);
    forget(w);
    beat(w, 4);
    assert_int_equal(last_heard(w, 4, MSG_HEARTBEAT_REPLY)->heartbeat_reply.error, GT_ENOTFOUND);
}

static void four_where_moves_begin_by_themselves(struct world *w)
{
    w->config.rebalance_auto = true;
    restart(w);
    map_store_all(w);
    cluster_form(w);
    beats_for(w, 1, 3, 4 * FORM_AFTER_US);
    assert_int_equal(manager_ring(w->manager)->rebalance, REBALANCE_IDLE);
    join(w, 4);
    map_store_all(w);
    beats_for(w, 1, 4, 5 * HEARTBEAT_US);
    assert_int_equal(manager_ring(w->manager)->rebalance, REBALANCE_IDLE);
    beats_for(w, 1, 4, 3 * HEARTBEAT_US);
    assert_int_equal(manager_ring(w->manager)->rebalance, REBALANCE_RUNNING);
}

static void what_joins_is_given_tokens_by_itself_where_that_is_wanted(void **state)
{
    struct world *w = *state;
    four_where_moves_begin_by_themselves(w);
    assert_int_equal(arcs_in(w, ARC_PREPARE), MOVES_TO_MEMBER_MAX);
}

static void what_was_cancelled_does_not_begin_by_itself_after_a_restart(void **state)
{
    struct world *w = *state;
    four_where_moves_begin_by_themselves(w);
    expect_done(w, wish(ADMIN_CANCEL, ""));
    beats_for(w, 1, 4, 20 * HEARTBEAT_US);
    assert_int_equal(manager_ring(w->manager)->rebalance, REBALANCE_IDLE);
    restart(w);
    map_store_all(w);
    for (uint64_t node = 1; node <= 4; node++)
        join(w, node);
    map_store_all(w);
    beats_for(w, 1, 4, 20 * HEARTBEAT_US);
    assert_int_equal(manager_ring(w->manager)->rebalance, REBALANCE_IDLE);
    struct msg heavy = wish(ADMIN_WEIGHT, "node4");
    heavy.admin.capacity = 2;
    expect_done(w, heavy); /* other members than those for which it was cancelled */
    beats_for(w, 1, 4, 20 * HEARTBEAT_US);
    assert_int_equal(manager_ring(w->manager)->rebalance, REBALANCE_RUNNING);
}

static struct msg heir_wish(const char *old, const char *heir)
{
    struct msg m = wish(ADMIN_REPLACE, old);
    m.admin.other = slice_text(heir);
    return m;
}

static void nobody_takes_two_places_and_no_place_is_taken_twice(void **state)
{
    struct world *w = *state;
    four_of_which_one_has_nothing(w);
    join(w, 5);
    map_store_all(w);
    expect_done(w, heir_wish("node1", "node4"));
    expect_refused(w, heir_wish("node1", "node5"), GT_ELABEL);
    expect_refused(w, heir_wish("node2", "node4"), GT_ELABEL);
    expect_refused(w, heir_wish("node4", "node5"), GT_ELABEL);
    expect_done(w, heir_wish("node2", "node5"));
}

/* One node, and a second one: each list is to be of two, and who joins is written to from then on.
 */
static void who_joins_counts_for_the_verdict(void **state)
{
    struct world *w = *state;
    manager_free(w->manager);
    blob_unref(w->stored);
    w->stored = NULL;
    w->config.settings.replicas = 2;
    w->config.settings.form_nodes = 1;
    begin(w);
    map_store(w);
    join(w, 1);
    map_store_all(w);
    beats_for(w, 1, 1, FORM_AFTER_US + HEARTBEAT_US);
    join(w, 2);
    map_store_all(w);
    expect_done(w, wish(ADMIN_APPLY, ""));
    beats_for(w, 1, 2, HEARTBEAT_US);
    assert_true(arcs_in(w, ARC_PREPARE) > 0);
    assert_int_equal(state_told(w, 2), MEMBER_JOINING);
    struct msg ask = {.type = MSG_STATUS, .id = 9};
    say(w, 1, &ask);
    const struct status *s = last_heard(w, 1, MSG_STATUS_REPLY)->status_reply.status;
    assert_int_equal(s->partitions_below, 0);
    assert_int_not_equal(s->verdict, VERDICT_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(it_is_ready_at_once),
        STORY(a_cluster_waits_for_its_nodes),
        STORY(each_one_who_joins_prolongs_the_pause),
        STORY(labels_are_given_to_those_who_bring_none),
        STORY(the_managers_own_label_is_refused),
        STORY(a_label_in_use_is_refused),
        STORY(a_late_node_is_joining_without_tokens),
        STORY(who_is_away_for_too_long_is_marked_to_refill),
        STORY(nobody_is_marked_whom_the_others_need),
        STORY(without_a_limit_nobody_is_marked),
        STORY(nothing_is_told_before_it_is_durable),
        STORY(what_changes_during_a_write_goes_into_the_next),
        STORY(a_doubled_registration_waits_for_the_same_write),
        STORY(each_map_has_a_new_epoch),
        STORY(a_failed_write_is_tried_again_and_tells_nothing),
        STORY(registering_again_unchanged_makes_no_new_map),
        STORY(registering_again_elsewhere_changes_the_address),
        STORY(three_missed_heartbeats_are_down),
        STORY(who_is_heard_again_is_up_with_all_its_tokens),
        STORY(the_place_of_a_member_is_given_away_only_while_it_is_down),
        STORY(who_does_not_know_of_a_life_that_was_seen_was_rolled_back),
        STORY(a_copy_beside_the_original_ends_and_a_restart_does_not),
        STORY(who_catches_up_has_no_vote_in_the_verdict),
        STORY(a_heartbeat_of_a_stranger_asks_it_to_register),
        STORY(status_shows_what_heartbeats_say),
        STORY(members_that_come_go_and_come_back_are_events),
        STORY(a_restart_keeps_tokens_and_raises_the_ballot),
        STORY(silence_is_counted_from_the_managers_own_start),
        STORY(a_map_that_was_not_durable_is_gone_after_a_crash),
        STORY(a_map_counts_when_a_majority_of_the_members_holds_it),
        STORY(a_manager_that_hears_of_no_majority_changes_nothing),
        STORY(a_manager_of_yesterday_adopts_the_newest_map),
        STORY(a_proposal_that_may_count_is_taken_up),
        STORY(a_second_manager_leads_when_the_first_is_silent),
        STORY(a_higher_ballot_ends_the_reign),
        STORY(a_node_with_a_later_map_ends_the_reign),
        STORY(an_empty_folder_is_filled_by_the_nodes),
        STORY(one_of_two_that_is_lost_can_be_replaced),
        STORY(settings_that_differ_from_the_map_are_refused),
        STORY(a_bad_triple_is_refused_with_the_inequality),
        STORY(a_node_of_another_cluster_is_refused),
        STORY(no_cluster_forms_beside_one_that_is_heard_of),
        STORY(no_cluster_forms_before_who_runs_already_can_have_called),
        STORY(an_older_incarnation_is_refused_and_told_the_newer),
        STORY(an_incarnation_far_ahead_gets_into_no_map),
        STORY(a_newer_protocol_is_refused),
        STORY(who_does_not_greet_is_not_answered),
        STORY(a_stamp_of_the_far_future_is_not_followed),
        STORY(its_clock_goes_on_from_what_it_stored),
        STORY(data_is_not_the_managers),
        STORY(a_current_map_is_not_sent_again),
        STORY(a_chosen_port_is_durable_before_ready),
        cmocka_unit_test_setup_teardown(a_plan_is_shown_and_begun_and_cancelled, world_new,
                                        world_end),
        STORY(what_nobody_applied_is_not_begun_by_going_on),
        STORY(what_was_cancelled_does_not_begin_by_itself_after_a_restart),
        STORY(nobody_takes_two_places_and_no_place_is_taken_twice),
        STORY(who_joins_counts_for_the_verdict),
        STORY(who_does_not_lead_shows_no_plan),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_refused_with_its_reason, world_new,
                                        world_end),
        cmocka_unit_test_setup_teardown(a_weight_that_a_person_set_outlives_a_restart_of_the_node,
                                        world_new, world_end),
        cmocka_unit_test_setup_teardown(one_that_is_down_is_removed_and_gets_no_lease_any_more,
                                        world_new, world_end),
        cmocka_unit_test_setup_teardown(what_joins_is_given_tokens_by_itself_where_that_is_wanted,
                                        world_new, world_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
