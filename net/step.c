#include "net/step.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"

void effects_init(struct gt_effects *fx)
{
    memset(fx, 0, sizeof(*fx));
}

void effects_close(struct gt_effects *fx)
{
    effects_clear(fx);
    free(fx->items);
    memset(fx, 0, sizeof(*fx));
}

static void effect_release(struct gt_effect *e)
{
    switch (e->kind) {
    case GT_SEND:
    case GT_REPLY:
        blob_unref(e->frame);
        break;
    case GT_STORE:
    case GT_LOAD:
    case GT_SCAN:
        store_request_release(&e->request);
        break;
    case GT_DONE:
        blob_unref(e->done.body);
        break;
    case GT_CONNECT:
    case GT_DISCONNECT:
    case GT_CLOSE:
    case GT_READY:
    case GT_IDENTITY:
    case GT_FAIL:
        break;
    }
}

void effects_clear(struct gt_effects *fx)
{
    for (uint32_t i = 0; i < fx->count; i++)
        effect_release(&fx->items[i]);
    fx->count = 0;
}

struct gt_effect *effects_add(struct gt_effects *fx, enum gt_effect_kind kind)
{
    if (fx->count == fx->capacity) {
        uint32_t capacity = fx->capacity ? fx->capacity * 2 : 16;
        struct gt_effect *grown = realloc(fx->items, capacity * sizeof(*grown));
        gt_assert(grown); /* a machine cannot fail, so its effects cannot either */
        fx->items = grown;
        fx->capacity = capacity;
    }
    struct gt_effect *e = &fx->items[fx->count++];
    memset(e, 0, sizeof(*e));
    e->kind = kind;
    return e;
}

static struct blob *frame_of(const struct msg *m)
{
    struct blob *frame = msg_frame(m);
    gt_assert(frame);
    return frame;
}

void effects_send(struct gt_effects *fx, uint64_t peer, const struct msg *m)
{
    struct gt_effect *e = effects_add(fx, GT_SEND);
    e->peer = peer;
    e->frame = frame_of(m);
}

void effects_reply(struct gt_effects *fx, uint64_t link, const struct msg *m)
{
    struct gt_effect *e = effects_add(fx, GT_REPLY);
    e->link = link;
    e->frame = frame_of(m);
}

void effects_send_many(struct gt_effects *fx, const uint64_t *peers, uint32_t count,
                       const struct msg *m)
{
    if (count == 0)
        return;
    struct blob *frame = frame_of(m);
    for (uint32_t i = 0; i < count; i++) {
        struct gt_effect *e = effects_add(fx, GT_SEND);
        e->peer = peers[i];
        e->frame = blob_ref(frame);
    }
    blob_unref(frame);
}

void effects_store(struct gt_effects *fx, const struct store_request *r)
{
    enum gt_effect_kind kind = r->kind == STORE_LOAD   ? GT_LOAD
                               : r->kind == STORE_SCAN ? GT_SCAN
                                                       : GT_STORE;
    effects_add(fx, kind)->request = *r;
}

void effects_connect(struct gt_effects *fx, uint64_t peer, const struct address *address)
{
    struct gt_effect *e = effects_add(fx, GT_CONNECT);
    e->peer = peer;
    e->address = *address;
}

void effects_disconnect(struct gt_effects *fx, uint64_t peer)
{
    effects_add(fx, GT_DISCONNECT)->peer = peer;
}

void effects_close_link(struct gt_effects *fx, uint64_t link)
{
    effects_add(fx, GT_CLOSE)->link = link;
}

void effects_ready(struct gt_effects *fx)
{
    effects_add(fx, GT_READY);
}

void effects_fail(struct gt_effects *fx, int error, const char *format, ...)
{
    struct gt_effect *e = effects_add(fx, GT_FAIL);
    va_list args;
    e->fail.error = error;
    va_start(args, format);
    vsnprintf(e->fail.text, sizeof(e->fail.text), format, args);
    va_end(args);
}
