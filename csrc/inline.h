/* Functions that become part of their callers, and there anew for each number that they are given:
 * only so are arrays of as many elements registers. */
#ifndef DC_INLINE_H
#define DC_INLINE_H

#if defined(__GNUC__) || defined(__clang__)
#define DC_INLINE static inline __attribute__((always_inline))
#else
#define DC_INLINE static inline
#endif

/* The cases of a switch; CASE(n) is one of them. */
#define DC_CASES_6(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#define DC_CASES_8(CASE) DC_CASES_6(CASE) CASE(7) CASE(8)

#endif
