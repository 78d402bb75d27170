/* Depthwise convolutions with vectors of eight, which compilers make of the portable kernel. */
#include "program/depthwise.h"

#if DC_X86

AVX2 int dc_depthwise_avx2(const struct dc_operation *op, size_t first, size_t last)
{
    return depthwise(op, first, last);
}

#endif
