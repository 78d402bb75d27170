/* What the operations of a program share. */
#ifndef DC_PROGRAM_H
#define DC_PROGRAM_H

#include "bits/finite.h"
#include "dispatch.h"

void dc_pad(const struct dc_operation *op, size_t task, size_t tasks);
void dc_permute(const struct dc_operation *op, size_t task, size_t tasks);

dc_layer_kernel dc_layer_scalar, dc_layer_avx2;
dc_bias_kernel dc_bias_scalar, dc_bias_avx2;

/* 1 if none of the results is infinite or NaN before the ReLU, which it then does in place. */
DC_INLINE int rectified(const struct dc_operation *op, float *y, size_t count)
{
    const int is_finite = all_finite(y, count);
    for (size_t i = 0; op->relu && i < count; i++) {
        const float value = y[i] < 0.0f ? 0.0f : y[i];
        y[i] = value > op->high ? op->high : value;
    }
    return is_finite;
}

#endif
