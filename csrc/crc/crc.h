/* CRCs for other kernels. */
#ifndef DC_CRC_H
#define DC_CRC_H

#include "deepcompress.h"

/* The CRC-32 of zlib of all data, continued from `crc`. */
uint32_t dc_crc32_of(enum dc_isa isa, const uint8_t *data, size_t size, uint32_t crc);

#endif
