/*
 * A shopping cart that merges: two copies that were changed apart become one in which every added
 * item is kept and no removed item comes back, whatever the order of merging and however often.
 *
 * Dynamo 4.4 joins two versions of a cart by keeping every item of both, and says what that costs:
 * "deleted items can resurface", because an item that is in one copy alone may have been added
 * there or removed here. This cart knows the difference. Each addition is an ENTRY with a tag of
 * its own, (session, counter); and the cart says up to which counter of each session it has SEEN
 * additions. A tag that was seen and has no entry was removed. So nothing is kept of a removed
 * item, neither name nor tag. (It is the "optimized OR-set without tombstones" of Bieniusa et al.,
 * "An optimized conflict-free replicated set", 2012, with an item and a quantity for each element.)
 *
 * Merging two carts goes tag by tag: what either has as removed is removed; what either has as an
 * entry, and the other as an entry or not seen, is an entry. "Not seen < entry < removed" is an
 * order, and merging takes the higher of two: hence it is commutative, associative and idempotent.
 *
 * Two copies that were changed apart, and what is made of them:
 *
 *       anna: seen anna 2; items: (anna 2) 1 milk                she removed (anna 1), a book
 *        ben: seen anna 1, ben 1; items: (anna 1) 1 book, (ben 1) 12 eggs
 *     merged: seen anna 2, ben 1; items: (anna 2) 1 milk, (ben 1) 12 eggs
 *
 * Who adds while another removes the same item keeps what he added: only entries that the remover
 * saw are gone. An addition never changes an entry, so that nobody's addition hides in another's.
 *
 * A SESSION is one copy of the cart and who changes it. It must never give one tag to two additions
 * and must not lose what it has seen: it goes on with the same struct cart, into which it merges
 * what it reads, and a copy that begins anew takes a new session name.
 *
 * THE VALUE in the store is text, one line each, all of it in this order and no other way, so that
 * equal carts are equal bytes:
 *
 *     cart 1                                the format
 *     seen SESSION COUNTER                  by session, each once
 *     item SESSION COUNTER QUANTITY ITEM    by session and counter, each once; COUNTER was seen
 *
 * SESSION is 1..48 of [A-Za-z0-9._-]; COUNTER 1..2^64-1 and QUANTITY 1..1000000, decimal; ITEM the
 * rest of the line, 1..200 bytes without control characters, not beginning or ending with a space.
 *
 * Errors are GT_E* of gtstore.h; after one, the cart is as it was before.
 */
#ifndef GT_EXAMPLES_CART_H
#define GT_EXAMPLES_CART_H

#include <stddef.h>
#include <stdint.h>

#define CART_SESSION_BYTES 49 /* with the final NUL */
#define CART_ITEM_BYTES    201
#define CART_QUANTITY_MAX  1000000u
#define CART_WHY_BYTES     80
/* Bounds of what cart_add makes. Merging and parsing take more, since refusing would lose it. */
#define CART_ENTRIES_MAX  1000u
#define CART_SESSIONS_MAX 1000u

struct cart_seen {
    char session[CART_SESSION_BYTES];
    uint64_t counter; /* all its additions up to this one were seen */
};

struct cart_entry {
    char session[CART_SESSION_BYTES];
    uint64_t counter;
    uint32_t quantity;
    char item[CART_ITEM_BYTES];
};

struct cart {
    struct cart_seen *seen; /* by session */
    size_t seen_count;
    struct cart_entry *entries; /* by session, then counter */
    size_t entry_count;
};

/* Empty. Nothing is allocated until something is put in. */
void cart_init(struct cart *c);
void cart_close(struct cart *c);
/* 0; GT_EARG for a session, item or quantity that the format does not allow; GT_ELIMIT when the
 * cart is full; GT_ENOMEM. */
int cart_add(struct cart *c, const char *session, uint32_t quantity, const char *item);
/* Removes all of an item that this copy has seen. 0, or GT_ENOTFOUND. */
int cart_remove(struct cart *c, const char *item);
/* Makes `into` the merge of both. 0 or GT_ENOMEM. */
int cart_merge(struct cart *into, const struct cart *from);
/* How many of an item there are, all additions together. */
uint64_t cart_quantity(const struct cart *c, const char *item);

/* The value in the store. `text` is given to the caller, to free; a NUL follows its bytes. 0 or
 * GT_ENOMEM. */
int cart_format(const struct cart *c, char **text, size_t *bytes);
/* Makes `c` what the text says. 0; GT_EFORMAT with the reason in `why`; GT_ENOMEM. */
int cart_parse(struct cart *c, const void *text, size_t bytes, char why[CART_WHY_BYTES]);
/* For people: "12 eggs, 1 milk" in the order of the items, or "empty". Given to the caller, to
 * free; NULL when out of memory. */
char *cart_text(const struct cart *c);

#endif
