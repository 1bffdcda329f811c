/*
 * The network: what TCP does, and what it may do at worst.
 *
 *   dial   CONNECT -> DIAL -> DIALED: LINK_UP | LINK_DOWN, then again after a back-off like that of
 *          the real loop (50 ms doubling to 2 s, anew after a link that stood for 2 s)
 *   frame  from one side, after a delay, in order unless the fault of reordering says otherwise,
 * into the frame cutter of the other end    a side that closes, or whose process ended, makes the
 * other hear of it (BREAK), unless the machine is silent: then the first frame to a machine that is
 * back is answered by it
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "tests/sim/world.h"

#define BASE_US          30u
#define LATE_US          20000000u
#define DIAL_US          500000u
#define BACKOFF_FIRST_US 50000u
#define BACKOFF_LAST_US  2000000u
#define BODY_BYTES_MAX   (8u << 20)

static bool happens(struct sim *s, uint32_t in_10000)
{
    return in_10000 > 0 && prng_below(&s->net_prng, 10000) < in_10000;
}

static uint64_t latency_us(struct sim *s, uint32_t from, uint32_t to)
{
    return BASE_US + exponential_us(&s->net_prng, s->network.latency_us) + s->slow_us[from][to];
}

/* ---- connections ----------------------------------------------------------------------------- */

static uint32_t conn_new(struct sim *s, uint32_t from, uint32_t to, uint64_t peer)
{
    s->conns = sim_grown(s->conns, s->conn_count, &s->conn_capacity, sizeof(*s->conns));
    struct conn *c = &s->conns[s->conn_count];
    *c = (struct conn){.host = {from, to},
                       .life = {s->hosts[from].life, s->hosts[to].life},
                       .peer = peer,
                       .open = {true, true}};
    frame_cutter_init(&c->cutter[0], BODY_BYTES_MAX);
    frame_cutter_init(&c->cutter[1], BODY_BYTES_MAX);
    return s->conn_count++;
}

static bool side_lives(const struct sim *s, const struct conn *c, uint32_t side)
{
    return c->open[side] && s->hosts[c->host[side]].life == c->life[side];
}

static void side_shut(struct conn *c, uint32_t side)
{
    c->open[side] = false;
    frame_cutter_close(&c->cutter[side]);
    frame_cutter_init(&c->cutter[side], BODY_BYTES_MAX);
}

/* The side will hear that the connection is gone, behind what is on its way to it. */
static void side_tell(struct sim *s, uint32_t conn, uint32_t side, int error)
{
    struct conn *c = &s->conns[conn];
    uint64_t at_us = s->now_us + latency_us(s, c->host[!side], c->host[side]);
    if (at_us <= c->arrival_us[side])
        at_us = c->arrival_us[side] + 1;
    queue_push(s, (struct item){.at_us = at_us,
                                .kind = ITEM_BREAK,
                                .host = c->host[side],
                                .end = {.conn = conn, .side = side, .error = error}});
}

static struct dialing *dialing_find(struct host *h, uint64_t peer)
{
    for (uint32_t i = 0; i < h->dialing_count; i++)
        if (h->dialings[i].peer == peer)
            return &h->dialings[i];
    return NULL;
}

static void dial_at(struct sim *s, uint32_t host, struct dialing *d, uint64_t at_us)
{
    queue_push(s, (struct item){.at_us = at_us,
                                .kind = ITEM_DIAL,
                                .host = host,
                                .life = s->hosts[host].life,
                                .dial = {.peer = d->peer, .dial = ++d->dial}});
}

/* The peer cannot be reached (any more): told, and tried again later. */
static void peer_down(struct sim *s, uint32_t host, struct dialing *d, int error)
{
    uint64_t step_us = (uint64_t)BACKOFF_FIRST_US << (d->failures < 8 ? d->failures : 8);
    if (step_us > BACKOFF_LAST_US)
        step_us = BACKOFF_LAST_US;
    d->failures++;
    d->conn = NONE;
    dial_at(s, host, d, s->now_us + step_us / 2 + prng_below(&s->net_prng, step_us / 2 + 1));
    struct gt_event ev = {.kind = GT_LINK_DOWN, .peer = d->peer, .error = error};
    host_feed(s, host, &ev);
}

/* This side's machine hears the end, as the loop would tell it. */
static void side_ended(struct sim *s, uint32_t conn, uint32_t side, int error)
{
    struct conn *c = &s->conns[conn];
    bool spoken = c->spoken[side];
    uint32_t host = c->host[side];
    side_shut(c, side);
    if (side == 1) {
        struct gt_event ev = {.kind = GT_LINK_DOWN, .link = conn + 1, .error = error};
        if (spoken)
            host_feed(s, host, &ev);
        return;
    }
    struct dialing *d = dialing_find(&s->hosts[host], c->peer);
    if (!d || d->conn != conn)
        return;
    if (s->now_us - d->up_us >= BACKOFF_LAST_US)
        d->failures = 0;
    peer_down(s, host, d, error);
}

void net_break_arrived(struct sim *s, const struct item *item)
{
    uint32_t conn = item->end.conn, side = item->end.side;
    if (!side_lives(s, &s->conns[conn], side))
        return;
    sim_say(s, (int)item->host, "link with %s broke", s->hosts[s->conns[conn].host[!side]].name);
    side_ended(s, conn, side, item->end.error);
}

void net_close(struct sim *s, uint32_t conn, uint32_t side, int error, bool tell_self)
{
    if (!side_lives(s, &s->conns[conn], side))
        return;
    side_tell(s, conn, !side, GT_ECLOSED);
    if (tell_self)
        side_ended(s, conn, side, error);
    else
        side_shut(&s->conns[conn], side);
}

void net_host_gone(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    for (uint32_t i = 0; i < s->conn_count; i++)
        for (uint32_t side = 0; side < 2; side++) {
            struct conn *c = &s->conns[i];
            if (c->host[side] != host || c->life[side] != h->life || !c->open[side])
                continue;
            side_shut(c, side);
            if (!h->silent)
                side_tell(s, i, !side, GT_ECLOSED);
        }
    free(h->dialings);
    h->dialings = NULL;
    h->dialing_count = h->dialing_capacity = 0;
}

void net_free(struct sim *s)
{
    for (uint32_t i = 0; i < s->conn_count; i++) {
        frame_cutter_close(&s->conns[i].cutter[0]);
        frame_cutter_close(&s->conns[i].cutter[1]);
    }
    free(s->conns);
}

uint32_t net_conn_of_peer(const struct sim *s, uint32_t host, uint64_t peer)
{
    const struct dialing *d = dialing_find((struct host *)(uintptr_t)&s->hosts[host], peer);
    return d ? d->conn : NONE;
}

uint32_t net_conn_of_link(const struct sim *s, uint32_t host, uint64_t link)
{
    if (link == 0 || link > s->conn_count)
        return NONE;
    const struct conn *c = &s->conns[link - 1];
    return c->host[1] == host && side_lives(s, c, 1) ? (uint32_t)(link - 1) : NONE;
}

/* ---- dialing --------------------------------------------------------------------------------- */

static uint32_t host_at(const struct sim *s, const struct address *address)
{
    for (uint32_t i = 0; i < s->host_count; i++)
        if (strcmp(s->hosts[i].name, address->host) == 0)
            return i;
    return NONE;
}

void net_connect(struct sim *s, uint32_t host, uint64_t peer, const struct address *address)
{
    struct host *h = &s->hosts[host];
    struct dialing *d = dialing_find(h, peer);
    uint32_t target = host_at(s, address);
    if (d && d->target == target)
        return;
    if (!d) {
        h->dialings =
            sim_grown(h->dialings, h->dialing_count, &h->dialing_capacity, sizeof(*h->dialings));
        d = &h->dialings[h->dialing_count++];
        *d = (struct dialing){.peer = peer, .conn = NONE};
    }
    d->target = target;
    d->failures = 0;
    if (d->conn != NONE) {
        net_close(s, d->conn, 0, GT_ECLOSED, true);
        return;
    }
    dial_at(s, host, d, s->now_us);
}

void net_disconnect(struct sim *s, uint32_t host, uint64_t peer)
{
    struct host *h = &s->hosts[host];
    struct dialing *d = dialing_find(h, peer);
    if (!d)
        return;
    uint32_t conn = d->conn;
    *d = h->dialings[--h->dialing_count];
    if (conn != NONE)
        net_close(s, conn, 0, GT_ECLOSED, false);
}

void net_dial(struct sim *s, const struct item *item)
{
    uint32_t host = item->host;
    struct dialing *d = dialing_find(&s->hosts[host], item->dial.peer);
    if (!d || d->dial != item->dial.dial || d->conn != NONE)
        return;
    struct item answer = {.kind = ITEM_DIALED,
                          .host = host,
                          .life = item->life,
                          .dial = {.peer = d->peer, .dial = d->dial, .conn = NONE}};
    uint32_t to = d->target;
    bool nowhere = to == NONE;
    if (!nowhere &&
        (s->cut[host][to] || s->cut[to][host] || (!s->hosts[to].up && s->hosts[to].silent))) {
        answer.at_us = s->now_us + DIAL_US;
        answer.dial.error = GT_ETIMEOUT;
    } else if (nowhere || !s->hosts[to].up) {
        answer.at_us = s->now_us + 2 * (uint64_t)BASE_US;
        answer.dial.error = GT_EUNREACHABLE;
    } else {
        answer.at_us = s->now_us + latency_us(s, host, to) + latency_us(s, to, host);
        answer.dial.conn = conn_new(s, host, to, d->peer);
    }
    queue_push(s, answer);
}

void net_dialed(struct sim *s, const struct item *item)
{
    uint32_t host = item->host, conn = item->dial.conn;
    struct dialing *d = dialing_find(&s->hosts[host], item->dial.peer);
    if (!d || d->dial != item->dial.dial) {
        if (conn != NONE)
            net_close(s, conn, 0, GT_ECLOSED, false);
        return;
    }
    if (conn == NONE || !side_lives(s, &s->conns[conn], 0)) {
        peer_down(s, host, d, conn == NONE ? item->dial.error : GT_ECLOSED);
        return;
    }
    d->conn = conn;
    d->up_us = s->now_us;
    struct gt_event ev = {.kind = GT_LINK_UP, .peer = d->peer};
    host_feed(s, host, &ev);
}

/* ---- frames ---------------------------------------------------------------------------------- */

static void frame_push(struct sim *s, uint32_t conn, uint32_t side, struct blob *frame)
{
    struct conn *c = &s->conns[conn];
    uint64_t at_us = s->now_us + latency_us(s, c->host[!side], c->host[side]);
    if (happens(s, s->network.reorder)) {
        at_us += exponential_us(&s->net_prng, 20000);
    } else {
        if (at_us <= c->arrival_us[side])
            at_us = c->arrival_us[side] + 1;
        c->arrival_us[side] = at_us;
    }
    struct item item = {.at_us = at_us,
                        .kind = ITEM_FRAME,
                        .host = c->host[side],
                        .frame = {.conn = conn, .side = side, .frame = frame}};
    if (happens(s, s->network.broken))
        item.frame.broken_at = 1 + (uint32_t)prng_below(&s->net_prng, frame->bytes - 1);
    queue_push(s, item);
}

/* A copy that comes when much has happened since, if the connection still stands. */
static void frame_push_late(struct sim *s, uint32_t conn, uint32_t side, struct blob *frame)
{
    const struct conn *c = &s->conns[conn];
    bool nodes = s->hosts[c->host[0]].role == SIM_NODE && s->hosts[c->host[1]].role == SIM_NODE;
    if (!nodes || !happens(s, s->network.late))
        return;
    struct item item = {
        .at_us = s->now_us + BASE_US + prng_below(&s->net_prng, LATE_US),
        .kind = ITEM_FRAME,
        .host = c->host[side],
        .frame = {
            .conn = conn, .side = side, .frame = blob_ref(frame), .copy = true, .late = true}};
    queue_push(s, item);
}

static void copy_keep(struct sim *s, uint32_t conn, uint32_t side, struct blob *frame)
{
    const struct conn *c = &s->conns[conn];
    if (!s->copied[c->host[!side]][c->host[side]])
        return;
    s->copies = sim_grown(s->copies, s->copy_count, &s->copy_capacity, sizeof(*s->copies));
    s->copies[s->copy_count++] = (struct item){
        .kind = ITEM_FRAME,
        .host = c->host[side],
        .frame = {.conn = conn, .side = side, .frame = blob_ref(frame), .copy = true}};
}

void sim_copies_keep(struct sim *s, uint32_t a, uint32_t b)
{
    s->copied[a][b] = true;
}

void sim_copies_end(struct sim *s)
{
    memset(s->copied, 0, sizeof(s->copied));
}

void sim_copies_arrive(struct sim *s)
{
    for (uint32_t i = 0; i < s->copy_count; i++) {
        s->copies[i].at_us = s->now_us + BASE_US + i;
        queue_push(s, s->copies[i]);
    }
    s->copy_count = 0;
}

void net_frame(struct sim *s, uint32_t conn, uint32_t from_side, struct blob *frame)
{
    if (conn == NONE || !side_lives(s, &s->conns[conn], from_side)) {
        blob_unref(frame);
        return;
    }
    frame_push_late(s, conn, !from_side, frame);
    copy_keep(s, conn, !from_side, frame);
    if (happens(s, s->network.doubled))
        frame_push(s, conn, !from_side, blob_ref(frame));
    if (happens(s, s->network.loss)) {
        blob_unref(frame);
        return;
    }
    frame_push(s, conn, !from_side, frame);
}

/* Into the cutter, in two pieces. */
static void bytes_arrive(struct sim *s, uint32_t conn, uint32_t side, const uint8_t *data,
                         size_t bytes)
{
    size_t first = (size_t)prng_below(&s->net_prng, bytes + 1);
    const uint8_t *at[2] = {data, data + first};
    size_t left[2] = {first, bytes - first};
    for (int piece = 0; piece < 2; piece++) {
        struct blob *body;
        int cut;
        while (side_lives(s, &s->conns[conn], side) &&
               (cut = frame_cut(&s->conns[conn].cutter[side], &at[piece], &left[piece], &body)) !=
                   0) {
            if (cut < 0) {
                sim_break(s, "a frame of our own was refused: %s", error_text(cut));
                return;
            }
            s->conns[conn].spoken[side] = true;
            host_body(s, conn, side, body);
            blob_unref(body);
        }
    }
}

static void hold(struct sim *s, const struct item *item)
{
    s->held = sim_grown(s->held, s->held_count, &s->held_capacity, sizeof(*s->held));
    s->held[s->held_count++] = *item;
}

void net_frame_arrived(struct sim *s, struct item *item)
{
    uint32_t conn = item->frame.conn, side = item->frame.side;
    const struct conn *c = &s->conns[conn];
    struct blob *frame = item->frame.frame;
    if (item->frame.late && s->network.late == 0) {
        blob_unref(frame);
        return;
    }
    if (s->cut[c->host[!side]][c->host[side]]) {
        if (s->network.holds)
            hold(s, item);
        else
            blob_unref(frame);
        return;
    }
    hash_mix(s, hash_bytes(slice_blob(frame)));
    if (!side_lives(s, c, side)) {
        if (!item->frame.copy && side_lives(s, c, !side) &&
            (s->hosts[c->host[side]].up || !s->hosts[c->host[side]].silent))
            side_tell(s, conn, !side, GT_ECLOSED);
        blob_unref(frame);
        return;
    }
    size_t bytes = item->frame.broken_at ? item->frame.broken_at : frame->bytes;
    bytes_arrive(s, conn, side, frame->data, bytes);
    if (item->frame.broken_at && side_lives(s, &s->conns[conn], side)) {
        side_tell(s, conn, !side, GT_ECLOSED);
        side_ended(s, conn, side, GT_ECLOSED);
    }
    blob_unref(frame);
}

/* ---- cuts ------------------------------------------------------------------------------------ */

/* What a cut held back goes on, in order. */
static void held_release(struct sim *s)
{
    uint32_t kept = 0;
    uint64_t at_us = s->now_us + BASE_US;
    for (uint32_t i = 0; i < s->held_count; i++) {
        struct item item = s->held[i];
        const struct conn *c = &s->conns[item.frame.conn];
        if (s->cut[c->host[!item.frame.side]][c->host[item.frame.side]]) {
            s->held[kept++] = item;
            continue;
        }
        item.at_us = at_us++;
        queue_push(s, item);
    }
    s->held_count = kept;
}

void sim_cut(struct sim *s, uint32_t a, uint32_t b, bool cut)
{
    if (s->cut[a][b] == cut)
        return;
    s->cut[a][b] = cut;
    sim_say(s, -1, "%s -> %s %s", s->hosts[a].name, s->hosts[b].name, cut ? "cut" : "joined");
    if (!cut)
        held_release(s);
}

bool sim_is_cut(const struct sim *s, uint32_t a, uint32_t b)
{
    return s->cut[a][b];
}

void sim_slow(struct sim *s, uint32_t a, uint32_t b, uint32_t extra_us)
{
    s->slow_us[a][b] = s->slow_us[b][a] = extra_us;
    sim_say(s, -1, "%s - %s slower by %u us", s->hosts[a].name, s->hosts[b].name, extra_us);
}

void sim_network(struct sim *s, const struct sim_network *n)
{
    s->network = *n;
}

void sim_heal(struct sim *s)
{
    memset(s->cut, 0, sizeof(s->cut));
    memset(s->slow_us, 0, sizeof(s->slow_us));
    held_release(s);
}
