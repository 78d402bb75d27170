/* Products of a dense W with a tile of X, or with a vector: the portable kernels. */
#include <string.h>

#include "spconv/spconv.h"

#define STRIP 16 /* columns whose sums a compiler keeps in registers */

static inline void strip_product(const float *w, size_t depth, const float *tile, size_t stride,
                                 float *sums, size_t width, int first)
{
    float sum[STRIP] = {0.0f};
    if (!first)
        memcpy(sum, sums, width * sizeof *sum);
    for (size_t i = 0; i < depth; i++, tile += stride) {
        const float weight = w[i];
        for (size_t j = 0; j < width; j++)
            sum[j] += weight * tile[j];
    }
    memcpy(sums, sum, width * sizeof *sum);
}

void dc_dense_product_scalar(const float *w, size_t stride, size_t rows, size_t depth,
                             const float *tile, float *sums, unsigned vectors, int first)
{
    const size_t width = (size_t)vectors * DC_VECTOR;
    for (; rows > 0; rows--, w += stride, sums += width) {
        size_t j = 0;
        for (; j + STRIP <= width; j += STRIP)
            strip_product(w, depth, tile + j, width, sums + j, STRIP, first);
        if (j < width)
            strip_product(w, depth, tile + j, width, sums + j, DC_VECTOR, first);
    }
}

void dc_rows_scalar(const float *w, size_t cols, size_t rows, const float *x, float *y)
{
    for (size_t row = 0; row < rows; row++, w += cols) {
        float part[8] = {0.0f}, sum = 0.0f;
        size_t i = 0;
        for (; i + 8 <= cols; i += 8)
            for (size_t j = 0; j < 8; j++)
                part[j] += w[i + j] * x[i + j];
        for (size_t j = 0; j < 8; j++)
            sum += part[j];
        for (; i < cols; i++)
            sum += w[i] * x[i];
        y[row] = sum;
    }
}
