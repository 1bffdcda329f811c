/*
 * A shopping cart that two people change at once. Usage:
 *
 *     shopping_cart CART SESSION [HOST:PORT[,HOST:PORT]]
 *
 * Commands come from standard input, one a line; each is answered by one line.
 *
 *     read             fetches all siblings of the cart, and merges them into the own copy
 *     add N ITEM       to the own copy
 *     remove ITEM      from the own copy, as much of it as was seen
 *     show             the own copy
 *     write            puts the own copy in place of what it was read from
 *
 * What makes it right is one invariant: the own copy holds all that the context covers, so that a
 * write replaces nothing that was not merged. A write that races with another leaves siblings, and
 * the next read merges them. One that failed or is in doubt is just written again: merging the same
 * twice does no harm.
 *
 * Exit codes: 0; 1 when a command failed; 2 usage.
 */
#include <gtstore.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cart.h"

#define LINE_BYTES    512
#define NAME_BYTES    (CART_SESSION_BYTES - 17) /* of SESSION: '-' and 16 digits follow */
#define MANAGER_LOCAL "127.0.0.1:5000"

struct shopper {
    gtstore_env env;
    const char *key;
    char session[CART_SESSION_BYTES];
    struct cart cart;
    void *context; /* of what was merged into the cart or written from it; NULL: nothing was read */
    size_t context_bytes;
    bool failed; /* some command */
};

static void fail(struct shopper *s, const char *what)
{
    printf("failed: %s\n", what);
    s->failed = true;
}

static void show(struct shopper *s, const char *prefix)
{
    char *text = cart_text(&s->cart);
    if (text)
        printf("%s%s\n", prefix, text);
    else
        fail(s, gtstore_strerror(GT_ENOMEM));
    free(text);
}

/* A block of its own even for no bytes: an empty context replaces nothing, NULL would be a plain
 * put. */
static int context_keep(struct shopper *s, const void *context, size_t bytes)
{
    void *copy = malloc(bytes + 1);
    if (!copy)
        return GT_ENOMEM;
    if (bytes)
        memcpy(copy, context, bytes);
    free(s->context);
    s->context = copy;
    s->context_bytes = bytes;
    return 0;
}

/* ---- read ------------------------------------------------------------------------------------ */

/* All siblings as one cart. A sibling that cannot be had or read is an error: with its context the
 * next write would replace it unmerged. */
static int siblings_merge(const gtstore_result *result, struct cart *all, char why[CART_WHY_BYTES])
{
    struct cart one;
    int error = 0;
    cart_init(&one);
    for (unsigned i = 0; error == 0 && i < result->siblings; i++) {
        gtstore_sibling sibling;
        error = gtstore_result_sibling(result, i, &sibling);
        if (error == 0 && sibling.deleted)
            continue; /* somebody deleted the key; what is beside it stays */
        if (error == 0)
            error = cart_parse(&one, sibling.value, sibling.value_bytes, why);
        if (error == 0)
            error = cart_merge(all, &one);
    }
    cart_close(&one);
    return error;
}

static void on_read(void *arg, const gtstore_result *result)
{
    struct shopper *s = arg;
    char why[CART_WHY_BYTES] = "", prefix[120];
    if (result->error && result->error != GT_ENOTFOUND)
        return; /* gtstore_run says it */
    struct cart all;
    cart_init(&all);
    int error = siblings_merge(result, &all, why);
    if (error == 0)
        error = cart_merge(&s->cart, &all);
    if (error == 0)
        error = context_keep(s, result->context, result->context_bytes);
    cart_close(&all);
    if (error) {
        fail(s, why[0] ? why : gtstore_strerror(error));
        return;
    }
    snprintf(prefix, sizeof(prefix), "%u sibling%s, from %s: ", result->siblings,
             result->siblings == 1 ? "" : "s", result->coordinator);
    show(s, prefix);
}

static void read_cart(struct shopper *s)
{
    gtstore_op op = {.size = sizeof(op),
                     .verb = GTSTORE_GET,
                     .key = s->key,
                     .key_bytes = strlen(s->key),
                     .flags = GTSTORE_ALL};
    int error = gtstore_run(&s->env, &op, on_read, s);
    if (error && error != GT_ENOTFOUND)
        fail(s, gtstore_last_error(&s->env));
}

/* ---- write ----------------------------------------------------------------------------------- */

/* The context of a put's reply covers what the put replaced and the put itself: all of it is in the
 * own copy, so that the next write may replace it without reading. */
static void on_write(void *arg, const gtstore_result *result)
{
    struct shopper *s = arg;
    if (result->error)
        return; /* gtstore_run says it, and whether the write may exist */
    if (context_keep(s, result->context, result->context_bytes) != 0)
        fail(s, "written, but out of memory: read before the next write");
    else
        printf("written, by %s\n", result->coordinator);
}

static void write_cart(struct shopper *s)
{
    char *text;
    size_t bytes;
    if (!s->context) {
        fail(s, "read first: nothing says yet what this write would replace");
        return;
    }
    if (cart_format(&s->cart, &text, &bytes) != 0) {
        fail(s, gtstore_strerror(GT_ENOMEM));
        return;
    }
    gtstore_op op = {.size = sizeof(op),
                     .verb = GTSTORE_PUT,
                     .key = s->key,
                     .key_bytes = strlen(s->key),
                     .value = text,
                     .value_bytes = bytes,
                     .context = s->context,
                     .context_bytes = s->context_bytes};
    if (gtstore_run(&s->env, &op, on_write, s) != 0)
        fail(s, gtstore_last_error(&s->env));
    free(text);
}

/* ---- commands -------------------------------------------------------------------------------- */

static void add(struct shopper *s, const char *arguments)
{
    char *item;
    unsigned long quantity = strtoul(arguments, &item, 10);
    if (arguments[0] < '1' || arguments[0] > '9' || *item != ' ' || quantity > CART_QUANTITY_MAX) {
        fail(s, "usage: add N ITEM, N from 1 to 1000000");
        return;
    }
    int error = cart_add(&s->cart, s->session, (uint32_t)quantity, item + 1);
    if (error == GT_EARG)
        fail(s, "an item is 1 to 200 bytes without control characters");
    else if (error == GT_ELIMIT)
        fail(s, "the cart is full");
    else if (error)
        fail(s, gtstore_strerror(error));
    else
        show(s, "cart: ");
}

static void run_command(struct shopper *s, const char *line)
{
    if (strcmp(line, "read") == 0)
        read_cart(s);
    else if (strcmp(line, "write") == 0)
        write_cart(s);
    else if (strcmp(line, "show") == 0)
        show(s, "cart: ");
    else if (strncmp(line, "add ", 4) == 0)
        add(s, line + 4);
    else if (strncmp(line, "remove ", 7) == 0 && cart_remove(&s->cart, line + 7) == 0)
        show(s, "cart: ");
    else if (strncmp(line, "remove ", 7) == 0)
        fail(s, "there is no such item in the cart");
    else
        fail(s, "the commands are: read, add N ITEM, remove ITEM, show, write");
}

/* A line of standard input without its newline. False at the end. A line that is too long is taken
 * whole, and empty. */
static bool next_line(char line[LINE_BYTES])
{
    if (!fgets(line, LINE_BYTES, stdin))
        return false;
    size_t bytes = strcspn(line, "\n");
    if (line[bytes] == '\n' || feof(stdin)) {
        line[bytes] = '\0';
        return true;
    }
    line[0] = '\0';
    for (int c = 0; c != '\n' && c != EOF;)
        c = getchar();
    return true;
}

/* A copy of the cart that begins now: no tag of it was ever given before. */
static bool session_name(char session[CART_SESSION_BYTES], const char *name)
{
    uint64_t life;
    size_t bytes = strlen(name);
    bool valid = bytes > 0 && bytes < NAME_BYTES;
    for (size_t i = 0; valid && i < bytes; i++)
        valid = strchr("abcdefghijklmnopqrstuvwxyz0123456789", name[i]) != NULL;
    if (!valid || getrandom(&life, sizeof(life), 0) != sizeof(life))
        return false;
    snprintf(session, CART_SESSION_BYTES, "%s-%016" PRIx64, name, life);
    return true;
}

int main(int argc, char **argv)
{
    struct shopper s = {0};
    char line[LINE_BYTES];
    if (argc < 3 || argc > 4 || !session_name(s.session, argv[2])) {
        fprintf(stderr, "usage: shopping_cart CART SESSION [HOST:PORT[,HOST:PORT]]\n"
                        "SESSION is 1 to 31 of a-z and 0-9; commands come from standard input\n");
        return 2;
    }
    s.key = argv[1];
    const char *manager = argc > 3 ? argv[3] : getenv("GTSTORE_MANAGER");
    int error = gtstore_init(&s.env, manager ? manager : MANAGER_LOCAL);
    if (error) {
        fprintf(stderr, "shopping_cart: %s\n", gtstore_last_error(&s.env));
        return error == GT_EARG ? 2 : 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* whoever waits for an answer sees it */
    cart_init(&s.cart);
    while (next_line(line))
        run_command(&s, line);
    cart_close(&s.cart);
    free(s.context);
    gtstore_finalize(&s.env);
    return s.failed ? 1 : 0;
}
