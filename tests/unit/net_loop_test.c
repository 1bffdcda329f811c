/*
 * The loop on real sockets: a server loop on a thread of its own, and against it either a client
 * loop on the test's thread or a bare socket.
 *
 * The server's machine answers PING at once, PUT with a GET_REPLY that holds the value, GET the
 * same way and then closes the link, STATUS after a timeout of its own, STATE after having stored.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/error.h"
#include "net/loop_uv.h"

/* ---- the server ------------------------------------------------------------------------------ */

struct server {
    pthread_t thread;
    struct loop *loop;
    struct address address;
    struct loop_config config;
    uint64_t deadline_us, waiting_link, waiting_id;
    uint64_t storing_link, storing_id;
    int link_down_error; /* of the last inbound link that went down; after the join */
    unsigned links_down;
    unsigned stop_on_down; /* stop when so many links are down */
    int stop;              /* atomic */
    int run_result;
};

static void server_reply_value(const struct gt_event *ev, struct slice value,
                               struct gt_effects *out)
{
    struct msg_sibling sibling = {.value = value};
    struct msg reply = {.type = MSG_GET_REPLY, .id = ev->message.msg->id};
    reply.get_reply.siblings = &sibling;
    reply.get_reply.sibling_count = 1;
    effects_reply(out, ev->link, &reply);
}

static void server_message(struct server *s, const struct gt_event *ev, struct gt_effects *out)
{
    const struct msg *m = ev->message.msg;
    struct msg pong = {.type = MSG_PING_REPLY, .id = m->id};
    struct store_request put = {.kind = STORE_PUT, .plain = true, .stamp = 1};
    switch (m->type) {
    case MSG_PING:
        effects_reply(out, ev->link, &pong);
        break;
    case MSG_PUT:
        server_reply_value(ev, m->put.value, out);
        break;
    case MSG_GET:
        effects_close_link(out, ev->link); /* effects have no order: the reply is still written */
        server_reply_value(ev, m->get.key, out);
        break;
    case MSG_STATUS:
        s->deadline_us = ev->now_us + 2000;
        s->waiting_link = ev->link;
        s->waiting_id = m->id;
        break;
    case MSG_STATE:
        put.hold = blob_ref(ev->message.body);
        put.key = m->state.key;
        put.value = m->state.record;
        s->storing_link = ev->link;
        s->storing_id = m->id;
        effects_store(out, &put);
        break;
    default:
        break;
    }
}

static void server_step(void *self, const struct gt_event *ev, struct gt_effects *out)
{
    struct server *s = self;
    struct msg reply = {.type = MSG_STATUS_REPLY, .id = s->waiting_id};
    struct msg stored = {.type = MSG_STATE_REPLY, .id = s->storing_id};
    switch (ev->kind) {
    case GT_MESSAGE:
        server_message(s, ev, out);
        break;
    case GT_TIMEOUT:
        if (ev->now_us < s->deadline_us)
            break;
        s->deadline_us = UINT64_MAX;
        effects_reply(out, s->waiting_link, &reply);
        break;
    case GT_STORED:
        stored.state_reply.head.error = ev->result->result;
        effects_reply(out, s->storing_link, &stored);
        break;
    case GT_LINK_DOWN:
        s->link_down_error = ev->error;
        if (++s->links_down == s->stop_on_down)
            effects_ready(out);
        break;
    default:
        break;
    }
}

static uint64_t server_deadline_us(const void *self)
{
    return ((const struct server *)self)->deadline_us;
}

static void server_effect(void *arg, struct loop *l, const struct gt_effect *e)
{
    (void)arg;
    if (e->kind == GT_READY)
        loop_stop(l, 0);
}

static void server_wake(void *arg, struct loop *l)
{
    struct server *s = arg;
    if (__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE))
        loop_stop(l, 0);
}

static void *server_run(void *arg)
{
    struct server *s = arg;
    s->run_result = loop_run(s->loop);
    return NULL;
}

/* Set s->config and s->address (port 0: any) before, as far as they are not to be the usual. */
static void server_start(struct server *s)
{
    char text[MSG_TEXT_BYTES];
    s->deadline_us = UINT64_MAX;
    s->stop = 0;
    s->config.machine = (struct gt_machine){s, server_step, server_deadline_us};
    s->config.arg = s;
    s->config.effect = server_effect;
    s->config.wake = server_wake;
    if (s->address.host[0] == '\0')
        strcpy(s->address.host, "127.0.0.1");
    assert_int_equal(loop_new(&s->config, &s->loop), 0);
    assert_int_equal(loop_listen(s->loop, &s->address, &s->address, text), 0);
    assert_int_not_equal(s->address.port, 0);
    assert_int_equal(pthread_create(&s->thread, NULL, server_run, s), 0);
}

static void server_join(struct server *s)
{
    pthread_join(s->thread, NULL);
    assert_int_equal(s->run_result, 0);
    loop_free(s->loop);
}

static void server_stop(struct server *s)
{
    __atomic_store_n(&s->stop, 1, __ATOMIC_RELEASE);
    loop_wake(s->loop);
    server_join(s);
}

/* ---- the client loop ------------------------------------------------------------------------- */

enum plan {
    PLAN_PINGS,
    PLAN_RESTART,
    PLAN_LARGE,
    PLAN_NOBODY,
    PLAN_DISCONNECT,
    PLAN_STORE,
    PLAN_REFUSED
};

#define PINGS       5000u
#define LARGE_BYTES (12u << 20)
#define REFUSED_US  1000000u

struct client {
    enum plan plan;
    struct server *server;
    struct address address;
    unsigned ups, downs, replies;
    uint64_t end_us; /* PLAN_REFUSED */
    bool value_equal;
    struct blob *large;
};

static void client_send(struct client *c, struct gt_effects *out)
{
    struct msg m = {.type = MSG_PING};
    switch (c->plan) {
    case PLAN_PINGS:
        for (m.id = 1; m.id <= PINGS; m.id++)
            effects_send(out, 1, &m);
        break;
    case PLAN_LARGE:
        effects_send(out, 1, &m); /* first something small, as everybody does */
        m.type = MSG_PUT;
        m.put.value = slice_blob(c->large);
        effects_send(out, 1, &m);
        break;
    case PLAN_STORE:
        m.type = MSG_STATE;
        m.state.key = slice_text("key");
        m.state.record = slice_text("value");
        effects_send(out, 1, &m);
        break;
    case PLAN_REFUSED:
        m.type = MSG_GET;
        m.get.key = slice_text("no");
        effects_send(out, 1, &m);
        break;
    default:
        effects_send(out, 1, &m);
        break;
    }
}

static void client_message(struct client *c, const struct msg *m, struct gt_effects *out)
{
    c->replies++;
    switch (c->plan) {
    case PLAN_PINGS:
        if (m->id != c->replies)
            c->replies = PINGS; /* out of order: ends the test early, and it fails */
        if (c->replies == PINGS)
            effects_ready(out);
        break;
    case PLAN_LARGE:
        if (m->type == MSG_PING_REPLY)
            break;
        c->value_equal = slice_equal(m->get_reply.siblings[0].value, slice_blob(c->large));
        effects_ready(out);
        break;
    case PLAN_DISCONNECT:
        effects_disconnect(out, 1);
        effects_ready(out);
        break;
    case PLAN_REFUSED:
        break;
    default:
        effects_ready(out);
        break;
    }
}

static void client_step(void *self, const struct gt_event *ev, struct gt_effects *out)
{
    struct client *c = self;
    switch (ev->kind) {
    case GT_START:
        c->end_us = c->plan == PLAN_REFUSED ? ev->now_us + REFUSED_US : UINT64_MAX;
        effects_connect(out, 1, &c->address);
        break;
    case GT_TIMEOUT:
        if (ev->now_us >= c->end_us)
            effects_ready(out);
        break;
    case GT_LINK_UP:
        c->ups++;
        client_send(c, out);
        break;
    case GT_LINK_DOWN:
        c->downs++;
        if (c->plan == PLAN_NOBODY && c->downs == 3)
            effects_ready(out);
        break;
    case GT_MESSAGE:
        client_message(c, ev->message.msg, out);
        break;
    default:
        break;
    }
}

static uint64_t client_deadline_us(const void *self)
{
    return ((const struct client *)self)->end_us;
}

static void client_effect(void *arg, struct loop *l, const struct gt_effect *e)
{
    struct client *c = arg;
    if (e->kind != GT_READY)
        return;
    if (c->plan == PLAN_RESTART && c->replies == 1) {
        server_stop(c->server);
        server_start(c->server);
        return;
    }
    loop_stop(l, 0);
}

static struct net_metrics client_run(struct client *c)
{
    struct loop *l;
    struct loop_config config = {.machine = {c, client_step, client_deadline_us},
                                 .seed = 1,
                                 .arg = c,
                                 .effect = client_effect};
    assert_int_equal(loop_new(&config, &l), 0);
    assert_int_equal(loop_run(l), 0);
    struct net_metrics metrics = *loop_metrics(l);
    loop_free(l);
    return metrics;
}

/* ---- a bare socket --------------------------------------------------------------------------- */

static int dial(const struct server *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(s->address.port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

static void write_all(int fd, const void *data, size_t bytes)
{
    assert_int_equal(send(fd, data, bytes, MSG_NOSIGNAL), bytes);
}

static void write_msg(int fd, const struct msg *m)
{
    struct blob *frame = msg_frame(m);
    write_all(fd, frame->data, frame->bytes);
    blob_unref(frame);
}

/* The next message's type, and its error when it is a refusal; 0 at the end of the stream. */
static int read_type(int fd, struct frame_cutter *c)
{
    uint8_t byte;
    struct blob *body;
    while (recv(fd, &byte, 1, 0) == 1) {
        const uint8_t *at = &byte;
        size_t left = 1;
        if (frame_cut(c, &at, &left, &body) != 1)
            continue;
        struct msg_decoder *d = msg_decoder_new();
        struct msg m;
        int error = msg_decode(d, slice_blob(body), &m);
        msg_decoder_free(d);
        blob_unref(body);
        assert_true(error == 0 || error == GT_EUNSUPPORTED);
        return (int)m.type;
    }
    return 0;
}

static int next_type(int fd)
{
    struct frame_cutter c;
    frame_cutter_init(&c, frame_limit(VALUE_BYTES_LIMIT));
    int type = read_type(fd, &c);
    frame_cutter_close(&c);
    return type;
}

static void assert_still_answers(int fd)
{
    struct msg ping = {.type = MSG_PING};
    write_msg(fd, &ping);
    assert_int_equal(next_type(fd), MSG_PING_REPLY);
}

/* ---- stories --------------------------------------------------------------------------------- */

static void many_requests_are_answered_in_few_writes(void **state)
{
    (void)state;
    struct server s = {.stop = 0};
    server_start(&s);
    struct client c = {.plan = PLAN_PINGS, .address = s.address};
    struct net_metrics metrics = client_run(&c);
    server_stop(&s);
    assert_int_equal(c.ups, 1);
    assert_int_equal(c.replies, PINGS);
    assert_int_equal(metrics.frames_out_count, PINGS);
    assert_int_equal(metrics.frames_in_count, PINGS);
    assert_true(metrics.writes_count <= PINGS / 50);
}

static void a_peer_by_name_is_found(void **state)
{
    (void)state;
    struct server s = {.stop = 0};
    server_start(&s);
    struct client c = {.plan = PLAN_PINGS, .address = s.address};
    strcpy(c.address.host, "localhost");
    client_run(&c);
    server_stop(&s);
    assert_int_equal(c.replies, PINGS);
    assert_int_equal(c.downs, 0); /* whatever other addresses the name has */
}

static void a_peer_that_restarts_is_linked_again(void **state)
{
    (void)state;
    struct server s = {.stop = 0};
    server_start(&s);
    struct client c = {.plan = PLAN_RESTART, .address = s.address, .server = &s};
    client_run(&c);
    server_stop(&s);
    assert_int_equal(c.ups, 2);
    assert_int_equal(c.replies, 2);
    assert_true(c.downs >= 1);
}

static void a_peer_that_is_not_there_is_tried_again_and_again(void **state)
{
    (void)state;
    struct server s = {.stop = 0};
    server_start(&s);
    server_stop(&s); /* its port is free now */
    struct client c = {.plan = PLAN_NOBODY, .address = s.address};
    client_run(&c);
    assert_int_equal(c.downs, 3);
    assert_int_equal(c.ups, 0);
}

/* The server answers with a whole message, and closes the link. The shortest pauses between dials
 * are 25, 50, 100, 200, 400 and 800 ms. */
static void a_peer_that_answers_and_closes_is_tried_less_and_less_often(void **state)
{
    (void)state;
    struct server s = {.stop = 0};
    server_start(&s);
    struct client c = {.plan = PLAN_REFUSED, .address = s.address};
    client_run(&c);
    server_stop(&s);
    assert_in_range(c.ups, 2, 7);
    assert_true(c.replies >= 1);
}

static void a_disconnected_peer_is_not_heard_of_again(void **state)
{
    (void)state;
    struct server s = {.stop_on_down = 1};
    server_start(&s);
    struct client c = {.plan = PLAN_DISCONNECT, .address = s.address};
    client_run(&c);
    server_join(&s);
    assert_int_equal(c.downs, 0);
    assert_int_equal(s.link_down_error, GT_ECLOSED);
}

static void a_large_value_goes_there_and_back(void **state)
{
    (void)state;
    struct server s = {.stop = 0};
    server_start(&s);
    struct client c = {.plan = PLAN_LARGE, .address = s.address};
    c.large = blob_new(LARGE_BYTES);
    for (uint32_t i = 0; i < LARGE_BYTES; i++)
        c.large->data[i] = (uint8_t)(i * 2654435761u >> 13);
    client_run(&c);
    server_stop(&s);
    assert_true(c.value_equal);
    blob_unref(c.large);
}

static void garbage_closes_its_link_alone(void **state)
{
    (void)state;
    struct server s = {.stop = 0};
    server_start(&s);
    int good = dial(&s), bad = dial(&s);
    assert_still_answers(good);
    write_all(bad, "GET / HTTP/1.1\r\n\r\n", 18);
    assert_int_equal(next_type(bad), 0);
    assert_still_answers(good);
    close(good);
    close(bad);
    server_stop(&s);
}

static void a_bad_message_in_a_good_frame_closes_its_link(void **state)
{
    (void)state;
    struct server s = {.stop = 0};
    server_start(&s);
    uint8_t frame[FRAME_HEADER_BYTES + 5] = {0};
    memcpy(frame + FRAME_HEADER_BYTES, "\xdd\xff\xff\xff\xff", 5);
    frame_seal(frame, 5);
    int fd = dial(&s);
    assert_still_answers(fd);
    write_all(fd, frame, sizeof(frame));
    assert_int_equal(next_type(fd), 0);
    close(fd);
    server_stop(&s);
    assert_int_equal(s.link_down_error, GT_EPROTO);
}

static void a_frame_over_the_limit_closes_its_link_before_its_body_comes(void **state)
{
    (void)state;
    struct server s = {.config.body_bytes_max = 1000};
    server_start(&s);
    uint8_t header[FRAME_HEADER_BYTES] = {0xe9, 3, 0, 0, FRAME_VERSION}; /* 1001 */
    int fd = dial(&s);
    write_all(fd, header, sizeof(header));
    assert_int_equal(next_type(fd), 0);
    close(fd);
    server_stop(&s);
}

static void a_stranger_holds_no_link_for_long(void **state)
{
    (void)state;
    struct server s = {.config = {.first_message_us = 50000}};
    server_start(&s);
    int good = dial(&s), silent = dial(&s), slow = dial(&s);
    assert_still_answers(good);
    write_all(slow, "\x05\x00\x00\x00\x01", 5);
    assert_int_equal(next_type(silent), 0);
    assert_int_equal(next_type(slow), 0);
    assert_still_answers(good); /* it has spoken, and may be silent now */
    close(good);
    close(silent);
    close(slow);
    server_stop(&s);
}

static void a_stranger_is_given_little_memory(void **state)
{
    (void)state;
    struct server s = {.stop = 0};
    uint8_t header[FRAME_HEADER_BYTES] = {0};
    header[4] = FRAME_VERSION;
    server_start(&s);
    struct msg put = {.type = MSG_PUT};
    struct blob *value = blob_new((64u << 10) + 1);
    memset(value->data, 0, value->bytes);
    put.put.value = slice_blob(value);
    int fd = dial(&s);
    le32_put(header, (64u << 10) + 1);
    write_all(fd, header, sizeof(header));
    assert_int_equal(next_type(fd), 0);
    close(fd);
    fd = dial(&s);
    assert_still_answers(fd);
    write_msg(fd, &put); /* no stranger any more */
    assert_int_equal(next_type(fd), MSG_GET_REPLY);
    close(fd);
    server_stop(&s);
    blob_unref(value);
}

static void an_unknown_request_is_refused_and_its_link_stays(void **state)
{
    (void)state;
    struct server s = {.stop = 0};
    server_start(&s);
    uint8_t frame[FRAME_HEADER_BYTES + 8] = {0};
    memcpy(frame + FRAME_HEADER_BYTES, "\x95\xcd\x03\xe8\x07\x00\x00\x00", 8); /* type 1000 */
    frame_seal(frame, 8);
    int fd = dial(&s);
    write_all(fd, frame, sizeof(frame));
    assert_int_equal(next_type(fd), 1001);
    assert_still_answers(fd);
    close(fd);
    server_stop(&s);
}

static void a_link_that_is_closed_gets_its_replies_first(void **state)
{
    (void)state;
    struct server s = {.stop = 0};
    server_start(&s);
    struct msg get = {.type = MSG_GET, .get.key = slice_text("key")};
    struct msg ping = {.type = MSG_PING};
    int fd = dial(&s);
    struct blob *one = msg_frame(&get), *two = msg_frame(&ping);
    uint8_t both[400];
    memcpy(both, one->data, one->bytes);
    memcpy(both + one->bytes, two->data, two->bytes);
    write_all(fd, both, one->bytes + two->bytes); /* and the second is heard no more */
    blob_unref(one);
    blob_unref(two);
    assert_int_equal(next_type(fd), MSG_GET_REPLY);
    assert_int_equal(next_type(fd), 0);
    close(fd);
    server_stop(&s);
}

static void links_over_the_bound_are_refused(void **state)
{
    (void)state;
    struct server s = {.config.links_max = 2};
    server_start(&s);
    int one = dial(&s), two = dial(&s);
    assert_still_answers(one);
    assert_still_answers(two);
    int three = dial(&s);
    assert_int_equal(next_type(three), 0);
    assert_still_answers(one);
    close(one);
    close(two);
    close(three);
    server_stop(&s);
}

static void a_peer_that_does_not_read_loses_its_link(void **state)
{
    (void)state;
    struct server s = {.config.link_queue_bytes = 1u << 20, .stop_on_down = 1};
    server_start(&s);
    static uint8_t value[256u << 10];
    struct msg put = {.type = MSG_PUT, .put.value = {value, sizeof(value)}};
    struct blob *frame = msg_frame(&put);
    int fd = dial(&s);
    assert_still_answers(fd); /* only who has spoken may send so much */
    /* It ends when the server has had enough; until then the kernel holds us back. */
    for (;;) {
        ssize_t sent = send(fd, frame->data, frame->bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            break;
        if (sent >= 0 && (size_t)sent < frame->bytes)
            break;
    }
    server_join(&s);
    assert_int_equal(s.link_down_error, GT_ELIMIT);
    blob_unref(frame);
    close(fd);
}

static void a_machine_is_called_when_its_deadline_has_passed(void **state)
{
    (void)state;
    struct server s = {.stop = 0};
    server_start(&s);
    struct msg ask = {.type = MSG_STATUS};
    int fd = dial(&s);
    for (int i = 0; i < 3; i++) {
        write_msg(fd, &ask);
        assert_int_equal(next_type(fd), MSG_STATUS_REPLY);
    }
    close(fd);
    server_stop(&s);
}

static void a_port_in_use_is_named(void **state)
{
    (void)state;
    struct server s = {.stop = 0};
    struct loop *l;
    struct address bound;
    char text[MSG_TEXT_BYTES], expected[MSG_TEXT_BYTES];
    server_start(&s);
    struct client c = {.plan = PLAN_NOBODY};
    struct loop_config config = {.machine = {&c, client_step, client_deadline_us}};
    assert_int_equal(loop_new(&config, &l), 0);
    assert_int_equal(loop_listen(l, &s.address, &bound, text), GT_EADDRESS);
    snprintf(expected, sizeof(expected), "127.0.0.1:%u is in use", s.address.port);
    assert_string_equal(text, expected);
    struct address free_port = {.host = "127.0.0.1"};
    assert_int_equal(loop_listen(l, &free_port, &bound, text), 0);
    loop_free(l); /* without having run */
    server_stop(&s);
}

static void an_ipv6_address_serves_too(void **state)
{
    (void)state;
    struct server s = {.address.host = "::1"};
    int probe = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool here = probe >= 0 && bind(probe, (struct sockaddr *)&at, sizeof(at)) == 0;
    close(probe);
    if (!here)
        skip(); /* this machine has no IPv6 */
    server_start(&s);
    struct client c = {.plan = PLAN_PINGS, .address = s.address};
    client_run(&c);
    server_stop(&s);
    assert_int_equal(c.replies, PINGS);
}

static void what_is_stored_is_answered_after_it_is_durable(void **state)
{
    (void)state;
    char folder[] = "/tmp/net_loop_test.XXXXXX", holder[DISK_HOLDER_BYTES], command[64];
    struct disk *disk;
    struct index *index;
    struct engine_report report;
    struct server s = {.stop = 0};
    assert_non_null(mkdtemp(folder));
    assert_int_equal(disk_posix_new(folder, "net_loop_test", NULL, &disk, holder), 0);
    assert_int_equal(index_lmdb_new(folder, 1u << 30, NULL, &index), 0);
    struct engine_config config = {.disk = disk,
                                   .index = index,
                                   .role = "node",
                                   .seed = 5,
                                   .wall_us = 1700000000000000u,
                                   .segment_bytes = 1u << 20};
    assert_int_equal(engine_open(&config, &s.config.engine, &report), 0);
    server_start(&s);
    struct client c = {.plan = PLAN_STORE, .address = s.address};
    client_run(&c);
    server_stop(&s);
    assert_int_equal(c.replies, 1);
    struct engine_totals totals;
    engine_totals(s.config.engine, &totals);
    assert_int_equal(totals.live, 1);
    assert_true(engine_idle(s.config.engine));
    engine_close(s.config.engine, true);
    index->destroy(index);
    disk->destroy(disk);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_requests_are_answered_in_few_writes),
        cmocka_unit_test(a_peer_by_name_is_found),
        cmocka_unit_test(a_peer_that_restarts_is_linked_again),
        cmocka_unit_test(a_peer_that_is_not_there_is_tried_again_and_again),
        cmocka_unit_test(a_peer_that_answers_and_closes_is_tried_less_and_less_often),
        cmocka_unit_test(a_disconnected_peer_is_not_heard_of_again),
        cmocka_unit_test(a_large_value_goes_there_and_back),
        cmocka_unit_test(garbage_closes_its_link_alone),
        cmocka_unit_test(a_bad_message_in_a_good_frame_closes_its_link),
        cmocka_unit_test(a_frame_over_the_limit_closes_its_link_before_its_body_comes),
        cmocka_unit_test(a_stranger_holds_no_link_for_long),
        cmocka_unit_test(a_stranger_is_given_little_memory),
        cmocka_unit_test(an_unknown_request_is_refused_and_its_link_stays),
        cmocka_unit_test(a_link_that_is_closed_gets_its_replies_first),
        cmocka_unit_test(links_over_the_bound_are_refused),
        cmocka_unit_test(a_peer_that_does_not_read_loses_its_link),
        cmocka_unit_test(a_machine_is_called_when_its_deadline_has_passed),
        cmocka_unit_test(a_port_in_use_is_named),
        cmocka_unit_test(an_ipv6_address_serves_too),
        cmocka_unit_test(what_is_stored_is_answered_after_it_is_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
