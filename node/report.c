/*
 * What the node says of itself when somebody looks: the report that heartbeats carry, its events,
 * and the status answer, which shows the cluster as far as this one node can see it. It is a file
 * of its own because nothing here decides anything.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/error.h"
#include "net/status.h"
#include "node/node_private.h"

/* Of what is asked with heartbeats; after that it is shown as down. */
#define UNANSWERED_MAX_US 1500000u

struct node_report report_now(const struct node *n)
{
    struct node_report r = {0};
    if (n->config.report)
        n->config.report(n->config.report_arg, &r);
    for (uint32_t i = 0; i < n->peer_count; i++)
        r.linked_peers += n->peers[i].up && !n->peers[i].manager;
    r.lag_writes = watch_lag(n, &r.lag_known);
    r.lag_eta_s = r.lag_known ? eta_seconds(&n->eta, r.lag_writes) : 0;
    r.filling = fill_owned(n);
    return r;
}

/* It is linked, and answers: a process that was stopped keeps its connections. */
static bool answers(const struct node *n, uint64_t id)
{
    const struct peer *p = node_peer(n, id);
    return node_linked(n, id) &&
           (!p || p->unanswered_us == 0 || n->now_us - p->unanswered_us < UNANSWERED_MAX_US);
}

size_t report_heard(const struct node *n, uint8_t out[8 * MEMBERS_MAX])
{
    size_t bytes = 0;
    for (uint32_t i = 0; n->ring && i < n->ring->member_count; i++) {
        uint64_t id = n->ring->members[i].id;
        if ((int)i == n->member || !answers(n, id))
            continue;
        le64_put(out + bytes, id);
        bytes += 8;
    }
    return bytes;
}

static enum member_state state_seen(const struct node *n, uint32_t i)
{
    const struct member *m = &n->ring->members[i];
    bool up = (int)i == n->member || answers(n, m->id);
    if ((int)i == n->member && fill_owned(n) > 0)
        return MEMBER_CATCHING_UP;
    if (m->state != MEMBER_UP && m->state != MEMBER_DOWN)
        return m->state;
    if (up && m->leaving)
        return MEMBER_LEAVING; /* it serves what it still owns */
    return up ? MEMBER_UP : MEMBER_DOWN;
}

static bool manager_reachable(const struct node *n)
{
    for (uint32_t i = 0; i < n->peer_count; i++)
        if (n->peers[i].manager && n->peers[i].up && !n->peers[i].busy)
            return true;
    return false;
}

static void status_nodes(const struct node *n, struct status *st, bool *up)
{
    for (uint32_t i = 0; i < st->node_count; i++) {
        struct status_node *row = &st->nodes[i];
        bool self = (int)i == n->member;
        row->member = n->ring->members[i];
        row->member.state = state_seen(n, i);
        row->tokens = n->ring->formed ? ring_tokens_of(n->ring, i) : 0;
        row->report_known = self;
        if (self)
            row->report = report_now(n);
        row->heard_ms = self ? 0 : UINT64_MAX;
        up[i] = self || answers(n, row->member.id);
        up[i] = up[i] && row->member.state != MEMBER_CATCHING_UP;
    }
}

void status_give(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_STATUS_REPLY, ev->message.msg->id);
    struct status st = {.verdict = VERDICT_UNAVAILABLE};
    uint32_t members = n->ring ? n->ring->member_count : 0;
    bool *up = calloc(members + 1, sizeof(*up));
    st.nodes = calloc(members + 1, sizeof(*st.nodes));
    if (!up || !st.nodes) {
        m.status_reply.error = GT_ENOMEM;
    } else {
        snprintf(st.source, sizeof(st.source), "%s", node_label(n));
        st.manager_reachable = manager_reachable(n);
        memcpy(st.cluster_id, n->identity.cluster_id, CLUSTER_ID_BYTES);
        if (n->ring) {
            st.epoch = n->ring->epoch;
            st.formed = n->ring->formed;
            st.registered = members;
            st.settings = n->ring->settings;
            st.node_count = members;
            status_nodes(n, &st, up);
            status_count(n->ring, up, &st);
        }
        m.status_reply.status = &st;
    }
    effects_reply(fx, ev->link, &m);
    free(up);
    free(st.nodes);
}

void events_give(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    struct msg m = node_message(n, MSG_EVENTS_REPLY, ev->message.msg->id);
    msg_events(&m, node_label(n), n->events);
    effects_reply(fx, ev->link, &m);
    free(m.events_reply.events);
}

void admin_refuse(struct node *n, const struct gt_event *ev, struct gt_effects *fx)
{
    const struct msg *request = ev->message.msg;
    struct slice text = slice_text("this is a storage node: ask the manager");
    struct msg m = node_message(n, (enum msg_type)(request->type + 1), request->id);
    if (request->type == MSG_ADMIN) {
        m.admin_reply.error = GT_EUNSUPPORTED;
        m.admin_reply.text = text;
    } else {
        m.plan_reply.error = GT_EUNSUPPORTED;
        m.plan_reply.text = text;
    }
    effects_reply(fx, ev->link, &m);
}
