/*
 * Every message of the protocol, as a struct, and its codec. net/README.md is the specification
 * for those who write a client in another language.
 *
 * A body is one msgpack array: [type, id, ballot, counter, stamp, fields...]. Unknown trailing
 * fields are ignored, missing trailing ones are zero; an unknown type is refused (GT_EUNSUPPORTED)
 * without ending the link when it is a request. Booleans travel as flags in one integer.
 *
 * Memory: a decoded message borrows from the body and from the decoder's zone: it is valid until
 * the next decode with the same decoder, and as long as the body lives.
 */
#ifndef GT_NET_MSG_H
#define GT_NET_MSG_H

#include "engine/engine.h"
#include "net/ring.h"

#define MSG_PROTOCOL_MIN 1
#define MSG_PROTOCOL_MAX 1
#define MSG_NESTING_MAX  8
#define MSG_TEXT_BYTES   200 /* of an error's text, with NUL */

/* Requests are even; a reply has the number of its request plus one. The numbers are final. */
enum msg_type {
    MSG_HELLO = 2,
    MSG_HELLO_REPLY = 3,
    MSG_PING = 4,
    MSG_PING_REPLY = 5,
    MSG_PUT = 10,
    MSG_PUT_REPLY = 11, /* client or forwarding node -> coordinator; deletes too */
    MSG_GET = 12,
    MSG_GET_REPLY = 13,
    MSG_SCAN = 14,
    MSG_SCAN_REPLY = 15, /* one chunk of one partition */
    MSG_STATE = 20,
    MSG_STATE_REPLY = 21, /* coordinator -> replica: merge this state */
    MSG_FETCH = 22,
    MSG_FETCH_REPLY = 23, /* coordinator -> replica: lend your state */
    MSG_RANGE = 24,
    MSG_RANGE_REPLY = 25, /* coordinator -> replica: lend a run of states */
    MSG_CLOCKS = 28,
    MSG_CLOCKS_REPLY = 29, /* owner -> owner: my clocks; and what are yours? */
    MSG_PULL = 32,
    MSG_PULL_REPLY = 33, /* owner -> owner: send what this clock lacks */
    MSG_RETIRED = 36,
    MSG_RETIRED_REPLY = 37, /* member -> member: these lives are over; do you know? */
    MSG_OPERATION = 26,
    MSG_OPERATION_REPLY = 27, /* coordinator -> replica: was it written? */
    MSG_PARCEL = 34,
    MSG_PARCEL_REPLY = 35, /* coordinator -> guest: keep this for another */
    MSG_MAP_GET = 30,
    MSG_MAP = 31, /* MAP is also pushed, with id 0 */
    MSG_REGISTER = 40,
    MSG_REGISTER_REPLY = 41,
    MSG_HEARTBEAT = 42,
    MSG_HEARTBEAT_REPLY = 43,
    MSG_VOTE = 44,    /* node -> manager: what it has promised and holds, in answer to a PROPOSE */
    MSG_PROPOSE = 45, /* manager -> node, pushed, with id 0: promise a ballot; hold a map */
    MSG_VERIFY = 46,
    MSG_VERIFY_REPLY = 47, /* tool -> owner: read a run of keys again */
    MSG_STATUS = 50,
    MSG_STATUS_REPLY = 51,
    MSG_EVENTS = 52,
    MSG_EVENTS_REPLY = 53,
    MSG_ACCEPT_LOSS = 54, /* a person: vote again although the sources are gone */
    MSG_ACCEPT_LOSS_REPLY = 55,
    MSG_ADMIN = 56,
    MSG_ADMIN_REPLY = 57, /* a person -> manager: change the cluster */
    MSG_PLAN = 58,
    MSG_PLAN_REPLY = 59, /* a person -> manager: what would a rebalance move? */
};

enum role { ROLE_CLIENT = 1, ROLE_NODE = 2, ROLE_MANAGER = 3 };

enum outcome { OUTCOME_DONE = 0, OUTCOME_NOT_APPLIED = 1, OUTCOME_IN_DOUBT = 2 };

enum request_mode { MODE_STRICT = 0, MODE_SLOPPY = 1, MODE_AVAILABLE = 2 };

enum priority { PRIORITY_FOREGROUND = 0, PRIORITY_REPAIR = 1, PRIORITY_STREAM = 2 };

enum request_flag {
    REQUEST_TOMBSTONE = 1,  /* PUT: delete */
    REQUEST_PLAIN = 2,      /* PUT: overwrite what the coordinator and the context have seen */
    REQUEST_RETRY = 4,      /* the operation may have been tried before */
    REQUEST_FORWARDED = 8,  /* passed on by a node already: do not pass on again */
    REQUEST_ALL = 16,       /* GET: every sibling */
    REQUEST_BLOCKING = 32,  /* GET: answer when what is shown is at w owners, or fail */
    REQUEST_KEYS_ONLY = 64, /* VERIFY: each key with its digest, not only their sum */
    REQUEST_SESSION = 128,  /* GET: of a session, which demands later what it is shown now: answer
                               when that is at w owners, if it can be */
    REQUEST_ASKED = 256, /* STATE: the owners were asked for the operation before it was written */
    REQUEST_KEPT = 512,  /* STATE: a parcel that was kept for this owner, and counts for nothing */
    REQUEST_SETTLING = 1024 /* STATE: a repair that is counted toward w of a read */
};

enum reply_flag {
    REPLY_DEGRADED = 1,  /* fewer than the asked-for voting owners answered; FETCH, RANGE: alone
                            this answer is not worth R = 1 (RULES 14) */
    REPLY_UNSETTLED = 2, /* GET: the owners differed, and what is shown is not known to be at w */
    REPLY_OUTRANKED = 4, /* PUT: a concurrent sibling ranked above it; it was stored again, above
                            that one (RULES 12) */
    REPLY_WEAK = 8,      /* r or w below the cluster's was asked for and used */
    REPLY_KNOWN = 16,    /* the operation id was known: this is its outcome */
    REPLY_UNKNOWN = 32,  /* FETCH: the record here is bad; PULL: one of them is; OPERATION: it
                            cannot be told here */
    REPLY_ABSENT = 64,   /* FETCH: the key is absent here */
    REPLY_MORE = 128,    /* SCAN, RANGE, VERIFY: keys remain; PULL: more is lacking */
    REPLY_WHOLE = 256,   /* PULL: the entries are all keys of their range, not those lacking */
    REPLY_FILLING = 512, /* FETCH, RANGE, PULL: no vote: it is catching up */
    REPLY_DIGEST = 1024  /* FETCH: the digest of the record instead of it */
};

/* What a person asks of the manager. */
enum admin_verb {
    ADMIN_APPLY = 1,   /* begin the rebalance; epoch: only while the map is still of that one */
    ADMIN_PAUSE = 2,   /* begin no move for now */
    ADMIN_RESUME = 3,  /* go on */
    ADMIN_CANCEL = 4,  /* end it: moves that can be are undone, and nobody is drained any more */
    ADMIN_DRAIN = 5,   /* node: what it owns goes to others, then it is a member no more */
    ADMIN_REMOVE = 6,  /* node, which is down: a member no more, what it owned goes to others */
    ADMIN_REPLACE = 7, /* node by other: as drain or remove, and other gets all of it */
    ADMIN_WEIGHT = 8,  /* node: its capacity */
    ADMIN_SET = 9      /* write_quorum, read_quorum, value_bytes_max; 0 leaves one as it is */
};

/* A move that a rebalance would make: on the wire 6 bytes, partition, from, to. */
#define MOVE_BYTES  6
#define MOVE_NOBODY UINT16_MAX /* from or to: the list grows longer, or shorter */

/* What a plan says of a member. from and to of a move count these rows. */
struct plan_node {
    struct slice label;
    bool takes_part;
    double capacity;
    uint64_t tokens, tokens_after;
    uint64_t keys, bytes; /* in all of its tokens; 0 when it has none, or has not told */
};

/* What every request about data carries. */
struct request_head {
    uint32_t flags;       /* enum request_flag */
    uint32_t deadline_ms; /* left when it was sent; 0 = the receiver's default */
    uint32_t age_ms;      /* of the operation's first attempt, with RETRY */
    uint8_t priority;     /* enum priority */
    uint8_t mode;         /* enum request_mode */
    uint8_t quorum;       /* R or W wanted, 0 = the cluster's */
    uint8_t op[OP_ID_BYTES];
};

/* What every answer about data carries. */
struct reply_head {
    int32_t error;          /* 0 or a GT_E* */
    uint8_t outcome;        /* enum outcome; of a put */
    uint32_t flags;         /* enum reply_flag */
    uint8_t owners, guests; /* that counted toward the quorum */
    struct slice text;      /* why, for people; may be empty */
};

/* One sibling as shown to clients. */
struct msg_sibling {
    uint8_t flags; /* enum sibling_flag */
    uint64_t stamp;
    struct dot dot;
    struct slice value;
};

/* One event of a process (engine/base/events.h). The kind is its name, so that the programs of
 * different versions understand one another. */
struct msg_event {
    uint64_t wall_us, times;
    struct slice kind, text;
};

enum node_wish_flag { WISH_PORT_ZERO = 1 /* reserved */ };

/* What a guest keeps for one target (RULES 5). */
struct parcels_kept {
    uint64_t target, count, bytes;
    uint64_t oldest_s; /* age of the oldest one */
};
#define PARCEL_TARGETS_TOLD 6 /* in a report: those with the most parcels */

struct node_report { /* heartbeats carry it, the status shows it */
    uint64_t keys, records, data_bytes, rss_bytes, hints, lag_writes, uptime_s;
    uint64_t stored_bytes;       /* of keys and records, without files and log; 0: not told */
    uint32_t linked_peers;       /* members to which it has a link */
    bool lag_known;              /* lag_writes means something */
    struct engine_damage damage; /* the mark of its log */
    /* The table of recent operations: rows, memory, and how far back it surely reaches. */
    uint64_t operations, operations_bytes, operations_s;
    uint32_t filling;    /* partitions in which it has no vote: it is catching up */
    uint64_t tombstones; /* that wait to be reaped */
    uint64_t reaped;     /* since the start */
    struct parcels_kept parcels[PARCEL_TARGETS_TOLD];
    uint32_t parcels_count;
    uint64_t lag_eta_s; /* until the lag is none, at the pace of late; 0 = not known */
    int32_t disk_error; /* why its log or index cannot be written at present; 0 = they can */
};

struct status_node {
    struct member member;
    struct node_report report;
    bool report_known;
    uint32_t tokens;
    uint64_t heard_ms; /* since its last heartbeat; UINT64_MAX = never */
};

/* One snapshot for CLI, JSON and page. */
struct status {
    bool manager_reachable; /* false when a node answers without a manager that leads */
    bool standby;           /* a manager answers from its copy: it does not lead */
    char source[UNITS_LABEL_BYTES];
    struct epoch epoch;
    uint8_t cluster_id[CLUSTER_ID_BYTES];
    bool formed;
    uint32_t registered; /* of settings.form_nodes while forming */
    struct settings settings;
    uint8_t verdict; /* enum verdict */
    uint32_t partitions_full, partitions_quorum, partitions_below;
    uint64_t moves_total, moves_done, moves_bytes_left, moves_eta_s;
    uint8_t rebalance;                                     /* enum rebalance */
    uint32_t moves_prepare, moves_read_new, moves_cleanup; /* arcs in each phase */
    bool rebalance_pending; /* it will be looked by itself, soon, whether there is what to move */
    struct status_node *nodes;
    uint32_t node_count;
};
enum verdict { VERDICT_HEALTHY, VERDICT_DEGRADED, VERDICT_AT_RISK, VERDICT_UNAVAILABLE };
const char *verdict_name(enum verdict v); /* "healthy", "degraded", "at_risk", "unavailable" */

struct msg {
    enum msg_type type;
    uint64_t id;        /* request id, chosen by the sender; a reply repeats it */
    struct epoch epoch; /* of the sender's map, zero when it has none */
    uint64_t stamp;     /* the sender's hybrid clock, raises the receiver's; 0 = none */
    union {
        struct { /* HELLO, first message of whoever connects; HELLO_REPLY, the first one back */
            int32_t
                error; /* reply: GT_ECLUSTER, GT_EINCARNATION, GT_EFORMAT (protocol), GT_ECLOCK */
            uint8_t role;
            uint16_t protocol_min, protocol_max;
            uint8_t cluster_id[CLUSTER_ID_BYTES]; /* zero = not yet of any */
            uint64_t node, incarnation, previous_incarnation;
            uint64_t seen_incarnation; /* reply with GT_EINCARNATION: the higher one seen */
            struct slice label, text;
            uint64_t clock_us;  /* reply of a node: its monotonic clock */
            struct slice lives; /* of a node: those that its folder knows of (engine/lives.h) */
        } hello;
        struct {
            struct request_head head;
            struct slice key, value, context;
            /* A coordinator whose hybrid clock is past this refuses the put (GT_ESTALE, not
             * applied): an attempt that its sender has given up must not be minted late, above
             * what was acknowledged since. 0 = no bound. */
            uint64_t valid_until;
            /* The same on the monotonic clock of the node to which the put goes, as its replies
             * showed it; 0 = no bound. Stamps stand still where a wall clock was set back. */
            uint64_t valid_until_us;
            /* With RETRY: the stamp at which all such attempts of the operation are minted, so that
             * whatever supersedes one of them is later than all (version.h, twins). 0 = by the
             * coordinator's clock and age_ms. */
            uint64_t first_stamp;
        } put;
        struct {
            struct reply_head head;
            uint64_t stamp;
            struct slice context;
            struct slice label; /* of the coordinator */
            uint64_t clock_us;  /* monotonic, of the node that replies */
        } put_reply;
        struct {
            struct request_head head;
            struct slice key, min_context;
        } get;
        struct {
            struct reply_head head;
            struct slice context, label;
            /* Without REQUEST_ALL the winner alone, and none when it is a tombstone or the key is
             * absent (error GT_ENOTFOUND). sibling_total: how many the state shows. */
            struct msg_sibling *siblings;
            uint32_t sibling_count, sibling_total;
            uint64_t clock_us; /* monotonic, of the node that replies */
        } get_reply;
        struct {
            struct request_head head;
            uint32_t partition;
            bool from_start;
            uint64_t from_hash;
            struct slice from_key;
            uint32_t bytes_max;
        } scan; /* SCAN, RANGE and VERIFY */
        struct {
            struct reply_head head;
            struct slice
                entries; /* as store_result.entries: varint length, key; varint length, record */
            uint32_t entry_count;
            struct slice clock; /* RANGE_REPLY: of the partition there, of the same moment */
        } scan_reply;           /* SCAN_REPLY and RANGE_REPLY */
        struct {
            struct reply_head head;
            uint64_t records, digest_sum; /* of this run, as read; bad ones are not in them */
            uint64_t bad;                 /* whose checksum failed */
            struct slice last_key;        /* where to go on, with MORE */
            /* Of the whole partition, cut with the run and durable: a row as of CLOCKS. */
            struct slice row;
            /* KEYS_ONLY: varint length, key; u64 digest, 0 = it is bad; repeated. */
            struct slice keys;
        } verify_reply;
        struct {
            struct request_head head;
            uint32_t partition;
            struct slice key, record, dots;
            struct slice operations; /* of the dots that are not live in the record: a run of rows
                                        (engine/operations.h) */
            uint64_t target;         /* PARCEL: the owner for whom it is kept */
        } state;                     /* STATE and PARCEL */
        struct {
            struct reply_head head;
            /* Of a plain put: the siblings here that a get answers rather than the one sent, a run
             * of dots and the highest of their stamps; empty: none. */
            uint64_t outranking_stamp;
            struct slice outranking;
            struct slice operations; /* of those: rows of engine/operations.h */
        } state_reply;               /* STATE_REPLY and PARCEL_REPLY */
        struct {
            uint64_t wall_us;  /* of a node: its wall clock, since 1970; 0 = not told */
            uint64_t clock_us; /* and its monotonic one */
        } ping_reply;
        struct {
            struct request_head head;
            uint32_t partition;
            struct slice key;
            /* Of a record above so many bytes the digest alone is wanted; 0: the whole. */
            uint32_t digest_above;
        } fetch;
        struct {
            struct reply_head head;
            struct slice record; /* empty with ABSENT, UNKNOWN or DIGEST */
            uint64_t digest;     /* with DIGEST: of the record (record.h) */
            uint32_t record_bytes;
        } fetch_reply;
        struct {                    /* CLOCKS, CLOCKS_REPLY */
            struct reply_head head; /* reply */
            struct slice clocks;    /* as store_result.entries of CLOCKS */
            /* Of those partitions, a run of u16: these clocks confirm no deletion (keepers.c). */
            struct slice unheard;
            /* A run of { u64 node, u64 incarnation }: the owners of those partitions, in the lives
             * in which the sender knows them. */
            struct slice lives;
            /* Of those partitions, a run of u16: the sender fills, so that this clock does not say
             * what it has. */
            struct slice filling;
        } clocks;
        struct {                    /* RETIRED, RETIRED_REPLY */
            struct reply_head head; /* reply */
            /* A run of { u64 node, u64 incarnation }: its lives up to this one are over. REPLY:
             * those of which the answering side knows it durably. */
            struct slice lives;
            struct slice parcels; /* REPLY: partitions for which it holds parcels, a run of u16 */
            struct slice targets; /* REPLY: for whom, a run of u64 */
        } retired;
        struct {
            struct request_head head;
            uint32_t partition;
            struct slice clock;     /* what the asker has */
            bool whole, from_start; /* whole: go on with every key, behind from_hash, from_key */
            uint64_t from_hash;
            struct slice from_key;
            uint32_t bytes_max;
        } pull;
        struct {
            struct reply_head head;
            struct slice entries; /* as store_result.entries; an empty record = unknown there */
            uint32_t entry_count;
            struct slice clock; /* of the sender, cut with the entries; with UNKNOWN not to be
                                   merged whole */
            uint64_t lacking;   /* logged dots that the asker lacked */
            /* With the last entries: rows of engine/operations.h of superseded dots that the asker
             * lacks, and the stamp up to which more of them may be missing. */
            struct slice operations;
            uint64_t operations_floor;
            /* Names what the sender has of the partition: after it has lost of that, and filled, it
             * is another one. A cursor is of use with the same alone. */
            uint64_t data;
            struct epoch members_since; /* of the sender's map */
        } pull_reply;
        struct {
            struct request_head head; /* op: the operation in question */
            uint32_t partition;
            struct slice key;
        } operation;
        struct {
            struct reply_head head; /* flags KNOWN, or UNKNOWN: it cannot be told */
            /* Neither: an operation that was first tried within this time would be known. */
            uint64_t length_ms;
            /* KNOWN: the state here, which includes the operation, and what a STATE of it lists. */
            struct slice record, dots, operations;
        } operation_reply;
        struct { /* MAP: ring is NULL when the sender has none, or the asker's epoch is current */
            struct ring *ring; /* encode: borrowed. decode: one reference, given to the caller */
        } map;
        struct {                  /* node -> manager */
            struct member member; /* state ignored; label may be empty: the manager names it */
            uint64_t previous_incarnation;
            struct slice
                replaces;       /* the label of the member whose place it takes; empty: of none */
            struct slice lives; /* as in HELLO */
        } member;
        struct {
            int32_t error; /* GT_ELABEL, GT_ECLUSTER, GT_EFORMING is none: registered is enough */
            struct slice text;
            struct slice label; /* as stored */
            uint8_t cluster_id[CLUSTER_ID_BYTES];
        } register_reply; /* the map follows as a pushed MAP */
        struct {
            uint64_t node, incarnation;
            struct node_report report;
            /* Partitions, a run of u16, of whose move the part of this node is done, in the phase
             * that the map of the message's epoch shows, which is durable here: PREPARE, the new
             * owner has all that it must; CLEANUP, who left has dropped what it had. */
            struct slice done;
            /* Members that answer this node, a run of u64 ids: none of them is replaced. */
            struct slice heard;
        } heartbeat;
        struct {
            int32_t error;     /* GT_ENOTFOUND: register again */
            uint32_t lease_ms; /* the node is not taken for dead so long; 0 = not told */
        } heartbeat_reply;
        struct {           /* PROPOSE; the epoch of the message: the highest map known there */
            int32_t error; /* of an older manager's refusal; else 0 */
            /* 0: only whether it would be promised, and nothing is promised. */
            uint64_t ballot;
            uint64_t life;       /* the incarnation of the manager: a ballot is one's alone */
            struct slice map;    /* the body of its MAP; empty: the promise alone */
            struct slice voters; /* with it: a majority of these must hold it, a run of u64 */
        } propose;
        struct {
            int32_t error; /* GT_EBUSY: another manager leads; GT_ESTALE: a higher ballot was
                              promised; GT_ECLUSTER */
            uint64_t node, incarnation;
            uint64_t ballot;                        /* as it was asked */
            uint64_t promised;                      /* durable, as is all that follows */
            struct epoch map_epoch, proposed_epoch; /* in force; and held, 0 = none above that */
            /* The higher of the two, if the asker's is lower and it has sent none. */
            bool proposed;
            struct slice map, voters;
        } vote;
        struct {
            int32_t error;
            struct status *status; /* decode: in the decoder's zone */
        } status_reply;
        struct {
            int32_t error;
            struct slice label;       /* whose they are */
            uint64_t forgotten;       /* older ones, which are kept no more */
            struct msg_event *events; /* oldest first; decode: in the decoder's zone */
            uint32_t event_count;
        } events_reply;
        struct {                  /* ACCEPT_LOSS, to each node */
            bool apply;           /* or only say what would be accepted */
            uint32_t first, last; /* of partitions */
        } accept_loss;
        struct {
            int32_t error;
            struct slice text;
            struct slice partitions; /* in which it had no vote, of those asked for: u16 each */
        } accept_loss_reply;
        struct {
            uint8_t verb; /* enum admin_verb */
            bool apply;   /* or only say what would happen */
            struct slice node, other;
            double capacity;
            struct epoch epoch; /* a counter of 0: whatever the map's is */
            uint32_t write_quorum, read_quorum;
            uint64_t value_bytes_max;
        } admin;
        struct {
            int32_t error;
            struct slice text; /* what was done, or why not, for people */
            bool changed;      /* false: it was so already */
        } admin_reply;
        struct {
            int32_t error;
            struct slice text;
            bool formed;
            uint8_t rebalance;       /* enum rebalance */
            uint64_t eta_s;          /* of the whole, about */
            uint32_t order_changes;  /* lists of which the order alone would change */
            struct plan_node *nodes; /* of every member; decode: in the decoder's zone */
            uint32_t node_count;
            struct slice moves; /* MOVE_BYTES each */
        } plan_reply;           /* its epoch is that of the message */
        struct { /* encode only, of a type that is not in the list: the answer to a request of an
                  * unknown type (its number plus one). Every reply decodes from it. */
            int32_t error;
        } refusal;
    };
};

/* Fills an EVENTS_REPLY from what is kept; the list is the caller's to free. */
void msg_events(struct msg *m, const char *label, const struct events *kept);
#define LIFE_BYTES 16 /* of RETIRED */

struct msg_decoder;                        /* keeps its zone between messages */
struct msg_decoder *msg_decoder_new(void); /* NULL when out of memory */
void msg_decoder_free(struct msg_decoder *d);
/*
 * Decodes a body. 0; GT_EPROTO (malformed, a count above what the bytes can hold, nesting too deep,
 * a field of the wrong kind or out of range); GT_EUNSUPPORTED (a type this version does not know;
 * type and id are set); GT_ENOMEM.
 */
int msg_decode(struct msg_decoder *d, struct slice body, struct msg *out);
/* The message as a whole sealed frame, one reference. NULL when out of memory or over
 * BLOB_BYTES_MAX. */
struct blob *msg_frame(const struct msg *m);
/* Whether a run of u64 has the id. */
static inline bool ids_have(struct slice ids, uint64_t id)
{
    for (size_t at = 0; at + 8 <= ids.bytes; at += 8)
        if (le64_get(ids.data + at) == id)
            return true;
    return false;
}
/* The bytes of a map on disk: the body of its MAP message. */
struct blob *msg_map_bytes(const struct ring *r);
/* Reads them; *out is one reference. 0, GT_ENOMEM, GT_EFORMAT, GT_EPROTO. */
int msg_map_read(struct slice bytes, struct ring **out);
/* For traces and logs: "PUT id=7 key=..". Returns text. */
const char *msg_text(const struct msg *m, char text[200]);
static inline bool msg_is_reply(enum msg_type t)
{
    return t & 1;
}

#endif
