#include "client/moves_view.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"

const char *view_rebalance_name(uint8_t rebalance)
{
    static const char *const names[] = {"idle", "running", "paused"};
    return rebalance < sizeof(names) / sizeof(names[0]) ? names[rebalance] : "?";
}

/* ---- how far it is --------------------------------------------------------------------------- */

static uint32_t open_arcs(const struct status *s)
{
    return s->moves_prepare + s->moves_read_new + s->moves_cleanup;
}

bool view_moves_ended(const struct status *s)
{
    bool left = s->rebalance == REBALANCE_RUNNING || s->moves_done < s->moves_total;
    return !left && open_arcs(s) == 0 && !s->rebalance_pending;
}

const char *view_moves_text(const struct status *s, char text[VIEW_TEXT_BYTES])
{
    char size[32], bytes[48] = "";
    size_t used =
        (size_t)snprintf(text, VIEW_TEXT_BYTES, "rebalance %s: %llu of %llu moves done",
                         view_rebalance_name(s->rebalance), (unsigned long long)s->moves_done,
                         (unsigned long long)s->moves_total);
    if (open_arcs(s) > 0)
        used += (size_t)snprintf(text + used, VIEW_TEXT_BYTES - used,
                                 "; open: %u prepare, %u read_new, %u cleanup", s->moves_prepare,
                                 s->moves_read_new, s->moves_cleanup);
    /* A manager that has just begun does not know the sizes. */
    if (s->moves_bytes_left > 0)
        snprintf(bytes, sizeof(bytes), "%s and ", units_size_text(s->moves_bytes_left, size));
    if (s->moves_done < s->moves_total)
        used += (size_t)snprintf(text + used, VIEW_TEXT_BYTES - used, "; about %s%llus are left",
                                 bytes, (unsigned long long)s->moves_eta_s);
    if (s->rebalance_pending)
        snprintf(text + used, VIEW_TEXT_BYTES - used, "; one may begin by itself");
    return text;
}

#define BAR_COLUMNS_MAX 100

const char *view_moves_bar(const struct status *s, double moves_a_second, uint32_t columns,
                           char text[VIEW_TEXT_BYTES])
{
    char bar[BAR_COLUMNS_MAX + 1], rate[32] = "";
    if (columns > BAR_COLUMNS_MAX)
        columns = BAR_COLUMNS_MAX;
    uint64_t total = s->moves_total ? s->moves_total : 1;
    uint64_t done = s->moves_total ? s->moves_done : 1;
    uint32_t full = (uint32_t)((done < total ? done : total) * columns / total);
    memset(bar, '.', columns);
    memset(bar, '#', full);
    bar[columns] = '\0';
    if (moves_a_second > 0)
        snprintf(rate, sizeof(rate), ", %.1f moves/s", moves_a_second);
    snprintf(text, VIEW_TEXT_BYTES, "[%s] %llu of %llu moves%s, %llus left, %s", bar,
             (unsigned long long)s->moves_done, (unsigned long long)s->moves_total, rate,
             (unsigned long long)s->moves_eta_s, view_rebalance_name(s->rebalance));
    return text;
}

/* ---- plan ------------------------------------------------------------------------------------ */

struct plan_move {
    uint16_t partition, from, to;
};

static uint32_t move_count(const struct msg *plan)
{
    return (uint32_t)(plan->plan_reply.moves.bytes / MOVE_BYTES);
}

static struct plan_move move_get(const struct msg *plan, uint32_t i)
{
    const uint8_t *row = plan->plan_reply.moves.data + (size_t)i * MOVE_BYTES;
    return (struct plan_move){le16_get(row), le16_get(row + 2), le16_get(row + 4)};
}

static const char *node_label(const struct msg *plan, uint16_t node, char label[UNITS_LABEL_BYTES])
{
    if (node == MOVE_NOBODY)
        return NULL;
    struct slice s = plan->plan_reply.nodes[node].label;
    snprintf(label, UNITS_LABEL_BYTES, "%.*s", (int)s.bytes, (const char *)s.data);
    return label;
}

/* All who have told what their tokens hold, as one. */
static struct plan_node nodes_sum(const struct msg *plan)
{
    struct plan_node sum = {.tokens = 0};
    for (uint32_t i = 0; i < plan->plan_reply.node_count; i++) {
        const struct plan_node *n = &plan->plan_reply.nodes[i];
        if (n->bytes == 0)
            continue;
        sum.tokens += n->tokens;
        sum.keys += n->keys;
        sum.bytes += n->bytes;
    }
    return sum;
}

/* Half up, without passing the range of the product. */
static uint64_t part_of(uint64_t whole, uint64_t count, uint64_t of)
{
    return of == 0 ? 0 : (uint64_t)((double)whole * (double)count / (double)of + 0.5);
}

/* About what so many moves carry: an equal part of what the tokens of who gives hold; where nobody
 * gives, or it has not told, of what those of all do. */
static void moves_size(const struct msg *plan, const struct plan_move *m, uint32_t count,
                       uint64_t *keys, uint64_t *bytes)
{
    struct plan_node from = {.tokens = 0};
    *keys = *bytes = 0;
    if (m->to == MOVE_NOBODY)
        return; /* nothing is copied */
    if (m->from != MOVE_NOBODY)
        from = plan->plan_reply.nodes[m->from];
    if (from.bytes == 0)
        from = nodes_sum(plan);
    *keys = part_of(from.keys, count, from.tokens);
    *bytes = part_of(from.bytes, count, from.tokens);
}

double view_plan_balance(const struct msg *plan, bool after)
{
    double most = 0, tokens = 0, weights = 0;
    for (uint32_t i = 0; i < plan->plan_reply.node_count; i++) {
        const struct plan_node *n = &plan->plan_reply.nodes[i];
        double has = (double)(after ? n->tokens_after : n->tokens);
        if ((!n->takes_part && !(has > 0)) || !(n->capacity > 0))
            continue;
        tokens += has;
        weights += n->capacity;
        if (has / n->capacity > most)
            most = has / n->capacity;
    }
    return tokens > 0 ? most / (tokens / weights) : 1;
}

static int move_order(const void *left, const void *right)
{
    const struct plan_move *a = left, *b = right;
    if (a->from != b->from)
        return a->from < b->from ? -1 : 1;
    if (a->to != b->to)
        return a->to < b->to ? -1 : 1;
    return a->partition < b->partition ? -1 : a->partition > b->partition;
}

/* "3, 7..9", and how many more when it becomes too long. */
#define PARTITIONS_TEXT_BYTES 60
static const char *partitions_text(const struct plan_move *moves, uint32_t count,
                                   char text[PARTITIONS_TEXT_BYTES])
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < count;) {
        uint32_t first = i;
        while (i + 1 < count && moves[i + 1].partition == moves[i].partition + 1)
            i++;
        if (used > PARTITIONS_TEXT_BYTES - 30) {
            snprintf(text + used, PARTITIONS_TEXT_BYTES - used, " and %u more", count - first);
            return text;
        }
        used += (size_t)snprintf(text + used, PARTITIONS_TEXT_BYTES - used, "%s%u",
                                 first ? ", " : "", moves[first].partition);
        if (i > first)
            used += (size_t)snprintf(text + used, PARTITIONS_TEXT_BYTES - used, "..%u",
                                     moves[i].partition);
        i++;
    }
    return text;
}

static void group_row(const struct msg *plan, const struct plan_move *moves, uint32_t count,
                      struct grid *g)
{
    char label[UNITS_LABEL_BYTES], text[PARTITIONS_TEXT_BYTES];
    uint64_t keys, bytes;
    const char *from = node_label(plan, moves[0].from, label);
    moves_size(plan, &moves[0], count, &keys, &bytes);
    grid_cell(g, from ? from : "-");
    const char *to = node_label(plan, moves[0].to, label);
    grid_cell(g, to ? to : "-");
    snprintf(text, sizeof(text), "%u", count);
    grid_cell(g, text);
    snprintf(text, sizeof(text), "about %llu", (unsigned long long)keys);
    grid_cell(g, text);
    char size[32];
    snprintf(text, sizeof(text), "about %s", units_size_text(bytes, size));
    grid_cell(g, text);
    grid_cell(g, partitions_text(moves, count, text));
}

void view_plan_grid(const struct msg *plan, struct grid *g)
{
    static const char *const headers[] = {"FROM", "TO", "ARCS", "KEYS", "BYTES", "PARTITIONS"};
    for (uint32_t i = 0; i < 6; i++)
        grid_column(g, headers[i], i >= 2 && i <= 4);
    uint32_t count = move_count(plan);
    struct plan_move *moves = calloc(count + 1, sizeof(*moves));
    gt_assert(moves);
    for (uint32_t i = 0; i < count; i++)
        moves[i] = move_get(plan, i);
    qsort(moves, count, sizeof(*moves), move_order);
    for (uint32_t first = 0, i = 0; first < count; first = i) {
        while (i < count && moves[i].from == moves[first].from && moves[i].to == moves[first].to)
            i++;
        group_row(plan, moves + first, i - first, g);
    }
    free(moves);
}

/* Of all moves; of each giver at once, so that roundings do not add up. */
static void plan_sum(const struct msg *plan, uint64_t *keys, uint64_t *bytes)
{
    uint32_t gives[MEMBERS_MAX + 1] = {0};
    *keys = *bytes = 0;
    for (uint32_t i = 0; i < move_count(plan); i++) {
        struct plan_move m = move_get(plan, i);
        if (m.to != MOVE_NOBODY)
            gives[m.from == MOVE_NOBODY ? MEMBERS_MAX : m.from]++;
    }
    for (uint32_t i = 0; i <= MEMBERS_MAX; i++) {
        struct plan_move m = {.from = i == MEMBERS_MAX ? MOVE_NOBODY : (uint16_t)i};
        uint64_t some_keys, some_bytes;
        if (gives[i] == 0)
            continue;
        moves_size(plan, &m, gives[i], &some_keys, &some_bytes);
        *keys += some_keys;
        *bytes += some_bytes;
    }
}

const char *view_plan_text(const struct msg *plan, char text[VIEW_TEXT_BYTES])
{
    uint64_t keys, bytes;
    char size[32];
    uint32_t count = move_count(plan), orders = plan->plan_reply.order_changes;
    plan_sum(plan, &keys, &bytes);
    if (count == 0) {
        snprintf(text, VIEW_TEXT_BYTES,
                 "nothing to move; balance (max/mean tokens) %.3f; epoch %llu",
                 view_plan_balance(plan, false), (unsigned long long)plan->epoch.counter);
        return text;
    }
    snprintf(text, VIEW_TEXT_BYTES,
             "%u moves, about %llu keys and %s, about %llus; %u lists change their order alone; "
             "balance (max/mean tokens) %.3f -> %.3f; epoch %llu",
             count, (unsigned long long)keys, units_size_text(bytes, size),
             (unsigned long long)plan->plan_reply.eta_s, orders, view_plan_balance(plan, false),
             view_plan_balance(plan, true), (unsigned long long)plan->epoch.counter);
    return text;
}

static json_t *label_json(const struct msg *plan, uint16_t node)
{
    char label[UNITS_LABEL_BYTES];
    const char *text = node_label(plan, node, label);
    json_t *value = text ? json_string(text) : NULL;
    return value ? value : json_null();
}

static json_t *moves_json(const struct msg *plan)
{
    json_t *array = json_array();
    gt_assert(array);
    for (uint32_t i = 0; i < move_count(plan); i++) {
        struct plan_move m = move_get(plan, i);
        uint64_t keys, bytes;
        moves_size(plan, &m, 1, &keys, &bytes);
        json_t *row = json_pack("{s:i, s:o, s:o, s:I, s:I}", "partition", (int)m.partition, "from",
                                label_json(plan, m.from), "to", label_json(plan, m.to), "keys",
                                (json_int_t)keys, "bytes", (json_int_t)bytes);
        gt_assert(row && json_array_append_new(array, row) == 0);
    }
    return array;
}

json_t *view_plan_json(const struct msg *plan)
{
    uint64_t keys, bytes;
    plan_sum(plan, &keys, &bytes);
    json_t *answer = json_pack(
        "{s:i, s:I, s:I, s:s, s:i, s:I, s:I, s:I, s:i, s:f, s:f, s:o}", "v", 1, "epoch",
        (json_int_t)plan->epoch.counter, "ballot", (json_int_t)plan->epoch.ballot, "rebalance",
        view_rebalance_name(plan->plan_reply.rebalance), "total", (int)move_count(plan), "keys",
        (json_int_t)keys, "bytes", (json_int_t)bytes, "eta_s", (json_int_t)plan->plan_reply.eta_s,
        "order_changes", (int)plan->plan_reply.order_changes, "balance_before",
        view_plan_balance(plan, false), "balance_after", view_plan_balance(plan, true), "moves",
        moves_json(plan));
    gt_assert(answer);
    return answer;
}
