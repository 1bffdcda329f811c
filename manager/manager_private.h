/*
 * What the files of the manager share: its struct.
 */
#ifndef GT_MANAGER_PRIVATE_H
#define GT_MANAGER_PRIVATE_H

#include "engine/base/prng.h"
#include "manager/catalog.h"
#include "manager/manager.h"
#include "manager/mover.h"
#include "manager/status.h"

#define TAG_PORT             2
#define HEARTBEAT_US_DEFAULT 500000u
#define RETRY_US             1000000u /* after a map that could not be written */
#define REBALANCE_WAIT_US    3000000u /* after the last one joined, before it begins by itself */
#define REPLACE_COURSE_US    3000000u
#define ADMIN_WAITING_MAX    16 /* answers to people that wait for their map to be told */

/* An inbound connection whose HELLO was accepted. */
struct greeted {
    uint64_t link, node; /* node: 0 for a client */
    uint64_t incarnation;
    uint8_t cluster_id[CLUSTER_ID_BYTES]; /* as its hello said; zero: of none yet */
    bool registered;                      /* gets pushed maps */
    uint64_t heard_us;                    /* a link may stand long after its node fell silent */
    /* Of ballots.c. A newer link of the node has come; in which lists of electors it is. */
    bool superseded;
    uint8_t electors;
    bool free; /* it said, then, that it hears of no other leader */
    uint64_t voted_us;
    uint64_t asked_us, asked_ballot, asked_counter; /* of the last PROPOSE; counter 0: no map */
    uint64_t promised;                              /* durable there, of ours; 0: none */
    struct epoch holds;                             /* durable there, under our ballot */
};

/* A REGISTER that waits for its map to be durable. A node waits once: a newer one replaces it. */
enum waiting_stage { WAITING_NOT, WAITING_IN_DRAFT, WAITING_IN_WRITE };
struct waiting {
    enum waiting_stage stage;
    uint64_t link, id;
};

/* Another life of a member says hello while one is linked: since when. */
struct rival {
    uint64_t incarnation, since_us;
};

#define GONE_MAX 16u

/* A person's wish that is in a map which is not told yet. */
struct admin_waiting {
    uint64_t link, id;
    char text[MSG_TEXT_BYTES];
};

enum reign { REIGN_STANDBY, REIGN_GATHERING, REIGN_LEADING };

struct ballots {
    enum reign reign;
    struct prng prng;
    uint64_t ballot, seen;   /* our last one; the highest that was heard of */
    uint64_t pause_until_us; /* no gathering begins before */
    bool own_heard;          /* a member of our own copy was greeted */
    struct ring *found;      /* the highest map heard of, where it is above told; else NULL */
    bool found_counts;       /* it is in force somewhere; else it is a proposal */
    struct blob *found_voters;
    /* Members whose places nodes are to take: a person knows that they are lost. */
    uint64_t gone[GONE_MAX];
    uint32_t gone_count;
    struct blob *first, *second; /* of whom majorities are needed now; runs of u64, NULL: of none */
};

struct manager {
    struct log *log;
    struct events *events;
    struct catalog catalog;
    struct engine_identity identity;
    struct settings settings;
    uint8_t cluster_id[CLUSTER_ID_BYTES];
    bool cluster_id_durable;
    uint64_t form_after_us, form_first_us, heartbeat_us, reap_wait_us;
    uint16_t port_to_store; /* 0: none */
    uint64_t began_us;      /* START */
    uint64_t start_us;      /* it began to lead: silence is counted from here */
    uint64_t proposed_us;   /* the map on its way */
    uint32_t given;         /* enum manager_given, of asked */
    struct settings asked;  /* by the flags */
    struct ballots ballots;
    uint64_t last_join_us, retry_us;
    struct hlc clock;
    struct greeted *greeted;
    uint32_t greeted_count;
    /* By member index, which is the same in every map: members are only ever added at the end. */
    struct sighting sightings[MEMBERS_MAX];
    struct waiting waiting[MEMBERS_MAX];
    struct rival rivals[MEMBERS_MAX];
    struct mover mover;
    uint64_t move_us; /* no step of moves before */
    bool rebalance_auto;
    struct epoch settings_since; /* the map since which they are told, or the first of this start */
    struct admin_waiting admins[ADMIN_WAITING_MAX];
    uint32_t admin_count;
};

/* ---- manager.c ------------------------------------------------------------------------------- */

/* The reply to the message of the event, to be filled and sent. */
struct msg reply_to(struct manager *m, const struct gt_event *ev);

/* ---- moves.c: the mover in the manager ------------------------------------------------------- */

/* A map is told. */
void moves_told(struct manager *m);
/* Changes the draft where moves can go on, at most once in MOVES_PAUSE_US. */
void moves_step(struct manager *m, uint64_t now_us);
uint64_t moves_deadline_us(const struct manager *m);
void moves_status(struct manager *m, const struct ring *told, struct status *out, uint64_t now_us);
/* Begins a rebalance unless one is on, or paused. False: out of memory. */
bool moves_begin_all(struct manager *m);
/* The answer to PLAN. */
void plan_answer(struct manager *m, const struct gt_event *ev, struct gt_effects *fx);

/* ---- verbs.c --------------------------------------------------------------------------------- */

/* The answer to ADMIN: at once, or when the map that it changes is told. */
void admin_answer(struct manager *m, const struct gt_event *ev, struct gt_effects *fx);
/* A map is told: those who waited for it are answered. */
void admin_told(struct manager *m, uint64_t wall_us, struct gt_effects *fx);

/* Whether the flags of this manager agree with the map: 0, or GT_ESETTINGS with why. */
int manager_settings_judge(struct manager *m, const struct ring *r, char why[MSG_TEXT_BYTES]);

/* ---- ballots.c ------------------------------------------------------------------------------- */

/* Its maps count, if enough nodes hold them. Else it changes nothing. */
bool leading(const struct manager *m);
/* What it answers, with GT_EBUSY, when it does not. */
#define NOT_LEADING_TEXT                                                                           \
    "this manager does not lead: it waits for a majority of the nodes, or beside another manager"
/* The node says that it is of another cluster than this manager. */
bool foreign(const struct manager *m, const struct greeted *g);
void ballots_init(struct manager *m, uint64_t seed);
void ballots_close(struct manager *m);
void ballots_begin(struct manager *m, uint64_t now_us);
/* A hello was accepted. */
void ballots_greeted(struct manager *m, struct greeted *g, uint64_t now_us, uint64_t wall_us,
                     struct gt_effects *fx);
/* The node was heard: it can be asked for what is lacking of it. */
void ballots_ask(struct manager *m, struct greeted *g, uint64_t now_us, uint64_t wall_us,
                 struct gt_effects *fx);
/* The node that registers is to take the place of the member with this label. */
void ballots_gone(struct manager *m, const struct greeted *g, struct slice label, uint64_t now_us);
/* The node is of another cluster, and has not told yet what that has: it may be the one that is to
 * be gone on with. Until its vote comes, or its link ends, no cluster is formed beside it. */
bool ballots_waits(const struct manager *m, const struct greeted *g);
/* By the epoch of a message. */
void ballots_epoch_seen(struct manager *m, const struct greeted *g, struct epoch epoch,
                        uint64_t now_us);
void ballots_vote(struct manager *m, struct greeted *g, const struct msg *vote, uint64_t now_us,
                  struct gt_effects *fx);
/* After every event: begins to gather, or to lead, when that has become possible. */
void ballots_go_on(struct manager *m, uint64_t now_us, uint64_t wall_us, struct gt_effects *fx);
/* After catalog_commit. */
void ballots_propose(struct manager *m, uint64_t now_us, uint64_t wall_us, struct gt_effects *fx);
/* The map on its way is held by whom it must be held by. */
bool ballots_held(const struct manager *m);

#endif
