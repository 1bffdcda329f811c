/*
 * The values of the index as bytes: partitions, named values, identity, the applied mark; and the
 * log's record of a state. Layouts are drawn in engine.h under INDEX VALUES and LOG RECORDS.
 * Decoding verifies the checksum; damaged bytes are GT_ECORRUPT, another format number is
 * GT_EFORMAT.
 */
#ifndef GT_ENGINE_VALUES_H
#define GT_ENGINE_VALUES_H

#include "engine/engine.h"
#include "engine/operations.h"
#include "engine/overlay.h"

/* Types of log records. */
#define LOG_STATE        1
#define LOG_META         2
#define LOG_DROP         3
#define LOG_REAP         4
#define LOG_CLOCK        5
#define LOG_FILL         6
#define LOG_PARCEL       8
#define LOG_OPTIONAL_MIN 128 /* types from here on may be skipped by who does not know them */

#define STAMP_BYTES 8 /* behind what both begin with */
/* The field of 8 bytes at the end of what was read; 0 when an earlier version wrote none. */
uint64_t read_u64_or_zero(struct reader *r);

#define ROLE_BYTES_MAX 32 /* with the final NUL */

/* The key of a record in INDEX_DATA. Returns a slice of `at`. */
struct slice index_data_key(uint8_t at[INDEX_KEY_BYTES_MAX], uint32_t partition, uint64_t hash,
                            struct slice key);
/* Takes it apart: 0, or GT_ECORRUPT when it is none. */
int index_data_key_split(struct slice index_key, uint32_t *partition, uint64_t *hash,
                         struct slice *key);
struct slice index_partition_key(uint8_t at[2], uint32_t partition);

/* A STATE or REAP record of the log, taken apart; slices borrow from the payload. */
struct state_record {
    uint32_t partition;
    struct slice key, dots, record;
    struct presence previous;
    uint64_t stamp;          /* of the request */
    struct slice operations; /* rows that it noted (operations.h) */
    bool unnoted;            /* an earlier version wrote it, which noted none */
    bool reaped;             /* nothing stands for the key any more */
};
int state_record_decode(const struct wal_record *r, struct state_record *s); /* 0, GT_ECORRUPT */

/* What a partition counts about its records (RULES 16). */
struct counts {
    uint64_t records, live, bytes, digest_sum;
};
/* One record takes the place of another. */
void counts_replace(struct counts *c, size_t key_bytes, const struct presence *from,
                    const struct presence *to);
bool counts_equal(const struct counts *a, const struct counts *b);

/* What a partition's value holds of the table of recent operations. */
struct partition_operations {
    bool written;     /* false: an earlier version wrote the value, which knew of none */
    uint64_t floor;   /* of the table when it was written */
    struct slice run; /* rows, oldest first; borrowed */
};

/* What a partition remembers of its filling (RULES 7, 15, 16); engine.h has the bytes. */
struct fill {
    uint64_t generation;  /* of the folder, up to which it was filled */
    uint8_t reason;       /* its own: 0, or enum fill_reason */
    struct blob *sources; /* owners pulled from whole since, a run of u64; NULL: nobody is owed */
    struct clock doubt;   /* the clock that was given up with a bad record */
    struct blob *cursor;  /* how far a pull has come, as its owner wrote it; NULL: none is kept */
    uint64_t number;      /* how often it began because of a bad record */
};
void fill_init(struct fill *f);
void fill_close(struct fill *f);
/* As of a partition that never filled. */
bool fill_nothing(const struct fill *f);
void fill_encode(const struct fill *f, struct buf *out);
int fill_decode(struct slice bytes, struct fill *f); /* 0, GT_ECORRUPT, GT_ENOMEM */

/*
 * The value is made in two steps, since the rows of operations are many: what stands at one moment
 * is taken down at once, and the rows that were there then are put in later, a few partitions at a
 * time. Those that left the table meanwhile are missing, and the floor of the table says so.
 * Appends; a failure marks out.
 */
void partition_state_encode(uint64_t lsn, const struct counts *counts, const struct clock *clock,
                            const struct clock *floor, const struct fill *fill, struct buf *out);
/* state: what the first step appended. The rows are those with a number below `before`. */
void partition_value_encode(struct slice state, const struct operations *operations,
                            uint32_t partition, uint64_t before, struct buf *out);
/* clock, floor (of the dot log) and fill are initialised by the caller; operations borrows from the
 * value. 0, GT_ECORRUPT, GT_EFORMAT, GT_ENOMEM. */
int partition_value_decode(struct slice value, uint64_t *lsn, struct counts *counts,
                           struct clock *clock, struct clock *floor,
                           struct partition_operations *operations, struct fill *fill);

/* A FILL record of the log, taken apart; the fill's bytes borrow from the payload. */
struct fill_record {
    uint32_t partition;
    struct slice fill;
    bool cleared, counted;
    struct counts counts;
    uint64_t stamp;
};
void fill_record_encode(const struct fill_record *f, struct buf *out);
int fill_record_decode(struct slice payload, struct fill_record *f); /* 0 or GT_ECORRUPT */

/* A named value: checksum and format around the bytes. */
void meta_value_encode(struct slice name, struct slice bytes, struct buf *out);
int meta_value_decode(struct slice name, struct slice value, struct slice *bytes);

struct identity_value {
    uint64_t node_id, incarnation, previous_incarnation;
    uint8_t cluster_id[16], boot_id[16];
    char role[ROLE_BYTES_MAX];
    struct engine_damage damage;
    bool log_made;            /* wal/ has held a segment ever since, or the log was lost */
    uint64_t fill_generation; /* the life in which the last loss was found; 0: none ever was */
    uint8_t fill_flags;       /* enum fill_flag */
    struct lives lives;       /* the two above among them */
    uint32_t
        folder_format; /* FOLDER_FORMAT of the program that wrote it; earlier ones wrote none */
    char version[VERSION_BYTES_MAX]; /* of that program; empty: of an earlier one */
};
enum fill_flag {
    FILL_LOST = 1, /* and not only an end of the log that cannot be proved */
    FILL_OPEN = 2  /* a partition that this node owns may still be behind */
};
void identity_encode(const struct identity_value *v, struct buf *out);
int identity_decode(struct slice bytes, struct identity_value *v);

struct applied_value {
    uint64_t lsn;           /* all records up to here are in the index */
    uint64_t floor_segment; /* the log before it is not needed */
    uint32_t chain;         /* of the newest batch known when this was written */
    uint64_t highest_lsn;   /* durable in the log when this was written, so never given out again */
    uint64_t stamp_max;     /* engine_stamp_max */
};
void applied_encode(const struct applied_value *v, struct buf *out);
int applied_decode(struct slice bytes, struct applied_value *v);

#endif
