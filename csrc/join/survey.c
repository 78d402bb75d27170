/* From the blocks of a file to the packed stream of a tensor. coding/join.py is the definition. */
#include "join/blocks.h"
#include "deepcompress.h"

enum dc_status dc_check_gaps(const uint8_t *gaps, size_t count, int64_t size, size_t *at)
{
    uint64_t sum = 0; /* of at most 2**56 gaps */
    for (size_t i = 0; i < count; i++)
        sum += gaps[i];
    if (sum + count <= (uint64_t)size)
        return DC_OK;
    uint64_t left = (uint64_t)size;
    size_t i = 0;
    for (; gaps[i] < left; i++)
        left -= gaps[i] + 1u;
    *at = i;
    return DC_BAD_POSITION;
}

#define SHORT 256 /* runs of zeros that are counted by their length */

int64_t dc_survey(const struct dc_block *blocks, size_t count, uint64_t *zeros, int64_t *fillers)
{
    /* Several counters, as the same one is wanted again before the processor has stored it. */
    uint64_t runs[4][SHORT] = {{0}}, sums[9] = {0};
    uint64_t since = *zeros, survivors = 0;
    for (size_t b = 0; b < count; b++) {
        const struct dc_block *block = &blocks[b];
        uint64_t left = (uint64_t)block->elements - block->count;
        for (size_t i = 0; i < block->count; i++)
            left -= block->gaps[i];
        for (size_t i = 0; (i = dc_find_survivor(block, i, &since)) < block->count; i++) {
            if (since < SHORT)
                runs[i % 4][since]++;
            else
                for (unsigned bits = 1; bits <= 8; bits++)
                    sums[bits] += since >> bits;
            survivors++;
            since = 0;
        }
        since += left;
    }
    *zeros = since;
    for (unsigned bits = 1; bits <= 8; bits++) {
        for (unsigned run = 0; run < SHORT; run++)
            sums[bits] +=
                (runs[0][run] + runs[1][run] + runs[2][run] + runs[3][run]) * (run >> bits);
        fillers[bits] = (int64_t)sums[bits];
    }
    fillers[0] = 0;
    return (int64_t)survivors;
}
