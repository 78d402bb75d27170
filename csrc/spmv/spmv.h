/* Kernels behind dc_spmv and dc_spmm, one file per instruction set. */
#ifndef DC_SPMV_H
#define DC_SPMV_H

#include "deepcompress.h"

/* The files for x86 are compiled with nothing but the portable flags; their functions name
 * their instruction sets themselves, which only these compilers can. */
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define DC_X86 1
#else
#define DC_X86 0
#endif

/* Every processor of this architecture has NEON. */
#if defined(__aarch64__) && defined(__BYTE_ORDER__) && defined(__GNUC__)
#define DC_ARM (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
#else
#define DC_ARM 0
#endif

typedef void dc_spmv_kernel(const struct dc_layout *w, const float *x, float *y, size_t first,
                            size_t last);
typedef void dc_spmm_kernel(const struct dc_layout *w, const float *x, size_t ldx, float *y,
                            size_t ldy, size_t n, size_t first, size_t last, void *scratch);

dc_spmv_kernel dc_spmv_lanes_scalar, dc_spmv_masks_scalar, dc_spmv_tiles_scalar;
dc_spmm_kernel dc_spmm_lanes_scalar, dc_spmm_masks_scalar, dc_spmm_tiles_scalar;
#if DC_X86
dc_spmv_kernel dc_spmv_lanes_avx2, dc_spmv_tiles_avx2;
dc_spmv_kernel dc_spmv_lanes_avx512, dc_spmv_masks_avx512;
dc_spmm_kernel dc_spmm_tiles_avx2;
size_t dc_spmm_tiles_scratch_avx2(void);
#endif

#endif
