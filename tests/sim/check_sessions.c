/*
 * What a session may rely on, whatever quorums it asked for.
 *
 * own: a read that began after a done write of the same session and key ended, at any quorum and
 * also with guests, includes what the write returned.
 * monotonic: a read that began after another read of the same session and key ended includes what
 * the first returned.
 *
 * Includes: its context does, which alone says little, since a coordinator adds to it what the
 * session said that it had seen. So what is shown is held against it as well: no value of which the
 * first had seen the end, and each value that the first wrote or saw unless some write may have
 * superseded it by then.
 *
 * Looked at: later reads that are done, not degraded and whole (all siblings shown, or at most one
 * there: from other contexts the hidden dots are taken out, perhaps the session's own). As first
 * reads those that are neither degraded nor unsettled: the latter raise no min_context (RULES 18).
 *
 * With r = 1 a read shows what one owner has, and that may be on its disk alone: a write that is
 * not done. When that disk is lost the life that minted it is closed, and demanded no more (RULES
 * 18). So where disks are lost a read of one owner is asked about only when all that it showed was
 * done.
 *
 * No false alarm: the session demands a state at least as new as what it was told (min_context),
 * and a coordinator that finds none fails the read. Ops that overlap owe each other nothing. A
 * history that may have been reaped with its key is excused (check.h).
 */
#include "engine/base/assert.h"
#include "tests/sim/check.h"

static bool reads_whole(const struct op *op)
{
    return op->kind == OP_GET && op->end == OP_DONE && !op->degraded && op_whole(op);
}

static bool owes_own(const struct op *first)
{
    return op_is_write(first) && first->end == OP_DONE;
}

static bool owes_monotonic(const struct op *first)
{
    return first->kind == OP_GET && first->end == OP_DONE && !first->degraded && !first->unsettled;
}

/* A value that the first covered and did not hold alive. (What superseded it may have been hidden
 * from a read that was not whole, and is then not asked for.) */
static bool shows_superseded(const struct op *first, const struct op *read)
{
    for (uint32_t i = 0; i < read->shown_count; i++) {
        const struct shown *s = &read->shown[i];
        if (!s->tombstone && history_covers(&first->returned, s->dot) &&
            s->write != first->number && !op_shows(first, s->write))
            return true;
    }
    return false;
}

static bool shows_or_superseded(const struct story *story, const struct op *put,
                                const struct op *read)
{
    return op_shows(read, put->number) || superseded_from_us(story, put) < read->end_us;
}

/* Every value that the first wrote or saw is shown, or may have been superseded. */
static bool shows_all(const struct story *story, const struct op *first, const struct op *read)
{
    if (op_is_write(first))
        return first->kind != OP_PUT || shows_or_superseded(story, first, read);
    for (uint32_t i = 0; i < first->shown_count; i++) {
        const struct op *put = shown_write(story->run, first->key, &first->shown[i]);
        if (put && !shows_or_superseded(story, put, read))
            return false;
    }
    return true;
}

/* What it showed was on one disk alone, perhaps, which was lost since. (Which delete a tombstone is
 * of is not told.) */
static bool may_be_lost(const struct story *story, const struct op *first)
{
    bool done = true;
    for (uint32_t i = 0; i < first->shown_count && done; i++) {
        const struct op *put = shown_write(story->run, first->key, &first->shown[i]);
        done = put && put->end == OP_DONE && put->end_us <= first->end_us;
    }
    return first->kind == OP_GET && story->run->r == 1 && story->run->loses && !done;
}

/* The first pair, in a session, of an op that owes and a later read that does not include it. */
static bool forgotten(const struct run *run, bool (*owes)(const struct op *), const char *checker,
                      struct finding *out)
{
    struct story story;
    bool found = false;
    story_init(&story, run);
    for (uint32_t key = 0; key < run->key_count && !found; key++) {
        const struct key_ops *k = &story.keys[key];
        for (uint32_t i = 0; i < k->op_count && !found; i++) {
            const struct op *read = k->ops[i];
            if (!reads_whole(read))
                continue;
            for (uint32_t j = 0; j < i && !found; j++) {
                const struct op *first = k->ops[j];
                if (first->session != read->session || !owes(first) ||
                    !op_over_before(first, read) || may_be_lost(&story, first))
                    continue;
                if (!history_includes(&read->returned, &first->returned) &&
                    !may_be_reaped(&story, key, op_is_write(first) ? first->begin_us : 0, read))
                    found = finding_set(out, checker, "%s does not include %s of the same session",
                                        op_text(read).text, op_text(first).text);
                else if (op_whole(first) && shows_superseded(first, read))
                    found = finding_set(out, checker,
                                        "%s shows what %s of the same session had seen superseded",
                                        op_text(read).text, op_text(first).text);
                else if (op_whole(first) && !shows_all(&story, first, read))
                    found = finding_set(out, checker,
                                        "%s does not show what %s of the same session %s, and no "
                                        "write could have superseded it by then",
                                        op_text(read).text, op_text(first).text,
                                        op_is_write(first) ? "wrote" : "showed");
            }
        }
    }
    story_close(&story);
    return found;
}

#define LOOKED_BACK 16 /* reads before one, to keep the cost down */

/*
 * Of one owner: every value that the first showed is included, unless a delete took it. One that
 * was over before the first read has taken nothing of what that showed: the tombstone must have
 * been minted after the owner lent the state, and it mints an operation that it knows to be done no
 * second time. Of several owners one may still mint an earlier attempt of a delete that another has
 * answered. (What of the context was not shown may be of the session, and have gone long before.)
 */
static bool values_included(const struct story *story, const struct op *first,
                            const struct op *read)
{
    bool included = true;
    for (uint32_t i = 0; story->run->n == 1 && i < first->shown_count && included; i++)
        included =
            first->shown[i].tombstone || history_covers(&read->returned, first->shown[i].dot);
    return included || may_be_reaped(story, first->key, first->begin_us, read);
}

/*
 * Whether the state behind a read is not in what a later one returned. That state had what the
 * first one showed; of its context only what its session had not been told before: that is in it
 * whether the state names it or not (a read's context has what its session had seen).
 */
static bool state_forgotten(const struct key_ops *k, const struct op *first, const struct op *read)
{
    if (history_includes(&read->returned, &first->returned))
        return false;
    for (uint32_t i = 0; i < first->shown_count; i++)
        if (!history_covers(&read->returned, first->shown[i].dot))
            return true;
    struct history known = {0};
    gt_assert(history_copy(&known, &read->returned) == 0);
    for (uint32_t i = 0; i < k->op_count; i++) {
        const struct op *before = k->ops[i];
        if (before != first && before->session == first->session && before->end == OP_DONE &&
            before->end_us <= first->end_us)
            gt_assert(history_join(&known, &before->returned) == 0);
    }
    bool forgotten = !history_includes(&known, &first->returned);
    history_close(&known);
    return forgotten;
}

/*
 * Across sessions. When a read asks every owner (r = n), what any read has shown was durable at one
 * of them; what a blocking read has shown was durable at w owners (RULES 18). So a read which
 * begins later includes it.
 */
bool check_settled_reads(const struct run *run, struct finding *out)
{
    struct story story;
    bool found = false;
    story_init(&story, run);
    for (uint32_t key = 0; key < run->key_count && !found; key++) {
        const struct key_ops *k = &story.keys[key];
        for (uint32_t i = 0; i < k->read_count && !found; i++) {
            const struct op *read = k->reads[i];
            for (uint32_t j = i > LOOKED_BACK ? i - LOOKED_BACK : 0; j < i && !found; j++) {
                const struct op *first = k->reads[j];
                if ((run->r != run->n && !first->blocking) || !op_whole(read) ||
                    !op_over_before(first, read))
                    continue;
                bool gone = state_forgotten(k, first, read) && !may_be_reaped(&story, key, 0, read);
                if (gone || !values_included(&story, first, read))
                    found = finding_set(out, "settled_reads", "%s does not include %s, which %s",
                                        op_text(read).text, op_text(first).text,
                                        first->blocking ? "was settled" : "one of all owners held");
            }
        }
    }
    story_close(&story);
    return found;
}

bool check_sessions_own(const struct run *run, struct finding *out)
{
    return forgotten(run, owes_own, "sessions_own", out);
}

bool check_sessions_monotonic(const struct run *run, struct finding *out)
{
    return forgotten(run, owes_monotonic, "sessions_monotonic", out);
}
