#include "tests/sim/swarm.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/admin_view.h"
#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "node/node_private.h"
#include "tests/sim/pending.h"

#define SECOND             1000000ull
#define TIMEOUT_US         (5 * SECOND) /* of a call */
#define FINISH_ROUNDS      2u           /* more of them */
#define FINISH_US          (15 * SECOND) /* from healing until all is quiet: calls end, links are made */
#define READ_US            (7 * SECOND) /* for the last reads */
#define LAST_READS_AT_ONCE 4
#define VERIFY_US          (30 * SECOND)
#define MOVES_ROUNDS       8u           /* more of them, while partitions move */
#define LOSS_SEEN_US       (2 * SECOND) /* until everybody knows of a life */
#define LOSS_UNHEARD_US    (2 * SECOND)
#define LOSS_ALONE_US      (5 * SECOND)
#define KEY_BYTES_ALL      16
#define NONE_HOST          UINT32_MAX

struct client {
    uint32_t session;                    /* the number of its life */
    struct blob *context[PLAN_KEYS_MAX]; /* of its last answer about the key */
    uint64_t basis[PLAN_KEYS_MAX];       /* the op that was answered so */
};

struct swarm {
    const struct plan *plan;
    struct sim *sim;
    struct run run;
    struct prng dice;                     /* what clients do */
    struct client clients[SIM_HOSTS_MAX]; /* by host */
    bool working;
    uint32_t arrived;   /* bits of nodes that are late and have come */
    uint32_t dead;      /* bits of nodes that do not come back */
    uint32_t last_key;  /* the next to be read when all is settled */
    uint32_t last_left; /* last reads without an answer */
    void (*trace)(void *arg, const char *line);
    void *trace_arg;
};

static bool chance(struct swarm *w, uint32_t in_100)
{
    return prng_below(&w->dice, 100) < in_100;
}

/* With a zero behind it, for the trace: what lay on the stack would be in its hash. */
static struct slice key_name(uint32_t key, char name[KEY_BYTES_ALL])
{
    char digits[10];
    size_t count = 0, at = 3;
    do
        digits[count++] = (char)('0' + key % 10);
    while ((key /= 10) > 0);
    memcpy(name, "key", 3);
    while (count > 0)
        name[at++] = digits[--count];
    name[at] = 0;
    return slice_of(name, at);
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* The next step of a worker, after a pause. value: host and worker. */
static void worker_turn(void *arg, struct sim *sim, uint64_t value);

static void worker_later(struct swarm *w, uint32_t host, uint32_t worker)
{
    uint64_t pause_us = w->plan->think_us / 4 + prng_below(&w->dice, w->plan->think_us * 3 / 2 + 1);
    sim_at(w->sim, sim_now_us(w->sim) + pause_us, worker_turn, w,
           (uint64_t)w->clients[host].session << 16 | (uint64_t)host << 8 | worker);
}

static struct op *op_begin(struct swarm *w, uint32_t host, enum op_kind kind, uint32_t key)
{
    struct op *op = run_op(&w->run);
    op->session = w->clients[host].session;
    op->kind = kind;
    op->key = key;
    op->strict = true;
    op->begin_us = sim_now_us(w->sim);
    op->deadline_us = op->begin_us + TIMEOUT_US;
    return op;
}

static void get_call(struct swarm *w, uint32_t host, uint32_t worker, uint32_t key, bool all,
                     bool blocking)
{
    char name[KEY_BYTES_ALL];
    struct op *op = op_begin(w, host, OP_GET, key);
    op->all = all;
    op->blocking = blocking;
    struct msg m = {.type = MSG_GET};
    m.get.key = key_name(key, name);
    m.get.head.flags = (all ? REQUEST_ALL : 0) | (blocking ? REQUEST_BLOCKING : 0);
    sim_say(w->sim, (int)host, "call %llu: get%s%s %s", (unsigned long long)op->number,
            all ? " --all" : "", blocking ? " --blocking" : "", name);
    sim_call(w->sim, host, op->number << 8 | worker, &m);
}

static void put_call(struct swarm *w, uint32_t host, uint32_t worker, uint32_t key)
{
    char name[KEY_BYTES_ALL];
    uint8_t value[8192];
    const struct plan *p = w->plan;
    bool deletes = chance(w, p->deletes);
    enum key_mode mode = (enum key_mode)p->key_mode[key];
    struct op *op = op_begin(w, host, deletes ? OP_DELETE : OP_PUT, key);
    op->plain = mode == KEY_PLAIN || (mode == KEY_MIXED && chance(w, 50));
    struct msg m = {.type = MSG_PUT};
    m.put.key = key_name(key, name);
    m.put.head.flags = (op->plain ? REQUEST_PLAIN : 0) | (deletes ? REQUEST_TOMBSTONE : 0);
    if (p->sloppy > 0 && chance(w, p->sloppy))
        m.put.head.mode = MODE_SLOPPY;
    if (!deletes) {
        size_t bytes = SIM_VALUE_BYTES_MIN + prng_below(&w->dice, p->value_bytes_max);
        sim_value(op->number, value, bytes);
        m.put.value = slice_of(value, bytes);
    }
    const struct blob *context = w->clients[host].context[key];
    if (!op->plain && context && !chance(w, p->blind)) {
        m.put.context = slice_blob(context);
        int error = context_decode(m.put.context, hash_bytes(m.put.key), &op->context);
        gt_assert(error == 0);
        op->basis = w->clients[host].basis[key];
    }
    sim_say(w->sim, (int)host, "call %llu: %s %s %s", (unsigned long long)op->number,
            deletes ? "delete" : "put", name,
            op->plain                 ? "(plain)"
            : m.put.context.bytes > 0 ? "with a context"
                                      : "without having seen anything");
    sim_call(w->sim, host, op->number << 8 | worker, &m);
}

static void worker_turn(void *arg, struct sim *sim, uint64_t value)
{
    struct swarm *w = arg;
    uint32_t host = (uint32_t)(value >> 8 & 0xff), worker = (uint32_t)(value & 0xff);
    if (!w->working || w->clients[host].session != value >> 16)
        return;
    if (!sim_up(sim, host)) {
        worker_later(w, host, worker);
        return;
    }
    uint32_t key = (uint32_t)prng_below(&w->dice, w->plan->keys);
    if (chance(w, w->plan->gets))
        get_call(w, host, worker, key, chance(w, 80), chance(w, 20));
    else
        put_call(w, host, worker, key);
}

static void workers_begin(struct swarm *w, uint32_t host)
{
    w->clients[host].session = ++w->run.session_count;
    for (uint32_t i = 0; i < w->plan->workers; i++)
        worker_later(w, host, i);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void returned_take(struct swarm *w, struct op *op, struct slice context)
{
    char name[KEY_BYTES_ALL];
    uint64_t hash = hash_bytes(key_name(op->key, name));
    if (context.bytes > 0 && context_decode(context, hash, &op->returned) != 0)
        sim_break(w->sim, "the context of call %llu cannot be read",
                  (unsigned long long)op->number);
}

static void flags_take(struct op *op, const struct reply_head *head)
{
    op->degraded = head->flags & REPLY_DEGRADED;
    op->unsettled = head->flags & REPLY_UNSETTLED;
    op->outranked = head->flags & REPLY_OUTRANKED;
    op->known = head->flags & REPLY_KNOWN;
    op->guests = head->guests;
    /* With guests quorums do not meet by themselves (RULES 14). */
    if (head->flags & REPLY_WEAK || head->guests > 0)
        op->strict = false;
    op->weak = head->flags & REPLY_WEAK;
}

static void write_done(struct swarm *w, struct op *op, int error, const struct msg *m)
{
    if (!m) {
        op->error = error;
        op->end = error == GT_EINDOUBT ? OP_IN_DOUBT : OP_NOT_APPLIED;
        return;
    }
    const struct reply_head *head = &m->put_reply.head;
    op->error = head->error;
    flags_take(op, head);
    op->end = !head->error                           ? OP_DONE
              : head->outcome == OUTCOME_NOT_APPLIED ? OP_NOT_APPLIED
                                                     : OP_IN_DOUBT;
    op->stamp = m->put_reply.stamp;
    if (op->end != OP_NOT_APPLIED)
        returned_take(w, op, m->put_reply.context);
}

static struct shown shown_of(struct swarm *w, struct dot dot, uint64_t stamp, bool tombstone,
                             struct slice value)
{
    struct shown s = {.dot = dot, .stamp = stamp, .tombstone = tombstone};
    if (tombstone)
        return s;
    s.write = sim_value_write(value);
    if (s.write == 0 || s.write > w->run.op_count)
        sim_break(w->sim, "a value of %zu bytes is shown that nobody wrote", value.bytes);
    return s;
}

static void read_done(struct swarm *w, struct op *op, int error, const struct msg *m)
{
    if (m)
        error = m->get_reply.head.error;
    op->error = error;
    if (error && error != GT_ENOTFOUND) {
        op->end = OP_FAILED;
        return;
    }
    if (!m) { /* a session does not say so by itself */
        sim_break(w->sim, "call %llu ended without an answer", (unsigned long long)op->number);
        return;
    }
    op->end = OP_DONE;
    flags_take(op, &m->get_reply.head);
    returned_take(w, op, m->get_reply.context);
    op->shown_total = m->get_reply.sibling_total;
    for (uint32_t i = 0; i < m->get_reply.sibling_count; i++) {
        const struct msg_sibling *from = &m->get_reply.siblings[i];
        struct shown s =
            shown_of(w, from->dot, from->stamp, from->flags & SIBLING_TOMBSTONE, from->value);
        op_show(op, &s);
    }
}

/* A client remembers its last answer about a key, for its next write with a context. */
static void context_keep(struct swarm *w, uint32_t host, const struct op *op, struct slice context)
{
    struct client *c = &w->clients[host];
    if (op->end != OP_DONE || op->plain)
        return;
    blob_unref(c->context[op->key]);
    c->context[op->key] = context.bytes > 0 ? blob_copy(context.data, context.bytes) : NULL;
    c->basis[op->key] = op->number;
}

static void last_read(struct swarm *w)
{
    if (w->last_key < w->plan->keys)
        get_call(w, sim_client_host(w->sim, w->plan->clients), 0, w->last_key++, true, false);
}

static void done(void *arg, struct sim *sim, uint32_t host, uint64_t tag, int error,
                 const char *text, const struct msg *m)
{
    struct swarm *w = arg;
    (void)text;
    struct op *op = &w->run.ops[(tag >> 8) - 1];
    op->end_us = sim_now_us(sim);
    if (op_is_write(op))
        write_done(w, op, error, m);
    else
        read_done(w, op, error, m);
    if (m)
        context_keep(w, host, op, op_is_write(op) ? m->put_reply.context : m->get_reply.context);
    if (sim_tracing(sim)) {
        static const char *const words[] = {"open", "done", "not applied", "in doubt", "failed"};
        sim_say(sim, (int)host, "call %llu: %s %s", (unsigned long long)op->number, words[op->end],
                op->error ? error_name(op->error) : "");
        for (uint32_t i = 0; i < op->shown_count; i++)
            sim_say(sim, (int)host, "  shows %s%llu",
                    op->shown[i].tombstone ? "tombstone " : "write ",
                    (unsigned long long)(op->shown[i].tombstone ? op->shown[i].dot.seq
                                                                : op->shown[i].write));
    }
    if (op->begin_us >= w->run.settled_us) {
        w->last_left--;
        last_read(w);
    } else {
        worker_later(w, host, (uint32_t)(tag & 0xff));
    }
}

/* ---- faults ---------------------------------------------------------------------------------- */

/* It is there: it has come, and not died for good. */
static bool is_there(const struct swarm *w, uint32_t host)
{
    const struct plan *p = w->plan;
    bool late = host <= p->nodes && host > p->nodes - p->late;
    /* Two managers that are new may found two clusters: people start the second when there is one.
     */
    const struct ring *ring = sim_ring(w->sim);
    if (w->plan->managers == 2 && host == sim_manager_host(w->sim, 1) && !(ring && ring->formed))
        return false;
    return !(w->dead >> host & 1) && (!late || (w->arrived >> host & 1));
}

static void restart(void *arg, struct sim *sim, uint64_t value)
{
    struct swarm *w = arg;
    if (is_there(w, (uint32_t)(value & 0xff)))
        sim_start(sim, (uint32_t)(value & 0xff), (uint32_t)(value >> 8));
}

static void end_and_restart(struct swarm *w, uint32_t host, enum sim_end how, uint64_t after_us,
                            uint64_t cut)
{
    sim_end(w->sim, host, how);
    sim_at(w->sim, sim_now_us(w->sim) + after_us, restart, w, cut << 8 | host);
}

static void loop_turn(void *arg, struct sim *sim, uint64_t value)
{
    struct swarm *w = arg;
    uint32_t host = (uint32_t)(value & 0xff);
    uint64_t left = value >> 8 & 0xff, pause_us = value >> 16;
    if (!w->working)
        return;
    sim_end(sim, host, left & 1 ? SIM_KILL : SIM_POWER);
    restart(w, sim, host);
    if (left > 0)
        sim_at(sim, sim_now_us(sim) + pause_us, loop_turn, w,
               pause_us << 16 | (left - 1) << 8 | host);
}

static void join(void *arg, struct sim *sim, uint64_t value)
{
    (void)arg;
    sim_cut(sim, (uint32_t)(value & 0xff), (uint32_t)(value >> 8), false);
}

static void cut_for(struct swarm *w, uint32_t a, uint32_t b, uint64_t for_us)
{
    sim_cut(w->sim, a, b, true);
    sim_at(w->sim, sim_now_us(w->sim) + for_us, join, w, (uint64_t)b << 8 | a);
}

static void split_for(struct swarm *w, uint64_t halves, uint64_t for_us)
{
    uint32_t hosts = sim_host_count(w->sim);
    for (uint32_t a = 0; a < hosts; a++)
        for (uint32_t b = 0; b < hosts; b++)
            if ((halves >> a & 1) != (halves >> b & 1))
                cut_for(w, a, b, for_us);
}

static void unslow(void *arg, struct sim *sim, uint64_t value)
{
    (void)arg;
    sim_slow(sim, (uint32_t)(value & 0xff), (uint32_t)(value >> 8), 0);
}

static void disk_ok(void *arg, struct sim *sim, uint64_t value)
{
    (void)arg;
    sim_disk_full(sim, (uint32_t)value, false);
    sim_disk_slow(sim, (uint32_t)value, 0);
}

/* The session's open calls are never answered. */
static void client_dies(struct swarm *w, uint32_t host)
{
    sim_end(w->sim, host, SIM_KILL);
    for (uint64_t i = 0; i < w->run.op_count; i++) {
        struct op *op = &w->run.ops[i];
        if (op->end != OP_OPEN || op->session != w->clients[host].session)
            continue;
        op->end = op_is_write(op) ? OP_IN_DOUBT : OP_FAILED;
        op->error = GT_ECLOSED;
        op->end_us = sim_now_us(w->sim);
    }
    for (uint32_t key = 0; key < PLAN_KEYS_MAX; key++) {
        blob_unref(w->clients[host].context[key]);
        w->clients[host].context[key] = NULL;
    }
    sim_start(w->sim, host, 0);
    workers_begin(w, host);
}

/* Some come back long after the others, who must do without what those alone can tell. */
static void all_end(struct swarm *w, const struct fault *f, enum sim_end how)
{
    for (uint32_t host = 0; host <= w->plan->nodes; host++) {
        uint64_t away_us = f->for_us / 4 + prng_below(&w->dice, f->for_us / 4 + 1);
        end_and_restart(w, host, how, prng_below(&w->dice, 3) == 0 ? away_us * 4 : away_us,
                        f->value);
    }
}

/* Everybody has durably seen the life that the node lives: only then can whoever meets it later
 * tell that it was rolled back (RULES 8a). */
static bool witnessed(const struct swarm *w, uint32_t host)
{
    const struct engine_identity *own =
        sim_up(w->sim, host) ? engine_identity(sim_engine(w->sim, host)) : NULL;
    const struct ring *ring = sim_ring(w->sim);
    int member = own && ring ? ring_member_by_id(ring, own->node_id) : -1;
    if (member < 0 || ring->members[member].incarnation < own->incarnation)
        return false;
    for (uint32_t other = 1; other <= w->plan->nodes; other++) {
        const struct node *n = sim_node(w->sim, other);
        if (other != host && (!n || n->seen_stored < n->seen_version ||
                              node_seen(n, own->node_id) < own->incarnation))
            return false;
    }
    return true;
}

/* Another one has what it acknowledged: no partition has one owner alone, as it may while nodes
 * come and go. */
static bool is_spared(const struct swarm *w)
{
    const struct ring *r = sim_ring(w->sim);
    for (uint32_t p = 0; w->plan->moves && r && r->formed && p < r->settings.partitions; p++)
        if (r->arcs[p].owner_count < 2)
            return false;
    return true;
}

static void roll_back(void *arg, struct sim *sim, uint64_t value)
{
    struct swarm *w = arg;
    if (!w->working || !witnessed(w, (uint32_t)value) || !is_spared(w))
        return;
    sim_end(sim, (uint32_t)value, SIM_POWER);
    sim_disk_put_back(sim, (uint32_t)value);
    sim_start(sim, (uint32_t)value, 0);
}

/* The disk of `a` is lost or put back, after a while in which node `b` hears of nothing that others
 * write; and when `a` comes back it reaches `b` alone. What it acknowledged is out of reach then.
 */
static void lose(void *arg, struct sim *sim, uint64_t value)
{
    struct swarm *w = arg;
    const struct fault *f = &w->plan->faults[value];
    if (!w->working || !is_spared(w))
        return;
    for (uint32_t node = 1; node <= w->plan->nodes; node++)
        for (uint32_t side = 0; side < 2 && node != f->a && node != f->b; side++) {
            cut_for(w, node, side ? f->a : f->b, f->for_us + LOSS_ALONE_US);
            cut_for(w, side ? f->a : f->b, node, f->for_us + LOSS_ALONE_US);
        }
    sim_end(sim, f->a, SIM_POWER);
    if (f->kind == FAULT_WIPE)
        sim_disk_wipe(sim, f->a);
    else
        sim_disk_put_back(sim, f->a);
    sim_at(sim, sim_now_us(sim) + f->for_us, restart, w, f->a);
}

static void loss_begin(void *arg, struct sim *sim, uint64_t number)
{
    struct swarm *w = arg;
    const struct fault *f = &w->plan->faults[number];
    (void)sim;
    if (!w->working || (f->kind == FAULT_ROLLBACK && !witnessed(w, f->a)))
        return;
    for (uint32_t node = 1; node <= w->plan->nodes; node++)
        if (node != f->b) {
            cut_for(w, f->b, node, LOSS_UNHEARD_US);
            cut_for(w, node, f->b, LOSS_UNHEARD_US);
        }
    sim_at(w->sim, sim_now_us(w->sim) + LOSS_UNHEARD_US, lose, w, number);
}

static void admin(struct swarm *w, enum admin_verb verb, uint32_t node, uint32_t other,
                  double capacity)
{
    struct msg m = {.type = MSG_ADMIN, .id = 2};
    m.admin.verb = (uint8_t)verb;
    m.admin.apply = true;
    m.admin.capacity = capacity;
    if (node)
        m.admin.node = slice_text(sim_name(w->sim, node));
    if (other)
        m.admin.other = slice_text(sim_name(w->sim, other));
    sim_say(w->sim, 0, "a person asks: verb %u %s", (unsigned)verb,
            node ? sim_name(w->sim, node) : "");
    sim_admin(w->sim, &m);
}

/* It died for good, and counts as down by now. */
static void bury(void *arg, struct sim *sim, uint64_t value)
{
    struct swarm *w = arg;
    (void)sim;
    uint32_t node = (uint32_t)(value & 0xff), other = (uint32_t)(value >> 8);
    if (w->working)
        admin(w, other ? ADMIN_REPLACE : ADMIN_REMOVE, node, other, 0);
}

/* Every list has three owners, so that what was acknowledged is with another one of them. */
static bool can_spare(const struct swarm *w)
{
    const struct ring *r = sim_ring(w->sim);
    bool spares = r && r->formed;
    for (uint32_t p = 0; spares && p < r->settings.partitions; p++)
        spares = r->arcs[p].phase == ARC_STABLE && r->arcs[p].owner_count >= 3;
    return spares;
}

static void die(struct swarm *w, const struct fault *f)
{
    if (!can_spare(w) || w->dead)
        return;
    uint32_t other = f->kind == FAULT_REPLACE ? w->plan->nodes : 0;
    if (other == f->a)
        other = 0;
    sim_end(w->sim, f->a, SIM_POWER);
    w->dead |= 1u << f->a;
    sim_at(w->sim, sim_now_us(w->sim) + 3 * SECOND + f->value % SECOND, bury, w,
           (uint64_t)other << 8 | f->a);
}

static void manager_back(void *arg, struct sim *sim, uint64_t value)
{
    const struct swarm *w = arg;
    if (!w->working)
        return;
    sim_end(sim, (uint32_t)value, SIM_POWER);
    sim_disk_put_back(sim, (uint32_t)value);
    sim_start(sim, (uint32_t)value, 0);
}

static void fault_strike(void *arg, struct sim *sim, uint64_t value)
{
    struct swarm *w = arg;
    const struct fault *f = &w->plan->faults[value];
    uint64_t until_us = sim_now_us(sim) + f->for_us;
    if (!is_there(w, f->a) && sim_role(sim, f->a) == SIM_MANAGER)
        return; /* it has not begun */
    switch (f->kind) {
    case FAULT_KILL:
        end_and_restart(w, f->a, SIM_KILL, f->for_us, f->value);
        break;
    case FAULT_POWER:
        end_and_restart(w, f->a, SIM_POWER, f->for_us, f->value);
        break;
    case FAULT_STOP:
        end_and_restart(w, f->a, SIM_STOP, f->for_us, 0);
        break;
    case FAULT_KILL_ALL:
        all_end(w, f, SIM_KILL);
        break;
    case FAULT_POWER_ALL:
        all_end(w, f, SIM_POWER);
        break;
    case FAULT_LOOP:
        loop_turn(w, sim, f->for_us << 16 | f->value << 8 | f->a);
        break;
    case FAULT_PAUSE:
        if (sim_role(sim, f->a) == SIM_CLIENT && f->for_us > w->run.client_pause_us)
            w->run.client_pause_us = f->for_us;
        sim_pause(sim, f->a, until_us);
        break;
    case FAULT_CUT:
        cut_for(w, f->a, f->b, f->for_us);
        cut_for(w, f->b, f->a, f->for_us);
        break;
    case FAULT_CUT_ONE_WAY:
        cut_for(w, f->a, f->b, f->for_us);
        break;
    case FAULT_SPLIT:
        split_for(w, f->value, f->for_us);
        break;
    case FAULT_SLOW_LINK:
        sim_slow(sim, f->a, f->b, (uint32_t)f->value);
        sim_at(sim, until_us, unslow, w, (uint64_t)f->b << 8 | f->a);
        break;
    case FAULT_SLOW_DISK:
        sim_disk_slow(sim, f->a, (uint32_t)f->value);
        sim_at(sim, until_us, disk_ok, w, f->a);
        break;
    case FAULT_SYNC_FAILS:
        sim_disk_fail_sync(sim, f->a);
        break;
    case FAULT_READ_ERROR:
        sim_disk_read_error(sim, f->a);
        break;
    case FAULT_FULL:
        sim_disk_full(sim, f->a, true);
        sim_at(sim, until_us, disk_ok, w, f->a);
        break;
    case FAULT_FLIP:
        for (uint32_t i = 0; i < f->b; i++)
            sim_disk_flip(sim, f->a, f->value + i);
        break;
    case FAULT_CLOCK_JUMP:
        sim_clock(sim, f->a, (int64_t)f->value, 0);
        break;
    case FAULT_CLOCK_DRIFT:
        sim_clock(sim, f->a, w->plan->clock_offset_us[f->a], (int64_t)f->value);
        break;
    case FAULT_CLIENT:
        client_dies(w, f->a);
        break;
    case FAULT_WIPE:
        if (f->b > 0) {
            loss_begin(w, sim, value);
            break;
        }
        if (!is_spared(w))
            break;
        sim_end(sim, f->a, SIM_POWER);
        sim_disk_wipe(sim, f->a);
        sim_at(sim, until_us, restart, w, f->a);
        break;
    case FAULT_ROLLBACK: /* the copy is of a life that ended, and another one is seen before it is
                            back */
        sim_end(sim, f->a, SIM_KILL);
        sim_disk_keep(sim, f->a);
        sim_start(sim, f->a, 0);
        if (f->b > 0)
            sim_at(sim, sim_now_us(sim) + LOSS_SEEN_US, loss_begin, w, value);
        else
            sim_at(sim, until_us + LOSS_SEEN_US, roll_back, w, f->a);
        break;
    case FAULT_JOIN:
        w->arrived |= 1u << f->a;
        sim_start(sim, f->a, 0);
        break;
    case FAULT_DRAIN:
        admin(w, ADMIN_DRAIN, f->a, 0, 0);
        break;
    case FAULT_UNDRAIN:
        admin(w, ADMIN_CANCEL, 0, 0, 0);
        break;
    case FAULT_WEIGHT:
        admin(w, ADMIN_WEIGHT, f->a, 0, 0.5 + (double)(f->value % 4) / 2);
        break;
    case FAULT_REMOVE:
    case FAULT_REPLACE:
        die(w, f);
        break;
    case FAULT_DEAF:
        sim_deaf(sim, f->a, until_us);
        break;
    case FAULT_MANAGER_WIPED:
        sim_end(sim, f->a, SIM_POWER);
        sim_disk_wipe(sim, f->a);
        sim_at(sim, until_us, restart, w, f->a);
        break;
    case FAULT_MANAGER_OLD:
        sim_end(sim, f->a, SIM_KILL);
        sim_disk_keep(sim, f->a);
        sim_start(sim, f->a, 0);
        sim_at(sim, until_us, manager_back, w, f->a);
        break;
    case FAULT_KINDS:
        break;
    }
}

/* ---- the phases ------------------------------------------------------------------------------ */

static void on_trace(void *arg, const char *line)
{
    struct swarm *w = arg;
    w->trace(w->trace_arg, line);
}

static void begin(struct swarm *w, struct swarm_result *out)
{
    const struct plan *p = w->plan;
    for (uint32_t host = 0; host <= p->nodes; host++)
        sim_clock(w->sim, host, p->clock_offset_us[host], 0);
    for (uint32_t host = 0; host <= p->nodes + p->clients + 1; host++)
        restart(w, w->sim, host);
    for (uint64_t at_us = 2 * SECOND; p->managers == 2 && at_us < 10 * SECOND; at_us += SECOND)
        sim_at(w->sim, at_us, restart, w, sim_manager_host(w->sim, 1));
    for (uint32_t c = 0; c < p->clients; c++)
        workers_begin(w, sim_client_host(w->sim, c));
    for (uint32_t i = 0; i < p->fault_count; i++)
        if (!p->faults[i].off) {
            sim_at(w->sim, p->faults[i].at_us, fault_strike, w, i);
            out->faults++;
        }
}

/* Whoever is dead is removed, if nobody did that before, or could. */
static void people_end(void *arg, struct sim *sim, uint64_t value)
{
    struct swarm *w = arg;
    if (value > 0)
        sim_at(sim, sim_now_us(sim) + 5 * SECOND, people_end, w, value - 1);
    admin(w, ADMIN_RESUME, 0, 0, 0);
    for (uint32_t host = 1; host <= w->plan->nodes; host++)
        if (w->dead >> host & 1)
            admin(w, ADMIN_REMOVE, host, 0, 0);
}

static void heal(struct swarm *w)
{
    struct sim_network calm = {.latency_us = w->plan->network.latency_us};
    w->working = false;
    w->run.healed_us = sim_now_us(w->sim);
    sim_say(w->sim, -1, "---- faults end");
    sim_network(w->sim, &calm);
    sim_heal(w->sim);
    for (uint32_t host = 0; host < sim_host_count(w->sim); host++) {
        sim_clock(w->sim, host, 0, 0);
        if (sim_role(w->sim, host) != SIM_CLIENT) {
            disk_ok(w, w->sim, host);
            sim_disk_errors_end(w->sim, host);
        }
        w->arrived |= 1u << host;
        restart(w, w->sim, host);
    }
    if (w->plan->moves)
        sim_at(w->sim, sim_now_us(w->sim) + 3 * SECOND, people_end, w, 4);
}

/* A new session reads every key, a few at a time. */
static void last_reads(struct swarm *w)
{
    w->run.settled_us = sim_now_us(w->sim);
    sim_say(w->sim, -1, "---- last reads");
    w->clients[sim_client_host(w->sim, w->plan->clients)].session = ++w->run.session_count;
    w->last_left = w->plan->keys;
    for (uint32_t i = 0; i < LAST_READS_AT_ONCE; i++)
        last_read(w);
    uint64_t until_us = sim_now_us(w->sim) + READ_US;
    while (w->last_left > 0 && !sim_broken(w->sim) && sim_now_us(w->sim) < until_us)
        sim_step(w->sim);
}

/* A line of the trace for what a replica holds in the end. */
static void replica_say(struct swarm *w, const struct replica *r, const struct history *h)
{
    char text[600];
    size_t at = 0;
    if (!sim_tracing(w->sim))
        return;
    for (uint32_t i = 0; i < h->vector_count && at < sizeof(text); i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, " %04llx.%06llx<=%llu",
                               (unsigned long long)h->vector[i].actor.node >> 48,
                               (unsigned long long)h->vector[i].actor.incarnation & 0xffffff,
                               (unsigned long long)h->vector[i].seq);
    for (uint32_t i = 0; i < h->exact_count && at < sizeof(text); i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, " %04llx.%06llx=%llu",
                               (unsigned long long)h->exact[i].actor.node >> 48,
                               (unsigned long long)h->exact[i].actor.incarnation & 0xffffff,
                               (unsigned long long)h->exact[i].seq);
    for (uint32_t i = 0; i < h->closed_count && at < sizeof(text); i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, " %04llx up to %06llx",
                               (unsigned long long)h->closed[i].node >> 48,
                               (unsigned long long)h->closed[i].incarnation & 0xffffff);
    sim_say(w->sim, (int)sim_node_host(w->sim, r->node), "key%u%s siblings=%u history:%s", r->key,
            r->owner ? "" : " (no owner)", r->sibling_count, at > 0 ? text : " none");
}

static void replica_take(struct swarm *w, uint32_t node, uint32_t key)
{
    char name[KEY_BYTES_ALL];
    struct slice k = key_name(key, name);
    uint32_t host = sim_node_host(w->sim, node);
    const struct ring *ring = sim_ring(w->sim);
    const struct node *n = sim_node(w->sim, host);
    if (!ring || !ring->formed || !n)
        return;
    uint32_t partition = ring_partition(ring, k);
    int member = ring_member_by_id(ring, engine_identity(sim_engine(w->sim, host))->node_id);
    struct replica *r = run_replica(&w->run);
    r->node = node;
    r->key = key;
    r->owner = member >= 0 && ring_slot(ring, partition, (uint32_t)member) >= 0;
    struct state state;
    struct blob *record;
    state_init(&state);
    int error = sim_peek(w->sim, host, partition, k, &state, &record);
    r->unknown = error && error != GT_ENOTFOUND;
    if (!error) {
        int copied = history_copy(&r->history, &state.history);
        gt_assert(copied == 0);
        r->digest = record_digest(slice_blob(record));
        for (uint32_t i = 0; i < state.sibling_count; i++) {
            const struct sibling *from = &state.siblings[i];
            struct shown s =
                shown_of(w, from->dot, from->stamp, from->flags & SIBLING_TOMBSTONE, from->value);
            replica_show(r, &s);
        }
        if (sim_tracing(w->sim))
            replica_say(w, r, &state.history);
    }
    blob_unref(record);
    state_close(&state);
}

/* ---- verify ---------------------------------------------------------------------------------- */

/* The host of a member, NONE_HOST when it does not run. */
static uint32_t host_of(const struct swarm *w, uint64_t node_id)
{
    for (uint32_t node = 0; node < w->plan->nodes; node++) {
        uint32_t host = sim_node_host(w->sim, node);
        const struct engine *e = sim_engine(w->sim, host);
        if (e && engine_identity(e)->node_id == node_id)
            return host;
    }
    return NONE_HOST;
}

/* All owners of the key hold the same, and none a bad record. */
static bool key_alike(struct swarm *w, const struct ring *ring, uint32_t key)
{
    char name[KEY_BYTES_ALL];
    struct slice k = key_name(key, name);
    uint32_t partition = ring_partition(ring, k);
    const struct arc *arc = &ring->arcs[partition];
    uint64_t first = 0;
    for (uint32_t i = 0; i < arc->owner_count; i++) {
        uint32_t host = host_of(w, ring->members[arc->owners[i]].id);
        struct blob *record;
        int error = host == NONE_HOST ? GT_EUNREACHABLE
                                      : sim_peek(w->sim, host, partition, k, NULL, &record);
        if (error && error != GT_ENOTFOUND)
            return false;
        uint64_t digest = error ? 0 : record_digest(slice_blob(record));
        if (!error)
            blob_unref(record);
        if (i > 0 && digest != first)
            return false;
        first = digest;
    }
    return true;
}

static bool all_alike(struct swarm *w, const struct ring *ring)
{
    for (uint32_t key = 0; key < w->plan->keys; key++)
        if (!key_alike(w, ring, key))
            return false;
    return true;
}

static bool moves_over(const struct ring *ring)
{
    bool over = ring->rebalance == REBALANCE_IDLE;
    for (uint32_t i = 0; i < ring->member_count; i++)
        over &= !ring->members[i].leaving || ring->members[i].state == MEMBER_REMOVED;
    for (uint32_t p = 0; p < ring->settings.partitions; p++)
        over &= ring->arcs[p].phase == ARC_STABLE;
    return over;
}

/* What the nodes make of it. */
static void move_say(struct swarm *w, uint32_t partition)
{
    for (uint32_t host = 1; host <= w->plan->nodes; host++) {
        const struct node *n = sim_node(w->sim, host);
        const struct watch *at = n ? watch_of(n, partition) : NULL;
        if (!at)
            continue;
        sim_say(w->sim, (int)host, "partition %u: part %d phase %d%s%s%s%s%s%s", partition,
                at->part, at->phase, at->covering ? " covering" : "", at->fenced ? " fenced" : "",
                at->done ? " done" : "", at->dropping ? " dropping" : "",
                at->filling ? " filling" : "", at->pulling ? " pulling" : "");
        for (uint32_t i = 0; i < at->count; i++)
            sim_say(
                w->sim, (int)host, "  other %04llx:%s%s%s%s%s%s lacking %llu",
                (unsigned long long)at->others[i].node >> 48, at->others[i].owner ? " owner" : "",
                at->others[i].goes ? " goes" : "", at->others[i].fenced_clock ? " told" : "",
                at->others[i].covered ? " covered" : "", at->others[i].has_ours ? " has ours" : "",
                at->others[i].unsure ? " unsure" : "", (unsigned long long)at->others[i].lacking);
    }
}

/* What is not over. */
static void moves_say(struct swarm *w, const struct ring *r)
{
    static const char *const phases[] = {"stable", "prepare", "read_new", "cleanup"};
    for (uint32_t i = 0; i < r->member_count; i++)
        sim_say(w->sim, -1, "%s: %s%s%s", r->members[i].label,
                member_state_name(r->members[i].state), r->members[i].leaving ? ", leaving" : "",
                r->members[i].refill ? ", refills" : "");
    for (uint32_t p = 0; p < r->settings.partitions; p++) {
        const struct arc *a = &r->arcs[p];
        char text[200];
        size_t at = 0;
        if (a->phase == ARC_STABLE)
            continue;
        for (uint32_t i = 0; i < a->owner_count; i++)
            at += (size_t)snprintf(text + at, sizeof(text) - at, " %u", a->owners[i]);
        at += (size_t)snprintf(text + at, sizeof(text) - at, " beside");
        for (uint32_t i = 0; i < a->beside_count; i++)
            at += (size_t)snprintf(text + at, sizeof(text) - at, " %u", a->beside[i]);
        sim_say(w->sim, -1, "partition %u: %s%s", p, phases[a->phase], text);
        move_say(w, p);
    }
    sim_say(w->sim, -1, "rebalance %u", r->rebalance);
}

/* Calls end, moves end, replicas get alike: with slow disks and large states that takes a while
 * longer. */
static void finish(struct swarm *w)
{
    uint64_t until_us = w->run.healed_us + FINISH_US;
    uint32_t rounds = w->plan->moves ? MOVES_ROUNDS : FINISH_ROUNDS;
    sim_run_until(w->sim, until_us);
    for (uint32_t i = 0; i < rounds && !sim_broken(w->sim); i++) {
        const struct ring *ring = sim_ring(w->sim);
        if (!ring || !ring->formed || (moves_over(ring) && all_alike(w, ring)))
            return;
        until_us += FINISH_US;
        sim_run_until(w->sim, until_us);
    }
    const struct ring *ring = sim_ring(w->sim);
    if (ring && ring->formed && !moves_over(ring)) {
        moves_say(w, ring);
        sim_break(w->sim, "partitions are still moving %llu s after the last fault",
                  (unsigned long long)(rounds + 1) * FINISH_US / SECOND);
    }
}

/* The replicas are compared as an operator would compare them. */
static void verify_play(struct swarm *w)
{
    struct ring *ring = (struct ring *)(uintptr_t)sim_ring(w->sim);
    struct verifier v;
    if (!ring || !ring->formed)
        return;
    ring = ring_ref(ring);
    sim_say(w->sim, -1, "---- verify");
    bool before = all_alike(w, ring);
    verifier_init(&v, ring, VERIFY_US);
    bool over = sim_verify(w->sim, sim_client_host(w->sim, w->plan->clients), &v,
                           sim_now_us(w->sim) + VERIFY_US + SECOND);
    w->run.alike = all_alike(w, ring);
    w->run.verified = over && before == w->run.alike;
    w->run.verify_equal = verifier_equal(&v);
    view_verify_text(&v, w->run.verify_text);
    sim_say(w->sim, -1, "verify: %s", w->run.verify_equal ? "equal" : w->run.verify_text);
    verifier_close(&v);
    ring_unref(ring);
}

static void parcels_count(struct swarm *w, uint32_t node)
{
    struct engine_totals totals = {0};
    const struct engine *e = sim_engine(w->sim, sim_node_host(w->sim, node));
    struct engine_kept kept[8];
    uint32_t count = e ? engine_kept(e, kept, 8) : 0;
    for (uint32_t i = 0; i < count; i++)
        sim_say(w->sim, (int)sim_node_host(w->sim, node), "keeps %llu parcels for %04llx",
                (unsigned long long)kept[i].parcels, (unsigned long long)kept[i].target >> 48);
    if (e)
        engine_totals(e, &totals);
    w->run.parcels_left += totals.parcels;
}

static void judge(struct swarm *w, struct swarm_result *out)
{
    const struct run *run = &w->run;
    for (uint64_t i = 0; i < run->op_count; i++) {
        out->acked += op_is_write(&run->ops[i]) && run->ops[i].end == OP_DONE;
        out->not_applied += run->ops[i].end == OP_NOT_APPLIED;
        out->in_doubt += run->ops[i].end == OP_IN_DOUBT;
        out->reads += run->ops[i].kind == OP_GET && run->ops[i].end == OP_DONE;
    }
    if (sim_broken(w->sim)) {
        out->failed = true;
        out->finding.checker = "simulator";
        snprintf(out->finding.text, sizeof(out->finding.text), "%s", sim_broken(w->sim));
        return;
    }
    for (const struct checker *c = checkers; c->name && !out->failed; c++)
        if (!pending("checker", c->name))
            out->failed = c->check(run, &out->finding);
    if (out->failed)
        sim_say(w->sim, -1, "%s: %s", out->finding.checker, out->finding.text);
}

void swarm_run(const struct plan *p, void (*trace)(void *arg, const char *line), void *arg,
               struct swarm_result *out)
{
    struct swarm w = {.plan = p, .working = true, .trace = trace, .trace_arg = arg};
    struct sim_config config = {
        .seed = p->seed,
        .nodes = p->nodes,
        .managers = p->managers,
        .clients = p->clients + 1, /* the last one only for last reads */
        .settings = p->settings,
        .network = p->network,
        .storage = p->storage,
        .inflight_max = p->inflight_max,
        .digest_above = p->digest_above,
        .piece_bytes_max = p->piece_bytes_max,
        .pull_bytes = (uint32_t)p->piece_bytes_max, /* small with small */
        .pulls_max = p->moves ? 1 + (uint32_t)(p->seed * 0x9e3779b97f4a7c15u >> 62) : 0,
        .reap_wait_us = p->reap_wait_us,
        .rebalance = p->moves,
        .replace_after_us = p->replace_after_us,
        .restarts = true,
        .arg = &w,
        .done = done,
        .trace = trace ? on_trace : NULL};
    *out = (struct swarm_result){0};
    prng_init(&w.dice, p->seed ^ 0x64696365);
    run_init(&w.run);
    w.run.key_count = p->keys;
    w.run.settled_us = UINT64_MAX;
    w.run.n = p->settings.replicas;
    w.run.r = p->settings.read_quorum;
    w.run.w = p->settings.write_quorum;
    w.run.rots = pending("rule", "rot");
    w.run.reaps = true;
    for (uint32_t i = 0; i < p->fault_count; i++)
        w.run.loses |= p->faults[i].kind == FAULT_WIPE || p->faults[i].kind == FAULT_ROLLBACK;
    w.run.partitions = calloc(p->keys, sizeof(*w.run.partitions));
    gt_assert(w.run.partitions);
    for (uint32_t key = 0; key < p->keys; key++) {
        char name[KEY_BYTES_ALL];
        w.run.partitions[key] =
            hash_partition(hash_bytes(key_name(key, name)), p->settings.partitions);
    }
    w.sim = sim_new(&config);
    begin(&w, out);
    sim_run_until(w.sim, p->safety_us);
    heal(&w);
    finish(&w);
    if (!sim_broken(w.sim))
        last_reads(&w);
    if (!sim_broken(w.sim))
        verify_play(&w);
    for (uint32_t node = 0; node < p->nodes && !sim_broken(w.sim); node++) {
        parcels_count(&w, node);
        for (uint32_t key = 0; key < p->keys; key++)
            replica_take(&w, node, key);
    }
    judge(&w, out);
    out->hash = sim_hash(w.sim);
    out->events = sim_events(w.sim);
    out->virtual_us = sim_now_us(w.sim);
    for (uint32_t host = 0; host < SIM_HOSTS_MAX; host++)
        for (uint32_t key = 0; key < PLAN_KEYS_MAX; key++)
            blob_unref(w.clients[host].context[key]);
    sim_free(w.sim);
    run_close(&w.run);
}
