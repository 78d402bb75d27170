/* From the blocks of a file to the packed stream of a tensor. blocks.py is the definition. */
#include <string.h>

#include "bitreader.h"
#include "deepcompress.h"

/* The first eight of `left` bytes, or all of them. */
static uint64_t load_up_to_8(const uint8_t *p, size_t left)
{
    uint64_t word = 0;
    if (left >= 8)
        return dc_load8(p);
    for (size_t k = 0; k < left; k++)
        word |= (uint64_t)p[k] << (8 * k);
    return word;
}

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

size_t dc_count_bits(const uint8_t *bytes, size_t size)
{
    size_t total = 0;
    for (size_t at = 0; at < size; at += 8) {
        uint64_t word = load_up_to_8(bytes + at, size - at);
        word -= word >> 1 & 0x5555555555555555u;
        word = (word & 0x3333333333333333u) + (word >> 2 & 0x3333333333333333u);
        word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu;
        total += word * 0x0101010101010101u >> 56;
    }
    return total;
}

/* Where entries are written, and the zeros since the last one. */
struct writer {
    uint8_t *labels, *gaps;
    size_t count;
    int64_t last;
};

static inline void write_entry(struct writer *to, int64_t position, uint8_t label)
{
    int64_t zeros = position - to->last - 1;
    for (; zeros > 255; zeros -= 256, to->count++) {
        to->labels[to->count] = 0;
        to->gaps[to->count] = 255;
    }
    to->labels[to->count] = label;
    to->gaps[to->count++] = (uint8_t)zeros;
    to->last = position;
}

static unsigned lowest_bit(uint64_t word)
{
#if defined(__GNUC__)
    return (unsigned)__builtin_ctzll(word);
#else
    unsigned bit = 0;
    for (; !(word >> bit & 1); bit++)
        ;
    return bit;
#endif
}

size_t dc_mask_entries(const uint8_t *mask, const uint8_t *less_one, size_t elements,
                       uint8_t *labels, uint8_t *gaps)
{
    const size_t bytes = (elements + 7) / 8;
    size_t count = 0, labelled = 0; /* entries that have their gap, and their label */
    size_t end = 0;                 /* of the last one */
    /* Gaps run ahead of labels, which the compiler takes many at once. */
    for (size_t byte = 0; byte < bytes; byte += 8) {
        uint64_t word = load_up_to_8(mask + byte, bytes - byte);
        for (; word; word &= word - 1) {
            const size_t position = 8 * byte + lowest_bit(word);
            size_t zeros = position - end;
            end = position + 1;
            if (zeros > 255) {
                for (; labelled < count; labelled++)
                    labels[labelled] = (uint8_t)(*less_one++ + 1);
                for (; zeros > 255; zeros -= 256, labelled++) {
                    labels[labelled] = 0;
                    gaps[count++] = 255;
                }
            }
            gaps[count++] = (uint8_t)zeros;
        }
    }
    for (; labelled < count; labelled++)
        labels[labelled] = (uint8_t)(*less_one++ + 1);
    return count;
}

size_t dc_dense_entries(const uint8_t *all, size_t elements, uint8_t *labels, uint8_t *gaps)
{
    struct writer to = {labels, gaps, 0, -1};
    for (size_t i = 0; i < elements; i++)
        if (all[i])
            write_entry(&to, (int64_t)i, all[i]);
    return to.count;
}

#define SHORT 256 /* runs of zeros that are counted by their length */

int64_t dc_survey(const struct dc_block *blocks, size_t count, int64_t *fillers)
{
    /* Several counters, as the same one is wanted again before the processor has stored it. */
    uint64_t runs[4][SHORT] = {{0}}, sums[9] = {0};
    uint64_t zeros = 0, survivors = 0;
    for (size_t b = 0; b < count; b++) {
        const struct dc_block *block = &blocks[b];
        uint64_t left = (uint64_t)block->elements;
        for (size_t i = 0; i < block->count; i++) {
            left -= block->gaps[i] + 1u;
            zeros += block->gaps[i];
            if (!block->labels[i]) {
                zeros++;
                continue;
            }
            if (zeros < SHORT)
                runs[i % 4][zeros]++;
            else
                for (unsigned bits = 1; bits <= 8; bits++)
                    sums[bits] += zeros >> bits;
            survivors++;
            zeros = 0;
        }
        zeros += left;
    }
    for (unsigned bits = 1; bits <= 8; bits++) {
        for (unsigned run = 0; run < SHORT; run++)
            sums[bits] +=
                (runs[0][run] + runs[1][run] + runs[2][run] + runs[3][run]) * (run >> bits);
        fillers[bits] = (int64_t)sums[bits];
    }
    fillers[0] = 0;
    return (int64_t)survivors;
}
