/* AVX-512 for processors that lack it, so that its kernels are tested everywhere.
 *
 * csrc/avx512.h includes this in a build with DEEPCOMPRESS_EMULATE_AVX512=1 (see setup.py). Here
 * are those intrinsics that the kernels use, each as a loop over elements, as Intel's guide to
 * intrinsics describes them, on the types of the compiler's own header. Another one fails to
 * compile, as the target of its functions has no AVX-512. What runs needs AVX2 and FMA.
 *
 * Masked loads and stores touch nothing but the elements of their mask, and aligned ones end the
 * program if they aren't, so that AddressSanitizer sees more than it does of the real ones. */
#ifndef DC_EMULATED_AVX512_H
#define DC_EMULATED_AVX512_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

/* Not inlined, which takes compilers minutes where sanitizers watch each element. */
#define EMULATED(type) static __attribute__((noinline, unused, target(DC_AVX512_SET))) type

/* The elements of a register. */
union dc_512 {
    __m512 ps;
    __m512i si;
    float f[16];
    uint32_t d[16];
    uint64_t q[8];
    uint8_t b[64];
};

#define INTEGERS(x) ((union dc_512){.si = (x)})
#define FLOATS(x) ((union dc_512){.ps = (x)})

/* A function of registers named a, b, c: element i of the result, of one kind. */
#define EACH(count, element) \
    union dc_512 r; \
    for (unsigned i = 0; i < (count); i++) \
        r.element

EMULATED(__m512i) dc_setzero_si512(void) { EACH(16, d[i]) = 0; return r.si; }
EMULATED(__m512) dc_setzero_ps(void) { EACH(16, f[i]) = 0.0f; return r.ps; }
EMULATED(__m512i) dc_set1_epi32(int a) { EACH(16, d[i]) = (uint32_t)a; return r.si; }
EMULATED(__m512) dc_set1_ps(float a) { EACH(16, f[i]) = a; return r.ps; }

/* Memory. */
EMULATED(__m512i) dc_loadu_si512(const void *p)
{
    union dc_512 r;
    memcpy(&r, p, sizeof r);
    return r.si;
}

EMULATED(__m512) dc_loadu_ps(const void *p)
{
    union dc_512 r;
    memcpy(&r, p, sizeof r);
    return r.ps;
}

EMULATED(const void *) dc_aligned(const void *p)
{
    if ((uintptr_t)p % 64)
        __builtin_trap();
    return p;
}

EMULATED(__m512) dc_load_ps(const void *p) { return dc_loadu_ps(dc_aligned(p)); }
EMULATED(void) dc_storeu_si512(void *p, __m512i a) { memcpy(p, &a, sizeof a); }
EMULATED(void) dc_storeu_ps(void *p, __m512 a) { memcpy(p, &a, sizeof a); }
EMULATED(void) dc_store_ps(void *p, __m512 a)
{
    dc_aligned(p);
    memcpy(p, &a, sizeof a);
}

EMULATED(__m512) dc_maskz_loadu_ps(__mmask16 k, const void *p)
{
    union dc_512 r;
    for (unsigned i = 0; i < 16; i++) {
        r.f[i] = 0.0f;
        if (k >> i & 1)
            memcpy(&r.f[i], (const char *)p + 4 * i, 4);
    }
    return r.ps;
}

EMULATED(void) dc_mask_storeu_ps(void *p, __mmask16 k, __m512 a)
{
    for (unsigned i = 0; i < 16; i++)
        if (k >> i & 1)
            memcpy((char *)p + 4 * i, &FLOATS(a).f[i], 4);
}

EMULATED(__m512) dc_i32gather_ps(__m512i index, const void *p, int scale)
{
    union dc_512 r;
    for (unsigned i = 0; i < 16; i++)
        memcpy(&r.f[i], (const char *)p + (int64_t)(int32_t)INTEGERS(index).d[i] * scale, 4);
    return r.ps;
}

/* Arithmetic. */
EMULATED(__m512i) dc_add_epi32(__m512i a, __m512i b)
{
    EACH(16, d[i]) = INTEGERS(a).d[i] + INTEGERS(b).d[i];
    return r.si;
}

EMULATED(__m512i) dc_and_si512(__m512i a, __m512i b)
{
    EACH(8, q[i]) = INTEGERS(a).q[i] & INTEGERS(b).q[i];
    return r.si;
}

EMULATED(__m512i) dc_or_si512(__m512i a, __m512i b)
{
    EACH(8, q[i]) = INTEGERS(a).q[i] | INTEGERS(b).q[i];
    return r.si;
}

EMULATED(__m512) dc_add_ps(__m512 a, __m512 b)
{
    EACH(16, f[i]) = FLOATS(a).f[i] + FLOATS(b).f[i];
    return r.ps;
}

EMULATED(__m512) dc_fmadd_ps(__m512 a, __m512 b, __m512 c)
{
    EACH(16, f[i]) = __builtin_fmaf(FLOATS(a).f[i], FLOATS(b).f[i], FLOATS(c).f[i]);
    return r.ps;
}

EMULATED(float) dc_reduce_add_ps(__m512 a) /* halves are added, again and again */
{
    union dc_512 r = FLOATS(a);
    for (unsigned half = 8; half > 0; half /= 2)
        for (unsigned i = 0; i < half; i++)
            r.f[i] += r.f[i + half];
    return r.f[0];
}

/* Shifts, by 32 and more to zero. */
EMULATED(uint32_t) dc_right(uint32_t a, uint64_t by) { return by < 32 ? a >> by : 0; }

EMULATED(__m512i) dc_srlv_epi32(__m512i a, __m512i by)
{
    EACH(16, d[i]) = dc_right(INTEGERS(a).d[i], INTEGERS(by).d[i]);
    return r.si;
}

EMULATED(__m512i) dc_srl_epi32(__m512i a, __m128i by)
{
    EACH(16, d[i]) = dc_right(INTEGERS(a).d[i], (uint64_t)_mm_cvtsi128_si64(by));
    return r.si;
}

EMULATED(__m512i) dc_srli_epi32(__m512i a, unsigned by)
{
    EACH(16, d[i]) = dc_right(INTEGERS(a).d[i], by);
    return r.si;
}

EMULATED(__m512i) dc_slli_epi32(__m512i a, unsigned by)
{
    EACH(16, d[i]) = by < 32 ? INTEGERS(a).d[i] << by : 0;
    return r.si;
}

/* Masks. */
EMULATED(__mmask16) dc_test_epi32_mask(__m512i a, __m512i b)
{
    unsigned k = 0;
    for (unsigned i = 0; i < 16; i++)
        k |= (unsigned)((INTEGERS(a).d[i] & INTEGERS(b).d[i]) != 0) << i;
    return (__mmask16)k;
}

EMULATED(__mmask64) dc_test_epi8_mask(__m512i a, __m512i b)
{
    uint64_t k = 0;
    for (unsigned i = 0; i < 64; i++)
        k |= (uint64_t)((INTEGERS(a).b[i] & INTEGERS(b).b[i]) != 0) << i;
    return (__mmask64)k;
}

EMULATED(__m512) dc_mask_blend_ps(__mmask16 k, __m512 a, __m512 b)
{
    EACH(16, f[i]) = k >> i & 1 ? FLOATS(b).f[i] : FLOATS(a).f[i];
    return r.ps;
}

/* Places. Of an index, only the bits that are needed count. */
EMULATED(__m512i) dc_permutexvar_epi8(__m512i index, __m512i a)
{
    EACH(64, b[i]) = INTEGERS(a).b[INTEGERS(index).b[i] & 63];
    return r.si;
}

EMULATED(__m512) dc_permutexvar_ps(__m512i index, __m512 a)
{
    EACH(16, f[i]) = FLOATS(a).f[INTEGERS(index).d[i] & 15];
    return r.ps;
}

EMULATED(__m512) dc_permutex2var_ps(__m512 a, __m512i index, __m512 b)
{
    EACH(16, f[i]) = (INTEGERS(index).d[i] & 16 ? FLOATS(b) : FLOATS(a)).f[INTEGERS(index).d[i] & 15];
    return r.ps;
}

EMULATED(__m512i) dc_maskz_expand_epi8(__mmask64 k, __m512i a)
{
    union dc_512 r;
    unsigned from = 0;
    for (unsigned i = 0; i < 64; i++)
        r.b[i] = k >> i & 1 ? INTEGERS(a).b[from++] : 0;
    return r.si;
}

EMULATED(__m512i) dc_maskz_compress_epi8(__mmask64 k, __m512i a)
{
    union dc_512 r = {.q = {0}};
    unsigned to = 0;
    for (unsigned i = 0; i < 64; i++)
        if (k >> i & 1)
            r.b[to++] = INTEGERS(a).b[i];
    return r.si;
}

EMULATED(__m512i) dc_cvtepu8_epi32(__m128i a)
{
    uint8_t b[16];
    memcpy(b, &a, sizeof b);
    EACH(16, d[i]) = b[i];
    return r.si;
}

EMULATED(__m512i) dc_castps_si512(__m512 a) { return FLOATS(a).si; }

EMULATED(__m256i) dc_extracti64x4_epi64(__m512i a, unsigned half)
{
    __m256i r;
    memcpy(&r, &INTEGERS(a).q[half & 1 ? 4 : 0], sizeof r);
    return r;
}

/* Within each 128 bits, the lower or upper elements of a and b by turns. */
EMULATED(__m512i) dc_unpacklo_epi32(__m512i a, __m512i b)
{
    EACH(16, d[i]) = (i % 2 ? INTEGERS(b) : INTEGERS(a)).d[i / 4 * 4 + i % 4 / 2];
    return r.si;
}

EMULATED(__m512i) dc_unpackhi_epi32(__m512i a, __m512i b)
{
    EACH(16, d[i]) = (i % 2 ? INTEGERS(b) : INTEGERS(a)).d[i / 4 * 4 + 2 + i % 4 / 2];
    return r.si;
}

EMULATED(__m512i) dc_unpacklo_epi64(__m512i a, __m512i b)
{
    EACH(8, q[i]) = (i % 2 ? INTEGERS(b) : INTEGERS(a)).q[i / 2 * 2];
    return r.si;
}

EMULATED(__m512i) dc_unpackhi_epi64(__m512i a, __m512i b)
{
    EACH(8, q[i]) = (i % 2 ? INTEGERS(b) : INTEGERS(a)).q[i / 2 * 2 + 1];
    return r.si;
}

/* Two of a's quarters, then two of b's. */
EMULATED(__m512i) dc_shuffle_i32x4(__m512i a, __m512i b, unsigned which)
{
    EACH(16, d[i]) = (i < 8 ? INTEGERS(a) : INTEGERS(b)).d[(which >> i / 4 * 2 & 3) * 4 + i % 4];
    return r.si;
}

/* Some compilers have macros for those with a constant. */
#undef _mm512_extracti64x4_epi64
#undef _mm512_i32gather_ps
#undef _mm512_shuffle_i32x4
#undef _mm512_slli_epi32
#undef _mm512_srli_epi32

#define _mm512_add_epi32 dc_add_epi32
#define _mm512_add_ps dc_add_ps
#define _mm512_and_si512 dc_and_si512
#define _mm512_castps_si512 dc_castps_si512
#define _mm512_cvtepu8_epi32 dc_cvtepu8_epi32
#define _mm512_extracti64x4_epi64 dc_extracti64x4_epi64
#define _mm512_fmadd_ps dc_fmadd_ps
#define _mm512_i32gather_ps dc_i32gather_ps
#define _mm512_load_ps dc_load_ps
#define _mm512_loadu_ps dc_loadu_ps
#define _mm512_loadu_si512 dc_loadu_si512
#define _mm512_mask_blend_ps dc_mask_blend_ps
#define _mm512_mask_storeu_ps dc_mask_storeu_ps
#define _mm512_maskz_compress_epi8 dc_maskz_compress_epi8
#define _mm512_maskz_expand_epi8 dc_maskz_expand_epi8
#define _mm512_maskz_loadu_ps dc_maskz_loadu_ps
#define _mm512_or_si512 dc_or_si512
#define _mm512_permutex2var_ps dc_permutex2var_ps
#define _mm512_permutexvar_epi8 dc_permutexvar_epi8
#define _mm512_permutexvar_ps dc_permutexvar_ps
#define _mm512_reduce_add_ps dc_reduce_add_ps
#define _mm512_set1_epi32 dc_set1_epi32
#define _mm512_set1_ps dc_set1_ps
#define _mm512_setzero_ps dc_setzero_ps
#define _mm512_setzero_si512 dc_setzero_si512
#define _mm512_shuffle_i32x4 dc_shuffle_i32x4
#define _mm512_slli_epi32 dc_slli_epi32
#define _mm512_srl_epi32 dc_srl_epi32
#define _mm512_srli_epi32 dc_srli_epi32
#define _mm512_srlv_epi32 dc_srlv_epi32
#define _mm512_store_ps dc_store_ps
#define _mm512_storeu_ps dc_storeu_ps
#define _mm512_storeu_si512 dc_storeu_si512
#define _mm512_test_epi32_mask dc_test_epi32_mask
#define _mm512_test_epi8_mask dc_test_epi8_mask
#define _mm512_unpackhi_epi32 dc_unpackhi_epi32
#define _mm512_unpackhi_epi64 dc_unpackhi_epi64
#define _mm512_unpacklo_epi32 dc_unpacklo_epi32
#define _mm512_unpacklo_epi64 dc_unpacklo_epi64

#endif
