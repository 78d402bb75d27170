/* Products of a dense W with a tile of X, four rows and up to three vectors at a time, whose sums
 * stay in registers: for twelve products there are seven loads, so that arithmetic is the limit. */
#include "platform.h"
#include "spconv/spconv.h"

#if DC_X86
#include <immintrin.h>

#define ROWS 4
#define WIDE 3

/* `rows` and `vectors` are constants wherever this ends up; rows of X and of sums are `width`
 * elements apart. */
AVX2_INLINE void product(const float *w, size_t stride, size_t depth, const float *tile,
                         float *sums, size_t width, int first, const unsigned rows,
                         const unsigned vectors)
{
    __m256 sum[ROWS][WIDE];
#pragma GCC unroll 4
    for (unsigned r = 0; r < rows; r++)
#pragma GCC unroll 3
        for (unsigned k = 0; k < vectors; k++)
            sum[r][k] =
                first ? _mm256_setzero_ps() : _mm256_load_ps(sums + r * width + DC_VECTOR * k);
    for (size_t i = 0; i < depth; i++, tile += width) {
        __m256 x[WIDE];
#pragma GCC unroll 3
        for (unsigned k = 0; k < vectors; k++)
            x[k] = _mm256_load_ps(tile + DC_VECTOR * k);
#pragma GCC unroll 4
        for (unsigned r = 0; r < rows; r++) {
            const __m256 weight = _mm256_broadcast_ss(w + r * stride + i);
#pragma GCC unroll 3
            for (unsigned k = 0; k < vectors; k++)
                sum[r][k] = _mm256_fmadd_ps(weight, x[k], sum[r][k]);
        }
    }
#pragma GCC unroll 4
    for (unsigned r = 0; r < rows; r++)
#pragma GCC unroll 3
        for (unsigned k = 0; k < vectors; k++)
            _mm256_store_ps(sums + r * width + DC_VECTOR * k, sum[r][k]);
}

AVX2_INLINE void rows_product(const float *w, size_t stride, size_t depth, const float *tile,
                              float *sums, unsigned vectors, int first, const unsigned rows)
{
    const size_t width = DC_VECTOR * (size_t)vectors;
    for (; vectors > WIDE + 1 || vectors == WIDE; vectors -= WIDE) {
        product(w, stride, depth, tile, sums, width, first, rows, WIDE);
        tile += WIDE * DC_VECTOR;
        sums += WIDE * DC_VECTOR;
    }
    for (; vectors >= 2; vectors -= 2) { /* four are two and two */
        product(w, stride, depth, tile, sums, width, first, rows, 2);
        tile += 2 * DC_VECTOR;
        sums += 2 * DC_VECTOR;
    }
    if (vectors)
        product(w, stride, depth, tile, sums, width, first, rows, 1);
}

AVX2 void dc_dense_product_avx2(const float *w, size_t stride, size_t rows, size_t depth,
                                const float *tile, float *sums, unsigned vectors, int first)
{
    const size_t width = DC_VECTOR * (size_t)vectors;
    for (; rows >= ROWS; rows -= ROWS, w += ROWS * stride, sums += ROWS * width)
        rows_product(w, stride, depth, tile, sums, vectors, first, ROWS);
    for (; rows > 0; rows--, w += stride, sums += width)
        rows_product(w, stride, depth, tile, sums, vectors, first, 1);
}

AVX2 void dc_rows_avx2(const float *w, size_t cols, size_t rows, const float *x, float *y)
{
    for (size_t row = 0; row < rows; row++, w += cols) {
        __m256 part[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                          _mm256_setzero_ps()};
        size_t i = 0;
        for (; i + 32 <= cols; i += 32)
#pragma GCC unroll 4
            for (size_t j = 0; j < 4; j++)
                part[j] = _mm256_fmadd_ps(_mm256_loadu_ps(w + i + 8 * j),
                                          _mm256_loadu_ps(x + i + 8 * j), part[j]);
        const __m256 all = _mm256_add_ps(_mm256_add_ps(part[0], part[1]),
                                         _mm256_add_ps(part[2], part[3]));
        float parts[8], sum = 0.0f;
        _mm256_storeu_ps(parts, all);
        for (size_t j = 0; j < 8; j++)
            sum += parts[j];
        for (; i < cols; i++)
            sum += w[i] * x[i];
        y[row] = sum;
    }
}

#endif
