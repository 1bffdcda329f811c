/*
 * One key's state as bytes: on the wire, in the log and in the index the same, so that the checksum
 * made where the state was made is verified at every read everywhere.
 *
 *   0  u32     CRC32C over partition (u16 LE), key bytes, and all bytes from offset 4
 *   4  u8      format, 1; another number is refused with GT_EFORMAT
 *   5  varint  actors a; then a x { u64 node, u64 incarnation }, ascending: the actors used below
 *      varint  vector entries; each { varint actor index, varint seq }, ascending
 *      varint  exact dots; each { varint actor index, varint seq }, ascending; the dots of live
 *              siblings are not repeated here
 *      varint  siblings; ascending by dot, each:
 *                u8 flags (enum sibling_flag), varint actor index, varint seq, u64 stamp,
 *                16 B operation id,
 *                when EXPIRES: varint expires_at_ms, varint actor index, varint seq,
 *                unless TOMBSTONE or ELIDED: varint value length, value bytes
 *      when a sibling was minted by a retry, or the history names operations (version.h):
 *        varint retried siblings; each varint its place in the list above, ascending
 *        varint operations; each { 16 B operation id, u64 stamp }, ascending by id
 *      when a sibling was stored again, or something below follows, behind those two:
 *        varint siblings stored again; each varint its place, ascending
 *      when an operation was superseded by what is later than itself, or lives are closed in the
 *      history, behind those three:
 *        u64 for each operation above: the highest stamp of what superseded it
 *      when lives are closed in the history, behind those four:
 *        varint nodes; each { u64 node, u64 its lives up to this one }, ascending by node; no
 *        dot above is of such a life
 *      ...     unknown trailing bytes are ignored (and covered by the checksum)
 *
 * The bytes are canonical: equal states encode to equal bytes. A plain 100-byte value written once
 * costs at most 64 bytes on top of key and value.
 */
#ifndef GT_ENGINE_RECORD_H
#define GT_ENGINE_RECORD_H

#include "engine/version.h"

#define RECORD_FORMAT 1
/* Bounds for decoding what others wrote; far above what a coordinator mints (RULES 13). */
#define RECORD_ACTORS_MAX 65536
#define RECORD_DOTS_MAX   (1u << 20)

/* Appends the record; the absent state is no bytes. s must be in normal form. 0, GT_ENOMEM,
 * GT_ELIMIT (bound of out). */
int record_encode(const struct state *s, uint32_t partition, struct slice key, struct buf *out);
/* As a blob of exactly the record's bytes. */
int record_encode_blob(const struct state *s, uint32_t partition, struct slice key,
                       struct blob **out);
/* Verifies the checksum and decodes; values borrow from bytes. 0; GT_ECORRUPT for a bad checksum or
 * a malformed record; GT_EFORMAT; GT_ENOMEM. An empty slice decodes to the absent state. */
int record_decode(struct slice bytes, uint32_t partition, struct slice key, struct state *out);
/* Verifies the checksum alone. 0 or GT_ECORRUPT. */
int record_verify(struct slice bytes, uint32_t partition, struct slice key);
/* And whether it is of a format that this program knows: also GT_EFORMAT. Then it is whole, of a
 * newer version, and no more is known of its key than of a damaged one's. */
int record_known(struct slice bytes, uint32_t partition, struct slice key);
/* What partitions count and sum (RULES 16): XXH64 of the record's bytes. */
uint64_t record_digest(struct slice bytes);

/* A history alone, in the layout above (actor table, vector, exact dots; the operations when it
 * names any or closes lives; those): contexts use it. 0, or out has failed: GT_ELIMIT (bound of
 * out), GT_ENOMEM. */
int history_encode(const struct history *h, struct buf *out);
int history_decode(struct reader *r, struct history *out); /* 0, GT_ECORRUPT, GT_ENOMEM */

/*
 * Pieces of a state whose record is over bytes_max (RULES 13): each but the last holds some
 * siblings and the history of just their dots; the last holds the whole history and every sibling,
 * those of earlier pieces ELIDED. Merging the pieces in order equals merging the whole, when a
 * sender's clock (of a pull) is given with the last piece alone, since it speaks of the whole
 * state. Calls `piece` for each, in order, with a state valid during the call; stops at its first
 * non-zero result and returns it. A single value over bytes_max still goes alone in one piece.
 */
int record_pieces(const struct state *s, size_t bytes_max,
                  int (*piece)(void *arg, const struct state *part, bool last), void *arg);

#endif
