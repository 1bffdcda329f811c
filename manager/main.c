/* The program gtstore-manager: flags, folder, engine and loop around one manager machine. */
#include <argp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/stdio.h"
#include "engine/base/error.h"
#include "engine/base/prng.h"
#include "manager/manager.h"
#include "net/loop_uv.h"

#define EXIT_USAGE 2
#define EXIT_POISONED 74
#define SEGMENT_BYTES (1u << 20)
#define INDEX_MAP_BYTES (1ull << 30)

struct options {
    const char *data_dir;
    struct address listen, advertise;
    bool advertised;
    enum log_level log_level;
    struct settings settings;
    uint32_t given;
    uint64_t form_after_us, heartbeat_us;
};

struct program {
    struct options options;
    struct log log;
    struct disk *disk;
    struct index *index;
    struct engine *engine;
    struct manager *manager;
    struct loop *loop;
    struct address told; /* of the ready line */
    bool poisoned;
};

__attribute__((noreturn, format(printf, 2, 3))) static void die(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("gtstore-manager: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(status);
}

/* ---- flags ----------------------------------------------------------------------------------- */

enum {
    KEY_DATA_DIR = 256, KEY_LISTEN, KEY_ADVERTISE, KEY_LOG_LEVEL, KEY_REPLICAS, KEY_READ, KEY_WRITE,
    KEY_PARTITIONS, KEY_PROFILE, KEY_FORM_NODES, KEY_FORM_AFTER, KEY_HEARTBEAT, KEY_REPLACE,
    KEY_REBALANCE, KEY_VALUE_MAX
};

static const struct argp_option flags[] = {
    {"data-dir", KEY_DATA_DIR, "DIR", 0, "folder of the cluster map, made when absent (required)",
     0},
    {"listen", KEY_LISTEN, "HOST:PORT", 0, "address to listen on (127.0.0.1:5000); port 0 is any, "
     "afterwards the same one", 0},
    {"advertise", KEY_ADVERTISE, "HOST:PORT", 0, "address that others use; needed with a wildcard",
     0},
    {"replicas", KEY_REPLICAS, "N", 0, "copies of each key (3); alone it sets R and W to N/2+1", 0},
    {"read-quorum", KEY_READ, "R", 0, "owners that must answer a read", 0},
    {"write-quorum", KEY_WRITE, "W", 0, "owners that must have stored a write", 0},
    {"partitions", KEY_PARTITIONS, "Q", 0, "arcs of the ring (1024), fixed at creation", 0},
    {"profile", KEY_PROFILE, "NAME", 0, "default, or course (R = 1, W = N)", 0},
    {"value-max", KEY_VALUE_MAX, "SIZE", 0, "largest value (1MiB, at most 16MiB)", 0},
    {"form-nodes", KEY_FORM_NODES, "N", 0, "nodes that must be there to form the cluster (copies)",
     0},
    {"form-after", KEY_FORM_AFTER, "TIME", 0, "pause after the last node came, before the cluster "
     "forms (2s)", 0},
    {"heartbeat-ms", KEY_HEARTBEAT, "MS", 0, "interval of the nodes' heartbeats (500); three missed "
     "and a node is down", 0},
    {"replace-after", KEY_REPLACE, "TIME", 0, "0: a node that is down keeps its tokens (the only "
     "choice of this version)", 0},
    {"rebalance", KEY_REBALANCE, "HOW", 0, "manual (the only choice of this version)", 0},
    {"log-level", KEY_LOG_LEVEL, "LEVEL", 0, "error, warn, info (default) or debug", 0},
    {0},
};

static uint64_t number_flag(const char *flag, const char *text, uint64_t low, uint64_t high)
{
    uint64_t number;
    if (units_number(text, low, high, &number) != 0)
        die(EXIT_USAGE, "--%s %s: a whole number from %llu to %llu is needed", flag, text,
            (unsigned long long)low, (unsigned long long)high);
    return number;
}

static uint64_t duration_flag(const char *flag, const char *text)
{
    uint64_t us;
    if (units_duration(text, &us) != 0)
        die(EXIT_USAGE, "--%s %s: a time like 500ms, 2s or 10m is needed", flag, text);
    return us;
}

static void address_flag(const char *flag, const char *text, struct address *out)
{
    if (units_address(text, out) != 0)
        die(EXIT_USAGE, "--%s %s: HOST:PORT is needed", flag, text);
}

static void settings_flag(struct options *o, int key, const char *text)
{
    struct settings *s = &o->settings;
    switch (key) {
    case KEY_REPLICAS:
        s->replicas = (uint32_t)number_flag("replicas", text, 1, REPLICAS_MAX);
        o->given |= GIVEN_REPLICAS;
        return;
    case KEY_READ:
        s->read_quorum = (uint32_t)number_flag("read-quorum", text, 0, UINT32_MAX);
        o->given |= GIVEN_READ_QUORUM;
        return;
    case KEY_WRITE:
        s->write_quorum = (uint32_t)number_flag("write-quorum", text, 0, UINT32_MAX);
        o->given |= GIVEN_WRITE_QUORUM;
        return;
    case KEY_PARTITIONS:
        s->partitions = (uint32_t)number_flag("partitions", text, 1, PARTITIONS_MAX);
        o->given |= GIVEN_PARTITIONS;
        return;
    case KEY_FORM_NODES:
        s->form_nodes = (uint32_t)number_flag("form-nodes", text, 1, MEMBERS_MAX);
        o->given |= GIVEN_FORM_NODES;
        return;
    case KEY_PROFILE:
        if (strcmp(text, "default") != 0 && strcmp(text, "course") != 0)
            die(EXIT_USAGE, "--profile %s: default or course is needed", text);
        s->profile = strcmp(text, "course") == 0;
        o->given |= GIVEN_PROFILE;
        return;
    case KEY_VALUE_MAX:
        if (units_size(text, &s->value_bytes_max) != 0 || s->value_bytes_max < 1 ||
            s->value_bytes_max > VALUE_BYTES_LIMIT)
            die(EXIT_USAGE, "--value-max %s: a size from 1 to 16MiB is needed", text);
        o->given |= GIVEN_VALUE_MAX;
        return;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case KEY_DATA_DIR:
        o->data_dir = arg;
        return 0;
    case KEY_LISTEN:
        address_flag("listen", arg, &o->listen);
        return 0;
    case KEY_ADVERTISE:
        address_flag("advertise", arg, &o->advertise);
        o->advertised = true;
        return 0;
    case KEY_LOG_LEVEL:
        if (log_level_parse(arg, &o->log_level) != 0)
            die(EXIT_USAGE, "--log-level %s: error, warn, info or debug is needed", arg);
        return 0;
    case KEY_FORM_AFTER:
        o->form_after_us = duration_flag("form-after", arg);
        return 0;
    case KEY_HEARTBEAT:
        o->heartbeat_us = number_flag("heartbeat-ms", arg, 1, 3600000) * 1000;
        return 0;
    case KEY_REPLACE:
        if (duration_flag("replace-after", arg) != 0)
            die(EXIT_USAGE, "--replace-after %s: not supported in this version; 0 is", arg);
        return 0;
    case KEY_REBALANCE:
        if (strcmp(arg, "manual") != 0)
            die(EXIT_USAGE, "--rebalance %s: not supported in this version; manual is", arg);
        return 0;
    case ARGP_KEY_ARG:
        die(EXIT_USAGE, "unexpected argument %s; see: gtstore-manager --help", arg);
    case ARGP_KEY_INIT:
        state->err_stream = NULL; /* getopt's own line is enough */
        return 0;
    case ARGP_KEY_ARGS:
    case ARGP_KEY_NO_ARGS:
    case ARGP_KEY_FINI:
    case ARGP_KEY_END:
    case ARGP_KEY_SUCCESS:
    case ARGP_KEY_ERROR:
        return ARGP_ERR_UNKNOWN;
    default:
        if (key < KEY_DATA_DIR)
            return ARGP_ERR_UNKNOWN;
        settings_flag(o, key, arg);
        return 0;
    }
}

/* What was not named follows from what was. */
static void settings_complete(struct options *o)
{
    struct settings *s = &o->settings;
    uint32_t majority = s->replicas / 2 + 1;
    if (!(o->given & GIVEN_READ_QUORUM))
        s->read_quorum = s->profile == 1 ? 1 : majority;
    if (!(o->given & GIVEN_WRITE_QUORUM))
        s->write_quorum = s->profile == 1 ? s->replicas : majority;
    if (!(o->given & GIVEN_FORM_NODES))
        s->form_nodes = s->replicas;
}

static bool wildcard(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static bool loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

/* A folder that has no map yet takes the settings from the flags, so they are judged before
 * anything is made. An existing map judges them itself. */
static void settings_judge(const struct options *o)
{
    char path[4096], why[128];
    snprintf(path, sizeof(path), "%s/index/data.mdb", o->data_dir);
    bool fresh = access(path, F_OK) != 0;
    if ((fresh || (o->given & GIVEN_REPLICAS)) && settings_check(&o->settings, why) != 0)
        die(EXIT_USAGE, "%s", why);
}

static void options_read(struct options *o, int argc, char **argv)
{
    static const struct argp argp = {flags, parse, NULL,
                                     "The manager of a GTStore cluster: keeps the cluster map, "
                                     "registers nodes and hears their heartbeats.",
                                     NULL, NULL, NULL};
    *o = (struct options){.listen = {.host = "127.0.0.1", .port = 5000},
                          .log_level = LOG_INFO,
                          .settings = {.replicas = 3,
                                       .partitions = 1024,
                                       .value_bytes_max = VALUE_BYTES_DEFAULT},
                          .form_after_us = 2000000,
                          .heartbeat_us = 500000};
    argp_err_exit_status = EXIT_USAGE;
    argv[0] = (char[]){"gtstore-manager"};
    argp_program_version = "gtstore-manager " GT_VERSION;
    if (argp_parse(&argp, argc, argv, 0, NULL, o) != 0)
        exit(EXIT_USAGE); /* getopt has said why */
    settings_complete(o);
    if (!o->data_dir || !o->data_dir[0])
        die(EXIT_USAGE, "--data-dir DIR is missing; see: gtstore-manager --help");
    if (wildcard(o->listen.host) && !o->advertised)
        die(EXIT_USAGE, "--listen %s listens everywhere: --advertise HOST:PORT is needed too",
            o->listen.host);
    settings_judge(o);
    if (!loopback(o->listen.host))
        fprintf(stderr, "gtstore-manager: warning: listening on %s, and there is no "
                        "authentication: whoever reaches this port can use the cluster\n",
                o->listen.host);
}

/* ---- folder ---------------------------------------------------------------------------------- */

static void folder_open(struct program *p)
{
    char holder[DISK_HOLDER_BYTES];
    const char *folder = p->options.data_dir;
    int error = disk_posix_new(folder, "gtstore-manager manager", &p->log, &p->disk, holder);
    if (error == GT_ELOCKED)
        die(1, "data folder in use: %s is held by %s", folder, holder);
    if (error)
        die(error_exit_code(error), "data folder %s: %s", folder, holder);
    error = index_lmdb_new(folder, INDEX_MAP_BYTES, &p->log, &p->index);
    if (error)
        die(error_exit_code(error), "data folder %s: %s", folder, error_text(error));
}

static void engine_start(struct program *p)
{
    struct engine_report report;
    struct engine_config config = {.disk = p->disk,
                                   .index = p->index,
                                   .log = &p->log,
                                   .role = "manager",
                                   .seed = loop_seed(),
                                   .wall_us = loop_wall_us(),
                                   .segment_bytes = SEGMENT_BYTES};
    disk_posix_boot_id(config.boot_id);
    int error = engine_open(&config, &p->engine, &report);
    if (error)
        die(error_exit_code(error), "data folder %s: %s%s", p->options.data_dir, error_text(error),
            error == GT_EFORMAT ? " (a newer version's, or not a manager's)" : "");
}

/* A new cluster's id is durable before anyone is greeted with it. */
static void cluster_id_make(struct program *p)
{
    static const uint8_t none[CLUSTER_ID_BYTES];
    uint8_t id[CLUSTER_ID_BYTES];
    struct prng random;
    if (engine_meta(p->engine, "map") ||
        memcmp(engine_identity(p->engine)->cluster_id, none, sizeof(none)) != 0)
        return;
    prng_init(&random, loop_seed());
    prng_fill(&random, id, sizeof(id));
    int error = engine_set_cluster(p->engine, id);
    if (error)
        die(error_exit_code(error), "data folder %s: %s", p->options.data_dir, error_text(error));
}

static void manager_start(struct program *p)
{
    char why[MSG_TEXT_BYTES];
    const struct options *o = &p->options;
    cluster_id_make(p);
    struct manager_config config = {.log = &p->log,
                                    .seed = loop_seed(),
                                    .identity = *engine_identity(p->engine),
                                    .map = engine_meta(p->engine, "map"),
                                    .stamp_max = engine_stamp_max(p->engine),
                                    .settings = o->settings,
                                    .given = o->given,
                                    .form_after_us = o->form_after_us,
                                    .heartbeat_us = o->heartbeat_us};
    int error = manager_new(&config, &p->manager, why);
    if (error == GT_ESETTINGS || error == GT_EARG)
        die(EXIT_USAGE, "%s", why);
    if (error)
        die(error_exit_code(error), "data folder %s: %s", o->data_dir,
            why[0] ? why : error_text(error));
}

/* ---- running --------------------------------------------------------------------------------- */

static void on_effect(void *arg, struct loop *l, const struct gt_effect *e)
{
    struct program *p = arg;
    char text[UNITS_ADDRESS_BYTES];
    if (e->kind == GT_READY) {
        printf("ready manager %s\n", units_address_text(&p->told, text));
        fflush(stdout);
    } else if (e->kind == GT_FAIL) {
        fprintf(stderr, "gtstore-manager: %s\n", e->fail.text);
        loop_stop(l, e->fail.error);
    }
}

static void on_poisoned(void *arg, struct loop *l, int error)
{
    struct program *p = arg;
    p->poisoned = true;
    loop_stop(l, error);
}

/* The port of the first start is kept when any would do. */
static uint16_t port_remembered(struct program *p)
{
    const struct blob *stored = engine_meta(p->engine, "port");
    return stored && stored->bytes >= 2 ? le16_get(stored->data) : 0;
}

static void listen_start(struct program *p)
{
    char text[MSG_TEXT_BYTES];
    struct address wanted = p->options.listen, bound;
    bool any = wanted.port == 0;
    if (any)
        wanted.port = port_remembered(p);
    int error = loop_listen(p->loop, &wanted, &bound, text);
    if (error)
        die(error_exit_code(error), "%s", text);
    if (any && wanted.port == 0)
        manager_remember_port(p->manager, bound.port);
    p->told = p->options.advertised ? p->options.advertise : bound;
    if (p->told.port == 0)
        p->told.port = bound.port;
}

static int program_run(struct program *p)
{
    struct loop_config config = {.machine = manager_machine(p->manager),
                                 .engine = p->engine,
                                 .log = &p->log,
                                 .seed = loop_seed(),
                                 .handle_signals = true,
                                 .arg = p,
                                 .effect = on_effect,
                                 .poisoned = on_poisoned};
    int error = loop_new(&config, &p->loop);
    if (error)
        die(error_exit_code(error), "cannot start: %s", error_text(error));
    listen_start(p);
    error = loop_run(p->loop);
    loop_free(p->loop);
    manager_free(p->manager);
    engine_close(p->engine, !p->poisoned && engine_idle(p->engine));
    p->index->destroy(p->index);
    p->disk->destroy(p->disk);
    if (p->poisoned) {
        fprintf(stderr, "gtstore-manager: the log failed and takes no more writes; check the disk "
                        "of %s and start again\n",
                p->options.data_dir);
        return EXIT_POISONED;
    }
    return error_exit_code(error);
}

int main(int argc, char **argv)
{
    struct program *p = calloc(1, sizeof(*p));
    stdio_open();
    if (!p)
        die(1, "out of memory");
    options_read(&p->options, argc, argv);
    log_init(&p->log, p->options.log_level, log_sink_stderr, NULL);
    folder_open(p);
    engine_start(p);
    manager_start(p);
    int status = program_run(p);
    free(p);
    return status;
}
