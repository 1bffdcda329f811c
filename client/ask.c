#include "client/ask.h"

#include <stdio.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"

#define HELLO_ID       1
#define REQUEST_ID     2
#define ATTEMPT_US_MIN 500000u

void asker_init(struct asker *a, const struct address *addresses, uint32_t count,
                const struct msg *request, uint64_t timeout_us)
{
    gt_assert(count >= 1 && count <= ASK_ADDRESSES_MAX);
    *a = (struct asker){.addresses = addresses,
                        .count = count,
                        .request = request,
                        .timeout_us = timeout_us,
                        .deadline_us = UINT64_MAX,
                        .attempt_us = UINT64_MAX};
}

static uint64_t peer_now(const struct asker *a)
{
    return a->at + 1;
}

static void attempt(struct asker *a, uint64_t now_us, struct gt_effects *fx)
{
    uint64_t part = (a->deadline_us - now_us) / (a->count - a->at);
    a->attempt_us = now_us + (part > ATTEMPT_US_MIN ? part : ATTEMPT_US_MIN);
    if (a->attempt_us > a->deadline_us)
        a->attempt_us = a->deadline_us;
    effects_connect(fx, peer_now(a), &a->addresses[a->at]);
}

static struct gt_effect *finish(struct asker *a, struct gt_effects *fx, int error)
{
    struct gt_effect *done = effects_add(fx, GT_DONE);
    done->done.error = error;
    a->done = true;
    a->attempt_us = UINT64_MAX;
    return done;
}

static void fail(struct asker *a, struct gt_effects *fx)
{
    char address[UNITS_ADDRESS_BYTES], others[32] = "";
    if (a->kept) {
        finish(a, fx, 0)->done.body = a->kept;
        a->kept = NULL;
        return;
    }
    struct gt_effect *done = finish(a, fx, a->refused ? a->refused : GT_EUNREACHABLE);
    units_address_text(&a->addresses[0], address);
    if (a->count > 1)
        snprintf(others, sizeof(others), " and %u more", a->count - 1);
    if (a->refused)
        snprintf(done->done.text, MSG_TEXT_BYTES, "%.190s", a->refused_text);
    else
        snprintf(done->done.text, MSG_TEXT_BYTES,
                 "%.100s%s unreachable: no manager or node answers there; see -m", address, others);
}

static void next(struct asker *a, uint64_t now_us, struct gt_effects *fx)
{
    effects_disconnect(fx, peer_now(a));
    a->at++;
    if (a->at < a->count && now_us < a->deadline_us)
        attempt(a, now_us, fx);
    else
        fail(a, fx);
}

static void greet(struct asker *a, struct gt_effects *fx)
{
    struct msg hello = {.type = MSG_HELLO,
                        .id = HELLO_ID,
                        .hello = {.role = ROLE_CLIENT,
                                  .protocol_min = MSG_PROTOCOL_MIN,
                                  .protocol_max = MSG_PROTOCOL_MAX,
                                  .label = slice_text("gtstore-admin")}};
    effects_send(fx, peer_now(a), &hello);
}

static void on_hello_reply(struct asker *a, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *reply = ev->message.msg;
    if (reply->hello.error) {
        char address[UNITS_ADDRESS_BYTES];
        a->refused = reply->hello.error;
        units_address_text(&a->addresses[a->at], address);
        snprintf(a->refused_text, MSG_TEXT_BYTES, "%.80s refused: %s: %.*s", address,
                 error_text(reply->hello.error), (int)reply->hello.text.bytes,
                 (const char *)reply->hello.text.data);
        next(a, ev->now_us, fx);
        return;
    }
    struct msg request = *a->request;
    request.id = REQUEST_ID;
    effects_send(fx, peer_now(a), &request);
}

/* A manager that stands by: the next one on the list may lead. */
static bool stands_by(const struct msg *reply)
{
    return (reply->type == MSG_STATUS_REPLY && reply->status_reply.status &&
            reply->status_reply.status->standby) ||
           (reply->type == MSG_ADMIN_REPLY && reply->admin_reply.error == GT_EBUSY) ||
           (reply->type == MSG_PLAN_REPLY && reply->plan_reply.error == GT_EBUSY);
}

static void on_message(struct asker *a, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *reply = ev->message.msg;
    if (reply->type == MSG_HELLO_REPLY) {
        on_hello_reply(a, ev, fx);
    } else if (reply->id == REQUEST_ID && reply->type == a->request->type + 1) {
        if (stands_by(reply) && a->at + 1 < a->count) {
            if (!a->kept)
                a->kept = blob_ref(ev->message.body);
            next(a, ev->now_us, fx);
            return;
        }
        blob_unref(a->kept);
        a->kept = NULL;
        finish(a, fx, 0)->done.body = blob_ref(ev->message.body);
        effects_disconnect(fx, peer_now(a));
    }
}

static void step(void *self, const struct gt_event *ev, struct gt_effects *fx)
{
    struct asker *a = self;
    if (a->done)
        return;
    switch (ev->kind) {
    case GT_START:
        a->deadline_us = ev->now_us + a->timeout_us;
        attempt(a, ev->now_us, fx);
        return;
    case GT_LINK_UP:
        if (ev->peer == peer_now(a))
            greet(a, fx);
        return;
    case GT_LINK_DOWN:
        if (ev->error == GT_EDESCRIPTORS) {
            a->refused = ev->error;
            snprintf(a->refused_text, MSG_TEXT_BYTES, "%s", error_text(ev->error));
        }
        if (ev->peer == peer_now(a))
            next(a, ev->now_us, fx);
        return;
    case GT_MESSAGE:
        if (ev->peer == peer_now(a))
            on_message(a, ev, fx);
        return;
    case GT_TIMEOUT:
        if (ev->now_us >= a->attempt_us)
            next(a, ev->now_us, fx);
        return;
    case GT_STORED:
    case GT_LOADED:
    case GT_SCANNED:
    case GT_CALL:
        return;
    }
}

static uint64_t deadline(const void *self)
{
    return ((const struct asker *)self)->attempt_us;
}

struct gt_machine asker_machine(struct asker *a)
{
    return (struct gt_machine){a, step, deadline};
}
