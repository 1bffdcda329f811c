/*
 * Keys of which a part arrived. A state above a frame comes in pieces, its history last (RULES 13):
 * until then a sibling stands beside what its put has seen and superseded, and a session that wrote
 * it would be shown that again. So what is not here whole is not lent: the owner answers as before
 * the first piece, and who needs the newer state asks another.
 *
 * Whole is what the partition's clock has. So a record itself tells; to look into each that is lent
 * would cost every read, and the keys to be looked at are remembered, PIECES_MAX of them. Where the
 * memory may lack some (after a start, and where it was too small) every record of the partition is
 * looked at, until a scrub has been over it and noted those that it met:
 *
 *   read --the start, a key of it forgotten for room--> unread --a whole scrub, none forgotten-->
 * read
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

void pieces_recovered(struct engine *e)
{
    for (uint32_t i = 0; i < e->partition_count; i++)
        if (e->partitions[i])
            e->partitions[i]->parts_unread = true;
}

/* There is no room: the oldest is forgotten. */
static uint32_t place_free(struct engine *e)
{
    struct pieces *p = &e->pieces;
    if (p->count < PIECES_MAX)
        return p->count++;
    uint32_t at = p->next++ % PIECES_MAX;
    e->partitions[p->keys[at].partition]->parts_unread = true;
    e->scrub.parts_lost |= e->scrub.partition == p->keys[at].partition;
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
    at = place_free(e);
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

/* How many siblings of the state are here in part. */
static uint32_t parts(const struct partition *p, const struct state *s)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->sibling_count; i++)
        count += !whole(p, &s->history, s->siblings[i].dot);
    return count;
}

bool pieces_in(const struct partition *p, const struct state *s)
{
    return parts(p, s) > 0;
}

/* e->local without the siblings that are here in part, into e->merged. */
static int state_whole(struct engine *e, const struct partition *p)
{
    const struct state *s = &e->local;
    state_clear(&e->merged);
    int error = history_copy(&e->merged.history, &s->history);
    struct history *h = &e->merged.history;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < h->exact_count; i++)
        if (!state_find(s, h->exact[i]) || whole(p, &s->history, h->exact[i]))
            h->exact[kept++] = h->exact[i];
    h->exact_count = kept;
    for (uint32_t i = 0; i < s->sibling_count && !error; i++)
        if (whole(p, &s->history, s->siblings[i].dot))
            error = state_add(&e->merged, &s->siblings[i]);
    return error;
}

int pieces_hide(struct engine *e, uint32_t partition, struct slice key, struct slice record,
                bool *hide, struct blob **shown)
{
    const struct partition *p = engine_partition_find(e, partition);
    *hide = false;
    *shown = NULL;
    if (!p || record.bytes == 0 || MUTANT(lend_pieces))
        return 0;
    if (!p->parts_unread &&
        (e->pieces.count == 0 || place(&e->pieces, partition, hash_bytes(key)) == e->pieces.count))
        return 0;
    int error = record_decode(record, partition, key, &e->local);
    if (error || parts(p, &e->local) == 0)
        return error == GT_ENOMEM ? error : 0;
    *hide = true;
    error = state_whole(e, p);
    if (!error && !state_absent(&e->merged))
        error = record_encode_blob(&e->merged, partition, key, shown);
    return error;
}

int pieces_met(struct engine *e, uint32_t partition, struct slice key, struct slice record)
{
    const struct partition *p = engine_partition_find(e, partition);
    if (!p || !p->parts_unread)
        return 0;
    int error = record_decode(record, partition, key, &e->local);
    if (!error && parts(p, &e->local) > 0)
        pieces_note(e, partition, hash_bytes(key), true);
    return error == GT_ENOMEM ? error : 0;
}

void pieces_read(struct engine *e, uint32_t partition)
{
    struct partition *p = engine_partition_find(e, partition);
    if (p && !e->scrub.parts_lost)
        p->parts_unread = false;
}
