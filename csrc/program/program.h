/* What the operations of a program share. */
#ifndef DC_PROGRAM_H
#define DC_PROGRAM_H

#include "dispatch.h"

/* An operation is done in `tasks` tasks, whose number depends on it and on the number of
 * threads; no result depends on it. Each returns 1 if all that it computes is finite, else 0. */
int dc_max_pool(const struct dc_operation *op, size_t task, size_t tasks, float *scratch);
int dc_average(const struct dc_operation *op, size_t task, size_t tasks);
int dc_normalize(const struct dc_operation *op, size_t task, size_t tasks);
int dc_mean_pool(const struct dc_operation *op, size_t task, size_t tasks, float *scratch);
int dc_scale(const struct dc_operation *op, size_t task, size_t tasks);
int dc_add(const struct dc_operation *op, size_t task, size_t tasks);
int dc_times(const struct dc_operation *op, size_t task, size_t tasks);
int dc_activate(const struct dc_operation *op, size_t task, size_t tasks);
int dc_softmax(const struct dc_operation *op, size_t task, size_t tasks);
void dc_pad(const struct dc_operation *op, size_t task, size_t tasks);
void dc_permute(const struct dc_operation *op, size_t task, size_t tasks);

/* Channels of a depthwise convolution. */
dc_depthwise_kernel dc_depthwise_scalar, dc_depthwise_avx2;

/* 1 if none of the results is infinite or NaN before the ReLU, which it then does in place. */
static inline int dc_rectified(const struct dc_operation *op, float *y, size_t count)
{
    const int is_finite = dc_all_finite(y, count);
    for (size_t i = 0; op->relu && i < count; i++) {
        const float value = y[i] < 0.0f ? 0.0f : y[i];
        y[i] = value > op->high ? op->high : value;
    }
    return is_finite;
}

#endif
