#include "client/admin_view.h"
#include "client/moves_view.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/base64.h"
#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/printable.h"

/* ---- grid ------------------------------------------------------------------------------------ */

void grid_init(struct grid *g)
{
    memset(g, 0, sizeof(*g));
}

void grid_close(struct grid *g)
{
    for (uint32_t i = 0; i < g->cell_count; i++)
        free(g->cells[i]);
    free(g->cells);
    memset(g, 0, sizeof(*g));
}

static void column(struct grid *g, const char *header, bool right)
{
    gt_assert(g->column_count < GRID_COLUMNS_MAX);
    g->headers[g->column_count] = header;
    g->right[g->column_count++] = right;
}

__attribute__((format(printf, 2, 3))) static void cell(struct grid *g, const char *format, ...)
{
    char text[2048]; /* the longest: REPLICAS_MAX labels */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (g->cell_count == g->cell_capacity) {
        g->cell_capacity = g->cell_capacity ? g->cell_capacity * 2 : 64;
        g->cells = realloc(g->cells, g->cell_capacity * sizeof(*g->cells));
        gt_assert(g->cells);
    }
    g->cells[g->cell_count] = strdup(text);
    gt_assert(g->cells[g->cell_count]);
    g->cell_count++;
}

static void cell_number(struct grid *g, bool known, uint64_t number)
{
    if (known)
        cell(g, "%llu", (unsigned long long)number);
    else
        cell(g, "-");
}

static void cell_size(struct grid *g, bool known, uint64_t bytes)
{
    char text[32];
    cell(g, "%s", known ? units_size_text(bytes, text) : "-");
}

void grid_column(struct grid *g, const char *header, bool right)
{
    column(g, header, right);
}

void grid_cell(struct grid *g, const char *text)
{
    cell(g, "%s", text);
}

/* ---- words ----------------------------------------------------------------------------------- */

static const char *profile_name(uint32_t profile)
{
    return profile == 1 ? "course" : "default";
}

static const char *hex(uint64_t number, char text[17])
{
    snprintf(text, 17, "%016llx", (unsigned long long)number);
    return text;
}

static const char *id_text(const uint8_t id[CLUSTER_ID_BYTES], char text[2 * CLUSTER_ID_BYTES + 1])
{
    for (uint32_t i = 0; i < CLUSTER_ID_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", id[i]);
    return text;
}

/* The state that whoever answered sees; that of the map for a member it does not know. */
static enum member_state state_seen(const struct status *s, const struct member *m)
{
    for (uint32_t i = 0; i < s->node_count; i++)
        if (s->nodes[i].member.id == m->id)
            return s->nodes[i].member.state;
    return m->state;
}

static uint32_t names_not_up(const struct status *s, char *text, size_t bytes)
{
    uint32_t count = 0;
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct member *m = &s->nodes[i].member;
        if (m->state == MEMBER_UP || m->state == MEMBER_REMOVED)
            continue;
        count++;
        if (used < bytes)
            used += (size_t)snprintf(text + used, bytes - used, "%s%s %s", used ? ", " : "",
                                     m->label, member_state_name(m->state));
    }
    return count;
}

/* Why each key has fewer copies than are asked for, while there are too few nodes for them. */
static void short_append(const struct status *s, char text[VIEW_TEXT_BYTES])
{
    uint32_t holding = 0, copies = s->settings.replicas;
    size_t used = strlen(text);
    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct member *m = &s->nodes[i].member;
        holding += m->state != MEMBER_REMOVED && m->state != MEMBER_JOINING && !m->leaving;
    }
    if (holding > 0 && holding < copies)
        snprintf(text + used, VIEW_TEXT_BYTES - used,
                 "; degraded: each key has %u of %u copies, for want of %u more node%s", holding,
                 copies, copies - holding, copies - holding == 1 ? "" : "s");
}

const char *view_verdict_text(const struct status *s, char text[VIEW_TEXT_BYTES])
{
    char names[200];
    text[0] = '\0';
    if (s->verdict == VERDICT_HEALTHY)
        return text;
    if (!s->formed) {
        snprintf(text, VIEW_TEXT_BYTES, "unavailable: forming: %u of %u nodes", s->registered,
                 s->settings.form_nodes);
        return text;
    }
    uint32_t away = names_not_up(s, names, sizeof(names));
    snprintf(text, VIEW_TEXT_BYTES,
             "%s: of %u partitions %u lack an owner and %u their quorum%s%s%s",
             verdict_name((enum verdict)s->verdict), s->settings.partitions, s->partitions_quorum,
             s->partitions_below, away ? " (" : "", names, away ? ")" : "");
    short_append(s, text);
    return text;
}

/* What one node's report lacks. */
static void node_wait_text(const struct status_node *n, uint64_t waited_ms,
                           char text[VIEW_TEXT_BYTES])
{
    const char *label = n->member.label;
    if (!view_report_fresh(n, waited_ms))
        snprintf(text, VIEW_TEXT_BYTES, "%s has not reported yet", label);
    else if (!n->report.lag_known)
        snprintf(text, VIEW_TEXT_BYTES, "lag_writes of %s is not known yet", label);
    else if (n->report.lag_writes > 0)
        snprintf(text, VIEW_TEXT_BYTES, "lag_writes of %s is %llu", label,
                 (unsigned long long)n->report.lag_writes);
    else if (n->report.hints > 0)
        snprintf(text, VIEW_TEXT_BYTES, "hints of %s is %llu", label,
                 (unsigned long long)n->report.hints);
}

bool view_report_fresh(const struct status_node *n, uint64_t waited_ms)
{
    return n->report_known && n->heard_ms <= waited_ms;
}

const char *view_wait_text(const struct status *s, uint64_t waited_ms, char text[VIEW_TEXT_BYTES])
{
    char names[200];
    text[0] = '\0';
    if (!s->formed)
        return view_verdict_text(s, text);
    if (names_not_up(s, names, sizeof(names))) {
        if (!view_verdict_text(s, text)[0]) /* it names them too */
            snprintf(text, VIEW_TEXT_BYTES, "not every member is up: %s", names);
        return text;
    }
    for (uint32_t i = 0; i < s->node_count && !text[0]; i++)
        if (s->nodes[i].member.state != MEMBER_REMOVED)
            node_wait_text(&s->nodes[i], waited_ms, text);
    if (!text[0] && !view_moves_ended(s))
        view_moves_text(s, text);
    return text;
}

const char *view_damage_text(const struct status_node *n, char text[VIEW_TEXT_BYTES])
{
    const struct engine_damage *d = &n->report.damage;
    char which[64] = "which ones is not known";
    text[0] = '\0';
    if (!n->report_known || d->kinds == 0)
        return text;
    if (d->first_lsn != 0)
        snprintf(which, sizeof(which), "lsn %llu..%llu", (unsigned long long)d->first_lsn,
                 (unsigned long long)d->last_lsn);
    snprintf(text, VIEW_TEXT_BYTES,
             "%s: its log was damaged: acknowledged writes may be missing here (%s)",
             n->member.label, which);
    return text;
}

const char *view_disk_text(const struct status_node *n, char text[VIEW_TEXT_BYTES])
{
    text[0] = '\0';
    if (n->report_known && n->report.disk_error != 0)
        snprintf(text, VIEW_TEXT_BYTES,
                 "%s: its log or index cannot be written: %s; puts there end when the log is full "
                 "(more room, or a larger --map-size)",
                 n->member.label, error_text(n->report.disk_error));
    return text;
}

/* ---- status and nodes ------------------------------------------------------------------------ */

__attribute__((format(printf, 3, 4))) static void row(struct grid *g, const char *name,
                                                      const char *format, ...)
{
    char text[VIEW_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    cell(g, "%s", name);
    cell(g, "%s", text);
}

static const char *manager_text(const struct status *s)
{
    return s->manager_reachable ? "reachable" : s->standby ? "standby" : "unreachable";
}

void view_summary_grid(const struct status *s, struct grid *g)
{
    char id[2 * CLUSTER_ID_BYTES + 1], size[32];
    column(g, "NAME", false);
    column(g, "VALUE", false);
    row(g, "verdict", "%s", verdict_name((enum verdict)s->verdict));
    row(g, "manager", "%s", manager_text(s));
    row(g, "cluster", "%s", id_text(s->cluster_id, id));
    row(g, "epoch", "%llu (ballot %llu)", (unsigned long long)s->epoch.counter,
        (unsigned long long)s->epoch.ballot);
    if (!s->formed)
        row(g, "forming", "%u of %u nodes", s->registered, s->settings.form_nodes);
    row(g, "copies", "N=%u R=%u W=%u", s->settings.replicas, s->settings.read_quorum,
        s->settings.write_quorum);
    row(g, "profile", "%s", profile_name(s->settings.profile));
    row(g, "value limit", "%s", units_size_text(s->settings.value_bytes_max, size));
    row(g, "partitions", "%u: %u full, %u quorum, %u below", s->settings.partitions,
        s->partitions_full, s->partitions_quorum, s->partitions_below);
    char moves[VIEW_TEXT_BYTES];
    row(g, "moves", "%s", view_moves_text(s, moves));
}

static bool lag_eta_known(const struct status_node *n)
{
    return n->report_known && n->report.lag_known && n->report.lag_eta_s > 0;
}

static void cell_eta(struct grid *g, const struct status_node *n)
{
    if (lag_eta_known(n))
        cell(g, "%llus", (unsigned long long)n->report.lag_eta_s);
    else
        cell(g, "-");
}

/* Of one that was removed it is of the past, and nobody's keys any more. */
static bool report_counts(const struct status_node *n)
{
    return n->report_known && n->member.state != MEMBER_REMOVED;
}

void view_nodes_grid(const struct status *s, struct grid *g)
{
    static const char *const headers[] = {"LABEL", "ID",     "ADDRESS", "ZONE", "CAPACITY",
                                          "STATE", "TOKENS", "KEYS",    "LAG",  "HINTS",
                                          "RSS",   "DATA",   "ETA"};
    for (uint32_t i = 0; i < 13; i++)
        column(g, headers[i], i == 4 || i > 5);
    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct status_node *n = &s->nodes[i];
        char id[17], address[UNITS_ADDRESS_BYTES];
        cell(g, "%s", n->member.label);
        cell(g, "%s", hex(n->member.id, id));
        cell(g, "%s", units_address_text(&n->member.address, address));
        cell(g, "%s", n->member.zone[0] ? n->member.zone : "-");
        cell(g, "%g", n->member.capacity);
        cell(g, "%s", member_state_name(n->member.state));
        cell_number(g, true, n->tokens);
        bool known = report_counts(n);
        cell_number(g, known, n->report.keys);
        cell_number(g, known && n->report.lag_known, n->report.lag_writes);
        cell_number(g, known, n->report.hints);
        cell_size(g, known, n->report.rss_bytes);
        cell_size(g, known, n->report.data_bytes);
        cell_eta(g, n);
    }
}

static void set(json_t *object, const char *name, json_t *value)
{
    gt_assert(value && json_object_set_new(object, name, value) == 0);
}

static void set_number(json_t *object, const char *name, bool known, uint64_t number)
{
    set(object, name,
        known ? json_integer(number > INT64_MAX ? INT64_MAX : (json_int_t)number) : json_null());
}

static void set_text(json_t *object, const char *name, const char *text)
{
    json_t *value = json_string(text);
    set(object, name, value ? value : json_null()); /* null: no UTF-8 */
}

static json_t *object_new(void)
{
    json_t *object = json_object();
    gt_assert(object);
    return object;
}

static json_t *node_json(const struct status_node *n)
{
    char id[17], address[UNITS_ADDRESS_BYTES];
    json_t *node = object_new();
    bool known = report_counts(n);
    set_text(node, "label", n->member.label);
    set_text(node, "id", hex(n->member.id, id));
    set_text(node, "address", units_address_text(&n->member.address, address));
    set_text(node, "zone", n->member.zone);
    set(node, "capacity", json_real(n->member.capacity));
    set_text(node, "state", member_state_name(n->member.state));
    set_number(node, "tokens", true, n->tokens);
    set_number(node, "keys", known, n->report.keys);
    set_number(node, "records", known, n->report.records);
    set_number(node, "lag_writes", known && n->report.lag_known, n->report.lag_writes);
    set_number(node, "lag_eta_s", lag_eta_known(n), n->report.lag_eta_s);
    set_number(node, "partitions_without_vote", known, n->report.filling);
    set_number(node, "hints", known, n->report.hints);
    set_number(node, "rss_bytes", known, n->report.rss_bytes);
    set_number(node, "data_bytes", known, n->report.data_bytes);
    set_number(node, "uptime_s", known, n->report.uptime_s);
    set_number(node, "linked_peers", known, n->report.linked_peers);
    set_number(node, "operations", known, n->report.operations);
    set_number(node, "operations_bytes", known, n->report.operations_bytes);
    set_number(node, "operations_s", known, n->report.operations_s);
    set_number(node, "tombstones", known, n->report.tombstones);
    set_number(node, "reaped", known, n->report.reaped);
    if (known && n->report.disk_error != 0)
        set_text(node, "disk_error", error_text(n->report.disk_error));
    else
        set(node, "disk_error", json_null());
    bool damaged = known && n->report.damage.kinds != 0;
    set(node, "damaged", known ? json_boolean(damaged) : json_null());
    bool where = damaged && n->report.damage.first_lsn != 0;
    set_number(node, "damage_first_lsn", where, n->report.damage.first_lsn);
    set_number(node, "damage_last_lsn", where, n->report.damage.last_lsn);
    set_text(node, "incarnation", hex(n->member.incarnation, id));
    set(node, "heard_s",
        n->heard_ms == UINT64_MAX ? json_null() : json_real((double)n->heard_ms / 1000));
    return node;
}

static json_t *nodes_array(const struct status *s)
{
    json_t *nodes = json_array();
    gt_assert(nodes);
    for (uint32_t i = 0; i < s->node_count; i++)
        gt_assert(json_array_append_new(nodes, node_json(&s->nodes[i])) == 0);
    return nodes;
}

/* What every answer begins with. */
static json_t *answer_new(const struct status *s, struct epoch epoch, bool formed)
{
    char id[2 * CLUSTER_ID_BYTES + 1];
    json_t *answer = object_new();
    set_number(answer, "v", true, 1);
    set_text(answer, "manager", manager_text(s));
    set_text(answer, "source", s->source);
    set_text(answer, "cluster_id", id_text(s->cluster_id, id));
    set_number(answer, "epoch", true, epoch.counter);
    set_number(answer, "ballot", true, epoch.ballot);
    set(answer, "formed", json_boolean(formed));
    return answer;
}

json_t *view_status_json(const struct status *s)
{
    json_t *answer = answer_new(s, s->epoch, s->formed);
    json_t *partitions = object_new(), *moves = object_new();
    set_text(answer, "verdict", verdict_name((enum verdict)s->verdict));
    set_number(answer, "replicas", true, s->settings.replicas);
    set_number(answer, "read_quorum", true, s->settings.read_quorum);
    set_number(answer, "write_quorum", true, s->settings.write_quorum);
    set_text(answer, "profile", profile_name(s->settings.profile));
    set_number(answer, "value_bytes_max", true, s->settings.value_bytes_max);
    set_number(answer, "registered", true, s->registered);
    set_number(answer, "form_nodes", true, s->settings.form_nodes);
    set_number(partitions, "total", true, s->settings.partitions);
    set_number(partitions, "full", true, s->partitions_full);
    set_number(partitions, "quorum", true, s->partitions_quorum);
    set_number(partitions, "below", true, s->partitions_below);
    set(answer, "partitions", partitions);
    set_number(moves, "total", true, s->moves_total);
    set_number(moves, "done", true, s->moves_done);
    set_number(moves, "bytes_left", true, s->moves_bytes_left);
    set_number(moves, "eta_s", true, s->moves_eta_s);
    set_number(moves, "prepare", true, s->moves_prepare);
    set_number(moves, "read_new", true, s->moves_read_new);
    set_number(moves, "cleanup", true, s->moves_cleanup);
    set_text(answer, "rebalance", view_rebalance_name(s->rebalance));
    set(answer, "rebalance_pending", json_boolean(s->rebalance_pending));
    set(answer, "moves", moves);
    set(answer, "nodes", nodes_array(s));
    return answer;
}

json_t *view_nodes_json(const struct status *s)
{
    json_t *answer = answer_new(s, s->epoch, s->formed);
    set(answer, "nodes", nodes_array(s));
    return answer;
}

static void set_bytes(json_t *object, const char *name, struct slice bytes)
{
    json_t *value = json_stringn((const char *)bytes.data, bytes.bytes);
    set(object, name, value ? value : json_null()); /* null: no UTF-8 */
}

static json_t *array_new(json_t *object, const char *name)
{
    json_t *array = json_array();
    set(object, name, array);
    return array;
}

static json_t *array_object(json_t *array)
{
    json_t *object = object_new();
    gt_assert(json_array_append_new(array, object) == 0);
    return object;
}

static void set_silent(json_t *answer, const struct view_silent *silent, uint32_t count)
{
    json_t *array = array_new(answer, "not_answered");
    for (uint32_t i = 0; i < count; i++) {
        json_t *row = array_object(array);
        set_bytes(row, "label", silent[i].label);
        set_text(row, "cause", silent[i].cause);
    }
}

/* ---- hints ----------------------------------------------------------------------------------- */

/* One row of what a node keeps. */
struct hint {
    const char *holder, *kind, *target;
    uint64_t count, bytes, oldest_s;
    bool parcels; /* bytes and age are known */
};

static const char *label_by_id(const struct status *s, uint64_t id)
{
    for (uint32_t i = 0; i < s->node_count; i++)
        if (s->nodes[i].member.id == id)
            return s->nodes[i].member.label;
    return "a former member";
}

static void hints_each(const struct status *s, void (*each)(void *arg, const struct hint *h),
                       void *arg)
{
    for (uint32_t i = 0; i < s->node_count; i++) {
        const struct status_node *n = &s->nodes[i];
        uint64_t log = n->report_known ? n->report.hints : 0;
        for (uint32_t k = 0; n->report_known && k < n->report.parcels_count; k++) {
            const struct parcels_kept *p = &n->report.parcels[k];
            struct hint h = {
                n->member.label, "parcels", label_by_id(s, p->target), p->count, p->bytes,
                p->oldest_s,     true};
            each(arg, &h);
            log = log > p->count ? log - p->count : 0;
        }
        /* Which owner lacks them is not told apart: whoever is away pulls what it needs. */
        if (log > 0)
            each(arg, &(struct hint){.holder = n->member.label, .kind = "log", .count = log});
    }
}

static void hint_row(void *arg, const struct hint *h)
{
    struct grid *g = arg;
    cell(g, "%s", h->holder);
    cell(g, "%s", h->kind);
    cell(g, "%s", h->target ? h->target : "-");
    cell_number(g, true, h->count);
    cell_size(g, h->parcels, h->bytes);
    if (h->parcels)
        cell(g, "%llus", (unsigned long long)h->oldest_s);
    else
        cell(g, "-");
}

void view_hints_grid(const struct status *s, struct grid *g)
{
    static const char *const headers[] = {"HOLDER", "KIND", "TARGET", "COUNT", "BYTES", "OLDEST"};
    for (uint32_t i = 0; i < 6; i++)
        column(g, headers[i], i > 2);
    hints_each(s, hint_row, g);
}

static void hint_object(void *arg, const struct hint *h)
{
    json_t *object = object_new();
    set_text(object, "holder", h->holder);
    set_text(object, "kind", h->kind);
    set(object, "target", h->target ? json_string(h->target) : json_null());
    set_number(object, "count", true, h->count);
    set_number(object, "bytes", h->parcels, h->bytes);
    set_number(object, "oldest_s", h->parcels, h->oldest_s);
    gt_assert(json_array_append_new(arg, object) == 0);
}

json_t *view_hints_json(const struct status *s, const struct view_silent *silent,
                        uint32_t silent_count)
{
    json_t *answer = answer_new(s, s->epoch, s->formed), *hints = json_array();
    gt_assert(hints);
    hints_each(s, hint_object, hints);
    set(answer, "hints", hints);
    set_silent(answer, silent, silent_count);
    return answer;
}

/* ---- ring and locate ------------------------------------------------------------------------- */

void view_ring_grid(const struct ring *r, struct grid *g)
{
    column(g, "PARTITION", true);
    column(g, "TOKEN", false);
    column(g, "OWNERS", false);
    for (uint32_t p = 0; r->formed && p < r->settings.partitions; p++) {
        char token[17], owners[REPLICAS_MAX * (UNITS_LABEL_BYTES + 1) + 1] = "";
        size_t used = 0;
        for (uint32_t i = 0; i < r->arcs[p].owner_count; i++)
            used += (size_t)snprintf(owners + used, sizeof(owners) - used, "%s%s", i ? " " : "",
                                     r->members[r->arcs[p].owners[i]].label);
        cell_number(g, true, p);
        cell(g, "%s", hex(ring_token(r, p), token));
        cell(g, "%s", owners);
    }
}

json_t *view_ring_json(const struct status *s, const struct ring *r)
{
    char token[17];
    json_t *answer = answer_new(s, r->epoch, r->formed), *arcs = json_array();
    gt_assert(arcs);
    for (uint32_t p = 0; r->formed && p < r->settings.partitions; p++) {
        json_t *arc = object_new(), *owners = json_array();
        gt_assert(owners);
        for (uint32_t i = 0; i < r->arcs[p].owner_count; i++)
            gt_assert(json_array_append_new(
                          owners, json_string(r->members[r->arcs[p].owners[i]].label)) == 0);
        set_number(arc, "partition", true, p);
        set_text(arc, "token", hex(ring_token(r, p), token));
        set(arc, "owners", owners);
        gt_assert(json_array_append_new(arcs, arc) == 0);
    }
    set(answer, "ring", arcs);
    return answer;
}

void view_locate_grid(const struct status *s, const struct ring *r, struct slice key,
                      struct grid *g)
{
    uint32_t p = ring_partition(r, key);
    const char *const headers[] = {"PARTITION", "HASH", "ORDER", "OWNER", "ADDRESS", "STATE"};
    for (uint32_t i = 0; i < 6; i++)
        column(g, headers[i], i == 0 || i == 2);
    for (uint32_t i = 0; i < r->arcs[p].owner_count; i++) {
        const struct member *m = &r->members[r->arcs[p].owners[i]];
        char hash[17], address[UNITS_ADDRESS_BYTES];
        cell_number(g, true, p);
        cell(g, "%s", hex(hash_bytes(key), hash));
        cell_number(g, true, i + 1);
        cell(g, "%s", m->label);
        cell(g, "%s", units_address_text(&m->address, address));
        cell(g, "%s", member_state_name(state_seen(s, m)));
    }
}

static json_t *base64_json(struct slice bytes)
{
    struct buf text;
    buf_init(&text, bytes.bytes * 2 + 8);
    base64_encode(bytes, &text);
    gt_assert(!text.failed);
    json_t *value = json_stringn((const char *)text.data, text.bytes);
    buf_close(&text);
    return value;
}

json_t *view_locate_json(const struct status *s, const struct ring *r, struct slice key)
{
    char text[17], address[UNITS_ADDRESS_BYTES];
    uint32_t p = ring_partition(r, key);
    json_t *answer = answer_new(s, r->epoch, r->formed), *owners = json_array();
    json_t *plain = json_stringn((const char *)key.data, key.bytes);
    gt_assert(owners);
    set(answer, plain ? "key" : "key64", plain ? plain : base64_json(key));
    set_number(answer, "partition", true, p);
    set_text(answer, "hash", hex(hash_bytes(key), text));
    set_text(answer, "token", hex(ring_token(r, p), text));
    for (uint32_t i = 0; i < r->arcs[p].owner_count; i++) {
        const struct member *m = &r->members[r->arcs[p].owners[i]];
        json_t *owner = object_new();
        set_text(owner, "label", m->label);
        set_text(owner, "id", hex(m->id, text));
        set_text(owner, "address", units_address_text(&m->address, address));
        set_text(owner, "state", member_state_name(state_seen(s, m)));
        gt_assert(json_array_append_new(owners, owner) == 0);
    }
    set(answer, "owners", owners);
    return answer;
}

/* ---- events ---------------------------------------------------------------------------------- */

static int event_order(const void *left, const void *right)
{
    const struct view_event *a = left, *b = right;
    if (a->event->wall_us != b->event->wall_us)
        return a->event->wall_us < b->event->wall_us ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

void view_events_sort(struct view_event *events, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        events[i].place = i;
    qsort(events, count, sizeof(*events), event_order);
}

static const char *time_text(uint64_t wall_us, char text[40])
{
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm utc;
    if (!gmtime_r(&seconds, &utc))
        return strcpy(text, "?");
    size_t bytes = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + bytes, 40 - bytes, ".%03uZ", (unsigned)(wall_us / 1000 % 1000));
    return text;
}

static void cell_bytes(struct grid *g, struct slice bytes)
{
    struct buf shown;
    buf_init(&shown, 4 * bytes.bytes + 8);
    printable(bytes, &shown);
    cell(g, "%.*s", (int)shown.bytes, (const char *)shown.data);
    buf_close(&shown);
}

void view_events_grid(const struct view_event *events, uint32_t count, struct grid *g)
{
    static const char *const headers[] = {"TIME", "NODE", "EVENT", "TIMES", "CAUSE"};
    for (uint32_t i = 0; i < 5; i++)
        column(g, headers[i], i == 3);
    for (uint32_t i = 0; i < count; i++) {
        char text[40];
        cell(g, "%s", time_text(events[i].event->wall_us, text));
        cell_bytes(g, events[i].node);
        cell_bytes(g, events[i].event->kind);
        cell_number(g, true, events[i].event->times);
        cell_bytes(g, events[i].event->text);
    }
}

json_t *view_events_json(const struct view_event *events, uint32_t count,
                         const struct view_silent *silent, uint32_t silent_count)
{
    json_t *answer = object_new();
    set_number(answer, "v", true, 1);
    json_t *array = array_new(answer, "events");
    for (uint32_t i = 0; i < count; i++) {
        const struct msg_event *e = events[i].event;
        json_t *row = array_object(array);
        char text[40];
        set_text(row, "time", time_text(e->wall_us, text));
        set(row, "time_s", json_real((double)e->wall_us / 1000000));
        set_bytes(row, "node", events[i].node);
        set_bytes(row, "event", e->kind);
        set_number(row, "times", true, e->times);
        set_bytes(row, "cause", e->text);
    }
    set_silent(answer, silent, silent_count);
    return answer;
}

/* ---- verify ---------------------------------------------------------------------------------- */

static const char *owner_label(const struct verifier *v, uint32_t partition, uint32_t i)
{
    return v->ring->members[v->ring->arcs[partition].owners[i]].label;
}

static void key_line(const struct verifier *v, uint32_t partition, const struct verify_key *k,
                     struct buf *out)
{
    const char *comma = ": ";
    buf_printf(out, k->changing ? "changing: " : "differs: ");
    printable(slice_blob(k->key), out);
    for (uint32_t i = 0; i < v->ring->arcs[partition].owner_count; i++) {
        const char *label = owner_label(v, partition, i);
        if (k->held[i] == HELD_NOT_ASKED)
            continue;
        if (k->held[i] == HELD_ABSENT)
            buf_printf(out, "%s%s lacks it", comma, label);
        else if (k->held[i] == HELD_BAD)
            buf_printf(out, "%s%s cannot read it", comma, label);
        else
            buf_printf(out, "%s%s has %016llx", comma, label, (unsigned long long)k->digests[i]);
        comma = ", ";
    }
    buf_printf(out, "\n");
}

static uint32_t partitions_of(const struct verifier *v)
{
    return v->ring->settings.partitions;
}

static uint64_t unnamed(const struct verifier *v)
{
    uint64_t count = 0;
    for (uint32_t p = 0; p < partitions_of(v); p++)
        count += v->partitions[p].found_total - v->partitions[p].found_count;
    return count;
}

/* Partitions that were left when the time was over. */
static uint32_t unfinished(const struct verifier *v)
{
    return partitions_of(v) - v->done_count;
}

void view_verify_lines(const struct verifier *v, struct buf *out)
{
    for (uint32_t p = 0; p < partitions_of(v); p++)
        for (uint32_t i = 0; i < v->partitions[p].found_count; i++)
            key_line(v, p, &v->partitions[p].found[i], out);
    if (unnamed(v) > 0)
        buf_printf(out, "differs: %llu keys more\n", (unsigned long long)unnamed(v));
    for (uint32_t i = 0; i < v->ring->member_count; i++) {
        const char *label = v->ring->members[i].label;
        if (v->members[i].bad > 0)
            buf_printf(out, "unreadable: %s: %llu records\n", label,
                       (unsigned long long)v->members[i].bad);
        if (v->members[i].left_out > 0)
            buf_printf(out, "not compared: %s: %u partitions: %s\n", label, v->members[i].left_out,
                       error_text(v->members[i].error));
    }
    for (uint32_t i = 0; i < v->unsound_count; i++)
        buf_printf(out, "unsound: %s: partition %u: %llu records read, %llu counted\n",
                   v->ring->members[v->unsound[i].member].label, v->unsound[i].partition,
                   (unsigned long long)v->unsound[i].read,
                   (unsigned long long)v->unsound[i].counted);
    if (unfinished(v) > 0)
        buf_printf(out, "not compared: %u partitions: out of time\n", unfinished(v));
    if (verifier_equal(v))
        buf_printf(out, "equal: %u partitions, %llu keys\n", partitions_of(v),
                   (unsigned long long)v->keys);
}

const char *view_verify_text(const struct verifier *v, char text[VIEW_TEXT_BYTES])
{
    size_t used = 0;
    text[0] = 0;
    if (verifier_equal(v))
        return text;
#define SAY(...) used += (size_t)snprintf(text + used, VIEW_TEXT_BYTES - used, __VA_ARGS__)
    SAY("%u of %u partitions are equal at all owners", v->equal_count, partitions_of(v));
    if (v->differing > 0)
        SAY("; %llu keys differ", (unsigned long long)v->differing);
    if (v->changing > 0)
        SAY("; %llu keys changed at every look", (unsigned long long)v->changing);
    if (v->unsound_count > 0)
        SAY("; %s holds other records than it counts",
            v->ring->members[v->unsound[0].member].label);
    for (uint32_t i = 0; i < v->ring->member_count && used < VIEW_TEXT_BYTES / 2; i++) {
        if (v->members[i].bad > 0)
            SAY("; %s cannot read %llu records", v->ring->members[i].label,
                (unsigned long long)v->members[i].bad);
        if (v->members[i].left_out > 0)
            SAY("; %s was not compared", v->ring->members[i].label);
    }
    if (unfinished(v) > 0)
        SAY("; out of time");
#undef SAY
    return text;
}

static json_t *key_json(const struct verifier *v, uint32_t partition, const struct verify_key *k)
{
    static const char *const names[] = {"not_asked", "absent", "unreadable", "held"};
    json_t *row = object_new(), *owners;
    struct slice key = slice_blob(k->key);
    json_t *plain = json_stringn((const char *)key.data, key.bytes);
    set(row, plain ? "key" : "key64", plain ? plain : base64_json(key));
    set_number(row, "partition", true, partition);
    owners = array_new(row, "owners");
    for (uint32_t i = 0; i < v->ring->arcs[partition].owner_count; i++) {
        json_t *owner = array_object(owners);
        char text[17];
        set_text(owner, "label", owner_label(v, partition, i));
        set_text(owner, "state", names[k->held[i]]);
        set(owner, "digest",
            k->held[i] == HELD ? json_string(hex(k->digests[i], text)) : json_null());
    }
    return row;
}

json_t *view_verify_json(const struct verifier *v)
{
    json_t *answer = object_new();
    set_number(answer, "v", true, 1);
    set(answer, "equal", json_boolean(verifier_equal(v)));
    set_number(answer, "partitions", true, partitions_of(v));
    set_number(answer, "partitions_equal", true, v->equal_count);
    set_number(answer, "keys", true, v->keys);
    set_number(answer, "differing_total", true, v->differing);
    set_number(answer, "changing_total", true, v->changing);
    json_t *differing = array_new(answer, "differing"), *changing = array_new(answer, "changing");
    for (uint32_t p = 0; p < partitions_of(v); p++)
        for (uint32_t i = 0; i < v->partitions[p].found_count; i++) {
            const struct verify_key *k = &v->partitions[p].found[i];
            gt_assert(
                json_array_append_new(k->changing ? changing : differing, key_json(v, p, k)) == 0);
        }
    json_t *left_out = array_new(answer, "not_compared"), *bad = array_new(answer, "unreadable");
    for (uint32_t i = 0; i < v->ring->member_count; i++) {
        const struct verify_member *m = &v->members[i];
        if (m->left_out > 0) {
            json_t *row = array_object(left_out);
            set_text(row, "label", v->ring->members[i].label);
            set_number(row, "partitions", true, m->left_out);
            set_text(row, "cause", error_text(m->error));
        }
        if (m->bad > 0) {
            json_t *row = array_object(bad);
            set_text(row, "label", v->ring->members[i].label);
            set_number(row, "records", true, m->bad);
        }
    }
    if (unfinished(v) > 0) {
        json_t *row = array_object(left_out);
        set(row, "label", json_null());
        set_number(row, "partitions", true, unfinished(v));
        set_text(row, "cause", "out of time");
    }
    json_t *unsound = array_new(answer, "unsound");
    for (uint32_t i = 0; i < v->unsound_count; i++) {
        json_t *row = array_object(unsound);
        set_text(row, "label", v->ring->members[v->unsound[i].member].label);
        set_number(row, "partition", true, v->unsound[i].partition);
        set_number(row, "records_read", true, v->unsound[i].read);
        set_number(row, "records_counted", true, v->unsound[i].counted);
    }
    return answer;
}
