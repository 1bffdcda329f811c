/*
 * The manager as a machine (net/step.h): registers nodes, forms the cluster, hears heartbeats,
 * keeps the cluster map and tells it. It is on no path of a read or a write.
 *
 * The cluster:  forming --- form_nodes up, none joined for form_after ---> formed
 *
 * A member:
 *               REGISTER, forming                       REGISTER, formed
 *                      |                                       |
 *                      v                                       v
 *                     UP                                    JOINING (no tokens)
 *                      |                                       |
 *                      +---- three heartbeats missed ----------+
 *                                        |
 *                                        v
 *                                      DOWN ---- heard again ----> UP, or JOINING without tokens
 *
 * A member that is down for reap_wait is marked in the map (member.refill): nobody waits for it any
 * more to close lives and to reap tombstones, and when it comes back it fills (RULES 8b). That is
 * done only while no more than a third of the members are away, and while of every arc that it
 * owns n-w+1 owners are not marked: then each write that was acknowledged is at one that is not.
 *
 * A member that is down keeps its tokens. Each arrow is a change of the map: it gets a new epoch,
 * is held by a majority (ballots.c), made durable here, and only then told: as a pushed MAP to
 * every registered link, and as the answer to the REGISTER that caused it. Silence is counted from
 * when the manager began to lead. One that does not lead answers from its copy of the map and
 * changes nothing.
 */
#ifndef GT_MANAGER_MANAGER_H
#define GT_MANAGER_MANAGER_H

#include "net/step.h"

/* Settings that the user named: they must equal those of an existing map. */
enum manager_given {
    GIVEN_REPLICAS = 1,
    GIVEN_READ_QUORUM = 2,
    GIVEN_WRITE_QUORUM = 4,
    GIVEN_PARTITIONS = 8,
    GIVEN_FORM_NODES = 16,
    GIVEN_PROFILE = 32,
    GIVEN_VALUE_MAX = 64
};

struct manager_config {
    struct log *log;
    struct events *events; /* borrowed; may be NULL */
    uint64_t seed;
    /* With a cluster id: that of the cluster. Without, it is drawn from the seed, and nobody is
     * greeted before the first map made it durable. */
    struct engine_identity identity;
    const struct blob *map; /* as stored ("map" in the engine's metas), NULL when none; borrowed */
    uint64_t stamp_max;     /* engine_stamp_max: the clock starts there */
    struct settings settings; /* of a new cluster */
    uint32_t given;           /* enum manager_given */
    uint64_t form_after_us;
    /* No cluster is formed earlier than so long after the start: who runs already, of one that this
     * folder does not know of since it is another one, has called by then. 0: there is none. */
    uint64_t form_first_us;
    uint64_t heartbeat_us; /* 0 = 500 ms */
    uint64_t reap_wait_us; /* a member away for longer is marked to refill; 0 = never */
    bool rebalance_auto; /* what is to be moved after a change of members is, without being told */
    /* A member that is down for longer has its places given to others; 0 = never. */
    uint64_t replace_after_us;
    bool replace_by_profile; /* in profile course after 3 s, whatever replace_after_us says */
};

#define MANAGER_LINKS_MAX  4096 /* greeted at a time; a hello above it is answered GT_EBUSY */
#define MANAGER_MISSES_MAX 3    /* heartbeats */

struct manager;

/* 0; GT_EARG (settings that cannot be) and GT_ESETTINGS (a given one differs from the map's), with
 * why; GT_ECLUSTER (identity and map disagree); GT_EFORMAT, GT_EPROTO for a stored map that cannot
 * be read; GT_ENOMEM. */
int manager_new(const struct manager_config *c, struct manager **out, char why[MSG_TEXT_BYTES]);
void manager_free(struct manager *m);
/* Before START: the port is stored as META "port" (u16), and READY waits until it is durable. */
void manager_remember_port(struct manager *m, uint16_t port);
void manager_step(struct manager *m, const struct gt_event *ev, struct gt_effects *out);
uint64_t manager_deadline_us(const struct manager *m);
struct gt_machine manager_machine(struct manager *m);
/* The newest durable map; NULL before there is one. */
const struct ring *manager_ring(const struct manager *m);
/* Settings in force, and the cluster's id. */
const struct settings *manager_settings(const struct manager *m);
const uint8_t *manager_cluster_id(const struct manager *m);

#endif
