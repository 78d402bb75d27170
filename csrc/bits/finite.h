/* Whether floats are finite. */
#ifndef DC_FINITE_H
#define DC_FINITE_H

#include <stdint.h>
#include <string.h>

#include "platform.h"

/* As dc_all_finite, with the vectors of whoever calls it. */
DC_INLINE int all_finite(const float *x, size_t count)
{
    /* Without a branch, so that compilers make vectors of it. */
    uint32_t found = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        found |= (bits & 0x7f800000) == 0x7f800000;
    }
    return !found;
}

#endif
