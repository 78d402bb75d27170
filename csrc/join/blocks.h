/* What goes through the entries of a block. */
#ifndef DC_BLOCKS_H
#define DC_BLOCKS_H

#include "deepcompress.h"

/* The first survivor from entry `i` on, or how many entries there are. Adds the zeros that are
 * passed, between and in the place of fillers, to *zeros. */
static inline size_t dc_find_survivor(const struct dc_block *block, size_t i, uint64_t *zeros)
{
    uint64_t passed = *zeros;
    for (; i < block->count; i++) {
        passed += block->gaps[i];
        if (block->labels[i])
            break;
        passed++;
    }
    *zeros = passed;
    return i;
}

#endif
