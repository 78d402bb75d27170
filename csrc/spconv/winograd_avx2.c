/* Winograd's transforms with vectors of eight, which compilers make of the portable ones. */
#include "spconv/winograd_transforms.h"

#if DC_X86

AVX2 void dc_transform_avx2(const struct dc_geometry *g, const float *x, const struct dc_tiles *tiles,
                         float *to, size_t apart)
{
    transform(g, x, tiles, to, apart);
}

AVX2 int dc_restore_avx2(const struct dc_operation *op, const float *sums, size_t apart,
                      const struct dc_tiles *tiles, float added, float *y)
{
    return restore(op, sums, apart, tiles, added, y);
}

#endif
