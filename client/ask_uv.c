#include "client/ask.h"

#include <stdio.h>

#include "engine/base/error.h"
#include "net/loop_uv.h"

struct answer {
    struct ask_reply *reply;
    int error;
};

static void on_effect(void *arg, struct loop *l, const struct gt_effect *e)
{
    struct answer *answer = arg;
    if (e->kind != GT_DONE)
        return;
    answer->error = e->done.error;
    answer->reply->body = blob_ref(e->done.body);
    memcpy(answer->reply->text, e->done.text, MSG_TEXT_BYTES);
    loop_stop(l, 0);
}

static int answer_read(struct ask_reply *reply)
{
    reply->decoder = msg_decoder_new();
    if (!reply->decoder)
        return GT_ENOMEM;
    int error = msg_decode(reply->decoder, slice_blob(reply->body), &reply->msg);
    if (error)
        memset(&reply->msg, 0, sizeof(reply->msg));
    return error;
}

int ask(const struct address *addresses, uint32_t count, const struct msg *request,
        uint64_t timeout_us, struct ask_reply *out)
{
    struct asker asker;
    struct loop *loop;
    memset(out, 0, sizeof(*out));
    struct answer answer = {.reply = out, .error = GT_EUNREACHABLE};
    asker_init(&asker, addresses, count, request, timeout_us);
    struct loop_config config = {
        .machine = asker_machine(&asker), .seed = loop_seed(), .arg = &answer, .effect = on_effect};
    int error = loop_new(&config, &loop);
    if (!error) {
        error = loop_run(loop);
        loop_free(loop);
    }
    if (!error)
        error = answer.error;
    if (!error)
        error = answer_read(out);
    if (error && !out->text[0])
        snprintf(out->text, sizeof(out->text), "cannot ask: %s", error_text(error));
    return error;
}

void ask_reply_close(struct ask_reply *reply)
{
    if (reply->msg.type == MSG_MAP)
        ring_unref(reply->msg.map.ring);
    msg_decoder_free(reply->decoder);
    blob_unref(reply->body);
    memset(reply, 0, sizeof(*reply));
}
