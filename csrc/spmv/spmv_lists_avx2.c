/* Products with a vector from a layout in lists, for AVX2.
 *
 * An entry takes four instructions, where lanes take six: half of one to load its column with
 * three others and one to shift that down, and one or two to have its element of x in its place.
 * Nanoseconds per weight on a processor with AVX2 and 32 MiB of last cache, in a loop, Table 8's
 * alexnet-fc7, 9.1 MB in lists and 2.1 MB in lanes: 0.32, lanes 0.42. Of what was tried instead:
 * columns loaded one by one 0.34; labels of a byte in place of weights, looked up by four
 * permutations, 0.41; sums of scalars, with x as an operand in memory, 0.42. Beyond the last cache,
 * lanes win: alexnet-fc6, 20 MB, 0.48 and 0.43; vgg-fc6, 25 MB, 0.65 and 0.43. */
#include "platform.h"
#include "layout/layout.h"
#include "spmv/spmv.h"

#if DC_X86
#include <immintrin.h>

AVX2_INLINE __m128 four_of(const float *x, uint64_t cols)
{
    __m128 four = _mm_load_ss(x + (uint16_t)cols);
    four = _mm_insert_ps(four, _mm_load_ss(x + (uint16_t)(cols >> 16)), 0x10);
    four = _mm_insert_ps(four, _mm_load_ss(x + (uint16_t)(cols >> 32)), 0x20);
    return _mm_insert_ps(four, _mm_load_ss(x + (cols >> 48)), 0x30);
}

AVX2_INLINE __m256 add_eight(const uint8_t *data, const float *x, __m256 sum)
{
    uint64_t cols[2];
    __builtin_memcpy(cols, data, sizeof cols);
    const __m256 from = _mm256_insertf128_ps(_mm256_castps128_ps256(four_of(x, cols[0])),
                                             four_of(x, cols[1]), 1);
    return _mm256_fmadd_ps(_mm256_loadu_ps((const float *)(data + sizeof cols)), from, sum);
}

AVX2 void dc_spmv_lists_avx2(const struct dc_layout *w, const float *x, float *y, size_t first,
                             size_t last)
{
    for (size_t r = first; r < last; r++) {
        const uint8_t *at = w->data + w->starts[r], *end = w->data + w->starts[r + 1];
        __m256 sum = _mm256_setzero_ps(), other = sum; /* so that no addition waits for the last */
        for (; at + DC_EIGHT_BYTES < end; at += 2 * DC_EIGHT_BYTES) {
            sum = add_eight(at, x, sum);
            other = add_eight(at + DC_EIGHT_BYTES, x, other);
        }
        if (at < end)
            sum = add_eight(at, x, sum);
        sum = _mm256_add_ps(sum, other);
        __m128 four = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
        four = _mm_add_ps(four, _mm_movehl_ps(four, four));
        y[r] = _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
    }
}

#endif
