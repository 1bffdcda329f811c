/*
 * gtstore-node: opens the data folder, carries the node on a loop, says ready, and ends in order.
 */
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/stdio.h"
#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/units.h"
#include "net/loop_uv.h"
#include "node/node.h"

#define EXIT_USAGE        2
#define EXIT_POISONED     74
#define MAP_BYTES_DEFAULT (1ull << 40)
#define SEGMENT_BYTES_MAX (1ull << 30)
#define MAP_BYTES_MIN     (1ull << 20)

struct options {
    const char *data_dir, *label, *zone;
    struct address managers[NODE_MANAGERS_MAX], listen, advertise;
    uint32_t manager_count;
    bool advertised;
    double capacity;
    uint64_t join_timeout_us, segment_bytes, map_bytes;
    enum log_level log_level;
};

struct program {
    struct options options;
    struct log log;
    struct disk *disk;
    struct index *index;
    struct engine *engine;
    struct loop *loop;
    struct node *node;
    const struct ring *ring; /* whose value limit the engine has */
    struct member self;
    uint64_t started_us;
    int error; /* of the machine or the log; its line was printed */
};

/* ---- options --------------------------------------------------------------------------------- */

enum option_key {
    OPTION_DATA_DIR = 256,
    OPTION_MANAGER,
    OPTION_LISTEN,
    OPTION_ADVERTISE,
    OPTION_LABEL,
    OPTION_CAPACITY,
    OPTION_ZONE,
    OPTION_SYNC,
    OPTION_RESP,
    OPTION_JOIN_TIMEOUT,
    OPTION_WAL_SEGMENT,
    OPTION_MAP_SIZE,
    OPTION_LOG_LEVEL
};

static const struct argp_option option_table[] = {
    {"data-dir", OPTION_DATA_DIR, "DIR", 0, "where everything is kept (required)", 0},
    {"manager", OPTION_MANAGER, "HOST:PORT[,...]", 0, "the managers (required)", 0},
    {"listen", OPTION_LISTEN, "HOST:PORT", 0,
     "address to serve on; port 0: any, afterwards the same (127.0.0.1:0)", 0},
    {"advertise", OPTION_ADVERTISE, "HOST:PORT", 0,
     "address that others are told; required with a wildcard", 0},
    {"label", OPTION_LABEL, "NAME", 0, "unique name; the manager gives one otherwise", 0},
    {"capacity", OPTION_CAPACITY, "WEIGHT", 0, "share of tokens, compared with other nodes (1.0)",
     0},
    {"zone", OPTION_ZONE, "NAME", 0, "what fails together, for placing copies", 0},
    {"sync", OPTION_SYNC, "always", 0, "every acknowledged write is on disk", 0},
    {"resp", OPTION_RESP, "HOST:PORT", 0, "not supported by this version", 0},
    {"join-timeout", OPTION_JOIN_TIMEOUT, "TIME", 0,
     "give up when no manager answers and there is no map (30s)", 0},
    {"wal-segment", OPTION_WAL_SEGMENT, "SIZE", 0, "of a file of the log (64MiB)", 0},
    {"map-size", OPTION_MAP_SIZE, "SIZE", 0, "most that the index may grow to (1TiB)", 0},
    {"log-level", OPTION_LOG_LEVEL, "LEVEL", 0, "error, warn, info or debug (info)", 0},
    {0}};

static error_t option_take(int key, char *text, struct argp_state *state)
{
    struct options *o = state->input;
    int error = 0;
    switch (key) {
    case OPTION_DATA_DIR:
        o->data_dir = text;
        break;
    case OPTION_MANAGER:
        error = units_addresses(text, o->managers, NODE_MANAGERS_MAX);
        o->manager_count = error > 0 ? (uint32_t)error : 0;
        if (error <= 0)
            argp_error(state, "--manager %s: HOST:PORT[,HOST:PORT] with at most %d", text,
                       NODE_MANAGERS_MAX);
        error = 0;
        break;
    case OPTION_LISTEN:
        error = units_address(text, &o->listen);
        break;
    case OPTION_ADVERTISE:
        error = units_address(text, &o->advertise);
        o->advertised = true;
        break;
    case OPTION_LABEL:
        o->label = text;
        error = units_label_check(text);
        break;
    case OPTION_ZONE:
        o->zone = text;
        error = units_label_check(text);
        break;
    case OPTION_CAPACITY:
        error = units_real(text, 0.001, 1000.0, &o->capacity);
        break;
    case OPTION_SYNC:
        if (strcmp(text, "periodic") == 0)
            argp_error(state, "--sync periodic is not supported");
        error = strcmp(text, "always") == 0 ? 0 : GT_EARG;
        break;
    case OPTION_RESP:
        argp_error(state, "--resp is not supported");
        break;
    case OPTION_JOIN_TIMEOUT:
        error = units_duration(text, &o->join_timeout_us);
        break;
    case OPTION_WAL_SEGMENT:
        error = units_size(text, &o->segment_bytes);
        if (!error &&
            (o->segment_bytes < WAL_SEGMENT_BYTES_MIN || o->segment_bytes > SEGMENT_BYTES_MAX))
            error = GT_ELIMIT;
        break;
    case OPTION_MAP_SIZE:
        error = units_size(text, &o->map_bytes);
        if (!error && o->map_bytes < MAP_BYTES_MIN)
            error = GT_ELIMIT;
        break;
    case OPTION_LOG_LEVEL:
        error = log_level_parse(text, &o->log_level);
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument %s", text);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    if (error) {
        const char *name = "";
        for (const struct argp_option *row = option_table; row->name; row++)
            if (row->key == key)
                name = row->name;
        argp_error(state, "--%s %s: %s", name, text, error_text(error));
    }
    return 0;
}

static bool host_wildcard(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 || strcmp(host, "*") == 0;
}

static bool host_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

static int usage(const char *text)
{
    fprintf(stderr, "gtstore-node: %s\n", text);
    return EXIT_USAGE;
}

static int options_parse(int argc, char **argv, struct options *o)
{
    static const struct argp argp = {
        .options = option_table, .parser = option_take, .doc = "A storage node of GTStore."};
    *o = (struct options){.capacity = 1.0,
                          .join_timeout_us = 30000000,
                          .map_bytes = MAP_BYTES_DEFAULT,
                          .listen = {"127.0.0.1", 0},
                          .log_level = LOG_INFO};
    static char name[] = "gtstore-node";
    argv[0] = name; /* errors begin with the program's name, not with its path */
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, o);
    if (!o->data_dir)
        return usage("--data-dir is required");
    if (o->manager_count == 0)
        return usage("--manager is required");
    if (host_wildcard(o->listen.host) && !o->advertised)
        return usage("--advertise HOST:PORT is required with a wildcard --listen");
    if (o->advertised && host_wildcard(o->advertise.host))
        return usage("--advertise must name one address");
    if (!host_loopback(o->listen.host))
        fprintf(stderr,
                "gtstore-node: warning: %s is open to the network and there is no "
                "authentication\n",
                o->listen.host);
    return 0;
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

/* A stored text; empty when absent or too long. */
static void meta_text(const struct engine *e, const char *name, char *text, size_t bytes)
{
    const struct blob *b = engine_meta(e, name);
    text[0] = 0;
    if (!b || b->bytes >= bytes)
        return;
    memcpy(text, b->data, b->bytes);
    text[b->bytes] = 0;
}

static int folder_open(struct program *p)
{
    const struct options *o = &p->options;
    char holder[DISK_HOLDER_BYTES], who[UNITS_LABEL_BYTES + 16];
    snprintf(who, sizeof(who), "gtstore-node%s%s", o->label ? " " : "", o->label ? o->label : "");
    int error = disk_posix_new(o->data_dir, who, &p->log, &p->disk, holder);
    if (error == GT_ELOCKED)
        fprintf(stderr, "gtstore-node: data folder %s is in use by %s\n", o->data_dir, holder);
    else if (error)
        fprintf(stderr, "gtstore-node: %s\n", holder);
    if (error)
        return error;
    error = index_lmdb_new(o->data_dir, o->map_bytes, &p->log, &p->index);
    if (error) {
        fprintf(stderr, "gtstore-node: index of %s: %s\n", o->data_dir, error_text(error));
        return error;
    }
    struct engine_config config = {.disk = p->disk,
                                   .index = p->index,
                                   .log = &p->log,
                                   .role = "node",
                                   .seed = loop_seed(),
                                   .wall_us = loop_wall_us(),
                                   .segment_bytes = o->segment_bytes};
    disk_posix_boot_id(config.boot_id);
    struct engine_report report;
    error = engine_open(&config, &p->engine, &report);
    if (error)
        fprintf(stderr, "gtstore-node: data folder %s cannot be opened: %s\n", o->data_dir,
                error_text(error));
    return error;
}

/* ---- callbacks of loop and node -------------------------------------------------------------- */

static void report_fill(void *arg, struct node_report *out)
{
    struct program *p = arg;
    struct engine_totals totals;
    engine_totals(p->engine, &totals);
    out->keys = totals.live;
    out->records = totals.records;
    out->data_bytes = totals.index_file_bytes + totals.log_file_bytes;
    out->damage = *engine_damage(p->engine);
    out->uptime_s = (loop_now_us() - p->started_us) / 1000000;
    unsigned long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return;
    if (fscanf(f, "%lu %lu", &pages, &resident) == 2)
        out->rss_bytes = (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
    fclose(f);
}

static void identity_change(struct program *p, const struct gt_effect *e)
{
    static const uint8_t none[CLUSTER_ID_BYTES];
    int error = 0;
    if (memcmp(e->identity.cluster_id, none, CLUSTER_ID_BYTES) != 0)
        error = engine_set_cluster(p->engine, e->identity.cluster_id);
    if (!error && e->identity.above != 0)
        error = engine_renew_incarnation(p->engine, e->identity.above, loop_wall_us());
    if (error) {
        fprintf(stderr, "gtstore-node: identity not stored: %s\n", error_text(error));
        p->error = error;
        loop_stop(p->loop, error);
        return;
    }
    node_set_identity(p->node, engine_identity(p->engine));
}

static void on_effect(void *arg, struct loop *l, const struct gt_effect *e)
{
    struct program *p = arg;
    char address[UNITS_ADDRESS_BYTES];
    switch (e->kind) {
    case GT_READY:
        printf("ready %s %s\n", node_label(p->node), units_address_text(&p->self.address, address));
        fflush(stdout);
        break;
    case GT_IDENTITY:
        identity_change(p, e);
        break;
    case GT_FAIL:
        fprintf(stderr, "gtstore-node: %s\n", e->fail.text);
        p->error = e->fail.error;
        loop_stop(l, e->fail.error);
        break;
    default:
        gt_unreachable("effect %d is the loop's own", e->kind);
    }
}

static void on_poisoned(void *arg, struct loop *l, int error)
{
    struct program *p = arg;
    fprintf(stderr, "gtstore-node: the log failed and takes no more writes: %s\n",
            error_text(error));
    p->error = GT_EPOISONED;
    loop_stop(l, GT_EPOISONED);
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
        engine_set_value_bytes_max(p->engine, ring->settings.value_bytes_max);
}

static uint64_t program_deadline_us(const void *self)
{
    const struct program *p = self;
    return p->node ? node_deadline_us(p->node) : UINT64_MAX;
}

/* A read of the index's map failed: the medium is gone or the file was cut. */
static void on_sigbus(int number)
{
    (void)number;
    static const char line[] = "gtstore-node: reading the index failed (SIGBUS)\n";
    if (write(STDERR_FILENO, line, sizeof(line) - 1) < 0)
        _exit(EXIT_POISONED);
    _exit(EXIT_POISONED);
}

/* ---- the program ----------------------------------------------------------------------------- */

/* Binds; a port that was any at the first start is the same for ever after. */
static int listen_open(struct program *p, struct address *bound)
{
    struct address wanted = p->options.listen;
    char text[MSG_TEXT_BYTES], port[8];
    uint64_t number;
    meta_text(p->engine, "port", port, sizeof(port));
    bool remembered = wanted.port == 0 && units_number(port, 1, 65535, &number) == 0;
    if (remembered)
        wanted.port = (uint16_t)number;
    int error = loop_listen(p->loop, &wanted, bound, text);
    if (error) {
        fprintf(stderr, "gtstore-node: %s\n", text);
        return error;
    }
    if (p->options.listen.port != 0 || remembered)
        return 0;
    snprintf(port, sizeof(port), "%u", bound->port);
    error = meta_write(p->engine, "port", port);
    if (error)
        fprintf(stderr, "gtstore-node: port not stored: %s\n", error_text(error));
    return error;
}

static int node_open(struct program *p, const struct address *bound)
{
    const struct options *o = &p->options;
    char label[UNITS_LABEL_BYTES];
    meta_text(p->engine, "label", label, sizeof(label));
    if (o->label && label[0] && strcmp(o->label, label) != 0) {
        fprintf(stderr, "gtstore-node: data folder %s is of %s, not of %s\n", o->data_dir, label,
                o->label);
        return GT_ELABEL;
    }
    p->self.capacity = o->capacity;
    snprintf(p->self.label, sizeof(p->self.label), "%s",
             label[0]   ? label
             : o->label ? o->label
                        : "");
    snprintf(p->self.zone, sizeof(p->self.zone), "%s", o->zone ? o->zone : "");
    p->self.address = *bound;
    if (o->advertised) {
        p->self.address = o->advertise;
        if (p->self.address.port == 0)
            p->self.address.port = bound->port;
    }
    struct node_config config = {.log = &p->log,
                                 .seed = loop_seed(),
                                 .identity = *engine_identity(p->engine),
                                 .manager_count = o->manager_count,
                                 .self = p->self,
                                 .map = engine_meta(p->engine, "map"),
                                 .label_stored = label[0] != 0,
                                 .peers = engine_meta(p->engine, "peers"),
                                 .stamp_max = engine_stamp_max(p->engine),
                                 .join_timeout_us = o->join_timeout_us,
                                 .report = report_fill,
                                 .report_arg = p};
    memcpy(config.managers, o->managers, sizeof(config.managers));
    config.self.id = config.identity.node_id;
    config.self.incarnation = config.identity.incarnation;
    int error = node_new(&config, &p->node);
    if (error)
        fprintf(stderr, "gtstore-node: the map in %s cannot be read: %s\n", o->data_dir,
                error_text(error));
    return error;
}

static int program_run(struct program *p)
{
    int error = folder_open(p);
    if (error)
        return error;
    struct loop_config config = {.machine = {p, program_step, program_deadline_us},
                                 .engine = p->engine,
                                 .log = &p->log,
                                 .seed = loop_seed(),
                                 .handle_signals = true,
                                 .arg = p,
                                 .effect = on_effect,
                                 .poisoned = on_poisoned};
    error = loop_new(&config, &p->loop);
    if (error) {
        fprintf(stderr, "gtstore-node: no event loop: %s\n", error_text(error));
        return error;
    }
    struct address bound;
    error = listen_open(p, &bound);
    if (!error)
        error = node_open(p, &bound);
    if (error)
        return error;
    error = loop_run(p->loop);
    return p->error ? p->error : error;
}

static void program_close(struct program *p)
{
    if (p->loop)
        loop_free(p->loop);
    node_free(p->node);
    if (p->engine)
        engine_close(p->engine, engine_idle(p->engine) && !engine_poisoned(p->engine));
    if (p->index)
        p->index->destroy(p->index);
    if (p->disk)
        p->disk->destroy(p->disk);
}

int main(int argc, char **argv)
{
    static struct program p;
    stdio_open();
    argp_program_version = "gtstore-node " GT_VERSION;
    int refused = options_parse(argc, argv, &p.options);
    if (refused)
        return refused;
    struct sigaction bus = {.sa_handler = on_sigbus};
    sigaction(SIGBUS, &bus, NULL);
    log_init(&p.log, p.options.log_level, log_sink_stderr, NULL);
    p.started_us = loop_now_us();
    int error = program_run(&p);
    program_close(&p);
    return error == GT_EPOISONED ? EXIT_POISONED : error_exit_code(error);
}
