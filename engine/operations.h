/*
 * The table of recent operations (RULES 10): which operation a superseded dot was the write of.
 *
 * A client that got no answer sends the same operation again. While its sibling is live the state
 * itself tells that the write has happened; once it is superseded only this table does. So a row is
 * noted when a sibling is superseded here, or when a message lists a dot that is superseded
 * already:
 *
 *   a dot that is in a partition's clock is either live here, or its operation is in the table, or
 *   the table no longer reaches back to it, and says so (operations_length_ms).
 *
 * Rows leave by age, ten minutes of the machine's hybrid clock after they were noted, and before
 * that when the table is full, oldest first. The table is one for the whole folder; it is durable
 * as a part of the partitions (engine.h): in the log record that noted a row, and in the index
 * value of its partition.
 *
 * BYTES of a row, in log, index and messages (OPERATION_BYTES each, one after the other):
 *    0  16 B  operation id
 *   16  u64   hash of the key
 *   24  24 B  dot: u64 node, u64 incarnation, u64 seq
 *   48  u64   stamp of the sibling
 *   56  u64   noted: hybrid clock of whoever noted it
 *   64  u8    outcome: 0 = written, the only one there is
 */
#ifndef GT_ENGINE_OPERATIONS_H
#define GT_ENGINE_OPERATIONS_H

#include "engine/version.h"

#define OPERATION_BYTES          65
#define OPERATIONS_KEEP_MS       600000u
#define OPERATIONS_BYTES_DEFAULT (32u << 20)

struct operation {
    uint8_t op[OP_ID_BYTES];
    uint64_t key_hash;
    struct dot dot;
    uint64_t stamp, noted;
};

static inline uint32_t operations_count(struct slice run)
{
    return (uint32_t)(run.bytes / OPERATION_BYTES);
}
struct operation operations_at(struct slice run, uint32_t i);
void operation_put(uint8_t at[OPERATION_BYTES], const struct operation *o);
/* Sixteen zero bytes are no operation. */
bool operation_none(const uint8_t op[OP_ID_BYTES]);

struct operation_row {
    struct operation operation;
    uint32_t partition;
    uint32_t next; /* younger one of the same partition */
};

/* The rows of one partition, oldest first. */
struct operation_chain {
    uint32_t first, last, count;
};

struct operations {
    struct operation_row *rows; /* a ring, oldest first */
    uint32_t head, count, capacity, count_max;
    uint32_t *places; /* by operation: open addressing over rows; 0 = free, else row + 1 */
    uint32_t place_count;
    struct operation_chain *chains; /* by partition */
    uint32_t chain_count;
    uint64_t floor; /* what was noted up to this stamp may be missing; 0 = nothing is */
    uint64_t noted; /* rows since the table was made: each has its number, from 0 */
    bool loading;   /* rows were loaded: until they are sorted none is found */
};

/* bytes_max bounds the memory of all rows and the table that finds them. */
void operations_init(struct operations *t, uint64_t bytes_max);
void operations_close(struct operations *t);
/* Notes a row, unless the operation of this key is noted already. Cannot fail: when the table is
 * full or memory is out, the oldest leaves (or this one is not taken) and the floor says so. */
void operations_note(struct operations *t, uint32_t partition, const struct operation *o);
/* The same; where it is noted already its stamp is raised to this one. False: it was so high. */
bool operations_raise(struct operations *t, uint32_t partition, const struct operation *o);
/* NULL: not noted. Valid until the next call that changes the table. */
const struct operation *operations_find(const struct operations *t, uint32_t partition,
                                        uint64_t key_hash, const uint8_t op[OP_ID_BYTES]);
/* Drops what is older than OPERATIONS_KEEP_MS at `now`, a hybrid stamp. */
void operations_age(struct operations *t, uint64_t now);
/* What was noted up to this stamp may be missing. */
void operations_floor_raise(struct operations *t, uint64_t stamp);
/* How far back the table surely reaches: OPERATIONS_KEEP_MS at most. */
uint64_t operations_length_ms(const struct operations *t, uint64_t now);
/* Memory held. */
uint64_t operations_bytes(const struct operations *t);
/* Rows of a partition, and the bytes of those with a number below `before` (operations.noted of
 * some moment; OPERATIONS_ALL) appended; a failure marks out. */
#define OPERATIONS_ALL UINT64_MAX
uint32_t operations_of_partition(const struct operations *t, uint32_t partition);
void operations_encode(const struct operations *t, uint32_t partition, uint64_t before,
                       struct buf *out);
/* A folder is opened: rows of other partitions, or others of this one, each of them once, in no
 * order. Then operations_sort: oldest first, and each is found. */
void operations_load(struct operations *t, uint32_t partition, const struct operation *o);
void operations_sort(struct operations *t);

#endif
