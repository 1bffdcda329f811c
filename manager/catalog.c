#include "manager/catalog.h"

#include <string.h>

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

static bool lists_equal(const struct arc *a, const struct arc *b)
{
    return a->owner_count == b->owner_count && a->beside_count == b->beside_count &&
           memcmp(a->owners, b->owners, a->owner_count * sizeof(*a->owners)) == 0 &&
           memcmp(a->beside, b->beside, a->beside_count * sizeof(*a->beside)) == 0;
}

static bool members_equal(const struct ring *a, const struct ring *b)
{
    bool equal = a->member_count == b->member_count;
    for (uint32_t i = 0; equal && i < a->member_count; i++) {
        const struct member *x = &a->members[i], *y = &b->members[i];
        equal = x->id == y->id && x->refill == y->refill &&
                (x->state == MEMBER_REMOVED) == (y->state == MEMBER_REMOVED);
    }
    return equal;
}

/* The epochs in the map that say since when something is so. */
static void epochs_note(struct ring *r, const struct ring *before)
{
    if (!before || !members_equal(r, before))
        r->members_since = r->epoch;
    for (uint32_t p = 0; r->formed && before && before->formed && p < r->settings.partitions; p++) {
        struct arc *now = &r->arcs[p];
        const struct arc *was = &before->arcs[p];
        bool same = now->phase == was->phase && lists_equal(now, was);
        if (!same && now->phase == ARC_PREPARE)
            now->write_since = r->epoch;
        if (!same && now->phase == ARC_READ_NEW)
            now->read_since = r->epoch;
    }
}

void catalog_commit(struct catalog *c, uint64_t stamp, struct gt_effects *fx)
{
    if (!c->draft || c->writing)
        return;
    uint64_t counter = c->told ? c->told->epoch.counter : 0;
    c->draft->epoch = (struct epoch){c->ballot, counter + 1};
    epochs_note(c->draft, c->told);
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
