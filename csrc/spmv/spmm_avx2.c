/* Y = W X in tiles of up to 96 columns of X; spmm_tiled.c has their frame. */
#include "spmv/spmm_tiled.h"
#include "spmv/spmv.h"
#include "spmv/unpack_avx2.h"

#if DC_X86
#define VECTOR 8
#define PANEL 12 /* sums, in 16 registers */
#define PAIRED 4
#define KERNEL AVX2
#define KERNEL_INLINE AVX2_INLINE
typedef __m256 vec;
#define VEC_ZERO() _mm256_setzero_ps()
#define VEC_LOAD(from) _mm256_load_ps(from)
#define VEC_STORE(to, a) _mm256_store_ps(to, a)
#define VEC_ALL(a) _mm256_set1_ps(a)
#define VEC_ADD(a, b) _mm256_add_ps(a, b)
#define VEC_FMA(a, b, sum) _mm256_fmadd_ps(a, b, sum)
#include "spmv/spmm_kernel.h"

const struct dc_tiling dc_lanes_avx2 = {VECTOR, PANEL, dc_unpack_avx2, any_tile_product};
/* Without an instruction to spread bytes by a mask. */
const struct dc_tiling dc_masks_avx2 = {VECTOR, PANEL, dc_unpack_masks, any_tile_product};
const struct dc_tiling dc_lists_avx2 = {VECTOR, PANEL, dc_unpack_lists, any_tile_product};

#endif
