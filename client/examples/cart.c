#include "cart.h"

#include <gtstore.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CART_HEAD "cart 1\n"
/* The longest lines: words, spaces, numbers of 20 and 7 digits, the newline. */
#define SEEN_LINE_BYTES  (5 + CART_SESSION_BYTES + 20 + 1)
#define ENTRY_LINE_BYTES (5 + CART_SESSION_BYTES + 20 + 1 + 7 + 1 + CART_ITEM_BYTES)
#define ITEM_TEXT_BYTES  (2 + 20 + CART_ITEM_BYTES)

void cart_init(struct cart *c)
{
    memset(c, 0, sizeof(*c));
}

void cart_close(struct cart *c)
{
    free(c->seen);
    free(c->entries);
    cart_init(c);
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool session_valid(const char *session, size_t bytes)
{
    if (bytes < 1 || bytes >= CART_SESSION_BYTES)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        char b = session[i];
        bool letter = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9');
        if (!letter && b != '.' && b != '_' && b != '-')
            return false;
    }
    return true;
}

static bool item_valid(const char *item, size_t bytes)
{
    if (bytes < 1 || bytes >= CART_ITEM_BYTES || item[0] == ' ' || item[bytes - 1] == ' ')
        return false;
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)item[i] < 0x20 || item[i] == 0x7f)
            return false;
    return true;
}

/* ---- what was seen, and entries -------------------------------------------------------------- */

static int tag_compare(const struct cart_entry *a, const struct cart_entry *b)
{
    int order = strcmp(a->session, b->session);
    return order ? order : (a->counter > b->counter) - (a->counter < b->counter);
}

/* Where the session stands among those seen, or would. */
static size_t seen_place(const struct cart *c, const char *session)
{
    size_t low = 0, high = c->seen_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(c->seen[middle].session, session) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The newest addition of the session that was seen; 0 = none. */
static uint64_t seen_counter(const struct cart *c, const char *session)
{
    size_t at = seen_place(c, session);
    bool known = at < c->seen_count && strcmp(c->seen[at].session, session) == 0;
    return known ? c->seen[at].counter : 0;
}

/* Room for one more in both lists, so that what follows cannot fail half way. */
static int cart_reserve(struct cart *c)
{
    struct cart_seen *seen = realloc(c->seen, (c->seen_count + 1) * sizeof(*seen));
    if (!seen)
        return GT_ENOMEM;
    c->seen = seen;
    struct cart_entry *entries = realloc(c->entries, (c->entry_count + 1) * sizeof(*entries));
    if (!entries)
        return GT_ENOMEM;
    c->entries = entries;
    return 0;
}

/* The session has made an addition; with room reserved. Returns its number. */
static uint64_t seen_advance(struct cart *c, const char *session)
{
    size_t at = seen_place(c, session);
    struct cart_seen *s = &c->seen[at];
    if (at == c->seen_count || strcmp(s->session, session) != 0) {
        memmove(s + 1, s, (c->seen_count - at) * sizeof(*s));
        memset(s, 0, sizeof(*s));
        snprintf(s->session, sizeof(s->session), "%s", session);
        c->seen_count++;
    }
    return ++s->counter;
}

int cart_add(struct cart *c, const char *session, uint32_t quantity, const char *item)
{
    if (!session_valid(session, strlen(session)) || !item_valid(item, strlen(item)) ||
        quantity < 1 || quantity > CART_QUANTITY_MAX)
        return GT_EARG;
    uint64_t last = seen_counter(c, session);
    if (c->entry_count >= CART_ENTRIES_MAX || last == UINT64_MAX ||
        (last == 0 && c->seen_count >= CART_SESSIONS_MAX))
        return GT_ELIMIT;
    int error = cart_reserve(c);
    if (error)
        return error;
    struct cart_entry new = {.counter = seen_advance(c, session), .quantity = quantity};
    snprintf(new.session, sizeof(new.session), "%s", session);
    snprintf(new.item, sizeof(new.item), "%s", item);
    size_t at = c->entry_count++;
    for (; at > 0 && tag_compare(&c->entries[at - 1], &new) > 0; at--)
        c->entries[at] = c->entries[at - 1];
    c->entries[at] = new;
    return 0;
}

int cart_remove(struct cart *c, const char *item)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->entry_count; i++)
        if (strcmp(c->entries[i].item, item) != 0)
            c->entries[kept++] = c->entries[i];
    int error = kept == c->entry_count ? GT_ENOTFOUND : 0;
    c->entry_count = kept;
    return error;
}

uint64_t cart_quantity(const struct cart *c, const char *item)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < c->entry_count; i++)
        if (strcmp(c->entries[i].item, item) == 0)
            sum += c->entries[i].quantity;
    return sum;
}

/* ---- merging --------------------------------------------------------------------------------- */

static size_t merge_seen(const struct cart *a, const struct cart *b, struct cart_seen *out)
{
    size_t i = 0, j = 0, count = 0;
    while (i < a->seen_count || j < b->seen_count) {
        int order = i == a->seen_count   ? 1
                    : j == b->seen_count ? -1
                                         : strcmp(a->seen[i].session, b->seen[j].session);
        out[count] = order <= 0 ? a->seen[i] : b->seen[j];
        if (order == 0 && b->seen[j].counter > out[count].counter)
            out[count].counter = b->seen[j].counter;
        i += order <= 0;
        j += order >= 0;
        count++;
    }
    return count;
}

/* One tag has one content, unless somebody broke the rule of sessions; then both sides still have
 * to choose the same. */
static const struct cart_entry *content_higher(const struct cart_entry *a,
                                               const struct cart_entry *b)
{
    int order = strcmp(a->item, b->item);
    return order > 0 || (order == 0 && a->quantity >= b->quantity) ? a : b;
}

static bool removed_in(const struct cart *other, const struct cart_entry *missing)
{
    return missing->counter <= seen_counter(other, missing->session);
}

static size_t merge_entries(const struct cart *a, const struct cart *b, struct cart_entry *out)
{
    size_t i = 0, j = 0, count = 0;
    while (i < a->entry_count || j < b->entry_count) {
        int order = i == a->entry_count   ? 1
                    : j == b->entry_count ? -1
                                          : tag_compare(&a->entries[i], &b->entries[j]);
        if (order == 0)
            out[count++] = *content_higher(&a->entries[i], &b->entries[j]);
        else if (order < 0 && !removed_in(b, &a->entries[i]))
            out[count++] = a->entries[i];
        else if (order > 0 && !removed_in(a, &b->entries[j]))
            out[count++] = b->entries[j];
        i += order <= 0;
        j += order >= 0;
    }
    return count;
}

int cart_merge(struct cart *into, const struct cart *from)
{
    size_t seen_max = into->seen_count + from->seen_count;
    size_t entries_max = into->entry_count + from->entry_count;
    struct cart merged = {.seen = malloc((seen_max + 1) * sizeof(*merged.seen)),
                          .entries = malloc((entries_max + 1) * sizeof(*merged.entries))};
    if (!merged.seen || !merged.entries) {
        cart_close(&merged);
        return GT_ENOMEM;
    }
    merged.seen_count = merge_seen(into, from, merged.seen);
    merged.entry_count = merge_entries(into, from, merged.entries);
    cart_close(into);
    *into = merged;
    return 0;
}

/* ---- the value in the store ------------------------------------------------------------------ */

int cart_format(const struct cart *c, char **text, size_t *bytes)
{
    size_t room =
        sizeof(CART_HEAD) + c->seen_count * SEEN_LINE_BYTES + c->entry_count * ENTRY_LINE_BYTES;
    char *at = *text = malloc(room);
    if (!at)
        return GT_ENOMEM;
    at += snprintf(at, sizeof(CART_HEAD), CART_HEAD);
    for (size_t i = 0; i < c->seen_count; i++)
        at += snprintf(at, SEEN_LINE_BYTES + 1, "seen %s %" PRIu64 "\n", c->seen[i].session,
                       c->seen[i].counter);
    for (size_t i = 0; i < c->entry_count; i++) {
        const struct cart_entry *e = &c->entries[i];
        at += snprintf(at, ENTRY_LINE_BYTES + 1, "item %s %" PRIu64 " %" PRIu32 " %s\n", e->session,
                       e->counter, e->quantity, e->item);
    }
    *bytes = (size_t)(at - *text);
    return 0;
}

/* What is left of the text, and the number of the line at its beginning. */
struct reader {
    const char *at, *end;
    unsigned line;
};

static bool take_word(struct reader *r, const char *word)
{
    size_t bytes = strlen(word);
    if ((size_t)(r->end - r->at) < bytes || memcmp(r->at, word, bytes) != 0)
        return false;
    r->at += bytes;
    return true;
}

/* All up to the next `stop`, which is taken as well. */
static bool take_until(struct reader *r, char stop, const char **field, size_t *bytes)
{
    const char *found = memchr(r->at, stop, (size_t)(r->end - r->at));
    if (!found)
        return false;
    *field = r->at;
    *bytes = (size_t)(found - r->at);
    r->at = found + 1;
    return true;
}

/* A decimal number in [1, max], written in the one way, with `stop` behind it. */
static bool take_number(struct reader *r, char stop, uint64_t max, uint64_t *number)
{
    const char *digits;
    size_t bytes;
    if (!take_until(r, stop, &digits, &bytes) || bytes == 0 || digits[0] == '0')
        return false;
    *number = 0;
    for (size_t i = 0; i < bytes; i++) {
        unsigned digit = (unsigned)(digits[i] - '0');
        if (digit > 9 || *number > (max - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    return true;
}

static bool take_session(struct reader *r, char session[CART_SESSION_BYTES])
{
    const char *field;
    size_t bytes;
    if (!take_until(r, ' ', &field, &bytes) || !session_valid(field, bytes))
        return false;
    memcpy(session, field, bytes);
    session[bytes] = '\0';
    return true;
}

/* The rest of a line "seen SESSION COUNTER", into the last place. NULL, or what is wrong. */
static const char *read_seen(struct reader *r, struct cart *c)
{
    struct cart_seen *s = &c->seen[c->seen_count];
    memset(s, 0, sizeof(*s));
    if (!take_session(r, s->session))
        return "no session";
    if (!take_number(r, '\n', UINT64_MAX, &s->counter))
        return "no counter";
    if (c->entry_count || (c->seen_count && strcmp(s[-1].session, s->session) >= 0))
        return "out of order";
    c->seen_count++;
    return NULL;
}

static const char *read_entry(struct reader *r, struct cart *c)
{
    struct cart_entry *e = &c->entries[c->entry_count];
    uint64_t quantity;
    const char *item;
    size_t bytes;
    memset(e, 0, sizeof(*e));
    if (!take_session(r, e->session))
        return "no session";
    if (!take_number(r, ' ', UINT64_MAX, &e->counter))
        return "no counter";
    if (!take_number(r, ' ', CART_QUANTITY_MAX, &quantity))
        return "no quantity";
    if (!take_until(r, '\n', &item, &bytes) || !item_valid(item, bytes))
        return "no item";
    e->quantity = (uint32_t)quantity;
    memcpy(e->item, item, bytes);
    if (c->entry_count && tag_compare(&e[-1], e) >= 0)
        return "out of order";
    if (e->counter > seen_counter(c, e->session))
        return "an item that was not seen";
    c->entry_count++;
    return NULL;
}

static const char *read_line(struct reader *r, struct cart *c)
{
    if (take_word(r, "seen "))
        return read_seen(r, c);
    if (take_word(r, "item "))
        return read_entry(r, c);
    return "neither seen nor item";
}

static size_t lines_of(const char *text, size_t bytes, const char *word)
{
    size_t count = 0;
    struct reader r = {.at = text, .end = text + bytes};
    const char *line;
    do
        count += take_word(&r, word);
    while (take_until(&r, '\n', &line, &bytes));
    return count;
}

int cart_parse(struct cart *c, const void *text, size_t bytes, char why[CART_WHY_BYTES])
{
    struct reader r = {.at = bytes ? text : "", .line = 1};
    r.end = r.at + bytes;
    size_t seen_max = lines_of(r.at, bytes, "seen "), entries_max = lines_of(r.at, bytes, "item ");
    if (!take_word(&r, CART_HEAD)) {
        snprintf(why, CART_WHY_BYTES, "this is no cart of a format known here");
        return GT_EFORMAT;
    }
    struct cart parsed = {.seen = malloc((seen_max + 1) * sizeof(*parsed.seen)),
                          .entries = malloc((entries_max + 1) * sizeof(*parsed.entries))};
    if (!parsed.seen || !parsed.entries) {
        cart_close(&parsed);
        return GT_ENOMEM;
    }
    const char *wrong = NULL;
    while (!wrong && r.at < r.end) {
        r.line++;
        wrong = read_line(&r, &parsed);
    }
    if (wrong) {
        snprintf(why, CART_WHY_BYTES, "line %u of the cart: %s", r.line, wrong);
        cart_close(&parsed);
        return GT_EFORMAT;
    }
    cart_close(c);
    *c = parsed;
    return 0;
}

/* ---- for people ------------------------------------------------------------------------------ */

static int item_compare(const void *a, const void *b)
{
    const struct cart_entry *const *left = a, *const *right = b;
    return strcmp((*left)->item, (*right)->item);
}

/* Each item once, with what all its entries say together. */
static void items_write(const struct cart *c, const struct cart_entry **sorted, char *text)
{
    char *at = text;
    if (c->entry_count == 0)
        snprintf(text, sizeof("empty"), "empty");
    for (size_t i = 0; i < c->entry_count; i++) {
        const char *item = sorted[i]->item;
        if (i && strcmp(sorted[i - 1]->item, item) == 0)
            continue;
        at += snprintf(at, ITEM_TEXT_BYTES + 1, "%s%" PRIu64 " %s", i ? ", " : "",
                       cart_quantity(c, item), item);
    }
}

char *cart_text(const struct cart *c)
{
    const struct cart_entry **sorted = malloc((c->entry_count + 1) * sizeof(const void *));
    char *text = malloc(sizeof("empty") + c->entry_count * ITEM_TEXT_BYTES);
    if (sorted && text) {
        for (size_t i = 0; i < c->entry_count; i++)
            sorted[i] = &c->entries[i];
        qsort(sorted, c->entry_count, sizeof(*sorted), item_compare);
        items_write(c, sorted, text);
    } else {
        free(text);
        text = NULL;
    }
    free(sorted);
    return text;
}
