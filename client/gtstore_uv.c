/*
 * The library: a session machine on a loop thread, and a queue before it.
 *
 *   any thread    submit: copies the operation, appends it to the queue, wakes the loop
 *   loop thread   wake: feeds the queue into the session as CALLs; DONE: ends the operation
 *
 * A blocking call waits for its DONE on a condition variable, takes a reference to the reply's body
 * and reads it on its own thread. The mutex guards the queue, the count in flight, the blocking
 * calls' answers and `closing`; everything else belongs to the loop thread.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/library.h"
#include "client/session.h"
#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "net/loop_uv.h"

#define TIMEOUT_DEFAULT_MS 5000u
#define TEXT_BYTES         (MSG_TEXT_BYTES + 60)

struct answer { /* of a blocking call */
    bool ended;
    int error;
    struct blob *body;
    char text[MSG_TEXT_BYTES];
};

struct op {
    struct op *next;           /* in the queue */
    struct op *before, *after; /* in flight */
    struct msg request;
    struct blob *hold;
    gtstore_done_fn *done;
    void *arg;
    struct answer *answer; /* blocking; NULL otherwise */
    uint64_t begin_us;
};

struct library {
    struct log log;
    struct session *session;
    struct loop *loop;
    struct msg_decoder *decoder; /* the loop thread's */
    struct op *flight;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t ended; /* a blocking call has its answer, or has left */
    struct op *queue_first, *queue_last;
    uint32_t in_flight; /* queued ones too; at most SESSION_WINDOW */
    uint32_t blocked;   /* blocking calls inside */
    bool closing;
};

/* The last failed call's sentence, for each thread; `env` says whose it is. */
static __thread struct {
    const void *env;
    char text[TEXT_BYTES];
} last_error;

static void remember_error(const struct library *l, const char *text)
{
    last_error.env = l;
    snprintf(last_error.text, sizeof(last_error.text), "%s", text);
}

/* ---- results --------------------------------------------------------------------------------- */

static const struct msg_sibling *winner_of(const struct msg *m)
{
    const struct msg_sibling *best = NULL;
    for (uint32_t i = 0; i < m->get_reply.sibling_count; i++) {
        const struct msg_sibling *s = &m->get_reply.siblings[i];
        if (!best || s->stamp > best->stamp ||
            (s->stamp == best->stamp && dot_compare(s->dot, best->dot) > 0))
            best = s;
    }
    return best;
}

/* The node's sentence, and for a put whether it may exist. */
static void refusal_text(char text[TEXT_BYTES], const struct reply_head *head, bool put)
{
    struct slice said = head->text.bytes ? head->text : slice_text(error_text(head->error));
    int bytes = said.bytes < MSG_TEXT_BYTES ? (int)said.bytes : MSG_TEXT_BYTES - 1;
    snprintf(text, TEXT_BYTES, "%.*s", bytes, (const char *)said.data);
    const char *outcome = head->outcome == OUTCOME_NOT_APPLIED ? "not applied" : "in doubt";
    if (put && head->outcome != OUTCOME_DONE && !strstr(text, outcome)) {
        size_t used = strlen(text);
        snprintf(text + used, TEXT_BYTES - used, "; %s%s", outcome,
                 head->outcome == OUTCOME_IN_DOUBT ? ": the write may exist" : "");
    }
}

static void label_copy(char to[UNITS_LABEL_BYTES], struct slice label)
{
    size_t bytes = label.bytes < UNITS_LABEL_BYTES ? label.bytes : UNITS_LABEL_BYTES - 1;
    if (bytes)
        memcpy(to, label.data, bytes);
    to[bytes] = '\0';
}

/* Reads the answer with this thread's decoder and calls done. Returns the operation's error. */
static int deliver(struct library *l, struct msg_decoder *decoder, enum msg_type type, int error,
                   struct blob *body, const char *said, uint64_t begin_us, gtstore_done_fn *done,
                   void *arg)
{
    struct msg m;
    char text[TEXT_BYTES] = "", label[UNITS_LABEL_BYTES] = "";
    gtstore_result result = {.error = error, .text = text, .coordinator = label};
    bool put = type == MSG_PUT;
    if (error == 0) {
        error = result.error = msg_decode(decoder, slice_blob(body), &m);
        said = "the reply could not be read";
    } else {
        result.outcome = error == GT_EINDOUBT ? GTSTORE_IN_DOUBT : GTSTORE_NOT_APPLIED;
        if (error == GT_ECLOSED && put)
            result.outcome = GTSTORE_IN_DOUBT;
    }
    if (error) {
        if (result.outcome == GTSTORE_DONE) /* a reply came, and cannot be read */
            result.outcome = GTSTORE_IN_DOUBT;
        snprintf(text, sizeof(text), "%s", said && said[0] ? said : error_text(error));
    } else {
        const struct reply_head *head = put ? &m.put_reply.head : &m.get_reply.head;
        result.error = head->error;
        result.outcome = head->outcome;
        result.flags = head->flags & (REPLY_DEGRADED | REPLY_UNSETTLED | REPLY_OUTRANKED |
                                      REPLY_WEAK | REPLY_KNOWN);
        result.owners = head->owners;
        result.guests = head->guests;
        struct slice context = put ? m.put_reply.context : m.get_reply.context;
        result.context = context.data;
        result.context_bytes = context.bytes;
        label_copy(label, put ? m.put_reply.label : m.get_reply.label);
        if (head->error)
            refusal_text(text, head, put);
        if (!put) {
            const struct msg_sibling *winner = winner_of(&m);
            result.siblings = m.get_reply.sibling_total;
            result.impl = &m;
            if (winner && !(winner->flags & SIBLING_TOMBSTONE)) {
                result.value = winner->value.data ? (const void *)winner->value.data : "";
                result.value_bytes = winner->value.bytes;
            } else if (result.error == 0) {
                result.error = GT_ENOTFOUND;
                snprintf(text, sizeof(text), "%s", error_text(GT_ENOTFOUND));
            }
        }
    }
    result.latency_us = loop_now_us() - begin_us;
    if (result.error)
        remember_error(l, text);
    error = result.error;
    if (done)
        done(arg, &result);
    return error;
}

int gtstore_result_sibling(const gtstore_result *result, unsigned i, gtstore_sibling *out)
{
    if (!result || !out || !result->impl)
        return GT_EARG;
    const struct msg *m = result->impl;
    if (i >= m->get_reply.sibling_count)
        return GT_EARG;
    const struct msg_sibling *s = &m->get_reply.siblings[i];
    out->value = s->value.data ? (const void *)s->value.data : "";
    out->value_bytes = s->value.bytes;
    out->deleted = (s->flags & SIBLING_TOMBSTONE) != 0;
    out->stamp_ms = s->stamp >> 16;
    return 0;
}

/* ---- the loop thread ------------------------------------------------------------------------- */

static void flight_add(struct library *l, struct op *op)
{
    op->before = NULL;
    op->after = l->flight;
    if (l->flight)
        l->flight->before = op;
    l->flight = op;
}

static void flight_remove(struct library *l, struct op *op)
{
    *(op->before ? &op->before->after : &l->flight) = op->after;
    if (op->after)
        op->after->before = op->before;
}

/* Ends an operation that is in no list any more. */
static void op_end(struct library *l, struct op *op, int error, struct blob *body, const char *text)
{
    pthread_mutex_lock(&l->mutex);
    l->in_flight--;
    if (op->answer) {
        op->answer->error = error;
        op->answer->body = blob_ref(body);
        snprintf(op->answer->text, sizeof(op->answer->text), "%s", text);
        op->answer->ended = true;
        pthread_cond_broadcast(&l->ended);
    }
    pthread_mutex_unlock(&l->mutex);
    if (!op->answer)
        deliver(l, l->decoder, op->request.type, error, body, text, op->begin_us, op->done,
                op->arg);
    blob_unref(op->hold);
    free(op);
}

static struct op *queue_take(struct library *l, bool *closing)
{
    pthread_mutex_lock(&l->mutex);
    struct op *first = l->queue_first;
    l->queue_first = l->queue_last = NULL;
    *closing = l->closing;
    pthread_mutex_unlock(&l->mutex);
    return first;
}

static void on_wake(void *arg, struct loop *loop)
{
    struct library *l = arg;
    bool closing;
    struct op *op = queue_take(l, &closing);
    while (op) {
        struct op *next = op->next;
        flight_add(l, op);
        struct gt_event ev = {.kind = GT_CALL};
        ev.call.tag = (uintptr_t)op;
        ev.call.request = &op->request;
        ev.call.hold = op->hold;
        loop_feed(loop, &ev);
        op = next;
    }
    if (closing)
        loop_stop(loop, 0);
}

static void on_effect(void *arg, struct loop *loop, const struct gt_effect *e)
{
    struct library *l = arg;
    (void)loop;
    if (e->kind != GT_DONE)
        return;
    struct op *op = (struct op *)(uintptr_t)e->done.tag;
    flight_remove(l, op);
    op_end(l, op, e->done.error, e->done.body, e->done.text);
}

static void *loop_thread(void *arg)
{
    struct library *l = arg;
    bool closing;
    loop_run(l->loop);
    /* Whatever ended the loop, nothing enters any more, and what is inside ends. */
    pthread_mutex_lock(&l->mutex);
    l->closing = true;
    pthread_mutex_unlock(&l->mutex);
    while (l->flight) {
        struct op *op = l->flight;
        flight_remove(l, op);
        op_end(l, op, GT_ECLOSED, NULL,
               op->request.type == MSG_PUT
                   ? "the session is finalized; in doubt: the write may exist"
                   : "the session is finalized");
    }
    struct op *op = queue_take(l, &closing);
    while (op) {
        struct op *next = op->next;
        op_end(l, op, GT_ECLOSED, NULL, "the session is finalized");
        op = next;
    }
    return NULL;
}

/* ---- submitting ------------------------------------------------------------------------------ */

static int submit(struct library *l, const struct msg *request, struct blob *hold,
                  gtstore_done_fn *done, void *arg, struct answer *answer)
{
    struct op *op = calloc(1, sizeof(*op));
    if (!op)
        return GT_ENOMEM;
    op->request = *request;
    op->hold = blob_ref(hold);
    op->done = done;
    op->arg = arg;
    op->answer = answer;
    op->begin_us = loop_now_us();
    pthread_mutex_lock(&l->mutex);
    int error = l->closing ? GT_ECLOSED : l->in_flight >= SESSION_WINDOW ? GT_EBUSY : 0;
    if (error == 0) {
        if (l->queue_last)
            l->queue_last->next = op;
        else
            l->queue_first = op;
        l->queue_last = op;
        l->in_flight++;
        l->blocked += answer != NULL;
        loop_wake(l->loop); /* under the mutex: finalize frees the loop only after taking it */
    }
    pthread_mutex_unlock(&l->mutex);
    if (error) {
        blob_unref(op->hold);
        free(op);
    }
    return error;
}

static void wait_for(struct library *l, struct answer *answer)
{
    pthread_mutex_lock(&l->mutex);
    while (!answer->ended)
        pthread_cond_wait(&l->ended, &l->mutex);
    pthread_mutex_unlock(&l->mutex);
}

static void leave(struct library *l)
{
    pthread_mutex_lock(&l->mutex);
    l->blocked--;
    pthread_cond_broadcast(&l->ended);
    pthread_mutex_unlock(&l->mutex);
}

int library_call(gtstore_env *env, const struct msg *request, struct blob *hold, struct blob **body)
{
    struct library *l = env ? env->impl : NULL;
    *body = NULL;
    if (!l)
        return GT_EARG;
    struct answer answer = {0};
    int error = submit(l, request, hold, NULL, NULL, &answer);
    if (error) {
        remember_error(l, error_text(error));
        return error;
    }
    wait_for(l, &answer);
    if (answer.error)
        remember_error(l, answer.text[0] ? answer.text : error_text(answer.error));
    *body = answer.body;
    leave(l);
    return answer.error;
}

static int refuse(struct library *l, int error, const char *text)
{
    remember_error(l, text);
    return error;
}

static int op_check(struct library *l, const gtstore_op *op)
{
    char text[TEXT_BYTES];
    if (!op || op->size != sizeof(*op) || op->verb < GTSTORE_PUT || op->verb > GTSTORE_DELETE ||
        (op->key_bytes && !op->key) || (op->value_bytes && !op->value) ||
        (op->context_bytes && !op->context) || (op->min_context_bytes && !op->min_context))
        return refuse(l, GT_EARG, error_text(GT_EARG));
    if (op->key_bytes < 1 || op->key_bytes > KEY_BYTES_MAX) {
        snprintf(text, sizeof(text), "a key of %zu bytes: 1 to %d are allowed", op->key_bytes,
                 KEY_BYTES_MAX);
        return refuse(l, GT_ELIMIT, text);
    }
    if (op->value_bytes > VALUE_BYTES_LIMIT) {
        snprintf(text, sizeof(text), "a value of %zu bytes: no cluster takes more than %u",
                 op->value_bytes, VALUE_BYTES_LIMIT);
        return refuse(l, GT_ELIMIT, text);
    }
    if (op->context_bytes > CONTEXT_BYTES_MAX || op->min_context_bytes > CONTEXT_BYTES_MAX)
        return refuse(l, GT_ECONTEXT, "this is no context: too long");
    if (op->quorum > REPLICAS_MAX) {
        snprintf(text, sizeof(text), "a quorum of %u: at most %d", op->quorum, REPLICAS_MAX);
        return refuse(l, GT_EARG, text);
    }
    return 0;
}

static struct slice append(uint8_t **at, const void *data, size_t bytes)
{
    struct slice s = {*at, bytes};
    if (bytes)
        memcpy(*at, data, bytes);
    *at += bytes;
    return s;
}

/* The request with copies of all that op points to, in *hold. */
static int op_request(const gtstore_op *op, struct msg *m, struct blob **hold)
{
    bool get = op->verb == GTSTORE_GET;
    size_t value_bytes = op->verb == GTSTORE_PUT ? op->value_bytes : 0;
    const void *context = get ? op->min_context : op->context;
    size_t context_bytes = get ? op->min_context_bytes : op->context_bytes;
    *hold = blob_new(op->key_bytes + value_bytes + context_bytes);
    if (!*hold)
        return GT_ENOMEM;
    uint8_t *at = (*hold)->data;
    memset(m, 0, sizeof(*m));
    struct request_head head = {.deadline_ms = op->timeout_ms, .quorum = (uint8_t)op->quorum};
    if (op->flags & GTSTORE_SLOPPY)
        head.mode = MODE_SLOPPY;
    if (get && (op->flags & GTSTORE_AVAILABLE))
        head.mode = MODE_AVAILABLE;
    struct slice key = append(&at, op->key, op->key_bytes);
    struct slice value = append(&at, op->value, value_bytes);
    struct slice token = append(&at, context, context_bytes);
    if (get) {
        head.flags = (op->flags & GTSTORE_ALL ? REQUEST_ALL : 0) |
                     (op->flags & GTSTORE_BLOCKING ? REQUEST_BLOCKING : 0);
        m->type = MSG_GET;
        m->get.head = head;
        m->get.key = key;
        m->get.min_context = token;
    } else {
        head.flags = op->verb == GTSTORE_DELETE ? REQUEST_TOMBSTONE : 0;
        head.flags |= op->context ? 0 : REQUEST_PLAIN;
        m->type = MSG_PUT;
        m->put.head = head;
        m->put.key = key;
        m->put.value = value;
        m->put.context = token;
    }
    return 0;
}

int gtstore_submit(gtstore_env *env, const gtstore_op *op, gtstore_done_fn *done, void *arg)
{
    struct library *l = env ? env->impl : NULL;
    struct msg m;
    struct blob *hold;
    if (!l || !done)
        return GT_EARG;
    int error = op_check(l, op);
    if (error)
        return error;
    if ((error = op_request(op, &m, &hold)) == 0) {
        error = submit(l, &m, hold, done, arg, NULL);
        blob_unref(hold);
    }
    if (error)
        remember_error(l, error_text(error));
    return error;
}

int gtstore_run(gtstore_env *env, const gtstore_op *op, gtstore_done_fn *done, void *arg)
{
    struct library *l = env ? env->impl : NULL;
    struct msg m;
    struct blob *hold;
    if (!l)
        return GT_EARG;
    int error = op_check(l, op);
    if (error)
        return error;
    struct msg_decoder *decoder = msg_decoder_new();
    if (!decoder || op_request(op, &m, &hold) != 0) {
        msg_decoder_free(decoder);
        return refuse(l, GT_ENOMEM, error_text(GT_ENOMEM));
    }
    struct answer answer = {0};
    uint64_t begin_us = loop_now_us();
    error = submit(l, &m, hold, NULL, NULL, &answer);
    blob_unref(hold);
    if (error) {
        remember_error(l, error_text(error));
    } else {
        wait_for(l, &answer);
        error = deliver(l, decoder, m.type, answer.error, answer.body, answer.text, begin_us, done,
                        arg);
        blob_unref(answer.body);
        leave(l);
    }
    msg_decoder_free(decoder);
    return error;
}

/* ---- the four calls -------------------------------------------------------------------------- */

/* Signals are the application's: none is delivered to the library's thread. */
static int start_thread(struct library *l)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&l->thread, NULL, loop_thread, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? GT_ENOMEM : 0;
}

static void drop_line(void *arg, enum log_level level, const char *line)
{
    (void)arg, (void)level, (void)line;
}

static void library_free(struct library *l)
{
    loop_free(l->loop);
    session_free(l->session);
    msg_decoder_free(l->decoder);
    pthread_cond_destroy(&l->ended);
    pthread_mutex_destroy(&l->mutex);
    free(l);
}

static int library_new(struct library **out, const struct session_config *config)
{
    struct library *l = calloc(1, sizeof(*l));
    if (!l)
        return GT_ENOMEM;
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->ended, NULL);
    log_init(&l->log, LOG_ERROR, drop_line, NULL);
    struct session_config sc = *config;
    sc.log = &l->log;
    sc.seed = loop_seed();
    l->session = session_new(&sc);
    l->decoder = msg_decoder_new();
    int error = l->session && l->decoder ? 0 : GT_ENOMEM;
    if (error == 0) {
        struct loop_config lc = {
            .machine = session_machine(l->session),
            .log = &l->log,
            .seed = loop_seed(),
            .arg = l,
            .effect = on_effect,
            .wake = on_wake,
        };
        error = loop_new(&lc, &l->loop);
    }
    if (error == 0)
        error = start_thread(l);
    if (error) {
        library_free(l);
        return error;
    }
    *out = l;
    return 0;
}

int gtstore_init_timeout(gtstore_env *env, const char *managers, uint32_t timeout_ms)
{
    struct session_config config = {0};
    struct library *l;
    if (!env)
        return GT_EARG;
    env->impl = NULL;
    int count = managers ? units_addresses(managers, config.seeds, SESSION_SEEDS_MAX) : GT_EARG;
    if (count <= 0) {
        remember_error(NULL, "managers are HOST:PORT[,HOST:PORT], at most 16");
        return GT_EARG;
    }
    config.seed_count = (uint32_t)count;
    config.timeout_us = (uint64_t)(timeout_ms ? timeout_ms : TIMEOUT_DEFAULT_MS) * 1000;
    int error = library_new(&l, &config);
    if (error) {
        remember_error(NULL, error_text(error));
        return error;
    }
    env->impl = l;
    struct msg ask = {.type = MSG_MAP_GET};
    struct blob *body;
    error = library_call(env, &ask, NULL, &body);
    blob_unref(body);
    if (error) {
        gtstore_finalize(env);
        last_error.env = NULL; /* the sentence stays: gtstore_last_error of this env finds it */
    }
    return error;
}

int gtstore_init(gtstore_env *env, const char *managers)
{
    return gtstore_init_timeout(env, managers, TIMEOUT_DEFAULT_MS);
}

void gtstore_finalize(gtstore_env *env)
{
    struct library *l = env ? env->impl : NULL;
    if (!l)
        return;
    pthread_mutex_lock(&l->mutex);
    l->closing = true;
    loop_wake(l->loop);
    pthread_mutex_unlock(&l->mutex);
    pthread_join(l->thread, NULL);
    pthread_mutex_lock(&l->mutex);
    while (l->blocked)
        pthread_cond_wait(&l->ended, &l->mutex);
    pthread_mutex_unlock(&l->mutex);
    library_free(l);
    env->impl = NULL;
}

int gtstore_put(gtstore_env *env, const void *key, size_t key_bytes, const void *value,
                size_t value_bytes)
{
    gtstore_op op = {.size = sizeof(op),
                     .verb = GTSTORE_PUT,
                     .key = key,
                     .key_bytes = key_bytes,
                     .value = value,
                     .value_bytes = value_bytes};
    return gtstore_run(env, &op, NULL, NULL);
}

int gtstore_delete(gtstore_env *env, const void *key, size_t key_bytes)
{
    gtstore_op op = {
        .size = sizeof(op), .verb = GTSTORE_DELETE, .key = key, .key_bytes = key_bytes};
    int error = gtstore_run(env, &op, NULL, NULL);
    return error == GT_ENOTFOUND ? 0 : error;
}

/* One block holds value, NUL and context. */
static void keep_value(void *arg, const gtstore_result *result)
{
    gtstore_value *v = arg;
    uint8_t *block = malloc(result->value_bytes + 1 + result->context_bytes);
    if (!block)
        return;
    if (result->value_bytes)
        memcpy(block, result->value, result->value_bytes);
    block[result->value_bytes] = '\0';
    v->impl = v->data = block;
    v->bytes = result->value_bytes;
    if (result->context_bytes) {
        v->context = block + result->value_bytes + 1;
        memcpy(v->context, result->context, result->context_bytes);
        v->context_bytes = result->context_bytes;
    }
    snprintf(v->coordinator, sizeof(v->coordinator), "%s", result->coordinator);
    v->siblings = result->siblings;
    v->flags = result->flags;
}

int gtstore_get(gtstore_env *env, const void *key, size_t key_bytes, gtstore_value *out)
{
    if (!out)
        return GT_EARG;
    memset(out, 0, sizeof(*out));
    gtstore_op op = {.size = sizeof(op), .verb = GTSTORE_GET, .key = key, .key_bytes = key_bytes};
    int error = gtstore_run(env, &op, keep_value, out);
    return error == 0 && !out->impl ? GT_ENOMEM : error;
}

void gtstore_value_free(gtstore_value *v)
{
    if (!v)
        return;
    free(v->impl);
    memset(v, 0, sizeof(*v));
}

const char *gtstore_strerror(int error)
{
    return error_text(error);
}

const char *gtstore_last_error(gtstore_env *env)
{
    return env && last_error.env == env->impl ? last_error.text : "";
}

const char *gtstore_version(void)
{
    return GT_VERSION;
}
