#include "engine/base/base64.h"

#include "engine/base/error.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(struct slice s, const char *alphabet, bool padded, struct buf *out)
{
    for (size_t i = 0; i < s.bytes; i += 3) {
        size_t left = s.bytes - i;
        uint32_t group = (uint32_t)s.data[i] << 16;
        if (left > 1)
            group |= (uint32_t)s.data[i + 1] << 8;
        if (left > 2)
            group |= s.data[i + 2];
        buf_u8(out, (uint8_t)alphabet[group >> 18]);
        buf_u8(out, (uint8_t)alphabet[group >> 12 & 63]);
        if (left > 1)
            buf_u8(out, (uint8_t)alphabet[group >> 6 & 63]);
        else if (padded)
            buf_u8(out, '=');
        if (left > 2)
            buf_u8(out, (uint8_t)alphabet[group & 63]);
        else if (padded)
            buf_u8(out, '=');
    }
}

void base64_encode(struct slice bytes, struct buf *out)
{
    encode(bytes, standard, true, out);
}

void base64url_encode(struct slice bytes, struct buf *out)
{
    encode(bytes, url_safe, false, out);
}

static int sextet(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

int base64_decode(struct slice text, struct buf *out)
{
    size_t bytes = text.bytes;
    if (bytes && bytes % 4 == 0 && text.data[bytes - 1] == '=')
        bytes -= text.data[bytes - 2] == '=' ? 2 : 1;
    if (bytes % 4 == 1)
        return GT_EARG;
    uint32_t group = 0, last_bits = 0;
    for (size_t i = 0; i < bytes; i++) {
        int six = sextet(text.data[i]);
        if (six < 0)
            return GT_EARG;
        last_bits = (uint32_t)six;
    }
    if ((bytes % 4 == 2 && last_bits & 15) || (bytes % 4 == 3 && last_bits & 3))
        return GT_EARG;
    int error = buf_reserve(out, bytes / 4 * 3 + 2);
    if (error)
        return error;
    uint32_t bits = 0;
    for (size_t i = 0; i < bytes; i++) {
        group = group << 6 | (uint32_t)sextet(text.data[i]);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            buf_u8(out, (uint8_t)(group >> bits));
        }
    }
    return 0; /* the room was there */
}
