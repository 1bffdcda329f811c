/*
 * Outcomes: what is shown was written, and what was not applied is not shown.
 *
 * 1. Every value in a read or replica is that of a put of its key.
 * 2. That put did not end as not applied.
 * 3. It had begun before the read ended.
 * Looked at: all reads and replicas, whatever they were worth: even one owner, degraded, holds
 * nothing but what somebody wrote. Deletes carry no number, so a delete that was not applied cannot
 * be known again.
 *
 * And valid: at least one write was acknowledged. Without any every checker is silent, and the run
 * proves nothing.
 */
#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/check.h"

static struct op_text place_text(const struct op *read, uint32_t node)
{
    struct op_text t;
    if (read)
        return op_text(read);
    snprintf(t.text, sizeof(t.text), "node %" PRIu32, node);
    return t;
}

/* In the read, or where that is NULL in a replica of the node. */
static bool untrue(const struct run *run, uint32_t key, const struct shown *s,
                   const struct op *read, uint32_t node, struct finding *out)
{
    if (s->tombstone)
        return false;
    const struct op *write = shown_write(run, key, s);
    if (!write)
        return finding_set(out, "outcomes",
                           "%s shows the value %" PRIu64 " for key %" PRIu32
                           ", which no put of that key wrote",
                           place_text(read, node).text, s->write, key);
    if (write->end == OP_NOT_APPLIED)
        return finding_set(out, "outcomes", "%s shows %s", place_text(read, node).text,
                           op_text(write).text);
    if (read && write->begin_us > read->end_us)
        return finding_set(out, "outcomes", "%s shows %s, which began later",
                           place_text(read, node).text, op_text(write).text);
    return false;
}

bool check_outcomes(const struct run *run, struct finding *out)
{
    for (uint64_t i = 0; i < run->op_count; i++)
        for (uint32_t j = 0; j < run->ops[i].shown_count; j++)
            if (untrue(run, run->ops[i].key, &run->ops[i].shown[j], &run->ops[i], 0, out))
                return true;
    for (uint32_t i = 0; i < run->replica_count; i++)
        for (uint32_t j = 0; j < run->replicas[i].sibling_count; j++)
            if (untrue(run, run->replicas[i].key, &run->replicas[i].siblings[j], NULL,
                       run->replicas[i].node, out))
                return true;
    return false;
}

bool check_valid(const struct run *run, struct finding *out)
{
    for (uint64_t i = 0; i < run->op_count; i++)
        if (op_is_write(&run->ops[i]) && run->ops[i].end == OP_DONE)
            return false;
    return finding_set(out, "valid", "no write of %" PRIu64 " ops was acknowledged", run->op_count);
}
