/* The program gtstore-admin: asks the manager, or any node, and shows what it says. */
#include <argp.h>
#include <libsmartcols/libsmartcols.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "client/admin_view.h"
#include "client/ask.h"
#include "engine/base/stdio.h"
#include "engine/base/error.h"
#include "net/loop_uv.h"

#define EXIT_USAGE 2
#define EXIT_UNREACHABLE 6
#define EXIT_NOT_WELL 7
#define REQUEST_US 5000000u
#define WAIT_US 600000000u
#define WAIT_PAUSE_US 200000u

struct options {
    const char *managers; /* as typed; NULL: the environment's, or the default */
    struct address addresses[ASK_ADDRESSES_MAX];
    uint32_t address_count;
    bool json;
    uint64_t timeout_us; /* 0: the verb's default */
    const char *key;     /* locate */
};

struct verb {
    const char *name, *arguments, *text;
    int (*run)(const struct options *o); /* NULL: not in this version */
    uint32_t argument_count;
};

__attribute__((noreturn, format(printf, 2, 3))) static void die(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("gtstore-admin: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(status);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static uint64_t timeout_of(const struct options *o)
{
    return o->timeout_us ? o->timeout_us : REQUEST_US;
}

static void ask_or_die(const struct options *o, enum msg_type type, struct ask_reply *reply)
{
    struct msg request = {.type = type};
    int error = ask(o->addresses, o->address_count, &request, timeout_of(o), reply);
    if (error)
        die(error_exit_code(error), "%s", reply->text);
}

static const struct status *status_or_die(const struct options *o, struct ask_reply *reply)
{
    ask_or_die(o, MSG_STATUS, reply);
    int error = reply->msg.status_reply.error;
    if (error || !reply->msg.status_reply.status)
        die(error ? error_exit_code(error) : 1, "no status to be had: %s",
            error ? error_text(error) : "an empty answer");
    return reply->msg.status_reply.status;
}

static const struct ring *ring_or_die(const struct options *o, struct ask_reply *reply)
{
    ask_or_die(o, MSG_MAP_GET, reply);
    if (!reply->msg.map.ring)
        die(error_exit_code(GT_EFORMING), "no cluster map to be had there yet");
    return reply->msg.map.ring;
}

/* ---- showing --------------------------------------------------------------------------------- */

static void json_show(json_t *answer)
{
    if (json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12)) != 0)
        die(1, "cannot write the answer");
    fputc('\n', stdout);
    json_decref(answer);
}

static void grid_show(struct grid *g, bool headings)
{
    struct libscols_table *table = scols_new_table();
    if (!table)
        die(1, "out of memory");
    scols_table_enable_noheadings(table, !headings);
    for (uint32_t i = 0; i < g->column_count; i++)
        if (!scols_table_new_column(table, g->headers[i], 0, g->right[i] ? SCOLS_FL_RIGHT : 0))
            die(1, "out of memory");
    for (uint32_t i = 0; i < g->cell_count; i += g->column_count) {
        struct libscols_line *line = scols_table_new_line(table, NULL);
        for (uint32_t c = 0; line && c < g->column_count; c++)
            if (scols_line_set_data(line, c, g->cells[i + c]) != 0)
                line = NULL;
        if (!line)
            die(1, "out of memory");
    }
    scols_print_table(table);
    scols_unref_table(table);
    grid_close(g);
}

static int flushed(int status)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? status : 1;
}

/* ---- verbs ----------------------------------------------------------------------------------- */

/* The table of nodes, and a line under it for each that may miss writes. */
static void nodes_show(const struct status *s)
{
    struct grid grid;
    char text[VIEW_TEXT_BYTES];
    grid_init(&grid);
    view_nodes_grid(s, &grid);
    grid_show(&grid, true);
    for (uint32_t i = 0; i < s->node_count; i++)
        if (view_damage_text(&s->nodes[i], text)[0])
            printf("%s\n", text);
}

static int run_status(const struct options *o)
{
    struct ask_reply reply;
    struct grid grid;
    char why[VIEW_TEXT_BYTES];
    const struct status *s = status_or_die(o, &reply);
    if (o->json) {
        json_show(view_status_json(s));
    } else {
        grid_init(&grid);
        view_summary_grid(s, &grid);
        grid_show(&grid, false);
        fputc('\n', stdout);
        nodes_show(s);
    }
    int status = flushed(0);
    if (view_verdict_text(s, why)[0]) {
        fprintf(stderr, "gtstore-admin: %s\n", why);
        status = EXIT_NOT_WELL;
    }
    ask_reply_close(&reply);
    return status;
}

static int run_nodes(const struct options *o)
{
    struct ask_reply reply;
    const struct status *s = status_or_die(o, &reply);
    if (o->json) {
        json_show(view_nodes_json(s));
    } else {
        nodes_show(s);
    }
    ask_reply_close(&reply);
    return flushed(0);
}

static int run_ring(const struct options *o)
{
    struct ask_reply status_reply, map_reply;
    struct grid grid;
    const struct status *s = status_or_die(o, &status_reply);
    const struct ring *r = ring_or_die(o, &map_reply);
    if (o->json) {
        json_show(view_ring_json(s, r));
    } else {
        grid_init(&grid);
        view_ring_grid(r, &grid);
        grid_show(&grid, true);
    }
    if (!r->formed)
        fprintf(stderr, "gtstore-admin: forming: %u of %u nodes; no tokens are handed out yet\n",
                s->registered, s->settings.form_nodes);
    ask_reply_close(&map_reply);
    ask_reply_close(&status_reply);
    return flushed(0);
}

static int run_locate(const struct options *o)
{
    struct ask_reply status_reply, map_reply;
    struct grid grid;
    struct slice key = slice_text(o->key);
    if (key.bytes < 1 || key.bytes > KEY_BYTES_MAX)
        die(EXIT_USAGE, "a key has 1 to %d bytes, this one %zu", KEY_BYTES_MAX, key.bytes);
    const struct status *s = status_or_die(o, &status_reply);
    const struct ring *r = ring_or_die(o, &map_reply);
    if (!r->formed)
        die(error_exit_code(GT_EFORMING), "forming: %u of %u nodes", s->registered,
            s->settings.form_nodes);
    if (o->json) {
        json_show(view_locate_json(s, r, key));
    } else {
        grid_init(&grid);
        view_locate_grid(s, r, key, &grid);
        grid_show(&grid, true);
    }
    ask_reply_close(&map_reply);
    ask_reply_close(&status_reply);
    return flushed(0);
}

static int run_version(const struct options *o)
{
    if (o->json)
        printf("{\"v\":1,\"version\":\"%s\"}\n", GT_VERSION);
    else
        printf("gtstore-admin %s\n", GT_VERSION);
    return flushed(0);
}

/* One look at the cluster for wait: the reason to go on waiting, "" when there is none. */
static bool wait_look(const struct options *o, uint64_t began_us, uint64_t left_us,
                      char text[VIEW_TEXT_BYTES])
{
    struct ask_reply reply;
    struct msg request = {.type = MSG_STATUS};
    int error = ask(o->addresses, o->address_count, &request,
                    left_us < REQUEST_US ? left_us : REQUEST_US, &reply);
    if (error)
        snprintf(text, VIEW_TEXT_BYTES, "%s", reply.text);
    else if (reply.msg.status_reply.error || !reply.msg.status_reply.status)
        snprintf(text, VIEW_TEXT_BYTES, "no status to be had yet");
    else
        view_wait_text(reply.msg.status_reply.status, (loop_now_us() - began_us) / 1000, text);
    ask_reply_close(&reply);
    return error == 0;
}

static int run_wait(const struct options *o)
{
    char text[VIEW_TEXT_BYTES];
    bool reached = false;
    uint64_t began_us = loop_now_us();
    uint64_t end_us = began_us + (o->timeout_us ? o->timeout_us : WAIT_US);
    for (uint64_t now_us = began_us;; now_us = loop_now_us()) {
        reached |= wait_look(o, began_us, end_us > now_us ? end_us - now_us : 1000, text);
        if (!text[0])
            return 0;
        now_us = loop_now_us();
        if (now_us >= end_us)
            die(reached ? EXIT_NOT_WELL : EXIT_UNREACHABLE, "%s", text);
        uint64_t pause_us = end_us - now_us < WAIT_PAUSE_US ? end_us - now_us : WAIT_PAUSE_US;
        nanosleep(&(struct timespec){.tv_nsec = (long)pause_us * 1000}, NULL);
    }
}

static const struct verb verbs[] = {
    {"status", "", "Says how the cluster is; exit 0 when it is healthy, 7 when not.", run_status, 0},
    {"nodes", "", "Lists the members.", run_nodes, 0},
    {"ring", "", "Lists the partitions with their owners.", run_ring, 0},
    {"locate", "KEY", "Says where a key lives: its partition and its owners, in order.", run_locate,
     1},
    {"wait", "", "Waits until every member is up and nothing is behind (--timeout, 10m); exit 7 "
     "when that did not come.", run_wait, 0},
    {"version", "", "Prints the version.", run_version, 0},
    {"hints", NULL, NULL, NULL, 0},
    {"verify", NULL, NULL, NULL, 0},
    {"events", NULL, NULL, NULL, 0},
    {"rebalance", NULL, NULL, NULL, 0},
    {"drain", NULL, NULL, NULL, 0},
    {"remove", NULL, NULL, NULL, 0},
};
#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

/* ---- flags ----------------------------------------------------------------------------------- */

enum { KEY_TIMEOUT = 256 };

static const struct argp_option global_flags[] = {
    {"manager", 'm', "HOST:PORT[,..]", 0, "manager or nodes to ask (GTSTORE_MANAGER, else "
     "127.0.0.1:5000); the next when one does not answer", 0},
    {"output", 'o', "FORM", 0, "table (default) or json", 0},
    {"timeout", KEY_TIMEOUT, "TIME", 0, "limit of the whole (5s; of wait 10m)", 0},
    {0},
};

static error_t parse_global(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->err_stream = NULL; /* getopt's own line is enough */
        return 0;
    case 'm':
        o->managers = arg;
        return 0;
    case 'o':
        if (strcmp(arg, "table") != 0 && strcmp(arg, "json") != 0)
            die(EXIT_USAGE, "-o %s: table or json is needed", arg);
        o->json = strcmp(arg, "json") == 0;
        return 0;
    case KEY_TIMEOUT:
        if (units_duration(arg, &o->timeout_us) != 0 || o->timeout_us == 0)
            die(EXIT_USAGE, "--timeout %s: a time like 500ms, 5s or 10m is needed", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp global_argp = {global_flags, parse_global, NULL, NULL, NULL, NULL, NULL};

struct parsing {
    struct options options;
    const struct verb *verb;
    uint32_t argument_count;
};

/* The global flags are a child of both tables below, so that they stand before or after the verb. */
static error_t parse_verb(int key, char *arg, struct argp_state *state)
{
    struct parsing *p = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &p->options;
        state->err_stream = NULL;
        return 0;
    case ARGP_KEY_ARG:
        if (p->argument_count == p->verb->argument_count)
            die(EXIT_USAGE, "%s: unexpected argument %s; see: gtstore-admin %s --help",
                p->verb->name, arg, p->verb->name);
        p->options.key = arg;
        p->argument_count++;
        return 0;
    case ARGP_KEY_END:
        if (p->argument_count < p->verb->argument_count)
            die(EXIT_USAGE, "%s: %s is missing; see: gtstore-admin %s --help", p->verb->name,
                p->verb->arguments, p->verb->name);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child global_child[] = {{&global_argp, 0, NULL, 0}, {0}};

static const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    die(EXIT_USAGE, "unknown verb %s; see: gtstore-admin --help", name);
}

/* What follows the verb, by the verb's own table. */
static void verb_parse(struct parsing *p, struct argp_state *state)
{
    char name[64], end_of_flags[] = "--";
    int count = state->argc - state->next;
    char **rest = calloc((size_t)count + 3, sizeof(*rest));
    if (!rest)
        die(1, "out of memory");
    int used = 0;
    snprintf(name, sizeof(name), "gtstore-admin %s", p->verb->name);
    rest[used++] = name;
    if (state->quoted)
        rest[used++] = end_of_flags;
    for (int i = 0; i < count; i++)
        rest[used++] = state->argv[state->next + i];
    const struct argp argp = {NULL,         parse_verb, p->verb->arguments, p->verb->text,
                              global_child, NULL,       NULL};
    if (argp_parse(&argp, used, rest, 0, NULL, p) != 0)
        exit(EXIT_USAGE); /* getopt has said why */
    free(rest);
    state->next = state->argc;
}

static error_t parse_program(int key, char *arg, struct argp_state *state)
{
    struct parsing *p = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &p->options;
        state->err_stream = NULL;
        return 0;
    case ARGP_KEY_ARG:
        p->verb = verb_find(arg);
        if (!p->verb->run)
            die(EXIT_USAGE, "%s is not supported in this version", arg);
        verb_parse(p, state);
        return 0;
    case ARGP_KEY_NO_ARGS:
        die(EXIT_USAGE, "a verb is missing; see: gtstore-admin --help");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void addresses_read(struct options *o)
{
    const char *text = o->managers ? o->managers : getenv("GTSTORE_MANAGER");
    if (!text || !text[0])
        text = "127.0.0.1:5000";
    int count = units_addresses(text, o->addresses, ASK_ADDRESSES_MAX);
    if (count < 1)
        die(EXIT_USAGE, "-m %s: HOST:PORT[,HOST:PORT] is needed, at most %d of them", text,
            ASK_ADDRESSES_MAX);
    o->address_count = (uint32_t)count;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        NULL, parse_program, "VERB [ARGUMENT]",
        "Shows and waits for the state of a GTStore cluster.\v"
        "Verbs: status, nodes, ring, locate KEY, wait, version. "
        "Each has its own --help. Exit codes: 0 ok, 2 usage, 5 forming, 6 unreachable, 7 not all "
        "well.",
        global_child, NULL, NULL};
    struct parsing parsing = {0};
    argp_err_exit_status = EXIT_USAGE;
    argv[0] = (char[]){"gtstore-admin"};
    stdio_open();
    argp_program_version = "gtstore-admin " GT_VERSION;
    if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &parsing) != 0)
        exit(EXIT_USAGE); /* getopt has said why */
    addresses_read(&parsing.options);
    return parsing.verb->run(&parsing.options);
}
