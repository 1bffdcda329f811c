/*
 * The cart of client/examples: what merging keeps and what it drops. Small carts are tried
 * exhaustively, against the order "not seen < entry < removed" and against a record of who added,
 * saw and removed what.
 */
#include "client/examples/cart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gtstore.h>

static struct cart cart_of(const char *text)
{
    char why[CART_WHY_BYTES] = "";
    struct cart c;
    cart_init(&c);
    if (cart_parse(&c, text, strlen(text), why) != 0)
        fail_msg("%s: %s", why, text);
    return c;
}

static struct cart cart_copy(const struct cart *from)
{
    struct cart c;
    cart_init(&c);
    assert_int_equal(cart_merge(&c, from), 0);
    return c;
}

static void expect_bytes(const struct cart *c, const char *wanted)
{
    char *text;
    size_t bytes;
    assert_int_equal(cart_format(c, &text, &bytes), 0);
    assert_string_equal(text, wanted);
    assert_int_equal(bytes, strlen(wanted));
    free(text);
}

static void expect_shown(const struct cart *c, const char *wanted)
{
    char *text = cart_text(c);
    assert_string_equal(text, wanted);
    free(text);
}

static bool cart_equal(const struct cart *a, const struct cart *b)
{
    if (a->seen_count != b->seen_count || a->entry_count != b->entry_count)
        return false;
    for (size_t i = 0; i < a->seen_count; i++)
        if (a->seen[i].counter != b->seen[i].counter ||
            strcmp(a->seen[i].session, b->seen[i].session) != 0)
            return false;
    for (size_t i = 0; i < a->entry_count; i++) {
        const struct cart_entry *x = &a->entries[i], *y = &b->entries[i];
        if (x->counter != y->counter || x->quantity != y->quantity ||
            strcmp(x->session, y->session) != 0 || strcmp(x->item, y->item) != 0)
            return false;
    }
    return true;
}

/* ---- stories --------------------------------------------------------------------------------- */

static void test_additions_on_both_sides_are_kept(void **state)
{
    (void)state;
    struct cart anna = cart_of("cart 1\n"), ben = cart_of("cart 1\n");
    assert_int_equal(cart_add(&anna, "anna", 1, "milk"), 0);
    assert_int_equal(cart_add(&ben, "ben", 12, "eggs"), 0);
    assert_int_equal(cart_add(&ben, "ben", 2, "milk"), 0);
    assert_int_equal(cart_merge(&anna, &ben), 0);
    expect_shown(&anna, "12 eggs, 3 milk");
    assert_int_equal(cart_quantity(&anna, "milk"), 3);
    assert_int_equal(cart_quantity(&anna, "bread"), 0);
    expect_bytes(&anna, "cart 1\nseen anna 1\nseen ben 2\nitem anna 1 1 milk\nitem ben 1 12 eggs\n"
                        "item ben 2 2 milk\n");
    cart_close(&anna);
    cart_close(&ben);
}

/* The example of the header: a book that one removed and the other did not touch. */
static void test_a_removed_item_does_not_come_back(void **state)
{
    (void)state;
    struct cart anna = cart_of("cart 1\n");
    assert_int_equal(cart_add(&anna, "anna", 1, "book"), 0);
    struct cart ben = cart_copy(&anna);
    assert_int_equal(cart_remove(&anna, "book"), 0);
    assert_int_equal(cart_add(&anna, "anna", 1, "milk"), 0);
    assert_int_equal(cart_add(&ben, "ben", 12, "eggs"), 0);
    struct cart merged = cart_copy(&ben);
    assert_int_equal(cart_merge(&merged, &anna), 0);
    expect_bytes(&merged,
                 "cart 1\nseen anna 2\nseen ben 1\nitem anna 2 1 milk\nitem ben 1 12 eggs\n");
    /* A copy with the book comes once more, late. */
    assert_int_equal(cart_merge(&merged, &ben), 0);
    expect_shown(&merged, "12 eggs, 1 milk");
    cart_close(&merged);
    cart_close(&anna);
    cart_close(&ben);
}

static void test_who_adds_while_another_removes_keeps_what_he_added(void **state)
{
    (void)state;
    struct cart anna = cart_of("cart 1\n");
    assert_int_equal(cart_add(&anna, "anna", 2, "tea"), 0);
    struct cart ben = cart_copy(&anna);
    assert_int_equal(cart_remove(&anna, "tea"), 0);
    assert_int_equal(cart_remove(&anna, "tea"), GT_ENOTFOUND);
    assert_int_equal(cart_add(&ben, "ben", 1, "tea"), 0);
    assert_int_equal(cart_merge(&anna, &ben), 0);
    expect_shown(&anna, "1 tea");
    /* Removed and added again by the same session: the new one stays. */
    assert_int_equal(cart_remove(&anna, "tea"), 0);
    assert_int_equal(cart_add(&anna, "anna", 5, "tea"), 0);
    assert_int_equal(cart_merge(&anna, &ben), 0);
    expect_shown(&anna, "5 tea");
    cart_close(&anna);
    cart_close(&ben);
}

/* ---- merging, exhaustively ------------------------------------------------------------------- */

#define SESSIONS    2
#define COUNTER_MAX 2

/* What one cart says of a tag. */
enum standing { NOT_SEEN, ENTRY_LOW, ENTRY_HIGH, REMOVED };

static const char *const sessions[SESSIONS] = {"a", "b"};

static enum standing standing_of(const struct cart *c, unsigned session, uint64_t counter)
{
    for (size_t i = 0; i < c->entry_count; i++)
        if (c->entries[i].counter == counter &&
            strcmp(c->entries[i].session, sessions[session]) == 0)
            return strcmp(c->entries[i].item, "x") == 0 ? ENTRY_LOW : ENTRY_HIGH;
    for (size_t i = 0; i < c->seen_count; i++)
        if (strcmp(c->seen[i].session, sessions[session]) == 0 && counter <= c->seen[i].counter)
            return REMOVED;
    return NOT_SEEN;
}

/* One session's part of cart number `index`: the counter it was seen up to, and what each tag is:
 * removed or with one of `contents` items. False when there are no more. */
static bool part_of(unsigned index, unsigned contents, unsigned *seen, enum standing tags[])
{
    static const enum standing kinds[] = {REMOVED, ENTRY_LOW, ENTRY_HIGH};
    unsigned count = 1;
    for (*seen = 0; *seen <= COUNTER_MAX; (*seen)++, count *= contents + 1) {
        if (index < count) {
            for (unsigned i = 0; i < *seen; i++, index /= contents + 1)
                tags[i] = kinds[index % (contents + 1)];
            return true;
        }
        index -= count;
    }
    return false;
}

static unsigned part_count(unsigned contents)
{
    unsigned seen, count = 0;
    enum standing tags[COUNTER_MAX];
    while (part_of(count, contents, &seen, tags))
        count++;
    return count;
}

/* All carts of two sessions that added at most twice; free with carts_free. */
static struct cart *carts_make(unsigned contents, size_t *count)
{
    unsigned parts = part_count(contents);
    *count = (size_t)parts * parts;
    struct cart *carts = calloc(*count, sizeof(*carts));
    for (size_t n = 0; n < *count; n++) {
        char seen_lines[80] = "", item_lines[160] = "", text[256];
        size_t seen_used = 0, items_used = 0;
        for (unsigned s = 0; s < SESSIONS; s++) {
            unsigned seen;
            enum standing tags[COUNTER_MAX];
            assert_true(
                part_of(s ? (unsigned)n / parts : (unsigned)n % parts, contents, &seen, tags));
            if (seen)
                seen_used +=
                    (size_t)sprintf(seen_lines + seen_used, "seen %s %u\n", sessions[s], seen);
            for (unsigned i = 0; i < seen; i++)
                if (tags[i] != REMOVED)
                    items_used +=
                        (size_t)sprintf(item_lines + items_used, "item %s %u 1 %s\n", sessions[s],
                                        i + 1, tags[i] == ENTRY_LOW ? "x" : "y");
        }
        snprintf(text, sizeof(text), "cart 1\n%s%s", seen_lines, item_lines);
        carts[n] = cart_of(text);
    }
    return carts;
}

static void carts_free(struct cart *carts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cart_close(&carts[i]);
    free(carts);
}

static struct cart merged_of(const struct cart *a, const struct cart *b)
{
    struct cart c = cart_copy(a);
    assert_int_equal(cart_merge(&c, b), 0);
    return c;
}

/* Every pair, also of carts in which one tag has two contents, as a broken session would make. */
static void test_merging_takes_the_higher_standing_of_every_tag(void **state)
{
    (void)state;
    size_t count;
    struct cart *carts = carts_make(2, &count);
    assert_int_equal(count, 169);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++) {
            struct cart m = merged_of(&carts[i], &carts[j]);
            for (unsigned s = 0; s < SESSIONS; s++)
                for (uint64_t counter = 1; counter <= COUNTER_MAX; counter++) {
                    enum standing a = standing_of(&carts[i], s, counter);
                    enum standing b = standing_of(&carts[j], s, counter);
                    assert_int_equal(standing_of(&m, s, counter), a > b ? a : b);
                }
            struct cart other = merged_of(&carts[j], &carts[i]);
            assert_true(cart_equal(&m, &other)); /* commutative */
            cart_close(&other);
            cart_close(&m);
        }
    for (size_t i = 0; i < count; i++) { /* idempotent, a cart with itself in place too */
        struct cart m = merged_of(&carts[i], &carts[i]);
        assert_true(cart_equal(&m, &carts[i]));
        assert_int_equal(cart_merge(&m, &m), 0);
        assert_true(cart_equal(&m, &carts[i]));
        cart_close(&m);
    }
    carts_free(carts, count);
}

static void test_merging_is_associative(void **state)
{
    (void)state;
    size_t count;
    struct cart *carts = carts_make(1, &count);
    assert_int_equal(count, 49);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++) {
            struct cart first = merged_of(&carts[i], &carts[j]);
            for (size_t k = 0; k < count; k++) {
                struct cart left = merged_of(&first, &carts[k]);
                struct cart last = merged_of(&carts[j], &carts[k]);
                struct cart right = merged_of(&carts[i], &last);
                assert_true(cart_equal(&left, &right));
                cart_close(&left);
                cart_close(&last);
                cart_close(&right);
            }
            cart_close(&first);
        }
    carts_free(carts, count);
}

/* ---- sessions, exhaustively ------------------------------------------------------------------ */

#define STEPS 6
#define DEEDS 8 /* of two sessions: add x, add y, remove x, take in what the other has */

/* What a session knows, said the long way: a bit for each addition. */
struct record {
    unsigned seen, removed;
};

static void deed_do(unsigned deed, unsigned step, struct cart carts[2], struct record records[2],
                    unsigned x_bits)
{
    unsigned who = deed % 2;
    struct cart *c = &carts[who];
    struct record *r = &records[who];
    switch (deed / 2) {
    case 0:
    case 1:
        assert_int_equal(cart_add(c, sessions[who], 1, deed / 2 == 0 ? "x" : "y"), 0);
        r->seen |= 1u << step;
        break;
    case 2:
        assert_int_equal(cart_remove(c, "x"), r->seen & x_bits & ~r->removed ? 0 : GT_ENOTFOUND);
        r->removed |= r->seen & x_bits;
        break;
    default:
        assert_int_equal(cart_merge(c, &carts[1 - who]), 0);
        r->seen |= records[1 - who].seen;
        r->removed |= records[1 - who].removed;
        break;
    }
}

static unsigned bits_count(unsigned bits)
{
    return (unsigned)__builtin_popcount(bits);
}

/* Every history of six deeds: what was added and by nobody removed who had seen it is there, and
 * nothing else. */
static void test_every_short_history_of_two_sessions(void **state)
{
    (void)state;
    unsigned histories = 1;
    for (unsigned i = 0; i < STEPS; i++)
        histories *= DEEDS;
    for (unsigned history = 0; history < histories; history++) {
        struct cart carts[2];
        struct record records[2] = {{0}};
        unsigned x_bits = 0, rest = history;
        cart_init(&carts[0]);
        cart_init(&carts[1]);
        for (unsigned step = 0; step < STEPS; step++, rest /= DEEDS) {
            if (rest % DEEDS / 2 == 0)
                x_bits |= 1u << step;
            deed_do(rest % DEEDS, step, carts, records, x_bits);
        }
        assert_int_equal(cart_merge(&carts[0], &carts[1]), 0);
        unsigned live =
            (records[0].seen | records[1].seen) & ~(records[0].removed | records[1].removed);
        if (cart_quantity(&carts[0], "x") != bits_count(live & x_bits) ||
            cart_quantity(&carts[0], "y") != bits_count(live & ~x_bits))
            fail_msg("history %u", history);
        cart_close(&carts[0]);
        cart_close(&carts[1]);
    }
}

/* ---- the value in the store ------------------------------------------------------------------ */

static void test_the_value_comes_back_byte_for_byte(void **state)
{
    (void)state;
    static const char *const good[] = {
        "cart 1\n", "cart 1\nseen anna-5f3a91c2d0e4b7a6 18446744073709551615\n",
        "cart 1\nseen A 7\nseen a 2\nitem A 7 1000000 green apples \xc3\xa9\nitem a 1 1 2 x\n",
        "cart 1\nseen s 12\nitem s 9 1 a\nitem s 10 1 a\n", /* numbers, not text */
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct cart c = cart_of(good[i]);
        expect_bytes(&c, good[i]);
        cart_close(&c);
    }
}

static void test_what_is_no_cart_says_why_and_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"", "this is no cart of a format known here"},
        {"milk", "this is no cart of a format known here"},
        {"cart 2\n", "this is no cart of a format known here"},
        {"cart 1", "this is no cart of a format known here"},
        {"cart 1\n\n", "line 2 of the cart: neither seen nor item"},
        {"cart 1\nsold a 1\n", "line 2 of the cart: neither seen nor item"},
        {"cart 1\nseen a\n", "line 2 of the cart: no session"},
        {"cart 1\nseen  1\n", "line 2 of the cart: no session"},
        {"cart 1\nseen a/b 1\n", "line 2 of the cart: no session"},
        {"cart 1\nseen a 1", "line 2 of the cart: no counter"},
        {"cart 1\nseen a 0\n", "line 2 of the cart: no counter"},
        {"cart 1\nseen a 01\n", "line 2 of the cart: no counter"},
        {"cart 1\nseen a +1\n", "line 2 of the cart: no counter"},
        {"cart 1\nseen a 1 \n", "line 2 of the cart: no counter"},
        {"cart 1\nseen a 18446744073709551616\n", "line 2 of the cart: no counter"},
        {"cart 1\nseen a 1\nseen a 2\n", "line 3 of the cart: out of order"},
        {"cart 1\nseen b 1\nseen a 1\n", "line 3 of the cart: out of order"},
        {"cart 1\nseen a 1\nitem a 1 1 x\nseen b 1\n", "line 4 of the cart: out of order"},
        {"cart 1\nseen a 1\nitem a 1 x\n", "line 3 of the cart: no quantity"},
        {"cart 1\nseen a 1\nitem a 1 0 x\n", "line 3 of the cart: no quantity"},
        {"cart 1\nseen a 1\nitem a 1 1000001 x\n", "line 3 of the cart: no quantity"},
        {"cart 1\nseen a 1\nitem a 1 1 \n", "line 3 of the cart: no item"},
        {"cart 1\nseen a 1\nitem a 1 1  x\n", "line 3 of the cart: no item"},
        {"cart 1\nseen a 1\nitem a 1 1 x \n", "line 3 of the cart: no item"},
        {"cart 1\nseen a 1\nitem a 1 1 x\ty\n", "line 3 of the cart: no item"},
        {"cart 1\nseen a 1\nitem a 1 1 x", "line 3 of the cart: no item"},
        {"cart 1\nseen a 2\nitem a 2 1 x\nitem a 2 1 x\n", "line 4 of the cart: out of order"},
        {"cart 1\nseen a 2\nitem a 2 1 x\nitem a 1 1 x\n", "line 4 of the cart: out of order"},
        {"cart 1\nseen a 1\nitem a 2 1 x\n", "line 3 of the cart: an item that was not seen"},
        {"cart 1\nitem a 1 1 x\n", "line 2 of the cart: an item that was not seen"},
    };
    struct cart c = cart_of("cart 1\nseen a 1\nitem a 1 1 x\n");
    char why[CART_WHY_BYTES];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(cart_parse(&c, bad[i].text, strlen(bad[i].text), why), GT_EFORMAT);
        assert_string_equal(why, bad[i].why);
        expect_shown(&c, "1 x");
    }
    assert_int_equal(cart_parse(&c, NULL, 0, why), GT_EFORMAT);
    assert_int_equal(cart_parse(&c, "cart 1\nseen a 1\nitem a 1 1 x\0y\n", 31, why), GT_EFORMAT);
    cart_close(&c);
}

static void test_what_cannot_be_written_cannot_be_added(void **state)
{
    (void)state;
    char session[CART_SESSION_BYTES + 1], item[CART_ITEM_BYTES + 1];
    struct cart c;
    cart_init(&c);
    memset(session, 's', sizeof(session));
    memset(item, 'i', sizeof(item));
    session[CART_SESSION_BYTES] = item[CART_ITEM_BYTES] = '\0';
    assert_int_equal(cart_add(&c, session, 1, "x"), GT_EARG);
    assert_int_equal(cart_add(&c, "a", 1, item), GT_EARG);
    assert_int_equal(cart_add(&c, "", 1, "x"), GT_EARG);
    assert_int_equal(cart_add(&c, "a b", 1, "x"), GT_EARG);
    assert_int_equal(cart_add(&c, "a", 1, ""), GT_EARG);
    assert_int_equal(cart_add(&c, "a", 1, " x"), GT_EARG);
    assert_int_equal(cart_add(&c, "a", 1, "x\n"), GT_EARG);
    assert_int_equal(cart_add(&c, "a", 0, "x"), GT_EARG);
    assert_int_equal(cart_add(&c, "a", CART_QUANTITY_MAX + 1, "x"), GT_EARG);
    expect_bytes(&c, "cart 1\n");
    session[CART_SESSION_BYTES - 1] = item[CART_ITEM_BYTES - 1] = '\0';
    assert_int_equal(cart_add(&c, session, CART_QUANTITY_MAX, item), 0);
    char *text;
    size_t bytes;
    assert_int_equal(cart_format(&c, &text, &bytes), 0);
    struct cart back = cart_of(text);
    assert_true(cart_equal(&back, &c));
    free(text);
    cart_close(&back);
    cart_close(&c);
    /* The longest line there can be: its room is exact, and the sanitizer looks. */
    char longest[600];
    snprintf(longest, sizeof(longest),
             "cart 1\nseen %s 18446744073709551615\nitem %s 18446744073709551615 1000000 %s\n",
             session, session, item);
    c = cart_of(longest);
    expect_bytes(&c, longest);
    assert_int_equal(cart_add(&c, session, 1, "x"), GT_ELIMIT); /* no number is left */
    cart_close(&c);
}

static void test_a_full_cart_refuses_additions_and_still_merges(void **state)
{
    (void)state;
    struct cart full, more;
    char session[CART_SESSION_BYTES];
    cart_init(&full);
    cart_init(&more);
    for (unsigned i = 0; i < CART_ENTRIES_MAX; i++)
        assert_int_equal(cart_add(&full, "a", 1, "x"), 0);
    assert_int_equal(cart_add(&full, "a", 1, "x"), GT_ELIMIT);
    assert_int_equal(cart_add(&more, "b", 1, "x"), 0);
    assert_int_equal(cart_merge(&full, &more), 0);
    assert_int_equal(cart_quantity(&full, "x"), CART_ENTRIES_MAX + 1);
    assert_int_equal(cart_remove(&full, "x"), 0);
    assert_int_equal(cart_add(&full, "a", 1, "x"), 0);
    cart_close(&full);
    for (unsigned i = 0; i + 1 < CART_SESSIONS_MAX; i++) {
        snprintf(session, sizeof(session), "s%u", i);
        assert_int_equal(cart_add(&more, session, 1, "y"), 0);
        assert_int_equal(cart_remove(&more, "y"), 0);
    }
    assert_int_equal(cart_add(&more, "another", 1, "y"), GT_ELIMIT);
    assert_int_equal(cart_add(&more, "b", 1, "y"), 0); /* a session that was seen goes on */
    cart_close(&more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_additions_on_both_sides_are_kept),
        cmocka_unit_test(test_a_removed_item_does_not_come_back),
        cmocka_unit_test(test_who_adds_while_another_removes_keeps_what_he_added),
        cmocka_unit_test(test_merging_takes_the_higher_standing_of_every_tag),
        cmocka_unit_test(test_merging_is_associative),
        cmocka_unit_test(test_every_short_history_of_two_sessions),
        cmocka_unit_test(test_the_value_comes_back_byte_for_byte),
        cmocka_unit_test(test_what_is_no_cart_says_why_and_changes_nothing),
        cmocka_unit_test(test_what_cannot_be_written_cannot_be_added),
        cmocka_unit_test(test_a_full_cart_refuses_additions_and_still_merges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
