/*
 * gtstore-node: one storage node as a daemon.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "net/daemon_uv.h"
#include "node/node.h"
#include "node/quarantine_posix.h"

#define MAP_BYTES_DEFAULT (1ull << 40)
#define MAP_BYTES_MIN     (1ull << 20)
#define MAP_BYTES_MAX     (1ull << 46) /* of address space there is 128 TiB in all */
#define SEGMENT_BYTES_MAX (1ull << 30)

struct options {
    const char *label, *zone;
    struct address managers[NODE_MANAGERS_MAX];
    uint32_t manager_count;
    double capacity;
    bool replace; /* label is that of the member whose place is taken */
    uint64_t join_timeout_us, segment_bytes, map_bytes;
};

struct program {
    struct daemon daemon;
    struct options options;
    struct node *node;
    const struct ring *ring; /* whose value limit the engine has */
    uint64_t started_us;
};

/* ---- options --------------------------------------------------------------------------------- */

enum option_key {
    OPTION_MANAGER = 256,
    OPTION_LABEL,
    OPTION_REPLACE,
    OPTION_CAPACITY,
    OPTION_ZONE,
    OPTION_SYNC,
    OPTION_RESP,
    OPTION_JOIN_TIMEOUT,
    OPTION_WAL_SEGMENT,
    OPTION_MAP_SIZE
};

static const struct argp_option option_table[] = {
    {"manager", OPTION_MANAGER, "HOST:PORT[,...]", 0, "the managers (required)", 0},
    {"label", OPTION_LABEL, "NAME", 0, "unique name; the manager gives one otherwise", 0},
    {"replace", OPTION_REPLACE, "LABEL", 0,
     "in an empty folder, or one that was never registered: take the place of a member that is "
     "down and does not come back",
     0},
    {"capacity", OPTION_CAPACITY, "WEIGHT", 0, "share of tokens, compared with other nodes (1.0)",
     0},
    {"zone", OPTION_ZONE, "NAME", 0, "what fails together, for placing copies", 0},
    {"sync", OPTION_SYNC, "always", 0, "every acknowledged write is on disk", 0},
    {"resp", OPTION_RESP, "HOST:PORT", 0, "not supported by this version", 0},
    {"join-timeout", OPTION_JOIN_TIMEOUT, "TIME", 0,
     "give up when no manager answers and there is no map (30s)", 0},
    {"wal-segment", OPTION_WAL_SEGMENT, "SIZE", 0, "of a file of the log (64MiB)", 0},
    {"map-size", OPTION_MAP_SIZE, "SIZE", 0, "most that the index may grow to (1TiB)", 0},
    {0}};

static const char *label_take(const char *flag, const char *text)
{
    if (units_label_check(text) != 0)
        program_usage("--%s %s: 1 to %d letters, digits, '.', '_' or '-' are needed, a letter or "
                      "digit first",
                      flag, text, UNITS_LABEL_BYTES - 1);
    return text;
}

static void managers_take(struct options *o, const char *text)
{
    int count = units_addresses(text, o->managers, NODE_MANAGERS_MAX);
    if (count < 1)
        program_usage("--manager %s: HOST:PORT[,HOST:PORT] is needed, at most %d of them", text,
                      NODE_MANAGERS_MAX);
    o->manager_count = (uint32_t)count;
}

static error_t option_take(int key, char *text, struct argp_state *state)
{
    struct program *p = state->input;
    struct options *o = &p->options;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &p->daemon;
        return 0;
    case OPTION_MANAGER:
        managers_take(o, text);
        return 0;
    case OPTION_LABEL:
    case OPTION_REPLACE:
        if (o->label && (o->replace || key == OPTION_REPLACE) && strcmp(o->label, text) != 0)
            program_usage("--replace LABEL says the label: %s and %s are two", o->label, text);
        o->replace = o->replace || key == OPTION_REPLACE;
        o->label = label_take(key == OPTION_REPLACE ? "replace" : "label", text);
        if (strcmp(text, MANAGER_LABEL) == 0)
            program_usage("--%s %s: that is what the manager is called",
                          o->replace ? "replace" : "label", text);
        return 0;
    case OPTION_ZONE:
        o->zone = label_take("zone", text);
        return 0;
    case OPTION_CAPACITY:
        if (units_real(text, MEMBER_WEIGHT_MIN, MEMBER_WEIGHT_MAX, &o->capacity) != 0)
            program_usage("--capacity %s: a number from 0.001 to 1000 is needed", text);
        return 0;
    case OPTION_SYNC:
        if (strcmp(text, "periodic") == 0)
            program_usage("--sync periodic is not supported in this version; always is");
        if (strcmp(text, "always") != 0)
            program_usage("--sync %s: always is needed", text);
        return 0;
    case OPTION_RESP:
        program_usage("--resp is not supported in this version");
    case OPTION_JOIN_TIMEOUT:
        o->join_timeout_us = daemon_duration_us("join-timeout", text);
        return 0;
    case OPTION_WAL_SEGMENT:
        o->segment_bytes =
            daemon_size("wal-segment", text, WAL_SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        return 0;
    case OPTION_MAP_SIZE:
        o->map_bytes = daemon_size("map-size", text, MAP_BYTES_MIN, MAP_BYTES_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void options_parse(struct program *p, int argc, char **argv)
{
    static const struct argp_child children[] = {{.argp = &daemon_flags}, {0}};
    static const struct argp argp = {.options = option_table,
                                     .parser = option_take,
                                     .doc = "A storage node of GTStore.",
                                     .children = children};
    p->options = (struct options){
        .capacity = 1.0, .join_timeout_us = 30000000, .map_bytes = MAP_BYTES_DEFAULT};
    daemon_options_parse(&argp, argc, argv, p);
    if (p->options.manager_count == 0)
        program_usage("--manager HOST:PORT is required");
    daemon_options_check(&p->daemon);
}

/* ---- the engine, before the loop has it ------------------------------------------------------ */

/* Stores a small value durably; blocks. */
static int meta_write(struct engine *e, const char *name, const char *value)
{
    size_t name_bytes = strlen(name), value_bytes = strlen(value);
    struct blob *hold = blob_new(name_bytes + value_bytes);
    if (!hold)
        return GT_ENOMEM;
    memcpy(hold->data, name, name_bytes);
    memcpy(hold->data + name_bytes, value, value_bytes);
    struct store_request r = {.kind = STORE_META,
                              .tag = 1,
                              .hold = hold,
                              .key = slice_of(hold->data, name_bytes),
                              .value = slice_of(hold->data + name_bytes, value_bytes)};
    struct store_result result;
    engine_submit(e, &r, 0);
    bool any = true;
    while (any) {
        if (engine_result(e, &result)) {
            store_result_release(&result);
            return result.result;
        }
        any = false;
        for (int lane = 0; lane < ENGINE_LANES; lane++) {
            struct engine_job *job = engine_job(e, (enum engine_lane)lane);
            if (!job)
                continue;
            engine_job_run(job);
            engine_job_done(e, job);
            any = true;
        }
    }
    return GT_EIO;
}

/* ---- callbacks of loop and node -------------------------------------------------------------- */

/* What the dot logs hold for owners who are away. What those lack who are here is their lag. */
static uint64_t hints_count(const struct program *p)
{
    const struct ring *ring = node_ring(p->node);
    uint64_t count = 0;
    for (uint32_t i = 0; ring && ring->formed && i < ring->settings.partitions; i++) {
        struct engine_partition part;
        if (!node_owner_away(p->node, i))
            continue;
        engine_partition(p->daemon.engine, i, &part);
        count += part.log_entries;
    }
    return count;
}

static void kept_fill(const struct program *p, struct node_report *out)
{
    struct engine_kept kept[PARCEL_TARGETS_TOLD];
    uint64_t now_s = loop_wall_us() / 1000000;
    out->parcels_count = engine_kept(p->daemon.engine, kept, PARCEL_TARGETS_TOLD);
    for (uint32_t i = 0; i < out->parcels_count; i++)
        out->parcels[i] =
            (struct parcels_kept){kept[i].target, kept[i].parcels, kept[i].bytes,
                                  now_s > kept[i].made_s ? now_s - kept[i].made_s : 0};
}

static void report_fill(void *arg, struct node_report *out)
{
    struct program *p = arg;
    struct engine_totals totals;
    engine_totals(p->daemon.engine, &totals);
    out->keys = totals.live;
    out->records = totals.records;
    out->stored_bytes = totals.bytes;
    out->data_bytes = totals.index_file_bytes + totals.log_file_bytes;
    out->hints = hints_count(p) + totals.parcels;
    out->tombstones = totals.tombstones;
    out->reaped = engine_metrics(p->daemon.engine)->reaped_count;
    kept_fill(p, out);
    out->damage = *engine_damage(p->daemon.engine);
    out->disk_error = engine_disk_error(p->daemon.engine);
    const struct engine_metrics *metrics = engine_metrics(p->daemon.engine);
    out->operations = metrics->operations_count;
    out->operations_bytes = metrics->operations_bytes;
    out->operations_s = metrics->operations_s;
    out->uptime_s = (loop_now_us() - p->started_us) / 1000000;
    unsigned long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return;
    if (fscanf(f, "%lu %lu", &pages, &resident) == 2)
        out->rss_bytes = (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
    fclose(f);
}

static bool filling_ask(void *arg, uint32_t partition, struct slice *sources)
{
    const struct program *p = arg;
    *sources = engine_fill_sources(p->daemon.engine, partition);
    return engine_filling(p->daemon.engine, partition);
}

static struct slice cursor_ask(void *arg, uint32_t partition)
{
    const struct program *p = arg;
    return engine_cursor(p->daemon.engine, partition);
}

static bool holds_ask(void *arg, uint32_t partition)
{
    const struct program *p = arg;
    return engine_holds(p->daemon.engine, partition);
}

/* Before what is here fills, which may drop it. */
static int quarantine(struct program *p)
{
    char path[QUARANTINE_PATH_BYTES];
    uint64_t count;
    int error = quarantine_write(p->daemon.engine, p->daemon.options.data_dir, path, &count);
    if (!error && count > 0) {
        log_warn(&p->daemon.log, "what others have not confirmed was written to=%s siblings=%llu",
                 path, (unsigned long long)count);
        events_add(&p->daemon.events, EVENT_QUARANTINED, "%llu siblings in %.100s",
                   (unsigned long long)count, path);
    }
    return error;
}

static void identity_change(struct program *p, const struct gt_effect *e)
{
    static const uint8_t none[CLUSTER_ID_BYTES];
    struct engine *engine = p->daemon.engine;
    int error = 0;
    if (memcmp(e->identity.cluster_id, none, CLUSTER_ID_BYTES) != 0)
        error = engine_set_cluster(engine, e->identity.cluster_id);
    if (!error && e->identity.above != 0)
        error = quarantine(p);
    if (!error && e->identity.above != 0)
        error = engine_renew_incarnation(engine, e->identity.above, loop_wall_us());
    if (!error && e->identity.whole)
        error = engine_whole(engine);
    if (error)
        daemon_fail_storage(&p->daemon, error, "identity not stored: ");
    else
        node_set_identity(p->node, engine_identity(engine));
}

static void on_effect(void *arg, const struct gt_effect *e)
{
    struct program *p = arg;
    switch (e->kind) {
    case GT_READY:
        daemon_ready(&p->daemon, node_label(p->node));
        break;
    case GT_IDENTITY:
        identity_change(p, e);
        break;
    default:
        gt_unreachable("effect %d is the loop's own", e->kind);
    }
}

/* The node, and the value limit of its map carried to the engine. */
static void program_step(void *self, const struct gt_event *ev, struct gt_effects *out)
{
    struct program *p = self;
    node_step(p->node, ev, out);
    const struct ring *ring = node_ring(p->node);
    if (ring == p->ring)
        return;
    p->ring = ring;
    if (ring && ring->settings.value_bytes_max > 0)
        engine_set_value_bytes_max(p->daemon.engine, ring->settings.value_bytes_max);
}

static uint64_t program_deadline_us(const void *self)
{
    return node_deadline_us(((const struct program *)self)->node);
}

/* ---- the program ----------------------------------------------------------------------------- */

/* A port that was any at the first start is the same for ever after. */
static int listen_open(struct program *p)
{
    struct daemon *d = &p->daemon;
    char port[8];
    uint64_t remembered = 0;
    engine_meta_text(d->engine, "port", port, sizeof(port));
    if (units_number(port, 1, 65535, &remembered) != 0)
        remembered = 0;
    int error = daemon_listen(d, (uint16_t)remembered);
    if (error || d->options.listen.port != 0 || remembered != 0)
        return error;
    snprintf(port, sizeof(port), "%u", d->bound.port);
    error = meta_write(d->engine, "port", port);
    return error ? daemon_fail_storage(d, error, "port not stored: ") : 0;
}

static int node_open(struct program *p)
{
    const struct options *o = &p->options;
    struct daemon *d = &p->daemon;
    char label[UNITS_LABEL_BYTES];
    engine_meta_text(d->engine, "label", label, sizeof(label));
    if (o->label && label[0] && strcmp(o->label, label) != 0)
        return daemon_fail(d, GT_ELABEL, "data folder %s is of %s, not of %s", d->options.data_dir,
                           label, o->label);
    if (o->replace && !label[0] && engine_identity(d->engine)->fill_generation == 0)
        return daemon_fail(d, GT_EARG,
                           "data folder %s is in use already: --replace begins in an empty one",
                           d->options.data_dir);
    struct node_config config = {.log = &d->log,
                                 .events = &d->events,
                                 .seed = loop_seed(),
                                 .identity = *engine_identity(d->engine),
                                 .manager_count = o->manager_count,
                                 .self = {.capacity = o->capacity, .address = d->told},
                                 .map = engine_meta(d->engine, "map"),
                                 .ballot = engine_meta(d->engine, "ballot"),
                                 .label_stored = label[0] != 0,
                                 .replaces = o->replace,
                                 .peers = engine_meta(d->engine, "peers"),
                                 .stamp_max = engine_stamp_max(d->engine),
                                 .join_timeout_us = o->join_timeout_us,
                                 .report = report_fill,
                                 .report_arg = p,
                                 .filling = filling_ask,
                                 .cursor = cursor_ask,
                                 .holds = holds_ask,
                                 .filling_arg = p};
    struct member *self = &config.self;
    memcpy(config.managers, o->managers, sizeof(config.managers));
    self->id = config.identity.node_id;
    self->incarnation = config.identity.incarnation;
    if (label[0] || o->label)
        snprintf(self->label, sizeof(self->label), "%s", label[0] ? label : o->label);
    snprintf(self->zone, sizeof(self->zone), "%s", o->zone ? o->zone : "");
    int error = node_new(&config, &p->node);
    return error ? daemon_fail(d, error, "the map in %s cannot be read: %s", d->options.data_dir,
                               error_text(error))
                 : 0;
}

static int program_run(struct program *p)
{
    const struct options *o = &p->options;
    struct gt_machine machine = {p, program_step, program_deadline_us};
    p->daemon.born_filling = o->replace;
    int error = daemon_folder_open(&p->daemon, o->label, o->segment_bytes, o->map_bytes);
    if (!error)
        error = daemon_loop_open(&p->daemon, machine, p, on_effect);
    if (!error)
        error = listen_open(p);
    if (!error)
        error = node_open(p);
    return error ? error : daemon_run(&p->daemon);
}

int main(int argc, char **argv)
{
    static struct program p;
    daemon_begin(&p.daemon, "node", "127.0.0.1:0", argv);
    options_parse(&p, argc, argv);
    p.started_us = loop_now_us();
    program_run(&p);
    int status = daemon_close(&p.daemon);
    node_free(p.node);
    return status;
}
