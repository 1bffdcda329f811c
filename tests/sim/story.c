#include "tests/sim/story.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/admin_view.h"
#include "client/session.h"
#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/engine.h"
#include "node/node.h"
#include "tests/sim/script.h"
#include "tests/sim/sim.h"

#define MILLISECOND  1000ull
#define SECOND       1000000ull
#define PATIENCE_US  (60 * SECOND) /* of a command that waits for something */
#define REAP_WAIT_US (60 * SECOND)
#define LINKS_US     SECOND        /* from "ready" until the nodes are linked with one another */
#define QUIET_US     (10 * SECOND) /* links are made again, the manager has seen who is there */
#define SEED         1
#define WORDS_BYTES  700

/* What a client read all of, to be seen by its next write. */
struct seen {
    struct slice key;
    struct blob *context; /* NULL: the key had no history */
};

struct client {
    uint32_t host;
    bool waits;
    struct slice read_key; /* of a read of all that is under way; none: 0 bytes */
    char answer[WORDS_BYTES];
    struct seen *seen;
    uint32_t seen_count;
};

struct player {
    struct sim *sim;
    FILE *out;
    uint64_t seed, piece_bytes_max;
    uint32_t nodes, managers;
    struct client clients[SCRIPT_CLIENTS_MAX + 1]; /* the last one asks for the status */
    void (*trace)(void *arg, const char *line);
};

/* A text that grows to its bound. */
struct words {
    char text[WORDS_BYTES];
    size_t bytes;
};

__attribute__((format(printf, 2, 3))) static void add(struct words *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int wrote = vsnprintf(w->text + w->bytes, sizeof(w->text) - w->bytes, format, args);
    va_end(args);
    w->bytes += (size_t)wrote;
    if (w->bytes >= sizeof(w->text))
        w->bytes = sizeof(w->text) - 1;
}

static void add_slice(struct words *w, struct slice s)
{
    add(w, "%.*s", (int)s.bytes, (const char *)s.data);
}

/* Behind the first one. */
static void add_comma(struct words *w, const char *comma)
{
    if (w->bytes > 0)
        add(w, "%s", comma);
}

/* One line of what happened. */
__attribute__((format(printf, 2, 3))) static void tell(struct player *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("  ", p->out);
    vfprintf(p->out, format, args);
    fputc('\n', p->out);
    va_end(args);
}

/* The next line of the text, without its newline; false at the end. */
static bool line_next(struct slice *text, struct slice *line)
{
    const uint8_t *newline = text->bytes ? memchr(text->data, '\n', text->bytes) : NULL;
    if (text->bytes == 0)
        return false;
    *line = slice_of(text->data, newline ? (size_t)(newline - text->data) : text->bytes);
    size_t gone = line->bytes + (newline != NULL);
    *text = slice_of(text->data + gone, text->bytes - gone);
    return true;
}

/* ---- who is who ------------------------------------------------------------------------------ */

static uint32_t host_of(const struct player *p, const struct who *who)
{
    switch (who->kind) {
    case WHO_MANAGER:
        return sim_manager_host(p->sim, who->number);
    case WHO_NODE:
        return sim_node_host(p->sim, who->number - 1);
    case WHO_CLIENT:
        return sim_client_host(p->sim, who->number);
    }
    return 0;
}

/* ---- answers --------------------------------------------------------------------------------- */

static void flags_say(struct words *w, const struct reply_head *head)
{
    static const struct {
        uint32_t flag;
        const char *word;
    } flags[] = {{REPLY_DEGRADED, "degraded"},
                 {REPLY_UNSETTLED, "unsettled"},
                 {REPLY_OUTRANKED, "outranked"},
                 {REPLY_WEAK, "weak"},
                 {REPLY_KNOWN, "known from an attempt before"}};
    for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
        if (head->flags & flags[i].flag)
            add(w, ", %s", flags[i].word);
    if (head->guests > 0)
        add(w, ", %u guest%s", head->guests, head->guests == 1 ? "" : "s");
}

static void write_say(struct words *w, int error, const char *text, const struct msg *m)
{
    if (!m) {
        add(w, "%s: %s", error == GT_EINDOUBT ? "in doubt" : "not applied", text);
        return;
    }
    const struct reply_head *head = &m->put_reply.head;
    if (head->error) {
        add(w, head->outcome == OUTCOME_NOT_APPLIED ? "not applied: " : "in doubt: ");
        if (head->text.bytes > 0)
            add_slice(w, head->text);
        else
            add(w, "%s", error_text(head->error));
        return;
    }
    add(w, "done, coordinated by ");
    add_slice(w, m->put_reply.label);
    add(w, ", %u owner%s", head->owners, head->owners == 1 ? "" : "s");
    flags_say(w, head);
}

/* The one that a plain get answers first. */
static int by_rank(const void *left, const void *right)
{
    const struct msg_sibling *a = left, *b = right;
    if (a->stamp != b->stamp)
        return a->stamp > b->stamp ? -1 : 1;
    return dot_compare(b->dot, a->dot);
}

static void sibling_say(struct words *w, bool tombstone, struct slice value)
{
    add_comma(w, " | ");
    if (tombstone)
        add(w, "(deleted)");
    else
        add_slice(w, value);
}

static void read_say(struct words *w, bool all, int error, const char *text, const struct msg *m)
{
    const struct reply_head *head = m ? &m->get_reply.head : NULL;
    if (m)
        error = head->error;
    if (error && error != GT_ENOTFOUND) {
        add(w, "failed: ");
        if (m && head->text.bytes > 0)
            add_slice(w, head->text);
        else
            add(w, "%s", m ? error_text(error) : text);
        return;
    }
    struct msg_sibling *siblings = m->get_reply.siblings;
    uint32_t count = m->get_reply.sibling_count;
    if (count > 1)
        qsort(siblings, count, sizeof(*siblings), by_rank);
    for (uint32_t i = 0; i < count; i++)
        sibling_say(w, siblings[i].flags & SIBLING_TOMBSTONE, siblings[i].value);
    if (count == 0)
        add(w, "not found");
    if (!all && m->get_reply.sibling_total > 1)
        add(w, ", one of %u siblings", m->get_reply.sibling_total);
    flags_say(w, head);
}

static struct seen *seen_of(struct client *c, struct slice key)
{
    for (uint32_t i = 0; i < c->seen_count; i++)
        if (slice_equal(c->seen[i].key, key))
            return &c->seen[i];
    c->seen = realloc(c->seen, (c->seen_count + 1) * sizeof(*c->seen));
    gt_assert(c->seen);
    c->seen[c->seen_count] = (struct seen){.key = key};
    return &c->seen[c->seen_count++];
}

static void read_keep(struct client *c, const struct msg *m)
{
    struct slice context = m->get_reply.context;
    int error = m->get_reply.head.error;
    if (c->read_key.bytes == 0 || (error && error != GT_ENOTFOUND))
        return;
    struct seen *seen = seen_of(c, c->read_key);
    blob_unref(seen->context);
    seen->context = context.bytes > 0 ? blob_copy(context.data, context.bytes) : NULL;
}

/* "node1 up, node2 down", by label. */
static void members_say(struct words *w, const struct member *members[], uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t k = i; k > 0 && strcmp(members[k - 1]->label, members[k]->label) > 0; k--) {
            const struct member *swap = members[k];
            members[k] = members[k - 1];
            members[k - 1] = swap;
        }
    for (uint32_t i = 0; i < count; i++)
        add(w, "%s%s %s", i ? ", " : "", members[i]->label, member_state_name(members[i]->state));
}

static void status_say(struct words *w, const char *text, const struct msg *m)
{
    const struct status *s = m ? m->status_reply.status : NULL;
    if (!s) {
        add(w, "failed: %s", m ? error_text(m->status_reply.error) : text);
        return;
    }
    const struct member *members[SCRIPT_NODES_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->node_count && count < SCRIPT_NODES_MAX; i++)
        members[count++] = &s->nodes[i].member;
    bool manager = strcmp(s->source, MANAGER_LABEL) == 0;
    add(w, "%s says, epoch %" PRIu64 ": ",
        manager                ? s->manager_reachable ? "the manager" : "a manager that stands by"
        : s->manager_reachable ? "the manager"
                               : s->source,
        s->epoch.counter);
    add(w, "%s; ", verdict_name((enum verdict)s->verdict));
    members_say(w, members, count);
}

static void done(void *arg, struct sim *sim, uint32_t host, uint64_t tag, int error,
                 const char *text, const struct msg *m)
{
    struct player *p = arg;
    struct client *c = &p->clients[tag >> 8];
    struct words w = {.bytes = 0};
    (void)sim;
    (void)host;
    switch ((enum msg_type)(tag & 0xff)) {
    case MSG_PUT:
        write_say(&w, error, text, m);
        break;
    case MSG_STATUS:
        status_say(&w, text, m);
        break;
    default:
        read_say(&w, c->read_key.bytes > 0, error, text, m);
        if (m)
            read_keep(c, m);
    }
    memcpy(c->answer, w.text, w.bytes + 1);
    c->waits = false;
}

static void ended(void *arg, struct sim *sim, uint32_t host, const char *why)
{
    tell(arg, "%s has ended: %s", sim_name(sim, host), why);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static bool answered(void *arg)
{
    const struct client *c = arg;
    return !c->waits;
}

static void hear(struct player *p, struct client *c)
{
    if (!sim_run_till(p->sim, sim_now_us(p->sim) + PATIENCE_US, answered, c) && !sim_broken(p->sim))
        sim_break(p->sim, "a call got no answer within a minute");
}

/* The session is made at its first call. */
static void call(struct player *p, uint32_t client, const struct msg *m)
{
    struct client *c = &p->clients[client];
    c->host = sim_client_host(p->sim, client);
    if (!sim_up(p->sim, c->host)) {
        sim_start(p->sim, c->host, 0);
        sim_run_until(p->sim, sim_now_us(p->sim));
    }
    c->waits = true;
    c->read_key = slice_of(NULL, 0);
    sim_call(p->sim, c->host, (uint64_t)client << 8 | m->type, m);
}

static void put_begin(struct player *p, const struct command *k)
{
    bool deletes = k->verb == VERB_DELETE || k->verb == VERB_BEGIN_DELETE;
    struct msg m = {.type = MSG_PUT};
    m.put.key = k->key;
    m.put.value = k->value;
    m.put.head.flags = (deletes ? REQUEST_TOMBSTONE : 0) | (k->seen ? 0 : REQUEST_PLAIN);
    m.put.head.mode = k->guests ? MODE_SLOPPY : MODE_STRICT;
    if (k->seen)
        m.put.context = slice_blob(seen_of(&p->clients[k->who[0].number], k->key)->context);
    call(p, k->who[0].number, &m);
}

static void get_begin(struct player *p, const struct command *k)
{
    struct msg m = {.type = MSG_GET};
    m.get.key = k->key;
    m.get.head.flags = k->verb == VERB_GET_ALL ? REQUEST_ALL : 0;
    m.get.head.mode = k->verb == VERB_GET_AVAILABLE ? MODE_AVAILABLE : MODE_STRICT;
    m.get.head.quorum = k->verb == VERB_GET_ONE ? 1 : 0;
    call(p, k->who[0].number, &m);
    if (k->verb == VERB_GET_ALL)
        p->clients[k->who[0].number].read_key = k->key;
}

static void hear_and_tell(struct player *p, uint32_t client)
{
    hear(p, &p->clients[client]);
    tell(p, "%s", p->clients[client].answer);
}

/* Equal outcomes in a row are told once. */
static void put_times(struct player *p, const struct command *k)
{
    struct client *c = &p->clients[k->who[0].number];
    char last[WORDS_BYTES] = "";
    uint64_t times = 0;
    for (uint64_t i = 0; i < k->number && !sim_broken(p->sim); i++) {
        put_begin(p, k);
        hear(p, c);
        if (times > 0 && strcmp(last, c->answer) != 0) {
            tell(p, "%" PRIu64 " times: %s", times, last);
            times = 0;
        }
        memcpy(last, c->answer, sizeof(last));
        times++;
    }
    tell(p, "%" PRIu64 " times: %s", times, last);
}

/* What each node wrote down when it was told last that it must fill. */
static void quarantines_tell(struct player *p)
{
    for (uint32_t i = 0; i < p->nodes; i++) {
        uint32_t host = sim_node_host(p->sim, i);
        tell(p, "%s: %" PRIu64 " siblings", sim_name(p->sim, host), sim_quarantined(p->sim, host));
    }
}

/* ---- the cluster ----------------------------------------------------------------------------- */

static bool nodes_ready(void *arg)
{
    const struct player *p = arg;
    for (uint32_t i = 0; i < p->nodes; i++)
        if (!sim_ready(p->sim, sim_node_host(p->sim, i)))
            return false;
    return true;
}

static bool formed(void *arg)
{
    const struct player *p = arg;
    const struct ring *ring = sim_ring(p->sim);
    return ring && ring->formed && sim_ready(p->sim, 0) && nodes_ready(arg);
}

static void cluster_make(struct player *p, const struct command *k)
{
    struct sim_config config = {.seed = p->seed,
                                .nodes = k->nodes,
                                .managers = p->managers,
                                .clients = SCRIPT_CLIENTS_MAX + 1,
                                .settings = k->settings,
                                .network = {.latency_us = 50, .holds = true},
                                .storage = {.sync_us = 150,
                                            .segment_bytes = 64u << 10,
                                            .overlay_bytes = 1u << 20,
                                            .chunk_records = 1000},
                                .reap_wait_us = REAP_WAIT_US,
                                .piece_bytes_max = p->piece_bytes_max,
                                .pull_bytes = (uint32_t)p->piece_bytes_max,
                                .arg = p,
                                .done = done,
                                .ended = ended,
                                .trace = p->trace};
    p->nodes = k->nodes;
    p->sim = sim_new(&config);
    for (uint32_t host = 0; host <= p->nodes; host++)
        sim_start(p->sim, host, 0);
    if (!sim_run_till(p->sim, PATIENCE_US, formed, p))
        tell(p, "the cluster does not form");
    if (p->managers == 2)
        sim_start(p->sim, sim_manager_host(p->sim, 1), 0);
    sim_run_until(p->sim, sim_now_us(p->sim) + LINKS_US);
}

struct start {
    struct player *p;
    uint32_t host;
    bool was_up;
};

/* It serves, or has ended again. */
static bool started(void *arg)
{
    struct start *s = arg;
    bool up = sim_up(s->p->sim, s->host), ended_again = s->was_up && !up;
    s->was_up |= up;
    return ended_again || sim_ready(s->p->sim, s->host);
}

static void start(struct player *p, uint32_t host)
{
    struct start s = {.p = p, .host = host};
    if (sim_engine(p->sim, host)) {
        tell(p, "%s runs already", sim_name(p->sim, host));
        return;
    }
    sim_start(p->sim, host, 0);
    sim_run_till(p->sim, sim_now_us(p->sim) + PATIENCE_US, started, &s);
    tell(p, "%s is %s", sim_name(p->sim, host), sim_ready(p->sim, host) ? "ready" : "not ready");
}

static void start_all(struct player *p)
{
    for (uint32_t i = 0; i < p->nodes; i++)
        if (!sim_engine(p->sim, sim_node_host(p->sim, i)))
            sim_start(p->sim, sim_node_host(p->sim, i), 0);
    bool ready = sim_run_till(p->sim, sim_now_us(p->sim) + PATIENCE_US, nodes_ready, p);
    tell(p, ready ? "all nodes are ready" : "not all nodes are ready");
}

static void end(struct player *p, uint32_t host, enum sim_end how)
{
    if (!sim_engine(p->sim, host))
        tell(p, "%s does not run", sim_name(p->sim, host));
    sim_end(p->sim, host, how);
}

/* Clients that are not there yet are meant as well. */
static void nobody_reaches(struct player *p, uint32_t host)
{
    for (uint32_t other = 0; other < sim_host_count(p->sim); other++)
        if (other != host)
            sim_cut(p->sim, other, host, true);
}

static void alone(struct player *p, uint32_t host)
{
    nobody_reaches(p, host);
    for (uint32_t other = 0; other < sim_host_count(p->sim); other++)
        if (other != host)
            sim_cut(p->sim, host, other, true);
}

static bool nobody_waits(void *arg)
{
    const struct player *p = arg;
    for (uint32_t i = 0; i < SCRIPT_CLIENTS_MAX; i++)
        if (p->clients[i].waits)
            return false;
    return true;
}

static void wait_quiet(struct player *p)
{
    sim_run_till(p->sim, sim_now_us(p->sim) + PATIENCE_US, nobody_waits, p);
    sim_run_until(p->sim, sim_now_us(p->sim) + QUIET_US);
}

/* ---- looking inside -------------------------------------------------------------------------- */

/* What one owner holds, in words; *digest is 0 for nothing, 1 for what cannot be known. */
static void replica_say(struct player *p, uint32_t host, uint32_t partition, struct slice key,
                        struct words *w, uint64_t *digest)
{
    struct state state;
    struct blob *record = NULL;
    *digest = 1;
    if (!sim_engine(p->sim, host)) {
        add(w, "does not run");
        return;
    }
    state_init(&state);
    int error = sim_peek(p->sim, host, partition, key, &state, &record);
    if (error == GT_ENOTFOUND) {
        add(w, "nothing");
        *digest = 0;
    } else if (error) {
        add(w, "unknown: its record is bad");
    } else {
        for (uint32_t i = 0; i < state.sibling_count; i++)
            sibling_say(w, state.siblings[i].flags & SIBLING_TOMBSTONE, state.siblings[i].value);
        *digest = record_digest(slice_blob(record));
    }
    blob_unref(record);
    state_close(&state);
}

static uint32_t host_by_label(const struct player *p, const char *label)
{
    uint32_t host = 0;
    while (strcmp(sim_name(p->sim, host), label) != 0)
        host++;
    return host;
}

/* Who has a part in the partition, and is no owner. */
static void beside_tell(struct player *p, const struct ring *ring, uint32_t partition,
                        struct slice key)
{
    uint16_t places[PLACES_MAX];
    uint32_t in_owners, in_beside;
    uint32_t count = ring_places(ring, partition, false, places, &in_owners, &in_beside);
    for (uint32_t i = ring->arcs[partition].owner_count; i < count; i++) {
        const char *label = ring->members[places[i]].label;
        struct words w = {.bytes = 0};
        uint64_t digest;
        replica_say(p, host_by_label(p, label), partition, key, &w, &digest);
        tell(p, "beside them %s: %s", label, w.text);
    }
}

/* Each owner in list order; with `equal` only when they differ. */
static void where(struct player *p, struct slice key, bool equal)
{
    const struct ring *ring = sim_ring(p->sim);
    if (!ring || !ring->formed) {
        tell(p, "nobody runs who has a map");
        return;
    }
    uint32_t partition = ring_partition(ring, key);
    const struct arc *arc = &ring->arcs[partition];
    struct words words[REPLICAS_MAX];
    uint64_t digests[REPLICAS_MAX];
    bool differ = false;
    for (uint32_t i = 0; i < arc->owner_count; i++) {
        const char *label = ring->members[arc->owners[i]].label;
        words[i].bytes = 0;
        replica_say(p, host_by_label(p, label), partition, key, &words[i], &digests[i]);
        differ |= digests[i] == 1 || digests[i] != digests[0];
    }
    if (equal)
        tell(p, differ ? "no" : "yes");
    for (uint32_t i = 0; i < arc->owner_count && (differ || !equal); i++)
        tell(p, "%s: %s", ring->members[arc->owners[i]].label, words[i].text);
    if (!equal)
        beside_tell(p, ring, partition, key);
}

/* Of each node whose engine keeps any: how many, and for whom. */
static void parcels_tell(struct player *p)
{
    const struct ring *ring = sim_ring(p->sim);
    bool any = false;
    for (uint32_t i = 0; i < p->nodes; i++) {
        uint32_t host = sim_node_host(p->sim, i);
        const struct engine *e = sim_engine(p->sim, host);
        struct words w = {.bytes = 0};
        for (uint32_t m = 0; ring && e && m < ring->member_count; m++) {
            uint32_t count = engine_parcels_for(e, ring->members[m].id);
            if (count == 0)
                continue;
            add_comma(&w, ", ");
            add(&w, "%" PRIu32 " for %s", count, ring->members[m].label);
        }
        any |= w.bytes > 0;
        if (w.bytes > 0)
            tell(p, "%s: %s", sim_name(p->sim, host), w.text);
    }
    if (!any)
        tell(p, "nobody");
}

static void leader_tell(struct player *p)
{
    struct words w = {.bytes = 0};
    for (uint32_t i = 0; i < (p->managers == 2 ? 2 : 1); i++) {
        uint32_t host = sim_manager_host(p->sim, i);
        const char *does = sim_leads(p->sim, host) ? "leads"
                           : sim_up(p->sim, host)  ? "stands by"
                                                   : "does not run";
        add_comma(&w, ", ");
        add(&w, "%s %s", sim_name(p->sim, host), does);
    }
    tell(p, "%s", w.text);
}

static void map_tell(struct player *p, uint32_t client)
{
    const struct session *session = sim_session(p->sim, sim_client_host(p->sim, client));
    const struct ring *ring = session ? session_map(session) : NULL;
    const struct member *members[SCRIPT_NODES_MAX];
    struct words w = {.bytes = 0};
    if (!ring) {
        tell(p, "none");
        return;
    }
    for (uint32_t i = 0; i < ring->member_count && i < SCRIPT_NODES_MAX; i++)
        members[i] = &ring->members[i];
    members_say(&w, members, ring->member_count);
    tell(p, "epoch %" PRIu64 ": %s", ring->epoch.counter, w.text);
}

static void list_say(struct words *w, const struct ring *r, const uint16_t *owners, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        add(w, "%s%s", i ? ", " : "", r->members[owners[i]].label);
}

/* The list that is in force, and while the partition moves the other one. */
static void owners_tell(struct player *p, struct slice key)
{
    static const char *const phases[] = {"", "PREPARE: ", "READ_NEW: ", "CLEANUP: "};
    const struct ring *ring = sim_ring(p->sim);
    struct words w = {.bytes = 0};
    if (!ring || !ring->formed) {
        tell(p, "nobody runs who has a map");
        return;
    }
    const struct arc *arc = &ring->arcs[ring_partition(ring, key)];
    add(&w, "%s", phases[arc->phase]);
    list_say(&w, ring, arc->owners, arc->owner_count);
    if (arc->phase != ARC_STABLE) {
        add(&w, "; beside it: ");
        list_say(&w, ring, arc->beside, arc->beside_count);
    }
    tell(p, "%s", w.text);
}

/* What a person asks of the manager. */
static void ask(struct player *p, enum admin_verb verb, uint32_t host, uint64_t percent)
{
    struct msg m = {.type = MSG_ADMIN, .id = 2};
    m.admin.verb = (uint8_t)verb;
    m.admin.apply = true;
    m.admin.capacity = (double)percent / 100;
    if (host)
        m.admin.node = slice_text(sim_name(p->sim, host));
    sim_admin(p->sim, &m);
}

static void rot(struct player *p, uint32_t host, struct slice key, enum verb verb)
{
    const struct ring *ring = sim_ring(p->sim);
    uint32_t partition = ring && ring->formed ? ring_partition(ring, key) : 0;
    bool done = ring && ring->formed;
    if (done && verb == VERB_FLIP)
        done = sim_disk_flip_key(p->sim, host, partition, key, p->seed);
    else if (done)
        done = sim_disk_lose_key(p->sim, host, partition, key);
    if (!done)
        tell(p, "%s has no record of it in its index", sim_name(p->sim, host));
}

/* ---- verify ---------------------------------------------------------------------------------- */

/* The newest map of anybody who runs; NULL: nobody has one. */
static const struct ring *map_of_anybody(const struct player *p)
{
    const struct ring *ring = sim_ring(p->sim);
    for (uint32_t i = 0; i < p->nodes; i++) {
        const struct node *n = sim_node(p->sim, sim_node_host(p->sim, i));
        const struct ring *of_node = n ? node_ring(n) : NULL;
        if (of_node && (!ring || epoch_compare(of_node->epoch, ring->epoch) > 0))
            ring = of_node;
    }
    return ring;
}

/* One line of what verify finds: a digest says nothing to a reader, and which of them are equal
 * does. */
static void finding_tell(struct player *p, struct slice line)
{
    struct words w = {.bytes = 0};
    char digests[REPLICAS_MAX][17];
    uint32_t known = 0;
    for (size_t i = 0; i < line.bytes; i++) {
        if (i < 4 || memcmp(line.data + i - 4, "has ", 4) != 0 || line.bytes - i < 16) {
            add(&w, "%c", line.data[i]);
            continue;
        }
        char digest[17];
        uint32_t at = 0;
        snprintf(digest, sizeof(digest), "%.16s", (const char *)line.data + i);
        while (at < known && strcmp(digests[at], digest) != 0)
            at++;
        if (at == known)
            memcpy(digests[known++], digest, sizeof(digest));
        add(&w, "state %c", 'A' + (char)at);
        i += 15;
    }
    tell(p, "%s", w.text);
}

static void verify_tell(struct player *p)
{
    struct ring *ring = ring_ref((struct ring *)(uintptr_t)map_of_anybody(p));
    struct verifier v;
    struct buf lines;
    struct slice rest, line;
    if (!ring || !ring->formed) {
        tell(p, "nobody has a map with owners");
        ring_unref(ring);
        return;
    }
    verifier_init(&v, ring, PATIENCE_US);
    sim_verify(p->sim, sim_client_host(p->sim, SCRIPT_CLIENTS_MAX), &v,
               sim_now_us(p->sim) + 2 * PATIENCE_US);
    buf_init(&lines, 1u << 20);
    view_verify_lines(&v, &lines);
    rest = buf_slice(&lines);
    while (line_next(&rest, &line))
        finding_tell(p, line);
    buf_close(&lines);
    verifier_close(&v);
    ring_unref(ring);
}

/* Only under a process that does not run. */
static void disk_change(struct player *p, uint32_t host, enum verb verb)
{
    if (sim_engine(p->sim, host)) {
        tell(p, "%s runs", sim_name(p->sim, host));
        return;
    }
    if (verb == VERB_DISK_PUT_BACK)
        sim_disk_put_back(p->sim, host);
    else if (verb == VERB_DISK_LOST)
        sim_disk_wipe(p->sim, host);
    else if (!sim_disk_log_end_bad(p->sim, host))
        tell(p, "there is nothing in it");
}

/* ---- one command ----------------------------------------------------------------------------- */

static void perform(struct player *p, const struct command *k)
{
    uint32_t host = p->sim ? host_of(p, &k->who[0]) : 0, client = k->who[0].number;
    switch (k->verb) {
    case VERB_SEED:
        p->seed = k->number;
        break;
    case VERB_PIECES:
        p->piece_bytes_max = k->number;
        break;
    case VERB_MANAGERS:
        p->managers = (uint32_t)k->number;
        break;
    case VERB_CLUSTER:
        cluster_make(p, k);
        break;
    case VERB_LEADER:
        leader_tell(p);
        break;
    case VERB_KILL:
        end(p, host, SIM_KILL);
        break;
    case VERB_POWER:
        end(p, host, SIM_POWER);
        break;
    case VERB_STOP:
        end(p, host, SIM_STOP);
        break;
    case VERB_START:
        start(p, host);
        break;
    case VERB_STAND_STILL:
        sim_pause(p->sim, host, UINT64_MAX);
        break;
    case VERB_GO_ON:
        sim_resume(p->sim, host);
        break;
    case VERB_KILL_AFTER_SYNC:
        sim_end_after_sync(p->sim, host, SIM_KILL);
        break;
    case VERB_POWER_ALL:
        for (uint32_t i = 0; i < p->nodes; i++)
            sim_end(p->sim, sim_node_host(p->sim, i), SIM_POWER);
        break;
    case VERB_START_ALL:
        start_all(p);
        break;
    case VERB_NOBODY_REACHES:
        nobody_reaches(p, host);
        break;
    case VERB_DEAF:
        sim_cut(p->sim, host_of(p, &k->who[1]), host, true);
        break;
    case VERB_CUT:
        sim_cut(p->sim, host, host_of(p, &k->who[1]), true);
        sim_cut(p->sim, host_of(p, &k->who[1]), host, true);
        break;
    case VERB_ALONE:
        alone(p, host);
        break;
    case VERB_HEAL:
        sim_heal(p->sim);
        break;
    case VERB_MAP_DEAF:
    case VERB_MAP_HEARS:
        sim_deaf(p->sim, host, k->verb == VERB_MAP_DEAF ? UINT64_MAX : 0);
        break;
    case VERB_DRAIN:
        ask(p, ADMIN_DRAIN, host, 0);
        break;
    case VERB_CAPACITY:
        ask(p, ADMIN_WEIGHT, host, k->number);
        break;
    case VERB_REBALANCE:
    case VERB_REBALANCE_END:
        ask(p, k->verb == VERB_REBALANCE ? ADMIN_APPLY : ADMIN_CANCEL, 0, 0);
        break;
    case VERB_COPIES_KEEP:
        sim_copies_keep(p->sim, host, host_of(p, &k->who[1]));
        break;
    case VERB_COPIES_END:
        sim_copies_end(p->sim);
        break;
    case VERB_COPIES_ARRIVE:
        sim_copies_arrive(p->sim);
        break;
    case VERB_DISK_FULL:
    case VERB_DISK_ROOM:
        sim_disk_full(p->sim, host, k->verb == VERB_DISK_FULL);
        break;
    case VERB_SYNC_FAILS:
        sim_disk_fail_sync(p->sim, host);
        break;
    case VERB_DISK_COPIED:
        sim_disk_keep(p->sim, host);
        break;
    case VERB_DISK_PUT_BACK:
    case VERB_DISK_LOST:
    case VERB_LOG_END_BAD:
        disk_change(p, host, k->verb);
        break;
    case VERB_FLIP:
    case VERB_RECORD_GONE:
        rot(p, host, k->key, k->verb);
        break;
    case VERB_CLOCK_BEHIND:
        sim_clock(p->sim, host, -(int64_t)(k->number * SECOND), 0);
        break;
    case VERB_CLOCK_AHEAD:
        sim_clock(p->sim, host, (int64_t)(k->number * SECOND), 0);
        break;
    case VERB_CLOCK_RIGHT:
        sim_clock(p->sim, host, 0, 0);
        break;
    case VERB_BEGIN_PUT:
    case VERB_BEGIN_DELETE:
        put_begin(p, k);
        break;
    case VERB_PUT:
    case VERB_DELETE:
        put_begin(p, k);
        hear_and_tell(p, client);
        break;
    case VERB_PUT_TIMES:
        put_times(p, k);
        break;
    case VERB_HEAR:
        hear_and_tell(p, client);
        break;
    case VERB_BEGIN_GET:
        get_begin(p, k);
        break;
    case VERB_GET:
    case VERB_GET_ALL:
    case VERB_GET_AVAILABLE:
    case VERB_GET_ONE:
        get_begin(p, k);
        hear_and_tell(p, client);
        break;
    case VERB_WAIT_S:
        sim_run_until(p->sim, sim_now_us(p->sim) + k->number * SECOND);
        break;
    case VERB_WAIT_MS:
        sim_run_until(p->sim, sim_now_us(p->sim) + k->number * MILLISECOND);
        break;
    case VERB_WAIT_QUIET:
        wait_quiet(p);
        break;
    case VERB_WHERE:
    case VERB_EQUAL:
        where(p, k->key, k->verb == VERB_EQUAL);
        break;
    case VERB_OWNERS:
        owners_tell(p, k->key);
        break;
    case VERB_PARCELS:
        parcels_tell(p);
        break;
    case VERB_MAP:
        map_tell(p, client);
        break;
    case VERB_VERIFY:
        verify_tell(p);
        break;
    case VERB_QUARANTINE:
        quarantines_tell(p);
        break;
    case VERB_STATUS:
        call(p, SCRIPT_CLIENTS_MAX, &(struct msg){.type = MSG_STATUS});
        hear_and_tell(p, SCRIPT_CLIENTS_MAX);
        break;
    }
}

/* ---- the whole story ------------------------------------------------------------------------- */

static void player_close(struct player *p)
{
    sim_free(p->sim);
    for (uint32_t i = 0; i <= SCRIPT_CLIENTS_MAX; i++) {
        for (uint32_t k = 0; k < p->clients[i].seen_count; k++)
            blob_unref(p->clients[i].seen[k].context);
        free(p->clients[i].seen);
    }
}

static bool broken(const struct player *p)
{
    return p->sim && sim_broken(p->sim);
}

static int script_play(const struct script *s, void (*trace)(void *arg, const char *line),
                       FILE *out)
{
    struct player p = {.out = out, .seed = SEED, .trace = trace};
    for (uint32_t i = 0; i < s->line_count && !broken(&p); i++) {
        const struct line *line = &s->lines[i];
        if (line->kind == LINE_EXPECTED)
            continue;
        fprintf(out, "%.*s\n", (int)line->text.bytes, (const char *)line->text.data);
        if (line->kind == LINE_COMMAND)
            perform(&p, &line->command);
    }
    bool failed = broken(&p);
    if (failed)
        tell(&p, "BROKEN: %s", sim_broken(p.sim));
    player_close(&p);
    return failed;
}

int story_play(struct slice text, void (*trace)(void *arg, const char *line), char **transcript)
{
    struct script script;
    struct script_error error;
    size_t bytes;
    int result = 2;
    FILE *out = open_memstream(transcript, &bytes);
    gt_assert(out);
    if (script_read(&script, text, &error) != 0) {
        fprintf(out, "%" PRIu32 ": %s\n", error.line, error.text);
    } else {
        result = script_play(&script, trace, out);
        script_close(&script);
    }
    fclose(out);
    return result;
}

/* ---- the program ----------------------------------------------------------------------------- */

static void trace_print(void *arg, const char *line)
{
    (void)arg;
    puts(line);
}

/* NULL with the reason on stderr. */
static char *file_read(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "r");
    char *text = f ? malloc(SCRIPT_BYTES_MAX + 1) : NULL;
    *bytes = text ? fread(text, 1, SCRIPT_BYTES_MAX + 1, f) : 0;
    if (!text || ferror(f)) {
        fprintf(stderr, "gtstore-sim: %s: cannot be read: %m\n", path);
        free(text);
        text = NULL;
    }
    if (f)
        fclose(f);
    return text;
}

static int compare(const char *path, struct slice expected, struct slice seen)
{
    struct slice a, b;
    for (unsigned number = 1;; number++) {
        bool more_a = line_next(&expected, &a), more_b = line_next(&seen, &b);
        if (!more_a && !more_b)
            return 0;
        if (more_a && more_b && slice_equal(a, b))
            continue;
        a = more_a ? a : slice_text("(the end)");
        b = more_b ? b : slice_text("(the end)");
        printf("%s:%u: it happens otherwise\n  expected: %.*s\n  seen:     %.*s\n", path, number,
               (int)a.bytes, (const char *)a.data, (int)b.bytes, (const char *)b.data);
        return 1;
    }
}

int story_run(const char *path, bool print, bool trace)
{
    char *transcript;
    size_t bytes;
    char *text = file_read(path, &bytes);
    if (!text)
        return 2;
    int result = story_play(slice_of(text, bytes), trace ? trace_print : NULL, &transcript);
    if (result == 2)
        fprintf(stderr, "gtstore-sim: %s:%s", path, transcript);
    else if (print)
        fputs(transcript, stdout);
    else if (compare(path, slice_of(text, bytes), slice_text(transcript)) != 0)
        result = 1;
    free(transcript);
    free(text);
    return result;
}
