#include "deepcompress.h"

enum dc_status dc_decode_gaps(const uint8_t *gaps, size_t count, int64_t size,
                              int64_t *positions, size_t *at)
{
    int64_t left = size; /* elements after the last entry; no sum here exceeds `size` */
    for (size_t i = 0; i < count; i++) {
        if (gaps[i] >= left) {
            *at = i;
            return DC_BAD_POSITION;
        }
        left -= gaps[i] + 1;
        positions[i] = size - left - 1;
    }
    return DC_OK;
}
