/*
 * A run as it follows from a seed: the shape of the cluster, what clients do, and every fault with
 * its time. Nothing else is drawn outside the simulator's own generators, so that one fault, or one
 * rate, can be left out and the rest stays as it was.
 */
#ifndef GT_TESTS_SIM_PLAN_H
#define GT_TESTS_SIM_PLAN_H

#include "tests/sim/sim.h"

#define PLAN_FAULTS_MAX 64
#define PLAN_KEYS_MAX   48

/*        name               what it does */
#define PLAN_FAULTS(X)                                                                             \
    X(KILL, "kill", "SIGKILL of a process, started again later")                                   \
    X(POWER, "power", "power cut of a machine")                                                    \
    X(STOP, "stop", "SIGTERM of a process")                                                        \
    X(KILL_ALL, "kill_all", "SIGKILL of all nodes and the manager at once")                        \
    X(POWER_ALL, "power_all", "power cut of all machines at once")                                 \
    X(LOOP, "restart_loop", "a process killed again and again while it starts")                    \
    X(PAUSE, "pause", "a process stands still")                                                    \
    X(CUT, "cut", "two machines do not reach one another")                                         \
    X(CUT_ONE_WAY, "cut_one_way", "one machine does not reach another")                            \
    X(SPLIT, "split", "the machines fall into two halves")                                         \
    X(SLOW_LINK, "slow_link", "a link gets slow")                                                  \
    X(SLOW_DISK, "slow_disk", "syncs of a machine get slow")                                       \
    X(SYNC_FAILS, "sync_fails", "one sync answers EIO, and its data is lost")                      \
    X(READ_ERROR, "read_error", "one read of the index answers EIO")                               \
    X(FULL, "disk_full", "no file of a machine may grow")                                          \
    X(FLIP, "bit_flip", "one bit of a record at rest")                                             \
    X(CLOCK_JUMP, "clock_jump", "a wall clock jumps")                                              \
    X(CLOCK_DRIFT, "clock_drift", "a wall clock runs fast or slow")                                \
    X(CLIENT, "client", "a client dies, and another session takes its place")                      \
    X(WIPE, "disk_wiped", "a machine comes back with an empty disk")                               \
    X(ROLLBACK, "disk_rolled_back", "an old copy of a disk is put back")                           \
    X(MANAGER_WIPED, "manager_wiped", "a manager comes back with an empty disk")                   \
    X(MANAGER_OLD, "manager_old", "an old copy of a manager's disk is put back")                   \
    X(JOIN, "join", "a node comes that was not there before")                                      \
    X(DRAIN, "drain", "a person drains a node")                                                    \
    X(UNDRAIN, "cancel", "a person cancels the rebalance")                                         \
    X(WEIGHT, "weight", "a person gives a node another capacity")                                  \
    X(REMOVE, "remove", "a node dies for good, and a person removes it")                           \
    X(REPLACE, "replace", "a node dies for good, and a person puts another in its place")          \
    X(DEAF, "deaf", "a node or a client hears of no new map")

enum fault_kind {
#define PLAN_FAULT_ENUM(name, text, what) FAULT_##name,
    PLAN_FAULTS(PLAN_FAULT_ENUM)
#undef PLAN_FAULT_ENUM
        FAULT_KINDS
};
#define FAULT_KINDS_ANY FAULT_MANAGER_WIPED /* those before may strike in every plan */
const char *fault_name(enum fault_kind kind);

struct fault {
    enum fault_kind kind;
    bool off; /* left out by the minimizer */
    uint64_t at_us, for_us;
    uint32_t a, b;
    uint64_t value;
};

enum key_mode { KEY_PLAIN, KEY_CONTEXT, KEY_MIXED };

struct plan {
    uint64_t seed;
    uint32_t nodes, clients, keys;
    uint32_t managers; /* 1 or 2 */
    struct settings settings;
    struct sim_network network;
    struct sim_storage storage;
    uint64_t reap_wait_us; /* 0: nobody is marked to refill */
    bool moves;            /* partitions are moved: by themselves, and as people want it */
    uint32_t late;         /* of the nodes, the last ones: they join when the cluster has formed */
    uint64_t replace_after_us; /* of the manager; 0 = never */
    uint32_t inflight_max;
    uint32_t digest_above;
    size_t piece_bytes_max;
    int64_t clock_offset_us[SIM_HOSTS_MAX];
    /* What clients do. */
    uint32_t workers;              /* calls in flight of one client */
    uint32_t think_us;             /* mean pause of a worker */
    uint32_t gets, deletes, blind; /* in 100: of all, of writes, of context writes without one */
    uint32_t sloppy;               /* in 100 of writes: guests may stand in */
    uint32_t value_bytes_max;
    uint8_t key_mode[PLAN_KEYS_MAX]; /* enum key_mode */
    /* Times. */
    uint64_t safety_us; /* faults end here */
    struct fault faults[PLAN_FAULTS_MAX];
    uint32_t fault_count;
};

void plan_make(struct plan *p, uint64_t seed);
/* The run of the seed in which partitions move: the same where they do anyway. */
void plan_make_moving(struct plan *p, uint64_t seed);
/* One line for a fault, for people. Returns text. */
const char *fault_text(const struct fault *f, char text[160]);
/* The shape in one line. Returns text. */
const char *plan_text(const struct plan *p, char text[300]);

#endif
