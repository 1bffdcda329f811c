/*
 * What people ask of the manager (gtstore-admin): each verb looks at the newest map and either says
 * why not, or that it is so already, or changes the draft. What changes it is answered when the map
 * is told, so that whoever was told "accepted" finds it so after any crash.
 */
#include <stdarg.h>
#include <stdio.h>

#include "engine/base/error.h"
#include "manager/manager_private.h"

#define WARNING_BYTES 100

/* A verb at work. */
struct wish {
    struct manager *m;
    const struct msg *request;
    const struct ring *newest;
    char text[MSG_TEXT_BYTES];
    bool changed;
};

__attribute__((format(printf, 3, 4))) static int say(struct wish *w, int error, const char *format,
                                                     ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(w->text, sizeof(w->text), format, args);
    va_end(args);
    return error;
}

/* The map to change; NULL with the text of the failure. */
static struct ring *draft_of(struct wish *w)
{
    struct ring *draft = catalog_edit(&w->m->catalog, w->newest->member_count);
    if (!draft)
        say(w, 0, "out of memory");
    w->changed = draft != NULL;
    return draft;
}

/* The member of that label: 0, or GT_ENOTFOUND, GT_ELABEL when it is none any more. */
static int member_find(struct wish *w, struct slice label, uint32_t *out)
{
    char name[UNITS_LABEL_BYTES] = "";
    if (label.bytes > 0 && label.bytes < sizeof(name))
        memcpy(name, label.data, label.bytes);
    int index = name[0] ? ring_member_by_label(w->newest, name) : -1;
    if (index < 0)
        return say(w, GT_ENOTFOUND, "there is no member %.*s",
                   (int)(label.bytes < UNITS_LABEL_BYTES ? label.bytes : UNITS_LABEL_BYTES),
                   (const char *)label.data);
    *out = (uint32_t)index;
    if (w->newest->members[index].state == MEMBER_REMOVED)
        return say(w, GT_ELABEL, "%s is a member no more", name);
    return 0;
}

/* How many take part besides this one. */
static uint32_t others(const struct ring *r, uint32_t member)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->member_count; i++)
        count += i != member && mover_takes_part(&r->members[i], true);
    return count;
}

static const char *pause_text(const struct ring *r)
{
    return r->rebalance == REBALANCE_PAUSED ? "; the rebalance is paused: see rebalance --resume"
                                            : "";
}

/* What lists of fewer copies mean, when so few are left; "". */
static const char *shorter_text(const struct wish *w, uint32_t left, char text[WARNING_BYTES])
{
    uint32_t n = w->newest->settings.replicas;
    text[0] = '\0';
    if (left < n)
        snprintf(text, WARNING_BYTES, "; warning: %u left, so keys have %u of %u copies", left,
                 left, n);
    return text;
}

/* ---- the rebalance --------------------------------------------------------------------------- */

static int apply(struct wish *w)
{
    const struct ring *r = w->newest, *told = w->m->catalog.told;
    struct epoch asked = w->request->admin.epoch;
    if (asked.counter != 0 && (asked.counter != told->epoch.counter ||
                               (asked.ballot != 0 && asked.ballot != told->epoch.ballot)))
        return say(w, GT_ECONFLICT, "the map has epoch %llu now, not %llu: plan again",
                   (unsigned long long)told->epoch.counter, (unsigned long long)asked.counter);
    /* Whoever names an epoch wants the plan of that one, and not what another one has begun. */
    if (r->rebalance == REBALANCE_RUNNING)
        return say(w, asked.counter != 0 ? GT_ECONFLICT : 0, "a rebalance is under way already");
    uint64_t left = mover_left(&w->m->mover, r);
    if (left == 0 && r->rebalance == REBALANCE_IDLE)
        return say(w, 0, "nothing to move");
    struct ring *draft = draft_of(w);
    if (!draft || !moves_begin_all(w->m))
        return GT_ENOMEM;
    draft->rebalance = REBALANCE_RUNNING; /* a paused one too */
    return say(w, 0, "the rebalance begins: %llu moves", (unsigned long long)left);
}

static int rebalance_pause(struct wish *w)
{
    if (w->newest->rebalance == REBALANCE_PAUSED)
        return say(w, 0, "the rebalance is paused already");
    /* Going on would begin what nobody has applied. */
    if (w->newest->rebalance == REBALANCE_IDLE && !w->m->rebalance_auto)
        return say(w, 0, "nothing to pause: no rebalance is under way, and none begins by itself");
    struct ring *draft = draft_of(w);
    if (!draft)
        return GT_ENOMEM;
    draft->rebalance = REBALANCE_PAUSED;
    return say(w, 0, "paused: no move begins; those that have begun go on");
}

static int resume(struct wish *w)
{
    if (w->newest->rebalance != REBALANCE_PAUSED)
        return say(w, 0, "the rebalance is not paused");
    struct ring *draft = draft_of(w);
    if (!draft)
        return GT_ENOMEM;
    draft->rebalance = REBALANCE_RUNNING;
    return say(w, 0, "the rebalance goes on: %llu moves are left",
               (unsigned long long)mover_left(&w->m->mover, draft));
}

static bool anything_on(const struct ring *r)
{
    bool leaving = false;
    for (uint32_t i = 0; i < r->member_count; i++)
        leaving |= r->members[i].leaving;
    return leaving || r->rebalance != REBALANCE_IDLE || ring_tally(r).prepare > 0;
}

/* Nobody is drained any more either: what was begun for it would begin anew. */
static int cancel(struct wish *w)
{
    struct catalog *c = &w->m->catalog;
    const struct ring *base = c->writing ? c->writing : c->told;
    uint32_t count = 0;
    if (!anything_on(w->newest))
        return say(w, 0, "there is nothing to cancel");
    struct ring *draft = draft_of(w);
    if (!draft)
        return GT_ENOMEM;
    for (uint32_t p = 0; p < draft->settings.partitions; p++)
        count += mover_cancel(draft, base, p);
    for (uint32_t i = 0; i < draft->member_count; i++) {
        draft->members[i].leaving = false;
        draft->members[i].heir = 0;
    }
    draft->rebalance = REBALANCE_IDLE;
    draft->cancelled_for = mover_inputs(draft); /* it does not begin anew by itself */
    return say(w, 0, "cancelled: %u moves are undone, %u were too far and are ended", count,
               ring_tally(draft).read_new);
}

/* ---- members --------------------------------------------------------------------------------- */

static int drain_check(struct wish *w, uint32_t index)
{
    const struct member *m = &w->newest->members[index];
    if (others(w->newest, index) == 0)
        return say(w, GT_ELABEL, "%s is the only one left: what it has could go nowhere", m->label);
    return 0;
}

static int drain(struct wish *w)
{
    uint32_t index;
    char warning[WARNING_BYTES];
    int error = member_find(w, w->request->admin.node, &index);
    if (!error)
        error = drain_check(w, index);
    if (error)
        return error;
    const char *label = w->newest->members[index].label;
    if (w->newest->members[index].leaving)
        return say(w, 0, "%s is being drained already%s", label, pause_text(w->newest));
    struct ring *draft = draft_of(w);
    if (!draft || !moves_begin_all(w->m))
        return GT_ENOMEM;
    draft->members[index].leaving = true;
    bool down = draft->members[index].state == MEMBER_DOWN;
    return say(w, 0, "%s is being drained%s%s%s", label,
               shorter_text(w, others(w->newest, index), warning), pause_text(draft),
               down ? "; it is down, and leaves when it is back: see remove" : "");
}

/* Without it each list that is written to keeps as many members as every write surely reached one
 * of: n-w+1. */
static bool list_spares(const struct ring *r, const uint16_t *list, uint32_t count, uint32_t member)
{
    uint32_t write, read, left = 0;
    bool has = false;
    for (uint32_t i = 0; i < count; i++) {
        const struct member *m = &r->members[list[i]];
        has |= list[i] == member;
        left += list[i] != member && m->state != MEMBER_REMOVED && !m->refill;
    }
    ring_list_quorums(r, count, &write, &read);
    return !has || left >= count - write + 1;
}

static uint32_t partitions_lost(const struct ring *r, uint32_t member)
{
    uint32_t lost = 0;
    for (uint32_t p = 0; r->formed && p < r->settings.partitions; p++) {
        const struct arc *a = &r->arcs[p];
        lost += !list_spares(r, a->owners, a->owner_count, member) ||
                (arc_doubled(a) && a->phase == ARC_READ_NEW &&
                 !list_spares(r, a->beside, a->beside_count, member));
    }
    return lost;
}

static int remove_check(struct wish *w, uint32_t index)
{
    const struct member *m = &w->newest->members[index];
    if (m->state != MEMBER_DOWN)
        return say(w, GT_ELABEL, "%s is %s: only a member that is down is removed; see drain",
                   m->label, member_state_name(m->state));
    int error = drain_check(w, index);
    uint32_t lost = error ? 0 : partitions_lost(w->newest, index);
    if (lost > 0)
        return say(w, GT_ELABEL,
                   "%s may be the last that has some writes of %u partitions: bring it back, or "
                   "let another take its place (--replace)",
                   m->label, lost);
    return error;
}

static void member_remove(struct ring *draft, uint32_t index)
{
    struct member *m = &draft->members[index];
    m->state = MEMBER_REMOVED;
    m->leaving = m->replacing = false;
}

static int remove_down(struct wish *w)
{
    uint32_t index;
    char warning[WARNING_BYTES];
    int error = member_find(w, w->request->admin.node, &index);
    if (!error)
        error = remove_check(w, index);
    if (error)
        return error;
    const struct member *m = &w->newest->members[index];
    uint32_t tokens = ring_tokens_of(w->newest, index);
    shorter_text(w, others(w->newest, index), warning);
    if (!w->request->admin.apply)
        return say(w, 0,
                   "%s would be a member no more, for good; its %u tokens would go to others%s",
                   m->label, tokens, warning);
    struct ring *draft = draft_of(w);
    if (!draft || !moves_begin_all(w->m))
        return GT_ENOMEM;
    member_remove(draft, index);
    events_add(w->m->events, EVENT_NODE_REMOVED, "%s: by a person", draft->members[index].label);
    return say(w, 0, "%s is removed; its %u tokens go to others%s%s", draft->members[index].label,
               tokens, warning, pause_text(draft));
}

/* Nobody takes two places, and nobody's place is taken twice. */
static int heirs_check(struct wish *w, uint32_t old, uint32_t heir)
{
    const struct ring *r = w->newest;
    for (uint32_t i = 0; i < r->member_count; i++) {
        const struct member *m = &r->members[i];
        int next = m->heir ? ring_member_by_id(r, m->heir) : -1;
        if (next < 0 || (i == old && (uint32_t)next == heir))
            continue;
        if (i == old || i == heir || (uint32_t)next == heir || (uint32_t)next == old)
            return say(w, GT_ELABEL, "%s is to get what %s owns already: see rebalance --cancel",
                       r->members[next].label, m->label);
    }
    return 0;
}

static int heir_check(struct wish *w, uint32_t old, uint32_t heir)
{
    const struct member *m = &w->newest->members[heir];
    if (old == heir)
        return say(w, GT_EARG, "%s cannot replace itself", m->label);
    if (m->leaving || m->state == MEMBER_DOWN)
        return say(w, GT_ELABEL, "%s is %s: who comes must be up and stay", m->label,
                   m->leaving ? "being drained" : member_state_name(m->state));
    if (ring_tokens_of(w->newest, heir) > 0)
        return say(w, GT_ELABEL, "%s has tokens of its own: who comes must have none", m->label);
    return heirs_check(w, old, heir);
}

static int replace(struct wish *w)
{
    uint32_t old, heir;
    int error = member_find(w, w->request->admin.node, &old);
    if (!error)
        error = member_find(w, w->request->admin.other, &heir);
    if (!error)
        error = heir_check(w, old, heir);
    bool down = !error && w->newest->members[old].state == MEMBER_DOWN;
    if (down)
        error = remove_check(w, old);
    if (error)
        return error;
    struct ring *draft = draft_of(w);
    if (!draft || !moves_begin_all(w->m))
        return GT_ENOMEM;
    draft->members[old].heir = draft->members[heir].id;
    draft->members[old].leaving = true;
    if (down)
        member_remove(draft, old);
    return say(w, 0, "%s gets what %s owns%s%s", draft->members[heir].label,
               draft->members[old].label, down ? ", which is removed" : ", which is drained",
               pause_text(draft));
}

static int weight(struct wish *w)
{
    uint32_t index;
    double capacity = w->request->admin.capacity;
    int error = member_find(w, w->request->admin.node, &index);
    if (!error && !(capacity > 0))
        error = say(w, GT_EARG, "the weight must be above 0");
    if (error)
        return error;
    const struct member *m = &w->newest->members[index];
    if (m->capacity_set && !(m->capacity < capacity) && !(m->capacity > capacity))
        return say(w, 0, "the weight of %s is %g already", m->label, capacity);
    struct ring *draft = draft_of(w);
    if (!draft)
        return GT_ENOMEM;
    draft->members[index].capacity = capacity;
    draft->members[index].capacity_set = true;
    return say(w, 0, "the weight of %s is %g%s", draft->members[index].label, capacity,
               w->m->rebalance_auto ? "; moves begin by themselves" : "; see rebalance --plan");
}

/* ---- settings -------------------------------------------------------------------------------- */

/* What was written by the old quorums is read by the new ones, and the other way round. */
static int quorums_meet(struct wish *w, const struct settings *old, const struct settings *new)
{
    uint32_t n = new->replicas;
    if (old->write_quorum + new->read_quorum <= n)
        return say(w, GT_EARG, "old W + new R > N does not hold: %u + %u > %u; go by steps",
                   old->write_quorum, new->read_quorum, n);
    if (new->write_quorum + old->read_quorum <= n)
        return say(w, GT_EARG, "new W + old R > N does not hold: %u + %u > %u; go by steps",
                   new->write_quorum, old->read_quorum, n);
    return 0;
}

/* Whoever coordinates by the settings before these must not meet the next ones; and what was
 * written by a lower W must be everywhere before a lower R relies on it. */
static int settings_everywhere(struct wish *w, bool level)
{
    const struct manager *m = w->m;
    struct ring_tally tally = ring_tally(w->newest);
    if (tally.prepare + tally.read_new > 0)
        return say(w, GT_EBUSY, "moves are open; wait for them, or cancel them");
    for (uint32_t i = 0; i < w->newest->member_count; i++) {
        const struct member *member = &w->newest->members[i];
        const struct mover_seen *s = &m->mover.seen[i];
        const struct node_report *report = &m->sightings[i].report;
        if (member->state == MEMBER_REMOVED)
            continue;
        if (s->node != member->id || s->incarnation != member->incarnation ||
            epoch_compare(s->epoch, m->settings_since) < 0)
            return say(w, GT_EBUSY,
                       "%s has not told yet that it has the settings of now; try again",
                       member->label);
        if (level && (!report->lag_known || report->lag_writes > 0 || report->hints > 0))
            return say(w, GT_EBUSY, "%s is behind, or keeps writes for others; see wait",
                       member->label);
    }
    return 0;
}

static int settings_change(struct wish *w)
{
    const struct settings *old = &w->newest->settings;
    struct settings new = *old;
    char why[128];
    if (w->request->admin.write_quorum)
        new.write_quorum = w->request->admin.write_quorum;
    if (w->request->admin.read_quorum)
        new.read_quorum = w->request->admin.read_quorum;
    if (w->request->admin.value_bytes_max)
        new.value_bytes_max = w->request->admin.value_bytes_max;
    if (settings_check(&new, why) != 0)
        return say(w, GT_EARG, "%s", why);
    if (new.value_bytes_max > VALUE_BYTES_LIMIT)
        return say(w, GT_EARG, "value-max is at most %u", VALUE_BYTES_LIMIT);
    int error = quorums_meet(w, old, &new);
    bool quorums = new.write_quorum != old->write_quorum || new.read_quorum != old->read_quorum;
    if (!error && quorums)
        error = settings_everywhere(w, new.read_quorum < old->read_quorum);
    if (error)
        return error;
    if (!quorums && new.value_bytes_max == old->value_bytes_max)
        return say(w, 0, "the settings are so already");
    struct ring *draft = draft_of(w);
    if (!draft)
        return GT_ENOMEM;
    draft->settings = new;
    return say(w, 0, "W=%u R=%u, values up to %llu bytes%s", new.write_quorum, new.read_quorum,
               (unsigned long long)new.value_bytes_max,
               new.value_bytes_max < old->value_bytes_max
                   ? "; larger ones that are stored stay, and can be read"
                   : "");
}

/* ---- the switch ------------------------------------------------------------------------------ */

static int verb_run(struct wish *w)
{
    if (!w->m->catalog.told || !w->newest->formed || !w->m->catalog.told->formed)
        return say(w, GT_EFORMING, "forming: no tokens are handed out yet");
    switch (w->request->admin.verb) {
    case ADMIN_APPLY:
        return apply(w);
    case ADMIN_PAUSE:
        return rebalance_pause(w);
    case ADMIN_RESUME:
        return resume(w);
    case ADMIN_CANCEL:
        return cancel(w);
    case ADMIN_DRAIN:
        return drain(w);
    case ADMIN_REMOVE:
        return remove_down(w);
    case ADMIN_REPLACE:
        return replace(w);
    case ADMIN_WEIGHT:
        return weight(w);
    case ADMIN_SET:
        return settings_change(w);
    default:
        return say(w, GT_EUNSUPPORTED, "this manager does not know that");
    }
}

void admin_answer(struct manager *m, const struct gt_event *ev, struct gt_effects *fx)
{
    struct wish w = {.m = m, .request = ev->message.msg, .newest = catalog_newest(&m->catalog)};
    struct msg reply = reply_to(m, ev);
    if (!leading(m))
        reply.admin_reply.error = say(&w, GT_EBUSY, NOT_LEADING_TEXT);
    else if (m->admin_count == ADMIN_WAITING_MAX)
        reply.admin_reply.error = say(&w, GT_EBUSY, "too many changes wait for their map");
    else
        reply.admin_reply.error = verb_run(&w);
    if (!reply.admin_reply.error)
        log_info(m->log, "admin verb=%u changed=%d: %s", w.request->admin.verb, w.changed, w.text);
    if (w.changed && !reply.admin_reply.error) {
        struct admin_waiting *waits = &m->admins[m->admin_count++];
        *waits = (struct admin_waiting){.link = ev->link, .id = ev->message.msg->id};
        memcpy(waits->text, w.text, sizeof(waits->text));
        return;
    }
    reply.admin_reply.text = slice_text(w.text);
    effects_reply(fx, ev->link, &reply);
}

void admin_told(struct manager *m, uint64_t wall_us, struct gt_effects *fx)
{
    if (m->catalog.draft)
        return; /* what they wait for may be in there: with the next map */
    for (uint32_t i = 0; i < m->admin_count; i++) {
        const struct admin_waiting *waits = &m->admins[i];
        struct msg reply = {.type = MSG_ADMIN_REPLY,
                            .id = waits->id,
                            .epoch = m->catalog.told->epoch,
                            .stamp = hlc_now(&m->clock, wall_us)};
        reply.admin_reply.text = slice_text(waits->text);
        reply.admin_reply.changed = true;
        effects_reply(fx, waits->link, &reply);
    }
    m->admin_count = 0;
}
