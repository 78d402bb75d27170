/* Depthwise convolutions: the portable kernel. */
#include "program/depthwise.h"

int dc_depthwise_scalar(const struct dc_operation *op, size_t first, size_t last)
{
    return depthwise(op, first, last);
}
