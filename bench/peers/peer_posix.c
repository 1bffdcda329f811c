#include "bench/peers/peer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "bench/local.h"
#include "bench/machine_posix.h"
#include "engine/base/buf.h"
#include "engine/base/program.h"

#define LOAD_RUN 1000u /* pairs that the load hands over in one go */
#define TICK_MS  100u

struct client {
    struct run *run;
    pthread_t thread;
    bool started;
    void *of_store;
    struct prng prng;
    uint8_t *value;
    pthread_mutex_t lock; /* of what follows; the main thread collects it */
    struct report_op ops[WORKLOAD_VERBS];
};

struct run {
    const struct peer *peer;
    const struct flags *flags;
    struct local local;
    void *store;
    struct client *clients;
    uint64_t end_us;
    bool sweep;              /* each key once, shared out among the clients */
    uint64_t taken, ops_max; /* taken: by all clients, atomic */
    bool failed;             /* atomic */
    pthread_mutex_t lock;    /* of what follows */
    uint32_t running;
    pthread_cond_t ended;
    char *error;
};

/* ---- a client -------------------------------------------------------------------------------- */

static void fail(struct run *r, char *error)
{
    pthread_mutex_lock(&r->lock);
    if (!r->error)
        r->error = error ? error : strdup("unknown");
    else
        free(error);
    pthread_mutex_unlock(&r->lock);
    __atomic_store_n(&r->failed, true, __ATOMIC_RELAXED);
}

static bool get_checked(struct client *c, uint64_t number, char **error)
{
    struct run *r = c->run;
    uint8_t key[DATA_KEY_BYTES];
    size_t bytes = 0;
    data_key(number, key);
    if (!r->peer->get(c->of_store, key, sizeof(key), c->value, r->flags->value_bytes, &bytes,
                      error))
        return false;
    if (data_right(&r->local.data, number, c->value, bytes))
        return true;
    *error = strdup("a get was answered with what was never put");
    return false;
}

static bool put_made(struct client *c, uint64_t number, char **error)
{
    struct run *r = c->run;
    uint8_t key[DATA_KEY_BYTES];
    data_key(number, key);
    data_value(&r->local.data, number, prng_next(&c->prng), c->value);
    return r->peer->put(c->of_store, key, sizeof(key), c->value, r->flags->value_bytes, error);
}

static bool is_put(struct client *c)
{
    enum workload_kind kind = c->run->flags->kind;
    return kind == WORKLOAD_PUT || (kind == WORKLOAD_MIXED && prng_next(&c->prng) & 1);
}

/* One operation of the run; false ends the client. */
static bool operate(struct client *c, uint64_t *now)
{
    struct run *r = c->run;
    char *error = NULL;
    uint64_t number = prng_below(&c->prng, r->flags->keys), began = *now;
    bool put = is_put(c), good = put ? put_made(c, number, &error) : get_checked(c, number, &error);
    struct report_op *op = &c->ops[put ? WORKLOAD_VERB_PUT : WORKLOAD_VERB_GET];
    *now = machine_now_us();
    pthread_mutex_lock(&c->lock);
    if (good)
        hist_add(&op->latency_us, *now - began);
    else
        op->errors++;
    pthread_mutex_unlock(&c->lock);
    if (!good)
        fail(r, error);
    return good;
}

/* Takes one of the operations that are left. */
static bool take(struct run *r, uint64_t *number)
{
    *number = __atomic_fetch_add(&r->taken, 1, __ATOMIC_RELAXED);
    return *number < r->ops_max && !__atomic_load_n(&r->failed, __ATOMIC_RELAXED);
}

static void sweep_part(struct client *c)
{
    uint64_t number;
    char *error = NULL;
    while (take(c->run, &number))
        if (!get_checked(c, number, &error)) {
            fail(c->run, error);
            return;
        }
}

static void *client_run(void *arg)
{
    struct client *c = arg;
    struct run *r = c->run;
    uint64_t number, now = machine_now_us();
    pthread_setname_np(pthread_self(), "client");
    c->of_store = r->peer->thread_begin ? r->peer->thread_begin(r->store) : r->store;
    if (!c->of_store)
        fail(r, strdup("out of memory"));
    else if (r->sweep)
        sweep_part(c);
    else if (r->flags->ops)
        while (take(r, &number) && operate(c, &now))
            ;
    else
        while (now < r->end_us && operate(c, &now))
            ;
    if (c->of_store && r->peer->thread_end)
        r->peer->thread_end(c->of_store);
    pthread_mutex_lock(&r->lock);
    r->running--;
    pthread_cond_signal(&r->ended);
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void collect(struct run *r)
{
    for (uint32_t i = 0; i < r->flags->clients; i++) {
        struct client *c = &r->clients[i];
        pthread_mutex_lock(&c->lock);
        for (int v = 0; v < WORKLOAD_VERBS; v++) {
            report_op_merge(&r->local.report.second[v], &c->ops[v]);
            report_op_init(&c->ops[v]);
        }
        pthread_mutex_unlock(&c->lock);
    }
}

/* Until all clients have ended, or for one tick; true when they have. */
static bool tick_wait(struct run *r)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += TICK_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&r->lock);
    if (r->running > 0)
        pthread_cond_timedwait(&r->ended, &r->lock, &until);
    bool ended = r->running == 0;
    pthread_mutex_unlock(&r->lock);
    return ended;
}

static void threads_run(struct run *r, bool sweep)
{
    r->sweep = sweep;
    r->taken = 0;
    r->ops_max = sweep ? r->flags->keys : r->flags->ops;
    r->end_us = r->local.end_us;
    for (uint32_t i = 0; i < r->flags->clients; i++) {
        struct client *c = &r->clients[i];
        pthread_mutex_lock(&r->lock);
        r->running++;
        pthread_mutex_unlock(&r->lock);
        c->started = pthread_create(&c->thread, NULL, client_run, c) == 0;
        if (c->started)
            continue;
        fail(r, strdup("a thread cannot be started"));
        pthread_mutex_lock(&r->lock);
        r->running--;
        pthread_mutex_unlock(&r->lock);
    }
    while (!tick_wait(r)) {
        uint64_t now = machine_now_us();
        if (!local_tick(&r->local, now) || sweep)
            continue;
        collect(r);
        local_second(&r->local, now);
    }
    for (uint32_t i = 0; i < r->flags->clients; i++)
        if (r->clients[i].started)
            pthread_join(r->clients[i].thread, NULL);
    collect(r);
}

/* ---- the load -------------------------------------------------------------------------------- */

static bool load_run(struct run *r, uint64_t from, uint64_t count, uint8_t *keys, uint8_t *values,
                     struct prng *prng)
{
    char *error = NULL;
    for (uint64_t i = 0; i < count; i++) {
        data_key(from + i, keys + i * DATA_KEY_BYTES);
        data_value(&r->local.data, from + i, prng_next(prng), values + i * r->flags->value_bytes);
    }
    bool good = r->peer->load(r->store, keys, DATA_KEY_BYTES, values, r->flags->value_bytes,
                              (size_t)count, &error);
    if (!good)
        fail(r, error);
    local_tick(&r->local, machine_now_us());
    return good;
}

static void load(struct run *r)
{
    struct prng prng;
    uint8_t *keys = malloc(LOAD_RUN * DATA_KEY_BYTES);
    uint8_t *values = malloc(LOAD_RUN * (size_t)r->flags->value_bytes + 1);
    prng_init(&prng, r->flags->seed ^ 0x6c6f6164u);
    bool good = keys && values;
    if (!good)
        fail(r, strdup("out of memory"));
    for (uint64_t at = 0; at < r->flags->keys && good; at += LOAD_RUN) {
        uint64_t left = r->flags->keys - at;
        good = load_run(r, at, left < LOAD_RUN ? left : LOAD_RUN, keys, values, &prng);
    }
    free(keys);
    free(values);
}

/* ---- main ------------------------------------------------------------------------------------ */

static bool clients_make(struct run *r)
{
    r->clients = calloc(r->flags->clients, sizeof(*r->clients));
    for (uint32_t i = 0; r->clients && i < r->flags->clients; i++) {
        struct client *c = &r->clients[i];
        c->run = r;
        pthread_mutex_init(&c->lock, NULL);
        /* Clients must not draw one sequence. */
        prng_init(&c->prng, r->flags->seed * 0x9e3779b97f4a7c15u + i);
        for (int v = 0; v < WORKLOAD_VERBS; v++)
            report_op_init(&c->ops[v]);
        c->value = malloc(r->flags->value_bytes + 1);
        if (!c->value)
            return false;
    }
    return r->clients != NULL;
}

static void clients_free(struct run *r)
{
    for (uint32_t i = 0; r->clients && i < r->flags->clients; i++)
        free(r->clients[i].value);
    free(r->clients);
}

static void courses(struct run *r, uint64_t opened_us)
{
    bool warm = r->flags->kind != WORKLOAD_PUT && !(r->flags->no_load && r->flags->ops);
    if (!r->flags->no_load)
        load(r);
    if (warm && !r->failed)
        threads_run(r, true);
    if (r->failed)
        return;
    local_begin(&r->local);
    threads_run(r, false);
    local_end(&r->local, machine_now_us());
    local_figure(&r->local, "open_us", (double)opened_us);
    local_figures_of(&r->local, "put", &r->local.report.total[WORKLOAD_VERB_PUT].latency_us);
    local_figures_of(&r->local, "get", &r->local.report.total[WORKLOAD_VERB_GET].latency_us);
}

static void store_run(struct run *r, const char *folder)
{
    uint64_t began = machine_now_us();
    char *error = NULL;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        fail(r, strdup(strerror(errno)));
        return;
    }
    r->store = r->peer->open(folder, &error);
    if (!r->store) {
        fail(r, error);
        return;
    }
    courses(r, machine_now_us() - began);
    r->peer->close(r->store);
}

struct options {
    const struct peer *peer;
    struct flags flags;
    struct local_flags local;
};

static error_t option_take(int key, char *text, struct argp_state *state)
{
    struct options *o = state->input;
    if (key == ARGP_KEY_ARG)
        program_usage("unexpected argument %s", text);
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = &o->flags;
    state->child_inputs[1] = &o->local;
    state->err_stream = NULL; /* getopt's own line is enough */
    return 0;
}

static void options_parse(struct options *o, int argc, char **argv)
{
    static const struct argp_child children[] = {
        {.argp = &flags_argp}, {.argp = &local_flags_argp}, {0}};
    char doc[512];
    snprintf(doc, sizeof(doc), "Drives %s %s as gtstore-bench --engine drives GTStore's.\v%s",
             o->peer->name, o->peer->version, o->peer->setting);
    struct argp parser = {.parser = option_take, .children = children, .doc = doc};
    flags_init(&o->flags);
    if (argp_parse(&parser, argc, argv, 0, NULL, o) != 0)
        exit(EXIT_USAGE);
    program_parsed();
    flags_check(&o->flags);
    flags_check_local(&o->flags, &o->local, false);
}

int peer_main(const struct peer *peer, int argc, char **argv)
{
    char name[64];
    struct options o = {.peer = peer};
    snprintf(name, sizeof(name), "gtstore-peer-%s", peer->name);
    program_begin(argv, name);
    options_parse(&o, argc, argv);
    struct run r = {.peer = peer, .flags = &o.flags};
    pthread_mutex_init(&r.lock, NULL);
    pthread_cond_init(&r.ended, NULL);
    int code = 1;
    if (local_open(&r.local, &o.flags, &o.local) == 0) {
        if (clients_make(&r))
            store_run(&r, o.local.folder);
        else
            fail(&r, strdup("out of memory"));
        if (r.error)
            program_say("%s: %s", o.local.folder, r.error);
        code = local_close(&r.local);
    }
    clients_free(&r);
    free(r.error);
    return r.failed ? 1 : code;
}
