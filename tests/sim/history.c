#include "tests/sim/history.h"

#include <stdlib.h>

#include "engine/base/assert.h"

void run_init(struct run *run)
{
    *run = (struct run){0};
}

void run_close(struct run *run)
{
    for (uint64_t i = 0; i < run->op_count; i++) {
        history_close(&run->ops[i].context);
        history_close(&run->ops[i].returned);
        free(run->ops[i].shown);
    }
    for (uint32_t i = 0; i < run->replica_count; i++) {
        history_close(&run->replicas[i].history);
        free(run->replicas[i].siblings);
    }
    free(run->ops);
    free(run->replicas);
    free(run->partitions);
    *run = (struct run){0};
}

struct op *run_op(struct run *run)
{
    if (run->op_count == run->op_capacity) {
        run->op_capacity = run->op_capacity ? run->op_capacity * 2 : 64;
        run->ops = realloc(run->ops, run->op_capacity * sizeof(*run->ops));
        gt_assert(run->ops);
    }
    struct op *op = &run->ops[run->op_count++];
    *op = (struct op){.number = run->op_count, .end = OP_OPEN, .end_us = UINT64_MAX};
    return op;
}

struct replica *run_replica(struct run *run)
{
    if (run->replica_count == run->replica_capacity) {
        run->replica_capacity = run->replica_capacity ? run->replica_capacity * 2 : 64;
        run->replicas = realloc(run->replicas, run->replica_capacity * sizeof(*run->replicas));
        gt_assert(run->replicas);
    }
    struct replica *r = &run->replicas[run->replica_count++];
    *r = (struct replica){0};
    return r;
}

/* Few siblings are shown, mostly one: they grow one by one. */
static struct shown *shown_append(struct shown *list, uint32_t *count, const struct shown *s)
{
    list = realloc(list, (*count + 1) * sizeof(*list));
    gt_assert(list);
    list[(*count)++] = *s;
    return list;
}

void op_show(struct op *op, const struct shown *s)
{
    op->shown = shown_append(op->shown, &op->shown_count, s);
}

void replica_show(struct replica *r, const struct shown *s)
{
    r->siblings = shown_append(r->siblings, &r->sibling_count, s);
}

const struct checker checkers[] = {{"durability", check_durability},
                                   {"causality", check_causality},
                                   {"realtime", check_realtime},
                                   {"sessions_own", check_sessions_own},
                                   {"sessions_monotonic", check_sessions_monotonic},
                                   {"settled_reads", check_settled_reads},
                                   {"quorums", check_quorums},
                                   {"resurrection", check_resurrection},
                                   {"convergence", check_convergence},
                                   {"verify", check_verify},
                                   {"liveness", check_liveness},
                                   {"outcomes", check_outcomes},
                                   {"valid", check_valid},
                                   {NULL, NULL}};
