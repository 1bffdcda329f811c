#include "manager/catalog.h"

#include "engine/base/assert.h"
#include "engine/base/error.h"

int catalog_init(struct catalog *c, const struct blob *stored)
{
    *c = (struct catalog){.ballot = 1};
    if (!stored)
        return 0;
    struct msg_decoder *decoder = msg_decoder_new();
    if (!decoder)
        return GT_ENOMEM;
    int error = msg_map_read(decoder, slice_blob(stored), &c->told);
    msg_decoder_free(decoder);
    if (!error)
        c->ballot = c->told->epoch.ballot + 1;
    return error;
}

void catalog_close(struct catalog *c)
{
    ring_unref(c->told);
    ring_unref(c->writing);
    ring_unref(c->draft);
    *c = (struct catalog){0};
}

const struct ring *catalog_newest(const struct catalog *c)
{
    return c->draft ? c->draft : c->writing ? c->writing : c->told;
}

struct ring *catalog_edit(struct catalog *c, uint32_t member_count)
{
    const struct ring *newest = catalog_newest(c);
    if (!newest)
        return NULL;
    if (member_count < newest->member_count)
        member_count = newest->member_count;
    if (c->draft && c->draft->member_count == member_count)
        return c->draft;
    struct ring *copy = ring_copy(newest, member_count);
    if (copy)
        catalog_begin(c, copy);
    return copy;
}

void catalog_begin(struct catalog *c, struct ring *draft)
{
    gt_assert(draft->refs == 1);
    ring_unref(c->draft);
    c->draft = draft;
}

void catalog_commit(struct catalog *c, uint64_t stamp, struct gt_effects *fx)
{
    if (!c->draft || c->writing)
        return;
    uint64_t counter = c->told ? c->told->epoch.counter : 0;
    c->draft->epoch = (struct epoch){c->ballot, counter + 1};
    struct blob *bytes = msg_map_bytes(c->draft);
    if (!bytes)
        return; /* out of memory: the draft stays, the next commit tries again */
    c->writing = c->draft;
    c->draft = NULL;
    struct store_request request = {.kind = STORE_META,
                                    .tag = CATALOG_TAG,
                                    .hold = bytes,
                                    .key = slice_text("map"),
                                    .value = slice_blob(bytes),
                                    .stamp = stamp};
    effects_store(fx, &request);
}

bool catalog_stored(struct catalog *c, int result)
{
    gt_assert(c->writing);
    struct ring *written = c->writing;
    c->writing = NULL;
    if (result == 0) {
        ring_unref(c->told);
        c->told = written;
        return true;
    }
    if (c->draft)
        ring_unref(written); /* the draft holds its changes and more */
    else
        c->draft = written;
    return false;
}
