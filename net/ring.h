/*
 * The cluster map: who the members are, and for each of Q equal arcs of the hash space the ordered
 * list of its owners (its preference list). An (arc, slot) is a virtual node; the arc's start is
 * its token. The manager makes maps; nodes, clients and tools only read them.
 *
 * A map is immutable once shared and reference-counted (one thread). Its bytes on the wire and on
 * disk are those of the MAP message (msg.h).
 */
#ifndef GT_NET_RING_H
#define GT_NET_RING_H

#include "engine/base/hash.h"
#include "engine/base/units.h"
#include "engine/version.h"

#define REPLICAS_MAX        16
#define PLACES_MAX          (REPLICAS_MAX + 1) /* of both lists of a move, which differ in one owner */
#define MEMBERS_MAX         1024
#define CLUSTER_ID_BYTES    16
#define MEMBER_WEIGHT_MIN   1e-3 /* what a person can give */
#define MEMBER_WEIGHT_MAX   1e3
#define MEMBER_CAPACITY_MAX 1e12
/* What the manager is called where nodes are called by their labels: no node may be. */
#define MANAGER_LABEL "manager"

/* Maps are ordered by (ballot, counter); a ballot is one manager's reign (RULES 17). */
struct epoch {
    uint64_t ballot, counter;
};
int epoch_compare(struct epoch a, struct epoch b);

enum member_state {
    MEMBER_UP = 1,
    MEMBER_DOWN,
    MEMBER_JOINING,
    MEMBER_LEAVING,
    MEMBER_CATCHING_UP,
    MEMBER_REMOVED
};
/* "up", "down", "joining", "leaving", "catching_up", "removed"; "?" otherwise. */
const char *member_state_name(enum member_state state);

struct member {
    uint64_t id, incarnation;
    char label[UNITS_LABEL_BYTES];
    struct address address;
    char zone[UNITS_LABEL_BYTES]; /* may be empty */
    double capacity;              /* weight, > 0 and at most MEMBER_CAPACITY_MAX */
    enum member_state state;
    /* It was away for longer than --reap-wait: the others close lives and reap without it, and when
     * it comes back it fills. Its incarnation is then one that nobody ever had, so that its folder
     * does not know it, and whoever it says hello to tells it so (RULES 8a, 8b). */
    bool refill;
    bool leaving;      /* it is being drained: it keeps what it owns until others have it */
    bool capacity_set; /* by a person: what it says of itself at a start does not count */
    bool replacing;    /* it is down for so long that its place goes to others, unless it returns */
    uint64_t heir;     /* the id of the member who gets what it owns; 0: as placement wants it */
};

/*
 * A move of one owner's place in an arc's list (RULES 4, 6). `owners` is the list that is in force:
 * it is read, and its owners coordinate. `beside` is the other list of the move, which has one
 * owner that the first has not, or lacks one, or both.
 *
 *              owners   beside    written to      left when
 *   STABLE     old      -         owners
 *   PREPARE    old      new       both lists      n-w+1 of the old are fenced, and the new owner
 *                                                 has what it must
 *   READ_NEW   new      old       both lists      n-r+1 of the old are fenced
 *   CLEANUP    new      old       owners          who left has dropped what it had
 *
 * A move that is cancelled goes from PREPARE to CLEANUP, its lists as they are.
 */
enum arc_phase { ARC_STABLE = 0, ARC_PREPARE = 1, ARC_READ_NEW = 2, ARC_CLEANUP = 3 };

/* Owners are indexes into the members. */
struct arc {
    uint8_t phase, owner_count, beside_count;
    uint16_t owners[REPLICAS_MAX], beside[REPLICAS_MAX];
    /* Fences: the epochs of the last PREPARE and of the last READ_NEW. Whoever has a map from then
     * on refuses what was sent by an older one and is counted: writes, and reads. They stay. */
    struct epoch write_since, read_since;
};

enum profile { PROFILE_DEFAULT = 0, PROFILE_COURSE = 1 /* every put is sloppy (DESIGN 6) */ };

struct settings {
    uint32_t replicas, read_quorum, write_quorum, partitions, form_nodes;
    uint32_t profile; /* enum profile */
    uint64_t value_bytes_max;
};
/* W+R>N, 2W>N, 1 <= R,W <= N <= REPLICAS_MAX: 0; or GT_EARG with the inequality that fails written
 * to why ("W + R > N does not hold: 1 + 1 > 3"). */
int settings_check(const struct settings *s, char why[128]);

enum rebalance {
    REBALANCE_IDLE,    /* no move begins */
    REBALANCE_RUNNING, /* moves begin until the lists are as placement wants them */
    REBALANCE_PAUSED   /* likewise later: none begins, those that are open go on */
};

struct ring {
    uint32_t refs;
    struct epoch epoch;
    uint8_t cluster_id[CLUSTER_ID_BYTES];
    bool formed; /* false: no tokens are handed out yet */
    struct settings settings;
    uint8_t rebalance;          /* enum rebalance */
    struct epoch members_since; /* of the map since which the same nodes are members, and the same
                                   are removed or marked to refill */
    /* The members (mover_inputs) for which a person has cancelled the rebalance: for these none
     * begins by itself. 0: none. */
    uint64_t cancelled_for;
    struct member *members;     /* ascending by id is not required; an index is stable in one map */
    uint32_t member_count;
    struct arc *arcs; /* settings.partitions of them when formed, else NULL */
};

/* Of no cluster yet. */
static inline bool cluster_none(const uint8_t id[CLUSTER_ID_BYTES])
{
    static const uint8_t none[CLUSTER_ID_BYTES];
    return memcmp(id, none, CLUSTER_ID_BYTES) == 0;
}
static inline bool cluster_same(const uint8_t a[CLUSTER_ID_BYTES],
                                const uint8_t b[CLUSTER_ID_BYTES])
{
    return memcmp(a, b, CLUSTER_ID_BYTES) == 0;
}

/* A map with room for the members and (when partitions > 0) the arcs, all zero, one reference.
 * NULL when out of memory. Fill it, then share it. */
struct ring *ring_new(uint32_t member_count, uint32_t partitions);
struct ring *ring_copy(const struct ring *r,
                       uint32_t member_count); /* deep, more members possible */
struct ring *ring_ref(struct ring *r);
void ring_unref(struct ring *r);
/* Everything consistent: quorums, indexes in range, distinct owners, distinct ids and labels, at
 * least one owner an arc when formed. 0 or GT_EPROTO. What came from wire or disk passes this
 * before it is used. */
int ring_check(const struct ring *r);
/* -1 when absent. */
int ring_member_by_id(const struct ring *r, uint64_t id);
int ring_member_by_label(const struct ring *r, const char *label);
/* The partition of a key. Only of a formed map. */
uint32_t ring_partition(const struct ring *r, struct slice key);
/* The slot of member index m in the arc's list in force, -1 when it is no owner. */
int ring_slot(const struct ring *r, uint32_t partition, uint32_t member);
/* What a member has to do with an arc. */
enum ring_part {
    PART_NONE,
    PART_OWNER,    /* it is in the list in force */
    PART_RECEIVER, /* PREPARE: it will be */
    PART_WRITTEN,  /* READ_NEW: it was, and is still written to */
    PART_LEAVER    /* CLEANUP: it has what it must drop */
};
enum ring_part ring_part(const struct ring *r, uint32_t partition, uint32_t member);
/* All who have a part in the arc, those in force first, each once: at most PLACES_MAX member
 * indexes. With writers those alone that are written to. Returns how many; *in_owners and
 * *in_beside, bits, say of which list each is. */
uint32_t ring_places(const struct ring *r, uint32_t partition, bool writers,
                     uint16_t out[PLACES_MAX], uint32_t *in_owners, uint32_t *in_beside);
/* Who goes with the move of the arc, -1: nobody, the list grows longer; and who comes. */
int ring_leaving(const struct ring *r, uint32_t partition);
int ring_coming(const struct ring *r, uint32_t partition);
/* The lists in force are the same, in order; and so are those beside them. */
bool arc_owners_equal(const struct arc *a, const struct arc *b);
bool arc_lists_equal(const struct arc *a, const struct arc *b);
/* How many arcs are in each phase of a move. */
struct ring_tally {
    uint32_t prepare, read_new, cleanup;
};
struct ring_tally ring_tally(const struct ring *r);
/* Both lists are written to. */
static inline bool arc_doubled(const struct arc *a)
{
    return a->phase == ARC_PREPARE || a->phase == ARC_READ_NEW;
}
/*
 * Who stands in for owners of the partition that cannot be reached (DESIGN 6): members by the order
 * of their tokens after the partition's own, each once, that own nothing of it and are up or away
 * for now; who is live is for the caller to judge. At most `max` member indexes into out; returns
 * how many.
 */
uint32_t ring_guests(const struct ring *r, uint32_t partition, uint16_t *out, uint32_t max);
/* The token of an arc: the first hash that falls in it. */
uint64_t ring_token(const struct ring *r, uint32_t partition);
/* Number of (arc, slot) pairs of the member, of lists in force. */
uint32_t ring_tokens_of(const struct ring *r, uint32_t member);
/* n, w, r of one list (RULES 6): w = max(min(W, n), n/2+1), r = min(R, n) raised until w+r > n. */
void ring_quorums(const struct ring *r, uint32_t partition, uint32_t *n, uint32_t *w,
                  uint32_t *read);
/* The same of a list of so many owners. */
void ring_list_quorums(const struct ring *r, uint32_t owners, uint32_t *w, uint32_t *read);

#endif
