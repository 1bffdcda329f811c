/*
 * The storage node as a machine (net/step.h): answers clients and peers, coordinates puts, gets and
 * scans for the partitions it owns, keeps the map, reports to the manager.
 */
#ifndef GT_NODE_NODE_H
#define GT_NODE_NODE_H

#include "engine/base/metrics.h"
#include "net/step.h"

#define NODE_MANAGERS_MAX 4

struct node_config {
    struct log *log;
    struct events *events; /* borrowed; may be NULL */
    uint64_t seed;
    struct engine_identity identity;
    struct address managers[NODE_MANAGERS_MAX];
    uint32_t manager_count;
    struct member self;     /* label may be empty (the manager names it), address as advertised */
    const struct blob *map; /* as stored ("map" in the engine's metas), NULL when none; borrowed */
    const struct blob *ballot; /* "ballot" likewise: what is promised and proposed (acceptor.c) */
    bool label_stored;         /* self.label is the one in the engine's metas */
    bool replaces; /* it takes the place of the member with self.label, as long as it is none */
    /* "peers" in the engine's metas, NULL when none; borrowed: { u64 node, u64 incarnation } each,
     * the highest incarnations that this node has durably seen; only those of members count. */
    const struct blob *peers;
    uint64_t stamp_max; /* engine_stamp_max: the clock starts there */
    uint64_t join_timeout_us;
    uint64_t heartbeat_us;  /* 0 = 500 ms */
    uint32_t inflight_max;  /* coordinated requests, and as many for peers; 0 = 4096 */
    uint32_t digest_above;  /* records above are compared by digest at first; 0 = 4096 bytes */
    size_t piece_bytes_max; /* records above go to replicas in pieces; 0 = what a frame takes */
    uint32_t pull_bytes;    /* of one reply of a pull; 0 = 256 KiB */
    /* Facts of the process that the machine cannot know: fills keys, records, data_bytes,
     * rss_bytes, uptime_s, damage, operations. May be NULL (the simulator). */
    void (*report)(void *arg, struct node_report *out);
    void *report_arg;
    /* engine_filling and engine_fill_sources of the folder: asked of every partition when this node
     * becomes its owner, and after another identity. May be NULL: none fills. */
    bool (*filling)(void *arg, uint32_t partition, struct slice *sources);
    /* engine_cursor and engine_holds of the folder, likewise. */
    struct slice (*cursor)(void *arg, uint32_t partition);
    bool (*holds)(void *arg, uint32_t partition);
    void *filling_arg;
};

struct node;
/* 0; GT_ENOMEM; GT_EFORMAT, GT_EPROTO for a stored map that cannot be read. */
int node_new(const struct node_config *c, struct node **out);
void node_free(struct node *n);
void node_step(struct node *n, const struct gt_event *ev, struct gt_effects *out);
uint64_t node_deadline_us(const struct node *n);
struct gt_machine node_machine(struct node *n);
/* After a GT_IDENTITY effect was carried out. */
void node_set_identity(struct node *n, const struct engine_identity *identity);
const struct ring *node_ring(const struct node *n); /* NULL before there is one */
/* We own the partition, and another owner is not linked or has not told yet what it has: what the
 * dot log of the partition holds is kept for it. */
bool node_owner_away(const struct node *n, uint32_t partition);
const char *node_label(const struct node *n);
const struct node_metrics *node_metrics(const struct node *n);

#endif
