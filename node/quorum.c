#include "node/quorum.h"

#include "engine/base/assert.h"
#include "engine/base/mutant.h"

void quorum_init(struct quorum *q, uint32_t total, uint32_t need)
{
    gt_assert(total <= REPLICAS_MAX && need >= 1 && need <= total);
    *q = (struct quorum){.total = (uint8_t)total, .need = (uint8_t)need};
}

void quorum_ask(struct quorum *q, uint32_t i)
{
    if (q->state[i] == QUORUM_UNTRIED)
        q->state[i] = QUORUM_ASKED;
}

void quorum_answer(struct quorum *q, uint32_t i)
{
    q->state[i] = QUORUM_ANSWERED;
}

void quorum_fail(struct quorum *q, uint32_t i)
{
    if (q->state[i] != QUORUM_ANSWERED)
        q->state[i] = QUORUM_FAILED;
}

void quorum_spoil(struct quorum *q, uint32_t i)
{
    q->state[i] = QUORUM_FAILED;
}

void quorum_stand_in(struct quorum *q, uint32_t i)
{
    gt_assert(q->stand_in[i] == QUORUM_UNTRIED || q->stand_in[i] == QUORUM_FAILED);
    q->stand_in[i] = QUORUM_ASKED;
}

void quorum_stand_in_answer(struct quorum *q, uint32_t i)
{
    q->stand_in[i] = QUORUM_ANSWERED;
}

void quorum_stand_in_fail(struct quorum *q, uint32_t i)
{
    if (q->stand_in[i] == QUORUM_ASKED)
        q->stand_in[i] = QUORUM_FAILED;
}

uint32_t quorum_guests(const struct quorum *q)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < q->total; i++)
        count += q->stand_in[i] == QUORUM_ANSWERED && q->state[i] != QUORUM_ANSWERED;
    return count;
}

uint32_t quorum_guests_asked(const struct quorum *q)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < q->total; i++)
        count += q->stand_in[i] == QUORUM_ASKED && q->state[i] != QUORUM_ANSWERED;
    return count;
}

uint32_t quorum_count(const struct quorum *q, enum quorum_state state)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < q->total; i++)
        count += q->state[i] == state;
    return count;
}

uint32_t quorum_possible(const struct quorum *q)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < q->total; i++)
        count += q->state[i] != QUORUM_FAILED || q->stand_in[i] == QUORUM_ASKED ||
                 q->stand_in[i] == QUORUM_ANSWERED;
    return count;
}

int quorum_next(const struct quorum *q)
{
    if (quorum_count(q, QUORUM_ANSWERED) + quorum_count(q, QUORUM_ASKED) >= q->need)
        return -1;
    for (uint32_t i = 0; i < q->total; i++)
        if (q->state[i] == QUORUM_UNTRIED)
            return (int)i;
    return -1;
}

enum quorum_verdict quorum_judge(const struct quorum *q, bool available)
{
    uint32_t answered = quorum_count(q, QUORUM_ANSWERED) + quorum_guests(q) +
                        (MUTANT(count_asked) ? quorum_count(q, QUORUM_ASKED) > 0 : 0);
    uint32_t possible = quorum_possible(q);
    if (answered >= q->need)
        return QUORUM_MET;
    if (!available)
        return possible < q->need ? QUORUM_LOST : QUORUM_WAIT;
    if (possible > answered)
        return QUORUM_WAIT;
    return answered > 0 ? QUORUM_PART : QUORUM_LOST;
}
