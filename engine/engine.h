/*
 * The storage engine of one process: decides what is batched, frozen, checkpointed, recycled and
 * refused, and recovers. It is pure: it starts no thread and reads no clock. What blocks is handed
 * out as jobs, which store_uv runs on threads and the simulator runs in virtual time.
 *
 *   submit -> admit (read-modify-write against overlay, frozen overlay, index; mint; log record)
 *          -> forming batch -> JOB on the LOG lane (one write, one sync) -> durable -> result
 *
 * A read sees overlay, then frozen overlay, then index. A result that would expose a state not yet
 * durable waits for that state's sync. The engine belongs to one thread (the loop); only
 * engine_job_run is called elsewhere, and touches nothing but its job, the disk and the index.
 *
 * INV (RULES): a dot is in a partition's clock if and only if ... the clock changes in the same log
 * record as the state that contains the dot.
 *
 * LOG RECORDS (see wal.h for the frame):
 *   1 STATE  varint partition; varint length, key; u8 previous: 0 absent, 1 tombstone wins, 2 a
 *            value wins, 3 bad record; when not 0: u64 digest, varint bytes of the replaced record;
 *            varint dots, each 24 B (dots_* below): what enters the clock; varint length, record;
 *            u64 stamp of the request; varint bytes, operations superseded by it (operations.h)
 *            and not noted before. Replay installs the record as it stands: records are resulting
 *            states.
 *   2 META   varint length, name; varint length, value (empty = removed); u64 stamp of the request
 *   3 DROP   varint partition; u64 stamp of the request: its clock, dot log, floor and filling are
 *            given up; its records go by REAP records behind it (drop.c); u8 1: none is left, and
 *            its counts are 0
 *   4 REAP   as STATE, with an empty record: nothing stands for the key any more (RULES 19)
 *   5 CLOCK  varint partition; varint length, clock: merged whole into the partition's; varint
 * bytes, operations superseded among its dots and not noted before; u64 stamp up to which more of
 *            them may be missing
 *   6 FILL   varint partition; varint length, fill (see INDEX_PARTITION): what stands from now on;
 *            u8 flags: 1 the clock is empty from here on, 2 the counts that follow stand;
 *            varint records, live records, bytes, u64 digest sum; u64 stamp of the request
 *   8 PARCEL u64 target; varint partition; varint length, key; varint length, parcel (parcels.h;
 *            empty = it was delivered, or given up); u64 stamp of the request
 * Trailing bytes of a payload are ignored; a trailing stamp that is missing is 0, and operations
 * that are missing were not noted.
 *
 * INDEX VALUES
 *   INDEX_DATA       the record (record.h, with its own checksum)
 *   INDEX_PARTITION  u32 CRC32C of all that follows; u8 format 1; u64 LSN up to which the
 *                    partition's records are in the index; varint records, live records (a value
 *                    wins), bytes (keys + records); u64 sum of record digests (mod 2^64); varint
 *                    length, clock; varint length, floor of the dot log, a clock; varint x 4:
 *                    write fence ballot, counter, read fence ballot, counter (reserved, 0);
 *                    varint 2: the dot log is kept above its floor (absent: an earlier version kept
 *                    none; 1: it kept one, and the floor did not tell what was confirmed); u64
 *                    stamp up to which operations may be missing; varint bytes, the partition's
 *                    recent operations, oldest first (both missing: none were noted); varint
 *                    length, fill, empty when it never filled:
 *                      u64 generation of the folder up to which it was filled, u8 enum fill_reason
 *                      of its own, varint length, run of u64: owners pulled from whole since then
 *                      while others still owe that, varint length, clock that was given up; varint
 *                      length, cursor of a pull, its owner's; varint, how often it was given up
 *   INDEX_LOG        the dot log: dotlog.h
 *   INDEX_PARCEL     what is kept for other owners: parcels.h
 *   INDEX_META       u32 CRC32C of name and all that follows; u8 format 1; bytes. Names:
 *     "identity"  u64 node id, u64 incarnation, u64 previous incarnation, 16 B cluster id (zero
 *                 before one is joined), 16 B boot id, varint length, role; the mark of a damaged
 *                 log (missing = none): u8 enum engine_damage_kind, u64 first and u64 last lost
 *                 LSN, u64 wall clock in seconds since 1970 when it was found last, u64 starts
 *                 since then; u8 1: wal/ holds at least one segment from now on, so that none at a
 *                 start means that the log was lost (missing = 0); u64 fill generation, u8 enum
 *                 fill_flag (missing = 0); varint length, run of u64: lives of this folder, the
 *                 newest first (missing = the two above); u32 FOLDER_FORMAT (missing = 1), varint
 *                 length, version of the program that began this life
 *     "applied"   u64 applied LSN, u64 floor segment, u32 chain of the newest batch known,
 *                 u64 highest LSN known durable: a log that ends before it has lost something;
 *                 u64 highest stamp of a request (missing = 0), see engine_stamp_max
 *     others      given by engine_meta_* callers: "map", "port", "peers", ...
 *
 * CHECKPOINT: the overlay is frozen at one LSN (the cut), with the encoded clocks of its dirty
 * partitions; written in key order as several transactions over whole consecutive partitions (each
 * about 3,000 records or 8 MiB); the partition's value says LSN = cut; the last transaction moves
 * "applied". Replay skips a record whose LSN is not above its partition's LSN, so replay over half
 * a checkpoint is exact and reads nothing from the index.
 *
 * FILLING (RULES 7, 15, 16; fill.c): the folder has a fill generation, raised by whatever loses
 * data or may have; a partition fills while it is behind that, or for a reason of its own (a bad
 * record). The clock that it tells is empty meanwhile, so that nobody takes it to have what it
 * lost. Its own stays: it is of an earlier moment and right about that. But a bad record leaves
 * dots in it whose state is not here, and which ones is not known: then it is given up, and begins
 * anew.
 */
#ifndef GT_ENGINE_ENGINE_H
#define GT_ENGINE_ENGINE_H

#include "engine/base/events.h"
#include "engine/base/metrics.h"
#include "engine/clock.h"
#include "engine/disk.h"
#include "engine/index.h"
#include "engine/lives.h"
#include "engine/record.h"
#include "engine/wal.h"

#define KEY_BYTES_MAX       480
#define VALUE_BYTES_DEFAULT (1u << 20)
#define VALUE_BYTES_LIMIT   (16u << 20)
#define SIBLINGS_MAX        64 /* bind a coordinator before it mints (RULES 13) */
#define STATE_VALUE_LIMITS  4  /* value limits of bytes in one state, likewise */
#define PARTITIONS_MAX      65536
#define LOG_ENTRIES_DEFAULT 1000000u /* of all dot logs */
#define LOG_ENTRY_BYTES_MAX 600u     /* of one in the index, with the longest key */

/*
 * Of a folder as a whole, in its identity. Whoever changes what stands in a folder so that an
 * earlier program cannot read it raises this as well as the format of that value: then an earlier
 * program refuses the folder at its start, by one number, before it has changed anything. Formats
 * of values, records, batches and segments say the same again, each for itself.
 */
#define FOLDER_FORMAT     1u
#define VERSION_BYTES_MAX 32 /* of the name of a program's version, with the final NUL */

/* Dots as a run of 24 bytes each: u64 node, u64 incarnation, u64 seq. */
#define DOT_BYTES 24
static inline uint32_t dots_count(struct slice dots)
{
    return (uint32_t)(dots.bytes / DOT_BYTES);
}
static inline struct dot dots_at(struct slice dots, uint32_t i)
{
    const uint8_t *at = dots.data + (size_t)i * DOT_BYTES;
    return (struct dot){{le64_get(at), le64_get(at + 8)}, le64_get(at + 16)};
}
static inline void dots_put(uint8_t at[DOT_BYTES], struct dot d)
{
    le64_put(at, d.actor.node);
    le64_put(at + 8, d.actor.incarnation);
    le64_put(at + 16, d.seq);
}

/* ---- requests and results: what machines ask of storage -------------------------------------- */

enum store_kind {
    STORE_PUT,       /* mint: a put or delete at its coordinator */
    STORE_MERGE,     /* a state from another replica */
    STORE_META,      /* a small named value, durable */
    STORE_LOAD,      /* one key */
    STORE_SCAN,      /* a run of keys of one partition */
    STORE_CLOCKS,    /* the clocks of some partitions */
    STORE_PULL,      /* what a replica with this clock lacks (RULES 3) */
    STORE_CLOCK,     /* merges a cut clock, when all that it speaks of is stored */
    STORE_VERIFY,    /* the digests of a run of keys, read again */
    STORE_SCRUB,     /* a further run of a partition: whether its counts are right at the end */
    STORE_CONFIRM,   /* what the other owners have: the dot log forgets it, tombstones are reaped */
    STORE_OPERATION, /* whether the write of this operation id has happened (RULES 10) */
    STORE_REST,      /* a run of keys that were pulled is all that the sender has (RULES 7) */
    STORE_FILL,      /* a partition begins to fill, or is whole */
    STORE_CURSOR,    /* how far a pull has come (RULES 4) */
    STORE_DROP,      /* a run of what is here of a partition that is not owned any more goes */
    STORE_PARCEL,    /* keeps a state for another owner, or no more (RULES 5) */
    STORE_PARCELS,   /* what is kept: of one target, or for whom */
    STORE_RECALL     /* puts of the operation that wait for room are answered GT_ESTALE, and not
                        carried out; has no result of its own */
};

/* Why a partition fills that is not behind its folder. */
enum fill_reason { FILL_ROT = 1 /* a record here is bad, or the counts are wrong */ };

/* Slices borrow from `hold`, of which the request has a reference. */
struct store_request {
    enum store_kind kind;
    uint64_t tag;         /* the machine's; comes back in the result */
    uint64_t deadline_us; /* monotonic; a request still waiting for room then is not applied; 0 =
                             none */
    struct blob *hold;    /* may be NULL when no slice is used */
    uint32_t partition;
    struct slice key; /* PUT, MERGE, LOAD, OPERATION: the key. META: the name. */
    /* PUT */
    struct slice value;
    /* As clients hold it (version.h), or empty. LOAD: what the asker demands to find in the state.
     */
    struct slice context;
    /* PUT, OPERATION; MERGE: of the first of `dots`, or 0. A put whose operation is known here,
     * live or superseded, mints nothing: its dot is returned, and marked when it is live
     * (version.h). */
    uint8_t op[OP_ID_BYTES];
    bool tombstone, plain;
    /* PUT, MERGE, META: the machine's hybrid clock, which has followed every stamp that it trusts;
     * kept for engine_stamp_max. PUT: also the lowest timestamp to use, raised above those of
     * replaced siblings. */
    uint64_t stamp;
    /* PUT, when an operation is tried again: the hybrid time of its first attempt, 0 otherwise. It
     * is minted with that stamp, and plain it replaces only what is older. */
    uint64_t first_stamp;
    bool known_only; /* PUT: the operation is known; not found here, it is GT_EINDOUBT */
    /* PUT of an operation that stands here and is outranked elsewhere: it is minted once more,
     * covering and listing the dots of `outranking`, with a stamp above `above` (RULES 12). One
     * that was superseded here meanwhile is not. */
    bool again;
    uint64_t above;
    struct slice outranking; /* a run of dots of this key */
    /* MERGE: with `plain` the result says what outranks the first of `dots`, or, when the operation
     * `op` is superseded here, whether that is settled. With `kept` it is a
     * parcel: what is dead here, of lives that are closed, has arrived with that. */
    bool kept;
    struct slice record;
    struct slice dots; /* what the message sets in the clock (RULES 1): a run of dots */
    /* MERGE, CLOCK, PUT with `again`: rows of operations.h. Whoever lists a dot that is not live in
     * the record tells its operation here, or the operation is not recognised when it is tried
     * again. */
    struct slice operations;
    uint64_t operations_floor; /* CLOCK: up to this stamp rows may be missing among them */
    /* MERGE of a pulled state: what is set is what is live in the record and in clock; dots is
     * empty. */
    bool pulled;
    /* MERGE of a pulled state: the sender's clock, cut with it. PULL: the asker's. CLOCK:
     * the one to merge. Encoded as clock.h says. CONFIRM: those of all other owners, repeated
     * varint length, clock; durable there, and of owners that vote. */
    struct slice clock;
    struct slice told; /* PULL: the clock that the asker told last in its present life, or empty */
    bool keep_tombstones; /* CONFIRM: nothing is reaped by these clocks */
    /* CLOCKS: value is a run of u16, the partitions; none: all that were ever written to. */
    bool whole; /* PULL: every key, from the cursor on, whatever the log knows */
    /* REST: the run began behind the cursor below; value: its entries as they came; `more`: it ends
     * with the last of them. clock: the sender's. Each key here that was not sent is merged with
     * the empty state and that clock. */
    bool more;
    /* CURSOR: value is kept with the partition, or none is any more. */
    /* FILL: 0 it is whole now, or enum fill_reason. When whole, value: the owners that it was
     * pulled from whole, a run of u64, while others still owe that. */
    uint8_t fill;
    /* PARCEL: record, dots and operations are kept for the target, merged with what is kept for it
     * of the key. Without a record the version `number` is dropped; another one stays. PARCELS: of
     * this target, versions above `number`, oldest first, at most count_max of them; 0: whose
     * parcels there are. */
    uint64_t target, number;
    uint32_t count_max;
    uint64_t wall_s; /* PARCEL: seconds since 1970 */
    /* META: value above; empty removes */
    /* SCAN, VERIFY: keys strictly after (from_hash, from_key), or all when from_start */
    bool from_start;
    uint64_t from_hash;
    struct slice from_key;
    uint32_t bytes_max; /* of what is read, at least one key; the engine caps it at 1 MiB */
};

/* What a put with GT_ELIMIT was too much of. */
enum store_limit { LIMIT_OTHER, LIMIT_SIBLINGS, LIMIT_SIBLING_BYTES };

/* Blobs belong to the result; whoever keeps one takes a reference. */
struct store_result {
    enum store_kind kind;
    uint64_t tag;
    /* 0, or:
     *   not applied, proved: GT_ELIMIT, GT_ECONTEXT, GT_ENOSPACE, GT_EBUSY (too many wait),
     *     GT_ETIMEOUT, GT_ENOMEM, GT_EIO, GT_EDESCRIPTORS (no further log segment
     *     could be made);
     *   GT_EUNKNOWN: the record here is bad; nothing was done;
     *   GT_EFORMAT: the record here is of a newer format; nothing was done, nor ever will be
     *     by this version: what it says may be nowhere else;
     *   GT_EPOISONED, and GT_EINDOUBT with known_only: in doubt;
     *   MERGE: GT_ECORRUPT, GT_EFORMAT: the incoming record is bad, lists a dot that it does not
     *     hold, or names a dot of this node that was never minted; GT_EMISSING: a piece of the
     *     state is missing;
     *   PARCEL: the same; GT_ELIMIT: too much is kept here already;
     *   META: GT_EARG: the name is reserved, empty or over 255 bytes;
     *   CLOCK: GT_ECORRUPT: it is none, or names dots of this node that were never minted;
     *   SCAN, PULL, VERIFY, SCRUB: GT_EIO; PULL: GT_ECORRUPT: the asker's clock is none.
     *   REST: GT_ECORRUPT: it is no run, or the clock is none;
     *   SCAN, PULL: GT_EIO; PULL: GT_ECORRUPT: the asker's clock is none.
     * LOAD of an absent key is 0 with no record. */
    int result;
    enum store_limit limit; /* PUT, GT_ELIMIT */

    struct blob *record; /* PUT, MERGE: resulting state; LOAD, OPERATION: the state, NULL when
                            absent */
    struct blob *dots;   /* PUT: the new dot first, then the replaced ones. OPERATION, known: its
                            dot first, then those of the live siblings */
    /* PUT: for the client. LOAD: of the context given what this replica's clock does not say to
     * have been seen and gone, so that it must be in a state; NULL: nothing. */
    struct blob *context;
    uint64_t stamp; /* PUT: of the new sibling; OPERATION: of the known one */
    bool known_op;  /* PUT: the operation was found, so nothing was minted (but where a piece of it
                       was all that is here); OPERATION: it is known */
    /* PUT, MERGE, plain: the siblings that a get answers rather than the one written, a run of dots
     * and the highest of their stamps; NULL: none. */
    struct blob *outranking;
    uint64_t outranking_stamp;
    /* PUT, MERGE, plain: the operation is superseded here, and what a get answers may be older than
     * it all the same. It is not to be acknowledged by this state (RULES 10, 12). */
    bool unsettled;
    /* Rows of operations.h. PUT, OPERATION: of the superseded ones among the dots. MERGE: of
     * `outranking`. PULL, with the last entries: of dots that the asker lacks. */
    struct blob *operations;
    uint64_t operations_floor; /* PULL: up to this stamp more of them may be missing */
    /* OPERATION, not known. untold: the state here includes dots that never came to this replica,
     * so one of them may be this operation's. length_ms: younger than that it would be known. */
    bool untold;
    uint64_t length_ms;
    /* SCAN: varint length, key; varint length, record; repeated. Ascending by (hash, key). An empty
     * record: what is stored for the key here is bad, so its state is unknown (RULES 16). */
    struct blob *entries;
    uint32_t entry_count;
    bool more; /* keys remain behind the last entry; DROP: some are left */
    /* VERIFY: entries are varint length, key; u64 digest of its record, 0 = it is bad; repeated, as
     * SCAN's in order. clock is the row of the partition that CLOCKS would give, of the same
     * moment. */
    uint64_t bytes_read; /* VERIFY: of keys and records */
    /* CLOCKS: repeated varint partition; varint length, clock; varint records; u64 sum of their
     * digests: all of one moment. PULL: as SCAN, in the order of dots
     * or, when whole, of keys. */
    struct blob *clock; /* PULL: cut with the entries. SCAN: of the same moment; NULL: it fills */
    bool unknown; /* MERGE: it took the place of a bad record. SCAN, SCRUB, PULL: a record here is
                     bad. The clock of a PULL claims more than is sent then, and must not be merged
                     whole */
    bool newer;   /* SCAN, SCRUB, PULL: one is of a newer format: it is left as it is, and the
                     clock of a PULL is like that beside a bad one */
    bool miscounted;  /* SCRUB: the records are not those that were counted (RULES 16) */
    bool whole;       /* PULL: these are all keys of the range, not those that were lacking */
    uint64_t lacking; /* PULL: how many logged dots the asker lacked, those sent included */
    uint64_t data;    /* PULL: another one when what is here was lost and filled since */
    uint32_t reaped;  /* CONFIRM: tombstones that went; with `more` others may be ready to go */
    /* PARCELS of a target: entries are repeated u64 number; varint partition; varint length, key;
     * varint length, dots; varint length, record (empty: what is kept is bad); varint length,
     * operations. Of all: a run of u64, the targets; and how many are kept for owners of the
     * partition of the request: */
    uint64_t parcels;
    struct blob *partitions; /* PARCELS of all: those for whose owners any is kept, u16 each */
};

void store_request_release(struct store_request *r); /* drops hold */
void store_result_release(struct store_result *r);

/* ---- the engine ------------------------------------------------------------------------------ */

struct engine;

struct engine_config {
    struct disk *disk;   /* borrowed; outlives the engine */
    struct index *index; /* borrowed; outlives the engine */
    struct log *log;
    struct events *events; /* borrowed; may be NULL */
    const char *role;      /* "node" or "manager": a folder of the other role is refused */
    uint64_t seed;         /* for salts, a new node id, the low bits of the incarnation */
    uint64_t wall_us;      /* for the high bits of the incarnation */
    uint8_t boot_id[16];
    uint64_t segment_bytes;     /* 0 = default */
    uint64_t value_bytes_max;   /* 0 = default; engine_set_value_bytes_max changes it later */
    uint64_t overlay_bytes_max; /* 0 = 96 MiB: active and frozen together */
    uint32_t parked_max;        /* 0 = 8192: requests that wait for room */
    uint32_t chunk_records;     /* 0 = 5,000: about so many in one transaction of a checkpoint */
    uint32_t log_entries_max;   /* 0 = LOG_ENTRIES_DEFAULT; above it the largest log starts anew */
    uint64_t operations_bytes_max; /* 0 = 32 MiB: the table of recent operations */
    uint32_t parcels_max;          /* 0 = 250,000: kept for other owners */
    uint64_t parcels_bytes_max;    /* 0 = 1 GiB, likewise */
    /* A folder that is empty, or was never of any cluster, takes the place of a lost one: it fills.
     */
    bool born_filling;
};

/* Of an incarnation: 40 bits of seconds since 1970 above as many random ones (RULES 8a). */
#define INCARNATION_RANDOM_BITS 24

struct engine_identity {
    uint64_t node_id, incarnation, previous_incarnation;
    uint8_t cluster_id[16];
    uint64_t fill_generation; /* the life in which the last loss was found; 0: none ever was */
    struct lives lives;       /* those two, and earlier ones */
    bool lost; /* what makes its partitions fill is more than an unproven end of the log */
    bool open; /* one of them may still be behind: engine_whole was not called since */
};

/*
 * The mark of a damaged log: acknowledged writes may be missing in this folder. It is set by the
 * start that finds the damage, in the commit of its new identity and so before anything that could
 * be found there is given up; warned of at every start; and stays until engine_damage_clear.
 */
enum engine_damage_kind {
    DAMAGE_MIDDLE = 1, /* batches in the middle of the log are bad or gone */
    DAMAGE_END = 2,    /* the log ends before what the index knows to have been durable, or is gone;
                          or the index does not show its last commit */
    DAMAGE_TAIL = 4,   /* it ended in a batch that was not whole, or the index in a commit (index.h,
                          mended), and the machine had restarted: never acknowledged, or rot; which
                          of the two cannot be told */
    DAMAGE_COPY = 8    /* the folder was copied while a process worked in it (disk.h) */
};
struct engine_damage {
    uint8_t kinds;                /* enum engine_damage_kind; 0: none, and all else is 0 */
    uint64_t first_lsn, last_lsn; /* hull of what is lost, as far as known; 0, 0: not known */
    uint64_t found_s;             /* wall clock of the start that found it last */
    uint64_t starts;              /* since that one */
};

struct engine_report {
    struct wal_report wal;
    uint64_t replayed; /* records installed */
    bool fresh;        /* the folder was empty */
    bool doubtful; /* this start found that acknowledged writes may be missing: corruption in the
                      middle, or an unproven tail after the machine restarted. Already logged */
    const char *where; /* of an error: what was being read, as the head of a sentence */
    /* Of the folder as it was found; 0: it is new, or its identity cannot be read. And the version
     * of the program that started on it last; empty: not known. */
    uint32_t folder_format;
    char folder_version[VERSION_BYTES_MAX];
};

/*
 * Recovers the folder, draws a fresh incarnation (RULES 8a: max(stored + 1, seconds since 1970) in
 * the high 40 bits, 24 random bits below) and makes it durable, makes the first segment. When there
 * is no room for that one in a folder that had a log before, it opens all the same: reads go on,
 * and writes are refused with GT_ENOSPACE, each of which tries again to make it. Blocking. 0;
 * GT_EFORMAT (newer format, of the folder or of something that a start reads, or another role:
 * logged with the cause, and nothing was changed); GT_ECORRUPT; GT_EIO;
 * GT_ENOSPACE; GT_ENOMEM; GT_ELIMIT: there is no higher incarnation.
 */
int engine_open(const struct engine_config *config, struct engine **out,
                struct engine_report *report);
/* Ends it and frees it, with all results not yet taken. With clean (engine_idle holds) it writes
 * the CLOSE mark first. Without, jobs may be under way as long as none is being run. */
void engine_close(struct engine *e, bool clean);

/* Takes over the request's hold. The result, for whatever cause, comes from engine_result. */
void engine_submit(struct engine *e, const struct store_request *r, uint64_t now_us);
/* The same for several, at most ENGINE_SOME_MAX, in their order: what they will read in the index
 * is looked up side by side. */
#define ENGINE_SOME_MAX INDEX_SOME_MAX
void engine_submit_some(struct engine *e, const struct store_request *requests, uint32_t count,
                        uint64_t now_us);
/* The next result, in the order in which they became ready; false when there is none. The caller
 * releases it. */
bool engine_result(struct engine *e, struct store_result *out);
/* Ends requests that wait for room past their deadline, paces the checkpoint after a failure, and
 * has a log sealed that was idle for 5 ms.
 * engine_deadline_us says when it is wanted next (0 = now, UINT64_MAX = not); ask for jobs after.
 * now_us UINT64_MAX ends all requests that wait for room, whatever their deadline. */
void engine_tick(struct engine *e, uint64_t now_us);
uint64_t engine_deadline_us(const struct engine *e);

/* Jobs. Each lane runs one at a time, in this cycle, and lanes run at the same time. */
enum engine_lane { ENGINE_LOG, ENGINE_CHECKPOINT, ENGINE_SEGMENT, ENGINE_LANES };
struct engine_job;
/* The next job of an idle lane, NULL when it has none. Ask again after every submit and done. */
struct engine_job *engine_job(struct engine *e, enum engine_lane lane);
void engine_job_run(struct engine_job *j);                    /* any thread; blocks */
void engine_job_done(struct engine *e, struct engine_job *j); /* loop thread */
/* No lane busy, no request waiting, nothing to log. (A checkpoint may be due.) */
bool engine_idle(const struct engine *e);
/* Between the freezing of the overlay and the commit of the checkpoint's last chunk. */
bool engine_checkpoint_running(const struct engine *e);
/* The log failed: 0 or the GT_E* that poisoned it. The process must end with exit 74. */
int engine_poisoned(const struct engine *e);

/* Reads a key's page(s) through the reader lane so that the loop need not block; any thread. */
void engine_warm(struct engine *e, uint32_t partition, struct slice key);

/* Small named values, also readable before the first request. Returned blob is borrowed, NULL when
 * absent; valid until the next call into the engine. */
const struct blob *engine_meta(const struct engine *e, const char *name);
/* The same as text, ended by a zero; empty when it is absent or does not fit in bytes. */
void engine_meta_text(const struct engine *e, const char *name, char *text, size_t bytes);

const struct engine_identity *engine_identity(const struct engine *e);
const struct engine_damage *engine_damage(const struct engine *e);
/* Why neither a log segment nor a checkpoint can be written at present; 0: they can. */
int engine_disk_error(const struct engine *e);
/* What was lost is here again, or given up: every partition that this node owns has been filled.
 * Clears the mark. Blocking, durable when it returns 0. */
int engine_whole(struct engine *e);
/* The partition's clock is not known to be whole: it has no vote (RULES 7). */
bool engine_filling(const struct engine *e, uint32_t partition);
/* The owners from which a partition that is whole was pulled, a run of u64, while others still owe
 * that; empty: nobody does. Borrowed until the next call. */
struct slice engine_fill_sources(const struct engine *e, uint32_t partition);
/* What STORE_CURSOR has kept; empty: nothing. Borrowed until the next call. */
struct slice engine_cursor(const struct engine *e, uint32_t partition);
/* Something of the partition is here: a record, or what says that there is. */
bool engine_holds(const struct engine *e, uint32_t partition);
/* The highest stamp that came with any durable write, in all lives of the folder: a machine whose
 * clock starts there writes above all that it ever stored, wherever the wall clock stands. The
 * stamps of the states themselves are not looked at: one that the machine did not follow when it
 * was merged (too far ahead to be a time) is not followed after a restart either. */
uint64_t engine_stamp_max(const struct engine *e);
/* Blocking, durable when it returns 0; only while no request is in flight for set_cluster. */
int engine_set_cluster(struct engine *e, const uint8_t cluster_id[16]);
/* A peer has seen a life of this node that its folder does not know of, or has writes of an earlier
 * one that are not in it (then that is its present life): the folder was rolled back,
 * or is a copy (RULES 8a), or the node was away for so long that nobody waits for it (8b). That
 * life is known from now on as the one before, every partition fills, also when it has filled
 * before, and when that life is above the present one a new one is drawn above it. All of it is
 * durable then, and minting goes on. 0, GT_ELIMIT: there is none above; nothing has changed. Or an
 * error of the index. */
int engine_renew_incarnation(struct engine *e, uint64_t seen, uint64_t wall_us);
void engine_set_value_bytes_max(struct engine *e, uint64_t bytes);

struct engine_totals {
    uint64_t records, live, bytes; /* of all partitions, overlay included */
    uint64_t index_file_bytes, log_file_bytes;
    uint64_t bad_records;
    uint64_t tombstones;            /* that wait to be reaped, as far as known */
    uint64_t parcels, parcel_bytes; /* kept for other owners */
};
void engine_totals(const struct engine *e, struct engine_totals *out);

/* How many parcels are kept for the node. */
uint32_t engine_parcels_for(const struct engine *e, uint64_t target);
struct engine_kept {
    uint64_t target, parcels, bytes, made_s; /* seconds since 1970 of the oldest */
};
/* For whom parcels are kept, at most so many targets, those with the most first. Returns how many.
 */
uint32_t engine_kept(const struct engine *e, struct engine_kept *out, uint32_t max);

struct engine_partition {
    uint64_t records, live, bytes, digest_sum;
    const struct clock *clock;        /* borrowed, valid until the next call into the engine */
    const struct clock *floor;        /* of the dot log, likewise */
    uint32_t log_entries, tombstones; /* of its dot log; those that wait to be reaped */
};
/* Zeroes and an empty clock for a partition never written. */
void engine_partition(const struct engine *e, uint32_t partition, struct engine_partition *out);

const struct engine_metrics *engine_metrics(const struct engine *e);

/* For store_uv: share of the index in memory, in 1/1000, and the count of reads by their way. */
unsigned engine_resident(const struct engine *e, uint64_t seed);
/* Whether the index is mostly not in memory: a read on the loop would wait for the disk. */
void engine_set_cold(struct engine *e, bool cold);
void engine_note_read(struct engine *e, bool warmed);

#endif
