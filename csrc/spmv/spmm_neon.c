/* Y = W X in tiles of up to 64 columns of X; spmm_tiled.c has their frame. */
#include "platform.h"
#include "spmv/spmm_tiled.h"

#if DC_ARM
#include <arm_neon.h>

#define VECTOR 4
#define PANEL 16 /* sums, in 32 registers */
#define PAIRED 8
#define KERNEL
#define KERNEL_INLINE DC_INLINE
typedef float32x4_t vec;
#define VEC_ZERO() vdupq_n_f32(0.0f)
#define VEC_LOAD(from) vld1q_f32(from)
#define VEC_STORE(to, a) vst1q_f32(to, a)
#define VEC_ALL(a) vdupq_n_f32(a)
#define VEC_ADD(a, b) vaddq_f32(a, b)
#define VEC_FMA(a, b, sum) vfmaq_f32(sum, a, b)
#include "spmv/spmm_kernel.h"

const struct dc_tiling dc_lanes_neon = {VECTOR, PANEL, dc_unpack_lanes, any_tile_product};
const struct dc_tiling dc_masks_neon = {VECTOR, PANEL, dc_unpack_masks, any_tile_product};
const struct dc_tiling dc_lists_neon = {VECTOR, PANEL, dc_unpack_lists, any_tile_product};

#endif
