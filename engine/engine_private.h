/*
 * What the engine's files share, and nobody else sees.
 *
 *   engine.c      one request's way in and out, waiting for room, deadlines, figures
 *   admit.c       what a write does: read-modify-write, minting, the log record
 *   keep.c        parcels: taken, dropped, listed
 *   read.c        one key's state, LOAD, SCAN
 *   exchange.c    clocks, the dot log, PULL
 *   reap.c        tombstones that every owner has go (RULES 19)
 *   lanes.c       the log lane (batches, durability, poison) and the segment lane
 *   checkpoint.c  freezing, chunks, the applied mark, recycling
 *   throttle.c    how fast writers are let in while a checkpoint runs
 *   recover.c     opening a folder; identity; closing
 *   fill.c        partitions that lost data, or may have, and how they get whole again
 *   drop.c        partitions that are not owned any more
 */
#ifndef GT_ENGINE_PRIVATE_H
#define GT_ENGINE_PRIVATE_H

#include "engine/base/prng.h"
#include "engine/dotlog.h"
#include "engine/engine.h"
#include "engine/operations.h"
#include "engine/overlay.h"
#include "engine/parcels.h"
#include "engine/values.h"

#define READ_LANE_LOOP   0u
#define READ_LANE_READER INDEX_LANE_COLD

#define BATCH_BYTES_MAX       (4u << 20) /* of a forming batch, or one larger record */
#define BATCH_WAITERS_MAX     65536u     /* results that wait for one batch */
#define BODY_KEEP_BYTES       (8u << 20) /* a body that grew beyond is given back */
#define OVERLAY_BYTES_DEFAULT (96u << 20)
#define PARKED_DEFAULT        8192u
#define SCAN_BYTES_MAX        (1u << 20)
#define CURSOR_BYTES_MAX      (1u << 20)
#define OPERATIONS_PULL_BYTES (16000u * OPERATION_BYTES) /* of one pull, about 1 MiB */
#define PARCELS_DEFAULT       250000u
#define PARCEL_BYTES_DEFAULT  (1ull << 30)
#define METAS_MAX             64u
#define META_NAME_MAX         255u
/* A chunk's pages are in memory until its commit, which hands them to the disk at once, in front of
 * the next batch of the log. */
#define CHUNK_RECORDS_DEFAULT    3000u
#define CHUNK_BYTES              (8u << 20)
#define CHUNK_OPERATIONS         65536u /* rows of them: the loop writes them down, and waits for that */
#define LIVE_SEGMENTS_CHECKPOINT 2u  /* more of them with log not yet applied: checkpoint */
#define LIVE_SEGMENTS_MAX        16u /* from here on writers wait for a checkpoint */
#define READY_SEGMENTS_MAX       2u
#define SEGMENT_FIRST_BYTES      (16u << 20) /* of the one that a start makes, at most */
#define SPARE_SEGMENTS_MAX       2u
#define CLOSING_MAX              8u
#define PARTITIONS_MIN           64u /* places in the table of partitions at first */
#define REMOVE_BATCH             16u
#define COLD_LOOK_US             100000u /* between two looks at tombstones in a cold index */
#define CHECKPOINT_RETRY_MIN_US  1000000u
#define CHECKPOINT_RETRY_MAX_US  30000000u
#define SEAL_AFTER_US            5000u /* the log idle for so long */

struct partition {
    uint64_t lsn; /* of its value in the index; used by recovery only */
    struct counts counts;
    struct clock clock;
    struct dotlog log;
    struct clock floor; /* of the log */
    struct fill fill;
    /* The highest dot that this node minted here, of one life: the clock may have been given up. */
    uint64_t minted_incarnation, minted;
    struct dot reap_next; /* reaping goes on at this entry of the log */
    bool strays; /* records lie in the index where no search finds them: the next checkpoint drops
                    them (strays.c) */
    bool parts_unread; /* keys of which a part arrived may be missing in engine.pieces: those of
                          before the start, until a scrub has been over them (pieces.c) */
    bool torn;         /* a page of its keys is damaged, and an event has said so */
    bool rotten; /* one was met, and the partition does not fill for that yet: what the clock says
                    of a key that is not found is not to be trusted */
};

struct meta {
    char name[META_NAME_MAX + 1];
    struct blob *value; /* NULL: absent, or removed and not yet so in the index */
    uint64_t lsn;       /* of the newest log record; 0 when from the index */
    bool dirty;         /* newer than the index and than a frozen snapshot */
};

struct result_queue {
    struct store_result *items;
    uint32_t head, count, capacity;
};

struct request_queue {
    struct store_request *items;
    uint32_t head, count, capacity;
};

/* One group commit, forming or in flight. */
struct batch {
    struct buf body;
    uint32_t records;
    uint64_t first_lsn, last_lsn;
    struct result_queue waiters;
};

/* What proves the last batch of the log (lanes.c). */
enum seal {
    SEAL_NONE,  /* nothing needs proof: it is a seal, or nothing was written yet; or one flies */
    SEAL_UNSET, /* it is durable; since when the log is idle says the next tick */
    SEAL_WAITS, /* until seal_us */
    SEAL_DUE    /* a seal is written when the lane is next asked */
};

enum segment_use {
    SEGMENT_LIVE,  /* written to, or of an earlier run and not behind the floor */
    SEGMENT_READY, /* made ahead, not yet written to */
    SEGMENT_SPARE, /* behind the floor, kept to be used again */
    SEGMENT_DEAD   /* behind the floor, to be removed */
};

struct segment_file {
    uint64_t number, bytes;
    uint64_t last_lsn; /* LIVE: highest in it, 0 when nothing was written */
    enum segment_use use;
};

/* What the index has of a key, read before it is asked for. Nothing but this thread's own requests,
 * which go through the overlay, changes what it should be asked for by then. */
struct ahead {
    uint32_t partition;
    struct slice key;
    struct blob *record; /* borrowed */
};

struct frozen_partition {
    uint32_t partition;
    size_t state_at, state_bytes; /* of its index value, in checkpoint.states */
    size_t value_at, value_bytes; /* the whole, in checkpoint.values: of the chunk under way */
    struct dotlog_change *log;    /* what changed in its dot log */
    uint32_t log_count;
    bool strays;
};

struct frozen_meta {
    char name[META_NAME_MAX + 1];
    struct blob *value;
};

struct checkpoint {
    struct overlay *overlay;             /* the frozen one; NULL when none runs */
    uint64_t cut;                        /* its LSN */
    struct frozen_partition *partitions; /* ascending */
    uint32_t partition_count, partition_capacity;
    struct buf states, values;
    uint64_t operations_before; /* the rows noted up to the cut */
    struct frozen_meta *metas;
    uint32_t meta_count;
    struct frozen_parcel *parcels;
    uint32_t parcel_count;
    uint32_t records, records_done; /* in all, and in the chunks that are durable */
    uint64_t records_s; /* as fast as chunks are written, records a second; 0: none was yet */
    uint64_t frozen_us, chunk_us; /* when it began, and when the chunk under way did */
    uint32_t next;                /* the first partition that is not yet in the index */
    uint32_t next_parcel;         /* likewise */
    int error;                    /* of the last chunk; 0 when it succeeded */
    uint64_t backoff_us, retry_us;
    bool retry_unset;        /* failed, and the time of the next attempt is set by the next tick */
    struct overlay *retired; /* in the index, to be cleared, and the changes of dot logs with it */
    /* Of the job, on its thread. */
    struct overlay_list list;
    struct buf scratch;
};

/* The walk that compares a partition with its counts (scrub.c). */
struct scrub {
    bool walking, bad; /* bad: a bad record was met, nothing is compared */
    bool parts_lost;   /* of those that it noted some are forgotten again (pieces.c) */
    uint32_t partition;
    struct counts found; /* up to the cursor; of use are records and digest_sum alone */
    uint64_t hash;       /* the cursor: the last key that was met */
    uint32_t key_bytes;  /* 0: none */
    uint8_t key[KEY_BYTES_MAX];
};

enum job_kind { JOB_BATCH, JOB_CHUNK, JOB_RETIRE, JOB_SEGMENT_MAKE, JOB_SEGMENT_REMOVE };

struct engine_job {
    enum engine_lane lane;
    enum job_kind kind;
    int result;
    struct disk *disk;
    struct index *index;
    /* BATCH */
    struct batch *batch;
    struct wal_segment segment; /* MAKE: the new one */
    uint64_t offset;
    uint32_t chain;
    struct disk_file *closing[CLOSING_MAX];
    uint32_t closing_count;
    /* CHUNK: partitions from .. to-1 of the checkpoint; RETIRE */
    struct checkpoint *checkpoint;
    uint32_t from, to, records;
    uint32_t parcels_from, parcels_to;
    bool last;
    struct applied_value applied;
    struct overlay *retired;
    /* MAKE */
    uint64_t number, bytes, salt, recycle;
    bool made;
    /* REMOVE */
    uint64_t numbers[REMOVE_BATCH];
    uint32_t number_count;
};

#define PIECES_MAX 256u

/* Keys of which a part arrived, the history of a state lacking (pieces.c). */
struct pieces {
    struct {
        uint64_t hash;
        uint32_t partition;
    } keys[PIECES_MAX];
    uint32_t count, next;
};

struct engine {
    struct disk *disk;
    struct index *index;
    struct log *log;
    struct events *events;
    struct prng prng;
    struct engine_identity identity;
    struct identity_value identity_value; /* as it stands in the index */
    uint64_t segment_bytes, value_bytes_max, overlay_half;
    uint32_t parked_max, chunk_records, log_entries_max;
    uint64_t now_us; /* the newest that a caller said */
    int poisoned;

    struct partition **partitions; /* by number; NULL when never written */
    uint32_t partition_count;      /* of that table, as far as one was written */
    struct clock empty_clock;
    struct clock incoming_clock; /* scratch */
    uint64_t log_entries;        /* of all dot logs */
    struct counts totals;
    struct operations operations;
    struct meta metas[METAS_MAX];
    uint32_t meta_count;
    struct parcels parcels;
    uint32_t parcels_max;
    uint64_t parcels_bytes_max;

    struct overlay *active, *spare;
    struct checkpoint checkpoint;
    struct scrub scrub;
    struct pieces pieces;
    bool cold;              /* the index is not in memory, as the caller says */
    uint64_t cold_look_us;  /* until then nothing is looked at to be reaped */
    bool checkpoint_wanted; /* after a recovery that replayed something */

    uint64_t next_lsn, durable_lsn, applied_lsn, floor_segment;
    uint64_t stamp_max; /* of all requests that were admitted */
    uint32_t chain;
    enum seal seal;
    uint64_t seal_us; /* with SEAL_WAITS */
    struct batch batches[2];
    struct batch *forming, *flying; /* flying is in the log job while that lane is busy */
    struct wal_segment current;     /* file NULL: none */
    uint64_t current_offset;
    struct wal_segment ready[READY_SEGMENTS_MAX];
    uint32_t ready_count;
    struct disk_file *closing[CLOSING_MAX]; /* left behind; the next log job closes them */
    uint32_t closing_count;
    struct segment_file *files; /* ascending by number */
    uint32_t file_count, file_capacity;
    uint64_t segment_next;
    uint64_t segment_need; /* bytes that the first waiting request needs of a new one, or 0 */
    struct log_pace segment_pace;
    int segment_failing;    /* of the last attempt too, until one was made: what the status says */
    bool disk_full;         /* as the last attempt to make one showed, and as events say */
    enum store_limit limit; /* that the request being admitted was over */
    int segment_error;      /* of the last attempt; no other is made until somebody asks, or */
    uint64_t segment_retry_us; /* then; unset until the clock is looked at next */
    bool segment_retry_unset;

    struct request_queue parked;
    uint64_t parked_deadline_us; /* not above the earliest of the parked */
    struct ahead *ahead;         /* of the request that is being submitted; NULL: nothing */
    uint64_t throttle_us; /* one of them waits for the checkpoint to get on: asked again then */
    struct result_queue results;

    /* Scratch, to be used again without allocation. */
    struct state local, incoming, merged;
    struct history context, returned;
    struct dot *dots; /* those new to the clock */
    uint32_t dots_capacity;
    struct buf scratch, scan;
    struct buf noted; /* operations that the write supersedes, as a run */
    struct overlay_list scan_list;

    struct engine_job jobs[ENGINE_LANES];
    bool busy[ENGINE_LANES];
    struct engine_metrics metrics;
};

/* ---- engine.c -------------------------------------------------------------------------------- */

void result_push(struct result_queue *q, const struct store_result *r);
/* Room for one more, so that the next push cannot fail. 0 or GT_ENOMEM. */
int result_reserve(struct result_queue *q);
bool result_pop(struct result_queue *q, struct store_result *out);
void result_queue_close(struct result_queue *q);
bool request_pop(struct request_queue *q, struct store_request *out);
/* Admits waiting requests in order, until one still has no room. */
void engine_retry_parked(struct engine *e);
/* Answers every waiting request with an error. */
void engine_refuse_parked(struct engine *e, int error);
/* The partition, made when absent; NULL when out of memory. */
struct partition *engine_partition_get(struct engine *e, uint32_t partition);
/* NULL: nothing was ever written to it. */
struct partition *engine_partition_find(const struct engine *e, uint32_t partition);

struct view;

/* ---- admit.c --------------------------------------------------------------------------------- */

/* Does a write, or answers it. True when it is done with the request (the result is queued or
 * waits for a batch), false when there is no room yet and the request must wait. */
bool engine_admit(struct engine *e, const struct store_request *r, bool parked);
#define NO_ROOM 1 /* not an error: the request waits */
/* The room that a log record of this payload takes: 0, NO_ROOM, or why there will be none. */
int log_room(struct engine *e, size_t payload_bytes, bool parked);
/* Memory for it and for one waiting result: 0 or GT_ENOMEM. */
int log_reserve(struct engine *e, size_t payload_bytes);
/* Begins it; the payload follows in forming->body. Returns its LSN. */
uint64_t log_append(struct engine *e, uint8_t type, const struct store_request *r,
                    size_t payload_bytes);
size_t varint_bytes(uint64_t v);
size_t slice_bytes(size_t bytes); /* of so many, with their length in front */
/* A STORE_MERGE; of the kind STORE_REST it answers nothing, and an empty record is the empty state.
 * 0, NO_ROOM, or an error. */
int admit_merge(struct engine *e, const struct store_request *r, bool parked);
/* What stands for r->key, e->local as seen by the view, becomes e->merged; an absent state leaves
 * no record. No dot is set. *lsn is when it is durable. 0, NO_ROOM, or an error: nothing has
 * changed. */
int engine_replace(struct engine *e, const struct store_request *r, struct partition *p,
                   struct view *view, uint64_t *lsn);

/* ---- keep.c ---------------------------------------------------------------------------------- */

/* 0, NO_ROOM, or the error to be answered. */
int admit_parcel(struct engine *e, const struct store_request *r, bool parked);
void engine_parcels(struct engine *e, const struct store_request *r);
/* The bytes of a parcel, checked: one reference in *hold. 0; GT_EUNKNOWN: they are bad (logged);
 * GT_ENOMEM or an error of the index: it cannot be read now. */
int parcel_read(struct engine *e, const struct parcel *p, struct blob **hold,
                struct parcel_value *out);
/* A log record of a recovery, with the stamp of its request: 0, GT_ECORRUPT, GT_ENOMEM. */
int parcel_install(struct engine *e, const struct wal_record *r, uint64_t *stamp);
/* One of the index, at birth: 0 (one that is bad is logged and dropped), GT_ENOMEM. */
int parcel_load(struct engine *e, struct slice index_key, struct slice value);

/* ---- read.c ---------------------------------------------------------------------------------- */

/* What stands for a key, and where. */
struct view {
    struct blob *record;         /* a reference; NULL when absent */
    struct overlay_entry *entry; /* in the active overlay; NULL when not there */
    struct presence presence;
    uint64_t lsn; /* 0 when it is from the index, and so durable */
};
/* Finds and verifies the newest record, decodes it into `state` when not NULL, and fills presence.
 * The state borrows from view->record. 0, GT_EUNKNOWN for a bad or unreadable record (logged),
 * GT_ENOMEM. On failure there is nothing to release. */
int view_read(struct engine *e, uint32_t partition, uint64_t hash, struct slice key,
              struct state *state, struct view *view);
void view_close(struct view *view);
/* The kind and digest of a record whose state is known. */
struct presence presence_of(const struct state *state, const struct blob *record);
void engine_load(struct engine *e, const struct store_request *r);
void engine_scan(struct engine *e, const struct store_request *r);
/* A run of keys into e->scan, with records or (VERIFY) with their digests; the newest LSN shown,
 * and whether a bad record was met. 0, GT_EIO, GT_ENOMEM. */
int engine_scan_run(struct engine *e, const struct store_request *r, struct store_result *result,
                    uint64_t *lsn, bool *unknown);
void engine_operation(struct engine *e, const struct store_request *r);
/* The operation as far as it is known here: live in the state, or superseded. False: it is not. */
struct known_operation {
    struct dot dot; /* seq 0: one that is not known here, but included by name (version.h) */
    uint64_t stamp;
    bool live;
    uint8_t mark;                       /* SIBLING_RETRIED, when it has that */
    const struct operation *superseded; /* its row; NULL: it is live, or included by name */
};
bool operation_known(const struct engine *e, uint32_t partition, uint64_t hash,
                     const struct state *state, const uint8_t op[OP_ID_BYTES],
                     struct known_operation *out);
/* What the message about a known operation lists: its dot, unless it was reaped, and those of the
 * other siblings, but for one of which only a piece is here. NULL when out of memory. */
struct blob *known_dots(const struct partition *p, const struct state *s, struct dot known);
/* Before e->incoming is merged into e->local: where a row, of the table here or of the request,
 * says that an operation was superseded of which a further attempt is live on the other side, the
 * history of its side names it (twins.c). clock: of the partition here. 0 or GT_ENOMEM. */
int twins_name(struct engine *e, const struct store_request *r, uint64_t hash,
               const struct clock *clock);
/* ---- strays.c -------------------------------------------------------------------------------- */

/* The key that was passed last, of one partition. */
struct stray_walk {
    uint32_t partition;
    uint64_t hash; /* of the last */
    uint32_t key_bytes;
    uint8_t key[INDEX_KEY_BYTES_MAX];
};

enum stray { STRAY_NOT, STRAY, STRAY_OTHER, STRAY_END };
/* Of a record of the index that a walk over the partition comes to: whether it lies where no search
 * finds it; is bad or a stray of some other partition, which says nothing of where this one ends;
 * or the partition is over. */
enum stray stray_judge(struct stray_walk *w, struct slice index_key, struct slice record);
/* One was met: it is reported, and while the partition fills because of rot it goes with the next
 * checkpoint. */
void stray_met(struct engine *e, uint32_t partition);
/* Removes those of the partition. As index.h. */
int strays_purge(struct index *x, struct index_write *w, uint32_t partition);

/* Queues a result for when `lsn` is durable: at once when it is. */
void engine_answer_at(struct engine *e, struct store_result *result, uint64_t lsn);

/* ---- exchange.c ------------------------------------------------------------------------------ */

/* One entry of a partition's dot log. 0 or GT_ENOMEM. */
int engine_dot_keep(struct engine *e, struct partition *p, struct dot d, struct slice key,
                    bool stored, enum dotlog_kind kind);
enum dotlog_kind engine_dot_kind(const struct sibling *sibling);
/* The dot log after e->local became e->merged; room was made by log_prepare. Cannot fail. */
void engine_log_update(struct engine *e, struct partition *p, struct blob *key);
/* Room for that, and the key to keep: 0 or GT_ENOMEM. *key is one reference, NULL when nothing new
 * is live. */
int engine_log_prepare(struct engine *e, struct partition *p, struct slice key, struct blob **out);
/* A dot of this node's present life, or of one still to come, that it has not minted: whoever sent
 * that is mistaken, and accepting it would let the same dot be minted for something else. */
bool engine_dot_unminted(const struct engine *e, const struct partition *p, struct dot d);
/* The request's clock into e->incoming_clock: 0, GT_ECORRUPT (none, or unminted dots of ours),
 * GT_ENOMEM. */
int engine_clock_read(struct engine *e, const struct partition *p, struct slice bytes);
void engine_clocks(struct engine *e, const struct store_request *r);
void engine_pull(struct engine *e, const struct store_request *r);
void engine_verify(struct engine *e, const struct store_request *r);
void engine_confirm(struct engine *e, const struct store_request *r);

/* ---- fill.c ---------------------------------------------------------------------------------- */

/* The highest seq that this life has minted in the partition. */
uint64_t engine_minted(const struct engine *e, const struct partition *p);
/* The folder lost data, or may have: every partition is behind from now on. Into an identity that
 * is to be committed. */
void fill_raise(struct identity_value *identity, bool lost);
int admit_fill(struct engine *e, const struct store_request *r, bool parked);
int admit_rest(struct engine *e, const struct store_request *r, bool parked);
int fill_replay(struct engine *e, struct slice payload, uint64_t lsn, uint64_t *replayed);

/* ---- drop.c ---------------------------------------------------------------------------------- */

int admit_drop(struct engine *e, const struct store_request *r, bool parked);
int drop_replay(struct engine *e, struct slice payload, uint64_t lsn, uint64_t *replayed);

/* ---- scrub.c --------------------------------------------------------------------------------- */

void engine_scrub(struct engine *e, const struct store_request *r);
/* After every change of a partition's counts by one record. */
void scrub_follow(struct engine *e, uint32_t partition, uint64_t hash, struct slice key,
                  const struct presence *before, const struct presence *now);
/* The counts were set anew. */
void scrub_forget(struct engine *e, uint32_t partition);

/* ---- pieces.c -------------------------------------------------------------------------------- */

/* What was recovered may have such keys in any partition. */
void pieces_recovered(struct engine *e);
/* A write of the key has left a sibling of which the clock knows nothing, or none. */
void pieces_note(struct engine *e, uint32_t partition, uint64_t hash, bool part);
/* The dot came with its whole state: the clock has it, or the one that was given up to a bad record
 * had it. */
bool pieces_whole(const struct partition *p, struct dot d);
/* A sibling of the state is here in part. */
bool pieces_in(const struct partition *p, const struct state *s);
/* Of a record that is to be lent, what is here whole. True in *hide: not the record is, but
 * *shown, which may be NULL: the key is absent. 0 or GT_ENOMEM. */
int pieces_hide(struct engine *e, uint32_t partition, struct slice key, struct slice record,
                bool *hide, struct blob **shown);
/* The scrub has met this record, and has been over the whole partition. */
int pieces_met(struct engine *e, uint32_t partition, struct slice key, struct slice record);
void pieces_read(struct engine *e, uint32_t partition);

/* ---- reap.c ---------------------------------------------------------------------------------- */

/* Reaps what these clocks, of all other owners, allow. Fills result->reaped and more; *lsn is when
 * it is durable, 0 when nothing was reaped. */
void engine_reap(struct engine *e, const struct store_request *r, struct partition *p,
                 const struct clock *clocks, uint32_t count, struct store_result *result,
                 uint64_t *lsn);

/* ---- lanes.c --------------------------------------------------------------------------------- */

/* A batch with this body fits the current segment or one that is ready. */
bool log_fits(const struct engine *e, uint64_t batch_bytes);
struct engine_job *log_job(struct engine *e);
#define SEGMENT_RETRY_US 2000000u
void seal_tick(struct engine *e);
/* Every two seconds a segment that could not be made is tried again, or found not to be wanted. */
void segment_tick(struct engine *e);
void log_job_run(struct engine_job *j);
void log_job_done(struct engine *e, struct engine_job *j);
struct engine_job *segment_job(struct engine *e);
void segment_job_run(struct engine_job *j);
void segment_job_done(struct engine *e, struct engine_job *j);
/* Live segments that hold log records above the applied LSN. */
uint32_t segments_live(const struct engine *e);
/* Remembers a segment's file; the number must be above all others. 0 or GT_ENOMEM. */
int segment_file_add(struct engine *e, uint64_t number, uint64_t bytes, enum segment_use use);
/* After a floor became durable: what lies before it is spare or dead. */
void segments_release(struct engine *e, uint64_t floor_segment);
/* The first segment that is needed to replay what is above `lsn`. */
uint64_t segments_floor(const struct engine *e, uint64_t lsn);
void body_clear(struct batch *b);

/* ---- checkpoint.c ---------------------------------------------------------------------------- */

/* Swaps the active overlay against an empty one and makes it the checkpoint's. False when one is
 * under way already, or memory is out (the next request tries again). */
bool checkpoint_freeze(struct engine *e);
bool checkpoint_due(const struct engine *e);
struct engine_job *checkpoint_job(struct engine *e);
void checkpoint_job_run(struct engine_job *j);
void checkpoint_job_done(struct engine *e, struct engine_job *j);
void checkpoint_tick(struct engine *e);
void checkpoint_close(struct engine *e);

/* ---- throttle.c ------------------------------------------------------------------------------ */

/* An overlay was frozen; a chunk of it begins; the chunk, of so many records, is durable. */
void throttle_begin(struct engine *e);
void throttle_chunk(struct engine *e);
void throttle_note(struct engine *e, uint32_t records);
/* Whether a state may enter the active overlay: 0; NO_ROOM; GT_ENOSPACE: there will be none. */
int throttle_room(struct engine *e);
void throttle_tick(struct engine *e);

/* ---- recover.c ------------------------------------------------------------------------------- */

/* The named value's place; with create a new empty one. NULL: absent, or METAS_MAX is reached. */
struct meta *engine_meta_find(struct engine *e, struct slice name, bool create);

#endif
