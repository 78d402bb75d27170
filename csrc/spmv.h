/* Kernels behind dc_spmv and dc_spmm, one file per instruction set. */
#ifndef DC_SPMV_H
#define DC_SPMV_H

#include "deepcompress.h"

typedef void dc_spmv_kernel(const struct dc_tensor *w, const float *x, float *y);
typedef void dc_spmm_kernel(const struct dc_tensor *w, const float *x, size_t ldx, float *y,
                            size_t ldy, size_t n);

dc_spmv_kernel dc_spmv_scalar;
dc_spmm_kernel dc_spmm_scalar;

#endif
