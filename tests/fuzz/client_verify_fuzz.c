/*
 * Any bytes as what owners answer to VERIFY: the comparison comes to its end, and calls nothing
 * equal that it could not read.
 */
#include <stdio.h>
#include <stdlib.h>

#include "client/admin_view.h"
#include "client/verify.h"
#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "net/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity);

#define OWNERS     2u
#define STEPS_MAX  2000u
#define DATA_BYTES 4096u

struct rig {
    struct ring *ring;
    struct verifier verifier;
    struct gt_effects fx;
    struct msg_decoder *decoder;
    struct blob *body; /* the input: answers borrow from it */
    struct reader input;
    uint64_t now_us;
    bool done;
};

static void feed(struct rig *r, struct gt_event *ev)
{
    struct gt_machine machine = verifier_machine(&r->verifier);
    ev->now_us = r->now_us;
    machine.step(machine.self, ev, &r->fx);
}

static void say(struct rig *r, uint64_t peer, struct msg *m)
{
    struct gt_event ev = {.kind = GT_MESSAGE, .peer = peer, .message = {m, r->body}};
    feed(r, &ev);
}

/* The next answer that the input has. When it has none, the owner is gone. */
static void run_answer(struct rig *r, uint64_t peer, uint64_t id)
{
    struct msg m = {.type = MSG_VERIFY_REPLY, .id = id};
    uint8_t kind = read_u8(&r->input);
    m.verify_reply.head.error = kind & 1 ? 0 : -(int)(kind >> 3);
    m.verify_reply.head.flags = kind & 2 ? REPLY_MORE : 0;
    m.verify_reply.records = read_u8(&r->input);
    m.verify_reply.digest_sum = read_u8(&r->input) & 3;
    m.verify_reply.bad = kind & 4 ? 1 : 0;
    m.verify_reply.last_key = read_bytes(&r->input);
    m.verify_reply.row = read_bytes(&r->input);
    m.verify_reply.keys = read_bytes(&r->input);
    if (!r->input.failed) {
        say(r, peer, &m);
        return;
    }
    struct gt_event down = {.kind = GT_LINK_DOWN, .peer = peer, .error = GT_ECLOSED};
    feed(r, &down);
}

static void carry_one(struct rig *r, const struct gt_effect *e)
{
    struct msg ask;
    struct gt_event up = {.kind = GT_LINK_UP, .peer = e->peer};
    if (e->kind == GT_DONE)
        r->done = true;
    if (e->kind == GT_CONNECT)
        feed(r, &up);
    if (e->kind != GT_SEND)
        return;
    struct slice body =
        slice_of(e->frame->data + FRAME_HEADER_BYTES, e->frame->bytes - FRAME_HEADER_BYTES);
    int error = msg_decode(r->decoder, body, &ask);
    gt_assert(error == 0);
    struct msg hello = {.type = MSG_HELLO_REPLY, .hello = {.node = 100 + e->peer}};
    if (ask.type == MSG_HELLO)
        say(r, e->peer, &hello);
    else
        run_answer(r, e->peer, ask.id);
}

static void carry_out(struct rig *r)
{
    while (r->fx.count > 0) {
        struct gt_effects now = r->fx;
        effects_init(&r->fx);
        for (uint32_t i = 0; i < now.count; i++)
            carry_one(r, &now.items[i]);
        effects_close(&now);
    }
}

static struct ring *ring_of_two(void)
{
    struct ring *ring = ring_new(OWNERS, 1);
    gt_assert(ring);
    ring->formed = true;
    ring->settings = (struct settings){.replicas = OWNERS, .partitions = 1};
    ring->arcs[0].owner_count = OWNERS;
    for (uint32_t i = 0; i < OWNERS; i++) {
        ring->members[i].id = 101 + i;
        snprintf(ring->members[i].label, UNITS_LABEL_BYTES, "node%u", i + 1);
        ring->arcs[0].owners[i] = (uint16_t)i;
    }
    return ring;
}

/* What was found can be shown, and says no more than it proves. */
static void judge(const struct rig *r)
{
    char text[VIEW_TEXT_BYTES];
    struct buf lines;
    buf_init(&lines, 1u << 20);
    view_verify_lines(&r->verifier, &lines);
    bool equal = verifier_equal(&r->verifier);
    gt_assert(!lines.failed && equal == !view_verify_text(&r->verifier, text)[0]);
    gt_assert(!equal || (r->verifier.differing == 0 && r->verifier.members[0].left_out == 0 &&
                         r->verifier.members[1].left_out == 0));
    json_t *answer = view_verify_json(&r->verifier);
    gt_assert(json_is_true(json_object_get(answer, "equal")) == equal);
    json_decref(answer);
    buf_close(&lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rig r = {.ring = ring_of_two(),
                    .decoder = msg_decoder_new(),
                    .body = blob_copy(data, size),
                    .now_us = 1000000};
    gt_assert(r.decoder && r.body);
    r.input = reader_of(slice_blob(r.body));
    effects_init(&r.fx);
    verifier_init(&r.verifier, r.ring, 60000000);
    struct gt_machine machine = verifier_machine(&r.verifier);
    struct gt_event start = {.kind = GT_START};
    feed(&r, &start);
    carry_out(&r);
    for (uint32_t step = 0; !r.done; step++) {
        uint64_t at_us = machine.deadline_us(machine.self);
        gt_assert(step < STEPS_MAX && at_us < UINT64_MAX);
        r.now_us = at_us > r.now_us ? at_us : r.now_us;
        struct gt_event ev = {.kind = GT_TIMEOUT};
        feed(&r, &ev);
        carry_out(&r);
    }
    judge(&r);
    effects_close(&r.fx);
    verifier_close(&r.verifier);
    msg_decoder_free(r.decoder);
    blob_unref(r.body);
    ring_unref(r.ring);
    return 0;
}

/* Sound answers of both owners: a sum, then keys, equal or not. */
size_t fuzz_seed(unsigned index, uint8_t *out, size_t capacity)
{
    if (index >= 8)
        return 0;
    struct buf b, row, keys;
    buf_init(&b, DATA_BYTES);
    buf_init(&row, DATA_BYTES);
    buf_init(&keys, DATA_BYTES);
    for (unsigned i = 0; i < 6; i++) {
        buf_clear(&row);
        buf_clear(&keys);
        buf_varint(&row, 0);
        buf_bytes(&row, slice_text("clock"));
        buf_varint(&row, 2);
        buf_u64(&row, 3);
        for (unsigned k = 0; i >= OWNERS && k < 2; k++) {
            buf_bytes(&keys, slice_text(k ? "pear" : "apple"));
            buf_u64(&keys, index & 1 ? k + i : k);
        }
        buf_u8(&b, (uint8_t)(index & 6) | 1);
        buf_u8(&b, 2);
        buf_u8(&b, (uint8_t)(index & i));
        buf_bytes(&b, slice_text(i % 3 ? "pear" : "apple"));
        buf_bytes(&b, buf_slice(&row));
        buf_bytes(&b, buf_slice(&keys));
    }
    size_t bytes = b.bytes < capacity ? b.bytes : capacity;
    memcpy(out, b.data, bytes);
    buf_close(&b);
    buf_close(&row);
    buf_close(&keys);
    return bytes;
}
