/*
 * Reaping (RULES 19): a tombstone goes, without a grace period, when no owner can bring back what
 * it deleted.
 *
 * What it deleted is in the history of its state. The history names some dots exactly, and of
 * others it says "all of this actor up to seq", without knowing which of those are of this key. So
 * each owner must have, by its newest confirmation, a contiguous base up to the highest: then every
 * dot that the history may mean is in the clock of every owner, and by the one merge whatever state
 * still arrives with one of them alive, from whomever, brings nothing (RULES 2, F2).
 *
 * And this owner must have all that the others had when they confirmed. What was written beside the
 * tombstone, unseen, is at an owner that wrote it before it heard of the tombstone, so its
 * confirmation shows it. Who reaped without that sibling would get it afterwards, alone: a value
 * that the delete outranks would be back, and the clock would take the tombstone from where it
 * still is.
 *
 * Of several siblings a tombstone goes only when it is not the one that `get` answers: else a value
 * that it outranks would be answered instead. The history stays then, and goes with the last one.
 * Which one that is cannot be told while a sibling is here in part (pieces.c): what is lent is the
 * state without it.
 *
 * An owner that has reaped the key stands beside some that have not yet: they lend the tombstone
 * and it merges that to nothing, until their confirmations have come too.
 *
 * Which tombstones wait is told by the dot log, which keeps their entries so long.
 */
#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/mutant.h"
#include "engine/engine_private.h"

#define REAP_READS_MAX                                                                             \
    512u /* keys looked at for one confirmation; then the others are asked for                     \
          */

struct reaping {
    struct engine *e;
    const struct store_request *request;
    struct partition *partition;
    const struct clock *clocks; /* of all other owners */
    uint32_t clock_count;
};

static bool base_covers(const struct clock *c, struct dot d)
{
    return MUTANT(reap_without_base) ? clock_covers(c, d) : clock_base_covers(c, d);
}

/* Every owner has all of the actor's dots up to this one. */
static bool over(const struct reaping *g, struct dot d)
{
    if (!base_covers(&g->partition->clock, d))
        return false;
    for (uint32_t i = 0; i < g->clock_count && !MUTANT(reap_unconfirmed); i++)
        if (!base_covers(&g->clocks[i], d))
            return false;
    return true;
}

/* Every owner has closed the life. */
static bool life_over(const struct reaping *g, struct actor life)
{
    if (!clock_closes(&g->partition->clock, life))
        return false;
    for (uint32_t i = 0; i < g->clock_count && !MUTANT(reap_unconfirmed); i++)
        if (!clock_closes(&g->clocks[i], life))
            return false;
    return true;
}

/* All that the state's history includes and that lives no more. */
static bool history_over(const struct reaping *g, const struct state *s)
{
    for (uint32_t i = 0; i < s->history.closed_count; i++)
        if (!life_over(g, s->history.closed[i]))
            return false;
    for (uint32_t i = 0; i < s->history.vector_count; i++) {
        struct dot d = s->history.vector[i];
        while (d.seq > 0 && state_find(s, d))
            d.seq--;
        if (d.seq > 0 && !over(g, d))
            return false;
    }
    for (uint32_t i = 0; i < s->history.exact_count; i++)
        if (!state_find(s, s->history.exact[i]) && !over(g, s->history.exact[i]))
            return false;
    return true;
}

static bool may_go(const struct reaping *g, const struct sibling *sibling)
{
    return sibling->flags & SIBLING_TOMBSTONE && over(g, sibling->dot);
}

/* Into `to` what is left of the state; *gone tombstones are not. 0 or GT_ENOMEM. */
static int siblings_left(const struct reaping *g, const struct state *from, struct state *to,
                         uint32_t *gone)
{
    const struct sibling *winner = state_winner(from);
    state_clear(to);
    *gone = 0;
    for (uint32_t i = 0; i < from->sibling_count; i++)
        *gone += &from->siblings[i] != winner && may_go(g, &from->siblings[i]);
    bool alone = *gone + 1 == from->sibling_count || MUTANT(reap_winner);
    bool winner_goes = alone && may_go(g, winner);
    *gone += winner_goes;
    if (*gone == 0 || *gone == from->sibling_count)
        return 0;
    int error = 0;
    for (uint32_t i = 0; !error && i < from->sibling_count; i++) {
        const struct sibling *sibling = &from->siblings[i];
        if (sibling == winner ? !winner_goes : !may_go(g, sibling))
            error = state_add(to, sibling);
    }
    return error ? error : history_copy(&to->history, &from->history);
}

/* Reaps what can be of the key, whose state is in e->local. 0, NO_ROOM, or why not. */
static int state_reap(const struct reaping *g, struct slice key, struct view *view,
                      struct store_result *result, uint64_t *lsn)
{
    struct engine *e = g->e;
    struct store_request r = {.kind = STORE_CONFIRM,
                              .partition = g->request->partition,
                              .key = key,
                              .stamp = g->request->stamp};
    uint32_t gone;
    if (!history_over(g, &e->local) ||
        (pieces_in(g->partition, &e->local) && !MUTANT(reap_beside_part)))
        return 0;
    int error = siblings_left(g, &e->local, &e->merged, &gone);
    if (!error && gone > 0)
        error = engine_replace(e, &r, g->partition, view, lsn);
    if (!error) {
        result->reaped += gone;
        e->metrics.reaped_count += gone;
    }
    return error;
}

/* The entry is of nothing that lives (a recovery left it over), or of a value that all have. */
static void entry_drop(const struct reaping *g, struct dot d)
{
    if (dotlog_reserve(&g->partition->log, 0, 1) != 0)
        return;
    dotlog_drop(&g->partition->log, d);
    g->e->log_entries--;
}

/* Looks at the state of the entry's key. 0, NO_ROOM, or why it could not be looked at. */
static int entry_look(const struct reaping *g, uint32_t at, struct store_result *result,
                      uint64_t *lsn)
{
    struct engine *e = g->e;
    struct dotlog *log = &g->partition->log;
    struct dot d = log->entries[at].dot;
    struct blob *kept = blob_ref(log->entries[at].key);
    struct slice key = slice_blob(kept);
    struct view view;
    int error = view_read(e, g->request->partition, hash_bytes(key), key, &e->local, &view);
    if (!error) {
        const struct sibling *sibling = state_find(&e->local, d);
        if (!sibling || engine_dot_kind(sibling) == DOTLOG_VALUE) {
            entry_drop(g, d);
        } else {
            dotlog_learn(log, at, DOTLOG_TOMBSTONE);
            if (over(g, d))
                error = state_reap(g, key, &view, result, lsn);
        }
        view_close(&view);
    }
    blob_unref(kept);
    return error;
}

static bool all_have(const struct reaping *g, struct dot d)
{
    for (uint32_t i = 0; i < g->clock_count; i++)
        if (!clock_covers(&g->clocks[i], d))
            return false;
    return true;
}

/* Whether the entry may have something to reap: where a recovery has left open what it is of, it is
 * looked at when all have it. */
static bool entry_ready(const struct reaping *g, const struct dotlog_entry *entry)
{
    return entry->kind == DOTLOG_TOMBSTONE
               ? over(g, entry->dot)
               : entry->kind == DOTLOG_UNKNOWN && all_have(g, entry->dot);
}

/* Nothing that another owner had is still on its way to us. */
static bool nothing_lacks(const struct reaping *g)
{
    for (uint32_t i = 0; i < g->clock_count && !MUTANT(reap_unseen); i++)
        if (!clock_includes(&g->partition->clock, &g->clocks[i]))
            return false;
    return true;
}

/* What is looked at is read on the loop, which the disk would hold up for as long as the index is
 * not in memory: then there is one look in a while. */
static bool look_allowed(struct engine *e)
{
    if (!e->cold)
        return true;
    if (e->now_us < e->cold_look_us)
        return false;
    e->cold_look_us = e->now_us + COLD_LOOK_US;
    return true;
}

void engine_reap(struct engine *e, const struct store_request *r, struct partition *p,
                 const struct clock *clocks, uint32_t count, struct store_result *result,
                 uint64_t *lsn)
{
    struct reaping g = {e, r, p, clocks, count};
    struct dotlog *log = &p->log;
    uint32_t reads = 0;
    if (log->waiting == 0 || !nothing_lacks(&g))
        return;
    uint32_t at = dotlog_place(log, p->reap_next);
    bool from_start = at == 0;
    while (at < log->count && reads < REAP_READS_MAX) {
        struct dot d = log->entries[at].dot;
        if (entry_ready(&g, &log->entries[at])) {
            reads++;
            if (!look_allowed(e) || entry_look(&g, at, result, lsn) == NO_ROOM)
                break;
            at = dotlog_place(log, d); /* it may have gone, and others of its key with it */
        }
        at += at < log->count && dot_compare(log->entries[at].dot, d) == 0;
    }
    /* Who began in the middle has not been through the first ones with these clocks. */
    result->more = at < log->count || (log->waiting > 0 && !from_start);
    p->reap_next = at < log->count ? log->entries[at].dot : (struct dot){{0, 0}, 0};
}
