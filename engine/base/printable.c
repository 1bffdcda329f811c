#include "engine/base/printable.h"

/* Bytes of the character that begins here and may be shown; 0 when there is none. */
static size_t shown_bytes(const uint8_t *at, size_t left)
{
    size_t bytes = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if (at[0] < 0x20 || at[0] == 0x7f || at[0] > 0xf4 || bytes == 0 || bytes > left)
        return 0;
    for (size_t i = 1; i < bytes; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if (at[0] == 0xc2 && at[1] < 0xa0) /* C1 */
        return 0;
    return bytes;
}

void printable(struct slice text, struct buf *out)
{
    for (size_t i = 0; i < text.bytes;) {
        size_t bytes = shown_bytes(text.data + i, text.bytes - i);
        if (bytes > 0)
            buf_put(out, text.data + i, bytes);
        else
            buf_printf(out, "\\x%02x", text.data[i]);
        i += bytes > 0 ? bytes : 1;
    }
}
