/* Eight values of b bits are b bytes, so both directions go by eights:
 * one 64-bit word holds eight values, and only the last eight may be short. */
#include "bits/bitreader.h"
#include "deepcompress.h"

void dc_pack(const uint8_t *values, size_t count, unsigned bits, uint8_t *packed)
{
    for (size_t i = 0; i < count;) {
        uint64_t word = 0;
        unsigned width = 0;
        for (size_t end = dc_end_of_eight(i, count); i < end; i++, width += bits)
            word |= (uint64_t)values[i] << width;
        for (; width > 0; width = width > 8 ? width - 8 : 0, word >>= 8)
            *packed++ = (uint8_t)word;
    }
}

void dc_unpack(const uint8_t *packed, size_t count, unsigned bits, uint8_t *values)
{
    const uint8_t mask = (uint8_t)((1u << bits) - 1);
    for (size_t i = 0; i < count;) {
        uint64_t word = dc_load_eight(packed, i, count, bits);
        for (size_t end = dc_end_of_eight(i, count); i < end; i++, word >>= bits)
            values[i] = (uint8_t)word & mask;
    }
}
