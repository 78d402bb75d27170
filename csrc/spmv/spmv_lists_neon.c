/* Products with a vector from a layout in lists, for NEON: bit by bit those of the portable kernel.
 *
 * There is no gathering, so elements of x are loaded one by one; what is gained are loads, of which
 * an entry takes 1.5, as columns and weights come by fours, in place of 2.5. Cycles for an entry of
 * sixteens and (of eights) on a Cortex-A72, Neoverse N1 and V1, as llvm-mca 19 has them for what
 * gcc 12 makes of it, as no processor was at hand: 1.70 (1.65), 0.90 (0.94) and 0.53 (0.51), in 3.9
 * (3.6) instructions. The portable kernel takes 2.50 (2.51), 1.25 (1.51) and 0.84 (0.84), and lanes
 * 2.33, 1.84 and 0.89, in 6.8 instructions, for somewhat more entries. What was tried instead:
 * - elements loaded into a vector that has the others: 1.70 (1.90), 1.13 (1.30) and 0.72 (0.75), as
 *   each load waits for the last; this is what clang 14 makes of the code below
 * - loaded alone and inserted: 1.95 (1.90), 1.09 (1.30) and 0.77 (0.80)
 * - vectors of two elements: 1.45 (1.51), 1.01 (1.07) and 0.53 (0.55)
 * - products one at a time, of columns by fours: 1.45 (1.76), 0.88 (1.13) and 0.53 (0.63); with them
 *   for sixteens alone, sums go to vectors through memory, once per segment, and compilers may make
 *   vectors of them within the loop. */
#include "platform.h"
#include "spmv/spmv.h"
#include "spmv/spmv_lists.h"

#if DC_ARM
#include <arm_neon.h>

/* Four columns, in one register: compilers else load each of them. */
DC_INLINE uint64_t load_columns(const uint8_t *p)
{
    uint64_t cols = dc_load8(p);
    __asm__("" : "+r"(cols));
    return cols;
}

/* The elements of x at four columns. A load of a float makes the rest of its vector zeros, and thus
 * waits for none. */
DC_INLINE float32x4_t four_of(const float *x, const uint8_t *p)
{
    const uint64_t cols = load_columns(p);
    const float32x2_t none = vdup_n_f32(0.0f);
    const float32x2_t a = vset_lane_f32(x[(uint16_t)cols], none, 0);
    const float32x2_t b = vset_lane_f32(x[(uint16_t)(cols >> 16)], none, 0);
    const float32x2_t c = vset_lane_f32(x[(uint16_t)(cols >> 32)], none, 0);
    const float32x2_t d = vset_lane_f32(x[cols >> 48], none, 0);
    return vcombine_f32(vzip1_f32(a, b), vzip1_f32(c, d));
}

DC_INLINE float32x4_t load_weights(const uint8_t *p)
{
    return vreinterpretq_f32_u8(vld1q_u8(p));
}

DC_INLINE float segment_product(const float *codebook, struct dc_segment s, const float *x)
{
    float32x4_t low = vdupq_n_f32(0.0f), high = low;
    for (; s.sixteens < s.eights; s.sixteens += DC_SIXTEEN_BYTES) {
        const uint32_t labels = dc_load4(s.sixteens + DC_SIXTEEN * sizeof(uint16_t));
        low = vfmaq_n_f32(low, four_of(x, s.sixteens), codebook[(uint8_t)labels]);
        high = vfmaq_n_f32(high, four_of(x, s.sixteens + 8), codebook[(uint8_t)(labels >> 8)]);
        low = vfmaq_n_f32(low, four_of(x, s.sixteens + 16), codebook[(uint8_t)(labels >> 16)]);
        high = vfmaq_n_f32(high, four_of(x, s.sixteens + 24), codebook[labels >> 24]);
    }
    for (; s.eights < s.end; s.eights += DC_EIGHT_BYTES) {
        low = vfmaq_f32(low, load_weights(s.eights + 16), four_of(x, s.eights));
        high = vfmaq_f32(high, load_weights(s.eights + 32), four_of(x, s.eights + 8));
    }
    low = vaddq_f32(low, high);
    const float32x2_t two = vadd_f32(vget_low_f32(low), vget_high_f32(low));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

void dc_spmv_lists_neon(const struct dc_layout *w, const float *x, float *y, size_t first,
                        size_t last)
{
    dc_lists_product(w, x, y, first, last, segment_product);
}

#endif
