/*
 * No resurrection: what an acked delete has surely superseded is shown neither by a trusted read
 * that began after the delete ended, nor by an owner's replica in the end.
 *
 * No false alarm: only values whose dot or write the delete's contexts cover are asked about
 * (check.h, surely_superseded). A plain delete says in what it returned which those are; a value
 * that its coordinator had not seen stays beside the tombstone as a sibling, rightly, even one
 * acked before the delete began: it does not answer a get (check_realtime), but `all` shows it.
 * Replicas that are no owners of the moment may hold what they will drop.
 */
#include <inttypes.h>

#include "tests/sim/check.h"

static bool read_revives(const struct run *run, const struct key_ops *k, const struct op *read,
                         struct finding *out)
{
    for (uint32_t i = 0; i < k->acked_count && op_over_before(k->acked[i], read); i++) {
        const struct op *d = k->acked[i];
        for (uint32_t j = 0; d->kind == OP_DELETE && j < read->shown_count; j++)
            if (!read->shown[j].tombstone && surely_superseded(run, d, &read->shown[j]))
                return finding_set(out, "resurrection",
                                   "put %" PRIu64 " is back: %s shows it, and %s had taken it",
                                   read->shown[j].write, op_text(read).text, op_text(d).text);
    }
    return false;
}

static bool replica_revives(const struct run *run, const struct key_ops *k, const struct replica *r,
                            struct finding *out)
{
    for (uint32_t i = 0; i < k->acked_count; i++) {
        const struct op *d = k->acked[i];
        for (uint32_t j = 0; d->kind == OP_DELETE && j < r->sibling_count; j++)
            if (!r->siblings[j].tombstone && surely_superseded(run, d, &r->siblings[j]))
                return finding_set(out, "resurrection",
                                   "put %" PRIu64 " of key %" PRIu32 " is live on node %" PRIu32
                                   ", and %s had taken it",
                                   r->siblings[j].write, r->key, r->node, op_text(d).text);
    }
    return false;
}

bool check_resurrection(const struct run *run, struct finding *out)
{
    struct story story;
    bool found = false;
    story_init(&story, run);
    for (uint32_t key = 0; key < run->key_count && !found; key++)
        for (uint32_t i = 0; i < story.keys[key].read_count && !found; i++)
            found = read_revives(run, &story.keys[key], story.keys[key].reads[i], out);
    for (uint32_t i = 0; i < run->replica_count && !found; i++) {
        const struct replica *r = &run->replicas[i];
        found = r->owner && replica_revives(run, &story.keys[r->key], r, out);
    }
    story_close(&story);
    return found;
}
