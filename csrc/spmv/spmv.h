/* Kernels behind dc_spmv and dc_spmm. */
#ifndef DC_SPMV_H
#define DC_SPMV_H

#include <math.h>

#include "dispatch.h"

/* The kinds of layouts, in the order of enum dc_layout_kind; all have portable kernels. */
#define DC_LAYOUTS(EACH) EACH(lanes) EACH(masks) EACH(tiles) EACH(lists)

#define DC_DECLARE(layout)                                                                        \
    dc_spmv_kernel dc_spmv_##layout##_scalar;                                                     \
    dc_spmm_kernel dc_spmm_##layout##_scalar;
DC_LAYOUTS(DC_DECLARE)
#undef DC_DECLARE

dc_spmv_kernel dc_spmv_lanes_avx2, dc_spmv_tiles_avx2, dc_spmv_lists_avx2;
dc_spmv_kernel dc_spmv_lanes_avx512, dc_spmv_masks_avx512, dc_spmv_lists_avx512;
dc_spmv_kernel dc_spmv_lists_neon;
dc_spmm_kernel dc_spmm_tiles_avx2;

/* Scratch memory of dc_spmm_tiles_avx2: a tile of up to 128 rows of X and the sums of a part, of
 * DC_TILES_COLUMNS each, and to align them. */
#define DC_TILES_COLUMNS 64
#define DC_TILES_SCRATCH_AVX2 ((128 + 256) * DC_TILES_COLUMNS * sizeof(float) + 64)

/* a * b + sum, in one instruction where every processor of the kind has it, as 64-bit ARM. */
DC_INLINE float dc_multiply_add(float a, float b, float sum)
{
#ifdef FP_FAST_FMAF
    return fmaf(a, b, sum);
#else
    return a * b + sum;
#endif
}

#endif
