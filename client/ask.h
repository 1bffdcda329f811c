/*
 * One question to a manager or node, for tools: connect to the first address that works, greet,
 * ask, wait for the answer. The machine (ask.c) is pure; ask() in ask_uv.c drives it on a loop of
 * its own and blocks.
 *
 *   CONNECT address ---- LINK_UP: HELLO ----> HELLO_REPLY: request ----> reply: DONE
 *        |                                                                  |
 *        +-- link down, refused, or its part of the time is over: the next address;
 *            after the last one, or at the deadline: DONE with an error
 *
 * A manager that stands by says so: the next address is asked as well, and its answer is given when
 * no other comes.
 */
#ifndef GT_CLIENT_ASK_H
#define GT_CLIENT_ASK_H

#include "net/step.h"

#define ASK_ADDRESSES_MAX 16

struct ask_reply {
    struct msg msg; /* valid until ask_reply_close */
    struct msg_decoder *decoder;
    struct blob *body;
    char text[MSG_TEXT_BYTES]; /* of a failure */
};

/* 0; GT_EUNREACHABLE; GT_ETIMEOUT; GT_ECLUSTER, GT_EFORMAT (the hello was refused); GT_EPROTO (an
 * answer that cannot be read); GT_ENOMEM: with a text. ask_reply_close ends the reply in every
 * case. */
int ask(const struct address *addresses, uint32_t count, const struct msg *request,
        uint64_t timeout_us, struct ask_reply *out);
void ask_reply_close(struct ask_reply *reply);

/* The machine. What it points to is borrowed and outlives it. */
struct asker {
    const struct address *addresses;
    uint32_t count, at;
    const struct msg *request;
    uint64_t timeout_us, deadline_us, attempt_us;
    bool done;
    struct blob *kept; /* the answer of a manager that stands by, when no other answers */
    int refused;       /* by the last hello, or by our own system, with its text */
    char refused_text[MSG_TEXT_BYTES];
};
void asker_init(struct asker *a, const struct address *addresses, uint32_t count,
                const struct msg *request, uint64_t timeout_us);
struct gt_machine asker_machine(struct asker *a);

#endif
