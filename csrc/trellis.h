/* Which centroids a weight may have by those before it; `deepcompress/trellis.py` defines it. */
#ifndef DC_TRELLIS_H
#define DC_TRELLIS_H

#include <stdint.h>

enum { TRELLIS_STATES = 8, TRELLIS_START = 0 };

/* The state behind another, after an even number and after an odd one. */
static inline unsigned trellis_following(unsigned state, unsigned number)
{
    static const uint8_t following[TRELLIS_STATES][2] = {
        {0, 2}, {7, 5}, {1, 3}, {6, 4}, {2, 0}, {5, 7}, {3, 1}, {4, 6},
    };
    return following[state][number & 1];
}

#endif
