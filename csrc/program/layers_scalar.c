/* Layers: the portable kernels. */
#include "program/layers.h"

int dc_layer_scalar(const struct dc_operation *op, size_t task, size_t tasks, float *scratch)
{
    return layer(op, task, tasks, scratch);
}

int dc_bias_scalar(const struct dc_operation *op, size_t first, size_t last)
{
    return add_bias(op, first, last);
}
