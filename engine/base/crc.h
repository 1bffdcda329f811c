/* CRC32C (Castagnoli), as used by iSCSI: crc_update(0, "123456789", 9) is 0xe3069283. */
#ifndef GT_ENGINE_BASE_CRC_H
#define GT_ENGINE_BASE_CRC_H

#include "engine/base/blob.h"

/* The checksum of the bytes seen so far followed by these; start with 0. */
uint32_t crc_update(uint32_t crc, const void *data, size_t bytes);

#endif
