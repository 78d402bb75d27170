/* The processor and compiler that this is built for: no other file asks for either. */
#ifndef DC_PLATFORM_H
#define DC_PLATFORM_H

#if defined(__GNUC__) || defined(__clang__)
#define DC_GNU 1
#else
#define DC_GNU 0
#endif

/* The files for x86 are compiled with nothing but the portable flags; their functions name
 * their instruction sets themselves, which only these compilers can. */
#if defined(__x86_64__) && DC_GNU
#define DC_X86 1
#else
#define DC_X86 0
#endif

/* Known to be so; else nothing is taken for granted. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define DC_LITTLE_ENDIAN 1
#else
#define DC_LITTLE_ENDIAN 0
#endif

/* Every processor of this architecture has NEON. */
#if defined(__aarch64__) && DC_LITTLE_ENDIAN && DC_GNU
#define DC_ARM 1
#else
#define DC_ARM 0
#endif

/* Functions that become part of their callers, and there anew for each number that they are given:
 * only so are arrays of as many elements registers. */
#if DC_GNU
#define DC_INLINE static inline __attribute__((always_inline))
#else
#define DC_INLINE static inline
#endif

/* Asks for the cache line of an address that is read soon. */
#if DC_GNU
#define DC_PREFETCH(address) __builtin_prefetch(address)
#else
#define DC_PREFETCH(address) ((void)(address))
#endif

/* Before a loop of at most 16 rounds, which becomes none. */
#ifdef __clang__
#define DC_UNROLL _Pragma("unroll")
#elif DC_GNU
#define DC_UNROLL _Pragma("GCC unroll 16")
#else
#define DC_UNROLL
#endif

/* The cases of a switch; CASE(n) is one of them. */
#define DC_CASES_6(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#define DC_CASES_8(CASE) DC_CASES_6(CASE) CASE(7) CASE(8)

#if DC_X86
#define DC_TARGET(set) __attribute__((target(set)))
#define DC_TARGET_INLINE(set) static inline __attribute__((always_inline, target(set)))

#define DC_AVX2_SET "avx2,fma,bmi"
#define AVX2 DC_TARGET(DC_AVX2_SET)
#define AVX2_INLINE DC_TARGET_INLINE(DC_AVX2_SET)

#ifdef DC_EMULATE_AVX512 /* for tests, see setup.py */
#define DC_AVX512_SET "avx2,fma,bmi,popcnt"
#else
#define DC_AVX512_SET "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,avx2,fma,bmi,popcnt"
#endif
#define AVX512 DC_TARGET(DC_AVX512_SET)
#define AVX512_INLINE DC_TARGET_INLINE(DC_AVX512_SET)
#endif

/* Threads of POSIX and atomic operations of C11; DC_NO_THREADS builds without, as for tests. */
#if defined(DC_NO_THREADS) || defined(_WIN32) || defined(__STDC_NO_ATOMICS__) ||                   \
    (defined(__EMSCRIPTEN__) && !defined(__EMSCRIPTEN_PTHREADS__)) || defined(__wasi__)
#define DC_THREADS 0
#else
#define DC_THREADS 1
#endif

/* Within a loop that waits for another thread: lets the processor do something else. */
static inline void dc_pause(void)
{
#if DC_X86
    __builtin_ia32_pause();
#elif DC_ARM
    __asm__ volatile("isb" ::: "memory");
#endif
}

/* Products are rounded before they are added to anything, as gcc has it with -std=c11. */
#ifdef __clang__
#define DC_ROUND_PRODUCTS _Pragma("STDC FP_CONTRACT OFF")
#else
#define DC_ROUND_PRODUCTS
#endif

#endif
