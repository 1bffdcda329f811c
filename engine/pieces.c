/*
 * Keys of which a part arrived. A state above a frame comes in pieces, its history last (RULES 13):
 * until then a sibling stands beside what its put has seen and superseded, and a session that wrote
 * it would be shown that again. So what is not here whole is not lent: the owner answers as before
 * the first piece, and who needs the newer state asks another.
 *
 * Whole is what the partition's clock has. Which keys are to be looked at is remembered for the
 * last PIECES_MAX of them, in memory: a restart forgets it, and so do many large puts that break
 * off.
 */
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/mutant.h"
#include "engine/engine_private.h"

static uint32_t place(const struct pieces *p, uint32_t partition, uint64_t hash)
{
    uint32_t at = 0;
    while (at < p->count && (p->keys[at].partition != partition || p->keys[at].hash != hash))
        at++;
    return at;
}

void pieces_note(struct engine *e, uint32_t partition, uint64_t hash, bool part)
{
    struct pieces *p = &e->pieces;
    uint32_t at = place(p, partition, hash);
    if (!part && at < p->count)
        p->keys[at] = p->keys[--p->count];
    if (!part || at < p->count)
        return;
    at = p->count < PIECES_MAX ? p->count++ : p->next++ % PIECES_MAX;
    p->keys[at].partition = partition;
    p->keys[at].hash = hash;
}

bool pieces_whole(const struct partition *p, struct dot d)
{
    return clock_covers(&p->clock, d) || clock_covers(&p->fill.doubt, d);
}

static bool whole(const struct partition *p, const struct history *h, struct dot d)
{
    bool listed = false; /* by the vector: whoever raised that had all of the actor's */
    for (uint32_t i = 0; i < h->vector_count; i++)
        listed |= dot_compare((struct dot){h->vector[i].actor, d.seq}, d) == 0 &&
                  d.seq <= h->vector[i].seq;
    return listed || pieces_whole(p, d);
}

int pieces_hide(struct engine *e, uint32_t partition, struct slice key, struct blob **record)
{
    const struct partition *p = partition < e->partition_count ? e->partitions[partition] : NULL;
    if (e->pieces.count == 0 || !p || !*record || MUTANT(lend_pieces) ||
        place(&e->pieces, partition, hash_bytes(key)) == e->pieces.count)
        return 0;
    int error = record_decode(slice_blob(*record), partition, key, &e->local);
    state_clear(&e->merged);
    if (!error)
        error = history_copy(&e->merged.history, &e->local.history);
    struct history *h = &e->merged.history;
    uint32_t hidden = 0, kept = 0;
    for (uint32_t i = 0; i < h->exact_count; i++) {
        bool part = state_find(&e->local, h->exact[i]) && !whole(p, &e->local.history, h->exact[i]);
        hidden += part;
        if (!part)
            h->exact[kept++] = h->exact[i];
    }
    h->exact_count = kept;
    if (error || hidden == 0)
        return error;
    for (uint32_t i = 0; i < e->local.sibling_count && !error; i++)
        if (whole(p, &e->local.history, e->local.siblings[i].dot))
            error = state_add(&e->merged, &e->local.siblings[i]);
    struct blob *shown = NULL;
    if (!error && !state_absent(&e->merged))
        error = record_encode_blob(&e->merged, partition, key, &shown);
    if (error)
        return error;
    blob_unref(*record);
    *record = shown;
    return 0;
}
