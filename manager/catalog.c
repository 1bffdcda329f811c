#include "manager/catalog.h"

#include <string.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"

int catalog_init(struct catalog *c, const struct blob *stored)
{
    *c = (struct catalog){0};
    return stored ? msg_map_read(slice_blob(stored), &c->told) : 0;
}

static void writing_drop(struct catalog *c)
{
    ring_unref(c->writing);
    blob_unref(c->bytes);
    blob_unref(c->voters);
    blob_unref(c->voters2);
    c->writing = NULL;
    c->bytes = c->voters = c->voters2 = NULL;
    c->counted = c->storing = c->found = false;
}

void catalog_close(struct catalog *c)
{
    writing_drop(c);
    ring_unref(c->told);
    ring_unref(c->draft);
    *c = (struct catalog){0};
}

void catalog_drop(struct catalog *c)
{
    if (!c->counted)
        writing_drop(c);
    ring_unref(c->draft);
    c->draft = NULL;
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
        bool same = now->phase == was->phase && arc_lists_equal(now, was);
        if (!same && now->phase == ARC_PREPARE)
            now->write_since = r->epoch;
        if (!same && now->phase == ARC_READ_NEW)
            now->read_since = r->epoch;
    }
}

/* ---- who must hold it ------------------------------------------------------------------------ */

static bool stays(const struct ring *r, uint64_t id)
{
    int i = ring_member_by_id(r, id);
    return i >= 0 && r->members[i].state != MEMBER_REMOVED;
}

/* Another node has its place: a person has said that it is lost for good. */
static bool is_replaced(const struct ring *r, uint32_t member, const struct ring *after)
{
    return member < after->member_count && after->members[member].id != r->members[member].id;
}

/* Members that have a part in an arc, or, while there are none, all. */
static void electors_find(const struct ring *r, bool out[MEMBERS_MAX])
{
    memset(out, 0, MEMBERS_MAX * sizeof(*out));
    for (uint32_t p = 0; r->formed && p < r->settings.partitions; p++) {
        uint16_t places[PLACES_MAX];
        uint32_t owners, beside, count = ring_places(r, p, false, places, &owners, &beside);
        for (uint32_t i = 0; i < count; i++)
            out[places[i]] = true;
    }
    for (uint32_t i = 0; i < r->member_count; i++)
        out[i] = (out[i] || !r->formed) && r->members[i].state != MEMBER_REMOVED;
}

/* The electors of r but for those who go. When all of them go the other members are left. */
static struct blob *voters_but(const struct ring *r, const bool goes[MEMBERS_MAX])
{
    uint32_t asked = 0;
    uint64_t ids[MEMBERS_MAX];
    bool elector[MEMBERS_MAX];
    electors_find(r, elector);
    for (uint32_t i = 0; i < r->member_count; i++)
        if (elector[i] && !goes[i])
            ids[asked++] = r->members[i].id;
    bool owned = asked > 0;
    for (uint32_t i = 0; r->formed && !owned && i < r->member_count; i++)
        if (!goes[i] && r->members[i].state != MEMBER_REMOVED)
            ids[asked++] = r->members[i].id;
    struct blob *run = blob_new(asked * 8u);
    for (uint32_t i = 0; run && i < asked; i++)
        le64_put(run->data + i * 8u, ids[i]);
    return run;
}

/* Who must hold what follows r, which is `after`; of some nothing is asked (catalog.h). */
static struct blob *voters_before(const struct ring *r, const struct ring *after)
{
    uint32_t going = 0;
    bool elector[MEMBERS_MAX], goes[MEMBERS_MAX] = {false};
    electors_find(r, elector);
    for (uint32_t i = 0; i < r->member_count; i++)
        going += elector[i] && !stays(after, r->members[i].id);
    for (uint32_t i = 0; i < r->member_count; i++)
        goes[i] = !stays(after, r->members[i].id) && (going == 1 || is_replaced(r, i, after));
    return voters_but(r, goes);
}

struct blob *catalog_voters(const struct ring *r, const uint64_t *gone, uint32_t gone_count)
{
    bool goes[MEMBERS_MAX] = {false};
    for (uint32_t i = 0; i < r->member_count; i++)
        for (uint32_t of = 0; of < gone_count; of++)
            goes[i] |= r->members[i].id == gone[of];
    return voters_but(r, goes);
}

struct blob *catalog_second(const struct ring *found, struct slice voters)
{
    struct blob *own = catalog_voters(found, NULL, 0);
    gt_assert(own);
    size_t first = voters.bytes / 8, second = own->bytes / 8, both = 0;
    for (size_t at = 0; at < voters.bytes; at += 8)
        for (size_t of = 0; of < own->bytes; of += 8)
            both += le64_get(voters.data + at) == le64_get(own->data + of);
    if (first / 2 + 1 + second / 2 + 1 <= first + second - both)
        return own;
    blob_unref(own);
    return NULL;
}

/* ---- on its way ------------------------------------------------------------------------------ */

/* Takes over the map and the lists; out of memory: drops them. */
static bool writing_begin(struct catalog *c, struct ring *map, struct blob *voters,
                          struct blob *voters2)
{
    uint64_t counter = c->told ? c->told->epoch.counter : 0;
    if (c->counter < counter)
        c->counter = counter;
    map->epoch = (struct epoch){c->ballot, c->counter + 1};
    epochs_note(map, c->told);
    struct blob *bytes = msg_map_bytes(map);
    if (!bytes || !voters) {
        blob_unref(bytes);
        blob_unref(voters);
        blob_unref(voters2);
        return false;
    }
    writing_drop(c);
    c->counter++;
    c->writing = map;
    c->bytes = bytes;
    c->voters = voters;
    c->voters2 = voters2;
    return true;
}

bool catalog_commit(struct catalog *c)
{
    if (!c->draft || c->counted || c->found)
        return false;
    struct blob *voters = !c->draft->formed              ? blob_new(0)
                          : !c->told || !c->told->formed ? catalog_voters(c->draft, NULL, 0)
                                                         : voters_before(c->told, c->draft);
    if (!writing_begin(c, c->draft, voters, NULL))
        return false; /* out of memory: the draft stays, the next commit tries again */
    c->draft = NULL;
    return true;
}

bool catalog_commit_found(struct catalog *c, const struct ring *found, struct slice voters)
{
    gt_assert(!c->writing && !c->draft);
    struct ring *copy = ring_copy(found, found->member_count);
    if (c->counter < found->epoch.counter)
        c->counter = found->epoch.counter;
    if (!copy || !writing_begin(c, copy, blob_copy(voters.data, voters.bytes),
                                catalog_second(found, voters))) {
        ring_unref(copy);
        return false;
    }
    c->found = true;
    return true;
}

static void store(struct catalog *c, uint64_t stamp, struct gt_effects *fx)
{
    struct store_request request = {.kind = STORE_META,
                                    .tag = CATALOG_TAG,
                                    .hold = blob_ref(c->bytes),
                                    .key = slice_text("map"),
                                    .value = slice_blob(c->bytes),
                                    .stamp = stamp};
    c->storing = true;
    effects_store(fx, &request);
}

void catalog_counted(struct catalog *c, uint64_t stamp, struct gt_effects *fx)
{
    gt_assert(c->writing && !c->storing);
    c->counted = true;
    store(c, stamp, fx);
}

void catalog_copy(struct catalog *c, struct ring *counts, uint64_t stamp, struct gt_effects *fx)
{
    gt_assert(!c->writing);
    struct blob *bytes = msg_map_bytes(counts);
    if (!bytes)
        return; /* a cache: another time */
    c->writing = ring_ref(counts);
    c->bytes = bytes;
    c->counted = true;
    store(c, stamp, fx);
}

bool catalog_stored(struct catalog *c, int result)
{
    gt_assert(c->storing);
    c->storing = false;
    if (result)
        return false;
    ring_unref(c->told);
    c->told = ring_ref(c->writing);
    writing_drop(c);
    return true;
}
