/*
 * A whole cluster in one process: a manager, storage nodes and client sessions as machines in one
 * array, under a virtual clock, one queue of events and one seed. The code of node, manager,
 * session, engine, log, messages and frames is the real one; the network, the loop, the threads,
 * the disk and the index are replaced.
 *
 * ONE STEP of the simulation, so exactly that it could be written again from here:
 *   1. The event with the lowest (time, order) is taken; order is the order of birth. Virtual time
 *      becomes its time. It is mixed into the trace hash.
 *   2. An event for a host that is paused goes back, dated at the end of the pause. One for an
 *      earlier life of a host, or for a closed connection, is dropped.
 *   3. The host's machine makes one step. Its effects are shuffled, then carried out: frames become
 *      events at the other end after the delay of the link; storage requests enter the engine at
 *      once. CLOSE comes last, since it means "after what was said".
 *   4. Within 0..60 us a poll of the host delivers what storage has ready, each result a step of
 *      its own, and starts the jobs of idle lanes. Meanwhile other events may come in and share the
 *      batch. A job runs wholly at its begin or wholly at its end (a coin), so that a crash between
 *      finds it done and untold, not done, or, by step 5, partly done.
 *   5. A crash of a process ends its jobs in the middle of any disk call (kill), and forgets what
 *      was not synced as well (power cut); memdisk.h says how.
 *
 * Randomness: one generator for each purpose (network, storage, clients), all from the seed, so
 * that leaving out a fault changes as little as possible of the rest.
 */
#ifndef GT_TESTS_SIM_SIM_H
#define GT_TESTS_SIM_SIM_H

#include "engine/base/prng.h"
#include "net/step.h"
#include "tests/sim/history.h"

#define SIM_HOSTS_MAX 24
#define SIM_WALL_US   1700000000000000ull /* wall clock at virtual time 0 */

/* Hosts: 0 is the manager, then the nodes, then the clients, then a second manager, if any. */
enum sim_role { SIM_MANAGER, SIM_NODE, SIM_CLIENT };

/* Chances in 1/10,000 for each frame, and times. */
struct sim_network {
    uint32_t loss, doubled, reorder, broken; /* broken: the link ends inside this frame */
    uint32_t late;       /* of those between nodes: another copy arrives up to 20 s later */
    uint32_t latency_us; /* mean of the jitter on top of 30 us */
    bool holds;          /* a cut holds frames back; else they are lost */
};

struct sim_storage {
    uint32_t sync_us; /* mean time of a group commit */
    uint32_t segment_bytes, overlay_bytes, chunk_records;
};

struct sim;

struct sim_config {
    uint64_t seed;
    uint32_t nodes, clients;
    uint32_t managers; /* 1 or 2; 0 = 1 */
    struct settings settings;
    struct sim_network network;
    struct sim_storage storage;
    uint64_t reap_wait_us;     /* of the manager; 0 = never */
    bool rebalance;            /* likewise: it moves partitions by itself */
    uint64_t replace_after_us; /* likewise; 0 = never */
    uint32_t inflight_max;     /* of a node; 0 = 64 */
    uint32_t digest_above;     /* of a node's reads; 0 = the usual */
    size_t piece_bytes_max;    /* of a node's states; 0 = what a frame takes */
    uint32_t pull_bytes;       /* of a reply of a pull; 0 = as a node has it */
    uint32_t pulls_max;        /* at a time; 0 = as a node has it */
    bool restarts; /* what ends by itself (exit 74, a refusal) is started again after 1 s */
    void *arg;
    /* A session's answer: m is NULL when error says that there was none, and text, valid during the
     * call, says why. May call sim_call. */
    void (*done)(void *arg, struct sim *s, uint32_t host, uint64_t tag, int error, const char *text,
                 const struct msg *m);
    /* A process ended that sim_end did not end; may be NULL. */
    void (*ended)(void *arg, struct sim *s, uint32_t host, const char *why);
    /* A trace line; NULL for none. Lines are only made when somebody reads them. */
    void (*trace)(void *arg, const char *line);
};

/* Never fails (aborts when out of memory). All hosts are down. */
struct sim *sim_new(const struct sim_config *c);
void sim_free(struct sim *s);

uint64_t sim_now_us(const struct sim *s);
uint64_t sim_hash(const struct sim *s); /* of everything that happened so far */
uint64_t sim_events(const struct sim *s);
/* What went wrong that no machine may do (INV, an assertion of the simulator): NULL, or a sentence.
 * The first one stays. */
const char *sim_broken(const struct sim *s);
void sim_break(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* For the trace: who, and what. */
void sim_say(struct sim *s, int host, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool sim_tracing(const struct sim *s);

/* One step; false when the queue is empty. */
bool sim_step(struct sim *s);
/* Steps until the time, or until it broke. */
void sim_run_until(struct sim *s, uint64_t until_us);
/* Steps until `over` says so: true; or until the time has come, or it broke: false. */
bool sim_run_till(struct sim *s, uint64_t until_us, bool (*over)(void *arg), void *arg);
/* Calls back at the time (its own event). */
void sim_at(struct sim *s, uint64_t at_us, void (*call)(void *arg, struct sim *s, uint64_t value),
            void *arg, uint64_t value);

/* ---- hosts ----------------------------------------------------------------------------------- */

uint32_t sim_manager_host(const struct sim *s, uint32_t manager); /* 0 .. managers-1 */
uint32_t sim_node_host(const struct sim *s, uint32_t node);       /* 0 .. nodes-1 */
uint32_t sim_client_host(const struct sim *s, uint32_t client);   /* 0 .. clients-1 */
uint32_t sim_host_count(const struct sim *s);
enum sim_role sim_role(const struct sim *s, uint32_t host);
const char *sim_name(const struct sim *s, uint32_t host); /* "manager", "node1", "client1" */
bool sim_up(const struct sim *s, uint32_t host);          /* its process runs */
bool sim_ready(const struct sim *s, uint32_t host);       /* and has said so */
/* It is a manager that leads. */
bool sim_leads(const struct sim *s, uint32_t host);
/* The machine of a host that runs, NULL otherwise. */
const struct node *sim_node(const struct sim *s, uint32_t host);
const struct session *sim_session(const struct sim *s, uint32_t host);
const struct ring *sim_ring(const struct sim *s); /* the newest map a running manager holds */
/* Siblings that the node wrote down when it was told last that it must fill. */
uint64_t sim_quarantined(const struct sim *s, uint32_t host);
struct engine *sim_engine(const struct sim *s, uint32_t host); /* NULL when it is down */
/* A host's clocks now. */
uint64_t sim_wall_us(const struct sim *s, uint32_t host);

/* Starts the process. With cut > 0 the disk fails from its cut-th call on while it recovers: the
 * start fails, and is tried again when the config restarts. */
void sim_start(struct sim *s, uint32_t host, uint32_t cut);
enum sim_end {
    SIM_STOP, /* SIGTERM: storage ends in order */
    SIM_KILL, /* SIGKILL: what was written stays written */
    SIM_POWER /* the machine's power: what was not synced may go; nobody says goodbye */
};
void sim_end(struct sim *s, uint32_t host, enum sim_end how);
/* The next group commit of the host is done wholly; then its process ends so, before it knows. */
void sim_end_after_sync(struct sim *s, uint32_t host, enum sim_end how);
/* Nothing happens at the host until then (UINT64_MAX: until sim_resume); what arrives waits. */
void sim_pause(struct sim *s, uint32_t host, uint64_t until_us);
void sim_resume(struct sim *s, uint32_t host);
/* Until then no map arrives at the host (0: from now on they do); all else does, also what tells
 * that there is a newer one. */
void sim_deaf(struct sim *s, uint32_t host, uint64_t until_us);

/* ---- clocks, disks, network ------------------------------------------------------------------ */

void sim_clock(struct sim *s, uint32_t host, int64_t offset_us, int64_t drift_ppm);
/* Frames from a to b (and dials) do not get through. */
void sim_cut(struct sim *s, uint32_t a, uint32_t b, bool cut);
bool sim_is_cut(const struct sim *s, uint32_t a, uint32_t b);
void sim_slow(struct sim *s, uint32_t a, uint32_t b, uint32_t extra_us); /* both ways; 0 ends it */
void sim_network(struct sim *s, const struct sim_network *n);
/* From now on a copy is kept of all that goes from a to b, until the end of that; it stays on its
 * way until all that were kept arrive, in order, unless its connection has gone by then. */
void sim_copies_keep(struct sim *s, uint32_t a, uint32_t b);
void sim_copies_end(struct sim *s);
void sim_copies_arrive(struct sim *s);
/* Ends cuts and slowness and lets go what they held. */
void sim_heal(struct sim *s);
void sim_disk_fail_sync(struct sim *s, uint32_t host);       /* the next sync answers EIO */
void sim_disk_read_error(struct sim *s, uint32_t host);      /* one later read of the index */
void sim_disk_errors_end(struct sim *s, uint32_t host);      /* those not yet met */
void sim_disk_full(struct sim *s, uint32_t host, bool full); /* no file may grow */
void sim_disk_slow(struct sim *s, uint32_t host, uint32_t sync_us); /* 0 = as configured */
/* Of a host whose process has ended: nothing is left; and what was kept is there again. */
void sim_disk_wipe(struct sim *s, uint32_t host);
void sim_disk_keep(struct sim *s, uint32_t host); /* a copy of the disk as it is now */
void sim_disk_put_back(struct sim *s, uint32_t host);
bool sim_disk_log_end_bad(struct sim *s, uint32_t host); /* a bit of the last batch; false: none */
bool sim_disk_flip(struct sim *s, uint32_t host, uint64_t seed); /* one bit of a record at rest */
/* One bit of this record; false when it is not at rest: in the log alone, or absent. */
bool sim_disk_flip_key(struct sim *s, uint32_t host, uint32_t partition, struct slice key,
                       uint64_t seed);
bool sim_disk_lose_key(struct sim *s, uint32_t host, uint32_t partition, struct slice key);

/* ---- clients --------------------------------------------------------------------------------- */

/* Gives the session a call; `done` of the config follows. The message's slices are copied. False
 * when the client is down. */
bool sim_call(struct sim *s, uint32_t client_host, uint64_t tag, const struct msg *request);

/* What a person asks of the managers that run, of which one leads; nobody waits for an answer. */
void sim_admin(struct sim *s, const struct msg *request);

/* gtstore-admin verify, as the process of this client, whose session ends. False when it has not
 * come to its end by then. */
struct verifier;
bool sim_verify(struct sim *s, uint32_t client_host, struct verifier *v, uint64_t until_us);

/* ---- looking inside, at the end ----------------------------------------------------------------
 */

/* The record that a running node holds for the key, decoded into `state` (which borrows from
 * *record, one reference): 0, GT_EUNKNOWN, or GT_ENOTFOUND when it is absent. */
int sim_peek(struct sim *s, uint32_t host, uint32_t partition, struct slice key,
             struct state *state, struct blob **record);
/* A value that names its write: `bytes` of them, at least SIM_VALUE_BYTES_MIN. */
#define SIM_VALUE_BYTES_MIN 12
void sim_value(uint64_t write, uint8_t *value, size_t bytes);
/* The write of a value, 0 when the bytes are none that sim_value made. */
uint64_t sim_value_write(struct slice value);

#endif
