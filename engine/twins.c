/*
 * Twins of what was superseded before anybody knew that it would be tried again (RULES 10).
 *
 * Whoever supersedes an attempt that is marked names its operation in the history, and the name
 * takes its twins away (version.h). A first attempt is not marked: where it is superseded, a row of
 * the table tells of it, and no name. When the second attempt was minted all the same, by owners
 * that knew neither, its dot meets the row here. Then the row becomes a name, in the history of the
 * state that it is a row of, and the merge does the rest, here and wherever that history goes.
 *
 * The name has the lowest stamp of those that whoever superseded it may have: it stands above what
 * it superseded, so it, or what came of it, is one of the siblings above (see state_settled). So
 * names of both sides never take both away: of two that superseded first attempts of one another
 * the later one stays. An attempt that was stored again above what superseded
 * the operation has seen it, and is another matter; one that owners minted who did not know the
 * operation has not, or they would have known it.
 */
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "engine/engine_private.h"

/* One side of a merge, and the other. */
struct sides {
    const struct state *twin; /* has the sibling */
    struct state *told;       /* a row says that its operation was superseded there */
};

/* What superseded the row, or came of that, has at least this stamp. */
static uint64_t superseded_at(const struct sides *sides, const struct operation *row)
{
    uint64_t lowest = UINT64_MAX;
    for (uint32_t i = 0; i < sides->told->sibling_count; i++) {
        const struct sibling *s = &sides->told->siblings[i];
        if (s->stamp > row->stamp && s->stamp < lowest)
            lowest = s->stamp;
    }
    return lowest == UINT64_MAX ? row->noted : lowest; /* that one was reaped */
}

/* row: of the sibling's operation, of another dot, and that was superseded on the told side. */
static int row_name(const struct sides *sides, const struct sibling *s, const struct operation *row)
{
    bool other =
        dot_compare(row->dot, s->dot) != 0 && !history_covers(&sides->told->history, s->dot);
    uint64_t superseded = other ? superseded_at(sides, row) : 0;
    if (superseded <= s->stamp)
        return 0;
    return history_name(&sides->told->history, s->op, row->stamp, superseded);
}

/* Minted by owners that did not know the operation, and live on its side alone. */
static bool may_be_twin(const struct sides *sides, const struct sibling *s)
{
    if (!(s->flags & SIBLING_RETRIED) || s->flags & SIBLING_AGAIN || operation_none(s->op))
        return false;
    for (uint32_t i = 0; i < sides->told->sibling_count; i++)
        if (memcmp(sides->told->siblings[i].op, s->op, OP_ID_BYTES) == 0)
            return false;
    return true;
}

int twins_name(struct engine *e, const struct store_request *r, uint64_t hash,
               const struct clock *clock)
{
    struct sides incoming = {&e->incoming, &e->local}, local = {&e->local, &e->incoming};
    int error = 0;
    if (MUTANT(rows_name_nothing) || e->local.unknown)
        return 0;
    for (uint32_t i = 0; !error && i < e->incoming.sibling_count; i++) {
        const struct sibling *s = &e->incoming.siblings[i];
        const struct operation *row =
            may_be_twin(&incoming, s) && !clock_covers(clock, s->dot)
                ? operations_find(&e->operations, r->partition, hash, s->op)
                : NULL;
        if (row && (history_covers(&e->local.history, row->dot) || clock_covers(clock, row->dot)))
            error = row_name(&incoming, s, row);
    }
    for (uint32_t i = 0; !error && i < e->local.sibling_count; i++) {
        const struct sibling *s = &e->local.siblings[i];
        for (uint32_t j = 0; !error && j < operations_count(r->operations); j++) {
            struct operation row = operations_at(r->operations, j);
            if (memcmp(row.op, s->op, OP_ID_BYTES) == 0 && row.key_hash == hash &&
                history_covers(&e->incoming.history, row.dot) && may_be_twin(&local, s))
                error = row_name(&local, s, &row);
        }
    }
    return error;
}
