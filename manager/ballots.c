/*
 * Whose maps count (RULES 17): which manager leads, and who holds the map that it proposes. The
 * acceptors are the nodes (node/acceptor.c); the manager's own copy of the map is a cache.
 *
 *                 a majority leads nobody else        a majority has promised
 *     STANDBY ------------------------------> GATHERING ----------------------> LEADING
 *        ^                                        |                                |
 *        '--- a higher ballot, or another leads --'---- a higher ballot was seen --'
 *
 *   STANDBY    asks each node once in a while whether it would promise, which binds nobody, and so
 *              hears of newer maps; serves its copy
 *   GATHERING  asks for promises under a ballot of its own. Ends by them, or by a refusal; asks
 *              again whoever comes, or is heard and has not promised
 *   LEADING    first proposes anew, under its ballot, the highest map that it has found. Each map
 *              is asked for again of whoever is heard and does not hold it
 *
 * A ballot is a round << 16 and 16 random bits. Two managers never lead under one: a node promises
 * it to one life of a manager alone.
 *
 * Which majority: with F the highest map found that counts, one of its members. A map P that was
 * found as a proposal may count, or not; so one of who had to hold it (the members of the map
 * before), for what would count instead of it, and one of its own members, for what may have come
 * after it; where one majority meets any of the other, the first alone. The same must hold it when
 * it is proposed anew. Whoever could make another map count would have to ask one of these
 * majorities, in which somebody has promised not to take it.
 *
 * Nothing is asked of members whose places other nodes are to take: a person has said that they are
 * lost for good (catalog.h).
 *
 * A manager without a map, and one whose map has no members, leads at once: that is a new cluster.
 * It gives it up for one that a node brings, while it has no members, or is not formed and the
 * node's is. A copy of a formed cluster is given up when for three heartbeats nobody of it was
 * heard, and the node of another was.
 */
#include <stdlib.h>

#include "engine/base/assert.h"
#include "engine/base/error.h"
#include "engine/base/mutant.h"
#include "manager/manager_private.h"

#define ROUND_BITS   16
#define ASK_US       1000000u /* a standby asks a node again */
#define FREE_US      3000000u /* an answer to that counts so long */
#define PAUSE_US_MAX 1000000u /* after a refusal */

/* ---- small questions ------------------------------------------------------------------------- */

bool leading(const struct manager *m)
{
    return m->ballots.reign == REIGN_LEADING;
}

bool foreign(const struct manager *m, const struct greeted *g)
{
    return !cluster_none(g->cluster_id) && !cluster_same(g->cluster_id, m->cluster_id);
}

/* The highest map that is known, in force or proposed. */
static const struct ring *highest(const struct manager *m)
{
    return m->ballots.found ? m->ballots.found : m->catalog.told;
}

static bool founds(const struct ring *told)
{
    return !told || (told->member_count == 0 && !told->formed);
}

/* ---- majorities ------------------------------------------------------------------------------ */

enum elector { ELECTOR_FIRST = 1, ELECTOR_SECOND = 2 };

static struct slice run_of(const struct blob *b)
{
    return b ? slice_blob(b) : slice_of(NULL, 0);
}

static void elector_mark(const struct manager *m, struct greeted *g)
{
    const struct ballots *b = &m->ballots;
    g->electors = 0;
    if (g->superseded)
        return;
    if (g->node && ids_have(run_of(b->first), g->node))
        g->electors |= ELECTOR_FIRST;
    if (g->node && ids_have(run_of(b->second), g->node))
        g->electors |= ELECTOR_SECOND;
}

static bool is_gone(const struct manager *m, uint64_t id)
{
    for (uint32_t i = 0; i < m->ballots.gone_count; i++)
        if (m->ballots.gone[i] == id)
            return true;
    return false;
}

/* The run without those who are gone; takes over the one given. */
static struct blob *without_gone(const struct manager *m, struct blob *run)
{
    if (!run || m->ballots.gone_count == 0)
        return run;
    struct blob *left = blob_new(run->bytes);
    gt_assert(left);
    size_t to = 0;
    for (size_t at = 0; at < run->bytes; at += 8)
        if (!is_gone(m, le64_get(run->data + at))) {
            memcpy(left->data + to, run->data + at, 8);
            to += 8;
        }
    blob_unref(run);
    run = blob_copy(left->data, to);
    gt_assert(run);
    blob_unref(left);
    return run;
}

/* Of whom majorities are needed from now on. Takes over the lists; second may be NULL. */
static void electors_set(struct manager *m, struct blob *first, struct blob *second)
{
    const struct ring *h = highest(m);
    bool named = first && first->bytes > 0;
    first = without_gone(m, first);
    second = without_gone(m, second);
    if (named && first->bytes == 0) { /* all of them are lost: the others are left to decide */
        blob_unref(first);
        first = catalog_voters(h, m->ballots.gone, m->ballots.gone_count);
        gt_assert(first);
    }
    blob_unref(m->ballots.first);
    blob_unref(m->ballots.second);
    m->ballots.first = first;
    m->ballots.second = second;
    for (uint32_t i = 0; i < m->greeted_count; i++)
        elector_mark(m, &m->greeted[i]);
}

/* Of whom promises are needed to go on from the highest map. */
static void electors_of_highest(struct manager *m)
{
    const struct ballots *b = &m->ballots;
    const struct ring *h = highest(m);
    if (b->found && !b->found_counts)
        electors_set(m, blob_ref(b->found_voters), catalog_second(h, slice_blob(b->found_voters)));
    else
        electors_set(m, h ? catalog_voters(h, NULL, 0) : NULL, NULL);
}

static bool is_free(const struct manager *m, const struct greeted *g, uint64_t now_us)
{
    (void)m;
    return g->free && now_us < g->voted_us + FREE_US;
}

static bool has_promised(const struct manager *m, const struct greeted *g, uint64_t now_us)
{
    (void)now_us;
    return g->promised == m->ballots.ballot;
}

static bool has_it(const struct manager *m, const struct greeted *g, uint64_t now_us)
{
    (void)now_us;
    return m->catalog.writing && epoch_compare(g->holds, m->catalog.writing->epoch) == 0;
}

static bool majority(const struct manager *m, uint64_t now_us,
                     bool (*says)(const struct manager *, const struct greeted *, uint64_t))
{
    size_t of[2] = {run_of(m->ballots.first).bytes / 8, run_of(m->ballots.second).bytes / 8};
    size_t have[2] = {0, 0};
    for (uint32_t i = 0; i < m->greeted_count; i++) {
        const struct greeted *g = &m->greeted[i];
        if (g->electors == 0 || !says(m, g, now_us))
            continue;
        have[0] += (g->electors & ELECTOR_FIRST) != 0;
        have[1] += (g->electors & ELECTOR_SECOND) != 0;
    }
    for (int i = 0; i < 2; i++)
        if (of[i] > 0 && have[i] < of[i] / 2 + 1)
            return false;
    return true;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void propose_send(struct manager *m, struct greeted *g, uint64_t ballot, bool with_map,
                         uint64_t now_us, uint64_t wall_us, struct gt_effects *fx)
{
    const struct ring *h = highest(m);
    struct msg ask = {.type = MSG_PROPOSE, .stamp = hlc_now(&m->clock, wall_us), .epoch = {0, 0}};
    if (h && !foreign(m, g)) /* epochs of two clusters are not compared */
        ask.epoch = h->epoch;
    ask.propose.ballot = ballot;
    ask.propose.life = m->identity.incarnation;
    g->asked_us = now_us;
    g->asked_ballot = ballot;
    g->asked_counter = 0;
    if (with_map) {
        ask.epoch = m->catalog.writing->epoch;
        ask.propose.map = slice_blob(m->catalog.bytes);
        ask.propose.voters = run_of(m->catalog.voters);
        g->asked_counter = m->catalog.writing->epoch.counter;
    }
    effects_reply(fx, g->link, &ask);
}

bool ballots_waits(const struct manager *m, const struct greeted *g)
{
    return g->node != 0 && !g->superseded && foreign(m, g) && g->voted_us == 0;
}

/* Asks the node for what is lacking of it, at most once in a while for the same. */
void ballots_ask(struct manager *m, struct greeted *g, uint64_t now_us, uint64_t wall_us,
                 struct gt_effects *fx)
{
    const struct ballots *b = &m->ballots;
    const struct ring *w = m->catalog.writing;
    if (g->node == 0)
        return;
    bool again = now_us >= g->asked_us + m->heartbeat_us / 2;
    if (b->reign == REIGN_STANDBY || (leading(m) && foreign(m, g))) {
        if (g->asked_us == 0 || now_us >= g->asked_us + ASK_US || (again && ballots_waits(m, g)))
            propose_send(m, g, 0, false, now_us, wall_us, fx);
    } else if (b->reign == REIGN_GATHERING) {
        if (g->promised != b->ballot && (again || g->asked_ballot != b->ballot))
            propose_send(m, g, b->ballot, false, now_us, wall_us, fx);
    } else if (w && !m->catalog.counted && g->electors != 0 &&
               epoch_compare(g->holds, w->epoch) != 0) {
        if (again || g->asked_ballot != b->ballot || g->asked_counter != w->epoch.counter)
            propose_send(m, g, b->ballot, true, now_us, wall_us, fx);
    }
}

static void ask_all(struct manager *m, uint64_t now_us, uint64_t wall_us, struct gt_effects *fx)
{
    for (uint32_t i = 0; i < m->greeted_count; i++)
        ballots_ask(m, &m->greeted[i], now_us, wall_us, fx);
}

void ballots_greeted(struct manager *m, struct greeted *g, uint64_t now_us, uint64_t wall_us,
                     struct gt_effects *fx)
{
    /* The newest link of a node is the one whose vote counts. */
    for (uint32_t i = 0; i < m->greeted_count; i++)
        if (g->node && &m->greeted[i] != g && m->greeted[i].node == g->node) {
            m->greeted[i].superseded = true;
            m->greeted[i].electors = 0;
        }
    elector_mark(m, g);
    if (g->node && is_gone(m, g->node)) {
        m->ballots.gone_count = 0; /* it is not lost after all; the others are named again */
        if (!leading(m))
            electors_of_highest(m);
    }
    m->ballots.own_heard |= m->catalog.told && g->node && !foreign(m, g) &&
                            ring_member_by_id(m->catalog.told, g->node) >= 0;
    ballots_ask(m, g, now_us, wall_us, fx);
}

/* ---- changes of reign ------------------------------------------------------------------------ */

static void step_down(struct manager *m, uint64_t pause_us, uint64_t now_us, const char *why)
{
    struct ballots *b = &m->ballots;
    if (leading(m)) {
        log_warn(m->log, "leads no more: %s", why);
        events_add(m->events, EVENT_MANAGER, "it stands by: %s", why);
    }
    b->reign = REIGN_STANDBY;
    b->pause_until_us = now_us + pause_us;
    if (!m->catalog.storing)
        m->catalog.counted = false;
    catalog_drop(&m->catalog);
    memset(m->waiting, 0, sizeof(m->waiting));
    m->admin_count = 0; /* what they wished may be lost: they hear of it by no answer */
    for (uint32_t i = 0; i < m->greeted_count; i++) {
        struct greeted *g = &m->greeted[i];
        g->registered = g->free = false;
        g->asked_us = 0;
    }
    electors_of_highest(m);
}

static void refused(struct manager *m, uint64_t now_us)
{
    step_down(m, prng_below(&m->ballots.prng, PAUSE_US_MAX), now_us, "another one has begun to");
}

void ballots_epoch_seen(struct manager *m, const struct greeted *g, struct epoch epoch,
                        uint64_t now_us)
{
    const struct ring *told = m->catalog.told;
    if (g->node == 0 || foreign(m, g))
        return;
    /* The cluster has formed, and what we had was older: nobody had to hold it. */
    if (leading(m) && told && !told->formed && epoch.counter > told->epoch.counter)
        step_down(m, 0, now_us, "a node has a later map");
    if (epoch.ballot <= m->ballots.seen)
        return;
    m->ballots.seen = epoch.ballot;
    if (m->ballots.reign != REIGN_STANDBY && epoch.ballot > m->ballots.ballot)
        refused(m, now_us);
}

static void gather_begin(struct manager *m)
{
    struct ballots *b = &m->ballots;
    const struct ring *h = highest(m);
    uint64_t above = b->seen > b->ballot ? b->seen : b->ballot;
    if (h && h->epoch.ballot > above)
        above = h->epoch.ballot;
    b->ballot = ((above >> ROUND_BITS) + 1) << ROUND_BITS | (prng_next(&b->prng) & 0xffff);
    b->reign = REIGN_GATHERING;
}

/* It counts from now on from when silence is counted, and who is who is as the map says. */
static void lead_begin(struct manager *m, uint64_t now_us, struct gt_effects *fx)
{
    struct ballots *b = &m->ballots;
    struct ring *h = b->found;
    char why[MSG_TEXT_BYTES];
    b->found = NULL;
    b->reign = REIGN_LEADING;
    m->catalog.ballot = b->ballot;
    m->start_us = m->last_join_us = now_us;
    mover_forget(&m->mover);
    memset(m->waiting, 0, sizeof(m->waiting));
    memset(m->rivals, 0, sizeof(m->rivals));
    for (uint32_t i = 0; i < MEMBERS_MAX; i++)
        m->sightings[i] = (struct sighting){.heard_us = UINT64_MAX};
    if (h && (b->found_counts || !m->catalog.told ||
              !cluster_same(m->catalog.told->cluster_id, h->cluster_id))) {
        ring_unref(m->catalog.told);
        m->catalog.told = b->found_counts ? ring_ref(h) : NULL;
    }
    const struct ring *go_on = h ? h : m->catalog.told;
    if (go_on && manager_settings_judge(m, go_on, why) != 0)
        effects_fail(fx, GT_EARG, "%s", why);
    bool begun;
    if (h && !b->found_counts)
        begun = catalog_commit_found(&m->catalog, h, slice_blob(b->first));
    else
        begun = catalog_edit(&m->catalog, go_on->member_count) && catalog_commit(&m->catalog);
    ring_unref(h);
    if (!begun)
        effects_fail(fx, GT_ENOMEM, "out of memory");
    log_info(m->log, "leads ballot=%llu", (unsigned long long)b->ballot);
    events_add(m->events, EVENT_MANAGER, "it leads, ballot %llu", (unsigned long long)b->ballot);
}

/* After a map was put on its way: who must hold it is asked. */
void ballots_propose(struct manager *m, uint64_t now_us, uint64_t wall_us, struct gt_effects *fx)
{
    m->proposed_us = now_us;
    electors_set(m, blob_ref(m->catalog.voters),
                 m->catalog.voters2 ? blob_ref(m->catalog.voters2) : NULL);
    ask_all(m, now_us, wall_us, fx);
}

bool ballots_held(const struct manager *m)
{
    return m->catalog.writing && !m->catalog.counted &&
           (MUTANT(count_alone) || majority(m, 0, has_it));
}

/* What has become possible. */
void ballots_go_on(struct manager *m, uint64_t now_us, uint64_t wall_us, struct gt_effects *fx)
{
    struct ballots *b = &m->ballots;
    const struct ring *h = highest(m);
    if (b->reign == REIGN_STANDBY && h && !founds(h) && now_us >= b->pause_until_us &&
        majority(m, now_us, is_free)) {
        gather_begin(m);
        ask_all(m, now_us, wall_us, fx);
    }
    if (b->reign == REIGN_GATHERING && !m->catalog.writing &&
        (MUTANT(own_copy_unasked) || majority(m, now_us, has_promised))) {
        lead_begin(m, now_us, fx);
        ballots_propose(m, now_us, wall_us, fx);
    }
}

void ballots_gone(struct manager *m, const struct greeted *g, struct slice label, uint64_t now_us)
{
    const struct ring *h = highest(m);
    char text[UNITS_LABEL_BYTES] = "";
    if (!h || label.bytes == 0 || label.bytes >= sizeof(text))
        return;
    memcpy(text, label.data, label.bytes);
    int member = ring_member_by_label(h, text);
    uint64_t id = member >= 0 ? h->members[member].id : 0;
    for (uint32_t i = 0; i < m->greeted_count; i++)
        if (m->greeted[i].node == id &&
            now_us < m->greeted[i].heard_us + MANAGER_MISSES_MAX * m->heartbeat_us)
            return; /* it is there */
    if (id == 0 || id == g->node)
        return;
    /* What was found and waits for the one that is lost is found anew. */
    if (leading(m) && m->catalog.found && !m->catalog.counted &&
        now_us >= m->proposed_us + RETRY_US)
        step_down(m, 0, now_us, "a member is lost that was to hold the map");
    if (leading(m))
        return;
    if (!is_gone(m, id) && m->ballots.gone_count < GONE_MAX)
        m->ballots.gone[m->ballots.gone_count++] = id;
    electors_of_highest(m);
}

/* ---- what is found --------------------------------------------------------------------------- */

/* A map of another cluster than the one that this manager has, or believes to have. */
static bool may_change_cluster(const struct manager *m, const struct ring *to, uint64_t now_us)
{
    const struct ring *own = highest(m);
    if (!own || (founds(own) && to->member_count > 0))
        return true;
    if (leading(m))
        return !own->formed && to->formed;
    return to->formed && !m->ballots.own_heard &&
           now_us >= m->began_us + MANAGER_MISSES_MAX * m->heartbeat_us;
}

static void found_set(struct manager *m, struct ring *r, bool counts, struct slice voters)
{
    struct ballots *b = &m->ballots;
    struct blob *run = blob_copy(voters.data, voters.bytes);
    gt_assert(run);
    ring_unref(b->found);
    blob_unref(b->found_voters);
    b->found = ring_ref(r);
    b->found_counts = counts;
    b->found_voters = run;
    memcpy(m->cluster_id, r->cluster_id, CLUSTER_ID_BYTES);
    m->cluster_id_durable = true;
    electors_of_highest(m);
}

/* The copy follows, so that a standby tells what is. */
static void copy_follow(struct manager *m, struct ring *r, bool counts, struct gt_effects *fx)
{
    char why[MSG_TEXT_BYTES];
    const struct ring *told = m->catalog.told;
    bool newer = !told || (cluster_same(told->cluster_id, r->cluster_id) &&
                           epoch_compare(r->epoch, told->epoch) > 0);
    if (leading(m) || !counts || !newer || m->catalog.writing)
        return;
    if (manager_settings_judge(m, r, why) != 0)
        effects_fail(fx, GT_EARG, "%s", why);
    catalog_copy(&m->catalog, r, m->clock.last, fx);
}

/* A node has this map: in force, or as a proposal. */
static void found(struct manager *m, struct ring *r, bool counts, struct slice voters,
                  uint64_t now_us, struct gt_effects *fx)
{
    const struct ring *own = highest(m);
    bool change = own && !cluster_same(own->cluster_id, r->cluster_id);
    if (change && (!may_change_cluster(m, r, now_us) || m->catalog.storing))
        return;
    int order = own && !change ? epoch_compare(r->epoch, own->epoch) : 1;
    bool settled = order == 0 && counts && m->ballots.found && !m->ballots.found_counts;
    if (leading(m) && !change)
        return;
    if (order > 0 || settled) {
        if (leading(m))
            step_down(m, 0, now_us, "a node has brought a cluster that has more");
        if (change) {
            log_warn(m->log, "goes over to the cluster that its nodes have");
            ring_unref(m->catalog.told);
            m->catalog.told = NULL;
        }
        found_set(m, r, counts, voters);
    }
    copy_follow(m, r, counts, fx);
}

/* A node acts on the map of that epoch: what was found as a proposal counts. */
static void in_force(struct manager *m, struct epoch epoch, struct gt_effects *fx)
{
    struct ballots *b = &m->ballots;
    if (leading(m) || !b->found || epoch_compare(b->found->epoch, epoch) != 0)
        return;
    if (!b->found_counts) {
        b->found_counts = true;
        electors_of_highest(m);
    }
    copy_follow(m, b->found, true, fx);
}

static void content_take(struct manager *m, const struct msg *vote, uint64_t now_us,
                         struct gt_effects *fx)
{
    struct ring *r = NULL;
    if (vote->vote.map.bytes == 0)
        return;
    int error = msg_map_read(vote->vote.map, &r);
    if (error) {
        log_warn(m->log, "the map of a vote cannot be read: %s", error_text(error));
        return;
    }
    found(m, r, !vote->vote.proposed, vote->vote.voters, now_us, fx);
    ring_unref(r);
}

/* It has a map above all that is known here, and has not sent it. */
static bool unknown(const struct manager *m, const struct msg *vote)
{
    const struct ring *h = highest(m);
    struct epoch known = h ? h->epoch : (struct epoch){0, 0};
    return epoch_compare(vote->vote.map_epoch, known) > 0 ||
           epoch_compare(vote->vote.proposed_epoch, known) > 0;
}

void ballots_vote(struct manager *m, struct greeted *g, const struct msg *vote, uint64_t now_us,
                  struct gt_effects *fx)
{
    struct ballots *b = &m->ballots;
    if (g->node == 0 || vote->vote.node != g->node)
        return;
    bool ours = !leading(m) || !foreign(m, g);
    if (ours && vote->vote.promised > b->seen)
        b->seen = vote->vote.promised;
    if (vote->vote.ballot == 0) {
        g->free = vote->vote.error == 0;
        g->voted_us = now_us;
    } else if (ours && vote->vote.error == 0 && vote->vote.ballot == b->ballot &&
               vote->vote.promised == b->ballot) {
        g->promised = b->ballot;
        /* What it holds under an earlier ballot does not count under this one. */
        g->holds = vote->vote.proposed_epoch;
        if (g->holds.ballot != b->ballot)
            g->holds = vote->vote.map_epoch;
    }
    content_take(m, vote, now_us, fx);
    if (ours && !foreign(m, g))
        in_force(m, vote->vote.map_epoch, fx);
    if (ours && !leading(m) && unknown(m, vote)) {
        g->promised = g->asked_us = 0; /* what it has must be seen first */
        g->free = false;
    }
    if (vote->vote.error == GT_EBUSY && b->reign == REIGN_GATHERING)
        step_down(m, 0, now_us, "another one leads");
    else if (vote->vote.error == GT_ESTALE && vote->vote.ballot == b->ballot && ours &&
             b->reign != REIGN_STANDBY)
        refused(m, now_us);
}

/* ---- birth and end --------------------------------------------------------------------------- */

void ballots_init(struct manager *m, uint64_t seed)
{
    prng_init(&m->ballots.prng, seed ^ 0x62616c6c6f74);
    m->ballots.reign = REIGN_STANDBY;
}

void ballots_close(struct manager *m)
{
    ring_unref(m->ballots.found);
    blob_unref(m->ballots.found_voters);
    blob_unref(m->ballots.first);
    blob_unref(m->ballots.second);
}

/* A new cluster is founded; any other has to be asked for. */
void ballots_begin(struct manager *m, uint64_t now_us)
{
    m->began_us = now_us;
    if (!founds(m->catalog.told)) {
        electors_of_highest(m);
        if (MUTANT(own_copy_unasked))
            gather_begin(m);
        return;
    }
    gather_begin(m);
    m->ballots.reign = REIGN_LEADING;
    m->catalog.ballot = m->ballots.ballot;
    m->start_us = m->last_join_us = now_us;
}
