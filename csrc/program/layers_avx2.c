/* Layers with vectors of eight, which compilers make of the portable kernels: pooling takes half of
 * the time. */
#include "program/layers.h"

#if DC_X86

AVX2 int dc_layer_avx2(const struct dc_operation *op, size_t task, size_t tasks, float *scratch)
{
    return layer(op, task, tasks, scratch);
}

AVX2 int dc_bias_avx2(const struct dc_operation *op, size_t first, size_t last)
{
    return add_bias(op, first, last);
}

#endif
