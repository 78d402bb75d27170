/* Products of a dense W with a tile of X, or with a vector: the portable kernels. */
#include <string.h>

#include "program.h"
#include "spconv.h"

void dc_dense_product_scalar(const float *w, size_t stride, size_t rows, size_t depth,
                             const float *tile, float *sums, unsigned vectors, int first)
{
    const size_t width = (size_t)vectors * DC_VECTOR;
    for (; rows > 0; rows--, w += stride, sums += width)
        for (size_t begin = 0; begin < width; begin += DC_VECTOR) {
            float sum[DC_VECTOR] = {0.0f}; /* which a compiler keeps in registers */
            if (!first)
                memcpy(sum, sums + begin, sizeof sum);
            for (size_t i = 0; i < depth; i++)
                for (size_t j = 0; j < DC_VECTOR; j++)
                    sum[j] += w[i] * tile[i * width + begin + j];
            memcpy(sums + begin, sum, sizeof sum);
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
