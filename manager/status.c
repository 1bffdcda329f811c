#include "manager/status.h"

#include <stdlib.h>

#include "engine/base/error.h"
#include "net/status.h"

static void tokens_count(const struct ring *r, struct status_node *nodes)
{
    for (uint32_t p = 0; r->formed && p < r->settings.partitions; p++)
        for (uint32_t i = 0; i < r->arcs[p].owner_count; i++)
            nodes[r->arcs[p].owners[i]].tokens++;
}

int status_fill(const struct ring *r, const struct ring *newest, const struct sighting *sightings,
                uint32_t sighting_count, uint64_t now_us, struct status *out)
{
    *out = (struct status){.manager_reachable = true,
                           .source = MANAGER_LABEL,
                           .epoch = r->epoch,
                           .formed = r->formed,
                           .settings = r->settings,
                           .node_count = r->member_count};
    memcpy(out->cluster_id, r->cluster_id, CLUSTER_ID_BYTES);
    bool *up = calloc(r->member_count + 1, sizeof(*up));
    out->nodes = calloc(r->member_count + 1, sizeof(*out->nodes));
    if (!up || !out->nodes) {
        free(up);
        status_close(out);
        return GT_ENOMEM;
    }
    for (uint32_t i = 0; i < r->member_count; i++) {
        struct status_node *n = &out->nodes[i];
        n->member = r->members[i];
        if (newest->members[i].id == n->member.id && newest->members[i].state == MEMBER_DOWN)
            n->member.state = MEMBER_DOWN;
        n->heard_ms = UINT64_MAX;
        /* Who joins is written to from its first move on. */
        up[i] = n->member.state == MEMBER_UP || n->member.state == MEMBER_JOINING;
        out->registered += n->member.state == MEMBER_UP;
        if (n->member.state == MEMBER_UP && n->member.leaving)
            n->member.state = MEMBER_LEAVING; /* it serves what it still owns */
        if (i >= sighting_count || sightings[i].heard_us == UINT64_MAX)
            continue;
        n->heard_ms = now_us > sightings[i].heard_us ? (now_us - sightings[i].heard_us) / 1000 : 0;
        n->report_known = sightings[i].report_known;
        n->report = sightings[i].report;
        /* Alive, and without a vote. */
        if (n->member.state == MEMBER_UP && n->report_known && n->report.filling > 0) {
            n->member.state = MEMBER_CATCHING_UP;
            up[i] = false;
        }
    }
    tokens_count(r, out->nodes);
    status_count(r, up, out);
    free(up);
    return 0;
}

void status_close(struct status *s)
{
    free(s->nodes);
    s->nodes = NULL;
    s->node_count = 0;
}
