/*
 * What the files of the simulator share: the queue, the hosts, the connections.
 *
 *   sim.c   the steps, the trace, the clocks
 *   net.c   connections: dialing, frames, cuts, what a broken link tells
 *   host.c  one process: birth, effects, storage, end
 *   inv.c   INV, asserted after every change of a replica
 *   maps.c  whose maps count, asserted after every step of a manager and a node
 */
#ifndef GT_TESTS_SIM_WORLD_H
#define GT_TESTS_SIM_WORLD_H

#include <stdio.h>

#include "client/session.h"
#include "client/verify.h"
#include "manager/manager.h"
#include "net/frame.h"
#include "node/node.h"
#include "tests/lib/memdisk.h"
#include "tests/lib/memindex.h"
#include "tests/sim/sim.h"

#define NONE UINT32_MAX

enum item_kind {
    ITEM_FRAME,  /* reaches the other end of a connection */
    ITEM_BREAK,  /* an end of a connection learns that it is gone */
    ITEM_DIAL,   /* a host tries to reach a peer */
    ITEM_DIALED, /* and knows the outcome */
    ITEM_TIMER,
    ITEM_POLL,
    ITEM_JOB,
    ITEM_START, /* the machine's START, after recovery took its time */
    ITEM_BOOT,  /* a process is to be started */
    ITEM_CALL
};

struct item {
    uint64_t at_us;
    enum item_kind kind;
    uint32_t host, life; /* the life of the host that it is for; unused by CALL */
    union {
        struct {
            uint32_t conn, side;
            struct blob *frame;
            bool copy;          /* nobody is told when its connection is gone */
            bool late;          /* a copy that does not come when the network is calm again */
            uint32_t broken_at; /* only so many bytes arrive, then the link breaks; 0 = whole */
        } frame;
        struct {
            uint32_t conn, side;
            int error;
        } end;
        struct {
            uint64_t peer;
            uint32_t dial; /* the number of the attempt: an older one is void */
            uint32_t conn; /* DIALED: NONE when refused */
            int error;
        } dial;
        struct engine_job *job;
        uint32_t cut; /* BOOT */
        struct {
            void (*call)(void *arg, struct sim *s, uint64_t value);
            void *arg;
            uint64_t value;
        } call;
    };
};

/* An event in the queue. */
struct due {
    uint64_t at_us, order;
    uint32_t place; /* of its item */
};

/* A connection. Side 0 dialed, side 1 accepted. */
struct conn {
    uint32_t host[2], life[2];
    uint64_t peer;          /* side 0's name of it; side 1's link is the index + 1 */
    bool open[2];           /* that side thinks that it stands */
    bool spoken[2];         /* something whole has arrived at that side */
    uint64_t arrival_us[2]; /* of the last frame towards that side */
    struct frame_cutter cutter[2];
};

struct dialing {
    uint64_t peer;
    uint32_t target; /* host, NONE: nobody has that address */
    struct address address;
    uint32_t conn; /* NONE: none stands */
    uint32_t dial; /* attempts so far */
    uint32_t failures;
    uint64_t up_us; /* when the link of conn came to stand */
};

/* A PUT in the engine: which key the dots of its result are of. */
struct put_under_way {
    uint64_t tag, reaped; /* as many tombstones when storage was asked */
    uint32_t partition, key;
};

/* A record in the log, of a PUT or MERGE that is not answered yet. */
struct write_under_way {
    uint64_t tag, lsn;
};

/* A MERGE that waits for room in the engine. */
struct merge_under_way {
    uint64_t tag;
    uint32_t partition, key;
};

/* A parcel that is not yet acknowledged. */
struct parcel_under_way {
    uint64_t tag, lsn;
};

struct host {
    enum sim_role role;
    char name[20];
    uint32_t life;
    bool up, ready, silent; /* silent: nobody answers at its address (the power is off) */
    uint64_t paused_us;     /* until then */
    uint64_t deaf_us;       /* until then maps do not reach it */
    int64_t clock_offset_us, clock_drift_ppm;
    uint64_t sync_us;
    struct gt_machine machine;
    struct manager *manager;
    struct node *node;
    struct session *session;
    uint64_t quarantined;      /* siblings, when it was told last to fill */
    struct verifier *verifier; /* in place of a session; borrowed */
    const struct ring *ring;   /* whose value limit the engine has */
    struct disk *disk;
    struct index *index;
    struct engine *engine;
    struct log log;
    struct engine_job *job[ENGINE_LANES]; /* under way */
    bool job_ran[ENGINE_LANES];
    bool ends_after_sync;
    enum sim_end end_after_sync; /* how, then */
    bool polled;                 /* a POLL is in the queue */
    uint64_t timer_us;
    struct dialing *dialings;
    uint32_t dialing_count, dialing_capacity;
    uint64_t logged_us;         /* when a batch was last durable */
    uint64_t started_us, power; /* power: how often it was lost, so which boot this is */
    struct memcut cut;
    struct memdisk_snapshot *disk_kept;
    struct memindex_snapshot *index_kept;
    bool full;
    bool rotten;        /* a bit of its log was flipped */
    bool record_rotten; /* of its index one was flipped, or taken away */
    bool wiped;         /* its next process takes the place of the one that was */
    bool lost;     /* its disk was wiped or put back: what it confirmed it may not have any more */
    bool put_back; /* an old copy of it, and not started since */
    bool untold;   /* it runs on that, and had not been told so when it started */
    uint64_t fill_generation; /* of its folder then: another one when it is told */
    bool error_armed; /* one call of its disk or index will fail, or has failed since it started */
    uint32_t boots_failed;
    struct put_under_way *puts; /* inv.c */
    uint32_t put_count, put_capacity;
    struct write_under_way *writes; /* inv.c */
    uint32_t write_count, write_capacity;
    struct merge_under_way *merges;
    uint32_t merge_count, merge_capacity;
    bool puts_cut_off;    /* a life ended while puts were under way; inv.c */
    uint64_t reaped_seen; /* the engine's count; inv.c */
    /* maps.c: the folder's, 0 = none; and what the machine held, and acted on, when looked at. */
    uint64_t node_id;
    const struct ring *map_held, *map_acted;
    struct parcel_under_way *parcels;
    uint32_t parcel_count, parcel_capacity;
};

struct sim {
    struct sim_config config;
    struct sim_network network;
    uint64_t now_us, order, events, hash;
    uint64_t stores; /* writes asked for: inv.c looks at everything at every eighth */
    struct due *heap;
    uint32_t heap_count, heap_capacity;
    struct item *items; /* those of the queue; the places behind its heap's end are free */
    struct host hosts[SIM_HOSTS_MAX];
    uint32_t host_count;
    struct conn *conns;
    uint32_t conn_count, conn_capacity;
    struct item *held; /* frames that a cut holds back */
    uint32_t held_count, held_capacity;
    bool copied[SIM_HOSTS_MAX][SIM_HOSTS_MAX];
    struct item *copies; /* of frames, to arrive once more */
    uint32_t copy_count, copy_capacity;
    uint8_t cut[SIM_HOSTS_MAX][SIM_HOSTS_MAX];
    uint32_t slow_us[SIM_HOSTS_MAX][SIM_HOSTS_MAX];
    struct prng net_prng, store_prng, loop_prng, seed_prng;
    struct msg_decoder *decoder;
    struct gt_effects fx;
    struct maps *maps;
    struct inv_keys *keys; /* which dot is of which key: inv.c */
    struct state looked;   /* scratch of inv.c */
    char broken[600];
};

/* ---- sim.c ----------------------------------------------------------------------------------- */

void queue_push(struct sim *s, struct item item);
void *sim_grown(void *items, uint32_t count, uint32_t *capacity, size_t item_bytes);
void hash_mix(struct sim *s, uint64_t value);
uint64_t exponential_us(struct prng *p, uint64_t mean_us);

/* ---- net.c ----------------------------------------------------------------------------------- */

void net_frame(struct sim *s, uint32_t conn, uint32_t from_side, struct blob *frame); /* given */
void net_frame_arrived(struct sim *s, struct item *item);
void net_break_arrived(struct sim *s, const struct item *item);
void net_connect(struct sim *s, uint32_t host, uint64_t peer, const struct address *address);
void net_disconnect(struct sim *s, uint32_t host, uint64_t peer);
void net_dial(struct sim *s, const struct item *item);
void net_dialed(struct sim *s, const struct item *item);
/* This side closes; the other hears of it. */
void net_close(struct sim *s, uint32_t conn, uint32_t side, int error, bool tell_self);
uint32_t net_conn_of_peer(const struct sim *s, uint32_t host, uint64_t peer); /* NONE */
uint32_t net_conn_of_link(const struct sim *s, uint32_t host, uint64_t link);
/* All connections of a host whose process has ended. */
void net_host_gone(struct sim *s, uint32_t host);
void net_free(struct sim *s);

/* ---- host.c ---------------------------------------------------------------------------------- */

void host_feed(struct sim *s, uint32_t host, struct gt_event *ev);
void host_body(struct sim *s, uint32_t conn, uint32_t side, struct blob *body);
void host_poll(struct sim *s, uint32_t host);
void host_job(struct sim *s, const struct item *item);
void host_timer(struct sim *s, uint32_t host);
void host_boot(struct sim *s, uint32_t host, uint32_t cut);
void host_started(struct sim *s, uint32_t host);
void host_free(struct sim *s, uint32_t host);

/* ---- maps.c ---------------------------------------------------------------------------------- */

struct maps *maps_new(void);
void maps_free(struct sim *s);
/* After a step of the host. */
void maps_look(struct sim *s, uint32_t host);

/* ---- inv.c ----------------------------------------------------------------------------------- */

void inv_free(struct sim *s);
/* The node has recovered: everything is looked at anew. */
void inv_recovered(struct sim *s, uint32_t host);
/* A result, before the machine hears it. */
void inv_result(struct sim *s, uint32_t host, const struct store_result *r);
/* A parcel is about to be dropped: who it was for has it. */
void inv_parcel_drop(struct sim *s, uint32_t host, const struct store_request *r);
/* A write was asked for, when the next record was to have this LSN. */
void inv_stored(struct sim *s, uint32_t host, const struct store_request *r, uint64_t lsn);

#endif
