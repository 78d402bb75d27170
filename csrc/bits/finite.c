/* Whether floats are finite. */
#include <string.h>

#include "deepcompress.h"

int dc_all_finite(const float *x, size_t count)
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
