/* Elements of x for products from lists, where the processor has AVX2 or more. */
#ifndef DC_LISTS_AVX2_H
#define DC_LISTS_AVX2_H

#include "layout/lists.h"
#include "platform.h"

#if DC_X86
#include <immintrin.h>
#include <stdint.h>

#define CUT(begin) ((begin) | 16u << 8) /* 16 bits, as the instruction wants start and length */

AVX2_INLINE int load_dword(const float *p)
{
    int bits;
    __builtin_memcpy(&bits, p, sizeof bits);
    return bits;
}

/* The elements of x at four columns, which are loaded together: as integers, of which compilers
 * make instructions that both load and insert. */
AVX2_INLINE __m128 four_of(const float *x, const uint8_t *p)
{
    uint64_t cols;
    __builtin_memcpy(&cols, p, sizeof cols);
    __m128i four = _mm_cvtsi32_si128(load_dword(x + (uint16_t)cols));
    four = _mm_insert_epi32(four, load_dword(x + __bextr_u64(cols, CUT(16u))), 1);
    four = _mm_insert_epi32(four, load_dword(x + __bextr_u64(cols, CUT(32u))), 2);
    return _mm_castsi128_ps(_mm_insert_epi32(four, load_dword(x + (cols >> 48)), 3));
}

AVX2_INLINE __m256 eight_of(const float *x, const uint8_t *p)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(four_of(x, p)), four_of(x, p + 8), 1);
}

/* Adds the products of eights to a sum in eight parts, and adds those up. */
AVX2_INLINE float finish_segment(struct dc_segment s, const float *x, __m256 sum)
{
    for (; s.eights < s.end; s.eights += DC_EIGHT_BYTES)
        sum = _mm256_fmadd_ps(_mm256_loadu_ps((const float *)(s.eights + 16)),
                              eight_of(x, s.eights), sum);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

#endif

#endif
