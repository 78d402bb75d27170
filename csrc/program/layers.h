/* Whatever is neither a convolution nor a product, and the bias of the latter, for each instruction
 * set compiled anew. */
#ifndef DC_LAYERS_H
#define DC_LAYERS_H

#include "program/depthwise.h"
#include "program/elementwise.h"
#include "program/pooling.h"
#include "tasks.h"

DC_INLINE int layer(const struct dc_operation *op, size_t task, size_t tasks, float *scratch)
{
    const size_t outputs = (size_t)op->outputs;
    switch (op->kind) {
    case DC_MAX_POOL: return max_pool(op, task, tasks, scratch);
    case DC_MEAN_POOL: return mean_pool(op, task, tasks, scratch);
    case DC_AVERAGE: return average(op, task, tasks);
    case DC_NORMALIZE: return normalize(op, task, tasks);
    case DC_RECTIFY: rectify(op, task, tasks); break;
    case DC_DEPTHWISE:
        return depthwise(op, dc_begin(outputs, task, tasks), dc_begin(outputs, task + 1, tasks));
    case DC_SCALE: return scale(op, task, tasks);
    case DC_ADD: return add(op, task, tasks);
    case DC_TIMES: return times(op, task, tasks);
    case DC_ACTIVATE: return activate(op, task, tasks);
    case DC_SOFTMAX: return softmax(op, task, tasks);
    default: break; /* program.c has it */
    }
    return 1;
}

DC_INLINE int add_bias(const struct dc_operation *op, size_t first, size_t last)
{
    const size_t batch = (size_t)op->geometry.batch;
    float *y = op->y + first * batch;
    if (batch == 1)
        for (size_t row = 0; row < last - first; row++)
            y[row] += op->bias[first + row];
    else
        for (size_t row = 0; row < last - first; row++)
            for (size_t b = 0; b < batch; b++)
                y[row * batch + b] += op->bias[first + row];
    return rectified(op, y, (last - first) * batch);
}

#endif
