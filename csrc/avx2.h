/* What the kernels for AVX2 share. */
#ifndef DC_AVX2_H
#define DC_AVX2_H

#include "spmv/spmv.h"

#if DC_X86
#include <immintrin.h>

#define DC_AVX2_TARGET "avx2,fma,bmi"
#define AVX2 __attribute__((target(DC_AVX2_TARGET)))
#define AVX2_INLINE static inline __attribute__((always_inline, target(DC_AVX2_TARGET)))

#endif

#endif
