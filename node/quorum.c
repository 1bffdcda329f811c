#include "node/quorum.h"

#include "engine/base/assert.h"
#include "engine/base/mutant.h"

void quorum_init(struct quorum *q, uint32_t total, uint32_t need)
{
    gt_assert(total <= PLACES_MAX && need >= 1 && need <= total);
    *q = (struct quorum){
        .total = (uint8_t)total, .need = (uint8_t)need, .in_owners = (1u << total) - 1};
}

void quorum_beside(struct quorum *q, uint32_t in_owners, uint32_t in_beside, uint32_t need)
{
    q->in_owners = in_owners;
    q->in_beside = in_beside;
    q->need_beside = (uint8_t)need;
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

static bool has_answered(const struct quorum *q, uint32_t i)
{
    return q->state[i] == QUORUM_ANSWERED || q->stand_in[i] == QUORUM_ANSWERED;
}

/* It has answered, or may. */
static bool may_answer(const struct quorum *q, uint32_t i)
{
    return q->state[i] != QUORUM_FAILED || q->stand_in[i] == QUORUM_ASKED || has_answered(q, i);
}

/* How many of the places among the bits. */
static uint32_t count_in(const struct quorum *q, uint32_t places,
                         bool (*counts)(const struct quorum *q, uint32_t i))
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < q->total; i++)
        count += (places >> i & 1) && counts(q, i);
    return count;
}

static bool lists_met(const struct quorum *q, uint32_t more,
                      bool (*counts)(const struct quorum *q, uint32_t i))
{
    if (MUTANT(count_union))
        return count_in(q, UINT32_MAX, counts) + more >= q->need;
    return count_in(q, q->in_owners, counts) + more >= q->need &&
           (q->need_beside == 0 || count_in(q, q->in_beside, counts) + more >= q->need_beside);
}

bool quorum_reachable(const struct quorum *q, uint32_t more)
{
    return lists_met(q, more, may_answer);
}

bool quorum_enough(const struct quorum *q, bool (*counts)(const void *arg, uint32_t i),
                   const void *arg)
{
    uint32_t owners = 0, beside = 0;
    for (uint32_t i = 0; i < q->total; i++) {
        bool so = counts(arg, i);
        owners += so && (q->in_owners >> i & 1);
        beside += so && (q->in_beside >> i & 1);
    }
    return owners >= q->need && beside >= q->need_beside;
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
    bool hasty = MUTANT(count_asked) && quorum_count(q, QUORUM_ASKED) > 0;
    if (lists_met(q, hasty, has_answered))
        return QUORUM_MET;
    if (!available)
        return quorum_reachable(q, 0) ? QUORUM_WAIT : QUORUM_LOST;
    uint32_t answered = count_in(q, UINT32_MAX, has_answered);
    if (count_in(q, UINT32_MAX, may_answer) > answered)
        return QUORUM_WAIT;
    return answered > 0 ? QUORUM_PART : QUORUM_LOST;
}
