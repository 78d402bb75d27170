/* Winograd's transforms: the portable kernels. */
#include "spconv/winograd_transforms.h"

void dc_transform_scalar(const struct dc_geometry *g, const float *x, const struct dc_tiles *tiles,
                         float *to, size_t apart)
{
    transform(g, x, tiles, to, apart);
}

int dc_restore_scalar(const struct dc_operation *op, const float *sums, size_t apart,
                      const struct dc_tiles *tiles, float added, float *y)
{
    return restore(op, sums, apart, tiles, added, y);
}
