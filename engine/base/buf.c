#include "engine/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/error.h"

void buf_init(struct buf *b, size_t bytes_max)
{
    *b = (struct buf){.bytes_max = bytes_max};
}

void buf_close(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.bytes_max = b->bytes_max};
}

void buf_clear(struct buf *b)
{
    b->bytes = 0;
    b->failed = false;
}

int buf_reserve(struct buf *b, size_t more)
{
    if (b->failed)
        return GT_ELIMIT;
    if (more <= b->capacity - b->bytes)
        return 0;
    if (more > b->bytes_max || b->bytes > b->bytes_max - more) {
        b->failed = true;
        return GT_ELIMIT;
    }
    size_t capacity = b->capacity ? b->capacity : 64;
    while (capacity < b->bytes + more)
        capacity *= 2;
    if (capacity > b->bytes_max)
        capacity = b->bytes_max;
    uint8_t *data = realloc(b->data, capacity);
    if (!data) {
        b->failed = true;
        return GT_ENOMEM;
    }
    b->data = data;
    b->capacity = capacity;
    return 0;
}

void buf_put(struct buf *b, const void *data, size_t bytes)
{
    if (bytes == 0 || buf_reserve(b, bytes) != 0)
        return;
    memcpy(b->data + b->bytes, data, bytes);
    b->bytes += bytes;
}

void buf_zero(struct buf *b, size_t bytes)
{
    if (bytes == 0 || buf_reserve(b, bytes) != 0)
        return;
    memset(b->data + b->bytes, 0, bytes);
    b->bytes += bytes;
}

void buf_u8(struct buf *b, uint8_t v)
{
    buf_put(b, &v, 1);
}

void buf_u16(struct buf *b, uint16_t v)
{
    uint8_t raw[2];
    le16_put(raw, v);
    buf_put(b, raw, sizeof(raw));
}

void buf_u32(struct buf *b, uint32_t v)
{
    uint8_t raw[4];
    le32_put(raw, v);
    buf_put(b, raw, sizeof(raw));
}

void buf_u64(struct buf *b, uint64_t v)
{
    uint8_t raw[8];
    le64_put(raw, v);
    buf_put(b, raw, sizeof(raw));
}

void buf_varint(struct buf *b, uint64_t v)
{
    uint8_t raw[10];
    size_t n = 0;
    while (v >= 0x80) {
        raw[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    raw[n++] = (uint8_t)v;
    buf_put(b, raw, n);
}

void buf_bytes(struct buf *b, struct slice s)
{
    buf_varint(b, s.bytes);
    buf_put(b, s.data, s.bytes);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= sizeof(text)) {
        b->failed = true;
        return;
    }
    buf_put(b, text, (size_t)n);
}

struct blob *buf_blob(const struct buf *b)
{
    return b->failed ? NULL : blob_copy(b->data, b->bytes);
}

uint16_t read_u16(struct reader *r)
{
    struct slice s = read_raw(r, 2);
    return s.bytes ? le16_get(s.data) : 0;
}

uint32_t read_u32(struct reader *r)
{
    struct slice s = read_raw(r, 4);
    return s.bytes ? le32_get(s.data) : 0;
}

uint64_t read_u64(struct reader *r)
{
    struct slice s = read_raw(r, 8);
    return s.bytes ? le64_get(s.data) : 0;
}

uint64_t read_varint(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        struct slice s = read_raw(r, 1);
        if (!s.bytes)
            return 0;
        uint8_t byte = s.data[0];
        bool overflows = shift == 63 && byte > 1;
        bool overlong = byte == 0 && shift > 0;
        if (overflows || overlong)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return v;
    }
    r->failed = true;
    return 0;
}

struct slice read_bytes(struct reader *r)
{
    uint64_t bytes = read_varint(r);
    if (bytes > reader_left(r)) {
        r->failed = true;
        r->at = r->end;
        return slice_of(NULL, 0);
    }
    return read_raw(r, (size_t)bytes);
}
