/*
 * A byte writer and a byte reader.
 *
 * struct buf grows up to a bound named at its birth; a write past the bound or out of memory marks
 * it failed and drops the write, so that a caller may write many fields and check once at the end.
 * struct reader walks borrowed bytes; a read past the end marks it failed and yields zero.
 * Integers are little-endian; varints are LEB128 (7 bits a byte, low group first, at most 10
 * bytes, and the shortest form is the only one accepted).
 */
#ifndef GT_ENGINE_BASE_BUF_H
#define GT_ENGINE_BASE_BUF_H

#include "engine/base/blob.h"

struct buf {
    uint8_t *data;
    size_t bytes, capacity, bytes_max;
    bool failed;
};

/* An empty buffer that may grow to bytes_max. Allocates nothing. */
void buf_init(struct buf *b, size_t bytes_max);
void buf_close(struct buf *b);
/* Forgets the content and the failure, keeps the memory. */
void buf_clear(struct buf *b);
/* 0, or GT_ELIMIT over the bound, or GT_ENOMEM: whether `more` bytes can be appended. Also marks.
 */
int buf_reserve(struct buf *b, size_t more);
void buf_put(struct buf *b, const void *data, size_t bytes);
void buf_zero(struct buf *b, size_t bytes);
void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v);
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
void buf_varint(struct buf *b, uint64_t v);
/* A varint length, then the bytes. */
void buf_bytes(struct buf *b, struct slice s);
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *b, const char *format, ...);
static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->data, b->bytes);
}
/* A blob with a copy of the content; NULL when the buffer failed or memory is out. */
struct blob *buf_blob(const struct buf *b);

struct reader {
    const uint8_t *at, *end;
    bool failed;
};

static inline struct reader reader_of(struct slice s)
{
    return (struct reader){s.data, s.data ? s.data + s.bytes : s.data, false};
}
static inline size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}
/* The next `bytes` bytes, borrowed; empty and failed when fewer remain. Here, since all that is
 * decoded passes through it. */
static inline struct slice read_raw(struct reader *r, size_t bytes)
{
    if (r->failed || bytes > reader_left(r)) {
        r->failed = true;
        r->at = r->end;
        return slice_of(NULL, 0);
    }
    struct slice s = slice_of(r->at, bytes);
    r->at += bytes;
    return s;
}
static inline uint8_t read_u8(struct reader *r)
{
    struct slice s = read_raw(r, 1);
    return s.bytes ? s.data[0] : 0;
}
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
uint64_t read_varint(struct reader *r);
/* A varint length and that many bytes, borrowed. */
struct slice read_bytes(struct reader *r);

/* Little-endian and big-endian integers at a place in memory. Big-endian is for index keys alone,
 * where byte order must be number order. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LITTLE(bits, v) (v)
#define BIG(bits, v)    __builtin_bswap##bits(v)
#else
#define LITTLE(bits, v) __builtin_bswap##bits(v)
#define BIG(bits, v)    (v)
#endif

/* One unaligned load or store each; a loop over the bytes would stay a loop. */
#define INTEGER_AT(name, bits, ORDER)                                                              \
    static inline void name##_put(void *at, uint##bits##_t v)                                      \
    {                                                                                              \
        uint##bits##_t raw = ORDER(bits, v);                                                       \
        memcpy(at, &raw, sizeof(raw));                                                             \
    }                                                                                              \
    static inline uint##bits##_t name##_get(const void *at)                                        \
    {                                                                                              \
        uint##bits##_t v;                                                                          \
        memcpy(&v, at, sizeof(v));                                                                 \
        return ORDER(bits, v);                                                                     \
    }
INTEGER_AT(le16, 16, LITTLE)
INTEGER_AT(le32, 32, LITTLE)
INTEGER_AT(le64, 64, LITTLE)
INTEGER_AT(be16, 16, BIG)
INTEGER_AT(be64, 64, BIG)
#undef INTEGER_AT
#undef LITTLE
#undef BIG

#endif
