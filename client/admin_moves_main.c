/* The verbs of gtstore-admin that change the cluster: moves, members, settings. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "client/admin.h"
#include "client/moves_view.h"
#include "engine/base/error.h"
#include "engine/base/program.h"
#include "net/loop_uv.h"

#define STATUS_LINE_US 10000000u /* between two lines */
#define STATUS_BAR_US  500000u   /* between two bars, on a terminal */
#define BAR_COLUMNS    30
#define ASK_AGAIN_NS   200000000

/* ---- asking ---------------------------------------------------------------------------------- */

static void ask_manager(const struct options *o, const struct msg *request, struct ask_reply *reply)
{
    int error = ask(o->addresses, o->address_count, request, timeout_of(o), reply);
    if (error)
        program_die(error_exit_code(error), "%s", reply->text);
}

/* What a failure says of itself, or what is known of its kind. */
static void answer_check(int error, struct slice text)
{
    if (!error)
        return;
    if (text.bytes == 0)
        program_die(error_exit_code(error), "%s", error_text(error));
    program_die(error_exit_code(error), "%.*s", (int)text.bytes, (const char *)text.data);
}

/* Asks, and prints what was done. */
static int admin_run(const struct options *o, const struct msg *request)
{
    struct ask_reply reply;
    /* Settings wait for every node to have told that it has those of before. */
    uint64_t until_us = loop_now_us() + (request->admin.verb == ADMIN_SET ? timeout_of(o) : 0);
    ask_manager(o, request, &reply);
    while (reply.msg.admin_reply.error == GT_EBUSY && loop_now_us() < until_us) {
        ask_reply_close(&reply);
        nanosleep(&(struct timespec){.tv_nsec = ASK_AGAIN_NS}, NULL);
        ask_manager(o, request, &reply);
    }
    struct slice text = reply.msg.admin_reply.text;
    answer_check(reply.msg.admin_reply.error, text);
    if (o->json)
        json_show(json_pack("{s:i, s:b, s:s%, s:I}", "v", 1, "changed",
                            (int)reply.msg.admin_reply.changed, "text",
                            text.bytes ? (const char *)text.data : "", text.bytes, "epoch",
                            (json_int_t)reply.msg.epoch.counter));
    else
        printf("%.*s\n", (int)text.bytes, (const char *)text.data);
    ask_reply_close(&reply);
    return program_flush(0);
}

static int admin_simple(const struct options *o, enum admin_verb verb)
{
    struct msg request = {.type = MSG_ADMIN, .admin = {.verb = (uint8_t)verb, .apply = true}};
    request.admin.epoch.counter = verb == ADMIN_APPLY ? o->epoch : 0;
    return admin_run(o, &request);
}

static struct slice argument(const struct options *o, unsigned i)
{
    return slice_text(o->arguments[i]);
}

/* ---- rebalance ------------------------------------------------------------------------------- */

static int plan_run(const struct options *o)
{
    struct msg request = {.type = MSG_PLAN};
    struct ask_reply reply;
    struct grid grid;
    char text[VIEW_TEXT_BYTES];
    ask_manager(o, &request, &reply);
    answer_check(reply.msg.plan_reply.error, reply.msg.plan_reply.text);
    if (o->json) {
        json_show(view_plan_json(&reply.msg));
    } else {
        if (reply.msg.plan_reply.moves.bytes > 0) {
            grid_init(&grid);
            view_plan_grid(&reply.msg, &grid);
            grid_show(&grid, true);
        }
        printf("%s\n", view_plan_text(&reply.msg, text));
    }
    ask_reply_close(&reply);
    return program_flush(0);
}

/* Between two looks: how many moves were done a second. */
struct pace {
    uint64_t done, at_us;
    double moves_a_second;
};

static void pace_note(struct pace *p, uint64_t done, uint64_t now_us)
{
    if (p->at_us != 0 && now_us > p->at_us && done > p->done)
        p->moves_a_second = (double)(done - p->done) * 1e6 / (double)(now_us - p->at_us);
    if (done != p->done || p->at_us == 0) {
        p->done = done;
        p->at_us = now_us;
    }
}

static void status_print(const struct options *o, const struct status *s, struct pace *pace,
                         bool bar, bool ended)
{
    char text[VIEW_TEXT_BYTES];
    pace_note(pace, s->moves_done, loop_now_us());
    if (o->json)
        json_show(view_status_json(s));
    else if (bar)
        printf("\r%s\033[K%s", view_moves_bar(s, pace->moves_a_second, BAR_COLUMNS, text),
               ended ? "\n" : "");
    else
        printf("%s\n", view_moves_text(s, text));
    fflush(stdout);
}

static int status_run(const struct options *o)
{
    struct pace pace = {0};
    bool bar = !o->json && !o->once && isatty(STDOUT_FILENO);
    for (;;) {
        struct ask_reply reply;
        const struct status *s = status_or_die(o, &reply);
        bool ended = view_moves_ended(s);
        status_print(o, s, &pace, bar, ended);
        ask_reply_close(&reply);
        if (ended || o->once || o->json) /* one object, for a program */
            return program_flush(0);
        uint64_t pause_us = bar ? STATUS_BAR_US : STATUS_LINE_US;
        nanosleep(&(struct timespec){.tv_sec = (time_t)(pause_us / 1000000),
                                     .tv_nsec = (long)(pause_us % 1000000) * 1000},
                  NULL);
    }
}

int run_rebalance(const struct options *o)
{
    if (o->epoch != 0 && o->mode != MODE_APPLY)
        program_usage("rebalance: --epoch belongs to --apply");
    if (o->once && o->mode != MODE_STATUS)
        program_usage("rebalance: --once belongs to --status");
    switch (o->mode) {
    case MODE_APPLY:
        return admin_simple(o, ADMIN_APPLY);
    case MODE_STATUS:
        return status_run(o);
    case MODE_PAUSE:
        return admin_simple(o, ADMIN_PAUSE);
    case MODE_RESUME:
        return admin_simple(o, ADMIN_RESUME);
    case MODE_CANCEL:
        return admin_simple(o, ADMIN_CANCEL);
    default:
        return plan_run(o);
    }
}

/* ---- members and settings -------------------------------------------------------------------- */

int run_drain(const struct options *o)
{
    struct msg request = {.type = MSG_ADMIN,
                          .admin = {.verb = ADMIN_DRAIN, .apply = true, .node = argument(o, 0)}};
    return admin_run(o, &request);
}

int run_remove(const struct options *o)
{
    struct msg request = {.type = MSG_ADMIN,
                          .admin = {.verb = ADMIN_REMOVE, .apply = o->yes, .node = argument(o, 0)}};
    int status = admin_run(o, &request);
    if (o->yes || status != 0)
        return status;
    program_say("nothing was changed; --yes does it");
    return EXIT_USAGE;
}

int run_replace(const struct options *o)
{
    struct msg request = {
        .type = MSG_ADMIN,
        .admin = {
            .verb = ADMIN_REPLACE, .apply = true, .node = argument(o, 0), .other = argument(o, 1)}};
    return admin_run(o, &request);
}

int run_weight(const struct options *o)
{
    double capacity;
    if (units_real(o->arguments[1], MEMBER_WEIGHT_MIN, MEMBER_WEIGHT_MAX, &capacity) != 0)
        program_usage("weight %s: a number from %g to %g is needed", o->arguments[1],
                      MEMBER_WEIGHT_MIN, MEMBER_WEIGHT_MAX);
    struct msg request = {
        .type = MSG_ADMIN,
        .admin = {
            .verb = ADMIN_WEIGHT, .apply = true, .node = argument(o, 0), .capacity = capacity}};
    return admin_run(o, &request);
}

int run_set(const struct options *o)
{
    if (o->write_quorum == 0 && o->read_quorum == 0 && o->value_bytes_max == 0)
        program_usage("set: --write-quorum, --read-quorum or --value-max is needed");
    struct msg request = {.type = MSG_ADMIN,
                          .admin = {.verb = ADMIN_SET,
                                    .apply = true,
                                    .write_quorum = o->write_quorum,
                                    .read_quorum = o->read_quorum,
                                    .value_bytes_max = o->value_bytes_max}};
    return admin_run(o, &request);
}

/* ---- flags ----------------------------------------------------------------------------------- */

enum {
    KEY_PLAN = KEY_MOVES,
    KEY_APPLY,
    KEY_STATUS,
    KEY_PAUSE,
    KEY_RESUME,
    KEY_CANCEL,
    KEY_EPOCH,
    KEY_ONCE,
    KEY_WRITE_QUORUM,
    KEY_READ_QUORUM,
    KEY_VALUE_MAX
};

const struct argp_option rebalance_flags[] = {
    {"plan", KEY_PLAN, NULL, 0, "show what would be moved (default)", 0},
    {"apply", KEY_APPLY, NULL, 0, "begin", 0},
    {"epoch", KEY_EPOCH, "E", 0,
     "with --apply: only while the map has the epoch that the plan showed and nothing moves; else "
     "exit 4",
     0},
    {"status", KEY_STATUS, NULL, 0, "show how far it is, until it has ended", 0},
    {"once", KEY_ONCE, NULL, 0, "with --status: once, as with -o json", 0},
    {"pause", KEY_PAUSE, NULL, 0, "begin no move; those that have begun go on", 0},
    {"resume", KEY_RESUME, NULL, 0, "go on", 0},
    {"cancel", KEY_CANCEL, NULL, 0, "undo the moves that can be, and end it; drains too", 0},
    {0}};
const struct argp_option remove_flags[] = {{"yes", KEY_YES, NULL, 0, "do it", 0}, {0}};
const struct argp_option set_flags[] = {
    {"write-quorum", KEY_WRITE_QUORUM, "W", 0, "owners that must have stored a write", 0},
    {"read-quorum", KEY_READ_QUORUM, "R", 0, "owners that must answer a read", 0},
    {"value-max", KEY_VALUE_MAX, "SIZE", 0, "largest value", 0},
    {0}};

static void mode_take(struct options *o, enum rebalance_mode mode)
{
    if (o->mode != MODE_NONE && o->mode != mode)
        program_usage(
            "rebalance: one of --plan, --apply, --status, --pause, --resume and --cancel");
    o->mode = mode;
}

static uint64_t number_take(const char *flag, const char *text, uint64_t most)
{
    uint64_t number;
    if (units_number(text, 1, most, &number) != 0)
        program_usage("--%s %s: a number from 1 is needed", flag, text);
    return number;
}

error_t moves_flag_take(struct options *o, int key, char *text)
{
    switch (key) {
    case KEY_PLAN:
    case KEY_APPLY:
    case KEY_STATUS:
    case KEY_PAUSE:
    case KEY_RESUME:
    case KEY_CANCEL:
        mode_take(o, (enum rebalance_mode)(MODE_PLAN + (key - KEY_PLAN)));
        return 0;
    case KEY_EPOCH:
        o->epoch = number_take("epoch", text, UINT64_MAX);
        return 0;
    case KEY_ONCE:
        o->once = true;
        return 0;
    case KEY_WRITE_QUORUM:
        o->write_quorum = (uint32_t)number_take("write-quorum", text, REPLICAS_MAX);
        return 0;
    case KEY_READ_QUORUM:
        o->read_quorum = (uint32_t)number_take("read-quorum", text, REPLICAS_MAX);
        return 0;
    case KEY_VALUE_MAX:
        if (units_size(text, &o->value_bytes_max) != 0 || o->value_bytes_max == 0)
            program_usage("--value-max %s: a size like 512KiB or 4MiB is needed", text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}
