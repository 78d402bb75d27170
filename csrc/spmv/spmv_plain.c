/* Products straight from the stream of gaps and labels, for tensors that have no layout. */
#include <string.h>

#include "layout/survivors.h"

void dc_spmv_plain(const struct dc_tensor *w, const float *x, float *y)
{
    struct dc_survivors s = dc_survivors_of(w);
    int64_t row = 0;
    float sum = 0.0f;
    while (dc_next_survivor(&s)) {
        for (; row < s.row; row++) {
            y[row] = sum;
            sum = 0.0f;
        }
        sum += w->codebook[s.label] * x[s.col];
    }
    for (; row < w->rows; row++) {
        y[row] = sum;
        sum = 0.0f;
    }
}

void dc_spmm_plain(const struct dc_tensor *w, const float *x, size_t ldx, float *y, size_t ldy,
                  size_t n)
{
    for (int64_t r = 0; r < w->rows; r++)
        memset(y + (size_t)r * ldy, 0, n * sizeof *y);
    struct dc_survivors s = dc_survivors_of(w);
    while (dc_next_survivor(&s)) {
        const float weight = w->codebook[s.label];
        const float *restrict from = x + (size_t)s.col * ldx;
        float *restrict to = y + (size_t)s.row * ldy;
        for (size_t j = 0; j < n; j++)
            to[j] += weight * from[j];
    }
}
