/*
 * A state on its way from its coordinator to other owners: whole in one message to all, or, above a
 * frame, in pieces, one after the other to each (RULES 13). The owners are those of the slot, and
 * its quorum counts them:
 *
 *   UNTRIED --STATE sent--> ASKED --STATE_REPLY--> told to the slot's kind
 *      \--no link----------> FAILED
 *
 * A piece waits in a slot of its own for its acknowledgement; what ends it is that or its deadline,
 * and the silence of an owner is counted where the spreading slot is.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "node/node_private.h"

/* target: the owner for whom a guest keeps it; 0: it goes to the owner itself. */
static struct msg state_message(struct node *n, uint64_t id, const struct slot *s,
                                const struct blob *record, bool last, uint64_t target)
{
    struct msg m = coord_message(n, s, target ? MSG_PARCEL : MSG_STATE, id);
    m.state.target = target;
    m.state.head = (struct request_head){.deadline_ms = coord_left_ms(n, s),
                                         .age_ms = s->head.age_ms,
                                         .flags = s->spread.flags,
                                         .priority = s->spread.priority};
    memcpy(m.state.head.op, s->head.op, OP_ID_BYTES);
    m.state.partition = s->partition;
    m.state.key = s->key;
    m.state.record = slice_blob(record);
    /* Of a state in pieces the last one alone sets the clock: it has the whole history. */
    if (last) {
        m.state.dots = slice_blob(s->spread.dots);
        m.state.operations = slice_blob(s->spread.operations);
    }
    return m;
}

/* Piece `number` to an owner, or to the guest in its place; the one before is acknowledged. False
 * when the table is full. */
static bool piece_send(struct node *n, uint64_t id, struct slot *s, uint32_t owner, uint64_t guest,
                       uint32_t number, struct gt_effects *fx)
{
    uint64_t piece_id;
    struct slot *p =
        inner_take(n, SLOT_PIECE, s->deadline_us, &piece_id); /* the slot does not wait longer */
    if (!p)
        return false;
    p->piece.of = id;
    p->piece.owner = owner;
    p->piece.number = number;
    p->piece.guest = guest;
    bool last = number + 1 == s->spread.piece_count;
    struct msg m =
        state_message(n, piece_id, s, s->spread.pieces[number], last, guest ? s->owners[owner] : 0);
    effects_send(fx, guest ? guest : s->owners[owner], &m);
    return true;
}

struct cutting {
    struct slot *s;
    uint32_t capacity;
};

static int piece_keep(void *arg, const struct state *part, bool last)
{
    (void)last;
    struct cutting *c = arg;
    struct spread *spread = &c->s->spread;
    if (spread->piece_count == c->capacity) {
        uint32_t capacity = c->capacity ? c->capacity * 2 : 8;
        void *grown = realloc(spread->pieces, capacity * sizeof(*spread->pieces));
        if (!grown)
            return GT_ENOMEM;
        spread->pieces = grown;
        c->capacity = capacity;
    }
    int error =
        record_encode_blob(part, c->s->partition, c->s->key, &spread->pieces[spread->piece_count]);
    spread->piece_count += !error;
    return error;
}

static int pieces_cut(struct node *n, struct slot *s, const struct blob *record, size_t bytes_max)
{
    struct cutting c = {.s = s};
    state_clear(&n->local);
    int error = record_decode(slice_blob(record), s->partition, s->key, &n->local);
    return error ? error : record_pieces(&n->local, bytes_max, piece_keep, &c);
}

void spread_send(struct node *n, uint64_t id, struct slot *s, const struct blob *record,
                 struct gt_effects *fx)
{
    uint64_t peers[PLACES_MAX];
    uint32_t count = 0;
    size_t bytes_max = n->config.piece_bytes_max;
    if (bytes_max == 0)
        bytes_max = STATE_VALUE_LIMITS * n->ring->settings.value_bytes_max + (1u << 19);
    bool whole = !record || record->bytes <= bytes_max;
    int error = whole ? 0 : pieces_cut(n, s, record, bytes_max);
    if (error)
        log_warn(n->log, "state not sent: cutting it failed cause=%s", error_text(error));
    for (uint32_t i = 0; i < s->quorum.total; i++) {
        if (s->quorum.state[i] != QUORUM_UNTRIED)
            continue;
        if (error || !node_linked(n, s->owners[i]) ||
            (!whole && !piece_send(n, id, s, i, 0, 0, fx))) {
            quorum_fail(&s->quorum, i);
            continue;
        }
        coord_asked(n, id, s, i);
        if (whole)
            peers[count++] = s->owners[i];
    }
    if (count == 0)
        return;
    struct msg m = state_message(n, id, s, record, true, 0);
    effects_send_many(fx, peers, count, &m);
}

bool spread_to_guest(struct node *n, uint64_t id, struct slot *s, uint32_t place,
                     struct gt_effects *fx)
{
    uint64_t guest = s->put.guests[place];
    if (s->spread.piece_count > 0)
        return piece_send(n, id, s, place, guest, 0, fx);
    struct msg m = state_message(n, id, s, s->spread.record, true, s->owners[place]);
    effects_send(fx, guest, &m);
    return true;
}

static void counted(struct node *n, uint64_t id, struct slot *s, uint32_t owner, int error,
                    const struct msg *reply, struct gt_effects *fx)
{
    if (s->kind == SLOT_PUT)
        put_counted(n, id, s, owner, error, reply, fx);
    else if (s->kind == SLOT_REPAIR)
        repair_counted(n, id, s, owner, error, fx);
    else if (s->kind == SLOT_DELIVERY)
        delivery_counted(n, id, s, owner, error, fx);
}

static void piece_acked(struct node *n, uint64_t piece_id, struct slot *p, const struct msg *reply,
                        struct gt_effects *fx)
{
    uint64_t id = p->piece.of, guest = p->piece.guest;
    uint32_t owner = p->piece.owner, next = p->piece.number + 1;
    int error = reply->state_reply.head.error;
    coord_end(n, piece_id, p);
    struct slot *s = slots_find(n->slots, id);
    if (!s)
        return;
    if (guest && s->put.guests[owner] != guest)
        return; /* another one has its place */
    if (!error && next < s->spread.piece_count) {
        if (piece_send(n, id, s, owner, guest, next, fx)) {
            /* It speaks: the silence begins anew. */
            if (guest)
                s->put.guest_asked_us[owner] = n->now_us;
            else
                s->asked_us[owner] = n->now_us;
            coord_date(n, id, s);
            return;
        }
        error = GT_EBUSY;
    }
    if (!guest)
        counted(n, id, s, owner, error, reply, fx);
    else
        guest_counted(n, id, s, owner, error, fx);
}

void spread_acked(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *m = ev->message.msg;
    struct slot *s = slots_find(n->slots, m->id);
    int error = m->state_reply.head.error;
    if (error)
        log_debug(n->log, "state refused by=%s cause=%s", node_label_of(n, ev->peer),
                  error_text(error));
    if (s && s->kind == SLOT_PIECE) {
        struct slot *of = slots_find(n->slots, s->piece.of);
        if (!of || ev->peer == (s->piece.guest ? s->piece.guest : of->owners[s->piece.owner]))
            piece_acked(n, m->id, s, m, fx);
        return;
    }
    if (!s || (s->kind != SLOT_PUT && s->kind != SLOT_REPAIR && s->kind != SLOT_DELIVERY) ||
        s->spread.piece_count > 0)
        return;
    int owner = coord_owner(s, ev->peer);
    int place = s->kind == SLOT_PUT ? guest_place(s, ev->peer) : -1;
    if (place >= 0)
        guest_counted(n, m->id, s, (uint32_t)place, error, fx);
    else if (owner >= 0)
        counted(n, m->id, s, (uint32_t)owner, error, m, fx);
}

void spread_drop(struct spread *s)
{
    blob_unref(s->dots);
    blob_unref(s->operations);
    blob_unref(s->record);
    for (uint32_t i = 0; i < s->piece_count; i++)
        blob_unref(s->pieces[i]);
    free(s->pieces);
    *s = (struct spread){0};
}
