/*
 * The write-ahead log: segments, batches, and the walk that recovers them. It is the commit point.
 *
 * SEGMENT  wal/%016x.wal (its number in hexadecimal, from 1). Written once with real zeros to its
 * full size under another name, synced, renamed, the folder synced, and only then used; later its
 * file is used again under a new number. Integers are little-endian.
 *
 *   0   8  magic "GTSWAL\r\n"
 *   8   4  format, 1
 *   12  4  header bytes, 4096
 *   16  8  segment number; must equal the one in the file's name
 *   24  8  salt, random
 *   32  8  segment bytes, the whole file, a multiple of 4096
 *   40  4  CRC32C of bytes 0..39
 *   44     zeros to 4096
 *
 * BATCH  one group commit: one write, one sync. It starts on a 4096-byte boundary and is padded
 * with zeros to the next.
 *
 *   0   4  magic "GTB1"
 *   4   2  format, 1
 *   6   2  flags: 1 CLOSE (clean stop: nothing follows), 2 SEAL (empty, proves the one before)
 *   8   4  body bytes
 *   12  4  records
 *   16  8  first LSN: records are numbered one by one over the life of the log, from 1
 *   24  8  salt of the segment
 *   32  8  segment number
 *   40  4  CRC32C of the previous batch's header (0 for the very first)
 *   44  4  CRC32C of the body
 *   48  8  offset of this batch in the segment
 *   56  4  reserved, 0
 *   60  4  CRC32C of bytes 0..59
 *   64     body
 *
 * A batch is valid if and only if magic, format, both checksums, salt, segment number and offset
 * are right and its body ends inside the segment. A stale batch of an earlier use of the file has
 * another salt. The next batch is issued after the sync of this one returned, so only the last
 * batch of a log can be torn. A log that is idle for 5 ms gets a SEAL: no records, its first LSN
 * that of the next record, in the chain like any other. With it a bad batch before it is not the
 * last, so it is damage and no unproven tail. Earlier versions wrote none, and read it as a batch
 * without records.
 *
 * BODY  records, each: u8 type, varint length, payload. Types 128..255 may be skipped by a reader
 * that does not know them; an unknown type below 128 is refused as a newer format (GT_EFORMAT).
 * Types and payloads stand in engine.h; the log does not look inside.
 *
 * RECOVERY (wal_recover) takes the segments in order of number from `floor_segment` on, older ones
 * unread; drops their page cache; walks batches from offset 4096; a batch whose LSN or chain does
 * not continue the one before is treated as bad. At the first bad place of a segment it looks on,
 * block by block, for a valid later batch, there and in later segments: one that is found, or a
 * CLOSE mark, means corruption in the middle (the lost range is reported, valid records go on being
 * delivered in order); none means an unproven tail. A later batch that continues LSN and chain of
 * the last one before the bad place proves that nothing was lost there: no damage (a torn batch
 * that an earlier recovery cut off, or a bad SEAL: what its header was follows from its place, so
 * the chain is known behind it). Damage that no torn write explains (a missing file, a bad header,
 * a file cut short) is corruption in the middle even when nothing follows. Loss among records that
 * are applied already is none. Records are delivered in LSN order. What was read is synced before
 * wal_recover returns, since a valid batch may not have been synced when the process died.
 *
 * In a new segment every byte behind the last batch is zero, so whatever is not is a tail. In a
 * recycled one left overs of its earlier use lie there, which only the header of a batch of this
 * use tells from a tail; a last batch whose first sector is wholly destroyed is not seen there.
 *
 * The log goes on in a NEW segment, last_segment + 1 (a number left out looks like a lost file),
 * with LSN last_lsn + 1 (or the applied LSN + 1 when that is higher) and with the chain of the
 * report: never behind a tail.
 */
#ifndef GT_ENGINE_WAL_H
#define GT_ENGINE_WAL_H

#include "engine/base/buf.h"
#include "engine/base/mutant.h"
#include "engine/disk.h"

#define WAL_BLOCK                 4096u
#define WAL_BATCH_HEADER          64u
#define WAL_SEGMENT_BYTES_MIN     (64u << 10)
#define WAL_SEGMENT_BYTES_DEFAULT (64u << 20)

/* Where a batch may start. */
#define WAL_STEP (MUTANT(batch_unaligned) ? 512u : WAL_BLOCK)

enum wal_batch_flag { WAL_CLOSE = 1, WAL_SEAL = 2 };

/* The name of a segment's file. Returns name. */
const char *wal_segment_name(uint64_t number, char name[DISK_NAME_BYTES]);
/* The number in a file's name (without folder): 0, or GT_EARG when it is no segment. */
int wal_segment_number(const char *file_name, uint64_t *number);

struct wal_segment {
    uint64_t number, salt, bytes;
    struct disk_file *file; /* open */
};

/*
 * Makes segment `number` ready to use: from the file of the old segment `recycle` (0 = none; below
 * the floor; when it is absent or shorter than `bytes` it is removed and a new file is written), or
 * a new file of `bytes` zeros. `bytes` is a multiple of WAL_BLOCK, at least WAL_SEGMENT_BYTES_MIN;
 * out->bytes may be more. The folder wal/ exists (wal_recover makes it). On failure no file of that
 * number exists, as far as it can still be removed. Blocking; for a helper thread.
 * 0, GT_ENOSPACE, GT_EIO, GT_ENOMEM.
 */
int wal_segment_make(struct disk *d, uint64_t number, uint64_t bytes, uint64_t salt,
                     uint64_t recycle, struct wal_segment *out);
void wal_segment_close(struct disk *d, struct wal_segment *s);

/* A record's bytes in a body with this payload. */
size_t wal_record_bytes(size_t payload_bytes);
void wal_record_begin(struct buf *body, uint8_t type, size_t payload_bytes); /* payload follows */
/* The place a batch with this body takes, padded. */
static inline uint64_t wal_batch_bytes(size_t body_bytes)
{
    return (WAL_BATCH_HEADER + (uint64_t)body_bytes + WAL_STEP - 1) / WAL_STEP * WAL_STEP;
}

/*
 * Builds a batch in place: `body` must start with WAL_BATCH_HEADER bytes kept free for the header
 * (wal_body_init does that; its bytes_max counts the body alone), and is padded to a multiple of
 * WAL_BLOCK. *chain is the previous header's checksum and becomes this one's. 0 or GT_ENOMEM.
 */
void wal_body_init(struct buf *body, size_t bytes_max);
int wal_batch_seal(struct buf *body, uint16_t flags, uint32_t records, uint64_t first_lsn,
                   const struct wal_segment *segment, uint64_t offset, uint32_t *chain);

struct wal_report {
    uint64_t segments, batches, records; /* read, also those up to applied_lsn */
    uint64_t first_lsn;                  /* of the first record read; 0 when none */
    uint64_t last_lsn; /* the highest that the log shows was given out, lost ones too; 0: none */
    uint64_t last_segment; /* highest number found, 0 when none */
    uint32_t chain;        /* for the next batch */
    bool clean;            /* the last batch was a CLOSE mark */
    bool tail;             /* unproven tail: bytes of a batch that is not whole */
    uint64_t tail_segment, tail_offset;
    bool middle;                            /* corruption in the middle */
    uint64_t lost_first_lsn, lost_last_lsn; /* hull of the lost ranges; 0 when not known or none */
};

struct wal_record {
    uint64_t lsn;
    uint8_t type;
    struct slice payload; /* borrowed during the call */
};

/*
 * Drops the page cache of the segments from floor_segment on, and begins to read them: so the
 * medium is at work while its caller does something else, and wal_recover is told that it is
 * `dropped` already. 0, GT_EIO, GT_ENOMEM, GT_EDESCRIPTORS.
 */
int wal_read_ahead(struct disk *d, uint64_t floor_segment);

/*
 * See RECOVERY above. Records with lsn <= applied_lsn are counted but not delivered. deliver's
 * non-zero result ends the walk and is returned. 0 (also with a damaged log: see report),
 * GT_EFORMAT (a newer segment or batch format), GT_EIO, GT_ENOMEM.
 */
int wal_recover(struct disk *d, struct log *log, uint64_t floor_segment, uint64_t applied_lsn,
                bool dropped, int (*deliver)(void *arg, const struct wal_record *r), void *arg,
                struct wal_report *report);

#endif
