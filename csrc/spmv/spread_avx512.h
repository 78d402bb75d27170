/* Values of lanes spread over the dwords of a register of AVX-512. */
#ifndef DC_SPREAD_AVX512_H
#define DC_SPREAD_AVX512_H

#include "avx512.h"
#include "layout/layout.h"

#if DC_X86
/* How to spread values of one width over the lanes. */
struct spread {
    __m512i bytes; /* where the values of a lane begin */
    __m512i shift; /* and at which bit of the byte */
    __m512i mask;
};

AVX512_INLINE struct spread spread_of(unsigned bits)
{
    uint8_t bytes[64];
    uint32_t shift[DC_LANES];
    for (unsigned l = 0; l < DC_LANES; l++) {
        unsigned at = l * DC_STEPS * bits;
        for (unsigned k = 0; k < 4; k++)
            bytes[4 * l + k] = (uint8_t)(at / 8 + k); /* 60 + 3 at most */
        shift[l] = at % 8;
    }
    return (struct spread){_mm512_loadu_si512(bytes), _mm512_loadu_si512(shift),
                           _mm512_set1_epi32((1 << bits) - 1)};
}

/* Four values of each lane. The load takes 64 bytes, whatever the width: what it takes too
 * much is read over, or is the end of the data that is there for that. */
AVX512_INLINE __m512i load_lanes(const uint8_t *packed, const struct spread *s)
{
    return _mm512_srlv_epi32(_mm512_permutexvar_epi8(s->bytes, _mm512_loadu_si512(packed)),
                             s->shift);
}

#endif

#endif
