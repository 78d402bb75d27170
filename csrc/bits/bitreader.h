/* Reads of packed bits that never touch a byte beyond the end. */
#ifndef DC_BITREADER_H
#define DC_BITREADER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "platform.h"

/* Eight bytes as a little-endian integer; compilers make one load of it. */
static inline uint64_t dc_load8(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
           (uint64_t)p[7] << 56;
}

static inline uint32_t dc_load4(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The first eight of `left` bytes, or all of them. */
static inline uint64_t dc_load_up_to_8(const uint8_t *p, size_t left)
{
    uint64_t word = 0;
    if (left >= 8)
        return dc_load8(p);
    for (size_t k = 0; k < left; k++)
        word |= (uint64_t)p[k] << (8 * k);
    return word;
}

/* The reverse, and the same for four bytes. Of the bytes one by one, gcc makes no single store. */
static inline void dc_store8(uint8_t *p, uint64_t value)
{
#if DC_LITTLE_ENDIAN
    memcpy(p, &value, sizeof value);
#else
    for (unsigned i = 0; i < 8; i++)
        p[i] = (uint8_t)(value >> 8 * i);
#endif
}

static inline void dc_store4(uint8_t *p, uint32_t value)
{
#if DC_LITTLE_ENDIAN
    memcpy(p, &value, sizeof value);
#else
    for (unsigned i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> 8 * i);
#endif
}

/* Where the eight values that begin at i end; the last ones may be fewer. */
static inline size_t dc_end_of_eight(size_t i, size_t count)
{
    return count - i < 8 ? count : i + 8;
}

/* The eight packed values that begin at i, a multiple of 8; the first one is lowest. Above the
 * last one there may be anything. */
static inline uint64_t dc_load_eight(const uint8_t *packed, size_t i, size_t count, unsigned bits)
{
    const uint8_t *p = packed + i / 8 * bits;
    if ((count - i) / 8 * bits >= 8)
        return dc_load8(p);
    size_t bytes = ((dc_end_of_eight(i, count) - i) * bits + 7) / 8;
    uint64_t word = 0;
    for (size_t k = 0; k < bytes; k++)
        word |= (uint64_t)p[k] << (8 * k);
    return word;
}

/* Which is the lowest 1 of a mask that has one. */
static inline unsigned dc_lowest_bit(uint64_t mask)
{
#if DC_GNU
    return (unsigned)__builtin_ctzll(mask);
#else
    unsigned bit = 0;
    for (; !(mask & 1); mask >>= 1)
        bit++;
    return bit;
#endif
}

/* How many zeros are above the highest 1 of a word that has one. */
static inline unsigned dc_leading_zeros(uint64_t word)
{
#if DC_GNU
    return (unsigned)__builtin_clzll(word);
#else
    unsigned zeros = 0;
    for (; !(word >> 63); word <<= 1)
        zeros++;
    return zeros;
#endif
}

/* A bit string, read from its beginning. */
struct dc_bitreader {
    const uint8_t *next; /* first byte that isn't wholly in `bits` */
    const uint8_t *end;
    uint64_t bits;       /* unread bits, the next one lowest; zero above `have` at the end */
    unsigned have;       /* how many of them count */
};

/* Makes `have` at least 56, or all that is left. */
static inline void dc_refill(struct dc_bitreader *r)
{
    if (r->end - r->next >= 8) {
        /* The bytes of which only a part fits are loaded again next time. */
        r->bits |= dc_load8(r->next) << r->have;
        r->next += (63 - r->have) >> 3;
        r->have |= 56;
        return;
    }
    while (r->have <= 56 && r->next < r->end) {
        r->bits |= (uint64_t)*r->next++ << r->have;
        r->have += 8;
    }
}

static inline void dc_skip(struct dc_bitreader *r, unsigned count)
{
    r->bits >>= count;
    r->have -= count;
}

#endif
