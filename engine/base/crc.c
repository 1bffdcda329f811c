#include "engine/base/crc.h"

#include <isa-l/crc.h>

#include "engine/base/buf.h"

/*
 * libisal is fast for long runs, and takes as long for a byte as for a hundred. The checksum of a
 * small record is mostly what that costs, so a short run goes through the processor's own
 * instruction, where it has one.
 */
#if defined(__x86_64__)
#define SHORT_BYTES 256u

__attribute__((target("sse4.2"))) static uint32_t crc_short(uint32_t crc, const uint8_t *at,
                                                            size_t bytes)
{
    uint64_t wide = crc;
    for (; bytes >= 8; at += 8, bytes -= 8)
        wide = __builtin_ia32_crc32di(wide, le64_get(at));
    crc = (uint32_t)wide;
    for (; bytes > 0; at++, bytes--)
        crc = __builtin_ia32_crc32qi(crc, *at);
    return crc;
}

#endif

uint32_t crc_update(uint32_t crc, const void *data, size_t bytes)
{
    const uint8_t *at = data;
#if defined(__x86_64__)
    if (bytes <= SHORT_BYTES && __builtin_cpu_supports("sse4.2"))
        return ~crc_short(~crc, at, bytes);
#endif
    /* libisal takes an int length and neither inverts before nor after. */
    crc = ~crc;
    while (bytes > 0) {
        size_t part = bytes < (1u << 30) ? bytes : (1u << 30);
        crc = crc32_iscsi((unsigned char *)at, (int)part, crc);
        at += part;
        bytes -= part;
    }
    return ~crc;
}
