/* The program gtstore-admin: asks the manager, or any node, and shows what it says. */
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "client/admin.h"
#include "engine/base/error.h"
#include "engine/base/program.h"
#include "net/loop_uv.h"

#define REQUEST_US             5000000u
#define WAIT_US                600000000u
#define WAIT_PAUSE_US          200000u
#define EVENTS_ASK_US          2000000u /* one of them */
#define VERIFY_LINES_BYTES_MAX (64u << 20)

/* ---- asking ---------------------------------------------------------------------------------- */

uint64_t timeout_of(const struct options *o)
{
    return o->timeout_us ? o->timeout_us : REQUEST_US;
}

static void ask_or_die(const struct options *o, enum msg_type type, struct ask_reply *reply)
{
    struct msg request = {.type = type};
    int error = ask(o->addresses, o->address_count, &request, timeout_of(o), reply);
    if (error)
        program_die(error_exit_code(error), "%s", reply->text);
}

const struct status *status_or_die(const struct options *o, struct ask_reply *reply)
{
    ask_or_die(o, MSG_STATUS, reply);
    int error = reply->msg.status_reply.error;
    if (error || !reply->msg.status_reply.status)
        program_die(error ? error_exit_code(error) : 1, "no status to be had: %s",
                    error ? error_text(error) : "an empty answer");
    return reply->msg.status_reply.status;
}

static const struct ring *ring_or_die(const struct options *o, struct ask_reply *reply)
{
    ask_or_die(o, MSG_MAP_GET, reply);
    if (!reply->msg.map.ring)
        program_die(error_exit_code(GT_EFORMING), "no cluster map to be had there yet");
    return reply->msg.map.ring;
}

/* ---- showing --------------------------------------------------------------------------------- */

void json_show(json_t *answer)
{
    tool_json_print(answer, JSON_COMPACT | JSON_REAL_PRECISION(12));
}

void grid_show(struct grid *g, bool headings)
{
    struct libscols_table *table = scols_new_table();
    if (!table)
        program_die(1, "out of memory");
    scols_table_enable_noheadings(table, !headings);
    for (uint32_t i = 0; i < g->column_count; i++)
        if (!scols_table_new_column(table, g->headers[i], 0, g->right[i] ? SCOLS_FL_RIGHT : 0))
            program_die(1, "out of memory");
    for (uint32_t i = 0; i < g->cell_count; i += g->column_count) {
        struct libscols_line *line = scols_table_new_line(table, NULL);
        for (uint32_t c = 0; line && c < g->column_count; c++)
            if (scols_line_set_data(line, c, g->cells[i + c]) != 0)
                line = NULL;
        if (!line)
            program_die(1, "out of memory");
    }
    char *text = NULL;
    if (scols_print_table_to_string(table, &text) != 0)
        program_die(1, "out of memory");
    size_t bytes = strlen(text);
    program_print(text, bytes);
    if (bytes > 0 && text[bytes - 1] != '\n') /* the library leaves out the last one */
        program_print("\n", 1);
    free(text);
    scols_unref_table(table);
    grid_close(g);
}

/* ---- verbs ----------------------------------------------------------------------------------- */

/* The table of nodes, and a line under it for each that may miss writes or takes none. */
static void nodes_show(const struct status *s)
{
    struct grid grid;
    char text[VIEW_TEXT_BYTES];
    grid_init(&grid);
    view_nodes_grid(s, &grid);
    grid_show(&grid, true);
    for (uint32_t i = 0; i < s->node_count; i++) {
        if (view_damage_text(&s->nodes[i], text)[0])
            printf("%s\n", text);
        if (view_disk_text(&s->nodes[i], text)[0])
            printf("%s\n", text);
    }
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
    int status = program_flush(0);
    if (view_verdict_text(s, why)[0]) {
        program_say("%s", why);
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
    return program_flush(0);
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
        program_say("forming: %u of %u nodes; no tokens are handed out yet", s->registered,
                    s->settings.form_nodes);
    ask_reply_close(&map_reply);
    ask_reply_close(&status_reply);
    return program_flush(0);
}

static int run_locate(const struct options *o)
{
    struct ask_reply status_reply, map_reply;
    struct grid grid;
    struct slice key = slice_text(o->arguments[0]);
    if (key.bytes < 1 || key.bytes > KEY_BYTES_MAX)
        program_die(EXIT_USAGE, "a key has 1 to %d bytes, this one %zu", KEY_BYTES_MAX, key.bytes);
    const struct status *s = status_or_die(o, &status_reply);
    const struct ring *r = ring_or_die(o, &map_reply);
    if (!r->formed)
        program_die(error_exit_code(GT_EFORMING), "forming: %u of %u nodes", s->registered,
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
    return program_flush(0);
}

static int run_version(const struct options *o)
{
    if (o->json)
        printf("{\"v\":1,\"version\":\"%s\"}\n", GT_VERSION);
    else
        printf("gtstore-admin %s\n", GT_VERSION);
    return program_flush(0);
}

static uint64_t at_most(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Asks one node for its own report. */
static int report_ask(struct status_node *n, uint64_t timeout_us)
{
    struct msg request = {.type = MSG_STATUS};
    struct ask_reply reply;
    int error = ask(&n->member.address, 1, &request, timeout_us, &reply);
    const struct status *told = error ? NULL : reply.msg.status_reply.status;
    if (!error && !told)
        error = reply.msg.status_reply.error ? reply.msg.status_reply.error : GT_EPROTO;
    for (uint32_t k = 0; told && k < told->node_count; k++)
        if (told->nodes[k].member.id == n->member.id && told->nodes[k].report_known) {
            n->report = told->nodes[k].report;
            n->report_known = true;
            n->heard_ms = told->nodes[k].heard_ms;
        }
    ask_reply_close(&reply);
    return error;
}

/* A node knows only its own report: the others are asked for theirs, while there is time. */
static void reports_gather(struct status *s, uint64_t began_us, uint64_t end_us)
{
    for (uint32_t i = 0; i < s->node_count; i++) {
        struct status_node *n = &s->nodes[i];
        uint64_t now_us = loop_now_us();
        if (n->member.state == MEMBER_UP && now_us < end_us &&
            !view_report_fresh(n, (now_us - began_us) / 1000))
            report_ask(n, at_most(end_us - now_us, REQUEST_US));
    }
}

/* Its part of the time that is left, when so many are still to be asked: whoever is silent must not
 * keep the others from being heard. */
static uint64_t part_us(uint64_t end_us, uint32_t left)
{
    uint64_t now_us = loop_now_us();
    return at_most(end_us > now_us ? (end_us - now_us) / left : 1000, EVENTS_ASK_US);
}

/* ---- hints ----------------------------------------------------------------------------------- */

/* Every member is asked, whatever the manager thinks of it: its reports may be some heartbeats old.
 * Returns how many have answered. */
static uint32_t hints_gather(struct status *s, uint64_t end_us, struct view_silent *silent,
                             uint32_t *silent_count)
{
    uint32_t answered = 0;
    for (uint32_t i = 0; i < s->node_count; i++) {
        struct status_node *n = &s->nodes[i];
        if (n->member.state == MEMBER_REMOVED)
            continue;
        int error = 0;
        if (strcmp(s->source, n->member.label) != 0) {
            n->report_known = false; /* that of the manager is not what is asked for */
            error = report_ask(n, part_us(end_us, s->node_count - i));
        }
        if (!error && n->report_known)
            answered++;
        else
            silent[(*silent_count)++] = (struct view_silent){
                slice_text(n->member.label), error ? error_text(error) : "no report"};
    }
    return answered;
}

static int run_hints(const struct options *o)
{
    struct msg request = {.type = MSG_STATUS};
    struct ask_reply reply;
    struct grid grid;
    struct view_silent silent[MEMBERS_MAX];
    uint32_t silent_count = 0;
    uint64_t end_us = loop_now_us() + timeout_of(o);
    int error = ask(o->addresses, o->address_count, &request, timeout_of(o), &reply);
    struct status *s = error ? NULL : reply.msg.status_reply.status;
    if (!s)
        program_die(error ? error_exit_code(error) : 1, "%s",
                    error ? reply.text : "no status to be had");
    uint32_t answered = hints_gather(s, end_us, silent, &silent_count);
    int status = 0;
    if (answered > 0 || silent_count == 0) {
        if (o->json) {
            json_show(view_hints_json(s, silent, silent_count));
        } else {
            grid_init(&grid);
            view_hints_grid(s, &grid);
            grid_show(&grid, true);
        }
        status = program_flush(0);
    }
    for (uint32_t i = 0; i < silent_count; i++)
        program_say("%.*s did not answer: %s: what it keeps is not known",
                    (int)silent[i].label.bytes, (const char *)silent[i].label.data,
                    silent[i].cause);
    if (silent_count > 0 && answered == 0)
        program_die(EXIT_UNREACHABLE, "no node tells what it keeps; see: gtstore-admin status");
    ask_reply_close(&reply);
    return silent_count > 0 && status == 0 ? EXIT_NOT_WELL : status;
}

/* ---- wait ------------------------------------------------------------------------------------ */

/* One look at the cluster for wait: the reason to go on waiting, "" when there is none. When nobody
 * answers, the reason that was seen last stays, if there was one. True when somebody answered. */
static bool wait_look(const struct options *o, uint64_t began_us, uint64_t end_us, bool reached,
                      char text[VIEW_TEXT_BYTES])
{
    struct ask_reply reply;
    struct msg request = {.type = MSG_STATUS};
    uint64_t now_us = loop_now_us(), left_us = end_us > now_us ? end_us - now_us : 1000;
    int error = ask(o->addresses, o->address_count, &request, at_most(left_us, REQUEST_US), &reply);
    struct status *s = error ? NULL : reply.msg.status_reply.status;
    if (s && strcmp(s->source, MANAGER_LABEL) != 0)
        reports_gather(s, began_us, end_us);
    if (s)
        view_wait_text(s, (loop_now_us() - began_us) / 1000, text);
    else if (!reached)
        snprintf(text, VIEW_TEXT_BYTES, "%s", error ? reply.text : "no status to be had yet");
    ask_reply_close(&reply);
    return error == 0;
}

static int run_wait(const struct options *o)
{
    char text[VIEW_TEXT_BYTES] = "";
    bool reached = false;
    uint64_t began_us = loop_now_us();
    uint64_t end_us = began_us + (o->timeout_us ? o->timeout_us : WAIT_US);
    for (;;) {
        reached |= wait_look(o, began_us, end_us, reached, text);
        if (!text[0]) {
            if (o->json)
                json_show(json_pack("{s:i, s:b}", "v", 1, "well", 1));
            return program_flush(0);
        }
        uint64_t now_us = loop_now_us();
        if (now_us >= end_us)
            program_die(reached ? EXIT_NOT_WELL : EXIT_UNREACHABLE, "%s", text);
        uint64_t pause_us = at_most(end_us - now_us, WAIT_PAUSE_US);
        nanosleep(&(struct timespec){.tv_nsec = (long)pause_us * 1000}, NULL);
    }
}

/* ---- verify ---------------------------------------------------------------------------------- */

/* On a terminal, how far it is; ended by the line being overwritten. */
static void verify_progress(const struct verifier *v)
{
    static uint32_t shown = UINT32_MAX;
    uint32_t partitions = v->ring->settings.partitions;
    if (!isatty(STDERR_FILENO) || v->done_count == shown)
        return;
    shown = v->done_count;
    fprintf(stderr, "\r%u of %u partitions, %llu keys, %u looked at again \r", shown, partitions,
            (unsigned long long)v->keys, v->queue_count);
    if (shown == partitions)
        fprintf(stderr, "\r%60s\r", "");
}

static int run_verify(const struct options *o)
{
    struct ask_reply map_reply;
    struct verifier v;
    char why[VIEW_TEXT_BYTES];
    const struct ring *r = ring_or_die(o, &map_reply);
    if (!r->formed)
        program_die(error_exit_code(GT_EFORMING), "forming: no tokens are handed out yet");
    verifier_init(&v, r, o->timeout_us ? o->timeout_us : WAIT_US);
    int error = verify(&v, verify_progress);
    if (error)
        program_die(error_exit_code(error), "verify: no owner can be asked: %s", error_text(error));
    if (o->json) {
        json_show(view_verify_json(&v));
    } else {
        struct buf lines;
        buf_init(&lines, VERIFY_LINES_BYTES_MAX);
        view_verify_lines(&v, &lines);
        program_print(lines.data, lines.bytes);
        buf_close(&lines);
    }
    int status = program_flush(0);
    if (view_verify_text(&v, why)[0]) {
        program_say("%s", why);
        status = EXIT_NOT_WELL;
    }
    verifier_close(&v);
    ask_reply_close(&map_reply);
    return status;
}

/* ---- events ---------------------------------------------------------------------------------- */

/* The answers of manager and nodes, each once, and how many of them there are. */
struct gathered {
    struct ask_reply replies[ASK_ADDRESSES_MAX + MEMBERS_MAX];
    uint32_t count;
    struct view_silent silent[ASK_ADDRESSES_MAX + MEMBERS_MAX]; /* who did not, and why */
    char names[ASK_ADDRESSES_MAX][UNITS_ADDRESS_BYTES];         /* of those that -m names */
    struct ask_reply map_reply;                                 /* has the others' */
    uint32_t silent_count;
    uint64_t end_us;
};

static bool gathered_has(const struct gathered *g, struct slice label)
{
    for (uint32_t i = 0; i < g->count; i++)
        if (slice_equal(g->replies[i].msg.events_reply.label, label))
            return true;
    return false;
}

static void gather(struct gathered *g, const struct address *address, const char *name,
                   uint32_t left)
{
    struct msg request = {.type = MSG_EVENTS};
    struct ask_reply *reply = &g->replies[g->count];
    int error = ask(address, 1, &request, part_us(g->end_us, left), reply);
    if (!error)
        error = reply->msg.events_reply.error;
    if (error) {
        program_say("%s did not answer: %s", name, error_text(error));
        g->silent[g->silent_count++] = (struct view_silent){slice_text(name), error_text(error)};
    }
    if (error || gathered_has(g, reply->msg.events_reply.label))
        ask_reply_close(reply);
    else
        g->count++;
}

/* Whom -m names, and all members of the map. */
static void gather_all(const struct options *o, struct gathered *g)
{
    struct msg request = {.type = MSG_MAP_GET};
    for (uint32_t i = 0; i < o->address_count; i++)
        gather(g, &o->addresses[i], units_address_text(&o->addresses[i], g->names[i]),
               o->address_count - i + 1);
    int error = ask(o->addresses, o->address_count, &request, part_us(g->end_us, 2), &g->map_reply);
    const struct ring *r = error ? NULL : g->map_reply.msg.map.ring;
    for (uint32_t i = 0; r && i < r->member_count; i++)
        if (r->members[i].state != MEMBER_REMOVED &&
            !gathered_has(g, slice_text(r->members[i].label)))
            gather(g, &r->members[i].address, r->members[i].label, r->member_count - i);
}

static int run_events(const struct options *o)
{
    struct gathered *g = calloc(1, sizeof(*g));
    uint32_t count = 0;
    if (!g)
        program_die(1, "out of memory");
    g->end_us = loop_now_us() + timeout_of(o);
    gather_all(o, g);
    if (g->count == 0)
        program_die(EXIT_UNREACHABLE, "nobody tells any events; see -m");
    for (uint32_t i = 0; i < g->count; i++)
        count += g->replies[i].msg.events_reply.event_count;
    struct view_event *events = calloc(count + 1, sizeof(*events));
    if (!events)
        program_die(1, "out of memory");
    count = 0;
    for (uint32_t i = 0; i < g->count; i++)
        for (uint32_t k = 0; k < g->replies[i].msg.events_reply.event_count; k++)
            events[count++] = (struct view_event){g->replies[i].msg.events_reply.label,
                                                  &g->replies[i].msg.events_reply.events[k]};
    view_events_sort(events, count);
    if (o->json) {
        json_show(view_events_json(events, count, g->silent, g->silent_count));
    } else {
        struct grid grid;
        grid_init(&grid);
        view_events_grid(events, count, &grid);
        grid_show(&grid, true);
    }
    free(events);
    for (uint32_t i = 0; i < g->count; i++)
        ask_reply_close(&g->replies[i]);
    ask_reply_close(&g->map_reply);
    free(g);
    return program_flush(0);
}

/* ---- accept-loss ----------------------------------------------------------------------------- */

/* "all", "7" or "3..9", below so many partitions. */
static bool range_read(const char *text, uint32_t partitions, uint32_t *first, uint32_t *last)
{
    char low[16];
    const char *dots = strstr(text, "..");
    uint64_t a = 0, b = partitions - 1;
    size_t bytes = dots ? (size_t)(dots - text) : strlen(text);
    snprintf(low, sizeof(low), "%.*s", (int)(bytes < sizeof(low) ? bytes : sizeof(low) - 1), text);
    bool good = strcmp(text, "all") == 0 ||
                (bytes < sizeof(low) && units_number(low, 0, partitions - 1, &a) == 0 &&
                 units_number(dots ? dots + 2 : low, a, partitions - 1, &b) == 0);
    *first = (uint32_t)a;
    *last = (uint32_t)b;
    return good;
}

/* The range at the head of the list; NULL when it is none. The list ends with an empty text. */
static const char *range_next(const char *list, uint32_t partitions, uint32_t *first,
                              uint32_t *last)
{
    char part[64];
    size_t bytes = strcspn(list, ",");
    bool ends = list[bytes] == '\0', more = !ends && list[bytes + 1] != '\0';
    if (bytes >= sizeof(part) || (!ends && !more))
        return NULL;
    snprintf(part, sizeof(part), "%.*s", (int)bytes, list);
    return range_read(part, partitions, first, last) ? list + bytes + !ends : NULL;
}

/* All of them are looked at before anybody is asked: with --yes what was asked is done. */
static void ranges_check(const char *list, uint32_t partitions)
{
    uint32_t first, last;
    const char *rest = list;
    do
        rest = range_next(rest, partitions, &first, &last);
    while (rest && *rest);
    if (!rest)
        program_usage("accept-loss %s: all, or partitions like 7 or 3..9, from 0 to %u, with "
                      "commas between them, are needed",
                      list, partitions - 1);
}

/* "node2: no vote in 4 partitions: 3, 7..9" */
static void partitions_print(const char *label, struct slice partitions)
{
    uint32_t count = (uint32_t)partitions.bytes / 2;
    printf("%s: no vote in %u partition%s:", label, count, count == 1 ? "" : "s");
    for (uint32_t i = 0; i < count;) {
        uint32_t from = le16_get(partitions.data + 2 * i), to = from;
        for (i++; i < count && le16_get(partitions.data + 2 * i) == to + 1; i++)
            to++;
        printf(to > from ? " %u..%u" : " %u", from, to);
        if (i < count)
            putchar(',');
    }
    putchar('\n');
}

/* One run of partitions at one node. What it has no vote in is printed, or added to the list. */
static uint32_t loss_ask(const struct options *o, const struct member *m, uint32_t first,
                         uint32_t last, json_t *list)
{
    struct ask_reply reply;
    struct msg request = {.type = MSG_ACCEPT_LOSS,
                          .accept_loss = {.apply = o->yes, .first = first, .last = last}};
    int error = ask(&m->address, 1, &request, timeout_of(o), &reply);
    if (error)
        program_die(error_exit_code(error), "%s: %s", m->label, reply.text);
    error = reply.msg.accept_loss_reply.error;
    if (error)
        program_die(error_exit_code(error), "%s: %s; try again", m->label, error_text(error));
    struct slice partitions = reply.msg.accept_loss_reply.partitions;
    uint32_t count = (uint32_t)partitions.bytes / 2;
    for (uint32_t i = 0; list && i < count; i++)
        json_array_append_new(list, json_integer(le16_get(partitions.data + 2 * i)));
    if (!list && count > 0)
        partitions_print(m->label, partitions);
    ask_reply_close(&reply);
    return count;
}

static uint32_t losses_ask(const struct options *o, const struct member *m, uint32_t partitions,
                           json_t *list)
{
    uint32_t count = 0, first, last;
    const char *rest = o->arguments[0];
    while (*rest && (rest = range_next(rest, partitions, &first, &last)))
        count += loss_ask(o, m, first, last, list);
    return count;
}

static uint32_t loss_of_all(const struct options *o, const struct status *s, json_t *nodes)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct member *m = &s->nodes[i].member;
        if (m->state == MEMBER_DOWN || m->state == MEMBER_REMOVED)
            continue;
        json_t *list = nodes ? json_array() : NULL;
        uint32_t found = losses_ask(o, m, s->settings.partitions, list);
        if (nodes && found > 0)
            json_array_append_new(nodes,
                                  json_pack("{s:s, s:O}", "label", m->label, "partitions", list));
        json_decref(list);
        count += found;
    }
    return count;
}

static int run_accept_loss(const struct options *o)
{
    struct ask_reply reply;
    ranges_check(o->arguments[0], PARTITIONS_MAX);
    const struct status *s = status_or_die(o, &reply);
    ranges_check(o->arguments[0], s->settings.partitions);
    json_t *nodes = o->json ? json_array() : NULL;
    uint32_t count = loss_of_all(o, s, nodes);
    if (o->json)
        json_show(json_pack("{s:i, s:b, s:o}", "v", 1, "accepted", (int)o->yes, "nodes", nodes));
    ask_reply_close(&reply);
    int status = program_flush(0);
    if (count == 0)
        program_say("nothing to accept: every owner that can be reached votes there");
    else if (o->yes)
        program_say("accepted: these owners vote again, without what is lost");
    else
        program_say("writes that were acknowledged may be lost there for good; --yes accepts that");
    return count > 0 && !o->yes ? EXIT_USAGE : status;
}

static const struct argp_option accept_loss_flags[] = {{"yes", KEY_YES, NULL, 0, "accept it", 0},
                                                       {0}};

static const struct tool_verb verbs[] = {
    {"status", "", "Says how the cluster is; exit 0 when it is healthy, 7 when not.", run_status, 0,
     NULL},
    {"nodes", "", "Lists the members.", run_nodes, 0, NULL},
    {"ring", "", "Lists the partitions with their owners.", run_ring, 0, NULL},
    {"locate", "KEY", "Says where a key lives: its partition and its owners, in order.", run_locate,
     1, NULL},
    {"hints", "",
     "Lists what nodes keep for owners that are away; exit 7 when some could not be asked, each "
     "named, 6 when none could.",
     run_hints, 0, NULL},
    {"wait", "",
     "Waits until every member is up, nothing is behind and nothing moves (--timeout, 10m); exit 7 "
     "when that did not come.",
     run_wait, 0, NULL},
    {"verify", "",
     "Reads every record at every owner again and compares them while writes go on (--timeout, "
     "10m); "
     "exit 0 when all are equal, 7 when keys differ or an owner could not be compared, each named.",
     run_verify, 0, NULL},
    {"events", "",
     "Lists what happened at the manager and the nodes, the last thousand of each: links, members, "
     "maps, what was caught up on, disks. Who does not answer is named; exit 0 when anybody did.",
     run_events, 0, NULL},
    {"accept-loss", "PARTITIONS",
     "Lets owners that lost data vote again although those that had it are gone: all, N or A..B, "
     "with commas between. Without --yes it says what would be accepted, and exits 2.",
     run_accept_loss, 1, accept_loss_flags},
    {"version", "", "Prints the version.", run_version, 0, NULL},
    {"rebalance", "",
     "Shows what would be moved to level the nodes, by their weights; --apply does it, --status "
     "says "
     "how far it is. Exit 4 when the map has another epoch than --epoch.",
     run_rebalance, 0, rebalance_flags},
    {"drain", "NODE",
     "Gives what the node owns to others, and lets it be a member no more when nothing is left "
     "there. Returns when that is accepted; see wait.",
     run_drain, 1, NULL},
    {"remove", "NODE",
     "Takes a node that is down, and will not come back, out of the cluster; what it owned goes to "
     "others. Without --yes it says what would happen, and exits 2.",
     run_remove, 1, remove_flags},
    {"replace", "OLD NEW",
     "Gives what OLD owns to NEW, a member without tokens. OLD is drained when it is up, and "
     "removed "
     "when it is down.",
     run_replace, 2, NULL},
    {"weight", "NODE X", "Sets the weight (capacity) of a node, for good.", run_weight, 2, NULL},
    {"set", "",
     "Changes settings of the cluster. Refused unless what was written by the quorums of now is "
     "read "
     "by the new ones, and the other way round.",
     run_set, 0, set_flags},
    {0},
};

/* ---- flags ----------------------------------------------------------------------------------- */

static const struct argp_option flags[] = {
    {"manager", 'm', "HOST:PORT[,..]", 0,
     "manager or nodes to ask (GTSTORE_MANAGER, else 127.0.0.1:5000); the next when one does not "
     "answer",
     0},
    {"output", 'o', "FORM", 0, "table (default) or json", 0},
    {"timeout", KEY_TIMEOUT, "TIME", 0, "limit of the whole (5s; of wait and verify 10m)", 0},
    {0},
};

static error_t take(struct options *o, int key, char *text)
{
    switch (key) {
    case 'm':
        o->managers = text;
        return 0;
    case 'o':
        if (strcmp(text, "table") != 0 && strcmp(text, "json") != 0)
            program_usage("-o %s: table or json is needed", text);
        o->json = strcmp(text, "json") == 0;
        return 0;
    case KEY_YES:
        o->yes = true;
        return 0;
    case KEY_TIMEOUT:
        if (units_duration(text, &o->timeout_us) != 0 || o->timeout_us == 0)
            program_usage("--timeout %s: a time like 500ms, 5s or 10m is needed", text);
        return 0;
    default:
        return moves_flag_take(o, key, text);
    }
}

static void addresses_read(struct options *o)
{
    const char *text = tool_managers(o->managers);
    int count = units_addresses(text, o->addresses, ASK_ADDRESSES_MAX);
    if (count < 1)
        program_usage("-m %s: HOST:PORT[,HOST:PORT] is needed, at most %d of them", text,
                      ASK_ADDRESSES_MAX);
    o->address_count = (uint32_t)count;
}

int main(int argc, char **argv)
{
    static const struct tool tool = {
        .text = "Shows and waits for the state of a GTStore cluster.\v"
                "Verbs: status, nodes, ring, locate KEY, hints, wait, verify, events, accept-loss "
                "PARTITIONS, rebalance, drain NODE, remove NODE, replace OLD NEW, weight NODE X, "
                "set, version. "
                "Each has its own --help. Exit codes: 0 ok, 1 failed, 2 usage, 3 no such node, 4 "
                "the map has "
                "changed, 5 forming, 6 unreachable, 7 "
                "not all well.",
        .flags = flags,
        .verbs = verbs,
        .take = take};
    struct options options = {0};
    program_begin(argv, "gtstore-admin");
    const struct tool_verb *verb = tool_parse(&tool, argc, argv, &options, options.arguments);
    addresses_read(&options);
    return verb->run(&options);
}
