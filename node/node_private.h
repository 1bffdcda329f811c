/*
 * What the files of the node share: its struct, the table of work in flight, and the steps that
 * every coordinated request goes through.
 *
 * A coordinated request (PUT, GET, SCAN) lives in one slot:
 *
 *   request -> coord_begin: refuse | forward (SLOT_FORWARD) | slot taken
 *      -> owners are asked, the node itself through its storage, the others by message
 *      -> each answer, failure, silence of 500 ms or lost link is counted (quorum.h)
 *      -> X_progress judges: wait | ask more | answer, once
 *      -> a put stays until its other replicas answered or its deadline passed; then the slot ends
 *
 * Every waiting state ends by its deadline. A late answer to an ended slot finds nothing.
 */
#ifndef GT_NODE_NODE_PRIVATE_H
#define GT_NODE_NODE_PRIVATE_H

#include "engine/base/error.h"
#include "engine/base/prng.h"
#include "engine/operations.h"
#include "node/eta.h"
#include "node/node.h"
#include "node/pace.h"
#include "node/quorum.h"

#define INFLIGHT_DEFAULT 4096u
#define META_SLOTS       16u   /* the node's own small durable values under way */
#define LINKS_MAX        8192u /* inbound links that have spoken */
/* Bodies of puts in flight here; above it a put is refused as busy. Half of what a link's queue
 * takes, so that a slow replica slows the writers before its link is cut. */
#define PUT_BYTES_MAX (32ull << 20)
/* A new incarnation, or another hello to who refused one, after the one before; doubles. */
#define RENEW_PAUSE_MIN_US 1000000u
#define RENEW_PAUSE_MAX_US 60000000u
#define PROMISES_BYTES_MAX (1u << 20)
#define TAKEN_BYTES_MAX    (512u << 10)
#define SILENCE_US         500000u /* an unanswered replica counts as failed */
#define HEARTBEAT_US       500000u
#define RIVAL_SILENT_US    1500000u /* whoever does not answer so long is not alive */
#define SCRUB_FIRST_US     2000000u /* after the start */
/* Repairs in the background: keys at a time, and what they may send. Each owner that is sent to
 * costs the record's bytes, a small one REPAIR_COST_MIN. */
#define REPAIRS_MAX        256u
#define REPAIR_BYTES_PER_S (8u << 20)
#define REPAIR_BYTES_BURST (1u << 20)
#define REPAIR_COST_MIN    4096u
/* Records above are compared by digest before they are lent. */
#define DIGEST_ABOVE_BYTES 4096u
/* A sloppy put asks a guest when an owner, or a guest, was silent for so long: half of what a
 * session gives an attempt. */
#define GUEST_AFTER_US      250000u
#define PARCEL_RUNS_MAX     4u /* targets that are delivered to at a time */
#define DEADLINE_DEFAULT_MS 5000u
#define DEADLINE_MAX_MS     60000u

struct peer {
    uint64_t id; /* peer number: 1..managers, or the member's node id */
    struct address address;
    bool manager;
    bool connected;            /* LINK_UP */
    bool up;                   /* and our hello was accepted: it can be asked */
    bool registered;           /* manager: it knows us */
    bool fresh;                /* and was not compared with since */
    bool knows_lives;          /* that those are over which are being closed (closing.c) */
    bool keeps_none;           /* it has said since we were linked that it keeps nothing for us */
    bool asked_keeps;          /* what it keeps is being asked (keepers.c) */
    struct blob *keeps;        /* partitions of which it keeps parcels, u16 each, as it has said
                                  since we were linked; NULL: not yet */
    bool comparing;            /* a comparison of clocks is under way */
    uint64_t life, told;       /* a member's incarnation, as its last hello reply said; how many */
    struct epoch epoch;        /* of its map, which is durable there, as its last message said */
    struct lives lives;        /* of its folder, as that said */
    uint64_t life_heard;       /* the highest of it of which another member has told (clocks.c) */
    uint64_t rival, rival_us;  /* another life of it that says hello to us, and since when */
    uint64_t rival_told;       /* replies until then */
    uint32_t compare_next;     /* the partition at which it goes on, 0: it was the last message */
    bool compare_moving;       /* of those that are moving alone */
    uint64_t beat_id, beat_us; /* manager: of the last heartbeat */
    uint64_t leads_us;         /* manager: until then it is believed to lead (acceptor.c) */
    bool busy;                 /* manager: it has said that it does not */
    uint64_t counter;          /* manager: of the map that it had when it was greeted */
    uint64_t ping_id, ping_us; /* of the ping under way, 0 = none, and when it was sent */
    uint64_t unanswered_us;    /* since when nothing came back to any, 0: the last was answered */
    bool clock_known;
    /* As the last ping showed: its wall clock, and its monotonic one, less our monotonic one, at
     * least. */
    int64_t clock_us, monotonic_us;
};

/* What is known of one other owner of a partition (clocks.c). */
struct watch_other {
    uint64_t node;
    bool unsure;              /* clocks may differ: to be compared */
    bool current;             /* since we were linked last we have had all that was theirs */
    uint64_t lacking;         /* dots of theirs that we lacked when compared last */
    struct blob *clock;       /* theirs, durable, as heard last; NULL: not yet */
    uint64_t clock_life;      /* the incarnation in which they said so */
    struct epoch clock_epoch; /* and the epoch of their map then */
    bool differs;  /* every key is to be pulled: our clocks are equal, our records are not */
    bool settled;  /* we pulled everything that it has since we lost data (fill.c) */
    uint64_t life; /* its incarnation then */
    uint64_t differs_us, differs_again_us; /* the pause after that, and its end */
    uint64_t digest_ours, digest_theirs;   /* where our clocks were equal and our records not */
    bool unheard;                          /* its clock confirms no deletion (keepers.c) */
    bool swept; /* pulled from to the end since all members knew the lives that are being closed */
    /* In a move of the partition (moves.c): it is in the list in force; what was written is not
     * kept for it alone: it goes, and confirms nothing; it fills, as it has said with its clock;
     * its clock of after the fences, and we have all of that; it has all that we have. */
    bool owner, goes, fills;
    struct blob *fenced_clock;
    bool covered, has_ours;
};

/* One partition in which we have a part (ring.h). */
struct watch {
    enum ring_part part;
    enum arc_phase phase;
    struct epoch write_since; /* of the arc */
    /* A move (moves.c): we must have what the arc's owners had, for who leaves; the fences stand,
     * since when; our part is done; what we had is being dropped. */
    bool covering, fenced, done, dropping;
    uint64_t fenced_us;
    struct blob *cursor;  /* how far the pull from one owner came (pull.c); NULL: there is none */
    bool wanted, pulling; /* a pull is, and one is under way (pull.c) */
    bool filling;         /* we have no vote (fill.c) */
    bool rot;             /* because of a bad record */
    bool anew; /* another went bad meanwhile: the clock is to be given up once more, and that is not
                  stored yet */
    bool ending;                   /* storage was told that it is whole */
    uint32_t round;                /* since it began: a pull from before does not count */
    bool owed;                     /* we vote, and have not yet pulled everything from everybody */
    uint64_t rot_us, rot_again_us; /* the pause before another bad record counts, and its end */
    bool unheard; /* it may have lost what a parcel still holds: it confirms no deletion (keepers.c)
                   */
    bool closable;           /* its clock holds lives that are over (closing.c) */
    bool closing;            /* they are being closed: every other owner is pulled from first */
    bool parcel_free;        /* when all members were last asked none of them kept parcels of it */
    uint32_t closing_number; /* of this closing, or the last one */
    bool unsure;             /* something was written since the last confirmation */
    bool confirming, confirm_again; /* storage is told what the others have; and then once more */
    uint32_t count;
    struct watch_other others[];
};

/* What is brought after a link came up, from pull_begun to pull_ended (enum event_kind). */
struct catching_up {
    bool begun;
    uint64_t begun_us, states, bytes; /* of the metrics then */
};

enum pull_stage {
    PULL_READING = 1,
    PULL_ASKED,
    PULL_STORING,
    PULL_RESTING,
    PULL_PAUSED,
    PULL_MERGING
};

struct inbound {
    uint64_t link, node, incarnation;
    struct lives lives; /* of its folder */
    uint64_t hello_id;
    uint64_t hello_waits; /* version of the seen incarnations to be durable first, 0 = none */
    bool heard;    /* a hello of the node was accepted on it before: it is the same process */
    bool stranger; /* a node that no map names yet: its hello waits for one that does */
    uint8_t role;  /* enum role; 0 until its hello was accepted */
};

struct seen {
    uint64_t node, incarnation;
};

/* What refused hellos call for. One that has been answered begins a pause, so that whoever keeps
 * on refusing cannot keep this node's disk busy with new lives. */
struct renewal {
    bool wanted;
    bool forgot;              /* others have what our folder has forgotten */
    bool drawing;             /* storage was asked */
    uint64_t above;           /* draw above it; 0: only say hello again */
    uint64_t pause_us, at_us; /* the pause after the last one, and its end */
};

/* Where an answer goes. */
struct origin {
    uint64_t link, id;
    enum msg_type type; /* of the request */
};

/* Whom we compare with, in which life, and what it says with its clocks. */
struct teller {
    uint64_t node, life;
    struct epoch epoch; /* of its map */
    uint64_t asked_us;  /* when we asked; 0: it has */
    struct slice unheard, filling, lives;
};

enum slot_kind {
    SLOT_PUT = 1,
    SLOT_GET,
    SLOT_SCAN,
    SLOT_REPAIR,  /* a get that goes on: its merged state to the owners that lack it */
    SLOT_FORWARD, /* waits for the owner to whom the request was passed */
    SLOT_PIECE,   /* one piece of a large state at one replica */
    SLOT_REPLICA, /* a peer's STATE, FETCH or RANGE in our storage */
    SLOT_META,
    SLOT_CLOCKS,        /* our clocks are read, and compared with a peer's */
    SLOT_CLOCKS_ALONE,  /* our clocks of partitions that nobody else owns */
    SLOT_CLOCKS_ASKED,  /* a peer's CLOCKS: ours are read for the answer */
    SLOT_CONFIRM,       /* the dot log is told what all have */
    SLOT_RETIRED,       /* all members are asked whether they know that lives are over */
    SLOT_RETIRED_ASKED, /* a peer asks that, and which parcels are kept here */
    SLOT_KEEPS,         /* a member is asked what parcels it keeps (keepers.c) */
    SLOT_CLOSE,         /* and those are being closed in a partition */
    SLOT_PULL,
    SLOT_VERIFY,  /* a peer's or tool's VERIFY: paced, then read */
    SLOT_STREAM,  /* a peer's PULL of what moves there: likewise */
    SLOT_FILL,    /* storage is told that a partition fills, or is whole */
    SLOT_DROP,    /* and that it is not owned any more (moves.c) */
    SLOT_CURSOR,  /* and how far a pull came */
    SLOT_SCRUB,   /* records at rest are looked at */
    SLOT_PARCELS, /* whose parcels we keep; or a run of them to their target (parcel.c) */
    SLOT_DELIVERY /* one parcel on its way */
};

enum put_phase {
    PUT_STORING, /* asked of our storage, or stored and on its way to the others */
    PUT_ASKING,  /* tried before: whether it was written is being asked (retry.c) */
    PUT_MERGING  /* it was, and the state that includes it is being merged here */
};

enum meta_kind { META_MAP, META_PEERS, META_LABEL, META_BALLOT };

/* What an acceptor holds (acceptor.c): promised, and the proposal; NULL: none. */
struct held {
    uint64_t ballot, life;
    struct ring *ring;
    struct blob *map, *voters; /* its bytes; a run of u64 */
};

/* A PROPOSE that is not answered yet; peer 0: none. */
struct asked {
    uint64_t peer, ballot, life;
    struct epoch known;
    struct blob *map, *voters; /* NULL: no map */
};

struct acceptor {
    struct held now, next; /* durable; and being stored */
    bool storing;
    struct asked next_asked;               /* for which that is */
    struct asked asked[NODE_MANAGERS_MAX]; /* one of each manager */
};

/* A state on its way to owners, and who counts it is the slot's quorum (spread.c). */
struct spread {
    struct blob *dots;       /* what it sets in their clocks */
    struct blob *operations; /* of those that are superseded, rows */
    struct blob *record;     /* of a sloppy put, for guests who are asked later; else NULL */
    struct blob **pieces;    /* of a state above a frame; piece_count references */
    uint32_t piece_count;
    uint32_t flags;   /* of its messages, enum request_flag */
    uint8_t priority; /* enum priority */
};

/* An owner's share of a read: a record, or a run of entries. */
struct share {
    struct blob *hold;
    struct slice bytes;
    bool more;
    uint64_t digest; /* of a record that was not lent whole, until it is compared with our own */
    uint32_t digest_bytes; /* its length; 0: there is none */
    struct blob *clock_hold;
    struct slice clock; /* of a run: the owner's, of the same moment; empty: not told */
};

struct slot {
    enum slot_kind kind;
    bool expired;  /* the deadline has passed */
    bool answered; /* the reply was sent; a put may go on in the background */
    bool weak;     /* a quorum below the cluster's was asked for */
    uint8_t self;  /* our place among the owners */
    struct origin origin;
    struct epoch origin_epoch; /* RETIRED: of the asker's map */
    struct epoch epoch;        /* of the map by which the owners are counted */
    bool stale;                /* an owner goes by another map */
    struct blob *body;         /* of the request: key and the rest borrow from it */
    struct slice key;
    struct request_head head;
    struct slice min_context; /* of a get: what its client has seen; borrows from body */
    uint32_t partition;
    uint64_t deadline_us, begun_us;
    struct quorum quorum;
    uint64_t owners[PLACES_MAX]; /* node ids */
    uint32_t filling;            /* bits of owners that have no vote */
    uint32_t full;               /* bits of owners that had no room for a put */
    uint32_t vouched; /* of a read: bits of owners whose answer is worth R = 1 alone (vote.c) */
    uint64_t asked_us[PLACES_MAX]; /* UINT64_MAX: by storage, whose silence has no limit */
    struct spread spread;          /* of a put, of a repair */
    union {
        struct {
            enum put_phase phase;
            bool stored, known;
            bool again; /* it was outranked, and is or was stored once more above (RULES 12) */
            uint64_t length_ms;                 /* of the shortest table asked */
            struct slice value, client_context; /* as they came */
            struct blob *context;
            uint64_t stamp;
            uint64_t valid_until_us;     /* not minted later: its sender has given it up */
            uint64_t first_stamp;        /* at which a retry is minted; 0 = by its age */
            uint64_t bytes;              /* its share of node.put_bytes */
            bool sloppy, guests_out;     /* guests may stand in; no other is left to ask */
            uint32_t guests_tried;       /* of the order in which they come */
            uint64_t guests[PLACES_MAX]; /* the stand-in of each place, 0 = none */
            uint64_t guest_asked_us[PLACES_MAX];
        } put;
        struct {
            struct slice
                wanted; /* of s->min_context, what is to be found; from body, or min_left */
            bool twice; /* those that had something were asked once more */
            struct blob *min_left;
            struct share shares[REPLICAS_MAX];
        } get;
        struct {
            struct blob *record; /* the merged state */
            uint8_t read_owners; /* that answered the get */
            int place;           /* in node.repairs, -1 = none */
        } repair;
        struct {
            bool from_start;
            uint64_t from_hash;
            struct slice from_key;
            uint32_t bytes_max;
            uint32_t rounds; /* how often the owners were asked anew */
            struct share shares[REPLICAS_MAX];
        } scan;
        struct {
            uint64_t peer;
        } forward;
        struct {
            uint64_t of;            /* slot id of what is spread */
            uint32_t owner, number; /* owner: the place */
            uint64_t guest;         /* to the stand-in, 0 = to the owner */
        } piece;
        struct {
            uint32_t digest_above; /* FETCH: as it asks */
        } replica;
        struct stream {
            uint64_t node, life; /* who asks for what it lacks */
            struct slice clock, from_key;
            uint64_t from_hash;
            uint32_t bytes_max;
            bool from_start, whole;
            bool paced; /* of a partition that moves there */
        } stream;
        struct {
            enum meta_kind kind;
            uint64_t version;
        } meta;
        struct {
            uint64_t peer;
            struct blob *sent;
            struct slice theirs;
            struct teller from; /* who has asked */
        } clocks;
        struct {
            uint64_t source;
            enum pull_stage stage;
            uint32_t outstanding; /* states, or the clock, in our storage */
            bool failed, more, whole;
            uint32_t round;    /* of the partition's filling, when it began */
            uint32_t sweeps;   /* the closing that it is for; 0: none */
            bool filling;      /* who gives has lost data, and does not know yet what it had */
            bool foreign;      /* who gives goes by another map of the members: it may leave out
                                  somebody, us too */
            bool uncut;        /* a record there is bad: no clock is to be merged */
            bool unknown;      /* one that is not known here either */
            struct blob *body; /* whole: the reply, whose entries are all of its run */
            struct slice entries, clock;
            struct blob *begin_key;  /* of that run; NULL: the start */
            struct blob *cut;        /* to be merged in the end; NULL: none yet, or none at all */
            struct blob *last_key;   /* whole: the cursor */
            bool moving;             /* a partition that is moving here: the cursor is kept */
            uint64_t data;           /* what it belongs to, as the source named it; 0: not yet */
            struct blob *operations; /* rows that go with the cut */
            uint64_t operations_floor;
        } pull;
        struct {
            bool begins;
        } fill;
        struct {
            uint64_t target, number; /* 0: whose are there; the cursor */
            uint32_t outstanding, delivered;
            bool more;
        } parcels;
        struct {
            uint64_t run, target, number; /* slot id of SLOT_PARCELS */
            bool dropping;
        } delivery;
    };
};

#define DELETES_ROWS 1024u

struct node {
    struct log *log;
    struct {
        struct log_pace unstored, broke, unfilled;
    } lines; /* that every partition may cause */
    struct events *events;
    struct node_config config;
    struct engine_identity identity;
    struct member self;
    struct ring *ring;
    int member; /* our index in the ring, -1 when it does not have us */

    struct ring *map_storing, *map_next; /* newer maps: being made durable, and waiting for that */
    uint64_t map_asked_us;
    struct acceptor acceptor;

    struct peer *peers; /* ascending by id */
    uint32_t peer_count;
    struct inbound *links; /* ascending by link */
    uint32_t link_count, link_capacity;

    struct seen *seen; /* of members of the map alone, hence MEMBERS_MAX at most */
    uint32_t seen_count, seen_capacity;
    uint64_t seen_version, seen_storing, seen_stored;

    struct slots *slots;
    uint32_t inflight_max, coordinated, replicating, metas;
    struct operations promises; /* not to count for earlier attempts of these (retry.c) */
    struct operations taken;    /* puts that came, to know copies of them (coord_put.c) */
    uint64_t put_bytes;         /* of puts not yet answered: bounds what waits for one peer */
    /* Deletes that are coordinated here, by the lowest bits of their partition: what one of them
     * has written may have to be stored again, and is not reaped meanwhile. */
    uint32_t deletes_under_way[DELETES_ROWS];

    struct {
        uint64_t hashes[REPAIRS_MAX]; /* of the keys under repair, 0 = a free place */
        int64_t bytes_left;           /* that repairs in the background may send now */
        uint64_t filled_us;           /* when that was reckoned */
    } repairs;

    uint64_t pinged;  /* the peer asked last for its clock */
    bool clock_apart; /* as judged last */
    /* The highest clock_us of all peers that are not too far ahead to be followed. */
    bool clock_lead_known;
    int64_t clock_lead_us;

    struct hlc hlc;
    uint64_t now_us, wall_us; /* of the event being handled */
    uint64_t next_id;
    uint64_t join_deadline_us, heartbeat_at_us;
    bool started, ready, failed;
    bool registered; /* a manager has accepted us, in this life */
    bool rehello;    /* the identity changed: say hello again */
    struct renewal renewal;
    uint64_t
        life_told; /* the highest life of ours that we were told of, in this process; 0: none */
    bool joining;  /* the cluster id was asked to be stored */
    bool cluster_wanted;
    uint8_t cluster_id[CLUSTER_ID_BYTES];     /* to be joined, with cluster_wanted */
    uint8_t formed_cluster[CLUSTER_ID_BYTES]; /* of the last map told that had formed */
    bool label_known;                         /* our label is stored, or its storing is wanted */
    bool label_wanted, label_storing;         /* the manager gave a label that is not stored yet */
    uint64_t meta_retry_us;                   /* storage refused a small value: not before */

    uint64_t started_us;
    uint32_t filling; /* partitions that we own and have no vote in */
    struct {
        uint64_t at_us; /* of the next round; UINT64_MAX: nothing is moving */
        bool changed;   /* the manager is to hear that something is done */
        bool leftovers; /* what is not ours any more may be here */
    } moves;
    struct {
        uint64_t at_us;
        uint32_t partition;
        bool reading;
    } scrub;
    bool healing; /* storage was told that everything is whole */
    uint64_t lease_until_us;

    struct prng prng;
    struct watch **watches; /* by partition; NULL where we are no owner */
    uint32_t watch_count;
    uint32_t alone_next; /* of those without another owner: where reading goes on, 0: it ended */
    bool alone_read;     /* and is under way */
    uint64_t exchange_at_us;
    struct {
        struct clock lives;  /* those being closed: it has nothing else */
        bool asking, agreed; /* the members are asked; they know */
        bool stale;          /* who is asked has changed meanwhile */
    } closing;
    uint32_t pulls, pulls_wanted, pull_next;
    uint32_t rounds; /* a name for every watch.round */
    struct catching_up catching_up;
    struct eta eta;
    uint64_t pull_free_us;   /* no more is asked for before: the rate of pulls */
    struct pace pace;        /* and that of what moves, sent or taken */
    uint64_t verify_free_us; /* nothing is read again before */
    struct {
        bool asking;                    /* whose there are */
        uint64_t runs[PARCEL_RUNS_MAX]; /* targets, 0 = a free place */
        uint64_t free_us;               /* no more is sent before: the rate */
    } parcels;
    struct clock clock_ours, clock_theirs; /* scratch of comparing */

    struct state local, incoming, merged; /* scratch of merging */
    struct history history, wanted;
    struct buf bytes, context, filling_told;
    struct node_metrics metrics;
};

/* ---- the cluster id -------------------------------------------------------------------------- */

/* We are of a cluster, and that is another one. */
static inline bool cluster_foreign(const struct node *n, const uint8_t id[CLUSTER_ID_BYTES])
{
    return !cluster_none(n->identity.cluster_id) && !cluster_same(n->identity.cluster_id, id);
}

/* ---- node.c ---------------------------------------------------------------------------------- */

/* A message of this node with its epoch and a fresh stamp. */
struct msg node_message(struct node *n, enum msg_type type, uint64_t id);

/* The peer with the number, NULL when neither managers nor map name it. */
struct peer *node_peer(const struct node *n, uint64_t id);
bool node_linked(const struct node *n, uint64_t id); /* can be asked now */
/* For people: the member's label, or words that say it has gone. */
const char *node_label_of(const struct node *n, uint64_t id);
/* Ends the process with the first cause given; later ones are ignored. */
void node_fail(struct node *n, int error, const char *text, struct gt_effects *fx);
/* Sends one of the node's own small values to storage; false when it must be tried later. */
bool meta_store(struct node *n, enum meta_kind kind, uint64_t version, struct slice value,
                struct gt_effects *fx);

/* ---- membership.c ---------------------------------------------------------------------------- */

/* What is known of an inbound link, NULL before it said hello. */
struct inbound *node_inbound(const struct node *n, uint64_t link);
/* Forgets an inbound link that has broken. */
void inbound_drop(struct node *n, uint64_t link);
uint64_t node_seen(const struct node *n, uint64_t id); /* highest incarnation seen, 0 = none */
/* It was a member, and is none any more: nothing of it is acknowledged (RULES 8b). */
bool node_removed(const struct node *n, uint64_t id);
/* Fills the incarnations seen of members from "peers" as stored: 0, or GT_EFORMAT, GT_ENOMEM. */
int seen_read(struct node *n, const struct blob *bytes);
/* Sends the incarnations seen to storage; hellos_answer follows when they are durable. */
void seen_store(struct node *n, struct gt_effects *fx);
/* Introduces this node to a connected peer. */
void hello_send(struct node *n, uint64_t peer, struct gt_effects *fx);
/* Draws a new incarnation, or says hello again, when that is wanted and the pause is over. */
void renewal_begin(struct node *n, struct gt_effects *fx);
/* The peer has dots that were minted here in an earlier life and are not here any more: what leaves
 * a node is durable there, so the folder was rolled back within that life (RULES 7, 8a). */
void renewal_forgotten(struct node *n, uint64_t peer);
/* When renewal_begin is to be called; UINT64_MAX: not. */
uint64_t renewal_deadline_us(const struct node *n);
/* Judges what a peer made of our hello: only then can it be asked. */
/* A node that joined a new manager, which then took over an older cluster, follows it there, unless
 * the cluster that it is of has bound it: it held a map that formed, or data. Whether it does. */
bool cluster_change(struct node *n, const uint8_t id[CLUSTER_ID_BYTES]);
void hello_reply(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
/* Judges a hello on an inbound link, and answers it now or when its incarnation is durable. */
void hello_in(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
/* Answers the hellos that waited for the incarnations that are durable now. */
void hellos_answer(struct node *n, struct gt_effects *fx);
/* Who is marked to refill in the map is nobody until it has begun to: links with it end. We too. */
void refills_heed(struct node *n, const struct ring *before, struct gt_effects *fx);
/* After another map was adopted: forgets the lives of who is no member now, and judges the hellos
 * of those who are since. */
void members_changed(struct node *n, struct gt_effects *fx);
/* Takes a manager's answer to our registration, with the cluster and label that it gave. */
void register_reply(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
/* Reports to the managers that know this node, and registers with those that do not. */
void heartbeats_send(struct node *n, struct gt_effects *fx);
/* Registers again with a manager that has forgotten this node. */
void heartbeat_reply(struct node *n, const struct gt_event *ev, struct gt_effects *fx);

/* A manager leads that does not know us: registers at once. */
void register_soon(struct node *n, uint64_t peer, struct gt_effects *fx);

/* ---- acceptor.c ------------------------------------------------------------------------------ */

/* Reads what is held as stored, at birth: 0, or GT_ENOMEM, GT_EFORMAT, GT_EPROTO. */
int acceptor_restore(struct node *n, const struct blob *bytes);
void acceptor_close(struct node *n);
/* A manager has answered a heartbeat or a registration: it leads, or (GT_EBUSY) does not. */
void acceptor_led(struct node *n, struct peer *p, int error);
/* Keeps a PROPOSE, to be judged by acceptor_next. */
void acceptor_propose(struct node *n, const struct gt_event *ev);
/* After every event: judges what waits, when storage may be asked. */
void acceptor_next(struct node *n, struct gt_effects *fx);
void acceptor_stored(struct node *n, int result, struct gt_effects *fx);

/* ---- map.c ----------------------------------------------------------------------------------- */

/* Connects to whom managers and map name now, and ends what waits for peers that have gone. */
void peers_rebuild(struct node *n, struct gt_effects *fx);
/* Keeps a map that a peer sent, when it is newer and of this cluster, to be stored next. */
void map_take(struct node *n, const struct gt_event *ev);
/* Sends the map that is next to storage; map_adopt follows when it is durable. */
void map_store(struct node *n, struct gt_effects *fx);
/* Acts on a map that is durable. Takes over one reference. */
void map_adopt(struct node *n, struct ring *r, struct gt_effects *fx);
/* Ends the node where its map says that it is a member no more: nobody asks it, or believes what it
 * says. before: the map before, NULL at the start. */
void left_heed(struct node *n, const struct ring *before, struct gt_effects *fx);
/* Reads the map as stored, at birth: 0, or GT_ENOMEM, GT_EFORMAT, GT_EPROTO. */
int map_restore(struct node *n, const struct blob *bytes);
/* Asks for the map when the sender acts by a newer one, at most once in a while. */
void map_ask(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
/* Answers with the map, or without when the asker has it. */
void map_give(struct node *n, const struct gt_event *ev, struct gt_effects *fx);

/* ---- report.c -------------------------------------------------------------------------------- */

/* The facts of this process, with the peers that it is linked to. */
struct node_report report_now(const struct node *n);
/* The members that answer this node, as heartbeats tell them. Returns the bytes. */
size_t report_heard(const struct node *n, uint8_t out[8 * MEMBERS_MAX]);
/* The answer to what is the manager's alone: ADMIN and PLAN. */
void admin_refuse(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
/* Answers with the cluster as this node sees it. */
void status_give(struct node *n, const struct gt_event *ev, struct gt_effects *fx);

/* Answers with the events that are kept. */
void events_give(struct node *n, const struct gt_event *ev, struct gt_effects *fx);

/* ---- coord.c: what all coordinated requests share -------------------------------------------- */

/* An answer without data. text may be NULL. */
void answer(struct node *n, const struct origin *o, int error, enum outcome outcome,
            const char *text, struct gt_effects *fx);
static inline struct origin origin_of(const struct gt_event *ev)
{
    return (struct origin){ev->link, ev->message.msg->id, ev->message.msg->type};
}
/* Refuses for the key's length: true when answered. */
bool coord_key_bad(struct node *n, const struct gt_event *ev, struct slice key,
                   struct gt_effects *fx);
/* Refuses while there is no formed map: true when answered. */
bool coord_forming(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
/*
 * Takes a slot for a request of the partition, with owners that have no link counted as failed.
 * NULL when it was answered: busy, quorum out of range, passed on to an owner or refused because it
 * was passed on already, fewer owners linked than the quorum asks for.
 */
struct slot *coord_begin(struct node *n, const struct gt_event *ev, enum slot_kind kind,
                         const struct request_head *head, uint32_t partition, uint64_t *id,
                         struct gt_effects *fx);
/* Passes the request on to the first linked owner other than this node: false when there is none.
 * request is as it came. */
bool coord_forward(struct node *n, const struct origin *o, const struct msg *request,
                   uint32_t partition, uint64_t deadline_us, struct gt_effects *fx);
void coord_relay(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
/* Milliseconds left of the slot, at least 1. */
uint32_t coord_left_ms(const struct node *n, const struct slot *s);
/* Counts owner i as asked now, and dates the slot. */
void coord_asked(struct node *n, uint64_t id, struct slot *s, uint32_t i);
/* Counts from the beginning, by the map of now: owners without a link have failed. A read needs R
 * of the list in force, a write W of each list that is written to. asked: R or W of the request, 0:
 * that of the list. False: this node is not among them. */
bool coord_quorum(const struct node *n, struct slot *s, uint32_t asked, bool writes);
/* A message of the slot to who is counted, with the epoch by which they are. */
struct msg coord_message(struct node *n, const struct slot *s, enum msg_type type, uint64_t id);
/* An owner goes by another map than the one by which it was asked. */
static inline bool error_stale(int error)
{
    return error == GT_ESTALE || error == GT_ENOTOWNER;
}
void coord_date(struct node *n, uint64_t id, struct slot *s);
/* The place of the owner in the slot, -1 when it is none. */
int coord_owner(const struct slot *s, uint64_t node);
/* "2 of 3 owners unreachable (node2, node4); W=2 not met; what; see: gtstore-admin status" */
void coord_quorum_text(const struct node *n, const struct slot *s, const char *what,
                       char text[MSG_TEXT_BYTES]);
/* The owner does not count: it is catching up. */
void coord_no_vote(struct slot *s, uint32_t owner);
void shares_close(struct share *shares); /* REPLICAS_MAX of them */
/* A slot for what is no request of a client's, of which there may be inflight_max; NULL: all are
 * taken, and it is tried again later. */
struct slot *inner_take(struct node *n, enum slot_kind kind, uint64_t deadline_us, uint64_t *id);
/* Ends the slot and what it holds. */
void coord_end(struct node *n, uint64_t id, struct slot *s);
/* Judges the slot again after something was counted. */
void coord_progress(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx);
void coord_timeout(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx);
void coord_link_down(struct node *n, uint64_t peer, struct gt_effects *fx);
/* Copies what the slices name into one blob, one reference, and lets them name it there: a request
 * to storage has one hold. NULL when out of memory. */
struct blob *slices_join(struct slice **slices, uint32_t count);
uint32_t coord_reply_flags(const struct slot *s);
/* Asks owners of a read until enough are asked. ask: SLOT_GET's or SLOT_SCAN's. */
void coord_read_more(struct node *n, uint64_t id, struct slot *s, bool all,
                     void (*ask_self)(struct node *, uint64_t, struct slot *, struct gt_effects *),
                     void (*ask_peer)(struct node *, uint64_t, struct slot *, uint64_t,
                                      struct gt_effects *),
                     struct gt_effects *fx);

/* ---- wall.c ---------------------------------------------------------------------------------- */

/* Asks a linked node for its wall clock. */
void clock_ask(struct node *n, struct peer *p, struct gt_effects *fx);
/* The same of the next one in turn; with every heartbeat. */
void clock_ask_next(struct node *n, struct gt_effects *fx);
void clock_told(struct node *n, const struct gt_event *ev);
/* What the monotonic clock of the node will show at this time of ours; 0 when it is not known. */
uint64_t clock_there_us(const struct node *n, uint64_t node, uint64_t at_us);
/* A fresh stamp: above all that was heard, and not behind the wall clocks of the others. */
uint64_t clock_stamp(struct node *n);
/* Whether this node, an owner of the slot's key, may not mint: by how much its wall clock is ahead
 * of the other owners' (behind: negative), 0 when it may. */
int64_t clock_apart_us(struct node *n, const struct slot *s);

/* ---- vote.c ---------------------------------------------------------------------------------- */

/* A heartbeat goes to the manager; and its answer, with the lease that it gives. */
void lease_asked(struct node *n, struct peer *p, uint64_t beat_id);
void lease_take(struct node *n, struct peer *p, const struct msg *m);
/* What we say of the partition alone is worth the R of its list. */
bool vote_alone(const struct node *n, uint32_t partition);
/* The read was answered by nobody whose word is. */
bool votes_missing(const struct node *n, const struct slot *s);

/* ---- coord_put.c ----------------------------------------------------------------------------- */

void put_begin(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
/* Asks storage to mint. first_stamp: 0, or of the first attempt (engine.h). known_only: it is known
 * to have been written, and must be found. */
void put_store(struct node *n, uint64_t id, struct slot *s, uint64_t first_stamp, bool known_only,
               struct gt_effects *fx);
void put_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                struct gt_effects *fx);
/* An owner has it, or (error) will not; reply: its STATE_REPLY. */
void put_counted(struct node *n, uint64_t id, struct slot *s, uint32_t owner, int error,
                 const struct msg *reply, struct gt_effects *fx);
void put_progress(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx);

/* ---- retry.c --------------------------------------------------------------------------------- */

/* Finds out whether the put was written by an earlier attempt, then goes on by put_store. */
void retry_begin(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx);
void retry_progress(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx);
/* An attempt that was not the first asks for its operation, or has been written: earlier ones do
 * not count here any more, and those that wait for storage to have room are recalled. */
void retry_promise(struct node *n, uint32_t partition, struct slice key,
                   const struct request_head *head, struct gt_effects *fx);
/* This attempt, the first or a later one, is earlier than one to which that was promised. */
bool retry_promised(const struct node *n, uint32_t partition, struct slice key,
                    const struct request_head *head, bool first);
/* The same of a put that is coordinated here. */
bool retry_overtaken(const struct node *n, const struct slot *s);
/* What our storage, and what another owner, says of it. */
void retry_told_here(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                     struct gt_effects *fx);
void retry_told(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
/* The state that includes it was merged here. */
void retry_merged(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                  struct gt_effects *fx);

/* ---- coord_get.c ----------------------------------------------------------------------------- */

void get_begin(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
void get_loaded(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                struct gt_effects *fx);
void get_fetched(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
/* n->incoming into n->local, which a get and a scan merge the answers into. As version_merge. */
int incoming_merge(struct node *n);
void get_progress(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx);
/* Answers the get with the state in n->local. 0; GT_ENOMEM: it was answered so. */
int get_answer(struct node *n, const struct slot *s, uint32_t owners, uint32_t flags,
               struct gt_effects *fx);

/* ---- coord_repair.c -------------------------------------------------------------------------- */

/*
 * The owners that answered a get, or some of them, lack part of what it merged: n->local, whose
 * record is given (one reference is taken over), to those. Unless s->answered the get waits for it.
 * The slot goes on as SLOT_REPAIR or ends.
 */
void repair_begin(struct node *n, uint64_t id, struct slot *s, struct blob *record,
                  struct gt_effects *fx);
void repair_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                   struct gt_effects *fx);
void repair_counted(struct node *n, uint64_t id, struct slot *s, uint32_t owner, int error,
                    struct gt_effects *fx);
void repair_progress(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx);
void repair_drop(struct node *n, struct slot *s);

/* ---- spread.c -------------------------------------------------------------------------------- */

/* Sends the record to every owner that is untried in the slot's quorum, and counts it as asked, or
 * as failed where there is no link. s->spread has dots, flags and priority. */
void spread_send(struct node *n, uint64_t id, struct slot *s, const struct blob *record,
                 struct gt_effects *fx);
void spread_acked(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
/* The record of a sloppy put to the stand-in of the place: false when it cannot be sent. */
bool spread_to_guest(struct node *n, uint64_t id, struct slot *s, uint32_t place,
                     struct gt_effects *fx);
void spread_drop(struct spread *s);

/* ---- guest.c --------------------------------------------------------------------------------- */

/* Guests may stand in for owners that cannot be reached: the request says so, or the cluster. */
bool guests_allowed(const struct node *n, const struct request_head *head);
/* How many of them can be asked now. */
uint32_t guests_possible(const struct node *n, uint32_t partition);
/* Asks as many as the quorum of the put needs, now that some owners have failed or are silent. */
void guests_ask(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx);
/* When that is to be looked at again; UINT64_MAX: not. */
uint64_t guests_due_us(const struct node *n, const struct slot *s);
/* The place for which the node stands in, -1 when for none. */
int guest_place(const struct slot *s, uint64_t node);
void guest_counted(struct node *n, uint64_t id, struct slot *s, uint32_t place, int error,
                   struct gt_effects *fx);
void guest_link_down(struct node *n, uint64_t id, struct slot *s, uint64_t peer,
                     struct gt_effects *fx);

/* ---- parcel.c -------------------------------------------------------------------------------- */

/* Looks whose parcels are kept here, and begins to deliver to who can be reached. */
void parcels_round(struct node *n, struct gt_effects *fx);
/* Asks storage how many parcels are kept for owners of the partition: store_result.parcels. */
void parcels_ask(uint64_t id, uint32_t partition, struct gt_effects *fx);
void parcels_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                    struct gt_effects *fx);
void parcels_timeout(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx);
void parcels_end(struct node *n, struct slot *s);
void delivery_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                     struct gt_effects *fx);
void delivery_counted(struct node *n, uint64_t id, struct slot *s, uint32_t owner, int error,
                      struct gt_effects *fx);
void delivery_progress(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx);

/* ---- coord_scan.c ---------------------------------------------------------------------------- */

void scan_begin(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
void scan_scanned(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                  struct gt_effects *fx);
void scan_ranged(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
void scan_progress(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx);

/* ---- clocks.c -------------------------------------------------------------------------------- */

struct watch *watch_of(const struct node *n, uint32_t partition); /* NULL: no owner */
/* After a new map: what we own, and with whom. */
void watches_rebuild(struct node *n);
void watches_free(struct node *n);
/* Our clock of the partition has moved: the others' may lack it. */
void watch_changed(struct node *n, uint32_t partition);
/* A peer can be asked again: everything that is shared with it is compared, at once. */
void watch_greeted(struct node *n, uint64_t peer);
/* The next round of comparisons comes early. */
void watch_soon(struct node *n);
/* The clock that an owner has told last in this life of it; empty: none. */
struct slice watch_told(const struct node *n, uint32_t partition, uint64_t node, uint64_t life);
/* We have what every other owner has that can be reached. */
bool watch_current(const struct node *n, uint32_t partition);
/* How many writes we are known to lack; known: every owner that is reachable was compared with. */
uint64_t watch_lag(const struct node *n, bool *known);
/* With each heartbeat: how it falls. */
void watch_lag_note(struct node *n);
/* Compares what is unsure with every peer that can be asked; moving: of that, what is moving. */
void clocks_compare(struct node *n, bool moving, struct gt_effects *fx);
/* One round of that, and of all that goes with it. */
void clocks_exchange(struct node *n, struct gt_effects *fx);
void clocks_alone_read(struct node *n, uint64_t id, const struct store_result *r,
                       struct gt_effects *fx);
void clocks_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                   struct gt_effects *fx);
void clocks_replied(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
void confirm_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                    struct gt_effects *fx);
/* Reads our own clocks of the partitions listed, two bytes each (le16), for the slot. */
void clocks_read(uint64_t id, const uint8_t *numbers, uint32_t count, struct gt_effects *fx);
void clocks_timeout(struct node *n, uint64_t id, struct slot *s);
void clocks_link_down(struct node *n, uint64_t id, struct slot *s, uint64_t peer);
void replica_clocks(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
void clocks_asked_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                         struct gt_effects *fx);

/* ---- moves.c --------------------------------------------------------------------------------- */

/* What the move of the partition makes of a watch that is made; before: of the map before. */
void moves_watch(const struct node *n, uint32_t partition, struct watch *w,
                 const struct watch *before);
/* Something is to be done here for the move of the partition. */
bool moves_open(const struct watch *w);
bool moves_take(const struct watch *w);
struct watch *moves_known(const struct node *n, uint32_t partition);
/* Another map is in force. */
void moves_heed(struct node *n);
/* A message shows by which map its sender goes. */
void moves_epoch(struct node *n, const struct gt_event *ev);
/* Compared with another owner; asked: it has answered a question of this time, with this epoch. */
void moves_compared(struct node *n, uint32_t partition, struct watch *w, struct watch_other *o,
                    struct epoch epoch, uint64_t asked_us);
/* When moves_round is to be called; UINT64_MAX: not. */
uint64_t moves_due_us(const struct node *n);
void moves_round(struct node *n, struct gt_effects *fx);
void drop_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                 struct gt_effects *fx);
/* Partitions in which our part of a move is done, a run of u16, appended. */
void moves_done(const struct node *n, struct buf *out);

/* ---- fill.c ---------------------------------------------------------------------------------- */

bool fill_has_no_vote(const struct node *n, uint32_t partition);
/* How many partitions fill of which it is an owner in force: what comes with a move is not missed
 * by anybody yet. */
uint32_t fill_owned(const struct node *n);
/* What storage knows of the partition's filling, into a watch that is made. */
void fill_begin_watch(const struct node *n, uint32_t partition, struct watch *w);
/* The same of all, after the identity has changed. */
void fills_reread(struct node *n);
/* A record here is bad, or one is missing: the partition fills, when another owner can be asked.
 * why: for people. */
void fill_rot(struct node *n, uint32_t partition, const char *why, struct gt_effects *fx);
/* A pull has brought a record in place of a bad one. */
void fill_mended(struct node *n, uint32_t partition, struct gt_effects *fx);
/* The owner to pull everything from next; NULL: none is needed, or can be asked. */
struct watch_other *fill_source(const struct node *n, struct watch *w);
/* Everything that the owner has is here now. */
void fill_pulled(struct node *n, uint32_t partition, uint64_t source, struct gt_effects *fx);
/* Ends the filling of what is whole, wants pulls for the rest, looks at records at rest. */
void fills_round(struct node *n, struct gt_effects *fx);
/* A person says that what was lost is lost, and that we vote again. */
void loss_accept(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
uint64_t scrub_deadline_us(const struct node *n);
void scrub_next(struct node *n, struct gt_effects *fx);
void scrub_done(struct node *n, uint64_t id, struct slot *s, const struct store_result *r);
void fill_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                 struct gt_effects *fx);

/* ---- pull.c ---------------------------------------------------------------------------------- */

/* A peer was compared with: an event when that was the first time since its link came up, and shows
 * that there is something to bring. over: all partitions that are shared with it were. */
void pull_announce(struct node *n, struct peer *p, bool over);
/* Another owner has dots of the partition that we lack. */
void pull_want(struct node *n, uint32_t partition);
/* Starts what is wanted, as far as the bound goes. */
void pulls_begin(struct node *n, struct gt_effects *fx);
void pull_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                 struct gt_effects *fx);
void pull_replied(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
void pull_timeout(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx);
void pull_link_down(struct node *n, uint64_t id, struct slot *s, uint64_t peer,
                    struct gt_effects *fx);
void replica_pull(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
void stream_timeout(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx);
/* Answers a peer's PULL with what storage gave. */
void pull_give(struct node *n, const struct slot *s, const struct store_result *r,
               struct gt_effects *fx);

/* ---- verify.c -------------------------------------------------------------------------------- */

void replica_verify(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
void verify_timeout(struct node *n, uint64_t id, struct slot *s, struct gt_effects *fx);
void verify_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                   struct gt_effects *fx);

/* ---- closing.c ------------------------------------------------------------------------------- */

/* The member was away for too long: it fills before it is anybody again, so nobody waits for it. */
bool node_refills(const struct node *n, uint64_t id);
/* Our clock of the partition, just read: whether it holds lives that are over. */
void closing_note(const struct node *n, struct watch *w, const struct clock *ours);
/* With every round of comparisons: asks, or closes some partitions more. */
void closing_round(struct node *n, struct gt_effects *fx);
void closing_replied(struct node *n, const struct gt_event *ev);
void closing_timeout(struct node *n, uint64_t id, struct slot *s);
/* A pull from that owner, begun for this closing (watch.closing_number), has ended with everything
 * that the source had. */
void closing_swept(struct node *n, uint32_t partition, uint64_t source, uint32_t number,
                   struct gt_effects *fx);
/* Who is left out has changed: what was agreed and pulled so far counts no more. */
void closing_restart(struct node *n);
void closing_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r);
/* A member asks. */
void retired_asked_stored(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                          struct gt_effects *fx);
void replica_retired(struct node *n, const struct gt_event *ev, struct gt_effects *fx);

/* ---- keepers.c ------------------------------------------------------------------------------- */

void keepers_free(struct node *n);
/* A link to the peer was made: what it keeps is to be asked anew. */
void keepers_greeted(struct peer *p);
/* With every round of comparisons. */
void keepers_round(struct node *n, struct gt_effects *fx);
void keepers_replied(struct node *n, const struct gt_event *ev);
void keepers_timeout(struct node *n, uint64_t id, struct slot *s);
/* Every member that can be reached has said since that it keeps nothing for us. */
bool keepers_none(const struct node *n);
/* A partition begins to be watched, or to fill: what was lost there may still be in a parcel. */
void keepers_lost(struct watch *w);
/* Appends those partitions of a list of clocks (told_next) whose clock here confirms no deletion.
 */
void keepers_unheard(const struct node *n, uint32_t partition, struct buf *out);

/* ---- replica.c ------------------------------------------------------------------------------- */

/* What a peer may ask for, by what we have to do with the partition. */
enum access {
    ACCESS_WRITE, /* it is counted, or merged */
    ACCESS_READ,  /* what we have is counted */
    ACCESS_LOOK   /* among those who exchange what they have; counted by nobody */
};
/* A slot that remembers who asked; NULL when it was refused: not ours, by an older map than that
 * since which such requests are refused, or busy. counted: the fences of a move are for it. */
struct slot *replica_begin(struct node *n, const struct gt_event *ev, uint32_t partition,
                           enum access access, bool counted, uint64_t *id, struct gt_effects *fx);
void replica_state(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
/* A state to be kept for an owner that its sender could not reach. */
void replica_parcel(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
void replica_fetch(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
void replica_range(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
void replica_operation(struct node *n, const struct gt_event *ev, struct gt_effects *fx);
void replica_done(struct node *n, uint64_t id, struct slot *s, const struct store_result *r,
                  struct gt_effects *fx);

#endif
