/* gtstore: put, get, delete, import, export and ping from the shell. */
#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/base64.h"
#include "client/json_lines.h"
#include "client/library.h"
#include "client/tool.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/program.h"
#include "engine/base/units.h"
#include "engine/record.h"
#include "net/loop_uv.h"

#define IMPORT_WINDOW    256
#define SCAN_CHUNK_BYTES (1u << 20)
#define PROGRESS_US      200000
#define OP_TEXT_BYTES    300

enum output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_RAW };

enum option_key {
    OPTION_TIMEOUT = 256,
    OPTION_CONTEXT,
    OPTION_SHOW_CONTEXT,
    OPTION_SLOPPY,
    OPTION_ALL,
    OPTION_STRICT_ONE,
    OPTION_AVAILABLE,
    OPTION_BLOCKING,
    OPTION_MIN_CONTEXT
};

struct options {
    gtstore_env *env;
    const char *managers;
    enum output output;
    bool verbose;
    uint32_t timeout_ms;
    uint64_t begun_us; /* before anybody was connected */
    struct buf context, min_context;
    bool context_given, show_context, sloppy, all, strict_one, available, blocking;
    unsigned quorum;
    const char *args[TOOL_ARGUMENTS_MAX];
};

static int fail(int error, const char *text)
{
    program_say("%s", text && text[0] ? text : error_text(error));
    return error_exit_code(error);
}

/* ---- options --------------------------------------------------------------------------------- */

/* The empty context, that of a key nobody has written, has no letters; it is typed and printed as
 * a dash. */
#define TOKEN_EMPTY "-"

static void set_token(struct buf *to, const char *option, const char *text)
{
    buf_clear(to);
    if (!text[0]) /* a variable that was never set, more likely than a key that is absent */
        program_usage("%s: an empty text is no token; that of an absent key is " TOKEN_EMPTY,
                      option);
    if (strlen(text) > (size_t)(CONTEXT_BYTES_MAX + 2) / 3 * 4) /* with padding */
        program_usage("%s: a token of %zu characters: no context is so long", option, strlen(text));
    if (strcmp(text, TOKEN_EMPTY) != 0 && base64_decode(slice_text(text), to) != 0)
        program_usage("%s: '%s' is no token", option, text);
}

static error_t take(struct options *o, int key, char *arg)
{
    uint64_t us, number;
    switch (key) {
    case 'm':
        o->managers = arg;
        return 0;
    case 'v':
        o->verbose = true;
        return 0;
    case 'o':
        if (strcmp(arg, "table") == 0)
            o->output = OUTPUT_TABLE;
        else if (strcmp(arg, "json") == 0)
            o->output = OUTPUT_JSON;
        else if (strcmp(arg, "raw") == 0)
            o->output = OUTPUT_RAW;
        else
            program_usage("-o: table, json or raw, not '%s'", arg);
        return 0;
    case OPTION_TIMEOUT:
        if (units_duration(arg, &us) != 0 || us < 1000 || us / 1000 > 86400000)
            program_usage("--timeout: '%s' is no duration of 1ms to a day", arg);
        o->timeout_ms = (uint32_t)(us / 1000);
        return 0;
    case 'w':
    case 'r':
        if (units_number(arg, 1, REPLICAS_MAX, &number) != 0)
            program_usage("-%c: '%s' is no number of 1 to %d", key, arg, REPLICAS_MAX);
        o->quorum = (unsigned)number;
        return 0;
    case OPTION_CONTEXT:
        set_token(&o->context, "--context", arg);
        o->context_given = true;
        return 0;
    case OPTION_MIN_CONTEXT:
        set_token(&o->min_context, "--min-context", arg);
        return 0;
    case OPTION_SHOW_CONTEXT:
        o->show_context = true;
        return 0;
    case OPTION_SLOPPY:
        o->sloppy = true;
        return 0;
    case OPTION_ALL:
        o->all = true;
        return 0;
    case OPTION_STRICT_ONE:
        o->strict_one = true;
        return 0;
    case OPTION_AVAILABLE:
        o->available = true;
        return 0;
    case OPTION_BLOCKING:
        o->blocking = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option global_options[] = {
    {"manager", 'm', "HOST:PORT[,...]", 0,
     "manager or node to ask first (GTSTORE_MANAGER, then 127.0.0.1:5000)", 0},
    {"output", 'o', "FORMAT", 0, "table, json or raw", 0},
    {"verbose", 'v', NULL, 0, "say which node answered", 0},
    {"timeout", OPTION_TIMEOUT, "DURATION", 0, "give up after this long (5s)", 0},
    {0}};
static const struct argp_option write_options[] = {
    {"context", OPTION_CONTEXT, "TOKEN", 0,
     "replace exactly what was read with this context; - is that of an absent key", 0},
    {"sloppy", OPTION_SLOPPY, NULL, 0, "let guests stand in for owners", 0},
    {"write-quorum", 'w', "N", 0, "owners that must have it (the cluster's W)", 0},
    {0}};
static const struct argp_option get_options[] = {
    {"all", OPTION_ALL, NULL, 0, "every sibling, one JSON line each", 0},
    {"context", OPTION_SHOW_CONTEXT, NULL, 0, "print the context on stderr", 0},
    {"strict-one", OPTION_STRICT_ONE, NULL, 0, "exit 4 when there are siblings", 0},
    {"available", OPTION_AVAILABLE, NULL, 0, "fewer than R owners may answer", 0},
    {"blocking", OPTION_BLOCKING, NULL, 0, "wait until W owners have what is shown", 0},
    {"min-context", OPTION_MIN_CONTEXT, "TOKEN", 0, "demand a state at least this new", 0},
    {"read-quorum", 'r', "N", 0, "owners that must answer (the cluster's R)", 0},
    {0}};

/* ---- put, get, delete ------------------------------------------------------------------------ */

static struct buf token_text(const gtstore_result *r)
{
    struct buf text;
    buf_init(&text, 2 * CONTEXT_BYTES_MAX);
    if (r->context_bytes == 0)
        buf_put(&text, TOKEN_EMPTY, strlen(TOKEN_EMPTY));
    base64url_encode(slice_of(r->context, r->context_bytes), &text);
    buf_u8(&text, '\0');
    return text;
}

static void print_json(json_t *object)
{
    tool_json_print(object, JSON_REAL_PRECISION(6));
}

/* The members that every answer has. */
static json_t *result_json(const struct options *o, const gtstore_result *r)
{
    json_t *object = json_object();
    json_object_set_new(object, "v", json_integer(1));
    json_bytes_set(object, "key", "key64", slice_text(o->args[0]));
    json_object_set_new(object, "coordinator", json_string(r->coordinator));
    json_object_set_new(object, "owners", json_integer(r->owners));
    json_object_set_new(object, "guests", json_integer(r->guests));
    json_object_set_new(object, "weak", json_boolean(r->flags & GTSTORE_WEAK));
    json_object_set_new(object, "latency_s", json_real((double)r->latency_us / 1e6));
    struct buf token = token_text(r);
    json_object_set_new(object, "context", json_string((const char *)token.data));
    buf_close(&token);
    return object;
}

struct run {
    const struct options *options;
    int code;
};

/* What the answer is worth, where that is less than the cluster's quorums promise; with -v also
 * what is particular about it otherwise. In JSON it is in the object. */
static void say_worth(const struct options *o, const gtstore_result *r)
{
    static const struct {
        unsigned flag;
        bool less;
        const char *text;
    } worths[] = {
        {GTSTORE_DEGRADED, true, "degraded: fewer than R owners answered"},
        {GTSTORE_UNSETTLED, false, "unsettled: W owners are not known to have it"},
        {GTSTORE_OUTRANKED, false, "outranked: stored again, above a concurrent write"},
        {GTSTORE_WEAK, true, "weak: a quorum below the cluster's was used"},
    };
    if (o->output == OUTPUT_JSON && !o->verbose)
        return;
    for (size_t i = 0; i < sizeof(worths) / sizeof(worths[0]); i++)
        if (r->flags & worths[i].flag && (worths[i].less || o->verbose))
            program_say("%s", worths[i].text);
    if (r->guests > 0 && o->verbose)
        program_say("sloppy: %u of the %u that have it stand in for owners out of reach", r->guests,
                    r->guests + r->owners);
}

/* Of a write that failed: scripts need not read the sentence to know which of the two it is. */
static json_t *outcome_json(const struct options *o, const gtstore_result *r)
{
    json_t *object = json_object();
    bool doubt = r->outcome == GTSTORE_IN_DOUBT;
    json_object_set_new(object, "v", json_integer(1));
    json_bytes_set(object, "key", "key64", slice_text(o->args[0]));
    json_object_set_new(object, "outcome", json_string(doubt ? "in_doubt" : "not_applied"));
    json_object_set_new(object, "error", json_string(r->text));
    return object;
}

static void show_write(void *arg, const gtstore_result *r)
{
    struct run *run = arg;
    const struct options *o = run->options;
    if (r->error && r->error != GT_ENOTFOUND) {
        if (o->output == OUTPUT_JSON)
            print_json(outcome_json(o, r));
        run->code = fail(r->error, r->text);
        return;
    }
    if (o->output == OUTPUT_JSON) {
        json_t *object = result_json(o, r);
        json_object_set_new(object, "outcome", json_string("done"));
        json_object_set_new(object, "outranked", json_boolean(r->flags & GTSTORE_OUTRANKED));
        print_json(object);
    } else if (o->verbose) {
        printf("OK, %s\n", r->coordinator);
        say_worth(o, r);
    } else if (o->output == OUTPUT_TABLE) {
        puts("OK");
        say_worth(o, r);
    }
}

static void print_siblings(const struct options *o, const gtstore_result *r)
{
    gtstore_sibling s;
    struct buf line, token = token_text(r);
    bool with_context = o->show_context && o->output == OUTPUT_JSON;
    buf_init(&line, BLOB_BYTES_MAX);
    for (unsigned i = 0; gtstore_result_sibling(r, i, &s) == 0; i++) {
        struct json_value v = {slice_of(s.value, s.value_bytes), s.deleted};
        buf_clear(&line);
        if (json_value_format(&v, with_context ? (const char *)token.data : NULL, &line) == 0)
            program_print(line.data, line.bytes);
    }
    buf_close(&line);
    buf_close(&token);
}

/* The members that every answer to a get has, found or not. */
static json_t *get_json(const struct options *o, const gtstore_result *r)
{
    json_t *object = result_json(o, r);
    json_object_set_new(object, "siblings", json_integer(r->siblings));
    json_object_set_new(object, "degraded", json_boolean(r->flags & GTSTORE_DEGRADED));
    json_object_set_new(object, "unsettled", json_boolean(r->flags & GTSTORE_UNSETTLED));
    return object;
}

/* One answer of several is shown: a conflict is not hidden behind it. */
static void say_siblings(const struct options *o, const gtstore_result *r)
{
    if (r->siblings > 1)
        program_say("%u siblings exist; gtstore get --all %s shows them", r->siblings, o->args[0]);
}

/* An object that says no more than "not found" is not printed; one that says what that is worth
 * is. */
static void print_not_found(const struct options *o, const gtstore_result *r)
{
    bool particular = o->show_context || r->siblings > 1 || r->flags;
    if (o->output == OUTPUT_JSON && particular)
        print_json(get_json(o, r)); /* what to read, modify and write begins with */
    program_line("not found: %s", o->args[0]);
    say_siblings(o, r);
    say_worth(o, r);
}

static void print_value(const struct options *o, const gtstore_result *r)
{
    say_siblings(o, r);
    if (o->output == OUTPUT_JSON) {
        json_t *object = get_json(o, r);
        json_bytes_set(object, "value", "value64", slice_of(r->value, r->value_bytes));
        print_json(object);
        return;
    }
    if (o->verbose)
        printf("%s, ", o->args[0]);
    program_print(r->value, r->value_bytes);
    if (o->verbose) {
        printf(", %s\n", r->coordinator);
    } else if (o->output != OUTPUT_RAW && isatty(STDOUT_FILENO)) {
        putchar('\n');
    }
    say_worth(o, r);
}

static void show_get(void *arg, const gtstore_result *r)
{
    struct run *run = arg;
    const struct options *o = run->options;
    bool readable = r->error == 0 || r->error == GT_ENOTFOUND;
    if (o->show_context && o->output != OUTPUT_JSON && readable) {
        struct buf token = token_text(r);
        fprintf(stderr, "context %s\n", (const char *)token.data);
        buf_close(&token);
    }
    if (readable && o->strict_one && r->siblings > 1) { /* also when the newest is a tombstone */
        program_say("%s has %u siblings; see: gtstore get --all", o->args[0], r->siblings);
        run->code = error_exit_code(GT_ECONFLICT);
    } else if (r->error == GT_ENOTFOUND && o->all && r->siblings > 1) {
        print_siblings(o, r); /* the newest is a tombstone, and is not alone */
    } else if (r->error == GT_ENOTFOUND) {
        print_not_found(o, r);
        run->code = error_exit_code(GT_ENOTFOUND);
    } else if (r->error) {
        run->code = fail(r->error, r->text);
    } else if (o->all) {
        print_siblings(o, r);
    } else {
        print_value(o, r);
    }
}

static int read_all(FILE *file, struct buf *out)
{
    uint8_t chunk[65536];
    size_t bytes;
    while ((bytes = fread(chunk, 1, sizeof(chunk), file)) > 0 && !out->failed)
        buf_put(out, chunk, bytes);
    if (ferror(file))
        return GT_EIO;
    return out->failed ? GT_ELIMIT : 0;
}

/* Of the time given, which is that of the whole: what connecting has left; 1 at the least. */
static uint32_t left_ms(const struct options *o)
{
    uint64_t spent_ms = (loop_now_us() - o->begun_us) / 1000;
    return spent_ms < o->timeout_ms ? o->timeout_ms - (uint32_t)spent_ms : 1;
}

static int run_op(const struct options *o, int verb, gtstore_done_fn *show)
{
    struct run run = {o, 0};
    struct buf input;
    buf_init(&input, VALUE_BYTES_LIMIT + 1);
    gtstore_op op = {.size = sizeof(op),
                     .verb = verb,
                     .key = o->args[0],
                     .key_bytes = strlen(o->args[0]),
                     .min_context = o->min_context.data,
                     .min_context_bytes = o->min_context.bytes,
                     .quorum = o->quorum,
                     .timeout_ms = left_ms(o)};
    op.flags = (o->sloppy ? GTSTORE_SLOPPY : 0) | (o->available ? GTSTORE_AVAILABLE : 0) |
               (o->all ? GTSTORE_ALL : 0) | (o->blocking ? GTSTORE_BLOCKING : 0);
    if (o->context_given) {
        op.context = o->context.bytes ? (const void *)o->context.data : "";
        op.context_bytes = o->context.bytes;
    }
    int error = 0;
    if (verb == GTSTORE_PUT && strcmp(o->args[1], "-") == 0) {
        error = read_all(stdin, &input);
        op.value = input.data;
        op.value_bytes = input.bytes;
    } else if (verb == GTSTORE_PUT) {
        op.value = o->args[1];
        op.value_bytes = strlen(o->args[1]);
    }
    if (error == GT_EIO) {
        program_say("cannot read the value from stdin: %s", strerror(errno));
        run.code = error_exit_code(error);
    } else if (error) {
        run.code = fail(error, "the value on stdin is over the limit");
    } else {
        error = gtstore_run(o->env, &op, show, &run);
        /* Refused before it was sent: nobody has shown it. */
        if (error && run.code == 0 && error != GT_ENOTFOUND)
            run.code = fail(error, gtstore_last_error(o->env));
    }
    buf_close(&input);
    return run.code;
}

static int run_put(const struct options *o)
{
    return run_op(o, GTSTORE_PUT, show_write);
}

static int run_get(const struct options *o)
{
    return run_op(o, GTSTORE_GET, show_get);
}

static int run_delete(const struct options *o)
{
    return run_op(o, GTSTORE_DELETE, show_write);
}

/* ---- progress -------------------------------------------------------------------------------- */

struct progress {
    const char *verb;
    uint64_t next_us;
    bool shown;
};

static void progress_show(struct progress *p, uint64_t records)
{
    uint64_t now_us = loop_now_us();
    if (now_us < p->next_us || !isatty(STDERR_FILENO))
        return;
    p->next_us = now_us + PROGRESS_US;
    p->shown = true;
    fprintf(stderr, "\r%s %llu records", p->verb, (unsigned long long)records);
}

static void progress_end(const struct progress *p)
{
    if (p->shown)
        fputs("\r\033[K", stderr);
}

/* ---- import ---------------------------------------------------------------------------------- */

struct importer {
    pthread_mutex_t mutex;
    pthread_cond_t freed;
    uint32_t in_flight; /* puts; at most IMPORT_WINDOW */
    int error;          /* of the first put that failed */
    char text[OP_TEXT_BYTES];
};

static void import_done(void *arg, const gtstore_result *r)
{
    struct importer *im = arg;
    pthread_mutex_lock(&im->mutex);
    im->in_flight--;
    if (r->error && !im->error) {
        im->error = r->error;
        snprintf(im->text, sizeof(im->text), "%s", r->text);
    }
    pthread_cond_signal(&im->freed);
    pthread_mutex_unlock(&im->mutex);
}

/* Waits for room for one more put, or (below 1) until none is in flight. The first error. */
static int import_wait(struct importer *im, uint32_t below)
{
    pthread_mutex_lock(&im->mutex);
    while (im->in_flight >= below && im->in_flight > 0)
        pthread_cond_wait(&im->freed, &im->mutex);
    int error = im->error;
    pthread_mutex_unlock(&im->mutex);
    return error;
}

static int import_line(const struct options *o, struct importer *im, const struct json_line *line)
{
    for (uint32_t i = 0; i < line->value_count; i++) {
        const struct json_value *v = &line->values[i];
        gtstore_op op = {.size = sizeof(op),
                         .verb = v->deleted ? GTSTORE_DELETE : GTSTORE_PUT,
                         .key = line->key.data,
                         .key_bytes = line->key.bytes,
                         .value = v->deleted ? NULL : v->value.data,
                         .value_bytes = v->value.bytes,
                         /* The first overwrites, as every line does, so that to import twice is to
                          * import once; the others replace nothing and become its siblings. */
                         .context = i > 0 ? "" : NULL,
                         .timeout_ms = o->timeout_ms};
        int error = import_wait(im, IMPORT_WINDOW);
        if (error)
            return error;
        pthread_mutex_lock(&im->mutex);
        im->in_flight++;
        pthread_mutex_unlock(&im->mutex);
        error = gtstore_submit(o->env, &op, import_done, im);
        if (error) {
            pthread_mutex_lock(&im->mutex);
            im->in_flight--;
            im->error = im->error ? im->error : error;
            snprintf(im->text, sizeof(im->text), "%s", gtstore_last_error(o->env));
            pthread_mutex_unlock(&im->mutex);
            return error;
        }
    }
    return 0;
}

static bool blank(const char *line, size_t bytes)
{
    return strspn(line, " \t\r\n") >= bytes;
}

static int run_import(const struct options *o)
{
    const char *name = strcmp(o->args[0], "-") == 0 ? "stdin" : o->args[0];
    FILE *file = strcmp(o->args[0], "-") == 0 ? stdin : fopen(o->args[0], "r");
    if (!file) {
        program_say("%s: %s", name, strerror(errno));
        return 1;
    }
    struct importer im = {.mutex = PTHREAD_MUTEX_INITIALIZER, .freed = PTHREAD_COND_INITIALIZER};
    struct progress progress = {.verb = "imported"};
    struct json_line line;
    char *text = NULL, why[JSON_LINE_TEXT_BYTES];
    size_t capacity = 0;
    ssize_t bytes;
    uint64_t number = 0, records = 0;
    int code = 0, error = 0;
    json_line_init(&line);
    while (code == 0 && error == 0 && (bytes = getline(&text, &capacity, file)) >= 0) {
        number++;
        if (blank(text, (size_t)bytes))
            continue;
        if (json_line_parse(&line, slice_of(text, (size_t)bytes), why) != 0) {
            progress_end(&progress);
            program_say("%s:%llu: %s", name, (unsigned long long)number, why);
            code = 1;
            break;
        }
        error = import_line(o, &im, &line);
        records += error == 0;
        progress_show(&progress, records);
    }
    if (code == 0 && ferror(file)) {
        program_say("%s: %s", name, strerror(errno));
        code = 1;
    }
    error = import_wait(&im, 1);
    progress_end(&progress);
    if (error) {
        char place[OP_TEXT_BYTES + 100];
        snprintf(place, sizeof(place),
                 "import stopped at or before line %llu, after %llu records; to import them again "
                 "changes nothing: %s",
                 (unsigned long long)number, (unsigned long long)records, im.text);
        code = fail(error, place);
    }
    if (code == 0)
        fprintf(stderr, "imported %llu record%s\n", (unsigned long long)records,
                records == 1 ? "" : "s");
    json_line_close(&line);
    free(text);
    if (file != stdin)
        fclose(file);
    return code;
}

/* ---- export ---------------------------------------------------------------------------------- */

struct exporter {
    const struct options *options;
    struct msg_decoder *decoder;
    struct state state;
    struct buf line;
    struct progress progress;
    uint64_t records, unknown;
};

static void line_add(struct json_line *line, struct slice value, bool deleted)
{
    if (line->value_count < JSON_LINE_SIBLINGS_MAX)
        line->values[line->value_count++] = (struct json_value){value, deleted};
}

/* Nothing for a key whose siblings are all tombstones. */
static int export_line(struct exporter *ex, struct json_line *line)
{
    bool live = false;
    for (uint32_t i = 0; i < line->value_count; i++)
        live = live || !line->values[i].deleted;
    if (!live)
        return 0;
    line->siblings = line->value_count > 1;
    buf_clear(&ex->line);
    int error = json_line_format(line, &ex->line);
    if (error)
        return error;
    program_print(ex->line.data, ex->line.bytes);
    ex->records++;
    return 0;
}

struct export_get {
    struct exporter *ex;
    struct slice key;
    int error;
};

static void export_got(void *arg, const gtstore_result *result)
{
    struct export_get *g = arg;
    struct json_line line = {.key = g->key};
    gtstore_sibling sibling;
    if (result->error == GT_ENOTFOUND)
        return;
    if (result->error) {
        g->ex->unknown++;
        program_say("%.*s: %s", (int)g->key.bytes, (const char *)g->key.data, result->text);
        return;
    }
    for (unsigned i = 0; gtstore_result_sibling(result, i, &sibling) == 0; i++)
        line_add(&line, slice_of(sibling.value, sibling.value_bytes), sibling.deleted);
    g->error = export_line(g->ex, &line);
}

/* A scan asks R owners. Of a key whose record is bad at one of them a get asks the others too. */
static int export_by_get(struct exporter *ex, struct slice key)
{
    struct export_get g = {ex, key, 0};
    gtstore_op op = {.size = sizeof(op),
                     .verb = GTSTORE_GET,
                     .key = key.data,
                     .key_bytes = key.bytes,
                     .flags = GTSTORE_ALL,
                     .timeout_ms = ex->options->timeout_ms};
    gtstore_run(ex->options->env, &op, export_got, &g);
    return g.error;
}

/* One record as its line. */
static int export_record(struct exporter *ex, uint32_t partition, struct slice key,
                         struct slice record)
{
    struct json_line line = {.key = key};
    int error = record.bytes ? record_decode(record, partition, key, &ex->state) : GT_EUNKNOWN;
    if (error == GT_ENOMEM)
        return error;
    if (error)
        return export_by_get(ex, key);
    for (uint32_t i = 0; i < ex->state.sibling_count; i++)
        if (state_shown(&ex->state, i))
            line_add(&line, ex->state.siblings[i].value,
                     (ex->state.siblings[i].flags & SIBLING_TOMBSTONE) != 0);
    return export_line(ex, &line);
}

/* The chunk's records; *after is the last key, for the next chunk. */
static int export_entries(struct exporter *ex, uint32_t partition, struct slice entries,
                          struct slice *after)
{
    struct reader r = reader_of(entries);
    while (reader_left(&r)) {
        struct slice key = read_bytes(&r), record = read_bytes(&r);
        if (r.failed)
            return GT_EPROTO;
        int error = export_record(ex, partition, key, record);
        if (error)
            return error;
        *after = key;
    }
    progress_show(&ex->progress, ex->records);
    return 0;
}

static int export_partition(struct exporter *ex, uint32_t partition, char text[OP_TEXT_BYTES])
{
    struct blob *after = NULL;
    bool more = true;
    int error = 0;
    while (more && error == 0) {
        struct msg m = {.type = MSG_SCAN}, reply;
        struct blob *body;
        m.scan.head.deadline_ms = ex->options->timeout_ms;
        m.scan.partition = partition;
        m.scan.from_start = after == NULL;
        m.scan.from_key = slice_blob(after);
        m.scan.from_hash = after ? hash_bytes(m.scan.from_key) : 0;
        m.scan.bytes_max = SCAN_CHUNK_BYTES;
        error = library_call(ex->options->env, &m, after, &body);
        snprintf(text, OP_TEXT_BYTES, "%s", error ? gtstore_last_error(ex->options->env) : "");
        if (error == 0)
            error = msg_decode(ex->decoder, slice_blob(body), &reply);
        if (error == 0 && reply.scan_reply.head.error) {
            error = reply.scan_reply.head.error;
            snprintf(text, OP_TEXT_BYTES, "%.*s", (int)reply.scan_reply.head.text.bytes,
                     (const char *)reply.scan_reply.head.text.data);
        }
        struct slice last = {NULL, 0};
        if (error == 0) {
            more = reply.scan_reply.head.flags & REPLY_MORE;
            error = export_entries(ex, partition, reply.scan_reply.entries, &last);
        }
        if (error == 0 && more && !last.data)
            error = GT_EPROTO; /* more, and nothing to go on from */
        blob_unref(after);
        after = error == 0 && more ? blob_copy(last.data, last.bytes) : NULL;
        if (error == 0 && more && !after)
            error = GT_ENOMEM;
        blob_unref(body);
    }
    return error;
}

static int run_export(const struct options *o)
{
    struct exporter ex = {.options = o, .progress = {.verb = "exported"}};
    char text[OP_TEXT_BYTES] = "";
    struct msg ask = {.type = MSG_MAP_GET}, map;
    struct blob *body;
    uint32_t partitions = 0;
    ex.decoder = msg_decoder_new();
    state_init(&ex.state);
    buf_init(&ex.line, BLOB_BYTES_MAX);
    int error = ex.decoder ? library_call(o->env, &ask, NULL, &body) : GT_ENOMEM;
    if (error == 0) {
        error = msg_decode(ex.decoder, slice_blob(body), &map);
        if (error == 0 && map.map.ring) {
            partitions = map.map.ring->settings.partitions;
            if (!map.map.ring->formed) {
                error = GT_EFORMING;
                snprintf(text, sizeof(text), "forming: %u of %u nodes", map.map.ring->member_count,
                         map.map.ring->settings.form_nodes);
            }
            ring_unref(map.map.ring);
        }
        blob_unref(body);
    }
    for (uint32_t p = 0; p < partitions && error == 0; p++)
        error = export_partition(&ex, p, text);
    progress_end(&ex.progress);
    state_close(&ex.state);
    buf_close(&ex.line);
    msg_decoder_free(ex.decoder);
    if (error)
        return fail(error, text);
    return ex.unknown ? 1 : 0;
}

/* ---- ping ------------------------------------------------------------------------------------ */

static int run_ping(const struct options *o)
{
    struct msg ask = {.type = MSG_STATUS}, reply;
    struct blob *body;
    char label[UNITS_LABEL_BYTES] = "?";
    struct msg_decoder *decoder = msg_decoder_new();
    int error = decoder ? library_call(o->env, &ask, NULL, &body) : GT_ENOMEM;
    if (error == 0) {
        if (msg_decode(decoder, slice_blob(body), &reply) == 0 && reply.status_reply.status)
            snprintf(label, sizeof(label), "%s", reply.status_reply.status->source);
        blob_unref(body);
        ask.type = MSG_PING;
        uint64_t begin_us = loop_now_us();
        error = library_call(o->env, &ask, NULL, &body);
        uint64_t us = loop_now_us() - begin_us;
        blob_unref(body);
        if (error == 0 && o->output == OUTPUT_JSON) {
            json_t *object = json_object();
            json_object_set_new(object, "v", json_integer(1));
            json_object_set_new(object, "label", json_string(label));
            json_object_set_new(object, "round_trip_s", json_real((double)us / 1e6));
            print_json(object);
        } else if (error == 0) {
            printf("pong %s %.2f ms\n", label, (double)us / 1e3);
        }
    }
    msg_decoder_free(decoder);
    return error ? fail(error, gtstore_last_error(o->env)) : 0;
}

/* ---- verbs ----------------------------------------------------------------------------------- */

static const struct tool_verb verbs[] = {
    {"put", "KEY VALUE|-", "Stores a value; - reads it from stdin.", run_put, 2, write_options},
    {"get", "KEY", "Writes the bytes of a value.", run_get, 1, get_options},
    {"delete", "KEY", "Deletes a key, also one that is absent.", run_delete, 1, write_options},
    {"import", "FILE|-", "Stores every record of a file of JSON lines.", run_import, 1, NULL},
    {"export", "", "Writes every live key as a JSON line.", run_export, 0, NULL},
    {"ping", "", "Asks whether somebody is there.", run_ping, 0, NULL},
    {0}};

int main(int argc, char **argv)
{
    static const struct tool tool = {
        .text = "Reads and writes a GTStore cluster.\v"
                "Verbs: put KEY VALUE|-, get KEY, delete KEY, import FILE|-, export, ping. "
                "`gtstore VERB --help` shows the flags of a verb. Exit codes: 0 ok, 1 failed, 2 "
                "usage, 3 not found, 4 conflict, 5 quorum not met, 6 unreachable, 8 in doubt.",
        .flags = global_options,
        .verbs = verbs,
        .take = take};
    struct options o = {.timeout_ms = 5000, .begun_us = loop_now_us()};
    program_begin(argv, "gtstore");
    buf_init(&o.context, CONTEXT_BYTES_MAX);
    buf_init(&o.min_context, CONTEXT_BYTES_MAX);
    const struct tool_verb *verb = tool_parse(&tool, argc, argv, &o, o.args);

    gtstore_env env;
    o.env = &env;
    int error = gtstore_init_timeout(&env, tool_managers(o.managers), o.timeout_ms);
    int code = error ? fail(error, gtstore_last_error(&env)) : verb->run(&o);
    gtstore_finalize(&env);
    buf_close(&o.context);
    buf_close(&o.min_context);
    return program_flush(code);
}
