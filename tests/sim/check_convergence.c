/*
 * Convergence: when all is quiet every owner of a key has it in the same bytes, and none has a bad
 * record in its place.
 *
 * While a bad record stays bad where it is nobody can have its owner's clock, and so not all reap
 * what all have: then a key may be reaped here and stand as a tombstone there.
 *
 * No false alarm: equal states have equal bytes (record.h), and the replicas were looked at when
 * nothing was left to send. Nodes that are no owners may hold what they like.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/sim/check.h"

static bool any_rots(const struct run *run)
{
    for (uint32_t i = 0; i < run->replica_count; i++)
        if (run->rots && run->replicas[i].owner && run->replicas[i].unknown)
            return true;
    return false;
}

/* Nothing, or tombstones alone. */
static bool nothing_lives(const struct replica *r)
{
    for (uint32_t i = 0; i < r->sibling_count; i++)
        if (!r->siblings[i].tombstone)
            return false;
    return true;
}

bool check_convergence(const struct run *run, struct finding *out)
{
    bool uneven = run->reaps && any_rots(run);
    const struct replica **first = need(run->key_count, sizeof(*first));
    bool found = false;
    for (uint32_t i = 0; i < run->replica_count && !found; i++) {
        const struct replica *r = &run->replicas[i], *f = first[r->key];
        if (!r->owner || (r->unknown && run->rots))
            continue;
        if (r->unknown)
            found = finding_set(out, "convergence",
                                "key %" PRIu32 " is unknown on node %" PRIu32 ", an owner", r->key,
                                r->node);
        else if (f && f->digest != r->digest && !(uneven && nothing_lives(f) && nothing_lives(r)))
            found = finding_set(out, "convergence",
                                "key %" PRIu32 " differs: digest %016" PRIx64 " on node %" PRIu32
                                ", %016" PRIx64 " on node %" PRIu32 " (0 = absent)",
                                r->key, f->digest, f->node, r->digest, r->node);
        else if (!f)
            first[r->key] = r;
    }
    free(first);
    return found;
}
