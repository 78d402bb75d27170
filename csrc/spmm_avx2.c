/* Y = W X from lanes, up to 96 columns of X at a time, in tiles; spmm_tiles.c has their frame. */
#include "spmm_tiles.h"
#include "spmv.h"
#include "unpack_avx2.h"

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
#include "spmm_kernel.h"

static const struct dc_tiling tiling = {VECTOR, PANEL, dc_unpack_avx2, any_tile_product};

size_t dc_spmm_scratch_avx2(const struct dc_layout *w)
{
    return dc_tiles_scratch(&tiling, w);
}

void dc_spmm_lanes_avx2(const struct dc_layout *w, const float *x, size_t ldx, float *y, size_t ldy,
                        size_t n, size_t first, size_t last, void *scratch)
{
    dc_tiles_product(&tiling, w, x, ldx, y, ldy, n, first, last, scratch);
}

#endif
