/* Products with a vector from a layout in lists, for AVX2.
 *
 * An entry takes three instructions and 1.4 to 1.5 loads, where lanes take six instructions; loads
 * are what limits it, at some two a cycle. Nanoseconds per weight on a Zen 3 with AVX2 (3.2 GHz) in
 * a loop, 9 % of 4096 x 4096 and 4 % of 4096 x 25088, beside other work, at the fastest: 0.26 and
 * 0.34, where lanes take 0.43. What was tried instead:
 * - weights beside all columns (6 bytes an entry) with no blocks: 0.29 and 0.8 to 2.1; the same with
 *   bits cut out by one instruction: 0.26; in blocks of columns: 0.26 and 0.44
 * - columns loaded one by one: 0.32 (more loads); fours in pairs, a byte loaded for each: 0.28
 * - elements of x of a four added up before they are multiplied: 0.26, but they may overflow
 * - a weight, not a label, for each four: 0.25 and 0.36, for 3.5 bytes an entry instead of 2.9
 * - labels for all other entries, looked up one by one: 0.35 and 0.4 to 0.9, for 2.4 bytes
 * - requests for lines ahead: no clear gain from memory, and 0.01 to 0.02 more in a loop
 * - segments in order of rows: 1.3 times as long for rows of 60 to 120 weights, as processors don't
 *   foresee where each ends. */
#include "spmv/lists_avx2.h"
#include "spmv/spmv.h"
#include "spmv/spmv_lists.h"

#if DC_X86
AVX2_INLINE __m128 add_four(const float *x, const uint8_t *p, float weight, __m128 sum)
{
    return _mm_fmadd_ps(_mm_set1_ps(weight), four_of(x, p), sum);
}

AVX2_INLINE float segment_product(const float *codebook, struct dc_segment s, const float *x)
{
    __m128 sum = _mm_setzero_ps(), other = sum; /* so that no addition waits for the last */
    for (; s.sixteens < s.eights; s.sixteens += DC_SIXTEEN_BYTES) {
        uint32_t labels;
        __builtin_memcpy(&labels, s.sixteens + DC_SIXTEEN * sizeof(uint16_t), sizeof labels);
        sum = add_four(x, s.sixteens, codebook[(uint8_t)labels], sum);
        other = add_four(x, s.sixteens + 8, codebook[(uint8_t)(labels >> 8)], other);
        sum = add_four(x, s.sixteens + 16, codebook[(uint8_t)(labels >> 16)], sum);
        other = add_four(x, s.sixteens + 24, codebook[labels >> 24], other);
    }
    return finish_segment(s, x, _mm256_insertf128_ps(_mm256_castps128_ps256(sum), other, 1));
}

AVX2 void dc_spmv_lists_avx2(const struct dc_layout *w, const float *x, float *y, size_t first,
                             size_t last)
{
    dc_lists_product(w, x, y, first, last, segment_product);
}

#endif
