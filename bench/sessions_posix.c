#include "bench/sessions_posix.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/assert.h"
#include "engine/base/hash.h"

static gtstore_done_fn op_done;

uint64_t sessions_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static struct report_op *ops_new(void)
{
    struct report_op *ops = malloc(WORKLOAD_VERBS * sizeof(*ops));
    for (int v = 0; ops && v < WORKLOAD_VERBS; v++)
        report_op_init(&ops[v]);
    return ops;
}

static int session_open(struct session *c, struct sessions *all, uint32_t index,
                        const char *managers)
{
    c->all = all;
    c->index = index;
    c->slots = calloc(all->in_flight, sizeof(*c->slots));
    c->scratch = malloc(all->value_bytes + 1);
    c->ops = ops_new();
    if (!c->slots || !c->scratch || !c->ops)
        return GT_ENOMEM;
    for (uint32_t i = 0; i < all->in_flight; i++)
        c->slots[i].session = c;
    int error = gtstore_init(&c->env, managers);
    c->open = error == 0;
    return error;
}

int sessions_open(struct sessions *s, const char *managers, uint32_t count, uint32_t in_flight,
                  size_t value_bytes, FILE *ack_log)
{
    gt_assert(count > 0 && count <= SESSIONS_MAX);
    gt_assert(in_flight > 0 && in_flight <= SESSIONS_IN_FLIGHT_MAX);
    memset(s, 0, sizeof(*s));
    s->in_flight = in_flight;
    s->value_bytes = value_bytes;
    s->ack_log = ack_log;
    s->items = calloc(count, sizeof(*s->items));
    s->spare = ops_new();
    s->scratch = malloc(value_bytes + 1);
    int error = s->items && s->spare && s->scratch ? 0 : GT_ENOMEM;
    while (error == 0 && s->count < count) {
        struct session *c = &s->items[s->count++];
        pthread_mutex_init(&c->mutex, NULL);
        error = session_open(c, s, s->count - 1, managers);
    }
    if (error)
        sessions_close(s);
    return error;
}

void sessions_close(struct sessions *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct session *c = &s->items[i];
        if (c->open)
            gtstore_finalize(&c->env);
        pthread_mutex_destroy(&c->mutex);
        free(c->slots);
        free(c->scratch);
        free(c->ops);
    }
    free(s->items);
    free(s->spare);
    free(s->scratch);
    memset(s, 0, sizeof(*s));
}

static void session_begin(struct session *c, const struct phase *p)
{
    struct workload_settings settings = p->workload;
    settings.client = c->index;
    settings.clients = c->all->count;
    pthread_mutex_lock(&c->mutex);
    gt_assert(c->in_flight == 0);
    workload_init(&c->workload, &settings);
    c->issued = 0;
    c->last_us = c->all->begin_us;
    c->quota = UINT64_MAX;
    if (p->ops != UINT64_MAX)
        c->quota = p->ops / c->all->count + (c->index < p->ops % c->all->count);
    c->idle = NULL;
    for (uint32_t i = 0; i < p->in_flight; i++) {
        c->slots[i].next_idle = c->idle;
        c->idle = &c->slots[i];
    }
    pthread_mutex_unlock(&c->mutex);
}

void sessions_begin(struct sessions *s, const struct phase *phase, uint64_t begin_us)
{
    gt_assert(phase->in_flight > 0 && phase->in_flight <= s->in_flight);
    s->phase = *phase;
    s->begin_us = begin_us;
    atomic_store(&s->keys, phase->workload.keys);
    atomic_store(&s->stopped, false);
    for (uint32_t i = 0; i < s->count; i++)
        session_begin(&s->items[i], phase);
}

/* When operation `issued` of a session falls due. In doubles: exact to the microsecond for years.
 */
static uint64_t due_us(const struct session *c, uint64_t issued)
{
    const struct sessions *s = c->all;
    double turn = (double)issued * s->count + c->index;
    return s->begin_us + (uint64_t)(turn * 1e6 / s->phase.rate);
}

/* Whether the session will start anything more, as far as the clock has come. */
static bool exhausted(struct session *c, uint64_t now_us)
{
    struct sessions *s = c->all;
    if (c->issued == c->quota || now_us >= s->phase.end_us || atomic_load(&s->stopped))
        return true;
    return s->phase.rate > 0 && due_us(c, c->issued) >= s->phase.end_us;
}

/* With the mutex held: gives the slot its next operation if there is one and it is due. */
static bool slot_take(struct session *c, struct slot *slot, uint64_t now_us)
{
    struct sessions *s = c->all;
    if (exhausted(c, now_us))
        return false;
    slot->start_us = s->phase.rate > 0 ? due_us(c, c->issued) : now_us;
    if (slot->start_us > now_us)
        return false;
    workload_next(&c->workload, atomic_load(&s->keys), &slot->op);
    if (slot->op.insert)
        slot->op.key = atomic_fetch_add(&s->keys, 1);
    slot->writing = slot->op.verb == WORKLOAD_VERB_PUT;
    c->issued++;
    c->in_flight++;
    return true;
}

static void slot_rest(struct session *c, struct slot *slot)
{
    slot->next_idle = c->idle;
    c->idle = slot;
}

/* With the mutex held: the slot's operation is over. */
static void slot_count(struct session *c, struct slot *slot, int error, const char *text,
                       uint64_t now_us)
{
    struct report_op *op = &c->ops[slot->op.verb];
    if (error == 0) {
        hist_add(&op->latency_us, now_us > slot->start_us ? now_us - slot->start_us : 0);
    } else {
        op->errors++;
        if (!c->first_error[0])
            snprintf(c->first_error, sizeof(c->first_error), "%s",
                     text && *text ? text : gtstore_strerror(error));
    }
    c->in_flight--;
    c->last_us = now_us;
}

/* Submits what the slot holds. The library copies key and value before it returns. */
static int slot_send(struct slot *slot, uint8_t *scratch)
{
    struct session *c = slot->session;
    char key[WORKLOAD_KEY_BYTES];
    gtstore_op op = {.size = sizeof(op), .verb = GTSTORE_GET, .key = key};
    op.key_bytes = workload_key(slot->op.key, key);
    if (slot->writing) {
        op.verb = GTSTORE_PUT;
        op.value = scratch;
        op.value_bytes = c->all->value_bytes;
        workload_value(slot->op.value_seed, scratch, op.value_bytes);
        if (c->all->ack_log)
            slot->value_hash = hash_bytes(slice_of(scratch, op.value_bytes));
    }
    return gtstore_submit(&c->env, &op, op_done, slot);
}

/* Submits; an operation that the library refuses has failed. */
static void slot_start(struct slot *slot, uint8_t *scratch)
{
    int error = slot_send(slot, scratch);
    if (error == 0)
        return;
    struct session *c = slot->session;
    pthread_mutex_lock(&c->mutex);
    slot_count(c, slot, error, NULL, sessions_now_us());
    slot_rest(c, slot);
    pthread_mutex_unlock(&c->mutex);
}

static void acknowledged(struct slot *slot)
{
    char key[WORKLOAD_KEY_BYTES];
    workload_key(slot->op.key, key);
    fprintf(slot->session->all->ack_log, "%s %016llx\n", key, (unsigned long long)slot->value_hash);
}

/* On the library's thread. */
static void op_done(void *arg, const gtstore_result *result)
{
    struct slot *slot = arg;
    struct session *c = slot->session;
    struct sessions *s = c->all;
    bool missing = result->error == GT_ENOTFOUND;
    int error = result->error;
    /* Where keys are added during the run, a get may name one whose put is still under way. */
    if (missing && workload_inserts(s->phase.workload.kind))
        error = 0;
    if (error == 0 && slot->writing && s->ack_log)
        acknowledged(slot);
    if (error == 0 && slot->op.verb == WORKLOAD_VERB_RMW && !slot->writing) {
        slot->writing = true;
        slot_start(slot, c->scratch);
        return;
    }
    uint64_t now_us = sessions_now_us();
    pthread_mutex_lock(&c->mutex);
    slot_count(c, slot, error, result->text, now_us);
    bool again = (error == 0 || missing) && slot_take(c, slot, now_us);
    if (!again)
        slot_rest(c, slot);
    pthread_mutex_unlock(&c->mutex);
    if (again)
        slot_start(slot, c->scratch);
}

/* An idle slot with its next operation, or NULL. */
static struct slot *session_take(struct session *c, uint64_t now_us)
{
    pthread_mutex_lock(&c->mutex);
    struct slot *slot = c->idle;
    if (slot) {
        c->idle = slot->next_idle;
        if (!slot_take(c, slot, now_us)) {
            slot_rest(c, slot);
            slot = NULL;
        }
    }
    pthread_mutex_unlock(&c->mutex);
    return slot;
}

bool sessions_feed(struct sessions *s, uint64_t now_us, uint64_t *next_us)
{
    bool alive = false;
    *next_us = UINT64_MAX;
    for (uint32_t i = 0; i < s->count; i++) {
        struct session *c = &s->items[i];
        /* At most one round of the slots: a refused submission idles its slot again. */
        for (uint32_t n = 0; n < s->phase.in_flight; n++) {
            struct slot *slot = session_take(c, now_us);
            if (!slot)
                break;
            slot_start(slot, s->scratch);
        }
        pthread_mutex_lock(&c->mutex);
        bool more = !exhausted(c, now_us);
        alive = alive || more || c->in_flight > 0;
        if (more && c->idle && s->phase.rate > 0) {
            uint64_t due = due_us(c, c->issued);
            *next_us = due < *next_us ? due : *next_us;
        }
        pthread_mutex_unlock(&c->mutex);
    }
    return alive;
}

void sessions_stop(struct sessions *s)
{
    atomic_store(&s->stopped, true);
}

void sessions_collect(struct sessions *s, struct report_op ops[WORKLOAD_VERBS])
{
    for (uint32_t i = 0; i < s->count; i++) {
        struct session *c = &s->items[i];
        pthread_mutex_lock(&c->mutex);
        struct report_op *full = c->ops;
        c->ops = s->spare;
        pthread_mutex_unlock(&c->mutex);
        for (int v = 0; v < WORKLOAD_VERBS; v++) {
            report_op_merge(&ops[v], &full[v]);
            report_op_init(&full[v]);
        }
        s->spare = full;
    }
}

uint64_t sessions_last_us(struct sessions *s)
{
    uint64_t last_us = s->begin_us;
    for (uint32_t i = 0; i < s->count; i++) {
        struct session *c = &s->items[i];
        pthread_mutex_lock(&c->mutex);
        last_us = c->last_us > last_us ? c->last_us : last_us;
        pthread_mutex_unlock(&c->mutex);
    }
    return last_us;
}

/* The operations of session c that fall due before at_us, up to its quota: those i with
 * i * C + c < turns. */
static uint64_t due_count(const struct session *c, uint64_t at_us)
{
    const struct sessions *s = c->all;
    double turns = (double)(at_us - s->begin_us) * s->phase.rate / 1e6 - c->index;
    uint64_t due = turns > 0 ? (uint64_t)(turns / s->count) : 0;
    return due < c->quota ? due : c->quota;
}

uint64_t sessions_unsent(struct sessions *s)
{
    if (s->phase.rate <= 0 || s->phase.end_us == UINT64_MAX || atomic_load(&s->stopped))
        return 0;
    uint64_t unsent = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        struct session *c = &s->items[i];
        pthread_mutex_lock(&c->mutex);
        uint64_t due = due_count(c, s->phase.end_us);
        unsent += due > c->issued ? due - c->issued : 0;
        pthread_mutex_unlock(&c->mutex);
    }
    return unsent;
}

const char *sessions_first_error(struct sessions *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (s->items[i].first_error[0])
            return s->items[i].first_error;
    return NULL;
}
