#include "manager/manager.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "engine/base/prng.h"
#include "manager/manager_private.h"
#include "manager/placement.h"

/* ---- birth ----------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void say(char text[MSG_TEXT_BYTES], const char *format,
                                                      ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(text, MSG_TEXT_BYTES, format, args);
    va_end(args);
}

static int settings_sound(const struct settings *s, char why[MSG_TEXT_BYTES])
{
    char quorums[128];
    if (settings_check(s, quorums) != 0) {
        say(why, "%s", quorums);
        return GT_EARG;
    }
    if (s->partitions < 1 || s->partitions > PARTITIONS_MAX) {
        say(why, "1 <= partitions <= %d does not hold: %u", PARTITIONS_MAX, s->partitions);
        return GT_EARG;
    }
    if (s->form_nodes < 1 || s->form_nodes > MEMBERS_MAX) {
        say(why, "1 <= form-nodes <= %d does not hold: %u", MEMBERS_MAX, s->form_nodes);
        return GT_EARG;
    }
    if (s->value_bytes_max < 1 || s->value_bytes_max > VALUE_BYTES_LIMIT) {
        say(why, "1 <= value-max <= %u does not hold: %llu", VALUE_BYTES_LIMIT,
            (unsigned long long)s->value_bytes_max);
        return GT_EARG;
    }
    return 0;
}

static const char *profile_name(uint64_t profile)
{
    return profile == PROFILE_COURSE ? "course" : "default";
}

static int settings_compare(const struct settings *asked, const struct settings *have,
                            uint32_t given, char why[MSG_TEXT_BYTES])
{
    const struct {
        uint32_t flag;
        const char *name;
        uint64_t asked, have;
    } rows[] = {
        {GIVEN_REPLICAS, "replicas", asked->replicas, have->replicas},
        {GIVEN_READ_QUORUM, "read-quorum", asked->read_quorum, have->read_quorum},
        {GIVEN_WRITE_QUORUM, "write-quorum", asked->write_quorum, have->write_quorum},
        {GIVEN_PARTITIONS, "partitions", asked->partitions, have->partitions},
        {GIVEN_FORM_NODES, "form-nodes", asked->form_nodes, have->form_nodes},
        {GIVEN_VALUE_MAX, "value-max", asked->value_bytes_max, have->value_bytes_max},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if ((given & rows[i].flag) && rows[i].asked != rows[i].have) {
            say(why, "--%s %llu differs from the cluster's %llu; leave the flag out to keep that",
                rows[i].name, (unsigned long long)rows[i].asked, (unsigned long long)rows[i].have);
            return GT_ESETTINGS;
        }
    if ((given & GIVEN_PROFILE) && asked->profile != have->profile) {
        say(why, "--profile %s differs from the cluster's %s; leave the flag out to keep that",
            profile_name(asked->profile), profile_name(have->profile));
        return GT_ESETTINGS;
    }
    return 0;
}

static void cluster_id_choose(struct manager *m, uint64_t seed)
{
    if (m->catalog.told) {
        memcpy(m->cluster_id, m->catalog.told->cluster_id, CLUSTER_ID_BYTES);
        m->cluster_id_durable = true;
    } else if (!cluster_none(m->identity.cluster_id)) {
        memcpy(m->cluster_id, m->identity.cluster_id, CLUSTER_ID_BYTES);
        m->cluster_id_durable = true;
    } else {
        struct prng dice;
        prng_init(&dice, seed);
        prng_fill(&dice, m->cluster_id, CLUSTER_ID_BYTES);
    }
}

int manager_new(const struct manager_config *c, struct manager **out, char why[MSG_TEXT_BYTES])
{
    struct manager *m = calloc(1, sizeof(*m));
    why[0] = '\0';
    if (!m)
        return GT_ENOMEM;
    m->log = c->log;
    m->events = c->events;
    m->identity = c->identity;
    m->given = c->given;
    m->asked = c->settings;
    ballots_init(m, c->seed);
    hlc_init(&m->clock, c->stamp_max);
    m->form_after_us = c->form_after_us;
    m->form_first_us = c->form_first_us;
    m->heartbeat_us = c->heartbeat_us ? c->heartbeat_us : HEARTBEAT_US_DEFAULT;
    m->reap_wait_us = c->reap_wait_us;
    m->rebalance_auto = c->rebalance_auto;
    m->greeted = calloc(MANAGER_LINKS_MAX, sizeof(*m->greeted));
    int error = mover_init(&m->mover, MANAGER_MISSES_MAX * m->heartbeat_us, c->replace_after_us);
    if (error) {
        free(m->greeted);
        free(m);
        return error;
    }
    error = m->greeted ? catalog_init(&m->catalog, c->map) : GT_ENOMEM;
    if (error) {
        say(why, "the stored cluster map cannot be read: %s", error_text(error));
        goto fail;
    }
    const struct ring *stored = m->catalog.told;
    error = stored ? settings_compare(&c->settings, &stored->settings, c->given, why)
                   : settings_sound(&c->settings, why);
    if (error)
        goto fail;
    m->settings = stored ? stored->settings : c->settings;
    if (c->replace_by_profile && m->settings.profile == PROFILE_COURSE)
        m->mover.replace_after_us = REPLACE_COURSE_US;
    cluster_id_choose(m, c->seed);
    for (uint32_t i = 0; i < MEMBERS_MAX; i++)
        m->sightings[i].heard_us = UINT64_MAX;
    *out = m;
    return 0;
fail:
    manager_free(m);
    return error;
}

int manager_settings_judge(struct manager *m, const struct ring *r, char why[MSG_TEXT_BYTES])
{
    int error = settings_compare(&m->asked, &r->settings, m->given, why);
    if (!error)
        m->settings = r->settings;
    return error;
}

void manager_free(struct manager *m)
{
    if (!m)
        return;
    ballots_close(m);
    catalog_close(&m->catalog);
    mover_close(&m->mover);
    free(m->greeted);
    free(m);
}

void manager_remember_port(struct manager *m, uint16_t port)
{
    m->port_to_store = port;
}

const struct ring *manager_ring(const struct manager *m)
{
    return m->catalog.told;
}

const struct settings *manager_settings(const struct manager *m)
{
    return &m->settings;
}

const uint8_t *manager_cluster_id(const struct manager *m)
{
    return m->cluster_id;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Every message says which map its sender has, and raises the receiver's clock. */
static struct msg message(struct manager *m, enum msg_type type, uint64_t id, uint64_t wall_us)
{
    struct msg out = {.type = type, .id = id, .stamp = hlc_now(&m->clock, wall_us)};
    if (m->catalog.told)
        out.epoch = m->catalog.told->epoch;
    return out;
}

struct msg reply_to(struct manager *m, const struct gt_event *ev)
{
    const struct msg *request = ev->message.msg;
    enum msg_type type = (enum msg_type)(request->type + 1);
    return message(m, type, request->id, ev->wall_us);
}

static void map_answer(struct manager *m, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct ring *told = m->catalog.told;
    struct msg reply = reply_to(m, ev);
    if (told && epoch_compare(ev->message.msg->epoch, told->epoch) != 0)
        reply.map.ring = m->catalog.told;
    effects_reply(fx, ev->link, &reply);
}

static void status_answer(struct manager *m, const struct gt_event *ev, struct gt_effects *fx)
{
    struct status status = {0};
    struct msg reply = reply_to(m, ev);
    const struct ring *told = m->catalog.told;
    reply.status_reply.error = told ? status_fill(told, catalog_newest(&m->catalog), m->sightings,
                                                  told->member_count, ev->now_us, &status)
                                    : GT_EBUSY;
    if (reply.status_reply.error == 0) {
        moves_status(m, told, &status, ev->now_us);
        reply.status_reply.status = &status;
        status.manager_reachable = leading(m);
        status.standby = !leading(m);
    }
    effects_reply(fx, ev->link, &reply);
    status_close(&status);
}

static void events_answer(struct manager *m, const struct gt_event *ev, struct gt_effects *fx)
{
    struct msg reply = reply_to(m, ev);
    msg_events(&reply, MANAGER_LABEL, m->events);
    effects_reply(fx, ev->link, &reply);
    free(reply.events_reply.events);
}

static void data_refuse(struct manager *m, const struct gt_event *ev, struct gt_effects *fx)
{
    struct msg reply = reply_to(m, ev);
    struct reply_head head = {.error = GT_ENOTOWNER,
                              .outcome = OUTCOME_NOT_APPLIED,
                              .text = slice_text("the manager holds no data: ask a storage node")};
    switch (ev->message.msg->type) {
    case MSG_PUT:
        reply.put_reply.head = head;
        break;
    case MSG_GET:
        reply.get_reply.head = head;
        break;
    case MSG_SCAN:
    case MSG_RANGE:
        reply.scan_reply.head = head;
        break;
    case MSG_STATE:
    case MSG_PARCEL:
        reply.state_reply.head = head;
        break;
    case MSG_VERIFY:
        reply.verify_reply.head = head;
        break;
    default:
        reply.fetch_reply.head = head;
        break;
    }
    effects_reply(fx, ev->link, &reply);
}

static void register_answer(struct manager *m, uint64_t link, uint64_t id, uint64_t wall_us,
                            int error, const char *text, const char *label, struct gt_effects *fx)
{
    struct msg reply = message(m, MSG_REGISTER_REPLY, id, wall_us);
    reply.register_reply.error = error;
    reply.register_reply.text = slice_text(text);
    reply.register_reply.label = slice_text(label);
    if (!error)
        memcpy(reply.register_reply.cluster_id, m->cluster_id, CLUSTER_ID_BYTES);
    effects_reply(fx, link, &reply);
}

/* ---- links ----------------------------------------------------------------------------------- */

static struct greeted *greeted_find(struct manager *m, uint64_t link)
{
    for (uint32_t i = 0; i < m->greeted_count; i++)
        if (m->greeted[i].link == link)
            return &m->greeted[i];
    return NULL;
}

static void link_forget(struct manager *m, uint64_t link)
{
    struct greeted *g = greeted_find(m, link);
    if (g)
        *g = m->greeted[--m->greeted_count];
    for (uint32_t i = 0; i < MEMBERS_MAX; i++)
        if (m->waiting[i].link == link)
            m->waiting[i] = (struct waiting){0};
}

/* Judges the incarnation of member `known` (-1: of a node that is none), and the lives that its
 * folder knows of: 0; GT_EINCARNATION; or GT_ECLOCK, before it gets into a map from which nobody
 * could take it back. */
static int incarnation_check(struct manager *m, const struct ring *r, int known,
                             uint64_t incarnation, uint64_t previous, struct slice told,
                             uint64_t wall_us, char why[MSG_TEXT_BYTES])
{
    uint64_t seen = known >= 0 ? r->members[known].incarnation : 0;
    if (incarnation > seen && !incarnation_plausible(incarnation, &m->clock, wall_us)) {
        say(why, "its start lies more than a year ahead of the manager's clock; with the clock set "
                 "right, an empty folder can take its place: --replace");
        return GT_ECLOCK;
    }
    struct lives lives = {.count = 0};
    lives_take(&lives, told);
    lives_add(&lives, incarnation);
    lives_add(&lives, previous);
    if (!lives_know(&lives, seen)) {
        say(why, "a start of this node was seen that its folder does not know of: was it rolled "
                 "back, or is it a copy?");
        return GT_EINCARNATION;
    }
    return 0;
}

/* Another life of the member is linked: a restart whose end was not heard of, or the process of a
 * copied folder. The heartbeats of the one that is linked tell. */
static int rival_check(struct manager *m, int member, uint64_t link, const struct msg *hello,
                       uint64_t now_us, char why[MSG_TEXT_BYTES])
{
    bool linked = false;
    for (uint32_t i = 0; i < m->greeted_count; i++) {
        const struct greeted *g = &m->greeted[i];
        linked |= g->registered && g->link != link && g->node == hello->hello.node &&
                  g->incarnation != hello->hello.incarnation;
    }
    if (member < 0 || !linked)
        return 0;
    struct rival *r = &m->rivals[member];
    uint64_t heard = m->sightings[member].heard_us;
    if (r->incarnation != hello->hello.incarnation)
        *r = (struct rival){hello->hello.incarnation, now_us};
    if (heard != UINT64_MAX && heard > r->since_us) {
        say(why, "another process of this node is alive; is its folder a copy?");
        return GT_ELOCKED;
    }
    say(why, "another process of this node was alive");
    return now_us < r->since_us + MANAGER_MISSES_MAX * m->heartbeat_us ? GT_EBUSY : 0;
}

/* Why a hello is refused: 0 when it is not. */
static int hello_check(struct manager *m, uint64_t link, const struct msg *hello, uint64_t now_us,
                       uint64_t wall_us, uint64_t *seen, char why[MSG_TEXT_BYTES])
{
    if (hello->hello.protocol_min > MSG_PROTOCOL_MAX ||
        hello->hello.protocol_max < MSG_PROTOCOL_MIN) {
        say(why, "protocol %u to %u wanted, the manager speaks %d to %d", hello->hello.protocol_min,
            hello->hello.protocol_max, MSG_PROTOCOL_MIN, MSG_PROTOCOL_MAX);
        return GT_EFORMAT;
    }
    if (!m->cluster_id_durable || m->greeted_count == MANAGER_LINKS_MAX) {
        say(why, m->cluster_id_durable ? "too many connections" : "the manager is starting");
        return GT_EBUSY;
    }
    bool other = !cluster_none(hello->hello.cluster_id) &&
                 !cluster_same(hello->hello.cluster_id, m->cluster_id);
    if (other && leading(m) && m->catalog.told && m->catalog.told->formed) {
        say(why, "the manager is of another cluster");
        return GT_ECLUSTER;
    }
    /* Who does not lead judges nobody: what it knows may be old, or of another cluster. */
    if (hello->hello.role != ROLE_NODE || other || !leading(m))
        return 0;
    const struct ring *newest = catalog_newest(&m->catalog);
    int member = newest ? ring_member_by_id(newest, hello->hello.node) : -1;
    int error = rival_check(m, member, link, hello, now_us, why);
    if (error)
        return error;
    error = incarnation_check(m, newest, member, hello->hello.incarnation,
                              hello->hello.previous_incarnation, hello->hello.lives, wall_us, why);
    if (error == GT_EINCARNATION)
        *seen = newest->members[member].incarnation;
    return error;
}

static void on_hello(struct manager *m, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *hello = ev->message.msg;
    char why[MSG_TEXT_BYTES] = "";
    uint64_t seen = 0;
    struct msg reply = reply_to(m, ev);
    int error = hello_check(m, ev->link, hello, ev->now_us, ev->wall_us, &seen, why);
    reply.hello.error = error;
    reply.hello.role = ROLE_MANAGER;
    reply.hello.protocol_min = MSG_PROTOCOL_MIN;
    reply.hello.protocol_max = MSG_PROTOCOL_MAX;
    reply.hello.node = m->identity.node_id;
    reply.hello.incarnation = m->identity.incarnation;
    reply.hello.previous_incarnation = m->identity.previous_incarnation;
    reply.hello.seen_incarnation = seen;
    reply.hello.label = slice_text(MANAGER_LABEL);
    reply.hello.text = slice_text(why);
    struct greeted now = {.link = ev->link,
                          .incarnation = hello->hello.incarnation,
                          .node = hello->hello.role == ROLE_NODE ? hello->hello.node : 0,
                          .heard_us = ev->now_us};
    memcpy(now.cluster_id, hello->hello.cluster_id, CLUSTER_ID_BYTES);
    /* A node is told whose manager this is when that is sure. */
    bool sure = now.node == 0 || (leading(m) && !foreign(m, &now));
    if (m->cluster_id_durable && (error || sure))
        memcpy(reply.hello.cluster_id, m->cluster_id, CLUSTER_ID_BYTES);
    effects_reply(fx, ev->link, &reply);
    if (error) {
        log_warn(m->log, "hello refused link=%llu node=%016llx: %s", (unsigned long long)ev->link,
                 (unsigned long long)hello->hello.node, why);
        effects_close_link(fx, ev->link);
        return;
    }
    struct greeted *g = greeted_find(m, ev->link); /* a hello may come twice */
    if (!g)
        g = &m->greeted[m->greeted_count++];
    *g = now;
    ballots_greeted(m, g, ev->now_us, ev->wall_us, fx);
}

/* ---- the map is told ------------------------------------------------------------------------- */

/* One frame for all who get it. */
static void map_push(struct manager *m, uint64_t only_link, uint64_t wall_us, struct gt_effects *fx)
{
    struct msg push = message(m, MSG_MAP, 0, wall_us);
    push.map.ring = m->catalog.told;
    struct blob *frame = msg_frame(&push);
    gt_assert(frame);
    for (uint32_t i = 0; i < m->greeted_count; i++) {
        const struct greeted *g = &m->greeted[i];
        if (only_link ? g->link != only_link : !g->registered)
            continue;
        struct gt_effect *e = effects_add(fx, GT_REPLY);
        e->link = g->link;
        e->frame = blob_ref(frame);
    }
    blob_unref(frame);
}

static void registered_answer(struct manager *m, uint32_t member, uint64_t wall_us,
                              struct gt_effects *fx)
{
    struct waiting w = m->waiting[member];
    m->waiting[member] = (struct waiting){0};
    struct greeted *g = greeted_find(m, w.link);
    if (!g)
        return;
    g->registered = true;
    register_answer(m, w.link, w.id, wall_us, 0, "", m->catalog.told->members[member].label, fx);
}

static void waiting_move(struct manager *m, enum waiting_stage from, enum waiting_stage to)
{
    for (uint32_t i = 0; i < MEMBERS_MAX; i++)
        if (m->waiting[i].stage == from)
            m->waiting[i].stage = to;
}

static void on_map_stored(struct manager *m, const struct gt_event *ev, struct gt_effects *fx)
{
    if (!m->catalog.storing)
        return; /* doubled */
    if (!catalog_stored(&m->catalog, ev->result->result)) {
        m->retry_us = ev->now_us + RETRY_US;
        log_error(m->log, "cluster map not stored, trying again: %s",
                  error_text(ev->result->result));
        if (ev->result->result == GT_ELIMIT)
            effects_fail(fx, GT_ELIMIT, "the cluster map is too large to be stored");
        return;
    }
    m->cluster_id_durable = true;
    if (!leading(m))
        return; /* a copy of what another manager has told */
    m->ballots.gone_count = 0;
    for (uint32_t i = 0; i < m->catalog.told->member_count; i++)
        if (m->waiting[i].stage == WAITING_IN_WRITE)
            registered_answer(m, i, ev->wall_us, fx);
    map_push(m, 0, ev->wall_us, fx);
    moves_told(m);
    admin_told(m, ev->wall_us, fx);
    log_info(m->log, "map epoch=%llu.%llu members=%u %s",
             (unsigned long long)m->catalog.told->epoch.ballot,
             (unsigned long long)m->catalog.told->epoch.counter, m->catalog.told->member_count,
             m->catalog.told->formed ? "formed" : "forming");
    events_add(m->events, EVENT_MAP, "epoch %llu.%llu, %u members, %s",
               (unsigned long long)m->catalog.told->epoch.ballot,
               (unsigned long long)m->catalog.told->epoch.counter, m->catalog.told->member_count,
               m->catalog.told->formed ? "formed" : "forming");
}

/* ---- members --------------------------------------------------------------------------------- */

static bool has_tokens(const struct ring *r, uint32_t member)
{
    for (uint32_t p = 0; p < r->settings.partitions; p++)
        if (ring_slot(r, p, member) >= 0)
            return true;
    return false;
}

static enum member_state state_when_heard(const struct ring *r, uint32_t member)
{
    enum member_state now = r->members[member].state;
    if (now != MEMBER_DOWN)
        return now;
    return !r->formed || has_tokens(r, member) ? MEMBER_UP : MEMBER_JOINING;
}

static void label_choose(const struct ring *r, char label[UNITS_LABEL_BYTES])
{
    for (uint32_t i = 1;; i++) { /* ends: there are more numbers than members */
        snprintf(label, UNITS_LABEL_BYTES, "node%u", i);
        if (ring_member_by_label(r, label) < 0)
            return;
    }
}

/* The place that the node wants to take: *place is its index, -1 when it wants none. Only that of a
 * member who is down, or two of them would act as one. */
static int replace_check(const struct ring *r, int known, struct slice replaces, int *place,
                         char why[MSG_TEXT_BYTES])
{
    char label[UNITS_LABEL_BYTES] = "";
    *place = -1;
    if (known >= 0 || replaces.bytes == 0 || replaces.bytes >= sizeof(label))
        return 0;
    memcpy(label, replaces.data, replaces.bytes);
    int holder = ring_member_by_label(r, label);
    if (holder < 0) {
        say(why, "there is no member %s whose place could be taken", label);
        return GT_ELABEL;
    }
    if (r->members[holder].state == MEMBER_REMOVED) {
        say(why,
            "%s has been removed, and has no place to take: start with another label, without "
            "--replace",
            label);
        return GT_ELABEL;
    }
    if (r->members[holder].state != MEMBER_DOWN) {
        say(why, "%s is %s: the place of a member is given to another only while it is down", label,
            member_state_name(r->members[holder].state));
        return GT_ELABEL;
    }
    *place = holder;
    return 0;
}

/* place: of the member that goes for it, -1: of none. */
static int member_check(const struct ring *r, int known, int place, const struct member *asked,
                        uint64_t hello_node, char why[MSG_TEXT_BYTES])
{
    char address[UNITS_ADDRESS_BYTES];
    if (asked->id == 0 || asked->id != hello_node) {
        say(why, "the registration names another node than the hello");
        return GT_EPROTO;
    }
    if (known >= 0 && r->members[known].state == MEMBER_REMOVED) {
        say(why, "this node is a member no more: begin in an empty folder");
        return GT_ELABEL;
    }
    if (asked->label[0] && units_label_check(asked->label) != 0) {
        say(why, "a label is 1 to 63 letters, digits, '.', '_' or '-'");
        return GT_EARG;
    }
    if (known < 0 && strcmp(asked->label, MANAGER_LABEL) == 0) {
        say(why, "the label %s is the manager's", MANAGER_LABEL);
        return GT_ELABEL;
    }
    if (asked->zone[0] && units_label_check(asked->zone) != 0) {
        say(why, "a zone is 1 to 63 letters, digits, '.', '_' or '-'");
        return GT_EARG;
    }
    if (!(asked->capacity > 0) || asked->capacity > 1e12) {
        say(why, "the capacity must be above 0");
        return GT_EARG;
    }
    if (!asked->address.host[0] || asked->address.port == 0) {
        say(why, "the address to be told to others is missing");
        return GT_EARG;
    }
    int holder = asked->label[0] ? ring_member_by_label(r, asked->label) : -1;
    if (holder >= 0 && holder != known && holder != place) {
        if (r->members[holder].state == MEMBER_REMOVED) {
            say(why, "label %s was that of a node that has been removed: start with another label",
                asked->label);
            return GT_ELABEL;
        }
        units_address_text(&r->members[holder].address, address);
        char way[56 + UNITS_LABEL_BYTES] = "";
        if (known < 0) /* who is somebody already cannot take another one's place */
            snprintf(way, sizeof(way), "; if its folder was lost, start with --replace %s",
                     asked->label);
        say(why, "label %s in use by node %016llx at %.50s%s", asked->label,
            (unsigned long long)r->members[holder].id, address, way);
        return GT_ELABEL;
    }
    if (known >= 0 && asked->label[0] && holder < 0) {
        say(why, "this node is registered as %s: a label cannot be changed",
            r->members[known].label);
        return GT_ELABEL;
    }
    if (known < 0 && r->member_count == MEMBERS_MAX) {
        say(why, "the cluster has %d members, which is the most", MEMBERS_MAX);
        return GT_ELIMIT;
    }
    return 0;
}

/* What a known member says anew, with the state it has from now on. */
static struct member member_renewed(const struct ring *r, uint32_t index,
                                    const struct member *asked)
{
    struct member renewed = r->members[index];
    renewed.incarnation = asked->incarnation;
    renewed.address = asked->address;
    memcpy(renewed.zone, asked->zone, sizeof(renewed.zone));
    if (!renewed.capacity_set)
        renewed.capacity = asked->capacity;
    renewed.state = state_when_heard(r, index);
    renewed.refill = false; /* its folder knows of the mark now, and fills */
    return renewed;
}

static bool member_equal(const struct member *a, const struct member *b)
{
    return a->incarnation == b->incarnation && a->state == b->state && a->refill == b->refill &&
           strcmp(a->address.host, b->address.host) == 0 && a->address.port == b->address.port &&
           strcmp(a->zone, b->zone) == 0 && !(a->capacity < b->capacity) &&
           !(a->capacity > b->capacity);
}

/* The member at the place goes, to the end of the list, and another one is put there: whose dots
 * are known stays known, and everything that names the place means the new one. */
static void place_give(struct ring *draft, uint32_t place, const struct member *now)
{
    struct member gone = draft->members[place];
    gone.state = MEMBER_REMOVED;
    gone.leaving = gone.replacing = false;
    gone.heir = 0;
    for (uint32_t i = 1;; i++) { /* ends: there are more numbers than members */
        snprintf(gone.label, sizeof(gone.label), "%.40s-replaced-%u", now->label, i);
        if (ring_member_by_label(draft, gone.label) < 0)
            break;
    }
    draft->members[place] = *now;
    draft->members[draft->member_count - 1] = gone;
}

static void joined(struct manager *m, uint32_t index, uint64_t node, uint64_t now_us)
{
    m->sightings[index].node = node;
    m->sightings[index].heard_us = now_us;
    mover_joined(&m->mover, index, node, now_us);
}

static void register_wait(struct manager *m, uint32_t index, const struct gt_event *ev,
                          struct gt_effects *fx)
{
    m->waiting[index] = (struct waiting){.link = ev->link, .id = ev->message.msg->id};
    m->waiting[index].stage = m->catalog.draft ? WAITING_IN_DRAFT : WAITING_IN_WRITE;
    if (m->catalog.draft || m->catalog.writing)
        return;
    registered_answer(m, index, ev->wall_us, fx);
    map_push(m, ev->link, ev->wall_us, fx);
}

static void on_register(struct manager *m, const struct greeted *g, const struct gt_event *ev,
                        struct gt_effects *fx)
{
    const struct msg *request = ev->message.msg;
    const struct member *asked = &request->member.member;
    const struct ring *newest = catalog_newest(&m->catalog);
    char why[MSG_TEXT_BYTES] = "";
    ballots_gone(m, g, request->member.replaces, ev->now_us);
    if (!leading(m) || !newest || foreign(m, g)) {
        register_answer(m, ev->link, request->id, ev->wall_us, GT_EBUSY,
                        "this manager does not lead", "", fx);
        return;
    }
    int known = ring_member_by_id(newest, asked->id), place;
    int error = replace_check(newest, known, request->member.replaces, &place, why);
    if (!error)
        error = member_check(newest, known, place, asked, g->node, why);
    if (!error)
        error = incarnation_check(m, newest, known, asked->incarnation,
                                  request->member.previous_incarnation, request->member.lives,
                                  ev->wall_us, why);
    if (error) {
        log_warn(m->log, "registration refused node=%016llx: %s", (unsigned long long)asked->id,
                 why);
        events_add(m->events, EVENT_NODE_REFUSED, "node %016llx: %s", (unsigned long long)asked->id,
                   why);
        register_answer(m, ev->link, request->id, ev->wall_us, error, why, "", fx);
        return;
    }
    uint32_t index = known >= 0   ? (uint32_t)known
                     : place >= 0 ? (uint32_t)place
                                  : newest->member_count;
    struct member now = *asked;
    now.refill = now.leaving = now.capacity_set = now.replacing = false;
    now.heir = 0;
    if (known >= 0) {
        now = member_renewed(newest, index, asked);
    } else {
        now.state = newest->formed && place < 0 ? MEMBER_JOINING : MEMBER_UP;
        if (place >= 0)
            memcpy(now.label, newest->members[place].label, sizeof(now.label));
        if (!now.label[0])
            label_choose(newest, now.label);
    }
    bool changes = known < 0 || !member_equal(&now, &newest->members[index]);
    bool joins = known < 0 || newest->members[index].state == MEMBER_DOWN;
    uint32_t count = place >= 0 ? newest->member_count + 1 : index + 1;
    struct ring *draft = changes ? catalog_edit(&m->catalog, count) : NULL;
    if (changes && !draft) {
        register_answer(m, ev->link, request->id, ev->wall_us, GT_ENOMEM, "out of memory", "", fx);
        return;
    }
    if (changes && place >= 0)
        place_give(draft, index, &now);
    else if (changes)
        draft->members[index] = now;
    if (place >= 0)
        m->sightings[index] = (struct sighting){.node = now.id};
    if (joins)
        m->last_join_us = ev->now_us;
    if (known < 0)
        events_add(m->events, EVENT_NODE_JOINED, "%s", now.label);
    else if (joins)
        events_add(m->events, EVENT_NODE_UP, "%s: it has started again", now.label);
    log_info(m->log, "registered %s node=%016llx incarnation=%llx %s", now.label,
             (unsigned long long)now.id, (unsigned long long)now.incarnation,
             member_state_name(now.state));
    joined(m, index, asked->id, ev->now_us);
    register_wait(m, index, ev, fx);
}

static int heartbeat_take(struct manager *m, const struct greeted *g, const struct gt_event *ev)
{
    const struct msg *beat = ev->message.msg;
    const struct ring *newest = catalog_newest(&m->catalog);
    if (!leading(m) || !newest || foreign(m, g))
        return GT_EBUSY;
    int index = ring_member_by_id(newest, beat->heartbeat.node);
    if (index < 0 || beat->heartbeat.node != g->node)
        return GT_ENOTFOUND;
    const struct member *member = &newest->members[index];
    if (member->state == MEMBER_REMOVED)
        return GT_ENOTFOUND; /* and no lease: others go on without it */
    if (beat->heartbeat.incarnation < member->incarnation)
        return GT_EINCARNATION;
    if (beat->heartbeat.incarnation > member->incarnation)
        return GT_ENOTFOUND; /* started again: it must register with what it is now */
    struct sighting *s = &m->sightings[index];
    s->node = g->node;
    s->heard_us = ev->now_us;
    s->report = beat->heartbeat.report;
    s->report_known = true;
    mover_hear(&m->mover, newest, (uint32_t)index, beat, ev->now_us);
    enum member_state state = state_when_heard(newest, (uint32_t)index);
    if (state == member->state)
        return 0;
    struct ring *draft = catalog_edit(&m->catalog, newest->member_count);
    if (!draft)
        return 0; /* the next heartbeat tries again */
    draft->members[index].state = state;
    m->last_join_us = ev->now_us;
    log_info(m->log, "heard again %s", draft->members[index].label);
    events_add(m->events, EVENT_NODE_UP, "%s: heard again", draft->members[index].label);
    return 0;
}

static void on_heartbeat(struct manager *m, struct greeted *g, const struct gt_event *ev,
                         struct gt_effects *fx)
{
    struct msg reply = reply_to(m, ev);
    reply.heartbeat_reply.error = heartbeat_take(m, g, ev);
    if (!reply.heartbeat_reply.error)
        reply.heartbeat_reply.lease_ms = (uint32_t)(MANAGER_MISSES_MAX * m->heartbeat_us / 1000);
    effects_reply(fx, ev->link, &reply);
}

/* ---- time ------------------------------------------------------------------------------------ */

static bool watched(const struct member *member)
{
    return member->state != MEMBER_DOWN && member->state != MEMBER_REMOVED;
}

/* Since when it is silent, from our own start at the earliest. */
static uint64_t heard_us(const struct manager *m, uint32_t member)
{
    uint64_t heard = m->sightings[member].heard_us;
    return heard == UINT64_MAX || heard < m->start_us ? m->start_us : heard;
}

/* When a member is down unless it is heard before. */
static uint64_t silence_us(const struct manager *m, uint32_t member)
{
    return heard_us(m, member) + MANAGER_MISSES_MAX * m->heartbeat_us;
}

/* When one that is down is marked to refill; UINT64_MAX: never, or it is. */
static uint64_t refill_us(const struct manager *m, const struct ring *r, uint32_t member)
{
    bool may = m->reap_wait_us > 0 && r->formed && r->members[member].state == MEMBER_DOWN &&
               !r->members[member].refill;
    return may ? heard_us(m, member) + m->reap_wait_us : UINT64_MAX;
}

/* Enough owners of the arc are left unmarked when this one is: every w has one of them. */
static bool arc_spares(const struct ring *r, uint32_t partition, uint32_t member)
{
    const struct arc *arc = &r->arcs[partition];
    uint32_t total, write, read, left = 0;
    ring_quorums(r, partition, &total, &write, &read);
    for (uint32_t i = 0; i < arc->owner_count; i++)
        left += arc->owners[i] != member && !r->members[arc->owners[i]].refill;
    return left >= total - write + 1;
}

static bool refill_allowed(const struct ring *r, uint32_t member)
{
    uint32_t members = 0, down = 0;
    for (uint32_t i = 0; i < r->member_count; i++) {
        members += r->members[i].state != MEMBER_REMOVED;
        down += r->members[i].state == MEMBER_DOWN;
    }
    if (down * 3 > members)
        return false;
    for (uint32_t p = 0; p < r->settings.partitions; p++)
        if (ring_slot(r, p, member) >= 0 && !arc_spares(r, p, member))
            return false;
    return true;
}

static void mark_away(struct manager *m, uint64_t now_us)
{
    const struct ring *newest = catalog_newest(&m->catalog);
    for (uint32_t i = 0; newest && i < newest->member_count; i++) {
        if (now_us < refill_us(m, newest, i) || !refill_allowed(newest, i))
            continue;
        struct ring *draft = catalog_edit(&m->catalog, newest->member_count);
        if (!draft)
            return;
        draft->members[i].refill = true;
        draft->members[i].incarnation += !MUTANT(return_unfilled);
        newest = draft;
        log_warn(m->log, "away for too long %s: it is waited for no more, and fills on its return",
                 draft->members[i].label);
        events_add(m->events, EVENT_NODE_AWAY, "%s: it fills on its return",
                   draft->members[i].label);
    }
}

static void mark_silent(struct manager *m, uint64_t now_us)
{
    const struct ring *newest = catalog_newest(&m->catalog);
    for (uint32_t i = 0; newest && i < newest->member_count; i++) {
        if (!watched(&newest->members[i]) || now_us < silence_us(m, i))
            continue;
        struct ring *draft = catalog_edit(&m->catalog, newest->member_count);
        if (!draft)
            return;
        draft->members[i].state = MEMBER_DOWN;
        newest = draft;
        log_warn(m->log, "down %s: no heartbeat for %llu ms", draft->members[i].label,
                 (unsigned long long)(MANAGER_MISSES_MAX * m->heartbeat_us / 1000));
        events_add(m->events, EVENT_NODE_DOWN, "%s: no heartbeat for %llu ms",
                   draft->members[i].label,
                   (unsigned long long)(MANAGER_MISSES_MAX * m->heartbeat_us / 1000));
    }
}

/* When the cluster forms if nobody joins or leaves before; UINT64_MAX when too few are there. A
 * member of a stored map counts once it was heard. */
static uint64_t forming_us(const struct manager *m)
{
    const struct ring *newest = catalog_newest(&m->catalog);
    uint32_t there = 0;
    if (!newest || newest->formed)
        return UINT64_MAX;
    for (uint32_t i = 0; i < newest->member_count; i++)
        there += newest->members[i].state == MEMBER_UP && m->sightings[i].heard_us != UINT64_MAX;
    for (uint32_t i = 0; i < m->greeted_count; i++)
        if (ballots_waits(m, &m->greeted[i]))
            return UINT64_MAX;
    if (there < newest->settings.form_nodes)
        return UINT64_MAX;
    uint64_t after_us = m->last_join_us + m->form_after_us,
             first_us = m->began_us + m->form_first_us;
    return after_us > first_us ? after_us : first_us;
}

static void form(struct manager *m, uint64_t now_us)
{
    if (now_us < forming_us(m))
        return;
    const struct ring *newest = catalog_newest(&m->catalog);
    struct ring *formed = ring_new(newest->member_count, newest->settings.partitions);
    m->last_join_us = now_us; /* out of memory: tried again after another pause */
    if (!formed)
        return;
    formed->settings = newest->settings;
    memcpy(formed->cluster_id, newest->cluster_id, CLUSTER_ID_BYTES);
    memcpy(formed->members, newest->members, newest->member_count * sizeof(*formed->members));
    if (placement_form(formed) != 0) {
        ring_unref(formed);
        return;
    }
    formed->formed = true;
    m->mover.judged_for = mover_inputs(formed); /* they are dealt as they should be */
    catalog_begin(&m->catalog, formed);
    log_info(m->log, "cluster formed members=%u", formed->member_count);
    events_add(m->events, EVENT_FORMED, "%u members", formed->member_count);
}

/* When the draft may be put on its way: at once, or in the place of a map that does not come to
 * count. UINT64_MAX: not before that one has. */
static uint64_t commit_us(const struct manager *m)
{
    const struct catalog *c = &m->catalog;
    if (!c->draft || (c->writing && (c->counted || c->found)))
        return UINT64_MAX;
    return c->writing ? m->proposed_us + RETRY_US : m->retry_us;
}

static void commit(struct manager *m, uint64_t now_us, uint64_t wall_us, struct gt_effects *fx)
{
    struct catalog *c = &m->catalog;
    if (!leading(m) || now_us < m->retry_us)
        return;
    if (c->draft && now_us >= commit_us(m)) {
        if (catalog_commit(c)) {
            waiting_move(m, WAITING_IN_DRAFT, WAITING_IN_WRITE);
            ballots_propose(m, now_us, wall_us, fx);
        } else {
            m->retry_us = now_us + RETRY_US;
        }
    }
    if (ballots_held(m) || (c->counted && !c->storing))
        catalog_counted(c, m->clock.last, fx);
}

/* One that may not be marked now may be when another comes back, which is a step of its own. */
static uint64_t away_deadline_us(const struct manager *m, const struct ring *r, uint64_t deadline)
{
    for (uint32_t i = 0; r && i < r->member_count; i++) {
        uint64_t at = refill_us(m, r, i);
        if (at < deadline && refill_allowed(r, i))
            deadline = at;
    }
    return deadline;
}

uint64_t manager_deadline_us(const struct manager *m)
{
    const struct ring *newest = catalog_newest(&m->catalog);
    if (!leading(m))
        return UINT64_MAX; /* nodes that are heard drive it */
    uint64_t deadline = forming_us(m);
    for (uint32_t i = 0; newest && i < newest->member_count; i++)
        if (watched(&newest->members[i]) && silence_us(m, i) < deadline)
            deadline = silence_us(m, i);
    deadline = away_deadline_us(m, newest, deadline);
    if (moves_deadline_us(m) < deadline)
        deadline = moves_deadline_us(m);
    if (commit_us(m) < deadline)
        deadline = commit_us(m) > m->retry_us ? commit_us(m) : m->retry_us;
    if (m->catalog.counted && !m->catalog.storing && m->retry_us < deadline)
        deadline = m->retry_us;
    return deadline;
}

/* ---- the switch ------------------------------------------------------------------------------ */

static void port_store(struct manager *m, struct gt_effects *fx)
{
    uint8_t bytes[2];
    le16_put(bytes, m->port_to_store);
    struct blob *hold = blob_copy(bytes, sizeof(bytes));
    gt_assert(hold);
    struct store_request request = {.kind = STORE_META,
                                    .tag = TAG_PORT,
                                    .hold = hold,
                                    .key = slice_text("port"),
                                    .value = slice_blob(hold)};
    effects_store(fx, &request);
}

static void on_start(struct manager *m, const struct gt_event *ev, struct gt_effects *fx)
{
    ballots_begin(m, ev->now_us);
    events_add(m->events, EVENT_STARTED, "incarnation %016llx",
               (unsigned long long)m->identity.incarnation);
    if (leading(m) && m->catalog.told) {
        /* A new reign has a new ballot, in a map of its own, even when nothing else changes. */
        if (!catalog_edit(&m->catalog, m->catalog.told->member_count))
            effects_fail(fx, GT_ENOMEM, "out of memory");
    } else if (leading(m)) {
        struct ring *first = ring_new(0, 0);
        gt_assert(first); /* a machine cannot fail */
        first->settings = m->settings;
        memcpy(first->cluster_id, m->cluster_id, CLUSTER_ID_BYTES);
        catalog_begin(&m->catalog, first);
    }
    if (m->port_to_store)
        port_store(m, fx);
    else
        effects_ready(fx);
}

static void on_port_stored(struct manager *m, const struct gt_event *ev, struct gt_effects *fx)
{
    if (!m->port_to_store)
        return; /* doubled */
    m->port_to_store = 0;
    if (ev->result->result)
        effects_fail(fx, ev->result->result, "the port cannot be stored: %s",
                     error_text(ev->result->result));
    else
        effects_ready(fx);
}

static void on_message(struct manager *m, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *request = ev->message.msg;
    hlc_observe(&m->clock, request->stamp, ev->wall_us);
    struct greeted *g = greeted_find(m, ev->link);
    if (!g && request->type != MSG_HELLO) {
        log_warn(m->log, "link closed, it came without a hello link=%llu",
                 (unsigned long long)ev->link);
        effects_close_link(fx, ev->link);
        return;
    }
    if (g) {
        g->heard_us = ev->now_us;
        ballots_epoch_seen(m, g, request->epoch, ev->now_us);
    }
    switch (request->type) {
    case MSG_HELLO:
        on_hello(m, ev, fx);
        return;
    case MSG_VOTE:
        ballots_vote(m, g, request, ev->now_us, fx);
        return;
    case MSG_PING: {
        struct msg reply = reply_to(m, ev);
        effects_reply(fx, ev->link, &reply);
        return;
    }
    case MSG_MAP_GET:
        map_answer(m, ev, fx);
        return;
    case MSG_STATUS:
        status_answer(m, ev, fx);
        return;
    case MSG_EVENTS:
        events_answer(m, ev, fx);
        return;
    case MSG_ADMIN:
        admin_answer(m, ev, fx);
        return;
    case MSG_PLAN:
        plan_answer(m, ev, fx);
        return;
    case MSG_REGISTER:
        on_register(m, g, ev, fx);
        ballots_ask(m, g, ev->now_us, ev->wall_us, fx);
        return;
    case MSG_HEARTBEAT:
        on_heartbeat(m, g, ev, fx);
        ballots_ask(m, g, ev->now_us, ev->wall_us, fx);
        return;
    case MSG_PUT:
    case MSG_GET:
    case MSG_SCAN:
    case MSG_STATE:
    case MSG_PARCEL:
    case MSG_FETCH:
    case MSG_RANGE:
    case MSG_VERIFY:
        data_refuse(m, ev, fx);
        return;
    default:
        log_debug(m->log, "message dropped type=%d", request->type);
        return;
    }
}

void manager_step(struct manager *m, const struct gt_event *ev, struct gt_effects *out)
{
    events_at(m->events, ev->wall_us);
    switch (ev->kind) {
    case GT_START:
        on_start(m, ev, out);
        break;
    case GT_MESSAGE:
        if (ev->link)
            on_message(m, ev, out);
        break;
    case GT_STORED:
        if (ev->result->tag == CATALOG_TAG)
            on_map_stored(m, ev, out);
        else if (ev->result->tag == TAG_PORT)
            on_port_stored(m, ev, out);
        break;
    case GT_LINK_DOWN:
        if (ev->link)
            link_forget(m, ev->link);
        break;
    case GT_LINK_UP:
    case GT_TIMEOUT:
    case GT_LOADED:
    case GT_SCANNED:
    case GT_CALL:
        break;
    }
    ballots_go_on(m, ev->now_us, ev->wall_us, out);
    if (!leading(m))
        return;
    mark_silent(m, ev->now_us);
    mark_away(m, ev->now_us);
    form(m, ev->now_us);
    moves_step(m, ev->now_us);
    commit(m, ev->now_us, ev->wall_us, out);
}

static void step(void *self, const struct gt_event *ev, struct gt_effects *out)
{
    manager_step(self, ev, out);
}

static uint64_t deadline(const void *self)
{
    return manager_deadline_us(self);
}

struct gt_machine manager_machine(struct manager *m)
{
    return (struct gt_machine){m, step, deadline};
}
