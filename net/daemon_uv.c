#include "net/daemon_uv.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "engine/base/descriptors.h"
#include "engine/base/error.h"
#include "engine/values.h"

/* Standard streams, folder and lock, log and index, the loop's own, the listener, and what is open
 * for a moment. Measured: 20 of a node at rest. */
#define DESCRIPTORS_OWN 32
#define SOCKETS_MIN     8
#define SOCKETS_MAX     5120 /* links of the loop, and members */

/* What is left to do about a folder that cannot be read. Only a node has others to pull from. */
static void way_out(const struct daemon *d, char *text, size_t bytes)
{
    const char *folder = d->options.data_dir;
    if (strcmp(d->role, "node") == 0)
        snprintf(text, bytes,
                 "gtstore-check %s --salvage OUT saves what can be read; then move the folder away "
                 "and start with --replace %s",
                 folder, d->label ? d->label : "LABEL");
    else
        snprintf(text, bytes, "gtstore-check %s says what can be read", folder);
}

static char bus_text[1024]; /* written before a signal can come, and read by its handler */

static void bus_prepare(const struct daemon *d)
{
    char way[700];
    way_out(d, way, sizeof(way));
    snprintf(bus_text, sizeof(bus_text),
             "%s: reading the index failed (SIGBUS): the disk fails, or index/data.mdb was cut "
             "short; check the disk; %s\n",
             program_invocation_short_name, way);
}

/* A read of the index's map failed: the medium is gone or the file was cut. */
static void on_sigbus(int number)
{
    (void)number;
    if (write(STDERR_FILENO, bus_text, strlen(bus_text)) < 0)
        _exit(EXIT_DISK);
    _exit(EXIT_DISK);
}

/* ---- flags ----------------------------------------------------------------------------------- */

enum { KEY_DATA_DIR = 0x1000, KEY_LISTEN, KEY_ADVERTISE, KEY_LOG_LEVEL };

static const struct argp_option flag_table[] = {
    {"data-dir", KEY_DATA_DIR, "DIR", 0, "where everything is kept, made when absent (required)",
     0},
    {"listen", KEY_LISTEN, "HOST:PORT", 0,
     "address to serve on (127.0.0.1, port 5000 of a manager and any of a node); port 0: any at "
     "the "
     "first start, afterwards the same one",
     0},
    {"advertise", KEY_ADVERTISE, "HOST:PORT", 0,
     "address that others are told; required with a wildcard", 0},
    {"log-level", KEY_LOG_LEVEL, "LEVEL", 0, "error, warn, info (default) or debug", 0},
    {0}};

uint64_t daemon_number(const char *flag, const char *text, uint64_t low, uint64_t high)
{
    uint64_t number = 0;
    if (units_number(text, low, high, &number) != 0)
        program_usage("--%s %s: a whole number from %llu to %llu is needed", flag, text,
                      (unsigned long long)low, (unsigned long long)high);
    return number;
}

uint64_t daemon_duration_us(const char *flag, const char *text)
{
    uint64_t us = 0;
    if (units_duration(text, &us) != 0)
        program_usage("--%s %s: a time like 500ms, 2s or 10m is needed", flag, text);
    return us;
}

uint64_t daemon_size(const char *flag, const char *text, uint64_t low, uint64_t high)
{
    uint64_t bytes = 0;
    char from[32], to[32];
    if (units_size(text, &bytes) != 0 || bytes < low || bytes > high)
        program_usage("--%s %s: a size from %s to %s is needed", flag, text,
                      units_size_text(low, from), units_size_text(high, to));
    return bytes;
}

void daemon_address(const char *flag, const char *text, struct address *out)
{
    if (units_address(text, out) != 0)
        program_usage("--%s %s: HOST:PORT is needed", flag, text);
}

static error_t flag_take(int key, char *text, struct argp_state *state)
{
    struct daemon_options *o = &((struct daemon *)state->input)->options;
    switch (key) {
    case KEY_DATA_DIR:
        o->data_dir = text;
        return 0;
    case KEY_LISTEN:
        daemon_address("listen", text, &o->listen);
        return 0;
    case KEY_ADVERTISE:
        daemon_address("advertise", text, &o->advertise);
        o->advertised = true;
        return 0;
    case KEY_LOG_LEVEL:
        if (log_level_parse(text, &o->log_level) != 0)
            program_usage("--log-level %s: error, warn, info or debug is needed", text);
        return 0;
    case ARGP_KEY_ARG:
        program_usage("unexpected argument %s", text);
    case ARGP_KEY_INIT:
        state->err_stream = NULL; /* getopt's own line is enough */
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp daemon_flags = {.options = flag_table, .parser = flag_take};

void daemon_options_parse(const struct argp *table, int argc, char **argv, void *input)
{
    if (argp_parse(table, argc, argv, 0, NULL, input) != 0)
        exit(EXIT_USAGE); /* getopt has said why */
    program_parsed();
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

void daemon_options_check(const struct daemon *d)
{
    const struct daemon_options *o = &d->options;
    if (!o->data_dir || !o->data_dir[0])
        program_usage("--data-dir DIR is required");
    if (host_wildcard(o->listen.host) && !o->advertised)
        program_usage("--listen %s serves on every address: --advertise HOST:PORT is required too",
                      o->listen.host);
    if (o->advertised && host_wildcard(o->advertise.host))
        program_usage("--advertise %s: one address is needed", o->advertise.host);
    if (!host_loopback(o->listen.host))
        program_say("warning: %s is open to the network, and there is no authentication: whoever "
                    "reaches it can use the cluster",
                    o->listen.host);
}

void daemon_begin(struct daemon *d, const char *role, const char *listen, char **argv)
{
    struct sigaction bus = {.sa_handler = on_sigbus};
    program_begin(argv, strcmp(role, "node") == 0 ? "gtstore-node" : "gtstore-manager");
    sigaction(SIGBUS, &bus, NULL);
    *d = (struct daemon){.role = role, .options = {.log_level = LOG_INFO}};
    units_address(listen, &d->options.listen);
}

/* ---- failing --------------------------------------------------------------------------------- */

int daemon_fail(struct daemon *d, int error, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    program_say("%s", text);
    if (!d->error)
        d->error = error;
    if (d->loop)
        loop_stop(d->loop, error);
    return error;
}

int daemon_fail_storage(struct daemon *d, int error, const char *what)
{
    char way[700];
    way_out(d, way, sizeof(way));
    if (error == GT_ECORRUPT)
        return daemon_fail(d, error, "data folder %s: %s%s; %s", d->options.data_dir, what,
                           error_text(error), way);
    if (error == GT_EFORMAT)
        return daemon_fail(d, error,
                           "data folder %s: %s%s: a newer version than " GT_VERSION
                           " wrote it; start that one",
                           d->options.data_dir, what, error_text(error));
    if (error != GT_EIO && error != GT_EPOISONED)
        return daemon_fail(d, error, "data folder %s: %s%s", d->options.data_dir, what,
                           error_text(error));
    return daemon_fail(d, GT_EPOISONED, "data folder %s: %s%s; check the disk and start again",
                       d->options.data_dir, what, error_text(error));
}

static void on_poisoned(void *arg, struct loop *l, int error)
{
    struct daemon *d = arg;
    (void)l, (void)error;         /* the log has told which call failed */
    if (d->error != GT_EPOISONED) /* else it was said where it failed */
        daemon_fail_storage(d, GT_EPOISONED, "");
}

/* ---- folder ---------------------------------------------------------------------------------- */

/* Whose folder it is; empty when that cannot be told. */
static void folder_role(struct index *index, char role[ROLE_BYTES_MAX])
{
    struct slice name = slice_text("identity"), bytes;
    struct identity_value identity;
    struct blob *value = NULL;
    role[0] = 0;
    if (index->get(index, 0, INDEX_META, name, &value) != 0)
        return;
    if (meta_value_decode(name, slice_blob(value), &bytes) == 0 &&
        identity_decode(bytes, &identity) == 0)
        memcpy(role, identity.role, ROLE_BYTES_MAX);
    blob_unref(value);
}

/* The dot logs take a twentieth of the disk at most, and never more entries than the engine keeps
 * in memory anyway. */
static uint32_t log_entries_max(const char *folder)
{
    struct statvfs disk;
    if (statvfs(folder, &disk) != 0)
        return 0;
    uint64_t entries = (uint64_t)disk.f_blocks * disk.f_frsize / 20 / LOG_ENTRY_BYTES_MAX;
    return entries < LOG_ENTRIES_DEFAULT ? (uint32_t)entries + 1 : 0;
}

/* The folder says of what format it is, and who wrote it. */
static int fail_newer(struct daemon *d, const struct engine_report *report)
{
    return daemon_fail(
        d, GT_EFORMAT,
        "data folder %s is of format %u, written by version %s; this is version " GT_VERSION
        ", which knows formats up to %u: start the newer one",
        d->options.data_dir, report->folder_format, report->folder_version, FOLDER_FORMAT);
}

static int engine_start(struct daemon *d, uint64_t segment_bytes)
{
    struct engine_report report;
    struct engine_config config = {.disk = d->disk,
                                   .index = d->index,
                                   .log = &d->log,
                                   .events = &d->events,
                                   .role = d->role,
                                   .seed = loop_seed(),
                                   .wall_us = loop_wall_us(),
                                   .segment_bytes = segment_bytes,
                                   .log_entries_max = log_entries_max(d->options.data_dir),
                                   .born_filling = d->born_filling};
    disk_posix_boot_id(config.boot_id);
    int error = engine_open(&config, &d->engine, &report);
    if (error != GT_EFORMAT)
        return error ? daemon_fail_storage(d, error, error == GT_ECORRUPT ? report.where : "") : 0;
    if (report.folder_format > FOLDER_FORMAT)
        return fail_newer(d, &report);
    char role[ROLE_BYTES_MAX];
    folder_role(d->index, role);
    if (role[0] && strcmp(role, d->role) != 0)
        return daemon_fail(d, error, "data folder %s is a %s's folder, not a %s's",
                           d->options.data_dir, role, d->role);
    return daemon_fail_storage(d, error, "");
}

/* How many sockets there may be when the rest has what it needs. */
static int descriptors_take(struct daemon *d)
{
    descriptors_raise();
    unsigned own = DESCRIPTORS_OWN - (STDERR_FILENO + 1);
    unsigned found = descriptors_free(own + SOCKETS_MAX);
    if (found < own + SOCKETS_MIN)
        return daemon_fail(d, GT_EDESCRIPTORS,
                           "too many open files: the limit leaves %u, and at least %u are needed; "
                           "see: ulimit -n",
                           found, own + SOCKETS_MIN);
    d->sockets_max = found - own;
    return 0;
}

int daemon_folder_open(struct daemon *d, const char *label, uint64_t segment_bytes,
                       uint64_t map_bytes)
{
    const char *folder = d->options.data_dir;
    char holder[DISK_HOLDER_BYTES], who[UNITS_LABEL_BYTES + 24];
    log_init(&d->log, d->options.log_level, log_sink_stderr, NULL);
    events_init(&d->events, loop_wall_us());
    d->label = label;
    bus_prepare(d);
    int error = descriptors_take(d);
    if (error)
        return error;
    snprintf(who, sizeof(who), "gtstore-%s%s%s", d->role, label ? " " : "", label ? label : "");
    error = disk_posix_new(folder, who, &d->log, &d->disk, holder);
    if (error == GT_ELOCKED)
        return daemon_fail(d, error, "data folder %s is in use by %s", folder, holder);
    if (error)
        return daemon_fail(d, error, "data folder %s: %s%s", folder, holder,
                           error == GT_EPOISONED ? "; check the disk and start again" : "");
    if (d->disk->copied && (error = index_pages_check(folder, &d->log)) != 0)
        return daemon_fail_storage(d, error, "index, copied while a process worked in it: ");
    error = index_lmdb_new(folder, map_bytes, &d->log, &d->index);
    if (error)
        return daemon_fail_storage(d, error, "index: ");
    return engine_start(d, segment_bytes);
}

/* ---- loop ------------------------------------------------------------------------------------ */

static void on_effect(void *arg, struct loop *l, const struct gt_effect *e)
{
    struct daemon *d = arg;
    (void)l;
    if (e->kind == GT_FAIL)
        daemon_fail(d, e->fail.error, "%s", e->fail.text);
    else
        d->effect(d->arg, e);
}

int daemon_loop_open(struct daemon *d, struct gt_machine machine, void *arg,
                     void (*effect)(void *arg, const struct gt_effect *e))
{
    d->arg = arg;
    d->effect = effect;
    struct loop_config config = {.machine = machine,
                                 .engine = d->engine,
                                 .log = &d->log,
                                 .seed = loop_seed(),
                                 .sockets_max = d->sockets_max,
                                 .handle_signals = true,
                                 .arg = d,
                                 .effect = on_effect,
                                 .poisoned = on_poisoned};
    int error = loop_new(&config, &d->loop);
    return error ? daemon_fail(d, error, "no event loop: %s", error_text(error)) : 0;
}

int daemon_listen(struct daemon *d, uint16_t port_remembered)
{
    const struct daemon_options *o = &d->options;
    struct address wanted = o->listen;
    char text[MSG_TEXT_BYTES];
    if (wanted.port == 0)
        wanted.port = port_remembered;
    int error = loop_listen(d->loop, &wanted, &d->bound, text);
    if (error)
        return daemon_fail(d, error, "%s", text);
    d->told = o->advertised ? o->advertise : d->bound;
    if (d->told.port == 0)
        d->told.port = d->bound.port;
    return 0;
}

void daemon_ready(const struct daemon *d, const char *label)
{
    char address[UNITS_ADDRESS_BYTES];
    printf("ready %s %s\n", label, units_address_text(&d->told, address));
    fflush(stdout);
}

int daemon_run(struct daemon *d)
{
    int error = loop_run(d->loop);
    if (!d->error)
        d->error = error;
    return d->error;
}

int daemon_close(struct daemon *d)
{
    loop_free(d->loop);
    if (d->engine)
        engine_close(d->engine, engine_idle(d->engine) && !engine_poisoned(d->engine));
    if (d->index)
        d->index->destroy(d->index);
    if (d->disk)
        d->disk->destroy(d->disk);
    return d->error == GT_EPOISONED ? EXIT_DISK : error_exit_code(d->error);
}
