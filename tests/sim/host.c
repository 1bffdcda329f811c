/*
 * One process: what the programs (their main and their loop) do around a machine, in virtual time.
 *
 *   down --BOOT: folder recovered--> starting --START--> up --READY--> ready
 *     ^                                 |                 |              |
 *     '---- ended: by a fault, by its own failure (exit 74, a refusal) --'
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/engine_private.h"
#include "engine/quarantine.h"
#include "tests/sim/world.h"

#define POLL_US          60u
#define FORM_FIRST_US    3000000u /* of a manager that starts again, by then on an empty disk */
#define RESTART_US       1000000u
#define JOIN_TIMEOUT_US  30000000u
#define INFLIGHT_DEFAULT 64u
#define CLOCK_BASE_US    1000000u /* monotonic clocks of hosts have nothing to do with each other */
#define BOOTS_MAX        200u
#define SEALED_US        50000u /* an idle log is sealed by then */

static uint64_t mono_us(const struct sim *s, uint32_t host)
{
    return s->now_us + (host + 1) * (uint64_t)CLOCK_BASE_US;
}

/* A moment of the host's monotonic clock as virtual time. */
static uint64_t virtual_us(uint32_t host, uint64_t at_us)
{
    uint64_t base_us = (host + 1) * (uint64_t)CLOCK_BASE_US;
    return at_us == UINT64_MAX ? at_us : at_us > base_us ? at_us - base_us : 0;
}

static struct address address_of(const struct sim *s, uint32_t host)
{
    struct address a = {.port = 5000};
    snprintf(a.host, sizeof(a.host), "%s", s->hosts[host].name);
    return a;
}

/* The log of a host needs to know whose it is. */
struct log_arg {
    struct sim *s;
    uint32_t host;
};

/* ---- time and storage of a running host ------------------------------------------------------ */

static void poll_soon(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    if (h->polled || !h->engine)
        return;
    h->polled = true;
    queue_push(s, (struct item){.at_us = s->now_us + prng_below(&s->loop_prng, POLL_US),
                                .kind = ITEM_POLL,
                                .host = host,
                                .life = h->life});
}

static void timer_soon(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    if (!h->up)
        return;
    uint64_t wanted_us = virtual_us(host, h->machine.deadline_us(h->machine.self));
    if (h->engine) {
        uint64_t engine_us = virtual_us(host, engine_deadline_us(h->engine));
        wanted_us = engine_us < wanted_us ? engine_us : wanted_us;
    }
    if (wanted_us >= h->timer_us)
        return;
    /* Timers of the real loop are exact to a millisecond. */
    uint64_t from_us = wanted_us > s->now_us ? wanted_us : s->now_us;
    h->timer_us = from_us + 20 + prng_below(&s->loop_prng, 1000);
    queue_push(
        s, (struct item){.at_us = h->timer_us, .kind = ITEM_TIMER, .host = host, .life = h->life});
}

/* ---- effects --------------------------------------------------------------------------------- */

/* Something else than the user of the simulator ends the process. */
static void ended(struct sim *s, uint32_t host, enum sim_end how, const char *why)
{
    sim_say(s, (int)host, "ends: %s", why);
    sim_end(s, host, how);
    if (s->config.ended)
        s->config.ended(s->config.arg, s, host, why);
}

static void ended_itself(struct sim *s, uint32_t host, const char *why)
{
    ended(s, host, SIM_KILL, why);
    if (s->config.restarts)
        queue_push(s, (struct item){.at_us = s->now_us + RESTART_US +
                                             prng_below(&s->loop_prng, RESTART_US),
                                    .kind = ITEM_BOOT,
                                    .host = host});
}

static void store_one(struct sim *s, uint32_t host, struct store_request *r)
{
    struct host *h = &s->hosts[host];
    struct store_request kept = *r;
    blob_ref(kept.hold);
    struct store_request given = *r;
    r->hold = NULL;
    inv_parcel_drop(s, host, &kept);
    uint64_t lsn = h->engine->next_lsn;
    engine_submit(h->engine, &given, mono_us(s, host));
    inv_stored(s, host, &kept, lsn);
    store_request_release(&kept);
}

static int line_count(void *arg, struct slice line)
{
    (void)line;
    ++*(uint64_t *)arg;
    return 0;
}

/* As the program does, but into no file. */
static void quarantine_say(struct sim *s, uint32_t host)
{
    uint64_t count = 0;
    int error = engine_quarantine(s->hosts[host].engine, line_count, &count);
    gt_assert(!error);
    s->hosts[host].quarantined = count;
    if (count > 0)
        sim_say(s, (int)host, "quarantined %llu siblings", (unsigned long long)count);
}

uint64_t sim_quarantined(const struct sim *s, uint32_t host)
{
    return s->hosts[host].quarantined;
}

static int identity_change(struct sim *s, uint32_t host, const struct gt_effect *e)
{
    struct host *h = &s->hosts[host];
    int error = 0;
    if (!cluster_none(e->identity.cluster_id))
        error = engine_set_cluster(h->engine, e->identity.cluster_id);
    if (!error && e->identity.above != 0)
        quarantine_say(s, host);
    if (!error && e->identity.above != 0)
        error = engine_renew_incarnation(h->engine, e->identity.above, sim_wall_us(s, host));
    if (!error && e->identity.whole)
        error = engine_whole(h->engine);
    if (!error)
        node_set_identity(h->node, engine_identity(h->engine));
    return error;
}

static void done_one(struct sim *s, uint32_t host, const struct gt_effect *e)
{
    struct msg m, *reply = NULL;
    if (e->done.body) {
        int error = msg_decode(s->decoder, slice_blob(e->done.body), &m);
        gt_assert(error == 0);
        reply = &m;
    }
    if (e->done.error)
        sim_say(s, (int)host, "call ends: %s", e->done.text);
    hash_mix(s, e->done.tag << 8 ^ (uint64_t)(unsigned)-e->done.error);
    if (s->hosts[host].verifier)
        return;
    s->config.done(s->config.arg, s, host, e->done.tag, e->done.error, e->done.text, reply);
    if (reply && m.type == MSG_MAP)
        ring_unref(m.map.ring);
}

/* False when the process has ended. */
static bool carry_one(struct sim *s, uint32_t host, struct gt_effect *e)
{
    struct host *h = &s->hosts[host];
    struct blob *frame;
    uint32_t conn;
    switch (e->kind) {
    case GT_SEND:
    case GT_REPLY:
        frame = e->frame;
        e->frame = NULL;
        conn = e->kind == GT_SEND ? net_conn_of_peer(s, host, e->peer)
                                  : net_conn_of_link(s, host, e->link);
        net_frame(s, conn, e->kind == GT_REPLY, frame);
        return true;
    case GT_STORE:
    case GT_LOAD:
    case GT_SCAN:
        store_one(s, host, &e->request);
        return true;
    case GT_CONNECT:
        net_connect(s, host, e->peer, &e->address);
        return true;
    case GT_DISCONNECT:
        net_disconnect(s, host, e->peer);
        return true;
    case GT_CLOSE:
        conn = net_conn_of_link(s, host, e->link);
        if (conn != NONE)
            net_close(s, conn, 1, GT_ECLOSED, true);
        return true;
    case GT_READY:
        h->ready = true;
        sim_say(s, (int)host, "ready");
        return true;
    case GT_IDENTITY:
        if (identity_change(s, host, e) == 0)
            return true;
        ended_itself(s, host, "identity not stored");
        return false;
    case GT_FAIL:
        ended_itself(s, host, e->fail.text);
        return false;
    case GT_DONE:
        done_one(s, host, e);
        return true;
    }
    return true;
}

/* Effects of a step carry no order, but CLOSE, which is for after the replies. */
static void shuffle(struct sim *s, struct gt_effects *fx)
{
    for (uint32_t i = fx->count; i > 1; i--) {
        uint32_t other = (uint32_t)prng_below(&s->loop_prng, i);
        struct gt_effect swap = fx->items[i - 1];
        fx->items[i - 1] = fx->items[other];
        fx->items[other] = swap;
    }
    uint32_t end = fx->count;
    for (uint32_t i = 0; i < end;) {
        if (fx->items[i].kind != GT_CLOSE) {
            i++;
            continue;
        }
        struct gt_effect swap = fx->items[--end];
        fx->items[end] = fx->items[i];
        fx->items[i] = swap;
    }
}

static void ring_follow(struct host *h)
{
    const struct ring *ring = h->node ? node_ring(h->node) : NULL;
    if (!h->node || ring == h->ring)
        return;
    h->ring = ring;
    if (ring && ring->settings.value_bytes_max > 0)
        engine_set_value_bytes_max(h->engine, ring->settings.value_bytes_max);
}

void host_feed(struct sim *s, uint32_t host, struct gt_event *ev)
{
    struct host *h = &s->hosts[host];
    if (!h->up)
        return;
    uint32_t life = h->life;
    ev->now_us = mono_us(s, host);
    ev->wall_us = sim_wall_us(s, host);
    /* Carrying out may break a link and so feed again: each step has a list of its own. */
    struct gt_effects fx = s->fx;
    effects_init(&s->fx);
    h->machine.step(h->machine.self, ev, &fx);
    ring_follow(h);
    maps_look(s, host);
    shuffle(s, &fx);
    for (uint32_t i = 0; i < fx.count && h->life == life; i++)
        if (!carry_one(s, host, &fx.items[i]))
            break;
    effects_clear(&fx);
    effects_close(&s->fx);
    s->fx = fx;
    if (h->life != life)
        return;
    poll_soon(s, host);
    timer_soon(s, host);
}

/* ---- messages -------------------------------------------------------------------------------- */

static void message_refuse(struct sim *s, uint32_t conn, uint32_t side, const struct msg *m)
{
    struct msg reply = {.type = (enum msg_type)(m->type + 1), .id = m->id};
    reply.refusal.error = GT_EUNSUPPORTED;
    struct blob *frame = msg_frame(&reply);
    gt_assert(frame);
    net_frame(s, conn, side, frame);
}

void host_body(struct sim *s, uint32_t conn, uint32_t side, struct blob *body)
{
    const struct conn *c = &s->conns[conn];
    uint32_t host = c->host[side];
    struct msg m;
    if (!s->hosts[host].up || (side == 0 && net_conn_of_peer(s, host, c->peer) != conn))
        return;
    int error = msg_decode(s->decoder, slice_blob(body), &m);
    if (error == GT_EUNSUPPORTED) {
        if (!msg_is_reply(m.type))
            message_refuse(s, conn, side, &m);
        return;
    }
    if (error) {
        sim_break(s, "a message of our own was refused: type %d, %s", (int)m.type,
                  error_text(error));
        return;
    }
    if (sim_tracing(s)) {
        char text[200];
        sim_say(s, (int)host, "<- %-8s %s", s->hosts[c->host[!side]].name, msg_text(&m, text));
    }
    if (m.type == MSG_MAP && s->hosts[host].deaf_us > s->now_us) {
        sim_say(s, (int)host, "   is lost");
        ring_unref(m.map.ring);
        return;
    }
    struct gt_event ev = {.kind = GT_MESSAGE, .message = {.msg = &m, .body = body}};
    if (side == 1)
        ev.link = conn + 1;
    else
        ev.peer = c->peer;
    struct ring *ring = m.type == MSG_MAP ? m.map.ring : NULL;
    host_feed(s, host, &ev);
    ring_unref(ring);
}

/* ---- storage --------------------------------------------------------------------------------- */

static void result_feed(struct sim *s, uint32_t host, struct store_result *r)
{
    /* Whatever was written, and whenever the process died: what nobody took away is there. */
    if (r->miscounted && !s->hosts[host].record_rotten)
        sim_break(s, "%s has not the records that it counted", s->hosts[host].name);
    struct gt_event ev = {.kind = r->kind == STORE_LOAD   ? GT_LOADED
                                  : r->kind == STORE_SCAN ? GT_SCANNED
                                                          : GT_STORED,
                          .result = r};
    host_feed(s, host, &ev);
}

static uint64_t job_us(struct sim *s, const struct host *h, enum engine_lane lane)
{
    uint64_t mean_us = lane == ENGINE_LOG ? h->sync_us : 20 * h->sync_us;
    return h->sync_us / 2 + exponential_us(&s->store_prng, mean_us / 2);
}

static void job_start(struct sim *s, uint32_t host, enum engine_lane lane)
{
    struct host *h = &s->hosts[host];
    struct engine_job *job = engine_job(h->engine, lane);
    if (!job)
        return;
    h->job[lane] = job;
    h->job_ran[lane] = prng_below(&s->store_prng, 2) == 0;
    if (h->job_ran[lane])
        engine_job_run(job);
    queue_push(s, (struct item){.at_us = s->now_us + job_us(s, h, lane),
                                .kind = ITEM_JOB,
                                .host = host,
                                .life = h->life,
                                .job = job});
}

void host_poll(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    uint32_t life = h->life;
    struct store_result r;
    h->polled = false;
    while (h->life == life && engine_result(h->engine, &r)) {
        inv_result(s, host, &r);
        result_feed(s, host, &r);
        store_result_release(&r);
    }
    if (h->life != life)
        return;
    if (engine_poisoned(h->engine)) {
        ended_itself(s, host, "the log failed, exit 74");
        return;
    }
    for (int lane = 0; lane < ENGINE_LANES; lane++)
        job_start(s, host, (enum engine_lane)lane);
}

void host_job(struct sim *s, const struct item *item)
{
    struct host *h = &s->hosts[item->host];
    enum engine_lane lane = item->job->lane;
    gt_assert(h->job[lane] == item->job);
    if (!h->job_ran[lane])
        engine_job_run(item->job);
    h->job_ran[lane] = true;
    if (lane == ENGINE_LOG && h->ends_after_sync) {
        static const char *const words[] = {"stopped", "killed", "power lost"};
        char why[60];
        snprintf(why, sizeof(why), "%s when its write was synced, before it said so",
                 words[h->end_after_sync]);
        ended(s, item->host, h->end_after_sync, why);
        return;
    }
    h->job[lane] = NULL;
    engine_job_done(h->engine, item->job);
    if (lane == ENGINE_LOG)
        h->logged_us = s->now_us;
    if (engine_deadline_us(h->engine) <= mono_us(s, item->host))
        engine_tick(h->engine, mono_us(s, item->host)); /* as store_poll does */
    poll_soon(s, item->host);
    timer_soon(s, item->host);
}

void host_timer(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    if (!h->up || h->timer_us > s->now_us)
        return;
    h->timer_us = UINT64_MAX;
    if (h->engine)
        engine_tick(h->engine, mono_us(s, host));
    struct gt_event ev = {.kind = GT_TIMEOUT};
    host_feed(s, host, &ev);
}

/* ---- birth ----------------------------------------------------------------------------------- */

static void on_log(void *arg, enum log_level level, const char *line)
{
    const struct log_arg *l = arg;
    sim_say(l->s, (int)l->host, "log %s: %s", log_level_name(level), line);
}

/* Nobody formats lines that nobody reads. */
static struct log *log_of(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    if (!s->config.trace)
        return NULL;
    struct log_arg *arg = h->log.sink_arg;
    if (!arg) {
        arg = malloc(sizeof(*arg));
        gt_assert(arg);
        *arg = (struct log_arg){s, host};
        log_init(&h->log, LOG_DEBUG, on_log, arg);
    }
    return &h->log;
}

/* Its folder was lost, and it is a member: it is started as the one that takes its place. One that
 * was lost before it was a member begins anew. */
static bool takes_place(const struct sim *s, uint32_t host)
{
    const struct host *h = &s->hosts[host];
    const struct ring *ring = sim_ring(s);
    return h->role == SIM_NODE && h->wiped && (!ring || ring_member_by_label(ring, h->name) >= 0);
}

static int folder_open(struct sim *s, uint32_t host, uint32_t cut, struct engine_report *report)
{
    struct host *h = &s->hosts[host];
    if (!h->disk) {
        h->disk = memdisk_new();
        h->index = memindex_new();
        memdisk_cut(h->disk, &h->cut);
        memindex_cut(h->index, &h->cut);
    }
    struct engine_config config = {.disk = h->disk,
                                   .index = h->index,
                                   .log = log_of(s, host),
                                   .role = h->role == SIM_NODE ? "node" : "manager",
                                   .seed = prng_next(&s->seed_prng),
                                   .wall_us = sim_wall_us(s, host),
                                   .segment_bytes = s->config.storage.segment_bytes,
                                   .overlay_bytes_max = s->config.storage.overlay_bytes,
                                   .chunk_records = s->config.storage.chunk_records,
                                   .born_filling = takes_place(s, host)};
    le64_put(config.boot_id, host + 1);
    le64_put(config.boot_id + 8, h->power);
    if (cut)
        memcut_arm(&h->cut, cut);
    int error = engine_open(&config, &h->engine, report);
    if (error)
        h->engine = NULL;
    return error;
}

static bool filling_ask(void *arg, uint32_t partition, struct slice *sources)
{
    const struct host *h = arg;
    *sources = engine_fill_sources(h->engine, partition);
    return engine_filling(h->engine, partition);
}

static struct slice cursor_ask(void *arg, uint32_t partition)
{
    const struct host *h = arg;
    return engine_cursor(h->engine, partition);
}

static bool holds_ask(void *arg, uint32_t partition)
{
    const struct host *h = arg;
    return engine_holds(h->engine, partition);
}

/* What of the report the manager decides by. */
static void report_ask(void *arg, struct node_report *out)
{
    const struct host *h = arg;
    struct engine_totals totals;
    engine_totals(h->engine, &totals);
    out->keys = totals.live;
    out->records = totals.records;
    out->hints = totals.parcels;
}

static int node_make(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    struct node_config config = {.log = log_of(s, host),
                                 .seed = prng_next(&s->seed_prng),
                                 .identity = *engine_identity(h->engine),
                                 .managers = {address_of(s, 0), address_of(s, s->host_count - 1)},
                                 .manager_count = s->config.managers == 2 ? 2 : 1,
                                 .map = engine_meta(h->engine, "map"),
                                 .ballot = engine_meta(h->engine, "ballot"),
                                 .peers = engine_meta(h->engine, "peers"),
                                 .stamp_max = engine_stamp_max(h->engine),
                                 .join_timeout_us = JOIN_TIMEOUT_US,
                                 .inflight_max = s->config.inflight_max ? s->config.inflight_max
                                                                        : INFLIGHT_DEFAULT,
                                 .digest_above = s->config.digest_above,
                                 .report = report_ask,
                                 .report_arg = h,
                                 .filling = filling_ask,
                                 .cursor = cursor_ask,
                                 .holds = holds_ask,
                                 .filling_arg = h,
                                 .piece_bytes_max = s->config.piece_bytes_max,
                                 .pull_bytes = s->config.pull_bytes,
                                 .pulls_max = s->config.pulls_max};
    engine_meta_text(h->engine, "label", config.self.label, sizeof(config.self.label));
    config.label_stored = config.self.label[0] != 0;
    config.replaces = takes_place(s, host);
    if (!config.label_stored)
        snprintf(config.self.label, sizeof(config.self.label), "%s", h->name);
    config.self.capacity = 1.0;
    config.self.address = address_of(s, host);
    config.self.id = config.identity.node_id;
    config.self.incarnation = config.identity.incarnation;
    int error = node_new(&config, &h->node);
    if (!error)
        h->machine = node_machine(h->node);
    return error;
}

static int manager_make(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    char why[MSG_TEXT_BYTES];
    if (!engine_meta(h->engine, "map") && cluster_none(engine_identity(h->engine)->cluster_id)) {
        uint8_t id[CLUSTER_ID_BYTES];
        prng_fill(&s->seed_prng, id, sizeof(id));
        int error = engine_set_cluster(h->engine, id);
        if (error)
            return error;
    }
    struct manager_config config = {.log = log_of(s, host),
                                    .seed = prng_next(&s->seed_prng),
                                    .identity = *engine_identity(h->engine),
                                    .map = engine_meta(h->engine, "map"),
                                    .stamp_max = engine_stamp_max(h->engine),
                                    .settings = s->config.settings,
                                    .form_after_us = 100000,
                                    .form_first_us = h->life > 1 ? FORM_FIRST_US : 0,
                                    .reap_wait_us = s->config.reap_wait_us,
                                    .rebalance_auto = s->config.rebalance,
                                    .replace_after_us = s->config.replace_after_us};
    int error = manager_new(&config, &h->manager, why);
    if (error)
        sim_say(s, (int)host, "refuses: %s", why);
    else
        h->machine = manager_machine(h->manager);
    return error;
}

static void session_make(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    struct session_config config = {.log = log_of(s, host), .seed = prng_next(&s->seed_prng)};
    for (uint32_t i = 0; i <= s->config.nodes && i < SESSION_SEEDS_MAX; i++)
        config.seeds[config.seed_count++] = address_of(s, i);
    if (s->config.managers == 2 && config.seed_count < SESSION_SEEDS_MAX)
        config.seeds[config.seed_count++] = address_of(s, s->host_count - 1);
    config.window = 64;
    h->session = session_new(&config);
    gt_assert(h->session);
    h->machine = session_machine(h->session);
}

static void storage_close(struct sim *s, uint32_t host, bool clean)
{
    struct host *h = &s->hosts[host];
    (void)s;
    if (!h->engine)
        return;
    engine_close(h->engine, clean);
    h->engine = NULL;
    memset(h->job, 0, sizeof(h->job));
}

/* The folder could not be opened: a fault that is known, or a bug. */
static void boot_failed(struct sim *s, uint32_t host, int error)
{
    struct host *h = &s->hosts[host];
    bool known = memcut_reached(&h->cut) || h->error_armed || h->full;
    sim_say(s, (int)host, "start failed: %s", error_text(error));
    memcut_clear(&h->cut);
    memdisk_crash(h->disk, prng_next(&s->store_prng));
    memindex_crash(h->index);
    h->error_armed = false;
    if (!known || ++h->boots_failed > BOOTS_MAX)
        sim_break(s, "%s cannot be started: %s", h->name, error_text(error));
    queue_push(s, (struct item){.at_us = s->now_us + RESTART_US / 2 +
                                         prng_below(&s->loop_prng, RESTART_US),
                                .kind = ITEM_BOOT,
                                .host = host});
}

/* What only rot can explain must not follow from crashes. */
static void report_judge(struct sim *s, uint32_t host, const struct engine_report *report)
{
    struct host *h = &s->hosts[host];
    if (h->put_back) {
        h->put_back = false;
        h->untold = true;
        h->fill_generation = engine_identity(h->engine)->fill_generation;
    }
    sim_say(s, (int)host, "recovered: %llu records replayed%s%s",
            (unsigned long long)report->replayed, report->wal.middle ? ", damaged" : "",
            report->wal.tail ? ", unproven tail" : "");
    if (report->wal.middle && !h->rotten)
        sim_break(s, "%s takes what a crash left for damage in the middle of its log", h->name);
    if (report->doubtful && !report->wal.middle && !report->wal.tail && !h->rotten)
        sim_break(s, "%s misses acknowledged records after a crash", h->name);
}

/* A log that was idle for long has a seal behind its last batch, but for want of room. */
static void seal_judge(struct sim *s, uint32_t host)
{
    const struct host *h = &s->hosts[host];
    const struct engine *e = h->engine;
    uint64_t since_us = h->logged_us > h->started_us ? h->logged_us : h->started_us;
    uint64_t paused_us = h->paused_us < s->now_us ? h->paused_us : s->now_us;
    if (paused_us > since_us)
        since_us = paused_us;
    if (!h->up || e->poisoned || h->job[ENGINE_LOG] || e->forming->records > 0 ||
        s->now_us < since_us + SEALED_US || e->seal == SEAL_NONE)
        return;
    if (e->seal != SEAL_DUE || log_fits(e, WAL_BLOCK))
        sim_break(s, "the log of %s is idle since %llu us, and not sealed", h->name,
                  (unsigned long long)since_us);
}

void host_boot(struct sim *s, uint32_t host, uint32_t cut)
{
    struct host *h = &s->hosts[host];
    if (h->engine || h->machine.self)
        return;
    h->life++;
    h->ready = h->polled = false;
    h->timer_us = UINT64_MAX;
    h->ring = NULL;
    h->silent = false;
    uint64_t recovery_us = 0;
    if (h->verifier) {
        h->machine = verifier_machine(h->verifier);
    } else if (h->role == SIM_CLIENT) {
        session_make(s, host);
    } else {
        struct engine_report report;
        int error = folder_open(s, host, cut, &report);
        if (!error && !memcut_reached(&h->cut))
            error = h->role == SIM_NODE ? node_make(s, host) : manager_make(s, host);
        if (error || memcut_reached(&h->cut)) {
            storage_close(s, host, false);
            boot_failed(s, host, error ? error : GT_EIO);
            return;
        }
        memcut_clear(&h->cut);
        report_judge(s, host, &report);
        if (h->role == SIM_NODE)
            inv_recovered(s, host);
        recovery_us = exponential_us(&s->loop_prng, 5000);
    }
    sim_say(s, (int)host, "starts, life %u", h->life);
    queue_push(s, (struct item){.at_us = s->now_us + recovery_us,
                                .kind = ITEM_START,
                                .host = host,
                                .life = h->life});
}

void host_started(struct sim *s, uint32_t host)
{
    s->hosts[host].up = true;
    s->hosts[host].started_us = s->now_us;
    struct gt_event ev = {.kind = GT_START};
    host_feed(s, host, &ev);
}

void sim_start(struct sim *s, uint32_t host, uint32_t cut)
{
    queue_push(s, (struct item){.at_us = s->now_us, .kind = ITEM_BOOT, .host = host, .cut = cut});
}

/* ---- end ------------------------------------------------------------------------------------- */

/* SIGTERM: what is under way ends, results reach the machine, nothing new begins. */
static void storage_drain(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    uint32_t life = h->life;
    for (bool any = true; any && h->life == life && !engine_poisoned(h->engine);) {
        any = false;
        for (int lane = 0; lane < ENGINE_LANES; lane++) {
            struct engine_job *job = h->job[lane];
            bool ran = job && h->job_ran[lane];
            if (!job && lane != ENGINE_CHECKPOINT)
                job = engine_job(h->engine, (enum engine_lane)lane);
            if (!job)
                continue;
            if (!ran)
                engine_job_run(job);
            h->job[lane] = NULL;
            engine_job_done(h->engine, job);
            any = true;
        }
        struct store_result r;
        while (h->life == life && engine_result(h->engine, &r)) {
            if (h->up)
                result_feed(s, host, &r);
            store_result_release(&r);
        }
        if (!any)
            engine_tick(h->engine, UINT64_MAX);
    }
}

/* The process dies in the middle of what its threads do. */
static void storage_tear(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    for (int lane = 0; lane < ENGINE_LANES; lane++) {
        struct engine_job *job = h->job[lane];
        if (!job || h->job_ran[lane] || prng_below(&s->store_prng, 3) == 0)
            continue;
        memcut_arm(&h->cut, 1 + (uint32_t)prng_below(&s->store_prng, 6));
        engine_job_run(job);
        memcut_clear(&h->cut);
    }
}

static void machine_free(struct host *h)
{
    node_free(h->node);
    manager_free(h->manager);
    session_free(h->session);
    h->node = NULL;
    h->manager = NULL;
    h->session = NULL;
    h->map_held = h->map_acted = NULL;
    h->machine = (struct gt_machine){0};
}

void sim_end(struct sim *s, uint32_t host, enum sim_end how)
{
    struct host *h = &s->hosts[host];
    static const char *const words[] = {"stopped", "killed", "loses power"};
    if (how == SIM_POWER)
        h->silent = true;
    if (!h->engine && !h->up)
        return;
    sim_say(s, (int)host, "%s", words[how]);
    if (h->engine) {
        seal_judge(s, host);
        if (how == SIM_STOP)
            storage_drain(s, host);
        else
            storage_tear(s, host);
        if (!h->engine)
            return; /* it failed while it was draining, and has ended so */
        storage_close(s, host,
                      how == SIM_STOP && engine_idle(h->engine) && !engine_poisoned(h->engine));
    }
    h->up = h->ready = h->ends_after_sync = false;
    net_host_gone(s, host);
    machine_free(h);
    h->life++;
    h->paused_us = 0;
    if (h->role == SIM_CLIENT)
        return;
    if (how == SIM_POWER) {
        h->power++;
        memdisk_crash(h->disk, prng_next(&s->store_prng));
    }
    memindex_crash(h->index);
}

void sim_end_after_sync(struct sim *s, uint32_t host, enum sim_end how)
{
    s->hosts[host].ends_after_sync = true;
    s->hosts[host].end_after_sync = how;
}

void host_free(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    storage_close(s, host, false);
    machine_free(h);
    free(h->dialings);
    free(h->puts);
    free(h->merges);
    free(h->writes);
    free(h->parcels);
    memdisk_snapshot_free(h->disk_kept);
    memindex_snapshot_free(h->index_kept);
    free(h->log.sink_arg);
    if (h->disk) {
        h->disk->destroy(h->disk);
        h->index->destroy(h->index);
    }
}

/* ---- disk faults ----------------------------------------------------------------------------- */

void sim_disk_fail_sync(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    if (!h->disk)
        return;
    h->error_armed = true;
    memdisk_fail(h->disk, MEMDISK_SYNC, 1, GT_EIO, false);
    sim_say(s, (int)host, "its next sync fails");
}

void sim_disk_read_error(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    if (!h->index)
        return;
    h->error_armed = true;
    memindex_fail(h->index, MEMINDEX_GET, 1 + prng_below(&s->store_prng, 20), GT_EIO, false);
}

void sim_disk_errors_end(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    if (!h->disk)
        return;
    memdisk_fail(h->disk, 0, 0, 0, false);
    memindex_fail(h->index, 0, 0, 0, false);
}

void sim_disk_full(struct sim *s, uint32_t host, bool full)
{
    struct host *h = &s->hosts[host];
    if (!h->disk)
        return;
    h->full = full;
    memdisk_capacity(h->disk, full ? 1 : (uint64_t)1 << 40);
    sim_say(s, (int)host, full ? "disk full" : "disk has room again");
}

void sim_disk_wipe(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    gt_assert(!h->engine);
    if (!h->disk)
        return;
    h->lost = true;
    memdisk_wipe(h->disk);
    memindex_wipe(h->index);
    /* Another node takes its place: a copy from before is of one that is no member any more. */
    memdisk_snapshot_free(h->disk_kept);
    memindex_snapshot_free(h->index_kept);
    h->disk_kept = NULL;
    h->index_kept = NULL;
    h->node_id = 0;
    h->wiped = true;
    sim_say(s, (int)host, "disk is empty");
}

void sim_disk_keep(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    if (!h->disk)
        return;
    memdisk_snapshot_free(h->disk_kept);
    memindex_snapshot_free(h->index_kept);
    h->disk_kept = memdisk_snapshot(h->disk);
    h->index_kept = memindex_snapshot(h->index);
    sim_say(s, (int)host, "disk is copied");
}

void sim_disk_put_back(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    gt_assert(!h->engine);
    if (!h->disk_kept)
        return;
    h->lost = h->put_back = true;
    memdisk_restore(h->disk, h->disk_kept);
    memindex_restore(h->index, h->index_kept);
    sim_say(s, (int)host, "an old copy of the disk is put back");
}

void sim_disk_slow(struct sim *s, uint32_t host, uint32_t sync_us)
{
    s->hosts[host].sync_us = sync_us ? sync_us : s->config.storage.sync_us;
}

/* The newest batch in the log that holds records. */
struct newest {
    struct disk *disk;
    char name[DISK_NAME_BYTES];
    uint64_t offset, lsn;
};

static int newest_find(void *arg, const char *file)
{
    struct newest *n = arg;
    char name[DISK_NAME_BYTES];
    size_t bytes;
    snprintf(name, sizeof(name), "wal/%.40s", file);
    const uint8_t *data = memdisk_bytes(n->disk, name, &bytes);
    for (uint64_t at = 0; data && at + WAL_BLOCK <= bytes; at += WAL_BLOCK) {
        if (memcmp(data + at, "GTB1", 4) != 0 || le32_get(data + at + 12) == 0 ||
            le64_get(data + at + 16) < n->lsn)
            continue;
        n->lsn = le64_get(data + at + 16);
        n->offset = at;
        memcpy(n->name, name, sizeof(name));
    }
    return 0;
}

bool sim_disk_log_end_bad(struct sim *s, uint32_t host)
{
    struct host *h = &s->hosts[host];
    struct newest n = {.disk = h->disk};
    gt_assert(!h->engine);
    if (!h->disk || h->disk->list(h->disk, "wal", newest_find, &n) != 0 || n.lsn == 0)
        return false;
    memdisk_flip(h->disk, n.name, n.offset + WAL_BATCH_HEADER, 1);
    h->rotten = true;
    sim_say(s, (int)host, "a bit of the end of its log flips");
    return true;
}

bool sim_disk_flip(struct sim *s, uint32_t host, uint64_t seed)
{
    struct host *h = &s->hosts[host];
    bool done = h->index && memindex_flip(h->index, seed).bytes > 0;
    h->record_rotten |= done;
    if (done)
        sim_say(s, (int)host, "a bit of a record flips");
    return done;
}

bool sim_disk_flip_key(struct sim *s, uint32_t host, uint32_t partition, struct slice key,
                       uint64_t seed)
{
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct host *h = &s->hosts[host];
    struct slice index_key = index_data_key(at, partition, hash_bytes(key), key);
    bool done = h->index && memindex_flip_key(h->index, index_key, seed);
    h->record_rotten |= done;
    if (done)
        sim_say(s, (int)host, "a bit of a record flips");
    return done;
}

bool sim_disk_lose_key(struct sim *s, uint32_t host, uint32_t partition, struct slice key)
{
    uint8_t at[INDEX_KEY_BYTES_MAX];
    struct host *h = &s->hosts[host];
    struct slice index_key = index_data_key(at, partition, hash_bytes(key), key);
    bool done = h->index && memindex_lose_key(h->index, index_key);
    h->record_rotten |= done;
    if (done)
        sim_say(s, (int)host, "a record is gone from its index");
    return done;
}

/* ---- calls and looks ------------------------------------------------------------------------- */

bool sim_call(struct sim *s, uint32_t client_host, uint64_t tag, const struct msg *request)
{
    struct host *h = &s->hosts[client_host];
    if (!h->up || !h->session)
        return false;
    /* A copy of what the request points to: the session keeps the blob. */
    struct msg copy = *request;
    struct slice *slices[3] = {0};
    if (copy.type == MSG_PUT) {
        slices[0] = &copy.put.key;
        slices[1] = &copy.put.value;
        slices[2] = &copy.put.context;
    } else if (copy.type == MSG_GET) {
        slices[0] = &copy.get.key;
        slices[1] = &copy.get.min_context;
    }
    size_t bytes = 0;
    for (int i = 0; i < 3; i++)
        bytes += slices[i] ? slices[i]->bytes : 0;
    struct blob *hold = blob_new(bytes);
    gt_assert(hold);
    uint8_t *at = hold->data;
    for (int i = 0; i < 3; i++) {
        if (!slices[i] || slices[i]->bytes == 0)
            continue;
        memcpy(at, slices[i]->data, slices[i]->bytes);
        slices[i]->data = at;
        at += slices[i]->bytes;
    }
    struct gt_event ev = {.kind = GT_CALL, .call = {.tag = tag, .request = &copy, .hold = hold}};
    host_feed(s, client_host, &ev);
    blob_unref(hold);
    return true;
}

/* On a link of its own, which ends at once. */
#define ADMIN_LINK (UINT64_MAX - 1)

static void admin_feed(struct sim *s, uint32_t host, const struct msg *request)
{
    struct msg m;
    struct blob *frame = msg_frame(request);
    struct blob *body =
        blob_copy(frame->data + FRAME_HEADER_BYTES, frame->bytes - FRAME_HEADER_BYTES);
    int error = msg_decode(s->decoder, slice_blob(body), &m);
    gt_assert(error == 0);
    struct gt_event ev = {
        .kind = GT_MESSAGE, .link = ADMIN_LINK, .message = {.msg = &m, .body = body}};
    host_feed(s, host, &ev);
    blob_unref(body);
    blob_unref(frame);
}

static void admin_ask(struct sim *s, uint32_t host, const struct msg *request)
{
    struct msg hello = {.type = MSG_HELLO, .id = 1};
    hello.hello.role = ROLE_CLIENT;
    hello.hello.protocol_min = MSG_PROTOCOL_MIN;
    hello.hello.protocol_max = MSG_PROTOCOL_MAX;
    struct host *h = &s->hosts[host];
    if (!h->up || h->paused_us > s->now_us)
        return;
    admin_feed(s, host, &hello);
    if (h->up)
        admin_feed(s, host, request);
    struct gt_event gone = {.kind = GT_LINK_DOWN, .link = ADMIN_LINK, .error = GT_ECLOSED};
    if (h->up)
        host_feed(s, host, &gone);
}

void sim_admin(struct sim *s, const struct msg *request)
{
    for (uint32_t host = 0; host < s->host_count; host++)
        if (s->hosts[host].role == SIM_MANAGER)
            admin_ask(s, host, request);
}

bool sim_verify(struct sim *s, uint32_t client_host, struct verifier *v, uint64_t until_us)
{
    sim_end(s, client_host, SIM_KILL);
    s->hosts[client_host].verifier = v;
    sim_start(s, client_host, 0);
    while (!v->done && !s->broken[0] && s->now_us < until_us)
        if (!sim_step(s))
            break;
    sim_end(s, client_host, SIM_KILL);
    s->hosts[client_host].verifier = NULL;
    return v->done;
}

int sim_peek(struct sim *s, uint32_t host, uint32_t partition, struct slice key,
             struct state *state, struct blob **record)
{
    struct view view;
    int error = view_read(s->hosts[host].engine, partition, hash_bytes(key), key, state, &view);
    *record = error ? NULL : view.record;
    return error ? error : view.record ? 0 : GT_ENOTFOUND;
}
