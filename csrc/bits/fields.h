/* Eight packed values of b bits each in a word, all at once. */
#ifndef DC_FIELDS_H
#define DC_FIELDS_H

#include <stdint.h>

/* The lowest bit of each of `count` fields. */
static inline uint64_t dc_field_ones(unsigned count, unsigned bits)
{
    uint64_t ones = 0;
    for (unsigned k = 0; k < count; k++)
        ones |= (uint64_t)1 << k * bits;
    return ones;
}

/* Not 0 if any of the fields is 0: the lowest such one borrows from its own highest bit. Bits
 * above the fields don't matter. `ones` are their lowest bits. */
static inline uint64_t dc_zero_fields(uint64_t fields, uint64_t ones, unsigned bits)
{
    return (fields - ones) & ~fields & ones << (bits - 1);
}

/* The sums of the lower four of eight fields, and of the upper four in the next 4 * bits bits. Bits
 * above the fields don't matter. */
static inline uint64_t dc_sum_fours(uint64_t fields, unsigned bits)
{
    const uint64_t one = ((uint64_t)1 << bits) - 1, two = one | one << 4 * bits;
    const uint64_t four = two | two << 2 * bits, wide = two | two << bits;
    const uint64_t pairs = (fields & four) + (fields >> bits & four);
    return (pairs & wide) + (pairs >> 2 * bits & wide);
}

/* The sum of both. */
static inline uint64_t dc_sum_halves(uint64_t fours, unsigned bits)
{
    return (fours & (((uint64_t)1 << 4 * bits) - 1)) + (fours >> 4 * bits);
}

#endif
