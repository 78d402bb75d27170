/* What the kernels for AVX-512 share. */
#ifndef DC_AVX512_H
#define DC_AVX512_H

#include "layout/layout.h"
#include "spmv/spmv.h"

#if DC_X86
#ifdef DC_EMULATE_AVX512 /* for tests, see setup.py */
#include "emulated_avx512.h"
#else
#include <immintrin.h>
#define DC_AVX512_TARGET "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,popcnt"
#endif

#define AVX512 __attribute__((target(DC_AVX512_TARGET)))
#define AVX512_INLINE static inline __attribute__((always_inline, target(DC_AVX512_TARGET)))

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
