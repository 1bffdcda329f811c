/*
 * Quorums meet: a trusted read that began after an acked write ended has met an owner that holds
 * it.
 *
 * 1. The read's context includes what the write returned. Looked at: whole reads (all siblings
 *    shown, or at most one there); contexts of others leave out the dots of what was hidden.
 * 2. A read that shows no value, begun after an acked put ended: something was deleted. A whole
 * read saw nothing but tombstones: a chain of writes, each of which may have superseded the one
 *    before, leads from the put to a delete that may exist and began before the read ended. A read
 *    that shows only its winner hides the rest behind a tombstone: some delete may exist.
 *
 * No false alarm: W+R>N, strict counts owners only, and what an owner acknowledged is in its
 * durable history, also when superseded since. Histories that may have been reaped with their key
 * are excused from (1) (check.h); (2) holds then too, since reaping takes tombstones only.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/base/assert.h"
#include "tests/sim/check.h"

/* ---- 1: included ----------------------------------------------------------------------------- */

static bool any_missing(const struct story *story, uint32_t key, const struct op *read,
                        struct finding *out)
{
    const struct key_ops *k = &story->keys[key];
    for (uint32_t i = 0; i < k->acked_count && op_over_before(k->acked[i], read); i++) {
        const struct op *u = k->acked[i];
        if (!history_includes(&read->returned, &u->returned) &&
            !may_be_reaped(story, key, u->begin_us, read))
            return finding_set(out, "quorums", "%s does not include %s", op_text(read).text,
                               op_text(u).text);
    }
    return false;
}

/* All that was acked before a read is one history, which grows from read to read. */
static bool not_included(const struct story *story, uint32_t key, struct finding *out)
{
    const struct key_ops *k = &story->keys[key];
    struct history acked = {0};
    uint32_t next = 0;
    bool found = false;
    for (uint32_t i = 0; i < k->read_count && !found; i++) {
        const struct op *read = k->reads[i];
        for (; next < k->acked_count && op_over_before(k->acked[next], read); next++)
            gt_assert(history_join(&acked, &k->acked[next]->returned) == 0);
        if (op_whole(read) && !history_includes(&read->returned, &acked))
            found = any_missing(story, key, read, out);
    }
    history_close(&acked);
    return found;
}

/* ---- 2: nothing shown ------------------------------------------------------------------------ */

static bool shows_value(const struct op *read)
{
    for (uint32_t i = 0; i < read->shown_count; i++)
        if (!read->shown[i].tombstone)
            return true;
    return false;
}

/* For each write, when the earliest begun delete began to which a chain leads from it. */
static uint64_t *deleted_from_us(const struct story *story, const struct key_ops *k)
{
    uint64_t *from_us = need(k->write_count, sizeof(*from_us));
    bool *marked = need(k->write_count, sizeof(*marked));
    uint32_t *queue = need(k->write_count, sizeof(*queue));
    memset(from_us, 0xff, k->write_count * sizeof(*from_us));
    for (uint32_t i = 0; i < k->write_count; i++) {
        if (k->writes[i]->kind != OP_DELETE || marked[i])
            continue;
        marked[i] = true;
        queue[0] = i;
        uint32_t count = chains_mark(story, k, marked, queue, 1);
        for (uint32_t j = 0; j < count; j++)
            from_us[queue[j]] = k->writes[i]->begin_us;
    }
    free(marked);
    free(queue);
    return from_us;
}

static bool delete_began(const struct key_ops *k, uint64_t before_us)
{
    for (uint32_t i = 0; i < k->write_count; i++)
        if (k->writes[i]->kind == OP_DELETE && k->writes[i]->begin_us < before_us)
            return true;
    return false;
}

static bool nothing_shown(const struct story *story, uint32_t key, struct finding *out)
{
    const struct key_ops *k = &story->keys[key];
    uint64_t *from_us = NULL; /* most keys never need it */
    bool found = false;
    for (uint32_t i = 0; i < k->read_count && !found; i++) {
        const struct op *read = k->reads[i];
        if (shows_value(read))
            continue;
        bool deleted = delete_began(k, read->end_us);
        if (deleted && !op_whole(read))
            continue;
        if (deleted && !from_us)
            from_us = deleted_from_us(story, k);
        for (uint32_t j = 0; j < k->write_count && !found; j++) {
            const struct op *u = k->writes[j];
            if (op_acked(u) && op_over_before(u, read) && (!deleted || from_us[j] >= read->end_us))
                found = finding_set(out, "quorums",
                                    "%s shows nothing, and no delete could have taken %s",
                                    op_text(read).text, op_text(u).text);
        }
    }
    free(from_us);
    return found;
}

bool check_quorums(const struct run *run, struct finding *out)
{
    struct story story;
    bool found = false;
    story_init(&story, run);
    for (uint32_t key = 0; key < run->key_count && !found; key++)
        found = not_included(&story, key, out) || nothing_shown(&story, key, out);
    story_close(&story);
    return found;
}
