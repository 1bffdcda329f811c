/* gtstore-manager: the manager machine as a daemon. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/base/prng.h"
#include "manager/manager.h"
#include "net/daemon_uv.h"

#define SEGMENT_BYTES   (1u << 20)
#define INDEX_MAP_BYTES (1ull << 30)
#define REAP_WAIT_US    (7ull * 24 * 3600 * 1000000)
#define FORM_FIRST_US   3000000 /* nodes that run try their manager again within 2 s */
#define REPLACE_US      (600ull * 1000000)

struct options {
    struct settings settings;
    uint32_t given;
    uint64_t form_after_us, form_first_us, heartbeat_us, reap_wait_us, replace_after_us;
    bool replace_given, rebalance_auto;
};

struct program {
    struct daemon daemon;
    struct options options;
    struct manager *manager;
};

/* ---- flags ----------------------------------------------------------------------------------- */

enum {
    KEY_REPLICAS = 256,
    KEY_READ,
    KEY_WRITE,
    KEY_PARTITIONS,
    KEY_PROFILE,
    KEY_FORM_NODES,
    KEY_FORM_AFTER,
    KEY_HEARTBEAT,
    KEY_REPLACE,
    KEY_REAP_WAIT,
    KEY_REBALANCE,
    KEY_VALUE_MAX
};

static const struct argp_option flags[] = {
    {"replicas", KEY_REPLICAS, "N", 0, "copies of each key (3); alone it sets R and W to N/2+1", 0},
    {"read-quorum", KEY_READ, "R", 0, "owners that must answer a read", 0},
    {"write-quorum", KEY_WRITE, "W", 0, "owners that must have stored a write", 0},
    {"partitions", KEY_PARTITIONS, "Q", 0, "arcs of the ring (1024), fixed at creation", 0},
    {"profile", KEY_PROFILE, "NAME", 0, "default, or course (R = 1, W = N)", 0},
    {"value-max", KEY_VALUE_MAX, "SIZE", 0, "largest value (1MiB, at most 16MiB)", 0},
    {"form-nodes", KEY_FORM_NODES, "N", 0, "nodes that must be there to form the cluster (copies)",
     0},
    {"form-after", KEY_FORM_AFTER, "TIME", 0,
     "pause after the last node came, before the cluster "
     "forms (2s, and none in the first 3s of a manager; shorter is for clusters that are new for "
     "certain: see ARCHITECTURE)",
     0},
    {"heartbeat-ms", KEY_HEARTBEAT, "MS", 0,
     "interval of the nodes' heartbeats (500); three missed "
     "and a node is down",
     0},
    {"replace-after", KEY_REPLACE, "TIME", 0,
     "how long a node may be down before its tokens go to others, if enough are left (10m; in "
     "profile course 3s); 0: it keeps them",
     0},
    {"reap-wait", KEY_REAP_WAIT, "TIME", 0,
     "how long a node that is away is waited for before deletes are reaped and ended lives are "
     "closed without it (7d); it fills anew when it comes back; 0: without end",
     0},
    {"rebalance", KEY_REBALANCE, "HOW", 0,
     "auto (default): after nodes have come, or weights have changed, tokens are moved by "
     "themselves; manual: when gtstore-admin says so",
     0},
    {0},
};

static void settings_flag(struct options *o, int key, const char *text)
{
    struct settings *s = &o->settings;
    switch (key) {
    case KEY_REPLICAS:
        s->replicas = (uint32_t)daemon_number("replicas", text, 1, REPLICAS_MAX);
        o->given |= GIVEN_REPLICAS;
        return;
    case KEY_READ:
        s->read_quorum = (uint32_t)daemon_number("read-quorum", text, 0, UINT32_MAX);
        o->given |= GIVEN_READ_QUORUM;
        return;
    case KEY_WRITE:
        s->write_quorum = (uint32_t)daemon_number("write-quorum", text, 0, UINT32_MAX);
        o->given |= GIVEN_WRITE_QUORUM;
        return;
    case KEY_PARTITIONS:
        s->partitions = (uint32_t)daemon_number("partitions", text, 1, PARTITIONS_MAX);
        o->given |= GIVEN_PARTITIONS;
        return;
    case KEY_FORM_NODES:
        s->form_nodes = (uint32_t)daemon_number("form-nodes", text, 1, MEMBERS_MAX);
        o->given |= GIVEN_FORM_NODES;
        return;
    case KEY_PROFILE:
        if (strcmp(text, "default") != 0 && strcmp(text, "course") != 0)
            program_usage("--profile %s: default or course is needed", text);
        s->profile = strcmp(text, "course") == 0;
        o->given |= GIVEN_PROFILE;
        return;
    case KEY_VALUE_MAX:
        s->value_bytes_max = daemon_size("value-max", text, 1, VALUE_BYTES_LIMIT);
        o->given |= GIVEN_VALUE_MAX;
        return;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct program *p = state->input;
    struct options *o = &p->options;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &p->daemon;
        return 0;
    case KEY_FORM_AFTER:
        o->form_after_us = daemon_duration_us("form-after", arg);
        o->form_first_us = 0; /* whoever says so knows how long is long enough */
        return 0;
    case KEY_HEARTBEAT:
        o->heartbeat_us = daemon_number("heartbeat-ms", arg, 1, 3600000) * 1000;
        return 0;
    case KEY_REPLACE:
        o->replace_after_us = daemon_duration_us("replace-after", arg);
        o->replace_given = true;
        return 0;
    case KEY_REAP_WAIT:
        o->reap_wait_us = daemon_duration_us("reap-wait", arg);
        return 0;
    case KEY_REBALANCE:
        if (strcmp(arg, "manual") != 0 && strcmp(arg, "auto") != 0)
            program_usage("--rebalance %s: auto or manual is needed", arg);
        o->rebalance_auto = strcmp(arg, "auto") == 0;
        return 0;
    case KEY_REPLICAS:
    case KEY_READ:
    case KEY_WRITE:
    case KEY_PARTITIONS:
    case KEY_PROFILE:
    case KEY_FORM_NODES:
    case KEY_VALUE_MAX:
        settings_flag(o, key, arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
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

/* A folder that has no map yet takes the settings from the flags, so they are judged before
 * anything is made. An existing map judges them itself. */
static void settings_judge(const struct program *p)
{
    char path[4096], why[128];
    snprintf(path, sizeof(path), "%s/index/data.mdb", p->daemon.options.data_dir);
    bool fresh = access(path, F_OK) != 0;
    const struct options *o = &p->options;
    if ((fresh || (o->given & GIVEN_REPLICAS)) && settings_check(&o->settings, why) != 0)
        program_usage("%s", why);
}

static void options_parse(struct program *p, int argc, char **argv)
{
    static const struct argp_child children[] = {{.argp = &daemon_flags}, {0}};
    static const struct argp argp = {.options = flags,
                                     .parser = parse,
                                     .doc = "The manager of a GTStore cluster: keeps the cluster "
                                            "map, registers nodes and hears their heartbeats.",
                                     .children = children};
    p->options = (struct options){
        .settings = {.replicas = 3, .partitions = 1024, .value_bytes_max = VALUE_BYTES_DEFAULT},
        .form_after_us = 2000000,
        .form_first_us = FORM_FIRST_US,
        .heartbeat_us = 500000,
        .reap_wait_us = REAP_WAIT_US,
        .replace_after_us = REPLACE_US,
        .rebalance_auto = true};
    daemon_options_parse(&argp, argc, argv, p);
    settings_complete(&p->options);
    daemon_options_check(&p->daemon);
    settings_judge(p);
}

/* ---- the program ----------------------------------------------------------------------------- */

/* A new cluster's id is durable before anyone is greeted with it. */
static int cluster_id_make(struct daemon *d)
{
    uint8_t id[CLUSTER_ID_BYTES];
    struct prng random;
    if (engine_meta(d->engine, "map") || !cluster_none(engine_identity(d->engine)->cluster_id))
        return 0;
    prng_init(&random, loop_seed());
    prng_fill(&random, id, sizeof(id));
    int error = engine_set_cluster(d->engine, id);
    return error ? daemon_fail_storage(d, error, "cluster id not stored: ") : 0;
}

static int manager_open(struct program *p)
{
    char why[MSG_TEXT_BYTES] = "";
    const struct options *o = &p->options;
    struct daemon *d = &p->daemon;
    int error = cluster_id_make(d);
    if (error)
        return error;
    struct manager_config config = {.log = &d->log,
                                    .events = &d->events,
                                    .seed = loop_seed(),
                                    .identity = *engine_identity(d->engine),
                                    .map = engine_meta(d->engine, "map"),
                                    .stamp_max = engine_stamp_max(d->engine),
                                    .settings = o->settings,
                                    .given = o->given,
                                    .form_after_us = o->form_after_us,
                                    .form_first_us = o->form_first_us,
                                    .heartbeat_us = o->heartbeat_us,
                                    .reap_wait_us = o->reap_wait_us,
                                    .rebalance_auto = o->rebalance_auto,
                                    .replace_after_us = o->replace_after_us,
                                    .replace_by_profile = !o->replace_given};
    error = manager_new(&config, &p->manager, why);
    if (error == GT_ESETTINGS) /* a flag says other than the map: usage */
        return daemon_fail(d, GT_EARG, "%s", why);
    if (error)
        return daemon_fail(d, error, "%s", why[0] ? why : error_text(error));
    return 0;
}

static void on_effect(void *arg, const struct gt_effect *e)
{
    struct program *p = arg;
    if (e->kind == GT_READY)
        daemon_ready(&p->daemon, MANAGER_LABEL);
}

/* The port of the first start is kept when any would do. */
static int listen_open(struct program *p)
{
    struct daemon *d = &p->daemon;
    const struct blob *stored = engine_meta(d->engine, "port");
    uint16_t remembered = stored && stored->bytes >= 2 ? le16_get(stored->data) : 0;
    int error = daemon_listen(d, remembered);
    if (!error && d->options.listen.port == 0 && remembered == 0)
        manager_remember_port(p->manager, d->bound.port);
    return error;
}

static int program_run(struct program *p)
{
    struct daemon *d = &p->daemon;
    int error = daemon_folder_open(d, MANAGER_LABEL, SEGMENT_BYTES, INDEX_MAP_BYTES);
    if (!error)
        error = manager_open(p);
    if (!error)
        error = daemon_loop_open(d, manager_machine(p->manager), p, on_effect);
    if (!error)
        error = listen_open(p);
    return error ? error : daemon_run(d);
}

int main(int argc, char **argv)
{
    static struct program p;
    daemon_begin(&p.daemon, "manager", "127.0.0.1:5000", argv);
    options_parse(&p, argc, argv);
    program_run(&p);
    int status = daemon_close(&p.daemon);
    manager_free(p.manager);
    return status;
}
