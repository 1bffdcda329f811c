/*
 * Counting answers against a quorum, and nothing else: no time, no messages, no storage.
 *
 *   UNTRIED --ask--> ASKED --answer--> ANSWERED
 *      \               \------fail---> FAILED --answer (late)--> ANSWERED
 *       \------------fail-----------/
 *
 * Each owner counts once, whatever is repeated. An answer that comes after its owner was given up
 * counts all the same; ANSWERED ends only by quorum_spoil, when the answer proves bad.
 *
 * Of a sloppy put a place may have a stand-in beside its owner, one at a time, which goes the same
 * way. The place counts once, when one of the two answered, and as the owner's when both did.
 *
 * While an arc moves a write counts toward two lists, old and new, and needs the quorum of each
 * (RULES 6). The places are those of both, and one that is in both counts for both.
 */
#ifndef GT_NODE_QUORUM_H
#define GT_NODE_QUORUM_H

#include "net/ring.h"

enum quorum_state { QUORUM_UNTRIED, QUORUM_ASKED, QUORUM_ANSWERED, QUORUM_FAILED };

struct quorum {
    uint8_t total, need;
    uint8_t need_beside;           /* of the places of the other list; 0: there is none */
    uint32_t in_owners, in_beside; /* bits of the places: in which list they are */
    uint8_t state[PLACES_MAX];     /* enum quorum_state, of the owner */
    uint8_t stand_in[PLACES_MAX];  /* likewise; UNTRIED: there is none */
};

enum quorum_verdict {
    QUORUM_WAIT, /* not met, and may still be */
    QUORUM_MET,
    QUORUM_PART, /* not met, nobody is left to answer, but somebody did */
    QUORUM_LOST  /* cannot be met any more; with `available`: nobody answered at all */
};

void quorum_init(struct quorum *q, uint32_t total, uint32_t need);
/* The places are of two lists, with a need each: after init, whose need is that of the first. */
void quorum_beside(struct quorum *q, uint32_t in_owners, uint32_t in_beside, uint32_t need);
void quorum_ask(struct quorum *q, uint32_t i);
void quorum_answer(struct quorum *q, uint32_t i);
void quorum_fail(struct quorum *q, uint32_t i); /* no effect on one that answered */
void quorum_spoil(struct quorum *q, uint32_t i);
/* The stand-in of the place was asked, in the place of one that failed; and what became of it. */
void quorum_stand_in(struct quorum *q, uint32_t i);
void quorum_stand_in_answer(struct quorum *q, uint32_t i);
void quorum_stand_in_fail(struct quorum *q, uint32_t i); /* no effect on one that answered */
uint32_t quorum_count(const struct quorum *q, enum quorum_state state); /* of owners */
uint32_t quorum_guests(const struct quorum *q); /* places for which a stand-in counts alone */
uint32_t quorum_guests_asked(const struct quorum *q);
/* It can still be met, if so many places more than now seem possible answer in each list. */
bool quorum_reachable(const struct quorum *q, uint32_t more);
/* Whether each list has as many places for which the test says so as it needs. */
bool quorum_enough(const struct quorum *q, bool (*counts)(const void *arg, uint32_t i),
                   const void *arg);
/* The owner to ask next so that answered and asked reach the need: the first untried one; -1 when
 * enough are asked or none is left. */
int quorum_next(const struct quorum *q);
/* available: an answer below the quorum is wanted when no more can come (MODE_AVAILABLE). */
enum quorum_verdict quorum_judge(const struct quorum *q, bool available);

#endif
