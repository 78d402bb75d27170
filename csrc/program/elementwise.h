/* What is computed number by number, and softmax, for each instruction set compiled anew:
 * nn/activations.py, joins.py and norm.py define it. */
#ifndef DC_ELEMENTWISE_H
#define DC_ELEMENTWISE_H

#include <math.h>

#include "program/program.h"
#include "tasks.h"

DC_INLINE size_t places(const struct dc_geometry *g)
{
    return (size_t)(g->height * g->width * g->batch);
}

DC_INLINE void rectify(const struct dc_operation *op, size_t task, size_t tasks)
{
    const size_t size = places(&op->geometry) * (size_t)op->geometry.channels;
    const size_t end = dc_begin(size, task + 1, tasks);
    for (size_t i = dc_begin(size, task, tasks); i < end; i++)
        op->y[i] = op->x[i] < 0.0f ? 0.0f : op->x[i];
}

DC_INLINE int scale(const struct dc_operation *op, size_t task, size_t tasks)
{
    const size_t size = places(&op->geometry), channels = (size_t)op->geometry.channels;
    const size_t end = dc_begin(channels, task + 1, tasks);
    int is_finite = 1;
    for (size_t c = dc_begin(channels, task, tasks); c < end; c++) {
        const float *x = op->x + c * size, factor = op->dense[c], added = op->bias[c];
        float *y = op->y + c * size;
        for (size_t i = 0; i < size; i++)
            y[i] = x[i] * factor + added;
        is_finite &= rectified(op, y, size);
    }
    return is_finite;
}

DC_INLINE int add(const struct dc_operation *op, size_t task, size_t tasks)
{
    const size_t size = places(&op->geometry) * (size_t)op->geometry.channels;
    const size_t from = dc_begin(size, task, tasks), to = dc_begin(size, task + 1, tasks);
    for (size_t i = from; i < to; i++)
        op->y[i] = op->x[i] + op->other[i];
    return rectified(op, op->y + from, to - from);
}

DC_INLINE int times(const struct dc_operation *op, size_t task, size_t tasks)
{
    const size_t size = places(&op->geometry), batch = (size_t)op->geometry.batch;
    const size_t channels = (size_t)op->geometry.channels;
    const size_t first = dc_begin(channels, task, tasks), end = dc_begin(channels, task + 1, tasks);
    for (size_t c = first; c < end; c++) {
        const float *x = op->x + c * size, *other = op->other + c * (op->size ? batch : size);
        float *y = op->y + c * size;
        if (!op->size)
            for (size_t i = 0; i < size; i++)
                y[i] = x[i] * other[i];
        else
            for (size_t i = 0; i < size; i += batch)
                for (size_t b = 0; b < batch; b++)
                    y[i + b] = x[i + b] * other[b];
    }
    return all_finite(op->y + first * size, (end - first) * size);
}

/* Powers that can't overflow. */
DC_INLINE float sigmoid(float x)
{
    const float power = expf(-fabsf(x));
    return (x < 0.0f ? power : 1.0f) / (1.0f + power);
}

DC_INLINE float ramp(float x, float alpha, float k)
{
    const float y = alpha * x + k;
    return y < 0.0f ? 0.0f : y > 1.0f ? 1.0f : y;
}

#define EACH(expression)                                                                          \
    for (size_t i = 0; i < count; i++) {                                                          \
        const float z = x[i];                                                                     \
        y[i] = (expression);                                                                      \
    }                                                                                             \
    break

DC_INLINE int activate(const struct dc_operation *op, size_t task, size_t tasks)
{
    const size_t size = places(&op->geometry) * (size_t)op->geometry.channels;
    const size_t from = dc_begin(size, task, tasks), count = dc_begin(size, task + 1, tasks) - from;
    const float *x = op->x + from, alpha = op->alpha, k = op->k;
    float *y = op->y + from;
    switch ((enum dc_function)op->size) {
    case DC_CLIP: EACH(z < alpha ? alpha : z > k ? k : z);
    case DC_LEAKY_RELU: EACH(z < 0.0f ? z * alpha : z);
    case DC_SIGMOID: EACH(sigmoid(z));
    case DC_TANH: EACH(tanhf(z));
    case DC_SILU: EACH(z * sigmoid(z));
    case DC_HARD_SIGMOID: EACH(ramp(z, alpha, k));
    case DC_HARD_SWISH: EACH(z * ramp(z, alpha, k));
    case DC_FUNCTIONS: break;
    }
    return all_finite(y, count);
}

DC_INLINE int softmax(const struct dc_operation *op, size_t task, size_t tasks)
{
    const size_t size = places(&op->geometry), channels = (size_t)op->geometry.channels;
    const size_t end = dc_begin(size, task + 1, tasks);
    for (size_t i = dc_begin(size, task, tasks); i < end; i++) {
        float largest = op->x[i], sum = 0.0f;
        for (size_t c = 1; c < channels; c++)
            largest = op->x[c * size + i] > largest ? op->x[c * size + i] : largest;
        for (size_t c = 0; c < channels; c++)
            sum += op->y[c * size + i] = expf(op->x[c * size + i] - largest);
        for (size_t c = 0; c < channels; c++)
            op->y[c * size + i] /= sum;
    }
    return 1; /* the difference of finite numbers is -infinity at worst, whose power is 0 */
}

#undef EACH

#endif
