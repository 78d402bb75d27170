/* Kernels of planes for single instruction sets. */
#ifndef DC_PLANES_H
#define DC_PLANES_H

#include <stddef.h>
#include <stdint.h>

#include "platform.h"

#if DC_X86
/* As dc_merge_planes for the first words; returns how many, all but at most 31 of those of 2 or 4
 * bytes, none of others. */
size_t dc_merge_avx2(const uint8_t *const *planes, size_t count, unsigned word_bytes, int rotate,
                     uint8_t *words);
#endif

#endif
