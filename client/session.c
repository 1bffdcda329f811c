#include "client/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "engine/base/prng.h"

#define TIMEOUT_DEFAULT_US 5000000u
#define BACKOFF_FIRST_US   10000u
#define BACKOFF_MAX_US     320000u
#define MAP_RETRY_US       500000u
/* So long a call waits for a cluster that is forming: a manager that has just begun, with an empty
 * folder perhaps, does not know better for a moment. */
#define FORMING_WAIT_US 2000000u
#define TARGETS_MAX     SESSION_SEEDS_MAX

_Static_assert(REPLICAS_MAX <= TARGETS_MAX, "an owner list fits the targets of a call");

enum link_state {
    LINK_NONE,       /* never asked for */
    LINK_CONNECTING, /* asked for; LINK_UP or LINK_DOWN ends it */
    LINK_GREETED,    /* HELLO sent; its reply or LINK_DOWN ends it, and calls do not wait for it
                        longer than for an attempt */
    LINK_READY,
    LINK_BROKEN, /* the edge goes on trying */
    LINK_REFUSED /* the other side wants none of us on this connection */
};

struct peer {
    uint64_t number;
    struct address address;
    char label[UNITS_LABEL_BYTES];
    enum link_state link;
    uint64_t greeted_us;
    uint64_t clock_us; /* its monotonic clock as its last reply on this link showed it, 0 = not */
    uint64_t clock_heard_us; /* when that was */
    uint64_t stamp;          /* its hybrid clock as its last message showed it, 0 = not */
    uint64_t stamp_heard_us; /* when that was */
};

enum call_state { CALL_QUEUED, CALL_WAIT_MAP, CALL_WAIT_LINK, CALL_SENT, CALL_BACKOFF };

/* In a uthash table, which keeps the order of insertion: whoever is used moves to the end. */
struct key_entry {
    UT_hash_handle hh;
    struct blob *context; /* what a put replaces; NULL: nothing seen */
    /* What a get must be as new as: the same without what was shown UNSETTLED or DEGRADED, which
     * later reads may not find (RULES 18); NULL: nothing. */
    struct blob *least;
    uint64_t writer;      /* the put under way, 0 = none */
    uint64_t last_waiter; /* the tail of the puts behind it, 0 = none */
    uint32_t key_bytes;
    uint8_t key[];
};

struct call {
    uint64_t id, tag;
    struct msg request;
    struct blob *hold;
    enum call_state state;
    uint64_t begin_us, deadline_us;
    bool sent, retried;     /* an attempt was; one that says RETRY was */
    uint64_t maybe_us;      /* when the first that may have been carried out was; 0 = none may */
    uint64_t first_stamp;   /* of the retries; the same for all that may have been carried out */
    uint32_t retries_maybe; /* how many those are */
    uint64_t wait_peer;
    bool busy; /* BACKOFF because an owner was: a new link does not shorten it */
    uint64_t backoff_us;
    uint64_t tried[TARGETS_MAX]; /* peers of this round */
    uint32_t tried_count;
    uint64_t attempts[SESSION_ATTEMPTS_MAX]; /* not answered */
    uint32_t attempt_count;
    uint64_t newest_attempt;
    bool doubt;           /* a put whose attempt was lost with its link */
    struct blob *refusal; /* body of the last reply that was an error */
    int refusal_error;
    bool refusal_doubt;    /* and it said "in doubt", and why */
    struct key_entry *key; /* puts, gets */
    uint64_t next_waiter;  /* behind this put */
    struct blob *context;  /* a plain put's, or what a get must be as new as; in every attempt */
};

struct attempt {
    uint64_t call, peer;
    bool retry; /* it said so */
};

struct session {
    struct session_config config;
    struct log *log;
    struct prng prng;
    uint64_t stamp; /* the highest heard: a client's wall clock decides nothing */
    struct ring *ring;
    struct peer *peers; /* seeds first, then members met */
    uint32_t peer_count, peer_capacity;
    struct slots *calls, *attempts;
    uint64_t *ids; /* scratch: calls or attempts touched by one event */
    uint32_t id_count;
    struct key_entry *keys; /* the least recently used first */
    bool map_wanted;
    uint64_t map_ask;      /* id of the MAP_GET under way, 0 = none */
    uint64_t map_asked;    /* how many so far */
    uint64_t map_timer_us; /* then another is asked */
    uint64_t map_hint;     /* the peer that showed a newer epoch */
    uint32_t map_cursor;
    int refused_error; /* of the last refused HELLO, or what keeps this process from dialing */
    char refused_text[MSG_TEXT_BYTES];
    uint64_t now_us;
    struct gt_effects *out; /* of the step under way */
};

static void call_route(struct session *s, struct call *c);
static void map_ask(struct session *s);

/* ---- making and freeing ---------------------------------------------------------------------- */

struct session *session_new(const struct session_config *config)
{
    struct session *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->config = *config;
    if (!s->config.timeout_us)
        s->config.timeout_us = TIMEOUT_DEFAULT_US;
    if (!s->config.window)
        s->config.window = SESSION_WINDOW;
    if (!s->config.context_keys_max)
        s->config.context_keys_max = SESSION_CONTEXT_KEYS;
    gt_assert(config->seed_count <= SESSION_SEEDS_MAX);
    s->log = config->log;
    prng_init(&s->prng, config->seed);
    s->map_timer_us = UINT64_MAX;
    uint32_t attempts_max = s->config.window * 2 + SESSION_ATTEMPTS_MAX;
    s->calls = slots_new(s->config.window, sizeof(struct call));
    s->attempts = slots_new(attempts_max, sizeof(struct attempt));
    s->ids = malloc(attempts_max * sizeof(*s->ids));
    s->peer_capacity = SESSION_SEEDS_MAX + 16;
    s->peers = calloc(s->peer_capacity, sizeof(*s->peers));
    if (!s->calls || !s->attempts || !s->ids || !s->peers) {
        session_free(s);
        return NULL;
    }
    return s;
}

static void call_drop(void *arg, uint64_t id, void *slot)
{
    struct call *c = slot;
    (void)arg, (void)id;
    blob_unref(c->hold);
    blob_unref(c->refusal);
    blob_unref(c->context);
}

/* Forgets the key. */
static void key_remove(struct session *s, struct key_entry *k)
{
    HASH_DELETE(hh, s->keys, k);
    blob_unref(k->context);
    blob_unref(k->least);
    free(k);
}

void session_free(struct session *s)
{
    if (!s)
        return;
    if (s->calls)
        slots_each(s->calls, call_drop, NULL);
    struct key_entry *k, *next;
    HASH_ITER(hh, s->keys, k, next)
    key_remove(s, k);
    slots_free(s->calls);
    slots_free(s->attempts);
    ring_unref(s->ring);
    free(s->ids);
    free(s->peers);
    free(s);
}

const struct ring *session_map(const struct session *s)
{
    return s->ring;
}

uint32_t session_in_flight(const struct session *s)
{
    return slots_used(s->calls);
}

uint64_t session_deadline_us(const void *session)
{
    const struct session *s = session;
    uint64_t deadline = slots_deadline_us(s->calls);
    uint64_t attempt = slots_deadline_us(s->attempts);
    if (attempt < deadline)
        deadline = attempt;
    return s->map_timer_us < deadline ? s->map_timer_us : deadline;
}

struct gt_machine session_machine(struct session *s)
{
    return (struct gt_machine){s, session_step, session_deadline_us};
}

static struct call *call_find(struct session *s, uint64_t id)
{
    return id ? slots_find(s->calls, id) : NULL;
}

static void gather(void *arg, uint64_t id, void *slot)
{
    struct session *s = arg;
    (void)slot;
    s->ids[s->id_count++] = id;
}

/* The ids of all slots in use, in s->ids: what is done with them may take and release slots. */
static void gather_all(struct session *s, struct slots *slots)
{
    s->id_count = 0;
    slots_each(slots, gather, s);
}

/* ---- keys and contexts ----------------------------------------------------------------------- */

/* Keys with puts under way stay: there are at most `window` of those. */
static void keys_trim(struct session *s)
{
    struct key_entry *k, *next;
    HASH_ITER(hh, s->keys, k, next)
    {
        if (HASH_COUNT(s->keys) <= s->config.context_keys_max)
            return;
        if (!k->writer)
            key_remove(s, k);
    }
}

/* Puts it at the end of the order of use. One key alone stays where it is: taking it out would free
 * the table, and a full memory could then lose the queue of its writers. */
static void key_used(struct session *s, struct key_entry *k)
{
    if (HASH_COUNT(s->keys) == 1)
        return;
    unsigned hash = k->hh.hashv;
    HASH_DELETE(hh, s->keys, k);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, s->keys, k->key, k->key_bytes, hash, k);
}

/* NULL when absent (and not to be made), or out of memory. */
static struct key_entry *key_find(struct session *s, struct slice key, bool make)
{
    unsigned hash = (unsigned)hash_bytes(key);
    struct key_entry *k;
    HASH_FIND_BYHASHVALUE(hh, s->keys, key.data, key.bytes, hash, k);
    if (k) {
        key_used(s, k);
        return k;
    }
    if (!make)
        return NULL;
    k = calloc(1, sizeof(*k) + key.bytes);
    if (!k)
        return NULL;
    k->key_bytes = (uint32_t)key.bytes;
    if (key.bytes)
        memcpy(k->key, key.data, key.bytes);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, s->keys, k->key, k->key_bytes, hash, k);
    if (!k->hh.tbl) { /* the table could not grow */
        free(k);
        return NULL;
    }
    return k;
}

/* The two contexts as one; NULL when either cannot be read or memory is out. */
static struct blob *context_join(uint64_t key_hash, struct slice a, struct slice b)
{
    struct history all, more;
    struct buf bytes;
    struct blob *joined = NULL;
    history_init(&all);
    history_init(&more);
    buf_init(&bytes, CONTEXT_BYTES_MAX);
    if (context_decode(a, key_hash, &all) == 0 && context_decode(b, key_hash, &more) == 0 &&
        history_join(&all, &more) == 0 && context_encode(&all, key_hash, &bytes) == 0)
        joined = buf_blob(&bytes);
    buf_close(&bytes);
    history_close(&all);
    history_close(&more);
    return joined;
}

/* What was remembered and what a reply shows, into one. `sent` went with the request: a put's reply
 * includes it. */
static void seen_add(struct blob **seen, struct slice key, struct slice context,
                     const struct blob *sent)
{
    if (*seen && slice_equal(slice_blob(*seen), context))
        return;
    struct blob *both = NULL;
    /* An older get's reply may come after a newer put's: joined, neither hides the other. */
    if (*seen && *seen != sent)
        both = context_join(hash_bytes(key), slice_blob(*seen), context);
    if (!both)
        both = blob_copy(context.data, context.bytes);
    if (both) {
        blob_unref(*seen);
        *seen = both;
    }
}

/* A reply shows what its context says; firm: also to whoever asks later. */
static void key_learn(struct session *s, struct slice key, struct slice context,
                      const struct blob *sent, bool firm)
{
    if (!context.bytes || context.bytes > CONTEXT_BYTES_MAX)
        return;
    struct key_entry *k = key_find(s, key, true);
    if (!k)
        return;
    seen_add(&k->context, key, context, sent);
    if (firm)
        seen_add(&k->least, key, context, NULL);
    keys_trim(s);
}

/* ---- peers ----------------------------------------------------------------------------------- */

static struct peer *peer_find(struct session *s, uint64_t number)
{
    for (uint32_t i = 0; i < s->peer_count; i++)
        if (s->peers[i].number == number)
            return &s->peers[i];
    return NULL;
}

static struct peer *peer_add(struct session *s, uint64_t number, const struct address *address)
{
    if (s->peer_count == s->peer_capacity) {
        struct peer *more = realloc(s->peers, 2 * s->peer_capacity * sizeof(*more));
        if (!more)
            return NULL;
        s->peers = more;
        s->peer_capacity *= 2;
    }
    struct peer *p = &s->peers[s->peer_count++];
    memset(p, 0, sizeof(*p));
    p->number = number;
    p->address = *address;
    return p;
}

static void peer_connect(struct session *s, struct peer *p)
{
    p->link = LINK_CONNECTING;
    p->clock_us = 0;
    effects_connect(s->out, p->number, &p->address);
}

static void message_begin(struct session *s, struct msg *m, enum msg_type type, uint64_t id)
{
    memset(m, 0, sizeof(*m));
    m->type = type;
    m->id = id;
    m->stamp = s->stamp;
    if (s->ring)
        m->epoch = s->ring->epoch;
}

static void peer_greet(struct session *s, struct peer *p)
{
    struct msg m;
    message_begin(s, &m, MSG_HELLO, 0);
    m.hello.role = ROLE_CLIENT;
    m.hello.protocol_min = MSG_PROTOCOL_MIN;
    m.hello.protocol_max = MSG_PROTOCOL_MAX;
    if (s->ring && s->ring->formed) /* one that is forming may never be */
        memcpy(m.hello.cluster_id, s->ring->cluster_id, CLUSTER_ID_BYTES);
    p->link = LINK_GREETED;
    p->greeted_us = s->now_us;
    effects_send(s->out, p->number, &m);
}

/* ---- the end of a call ----------------------------------------------------------------------- */

static void call_forget_attempts(struct session *s, struct call *c)
{
    for (uint32_t i = 0; i < c->attempt_count; i++)
        slots_release(s->attempts, c->attempts[i]);
    c->attempt_count = 0;
}

static struct gt_effect *done_effect(struct session *s, uint64_t tag, int error)
{
    struct gt_effect *e = effects_add(s->out, GT_DONE);
    e->done.tag = tag;
    e->done.error = error;
    e->done.body = NULL;
    e->done.text[0] = '\0';
    return e;
}

/* Releases the call and lets the next put of its key go. */
static void call_release(struct session *s, struct call *c)
{
    struct key_entry *k = c->key;
    uint64_t next = 0;
    call_forget_attempts(s, c);
    if (k && k->writer == c->id) {
        next = c->next_waiter;
        k->writer = next;
        if (!next)
            k->last_waiter = 0;
    } else if (k) {
        /* It ends while it waits in line: whoever is before it now points behind it. */
        struct call *before = call_find(s, k->writer);
        while (before && before->next_waiter != c->id)
            before = call_find(s, before->next_waiter);
        if (before)
            before->next_waiter = c->next_waiter;
        if (k->last_waiter == c->id)
            k->last_waiter = before && before->id != k->writer ? before->id : 0;
    }
    call_drop(NULL, c->id, c);
    slots_release(s->calls, c->id);
    struct call *waiter = call_find(s, next);
    if (waiter) {
        if (k->last_waiter == waiter->id)
            k->last_waiter = 0;
        call_route(s, waiter);
    }
    keys_trim(s);
}

static void call_answer(struct session *s, struct call *c, struct blob *body)
{
    done_effect(s, c->tag, 0)->done.body = blob_ref(body);
    call_release(s, c);
}

__attribute__((format(printf, 4, 5))) static void call_fail(struct session *s, struct call *c,
                                                            int error, const char *format, ...)
{
    struct gt_effect *e = done_effect(s, c->tag, error);
    va_list args;
    va_start(args, format);
    vsnprintf(e->done.text, sizeof(e->done.text), format, args);
    va_end(args);
    call_release(s, c);
}

/* ---- where a call goes ----------------------------------------------------------------------- */

static bool call_wants_owner(const struct call *c)
{
    return c->request.type == MSG_PUT || c->request.type == MSG_GET || c->request.type == MSG_SCAN;
}

static uint32_t call_partition(const struct session *s, const struct call *c)
{
    if (c->request.type == MSG_SCAN)
        return c->request.scan.partition;
    struct slice key = c->request.type == MSG_PUT ? c->request.put.key : c->request.get.key;
    return ring_partition(s->ring, key);
}

/* Owners of the arc as peer numbers in the order to try: up first, then the rest. Seeds for what
 * any of them answers. A member met for the first time becomes a peer here. */
static uint32_t call_targets(struct session *s, const struct call *c, uint64_t targets[TARGETS_MAX])
{
    uint32_t count = 0;
    if (!call_wants_owner(c)) {
        for (uint32_t i = 0; i < s->config.seed_count; i++)
            targets[count++] = i + 1;
        return count;
    }
    uint32_t partition = call_partition(s, c);
    if (partition >= s->ring->settings.partitions)
        return 0;
    const struct arc *arc = &s->ring->arcs[partition];
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < arc->owner_count; i++) {
            const struct member *m = &s->ring->members[arc->owners[i]];
            if ((m->state == MEMBER_UP) != (pass == 0))
                continue;
            struct peer *p = peer_find(s, m->id);
            if (!p && !(p = peer_add(s, m->id, &m->address)))
                continue;
            memcpy(p->label, m->label, sizeof(p->label));
            targets[count++] = m->id;
        }
    return count;
}

/* "node1, node3": the labels (or addresses) of the targets. */
static const char *targets_text(struct session *s, const struct call *c, char text[100])
{
    uint64_t targets[TARGETS_MAX];
    uint32_t count =
        call_wants_owner(c) && !(s->ring && s->ring->formed) ? 0 : call_targets(s, c, targets);
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < count && used < 100; i++) {
        const struct peer *p = peer_find(s, targets[i]);
        char address[UNITS_ADDRESS_BYTES];
        const char *name = !p            ? "?"
                           : p->label[0] ? p->label
                                         : units_address_text(&p->address, address);
        used += (size_t)snprintf(text + used, 100 - used, "%s%s", i ? ", " : "", name);
    }
    return text;
}

static const char *seeds_text(const struct session *s, char text[100])
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < s->config.seed_count && used < 100; i++) {
        char address[UNITS_ADDRESS_BYTES];
        used += (size_t)snprintf(text + used, 100 - used, "%s%s", i ? ", " : "",
                                 units_address_text(&s->config.seeds[i], address));
    }
    return text;
}

static void call_wait(struct session *s, struct call *c, enum call_state state, uint64_t until_us)
{
    c->state = state;
    slots_set_deadline(s->calls, c->id, until_us < c->deadline_us ? until_us : c->deadline_us);
}

static bool call_tried(const struct call *c, uint64_t peer)
{
    for (uint32_t i = 0; i < c->tried_count; i++)
        if (c->tried[i] == peer)
            return true;
    return false;
}

static void call_mark_tried(struct call *c, uint64_t peer)
{
    if (!call_tried(c, peer) && c->tried_count < TARGETS_MAX)
        c->tried[c->tried_count++] = peer;
}

static void call_back_off(struct session *s, struct call *c, bool busy)
{
    c->tried_count = 0;
    c->busy = busy;
    c->backoff_us = c->backoff_us ? c->backoff_us * 2 : BACKOFF_FIRST_US;
    if (c->backoff_us > BACKOFF_MAX_US)
        c->backoff_us = BACKOFF_MAX_US;
    uint64_t wait_us = c->backoff_us / 2 + prng_below(&s->prng, c->backoff_us / 2 + 1);
    call_wait(s, c, CALL_BACKOFF, s->now_us + wait_us);
}

static struct request_head *request_head(struct msg *m)
{
    switch (m->type) {
    case MSG_PUT:
        return &m->put.head;
    case MSG_GET:
        return &m->get.head;
    case MSG_SCAN:
        return &m->scan.head;
    default:
        return NULL;
    }
}

/* What the monotonic clock of the peer will show after so long, by what was heard of it; 0 when
 * nothing was. Stamps would not do: they stand still where a wall clock was set back. */
static uint64_t clock_after(const struct session *s, const struct peer *p, uint64_t us)
{
    return p->clock_us ? p->clock_us + (s->now_us - p->clock_heard_us) + us : 0;
}

/* What the hybrid clock of the peer showed at that time, by what was heard of it; 0 when nothing
 * was. */
static uint64_t stamp_there(const struct session *s, const struct peer *p, uint64_t when_us)
{
    uint64_t since = (s->now_us - p->stamp_heard_us) / 1000 << 16;
    uint64_t age = (s->now_us - when_us) / 1000 << 16;
    return p->stamp > age ? p->stamp + since - age : 0;
}

static void clock_heard(struct session *s, struct peer *p, const struct msg *m)
{
    uint64_t clock_us = m->type == MSG_HELLO_REPLY ? m->hello.clock_us
                        : m->type == MSG_PUT_REPLY ? m->put_reply.clock_us
                        : m->type == MSG_GET_REPLY ? m->get_reply.clock_us
                                                   : 0;
    if (clock_us == 0)
        return;
    p->clock_us = clock_us;
    p->clock_heard_us = s->now_us;
}

static void call_send(struct session *s, struct call *c, const struct peer *p)
{
    uint64_t id;
    struct attempt *a = NULL;
    if (c->attempt_count < SESSION_ATTEMPTS_MAX)
        a = slots_take(s->attempts, s->now_us + SESSION_ATTEMPT_US, &id);
    if (!a) {
        call_back_off(s, c, true);
        return;
    }
    a->call = c->id;
    a->peer = p->number;
    c->attempts[c->attempt_count++] = c->newest_attempt = id;
    call_mark_tried(c, p->number);

    struct msg m = c->request;
    m.id = id;
    m.stamp = s->stamp;
    m.epoch = s->ring ? s->ring->epoch : (struct epoch){0, 0};
    struct request_head *head = request_head(&m);
    if (head) {
        uint64_t left_ms = (c->deadline_us - s->now_us) / 1000;
        head->deadline_ms = left_ms ? (uint32_t)left_ms : 1;
        if (c->maybe_us) {
            if (c->retries_maybe++ == 0)
                c->first_stamp = stamp_there(s, p, c->maybe_us);
            c->retried = a->retry = true;
            head->flags |= REQUEST_RETRY;
            head->age_ms = (uint32_t)((s->now_us - c->maybe_us) / 1000);
        }
    }
    if (m.type == MSG_PUT && c->context)
        m.put.context = slice_blob(c->context);
    if (m.type == MSG_GET)
        m.get.head.flags |= REQUEST_SESSION;
    if (m.type == MSG_GET && c->context)
        m.get.min_context = slice_blob(c->context);
    if (m.type == MSG_PUT) {
        m.put.valid_until_us = clock_after(s, p, SESSION_ATTEMPT_US);
        m.put.first_stamp = c->first_stamp;
    }
    if (!c->maybe_us)
        c->maybe_us = s->now_us ? s->now_us : 1;
    c->sent = true;
    effects_send(s->out, p->number, &m);
    call_wait(s, c, CALL_SENT, c->deadline_us);
}

/* Every target was tried, or cannot be reached now. */
static void call_round_over(struct session *s, struct call *c)
{
    bool retry_helps = c->refusal_error == 0 || c->refusal_error == GT_EBUSY ||
                       c->refusal_error == GT_EFORMING || c->refusal_error == GT_ESTALE ||
                       c->refusal_error == GT_ENOTOWNER;
    if (c->refusal && !retry_helps && !c->doubt && c->attempt_count == 0) {
        call_answer(s, c, c->refusal);
        return;
    }
    s->map_wanted = true;
    map_ask(s);
    call_back_off(s, c, false);
}

/* A get shows what this session wrote and was shown before, through whichever owner: what it must
 * be as new as goes with it, joined with what the application demands. One that takes whoever
 * answers demands nothing of itself. */
static void get_demand(struct session *s, struct call *c)
{
    const struct key_entry *k = key_find(s, c->request.get.key, false);
    struct slice given = c->request.get.min_context;
    if (!k || !k->least || c->context || c->request.get.head.mode == MODE_AVAILABLE ||
        MUTANT(forget_min_context))
        return;
    if (given.bytes > 0)
        c->context = context_join(hash_bytes(c->request.get.key), slice_blob(k->least), given);
    else
        c->context = blob_ref(k->least);
}

/* Sends the call to the first target in line, or makes it wait for what must come first. */
static void call_route(struct session *s, struct call *c)
{
    if (s->now_us >= c->deadline_us) {
        call_wait(s, c, CALL_BACKOFF, s->now_us); /* the timer ends it */
        return;
    }
    if (call_wants_owner(c) && !(s->ring && s->ring->formed)) {
        s->map_wanted = true;
        call_wait(s, c, CALL_WAIT_MAP, c->deadline_us);
        map_ask(s);
        return;
    }
    if (c->request.type == MSG_PUT && (c->request.put.head.flags & REQUEST_PLAIN) && c->key &&
        !c->sent && !c->context)
        c->context = blob_ref(c->key->context);
    if (c->request.type == MSG_GET && !c->sent)
        get_demand(s, c);
    uint64_t targets[TARGETS_MAX];
    uint32_t count = call_targets(s, c, targets);
    for (uint32_t i = 0; i < count; i++) {
        if (call_tried(c, targets[i]))
            continue;
        struct peer *p = peer_find(s, targets[i]);
        if (!p || p->link == LINK_BROKEN || p->link == LINK_REFUSED)
            continue;
        if (p->link == LINK_READY) {
            call_send(s, c, p);
            return;
        }
        if (p->link == LINK_NONE)
            peer_connect(s, p);
        else if (p->link == LINK_GREETED && s->now_us - p->greeted_us >= SESSION_ATTEMPT_US)
            peer_greet(s, p); /* its answer may have been lost */
        c->wait_peer = p->number;
        call_wait(s, c, CALL_WAIT_LINK, s->now_us + SESSION_ATTEMPT_US);
        return;
    }
    call_round_over(s, c);
}

static void call_expire(struct session *s, struct call *c)
{
    char names[100];
    unsigned waited_ms = (unsigned)((s->now_us - c->begin_us) / 1000);
    bool put = c->request.type == MSG_PUT;
    const char *not_applied = put ? "; not applied" : "";
    if (put && c->refusal_doubt) {
        call_answer(s, c, c->refusal);
    } else if (put && (c->doubt || c->attempt_count)) {
        call_fail(s, c, GT_EINDOUBT,
                  "no answer from an owner (%s) within %u ms; in doubt: the write may exist",
                  targets_text(s, c, names), waited_ms);
    } else if (c->refusal) {
        call_answer(s, c, c->refusal);
    } else if (c->sent) {
        call_fail(s, c, GT_ETIMEOUT, "no answer (%s) within %u ms; see: gtstore-admin status",
                  targets_text(s, c, names), waited_ms);
    } else if (c->state == CALL_QUEUED) {
        call_fail(s, c, GT_ETIMEOUT,
                  "an earlier put of this key has not ended within %u ms; not applied", waited_ms);
    } else if (s->ring && !s->ring->formed && call_wants_owner(c)) {
        call_fail(s, c, GT_EFORMING, "forming: %u of %u nodes%s", s->ring->member_count,
                  s->ring->settings.form_nodes, not_applied);
    } else if (!s->ring && s->refused_error) {
        call_fail(s, c, s->refused_error, "%s", s->refused_text);
    } else if (!s->ring || !call_wants_owner(c)) {
        call_fail(s, c, GT_EUNREACHABLE, "no manager or node is reachable at %s%s",
                  seeds_text(s, names), not_applied);
    } else {
        call_fail(s, c, GT_EUNREACHABLE,
                  "no owner of the key is reachable (%s)%s; see: gtstore-admin status",
                  targets_text(s, c, names), not_applied);
    }
}

/* ---- the map --------------------------------------------------------------------------------- */

/* Greets once more those that stand and have not answered for as long as an attempt may take. */
static void greet_again(struct session *s)
{
    for (uint32_t i = 0; i < s->peer_count; i++)
        if (s->peers[i].link == LINK_GREETED &&
            s->now_us - s->peers[i].greeted_us >= SESSION_ATTEMPT_US)
            peer_greet(s, &s->peers[i]);
}

/* Asks one peer for the map unless one was asked already. MAP_RETRY_US later another is asked. */
static void map_ask(struct session *s)
{
    if (!s->map_wanted || s->map_ask || !s->peer_count)
        return;
    struct peer *p = s->map_hint ? peer_find(s, s->map_hint) : NULL;
    for (uint32_t i = 0; i < s->peer_count && !(p && p->link == LINK_READY); i++)
        p = &s->peers[s->map_cursor++ % s->peer_count];
    s->map_hint = 0;
    if (!p || p->link != LINK_READY) {
        /* The next link that is made asks. Where a greeting or its answer was lost none would be.
         */
        greet_again(s);
        s->map_timer_us = s->now_us + MAP_RETRY_US;
        return;
    }
    struct msg m;
    s->map_ask = ++s->map_asked;
    message_begin(s, &m, MSG_MAP_GET, s->map_ask);
    effects_send(s->out, p->number, &m);
    s->map_timer_us = s->now_us + MAP_RETRY_US;
}

static void answer_with_map(struct session *s, struct call *c)
{
    struct blob *body = msg_map_bytes(s->ring);
    if (!body) {
        call_fail(s, c, GT_ENOMEM, "%s", error_text(GT_ENOMEM));
        return;
    }
    call_answer(s, c, body);
    blob_unref(body);
}

/* An attempt at a peer that is gone will not be answered. */
static void attempts_lose(struct session *s, uint64_t peer);

/* The peers that are members follow the map: moved ones are moved, gone ones are let go. */
static void peers_follow_map(struct session *s)
{
    for (uint32_t i = 0; i < s->peer_count; i++) {
        struct peer *p = &s->peers[i];
        if (p->number <= s->config.seed_count)
            continue;
        int index = ring_member_by_id(s->ring, p->number);
        const struct member *m = index < 0 ? NULL : &s->ring->members[index];
        if (!m || m->state == MEMBER_REMOVED) {
            uint64_t gone = p->number;
            if (p->link != LINK_NONE)
                effects_disconnect(s->out, gone);
            *p = s->peers[--s->peer_count];
            i--;
            attempts_lose(s, gone);
            continue;
        }
        bool moved =
            m->address.port != p->address.port || strcmp(m->address.host, p->address.host) != 0;
        p->address = m->address;
        if (moved && p->link != LINK_NONE) {
            peer_connect(s, p);
            attempts_lose(s, m->id);
        }
    }
}

/* After an answer about the map: those that waited for one go on, or learn that it is forming. */
static void calls_after_map(struct session *s, bool changed)
{
    gather_all(s, s->calls);
    uint32_t count = s->id_count;
    for (uint32_t i = 0; i < count; i++) {
        struct call *c = call_find(s, s->ids[i]);
        if (!c || !s->ring)
            continue;
        if (c->state == CALL_WAIT_MAP && c->request.type == MSG_MAP_GET) {
            answer_with_map(s, c);
        } else if (c->state == CALL_WAIT_MAP && !s->ring->formed) {
            if (s->now_us - c->begin_us < FORMING_WAIT_US)
                continue; /* the timer asks again */
            call_fail(s, c, GT_EFORMING, "forming: %u of %u nodes%s", s->ring->member_count,
                      s->ring->settings.form_nodes,
                      c->request.type == MSG_PUT ? "; not applied" : "");
        } else if (c->state == CALL_WAIT_MAP ||
                   (changed && call_wants_owner(c) &&
                    (c->state == CALL_WAIT_LINK || (c->state == CALL_BACKOFF && !c->busy)))) {
            c->tried_count = 0;
            call_route(s, c);
        }
    }
}

/* One that is formed takes the place of one that is not, whatever their epochs: that may be of a
 * manager that has just begun and knows of no node yet. */
static bool map_is_news(const struct ring *ours, const struct ring *theirs)
{
    if (!ours || ours->formed != theirs->formed)
        return !ours || theirs->formed;
    return epoch_compare(theirs->epoch, ours->epoch) > 0;
}

static void on_map(struct session *s, const struct msg *m)
{
    const struct ring *incoming = m->map.ring;
    bool asked = m->id && m->id == s->map_ask, changed = false;
    if (incoming && ring_check(incoming) != 0) {
        log_warn(s->log, "map refused: inconsistent");
    } else if (incoming && s->ring && s->ring->formed &&
               !cluster_same(incoming->cluster_id, s->ring->cluster_id)) {
        log_warn(s->log, "map refused: of another cluster");
    } else if (incoming && map_is_news(s->ring, incoming)) {
        ring_unref(s->ring);
        s->ring = ring_ref(m->map.ring);
        changed = true;
    }
    if (asked || changed) {
        s->map_ask = 0;
        /* A peer without a map is no answer while we have none: the timer asks the next. Nor is one
         * that is forming. */
        if (s->ring && s->ring->formed) {
            s->map_wanted = false;
            s->map_timer_us = UINT64_MAX;
        }
    }
    if (changed)
        peers_follow_map(s);
    if (asked || changed)
        calls_after_map(s, changed);
}

static void on_map_timer(struct session *s)
{
    s->map_timer_us = UINT64_MAX;
    s->map_ask = 0;
    map_ask(s);
}

/* ---- links ----------------------------------------------------------------------------------- */

static void on_ready(struct session *s, struct peer *p)
{
    uint64_t number = p->number;
    p->link = LINK_READY;
    map_ask(s);
    gather_all(s, s->calls);
    uint32_t count = s->id_count;
    for (uint32_t i = 0; i < count; i++) {
        struct call *c = call_find(s, s->ids[i]);
        if (!c)
            continue;
        if ((c->state == CALL_WAIT_LINK && c->wait_peer == number) ||
            (c->state == CALL_BACKOFF && !c->busy))
            call_route(s, c);
    }
}

static void call_forget_attempt(struct session *s, struct call *c, uint64_t id)
{
    slots_release(s->attempts, id);
    for (uint32_t i = 0; i < c->attempt_count; i++)
        if (c->attempts[i] == id) {
            c->attempts[i] = c->attempts[--c->attempt_count];
            return;
        }
}

static void attempts_lose(struct session *s, uint64_t peer)
{
    gather_all(s, s->attempts);
    uint32_t lost = 0;
    for (uint32_t i = 0; i < s->id_count; i++) {
        struct attempt *a = slots_find(s->attempts, s->ids[i]);
        if (a->peer == peer)
            s->ids[lost++] = s->ids[i];
    }
    for (uint32_t i = 0; i < lost; i++) {
        struct attempt *a = slots_find(s->attempts, s->ids[i]);
        if (!a)
            continue;
        struct call *c = call_find(s, a->call);
        gt_assert(c); /* a call takes its attempts along */
        call_forget_attempt(s, c, s->ids[i]);
        c->doubt = c->doubt || (c->request.type == MSG_PUT && !MUTANT(lost_link_as_refusal));
        if (c->state == CALL_SENT && c->newest_attempt == s->ids[i])
            call_route(s, c);
    }
}

static void on_link_down(struct session *s, uint64_t number, enum link_state link)
{
    struct peer *p = peer_find(s, number);
    if (!p)
        return;
    bool was_ready = p->link == LINK_READY;
    p->link = link;
    p->clock_us = 0;
    if (was_ready) {
        attempts_lose(s, number);
        if (s->map_ask)
            on_map_timer(s); /* it may have been the one asked */
    }
    gather_all(s, s->calls);
    uint32_t count = s->id_count;
    for (uint32_t i = 0; i < count; i++) {
        struct call *c = call_find(s, s->ids[i]);
        if (c && c->state == CALL_WAIT_LINK && c->wait_peer == number)
            call_route(s, c);
    }
}

static void on_hello_reply(struct session *s, struct peer *p, const struct msg *m)
{
    if (p->link != LINK_GREETED)
        return;
    if (m->hello.error == 0) {
        on_ready(s, p);
        return;
    }
    char address[UNITS_ADDRESS_BYTES];
    const char *why = error_text(m->hello.error);
    s->refused_error = m->hello.error;
    snprintf(s->refused_text, sizeof(s->refused_text), "%.60s refused this client: %s%s%.*s",
             units_address_text(&p->address, address), why, m->hello.text.bytes ? ": " : "",
             (int)(m->hello.text.bytes < 80 ? m->hello.text.bytes : 80),
             m->hello.text.bytes ? (const char *)m->hello.text.data : "");
    log_warn(s->log, "%s", s->refused_text);
    on_link_down(s, p->number, LINK_REFUSED);
}

/* ---- replies --------------------------------------------------------------------------------- */

enum advice {
    ADVICE_FINAL, /* the answer */
    ADVICE_OTHER, /* another owner may do better; when none is left it is the answer */
    ADVICE_AGAIN, /* the same owner may do better, soon */
    ADVICE_MOVED  /* our map is not theirs */
};

static enum advice advice_of(int error)
{
    switch (error) {
    case GT_ENOTOWNER:
    case GT_ESTALE:
        return ADVICE_MOVED;
    case GT_EBUSY:
    case GT_EFORMING: /* it has not heard of the map that we have */
        return ADVICE_AGAIN;
    case GT_EQUORUM:
    case GT_EUNREACHABLE:
    case GT_ETIMEOUT:
    case GT_EUNKNOWN:
    case GT_EPOISONED:
    case GT_EIO:
    case GT_EDESCRIPTORS:
    case GT_ENOSPACE:
    case GT_ECLOSED:
    case GT_ECLOCK:
    case GT_EINCARNATION:
    case GT_ECONTEXT: /* another owner may know the writer that this one does not */
    case GT_EFORMAT:  /* what a newer version stored there another owner may be able to read */
        return ADVICE_OTHER;
    default:
        return ADVICE_FINAL;
    }
}

static const struct reply_head *reply_head(const struct msg *m)
{
    switch (m->type) {
    case MSG_PUT_REPLY:
        return &m->put_reply.head;
    case MSG_GET_REPLY:
        return &m->get_reply.head;
    case MSG_SCAN_REPLY:
        return &m->scan_reply.head;
    default:
        return NULL;
    }
}

static void call_learn(struct session *s, const struct call *c, const struct msg *m)
{
    if (m->type == MSG_PUT_REPLY)
        key_learn(s, c->request.put.key, m->put_reply.context, c->context, true);
    else if (m->type == MSG_GET_REPLY)
        key_learn(s, c->request.get.key, m->get_reply.context, NULL,
                  !(m->get_reply.head.flags & (REPLY_UNSETTLED | REPLY_DEGRADED)));
}

/* An error that is an answer. In doubt it says only that this attempt did not help. */
static void call_refuse(struct session *s, struct call *c, const struct msg *m, struct blob *body)
{
    if (c->request.type == MSG_PUT && (c->doubt || c->attempt_count))
        call_fail(s, c, GT_EINDOUBT,
                  "an attempt got no answer, the next one said: %s; in doubt: the write may exist",
                  error_text(reply_head(m)->error));
    else
        call_answer(s, c, body);
}

/* An attempt was surely not carried out. Where it was the only one the next is a first one again,
 * and where it was the only retry the next one has a stamp of its own. */
static void call_not_applied(struct call *c, bool retry)
{
    if (retry)
        c->retries_maybe--;
    else if (!c->retried)
        c->maybe_us = 0;
}

static void call_note_refusal(struct call *c, struct blob *body, int error, bool in_doubt)
{
    c->doubt = c->doubt || (in_doubt && !MUTANT(session_forgets_doubt));
    blob_unref(c->refusal);
    c->refusal = blob_ref(body);
    c->refusal_error = error;
    c->refusal_doubt = in_doubt;
}

static void on_reply(struct session *s, const struct msg *m, struct blob *body, uint64_t peer)
{
    struct attempt *a = slots_find(s->attempts, m->id);
    if (!a || a->peer != peer)
        return; /* late or doubled */
    struct call *c = call_find(s, a->call);
    gt_assert(c);
    if (m->type != c->request.type + 1)
        return;
    bool retry = a->retry;
    call_forget_attempt(s, c, m->id);
    const struct reply_head *head = reply_head(m);
    int error = head ? head->error : 0;
    if (error == 0 || error == GT_ENOTFOUND) {
        call_learn(s, c, m);
        call_answer(s, c, body);
        return;
    }
    bool in_doubt = c->request.type == MSG_PUT && head->outcome != OUTCOME_NOT_APPLIED;
    if (!in_doubt)
        call_not_applied(c, retry);
    enum advice advice = advice_of(error);
    /* The coordinator has stored it and could not reach its quorum: it knows best. One whose log
     * failed does not, nor one that took too long: the same operation through another owner is the
     * same write. */
    bool knows = in_doubt && error != GT_EPOISONED && error != GT_ECLOSED && error != GT_ESTALE;
    /* Of an earlier attempt: the newest may do better, and another one beside it would not. */
    if (c->state == CALL_SENT && c->newest_attempt != m->id &&
        (advice != ADVICE_FINAL || in_doubt)) {
        call_note_refusal(c, body, error, in_doubt);
        return;
    }
    if (advice == ADVICE_FINAL || knows) {
        if (in_doubt)
            call_answer(s, c, body);
        else
            call_refuse(s, c, m, body);
        return;
    }
    call_note_refusal(c, body, error, in_doubt);
    if (advice == ADVICE_MOVED) {
        s->map_wanted = true;
        map_ask(s);
    }
    if (c->state != CALL_SENT)
        return; /* it is on its way elsewhere already */
    if (advice == ADVICE_AGAIN)
        call_back_off(s, c, true);
    else
        call_route(s, c);
}

static void on_message(struct session *s, const struct gt_event *ev)
{
    const struct msg *m = ev->message.msg;
    struct peer *p = peer_find(s, ev->peer);
    if (!p)
        return;
    if (p->link == LINK_REFUSED)
        return;
    if (m->stamp > s->stamp)
        s->stamp = m->stamp;
    if (m->stamp) {
        p->stamp = m->stamp;
        p->stamp_heard_us = s->now_us;
    }
    clock_heard(s, p, m);
    if (m->type == MSG_HELLO_REPLY) {
        on_hello_reply(s, p, m);
        return;
    }
    if (m->type == MSG_MAP) {
        on_map(s, m);
        return;
    }
    if (s->ring && epoch_compare(m->epoch, s->ring->epoch) > 0 && !s->map_ask) {
        s->map_wanted = true;
        s->map_hint = ev->peer;
        map_ask(s);
    }
    on_reply(s, m, ev->message.body, ev->peer);
}

/* ---- calls and time -------------------------------------------------------------------------- */

static bool callable(enum msg_type type)
{
    return type == MSG_PUT || type == MSG_GET || type == MSG_SCAN || type == MSG_STATUS ||
           type == MSG_PING || type == MSG_MAP_GET;
}

/* A put stands in line behind the puts of the same key. True when it must wait. */
static bool put_in_line(struct session *s, struct call *c)
{
    c->key = key_find(s, c->request.put.key, true);
    if (!c->key)
        return false; /* out of memory: the key goes unremembered */
    if (!c->key->writer) {
        c->key->writer = c->id;
        return false;
    }
    uint64_t last = c->key->last_waiter ? c->key->last_waiter : c->key->writer;
    struct call *before = call_find(s, last);
    gt_assert(before);
    before->next_waiter = c->id;
    c->key->last_waiter = c->id;
    return true;
}

static void on_call(struct session *s, const struct gt_event *ev)
{
    const struct msg *request = ev->call.request;
    uint64_t id;
    if (!callable(request->type)) {
        done_effect(s, ev->call.tag, GT_EUNSUPPORTED);
        return;
    }
    struct call *c = slots_take(s->calls, UINT64_MAX, &id);
    if (!c) {
        struct gt_effect *e = done_effect(s, ev->call.tag, GT_EBUSY);
        snprintf(e->done.text, sizeof(e->done.text), "%u requests are in flight already",
                 s->config.window);
        return;
    }
    c->id = id;
    c->tag = ev->call.tag;
    c->request = *request;
    c->hold = blob_ref(ev->call.hold);
    c->begin_us = s->now_us;
    struct request_head *head = request_head(&c->request);
    uint64_t timeout_us =
        head && head->deadline_ms ? (uint64_t)head->deadline_ms * 1000 : s->config.timeout_us;
    c->deadline_us = s->now_us + timeout_us;
    if (head) {
        head->flags &= ~(uint32_t)REQUEST_RETRY;
        head->age_ms = 0;
        prng_fill(&s->prng, head->op, OP_ID_BYTES);
    }
    if (request->type == MSG_MAP_GET) {
        if (s->ring)
            answer_with_map(s, c);
        else
            call_wait(s, c, CALL_WAIT_MAP, c->deadline_us);
    } else if (request->type == MSG_PUT && put_in_line(s, c)) {
        call_wait(s, c, CALL_QUEUED, c->deadline_us);
    } else {
        call_route(s, c);
    }
}

static void on_call_timer(struct session *s, uint64_t id)
{
    struct call *c = call_find(s, id);
    if (s->now_us >= c->deadline_us) {
        call_expire(s, c);
        return;
    }
    if (c->state == CALL_WAIT_LINK) {
        call_mark_tried(c, c->wait_peer);
        call_route(s, c);
    } else if (c->state == CALL_BACKOFF) {
        call_route(s, c);
    } else {
        call_wait(s, c, c->state, c->deadline_us);
    }
}

/* No answer in time: the next owner is asked too, while this one may still answer. */
static void on_attempt_timer(struct session *s, uint64_t id)
{
    struct attempt *a = slots_find(s->attempts, id);
    struct call *c = call_find(s, a->call);
    gt_assert(c);
    slots_set_deadline(s->attempts, id, UINT64_MAX);
    if (c->state == CALL_SENT && c->newest_attempt == id)
        call_route(s, c);
}

static void on_time(struct session *s)
{
    uint64_t id;
    while ((id = slots_expired(s->calls, s->now_us)) != 0)
        on_call_timer(s, id);
    while ((id = slots_expired(s->attempts, s->now_us)) != 0)
        on_attempt_timer(s, id);
    if (s->now_us >= s->map_timer_us)
        on_map_timer(s);
}

static void on_start(struct session *s)
{
    for (uint32_t i = 0; i < s->config.seed_count; i++) {
        struct peer *p = peer_add(s, i + 1, &s->config.seeds[i]);
        gt_assert(p);
        peer_connect(s, p);
    }
    s->map_wanted = true;
}

void session_step(void *session, const struct gt_event *ev, struct gt_effects *out)
{
    struct session *s = session;
    s->now_us = ev->now_us;
    s->out = out;
    switch (ev->kind) {
    case GT_START:
        on_start(s);
        break;
    case GT_MESSAGE:
        if (ev->peer)
            on_message(s, ev);
        break;
    case GT_LINK_UP: {
        struct peer *p = peer_find(s, ev->peer);
        if (p)
            peer_greet(s, p);
        break;
    }
    case GT_LINK_DOWN:
        if (ev->error == GT_EDESCRIPTORS) {
            s->refused_error = ev->error;
            snprintf(s->refused_text, sizeof(s->refused_text), "%s", error_text(ev->error));
        }
        if (ev->peer)
            on_link_down(s, ev->peer, LINK_BROKEN);
        break;
    case GT_CALL:
        on_call(s, ev);
        break;
    default:
        break;
    }
    on_time(s);
    s->out = NULL;
}
