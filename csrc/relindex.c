#include "deepcompress.h"

enum dc_status dc_decode_gaps(const uint8_t *gaps, size_t count, int64_t size,
                              int64_t *positions, size_t *at)
{
    int64_t position = -1;
    for (size_t i = 0; i < count; i++) {
        /* Written as a difference: size - position is never less than 1. */
        if (gaps[i] >= size - position - 1) {
            *at = i;
            return DC_BAD_POSITION;
        }
        position += gaps[i] + 1;
        positions[i] = position;
    }
    return DC_OK;
}
