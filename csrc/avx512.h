/* The intrinsics of AVX-512, or for tests emulated ones. */
#ifndef DC_AVX512_H
#define DC_AVX512_H

#include "platform.h"

#if DC_X86
#ifdef DC_EMULATE_AVX512
#include "emulated_avx512.h"
#else
#include <immintrin.h>
#endif
#endif

#endif
