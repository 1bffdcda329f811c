/*
 * Liveness: every op is answered by its deadline, and after healing every key can be read.
 *
 * 1. Every op has an end, at most LIVENESS_GRACE_US past its deadline: a deadline is met by a
 * timer, and the answer may still travel. An op without a deadline (UINT64_MAX: its client's life
 * was ended) owes nothing.
 * 2. Each key has a trusted read that began at settled_us or later.
 * 3. Guests keep no parcels any more.
 * While bad records are not repaired, 3 and "not degraded" in 2 are not asked of runs that have
 * one.
 *
 * No false alarm: sessions and coordinators hold their deadlines themselves, whatever the network
 * does. From settled_us on nothing is broken, so a read that fails then has no excuse.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "tests/sim/check.h"

#define LIVENESS_GRACE_US 2000000

static bool unanswered(const struct run *run, struct finding *out)
{
    for (uint64_t i = 0; i < run->op_count; i++) {
        const struct op *op = &run->ops[i];
        if (op->deadline_us > UINT64_MAX - LIVENESS_GRACE_US - run->client_pause_us)
            continue;
        if (op->end == OP_OPEN)
            return finding_set(out, "liveness", "%s was never answered; its deadline is %" PRIu64,
                               op_text(op).text, op->deadline_us);
        if (op->end_us > op->deadline_us + LIVENESS_GRACE_US + run->client_pause_us)
            return finding_set(out, "liveness",
                               "%s was answered too late; its deadline is %" PRIu64,
                               op_text(op).text, op->deadline_us);
    }
    return false;
}

/* A record is bad and stays so: who lacks it never has all that the others have, and a parcel may
 * not be taken. */
static bool rotten(const struct run *run)
{
    bool bad = false;
    for (uint32_t i = 0; i < run->replica_count; i++)
        bad |= run->replicas[i].unknown;
    return run->rots && bad;
}

static bool unreadable(const struct run *run, struct finding *out)
{
    bool *readable = need(run->key_count, sizeof(*readable)), found = false;
    bool worse = rotten(run);
    for (uint64_t i = 0; i < run->op_count; i++) {
        const struct op *op = &run->ops[i];
        bool read = op_trusted(op) || (worse && op->kind == OP_GET && op->end == OP_DONE);
        if (read && op->begin_us >= run->settled_us)
            readable[op->key] = true;
    }
    for (uint32_t key = 0; key < run->key_count && !found; key++)
        if (!readable[key])
            found = finding_set(out, "liveness",
                                "key %" PRIu32 " could not be read from %" PRIu64 " us on", key,
                                run->settled_us);
    free(readable);
    return found;
}

bool check_liveness(const struct run *run, struct finding *out)
{
    if (run->parcels_left > 0 && !rotten(run))
        return finding_set(out, "liveness", "%" PRIu64 " parcels are kept when all is quiet",
                           run->parcels_left);
    return unanswered(run, out) || unreadable(run, out);
}
