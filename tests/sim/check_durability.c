/*
 * Durability: every acked write is in the last reads, or was superseded by a write that is. So is
 * one that reached w with guests: by then they have delivered what they kept.
 *
 * Looked at: each trusted `all` read begun at settled_us or later, against each acked write u that
 * ended before it began. One of these must hold:
 *   - u is a put and its value is shown;
 *   - the read's context includes what u returned and u is a delete;
 *   - the read's context includes what u returned, and from u leads a chain of writes, each of
 *     which may have superseded the one before, to a write whose value is shown or to a delete that
 *     may exist (its tombstone may have been reaped) and began before the read ended.
 * Where a delete may have been reaped with its key, the context says nothing (check.h).
 *
 * No false alarm: a read of r owners meets one of the w that hold u. Its sibling is live there, or
 * another write superseded it, which was in the same way shown or superseded, and so on;
 * supersession has an end, since each write of the chain was minted after the one before. What was
 * dropped stays in the history that `all` returns whole. Writes in doubt count as links of a chain,
 * and plain ones as covering all that was minted before they were over. A chain in a circle (two
 * plain puts that overlap) leads nowhere and excuses nobody. Of a life that is closed the context
 * says one number, which includes whatever was returned of it: then the chain alone tells.
 */
#include <stdlib.h>

#include "tests/sim/check.h"

/* Marks every write that leads to one that is shown or to a delete. */
static void mark_present(const struct story *story, const struct key_ops *k, const struct op *read,
                         bool *present, uint32_t *queue)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < k->write_count; i++) {
        const struct op *w = k->writes[i];
        present[i] =
            w->begin_us < read->end_us && (w->kind == OP_DELETE || op_shows(read, w->number));
        if (present[i])
            queue[count++] = i;
    }
    chains_mark(story, k, present, queue, count);
}

static bool read_lacks(const struct story *story, uint32_t key, const struct op *read,
                       const bool *present, struct finding *out)
{
    const struct key_ops *k = &story->keys[key];
    for (uint32_t i = 0; i < k->write_count; i++) {
        const struct op *u = k->writes[i];
        if (!op_kept(u) || !op_over_before(u, read) || op_shows(read, u->number))
            continue;
        if (!present[i])
            return finding_set(out, "durability",
                               "%s is lost: %s does not show it, and no write that may have "
                               "superseded it leads to what is shown",
                               op_text(u).text, op_text(read).text);
        if (!history_includes(&read->returned, &u->returned) &&
            !may_be_reaped(story, key, u->begin_us, read))
            return finding_set(out, "durability", "%s is lost: %s neither shows nor includes it",
                               op_text(u).text, op_text(read).text);
    }
    return false;
}

static bool key_lacks(const struct story *story, uint32_t key, struct finding *out)
{
    const struct key_ops *k = &story->keys[key];
    bool *present = need(k->write_count, sizeof(*present)), found = false;
    uint32_t *queue = need(k->write_count, sizeof(*queue));
    for (uint32_t i = 0; i < k->read_count && !found; i++) {
        const struct op *read = k->reads[i];
        if (!read->all || read->begin_us < story->run->settled_us)
            continue;
        mark_present(story, k, read, present, queue);
        found = read_lacks(story, key, read, present, out);
    }
    free(present);
    free(queue);
    return found;
}

bool check_durability(const struct run *run, struct finding *out)
{
    struct story story;
    bool found = false;
    story_init(&story, run);
    for (uint32_t key = 0; key < run->key_count && !found; key++)
        found = key_lacks(&story, key, out);
    story_close(&story);
    return found;
}
