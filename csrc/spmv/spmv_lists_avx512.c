/* Products with a vector from a layout in lists, for AVX-512 and up to 32 centroids.
 *
 * Two registers hold these, so that weights are permuted, and not loaded: sixteen entries take 21
 * loads and 47 instructions in place of AVX2's 25 and 56. Nanoseconds per weight on a Zen 4, of
 * segments with 22 or 7 sixteens and 7 eights: 0.183 and 0.173, where AVX2 takes 0.208 and 0.196;
 * with one sixteen, 0.186 and 0.199. The layers of benchmarks/bench_spmv.py take 4 to 17 % less.
 * What was tried instead:
 * - one sum in sixteen parts: 0.188 and 0.176
 * - elements of x loaded under masks: 0.186 and 0.177; inserted by vinsertps: 0.199 and 0.202
 * - elements of x gathered: 1.7 times AVX2's time
 *
 * On Intel's processors, which gather well, lists aren't chosen. There, permutations take the place
 * where elements are inserted: by llvm-mca 1.01 cycles for an entry of sixteens on Ice Lake and
 * 0.88 on Sapphire Rapids, where AVX2 takes 0.88 and 0.82. */
#include "avx512.h"
#include "spmv/lists_avx2.h"
#include "spmv/spmv.h"
#include "spmv/spmv_lists.h"

#if DC_X86
#define CENTROIDS 32
#define HALF(a, k) _mm256_castsi256_ps(_mm512_extracti64x4_epi64(_mm512_castps_si512(a), k))

/* The weights of sixteen entries, by the labels of fours. Permutations read five bits. */
AVX512_INLINE __m512 weights_of(const float *codebook, const uint8_t *p)
{
    static const uint32_t begins[DC_SIXTEEN] = {0,  0,  0,  0,  8,  8,  8,  8,
                                                16, 16, 16, 16, 24, 24, 24, 24};
    const __m512i labels = _mm512_srlv_epi32(_mm512_set1_epi32((int)dc_load4(p)),
                                             _mm512_loadu_si512(begins));
    return _mm512_permutex2var_ps(_mm512_loadu_ps(codebook), labels,
                                  _mm512_loadu_ps(codebook + CENTROIDS / 2));
}

AVX512_INLINE float segment_product(const float *codebook, struct dc_segment s, const float *x)
{
    __m256 sum = _mm256_setzero_ps(), other = sum; /* so that no addition waits for the last */
    for (; s.sixteens < s.eights; s.sixteens += DC_SIXTEEN_BYTES) {
        const __m512 weights = weights_of(codebook, s.sixteens + DC_SIXTEEN * sizeof(uint16_t));
        sum = _mm256_fmadd_ps(HALF(weights, 0), eight_of(x, s.sixteens), sum);
        other = _mm256_fmadd_ps(HALF(weights, 1), eight_of(x, s.sixteens + 16), other);
    }
    return finish_segment(s, x, _mm256_add_ps(sum, other));
}

AVX512 void dc_spmv_lists_avx512(const struct dc_layout *w, const float *x, float *y, size_t first,
                                 size_t last)
{
    if (w->centroids > CENTROIDS) {
        dc_spmv_lists_avx2(w, x, y, first, last);
        return;
    }
    float codebook[CENTROIDS] = {0.0f};
    __builtin_memcpy(codebook, w->codebook, w->centroids * sizeof *codebook);
    struct dc_layout padded = *w;
    padded.codebook = codebook;
    dc_lists_product(&padded, x, y, first, last, segment_product);
}

#endif
