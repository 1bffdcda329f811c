#include "engine/base/crc.h"

#include <isa-l/crc.h>

uint32_t crc_update(uint32_t crc, const void *data, size_t bytes)
{
    /* libisal takes an int length and neither inverts before nor after. */
    const uint8_t *at = data;
    crc = ~crc;
    while (bytes > 0) {
        size_t part = bytes < (1u << 30) ? bytes : (1u << 30);
        crc = crc32_iscsi((unsigned char *)at, (int)part, crc);
        at += part;
        bytes -= part;
    }
    return ~crc;
}
